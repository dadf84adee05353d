"""What a check is, and how a refused value is shown."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import Any

Check = Callable[[str, Any], Any]


def shown(value: object) -> str:
    """Return a value as it would be typed, shortened; never raises."""
    try:
        text = _REPR.repr(value)
    except Exception:
        text = ""
    plain = " ".join(text.split())
    if plain and len(plain) <= 80 and " at 0x" not in plain:
        return plain
    return f"a value of type {type(value).__name__}"


_REPR = reprlib.Repr(maxstring=60, maxother=60, maxlong=40, maxlevel=2)
