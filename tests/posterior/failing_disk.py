"""Writes all that a fit can write while the disk takes no more, and while it is interrupted.

Run as a script, since a writer may take its process with it: ``failing_disk.py FOLDER``, where
FOLDER holds ``fit.nc``. Prints one line of JSON per attempt.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xarray.backends.locks import HDF5_LOCK

import bayes_msem as bm
from bayes_msem.fit import report
from bayes_msem.plotting.canvas import NotebookFigure
from bayes_msem.plotting.report_page import PageSection

LIMIT = 1000  # bytes a file may have: what is beyond fails, as on a full disk
NAMES = ("saved.nc", "saved.zarr", "report.html", "paths.svg", "figure.png")
INTERRUPTS = 10


def writers(fit: bm.Fit, folder: Path) -> dict[str, Callable[[], object]]:
    # one section is as good as all, and does not take ten seconds
    report._sections = lambda fit, checks: [PageSection("Section", "x" * 5000)]  # type: ignore[assignment]
    figure = NotebookFigure()
    figure.add_subplot().plot([1, 2])
    return {
        "saved.nc": lambda: fit.save(folder / "saved.nc", overwrite=True),
        "saved.zarr": lambda: fit.save(folder / "saved.zarr", overwrite=True),
        "report.html": lambda: fit.report(folder / "report.html", overwrite=True, checks=False),
        "paths.svg": lambda: fit.diagram().save(folder / "paths.svg"),
        "figure.png": lambda: figure.savefig(folder / "figure.png"),
    }


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def attempt(write: Callable[[], object]) -> str:
    try:
        write()
    except (Exception, KeyboardInterrupt) as error:
        return f"{type(error).__name__}: {error}"
    return "written"


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def full(folder: Path, all_writers: dict[str, Callable[[], object]]) -> None:
    for write in all_writers.values():
        write()
    before = snapshot(folder)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for name, write in all_writers.items():
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
        end = attempt(write)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        say(test="full", name=name, end=end, kept=snapshot(folder) == before)
        again = attempt(write)
        say(test="again", name=name, end=again, names=sorted(os.listdir(folder)))


def release_lock() -> None:
    """Let go of xarray's lock of HDF5 where the interrupt struck between taking and noting it.

    Python offers xarray no way to take a lock and be safe from that; whoever loads next waits for
    ever. No file is harmed, and files are what is tested here.
    """
    if HDF5_LOCK.locked():
        HDF5_LOCK.release()


def interrupted(folder: Path, name: str, write: Callable[[], object]) -> None:
    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, strike)
    start = time.perf_counter()
    write()
    takes = time.perf_counter() - start
    for i in range(INTERRUPTS):
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, takes * (i + 0.5) / INTERRUPTS)
        end = attempt(write)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if end == "written":  # it was done before it was struck: the first, with imports, was slow
            takes = min(takes, time.perf_counter() - start)
        release_lock()
        loaded = attempt(lambda: bm.load(folder / name))
        say(test="interrupt", name=name, end=end, load=loaded, names=sorted(os.listdir(folder)))


def main(folder: Path) -> None:
    fit = bm.load(folder / "fit.nc")
    place = folder / "place"
    place.mkdir()
    all_writers = writers(fit, place)
    full(place, all_writers)
    for name in ("saved.nc", "saved.zarr"):
        interrupted(place, name, all_writers[name])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
