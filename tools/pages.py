"""Pages of the documentation as fenced blocks, and what the comments above blocks mean.

=================================  =====================================================
comment above a block              meaning
=================================  =====================================================
Python, none                       the tests run it; text right below is its output
``not run: samples``               nobody runs it
``not run: needs a fit``           nobody runs it
``run with fits``                  ``make docs-output`` runs it; text right below is its
                                   output, and refreshed
text, ``excerpt``                  lines of the output of the code above
text, ``output of EXPRESSION``     what the expression shows after the code above
text, ``excerpt of SCRIPT``        lines of what a script prints
text, ``model text``               no output; can be parsed
text, ``not output``               no output of anything
=================================  =====================================================

``<!-- names of PAGE -->`` anywhere in a page lets its code use what that page defines, fits
included, and a comment ``<!-- setup`` holds code that readers need not see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

WITH_FITS = "run with fits"

_FENCE = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\S*)\n(?P<body>.*?)^```$", re.M | re.S
)
_NAMES = re.compile(r"^<!-- names of (\w+) -->$", re.M)
_SETUP = re.compile(r"^<!-- setup\n(.*?)^-->$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the comment above it, its text and where it stands."""

    language: str
    note: str
    body: str
    line: int
    start: int
    end: int
    body_start: int


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return blocks_of(page.read_text(encoding="utf-8"))


def blocks_of(text: str) -> list[Block]:
    """All fenced blocks of a text, in order."""
    return [
        Block(
            language=m["language"],
            note=m["note"] or "",
            body=m["body"],
            line=text.count("\n", 0, m.start("body")) + 1,
            start=m.start(),
            end=m.end(),
            body_start=m.start("body"),
        )
        for m in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """Text of a page without its blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def borrowed(text: str) -> str | None:
    """Name of the page whose names a page uses."""
    found = _NAMES.search(text)
    return found[1] if found else None


def setup(text: str) -> str:
    """Code that a page needs and does not show."""
    return "".join(_SETUP.findall(text))


def page_path(name: str) -> Path:
    """File of a page, from its name."""
    return ROOT / "README.md" if name == "README" else DOCS / f"{name}.md"
