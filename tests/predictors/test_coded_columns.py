"""Columns of dummies and products, beside formulaic's own matrices and hand-made columns."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix

from bayes_msem.data.coded_columns import CodedColumns, code_predictors, with_coded
from bayes_msem.data.predictor_categories import category_codes, label_text, read_categories
from bayes_msem.errors import DataError, MsemError
from bayes_msem.spec.parser import parse
from bayes_msem.spec.statements import Part


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(20)
    n = 60
    data = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "y": rng.normal(size=n)})
    data["g"] = rng.choice(["low", "mid", "top"], size=n)
    data["h"] = pd.Categorical(rng.choice(["u", "v"], size=n), categories=["v", "u"])
    data["t"] = rng.choice(["p", "q", "r", "s"], size=n)
    data["k"] = rng.choice([1, 2, 3], size=n)
    data["b"] = rng.random(n) > 0.5
    data.index = pd.Index(rng.permutation(n) + 100)
    return data


def coded(frame: pd.DataFrame, text: str) -> tuple[pd.DataFrame, CodedColumns]:
    found = code_predictors(frame, parse(text), None, [])
    return found.frame, found.coded


@pytest.mark.parametrize(
    "terms",
    [
        "x + z + x:z",
        "g",
        "h + g",
        "x + g + x:g",
        "x + h + h:x",
        "g + h + g:h",
        "h + g + h:g",
        "g + t + g:t",
        "g + t + x + t:g + x:t + x:g + x:t:g",
        "x + z + g + x:z + x:g + z:g + x:z:g",
        "x + g + h + x:g + x:h + g:h + x:g:h",
        "b + x + b:x",
    ],
)
def test_columns_are_those_of_formulaic(frame: pd.DataFrame, terms: str) -> None:
    """Names, order within a term and values, though formulaic sees the whole formula there."""
    found, record = coded(frame, f"y ~ {terms}")
    theirs = model_matrix(terms, frame).drop(columns="Intercept")
    names = [*dict.fromkeys([*frame.columns.intersection(theirs.columns), *record.columns])]
    assert set(names) == set(theirs.columns)
    assert [n for n in theirs.columns if n in record.columns] == list(record.columns)
    for name in names:
        np.testing.assert_array_equal(found[name].astype(float), theirs[name].astype(float))


def test_another_reference(frame: pd.DataFrame) -> None:
    found, _ = coded(frame, 'y ~ C(g, Treatment("mid")) + C(k)')
    theirs = model_matrix("C(g, contr.treatment('mid')) + C(k)", frame)
    for ours, name in {
        "g[T.low]": "C(g, contr.treatment('mid'))[T.low]",
        "g[T.top]": "C(g, contr.treatment('mid'))[T.top]",
        "k[T.2]": "C(k)[T.2]",
        "k[T.3]": "C(k)[T.3]",
    }.items():
        np.testing.assert_array_equal(found[ours], theirs[name].astype(float))
    assert "g[T.mid]" not in found
    assert "k[T.1]" not in found


def test_by_hand(frame: pd.DataFrame) -> None:
    found, _ = coded(frame, "y ~ x + g + h + x:g[T.top] + g[T.mid]:h[T.u] + x:h")
    np.testing.assert_array_equal(found["x:g[T.top]"], frame.x * (frame.g == "top"))
    both = (frame.g == "mid") & (frame.h == "u")
    np.testing.assert_array_equal(found["g[T.mid]:h[T.u]"], both.astype(float))
    np.testing.assert_array_equal(found["x:h[T.u]"], frame.x * (frame.h == "u"))
    assert found.index.equals(frame.index)


def test_nothing_given_is_changed(frame: pd.DataFrame) -> None:
    before = frame.copy()
    found, _ = coded(frame, "y ~ x + g + x:g")
    pd.testing.assert_frame_equal(frame, before)
    assert found is not frame
    plain, record = coded(frame, "y ~ x + z")
    assert plain is frame
    assert not record.columns


def test_missing_sources_leave_no_value(frame: pd.DataFrame) -> None:
    """formulaic would take a missing category for the reference."""
    given = frame.copy()
    given.iloc[0, given.columns.get_loc("g")] = None
    given.iloc[1, given.columns.get_loc("x")] = np.nan
    given["h"] = given["h"].where(np.arange(len(given)) != 2)
    found, _ = coded(given, "y ~ x + g + h + x:g + x:h + g:h")
    gone = {name: np.flatnonzero(found[name].isna()).tolist() for name in found}
    assert gone["g[T.mid]"] == gone["g[T.top]"] == [0]
    assert gone["h[T.u]"] == [2]
    assert gone["x:g[T.mid]"] == [0, 1]
    assert gone["x:h[T.u]"] == [1, 2]
    assert gone["g[T.top]:h[T.u]"] == [0, 2]


# Categories ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("series", "labels"),
    [
        (pd.Series(["b", "a", None, "b"]), ("a", "b")),
        (pd.Series(["b", "a"], dtype="string"), ("a", "b")),
        (pd.Series(["b", "a"], dtype=object), ("a", "b")),
        (pd.Categorical(["b", "a"], categories=["b", "a"]), ("b", "a")),
        (pd.Categorical([10, 9]), (9, 10)),
        (pd.Series([3, 1, 2]), (1, 2, 3)),
        (pd.Series([2.0, np.nan, 1.0]), (1.0, 2.0)),
        (pd.Series([True, False]), (False, True)),
        (pd.Series(["a", "10", "b"]), ("10", "a", "b")),
    ],
)
def test_categories_in_order(series: pd.Series, labels: tuple) -> None:
    found = read_categories(pd.Series(series), "g", stated=True)
    assert found == labels
    assert not any(isinstance(label, np.generic) for label in found)


def test_labels_as_text() -> None:
    day = datetime.date(2026, 1, 2)
    assert [label_text(v) for v in (1, 1.0, 1.5, True, "a b", day)] == [
        "1",
        "1",
        "1.5",
        "True",
        "a b",
        "2026-01-02",
    ]


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([None, None], ["missing in all rows"]),
        (["a", "a"], ["single category", "'a'"]),
        (["1", "2", "3"], ["all its values read as numbers", "to_numeric", "C(g)"]),
        (["1", "2", "n/a"], ["'n/a' in row 2", "to_numeric", "C(g)"]),
        ([1.5, 2, "low", 3], ["'low' in row 2"]),
        ([f"s{i}" for i in range(51)], ["51 categories", "cluster='g'", "C(g)"]),
        (["a]", "b"], ["'a]'", "rename it"]),
        (["", "b"], ["''", "rename it"]),
        (pd.Categorical(["a", "b"], categories=["a", "b", "c"]), ["'c'", "remove_unused"]),
        (["a", 1, "b", (1, 2)], ["types int and str and tuple", "state the categories"]),
        (pd.Categorical(["1", 1]), ["written alike"]),
        (["a", "b", " a"], ["differ only in spaces", "' a'", "make them one"]),
        (pd.Categorical(["a", "b  c", "b c "]), ["differ only in spaces", "'b  c', 'b c '"]),
        (pd.Categorical(["", "b"]), ["''", "cat.rename_categories"]),
        ([(1, 2), (3, 4)], ["tuples as categories", "(1, 2)", "make them text"]),
        (pd.cut([1.0, 2.0, 3.0], 2), ["cut(..., labels=[...])"]),
    ],
)
def test_columns_that_hold_no_categories(values: list, parts: list[str]) -> None:
    series = pd.Series(values, dtype=None if isinstance(values, pd.Categorical) else object)
    with pytest.raises(DataError) as caught:
        read_categories(series, "g", stated=False)
    for part in parts:
        assert part in str(caught.value)


def test_who_states_categories_may_have_numbers_and_many() -> None:
    assert len(read_categories(pd.Series([f"s{i}" for i in range(60)]), "g", stated=True)) == 60
    assert read_categories(pd.Series(["1", "2"]), "g", stated=True) == ("1", "2")


def test_numbers_are_categories_only_where_the_text_says_so(frame: pd.DataFrame) -> None:
    assert not coded(frame, "y ~ k + b")[1].columns
    assert list(coded(frame, "y ~ C(k) + C(b)")[1].columns) == ["k[T.2]", "k[T.3]", "b[T.True]"]
    assert list(coded(frame, "y ~ k[T.3]")[1].columns) == ["k[T.3]"]


def test_declared_outcomes_are_left_alone(frame: pd.DataFrame) -> None:
    found = code_predictors(frame, parse("y ~ h"), None, ["h"])
    assert not found.coded.columns
    assert found.frame is frame


# New data --------------------------------------------------------------------------------------


def test_new_data_use_the_categories_of_the_model(frame: pd.DataFrame) -> None:
    _, record = coded(frame, "y ~ x + g + x:g + C(k)")
    new = frame[frame.g == "mid"].head(3).assign(k=[3.0, 2.0, 3.0])
    found = with_coded(new, record, record.columns)
    assert (found["g[T.mid]"] == 1).all()
    assert (found["g[T.top]"] == 0).all()
    np.testing.assert_array_equal(found["x:g[T.mid]"], new.x)
    assert found["k[T.3]"].tolist() == [1, 0, 1]
    assert with_coded(new.drop(columns="g"), record, ["k[T.2]", "y"])["k[T.2]"].sum() == 1


def test_unknown_categories_and_missing_columns(frame: pd.DataFrame) -> None:
    _, record = coded(frame, "y ~ x + g + x:g")
    with pytest.raises(DataError) as caught:
        with_coded(frame.assign(g=["paris", *frame.g[1:]]), record, record.columns, what="newdata")
    for part in ("newdata has categories of 'g'", "'paris' in 1 row (0", "'low', 'mid', 'top'"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match=r"lacks 'g', of which the model makes 'g\[T.mid\]'"):
        with_coded(frame.drop(columns="g"), record, record.columns)
    with pytest.raises(DataError, match="'x' is not numeric"):
        with_coded(frame.assign(x="a"), record, record.columns)


def test_codes() -> None:
    codes = category_codes(pd.Series(["b", None, "a"]), "g", ("a", "b"))
    np.testing.assert_array_equal(codes, [1, np.nan, 0])
    as_numbers = category_codes(pd.Series([2.0, 1.0]), "g", (1, 2))
    np.testing.assert_array_equal(as_numbers, [1, 0])


def test_what_a_variable_is_made_of() -> None:
    record = CodedColumns({"x:g[T.1]": (Part("x"), Part("g", "dummy", "1"))}, {"g": (0, 1)})
    assert record.sources() == ("x", "g")
    assert record.given(["y", "x:g[T.1]", "x"]) == ("y", "x", "g")
    assert record.origin("y") == "'y'"
    assert record.origin("x:g[T.1]") == "'x:g[T.1]' (made of 'x', 'g')"
    assert record.category(Part("g", "dummy", "1")) == 1
    assert record.is_bound("x")
    assert not record.is_bound("y")


def test_duplicate_columns(frame: pd.DataFrame) -> None:
    twice = pd.concat([frame, frame[["g"]]], axis=1)
    with pytest.raises(MsemError, match="more than one column named 'g'"):
        coded(twice, "y ~ g")
