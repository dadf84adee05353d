"""Which priors of a model are not the default ones."""

from __future__ import annotations

from dataclasses import replace

from bayes_msem.spec.table import ParameterTable, RowKey
from bayes_msem.spec.user_priors import resolve_priors
from bayes_msem.spec.variable_scales import Scales

__all__ = ["chosen_priors"]


def chosen_priors(table: ParameterTable, scales: Scales) -> dict[RowKey, str]:
    """Return the priors that are not the default ones, by row.

    Parameters
    ----------
    table
        With the prior of each row.
    scales
        Location and scale of the observed variables.
    """
    plain = replace(table, rows=tuple(replace(row, prior="") for row in table.rows))
    defaults, _ = resolve_priors(plain, scales)
    pairs = zip(table.rows, defaults.rows, strict=True)
    return {row.key: row.prior for row, default in pairs if row.free and row.prior != default.prior}
