r"""Data from the model: draws of clusters, then of their rows.

For a design (clusters, x, w; see data.new_designs), with d_ij = (1, x_ij),

    u_j ~ N(C_b' (1, w_j), Omega)              level 2: a (integrated effects), z, b (sampled ones)
    y_ij | u_j ~ N(C_j(a_j, b_j)' d_ij, Sigma_j(b_j))

Where only intercepts are random, Sigma_j and the slopes are those of all clusters, and

    y_ij = C' (1, x_ij, w_j) + e_ij + u_j ,    e_ij ~ N(0, Sigma_w) ,   u_j ~ N(0, Sigma_b)

Outcomes that are not normal follow from linear predictors (simulation.drawn_responses).

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
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.gaussian.normal import draw_given, roots
from bayes_msem.simulation.drawn_responses import (
    cluster_outcomes,
    draw_responses,
    intercept_effects,
    predictor_covariance,
)
from bayes_msem.simulation.nested_draws import draw_nested

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
        Level-2 deviations from what the covariates say, u_j - E(u_j | w_j): (a, z, b), (J, n_u).
        With three levels, what their top unit adds is among them.
    z3
        Outcomes of top units, (K, q3); None unless there are three levels.
    """

    y: FloatArray
    z: FloatArray
    level_two: FloatArray
    z3: FloatArray | None = None

    def outcomes(self, design: ObservedData) -> FloatArray:
        """One array (N, P): y, then z (and z3) repeated for every row of their unit."""
        if design.parent is not None and self.z3 is not None:
            z3 = self.z3[design.parent[design.cluster]]
            return np.column_stack([self.y, self.z[design.cluster], z3])
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
    point = np.ascontiguousarray(point)
    if blueprint.nested is not None:
        theta = point if natural else blueprint.theta(point[None, : blueprint.parameters.n])[0]
        y, z, level_two, z3 = draw_nested(blueprint, theta, design, rng)
        return Simulated(y, z, level_two, z3)
    if natural and (blueprint.n_sampled or blueprint.template.responses is not None):
        point = blueprint.extend_sampled(sampled_from_table(blueprint, point))
        point, natural = np.ascontiguousarray(point), False
    omega, coefficients = blueprint.likelihood.level_two(point, natural=natural)
    template, mean = blueprint.template, design.cluster_design @ coefficients
    first = template.first_sampled
    if level_two is None:
        known = None if sampled is None else sampled - mean[:, first:]
        level_two = _draw_level_two(omega, first, design.n_clusters, rng, known)
    u = mean + level_two
    y = draw_rows(blueprint, point, u, design, rng, natural=natural)
    return Simulated(y, cluster_outcomes(blueprint, point, u, design, rng), level_two)


def draw_rows(
    blueprint: Blueprint,
    point: FloatArray,
    u: FloatArray,
    design: ObservedData,
    rng: np.random.Generator,
    *,
    natural: bool = False,
) -> FloatArray:
    """Simulate the rows of clusters whose effects are known.

    Parameters
    ----------
    blueprint
        The model.
    point
        Extended sampled parameters, or table values if ``natural``, (n_theta,).
    u
        Level 2 of every cluster of the design, (J, n_u): integrated effects, z, sampled effects.
    design, rng, natural
        As in :func:`simulate_data`.

    Returns
    -------
    (N, p) array
    """
    template, of_row = blueprint.template, design.cluster
    effects, responses = template.effects, template.responses
    b = np.ascontiguousarray(u[:, template.first_sampled :])
    if of_row is None or not effects.sampled:
        b = np.empty((1, 0))
    # without sampled effects all clusters have one structure, and are computed as one
    sigma, fixed, vectors = blueprint.likelihood.within(point, b, natural=natural)
    if responses is not None:
        assert not natural, "thresholds are read from sampled parameters"
        residuals = {
            design.y_names.index(name): family.residual_variance or 0.0
            for name, family in responses.families.items()
            if name not in responses.whole
        }
        sigma = predictor_covariance(residuals, sigma)
    noise = rng.standard_normal((design.n_rows, len(design.y_names)))
    # column 0 of the design is the constant
    if effects.sampled and of_row is not None:
        y: FloatArray = np.einsum("npq,nq->np", roots(sigma)[of_row], noise)
        for column in range(fixed.shape[1]):
            y += _times(design, column, fixed[:, column][of_row])
    else:
        y = noise @ roots(sigma[0]).T
        y += fixed[0, 0]
        if design.x_names:
            y += design.x @ fixed[0, 1:]
    if responses is not None:
        of_rows = np.empty((design.n_rows, 0))
        if of_row is not None and effects.sampled:
            of_rows = b[of_row]
            y += intercept_effects(responses, design.y_names, b)[of_row]
        return draw_responses(blueprint, point, y, design, rng, of_rows)
    if of_row is None:
        return y
    a = u[:, effects.use_effect]
    for column in np.unique(effects.use_column):
        uses = effects.use_column == column
        shift = (a[:, None, uses] @ vectors[:, uses])[:, 0]
        y += _times(design, int(column), shift[of_row])
    return y


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
        known = rng.standard_normal(sampled.shape) @ roots(omega[first:, first:]).T
    sampled[:] = known
    rest[:] = draw_given(omega, np.arange(first), np.arange(first, len(omega)), sampled, rng)
    return deviations


def _times(design: ObservedData, column: int, values: FloatArray) -> FloatArray:
    """Multiply rows (N, p) by a column of the design (1, x)."""
    return values if column == 0 else values * design.x[:, column - 1 : column]
