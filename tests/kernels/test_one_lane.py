"""The mode in which a lane is a float (kernels.lanes): tests of numbers, run once more in it.

The mode is chosen when the package is imported, so each needs a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Not in this mode: processes of their own, and the choice of the mode.
APART = ("test_one_lane.py", "test_cache.py", "test_guard.py", "test_unused.py")


def run(*arguments: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        env=os.environ | {"BAYES_MSEM_LANES": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-1000:]
    assert " passed" in finished.stdout


def test_the_mode_is_on() -> None:
    code = "from bayes_msem.kernels.lanes import LANES; print(LANES)"
    found = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"BAYES_MSEM_LANES": "1"}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.split() == ["1"]


@pytest.mark.slow
def test_lanes() -> None:
    run("tests/kernels/test_lanes.py")


@pytest.mark.slow
def test_kernels_and_likelihoods() -> None:
    """All that tests/kernels and tests/likelihood say of numbers (minutes of compilation)."""
    ignored = [f"--ignore=tests/kernels/{name}" for name in APART]
    run("tests/kernels", "tests/likelihood", *ignored)
