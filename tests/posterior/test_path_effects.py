"""Total, direct, indirect and contextual effects against products, matrices and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.posterior.paths import path_effects
from tests.likelihood.cases import two_level
from tests.posterior.synthetic import synthetic_fit

MEDIATION = two_level(
    "1-1-1 mediation",
    "y2 ~ a*y1\ny3 ~ b*y2 + c*y1",
    "y2 ~ d*y1\ny3 ~ e*y2 + f*y1 + g*w1\ny2 ~ h*w1",
)
RANDOM = two_level(
    "random 1-1-1 mediation",
    'y2 ~ rv("a")*y1\ny3 ~ rv("b")*y2 + rv("c")*y1',
    "y2 ~ y1\ny3 ~ y2 + y1\na ~ w1\nb ~ w1\na ~~ b\na ~~ c\nb ~~ c",
)
LINEAR = two_level("random a path only", 'y2 ~ rv("a")*x1\ny3 ~ b*y2 + rv("c")*x1', "y2 ~~ y3")
FACTORS = two_level(
    "factors",
    "f =~ y1 + y2\ng =~ y3 + y4\ng ~ p*f\nf ~ q*x1",
    "fb =~ y1 + y2 + y3 + y4\nfb ~ r*w1",
)
LOOP = two_level("loop", "y1 ~ y2 + x1\ny2 ~ y1 + x2\ny3 ~ y2", "y1 ~~ y2")


def label_draws(fit) -> dict[str, np.ndarray]:
    return {r.label: fit.draws[r.key].reshape(-1) for r in fit.model.table.rows if r.label}


def found(fit, x, y) -> dict[tuple[str, str, str], np.ndarray]:
    levels = fit._solution().levels
    return {(e.level, e.effect, e.path): e.values for e in path_effects(levels, x, y)}


def test_mediation_at_both_levels() -> None:
    fit = synthetic_fit(MEDIATION)
    at, effects = label_draws(fit), found(fit, "y1", "y3")
    within, between = at["a"] * at["b"], at["d"] * at["e"]
    expected = {
        ("within", "total", "y1 -> y3"): within + at["c"],
        ("within", "direct", "y1 -> y3"): at["c"],
        ("within", "indirect", "y1 -> ... -> y3"): within,
        ("within", "path", "y1 -> y2 -> y3"): within,
        ("between", "total", "y1 -> y3"): between + at["f"],
        ("between", "direct", "y1 -> y3"): at["f"],
        ("between", "indirect", "y1 -> ... -> y3"): between,
        ("between", "path", "y1 -> y2 -> y3"): between,
        ("", "contextual", "between - within"): between + at["f"] - within - at["c"],
    }
    assert list(effects) == list(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(effects[key], value, rtol=1e-12, err_msg=str(key))


def test_covariate_of_one_level() -> None:
    fit = synthetic_fit(MEDIATION)
    at, effects = label_draws(fit), found(fit, "w1", "y3")
    assert {level for level, *_ in effects} == {"between"}
    # a modelled predictor depends on the covariates by default: w1 -> y1 is a row of the table
    first = fit.draws["between", "y1", "~", "w1"].reshape(-1)
    expected = at["g"] + at["h"] * at["e"] + first * (at["f"] + at["d"] * at["e"])
    np.testing.assert_allclose(effects["between", "total", "w1 -> y3"], expected, rtol=1e-12)
    assert sum(effect == "path" for _, effect, _ in effects) == 3


def test_names_may_differ_between_levels() -> None:
    fit = synthetic_fit(FACTORS)
    effects = found(fit, ("x1", "w1"), "y4")
    at, loading = label_draws(fit), fit.draws["within", "g", "=~", "y4"].reshape(-1)
    within = at["q"] * at["p"] * loading
    between = at["r"] * fit.draws["between", "fb", "=~", "y4"].reshape(-1)
    np.testing.assert_allclose(effects["within", "path", "x1 -> f -> g -> y4"], within, rtol=1e-12)
    np.testing.assert_allclose(
        effects["", "contextual", "between - within"], between - within, rtol=1e-12
    )


def test_random_path_has_its_population_mean() -> None:
    """E[a b] = E[a] E[b] + Cov(a, b | w), with E[a] E[b] averaged over the clusters' w."""
    fit = synthetic_fit(RANDOM)
    d = {key: value.reshape(-1) for key, value in fit.draws.items()}
    w = fit.model.blueprint.observed.w[:, 0]

    def mean(name):
        return d["between", name, "~", "1"][:, None] + d["between", name, "~", "w1"][:, None] * w

    expected = (mean("a") * mean("b")).mean(axis=1) + d["between", "a", "~~", "b"]
    effects = found(fit, "y1", "y3")
    np.testing.assert_allclose(effects["within", "path", "y1 -> y2 -> y3"], expected, rtol=1e-9)
    direct = effects["within", "direct", "y1 -> y3"]
    np.testing.assert_allclose(direct, d["between", "c", "~", "1"], rtol=1e-12)
    np.testing.assert_allclose(effects["within", "total", "y1 -> y3"], expected + direct, rtol=1e-9)
    # one draw, by simulation of clusters: 400,000 of them at each of the data's w
    n, rng = 400_000 // len(w), np.random.default_rng(2)
    names = ("a", "b", "c")
    omega = np.array([[covariance(d, u, v)[0] for v in names] for u in names])
    u = rng.multivariate_normal(np.zeros(3), omega, size=(n, len(w)))
    products = (mean("a")[0] + u[..., 0]) * (mean("b")[0] + u[..., 1])
    error = products.std() / np.sqrt(products.size)
    assert abs(products.mean() - expected[0]) < 4.5 * error


def covariance(d, u, v):
    return d.get(("between", u, "~~", v), d.get(("between", v, "~~", u)))


def test_random_slope_on_a_covariate() -> None:
    fit = synthetic_fit(LINEAR)
    d = {key: value.reshape(-1) for key, value in fit.draws.items()}
    effects = found(fit, "x1", "y3")
    indirect = d["between", "a", "~", "1"] * d["within", "y3", "~", "y2"]
    np.testing.assert_allclose(effects["within", "path", "x1 -> y2 -> y3"], indirect, rtol=1e-12)
    np.testing.assert_allclose(
        effects["within", "total", "x1 -> y3"], indirect + d["between", "c", "~", "1"], rtol=1e-12
    )


def test_feedback_loops_have_the_sum_of_the_series() -> None:
    """x1 -> y1 <-> y2 -> y3: b (p + p (p q) + ...) = b p / (1 - p q) times the last."""
    fit = synthetic_fit(LOOP)
    d = {key: value.reshape(-1) for key, value in fit.draws.items()}
    p, q = d["within", "y2", "~", "y1"], d["within", "y1", "~", "y2"]
    expected = d["within", "y1", "~", "x1"] * p / (1 - p * q) * d["within", "y3", "~", "y2"]
    np.testing.assert_allclose(
        found(fit, "x1", "y3")["within", "total", "x1 -> y3"], expected, rtol=1e-10
    )


def test_table_and_draws_agree() -> None:
    fit = synthetic_fit(MEDIATION)
    table, draws = fit.effects("y1", "y3", ci=0.9), fit.effects("y1", "y3", draws=True)
    assert draws["effect"].dims == ("chain", "draw", "row")
    within = draws["effect"].sel(row="within: y1 -> y2 -> y3").to_numpy()
    row = table[(table["level"] == "within") & (table["effect"] == "path")].iloc[0]
    np.testing.assert_allclose([row["mean"], row["sd"]], [within.mean(), within.std(ddof=1)])
    np.testing.assert_allclose([row["lower"], row["upper"]], np.quantile(within, [0.05, 0.95]))
    assert list(draws["kind"].to_numpy()) == list(table["effect"])
    assert "contextual" in draws["row"].to_numpy()
    assert "90% equal-tailed" in table.caption
    assert "between minus total effect within" in table.caption
    assert "y1 -&gt; y2 -&gt; y3" in table._repr_html_()


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ("y1", "y33", "no variable 'y33'; did you mean 'y3'?"),
        ("y3", "y1", "no path leads from 'y3' to 'y1'"),
        (("y1", "w9"), "w1", "no variable 'w9'"),
    ],
)
def test_errors_name_the_culprit(x, y, words: str) -> None:
    with pytest.raises(SpecificationError) as error:
        synthetic_fit(MEDIATION).effects(x, y)
    assert words in str(error.value)


def test_random_coefficients_in_a_loop_are_refused() -> None:
    loop = two_level("loop", 'y1 ~ y2 + rv("s")*x1\ny2 ~ y1 + x2', "y1 ~~ y2")
    with pytest.raises(NotSupportedError, match="feedback loops"):
        synthetic_fit(loop).effects("x1", "y2")
