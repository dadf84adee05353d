"""The pilot: what the data of each cluster say about its sampled effects, and how it is told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.build.pilot import pilot_mode, with_pilot
from bayes_msem.errors import NotSupportedError
from bayes_msem.likelihood.evaluators import ClusterEvaluator
from tests.likelihood.cases import Case, Key, free_values, two_level
from tests.random.conditional import Conditional, conditional
from tests.random.models import (
    LINEAR_CASES,
    SAMPLED_CASES,
    build,
    case,
    effects,
    make_data,
    sampled_values,
    unpiloted,
)

Array = NDArray[np.float64]

# A slope that must be sampled, since its name also stands on a latent predictor; but the latent
# predictor is constant (its variance is 0), so the likelihood is normal in the slope.
TOY = two_level(
    "",
    'fw =~ 1*y2 + y3\nfw ~~ 0*fw\ny1 ~ rv("s")*x1 + rv("s")*fw',
    "y1 ~ w1\ny2 ~~ y3",
)

# Clusters of 4 to 12 rows, so that every cluster says something about SDs and correlations.
SIZES = (4, 12, 5, 8, 6, 10, 7, 5, 9, 6)


def evaluator_of(this: Conditional) -> ClusterEvaluator:
    evaluator = this.blueprint.evaluator
    assert isinstance(evaluator, ClusterEvaluator)
    return evaluator


@pytest.mark.parametrize(
    "name",
    [
        "loadings",
        "residual SD",
        "slope on a split predictor",
        "one name, observed and latent predictor",
        "correlation with random SDs",
        "three factors, two correlations random",
        "second order",
    ],
)
def test_information_is_positive_semidefinite_and_finite(name: str) -> None:
    """Eigenvalues of rebuilt matrices round at 1e-16 of the largest one."""
    blueprint = with_pilot(unpiloted(build(case(name), make_data(seed=90))))
    evaluator = blueprint.evaluator
    assert isinstance(evaluator, ClusterEvaluator)
    shape = (len(SIZES), blueprint.n_sampled)
    assert evaluator.information.shape == (*shape, shape[1])
    assert evaluator.linear.shape == shape
    assert np.isfinite(evaluator.information).all()
    assert np.isfinite(evaluator.linear).all()
    values = np.linalg.eigvalsh(evaluator.information)
    assert (values.min(axis=1) >= -1e-12 * values.max(axis=1)).all()
    assert values.max() > 0.1
    assert blueprint.pilot is not None
    assert np.isfinite(blueprint.pilot).all()


def test_information_of_a_normal_likelihood_is_exact() -> None:
    """Lambda_j = d' V^-1 d and eta_j = d' V^-1 (y - mean at s = 0), by plain NumPy.

    Given s, the intercept of y1 has mean mu + B (s - mu_s) and variance V_11; with y1 = intercept
    + s x + e, s acts on the rows through d = x + B. Gradients are linear in s: central
    differences with steps of 1e-4 leave their rounding, 1e-13 / 1e-4 = 1e-9 of values of 10 to 100.
    """
    this = conditional(TOY)
    blueprint = with_pilot(this.blueprint)
    evaluator, x = blueprint.evaluator, blueprint.pilot
    assert isinstance(evaluator, ClusterEvaluator)
    assert x is not None
    value = this.values(x, np.zeros(1))
    names = ["y1", "y2", "y3", "s"]
    Omega = np.diag([value["between", v, "~~", v] for v in names])
    for (level, lhs, op, rhs), number in value.items():
        if level == "between" and op == "~~" and lhs != rhs:
            i, k = names.index(lhs), names.index(rhs)
            Omega[i, k] = Omega[k, i] = number
    assert "s" in this.names
    mu = np.array([value["between", v, "~", "1"] for v in names])
    B = Omega[:3, 3] / Omega[3, 3]
    V = Omega[:3, :3] - np.outer(B, Omega[3, :3])
    assert np.abs(B).max() > 1e-3
    Theta = np.diag([value["within", v, "~~", v] for v in names[:3]])
    for j, units in enumerate(this.clusters()):
        rows = this.frame.iloc[units]
        n = len(rows)
        covariance = np.kron(np.eye(n), Theta) + np.kron(np.ones((n, n)), V)
        intercept = mu[:3] - B * mu[3]
        intercept = (
            intercept + np.array([value["between", "y1", "~", "w1"], 0, 0]) * (rows["w1"].iloc[0])
        )
        residual = (rows[["y1", "y2", "y3"]].to_numpy() - intercept).ravel()
        d = np.tile(B, (n, 1))
        d[:, 0] += rows["x1"].to_numpy()
        weight = np.linalg.solve(covariance, d.ravel())
        Lambda = weight @ d.ravel()
        assert evaluator.information[j, 0, 0] == pytest.approx(Lambda, rel=1e-6)
        assert evaluator.linear[j, 0] == pytest.approx(weight @ residual, rel=1e-6, abs=1e-6)


def test_coordinates_are_standard_normal_where_the_pilot_is_exact() -> None:
    """In the toy, p(t | y, theta) is N(0, I) at the pilot's parameters: checked as a difference.

    Information has an error of 1e-7 (above), times t't of 30.
    """
    this = conditional(TOY)
    blueprint = with_pilot(this.blueprint)
    evaluator, x = blueprint.evaluator, blueprint.pilot
    assert isinstance(evaluator, ClusterEvaluator)
    assert x is not None
    extended = blueprint.extend_sampled(x)
    rng = np.random.default_rng(91)
    values = []
    for _ in range(4):
        t = 2 * rng.normal(size=evaluator.linear.shape)
        value = evaluator.sampled(extended, t)[0] + evaluator.coordinate_density(extended, t)[0]
        values.append(value + 0.5 * (t**2).sum())
    assert np.ptp(values) < 1e-4


@pytest.mark.parametrize("name", ["loadings", "factor and residual SDs", "1-1-1 mediation"])
def test_information_is_the_curvature_of_brute_force(name: str) -> None:
    """Second differences of the oracle's cluster likelihoods at the pilot's mode.

    Steps of 1e-3 on values of 10 to 50: rounding 1e-14 / 1e-6 = 1e-8, fourth derivatives 1e-6 times
    up to 100. Clusters whose curvature is not that of a maximum are rounded up to the nearest
    semidefinite matrix, and left out here.
    """
    this = conditional(case(name), make_data(sizes=SIZES, seed=92))
    piloted = with_pilot(this.blueprint)
    evaluator = piloted.evaluator
    assert isinstance(evaluator, ClusterEvaluator)
    x, t = pilot_mode(this.blueprint)
    b = evaluator_of(this).effects(this.blueprint.extend_sampled(x), t)
    n, step = b.shape[1], 1e-3
    eye = step * np.eye(n)

    def value(shift: Array) -> Array:
        return this.log_likelihoods(x, b + shift)

    hessian = np.empty((len(b), n, n))
    gradient = np.empty(b.shape)
    for i in range(n):
        gradient[:, i] = (value(eye[i]) - value(-eye[i])) / (2 * step)
        for k in range(n):
            plus, minus = eye[i] + eye[k], eye[i] - eye[k]
            second = value(plus) - value(minus) - value(-minus) + value(-plus)
            hessian[:, i, k] = second / (4 * step**2)
    definite = np.linalg.eigvalsh(-hessian).min(axis=1) > 1e-3
    assert definite.sum() >= len(SIZES) / 2
    np.testing.assert_allclose(
        evaluator.information[definite], -hessian[definite], rtol=1e-4, atol=1e-3
    )
    # the approximation is stationary where the likelihood is: eta - Lambda b is its gradient
    found = evaluator.linear - np.einsum("jik,jk->ji", evaluator.information, b)
    np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-4)


def test_information_stays_that_of_the_data_beside_a_cluster_level_outcome() -> None:
    """Ten rows a cluster say less than 1e3 about a loading near 1, and z adds 4 times 0.64."""
    rng = np.random.default_rng(94)
    n_clusters, n = 20, 10
    group = np.repeat(np.arange(n_clusters), n)
    l2, l3 = rng.normal(0.8, 0.3, n_clusters), rng.normal(1.2, 0.3, n_clusters)
    factor = rng.normal(size=len(group))
    columns = {
        "y1": factor + rng.normal(0, 0.6, len(group)),
        "y2": l2[group] * factor + rng.normal(0, 0.6, len(group)),
        "y3": l3[group] * factor + rng.normal(0, 0.6, len(group)),
        "z1": (0.8 * l2 + rng.normal(0, 0.5, n_clusters))[group],
    }
    for name in ("y1", "y2", "y3"):
        columns[name] += rng.normal(0, 0.5, n_clusters)[group]
    this = two_level("", 'f =~ y1 + rv("l2")*y2 + rv("l3")*y3', "z1 ~ l2 + l3\ny1 ~~ y2")
    blueprint = with_pilot(unpiloted(build(this, pd.DataFrame(columns | {"group": group}))))
    evaluator = blueprint.evaluator
    assert isinstance(evaluator, ClusterEvaluator)
    assert np.linalg.eigvalsh(evaluator.information).max() < 1e4


def test_models_without_sampled_effects_need_no_pilot() -> None:
    model = build(case("slope"))
    blueprint = unpiloted(model)
    assert with_pilot(blueprint) is blueprint
    assert model.blueprint.pilot is None


# --- what a user sees -----------------------------------------------------------------------------


def test_plan_names_sampled_effects_and_says_why() -> None:
    model = build(case("everything"))
    assert model.plan.name == "partially marginal"
    assert model.plan.sampled == (
        "random loading: l2 (f =~ y2), l5 (g =~ y5)",
        "random slope on a latent part: s2 (f ~ s1)",
        "random Fisher-z correlation: r (f ~~ g)",
        "random log SD: vf (f ~~ f), vg (g ~~ g), v1 (y1 ~~ y1)",
    )
    assert "random slopes s (g ~ x1), t (f ~ x2)" in model.plan.integrated
    assert "have no closed-form integral" in model.plan.reason
    printed = " ".join(str(model).split())
    assert "Plan: partially marginal" in printed
    for sort in model.plan.sampled:
        assert sort in printed


@pytest.mark.parametrize("case", [*LINEAR_CASES, *SAMPLED_CASES], ids=str)
def test_every_model_can_be_printed(case: Case) -> None:
    model = build(case)
    printed = str(model)
    for row in model.table.rows:
        if row.random:
            assert row.random in printed
    assert "random coefficient (varies over clusters)" in printed


@pytest.mark.parametrize(
    ("what", "ask"),
    [
        ("log-likelihood", lambda model, values: model.log_likelihood(values)),
        ("posterior mode", lambda model, values: model.mode()),
        ("maximum likelihood", lambda model, values: model.mode(prior=False)),
    ],
)
def test_what_needs_a_closed_form_is_refused_with_the_reason(
    what: str, ask: Callable[[bm.Model, dict[Key, float]], object]
) -> None:
    model = build(case("residual SD"))
    values = free_values(model, {row.key: 1.0 for row in model.table.rows})
    message = f"{what} is not available for this model: its random .* no closed-form integral"
    with pytest.raises(NotSupportedError, match=message):
        ask(model, values)


@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_likelihood_at_given_effects_of_a_user(case: Case) -> None:
    """model.log_likelihood(values, effects=...): table values and a frame of effects, shuffled.

    The table values of x, turned back: partial correlations lose 3 digits at most.
    """
    this = conditional(case)
    model = this.model
    vars(model)["blueprint"] = this.blueprint  # no pilot: it plays no part here
    x, b = sampled_values(this.blueprint, 93), effects(this.blueprint, 93)
    theta = this.blueprint.theta(x[None, :])
    values = {
        row.key: this.blueprint.row_value(row.key, theta)[0] for row in model.table.rows if row.free
    }
    ids = [this.frame["group"].iloc[units[0]] for units in this.clusters()]
    frame = pd.DataFrame(b, index=ids, columns=list(this.names)).sample(frac=1.0, random_state=1)
    frame = frame[frame.columns[::-1]]
    found = model.log_likelihood(values, effects=frame)
    assert found == pytest.approx(this.log_likelihoods(x, b).sum(), rel=1e-10)
