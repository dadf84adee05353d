"""The matrices of the model at one posterior draw.

Given the level-2 vectors u_j = (a_j, z_j, b_j) ~ N(mu_j, Omega), rows are independent,

    y_ij ~ N( C_j d_ij + sum_q a_jq l_jq d_ij[col_q] , Sigma_j ) .
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.predictive.design import Design
from bayes_msem.spec.table import RowKey

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Structure:
    """The matrices of one draw.

    Attributes
    ----------
    design
        Rows and clusters.
    point
        Extended sampled parameters, (n_theta,).
    sigma, c, effect
        Sigma (G, p, p), coefficients (G, D, p) for outcomes centred at ``design.center``, and
        vectors l_q (G, uses, p), with G = 1 if all clusters share them, else J.
    omega, mean
        Covariance matrix (n_u, n_u) and means (J, n_u) of u = (a, z, b).
    b
        Sampled effects, (J, n_b).
    values
        Value of every row of the parameter table.
    found
        What several statistics read of samples at this draw (level_fit.once).
    """

    design: Design
    point: FloatArray
    sigma: FloatArray
    c: FloatArray
    effect: FloatArray
    omega: FloatArray
    mean: FloatArray
    b: FloatArray
    values: Mapping[RowKey, float]
    found: dict[str, list[tuple[Any, Any]]] = field(default_factory=dict)

    @cached_property
    def whitener(self) -> FloatArray:
        """Inverse roots of Sigma, (G, p, p)."""
        return inverse_roots(self.sigma)

    @cached_property
    def precision(self) -> FloatArray:
        """Inverses of Sigma, (G, p, p)."""
        inverse: FloatArray = np.swapaxes(self.whitener, 1, 2) @ self.whitener
        return inverse

    @cached_property
    def information(self) -> FloatArray:
        """What the rows of each complete cluster say about its linear effects, H_j (J', n_a, n_a).

        The least-squares estimate of the effects from the cluster's rows alone has covariance
        matrix H_j^-1. Where clusters share Sigma, one matrix for each of ``design.kinds``.
        """
        effects, design = self.design.template.effects, self.design
        place = np.searchsorted(design.columns, effects.use_column)
        weight = self.effect @ self.precision @ np.swapaxes(self.effect, 1, 2)
        dd = design.effect_design_products[design.complete_clusters]
        if design.shared:
            dd = dd[design.kinds[0]]
        else:
            weight = weight[design.complete_clusters]
        scale = dd[:, place[:, None], place[None, :]]
        return gather_effects(gather_effects(scale * weight, design, 1), design, 2)

    @cached_property
    def error(self) -> FloatArray:
        """Covariance matrices H_j^-1 of the clusters' own estimates, (J', n_a, n_a)."""
        return self._per_cluster(np.linalg.inv(self.information))

    @cached_property
    def level_two_whitener(self) -> FloatArray:
        """Inverse roots of the covariance matrices of (estimates of a, z, b), (J', n_u, n_u)."""
        n_a = len(self.design.template.effects.linear)
        error = np.linalg.inv(self.information)
        total = np.repeat(self.omega[None], len(error), axis=0)
        total[:, :n_a, :n_a] += error
        return self._per_cluster(inverse_roots(total))

    def _per_cluster(self, stack: FloatArray) -> FloatArray:
        """Repeat what was computed once per kind of cluster."""
        repeated: FloatArray = stack[self.design.kinds[1]] if self.design.shared else stack
        return repeated


def inverse_roots(covariances: FloatArray) -> FloatArray:
    """Return W with W S W' = I for every S of a stack (n, k, k): S = sd R sd, W = R^-1/2 sd^-1.

    Among all whitening matrices this one depends neither on the order of the variables nor on
    their units (ZCA-cor; Kessy, Lewin & Strimmer 2018,
    https://doi.org/10.1080/00031305.2016.1277159).

    Raises
    ------
    numpy.linalg.LinAlgError
        Some matrix is not positive definite.
    """
    variances = np.einsum("nkk->nk", covariances)
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(variances)
        correlations = covariances / (sd[:, :, None] * sd[:, None, :])
    if not np.isfinite(correlations).all():
        raise np.linalg.LinAlgError("a variance is not positive")
    values, vectors = np.linalg.eigh(correlations)
    if not (values > 1e-14).all():
        raise np.linalg.LinAlgError("a covariance matrix is not positive definite")
    symmetric = (vectors / np.sqrt(values)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    roots: FloatArray = symmetric / sd[:, None, :]
    return roots


def gather_effects(values: FloatArray, design: Design, axis: int) -> FloatArray:
    """Sum what belongs to the uses of a linear effect, along an axis."""
    effects = design.template.effects
    uses = np.zeros((len(effects.use_effect), len(effects.linear)))
    uses[np.arange(len(uses)), effects.use_effect] = 1.0
    result: FloatArray = np.moveaxis(np.moveaxis(values, axis, -1) @ uses, -1, axis)
    return result


def structure_at(
    blueprint: Blueprint,
    design: Design,
    point: FloatArray,
    b: FloatArray,
    values: Mapping[RowKey, float],
) -> Structure:
    """Compute the matrices of one draw.

    Parameters
    ----------
    blueprint
        The model.
    design
        Of the check.
    point
        Extended sampled parameters, (n_theta,).
    b
        Sampled effects of the design's clusters, (J, n_b).
    values
        Value of every row of the parameter table.
    """
    likelihood = blueprint.likelihood
    own = np.empty((1, 0)) if design.shared else np.ascontiguousarray(b)
    sigma, c, effect = likelihood.within(point, own)
    c[:, 0] -= design.center
    omega, mean = np.empty((0, 0)), np.empty((design.n_clusters, 0))
    if design.two_level:
        omega, coefficients = likelihood.level_two(point)
        mean = design.observed.cluster_design @ coefficients
    return Structure(design, point, sigma, c, effect, omega, mean, b, values)


def no_structure(design: Design, point: FloatArray, values: Mapping[RowKey, float]) -> Structure:
    """Return what statistics of outcomes that are not normal read: the values of the rows alone."""
    none, flat = np.empty((1, 0, 0)), np.empty((0, 0))
    return Structure(design, point, none, none, none, flat, flat, flat, values)
