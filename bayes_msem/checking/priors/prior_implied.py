"""What a prior says about data, next to what the data say: the check before the fit.

Two distributions for every quantity (implied_quantities): the one that the prior puts on the
quantity itself, which says what the prior *means*, and that of its moment estimate in data sets
replicated from the prior, in which the estimate of the data has its place:

    p = 2 min( P(T(y_rep) <= T(y)), P(T(y_rep) >= T(y)) ),   y_rep ~ integral p(y | theta) p(theta)

A small p is a prior-data conflict: the prior would hardly have produced such data. One case is told
apart: an SD that is *smaller* than the prior expects. Vague priors of slopes and loadings add up to
large SDs, so this is the mark of a prior wider than the data, which many data override; "wide".

The estimate is compared with estimates because with few clusters it may lie where no parameter can
(a negative ICC); that is noise, no conflict. With n replicates p is computed as
2 (count + 1) / (n + 1), so that it is never 0.

Categories and counts. Their shares and means have no closed form in the parameters where slopes
vary or covariates are not normal, so both distributions are that of the replicated data. What the
prior says of latent responses and log rates stands without an estimate.

References
----------
Box, G. E. P. (1980). Sampling and Bayes' inference in scientific modelling and robustness. Journal
of the Royal Statistical Society A, 143(4), 383-430. https://doi.org/10.2307/2982063

Evans, M., & Moshonov, H. (2006). Checking for prior-data conflict. Bayesian Analysis, 1(4),
893-914. https://doi.org/10.1214/06-BA129
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.priors.prior_draws import draw_prior, replicate
from bayes_msem.checking.priors.quantities import (
    QuantityKey,
    estimated_quantities,
    implied_quantities,
    observed_shares,
)
from bayes_msem.data.components import Components
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import SpecificationError
from bayes_msem.inference.pymc_model import with_outcomes
from bayes_msem.posterior.levels import levels_at
from bayes_msem.posterior.tables import EstimateTable, terminal_width

__all__ = ["QUANTITY_NAMES", "PriorImplied", "prior_implied", "tail_probability"]

FloatArray = NDArray[np.float64]

QUANTITY_NAMES = {
    "mean": "mean",
    "sd": "SD",
    "icc": "ICC(1)",
    "correlation": "correlation",
    "r2": "R squared",
    "share": "share",
}
SURPRISING = 0.05  # p below this is worth a remark
_TITLES = {"conflict": "Conflict", "wide": "Wider than the data"}
_PILED = 0.5  # prior mass at an edge that is called absurd
_EDGES = {
    "icc": (0.01, 0.99),
    "r2": (0.01, 0.99),
    "correlation": (-0.95, 0.95),
    "share": (0.01, 0.99),
}
_WIDE_SD, _WIDE_MEAN = 10.0, 20.0  # in SDs of the data: median SD, middle half of the mean
_POINTS = 400  # order statistics kept of every replicated variable
_HUGE = 1e150  # whose square is a number
_MOST_LINES = 6  # per kind of remark


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PriorImplied:
    """What the prior implies, and the data.

    Attributes
    ----------
    table
        One row per quantity: quantity ("mean", "sd", "icc", "correlation", "r2", and of ordered
        outcomes and counts "share"), level, variable ("y1 = often" and "c = 0" for shares),
        median, lower and upper (of the prior), data (moment estimate), p (two-sided tail
        probability of the estimate among those of replicated data) and verdict ("conflict",
        "wide" or "").
    lines
        Remarks in words, most serious first; empty if there is nothing to remark.
    draws
        (quantity, level, variable) -> prior draws (n,).
    replicated
        Variable -> (n, m) evenly spaced order statistics of every replicated data set.
    observed
        Variable -> observed values.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
    >>> implied = model.prior_implied(draws=200, random_seed=1)
    >>> implied.table["quantity"].unique().tolist()
    ['mean', 'sd', 'r2']
    """

    table: EstimateTable
    lines: tuple[str, ...]
    draws: Mapping[QuantityKey, FloatArray]
    replicated: Mapping[str, FloatArray]
    observed: Mapping[str, FloatArray]

    @property
    def conflicts(self) -> pd.DataFrame:
        """Rows of the table that conflict with the data, smallest p first.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model("mach ~ ses", data=bm.load_dataset("hsb"))
        >>> len(model.prior_implied(draws=200, random_seed=1).conflicts)
        0
        """
        plain = pd.DataFrame(self.table)
        return plain[plain["verdict"] == "conflict"].sort_values("p")

    def __repr__(self) -> str:
        """Return the table and the remarks as text."""
        width = terminal_width()
        remarks = [
            textwrap.fill(f"- {line}", width, subsequent_indent="  ") for line in self._remarks()
        ]
        return "\n".join([repr(self.table), "", *remarks])

    def _repr_html_(self) -> str:
        """Notebook display."""
        items = "".join(f"<li>{escape(line)}</li>" for line in self._remarks())
        return f"<div>{self.table._repr_html_()}<ul>{items}</ul></div>"

    def _remarks(self) -> tuple[str, ...]:
        return self.lines or ("No conflict between prior and data, and no absurdly vague prior.",)


def prior_implied(blueprint: Blueprint, *, draws: int, ci: float, random_seed: int) -> PriorImplied:
    """Draw from the prior and compare what it implies with the data.

    Parameters
    ----------
    blueprint
        The model; no pilot is needed.
    draws
        Number of prior draws, each with one replicated data set.
    ci
        Mass of the equal-tailed prior interval.
    random_seed
        Seed.

    Returns
    -------
    PriorImplied
    """
    if not isinstance(draws, (int, np.integer)) or draws < 20:
        raise SpecificationError(f"draws={draws!r}: tail probabilities need 20 draws or more")
    observed, rng = blueprint.observed, np.random.default_rng(random_seed)
    x = draw_prior(blueprint, int(draws), rng)
    with np.errstate(over="ignore", invalid="ignore"):
        implied = implied_quantities(levels_at(blueprint, blueprint.theta(x), x=x))
    estimator = Components(observed)

    def quantities(outcomes: ObservedData) -> dict[QuantityKey, FloatArray]:
        estimated = estimated_quantities(observed, estimator(outcomes.y, outcomes.z))
        return observed_shares(observed, outcomes) | estimated

    data = quantities(observed)
    parts: list[dict[QuantityKey, FloatArray]] = []
    shapes: dict[str, list[FloatArray]] = {v: [] for v in _columns(observed)}
    with np.errstate(over="ignore", invalid="ignore"):  # absurd priors are what this is for
        for outcomes in replicate(blueprint, x, rng):
            new = with_outcomes(observed, np.clip(np.nan_to_num(outcomes), -_HUGE, _HUGE))
            parts.append(quantities(new))
            for name, values in _columns(observed, new.y, new.z).items():
                shapes[name].append(_order_statistics(values))
    statistics = {key: np.concatenate([part[key] for part in parts]) for key in data}
    if observed.families:
        implied = _with_shares(observed, implied, statistics)
    table = _table(implied, data, statistics, ci)
    return PriorImplied(
        table=table,
        lines=_remarks(table, implied, _spreads(data)),
        draws=implied,
        replicated={name: np.stack(values) for name, values in shapes.items()},
        observed=_columns(observed),
    )


def tail_probability(replicated: FloatArray, value: float) -> float:
    """Two-sided tail probability of a value among replicated ones; NaN if it does not exist."""
    known = replicated[~np.isnan(replicated)]
    if not np.isfinite(value) or not len(known):
        return float("nan")
    fewer = min(int((known <= value).sum()), int((known >= value).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(known) + 1))


def _with_shares(
    observed: ObservedData,
    implied: Mapping[QuantityKey, FloatArray],
    statistics: Mapping[QuantityKey, FloatArray],
) -> dict[QuantityKey, FloatArray]:
    """Quantities of outcomes that are not normal in place of the means of latent responses."""
    names, of_data = set(observed.families), observed_shares(observed, observed)
    rest = {k: v for k, v in implied.items() if k[0] != "mean" or k[2] not in names}
    return {key: statistics[key] for key in of_data} | rest


def _columns(
    observed: ObservedData, y: FloatArray | None = None, z: FloatArray | None = None
) -> dict[str, FloatArray]:
    """Values by variable where the data have some; of the data themselves by default."""
    result = {}
    for names, data, values in (
        (observed.y_names, observed.y, observed.y if y is None else y),
        (observed.z_names, observed.z, observed.z if z is None else z),
    ):
        for i, name in enumerate(names):
            result[name] = values[~np.isnan(data[:, i]), i]
    return result


def _order_statistics(values: FloatArray) -> FloatArray:
    n = min(_POINTS, len(values))
    points: FloatArray = np.quantile(values, (np.arange(n) + 0.5) / n)
    return points


def _table(
    implied: Mapping[QuantityKey, FloatArray],
    data: Mapping[QuantityKey, FloatArray],
    statistics: Mapping[QuantityKey, FloatArray],
    ci: float,
) -> EstimateTable:
    rows = []
    tails = [(1 - ci) / 2, 0.5, (1 + ci) / 2]
    for key, values in implied.items():
        finite = values[np.isfinite(values)]
        if not len(finite):
            continue  # a correlation of a variable whose variance is fixed at 0
        lower, median, upper = np.quantile(finite, tails)
        estimate = float(data[key][0]) if key in data else float("nan")
        p = tail_probability(statistics[key], estimate) if key in data else float("nan")
        shown = max(estimate, 0.0) if key[0] == "sd" else estimate
        rows.append((*key, median, lower, upper, shown, p, _verdict(key, median, shown, p)))
    names = ["quantity", "level", "variable", "median", "lower", "upper", "data", "p", "verdict"]
    table = EstimateTable(pd.DataFrame(rows, columns=names))
    table.attrs["caption"] = (
        f"Prior median and {100 * ci:g}% equal-tailed interval of what the parameters imply "
        "(random coefficients at their means), moment estimate from the data (negative estimates "
        "of variances: SD 0), and p, the two-sided tail probability of the estimate among those "
        "of data sets replicated from the prior."
    )
    if any(key[0] == "share" for key in implied):
        table.attrs["caption"] += (
            " Shares of categories, shares of zeros and mean counts are those of the replicated "
            "data; SDs, ICCs, correlations and R squared of these outcomes are those of latent "
            "responses and log rates."
        )
    table.attrs["ci"] = ci
    return table


def _verdict(key: QuantityKey, median: float, estimate: float, p: float) -> str:
    if not p < SURPRISING:
        return ""
    return "wide" if key[0] == "sd" and estimate < median else "conflict"


def _spreads(data: Mapping[QuantityKey, FloatArray]) -> dict[str, float]:
    """SD of every variable, levels together."""
    result: dict[str, float] = {}
    for (quantity, _, variable), value in data.items():
        if quantity == "sd" and np.isfinite(value[0]):
            result[variable] = float(np.hypot(result.get(variable, 0.0), max(value[0], 0.0)))
    return result


def _remarks(
    table: pd.DataFrame, implied: Mapping[QuantityKey, FloatArray], spreads: Mapping[str, float]
) -> tuple[str, ...]:
    surprising = pd.DataFrame(table[table["verdict"] != ""]).sort_values("p")
    said: dict[str, list[str]] = {"conflict": [], "wide": []}
    for row in surprising.itertuples():
        subject = _subject(str(row.quantity), str(row.level), str(row.variable))
        said[str(row.verdict)].append(
            f"{_TITLES[str(row.verdict)]}: {subject} is "
            f"{row.data:.3g} in the data, but the prior says {row.median:.3g} [{row.lower:.3g}, "
            f"{row.upper:.3g}] (p = {row.p:.3f})."
        )
    vague = [
        line
        for key, values in implied.items()
        for line in _vague(key, values[np.isfinite(values)], spreads)
    ]
    return tuple(line for lines in (*said.values(), vague) for line in _shortened(lines))


def _subject(quantity: str, level: str, variable: str) -> str:
    where = f" {level}" if level else ""
    return f"the {QUANTITY_NAMES[quantity]}{where} of {variable}"


def _vague(key: QuantityKey, values: FloatArray, spreads: Mapping[str, float]) -> list[str]:
    """Say where a prior has most of its mass where nobody expects a value."""
    quantity, _, variable = key
    subject = _subject(*key)
    if not len(values):
        return []
    if quantity in _EDGES:
        low, high = _EDGES[quantity]
        below, above = float((values < low).mean()), float((values > high).mean())
        if np.ptp(values) > 0 and below + above > _PILED:
            return [
                f"At the edge: the prior has {subject} below {low:g} with probability "
                f"{below:.2f} and above {high:g} with {above:.2f}."
            ]
        return []
    spread = spreads.get(variable, 0.0)
    if spread <= 0:
        return []
    if quantity == "sd":
        ratio = float(np.median(values)) / spread
        if ratio > _WIDE_SD:
            return [
                f"Vague to absurdity: under the prior, {subject} is expected to be {ratio:.0f} "
                "times the SD of the data."
            ]
        return []
    lower, upper = np.quantile(values, [0.25, 0.75])
    ratio = float(upper - lower) / spread
    if ratio > _WIDE_MEAN:
        return [
            f"Vague to absurdity: the middle half of the prior of {subject} is {ratio:.0f} SDs of "
            "the data wide. If that comes from predictors far from 0, centre them."
        ]
    return []


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _MOST_LINES:
        return lines
    rest = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"... and {rest} more of this kind; see the table."]
