"""Location and scale of the observed variables, for priors that fit the units of the data.

With clusters j of size n_j and cluster means ybar_j,

    within  = sqrt( sum_ij (y_ij - ybar_j)^2 / (N - J) )
    between = sqrt( sum_j (ybar_j - mean of ybar)^2 / (J - 1) )

``between`` estimates psi_b + psi_w / n, not psi_b: it can never be zero or negative, and for a
prior scale too wide is the safe side. With three levels, ``between`` is the same around the means
m_k of the cluster means of each top unit k, and m_k has the spread of the third level,

    between = sqrt( sum_j (ybar_j - m_k(j))^2 / (J - K) )
    top     = sqrt( sum_k (m_k - mean of m)^2 / (K - 1) )

for variables with a part at level 3. Outcomes that are not normal have no scale of their own here:
that of a latent response follows from its link. Counts have the logarithm of their mean rate,
log(sum of counts / sum of exposures).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.cluster_means import within_and_between
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.spec.variable_scales import Scales

__all__ = ["scales"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def scales(observed: ObservedData) -> Scales:
    """Measure location and scale of every observed variable.

    Parameters
    ----------
    observed
        Data, as :func:`bayes_msem.data.observe.observe` returns them; missing values are passed
        over, variable by variable.

    Returns
    -------
    Scales
        Means and standard deviations by name, in the units of the data.
    """
    mean: dict[str, float] = {}
    within: dict[str, float] = {}
    between: dict[str, float] = {}
    top: dict[str, float] = {}
    mean |= _log_rates(observed)
    parents = np.empty(0, np.int64) if observed.parent is None else observed.parent
    for k, name in enumerate(observed.y_names):
        if name in observed.families:
            continue
        seen = ~np.isnan(observed.y[:, k])
        column = np.ascontiguousarray(observed.y[seen, k])
        mean[name] = float(column.mean())
        if observed.cluster is None:
            within[name] = float(column.std(ddof=1))
            continue
        means, deviation, sizes = within_and_between(column, observed.cluster[seen])
        freedom = len(column) - len(sizes)
        within[name] = float(np.sqrt(deviation @ deviation / freedom))
        if name in observed.top_split_names:
            present = np.unique(observed.cluster[seen])
            between[name], top[name] = _spreads(means, parents[present])
        elif name in observed.split_names:
            between[name] = float(means.std(ddof=1))
    for k, name in enumerate(observed.z_names):
        if name in observed.families:
            continue
        known = ~np.isnan(observed.z[:, k])
        z = observed.z[known, k]
        mean[name] = float(z.mean())
        between[name] = float(z.std(ddof=1))
        if name in observed.top_split_names:
            between[name], top[name] = _spreads(z, parents[known])
    for k, name in enumerate(observed.z3_names):
        z = observed.z3[~np.isnan(observed.z3[:, k]), k]
        mean[name], top[name] = float(z.mean()), float(z.std(ddof=1))
    predictor: dict[str, float] = {}
    x = observed.x[observed.informative]
    covariates = (
        (x, observed.x_names),
        (observed.w, observed.w_names),
        (observed.w3, observed.w3_names),
    )
    for values, names in covariates:
        for k, name in enumerate(names):
            mean[name] = float(values[:, k].mean())
            predictor[name] = float(values[:, k].std(ddof=1))
    return Scales(mean=mean, within=within, between=between, predictor=predictor, top=top)


def _spreads(values: FloatArray, parent: IntArray) -> tuple[float, float]:
    """SD of values of clusters inside top units, and of the means of top units.

    Where no top unit has two clusters with a value, the first is that of all values: too wide.
    """
    means, deviations, sizes = within_and_between(values, parent)
    freedom = len(values) - len(sizes)
    inside = np.sqrt(deviations @ deviations / freedom) if freedom else values.std(ddof=1)
    return float(inside), float(means.std(ddof=1))


def _log_rates(observed: ObservedData) -> dict[str, float]:
    """Logarithm of the mean rate of each count."""
    rates: dict[str, float] = {}
    blocks = (
        (observed.y_names, observed.y, observed.y_exposure),
        (observed.z_names, observed.z, observed.z_exposure),
    )
    for names, values, exposure in blocks:
        for k, name in enumerate(names):
            if name in observed.families and observed.families[name].is_count:
                seen = ~np.isnan(values[:, k])
                at_risk = seen.sum() if exposure is None else exposure[seen, k].sum()
                rates[name] = float(np.log(values[seen, k].sum() / at_risk))
    return rates
