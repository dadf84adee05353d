"""Result tables: data frames that carry a caption and print well."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

_DECIMALS = {"ess_bulk": 0, "ess_tail": 0, "r_hat": 3}


class EstimateTable(pd.DataFrame):
    """A data frame of estimates with a caption in ``attrs["caption"]``.

    The numbers are stored in full precision; only the display is rounded.
    """

    @property
    def _constructor(self) -> type[EstimateTable]:
        return EstimateTable

    @property
    def caption(self) -> str:
        """Kind and mass of the intervals, and what else the reader must know."""
        return str(self.attrs.get("caption", ""))

    def _display(self) -> pd.DataFrame:
        shown = pd.DataFrame(self, copy=True)
        for column in shown.columns:
            if pd.api.types.is_float_dtype(shown[column]):
                decimals = _DECIMALS.get(str(column), 3)
                shown[column] = [_number(v, decimals) for v in shown[column]]
        return shown

    def __repr__(self) -> str:
        """Return caption and rounded values as text."""
        body = self._display().to_string(index=False)
        return f"{self.caption}\n{body}" if self.caption else body

    def __str__(self) -> str:
        """Return caption and rounded values as text."""
        return repr(self)

    def _repr_html_(self) -> str:
        """Notebook display: caption above, one block of rows per level and operator."""
        table = self._display().to_html(index=False, border=0, justify="left")
        caption = escape(self.caption)
        return f"<div><p style='font-size:90%'>{caption}</p>{table}</div>"


def _number(value: Any, decimals: int) -> str:
    if pd.isna(value):
        return ""
    if value != 0 and abs(value) < 0.5 * 10.0**-decimals:
        return f"{value:.1e}"
    return f"{value:.{decimals}f}"
