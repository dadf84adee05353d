r"""Are ranks uniform? The exact test behind simulation-based calibration.

A rank r among L draws is one of 0, ..., L, all equally likely if the draws are from the right
posterior. With N ranks, the number below i,

    R_i = #(r < i) ~ Binomial(N, z_i) ,   z_i = i / (L + 1) ,   i = 1, ..., L ,

makes a Markov chain: that of a Poisson process with N expected events, given that it has N. The
test looks at the whole distribution function at once, through its most extreme point (Säilynoja,
Bürkner & Vehtari 2022):

    gamma = min_i 2 min( P(R_i <= observed), P(R_i >= observed) ) ,

and the p-value, the probability of so small a gamma, follows from the chain without simulation.

References
----------
Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
Statistics, 6, 65-70.

Säilynoja, T., Bürkner, P.-C., & Vehtari, A. (2022). Graphical test for discrete uniformity and its
applications in goodness-of-fit evaluation and multiple sample comparison. Statistics and
Computing, 32, 32. https://doi.org/10.1007/s11222-022-10090-6
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = ["counts_below", "holm", "limits", "p_value", "rank_of"]

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

_SAME = 1 + 1e-9  # tails that differ by rounding are the same


def rank_of(truth: float, draws: ArrayLike, rng: np.random.Generator) -> int:
    """Return the number of draws below the truth; draws equal to it count at random.

    Parameters
    ----------
    truth
        The value that made the data.
    draws
        Draws from the posterior, (L,).
    rng
        Decides among the ranks that ties leave open, all equally likely.

    Returns
    -------
    int
        From 0 to L.
    """
    values = np.asarray(draws, dtype=np.float64)
    if not (np.isfinite(truth) and np.isfinite(values).all()):
        raise ValueError("the rank of a number among draws needs finite numbers")
    return int((values < truth).sum() + rng.integers((values == truth).sum() + 1))


def counts_below(ranks: ArrayLike, n_draws: int) -> Counts:
    """Return R_1, ..., R_L: how many of the ranks are below 1, ..., L."""
    values = np.asarray(ranks, dtype=np.int64)
    if values.min() < 0 or values.max() > n_draws:
        raise ValueError(f"ranks among {n_draws} draws are from 0 to {n_draws}")
    return np.cumsum(np.bincount(values, minlength=n_draws + 1))[:-1]


def p_value(ranks: ArrayLike, n_draws: int) -> float:
    """Probability of ranks at least as far from uniform, if they are uniform.

    Parameters
    ----------
    ranks
        One of every data set, (N,).
    n_draws
        Number of draws L that the truth is ranked among.
    """
    counts = counts_below(ranks, n_draws)
    tails = _tails(np.size(ranks), n_draws)
    gamma = tails[np.arange(n_draws), counts].min()
    return max(0.0, 1.0 - _coverage(tails > gamma * _SAME))


def holm(p: ArrayLike) -> Array:
    """Correct p-values for their number (Holm 1979): valid however they depend on each other."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    left = len(values) - np.arange(len(values))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(left * values[order]))
    return corrected


def limits(n_ranks: int, n_draws: int, level: float) -> tuple[Counts, Counts]:
    """Smallest and largest R_1, ..., R_L of a band that holds all of them.

    Parameters
    ----------
    n_ranks, n_draws
        N and L.
    level
        Smallest probability that uniform ranks stay inside everywhere; the band is the narrowest
        of equal pointwise tails that keeps it.
    """
    tails = _tails(n_ranks, n_draws)
    low, high = 0.0, 1.0
    for _ in range(50):  # the band at ``low`` is always wide enough
        middle = (low + high) / 2
        if _coverage(tails > middle) >= level:
            low = middle
        else:
            high = middle
    inside = tails > low
    return inside.argmax(axis=1), n_ranks - inside[:, ::-1].argmax(axis=1)


@cache
def _tails(n_ranks: int, n_draws: int) -> Array:
    """Two-sided tail probability of every R_i = 0, ..., N, (L, N + 1)."""
    count = np.arange(n_ranks + 1)
    z = np.arange(1, n_draws + 1)[:, None] / (n_draws + 1)
    lower = special.bdtr(count, n_ranks, z)
    upper = np.where(count > 0, special.bdtrc(count - 1, n_ranks, z), 1.0)
    return np.asarray(2 * np.minimum(lower, upper))


def _coverage(inside: NDArray[np.bool_]) -> float:
    """Probability that all R_i are inside, (L, N + 1).

    R is a Poisson process of N expected events, given that it has N; so each step is a convolution.
    """
    n = inside.shape[1] - 1
    count = np.arange(n + 1)
    step = _poisson(count, n / (len(inside) + 1))
    state = np.zeros(n + 1)
    state[0] = 1.0
    for allowed in inside:
        state = np.where(allowed, np.convolve(state, step)[: n + 1], 0.0)
    total = float(np.convolve(state, step)[n])
    return total / float(_poisson(np.array(n), n))


def _poisson(count: NDArray[np.int64], mean: float) -> Array:
    """Probability of a count; ``scipy.stats`` takes long to import."""
    return np.asarray(np.exp(count * np.log(mean) - mean - special.gammaln(count + 1.0)))
