"""Files: a fit that outlives its session, and draws for other programs."""

from __future__ import annotations

from os import PathLike

import pandas as pd
import xarray as xr

from bayes_msem import disk
from bayes_msem.arguments import anything, checked
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.draw_tables import SUFFIXES, check_format, draw_frame, encoded
from bayes_msem.posterior.files import DATA, EFFECTS, check_destination, write_tree
from bayes_msem.posterior.record import effects_record, plain_name


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
            The suffix decides: ``.nc`` (or ``.nc4``, ``.h5``, ``.hdf5``) becomes a NetCDF file,
            ``.zarr`` a Zarr folder, which needs the package zarr.
        overwrite
            Replace what stands at ``path``: any file, but of folders only a saved fit that
            holds nothing else. Until the new one is complete, the old one stays.

        Raises
        ------
        FileError
            ``path`` exists and ``overwrite`` is False, has another suffix, or cannot be written.
            The fit is as good as before, and can be saved elsewhere.
        NotSupportedError
            Zarr without the package zarr.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> fit.save("fit.nc")
        >>> bm.load("fit.nc").model.spec == fit.model.spec
        True
        """
        place = check_destination(path, overwrite)
        blueprint = self.model.blueprint
        groups = {node.path: node.to_dataset(inherit=False) for node in self.datatree.subtree}
        groups[f"/{DATA}"] = self.model._data_record()
        groups[f"/{EFFECTS}"] = effects_record(blueprint.to_sample)
        options = self.model.options
        if self.model.table.three_level:
            options["cluster"] = plain_name(options["cluster"])
        write_tree(xr.DataTree.from_dict(groups), options, place, overwrite)

    @checked(path=anything)
    def to_draws(
        self, path: str | PathLike[str] | None = None, *, overwrite: bool = False
    ) -> pd.DataFrame:
        """Draws as one table, in the layout of R's package posterior, and as a file.

        Columns ``.chain``, ``.iteration`` (within the chain) and ``.draw`` count from 1. The others
        are variables: rows of the parameter table as ``regression[within,y~x]`` (kind, level, row),
        defined parameters by their name. Constants are left out; ``variance[...]`` are variances.

        Parameters
        ----------
        path
            Where to write the table, too. The suffix decides: ``.csv``, ``.arrow`` or ``.feather``
            (Arrow's file format), ``.parquet``. All but CSV need the package pyarrow.
        overwrite
            Replace the file at ``path``. Until the new one is complete, the old one stays.

        Returns
        -------
        pandas.DataFrame
            One row per draw, chains below each other.

        Raises
        ------
        FileError
            ``path`` exists and ``overwrite`` is False, has another suffix, or cannot be written.
        NotSupportedError
            The format needs pyarrow, which is not installed.

        Examples
        --------
        >>> frame = fit.to_draws("draws.csv")
        >>> frame.columns[:4].tolist()
        ['.chain', '.iteration', '.draw', 'variance[within,mach~~mach]']
        >>> len(frame)
        200
        """
        target, suffix = None, ".csv"
        if path is not None:  # before the work, not after it
            target = disk.as_path(path)
            suffix = disk.check_suffix(target, SUFFIXES, "Fit.save() writes whole fits.")
            disk.check_free(target, overwrite)
            check_format(suffix)
        frame = draw_frame(self.model.table, self.draws)
        if target is not None:
            disk.write(target, [encoded(frame, suffix)], overwrite=overwrite)
        return frame
