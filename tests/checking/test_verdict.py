"""The verdict: every rule by itself, then whole checks of right and wrong models."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.checking.findings import (
    Finding,
    data_findings,
    grouped,
    near_zero_findings,
    prediction_findings,
    prior_findings,
    sampling_findings,
)
from bayes_msem.checking.misfit import LOOK, PROBLEM, cluster_findings, fit_findings, limits
from bayes_msem.checking.verdict import Verdict
from bayes_msem.posterior.convergence import Convergence, Grade
from bayes_msem.spec.table import Row
from benchmarks.planted import MODEL, planted
from tests.checking.laplace import laplace_fit


def ppp_table(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    """Groups have one row, so that adjusted p-values are those of two sides of one number."""
    table = pd.DataFrame(rows, columns=["level", "statistic", "variable", "ppp"])
    ppp = table["ppp"]
    one_sided = table["statistic"].str.contains("chi_square|outlying|srmr")
    return table.assign(adjusted=np.where(one_sided, ppp, 2 * np.minimum(ppp, 1 - ppp)))


@pytest.mark.parametrize(
    ("ppp", "state"), [(0.5, "fine"), (0.026, "fine"), (0.02, "look"), (0.004, "problem")]
)
def test_misfit_of_a_level(ppp: float, state: str) -> None:
    """Two levels share half of 10% (a look) and of 2% (a problem)."""
    table = ppp_table(
        ("within", "chi_square_refit", "", ppp),
        ("within", "chi_square", "", 0.5),  # not looked at where there is a refitted one
        ("between", "chi_square_refit", "", 0.9),
        ("between", "icc", "y1", 0.5),
    )
    within, between, *_ = fit_findings(table)
    assert (within.state, between.state) == (state, "fine")
    assert "Level within" in within.message
    assert ("residual_correlation" in within.advice) == (state != "fine")
    srmr = ppp_table(("within", "srmr", "", 0.4))
    said = fit_findings(pd.concat([table, srmr]).assign(observed=0.0712))[0].message
    assert ("SRMR 0.071" in said) == (state != "fine")


def test_without_a_mode_the_likelihood_ratio_at_the_draws_is_judged() -> None:
    first, *_ = fit_findings(ppp_table(("within", "chi_square", "", 0.001)))
    assert first.state == "problem"
    assert "of chi_square)" in first.message


def test_limits_divide_the_share_of_right_models_with_a_finding() -> None:
    both = ppp_table(
        *[(level, "chi_square_refit", "", 0.5) for level in ("", "within", "between")],
        *[("within", "kurtosis", name, 0.5) for name in ("y1", "y2", "y3")],
        *[("between", name, "", 0.5) for name in ("icc", "outlying_cluster")],
        ("within", "srmr", "", 0.5), ("", "deviance", "", 0.5),
    )  # fmt: skip
    limit = limits(both)
    assert 2 * limit.level == pytest.approx(LOOK / 2)
    assert 3 * limit.group == pytest.approx(LOOK / 2)
    groups = both[both["statistic"].isin(["kurtosis", "icc"])]
    assert limits(groups).group == pytest.approx(LOOK / 2)  # no ratios: the whole for two groups
    assert limit.state(limit.group * 1.01, limit.group) == "fine"
    assert limit.state(limit.group, limit.group) == "look"
    assert limit.state(limit.group * PROBLEM / LOOK, limit.group) == "problem"


def test_groups_name_the_variables_that_are_beyond_the_limit() -> None:
    table = pd.DataFrame(
        [("within", "slope_variance", f"y{i} ~ x", ppp, adjusted)
         for i, (ppp, adjusted) in enumerate([(0.001, 0.03), (0.02, 0.2), (0.999, 0.025)])],
        columns=["level", "statistic", "variable", "ppp", "adjusted"],
    )  # fmt: skip
    (found,) = fit_findings(table)
    assert found.state == "look"
    assert "more in these slopes than the model allows (y0 ~ x)" in found.message
    assert "less in these slopes than the model says (y2 ~ x)" in found.message
    assert "y1 ~ x" not in found.message
    assert "rv(" in found.advice
    fine = table.assign(adjusted=0.101)
    assert [f.state for f in fit_findings(fine)] == ["fine"]
    assert fit_findings(table.assign(adjusted=0.019))[0].state == "problem"


def test_small_values_are_told_from_large_ones() -> None:
    table = ppp_table(*[("within", "kurtosis", name, p) for name, p in (("y1", 0), ("y2", 1))])
    (found,) = fit_findings(table)
    heavy, light = found.message.split(";")
    assert "heavier tails" in heavy
    assert "(y1)" in heavy
    assert "lighter tails" in light
    assert "(y2)" in light


def test_clusters_are_unusual_only_if_the_most_distant_one_is() -> None:
    p = np.full(100, 0.5)
    p[3], p[7] = 0.0004, 0.004  # 0.05 / 100 lies between
    clusters = pd.DataFrame(
        {"ppp_within": 0.5, "ppp_between": p}, index=[f"g{i}" for i in range(100)]
    )
    largest = [("within", "outlying_within", "", 0.5), ("between", "outlying_cluster", "", 0.02)]
    (found,) = cluster_findings(clusters, ppp_table(*largest))
    assert found.state == "look"
    assert "Unusual means: 1 cluster (g3)" in found.message
    p[3] = 0.001  # none is beyond the limit of clusters, but one is the farthest
    (found,) = cluster_findings(clusters.assign(ppp_between=p), ppp_table(*largest))
    assert "1 cluster (g3)" in found.message
    common = [largest[0], ("between", "outlying_cluster", "", 0.06)]  # limit: .1 / 2
    assert cluster_findings(clusters, ppp_table(*common))[0].state == "fine"
    assert cluster_findings(clusters, ppp_table(largest[0]))[0].state == "fine"
    assert cluster_findings(pd.DataFrame(), ppp_table()) == []


def test_pareto_k_priors_data_and_sampling() -> None:
    high = pd.Series([1.2, 0.9], index=[4, 9])
    (found,) = prediction_findings(high, 30, "cluster")
    assert (found.state, "2 of 30 clusters" in found.message) == ("look", True)
    assert "4, 9" in found.message
    assert prediction_findings(high[:0], 30, "cluster")[0].state == "fine"
    assert prior_findings(())[0].state == "fine"
    assert [f.message for f in prior_findings(("one", "two"))] == ["one", "two"]
    (note,) = data_findings(("Only 8 clusters. Be careful. Really.",))
    assert (note.message, note.advice) == ("Only 8 clusters.", "Be careful. Really.")
    assert sampling_findings(Convergence(0, 1.002, 900.0, ()))[0].state == "fine"


@pytest.mark.parametrize(("grade", "state"), [("sample longer", "look"), ("do not use", "problem")])
def test_all_problems_of_the_chains_are_one_finding(grade: Grade, state: str) -> None:
    problems = ("3 divergent transitions.", "R-hat is above 1.01 for 1 of 4 parameters: a (2).")
    notes = ("The posterior has 2 modes. Look at mode(). Compare them.",)
    chains = Convergence(3, 2.0, 9.0, problems, grade, (), "Sample again.", notes)
    found, note = sampling_findings(chains)
    assert (found.state, found.advice) == (state, "Sample again.")
    assert found.message == " ".join(problems)
    assert (note.message, note.advice) == (
        "The posterior has 2 modes.",
        "Look at mode(). Compare them.",
    )
    verdict = Verdict((found, note), None, None, None, grade)
    if state == "problem":
        assert verdict.summary.startswith("Do not use these estimates yet")
    else:
        assert verdict.summary == (
            "Sample longer before you report these estimates. No serious problem; "
            "1 thing to look at."
        )


def test_findings_that_differ_in_names_are_one() -> None:
    text = "'{}' and '{}' are never observed together."
    pairs = [("a", "b"), ("c", "d"), ("a", "d")]
    findings = [Finding("data", "look", text.format(*pair), "Be careful.") for pair in pairs]
    other = Finding("data", "look", "'e' isn't observed in 'f'.", "Be careful.")
    last = Finding("data", "problem", text.format("g", "h"), "Be careful.")
    first, second, third = grouped([findings[0], other, *findings[1:], last])
    assert first.message == (
        "'a' and 'b' are never observed together. The same holds for 'c' and 'd'; 'a' and 'd'."
    )
    assert (second, third) == (other, last)
    many = [Finding("data", "look", f"'y{i}' is odd.") for i in range(12)]
    (one,) = grouped(many)
    assert one.message.endswith("'y5' and 6 more.")


@pytest.mark.filterwarnings("ignore::bayes_msem.SmallSampleWarning")
def test_no_paragraph_stands_twice() -> None:
    """Priors that matter for many rows: one finding a diagnosis, with all rows and priors in it."""
    frame = planted(5, n_clusters=8).iloc[::4]
    model = bm.Model(MODEL, data=frame, cluster="cluster")
    verdict = laplace_fit(model, draws=300).check(draws=100, loo=False)
    sources = set(verdict.prior_sensitivity.table["source"]) - {""}
    assert len(sources) >= 4
    found = [f for f in verdict.findings if f.topic == "priors"]
    assert len(found) <= 2 + sum("Pareto k" in f.message for f in found)
    starts = [" ".join(f.message.split()[:3]) for f in verdict.findings if f.state != "fine"]
    assert len(set(starts)) == len(starts)
    named = " ".join(f.message for f in found)
    assert sum(source in named for source in sources) >= 4


def test_variances_near_zero() -> None:
    """A half-normal SD, which a prior alone would give, is named; one far from zero is not.

    Its 5% quantile is .0627 sigma and its median .6745 sigma: a ratio of .09 (limit .2).
    """
    half = stats.halfnorm.ppf((np.arange(1000) + 0.5) / 1000) ** 2
    far = stats.norm.ppf((np.arange(1000) + 0.5) / 1000, 1.0, 0.2) ** 2
    rows = [Row("between", "y1", "~~", "y1"), Row("between", "y2", "~~", "y2")]
    (found,) = near_zero_findings([(rows[0], half), (rows[1], far)])
    assert "y1 ~~ y1" in found.message
    assert "y2" not in found.message
    assert near_zero_findings([(rows[1], far)]) == []


def test_check_of_a_right_model() -> None:
    fit = laplace_fit(
        bm.Model(MODEL, data=planted(3, n_clusters=200), cluster="cluster"), draws=300
    )
    verdict = fit.check(draws=300)
    assert verdict.problems == ()
    assert {f.topic for f in verdict.findings} >= {"sampling", "fit", "clusters", "prediction"}
    assert verdict.loo.unit == "cluster"
    assert len(verdict.to_frame()) == len(verdict.findings)
    assert "problem" not in verdict.summary or "No serious problem" in verdict.summary
    assert repr(verdict).startswith(verdict.summary[:40])
    assert "<table>" in verdict._repr_html_()


def test_check_of_wrong_models_names_what_is_wrong_and_what_to_do() -> None:
    data = planted(1, n_clusters=200, within=0.35, slope_sd=0.3)
    fit = laplace_fit(bm.Model(MODEL, data=data, cluster="cluster"), draws=300)
    verdict = fit.check(draws=300, loo=False, priors=False)
    said = [f.message for f in verdict.problems]
    assert any("Level within: the model does not reproduce" in m for m in said)
    assert any("slopes" in m and "y1 ~ x" in m for m in said)
    assert not any("Level between: the model does not" in m for m in said)
    assert (verdict.loo, verdict.prior_sensitivity) == (None, None)
    assert "misses something" in verdict.summary


def test_check_of_few_clusters_says_so_and_warns_no_further() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.SmallSampleWarning)
        model = bm.Model(MODEL, data=planted(2, n_clusters=12), cluster="cluster")
    verdict = laplace_fit(model, draws=200).check(draws=100)
    assert any(f.topic == "data" and "12 clusters" in f.message for f in verdict.findings)


def test_check_with_one_level() -> None:
    frame = planted(1, n_clusters=40)
    fit = laplace_fit(bm.Model("f =~ y1 + y2 + y3 + y4\nf ~ x", data=frame), draws=200)
    verdict = fit.check(draws=100)
    assert verdict.loo.unit == "observation"
    assert "clusters" not in {f.topic for f in verdict.findings}
