"""Names of rows in messages."""

from __future__ import annotations

from bayes_msem.spec.table import Row
from bayes_msem.structure.parameters import row_label

__all__ = ["row_name"]


def row_name(row: Row, *, two_level: bool) -> str:
    """Text of a row, with its level if there are two: what ``rows=`` of figures understands."""
    level = f"{row.level}: " if row.level and two_level else ""
    return f"{level}{row_label(row)}"
