"""A loading and a regression of the same variables: what the data can tell apart."""

from __future__ import annotations

import warnings

import pytest

import bayes_msem as bm
from bayes_msem.spec.pairs import confounded_pairs
from tests.likelihood.cases import make_frame

DATA = make_frame()


def build(text: str) -> bm.Model:
    cluster = "group" if "level:" in text else None
    return bm.Model(text, data=DATA, cluster=cluster)


ONE_FREE = (
    "f =~ y1 + 0.5*y2 + y3; y2 ~ f",
    "f =~ y1 + y2 + y3; y2 ~ 0.2*f",
    "f =~ y1 + a*y2 + y3; y2 ~ b*f; b == 0.5*a",
    "f =~ y1 + a*y2 + a*y3; y2 ~ f",  # y3 says what a is
    'f =~ y1 + y2 + y3; y2 ~ prior("normal(0, 0.1)")*f',
)
TWO_FREE = (
    ("f =~ y1 + y2 + y3; y2 ~ f", "'within: f =~ y2' and 'within: y2 ~ f'"),
    ("f =~ y1 + y2; g =~ y3 + y4; h =~ f + g + y5; g ~ h", "'within: h =~ g' and 'within: g ~ h'"),
)


@pytest.mark.parametrize("text", ONE_FREE)
def test_one_free_coefficient_is_identified(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", bm.IdentificationWarning)
        warnings.filterwarnings("ignore", "level within", bm.IdentificationWarning)
        assert confounded_pairs(build(text).table) == []


@pytest.mark.parametrize(("text", "names"), TWO_FREE)
def test_two_free_ones_are_warned_of(text: str, names: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build(text)
    messages = [str(w.message) for w in caught if w.category is bm.IdentificationWarning]
    assert any(names in m and "their sum alone" in m for m in messages), messages


def test_random_ones_are_told_by_their_means() -> None:
    text = (
        'level: within; f =~ y1 + rv("l")*y2 + y3; y2 ~ {slope}*f; level: between; y1 ~~ y2; {more}'
    )
    for slope, more, n in (
        ('rv("s")', "y1 ~~ y1", 1),
        ('rv("s")', "s ~ 0*1", 0),
        ("0.3", "y1 ~~ y1", 0),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            build(text.format(slope=slope, more=more))
        found = [w for w in caught if "their sum alone" in str(w.message)]
        assert len(found) == n, (slope, more)


@pytest.mark.parametrize(
    "text",
    [
        "f =~ 1*y1 + y2 + y3; y1 ~ f",  # the marker's loading is 1 + b
        "f =~ y1 + y2 + 0.5*y3; y1 ~ f; y3 ~ f",
    ],
)
def test_a_marker_that_a_slope_makes_up_for_sets_no_scale(text: str) -> None:
    with pytest.raises(bm.SpecificationError, match="factor 'f' at level within has no scale"):
        build(text)


def test_a_slope_of_the_indicator_is_no_other_relation() -> None:
    """A factor with one indicator: y1 ~ f only adds to its loading."""
    with pytest.raises(bm.SpecificationError, match="single indicator 'y1'"):
        build("f =~ y1; y1 ~ 0.5*f; f ~ x1; y1 ~~ NA*y1")
