"""Predictions against the oracle's matrices, and their moments in new clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from tests.likelihood.cases import SINGLE_LEVEL_CASES, TWO_LEVEL_CASES, Case, make_model
from tests.posterior.made_up import posterior_of, synthetic_fit
from tests.posterior.within_oracle import level_names, moments_given_u, oracle_at
from tests.random.conditional import conditional
from tests.random.level_two import cluster as given_effects
from tests.random.models import case, make_data, sampled_values

Array = NDArray[np.float64]
SIZE = {"chains": 2, "draws": 3}


def plain(name: str) -> Case:
    return next(c for c in TWO_LEVEL_CASES + SINGLE_LEVEL_CASES if c.name == name)


def known_parameters(this: Case, frame: pd.DataFrame, draws: int) -> bm.Fit:
    """Fit whose draws all have the same parameters."""
    model = make_model(this, frame)
    x = sampled_values(model.unpiloted_blueprint(), 8)
    posterior = posterior_of(model.unpiloted_blueprint(), np.tile(x, (1, draws, 1)), 8)
    return synthetic_fit(model, posterior=posterior)


@pytest.mark.parametrize(
    "this",
    [
        plain("path model"),
        plain("within-only mediator"),
        plain("structural model"),
        plain("loadings and slopes of one pair"),
        case("slope, with a loading and a slope of one pair"),
        case("slope that goes through"),
        case("slope of a within-only outcome"),
    ],
    ids=str,
)
def test_expected_outcomes_in_known_clusters(this: Case) -> None:
    frame = make_data()
    fit = synthetic_fit(make_model(this, frame), **SIZE)
    _, u = level_names(fit)
    two_level = fit.model.table.two_level
    names = fit.model.blueprint.template.outcomes
    found = []
    for draw in np.ndindex(2, 3):
        oracle = oracle_at(fit, frame, draw)
        order = [oracle.within.observed.index(v) for v in names]
        rows = []
        for i, x in enumerate(oracle.data["x"]):
            at = np.zeros(0)
            if two_level:
                effects = fit.cluster_draws["effects"].isel(chain=draw[0], draw=draw[1])
                here = effects.sel(cluster_id=frame["group"].iloc[i])
                known = dict(zip(here["effect"].to_numpy(), here.to_numpy(), strict=True))
                at = np.array([known.get(name, 0.0) for name in u])
            rows.append(moments_given_u(oracle, x, at)[1][order])
        found.append(rows)
    expected = np.array(found)
    table = fit.predict()
    for k, name in enumerate(names):
        part = table[table["outcome"] == name]
        np.testing.assert_allclose(part["mean"], expected[..., k].mean(0), atol=1e-9)
        np.testing.assert_allclose(part["sd"], expected[..., k].std(0, ddof=1), atol=1e-9)
        lower, upper = np.quantile(expected[..., k], [0.025, 0.975], axis=0)
        np.testing.assert_allclose(part["lower"], lower, atol=1e-9)
        np.testing.assert_allclose(part["upper"], upper, atol=1e-9)
        np.testing.assert_array_equal(part.index, frame.index)
    draws = fit.predict(draws=True)
    np.testing.assert_allclose(draws.to_numpy().reshape(expected.shape), expected, atol=1e-9)


@pytest.mark.parametrize(
    "this", [plain("cluster-level outcomes"), case("slope predicts z")], ids=str
)
def test_outcomes_in_new_clusters_have_the_moments_of_the_stacked_cluster(this: Case) -> None:
    """At known parameters; z values below 4.5, as in tests/random/test_draws.py."""
    frame, n = make_data(), 4000
    fit = known_parameters(this, frame, n)
    oracle = oracle_at(fit, frame, (0, 0))
    names = fit.model.blueprint.template.outcomes
    p = len(oracle.within.observed)
    order = [names.index(v) for v in oracle.within.observed]
    order_z = [names.index(v) for v in oracle.between.outcomes]
    draws = fit.predict(clusters="new", kind="outcome", draws=True).to_numpy()[0]
    for units in list(oracle.clusters().values())[:4]:
        _, mean, covariance = oracle.stacked(units)
        rows = draws[:, units]
        assert (rows[:, :, p:] == rows[:, :1, p:]).all()  # one value per cluster
        sample = np.hstack([rows[:, :, order].reshape(n, -1), rows[:, 0][:, order_z]])
        variance = np.diag(covariance)
        assert np.abs((sample.mean(0) - mean) / np.sqrt(variance / n)).max() < 4.5
        errors = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
        z = (np.cov(sample.T) - covariance) / errors
        assert 1.0 < np.abs(z).max() < 4.5
    means = fit.predict(clusters="new", draws=True).to_numpy()[0]
    for units in list(oracle.clusters().values())[:4]:
        # expected outcomes lack the noise of level 1
        _, mean, covariance = oracle.stacked(units)
        within = oracle.total @ oracle.within.Psi @ oracle.total.T
        expected = np.diag(covariance)[:p] - np.diag(within)
        variance = means[:, units[0]][:, order].var(0)
        np.testing.assert_allclose(variance, expected, atol=4.5 * np.sqrt(2 / n) * expected.max())


def test_outcomes_with_sampled_effects() -> None:
    """A new cluster's loading is drawn first; then its rows are normal, as the oracle says."""
    frame = make_data(sizes=(3, 2, 3, 2, 2, 3))
    this = conditional(case("one loading, w and z"), frame)
    n = 4000
    fit = known_parameters(case("one loading, w and z"), frame, n)
    x = sampled_values(this.blueprint, 8)
    names, observed = fit.model.blueprint.template.outcomes, fit.model.blueprint.observed
    draws = fit.predict(clusters="new", kind="outcome", draws=True).to_numpy()[0]
    rng, units = np.random.default_rng(4), this.clusters()[0]
    mean_b, spread_b = this.effect_moments(x, np.zeros(1), units)
    nodes = rng.multivariate_normal(mean_b, spread_b, size=400)
    firsts, seconds = [], []
    for b in nodes:
        known = given_effects(this, x, b, units)
        _, mean, covariance, _ = known.stacked()
        firsts.append(mean)
        seconds.append(covariance + np.outer(mean, mean))
        order = [names.index(v) for v in known.oracle.within.observed]
    mean = np.mean(firsts, 0)
    variance = np.diag(np.mean(seconds, 0)) - mean**2
    z = [names.index(v) for v in observed.z_names]
    sample = np.hstack([draws[:, units][:, :, order].reshape(n, -1), draws[:, units[0]][:, z]])
    # 4.5 standard errors of both simulations: 4,000 draws, and 400 nodes
    error = np.sqrt(variance / n + np.var(firsts, 0) / 400)
    np.testing.assert_array_less(np.abs(sample.mean(0) - mean), 4.5 * error)
    np.testing.assert_allclose(sample.var(0), variance, rtol=0.2)


def test_outcomes_in_known_clusters_add_the_noise_of_level_1() -> None:
    frame = make_data()
    fit = known_parameters(case("slope that goes through"), frame, 3000)
    oracle = oracle_at(fit, frame, (0, 0))
    expected = fit.predict(draws=True)
    noise = (fit.predict(kind="outcome", draws=True) - expected).isel(chain=0)
    order = list(oracle.within.observed)
    flat = noise.sel(outcome=order).transpose("obs_id", "draw", "outcome").to_numpy()
    sigma = oracle.total @ oracle.within.Psi @ oracle.total.T
    n = flat.shape[0] * flat.shape[1]
    variance = np.diag(sigma)
    errors = np.sqrt((np.outer(variance, variance) + sigma**2) / n)
    assert np.abs((np.cov(flat.reshape(n, -1).T) - sigma) / errors).max() < 4.5


def test_cluster_level_outcomes_of_known_clusters() -> None:
    """E[z | a, w] by conditioning the oracle's level 2 on the effects of every cluster."""
    frame = make_data()
    fit = synthetic_fit(make_model(case("slope predicts z"), frame), **SIZE)
    _, u = level_names(fit)
    found = []
    for draw in np.ndindex(2, 3):
        oracle = oracle_at(fit, frame, draw)
        row = np.empty((len(frame), 2))
        for label, units in oracle.clusters().items():
            mean, covariance = oracle.effect_moments(units)
            here = fit.cluster_draws["effects"].isel(chain=draw[0], draw=draw[1])
            a = [u.index(v) for v in ("y1", "s")]
            z = [u.index(v) for v in ("z1", "z2")]
            values = here.sel(cluster_id=label, effect=["y1", "s"]).to_numpy()
            slope = covariance[np.ix_(z, a)] @ np.linalg.inv(covariance[np.ix_(a, a)])
            row[units] = mean[z] + slope @ (values - mean[a])
        found.append(row)
    table = fit.predict()
    for k, name in enumerate(("z1", "z2")):
        mean = table.loc[table["outcome"] == name, "mean"]
        np.testing.assert_allclose(mean, np.mean(found, 0)[:, k], atol=1e-9)


def test_new_rows_of_known_clusters_are_predicted_like_those_of_the_data() -> None:
    frame = make_data()
    fit = synthetic_fit(make_model(case("slope that goes through"), frame), **SIZE)
    every = fit.predict()
    part = frame.iloc[[5, 1, 30]][["group", "x1", "x2"]]
    ours = fit.predict(part)
    for name in ("y1", "y2", "y3"):
        expected = every[every["outcome"] == name].loc[part.index]
        pd.testing.assert_frame_equal(ours[ours["outcome"] == name], expected, check_exact=False)


def test_new_clusters_without_identifiers() -> None:
    frame = make_data()
    fit = synthetic_fit(make_model(plain("random intercept"), frame), chains=1, draws=50)
    new = frame.iloc[:3][["x1", "x2", "w1", "w2"]]
    draws = fit.predict(new, clusters="new", draws=True).to_numpy()[0, :, :, 0]
    same = fit.predict(new.assign(w1=1.0, w2=0.0, group=7), clusters="new", draws=True)
    # one cluster: only x tells its rows apart; three clusters: effects do
    slopes = fit.datatree["posterior"]["within_regression"].to_numpy()[0]
    x = new[["x1", "x2"]].to_numpy()
    expected = (x[0] - x[1]) @ slopes.T
    np.testing.assert_allclose(same[0, :, 0, 0] - same[0, :, 1, 0], expected, atol=1e-9)
    assert np.abs(draws[:, 0] - draws[:, 1] - expected).max() > 0.1


def test_errors_name_the_culprit() -> None:
    frame = make_data()
    fit = synthetic_fit(make_model(plain("random intercept"), frame), **SIZE)
    with pytest.raises(bm.DataError, match="lacks the covariates 'x2'; add"):
        fit.predict(frame.drop(columns="x2"))
    with pytest.raises(bm.DataError, match="lacks the covariates 'w1', 'w2'"):
        fit.predict(frame.drop(columns=["w1", "w2"]), clusters="new")
    with pytest.raises(bm.DataError, match=r"not in the data: 'gX', 'gY'; use new_clusters=True"):
        fit.predict(frame.iloc[:3].assign(group=["gX", "gY", frame["group"].iloc[0]]))
    with pytest.raises(bm.DataError, match="lacks the cluster column 'group'"):
        fit.predict(frame.drop(columns="group"))
    with pytest.raises(bm.DataError, match="no value of the covariate 'x1' in 1 row"):
        fit.predict(frame.iloc[:3].assign(x1=[0.1, np.nan, 2.0]))
    with pytest.raises(bm.DataError, match=r"'w1' .* varies within the new cluster 9"):
        fit.predict(frame.iloc[:2].assign(group=9, w1=[0.0, 1.0]), clusters="new")
    with pytest.raises(bm.SpecificationError, match=r"kind='outcomes' is unknown.*'outcome'"):
        fit.predict(kind="outcomes")  # type: ignore[arg-type]
    with pytest.raises(bm.SpecificationError, match="clusters='old' is unknown"):
        fit.predict(clusters="old")  # type: ignore[arg-type]
    with pytest.raises(bm.SpecificationError, match=r"ci=95"):
        fit.predict(ci=95)
    with pytest.raises(bm.SpecificationError, match=r"random_seed must be .* got -1"):
        fit.predict(random_seed=-1)
