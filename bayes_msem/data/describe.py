"""What the clusters look like before any model: sizes, ANOVA components, intraclass correlations.

With S_W, S_B and Sigma_B of :mod:`bayes_msem.data.anova`, clusters j of size n_j and N rows,

    ICC(1) = Sigma_B / (Sigma_B + S_W)       ICC(2) = 1 - S_W / S_B      (diagonals)
    design effect = 1 + (sum_j n_j^2 / N - 1) ICC(1)
    effective n = N / max(design effect, 1)

the last two for the mean over all rows: so many independent rows would estimate it as well. Where
all cluster means are equal, ICC(2) is not defined. Missing values are deleted pairwise.

References
----------
Muthén, B. O. (1994). Multilevel covariance structure analysis. Sociological Methods & Research,
22(3), 376-398. https://doi.org/10.1177/0049124194022003006

Shrout, P. E., & Fleiss, J. L. (1979). Intraclass correlations: Uses in assessing rater reliability.
Psychological Bulletin, 86(2), 420-428. https://doi.org/10.1037/0033-2909.86.2.420
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.arguments import anything, checked, choice
from bayes_msem.arguments import columns as column_names
from bayes_msem.data.anova import (
    anova_components,
    cluster_counts,
    reliability_of_means,
    shares_of_total,
)
from bayes_msem.data.cluster_column import code_clusters
from bayes_msem.data.columns import numeric_columns
from bayes_msem.data.frame_checks import (
    check_cluster_argument,
    check_columns,
    check_frame,
    cluster_columns,
)
from bayes_msem.data.sample_size import on_clusters, on_reliability
from bayes_msem.errors import DataError, NotSupportedError, nearest
from bayes_msem.markup import bullets_of
from bayes_msem.wording import plural

__all__ = ["Description", "describe"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Scaling = Literal["anova", "cronbach-harnqvist"]

_DECIMALS = {
    **dict.fromkeys(("n", "missing", "clusters", "effective n"), 0),
    **{"ICC(1)": 3, "ICC(2)": 3, "design effect": 2},
}
_LEGEND = (
    "sd within and sd between: square roots of the ANOVA estimates of the variance at each level "
    "(between: (S_B - S_W) / n*; empty if negative). ICC(2): reliability of cluster means. "
    "Effective n: independent rows that would estimate the mean as well."
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Description:
    """Clusters and variables of a data set.

    Attributes
    ----------
    cluster_sizes
        Number of rows of each cluster.
    variables
        One row per variable: n, missing, clusters (that have values), mean, sd_within, sd_between,
        icc1, icc2, design_effect, effective_n.
    within, between
        S_W and S_B; with the scaling of Cronbach and Härnqvist P_W and P_B, which add up to the
        total correlations.
    sigma_between
        Sigma_B, the estimated covariance matrix of the between parts.
    scaling
        Of ``within`` and ``between``: "anova" or "cronbach-harnqvist".

    Examples
    --------
    >>> import bayes_msem as bm
    >>> about = bm.describe(bm.load_dataset("hsb"), "school", ["mach", "ses"])
    >>> len(about.cluster_sizes), about.within.shape
    (160, (2, 2))
    """

    cluster_sizes: pd.Series[Any]
    variables: pd.DataFrame
    within: pd.DataFrame
    between: pd.DataFrame
    sigma_between: pd.DataFrame
    scaling: Scaling = "anova"

    @property
    def within_correlation(self) -> pd.DataFrame:
        """Correlations of S_W.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> about = bm.describe(bm.load_dataset("hsb"), "school", ["mach", "ses"])
        >>> round(float(about.within_correlation.loc["mach", "ses"]), 2)
        0.23
        """
        return _correlation(self.within)

    @property
    def between_correlation(self) -> pd.DataFrame:
        """Correlations of Sigma_B; they may exceed 1, and are NaN at negative variances.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> about = bm.describe(bm.load_dataset("hsb"), "school", ["mach", "ses"])
        >>> round(float(about.between_correlation.loc["mach", "ses"]), 2)
        0.83
        """
        return _correlation(self.sigma_between)

    @property
    def advice(self) -> tuple[str, ...]:
        """What the number of clusters and the reliability of their means support.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> about = bm.describe(bm.load_dataset("hsb").head(400), "school", ["mach", "ses"])
        >>> print(about.advice[0][:60])
        11 clusters: up to 2 free parameters of level between (4 clu
        """
        n_clusters = len(self.cluster_sizes)
        reliability = {str(name): float(r) for name, r in self.variables["icc2"].items()}
        notes = (on_clusters(n_clusters), on_reliability(reliability, n_clusters))
        return tuple(note for note in notes if note)

    def __repr__(self) -> str:
        """Return sizes, variables, correlations and advice as text."""
        legend = textwrap.fill(_LEGEND, 100)
        parts = [self._sizes(), self._shown().to_string(), legend]
        if len(self.within) > 1:
            parts += [
                textwrap.fill(self._correlation_title(), 100),
                _text(self._correlations(), 2).to_string(),
            ]
        parts += [textwrap.fill(note, 100, subsequent_indent="  ") for note in self.advice]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        """Notebook display."""
        parts = [
            f"<p>{escape(self._sizes())}</p>",
            self._shown().to_html(border=0),
            f"<p style='font-size:90%'>{escape(_LEGEND)}</p>",
        ]
        if len(self.within) > 1:
            parts.append(f"<p>{escape(self._correlation_title())}</p>")
            parts.append(_text(self._correlations(), 2).to_html(border=0))
        parts.append(bullets_of(self.advice))
        return f"<div>{''.join(parts)}</div>"

    def _sizes(self) -> str:
        sizes = self.cluster_sizes
        return (
            f"{plural(int(sizes.sum()), 'row')} in {plural(len(sizes), 'cluster')} "
            f"({sizes.name}) of {sizes.min()} to {sizes.max()} rows: mean {sizes.mean():.1f}, "
            f"median {sizes.median():g}, harmonic mean {1 / (1 / sizes).mean():.1f}"
        )

    def _shown(self) -> pd.DataFrame:
        names = {
            "sd_within": "sd within",
            "sd_between": "sd between",
            "icc1": "ICC(1)",
            "icc2": "ICC(2)",
            "design_effect": "design effect",
            "effective_n": "effective n",
        }
        return _text(self.variables.rename(columns=names), 3)

    def _correlation_title(self) -> str:
        if self.scaling == "cronbach-harnqvist":
            return (
                "Parts of the total correlations (Cronbach-Härnqvist): within below the diagonal, "
                "between above; on it the share between, eta squared"
            )
        return "Correlations: within (S_W) below the diagonal, between (Sigma_B) above"

    def _correlations(self) -> pd.DataFrame:
        if self.scaling == "cronbach-harnqvist":
            joint = np.tril(self.within, -1) + np.triu(self.between)
        else:
            joint = np.tril(self.within_correlation, -1) + np.triu(self.between_correlation)
            np.fill_diagonal(joint, 1.0)
        names = self.within.columns
        return pd.DataFrame(joint, index=names, columns=names)


@checked(cluster=anything, variables=column_names, scaling=choice(Scaling))
def describe(
    data: pd.DataFrame,
    cluster: str,
    variables: Sequence[str] | None = None,
    scaling: Scaling = "anova",
) -> Description:
    """Describe clusters and variables before modelling.

    Parameters
    ----------
    data
        One row per observation.
    cluster
        Name of the column with the cluster identifiers.
    variables
        Names of numeric columns; None: all numeric columns besides ``cluster``.
    scaling
        Of the matrices within and between: "anova", variances per degree of freedom, in the units
        of the variables, or "cronbach-harnqvist", parts that add up to the total correlations.

    Returns
    -------
    Description
        Cluster sizes, intraclass correlations, design effects, matrices within and between;
        formulas in the modules ``data.describe`` and ``data.anova``. Missing values are deleted
        pairwise.

    Raises
    ------
    DataError
        Unknown or non-numeric columns, missing identifiers, fewer than two clusters, or no cluster
        with two rows.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> about = bm.describe(data, "school", ["mach", "ses"])
    >>> about.variables["icc1"].round(3).to_dict()
    {'mach': 0.174, 'ses': 0.267}
    >>> parts = bm.describe(data, "school", ["mach", "ses"], scaling="cronbach-harnqvist")
    >>> total = parts.within + parts.between
    >>> total.round(3).to_numpy().tolist()  # correlations, clusters ignored
    [[1.0, 0.361], [0.361, 1.0]]
    """
    check_frame(data)
    several = cluster_columns(cluster, list(data.columns))
    if len(several) > 1:
        raise NotSupportedError(
            "describe() splits variation over two levels, not over three: call it for each column, "
            f"cluster={several[0]!r} and cluster={several[1]!r}; fit.icc() of a model of three "
            "levels has the shares of all"
        )
    cluster = several[0] if several else cluster
    check_cluster_argument(data, cluster, two_level=True)
    names = _checked_names(data, cluster, variables)
    codes, ids = code_clusters(data[cluster], cluster)
    sizes = np.bincount(codes)
    if len(sizes) < 2 or sizes.max() < 2:
        raise DataError(
            f"column '{cluster}' makes {plural(len(sizes), 'cluster')} of at most "
            f"{plural(int(sizes.max()), 'row')}; a description of two levels needs two "
            "clusters or more, and clusters of two rows or more"
        )
    values = numeric_columns(data, names)
    frames = _matrices(values, codes, anova_components, ("w", "b", "sigma"))
    scaled = frames
    if scaling == "cronbach-harnqvist":
        scaled = _matrices(values, codes, shares_of_total, ("w", "b"))
    return Description(
        cluster_sizes=pd.Series(sizes, index=ids, name=cluster),
        variables=_variables(values, codes, frames),
        within=scaled["w"],
        between=scaled["b"],
        sigma_between=frames["sigma"],
        scaling=scaling,
    )


def _matrices(
    values: dict[str, FloatArray],
    codes: IntArray,
    of_pair: Callable[[FloatArray, FloatArray, IntArray], tuple[float, ...]],
    keys: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """Matrices of all variables, from what a function says of each pair."""
    names = list(values)
    matrices = {key: np.full((len(names), len(names)), np.nan) for key in keys}
    for i, first in enumerate(names):
        for k, second in enumerate(names[: i + 1]):
            pair = of_pair(values[first], values[second], codes)
            for key, value in zip(matrices, pair, strict=True):
                matrices[key][i, k] = matrices[key][k, i] = value
    return {key: pd.DataFrame(m, index=names, columns=names) for key, m in matrices.items()}


def _checked_names(
    data: pd.DataFrame, cluster: str, variables: Sequence[str] | None
) -> tuple[str, ...]:
    if variables is None:
        numeric = data.select_dtypes(["number", "bool"]).columns
        names = tuple(name for name in numeric if name != cluster)
        if not names:
            raise DataError("data has no numeric column besides the clusters; name the variables")
        return names
    names = (variables,) if isinstance(variables, str) else tuple(variables)
    for name in names:
        if name not in data.columns:
            known = [str(c) for c in data.columns]
            raise DataError(
                f"variable '{name}' is not a column of data{nearest(str(name), known)}; "
                f"it has {', '.join(known)}"
            )
    if not names or len(set(names)) < len(names):
        raise DataError(f"variables must name each column once, and at least one; got {names}")
    check_columns(data, names)
    return names


def _variables(
    values: dict[str, FloatArray], codes: IntArray, frames: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    diagonals = [np.diag(frames[key].to_numpy()) for key in ("w", "b", "sigma")]
    rows = {}
    for i, (name, column) in enumerate(values.items()):
        present = ~np.isnan(column)
        n, j, weighted, _ = cluster_counts(codes[present])
        within, between, sigma = (diagonal[i] for diagonal in diagonals)
        with np.errstate(divide="ignore", invalid="ignore"):
            icc1 = sigma / (sigma + within)
            icc2 = reliability_of_means(within, between)
            design_effect = 1.0 + (weighted - 1.0) * icc1
            rows[name] = {
                "n": n,
                "missing": len(column) - n,
                "clusters": j,
                "mean": column[present].mean() if n else np.nan,
                "sd_within": np.sqrt(within),
                "sd_between": np.sqrt(sigma),
                "icc1": icc1,
                "icc2": icc2,
                "design_effect": design_effect,
                "effective_n": n / np.maximum(design_effect, 1.0),
            }
    return pd.DataFrame.from_dict(rows, orient="index").astype(
        {"n": np.int64, "missing": np.int64, "clusters": np.int64}
    )


def _correlation(covariance: pd.DataFrame) -> pd.DataFrame:
    matrix = covariance.to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = np.sqrt(np.diag(matrix))
        values = matrix / np.outer(sd, sd)
    return pd.DataFrame(values, index=covariance.index, columns=covariance.columns)


def _text(frame: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """Round for display; empty where there is no number."""
    return pd.DataFrame(
        {
            name: [
                "" if np.isnan(v) else f"{v:.{_DECIMALS.get(str(name), decimals)}f}" for v in column
            ]
            for name, column in frame.items()
        },
        index=frame.index,
    )
