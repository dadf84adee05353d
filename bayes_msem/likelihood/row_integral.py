r"""Rows with their scores integrated out: log p(v_i, y_i | b_j, theta), numerically.

In the coordinates t of kernels.row_scores, the term of a row is log p(v_i, y_i, t | b_j, theta),
and t is close to standard normal given the data. So, with nodes z_k and weights w_k for the
standard normal,

    p(v_i, y_i | b_j) = sum_k w_k exp(term(z_k) + z_k' z_k / 2) (2 pi)^(q / 2) :

adaptive Gauss-Hermite quadrature (Pinheiro & Bates, 1995). Up to three scores per row the nodes are
those of a product rule, and for more scores Sobol' points of the t distribution. The rule is the
smallest one from which the next smaller one hardly differs; the difference is the error that is
stated.

References
----------
Pinheiro, J. C., & Bates, D. M. (1995). Approximations to the log-likelihood function in the
nonlinear mixed-effects model. Journal of Computational and Graphical Statistics, 4, 12-35.
https://doi.org/10.1080/10618600.1995.10474663
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, stdtrit

from bayes_msem.likelihood.likelihood import Likelihood
from bayes_msem.likelihood.response_rows import Responses

__all__ = [
    "NodeRule",
    "RowIntegral",
    "hermite_rule",
    "refined",
    "row_integral",
    "sobol_rule",
    "t_points",
]

FloatArray = NDArray[np.float64]

_SIZES = {1: (5, 9, 15, 25, 41), 2: (5, 7, 11, 17, 25), 3: (3, 5, 7, 9, 13)}
_POINTS = (64, 256, 1024, 4096)  # where a product rule would need too many
_DF = 5.0
_MOST_ROWS = 200_000  # copies of rows that are held at a time


@dataclass(frozen=True, slots=True, eq=False)
class NodeRule:
    """Nodes z (K, d), and log weights (K,) such that sum exp(log w) f(z) is the integral of f."""

    nodes: FloatArray
    log_weights: FloatArray


def hermite_rule(size: int, d: int) -> NodeRule:
    """Gauss-Hermite product rule for functions that look like the standard normal density."""
    points, weights = np.polynomial.hermite_e.hermegauss(size)
    logs = np.log(weights) + 0.5 * points**2
    grid = np.array(list(product(points, repeat=d))).reshape(size**d, d)
    return NodeRule(grid, np.array([sum(w) for w in product(logs, repeat=d)], dtype=np.float64))


def t_points(uniform: FloatArray, df: float) -> tuple[FloatArray, FloatArray]:
    """Independent t-distributed coordinates (n, d) at uniform points, and log densities (n,)."""
    z = np.asarray(stdtrit(df, uniform), dtype=np.float64)
    constant = float(gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * np.pi))
    return z, constant * z.shape[1] - (df + 1) / 2 * np.log1p(z**2 / df).sum(axis=1)


def sobol_rule(n: int, d: int, seed: int) -> NodeRule:
    """Sobol' points of the t distribution; every seed is a scrambling of its own."""
    engine = scipy.stats.qmc.Sobol(d, rng=np.random.default_rng(seed))
    z, log_density = t_points(engine.random_base2(int(np.log2(n))), _DF)
    return NodeRule(z, -log_density - np.log(n))


def refined[T](
    candidates: Iterable[T], evaluate: Callable[[T], FloatArray], tolerance: float
) -> tuple[T, FloatArray, FloatArray]:
    """Take the smallest rule from which the next smaller one hardly differs.

    Parameters
    ----------
    candidates
        Two or more, from the smallest on.
    evaluate
        From a candidate to values (n,).
    tolerance
        Of the sum of the values.

    Returns
    -------
    tuple
        The candidate, its values, and how far those of the one before are, (n,). Where the largest
        candidate is not enough, the sum of these is above the tolerance.
    """
    rest = iter(candidates)
    before = evaluate(next(rest))
    for candidate in rest:
        value = evaluate(candidate)
        errors = np.abs(value - before)
        if errors.sum() <= tolerance:
            break
        before = value
    return candidate, value, errors


def _rules(q: int) -> list[NodeRule]:
    if q in _SIZES:
        return [hermite_rule(size, q) for size in _SIZES[q]]
    return [sobol_rule(n, q, n) for n in _POINTS]


class RowIntegral:
    """Log p(v_i, y_i | b, theta) of all rows, scores integrated out.

    Parameters
    ----------
    likelihood
        That of a model with outcomes that are not normal.
    rule
        Nodes of the scores.
    """

    def __init__(self, likelihood: Likelihood, rule: NodeRule) -> None:
        assert likelihood.responses is not None
        self.likelihood, self.rule, self.rows = likelihood, rule, likelihood.responses
        n, self.q = self.rows.shape
        self.copies = max(1, min(len(rule.nodes), _MOST_ROWS // max(n, 1)))
        self.parts: dict[int, Likelihood] = {}

    def of_rows(self, x: FloatArray, b: FloatArray) -> FloatArray:
        """Values (N,) in the order of ``responses``, at effects b (J, n_b)."""
        n, nodes = len(self.rows.y), self.rule.nodes
        own = b[self.rows.cluster] if b.shape[1] else np.empty((n, 0))
        logs = np.empty((len(nodes), n))
        for first in range(0, len(nodes), self.copies):
            some = nodes[first : first + self.copies]
            t = np.repeat(some, n, axis=0)
            terms = self._copied(len(some)).row_terms(x, np.tile(own, (len(some), 1)), t).value
            logs[first : first + len(some)] = terms.reshape(len(some), n)
        found = logsumexp(logs + self.rule.log_weights[:, None], axis=0)
        return np.asarray(found, dtype=np.float64)

    def __call__(self, x: FloatArray, b: FloatArray) -> FloatArray:
        """Sum over rows and responses of every cluster, (J,), at effects b (J, n_b)."""
        if not self.q:
            own = b if b.shape[1] else np.empty((len(self.rows.first) - 1, 0))
            terms = self.likelihood.row_terms(x, own, np.empty((len(self.rows.y), 0))).value
        else:
            terms = self.by_cluster(self.of_rows(x, b))
        return terms + self.likelihood.cluster_terms(x, b).value

    def by_cluster(self, values: FloatArray) -> FloatArray:
        """Sum the values (N,) of rows within clusters, (J,)."""
        sums = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(np.diff(sums[self.rows.first]))

    def _copied(self, copies: int) -> Likelihood:
        """Rows, some times over, each as a cluster of its own: terms are by cluster."""
        if copies not in self.parts:
            rows = _repeated(self.rows, copies)
            self.parts[copies] = replace(self.likelihood, responses=rows)
        return self.parts[copies]


def _repeated(rows: Responses, copies: int) -> Responses:
    def tiled(array: FloatArray) -> FloatArray:
        return np.tile(array, (copies, 1))

    none = np.zeros((0, 0))
    return replace(
        rows,
        of_clusters=None,
        known=none,
        z=none,
        z_offset=none,
        z_weight=none,
        z_target=none,
        order=np.tile(rows.order, copies),
        first=np.arange(copies * len(rows.y) + 1),
        pattern=np.tile(rows.pattern, copies),
        design=tiled(rows.design),
        normal=tiled(rows.normal),
        y=tiled(rows.y),
        offset=tiled(rows.offset),
        weight=tiled(rows.weight),
        target=tiled(rows.target),
        carried=tiled(rows.carried),
    )


def row_integral(
    likelihood: Likelihood, x: FloatArray, b: FloatArray, tolerance: float
) -> tuple[RowIntegral, FloatArray]:
    """Choose the nodes of the scores.

    Parameters
    ----------
    likelihood
        That of a model with outcomes that are not normal.
    x, b
        Extended sampled parameters and effects (J, n_b) at which rules are compared.
    tolerance
        Of the log-likelihood of all rows.

    Returns
    -------
    tuple
        The integral, and how far it is from a smaller rule in every row, (N,): an estimate of the
        absolute error. Where the largest rule is not enough, their sum is above the tolerance.
    """
    q = likelihood.score_shape[1]
    if not q:
        rule = NodeRule(np.zeros((1, 0)), np.zeros(1))
        return RowIntegral(likelihood, rule), np.zeros(likelihood.score_shape[0])
    integrals = (RowIntegral(likelihood, rule) for rule in _rules(q))
    integral, _, errors = refined(integrals, lambda i: i.of_rows(x, b), tolerance)
    return integral, errors
