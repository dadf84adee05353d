"""What is missing in the outcomes and indicators of a model: per variable, pattern and pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.markup import block, words
from bayes_msem.wording import first_few, plural

__all__ = ["MissingReport", "missing_report", "never_together"]

_MOST_PATTERNS = 10  # shown by print(model)
_MOST_PAIRS = 12  # variables in the table of coverage


@dataclass(frozen=True, slots=True, eq=False)
class MissingReport:
    """What is missing in the outcomes and indicators of a model.

    Attributes
    ----------
    variables
        One row per variable with missing values: level, variable, n (rows or clusters), missing,
        percent.
    patterns
        One row per response pattern of the level-1 outcomes, most frequent first: rows, and for
        every variable whether it is observed.
    coverage
        Share of rows in which both variables of a pair are observed, (p, p).
    empty_rows
        Rows without any observed outcome: kept, but without information.
    silent_clusters
        Identifiers of clusters in which no outcome of either level is observed.
    dropped
        Rows left out by listwise deletion.
    top_level
        Name of the third level; empty for models of one or two.

    Examples
    --------
    >>> missing = factors.model.missing
    >>> missing.variables[["variable", "missing"]].to_numpy().tolist()
    [['focus', 28], ['calm', 27], ['joy', 139]]
    >>> len(missing.patterns)
    7
    """

    variables: pd.DataFrame
    patterns: pd.DataFrame
    coverage: pd.DataFrame
    empty_rows: int
    silent_clusters: tuple[Any, ...]
    dropped: int
    top_level: str = ""

    @property
    def lines(self) -> list[str]:
        """The report as indented lines of text; empty if nothing is missing.

        Examples
        --------
        >>> factors.model.missing.lines[0]
        "Missing values (missing='fiml'): integrated out under the model"
        """
        if self.dropped:
            return [
                "Missing values (missing='listwise'): "
                f"{plural(self.dropped, 'row')} with missing values left out. Estimates are biased "
                "unless values are missing completely at random."
            ]
        if self.variables.empty:
            return []
        lines = ["Missing values (missing='fiml'): integrated out under the model"]
        for row in self.variables.itertuples(index=False):
            unit = "rows" if row.level == "within" else "clusters"
            if row.level == self.top_level:
                unit = f"'{self.top_level}'"
            lines.append(f"  {row.variable}: {row.missing} of {row.n} {unit} ({row.percent:.1f}%)")
        if self.empty_rows:
            lines.append(
                f"  {plural(self.empty_rows, 'row')} without any observed outcome: kept in the "
                "outputs, without influence on the estimates"
            )
        if self.silent_clusters:
            lines.append(
                f"  {plural(len(self.silent_clusters), 'cluster')} without any observed outcome "
                f"({first_few(self.silent_clusters)}): their effects are predictions from level 2"
            )
        return lines + self._pattern_lines() + self._coverage_lines()

    def _pattern_lines(self) -> list[str]:
        names = [c for c in self.patterns.columns if c != "rows"]
        if len(self.patterns) < 2:
            return []
        width = max(len(str(self.patterns["rows"].max())), 4)
        shown = self.patterns.head(_MOST_PATTERNS)
        lines = [f"  Patterns ({', '.join(names)}; x observed, . missing):"]
        for row in shown.to_dict("records"):
            marks = " ".join("x" if row[n] else "." for n in names)
            lines.append(f"    {row['rows']:>{width}}  {marks}")
        rest = self.patterns["rows"].iloc[_MOST_PATTERNS:]
        if len(rest):
            lines.append(f"    {rest.sum():>{width}}  in {len(rest)} other patterns")
        return lines

    def _coverage_lines(self) -> list[str]:
        names = list(self.coverage.columns)
        if len(names) < 2 or bool((self.coverage.to_numpy() == 1).all()):
            return []
        if len(names) > _MOST_PAIRS:
            off = self.coverage.to_numpy()[np.triu_indices(len(names), 1)]
            return [
                f"  Coverage of pairs (share of rows with both observed): least {off.min():.2f}"
            ]
        lower = self.coverage.map("{:.2f}".format)
        lower = lower.where(np.tril(np.ones(lower.shape, dtype=bool)), "")
        lines = lower.to_string().splitlines()
        return [
            "  Coverage of pairs (share of rows with both observed):",
            *(f"    {line.rstrip()}" for line in lines),
        ]

    def _repr_html_(self) -> str:
        """Notebook display."""
        return block(words(str(self)))

    def __str__(self) -> str:
        """Return the report as text."""
        return "\n".join(self.lines) or "No missing values."


def missing_report(observed: ObservedData) -> MissingReport:
    """Describe what is missing.

    Parameters
    ----------
    observed
        The data of a model.

    Returns
    -------
    MissingReport
    """
    rows = []
    middle = str(observed.cluster_name) if observed.three_level else "between"
    top = observed.top_name or ""
    for level, names, values in (
        ("within", observed.y_names, observed.y),
        (middle, observed.z_names, observed.z),
        (top, observed.z3_names, observed.z3),
    ):
        for k, name in enumerate(names):
            count = int(np.isnan(values[:, k]).sum())
            if count:
                share = 100 * count / len(values)
                rows.append((level, name, len(values), count, share))
    seen = ~np.isnan(observed.y)
    kinds, counts = np.unique(seen, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    patterns = pd.DataFrame(kinds[order], columns=list(observed.y_names))
    patterns.insert(0, "rows", counts[order], allow_duplicates=True)
    both = seen.astype(np.float64).T @ seen / len(seen)
    y_names = list(observed.y_names)
    return MissingReport(
        variables=pd.DataFrame(rows, columns=["level", "variable", "n", "missing", "percent"]),
        patterns=patterns,
        coverage=pd.DataFrame(both, index=y_names, columns=y_names),
        empty_rows=int((~observed.informative).sum()),
        silent_clusters=_silent_clusters(observed),
        dropped=observed.dropped,
        top_level=top,
    )


def _silent_clusters(observed: ObservedData) -> tuple[Any, ...]:
    if observed.cluster is None:
        return ()
    speaks = np.zeros(observed.n_clusters, dtype=bool)
    np.logical_or.at(speaks, observed.cluster, observed.informative)
    speaks |= (~np.isnan(observed.z)).any(axis=1)
    return tuple(observed.cluster_ids[~speaks])


def never_together(observed: ObservedData) -> list[tuple[str, str]]:
    """Pairs of level-1 outcomes that no row has both of."""
    seen = (~np.isnan(observed.y)).astype(np.float64)
    both = seen.T @ seen
    names = observed.y_names
    return [
        (names[i], names[k])
        for i in range(len(names))
        for k in range(i + 1, len(names))
        if both[i, k] == 0
    ]
