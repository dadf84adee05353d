"""The HTML report: complete, true to the tables, self-contained, and readable by a browser."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.fit import report as module
from bayes_msem.plotting.report_page import PageSection, page, paragraph
from tests.likelihood.cases import SINGLE_LEVEL_CASES, TWO_LEVEL_CASES
from tests.posterior.made_up import synthetic_fit
from tests.random.models import case, make_data

TEXTS = {
    "single": next(c for c in SINGLE_LEVEL_CASES if c.name == "CFA").text,
    "factors": next(c for c in TWO_LEVEL_CASES if c.name == "cluster-level outcomes").text,
    "slopes": case("slope predicts z").text,
    "sampled": case("one loading, w and z").text,
}
SECTIONS = [
    "Convergence",
    "Model",
    "Data",
    "Path diagram",
    "Plan",
    "Estimates",
    "Standardised estimates",
    "Intraclass correlations",
    "Explained variance",
    "Reliability",
    "Cluster effects",
    "Model checks",
    "Priors",
    "Figure: posterior means and intervals",
    "Figure: prior and posterior",
    "Figure: traces",
    "Figure: clusters",
]
LIMIT = 3_000_000  # bytes; what mail programs and browsers take without complaint
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Text of all headings, cells by section, addresses; complains about open elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: dict[str, str] = {}  # anchor -> heading
        self.text: dict[str, str] = {}  # heading -> all text below it
        self.rows: dict[str, list[list[str]]] = {}
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.section, self.anchor = "", ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        self.tags.append(tag)
        if tag == "h2" and "id" in given:
            self.anchor, self.section = str(given["id"]), ""
        if tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        if tag in ("td", "th"):
            self.rows[self.section][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)  # of the diagram

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["h2"] and self.anchor:
            self.section = self.headings[self.anchor] = data
            self.anchor = ""
        elif self.open[-1:] in (["td"], ["th"]):
            self.rows[self.section][-1][-1] += data
        self.text[self.section] = self.text.get(self.section, "") + data


def make_fit(text: str, *, data: pd.DataFrame | None = None, two_level: bool = True) -> bm.Fit:
    frame = make_data() if data is None else data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        model = bm.Model(text, frame, cluster="group" if two_level else None)
    return synthetic_fit(model, draws=30)


@pytest.fixture(scope="module")
def fits() -> dict[str, bm.Fit]:
    return {kind: make_fit(text, two_level=kind != "single") for kind, text in TEXTS.items()}


@pytest.fixture(scope="module")
def files(fits: dict[str, bm.Fit], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    return {kind: fit.report(folder / f"{kind}.html") for kind, fit in fits.items()}


@pytest.fixture(scope="module")
def pages(files: dict[str, Path]) -> dict[str, Page]:
    return {kind: Page(path.read_text(encoding="utf-8")) for kind, path in files.items()}


@pytest.mark.parametrize("kind", list(TEXTS))
def test_all_sections_are_there_and_linked(pages: dict[str, Page], kind: str) -> None:
    shown = pages[kind]
    assert list(shown.headings.values()) == SECTIONS
    links = [a.removeprefix("#") for a in shown.addresses if a.startswith("#")]
    assert links == list(shown.headings)


@pytest.mark.parametrize("kind", list(TEXTS))
def test_nothing_comes_from_outside(
    pages: dict[str, Page], files: dict[str, Path], kind: str
) -> None:
    shown = pages[kind]
    for address in shown.addresses:
        assert address.startswith(("#", "data:image/png;base64,")), address
    assert not {"script", "link", "iframe", "object"} & set(shown.tags)
    assert not re.search(r"@import|url\((?!#)", files[kind].read_text(encoding="utf-8"))
    pictures = [a for a in shown.addresses if a.startswith("data:")]
    assert len(pictures) == (4 if kind == "single" else 5)
    for picture in pictures:
        assert base64.b64decode(picture.partition(",")[2], validate=True)[:4] == b"\x89PNG"
    assert files[kind].stat().st_size < LIMIT


def numbers(table: pd.DataFrame, digits: int) -> list[list[str]]:
    """Means and limits as the report should show them, by plain formatting."""
    columns = ["mean", "lower", "upper"]
    return [[f"{v:.{digits}f}" for v in row] for row in table[columns].to_numpy()]


@pytest.mark.parametrize("kind", list(TEXTS))
def test_estimates_are_those_of_the_summary(
    fits: dict[str, bm.Fit], pages: dict[str, Page], kind: str
) -> None:
    summary = fits[kind].summary()
    free = summary[summary["sd"] > 0]
    rows = pages[kind].rows["Estimates"]
    head = next(r for r in rows if "mean" in r)
    places = [head.index(c) for c in ("mean", "lower", "upper")]
    by_name: dict[str, list[list[str]]] = {}
    for row in rows:
        by_name.setdefault(row[0], []).append([row[i] for i in places])
    assert len(free) > 5
    for key, expected in zip(
        free[["lhs", "op", "rhs"]].agg(" ".join, axis=1), numbers(free, 3), strict=True
    ):
        assert expected in by_name[key]


def test_tables_without_sections_of_rows(fits: dict[str, bm.Fit], pages: dict[str, Page]) -> None:
    fit, shown = fits["factors"], pages["factors"]
    for title, table in (
        ("Intraclass correlations", fit.icc(means=True)),
        ("Reliability", fit.reliability()),
    ):
        rows = shown.rows[title]
        assert len(rows) == len(table) + 1
        at = [rows[0].index(c) for c in ("mean", "lower", "upper")]
        assert [[r[i] for i in at] for r in rows[1:]] == numbers(table, 3)


@pytest.mark.parametrize("kind", list(TEXTS))
def test_model_checks_are_those_of_the_fit(
    fits: dict[str, bm.Fit], pages: dict[str, Page], kind: str
) -> None:
    table, shown = fits[kind].ppp(), pages[kind]
    head, *rows = shown.rows["Model checks"]
    assert [[r[head.index(c)] for c in ("statistic", "variable", "ppp")] for r in rows] == [
        [row.statistic, row.variable, f"{row.ppp:.3f}"] for row in table.itertuples()
    ]
    assert table.attrs["caption"] in shown.text["Model checks"]


def test_model_checks_can_be_left_out(
    fits: dict[str, bm.Fit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bm.Fit, "ppc", lambda *_, **__: pytest.fail("not asked for"))
    path = fits["factors"].report(tmp_path / "short.html", checks=False)
    text = Page(path.read_text(encoding="utf-8")).text["Model checks"]
    assert "Not shown: report(checks=False) was asked for." in text


def test_head_and_data(fits: dict[str, bm.Fit], pages: dict[str, Page]) -> None:
    fit, shown = fits["slopes"], pages["slopes"]
    for words in (bm.__version__, "Random seed11", "Samplernone", "2 chains x 30 draws"):
        assert words in shown.text[""]
    observed = fit.model.blueprint.observed
    assert f"{observed.n_rows} rows in {observed.n_clusters} clusters" in shown.text["Data"]
    assert "No missing values." in shown.text["Data"]
    assert f"{fit.convergence.max_r_hat:.3f}" in shown.text["Convergence"]
    for problem in fit.convergence.problems:
        assert problem in shown.text["Convergence"]
    assert str(fit.model.plan) in shown.text["Plan"]
    for row in fit.model.table.rows:
        assert str(row.prior or "") in shown.text["Priors"]


def test_parts_that_a_model_lacks_are_explained(pages: dict[str, Page]) -> None:
    single = pages["single"].text
    for title in ("Intraclass correlations", "Cluster effects", "Figure: clusters"):
        assert "Not shown: " in single[title]
        assert "single-level model" in single[title]
    assert "Not shown: no factor of this model" in pages["slopes"].text["Reliability"]
    assert [t for t, text in pages["factors"].text.items() if "Not shown" in text] == []


def test_missing_values_are_reported() -> None:
    frame = make_data()
    frame.loc[frame.index[:4], "y2"] = float("nan")
    fit = make_fit(TEXTS["factors"], data=frame)
    text = module._data(fit)
    assert f"y2: 4 of {len(frame)} rows" in text


def test_text_is_escaped_and_the_same_fit_gives_the_same_file(tmp_path: Path) -> None:
    text = f"# a < b & c </pre><script>alert(1)</script>\n{TEXTS['single']}"
    fit = make_fit(text, two_level=False)
    first = fit.report(tmp_path / "a.html", title="<b>A & B</b>")
    second = fit.report(str(tmp_path / "b.html"), title="<b>A & B</b>")
    assert first.read_bytes() == second.read_bytes()
    html = first.read_text(encoding="utf-8")
    assert "<h1>&lt;b&gt;A &amp; B&lt;/b&gt;</h1>" in html
    assert "a &lt; b &amp; c &lt;/pre&gt;" in html
    shown = Page(html)
    assert "script" not in shown.tags
    assert "a < b & c </pre><script>alert(1)</script>" in shown.text["Model"]


def test_shortened_parts_say_so(
    fits: dict[str, bm.Fit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = fits["slopes"]
    limits = {"_TABLE_ROWS": 5, "_CLUSTERS_LISTED": 2, "_FOREST_ROWS": 3, "_PRIOR_ROWS": 2}
    limits |= {"_TRACE_ROWS": 4, "_CLUSTERS_DRAWN": 6, "_DIAGRAM_SIZE": 10}
    for name, value in limits.items():
        monkeypatch.setattr(module, name, value)
    shown = Page(fit.report(tmp_path / "short.html", checks=False).read_text(encoding="utf-8"))
    total = len(fit.model.table.rows)
    clusters = fit.model.blueprint.observed.n_clusters
    assert f"the first 5 of {total} rows" in shown.text["Estimates"]
    assert f"the first 2 of {clusters} clusters of each effect" in shown.text["Cluster effects"]
    assert len([r for r in shown.rows["Cluster effects"] if r[0] == "y1"]) == 2
    forest, prior = SECTIONS[13:15]
    varying = int((fit.summary()["sd"] > 0).sum())
    assert f"the first 3 of {varying} rows" in shown.text[forest]
    free = sum(bool(r.free) for r in fit.model.table.rows)
    assert f"the first 2 of {free} rows" in shown.text[prior]
    assert f"The 4 of {varying} rows with the smallest" in shown.text["Figure: traces"]
    assert f"the first 6 of {clusters} clusters" in shown.text["Figure: clusters"]
    assert "too large" in shown.text["Path diagram"]


def test_traces_show_the_rows_that_mixed_worst(
    fits: dict[str, bm.Fit], monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, asked = fits["slopes"], []
    real = bm.Fit.plot_trace
    monkeypatch.setattr(module, "_TRACE_ROWS", 3)
    monkeypatch.setattr(
        bm.Fit, "plot_trace", lambda self, rows: asked.extend(rows) or real(self, rows=rows)
    )
    module._trace(fit)
    worst = fit.summary().dropna(subset="ess_bulk").nsmallest(3, "ess_bulk")
    assert set(asked) == set(map(tuple, worst[["level", "lhs", "op", "rhs"]].to_numpy()))


@pytest.mark.parametrize("name", ["report.pdf", "report", "report.docx"])
def test_the_suffix_says_html(fits: dict[str, bm.Fit], tmp_path: Path, name: str) -> None:
    with pytest.raises(bm.FileError, match=r"use '.html' or '.htm'. For PDF or paper, open"):
        fits["single"].report(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_files_in_the_way(fits: dict[str, bm.Fit], tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("mine")
    with pytest.raises(bm.FileError, match="exists; choose another path, or pass overwrite=True"):
        fits["single"].report(target, checks=False)
    assert target.read_text() == "mine"
    assert fits["single"].report(target, overwrite=True, checks=False) == target
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(bm.FileError, match="there is no folder"):
        fits["single"].report(tmp_path / "nowhere" / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(bm.FileError, match=r"cannot write .* it is a folder"):
        fits["single"].report(tmp_path / "folder.html", overwrite=True, checks=False)


def test_anchors_and_parts_of_a_page() -> None:
    section = PageSection("R² & ICC: all", paragraph("x < y"))
    text = page("t", "", [section])
    assert section.anchor == "r-icc-all"
    assert '<a href="#r-icc-all">R² &amp; ICC: all</a>' in text
    assert "<p>x &lt; y</p>" in text


@pytest.mark.parametrize("kind", ["factors", "sampled"])
def test_a_browser_shows_it(files: dict[str, Path], tmp_path: Path, kind: str) -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium or Chrome on this machine")
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path}",
            "--dump-dom",
            files[kind].as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = Page(done.stdout)
    assert list(shown.headings.values()) == SECTIONS
    # what the browser had to mend would make its tree differ from the file
    ours = Page(files[kind].read_text(encoding="utf-8"))
    assert shown.rows == ours.rows
    assert "net::ERR" not in done.stdout
