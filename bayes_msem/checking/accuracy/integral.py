r"""The likelihood of whole clusters, with every random effect integrated out.

What is linear is integrated exactly (kernels.recovery). Sampled effects b_j are integrated
numerically, in the coordinates t in which NUTS sampled them, of which they
are linear functions b(t) with derivative D_j (kernels.centring). With Omega = L L',

    log p(t | theta) = log N(s(t); 0, I) + log|L^-1 D_j| ,   s(t) = L^-1 (b(t) - E b_j) ,

    p(y_j, z_j | theta) = E_q [ p(y_j, z_j | b(t), theta) p(t | theta) / q_j(t) ] .

The proposal q_j = m_j + A_j z has independent t-distributed z with 5 degrees of freedom, and the
mean and covariance matrix A_j A_j' of the posterior draws of t_j: its tails are heavier than those
of the integrand, which is close to normal there. Points z are Sobol' points, in R independent
digital shifts for every posterior draw, so that the R averages are independent and unbiased, and
say how accurate their mean p is:

    se(log p) = sd(averages) / (sqrt(R) p) .

Points that are far from both the posterior (|z| > 8) and the prior (|s| > 10) count as zero:
nothing is there, and residual SDs of exp(-50) would leave no digits of the likelihood.

References
----------
Owen, A. B. (1998). Latin supercube sampling for very high-dimensional simulations. ACM Transactions
on Modeling and Computer Simulation, 8, 71-102. https://doi.org/10.1145/272991.273010
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.subsets import only_cluster
from bayes_msem.likelihood.row_integral import NodeRule, RowIntegral, t_points

__all__ = ["ClusterIntegral", "Proposal", "default_nodes", "proposal_from"]

FloatArray = NDArray[np.float64]

_DF = 5.0  # of the proposal
_FAR_Z, _FAR_S = 8.0, 10.0
_SHIFTS = 4  # independent averages
_BITS = 30
_LEAST, _MOST = 32, 128  # nodes that are chosen without being asked for


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """Where the coordinates t_j of every cluster probably are.

    Attributes
    ----------
    mean
        (J, n_b).
    root
        Lower triangular, with root root' the covariance matrix, (J, n_b, n_b).
    """

    mean: FloatArray
    root: FloatArray


def proposal_from(coordinates: FloatArray) -> Proposal:
    """Moments of posterior draws of coordinates (S, J, n_b), drawn towards N(0, I) if they are few.

    N(0, I) is what the coordinates were made for; it counts as much as n_b + 2 draws.
    """
    n, _, n_b = coordinates.shape
    weight = n / (n + n_b + 2.0)
    mean = coordinates.mean(axis=0)
    deviation = coordinates - mean
    covariance = np.einsum("sji,sjk->jik", deviation, deviation) / max(n - 1, 1)
    covariance = weight * covariance + (1.0 - weight) * np.eye(n_b)
    return Proposal(weight * mean, np.linalg.cholesky(covariance))


def default_nodes(n_sampled: int) -> int:
    """Points per draw and cluster: 32 for one or two effects, 64 up to four, 128 beyond.

    Standard errors are then around 0.03 to 0.06, which biases elpd_loo by their square per cluster.
    """
    return min(_LEAST << (max(n_sampled - 1, 0) // 2), _MOST)


class ClusterIntegral:
    """Log p(y_j, z_j | theta) of the clusters of a model.

    Parameters
    ----------
    blueprint
        A two-level model.
    proposal
        Where the coordinates of its sampled effects are; None without sampled effects.
    nodes
        Points per draw and cluster; rounded up to a power of two of at least 8.
    rng
        Source of the shifts.
    rows
        What integrates the scores of rows, in models with outcomes that are not normal.
    row_errors
        Errors (J,) of what ``rows`` gives, which are added to the standard errors.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        proposal: Proposal | None,
        *,
        nodes: int,
        rng: np.random.Generator,
        rows: RowIntegral | None = None,
        row_errors: FloatArray | None = None,
    ) -> None:
        assert (rows is None) == (blueprint.template.responses is None)
        self.rows = rows
        self.row_errors = np.zeros(1) if row_errors is None else row_errors
        self.blueprint, self.likelihood = blueprint, blueprint.likelihood
        self.first, self.n_sampled = blueprint.template.first_sampled, blueprint.n_sampled
        self.proposal, self.rng = proposal, rng
        self.nodes = 2 ** max(3, int(np.ceil(np.log2(nodes)))) if self.n_sampled else 1
        if self.n_sampled:
            assert proposal is not None
            from scipy.stats import qmc  # with scipy.stats, which takes a while

            engine = qmc.Sobol(self.n_sampled, scramble=False, bits=_BITS)
            points = engine.random_base2(int(np.log2(self.nodes // _SHIFTS)))
            self.base = np.round(points * 2.0**_BITS).astype(np.int64)

    @property
    def is_numerical(self) -> bool:
        """Whether anything is integrated numerically."""
        return bool(self.n_sampled) or self.rows is not None

    def __call__(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values and their standard errors (J,) at extended sampled parameters (n_theta,)."""
        n_clusters = self.blueprint.observed.n_clusters
        if self.proposal is None:
            exact = self._terms(point, np.empty((1, n_clusters, 0)))[0]
            return exact, np.zeros(n_clusters) + self.row_errors
        z, log_q = t_points(self._shifted(), _DF)
        effects, log_p, far = self._placed(point, z)
        logs = self._terms(point, effects) + log_p - log_q[:, None]
        # overflow: no density
        logs = np.where(np.isnan(logs) | far, -np.inf, logs)
        value, error = _averages(logs.reshape(_SHIFTS, -1, n_clusters))
        return value, error + self.row_errors

    def by_rule(self, point: FloatArray, rule: NodeRule) -> FloatArray:
        """Values (J,) by the nodes of a rule in place of random ones."""
        effects, log_p, _ = self._placed(point, rule.nodes)
        logs = self._terms(point, effects) + log_p + rule.log_weights[:, None]
        return np.asarray(logsumexp(np.where(np.isnan(logs), -np.inf, logs), axis=0))

    def _terms(self, point: FloatArray, effects: FloatArray) -> FloatArray:
        """Log p(y_j, z_j | b_j) at nodes (K, J, n_b) of the effects, (K, J)."""
        if self.rows is None:
            data = self.blueprint.statistics_by_cluster
            return self.likelihood.terms(point, effects, data)
        of_z = self.likelihood.terms(point, effects, self.likelihood.statistics)
        return of_z + np.stack([self.rows(point, b) for b in effects])

    def restricted(self, cluster: int) -> ClusterIntegral:
        """Return the same for one cluster alone, given by its code."""
        one = slice(cluster, cluster + 1)
        blueprint = self.blueprint.on(only_cluster(self.blueprint.observed, cluster))
        own = self.likelihood.approximation.only(cluster)
        likelihood = replace(blueprint.likelihood, approximation=own, shape=(1, self.n_sampled))
        rows = None
        if self.rows is not None:
            responses = self.rows.rows
            some = slice(responses.first[cluster], responses.first[cluster + 1])
            working = (responses.weight, responses.target, responses.carried)
            likelihood = likelihood.with_working(*(array[some] for array in working))
            of_cluster = (responses.z_weight[one], responses.z_target[one])
            assert likelihood.responses is not None
            alone = likelihood.responses.with_cluster_working(*of_cluster)
            likelihood = replace(likelihood, responses=alone)
            rows = RowIntegral(likelihood, self.rows.rule)
        proposal = self.proposal
        if proposal is not None:
            proposal = Proposal(proposal.mean[one], proposal.root[one])
        blueprint = replace(blueprint, likelihood=likelihood)
        return ClusterIntegral(blueprint, proposal, nodes=self.nodes, rng=self.rng, rows=rows)

    def _placed(
        self, point: FloatArray, z: FloatArray
    ) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Effects (K, J, n_b) at standardised nodes z, their log density in z, and what is far."""
        assert self.proposal is not None
        t = self.proposal.mean + np.einsum("jik,nk->nji", self.proposal.root, z)
        first, likelihood = self.first, self.likelihood
        root = np.linalg.cholesky(likelihood.level_two(point).Omega[first:, first:])
        origin, slopes, _, mean = likelihood.coordinate_map(point, np.zeros(likelihood.shape))
        deviation = origin + np.einsum("jik,njk->nji", slopes, t, optimize=True)
        inverse = np.linalg.inv(root)
        s = deviation @ inverse.T
        log_p = -0.5 * (s**2 + np.log(2 * np.pi)).sum(axis=2)
        log_p = log_p + np.linalg.slogdet(inverse @ slopes)[1]
        log_p = log_p + np.log(np.einsum("jii->ji", self.proposal.root)).sum(axis=1)
        far = (np.abs(z).max(axis=1) > _FAR_Z)[:, None] & (np.abs(s).max(axis=2) > _FAR_S)
        return np.ascontiguousarray(mean + deviation), log_p, far

    def _shifted(self) -> FloatArray:
        """Uniform points, in independent digital shifts, (nodes, n_b)."""
        shifts = self.rng.integers(0, 2**_BITS, size=(_SHIFTS, 1, self.n_sampled))
        uniform = ((self.base ^ shifts) + 0.5) / 2.0**_BITS
        return np.asarray(uniform.reshape(-1, self.n_sampled), dtype=np.float64)


def _averages(logs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log of the mean over shifts and nodes (R, m, J), and its standard error, each (J,)."""
    value = np.asarray(logsumexp(logs, axis=(0, 1))) - np.log(logs.shape[0] * logs.shape[1])
    averages = np.asarray(logsumexp(logs, axis=1)) - np.log(logs.shape[1])
    relative = np.exp(averages - np.where(np.isfinite(value), value, 0.0))
    error = relative.std(axis=0, ddof=1) / np.sqrt(logs.shape[0])
    return value, np.where(np.isfinite(value), error, np.inf)
