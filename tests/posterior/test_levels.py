"""Matrices and covariances per draw, against plain sums over the model's equations."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_msem.posterior.levels import between_parts
from tests.likelihood.cases import FACTOR_B, FACTOR_W, Case, two_level
from tests.posterior.synthetic import moments_by_hand, synthetic_fit, values_by_hand
from tests.random.models import case

FIXED = two_level(
    "covariates, z and a within-only outcome",
    f"{FACTOR_W}\nfw ~ x1 + x2\ny4 ~ fw + x1\ny1 ~~ y2",
    f"{FACTOR_B}\nfb ~ w1 + w2\nz1 ~ fb + w1\ny1 ~~ z1",
)
NAMES = (
    "one name, factor and indicator",
    "slope predicted by w and by a factor",
    "slope predicts slope",
    "one loading, w and z",
    "marker varies",
    "factor and residual SDs",
    "correlation with random SDs",
    "second order",
    "everything",
)
CASES = (FIXED, *(case(name) for name in NAMES))


@pytest.mark.parametrize("this", CASES, ids=[c.name for c in CASES])
def test_covariances_and_means_follow_the_equations(this: Case) -> None:
    fit = synthetic_fit(this)
    levels, value = fit._solution().levels, values_by_hand(fit)
    for level in levels.both:
        covariances, means = moments_by_hand(fit, level.level, value)
        for i, v in enumerate(level.names):
            np.testing.assert_allclose(level.mean[:, i], means[v], rtol=1e-10, atol=1e-10)
            for k, w in enumerate(level.names):
                expected = covariances[v, w]
                np.testing.assert_allclose(
                    level.covariance[:, i, k], expected, rtol=1e-10, atol=1e-10, err_msg=f"{v}, {w}"
                )


def test_random_slopes_make_between_variance_depend_on_x() -> None:
    """Var(a + s mean(x)) = Var(a) + 2 mean(x) Cov(a, s) + mean(x)^2 Var(s)."""
    fit = synthetic_fit(case("slope"))
    levels, draws = fit._solution().levels, fit.draws
    x = fit.model.blueprint.observed.x[:, 0].mean()
    assert abs(x) > 0.01  # or the test would see nothing
    expected = (
        draws["between", "y1", "~~", "y1"]
        + 2 * x * draws["between", "y1", "~~", "s"]
        + x**2 * draws["between", "s", "~~", "s"]
    )
    np.testing.assert_allclose(between_parts(levels)[:, 0, 0], expected.reshape(-1), rtol=1e-12)


def test_without_random_slopes_between_parts_are_the_covariances() -> None:
    fit = synthetic_fit(FIXED)
    levels = fit._solution().levels
    index = levels.between.index(("y1", "y2", "y3"))
    expected = levels.between.covariance[:, index][:, :, index]
    np.testing.assert_allclose(between_parts(levels), expected, rtol=1e-12)
