"""Files are there whole, or as they were: whatever happens to the disk, or to the process."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bayes_msem as bm
from bayes_msem import disk
from bayes_msem.errors import FileError
from tests import faulty_disk

posix = pytest.mark.skipif(os.name != "posix", reason="forks, links and modes are those of POSIX")


@pytest.fixture(scope="module")
def faults() -> list[dict[str, Any]]:
    """What every fault at every operation left behind."""
    done = subprocess.run(
        [sys.executable, faulty_disk.__file__],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def those(faults: list[dict[str, Any]], **which: str) -> list[dict[str, Any]]:
    return [f for f in faults if all(f[name] == value for name, value in which.items())]


@posix
def test_a_full_disk_leaves_the_old_file_and_nothing_else(faults: list[dict[str, Any]]) -> None:
    for form in faulty_disk.FORMS:
        for before in ("nothing", "old"):
            found = those(faults, form=form, fault="full", before=before)
            failed = [f for f in found if f["status"] == 3]  # FileError that says why
            assert len(failed) >= 7
            assert {f["state"] for f in failed} == {before}
            # no room to sync names, or to make a folder that is there: no harm
            assert {f["status"] for f in found} == {0, 1, 3}
            assert {f["state"] for f in found if f["status"] != 3} == {"new"}
            assert {f["debris"] for f in found} == {0}


@posix
def test_an_interrupt_goes_through_and_leaves_whole_files(faults: list[dict[str, Any]]) -> None:
    for form in faulty_disk.FORMS:
        for before in ("nothing", "old"):
            found = those(faults, form=form, fault="interrupt", before=before)
            assert {f["status"] for f in found} == {0, 5}  # 5: KeyboardInterrupt
            assert {f["state"] for f in found} == {before, "new"}
            assert {f["debris"] for f in found} == {0}


@posix
def test_what_a_killed_process_left_is_cleared_at_the_next_use(
    faults: list[dict[str, Any]],
) -> None:
    for form in faulty_disk.FORMS:
        for before in ("nothing", "old"):
            found = those(faults, form=form, fault="kill", before=before)
            assert {f["status"] for f in found} == {0, "killed"}
            assert {f["recovered"] for f in found} == {before, "new"}
            assert sum(f["debris"] for f in found) >= 10  # there was something to clear
            assert {f["debris_recovered"] for f in found} == {0}
    # a file is replaced in one step, a folder in two: between them it lies in the draft
    assert {f["state"] for f in those(faults, form="file", before="old")} == {"old", "new"}
    moved = [f for f in those(faults, form="folder", before="old") if f["state"] == "nothing"]
    assert [f["recovered"] for f in moved] == ["old"]


@posix
def test_the_next_writer_succeeds_after_any_fault(faults: list[dict[str, Any]]) -> None:
    assert len(faults) > 200
    assert {(f["next"], f["debris_next"]) for f in faults} == {("newer", 0)}


def test_drafts_of_living_processes_are_left_alone(tmp_path: Path) -> None:
    with disk._draft(tmp_path / "other.nc") as draft:
        (draft / "new").write_text("half")
        disk.write(tmp_path / "mine.nc", [b"mine"], overwrite=False)
        assert (draft / "new").read_text() == "half"
    assert [p.name for p in tmp_path.iterdir()] == ["mine.nc"]


@pytest.mark.parametrize("name", [".msem-draft-0123456789abcdef", ".msem-draft-notes"])
def test_folders_of_others_are_no_drafts(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "chapter.txt").write_text("precious")
    disk.write(tmp_path / "fit.nc", [b"x"], overwrite=False)
    assert (tmp_path / name / "chapter.txt").read_text() == "precious"


def test_nothing_outside_is_touched_by_a_forged_draft(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    draft = inner / ".msem-draft-0123456789abcdef"
    draft.mkdir(parents=True)
    (draft / "old").write_text("x")
    (draft / "lock").write_text("../planted")
    disk.recover(inner / "fit.nc")
    assert not (tmp_path / "planted").exists()


def test_contents_are_written_as_given(tmp_path: Path) -> None:
    disk.write(tmp_path / "a", [b"one", memoryview(b"two")], overwrite=False)
    assert (tmp_path / "a").read_bytes() == b"onetwo"
    disk.write(tmp_path / "b", {".x": b"1", "deep/er/0.0": b"2"}, overwrite=False)
    assert (tmp_path / "b" / "deep" / "er" / "0.0").read_bytes() == b"2"
    assert (tmp_path / "b" / ".x").read_bytes() == b"1"


@posix
def test_links_stay_and_modes_stay(tmp_path: Path) -> None:
    (tmp_path / "disk2").mkdir()
    real = tmp_path / "disk2" / "fit.nc"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link = tmp_path / "fit.nc"
    link.symlink_to(real)
    disk.write(link, [b"new"], overwrite=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    umask = os.umask(0o027)
    try:
        disk.write(tmp_path / "fresh", [b"new"], overwrite=False)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o640


@posix
def test_what_is_in_the_way(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileError, match="neither a file nor a folder"):
        disk.write(pipe, [b"x"], overwrite=True)
    assert pipe.is_fifo()
    (tmp_path / "folder").mkdir()
    for contents in ([b"x"], {"a": b"x"}):
        with pytest.raises(FileError, match="it is a folder"):
            disk.write(tmp_path / "folder", contents, overwrite=True)
    with pytest.raises(FileError, match=r"exists; .*overwrite=True"):
        disk.write(tmp_path / "folder", [b"x"], overwrite=False)
    with pytest.raises(FileError, match="there is no folder"):
        disk.write(tmp_path / "none" / "fit.nc", [b"x"], overwrite=False)


# Paths that cannot be ---------------------------------------------------------------------------

BAD_PATHS = {
    "None": (None, "must be text or a pathlib.Path, got NoneType"),
    "number": (3, "got int"),
    "bytes": (b"fit.nc", "got bytes"),
    "list": (["fit.nc"], "got list"),
    "empty": ("", "the path is empty"),
    "NUL": ("a\0.nc", "leave that character out"),
    "surrogate": ("a\ud800.nc", "leave that character out"),
    "long": ("x" * 300 + ".nc", "File name too long"),
    "longer": ("x/" * 5000 + "fit.nc", "File name too long"),
}


@pytest.mark.parametrize("kind", list(BAD_PATHS))
def test_paths_that_cannot_be(kind: str) -> None:
    path, words = BAD_PATHS[kind]
    with pytest.raises(FileError, match=words):
        disk.as_path(path)
    with pytest.raises(FileError, match=words):
        bm.load(path)  # type: ignore[arg-type]


def test_suffixes_decide(tmp_path: Path) -> None:
    assert disk.check_suffix(tmp_path / "a.NC", [".nc", ".zarr"], "") == ".nc"
    words = r"ends in '.csv', .* use '.nc' or '.zarr'. Do this"
    with pytest.raises(FileError, match=words):
        disk.check_suffix(tmp_path / "a.csv", [".nc", ".zarr"], "Do this.")
    with pytest.raises(FileError, match="has no suffix"):
        disk.check_suffix(tmp_path / "a", [".nc"], "")
