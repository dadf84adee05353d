"""Result tables: data frames that carry a caption and print well.

A table whose rows are rows of the parameter table (columns level, lhs, op and rhs) is shown in
sections, one per level and kind, like the printed summaries of SEM programs. Any other table, and
one whose rows were put in another order, is shown as it stands.
"""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Hashable, Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from bayes_msem.spec.row_names import formula
from bayes_msem.spec.table import Kind, Row

__all__ = ["KIND_TITLES", "EstimateTable", "grouped_text", "terminal_width"]

KIND_TITLES: dict[Kind, str] = {
    "loading": "Loadings",
    "regression": "Regressions",
    "covariance": "Covariances",
    "variance": "Variances",
    "dispersion": "Dispersions",
    "intercept": "Intercepts",
    "threshold": "Thresholds",
    "defined": "Defined parameters",
}
_TITLES = {str(kind): title for kind, title in KIND_TITLES.items()} | {"r2": "R-squared"}
_KEY = ["level", "lhs", "op", "rhs"]
_LEFT = ("label", "note", "prior", "random")  # text columns; all others are aligned as numbers
_DROPPABLE = ("prior",)  # left out of the text display where it would not fit
_DROPPABLE_NEXT = ("ess_tail", "ess_bulk")  # too, beside standardised values
_DECIMALS = {"ess_bulk": 0, "ess_tail": 0, "r_hat": 3}
_PADDED = "padding:0.1em 0.6em;white-space:nowrap"
_LEAST_DECIMALS, _MOST_DECIMALS = 3, 8

Section = tuple[str, str, pd.DataFrame]  # level, title, rows with all values as text


class EstimateTable(pd.DataFrame):
    """A data frame of estimates with a caption in ``attrs["caption"]``.

    The numbers are stored in full precision and all columns are kept; only the display rounds,
    groups the rows, and leaves out columns that the terminal is too narrow for (and says which).

    Examples
    --------
    >>> table = EstimateTable(
    ...     {"level": ["within"], "lhs": ["y"], "op": ["~"], "rhs": ["x"], "mean": [0.12345]}
    ... )
    >>> print(table)
    within
      Regressions   mean
        y ~ x      0.123
    """

    @property
    def _constructor(self) -> type[EstimateTable]:
        return EstimateTable

    @property
    def caption(self) -> str:
        """Kind and mass of the intervals, and what else the reader must know.

        Examples
        --------
        >>> fit.summary(ci=0.9).caption.partition(".")[0]
        'Posterior mean, median, SD and 90% equal-tailed interval (ETI)'
        """
        return str(self.attrs.get("caption", ""))

    def __repr__(self) -> str:
        """Return caption and rounded values as text, as wide as the terminal at most."""
        width = terminal_width()
        lines = textwrap.wrap(self.caption, width)
        if _has_sections(self):
            sections, hidden = _fitting(_sections(self), width)
            lines += [f"Not shown for lack of width: {', '.join(hidden)}."] if hidden else []
            return "\n".join([*lines, *_text_lines(sections)])
        options: dict[str, Any] = {"index": _has_names(self.index)}
        if len(self) > (pd.get_option("display.max_rows") or math.inf):
            options |= {"max_rows": 20, "show_dimensions": True}
        return "\n".join([*lines, _rounded(_without_empty_note(self)).to_string(**options)])

    def __str__(self) -> str:
        """Return caption and rounded values as text."""
        return repr(self)

    def _repr_html_(self) -> str:
        """Notebook display: caption above, one block of rows per level and kind."""
        caption = f"<p style='font-size:90%'>{escape(self.caption)}</p>" if self.caption else ""
        if _has_sections(self):
            return f"<div style='overflow-x:auto'>{caption}{_html(_sections(self))}</div>"
        options: dict[str, Any] = {"index": _has_names(self.index)}
        if len(self) > (pd.get_option("display.max_rows") or math.inf):
            options |= {"max_rows": 20, "show_dimensions": True}
        body = _rounded(_without_empty_note(self)).to_html(border=0, **options)
        return f"<div>{caption}{body}</div>"


def terminal_width() -> int:
    """Columns of the terminal; 100 where there is none. Never below 60."""
    return max(60, shutil.get_terminal_size((100, 24)).columns)


def grouped_text(frame: pd.DataFrame) -> str:
    """Lay out the rows of a parameter table in sections, one per level and kind.

    Parameters
    ----------
    frame
        Columns level, lhs, op, rhs and more; text stays as it is, numbers are rounded. Columns
        that are empty throughout are left out.

    Returns
    -------
    str
    """
    return "\n".join(_text_lines(_sections(frame)))


def _has_sections(frame: pd.DataFrame) -> bool:
    """Whether the rows have coordinates and stand in the order of the parameter table."""
    columns = list(frame.columns)
    named = set(_KEY) < set(columns) and len(set(columns)) == len(columns)
    if not named or frame.empty:
        return False
    return bool(pd.api.types.is_integer_dtype(frame.index) and frame.index.is_monotonic_increasing)


def _has_names(index: pd.Index[Any]) -> bool:
    """Whether an index says more than the position of a row."""
    return any(n is not None for n in index.names) or not pd.api.types.is_integer_dtype(index)


def _sections(frame: pd.DataFrame) -> list[Section]:
    """Split by level and kind, and format every value."""
    plain = pd.DataFrame(frame)
    rows = _rows(plain)
    places = [_place(r) for r in rows]
    used = [c for c in plain.columns if c not in (*_KEY, "group") and not _is_empty(plain[c])]
    sections: list[Section] = []
    for level in dict.fromkeys(places):
        for kind, title in _TITLES.items():
            chosen = [i for i, r in enumerate(rows) if places[i] == level and _kind(r) == kind]
            if chosen:
                body = _formatted(plain.iloc[chosen][used])
                body.insert(0, "", [_name(rows[i]) for i in chosen], allow_duplicates=True)
                sections.append((level, title, body))
    return sections


def _rows(plain: pd.DataFrame) -> list[Row]:
    """Rows of the parameter table that a frame shows.

    Priors of variances are on the standard deviation; x ~~ x with another one is a dispersion.
    """
    keys = [plain[c].astype(str) for c in _KEY]
    nothing = [""] * len(plain)
    priors = plain["prior"].astype(str) if "prior" in plain else nothing
    groups = plain["group"].astype(str) if "group" in plain else nothing
    found = []
    for level, lhs, op, rhs, prior, group in zip(*keys, priors, groups, strict=True):
        odd = op == "~~" and lhs == rhs and prior != "" and not prior.endswith("[sd]")
        found.append(Row(level, lhs, op, rhs, is_dispersion=odd, group=group))
    return found


def _place(row: Row) -> str:
    """Level of a row, with its group if there are groups."""
    return f"{row.level} [{row.group}]".lstrip() if row.group else row.level


def _kind(row: Row) -> str:
    return "r2" if row.op == "r2" else row.kind


def _name(row: Row) -> str:
    return row.lhs if row.op == "r2" else formula(row)


def _without_empty_note(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out the column of notes where no row has one."""
    plain = pd.DataFrame(frame)
    return plain.drop(columns="note") if "note" in plain and _is_empty(plain["note"]) else plain


def _is_empty(column: pd.Series[Any]) -> bool:
    return bool(column.isna().all() or (column.astype(str) == "").all())


def _formatted(frame: pd.DataFrame) -> pd.DataFrame:
    """Round to the digits that the smallest SD asks for; mark constants."""
    digits, constant = _LEAST_DECIMALS, np.zeros(len(frame), dtype=bool)
    if "sd" in frame and pd.api.types.is_float_dtype(frame["sd"]):
        sd = frame["sd"].to_numpy(dtype=np.float64)
        constant = sd == 0
        if (sd > 0).any():
            two_digits = 1 - math.floor(math.log10(sd[sd > 0].min()))
            digits = min(max(digits, two_digits), _MOST_DECIMALS)
    shown = _rounded(frame, digits)
    for column in ("median", "sd", "lower", "upper"):
        if column in shown:
            text = "fixed" if column == "sd" else ""
            shown[column] = np.where(constant, text, shown[column])
    return shown


def _rounded(frame: pd.DataFrame, digits: int = _LEAST_DECIMALS) -> pd.DataFrame:
    shown = pd.DataFrame(frame, copy=True)
    for i, name in enumerate(shown.columns):
        column = shown.iloc[:, i]
        if pd.api.types.is_float_dtype(column):
            text = [_number(v, _DECIMALS.get(str(name), digits)) for v in column]
            shown.isetitem(i, np.array(text, dtype=object))
    return shown


def _number(value: float, decimals: int) -> str:
    if pd.isna(value):
        return ""
    if value != 0 and abs(value) < 0.5 * 10.0**-decimals:
        return f"{value:.1e}"
    return f"{value:.{decimals}f}"


def _widths(sections: Sequence[Section]) -> dict[Hashable, int]:
    """Width of every column over all sections; section titles stand above the coordinates."""
    names = sections[0][2].columns
    widths: dict[Hashable, int] = {}
    for name in names:
        cells = [len(str(v)) for _, _, body in sections for v in body[name]]
        widths[name] = max([len(str(name)), *cells])
    widths[""] = max(widths[""] + 4, *(len(title) + 2 for _, title, _ in sections))
    return widths


def _fitting(sections: list[Section], width: int) -> tuple[list[Section], list[str]]:
    """Leave out columns that can be missed until the rest fits; return their names as well."""
    hidden: list[str] = []
    names = _DROPPABLE + (_DROPPABLE_NEXT if "std_all" in sections[0][2] else ())
    for name in names:
        widths = _widths(sections)
        if name in widths and sum(widths.values()) + 2 * (len(widths) - 1) > width:
            hidden.append(name)
            sections = [(level, t, body.drop(columns=name)) for level, t, body in sections]
    return sections, hidden


def _text_lines(sections: Sequence[Section]) -> Iterator[str]:
    widths, above = _widths(sections), None

    def line(cells: Sequence[str]) -> str:
        parts = [
            c.ljust(w) if i == 0 or name in _LEFT else c.rjust(w)
            for i, ((name, w), c) in enumerate(zip(widths.items(), cells, strict=True))
        ]
        return "  ".join(parts).rstrip()

    for level, title, body in sections:
        if level != above:
            if above is not None:
                yield ""
            if level:
                yield level
        above = level
        yield line([f"  {title}", *map(str, body.columns[1:])])
        for cells in body.itertuples(index=False, name=None):
            yield line([f"    {cells[0]}", *map(str, cells[1:])])


def _html(sections: Sequence[Section]) -> str:
    """One table; a head row per section. Styles are inline: they hold in every notebook."""
    names = [str(c) for c in sections[0][2].columns]
    sides = ["left" if i == 0 or c in _LEFT else "right" for i, c in enumerate(names)]

    def cells(tag: str, values: Sequence[Any], style: str = "") -> str:
        parts = [
            f"<{tag} style='text-align:{side};{_PADDED};{style}'>{escape(str(v))}</{tag}>"
            for v, side in zip(values, sides, strict=True)
        ]
        return f"<tr style='background:none'>{''.join(parts)}</tr>"

    rule = "border-bottom:1px solid currentColor;padding-top:0.8em;"
    lines = []
    for level, title, body in sections:
        head = f"{level}: {title.lower()}" if level else title
        lines.append(cells("th", [head, *names[1:]], rule))
        lines += [cells("td", row) for row in body.itertuples(index=False, name=None)]
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums"
    return f"<table style='{style}'><tbody>{''.join(lines)}</tbody></table>"
