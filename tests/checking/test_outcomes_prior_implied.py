"""What priors imply for categories and counts, against closed forms and simulations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.checking.priors.prior_implied import PriorImplied
from tests.checking.outcome_fits import COUNTS, LABELS, design

ITEM = "level: within\ny1 ~ x\nlevel: between\ny1 ~~ y1"


def values(implied: PriorImplied, *key: str) -> pd.Series:
    return pd.DataFrame(implied.table).set_index(["quantity", "level", "variable"]).loc[key]


def within_errors(found: np.ndarray, expected: float) -> None:
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean() - expected) < 4 * error


@pytest.mark.parametrize("link", ["probit", "logit"])
def test_shares_of_categories(link: str) -> None:
    """Expected shares by simulation of thresholds, effects and latent responses in NumPy."""
    frame = design()
    priors = {
        "y1 | t1": "normal(-1.5, 0.3)",
        "y1 | t2": "normal(1, 0.3)",
        "within: y1 ~ x": "normal(0.8, 0.3)",
        "between: y1 ~~ y1": "halfnormal(0.7)",
    }
    model = bm.Model(
        ITEM, data=frame, cluster="g", families={"y1": f"ordinal({link})"}, priors=priors
    )
    implied = model.prior_implied(draws=1500, random_seed=1)
    rng, n = np.random.default_rng(3), 400_000
    cuts = rng.normal([-1.5, 1.0], 0.3, (n, 2))
    cuts = cuts[cuts[:, 0] < cuts[:, 1]]
    n = len(cuts)
    x, slope = rng.choice(frame["x"].to_numpy(), n), rng.normal(0.8, 0.3, n)
    effect = np.abs(rng.normal(0, 0.7, n)) * rng.standard_normal(n)
    noise = rng.standard_normal(n) if link == "probit" else rng.logistic(size=n)
    code = ((slope * x + effect + noise)[:, None] > cuts).sum(axis=1)
    for k, label in enumerate(LABELS):
        key = ("share", "", f"y1 = {label}")
        within_errors(implied.draws[key], float((code == k).mean()))
        row = values(implied, *key)
        assert row["data"] == pytest.approx((frame["y1"] == label).mean())
        assert row["lower"] == pytest.approx(np.quantile(implied.draws[key], 0.025))
    # the latent response has a residual variance that is fixed, and no estimate in the data
    residual = 1.0 if link == "probit" else np.pi**2 / 3
    assert (implied.draws["sd", "within", "y1"] ** 2 >= residual).all()
    between = implied.draws["sd", "between", "y1"]
    assert stats.kstest(between, stats.halfnorm(scale=0.7).cdf).pvalue > 0.001
    row = values(implied, "icc", "", "y1")
    assert np.isnan(row["data"])
    assert np.isnan(row["p"])
    assert ("mean", "", "y1") not in implied.draws


def test_default_priors_divide_categories_evenly() -> None:
    """Induced Dirichlet: with the assumed total variance every category expects a third."""
    frame, text = design(), "y1 ~ 0*x"
    model = bm.Model(text, data=frame, ordered=["y1"])
    implied = model.prior_implied(draws=2000, random_seed=2)
    shares = np.stack([implied.draws["share", "", f"y1 = {v}"] for v in LABELS])
    np.testing.assert_allclose(shares.sum(axis=0), 1.0)
    # S is sqrt(2): half of the variance that was assumed is not there, which favours the outer two
    rng = np.random.default_rng(1)
    cuts = np.sort(rng.normal(0, np.sqrt(2), (200_000, 2)), axis=1)
    below = stats.norm.cdf(cuts).mean(axis=0)
    for share, expected in zip(shares, np.diff(np.r_[0, below, 1]), strict=True):
        within_errors(share, expected)


def test_counts() -> None:
    """Mean and zeros of Poisson counts by simulation, exposures included; the tails are wide."""
    frame = design()
    priors = {
        "between: c ~ 1": "normal(0.5, 0.2)",
        "within: c ~ x": "normal(0.2, 0.1)",
        "between: c ~~ c": "halfnormal(0.3)",
    }
    options = {"families": {"c": "poisson"}, "exposure": {"c": "hours"}, "priors": priors}
    implied = bm.Model(COUNTS, data=frame, cluster="g", **options).prior_implied(
        draws=1000, random_seed=4
    )
    rng, n = np.random.default_rng(5), 400_000
    i = rng.integers(0, len(frame), n)
    eta = rng.normal(0.5, 0.2, n) + rng.normal(0.2, 0.1, n) * frame["x"].to_numpy()[i]
    eta += np.abs(rng.normal(0, 0.3, n)) * rng.standard_normal(n)
    count = rng.poisson(np.exp(eta) * frame["hours"].to_numpy()[i])
    within_errors(implied.draws["mean", "", "c"], count.mean())
    within_errors(implied.draws["share", "", "c = 0"], float((count == 0).mean()))
    assert values(implied, "mean", "", "c")["data"] == pytest.approx(frame["c"].mean())


def test_conflict() -> None:
    """Thresholds far to the right leave no observations for the highest category."""
    priors = {"y1 | t1": "normal(3, 0.1)", "y1 | t2": "normal(4, 0.1)"}
    model = bm.Model("y1 ~ 0*x", data=design(), ordered=["y1"], priors=priors)
    implied = model.prior_implied(draws=200, random_seed=1)
    assert set(implied.conflicts["variable"]) == {f"y1 = {label}" for label in LABELS}
    text = "\n".join(implied.lines)
    assert "Conflict: the share of y1 = yes is" in text
    assert "At the edge: the prior has the share of y1 = yes below 0.01 with probability" in text


def test_absurd_counts_are_no_error() -> None:
    """Default priors of slopes on counts reach beyond what can be drawn as a Poisson count."""
    priors = {"c ~ 1": "normal(0, 100)"}
    model = bm.Model("c ~ x", data=design(), families={"c": "poisson"}, priors=priors)
    implied = model.prior_implied(draws=100, random_seed=1)
    assert implied.draws["mean", "", "c"].max() > 1e18
    assert np.isfinite(implied.draws["mean", "", "c"]).all()
    with pytest.raises(bm.SpecificationError, match=r"'c' would have a count of .*at most 1e"):
        model.simulate({"c ~ 1": 60.0, "c ~ x": 0.0}, random_seed=1)


def test_figure() -> None:
    """A panel of shares per item, with the share of the data on the prior of every category."""
    model = bm.Model(ITEM, data=design(), cluster="g", ordered=["y1"])
    figure = model.plot_prior_predictive(draws=60, random_seed=1)
    ax = figure.axes[0]
    assert ax.get_title(loc="left") == "y1: shares"
    assert [t.get_text() for t in ax.get_yticklabels()] == LABELS
    marks = [line.get_xdata()[0] for line in ax.get_lines() if line.get_gid() == "data"]
    expected = [(design()["y1"] == label).mean() for label in LABELS]
    np.testing.assert_allclose(marks, expected)
    families = {"c": "poisson"}
    other = bm.Model(COUNTS, data=design(), cluster="g", families=families, exposure={"c": "hours"})
    titles = [a.get_title(loc="left") for a in other.plot_prior_predictive(60).axes]
    assert titles[:2] == ["c", "c: share"]
