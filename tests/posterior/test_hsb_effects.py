"""Cluster effects on real data against lme4's empirical Bayes estimates (tests/reference/hsb)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.blueprint.values import theta_from_values

FIGURES = Path(__file__).parents[1] / "reference" / "hsb" / "figures.json"
SPEC = """
    level: within
        mach ~ rv("rs")*cses
    level: between
        mach ~ sector + meanses
        rs ~ sector + meanses
        mach ~~ rs
    squared := rs*rs
"""


@pytest.fixture(scope="module")
def model() -> bm.Model:
    return bm.Model(SPEC, bm.load_dataset("hsb"), cluster="school")


@pytest.fixture(scope="module")
def fit(model: bm.Model) -> bm.Fit:
    return model.fit(random_seed=1, progress=False)


@pytest.fixture(scope="module")
def lme4() -> pd.DataFrame:
    schools = pd.DataFrame(json.loads(FIGURES.read_text())["eb_schools_ml"])
    return schools.assign(school=schools["school"].astype(int)).set_index("school")


def test_exact_posterior_at_ml_is_lme4s_empirical_bayes(model, lme4):
    mode = model.mode(prior=False)
    blueprint = model.blueprint
    theta = theta_from_values(blueprint, dict(mode))
    x = np.ascontiguousarray(sampled_from_table(blueprint, theta))
    means, variances = blueprint.likelihood.linear_effects(
        x, np.empty((160, 0)), np.zeros((160, 2)), blueprint.statistics_by_cluster
    )
    expected = lme4.loc[list(blueprint.observed.cluster_ids)]
    # lme4 stops at estimates about 1e-4 SE from ours, which moves an effect by less than 1e-4 SD
    np.testing.assert_allclose(means[:, 0], expected["intercept_total"], atol=2e-4)
    np.testing.assert_allclose(means[:, 1], expected["slope_total"], atol=2e-4)
    np.testing.assert_allclose(np.sqrt(variances[:, 0]), expected["u0_sd"], rtol=2e-4)
    np.testing.assert_allclose(np.sqrt(variances[:, 1]), expected["u1_sd"], rtol=1e-3)


def test_cluster_effects_agree_with_empirical_bayes(fit, lme4):
    table = pd.DataFrame(fit.cluster_effects())
    for effect, column, limit in (("mach", "intercept_total", 0.25), ("rs", "slope_total", 1.0)):
        ours = table[table["effect"] == effect].set_index("cluster")
        difference = (ours["mean"] - lme4[column].loc[ours.index]) / ours["sd"]
        # Monte-Carlo error of a mean of about 2,000 effective draws is 0.02 SD. The rest comes from
        # integrating over the parameters: the slope variance is 0.065 at the maximum of the
        # likelihood, but has a long right tail (posterior mean about 0.13), so slopes are pooled
        # less than by empirical Bayes.
        assert np.abs(difference).max() < limit
        assert np.abs(difference).mean() < limit / 3


def test_summary_of_effects_is_that_of_their_draws(fit):
    table = pd.DataFrame(fit.cluster_effects(ci=0.9))
    row = table[(table["effect"] == "rs") & (table["cluster"] == 1288)].iloc[0]
    draws = fit.cluster_draws["effects"].sel(effect="rs", cluster_id="1288").to_numpy()
    np.testing.assert_allclose(row["mean"], draws.mean())
    np.testing.assert_allclose([row["lower"], row["upper"]], np.quantile(draws, [0.05, 0.95]))
    of_fit, school = fit.draws, bm.load_dataset("hsb").set_index("school").loc[1288].iloc[0]
    mean = (
        of_fit[("between", "rs", "~", "1")]
        + of_fit[("between", "rs", "~", "sector")] * school["sector"]
        + of_fit[("between", "rs", "~", "meanses")] * school["meanses"]
    )
    prior = of_fit[("between", "rs", "~~", "rs")].mean()
    expected = 1 - (draws - mean).var(ddof=1) / prior
    assert 0 < expected < 0.5  # slopes vary little between schools: mostly pooled
    np.testing.assert_allclose(row["shrinkage"], expected)
    assert row["size"] == 25


def test_definition_of_random_coefficients_is_their_population_mean(model, fit):
    """E[u^2] = E[u]^2 + Var(u), averaged over the schools' covariates."""
    draws = fit.draws
    w = bm.load_dataset("hsb").groupby("school", sort=False)[["sector", "meanses"]].first()
    mean = (
        draws[("between", "rs", "~", "1")][..., None]
        + draws[("between", "rs", "~", "sector")][..., None] * w["sector"].to_numpy()
        + draws[("between", "rs", "~", "meanses")][..., None] * w["meanses"].to_numpy()
    )
    expected = (mean**2).mean(axis=-1) + draws[("between", "rs", "~~", "rs")]
    np.testing.assert_allclose(draws[("", "squared", ":=", "rs*rs")], expected, rtol=1e-10)
    per_school = fit.cluster_draws["effects"]
    squared = per_school.sel(effect="squared").to_numpy()
    np.testing.assert_allclose(squared, per_school.sel(effect="rs").to_numpy() ** 2)


def test_effects_of_a_model_with_random_intercepts_only():
    """Likelihoods by size are recovered from by cluster: closed form of the one-way model."""
    frame = bm.load_dataset("hsb")
    text = "level: within\n mach ~~ mach\nlevel: between\n mach ~~ mach"
    model = bm.Model(text, frame, cluster="school")
    values = {
        ("within", "mach", "~~", "mach"): 39.0,
        ("between", "mach", "~~", "mach"): 8.5,
        ("between", "mach", "~", "1"): 12.6,
    }
    blueprint = model.blueprint
    x = np.ascontiguousarray(sampled_from_table(blueprint, theta_from_values(blueprint, values)))
    means, variances = blueprint.likelihood.linear_effects(
        x, np.empty((160, 0)), np.zeros((160, 1)), blueprint.statistics_by_cluster
    )
    groups = frame.groupby("school", sort=False)["mach"]
    precision = groups.size() / 39.0 + 1 / 8.5
    expected = (groups.sum() / 39.0 + 12.6 / 8.5) / precision
    np.testing.assert_allclose(means[:, 0], expected, rtol=1e-10)
    np.testing.assert_allclose(variances[:, 0], 1 / precision, rtol=1e-10)
