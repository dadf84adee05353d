"""What a model of several groups reads: data group by group, and its arguments as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from bayes_msem.data.group_column import Groups
from bayes_msem.data.observe import observe
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import MsemError, NotSupportedError, SpecificationError
from bayes_msem.spec.row_names import is_key
from bayes_msem.spec.statements import ParsedModel
from bayes_msem.spec.table import ParameterTable

__all__ = [
    "check_group_unused",
    "observed_group",
    "own_rows",
    "places_of_groups",
    "plain_rows",
    "plain_words",
    "refuse_outcomes",
]


def observed_group(
    frame: pd.DataFrame, table: ParameterTable, cluster: Any, missing: Any, coded: Any, name: str
) -> ObservedData:
    """Read the data of one group; errors name it."""
    try:
        return observe(frame, table, cluster, missing=missing, coded=coded)
    except MsemError as error:
        raise type(error)(f"group '{name}': {error}") from error


def places_of_groups(
    frame: pd.DataFrame,
    table: ParameterTable,
    cluster: Any,
    missing: Any,
    coded: Any,
    groups: Groups,
) -> list[Any]:
    """Positions of the rows of every group among the rows that stay."""
    codes = groups.codes
    if missing == "listwise":
        numbered = frame.reset_index(drop=True)
        kept = observe(numbered, table, cluster, missing=missing, coded=coded).row_index
        codes = codes[kept.to_numpy()]
    return [(codes == g).nonzero()[0] for g in range(len(groups.names))]


def refuse_outcomes(*given: Any) -> None:
    """Raise NotSupportedError if an argument on outcomes that are not normal is given."""
    if any(value is not None for value in given):
        raise NotSupportedError(
            "groups have normal outcomes only: ordered=, families= and exposure= are not there for "
            "several groups yet; fit a model to each group, or use the group as a predictor"
        )


def check_group_unused(group: Any, parsed: ParsedModel) -> None:
    """Raise SpecificationError if the column of the groups is a variable of the model."""
    used = {f.lhs for f in parsed.formulas} | {f.term.name for f in parsed.formulas}
    used |= {part.column for f in parsed.formulas for part in f.term.parts}
    if group in used:
        raise SpecificationError(
            f"'{group}' is a variable of the model and the column of the groups; inside a group it "
            "is constant, so leave it out of the text"
        )


def own_rows(table: ParameterTable) -> ParameterTable:
    """Take what other groups share for known: what is left must be identified by the group."""
    rows = tuple(
        replace(r, free=0, value=0.5) if r.free in table.elsewhere else r for r in table.rows
    )
    return replace(table, rows=rows, elsewhere=frozenset())


def plain_words(words: Any) -> Any:
    """Words of equality as JSON-able values."""
    if isinstance(words, Mapping):
        return {str(level): plain_words(own) for level, own in words.items()}
    return words if words is None or isinstance(words, str) else list(words)


def plain_rows(rows: Any) -> Any:
    """Names of rows as JSON-able values."""
    if rows is None or isinstance(rows, str):
        return rows
    if is_key(rows):
        return [list(rows)]
    return [row if isinstance(row, str) else list(row) for row in rows]
