"""What of a model another program can be told: rows that it has, and what must be left out.

A coefficient that cannot vary over clusters there is written as one that is the same in all of
them, and all rows of its random effect are left out. Whatever is left out is named.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from bayes_msem.spec.expressions import Call, Expression, fold, names
from bayes_msem.spec.statements import Definition
from bayes_msem.spec.table import ConstrainedRow, ParameterTable, Row

__all__ = ["Counterpart", "comment", "counterpart", "equal_labels", "functions_of", "row_text"]


@dataclass(frozen=True, slots=True)
class Counterpart:
    """The part of a model that a program has.

    Attributes
    ----------
    rows
        Rows to write; those that cannot vary there are constants of all clusters.
    constraints, definitions
        Those whose labels are written.
    left_out
        What is not, a sentence each.
    """

    rows: tuple[Row, ...]
    constraints: tuple[ConstrainedRow, ...]
    definitions: tuple[Definition, ...]
    left_out: tuple[str, ...]


def counterpart(table: ParameterTable, varying: Collection[str]) -> Counterpart:
    """Find what can be written.

    Parameters
    ----------
    table
        The parameter table.
    varying
        Kinds of coefficients that the program lets vary over clusters.
    """
    lost = {row.random for row in table.rows if row.random and row.kind not in varying}
    rows: list[Row] = []
    left_out: list[str] = []
    for row in table.rows:
        if row.kind == "defined":
            continue
        if row.random in lost:
            left_out.append(f"{row_text(row)}: it does not vary over clusters there; one for all")
            rows.append(replace(row, random="", free=-1))
        elif lost & {row.lhs, row.rhs}:
            left_out.append(f"{row_text(row)}: a row of what varies")
        else:
            rows.append(row)
    known = {row.label for row in rows if row.label}
    constraints = []
    for constraint in table.constraints:
        if constraint.label in known and known.issuperset(names(constraint.expression)):
            constraints.append(constraint)
        else:
            left_out.append(
                f"{constraint.label} == {constraint.expression}: its labels are missing"
            )
    definitions = []
    for definition in table.definitions:
        if known.issuperset(names(definition.expression)):
            known.add(definition.name)
            definitions.append(definition)
        else:
            left_out.append(
                f"{definition.name} := {definition.expression}: definitions hold labels only"
            )
    return Counterpart(tuple(rows), tuple(constraints), tuple(definitions), tuple(left_out))


def row_text(row: Row) -> str:
    """Return a row as it stands in a model text, with its level."""
    level = f"{row.level}: " if row.level else ""
    term = f'rv("{row.random}")*{row.rhs}' if row.random else row.rhs
    return f"{level}{row.lhs} {row.op} {term}"


def equal_labels(rows: Collection[Row]) -> Iterator[tuple[str, str]]:
    """Yield pairs of labels of one parameter: the trace that ``a == b`` leaves."""
    first: dict[int, str] = {}
    written = set()
    for row in rows:
        if row.free > 0 and row.label:
            pair = (first.setdefault(row.free, row.label), row.label)
            if pair[0] != pair[1] and pair not in written:
                written.add(pair)
                yield pair


def comment(sign: str, text: str, indent: str = "") -> list[str]:
    """Return a text as lines of comments that are not too long."""
    return textwrap.wrap(
        text,
        width=86,
        initial_indent=f"{sign} {indent}",
        subsequent_indent=f"{sign} {indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def functions_of(expression: Expression) -> set[str]:
    """Names of the functions that an expression calls."""
    found: set[str] = set()

    def visit(part: Expression, below: tuple[None, ...]) -> None:
        if isinstance(part, Call):
            found.add(part.function)

    fold(expression, visit)
    return found
