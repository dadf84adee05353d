"""Calibrations of small models: what is drawn, ranked, counted, refused and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.blueprint.rows import row_values
from bayes_msem.studies.replications import Line
from bayes_msem.studies.sbc_replication import (
    CALIBRATION,
    Calibration,
    draw_data,
    likelihood_given,
    spread,
    thinned,
)
from bayes_msem.studies.sbc_result import SbcResult
from bayes_msem.studies.study_file import read_study
from tests.inference.models import quiet_model
from tests.studies.made_up_calibration import QUANTITIES, made_up_calibration

TEXT = """
level: within
    y ~ b*x
level: between
    y ~ w
twice := 2*b
"""
SAMPLED = """
level: within
    y ~ x
    y ~~ rv("v")*y
level: between
    y ~ w
"""
PRIORS = {"regression": "normal(0, 1)", "intercept": "normal(0, 1)", "sd": "halfnormal(1)"}
TRUTH = {
    **{"b": 0.5, "between: y ~ w": 0.1, "between: y ~ 1": 0.0},
    **{"within: y ~~ y": 1.0, "between: y ~~ y": 0.3},
}
TINY: dict[str, Any] = {
    **{"replications": 3, "draws": 60, "tune": 60, "chains": 2},
    **{"random_seed": 7, "progress": False},
}


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(12), 5)
    data = pd.DataFrame({"g": g, "x": rng.normal(size=60), "w": rng.normal(size=12)[g]})
    data["y"] = rng.normal(size=60) + rng.normal(size=12)[g]
    data.loc[[3, 17], "y"] = np.nan
    return data


@pytest.fixture(scope="module")
def model() -> bm.Model:
    return quiet_model(TEXT, frame(), cluster="g", priors=PRIORS)


@pytest.fixture(scope="module")
def sampled() -> bm.Model:
    return quiet_model(SAMPLED, frame(), cluster="g", priors=PRIORS)


@pytest.fixture(scope="module")
def result(model: bm.Model) -> SbcResult:
    return bm.sbc(model, **TINY)


def same(found: SbcResult, expected: SbcResult) -> None:
    """All but the time it took."""
    pd.testing.assert_frame_equal(
        found.replications.drop(columns="seconds"),
        expected.replications.drop(columns="seconds"),
        check_exact=True,
    )
    pd.testing.assert_frame_equal(pd.DataFrame(found.summary()), pd.DataFrame(expected.summary()))


# One replication -----------------------------------------------------------------------------


def test_data_have_the_gaps_and_the_prior_of_the_model(model: bm.Model) -> None:
    blueprint, slopes = model.unpiloted_blueprint(), []
    rng = np.random.default_rng(1)
    for _ in range(300):
        drawn = draw_data(blueprint, rng)
        assert np.flatnonzero(np.isnan(drawn.observed.y[:, 0])).tolist() == [3, 17]
        values = row_values(blueprint, blueprint.theta(drawn.x[None]), drawn.x[None])
        slopes.append(values["b"][0])
        assert values["twice"][0] == 2 * slopes[-1]
        y, x = drawn.observed.y[:, 0], model.observed.x[:, 0]
        kept = np.isfinite(y)
        slopes[-1] -= np.polyfit(x[kept], y[kept], 1)[0]  # of the data, with its error
    assert abs(np.mean(slopes)) < 4 * np.std(slopes) / np.sqrt(300)
    drawn_b = [draw_data(blueprint, rng).x for _ in range(300)]
    first = blueprint.label_positions["b"]
    assert stats.kstest([x[first] for x in drawn_b], "norm").pvalue > 0.001


def test_ranks_are_those_of_a_fit_by_hand(model: bm.Model, result: SbcResult) -> None:
    """With the seeds that the module states; true log-likelihood by the public method."""
    state = np.random.SeedSequence(7, spawn_key=(1,)).generate_state(3, np.uint64)
    drawn = draw_data(model.unpiloted_blueprint(), np.random.default_rng(state[0]))
    other = model.on(drawn.observed)
    with pytest.warns(bm.ConvergenceWarning):
        fit = other.fit(draws=60, tune=60, chains=2, random_seed=int(state[1]) // 2, progress=False)
    blueprint = other.blueprint
    true = row_values(blueprint, blueprint.theta(drawn.x[None]), drawn.x[None])
    free = {row.key: float(true[row.key][0]) for row in other.table.rows if row.free}
    lines = result.replications.set_index(["replication", "quantity"]).loc[1]
    assert list(lines.index) == [
        *("b", "within: y ~~ y", "between: y ~ w", "between: y ~~ y", "between: y ~ 1", "twice"),
        "log_likelihood",
    ]
    assert lines.loc["log_likelihood", "true"] == pytest.approx(other.log_likelihood(free))
    assert lines["max_r_hat"].unique().tolist() == [fit.convergence.max_r_hat]
    for name in ("b", "twice", "between: y ~~ y"):
        line, draws = lines.loc[name], fit.draws[name]
        assert line["true"] == true[name][0]
        below = (draws < line["true"]).mean()
        error = 4 * np.sqrt(0.25 / line["draws"]) + 1 / line["draws"]
        assert (line["rank"] + 0.5) / 100 == pytest.approx(below, abs=error)
    every = [
        other.log_likelihood({k: float(fit.draws[k][c, i]) for k in free})
        for c in range(2)
        for i in range(60)
    ]
    line = lines.loc["log_likelihood"]
    below = (np.array(every) < line["true"]).mean()
    error = 4 * np.sqrt(0.25 / line["draws"]) + 1 / line["draws"]
    assert (line["rank"] + 0.5) / 100 == pytest.approx(below, abs=error)


def test_likelihood_given_effects_is_the_public_one(sampled: bm.Model) -> None:
    rng = np.random.default_rng(3)
    drawn = draw_data(sampled.unpiloted_blueprint(), rng)
    other = sampled.on(drawn.observed)
    names = other.blueprint.template.effects.sampled
    effects = pd.DataFrame(drawn.effects, columns=names, index=other.observed.cluster_ids)
    x = drawn.x[None]
    values = row_values(other.blueprint, other.blueprint.theta(x), x)
    free = {row.key: float(values[row.key][0]) for row in other.table.rows if row.free}
    expected = other.log_likelihood(free, effects=effects)
    assert likelihood_given(other.blueprint, drawn.x, drawn.effects) == pytest.approx(expected)
    ranked = bm.sbc(sampled, **TINY | {"replications": 1, "quantities": "log_likelihood"})
    assert ranked.ranks.shape == (1, 1)


def test_thinned_draws_are_evenly_spaced() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 500))
    draws, ess = thinned(values, 99)
    places = [int(np.flatnonzero(values.reshape(-1) == d)[0]) for d in draws]
    assert len(draws) == 99
    assert set(np.diff(places)) <= {10, 11}
    assert 600 < ess < 1400
    noise = np.zeros((2, 500))
    for i in range(1, 500):
        noise[:, i] = 0.98 * noise[:, i - 1] + rng.normal(size=2)
    few, ess = thinned(noise, 99)
    assert len(few) == int(ess) < 60
    assert len(thinned(np.ones((2, 500)), 99)[0]) == 99  # ties, which are broken at random


def test_ranks_among_few_draws_spread_evenly() -> None:
    rng = np.random.default_rng(1)
    found = [spread(int(rng.integers(8)), 7, 99, rng) for _ in range(20000)]
    assert stats.chisquare(np.bincount(found, minlength=100)).pvalue > 0.001
    assert spread(5, 99, 99, rng) == 5
    assert {spread(7, 7, 99, rng) // 12 for _ in range(100)} <= {7, 8}  # 87 to 99


# The run ---------------------------------------------------------------------------------------


def test_executors_give_the_same(model: bm.Model, result: SbcResult) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = bm.sbc(model, executor=pool, **TINY)
    same(found, result)
    assert found.fits["seconds"].isna().all()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        same(bm.sbc(model, executor=pool, **TINY), result)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Which replications are computed; the third one is interrupted the first time."""
    done: list[int] = []
    original = Calibration.__call__

    def counted(self: Calibration, number: int) -> list[Line]:
        done.append(number)
        if len(done) == 3:
            raise KeyboardInterrupt
        return original(self, number)

    monkeypatch.setattr(Calibration, "__call__", counted)
    return done


def test_a_calibration_goes_on_where_it_stopped(
    model: bm.Model, result: SbcResult, tmp_path: Path, computed: list[int]
) -> None:
    path = tmp_path / "ranks.csv"
    with pytest.raises(KeyboardInterrupt):
        bm.sbc(model, path=path, **TINY)
    later = TINY | {"random_seed": None}  # is that of the file
    same(bm.sbc(model, path=path, **later), result)
    assert computed == [0, 1, 2, 2]
    same(bm.sbc(model, path=path, **later), result)
    other = tmp_path / "saved.csv"
    result.save(other)
    assert read_study(other, CALIBRATION)[0] == read_study(path, CALIBRATION)[0]
    same(bm.sbc(model, path=other, **TINY), result)
    assert len(computed) == 4
    with pytest.raises(bm.FileError, match="another calibration: settings of the sampler differ"):
        bm.sbc(model, path=path, **TINY | {"draws": 70})
    narrow = quiet_model(TEXT, frame(), cluster="g", priors=PRIORS | {"sd": "halfnormal(2)"})
    with pytest.raises(bm.FileError, match=r"another calibration: .*priors"):
        bm.sbc(narrow, path=path, **TINY)
    with pytest.raises(bm.FileError, match="not the file of a study"):
        bm.study(model, TRUTH, clusters=5, sizes=5, path=path)


def test_failures_are_counted_and_told(model: bm.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = bm.Model.fit, []

    def fit(self: bm.Model, **settings: Any) -> bm.Fit:
        calls.append(1)
        if len(calls) == 2:
            raise ArithmeticError("no luck\ntoday")
        return original(self, **settings)

    monkeypatch.setattr(bm.Model, "fit", fit)
    with pytest.warns(bm.AccuracyWarning, match=r"1 of 3 replications failed .*no luck today"):
        found = bm.sbc(model, **TINY)
    assert found.fits[["done", "failed"]].to_numpy().tolist() == [[2, 1]]
    assert found.ranks.index.tolist() == [0, 2]
    assert "1 failed (33.3%)" in repr(found)
    monkeypatch.setattr(bm.Model, "fit", lambda self, **settings: 1 / 0)
    with pytest.warns(bm.AccuracyWarning, match=r"3 of 3 replications failed .*ZeroDivision"):
        nothing = bm.sbc(model, **TINY)
    assert nothing.summary()["p"].isna().all()
    assert "0 replications done" in repr(nothing)
    with pytest.raises(bm.SpecificationError, match="no ranks to draw"):
        nothing.plot()


def test_absurd_draws_of_the_prior_are_failures(sampled: bm.Model) -> None:
    wild = PRIORS | {"intercept": "normal(3000, 1)"}  # the log SD of the rows, among others
    model = quiet_model(SAMPLED, frame(), cluster="g", priors=wild)
    with pytest.warns(bm.AccuracyWarning, match="3 of 3 replications failed"):
        assert bm.sbc(model, **TINY).fits["failed"].item() == 3


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "model": ({"model": 1}, "model must be a bayes_msem.Model"),
    "unknown": ({"quantities": ["within: y ~ z"]}, "no row 'within: y ~ z'; did you mean"),
    "nothing": ({"quantities": []}, "quantities is empty"),
    "none done": ({"replications": 0}, "replications must be a number of replications"),
    "executor": ({"executor": 2}, "executor=2 cannot run anything"),
    "draws": ({"draws": 0}, "draws must be an integer"),
    "option": ({"target_accept": 2}, "target_accept"),
    "suffix": ({"path": "ranks.txt"}, "suffix decides the format"),
    "word": ({"reps": 3}, "reps"),
    "seed": ({"random_seed": -1}, "random_seed"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused_before_anything_runs(
    model: bm.Model, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bm.Model, "fit", None)
    wrong, message = BAD[case]
    with pytest.raises(bm.MsemError, match=message):
        bm.sbc(**{"model": model} | TINY | wrong)


def test_models_and_rows_without_a_posterior_are_refused() -> None:
    fixed = quiet_model("y ~ 1*x\ny ~~ 1*y\ny ~ 0*1", frame())
    with pytest.raises(bm.SpecificationError, match="no free parameters"):
        bm.sbc(fixed)
    slope = quiet_model(
        'level: within\ny ~ rv("s")*x\nlevel: between\ny ~ 1*w', frame(), cluster="g"
    )
    with pytest.raises(bm.SpecificationError, match="is a random coefficient"):
        bm.sbc(slope, quantities=["within: y ~ x"])
    with pytest.raises(bm.SpecificationError, match="is fixed at 1"):
        bm.sbc(slope, quantities=["between: y ~ w"])


# What is shown ---------------------------------------------------------------------------------


def test_summary_of_uniform_and_other_ranks() -> None:
    good, bad = made_up_calibration(), made_up_calibration(power=0.5)
    table = good.summary().set_index("quantity")
    assert list(table.index) == list(QUANTITIES)
    assert (table["p_holm"] > 0.05).all()
    ranks = good.ranks["b"].to_numpy()
    assert table.loc["b", "mean"] == pytest.approx(np.mean((ranks + 0.5) / 100))
    assert table.loc["b", "spread"] == pytest.approx(
        np.std(ranks / 100, ddof=1) / np.std(np.arange(100) / 100)
    )
    table = bad.summary().set_index("quantity")
    assert (table.loc[["b", "twice"], "p_holm"] < 0.001).all()
    assert (table.loc[["within: y ~~ y", "log_likelihood"], "p_holm"] > 0.05).all()
    assert table.loc["b", "mean"] > 0.6
    fits = good.fits.iloc[0]
    assert (fits["done"], fits["failed"]) == (100, 2)
    assert fits["failed_share"] == pytest.approx(2 / 102)
    assert (fits["divergent"], fits["r_hat_high"]) == (0.2, 0.25)


def test_displays() -> None:
    found = made_up_calibration()
    assert "100 replications done, 2 failed (2.0%)" in " ".join(repr(found).split())
    assert "log_likelihood" in repr(found)
    assert "<table" in found._repr_html_()


def test_figure_marks_what_is_not_uniform() -> None:
    found = made_up_calibration(power=0.5)
    figure = found.plot()
    assert [ax.get_title(loc="left") for ax in figure.axes] == list(QUANTITIES)
    colours = [ax.get_lines()[-1].get_color() for ax in figure.axes]
    assert colours[0] == colours[2] != colours[1] == colours[3]
    assert len(found.plot("b").axes) == 1
    with pytest.raises(bm.SpecificationError, match="'c' was not ranked"):
        found.plot(["c"])
