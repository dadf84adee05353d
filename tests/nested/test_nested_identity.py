"""Marginal, conditional and posterior distributions of three-level models belong together.

Exactly and without sampling, at any effects u = (c, a): log p(y) = log p(y, u) - log p(u | y). What
is given effects is built here from matrices of the template (tests.nested.stacked has the oracle of
the marginal distribution, this is the other side).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tests.nested.cases import CASES, data_for, units_of, with_holes
from tests.nested.programs import likelihood_of, oracle
from tests.nested.stacked import Plain, use_matrix


def normal(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    seen = np.flatnonzero(~np.isnan(x))
    if not len(seen):
        return 0.0
    block = covariance[np.ix_(seen, seen)]
    return float(multivariate_normal(mean[seen], block).logpdf(x[seen]))


def outcomes(level: Plain, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = level.total
    return total @ level.k @ design, total @ level.psi @ total.T


@pytest.mark.parametrize("holes", [False, True])
def test_terms_of_clusters_given_effects_of_their_unit(holes: bool) -> None:
    """log p(y_j, z_j | c): the oracle of a unit whose level 3 is a constant c."""
    case = CASES["slopes"]
    data = with_holes(data_for(case)) if holes else data_for(case)
    likelihood, rng = likelihood_of(case, data), np.random.default_rng(3)
    statistics, x = likelihood.statistics, case.theta[None]
    zero_c, zero_a = likelihood.no_noise(1, statistics)
    c = rng.normal(size=zero_c.shape)
    found = likelihood.recover(x, zero_c, zero_a, statistics, c=c)
    np.testing.assert_array_equal(found.c, c)
    assert (found.unit_terms == -np.inf).all()
    three = case.levels[2]
    for k in range(len(data.z3)):
        # a top level whose effects are constants, and without outcomes
        names = three.outcomes[: c.shape[2]]
        constant = tuple((i, 0, float(v)) for i, v in enumerate(c[0, k]))
        fixed = replace(three, names=names, outcomes=names, b=(), psi=(), k=constant)
        conditional = replace(case, levels=(*case.levels[:2], fixed), n_z3=0)
        for j in np.flatnonzero(data.parent == k):
            rows = data.cluster == j
            alone = replace(
                data, y=data.y[rows], x=data.x[rows], cluster=np.zeros(rows.sum(), dtype=int),
                z=data.z[[j]], w=data.w[[j]], sizes=data.sizes[[j]], parent=np.zeros(1, dtype=int),
                z3=np.empty((1, 0)), w3=data.w3[[k]],
            )  # fmt: skip
            assert found.cluster_terms[0, j] == pytest.approx(
                oracle(conditional, alone)[0], rel=1e-10
            )


@pytest.mark.parametrize("name", ["growth"])
@pytest.mark.parametrize("holes", [False, True])
def test_identity_at_any_effects(name: str, holes: bool) -> None:
    """Posterior moments of (c, a) from draws at unit normal numbers: mean and root are linear."""
    case = CASES[name]
    data = with_holes(data_for(case)) if holes else data_for(case)
    likelihood, rng = likelihood_of(case, data), np.random.default_rng(5)
    statistics = likelihood.statistics
    zero_c, zero_a = likelihood.no_noise(1, statistics)
    n_c, n_a = zero_c.shape[2], zero_a.shape[2]
    one, two, three = case.plain
    at = rng.normal(size=(1, len(data.z3), n_c)), rng.normal(size=(1, data.n_clusters, n_a))

    def recovered(c=None, of_c=zero_c, of_a=zero_a):
        return likelihood.recover(case.theta[None], of_c, of_a, statistics, c=c)

    mean = recovered()
    steps = [np.tile(np.eye(n_c)[i], (1, len(data.z3), 1)) for i in range(n_c)]
    roots = np.stack([recovered(of_c=s).c[0] - mean.c[0] for s in steps], axis=-1)
    given = recovered(c=at[0])
    steps = [np.tile(np.eye(n_a)[i], (1, data.n_clusters, 1)) for i in range(n_a)]
    roots_a = np.stack([recovered(c=at[0], of_a=s).a[0] - given.a[0] for s in steps], axis=-1)
    for k, unit in enumerate(units_of(data)):
        c = at[0][0, k]
        joint = normal(c, *outcomes(three, unit.d3))
        after = normal(c, mean.c[0, k], roots[k] @ roots[k].T)
        for i, j in enumerate(np.flatnonzero(data.parent == k)):
            a = at[1][0, j]
            level_two, omega = outcomes(two, unit.d2[i])
            joint += normal(a, level_two + use_matrix(two, case.upper, unit.d2[i], n_c) @ c, omega)
            for y, d1 in zip(unit.y[i], unit.d1[i], strict=True):
                rows, sigma = outcomes(one, d1)
                joint += normal(y, rows + use_matrix(one, case.lower, d1, n_a) @ a, sigma)
            after += normal(a, given.a[0, j], roots_a[j] @ roots_a[j].T)
        assert joint - after == pytest.approx(mean.unit_terms[0, k], rel=1e-9)
