"""Continuous outcomes whose residual log SD is a linear predictor of its own.

It is not declared: an outcome has it where the name of its random residual variance has predictors
at level within (spec.log_sds). The dispersion is the residual variance of every single outcome.
"""

from __future__ import annotations

from typing import ClassVar

from bayes_msem.kernels.responses import SCALED
from bayes_msem.outcomes.gaussian import Gaussian

__all__ = ["LocationScale"]


class LocationScale(Gaussian):
    """Normal outcomes with a log SD that depends on the row.

    Examples
    --------
    >>> float(LocationScale("identity").log_density(1.0, 1.0, dispersion=1.0))
    -0.9189385
    """

    name: ClassVar[str] = "location-scale"
    residual_variance = 0.0  # it is no constant; what is one is none

    @property
    def code(self) -> int:
        """The family in kernels.responses."""
        return SCALED
