"""Coefficients that stand between the same two variables: a loading and a regression.

``f =~ 0.5*y`` with ``y ~ f`` gives y the coefficient 0.5 + b on f. The distribution of the data
depends on the sum alone, so that two coefficients that are both free, and share no label with
other rows, cannot be told apart.
"""

from __future__ import annotations

from collections import Counter

from bayes_msem.spec.expressions import names
from bayes_msem.spec.row_names import key_text
from bayes_msem.spec.table import ParameterTable, Row

__all__ = ["confounded_pairs", "is_open", "rows_of_pairs"]


def rows_of_pairs(table: ParameterTable) -> dict[tuple[str, str, str], tuple[Row, ...]]:
    """(level, from, to) -> rows of all loadings and regressions between the two variables."""
    pairs: dict[tuple[str, str, str], tuple[Row, ...]] = {}
    for row in table.rows:
        if row.kind in ("loading", "regression"):
            ends = (row.lhs, row.rhs) if row.kind == "loading" else (row.rhs, row.lhs)
            pairs[row.level, *ends] = (*pairs.get((row.level, *ends), ()), row)
    return pairs


def is_open(row: Row, table: ParameterTable) -> bool:
    """Whether nothing but this coefficient depends on its value.

    Of a random coefficient this is asked about its mean. A prior in the text counts as a choice.
    """
    if row.random:
        means = (
            r for r in table.rows if r.key == (table.mean_level(row.random), row.random, "~", "1")
        )
        return any(is_open(mean, table) for mean in means)
    if not row.free or row.prior:
        return False
    uses = Counter(r.free for r in table.rows)
    elsewhere = {name for c in table.constraints for name in names(c.expression)}
    return uses[row.free] == 1 and row.label not in elsewhere


def confounded_pairs(table: ParameterTable) -> list[str]:
    """Say which coefficients the data cannot tell apart, one message per pair of variables.

    Parameters
    ----------
    table
        The parameter table, before default priors are written into it.
    """
    messages = []
    for rows in rows_of_pairs(table).values():
        unknown = [row for row in rows if is_open(row, table)]
        if len(unknown) > 1:
            listed = " and ".join(f"'{key_text(row.key)}'" for row in unknown)
            messages.append(
                f"{listed} are coefficients of the same variables, and the data depend on their "
                "sum alone: the posterior of each will follow its prior. Leave one out, fix it, or "
                "give it an informative prior"
            )
    return messages
