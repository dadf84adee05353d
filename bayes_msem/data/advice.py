"""What these data can and cannot tell: small numbers of clusters and of rows inside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bayes_msem.data.missing_report import never_together
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.role_checks import exact_combination
from bayes_msem.spec.table import Row
from bayes_msem.wording import listed, plural

__all__ = ["advice"]

_FEW_CLUSTERS = 20
# The spread inside a cluster of two rows has one degree of freedom: it hardly says how the SD or a
# correlation of this cluster differs from those of others.
_FEW_ROWS = 3


def advice(observed: ObservedData, varying: Sequence[Row] = ()) -> list[str]:
    """Return notes on what these data can and cannot tell; none is an error.

    Parameters
    ----------
    observed
        Data that passed all checks.
    varying
        Rows whose coefficient varies over clusters.

    Returns
    -------
    list of str
        One sentence or two per note; empty if there is nothing to say.
    """
    notes = _advice_on_outcomes(observed)
    if observed.two_level:
        notes += _advice_on_clusters(observed)
        notes += _advice_on_number(observed, varying)
        notes += _advice_on_singletons(observed)
        notes += _advice_on_spreads(observed, varying)
    return notes


def _advice_on_outcomes(observed: ObservedData) -> list[str]:
    """Name outcomes that others determine, and pairs that are never observed together."""
    notes: list[str] = []
    complete = observed.y[~np.isnan(observed.y).any(axis=1)]
    dependent = exact_combination(complete, observed.y_names)
    if dependent:
        name, others = dependent
        notes.append(
            f"'{name}' is an exact linear combination of {listed(others)}: a model that lets its "
            "residual variance go to 0 has an unbounded likelihood. Remove one of them."
        )
    return notes + [
        f"'{first}' and '{second}' are never observed in the same row: the data say nothing about "
        "their residual covariance at level within, so model and priors decide it."
        for first, second in never_together(observed)
    ]


def _advice_on_clusters(observed: ObservedData) -> list[str]:
    """Say what few clusters mean for priors."""
    if observed.three_level and observed.n_tops < _FEW_CLUSTERS:
        return [
            f"Only {observed.n_tops} units of the highest level ('{observed.top_name}'): priors on "
            f"variances and slopes of level {observed.top_name} matter for the results. Look at "
            "the printed priors, set those you can justify, refit with wider and narrower ones, "
            "and report intervals, not point estimates."
        ]
    if observed.n_clusters >= _FEW_CLUSTERS:
        return []
    return [
        f"Only {observed.n_clusters} clusters ('{observed.cluster_name}'): priors on between-level "
        "variances and slopes matter for the results. Look at the printed priors, set those "
        "you can justify, refit with wider and narrower ones, and report intervals, not "
        "point estimates."
    ]


def _advice_on_singletons(observed: ObservedData) -> list[str]:
    """Count the clusters with a single row."""
    singletons = int((observed.sizes == 1).sum())
    if not singletons:
        return []
    return [
        f"Clusters with a single row: {singletons} of {observed.n_clusters}. They are used, but "
        "say nothing about variation inside clusters."
    ]


def _advice_on_number(observed: ObservedData, varying: Sequence[Row]) -> list[str]:
    """Compare the number of clusters with that of all quantities that vary between them."""
    effects = tuple(dict.fromkeys(row.random for row in varying))
    names = (*observed.split_names, *observed.z_names)
    n_between, n_clusters = len(names) + len(effects), observed.n_clusters
    if n_clusters > n_between + len(observed.w_names):
        return []
    if not effects:
        return [
            f"{n_between} variables vary between {n_clusters} clusters: the data alone do not "
            "determine all between-level (co)variances. Keep the between model small."
        ]
    variables = f" ({listed(names)})" if names else ""
    return [
        f"{plural(len(names), 'variable')}{variables} and {plural(len(effects), 'coefficient')} "
        f"({listed(effects)}) vary between {n_clusters} clusters: the data alone do not determine "
        "all their (co)variances, so priors decide. Let fewer coefficients vary (remove rv()), or "
        "let them be independent: Model(..., random_covariances='none')."
    ]


def _advice_on_spreads(observed: ObservedData, varying: Sequence[Row]) -> list[str]:
    """Say where clusters are too small for random SDs and correlations."""
    spreads = [row for row in varying if row.kind in ("variance", "covariance")]
    median = float(np.median(observed.sizes))
    singletons = int((observed.sizes == 1).sum())
    if not spreads or (median >= _FEW_ROWS and not singletons):
        return []
    names = listed(tuple(dict.fromkeys(row.random for row in spreads)))
    if median < _FEW_ROWS:
        return [
            f"Random standard deviations and correlations ({names}) need several rows per "
            f"cluster, but half of the clusters have at most {median:g}: the data hardly say how "
            "they differ between clusters, so the priors of their level-2 variances decide. "
            f"Remove rv() from rows such as '{spreads[0].lhs} ~~ {spreads[0].rhs}', or report "
            "results under several priors."
        ]
    return [
        f"Random standard deviations and correlations ({names}) of clusters with a single row "
        f"({singletons} of {observed.n_clusters}) are predictions from level 2, not estimates."
    ]
