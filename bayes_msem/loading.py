"""From a file back to a fit."""

from __future__ import annotations

import warnings
from os import PathLike
from typing import Any

import xarray as xr

from bayes_msem import disk
from bayes_msem.arguments import checked
from bayes_msem.errors import FileError, MsemWarning
from bayes_msem.fit import Fit
from bayes_msem.model import Model
from bayes_msem.posterior.files import DATA, EFFECTS, read_tree
from bayes_msem.posterior.record import (
    data_frame,
    read_name,
    read_priors,
    read_rows,
)
from bayes_msem.spec.printing import to_syntax


@checked()
def load(path: str | PathLike[str]) -> Fit:
    """Read a fit that :meth:`bayes_msem.Fit.save` wrote.

    The model is built again from its text, options and data, so that everything a fit can do
    goes on where it stopped: tables of a loaded fit equal those of the original.

    Parameters
    ----------
    path
        NetCDF file or Zarr folder.

    Returns
    -------
    Fit

    Raises
    ------
    FileError
        There is no file, it is damaged, foreign or newer than this version, or this version reads
        its model differently.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> fit.save("mach.nc")
    >>> again = bm.load("mach.nc")
    >>> bool((again.draws["mach ~ sector"] == fit.draws["mach ~ sector"]).all())
    True
    """
    place = disk.as_path(path)
    tree, options = read_tree(place)
    version = tree.attrs.get("bayes_msem_version", "unknown")
    try:
        model = _rebuild(tree, options)
    except Exception as error:  # what was stored may be anything
        raise FileError(
            f"'{place}' was written by bayes_msem {version}, and this version cannot build its "
            f"model again ({type(error).__name__}: {error}); install bayes_msem {version}"
        ) from error
    if to_syntax(model.table) != tree.attrs.get("syntax"):
        raise FileError(
            f"'{place}' was written by bayes_msem {version}, which read the model text "
            f"differently, so its draws mean something else here; install bayes_msem {version}"
        )
    groups = {
        node.path: node.to_dataset(inherit=False)
        for node in tree.subtree
        if node.path not in (f"/{DATA}", f"/{EFFECTS}")
    }
    return model._with_draws(xr.DataTree.from_dict(groups))


def _rebuild(tree: xr.DataTree, options: dict[str, Any]) -> Model:
    """Build the model; it warned when it was first built, and need not again."""
    stored = {"priors": read_priors(options["priors"]), "cluster": read_name(options["cluster"])}
    arguments = options | stored
    # Files from before this option hold draws of the covariances that were free then.
    arguments.setdefault("random_covariances", "coefficients")
    spec = arguments.pop("spec")
    if arguments.get("group") is not None:
        arguments["group"] = read_name(arguments["group"])
        arguments["group_partial"] = read_rows(arguments.get("group_partial"))
    frame = data_frame(tree[DATA].to_dataset(), arguments["cluster"], arguments.get("group"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        model = Model(spec, frame, **arguments)
    record = tree[EFFECTS].to_dataset()
    if record:
        model.blueprint = model._recorded_blueprint(record)
    return model
