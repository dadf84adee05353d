"""Which rows of the parameter table a figure shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.posterior.tables import KIND_TITLES
from bayes_msem.spec.row_names import formula, is_key, key_text, matching_rows, rows_of_kind
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["RowSelector", "select_clusters", "select_names", "select_rows"]

RowSelector = RowKey | tuple[str, ...] | str


def select_rows(
    table: ParameterTable, level: str | None, rows: Sequence[RowSelector] | RowSelector | None
) -> tuple[Row, ...]:
    """Choose rows of a table.

    Parameters
    ----------
    table
        The parameter table.
    level
        "within", "between", or "" (defined parameters); None: all.
    rows
        What to show, each by any name of a row (spec.row_names): a key
        ("within", "fw", "=~", "y2"), its text "fw =~ y2" (at every level that has it) or
        "within: fw =~ y2", a label, the name of a defined parameter, or a kind such as "variance"
        or ("within", "=~"). None: all.

    Returns
    -------
    tuple of Row
        In the order of the table.

    Raises
    ------
    SpecificationError
        Unknown level or row, or nothing left to show.
    """
    levels = tuple(dict.fromkeys(r.level for r in table.rows))
    if level is not None and level not in levels:
        allowed = ", ".join(f"'{x}'" for x in levels)
        raise SpecificationError(
            f"level='{level}' is not in this model; it has {allowed}{nearest(str(level), levels)}"
        )
    chosen = [r for r in table.rows if level is None or r.level == level]
    if rows is None:
        return tuple(chosen)
    one = (
        isinstance(rows, str)
        or is_key(rows)
        or (isinstance(rows, tuple) and bool(rows_of_kind(chosen, rows)))
    )
    wanted = [rows] if one else list(rows)
    if not wanted:
        raise SpecificationError("rows=[] leaves nothing to show; rows=None shows all")
    found: set[RowKey] = set()
    for selector in wanted:
        matches = {r.key for r in matching_rows(chosen, selector) or rows_of_kind(chosen, selector)}
        if not matches:
            raise SpecificationError(_unknown(selector, chosen, level))
        found |= matches
    return tuple(r for r in chosen if r.key in found)


def select_clusters(ids: Sequence[Any], clusters: Sequence[Any] | None) -> NDArray[np.intp]:
    """Positions of the chosen clusters among all, in the order asked for; None: all.

    Raises
    ------
    SpecificationError
        Unknown cluster, or none.
    """
    known = {str(name): i for i, name in enumerate(ids)}
    if clusters is None:
        return np.arange(len(known))
    wanted = [str(c) for c in ([clusters] if isinstance(clusters, str) else clusters)]
    if not wanted:
        raise SpecificationError("clusters=[] leaves nothing to show; clusters=None shows all")
    for name in wanted:
        if name not in known:
            raise SpecificationError(
                f"clusters: there is no cluster {name!r}{nearest(name, known) or '.'} "
                f"Identifiers look like {next(iter(known))!r}"
            )
    return np.array([known[name] for name in dict.fromkeys(wanted)])


def select_names(
    what: str, known: Sequence[str], wanted: Sequence[str] | str | None
) -> tuple[str, ...]:
    """Names chosen among ``known``, in the order asked for; None: all.

    Raises
    ------
    SpecificationError
        Unknown name, or none; ``what`` is what the names are of, such as "outcome".
    """
    if wanted is None:
        return tuple(known)
    names = [wanted] if isinstance(wanted, str) else [str(name) for name in wanted]
    if not names:
        raise SpecificationError(f"{what}s=[] leaves nothing to show; {what}s=None shows all")
    for name in names:
        if name not in known:
            raise SpecificationError(
                f"there is no {what} {name!r} to show; use {', '.join(known)}{nearest(name, known)}"
            )
    return tuple(dict.fromkeys(names))


def _unknown(selector: object, rows: Sequence[Row], level: str | None) -> str:
    where = "" if level is None else f" at level '{level}'"
    known = [name for r in rows for name in (formula(r), key_text(r.key), r.kind, r.label) if name]
    known += [r.lhs for r in rows if r.kind == "defined"]
    return (
        f"no row {selector!r}{where}{nearest(str(selector), dict.fromkeys(known))} Rows are named "
        f"by key, such as {rows[0].key}, by text, such as '{formula(rows[0])}', by label, or by "
        f"kind ({', '.join(KIND_TITLES)})"
    )
