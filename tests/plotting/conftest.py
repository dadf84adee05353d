"""A small two-level model with synthetic draws; nothing is sampled."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.table import ParameterTable, RowKey

MODEL = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ a*x
level: between
    fb =~ y1 + y2 + y3
    fb ~ b*w
diff := b - a
"""


@pytest.fixture(scope="session")
def table() -> ParameterTable:
    return build_table(parse(MODEL), ["g", "x", "w", "y1", "y2", "y3"], cluster="g")


@pytest.fixture(scope="session")
def draws(table: ParameterTable) -> dict[RowKey, NDArray[np.float64]]:
    """Three chains of 200 draws; skewed and positive for variances, constant where fixed."""
    rng = np.random.default_rng(20240101)
    result = {}
    for i, row in enumerate(table.rows):
        x = rng.standard_normal((3, 200))
        if row.kind == "variance":
            x = 0.01 * (i + 1) * x**2
        elif not row.free and row.kind != "defined":
            x = np.full((3, 200), row.value)
        else:
            x = i + 0.3 * x
        result[row.key] = x
    return result
