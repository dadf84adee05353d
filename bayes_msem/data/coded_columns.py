"""Columns that are computed from others: dummies of categories, and products.

``x[T.b]`` is 1 in category b of x, else 0; ``x:z`` is the product of the columns as they are, and
``x:g[T.b]`` that of a column and a dummy. formulaic does the coding. A row in which some source is
missing has no value.

After the data room a coded column is a covariate like any other. What new data, files and tables
need is the record :class:`CodedColumns`: how each column comes about, and the categories that the
model was declared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.columns import numeric_column
from bayes_msem.data.frame_checks import check_columns
from bayes_msem.data.predictor_categories import (
    category_codes,
    holds_categories,
    label_text,
    read_categories,
)
from bayes_msem.errors import DataError
from bayes_msem.spec.dummies import may_hold_categories, spell_out
from bayes_msem.spec.statements import ParsedModel, Part
from bayes_msem.wording import listed

__all__ = ["CodedColumns", "CodedPredictors", "code_predictors", "source_values", "with_coded"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CodedColumns:
    """How columns are computed.

    Attributes
    ----------
    columns
        Parts of each coded column, by its name.
    categories
        Categories of each column that holds some, in order.
    """

    columns: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    categories: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def sources(self, names: Iterable[str] | None = None) -> tuple[str, ...]:
        """Columns of the data that coded columns come from; None: all of them."""
        chosen = self.columns if names is None else [n for n in names if n in self.columns]
        found = (part.column for name in chosen for part in self.columns[name])
        return tuple(dict.fromkeys(found))

    def given(self, names: Iterable[str]) -> tuple[str, ...]:
        """Columns of the data behind these variables, coded ones or not."""
        found: dict[str, None] = {}
        for name in names:
            sources = self.sources([name]) if name in self.columns else (name,)
            found |= dict.fromkeys(sources)
        return tuple(found)

    def is_bound(self, name: str) -> bool:
        """Whether a variable is coded, or part of one that is, so that it cannot be modelled."""
        return name in self.columns or name in self.sources()

    def category(self, part: Part) -> Any:
        """Return the category of a dummy as it is in the data."""
        return next(v for v in self.categories[part.column] if label_text(v) == part.category)

    def origin(self, name: str) -> str:
        """How messages name a variable: with the columns that it comes from, if it is coded."""
        if name not in self.columns:
            return f"'{name}'"
        return f"'{name}' (made of {listed(self.sources([name]))})"


@dataclass(frozen=True, slots=True, eq=False)
class CodedPredictors:
    """Statements and data in which every predictor is a column of numbers.

    Attributes
    ----------
    parsed
        The statements.
    frame
        The data with the coded columns; the frame itself if there are none.
    coded
        How they are computed.
    notes
        What the author should know.
    """

    parsed: ParsedModel
    frame: pd.DataFrame
    coded: CodedColumns
    notes: tuple[str, ...]


def code_predictors(
    frame: pd.DataFrame, parsed: ParsedModel, cluster: str | None, declared: Sequence[str]
) -> CodedPredictors:
    """Spell out categories and products, and compute their columns.

    Parameters
    ----------
    frame
        The data; never modified.
    parsed
        The statements, as they were read.
    cluster
        The column that identifies clusters; None for single-level models.
    declared
        Outcomes with declared families, which are left alone.

    Raises
    ------
    SpecificationError, NotSupportedError
        Terms that make no sense, or are not there yet.
    DataError
        Columns that hold no categories, or no numbers.

    Examples
    --------
    >>> from bayes_msem.spec.parser import parse
    >>> data = pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [1, 2, 3], "g": ["b", "a", "b"]})
    >>> found = code_predictors(data, parse("y ~ x + g + x:g"), None, [])
    >>> found.frame[["g[T.b]", "x:g[T.b]"]].to_numpy().tolist()
    [[1.0, 1.0], [0.0, 0.0], [1.0, 3.0]]
    """
    columns = list(frame.columns)
    may = may_hold_categories(parsed, columns, cluster=cluster, declared=declared)
    check_columns(frame, [*may.stated, *may.open])
    open_ = [name for name in may.open if holds_categories(frame[name])]
    categories = {n: read_categories(frame[n], n, stated=True) for n in may.stated}
    categories |= {n: read_categories(frame[n], n, stated=False) for n in open_}
    if not categories and not any(f.term.parts for f in parsed.formulas):
        return CodedPredictors(parsed, frame, CodedColumns(), ())
    labels = {name: [label_text(v) for v in found] for name, found in categories.items()}
    numbers = [name for name in may.stated if not holds_categories(frame[name])]
    spelled = spell_out(parsed, columns, labels, numbers)
    coded = CodedColumns(spelled.columns, categories)
    return CodedPredictors(
        spelled.parsed, with_coded(frame, coded, coded.columns), coded, spelled.notes
    )


def with_coded(
    frame: pd.DataFrame, coded: CodedColumns, names: Iterable[str], *, what: str = "data"
) -> pd.DataFrame:
    """Add coded columns to a frame.

    Parameters
    ----------
    frame
        With the sources of the columns; never modified.
    coded
        How they are computed; columns of that name in the frame are replaced.
    names
        Variables; those that are not coded are passed over.
    what
        What the frame is called in messages.

    Raises
    ------
    DataError
        Sources are missing from the frame, are no numbers, or have categories that the model does
        not know.
    """
    wanted = {name: coded.columns[name] for name in names if name in coded.columns}
    if not wanted:
        return frame
    sources = coded.sources(wanted)
    gone = [name for name in sources if name not in frame.columns]
    if gone:
        needing = [name for name in wanted if set(coded.sources([name])) & set(gone)]
        raise DataError(
            f"{what} lacks {listed(gone)}, of which the model makes {listed(needing)}; add "
            f"{'this column' if len(gone) == 1 else 'these columns'}"
        )
    check_columns(frame, sources)
    values = {
        name: source_values(frame[name], name, coded.categories.get(name), what=what)
        for name in sources
    }
    computed = {name: np.full(len(frame), np.nan) for name in wanted}
    for together in _by_sources(wanted):
        for name, column in _coded(values, coded, together).items():
            computed[name] = column
    return frame.assign(**{name: pd.Series(v, index=frame.index) for name, v in computed.items()})


def source_values(
    series: pd.Series[Any], name: str, labels: Sequence[Any] | None, *, what: str = "data"
) -> FloatArray:
    """Return a source as numbers, (N,): codes of categories, or its values; NaN if missing."""
    if labels is not None:
        return category_codes(series, name, labels, what=what)
    return numeric_column(series, name)


def _by_sources(columns: Mapping[str, tuple[Part, ...]]) -> list[dict[str, tuple[Part, ...]]]:
    """Sort coded columns by the sources they share."""
    groups: dict[tuple[str, ...], dict[str, tuple[Part, ...]]] = {}
    for name, parts in columns.items():
        groups.setdefault(tuple(part.column for part in parts), {})[name] = parts
    return list(groups.values())


def _coded(
    values: Mapping[str, FloatArray], coded: CodedColumns, columns: Mapping[str, tuple[Part, ...]]
) -> dict[str, FloatArray]:
    """Compute coded columns of the same sources with formulaic, (N,) each.

    Names of columns and categories may be no Python names, so formulaic gets v0, v1, ... with codes
    0, 1, ...; without an intercept and with all categories, v0[1]:v1 is the dummy of category 1
    times v1.
    """
    from formulaic import model_matrix  # a tenth of a second that other models need not wait for

    sources = tuple(part.column for part in next(iter(columns.values())))
    inner: dict[str, Any] = {}
    missing = np.zeros(len(values[sources[0]]), dtype=bool)
    for i, source in enumerate(sources):
        column = values[source]
        gone = np.isnan(column)
        missing |= gone
        labels = coded.categories.get(source)
        if labels is None:
            inner[f"v{i}"] = column
        else:
            codes = np.where(gone, 0, column).astype(np.int64)  # such rows have no value below
            inner[f"v{i}"] = pd.Categorical(codes, categories=list(range(len(labels))))
    formula = f"0 + {':'.join(inner)}"
    frame = pd.DataFrame(inner)
    matrix = model_matrix(formula, frame, ensure_full_rank=False, na_action="ignore")
    found = {}
    for name, parts in columns.items():
        inside = ":".join(_inside(i, part, coded) for i, part in enumerate(parts))
        found[name] = np.where(missing, np.nan, np.asarray(matrix[inside], dtype=np.float64))
    return found


def _inside(i: int, part: Part, coded: CodedColumns) -> str:
    if part.kind == "column":
        return f"v{i}"
    labels = [label_text(label) for label in coded.categories[part.column]]
    return f"v{i}[{labels.index(part.category)}]"
