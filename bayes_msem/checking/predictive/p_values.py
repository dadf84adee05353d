"""Posterior predictive p-values, with their Monte-Carlo errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.posterior.tables import EstimateTable

ALPHA = 0.05
"""Mass of the extreme p-values that are marked."""


def p_values(check: PredictiveCheck) -> EstimateTable:
    """Tabulate P(T(y_rep, theta) >= T(y, theta)) of every number compared.

    Ties, which only discrete statistics have, count half.

    Returns
    -------
    EstimateTable
        Columns level, statistic, variable, observed and replicated (posterior means), lower and
        upper (central 95% of the replicates), ppp, mcse, flag.
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
    two_sided = check.statistics["two_sided"].to_numpy(dtype=bool)
    tail = np.where(two_sided, 2 * np.minimum(ppp, 1 - ppp), ppp)
    frame["flag"] = np.where(tail < ALPHA, "*", "")
    frame.attrs["caption"] = _caption(check, len(frame))
    return frame


def _caption(check: PredictiveCheck, n: int) -> str:
    more = ", pair_table" if "pair_table" in set(check.statistics["statistic"]) else ""
    by_chance = f"about {ALPHA * n:.0f}" if ALPHA * n >= 0.5 else "hardly any"
    return (
        f"Posterior predictive p-values: share of {check.draws} replicates of the data "
        f"({check.kind} clusters) whose statistic is larger than that of the data; around .5 is "
        f"unremarkable. Marked *: below {ALPHA:g} for distances (chi_square*, srmr, "
        f"outlying_*{more}), below {ALPHA / 2:g} or above {1 - ALPHA / 2:g} for all others; of "
        f"{n} independent numbers {by_chance} would be marked by chance. mcse: Monte-Carlo error "
        "of ppp. " + " ".join(f"{note[0].upper()}{note[1:]}." for note in check.notes)
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
