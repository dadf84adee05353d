"""Moment estimates of both levels for many data sets with the same clusters and missing values.

The same estimates as :mod:`bayes_msem.data.describe` (S_W, S_B, n* and Sigma_B as there, pairwise
deletion), prepared once and then evaluated on arrays, so that hundreds of replicated data sets can
be compared with the one observed. Single-level data have S_W only, with N - 1.

Cluster-level variables z join level between: Var(z) over clusters, and Cov(ybar_j, z_j) over
clusters, which noise inside clusters does not bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.cluster_means import cluster_means
from bayes_msem.data.observed_data import ObservedData

__all__ = ["Components", "Estimates"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Moment estimates; NaN where data are too few.

    Attributes
    ----------
    mean_y, mean_z
        Means over rows and over clusters, (p,) and (q,).
    within
        S_W of all y, (p, p).
    between
        Covariance matrix of the between parts of the split variables and of z, (s + q, s + q);
        its diagonal may be negative. Empty in single-level data.
    """

    mean_y: FloatArray
    mean_z: FloatArray
    within: FloatArray
    between: FloatArray


@dataclass(frozen=True)
class Components:
    """Estimator of the moments of data with the clusters and missing values of ``observed``."""

    observed: ObservedData

    def __call__(self, y: FloatArray, z: FloatArray) -> Estimates:
        """Estimate the moments of outcomes y (N, p) and z (J, q).

        Values are read only where the observed data have some.
        """
        observed = self.observed
        p, q = len(observed.y_names), len(observed.z_names)
        seen_y, seen_z = ~np.isnan(observed.y), ~np.isnan(observed.z)
        mean_y = np.array([y[seen_y[:, i], i].mean() for i in range(p)])
        mean_z = np.array([z[seen_z[:, i], i].mean() for i in range(q)])
        y, z = y - mean_y, z - mean_z  # sums of squares of large means would lose digits
        within, sigma = np.full((p, p), np.nan), np.full((p, p), np.nan)
        for part in self._parts:
            w, b = part.estimate(y)
            within[part.first, part.second] = within[part.second, part.first] = w
            sigma[part.first, part.second] = sigma[part.second, part.first] = b
        if observed.cluster is None:
            return Estimates(mean_y, mean_z, within, np.empty((0, 0)))
        split = [observed.y_names.index(v) for v in observed.split_names]
        s = len(split)
        between = np.full((s + q, s + q), np.nan)
        between[:s, :s] = sigma[np.ix_(split, split)]
        columns = [
            cluster_means(y[seen, i], observed.cluster[seen], observed.n_clusters)
            for i, seen in ((i, seen_y[:, i]) for i in split)
        ]
        columns += [np.where(seen_z[:, i], z[:, i], np.nan) for i in range(q)]
        for i in range(s, s + q):
            for k in range(i + 1):
                between[i, k] = between[k, i] = _covariance(columns[i], columns[k])
        return Estimates(mean_y, mean_z, within, between)

    @cached_property
    def _parts(self) -> tuple[_Part, ...]:
        """Pairs of variables, put together where they are present in the same rows."""
        seen = ~np.isnan(self.observed.y)
        pairs: dict[bytes, list[tuple[int, int]]] = {}
        for i in range(seen.shape[1]):
            for k in range(i + 1):
                pairs.setdefault((seen[:, i] & seen[:, k]).tobytes(), []).append((i, k))
        return tuple(_part(self.observed, seen, members) for members in pairs.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Pairs of variables and the rows in which both are present, in the order of clusters."""

    first: IntArray
    second: IntArray
    rows: IntArray
    starts: IntArray
    sizes: IntArray
    two_level: bool

    def estimate(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """S_W and Sigma_B of every pair."""
        n, j = len(self.rows), len(self.sizes)
        a, b = y[self.rows][:, self.first], y[self.rows][:, self.second]
        gone = np.full(len(self.first), np.nan)
        if not self.two_level:
            centred = (a - a.mean(axis=0)) * (b - b.mean(axis=0))
            return (centred.sum(axis=0) / (n - 1) if n > 1 else gone), gone
        if j < 2 or n <= j:
            return gone, gone
        sizes = self.sizes[:, None]
        mean_a = np.add.reduceat(a, self.starts, axis=0) / sizes
        mean_b = np.add.reduceat(b, self.starts, axis=0) / sizes
        products = (a * b).sum(axis=0) - (sizes * mean_a * mean_b).sum(axis=0)
        grand_a, grand_b = a.mean(axis=0), b.mean(axis=0)
        spread = (sizes * (mean_a - grand_a) * (mean_b - grand_b)).sum(axis=0)
        within, between = products / (n - j), spread / (j - 1)
        star = (n - (self.sizes**2).sum() / n) / (j - 1)
        return within, (between - within) / star


def _part(observed: ObservedData, seen: NDArray[np.bool_], members: list[tuple[int, int]]) -> _Part:
    first, second = np.array(members).T
    rows = np.flatnonzero(seen[:, first[0]] & seen[:, second[0]])
    codes = np.zeros(len(rows), np.int64) if observed.cluster is None else observed.cluster[rows]
    order = np.argsort(codes, kind="stable")
    _, starts, sizes = np.unique(codes[order], return_index=True, return_counts=True)
    return _Part(first, second, rows[order], starts, sizes, observed.cluster is not None)


def _covariance(a: FloatArray, b: FloatArray) -> float:
    both = ~(np.isnan(a) | np.isnan(b))
    if both.sum() < 2:
        return float("nan")
    return float(np.cov(a[both], b[both])[0, 1])
