"""Log-likelihoods of rows and clusters at draws, against integrals written here."""

import numpy as np
import pytest
from scipy.stats import norm

import bayes_msem as bm
from bayes_msem.checking.accuracy.integral import ClusterIntegral, Proposal
from bayes_msem.checking.accuracy.log_likelihood import cluster_integral, parameter_points
from bayes_msem.errors import AccuracyWarning, NotSupportedError
from bayes_msem.inference.working import expand_rows
from bayes_msem.likelihood.row_integral import RowIntegral, hermite_rule
from tests.checking.outcome_fits import design, fitted


def test_rows_given_their_clusters(items: bm.Fit) -> None:
    """Integrate over the factor on a fine grid."""
    found = items.log_likelihood("observation")
    assert found.sizes == {"chain": 2, "draw": 150, "obs_id": 200}
    assert 0 < found.attrs["largest_integration_error"] < 0.01
    observed, effects = items.model.observed, items.cluster_draws["effects"]
    assert observed.cluster is not None
    z = np.linspace(-8, 8, 801)
    for chain, draw in ((0, 3), (1, 140)):

        def value(row: str, at: tuple[int, int] = (chain, draw)) -> float:
            return float(items.draws[row][at])

        loadings = [1.0, value("within: f =~ y2"), value("within: f =~ y3")]
        sd = value("within: f ~~ f") ** 0.5
        for i in (0, 3, 77, 199):  # y2 is missing in 3 and 77
            own = effects.isel(chain=chain, draw=draw, cluster_id=observed.cluster[i])
            f = value("within: f ~ x") * observed.x[i, 0] + sd * z
            p = norm.pdf(z)
            for k in range(3):
                if np.isnan(observed.y[i, k]):
                    continue
                y = f"y{k + 1}"
                cuts = [value(f"between: {y} | t{c}") for c in (1, 2)]
                edges, c = [-np.inf, *cuts, np.inf], int(observed.y[i, k])
                eta = loadings[k] * f + float(own.sel(effect=y))
                p = p * (norm.cdf(edges[c + 1] - eta) - norm.cdf(edges[c] - eta))
            expected = np.log(np.trapezoid(p, z))
            given = float(found.isel(chain=chain, draw=draw).sel(obs_id=i))
            assert given == pytest.approx(expected, abs=2e-3)


@pytest.mark.slow
def test_clusters_against_quadrature_at_their_modes(items: bm.Fit) -> None:
    """Importance sampling from the posterior, against product rules placed anew for each draw."""
    blueprint, posterior = items.model.blueprint, items.datatree["posterior"].to_dataset()
    integral = cluster_integral(blueprint, posterior, nodes=512, random_seed=1)
    points = parameter_points(blueprint, posterior)
    for place in (0, 149, 250):
        value, error = integral(points[place])
        placed = expand_rows(blueprint, points[place], None)
        shape = placed.likelihood.shape
        proposal = Proposal(np.zeros(shape), np.tile(np.eye(3), (shape[0], 1, 1)))
        rows = RowIntegral(placed.likelihood, hermite_rule(15, 1))
        rng = np.random.default_rng(1)
        other = ClusterIntegral(placed, proposal, nodes=8, rng=rng, rows=rows)
        exact = other.by_rule(points[place], hermite_rule(9, 3))
        # standard errors from four shifts have three degrees of freedom
        assert (np.abs(value - exact) < 8 * error + 0.005).all()
        assert np.abs(value - exact).mean() < 3 * error.mean()
        assert np.median(error) < 0.03


def test_few_nodes_are_warned_of(items: bm.Fit) -> None:
    with pytest.warns(AccuracyWarning, match="standard error above 0.1"):
        rough = items.log_likelihood("cluster", nodes=8, thin=149)
    assert rough.attrs["largest_integration_error"] > 0.1
    assert rough.sizes == {"chain": 2, "draw": 2, "cluster_id": 40}


def test_loo_of_rows(items: bm.Fit) -> None:
    with pytest.warns(AccuracyWarning, match="Pareto k is above"):
        result = items.loo("observation")
    assert result.unit == "observation"
    assert result.integration_error < 0.01
    assert len(result.pointwise) == 200
    lowest = 3 * np.log(1 / 3)  # of three items that nobody can predict
    assert lowest < result.elpd / 200 < 0
    assert items.waic("observation").elpd == pytest.approx(result.elpd, abs=5)


def test_moment_matching_is_refused(items: bm.Fit) -> None:
    with pytest.raises(NotSupportedError, match="scores of rows and the effects of the clusters"):
        items.loo("observation", refit="moment_match")


def test_dic_without_effects_is_refused() -> None:
    fit = fitted(bm.Model("c ~ x", data=design(), families={"c": "poisson"}))
    exact = fit.log_likelihood()
    assert exact.attrs["largest_integration_error"] == 0
    with pytest.raises(NotSupportedError, match="The DIC of a model without effects"):
        fit.dic()
