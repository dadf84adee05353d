"""Fits on disk: NetCDF4 or Zarr, and never a pickle.

A file is the DataTree of the fit with two groups more and a few attributes:

========================  ===================================================================
group ``msem_data``       the columns that the model reads, identifiers of clusters and rows
group ``msem_effects``    coordinates of sampled effects; without them draws mean nothing
``msem_format``           version of this layout
``msem_options``          JSON: the arguments of ``Model``
``msem_fingerprint``      SHA-256 over all arrays and attributes
========================  ===================================================================

The fingerprint is one of contents, the same in both formats and whatever wrote them. A checksum of
the bytes (:mod:`bayes_msem.posterior.file_formats`) keeps damaged bytes from the readers of a
format. Files are written whole or not at all (:mod:`bayes_msem.disk`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayes_msem import disk
from bayes_msem.errors import FileError, MsemError, NotSupportedError
from bayes_msem.posterior.file_formats import (
    CHECKSUM,
    foreign_files,
    is_intact,
    netcdf_blocks,
    open_tree,
    zarr_files,
)

FORMAT = 1
DATA, EFFECTS = "msem_data", "msem_effects"
NETCDF, ZARR = (".nc", ".nc4", ".h5", ".hdf5"), ".zarr"
_FORMAT, _OPTIONS, _FINGERPRINT = "msem_format", "msem_options", "msem_fingerprint"


def check_destination(path: object, overwrite: bool) -> Path:
    """Check where a fit shall be written, before it is.

    Parameters
    ----------
    path
        Ends in ``.zarr`` (a folder), or in ``.nc`` or another suffix of NetCDF4 and HDF5.
    overwrite
        Whether to replace what stands there.

    Raises
    ------
    FileError
        Something stands there, the suffix is another one, or nothing can be written there.
    NotSupportedError
        Zarr is asked for and not installed.
    """
    place = disk.as_path(path)
    otherwise = "For tables, write fit.summary().to_csv('fit.csv'); for a page, fit.report()."
    suffix = disk.check_suffix(place, [*NETCDF, ZARR], otherwise)
    if suffix == ZARR and find_spec("zarr") is None:
        raise NotSupportedError(
            "saving to Zarr needs the package zarr, which is not installed; install it "
            "(pip install zarr) or save to a path that ends in .nc"
        )
    disk.check_free(place, overwrite)
    return place


def write_tree(tree: xr.DataTree, options: Mapping[str, Any], path: Path, overwrite: bool) -> None:
    """Write a fit.

    Parameters
    ----------
    tree
        DataTree of the fit with the groups ``msem_data`` and ``msem_effects``.
    options
        What ``Model`` was called with, as JSON-able values.
    path
        What :func:`check_destination` returned.
    overwrite
        Whether to replace what stands there.

    Raises
    ------
    FileError
        Something stands there, or the place cannot be written to.
    """
    plain = _plain(tree)
    plain.attrs[_FORMAT] = FORMAT
    plain.attrs[_OPTIONS] = json.dumps(dict(options))
    plain.attrs[_FINGERPRINT] = fingerprint(plain)
    zarr = path.suffix.lower() == ZARR
    contents = zarr_files(plain) if zarr else netcdf_blocks(plain)
    disk.write(path, contents, overwrite=overwrite, check_folder=_check_replaceable)


def read_tree(path: Path) -> tuple[xr.DataTree, dict[str, Any]]:
    """Read and check what :func:`write_tree` wrote.

    Parameters
    ----------
    path
        A NetCDF file or a Zarr folder.

    Returns
    -------
    tuple of (xarray.DataTree, dict)
        The tree as it was given, and the options.

    Raises
    ------
    FileError
        There is no file, it is not one of ours, or it is damaged.
    NotSupportedError
        It needs zarr, which is not installed.
    """
    disk.recover(path)
    if not path.exists():
        raise FileError(f"there is no file '{path}'")
    if path.is_dir() and find_spec("zarr") is None:
        raise NotSupportedError("reading Zarr needs the package zarr: pip install zarr")
    try:
        return _read(path)
    except MsemError:
        raise
    except Exception as error:  # the readers raise whatever they come across
        raise FileError(
            f"cannot read '{path}': it is damaged, incomplete or not a file that fit.save() "
            f"wrote ({type(error).__name__}: {error})"
        ) from error


def _read(path: Path) -> tuple[xr.DataTree, dict[str, Any]]:
    if not is_intact(path):
        raise _altered(path)
    tree = _plain(open_tree(path))
    _check_format(tree, path)
    stated = tree.attrs.pop(_FINGERPRINT, "")
    tree.attrs.pop(CHECKSUM, None)
    if fingerprint(tree) != stated:
        raise _altered(path)
    options = json.loads(tree.attrs.pop(_OPTIONS))
    if not isinstance(options, dict):
        raise TypeError(f"the options are a {type(options).__name__}")
    del tree.attrs[_FORMAT]
    return tree, options


def _altered(path: Path) -> FileError:
    return FileError(
        f"'{path}' is not as it was saved: its contents do not match their fingerprint; "
        "it was damaged or edited. Use an intact copy, or fit the model again"
    )


def fingerprint(tree: xr.DataTree) -> str:
    """SHA-256 over all arrays and the root's attributes, whatever the file format."""
    digest = hashlib.sha256()
    digest.update(json.dumps(sorted((str(k), str(v)) for k, v in tree.attrs.items())).encode())
    for node in sorted(tree.subtree, key=lambda node: node.path):
        dataset = node.to_dataset(inherit=False)
        for name in sorted(map(str, dataset.variables)):
            variable = dataset.variables[name]
            values = variable.to_numpy()
            head = [node.path, name, list(map(str, variable.dims)), list(values.shape)]
            head.append(str(variable.attrs.get("labels", "")))
            digest.update(json.dumps(head).encode())
            if values.dtype.kind in "biuf":
                # one type for all: formats differ in how they keep narrow ones
                wide = np.float64 if values.dtype.kind == "f" else np.int64
                digest.update(np.ascontiguousarray(values, dtype=wide).tobytes())
            else:
                digest.update(json.dumps([str(v) for v in values.ravel()]).encode())
    return digest.hexdigest()


def _plain(tree: xr.DataTree) -> xr.DataTree:
    """Copy a tree without encodings, and with attributes that every format can hold."""
    groups = {}
    for node in tree.subtree:
        dataset = node.to_dataset(inherit=False).drop_encoding()
        for name, variable in dataset.data_vars.items():
            if variable.dtype == object:
                # samplers keep messages, and None where there is none: files have only text
                text = [v if isinstance(v, str) else "" for v in variable.to_numpy().ravel()]
                values = np.array(text, dtype=object).reshape(variable.shape)
                dataset[name] = variable.copy(data=values)
        dataset.attrs = _plain_attributes(dataset.attrs)
        groups[node.path] = dataset
    return xr.DataTree.from_dict(groups)


def _plain_attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bool):
            value = int(value)
        if isinstance(value, (int, float, str)):  # lists come back as other types
            result[str(name)] = value
    return result


def _check_replaceable(folder: Path) -> None:
    """Raise unless a folder is a saved fit and nothing more: others must not be taken away."""
    try:
        ours = _FORMAT in json.loads((folder / ".zattrs").read_bytes())
    except (OSError, ValueError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise FileError(
            f"'{folder}' is a folder but not a Zarr store that fit.save() wrote, and is not "
            "replaced; choose another path"
        )
    foreign = foreign_files(folder)
    if foreign:
        raise FileError(
            f"'{folder}' holds files that fit.save() did not write, such as '{foreign[0]}', and "
            "would lose them; move them elsewhere, or choose another path"
        )


def _check_format(tree: xr.DataTree, path: Path) -> None:
    version = tree.attrs.get(_FORMAT)
    if not isinstance(version, int) or _OPTIONS not in tree.attrs:
        raise FileError(
            f"'{path}' is not a fit of bayes_msem; bm.load() reads what fit.save() wrote "
            "(for other files use arviz.from_netcdf)"
        )
    if version > FORMAT:
        raise FileError(
            f"'{path}' was written by a newer bayes_msem "
            f"({tree.attrs.get('bayes_msem_version', 'unknown version')}, format {version}; this "
            f"one reads up to {FORMAT}); upgrade bayes_msem"
        )
