"""The models that a model is compared with: saturated and null, at both levels or at one.

With y the outcomes of a level (both parts of split variables, within-only and cluster-level
variables, each at its own level) and x its covariates, which are conditioned on as in the model:

========== ================================================ =================================
level      saturated                                        null
========== ================================================ =================================
within     all (co)variances of y, all slopes of y on x     variances of y
between    all (co)variances of y, all slopes of y on w     variances of y
========== ================================================ =================================

Intercepts are free in both. A partially saturated model keeps one level of the model and saturates
the other (Ryu & West, 2009). They are all written as model text and built like any other model.

The saturated model is fitted by maximum likelihood over admissible values: its covariance matrices
are positive semidefinite, like those of every draw. So no draw fits better, and the discrepancy of
a draw is never negative. Where the maximum without bounds has a between-level covariance matrix
that is not positive semidefinite, this one is singular.

References
----------
Ryu, E., & West, S. G. (2009). Level-specific evaluation of model fit in multilevel structural
equation modeling. Structural Equation Modeling, 16(4), 583-601.
https://doi.org/10.1080/10705510902751259
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.missing_report import never_together
from bayes_msem.data.observed_data import ObservedData, columns_of, frame_of
from bayes_msem.errors import DataError, MsemWarning, NotSupportedError, SpecificationError
from bayes_msem.inference.mode import admissible_maximum
from bayes_msem.spec.expressions import names
from bayes_msem.spec.printing import to_syntax
from bayes_msem.spec.table import ParameterTable

__all__ = [
    "LevelName",
    "Saturated",
    "build_on",
    "check_same_data",
    "check_separable",
    "check_supported",
    "fit_saturated",
    "level_outcomes",
    "model_text",
    "structured_level",
]

FloatArray = NDArray[np.float64]
LevelName = Literal["within", "between"]
Build = Callable[..., Any]  # the class Model, passed in: this room stands above it

_MEANINGFUL = (
    "What has meaning for this model: fit.ppp() (posterior predictive checks, per level), and "
    "fit.loo() for comparing models."
)


@dataclass(frozen=True, slots=True, eq=False)
class Saturated:
    """The saturated model at its maximum likelihood.

    Attributes
    ----------
    blueprint
        The model.
    theta
        Its table values, (n_theta,).
    log_likelihood
        The maximum.
    """

    blueprint: Blueprint
    theta: FloatArray
    log_likelihood: float

    def n_parameters(self, level: LevelName | None = None) -> int:
        """Return p*, the number of free parameters: intercepts, slopes and (co)variances."""
        rows = self.blueprint.table.rows
        return len({r.free for r in rows if r.free and level in (None, r.level)})


def check_supported(table: ParameterTable, observed: ObservedData) -> None:
    """Refuse models and data for which there is no saturated model.

    Raises
    ------
    NotSupportedError
        Coefficients that vary between clusters, so that covariances depend on covariates or on
        the cluster; fewer clusters than a saturated between level needs; or pairs of variables
        that are never observed together. The message says what has meaning instead.
    """
    random = list(dict.fromkeys(row.random for row in table.rows if row.random))
    if random:
        raise NotSupportedError(
            f"fit indices compare a model with a saturated one, and with random coefficients "
            f"({', '.join(random)}) there is none: covariances differ between clusters or with "
            f"the covariates, and no unrestricted matrix contains them. {_MEANINGFUL}"
        )
    n_between = len(level_outcomes(observed, "between"))
    free_clusters = observed.n_clusters - 1 - len(observed.w_names)
    if observed.two_level and free_clusters < n_between:
        raise NotSupportedError(
            f"fit indices compare a model with a saturated one, but {observed.n_clusters} clusters "
            f"do not determine all {n_between * (n_between + 1) // 2} (co)variances of {n_between} "
            f"variables at level between: the number of clusters must exceed the number of "
            f"variables and covariates of that level. {_MEANINGFUL}"
        )
    free_rows = int(observed.informative.sum()) - max(observed.n_clusters, 1)
    n_within = len(observed.y_names)
    if free_rows - len(observed.x_names) < n_within:
        raise NotSupportedError(
            f"fit indices compare a model with a saturated one, but {observed.n_rows} rows"
            f"{f' in {observed.n_clusters} clusters' if observed.two_level else ''} do not "
            f"determine the (co)variances of {n_within} variables. {_MEANINGFUL}"
        )
    apart = never_together(observed)
    if apart:
        first, second = apart[0]
        raise NotSupportedError(
            f"fit indices compare a model with a saturated one, but '{first}' and '{second}' are "
            "never observed in the same row, so the data leave their covariance open. "
            f"{_MEANINGFUL}"
        )


def check_same_data(observed: ObservedData, other: ObservedData) -> None:
    """Refuse a baseline model of other outcomes, rows or clusters.

    Raises
    ------
    SpecificationError
        Names what differs.
    """
    problem = ""
    for kind in ("y_names", "split_names", "z_names"):
        apart = set(getattr(observed, kind)) ^ set(getattr(other, kind))
        if apart:
            problem = f"{', '.join(sorted(apart))} have different roles in the two"
    if not problem and (observed.n_rows, observed.two_level) != (other.n_rows, other.two_level):
        problem = f"{other.n_rows} rows instead of {observed.n_rows}"
    if not problem:
        ours, theirs = (_outcome_columns(o) for o in (observed, other))
        differ = [v for v, values in ours.items() if not np.array_equal(values, theirs[v], True)]
        problem = f"values of {', '.join(differ)} differ" if differ else ""
    if problem:
        raise SpecificationError(
            f"baseline= must be a fit to the same data, with the same outcomes at each level, but "
            f"{problem}; leave baseline out to have the null model sampled"
        )


def _outcome_columns(observed: ObservedData) -> dict[str, FloatArray]:
    columns = columns_of(observed, observed.y, observed.z)
    result = {v: columns[v] for v in (*observed.y_names, *observed.z_names)}
    if observed.cluster is not None:
        result["cluster"] = observed.cluster.astype(np.float64)
    return result


def level_outcomes(observed: ObservedData, level: LevelName) -> tuple[str, ...]:
    """Names of the modelled observed variables of a level."""
    if level == "within":
        return observed.y_names
    return (*observed.split_names, *observed.z_names)


def model_text(observed: ObservedData, within: str, between: str) -> str:
    """Write a model, level by level.

    Parameters
    ----------
    observed
        The data; they know the roles of all variables.
    within, between
        "saturated", "null", or the formulas themselves.

    Returns
    -------
    str
        Without levels if the data have none.
    """
    levels: dict[LevelName, str] = {"within": within}
    if observed.two_level:
        levels["between"] = between
    blocks = []
    for level, content in levels.items():
        covariates = observed.x_names if level == "within" else observed.w_names
        lines = {"saturated": _saturated_lines, "null": _null_lines}.get(content)
        formulas = lines(level_outcomes(observed, level), covariates) if lines else [content]
        blocks += [f"level: {level}", *formulas] if observed.two_level else formulas
    return "\n".join(blocks)


def _saturated_lines(outcomes: Sequence[str], covariates: Sequence[str]) -> list[str]:
    lines = [f"{name} ~~ {' + '.join(outcomes[i:])}" for i, name in enumerate(outcomes)]
    if covariates:
        lines += [f"{name} ~ {' + '.join(covariates)}" for name in outcomes]
    return lines


def _null_lines(outcomes: Sequence[str], covariates: Sequence[str]) -> list[str]:
    # covariates that nothing depends on need not be in the model: they are conditioned on
    return [f"{name} ~~ {name}" for name in outcomes]


def check_separable(table: ParameterTable) -> None:
    """Refuse models whose levels share parameters: they cannot be freed one by one.

    Raises
    ------
    SpecificationError
        In a single-level model.
    NotSupportedError
        Names the labels that tie the levels together.
    """
    if not table.two_level:
        raise SpecificationError("a single-level model has no fit indices per level")
    at: dict[str, set[str]] = {}
    by_number: dict[int, set[str]] = {}
    for row in table.rows:
        if row.kind == "defined":
            continue
        if row.label:
            at.setdefault(row.label, set()).add(row.level)
        if row.free:
            by_number.setdefault(row.free, set()).add(row.level)
    shared = {n for n, levels in by_number.items() if len(levels) > 1}
    tied = [r.label for r in table.rows if r.free in shared and r.label]
    for constraint in table.constraints:
        used = [constraint.label, *names(constraint.expression)]
        if len(set().union(*(at.get(name, set()) for name in used))) > 1:
            tied += used
    if tied:
        raise NotSupportedError(
            f"parameters are shared by both levels ({', '.join(dict.fromkeys(tied))}), so one "
            "level cannot be saturated without changing the other. Use fit.indices() without "
            "levels=True, or a model without these equalities."
        )


def structured_level(table: ParameterTable, level: LevelName) -> str:
    """Formulas of one level of a model, with its priors and constraints."""
    rows = tuple(row for row in table.rows if row.level == level)
    labels = {row.label for row in rows}
    constraints = tuple(c for c in table.constraints if c.label in labels)
    part = replace(table, rows=rows, constraints=constraints, definitions=(), two_level=False)
    return to_syntax(part)


def build_on(build: Build, observed: ObservedData, text: str) -> Any:
    """Build a model on the same data, without the warnings that the user has seen already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        frame = frame_of(observed, observed.y, observed.z)
        return build(text, frame, cluster=observed.cluster_name)


def fit_saturated(build: Build, observed: ObservedData) -> Saturated:
    """Fit the saturated model by maximum likelihood.

    Parameters
    ----------
    build
        The class ``Model``, or anything else that takes model text, data and ``cluster``.
    observed
        The data, which :func:`check_supported` has accepted.

    Returns
    -------
    Saturated

    Raises
    ------
    DataError
        The maximum was not found: without it, no index means anything.
    """
    model = build_on(build, observed, model_text(observed, "saturated", "saturated"))
    blueprint: Blueprint = model.blueprint
    x, value, converged = admissible_maximum(blueprint)
    if not converged or not np.isfinite(value):
        raise DataError(
            "the maximum likelihood of the saturated model was not found, and fit indices have no "
            "meaning without it. The data do not determine all covariances: look for variables "
            "that hardly vary, that (nearly) determine each other, or that are mostly missing "
            f"(model.missing). {_MEANINGFUL}"
        )
    return Saturated(blueprint, blueprint.theta(x[None, :])[0], value)
