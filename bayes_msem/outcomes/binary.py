"""Outcomes that happen (1) or do not (0): ordered categories with one threshold.

P(y = 1) = F(eta - tau_1)
"""

from __future__ import annotations

from typing import ClassVar

from bayes_msem.outcomes.ordinal import Ordinal

__all__ = ["Binary"]


class Binary(Ordinal):
    """Two categories with a probit or logit link; the mean is the probability of 1.

    Examples
    --------
    >>> float(Binary("logit").mean(1.0, thresholds=[1.0]))
    0.5
    """

    name: ClassVar[str] = "binary"
