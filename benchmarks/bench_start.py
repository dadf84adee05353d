"""CPU seconds that a user waits for in a new process, kernels compiled before.

Importing the package; the reference model from ``Model(...)`` to ``fit.summary()``, 4 chains of
1,000 draws after 1,000, first and once more with other data and priors; the slowest refusal of a
wrong argument of ``fit``. With the folder of another checkout as argument, processes of both take
turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "tests" / "reference" / "demo-twolevel"
TARGETS = {"import": 2.5, "refusal": 0.1, "first fit": 8.0, "second fit": 3.0}
NAMES = {
    "import": "import bayes_msem",
    "refusal": "fit() refuses a wrong argument",
    "first fit": "first fit and summary, kernels compiled",
    "second fit": "second model: fit and summary",
}
WRONG = (
    *({name: value} for name in ("draws", "tune", "chains", "cores") for value in (0, -1, "a")),
    *({"target_accept": 2}, {"maxdepth": 0}, {"adaptation": "dense"}, {"step_size_jitter": "a"}),
    *({"sampler": "stan"}, {"foo": 1}, {"init_mean": 0}, {"random_seed": -1}),
    *({"sampler": "pymc", "foo": 1}, {"sampler": "pymc", "nuts": {"max_treedepth": 0}}),
)
REPEATS = 5
DRAWS = 1000


def child(draws: int) -> None:
    """Go through the phases and print their CPU seconds as JSON."""
    started = process_time()
    import bayes_msem as bm

    phases = {"import": process_time() - started}
    import warnings

    import pandas as pd

    warnings.simplefilter("ignore", bm.MsemWarning)
    # not from models.py, which imports what a user may not have imported yet
    text = (REFERENCE / "model.txt").read_text(encoding="utf-8")
    frame = pd.read_csv(REFERENCE / "data.csv.gz")
    model = bm.Model(text, frame, cluster="cluster")
    phases["refusal"] = max(refused(model, wrong, bm.MsemError) for wrong in WRONG)
    priors = {("within", "=~"): "normal(1, 0.7)"}
    for name, data, own in (("first fit", frame, None), ("second fit", frame[:1800], priors)):
        start = process_time()
        model = bm.Model(text, data, cluster="cluster", priors=own)
        fit = model.fit(draws=draws, tune=draws, random_seed=1, progress=False)
        fit.summary()
        phases[name] = process_time() - start
    print(json.dumps(phases))


def refused(model: Any, arguments: dict[str, Any], error: type[Exception]) -> float:
    """CPU seconds until ``fit`` refuses the arguments."""
    start = process_time()
    try:
        model.fit(**arguments)
    except error:
        return process_time() - start
    raise AssertionError(f"not refused: {arguments}")


def run_child(checkout: Path) -> dict[str, float]:
    """Run the child in a new process with the package of a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have their bytecode
    finished = subprocess.run(
        [sys.executable, __file__, "--child", str(DRAWS)],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    phases: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return phases


def main() -> None:
    """Run processes in turns, and print the smallest and the median figure of each phase."""
    from measure import machine, print_table, result

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", nargs="?", type=Path, help="folder of another checkout")
    other = parser.parse_args().other
    print(machine())
    checkouts = {"this": ROOT} if other is None else {"other": other.resolve(), "this": ROOT}
    for checkout in checkouts.values():
        run_child(checkout)  # fills the caches, those of bytecode too
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    for _ in range(REPEATS):
        for name, checkout in checkouts.items():
            runs[name].append(run_child(checkout))
    rows = []
    for phase, target in TARGETS.items():
        figures = [sorted(run[phase] for run in runs[name]) for name in checkouts]
        shown = [f"{found[0]:.3f} / {found[len(found) // 2]:.3f}" for found in figures]
        rows.append([phase, *shown, f"{target:g}"])
    print_table(["phase", *checkouts, "target"], rows)
    print(f"CPU seconds, minimum / median of {REPEATS} processes")
    for phase, target in TARGETS.items():
        least = min(run[phase] for run in runs["this"])
        result(NAMES[phase], least, "CPU s", target, digits=2)


if __name__ == "__main__":
    child(int(sys.argv[2])) if sys.argv[1:2] == ["--child"] else main()
