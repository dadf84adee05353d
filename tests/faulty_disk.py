"""Writes files again and again, each time with a fault at another operation on the disk.

Run as a script: it forks, and prints one JSON list of what it found. It loads bayes_msem.disk
without the rest of the package, so that hundreds of processes take a second.

Each fault strikes once, just before the n-th operation, for every n until none is left:

=========  ==============================================================================
full       writing, syncing, making or moving something raises "no space left"
interrupt  any operation raises KeyboardInterrupt
kill       the process is killed
=========  ==============================================================================
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORMS = ("file", "folder")
FAULTS = ("full", "interrupt", "kill")
OLD, NEW, NEWER = b"old " * 50_000, b"new " * 60_000, b"newer"
MEMORY = "/dev/shm"  # a disk that does not wait
_MAKING = {"write", "fsync", "open", "os.mkdir", "os.rename"}
_OTHERS = {"os.remove", "os.rmdir", "os.listdir", "os.scandir", "os.chmod", "fcntl.flock"}


def contents(form: str, what: bytes) -> Any:
    return [what] if form == "file" else {".zattrs": what[:3], "a/0.0": what}


def state(form: str, target: Path) -> str:
    """Which contents stand at the target; anything but whole ones is "broken"."""
    if not target.exists():
        return "nothing"
    for name, what in (("old", OLD), ("new", NEW), ("newer", NEWER)):
        if form == "file":
            same = target.read_bytes() == what
        else:
            found = {p.relative_to(target).as_posix(): p for p in target.rglob("*") if p.is_file()}
            wanted = contents(form, what)
            same = {k: p.read_bytes() for k, p in found.items()} == wanted
        if same:
            return name
    return "broken"


def strike(fault: str) -> None:
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "interrupt":
        raise KeyboardInterrupt
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def arm(fault: str, number: int) -> Callable[[], bool]:
    """Make the fault strike before operation ``number``; what is returned says if it did."""
    left = [number]

    def count(event: str, arguments: tuple[Any, ...] = ()) -> None:
        reads = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event not in _MAKING | _OTHERS or (fault == "full" and (event in _OTHERS or reads)):
            return
        left[0] -= 1
        if left[0] == 0:
            strike(fault)

    def counting(name: str) -> None:
        real = getattr(os, name)
        setattr(os, name, lambda *given: (count(name), real(*given))[1])

    counting("write")
    counting("fsync")
    sys.addaudithook(count)
    return lambda: left[0] <= 0


def attempt(disk: Any, form: str, fault: str, number: int, target: Path) -> None:
    """Write under a fault; the exit status says how it ended (0: the fault never struck)."""
    struck = arm(fault, number)
    try:
        disk.write(target, contents(form, NEW), overwrite=True, check_folder=lambda folder: None)
        status = 1 if struck() else 0
    except disk.FileError as error:
        status = 3 if "No space left on device" in str(error) else 4
    except KeyboardInterrupt:
        status = 5
    except BaseException:
        status = 6
    os._exit(status)


def next_writer(disk: Any, form: str, folder: Path) -> tuple[str, int]:
    """Write over what was left, in a copy of the folder."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        copy = shutil.copytree(folder, Path(place) / "copy")
        target = copy / "fit.zarr"
        disk.write(target, contents(form, NEWER), overwrite=True, check_folder=lambda folder: None)
        return state(form, target), len(os.listdir(copy)) - 1


def one(disk: Any, form: str, fault: str, number: int, before: str) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(dir=MEMORY if os.path.isdir(MEMORY) else None))
    target = folder / "fit.zarr"
    if before == "old":
        disk.write(target, contents(form, OLD), overwrite=False)
    child = os.fork()
    if child == 0:
        attempt(disk, form, fault, number, target)
    status = os.waitpid(child, 0)[1]
    found: dict[str, Any] = {"form": form, "fault": fault, "number": number, "before": before}
    found["status"] = "killed" if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    found["state"] = state(form, target)
    found["debris"] = len(os.listdir(folder)) - target.exists()
    found["next"], found["debris_next"] = next_writer(disk, form, folder)
    disk.recover(target)  # as loading does
    found["recovered"] = state(form, target)
    found["debris_recovered"] = len(os.listdir(folder)) - target.exists()
    shutil.rmtree(folder)
    return found


def main() -> None:
    package = types.ModuleType("bayes_msem")
    package.__path__ = [str(Path(__file__).parents[1] / "bayes_msem")]
    sys.modules["bayes_msem"] = package
    import bayes_msem.disk as disk

    found = []
    for form in FORMS:
        for fault in FAULTS:
            for before in ("nothing", "old"):
                number = 1
                while True:
                    found.append(one(disk, form, fault, number, before))
                    if found[-1]["status"] == 0:  # there are no more operations
                        break
                    number += 1
    print(json.dumps(found))


if __name__ == "__main__":
    main()
