"""Units of rows in which random variances take part.

Here a random variance is the logarithm of a standard deviation, in Mplus that of a variance: twice
as much. With s the factor of a variable (2 for such logarithms, 1 for all others), a mean is
multiplied by s, a covariance by the product of both, and a coefficient by that of its outcome over
that of its predictor.
"""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["unit_of"]


def unit_of(lhs: str, op: str, rhs: str, logs: Collection[str]) -> float:
    """Return what a value of a row is multiplied by to be one of Mplus.

    Parameters
    ----------
    lhs, op, rhs
        The row.
    logs
        Names of random variances.

    Examples
    --------
    >>> unit_of("v", "~~", "v", {"v"}), unit_of("s", "~", "v", {"v"})
    (4.0, 0.5)
    """
    left, right = (2.0 if name in logs else 1.0 for name in (lhs, rhs))
    if op == "~~":
        return left * right
    if op == "=~":
        return right / left
    return left / right if op == "~" else 1.0
