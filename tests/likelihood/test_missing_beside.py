"""Missing normal outcomes beside outcomes that are not normal: marginal log-likelihoods, refusals.

The joint density is compared with the oracle in test_augmented.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal, norm, poisson

import bayes_msem as bm
from bayes_msem.errors import NotSupportedError
from tests.inference.models import quiet_model


def frame_with_holes(seed: int = 1) -> pd.DataFrame:
    """60 rows of 12 clusters; v and u miss a third of their values, and five rows all outcomes."""
    rng = np.random.default_rng(seed)
    g = np.arange(60) % 12
    f, level = rng.normal(size=60), 0.5 * rng.normal(size=12)[g]
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=60), "w": rng.normal(size=12)[g]})
    frame["v"] = 1.0 + f + level + rng.normal(size=60)
    frame["u"] = 0.7 * f + level + rng.normal(size=60)
    frame["y"] = (f + level + rng.normal(size=60) > 0).astype(float)
    frame["c"] = rng.poisson(np.exp(0.3 * f)).astype(float)
    for name in ("v", "u"):
        frame.loc[rng.uniform(size=60) < 1 / 3, name] = np.nan
    frame.loc[frame.index[::13], ["v", "u", "y", "c"]] = np.nan
    return frame


FRAME = frame_with_holes()
FACTOR = "f =~ y + v + u\nf ~ x\nc ~ f"
FACTOR_FAMILIES = {"y": "binary(probit)", "c": "poisson"}
FACTOR_VALUES = {
    ("within", "f", "=~", "v"): 0.8,
    ("within", "f", "=~", "u"): 0.6,
    ("within", "f", "~", "x"): 0.5,
    ("within", "c", "~", "f"): 0.4,
    ("within", "f", "~~", "f"): 0.9,
    ("within", "v", "~~", "v"): 1.2,
    ("within", "u", "~~", "u"): 0.7,
    ("within", "v", "~", "1"): 1.1,
    ("within", "u", "~", "1"): -0.1,
    ("within", "c", "~", "1"): 0.2,
    ("within", "y", "|", "t1"): 0.1,
}


def log_row(row: pd.Series) -> float:
    """Integrate over the factor on a fine grid."""
    f = 0.5 * row["x"] + np.sqrt(0.9) * np.linspace(-9, 9, 2001)
    p = norm.pdf(f, 0.5 * row["x"], np.sqrt(0.9))
    if not np.isnan(row["y"]):
        p = p * norm.cdf((f - 0.1) if row["y"] else (0.1 - f))
    if not np.isnan(row["v"]):
        p = p * norm.pdf(row["v"], 1.1 + 0.8 * f, np.sqrt(1.2))
    if not np.isnan(row["u"]):
        p = p * norm.pdf(row["u"], -0.1 + 0.6 * f, np.sqrt(0.7))
    if not np.isnan(row["c"]):
        p = p * poisson.pmf(row["c"], np.exp(0.2 + 0.4 * f))
    return float(np.log(np.trapezoid(p, f)))


def test_a_factor_of_both_kinds_against_quadrature() -> None:
    model = bm.Model(FACTOR, data=FRAME, families=FACTOR_FAMILIES)
    expected = sum(log_row(row) for _, row in FRAME.iterrows())
    assert model.log_likelihood(FACTOR_VALUES) == pytest.approx(expected, abs=0.01)


def test_rows_without_outcomes_say_nothing() -> None:
    """Also where they miss the covariate."""
    empty = FRAME[["v", "u", "y", "c"]].isna().all(axis=1)
    assert empty.sum() == 5
    without = FRAME.assign(x=FRAME["x"].where(~empty))
    values = [
        bm.Model(FACTOR, data=data, families=FACTOR_FAMILIES).log_likelihood(FACTOR_VALUES)
        for data in (FRAME, without, FRAME[~empty])
    ]
    assert values[1] == pytest.approx(values[0], abs=1e-8)
    assert values[2] == pytest.approx(values[0], abs=1e-8)


TWO_LEVEL = """
level: within
    v ~ x
    u ~ v
    {}
level: between
    v ~~ u
    {}
"""
NORMAL_VALUES = {
    ("within", "v", "~", "x"): 0.4,
    ("within", "u", "~", "v"): 0.5,
    ("within", "v", "~~", "v"): 1.5,
    ("within", "u", "~~", "u"): 0.8,
    ("between", "v", "~~", "v"): 0.3,
    ("between", "u", "~~", "u"): 0.2,
    ("between", "v", "~~", "u"): 0.1,
    ("between", "v", "~", "1"): 1.0,
    ("between", "u", "~", "1"): 0.1,
}


def test_what_is_normal_is_as_without_the_others() -> None:
    """A probit that depends on nothing else adds its own log-likelihood to that of the others.

    That of v and u is computed by response pattern, exactly; u is regressed on v, which is missing.
    """
    normal = quiet_model(TWO_LEVEL.format("", ""), data=FRAME, cluster="g")
    assert normal.plan.provider == "pattern"
    alone = "level: within\ny ~ x\nlevel: between\ny ~~ y"
    own = {("within", "y", "~", "x"): -0.3, ("between", "y", "~~", "y"): 0.4}
    own[("between", "y", "|", "t1")] = 0.2
    families = {"y": "binary(probit)"}
    probit = quiet_model(alone, data=FRAME, cluster="g", families=families)
    both = quiet_model(
        TWO_LEVEL.format("y ~ x", "y ~~ y"), data=FRAME, cluster="g", families=families
    )
    assert both.plan.provider == "augmented"
    keys = both.parameter_table.query("free > 0")[["level", "lhs", "op", "rhs"]]
    zeros = {tuple(key): 0.0 for key in keys.to_numpy() if tuple(key) not in NORMAL_VALUES | own}
    assert {key[2] for key in zeros} <= {"~~"}  # covariances of y with others
    found = both.log_likelihood(NORMAL_VALUES | own | zeros)
    expected = normal.log_likelihood(NORMAL_VALUES) + probit.log_likelihood(own)
    assert found == pytest.approx(expected, abs=0.02)


def test_a_missing_predictor_of_a_response_is_integrated() -> None:
    """By a rule of 60 nodes, which has converged; the package allows itself an error of 0.01."""
    model = bm.Model("c ~ v\nv ~ x", data=FRAME, families={"c": "poisson"})
    assert "missing value of v" in model.plan.sampled
    values = {
        ("within", "c", "~", "v"): 0.2,
        ("within", "v", "~", "x"): 0.3,
        ("within", "c", "~", "1"): 0.1,
        ("within", "v", "~", "1"): 0.9,
        ("within", "v", "~~", "v"): 1.4,
    }
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    expected = 0.0
    for _, row in FRAME.iterrows():
        mean = 0.9 + 0.3 * row.x
        if np.isnan(row.v):
            if not np.isnan(row.c):
                at = mean + np.sqrt(1.4) * nodes
                mass = poisson.pmf(row.c, np.exp(0.1 + 0.2 * at)) @ weights / weights.sum()
                expected += np.log(mass)
            continue
        expected += norm.logpdf(row.v, mean, np.sqrt(1.4))
        if not np.isnan(row.c):
            expected += poisson.logpmf(row.c, np.exp(0.1 + 0.2 * row.v))
    assert model.log_likelihood(values) == pytest.approx(expected, abs=1e-3)


def test_where_the_response_is_missing_too_nothing_is_sampled() -> None:
    # where the count is missing, too, nothing depends on the predictor
    frame = FRAME.assign(c=FRAME["c"].where(FRAME["v"].notna()))
    model = bm.Model("c ~ v\nv ~ x", data=frame, families={"c": "poisson"})
    assert model.plan.sampled == ()
    values = {
        ("within", "c", "~", "v"): 0.2,
        ("within", "v", "~", "x"): 0.3,
        ("within", "c", "~", "1"): 0.1,
        ("within", "v", "~", "1"): 0.9,
        ("within", "v", "~~", "v"): 1.4,
    }
    rows = frame[frame["v"].notna()]
    expected = norm.logpdf(rows["v"], 0.9 + 0.3 * rows["x"], np.sqrt(1.4)).sum()
    rows = rows[rows["c"].notna()]
    expected += poisson.logpmf(rows["c"], np.exp(0.1 + 0.2 * rows["v"])).sum()
    assert model.log_likelihood(values) == pytest.approx(expected, rel=1e-10)
    # a latent response that others depend on needs its predictors in every row
    with pytest.raises(NotSupportedError, match=r"'y ~ v': .* they predict y, which is binary"):
        bm.Model("y ~ v\nc ~ y\nv ~ x", data=frame, families=FACTOR_FAMILIES)


def test_covariances_of_residuals_stay() -> None:
    """Of normal outcomes with missing values, in closed form: the count depends on x alone."""
    model = bm.Model("v ~ x\nu ~ x\nv ~~ u\nc ~ x", data=FRAME, families={"c": "poisson"})
    values = {
        ("within", "v", "~", "x"): 0.3,
        ("within", "u", "~", "x"): -0.2,
        ("within", "c", "~", "x"): 0.1,
        ("within", "v", "~", "1"): 1.0,
        ("within", "u", "~", "1"): 0.1,
        ("within", "c", "~", "1"): 0.2,
        ("within", "v", "~~", "v"): 1.5,
        ("within", "u", "~~", "u"): 1.2,
        ("within", "v", "~~", "u"): 0.6,
    }
    sigma, expected = np.array([[1.5, 0.6], [0.6, 1.2]]), 0.0
    for _, row in FRAME.iterrows():
        y, mean = row[["v", "u"]].to_numpy(float), np.array([1 + 0.3 * row.x, 0.1 - 0.2 * row.x])
        seen = np.flatnonzero(~np.isnan(y))
        if len(seen):
            block = sigma[np.ix_(seen, seen)]
            expected += multivariate_normal.logpdf(y[seen], mean[seen], block)
        if not np.isnan(row.c):
            expected += poisson.logpmf(row.c, np.exp(0.2 + 0.1 * row.x))
    assert model.log_likelihood(values) == pytest.approx(expected, rel=1e-10)
