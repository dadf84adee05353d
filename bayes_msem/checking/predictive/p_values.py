"""Posterior predictive p-values, with their Monte-Carlo errors, and for several variables at once.

A statistic of k variables gives k p-values, and the smallest of them is small by chance. Replicates
say how small: with T_v(y) the statistic of variable v, the median m_v of it and its replicates, and
distances u_v, d_v of the 95% and 5% quantiles from that,

    z_v(y) = (T_v(y) - m_v) / (u_v above the median, d_v below) ,
    adjusted p of v = P( max_w |z_w(y_rep)| >= |z_v(y)| ) ,

without the bars where small values are good. This is the single-step max-T adjustment of Westfall &
Young (1993) with replicates in place of permutations. Unlike Bonferroni's it loses nothing
where variables go together, and it needs no p-values below 1 / replicates.

References
----------
Westfall, P. H., & Young, S. S. (1993). Resampling-based multiple testing: Examples and methods for
p-value adjustment. Wiley.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.posterior.tables import EstimateTable

FloatArray = NDArray[np.float64]

ALPHA = 0.05
"""Mass of the extreme p-values that are marked."""


def p_values(check: PredictiveCheck) -> EstimateTable:
    """Tabulate P(T(y_rep, theta) >= T(y, theta)) of every number compared.

    Ties, which only discrete statistics have, count half.

    Returns
    -------
    EstimateTable
        Columns level, statistic, variable, observed and replicated (posterior means), lower and
        upper (central 95% of the replicates), ppp, mcse, adjusted, flag.
    """
    larger = check.replicated > check.observed
    ppp = (larger + 0.5 * (check.replicated == check.observed)).mean(axis=(0, 1))
    low, high = np.quantile(check.replicated, [0.025, 0.975], axis=(0, 1))
    frame = EstimateTable(check.statistics[["level", "statistic", "variable"]])
    frame["observed"] = check.observed.mean(axis=(0, 1))
    frame["replicated"] = check.replicated.mean(axis=(0, 1))
    frame["lower"], frame["upper"] = low, high
    frame["ppp"] = ppp
    frame["mcse"] = [_mcse(larger[..., k]) for k in range(larger.shape[-1])]
    frame["adjusted"] = adjusted_p_values(check)
    two_sided = check.statistics["two_sided"].to_numpy(dtype=bool)
    tail = np.where(two_sided, 2 * np.minimum(ppp, 1 - ppp), ppp)
    frame["flag"] = np.where(tail < ALPHA, "*", "")
    frame.attrs["caption"] = _caption(check, len(frame))
    return frame


def adjusted_p_values(check: PredictiveCheck) -> FloatArray:
    """P-value of each number, allowing for all variables of its statistic at its level, (n,)."""
    result = np.empty(len(check.statistics))
    for _, group in check.statistics.groupby(["level", "statistic"], sort=False):
        rows = group.index.to_numpy()
        observed = check.observed[..., rows].reshape(-1, len(rows))
        replicated = check.replicated[..., rows].reshape(-1, len(rows))
        if group["two_sided"].all() or len(rows) > 1:
            two_sided = bool(group["two_sided"].all())
            # data and replicates alike, or few replicates would be closer to their own median
            every = np.vstack([replicated, observed.mean(axis=0)])
            observed, replicated = (
                _deviations(values, every, two_sided) for values in (observed, replicated)
            )
        largest = replicated.max(axis=1, keepdims=True)
        result[rows] = ((largest > observed) + 0.5 * (largest == observed)).mean(axis=0)
    return result


def _deviations(values: FloatArray, every: FloatArray, two_sided: bool) -> FloatArray:
    """Distances from the median of all, in units of its distance from a quantile."""
    low, median, high = np.quantile(every, [0.05, 0.5, 0.95], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (values - median) / np.where(values > median, high - median, median - low)
    z = np.where(values == median, 0.0, z)
    z = np.nan_to_num(z, nan=0.0, posinf=np.inf, neginf=-np.inf)  # what has no value is not odd
    return np.abs(z) if two_sided else z


def _caption(check: PredictiveCheck, n: int) -> str:
    more = ", pair_table" if "pair_table" in set(check.statistics["statistic"]) else ""
    by_chance = f"about {ALPHA * n:.0f}" if ALPHA * n >= 0.5 else "hardly any"
    return (
        f"Posterior predictive p-values: share of {check.draws} replicates of the data "
        f"({check.kind} clusters) whose statistic is larger than that of the data; around .5 is "
        f"unremarkable. Marked *: below {ALPHA:g} for distances (chi_square*, srmr, "
        f"outlying_*{more}), below {ALPHA / 2:g} or above {1 - ALPHA / 2:g} for all others; of "
        f"{n} independent numbers {by_chance} would be marked by chance. mcse: Monte-Carlo error "
        "of ppp. adjusted: share of replicates in which any variable of the same statistic and "
        "level deviates as much as this one, in either direction where both are odd. "
        + " ".join(f"{note[0].upper()}{note[1:]}." for note in check.notes)
    ).strip()


def _mcse(larger: NDArray[np.bool_]) -> float:
    """Monte-Carlo error of a proportion of autocorrelated draws.

    Half a success is added to both outcomes (as the Jeffreys prior does), since a proportion of 0
    among n draws is known no better than to about 1 / n.
    """
    import arviz_stats as azs  # with scipy.stats, which takes a while

    n, effective = larger.size, float(larger.size)
    if larger.shape[1] >= 4 and 0 < larger.sum() < n:
        effective = min(effective, float(azs.ess(larger.astype(float), method="mean")))
    p = (larger.sum() + 0.5) / (n + 1.0)
    return float(np.sqrt(p * (1.0 - p) / effective))
