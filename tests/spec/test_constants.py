"""Constants and starting values that no model can have, or that are probably not meant."""

from __future__ import annotations

import pytest

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.constants import check_constants, doubtful_constants
from tests.spec.test_identification import table_of, two_level

UNIT = "y1 ~~ 1*y1\ny2 ~~ 1*y2\n"

IMPOSSIBLE = {
    "start_below_zero": ("y1 ~ x1\ny1 ~~ start(-1)*y1", ["y1 ~~ y1", "-1", "start(1)*y1"]),
    "start_at_zero": ("y1 ~ x1\ny1 ~~ start(0)*y1", ["positive"]),
    "start_between": (
        two_level("y1 ~ x1", "y1 ~~ start(-0.5)*y1"),
        ["between: y1 ~~ y1", "-0.5"],
    ),
    "covariance_of_5": (f"{UNIT}y1 ~~ 5*y2", ["y1 ~~ y2 = 5", "y1 ~~ y1 = 1", "within"]),
    "zero_variance": ("y1 ~~ 0*y1\ny2 ~~ 1*y2\ny1 ~~ 0.1*y2\ny1 ~ x1", ["y1 ~~ y2 = 0.1"]),
    "starts": ("y1 ~~ start(1)*y1\ny2 ~~ 1*y2\ny1 ~~ start(2)*y2", ["y1 ~~ y2 = 2"]),
    "three_at_once": (
        f"{UNIT}y3 ~~ 1*y3\ny1 ~~ 0.9*y2\ny2 ~~ 0.9*y3\ny1 ~~ -0.9*y3",
        ["y1 ~~ y3 = -0.9", "positive definite"],
    ),
    "chain_with_zero": (
        f"{UNIT}y3 ~~ 1*y3\ny1 ~~ 0.9*y2\ny2 ~~ 0.9*y3\ny1 ~~ 0*y3",
        ["y2 ~~ y3 = 0.9"],
    ),
    "between": (two_level("y1 ~~ y2", f"{UNIT}y1 ~~ 1.5*y2"), ["level between", "1.5"]),
    "feedback_of_1": ("y1 ~ 1*y2\ny2 ~ 1*y1", ["y1, y2", "spectral radius is 1"]),
    "feedback_of_three": ("y1 ~ 2*y2\ny2 ~ 0.5*y3\ny3 ~ 1*y1", ["y1, y2, y3", "equilibrium"]),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible(name: str) -> None:
    text, words = IMPOSSIBLE[name]
    with pytest.raises(SpecificationError) as caught:
        check_constants(table_of(text))
    for word in words:
        assert word in str(caught.value)


POSSIBLE = {
    "covariance": f"{UNIT}y1 ~~ 0.5*y2",
    "perfect_correlation": f"{UNIT}y1 ~~ 1*y2",  # singular, but a distribution
    "free_variance": "y1 ~~ 1*y1\ny1 ~~ 5*y2",
    "free_covariance_helps": f"{UNIT}y3 ~~ 1*y3\ny1 ~~ 0.9*y2\ny2 ~~ 0.9*y3\ny1 ~~ y3",
    "start": "y1 ~~ start(2)*y1",
    "small_feedback": "y1 ~ 0.5*y2\ny2 ~ 0.5*y1",
    "open_feedback": "y1 ~ 1*y2 + x1\ny2 ~ y1 + x2",
    "no_loop": "y1 ~ 1*y2\ny2 ~ 1*y3",
    "zero_residual_with_factor": "f =~ y1 + y2 + y3\ny1 ~~ 0*y1",
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_possible(name: str) -> None:
    table = table_of(POSSIBLE[name])
    check_constants(table)
    assert doubtful_constants(table) == []


DOUBTFUL = {
    "oscillating": ("y1 ~ -1*y2\ny2 ~ 1*y1", ["y1, y2", "spectral radius of 1;"]),
    "growing": ("y1 ~ 2*y2\ny2 ~ 2*y1", ["spectral radius of 2", "never reached"]),
    "variance_and_marker": ("f =~ y1 + y2 + y3\nf ~~ 1*f", ["'f'", "f ~~ 1*f", "NA*y1"]),
    "other_marker": ("f =~ NA*y1 + 0.8*y2 + y3\nf ~~ 2*f", ["f ~~ 2*f", "0.8*y2", "NA*y2"]),
    "between": (
        two_level("y1 ~~ y2\ny1 ~~ y3", "fb =~ y1 + y2 + y3\nfb ~~ 1*fb"),
        ["level between", "fb ~~ 1*fb"],
    ),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_doubtful(name: str) -> None:
    text, words = DOUBTFUL[name]
    table = table_of(text)
    check_constants(table)
    (warning,) = doubtful_constants(table)
    for word in words:
        assert word in warning


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("f =~ NA*y1 + y2 + y3\nf ~~ 1*f", {}),
        ("f =~ y1 + y2 + y3", {"std_lv": True}),
        ("f =~ y1 + y2 + y3\nf ~~ 0*f\nf ~ x1", {}),  # no residual: f is a sum of covariates
        ("f =~ y1\nf ~~ 1*f\ny1 ~~ 0.2*y1", {}),
        ("f =~ NA*y1 + 0*y2 + y3\nf ~~ 1*f", {}),
    ],
)
def test_scaled_once(text: str, options: dict[str, bool]) -> None:
    assert doubtful_constants(table_of(text, **options)) == []
