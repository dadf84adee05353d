"""A loading and a slope of the same two variables: they add, wherever matrices are made.

``f =~ 0.5*y`` with ``y ~ f`` puts two rows of the table into one cell of B. The likelihood adds
them; so must everything that is computed from draws. (Log-likelihoods, gradients, simulated data
and replicates of these models are compared with the oracle where all models are.)
"""

from __future__ import annotations

import numpy as np
import pytest

import bayes_msem as bm
from bayes_msem.posterior.levels import levels_at
from bayes_msem.posterior.paths import path_effects
from bayes_msem.posterior.standardise import explained_variance, standardised_values
from bayes_msem.posterior.variance import variance_parts
from bayes_msem.spec.table import Row
from tests.likelihood.cases import (
    SINGLE_LEVEL_CASES,
    TWO_LEVEL_CASES,
    Case,
    make_model,
    two_level,
)
from tests.posterior.made_up import synthetic_fit
from tests.posterior.synthetic import CHAINS, DRAWS, moments_by_hand, values_by_hand
from tests.random.models import LINEAR_CASES, SAMPLED_CASES, make_data

PLAIN = [c for c in (*TWO_LEVEL_CASES, *SINGLE_LEVEL_CASES) if "one pair" in c.name]
RANDOM = [
    c for c in (*LINEAR_CASES, *SAMPLED_CASES) if "one pair" in c.name or "fixed loading" in c.name
]
EVERY = [*PLAIN, *RANDOM]
RECURSIVE = [c for c in EVERY if "circle" not in c.name]


_FITS: dict[str, bm.Fit] = {}


def fit_of(this: Case) -> bm.Fit:
    if this.name not in _FITS:
        model = make_model(this, make_data())
        _FITS[this.name] = synthetic_fit(model, chains=CHAINS, draws=DRAWS)
    return _FITS[this.name]


def ends(row: Row) -> tuple[str, str, str]:
    """(level, from, to) of a coefficient."""
    pair = (row.lhs, row.rhs) if row.kind == "loading" else (row.rhs, row.lhs)
    return (row.level, *pair)


def test_the_cases_are_there() -> None:
    """Each level; fixed, free and random cells; with and without circles."""
    assert (len(PLAIN), len(RANDOM)) == (3, 3)
    levels, random = set(), set()
    for this in EVERY:
        rows = [r for r in fit_of(this).model.table.rows if r.kind in ("loading", "regression")]
        double = [r for r in rows if sum(ends(other) == ends(r) for other in rows) == 2]
        assert double
        levels |= {r.level for r in double}
        random |= {(r.kind, bool(r.random), bool(r.free)) for r in double}
    assert levels == {"within", "between"}
    assert len(random) == 6


@pytest.mark.parametrize("level", ["within", "between"])
def test_variance_of_a_sum(level: str) -> None:
    """Loading .5, slope .4, variances .5: Var(y2) = (.5 + .4)^2 .5 + .5 = .905."""
    double, plain = "f =~ y1 + 0.5*y2 + y3\ny2 ~ f", "y1 ~~ y2\ny3 ~~ y3"
    text = (double, plain) if level == "within" else (plain, double)
    blueprint = make_model(two_level("", *text), make_data()).unpiloted_blueprint()
    theta = np.full((1, blueprint.parameters.n), 0.5)
    slope = next(r for r in blueprint.table.rows if r.key == (level, "y2", "~", "f"))
    theta[0, blueprint.parameters.position[slope.free]] = 0.4
    found = next(x for x in levels_at(blueprint, theta).both if x.level == level)
    i = found.names.index("y2")
    assert found.covariance[0, i, i] == pytest.approx(0.905, rel=1e-12)


@pytest.mark.parametrize("this", EVERY, ids=str)
def test_levels_agree_with_the_kernels(this: Case) -> None:
    """Covariances of outcomes given the covariates: matrices against likelihood.implied."""
    fit = fit_of(this)
    ids = fit.model.observed.cluster_ids
    cluster = ids[3] if fit.model.table.two_level else None
    for level in fit._solution(cluster).levels.both:
        own = cluster if level.level == "within" else None
        implied = fit.implied_covariance(level.level, cluster=own)
        k = level.total @ level.k
        given = level.covariance - k @ level.design_covariance @ k.swapaxes(1, 2)
        index = level.index(tuple(map(str, implied["outcome"].to_numpy())))
        expected = implied.to_numpy().reshape(-1, len(index), len(index))
        np.testing.assert_allclose(given[:, index][:, :, index], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("this", RECURSIVE, ids=str)
def test_tables_by_hand(this: Case) -> None:
    """Every table of both levels, from plain sums over the equations of the model."""
    fit = fit_of(this)
    levels, value = fit._solution().levels, values_by_hand(fit)
    standardised, observed = standardised_values(levels), fit.model.observed
    for level in levels.both:
        covariances, _ = moments_by_hand(fit, level.level, value)
        sd = {v: np.sqrt(covariances[v, v]) for v, _ in covariances}
        names, data = {"within": (observed.x_names, observed.x)}.get(
            level.level, (observed.w_names, observed.w)
        )
        sd |= dict(zip(names, data.std(axis=0), strict=True))
        r2, parts = explained_variance(level), variance_parts(level)
        for i, v in enumerate(level.names):
            np.testing.assert_allclose(level.variance[:, i], sd[v] ** 2, rtol=1e-9, err_msg=v)
            residual = value[level.level, v, "~~", v]
            np.testing.assert_allclose(parts[v, "total"], sd[v] ** 2, rtol=1e-9)
            if v in r2:
                np.testing.assert_allclose(r2[v], 1 - residual / sd[v] ** 2, rtol=1e-9, atol=1e-12)
        for row in fit.model.table.rows:
            if row.level == level.level and row.kind in ("loading", "regression"):
                _, start, end = ends(row)
                expected = value[row.key] * sd[start] / sd[end]
                np.testing.assert_allclose(
                    standardised[row.key], expected, rtol=1e-9, err_msg=str(row.key)
                )


@pytest.mark.parametrize("this", [c for c in EVERY if c.cluster], ids=str)
def test_direct_effect_is_the_sum(this: Case) -> None:
    fit = fit_of(this)
    factors = [
        fit.model.table.variables(level, f"{level} factor")[0] for level in ("within", "between")
    ]
    levels, value = fit._solution().levels, values_by_hand(fit) if this in RECURSIVE else fit.draws
    target = "z1" if "circle" in this.name else "y2"
    checked = 0
    for level, factor in zip(levels.both, factors, strict=True):
        rows = [
            r
            for r in fit.model.table.rows
            if r.kind in ("loading", "regression") and ends(r) == (level.level, factor, target)
        ]
        if not rows or ("circle" in this.name and level.level == "within"):
            continue
        found = {
            (e.level, e.effect): e.values
            for e in path_effects(levels, tuple(factors), target)  # type: ignore[arg-type]
        }
        expected = sum(value[r.key].reshape(-1) for r in rows)
        np.testing.assert_allclose(found[level.level, "direct"], expected, rtol=1e-9)
        checked += len(rows) == 2
    assert checked


def test_two_random_steps_with_a_double_one() -> None:
    """E[(l_j + c) s_j]: covariance of the random parts, plus c times the mean of the other."""
    this = two_level(
        "double step on a random path",
        'm =~ y1 + y3\ny2 ~ rv("s")*m\nm =~ 0.3*y2\nm ~ rv("t")*x1',
        "y1 ~~ y2\ns ~~ t\ny1 ~~ y3\ny2 ~~ y3",
    )
    fit = fit_of(this)
    d = {key: draws.reshape(-1) for key, draws in fit.draws.items()}
    mean_s, mean_t = d["between", "s", "~", "1"], d["between", "t", "~", "1"]
    expected = (0.3 + mean_s) * mean_t + d.get(
        ("between", "s", "~~", "t"), d.get(("between", "t", "~~", "s"))
    )
    found = {e.path: e.values for e in path_effects(fit._solution().levels, "x1", "y2")}
    np.testing.assert_allclose(found["x1 -> m -> y2"], expected, rtol=1e-9)
