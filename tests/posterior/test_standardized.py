"""Standardised solutions: lavaan's figures, independent formulas, and what users see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayes_msem.build.values import theta_from_values
from bayes_msem.posterior.levels import levels_at
from bayes_msem.posterior.standardise import (
    explained_variance,
    omitted_definitions,
    standardised_values,
)
from tests.build.models import reference_model

FOLDER = Path(__file__).parents[1] / "reference"


def standardised_at(model, values):
    theta = theta_from_values(model.blueprint, values)
    return standardised_values(levels_at(model.blueprint, theta[None]))


def lavaan_keys(frame: pd.DataFrame) -> pd.DataFrame:
    """Spell intercepts as the parameter table does."""
    means = frame["op"] == "~1"
    return frame.assign(
        op=frame["op"].where(~means, "~"), rhs=frame["rhs"].fillna("").where(~means, "1")
    )


def test_demo_solution_is_lavaans():
    """Covariates at both levels; lavaan's figures at lavaan's estimates, which have 12 digits."""
    _, model = reference_model("demo-twolevel")
    stored = lavaan_keys(pd.read_csv(FOLDER / "demo-twolevel" / "standardized.csv"))
    stored["key"] = list(zip(*(stored[c] for c in ("level", "lhs", "op", "rhs")), strict=True))
    stored = stored.set_index("key")
    free = [r.key for r in model.table.rows if r.free]
    theta = theta_from_values(model.blueprint, stored["est"].loc[free].to_dict())
    levels = levels_at(model.blueprint, theta[None])
    ours = standardised_values(levels)
    assert len(ours) == 22
    for key, value in ours.items():
        np.testing.assert_allclose(value, stored["std_all"].loc[[key]], rtol=1e-8, err_msg=str(key))
    r2 = stored[stored["op"] == "r2"]
    for level in levels.both:
        expected = r2[r2["level"] == level.level].set_index("lhs")["std_all"]
        found = explained_variance(level)
        assert set(found) == set(expected.index)
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-8)


def test_two_factor_solution_is_lavaans():
    """A negative variance, and a definition of labels at two levels."""
    reference, model = reference_model("lq2002-two-factor")
    stored = lavaan_keys(pd.read_csv(FOLDER / "lq2002-two-factor" / "standardized.csv"))
    half = stored.index[stored["op"].eq("=~") & stored["lhs"].eq("lead_b")][0]
    stored["level"] = np.where(stored.index < half, "within", "between")
    stored.loc[stored["op"] == ":=", "level"] = ""
    table = stored.set_index(["level", "lhs", "op", "rhs"])["est.std"]
    values = {k: v for k, v in reference.estimates.items() if k in reference.free}
    ours = standardised_at(model, values)
    for (level, lhs, op, rhs), value in ours.items():
        if op == ":=":
            np.testing.assert_allclose(value, table["", "contextual", ":=", "bb-bw"], atol=1e-4)
            continue
        # figures of an earlier run, up to 0.001 SE from the maximum; the SEs here are below 0.1,
        # of intercepts in units of small between SDs about 1
        limit = 2e-3 if rhs == "1" else 1e-4
        np.testing.assert_allclose(value, table[level, lhs, op, rhs], atol=limit)
