"""Studies of a small model: designs refused, the same numbers from everywhere, resumed, stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.studies import replications as replications_module
from bayes_msem.studies.study_design import StudyDesign
from bayes_msem.studies.study_result import StudyResult
from tests.inference.models import quiet_model

TEXT = """
level: within
    y ~ b*x
level: between
    y ~ c*w
double := 2*b
"""
TRUTH = {
    "b": 0.5,
    "c": 0.0,
    ("between", "y", "~", "1"): 1.0,
    ("within", "y", "~~", "y"): 1.0,
    ("between", "y", "~~", "y"): 0.3,
}
TINY: dict[str, Any] = {
    **{"sizes": 4, "replications": 2, "draws": 50, "tune": 50, "chains": 2},
    **{"random_seed": 7, "progress": False},
}


def covariates() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(12), 5)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=60), "w": rng.normal(size=12)[g]})
    frame["y"] = rng.normal(size=60) + rng.normal(size=12)[g]
    return frame


@pytest.fixture(scope="module")
def model() -> bm.Model:
    return quiet_model(TEXT, covariates(), cluster="g")


@pytest.fixture(scope="module")
def result(model: bm.Model) -> StudyResult:
    return bm.study(model, TRUTH, clusters=[6, 9], ml=True, **TINY)


def same(found: StudyResult, expected: StudyResult) -> None:
    """All but the time it took."""
    pd.testing.assert_frame_equal(
        found.replications.drop(columns="seconds"),
        expected.replications.drop(columns="seconds"),
        check_exact=True,
    )
    pd.testing.assert_frame_equal(pd.DataFrame(found.table), pd.DataFrame(expected.table))


class Here(Executor):
    """Runs what it is given at once."""

    def submit(self, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(task(*args, **kwargs))
        return future


def test_a_replication_is_a_fit_to_simulated_data(model: bm.Model, result: StudyResult) -> None:
    """Simulated and fitted by hand, with the seeds that the documentation states."""
    state = np.random.SeedSequence(7, spawn_key=(9, 4, 1)).generate_state(2, np.uint64)
    data_seed, sampler_seed = (int(word) // 2 for word in state)
    data = model.simulate(TRUTH, clusters=9, sizes=4, random_seed=data_seed)
    other = quiet_model(TEXT, data, cluster="g")
    with pytest.warns(bm.ConvergenceWarning):
        fit = other.fit(
            draws=50, tune=50, chains=2, random_seed=sampler_seed, progress=False, cores=1
        )
    summary = fit.summary()
    lines = result.replications.set_index(["clusters", "replication", "method", "target"])
    names = [target for target in lines.loc[(9, 1, "Bayes")].index]
    assert names == ["b", "within: y ~~ y", "c", "between: y ~~ y", "between: y ~ 1", "double"]
    for name in names:
        line = lines.loc[(9, 1, "Bayes", name)]
        keys = summary["level"] + ": " + summary["lhs"] + " " + summary["op"] + " " + summary["rhs"]
        row = summary[(summary["label"] == name) | (keys == name) | (summary["lhs"] == name)].iloc[
            0
        ]
        assert line["estimate"] == row["median"]
        assert (line["lower"], line["upper"]) == (row["lower"], row["upper"])
        assert line["sd"] == pytest.approx(row["sd"], rel=1e-12)
        assert line["max_r_hat"] == fit.convergence.max_r_hat
    mode = other.mode(prior=False)
    line = lines.loc[(9, 1, "ML", "c")]
    assert line["estimate"] == pytest.approx(mode["c"])
    half = 1.959963984540054 * mode.standard_errors["between", "y", "~", "w"]
    assert line["upper"] - line["estimate"] == pytest.approx(half)


def test_true_values_and_definitions(result: StudyResult) -> None:
    truth = result.table.drop_duplicates("target").set_index("target")["true"].to_dict()
    assert truth == {
        **{"b": 0.5, "within: y ~~ y": 1.0, "c": 0.0, "between: y ~~ y": 0.3},
        **{"between: y ~ 1": 1.0, "double": 1.0},
    }
    assert (result.cells["seconds"] > 0).all()
    assert result.table["power"].isna().sum() == 2 * 2 * 2  # variances


def test_executors_give_the_same(model: bm.Model, result: StudyResult) -> None:
    same(bm.study(model, TRUTH, clusters=[6, 9], ml=True, executor=Here(), **TINY), result)
    with ThreadPoolExecutor(2) as pool:
        found = bm.study(model, TRUTH, clusters=[6, 9], ml=True, executor=pool, **TINY)
    same(found, result)
    assert found.cells["seconds"].isna().all()


@pytest.mark.slow
def test_two_processes_give_the_same(model: bm.Model, result: StudyResult) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        same(bm.study(model, TRUTH, clusters=[6, 9], ml=True, executor=pool, **TINY), result)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Which replications are computed."""
    done: list[tuple[int, int]] = []
    original = replications_module.replicate

    def replicate(design: StudyDesign, cell: Any, number: int) -> Any:
        done.append((cell.clusters, number))
        return original(design, cell, number)

    monkeypatch.setattr(replications_module, "replicate", replicate)
    return done


def test_a_study_goes_on_where_it_stopped(
    model: bm.Model, result: StudyResult, tmp_path: Path, counted: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = tmp_path / "study.csv"
    with monkeypatch.context() as patch:
        original = replications_module.replicate

        def interrupted(design: StudyDesign, cell: Any, number: int) -> Any:
            if counted:
                raise KeyboardInterrupt
            return original(design, cell, number)

        patch.setattr(replications_module, "replicate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bm.study(model, TRUTH, clusters=[6, 9], ml=True, path=path, **TINY)
    assert counted == [(6, 0)]
    later = TINY | {"random_seed": None}  # is that of the file
    same(bm.study(model, TRUTH, clusters=[6, 9], ml=True, path=path, **later), result)
    assert counted == [(6, 0), (9, 0), (6, 1), (9, 1)]
    same(bm.study(model, TRUTH, clusters=[6, 9], ml=True, path=path, **later), result)
    assert len(counted) == 4
    with pytest.raises(bm.FileError, match="another study: values differ"):
        bm.study(model, TRUTH | {"b": 0.4}, clusters=[6, 9], ml=True, path=path, **TINY)
    with pytest.raises(bm.FileError, match="another study: settings of the sampler differ"):
        bm.study(model, TRUTH, clusters=6, ml=True, path=path, **TINY | {"draws": 60})
    assert len(counted) == 4


def fake(design: StudyDesign, cell: Any, number: int) -> list[dict[str, Any]]:
    """Intervals that always exclude 0 with nine clusters, and every other time with six."""
    sign = -1.0 if cell.clusters == 6 and number % 2 else 1.0
    line = {"clusters": cell.clusters, "size": cell.size, "replication": number}
    numbers = {"estimate": 1.0, "sd": 1.0, "lower": sign, "upper": 2.0, "seconds": 1.0}
    rest = {"max_r_hat": 1.0, "divergences": 0.0, "failure": ""}
    return [line | {"method": "Bayes", "target": t.name} | numbers | rest for t in design.targets]


def test_cells_stop_when_power_is_known(model: bm.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replications_module, "replicate", fake)
    arguments = TINY | {"replications": 100, "targets": ["b"], "batch": 10}
    found = bm.study(model, TRUTH, clusters=[6, 9], stop_mcse=0.06, **arguments)
    # sqrt(q (1 - q) / (n + 4)): .062 after 20 of 20 and .046 after 30 of 30 are reached first ...
    n = {c: next(n for n in range(10, 101, 10) if math.sqrt(q(n) * (1 - q(n)) / (n + 4)) <= 0.06)
         for c, q in {6: lambda n: 0.5, 9: lambda n: (n + 2) / (n + 4)}.items()}  # fmt: skip
    assert found.cells.set_index("clusters")["done"].to_dict() == n
    assert n[9] < n[6] < 100
    with pytest.raises(bm.SpecificationError, match="none of the targets has one"):
        bm.study(model, TRUTH, clusters=6, stop_mcse=0.1, **TINY | {"targets": ["y ~~ y"]} | {
            "targets": "within: y ~~ y"})  # fmt: skip


def test_failures_are_counted_and_told(model: bm.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    original = bm.Model.fit

    def fit(self: bm.Model, **settings: Any) -> bm.Fit:
        if self.observed.n_clusters == 6:
            raise ArithmeticError("no luck\ntoday")
        return original(self, **settings)

    monkeypatch.setattr(bm.Model, "fit", fit)
    with pytest.warns(bm.AccuracyWarning, match=r"2 of 4 replications failed .*no luck today"):
        found = bm.study(model, TRUTH, clusters=[6, 9], **TINY)
    assert found.cells[["done", "failed"]].to_numpy().tolist() == [[0, 2], [2, 0]]
    assert found.table.query("clusters == 6")["bias"].isna().all()
    assert np.isfinite(found.table.query("clusters == 9")["bias"]).all()
    assert "no luck" in found.replications["failure"].iloc[0]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown target": ({"targets": ["within: y ~ z"]}, "no row 'within: y ~ z'; did you mean"),
    "no target": ({"targets": []}, "targets is empty"),
    "few clusters": ({"clusters": [1, 5]}, "clusters must be a number of clusters"),
    "no clusters": ({"clusters": None}, "clusters is missing"),
    "twice": ({"clusters": [5, 5]}, "clusters has 5 twice"),
    "empty": ({"sizes": []}, "sizes is empty"),
    "no rows": ({"sizes": [0]}, "sizes must be a number of rows"),
    "half": ({"sizes": 1.5}, "sizes must be a number of rows"),
    "none done": ({"replications": 0}, "replications must be a number of replications"),
    "values": ({"values": {"b": 0.5}}, "no value given for 4 free row"),
    "negative": ({"values": TRUTH | {("within", "y", "~~", "y"): -1.0}}, "variance"),
    "executor": ({"executor": 2}, "executor=2 cannot run anything"),
    "rope": ({"rope": (0.1, -0.1)}, "must ascend"),
    "rope of what": ({"rope": {"d": (0, 1)}}, "rope: no row 'd'"),
    "one number": ({"rope": 0.1}, "rope must be a list"),
    "interval": ({"ci": 95}, "ci=95 is not a probability"),
    "option": ({"target_accept": 2}, "target_accept"),
    "stop": ({"stop_mcse": 0.0}, "stop_mcse must be a number between 0 and 0.5"),
    "suffix": ({"path": "study.parquet"}, "suffix decides the format"),
    "word": ({"reps": 3}, "reps"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_designs_are_refused_before_anything_runs(
    model: bm.Model, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bm.Model, "fit", None)
    arguments, message = BAD[case]
    given = {"values": TRUTH, "clusters": 6, **TINY} | arguments
    with pytest.raises(bm.MsemError, match=message):
        bm.study(model, **given)


def test_random_coefficients_and_constants_are_no_targets() -> None:
    text = 'level: within; y ~ rv("s")*x; level: between; y ~ 0.5*w; s ~~ s'
    model = quiet_model(text, covariates(), cluster="g")
    values = {row.key: 0.5 for row in model.table.rows if row.free}
    values |= {row.key: 0.0 for row in model.table.rows if row.free and row.kind == "covariance"}
    for target, message in {
        "within: y ~ x": "its mean is 'between: s ~ 1'",
        "between: y ~ w": "is fixed at 0.5",
    }.items():
        with pytest.raises(bm.SpecificationError, match=message):
            bm.study(model, values, clusters=6, targets=[target], **TINY)


def test_data_that_no_model_can_be_declared_on_are_refused_first() -> None:
    """One row per cluster leaves nothing to split."""
    frame = covariates().assign(x=lambda d: np.where(d["g"] == 0, d["x"], 0.0))
    model = quiet_model("level: within; y ~ x; level: between; y ~~ y", frame, cluster="g")
    values = {row.key: 0.5 for row in model.table.rows if row.free}
    with pytest.raises(bm.SpecificationError, match="data of 2 clusters of 1 cannot be analysed"):
        bm.study(model, values, clusters=2, **TINY | {"sizes": 1, "replications": 1})


def test_single_level_models_have_rows_only() -> None:
    model = bm.Model("y ~ x", covariates())
    values = {row.key: 0.5 for row in model.table.rows if row.free}
    with pytest.raises(bm.SpecificationError, match="the model has a single level; leave clusters"):
        bm.study(model, values, clusters=5, **TINY)
    found = bm.study(model, values, **TINY | {"sizes": [20, 30], "targets": "y ~ x"})
    assert found.table["size"].tolist() == [20, 30]
    assert "clusters" not in found.table
    assert len(found.plot().axes) == 1
