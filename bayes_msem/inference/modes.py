r"""All modes of the posterior that matter, found from several starting points.

Chains that start around one mode never show that there is another, and R-hat then says that all is
well. So the search for a mode starts at the usual starting values and at points dispersed around
them: one standard normal deviate for every coordinate of :mod:`bayes_msem.inference.axes`, from a
generator with a fixed seed, so that the same model and data always give the same modes. From every
point a cheap search climbs the hill it stands on; only hills that are new are climbed to the top
with Hessians. At the tops every factor with a marker is turned over (loadings, slopes and
covariances but for the marker): where the marker is weak, that is the way to another hill. Two tops
are one mode if the density on the straight line between them is nowhere more than one log unit
below the lower of them.

A mode *matters* if its mass is within ten log units (a factor of 22,000) of the largest, by
Laplace's approximation,

    log mass = log density + n/2 log(2 pi) + 1/2 log |covariance| ,

on the scale on which NUTS samples. Ten is generous, because the approximation may be off by a few.
Modes within thirty are reported, but no chain starts there: it would stay where there is no mass.
Modes that differ only in the sign of a factor (all its loadings, slopes and covariances reflected)
describe the data equally well; they are one solution, kept once.

The number of starting points falls with the cost of a gradient, which follows from the sizes of
model and data, not from a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.axes import default_scales, mean_axes
from bayes_msem.inference.density import log_posterior, prior_scales, starting_point, support
from bayes_msem.inference.maximise import Axes, Maximum, Objective, climb, maximise
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.kernels.layout import CORRELATION, IDENTITY

__all__ = [
    "MATTERS",
    "REPORTED",
    "PosteriorModes",
    "distinct_maxima",
    "known_modes",
    "posterior_modes",
    "posterior_objective",
    "reflected_factors",
    "turned",
    "unconstrained_axes",
    "unconstrained_mode",
]

FloatArray = NDArray[np.float64]

MATTERS, REPORTED = 10.0, 30.0  # log units
_BARRIER = 1.0  # log units
_HIGHER = 0.01  # log units by which a search may end above the top that it is said to belong to
_HOPELESS = 100.0  # log units
_SHORT = 20  # steps that a new hill may take after the cheap search
_MOST_STARTS, _FEWEST_STARTS = 12, 4
_BUDGET = 1.0  # seconds, at the speed below
_TURNED = 3  # modes at which the signs of factors are reversed
_SAME = 2.0  # posterior standard deviations between a mode and the reflection of another
_FARTHEST = 2.0  # of the deviates
_ON_THE_LINE = np.linspace(0.0, 1.0, 9)[1:-1]


@dataclass(frozen=True, slots=True, eq=False)
class PosteriorModes:
    """The modes of a posterior, the one with the largest mass first.

    Attributes
    ----------
    sampled
        Maxima on the scale on which NUTS samples, within thirty log units.
    n_matter
        How many of them matter: within ten log units.
    on_prior_scale
        For each of them, the maximum on the scale of the priors that is reached from it.
    log_mass
        By Laplace's approximation.
    reflected
        Factors whose sign may be reversed at little cost: the reflected solution would matter too.
    elsewhere
        Further maxima on the sampled scale.
    n_starts
        Number of starting points.
    """

    sampled: tuple[Maximum, ...]
    n_matter: int
    on_prior_scale: tuple[Maximum, ...]
    log_mass: tuple[float, ...]
    reflected: tuple[str, ...]
    elsewhere: tuple[Maximum, ...]
    n_starts: int


_KNOWN: WeakKeyDictionary[Blueprint, PosteriorModes] = WeakKeyDictionary()


def known_modes(blueprint: Blueprint) -> PosteriorModes | None:
    """Return the modes of this blueprint if they have been searched."""
    return _KNOWN.get(blueprint)


def posterior_modes(blueprint: Blueprint) -> PosteriorModes:
    """Search the posterior of a model without sampled effects; remembered per blueprint."""
    if blueprint not in _KNOWN:
        _KNOWN[blueprint] = _search(blueprint)
    return _KNOWN[blueprint]


def unconstrained_mode(blueprint: Blueprint, *, jacobian: bool) -> Maximum:
    """Highest mode in unconstrained coordinates: position, log density, convergence, Hessian.

    Parameters
    ----------
    blueprint
        A model without sampled effects.
    jacobian
        True: of the density that NUTS samples. False: of the density on the scale of the priors.
    """
    found = posterior_modes(blueprint)
    return _highest(found.sampled if jacobian else found.on_prior_scale)


def _highest(maxima: Sequence[Maximum]) -> Maximum:
    return max(maxima, key=lambda m: (m.converged, m.value))


def posterior_objective(blueprint: Blueprint, *, jacobian: bool) -> Objective:
    """Log posterior density of unconstrained coordinates, with gradient."""

    def objective(u: FloatArray) -> tuple[float, FloatArray]:
        return log_posterior(blueprint, u, jacobian=jacobian)

    return objective


def unconstrained_axes(blueprint: Blueprint) -> Axes:
    """Typical changes of unconstrained coordinates: 1 for logs and logits, else of the prior."""
    bounds = support(blueprint)
    constrained = np.isfinite(bounds.lower) | np.isfinite(bounds.upper)
    scale = np.where(
        constrained, 1.0, np.minimum(prior_scales(blueprint), default_scales(blueprint))
    )
    identity = blueprint.parameters.transform == IDENTITY

    def axes(u: FloatArray) -> FloatArray:
        x, slope, _, _ = bounds.to_constrained(u)
        theta = blueprint.theta(x[None, :])[0][: len(x)]
        return mean_axes(blueprint, theta, scale, np.where(identity, slope, 1.0))

    return axes


@one_blas_thread
def _search(blueprint: Blueprint) -> PosteriorModes:
    start = support(blueprint).to_unconstrained(starting_point(blueprint))
    axes, n_starts = unconstrained_axes(blueprint), _number_of_starts(blueprint)
    starts = [start, *_dispersed(start, axes(start), n_starts - 1)]
    objective = posterior_objective(blueprint, jacobian=True)
    found = distinct_maxima(objective, starts, axes)
    for top in found[:_TURNED]:
        found = distinct_maxima(objective, turned(blueprint, top.position), axes, known=found)
    mass = [_log_mass(maximum) for maximum in found]
    order = sorted(range(len(found)), key=lambda i: (-found[i].converged, -mass[i], i))
    kept: list[int] = []
    reflected: list[str] = []
    for i in order:
        if kept and mass[i] < mass[kept[0]] - REPORTED:
            continue
        mirrors = [reflected_factors(blueprint, found[k], found[i]) for k in kept]
        if any(mirrors):
            if mass[i] < mass[kept[0]] - MATTERS:
                continue
            reflected += [f for f in next(filter(None, mirrors)) if f not in reflected]
        else:
            kept.append(i)
    plain = posterior_objective(blueprint, jacobian=False)
    return PosteriorModes(
        sampled=tuple(found[i] for i in kept),
        n_matter=sum(mass[i] >= mass[kept[0]] - MATTERS for i in kept),
        on_prior_scale=tuple(maximise(plain, found[i].position, axes) for i in kept),
        log_mass=tuple(mass[i] for i in kept),
        reflected=tuple(reflected),
        elsewhere=tuple(found[i] for i in order if i not in kept),
        n_starts=n_starts,
    )


def _number_of_starts(blueprint: Blueprint) -> int:
    """As many as the budget allows for gradients of this size."""
    n, outcomes = blueprint.parameters.n, len(blueprint.outcomes)
    seconds = 1e-4 + 2e-9 * blueprint.likelihood.statistics.size * outcomes
    return int(np.clip(_BUDGET / (seconds * 4 * n), _FEWEST_STARTS, _MOST_STARTS))


def _dispersed(start: FloatArray, frame: FloatArray, n: int) -> list[FloatArray]:
    rng = np.random.default_rng(20)
    deviates = rng.standard_normal((n, len(start))).clip(-_FARTHEST, _FARTHEST)
    return list(start + deviates @ frame.T)


def _log_mass(maximum: Maximum) -> float:
    values = np.linalg.eigvalsh(-maximum.hessian)
    values = np.maximum(values, 1e-2 * np.abs(np.median(values)) + 1e-300)
    half = 0.5 * float(np.log(2 * np.pi / values).sum())
    return maximum.value + half


def distinct_maxima(
    objective: Objective,
    starts: Sequence[FloatArray],
    axes: Axes,
    *,
    thorough: bool = False,
    rescale: bool = False,
    known: Sequence[Maximum] = (),
) -> list[Maximum]:
    """Climb from every starting point and keep one maximum per hill.

    Parameters
    ----------
    objective, axes
        As in :func:`bayes_msem.inference.maximise.maximise`.
    starts
        Starting points; the first one is climbed in any case, and its result comes first.
    thorough
        Climb every new hill with the same effort as the first, and keep where the search ended
        even if that is no maximum to full precision.
    rescale
        As in :func:`bayes_msem.inference.maximise.maximise`.
    known
        Maxima that have been found before; then every starting point is treated like another.

    Returns
    -------
    list of Maximum
        The known ones first.
    """
    found = [*known] or [maximise(objective, starts[0], axes, rescale=rescale)]
    origin = found[0].position
    if not np.isfinite(found[0].value):
        return found
    for start in starts if known else starts[1:]:
        inside = _inside(objective, start, origin)
        position, value = climb(objective, inside, axes(inside))
        if not np.isfinite(value) or _on_a_known_hill(objective, found, position, value):
            continue
        if value < max(top.value for top in found) - _HOPELESS:
            continue
        if thorough:
            top = maximise(objective, position, axes, rescale=rescale)
        else:
            top = maximise(objective, position, axes, rounds=1, max_steps=_SHORT)
        if (top.converged or thorough) and not _on_a_known_hill(objective, found, *top[:2]):
            found.append(top)
    return found


def _inside(objective: Objective, point: FloatArray, origin: FloatArray) -> FloatArray:
    """Move a point towards another one until it has a density."""
    for _ in range(20):
        if np.isfinite(objective(point)[0]):
            return point
        point = (point + origin) / 2
    return origin


def _on_a_known_hill(
    objective: Objective, found: Sequence[Maximum], position: FloatArray, value: float
) -> bool:
    return any(
        value < top.value + _HIGHER
        and min(objective(position + s * (top.position - position))[0] for s in _ON_THE_LINE)
        > min(value, top.value) - _BARRIER
        for top in found
        if np.isfinite(top.position).all()
    )


def reflected_factors(blueprint: Blueprint, a: Maximum, b: Maximum) -> tuple[str, ...]:
    """Name the factors whose reflection turns one mode into the other; none if nothing does.

    Parameters
    ----------
    blueprint
        The model.
    a, b
        Maxima in unconstrained coordinates.
    """
    bounds, rows = support(blueprint), blueprint.parameters.rows
    # partial correlations are sampled as (z + 1) / 2; standard deviations have no sign
    width = np.where(blueprint.parameters.transform == CORRELATION, 2.0, 1.0)
    at_a, at_b = (bounds.to_constrained(m.position)[0] * width - (width - 1.0) for m in (a, b))
    names, signs = [], np.ones(len(rows))
    for level, factor in _factors(blueprint):
        own = [r.kind == "loading" and (r.level, r.lhs) == (level, factor) for r in rows]
        if any(own) and at_a[own] @ at_b[own] < 0:
            names.append(factor)
            signs *= reflection(blueprint, level, factor)
    variance = np.diag(np.linalg.pinv(-a.hessian, hermitian=True))
    spread = np.sqrt(np.maximum(variance, 0.0)) * bounds.to_constrained(a.position)[1] * width
    alike = np.abs(signs * at_a - at_b) <= _SAME * np.abs(spread)
    return tuple(names) if alike.all() else ()


def turned(blueprint: Blueprint, position: FloatArray) -> list[FloatArray]:
    """Reverse the sign of each factor but for its marker.

    A marker that hardly measures its factor may do so with either sign, and the other sign lies on
    the far side of infinity: the other loadings are measured in its units.

    Parameters
    ----------
    blueprint
        The model.
    position
        Free table values or unconstrained coordinates, (n_free,). Partial correlations change
        their sign with the coordinate as well.

    Returns
    -------
    list of arrays
        One per factor that has a marker and something to reverse.
    """
    bounds, points = support(blueprint), []
    one_sided = np.isfinite(bounds.lower) ^ np.isfinite(bounds.upper)
    for level, factor in _factors(blueprint):
        signs = reflection(blueprint, level, factor)
        own = [r for r in blueprint.table.rows if r.kind == "loading"]
        own = [r for r in own if (r.level, r.lhs) == (level, factor)]
        marked = any(not r.free and not r.random and r.value != 0 for r in own)
        if marked and (signs < 0).any() and not one_sided[signs < 0].any():
            points.append(position * signs)
    return points


def reflection(blueprint: Blueprint, level: str, factor: str) -> FloatArray:
    """Signs of the free parameters' change if a factor is reversed, (n_free,)."""
    rows = blueprint.parameters.rows
    touched = [r.level == level and (r.lhs == factor) != (r.rhs == factor) for r in rows]
    return np.where(touched, -1.0, 1.0)


def _factors(blueprint: Blueprint) -> list[tuple[str, str]]:
    return [key for key, role in blueprint.table.roles.items() if role.endswith("factor")]
