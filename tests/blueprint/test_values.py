"""Values that users give: spellings that are understood, and what each error says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.blueprint.values import read_values, theta_from_values
from bayes_msem.errors import SpecificationError
from tests.inference.models import quiet_model
from tests.likelihood.cases import free_values, make_frame, random_values, two_level

Key = tuple[str, str, str, str]

CASE = two_level(
    "",
    "fw =~ y1 + l*y2 + y3\nfw ~ x1\ny1 ~~ y2",
    "fb =~ y1 + l*y2 + k*y3\nfb ~ w1\ny1 ~~ 0*y3",
    "k == 2 * l\nratio := l / k",
    computed={"k": lambda at: 2 * at["l"]},
)


@pytest.fixture(scope="module")
def model() -> bm.Model:
    return quiet_model(CASE.text, data=make_frame(), cluster="group")


@pytest.fixture
def values(model: bm.Model) -> dict[Key, float]:
    return free_values(model, random_values(CASE, model, seed=1))


def test_theta_holds_the_values_and_the_computed_rows(
    model: bm.Model, values: dict[Key, float]
) -> None:
    theta = theta_from_values(model.blueprint, values)
    for key, value in values.items():
        assert model.blueprint.row_value(key, theta) == value
    double = 2 * values["within", "fw", "=~", "y2"]
    assert model.blueprint.row_value(("between", "fb", "=~", "y3"), theta) == double
    assert model.blueprint.row_value(("within", "fw", "=~", "y1"), theta) == 1.0


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ((1, "fw", "=~", "y3"), ("within", "fw", "=~", "y3")),
        (("1", "fw", "=~", "y3"), ("within", "fw", "=~", "y3")),
        ((2, "fb", "~", "w1"), ("between", "fb", "~", "w1")),
        (("between", "y1", "~1", ""), ("between", "y1", "~", "1")),
        ((2, "y1", "~1", ""), ("between", "y1", "~", "1")),
        (("within", "y2", "~~", "y1"), ("within", "y1", "~~", "y2")),
    ],
)
def test_spellings_of_lavaan(model: bm.Model, written: Key, key: Key) -> None:
    assert read_values(model.table, {written: 0.3}) == {key: 0.3}


def test_data_frames_and_mappings_are_the_same(model: bm.Model, values: dict[Key, float]) -> None:
    frame = pd.DataFrame(
        [(*key, value, "more columns are fine") for key, value in values.items()],
        columns=["level", "lhs", "op", "rhs", "value", "note"],
    )
    assert model.log_likelihood(frame) == model.log_likelihood(values)
    lavaan = frame.assign(
        level=frame["level"].map({"within": 1, "between": 2}),
        op=np.where(frame["rhs"] == "1", "~1", frame["op"]),
        rhs=frame["rhs"].replace("1", ""),
    )
    assert model.log_likelihood(lavaan.sample(frac=1, random_state=1)) == model.log_likelihood(
        values
    )


def test_fixed_computed_and_defined_rows_may_be_given(
    model: bm.Model, values: dict[Key, float]
) -> None:
    more = {
        ("within", "fw", "=~", "y1"): 1.0,
        ("between", "y1", "~~", "y3"): 0.0,
        ("", "ratio", ":=", "l / k"): 0.5,
    }
    keys = {row.key for row in model.table.rows}
    given = values | {key: value for key, value in more.items() if key in keys}
    assert len(given) > len(values) + 1
    assert model.log_likelihood(given) == model.log_likelihood(values)


def without(key: Key) -> object:
    return lambda values: {k: v for k, v in values.items() if k != key}


def with_value(key: object, value: float) -> object:
    return lambda values: values | {key: value}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without(("within", "fw", "~", "x1")),
            r"1 free row\(s\): within: fw ~ x1.*model\.mode\(\)",
        ),
        (without(("between", "y1", "~", "1")), r"no value given.*between: y1 ~ 1"),
        (lambda values: {}, r"no value given for 17 free row\(s\)"),
        (
            with_value(("within", "fw", "=~", "y1"), 0.5),
            r"within: fw =~ y1 is fixed at 1 .* 0\.5 was given; leave the row out",
        ),
        (
            with_value(("between", "fb", "=~", "y2"), 9.0),
            r"between: fb =~ y2 shares the label 'l'.*and 9\); give equal values",
        ),
        (
            with_value(("within", "fw", "=~", "y9"), 1.0),
            r"values: no row \('within', 'fw', '=~', 'y9'\); did you mean 'within: fw =~ y",
        ),
        (with_value(("within", "y2", "=~", "fw"), 1.0), r"no row \('within', 'y2', '=~', 'fw'\)"),
        (with_value(("within", "x1", "~", "fw"), 1.0), r"no row \('within', 'x1', '~', 'fw'\)"),
        (
            with_value("fw =~ y9", 1.0),
            r"no row 'fw =~ y9'; did you mean 'fw =~ y.*named by its key",
        ),
        (
            with_value(("fw", "=~"), 1.0),
            r"no row \('fw', '=~'\).*such as \('within', 'fw', '=~', 'y1'\)",
        ),
        (
            with_value("y1 ~~ y1", 1.0),
            r"ambiguous; write 'within: y1 ~~ y1' or 'between: y1 ~~ y1'",
        ),
        (with_value("fw =~ y2", 9.0), r"are one row but have the values"),
        (
            with_value(("within", "fw", "~", "x1"), np.nan),
            r"value of within: fw ~ x1 is nan; give a number",
        ),
        (
            with_value(("within", "y1", "~~", "y1"), np.inf),
            r"value of within: y1 ~~ y1 is inf; give a number",
        ),
        (lambda values: list(values.items()), r"mapping .* or a data frame .* got list"),
        (lambda values: None, r"got NoneType"),
        (
            lambda values: pd.DataFrame({"lhs": ["fw"], "op": ["=~"], "value": [1.0]}),
            r"lacks the column\(s\) level, rhs; it needs level, lhs, op, rhs, value",
        ),
    ],
)
def test_errors_name_culprit_and_fix(
    model: bm.Model, values: Mapping[Key, float], change: object, message: str
) -> None:
    with pytest.raises(SpecificationError, match=message):
        model.log_likelihood(change(dict(values)))  # type: ignore[operator]


def test_values_are_not_changed(model: bm.Model, values: dict[Key, float]) -> None:
    before = dict(values)
    model.log_likelihood(values)
    assert values == before
