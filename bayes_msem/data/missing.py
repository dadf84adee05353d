"""Missing values: which are welcome, which are not, and what there is to know about them.

Outcomes and indicators may be missing at both levels: the likelihood is that of the observed
values (full information), unbiased if values are missing at random given what is observed.
Covariates are conditioned on, so there is no distribution that could stand in for a missing one;
writing their variance (``x ~~ x``) brings them into the model, and then they may be missing too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.columns import listed, plural, positions
from bayes_msem.errors import DataError

if TYPE_CHECKING:
    from bayes_msem.data.observe import ObservedData

__all__ = [
    "MissingReport",
    "check_any_observed",
    "check_covariates",
    "complete_rows",
    "missing_report",
    "never_together",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MOST_PATTERNS = 10  # shown by print(model)
_MOST_PAIRS = 12  # variables in the table of coverage


def complete_rows(values: dict[str, FloatArray]) -> NDArray[np.bool_]:
    """Rows without any missing value, for listwise deletion.

    Raises
    ------
    DataError
        There is none.
    """
    n = len(next(iter(values.values())))
    keep = np.ones(n, dtype=bool)
    for column in values.values():
        keep &= ~np.isnan(column)
    if not keep.any():
        worst = max(values, key=lambda name: int(np.isnan(values[name]).sum()))
        raise DataError(
            f"missing='listwise' leaves no row: each of the {n} rows misses some variable "
            f"('{worst}' most often, in {int(np.isnan(values[worst]).sum())}); use missing='fiml', "
            "or remove this variable from the model"
        )
    return keep


def check_any_observed(values: dict[str, FloatArray]) -> None:
    """Raise DataError if a variable has no observed value at all."""
    for name, column in values.items():
        if np.isnan(column).all():
            raise DataError(
                f"'{name}' is missing in all {plural(len(column), 'row')}; remove it from the "
                "model, or check how the data were read or joined"
            )


def check_covariates(
    values: Mapping[str, FloatArray],
    x_names: Sequence[str],
    y_names: Sequence[str],
    of_clusters: Mapping[str, FloatArray],
    w_names: Sequence[str],
    ids: pd.Index[Any],
) -> None:
    """Raise DataError if covariates are missing; it names all of them, with the lines to write.

    A level-1 covariate may be missing where no outcome is observed.

    Parameters
    ----------
    values
        Columns of all variables, (N,).
    x_names, y_names
        Level-1 covariates and outcomes.
    of_clusters
        Values of cluster-level variables in every cluster, (J,).
    w_names
        Cluster-level covariates.
    ids
        Identifiers of the clusters, (J,); empty in single-level models.
    """
    seen = np.zeros(len(next(iter(values.values()))), dtype=bool)
    for name in y_names:
        seen |= ~np.isnan(values[name])
    places: dict[str, list[str]] = {"within": [], "between": []}
    lines: dict[str, list[str]] = {"within": [], "between": []}
    for name in x_names:
        missing = np.isnan(values[name]) & seen
        if missing.any():
            places["within"].append(f"covariate '{name}' is missing in {positions(missing)}")
            lines["within"].append(f"{name} ~~ {name}")
    for name in w_names:
        absent = np.flatnonzero(np.isnan(of_clusters[name]))
        if len(absent):
            shown = listed([ids[j] for j in absent[:5]]) + (", ..." if len(absent) > 5 else "")
            places["between"].append(
                f"cluster-level covariate '{name}' is missing in {len(absent)} of {len(ids)} "
                f"clusters ('{ids.name}' {shown})"
            )
            lines["between"].append(f"{name} ~~ {name}")
    if places["within"] or places["between"]:
        raise DataError(_missing_covariates(places, lines, two_level=len(ids) > 0))


def _missing_covariates(
    places: Mapping[str, Sequence[str]], lines: Mapping[str, Sequence[str]], *, two_level: bool
) -> str:
    """Say where covariates are missing, and what to write."""
    written = [
        "\n".join(
            [
                *([f"to the block 'level: {level}':"] if two_level else []),
                *(f"    {text}" for text in lines[level]),
            ]
        )
        for level in ("within", "between")
        if lines[level]
    ]
    several = sum(len(found) for found in lines.values()) > 1
    it = "their variances" if several else "its variance"
    left_out = " and ".join(
        name for name, level in (("rows", "within"), ("clusters", "between")) if lines[level]
    )
    return "\n".join(
        [
            f"{'; '.join([*places['within'], *places['between']])}. Covariates are conditioned on, "
            f"so nothing says what a missing one may be. Bring them into the model by {it}, then "
            "their missing values are integrated out; add",
            *written,
            f"or use missing='listwise' to leave these {left_out} out (biased unless values are "
            "missing completely at random)",
        ]
    )


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
    """

    variables: pd.DataFrame
    patterns: pd.DataFrame
    coverage: pd.DataFrame
    empty_rows: int
    silent_clusters: tuple[Any, ...]
    dropped: int

    @property
    def lines(self) -> list[str]:
        """The report as indented lines of text; empty if nothing is missing."""
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
            lines.append(f"  {row.variable}: {row.missing} of {row.n} {unit} ({row.percent:.1f}%)")
        if self.empty_rows:
            lines.append(
                f"  {plural(self.empty_rows, 'row')} without any observed outcome: kept in the "
                "outputs, without influence on the estimates"
            )
        if self.silent_clusters:
            shown = listed(self.silent_clusters[:5])
            more = ", ..." if len(self.silent_clusters) > 5 else ""
            lines.append(
                f"  {plural(len(self.silent_clusters), 'cluster')} without any observed outcome "
                f"({shown}{more}): their effects are predictions from level 2"
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
    for level, names, values in (
        ("within", observed.y_names, observed.y),
        ("between", observed.z_names, observed.z),
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
