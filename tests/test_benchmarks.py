"""Every benchmark starts, with settings far too small to measure anything."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.inference.density import joint_log_likelihood, log_prior
from benchmarks.calibration_classes import CLASSES

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SHARED = (
    *("measure", "models", "by_hand", "random_loadings", "planted", "vanishing"),
    *("marked_tables", "calibration_designs", "calibration_classes", "exact_ranks", "suite"),
    *("prior_cells", "prior_designs", "prior_msalt"),
    "check_report",
    *("prior_candidates", "prior_reweighting", "prior_report", "small_samples_report"),
)
TINY = {"draws": 20, "tune": 20, "chains": 2}
TINY_BUDGET = {"draws": 20, "tune": 20, "progress": False}


class Serial:
    """In place of a process pool: its workers would import and compile everything anew."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Serial:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    map = staticmethod(map)


@pytest.fixture(scope="module")
def load() -> Iterator[Callable[[str], ModuleType]]:
    """Import scripts by name, as they import each other; compile each model once."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    compiled: dict[str, Any] = {}
    models = importlib.import_module("models")
    compile_anew = models.compiled_for_sampling

    def compiled_once(model: bm.Model) -> Any:
        key = f"{model.spec} {model.observed.n_rows}"
        if key not in compiled:
            compiled[key] = compile_anew(model)
        return compiled[key]

    models.compiled_for_sampling = compiled_once
    yield importlib.import_module
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None)
        if path is not None and Path(path).parent == BENCHMARKS:
            del sys.modules[name]


@pytest.fixture
def start(
    load: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Return a function that runs a script with other constants, and what it prints."""

    def run(name: str, *arguments: str, **constants: Any) -> str:
        script = load(name)
        for constant, value in constants.items():
            assert hasattr(script, constant), f"{name}.py has no {constant}"
            monkeypatch.setattr(script, constant, value)
        if hasattr(script, "sample"):
            monkeypatch.setattr(script, "sample", partial(tiny_sample, script.sample))
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.MsemWarning)  # so few draws do not converge
            script.main()
        return capsys.readouterr().out

    return run


def tiny_sample(sample: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return sample(*arguments, **options | TINY)


def rows(printed: str) -> list[list[str]]:
    """Cells of the tables, without heads."""
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    rule = [i for i, line in enumerate(lines) if set(line) <= set("|-: ")]
    heads = {i - 1 for i in rule} | set(rule)
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for i, line in enumerate(lines)
        if i not in heads
    ]


def number(cell: str) -> float:
    found = re.search(r"[\d.]+", cell)
    assert found, cell
    return float(found[0])


def test_gradient(start: Callable[..., str]) -> None:
    table = rows(start("bench_gradient", "--quick", CALLS=2, BATCHES=2))
    assert [row[0] for row in table] == ["reference", "lq2002"]
    assert [row[1:5] for row in table] == [
        ["2,500", "200", "5", "20"],
        ["2,042", "49", "34", "52"],
    ]
    assert all(number(cell) > 0 for row in table for cell in row[5:])


def test_wide(start: Callable[..., str]) -> None:
    options = {"FACTORS": 1, "INDICATORS": (4, 5), "CALLS": 2, "BATCHES": 2, "DRAWS": 20}
    printed = start("bench_wide", **options)
    table = rows(printed)
    assert [row[:2] for row in table] == [["4 indicators", "20"], ["5 indicators", "25"]]
    assert all(number(cell) > 0 for row in table for cell in row[2:])
    assert re.search(r"4 x \(20 \+ 20\) draws of the first: [\d.]+ CPU s", printed)


def test_missing(start: Callable[..., str]) -> None:
    few = {"LARGE_ROWS": 600, "LARGE_CLUSTERS": 30, "LARGE_REPEATS": 1}
    printed = start("bench_missing", REPEATS=1, BATCHES=1, **few)
    assert "2,500 rows in 200 clusters" in printed
    assert re.search(r"random intercepts: complete [\d.]+ / [\d.]+ us, 15% missing", printed)
    assert re.search(r"600 rows in 30 clusters, .* 30% missing .*: [\d.]+ / [\d.]+ ms", printed)
    assert re.search(r"random slope: .*row by row [\d.]+ us", printed)


def test_vanishing(start: Callable[..., str]) -> None:
    options = ("--seeds", "1", "--clusters", "15", "--draws", "20")
    table = rows(start("bench_vanishing", *options, "--blocks", "four effects, one constant"))
    ((_, clusters, seed, *figures),) = table
    assert (clusters, seed) == ("15", "1")
    pilot, seconds, ess, r_hat, steps, _ = (number(cell) for cell in figures)
    assert min(pilot, seconds) >= 0  # a tenth of a second is the unit
    assert min(ess, r_hat, steps) > 0


def test_replicate(start: Callable[..., str]) -> None:
    printed = start("bench_replicate", DRAWS=8)
    assert len(rows(printed)) == 3
    assert re.search(r"fit\.ppc\(\): [\d.]+ with all statistics", printed)


def test_after(
    start: Callable[..., str],
    load: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The calls are made here, on a fit of 40 draws; two of six, for the others take seconds."""
    script = load("bench_after")
    monkeypatch.chdir(tmp_path)
    calls = {name: script.CALLS[name] for name in ("cluster_effects()", 'loo(unit="observation")')}
    budget = {"draws": 20, "tune": 20, "chains": 2}
    table = rows(start("bench_after", BUDGET=budget, CALLS=calls, run_child=script.seconds_of))
    assert [row[0] for row in table] == [f"fit.{name}" for name in calls]
    assert all(number(row[1]) > 0 for row in table)


def test_compile(
    start: Callable[..., str],
    load: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The child runs here, with the caches that are there."""
    script = load("bench_compile")

    def run_child(folder: Path) -> dict[str, float]:
        script.child()
        phases: dict[str, float] = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert folder.is_dir()
        return phases

    table = rows(start("bench_compile", TARGETS={"warm": 8.0}, DRAWS=20, run_child=run_child))
    ((label, _, fitted, *_),) = table
    assert label == "warm"
    assert number(fitted) > 0


def test_start(
    start: Callable[..., str],
    load: Callable[[str], ModuleType],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The child runs here, where all is imported."""
    script = load("bench_start")

    def run_child(checkout: Path) -> dict[str, float]:
        script.child(20)
        phases: dict[str, float] = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (checkout / "bayes_msem").is_dir()
        return phases

    table = rows(start("bench_start", REPEATS=1, run_child=run_child))
    assert [row[0] for row in table] == ["import", "refusal", "first fit", "second fit"]
    assert all(number(row[1]) > 0 for row in table[2:])  # a refusal takes next to nothing


def test_large(start: Callable[..., str]) -> None:
    table = rows(start("bench_large", "--clusters", "40", "--draws", "20"))
    assert [row[0] for row in table[:4]] == [
        *("Model(...)", "fit", "summary()", "cluster_effects()"),
    ]
    assert all(number(row[2]) > 0 for row in table)


@pytest.mark.slow
def test_random_loadings_gradient(start: Callable[..., str]) -> None:
    table = rows(start("bench_random_loadings", "gradient", CALLS=2, BATCHES=2))
    assert [row[1] for row in table] == ["60", "60", "200"]
    assert all(number(cell) > 0 for row in table for cell in row[3:])


@pytest.mark.slow
def test_sampling(start: Callable[..., str]) -> None:
    table = rows(start("bench_sampling", SEEDS=(1,)))
    assert [row[0] for row in table] == ["bayes_msem", *["by hand, non-centred"] * 2]


@pytest.mark.slow
def test_random_loadings(start: Callable[..., str], load: Callable[[str], ModuleType]) -> None:
    script = load("bench_random_loadings")
    printed = start(
        "bench_random_loadings",
        "seeds",
        "hand",
        "large",
        SEEDS=(1,),
        HAND_SEEDS=(1,),
        SMALL_BEST=script.SMALL_BEST[:1],
        LARGE_BEST=script.LARGE_BEST[:1],
        LARGE=script.SMALL,
    )
    assert len(rows(printed)) == 1 + 2 * (2 + 1)


@pytest.mark.slow
def test_compare_options(start: Callable[..., str], load: Callable[[str], ModuleType]) -> None:
    options = load("compare_options").OPTIONS
    table = rows(start("compare_options", "--seeds", "1", "--model", "reference"))
    assert [row[0] for row in table] == list(options)


@pytest.mark.slow
def test_missing_study(start: Callable[..., str], tmp_path: Path) -> None:
    printed = start(
        "missing_study",
        *("--replications", "2", "--out", str(tmp_path)),
        ProcessPoolExecutor=Serial,
    )
    assert "| within: loadings |" in printed
    assert len((tmp_path / "missing_study.csv").read_text().splitlines()) == 1 + 2 * 5 * 20


@pytest.mark.slow
def test_ppp_study(start: Callable[..., str], tmp_path: Path) -> None:
    printed = start(
        "ppp_study",
        *("--replications", "2", "--out", str(tmp_path)),
        ProcessPoolExecutor=Serial,
        CASES={
            "right, 30 clusters": {"n_clusters": 30},
            "slopes": {"slope_sd": 1, "n_clusters": 30},
        },
    )
    assert "chi_square_refit" in printed
    assert (tmp_path / "ppp_study.png").is_file()


def test_check_study(start: Callable[..., str], tmp_path: Path) -> None:
    """Two data sets, one more by each class in a second call; then the report."""
    results, page = tmp_path / "results.csv.xz", tmp_path / "page.md"
    small = {"ProcessPoolExecutor": Serial, "CLUSTERS": (15,), "ROWS": (8,), "REPLICATES": 20,
             "MISFITS": {"within": (0.3, 0.5)}, "WRONG": 1, "SAMPLED_WRONG": 0}  # fmt: skip
    out = ("--out", str(results))
    assert "4 data sets" in start("check_study", *out, **small, RIGHT=1, NUTS=0)
    assert "7 data sets" in start("check_study", *out, **small, RIGHT=2, NUTS=1)
    text = (BENCHMARKS.parent / "docs" / "checks.md").read_text(encoding="utf-8")
    marks = re.findall(r"<!-- (?:begin|end): [a-z ]+ -->", text)
    page.write_text("\n".join(marks), encoding="utf-8")
    start("check_study", "--report", *out, "--page", str(page), "--figures", str(tmp_path))
    written = page.read_text(encoding="utf-8")
    assert "| 15 | 2 | " in written
    assert "For 1 right data sets with integrated effects, NUTS" in written
    assert (tmp_path / "check_power.png").is_file()
    assert (tmp_path / "check_distribution.png").is_file()


def test_loo_study(start: Callable[..., str], tmp_path: Path) -> None:
    results = tmp_path / "loo.csv"
    small = {"ProcessPoolExecutor": Serial, "CLUSTERS": (15,), "ROWS": (8,), "DATA_SETS": 1,
             "SIZE": {"slopes": 0.3}, "DRAWS": 30, "NEW": 20}  # fmt: skip
    start("loo_study", "--out", str(results), **small)
    start("loo_study", "--out", str(results), **small)  # nothing is missing
    table = pd.read_csv(results)
    assert table["planted"].tolist() == ["nothing", "slopes"]
    assert (table["se_diff"] > 0).all()


def test_outcomes(start: Callable[..., str]) -> None:
    small = {"n_clusters": 8, "size": 4, "n_factors": 2, "n_items": 5}
    printed = start("bench_outcomes", SEEDS=(1,), N_SETS=1, LARGE=small, BUDGET=TINY_BUDGET)
    assert len(rows(printed)) == 3
    assert " of 1 have R-hat below 1.01" in printed


def test_calibration_outcomes(start: Callable[..., str], tmp_path: Path) -> None:
    """One fit of every case, then nothing but the table: what is there is not fitted again."""
    page = tmp_path / "page.md"
    page.write_text("<!-- begin: calibration --><!-- end: calibration -->", encoding="utf-8")
    tiny: dict[str, Any] = {
        "RESULTS": tmp_path / "results.csv",
        "PAGE": page,
        "FIGURE": tmp_path / "figure.png",
        "BUDGET": TINY,
        "THIN": 2,
        "N_DRAWS": 19,
    }
    printed = start("calibration_outcomes", "--data-sets", "1", **tiny)
    assert printed.count(" CPU s") == 4
    table = rows(printed)
    assert [row[1:3] for row in table] == [["1", "20"], ["1", "20"], ["1", "9"], ["1", "6"]]
    assert rows(page.read_text(encoding="utf-8")) == table
    assert (tmp_path / "figure.png").is_file()
    again = start("calibration_outcomes", "--data-sets", "1", **tiny)
    assert " CPU s" not in again
    assert rows(again) == table


def test_calibration(start: Callable[..., str], tmp_path: Path) -> None:
    """A few data sets of two classes, then nothing but tables and figures."""
    page = tmp_path / "page.md"
    names = ("exact", "nuts", "fits", "found")
    marks = "\n".join(f"<!-- begin: {name} --><!-- end: {name} -->" for name in names)
    page.write_text(marks, encoding="utf-8")
    tiny: dict[str, Any] = {
        "RESULTS": tmp_path / "results.csv",
        "PAGE": page,
        "FIGURES": tmp_path,
        "BUDGET": TINY,
        "CLASSES": CLASSES[:2],
    }
    counts = ("--times", "0.02")
    printed = start("calibration", *counts, **tiny)
    assert printed.count(": done") == 4 + 2
    table = rows(printed)
    assert [row[:3] for row in table[:2]] == [
        ["random intercepts", "13", "4"],
        ["random slopes", "9", "4"],
    ]
    assert rows(page.read_text(encoding="utf-8")) == table
    assert (tmp_path / "calibration_exact.png").is_file()
    assert (tmp_path / "calibration_nuts.png").is_file()
    results = tmp_path / "results.csv"
    before = results.read_text(encoding="utf-8")
    assert rows(start("calibration", *counts, **tiny)) == table
    assert results.read_text(encoding="utf-8") == before


def test_prior_study(
    start: Callable[..., str],
    load: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Two data sets of one cell of every generating model, then the report."""
    designs = load("prior_designs")
    tiny = {"draws": 100, "tune": 100, "chains": 1}
    few = [load("prior_cells").Cell(name, 5, 5, 0.2) for name in designs.DESIGNS if name != "msalt"]
    results, page = tmp_path / "results.csv.xz", tmp_path / "page.md"
    options = ("--sets", "2", "--results", str(results))
    start("prior_study", "--designs", "msalt", *options, BUDGET=tiny)
    start("prior_study", *options, BUDGET=tiny, cells=lambda: few)
    text = (BENCHMARKS.parent / "docs" / "prior_study.md").read_text(encoding="utf-8")
    marks = re.findall(r"<!-- (?:begin|end): [\w ]+ -->", text)
    page.write_text("\n".join(marks), encoding="utf-8")
    start(
        "prior_study",
        *("--report", "--results", str(results), "--page", str(page)),
        *("--figure", str(tmp_path / "figure.png")),
    )
    written = page.read_text(encoding="utf-8")
    today = next(line for line in written.splitlines() if line.startswith("| 2.5"))
    assert [cell.split(" / ")[0] for cell in rows(today)[0][2:]] == ["1.00"] * 7
    assert (tmp_path / "figure.png").is_file()


def test_small_samples(
    start: Callable[..., str], load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """Two data sets of two cells, and two more; then the report."""
    prior_study = BENCHMARKS / "prior_study_results.csv.xz"
    results, page = tmp_path / "results.csv", tmp_path / "page.md"
    tiny = {"BUDGET": {"draws": 50, "tune": 50, "chains": 2}, "SIZES": (20, 40)}
    cells = {"CLUSTERS": (20,), "EFFECTS": (0.1, 0.25)}
    for sets in ("1", "2"):  # the second call goes on
        options = ("--sets", sets, "--results", str(results))
        assert "sets a cell" in start("small_samples", *options, **tiny, **cells)
    lines = results.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 2 * 3 * 9
    assert {line.split(",")[5] for line in lines[1:]} == {"2"}
    text = (BENCHMARKS.parent / "docs" / "small_samples.md").read_text(encoding="utf-8")
    page.write_text("\n".join(re.findall(r"<!-- (?:begin|end): [\w ]+ -->", text)), "utf-8")
    start(
        "small_samples",
        *("--report", "--results", str(results), "--prior-study", str(prior_study)),
        *("--page", str(page), "--figure", str(tmp_path / "figure.png")),
    )
    assert "2 data sets a cell, 4 in all" in page.read_text(encoding="utf-8")
    assert (tmp_path / "figure.png").is_file()


@pytest.mark.slow
def test_compare_checkouts(start: Callable[..., str]) -> None:
    """A checkout beside itself, each in a process of its own."""
    here = str(BENCHMARKS.parent)
    options = ("--models", "reference", "--batches", "2")
    printed = start("compare_checkouts", here, here, *options)
    (row,) = rows(printed)
    assert row[0] == "reference"
    assert 0.2 < float(row[-1]) < 5.0  # two batches, of one and the same code


def test_nested_calibration(start: Callable[..., str], tmp_path: Path) -> None:
    """Nothing but the table of the stored results: a chain of three levels takes too long here."""
    printed = start("nested_calibration", "--exact", "0", "--nuts", "0")
    assert printed.count("exact") == 6  # three classes, each with and without a planted error
    for name in ("growth", "factors"):
        assert name in printed


def test_every_benchmark_is_started() -> None:
    """``recovery.py`` has tests of its own; the diary's data are not ours to keep, its results are
    tested by ``tests/posterior/test_location_scale_published.py``.
    """
    text = Path(__file__).read_text(encoding="utf-8")
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")} - set(SHARED)
    scripts -= {"recovery", "diary_location_scale"}
    started = set(re.findall(r'start\(\s*"(\w+)"', text))
    assert started == scripts


def test_suite(
    load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What scripts print arrives in the table, the file, the page and the figure."""
    suite, measure = load("suite"), load("measure")
    page, figure, results = tmp_path / "page.md", tmp_path / "figure.png", tmp_path / "results.csv"
    marks = [f"<!-- begin: {name} -->\n<!-- end: {name} -->" for name in ("machine", "results")]
    page.write_text("\n\n".join(marks), encoding="utf-8")
    constants = {"PAGE": page, "FIGURE": figure, "RESULTS": results}
    for name, value in constants.items():
        monkeypatch.setattr(suite, name, value)

    def run(script: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            print("| a table | of its own |")
            if script == "start":
                measure.result("import", 2.0, "CPU s", 2.5)
            else:
                measure.result("rate", 50.0, "", 100.0, at_least=True)
        return out.getvalue()

    monkeypatch.setattr(suite, "run", run)
    for script in ("start", "wide"):
        monkeypatch.setattr(sys, "argv", ["suite", script, "--write"])
        suite.main()
    lines = rows(page.read_text(encoding="utf-8"))
    assert [line[:4] for line in lines] == [
        ["import", "2 CPU s", "at most 2.5", "0.80"],
        ["rate", "50", "at least 100", "2.00"],
    ]
    assert [r.ratio for r in suite.earlier(results)] == [0.8, 2.0]
    assert figure.stat().st_size > 1000
    assert set(suite.ARGUMENTS) <= set(suite.scripts())


def test_figures_near_zero(
    load: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They keep two digits, and have a place on the logarithmic axis; so has no ESS at all."""
    suite, measure = load("suite"), load("measure")
    measure.result("small", 0.00297, "CPU s", 0.1, digits=2)
    measure.result("large", 1234.56, "us", 1500.0)
    measure.result("nothing", 0.0, "", 100.0, at_least=True)
    measure.result("no time", 0.0, "CPU s", 0.1)
    found = suite.read_results("start", capsys.readouterr().out, 1.0)
    assert [r.value for r in found] == [0.003, 1234.6, 0.0, 0.0]
    assert [r.ratio for r in found] == [pytest.approx(0.03), 1234.6 / 1500, np.inf, 0.0]
    assert "inf" in suite.table(found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suite.draw(found, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_stan_program_has_the_priors_and_the_density_of_the_model() -> None:
    """Priors as the model prints them; SciPy's density, cluster by cluster, and the package's."""
    sys.path.insert(0, str(BENCHMARKS / "peers"))
    try:
        peer = importlib.import_module("demo_twolevel")
    finally:
        sys.path.remove(str(BENCHMARKS / "peers"))
    text = (peer.TESTS / "demo-twolevel" / "model.txt").read_text(encoding="utf-8")
    model = bm.Model(text, peer.frame(), cluster="cluster", priors="wide")
    table = model.parameter_table
    free = table[table["free"] > 0]
    names = [
        f"{lhs}{op}{rhs}" for lhs, op, rhs in free[["lhs", "op", "rhs"]].itertuples(index=False)
    ]
    assert len(names) == len(peer.NAMES)
    order = [  # of the program's parameters, in the rows of the table
        *("fw=~y2", "fw=~y3", "fw~x1", "fw~x2", "fw~x3", "y1~~y1", "y2~~y2", "y3~~y3", "fw~~fw"),
        *("fb=~y2", "fb=~y3", "fb~w1", "fb~w2", "y1~~y1", "y2~~y2", "y3~~y3", "fb~~fb"),
        *("y1~1", "y2~1", "y3~1"),
    ]
    assert names == order
    numbers = [
        [float(n) for n in re.findall(r"-?[\d.]+(?=[,)])", prior)] for prior in free["prior"]
    ]
    scales = [last for *_, last in numbers]
    by_name = dict(zip(peer.NAMES, scales, strict=True))
    for family in peer.PARAMETERS:
        given = np.atleast_1d(peer.PRIORS[f"{family}_scale"])
        found = [value for name, value in by_name.items() if name.split("[")[0] == family]
        np.testing.assert_array_equal(found, given)
    np.testing.assert_array_equal([n[0] for n in numbers[-3:]], peer.PRIORS["intercept_mean"])
    rng, values = np.random.default_rng(1), []
    for _ in range(3):
        theta = rng.normal(0.2, 0.4, len(names))
        sds = np.array(["sd_" in name for name in peer.NAMES])
        constrained = np.where(sds, np.exp(theta), theta)
        groups = model.blueprint.parameters.groups
        x = np.concatenate([constrained[np.asarray(group.free) - 1] for group in groups])
        ours = joint_log_likelihood(model.blueprint, x)[0] + log_prior(model.blueprint, x)[0]
        values.append((peer.log_density(peer.unpacked(theta)), ours))
    (first, *rest) = values
    for other in rest:  # constants of half distributions are left out of neither
        assert other[0] - first[0] == pytest.approx(other[1] - first[1], abs=1e-7)
