"""Whether one version of the package is slower than another: a density and its gradient.

Two checkouts, each in a process of its own that stays alive, take turns: a batch here, a batch
there, so that whatever else the machine does hits both. What is timed is what nutpie calls in every
leapfrog step. Each process uses the models of its own ``benchmarks`` folder, on the same data:

    python benchmarks/compare_checkouts.py OLD NEW

prints microseconds of CPU (minimum and median of the batches) and the ratios NEW / OLD.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LIMIT = 1.05
BATCH = 0.02  # seconds of one batch


def reference(missing: float = 0.0) -> Any:
    """Build the reference model; of its indicators a share is missing."""
    from models import reference_frame, reference_model

    frame, rng = reference_frame(), np.random.default_rng(2)
    for name in ("y1", "y2", "y3"):
        frame[name] = frame[name].where(rng.uniform(size=len(frame)) >= missing)
    return reference_model(frame)


def lq2002() -> Any:
    """Build the two-factor model of leadership climate and hostility."""
    from models import lq2002_model

    return lq2002_model()


def six_indicators() -> Any:
    """Build the model of docs/missing.md, 15% missing."""
    from bench_missing import SPEC, simulate, with_holes
    from models import quiet_model

    return quiet_model(SPEC, with_holes(simulate()), "cluster")


def random_slope() -> Any:
    """Build the model with fixed loadings and a random slope, integrated out."""
    from random_loadings import SMALL, random_slope_model, simulated_loadings_frame

    return random_slope_model(simulated_loadings_frame(SMALL))


def random_loadings() -> Any:
    """Build the model with random loadings, which are sampled."""
    from random_loadings import SMALL, random_loadings_model, simulated_loadings_frame

    return random_loadings_model(simulated_loadings_frame(SMALL))


def six_effects() -> Any:
    """Build the model of six effects, two of which do not vary, in 130 clusters."""
    from vanishing import block_model, simulated_frame

    name = "six effects, two constant"
    return block_model(name, simulated_frame(name, 130))


def ordinal_items(n_clusters: int, size: int, items: Sequence[int]) -> Any:
    """Build a factor model of ordinal items with 4 categories, ``items[f]`` of factor f."""
    from bench_outcomes import simulated

    import bayes_msem as bm

    spec, frame = simulated(n_clusters, size, (0.4, 0.3, 0.2, 0.1), items, 1)
    return bm.Model(spec, frame, cluster="cluster", ordered=True)


def binary_slope() -> Any:
    """Build a probit regression whose slope varies: rows have no scores."""
    import bayes_msem as bm

    rng, cluster = np.random.default_rng(1), np.repeat(np.arange(100), 20)
    level, x = rng.normal(size=(100, 2))[cluster], rng.normal(size=len(cluster))
    y = 0.7 * level[:, 0] + (0.5 + 0.3 * level[:, 1]) * x + rng.normal(size=len(cluster)) > 0
    frame = pd.DataFrame({"g": cluster, "x": x, "y": y.astype(float)})
    text = 'level: within\ny ~ rv("s")*x\nlevel: between\ny ~~ s'
    return bm.Model(text, frame, cluster="g", families={"y": "binary(probit)"})


MODELS: dict[str, Callable[[], Any]] = {
    "reference": reference,
    "reference, 15% missing": lambda: reference(0.15),
    "six indicators, 15% missing": six_indicators,
    "lq2002": lq2002,
    "random slope": random_slope,
    "random loadings": random_loadings,
    "six effects": six_effects,
    "5 ordinal items": lambda: ordinal_items(50, 12, (5,)),
    "20 ordinal items": lambda: ordinal_items(100, 50, (8, 6, 6)),
    "binary, random slope": binary_slope,
}


def density(model: Any) -> tuple[Callable[[int], None], Any]:
    """Return a function that calls the log density n times, and what owns the arrays it reads."""
    from bench_gradient import density_calls
    from models import compiled_for_sampling, start_of

    compiled = compiled_for_sampling(model)
    return density_calls(compiled, start_of(compiled)[0]), compiled


def child() -> None:
    """Serve one checkout: for every line (model, calls) the microseconds of one call."""
    warnings.simplefilter("ignore")
    answers, sys.stdout = sys.stdout, sys.stderr
    ready: dict[str, tuple[Callable[[int], None], Any]] = {}
    for line in sys.stdin:
        name, calls = line.rstrip("\n").split("\t")
        if name not in ready:
            ready[name] = density(MODELS[name]())
            ready[name][0](10)
        start = time.process_time()
        ready[name][0](int(calls))
        print((time.process_time() - start) / int(calls) * 1e6, file=answers, flush=True)


class Checkout:
    """A process that imports the package from a folder."""

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()
        if not (folder / "bayes_msem").is_dir():
            raise SystemExit(f"{folder} holds no bayes_msem")
        paths = os.pathsep.join(map(str, (folder, folder / "benchmarks")))
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        # -P: the modules beside this script may be another version's
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--child"],
            env=os.environ | one | {"PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def microseconds(self, name: str, calls: int) -> float:
        """CPU time of one call, over a batch."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name}\t{calls}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the process for {name} has ended")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        with self._process:  # closes both ends, and waits
            pass


def compare(pair: list[Checkout], name: str, batches: int) -> list[str]:
    """Time one model in turns; return a row of the table."""
    first = max(checkout.microseconds(name, 20) for checkout in pair)
    calls = max(10, int(BATCH * 1e6 / first))
    times = np.array(
        [[checkout.microseconds(name, calls) for checkout in pair] for _ in range(batches)]
    )
    lowest, middle = times.min(axis=0), np.median(times, axis=0)
    cells = [f"{a:.1f} / {b:.1f}" for a, b in zip(lowest, middle, strict=True)]
    ratios = [lowest[1] / lowest[0], float(np.median(times[:, 1] / times[:, 0]))]
    return [name, *cells, *(f"{ratio:.2f}" for ratio in ratios)]


def main() -> None:
    """Compare two checkouts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, nargs="?", help="folder of the one version")
    parser.add_argument("new", type=Path, nargs="?", help="folder of the other")
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--child", action="store_true", help="used by the script itself")
    arguments = parser.parse_args()
    if arguments.child:
        child()
        return
    if arguments.old is None or arguments.new is None:
        parser.error("give two folders")
    from measure import machine, print_table

    pair = [Checkout(arguments.old), Checkout(arguments.new)]
    rows = [compare(pair, name, arguments.batches) for name in arguments.models]
    for checkout in pair:
        checkout.close()
    print(machine())
    print_table(["model", "old", "new", "ratio of minima", "median ratio"], rows)
    print(f"microseconds of CPU, minimum / median of {arguments.batches} batches in turns;")
    print(f"target: ratios of at most {LIMIT:g}")


if __name__ == "__main__":
    main()
