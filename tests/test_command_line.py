"""The command ``bayes_msem``: what it hands to the package, what it writes, how it fails."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.command_line import _parser, main
from tests.posterior.made_up import synthetic_fit
from tests.spec.mplus_models import PAIRS, frame
from tools.pages import DOCS

TEXT = "level: within\n    y ~ b*x\nlevel: between\n    y ~ w\n"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return frame()


@pytest.fixture
def folder(tmp_path: Path, data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Path:
    data.to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "m.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What model.fit() is called with; its draws are made up."""
    seen: dict[str, Any] = {}

    def fit(self: bm.Model, draws: int, tune: int, chains: int, **options: Any) -> bm.Fit:
        seen.update(options, draws=draws, tune=tune, chains=chains, model=self)
        return synthetic_fit(self, chains=chains, draws=draws)

    monkeypatch.setattr(bm.Model, "fit", fit)
    return seen


def test_a_fit_with_all_its_files(
    folder: Path, sampled: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = "fit m.txt d.csv --cluster school --draws 20 --tune 30 --chains 2 --seed 7 --quiet"
    files = "--save f.nc --report r.html --summary s.csv --to-draws d.feather"
    code = main([*words.split(), *files.split(), "--prior", "b", "normal(0, 3)"])
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    given = {name: sampled[name] for name in ("draws", "tune", "chains", "random_seed", "progress")}
    assert given == {"draws": 20, "tune": 30, "chains": 2, "random_seed": 7, "progress": False}
    table = sampled["model"].parameter_table
    assert table.loc[table["label"] == "b", "prior"].tolist() == ["normal(0, 3)"]
    assert "y ~ x" in printed.out
    fit = bm.load("f.nc")
    assert "<svg" in (folder / "r.html").read_text(encoding="utf-8")
    pd.testing.assert_frame_equal(pd.read_feather("d.feather"), fit.to_draws())
    written = pd.read_csv("s.csv", keep_default_na=False)
    mean = float(written.loc[written["label"] == "b", "mean"].iloc[0])
    assert mean == pytest.approx(float(fit.draws["b"].mean()), rel=1e-12)


def test_options_of_the_model(folder: Path, sampled: dict[str, Any]) -> None:
    (folder / "o.txt").write_text("f =~ u1 + u2 + u3\nc ~ f", encoding="utf-8")
    words = "fit o.txt d.csv --draws 5 --chains 1 --ordered --family c poisson --std-lv".split()
    assert main([*words, "--missing", "listwise", "--exposure", "c", "school"]) == 1
    assert main([*words, "--missing", "listwise"]) == 0
    options = sampled["model"].options
    assert options["random_covariances"] == "all"
    assert options["ordered"] is True
    assert options["families"] == {"c": "poisson"}
    assert (options["std_lv"], options["missing"]) == (True, "listwise")
    assert main("fit o.txt d.csv --draws 5 --chains 1 --ordered u1 u2 u3".split()) == 0
    assert sampled["model"].options["ordered"] == ["u1", "u2", "u3"]


def test_an_mplus_input_with_a_file_without_header(
    folder: Path,
    data: pd.DataFrame,
    sampled: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    pair = PAIRS["cross-level interaction"]
    (folder / "m.inp").write_text(pair.mplus, encoding="utf-8")
    plain = data[["school", "y", "x", "w"]].copy()
    plain.to_csv(folder / "e.dat", sep=" ", header=False, index=False, na_rep=".")
    assert main("fit m.inp e.dat --draws 5 --chains 1".split()) == 0
    expected = bm.Model(pair.text, data, **pair.arguments).parameter_table
    columns = ["level", "lhs", "op", "rhs", "free", "random"]
    pd.testing.assert_frame_equal(sampled["model"].parameter_table[columns], expected[columns])
    plain.drop(columns="w").to_csv(folder / "e.dat", sep=" ", header=False, index=False)
    assert main("fit m.inp e.dat".split()) == 1
    assert "has 3 columns, but the Mplus input has 4 NAMES" in capsys.readouterr().err


def test_check_prints_the_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("check m.txt".split()) == 0
    assert "names were not checked" in (out := capsys.readouterr().out)
    assert "between" in out
    (folder / "coded.txt").write_text("y ~ x + C(g) + x:z", encoding="utf-8")
    assert main("check coded.txt".split()) == 0
    out = capsys.readouterr().out
    assert all(term in out for term in ("C(g)", "x:z", "categories become dummies"))
    assert main("check m.txt d.csv --cluster school".split()) == 0
    out = capsys.readouterr().out
    assert "halfnormal" in out  # priors need data
    assert main("check m.txt d.csv --cluster school --to mplus".split()) == 0
    assert "y ON x (b);" in capsys.readouterr().out
    assert main("check m.txt d.csv --cluster school --to lavaan".split()) == 0
    assert "y ~ b*x" in capsys.readouterr().out
    (folder / "m.inp").write_text(PAIRS["counts"].mplus, encoding="utf-8")
    assert main("check m.inp".split()) == 0
    assert "families={'c': 'negbinomial'}" in capsys.readouterr().out


def test_describe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("describe d.csv --cluster school --variables x y".split()) == 0
    assert "30 clusters" in capsys.readouterr().out


ERRORS = {
    "check nothing.txt": "cannot read the model text 'nothing.txt': No such file or directory",
    "check m.txt nothing.csv --cluster school": "cannot read 'nothing.csv': No such file",
    "check m.txt m.pdf": "ends in '.pdf'",
    "check m.txt d.csv": "no cluster column was given",
    "check bad.txt": "Nothing stands right of '~'. (line 1, column 3)",
    "check m.txt --to mplus": "--to mplus needs data",
    "fit m.txt d.csv --cluster school --report r.pdf": "'r.pdf' ends in '.pdf'",
    "fit m.txt d.csv --cluster school --save d.csv": "This is the file of --save.",
    "fit m.txt d.csv --cluster school --summary d.csv": "'d.csv' exists",
    "fit m.txt d.csv --cluster school --draws 0": "draws must be an integer",
    "fit m.txt d.csv --cluster school --random everything": "everything",
    "fit m.inp d.csv": "there is no file 'm.inp'|cannot read 'm.inp'",
    "describe d.csv --cluster nobody": "nobody",
    "check m.txt none.csv --cluster school": "no header",
}


@pytest.mark.parametrize("words", ERRORS)
def test_errors_go_to_standard_error(
    words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.txt").write_text("y ~", encoding="utf-8")
    (folder / "none.csv").write_text("1,2\n3,4\n", encoding="utf-8")
    assert main(words.split()) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert any(part in printed.err for part in ERRORS[words].split("|")), printed.err


def test_wrong_use_has_its_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit"])
    assert ended.value.code == 2
    assert "usage: bayes_msem fit" in capsys.readouterr().err


def test_warnings_go_to_standard_error(
    folder: Path, data: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    data.query("school < 8").to_csv(folder / "few.csv", index=False)
    assert main("check m.txt few.csv --cluster school".split()) == 0
    assert capsys.readouterr().err.startswith("warning: ")


def test_as_a_module(folder: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bayes_msem", "check", "bad"], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert run.stderr.startswith("error: cannot read the model text 'bad'")
    assert "Traceback" not in run.stderr


def test_the_console_script_is_the_command() -> None:
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["bayes_msem"].partition(":")
    assert getattr(import_module(module), function) is main


def test_the_page_lists_all_options() -> None:
    page = (DOCS / "exchange.md").read_text(encoding="utf-8").split("## Without Python")[1]
    (commands,) = (a for a in _parser()._actions if isinstance(a.choices, dict))
    known = {
        option
        for command in cast("dict[str, argparse.ArgumentParser]", commands.choices).values()
        for action in command._actions
        for option in action.option_strings
    }
    assert set(re.findall(r"--[a-z][a-z-]*", page)) == known - {"-h", "--help", "--variables"}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".dat", ".txt", ".dta", ".feather", ".parquet"])
def test_formats_of_data(suffix: str, folder: Path, data: pd.DataFrame) -> None:
    from bayes_msem.data.table_files import read_table_file

    path = f"copy{suffix}"
    match suffix:
        case ".csv":
            data.to_csv(path, index=False, sep=";")
        case ".tsv":
            data.to_csv(path, index=False, sep="\t")
        case ".dat":
            data.to_csv(path, index=False, sep=" ")
        case ".txt":
            data.to_csv(path, index=False)
        case ".dta":
            data.to_stata(path, write_index=False)
        case ".feather":
            data.to_feather(path)
        case _:
            data.to_parquet(path)
    pd.testing.assert_frame_equal(read_table_file(path), data, check_dtype=False)
