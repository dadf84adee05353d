"""Tables of a study against sums by hand, its file, its figure; nothing is fitted."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.studies.study_figures import cell_table, share_error, target_table
from bayes_msem.studies.study_file import StudyFile, frame_of_lines, read_study, write_study
from bayes_msem.studies.study_result import StudyResult
from tests.studies.made_up_study import CELLS, TARGETS, made_up_lines, made_up_study


@pytest.fixture(scope="module")
def result() -> StudyResult:
    return made_up_study()


def test_figures_of_every_cell_are_those_computed_by_hand(result: StudyResult) -> None:
    assert len(result.table) == len(CELLS) * len(TARGETS)
    for row in result.table.to_dict("records"):
        own = [
            line
            for line in made_up_lines()
            if (line["clusters"], line["size"]) == (row["clusters"], row["size"])
            and line["target"] == row["target"]
        ]
        n, true = len(own), row["true"]
        e = [line["estimate"] for line in own]
        errors = [x - true for x in e]
        squares = [x * x for x in errors]
        widths = [line["upper"] - line["lower"] for line in own]
        sd = statistics.stdev(e)
        rmse = math.sqrt(sum(squares) / n)
        expected = {
            "estimate": (sum(e) / n, sd / math.sqrt(n)),
            "bias": (sum(errors) / n, sd / math.sqrt(n)),
            "sd_estimates": (sd, sd / math.sqrt(2 * (n - 1))),
            "rmse": (rmse, statistics.stdev(squares) / math.sqrt(n) / (2 * rmse)),
            "posterior_sd": (
                sum(line["sd"] for line in own) / n,
                statistics.stdev(line["sd"] for line in own) / math.sqrt(n),
            ),
            "width": (sum(widths) / n, statistics.stdev(widths) / math.sqrt(n)),
        }
        if true:
            expected["relative_bias"] = tuple(v / true for v in expected["bias"])
        counts = {"coverage": sum(line["lower"] <= true <= line["upper"] for line in own)}
        if row["target"] != "within: y ~~ y":
            counts["power"] = sum(not line["lower"] <= 0 <= line["upper"] for line in own)
        if row["target"] == "b":
            counts["in_rope"] = sum(line["lower"] >= -0.1 and line["upper"] <= 0.5 for line in own)
        for name, hits in counts.items():
            q = (hits + 2) / (n + 4)
            expected[name] = (hits / n, math.sqrt(q * (1 - q) / (n + 4)))
        for name, (value, error) in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-12), name
            assert row[f"{name}_mcse"] == pytest.approx(error, rel=1e-12), name
        for name in {"relative_bias", "power", "in_rope"} - set(expected):
            assert math.isnan(row[name]), name
            assert math.isnan(row[f"{name}_mcse"]), name


def test_shares_of_convergence(result: StudyResult) -> None:
    for row in result.cells.to_dict("records"):
        own = {
            line["replication"]: line
            for line in made_up_lines()
            if (line["clusters"], line["size"]) == (row["clusters"], row["size"])
        }
        high = sum(line["max_r_hat"] >= 1.01 for line in own.values())
        divergent = sum(line["divergences"] > 0 for line in own.values())
        assert (row["done"], row["failed"]) == (40, 0)
        assert row["r_hat_high"] == pytest.approx(high / 40)
        assert row["divergent"] == pytest.approx(divergent / 40)
        assert row["divergent_mcse"] == pytest.approx(share_error(divergent, 40))
        assert row["seconds"] == pytest.approx(np.mean([x["seconds"] for x in own.values()]))


def test_failed_replications_are_counted_and_in_no_figure() -> None:
    lines = [line for line in made_up_lines() if line["replication"] != 3]
    failed = {"clusters": 10, "size": 5, "replication": 3, "method": "Bayes", "target": ""}
    numbers = dict.fromkeys(
        ("estimate", "sd", "lower", "upper", "seconds", "max_r_hat", "divergences"), np.nan
    )
    frame = frame_of_lines([*lines, failed | numbers | {"failure": "DataError: none"}])
    cells = cell_table(frame, CELLS, ["Bayes"])
    assert cells[["done", "failed"]].to_numpy().tolist() == [[39, 1]] + [[39, 0]] * 5
    table = target_table(frame, CELLS, ["Bayes"], TARGETS, {})
    assert (table["done"] == 39).all()
    assert np.isfinite(table["bias"]).all()


def test_one_chain_has_no_r_hat_and_one_replication_no_errors() -> None:
    frame = frame_of_lines(made_up_lines(replications=1)).assign(max_r_hat=np.nan)
    assert cell_table(frame, CELLS, ["Bayes"])["r_hat_high"].isna().all()
    table = target_table(frame, CELLS, ["Bayes"], TARGETS, {})
    assert table[["bias_mcse", "sd_estimates", "rmse_mcse", "width_mcse"]].isna().all(axis=None)
    assert (table["coverage_mcse"] > 0.1).all()


def test_the_error_of_a_share_is_that_of_simulated_shares() -> None:
    shares = np.random.default_rng(1).binomial(200, 0.3, size=4000) / 200
    assert share_error(60, 200) == pytest.approx(shares.std(), rel=0.03)
    assert 0.1 < share_error(3, 3) < 0.25


def test_files_come_back_to_the_last_digit(result: StudyResult, tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    result.save(path)
    record, frame = read_study(path)
    assert record == result.design
    pd.testing.assert_frame_equal(frame, result.replications, check_exact=True)
    with pytest.raises(bm.FileError, match="overwrite=True"):
        result.save(path)
    with pytest.raises(bm.FileError, match="suffix"):
        result.save(tmp_path / "study.xlsx")


def test_another_study_and_other_files_are_refused(result: StudyResult, tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    write_study(path, result.design, result.replications, overwrite=False)
    with pytest.raises(bm.FileError, match=r"another study: ci differ \(ci: 0.95 there, 0.9 here"):
        StudyFile(path, result.design | {"ci": 0.9})
    path.write_text("a,b\n1,2\n")
    with pytest.raises(bm.FileError, match="is not the file of a study"):
        StudyFile(path, result.design)


def test_print_shows_errors_in_brackets(result: StudyResult) -> None:
    row = result.table.iloc[0]
    text = repr(result)
    assert f"{row['power']:.3f} ({row['power_mcse']:.3f})" in text
    assert "95% equal-tailed interval" in text
    assert "failed" in text
    html = result._repr_html_()
    assert f"{row['bias']:.3f} ({row['bias_mcse']:.3f})" in html
    assert "method" not in text.split("\n\n")[0]
    assert "ML" in repr(made_up_study(ml=True))


def test_curves_are_rows_of_the_table() -> None:
    result = made_up_study(ml=True)
    figure = result.plot("coverage", targets=["b", "within: y ~~ y"])
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["b", "within: y ~~ y"]
    table = result.table
    drawn = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 3]
    kinds = [(size, method) for size in (5, 10) for method in ("Bayes", "ML")]
    for line, (size, method) in zip(drawn, kinds, strict=True):
        own = table[
            (table["target"] == "b") & (table["size"] == size) & (table["method"] == method)
        ]
        np.testing.assert_array_equal(line.get_xdata(), own["clusters"])
        np.testing.assert_array_equal(line.get_ydata(), own["coverage"])
        assert line.get_linestyle() == ("--" if method == "ML" else "-")
    assert len(result.plot().axes) == 2  # a variance has no power
    for name in ("bias", "relative_bias", "rmse", "width", "in_rope"):
        result.plot(name)


def test_figures_that_do_not_exist_are_refused(result: StudyResult) -> None:
    with pytest.raises(bm.SpecificationError, match="no power of within: y ~~ y"):
        result.plot(targets="within: y ~~ y")
    with pytest.raises(bm.SpecificationError, match="did you mean 'between: y ~ w'"):
        result.plot(targets=["between: y ~ v"])
    with pytest.raises(bm.SpecificationError, match="figure='powr' is unknown"):
        result.plot("powr")  # type: ignore[arg-type]
