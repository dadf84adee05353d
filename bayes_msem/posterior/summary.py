"""Posterior summaries of all table rows.

Mean and median. The posterior of a variance that is small, or known from few clusters, is skewed,
and its mean overestimates it on average; so do the means of what is computed from it. The median
is close, so both are shown, and rows are marked where

    |mean - median| > SKEWED * (q_84 - q_16) / 2 ,

in units of half the central 68% interval, which is the SD of a normal distribution and, other than
the SD, exists for every distribution. Monte-Carlo error stays below this limit from about 400
effective draws on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.arguments import IntervalKind as IntervalKind
from bayes_msem.arguments import choice, probability
from bayes_msem.posterior.enough import sd_of_draws
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.spec.printing import key_frame
from bayes_msem.spec.table import ParameterTable, RowKey

FloatArray = NDArray[np.float64]

_ROUNDING = 1e-12  # relative
SKEWED = 0.2
_CENTRAL = (0.15865525393145707, 0.5, 0.8413447460685429)  # of a normal: mean and +- one SD
_NOTE = (
    " Rows marked 'skewed': mean and median differ by more than a fifth of the posterior's spread; "
    "report the median and the interval."
)

INTERVAL_NAMES = {"eti": "equal-tailed interval (ETI)", "hdi": "highest-density interval (HDI)"}


def summarise(
    table: ParameterTable,
    draws: Mapping[RowKey, FloatArray],
    *,
    ci: float,
    ci_kind: IntervalKind,
    references: Mapping[str, str] | None = None,
) -> EstimateTable:
    """Summarise the draws of every table row.

    Parameters
    ----------
    table
        The parameter table, with priors.
    draws
        Row key -> draws (chain, draw).
    ci
        Mass of the interval, between 0 and 1.
    ci_kind
        "eti" or "hdi".
    references
        What the dummies of each column of categories are compared with, in words.

    Returns
    -------
    EstimateTable
        Columns level, lhs, op, rhs, label, mean, median, sd, lower, upper, ess_bulk, ess_tail,
        r_hat, note and prior. Constants have sd 0 and no diagnostics.

    Raises
    ------
    SpecificationError
        ``ci`` outside (0, 1), or an unknown kind of interval.
    """
    check_interval(ci, ci_kind)
    values = np.stack([draws[row.key] for row in table.rows], axis=-1)
    keys = key_frame(r.key for r in table.rows)
    keys["label"] = [f'rv("{r.random}")' if r.random else r.label for r in table.rows]
    frame = pd.concat([keys, estimate_columns(values, ci, ci_kind)], axis=1)
    frame["prior"] = [r.prior if r.free else "" for r in table.rows]
    result = EstimateTable(frame)
    result.attrs["caption"] = (
        f"Posterior mean, median, SD and {100 * ci:g}% {INTERVAL_NAMES[ci_kind]}. Rows x ~~ x are "
        "variances; their priors are on the scale named in brackets ([sd]: standard deviation)."
        f"{skewness_note(frame)}{reference_note(references or {})}"
    )
    result.attrs.update(ci=ci, ci_kind=ci_kind)
    return result


def estimate_columns(values: FloatArray, ci: float, ci_kind: IntervalKind) -> pd.DataFrame:
    """Summarise values (chain, draw, row).

    Returns
    -------
    pandas.DataFrame
        Columns mean, median, sd, lower, upper, ess_bulk, ess_tail, r_hat and note ("skewed", or
        ""). Constants have sd 0 and no diagnostics; rows with a value that is not a number are NaN.
    """
    varies = np.ptp(values, axis=(0, 1)) > 0  # False for NaN: random coefficients
    sd = sd_of_draws(values, (0, 1))
    alone = np.full(sd.shape, values.shape[0] * values.shape[1] == 1)  # which has no spread
    mean, statistics = values.mean(axis=(0, 1)), np.full((values.shape[-1], 3), np.nan)
    lower = np.where(np.isnan(mean), np.nan, values[0, 0])
    upper, median, skewed = lower.copy(), lower.copy(), np.zeros(len(mean), dtype=bool)
    if varies.any():
        lower[varies], upper[varies] = interval(values[..., varies], ci, ci_kind)
        statistics[varies] = diagnostics(values[..., varies])
        low, median[varies], high = np.quantile(values[..., varies], _CENTRAL, axis=(0, 1))
        skewed[varies] = np.abs(mean - median)[varies] > SKEWED * (high - low) / 2
    return pd.DataFrame(
        {
            "mean": mean,
            "median": median,
            "sd": np.where(varies | alone, sd, mean * 0.0),
            "lower": lower,
            "upper": upper,
            "ess_bulk": statistics[:, 0],
            "ess_tail": statistics[:, 1],
            "r_hat": statistics[:, 2],
            "note": np.where(skewed, "skewed", "").astype(object),
        }
    )


def skewness_note(frame: pd.DataFrame) -> str:
    """Sentence about rows whose mean and median disagree; empty if there are none."""
    return _NOTE if (frame["note"] == "skewed").any() else ""


def reference_note(references: Mapping[str, str]) -> str:
    """Sentence about reference categories; empty if there are none."""
    if not references:
        return ""
    told = "; ".join(f"{column} {text}" for column, text in references.items())
    return f" Reference {'category' if len(references) == 1 else 'categories'}: {told}."


def derived_table(
    keys: pd.DataFrame,
    values: FloatArray,
    *,
    ci: float,
    ci_kind: IntervalKind,
    caption: str,
) -> EstimateTable:
    """Summarise quantities that are computed from parameters.

    Parameters
    ----------
    keys
        Columns that say what each row is, (row,).
    values
        Draws, (chain, draw, row). Variation of rounding size counts as none.
    ci, ci_kind
        Mass and kind of the interval.
    caption
        What is shown; the kind of interval is written before it.

    Returns
    -------
    EstimateTable
        ``keys`` followed by the columns of :func:`estimate_columns`.

    Raises
    ------
    SpecificationError
        ``ci`` outside (0, 1), or an unknown kind of interval.
    """
    check_interval(ci, ci_kind)
    first = values[:1, :1]
    rounding = np.ptp(values, axis=(0, 1)) <= _ROUNDING * np.abs(first[0, 0])
    steady = np.where(rounding, first, values)
    frame = pd.concat([keys.reset_index(drop=True), estimate_columns(steady, ci, ci_kind)], axis=1)
    result = EstimateTable(frame)
    result.attrs["caption"] = (
        f"Posterior mean, median, SD and {100 * ci:g}% {INTERVAL_NAMES[ci_kind]}. {caption}"
        f"{skewness_note(frame)}"
    )
    result.attrs.update(ci=ci, ci_kind=ci_kind)
    return result


def check_interval(ci: float, ci_kind: str) -> None:
    """Raise if the interval asked for does not exist."""
    probability("ci", ci)
    choice(IntervalKind)("ci_kind", ci_kind)


def interval(values: FloatArray, ci: float, kind: IntervalKind) -> tuple[FloatArray, FloatArray]:
    """Interval over chains and draws of values (chain, draw, row); two arrays (row,)."""
    if kind == "eti":
        tail = (1 - ci) / 2
        lower, upper = np.quantile(values, [tail, 1 - tail], axis=(0, 1))
        return lower, upper
    import arviz_stats as azs

    bounds = azs.hdi(_dataset(values), prob=ci)["value"].to_numpy()
    return bounds[..., 0], bounds[..., 1]


def diagnostics(values: FloatArray) -> FloatArray:
    """Bulk ESS, tail ESS and rank-normalised split R-hat of values (chain, draw, row).

    NaN with fewer than four draws per chain, R-hat also of a single chain.
    """
    import arviz_stats as azs

    data = _dataset(values)
    with np.errstate(divide="ignore", invalid="ignore"):  # chains that stand still: R-hat is inf
        parts = [
            azs.ess(data, method="bulk"),
            azs.ess(data, method="tail"),
            azs.rhat(data),
        ]
    return np.column_stack([np.asarray(part["value"], dtype=np.float64) for part in parts])


def _dataset(values: FloatArray) -> xr.Dataset:
    return xr.Dataset({"value": (("chain", "draw", "row"), values)})
