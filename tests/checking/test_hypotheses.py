"""Hypotheses against closed forms: draws whose distribution is known stand for the posterior."""

from __future__ import annotations

import math
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.checking.hypothesis_result import HypothesisResult
from bayes_msem.checking.priors.prior_draws import draw_prior
from bayes_msem.checking.savage_dickey import _density_at_zero
from tests.posterior.made_up import posterior_of, random_posterior, synthetic_fit

SPEC = """
level: within
    f =~ y1 + l2*y2 + l3*y3
    f ~ bw*x
    y1 ~~ y2
level: between
    y1 + y2 + y3 ~ w
    y1 ~~ 0*y2 + 0*y3
    y2 ~~ 0*y3
diff := l2 - l3
ratio := l2 / l3
"""
PRIORS = {
    "bw": "normal(0.1, 1.5)",
    "l2": "normal(1, 0.5)",
    "l3": "studentt(4, 1, 0.5)",
    "within: y1 ~~ y2": "beta(2, 3)",
    "between: y1 ~ w": "halfnormal(1)",
}
MEANS, SDS = {"bw": 0.4, "l2": 1.1, "l3": 0.9}, {"bw": 0.2, "l2": 0.1, "l3": 0.1}


@pytest.fixture(scope="module")
def model() -> bm.Model:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(25), 4)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=100), "w": rng.normal(size=25)[g]})
    f = frame["x"] + rng.normal(size=100)
    for name in ("y1", "y2", "y3"):
        frame[name] = f + rng.normal(size=25)[g] + rng.normal(size=100)
    return bm.Model(SPEC, data=frame, cluster="g", priors=PRIORS)


@pytest.fixture(scope="module")
def fit(model: bm.Model) -> bm.Fit:
    """4,000 independent draws of bw, l2 and l3 from normal distributions."""
    blueprint, rng = model.blueprint, np.random.default_rng(8)
    posterior = random_posterior(blueprint, 1, 40, 1)
    x = np.concatenate([posterior[g.name].to_numpy() for g in blueprint.parameters.groups], -1)
    x = np.tile(x, (1, 100, 1)).reshape(4, 1000, -1)
    for i, row in enumerate(blueprint.parameters.rows):
        if row.label in MEANS:
            x[..., i] = rng.normal(MEANS[row.label], SDS[row.label], size=(4, 1000))
    return synthetic_fit(model, posterior=posterior_of(blueprint, x, 1))


def only(result: HypothesisResult) -> pd.Series:
    assert len(result.table) == 1
    return pd.DataFrame(result.table).iloc[0]


CASES = {
    "bw > 0": stats.norm.sf(0, 0.4, 0.2),
    "within: f ~ x < .5": stats.norm.cdf(0.5, 0.4, 0.2),
    "l2 > l3": stats.norm.sf(0, 0.2, math.sqrt(0.02)),
    "diff >= 0.1": stats.norm.sf(0.1, 0.2, math.sqrt(0.02)),
    "l2/l3 > 1": stats.norm.sf(0, 0.2, math.sqrt(0.02)),
    "2*(f =~ y2) - l3 < 1.4": stats.norm.cdf(1.4, 1.3, math.sqrt(0.05)),
}


@pytest.mark.parametrize("text", CASES)
def test_probabilities_and_their_errors(fit: bm.Fit, text: str) -> None:
    row, p = only(fit.hypothesis(text)), CASES[text]
    error = math.sqrt(p * (1 - p) / 4000)
    assert row["probability"] == pytest.approx(p, abs=4 * error)
    assert row["mcse"] == pytest.approx(error, rel=0.2)
    assert row["evidence_ratio"] == pytest.approx(row["probability"] / (1 - row["probability"]))
    assert row["direction"] >= 0.5


def test_estimate_and_rope(fit: bm.Fit) -> None:
    row = only(fit.hypothesis("l2 > l3", rope=(-0.05, 0.15), ci=0.9))
    exact = stats.norm(0.2, math.sqrt(0.02))
    assert row["mean"] == pytest.approx(0.2, abs=0.01)
    assert row["sd"] == pytest.approx(exact.std(), rel=0.05)
    assert (row["lower"], row["upper"]) == pytest.approx(exact.interval(0.9), abs=0.015)
    assert row["in_rope"] == pytest.approx(exact.cdf(0.15) - exact.cdf(-0.05), abs=0.03)
    assert row["direction"] == pytest.approx(exact.sf(0), abs=0.02)
    assert math.isnan(only(fit.hypothesis("l2 > l3"))["in_rope"])


def test_direction_is_that_of_the_larger_side(fit: bm.Fit) -> None:
    up, down = only(fit.hypothesis("bw > .5")), only(fit.hypothesis("bw < .5"))
    assert up["probability"] + down["probability"] == pytest.approx(1)
    assert up["direction"] == down["direction"] == down["probability"]


def test_comparisons_that_hold_together(fit: bm.Fit) -> None:
    result = fit.hypothesis("l2 > l3 > 0.9 & bw > .4")
    table = pd.DataFrame(result.table).set_index("name")
    assert table.index.tolist() == ["H1", "H1.1", "H1.2", "H1.3"]
    draws = fit.draws
    wanted = (draws["l2"] > draws["l3"]) & (draws["l3"] > 0.9) & (draws["bw"] > 0.4)
    assert table.loc["H1", "probability"] == wanted.mean()
    assert table.loc["H1", ["mean", "direction", "in_rope"]].isna().all()
    np.testing.assert_array_equal(result.draws["H1.1"], draws["l2"] - draws["l3"])


def test_several_hypotheses_have_names(fit: bm.Fit) -> None:
    assert fit.hypothesis(["bw > 0", "l2 > 1"]).table["name"].tolist() == ["H1", "H2"]
    assert fit.hypothesis({"slope": "bw > 0"}).table["name"].tolist() == ["slope"]


def test_prior_odds(fit: bm.Fit) -> None:
    row = only(fit.hypothesis("bw > 1"))
    prior, posterior = stats.norm.sf(1, 0.1, 1.5), stats.norm.sf(1, 0.4, 0.2)
    assert row["prior_probability"] == pytest.approx(prior, abs=4 * math.sqrt(0.2 / 20_000))
    odds = row["probability"] / (1 - row["probability"])
    assert row["bayes_factor"] == pytest.approx(odds * (1 - prior) / prior, rel=0.05)
    assert posterior / 10 < row["probability"] < posterior * 10


def test_all_draws_agree(fit: bm.Fit) -> None:
    row = only(fit.hypothesis("l2 > 0"))
    assert (row["probability"], row["evidence_ratio"]) == (1.0, math.inf)
    assert math.isnan(row["mcse"])
    bound = float(re.search(r"above (0\.\d+), evidence_ratio above \d+", row["note"])[1])
    assert bound == pytest.approx(1 - 3 / 4000, abs=2e-4)
    assert "below 0.000" in only(fit.hypothesis("l2 < 0"))["note"]


def test_a_hypothesis_that_the_prior_decides(fit: bm.Fit) -> None:
    row = only(fit.hypothesis("within: y3 ~~ y3 > 0"))
    assert row["prior_probability"] == 1.0
    assert math.isnan(row["bayes_factor"])
    assert "the prior alone decides" in row["note"]


def test_another_seed_other_prior_draws(fit: bm.Fit) -> None:
    first, again, other = (
        only(fit.hypothesis("bw > 0", random_seed=seed))["prior_probability"] for seed in (1, 1, 2)
    )
    assert first == again != other


# Equality ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "prior", "posterior"),
    [
        ("bw = 0", stats.norm(0.1, 1.5), stats.norm(0.4, 0.2)),
        ("2*bw - 1 = 0", stats.norm(-0.8, 3.0), stats.norm(-0.2, 0.4)),
        ("1.05 = within: f =~ y2", stats.norm(0.05, 0.5), stats.norm(-0.05, 0.1)),
    ],
)
def test_density_ratio_of_one_parameter(fit: bm.Fit, text, prior, posterior) -> None:
    row = only(fit.hypothesis(text))
    assert row["bayes_factor"] == pytest.approx(posterior.pdf(0) / prior.pdf(0), rel=0.12)
    assert math.isnan(row["probability"])


def test_density_ratio_of_a_difference_of_other_families(fit: bm.Fit) -> None:
    grid = np.linspace(-15, 15, 60_001)
    product = stats.norm.pdf(grid, 0, 0.5) * stats.t.pdf(grid / 0.5, 4) / 0.5
    prior = np.trapezoid(product, grid)  # density of l2 - l3 at 0, by convolution
    wanted = stats.norm.pdf(0, 0.2, math.sqrt(0.02)) / prior
    for text in ("l2 = l3", "diff = 0"):
        assert only(fit.hypothesis(text))["bayes_factor"] == pytest.approx(wanted, rel=0.12)


def test_bayes_factor_is_that_of_the_marginal_likelihoods() -> None:
    """y ~ N(b x, 1) with b ~ N(0, 2): both marginal likelihoods are normal."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=40)
    y = 0.25 * x + rng.normal(size=40)
    frame = pd.DataFrame({"x": x, "y": y})
    model = bm.Model("y ~ b*x + 0*1; y ~~ 1*y", data=frame, priors={"b": "normal(0, 2)"})
    precision = x @ x + 1 / 4
    draws = rng.normal(x @ y / precision, precision**-0.5, size=(4, 5000, 1))
    fit = synthetic_fit(model, posterior=posterior_of(model.blueprint, draws, 1))
    null = stats.norm.logpdf(y).sum()
    full = stats.multivariate_normal.logpdf(y, cov=np.eye(40) + 4 * np.outer(x, x))
    row = only(fit.hypothesis("b = 0"))
    assert row["bayes_factor"] == pytest.approx(math.exp(null - full), rel=0.08)


def test_a_covariance_is_compared_as_a_correlation(fit: bm.Fit) -> None:
    result = fit.hypothesis("within: y1 ~~ y2 = 0")
    prior = stats.beta(2, 3).pdf(0.5) / 2  # of the correlation, at 0
    assert f"({prior:.3g}, from" in result.notes[-1]


def test_a_correlation_without_a_closed_form() -> None:
    """Of an incomplete block: against the density of many prior draws near 0, by counting."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    spec = "a ~~ b; b ~~ c; a ~~ 0*c"
    priors = {"a ~~ b": "lkj(1)", "b ~~ c": "lkj(1)"}
    fit = synthetic_fit(bm.Model(spec, data=frame, priors=priors), draws=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.SpecificationWarning)
        result = fit.hypothesis("a ~~ b = 0")
    assert "a kernel density of 20,000 prior draws" in result.notes[-1]
    x = draw_prior(fit.model.blueprint, 200_000, rng)
    theta = fit.model.blueprint.theta(x)
    value = {k: fit.model.blueprint.row_value(("within", *k), theta) for k in PAIRS}
    r = value["a", "~~", "b"] / np.sqrt(value["a", "~~", "a"] * value["b", "~~", "b"])
    counted = (np.abs(r) < 0.05).mean() / 0.1
    stated = float(re.search(r"that of the prior \(([\d.]+),", result.notes[-1])[1])
    assert stated == pytest.approx(counted, rel=0.06)


PAIRS = [("a", "~~", "b"), ("a", "~~", "a"), ("b", "~~", "b")]


def test_posterior_density_at_a_point() -> None:
    for point in (0.0, 1.0, 2.0):
        values = np.random.default_rng(3).normal(-point, 1.0, size=(4, 1000))
        density, error, is_bound = _density_at_zero(values)
        assert not is_bound
        assert density == pytest.approx(stats.norm.pdf(point), rel=0.1)
        assert 0.01 < error < 0.12


def test_a_point_in_the_tail_has_a_bound() -> None:
    for sign in (-1, 1):
        for point in (3.5, 5.0, 10.0):
            values = sign * np.random.default_rng(3).normal(point, 1.0, size=(4, 1000))
            density, error, is_bound = _density_at_zero(values)
            assert is_bound
            assert math.isnan(error)
            assert stats.norm.pdf(point) < density < 0.02


def test_a_bound_is_called_one(fit: bm.Fit) -> None:
    result = fit.hypothesis("l2 = 0")
    assert only(result)["note"] == "bayes_factor is an upper bound"
    assert "at most" in result.notes[-1]


def test_notes_name_the_priors_behind(fit: bm.Fit) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        note = fit.hypothesis("bw = 0").notes[-1]
    assert "within: f ~ x: normal(0.1, 1.5)" in note
    assert "the wider they are" in note


def test_chains_with_problems_are_named(fit: bm.Fit) -> None:
    bad = synthetic_fit(fit.model, draws=4)
    assert bad.convergence.grade != "fine"
    assert "see fit.convergence" in bad.hypothesis("bw > 0").notes[0]


def test_default_priors_are_warned_of(fit: bm.Fit) -> None:
    with pytest.warns(bm.SpecificationWarning, match=r"defaults.*between: y2 ~ w \(studentt"):
        fit.hypothesis("y2 ~ w = 0.1")


# Refused -----------------------------------------------------------------------------------------

REFUSED = {
    "l2*l3 = 1": (bm.NotSupportedError, "'l2\\*l3 = 1' is no equality of sums"),
    "ratio = 1": (bm.NotSupportedError, "'a = 2\\*b'"),
    "within: y3 ~~ y3 = 1": (bm.NotSupportedError, "variance 'y3 ~~ y3'"),
    "within: y1 ~~ y2 = 0.1": (bm.NotSupportedError, "compared with 0 alone"),
    "y1 ~ w = 0": (bm.NotSupportedError, "at the edge of what they allow"),
    "l2 = l3 & bw > 0": (bm.NotSupportedError, "hypothesis of its own"),
    "bww > 0": (bm.SpecificationError, "no row 'bww'; did you mean 'bw'"),
    "f =~ y4 > 0": (bm.SpecificationError, "did you mean 'f =~ y3'|did you mean 'f =~ y2'"),
    "y1 ~~ y1 > 0": (bm.SpecificationError, "ambiguous; write 'within: y1 ~~ y1'"),
    "f =~ y1 > 0": (bm.SpecificationError, "compares constants"),
    "bw > bw": (bm.SpecificationError, "compares constants"),
    "log(-l2) > 0": (bm.SpecificationError, "is no number in 4000 of 4000 draws"),
    "bw > (": (bm.ModelSyntaxError, "never closed"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused(fit: bm.Fit, text: str) -> None:
    error, words = REFUSED[text]
    with pytest.raises(error, match=words):
        fit.hypothesis(text)


@pytest.mark.parametrize("rope", [(1, 0), (0, 0), 0.1, (0.1,), (0, math.nan)])
def test_no_region(fit: bm.Fit, rope) -> None:
    with pytest.raises(bm.SpecificationError, match="rope"):
        fit.hypothesis("bw > 0", rope=rope)


@pytest.mark.parametrize("hypotheses", [[], {}, 5, ["bw > 0", 3], {1: "bw > 0"}, b"bw > 0"])
def test_no_hypotheses(fit: bm.Fit, hypotheses) -> None:
    with pytest.raises(bm.SpecificationError, match="hypotheses"):
        fit.hypothesis(hypotheses)


def test_coefficients_that_vary_are_named() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 5), "x": rng.normal(size=100)})
    frame["y"] = frame["x"] + rng.normal(size=100)
    spec = 'level: within; y ~ rv("s")*x; level: between; y ~~ s; m := s^2'
    fit = synthetic_fit(bm.Model(spec, data=frame, cluster="g"))
    with pytest.raises(bm.SpecificationError, match="its mean is 'between: s ~ 1'"):
        fit.hypothesis("within: y ~ x > 0")
    with pytest.raises(bm.SpecificationError, match="the mean of this random coefficient"):
        fit.hypothesis("s > 0")
    with pytest.raises(bm.NotSupportedError, match="mean over clusters"):
        fit.hypothesis("m = 1")
    row = only(fit.hypothesis("m > 0.5"))
    assert row["probability"] == (fit.draws["m"] > 0.5).mean()
    assert 0 < row["prior_probability"] <= 1


# Display -----------------------------------------------------------------------------------------


def test_display(fit: bm.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    result = fit.hypothesis({"a<b": "l2 > l3", "null": "bw = 0"}, rope=(-0.1, 0.1))
    text, html = repr(result), result._repr_html_()
    assert max(map(len, text.splitlines())) <= 100
    assert "in_rope: share of the posterior between -0.1 and 0.1" in " ".join(text.split())
    assert f"{result.table['probability'].iloc[0]:.3f}" in text
    assert ">a&lt;b</td>" in html
    assert "l2 &gt; l3" in html
    assert "<b>" not in html


def test_fixed_labels_and_constraints_are_followed() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(60, 4)), columns=["a", "b", "c", "y"])
    spec = "y ~ p*a + q*b + r*c; q == 2*p; r == 0.25; e := q + r"
    model = bm.Model(spec, data=frame, priors={"p": "normal(0, 1)"})
    fit = synthetic_fit(model, draws=300)
    row = only(fit.hypothesis("e = 1.25"))  # 2 p + 0.25 = 1.25
    prior = stats.norm(0, 2).pdf(1.0)
    posterior, *_ = _density_at_zero(2 * fit.draws["p"] - 1.0)
    assert row["bayes_factor"] == pytest.approx(posterior / prior)
