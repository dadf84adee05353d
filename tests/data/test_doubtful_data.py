"""Notes on data: found where they belong, and silent on data that are what they seem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.data.doubtful_data import (
    blended_slopes,
    codes_for_missing,
    means_of_outcomes,
    slopes_without_variation,
)
from bayes_msem.data.observe import observe
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.table import ParameterTable

TEXT = 'level: within\n y ~ x + rv("s")*z\nlevel: between\n y + s ~ w\n v ~~ v'


@pytest.fixture
def frame() -> pd.DataFrame:
    """40 clusters of 12 rows; x and z do not differ between clusters, v is complete."""
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(40), 12)
    data = pd.DataFrame({"g": g, "x": rng.normal(size=480), "z": rng.normal(size=480)})
    data["w"], data["v"] = rng.normal(size=(2, 40))[:, g]
    data["y"] = 0.5 * data.x + rng.normal(0, 0.5, 40)[g] + rng.normal(size=480)
    data["item"] = rng.integers(1, 6, 480)
    return data


def _read(frame: pd.DataFrame, text: str = TEXT) -> tuple[ObservedData, ParameterTable]:
    table = build_table(parse(text), list(frame.columns), cluster="g")
    return observe(frame, table, "g"), table


def _all(frame: pd.DataFrame, text: str = TEXT) -> list[str]:
    observed, table = _read(frame, text)
    return [
        *codes_for_missing(observed),
        *means_of_outcomes(observed),
        *slopes_without_variation(observed, table),
        *blended_slopes(observed, table),
    ]


def test_nothing_to_note(frame: pd.DataFrame) -> None:
    assert _all(frame) == []


# Codes -----------------------------------------------------------------------------------------

ITEM = "level: within\n y ~ item\nlevel: between\n y ~~ y"


@pytest.mark.parametrize(
    ("name", "codes", "text"),
    [
        ("x", [999], TEXT),
        ("x", [-99, -99], TEXT),
        ("y", [-9, -9], TEXT),
        ("y", [99999], TEXT),
        ("item", [9, 9], ITEM),
        ("item", [8, 9, 9], ITEM),
        ("item", [-9, -9], ITEM),
        ("item", [-8, -9], ITEM),
        ("item", [99], ITEM),
        ("item", [-99, 998, 999], ITEM),
    ],
)
def test_codes_are_named_with_the_lines_that_replace_them(
    frame: pd.DataFrame, name: str, codes: list[int], text: str
) -> None:
    frame = frame.astype({name: float})
    clean = frame.copy()
    for i, code in enumerate(codes):
        frame.loc[30 * i, name] = code
        clean.loc[30 * i, name] = np.nan
    (note,) = codes_for_missing(_read(frame, text)[0])
    for code in set(codes):
        rows = codes.count(code)
        assert f"{code} in '{name}' ({rows} row{'s' if rows > 1 else ''})" in note
    line = note[note.index("data = ") + 7 : note.rindex(".")]
    replaced = eval(line, {"data": frame, "float": float})
    pd.testing.assert_frame_equal(replaced, clean)


def test_negative_codes_among_counts_are_near_and_still_codes(frame: pd.DataFrame) -> None:
    scores = np.arange(480) % 101.0
    scores[[10, 200]] = -9
    (note,) = codes_for_missing(_read(frame.assign(item=scores), ITEM)[0])
    assert "-9 in 'item' (2 rows)" in note
    scores[[10, 200]] = [-9, -4]
    assert codes_for_missing(_read(frame.assign(item=scores), ITEM)[0]) == []


def test_codes_of_cluster_level_variables_are_counted_in_clusters(frame: pd.DataFrame) -> None:
    frame.loc[frame.g.isin([3, 5]), "v"] = -99
    (note,) = codes_for_missing(_read(frame)[0])
    assert "-99 in 'v' (2 clusters)" in note


@pytest.mark.parametrize(
    "values",
    [
        np.arange(480) % 11,  # 0 to 10
        np.arange(480) % 100,  # 0 to 99
        np.arange(480) % 2 * 2 - 1,  # -1 and 1
        np.arange(480) % 3 + 7,  # nothing but 7, 8, 9
        np.arange(480) % 19 - 9,  # -9 to 9
        np.where(np.arange(480) == 5, 9, np.arange(480) % 7),  # one 9 among 0 to 6
        np.random.default_rng(1).poisson(3, 480),
        np.random.default_rng(2).gamma(0.5, 20.0, 480).round(),
        18 + np.random.default_rng(3).integers(0, 82, 480),  # ages up to 99
        2000 + np.arange(480) % 24,
    ],
)
def test_ordinary_values_are_no_codes(frame: pd.DataFrame, values: np.ndarray) -> None:
    assert codes_for_missing(_read(frame.assign(item=values), ITEM)[0]) == []


def test_shipped_data_have_no_codes(frame: pd.DataFrame) -> None:
    for name in bm.list_datasets():
        numeric = bm.load_dataset(name).select_dtypes("number")
        columns = [c for c in numeric.columns if c != bm.describe_dataset(name).cluster]
        assert columns
        values = numeric[columns].to_numpy(dtype=float)
        observed = replace(_read(frame)[0], y=values, y_names=tuple(columns))
        assert codes_for_missing(observed) == [], name


# Cluster means of outcomes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.groupby("g").y.transform("mean"), "cluster mean of 'y'"),
        (lambda d: d.groupby("g").y.transform("mean").round(2), "cluster mean of 'y'"),
        (lambda d: 10 - 3 * d.groupby("g").y.transform("mean"), "cluster mean of 'y'"),
    ],
)
def test_a_cluster_mean_of_an_outcome_is_noted(frame: pd.DataFrame, change, words: str) -> None:
    for name in ("w", "v"):
        (note,) = means_of_outcomes(_read(frame.assign(**{name: change(frame)}))[0])
        assert f"'{name}' is the {words}" in note
        assert "write 'y' in the place" in note


def test_means_of_missing_outcomes_are_those_of_the_observed(frame: pd.DataFrame) -> None:
    frame.loc[::7, "y"] = np.nan
    frame["w"] = frame.groupby("g").y.transform("mean")
    assert len(means_of_outcomes(_read(frame)[0])) == 1


def test_a_cluster_mean_at_level_within_is_noted(frame: pd.DataFrame) -> None:
    frame["x"] = frame.groupby("g").y.transform("mean")
    (note,) = means_of_outcomes(_read(frame)[0])
    assert "'x' is the cluster mean of 'y'" in note


@pytest.mark.parametrize("noise", [0.03, 0.3])
def test_a_variable_close_to_a_cluster_mean_is_not_noted(frame: pd.DataFrame, noise: float) -> None:
    rng = np.random.default_rng(2)
    mean = frame.groupby("g").y.mean().to_numpy()
    frame["w"] = (mean + noise * mean.std() * rng.normal(size=40))[frame.g]
    assert means_of_outcomes(_read(frame)[0]) == []


def test_the_cluster_mean_of_a_covariate_is_not_noted(frame: pd.DataFrame) -> None:
    frame["x"] += np.repeat(np.random.default_rng(3).normal(size=40), 12)
    frame["w"] = frame.groupby("g").x.transform("mean")
    assert _all(frame) == []  # neither a mean of an outcome, nor a blended slope


# Slopes ----------------------------------------------------------------------------------------


def test_a_random_slope_needs_variation_inside_clusters(frame: pd.DataFrame) -> None:
    frame["z"] = frame.v
    (note,) = slopes_without_variation(*_read(frame))
    assert 'rv("s")*z' in note
    assert "constant inside every cluster" in note
    assert "'y ~ z' at level between" in note


def test_a_random_slope_that_two_clusters_show(frame: pd.DataFrame) -> None:
    frame["z"] = np.where(frame.g < 2, frame.z, frame.v)
    (note,) = slopes_without_variation(*_read(frame))
    assert "varies inside 2 clusters of 40 only" in note


def test_a_fixed_slope_needs_no_variation(frame: pd.DataFrame) -> None:
    frame["x"] = frame.v
    assert slopes_without_variation(*_read(frame)) == []
    assert blended_slopes(*_read(frame)) == []  # nor does it blend anything


def test_a_blended_slope_is_noted_with_its_share(frame: pd.DataFrame) -> None:
    shift = np.random.default_rng(4).normal(size=40)
    frame["x"] += shift[frame.g]
    (note,) = blended_slopes(*_read(frame))
    icc = bm.describe(frame, "g", ["x"]).variables.loc["x", "icc1"]
    assert f"x {icc:.2f}" in note
    assert "its slope blends" in note
    line = note[note.index("data['x'] -") : note.rindex(".")]
    centred = frame.assign(x=eval(line, {"data": frame}))
    assert blended_slopes(*_read(centred)) == []
    both = TEXT.replace("y + s ~ w", "y + s ~ w\n y ~ x")
    assert blended_slopes(*_read(frame, both)) == []
    unused = TEXT.replace("y ~ x", "y ~ 0*x")
    assert blended_slopes(*_read(frame, unused)) == []


def test_two_blended_slopes_share_a_note(frame: pd.DataFrame) -> None:
    shift = np.random.default_rng(5).normal(size=(2, 40))
    frame["x"] += shift[0, frame.g]
    frame["z"] += shift[1, frame.g]
    (note,) = blended_slopes(*_read(frame))
    assert "Covariates 'x', 'z'" in note
    assert "their slopes blend" in note


def test_an_outcome_without_a_between_part_blends_nothing(frame: pd.DataFrame) -> None:
    frame["x"] += np.random.default_rng(4).normal(size=40)[frame.g]
    assert blended_slopes(*_read(frame, "level: within\n y ~ x\nlevel: between\n v ~~ v")) == []


def test_clusters_of_one_row_blend_nothing(frame: pd.DataFrame) -> None:
    frame = frame[~frame.g.duplicated()].copy()
    frame = pd.concat([frame, frame.iloc[:1].assign(x=0.1, y=0.2)], ignore_index=True)
    assert blended_slopes(*_read(frame)) == []
