"""Files: a fit that outlives its session."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import xarray as xr

from bayes_msem.arguments import checked
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.files import DATA, EFFECTS, write_tree
from bayes_msem.posterior.record import data_record, effects_record


class Files(FitCore):
    """The part of :class:`bayes_msem.Fit` that writes files."""

    @checked()
    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write the fit to a file that :func:`bayes_msem.load` reads back.

        The file holds the draws, the model text and options, and those columns of the data that
        the model reads, identifiers included: share it as you would share the data. There is
        no code in it. ArviZ and xarray read it too.

        Parameters
        ----------
        path
            NetCDF file, usually ending in ``.nc``; a path that ends in ``.zarr`` becomes a
            Zarr folder, which needs the package zarr.
        overwrite
            Replace what stands at ``path``.

        Raises
        ------
        FileError
            ``path`` exists and ``overwrite`` is False, or cannot be written.
        NotSupportedError
            Zarr without the package zarr, or identifiers of a type that no file can hold.
        """
        blueprint = self.model.blueprint
        groups = {node.path: node.to_dataset(inherit=False) for node in self.datatree.subtree}
        groups[f"/{DATA}"] = data_record(blueprint.observed)
        groups[f"/{EFFECTS}"] = effects_record(blueprint)
        write_tree(xr.DataTree.from_dict(groups), self.model.options, Path(path), overwrite)
