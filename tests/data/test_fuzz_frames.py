"""Malformed frames give a model or an error that names the culprit, and are left alone."""

from __future__ import annotations

import datetime
import re
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import bayes_msem as bm
from tests.data.values import log_likelihood

SPECS = {
    "two-level": "level: within; y1 + y2 ~ x1; level: between; y1 ~ w1; z1 ~ w1",
    "single level": "y1 + y2 ~ x1",
    "random slope": "level: within; y1 ~ rv('s')*x1; level: between; y1 + s ~ w1",
}
NAMES = ["y1", "y2", "x1", "z1", "w1", "school"]
# What an error has to speak of, so that a user can find the culprit.
NAMED = re.compile("|".join([*NAMES, "column", "row", "cluster", "MultiIndex"]))

JUNK = [None, np.nan, pd.NA, pd.NaT, np.inf, "", "1", "a", b"x", (1, 2), [3], {}, 1j, True, 2**70]
JUNK += [Decimal("NaN"), Decimal("sNaN"), Decimal("1e400"), 1e308, -1e50, 1e-308, object(), len]
JUNK += [
    datetime.date(2024, 1, 1),
    datetime.timedelta(1),
    np.datetime64("2024-01-01"),
    np.float64(2.0),
]

# Ways to spoil a column of n sound numbers.
SPOIL = {
    "junk": lambda s, r: _objects(JUNK[i] for i in r.integers(len(JUNK), size=len(s))),
    "one junk cell": lambda s, r: _with_cell(s.astype(object), r, JUNK[r.integers(len(JUNK))]),
    "one NaN": lambda s, r: _with_cell(s, r, np.nan),
    "one inf": lambda s, r: _with_cell(s, r, np.inf),
    "all NaN": lambda s, r: s * np.nan,
    "all None": lambda s, r: pd.Series([None] * len(s), dtype=object),
    "constant": lambda s, r: s * 0 + 3.0,
    "zero": lambda s, r: s * 0,
    "nearly constant": lambda s, r: 1e9 + s * 1e-7,
    "huge": lambda s, r: s * 1e49,
    "over the top": lambda s, r: s * 1e300,
    "tiny": lambda s, r: s * 1e-40,
    "denormal": lambda s, r: s * 1e-310,
    "one outlier": lambda s, r: _with_cell(s, r, 1e45),
    "strings": lambda s, r: s.astype(str),
    "bytes": lambda s, r: s.astype(str).map(str.encode),
    "datetime": lambda s, r: pd.Timestamp("2024") + pd.to_timedelta(s, "D"),
    "zone": lambda s, r: pd.Timestamp("2024", tz="UTC") + pd.to_timedelta(s, "D"),
    "timedelta": lambda s, r: pd.to_timedelta(s, "D"),
    "period": lambda s, r: pd.Series(pd.PeriodIndex(["2024"] * len(s), freq="Y")),
    "interval": lambda s, r: pd.Series(pd.IntervalIndex.from_arrays(s, s + 1)),
    "complex": lambda s, r: s + 1j,
    "sparse": lambda s, r: s.round().astype(pd.SparseDtype(float, 0.0)),
    "category": lambda s, r: s.round().astype("category"),
    "ordered": lambda s, r: pd.Series(pd.Categorical(s.round(), ordered=True)),
    "Int64": lambda s, r: _with_cell(s.round().astype("Int64"), r, pd.NA),
    "Float64": lambda s, r: s.astype("Float64"),
    "boolean": lambda s, r: _with_cell((s > 0).astype("boolean"), r, pd.NA),
    "bool": lambda s, r: s > 0,
    "int8": lambda s, r: s.round().astype("int8"),
    "float16": lambda s, r: s.astype("float16"),
    "arrow": lambda s, r: s.astype("float64[pyarrow]"),
    "arrow string": lambda s, r: s.astype(str).astype("string[pyarrow]"),
    "arrow null": lambda s, r: _with_cell(s.astype("float64[pyarrow]"), r, None),
    "decimals": lambda s, r: pd.Series([Decimal(str(v)) for v in s], dtype=object),
    "within only": lambda s, r: s + r.normal(size=len(s)),
}


def _objects(cells):
    cells = list(cells)
    column = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(cells):
        column[i] = cell
    return pd.Series(column)


def _with_cell(series, rng, value):
    if series.dtype != object:
        series = series.copy()
        series.iloc[rng.integers(len(series))] = value
        return series
    cells = list(series)
    cells[rng.integers(len(cells))] = value
    return _objects(cells)


def _sound(rng, n, n_clusters):
    school = rng.integers(n_clusters, size=n)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=["y1", "y2", "x1"])
    frame[["z1", "w1"]] = rng.normal(size=(n_clusters, 2))[school]
    return frame.assign(school=school)


@st.composite
def frames(draw):
    """Sound numbers with up to three spoilt columns and an awkward outline."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n, n_clusters = draw(st.sampled_from([(1, 1), (2, 1), (3, 2), (5, 5), (24, 1), (24, 6)] * 2))
    n, n_clusters = draw(st.sampled_from([(n, n_clusters), (24, 6), (40, 9)]))
    frame = _sound(rng, n, n_clusters)
    spoilt = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
    for name in spoilt:
        how = draw(st.sampled_from(sorted(SPOIL)))
        event(how)
        frame[name] = SPOIL[how](frame[name].astype(float), rng)
    outline = draw(
        st.sampled_from(["as is"] * 6 + ["drop", "double", "index", "empty", "levels", "rename"])
    )
    name = draw(st.sampled_from(NAMES))
    if outline == "drop":
        frame = frame.drop(columns=name)
    elif outline == "double":
        frame = pd.concat([frame, frame[[name]]], axis=1)
    elif outline == "index":
        frame = frame.set_index(name)
    elif outline == "empty":
        frame = frame.iloc[:0]
    elif outline == "levels":
        frame.columns = pd.MultiIndex.from_product([frame.columns, [1]])
    elif outline == "rename":
        odd = draw(st.sampled_from([1, None, "", ("y1",), "Y1", " y1", np.nan]))
        frame = frame.rename(columns={name: odd})
    return frame


CLUSTERS = st.one_of(
    st.just("school"),
    st.sampled_from(["School", "y1", "w1", "", None, 1, np.nan, ("school",), ["school"], {}, 1j]),
    st.sampled_from([pd.NA, pd.Series([1]), np.array(["school"]), pd.DataFrame(), object, b"x"]),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=frames(), spec=st.sampled_from(sorted(SPECS)), cluster=CLUSTERS, plain=st.booleans())
def test_a_model_or_an_error_that_names_the_culprit(data, spec, cluster, plain):
    if plain:  # half of the cases reach the values of the columns
        cluster = None if spec == "single level" else "school"
    before = data.copy(deep=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", bm.MsemWarning)
            model = bm.Model(SPECS[spec], data=data, cluster=cluster)
            value = log_likelihood(model)
    except bm.MsemError as error:
        event("error")
        message = str(error)
    else:
        event("model")
        message = ""
        assert np.isfinite(value) or value == -np.inf
    assert not message or NAMED.search(message), message
    pd.testing.assert_frame_equal(data, before, check_exact=True)
    assert list(data.dtypes) == list(before.dtypes)
