"""Weights of draws at powers of the prior, against importance weights written out."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import softmax

from bayes_msem.checking.priors.prior_sensitivity import PriorSensitivity, most_sensitive
from bayes_msem.checking.priors.weights import power_weights
from bayes_msem.posterior.tables import EstimateTable


def component(values: np.ndarray) -> xr.Dataset:
    half = 0.5 * values
    dims = ("chain", "draw")
    return xr.Dataset({"a": (dims, half), "b": (dims, values - half)})


def test_weights_are_powers_of_the_density() -> None:
    values = np.random.default_rng(2).normal(0, 0.3, (2, 500))  # no tail to be smoothed away
    weights, k = power_weights(component(values), (0.8, 1.25))
    assert weights.shape == (3, 1000)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights[1], 1 / 1000)
    bulk = np.argsort(values.ravel())[200:800]  # what Pareto smoothing leaves alone
    for row, alpha in ((0, 0.8), (2, 1.25)):
        expected = softmax((alpha - 1) * values.ravel())
        ratio = weights[row][bulk] / expected[bulk]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-10)
        np.testing.assert_allclose(ratio[0], 1, rtol=2e-3)
    assert k < 0.5


def test_a_constant_density_weighs_all_draws_equally() -> None:
    weights, k = power_weights(component(np.full((2, 20), -3.0)), (0.5, 2.0))
    np.testing.assert_allclose(weights, 1 / 40)
    assert k == 0.0


def test_the_most_sensitive_rows_stay_in_order() -> None:
    table = EstimateTable({"prior_sensitivity": [0.1, 0.4, 0.0, 0.3]})
    found = PriorSensitivity(table, table, (), {}, 0.7)
    assert most_sensitive(found, 2) == [1, 3]
    assert most_sensitive(found, 9) == [0, 1, 2, 3]
