"""Marginal log-likelihoods of models with outcomes that are not normal, against stored references.

tests/reference/outcomes/README.md says where these come from.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.blueprint.values import theta_from_values
from bayes_msem.checking.accuracy import marginal
from bayes_msem.checking.accuracy.integral import ClusterIntegral, Proposal
from bayes_msem.checking.accuracy.marginal import marginal_log_likelihood
from bayes_msem.errors import AccuracyWarning, SpecificationError
from bayes_msem.inference.working import expand_rows
from bayes_msem.likelihood import row_integral
from bayes_msem.likelihood.row_integral import RowIntegral, hermite_rule, sobol_rule

REFERENCE = Path(__file__).parents[1] / "reference" / "outcomes"
Case = dict[str, Any]


def cases(name: str) -> list[Case]:
    text = (REFERENCE / "likelihood" / f"{name}.json").read_text(encoding="utf-8")
    found: list[Case] = json.loads(text)["cases"]
    return found


def frame_of(case: Case) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / f"{case['data']}.csv")


def regression_of(case: Case) -> tuple[bm.Model, dict[str, float]]:
    """Give a model with one outcome and its values by row."""
    values, y = case["values"], case["outcome"]
    slope = len(values["sd"]) == 2
    within = f"{y} ~ " + ('rv("s")*x' if slope else "x")
    between = [f"{y} ~ w"] if "w" in values else [f"{y} ~~ {y}"]
    text = "\n".join(["level: within", within, "level: between", *between])
    exposure = {y: "exposure"} if case["data"].startswith("count") else None
    families = {y: case["family"]}
    model = bm.Model(
        text, data=frame_of(case), cluster="cluster", families=families, exposure=exposure
    )
    sd = values["sd"]
    given = {f"between: {y} ~~ {y}": sd[0] ** 2}
    if slope:
        given |= {"between: s ~ 1": values["x"], "between: s ~~ s": sd[1] ** 2}
        given[f"between: {y} ~~ s"] = values["r"] * sd[0] * sd[1]
    else:
        given[f"within: {y} ~ x"] = values["x"]
    if "w" in values:
        given[f"between: {y} ~ w"] = values["w"]
    given |= {f"between: {y} | t{c + 1}": cut for c, cut in enumerate(values.get("thresholds", []))}
    if "intercept" in values:
        given[f"between: {y} ~ 1"] = values["intercept"]
    if "alpha" in values:
        given[f"within: {y} ~~ {y}"] = values["alpha"]
    return model, given


def factors_of(case: Case) -> tuple[bm.Model, dict[str, float]]:
    """Give the ordinal factor model and its values by row."""
    v = case["values"]
    items = "y1 + y2 + y3 + y4"
    text = f"level: within\nfw =~ {items}\nlevel: between\nfb =~ {items}"
    model = bm.Model(text, data=frame_of(case), cluster="cluster", ordered=True)
    given = {"within: fw ~~ fw": v["sd_fw"] ** 2, "between: fb ~~ fb": v["sd_fb"] ** 2}
    for k in range(4):
        y = f"y{k + 1}"
        if k:
            given[f"within: fw =~ {y}"] = v["loadings_w"][k]
            given[f"between: fb =~ {y}"] = v["loadings_b"][k]
        given[f"between: {y} ~~ {y}"] = v["sd_u"][k] ** 2
        given |= {f"between: {y} | t{c + 1}": cut for c, cut in enumerate(v["thresholds"][k])}
    return model, given


def stated(model: bm.Model, given: dict[str, float]) -> tuple[float, float]:
    """Value and error."""
    blueprint = model.unpiloted_blueprint()
    x = sampled_from_table(blueprint, theta_from_values(blueprint, given))
    found = marginal_log_likelihood(blueprint, x)
    return found.value, found.error


@pytest.mark.parametrize("case", cases("quadrature"), ids=lambda case: case["name"])
def test_regressions(case: Case) -> None:
    value, error = stated(*regression_of(case))
    assert abs(value - case["log_likelihood"]) <= error + case["error"]
    assert error < 0.02


@pytest.mark.parametrize("case", cases("cfa"), ids=lambda case: case["name"])
def test_factor_models(case: Case) -> None:
    model, given = factors_of(case)
    value, error = stated(model, given)
    assert abs(value - case["log_likelihood"]) <= error + case["error"]
    assert error < 0.02
    with warnings.catch_warnings():
        warnings.simplefilter("error", AccuracyWarning)
        assert model.log_likelihood(given) == value


def test_importance_sampling_of_many_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done for more than five effects, here where the answer is known."""
    case = cases("cfa")[0]
    monkeypatch.setattr(marginal, "_SIZES", {})
    monkeypatch.setattr(marginal, "_POINTS", (256,))
    model, given = factors_of(case)
    value, error = stated(model, given)
    assert abs(value - case["log_likelihood"]) <= 1.5 * error
    assert error < 0.2
    monkeypatch.setattr(marginal, "_POINTS", (8,))
    with pytest.warns(AccuracyWarning, match="may be off by"):
        model.log_likelihood(given)


def test_given_effects() -> None:
    """Averaged over draws of the effects, the likelihood given effects is the marginal one."""
    case = cases("quadrature")[0]
    model, given = regression_of(case)
    clusters, sd = model.observed.cluster_ids, case["values"]["sd"][0]
    w = model.observed.w[:, 0] * case["values"]["w"]
    # one cluster at a time: the other clusters' effects stay at zero and cancel
    z, weight = np.polynomial.hermite_e.hermegauss(25)
    logs = []
    for u in z:
        effects = pd.DataFrame({"y": w + sd * u}, index=clusters)
        logs.append(model.log_likelihood(given, effects=effects))
    blueprint = model.unpiloted_blueprint()
    x = sampled_from_table(blueprint, theta_from_values(blueprint, given))
    placed = expand_rows(blueprint, x, None)
    point = np.ascontiguousarray(placed.extend_sampled(x))
    rows = RowIntegral(placed.likelihood, hermite_rule(1, 0))
    by_cluster = np.stack([rows(point, (w + sd * u)[:, None]) for u in z])
    np.testing.assert_allclose(by_cluster.sum(axis=1), logs, rtol=1e-10)
    marginals = np.log(weight / weight.sum() @ np.exp(by_cluster))
    assert marginals.sum() == pytest.approx(case["log_likelihood"], abs=1e-4)


def test_two_scores_with_a_normal_outcome() -> None:
    """Product rules, Sobol' points and a rule of other size agree where two factors are sampled."""
    rng = np.random.default_rng(3)
    n = 60
    frame = pd.DataFrame({f"y{k}": rng.permutation(np.arange(n) % 3) for k in range(4)})
    frame["v"] = rng.standard_normal(n)
    text = "f =~ y0 + y1\ng =~ y2 + y3 + v\nf ~~ g"
    model = bm.Model(text, data=frame, ordered=[f"y{k}" for k in range(4)])
    blueprint = model.unpiloted_blueprint()
    x = np.full(blueprint.parameters.n, 0.6)
    placed = expand_rows(blueprint, x, None)
    point = np.ascontiguousarray(placed.extend_sampled(x))
    none = np.empty((0, 0))
    fine = RowIntegral(placed.likelihood, hermite_rule(21, 2)).of_rows(point, none)
    sampled = RowIntegral(placed.likelihood, sobol_rule(4096, 2, 1)).of_rows(point, none)
    np.testing.assert_allclose(fine, sampled, atol=2e-3)
    value, error = marginal_log_likelihood(blueprint, x)
    assert abs(value - fine.sum()) <= error
    # without coordinates of their own scores are standardised: another integrand, the same integral
    plain = RowIntegral(blueprint.likelihood, sobol_rule(2**14, 2, 2)).of_rows(point, none)
    np.testing.assert_allclose(fine, plain, atol=5e-3)


def test_copies_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = factors_of(cases("cfa")[0])
    value, _ = stated(model, given)
    monkeypatch.setattr(row_integral, "_MOST_ROWS", 300)
    assert stated(model, given)[0] == pytest.approx(value, rel=1e-12)


def test_one_cluster_alone_has_its_own_term() -> None:
    model, given = factors_of(cases("cfa")[0])
    blueprint = model.unpiloted_blueprint()
    x = sampled_from_table(blueprint, theta_from_values(blueprint, given))
    placed = expand_rows(blueprint, x, None)
    point = np.ascontiguousarray(placed.extend_sampled(x))
    rows, shape = RowIntegral(placed.likelihood, hermite_rule(9, 1)), placed.likelihood.shape
    proposal = Proposal(np.zeros(shape), np.tile(np.eye(4), (shape[0], 1, 1)))
    rng = np.random.default_rng(1)
    integral = ClusterIntegral(placed, proposal, nodes=8, rng=rng, rows=rows)
    rule = hermite_rule(3, 4)
    every = integral.by_rule(point, rule)
    alone = [integral.restricted(j).by_rule(point, rule)[0] for j in (0, 7, 19)]
    np.testing.assert_allclose(alone, every[[0, 7, 19]], rtol=1e-10)


def test_singular_effects_are_refused() -> None:
    model, given = regression_of(cases("quadrature")[0])
    with pytest.raises(SpecificationError, match="singular covariance matrix"):
        model.log_likelihood(given | {"between: y ~~ y": 0.0})
