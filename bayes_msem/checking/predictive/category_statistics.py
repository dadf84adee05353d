r"""Discrepancies of outcomes that are not normal.

Categories and counts are compared as they are: shares, tables of pairs, and how both differ between
clusters. Missing cells are missing in the replicates too, and are left out of every number.

The table of a pair of ordered outcomes, with counts O in its cells, is compared with the mean E of
the tables of a few more replicates at the same draw of the parameters:

    T = sum (O - E)^2 / (E + 1/2) .

Data and replicate are compared with the same E, so the p-value is valid however few these are; more
of them make it see more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bayes_msem.checking.predictive.design import Design
from bayes_msem.checking.predictive.named_statistics import BUILT_IN, Statistic
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.scale_statistics import SCALE_NAMES
from bayes_msem.checking.predictive.structure import Structure
from bayes_msem.errors import NotSupportedError

__all__ = ["NAMES", "PairTables", "check_statistics", "response_statistics"]

FloatArray = NDArray[np.float64]

NAMES = (
    "category_share",
    "pair_table",
    "zero_share",
    "count_mean",
    "count_dispersion",
    "share_spread",
    "count_spread",
    "slope_spread",
    *SCALE_NAMES,
)
_MORE = 8  # replicates whose tables are averaged
_NORMAL = {s.name for s in BUILT_IN} | {"deviance", "chi_square_refit"}


def check_statistics(asked: object, names: Sequence[str]) -> None:
    """Refuse statistics of normal theory, for a model whose outcomes ``names`` are not normal."""
    wanted = [asked] if isinstance(asked, str) else asked if isinstance(asked, Sequence) else []
    for name in wanted:
        if isinstance(name, str) and name in _NORMAL:
            raise NotSupportedError(
                f"the statistic '{name}' takes all outcomes to be normal, and this model has "
                f"others ({', '.join(names)}); use {', '.join(NAMES)}, or a function of the data"
            )


def response_statistics(design: Design, tables: PairTables) -> list[Statistic]:
    """Return the statistics of a model with outcomes that are not normal.

    Parameters
    ----------
    design
        The design of the data.
    tables
        Tables of pairs.
    """
    families = tables.families
    ordered = [name for name, family in families.items() if family.has_thresholds]
    counts = [name for name, family in families.items() if family.is_count]
    found: list[Statistic] = []

    def add(name: str, title: str, level: str, labels: list[str], two_sided: bool,
            compute: Callable[[Sample], FloatArray]) -> None:  # fmt: skip
        if labels:
            found.append(
                Statistic(name, title, level, _of_sample(compute), _fixed(labels), two_sided)
            )

    add("category_share", "shares of categories", "", _category_labels(design, ordered), True,
        partial(_shares, design=design, names=ordered))  # fmt: skip
    if tables.pairs:
        labels = [f"{a} x {b}" for a, b in tables.pairs]
        title = "distance of the table of a pair from that of replicates"
        found.append(
            Statistic("pair_table", title, "", tables.distances, _fixed(labels), two_sided=False)
        )
    for name, title, function in (
        ("zero_share", "share of zeros", _zeros),
        ("count_mean", "mean of counts", _mean),
        ("count_dispersion", "variance of counts over their mean", _dispersion),
    ):
        add(name, title, "", counts, True, partial(_by_outcome, names=counts, function=function))
    split = set(design.observed.split_names) if design.two_level else set()
    between = [name for name in ordered if name in split]
    add("share_spread", "SD of clusters' shares of categories", "between", between, True,
        partial(_share_spreads, names=between))  # fmt: skip
    between = [name for name in counts if name in split]
    add("count_spread", "SD of clusters' mean counts over their mean", "between", between, True,
        partial(_count_spreads, names=between))  # fmt: skip
    slopes = _slopes(design) if design.two_level else []
    x = design.observed.x_names
    add("slope_spread", "SD of clusters' slopes", "between",
        [f"{name} ~ {x[i]}" for i, name in slopes], True,
        partial(_slope_spreads, slopes=slopes))  # fmt: skip
    return found


def _of_sample(
    compute: Callable[[Sample], FloatArray],
) -> Callable[[Sample, Structure], FloatArray]:
    return lambda sample, structure: compute(sample)


def _fixed(labels: list[str]) -> Callable[[Design], Sequence[str]]:
    return lambda design: labels


def _column(sample: Sample, name: str) -> FloatArray:
    observed = sample.design.observed
    if name in observed.z_names:
        of_clusters: FloatArray = sample.z[:, observed.z_names.index(name)]
        return of_clusters
    values: FloatArray = sample.y[:, observed.y_names.index(name)]
    return values


def _category_labels(design: Design, names: Sequence[str]) -> list[str]:
    """One label per category; of two categories, the upper one says everything."""
    labels = []
    for name in names:
        every = design.observed.categories[name]
        labels += [f"{name} = {category}" for category in (every[1:] if len(every) == 2 else every)]
    return labels


def _shares(sample: Sample, *, design: Design, names: Sequence[str]) -> FloatArray:
    parts = []
    for name in names:
        n, y = len(design.observed.categories[name]), _column(sample, name)
        counts = np.bincount(y[~np.isnan(y)].astype(np.int64), minlength=n)
        parts.append((counts / counts.sum())[1 if n == 2 else 0 :])
    return np.concatenate(parts)


def _by_outcome(
    sample: Sample, *, names: Sequence[str], function: Callable[[FloatArray], float]
) -> FloatArray:
    columns = [_column(sample, name) for name in names]
    return np.array([function(y[~np.isnan(y)]) for y in columns])


def _zeros(y: FloatArray) -> float:
    return float((y == 0).mean())


def _mean(y: FloatArray) -> float:
    return float(y.mean())


def _dispersion(y: FloatArray) -> float:
    mean = float(y.mean())
    return float(y.var()) / mean if mean > 0 else 0.0


def _cluster_means(sample: Sample, values: FloatArray) -> FloatArray:
    """Means (J', k) of columns (N, k) in the clusters that have some that are not missing."""
    known = ~np.isnan(values[:, :1])
    n = sample.design.sums(known.astype(np.float64))
    sums = sample.design.sums(np.where(known, values, 0.0))
    some = n[:, 0] > 0
    result: FloatArray = sums[some] / n[some]
    return result


def _share_spreads(sample: Sample, *, names: Sequence[str]) -> FloatArray:
    """Root of the sum, over categories, of the variances of clusters' shares."""
    result = []
    for name in names:
        y = _column(sample, name)[:, None]
        categories = np.arange(len(sample.design.observed.categories[name]))
        means = _cluster_means(sample, np.where(np.isnan(y), np.nan, y == categories))
        result.append(float(np.sqrt(means.var(axis=0).sum())))
    return np.array(result)


def _count_spreads(sample: Sample, *, names: Sequence[str]) -> FloatArray:
    result = []
    for name in names:
        means = _cluster_means(sample, _column(sample, name)[:, None])
        result.append(float(means.std()) / max(float(means.mean()), 1e-300))
    return np.array(result)


def _slopes(design: Design) -> list[tuple[int, str]]:
    """Covariates that vary inside clusters, with every response."""
    assert design.template.responses is not None
    responses = design.template.responses
    names = [name for name in responses.names if name not in responses.scaled]
    return [(i, name) for i in design.x_moving for name in names]


def _slope_spreads(sample: Sample, *, slopes: Sequence[tuple[int, str]]) -> FloatArray:
    """SD of least-squares slopes of the codes in single clusters, weighted by their information."""
    design, result = sample.design, []
    for i, name in slopes:
        y, x = _column(sample, name), design.observed.x[:, i]
        known = ~np.isnan(y)
        n = np.maximum(design.sums(known.astype(np.float64)), 1.0)
        x_mean = design.sums(np.where(known, x, 0.0)) / n
        x = np.where(known, x - x_mean[design.codes], 0.0)
        squares, products = design.sums(x**2), design.sums(x * np.where(known, y, 0.0))
        some = squares > 1e-9 * squares.max(initial=0.0)
        slope, weight = products[some] / squares[some], squares[some] / squares[some].sum()
        centred = slope - weight @ slope
        result.append(float(np.sqrt(weight @ centred**2)))
    return np.array(result)


class PairTables:
    """Tables of all pairs of ordered outcomes, and what they are expected to be.

    Outcomes of rows and outcomes of clusters have tables of their own.

    Parameters
    ----------
    design
        The design.
    more
        Makes more replicates at the draw of the parameters that is being looked at.
    of_clusters
        Whether replicates have other outcomes of clusters than the data.
    """

    def __init__(
        self, design: Design, more: Callable[[int], list[Sample]], *, of_clusters: bool
    ) -> None:
        template = design.template
        assert template.responses is not None
        self.families = dict(template.responses.families)
        names = [name for name, family in self.families.items() if family.has_thresholds]
        self.pairs = [(a, b) for k, b in enumerate(names) for a in names[:k]]
        if of_clusters and template.cluster_responses is not None:
            families = template.cluster_responses.families
            names = [name for name, family in families.items() if family.has_thresholds]
            self.pairs += [(a, b) for k, b in enumerate(names) for a in names[:k]]
            self.families |= families
        self.more = more
        self.structure: Structure | None = None
        self.expected: list[FloatArray] = []

    def distances(self, sample: Sample, structure: Structure) -> FloatArray:
        """Sum of (O - E)^2 / (E + 1/2) of every pair."""
        if structure is not self.structure:
            tables = [self.tables(other) for other in self.more(_MORE)]
            self.expected = [np.mean(same, axis=0) for same in zip(*tables, strict=True)]
            self.structure = structure
        pairs = zip(self.tables(sample), self.expected, strict=True)
        return np.array([float(((o - e) ** 2 / (e + 0.5)).sum()) for o, e in pairs])

    def tables(self, sample: Sample) -> list[FloatArray]:
        """Count pairs of categories, in rows that have both; cells stand in one row."""
        found, categories = [], sample.design.observed.categories
        for names in self.pairs:
            first, second = (_column(sample, name) for name in names)
            sizes = [len(categories[name]) for name in names]
            known = ~(np.isnan(first) | np.isnan(second))
            cell = first[known] * sizes[1] + second[known]
            counts = np.bincount(cell.astype(np.int64), minlength=sizes[0] * sizes[1])
            found.append(counts.astype(np.float64))
        return found
