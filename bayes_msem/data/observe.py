"""The way of a data frame to :class:`ObservedData`, one step after the other.

1. the frame and the names asked for (:mod:`bayes_msem.data.frame_checks`);
2. columns as numbers (:mod:`bayes_msem.data.columns`), those of ordered outcomes as codes
   (:mod:`bayes_msem.data.codings`); dummies and products stand in the frame already
   (:mod:`bayes_msem.data.coded_columns`);
3. rows that stay (:mod:`bayes_msem.data.missing_values`);
4. clusters, and the variables that belong to them (:mod:`bayes_msem.data.cluster_column`);
5. arrays by role (:mod:`bayes_msem.data.observed_data`);
6. what each role asks of its data (:mod:`bayes_msem.data.role_checks`).

Each step takes what the one before it has made; the frame is read, never written to. Nothing is
repaired silently: errors name the culprit and the fix, in the order in which a user can act on
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.cluster_column import Clusters, read_clusters
from bayes_msem.data.coded_columns import CodedColumns, source_values
from bayes_msem.data.codings import Coding, check_categories, check_counts, exposures_of
from bayes_msem.data.columns import numeric_columns
from bayes_msem.data.frame_checks import check_cluster_argument, check_columns, check_frame
from bayes_msem.data.missing_values import check_any_observed, complete_rows
from bayes_msem.data.nesting import check_nested, read_tops
from bayes_msem.data.observed_data import ObservedData, side_by_side
from bayes_msem.data.role_checks import check_roles
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.table import ParameterTable

__all__ = ["Missing", "observe"]

Missing = Literal["fiml", "listwise"]
FloatArray = NDArray[np.float64]


def observe(
    frame: pd.DataFrame,
    table: ParameterTable,
    cluster: str | None,
    *,
    top: str | None = None,
    missing: Missing = "fiml",
    codings: Mapping[str, Coding] | None = None,
    exposure: Mapping[str, str] | None = None,
    coded: CodedColumns | None = None,
) -> ObservedData:
    """Take from ``frame`` what the model needs, and check it.

    Parameters
    ----------
    frame
        One row per observation (long format). Never modified.
    table
        Parameter table of the model; its roles say which columns are read, and how.
    cluster
        Name of the column with the cluster identifiers (any type); None for single-level
        models.
    top
        Name of the column with the identifiers of top units; None unless there are three levels.
    missing
        "fiml": rows with missing outcomes are kept. "listwise": rows with any missing value are
        left out, and counted.
    codings
        Codes and labels of the ordered outcomes.
    exposure
        Column with the exposure of each count that has one.
    coded
        How the dummies and products among the columns were computed.

    Returns
    -------
    ObservedData
        Copies of the columns as float64 arrays, with the clusters coded.

    Raises
    ------
    DataError
        If the data cannot serve the model; the message names the culprit and the fix.
    """
    y_names = table.variables("within", "split", "within-only")
    x_names = table.variables("within", "covariate")
    z_names = table.variables(table.level_two, "cluster-level")
    w_names = table.variables(table.level_two, "cluster-level covariate")
    third = table.levels[2] if table.three_level else ""
    z3_names = table.variables(third, "cluster-level")
    w3_names = table.variables(third, "cluster-level covariate")
    names = y_names + z_names + x_names + w_names + z3_names + w3_names

    check_frame(frame)
    check_cluster_argument(frame, cluster, two_level=table.two_level)
    if top is not None:
        check_cluster_argument(frame, top, two_level=True)
    codings, exposure = codings or {}, exposure or {}
    check_columns(frame, [*names, *exposure.values()])
    values = numeric_columns(frame, [name for name in names if name not in codings])
    values |= {name: coding.codes for name, coding in codings.items()}
    check_any_observed(values)
    exposures = numeric_columns(frame, list(dict.fromkeys(exposure.values())))
    coded = coded or CodedColumns()
    sources = {
        name: source_values(frame[name], name, coded.categories.get(name))
        for name in coded.sources()
    }
    n_given = len(frame)
    if missing == "listwise":
        keep = complete_rows(values)
        frame, values = frame[keep], {name: column[keep] for name, column in values.items()}
        exposures = {name: column[keep] for name, column in exposures.items()}
        sources = {name: column[keep] for name, column in sources.items()}
    _check_outcomes(values, table.families, codings, deleted=len(frame) < n_given)
    clusters = Clusters()
    if cluster is not None and top is not None:
        check_nested(frame[cluster], cluster, frame[top], top)
    if cluster is not None:
        parts = {name: sources[name] for name in coded.sources(w_names)}  # the user's own names
        of_clusters = parts | {name: values[name] for name in z_names + w_names}
        of_clusters |= {exposure[z]: exposures[exposure[z]] for z in z_names if z in exposure}
        inside = {name: _inside_between(name, coded, w_names, cluster, table) for name in parts}
        if table.three_level:
            inside = _inside_level((*z_names, *w_names), table.level_two) | inside
        clusters = read_clusters(frame[cluster], cluster, of_clusters, inside=inside)
        sources |= {name: clusters.values[name][clusters.codes] for name in parts}
    tops: dict[str, Any] = {}
    if top is not None:
        parts = {name: sources[name] for name in coded.sources(w3_names)}
        of_tops = parts | {name: values[name] for name in z3_names + w3_names}
        inside = {name: _inside_between(name, coded, w3_names, top, table) for name in parts}
        inside = _inside_level((*z3_names, *w3_names), third) | inside
        parent, ids, known = read_tops(frame[top], top, clusters, of_tops, inside=inside)
        sources |= {name: known[name][parent[clusters.codes]] for name in parts}
        tops = {
            "parent": parent,
            "top_ids": ids,
            "top_name": top,
            "z3": side_by_side(known, z3_names, len(ids)),
            "z3_names": z3_names,
            "w3": side_by_side(known, w3_names, len(ids)),
            "w3_names": w3_names,
            "top_split_names": tuple(
                v for v in y_names + z_names if table.roles.get((third, v)) == "split"
            ),
        }
    observed = ObservedData(
        y=side_by_side(values, y_names, len(frame)),
        y_names=y_names,
        split_names=table.variables("within", "split"),
        z=side_by_side(clusters.values, z_names, len(clusters.ids)),
        z_names=z_names,
        x=side_by_side(values, x_names, len(frame)),
        x_names=x_names,
        w=side_by_side(clusters.values, w_names, len(clusters.ids)),
        w_names=w_names,
        cluster=clusters.codes,
        cluster_ids=clusters.ids,
        cluster_name=cluster,
        sizes=clusters.sizes,
        row_index=frame.index.copy(),
        dropped=n_given - len(frame),
        families=dict(table.families),
        categories={name: coding.labels for name, coding in codings.items()},
        exposure=dict(exposure),
        y_exposure=exposures_of(y_names, values, exposure, exposures, "row"),
        z_exposure=exposures_of(z_names, clusters.values, exposure, clusters.values, "cluster"),
        coded=coded,
        **tops,
    )
    if coded.columns:
        own = side_by_side(sources, observed.source_names, len(frame))
        observed = replace(observed, sources=own)
    check_roles(observed)
    return observed


def _inside_level(names: tuple[str, ...], level: str) -> dict[str, tuple[str, str]]:
    """Say why variables of a level of a three-level model must not vary inside its units."""
    fix = (
        f"correct it, use it at a level below as well, or make a column of the means of its "
        f"'{level}' and use that"
    )
    return {name: (f"'{name}' is used at level {level} and above only", fix) for name in names}


def _inside_between(
    name: str, coded: CodedColumns, w_names: tuple[str, ...], cluster: str, table: ParameterTable
) -> tuple[str, str]:
    """Say why a source must be constant inside clusters, and what to do if it is not."""
    term = next(w for w in w_names if name in coded.sources([w]))
    why = f"'{name}' is part of '{term}' at level {cluster if table.three_level else 'between'}"
    if name in coded.categories:
        label = coded.categories[name][-1]
        shares = f"(data['{name}'] == {label!r}).groupby(data['{cluster}']).transform('mean')"
        return why, f"correct it, or use the shares of its categories, a column each: {shares}"
    means = f"data.groupby('{cluster}')['{name}'].transform('mean')"
    return why, f"correct it, or make a column of its cluster means, {means}, and use that"


def _check_outcomes(
    values: Mapping[str, FloatArray],
    families: Mapping[str, Family],
    codings: Mapping[str, Coding],
    *,
    deleted: bool,
) -> None:
    """Check categories and counts of the rows that stay."""
    for name, family in families.items():
        if name in codings:
            check_categories(values[name], codings[name].labels, name, deleted=deleted)
        else:
            check_counts(values[name], name, family)
