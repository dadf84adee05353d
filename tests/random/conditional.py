"""The oracle given sampled effects: every cluster is a model of its own.

Given its loadings, slopes, SDs and correlations b_j, cluster j is a multilevel model without them,
in which b_j are observed variables of level 2. So the rows of the table get the values they have in
cluster j, the frame gets the columns b_j, and tests.oracle gives log p(y_j, z_j, b_j | theta) by
stacking the cluster. Subtracting log p(b_j | theta) leaves log p(y_j, z_j | b_j, theta).

Sampled parameters x are turned into table values here as well. Correlations follow from partial
correlations by the textbook recursion

    rho_ik|1..l-1 = rho_ik|1..l sqrt((1 - rho_il|1..l-1^2) (1 - rho_kl|1..l-1^2))
                    + rho_il|1..l-1 rho_kl|1..l-1

(the package builds Cholesky factors instead). Only the order of the variables is the package's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.kernels.layout import CORRELATION, SQUARE
from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks
from tests.likelihood.cases import Case, Key
from tests.oracle import Oracle, oracle_from_values
from tests.random.models import build, linear_random, make_data, unpiloted

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Conditional:
    """A model and its data."""

    case: Case
    model: bm.Model
    blueprint: Blueprint
    frame: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """Sampled effects, in the order of the columns of b."""
        template = self.blueprint.template
        return template.effects.sampled

    @cached_property
    def blocks(self) -> list[CovarianceBlock]:
        """Blocks that are parametrised by partial correlations."""
        levels = ("within", "between")
        blocks = [b for level in levels for b in covariance_blocks(self.model.table, level)]
        return [b for b in blocks if b.pattern != "direct"]

    def values(self, x: Array, b_j: Array) -> dict[Key, float]:
        """Table values in a cluster with sampled effects ``b_j``, at free sampled parameters x."""
        parameters = self.blueprint.parameters
        effect = dict(zip(self.names, b_j, strict=True))
        values: dict[Key, float] = {}
        partial: dict[Key, float] = {}
        labels: dict[str, float] = {}
        for row in self.model.table.rows:
            if row.random:
                if row.random not in effect:
                    continue
                value = effect[row.random]
                if row.kind == "variance":
                    value = np.exp(2 * value)
                if row.kind == "covariance":
                    partial[row.key] = np.tanh(value)
            elif row.free:
                place = parameters.position[row.free]
                value = x[place]
                if parameters.transform[place] == SQUARE:
                    value = value**2
                if parameters.transform[place] == CORRELATION:
                    partial[row.key] = 2 * value - 1
                if row.label:
                    labels[row.label] = value
            else:
                value = row.value  # NaN for computed rows
            values[row.key] = float(value)
        for row in self.model.table.rows:
            if row.label in self.case.computed:
                values[row.key] = self.case.computed[row.label](labels)
        return values | self.covariances(values, partial)

    def covariances(self, values: dict[Key, float], partial: dict[Key, float]) -> dict[Key, float]:
        """Covariances of the blocks that are parametrised by partial correlations."""
        found: dict[Key, float] = {}
        for block in self.blocks:
            place = {v: i for i, v in enumerate(block.variables)}
            canonical = np.eye(len(place))
            for row in block.rows:
                i, k = place[row.lhs], place[row.rhs]
                canonical[i, k] = canonical[k, i] = partial[row.key]
            correlation = correlations(canonical)
            for row in block.rows:
                variances = [values[block.level, v, "~~", v] for v in (row.lhs, row.rhs)]
                scale = np.sqrt(variances[0] * variances[1])
                found[row.key] = correlation[place[row.lhs], place[row.rhs]] * scale
        return found

    def oracle(self, x: Array, b_j: Array, units: NDArray[np.intp]) -> Oracle:
        """Model and data of one cluster, its effects b_j among the observed variables."""
        frame = self.frame.iloc[units].assign(**dict(zip(self.names, b_j, strict=True)))
        return oracle_from_values(
            self.values(x, b_j), frame, "group", random=linear_random(self.model)
        )

    def clusters(self) -> list[NDArray[np.intp]]:
        """Rows of every cluster, in the order of the package: first appearance."""
        groups = self.frame["group"].to_numpy()
        return [np.flatnonzero(groups == g) for g in pd.unique(groups)]

    def effect_moments(self, x: Array, b_j: Array, units: NDArray[np.intp]) -> tuple[Array, Array]:
        """Mean and covariance of b_j given theta and w_j."""
        oracle = self.oracle(x, b_j, units)
        mean, covariance = oracle.effect_moments(np.arange(len(units)))
        z = oracle.between.F_z[[oracle.between.outcomes.index(v) for v in self.names]]
        return z @ mean, z @ covariance @ z.T

    def log_likelihoods(self, x: Array, b: Array) -> Array:
        """log p(y_j, z_j | b_j, theta) of every cluster."""
        result = []
        for b_j, units in zip(b, self.clusters(), strict=True):
            value = self.oracle(x, b_j, units).log_likelihood()
            if self.names:
                mean, covariance = self.effect_moments(x, b_j, units)
                value -= multivariate_normal(mean, covariance).logpdf(b_j)
            result.append(value)
        return np.array(result)


def conditional(case: Case, frame: pd.DataFrame | None = None) -> Conditional:
    """Build model and oracle of a case."""
    frame = make_data() if frame is None else frame
    model = build(case, frame)
    return Conditional(case, model, unpiloted(model), frame)


def correlations(canonical: Array) -> Array:
    """Correlation matrix from partial correlations rho_ik|1..k-1 (i > k), by recursion."""
    n = len(canonical)
    result = np.eye(n)
    for i in range(n):
        for k in range(i):
            value = canonical[i, k]
            for m in reversed(range(k)):
                a, b = canonical[i, m], canonical[k, m]
                value = value * np.sqrt((1 - a**2) * (1 - b**2)) + a * b
            result[i, k] = result[k, i] = value
    return result
