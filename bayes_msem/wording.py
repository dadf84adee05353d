"""Counts and lists in messages, worded alike everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_few", "listed", "plural", "positions"]

_FEW = 5


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def listed(values: Sequence[object]) -> str:
    """Return values as they would be typed, separated by commas."""
    plain = (value.item() if isinstance(value, np.generic) else value for value in values)
    return ", ".join(repr(value) for value in plain)


def first_few(values: Sequence[object]) -> str:
    """Return the first values as they would be typed, five at most."""
    return listed(values[:_FEW]) + (", ..." if len(values) > _FEW else "")


def positions(mask: NDArray[np.bool_]) -> str:
    """Name the rows of ``mask``, five at most."""
    rows = np.flatnonzero(mask).tolist()
    return f"{plural(len(rows), 'row')} ({first_few(rows)}, counting from 0)"
