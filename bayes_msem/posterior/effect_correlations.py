"""Correlations of cluster effects over the clusters, per draw and summarised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.posterior.summary import IntervalKind, check_interval, interval

__all__ = ["PairCorrelation", "correlation_summary", "effect_correlations"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairCorrelation:
    """Posterior mean and interval of the correlation of effects i and j, by position."""

    i: int
    j: int
    mean: float
    lower: float
    upper: float


def effect_correlations(effects: xr.Dataset) -> tuple[tuple[str, ...], FloatArray]:
    """Correlations of effects over the clusters, per draw.

    Parameters
    ----------
    effects
        From :func:`bayes_msem.posterior.recover.recover_effects`.

    Returns
    -------
    tuple
        Names, and correlations (chain, draw, effect, effect). Effects are total coefficients;
        definitions are left out.

    Raises
    ------
    SpecificationError
        Fewer than two effects that vary.
    """
    values = effects["effects"]
    if "integrated_or_sampled" in effects.coords:
        factors = effects["between_factor"].to_numpy() if "factors" in effects else ()
        random = [v for v in effects["integrated_or_sampled"].to_numpy() if v not in factors]
        values = values.sel(effect=random)
    array = values.transpose("chain", "draw", "effect", "cluster_id").to_numpy()
    centred = array - array.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).sum(axis=-1))
    varies = (spread > 1e-10 * (1 + np.abs(array).max(axis=-1))).all(axis=(0, 1))
    names = tuple(str(v) for v in values["effect"].to_numpy()[varies])
    if len(names) < 2:
        raise SpecificationError(
            "a correlation needs two random effects; this model has " + (", ".join(names) or "none")
        )
    scaled = (centred / np.where(spread > 0, spread, 1.0)[..., None])[:, :, varies]
    return names, scaled @ scaled.transpose(0, 1, 3, 2)


def correlation_summary(
    effects: xr.Dataset, *, ci: float, ci_kind: IntervalKind
) -> tuple[tuple[str, ...], list[PairCorrelation]]:
    """Summarise the correlations of all pairs of effects.

    Parameters
    ----------
    effects
        From :func:`bayes_msem.posterior.recover.recover_effects`.
    ci, ci_kind
        Mass and kind of the intervals.

    Returns
    -------
    tuple
        Names of the effects, and one record per pair (i > j).

    Raises
    ------
    SpecificationError
        Fewer than two effects that vary, or an interval that does not exist.
    """
    check_interval(ci, ci_kind)
    names, draws = effect_correlations(effects)
    pairs = [(i, j) for i in range(1, len(names)) for j in range(i)]
    flat = np.stack([draws[..., i, j] for i, j in pairs], axis=-1)
    mean, (lower, upper) = flat.mean(axis=(0, 1)), interval(flat, ci, ci_kind)
    return names, [
        PairCorrelation(i, j, float(r), float(a), float(b))
        for (i, j), r, a, b in zip(pairs, mean, lower, upper, strict=True)
    ]
