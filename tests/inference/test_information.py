"""Standard errors of computed rows, means of random slopes, and rows the data leave open."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.errors import IdentificationWarning, MsemWarning
from bayes_msem.likelihood.likelihood import Likelihood
from tests.inference.models import quiet_model, reference_model


def mediation_data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=200)
    m = 0.5 * x + rng.normal(size=200)
    return pd.DataFrame({"x": x, "m": m, "y": 0.4 * m + 0.2 * x + rng.normal(size=200)})


MEDIATION = """
m ~ a*x
y ~ b*m + c*x
indirect := a*b
total := indirect + c
ratio := exp(a) / b
"""


def test_standard_errors_of_definitions_by_hand() -> None:
    """Sobel's formula; a and b are independent in this model, b and c by least squares."""
    frame = mediation_data()
    mode = quiet_model(MEDIATION, frame).mode(prior=False)
    se = {key[1] if key[2] == ":=" else key[1:]: v for key, v in mode.standard_errors.items()}
    a, b = mode["within", "m", "~", "x"], mode["within", "y", "~", "m"]
    design = np.column_stack([np.ones(200), frame["m"], frame["x"]])
    residual = frame["y"] - design @ np.linalg.lstsq(design, frame["y"])[0]
    covariance = np.linalg.inv(design.T @ design) * float((residual**2).mean())
    va, vb = se["m", "~", "x"] ** 2, covariance[1, 1]
    assert se["y", "~", "m"] ** 2 == pytest.approx(vb, rel=1e-5)
    assert se["indirect"] == pytest.approx(np.sqrt(b**2 * va + a**2 * vb), rel=1e-5)
    total = b**2 * va + a**2 * vb + covariance[2, 2] + 2 * a * covariance[1, 2]
    assert se["total"] == pytest.approx(np.sqrt(total), rel=1e-5)
    ratio = np.exp(a) / b
    assert se["ratio"] == pytest.approx(ratio * np.sqrt(va + vb / b**2), rel=1e-5)
    shown = mode.to_frame().set_index("lhs").loc["indirect", "se"]
    assert shown == se["indirect"]


def test_standard_errors_of_constrained_rows() -> None:
    """A loading that is computed from another one: |2 a| times its standard error."""
    rng = np.random.default_rng(1)
    f = rng.normal(size=300)
    frame = pd.DataFrame(
        {f"y{k}": s * f + rng.normal(size=300) for k, s in ((1, 1.0), (2, 0.8), (3, 0.6))}
    )
    mode = quiet_model("f =~ y1 + a*y2 + b*y3\nb == a^2", frame).mode(prior=False)
    a, b = (("within", "f", "=~", v) for v in ("y2", "y3"))
    assert mode[b] == pytest.approx(mode[a] ** 2)
    assert mode.standard_errors[b] == pytest.approx(2 * mode[a] * mode.standard_errors[a], rel=1e-6)


def slope_data(shift: float = 0.0) -> pd.DataFrame:
    """Balanced clusters, so that the mean slope is the mean of slopes by least squares."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(40), 8)
    x = np.tile(np.linspace(-1, 1, 8), 40)
    w = rng.normal(size=40)
    slope = 0.5 + 0.3 * w + 0.4 * rng.normal(size=40)
    y = rng.normal(size=40)[g] + slope[g] * x + rng.normal(size=320)
    return pd.DataFrame({"g": g, "x": x + shift, "w": w[g], "y": y})


RANDOM_SLOPE = """
level: within
    y ~ rv("s")*x
level: between
    s ~ w
    y ~ w
half := s / 2
"""


def test_means_of_random_slopes() -> None:
    """Balanced: GLS is least squares per cluster, regressed on w; the mean is at mean w."""
    frame = slope_data()
    model = quiet_model(RANDOM_SLOPE, frame, cluster="g")
    per_cluster = [
        np.polyfit(part["x"], part["y"], 1)[0] for _, part in frame.groupby("g", sort=False)
    ]
    mode = model.mode(prior=False)
    key = ("within", "y", "~", "x")
    assert mode[key] == pytest.approx(np.mean(per_cluster), abs=1e-7)
    # variance of the mean of 40 independent slopes around their regression on w
    w = frame.groupby("g", sort=False)["w"].first().to_numpy()
    design = np.column_stack([np.ones(40), w])
    residual = per_cluster - design @ np.linalg.lstsq(design, np.array(per_cluster))[0]
    expected = np.sqrt((residual**2).mean() / 40)
    assert mode.standard_errors[key] == pytest.approx(expected, rel=1e-4)
    half = ("", "half", ":=", "s/2")
    assert mode[half] == pytest.approx(mode[key] / 2)
    assert mode.standard_errors[half] == pytest.approx(expected / 2, rel=1e-4)
    assert not model.mode().to_frame()["value"].isna().any()
    assert model.log_likelihood(mode) == pytest.approx(mode.log_likelihood)


def shared_indicators() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    f = rng.normal(size=500)
    g = 0.3 * f + rng.normal(size=500)
    true = {"v1": f + g, "v2": 0.8 * f, "v3": 0.7 * f + 0.9 * g, "v4": 0.8 * g}
    frame = pd.DataFrame({k: v + 0.6 * rng.normal(size=500) for k, v in true.items()})
    return frame.assign(noise=rng.normal(size=500))


UNIDENTIFIED = {
    "shared": ("f =~ v1 + v2 + v3\ng =~ v1 + v3 + v4", ["f =~ v2", "v2 ~~ v2"]),  # others, too
    "marker": ("f =~ noise + v2 + v1 + v3", ["f =~ v1", "f =~ v2", "f =~ v3"]),
    "two_indicators": ("f =~ v1 + v2", ["f =~ v2", "f ~~ f"]),
}


# where the search ends on a ridge of equal likelihoods is arbitrary, also at negative variances
@pytest.mark.filterwarnings("ignore::bayes_msem.errors.HeywoodWarning")
@pytest.mark.parametrize("name", UNIDENTIFIED)
def test_unidentified_rows_are_named(name: str) -> None:
    text, rows = UNIDENTIFIED[name]
    model = quiet_model(text, shared_indicators())
    with pytest.warns(IdentificationWarning, match="nearly singular") as caught:
        model.mode(prior=False)
    (found,) = [w for w in caught if issubclass(w.category, IdentificationWarning)]
    for row in rows:
        assert f"within: {row}" in str(found.message)
    assert "~ 1" not in str(found.message)  # means are known
    assert found.filename == __file__


def test_collinear_predictors_are_named() -> None:
    frame = mediation_data()
    frame["x2"] = frame["x"] + 1e-6 * np.random.default_rng(1).normal(size=200)
    with pytest.warns(IdentificationWarning, match="within: y ~ x; within: y ~ x2, so"):
        quiet_model("y ~ x + x2 + m", frame).mode(prior=False)


def test_intercepts_that_follow_from_means_are_not_named() -> None:
    """One predictor twice, once centred: their slopes are open, and the mean of y is known."""
    frame = mediation_data()
    frame["far"] = frame["x"] + 100 + 1e-6 * np.random.default_rng(1).normal(size=200)
    with pytest.warns(IdentificationWarning, match="along within: y ~ x; within: y ~ far, so"):
        quiet_model("y ~ x + far + m", frame).mode(prior=False)


@pytest.mark.parametrize("priors", [None, {"regression": "normal(0, 0.001)"}])
def test_well_identified_models_pass(priors: dict[str, str] | None) -> None:
    """Neither powers of a predictor nor sharp priors, which the likelihood does not know."""
    rng = np.random.default_rng(1)
    x = 10 + rng.normal(size=200)
    frame = pd.DataFrame({"x": x, "x2": x**2, "x3": x**3, "y": rng.normal(size=200)})
    assert quiet_model("y ~ x + x2 + x3", frame, priors=priors).mode(prior=False).converged
    assert quiet_model("y ~ x", frame, priors=priors).mode(prior=False).converged


# Covariates far from zero -------------------------------------------------------------------


def likelihood_at_zero_and_far(text: str, frame: pd.DataFrame, far: list[str], shift: float):  # type: ignore[no-untyped-def]
    modes = []
    for by in (0.0, shift):
        data = frame.assign(**{v: frame[v] + by for v in far})
        cluster = "g" if "level:" in text else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MsemWarning)
            modes.append(bm.Model(text, data, cluster=cluster).mode(prior=False))
    return modes


def far_data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(40), 10)
    x, w, u = rng.normal(size=400), rng.normal(size=40)[g], rng.normal(size=40)[g]
    f = 0.5 * x + rng.normal(size=400)
    frame = {f"y{k}": s * f + 0.6 * rng.normal(size=400) for k, s in ((1, 1.0), (2, 0.8), (3, 0.7))}
    m = 0.4 * x + rng.normal(size=400) + 0.8 * rng.normal(size=40)[g]
    y = 0.5 * m + 0.3 * x + 0.6 * w + u + rng.normal(size=400)
    return pd.DataFrame({**frame, "g": g, "x": x, "w": w, "m": m, "y": y})


FAR = {
    "regression": ("y ~ x", ["x"], [("y", "~", "x")]),
    "path": ("y ~ m + x\nm ~ x", ["x", "m"], [("y", "~", "m"), ("m", "~", "x")]),
    "two_level": (
        "level: within\ny ~ x\nlevel: between\ny ~ w",
        ["x", "w"],
        [("y", "~", "x"), ("y", "~", "w")],
    ),
    "split": (
        "level: within\ny ~ m\nlevel: between\ny ~ m",
        ["m"],
        [("y", "~", "m")],
    ),
    "factor_of_two_levels": (
        "level: within\nf =~ y1 + y2 + y3\nf ~ x\nlevel: between\ny1 ~~ y2 + y3\ny2 ~~ y3",
        ["x"],
        [("f", "~", "x"), ("f", "=~", "y2")],
    ),
    "factor": ("f =~ y1 + y2 + y3\nf ~ x", ["x"], [("f", "~", "x"), ("f", "=~", "y2")]),
}


@pytest.mark.parametrize("shift", [2010.0, 1e5])
@pytest.mark.parametrize("name", FAR)
def test_covariates_far_from_zero(name: str, shift: float) -> None:
    """A shift moves intercepts and nothing else: same maximum, slopes and standard errors."""
    text, far, rows = FAR[name]
    near, shifted = likelihood_at_zero_and_far(text, far_data(), far, shift)
    assert near.converged
    assert shifted.converged
    assert shifted.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-6)
    assert shifted.others == near.others == ()
    for key in near.standard_errors:
        if key[1:] in rows:
            se = near.standard_errors[key]
            assert shifted[key] == pytest.approx(near[key], abs=1e-5 * se)
            assert shifted.standard_errors[key] == pytest.approx(se, rel=1e-4)


@pytest.mark.slow
def test_bent_ridge() -> None:
    """The mean of x reaches the indicators through a factor whose residual variance is negative.

    Intercepts then move with products of a loading and a slope, 1e5 times those.
    """
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=400), np.repeat(np.arange(40), 10)
    u = rng.normal(size=40)[g]
    frame = {"g": g, "x": x}
    for k, loading in ((1, 1.0), (2, 0.8), (3, 0.7)):
        own = 0.6 * rng.normal(size=400) + 0.3 * rng.normal(size=40)[g]
        frame[f"y{k}"] = loading * (0.5 * x + rng.normal(size=400) + 0.5 * u) + own
    text, far, _ = FAR["factor_of_two_levels"]
    near, shifted = likelihood_at_zero_and_far(text, pd.DataFrame(frame), far, 1e5)
    assert shifted.converged
    assert shifted.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-6)


def test_intercepts_stay_those_of_the_table() -> None:
    """At a predictor of zero, however far that is: ybar - b xbar."""
    frame = far_data().assign(x=far_data()["x"] + 1e5)
    mode = quiet_model("y ~ x", frame).mode(prior=False)
    expected = frame["y"].mean() - mode["within", "y", "~", "x"] * frame["x"].mean()
    assert mode["within", "y", "~", "1"] == pytest.approx(expected, rel=1e-10)


def test_centring_costs_no_search() -> None:
    """Likelihoods, not seconds: at most twice as many as with centred predictors."""
    counts = []
    for shift in (0.0, 1e4):
        calls: list[str] = []

        def counted(name: str, calls: list[str] = calls) -> Callable[..., Any]:
            original = getattr(Likelihood, name)

            def call(*args: Any) -> Any:
                calls.append(name)
                return original(*args)

            return call

        frame = far_data().assign(x=far_data()["x"] + shift)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("natural", "sampled"):
                patch.setattr(Likelihood, name, counted(name))
            quiet_model("y ~ x", frame).mode(prior=False)
        counts.append(len(calls))
    assert counts[1] < 2 * counts[0]


def test_demo_model_is_identified() -> None:
    _, model = reference_model("demo-twolevel")
    with warnings.catch_warnings():
        warnings.simplefilter("error", MsemWarning)
        assert model.mode(prior=False).converged
