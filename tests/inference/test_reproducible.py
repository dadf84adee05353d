"""The same seed gives the same draws in every process, whatever the order of its sets."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from tests.inference.models import quiet_model

TEXT = """
level: within
    f =~ y1 + y2 + y3
    f ~ x
level: between
    fb =~ y1 + y2 + y3
    fb ~ w
"""
CHILD = "from tests.inference.test_reproducible import fingerprints; print(*fingerprints())"


def fingerprints() -> list[str]:
    """Hashes of all draws: normal outcomes with random loadings, and ordered outcomes."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(30), 8)
    covariates = {"g": g, "x": rng.normal(size=240), "w": rng.normal(size=30)[g]}
    f = rng.normal(size=30)[g] + rng.normal(size=240)
    y = pd.DataFrame({f"y{k}": f + rng.normal(size=240) for k in (1, 2, 3)})
    codes = y.apply(lambda column: np.digitize(column, [-1, 0, 1]))
    models = [
        quiet_model(TEXT, y.assign(**covariates), cluster="g", random="loadings"),
        quiet_model(TEXT, codes.assign(**covariates), cluster="g", ordered=True),
    ]
    assert [model.plan.name for model in models] == ["partially marginal", "augmented"]
    found = []
    for model in models:
        fit = model.fit(draws=20, tune=50, chains=3, random_seed=1, progress=False)
        draws = hashlib.sha256()
        for name, values in sorted(fit.datatree["posterior"].data_vars.items()):
            draws.update(str(name).encode() + np.ascontiguousarray(values).tobytes())
        found.append(draws.hexdigest())
    return found


def test_the_same_seed_gives_the_same_draws_in_every_process() -> None:
    """Strings have other hashes in each. Last digits may depend on what a process did before."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CHILD],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE, text=True,
        )
        for seed in ("1", "2")
    ]  # fmt: skip
    one, other = (run.communicate()[0].split() for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert len(one) == 2
    assert one == other
