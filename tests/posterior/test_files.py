"""Saved and loaded fits are equal; files that are not as saved are refused."""

from __future__ import annotations

import datetime
import json
import shutil
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_msem as bm
from bayes_msem.posterior.labels import pack_labels, unpack_labels
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
    one, other = ours.evaluator.approximation, theirs.evaluator.approximation
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
}


@pytest.mark.parametrize("kind", list(IDENTIFIERS))
def test_identifiers_of_clusters(kind: str, tmp_path: Path) -> None:
    frame = make_frame()
    codes = frame["group"].astype("category").cat.codes.to_numpy().astype(int)
    cluster_level = ["w1", "w2", "z1", "z2"]
    if kind == "bool":
        frame = frame.drop(columns=cluster_level)
    frame["group"] = IDENTIFIERS[kind](codes)
    text = "level: within\n y1 ~ x1\nlevel: between\n y1 ~~ y1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        model = bm.Model(text, frame, cluster="group")
    fit = synthetic_fit(model, draws=10)
    fit.save(tmp_path / "fit.nc")
    assert_same(bm.load(tmp_path / "fit.nc"), fit)


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
]


@pytest.mark.parametrize("index", INDEXES, ids=str)
def test_labels_keep_their_types(index: pd.Index) -> None:
    values, about = pack_labels(index)
    assert values.dtype.kind in "iufO"
    back = unpack_labels(values, about)
    pd.testing.assert_index_equal(back, index, exact=True)
    assert [type(v) for v in back] == [type(v) for v in index]


def test_labels_of_other_types_are_refused() -> None:
    with pytest.raises(bm.NotSupportedError, match="identifiers of type Interval"):
        pack_labels(pd.IntervalIndex.from_breaks([0, 1, 2]))


# --- files that are not what they should be -----------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    synthetic_fit(build("two-level"), draws=20).save(path)
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(saved, tmp_path / "copy.nc"))


def test_existing_files_are_kept_unless_told(copy: Path) -> None:
    before = copy.read_bytes()
    fit = bm.load(copy)
    with pytest.raises(bm.FileError, match=r"exists; .*overwrite=True"):
        fit.save(copy)
    assert copy.read_bytes() == before
    other = synthetic_fit(build("single"), draws=10)
    other.save(copy, overwrite=True)
    assert_same(bm.load(copy), other)


def test_folders_that_hold_something_else_are_kept(copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    fit, folder = bm.load(copy), tmp_path / "thesis.zarr"
    folder.mkdir()
    (folder / "chapter.txt").write_text("precious")
    with pytest.raises(bm.FileError, match="not a Zarr store"):
        fit.save(folder, overwrite=True)
    assert (folder / "chapter.txt").read_text() == "precious"


def test_zarr_is_overwritten(copy: Path, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    fit = bm.load(copy)
    for _ in range(2):
        fit.save(tmp_path / "fit.zarr", overwrite=True)
    assert_same(bm.load(tmp_path / "fit.zarr"), fit)


def test_missing_file_and_missing_folder(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(bm.FileError, match="there is no file"):
        bm.load(tmp_path / "none.nc")
    with pytest.raises(bm.FileError, match="cannot write"):
        bm.load(copy).save(tmp_path / "none" / "fit.nc")


@pytest.mark.parametrize(
    "place", ["msem_data/values", "posterior/within_loading", "msem_data/cluster_of_row"]
)
def test_edited_numbers(copy: Path, place: str) -> None:
    with h5py.File(copy, "r+") as file:
        values = file[place][...]
        values.flat[0] += 1
        file[place][...] = values
    with pytest.raises(bm.FileError, match="fingerprint"):
        bm.load(copy)


def test_edited_attributes_and_identifiers(copy: Path, saved: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["random_seed"] = 12
    with pytest.raises(bm.FileError, match="fingerprint"):
        bm.load(copy)
    shutil.copy(saved, copy)
    with h5py.File(copy, "r+") as file:
        file["msem_data/cluster_label"][0] = json.dumps(["str", "another"])
    with pytest.raises(bm.FileError, match="fingerprint"):
        bm.load(copy)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated(copy: Path, share: float) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content[: int(share * len(content))])
    with pytest.raises(bm.FileError, match="damaged, incomplete or not a file"):
        bm.load(copy)


def test_lost_zarr_chunk(copy: Path, tmp_path: Path) -> None:
    """Zarr reads lost chunks as fill values and says nothing."""
    pytest.importorskip("zarr")
    store = tmp_path / "fit.zarr"
    bm.load(copy).save(store)
    (chunk,) = (store / "posterior" / "within_loading").glob("0.0.0")
    chunk.unlink()
    with pytest.raises(bm.FileError, match="fingerprint"):
        bm.load(store)


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "foreign.nc"
    xr.DataTree.from_dict({"posterior": xr.Dataset({"mu": ("draw", [1.0, 2.0])})}).to_netcdf(
        path, engine="h5netcdf"
    )
    with pytest.raises(bm.FileError, match="not a fit of bayes_msem"):
        bm.load(path)
    path.write_text("level, lhs, op, rhs\n")
    with pytest.raises(bm.FileError, match="damaged, incomplete or not a file"):
        bm.load(path)
    with pytest.raises(bm.FileError, match="damaged, incomplete or not a file"):
        bm.load(tmp_path)


def test_newer_format(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["msem_format"] = 2
        file.attrs["bayes_msem_version"] = "7.1.0"
    with pytest.raises(bm.FileError, match=r"newer bayes_msem \(7.1.0, format 2.*upgrade"):
        bm.load(copy)


def test_other_reading_of_the_text(tmp_path: Path) -> None:
    """A version with other defaults must not attach old draws to new rows."""
    fit = synthetic_fit(build("single"), draws=10)
    fit.datatree.attrs["syntax"] += "\ny1 ~~ y4"
    fit.save(tmp_path / "fit.nc")
    with pytest.raises(bm.FileError, match=r"read the model text\s+differently"):
        bm.load(tmp_path / "fit.nc")


def test_zarr_not_installed(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayes_msem.posterior.files.find_spec", lambda name: None)
    fit = bm.load(copy)
    with pytest.raises(bm.NotSupportedError, match="package zarr, which is not installed"):
        fit.save(tmp_path / "fit.zarr")
