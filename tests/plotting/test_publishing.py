"""Tables for publication: the numbers of the summary in every format, escaped and complete."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.plotting import table_formats
from bayes_msem.plotting.table_formats import to_html, to_latex, to_markdown
from bayes_msem.posterior.published import PublishedTable, TableLine, _number
from tests.posterior.made_up import synthetic_fit

SPEC = """
level: within
    fw =~ y1 + y2 + l*y3
    fw ~ a*x
level: between
    fb =~ y1 + y2 + l*y3
    fb ~ b*w_1
diff := b - a
"""
FORMATS = ("markdown", "latex", "html", "docx", "great_tables")


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(25), 4)
    frame = pd.DataFrame({"g_1": g, "x": rng.normal(size=100), "w_1": rng.normal(size=25)[g]})
    for name in ("y1", "y2", "y3"):
        frame[name] = frame["x"] + rng.normal(size=25)[g] + rng.normal(size=100)
    return synthetic_fit(bm.Model(SPEC, data=frame, cluster="g_1"))


def markdown_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def body(rows: list[list[str]]) -> list[list[str]]:
    """Rows with numbers: no heads, rules and headings."""
    return [row for row in rows if row[1] not in ("", "Estimate", "--:")]


def number(text: str) -> float:
    return float(text.replace("\u2212", "-").rstrip("\u1d43"))


def test_numbers_are_those_of_the_summary(fit: bm.Fit) -> None:
    rows = markdown_rows(fit.to_table(ci=0.9))
    assert rows[0] == ["Parameter", "Estimate", "SD", "90% CrI"]
    summary = fit.summary(ci=0.9)
    shown = body(rows)
    assert len(shown) == len(summary)
    kinds = [(r.level, r.kind) for r in fit.model.table.rows]
    order = [i for kind in _in_order(kinds) for i, k in enumerate(kinds) if k == kind]
    for row, values in zip(shown, summary.iloc[order].itertuples(), strict=True):
        assert number(row[1]) == pytest.approx(values.mean, abs=0.0051)
        if values.sd == 0:
            assert row[2:] == ["\u2013", "\u2013"]
            continue
        assert number(row[2]) == pytest.approx(values.sd, abs=0.0051)
        low, high = (number(t) for t in row[3].strip("[]").split(", "))
        assert (low, high) == pytest.approx((values.lower, values.upper), abs=0.0051)


def _in_order(kinds: list[tuple[str, str]]) -> list[tuple[str, str]]:
    titles = ["loading", "regression", "covariance", "variance", "intercept", "defined"]
    levels = list(dict.fromkeys(level for level, _ in kinds))
    return [(level, kind) for level in levels for kind in titles if (level, kind) in kinds]


def test_medians_and_standardised_values(fit: bm.Fit) -> None:
    table = fit.summary(standardized=True).set_index(["level", "lhs", "op", "rhs"])
    text = fit.to_table(estimate="median", standardized=True)
    assert "Estimate = posterior median" in text
    assert "\u1d43" not in text
    (slope,) = [row for row in body(markdown_rows(text)) if row[0].startswith("x \u2192 fw")]
    key = ("within", "fw", "~", "x")
    assert number(slope[1]) == pytest.approx(table.loc[key, "median"], abs=0.0051)
    assert number(slope[4]) == pytest.approx(table.loc[key, "std_all"], abs=0.0051)
    explained = [r for r in body(markdown_rows(text)) if r[0] == "fw" and r[4] == "\u2013"]
    assert re.fullmatch(r"\.\d\d", explained[0][1])
    r2 = table.loc[("within", "fw", "r2", "fw"), "median"]
    assert number(explained[0][1]) == pytest.approx(r2, abs=0.0051)


def test_names_say_what_rows_are(fit: bm.Fit) -> None:
    names = [row[0] for row in body(markdown_rows(fit.to_table()))]
    for name in (
        "fw \u2192 y2",
        "x \u2192 fw (a)",
        "w\\_1 \u2192 fb (b)",
        "y1, residual",
        "diff = b - a",
    ):
        assert name in names
    assert "fw, residual" in names  # it has a predictor
    assert not any("(l)" in name for name in names)  # no definition uses it


def test_random_coefficients_have_dashes() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 5), "x": rng.normal(size=100)})
    frame["y"] = frame["x"] + rng.normal(size=100)
    spec = 'level: within; y ~ rv("s")*x; level: between; y ~~ s'
    fit = synthetic_fit(bm.Model(spec, data=frame, cluster="g"))
    rows = body(markdown_rows(fit.to_table()))
    assert rows[0] == ["x \u2192 y, varies (s)", *["\u2013"] * 3]


def test_notes(fit: bm.Fit) -> None:
    note = fit.to_table().split("*Note.* ")[1]
    for words in (
        "N = 100 in J = 25 clusters (g\\_1) of 4 to 4",
        "Estimate = posterior mean",
        "CrI = equal-tailed credible interval",
        "2 chains of 50 draws",
        "0 divergent transitions",
        "Priors of loadings: normal",
        "variances (SD): half-Student t or half-normal",
    ):
        assert words in note, words
    assert "highest-density" in fit.to_table(ci_kind="hdi")


def test_notes_count_rows_that_say_nothing() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(20), 5), "y": rng.normal(size=100)})
    frame.loc[[3, 50, 77], "y"] = np.nan
    fit = synthetic_fit(
        bm.Model("level: within; y ~~ y; level: between; y ~~ y", frame, cluster="g")
    )
    assert (
        "of 5 to 5 (median 5); missing values by full information; 3 rows without any observed "
        "outcome, and so without influence."
    ) in fit.to_table()


def test_skewed_rows_are_marked(fit: bm.Fit) -> None:
    text = fit.to_table()
    skewed = (fit.summary()["note"] == "skewed").sum()
    assert text.split("*Note.*")[0].count("\u1d43") == skewed > 0
    assert "\u1d43 The posterior is skewed" in text


def test_chains_with_problems_are_not_hidden(fit: bm.Fit) -> None:
    from bayes_msem.posterior.convergence import Convergence

    assert fit.convergence.grade != "fine"  # 100 made-up draws
    assert isinstance(fit.convergence, Convergence)
    assert re.search(r"Sample longer|chains have problems", fit.to_table())


def test_rows_and_levels_are_chosen(fit: bm.Fit) -> None:
    text = fit.to_table(level="between", rows="regression", standardized=True)
    assert [row[0] for row in body(markdown_rows(text))] == ["w\\_1 \u2192 fb (b)"]
    assert "R\u00b2" not in text
    assert "intercepts" not in text
    assert "R\u00b2" in fit.to_table(level="between", standardized=True)
    with pytest.raises(bm.SpecificationError, match="no row 'nothing'"):
        fit.to_table(rows="nothing")


def test_decimals(fit: bm.Fit) -> None:
    (row,) = body(markdown_rows(fit.to_table(rows="a", decimals=4)))
    assert re.fullmatch(r"\u2212?\d+\.\d{4}\u1d43?", row[1])
    assert float(row[2]) == pytest.approx(fit.draws["a"].std(ddof=1), abs=1e-4)


@pytest.mark.parametrize(
    ("value", "decimals", "below_one", "shown"),
    [
        (-0.004, 2, False, "0.00"),
        (-0.006, 2, False, "\u22120.01"),
        (0.5, 2, True, ".50"),
        (-0.5, 1, True, "\u2212.5"),
        (1.0, 2, True, "1.00"),
        (1234.5, 0, False, "1234"),
    ],
)
def test_number(value: float, decimals: int, below_one: bool, shown: str) -> None:
    assert _number(value, decimals, below_one) == shown


def test_single_level_models_have_no_level_headings() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["x", "y"])
    text = synthetic_fit(bm.Model("y ~ x", data=frame)).to_table(standardized=True)
    assert "clusters" not in text
    assert "N = 60." in text
    headings = [r[0] for r in markdown_rows(text) if r[1] == ""]
    assert headings == ["**Regressions**", "**Variances**", "**Intercepts**", "**R\u00b2**"]


# Formats -----------------------------------------------------------------------------------------


class Cells(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("td", "th") or (self.inside and tag in ("i", "span"))
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def cells_of(fit: bm.Fit, form: str) -> list[list[str]]:
    made = fit.to_table(format=form, standardized=True)
    if form == "markdown":
        rows = [[re.sub(r"\\(.)", r"\1", c) for c in row] for row in markdown_rows(made)]
    elif form == "latex":
        lines = [line for line in made.splitlines() if " & " in line]
        rows = [[c.strip() for c in re.split(r"(?<!\\)&", line[:-3])] for line in lines]
        undo = {"\\quad ": "", "$-$": "\u2212", "--": "\u2013", "$\\rightarrow$": "\u2192"}
        undo |= {"$\\leftrightarrow$": "\u2194", "\\textsuperscript{a}": "\u1d43", "\\_": "_"}
        undo |= {"\\%": "%"}
        for old, new in undo.items():
            rows = [[c.replace(old, new) for c in row] for row in rows]
    elif form == "docx":
        rows = [[cell.text for cell in row.cells] for row in made.tables[0].rows]
        rows = [row for row in rows if len(set(row)) > 1 or row[0] == "\u2013"]
    else:
        html = made.as_raw_html() if form == "great_tables" else made
        rows = [row for row in Cells(html).rows if len(row) > 1]
    return body(rows)


@pytest.mark.parametrize("form", FORMATS[1:])
def test_every_format_has_the_same_cells(fit: bm.Fit, form: str) -> None:
    if form in ("docx", "great_tables"):
        pytest.importorskip(form)
    expected = cells_of(fit, "markdown")
    assert len(expected) > 20
    assert cells_of(fit, form) == expected


AWKWARD = PublishedTable(
    "50% of <b>A & B</b> \\x{}",
    ("Parameter", "Estimate"),
    (TableLine(0, ("a_b^2",)), TableLine(2, ("x|y <i>z</i> `q` *p* $1 #2 ~", "1.00"))),
    ("Largest R\u0302 = 1.0 & <script>.",),
)


def test_html_is_escaped() -> None:
    html = to_html(AWKWARD)
    assert "<b>" not in html
    assert "<i>z" not in html
    assert "<script>" not in html
    assert "50% of &lt;b&gt;A &amp; B" in html


def test_markdown_is_escaped() -> None:
    text = to_markdown(AWKWARD)
    (row,) = body(markdown_rows(text))
    assert row[0] == r"x\|y \<i\>z\</i\> \`q\` \*p\* $1 \#2 \~"
    assert "a\\_b^2" in text


def test_latex_is_escaped() -> None:
    text = to_latex(AWKWARD)
    assert r"50\% of \textless{}b\textgreater{}A \& B" in text
    assert r"\textbackslash{}x\{\}" in text
    assert r"a\_b\textasciicircum{}2" in text
    assert r"Largest $\hat{R}$ = 1.0" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX here")
@pytest.mark.parametrize("longest", [0, 45])
def test_latex_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest: int) -> None:
    monkeypatch.setattr(table_formats, "_LONGEST", longest)
    text = to_latex(AWKWARD)
    (packages,) = re.findall(r"^% (.*)$", text, re.M)
    document = (
        f"\\documentclass{{article}}\n{packages}\n\\begin{{document}}\n{text}\\end{{document}}"
    )
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:]


def test_notebooks_show_the_texts(fit: bm.Fit) -> None:
    text, html = fit.to_table(rows="a"), fit.to_table(rows="a", format="html")
    assert text._repr_markdown_() == str(text)
    assert html._repr_html_() == str(html)


# Files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["md", "tex", "html", "docx"])
def test_the_suffix_decides(fit: bm.Fit, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"
    made = fit.to_table(path, rows="a")
    if suffix == "docx":
        docx = pytest.importorskip("docx")
        read = docx.Document(str(path))
        assert read.paragraphs[0].text == "Posterior estimates"
        assert read.tables[0].rows[-1].cells[1].text == made.tables[0].rows[-1].cells[1].text
    elif suffix == "html":
        page = path.read_text(encoding="utf-8")
        assert made in page
        assert '<meta charset="utf-8">' in page
    else:
        assert path.read_text(encoding="utf-8") == made
    with pytest.raises(bm.FileError, match="overwrite=True"):
        fit.to_table(path, rows="a")
    fit.to_table(path, rows="b", overwrite=True)


def test_wrong_paths_and_formats(fit: bm.Fit, tmp_path: Path) -> None:
    with pytest.raises(bm.FileError, match=r"'\.md' or .*'\.docx'"):
        fit.to_table(tmp_path / "table.pdf")
    with pytest.raises(bm.FileError, match=r"use '\.tex'"):
        fit.to_table(tmp_path / "table.md", format="latex")
    with pytest.raises(bm.SpecificationError, match="format='word' is unknown"):
        fit.to_table(format="word")
    with pytest.raises(bm.SpecificationError, match="style='mla' is unknown"):
        fit.to_table(style="mla")
    with pytest.raises(bm.SpecificationError, match="decimals"):
        fit.to_table(decimals=9)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("form", "package"), [("docx", "python-docx"), ("great_tables",) * 2])
def test_what_is_not_installed_is_named(
    fit: bm.Fit, monkeypatch: pytest.MonkeyPatch, form: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, form, None)
    with pytest.raises(bm.NotSupportedError, match=rf"needs {package}.*bayes_msem\[tables\]"):
        fit.to_table(format=form)
