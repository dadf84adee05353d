"""One cluster of a model, given its sampled effects: level 2, rows given it, and both stacked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.oracle import Oracle, modelled, table_rows
from tests.random.conditional import Conditional

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cluster:
    """One cluster: moments of (a, z) given b, and its rows."""

    oracle: Oracle
    mean: Array  # of (a, z) given b
    covariance: Array
    positions: NDArray[np.intp]  # of a among the variables of level 2
    z: Array

    @property
    def n_a(self) -> int:
        return len(self.positions)

    def rows(self, a: Array) -> tuple[Array, Array, Array]:
        """Outcomes (n, p), their means given a, and the covariance matrix of one row."""
        w, data, total = self.oracle.within, self.oracle.data, self.oracle.total
        means = [
            total @ (w.alpha + w.G @ x_i) + self.oracle.design(x_i)[:, self.positions] @ a
            for x_i in data["x"]
        ]
        return data["y"], np.array(means), total @ w.Psi @ total.T

    def stacked(self) -> tuple[Array, Array, Array, Array]:
        """Values, mean and covariance of (y, z) given b, and its covariance with a."""
        zero = np.zeros(self.n_a)
        y, fixed, Sigma_w = self.rows(zero)
        Z = np.vstack([self.oracle.design(x_i)[:, self.positions] for x_i in self.oracle.data["x"]])
        n, n_z = len(y), len(self.z)
        design = np.zeros((Z.shape[0] + n_z, self.n_a + n_z))
        design[: Z.shape[0], : self.n_a] = Z
        design[Z.shape[0] :, self.n_a :] = np.eye(n_z)
        noise = np.zeros((len(design), len(design)))
        noise[: Z.shape[0], : Z.shape[0]] = np.kron(np.eye(n), Sigma_w)
        values = np.concatenate([y.ravel(), self.z])
        mean = np.concatenate([fixed.ravel(), np.zeros(n_z)]) + design @ self.mean
        covariance = design @ self.covariance @ design.T + noise
        return values, mean, covariance, design @ self.covariance[:, : self.n_a]


def cluster(this: Conditional, x: Array, b_j: Array, units: NDArray[np.intp]) -> Cluster:
    """Level 2 of one cluster given b_j, from the oracle's moments of all its variables."""
    template = this.blueprint.template
    oracle = this.oracle(x, b_j, units)
    values = this.values(x, b_j)
    between = [row for row in table_rows(values) if row.level == "between"]
    names = modelled(between)
    a = np.array([names.index(v) for v in template.effects.linear])
    z = [names.index(v) for v in template.z_names]
    b = [names.index(v) for v in this.names]
    mean, covariance = oracle.effect_moments(np.arange(len(units)))
    az = [*a, *z]
    slope = np.linalg.solve(covariance[np.ix_(b, b)], covariance[np.ix_(b, az)]).T
    return Cluster(
        oracle=oracle,
        mean=mean[az] + slope @ (b_j - mean[b]),
        covariance=covariance[np.ix_(az, az)] - slope @ covariance[np.ix_(b, az)],
        positions=a,
        z=this.frame.iloc[units[0]][list(template.z_names)].to_numpy(float),
    )
