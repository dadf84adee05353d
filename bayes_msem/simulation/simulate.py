r"""Data from the model: draws of clusters, then of their rows.

For a design (clusters, x, w; see data.new_designs), with d_ij = (1, x_ij),

    u_j ~ N(C_b' (1, w_j), Omega)              level 2: a (integrated effects), z, b (sampled ones)
    y_ij | u_j ~ N(C_j(a_j, b_j)' d_ij, Sigma_j(b_j))

Where only intercepts are random, Sigma_j and the slopes are those of all clusters, and

    y_ij = C' (1, x_ij, w_j) + e_ij + u_j ,    e_ij ~ N(0, Sigma_w) ,   u_j ~ N(0, Sigma_b)

Posterior predictive checks, simulation studies and ``Model.simulate`` all draw from here.
Invariants: covariances may be singular; cluster-level outcomes are one value per cluster; rows
that miss a covariate have no outcomes; one state of ``rng`` gives one data set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.blueprint.population import roots
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.kernels.clusters import between_moments
from bayes_msem.likelihood.cluster_draws import cluster_structures, root_of
from bayes_msem.likelihood.cluster_program import USE_COLUMN, USE_EFFECT, ClusterProgram
from bayes_msem.likelihood.evaluators import ClusterEvaluator
from bayes_msem.likelihood.implied_moments import implied_moments
from bayes_msem.likelihood.packing import integers
from bayes_msem.structure.effects import ClusterTemplates
from bayes_msem.structure.templates import Templates

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """Simulated outcomes, and the clusters behind them.

    Attributes
    ----------
    y
        Level-1 outcomes, (N, p).
    z
        Cluster-level outcomes, (J, q).
    level_two
        Level-2 deviations from what the covariates say, u_j - E(u_j | w_j): (a, z, b), (J, n_u),
        or, where only intercepts are random, those of all outcomes, (J, P).
    """

    y: FloatArray
    z: FloatArray
    level_two: FloatArray

    def outcomes(self, design: ObservedData) -> FloatArray:
        """One array (N, P): y, then z repeated for every row of its cluster."""
        if design.cluster is None or not self.z.shape[1]:
            return self.y
        return np.column_stack([self.y, self.z[design.cluster]])


def simulate_data(
    blueprint: Blueprint,
    point: FloatArray,
    design: ObservedData,
    rng: np.random.Generator,
    *,
    natural: bool = False,
    sampled: FloatArray | None = None,
    level_two: FloatArray | None = None,
) -> Simulated:
    """Simulate one data set.

    Parameters
    ----------
    blueprint
        The model. Its own data are not read.
    point
        Sampled parameters, such as a posterior draw, or table values if ``natural``; extended by
        the constrained rows, (n_theta,).
    design
        Clusters and covariates: those of the data, or others. Its outcomes are not read.
    rng
        Source of randomness.
    natural
        What the point is.
    sampled
        Sampled effects of the clusters, (J, n_b), where they are known; None: they are drawn.
    level_two
        Deviations at level 2 where all are known, as in :class:`Simulated`; None: they are drawn.

    Returns
    -------
    Simulated

    Raises
    ------
    SpecificationError
        Models with sampled effects: no sampled parameters give these table values.
    """
    evaluator = blueprint.evaluator
    point = np.ascontiguousarray(point)
    if isinstance(evaluator, ClusterEvaluator):
        program, point = _program_and_point(blueprint, evaluator, point, natural=natural)
        assert isinstance(blueprint.templates, ClusterTemplates)
        templates = blueprint.templates
        return _draw_clusters(point, program, templates, design, rng, sampled, level_two)
    if not natural:
        point = blueprint.theta(point[None, : blueprint.parameters.n])[0]
    return _draw_intercepts(point, blueprint, design, rng, level_two)


def draw_rows(
    blueprint: Blueprint,
    point: FloatArray,
    u: FloatArray,
    design: ObservedData,
    rng: np.random.Generator,
) -> FloatArray:
    """Simulate the rows of clusters whose effects are known.

    Parameters
    ----------
    blueprint
        A model with a cluster evaluator (see posterior.recover.cluster_view).
    point
        Extended sampled parameters, (n_theta,).
    u
        Level 2 of every cluster of the design, (J, n_u): integrated effects, z, sampled effects.
    design, rng
        As in :func:`simulate_data`.

    Returns
    -------
    (N, p) array
    """
    assert isinstance(blueprint.evaluator, ClusterEvaluator)
    assert isinstance(blueprint.templates, ClusterTemplates)
    program = blueprint.evaluator.program
    return _draw_rows(np.ascontiguousarray(point), u, program, blueprint.templates, design, rng)


def _program_and_point(
    blueprint: Blueprint, evaluator: ClusterEvaluator, point: FloatArray, *, natural: bool
) -> tuple[ClusterProgram, FloatArray]:
    """Return the structure that reads this kind of point, and the point as it reads it."""
    if not natural:
        return evaluator.program, point
    if not evaluator.n_sampled:
        return evaluator.natural_program, point
    x = blueprint.extend_sampled(sampled_from_table(blueprint, point))
    return evaluator.program, np.ascontiguousarray(x)


def _draw_intercepts(
    theta: FloatArray,
    blueprint: Blueprint,
    design: ObservedData,
    rng: np.random.Generator,
    deviations: FloatArray | None,
) -> Simulated:
    """Simulate a model without random coefficients other than intercepts."""
    assert isinstance(blueprint.templates, Templates)
    assert not isinstance(blueprint.evaluator, ClusterEvaluator)
    implied = implied_moments(theta, blueprint.evaluator.program)
    c, p, n_x = implied.coefficients, len(design.y_names), len(design.x_names)
    y = rng.standard_normal((design.n_rows, p)) @ root_of(implied.Sigma_w[:p, :p]).T
    y += c[:p, 0]
    if n_x:
        y += design.x @ c[:p, 1 : 1 + n_x].T
    if design.cluster is None:
        return Simulated(y, np.empty((0, 0)), np.empty((0, 0)))
    if deviations is None:
        deviations = rng.standard_normal((design.n_clusters, len(c))) @ root_of(implied.Sigma_b).T
    between = design.w @ c[:, 1 + n_x :].T + deviations
    y += between[:, :p][design.cluster]
    return Simulated(y, c[p:, 0] + between[:, p:], deviations)


def _draw_clusters(
    point: FloatArray,
    program: ClusterProgram,
    templates: ClusterTemplates,
    design: ObservedData,
    rng: np.random.Generator,
    sampled: FloatArray | None,
    deviations: FloatArray | None,
) -> Simulated:
    """Simulate a model with random coefficients: level 2, then rows."""
    _, omega, c_b, *_ = between_moments(point, program.ints, program.floats)
    n_a, first = len(templates.effects.linear), templates.first_sampled
    mean = design.cluster_design @ c_b
    if deviations is None:
        known = None if sampled is None else sampled - mean[:, first:]
        deviations = _draw_level_two(omega, first, design.n_clusters, rng, known)
    u = mean + deviations
    y = _draw_rows(point, u, program, templates, design, rng)
    return Simulated(y, u[:, n_a:first].copy(), deviations)


def _draw_level_two(
    omega: FloatArray,
    first: int,
    n_clusters: int,
    rng: np.random.Generator,
    known: FloatArray | None,
) -> FloatArray:
    """Draw deviations (J, n_u): sampled effects, from ``first`` on, then the rest given those."""
    deviations = np.empty((n_clusters, len(omega)))
    sampled, rest = deviations[:, first:], deviations[:, :first]
    if known is None:
        known = rng.standard_normal(sampled.shape) @ root_of(omega[first:, first:]).T
    sampled[:] = known
    slope = np.empty((first, 0))
    if sampled.shape[1]:
        slope = omega[:first, first:] @ np.linalg.pinv(omega[first:, first:], hermitian=True)
    conditional = omega[:first, :first] - slope @ omega[first:, :first]
    rest[:] = sampled @ slope.T + rng.standard_normal(rest.shape) @ root_of(conditional).T
    return deviations


def _draw_rows(
    point: FloatArray,
    u: FloatArray,
    program: ClusterProgram,
    templates: ClusterTemplates,
    design: ObservedData,
    rng: np.random.Generator,
) -> FloatArray:
    """Simulate level 1 given level 2.

    Without sampled effects all clusters have one structure, and are computed as one; then the
    arrays that have a cluster first have length 1.
    """
    effects, of_row = templates.effects, design.cluster
    b = np.ascontiguousarray(u[:, templates.first_sampled :])
    if of_row is None or not effects.sampled:
        b = np.empty((1, 0))
    sigma, fixed, vectors = cluster_structures(point, b, program.ints, program.floats)
    noise = rng.standard_normal((design.n_rows, len(design.y_names)))
    # column 0 of the design is the constant
    if effects.sampled and of_row is not None:
        y: FloatArray = np.einsum("npq,nq->np", roots(sigma)[of_row], noise)
        for column in range(fixed.shape[1]):
            y += _times(design, column, fixed[:, column][of_row])
    else:
        y = noise @ root_of(sigma[0]).T
        y += fixed[0, 0]
        if design.x_names:
            y += design.x @ fixed[0, 1:]
    if of_row is None:
        return y
    use_column = integers(program.ints, USE_COLUMN)
    a = u[:, integers(program.ints, USE_EFFECT)]
    for column in np.unique(use_column):
        uses = use_column == column
        shift = (a[:, None, uses] @ vectors[:, uses])[:, 0]
        y += _times(design, int(column), shift[of_row])
    return y


def _times(design: ObservedData, column: int, values: FloatArray) -> FloatArray:
    """Multiply rows (N, p) by a column of the design (1, x)."""
    return values if column == 0 else values * design.x[:, column - 1 : column]
