"""Which rows of the parameter table a figure shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.posterior.enough import check_enough
from bayes_msem.posterior.tables import KIND_TITLES
from bayes_msem.spec.row_names import formula, is_key, key_text, matching_rows, rows_of_kind
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = [
    "RowSelector",
    "no_number",
    "select_clusters",
    "select_names",
    "select_rows",
    "varying_rows",
]

FloatArray = NDArray[np.float64]
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


def varying_rows(
    rows: Sequence[Row], draws: Mapping[RowKey, FloatArray], what: str
) -> tuple[tuple[Row, ...], str]:
    """Those of some rows whose draws are numbers and differ.

    Parameters
    ----------
    rows, draws
        Rows to choose from, and row key -> draws (chain, draw).
    what
        What is to be drawn of them, such as "traces".

    Returns
    -------
    tuple
        The rows, and a note on others that are left out, constants and random coefficients apart;
        empty if there are none.

    Raises
    ------
    SpecificationError
        A single draw, or no such row; the message says why.
    """
    check_enough(draws[rows[0].key].size, 2, f"a plot of {what}")
    numbers = {row.key: bool(np.isfinite(draws[row.key]).all()) for row in rows}
    shown = tuple(r for r in rows if numbers[r.key] and np.ptp(draws[r.key]) > 0)
    if not shown:
        absent = [r for r in rows if not numbers[r.key]]
        if not absent:
            raise SpecificationError(f"all rows chosen are constants, which have no {what}")
        listed = "; ".join(f"'{formula(r)}' {no_number(r, draws[r.key])}" for r in absent)
        raise SpecificationError(f"no row chosen has {what}: {listed}")
    broken = [r for r in rows if not numbers[r.key] and not r.random]
    left_out = "; ".join(f"{formula(r)}: {no_number(r, draws[r.key])}" for r in broken)
    return shown, f"left out: {left_out}" if left_out else ""


def no_number(row: Row, values: FloatArray) -> str:
    """Say why a row whose draws are not all numbers cannot be drawn."""
    if row.random:
        return f"varies over clusters: {row.random}"
    return f"is no number in {int((~np.isfinite(values)).sum())} of {values.size} draws"


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
        raise SpecificationError(
            "cluster_ids=[] leaves nothing to show; cluster_ids=None shows all"
        )
    for name in wanted:
        if name not in known:
            raise SpecificationError(
                f"cluster_ids: there is no cluster {name!r}{nearest(name, known) or '.'} "
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
