"""Frames of other libraries: the same types, the same missing values, the same likelihood."""

from __future__ import annotations

import datetime
from decimal import Decimal

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayes_msem as bm
from bayes_msem.data.frames import to_pandas_frame
from tests.data.values import log_likelihood

# Seven clusters.
pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.SmallSampleWarning")

DAY = datetime.date(2024, 2, 29)
NOON = datetime.datetime(2024, 2, 29, 12)
CELLS = {
    "int": [1, None, 3],
    "whole": [1, 2, 3],
    "float": [1.5, None, float("nan")],
    "bool": [True, None, False],
    "str": ["b", None, "a"],
    "date": [DAY, None, DAY],
    "time": [NOON, None, NOON],
    "span": [datetime.timedelta(1), None, datetime.timedelta(2)],
    "decimal": [Decimal("1.5"), None, Decimal("2")],
    "null": [None, None, None],
    "list": [[1], None, [2, 3]],
}
DTYPES = {
    "int": "Int64",
    "whole": "int64",
    "float": "float64",
    "bool": "boolean",
    "time": "datetime64[us]",
    "decimal": "object",
    "date": "object",
}


class Protocol:
    """An object that offers a frame through one protocol only."""

    def __init__(self, frame, name):
        self._frame, self._name = frame, name

    def __getattr__(self, name):
        if name == self._name:
            return getattr(self._frame, name)
        raise AttributeError(name)


WAYS = {
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "record batch": lambda cells: pa.table(cells).to_batches()[0],
    "narwhals": lambda cells: nw.from_native(pl.DataFrame(cells)),
    "arrow stream": lambda cells: Protocol(pa.table(cells), "__arrow_c_stream__"),
}


@pytest.mark.parametrize("way", WAYS)
def test_values_types_and_nulls_are_kept(way):
    frame = to_pandas_frame(WAYS[way](CELLS))
    assert list(frame.columns) == list(CELLS)
    assert {name: str(frame[name].dtype) for name in DTYPES} == DTYPES
    for name, cells in CELLS.items():
        for got, expected in zip(frame[name], cells, strict=True):
            if expected is None or expected != expected:
                assert pd.isna(got), (name, got)
            else:
                assert got == expected, name
    assert all(isinstance(value, str) for value in frame["str"].dropna())


def test_dataframe_interchange_protocol():
    cells = {name: CELLS[name] for name in ("int", "float", "str")}
    frame = to_pandas_frame(Protocol(pa.table(cells), "__dataframe__"))
    assert str(frame["int"].dtype) == "Int64"
    assert frame["str"].tolist()[::2] == ["b", "a"]
    assert frame.isna().sum().tolist() == [1, 2, 1]


def test_categories_and_time_zones():
    given = pl.DataFrame(CELLS).select(
        pl.col("str").cast(pl.Categorical).alias("category"),
        pl.col("str").cast(pl.Enum(["a", "b", "unused"])).alias("enum"),
        pl.col("time").dt.replace_time_zone("Europe/Paris").alias("zone"),
    )
    frame = to_pandas_frame(given)
    for name in ("category", "enum"):
        assert isinstance(frame[name].dtype, pd.CategoricalDtype)
        assert frame[name].tolist()[::2] == ["b", "a"]
        assert frame[name].isna().tolist() == [False, True, False]
    backwards = pl.DataFrame({"c": ["a", "b", None]}).select(
        pl.col("c").cast(pl.Enum(["b", "unused", "a"])), lexical=pl.col("c").cast(pl.Categorical)
    )
    levels = to_pandas_frame(backwards)
    assert levels["c"].cat.categories.tolist() == ["b", "a"]  # the first one is the reference
    assert to_pandas_frame(backwards[::-1])["lexical"].cat.categories.tolist() == ["a", "b"]
    assert frame["zone"][0] == pd.Timestamp(NOON, tz="Europe/Paris")
    dictionary = pa.table({"c": pa.array([7, None, 5]).dictionary_encode()})
    assert to_pandas_frame(dictionary)["c"].tolist()[::2] == [7, 5]


def test_pandas_frames_pass_through():
    frame = pd.DataFrame({"a": [1]}, index=["r"])
    assert to_pandas_frame(frame) is frame
    assert to_pandas_frame(nw.from_native(frame)) is frame


@pytest.mark.parametrize("given", [pl.DataFrame(CELLS), pa.table(CELLS)], ids=["polars", "arrow"])
def test_other_frames_stay_unchanged(given):
    before = given.clone() if isinstance(given, pl.DataFrame) else pa.table(CELLS)
    frame = to_pandas_frame(given)
    frame.loc[0, "whole"] = 99
    frame.loc[0, "float"] = 99.0
    assert given.equals(before) or str(given) == str(before)
    assert given["whole"][0] == 1 or given["whole"][0].as_py() == 1


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"a": [1]},
        [1],
        np.zeros((2, 2)),
        "data.csv",
        pd.Series([1]),
        pl.Series([1]),
        pa.array([1]),
        pa.chunked_array([[1]]),
        pl.DataFrame,
        pa.table({"a": [1]}).to_reader(),  # could be read once only
        Protocol(pl.Series([1]), "__arrow_c_stream__"),
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_is_no_frame_raises(data):
    with pytest.raises(bm.DataError, match="must be a data frame") as caught:
        bm.Model("y ~ x", data=data)
    assert (type(data).__qualname__) in str(caught.value)
    assert "convert it first" in str(caught.value)


def test_lazy_frames_are_not_collected_silently():
    with pytest.raises(bm.DataError, match=r"polars.*LazyFrame.*data\.collect\(\)"):
        bm.Model("y ~ x", data=pl.LazyFrame({"y": [1.0], "x": [1.0]}))


def test_columns_of_the_same_name_raise():
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["y", "y"])
    with pytest.raises(bm.DataError, match=r"'y' 2 times.*rename"):
        bm.Model("y ~ x", data=twice)


SPEC = "level: within; y1 + y2 ~ x1; level: between; y1 ~ w1; z1 ~ w1"
IDS = {
    "int": lambda g: g,
    "str": lambda g: f"s{g}",
    "date": lambda g: DAY + datetime.timedelta(g),
    "time": lambda g: NOON + datetime.timedelta(g),
}


@pytest.mark.parametrize("kind", [*IDS, "category"])
@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_model_is_that_of_the_pandas_frame(frame, library, kind):
    frame = frame.drop(columns="unused").reset_index(drop=True)
    # x is whole numbers, and so is one outcome: nothing may depend on floats.
    frame["y2"] = frame["y2"].round().astype("int64")
    expected = bm.Model(SPEC, data=frame, cluster="school")
    ids = [IDS.get(kind, IDS["str"])(int(g)) for g in frame["school"]]
    cells = {name: frame[name].tolist() for name in frame} | {"school": ids}
    if library == "polars":
        given = pl.DataFrame(cells)
        if kind == "category":
            given = given.with_columns(pl.col("school").cast(pl.Categorical))
    else:
        given = pa.table(cells)
        if kind == "category":
            given = given.set_column(
                given.column_names.index("school"), "school", pa.array(ids).dictionary_encode()
            )
    model = bm.Model(SPEC, data=given, cluster="school")
    assert log_likelihood(model) == pytest.approx(log_likelihood(expected), rel=1e-12)
    assert list(model._observed.cluster_ids) == list(dict.fromkeys(ids))
