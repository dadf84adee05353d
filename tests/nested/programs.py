"""Likelihoods of the cases, without a parameter table: every cell is a parameter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayes_msem.kernels.layout import IDENTITY
from bayes_msem.likelihood.nested_likelihood import NestedLikelihood, build_nested_likelihood
from bayes_msem.spec.table import ParameterTable
from bayes_msem.structure.parameters import Parameters, flatten_blocks, no_thresholds
from tests.nested.cases import Case, NestedData, units_of
from tests.nested.stacked import log_density

TABLE = ParameterTable((), {}, (), (), True)


def likelihood_of(case: Case, data: NestedData, provider: str = "nested") -> NestedLikelihood:
    n = len(case.theta)
    parameters = Parameters(
        groups=(),
        position={},
        transform=np.full(n, IDENTITY),
        blocks=flatten_blocks([], TABLE, {}),
        thresholds=no_thresholds(),
        rows=(None,) * n,
    )
    return build_nested_likelihood(case.template(), parameters, TABLE, data, provider)


def with_theta(case: Case, theta: np.ndarray) -> Case:
    """The same model at other values."""
    values, levels = iter(theta), []
    for level in case.levels:
        cells = {
            name: tuple((i, k, float(next(values))) for i, k, _ in getattr(level, name))
            for name in ("b", "psi", "k")
        }
        levels.append(replace(level, **cells))
    return replace(case, levels=tuple(levels))


def oracle(case: Case, data: NestedData) -> np.ndarray:
    """Log density of every top unit."""
    levels = case.plain
    return np.array([log_density(levels, case.lower, case.upper, u) for u in units_of(data)])


def numerical_gradient(case: Case, data: NestedData, step: float = 1e-5) -> np.ndarray:
    theta, gradient = case.theta, np.zeros(len(case.theta))
    for i in range(len(theta)):
        found = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[i] += sign * step
            found.append(oracle(with_theta(case, moved), data).sum())
        gradient[i] = (found[0] - found[1]) / (2 * step)
    return gradient
