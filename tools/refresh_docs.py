"""Run the code of the documentation that needs fits, and put its output into the pages.

Usage: ``python -m tools.refresh_docs [--check] [PAGE ...]``, or ``make docs-output``. Without
pages: all that show output of fits. ``--check`` writes nothing, and compares with tolerances.

Pages share fits: a model that was fitted with the same data and settings is not fitted again. What
the comments in the pages mean stands in ``tools/pages.py``. Text around the output is not touched;
the script names numbers in it that the output shows no longer.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pandas as pd

import bayes_msem as bm
from bayes_msem.data.observed_data import frame_of
from bayes_msem.spec.printing import to_syntax
from tools.outputs import StaleOutput, differences, excerpt, numbers_left_behind
from tools.pages import (
    DOCS,
    ROOT,
    WITH_FITS,
    Block,
    blocks,
    blocks_of,
    borrowed,
    page_path,
    prose,
    setup,
)

_EXPRESSION, _EXCERPT = "output of ", "excerpt of "


class Session:
    """Runs pages and scripts; each fit and each script once.

    Attributes
    ----------
    names
        Page -> what its code defined.
    """

    def __init__(self) -> None:
        self.names: dict[str, dict[str, Any]] = {}
        self._outputs: dict[str, list[tuple[Block, str]]] = {}
        self._fits: dict[str, bm.Fit] = {}
        self._scripts: dict[str, str] = {}

    def outputs(self, page: str) -> list[tuple[Block, str]]:
        """Run a page; return the blocks that show output, with what they should show."""
        if page in self._outputs:
            return self._outputs[page]
        text = page_path(page).read_text(encoding="utf-8")
        other = borrowed(text)
        if other is not None:
            self.outputs(other)
        names = self.names[page] = dict(self.names[other]) if other is not None else {}
        found: list[tuple[Block, str]] = []
        with self._quiet():
            exec(compile(setup(text), f"{page}: setup", "exec"), names)
            printed, previous = "", None
            for block in blocks_of(text):
                if block.language == "python" and not block.note.startswith("not run"):
                    printed = run(block, names, page)
                    previous = block
                elif block.note.startswith(_EXPRESSION):
                    shown = ast.parse(block.note.removeprefix(_EXPRESSION))
                    found.append((block, _show(shown, names)))
                elif block.note.startswith(_EXCERPT):
                    script = self.script(block.note.removeprefix(_EXCERPT))
                    found.append((block, _excerpt(block, script, page)))
                elif block.note == "excerpt":
                    found.append((block, _excerpt(block, printed, page)))
                elif _is_output(block, previous, text):
                    found.append((block, printed))
        self._outputs[page] = found
        return found

    def script(self, path: str) -> str:
        """Return what a script prints."""
        if path not in self._scripts:
            with tempfile.TemporaryDirectory() as folder:
                finished = subprocess.run(
                    [sys.executable, str(ROOT / path), "--out", folder],
                    env=os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
            self._scripts[path] = finished.stdout
        return self._scripts[path]

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        """Share fits, print tables for 100 columns, warn of nothing, write figures elsewhere."""
        columns, fit = os.environ.get("COLUMNS"), bm.Model.fit
        os.environ["COLUMNS"] = "100"

        def shared(model: bm.Model, **options: Any) -> bm.Fit:
            key = _fingerprint(model, options)
            if key not in self._fits:
                self._fits[key] = fit(model, **{"progress": False, **options})
            return self._fits[key]

        with (
            warnings.catch_warnings(),
            tempfile.TemporaryDirectory() as folder,
            contextlib.chdir(folder),
        ):
            warnings.simplefilter("ignore")
            bm.Model.fit = shared  # type: ignore[method-assign, assignment]
            try:
                yield
            finally:
                bm.Model.fit = fit  # type: ignore[method-assign]
                if columns is None:
                    del os.environ["COLUMNS"]
                else:
                    os.environ["COLUMNS"] = columns


def _fingerprint(model: bm.Model, options: dict[str, Any]) -> str:
    observed = model.observed
    frame = frame_of(observed, observed.y, observed.z)
    digest = sha256(pd.util.hash_pandas_object(frame).to_numpy().tobytes())
    chosen = {k: v for k, v in model.options.items() if k != "spec"}
    digest.update(repr((to_syntax(model.table), chosen, sorted(options.items()))).encode())
    return digest.hexdigest()


def run(block: Block, names: dict[str, Any], page: str) -> str:
    """Run a block; return what it prints, or what its last expression shows."""
    return _show(ast.parse(block.body, f"{page}:{block.line}"), names)


def _show(code: ast.Module, names: dict[str, Any]) -> str:
    last = code.body[-1] if isinstance(code.body[-1], ast.Expr) else None
    head = ast.Module(code.body[:-1] if last else code.body, [])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(head, "documentation", "exec"), names)
        if last:
            value = eval(compile(ast.Expression(last.value), "documentation", "eval"), names)
            if value is not None and not printed.getvalue():
                print(value)
    lines = [line.rstrip() for line in printed.getvalue().rstrip().splitlines()]
    return "\n".join(lines) + "\n"


def _excerpt(block: Block, printed: str, page: str) -> str:
    try:
        return excerpt(block.body, printed)
    except StaleOutput as problem:
        raise StaleOutput(f"{page}:{block.line}: {problem}\n\nPrinted now:\n{printed}") from None


def _is_output(block: Block, previous: Block | None, text: str) -> bool:
    """Whether a block is all the output of a block with fits right above."""
    return (
        block.language == "text"
        and not block.note
        and previous is not None
        and previous.note == WITH_FITS
        and not text[previous.end : block.start].strip()
    )


def pages_with_output() -> list[str]:
    """Pages that show output of fits."""
    paths = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    shown = ("excerpt", _EXPRESSION, _EXCERPT)
    return [
        path.stem
        for path in paths
        if any(b.note.startswith(shown) or b.note == WITH_FITS for b in blocks(path))
    ]


def refreshed(text: str, outputs: list[tuple[Block, str]]) -> str:
    """Put output into the blocks of a page."""
    for block, output in reversed(outputs):
        end = block.body_start + len(block.body)
        text = text[: block.body_start] + output + text[end:]
    return text


def main(arguments: list[str] | None = None) -> int:
    """Refresh pages, or compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare; write nothing")
    parser.add_argument("pages", nargs="*", help="such as tutorial, README; none: all")
    options = parser.parse_args(arguments)
    session, problems = Session(), 0
    for page in options.pages or pages_with_output():
        path = page_path(page)
        print(f"== {page}", flush=True)
        try:
            outputs = session.outputs(page)
        except StaleOutput as problem:
            print(problem)
            problems += 1
            continue
        for block, output in outputs:
            messages = differences(block.body, output)
            problems += len(messages) if options.check else 0
            for message in messages:
                print(f"{page}:{block.line}: {message}")
            for number in numbers_left_behind(block.body, output, prose(path)):
                print(f"{page}: the text still has {number}, which block {block.line} had")
        if not options.check:
            text = path.read_text(encoding="utf-8")
            path.write_text(refreshed(text, outputs), encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(main())
