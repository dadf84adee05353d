"""The site as readers get it: built without a warning, no broken link, a search that finds."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tools.pages import DOCS

NEEDED = ("furo", "latex2mathml", "myst_parser", "sphinx_autodoc_typehints", "sphinx_copybutton")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"the extra docs is not installed: {MISSING}"),
]


class Page(HTMLParser):
    """Targets of links and pictures, and the anchors, of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [found[k] or "" for k in ("href", "src") if k in found]
        self.anchors |= {found["id"] or ""} if "id" in found else set()


def broken_links(site: Path) -> list[str]:
    """Links inside the site that lead nowhere."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].anchors if target in pages else {parts.fragment}
            if not target.exists() or unquote(parts.fragment) not in known:
                broken.append(f"{path.relative_to(site.resolve())}: {link}")
    return broken


@pytest.fixture(scope="module")
def build(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The site, and what Sphinx said; as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    skipped = shutil.ignore_patterns("_build", "generated")
    source = shutil.copytree(DOCS, folder / "docs", ignore=skipped)
    site = folder / "html"
    options = ["-W", "-n", "--keep-going", "-q", "-b", "html", "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, str(source), str(site)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DOCS.parent, check=False)
    return site, done


def test_it_is_built_as_by_make() -> None:
    rules = (DOCS.parent / "Makefile").read_text(encoding="utf-8")
    assert "-m sphinx -W -n --keep-going -q -b html" in rules


def test_no_warnings(build: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = build
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_no_link_is_broken(build: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    site, _ = build
    assert len(list(site.glob("generated/*.html"))) > 50  # a page per method
    assert broken_links(site) == []


def test_a_broken_link_would_be_noticed(tmp_path: Path) -> None:
    links = ["b.html", "b.html#here", "b.html#there", "c.html", "#top", "https://example.org/x"]
    text = "".join(f'<a href="{link}">x</a>' for link in links)
    (tmp_path / "a.html").write_text(text, encoding="utf-8")
    (tmp_path / "b.html").write_text('<p id="here"></p>', encoding="utf-8")
    assert broken_links(tmp_path) == ["a.html: b.html#there", "a.html: c.html"]


def test_formulas_are_converted(build: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    site, _ = build
    formulas = []
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        formulas += [(page.name, f) for f in re.findall(r"<math.*?</math>", text, re.S)]
    assert len(formulas) > 200
    assert [f for f in formulas if "\\" in f[1]] == []  # a command that is not known stays


def test_types_are_shown(build: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    site, _ = build
    text = (site / "generated" / "bayes_msem.Fit.summary.html").read_text(encoding="utf-8")
    plain = re.sub(r"<[^>]+>", "", text)
    assert re.search(r"ci \(float, default: 0\.95\)", plain)
    assert 'href="../api_results.html#' in text  # EstimateTable leads to its description


def test_the_index_finds_random_loading(
    build: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """Both words, as stems, are in the index of the page on random coefficients."""
    site, _ = build
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").rstrip().removesuffix(")"))

    def pages(stem: str) -> set[str]:
        numbers: set[int] = set()
        for where in ("terms", "titleterms"):
            found = index[where].get(stem, [])
            numbers |= set(found if isinstance(found, list) else [found])
        return {index["docnames"][i] for i in numbers}

    assert {"random", "examples", "glossary"} <= pages("random") & pages("load")


# In a browser --------------------------------------------------------------------------------

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(build: tuple[Path, subprocess.CompletedProcess[str]]) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(build[0]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def shown(url: str) -> tuple[str, list[str]]:
    """Return the page after its scripts, and errors on the console."""
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command = [BROWSER, *options, "--virtual-time-budget=8000", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_search_in_a_browser(address: str) -> None:
    page, console = shown(f"{address}/search.html?q=random+loading")
    results = re.findall(r'<li class="kind-[^"]*"[^>]*><a href="([^"?#]+)', page)
    assert "random.html" in results
    assert console == []


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
@pytest.mark.parametrize("name", ["index", "tutorial", "model", "api_fit", "coming_from"])
def test_no_errors_on_the_console(address: str, name: str) -> None:
    page, console = shown(f"{address}/{name}.html")
    assert "</h1>" in page
    assert console == []


PROBE = """<!DOCTYPE html><body><script>
for (const width of WIDTHS) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px";
  frame.onload = () => {
    const box = frame.contentDocument.querySelector("article").getBoundingClientRect();
    const line = document.createElement("p");
    line.textContent = width + " " + Math.ceil(box.right);
    document.body.append(line);
  };
  frame.src = "PAGE";
  document.body.append(frame);
}
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
def test_text_is_as_wide_as_the_window_allows(
    build: tuple[Path, subprocess.CompletedProcess[str]], address: str
) -> None:
    """At widths around those where the sidebars come and go."""
    widths = [420, 760, 1020, 1100, 1200, 1320, 1600]
    probe = PROBE.replace("WIDTHS", str(widths)).replace("PAGE", "data.html")
    (build[0] / "probe.html").write_text(probe, encoding="utf-8")
    page, _ = shown(f"{address}/probe.html")
    (build[0] / "probe.html").unlink()
    found = {int(w): int(right) for w, right in re.findall(r"<p>(\d+) (\d+)</p>", page)}
    assert sorted(found) == widths
    assert [width for width, right in found.items() if right > width] == []
