"""Dummies and products for programs that do not know them: columns with plain names.

``x[T.b]:z`` becomes a column ``x_b_z``, and a line of code says how to make it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bayes_msem.spec.coded_terms import plain_name
from bayes_msem.spec.statements import Part
from bayes_msem.spec.table import ParameterTable, RowKey

__all__ = ["ColumnToMake", "columns_to_make", "with_plain_names"]


@dataclass(frozen=True, slots=True)
class ColumnToMake:
    """A column that is computed from others.

    Attributes
    ----------
    name
        Its name in the other program.
    parts
        Columns whose product it is; with a category: whether the column has it.
    with_missing
        Whether categories may be missing: what is compared with a missing value is False in pandas
        (and missing in R), which would make it the reference.
    """

    name: str
    parts: tuple[tuple[str, Any], ...]
    with_missing: bool = False

    def in_python(self) -> str:
        """How pandas makes it, from and in a frame ``data``."""
        first = [f"data[{json.dumps(c)}]" for c, category in self.parts if category is None]
        dummies = [
            f"(data[{json.dumps(c)}] == {category!r})"
            + (f".where(data[{json.dumps(c)}].notna())" if self.with_missing else "")
            for c, category in self.parts
            if category is not None
        ]
        product = " * ".join(first + dummies)
        return f"data[{json.dumps(self.name)}] = {product}{'' if first else ' * 1'}"

    def in_r(self) -> str:
        """How R makes it, from and in a frame ``data``."""
        pieces = [
            f'data[["{c}"]]' if category is None else f'(data[["{c}"]] == {_in_r(category)})'
            for c, category in self.parts
        ]
        all_dummies = all(category is not None for _, category in self.parts)
        return f'data[["{self.name}"]] <- {" * ".join(pieces)}{" * 1" if all_dummies else ""}'


def _in_r(category: Any) -> str:
    if isinstance(category, bool):
        return str(category).upper()
    if isinstance(category, int | float):
        return repr(category)
    return json.dumps(str(category), ensure_ascii=False)


def columns_to_make(
    parts: Mapping[str, Sequence[tuple[Part, Any]]],
    taken: Sequence[str],
    *,
    with_missing: bool = False,
) -> dict[str, ColumnToMake]:
    """Name the columns that another program needs.

    Parameters
    ----------
    parts
        Parts of each coded column, by its name here, with the category of dummies as it is in the
        data.
    taken
        Names that they cannot have.
    with_missing
        Whether categories may be missing.

    Returns
    -------
    dict
        Name here -> what to make.

    Examples
    --------
    >>> made = columns_to_make(
    ...     {"g[T.new york]:x": [(Part("g", "dummy", "new york"), "new york"), (Part("x"), None)]},
    ...     ["y", "x"],
    ... )
    >>> print(made["g[T.new york]:x"].in_python())
    data["g_new_york_x"] = data["x"] * (data["g"] == 'new york')
    >>> print(made["g[T.new york]:x"].in_r())
    data[["g_new_york_x"]] <- (data[["g"]] == "new york") * data[["x"]]
    """
    used = set(taken)
    found = {}
    for name, members in parts.items():
        plain = plain_name(name).replace(".", "_")
        while plain in used:
            plain = f"{plain}_"
        used.add(plain)
        pairs = tuple(
            (p.column, category if p.kind == "dummy" else None) for p, category in members
        )
        found[name] = ColumnToMake(plain, pairs, with_missing)
    return found


def with_plain_names(
    table: ParameterTable, priors: Mapping[RowKey, str], made: Mapping[str, ColumnToMake]
) -> tuple[ParameterTable, dict[RowKey, str]]:
    """Write the plain names into a table and into the keys of its priors."""
    names = {name: column.name for name, column in made.items()}
    rows = tuple(replace(row, rhs=names.get(row.rhs, row.rhs)) for row in table.rows)
    roles = {(level, names.get(v, v)): role for (level, v), role in table.roles.items()}
    keys = {old.key: new.key for old, new in zip(table.rows, rows, strict=True)}
    return replace(table, rows=rows, roles=roles), {keys[k]: p for k, p in priors.items()}
