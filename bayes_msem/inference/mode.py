"""Posterior modes and maximum likelihood.

The posterior mode maximises the density of the parameters on the scale of their priors (standard
deviations, partial correlations), with positive definiteness built in. Maximum likelihood works
on the table values themselves, without bounds, like the SEM programs do: it may end at a negative
variance, and says so.

Both are searched from several starting points (inference.modes), in coordinates in which
predictors are centred (inference.axes). Other maxima whose mass or likelihood is within thirty log
units of the highest are kept as ``others``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.arguments import checked
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rotated import near_values, reported_values
from bayes_msem.blueprint.rows import row_values
from bayes_msem.errors import (
    INSIDE,
    ConvergenceWarning,
    HeywoodWarning,
    IdentificationWarning,
    NotSupportedError,
)
from bayes_msem.inference.axes import (
    default_scales,
    mean_axes,
    variable_means,
    with_centred_covariates,
    with_means_of,
)
from bayes_msem.inference.density import log_likelihood, support
from bayes_msem.inference.information import standard_errors, undetermined_rows
from bayes_msem.inference.maximise import Axes, Maximum, Objective, maximise
from bayes_msem.inference.modes import (
    REPORTED,
    distinct_maxima,
    posterior_modes,
    turned,
    unconstrained_axes,
    unconstrained_mode,
)
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.kernels.layout import CORRELATION, IDENTITY, SQUARE
from bayes_msem.markup import block, grid, text_paragraph
from bayes_msem.spec.printing import key_frame
from bayes_msem.spec.row_names import ByRow
from bayes_msem.spec.table import RowKey
from bayes_msem.structure.parameters import row_label

__all__ = [
    "Mode",
    "admissible_maximum",
    "likelihood_at",
    "maximum_likelihood",
    "posterior_mode",
    "unconstrained_mode",
]

FloatArray = NDArray[np.float64]

_EQUAL = 1e-4  # log units


@dataclass(frozen=True, eq=False)
class Mode(Mapping[RowKey, float]):
    """A maximum of the posterior or the likelihood; a mapping {(level, lhs, op, rhs): value}.

    Attributes
    ----------
    estimates
        Value of every table row, variances as variances; of random coefficients, the mean over
        clusters.
    standard_errors
        From the inverse of the observed information, by the delta method for rows that are
        computed from others (maximum likelihood only, empty otherwise).
    log_likelihood
        Marginal log-likelihood at the mode.
    log_posterior
        Log posterior density (unnormalised); NaN for maximum likelihood.
    converged
        Whether the gradient vanishes and the curvature is that of a maximum.
    others
        Other maxima that were found within thirty log units of this one, the highest first.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> mode = bm.Model("mach ~ ses", data=bm.load_dataset("hsb")).mode(prior=False)
    >>> round(mode["mach ~ ses"], 2), mode.converged, len(mode)
    (3.18, True, 3)
    """

    estimates: Mapping[RowKey, float]
    standard_errors: Mapping[RowKey, float]
    log_likelihood: float
    log_posterior: float
    converged: bool
    others: tuple[Mode, ...] = ()

    def __getitem__(self, key: RowKey) -> float:
        """Value of one row, by key, text or label (see :attr:`bayes_msem.Fit.draws`)."""
        return self.estimates[key]

    def __iter__(self) -> Iterator[RowKey]:
        """Iterate over the row keys."""
        return iter(self.estimates)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.estimates)

    @property
    def log_density(self) -> float:
        """What was maximised: the log posterior density, or the log-likelihood.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> mode = bm.Model("mach ~ ses", data=bm.load_dataset("hsb")).mode(prior=False)
        >>> mode.log_density == mode.log_likelihood
        True
        """
        return self.log_likelihood if np.isnan(self.log_posterior) else self.log_posterior

    @checked()
    def to_frame(self) -> pd.DataFrame:
        """Return a data frame with columns level, lhs, op, rhs, value (and se if known).

        Of a model of several groups, a column group comes first.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> mode = bm.Model("mach ~ ses", data=bm.load_dataset("hsb")).mode(prior=False)
        >>> mode.to_frame().round(2).head(1)
           level   lhs op  rhs  value   se
        0 within  mach  ~  ses   3.18  0.1
        """
        frame = key_frame(self.estimates)
        frame["value"] = list(self.estimates.values())
        if self.standard_errors:
            frame["se"] = [self.standard_errors.get(key, np.nan) for key in self.estimates]
        return frame

    def __repr__(self) -> str:
        """Return the values as a table."""
        return "\n".join([repr(self.to_frame()), *self._remarks()])

    def _repr_html_(self) -> str:
        """Notebook display: what was maximised, and the values by level."""
        kind = "Maximum likelihood" if np.isnan(self.log_posterior) else "Posterior mode"
        frame = self.to_frame()
        tables = []
        by = ["group", "level"] if "group" in frame else "level"
        for level, rows in frame.groupby(by, sort=False):
            level = f"{level[1]} [{level[0]}]" if isinstance(level, tuple) and any(level) else level
            names = rows["lhs"] + " " + rows["op"] + " " + rows["rhs"]
            numbers = [[f"{v:.4g}" if np.isfinite(v) else "" for v in rows["value"]]]
            heads = [str(level) or "defined parameters", "value"]
            if "se" in rows:
                heads.append("SE")
                numbers.append([f"{v:.2g}" if np.isfinite(v) else "" for v in rows["se"]])
            tables.append(grid(heads, zip(names, *numbers, strict=True)))
        remarks = [text_paragraph(line) for line in self._remarks()]
        return block(text_paragraph(kind, bold=True), *remarks, *tables)

    def _remarks(self) -> list[str]:
        state = "converged" if self.converged else "NOT converged"
        lines = [f"log-likelihood {self.log_likelihood:.4f}, {state}"]
        if self.others:
            what = "log-likelihood" if np.isnan(self.log_posterior) else "log posterior"
            values = ", ".join(f"{other.log_density:.2f}" for other in self.others)
            lines.append(
                f"There are other maxima within {REPORTED:g} log units: {what} "
                f"{self.log_density:.2f} here, {values} in .others"
            )
        return lines


def posterior_mode(blueprint: Blueprint) -> Mode:
    """Maximise the posterior density on the scale of the priors."""
    _refuse_sampled(blueprint, "the posterior mode")
    found = posterior_modes(blueprint).on_prior_scale
    best, *others = sorted(found, key=lambda m: (-m.converged, -m.value))
    if not best.converged:
        _warn("the posterior mode")
    mode = _posterior_record(blueprint, best)
    return replace(mode, others=tuple(_posterior_record(blueprint, m) for m in others))


def _posterior_record(blueprint: Blueprint, maximum: Maximum) -> Mode:
    x = support(blueprint).to_constrained(maximum.position)[0]
    theta = blueprint.theta(x[None, :])[0]
    if blueprint.turning is None:
        estimates = _table_values(blueprint, theta, x)
    else:
        estimates = _turned_values(blueprint)(theta)
    return Mode(
        estimates=estimates,
        standard_errors={},
        log_likelihood=likelihood_at(blueprint, theta),
        log_posterior=maximum.value,
        converged=maximum.converged,
    )


def _turned_values(
    blueprint: Blueprint, near: FloatArray | None = None
) -> Callable[[FloatArray], ByRow[float]]:
    """Return the map from table values to those of the reported form; smooth near a point."""
    assert blueprint.turning is not None
    reported = blueprint.turning.reported
    turned = partial(reported_values, blueprint) if near is None else near_values(blueprint, near)
    return lambda theta: _table_values(reported, turned(theta[None, :])[0])


@one_blas_thread
def maximum_likelihood(blueprint: Blueprint) -> Mode:
    """Maximise the likelihood over the table values, starting at the maxima of the posterior."""
    _refuse_sampled(blueprint, "maximum likelihood")
    modes, bounds = posterior_modes(blueprint), support(blueprint)
    n = blueprint.parameters.n
    points = [
        bounds.to_constrained(m.position)[0] for m in (*modes.sampled, *modes.elsewhere)
    ]  # also the low ones: priors may have made them so
    starts = [blueprint.theta(x[None, :])[0][:n] for x in points]
    scale = _value_scales(blueprint, points[0])
    objective, axes = _likelihood_of_values(blueprint, scale)
    centred = with_centred_covariates(blueprint)
    if centred is not None:
        search = _likelihood_of_values(centred, scale)
        tops = [
            maximise(search[0], with_means_of(blueprint, centred, t), search[1], rescale=True)
            for t in starts
        ]
        starts = [with_means_of(centred, blueprint, top.position) for top in tops]
    found = distinct_maxima(objective, starts, axes, thorough=True, rescale=True)
    reversed_ = turned(blueprint, max(found, key=lambda m: m.value).position)
    found = distinct_maxima(objective, reversed_, axes, thorough=True, rescale=True, known=found)
    best = max(found, key=lambda m: m.value)  # also if it did not converge: then it warns
    if not best.converged:
        _warn("the maximum of the likelihood")
    _warn_of_undetermined(blueprint, best)
    _warn_of_heywood(blueprint, best.position)
    others = sorted((m for m in found if m.converged), key=lambda m: -m.value)
    # a maximum that is equal is the same solution with other signs or numbers of its factors
    near = [m for m in others if _EQUAL < best.value - m.value < REPORTED]
    mode = _likelihood_record(blueprint, best)
    return replace(mode, others=tuple(_likelihood_record(blueprint, m) for m in near))


def _likelihood_of_values(blueprint: Blueprint, scale: FloatArray) -> tuple[Objective, Axes]:
    """Log-likelihood of the free table values, without bounds, and typical changes of them."""

    def objective(theta: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = blueprint.likelihood.natural(blueprint.extend(theta))
        return value, blueprint.pull_back(theta, gradient)

    def axes(theta: FloatArray) -> FloatArray:
        return mean_axes(blueprint, theta, scale, np.ones(len(theta)))

    return objective, axes


def _likelihood_record(blueprint: Blueprint, maximum: Maximum) -> Mode:
    theta = blueprint.extend(maximum.position)
    errors: Mapping[RowKey, float] = {}
    shown = blueprint
    values: Callable[[FloatArray], ByRow[float]] = partial(_table_values, blueprint)
    if blueprint.turning is not None:
        shown, values = blueprint.turning.reported, _turned_values(blueprint, theta)
    if maximum.converged:
        found = standard_errors(blueprint, maximum, values, shown.table)
        errors = ByRow(shown.table.rows, found)
    return Mode(
        estimates=values(theta),
        standard_errors=errors,
        log_likelihood=maximum.value,
        log_posterior=float("nan"),
        converged=maximum.converged,
    )


def admissible_maximum(blueprint: Blueprint) -> tuple[FloatArray, float, bool]:
    """Maximise the likelihood over admissible values, starting at the posterior mode.

    Covariance matrices stay positive semidefinite, as in the posterior; where the maximum without
    bounds has a negative variance or worse, this one lies on the boundary (to within rounding).

    Returns
    -------
    tuple
        Sampled parameters (n_free,), log-likelihood, and whether it is a maximum.
    """
    _refuse_sampled(blueprint, "maximum likelihood")
    start = unconstrained_mode(blueprint, jacobian=True).position
    bounds = support(blueprint)

    def objective(u: FloatArray) -> tuple[float, FloatArray]:
        x, slope, _, _ = bounds.to_constrained(u)
        value, gradient = log_likelihood(blueprint, x)
        return value, gradient * slope

    top = maximise(objective, start, unconstrained_axes(blueprint))
    return bounds.to_constrained(top.position)[0], top.value, top.converged


def likelihood_at(blueprint: Blueprint, theta: FloatArray) -> float:
    """Log-likelihood at an extended vector of table values."""
    _refuse_sampled(blueprint, "the marginal log-likelihood")
    return blueprint.likelihood.natural(np.ascontiguousarray(theta))[0]


def _refuse_sampled(blueprint: Blueprint, what: str) -> None:
    if blueprint.n_sampled:
        raise NotSupportedError(
            f"{what} is not available for this model: its random loadings, variances, correlations "
            "or slopes on latent variables have no closed-form integral (print(model.plan) names "
            "them). Use model.fit(), or model.log_likelihood(values, effects=...) at given effects."
        )


def _value_scales(blueprint: Blueprint, x: FloatArray) -> FloatArray:
    """Typical change of every table value: variances change by themselves."""
    transform = blueprint.parameters.transform

    def at(level: float) -> FloatArray:
        partial = np.where(transform == CORRELATION, level, x)
        values: FloatArray = blueprint.theta(partial[None, :])[0][: len(x)]
        return values

    theta = blueprint.theta(x[None, :])[0][: len(x)]
    covariance = np.abs(at(0.75) - at(0.5)) + 1e-300
    return np.where(
        transform == IDENTITY,
        default_scales(blueprint),
        np.where(transform == SQUARE, theta, covariance),
    )


def _table_values(
    blueprint: Blueprint, theta: FloatArray, x: FloatArray | None = None
) -> ByRow[float]:
    values = row_values(blueprint, theta[None, :], None if x is None else x[None, :])
    result = {key: float(value[0]) for key, value in values.items()}
    random = [row for row in blueprint.table.rows if row.random]
    if random:
        means = variable_means(blueprint, theta[: blueprint.parameters.n])
        places = {row.key: (blueprint.table.mean_level(row.random), row.random) for row in random}
        result |= {key: means[place] for key, place in places.items()}
    return ByRow(blueprint.table.rows, result)


def _warn_of_undetermined(blueprint: Blueprint, maximum: Maximum) -> None:
    rows = undetermined_rows(blueprint, maximum)
    if rows:
        warnings.warn(
            "the information matrix is nearly singular: the likelihood hardly changes along "
            f"{'; '.join(rows)}, so it does not identify these rows, and their estimates and "
            "standard errors mean little. Fix or equate some of them, choose another marker for a "
            "factor whose first indicator does not measure it, centre covariates whose slopes "
            "vary, or give informative priors and use model.fit.",
            IdentificationWarning,
            skip_file_prefixes=INSIDE,
        )


def _warn_of_heywood(blueprint: Blueprint, theta: FloatArray) -> None:
    negative = [
        f"{row.level}: {row_label(row)} = {theta[i]:.4g}"
        for i, row in enumerate(blueprint.parameters.rows)
        if row.kind == "variance" and theta[i] < 0
    ]
    if negative:
        warnings.warn(
            f"maximum likelihood ended at negative variances ({'; '.join(negative)}). Such "
            "estimates are not admissible; a Bayesian fit (model.fit) keeps them positive.",
            HeywoodWarning,
            skip_file_prefixes=INSIDE,
        )


def _warn(what: str) -> None:
    warnings.warn(
        f"{what} was not found to full precision: the model may not be identified by these data, "
        "or it needs better starting values (start(...)*x).",
        ConvergenceWarning,
        skip_file_prefixes=INSIDE,
    )
