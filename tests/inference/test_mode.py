"""Maximum likelihood against lavaan and lme4; posterior modes against the density itself."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayes_msem.errors import ConvergenceWarning, HeywoodWarning
from bayes_msem.inference.mode import Mode
from tests.inference.models import quiet_model, reference_model
from tests.likelihood.cases import make_frame
from tests.oracle import oracle_from_values
from tests.reference_models import FOLDER, REFERENCE_NAMES

HEYWOOD = "lq2002-two-factor"


@cache
def maximum_likelihood(name: str) -> Mode:
    """Searched once: from some starting points, of models with weak markers, it takes seconds."""
    _, model = reference_model(name)
    if name != HEYWOOD:
        return model.mode(prior=False)
    with pytest.warns(HeywoodWarning, match="HOSTIL04"):
        return model.mode(prior=False)


LONG = ("single-level/political-democracy",)  # 20 s


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in REFERENCE_NAMES]
)
def test_maximum_likelihood_equals_the_other_programs(name: str) -> None:
    """Both stop where a Newton step moves less than 1e-6 SE. (The issue asks for 1e-2 SE.)"""
    reference, _ = reference_model(name)
    mode = maximum_likelihood(name)
    assert mode.converged
    # 12 digits or more of the log-likelihood are stored
    assert mode.log_likelihood == pytest.approx(reference.log_likelihood, abs=1e-6)
    assert np.isnan(mode.log_posterior)
    for key, estimate in reference.estimates.items():
        se = reference.se[key]
        if not np.isfinite(se):  # lme4 gives no SEs of variances
            se = mode.standard_errors[key]
        assert mode[key] == pytest.approx(estimate, abs=1e-5 * se), key


@pytest.mark.parametrize("name", [
    "single-level/cfa-equal-labels", "single-level/mediation", "two-level/cluster-level-mediator",
    "two-level/path", "two-level/equal-loadings", HEYWOOD,
])  # fmt: skip
def test_defined_parameters_at_the_mode(name: str) -> None:
    reference, _ = reference_model(name)
    mode = maximum_likelihood(name)
    found = {key[1]: value for key, value in mode.items() if key[2] == ":="}
    assert found.keys() == reference.defined.keys()
    assert found == pytest.approx(reference.defined, rel=1e-5)


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_standard_errors(name: str) -> None:
    """From the observed information.

    Two-level models of lavaan use that, too: 1e-5 is the error of second differences. In
    single-level models, lavaan's are from the expected information, which is the same in
    saturated regressions; in others they differ by up to 60 % in single rows, so only their
    order of magnitude is compared here, and their values below. lme4 treats variances as known
    when it gives SEs of coefficients: 1e-3.
    """
    reference, _ = reference_model(name)
    stored = json.loads((FOLDER / name / "reference.json").read_text(encoding="utf-8"))
    saturated = name in ("single-level/regression", "single-level/mediation")
    tolerance = {"observed": 1e-5, "expected": 1e-5 if saturated else 0.7, None: 1e-3}
    errors = maximum_likelihood(name).standard_errors
    compared = [key for key in reference.free if np.isfinite(reference.se[key])]
    assert compared
    assert set(errors) == reference.free | {
        k for k in reference_model(name)[1].mode() if k[2] == ":="
    }
    for key in compared:
        expected = pytest.approx(reference.se[key], rel=tolerance[stored.get("information")])
        assert errors[key] == expected, key


@pytest.mark.parametrize("name", [
    "single-level/cfa",
    pytest.param("single-level/political-democracy", marks=pytest.mark.slow),
])  # fmt: skip
def test_standard_errors_equal_the_curvature_of_the_oracle(name: str) -> None:
    """Observed information by second differences of the oracle's moments and SciPy's normal.

    Steps of 0.01 SE leave an error of about 1e-5 in the second differences, and rounding of
    1e-12 * 4e3 / 1e-4 = 4e-5 in units of SE: their inverse is good for about 1e-3.
    """
    reference, _ = reference_model(name)
    free = sorted(reference.free)
    scale = 0.01 * np.array([reference.se[key] for key in free])
    columns = list(oracle_from_values(reference.estimates, reference.frame).within.observed)
    data = reference.frame[columns].to_numpy()
    center, cross = data.mean(axis=0), np.cov(data.T, bias=True)

    def log_likelihood(steps: np.ndarray) -> float:
        at = reference.estimates | {
            key: reference.estimates[key] + move
            for key, move in zip(free, steps * scale, strict=True)
        }
        moments = oracle_from_values(at, reference.frame).stacked(np.array([0]))
        residual = center - moments.mean
        inverse = np.linalg.inv(moments.covariance)
        quadratic = np.sum(inverse * cross) + residual @ inverse @ residual
        return float(-0.5 * len(data) * (np.linalg.slogdet(moments.covariance)[1] + quadratic))

    k = len(free)
    unit, information = np.eye(k), np.zeros((k, k))
    for i in range(k):
        for j in range(i + 1):
            a, b = unit[i], unit[j]
            difference = (
                log_likelihood(a + b) - log_likelihood(a - b)
                - log_likelihood(b - a) + log_likelihood(-a - b)
            )  # fmt: skip
            information[i, j] = information[j, i] = -difference / 4
    expected = np.sqrt(np.diag(np.linalg.inv(information))) * scale
    errors = maximum_likelihood(name).standard_errors
    np.testing.assert_allclose([errors[key] for key in free], expected, rtol=2e-3)


def test_heywood_warning_names_the_row_and_only_that() -> None:
    _, model = reference_model(HEYWOOD)
    with pytest.warns(HeywoodWarning) as caught:
        mode = model.mode(prior=False)
    assert mode["between", "HOSTIL04", "~~", "HOSTIL04"] < 0
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "between: HOSTIL04 ~~ HOSTIL04 = -0.001422" in message
    assert message.count("~~") == 1
    assert "model.fit" in message
    assert caught[0].filename == __file__


def test_posterior_mode_of_the_heywood_model_is_admissible() -> None:
    _, model = reference_model(HEYWOOD)
    mode = model.mode()
    assert mode.converged
    assert min(value for (_, lhs, op, rhs), value in mode.items() if op == "~~" and lhs == rhs) > 0


def test_mode_is_a_mapping_with_the_keys_of_the_table() -> None:
    reference, model = reference_model("demo-twolevel")
    for mode in (model.mode(prior=True), model.mode(prior=False)):
        assert list(mode) == [row.key for row in model.table.rows]
        assert len(mode) == len(model.parameter_table)
        assert mode["within", "fw", "=~", "y1"] == 1.0
        assert model.log_likelihood(mode) == pytest.approx(mode.log_likelihood, rel=1e-13)
        frame = mode.to_frame()
        assert model.log_likelihood(frame) == pytest.approx(mode.log_likelihood, rel=1e-13)
        assert "converged" in repr(mode)
    assert list(model.mode(prior=False).to_frame()["se"].notna()) == [
        key in reference.free for key in mode
    ]
    assert "se" not in model.mode().to_frame()


@pytest.mark.parametrize(("name", "sd_prior"), [
    ("demo-twolevel", "uniform(0, 10000)"),
    ("demo-twolevel", "halfnormal(100)"),
    ("demo-twolevel", "halfcauchy(25)"),
    ("single-level/political-democracy", "uniform(0, 10000)"),
    pytest.param("single-level/political-democracy", "halfnormal(100)", marks=pytest.mark.slow),
    pytest.param("single-level/political-democracy", "halfcauchy(25)", marks=pytest.mark.slow),
])  # fmt: skip
def test_vague_priors_lead_neither_astray(name: str, sd_prior: str) -> None:
    """The medians of such priors are far from the data: the search must not start there.

    With these priors, likelihood and posterior have nearly the same maximum: within half an SE,
    because the posterior's is on the scale of standard deviations.
    """
    reference, _ = reference_model(name)
    vague = {"loading": "normal(0, 1000)", "regression": "normal(0, 1000)", "variance": sd_prior}
    model = quiet_model(
        reference.model_text, data=reference.frame, cluster=reference.cluster, priors=vague
    )
    mode, ml = model.mode(), model.mode(prior=False)
    assert mode.converged
    assert ml.converged
    for key in reference.free:
        se = reference.se[key]
        assert ml[key] == pytest.approx(reference.estimates[key], abs=1e-5 * se)
        assert mode[key] == pytest.approx(reference.estimates[key], abs=0.5 * se)


def test_posterior_mode_by_hand() -> None:
    """Known SD: the mode of a mean with a normal prior is the posterior mean."""
    frame = make_frame()
    priors = {"y1 ~ 1": "normal(2, 0.1)"}
    mode = quiet_model("y1 ~ 1\ny1 ~~ 4*y1", data=frame, priors=priors).mode()
    precision = len(frame) / 4 + 100
    expected = (frame["y1"].sum() / 4 + 2 * 100) / precision
    assert mode["within", "y1", "~", "1"] == pytest.approx(expected, rel=1e-7)
    log_density = stats.norm(expected, 2).logpdf(frame["y1"]).sum()
    assert mode.log_likelihood == pytest.approx(log_density, rel=1e-9)
    log_posterior = log_density + stats.norm(2, 0.1).logpdf(expected)
    assert mode.log_posterior == pytest.approx(log_posterior, rel=1e-9)


def test_units_of_the_data_do_not_matter() -> None:
    reference, _ = reference_model("two-level/unbalanced")
    factors = {"y1": 1e-4, "y2": 1e5, "y3": 1.0, "x1": 1e3, "x2": 1e-3, "w1": 1e4, "w2": 1.0}
    frame = reference.frame.assign(**{v: reference.frame[v] * f for v, f in factors.items()})
    model = quiet_model(reference.model_text, data=frame, cluster=reference.cluster)
    mode = model.mode(prior=False)
    assert mode.converged
    unit = factors | {"fw": factors["y1"], "fb": factors["y1"], "1": 1.0}
    for (level, lhs, op, rhs), estimate in reference.estimates.items():
        scale = {
            "=~": unit[rhs] / unit[lhs],
            "~": unit[lhs] / unit[rhs],
            "~~": unit[lhs] * unit[rhs],
        }[op]
        tolerance = 1e-4 * max(reference.se[level, lhs, op, rhs], 1e-9) * scale
        assert mode[level, lhs, op, rhs] == pytest.approx(estimate * scale, abs=tolerance)
    assert model.mode().converged


def test_no_density_anywhere_is_no_convergence(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_: object, u: np.ndarray, **__: object) -> tuple[float, np.ndarray]:
        return -np.inf, np.full(len(u), np.nan)

    monkeypatch.setattr("bayes_msem.inference.modes.log_posterior", nowhere)
    model = quiet_model("y1 ~ x1", data=make_frame())
    with pytest.warns(ConvergenceWarning, match="posterior mode.*start"):
        mode = model.mode()
    assert not mode.converged
    assert mode.log_posterior == -np.inf


def test_cyclic_model() -> None:
    """Just identified by instruments: equals indirect least squares by NumPy."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 2))
    B = np.array([[0.0, 0.4], [-0.3, 0.0]])
    y = (x + rng.normal(size=(300, 2))) @ np.linalg.inv(np.eye(2) - B).T
    frame = pd.DataFrame(np.column_stack([y, x]), columns=["y1", "y2", "x1", "x2"])
    model = quiet_model("y1 ~ y2 + x1\ny2 ~ y1 + x2\ny1 ~~ y2", data=frame)
    mode = model.mode(prior=False)
    design = np.column_stack([np.ones(300), x])
    reduced = np.linalg.lstsq(design, y, rcond=None)[0][1:].T  # (I - B)^-1 diag(g)
    assert mode.converged
    # y1's reaction to x2 comes through y2 only: b12 = reduced[0, 1] / reduced[1, 1]
    assert mode["within", "y1", "~", "y2"] == pytest.approx(reduced[0, 1] / reduced[1, 1], rel=1e-6)
    assert mode["within", "y2", "~", "y1"] == pytest.approx(reduced[1, 0] / reduced[0, 0], rel=1e-6)
