"""LOO: the record, exact refits and moment matching; no NUTS but in the slow test."""

from __future__ import annotations

import re

import arviz_stats as az
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

import bayes_msem as bm
from bayes_msem.checking.accuracy.loo import LooResult
from bayes_msem.checking.accuracy.refit import exact_terms
from tests.checking.resampled import resampled_fit
from tests.likelihood.cases import SINGLE_LEVEL_CASES, make_model
from tests.oracle import oracle_from_values
from tests.posterior.made_up import synthetic_fit
from tests.random.models import build, case, linear_random, make_data

Array = NDArray[np.float64]

DRAWS = 400  # in each of two chains
SLOPES = """
level: within
    y ~ rv("s")*x
level: between
    y ~ w
    y ~~ s
"""


def slopes_data(n_clusters: int = 60, n: int = 8, seed: int = 3) -> pd.DataFrame:
    """Random intercepts and slopes, and one cluster (named "odd") that is far from all others."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_clusters), n)
    frame = pd.DataFrame({"w": rng.normal(size=n_clusters)[g], "x": rng.normal(size=len(g))})
    intercept = 0.5 * rng.normal(size=n_clusters)
    intercept[4] += 5.0
    slope = 0.4 + 0.3 * rng.normal(size=n_clusters)
    frame["y"] = intercept[g] + slope[g] * frame["x"] + rng.normal(size=len(g))
    frame["g"] = np.where(g == 4, "odd", [f"c{j}" for j in g])
    return frame


def again(model: bm.Model) -> bm.Fit:
    return resampled_fit(model, draws=DRAWS, seed=7)


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    return resampled_fit(bm.Model(SLOPES, slopes_data(), cluster="g"), draws=DRAWS)


@pytest.fixture(scope="module")
def psis(fit: bm.Fit) -> LooResult:
    with pytest.warns(bm.AccuracyWarning, match=r"Pareto k is above 0.66 .* clusters \(odd"):
        return fit.loo()


@pytest.fixture(scope="module")
def exact(fit: bm.Fit) -> LooResult:
    return fit.loo(refit=again, threshold=-np.inf)


def test_it_is_arviz_loo(fit: bm.Fit, psis: LooResult) -> None:
    with pytest.warns(UserWarning, match="Estimated shape parameter"):
        expected = az.loo(fit.datatree, var_name="cluster", pointwise=True)
    assert psis.elpd == expected.elpd
    assert psis.se == expected.se
    assert psis.p_loo == expected.p
    assert psis.pareto_k.index.equals(fit.model.observed.cluster_ids)
    np.testing.assert_array_equal(psis.pareto_k, expected.pareto_k)
    assert psis.high_k.index.tolist() == ["odd"]
    assert psis.pointwise.sum() == pytest.approx(psis.elpd, rel=1e-12)


def test_the_printed_record(psis: LooResult) -> None:
    text = repr(psis)
    assert "60 clusters from 800 draws: new clusters" in text
    assert re.search(rf"elpd_loo +{psis.elpd:.1f} +{psis.se:.1f}\n", text)
    assert re.search(rf"p_loo +{psis.p_loo:.1f}\n", text)
    k = psis.pareto_k["odd"]
    assert f"Pareto k above 0.66 in 1 of 60 clusters: odd ({k:.2f})." in text


def test_exact_refits_by_hand(fit: bm.Fit, exact: LooResult) -> None:
    """The oracle's density of two left-out clusters, averaged over the draws of the refit."""
    frame = slopes_data()
    for label in ("odd", "c7"):
        without = fit.model.observed
        keep = np.asarray(without.cluster_ids != label)
        other = again(bm.Model(SLOPES, frame[frame["g"] != label], cluster="g", priors=priors(fit)))
        assert other.model.observed.cluster_ids.equals(without.cluster_ids[keep])
        left_out = frame[frame["g"] == label]
        logs = []
        for chain in range(2):
            for draw in range(DRAWS):
                values = {
                    key: float(d[chain, draw])
                    for key, d in other.draws.items()
                    if np.isfinite(d[chain, draw])
                }
                oracle = oracle_from_values(values, left_out, "g", random=linear_random(fit.model))
                logs.append(oracle.log_likelihood())
        expected = logsumexp(logs) - np.log(len(logs))
        # both modes are found to 1e-5 standard deviations or so
        assert exact.pointwise[label] == pytest.approx(expected, abs=1e-3)


def priors(fit: bm.Fit) -> dict[tuple[str, str, str, str], str]:
    """Return the priors of a fit's model as its user would write them."""
    blueprint = fit.model.blueprint
    return {r.key: str(blueprint.priors[r.free]) for r in blueprint.table.rows if r.free}


def test_importance_sampling_against_exact_refits(psis: LooResult, exact: LooResult) -> None:
    """Where k is below .5, to the accuracy of 800 draws; and the odd cluster needs the refit."""
    good = psis.pareto_k < 0.5
    assert good.sum() > 50
    gap = (psis.pointwise - exact.pointwise)[good]
    # SDs of log densities over draws are 0.2 for most and up to 1; 800 draws, twice: .01 and .05
    assert gap.abs().max() < 0.2
    assert gap.abs().median() < 0.02
    assert exact.pointwise["odd"] < psis.pointwise["odd"] - 0.2
    assert exact.replaced == tuple(psis.pareto_k.index)
    np.testing.assert_array_equal(exact.pareto_k, psis.pareto_k)
    assert exact.high_k.empty


def test_refits_replace_what_they_should(fit: bm.Fit, psis: LooResult, exact: LooResult) -> None:
    found = fit.loo(refit=again)
    assert found.replaced == ("odd",)
    others = psis.pareto_k.index != "odd"
    pd.testing.assert_series_equal(found.pointwise[others], psis.pointwise[others])
    assert found.pointwise["odd"] == pytest.approx(exact.pointwise["odd"], rel=1e-12)
    terms = found.pointwise.to_numpy()
    assert found.elpd == pytest.approx(terms.sum(), rel=1e-12)
    assert found.se == pytest.approx(np.sqrt(len(terms) * terms.var(ddof=1)), rel=1e-12)
    values = fit.log_likelihood().to_numpy().reshape(2 * DRAWS, -1)
    lppd = logsumexp(values, axis=0) - np.log(len(values))
    assert found.p_loo == pytest.approx((lppd - terms).sum(), rel=1e-9)
    assert float(found.elpd_data.pareto_k.sel(cluster_id="odd")) == 0.0
    assert "Replaced by exact refits: odd" in repr(found)


def test_se_is_that_of_arviz(psis: LooResult) -> None:
    terms = psis.pointwise.to_numpy()
    assert psis.se == pytest.approx(np.sqrt(len(terms) * terms.var(ddof=1)), rel=1e-12)


def test_moment_matching_helps(fit: bm.Fit, psis: LooResult, exact: LooResult) -> None:
    found = fit.loo(refit="moment_match")
    assert found.replaced == ("odd",)
    assert found.high_k.empty
    error = abs(found.pointwise["odd"] - exact.pointwise["odd"])
    assert error < abs(psis.pointwise["odd"] - exact.pointwise["odd"])
    assert error < 0.5
    assert "Replaced by moment matching" in repr(found)


def test_rows_of_known_clusters(fit: bm.Fit) -> None:
    """PSIS against refits for some rows with good k, and the record for all."""
    with pytest.warns(bm.AccuracyWarning, match="of 480 rows"):
        psis = fit.loo("observation")
    assert "new rows of known clusters" in repr(psis)
    rows = np.flatnonzero(psis.pareto_k < 0.4)[::60]
    assert len(rows) >= 6
    exact = exact_terms(fit.model, "observation", rows, again, None)
    # two sets of 800 draws of effects and parameters: SDs of the log density are 0.5 and less
    np.testing.assert_allclose(psis.pointwise.to_numpy()[rows], exact, atol=0.1)


def test_rows_of_single_level_models() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x1": rng.normal(size=90), "x2": rng.normal(size=90)})
    frame["y1"] = 0.3 * frame["x1"] + rng.normal(size=90)
    frame.loc[7, ["x1", "y1"]] = [3.0, 9.0]
    fit = resampled_fit(make_model(SINGLE_LEVEL_CASES[0], frame), draws=DRAWS)
    with pytest.warns(bm.AccuracyWarning, match=r"1 of 90 rows \(7 "):
        psis = fit.loo()
    assert "new rows" in repr(psis)
    assert "known clusters" not in repr(psis)
    exact, matched = fit.loo(refit=again), fit.loo(refit="moment_match")
    assert exact.replaced == matched.replaced == (7,)
    # moment matching comes closer than importance sampling
    error = abs(matched.pointwise[7] - exact.pointwise[7])
    assert error < abs(psis.pointwise[7] - exact.pointwise[7])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refit": "exakt"}, "refit='exakt' is unknown.*did you mean 'exact'"),
        ({"draws": 100}, "'draws' would be passed to the refits"),
        ({"threshold": 0.5}, "threshold says which units to fit again"),
        ({"unit": "cluster", "refit": "moment_match", "threshold": 0.5}, "threshold says"),
    ],
)
def test_refusals(fit: bm.Fit, options: dict[str, object], message: str) -> None:
    with pytest.raises(bm.SpecificationError, match=message):
        fit.loo(**options)  # type: ignore[arg-type]


def test_moment_matching_needs_parameters_alone(fit: bm.Fit) -> None:
    with pytest.raises(bm.NotSupportedError, match="effects of the clusters"):
        fit.loo("observation", refit="moment_match")


@pytest.mark.filterwarnings("ignore::bayes_msem.AccuracyWarning")  # made-up draws
def test_sampled_effects_are_integrated_in_refits() -> None:
    """The refit is the same fit here, so the new term is the log of the mean density."""
    fit = synthetic_fit(build(case("residual SD"), make_data()), chains=1, draws=40)
    values = fit.log_likelihood(nodes=256)
    result = fit.loo(refit=lambda model: fit, threshold=-np.inf)
    expected = logsumexp(values.to_numpy()[0], axis=0) - np.log(40)
    error = fit.datatree["log_likelihood_error"]["cluster"].to_numpy()[0]
    # the best draws dominate; eight of their standard errors, twice
    bound = 16 * error.max(axis=0) / np.sqrt(5) + 1e-6
    assert (np.abs(result.pointwise - expected) < bound).all()
    assert result.integration_error == values.attrs["largest_integration_error"]
    assert "integrated numerically" in repr(result)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_msem.SmallSampleWarning")
# among 12 refits, one R-hat of 1.011 is to be expected
@pytest.mark.filterwarnings("default::bayes_msem.ConvergenceWarning")
def test_nuts_against_exact_leave_one_cluster_out() -> None:
    """PSIS-LOO from one fit against 12 refits with NUTS."""
    frame = slopes_data(n_clusters=12, n=8, seed=5)
    fit = bm.Model(SLOPES, frame, cluster="g").fit(
        draws=1000, tune=1000, chains=4, random_seed=1, progress=False
    )
    with pytest.warns(bm.AccuracyWarning):
        psis = fit.loo()
    exact = fit.loo(refit="exact", threshold=-np.inf)
    good = psis.pareto_k < psis.elpd_data.good_k
    assert good.sum() >= 9
    # 4,000 draws, relative efficiency of about one half: .03; k near .7 costs some more
    assert (psis.pointwise - exact.pointwise)[good].abs().max() < 0.1
    # too favourable, by how much depends on the draw or two that dominate: 1.0 and 2.0 were seen
    assert psis.pointwise["odd"] - exact.pointwise["odd"] > 0.3
