"""WAIC and DIC against their formulas, written out."""

from __future__ import annotations

import numpy as np
import pytest

import bayes_msem as bm
from tests.checking.laplace import laplace_fit
from tests.likelihood.cases import SINGLE_LEVEL_CASES, TWO_LEVEL_CASES, make_frame, make_model
from tests.oracle import oracle_log_likelihood
from tests.posterior.made_up import synthetic_fit
from tests.random.models import build, case, make_data


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    """Random intercept, x1 and x2 within, w1 and w2 between; no correlations."""
    frame = make_frame(sizes=(6,) * 24, seed=2)
    return laplace_fit(make_model(TWO_LEVEL_CASES[1], frame), draws=50)


@pytest.mark.parametrize("unit", ["cluster", "observation"])
def test_waic_by_hand(fit: bm.Fit, unit: str) -> None:
    found = fit.waic(unit)  # type: ignore[arg-type]
    values = fit.log_likelihood(unit).to_numpy().reshape(100, -1)  # type: ignore[arg-type]
    n = values.shape[1]
    terms, penalties = [], []
    for i in range(n):
        density = np.exp(values[:, i])
        spread = np.sum((values[:, i] - values[:, i].mean()) ** 2) / 99
        terms.append(np.log(density.mean()) - spread)
        penalties.append(spread)
    # sums of hundreds of terms: rounding
    assert found.elpd == pytest.approx(sum(terms), rel=1e-10)
    assert found.p_waic == pytest.approx(sum(penalties), rel=1e-10)
    assert found.waic == pytest.approx(-2 * sum(terms), rel=1e-10)
    mean = sum(terms) / n
    variance = sum((t - mean) ** 2 for t in terms) / (n - 1)
    assert found.se == pytest.approx(np.sqrt(n * variance), rel=1e-10)
    np.testing.assert_allclose(found.pointwise["elpd"], terms, rtol=1e-10)
    assert found.n_unreliable == sum(p > 0.4 for p in penalties)
    assert f"{found.waic:.1f}" in repr(found)


def test_dic_by_hand(fit: bm.Fit) -> None:
    """Deviances from the oracle; the mean is that of standard deviations, not of variances."""
    found = fit.dic()
    model, draws = fit.model, fit.draws
    variances = {r.key for r in model.table.rows if r.kind == "variance"}
    assert len(variances) == 2
    frame = make_frame(sizes=(6,) * 24, seed=2)
    deviances = np.array(
        [
            -2 * oracle_log_likelihood({k: d[c, s] for k, d in draws.items()}, frame, "group")
            for c in range(2)
            for s in range(50)
        ]
    )
    at = {k: np.sqrt(d).mean() ** 2 if k in variances else d.mean() for k, d in draws.items()}
    at_mean = -2 * oracle_log_likelihood(at, frame, "group")
    # rounding of stacked covariance matrices
    assert found.mean_deviance == pytest.approx(deviances.mean(), rel=1e-9)
    assert found.deviance_at_mean == pytest.approx(at_mean, rel=1e-9)
    p_d = deviances.mean() - at_mean
    assert found.p_d == pytest.approx(p_d, rel=1e-6)
    assert found.dic == pytest.approx(at_mean + 2 * p_d, rel=1e-9)
    assert found.p_v == pytest.approx(deviances.var(ddof=1) / 2, rel=1e-6)
    assert found.integration_error == 0.0
    # six parameters; a normal posterior would give 6
    assert 3 < found.p_d < 9
    assert f"{found.dic:.1f}" in repr(found)


def test_single_level_models() -> None:
    frame = make_frame(sizes=(6,) * 24, seed=2)
    fit = laplace_fit(make_model(SINGLE_LEVEL_CASES[0], frame), draws=50)
    model = fit.model
    at = {}
    for row in model.table.rows:
        d = fit.draws[row.key]
        at[row.key] = np.sqrt(d).mean() ** 2 if row.kind == "variance" else d.mean()
    found = fit.dic()
    assert found.deviance_at_mean == pytest.approx(-2 * model.log_likelihood(at), rel=1e-10)
    assert fit.waic().unit == "observation"


def test_dic_with_sampled_effects_states_its_error() -> None:
    """Made-up draws: the deviance at the mean has its own integral, with the same nodes."""
    fit = synthetic_fit(build(case("residual SD"), make_data()), chains=1, draws=10)
    with pytest.warns(bm.AccuracyWarning, match="nodes"):
        values = fit.log_likelihood(nodes=128)
    found = fit.dic()
    mean = -2 * values.to_numpy().sum(axis=-1).mean()
    assert found.mean_deviance == pytest.approx(mean, rel=1e-12)
    assert found.integration_error > 0
    assert "numerical integrals" in repr(found)
