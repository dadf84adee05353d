"""Power-scaling sensitivity, against exact power-scaled posteriors, SciPy densities and quadrature.

Fits are from the normal approximation (exact where a test says so) or made up.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.priors.prior_advice import CONFLICT, STRONG_PRIOR, wider_prior
from bayes_msem.checking.priors.prior_sensitivity import log_likelihood_draws, log_prior_draws
from bayes_msem.errors import SpecificationError
from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.inference.density import log_prior
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.spec.prior_text import read_prior
from tests.checking.laplace import laplace_fit
from tests.posterior.made_up import posterior_of, synthetic_fit
from tests.random.models import build, case, informed, make_data, sampled_values
from tests.reference_models import load_reference

Array = NDArray[np.float64]

DEMO = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ a*x1 + x2 + x3
level: between
    fb =~ y1 + y2 + y3
    fb ~ w1 + w2
squared := a^2
"""


# A conjugate model: all is known ------------------------------------------------------------------


def conjugate(prior: tuple[float, float], *, mean: float = 0.0, n: int = 20) -> bm.Model:
    """y ~ N(mu, 1), mu ~ N(prior): a normal posterior, of which the approximation is exact."""
    y = np.linspace(-1.5, 1.5, n) + mean
    priors = {"y ~ 1": f"normal({prior[0]}, {prior[1]})"}
    return bm.Model("y ~~ 1*y\ny ~ 1", data=pd.DataFrame({"y": y}), priors=priors)


def posterior(prior: tuple[float, float], mean: float, n: int, a: float, b: float) -> stats.norm:
    """Exact posterior with the prior to the power a and the likelihood to the power b."""
    precision = a / prior[1] ** 2 + b * n
    return stats.norm((a * prior[0] / prior[1] ** 2 + b * n * mean) / precision, precision**-0.5)


def cjs_distance(p: stats.norm, q: stats.norm, low: float, high: float) -> float:
    """Cumulative Jensen-Shannon distance of two distributions on [low, high], by quadrature."""
    x = np.linspace(low, high, 20_001)

    def one(cdf_p: Array, cdf_q: Array) -> float:
        middle = (cdf_p + cdf_q) / 2

        def divergence(f: Array, g: Array) -> float:
            return np.trapezoid(f * np.log2(f / middle), x) + np.trapezoid(g - f, x) / np.log(4)

        total = divergence(cdf_p, cdf_q) + divergence(cdf_q, cdf_p)
        return np.sqrt(total / np.trapezoid(cdf_p + cdf_q, x))

    return max(one(p.cdf(x), q.cdf(x)), one(p.sf(x), q.sf(x)))


@pytest.mark.parametrize(
    ("prior", "mean"),
    [((0.0, 10.0), 0.0), ((3.0, 0.3), 0.0), ((0.0, 0.1), 0.0), ((1.0, 0.5), -1.0)],
    ids=["vague", "conflict", "strong", "shifted"],
)
def test_sensitivity_is_that_of_the_exact_posteriors(
    prior: tuple[float, float], mean: float
) -> None:
    """Tolerance: 3 SDs over seeds with 20,000 draws (2%), and a bias of 1%."""
    n = 20
    fit = laplace_fit(conjugate(prior, mean=mean, n=n), draws=10_000)
    found = fit.prior_sensitivity().table.iloc[0]
    draws = fit.draws["within", "y", "~", "1"]
    base = posterior(prior, mean, n, 1, 1)
    assert stats.kstest(draws.ravel(), base.cdf).pvalue > 0.001
    for column, powers in (
        ("prior_sensitivity", ((0.99, 1.0), (1.01, 1.0))),
        ("likelihood_sensitivity", ((1.0, 0.99), (1.0, 1.01))),
    ):
        slopes = [
            cjs_distance(base, posterior(prior, mean, n, *power), draws.min(), draws.max())
            / abs(np.log2(power[0] * power[1]))
            for power in powers
        ]
        assert found[column] == pytest.approx(np.mean(slopes), rel=0.07), column


def test_diagnoses_of_conflict_weak_data_and_harmless_priors() -> None:
    harmless = laplace_fit(conjugate((0.0, 10.0)), draws=1000).prior_sensitivity()
    assert list(harmless.table["diagnosis"]) == [""]
    assert harmless.advice == ()
    assert "No row is sensitive" in repr(harmless)
    conflict = laplace_fit(conjugate((3.0, 0.3)), draws=1000).prior_sensitivity()
    assert list(conflict.table["diagnosis"]) == [CONFLICT]
    assert list(conflict.table["source"]) == ["y ~ 1"]
    (line,) = conflict.advice
    assert "That is no error" in line
    assert "{('within', 'y', '~', '1'): 'normal(3, 0.6)'}" in line
    weak = laplace_fit(conjugate((0.0, 0.02)), draws=1000).prior_sensitivity()
    assert list(weak.table["diagnosis"]) == [STRONG_PRIOR]
    assert "say little about y ~ 1" in weak.advice[0]


# The log prior ------------------------------------------------------------------------------------


def test_log_priors_are_those_of_scipy() -> None:
    text = """
        level: within
            f =~ y1 + prior("studentt(4, 1, 0.5)")*y2 + y3
            f ~ prior("laplace(0, 2)")*x1
            y1 ~~ prior("gamma(2, 3)")*y1
        level: between
            y1 ~~ y2 + y3
            y2 ~~ y3
            y1 ~ 1
    """
    data = make_data(sizes=(4,) * 25)
    model = bm.Model(text, data=data, cluster="group", priors=SET)
    blueprint = model.blueprint
    x = np.array([sampled_values(blueprint, i) for i in range(20)])
    x = np.abs(x)
    found = pd.DataFrame(
        log_prior_draws(blueprint, x), columns=[row.key for row in blueprint.parameters.rows]
    )
    theta = blueprint.theta(x)
    value = {r.key: blueprint.row_value(r.key, theta) for r in model.table.rows if r.free}
    scipy = {
        ("within", "f", "=~", "y2"): stats.t(4, 1, 0.5),
        ("within", "f", "~", "x1"): stats.laplace(0, 2),
        ("between", "y1", "~", "1"): stats.norm(0.5, 2),
    }
    for key, distribution in scipy.items():
        np.testing.assert_allclose(found[key], distribution.logpdf(value[key]), rtol=1e-10)
    for key, distribution in {
        ("within", "y1", "~~", "y1"): stats.gamma(2, scale=1 / 3),
        ("between", "y2", "~~", "y2"): stats.halfnorm(scale=0.7),
    }.items():
        np.testing.assert_allclose(found[key], distribution.logpdf(np.sqrt(value[key])), rtol=1e-10)
    # LKJ(3): det(R)^2, up to a constant
    names = ("y1", "y2", "y3")
    r = np.tile(np.eye(3), (len(x), 1, 1))
    pairs = []
    for key, v in value.items():
        level, a, op, b = key
        if level == "between" and op == "~~" and a != b:
            sd = np.sqrt(value[level, a, "~~", a] * value[level, b, "~~", b])
            i, k = names.index(a), names.index(b)
            r[:, i, k] = r[:, k, i] = v / sd
            pairs.append(key)
    assert len(pairs) == 3
    difference = found[pairs].sum(axis=1) - 2 * np.log(np.linalg.det(r))
    np.testing.assert_allclose(difference, difference[0], rtol=1e-9)


SET = {
    ("between", "covariance"): "lkj(3)",
    ("between", "sd"): "halfnormal(0.7)",
    ("between", "y1", "~", "1"): "normal(0.5, 2)",
}


def test_log_priors_add_up_to_the_density_that_is_sampled() -> None:
    """Without blocks of three or more correlated variables the two scales are the same."""
    blueprint = build(case("residual SD")).unpiloted_blueprint()
    for seed in range(5):
        x = sampled_values(blueprint, seed)
        total, _ = log_prior(blueprint, x)
        total -= np.log(2)  # the density of the correlation r is half that of (r + 1) / 2
        assert log_prior_draws(blueprint, x).sum() == pytest.approx(total, rel=1e-12)


# The log-likelihood -------------------------------------------------------------------------------


def test_log_likelihood_of_marginal_models() -> None:
    demo = load_reference("demo-twolevel")
    model = bm.Model(DEMO, data=demo.frame, cluster=demo.cluster)
    fit = laplace_fit(model, draws=3)
    found = log_likelihood_draws(model.blueprint, fit.datatree["posterior"].to_dataset())
    for chain, draw in ((0, 0), (1, 2)):
        free = {r.key: fit.draws[r.key][chain, draw] for r in model.table.rows if r.free}
        assert found[chain, draw] == pytest.approx(model.log_likelihood(free), rel=1e-10)


def test_log_likelihood_with_sampled_effects_is_the_identity_at_the_approximation() -> None:
    """log p(y | b) + log p(b) - log q(b), q normal with precision Lambda + 1 / omega: in SciPy."""
    model = build(case("residual SD"))
    fit = synthetic_fit(model, draws=4, chains=1)  # with made-up information
    blueprint, dataset = informed(model.blueprint, 1, joint=False), fit.datatree["posterior"]
    dataset = dataset.to_dataset()
    found = log_likelihood_draws(blueprint, dataset)[0]
    information = blueprint.likelihood.approximation.information[:, 0, 0]
    linear = blueprint.likelihood.approximation.linear[:, 0]
    expected = []
    for i in range(4):
        free = {r.key: fit.draws[r.key][0, i] for r in model.table.rows if r.free}
        mean = free["between", "v1", "~", "1"]
        mean = mean + free["between", "v1", "~", "w1"] * blueprint.observed.w[:, 0]
        omega = free["between", "v1", "~~", "v1"]
        b = effects_at(blueprint, dataset, i)[:, 0]
        frame = pd.DataFrame({"v1": b}, index=blueprint.observed.cluster_ids)
        variance = 1 / (information + 1 / omega)
        q = stats.norm(variance * (linear + mean / omega), np.sqrt(variance))
        value = model.log_likelihood(free, effects=frame)
        value += (stats.norm(mean, np.sqrt(omega)).logpdf(b) - q.logpdf(b)).sum()
        expected.append(value)
    difference = found - np.array(expected)  # the density of t is known up to a constant
    np.testing.assert_allclose(difference, difference[0], atol=1e-8)


def effects_at(blueprint: Blueprint, dataset: xr.Dataset, i: int) -> Array:
    x = sampled_parameters(blueprint, dataset)[0, i]
    t = np.ascontiguousarray(dataset[COORDINATES].to_numpy()[0, i])
    return blueprint.likelihood.effects(np.ascontiguousarray(blueprint.extend_sampled(x)), t)


def test_log_likelihood_with_sampled_effects_is_near_the_integral() -> None:
    """One effect in ten small clusters, by quadrature; near the pilot, within 0.5 nats per cluster.

    The normal approximation is worst in clusters this small; what matters is that its error is
    noise, not of the size that the uninformed coordinates make (tens of nats at such t).
    """
    model = build(case("residual SD"))
    blueprint = model.blueprint
    rng = np.random.default_rng(1)
    x = blueprint.pilot * np.exp(0.1 * rng.standard_normal((4, len(blueprint.pilot))))
    dataset = posterior_of(blueprint, np.clip(x, -5, 5)[None], 1)
    found = log_likelihood_draws(blueprint, dataset)[0]
    theta, points = blueprint.theta(x), blueprint.points(x)
    statistics = blueprint.statistics_by_cluster
    grid = np.linspace(-6, 6, 61)
    errors = []
    for i in range(4):
        value = {r.key: blueprint.row_value(r.key, theta)[i] for r in model.table.rows if r.free}
        mean = value["between", "v1", "~", "1"]
        mean = mean + value["between", "v1", "~", "w1"] * blueprint.observed.w[:, 0]
        sd = np.sqrt(value["between", "v1", "~~", "v1"])
        b = mean[:, None].copy()
        base = blueprint.likelihood.given_effects(points[i], b, statistics)
        integral = base
        for j in range(len(b)):
            inside = []
            for z in grid:
                moved = b.copy()
                moved[j] += sd * z
                there = blueprint.likelihood.given_effects(points[i], moved, statistics)
                inside.append(there - base)
            integral += logsumexp(np.array(inside) + stats.norm.logpdf(grid))
            integral += np.log(grid[1] - grid[0])
        errors.append(found[i] - integral)
    constant = -0.5 * np.log(2 * np.pi) * len(b)
    np.testing.assert_allclose(np.array(errors) - constant, 0.0, atol=0.5 * len(b))
    assert np.std(errors) < 2.0


# The whole ----------------------------------------------------------------------------------------


def test_planted_conflict_in_a_two_level_factor_model() -> None:
    demo = load_reference("demo-twolevel")
    default = bm.Model(DEMO, data=demo.frame, cluster=demo.cluster)
    harmless = laplace_fit(default, draws=1000).prior_sensitivity()
    assert set(harmless.table["diagnosis"]) == {""}
    assert harmless.reliable
    priors = {"y1 ~ 1": "normal(3, 0.2)"}
    planted = bm.Model(DEMO, data=demo.frame, cluster=demo.cluster, priors=priors)
    found = laplace_fit(planted, draws=1000).prior_sensitivity()
    table = pd.DataFrame(found.table).set_index(["level", "lhs", "op", "rhs"])
    row = table.loc["between", "y1", "~", "1"]
    assert row.diagnosis == CONFLICT
    assert row.source == "between: y1 ~ 1"
    assert row.prior == "normal(3, 0.2)"
    assert table.loc["within", "fw", "~", "x2"].diagnosis == ""
    assert ("", "squared", ":=", "a^2") in table.index
    groups = found.by_group.iloc[list(table.index).index(("between", "y1", "~", "1"))]
    assert groups["between intercept"] > 0.05 > groups["within SD"]


def test_sums_of_groups_and_labels() -> None:
    """Each parameter is in one group; equal labels have equal sensitivities."""
    fit = laplace_fit(build(case("slope")), draws=200)
    found = fit.prior_sensitivity()
    assert list(found.by_group.columns[4:]) == [
        "within regression",
        "within SD",
        "between correlation",
        "between SD",
        "between intercept",
    ]
    assert len(found.table) == len([r for r in fit.model.table.rows if r.free])


def test_few_draws_and_heavy_weights() -> None:
    fit = synthetic_fit(build(case("everything")), draws=30)
    sd = fit.datatree["posterior"]["within_sd"]
    sd.values *= np.exp(np.random.default_rng(1).normal(0.0, 0.8, sd.shape))
    found = fit.prior_sensitivity()
    assert found.table[["prior_sensitivity", "likelihood_sensitivity"]].notna().all(axis=None)
    # made-up draws are far from the posterior: their likelihoods differ by many nats
    assert not found.reliable
    assert "Pareto k of the weights that scale the likelihood" in found.advice[0]
    assert "<li>" in found._repr_html_()
    with pytest.raises(SpecificationError, match="50 draws or more, not 20"):
        synthetic_fit(build(case("slope")), draws=10).prior_sensitivity()


@pytest.mark.parametrize(
    ("text", "wider"),
    [
        ("normal(1, 2)", "normal(1, 4)"),
        ("halfnormal(0.5)[sd]", "halfnormal(1)[sd]"),
        ("halfstudentt(4, 3)", "halfstudentt(4, 6)"),
        ("exponential(0.5)", "exponential(0.25)"),
        ("gamma(2, 3)", "gamma(2, 1.5)"),
        ("laplace(0, 1)", "laplace(0, 2)"),
        ("halfcauchy(1)", "halfcauchy(2)"),
        ("invgamma(2, 3)", "invgamma(2, 6)"),
        ("lkj(2)[cor]", None),
        ("beta(2, 2)[cor]", None),
        ("uniform(0, 1)", None),
    ],
)
def test_wider_priors(text: str, wider: str | None) -> None:
    found = wider_prior(read_prior(text))
    assert (None if found is None else str(found)) == wider
    if found is not None and found.family not in ("lognormal",):
        spread = [p.quantile(0.75) - p.quantile(0.25) for p in (read_prior(text), found)]
        assert spread[1] == pytest.approx(2 * spread[0])
