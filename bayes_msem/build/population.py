"""Population means of quantities defined by random coefficients.

A definition such as ``indirect := a * b`` with rv names a and b differs between clusters. Its
population mean is E[f(u)] over the level-2 distribution u ~ N(mu_j, Omega), averaged over the
clusters' covariates, so that E[a b] = E[a] E[b] + cov(a, b). The expectation is computed by
Gauss-Hermite quadrature, exact for polynomials and accurate to many digits for smooth functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.likelihood.clusters import between_moments
from bayes_msem.likelihood.evaluators import ClusterEvaluator
from bayes_msem.spec.expressions import Expression, evaluate, names
from bayes_msem.structure.effects import ClusterTemplates

FloatArray = NDArray[np.float64]

_NODES = 9  # per random coefficient
_MAX_VALUES = 2_000_000  # per chunk of draws


def level_two_moments(
    blueprint: Blueprint, points: FloatArray, *, natural: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Coefficients of the level-2 means and level-2 covariance matrices.

    Parameters
    ----------
    blueprint
        A model with a cluster evaluator.
    points
        Extended sampled parameters, or table values if ``natural``, (n, n_theta).
    natural
        What the points are.

    Returns
    -------
    tuple of arrays
        (n, D_b, n_u) and (n, n_u, n_u), for u = (linear effects, z, sampled effects).
    """
    evaluator = blueprint.evaluator
    assert isinstance(evaluator, ClusterEvaluator)
    program = evaluator.natural_program if natural else evaluator.program
    coefficients, covariances = [], []
    for point in points:
        _, omega, c_b, *_ = between_moments(point, program.ints, program.floats)
        coefficients.append(c_b)
        covariances.append(omega)
    return np.stack(coefficients), np.stack(covariances)


def effect_positions(blueprint: Blueprint) -> dict[str, int]:
    """Position of every random coefficient declared by rv() in the level-2 vector u."""
    templates = blueprint.templates
    if not isinstance(templates, ClusterTemplates):
        return {}
    declared = {row.random for row in blueprint.table.rows if row.random}
    return {name: i for i, name in enumerate(templates.level_two) if name in declared}


def population_mean(
    blueprint: Blueprint,
    expression: Expression,
    labels: Mapping[str, FloatArray],
    moments: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Compute the expectation of an expression of random coefficients, per draw.

    Parameters
    ----------
    blueprint
        The model.
    expression
        May use random coefficients and labels.
    labels
        Values of labels and earlier definitions, each (n,).
    moments
        From :func:`level_two_moments`.

    Returns
    -------
    (n,) array
    """
    positions = effect_positions(blueprint)
    used = [name for name in dict.fromkeys(names(expression)) if name in positions]
    index = [positions[name] for name in used]
    coefficients, covariances = moments
    design, counts = np.unique(blueprint.observed.cluster_design, axis=0, return_counts=True)
    weights_w = counts / counts.sum()
    nodes, weights = _grid(len(used))
    n, size = len(coefficients), len(design) * len(weights)
    result = np.empty(n)
    step = max(1, _MAX_VALUES // size)
    for first in range(0, n, step):
        part = slice(first, min(first + step, n))
        mean = np.einsum("jd,nde->nje", design, coefficients[part][:, :, index])
        root = roots(covariances[part][:, index][:, :, index])
        points = mean[:, :, None, :] + np.einsum("nef,kf->nke", root, nodes)[:, None]
        environment = {name: value[part][:, None, None] for name, value in labels.items()}
        environment |= {name: points[..., i] for i, name in enumerate(used)}
        values = np.broadcast_to(evaluate(expression, environment), points.shape[:-1])
        result[part] = np.einsum("njk,j,k->n", values, weights_w, weights)
    return result


def _grid(dimension: int) -> tuple[FloatArray, FloatArray]:
    """Nodes (K, dimension) and weights (K,) of a product rule for the standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    points = np.array(list(product(nodes, repeat=dimension))).reshape(-1, dimension)
    joint = np.array([np.prod(w) for w in product(weights, repeat=dimension)])
    return points, joint


def roots(covariances: FloatArray) -> FloatArray:
    """Matrices A with A A' = covariance, for a stack of semidefinite ones."""
    values, vectors = np.linalg.eigh((covariances + covariances.swapaxes(-1, -2)) / 2)
    result: FloatArray = vectors * np.sqrt(np.clip(values, 0.0, None))[..., None, :]
    return result
