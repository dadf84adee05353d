"""The oracle: log-likelihoods of two-level models, computed the slow and obvious way.

Tests compare the package with this module, so it shares no code with the package and uses no
sufficient statistics and no matrix identities. For unit i of cluster j,

    v_ij = alpha_w + B_w v_ij + (G_w + random slopes of j) x_ij + e_ij,   e_ij ~ N(0, Psi_w)
    u_j  = alpha_b + B_b u_j + G_b w_j + e_j,                             e_j  ~ N(0, Psi_b)
    y_ij = F_w v_ij + F_y u_j
    z_j  = F_z u_j

v holds the endogenous variables of level 1 (observed and latent), u all variables of level 2:
between parts of y, cluster-level outcomes z, factors, random slopes. Written with one random-effect
design Z_ij a row, y_ij = m_ij + Z_ij u_j + F_w (I - B_w)^-1 e_ij. The stacked vector
(y_1j, ..., y_nj, z_j) is multivariate normal; its whole mean vector and covariance matrix are built
and its density evaluated. Only that covariance matrix has to be positive definite: Psi_b may be
singular or even have negative variances. Missing outcomes (NaN) are left out of the stacked vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag, solve_triangular

Array = NDArray[np.float64]
Index = NDArray[np.intp]  # positions of rows in the frame
Key = tuple[str, str, str, str]  # (level, lhs, op, rhs); an intercept is (level, y, "~", "1")


@dataclass(frozen=True)
class Within:
    """Level 1. Sizes: p outcomes in y, m variables in v, k covariates in x."""

    observed: tuple[str, ...]  # the p columns of y
    covariates: tuple[str, ...]  # the k columns of x
    F: Array  # (p, m) picks y out of v
    B: Array  # (m, m) effects of v on v: loadings and slopes
    Psi: Array  # (m, m)
    alpha: Array  # (m,) zero where the mean belongs to the between part
    G: Array  # (m, k) constant effects of x on v


@dataclass(frozen=True)
class Between:
    """Level 2. Sizes: r variables in u, q observed outcomes in z, l covariates in w."""

    outcomes: tuple[str, ...]  # the q columns of z
    covariates: tuple[str, ...]  # the l columns of w
    F_y: Array  # (p, r) between parts of y; a row of zeros for a within-only outcome
    F_z: Array  # (q, r) picks z out of u
    B: Array  # (r, r)
    Psi: Array  # (r, r)
    alpha: Array  # (r,)
    G: Array  # (r, l)


@dataclass(frozen=True)
class RandomSlope:
    """The slope of v[equation] on x[covariate] is u[effect] (G holds a zero there)."""

    equation: int
    covariate: int
    effect: int


class Stacked(NamedTuple):
    """The vector (y_1j, ..., y_nj, z_j) of one cluster and its implied moments."""

    values: Array
    mean: Array
    covariance: Array


@dataclass(frozen=True)
class Oracle:
    """A model with all parameter values, and the data; ``cluster=None``: independent rows."""

    frame: pd.DataFrame
    cluster: str | None
    within: Within
    between: Between
    slopes: tuple[RandomSlope, ...] = ()

    @cached_property
    def total(self) -> Array:
        """F_w (I - B_w)^-1, shape (p, m): what a change of one equation of v does to y."""
        w = self.within
        return w.F @ np.linalg.inv(np.eye(len(w.alpha)) - w.B)

    @cached_property
    def data(self) -> dict[str, Array]:
        """Columns of the frame as float matrices y, x, z and w, one row a unit."""
        columns = {
            "y": self.within.observed,
            "x": self.within.covariates,
            "z": self.between.outcomes,
            "w": self.between.covariates,
        }
        return {key: self.frame[list(names)].to_numpy(float) for key, names in columns.items()}

    def effect_moments(self, units: Index) -> tuple[Array, Array]:
        """Mean vector and covariance matrix of u_j given w_j; units are the rows of one cluster."""
        b = self.between
        inverse = np.linalg.inv(np.eye(len(b.alpha)) - b.B)
        w = constant(self.data["w"][units])
        return inverse @ (b.alpha + b.G @ w), inverse @ b.Psi @ inverse.T

    def design(self, x: Array) -> Array:
        """Z_ij, shape (p, r): the effect of u_j on the outcomes of a unit with covariates x."""
        design = self.between.F_y.copy()
        for slope in self.slopes:
            design[:, slope.effect] += self.total[:, slope.equation] * x[slope.covariate]
        return design

    def stacked(self, units: Index) -> Stacked:
        """Stack the outcomes of one cluster, with their mean vector and covariance matrix."""
        w, b, total = self.within, self.between, self.total
        y, x = self.data["y"][units], self.data["x"][units]
        z = constant(self.data["z"][units])
        Sigma_w = total @ w.Psi @ total.T
        effect_mean, effect_covariance = self.effect_moments(units)

        Z = np.vstack([self.design(x_i) for x_i in x] + [b.F_z])
        own = np.concatenate([total @ (w.alpha + w.G @ x_i) for x_i in x] + [np.zeros(len(z))])
        noise = block_diag(*[Sigma_w] * len(units), np.zeros((len(z), len(z))))
        return Stacked(
            values=np.concatenate([y.ravel(), z]),
            mean=own + Z @ effect_mean,
            covariance=Z @ effect_covariance @ Z.T + noise,
        )

    def clusters(self) -> dict[object, Index]:
        """Row positions of every cluster; in single-level models every row is one."""
        if self.cluster is None:
            return {i: np.array([i]) for i in range(len(self.frame))}
        ids = self.frame[self.cluster].to_numpy()
        return {label: np.flatnonzero(ids == label) for label in np.unique(ids)}

    def cluster_log_likelihoods(self) -> pd.Series:
        """log p(y_j, z_j | x_j, w_j), indexed by cluster id."""
        result = {
            label: log_density(self.stacked(units)) for label, units in self.clusters().items()
        }
        return pd.Series(result, dtype=float)

    def log_likelihood(self) -> float:
        """Marginal log-likelihood of all data given the covariates."""
        return float(self.cluster_log_likelihoods().sum())


def log_density(stacked: Stacked) -> float:
    """Multivariate normal log-density of the values that are not NaN.

    Raises LinAlgError if their covariance matrix is not positive definite.
    """
    seen = ~np.isnan(stacked.values)
    root = np.linalg.cholesky(stacked.covariance[np.ix_(seen, seen)])
    residual = solve_triangular(root, (stacked.values - stacked.mean)[seen], lower=True)
    log_determinant = 2 * np.sum(np.log(np.diag(root)))
    return float(-0.5 * (seen.sum() * np.log(2 * np.pi) + log_determinant + residual @ residual))


def constant(values: Array) -> Array:
    """Return the one row that all rows of a cluster share."""
    if not ((values == values[0]) | np.isnan(values)).all():
        raise ValueError("a cluster-level variable varies within a cluster")
    return values[0]


# --- from a parameter table to the matrices ---------------------------------------------------


class Row(NamedTuple):
    """One row of a parameter table."""

    level: str
    lhs: str
    op: str
    rhs: str
    value: float


def oracle_from_values(
    values: Mapping[Key, float] | pd.DataFrame,
    frame: pd.DataFrame,
    cluster: str | None = None,
    *,
    random: Mapping[Key, str] | None = None,
) -> Oracle:
    """Build the matrices from parameter values in lavaan's notation.

    ``values`` maps (level, lhs, op, rhs) to the value of *every* parameter, constants too (a fixed
    loading of 1 has a row), or is a frame with those columns and ``value``. Absent rows are zero,
    rows with op ":=" are ignored. At each level, names left of "=~" are factors; variables that
    are no outcome, no indicator and have no variance row are covariates, given and not modelled.
    ``random`` names random slopes on covariates: {("within", "y", "~", "x"): "slope"}; the moments
    of "slope" stand in between-level rows.
    """
    random = dict(random or {})
    rows = [row for row in table_rows(values) if row[:4] not in random]
    rows += [Row(*key, 0.0) for key in random]
    within_rows = [row for row in rows if row.level == "within"]
    between_rows = [row for row in rows if row.level == "between"]

    v = modelled(within_rows)
    u = modelled(between_rows)
    x = predictors(within_rows, v)
    w = predictors(between_rows, u)
    y = [name for name in v if name not in factors(within_rows)]
    latent = factors(between_rows) | set(random.values())
    z = [name for name in u if name not in latent and name not in y]
    check_columns(frame, y + x + z + w)
    if half_modelled := sorted(set(y) & set(w) | set(z) & set(x)):
        raise ValueError(f"{half_modelled} are modelled at one level and a covariate at the other")

    B, Psi, alpha, G = matrices(within_rows, v, x)
    within = Within(tuple(y), tuple(x), selection(y, v), B, Psi, alpha, G)
    B, Psi, alpha, G = matrices(between_rows, u, w)
    F_y, F_z = selection(y, u), selection(z, u)
    between = Between(tuple(z), tuple(w), F_y, F_z, B, Psi, alpha, G)
    slopes = tuple(
        RandomSlope(v.index(lhs), x.index(rhs), u.index(name))
        for (_, lhs, _, rhs), name in random.items()
    )
    return Oracle(frame, cluster, within, between, slopes)


def oracle_log_likelihood(
    values: Mapping[Key, float] | pd.DataFrame,
    frame: pd.DataFrame,
    cluster: str | None = None,
    *,
    random: Mapping[Key, str] | None = None,
) -> float:
    """Marginal log-likelihood at ``values``; arguments as in ``oracle_from_values``."""
    return oracle_from_values(values, frame, cluster, random=random).log_likelihood()


def table_rows(values: Mapping[Key, float] | pd.DataFrame) -> list[Row]:
    """List the rows of a mapping or frame, without defined parameters."""
    if isinstance(values, pd.DataFrame):
        columns = ["level", "lhs", "op", "rhs", "value"]
        rows = [Row(*row) for row in values[columns].itertuples(index=False, name=None)]
    else:
        rows = [Row(*key, float(value)) for key, value in values.items()]
    rows = [row for row in rows if row.op != ":="]
    for row in rows:
        if row.level not in ("within", "between") or row.op not in ("=~", "~", "~~"):
            raise ValueError(f"cannot read the row {row}")
    return rows


def factors(rows: list[Row]) -> set[str]:
    """Names left of "=~"."""
    return {row.lhs for row in rows if row.op == "=~"}


def modelled(rows: list[Row]) -> list[str]:
    """Factors, indicators, outcomes, and variables with a variance, in order of appearance."""
    names: dict[str, None] = {}
    for row in rows:
        names[row.lhs] = None
        if row.op in ("=~", "~~"):
            names[row.rhs] = None
    return list(names)


def predictors(rows: list[Row], outcomes: list[str]) -> list[str]:
    """Predictors that are not themselves modelled, in order of appearance."""
    names = [row.rhs for row in rows if row.op == "~" and row.rhs != "1"]
    return list(dict.fromkeys(name for name in names if name not in outcomes))


def check_columns(frame: pd.DataFrame, names: list[str]) -> None:
    """Every observed variable must be a column."""
    if unknown := [name for name in names if name not in frame.columns]:
        raise ValueError(f"not in the data: {unknown}")


def selection(chosen: list[str], names: list[str]) -> Array:
    """Return the zero-one matrix that picks ``chosen`` out of ``names``; absent: a row of zeros."""
    return np.array([[float(a == b) for b in names] for a in chosen]).reshape(
        len(chosen), len(names)
    )


def matrices(
    rows: list[Row], names: list[str], covariates: list[str]
) -> tuple[Array, Array, Array, Array]:
    """Fill B, Psi, alpha and G of one level; a loading and a slope of one pair add up."""
    size = len(names)
    B, Psi = np.zeros((size, size)), np.zeros((size, size))
    alpha, G = np.zeros(size), np.zeros((size, len(covariates)))
    for _, lhs, op, rhs, value in rows:
        left = names.index(lhs)
        if op == "=~":
            B[names.index(rhs), left] += value
        elif op == "~~":
            Psi[left, names.index(rhs)] = Psi[names.index(rhs), left] = value
        elif rhs == "1":
            alpha[left] = value
        elif rhs in names:
            B[left, names.index(rhs)] += value
        else:
            G[left, covariates.index(rhs)] = value
    return B, Psi, alpha, G
