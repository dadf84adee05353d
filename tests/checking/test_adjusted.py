"""P-values that allow for all variables of a statistic, from made-up replicates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.checking.predictive.p_values import adjusted_p_values, p_values
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck

Array = NDArray[np.float64]


def check_of(observed: Array, replicated: Array, *, two_sided: bool = True) -> PredictiveCheck:
    """One statistic of the last dimension's variables; observed (k,), replicated (draw, k)."""
    k = replicated.shape[1]
    statistics = pd.DataFrame(
        {"level": "within", "statistic": "kurtosis", "variable": [f"y{i}" for i in range(k)],
         "title": "", "two_sided": two_sided}
    )  # fmt: skip
    every = np.broadcast_to(observed, replicated.shape)
    empty = xr.DataArray(np.empty((0, 0)))
    return PredictiveCheck(
        statistics, every[None], replicated[None], pd.DataFrame(), "new", (), empty, empty
    )


def test_two_independent_variables() -> None:
    """P(max |z| >= c) of two independent normals is 1 - (1 - p)^2, p the two-sided p-value."""
    replicated = np.random.default_rng(1).standard_normal((20_000, 2)) * [1.0, 50.0]
    found = adjusted_p_values(check_of(np.array([2.0, 120.0]), replicated))
    p = np.array([0.0455, 0.01640])  # two-sided, of 2 and 2.4
    assert found == pytest.approx(1 - (1 - p) ** 2, abs=0.006)  # 4 SE, and those of quantiles


def test_copies_of_one_variable_cost_nothing() -> None:
    one = np.random.default_rng(2).gamma(1.0, size=(5_000, 1))  # skewed: sides have own units
    alone = adjusted_p_values(check_of(np.array([4.0]), one))
    copies = adjusted_p_values(check_of(np.full(6, 4.0), np.repeat(one, 6, axis=1)))
    assert copies == pytest.approx(np.full(6, alone[0]))
    median, high = np.quantile(one, [0.5, 0.95])
    low = np.quantile(one, 0.05)
    beyond = (4.0 - median) / (high - median)
    expected = (one > 4.0).mean() + (one < median - beyond * (median - low)).mean()
    assert alone[0] == pytest.approx(expected, abs=1e-3)


def test_small_distances_are_good() -> None:
    replicated = np.random.default_rng(3).chisquare(4, size=(2_000, 1))
    for observed in (0.01, 4.0, 12.0):
        check = check_of(np.array([observed]), replicated, two_sided=False)
        table = p_values(check)
        assert table["adjusted"][0] == table["ppp"][0] == (replicated > observed).mean()


def test_uniform_for_right_models() -> None:
    """Whether there are one or ten variables, and however they go together."""
    rng = np.random.default_rng(4)
    root = rng.standard_normal((10, 10))
    smallest = []
    for _ in range(400):
        values = rng.standard_normal((101, 10)) @ root
        smallest.append(adjusted_p_values(check_of(values[0], values[1:])).min())
    shares = [(np.array(smallest) <= limit).mean() for limit in (0.1, 0.5)]
    assert shares == pytest.approx([0.1, 0.5], abs=0.08)  # 4 SE of .015 and .025, and 1 / 100


def test_what_has_no_value_or_never_varies_is_not_odd() -> None:
    replicated = np.random.default_rng(5).standard_normal((100, 3))
    replicated[:, 1], replicated[:, 2] = 1.0, np.nan
    found = adjusted_p_values(check_of(np.array([0.0, 1.0, np.nan]), replicated))
    assert (found > 0.5).all()
    assert adjusted_p_values(check_of(np.array([0.0, 1.1, 0.0]), replicated))[1] == 0.0
