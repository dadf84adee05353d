"""Missing values of the columns: none may miss everything, and listwise deletion.

Outcomes and indicators may be missing at both levels: the likelihood is that of the observed
values (full information), unbiased if values are missing at random given what is observed.
Covariates may not (:mod:`bayes_msem.data.role_checks`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import DataError
from bayes_msem.wording import plural

__all__ = ["check_any_observed", "complete_rows"]

FloatArray = NDArray[np.float64]


def check_any_observed(values: dict[str, FloatArray]) -> None:
    """Raise DataError if a variable has no observed value at all."""
    for name, column in values.items():
        if np.isnan(column).all():
            raise DataError(
                f"'{name}' is missing in all {plural(len(column), 'row')}; remove it from the "
                "model, or check how the data were read or joined"
            )


def complete_rows(values: dict[str, FloatArray]) -> NDArray[np.bool_]:
    """Rows without any missing value, for listwise deletion.

    Raises
    ------
    DataError
        There is none.
    """
    n = len(next(iter(values.values())))
    keep = np.ones(n, dtype=bool)
    for column in values.values():
        keep &= ~np.isnan(column)
    if not keep.any():
        worst = max(values, key=lambda name: int(np.isnan(values[name]).sum()))
        raise DataError(
            f"missing='listwise' leaves no row: each of the {n} rows misses some variable "
            f"('{worst}' most often, in {int(np.isnan(values[worst]).sum())}); use missing='fiml', "
            "or remove this variable from the model"
        )
    return keep
