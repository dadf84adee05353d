"""Codes that stand for missing values, read as missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

__all__ = ["with_missing"]


def with_missing(frame: pd.DataFrame, codes: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Return a frame in which codes are missing values.

    Parameters
    ----------
    frame
        The data; not modified.
    codes
        Numbers by column; "" for all columns. Columns that the frame lacks are left to others.

    Returns
    -------
    pandas.DataFrame
        A copy, or the frame itself if there are no codes.

    Examples
    --------
    >>> frame = pd.DataFrame({"y": [1.0, -99.0], "x": [-99, 2]})
    >>> with_missing(frame, {"y": [-99]})["y"].isna().tolist()
    [False, True]
    """
    if not codes:
        return frame
    changed = {}
    for name in frame.columns:
        own = [*codes.get(name, ()), *codes.get("", ())]
        found = frame[name].isin(own)
        if own and found.any():
            changed[name] = frame[name].mask(found)
    return frame.assign(**changed)
