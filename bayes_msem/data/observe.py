"""The way of a data frame to :class:`ObservedData`, one step after the other.

1. the frame and the names asked for (:mod:`bayes_msem.data.frame_checks`);
2. columns as numbers (:mod:`bayes_msem.data.columns`);
3. rows that stay (:mod:`bayes_msem.data.missing_values`);
4. clusters, and the variables that belong to them (:mod:`bayes_msem.data.cluster_column`);
5. arrays by role (:mod:`bayes_msem.data.observed_data`);
6. what each role asks of its data (:mod:`bayes_msem.data.role_checks`).

Each step takes what the one before it has made; the frame is read, never written to. Nothing is
repaired silently: errors name the culprit and the fix, in the order in which a user can act on
them.
"""

from __future__ import annotations

from typing import Literal

import pandas as pd

from bayes_msem.data.cluster_column import Clusters, read_clusters
from bayes_msem.data.columns import numeric_columns
from bayes_msem.data.frame_checks import check_cluster_argument, check_columns, check_frame
from bayes_msem.data.missing_values import check_any_observed, complete_rows
from bayes_msem.data.observed_data import ObservedData, side_by_side
from bayes_msem.data.role_checks import check_roles
from bayes_msem.spec.table import ParameterTable

__all__ = ["Missing", "observe"]

Missing = Literal["fiml", "listwise"]


def observe(
    frame: pd.DataFrame,
    table: ParameterTable,
    cluster: str | None,
    *,
    missing: Missing = "fiml",
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
    missing
        "fiml": rows with missing outcomes are kept. "listwise": rows with any missing value are
        left out, and counted.

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
    z_names = table.variables("between", "cluster-level")
    w_names = table.variables("between", "cluster-level covariate")
    names = y_names + z_names + x_names + w_names

    check_frame(frame)
    check_cluster_argument(frame, cluster, two_level=table.two_level)
    check_columns(frame, names)
    values = numeric_columns(frame, names)
    check_any_observed(values)
    n_given = len(frame)
    if missing == "listwise":
        keep = complete_rows(values)
        frame, values = frame[keep], {name: column[keep] for name, column in values.items()}
    clusters = Clusters()
    if cluster is not None:
        of_clusters = {name: values[name] for name in z_names + w_names}
        clusters = read_clusters(frame[cluster], cluster, of_clusters)
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
    )
    check_roles(observed)
    return observed
