"""The parameter table as model text and as a data frame.

The text is complete: every row stands in it with its constant, or ``NA*`` where a default could
fix it. So it reads back as the same table, whatever the defaults (with or without ``std_lv``),
up to ``Row.origin``:

    build_table(parse(to_syntax(table)), columns, cluster=cluster) == table
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby

import pandas as pd

from bayes_msem.spec.expressions import number
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["key_frame", "table_frame", "to_syntax"]

_COLUMNS = ("level", "lhs", "op", "rhs", "label", "free", "value", "prior", "random")


def to_syntax(table: ParameterTable) -> str:
    """Write a table as complete model text.

    Parameters
    ----------
    table
        The parameter table.

    Returns
    -------
    str
        Text with one line per left-hand side and operator; constants of covariates, which are
        conditioned on, have no rows and are not written.

    Examples
    --------
    >>> from bayes_msem.spec.defaults import build_table
    >>> from bayes_msem.spec.parser import parse
    >>> print(to_syntax(build_table(parse("y ~ b*x"), ["y", "x"])))
    y ~ b*x
    y ~~ NA*y
    y ~ 1
    """
    lines: list[str] = []
    for level, rows in groupby(table.rows, key=lambda r: r.level):
        if not level:
            continue
        if table.two_level:
            lines.append(f"level: {level}")
        indent = "    " if table.two_level else ""
        shown = (r for r in rows if not _follows_from_block(r, table))
        for (lhs, op), members in groupby(shown, key=lambda r: (r.lhs, r.op)):
            before = _block(level, lhs, table) if op == "=~" else ""
            terms = " + ".join("*".join([*_modifiers(r, table), r.rhs]) for r in members)
            lines.append(f"{indent}{before}{lhs} {op} {terms}")
    lines += [f"{c.label} == {c.expression}" for c in table.constraints]
    lines += _equalities(table)
    lines += [f"{d.name} := {d.expression}" for d in table.definitions]
    return "\n".join(lines)


def _follows_from_block(row: Row, table: ParameterTable) -> bool:
    """Whether exploratory factors have this row without its being written."""
    return any(
        b.is_inside(row) or (row.kind == "variance" and b.touches(row)) for b in table.blocks
    )


def _block(level: str, factor: str, table: ParameterTable) -> str:
    """Return what stands before an exploratory factor."""
    for block in table.blocks:
        if block.level == level and factor in block.factors:
            return f"efa({_quoted(block.name)})*"
    return ""


def _modifiers(row: Row, table: ParameterTable) -> Iterator[str]:
    if row.random:
        yield f"rv({_quoted(row.random)})"
        return
    if row.free == 0 and row.label not in {c.label for c in table.constraints}:
        yield str(number(row.value))
    elif _could_be_fixed(row, table):
        yield "NA"
    if row.label:
        yield row.label
    if row.free and not math.isnan(row.value):
        yield f"start({number(row.value)})"
    if row.prior and not any(block.touches(row) for block in table.blocks):
        yield f"prior({_quoted(row.prior)})"


def _could_be_fixed(row: Row, table: ParameterTable) -> bool:
    """Whether some default fixes rows like this one.

    These are markers, variances of factors under ``std_lv``, variances of single indicators,
    and mean log SDs of factors under ``std_lv``.
    """
    if any(block.touches(row) for block in table.blocks):
        return False
    if row.kind == "intercept":
        return row.lhs in table.coefficients
    return row.kind in ("loading", "variance")


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'


def _equalities(table: ParameterTable) -> Iterator[str]:
    """Different labels of one parameter: the trace that ``a == b`` leaves."""
    first: dict[int, str] = {}
    written: set[tuple[str, str]] = set()
    for row in table.rows:
        if row.free and row.label:
            pair = (first.setdefault(row.free, row.label), row.label)
            if pair[0] != pair[1] and pair not in written:
                written.add(pair)
                yield f"{pair[0]} == {pair[1]}"


def table_frame(table: ParameterTable) -> pd.DataFrame:
    """Return the rows of a table as a data frame.

    Parameters
    ----------
    table
        The parameter table.

    Returns
    -------
    pandas.DataFrame
        Columns level, lhs, op, rhs, label, free (0: not a free parameter), value (constant or
        starting value; NaN if neither), prior (as written) and random; group before them, if there
        are groups.
    """
    groups = ("group",) if any(row.group for row in table.rows) else ()
    columns = [*groups, *_COLUMNS]
    records = [[getattr(row, c) for c in columns] for row in table.rows]
    return pd.DataFrame(records, columns=columns).astype({"free": int, "value": float})


def key_frame(keys: Iterable[RowKey]) -> pd.DataFrame:
    """Return keys as columns level, lhs, op and rhs; the first is group if there are groups."""
    keys = list(keys)
    frame = pd.DataFrame([key[:4] for key in keys], columns=["level", "lhs", "op", "rhs"])
    groups = ["".join(key[4:]) for key in keys]
    if any(groups):
        frame.insert(0, "group", groups)
    return frame
