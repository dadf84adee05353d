"""Columns of categories: their labels, in order, and the code of each row.

Categoricals of pandas bring their order along; other values are sorted. The first category is the
reference unless the model text chooses another one. Text and categoricals hold categories, numbers
only where the text says ``C(x)`` or ``x[T.b]``; truth values are 0 and 1, and so their own dummy.

In model texts and tables a category is named by its label as text: ``str(value)``, whole numbers
without decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.columns import reads_as_number
from bayes_msem.errors import DataError
from bayes_msem.wording import first_few, listed, positions

__all__ = ["category_codes", "holds_categories", "label_text", "read_categories"]

FloatArray = NDArray[np.float64]

_MOST_CATEGORIES = 50


def holds_categories(series: pd.Series[Any]) -> bool:
    """Whether values are categories unless something else is said: categoricals and text."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return True
    if pd.api.types.is_string_dtype(dtype) and not pd.api.types.is_object_dtype(dtype):
        return True
    return pd.api.types.is_object_dtype(dtype) and any(isinstance(v, str) for v in series)


def label_text(label: Any) -> str:
    """Write a category as it stands in names of coefficients."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(label)


def read_categories(series: pd.Series[Any], name: str, *, stated: bool) -> tuple[Any, ...]:
    """Read the categories of a predictor.

    Parameters
    ----------
    series
        The column.
    name
        Its name, for messages.
    stated
        Whether the model text says that the column holds categories.

    Returns
    -------
    tuple
        The categories as plain values, the default reference first.

    Raises
    ------
    DataError
        Fewer than two categories or very many, one without rows, numbers kept as text, or labels
        that cannot be written in a model text.
    """
    seen = series.dropna()
    if not len(seen):
        raise DataError(
            f"'{name}' is missing in all rows; remove it from the model, or check how the data "
            "were read or joined"
        )
    if isinstance(series.dtype, pd.CategoricalDtype):
        labels = _plain(series.cat.categories)
        counts = seen.value_counts()
        _check_used(name, [label for label in labels if not counts.get(label, 0)])
    else:
        labels = _sorted(_plain(_check_no_numbers(series, name, stated=stated)), name)
    if len(labels) == 1:
        raise DataError(
            f"'{name}' has a single category: all observed values are {labels[0]!r}, so it carries "
            "no information; remove it from the model, or check how the data were selected"
        )
    if len(labels) > _MOST_CATEGORIES and not stated:
        raise DataError(
            f"'{name}' has {len(labels)} categories ({first_few(labels)}), more than "
            f"{_MOST_CATEGORIES}; each but one would be a coefficient. Join categories; if the "
            f"rows of a category belong together, cluster='{name}'; C({name}) in the text says "
            "that all of them are meant"
        )
    _check_labels(labels, name, series)
    return labels


def _plain(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)


def _sorted(labels: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    try:
        return tuple(sorted(labels))
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise DataError(
            f"'{name}' mixes values of types {' and '.join(kinds)}, which have no order; make them "
            f"all text, data['{name}'].astype(str), or state the categories: pandas.Categorical("
            f"data['{name}'], categories=[...])"
        ) from None


def _check_used(name: str, empty: Sequence[Any]) -> None:
    if empty:
        raise DataError(
            f"'{name}' has no row in the {'category' if len(empty) == 1 else 'categories'} "
            f"{listed(empty)}, so its effect is unknown; drop it, data['{name}'] = "
            f"data['{name}'].cat.remove_unused_categories()"
        )


def _check_no_numbers(series: pd.Series[Any], name: str, *, stated: bool) -> Iterable[Any]:
    """Return the values of a column; raise where they seem to be numbers not read as such."""
    values = series.dropna().unique()
    odd = [value for value in values if not reads_as_number(value)]
    if stated or 2 * len(odd) > len(values):
        return values
    if odd:
        row = int((series == odd[0]).to_numpy(dtype=bool).argmax())
        raise DataError(
            f"most values of '{name}' (dtype {series.dtype}) read as numbers, but not {odd[0]!r} "
            f"in row {row}; correct such values, and convert the column with pandas.to_numeric("
            f"data['{name}']); if categories are meant, write C({name}) in the model text"
        )
    raise DataError(
        f"'{name}' is not numeric, though all its values read as numbers; convert it with "
        f"pandas.to_numeric(data['{name}']); if categories are meant, write C({name}) in the "
        "model text"
    )


def _check_labels(labels: Sequence[Any], name: str, series: pd.Series[Any]) -> None:
    texts = [label_text(label) for label in labels]
    nested = [label for label in labels if isinstance(label, tuple)]
    if nested:
        raise DataError(
            f"'{name}' has tuples as categories, such as {nested[0]!r}; make them text, "
            f"data['{name}'] = data['{name}'].astype(str)"
        )
    for label, text in zip(labels, texts, strict=True):
        if not text.strip() or any(sign in text for sign in "]\n\r"):
            if isinstance(label, pd.Interval):
                fix = "name the intervals: pandas.cut(..., labels=[...])"
            elif isinstance(series.dtype, pd.CategoricalDtype):
                fix = f"rename it, data['{name}'].cat.rename_categories({{{label!r}: ...}})"
            else:
                fix = f"rename it, data['{name}'].replace({{{label!r}: ...}})"
            raise DataError(
                f"'{name}' has a category {label!r}, which cannot be written as {name}[T.{text}] "
                f"in a model text; {fix}"
            )
    twice = [label for label, text in zip(labels, texts, strict=True) if texts.count(text) > 1]
    if twice:
        raise DataError(
            f"'{name}' has categories that are written alike: {listed(twice)}; make them one"
        )
    bare = [" ".join(text.split()) for text in texts]
    spaced = [label for label, text in zip(labels, bare, strict=True) if bare.count(text) > 1]
    if spaced:
        raise DataError(
            f"'{name}' has categories that differ only in spaces: {listed(spaced)}; make them one, "
            f"data['{name}'] = data['{name}'].astype('string').str.split().str.join(' ')"
        )


def category_codes(
    series: pd.Series[Any], name: str, labels: Sequence[Any], *, what: str = "data"
) -> FloatArray:
    """Return the position of each row's category among ``labels``, (N,); NaN where it is missing.

    Parameters
    ----------
    series
        The column, of any type whose values equal labels.
    name
        Its name, for messages.
    labels
        The categories.
    what
        What the frame is called in messages.

    Raises
    ------
    DataError
        Values that are no label.
    """
    values = series.astype(object)
    codes = pd.Index(list(labels), dtype=object).get_indexer(pd.Index(values, dtype=object))
    missing = series.isna().to_numpy(dtype=bool)
    unknown = (codes < 0) & ~missing
    if unknown.any():
        found = list(dict.fromkeys(_plain(values[unknown])))
        raise DataError(
            f"{what} has categories of '{name}' that the model does not know: {first_few(found)} "
            f"in {positions(unknown)}; it was declared with {listed(labels)}. Correct them, or "
            "drop these rows"
        )
    return np.where(missing, np.nan, codes.astype(np.float64))
