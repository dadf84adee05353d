"""The oracle of three-level models: all outcomes of a top unit as one normal vector.

Shares no code with the package and uses no sufficient statistics. With T = F (I - B)^-1 of each
level,

    u3_k  = T_3 K_3 d3 + T_3 e3 ,                                     u3 = (c, z3)
    u2_jk = T_2 K_2 d2 + sum_q c_q d2[col_q] l_q + T_2 e2 ,           u2 = (a, z2)
    y_ijk = T_1 K_1 d1 + sum_q a_q d1[col_q] l_q + T_1 e1 ,

every e ~ N(0, Psi) of its level, and l_q the way of a use: a column of T, or a unit vector. So the
stacked vector (y_11k, ..., z2_1k, ..., z3_k) is a constant plus a matrix times (e3, e2's, e1's).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plain:
    """Matrices of one level: B, Psi, K, and the variable of each outcome (-1: none)."""

    b: Array
    psi: Array
    k: Array
    outcome: tuple[int, ...]

    @property
    def total(self) -> Array:
        inverse = np.linalg.inv(np.eye(len(self.b)) - self.b)
        rows = [inverse[v] if v >= 0 else np.zeros(len(self.b)) for v in self.outcome]
        return np.array(rows).reshape(-1, len(self.b))


Uses = tuple[tuple[int, int, int], ...]  # effect, variable (or -1 - outcome), column of the design


def use_matrix(level: Plain, uses: Uses, design: Array, n_effects: int) -> Array:
    """What the effects of the level above add to the outcomes of a unit with this design."""
    total = level.total
    result = np.zeros((len(total), n_effects))
    for effect, variable, column in uses:
        way = total[:, variable] if variable >= 0 else np.eye(len(total))[-1 - variable]
        result[:, effect] += design[column] * way
    return result


@dataclass(frozen=True)
class Unit:
    """Data of a top unit: rows of every cluster (lists over clusters), its clusters, itself."""

    y: list[Array]
    d1: list[Array]
    z2: Array
    d2: Array
    z3: Array
    d3: Array


def moments(levels: tuple[Plain, Plain, Plain], lower: Uses, upper: Uses, unit: Unit):
    """Moments of (every y, every z2, z3, every u2, u3), stacked, and the data.

    Returns
    -------
    values, mean, covariance
        The first entries are the data, in the order said; ``values`` has only those.
    """
    one, two, three = levels
    n_a, n_c = len(two.outcome) - unit.z2.shape[1], len(three.outcome) - len(unit.z3)
    n_j, m2, m3 = len(unit.y), len(two.b), len(three.b)
    n_noise = m3 + n_j * m2
    mean3, of3 = three.total @ three.k @ unit.d3, np.zeros((len(three.outcome), n_noise))
    of3[:, :m3] = three.total
    values, mean, rows, extra = [], [], [], []
    means2, all2 = [], []
    for j in range(n_j):
        up = use_matrix(two, upper, unit.d2[j], n_c)
        mean2 = two.total @ two.k @ unit.d2[j] + up @ mean3[:n_c]
        of2 = up @ of3[:n_c]
        of2[:, m3 + j * m2 : m3 + (j + 1) * m2] += two.total
        means2.append(mean2)
        all2.append(of2)
    for j in range(n_j):
        for y, d1 in zip(unit.y[j], unit.d1[j], strict=True):
            to = use_matrix(one, lower, d1, n_a)
            values.append(y)
            mean.append(one.total @ one.k @ d1 + to @ means2[j][:n_a])
            rows.append(to @ all2[j][:n_a])
            extra.append(one.total @ one.psi @ one.total.T)
    n_rows, p = len(values), len(one.outcome)
    for j in range(n_j):
        values.append(unit.z2[j])
        mean.append(means2[j][n_a:])
        rows.append(all2[j][n_a:])
    values.append(unit.z3)
    mean += [mean3[n_c:], *means2, mean3]
    rows += [of3[n_c:], *all2, of3]
    matrix = np.vstack(rows)
    noise = np.zeros((n_noise, n_noise))
    noise[:m3, :m3] = three.psi
    for j in range(n_j):
        at = slice(m3 + j * m2, m3 + (j + 1) * m2)
        noise[at, at] = two.psi
    covariance = matrix @ noise @ matrix.T
    for i in range(n_rows):
        at = slice(i * p, (i + 1) * p)
        covariance[at, at] += extra[i]
    return np.concatenate(values), np.concatenate(mean), covariance


def log_density(levels, lower: Uses, upper: Uses, unit: Unit) -> float:
    """Log density of what is observed of a top unit."""
    values, mean, covariance = moments(levels, lower, upper, unit)
    seen = np.flatnonzero(~np.isnan(values))
    residual, sigma = values[seen] - mean[seen], covariance[np.ix_(seen, seen)]
    sign, log_det = np.linalg.slogdet(sigma)
    assert sign > 0
    quadratic = residual @ np.linalg.solve(sigma, residual)
    return float(-0.5 * (len(seen) * np.log(2 * np.pi) + log_det + quadratic))


def posterior(levels, lower: Uses, upper: Uses, unit: Unit) -> tuple[Array, Array]:
    """Mean and covariance matrix of (every u2, u3) given the data of a top unit."""
    values, mean, covariance = moments(levels, lower, upper, unit)
    n, seen = len(values), np.flatnonzero(~np.isnan(values))
    cross = covariance[n:][:, seen]
    gain = np.linalg.solve(covariance[np.ix_(seen, seen)], cross.T).T
    return mean[n:] + gain @ (values[seen] - mean[seen]), covariance[n:, n:] - gain @ cross.T
