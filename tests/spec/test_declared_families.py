"""``ordered=``, ``families=`` and ``exposure=``: names and words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayes_msem.errors import SpecificationError
from bayes_msem.outcomes.families import family
from bayes_msem.spec.declared_families import declared_families, read_exposure, settled_family
from bayes_msem.spec.parser import parse

COLUMNS = ["y1", "y2", "y3", "c", "x", "hours"]
TEXT = "f =~ y1 + y2; y3 + c ~ f + x"


def declared(**given: Any) -> dict[str, str]:
    return {n: f.text for n, f in declared_families(parse(TEXT), COLUMNS, **given).items()}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"ordered": False, "families": {}}, {}),
        ({"ordered": ["y3"]}, {"y3": "ordinal(probit)"}),
        ({"ordered": "y3"}, {"y3": "ordinal(probit)"}),
        ({"ordered": ("y1", "y3")}, {"y1": "ordinal(probit)", "y3": "ordinal(probit)"}),
        ({"ordered": np.array(["y3"])}, {"y3": "ordinal(probit)"}),
        ({"ordered": True}, {"y1": "ordinal(probit)", "y2": "ordinal(probit)"}),
        # what families says of an indicator holds, also beside ordered=True
        (
            {"ordered": True, "families": {"y2": "gaussian", "c": "poisson"}},
            {"y2": "gaussian", "c": "poisson", "y1": "ordinal(probit)"},
        ),
        ({"ordered": ["y1"], "families": {"y1": "ordinal(logit)"}}, {"y1": "ordinal(logit)"}),
        ({"families": {"y3": family("negbinomial")}}, {"y3": "negbinomial"}),
    ],
)
def test_declarations(given: dict[str, Any], expected: dict[str, str]) -> None:
    assert declared(**given) == expected


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"ordered": ["y9"]}, "ordered names 'y9', which is no column of the data"),
        ({"ordered": ["f"]}, "'f', which is no column .* Only observed outcomes have a family"),
        ({"ordered": [3]}, "ordered names 3"),
        ({"ordered": 3}, "a list of names, or True for all indicators, got 3"),
        ({"ordered": {"y1": "probit"}}, "a list of names, or True"),
        ({"families": {"Y1": "poisson"}}, "families names 'Y1'.*did you mean 'y1'"),
        ({"families": {"y1": "ordered"}}, r"families\['y1'\]: .*'ordered'.*ordinal.probit."),
        ({"families": {"y1": 1}}, r"families\['y1'\]: "),
        ({"families": ["y1"]}, r"families must be a mapping such as .*got \['y1'\]"),
        (
            {"ordered": ["c"], "families": {"c": "poisson"}},
            "'c' is declared twice: as ordered, and",
        ),
        ({"ordered": ["y1"], "families": {"y1": "gaussian"}}, "'y1' is declared twice"),
    ],
)
def test_contradictions(given: dict[str, Any], part: str) -> None:
    with pytest.raises(SpecificationError, match=part):
        declared(**given)


def test_all_indicators_of_a_model_without_any() -> None:
    with pytest.raises(SpecificationError, match="ordered=True means all observed indicators"):
        declared_families(parse("y1 ~ x"), COLUMNS, ordered=True)


@pytest.mark.parametrize(
    ("given", "count", "settled"),
    [
        ("ordinal(probit)", 2, "binary(probit)"),
        ("ordinal(logit)", 2, "binary(logit)"),
        ("binary(logit)", 2, "binary(logit)"),
        ("ordinal(logit)", 5, "ordinal(logit)"),
    ],
)
def test_two_categories_are_binary(given: str, count: int, settled: str) -> None:
    assert settled_family("y", family(given), tuple(range(count))).text == settled


def test_binary_with_three_categories() -> None:
    with pytest.raises(SpecificationError, match=r"has 3 categories \(1, 2, 3\); declare"):
        settled_family("y", family("binary(logit)"), (1, 2, 3))


FAMILIES = {"c": family("poisson"), "y1": family("ordinal(probit)")}


def test_exposure() -> None:
    assert read_exposure(None, FAMILIES, COLUMNS) == {}
    assert read_exposure({"c": "hours"}, FAMILIES, COLUMNS) == {"c": "hours"}


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("hours", "exposure must be a mapping from counts to columns"),
        ({"c": "hour"}, r"exposure\['c'\] is 'hour', .*; did you mean 'hours'"),
        ({"c": 2.0}, r"exposure\['c'\] is 2.0, which is no column"),
        ({"y1": "hours"}, "'y1' is not declared as a count.* Declared counts: c"),
        ({"y2": "hours"}, "'y2' is not declared as a count"),
    ],
)
def test_exposures_that_cannot_be(given: Any, part: str) -> None:
    with pytest.raises(SpecificationError, match=part):
        read_exposure(given, FAMILIES, COLUMNS)
