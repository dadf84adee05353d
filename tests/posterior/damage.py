"""Damages copies of saved fits, loads them, and prints as JSON how that ended.

Run as a script, since a reader of damaged bytes may take its process with it:
``damage.py FOLDER COUNT``, where FOLDER holds fits written by :func:`write_originals`.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import xarray as xr

import bayes_msem as bm
from bayes_msem.posterior.file_formats import CHECKSUM

# Without checksums: as earlier versions wrote them, so that damage reaches the readers.
ORIGINALS = ("fit.nc", "fit.zarr", "earlier.nc", "earlier.zarr")
_MEMORY = 12 << 30  # bytes of addresses: sizes that damage makes up must not end the machine


def write_originals(fit: bm.Fit, folder: Path) -> None:
    for name in ORIGINALS:
        fit.save(folder / name)
    remove_checksum(folder / "earlier.nc")
    remove_checksum(folder / "earlier.zarr")


def remove_checksum(path: Path) -> None:
    """Make of a saved fit what earlier versions would have written."""
    if path.is_dir():
        for name in (".zattrs", ".zmetadata"):
            content = json.loads((path / name).read_bytes())
            attributes = content["metadata"][".zattrs"] if name == ".zmetadata" else content
            del attributes[CHECKSUM]
            (path / name).write_text(json.dumps(content))
        return
    content, mark, checksum = path.read_bytes().rpartition(b"bayes_msem.sum1\n")
    assert mark
    assert len(checksum) == 32
    path.write_bytes(content)


# Damage -----------------------------------------------------------------------------------------


def flip(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def truncate(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def overwrite(rng: random.Random, data: bytearray) -> None:
    first = rng.randrange(len(data))
    size = len(data[first : first + rng.choice([2, 16, 512])])
    data[first : first + size] = rng.choice([bytes(size), rng.randbytes(size)])


def cut_out(rng: random.Random, data: bytearray) -> None:
    first = rng.randrange(len(data))
    del data[first : first + rng.choice([1, 16, 512])]


def flip_in_head(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(min(1024, len(data)))] ^= 1 << rng.randrange(8)


def digit(rng: random.Random, data: bytearray) -> None:
    """Another digit, in sizes and versions that are written as text."""
    places = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if places:
        data[rng.choice(places)] = rng.choice(b"0123456789")


DAMAGES: tuple[Callable[[random.Random, bytearray], None], ...] = (
    flip,
    truncate,
    overwrite,
    cut_out,
    flip_in_head,
    digit,
)


def damage(rng: random.Random, path: Path) -> str:
    """Damage a file, or one file of a folder; returns what was done."""
    victim = path
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        chunks = [p for p in files if not p.name.startswith(".")]
        read_first = [path / ".zmetadata"]  # in place of all other metadata
        victim = rng.choice(rng.choice([files, chunks, read_first]))
        if rng.random() < 0.1:
            victim.unlink()
            return f"without {victim.relative_to(path)}"
    do = rng.choice(DAMAGES)
    data = bytearray(victim.read_bytes())
    do(rng, data)
    victim.write_bytes(data)
    return f"{do.__name__} in {victim.relative_to(path.parent)}"


# Loading ----------------------------------------------------------------------------------------


def outcome(path: Path, original: bm.Fit) -> str:
    try:
        loaded = bm.load(path)
        for node in original.datatree.subtree:
            xr.testing.assert_identical(
                loaded.datatree[node.path].to_dataset(inherit=False),
                node.to_dataset(inherit=False),
            )
    except bm.MsemError as error:
        return type(error).__name__
    except BaseException as error:
        return f"raw {type(error).__name__}: {error}"
    return "the same fit"


def main(folder: Path, count: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    original = bm.load(folder / "fit.nc")
    found = []
    for number in range(count):
        name = ORIGINALS[number % len(ORIGINALS)]
        rng = random.Random(number)
        path = folder / f"damaged-{name}"
        if (folder / name).is_dir():
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(folder / name, path)
        else:
            shutil.copy(folder / name, path)
        done = damage(rng, path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ended = outcome(path, original)
        said = [str(w.message) for w in caught]
        found.append({"number": number, "file": name, "done": done, "end": ended, "said": said})
        # what is known so far, if the next one ends the process
        print(json.dumps(found[-1]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
