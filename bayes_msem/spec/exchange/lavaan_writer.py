"""A model as text for lavaan.

Every row stands in the text with its constant, or ``NA*`` where lavaan could fix it, so it is meant
for ``lavaan()``, which adds nothing. Rows with several modifiers name their variable twice, as
lavaan has it: ``NA*y2 + a*y2``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from bayes_msem.spec.exchange.columns_to_make import ColumnToMake
from bayes_msem.spec.exchange.counterparts import (
    Counterpart,
    comment,
    counterpart,
    equal_labels,
    row_text,
)
from bayes_msem.spec.expressions import number
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["to_lavaan"]


def to_lavaan(
    table: ParameterTable,
    *,
    cluster: str = "",
    missing: str = "fiml",
    exposure: Mapping[str, str] | None = None,
    priors: Mapping[RowKey, str] | None = None,
    made: Sequence[ColumnToMake] = (),
) -> str:
    """Write a table as text for lavaan.

    Parameters
    ----------
    table
        The parameter table.
    cluster
        Column with the identifiers of clusters.
    missing
        As for ``Model``.
    exposure
        Column with the exposure of each count.
    priors
        Priors of the user, which become comments.
    made
        Columns that have to be made first.

    Returns
    -------
    str
        Text that lavaan and this package read; comments name what lavaan does not have.

    Examples
    --------
    >>> from bayes_msem.spec.defaults import build_table
    >>> from bayes_msem.spec.parser import parse
    >>> print(to_lavaan(build_table(parse("y ~ b*x"), ["y", "x"])))
    # fit <- lavaan(model, data = data, missing = "ml")
    y ~ b*x
    y ~~ NA*y
    y ~ 1
    """
    part = counterpart(table, ("regression",))
    lines = ["# Columns to make first:"] if made else []
    lines += [f"#   {column.in_r()}" for column in made]
    lines += comment("#", _call(table, cluster, missing))
    left_out = [*part.left_out, *_families(table, exposure or {})]
    left_out += [_prior(key, prior) for key, prior in (priors or {}).items()]
    if any(row.random for row in part.rows):
        lines += comment("#", "Random slopes, rv(), need lavaan 0.7 or newer.")
    if left_out:
        lines.append("# Not in lavaan, and so not in this text:")
        for text in left_out:
            lines += comment("#", text, "  ")
    variables = {name for _, name in table.roles}
    return "\n".join([*lines, *_body(part, variables, two_level=table.two_level)])


def _call(table: ParameterTable, cluster: str, missing: str) -> str:
    words = ["model, data = data"]
    if cluster:
        words.append(f'cluster = "{cluster}"')
    if missing == "fiml":
        words.append('missing = "ml"')
    ordered = [name for name, family in table.families.items() if family.has_thresholds]
    if ordered:
        listed = ", ".join(f'"{name}"' for name in ordered)
        words = [w for w in words if not w.startswith("missing")]
        words += [f"ordered = c({listed})", 'parameterization = "theta"']
    return f"fit <- lavaan({', '.join(words)})"


def _families(table: ParameterTable, exposure: Mapping[str, str]) -> Iterator[str]:
    for name, family in table.families.items():
        if family.is_count:
            yield f"{name} is {family.text}: lavaan would take it for normal"
        elif family.link == "logit":
            yield f"{name} is {family.text}: lavaan has the probit link only"
        elif table.two_level:
            yield f"{name} is {family.text}: lavaan has ordered outcomes with one level only"
    for name, column in exposure.items():
        yield f"exposure of {name} ({column})"


def _prior(key: RowKey, prior: str) -> str:
    row = Row(key.level, key.lhs, key.op, key.rhs)
    return f"prior of {row_text(row)}: {prior} (blavaan has priors)"


def _body(part: Counterpart, variables: set[str], *, two_level: bool) -> Iterator[str]:
    computed = {c.label for c in part.constraints}
    for level, rows in groupby(part.rows, key=lambda r: r.level):
        if two_level:
            yield f"level: {level}"
        indent = "    " if two_level else ""
        for (lhs, op), members in groupby(rows, key=lambda r: (r.lhs, r.op)):
            terms = (term for row in members for term in _terms(row, computed, variables))
            yield f"{indent}{lhs} {op} {' + '.join(terms)}"
    yield from (f"{c.label} == {c.expression}" for c in part.constraints)
    yield from (f"{one} == {other}" for one, other in equal_labels(part.rows))
    yield from (f"{d.name} := {d.expression}" for d in part.definitions)


def _terms(row: Row, computed: set[str], variables: set[str]) -> list[str]:
    """Return a row as one term for each of its modifiers."""
    if row.random:
        return [f'rv("{row.random}")*{row.rhs}']
    modifiers = []
    if row.free == 0 and row.label not in computed:
        modifiers.append(str(number(row.value)))
    elif row.kind in ("loading", "variance") or (row.kind == "intercept" and row.label):
        modifiers.append("NA")
    if row.label:
        modifiers.append(f'label("{row.label}")' if row.label in variables else row.label)
    if row.free and not math.isnan(row.value):
        modifiers.append(f"start({number(row.value)})")
    return [f"{modifier}*{row.rhs}" for modifier in modifiers] or [row.rhs]
