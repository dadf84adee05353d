"""Factors without scale or with one indicator; the counting rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.identification import check_identification, counting_rule
from bayes_msem.spec.parser import parse
from bayes_msem.spec.table import ParameterTable

COLUMNS = [f"{v}{i}" for v in "yxwz" for i in range(1, 10)] + ["school"]
FREE_F = "f =~ NA*y1 + y2 + y3\n"


def table_of(text: str, **options: bool) -> ParameterTable:
    cluster = "school" if "level:" in text else None
    return build_table(parse(text), COLUMNS, cluster=cluster, **options)


def two_level(within: str, between: str) -> str:
    return f"level: within\n{within}\nlevel: between\n{between}"


SCALED = {
    "marker": "f =~ y1 + y2 + y3",
    "second_marker": "f =~ NA*y1 + 1*y2 + y3",
    "variance": FREE_F + "f ~~ 1*f",
    "fixed_slope": FREE_F + "y4 ~ 1*f",
    "fixed_slope_on_x": FREE_F + "f ~ 1*x1",
    "fixed_covariance": FREE_F + "f ~~ 0.3*y5",
    "fixed_mean": FREE_F + "f ~ 1*1\ny1 ~ 0*1",
    "effects_coding": "f =~ NA*a*y1 + b*y2 + c*y3\na == 3 - b - c",
    "equal_to_scaled_loading": "f =~ NA*y1 + a*y2\ng =~ y3 + a*y4",
    "equal_to_slope_of_observed": "f =~ NA*y1 + y2\nf ~ a*x1\ny3 ~ a*x1",
    "second_order": "h =~ NA*f + g\nh ~~ 1*h\nf =~ y1 + y2\ng =~ y3 + y4",
    "through_second_order": "h =~ 1*f + g\nh ~~ 1*h\nf =~ NA*y1 + y2\ng =~ y3 + y4",
    "across_levels": two_level(
        "fw =~ NA*a*y1 + b*y2 + c*y3\nfw ~~ 1*fw", "fb =~ NA*a*y1 + b*y2 + c*y3"
    ),
    "random_variance": two_level('f =~ NA*y1 + y2 + y3\nf ~~ rv("v")*f', "y1 ~~ y1\nv ~ 0*1"),
    "random_loading": two_level('f =~ rv("l")*y1 + y2 + y3\nf ~~ rv("v")*f', "y1 ~~ y1\nl ~ 1*1"),
    "none": "y1 ~ x1",
}


@pytest.mark.parametrize("name", SCALED)
def test_factors_with_a_scale_pass(name: str) -> None:
    check_identification(table_of(SCALED[name]))


def test_random_factor_variance_passes_under_std_lv() -> None:
    text = two_level('f =~ y1 + y2 + y3\nf ~~ rv("v")*f', "y1 ~~ y1")
    check_identification(table_of(text, std_lv=True))


UNSCALED = {
    "free": (FREE_F, "f"),
    "zero_loading": ("f =~ NA*y1 + 0*y2 + y3", "f"),
    "all_equal": ("f =~ NA*a*y1 + a*y2 + a*y3", "f"),
    "ratio_only": ("f =~ NA*a*y1 + y2\ng =~ NA*a*y3 + y4", "f"),
    "second_order_only_relative": ("h =~ 1*f + g\nf =~ NA*y1 + y2\ng =~ y3 + y4", "h"),
    "fixed_slope_between_free": (FREE_F + "g =~ NA*y4 + y5\ng ~ 1*f", "f"),
    "random_loading": (
        two_level('f =~ NA*y1 + rv("l")*y2 + y3', "y1 ~~ y1\nl ~ 0*1"),
        "f",
    ),
}


@pytest.mark.parametrize("name", UNSCALED)
def test_factor_without_scale(name: str) -> None:
    text, factor = UNSCALED[name]
    with pytest.raises(SpecificationError) as caught:
        check_identification(table_of(text))
    assert f"factor '{factor}' at level within has no scale" in str(caught.value)
    assert f"'{factor} ~~ 1*{factor}'" in str(caught.value)


def test_between_factor_without_scale_names_its_level() -> None:
    text = two_level("fw =~ y1 + y2 + y3", "fb =~ NA*y1 + y2 + y3")
    with pytest.raises(SpecificationError, match=r"'fb' at level between has no scale.*1\*y1"):
        check_identification(table_of(text))


def test_random_variance_without_scale_names_the_mean_log_sd() -> None:
    text = two_level('f =~ NA*y1 + y2 + y3\nf ~~ rv("v")*f', "y1 ~~ y1")
    with pytest.raises(SpecificationError, match=r"varies as 'v'.*'v ~ 0\*1'"):
        check_identification(table_of(text))


def test_factor_without_indicators() -> None:
    table = table_of("f =~ y1 + y2 + y3")
    rows = tuple(r for r in table.rows if r.op != "=~")
    with pytest.raises(SpecificationError, match=r"'f' at level within has no indicators.*'f =~ "):
        check_identification(replace(table, rows=rows))


CONFOUNDED = {
    "alone": "f =~ y1\ny1 ~~ y1",
    "outcome_of_x": "f =~ y1\ny1 ~~ y1\nf ~ x1",
    "with_factor": "f =~ y1\ny1 ~~ y1\ng =~ y2 + y3 + y4",
    "predictor": "f =~ y1\ny1 ~~ NA*y1\ny2 ~ f",
    "standardised": "f =~ NA*y1\nf ~~ 1*f\ny1 ~~ NA*y1",
}


@pytest.mark.parametrize("name", CONFOUNDED)
def test_single_indicator_with_free_residual(name: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        check_identification(table_of(CONFOUNDED[name]))
    assert "'f' at level within has the single indicator 'y1'" in str(caught.value)
    assert "'y1 ~~ 0*y1'" in str(caught.value)


def test_single_indicator_is_judged_at_its_own_level() -> None:
    text = two_level("f =~ y1\ny2 ~~ y2", "f =~ y1 + y2 + y3")
    check_identification(table_of(text))
    with pytest.raises(SpecificationError, match="at level between has the single indicator 'z1'"):
        check_identification(table_of(two_level("y1 ~ x1", "f =~ z1\nz1 ~~ z1\ny1 ~ w1")))


@pytest.mark.parametrize(
    "text",
    [
        "f =~ y1",  # residual variance 0 by default
        "f =~ y1\ny1 ~~ 0.2*y1",
        "f =~ y1\ny1 ~~ prior('halfnormal(0.1)')*y1",
        "f =~ y1\ny1 ~~ v*y1\nx1 ~~ v*x1",
        "f =~ y1\ny1 ~~ y1\ny2 ~ f\ny3 ~ f\ny2 ~~ 0*y3",  # three measures in disguise
        "f =~ y1\ny1 ~~ y1\ny2 ~ f\nf ~ x1",  # x1 is an instrument
        "f =~ y1\ny1 ~~ y1\nf ~~ 0*f",
        "f =~ y1\ng =~ y1 + y2 + y3\ny1 ~~ y1",
    ],
)
def test_single_indicator_that_may_be_identified(text: str) -> None:
    check_identification(table_of(text))


# Counting rule ------------------------------------------------------------------------------


def counts(text: str, **options: bool) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (c.level, c.part): (c.n_parameters, c.n_moments)
        for c in counting_rule(table_of(text, **options))
    }


@pytest.mark.parametrize(
    ("text", "means", "covariances"),
    [
        ("y1 ~ x1 + x2", (1, 1), (3, 3)),  # saturated given x
        ("f =~ y1 + y2 + y3", (3, 3), (6, 6)),
        ("f =~ y1 + y2", (2, 2), (4, 3)),
        ("f =~ y1 + y2 + y3\nf ~ 1", (4, 3), (6, 6)),
        ("f =~ y1 + y2 + y3\nf ~ x1", (3, 3), (7, 9)),
        ("f =~ y1 + a*y2 + a*y3", (3, 3), (5, 6)),
    ],
)
def test_counts_of_a_single_level(
    text: str, means: tuple[int, int], covariances: tuple[int, int]
) -> None:
    assert counts(text) == {("within", "means"): means, ("within", "covariances"): covariances}


def test_counts_per_level() -> None:
    text = two_level(
        "f =~ y1 + y2 + y3\nf ~ x1\ny4 ~ x1", "f =~ y1 + y2 + z1\nf ~ w1 + w2\ny3 ~~ y3"
    )
    assert counts(text) == {
        ("within", "means"): (1, 1),  # y4
        ("within", "covariances"): (2 + 2 + 5 + 1, 10 + 4),
        ("between", "means"): (4, 4),
        ("between", "covariances"): (2 + 2 + 5, 10 + 8),
    }


def test_parameters_of_both_levels_count_for_neither() -> None:
    text = two_level("fw =~ y1 + a*y2", "fb =~ y1 + a*y2")
    assert counts(text)["within", "covariances"] == (3, 3)


def test_rows_of_random_effects_are_left_out() -> None:
    text = two_level('y1 ~ rv("s")*x1', "y1 ~ w1\ns ~ w1")
    assert counts(text)["between", "covariances"] == (2, 2)
    assert counts(text)["between", "means"] == (1, 1)


def test_message_names_level_and_remedy() -> None:
    means, covariances = counting_rule(table_of("f =~ y1 + y2"))
    assert means.is_identifiable
    assert str(means) == "level within: 2 free parameters for 2 observed means"
    assert not covariances.is_identifiable
    assert str(covariances).startswith(
        "level within: 4 free parameters for 3 observed variances, covariances and slopes: "
    )
    assert "informative priors" in str(covariances)
