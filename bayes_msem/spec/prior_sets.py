"""Named sets of default priors: what differs between them, as numbers.

"informative" are the defaults, which the study in ``docs/prior_study.md`` recommends for level
between; for "wide" a slope of 2.5 standard deviations is nothing unusual at that level either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["DEFAULT_SET", "PRIOR_SETS", "PriorSet", "PriorSetName"]

PriorSetName = Literal["informative", "wide"]

DEFAULT_SET: PriorSetName = "informative"


@dataclass(frozen=True, slots=True)
class PriorSet:
    """Rules for default priors of level between.

    Attributes
    ----------
    slope
        Scale of a slope's prior, in standard deviations of the outcome per one of the predictor.
    freedom
        Degrees of freedom of its Student t, or None for a normal.
    splits
        Whether this scale is divided by the square root of the number of predictors, so that the
        R2 that the priors expect does not grow with it.
    avoids_zero
        Whether the SD of a split variable that predicts others has a gamma(2, 2/s), which vanishes
        at 0, and not a half-normal(s).
    slope_effect
        Scale of the SD of a random slope, in units of the slope's scale.
    """

    slope: float
    freedom: float | None
    splits: bool
    avoids_zero: bool
    slope_effect: float


PRIOR_SETS: dict[PriorSetName, PriorSet] = {
    "informative": PriorSet(1.0, 4.0, splits=True, avoids_zero=True, slope_effect=0.5),
    "wide": PriorSet(2.5, None, splits=False, avoids_zero=False, slope_effect=1.0),
}
assert tuple(PRIOR_SETS) == get_args(PriorSetName)
