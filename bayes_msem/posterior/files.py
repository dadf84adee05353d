"""Fits on disk: NetCDF4 or Zarr, and never a pickle.

A file is the DataTree of the fit with two groups more and a few attributes:

========================  ===================================================================
group ``msem_data``       the columns that the model reads, identifiers of clusters and rows
group ``msem_effects``    coordinates of sampled effects; without them draws mean nothing
``msem_format``           version of this layout
``msem_options``          JSON: the arguments of ``Model``
``msem_fingerprint``      SHA-256 over all arrays and attributes
========================  ===================================================================

Files are written beside their place and moved there when complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayes_msem.errors import FileError, NotSupportedError

FORMAT = 1
DATA, EFFECTS = "msem_data", "msem_effects"
_FORMAT, _OPTIONS, _FINGERPRINT = "msem_format", "msem_options", "msem_fingerprint"


def write_tree(tree: xr.DataTree, options: Mapping[str, Any], path: Path, overwrite: bool) -> None:
    """Write a fit.

    Parameters
    ----------
    tree
        DataTree of the fit with the groups ``msem_data`` and ``msem_effects``.
    options
        What ``Model`` was called with, as JSON-able values.
    path
        Ends in ``.zarr`` (a folder), or is a NetCDF file.
    overwrite
        Whether to replace what stands there.

    Raises
    ------
    FileError
        Something stands there, or the place cannot be written to.
    NotSupportedError
        Zarr is asked for and not installed.
    """
    if path.suffix == ".zarr" and find_spec("zarr") is None:
        raise NotSupportedError(
            "saving to Zarr needs the package zarr, which is not installed; install it "
            "(pip install zarr) or save to a path that ends in .nc"
        )
    if path.exists() and not overwrite:
        raise FileError(f"'{path}' exists; choose another path, or pass overwrite=True")
    plain = _plain(tree)
    plain.attrs[_FORMAT] = FORMAT
    plain.attrs[_OPTIONS] = json.dumps(dict(options))
    plain.attrs[_FINGERPRINT] = fingerprint(plain)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".msem-") as folder:
            draft = Path(folder) / path.name
            if path.suffix == ".zarr":
                # format 2 has variable-length text; format 3 only as an extension
                plain.to_zarr(draft, zarr_format=2)
            else:
                plain.to_netcdf(draft, engine="h5netcdf")
            if path.is_dir():
                _check_replaceable(path)
                shutil.rmtree(path)
            draft.replace(path)
    except OSError as error:
        raise FileError(f"cannot write '{path}': {error}") from error


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
    if not path.exists():
        raise FileError(f"there is no file '{path}'")
    is_zarr = path.is_dir()
    if is_zarr and find_spec("zarr") is None:
        raise NotSupportedError("reading Zarr needs the package zarr: pip install zarr")
    try:
        with xr.open_datatree(path, engine="zarr" if is_zarr else "h5netcdf") as opened:
            tree = opened.load()
    except Exception as error:  # the readers raise whatever they come across
        raise FileError(
            f"cannot read '{path}': it is damaged, incomplete or not a file that fit.save() "
            f"wrote ({type(error).__name__}: {error})"
        ) from error
    tree = _plain(tree)
    _check_format(tree, path)
    stated = tree.attrs.pop(_FINGERPRINT, "")
    if fingerprint(tree) != stated:
        raise FileError(
            f"'{path}' is not as it was saved: its contents do not match their fingerprint; "
            "it was damaged or edited. Use an intact copy, or fit the model again"
        )
    options: dict[str, Any] = json.loads(tree.attrs.pop(_OPTIONS))
    del tree.attrs[_FORMAT]
    return tree, options


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
        result[str(name)] = value if isinstance(value, (int, float, str)) else str(value)
    return result


def _check_replaceable(path: Path) -> None:
    """Raise unless a folder is a Zarr store: others must not be taken away."""
    if not any((path / name).exists() for name in (".zgroup", "zarr.json")):
        raise FileError(f"'{path}' is a folder but not a Zarr store; choose another path")


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
