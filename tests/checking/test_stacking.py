"""Stacking weights against independent optimisers, and what must not change them."""

from __future__ import annotations

import itertools
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bayes_msem.checking.accuracy import stacking
from bayes_msem.checking.accuracy.stacking import stacking_weights
from bayes_msem.errors import MsemError

Array = NDArray[np.float64]

# Leave-one-company-out terms of the two-factor model of lq2002, with the regression of the factors
# at level between, and with it fixed at 0: NUTS, 4 chains x 2,000 draws, seed 1 (Pareto k of 4 and
# 2 companies is above .7). Cluster elpds are between -118 and -1340: exp() of most is 0.
LQ2002 = Path(__file__).parent.parent / "reference" / "lq2002-two-factor" / "loo_terms.csv"


def bisected(terms: Array, digits: int = 60) -> float:
    """Weight of the first of two models, by bisection of the score's derivative in decimals."""
    with localcontext() as context:
        context.prec = digits
        context.Emin, context.Emax = -(10**9), 10**9
        ratios = [(Decimal(a) - Decimal(b)).exp() for a, b in terms.tolist()]  # p1 / p2

        def slope(w: Decimal) -> Decimal:
            return sum(((r - 1) / (w * r + 1 - w) for r in ratios), Decimal(0))

        edge = Decimal(10) ** (10 - digits)
        low, high = edge, 1 - edge
        if slope(low) <= 0:
            return 0.0
        if slope(high) >= 0:
            return 1.0
        for _ in range(150):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) > 0 else (low, middle)
        return float(low)


def climbed(terms: Array, steps: int = 100_000) -> Array:
    """Weights by the EM algorithm for mixtures with known components: slow and safe."""
    p = np.exp(terms - terms.max(axis=1, keepdims=True))
    w = np.full(p.shape[1], 1 / p.shape[1])
    for _ in range(steps):
        w = w * (p / (p @ w)[:, None]).mean(axis=0)
    return w


def made_up(seed: int, n: int, k: int, spread: float) -> Array:
    rng = np.random.default_rng(seed)
    return -1500 + 300 * rng.normal(size=(n, 1)) + spread * rng.normal(size=(n, k))


@pytest.mark.parametrize("spread", [1e-3, 0.1, 1.0, 5.0, 100.0, 2000.0])
@pytest.mark.parametrize("n", [1, 20, 300])
def test_two_models_against_bisection_in_decimals(n: int, spread: float) -> None:
    for seed in range(5):
        terms = made_up(seed, n, 2, spread)
        found = stacking_weights(terms)
        assert found.sum() == pytest.approx(1.0, abs=1e-14)
        # the score is flat to 1e-12 there: weights are known to its root over the curvature
        assert found[0] == pytest.approx(bisected(terms), abs=1e-9 / min(spread, 1.0))


def test_several_models_against_em() -> None:
    for seed, (n, k, spread) in enumerate([(50, 3, 0.5), (120, 4, 2.0), (40, 6, 20.0)]):
        terms = made_up(seed, n, k, spread)
        np.testing.assert_allclose(stacking_weights(terms), climbed(terms), atol=1e-6)


@pytest.mark.parametrize("k", [2, 3, 9])
def test_no_mixture_is_better(k: int) -> None:
    """The conditions of a maximum: no derivative above 1, and 1 where the weight is not 0."""
    terms = made_up(k, 80, k, 3.0)
    w = stacking_weights(terms)
    p = np.exp(terms - terms.max(axis=1, keepdims=True))
    derivatives = (p / (p @ w)[:, None]).mean(axis=0)
    assert derivatives.max() < 1 + 1e-11
    np.testing.assert_allclose(derivatives[w > 1e-6], 1.0, atol=1e-6)
    assert (w >= 0).all()


def test_units_of_the_data_and_order_of_the_models_do_not_matter() -> None:
    """Outcomes in other units add the same constant to both log densities of a cluster."""
    terms = made_up(4, 60, 4, 2.0)
    weights = stacking_weights(terms)
    constant = np.random.default_rng(1).uniform(-1e4, 1e4, size=(60, 1))
    np.testing.assert_allclose(stacking_weights(terms + constant), weights, atol=1e-9)
    for order in itertools.permutations(range(4)):
        found = stacking_weights(terms[:, order])
        np.testing.assert_allclose(found, weights[list(order)], atol=1e-8)


def test_equal_models_share_their_weight() -> None:
    terms = made_up(5, 60, 3, 2.0)
    alone, twice = stacking_weights(terms), stacking_weights(terms[:, [0, 1, 2, 0]])
    np.testing.assert_allclose(twice, [alone[0] / 2, alone[1], alone[2], alone[0] / 2], atol=1e-8)
    np.testing.assert_array_equal(stacking_weights(np.zeros((7, 4))), np.full(4, 0.25))


def test_models_that_are_hopeless_for_some_units() -> None:
    """Densities whose ratio is 0 in double precision: shares of the units, as in the limit."""
    terms = -1000 + np.array([[0.0, -3000.0], [-3000.0, 0.0], [0.0, -3000.0]])
    np.testing.assert_allclose(stacking_weights(terms), [2 / 3, 1 / 3], atol=1e-12)


def test_two_factors_of_lq2002() -> None:
    terms = pd.read_csv(LQ2002)[["with", "without"]].to_numpy()
    assert (np.exp(terms) == 0).any()
    found = stacking_weights(terms)
    assert found[0] == pytest.approx(bisected(terms), abs=1e-9)
    np.testing.assert_allclose(found, [0.94, 0.06], atol=0.01)


def test_no_maximum_is_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacking, "_STEPS", 1)
    with pytest.raises(MsemError, match="no maximum of the stacking score in 1 steps"):
        stacking_weights(made_up(0, 50, 3, 2.0))
