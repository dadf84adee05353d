"""Frames with holes: every kind of missing value that the package accepts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.random.models import make_data

OUTCOMES = ("y1", "y2", "y3", "y4", "y5", "y6", "s1")
CLUSTER_OUTCOMES = ("z1", "z2")


def holes(frame: pd.DataFrame | None = None, seed: int = 1, share: float = 0.25) -> pd.DataFrame:
    """Return the frame of tests.random.models with missing outcomes of both levels.

    Besides values missing at random: in one cluster nobody has y1, one cluster has no outcome of
    level 1 at all, one row of another cluster is empty, and z1 is missing in two clusters, in one
    of them together with z2.
    """
    frame = (make_data() if frame is None else frame).copy()
    rng = np.random.default_rng(seed)
    for name in OUTCOMES:
        frame.loc[rng.uniform(size=len(frame)) < share, name] = np.nan
    sizes = frame["group"].value_counts()
    largest = sizes.index[0]
    middle = sizes.index[len(sizes) // 2]
    small = sizes.index[-3]
    frame.loc[frame["group"] == largest, "y1"] = np.nan
    frame.loc[frame["group"] == middle, list(OUTCOMES)] = np.nan
    frame.loc[frame.index[frame["group"] == sizes.index[1]][0], list(OUTCOMES)] = np.nan
    frame.loc[frame["group"] == small, list(CLUSTER_OUTCOMES)] = np.nan
    frame.loc[frame["group"] == largest, "z1"] = np.nan
    return frame
