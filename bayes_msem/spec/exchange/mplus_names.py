"""Names in an Mplus input: case does not matter, and ``y1-y4`` is a list.

A list of observed variables runs through the order of USEVARIABLES (or NAMES), whatever the names
in it are; a list of factors or random effects runs through the order in which they were defined,
and any other list counts the numbers at the end of its names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Names", "numbered"]

_NUMBERED = re.compile(r"(.*?)(\d+)(\$\d+)?")
_LONGEST_LIST = 5000


def numbered(first: str, last: str) -> list[str] | None:
    """Count from ``y1`` to ``y4``; None if the names do not differ in their number alone."""
    ends = [_NUMBERED.fullmatch(end) for end in (first, last)]
    if ends[0] is None or ends[1] is None:
        return None
    (stem, low, tail), (other, high, its) = ends[0].groups(), ends[1].groups()
    if stem.lower() != other.lower() or tail != its:
        return None
    if not 0 <= int(high) - int(low) < _LONGEST_LIST:
        return None
    width = len(low) if low.startswith("0") else 0
    return [f"{stem}{i:0{width}d}{tail or ''}" for i in range(int(low), int(high) + 1)]


@dataclass
class Names:
    """All names of an input as they were first spelt.

    Attributes
    ----------
    columns
        NAMES, in order.
    used
        USEVARIABLES, or NAMES.
    latent
        Factors and random effects in the order in which they were defined.
    """

    columns: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    latent: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def spelt(self, name: str) -> str:
        """Return a variable as it was first spelt."""
        return self._found(name, (*self.columns, *self.latent)) or name

    def define(self, name: str) -> str:
        """Add a factor or random effect unless it is known, and return its spelling."""
        known = self.spelt(name)
        if known == name and not self._found(name, (*self.columns, *self.latent)):
            self.latent.append(name)
        return known

    def label(self, name: str) -> str:
        """Return a label as it was first spelt; numbers become names."""
        text = f"eq{name}" if name.isdigit() else name
        known = self._found(text, self.labels)
        if known is None:
            self.labels.append(text)
        return known or text

    def is_observed(self, name: str) -> bool:
        """Whether a variable is a column of the data."""
        return self._found(name, self.columns) is not None

    def expand(self, first: str, last: str) -> list[str] | None:
        """Write out a list; None if it cannot be."""
        for order in (self.used, self.columns, self.latent):
            found = _slice(first, last, order)
            if found is not None:
                return found or None  # the last one stands before the first
        counted = numbered(first, last)
        if counted is None:
            return _thresholds(first, last, self.used or self.columns)
        return [self.spelt(name) for name in counted]

    @staticmethod
    def _found(name: str, among: Sequence[str]) -> str | None:
        low = name.lower()
        return next((known for known in among if known.lower() == low), None)


def _slice(first: str, last: str, order: Sequence[str]) -> list[str] | None:
    low = [name.lower() for name in order]
    if first.lower() not in low or last.lower() not in low:
        return None
    begin, end = low.index(first.lower()), low.index(last.lower())
    return list(order[begin : end + 1])


def _thresholds(first: str, last: str, order: Sequence[str]) -> list[str] | None:
    """Write out ``u1$1-u4$1`` and ``u1$1-u1$3``."""
    (name, _, low), (other, _, high) = first.partition("$"), last.partition("$")
    if not low or not high:
        return None
    if name.lower() == other.lower() and int(low) <= int(high):
        return [f"{name}${k}" for k in range(int(low), int(high) + 1)]
    variables = _slice(name, other, order)
    return [f"{v}${low}" for v in variables] if variables and low == high else None
