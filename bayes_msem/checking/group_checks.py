"""Predictive checks of several groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayes_msem.checking.predictive.at_mode import NAME
from bayes_msem.checking.predictive.named_statistics import BUILT_IN
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.errors import NotSupportedError

__all__ = ["together", "without_refit"]

_SUMS = ("chi_square", "deviance")  # of independent groups


def without_refit(statistics: Any) -> Any:
    """Return what to compute, without fits of a group by itself."""
    if statistics is None:
        names = [s.name for s in BUILT_IN if not s.on_request]
        return list(dict.fromkeys(names))
    listed = [statistics] if isinstance(statistics, str) else statistics
    if not callable(listed) and not isinstance(listed, Mapping) and NAME in listed:
        raise NotSupportedError(
            f"{NAME} is not there for several groups: it would fit every group by itself, without "
            "what groups share; use chi_square, which measures the distance from the draws"
        )
    return statistics


def together(checks: Sequence[PredictiveCheck]) -> PredictiveCheck | None:
    """Return the check of all groups: sums of likelihood ratios and deviances; None without any."""
    key = ["level", "statistic", "variable"]
    rows, observed, replicated = [], [], []
    for _, row in checks[0].statistics.iterrows():
        if row["statistic"] not in _SUMS:
            continue
        places = []
        for check in checks:
            same = (check.statistics[key] == row[key]).all(axis=1).to_numpy()
            places.append(int(np.flatnonzero(same)[0]) if same.any() else -1)
        if min(places) < 0:
            continue
        rows.append(row)
        pairs = list(zip(checks, places, strict=True))
        observed.append(np.sum([check.observed[..., k] for check, k in pairs], axis=0))
        replicated.append(np.sum([check.replicated[..., k] for check, k in pairs], axis=0))
    if not rows:
        return None
    return replace(
        checks[0],
        statistics=pd.DataFrame(rows).reset_index(drop=True),
        observed=np.stack(observed, axis=-1),
        replicated=np.stack(replicated, axis=-1),
        notes=(),
    )
