"""Imputed categories and counts, against probabilities given effects and scores by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from tests.posterior.made_up import synthetic_fit
from tests.posterior.outcome_fits import ITEMS, MIXED, TEXT, WORDS, Array, cuts, make_data, row

HOLES = {"y1": slice(0, 60), "y3": slice(40, 100), "c": slice(20, 90), "n": slice(10, 80)}


def with_holes() -> pd.DataFrame:
    """Whole rows without their items, and single cells."""
    frame = make_data()
    for name, rows in HOLES.items():
        frame.loc[frame.index[rows], name] = np.nan
    frame["time"] *= 3.0
    frame.loc[25, "time"] = np.nan  # a count that is missing may lack its exposure
    return frame


FRAME = with_holes()


@pytest.fixture(scope="module")
def probits() -> bm.Fit:
    model = bm.Model(
        TEXT,
        data=FRAME,
        cluster="school",
        ordered=list(ITEMS),
        families={"c": "poisson"},
        exposure={"c": "time"},
    )
    return synthetic_fit(model, draws=60)


@pytest.fixture(scope="module")
def logits() -> bm.Fit:
    families = dict.fromkeys(ITEMS, "ordinal(logit)") | {"n": "negbinomial"}
    return synthetic_fit(bm.Model(MIXED, data=FRAME, cluster="school", families=families), draws=60)


def predictor(fit: bm.Fit, outcome: str, factor: str, slope: Array) -> Array:
    """Effect of the cluster plus slope times score, (S, N)."""
    codes = fit.model.observed.cluster
    effects = fit.cluster_draws["effects"].sel(effect=outcome).to_numpy().reshape(-1, 25)
    scores = fit.scores(return_draws=True).sel(factor=factor).to_numpy()
    return effects[:, codes] + slope[:, None] * scores.reshape(len(effects), -1)


def codes_of(fit: bm.Fit, item: str) -> Array:
    """Imputed codes at every draw, (S, N)."""
    frames = fit.impute(draws=120, random_seed=4)
    values = [f[item].cat.codes if item == "y1" else f[item] for f in frames]
    return np.stack([np.asarray(v, dtype=float) for v in values])


@pytest.mark.parametrize("item", ["y1", "y3"])
@pytest.mark.parametrize("link", ["probit", "logit"])
def test_categories(link: str, item: str, request: pytest.FixtureRequest) -> None:
    """Of every category the expected share, given effects and scores; four standard errors."""
    fit: bm.Fit = request.getfixturevalue(f"{link}s")
    factor, cdf = ("fw", stats.norm.cdf) if link == "probit" else ("f", stats.logistic.cdf)
    eta = predictor(fit, item, factor, row(fit, f"within: {factor} =~ {item}"))
    below = cdf(cuts(fit, item)[:, None, :] - eta[..., None])
    edge = np.ones((*eta.shape, 1))
    p = np.diff(np.concatenate([0 * edge, below, edge], axis=-1), axis=-1)[:, HOLES[item]]
    mine = codes_of(fit, item)
    assert set(np.unique(mine)) <= {0.0, 1.0, 2.0, 3.0}
    # large and small predictors apart: shares alone would not notice rows that are mixed up
    high = eta[:, HOLES[item]] > np.median(eta[:, HOLES[item]])
    for part in (high, ~high):
        for k in range(4):
            expected = p[..., k][part]
            error = np.sqrt((expected * (1 - expected)).sum()) / len(expected)
            share = (mine[:, HOLES[item]][part] == k).mean()
            assert abs(share - expected.mean()) < 4 * error


def test_counts(probits: bm.Fit, logits: bm.Fit) -> None:
    """Counts over their means, given effects, scores and exposures, are 1 on average."""
    eta = predictor(probits, "c", "fw", row(probits, "within: c ~ fw"))
    rate = np.exp(eta) * FRAME["time"].to_numpy()
    mine = codes_of(probits, "c")
    assert np.isnan(mine[:, 25]).all()  # no exposure
    rows = np.setdiff1d(np.arange(20, 90), [25])
    pearson = (mine - rate)[:, rows] / np.sqrt(rate[:, rows])
    assert abs(pearson.mean()) < 4 / np.sqrt(pearson.size)
    assert (pearson**2).mean() == pytest.approx(1.0, abs=0.15)
    eta = predictor(logits, "n", "f", row(logits, "within: n ~ f"))
    eta += row(logits, "within: n ~ x")[:, None] * FRAME["x"].to_numpy()
    rate, alpha = np.exp(eta), row(logits, "within: n ~~ n")[:, None]
    pearson = ((codes_of(logits, "n") - rate) / np.sqrt(rate + alpha * rate**2))[:, HOLES["n"]]
    assert abs(pearson.mean()) < 4 / np.sqrt(pearson.size)
    assert (pearson**2).mean() == pytest.approx(1.0, abs=0.25)


def test_frames(probits: bm.Fit) -> None:
    """Labels of the data, observed values as they were, and other draws with another seed."""
    first, second = probits.impute(draws=2, random_seed=1)
    assert first["y1"].cat.categories.tolist() == WORDS
    assert first.index.equals(FRAME.index)
    for frame in (first, second):
        for name in (*ITEMS, "c", "time", "x"):
            seen = FRAME[name].notna()
            assert frame.loc[seen, name].equals(FRAME.loc[seen, name])
        assert not frame[list(ITEMS)].isna().any().any()
    assert not first["y1"].equals(second["y1"])
    again = probits.impute(draws=2, random_seed=1)[0]
    assert again.equals(first)


def test_predictions_of_missing_counts_have_their_exposures(probits: bm.Fit) -> None:
    """They were made with an exposure of 1 once."""
    means = probits.predict().query("outcome == 'c'")["mean"].to_numpy()
    new = FRAME.assign(time=FRAME["time"].fillna(1.0))
    again = probits.predict(new).query("outcome == 'c'")["mean"].to_numpy()
    assert np.flatnonzero(np.isnan(means)).tolist() == [25]
    np.testing.assert_allclose(np.delete(means, 25), np.delete(again, 25), rtol=1e-12)
    drawn = probits.predict(kind="outcome", return_draws=True).sel(outcome="c").to_numpy()
    assert np.flatnonzero(np.isnan(drawn).any(axis=(0, 1))).tolist() == [25]
    assert np.isnan(drawn[..., 25]).all()
