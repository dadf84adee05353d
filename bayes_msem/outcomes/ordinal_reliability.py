r"""Reliability of the sum of ordered items (Green & Yang, 2009).

The items are cut from latent responses y* that are normal with covariance matrix Sigma = T + E, of
which T is due to what the items are to measure (common factors). The sum of their codes has the
variance sum_ij Cov(y_i, y_j), and its reliability is the share that a second form with the same T
and new residuals would have in common with it:

    rho = sum_ij c(i, j, T_ij) / sum_ij c(i, j, Sigma_ij)

where c is the covariance of two codes whose latent responses have that covariance,

    c = sum_k sum_l  Phi_2(s_ik, s_jl; r) - Phi(s_ik) Phi(s_jl) ,   r = covariance / (sd_i sd_j)

with s the standardised thresholds, and Phi_2 from Owen's T function. Omega, 1'T1 / 1'Sigma1, is the
reliability of the sum of the y*, which are not observed; that of the codes is lower
where they are few.

References
----------
Green, S. B., & Yang, Y. (2009). Reliability of summed item scores using structural equation
modeling: An alternative to coefficient alpha. Psychometrika, 74(1), 155-167.
https://doi.org/10.1007/s11336-008-9099-3

Owen, D. B. (1956). Tables for computing bivariate normal probabilities. Annals of Mathematical
Statistics, 27(4), 1075-1090. https://doi.org/10.1214/aoms/1177728074
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = ["bivariate_normal_cdf", "sum_reliability"]

FloatArray = NDArray[np.float64]

_TINY = 1e-300  # in place of 0, at which the arguments of Owen's T are limits


def sum_reliability(
    true: ArrayLike,
    covariance: ArrayLike,
    thresholds: Sequence[ArrayLike],
    *,
    mean: ArrayLike = 0.0,
) -> FloatArray:
    """Compute the reliability of the sum of p ordered items.

    Parameters
    ----------
    true
        Covariances of the latent responses due to what is to be measured, T (..., p, p), variances
        included.
    covariance
        All covariances of the latent responses, Sigma (..., p, p).
    thresholds
        Of every item, (..., K - 1).
    mean
        Of the latent responses, (..., p) or a number.

    Returns
    -------
    numpy.ndarray
        (...)

    Examples
    --------
    Four items with standardised loadings of .7, cut in the middle. Omega is .79.

    >>> true = np.full((4, 4), 0.49)
    >>> both = true + 0.51 * np.eye(4)
    >>> float(sum_reliability(true, both, [[0.0]] * 4))
    0.6593
    """
    common, total = np.asarray(true, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    p = total.shape[-1]
    sd = np.sqrt(np.diagonal(total, axis1=-2, axis2=-1))
    middle = np.broadcast_to(np.asarray(mean, dtype=np.float64), sd.shape)
    cuts = [
        (np.asarray(t, dtype=np.float64) - middle[..., i, None]) / sd[..., i, None]
        for i, t in enumerate(thresholds)
    ]
    shared, observed = np.zeros(sd.shape[:-1]), np.zeros(sd.shape[:-1])
    for i in range(p):
        for j in range(i + 1):
            scale, times = sd[..., i] * sd[..., j], 1.0 if i == j else 2.0
            shared += times * _code_covariance(cuts[i], cuts[j], common[..., i, j] / scale)
            # an item is its own twin: rounding must not make that correlation less than 1
            r = np.ones(scale.shape) if i == j else total[..., i, j] / scale
            observed += times * _code_covariance(cuts[i], cuts[j], r)
    return np.asarray(shared / observed)


def _code_covariance(a: FloatArray, b: FloatArray, r: FloatArray) -> FloatArray:
    """Covariance of the codes of two items, from thresholds (..., K - 1) and r (...)."""
    h, k = a[..., :, None], b[..., None, :]
    both = bivariate_normal_cdf(h, k, r[..., None, None])
    return np.asarray((both - special.ndtr(h) * special.ndtr(k)).sum(axis=(-2, -1)))


def bivariate_normal_cdf(h: ArrayLike, k: ArrayLike, r: ArrayLike) -> FloatArray:
    """Probability that two standard normal variables with correlation r are below h and k.

    Examples
    --------
    >>> float(bivariate_normal_cdf(0.0, 0.0, 0.5))  # 1/4 + arcsin(r) / (2 pi)
    0.33333333
    """
    x, y, rho = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (h, k, r)))
    x, y = np.where(x == 0.0, _TINY, x), np.where(y == 0.0, _TINY, y)
    px, py = special.ndtr(x), special.ndtr(y)
    equal, opposite = rho >= 1.0, rho <= -1.0
    inside = np.where(equal | opposite, 0.0, rho)
    rest = np.sqrt((1.0 - inside) * (1.0 + inside))
    with np.errstate(over="ignore"):  # of a ratio to _TINY, which is as good as infinite
        below = special.owens_t(x, (y / x - inside) / rest)
        left = special.owens_t(y, (x / y - inside) / rest)
    found = 0.5 * (px + py) - below - left - np.where(np.sign(x) != np.sign(y), 0.5, 0.0)
    found = np.where(equal, np.minimum(px, py), found)
    return np.where(opposite, np.maximum(px + py - 1.0, 0.0), found)
