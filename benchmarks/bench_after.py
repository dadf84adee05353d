"""CPU seconds of what people call after sampling: lavaan's Demo.twolevel, 4,000 draws.

The reference model (2,500 rows, 200 clusters) is fitted once and saved. Every call is then the
first one of a process of its own that has loaded the fit: nothing is kept from another call, and
what the call imports counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bayes_msem as bm

BUDGET: dict[str, int] = {"draws": 1000, "tune": 1000, "chains": 4}
CALLS: dict[str, tuple[Callable[[bm.Fit], Any], float]] = {  # with targets in CPU seconds
    "cluster_effects()": (lambda fit: fit.cluster_effects(), 1.5),
    "ppc()": (lambda fit: fit.ppc(), 8.0),
    'loo(unit="observation")': (lambda fit: fit.loo(unit="observation"), 4.0),
    "check()": (lambda fit: fit.check(), 15.0),
    "report()": (lambda fit: fit.report(Path("report.html"), overwrite=True), 20.0),
    "ppc(draws=4000)": (lambda fit: fit.ppc(draws=4000), 32.0),
}


def seconds_of(name: str, path: Path) -> tuple[float, float]:
    """Load a fit and call once: CPU seconds, and MiB by which the most memory used has grown."""
    from measure import cpu_time, peak_mib

    fit, before = bm.load(path), peak_mib()
    os.chdir(path.parent)  # where the report is written
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        with cpu_time() as timing:
            CALLS[name][0](fit)
    return timing.seconds, peak_mib() - before


def run_child(name: str, path: Path) -> tuple[float, float]:
    """Run one call in a new process."""
    command = [sys.executable, __file__, "--call", name, str(path)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, memory = finished.stdout.splitlines()[-1].split()
    return float(seconds), float(memory)


def main() -> None:
    """Fit, and print one row per call."""
    from measure import machine, print_table, result
    from models import reference_model

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", type=Path, help="a fit that is kept: read if there, else written")
    parser.add_argument("--call", nargs=2, help="used by the script itself")
    arguments = parser.parse_args()
    if arguments.call is not None:
        print(*seconds_of(arguments.call[0], Path(arguments.call[1])))
        return
    print(machine())
    rows = []
    with tempfile.TemporaryDirectory() as name:
        path = (arguments.fit or Path(name) / "fit.nc").absolute()
        if not path.exists():
            reference_model().fit(random_seed=1, progress=False, **BUDGET).save(path)
        for call, (_, target) in CALLS.items():
            seconds, memory = run_child(call, path)
            result(f"fit.{call}", seconds, "CPU s", target)
            rows.append([f"fit.{call}", f"{seconds:.2f}", f"{target:g}", f"{memory:.0f}"])
    print_table(["call", "CPU s", "target", "MiB more at most"], rows)


if __name__ == "__main__":
    main()
