"""Population means of definitions with random coefficients, against closed forms per draw."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import bayes_msem as bm
from tests.likelihood.cases import make_model, two_level
from tests.posterior.made_up import synthetic_fit
from tests.random.models import make_data

Array = NDArray[np.float64]


def fit_with(definitions: str, name: str = "definitions") -> bm.Fit:
    this = two_level(name, 'y1 ~ rv("s")*x1 + rv("t")*x2', "s + t ~ w1", definitions)
    return synthetic_fit(make_model(this, make_data()), chains=2, draws=30)


def with_draws(fit: bm.Fit) -> bm.Fit:
    """Compute what is cached, with all its warnings."""
    assert len(fit.draws)
    return fit


def moments(fit: bm.Fit) -> tuple[Array, Array, Array]:
    """Means (n, J, 2) and covariance matrices (n, 2, 2) of s and t, and the draws' number."""
    d = {key: draws.reshape(-1) for key, draws in fit.draws.items()}
    w = fit.model.observed.w[:, 0]
    mean = np.stack(
        [
            d["between", name, "~", "1"][:, None] + d["between", name, "~", "w1"][:, None] * w
            for name in ("s", "t")
        ],
        axis=-1,
    )
    st = d.get(("between", "s", "~~", "t"), d.get(("between", "t", "~~", "s")))
    s, t = d["between", "s", "~~", "s"], d["between", "t", "~~", "t"]
    return mean, np.stack([np.stack([s, st], -1), np.stack([st, t], -1)], -2), s


def folded(mean: Array, sd: Array) -> Array:
    part = sd * np.sqrt(2 / np.pi) * np.exp(-0.5 * (mean / sd) ** 2)
    return part + mean * (1 - 2 * stats.norm.cdf(-mean / sd))


def test_functions_that_are_not_polynomials() -> None:
    """Within 1e-3 of E |f|: abs, the larger of two, exp, and a mixture with a polynomial."""
    fit = fit_with(
        "size := abs(s)\nlargest := (s + t + abs(s - t)) / 2\ngrowth := exp(s)\n"
        "cubic := s^2 * t\nquartic := (s - t)^8\nboth := size + cubic"
    )
    mean, omega, _ = moments(fit)
    (a, b), sd = (mean[..., 0], mean[..., 1]), np.sqrt(omega[:, 0, 0])[:, None]
    between = omega[:, 0, 0] + omega[:, 1, 1] - 2 * omega[:, 0, 1]
    differ = folded(a - b, np.sqrt(between)[:, None])
    cubic = a**2 * b + b * sd**2 + 2 * a * omega[:, 0, 1][:, None]
    central = [stats.norm.moment(k) * between[:, None] ** (k / 2) for k in range(9)]
    binomial = [1, 8, 28, 56, 70, 56, 28, 8, 1]
    expected = {
        "size": folded(a, sd),
        "largest": (a + b + differ) / 2,
        "growth": np.exp(a + sd**2 / 2),
        "cubic": cubic,
        "quartic": sum(c * (a - b) ** (8 - k) * central[k] for k, c in enumerate(binomial)),
        "both": folded(a, sd) + cubic,
    }
    exact = ("cubic", "quartic")
    for name, value in expected.items():
        found = fit.draws[name]
        limit = 1e-10 if name in exact else 1e-3
        np.testing.assert_allclose(
            found.reshape(-1), value.mean(axis=1), rtol=limit, atol=limit, err_msg=name
        )


def test_a_ratio_whose_denominator_may_be_zero_is_warned_of() -> None:
    with pytest.warns(bm.AccuracyWarning, match=r"'s/t' over the clusters may be off by up to"):
        draws = fit_with("ratio := s / t", "ratio").draws
    assert np.isfinite(draws["ratio"]).all()


def test_an_undefined_mean_is_nan_and_warned_of() -> None:
    words = r"'log\(s\)' over the clusters is NaN in \d+ of 60"
    with pytest.warns(bm.AccuracyWarning, match=words):
        fit = with_draws(fit_with("power := log(s)", "log"))
    values = fit.draws["power"].reshape(-1)
    mean, omega, _ = moments(fit)
    outside = stats.norm.cdf(-mean[..., 0] / np.sqrt(omega[:, 0, 0])[:, None]).mean(axis=1)
    assert np.isnan(values[outside > 2e-6]).all()


def test_smooth_definitions_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draws = fit_with("p := s * t\nq := exp(t) / 2\nk := abs(s * t)", "quiet").draws
    assert all(np.isfinite(v).all() for k, v in draws.items() if k[2] == ":=")
