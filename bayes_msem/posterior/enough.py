"""Whether there are draws enough for what is asked, and spread over draws where there is one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError

__all__ = ["check_enough", "sd_of_draws"]

FloatArray = NDArray[np.float64]


def check_enough(n: int, least: int, what: str) -> None:
    """Raise if ``n`` draws of all chains together are fewer than ``what`` needs.

    Raises
    ------
    SpecificationError
        With the number there is, the number needed, and what to do.
    """
    if n < least:
        raise SpecificationError(
            f"{what} needs {least} draws or more, not {n}; sample more, such as "
            "model.fit(draws=1000)"
        )


def sd_of_draws(values: FloatArray, axis: int | tuple[int, ...]) -> FloatArray:
    """Return the SD over the axes of chains and draws: NaN of a single draw, which has none."""
    axes = (axis,) if isinstance(axis, int) else axis
    if np.prod([values.shape[a] for a in axes]) < 2:
        return np.full_like(values.mean(axis=axes), np.nan)
    return np.asarray(values.std(axis=axes, ddof=1))
