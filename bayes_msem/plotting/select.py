"""Which rows of the parameter table a figure shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.posterior.enough import check_enough
from bayes_msem.posterior.tables import KIND_TITLES
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = [
    "RowSelector",
    "coordinate",
    "no_number",
    "select_clusters",
    "select_names",
    "select_rows",
    "varying_rows",
]

FloatArray = NDArray[np.float64]
RowSelector = RowKey | str


def coordinate(row: Row) -> str:
    """Coordinate of a row inside its level, such as ``"fw =~ y2"``."""
    return f"{row.lhs} {row.op} {row.rhs}"


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
        What to show, each a key ("within", "fw", "=~", "y2"), its text "fw =~ y2" (at every
        level that has it) or "within: fw =~ y2", a label, the name of a defined parameter, or a
        kind such as "variance". None: all.

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
    wanted = [rows] if isinstance(rows, str) or _is_key(rows) else list(rows)
    if not wanted:
        raise SpecificationError("rows=[] leaves nothing to show; rows=None shows all")
    found: set[RowKey] = set()
    for selector in wanted:
        matches = {r.key for r in chosen if _matches(r, selector)}
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
        listed = "; ".join(f"'{coordinate(r)}' {no_number(r, draws[r.key])}" for r in absent)
        raise SpecificationError(f"no row chosen has {what}: {listed}")
    broken = [r for r in rows if not numbers[r.key] and not r.random]
    left_out = "; ".join(f"{coordinate(r)}: {no_number(r, draws[r.key])}" for r in broken)
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


def _is_key(rows: object) -> bool:
    """Whether this is one key rather than a sequence of selectors."""
    return (
        isinstance(rows, tuple)
        and len(rows) == 4
        and all(isinstance(part, str) for part in rows)
        and rows[2] in ("=~", "~", "~~", ":=")
    )


def _matches(row: Row, selector: object) -> bool:
    if not isinstance(selector, str):
        return row.key == selector
    return _plain(selector) in {_plain(name) for name in _names(row)}


def _names(row: Row) -> list[str]:
    names = [coordinate(row), f"{row.level}: {coordinate(row)}", row.kind, row.label]
    return [n for n in [*names, row.lhs if row.kind == "defined" else ""] if n]


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _unknown(selector: object, rows: Sequence[Row], level: str | None) -> str:
    where = "" if level is None else f" at level '{level}'"
    known = dict.fromkeys(name for row in rows for name in _names(row))
    return (
        f"no row {selector!r}{where}{nearest(str(selector), known)} Rows are named by key, such as "
        f"{rows[0].key}, by text, such as '{coordinate(rows[0])}', by label, or by kind "
        f"({', '.join(KIND_TITLES)})"
    )
