r"""Variance of counts on the scale of the log rate, from their distribution alone.

Given its log rate eta, a count still varies, with the variance m + alpha m^2 around the mean
m = exp(eta) (alpha = 0: Poisson). On the log scale, where all other parts of the variance are,
this is

    ln(1 + 1 / lambda + alpha) ,   lambda = e exp(E eta + 1/2 Var eta) ,

that of a log-normal variable with the same ratio of SD and mean; lambda is the mean count of the
population, at the mean exposure e of the data. It stands where the residual variance of a
latent response stands for other outcomes, in R2 and in the ICC.

References
----------
Nakagawa, S., Johnson, P. C. D., & Schielzeth, H. (2017). The coefficient of determination R2 and
intra-class correlation coefficient from generalized linear mixed-effects models revisited and
expanded. Journal of the Royal Society Interface, 14, 20170213.
https://doi.org/10.1098/rsif.2017.0213
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msem.data.observed_data import ObservedData

__all__ = ["count_variance", "counts_between", "counts_within", "mean_exposure"]

FloatArray = NDArray[np.float64]


def count_variance(
    mean: ArrayLike, variance: ArrayLike, dispersion: ArrayLike = 0.0, *, exposure: float = 1.0
) -> FloatArray:
    """Variance of a count on the log scale, given its log rate.

    Parameters
    ----------
    mean, variance
        Of the log rate in the population.
    dispersion
        alpha; 0 for Poisson counts.
    exposure
        What the rate is multiplied by.

    Examples
    --------
    A mean count of 1: ln 2.

    >>> round(float(count_variance(-0.5, 1.0)), 4)
    0.6931
    """
    rate = exposure * np.exp(np.asarray(mean) + 0.5 * np.asarray(variance))
    return np.asarray(np.log1p(1.0 / rate + np.asarray(dispersion)))


def counts_within(observed: ObservedData) -> tuple[str, ...]:
    """Names of the counts of level within."""
    families = observed.families
    return tuple(y for y in observed.y_names if y in families and families[y].is_count)


def counts_between(observed: ObservedData) -> tuple[str, ...]:
    """Names of the counts of clusters."""
    families = observed.families
    return tuple(z for z in observed.z_names if z in families and families[z].is_count)


def mean_exposure(observed: ObservedData, name: str) -> float:
    """Mean exposure of a count in the data; 1 without exposures."""
    exposures, names = observed.y_exposure, observed.y_names
    if name in observed.z_names:
        exposures, names = observed.z_exposure, observed.z_names
    return 1.0 if exposures is None else float(np.nanmean(exposures[:, names.index(name)]))
