r"""Predictions of cluster-level outcomes, given the effects of their cluster and its covariates.

Of u = (a, z, b) ~ N(C_b (1, w), Omega) with normal z, those are normal given the effects (a, b).
Outcomes that are not normal have linear predictors of (1, w, z, b) (structure.cluster_responses);
where z is not drawn it is averaged over, as are the predictors of responses of rows over factors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.gaussian.normal import conditional, roots
from bayes_msem.posterior.frame_rows import Rows
from bayes_msem.posterior.scores import Effects
from bayes_msem.posterior.within import WithinModel

__all__ = ["ClusterOutcomes"]

FloatArray = NDArray[np.float64]


class ClusterOutcomes:
    """Cluster-level outcomes of some clusters, S draws.

    Parameters
    ----------
    model
        The model at all posterior draws.
    effects
        Of the clusters, (S, J, ...).
    rows
        With the design and the log exposures of the clusters.
    """

    def __init__(self, model: WithinModel, effects: Effects, rows: Rows) -> None:
        self.model, self.effects, self.rows = model, effects, rows
        self.names = model.blueprint.template.every_z
        self.template = model.blueprint.template.cluster_responses
        n_a, n_b = effects.linear.shape[-1], effects.sampled.shape[-1]
        n_u = model.omega.shape[-1]
        self.normal = np.arange(n_a, n_u - n_b)
        self.values = model.blueprint.likelihood.values(model.points)
        self.mean, self.rest = self._normal(np.r_[:n_a, n_u - n_b : n_u])

    def _normal(self, given: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Means (S, J, n_z) and covariance matrices (S, n_z, n_z) of normal outcomes."""
        n_draws, n_clusters = self.effects.linear.shape[:2]
        if not len(self.normal):
            return np.empty((n_draws, n_clusters, 0)), np.empty((n_draws, 0, 0))
        mean = np.einsum("jd,sdu->sju", self.rows.cluster_design, self.model.c_b)
        known = np.concatenate([self.effects.linear, self.effects.sampled], axis=-1)
        slope, rest = conditional(self.model.omega, self.normal, given)
        shift = np.einsum("szg,sjg->sjz", slope, known - mean[..., given])
        return mean[..., self.normal] + shift, rest

    def expected(self) -> FloatArray:
        """Return expected outcomes (S, J, q), of ordered ones the means of codes."""
        result = self._with_responses(self.mean)
        if self.template is not None:
            eta, variance = self._predictors(self.mean, self.rest)
            for k, (name, family) in enumerate(self.template.families.items()):
                cuts, rule = self._thresholds(k), family.outcome
                found = rule.marginal_mean(eta[..., k], variance[:, None, k], cuts)
                result[..., self.names.index(name)] = found
        return result

    def drawn(self, rng: np.random.Generator) -> FloatArray:
        """Draw the outcomes, (S, J, q)."""
        z = self.mean
        if z.shape[-1]:
            z = z + np.einsum("szy,sjy->sjz", roots(self.rest), rng.standard_normal(z.shape))
        result = self._with_responses(z)
        if self.template is not None:
            eta, _ = self._predictors(z, np.zeros_like(self.rest))
            for k, (name, family) in enumerate(self.template.families.items()):
                known = np.isfinite(eta[..., k])  # without an exposure there is no prediction
                found = family.outcome.simulate(
                    rng,
                    np.where(known, eta[..., k], 0.0),
                    self._thresholds(k),
                    self._dispersion(k),
                )
                result[..., self.names.index(name)] = np.where(known, found, np.nan)
        return result

    def probabilities(self) -> FloatArray:
        """Probabilities of all categories of all ordered outcomes, side by side, (S, J, K)."""
        shares = [np.empty((*self.mean.shape[:2], 0))]
        if self.template is not None:
            eta, variance = self._predictors(self.mean, self.rest)
            for name in (z for z in self.names if z in self.model.blueprint.observed.categories):
                k, rule = self.template.names.index(name), self.template.families[name].outcome
                own = np.broadcast_to(variance[:, None, k], eta.shape[:2])
                cuts = self._thresholds(k)
                shares.append(rule.marginal_probabilities(eta[..., k], own, cuts))
        return np.concatenate(shares, axis=-1)

    def _with_responses(self, z: FloatArray) -> FloatArray:
        """Put normal outcomes in their places among all, (S, J, q)."""
        result = np.full((*z.shape[:2], len(self.names)), np.nan)
        places = [self.names.index(v) for v in self.model.blueprint.template.z_names]
        result[..., places] = z
        return result

    def _predictors(self, z: FloatArray, rest: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means (S, J, K) of linear predictors, and what z leaves of their variances, (S, K)."""
        assert self.template is not None
        weights = self.template.coefficients(self.values, self.effects.sampled.shape[-1])
        w = self.rows.cluster_design
        n_w = w.shape[1]
        eta = np.einsum("skd,jd->sjk", weights[..., :n_w], w)
        eta += np.einsum("skz,sjz->sjk", weights[..., n_w : self.template.n_fixed], z)
        eta += np.einsum(
            "skb,sjb->sjk", weights[..., self.template.n_fixed :], self.effects.sampled
        )
        eta += self.rows.cluster_offset[:, [self.names.index(v) for v in self.template.names]]
        of_z = weights[..., n_w : self.template.n_fixed]
        return eta, np.einsum("skz,szy,sky->sk", of_z, rest, of_z)

    def _thresholds(self, k: int) -> FloatArray | None:
        assert self.template is not None
        cuts = self.template.thresholds(self.values, k)
        return cuts[:, None, :] if cuts.shape[-1] else None

    def _dispersion(self, k: int) -> FloatArray | None:
        assert self.template is not None
        source = self.template.dispersion[k]
        return self.values[:, source, None] if source >= 0 else None
