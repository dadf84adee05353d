"""The formats of fits, NetCDF4 and Zarr: made in memory, and sealed with a checksum.

HDF5 ends the process when its disk fails, and may when its contents are damaged. So what is written
is complete before it meets the disk, and a checksum is compared before anything reads it:

========  ======================================================================================
NetCDF    after the end of the HDF5 file: a mark of 16 bytes, and the SHA-256 of all before it.
          Readers of HDF5 stop at its end and do not see this
Zarr      attribute ``msem_checksum`` of the root: SHA-256 over names and contents of all files,
          where the metadata of the root count without this attribute
========  ======================================================================================

Files of earlier versions have neither, and are read all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import xarray as xr

__all__ = ["CHECKSUM", "foreign_files", "is_intact", "netcdf_blocks", "open_tree", "zarr_files"]

CHECKSUM = "msem_checksum"
_MARK = b"bayes_msem.sum1\n"
_SEAL = len(_MARK) + hashlib.sha256().digest_size
_BLOCK = 1 << 22  # bytes read at once
_ATTRIBUTES, _METADATA = ".zattrs", ".zmetadata"
_ZARR_FILE = re.compile(r"(.*/)?(\.zattrs|\.zmetadata|\.zgroup|\.zarray|\d+(\.\d+)*)")


def netcdf_blocks(tree: xr.DataTree) -> list[bytes | memoryview]:
    """Return a tree as the blocks of a NetCDF file, in their order."""
    content = tree.to_netcdf(engine="h5netcdf")
    return [content, _MARK + hashlib.sha256(content).digest()]


def zarr_files(tree: xr.DataTree) -> dict[str, bytes]:
    """Return a tree as the files of a Zarr folder: relative path -> content."""
    store: dict[str, Any] = {}
    # format 2 has variable-length text; format 3 only as an extension
    tree.to_zarr(store, zarr_format=2)
    files = {n: v if isinstance(v, bytes) else v.to_bytes() for n, v in store.items()}
    checksum = _checksum(files, files.__getitem__)
    for name in (_ATTRIBUTES, _METADATA):
        content = json.loads(files[name])
        _attributes(name, content)[CHECKSUM] = checksum
        files[name] = json.dumps(content).encode()
    return files


def open_tree(path: Path) -> xr.DataTree:
    """Read a tree into memory; raises whatever the readers come across."""
    if not path.is_dir():
        import h5py

        with h5py.File(path):
            pass  # where this fails, h5netcdf would leave a half-made object that complains later
    engine = "zarr" if path.is_dir() else "h5netcdf"
    with warnings.catch_warnings():
        # Readers have opinions on lost metadata; here the fingerprint decides.
        warnings.simplefilter("ignore")
        with xr.open_datatree(path, engine=engine) as opened:
            return opened.load()


def is_intact(path: Path) -> bool:
    """Whether the contents have the checksum that they state; True if they state none.

    Raises
    ------
    OSError, ValueError, TypeError, LookupError
        The file cannot be read, or the metadata of a Zarr folder are not JSON of their kind.
    """
    return _intact_folder(path) if path.is_dir() else _intact_file(path)


def foreign_files(folder: Path) -> list[str]:
    """Files below a folder that no Zarr store of this package consists of."""
    return [name for name in _names(folder) if not _ZARR_FILE.fullmatch(name)]


def _intact_file(path: Path) -> bool:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = file.seek(0, os.SEEK_END) - _SEAL
        if left < 0:
            return True
        file.seek(left)
        seal = file.read()
        if not seal.startswith(_MARK):
            return True
        file.seek(0)
        while block := file.read(min(_BLOCK, left)):
            digest.update(block)
            left -= len(block)
    return _MARK + digest.digest() == seal


def _intact_folder(folder: Path) -> bool:
    stated = set()
    for name in (_ATTRIBUTES, _METADATA):
        if (folder / name).is_file():
            attributes = _attributes(name, json.loads((folder / name).read_bytes()))
            stated |= {str(attributes[CHECKSUM])} if CHECKSUM in attributes else set()
    if not stated:
        return True
    names = [name for name in _names(folder) if _ZARR_FILE.fullmatch(name)]
    return stated == {_checksum(names, lambda name: (folder / name).read_bytes())}


def _names(folder: Path) -> list[str]:
    found = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [Path(place, name).relative_to(folder).as_posix() for name in files + links]
    return found


def _checksum(names: Iterable[str], read: Callable[[str], bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(names):
        content = read(name)
        if name in (_ATTRIBUTES, _METADATA):
            parsed = json.loads(content)
            _attributes(name, parsed).pop(CHECKSUM, None)
            content = json.dumps(parsed, sort_keys=True).encode()
        digest.update(json.dumps([name, len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()


def _attributes(name: str, content: Any) -> dict[str, Any]:
    """Attributes of the root in the contents of one of its two files."""
    found = content["metadata"][_ATTRIBUTES] if name == _METADATA else content
    if not isinstance(found, dict):
        raise TypeError(f"{name} holds {type(found).__name__} in place of attributes")
    return found
