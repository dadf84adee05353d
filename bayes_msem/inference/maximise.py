"""Maxima of smooth functions with a known gradient.

A trust region with Hessians from central differences of the exact gradient: a gradient costs
microseconds, so a Hessian of 50 parameters costs less than one line of Python elsewhere. All steps
are taken in coordinates v with position = axes @ v, so that one unit of v is a typical change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from bayes_msem.inference.threads import one_blas_thread

__all__ = ["Maximum", "climb", "inverse_root", "maximise"]

FloatArray = NDArray[np.float64]
Objective = Callable[[FloatArray], tuple[float, FloatArray]]
Axes = Callable[[FloatArray], FloatArray]

_STEP = 1e-4  # of the central differences, in units of the coordinate
_DECREMENT = 1e-12  # g' H^-1 g: twice the distance to the maximum in log density
_ROUNDING = 8 * np.finfo(float).eps  # of the value: a smaller distance cannot be seen in it
_POLISH = 30  # Newton steps: near a boundary at infinity each only takes a fifth off the distance
_ROUNDS, _MAX_STEPS = 4, 300  # of the trust region; each round has axes of its own
_AGREE = 0.1  # typical changes
_CLIMB = 150  # iterations of the cheap search
_CLOSE = 1e-2  # gradient per unit of a coordinate at which the cheap search stops


class Maximum(NamedTuple):
    """Where a search ended.

    Attributes
    ----------
    position, value
        The point and the function there.
    converged
        Whether the gradient vanishes and the curvature is that of a maximum.
    hessian
        Second derivatives at the point.
    """

    position: FloatArray
    value: float
    converged: bool
    hessian: FloatArray


@one_blas_thread
def maximise(
    objective: Objective,
    start: FloatArray,
    axes: Axes,
    *,
    rounds: int = _ROUNDS,
    max_steps: int = _MAX_STEPS,
    rescale: bool = False,
) -> Maximum:
    """Maximise a smooth function with known gradient.

    Parameters
    ----------
    objective
        Returns value and gradient; minus infinity outside its domain.
    start
        Starting point, (n,).
    axes
        Returns, for a point, the matrix (n, n) whose columns are typical changes there.
    rounds, max_steps
        How often the trust region may start anew, and steps in each round.
    rescale
        Measure changes by the curvature in every round. For values with units; not for logs, along
        which the function may be flat for ever.

    Returns
    -------
    Maximum
    """
    frame = axes(start)
    value = objective(start)[0]
    if not np.isfinite(value):  # no density, no gradient: nowhere to go
        return Maximum(start, value, False, np.zeros((len(start), len(start))))
    here = _InAxes(objective, frame)
    position = climb(objective, start, frame)[0]
    top = _newton(here, np.linalg.solve(frame, position))
    if not top.converged:  # gradients are cheaper than Hessians
        position = climb(objective, position, frame, closely=True)[0]
        top = _newton(here, np.linalg.solve(frame, position))
    for _ in range(rounds):
        position = here.frame @ top.v
        fresh = axes(position)
        if top.converged and _alike(frame, fresh):
            break
        # far from the start other changes are typical: ask again, and measure
        frame = fresh
        here = _InAxes(objective, frame)
        if rescale:
            bend = np.abs(np.diag(here.hessian(np.linalg.solve(here.frame, position))))
            here.frame = here.frame / np.sqrt(np.where(bend > 0, bend, 1.0))
        v = optimize.minimize(
            here.value,
            np.linalg.solve(here.frame, position),
            jac=here.gradient,
            hess=here.hessian,
            method="trust-exact",
            options={"gtol": 1e-5, "maxiter": max_steps, "initial_trust_radius": 1.0},
        ).x
        top = _newton(here, v)
    back = np.linalg.inv(here.frame)
    hessian = -(back.T @ top.curvature @ back)
    return Maximum(here.frame @ top.v, -here.value(top.v), top.converged, (hessian + hessian.T) / 2)


def _alike(old: FloatArray, new: FloatArray) -> bool:
    """Whether typical changes of one kind are those of the other, within a tenth."""
    distance = np.abs(np.linalg.solve(new, old) - np.eye(len(old))).max(initial=0.0)
    return bool(distance < _AGREE)


def climb(
    objective: Objective, start: FloatArray, frame: FloatArray, *, closely: bool = False
) -> tuple[FloatArray, float]:
    """Go from a starting point to near the maximum whose hill it stands on, without Hessians."""
    closer = 1e-3 if closely else 1.0
    here = _InAxes(objective, frame)
    origin = np.linalg.solve(frame, start)
    result = optimize.minimize(
        here.both,
        origin,
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": int(_CLIMB / closer**0.5),
            "maxcor": 20,
            "gtol": _CLOSE * closer,
            "ftol": 1e-9 * closer**2,
        },
    )
    return frame @ np.asarray(result.x), -float(result.fun)


class _InAxes:
    """Minus the objective, as a function of v."""

    def __init__(self, objective: Objective, frame: FloatArray) -> None:
        self.objective, self.frame = objective, frame

    def both(self, v: FloatArray) -> tuple[float, FloatArray]:
        with np.errstate(all="ignore"):  # a line search may try values beyond all bounds
            value, gradient = self.objective(self.frame @ v)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return 1e300, np.zeros_like(v)
        return -value, -(self.frame.T @ gradient)

    def value(self, v: FloatArray) -> float:
        with np.errstate(all="ignore"):
            return -self.objective(self.frame @ v)[0]

    def gradient(self, v: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):  # no density, no gradient: NaN
            return -(self.frame.T @ self.objective(self.frame @ v)[1])

    def hessian(self, v: FloatArray) -> FloatArray:
        columns = []
        for step in _STEP * np.eye(len(v)):
            columns.append((self.gradient(v + step) - self.gradient(v - step)) / (2 * _STEP))
        matrix = np.array(columns)
        matrix = np.where(np.isfinite(matrix), matrix, 0.0)
        symmetric: FloatArray = (matrix + matrix.T) / 2
        return symmetric


class _Top(NamedTuple):
    v: FloatArray
    converged: bool
    curvature: FloatArray


def _newton(here: _InAxes, v: FloatArray) -> _Top:
    """Polish with plain Newton steps; converged if the decrement vanishes at positive curvature."""
    h, enough = here.hessian(v), max(_DECREMENT, _ROUNDING * abs(here.value(v)))
    for _ in range(_POLISH):
        g = here.gradient(v)
        values, vectors = np.linalg.eigh(h)
        if values.min() < -1e-6 * values.max():
            break
        # directions in which the objective is flat (a variance going to zero on the log scale)
        # have neither gradient nor curvature: leave them alone
        keep = values > 1e-10 * values.max()
        step = vectors[:, keep] @ ((vectors[:, keep].T @ g) / values[keep])
        if np.abs(vectors[:, ~keep].T @ g).max(initial=0.0) > 1e-4:
            break
        if g @ step < enough:
            return _Top(v - step, True, h)  # a last step costs nothing and squares what is left
        if not here.value(v - step) <= here.value(v) + 1e-9 * abs(here.value(v)):
            break
        v = v - step
        h = here.hessian(v)
    return _Top(v, False, h)


def inverse_root(information: FloatArray) -> FloatArray:
    """Matrix A with A A' the covariance at a maximum with this information.

    Flat directions get the spread of a weakly informed parameter on the unconstrained scale.
    """
    values, vectors = np.linalg.eigh(information)
    floor = 1e-2 * np.abs(np.median(values))
    root: FloatArray = vectors / np.sqrt(np.maximum(values, floor))
    return root
