"""CPU seconds from ``Model(...)`` to a density that is ready to sample, cold and warm.

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

TARGETS = {"cold": 60.0, "warm": 15.0}


def child() -> None:
    """Import, build and compile; print CPU seconds of every phase as JSON."""
    from measure import cpu_seconds
    from models import compiled_for_sampling, reference_frame, reference_model

    imported = cpu_seconds()  # includes the start of Python
    frame = reference_frame()
    loaded = cpu_seconds()
    model = reference_model(frame)
    model.pymc_model  # noqa: B018
    built = cpu_seconds()
    compiled_for_sampling(model)
    compiled = cpu_seconds()
    phases = {"import": imported, "build": built - loaded, "compile": compiled - built}
    print(json.dumps(phases))


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
    from measure import machine, print_table

    print(machine())
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, target in TARGETS.items():
            before = [count_files(folder / part) for part in ("pytensor", "numba")]
            phases = run_child(folder)
            after = [count_files(folder / part) for part in ("pytensor", "numba")]
            total = phases["build"] + phases["compile"]
            rows.append(
                [
                    label,
                    *(f"{phases[phase]:.2f}" for phase in ("import", "build", "compile")),
                    f"{total:.1f}",
                    f"{target:.0f}",
                    *(f"{b} -> {a}" for b, a in zip(before, after, strict=True)),
                ]
            )
    header = ["caches", "import", "build", "compile", "build + compile", "target"]
    print_table([*header, "PyTensor cache", "numba cache"], rows)
    print("CPU seconds; caches: compiled functions before -> after the run")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", action="store_true", help="used by the script itself")
    child() if parser.parse_args().child else main()
