"""Scales of latent responses, and the priors of thresholds that rest on them.

Categories have no unit, so default priors are in units of the latent response y*. With r the
standard deviation of its residual (1 for probit, pi / sqrt(3) for logit), y* is assumed to have a
variance of r^2 for each of its parts:

- its residual;
- what points at it (loadings, regressions) at the level of its residual;
- its between part, if it is used at both levels.

S, the square root of their sum, is the standard deviation that the prior assumes. Of counts, one
unit of the log rate takes the place of r, and there is no residual. Where predictors are far from
zero, so are the thresholds, and S is wider, as that of an intercept is
(:mod:`bayes_msem.spec.default_priors`).

**Thresholds of one outcome have one prior**, ``dirichlet(alpha, sd=S)``: the probabilities

    p_c = F(tau_{c+1} / S) - F(tau_c / S),   c = 0, ..., K - 1,   F standard normal,

are Dirichlet(alpha, ..., alpha). Since dp / dtau is triangular, the density of the thresholds is

    Dir(p; alpha) prod_k f(tau_k / S) / S,   f the density of F.

With alpha = 1 every division of the probabilities is equally likely, for any K, and the density is
that of K - 1 independent Normal(0, S) in their order. It is replaced by normals per threshold,
restricted to increasing values, where a threshold of the outcome is fixed, equal to one of another
outcome, or has a prior of its own. Then the other free ones have Normal(0, 1.5 S) by default:
wider, since what is fixed or set may lie anywhere.

References
----------
Betancourt, M. (2019). Ordinal regression.
https://betanalpha.github.io/assets/case_studies/ordinal_regression.html
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bayes_msem.errors import SpecificationError
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.row_names import key_text
from bayes_msem.spec.table import ParameterTable, Row

__all__ = [
    "default_threshold_prior",
    "induced_log_density",
    "latent_sd",
    "latent_unit",
    "sample_thresholds",
    "settle_thresholds",
]

FloatArray = NDArray[np.float64]

_WIDER = 1.5


def latent_unit(family: Family) -> float:
    """Return the unit of a latent response: SD of its residual; 1 on the scale of log rates."""
    return math.sqrt(family.residual_variance or 1.0) if family.has_thresholds else 1.0


def latent_sd(table: ParameterTable, name: str) -> float:
    """Return the standard deviation S that priors assume for the latent response of an outcome.

    Parameters
    ----------
    table
        The parameter table.
    name
        An outcome that is not normal.
    """
    family = table.families[name]
    residual_level = "within" if ("within", name) in table.roles else "between"
    parts = int(family.has_thresholds)
    parts += any(_points_at(row, residual_level, name) for row in table.rows)
    parts += residual_level == "within" and ("between", name) in table.roles
    return latent_unit(family) * math.sqrt(max(parts, 1))


def _points_at(row: Row, level: str, name: str) -> bool:
    to = {"loading": row.rhs, "regression": row.lhs}.get(row.kind)
    return row.level == level and to == name


def default_threshold_prior(table: ParameterTable, row: Row, scale: float) -> Prior:
    """Return the default prior of one threshold, where ``scale`` is S."""
    if _is_free_block(table, row.lhs):
        return Prior("dirichlet", (1.0, float(f"{scale:.4g}")))
    return Prior("normal", (0.0, float(f"{_WIDER * scale:.4g}")))


def _thresholds(table: ParameterTable, name: str) -> list[Row]:
    return [r for r in table.rows if r.kind == "threshold" and r.lhs == name]


def _is_free_block(table: ParameterTable, name: str) -> bool:
    """Whether all thresholds of an outcome are free parameters of their own."""
    uses = Counter(r.free for r in table.rows if r.free)
    return all(uses[r.free] == 1 for r in _thresholds(table, name))


def settle_thresholds(
    table: ParameterTable, priors: Mapping[int, Prior], asked: Iterable[int]
) -> dict[int, Prior]:
    """Return the priors of thresholds, given those that the user wants for some.

    Parameters
    ----------
    table
        The parameter table.
    priors
        Prior by free number, as wished or by default.
    asked
        Free numbers whose prior the user gave.

    Raises
    ------
    SpecificationError
        A Dirichlet prior for a part of the thresholds of an outcome.
    """
    settled, wishes = dict(priors), set(asked)
    for name in dict.fromkeys(r.lhs for r in table.rows if r.kind == "threshold"):
        free = [r for r in _thresholds(table, name) if r.free]
        blocks = {priors[r.free] for r in free}
        is_block = _is_free_block(table, name)
        if is_block and len(blocks) == 1:
            continue
        for row in free:
            prior = priors[row.free]
            if prior.family != "dirichlet":
                continue
            if row.free in wishes:
                raise SpecificationError(_part_of_a_block(row, prior, is_block=is_block))
            settled[row.free] = Prior("normal", (0.0, float(f"{_WIDER * prior.arguments[1]:.4g}")))
    return settled


def _part_of_a_block(row: Row, prior: Prior, *, is_block: bool) -> str:
    head = f"the prior {prior} of '{key_text(row.key)}' is one of all thresholds of '{row.lhs}'"
    if is_block:
        return (
            f"{head}, but they do not all have it; set them together: "
            f"priors={{'threshold': '{prior}'}}, or give each one a normal prior"
        )
    return (
        f"{head}, but one of these is fixed or shares a label with another row; give the free ones "
        "normal priors"
    )


# Numbers ---------------------------------------------------------------------------------------


def induced_log_density(thresholds: ArrayLike, alpha: float, sd: float) -> FloatArray:
    """Log density of the thresholds of one outcome.

    Parameters
    ----------
    thresholds
        Shape (..., K - 1).
    alpha, sd
        Arguments of the prior.

    Returns
    -------
    numpy.ndarray
        Shape (...); -inf where thresholds do not increase.

    Examples
    --------
    >>> round(float(induced_log_density([0.0], 1.0, 1.0)), 4)  # a standard normal at 0
    -0.9189
    """
    z = np.asarray(thresholds, dtype=np.float64) / sd
    ends = np.broadcast_to([-np.inf, np.inf], (*z.shape[:-1], 2))
    cuts = np.concatenate([ends[..., :1], z, ends[..., 1:]], axis=-1)
    increasing = (np.diff(z, axis=-1) > 0).all(axis=-1)
    with np.errstate(all="ignore"):
        kernel = (alpha - 1) * _log_probabilities(cuts).sum(axis=-1) if alpha != 1 else 0.0
    jacobian = (-0.5 * z**2 - 0.5 * math.log(2 * math.pi) - math.log(sd)).sum(axis=-1)
    count = cuts.shape[-1] - 1
    constant = special.gammaln(count * alpha) - count * special.gammaln(alpha)
    return np.where(increasing, constant + kernel + jacobian, -np.inf)


def _log_probabilities(cuts: FloatArray) -> FloatArray:
    """Log of Phi(upper) - Phi(lower), with all digits in both tails."""
    lower, upper = cuts[..., :-1], cuts[..., 1:]
    mirror = lower > 0
    lower, upper = np.where(mirror, -upper, lower), np.where(mirror, -lower, upper)
    log_upper = special.log_ndtr(upper)
    return np.asarray(log_upper + np.log1p(-np.exp(special.log_ndtr(lower) - log_upper)))


def sample_thresholds(
    rng: np.random.Generator, count: int, alpha: float, sd: float, size: int
) -> FloatArray:
    """Draw the thresholds of one outcome from their prior.

    Parameters
    ----------
    rng
        Source of randomness.
    count
        Number of thresholds, K - 1.
    alpha, sd
        Arguments of the prior.
    size
        Number of draws.

    Returns
    -------
    numpy.ndarray
        Shape (size, count), increasing.
    """
    shares = rng.dirichlet(np.full(count + 1, alpha), size=size)
    return np.asarray(sd * special.ndtri(np.cumsum(shares, axis=1)[:, :-1]))
