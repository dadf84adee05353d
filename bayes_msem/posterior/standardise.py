"""Standardised solution (StdYX within each level) and explained variance.

With the matrices of a level (see posterior.levels) and SD_i = sqrt(Cov(v)_ii),

    loading, regression     b SD_k / SD_i ;  for covariates b sd(x_d) / SD_i
    variance                Psi_ii / SD_i^2 , the share that is not explained
    covariance              Psi_ik / sqrt(Psi_ii Psi_kk) , the (residual) correlation
    intercept               K_i1 / SD_i
    threshold               tau / SD of the whole latent response, the parts of both levels
    R^2                     1 - Psi_ii / SD_i^2

b is the value of the row itself, which is one of several where a loading and a regression stand
between the same two variables. sd(x) is the SD in the data: over rows within, over clusters
between, with the divisor N. Of a count, SD_i is that of posterior.levels; its dispersion has no
standardised value and is left out. A log SD that depends on the row (role "log SD") is itself no
variable of level within and has no unit: its slopes are b SD_k, its intercept is K_i1.

Standardised in latent variables alone ("std_lv"), factors and random effects have SD_i and Psi_ii
as above, and all other variables, thresholds included, keep their units: 1 stands for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bayes_msem.posterior.levels import Level, Levels, whole_variances
from bayes_msem.spec.expressions import evaluate, names
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = [
    "STD_KINDS",
    "StdKind",
    "explained_variance",
    "omission_note",
    "omitted_definitions",
    "standardised_values",
]

FloatArray = NDArray[np.float64]
StdKind = Literal["std_lv", "std_all"]
STD_KINDS: tuple[StdKind, ...] = ("std_lv", "std_all")

# why a definition has no one standardised value
RANDOM = "use random coefficients"
SEVERAL_ROWS = "use a label of several rows, whose standardised values differ"
TWO_LEVELS = "combine both levels, which are standardised by different SDs"


def standardised_values(levels: Levels, kind: StdKind = "std_all") -> dict[RowKey, FloatArray]:
    """Standardise every row of the parameter table.

    Parameters
    ----------
    levels
        The matrices of both levels, n draws.
    kind
        "std_all": in all variables; "std_lv": in factors and random effects alone.

    Returns
    -------
    dict
        Row key -> (n,) array, in the order of the table. Definitions are computed from
        standardised labels; those of :func:`omitted_definitions` are left out. What cannot be
        standardised (a variance of zero, correlations of negative variances) is NaN.
    """
    table = levels.blueprint.table
    by_name = {
        level.level: _Scales(level, _in_own_units(table, level, kind)) for level in levels.both
    }
    whole, log_sds = whole_variances(levels), set(table.log_sds.values())
    result: dict[RowKey, FloatArray] = {}
    labels: dict[str, FloatArray] = {}
    omitted = omitted_definitions(table)
    with np.errstate(divide="ignore", invalid="ignore"):
        for row in table.rows:
            if row.kind not in ("defined", "dispersion"):
                value = levels.row_values[row.key]
                if row.kind == "threshold":
                    sd = np.sqrt(whole[row.lhs]) if kind == "std_all" else 1.0
                    result[row.key] = value / sd
                elif row.level == "within" and row.lhs in log_sds:
                    result[row.key] = np.asarray(value * by_name["within"].sd(row.rhs))
                else:
                    result[row.key] = _standardised(row, value, by_name[row.level])
                labels.setdefault(row.label, result[row.key])
        n = len(levels.within.b)
        for definition in table.definitions:
            if definition.name not in omitted:
                value = np.broadcast_to(evaluate(definition.expression, labels), (n,))
                labels[definition.name] = np.asarray(value, dtype=np.float64)
    for row in table.rows:
        if row.kind == "defined" and row.lhs not in omitted:
            result[row.key] = labels[row.lhs]
    return result


def omitted_definitions(table: ParameterTable) -> dict[str, str]:
    """Definitions without one standardised value, each with the reason.

    They use a random coefficient, a label that stands on several rows (whose standardised values
    differ), labels of both levels (which are standardised by different SDs: a difference of
    slopes would be a difference of units as well), or such a definition.
    """
    places: dict[str, list[str]] = {}
    for row in table.rows:
        if row.label and row.kind != "defined":
            places.setdefault(row.label, []).append(row.level)
    unclear = {row.random: RANDOM for row in table.rows if row.random}
    unclear |= {label: SEVERAL_ROWS for label, levels in places.items() if len(levels) > 1}
    levels_of = {label: frozenset(levels) for label, levels in places.items()}
    omitted: dict[str, str] = {}
    for definition in table.definitions:
        used = names(definition.expression)
        levels = frozenset[str]().union(*(levels_of.get(name, frozenset()) for name in used))
        reasons = [unclear[name] for name in used if name in unclear]
        reasons += [TWO_LEVELS] if len(levels) > 1 else []
        levels_of[definition.name] = levels
        if reasons:
            omitted[definition.name] = unclear[definition.name] = reasons[0]
    return omitted


def omission_note(table: ParameterTable) -> str:
    """Sentence that names the rows left out, by reason; empty if there are none."""
    omitted = omitted_definitions(table)
    reasons = [
        f"{', '.join(name for name, why in omitted.items() if why == reason)} ({reason})"
        for reason in dict.fromkeys(omitted.values())
    ]
    dispersions = [f"{row.lhs} ~~ {row.rhs}" for row in table.rows if row.kind == "dispersion"]
    reasons += [f"{', '.join(dispersions)} (dispersions)"] if dispersions else []
    return f" Left out: {'; '.join(reasons)}." if reasons else ""


def explained_variance(level: Level) -> Mapping[str, FloatArray]:
    """R squared, (n,), of every variable that something points at; NaN where its variance is 0."""
    explained = (level.b != 0).any(axis=(0, 2)) | (level.k[:, :, 1:] != 0).any(axis=(0, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1.0 - np.einsum("nii->ni", level.psi) / level.variance
    return {name: r2[:, i] for i, name in enumerate(level.names) if explained[i]}


def _in_own_units(table: ParameterTable, level: Level, kind: StdKind) -> frozenset[str]:
    """Variables that are not standardised."""
    if kind == "std_all":
        return frozenset()
    latent = table.variables(level.level, "within factor", "between factor", "random effect")
    return frozenset({*level.names, *level.design} - {"1", *latent, *table.coefficients})


@dataclass(frozen=True, slots=True)
class _Scales:
    """What the variables of a level are divided by, (n,); those ``kept`` stay in their units."""

    level: Level
    kept: frozenset[str]

    def sd(self, name: str) -> FloatArray:
        """SD of a variable or covariate."""
        return self._root(name, self.level.variance)

    def residual_sd(self, name: str) -> FloatArray:
        """Root of the diagonal of Psi."""
        return self._root(name, np.einsum("nii->ni", self.level.psi))

    def _root(self, name: str, variances: FloatArray) -> FloatArray:
        if name in self.kept:
            return np.ones(len(variances))
        if name in self.level.names:
            root: FloatArray = np.sqrt(variances[:, self.level.names.index(name)])
            return root
        d = self.level.design.index(name)
        variance = 1.0 if d == 0 else self.level.design_covariance[d, d]
        return np.full(len(variances), np.sqrt(variance))


def _standardised(row: Row, value: FloatArray, scales: _Scales) -> FloatArray:
    """One row with its own value (n,), which may be one of several in its cell.

    The caller silences divisions by zero.
    """
    if row.kind == "variance":
        return np.asarray(value / scales.sd(row.lhs) ** 2)
    if row.kind == "covariance":
        return np.asarray(value / (scales.residual_sd(row.lhs) * scales.residual_sd(row.rhs)))
    outcome, predictor = (row.rhs, row.lhs) if row.kind == "loading" else (row.lhs, row.rhs)
    return np.asarray(value * scales.sd(predictor) / scales.sd(outcome))
