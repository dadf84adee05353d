"""Saturated and null models: other programs, closed forms, the oracle, and what must be refused."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.blueprint.values import theta_from_values
from bayes_msem.checking.indices.index_formulas import joint_covariance, srmr
from bayes_msem.checking.indices.saturated import (
    build_on,
    check_separable,
    check_supported,
    fit_saturated,
    model_text,
    structured_level,
)
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.inference.density import log_likelihood, support
from bayes_msem.inference.maximise import maximise
from bayes_msem.inference.mode import admissible_maximum
from bayes_msem.inference.modes import unconstrained_axes, unconstrained_mode
from tests.oracle import oracle_log_likelihood
from tests.reference_models import FOLDER, load_reference

# Small and unbalanced data are the point of several tests.
pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.errors.MsemWarning")

STORED = pd.read_csv(FOLDER / "fit-indices" / "fit_measures.csv")
LAVAAN = {(m, k): v for m, k, v in STORED.itertuples(index=False, name=None)}
SINGLE_LEVEL = [
    "single-level/cfa",
    "single-level/mimic",
    "single-level/political-democracy",
    "missing/single-level",
]
TWO_LEVEL = [
    "demo-twolevel",
    "two-level/unbalanced",
    "two-level/balanced",
    "two-level/within-only-outcome",
    "two-level/cluster-level-outcome",
]
# lavaan's two-level saturated model comes from an EM algorithm that stops up to 5e-4 below the
# maximum of the log-likelihood, whatever tolerance it is given; single-level ones have 9 digits.
EM = 1.2e-3


def model_of(name: str) -> bm.Model:
    reference = load_reference(name)
    return bm.Model(reference.model_text, data=reference.frame, cluster=reference.cluster)


def maximum(observed: ObservedData, within: str, between: str) -> tuple[float, int]:
    """Log-likelihood of a model at its maximum, and its number of parameters."""
    model = build_on(bm.Model, observed, model_text(observed, within, between))
    _, value, converged = admissible_maximum(model.blueprint)
    assert converged
    return value, model.blueprint.parameters.n


@pytest.mark.parametrize("name", SINGLE_LEVEL + TWO_LEVEL)
def test_saturated_and_null_models_are_lavaans(name: str) -> None:
    reference, observed = load_reference(name), model_of(name).observed
    saturated = fit_saturated(bm.Model, observed)
    null, n_null = maximum(observed, "null", "null")
    p_star = saturated.n_parameters()
    assert p_star - reference.npar == LAVAAN[name, "df"]
    assert p_star - n_null == LAVAAN[name, "baseline.df"]
    tolerance = EM if name in TWO_LEVEL else 1e-5
    chisq = 2 * (saturated.log_likelihood - reference.log_likelihood)
    assert chisq == pytest.approx(LAVAAN[name, "chisq"], abs=tolerance)
    baseline = 2 * (saturated.log_likelihood - null)
    assert baseline == pytest.approx(LAVAAN[name, "baseline.chisq"], abs=tolerance)
    unrestricted = LAVAAN[name, "unrestricted.logl"]
    assert saturated.log_likelihood > unrestricted - 1e-7  # a maximum: never below
    assert saturated.log_likelihood == pytest.approx(unrestricted, abs=tolerance)


@pytest.mark.parametrize("level", ["within", "between"])
def test_partially_saturated_models_are_lavaans(level: str) -> None:
    model = model_of("demo-twolevel")
    saturated = fit_saturated(bm.Model, model.observed)
    parts = {"": structured_level(model.table, level), "null ": "null"}  # type: ignore[arg-type]
    for prefix, content in parts.items():
        texts = {"within": "saturated", "between": "saturated"} | {level: content}
        value, n = maximum(model.observed, texts["within"], texts["between"])
        stored = f"demo-twolevel, only {prefix}{level}"
        assert saturated.n_parameters() - n == LAVAAN[stored, "df"]
        chisq = 2 * (saturated.log_likelihood - value)
        assert chisq == pytest.approx(LAVAAN[stored, "chisq"], abs=EM)


def test_balanced_saturated_model_has_its_closed_form() -> None:
    """With equal cluster sizes the pooled and the cluster means' covariances are the estimates."""
    reference = load_reference("two-level/balanced")
    names, n = ["y1", "y2", "y3"], 3
    text = "level: within\nf =~ y1 + y2 + y3\nlevel: between\ng =~ y1 + y2 + y3"
    observed = bm.Model(text, data=reference.frame, cluster=reference.cluster).observed
    saturated = fit_saturated(bm.Model, observed)

    y = reference.frame[names]
    means = y.groupby(reference.frame[reference.cluster]).mean()
    own = y - means.loc[reference.frame[reference.cluster]].to_numpy()
    n_clusters = len(means)
    within = own.T @ own / (len(y) - n_clusters)
    deviations = means - means.mean()
    between = deviations.T @ deviations / n_clusters - within / n
    assert np.linalg.eigvalsh(between).min() > 0  # otherwise it would not be the estimate
    values = {("between", v, "~", "1"): means[v].mean() for v in names}
    for a, b in itertools.combinations_with_replacement(names, 2):
        values["within", a, "~~", b] = within.loc[a, b]
        values["between", a, "~~", b] = between.loc[a, b]
    expected = oracle_log_likelihood(values, reference.frame, reference.cluster)
    # rounding of sums of 180 terms, and a Newton decrement of 1e-9
    assert saturated.log_likelihood == pytest.approx(expected, abs=1e-8)
    for level, matrix in (("within", within), ("between", between)):
        found = joint_covariance(saturated.blueprint, saturated.theta[None, :], level)[0]  # type: ignore[arg-type]
        assert found == pytest.approx(matrix.to_numpy(), rel=1e-5)


def test_saturated_maximum_agrees_with_the_oracle() -> None:
    """At the estimates, the oracle has the same log-likelihood, covariates and clusters included.

    Moving any parameter by a little lowers it.
    """
    reference, observed = (
        load_reference("two-level/cluster-level-outcome"),
        model_of("two-level/cluster-level-outcome").observed,
    )
    saturated = fit_saturated(bm.Model, observed)
    rows = [r for r in saturated.blueprint.table.rows if r.free]
    position = saturated.blueprint.parameters.position
    values = {r.key: float(saturated.theta[position[r.free]]) for r in rows}
    best = oracle_log_likelihood(values, reference.frame, reference.cluster)
    assert saturated.log_likelihood == pytest.approx(best, abs=1e-8)
    for key in values:
        for step in (-0.01, 0.01):
            moved = values | {key: values[key] + step}
            assert oracle_log_likelihood(moved, reference.frame, reference.cluster) < best


def test_singular_saturated_model_converges_and_beats_em() -> None:
    """Ten variables, 49 clusters: the maximum lies on the boundary, where EM crawls.

    lavaan's EM stops at -27715.703; the unbounded maximum does not converge.
    """
    saturated = fit_saturated(bm.Model, model_of("lq2002-two-factor").observed)
    covariance = joint_covariance(saturated.blueprint, saturated.theta[None, :], "between")[0]
    eigenvalues = np.linalg.eigvalsh(covariance)
    assert -1e-12 < eigenvalues[0] < 1e-8 < eigenvalues[-1]
    assert -27715.703394 < saturated.log_likelihood < -27715.60

    # other processors round otherwise: gradients off by 1e-13 and other starts end there too
    blueprint, rng = saturated.blueprint, np.random.default_rng(0)
    bounds, start = support(blueprint), unconstrained_mode(blueprint, jacobian=True).position

    def rounded(u: np.ndarray) -> tuple[float, np.ndarray]:
        x, slope, _, _ = bounds.to_constrained(u)
        value, gradient = log_likelihood(blueprint, x)
        return value, gradient * slope * (1 + 1e-13 * rng.normal(size=len(u)))

    for _ in range(3):
        nearby = start + 0.05 * rng.normal(size=len(start))
        top = maximise(rounded, nearby, unconstrained_axes(blueprint))
        assert top.converged
        # the rows where the limit is at infinity end at different places on the way
        assert top.value == pytest.approx(saturated.log_likelihood, abs=1e-5)


@pytest.mark.parametrize("name", ["demo-twolevel", "two-level/unbalanced"])
def test_srmr_at_the_maximum_is_lavaans(name: str) -> None:
    """To what lavaan's early stop leaves: 1e-5 in SRMR for 200 clusters, 2e-4 for 80."""
    model, reference = model_of(name), load_reference(name)
    saturated = fit_saturated(bm.Model, model.observed)
    theta = theta_from_values(model.blueprint, reference.estimates)[None, :]
    for level in ("within", "between"):
        h1 = joint_covariance(saturated.blueprint, saturated.theta[None, :], level)[0]  # type: ignore[arg-type]
        found = srmr(h1, joint_covariance(model.blueprint, theta, level))[0]  # type: ignore[arg-type]
        tolerance = 2e-5 if name == "demo-twolevel" else 3e-4
        assert found == pytest.approx(LAVAAN[name, f"srmr_{level}"], abs=tolerance)


HSB_SLOPE = """
level: within
    mach ~ rv("s")*cses
level: between
    mach ~ sector
"""


def test_random_coefficients_have_no_saturated_model() -> None:
    model = bm.Model(HSB_SLOPE, data=bm.load_dataset("hsb"), cluster="school")
    with pytest.raises(bm.NotSupportedError, match=r"random coefficients \(s\).*fit.ppp"):
        check_supported(model.table, model.observed)


def test_few_clusters_have_no_saturated_model() -> None:
    """3 variables and 2 covariates between: 5 clusters are too few, 6 just enough."""
    reference = load_reference("demo-twolevel")
    for n_clusters, enough in ((5, False), (6, True)):
        frame = reference.frame[reference.frame["cluster"] <= n_clusters]
        model = bm.Model(reference.model_text, data=frame, cluster="cluster")
        if enough:
            check_supported(model.table, model.observed)
        else:
            with pytest.raises(bm.NotSupportedError, match="5 clusters do not determine all 6"):
                check_supported(model.table, model.observed)


def test_variables_never_seen_together_have_no_saturated_model() -> None:
    frame = load_reference("single-level/cfa").frame.copy()
    frame.loc[:150, "x1"] = np.nan
    frame.loc[151:, "x2"] = np.nan
    model = bm.Model("f =~ x1 + x2 + x3 + x4", data=frame)
    with pytest.raises(bm.NotSupportedError, match="'x1' and 'x2' are never observed"):
        check_supported(model.table, model.observed)


def test_few_rows_have_no_saturated_model() -> None:
    frame = load_reference("single-level/cfa").frame
    model = bm.Model("f =~ x1 + x2 + x3 + x4", data=frame.iloc[:4])
    with pytest.raises(bm.NotSupportedError, match="4 rows do not determine"):
        check_supported(model.table, model.observed)


def test_maximum_that_is_not_found_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(blueprint: object) -> tuple[np.ndarray, float, bool]:
        return np.zeros(1), -1.0, False

    monkeypatch.setattr("bayes_msem.checking.indices.saturated.admissible_maximum", lost)
    with pytest.raises(bm.DataError, match="saturated model was not found"):
        fit_saturated(bm.Model, model_of("single-level/cfa").observed)


def test_levels_that_share_parameters_cannot_be_separated() -> None:
    frame = load_reference("demo-twolevel").frame
    text = "level: within\nf =~ y1 + a*y2 + b*y3\nlevel: between\ng =~ y1 + {}*y2 + y3\n{}"
    for model_text_, named in (
        (text.format("a", ""), r"\(a\)"),
        (text.format("c", "c == a"), r"\(a, c\)|\(c, a\)"),
        (text.format("c", "c == 2 * a"), r"\(c, a\)"),
    ):
        model = bm.Model(model_text_, data=frame, cluster="cluster")
        with pytest.raises(bm.NotSupportedError, match=named):
            check_separable(model.table)
    check_separable(bm.Model(text.format("c", "x := a * c"), data=frame, cluster="cluster").table)
    with pytest.raises(bm.SpecificationError, match="single-level"):
        check_separable(model_of("single-level/cfa").table)


def test_structured_level_keeps_priors_constants_and_constraints() -> None:
    frame = load_reference("demo-twolevel").frame
    text = """
    level: within
        f =~ y1 + a*y2 + b*y3
        b == 2 * a
    level: between
        g =~ y1 + prior("normal(1, 0.2)")*y2 + 0.7*y3
        g ~ w1
    """
    model = bm.Model(text, data=frame, cluster="cluster")
    for level in ("within", "between"):
        texts = {"within": "saturated", "between": "saturated"}
        texts[level] = structured_level(model.table, level)  # type: ignore[arg-type]
        other = build_on(
            bm.Model, model.observed, model_text(model.observed, texts["within"], texts["between"])
        )
        columns = ["level", "lhs", "op", "rhs", "label", "value", "prior"]
        ours, theirs = (m.parameter_table[columns] for m in (model, other))
        pd.testing.assert_frame_equal(
            ours[ours["level"] == level].reset_index(drop=True),
            theirs[theirs["level"] == level].reset_index(drop=True),
        )
        assert len(other.table.constraints) == (level == "within")
