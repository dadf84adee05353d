"""Distributions of data: smooth curves, or steps where there are few distinct values."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bayes_msem.posterior.distributions import data_density, data_steps

__all__ = ["distribution"]

FloatArray = NDArray[np.float64]


def distribution(ax: Axes, values: FloatArray, **style: Any) -> float:
    """Draw the distribution of data and return its height: in steps if few values are distinct."""
    steps = data_steps(values)
    if steps is None:
        x, y = data_density(values)
        ax.plot(x, y, **style)
        return float(y.max())
    edges, height = steps
    ax.stairs(height, edges, **style)
    return float(height.max())
