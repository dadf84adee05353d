"""Missing normal outcomes beside others: imputed values and scores, against conditional moments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from tests.posterior.made_up import synthetic_fit
from tests.posterior.outcome_fits import ITEMS, MIXED, SINGLE, Array, make_data, row

INDICATORS = ("u1", "u2", "u3")
HOLES = {"u1": slice(20, 110), "u2": slice(70, 130), "u3": slice(90, 100), "y2": slice(60, 80)}


def with_holes() -> pd.DataFrame:
    """Rows that miss one, two, or all of the normal indicators."""
    frame = make_data()
    for name, rows in HOLES.items():
        frame.loc[frame.index[rows], name] = np.nan
    frame.loc[5, [*ITEMS, *INDICATORS, "n"]] = np.nan  # nothing is known, not even x
    frame.loc[5, "x"] = np.nan
    return frame


FRAME = with_holes()


@pytest.fixture(scope="module")
def mixed() -> bm.Fit:
    families = dict.fromkeys(ITEMS, "ordinal(logit)") | {"n": "negbinomial"}
    return synthetic_fit(bm.Model(MIXED, data=FRAME, cluster="school", families=families), draws=60)


def moments(fit: bm.Fit) -> Iterator[tuple[int, int, Array, Array, Array]]:
    """Of (u1, u2, u3, g) given f and the observed indicators, by draw and row with holes.

    With g the factor of the indicators, f = slope x + b g + e: textbook formulas.
    """
    scores = fit.scores(return_draws=True).sel(factor="f").to_numpy().reshape(120, -1)
    draws = fit.cluster_draws["effects"]
    effects = draws.sel(effect=[*INDICATORS, "s"]).to_numpy().reshape(120, 25, 4)
    data, codes = FRAME[[*INDICATORS]].to_numpy(), fit.model.observed.cluster
    loadings = [np.ones(120), *(row(fit, f"within: g =~ {u}") for u in INDICATORS[1:])]
    theta = [row(fit, f"within: {u} ~~ {u}") for u in INDICATORS]
    psi, b, rest = (row(fit, f"within: {name}") for name in ("g ~~ g", "f ~ g", "f ~~ f"))
    for s in range(120):
        load = np.array([*(lam[s] for lam in loadings), 1.0, b[s]])  # u, g, f
        own = np.array([*(t[s] for t in theta), 0.0, rest[s]])
        cov = psi[s] * np.outer(load, load) + np.diag(own)
        for i in np.flatnonzero(np.isnan(data).any(axis=1) & FRAME["x"].notna()):
            effect = effects[s, codes[i]]
            mean = np.array([*effect[:3], 0.0, effect[3] * FRAME["x"].iloc[i]])
            gone = [*np.flatnonzero(np.isnan(data[i])), 3]
            seen = [*np.flatnonzero(~np.isnan(data[i])), 4]
            known = np.append(data[i], [0.0, scores[s, i]])[seen] - mean[seen]
            slope = np.linalg.solve(cov[np.ix_(seen, seen)], cov[np.ix_(seen, gone)]).T
            yield (
                s, i, np.array(gone), mean[gone] + slope @ known,
                cov[np.ix_(gone, gone)] - slope @ cov[np.ix_(seen, gone)],
            )  # fmt: skip


def check_standard_normal(z: Array, other: Array) -> None:
    """Mean, variance and correlation with something known, within four standard errors."""
    n = len(z)
    assert n > 1000
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs(np.corrcoef(z, other)[0, 1]) < 4 / np.sqrt(n)


def test_indicators_and_scores(mixed: bm.Fit) -> None:
    """Whitened by their covariance given scores and observed indicators, all are N(0, 1)."""
    frames = mixed.impute(draws=120, random_seed=2)
    imputed = np.stack([frame[[*INDICATORS]].to_numpy() for frame in frames])
    g = mixed.scores(return_draws=True).sel(factor="g").to_numpy().reshape(120, -1)
    seen = FRAME[[*INDICATORS]].notna().to_numpy()
    np.testing.assert_array_equal(
        imputed[:, seen], np.tile(FRAME[[*INDICATORS]].to_numpy()[seen], (120, 1))
    )
    z: list[float] = []
    factor: list[float] = []
    means: list[float] = []
    for s, i, gone, mean, cov in moments(mixed):
        holes, value = gone[:-1], imputed[s, i, gone[:-1]]
        root = np.linalg.cholesky(cov[:-1, :-1])
        z += np.linalg.solve(root, value - mean[:-1]).tolist()
        means += [mean[0]] * len(holes)
        factor.append((g[s, i] - mean[-1]) / np.sqrt(cov[-1, -1]))
    check_standard_normal(np.array(z), np.array(means))
    check_standard_normal(np.array(factor), np.arange(len(factor)) % 7)
    assert np.isnan(imputed[:, 5]).all()  # no covariate
    assert np.isnan(g[:, 5]).all()


def test_a_response_follows_an_imputed_predictor() -> None:
    """Where both are missing: the count has its mean at the predictor of the same frame."""
    frame = make_data()
    frame.loc[frame.index[:60], ["u1", "c"]] = np.nan
    families = dict.fromkeys(ITEMS, "ordinal(probit)") | {"c": "poisson"}
    fit = synthetic_fit(
        bm.Model(f"{SINGLE}\nc ~ u1\nu1 ~ x", data=frame, families=families), draws=60
    )
    frames = fit.impute(draws=120, random_seed=3)
    c, u1 = (np.stack([f[name].to_numpy()[:60] for f in frames]) for name in ("c", "u1"))
    scores = fit.scores(return_draws=True).sel(factor="f").to_numpy().reshape(120, -1)[:, :60]
    slope = row(fit, "within: c ~ u1")[:, None]
    eta = row(fit, "within: c ~ 1")[:, None] + row(fit, "within: c ~ f")[:, None] * scores
    rate = np.exp(eta + slope * u1)
    pearson = (c - rate) / np.sqrt(rate)
    assert abs(pearson.mean()) < 4 / np.sqrt(pearson.size)
    assert (pearson**2).mean() == pytest.approx(1.0, abs=0.15)
    # and not at its expectation
    expected = row(fit, "within: u1 ~ 1")[:, None] + row(fit, "within: u1 ~ x")[
        :, None
    ] * np.asarray(frame["x"].iloc[:60])
    z = (u1 - expected) / np.sqrt(row(fit, "within: u1 ~~ u1"))[:, None]
    assert stats.kstest(z.ravel(), "norm").pvalue > 0.001
