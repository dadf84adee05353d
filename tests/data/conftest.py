from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from bayes_msem.spec.table import ParameterTable, Role

MakeTable = Callable[..., ParameterTable]


def _make_table(
    within: Mapping[str, Role], between: Mapping[str, Role] | None = None
) -> ParameterTable:
    roles: dict[tuple[str, str], Role] = {("within", name): role for name, role in within.items()}
    roles |= {("between", name): role for name, role in (between or {}).items()}
    return ParameterTable(
        rows=(), roles=roles, definitions=(), constraints=(), two_level=between is not None
    )


@pytest.fixture(scope="session")
def make_table() -> MakeTable:
    """Parameter tables with given roles and no rows."""
    return _make_table


@pytest.fixture(scope="session")
def table() -> ParameterTable:
    """Every role an observed variable can have, beside latent variables."""
    return _make_table(
        {
            "fw": "within factor",
            "y1": "split",
            "y2": "split",
            "y3": "within-only",
            "x1": "covariate",
            "x2": "covariate",
        },
        {
            "fb": "between factor",
            "y1": "split",
            "y2": "split",
            "z1": "cluster-level",
            "slope": "random effect",
            "w1": "cluster-level covariate",
        },
    )


@pytest.fixture
def frame() -> pd.DataFrame:
    """Seven unbalanced clusters, one of them with a single row, in shuffled order."""
    rng = np.random.default_rng(20240607)
    cluster = np.repeat([30, 10, 20, 70, 50, 60, 40], [1, 3, 5, 2, 4, 3, 5])
    level2 = pd.DataFrame(rng.normal(size=(71, 3)), columns=["u", "z1", "w1"])
    n = len(cluster)
    frame = pd.DataFrame(
        {
            "y1": rng.normal(size=n) + level2.u.to_numpy()[cluster],
            "x2": rng.integers(0, 2, size=n),
            "y2": rng.normal(size=n) - level2.u.to_numpy()[cluster],
            "z1": level2.z1.to_numpy()[cluster],
            "unused": "text",
            "school": cluster,
            "w1": level2.w1.to_numpy()[cluster],
            "y3": rng.normal(size=n),
            "x1": rng.normal(2.0, size=n),
        }
    )
    return frame.iloc[rng.permutation(n)]
