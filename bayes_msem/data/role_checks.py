"""Checks of the data against the roles of their variables: each names the culprit and the fix.

A covariate is observed wherever it is needed, and tells its effect from those of others; every
variable varies where the model says it does; there are rows and clusters enough. Nothing is
repaired silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.cluster_column import NEGLIGIBLE, rounding
from bayes_msem.data.cluster_means import within_and_between
from bayes_msem.data.coded_columns import CodedColumns
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import DataError
from bayes_msem.wording import first_few, listed, plural, positions

__all__ = ["check_roles", "exact_combination"]

FloatArray = NDArray[np.float64]

# Below this, sums of squares and their inverses leave the range of float64.
_SMALLEST = 1e-50


def check_roles(observed: ObservedData) -> None:
    """Check everything that roles ask of the data, in the order in which a user can act on it.

    Parameters
    ----------
    observed
        Data whose columns and clusters are checked.

    Raises
    ------
    DataError
        The data cannot serve the model; the message names the culprit and the fix.
    """
    _check_covariates(observed)
    _check_counts(observed)
    _check_variation(observed)
    _check_collinear(observed)


# Missing covariates ----------------------------------------------------------------------------


def _check_covariates(observed: ObservedData) -> None:
    """Check that covariates are observed; a level-1 one may be missing where all outcomes are.

    Covariates are conditioned on, so there is no distribution that could stand in for a missing
    one; writing their variance (``x ~~ x``) brings them into the model, but for those that dummies
    or products are made of.
    """
    middle = str(observed.cluster_name) if observed.three_level else "between"
    levels = ("within", middle, *([str(observed.top_name)] if observed.three_level else []))
    places: dict[str, list[str]] = {level: [] for level in levels}
    lines: dict[str, list[str]] = {level: [] for level in levels}
    bound = False
    gone = np.isnan(observed.x) & observed.informative[:, None]
    for name, given, missing in _as_given(observed.x_names, gone, observed.coded):
        places["within"].append(f"covariate {given} is missing in {positions(missing)}")
        lines["within"].append(f"{name} ~~ {name}")
        bound |= observed.coded.is_bound(name)
    upper = [(observed.cluster_ids, observed.w_names, observed.w, "cluster-level covariate")]
    upper += [(observed.top_ids, observed.w3_names, observed.w3, "covariate of level 3")]
    for level, (ids, names, values, role) in zip(levels[1:], upper, strict=False):
        for name, given, missing in _as_given(names, np.isnan(values), observed.coded):
            places[level].append(
                f"{role} {given} is missing in {missing.sum()} of {len(ids)} "
                f"clusters ('{ids.name}' {first_few(list(ids[missing]))})"
            )
            lines[level].append(f"{name} ~~ {name}")
            bound |= observed.coded.is_bound(name)
    if bound:
        told = "; ".join(text for found in places.values() for text in found)
        raise DataError(
            f"{told}. Covariates are conditioned on, so nothing says what a missing one may be, "
            "and dummies, products and what they are made of cannot be modelled. Fill the values "
            "in (multiple imputation: a fit for each completed data set), or use "
            "missing='listwise' to leave these rows out (biased unless values are missing "
            "completely at random)"
        )
    if any(places.values()):
        raise DataError(_missing_covariates(places, lines, two_level=observed.two_level))


def _as_given(
    names: Sequence[str], gone: NDArray[np.bool_], coded: CodedColumns
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield covariates with missing values, their names in messages, and where.

    All dummies of a column miss the same values, and a product those of its parts: told once.
    """
    told: dict[tuple[str, ...], NDArray[np.bool_]] = {}
    for name, missing in zip(names, gone.T, strict=True):
        sources = coded.sources([name])
        known = [told[key] for key in (sources, *((s,) for s in sources)) if key in told]
        if not missing.any() or (known and not (missing & ~np.any(known, axis=0)).any()):
            continue
        told[sources or (name,)] = missing
        yield name, f"'{sources[0]}'" if len(sources) == 1 else coded.origin(name), missing


def _missing_covariates(
    places: Mapping[str, Sequence[str]], lines: Mapping[str, Sequence[str]], *, two_level: bool
) -> str:
    """Say where covariates are missing, and what to write, level by level."""
    written = [
        "\n".join(
            [
                *([f"to the block 'level: {level}':"] if two_level else []),
                *(f"    {text}" for text in lines[level]),
            ]
        )
        for level in lines
        if lines[level]
    ]
    several = sum(len(found) for found in lines.values()) > 1
    it = "their variances" if several else "its variance"
    units = ("rows", "clusters", "clusters of level 3")
    left_out = " and ".join(n for n, level in zip(units, lines, strict=False) if lines[level])
    return "\n".join(
        [
            f"{'; '.join(t for found in places.values() for t in found)}. "
            "Covariates are conditioned on, "
            f"so nothing says what a missing one may be. Bring them into the model by {it}, then "
            "their missing values are integrated out; add",
            *written,
            f"or use missing='listwise' to leave these {left_out} out (biased unless values are "
            "missing completely at random)",
        ]
    )


# Numbers --------------------------------------------------------------------------------------


def _check_counts(observed: ObservedData) -> None:
    """Raise DataError if there are too few rows or clusters for the covariates."""
    units = [("row", observed.n_rows, observed.x_names, "covariate")]
    if observed.two_level:
        units.append(("cluster", observed.n_clusters, observed.w_names, "cluster-level covariate"))
    if observed.three_level:
        units.append(("top unit", observed.n_tops, observed.w3_names, "covariate of level 3"))
    for unit, count, names, role in units:
        needed = len(names) + 2
        if count < needed:
            because = f" with {plural(len(names), role)} ({listed(names)})" if names else ""
            raise DataError(
                f"data has {plural(count, unit)}, but the model{because} needs at least "
                f"{plural(needed, unit)}; use more data"
                + (", or fewer covariates" if names else "")
            )


def _check_variation(observed: ObservedData) -> None:
    """Raise DataError for variables that do not vary where the model says they do."""
    blocks = (
        (observed.y, observed.y_names, "all rows"),
        (observed.x, observed.x_names, "all rows"),
        (observed.z, observed.z_names, "all clusters"),
        (observed.w, observed.w_names, "all clusters"),
        (observed.z3, observed.z3_names, "all top units"),
        (observed.w3, observed.w3_names, "all top units"),
    )
    for values, names, where in blocks:
        for k, name in enumerate(names):
            column = values[:, k]
            _check_not_constant(column[~np.isnan(column)], name, where, observed.coded)
    if observed.cluster is not None:
        for k, name in enumerate(observed.y_names):
            _check_both_levels(observed, observed.y[:, k], name)
    for k, name in enumerate(observed.z_names):
        if name in observed.top_split_names:
            _check_upper_levels(observed, observed.z[:, k], name)


def _check_not_constant(column: FloatArray, name: str, where: str, coded: CodedColumns) -> None:
    spread = float(column.max() - column.min())
    if spread <= 8 * np.finfo(float).eps * float(np.abs(column).max()):
        fix = "remove it from the model, or check how the data were selected"
        if name in coded.columns:
            fix = (
                "no row that stays is in such a category: join categories, or write out the "
                "dummies and products of the model and leave this one out"
            )
        raise DataError(
            f"{coded.origin(name)} is constant: it has the value {column[0]:g} in {where}, so it "
            f"carries no information; {fix}"
        )
    if spread < _SMALLEST:
        raise DataError(f"'{name}' varies by less than {_SMALLEST:g}; express it in smaller units")


def _check_both_levels(observed: ObservedData, column: FloatArray, name: str) -> None:
    """Check that a level-1 variable varies inside clusters, and if split also between them."""
    assert observed.cluster is not None
    seen = ~np.isnan(column)
    column = column[seen]
    means, deviation, sizes = within_and_between(column, observed.cluster[seen])
    if np.abs(deviation).max() <= rounding(column):
        above = "the between level only"
        if observed.three_level:
            above = f"level {observed.cluster_name} or above only"
        raise DataError(
            f"'{name}' is constant inside every '{observed.cluster_name}', so it is a "
            f"cluster-level variable; use '{name}' at {above}"
        )
    # Means of independent rows differ by about sd / sqrt(n). Far less than that is a variable
    # that was centred inside clusters and rounded, as in a file of a few decimals.
    by_chance = float(deviation.std()) / np.sqrt(sizes.max())
    if name in observed.split_names and np.ptp(means) <= 1e-4 * by_chance:
        raise DataError(
            f"'{name}' is used at both levels, but all '{observed.cluster_name}' means are equal "
            "(it was probably centred inside clusters); use the uncentred variable, or remove "
            f"'{name}' from the between level"
        )


def _check_upper_levels(observed: ObservedData, column: FloatArray, name: str) -> None:
    """Check that a variable of clusters that is split varies inside top units, and between them."""
    assert observed.parent is not None
    seen = ~np.isnan(column)
    column = column[seen]
    inner, outer = observed.cluster_name, observed.top_name
    means, deviation, sizes = within_and_between(column, observed.parent[seen])
    if np.abs(deviation).max() <= rounding(column):
        raise DataError(
            f"'{name}' is constant inside every '{outer}', so it is a variable of level {outer}; "
            f"use '{name}' at level {outer} only"
        )
    by_chance = float(deviation.std()) / np.sqrt(sizes.max())
    if np.ptp(means) <= 1e-4 * by_chance:
        raise DataError(
            f"'{name}' is used at levels {inner} and {outer}, but all '{outer}' means are equal "
            f"(it was probably centred inside them); use the uncentred variable, or remove "
            f"'{name}' from level {outer}"
        )


def _check_collinear(observed: ObservedData) -> None:
    """Raise DataError if a covariate is an exact linear combination of others."""
    blocks = (
        (observed.x[observed.informative], observed.x_names, "covariate"),
        (observed.w, observed.w_names, "cluster-level covariate"),
        (observed.w3, observed.w3_names, "covariate of level 3"),
    )
    for values, names, role in blocks:
        found = exact_combination(values, names)
        if found:
            name, others = found
            combined = (name, *others)
            emptied = _without_reference(values, names, combined, observed.coded)
            if emptied:
                raise DataError(
                    "no row that informs the estimates is in the reference category of "
                    f"'{emptied}': its dummies {listed([n for n in names if n in combined])} add "
                    "up to 1 in all of them, so their effects cannot be told apart; write the "
                    "dummies and products of the model out and leave one category out, or join "
                    "categories"
                )
            raise DataError(
                f"{role} '{name}' is an exact linear combination of {listed(others)} and the "
                "intercept, so their effects cannot be told apart; remove one of them from the "
                "model (for dummy variables, leave out the reference category)"
            )


def _without_reference(
    values: FloatArray, names: Sequence[str], combined: Sequence[str], coded: CodedColumns
) -> str | None:
    """Return the column whose dummies, which are all that is combined, add up to 1 in all rows."""
    members = [coded.columns.get(name, ()) for name in combined]
    columns = {part.column for parts in members for part in parts if part.kind == "dummy"}
    if len(columns) != 1 or any(len(parts) != 1 for parts in members):
        return None
    column = columns.pop()
    if len(combined) == len(coded.categories[column]):  # all written out: there is no reference
        return None
    together = values[:, [names.index(name) for name in combined]].sum(axis=1)
    return column if bool((together == 1).all()) else None


def exact_combination(
    values: FloatArray, names: Sequence[str]
) -> tuple[str, tuple[str, ...]] | None:
    """Return the first column that earlier ones (and a constant) reproduce, and those columns.

    With columns centred and scaled, values = Q R, and R[k, k] is the part of column k, in
    standard deviations, that the columns before it leave over.
    """
    if values.shape[1] < 2 or values.shape[0] < values.shape[1]:
        return None
    standard = values - values.mean(axis=0)
    scale = standard.std(axis=0)
    if not scale.all():  # among the complete rows only: elsewhere it varies
        return None
    standard /= scale
    tolerance = NEGLIGIBLE + 8 * np.finfo(float).eps * np.abs(values).max(axis=0) / scale
    upper = np.linalg.qr(standard, mode="r") / np.sqrt(len(values))
    for k in range(1, len(names)):
        if abs(upper[k, k]) <= tolerance[: k + 1].max():
            weights = np.linalg.solve(upper[:k, :k], upper[:k, k])
            return names[k], tuple(names[i] for i in range(k) if abs(weights[i]) > 1e-6)
    return None
