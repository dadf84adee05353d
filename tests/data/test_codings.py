"""Columns of ordered outcomes, counts and exposures."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_msem.data.codings import read_codings
from bayes_msem.data.doubtful_data import codes_for_missing, like_categories
from bayes_msem.data.new_designs import design_from_frame, new_sample, resampled_design
from bayes_msem.data.observe import observe
from bayes_msem.data.observed_data import ObservedData, columns_of, frame_of
from bayes_msem.data.scales import scales
from bayes_msem.data.subsets import only_cluster
from bayes_msem.errors import DataError
from bayes_msem.outcomes.families import family
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse

TEXT = """
level: within
    f =~ a + b + v
    c ~ x
level: between
    a ~~ a
    b ~~ b
    v ~~ v
    c ~ w
    z ~ w
    k ~ w
"""
FAMILIES = {"a": "ordinal(probit)", "b": "ordinal(logit)", "z": "binary(probit)"}
COUNTS = {"c": "poisson", "k": "negbinomial"}
SCALE = ["never", "often", "always"]


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(12), 5)
    n = len(g)
    of_cluster = pd.DataFrame(
        {"w": rng.normal(size=12), "z": np.arange(12) % 2 == 0, "k": rng.poisson(4, size=12)}
    )
    return pd.DataFrame(
        {
            "g": g,
            "a": pd.Categorical.from_codes(rng.integers(0, 3, n), SCALE, ordered=True),
            "b": rng.integers(1, 6, n),
            "v": rng.normal(size=n),
            "c": rng.poisson(2, n),
            "x": rng.normal(size=n),
            "hours": rng.uniform(1, 3, n),
            "size": np.repeat(rng.permutation(12) + 10, 5),
            **{name: of_cluster[name].to_numpy()[g] for name in of_cluster},
        }
    )


def observed_of(
    frame: pd.DataFrame, exposure: dict[str, str] | None = None, **options: Any
) -> ObservedData:
    families = {name: family(text) for name, text in (FAMILIES | COUNTS).items()}
    codings = read_codings(frame, families)
    table = build_table(
        parse(TEXT),
        list(frame.columns),
        cluster="g",
        families=families,
        categories={name: len(coding.labels) for name, coding in codings.items()},
    )
    return observe(frame, table, "g", codings=codings, exposure=exposure, **options)


def coded(values: Any) -> tuple[tuple[Any, ...], list[float]]:
    frame = pd.DataFrame({"y": values})
    coding = read_codings(frame, {"y": family("ordinal(probit)")})["y"]
    return coding.labels, coding.codes.tolist()


def same(values: list[float], expected: list[float]) -> bool:
    return np.array_equal(values, expected, equal_nan=True)


# Reading ----------------------------------------------------------------------------------------

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "labels", "codes"),
    [
        ([3, 1, 5, 1], (1, 3, 5), [1, 0, 2, 0]),
        ([1.0, NAN, 2.0], (1, 2), [0, NAN, 1]),
        (pd.array([4, None, 0], dtype="Int8"), (0, 4), [1, NAN, 0]),
        ([True, False, True], (False, True), [1, 0, 1]),
        (pd.array([True, None, False], dtype="boolean"), (False, True), [1, NAN, 0]),
        (pd.Series([True, None, False], dtype=object), (False, True), [1, NAN, 0]),
        (pd.Series([2, None, 1], dtype=object), (1, 2), [1, NAN, 0]),
        (
            pd.Categorical(["b", None, "a", "z"], categories=["z", "a", "b"], ordered=True),
            ("z", "a", "b"),
            [2, NAN, 1, 0],
        ),
        (pd.Categorical([10, 2, 10], categories=[10, 2], ordered=True), (10, 2), [0, 1, 0]),
    ],
)
def test_codes_and_labels(values: Any, labels: tuple[Any, ...], codes: list[float]) -> None:
    found, numbers = coded(values)
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]
    assert same(numbers, codes)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (
            ["low", "high", None],
            ["text ('low', 'high')", "pandas.Categorical(data['y']", "ordered"],
        ),
        ([1, "high"], ["column is text"]),
        (pd.Categorical(["low", "high"]), ["an unordered categorical", "state it from the lowest"]),
        (
            pd.Categorical(["a", "b"], categories=["a", "x", "b"], ordered=True),
            ["no observation in the category 'x'", "remove_unused_categories()", "neighbour"],
        ),
        ([2, 2, None], ["a single category", "all observed values are 2"]),
        (
            pd.Categorical(["a", "a"], categories=["a", "b"], ordered=True),
            ["a single category", "'a'"],
        ),
        ([1.0, 2.5, 3.0], ["no integers in 1 row (1,", "such as 2.5", "pandas.cut(data['y']"]),
        (list(range(51)), ["51 different values, more than 50"]),
        ([None, None], ["'y' is missing in all 2 rows"]),
        ([1 + 1j, 2], ["complex numbers"]),
        ([1.0, np.inf], ["infinite"]),
    ],
)
def test_columns_without_ordered_categories(values: Any, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        coded(values)
    for part in parts:
        assert part in str(caught.value)


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="not columns of data: 'y'"):
        read_codings(pd.DataFrame({"Z": [1, 2]}), {"y": family("binary(logit)")})


# The data object --------------------------------------------------------------------------------


def test_observed_data(frame: pd.DataFrame) -> None:
    frame.loc[3, "a"] = np.nan
    frame.loc[4, "c"] = np.nan
    before = frame.copy()
    observed = observed_of(frame, {"c": "hours", "k": "size"})
    pd.testing.assert_frame_equal(frame, before)
    assert observed.y_names == ("a", "b", "v", "c")
    assert observed.z_names == ("z", "k")
    assert {n: f.text for n, f in observed.families.items()} == FAMILIES | COUNTS
    assert observed.categories == {
        "a": tuple(SCALE),
        "b": (1, 2, 3, 4, 5),
        "z": (False, True),
    }
    codes = frame["a"].cat.codes.to_numpy(float)
    np.testing.assert_array_equal(observed.y[:, 0], np.where(codes < 0, np.nan, codes))
    np.testing.assert_array_equal(observed.y[:, 1], frame["b"] - 1)
    np.testing.assert_array_equal(observed.z[:, 0], frame["z"].to_numpy(float)[::5])
    np.testing.assert_array_equal(observed.y[:, 3], frame["c"])
    assert observed.y_exposure is not None
    assert observed.z_exposure is not None
    np.testing.assert_array_equal(observed.y_exposure[:, :3], 1)
    # also where its count is missing
    np.testing.assert_array_equal(observed.y_exposure[:, 3], frame["hours"])
    np.testing.assert_array_equal(observed.z_exposure[:, 1], frame["size"][::5])
    for array in (observed.y, observed.y_exposure, observed.z_exposure):
        assert not array.flags.writeable
    for again in (copy.deepcopy(observed), pickle.loads(pickle.dumps(observed))):
        assert again.categories == observed.categories
        assert not again.y_exposure.flags.writeable


def test_no_exposure(frame: pd.DataFrame) -> None:
    observed = observed_of(frame)
    assert observed.y_exposure is None
    assert observed.z_exposure is None
    only_k = observed_of(frame, {"k": "size"})
    assert only_k.y_exposure is None
    assert only_k.z_exposure is not None


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"c": 0.5}, "'c' is declared poisson, but has values that are no integers in 1 row .7,"),
        ({"c": -1}, "'c' is declared poisson, but has negative values in 1 row"),
        ({"c": -0.5}, "has negative values and values that are no integers"),
        ({"hours": np.nan}, "exposure 'hours' of 'c' is missing in 1 row .7,"),
        ({"hours": 0.0}, "exposure 'hours' of 'c' must be positive, but is 0 in 1 row .7,"),
        ({"hours": -2.0}, "must be positive, but is -2"),
        ({"size": 11.5}, "'size' is used at the between level only, so it must be constant"),
    ],
)
def test_counts_and_exposures_that_cannot_be(
    frame: pd.DataFrame, change: dict[str, float], part: str
) -> None:
    for name, value in change.items():
        frame[name] = frame[name].astype(float)
        frame.loc[7, name] = value
    with pytest.raises(DataError, match=part):
        observed_of(frame, {"c": "hours", "k": "size"})


def test_exposures_of_clusters(frame: pd.DataFrame) -> None:
    frame["size"] = frame["size"].where(frame["g"] != 2, 0)
    with pytest.raises(DataError, match="'size' of 'k' must be positive, but is 0 in 1 cluster;"):
        observed_of(frame, {"k": "size"})


def test_exposure_may_be_missing_with_its_count(frame: pd.DataFrame) -> None:
    frame.loc[7, ["c", "hours"]] = np.nan
    observed = observed_of(frame, {"c": "hours"})
    assert observed.y_exposure is not None
    assert np.flatnonzero(np.isnan(observed.y_exposure[:, 3])).tolist() == [7]


def test_listwise_deletion_may_empty_a_category(frame: pd.DataFrame) -> None:
    frame.loc[frame["b"] == 5, "v"] = np.nan
    with pytest.raises(DataError, match=r"'b' has no observation in .*missing='fiml'"):
        observed_of(frame, missing="listwise")
    observed_of(frame)


def test_subsets_and_designs_keep_exposures(frame: pd.DataFrame) -> None:
    observed = observed_of(frame, {"c": "hours", "k": "size"})
    one = only_cluster(observed, 3)
    assert one.y_exposure is not None
    assert one.z_exposure is not None
    np.testing.assert_array_equal(one.y_exposure[:, 3], frame["hours"][15:20])
    assert one.z_exposure[0, 1] == frame["size"][15]
    drawn = resampled_design(
        observed, new_sample(observed, 40, None), np.random.default_rng(1), incomplete=True
    )
    assert drawn.y_exposure is not None
    assert drawn.z_exposure is not None
    assert drawn.cluster is not None
    pairs = dict(zip(frame["hours"], frame["x"], strict=True))  # rows stay together
    assert all(pairs[h] == x for h, x in zip(drawn.y_exposure[:, 3], drawn.x[:, 0], strict=True))
    sizes = dict(zip(frame["size"], frame["w"], strict=True))
    assert all(sizes[s] == w for s, w in zip(drawn.z_exposure[:, 1], drawn.w[:, 0], strict=True))


def test_design_from_a_frame(frame: pd.DataFrame) -> None:
    observed = observed_of(frame, {"c": "hours", "k": "size"})
    new = frame.iloc[:20].assign(hours=2.5)
    new.loc[1, "a"] = np.nan
    design = design_from_frame(new, observed, missing=True)
    assert design.y_exposure is not None
    assert (design.y_exposure[:, 3] == 2.5).all()
    assert np.isnan(design.y[1, 0])
    assert np.isnan(design.y).sum() == 1
    with pytest.raises(DataError, match="'hours'"):
        design_from_frame(new.drop(columns="hours"), observed, missing=False)


def test_frames_have_labels_and_exposures(frame: pd.DataFrame) -> None:
    frame.loc[3, ["a", "b"]] = np.nan
    observed = observed_of(frame, {"c": "hours", "k": "size"})
    again = frame_of(observed, observed.y, observed.z)
    assert again["a"].cat.ordered
    assert again["a"].astype(object).equals(frame["a"].astype(object))
    np.testing.assert_array_equal(again["b"], frame["b"])
    assert again["z"].astype(bool).tolist() == frame["z"].tolist()
    for name in ("c", "k", "hours", "size", "w"):
        np.testing.assert_array_equal(again[name], frame[name])
    codes = columns_of(observed, observed.y, observed.z)
    np.testing.assert_array_equal(codes["b"], frame["b"] - 1)
    assert observed_of(again, {"c": "hours", "k": "size"}).categories == observed.categories


# Scales and notes -------------------------------------------------------------------------------


def test_scales_of_counts_are_log_rates(frame: pd.DataFrame) -> None:
    frame.loc[4, "c"] = np.nan
    found = scales(observed_of(frame, {"c": "hours"}))
    seen = frame.drop(index=4)
    assert found.mean["c"] == pytest.approx(np.log(seen["c"].sum() / seen["hours"].sum()))
    assert found.mean["k"] == pytest.approx(np.log(frame["k"][::5].mean()))
    assert set(found.within) == {"v"}
    assert set(found.between) == {"v"}


def test_codes_for_missing_values_are_sought_among_labels(frame: pd.DataFrame) -> None:
    assert codes_for_missing(observed_of(frame)) == []
    frame.loc[[2, 9], "b"] = 99
    (note,) = codes_for_missing(observed_of(frame))
    assert "99 in 'b' (2 rows)" in note


def test_continuous_outcomes_that_look_ordered() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.integers(0, 2, 60), "y": rng.integers(1, 8, 60)})
    frame["u"], frame["v"] = rng.integers(1, 9, 60), frame["y"] + 0.5
    table = build_table(parse("y + u + v ~ x"), list(frame.columns))
    (note,) = like_categories(observe(frame, table, None))
    assert note.startswith("An outcome has at most 7 different values, all integers, and is")
    assert note.endswith("say ordered=['y'].")
    families = {"y": family("ordinal(probit)")}
    codings = read_codings(frame, families)
    declared = build_table(
        parse("y + u + v ~ x"), list(frame.columns), families=families, categories={"y": 7}
    )
    assert like_categories(observe(frame, declared, None, codings=codings)) == []
