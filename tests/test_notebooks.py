"""Notebooks run from top to bottom, and their pages show what they print.

Ordinary tests read them and declare their models; the slow ones run them.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import bayes_msem as bm
from bayes_msem.spec.parser import parse
from tools import notebooks
from tools.notebooks import GALLERY, NAMES, NOTEBOOKS, cells, code_and_output, page, path_of
from tools.outputs import differences
from tools.pages import DOCS, blocks_of

MODULES = {"msalt", "older_methods"}  # beside the notebooks, which import them


def page_of(name: str) -> str:
    return (GALLERY / f"{name}.md").read_text(encoding="utf-8")


def code_of(name: str) -> list[str]:
    found = cells(path_of(name).read_text(encoding="utf-8"))
    return [cell.source for cell in found if not cell.is_text]


def test_every_notebook_is_listed() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.py")} == {*NAMES, *MODULES}
    assert {path.stem for path in GALLERY.glob("*.md")} == set(NAMES)
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    tree = next(b.body for b in blocks_of(text) if b.language == "{toctree}")
    assert re.findall(r"^gallery/(\w+)$", tree, re.M) == list(NAMES)
    assert re.findall(r"^:link: gallery/(\w+)$", text, re.M) == list(NAMES)


def test_cells() -> None:
    source = (
        '"""Head."""\n# %% [markdown]\n# # Title\n#\n# Text.\n\n# %% tags=["thumbnail"]\nx = 1\n'
    )
    text, code = cells(source)
    assert (text.is_text, text.source) == (True, "# Title\n\nText.")
    assert (code.is_text, code.source, code.thumbnail) == (False, "x = 1", True)


@pytest.mark.parametrize("name", NAMES)
def test_page_has_the_code_and_the_text(name: str) -> None:
    """A notebook that was changed and not run again is noticed."""
    assert code_and_output(page_of(name))[0] == code_of(name)
    for cell in cells(path_of(name).read_text(encoding="utf-8")):
        assert not cell.is_text or cell.source.replace("../../docs/", "../") in page_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_thumbnail_and_figures(name: str) -> None:
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert f":link: gallery/{name}\n:link-type: doc\n:img-top: gallery/" in text
    assert f":img-top: gallery/{notebooks.thumbnail(name)}\n" in text
    figures = re.findall(r"!\[[^\]]+\]\((\w+\.\w+)\)", page_of(name))
    assert sorted(figures) == sorted(p.name for p in GALLERY.glob(f"{name}_*.*g"))


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", page_of(name)):
        assert (GALLERY / target).is_file(), target


@pytest.mark.parametrize("name", NAMES)
def test_imports_and_model_texts(name: str) -> None:
    code = ast.parse("\n".join(code_of(name)))
    texts = 0
    for node in ast.walk(code):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            assert module in MODULES or importlib.util.find_spec(module or "") is not None
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "level:" in node.value
        ):
            assert parse(node.value).formulas
            texts += 1
    assert texts >= 1


class _FirstFit(Exception):
    """Raised where a notebook samples for the first time."""


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_until_the_first_fit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports work, and the first model can be built."""

    def stop(*_: object, **__: object) -> None:
        raise _FirstFit

    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(bm.Model, "fit", stop)
    with pytest.raises(_FirstFit):
        notebooks.run(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_prints_what_its_page_shows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    text, figures = page(name, notebooks.run(name))
    shown, printed = code_and_output(page_of(name))[1], code_and_output(text)[1]
    assert differences(shown, printed) == []
    assert sorted(figures) == sorted(p.name for p in GALLERY.glob(f"{name}_*.*g"))
