"""The likelihood of several groups: the sum of those of the groups, and its gradient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.density import log_posterior, log_prior, starting_point, support
from tests.oracle import oracle_log_likelihood

pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.MsemWarning")

FACTORS = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ x
level: between
    fb =~ y1 + y2 + y3
    fb ~ w
"""
SLOPES = """
level: within
    y1 ~ rv("s")*x + y2
level: between
    y1 ~ w
    s ~ w
    y2 ~~ y2
"""
SAMPLED = """
level: within
    fw =~ y1 + rv("l2")*y2 + y3
    y1 ~~ rv("v1")*y1
level: between
    fb =~ y1 + y2 + y3
"""
SINGLE = "f =~ y1 + y2 + y3; f ~ x"
EQUAL = ["loadings", "intercepts"]
CASES = {
    "configural": (FACTORS, {}, False),
    "scalar": (FACTORS, {"group_equal": EQUAL}, False),
    "scalar, missing": (FACTORS, {"group_equal": EQUAL}, True),
    "slopes": (SLOPES, {"group_equal": ["regressions", "lv.variances"]}, False),
    "slopes, missing": (SLOPES, {"group_equal": ["regressions"]}, True),
    "single": (SINGLE, {"group_equal": EQUAL, "std_lv": True}, False),
    "single, missing": (SINGLE, {"group_equal": EQUAL}, True),
    "covariances": (
        "y1 + y2 + y3 ~ x",
        {"group_equal": ["residual.covariances", "residuals"]},
        False,
    ),
}


def frame(missing: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    parts = []
    for group, n_clusters, shift in (("A", 9, 0.0), ("B", 7, 0.5), ("C", 6, -0.2)):
        for j in range(n_clusters):
            n = int(rng.integers(1, 7))
            u = rng.normal(size=3) * 0.4 + rng.normal() * 0.5 + shift
            y = u + rng.normal(size=(n, 1)) + 0.6 * rng.normal(size=(n, 3))
            part = pd.DataFrame(y, columns=["y1", "y2", "y3"])
            parts.append(
                part.assign(x=rng.normal(size=n), w=rng.normal(), c=f"{group}{j}", g=group)
            )
    data = pd.concat(parts, ignore_index=True)
    if missing:
        for name in ("y1", "y3"):
            data.loc[rng.uniform(size=len(data)) < 0.15, name] = np.nan
    return data.sample(frac=1.0, random_state=3).reset_index(drop=True)  # groups are mixed


def make(name: str) -> tuple[bm.Model, pd.DataFrame]:
    text, options, missing = CASES[name]
    data = frame(missing)
    cluster = "c" if "level" in text else None
    return bm.Model(text, data, cluster=cluster, group="g", **options), data


def point_of(blueprint: Blueprint) -> np.ndarray:
    """Sampled parameters inside the space: starting values, moved."""
    rng, bounds = np.random.default_rng(4), support(blueprint)
    u = bounds.to_unconstrained(starting_point(blueprint))
    return bounds.to_constrained(u + 0.2 * rng.normal(size=len(u)))[0]


@pytest.mark.parametrize("name", CASES)
def test_sum_of_oracles(name: str) -> None:
    """Both sides are sums over 80 rows in double precision, along different paths."""
    model, data = make(name)
    blueprint = model.blueprint
    theta = blueprint.theta(point_of(blueprint)[None])[0]
    values = {
        public.key: float(blueprint.row_value(joint.key, theta))
        for public, joint in zip(model.tables.public, model.tables.joint.rows, strict=True)
    }
    total = 0.0
    for group, part in data.groupby("g"):
        own = {key[:4]: value for key, value in values.items() if key.group == group}
        random = {r.key[:4]: r.random for r in model.table.rows if r.random and r.group == group}
        own = {key: value for key, value in own.items() if key not in random}
        cluster = "c" if model.table.two_level else None
        total += oracle_log_likelihood(own, part, cluster, random=random)
    free = {r.key: values[r.key] for r in model.table.rows if r.free}
    assert model.log_likelihood(free) == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_compiled_density_and_gradient(name: str) -> None:
    model, _ = make(name)
    check_density(model)


def test_sampled_effects() -> None:
    model = bm.Model(SAMPLED, frame(), cluster="c", group="g", group_equal={"between": "loadings"})
    check_density(model)


def check_density(model: bm.Model) -> None:
    """The compiled sum has the value of the parts and of the priors, and the right gradient."""
    blueprint = model.unpiloted_blueprint()
    bounds, n = support(blueprint), blueprint.parameters.n
    rng = np.random.default_rng(1)
    u = bounds.to_unconstrained(point_of(blueprint))
    v = np.concatenate([u, 0.5 * rng.normal(size=blueprint.likelihood.n_coordinates)])
    value, gradient = log_posterior(blueprint, v, jacobian=False)
    x = bounds.to_constrained(u)[0]
    t = v[n:].reshape(blueprint.likelihood.shape)
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    parts = sum(
        part.likelihood.joint(extended, np.ascontiguousarray(t[own]))[0]
        for part, own in zip(blueprint.parts, blueprint.likelihood.clusters, strict=True)
    )
    assert value == pytest.approx(parts + log_prior(blueprint, x)[0], rel=1e-11)
    step = 1e-5
    for i in range(len(v)):
        h = np.zeros_like(v)
        h[i] = step
        ends = [log_posterior(blueprint, v + s * h, jacobian=False)[0] for s in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * step)
        # central differences: rounding of values near 1e3 over the step, and third derivatives
        assert gradient[i] == pytest.approx(slope, rel=2e-5, abs=2e-5)


def test_wiggle() -> None:
    """Nearly equal rows are the average plus a difference, and the density knows."""
    model = bm.Model(FACTORS, frame(), cluster="c", group="g", wiggle=EQUAL)
    check_density(model)
    blueprint = model.blueprint
    theta = blueprint.theta(point_of(blueprint)[None])[0]
    values = {
        p.key: float(blueprint.row_value(j.key, theta))
        for p, j in zip(model.tables.public, model.tables.joint.rows, strict=True)
    }
    for level, lhs, op, rhs in (("within", "fw", "=~", "y2"), ("between", "y3", "~", "1")):
        average = values[level, lhs, op, rhs, "average"]
        for group in ("A", "B", "C"):
            difference = values[level, lhs, op, rhs, f"{group} - average"]
            found = values[level, lhs, op, rhs, group]
            assert found == pytest.approx(average + difference, abs=1e-14)


def test_one_group_of_the_sum_is_that_group() -> None:
    """Without equalities the blueprint of a group has the density of a model of its rows."""
    data = frame()
    model = bm.Model(FACTORS, data, cluster="c", group="g")
    single = bm.Model(FACTORS, data[data["g"] == "B"], cluster="c")
    mode = single.mode()
    own = model.groups["B"]
    assert own.log_likelihood(mode) == pytest.approx(mode.log_likelihood, rel=1e-12)
