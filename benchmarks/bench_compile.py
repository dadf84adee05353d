"""CPU seconds from the import to ``fit.summary()`` of the reference model, cold and warm.

Both runs are new processes that share two cache directories: PyTensor's (``base_compiledir``,
which also holds what numba compiles for PyTensor) and numba's own (``NUMBA_CACHE_DIR``, for the
functions of the package). They are empty before the cold run, and full before the warm one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

TARGETS = {"cold": 45.0, "warm": 8.0}
DRAWS = 1000
REFERENCE = Path(__file__).resolve().parent.parent / "tests" / "reference" / "demo-twolevel"


def child() -> None:
    """Import, build and fit; print CPU seconds of every phase as JSON."""
    started = process_time()
    import warnings

    import bayes_msem as bm

    imported = process_time()
    # not from models.py, which imports what a user may not have imported yet
    import pandas as pd

    warnings.simplefilter("ignore", bm.MsemWarning)
    frame = pd.read_csv(REFERENCE / "data.csv.gz")
    model = bm.Model((REFERENCE / "model.txt").read_text("utf-8"), frame, cluster="cluster")
    model.fit(draws=DRAWS, tune=DRAWS, random_seed=1, progress=False).summary()
    print(json.dumps({"import": imported - started, "fit": process_time() - imported}))


def run_child(folder: Path) -> dict[str, float]:
    """Run this script's child with caches inside ``folder``."""
    environment = os.environ | {
        "PYTENSOR_FLAGS": f"base_compiledir={folder / 'pytensor'}",
        "NUMBA_CACHE_DIR": str(folder / "numba"),
    }
    finished = subprocess.run(
        [sys.executable, __file__, "--child"],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    phases: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return phases


def count_files(folder: Path) -> int:
    """Count compiled functions in a cache."""
    return sum(1 for suffix in ("nbc", "so") for _ in folder.rglob(f"*.{suffix}"))


def main() -> None:
    """Run cold, then warm, and print both."""
    from measure import machine, print_table, result

    print(machine())
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, target in TARGETS.items():
            before = [count_files(folder / part) for part in ("pytensor", "numba")]
            phases = run_child(folder)
            after = [count_files(folder / part) for part in ("pytensor", "numba")]
            total = phases["import"] + phases["fit"]
            rows.append(
                [
                    label,
                    *(f"{phases[phase]:.2f}" for phase in ("import", "fit")),
                    f"{total:.1f}",
                    f"{target:.0f}",
                    *(f"{b} -> {a}" for b, a in zip(before, after, strict=True)),
                ]
            )
            result(f"import to summary, {label} caches", total, "CPU s", target)
    header = ["caches", "import", "fit and summary", "all", "target"]
    print_table([*header, "PyTensor cache", "numba cache"], rows)
    print("CPU seconds; caches: compiled functions before -> after the run")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", action="store_true", help="used by the script itself")
    child() if parser.parse_args().child else main()
