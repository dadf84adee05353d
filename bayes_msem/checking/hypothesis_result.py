"""The result of :meth:`bayes_msem.Fit.hypothesis`, and how it is shown."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import xarray as xr

from bayes_msem.markup import block, bullets_of, grid, text_paragraph
from bayes_msem.posterior.tables import EstimateTable, terminal_width

__all__ = ["ESTIMATE", "HypothesisResult"]

ESTIMATE = ["mean", "median", "sd", "lower", "upper"]
_EVIDENCE = ["probability", "mcse", "evidence_ratio", "prior_probability", "bayes_factor"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HypothesisResult:
    """Result of :meth:`bayes_msem.Fit.hypothesis`.

    Attributes
    ----------
    table
        One row per hypothesis; of several comparisons that hold together, one row per comparison
        follows. Columns name, hypothesis, mean, median, sd, lower and upper (of left - right),
        probability, mcse, evidence_ratio, direction, in_rope, prior_probability, bayes_factor and
        note.
    notes
        What to know about these numbers, such as the priors behind a Bayes factor.
    draws
        Draws of left - right of every comparison, (chain, draw), by the name of its row.

    Examples
    --------
    >>> result = fit.hypothesis("mach ~ sector > 0")
    >>> result.table["probability"].tolist()
    [1.0]
    """

    table: EstimateTable
    notes: tuple[str, ...]
    draws: Mapping[str, xr.DataArray]

    def __repr__(self) -> str:
        """Return estimates, evidence and notes as text."""
        width = terminal_width()
        lines = textwrap.wrap(self.table.caption, width)
        for part in self._parts():
            lines += ["", part.to_string(index=False, justify="right")]
        lines += [textwrap.fill(f"- {n}", width, subsequent_indent="  ") for n in self._remarks()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Notebook display."""
        left = 2 if len(self.table) > 1 else 1
        parts = [
            grid(list(part.columns), part.itertuples(index=False, name=None), left=left)
            for part in self._parts()
        ]
        caption = text_paragraph(self.table.caption, small=True)
        return block(caption, "<br>".join(parts), bullets_of(self._remarks()))

    def _parts(self) -> list[pd.DataFrame]:
        """Estimates and evidence as text, without what is empty."""
        plain = pd.DataFrame(self.table)
        head = ["name", "hypothesis"] if len(plain) > 1 else ["hypothesis"]
        parts = []
        for columns in ([*ESTIMATE, "direction", "in_rope"], _EVIDENCE):
            used = [c for c in columns if plain[c].notna().any()]
            rows = plain[plain[used].notna().any(axis=1)] if used else plain.iloc[:0]
            if len(rows):
                shown = rows[[*head, *used]].copy()
                for column in used:
                    shown[column] = [_shown(v) for v in rows[column]]
                parts.append(shown.astype(object))
        return parts

    def _remarks(self) -> list[str]:
        named = len(self.table) > 1
        rows = zip(self.table["name"], self.table["note"], strict=True)
        own = [f"{name}: {note}" if named else note for name, note in rows if note]
        return [*own, *self.notes]


def _shown(value: float) -> str:
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "inf"
    if value == 0 or 0.0005 <= abs(value) < 1000:
        return f"{value:.3f}"
    return f"{value:.3g}"
