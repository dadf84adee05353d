"""Location and scale of the observed variables, for priors that fit the units of the data.

With clusters j of size n_j and cluster means ybar_j,

    within  = sqrt( sum_ij (y_ij - ybar_j)^2 / (N - J) )
    between = sqrt( sum_j (ybar_j - mean of ybar)^2 / (J - 1) )

``between`` estimates psi_b + psi_w / n, not psi_b: it can never be zero or negative, and for a
prior scale too wide is the safe side. Outcomes that are not normal have no scale of their own here:
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
    mean |= _log_rates(observed)
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
        if name in observed.split_names:
            between[name] = float(means.std(ddof=1))
    for k, name in enumerate(observed.z_names):
        if name in observed.families:
            continue
        z = observed.z[~np.isnan(observed.z[:, k]), k]
        mean[name] = float(z.mean())
        between[name] = float(z.std(ddof=1))
    predictor: dict[str, float] = {}
    x = observed.x[observed.informative]
    for values, names in ((x, observed.x_names), (observed.w, observed.w_names)):
        for k, name in enumerate(names):
            mean[name] = float(values[:, k].mean())
            predictor[name] = float(values[:, k].std(ddof=1))
    return Scales(mean=mean, within=within, between=between, predictor=predictor)


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
