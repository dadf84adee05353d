"""Labels of rows in scores and predictions: any index, repeated labels, levels, new data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from tests.posterior.made_up import synthetic_fit

N = 84
SPEC = "level: within; f =~ y1 + y2 + y3; y1 ~ x; level: between; y1 ~~ y2"


def frame(index: Any) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(21), 4)
    data = pd.DataFrame(rng.normal(size=(N, 4)), columns=["y1", "y2", "y3", "x"], index=index)
    return data.assign(g=g, y1=data["y1"] + rng.normal(size=21)[g])


def fit_to(index: Any, draws: int = 3) -> bm.Fit:
    return synthetic_fit(bm.Model(SPEC, data=frame(index), cluster="g"), draws=draws)


PAIRS = pd.MultiIndex.from_product([range(21), ["a", "b", "c", "d"]], names=["school", "child"])
INDEXES: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "range": (pd.RangeIndex(N), {"row": list(range(N))}),
    "texts": ([f"r{i} <&>" for i in range(N)], {"row": [f"r{i} <&>" for i in range(N)]}),
    "dates": (
        pd.date_range("2024-01-01", periods=N),
        {"row": list(pd.date_range("2024-01-01", periods=N))},
    ),
    "mixed": ([1, "1", *range(2, N)], {"row": [1, "1", *range(2, N)]}),
    "repeated": ([i // 2 for i in range(N)], {"row": [i // 2 for i in range(N)]}),
    "levels": (
        PAIRS,
        {
            "row_school": list(PAIRS.get_level_values(0)),
            "row_child": list(PAIRS.get_level_values(1)),
        },
    ),
    "levels without names": (
        PAIRS.set_names([None, "child"]),
        {"row_0": list(PAIRS.get_level_values(0)), "row_child": list(PAIRS.get_level_values(1))},
    ),
    "levels of one name": (
        PAIRS.set_names(["a", "a"]),
        {"row_0": list(PAIRS.get_level_values(0)), "row_1": list(PAIRS.get_level_values(1))},
    ),
}


@pytest.mark.parametrize("name", INDEXES)
def test_labels_are_coordinates_and_the_index(name: str) -> None:
    index, expected = INDEXES[name]
    fit = fit_to(index)
    labels = frame(index).index
    for method, what in (("scores", "factor"), ("predict", "outcome")):
        draws = getattr(fit, method)(return_draws=True)
        assert draws.dims == ("chain", "draw", "obs_id", what)
        assert draws["obs_id"].to_numpy().tolist() == list(range(N))
        found = {str(c): draws[c] for c in draws.coords if str(c).startswith("row")}
        assert {c: v.dims for c, v in found.items()} == dict.fromkeys(expected, ("obs_id",))
        for coordinate, values in found.items():
            wanted = np.asarray(expected[coordinate], dtype=values.dtype)
            np.testing.assert_array_equal(values.to_numpy(), wanted)
        table = getattr(fit, method)()
        for part in (table[table[what] == v] for v in table[what].unique()):
            assert ("obs_id" in part) == (not labels.is_unique)
            assert labels.is_unique or part["obs_id"].tolist() == list(range(N))
            assert part.index.equals(labels)
            assert part.index.names == labels.names
        mean = draws.mean(("chain", "draw")).transpose(what, "obs_id").to_numpy().ravel()
        if method == "predict":
            np.testing.assert_allclose(table["mean"], mean)
        assert ("The index repeats" in table.caption) == (not labels.is_unique)


def test_types_of_labels_stay() -> None:
    assert fit_to(pd.RangeIndex(N)).scores(return_draws=True)["row"].dtype.kind == "i"
    dates = fit_to(INDEXES["dates"][0]).scores(return_draws=True)["row"]
    assert dates.dtype.kind == "M"
    mixed = fit_to(INDEXES["mixed"][0]).scores(return_draws=True)["row"].to_numpy()
    assert [type(v) for v in mixed[:2]] == [int, str]


def test_rows_that_are_left_out_have_no_number() -> None:
    data = frame([f"r{i}" for i in range(N)])
    data.iloc[5, data.columns.get_loc("y1")] = np.nan
    with pytest.warns(bm.MissingDataWarning):
        model = bm.Model(SPEC, data=data, cluster="g", missing="listwise")
    draws = synthetic_fit(model, draws=3).scores(return_draws=True)
    assert draws.sizes["obs_id"] == N - 1
    assert "r5" not in draws["row"].to_numpy()


def test_repeated_labels_are_told_apart_by_number() -> None:
    fit = fit_to(["same"] * N)
    table = fit.scores()
    assert "1 labels of 84 rows, which obs_id numbers" in table.caption
    row = table[table["obs_id"] == 7]
    draws = fit.scores(return_draws=True).isel(obs_id=7)
    np.testing.assert_allclose(row["lower"], draws.quantile(0.025, ("chain", "draw")))


def test_new_data_have_their_own_labels() -> None:
    fit = fit_to(pd.RangeIndex(N))
    new = frame(pd.RangeIndex(N)).iloc[[3, 0, 9]].set_axis(["u", "v", "v"])
    for draws, table, what in (
        (fit.scores(newdata=new, return_draws=True), fit.scores(newdata=new), "factor"),
        (fit.predict(new, return_draws=True), fit.predict(new), "outcome"),
        (
            fit.predict(new.drop(columns="g"), new_clusters=True, return_draws=True),
            fit.predict(new.drop(columns="g"), new_clusters=True),
            "outcome",
        ),
    ):
        assert draws["row"].to_numpy().tolist() == ["u", "v", "v"]
        assert draws["obs_id"].to_numpy().tolist() == [0, 1, 2]
        first = table[table[what] == table[what].iloc[0]]
        assert list(first.index) == ["u", "v", "v"]
        assert "The index repeats" in table.caption


def test_a_label_selects_a_row() -> None:
    fit = fit_to([f"r{i}" for i in range(N)])
    draws = fit.predict(return_draws=True).set_xindex("row")
    np.testing.assert_array_equal(draws.sel(row="r12"), draws.isel(obs_id=12))


def test_fits_from_disk_have_the_same_labels(tmp_path: Path) -> None:
    fit = fit_to(PAIRS)
    fit.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc")
    first, second = fit.scores(return_draws=True), again.scores(return_draws=True)
    for name in ("row_school", "row_child"):
        np.testing.assert_array_equal(first[name], second[name])


def test_single_level_models_have_labels() -> None:
    data = frame([f"r{i}" for i in range(N)])
    fit = synthetic_fit(bm.Model("f =~ y1 + y2 + y3", data=data), draws=3)
    assert fit.scores(return_draws=True)["row"].to_numpy()[3] == "r3"
    assert fit.scores().columns.tolist() == ["factor", "mean", "sd", "lower", "upper"]
