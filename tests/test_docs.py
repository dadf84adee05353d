"""The documentation says what is so: links lead somewhere, code runs, tables match the package."""

from __future__ import annotations

import ast
import contextlib
import doctest
import inspect
import io
import itertools
import re
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

import bayes_msem as bm
from bayes_msem.errors import ModelSyntaxError, NotSupportedError
from bayes_msem.fit.group_fit import GroupFit
from bayes_msem.inference.options import Sampler
from bayes_msem.model.group_model import GroupModel
from bayes_msem.spec.expressions import FUNCTIONS
from bayes_msem.spec.parser import parse
from bayes_msem.spec.prior_families import FAMILIES
from tools.pages import DOCS, WITH_FITS, Block, blocks, prose

PAGES = sorted(DOCS.glob("*.md"))
IDS = [page.stem for page in PAGES]

# Why a block of code is not executed; blocks say it in a comment above them.
REASONS = ("samples", "needs a fit")

_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Heading anchors, made as GitHub and MyST make them."""
    headings = re.findall(r"^#{1,6} (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def table_below(page: Path, head: str) -> list[list[str]]:
    """Cells of the table with this head."""
    lines = page.read_text(encoding="utf-8").split(f"{head}\n", 1)[1].splitlines()[1:]
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
    return [[c.strip().replace(r"\|", "|") for c in row] for row in cells]


def run_of(page: Path) -> list[Block]:
    """Blocks of Python that can be executed, in order."""
    return [b for b in blocks(page) if b.language == "python" and not b.note]


# Text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_resolve(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.is_file(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(other), f"{page.name}: {target}"


def test_index_lists_every_page() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    others = {page.stem for page in PAGES} - {"index"}
    trees = [b.body for b in blocks(DOCS / "index.md") if b.language == "{toctree}"]
    listed = [line for tree in trees for line in tree.splitlines() if re.fullmatch(r"\w+", line)]
    assert sorted(listed) == sorted(others)
    assert {Path(t).stem for t in _LINK.findall(text) if t.endswith(".md")} == others


# Code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_code_is_python_and_marks_have_reasons(page: Path) -> None:
    for block in blocks(page):
        if block.language != "python":
            continue
        compile(block.body, f"{page.name}:{block.line}", "exec")
        if block.note == WITH_FITS:
            assert "fit" in block.body, f"{page.name}:{block.line} needs no fit: leave it unmarked"
        elif block.note:
            kind, _, reason = block.note.partition(": ")
            assert kind == "not run", f"{page.name}:{block.line}"
            assert reason in REASONS, f"{page.name}:{block.line}"
            assert "fit" in block.body, f"{page.name}:{block.line} could be run"


@pytest.mark.parametrize(
    "page", [p for p in PAGES if run_of(p)], ids=[p.stem for p in PAGES if run_of(p)]
)
def test_code_runs_and_prints_what_is_shown(page: Path) -> None:
    """One namespace per page; a block of text right below code is its output."""
    text = page.read_text(encoding="utf-8")
    everything = blocks(page)
    checker = doctest.OutputChecker()
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    names: dict[str, Any] = {}
    for block in run_of(page):
        code = compile(block.body, f"{page.name}:{block.line}", "exec")
        printed = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore", bm.MsemWarning)
            # PyMC's predictive sampling calls the random draws of "y" as Python, as it must
            warnings.filterwarnings("ignore", "Numba will use object mode", UserWarning)
            exec(code, names)
        following = [b for b in everything if b.start >= block.end][:1]
        if following and following[0].language == "text" and not following[0].note:
            between = text[block.end : following[0].start]
            if not between.strip():
                shown = following[0].body
                assert checker.check_output(shown, printed.getvalue(), flags), (
                    f"{page.name}:{block.line} prints\n{printed.getvalue()}"
                )


def test_code_that_runs_is_most_of_the_code_that_could() -> None:
    # guards the test above against a change of format that would leave it nothing to do
    assert sum(len(run_of(page)) for page in PAGES) >= 8


def test_wrong_output_would_be_noticed() -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert not doctest.OutputChecker().check_output("a ... 1.5\n", "a b\n1.6\n", flags)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_names_exist(page: Path) -> None:
    text = re.sub(r"bayes_msem(\.\w+)+", "", page.read_text(encoding="utf-8"))  # modules
    for name in re.findall(r"\bbm\.(\w+)", text):
        assert hasattr(bm, name), f"{page.name}: bm.{name}"
    for name in re.findall(r"\bmodel\.(\w+)", re.sub(r"\w+\.md\b", "", text)):
        known = hasattr(bm.Model, name) or hasattr(GroupModel, name)
        assert known, f"{page.name}: model.{name}"
    known = {f.name for f in fields(bm.Fit)} | set(dir(bm.Fit)) | set(dir(GroupFit))
    for name in re.findall(r"\bfit\.(\w+)", text):
        assert name in known, f"{page.name}: fit.{name}"
    for name in re.findall(r"\b(\w+(?:Error|Warning))\b", text):
        assert name in bm.__all__, f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_model_texts_can_be_read(page: Path) -> None:
    for block in blocks(page):
        if block.note == "model text":
            assert parse(block.body).formulas, f"{page.name}:{block.line}"


def test_arguments_of_calls_exist() -> None:
    """Also in blocks that are not run."""
    owners: dict[str, Any] = {"bm": bm, "model": bm.Model, "wider": bm.Model, "fit": bm.Fit}
    checked = 0
    for page in PAGES:
        for block in blocks(page):
            calls = ast.walk(ast.parse(block.body)) if block.language == "python" else ()
            for call in calls:
                if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                    continue
                owner = call.func.value
                if isinstance(owner, ast.Name) and owner.id in owners:
                    method = getattr(owners[owner.id], call.func.attr, None)
                    method = method or getattr(GroupFit, call.func.attr)
                    known = inspect.signature(method).parameters
                    for keyword in call.keywords:
                        given = keyword.arg in known or keyword.arg == "target_accept"
                        assert given, f"{page.name}:{block.line}: {keyword.arg}"
                        checked += 1
    assert checked > 10


# Tables --------------------------------------------------------------------------------------


def test_table_of_families() -> None:
    shown = [tuple(row) for row in table_below(DOCS / "priors.md", "| family | support | PyMC |")]
    assert shown == [
        (f"`{f.name}({', '.join(f.arguments)})`", f.support, f.pymc) for f in FAMILIES.values()
    ]


def test_list_of_public_names() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("api*.md")))
    listed = re.findall(r"^\.\. auto(?:class|function|exception):: (\w+)$", text, re.M)
    assert sorted(listed) == sorted(bm.__all__)


@pytest.mark.parametrize("kind", [bm.Model, bm.Fit])
def test_every_method_has_a_page(kind: type) -> None:
    """Fields of data classes are described with the class."""
    text = (DOCS / f"api_{kind.__name__.lower()}.md").read_text(encoding="utf-8")
    listed = re.findall(rf"^   {kind.__name__}\.(\w+)$", text, re.M)
    assert sorted(listed) == sorted(n for n in dir(kind) if not n.startswith("_"))


def test_messages_are_those_of_the_package() -> None:
    """Words in the first column, or the second where the first is a warning, are in the sources."""
    sources = "".join(p.read_text(encoding="utf-8") for p in Path(bm.__path__[0]).rglob("*.py"))
    lines = (DOCS / "messages.md").read_text(encoding="utf-8").splitlines()
    quoted = [m[1] for x in lines if (m := re.match(r"\| (?:`\w+Warning` \| )?`([^`]+)` \|", x))]
    assert len(quoted) > 20
    assert [words for words in quoted if words not in sources] == []
    warned = {name for name in bm.__all__ if name.endswith("Warning")} - {"MsemWarning"}
    assert warned <= set(re.findall(r"`(\w+Warning)`", "\n".join(lines)))


def test_table_of_unsupported_constructs() -> None:
    rows = table_below(DOCS / "syntax.md", "| construct | message begins |")
    assert len(rows) == 10
    for construct, message in rows:
        with pytest.raises(ModelSyntaxError) as error:
            parse(construct.strip("`"))
        assert isinstance(error.value, NotSupportedError), construct
        assert str(error.value).startswith(message), construct


def test_table_of_samplers() -> None:
    rows = table_below(DOCS / "samplers.md", "| `sampler=` | runs | needs besides the package |")
    assert tuple(r[0].strip('`"') for r in rows) == get_args(Sampler)


def test_list_of_expression_functions() -> None:
    text = (DOCS / "syntax.md").read_text(encoding="utf-8")
    sentence = re.search(r"Expressions know .*?\.\s", text, re.S)
    assert sentence is not None
    assert set(re.findall(r"`([a-z]+)`", sentence[0])) == set(FUNCTIONS)
