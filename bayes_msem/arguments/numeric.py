"""Checks of numbers, of arrays and shapes, and of sources of random numbers."""

from __future__ import annotations

import math
import numbers
from typing import Any, cast

import numpy as np

from bayes_msem.arguments.check import Check, shown
from bayes_msem.arguments.words_and_lists import mapping, several
from bayes_msem.errors import SpecificationError

LARGEST_SEED = 2**63 - 1  # what every sampler takes and every file can hold
MOST_DRAWS = 10_000_000  # of one chain: more than fits in memory
MOST_CHAINS = 1000


def integer(least: int, most: int | None = None, *, what: str = "an integer") -> Check:
    """Integers (Python's or NumPy's, no booleans) from ``least`` to ``most``; ``what`` they are.

    Examples
    --------
    >>> integer(1)("thin", 2)
    2
    """
    allowed = f"at least {least}" if most is None else f"from {least} to {most}"

    def check(name: str, value: Any) -> int:
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < least or (most is not None and value > most):
            raise SpecificationError(f"{name} must be {what}, {allowed}, got {shown(value)}")
        return int(value)

    return check


def seed(name: str, value: Any) -> int:
    """Check a seed: an integer from 0 to 2**63 - 1."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not 0 <= value <= LARGEST_SEED:
        raise SpecificationError(
            f"{name} must be an integer of at least 0, and below 2**63, or None, got {shown(value)}"
        )
    return int(value)


def number(
    allowed: str, least: float = -math.inf, most: float = math.inf, *, strict: bool = False
) -> Check:
    """Real numbers from ``least`` to ``most`` (``strict``: between them), but never NaN.

    Examples
    --------
    >>> number("a positive number", 0.0, strict=True)("initial_step", 0.1)
    0.1
    """

    def check(name: str, value: Any) -> float:
        real = isinstance(value, (numbers.Real, np.floating, np.integer))
        if real and not isinstance(value, bool):
            try:
                found = float(value)
            except (OverflowError, ValueError):
                found = math.nan
            if (least < found < most) if strict else (least <= found <= most):
                return found
        raise SpecificationError(f"{name} must be {allowed}, got {shown(value)}")

    return check


def probability(name: str, value: Any) -> float:
    """Check a number between 0 and 1, both left out."""
    try:
        return cast("float", _BETWEEN(name, value))
    except SpecificationError:
        raise SpecificationError(
            f"{name}={shown(value)} is not a probability; use a number such as 0.95"
        ) from None


_BETWEEN = number("between 0 and 1", 0.0, 1.0, strict=True)


def values_by_row(name: str, value: Any) -> Any:
    """Check numbers by row, such as a mode; NaN stands for none."""
    for key, one in mapping(name, value).items():
        if not isinstance(one, (numbers.Real, np.floating, np.integer)):
            raise SpecificationError(
                f"{name} must be a dict from rows to numbers, got {shown(one)} for {shown(key)}"
            )
    return value


def floats(name: str, value: Any) -> tuple[float, ...]:
    """Check a sequence of numbers, and return them as a tuple."""
    one = number("numbers, such as (0.8, 1.25)")
    listed = () if isinstance(value, (str, set, frozenset)) else several(name, value)
    if not len(listed):
        one(name, value if isinstance(value, str) else None)
    return tuple(one(name, x) for x in listed)


def array(name: str, value: Any) -> Any:
    """Check one number or an array of numbers, and return an array of float64."""
    try:
        result = np.asarray(value)
        real = result.dtype.kind in "iuf" or (result.dtype.kind == "O" and result.size > 0)
        if real:
            return result.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SpecificationError(f"{name} must be a number or an array of numbers, got {shown(value)}")


def generator(name: str, value: Any) -> np.random.Generator:
    """Check a source of random numbers."""
    if not isinstance(value, np.random.Generator):
        raise SpecificationError(
            f"{name} must be a generator, such as numpy.random.default_rng(1), got {shown(value)}"
        )
    return value


def shape(name: str, value: Any) -> Any:
    """Check the shape of an array: one size, or a tuple of them."""
    size = integer(0, 10**9, what="a number of values, or a tuple of them")
    if isinstance(value, tuple):
        sizes = tuple(size(name, one) for one in value)
        size(name, math.prod(sizes))
        return sizes
    return size(name, value)


def figure_size(name: str, value: Any) -> tuple[float, float]:
    """Check width and height of a figure in inches."""
    inches = number("(width, height) in inches, each above 0 and at most 600", 0.0, 600.0)
    sizes = several(name, value)
    if isinstance(sizes, str) or len(sizes) != 2:
        inches(name, value)
    width, height = (inches(name, size) for size in sizes)
    if width and height:
        return width, height
    raise SpecificationError(f"{name} must be above 0 in both directions, got {shown(value)}")
