"""Which rows are worth showing: those that vary, and those that mixed worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_msem.posterior.summary import diagnostics
from bayes_msem.spec.table import RowKey

__all__ = ["varies", "worst_mixed"]

FloatArray = NDArray[np.float64]


def varies(draws: FloatArray) -> bool:
    """Whether draws differ, which those of a constant do not."""
    return bool(np.ptp(draws) > 0)


def worst_mixed(
    keys: Sequence[RowKey], draws: Mapping[RowKey, FloatArray], most: int
) -> list[RowKey]:
    """Return the rows with the smallest bulk effective sample sizes, smallest first.

    Rows without one (too few draws) come before all others.

    Parameters
    ----------
    keys
        Rows to choose from.
    draws
        Row -> draws (chain, draw).
    most
        How many.
    """
    if not keys:
        return []
    bulk = diagnostics(np.stack([draws[key] for key in keys], axis=-1))[:, 0]
    order = np.argsort(np.nan_to_num(bulk, nan=-1.0), kind="stable")[:most]
    return [keys[i] for i in order]
