"""Names that Mplus can read: up to eight letters, digits and ``_``; case does not matter."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["short_names"]

LONGEST = 8
_VALID = re.compile(rf"[A-Za-z]\w{{0,{LONGEST - 1}}}", re.ASCII)
RESERVED = (
    "by",
    "on",
    "with",
    "pon",
    "pwith",
    "xwith",
    "ind",
    "via",
    "at",
    "all",
    "new",
    "is",
    "are",
)


def short_names(names: Iterable[str], reserved: Iterable[str] = RESERVED) -> dict[str, str]:
    """Map names to ones that Mplus can read; those that it can stay as they are.

    Parameters
    ----------
    names
        Names of variables, or of labels.
    reserved
        Words of the language that no variable may have as its name.

    Examples
    --------
    >>> short_names(["y1", "extraversion", "Y1", "extraversion.mean"])
    {'y1': 'y1', 'extraversion': 'extraver', 'Y1': 'Y12', 'extraversion.mean': 'extrave2'}
    """
    given = list(dict.fromkeys(names))
    used: set[str] = set(reserved)
    found: dict[str, str] = {}
    for name in given:  # names that can stay have precedence
        if _VALID.fullmatch(name) and name.lower() not in used:
            used.add(name.lower())
            found[name] = name
    for name in given:
        if name not in found:
            found[name] = _shortened(name, used)
            used.add(found[name].lower())
    return {name: found[name] for name in given}


def _shortened(name: str, used: set[str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    plain = plain if plain[:1].isalpha() else f"v{plain}"
    number = 1
    short = plain[:LONGEST]
    while short.lower() in used:
        number += 1
        short = f"{plain[: LONGEST - len(str(number))]}{number}"
    return short
