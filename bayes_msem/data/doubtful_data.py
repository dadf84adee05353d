"""Things in the data that a model text takes at face value, and that may not be what they seem.

None is an error. Each function returns notes, one or two sentences each, or nothing.

**Codes.** Values such as 999 or -9 at the end of a variable, far from all others.

**Like categories.** Outcomes that are modelled as continuous, with few values, all integers.

**Means of outcomes.** A variable of level 2 that is a linear function of the cluster means of a
level-1 outcome (R^2 above 1 - :data:`_DERIVED`; published means are rounded).

**Slopes without variation.** ``rv()`` on a covariate that is constant inside clusters.

**Clusters without spread.** An outcome that is constant in a cluster of three rows or more, where a
log SD with predictors at level within varies over clusters: its density there grows without bound
as the log SD falls, like exp(-(n - 1) g), and the normal distribution of g over clusters gives that
the mean exp((n - 1)^2 var(g) / 2), which no prior with a normal tail outweighs.

**Blended slopes.** A covariate of level within that differs between clusters by more than chance
(ANOVA components of :mod:`bayes_msem.data.describe`, F test) has one slope for two effects:
that of differences inside clusters and that of differences between them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bayes_msem.data.anova import anova_components
from bayes_msem.data.cluster_means import cluster_means
from bayes_msem.data.coded_columns import CodedColumns
from bayes_msem.data.observed_data import ObservedData, labelled
from bayes_msem.spec.table import ParameterTable
from bayes_msem.wording import listed, plural

__all__ = [
    "blended_slopes",
    "clusters_without_spread",
    "codes_for_missing",
    "like_categories",
    "means_of_outcomes",
    "slopes_without_variation",
]

FloatArray = NDArray[np.float64]

# A code of two rows or more lies this many ranges of the other values away from them (less if all
# of these are fractions); a single one is more likely to be an outlier, unless it is very far.
_NEAR, _FAR, _VERY_FAR = 0.25, 0.75, 5.0
# 9, 8, 7, 99, 98, 97, 88, 77, 999, ..., and the same with a minus sign.
_CODES = frozenset(
    [float(10**k - d) for k in range(1, 6) for d in (1, 2, 3)]
    + [float(str(d) * k) for d in (7, 8) for k in range(2, 6)]
)
_DERIVED = 5e-4
_FEWEST_CLUSTERS = 4  # with fewer, any variable is nearly a function of any other
_ICC, _LEVEL = 0.05, 0.001
_FEWEST_FLAT = 3  # rows, below which priors outweigh a cluster without spread
_FEW_VALUES = 7  # the longest usual rating scale


def codes_for_missing(observed: ObservedData) -> list[str]:
    """Name values that look like codes for missing ones."""
    blocks = [
        (observed.y_names, observed.y, "row"),
        (observed.z_names, observed.z, "cluster"),
        (observed.x_names, observed.x, "row"),
        (observed.w_names, observed.w, "cluster"),
    ]
    if observed.sources is not None:
        blocks.append((observed.source_names, observed.sources, "row"))
    computed = {*observed.coded.columns, *observed.coded.categories}
    found: dict[str, list[float]] = {}
    told: list[str] = []
    for names, values, unit in blocks:
        for k, name in enumerate(names):
            if name in computed:
                continue
            column = _numbers(observed, name, values[:, k])
            for code in _codes(column[~np.isnan(column)]):
                found.setdefault(name, []).append(code)
                count = plural(int((column == code).sum()), unit)
                told.append(f"{code:g} in '{name}' ({count})")
    if not found:
        return []
    codes = {name: values if len(values) > 1 else values[0] for name, values in found.items()}
    shown = ", ".join(f"{name!r}: {_plain(code)}" for name, code in codes.items())
    return [
        f"Values that may be codes for missing ones: {', '.join(told)}. They lie far from all "
        "other values and are read as numbers. If they are codes, replace them first: "
        f"data = data.replace({{{shown}}}, float('nan'))."
    ]


def _numbers(observed: ObservedData, name: str, column: FloatArray) -> FloatArray:
    """Return a variable with the numbers that the data show, in place of codes of categories."""
    labels = observed.categories.get(name)
    shown = column if labels is None else labelled(column, labels)
    return shown if isinstance(shown, np.ndarray) else column


def like_categories(observed: ObservedData) -> list[str]:
    """Name continuous outcomes that look like ordered ones: few integers."""
    found = []
    for names, values in ((observed.y_names, observed.y), (observed.z_names, observed.z)):
        for name, column in zip(names, values.T, strict=True):
            seen = np.unique(column[~np.isnan(column)])
            whole = bool(np.all(seen == np.round(seen)))
            if name not in observed.families and whole and len(seen) <= _FEW_VALUES:
                found.append(name)
    if not found:
        return []
    who = "An outcome has" if len(found) == 1 else f"{len(found)} outcomes have"
    return [
        f"{who} at most {_FEW_VALUES} different values, all integers, and "
        f"{'is' if len(found) == 1 else 'are'} modelled as continuous (normal). To model the "
        f"categories instead, say ordered={found!r}."
    ]


def clusters_without_spread(observed: ObservedData, table: ParameterTable) -> list[str]:
    """Name clusters in which an outcome with a random log SD is constant."""
    notes = []
    for name, log_sd in table.log_sds.items():
        if observed.cluster is None or log_sd in table.constant_log_sds:
            continue
        y, n = observed.outcome(name), observed.n_clusters
        known, cluster = ~np.isnan(y), observed.cluster
        size = np.bincount(cluster[known], minlength=n)
        high, low = np.full(n, -np.inf), np.full(n, np.inf)
        np.maximum.at(high, cluster[known], y[known])
        np.minimum.at(low, cluster[known], y[known])
        flat = np.flatnonzero((size >= _FEWEST_FLAT) & (high == low))
        if not len(flat):
            continue
        shown = listed([str(observed.cluster_ids[j]) for j in flat[:5]])
        more = f" and {len(flat) - 5} more" if len(flat) > 5 else ""
        notes.append(
            f"'{name}' has the same value in all rows of {plural(len(flat), 'cluster')} ({shown}"
            f"{more}): their log SD '{log_sd}' has no lower bound, and the larger its variance "
            "over clusters is, the better such a cluster fits, so that there may be no posterior. "
            f"Leave these clusters out, give '{name}' the digits that rounding took from it, or "
            f"bound the SD, such as priors={{'between: {log_sd} ~~ {log_sd}': 'uniform(0, 1)'}}."
        )
    return notes


def _plain(code: float | list[float]) -> str:
    return f"[{', '.join(f'{c:g}' for c in code)}]" if isinstance(code, list) else f"{code:g}"


def _codes(column: FloatArray) -> list[float]:
    """Return the codes at both ends of a variable."""
    values = np.unique(column)
    low = _tail(values, -1)
    high = _tail(values[::-1], 1)
    found = [*low, *high[::-1]]
    rest = values[~np.isin(values, found)]
    codes: list[float] = []
    for tail, end in ((low, rest[:1]), (high, rest[-1:])):
        if not tail or len(rest) < 2:
            continue
        count = int(np.isin(column, tail).sum())
        gap = abs(float(tail[-1] - end[0])) / float(rest[-1] - rest[0])
        whole = rest == np.round(rest)
        needed = _VERY_FAR if count == 1 else _FAR if whole.any() else _NEAR
        negative = tail is low and count > 1 and rest[0] >= 0 and bool(whole.all())
        if gap >= needed or negative:  # a negative number among counts or scores
            codes += sorted(tail)
    return codes


def _tail(values: FloatArray, sign: int) -> list[float]:
    """Return the leading values that are codes, from the end of the variable inwards."""
    tail: list[float] = []
    for value in values:
        if sign * value not in _CODES:
            break
        tail.append(float(value))
    return tail


# Two levels ------------------------------------------------------------------------------------


def means_of_outcomes(observed: ObservedData) -> list[str]:
    """Name cluster-level variables that are cluster means of modelled level-1 variables."""
    if observed.cluster is None:
        return []
    notes = []
    for name, values in _cluster_variables(observed).items():
        for k, outcome in enumerate(observed.y_names):
            if _is_mean(values, observed.y[:, k], observed):
                notes.append(
                    f"'{name}' is the cluster mean of '{outcome}' (up to its scale), and "
                    f"'{outcome}' is an outcome here: the same data enter twice, as outcome and "
                    f"as cause. At level between, write '{outcome}' in the place of '{name}': "
                    "it stands for the latent cluster mean there."
                )
    return notes


def _cluster_variables(observed: ObservedData) -> dict[str, FloatArray]:
    """Values per cluster of the variables that are constant inside clusters."""
    assert observed.cluster is not None
    found = dict(zip(observed.z_names, observed.z.T, strict=True))
    found |= dict(zip(observed.w_names, observed.w.T, strict=True))
    first = np.unique(observed.cluster, return_index=True)[1]
    for k, name in enumerate(observed.x_names):
        if _varying_clusters(observed, k) == 0:
            found[name] = observed.x[first, k]
    return found


def _is_mean(values: FloatArray, column: FloatArray, observed: ObservedData) -> bool:
    """Whether cluster values are a linear function of the cluster means of a column."""
    assert observed.cluster is not None
    seen = ~np.isnan(column)
    means = cluster_means(column[seen], observed.cluster[seen], observed.n_clusters)
    both = ~(np.isnan(means) | np.isnan(values))
    if both.sum() < _FEWEST_CLUSTERS:
        return False
    pair = np.vstack([values[both], means[both]])
    pair = pair - pair.mean(axis=1, keepdims=True)
    (v, c), (_, m) = pair @ pair.T
    return bool(v > 0 and m > 0 and c**2 >= (1 - _DERIVED) * v * m)


def _varying_clusters(observed: ObservedData, k: int) -> int:
    """Count the clusters inside which covariate ``k`` of level within takes several values."""
    assert observed.cluster is not None
    seen = ~np.isnan(observed.x[:, k])
    column, codes = observed.x[seen, k], observed.cluster[seen]
    low = np.full(observed.n_clusters, np.inf)
    high = np.full(observed.n_clusters, -np.inf)
    np.minimum.at(low, codes, column)
    np.maximum.at(high, codes, column)
    rounding = 1e-9 * column.std()
    return int((high - low > rounding).sum())


def slopes_without_variation(observed: ObservedData, table: ParameterTable) -> list[str]:
    """Name random slopes on covariates that hardly vary inside clusters."""
    if observed.cluster is None:
        return []
    notes = []
    for row in table.rows:
        if not row.random or row.kind != "regression" or row.rhs not in observed.x_names:
            continue
        varying = _varying_clusters(observed, observed.x_names.index(row.rhs))
        what = f'rv("{row.random}")*{row.rhs}'
        if varying == 0:
            notes.append(
                f"{what}: '{row.rhs}' is constant inside every cluster, so no cluster shows a "
                f"slope of its own. What differs is how much '{row.lhs}' varies between clusters "
                f"with different '{row.rhs}'. For its effect on the cluster means, write "
                f"'{row.lhs} ~ {row.rhs}' at level between."
            )
        elif varying < min(3, observed.n_clusters):
            notes.append(
                f"{what}: '{row.rhs}' varies inside {plural(varying, 'cluster')} of "
                f"{observed.n_clusters} only, so the data hardly say how slopes differ."
            )
    return notes


def blended_slopes(observed: ObservedData, table: ParameterTable) -> list[str]:
    """Name covariates of level within whose slope blends two effects."""
    if observed.cluster is None or not observed.split_names:
        return []
    blended: dict[str, float] = {}
    for k, name in enumerate(observed.x_names):
        column = observed.x[:, k]
        if not _has_effect(name, table) or _varying_clusters(observed, k) == 0:
            continue
        within, between, sigma = anova_components(column, column, observed.cluster)
        if not within > 0:  # rounding, or clusters of one row
            continue
        seen = ~np.isnan(column)
        n_clusters = len(np.unique(observed.cluster[seen]))
        p = special.fdtrc(n_clusters - 1, int(seen.sum()) - n_clusters, between / within)
        icc = sigma / (sigma + within)
        mundlak = any(_is_mean(w, column, observed) for w in observed.w.T)
        if icc >= _ICC and p < _LEVEL and not mundlak:
            blended[name] = icc
    if not blended:
        return []
    shown = ", ".join(f"{name} {icc:.2f}" for name, icc in blended.items())
    one = len(blended) == 1
    return [
        f"{'Covariate' if one else 'Covariates'} {listed(list(blended))} of level within "
        f"{'differs' if one else 'differ'} between clusters too (intraclass correlation: {shown}), "
        f"so {'its slope blends' if one else 'their slopes blend'} effects inside clusters with "
        "effects between clusters. "
        + " ".join(_told_apart(list(blended), observed.coded, str(observed.cluster_name)))
    ]


def _told_apart(names: list[str], coded: CodedColumns, cluster: str) -> Iterator[str]:
    """Say how to tell effects inside clusters from those between them, once for each kind."""
    numbers = [name for name in names if name not in coded.columns]
    dummies = [name for name in names if len(coded.columns.get(name, ())) == 1]
    products = [name for name in names if len(coded.columns.get(name, ())) > 1]
    means = f".groupby(data['{cluster}']).transform('mean')"
    bound = [name for name in numbers if coded.is_bound(name)]
    for first in [name for name in numbers if name not in bound][:1]:
        yield (
            f"To tell them apart, use '{first}' at level between as well (it is then split into "
            f"latent parts); for the effect inside clusters alone, centre it: data['{first}'] - "
            f"data.groupby('{cluster}')['{first}'].transform('mean')."
        )
    for name in dummies[:1]:
        part = coded.columns[name][0]
        yield (
            f"For categories, add their shares in the clusters at level between: "
            f"(data['{part.column}'] == {coded.category(part)!r}){means}."
        )
    for first in [*bound, *products][:1]:
        column = coded.given([first])[0]
        yield (
            f"Products are those of the columns as they are: to have interactions inside clusters, "
            f"centre the columns first, data['{column}'] - data['{column}']{means}."
        )


def _has_effect(name: str, table: ParameterTable) -> bool:
    return any(
        row.level == "within" and row.kind == "regression" and row.rhs == name
        for row in table.rows
        if row.origin == "user" and (row.free or row.random or row.value != 0)
    )
