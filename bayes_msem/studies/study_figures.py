r"""Figures of a study from its replications, each with its Monte Carlo standard error.

For one target, with true value t, estimates e_r, standard deviations s_r and intervals
[l_r, u_r] of the n replications that were done:

    bias            mean(e) - t                     SD(e) / sqrt(n)
    relative bias   bias / t                        error of the bias / |t|
    SD of estimates SD(e), divisor n - 1            SD(e) / sqrt(2 (n - 1))
    RMSE            sqrt(M), M = mean((e - t)^2)    SD((e - t)^2) / sqrt(n) / (2 RMSE)
    mean SD         mean(s)                         SD(s) / sqrt(n)
    width           mean(u - l)                     SD(u - l) / sqrt(n)
    shares          p = k / n                       sqrt(q (1 - q) / (n + 4)), q = (k + 2) / (n + 4)

(Morris, White & Crowther 2019, Table 6.) Shares are those of intervals that cover t, exclude 0
(power), or lie within the region of practical equivalence. Their error is that of Agresti & Coull
(1998), which is not zero where a share is 0 or 1: after three replications out of three nobody
knows a power exactly.

References
----------
Morris, T. P., White, I. R., & Crowther, M. J. (2019). Using simulation studies to evaluate
statistical methods. Statistics in Medicine, 38, 2074-2102. https://doi.org/10.1002/sim.8086
Agresti, A., & Coull, B. A. (1998). Approximate is better than "exact" for interval estimation of
binomial proportions. The American Statistician, 52, 119-126.
https://doi.org/10.1080/00031305.1998.10480550
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.posterior.convergence import R_HAT_LIMIT
from bayes_msem.studies.study_design import Cell, Target

__all__ = ["FIGURES", "cell_table", "share_error", "target_figures", "target_table"]

FloatArray = NDArray[np.float64]
Figure = tuple[float, float]  # value, Monte Carlo standard error

FIGURES = (
    *("estimate", "bias", "relative_bias", "sd_estimates", "rmse", "posterior_sd", "coverage"),
    *("power", "in_rope", "width"),
)

_NUMBERS = ("estimate", "sd", "lower", "upper")


def target_figures(
    estimate: FloatArray,
    sd: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    target: Target,
    rope: tuple[float, float] | None,
) -> dict[str, Figure]:
    """Figures of one target from the replications of one cell; arrays (n,).

    Returns
    -------
    dict
        Figure -> value and Monte Carlo standard error. NaN where there is none: relative bias of
        a quantity that is zero, power of one that cannot be, errors from one replication.
    """
    true, error = target.true, estimate - target.true
    bias, bias_error = _mean(error)
    relative = (bias / true, bias_error / abs(true)) if true else (np.nan, np.nan)
    n = len(estimate)
    spread = float(np.std(estimate, ddof=1)) if n > 1 else np.nan
    mse, mse_error = _mean(error**2)
    rmse = np.sqrt(mse)
    none = (np.nan, np.nan)
    excludes_zero = _share((lower > 0) | (upper < 0)) if target.may_be_zero else none
    inside = none if rope is None else _share((lower >= rope[0]) & (upper <= rope[1]))
    return {
        "estimate": _mean(estimate),
        "bias": (bias, bias_error),
        "relative_bias": relative,
        "sd_estimates": (spread, spread / np.sqrt(2 * (n - 1)) if n > 1 else np.nan),
        "rmse": (float(rmse), mse_error / (2 * float(rmse)) if rmse else np.nan),
        "posterior_sd": _mean(sd),
        "coverage": _share((lower <= true) & (true <= upper)),
        "power": excludes_zero,
        "in_rope": inside,
        "width": _mean(upper - lower),
    }


def share_error(hits: int, n: int) -> float:
    """Monte Carlo standard error of a share; NaN without replications."""
    if not n:
        return float("nan")
    q = (hits + 2) / (n + 4)
    return float(np.sqrt(q * (1 - q) / (n + 4)))


def _mean(values: FloatArray) -> Figure:
    n = len(values)
    if not n:
        return np.nan, np.nan
    error = float(np.std(values, ddof=1)) / np.sqrt(n) if n > 1 else np.nan
    return float(np.mean(values)), float(error)


def _share(hits: NDArray[np.bool_]) -> Figure:
    n = len(hits)
    return (float(np.mean(hits)) if n else np.nan), share_error(int(hits.sum()), n)


def target_table(
    replications: pd.DataFrame,
    cells: Sequence[Cell],
    methods: Sequence[str],
    targets: Sequence[Target],
    ropes: Mapping[str, tuple[float, float]],
) -> pd.DataFrame:
    """Figures of every cell, method and target, in this order.

    Parameters
    ----------
    replications
        Rows with the columns of ``replications.COLUMNS``.
    cells, methods, targets
        What to show.
    ropes
        Target -> region of practical equivalence.

    Returns
    -------
    pandas.DataFrame
        Columns clusters, size, method, target, true, done, and every figure with its error
        (``bias``, ``bias_mcse``).
    """
    lines = []
    for cell in cells:
        for method in methods:
            part = _part(replications, cell, method)
            for target in targets:
                own = part[part["target"] == target.name]
                estimate, sd, lower, upper = own[list(_NUMBERS)].to_numpy(np.float64).T
                rope = ropes.get(target.name)
                found = target_figures(estimate, sd, lower, upper, target, rope)
                line: dict[str, object] = {
                    "clusters": cell.clusters,
                    "size": cell.size,
                    "method": method,
                    "target": target.name,
                    "true": target.true,
                    "done": len(own),
                }
                for name in FIGURES:
                    line[name], line[f"{name}_mcse"] = found[name]
                lines.append(line)
    return pd.DataFrame(lines)


def cell_table(
    replications: pd.DataFrame, cells: Sequence[Cell], methods: Sequence[str]
) -> pd.DataFrame:
    """Replications, convergence and time of every cell and method.

    Returns
    -------
    pandas.DataFrame
        Columns clusters, size, method, done, failed, r_hat_high (share of the replications that
        were done with an R-hat of 1.01 or more), divergent (share with any divergence), both with
        their errors, and seconds (CPU, mean of a replication).
    """
    lines = []
    for cell in cells:
        for method in methods:
            part = _part(replications, cell, method).drop_duplicates("replication")
            failed = part["failure"].to_numpy() != ""
            good = part[~failed]
            sampled = good[good["divergences"].notna()]
            r_hat = sampled["max_r_hat"].dropna().to_numpy(np.float64)  # one chain has none
            high = _share(r_hat >= R_HAT_LIMIT)
            divergent = _share(sampled["divergences"].to_numpy(np.float64) > 0)
            seconds = part["seconds"].to_numpy(np.float64)
            lines.append(
                {
                    "clusters": cell.clusters,
                    "size": cell.size,
                    "method": method,
                    "done": len(good),
                    "failed": int(failed.sum()),
                    "r_hat_high": high[0],
                    "r_hat_high_mcse": high[1],
                    "divergent": divergent[0],
                    "divergent_mcse": divergent[1],
                    "seconds": float(np.mean(seconds)) if len(seconds) else np.nan,
                }
            )
    return pd.DataFrame(lines)


def _part(replications: pd.DataFrame, cell: Cell, method: str) -> pd.DataFrame:
    chosen = (replications["clusters"] == cell.clusters) & (replications["size"] == cell.size)
    return replications[chosen & (replications["method"] == method)]
