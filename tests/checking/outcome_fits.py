"""Small fits of models with outcomes that are not normal, to data simulated from them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

import bayes_msem as bm
from bayes_msem.errors import ConvergenceWarning

LABELS = ["no", "partly", "yes"]
ITEMS = """
    level: within
        f =~ y1 + y2 + y3
        f ~ x
    level: between
        y1 ~~ 0*y2 + 0*y3
        y2 ~~ 0*y3
"""
ITEM_VALUES = {
    "within: f =~ y2": 0.9,
    "within: f =~ y3": 1.2,
    "within: f ~ x": 0.6,
    "within: f ~~ f": 0.8,
    **{f"between: y{k} ~~ y{k}": 0.3 for k in (1, 2, 3)},
    **{f"between: y{k} | t1": -0.6 for k in (1, 2, 3)},
    **{f"between: y{k} | t2": 0.7 + 0.2 * k for k in (1, 2, 3)},
}
COUNTS = """
    level: within
        c ~ x
    level: between
        c ~~ c
"""


def design() -> pd.DataFrame:
    """40 clusters of 5 rows, with placeholders for outcomes."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"g": np.repeat(np.arange(40), 5), "x": rng.standard_normal(200)})
    for k in (1, 2, 3):
        codes = rng.integers(0, 3, 200)
        frame[f"y{k}"] = pd.Categorical.from_codes(codes, LABELS, ordered=True)
    frame["c"], frame["hours"] = rng.poisson(2.0, 200), rng.uniform(0.5, 2.0, 200)
    return frame


def item_fit() -> bm.Fit:
    """Fit an ordinal factor model to its own data, of which some cells are missing."""
    frame = bm.Model(ITEMS, data=design(), cluster="g", ordered=True).simulate(
        ITEM_VALUES, random_seed=5
    )
    frame.loc[[3, 77, 120], "y2"] = None
    return fitted(bm.Model(ITEMS, data=frame, cluster="g", ordered=True))


def count_fit() -> bm.Fit:
    """Fit a Poisson model to counts that vary much more than Poisson counts."""
    frame = design()
    families = {"c": "negbinomial"}
    true = bm.Model(COUNTS, data=frame, cluster="g", families=families, exposure={"c": "hours"})
    values = {"between: c ~ 1": 0.8, "within: c ~ x": 0.3, "within: c ~~ c": 2.0}
    frame = true.simulate(values | {"between: c ~~ c": 0.1}, random_seed=6)
    families = {"c": "poisson"}
    return fitted(
        bm.Model(COUNTS, data=frame, cluster="g", families=families, exposure={"c": "hours"})
    )


def fitted(model: bm.Model) -> bm.Fit:
    """Fit with few draws: what is tested holds for any draws."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(draws=150, tune=150, chains=2, cores=1, random_seed=1, progress=False)
