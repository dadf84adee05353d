"""Effects of clusters that a user gives, checked and put in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError, nearest

FloatArray = NDArray[np.float64]


def effect_values(
    effects: pd.DataFrame, clusters: pd.Index[Any], wanted: Sequence[str]
) -> FloatArray:
    """Read the effects of clusters.

    Parameters
    ----------
    effects
        One row per cluster (index: identifiers), one column per effect; others are not read.
    clusters
        Identifiers of the clusters.
    wanted
        Names of the effects.

    Returns
    -------
    (len(clusters), len(wanted)) array

    Raises
    ------
    SpecificationError
        Not a data frame; clusters or effects are missing or there twice; a value is no number.
    """
    if not isinstance(effects, pd.DataFrame):
        raise SpecificationError(
            "effects must be a data frame with one row per cluster (index: identifiers) and one "
            f"column per effect, got {type(effects).__name__}"
        )
    for names, given, what in (
        (wanted, effects.columns, "column for the effect"),
        (clusters, effects.index, "row for the cluster"),
    ):
        absent = [name for name in names if name not in given]
        if absent:
            hint = nearest(str(absent[0]), [str(name) for name in given])
            raise SpecificationError(f"effects has no {what} {absent[0]!r}{hint}")
        twice = [name for name in given[given.duplicated()] if name in names]
        if twice:
            raise SpecificationError(f"effects has more than one {what} {twice[0]!r}; keep one")
    try:
        values = effects.loc[list(clusters), list(wanted)].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecificationError("effects has values that are no numbers; convert them") from None
    if not np.isfinite(values).all():
        j, k = np.argwhere(~np.isfinite(values))[0]
        raise SpecificationError(
            f"the effect {wanted[k]!r} of cluster {clusters[j]!r} is {values[j, k]}; give a number"
        )
    return values
