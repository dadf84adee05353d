"""Posterior modes and maximum likelihood.

The posterior mode maximises the density of the parameters on the scale of their priors (standard
deviations, partial correlations), with positive definiteness built in. Maximum likelihood works
on the table values themselves, without bounds, like the SEM programs do: it may end at a negative
variance, and says so.

Both use a trust region with Hessians from central differences of the exact gradient: a gradient
costs microseconds, so a Hessian of 50 parameters costs less than one line of Python elsewhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize

from bayes_msem.build.blueprint import Blueprint
from bayes_msem.build.density import (
    log_likelihood,
    log_posterior,
    prior_scales,
    starting_point,
    support,
)
from bayes_msem.build.rows import row_values
from bayes_msem.build.threads import one_blas_thread
from bayes_msem.errors import ConvergenceWarning, HeywoodWarning, NotSupportedError
from bayes_msem.spec.row_names import ByRow
from bayes_msem.spec.table import RowKey
from bayes_msem.structure.parameters import row_label

FloatArray = NDArray[np.float64]
Objective = Callable[[FloatArray], tuple[float, FloatArray]]

_STEP = 1e-4  # of the central differences, in units of the parameter's scale
_DECREMENT = 1e-9  # g' H^-1 g: twice the distance to the maximum in log density


@dataclass(frozen=True, eq=False)
class Mode(Mapping[RowKey, float]):
    """A maximum of the posterior or the likelihood; a mapping {(level, lhs, op, rhs): value}.

    Attributes
    ----------
    estimates
        Value of every table row, variances as variances.
    standard_errors
        From the inverse of the observed information (maximum likelihood only, empty otherwise).
    log_likelihood
        Marginal log-likelihood at the mode.
    log_posterior
        Log posterior density (unnormalised); NaN for maximum likelihood.
    converged
        Whether the gradient vanishes and the curvature is that of a maximum.
    """

    estimates: Mapping[RowKey, float]
    standard_errors: Mapping[RowKey, float]
    log_likelihood: float
    log_posterior: float
    converged: bool

    def __getitem__(self, key: RowKey) -> float:
        """Value of one row, by key, text or label (see :attr:`bayes_msem.Fit.draws`)."""
        return self.estimates[key]

    def __iter__(self) -> Iterator[RowKey]:
        """Iterate over the row keys."""
        return iter(self.estimates)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.estimates)

    def to_frame(self) -> pd.DataFrame:
        """Return a data frame with columns level, lhs, op, rhs, value (and se if known)."""
        frame = pd.DataFrame(list(self.estimates), columns=["level", "lhs", "op", "rhs"])
        frame["value"] = list(self.estimates.values())
        if self.standard_errors:
            frame["se"] = [self.standard_errors.get(key, np.nan) for key in self.estimates]
        return frame

    def __repr__(self) -> str:
        """Return the values as a table."""
        state = "converged" if self.converged else "NOT converged"
        return f"{self.to_frame()}\nlog-likelihood {self.log_likelihood:.4f}, {state}"


def posterior_mode(blueprint: Blueprint) -> Mode:
    """Maximise the posterior density on the scale of the priors."""
    _refuse_sampled(blueprint, "the posterior mode")
    u, value, converged, _ = unconstrained_mode(blueprint, jacobian=False)
    x = support(blueprint).to_constrained(u)[0]
    theta = blueprint.theta(x[None, :])[0]
    if not converged:
        _warn("the posterior mode")
    return Mode(
        estimates=_table_values(blueprint, theta, x),
        standard_errors={},
        log_likelihood=likelihood_at(blueprint, theta),
        log_posterior=value,
        converged=converged,
    )


def unconstrained_mode(
    blueprint: Blueprint, *, jacobian: bool
) -> tuple[FloatArray, float, bool, FloatArray]:
    """Mode in unconstrained coordinates: position, log density, convergence, Hessian."""
    bounds = support(blueprint)
    start = bounds.to_unconstrained(starting_point(blueprint))

    def objective(u: FloatArray) -> tuple[float, FloatArray]:
        return log_posterior(blueprint, u, jacobian=jacobian)

    return maximise(objective, start, _unconstrained_scales(blueprint))


def _unconstrained_scales(blueprint: Blueprint) -> FloatArray:
    """Typical size of a change: 1 for logs and logits, the spread of the prior otherwise."""
    bounds = support(blueprint)
    constrained = np.isfinite(bounds.lower) | np.isfinite(bounds.upper)
    return np.where(constrained, 1.0, prior_scales(blueprint))


def maximum_likelihood(blueprint: Blueprint) -> Mode:
    """Maximise the likelihood over the table values, starting at the posterior mode."""
    _refuse_sampled(blueprint, "maximum likelihood")
    u, _, _, _ = unconstrained_mode(blueprint, jacobian=True)
    x = support(blueprint).to_constrained(u)[0]
    start = blueprint.theta(x[None, :])[0][: blueprint.parameters.n]

    def objective(theta: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = blueprint.evaluator.natural(blueprint.extend(theta))
        return value, blueprint.pull_back(theta, gradient)

    theta, value, converged, hessian = maximise(objective, start, _value_scales(blueprint, x))
    if not converged:
        _warn("the maximum of the likelihood")
    errors = _standard_errors(blueprint, hessian) if converged else {}
    _warn_of_heywood(blueprint, theta)
    return Mode(
        estimates=_table_values(blueprint, blueprint.extend(theta)),
        standard_errors=errors,
        log_likelihood=value,
        log_posterior=float("nan"),
        converged=converged,
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
    start, _, _, _ = unconstrained_mode(blueprint, jacobian=True)
    bounds = support(blueprint)

    def objective(u: FloatArray) -> tuple[float, FloatArray]:
        x, slope, _, _ = bounds.to_constrained(u)
        value, gradient = log_likelihood(blueprint, x)
        return value, gradient * slope

    u, value, converged, _ = maximise(objective, start, _unconstrained_scales(blueprint))
    return bounds.to_constrained(u)[0], value, converged


def likelihood_at(blueprint: Blueprint, theta: FloatArray) -> float:
    """Log-likelihood at an extended vector of table values."""
    _refuse_sampled(blueprint, "the marginal log-likelihood")
    return blueprint.evaluator.natural(np.ascontiguousarray(theta))[0]


def _refuse_sampled(blueprint: Blueprint, what: str) -> None:
    if blueprint.n_sampled:
        raise NotSupportedError(
            f"{what} is not available for this model: its random loadings, variances, correlations "
            "or slopes on latent variables have no closed-form integral (print(model.plan) names "
            "them). Use model.fit(), or model.log_likelihood(values, effects=...) at given effects."
        )


@one_blas_thread
def maximise(
    objective: Objective, start: FloatArray, scale: FloatArray
) -> tuple[FloatArray, float, bool, FloatArray]:
    """Maximise a smooth function with known gradient.

    Parameters
    ----------
    objective
        Returns value and gradient; minus infinity outside its domain.
    start, scale
        Starting point, and the typical size of a change of each coordinate.

    Returns
    -------
    tuple
        Position, value, whether it is a maximum, and the Hessian there.
    """

    def value(v: FloatArray) -> float:
        return -objective(v * scale)[0]

    def gradient(v: FloatArray) -> FloatArray:
        return -objective(v * scale)[1] * scale

    def hessian(v: FloatArray) -> FloatArray:
        return _hessian(gradient, v)

    v = start / scale
    if not np.isfinite(value(v)):  # no density, no gradient: nowhere to go
        return start, -value(v), False, np.zeros((len(v), len(v)))
    for _ in range(3):
        result = optimize.minimize(
            value,
            v,
            jac=gradient,
            hess=hessian,
            method="trust-exact",
            options={"gtol": 1e-5, "maxiter": 300, "initial_trust_radius": 1.0},
        )
        v = result.x
        v, converged = _newton(value, gradient, hessian, v)
        if converged:
            break
    curvature = -hessian(v) / np.outer(scale, scale)
    return v * scale, -value(v), converged, curvature


def _hessian(gradient: Callable[[FloatArray], FloatArray], v: FloatArray) -> FloatArray:
    columns = []
    for i in range(len(v)):
        step = np.zeros_like(v)
        step[i] = _STEP
        columns.append((gradient(v + step) - gradient(v - step)) / (2 * _STEP))
    matrix = np.array(columns)
    matrix = np.where(np.isfinite(matrix), matrix, 0.0)
    symmetric: FloatArray = (matrix + matrix.T) / 2
    return symmetric


def _newton(
    value: Callable[[FloatArray], float],
    gradient: Callable[[FloatArray], FloatArray],
    hessian: Callable[[FloatArray], FloatArray],
    v: FloatArray,
) -> tuple[FloatArray, bool]:
    """Polish with plain Newton steps; True if the decrement vanishes at positive curvature."""
    for _ in range(10):
        g, h = gradient(v), hessian(v)
        values, vectors = np.linalg.eigh(h)
        if values.min() < -1e-6 * values.max():
            return v, False
        # directions in which the objective is flat (a variance going to zero on the log scale)
        # have neither gradient nor curvature: leave them alone
        keep = values > 1e-10 * values.max()
        step = vectors[:, keep] @ ((vectors[:, keep].T @ g) / values[keep])
        if np.abs(vectors[:, ~keep].T @ g).max(initial=0.0) > 1e-4:
            return v, False
        if g @ step < _DECREMENT:
            return v, True
        if not value(v - step) <= value(v) + 1e-9 * abs(value(v)):
            return v, False
        v = v - step
    return v, False


def _value_scales(blueprint: Blueprint, x: FloatArray) -> FloatArray:
    """Typical size of every table value: the prior's spread, or what x = 1 / prior mean gives."""
    scales = prior_scales(blueprint)
    theta = blueprint.theta(x[None, :])[0][: len(x)]
    full = blueprint.theta(_correlations_at(blueprint, x, 0.75)[None, :])[0][: len(x)]
    none = blueprint.theta(_correlations_at(blueprint, x, 0.5)[None, :])[0][: len(x)]
    transform = blueprint.parameters.transform
    return np.where(
        transform == 0, scales, np.where(transform == 1, theta, np.abs(full - none) + 1e-300)
    )


def _correlations_at(blueprint: Blueprint, x: FloatArray, level: float) -> FloatArray:
    return np.where(blueprint.parameters.transform == 2, level, x)


def _standard_errors(blueprint: Blueprint, hessian: FloatArray) -> Mapping[RowKey, float]:
    try:
        covariance = np.linalg.inv(-hessian)
    except np.linalg.LinAlgError:
        return {}
    errors = np.sqrt(np.where(np.diag(covariance) > 0, np.diag(covariance), np.nan))
    position = blueprint.parameters.position
    rows = [row for row in blueprint.table.rows if row.free]
    return ByRow(rows, {row.key: float(errors[position[row.free]]) for row in rows})


def _table_values(
    blueprint: Blueprint, theta: FloatArray, x: FloatArray | None = None
) -> ByRow[float]:
    values = row_values(blueprint, theta[None, :], None if x is None else x[None, :])
    return ByRow(blueprint.table.rows, {key: float(v[0]) for key, v in values.items()})


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
            stacklevel=4,
        )


def _warn(what: str) -> None:
    warnings.warn(
        f"{what} was not found to full precision: the model may not be identified by these data, "
        "or it needs better starting values (start(...)*x).",
        ConvergenceWarning,
        stacklevel=4,
    )
