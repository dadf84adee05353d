"""Columns of ordered outcomes and counts: categories become codes 0, 1, ..., counts stay counts.

The order of categories is never guessed. Ordered categoricals bring theirs along, numbers and
truth values have one; strings need a statement of their order. Labels are kept with the codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.columns import numeric_column
from bayes_msem.data.frame_checks import check_columns
from bayes_msem.data.missing_values import check_any_observed
from bayes_msem.data.readonly import frozen
from bayes_msem.errors import DataError
from bayes_msem.outcomes.families import Family
from bayes_msem.wording import first_few, listed, plural, positions

__all__ = [
    "Coding",
    "check_categories",
    "check_counts",
    "exposures_of",
    "read_codings",
]

FloatArray = NDArray[np.float64]

_MOST_CATEGORIES = 50


@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """One ordered outcome.

    Attributes
    ----------
    labels
        Labels of the categories, from the lowest on.
    codes
        Position of each row's category among the labels, (N,); NaN where it is missing.
    """

    labels: tuple[Any, ...]
    codes: FloatArray


def read_codings(frame: pd.DataFrame, families: Mapping[str, Family]) -> dict[str, Coding]:
    """Read the columns of all ordered outcomes.

    Parameters
    ----------
    frame
        The data; never modified.
    families
        Declared families; those without thresholds are passed over.

    Raises
    ------
    DataError
        Values without an order, a single category, or a declared category that no row has.
    """
    names = [name for name, family in families.items() if family.has_thresholds]
    check_columns(frame, names)
    return {name: _read_coding(frame[name], name) for name in names}


def _read_coding(series: pd.Series[Any], name: str) -> Coding:
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
        raw = series.cat.codes.to_numpy(dtype=np.float64)
        coding = Coding(_plain(dtype.categories), np.where(raw < 0, np.nan, raw))
    elif isinstance(dtype, pd.CategoricalDtype):
        raise _no_order(list(dtype.categories), name, "an unordered categorical")
    else:
        seen = series.dropna()
        texts = [value for value in seen if isinstance(value, str)]
        if texts:
            raise _no_order(_in_sight(seen), name, "text")
        truth = pd.api.types.is_bool_dtype(dtype) or all(isinstance(v, bool) for v in seen)
        coding = _of_numbers(numeric_column(series, name), name, truth=truth and len(seen) > 0)
    check_any_observed({name: coding.codes})
    check_categories(coding.codes, coding.labels, name)
    return coding


def _of_numbers(values: FloatArray, name: str, *, truth: bool) -> Coding:
    missing = np.isnan(values)
    fractions = ~missing & (values != np.round(values))
    if fractions.any():
        raise DataError(
            f"'{name}' is declared as ordered, but has values that are no integers in "
            f"{positions(fractions)}, such as {values[fractions][0]:g}; categories are integers, "
            f"or an ordered categorical: pandas.cut(data['{name}'], bins=...). If '{name}' is "
            "continuous, do not declare it"
        )
    found = np.unique(values[~missing])
    if len(found) > _MOST_CATEGORIES:
        raise DataError(
            f"'{name}' is declared as ordered, but has {len(found)} different values, more than "
            f"{_MOST_CATEGORIES}; join categories, declare it as a count, or leave it continuous"
        )
    codes = np.where(missing, np.nan, np.searchsorted(found, values).astype(np.float64))
    labels = [bool(value) if truth else int(value) for value in found]
    return Coding(tuple(labels), codes)


def _plain(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)


def _in_sight(seen: pd.Series[Any]) -> list[Any]:
    return list(dict.fromkeys(seen))


def _no_order(values: list[Any], name: str, what: str) -> DataError:
    shown = list(_plain(values))[:_MOST_CATEGORIES]
    return DataError(
        f"'{name}' is declared as ordered, but its column is {what} ({first_few(shown)}), which "
        "does not say the order; state it from the lowest to the highest: "
        f"data['{name}'] = pandas.Categorical(data['{name}'], categories=[{listed(shown)}], "
        "ordered=True), with the categories in their order"
    )


def check_categories(
    codes: FloatArray, labels: tuple[Any, ...], name: str, *, deleted: bool = False
) -> None:
    """Raise DataError unless there are several categories, each with observations.

    Parameters
    ----------
    codes
        Codes of the rows that stay; some may be NaN.
    labels
        All labels.
    name
        The outcome.
    deleted
        Whether rows with missing values were left out.
    """
    present = np.unique(codes[~np.isnan(codes)]).astype(int)
    if len(present) == 1:
        raise DataError(
            f"'{name}' has a single category: all observed values are {labels[present[0]]!r}, so "
            "it carries no information; remove it from the model, or check how the data were "
            "selected"
        )
    empty = [label for k, label in enumerate(labels) if k not in present]
    if empty:
        raise DataError(
            f"'{name}' has no observation in the "
            f"{'category' if len(empty) == 1 else 'categories'} {listed(empty)}, so nothing says "
            f"where its thresholds are; {_fix_of_empty(name, deleted=deleted)}, or join it with a "
            "neighbour"
        )


def _fix_of_empty(name: str, *, deleted: bool) -> str:
    if deleted:
        return "rows with missing values were left out; use missing='fiml'"
    return f"drop it, data['{name}'] = data['{name}'].cat.remove_unused_categories()"


def check_counts(values: FloatArray, name: str, family: Family) -> None:
    """Raise DataError unless all observed values are counts 0, 1, 2, ..."""
    seen = ~np.isnan(values)
    wrong = seen & ((values < 0) | (values != np.round(values)))
    if wrong.any():
        kinds = {
            "negative values": (values[wrong] < 0).any(),
            "values that are no integers": (values[wrong] != np.round(values[wrong])).any(),
        }
        what = " and ".join(kind for kind, found in kinds.items() if found)
        raise DataError(
            f"'{name}' is declared {family.text}, but has {what} in {positions(wrong)}, such as "
            f"{values[wrong][0]:g}; counts are 0, 1, 2, ... Correct them, or leave '{name}' out of "
            "families (a rate is a count with an exposure: exposure={...})"
        )


def exposures_of(
    names: Sequence[str],
    outcomes: Mapping[str, FloatArray],
    exposure: Mapping[str, str],
    columns: Mapping[str, FloatArray],
    unit: Literal["row", "cluster"],
) -> FloatArray | None:
    """Put the exposures of outcomes side by side, (n, len(names)).

    1 for outcomes that have none; NaN where a count and a usable exposure are both missing.

    Parameters
    ----------
    names
        Outcomes of one level.
    outcomes
        Their values by name, of rows or of clusters, (n,).
    exposure
        Column by outcome.
    columns
        Values of these columns, (n,).
    unit
        What one value belongs to.

    Returns
    -------
    numpy.ndarray or None
        None if no outcome has an exposure.

    Raises
    ------
    DataError
        An exposure that is missing or not positive where its count is observed.
    """
    if not set(names) & set(exposure):
        return None
    result = np.ones((len(outcomes[names[0]]), len(names)))
    for k, name in enumerate(names):
        if name in exposure:
            column = exposure[name]
            result[:, k] = _checked_exposure(columns[column], outcomes[name], name, column, unit)
    return frozen(result)


def _checked_exposure(
    values: FloatArray, counts: FloatArray, name: str, column: str, unit: str
) -> FloatArray:
    needed = ~np.isnan(counts)
    gone = needed & np.isnan(values)
    if gone.any():
        raise DataError(
            f"the exposure '{column}' of '{name}' is missing in {_where(gone, unit)}, although "
            f"'{name}' is observed; fill it in, or drop these rows"
        )
    low = needed & ~(values > 0)
    if low.any():
        raise DataError(
            f"the exposure '{column}' of '{name}' must be positive, but is {values[low][0]:g} in "
            f"{_where(low, unit)}; without exposure a count says nothing about the rate: drop it, "
            "or correct the value"
        )
    return np.where(values > 0, values, np.nan)


def _where(mask: NDArray[np.bool_], unit: str) -> str:
    return positions(mask) if unit == "row" else plural(int(mask.sum()), unit)
