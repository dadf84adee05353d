"""Distributions of numbers as figures show them: densities, steps, histograms and ranks.

Kernel densities are ArviZ's. Figures draw what these functions return, and compute nothing.

Ranks: draws of all chains are ranked together. If the chains agree, the ranks of each are uniform
(Vehtari, Gelman, Simpson, Carpenter & Bürkner, 2021, https://doi.org/10.1214/20-BA1221), and the
number of ranks of one chain in one of k equal bins is binomial(n, 1 / k) if draws are independent.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

__all__ = [
    "central_range",
    "data_density",
    "data_steps",
    "draws_density",
    "histogram",
    "peak_histogram",
    "rank_band",
    "rank_shares",
    "share_outside",
    "weighted_density",
]

FloatArray = NDArray[np.float64]

_STEPS, _PER_STEP = 12, 5  # most distinct values, and fewest of each on average, of a step function
_RANK_BINS = 20


def draws_density(draws: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points and heights of the density of posterior draws, (n,), on their range.

    Examples
    --------
    >>> import numpy as np
    >>> from bayes_msem.posterior.distributions import draws_density
    >>> grid, height = draws_density(np.random.default_rng(1).standard_normal(4000))
    >>> round(float(np.trapezoid(height, grid)), 1)
    1.0
    """
    from arviz_stats.base import array_stats

    grid, height, _ = array_stats.kde(draws)
    return np.asarray(grid, dtype=np.float64), np.asarray(height, dtype=np.float64)


def data_density(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points and heights of the density of the last axis.

    The bandwidth is Silverman's: smooth also for few values, and ten times as fast as ArviZ's own
    choice. The curve runs to zero beyond the outermost values.
    """
    from arviz_stats.base import array_stats

    beyond = 2.7 * values.shape[-1] ** -0.2  # three bandwidths, in standard deviations
    grid, height, _ = array_stats.kde(
        values,
        bw="silverman",
        bound_correction=False,
        extend=True,
        extend_fct=beyond,
        grid_len=256,
    )
    return np.asarray(grid), np.asarray(height)


def data_steps(values: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Edges (k + 1,) and heights (k,) of a step per distinct value, which integrate to one.

    None if there are more than 12 distinct values, or fewer than five of each on average: then a
    smooth curve shows more.
    """
    steps, n = np.unique(values, return_counts=True)
    if len(steps) > _STEPS or len(values) < _PER_STEP * len(steps):
        return None
    middle = (steps[1:] + steps[:-1]) / 2
    edges = np.array([2 * steps[0] - middle[0], *middle, 2 * steps[-1] - middle[-1]])
    return edges, n / len(values) / np.diff(edges)


def weighted_density(values: FloatArray, weights: FloatArray, grid: FloatArray) -> FloatArray:
    """Heights at ``grid`` of the density of weighted draws.

    The bandwidth is that of SciPy's kernel density, which knows the effective number of draws.
    """
    return np.asarray(scipy.stats.gaussian_kde(values, weights=weights)(grid), dtype=np.float64)


def central_range(values: FloatArray, mass: float) -> tuple[float, float]:
    """Return the ends of the equal-tailed interval that holds ``mass`` of all values."""
    tail = (1 - mass) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def share_outside(values: FloatArray, low: float, high: float) -> float:
    """Share of all values below ``low`` or above ``high``."""
    return float(((values < low) | (values > high)).mean())


def histogram(values: FloatArray, edges: FloatArray) -> NDArray[np.int64]:
    """Return numbers of values between the edges; those beyond count in the outermost bins."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return np.asarray(counts, dtype=np.int64)


def peak_histogram(values: FloatArray, most: int) -> tuple[FloatArray, FloatArray]:
    """Edges and heights of a histogram of height 1, with NumPy's number of bins or ``most``."""
    bins = min(most, len(np.histogram_bin_edges(values, "auto")) - 1)
    counts, edges = np.histogram(values, bins=bins)
    return edges, counts / counts.max()


def rank_shares(draws: FloatArray) -> FloatArray:
    """Observed over expected numbers of ranks in equal bins, (chain, bin), of (chain, draw)."""
    ranks = scipy.stats.rankdata(draws, method="average").reshape(draws.shape)
    bins = int(min(_RANK_BINS, max(2, draws.shape[1] // 10)))
    position = np.minimum(((ranks - 0.5) / draws.size * bins).astype(np.int64), bins - 1)
    counts = np.stack([np.bincount(p, minlength=bins) for p in position])
    return np.asarray(counts * bins / draws.shape[1])


def rank_band(draws: int, bins: int, mass: float) -> tuple[float, float]:
    """Interval that holds ``mass`` of the heights of one bin if ``draws`` are independent."""
    low, high = scipy.stats.binom.interval(mass, draws, 1 / bins)
    return float(low) * bins / draws, float(high) * bins / draws
