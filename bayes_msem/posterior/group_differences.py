"""Differences of a coefficient between groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.group_tables import AVERAGE, GroupTables
from bayes_msem.spec.row_names import find_rows, is_key
from bayes_msem.spec.table import Row, RowKey

__all__ = ["differences"]

FloatArray = NDArray[np.float64]


def differences(
    tables: GroupTables, draws: Mapping[RowKey, FloatArray], rows: Any, reference: str | None
) -> tuple[list[RowKey], FloatArray]:
    """Compute differences between groups.

    Parameters
    ----------
    tables
        Tables of all groups.
    draws
        Row -> draws (chain, draw).
    rows
        Names of rows; None: all that differ between groups.
    reference
        Group that others are compared with; None: the average.

    Returns
    -------
    tuple
        Keys, whose group says what is compared, and draws (chain, draw, row).
    """
    if reference is not None and reference not in tables.groups:
        raise SpecificationError(
            f"reference={reference!r} is no group; groups are {', '.join(tables.groups)}"
        )
    own = [r for r in tables.public if r.group in tables.groups and not r.random]
    if rows is None:
        chosen = list(dict.fromkeys(r.key[:4] for r in own))
    else:
        names = [rows] if isinstance(rows, str) or is_key(rows) else list(rows)
        found = [r for name in names for r in find_rows(own, name, what="rows")]
        chosen = list(dict.fromkeys(r.key[:4] for r in found))
    by_key: dict[tuple[str, ...], dict[str, Row]] = {}
    for r in own:
        by_key.setdefault(r.key[:4], {})[r.group] = r
    keys: list[RowKey] = []
    values: list[FloatArray] = []
    for key in chosen:
        members = by_key[key]
        if rows is None and not _differ(list(members.values())):
            continue
        found_draws = {g: draws[members[g].key] for g in tables.groups if g in members}
        base = found_draws[reference] if reference else sum(found_draws.values()) / len(found_draws)
        for g, own_draws in found_draws.items():
            if g != reference:
                keys.append(RowKey(*key, f"{g} - {reference or AVERAGE}"))
                values.append(own_draws - base)
    if not keys:
        raise SpecificationError("no row differs between the groups of this model")
    return keys, np.stack(values, axis=-1)


def _differ(rows: list[Row]) -> bool:
    """Whether a row is estimated in several groups, and not as one parameter."""
    fixed = sum(r.free == 0 and bool(np.isfinite(r.value)) for r in rows)
    if fixed == len(rows):
        return False
    return len({r.free or r.label or str(r.value) for r in rows}) > 1
