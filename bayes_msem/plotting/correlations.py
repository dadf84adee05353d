"""Heat map of the correlations of cluster effects."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.figures import MUTED, NotebookFigure, text_width
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind, check_interval, interval

__all__ = ["effect_correlations", "heat_map"]

FloatArray = NDArray[np.float64]

_CELL, _MARGIN, _BAR = 0.95, 0.2, 0.9  # inches


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
        values = values.sel(effect=effects["integrated_or_sampled"].to_numpy())
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


def heat_map(
    effects: xr.Dataset,
    *,
    ci: float = 0.95,
    ci_kind: IntervalKind = "eti",
    figsize: tuple[float, float] | None = None,
) -> NotebookFigure:
    """Draw posterior means and intervals of the correlations, below the diagonal.

    Parameters
    ----------
    effects
        From :func:`bayes_msem.posterior.recover.recover_effects`.
    ci, ci_kind
        Mass and kind of the intervals.
    figsize
        Width and height in inches; None: what the effects need.

    Returns
    -------
    matplotlib.figure.Figure
        One cell per pair.

    Raises
    ------
    SpecificationError
        Fewer than two effects that vary.
    """
    check_interval(ci, ci_kind)
    names, draws = effect_correlations(effects)
    k = len(names)
    pairs = [(i, j) for i in range(1, k) for j in range(i)]
    flat = np.stack([draws[..., i, j] for i, j in pairs], axis=-1)
    mean, (lower, upper) = flat.mean(axis=(0, 1)), interval(flat, ci, ci_kind)
    shown = np.full((k - 1, k - 1), np.nan)
    for (i, j), r in zip(pairs, mean, strict=True):
        shown[i - 1, j] = r
    wide = text_width(list(names), 9) + _MARGIN + 0.15
    width, height = wide + _CELL * (k - 1) + _BAR, 0.5 * _CELL * (k - 1) + 1.1
    width = max(width, 4.6)
    figure = NotebookFigure(figsize=figsize or (width, height), dpi=100, layout="constrained")
    ax = figure.add_subplot()
    image = ax.imshow(shown, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", gid="correlations")
    for (i, j), r, a, b in zip(pairs, mean, lower, upper, strict=True):
        colour = "white" if abs(r) > 0.6 else "black"
        text = f"{r:.2f}\n[{a:.2f}, {b:.2f}]".replace("-", "\N{MINUS SIGN}")
        ax.text(j, i - 1, text, ha="center", va="center", size=8, color=colour)
    ax.set_xticks(range(k - 1), names[:-1], size=9)
    ax.set_yticks(range(k - 1), names[1:], size=9)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title("Correlations of effects over the clusters", loc="left", size=10, weight="bold")
    ax.set_xlabel(
        f"posterior mean and {100 * ci:g}% {INTERVAL_NAMES[ci_kind]}", size=8, color=MUTED
    )
    bar = figure.colorbar(image, ax=ax, fraction=0.06, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=0, labelcolor=MUTED)
    return figure
