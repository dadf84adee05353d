r"""Level 1 of one cluster, given its effects: all posterior draws at once.

Given parameters and the effects (a_j, b_j) of a cluster, its rows are independent, with
d_i = (1, x_i) and

    v_i = (I - B_j)^-1 (K_j(a_j) d_i + z_i) ,  z_i ~ N(0, Psi_j) ,  y_i = s_j + F v_i

where K_j(a_j) holds random slopes on covariates and s_j the random intercepts (which are among b_j
where some outcomes are not normal; y_i are the latent responses then). So (v_i, y_i) is
normal, and what is said about some of it given the rest follows from

    E[v | y] = m + Phi F_o' (F_o Phi F_o')^-1 (y_o - s_o - F_o m) ,  Phi = (I-B)^-1 Psi (I-B)^-T

with o the observed entries of y. Single-level models are one cluster without effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.gaussian.normal import conditional
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.structure.matrices import LevelMatrices, level_matrices
from bayes_msem.structure.scaled_residuals import effects_of_log_sds, log_sds
from bayes_msem.structure.templates import LevelTemplate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MAX_VALUES = 4_000_000  # draws x rows x variables that are held at a time


@dataclass(frozen=True, slots=True, eq=False)
class WithinDraws:
    """The level-1 model of one cluster in every draw.

    Attributes
    ----------
    coefficients
        Mean of the variables v on d = (1, x), (S, m, D).
    covariance
        Phi, (S, m, m).
    shift
        Random intercepts that are added to the outcomes, (S, p).
    selection
        F, (p, m).
    log_sds
        Log SDs (S, n, K) of the residuals of scaled responses, from the design (n, D) of rows and
        their outcomes (S, n, p).
    """

    coefficients: FloatArray
    covariance: FloatArray
    shift: FloatArray
    selection: FloatArray
    log_sds: Callable[[FloatArray, FloatArray], FloatArray] | None = None

    def outcome_means(self, design: FloatArray) -> FloatArray:
        """Means of the outcomes (S, n, p) of rows with design (n, D)."""
        means: FloatArray = np.einsum(
            "smd,nd,pm->snp", self.coefficients, design, self.selection, optimize=True
        )
        return means + self.shift[:, None, :]

    def outcome_coefficients(self) -> FloatArray:
        """Mean of the outcomes on d, less the shift, (S, p, D)."""
        result: FloatArray = self.selection @ self.coefficients
        return result

    def outcome_covariances(self) -> FloatArray:
        """Return Sigma_j, (S, p, p)."""
        result: FloatArray = self.selection @ self.covariance @ self.selection.T
        return result

    def given_outcomes(
        self, wanted: IntArray, y: FloatArray, design: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Mean (S, n, k) and covariance (S, k, k) of variables given rows that miss the same.

        Parameters
        ----------
        wanted
            Positions of the variables among v, (k,).
        y
            Outcomes (n, p) or, if they differ between draws, (S, n, p); missing ones are NaN, in
            the same columns of all rows.
        design
            (n, D).
        """
        seen = ~np.isnan(y[(0,) * (y.ndim - 1)])
        k, both = (
            len(wanted),
            np.vstack([np.eye(self.selection.shape[1])[wanted], self.selection[seen]]),
        )
        joint = both @ self.covariance @ both.T
        gain, rest = conditional(joint, np.arange(k), np.arange(k, len(both)))
        residual = (y - self.outcome_means(design))[..., seen]
        mean = np.einsum("skd,nd->snk", self.coefficients[:, wanted], design)
        return mean + np.einsum("skp,snp->snk", gain, residual), rest


class WithinModel:
    """The level-1 model of a blueprint at all posterior draws.

    Parameters
    ----------
    blueprint
        The model.
    posterior
        Posterior draws of its parameters, S in all.
    """

    def __init__(self, blueprint: Blueprint, posterior: xr.Dataset) -> None:
        self.blueprint = blueprint
        self.points = blueprint.points(sampled_parameters(blueprint, posterior))
        self.level: LevelTemplate = blueprint.template.within
        self.effects = blueprint.template.effects
        self.selection = np.zeros((len(self.level.outcomes), len(self.level.names)))
        self.selection[self.level.observed_position, self.level.observed_variable] = 1.0
        self.omega, self.c_b = blueprint.likelihood.level_two(self.points)
        self.shared = None if self.effects.rows else self._matrices(None)

    @property
    def n_draws(self) -> int:
        """Number of draws S."""
        return len(self.points)

    def cluster(self, a: FloatArray, b: FloatArray) -> WithinDraws:
        """Level 1 of a cluster with linear effects a (S, n_a) and sampled effects b (S, n_b)."""
        matrices = self.shared or self._matrices(np.ascontiguousarray(b))
        k = matrices.k
        shift, p = np.zeros((self.n_draws, len(self.selection))), len(self.selection)
        if len(self.effects.use_effect):
            k = k.copy()
            uses = (self.effects.use_effect, self.effects.use_variable, self.effects.use_column)
            for effect, variable, column in zip(*uses, strict=True):
                if variable >= 0:
                    k[:, variable, column] += a[:, effect]
                else:
                    assert -1 - variable < p
                    shift[:, -1 - variable] += a[:, effect]
        for i, name in enumerate(self.level.outcomes):
            if name in self.effects.sampled:  # a random intercept that is
                shift[:, i] += b[:, self.effects.sampled.index(name)]
        own = matrices.total @ k, matrices.covariance, shift
        rows = self.blueprint.template.responses
        if rows is None or not rows.scaled:
            return WithinDraws(*own, self.selection)
        at = [self.level.outcomes.index(name) for name in rows.normal]
        values = self.blueprint.likelihood.values(self.points)
        effects = effects_of_log_sds(rows, b)

        def found(design: FloatArray, y: FloatArray) -> FloatArray:
            parts = y[..., at] - shift[:, None, at]
            return log_sds(rows, values, design, parts) + effects[:, None, :]

        return WithinDraws(*own, self.selection, found)

    def _matrices(self, b: FloatArray | None) -> LevelMatrices:
        """Matrices of all draws, with the effects b (S, n_b) of a cluster."""
        return level_matrices(self.level, self.blueprint.likelihood.values(self.points, b))

    def blocks(
        self,
        effects_of: Callable[[int], tuple[FloatArray, FloatArray]],
        cluster: IntArray | None,
        n_rows: int,
        per_row: int,
    ) -> Iterator[tuple[int, WithinDraws, IntArray]]:
        """Go through rows cluster by cluster, some at a time (see :func:`row_blocks`).

        Yields
        ------
        tuple of (int, WithinDraws, array)
            Code of the cluster, its level-1 model at the effects that ``effects_of`` gives, and
            positions of rows.
        """
        current, within = -1, None
        for code, rows in row_blocks(cluster, n_rows, per_row):
            if within is None or code != current:
                current, within = code, self.cluster(*effects_of(code))
            yield code, within, rows


def same_pattern(y: FloatArray, at: IntArray) -> Iterator[IntArray]:
    """Split rows, given by their positions in y (N, p), by which outcomes are missing."""
    missing = np.isnan(y[at])
    if not missing.any():
        yield at
        return
    _, pattern = np.unique(missing, axis=0, return_inverse=True)
    for k in range(int(pattern.max()) + 1):
        yield at[pattern.ravel() == k]


def row_blocks(
    cluster: IntArray | None, n_rows: int, per_row: int
) -> Iterator[tuple[int, IntArray]]:
    """Clusters with their rows, few enough at a time that ``per_row`` numbers each fit.

    Yields
    ------
    tuple of (int, array)
        Code of the cluster (0 in single-level models) and positions of rows.
    """
    codes = np.zeros(n_rows, dtype=np.int64) if cluster is None else cluster
    order = np.argsort(codes, kind="stable")
    step = max(1, _MAX_VALUES // max(per_row, 1))
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        for first in range(0, len(rows), step):
            yield int(codes[rows[0]]), rows[first : first + step]
