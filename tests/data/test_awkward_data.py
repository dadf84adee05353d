"""Models of awkward but sound frames equal those of plain float64 frames.

The tolerance of 1e-12 leaves room for sums in another order, and for nothing else.
"""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from tests.data.values import log_likelihood

# Seven clusters.
pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.SmallSampleWarning")

SPEC = "level: within; y1 + y2 ~ x1; level: between; y1 ~ w1; z1 ~ w1"
VARIABLES = ["y1", "y2", "x1", "z1", "w1"]


def snapshot(frame):
    """Everything about a frame that a model could change."""
    return {
        "frame": frame.copy(deep=True),
        "dtypes": list(frame.dtypes),
        "flags": frame.flags.allows_duplicate_labels,
        "attrs": dict(frame.attrs),
        "cells": [id(cell) for name in frame for cell in frame[name] if frame[name].dtype == object]
        if frame.columns.is_unique
        else [],
    }


def assert_unchanged(frame, before):
    pd.testing.assert_frame_equal(frame, before["frame"], check_exact=True)
    pd.testing.assert_index_equal(frame.index, before["frame"].index, exact=True)
    after = snapshot(frame)
    for name in ("dtypes", "flags", "attrs", "cells"):
        assert after[name] == before[name], name


def model_of(frame, spec=SPEC, cluster="school"):
    """Build the model and check that the frame was left alone."""
    before = snapshot(frame)
    model = bm.Model(spec, data=frame, cluster=cluster)
    assert_unchanged(frame, before)
    return model


def assert_same_model(frame, plain):
    expected = log_likelihood(model_of(plain))
    assert np.isfinite(expected)
    assert log_likelihood(model_of(frame)) == pytest.approx(expected, rel=1e-12)


@pytest.fixture
def plain(frame):
    """Small whole numbers in float64, which every numeric type holds exactly."""
    frame = frame.drop(columns="unused").reset_index(drop=True)
    frame[VARIABLES] = (frame[VARIABLES].astype(float) * 4).round() + 20
    return frame


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(lambda n: np.zeros(n, int), id="one label"),
        pytest.param(lambda n: np.arange(n)[::-1], id="reversed"),
        pytest.param(lambda n: np.arange(n) // 2, id="pairs"),
        pytest.param(lambda n: [f"r{i % 3}" for i in range(n)], id="strings"),
        pytest.param(lambda n: pd.MultiIndex.from_arrays([np.arange(n) % 2] * 2), id="two levels"),
        pytest.param(lambda n: [None, np.nan, *range(n - 2)], id="missing"),
        pytest.param(lambda n: pd.date_range("2024", periods=n), id="dates"),
    ],
)
def test_any_row_index(plain, index):
    assert_same_model(plain.set_index(pd.Index(index(len(plain)))), plain)


@pytest.mark.parametrize("sort", [False, True], ids=["interleaved", "sorted"])
def test_order_of_rows_and_columns(plain, sort):
    mixed = plain.sample(frac=1, random_state=3)
    mixed = mixed.sort_values("school") if sort else mixed
    assert_same_model(mixed[mixed.columns[::-1]], plain)


@pytest.mark.parametrize(
    "dtype",
    "Int64 Int16 Float64 Float32 UInt8 int32 uint8 float32 object longdouble int64[pyarrow] "
    "double[pyarrow] Sparse[float64]".split(),
)
def test_numeric_types(plain, dtype):
    assert_same_model(plain.astype(dict.fromkeys(VARIABLES, dtype)), plain)


def test_decimals_and_other_number_objects(plain):
    kinds = {"y1": Decimal, "y2": np.int8, "x1": np.float32, "z1": int, "w1": Decimal}
    objects = plain.copy()
    for name, kind in kinds.items():
        objects[name] = pd.Series([kind(int(v)) for v in plain[name]], dtype=object)
    assert_same_model(objects, plain)


def test_decimals_in_arrow(plain):
    pa = pytest.importorskip("pyarrow")
    decimals = plain.astype(dict.fromkeys(VARIABLES, pd.ArrowDtype(pa.decimal128(10, 3))))
    assert_same_model(decimals, plain)


@pytest.mark.parametrize("dtype", ["bool", "boolean", "bool[pyarrow]", "object"])
def test_booleans(plain, dtype):
    plain["x1"] = (plain["x1"] > plain["x1"].median()).astype(float)
    plain["w1"] = (plain["w1"] > 20).astype(float)
    truths = plain.assign(**{name: plain[name].astype(bool).astype(dtype) for name in ("x1", "w1")})
    assert_same_model(truths, plain)


_TUPLES = {10: (1, 2), 20: (1, 3), 30: ("a",), 40: (), 50: (1,), 60: (None,), 70: (2, 1)}
_MIXED = {10: 1, 20: "1", 30: 2.5, 40: "a", 50: (1, 2), 60: datetime.date(2024, 1, 1), 70: -1}


def _objects(s, values):
    return pd.Series([values[int(v)] for v in s], index=s.index, dtype=object)


@pytest.mark.parametrize(
    "relabel",
    [
        pytest.param(lambda s: s.astype(str), id="str"),
        pytest.param(lambda s: s.astype(float) / 3, id="float"),
        pytest.param(lambda s: s.astype("Int64"), id="Int64"),
        pytest.param(lambda s: s.astype("int64[pyarrow]"), id="arrow int"),
        pytest.param(lambda s: s.astype(str).astype("string[pyarrow]"), id="arrow string"),
        pytest.param(lambda s: s.astype(pd.CategoricalDtype(range(0, 99, 5))), id="unused levels"),
        pytest.param(lambda s: _objects(s, _TUPLES), id="tuples"),
        pytest.param(lambda s: _objects(s, _MIXED), id="mixed"),
        pytest.param(lambda s: s.map(lambda v: pd.Period(year=2000 + v, freq="Y")), id="period"),
        pytest.param(lambda s: pd.to_timedelta(s, "D"), id="timedelta"),
        pytest.param(lambda s: s.map(lambda v: pd.Interval(v, v + 1)), id="interval"),
        pytest.param(lambda s: s.astype(str).map(str.encode), id="bytes"),
        pytest.param(lambda s: s * (1 + 1j), id="complex"),
    ],
)
def test_any_cluster_identifier(plain, relabel):
    renamed = plain.assign(school=relabel(plain["school"]))
    assert_same_model(renamed, plain)
    ids = model_of(renamed)._observed.cluster_ids
    assert list(ids) == list(dict.fromkeys(renamed["school"]))


def test_text_and_numbers_are_different_clusters(plain):
    halves = [str(g) if i % 2 else g for i, g in enumerate(plain["school"])]
    split = plain.assign(school=pd.Series(halves, dtype=object))
    spec = "level: within; y1 + y2 ~ x1; level: between; y1 ~~ y2"
    model = model_of(split, spec)
    assert model._observed.n_clusters == split["school"].map(lambda g: (type(g), g)).nunique() > 7


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, pd.NaT, float("nan")])
def test_missing_identifiers_name_their_rows(plain, missing):
    ids = plain["school"].astype(object)
    ids[[3, 8]] = missing
    with pytest.raises(bm.DataError, match=r"'school' has no identifier in 2 rows \(3, 8,"):
        model_of(plain.assign(school=ids))


def _sizes_frame(sizes, seed=4):
    rng = np.random.default_rng(seed)
    school = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    level2 = rng.normal(size=(len(sizes), 3))
    frame = pd.DataFrame(rng.normal(size=(len(school), 3)), columns=["y1", "y2", "x1"])
    frame[["y1", "y2"]] += level2[school, :1]
    frame["school"] = school
    frame[["z1", "w1"]] = level2[school, 1:]
    return frame


def _stacked(frame):
    """Log-likelihood at the simple values in closed form.

    There y1, y2 and z1 are independent. In a cluster of n rows y1 has covariance I + 11', whose
    determinant is n + 1 and whose inverse is I - 11' / (n + 1); y2 varies within clusters only.
    """
    residual = frame[["y1", "y2"]] - 0.1 * frame[["x1"]].to_numpy()
    residual["y1"] -= 0.1 * frame["w1"]
    sums = residual["y1"].groupby(frame["school"]).agg(["sum", "size"])
    level2 = frame.drop_duplicates("school")
    quadratic = (residual**2).to_numpy().sum() - (sums["sum"] ** 2 / (sums["size"] + 1)).sum()
    quadratic += ((level2["z1"] - 0.1 * level2["w1"]) ** 2).sum()
    count = 2 * len(frame) + len(level2)
    return -0.5 * (count * np.log(2 * np.pi) + np.log(sums["size"] + 1).sum() + quadratic)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([1, 1, 1, 1, 9, 4], id="singletons"),
        pytest.param([1, 2, 7, 20_000, 300, 1], id="1 to 20,000 rows"),
        pytest.param([1 + j % 4 for j in range(5_000)], id="5,000 clusters"),
    ],
)
def test_cluster_sizes(sizes):
    frame = _sizes_frame(sizes)
    # 1e-10: the closed form sums up to 40,000 terms in another order.
    assert log_likelihood(model_of(frame)) == pytest.approx(_stacked(frame), rel=1e-10)


def test_clusters_without_variation(plain):
    flat = plain.copy()
    for g in flat["school"].unique()[:3]:
        flat.loc[flat["school"] == g, ["y1", "y2", "x1"]] = [21.0, 18.0, 20.0]
    assert log_likelihood(model_of(flat)) == pytest.approx(_stacked(flat), rel=1e-12)


def test_odd_names(plain):
    odd = plain.rename(columns={"school": "1"})
    odd["x x"], odd["="], odd["level: between"], odd[""], odd[3], odd[None] = 1, 2, 3, 4, 5, 6
    expected = log_likelihood(model_of(plain))
    assert log_likelihood(model_of(odd, cluster="1")) == pytest.approx(expected, rel=1e-12)
    for name in (7, ("a", "b"), None, "x ~ y", "größe"):
        renamed = plain.rename(columns={"school": name})
        if name is None:
            with pytest.raises(bm.MsemError, match="no cluster column"):
                model_of(renamed, cluster=name)
        else:
            model = model_of(renamed, cluster=name)
            assert log_likelihood(model) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.set_axis(pd.MultiIndex.from_product([["a"], f.columns]), axis=1), "MultiInd"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.iloc[:, :0], "neither a column of the data"),
        (lambda f: pd.DataFrame(), "no rows"),
    ],
    ids=["MultiIndex", "no rows", "no columns", "nothing"],
)
def test_frames_without_usable_columns_or_rows(plain, change, words):
    with pytest.raises(bm.MsemError, match=words):
        model_of(change(plain))


def test_flags_and_attributes_survive(plain):
    strict = plain.set_flags(allows_duplicate_labels=False)
    strict.attrs["source"] = "survey"
    for name in VARIABLES:
        strict[name].to_numpy().setflags(write=False)
    assert_same_model(strict, plain)
