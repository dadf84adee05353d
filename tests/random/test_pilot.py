"""The pilot: what the data of each cluster say about its sampled effects, and how it is told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import NotSupportedError
from bayes_msem.inference.pilot import with_pilot
from tests.likelihood.cases import Case, Key, free_values, two_level
from tests.oracle import modelled, table_rows
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
    likelihood = blueprint.likelihood
    approximation = likelihood.approximation
    shape = (len(SIZES), approximation.n_linear + blueprint.n_sampled)
    assert approximation.information.shape == (*shape, shape[1])
    assert approximation.linear.shape == shape
    assert np.isfinite(approximation.information).all()
    assert np.isfinite(approximation.linear).all()
    values = np.linalg.eigvalsh(approximation.information)
    assert (values.min(axis=1) >= -1e-12 * values.max(axis=1)).all()
    assert values.max() > 0.1
    assert blueprint.pilot is not None
    assert np.isfinite(blueprint.pilot).all()


def test_information_of_a_normal_likelihood_is_exact() -> None:
    """About all effects e = (intercepts, s), from rows y_i = D_i e + N(0, Theta), by plain NumPy.

    Lambda_j = sum D_i' Theta^-1 D_i and eta_j = sum D_i' Theta^-1 y_i: nothing of level 2 is in
    them. Differences of values of 100 with steps that change them by 1e-4 leave 1e-13 * 100 / 1e-4.
    """
    this = conditional(TOY)
    blueprint = with_pilot(this.blueprint)
    x = blueprint.pilot
    assert x is not None
    approximation, template = blueprint.likelihood.approximation, blueprint.template
    value, names = this.values(x, np.zeros(1)), list(template.effects.linear)
    assert sorted(names) == ["y1", "y2", "y3"]
    W = np.diag([1 / value["within", v, "~~", v] for v in names])
    for j, units in enumerate(this.clusters()):
        rows = this.frame.iloc[units]
        D = np.tile(np.eye(3, 4), (len(rows), 1, 1))
        D[:, names.index("y1"), 3] = rows["x1"]
        Lambda = np.einsum("iqa,qs,isb->ab", D, W, D)
        eta = np.einsum("iqa,qs,is->a", D, W, rows[names].to_numpy())
        size = np.sqrt(np.outer(np.diag(Lambda), np.diag(Lambda)))
        np.testing.assert_allclose(approximation.information[j] / size, Lambda / size, atol=1e-6)
        np.testing.assert_allclose(approximation.linear[j], eta, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_coordinates_are_standard_normal_where_the_pilot_is_exact(seed: int | None) -> None:
    """In the toy, p(t | y, theta) is N(0, I), checked as a difference, at the pilot's parameters.

    And at any other means, variances and correlations of the effects: the prior is the current one.
    Information has an error of 1e-7 (above), times t't of 30.
    """
    this = conditional(TOY)
    blueprint = with_pilot(this.blueprint)
    likelihood, x = blueprint.likelihood, blueprint.pilot
    assert x is not None
    if seed is not None:
        between = np.array([row.level == "between" for row in blueprint.parameters.rows])
        x = np.where(between, sampled_values(blueprint, seed), x)
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    rng = np.random.default_rng(91)
    values = []
    for _ in range(4):
        t = 2 * rng.normal(size=likelihood.shape)
        values.append(likelihood.joint(extended, t)[0] + 0.5 * (t**2).sum())
    assert np.ptp(values) < 1e-4


def of_sampled_effects(this: Conditional, blueprint: Blueprint, x: Array) -> tuple[Array, Array]:
    """Lambda and eta of b alone: a given b integrated out of the approximation, in NumPy."""
    approximation, template = blueprint.likelihood.approximation, blueprint.template
    information, linear = approximation.information, approximation.linear
    n = approximation.n_linear
    if n == 0:
        return information, linear
    zero = np.zeros(len(this.names))
    found: tuple[list[Array], list[Array]] = ([], [])
    for j, units in enumerate(this.clusters()):
        names = modelled([r for r in table_rows(this.values(x, zero)) if r.level == "between"])
        order = [names.index(v) for v in template.level_two]
        mean, omega = this.oracle(x, zero, units).effect_moments(np.arange(len(units)))
        mean, omega = mean[order], omega[np.ix_(order, order)]
        slope = np.linalg.solve(omega[n:, n:], omega[n:, :n]).T
        V = omega[:n, :n] - slope @ omega[n:, :n]
        start = mean[:n] - slope @ mean[n:]
        # a = start + slope b + N(0, V)
        K = np.eye(n) + information[j, :n, :n] @ V
        full = np.vstack([slope, np.eye(len(zero))])
        pull = linear[j] - information[j][:, :n] @ start
        cross = (information[j] @ full)[:n]
        gain = V @ np.linalg.inv(K)
        found[0].append(full.T @ information[j] @ full - cross.T @ gain @ cross)
        found[1].append(full.T @ pull - cross.T @ gain @ pull[:n])
    return np.array(found[0]), np.array(found[1])


@pytest.mark.parametrize("name", ["loadings", "factor and residual SDs", "1-1-1 mediation"])
def test_information_is_the_curvature_of_brute_force(name: str) -> None:
    """Second differences of the oracle's cluster likelihoods at the modes of the effects.

    Steps of 1e-3 on values of 10 to 50: rounding 1e-14 / 1e-6 = 1e-8, fourth derivatives 1e-6 times
    up to 100. Clusters whose curvature is not that of a maximum are rounded up to the nearest
    semidefinite matrix, and left out here.
    """
    this = conditional(case(name), make_data(sizes=SIZES, seed=92))
    blueprint = with_pilot(this.blueprint)
    x = blueprint.pilot
    assert x is not None
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    b = blueprint.likelihood.effects(extended, np.zeros(blueprint.likelihood.shape))
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
    whole = blueprint.likelihood.approximation.information
    definite = np.linalg.eigvalsh(-hessian).min(axis=1) > 1e-3
    definite &= np.linalg.eigvalsh(whole).min(axis=1) > 1e-6 * np.abs(whole).max()
    assert definite.sum() >= len(SIZES) / 2
    information, linear = of_sampled_effects(this, blueprint, x)
    np.testing.assert_allclose(information[definite], -hessian[definite], rtol=1e-3, atol=1e-3)
    # eta - Lambda b is the gradient of the approximation, b at its mode
    found = linear - np.einsum("jik,jk->ji", information, b)
    np.testing.assert_allclose(found[definite], gradient[definite], rtol=1e-2, atol=2e-3)


DIARY = """
    level: within
        pain ~ rv("a")*sleep
        posaff ~ rv("b")*pain + rv("c")*sleep
    level: between
        sleep ~~ 0*pain + 0*posaff + 0*a + 0*b + 0*c
        pain ~~ posaff + a + b + c
        posaff ~~ a + b + c
        a ~~ b + c
        b ~~ c
"""
SD = {"sleep": 1.4, "pain": 1.7, "posaff": 1.4, "a": 0.1, "b": 0.17, "c": 0.0}


def diary(n_clusters: int = 60, n: int = 15, seed: int = 95) -> pd.DataFrame:
    """Days of persons: three intercepts and three slopes, one of which does not vary."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(n_clusters), n)
    u = {name: sd * rng.normal(size=n_clusters) for name, sd in SD.items()}
    within = rng.normal(size=(3, len(cluster))) * np.array([1.7, 1.5, 1.2])[:, None]
    sleep = within[0]
    pain = (u["a"][cluster] - 0.1) * sleep + within[1]
    posaff = (u["b"][cluster] - 0.1) * pain + (u["c"][cluster] + 0.05) * sleep + within[2]
    parts = {"sleep": sleep, "pain": pain, "posaff": posaff}
    return pd.DataFrame({k: v + u[k][cluster] for k, v in parts.items()}).assign(person=cluster)


def test_pilot_does_not_inflate_variances() -> None:
    """The truth is known: SDs of 60 clusters' effects have standard errors of 9% and more.

    A slope without variance gets an SD of up to that of one cluster's estimate, 0.18, at most.
    Maximising over parameters and standardised effects together gave variances up to a hundred
    times too large.
    """
    frame = diary()
    blueprint = with_pilot(unpiloted(bm.Model(DIARY, frame, cluster="person")))
    x = blueprint.pilot
    assert x is not None
    rows = [row.key for row in blueprint.parameters.rows]
    for name, sd in SD.items():
        found = x[rows.index(("between", name, "~~", name))]
        assert found < 1.35 * sd + 0.15, name
        assert found > 0.65 * sd - 0.05, name
        assert found > 0.0
    # and the information is that of the rows: sum of squares over residual variances, at most
    days = frame.groupby("person")[["sleep", "pain"]].apply(lambda d: ((d - d.mean()) ** 2).sum())
    information = blueprint.likelihood.approximation.information
    largest = np.column_stack(
        [days["sleep"] / 1.5**2, days["pain"] / 1.2**2, days["sleep"] / 1.2**2]
    )
    share = np.einsum("jii->ji", information)[:, -3:] / largest
    assert share.max() < 1.5
    assert share.min() > 0.3


def test_information_stays_that_of_the_data_beside_a_cluster_level_outcome() -> None:
    """Ten rows a cluster say less than 1e3 about a loading near 1, and z is not in it."""
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
    likelihood = blueprint.likelihood
    approximation = likelihood.approximation
    assert np.linalg.eigvalsh(approximation.information).max() < 1e4
    # the outcome is conditioned on instead, at the current parameters
    np.testing.assert_array_equal(approximation.z, blueprint.observed.z)


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
