"""Priors of Mplus, which state variances, and priors here, which state standard deviations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bayes_msem.spec.prior_text import Prior

__all__ = ["from_mplus_prior", "to_mplus_prior"]

_FLAT = 1e9  # a variance of this size says nothing
_COEFFICIENTS = ("loading", "regression", "intercept")


def from_mplus_prior(family: str, numbers: Sequence[float], kind: str) -> str | None:
    """Write a prior of Mplus in our words; None if there is none like it.

    Parameters
    ----------
    family
        In capitals, such as "N".
    numbers
        Its two arguments.
    kind
        Kind of the rows that it is a prior of.

    Examples
    --------
    >>> from_mplus_prior("N", [0, 4], "regression")
    'normal(0, 2)'
    """
    if len(numbers) != 2 or not all(math.isfinite(n) for n in numbers):
        return None
    first, second = numbers
    spread = math.sqrt(second) if 0 < second < _FLAT else None
    coefficient = kind in _COEFFICIENTS
    if family == "N" and spread and (coefficient or kind == "threshold"):
        return f"normal({first:.12g}, {spread:.12g})"
    if family == "LN" and spread and coefficient:
        return f"lognormal({first:.12g}, {spread:.12g})"
    if family == "LN" and spread and kind == "variance":
        # the logarithm of a standard deviation is half that of the variance
        return f"lognormal({first / 2:.12g}, {spread / 2:.12g})"
    if family == "U" and coefficient and first < second and second - first < _FLAT:
        return f"uniform({first:.12g}, {second:.12g})"
    if family == "G" and coefficient and first > 0 < second:
        return f"gamma({first:.12g}, {second:.12g})"
    return None


def to_mplus_prior(prior: Prior, kind: str) -> str | None:
    """Write a prior of a coefficient for Mplus; None if it has none like it.

    Parameters
    ----------
    prior
        The prior.
    kind
        Kind of its row.
    """
    if kind not in _COEFFICIENTS:
        return None
    first, *rest = (f"{a:.12g}" for a in prior.arguments)
    match prior.family:
        case "normal":
            return f"N({first}, {prior.arguments[1] ** 2:.12g})"
        case "lognormal":
            return f"LN({first}, {prior.arguments[1] ** 2:.12g})"
        case "uniform":
            return f"U({first}, {rest[0]})"
        case "gamma":
            return f"G({first}, {rest[0]})"
    return None
