"""Effects and scores of a sampled fit, against what its posterior has to say of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.errors import NotSupportedError
from tests.posterior.outcome_fits import ITEMS, Array, codes, cuts, effect, make_data, row

DATA = make_data()
CLUSTER = DATA["school"].map({s: k for k, s in enumerate(dict.fromkeys(DATA["school"]))}).to_numpy()


def shape_of(fit: bm.Fit) -> tuple[int, int]:
    posterior = fit.datatree["posterior"]
    return posterior.sizes["chain"], posterior.sizes["draw"]


def scores_by_quadrature(fit: bm.Fit, every: int) -> Array:
    """E(score | outcomes of its row, effects, parameters) averaged over draws, (N,)."""
    grid = np.linspace(-5.0, 5.0, 161)
    x, time = DATA["x"].to_numpy(), DATA["time"].to_numpy()
    draws = range(0, len(row(fit, "fw ~~ fw")), every)
    total = np.zeros(len(DATA))
    for s in draws:
        centre = effect(fit, "slope")[s, CLUSTER] * x
        f = centre[:, None] + np.sqrt(row(fit, "fw ~~ fw")[s]) * grid
        log_p = np.broadcast_to(stats.norm.logpdf(grid), f.shape).copy()
        for item in ITEMS:
            eta = row(fit, f"fw =~ {item}")[s] * f + effect(fit, item)[s, CLUSTER][:, None]
            edges = np.concatenate([[-np.inf], cuts(fit, item)[s], [np.inf]])
            y = codes(DATA, item)
            seen = ~np.isnan(y)
            c = y[seen].astype(int)
            share = stats.norm.cdf(edges[c + 1][:, None] - eta[seen])
            log_p[seen] += np.log(share - stats.norm.cdf(edges[c][:, None] - eta[seen]) + 1e-300)
        rate = np.exp(row(fit, "c ~ fw")[s] * f + effect(fit, "c")[s, CLUSTER][:, None])
        log_p += stats.poisson.logpmf(DATA["c"].to_numpy()[:, None], time[:, None] * rate)
        weight = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        total += (weight * f).sum(axis=1) / weight.sum(axis=1)
    return total / len(draws)


def test_scores_stand_in_the_order_of_the_data(outcome_fit: bm.Fit) -> None:
    table = outcome_fit.scores()
    assert table.index.tolist() == list(DATA.index)
    assert table["cluster"].tolist() == DATA["school"].tolist()
    expected = scores_by_quadrature(outcome_fit, 3)
    difference = table["mean"].to_numpy() - expected
    error = table["sd"].to_numpy() / np.sqrt(300)
    assert np.abs(difference / error).max() < 4.5
    assert np.corrcoef(table["mean"], expected)[0, 1] > 0.998


def test_draws_of_scores_are_those_of_the_table(outcome_fit: bm.Fit) -> None:
    draws = outcome_fit.scores(return_draws=True)
    assert draws.dims == ("chain", "draw", "obs_id", "factor")
    means = draws.mean(("chain", "draw")).sel(factor="fw")
    assert np.allclose(means, outcome_fit.scores()["mean"], atol=1e-12)


def test_residuals_of_scores_and_effects_have_the_spread_of_the_model(outcome_fit: bm.Fit) -> None:
    """Thresholds are free, so that the data say nothing of the mean of residuals."""
    scores = outcome_fit.scores(return_draws=True).to_numpy().reshape(-1, len(DATA))
    residual = scores - effect(outcome_fit, "slope")[:, CLUSTER] * DATA["x"].to_numpy()
    standard = residual.mean(axis=1) / np.sqrt(row(outcome_fit, "fw ~~ fw") / len(DATA))
    assert abs(standard.mean()) < 0.25
    assert standard.std() == pytest.approx(1.0, abs=0.15)
    fb = outcome_fit.cluster_draws["factors"].to_numpy().reshape(-1, 25)
    w = DATA.groupby("school", sort=False)["w"].first().to_numpy()
    residual = fb - row(outcome_fit, "fb ~ w")[:, None] * w
    standard = residual.mean(axis=1) / np.sqrt(row(outcome_fit, "fb ~~ fb") / 25)
    assert abs(standard.mean()) < 0.35


def test_factors_of_clusters_given_their_intercepts(outcome_fit: bm.Fit) -> None:
    """E(fb | intercepts and slope of its cluster), by conditioning in the joint normal."""
    fit, order = outcome_fit, ["y1", "y2", "y3", "c", "slope"]
    w = DATA.groupby("school", sort=False)["w"].first().to_numpy()
    expected = np.zeros(25)
    for s in range(300):
        loading = np.array([row(fit, f"fb =~ {item}")[s] for item in ITEMS])
        variance, mean = row(fit, "fb ~~ fb")[s], row(fit, "fb ~ w")[s] * w
        joint = np.zeros((6, 6))  # fb, then order
        joint[0, 0] = variance
        joint[0, 1:4] = joint[1:4, 0] = variance * loading
        joint[1:4, 1:4] = variance * np.outer(loading, loading)
        for k, name in enumerate(order, start=1):
            joint[k, k] += row(fit, f"between: {name} ~~ {name}")[s]
        with_slope = row(fit, "fb ~~ slope")[s]
        joint[5, :4] = joint[:4, 5] = with_slope * np.array([1.0, *loading])
        joint[4, 5] = joint[5, 4] = row(fit, "c ~~ slope")[s]
        slopes = row(fit, "slope ~ 1")[s] + row(fit, "slope ~ w")[s] * w
        rates = np.full(25, row(fit, "c ~ 1")[s])
        means = np.column_stack([np.outer(mean, loading), rates, slopes])
        u = np.stack([effect(fit, name)[s] for name in order], axis=-1)
        gain = np.linalg.solve(joint[1:, 1:], joint[1:, 0])
        expected += mean + (u - means) @ gain
    table = fit.scores("between")
    assert table["cluster"].tolist() == list(dict.fromkeys(DATA["school"]))
    error = table["sd"].to_numpy() / np.sqrt(300)
    assert np.abs((table["mean"].to_numpy() - expected / 300) / error).max() < 4.0


def test_effects_of_clusters(outcome_fit: bm.Fit) -> None:
    table = outcome_fit.cluster_effects()
    assert table["effect"].unique().tolist() == ["y1", "y2", "y3", "c", "slope", "mediated", "fb"]
    draws = effect(outcome_fit, "slope") * row(outcome_fit, "c ~ fw")[:, None]
    mediated = table.loc[table["effect"] == "mediated", "mean"].to_numpy()
    assert np.allclose(mediated, draws.mean(axis=0))
    assert np.allclose(
        row(outcome_fit, "indirect"), row(outcome_fit, "c ~ fw") * row(outcome_fit, "slope ~ w")
    )


def test_normal_factors_given_scores(mixed_fit: bm.Fit) -> None:
    """g | f, u1, u2, u3: f is an outcome of g as the indicators are."""
    draws = mixed_fit.scores(return_draws=True)
    g, f = (draws.sel(factor=name).to_numpy().reshape(-1, len(DATA)) for name in ("g", "f"))
    s, x = effect(mixed_fit, "s")[:, CLUSTER], DATA["x"].to_numpy()
    precision = 1.0 / row(mixed_fit, "g ~~ g")
    path, rest = row(mixed_fit, "f ~ g"), row(mixed_fit, "f ~~ f")
    precision = precision + path**2 / rest
    score = (path / rest)[:, None] * (f - s * x)
    for name in ("u1", "u2", "u3"):
        loading = row(mixed_fit, f"g =~ {name}")
        variance = row(mixed_fit, f"within: {name} ~~ {name}")
        precision = precision + loading**2 / variance
        residual = DATA[name].to_numpy() - effect(mixed_fit, name)[:, CLUSTER]
        score = score + (loading / variance)[:, None] * residual
    standard = (g - score / precision[:, None]) * np.sqrt(precision)[:, None]
    assert abs(standard.mean()) < 4 / np.sqrt(standard.size)
    assert standard.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * standard.size))


def test_new_rows_have_no_scores(outcome_fit: bm.Fit) -> None:
    with pytest.raises(NotSupportedError, match=r"scores\(newdata=\.\.\.\).*y1: ordinal\(probit\)"):
        outcome_fit.scores(newdata=DATA.head(3))
