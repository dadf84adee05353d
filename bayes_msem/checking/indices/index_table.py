"""The table of fit indices: posterior summaries, with the draws and all ingredients attached."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.checking.indices.index_formulas import Comparison
from bayes_msem.posterior.summary import IntervalKind, derived_table
from bayes_msem.posterior.tables import EstimateTable

__all__ = ["IndexTable", "index_table", "variable_name"]

FloatArray = NDArray[np.float64]
Key = tuple[str, str]  # index, level

_CUT_OFFS = (
    "Cut-offs such as .06 and .95 come from maximum likelihood in single-level factor models; "
    "they are no tests."
)


class IndexTable(EstimateTable):
    """Fit indices, one row per index and level; see :meth:`bayes_msem.Fit.indices`.

    Attributes
    ----------
    draws
        Data set with dimensions chain and draw: one variable per row, named like ``rmsea`` or
        ``srmr_within``, and the discrepancies they come from (``discrepancy``,
        ``discrepancy_null``, with a suffix per level).
    details
        Level -> :class:`bayes_msem.checking.indices.index_formulas.Comparison` with N, p, p* and
        pD.
    log_likelihood_saturated
        Maximum of the log-likelihood under the saturated model.

    Examples
    --------
    >>> table = factors.indices(incremental=False)
    >>> sorted(table.details)
    ['overall']
    """

    _metadata = ["draws", "details", "log_likelihood_saturated"]  # noqa: RUF012
    draws: xr.Dataset
    details: dict[str, Comparison]
    log_likelihood_saturated: float


def index_table(
    indices: Mapping[Key, FloatArray],
    discrepancies: Mapping[str, FloatArray],
    details: Mapping[str, Comparison],
    log_likelihood_saturated: float,
    notes: list[str],
    *,
    ci: float,
    ci_kind: IntervalKind,
) -> IndexTable:
    """Put the table together.

    Parameters
    ----------
    indices
        (index, level) -> draws (chain, draw).
    discrepancies
        Name in the data set of draws -> draws (chain, draw).
    details, log_likelihood_saturated
        See :class:`IndexTable`.
    notes
        Sentences for the caption.
    ci, ci_kind
        Mass and kind of the interval.
    """
    keys = pd.DataFrame(list(indices), columns=["index", "level"])
    values = np.stack(list(indices.values()), axis=-1)
    parts = [_ingredients(level, c) for level, c in details.items()]
    caption = " ".join([*parts, *notes, _CUT_OFFS])
    table = derived_table(keys, values, ci=ci, ci_kind=ci_kind, caption=caption)
    result = IndexTable(table)
    result.attrs.update(table.attrs)
    variables = {variable_name(*key): draws for key, draws in indices.items()} | dict(discrepancies)
    n_chains, n_draws = values.shape[:2]
    result.draws = xr.Dataset(
        {name: (("chain", "draw"), draws) for name, draws in variables.items()},
        coords={"chain": np.arange(n_chains), "draw": np.arange(n_draws)},
    )
    result.details = dict(details)
    result.log_likelihood_saturated = log_likelihood_saturated
    return result


def _ingredients(level: str, c: Comparison) -> str:
    null = "" if np.isnan(c.p_d_null) else f", of the null model {c.p_d_null:.1f}"
    if level == "overall":
        return f"N = {c.n}, p* = {c.n_moments} moments, pD = {c.p_d:.1f}{null}."
    return (
        f"Level {level}: N = {c.n}, p* = {c.n_moments}; pD with the other level saturated "
        f"{c.p_d:.1f}, with both {c.p_d_saturated:.1f}{null}."
    )


def variable_name(index: str, level: str) -> str:
    """Name of a row in the data set of draws."""
    name = index.lower().replace("-", "_").replace(" ", "_")
    return name if level == "overall" else f"{name}_{level}"
