"""Saved and loaded fits are equal, whatever identifies their rows and clusters."""

from __future__ import annotations

import datetime
import json
import uuid
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_msem as bm
from bayes_msem.posterior.labels import check_labels, pack_labels, unpack_labels
from tests.likelihood.cases import SINGLE_LEVEL_CASES, TWO_LEVEL_CASES, make_frame
from tests.missing.frames import holes
from tests.posterior.made_up import synthetic_fit
from tests.random.models import case, make_data

TEXT = {
    "single": next(c for c in SINGLE_LEVEL_CASES if c.name == "CFA").text,
    "two-level": next(c for c in TWO_LEVEL_CASES if c.name == "cluster-level outcomes").text,
    "sampled": case("one loading, w and z").text,
    "linear": case("slope predicts z").text,
}


def build(kind: str, frame: pd.DataFrame | None = None, **options: object) -> bm.Model:
    frame = make_data() if frame is None else frame
    cluster = None if kind == "single" else "group"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        return bm.Model(TEXT[kind], frame, cluster=cluster, **options)  # type: ignore[arg-type]


def assert_same(loaded: bm.Fit, fit: bm.Fit) -> None:
    """Exactly, with types and attributes."""
    assert loaded.datatree.attrs == fit.datatree.attrs
    assert str(loaded.model) == str(fit.model)
    assert loaded.model.options == fit.model.options
    for node in fit.datatree.subtree:
        xr.testing.assert_identical(
            loaded.datatree[node.path].to_dataset(inherit=False), node.to_dataset(inherit=False)
        )
    pd.testing.assert_frame_equal(loaded.summary(), fit.summary())
    ours, theirs = loaded.model.blueprint.observed, fit.model.blueprint.observed
    pd.testing.assert_index_equal(ours.row_index, theirs.row_index, exact=True)
    np.testing.assert_array_equal(ours.y, theirs.y)
    if fit.model.table.two_level:
        pd.testing.assert_index_equal(ours.cluster_ids, theirs.cluster_ids, exact=True)
        pd.testing.assert_frame_equal(loaded.cluster_effects(), fit.cluster_effects())


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("kind", list(TEXT))
def test_round_trip(kind: str, suffix: str, tmp_path: Path) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    fit = synthetic_fit(build(kind))
    path = tmp_path / f"fit{suffix}"
    fit.save(path)
    assert_same(bm.load(path), fit)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # no drafts stay behind


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("kind", ["two-level", "sampled"])
def test_scores_and_predictions_after_a_round_trip(
    kind: str, complete: bool, tmp_path: Path
) -> None:
    """Also where outcomes of both levels are missing."""
    fit = synthetic_fit(build(kind, make_data() if complete else holes()))
    fit.save(tmp_path / "fit.nc")
    loaded = bm.load(tmp_path / "fit.nc")
    assert_same(loaded, fit)
    for level in ("within", "between") if kind == "two-level" else ("within",):
        expected = fit.scores(level)
        assert expected["sd"].min() > 0
        pd.testing.assert_frame_equal(loaded.scores(level), expected)
    for outcome_or_mean in ("mean", "outcome"):
        pd.testing.assert_frame_equal(
            loaded.predict(kind=outcome_or_mean), fit.predict(kind=outcome_or_mean)
        )


@pytest.mark.filterwarnings("ignore::bayes_msem.ConvergenceWarning")
def test_round_trip_of_a_sampled_fit(tmp_path: Path) -> None:
    """What nutpie adds to the tree can be stored, too."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=50)})
    frame["y"] = 0.5 * frame["x"] + rng.normal(size=50)
    fit = bm.Model("y ~ x", frame).fit(draws=50, tune=100, chains=2, random_seed=1, progress=False)
    for name in ("fit.nc", "fit.zarr"):
        fit.save(tmp_path / name)
        loaded = bm.load(tmp_path / name)
        for group in ("posterior", "observed_data", "constant_data"):
            xr.testing.assert_equal(
                loaded.datatree[group].to_dataset(), fit.datatree[group].to_dataset()
            )
        pd.testing.assert_frame_equal(loaded.summary(), fit.summary())
        assert str(loaded.convergence) == str(fit.convergence)


def test_coordinates_are_stored_not_found_again(tmp_path: Path) -> None:
    """Draws of coordinates in other coordinates are other effects."""
    fit = synthetic_fit(build("sampled"))
    fit.save(tmp_path / "fit.nc")
    loaded = bm.load(tmp_path / "fit.nc")
    ours, theirs = loaded.model.blueprint, fit.model.blueprint
    one, other = ours.likelihood.approximation, theirs.likelihood.approximation
    for name in ("information", "linear", "z", "packed"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.n_linear == other.n_linear > 0
    np.testing.assert_array_equal(ours.pilot, theirs.pilot)
    assert np.ptp(other.information) > 0


def test_options_are_restored(tmp_path: Path) -> None:
    priors = {
        ("within", "=~"): "normal(1, 0.5)",
        "y1 ~ 1": bm.Prior("normal", (0.1, 1 / 3)),
        ("between", "y2", "~~", "y2"): "halfnormal(0.7)",
    }
    fit = synthetic_fit(
        build("two-level", priors=priors, std_lv=True, centring="centred", random=["intercepts"])
    )
    fit.save(tmp_path / "fit.nc")
    loaded = bm.load(tmp_path / "fit.nc")
    assert_same(loaded, fit)
    pd.testing.assert_frame_equal(loaded.model.parameter_table, fit.model.parameter_table)


IDENTIFIERS = {
    "text": lambda codes: [f"school {c} é" for c in codes],
    "int": lambda codes: codes * 10 - 40,
    "nullable int": lambda codes: pd.array(codes, dtype="Int64"),
    "float": lambda codes: codes + 0.5,
    "category": lambda codes: pd.Categorical([f"c{c}" for c in codes], categories=None),
    "ordered numbers": lambda codes: pd.Categorical(codes, ordered=True),
    "datetime": lambda codes: pd.Timestamp("2020-02-28") + pd.to_timedelta(codes, unit="D"),
    "dates": lambda codes: [datetime.date(2020, 1, 1 + int(c)) for c in codes],
    "zone": lambda codes: (
        pd.Timestamp("2020-02-28", tz="Europe/Vienna") + pd.to_timedelta(codes, unit="h")
    ),
    "bool": lambda codes: codes % 2 == 0,
    "mixed": lambda codes: [int(c) if c % 2 else str(c) for c in codes],
    "period": lambda codes: pd.period_range("2020-01", periods=99, freq="M")[codes],
    "week": lambda codes: pd.period_range("2020-01", periods=99, freq="W")[codes],
    "uuid": lambda codes: [uuid.UUID(int=int(c) + 5) for c in codes],
    "interval": lambda codes: pd.interval_range(0.0, 99.0)[codes],
    "cut": lambda codes: pd.cut(codes, np.arange(-1, 99)),
    "fraction": lambda codes: [Fraction(int(c), 7) for c in codes],
    "duration": lambda codes: [datetime.timedelta(seconds=int(c)) for c in codes],
    "clock": lambda codes: [datetime.time(int(c) % 24, int(c) // 24) for c in codes],
    "tuple": lambda codes: [(int(c), "a") for c in codes],
    "offset": lambda codes: (
        pd.Timestamp("2020-02-28", tz=datetime.timezone(datetime.timedelta(hours=2)))
        + pd.to_timedelta(codes, unit="h")
    ),
    "dateutil": lambda codes: (
        pd.Timestamp("2020-02-28", tz="dateutil/Europe/Vienna") + pd.to_timedelta(codes, unit="h")
    ),
}


@pytest.mark.parametrize("kind", list(IDENTIFIERS))
def test_identifiers_of_clusters(kind: str, tmp_path: Path) -> None:
    frame = make_frame()
    codes = frame["group"].astype("category").cat.codes.to_numpy().astype(int)
    cluster_level = ["w1", "w2", "z1", "z2"]
    if kind == "bool":
        frame = frame.drop(columns=cluster_level)
    frame["group"] = IDENTIFIERS[kind](codes)
    fit = synthetic_fit(small_model(frame, "group"), draws=10)
    fit.save(tmp_path / "fit.nc")
    assert_same(bm.load(tmp_path / "fit.nc"), fit)


def small_model(frame: pd.DataFrame, cluster: object) -> bm.Model:
    text = "level: within\n y1 ~ x1\nlevel: between\n y1 ~~ y1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        return bm.Model(text, frame, cluster=cluster)  # type: ignore[arg-type]


NAMES = [
    ("school", 1),
    pd.Timestamp("2020-01-01", tz="Europe/Vienna"),
    datetime.date(2020, 1, 1),
    pd.Period("2020-01", "M"),
    uuid.UUID(int=3),
    np.int64(7),
    0,
    2.5,
    "text é",
]


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_name_of_the_cluster_column(name: object, tmp_path: Path) -> None:
    frame = make_frame()
    frame.columns = pd.Index([name if c == "group" else c for c in frame], tupleize_cols=False)
    fit = synthetic_fit(small_model(frame, name), draws=10)
    fit.save(tmp_path / "fit.nc")
    loaded = bm.load(tmp_path / "fit.nc")
    assert_same(loaded, fit)
    assert loaded.model.observed.cluster_name == name


class Custom:
    pass


REFUSED = {
    "other type": ([Custom(), Custom()], "of type Custom"),
    "set": ([frozenset("a"), frozenset("b")], "of type frozenset"),
    "deep": ([(1, (Custom(),)), (2, 3)], "of type Custom"),
    "second": ([1, "a", frozenset()], "of type frozenset"),
    "NUL": (["a\0", "b"], "character NUL"),
    "half a character": (["a\ud800", "b"], "surrogates not allowed"),
    "digits": ([10**5000, 1], "4300 digits"),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_identifiers_no_file_holds_are_refused_when_the_model_is_built(kind: str) -> None:
    labels, words = REFUSED[kind]
    codes = np.arange(60) % len(labels)
    frame = pd.DataFrame({"y1": np.random.default_rng(1).normal(size=60), "x1": codes % 2 + 0.0})
    frame["x1"] = np.random.default_rng(2).normal(size=60)
    frame["group"] = pd.Series([labels[c] for c in codes], dtype=object)
    with pytest.raises(bm.NotSupportedError, match=f"(?s)cluster column 'group'.*{words}"):
        small_model(frame, "group")
    if kind not in ("NUL", "half a character"):  # rows are stored as JSON, which holds these
        frame = frame.set_index("group")
        with pytest.raises(bm.NotSupportedError, match=f"(?s)the index of data.*{words}"):
            bm.Model("y1 ~ x1", frame)


def test_text_no_file_holds_is_refused_when_the_model_is_built() -> None:
    for text in ("y1 ~ x1  # \0", "y1 ~ x1  # \ud800"):
        with pytest.raises(bm.NotSupportedError, match="the model text cannot be stored"):
            bm.Model(text, make_frame())


INDEXES = [
    pd.RangeIndex(3, 9, 2, name="row"),
    pd.Index([3, 1, 2], dtype="int32"),
    pd.Index([1.5, np.nan, np.inf], name="weight"),
    pd.Index(["a", "b\n", "ü"], name=7),
    pd.Index([True, False, True]),
    pd.Index([1, "1", 1.0, None, ("a", 2)], dtype=object, tupleize_cols=False),
    pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["school", None]),
    pd.DatetimeIndex(["2020-01-01", "2021-06-01 12:00:00.123456"], tz="America/New_York"),
    pd.to_timedelta([1, 2], unit="s"),
    pd.period_range("2020", periods=3, freq="W"),
    pd.IntervalIndex.from_breaks([0, 1, 2], closed="left", name="bin"),
    pd.IntervalIndex.from_breaks(pd.date_range("2020", periods=3, tz="Europe/Vienna")),
    pd.CategoricalIndex(["b", "a", None], categories=["b", "a", "c"], ordered=True, name="k"),
    pd.Index([1, 2, None], dtype="Int64"),
    pd.Index(["a", None], dtype="string"),
    pd.Index([True, None], dtype="boolean"),
    pd.Index([2**63 + 5, 1], dtype="uint64"),
    pd.Index([1 + 2j, 3]),
    pd.Index(
        [
            pd.NaT,
            pd.NA,
            Fraction(1, 3),
            Decimal("0.10"),
            uuid.UUID(int=9),
            pd.Timedelta("1s"),
            datetime.timedelta(1, 2, 3),
            datetime.time(1, 2),
            pd.Interval(0, 1.5),
            pd.Period("2020-05", "M"),
            pd.Timestamp("2020", tz="dateutil/Europe/Paris"),
            10**30,
            b"\0",
            "\ud800",
            (),
        ],
        dtype=object,
    ),
    pd.MultiIndex.from_arrays(
        [
            pd.period_range("2020", periods=2, freq="D"),
            np.array([1, 2], dtype="int32"),
            pd.Categorical(["a", "b"]),
            [uuid.UUID(int=1), None],
        ],
        names=["day", None, ("a", 1), pd.Timestamp("2020")],
    ),
]


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: ascii(index)[:60])
def test_labels_keep_their_types(index: pd.Index) -> None:
    check_labels(index)
    values, about = pack_labels(index)
    assert values.dtype.kind in "iufO"
    back = unpack_labels(values, about)
    pd.testing.assert_index_equal(back, index, exact=True)
    assert [type(v) for v in back] == [type(v) for v in index]


def test_several_levels_as_earlier_versions_stored_them() -> None:
    about = {"names": [["str", "school"], ["none", None]], "kind": "object"}
    about |= {"dtype": "object", "several": True}
    values = np.array(
        ['["tuple", [["str", "a"], ["int", "1"]]]', '["tuple", [["str", "b"], ["int", "2"]]]'],
        dtype=object,
    )
    expected = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["school", None])
    pd.testing.assert_index_equal(unpack_labels(values, json.dumps(about)), expected, exact=True)


def test_time_zones_without_a_name_are_refused() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2), "here")
    index = pd.date_range("2020", periods=2, tz=zone)
    for labels in (index, pd.Index(list(index), dtype=object)):
        with pytest.raises(bm.NotSupportedError, match=r"time zone .* cannot be stored; convert"):
            check_labels(labels)
