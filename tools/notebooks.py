"""Run the notebooks of examples/notebooks and write them, with output, as pages of the site.

Usage: ``python -m tools.notebooks [--check] [NAME ...]``, or ``make notebooks``. Without names:
all. ``--check`` writes nothing, and compares what is printed with the pages, with tolerances.

A notebook is a script of jupytext's percent format, so Jupyter (with jupytext), VS Code and
``python`` itself can run it: ``# %% [markdown]`` begins text, ``# %%`` code, and what the last
expression of a cell is, is shown. The figure of the cell with ``tags=["thumbnail"]`` stands in the
gallery; what a cell with ``tags=["markdown"]`` prints is Markdown. Links to pages are written
for readers of the script (``../../docs/x.md``).
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.util
import io
import os
import re
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import bayes_msem as bm
from bayes_msem.plotting.diagram import Diagram
from tools.outputs import differences
from tools.pages import DOCS, ROOT, blocks_of

NOTEBOOKS = ROOT / "examples" / "notebooks"
GALLERY = DOCS / "gallery"

# In the order of the gallery.
NAMES = (
    "first_analysis",
    "contextual_effects",
    "older_approaches",
    "two_mediators",
    "random_covariances",
    "small_clusters",
)

_HEAD = re.compile(r"^# %%(?P<text> \[markdown\])?(?P<tags>[^\n]*)\n", re.M)


@dataclass(frozen=True)
class Cell:
    """A cell: text or code, whether its figure is the thumbnail, and its output Markdown."""

    is_text: bool
    source: str
    thumbnail: bool
    prints_markdown: bool


@dataclass(frozen=True)
class Shown:
    """What a cell of code shows: text, and figures."""

    text: str
    figures: tuple[Figure | Diagram, ...]


def path_of(name: str) -> Path:
    """File of a notebook."""
    return NOTEBOOKS / f"{name}.py"


def module_of(name: str) -> ModuleType:
    """Import a module that stands beside the notebooks."""
    spec = importlib.util.spec_from_file_location(name, path_of(name))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(source: str) -> list[Cell]:
    """Split a notebook into its cells; what stands before the first one is left out."""
    heads = list(_HEAD.finditer(source))
    ends = [h.start() for h in heads[1:]] + [len(source)]
    found = []
    for head, end in zip(heads, ends, strict=True):
        body = source[head.end() : end].strip("\n")
        if head["text"]:
            lines = [re.sub(r"^# ?", "", line) for line in body.splitlines()]
            body = "\n".join(lines)
        tags = head["tags"]
        found.append(Cell(bool(head["text"]), body, "thumbnail" in tags, "markdown" in tags))
    return found


def run(name: str) -> list[Shown | None]:
    """Run a notebook from top to bottom; None for cells of text."""
    names: dict[str, Any] = {"__name__": name}
    shown: list[Shown | None] = []
    with _surroundings():
        for number, cell in enumerate(cells(path_of(name).read_text(encoding="utf-8"))):
            shown.append(None if cell.is_text else _run_cell(cell, names, f"{name}: {number}"))
    return shown


def _run_cell(cell: Cell, names: dict[str, Any], where: str) -> Shown:
    code = ast.parse(cell.source, where)
    last = code.body[-1] if code.body and isinstance(code.body[-1], ast.Expr) else None
    head = ast.Module(code.body[:-1] if last else code.body, [])
    printed, value = io.StringIO(), None
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", bm.MsemWarning)
        exec(compile(head, where, "exec"), names)
        if last:
            value = eval(compile(ast.Expression(last.value), where, "eval"), names)
    figures = [value] if isinstance(value, Figure | Diagram) else []
    plt.close("all")
    parts = [_warning(w) for w in caught] + [printed.getvalue().rstrip()]
    if value is not None and not figures:
        parts.append(str(value).rstrip())
    lines = [line.rstrip() for line in "\n\n".join(p for p in parts if p).splitlines()]
    return Shown("\n".join(lines), tuple(figures))


def _warning(caught: warnings.WarningMessage) -> str:
    first, *rest = str(caught.message).splitlines()
    lines = [f"{caught.category.__name__}: {first}", *rest]
    return "\n".join(textwrap.fill(line, 100) for line in lines)


@contextlib.contextmanager
def _surroundings() -> Iterator[None]:
    """Print for 100 columns and no progress, import from the folder, write nowhere near it."""
    columns, fit, path = os.environ.get("COLUMNS"), bm.Model.fit, list(sys.path)
    loaded = set(sys.modules)

    def quiet(model: bm.Model, **options: Any) -> bm.Fit:
        return fit(model, **{"progress": False, **options})

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["COLUMNS"] = "100"
        sys.path.insert(0, str(NOTEBOOKS))
        bm.Model.fit = quiet  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            bm.Model.fit = fit  # type: ignore[method-assign]
            sys.path[:] = path
            for name in set(sys.modules) - loaded:
                if (NOTEBOOKS / f"{name}.py").exists():
                    del sys.modules[name]
            if columns is None:
                del os.environ["COLUMNS"]
            else:
                os.environ["COLUMNS"] = columns


# Pages -----------------------------------------------------------------------------------------


def page(name: str, shown: list[Shown | None]) -> tuple[str, dict[str, Figure | Diagram]]:
    """Return a notebook as Markdown, and its figures by file name."""
    parts: list[str] = []
    figures: dict[str, Figure | Diagram] = {}
    for cell, output in zip(cells(path_of(name).read_text(encoding="utf-8")), shown, strict=True):
        if output is None:
            parts.append(cell.source.replace("../../docs/", "../"))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        if output.text:
            fenced = f"```text\n{output.text}\n```"
            parts.append(output.text if cell.prints_markdown else fenced)
        for figure in output.figures:
            kind = "png" if isinstance(figure, Figure) else "svg"
            file = f"{name}_{len(figures) + 1}.{kind}"
            figures[file] = figure
            parts.append(f"![{_alternative(cell)}]({file})")
    parts.append(_SOURCE.format(name=name))
    return "\n\n".join(parts) + "\n", figures


_SOURCE = (
    "---\n\nThis page is `examples/notebooks/{name}.py`, run from top to bottom.\n"
    "Jupyter with jupytext and VS Code open the script as a notebook."
)


def _alternative(cell: Cell) -> str:
    """Text for those who do not see the figure: the comment that begins its cell."""
    first = cell.source.splitlines()[0]
    assert first.startswith("# "), f"a cell with a figure begins with a comment; got {first!r}"
    return first.removeprefix("# ")


def thumbnail(name: str) -> str:
    """File of the figure that stands for a notebook in the gallery."""
    text, count = (GALLERY / f"{name}.md").read_text(encoding="utf-8"), 0
    chosen = {c.source for c in cells(path_of(name).read_text(encoding="utf-8")) if c.thumbnail}
    for piece in re.finditer(r"```python\n(.*?)\n```|\((\w+\.(?:png|svg))\)", text, re.S):
        if piece[1] is not None:
            count = piece[1] in chosen
        elif count:
            return piece[2]
    raise ValueError(f"{name} has no figure below a cell with the tag 'thumbnail'")


def code_and_output(text: str) -> tuple[list[str], str]:
    """Cells of code of a page, and all that it shows as output."""
    found = blocks_of(text)
    code = [b.body.rstrip("\n") for b in found if b.language == "python"]
    return code, "\n".join(b.body for b in found if b.language == "text")


def main(arguments: list[str] | None = None) -> int:
    """Write pages, or compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare; write nothing")
    parser.add_argument("names", nargs="*", help="such as first_analysis; none: all")
    options = parser.parse_args(arguments)
    problems = 0
    for name in options.names or NAMES:
        start = time.process_time()
        text, figures = page(name, run(name))
        print(f"== {name}: {time.process_time() - start:.0f} CPU seconds", flush=True)
        target = GALLERY / f"{name}.md"
        if options.check:
            old = code_and_output(target.read_text(encoding="utf-8"))[1]
            messages = differences(old, code_and_output(text)[1])
            problems += len(messages)
            print(*(f"{name}: {message}" for message in messages), sep="\n")
            continue
        GALLERY.mkdir(exist_ok=True)
        for old_figure in GALLERY.glob(f"{name}_*.*g"):
            old_figure.unlink()
        target.write_text(text, encoding="utf-8")
        for file, figure in figures.items():
            if isinstance(figure, Figure):
                figure.savefig(GALLERY / file, dpi=90, metadata={"Software": None})
            else:
                (GALLERY / file).write_text(figure.svg, encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(main())
