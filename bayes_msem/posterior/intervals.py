"""Posterior means and two nested intervals, as forest and caterpillar plots show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.posterior.summary import IntervalKind, check_interval, interval
from bayes_msem.spec.table import Row, RowKey

__all__ = [
    "INNER",
    "ClusterIntervals",
    "RowIntervals",
    "centre_of_clusters",
    "cluster_intervals",
    "means_and_intervals",
    "row_intervals",
]

FloatArray = NDArray[np.float64]

INNER = 0.5  # mass of the inner interval
_ROUNDING = 1e-10  # relative size of rounding errors


@dataclass(frozen=True, slots=True, eq=False)
class RowIntervals:
    """Means and intervals of rows of the parameter table.

    Attributes
    ----------
    mean
        (row,); NaN where some draws are no numbers.
    inner, outer
        (2, row); NaN for constants and where some draws are no numbers.
    """

    mean: FloatArray
    inner: FloatArray
    outer: FloatArray


def row_intervals(
    rows: Sequence[Row], draws: Mapping[RowKey, FloatArray], ci: float, ci_kind: IntervalKind
) -> RowIntervals:
    """Summarise the draws of rows.

    Parameters
    ----------
    rows
        Which rows.
    draws
        Row key -> draws (chain, draw). Rows whose draws are all equal are constants.
    ci, ci_kind
        Mass and kind of the outer interval; the inner one holds 50%, and there is none if the
        outer one holds no more.
    """
    values = np.stack([draws[r.key] for r in rows], axis=-1)
    numbers = np.isfinite(values).all(axis=(0, 1))
    varies = numbers & (np.ptp(values, axis=(0, 1)) > 0)
    inner, outer = np.full((2, len(rows)), np.nan), np.full((2, len(rows)), np.nan)
    if varies.any():
        outer[:, varies] = interval(values[..., varies], ci, ci_kind)
        if ci > INNER:
            inner[:, varies] = interval(values[..., varies], INNER, ci_kind)
    return RowIntervals(np.where(numbers, values.mean(axis=(0, 1)), np.nan), inner, outer)


@dataclass(frozen=True, slots=True, eq=False)
class ClusterIntervals:
    """Means and intervals of one effect in several clusters.

    Attributes
    ----------
    names
        Identifiers of the clusters as text.
    mean, inner, outer
        (cluster,), (2, cluster) and (2, cluster).
    """

    names: tuple[str, ...]
    mean: FloatArray
    inner: FloatArray
    outer: FloatArray


def cluster_intervals(
    values: xr.DataArray, chosen: NDArray[np.intp], ci: float, ci_kind: IntervalKind, *, sort: bool
) -> ClusterIntervals:
    """Summarise one effect in some clusters.

    Parameters
    ----------
    values
        Draws (chain, draw, cluster_id).
    chosen
        Positions of the clusters.
    ci, ci_kind
        Mass and kind of the outer interval; the inner one holds 50%.
    sort
        By posterior mean, smallest first; False: the reverse of ``chosen``.
    """
    check_interval(ci, ci_kind)
    shown = values[..., chosen].to_numpy()
    mean = shown.mean(axis=(0, 1))
    order = np.argsort(mean, kind="stable") if sort else np.arange(len(mean))[::-1]
    labels = values["cluster_id"].to_numpy()[chosen][order]
    inner, outer = (np.stack(interval(shown[..., order], q, ci_kind)) for q in (INNER, ci))
    return ClusterIntervals(tuple(map(str, labels)), mean[order], inner, outer)


def centre_of_clusters(values: xr.DataArray, definition: FloatArray | None) -> float:
    """Posterior mean of the average of all clusters, or of a definition's population mean.

    NaN for a definition that is no number in some draws.
    """
    return float(values.mean() if definition is None else definition.mean())


def means_and_intervals(
    draws: Mapping[RowKey, FloatArray], ci: float | None, ci_kind: IntervalKind
) -> tuple[dict[RowKey, float], dict[RowKey, tuple[float, float]]]:
    """Posterior mean of every row and, unless ``ci`` is None, its interval.

    The mean is NaN where some draws are no numbers. Such rows have no interval, and nor have rows
    whose standardised value is the same in all draws but for rounding.
    """
    means = {key: float(x.mean()) for key, x in draws.items()}
    limits: dict[RowKey, tuple[float, float]] = {}
    if ci is not None:
        check_interval(ci, ci_kind)
        for key, x in draws.items():
            if np.isfinite(x).all() and np.ptp(x) > _ROUNDING * np.abs(x).max():
                lower, upper = interval(x[..., None], ci, ci_kind)
                limits[key] = (float(lower[0]), float(upper[0]))
    return means, limits
