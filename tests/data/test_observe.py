"""What `observe` takes from a frame: roles, order, cluster codes, types."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from bayes_msem.data.observe import observe


def test_roles_and_order_come_from_the_table(frame, table):
    observed = observe(frame, table, "school")
    assert observed.y_names == ("y1", "y2", "y3")
    assert observed.split_names == ("y1", "y2")
    assert observed.x_names == ("x1", "x2")
    assert observed.z_names == ("z1",)
    assert observed.w_names == ("w1",)
    np.testing.assert_array_equal(observed.y, frame[["y1", "y2", "y3"]])
    np.testing.assert_array_equal(observed.x, frame[["x1", "x2"]])
    assert observed.two_level
    assert (observed.n_rows, observed.n_clusters) == (23, 7)


def test_clusters_are_numbered_by_first_appearance(frame, table):
    observed = observe(frame, table, "school")
    ids = frame.school.drop_duplicates()
    assert list(observed.cluster_ids) == list(ids)
    assert observed.cluster_name == observed.cluster_ids.name == "school"
    np.testing.assert_array_equal(observed.cluster_ids[observed.cluster], frame.school)
    np.testing.assert_array_equal(observed.sizes, frame.school.value_counts()[ids])
    first = frame.drop_duplicates("school")
    np.testing.assert_array_equal(observed.z, first[["z1"]])
    np.testing.assert_array_equal(observed.w, first[["w1"]])


def test_row_index_is_kept_also_when_it_has_duplicates(frame, table):
    frame.index = pd.Index(np.arange(len(frame)) // 2, name="student")
    observed = observe(frame, table, "school")
    pd.testing.assert_index_equal(observed.row_index, frame.index)


def test_single_level(frame, make_table):
    table = make_table({"y1": "within-only", "y2": "within-only", "x1": "covariate"})
    observed = observe(frame, table, None)
    assert not observed.two_level
    assert observed.cluster is None
    assert observed.cluster_name is None
    assert observed.n_clusters == len(observed.sizes) == len(observed.cluster_ids) == 0
    assert observed.split_names == ()
    assert observed.y.shape == (23, 2)
    assert observed.z.shape == observed.w.shape == (0, 0)


def test_arrays_are_read_only_float64(frame, table):
    observed = observe(frame, table, "school")
    for name in ("y", "z", "x", "w", "cluster", "sizes"):
        array = getattr(observed, name)
        assert not array.flags.writeable, name
        assert array.dtype == (np.int64 if name in ("cluster", "sizes") else np.float64), name
    with pytest.raises(dataclasses.FrozenInstanceError):
        observed.y_names = ()


def test_frame_is_not_modified(frame, table):
    frame["school"] = frame.school.astype("category")
    frame["x2"] = frame.x2.astype("Int64")
    before = frame.copy(deep=True)
    observed = observe(frame, table, "school")
    pd.testing.assert_frame_equal(frame, before)
    # Nor do later changes of the frame reach the model.
    expected = observed.y.copy()
    frame.loc[:, "y1"] = 0.0
    np.testing.assert_array_equal(observed.y, expected)


_LETTERS = {10: "b", 20: "c", 30: "a", 40: "z", 50: "", 60: "ü", 70: "g"}
_MIXED = {10: 1, 20: "1", 30: 2.5, 40: "a", 50: (1, 2), 60: pd.Timestamp("2024-01-01"), 70: -1}


@pytest.mark.parametrize(
    "relabel",
    [
        pytest.param(lambda s: s.map(_LETTERS), id="str"),
        pytest.param(lambda s: s.map(_LETTERS).astype(object), id="object"),
        pytest.param(lambda s: s.map(_LETTERS).astype("string"), id="string"),
        pytest.param(lambda s: s.map(_MIXED), id="mixed"),
        pytest.param(lambda s: s.astype("category"), id="category of int"),
        pytest.param(lambda s: s.map(_LETTERS).astype("category"), id="category of str"),
        pytest.param(
            lambda s: s.astype(pd.CategoricalDtype([99, *range(70, 0, -10), 5], ordered=True)),
            id="category with unused levels",
        ),
        pytest.param(lambda s: s / 7 - 5, id="float"),
        pytest.param(lambda s: s.astype("Int64"), id="Int64"),
        pytest.param(lambda s: s.astype("Float64"), id="Float64"),
        pytest.param(lambda s: s.astype("uint8"), id="uint8"),
        pytest.param(lambda s: pd.Timestamp("2024-01-01") + pd.to_timedelta(s, "D"), id="date"),
        pytest.param(
            lambda s: (pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(s, "D")).astype(
                "category"
            ),
            id="category of date",
        ),
    ],
)
def test_any_type_of_cluster_id(frame, table, relabel):
    expected = observe(frame, table, "school")
    renamed = frame.assign(school=relabel(frame.school))
    observed = observe(renamed, table, "school")
    for name in ("cluster", "sizes", "y", "z", "x", "w"):
        np.testing.assert_array_equal(getattr(observed, name), getattr(expected, name))
    assert list(observed.cluster_ids) == list(renamed.school.drop_duplicates())
    assert not isinstance(observed.cluster_ids, pd.CategoricalIndex)


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda s: s.astype(bool), id="bool"),
        pytest.param(lambda s: s.astype("boolean"), id="boolean"),
        pytest.param(lambda s: s.astype("Int8"), id="Int8"),
        pytest.param(lambda s: s.astype("Float32"), id="Float32"),
        pytest.param(lambda s: s.astype(np.uint64), id="uint64"),
        pytest.param(lambda s: s.astype(np.float16), id="float16"),
        pytest.param(lambda s: s.astype(np.longdouble), id="longdouble"),
        pytest.param(lambda s: s.astype(object), id="object"),
        pytest.param(lambda s: s.map(lambda v: Decimal(int(v))).astype(object), id="Decimal"),
        pytest.param(lambda s: s.astype(pd.SparseDtype("int64", 0)), id="sparse"),
        pytest.param(lambda s: s.astype("int64[pyarrow]"), id="arrow"),
    ],
)
def test_any_numeric_type_of_variable(frame, table, convert):
    if convert(pd.Series([0, 1])).dtype == "int64[pyarrow]":
        pytest.importorskip("pyarrow")
    expected = observe(frame, table, "school")
    observed = observe(frame.assign(x2=convert(frame.x2)), table, "school")
    np.testing.assert_array_equal(observed.x, expected.x)


def test_cluster_level_variables_may_carry_rounding_noise(frame, table):
    noisy = frame.assign(w1=frame.w1 + 1e-15 * np.arange(len(frame)))
    observed = observe(noisy, table, "school")
    np.testing.assert_allclose(observed.w, observe(frame, table, "school").w, atol=1e-13)
