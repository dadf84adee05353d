"""Outcomes without variance are refused when the model is declared."""

from __future__ import annotations

import pytest

import bayes_msem as bm
from bayes_msem.errors import IdentificationWarning, SpecificationError
from bayes_msem.inference.singular import check_singular
from tests.inference.models import quiet_model
from tests.likelihood.cases import CASES, Case, make_frame
from tests.spec.test_identification import table_of, two_level

SINGULAR = {
    "alone": ("y1 ~~ 0*y1", ["within", "y1 ", "no variance", "y1 ~~ 0*y1"]),
    "with_covariate": ("y1 ~ x1\ny1 ~~ 0*y1", ["no variance"]),
    "with_covariance": ("y1 ~~ y2\ny1 ~~ 0*y1", ["y1 ~~ 0*y1"]),
    "two_of_one_factor": ("f =~ y1 + y2 + y3\ny1 ~~ 0*y1\ny2 ~~ 0*y2", ["y1, y2", "singular"]),
    "sum": ("y3 ~ y1 + y2\ny1 ~~ y2\ny3 ~~ 0*y3", ["y3, y1, y2"]),
    "perfect_correlation": ("y1 ~~ 1*y1\ny2 ~~ 4*y2\ny1 ~~ 2*y2", ["y1, y2"]),
    "within": (two_level("y1 ~ x1\ny1 ~~ 0*y1", "y1 ~ w1"), ["level within", "y1 ~~ 0*y1"]),
    "cluster_level": (
        two_level("y1 ~ x1", "z1 ~ w1\nz1 ~~ 0*z1\ny1 ~ z1"),
        ["level between", "z1"],
    ),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_singular(name: str) -> None:
    text, words = SINGULAR[name]
    with pytest.raises(SpecificationError) as caught:
        check_singular(table_of(text))
    for word in words:
        assert word in str(caught.value)


REGULAR = {
    "single_indicator": "f =~ y1\ny2 ~ f",
    "residual_zero_of_one": "f =~ y1 + y2 + y3\ny1 ~~ 0*y1",
    "no_between_variance": two_level("y1 ~ x1", "y1 ~~ 0*y1"),
    "random_slope_only": two_level('y1 ~ rv("s")*x1', "y1 ~~ 0*y1"),
    "cluster_level_follows_means": two_level("y1 ~ x1", "z1 ~ y1\nz1 ~~ 0*z1"),
}


@pytest.mark.parametrize("name", REGULAR)
def test_regular(name: str) -> None:
    check_singular(table_of(REGULAR[name]))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_models_with_a_likelihood_pass(case: Case) -> None:
    check_singular(quiet_model(case.text, make_frame(), cluster=case.cluster).table)


def test_a_model_says_so_when_it_is_declared() -> None:
    frame = make_frame()
    with pytest.raises(SpecificationError, match="y1 would have no variance"):
        bm.Model("y1 ~~ 0*y1", frame)
    with pytest.raises(SpecificationError, match="starting value -1"):
        bm.Model("y1 ~ x1\ny1 ~~ start(-1)*y1", frame)
    with pytest.warns(IdentificationWarning, match="both its variance fixed"):
        bm.Model("f =~ y1 + y2 + y3\nf ~~ 1*f", frame)
