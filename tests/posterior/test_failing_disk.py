"""Whatever a fit writes: a disk that fails raises FileError, and keeps the fit and the old file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.posterior import failing_disk
from tests.posterior.made_up import synthetic_fit
from tests.posterior.test_files import build

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    pytest.importorskip("zarr")
    folder = tmp_path_factory.mktemp("failing")
    synthetic_fit(build("single"), draws=5).save(folder / "fit.nc")
    done = subprocess.run(
        [sys.executable, failing_disk.__file__, str(folder)],
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]  # -11: HDF5 ended the process
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", failing_disk.NAMES)
def test_a_full_disk(attempts: list[dict[str, Any]], name: str) -> None:
    (found,) = [a for a in attempts if a["test"] == "full" and a["name"] == name]
    assert found["end"].startswith("FileError: cannot write '")
    assert found["end"].endswith("File too large; nothing was changed")
    assert found["kept"]  # every file as it was, and no other
    (again,) = [a for a in attempts if a["test"] == "again" and a["name"] == name]
    assert again["end"] == "written"  # the fit in memory is as good as before
    assert again["names"] == sorted(failing_disk.NAMES)


@pytest.mark.parametrize("name", ["saved.nc", "saved.zarr"])
def test_interrupts_at_any_time(attempts: list[dict[str, Any]], name: str) -> None:
    found = [a for a in attempts if a["test"] == "interrupt" and a["name"] == name]
    assert len(found) == failing_disk.INTERRUPTS
    # what strikes in a callback of the garbage collector, Python itself ignores
    assert {a["end"] for a in found} <= {"KeyboardInterrupt: ", "written"}
    assert sum(a["end"] != "written" for a in found) > failing_disk.INTERRUPTS / 2
    assert {a["load"] for a in found} == {"written"}
    assert [a["names"] for a in found] == [sorted(failing_disk.NAMES)] * len(found)
