"""Files that are not as they were saved, or that are in the way: refused, and left alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import pytest
import xarray as xr

import bayes_msem as bm
from bayes_msem.posterior.files import fingerprint
from tests.posterior import damage
from tests.posterior.made_up import synthetic_fit
from tests.posterior.test_files import assert_same, build
from tests.test_disk import BAD_PATHS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    synthetic_fit(build("two-level"), draws=20).save(path)
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(saved, tmp_path / "copy.nc"))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small fit in both formats, with checksums and, as earlier versions wrote it, without."""
    pytest.importorskip("zarr")
    folder = tmp_path_factory.mktemp("originals")
    damage.write_originals(synthetic_fit(build("single"), draws=5), folder)
    return folder


def test_existing_files_are_kept_unless_told(copy: Path) -> None:
    before = copy.read_bytes()
    fit = bm.load(copy)
    with pytest.raises(bm.FileError, match=r"exists; .*overwrite=True"):
        fit.save(copy)
    assert copy.read_bytes() == before
    other = synthetic_fit(build("single"), draws=10)
    other.save(copy, overwrite=True)
    assert_same(bm.load(copy), other)


def test_folders_that_hold_something_else_are_kept(copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    fit, folder = bm.load(copy), tmp_path / "thesis.zarr"
    folder.mkdir()
    (folder / "chapter.txt").write_text("precious")
    with pytest.raises(bm.FileError, match="not a Zarr store"):
        fit.save(folder, overwrite=True)
    assert (folder / "chapter.txt").read_text() == "precious"


def test_zarr_stores_of_others_are_kept(originals: Path, tmp_path: Path) -> None:
    """Also what somebody put into a saved fit, and whatever the path asks for."""
    fit = bm.load(originals / "fit.nc")
    xr.Dataset({"a": ("x", [1.0])}).to_zarr(tmp_path / "data.zarr", zarr_format=2)
    (tmp_path / "three.zarr").mkdir()
    (tmp_path / "three.zarr" / "zarr.json").write_text("{}")
    for name in ("data.zarr", "three.zarr"):
        before = sorted((tmp_path / name).rglob("*"))
        with pytest.raises(bm.FileError, match="not a Zarr store that fit"):
            fit.save(tmp_path / name, overwrite=True)
        assert sorted((tmp_path / name).rglob("*")) == before
    store = tmp_path / "fit.zarr"
    fit.save(store)
    (store / "posterior" / "notes.txt").write_text("precious")
    with pytest.raises(bm.FileError, match=r"did not write, such as 'posterior/notes.txt'"):
        fit.save(store, overwrite=True)
    assert (store / "posterior" / "notes.txt").read_text() == "precious"
    assert_same(bm.load(store), fit)  # and it is no damage
    (store / "posterior" / "notes.txt").unlink()
    fit.save(store, overwrite=True)
    store.rename(tmp_path / "fit.nc")
    with pytest.raises(bm.FileError, match="it is a folder"):
        fit.save(tmp_path / "fit.nc", overwrite=True)
    assert_same(bm.load(tmp_path / "fit.nc"), fit)


@pytest.mark.parametrize("name", ["folder", "fit.csv", "fit.html", "fit.nc.gz", "fit.pkl", ".nc"])
def test_the_suffix_decides_the_format(originals: Path, tmp_path: Path, name: str) -> None:
    fit = bm.load(originals / "fit.nc")
    with pytest.raises(bm.FileError, match=r"the suffix decides the format; use '.nc' or"):
        fit.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_suffixes_of_netcdf(originals: Path, tmp_path: Path) -> None:
    fit = bm.load(originals / "fit.nc")
    for name in ("a.NC", "a.nc4", "a.h5", "a.hdf5"):
        fit.save(tmp_path / name)
        with h5py.File(tmp_path / name) as file:
            assert file.attrs["msem_format"] == 1
    fit.save(tmp_path / "a.ZARR")
    assert_same(bm.load(tmp_path / "a.ZARR"), fit)
    (tmp_path / "a.nc4").rename(tmp_path / "anything")  # reading goes by what stands there
    assert_same(bm.load(tmp_path / "anything"), fit)


@pytest.mark.parametrize("kind", list(BAD_PATHS))
def test_paths_no_fit_can_have(originals: Path, kind: str) -> None:
    path, words = BAD_PATHS[kind]
    fit = bm.load(originals / "fit.nc")
    with pytest.raises(bm.FileError, match=words):
        fit.save(path)  # type: ignore[arg-type]
    with pytest.raises(bm.FileError, match=words):
        fit.report(path)  # type: ignore[arg-type]
    with pytest.raises(bm.FileError, match=words):
        fit.diagram().save(path)  # type: ignore[arg-type]


def test_zarr_is_overwritten(copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    fit = bm.load(copy)
    for _ in range(2):
        fit.save(tmp_path / "fit.zarr", overwrite=True)
    assert_same(bm.load(tmp_path / "fit.zarr"), fit)


def test_missing_file_and_missing_folder(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(bm.FileError, match="there is no file"):
        bm.load(tmp_path / "none.nc")
    with pytest.raises(bm.FileError, match="cannot write"):
        bm.load(copy).save(tmp_path / "none" / "fit.nc")


@pytest.mark.parametrize(
    "place", ["msem_data/values", "posterior/within_loading", "msem_data/cluster_of_row"]
)
def test_edited_numbers(copy: Path, place: str) -> None:
    with h5py.File(copy, "r+") as file:
        values = file[place][...]
        values.flat[0] += 1
        file[place][...] = values
    with pytest.raises(bm.FileError, match="fingerprint"):
        bm.load(copy)


def test_edited_attributes_and_identifiers(copy: Path, saved: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["random_seed"] = 12
    with pytest.raises(bm.FileError, match="fingerprint"):
        bm.load(copy)
    shutil.copy(saved, copy)
    with h5py.File(copy, "r+") as file:
        file["msem_data/cluster_label"][0] = json.dumps(["str", "another"])
    with pytest.raises(bm.FileError, match="fingerprint"):
        bm.load(copy)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated(copy: Path, share: float) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content[: int(share * len(content))])
    with pytest.raises(bm.FileError, match="damaged, incomplete or not a file"):
        bm.load(copy)


def test_lost_zarr_chunk(copy: Path, tmp_path: Path) -> None:
    """Zarr reads lost chunks as fill values and says nothing."""
    pytest.importorskip("zarr")
    store = tmp_path / "fit.zarr"
    bm.load(copy).save(store)
    (chunk,) = (store / "posterior" / "within_loading").glob("0.0.0")
    chunk.unlink()
    with pytest.raises(bm.FileError, match="fingerprint"):
        bm.load(store)


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "foreign.nc"
    xr.DataTree.from_dict({"posterior": xr.Dataset({"mu": ("draw", [1.0, 2.0])})}).to_netcdf(
        path, engine="h5netcdf"
    )
    with pytest.raises(bm.FileError, match="not a fit of bayes_msem"):
        bm.load(path)
    path.write_text("level, lhs, op, rhs\n")
    with pytest.raises(bm.FileError, match="damaged, incomplete or not a file"):
        bm.load(path)
    with pytest.raises(bm.FileError, match="damaged, incomplete or not a file"):
        bm.load(tmp_path)


def test_newer_format(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["msem_format"] = 2
        file.attrs["bayes_msem_version"] = "7.1.0"
    with pytest.raises(bm.FileError, match=r"newer bayes_msem \(7.1.0, format 2.*upgrade"):
        bm.load(copy)


def test_other_reading_of_the_text(tmp_path: Path) -> None:
    """A version with other defaults must not attach old draws to new rows."""
    fit = synthetic_fit(build("single"), draws=10)
    fit.datatree.attrs["syntax"] += "\ny1 ~~ y4"
    fit.save(tmp_path / "fit.nc")
    with pytest.raises(bm.FileError, match=r"read the model text\s+differently"):
        bm.load(tmp_path / "fit.nc")


def test_zarr_not_installed(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayes_msem.posterior.files.find_spec", lambda name: None)
    fit = bm.load(copy)
    with pytest.raises(bm.NotSupportedError, match="package zarr, which is not installed"):
        fit.save(tmp_path / "fit.zarr")


# --- files of earlier versions, and damage of every kind ----------------------------------------


def test_files_without_checksums_are_read(originals: Path) -> None:
    fit = bm.load(originals / "fit.nc")
    assert "msem_checksum" not in fit.datatree.attrs
    for name in damage.ORIGINALS[1:]:
        assert_same(bm.load(originals / name), fit)


def test_readers_of_hdf5_do_not_see_the_checksum(originals: Path) -> None:
    sealed, bare = ((originals / name).read_bytes() for name in ("fit.nc", "earlier.nc"))
    assert sealed.startswith(bare)
    assert len(sealed) == len(bare) + 48
    with xr.open_datatree(originals / "fit.nc", engine="h5netcdf") as tree:
        assert tree["posterior"].sizes["draw"] == 5


@pytest.mark.parametrize("name", damage.ORIGINALS)
def test_checksums_keep_damage_from_the_readers(
    originals: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred places in one file; for files without checksums the readers are asked."""
    asked: list[Path] = []

    def reader(path: Path) -> xr.DataTree:
        asked.append(path)
        raise OSError("stop here")

    monkeypatch.setattr("bayes_msem.posterior.files.open_tree", reader)
    source = originals / name
    path = tmp_path / name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, path)
    victim = path / ".zmetadata" if path.is_dir() else path
    content = victim.read_bytes()
    end = len(content) if path.is_dir() else len(content) - 48
    places = range(0, end, end // 100)
    for i in places:
        victim.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        with pytest.raises(bm.FileError):
            bm.load(path)
    if name.startswith("earlier"):
        assert len(asked) > 50
    else:
        assert asked == []
        with pytest.raises(bm.FileError, match=r"fingerprint|damaged"):
            bm.load(path)


def test_one_bit_of_a_text_coordinate(originals: Path, tmp_path: Path) -> None:
    """Without a checksum pyarrow meets bytes that are not UTF-8."""
    store = tmp_path / "fit.zarr"
    shutil.copytree(originals / "earlier.zarr", store)
    victim = store / "observed_data" / "outcome" / "0"
    content = victim.read_bytes()
    causes, fits = [], 0
    for bit in range(0, 8 * len(content), 11):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        victim.write_bytes(damaged)
        try:
            assert_same(bm.load(store), bm.load(originals / "fit.nc"))
            fits += 1  # the bit means nothing to the decompressor
        except bm.FileError as error:
            causes.append(type(error.__cause__).__name__)
    assert "ArrowException" in causes
    assert fits < 5 < len(causes)


def damaged(originals: Path, count: int) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, damage.__file__, str(originals), str(count)],
        capture_output=True,
        text=True,
        timeout=1800,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{done.stderr[-2000:]} after {found[-1:]}"
    return found


def check_damaged(found: list[dict[str, Any]], count: int) -> None:
    assert len(found) == count
    wrong = [f for f in found if f["end"] not in ("FileError", "the same fit")]
    assert wrong == []
    assert [f for f in found if f["said"]] == []
    for name in damage.ORIGINALS:
        ends = [f["end"] for f in found if f["file"] == name]
        assert ends.count("FileError") > len(ends) / 4, name


@pytest.mark.skipif(os.name != "posix", reason="limits the memory of a process")
def test_damaged_files_give_a_fit_or_an_error(originals: Path) -> None:
    check_damaged(damaged(originals, 40), 40)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits the memory of a process")
def test_many_damaged_files_give_a_fit_or_an_error(originals: Path) -> None:
    check_damaged(damaged(originals, 300), 300)


# --- stored options that are not ours ----------------------------------------------------------

OPTIONS = {
    "not JSON": "{'spec': 1",
    "deep": "[" * 100_000,
    "deep and whole": "[" * 3000 + "]" * 3000,
    "a list": "[]",
    "a number": "1",
    "empty": "{}",
    "no text": '{"spec": null, "cluster": null, "priors": null}',
    "unknown": '{"spec": "y1 ~ 1", "cluster": null, "priors": null, "colour": "red"}',
    "odd priors": '{"spec": "y1 ~ 1", "cluster": null, "priors": [[["set", 1], "normal(0, 1)"]]}',
    "odd cluster": '{"spec": "y1 ~ 1", "cluster": ["set", 1], "priors": null}',
    "deep cluster": '{"spec": "y1 ~ 1", "priors": null, "cluster": '
    + '["tuple", [' * 2000
    + '["none", null]'
    + "]]" * 2000
    + "}",
}


@pytest.mark.parametrize("kind", list(OPTIONS))
def test_stored_options_that_are_not_ours(originals: Path, tmp_path: Path, kind: str) -> None:
    """A file that somebody forged, fingerprint and all."""
    with xr.open_datatree(originals / "earlier.nc", engine="h5netcdf") as opened:
        tree = opened.load()
    tree.attrs["msem_options"] = OPTIONS[kind]
    del tree.attrs["msem_fingerprint"]
    tree.attrs = {k: v.item() if hasattr(v, "item") else v for k, v in tree.attrs.items()}
    tree.attrs["msem_fingerprint"] = fingerprint(tree)
    tree.to_netcdf(tmp_path / "forged.nc", engine="h5netcdf")
    with pytest.raises(bm.FileError, match=r"cannot read|cannot build its model"):
        bm.load(tmp_path / "forged.nc")
