"""One HTML page that needs nothing else: text, tables and pictures, all inside the file.

A page is put together from sections. Every text goes through :func:`html.escape` on its way in;
only what this package draws itself (tables, diagrams) is taken as HTML.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "PageSection",
    "absent",
    "bullets",
    "facts",
    "page",
    "paragraph",
    "picture",
    "preformatted",
    "scrolling",
    "vector",
]

_DPI = 90  # sharp enough to read, and a tenth of the size that print would need

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; --warn: #b3470022; }
body { font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif;
  max-width: 64rem; margin: 0 auto; padding: 1.5rem; background: Canvas; color: CanvasText; }
details { margin: 0.75rem 0 1rem; }
h1 { line-height: 1.2; margin: 0.5rem 0; }
h2 { margin: 2.5rem 0 0.75rem; padding-bottom: 0.2rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1.5rem 0 0.5rem; }
a { color: LinkText; }
nav ol { columns: 3 13rem; padding-left: 1.5rem; }
pre { background: var(--soft); padding: 0.75rem 1rem; overflow-x: auto; font-size: 0.85rem;
  line-height: 1.4; border-radius: 4px; }
pre.words { white-space: pre-wrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.25rem; margin: 0; }
dt { opacity: 0.75; }
dd { margin: 0; overflow-wrap: anywhere; }
table { font-size: 0.85rem; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { white-space: nowrap; }
table.dataframe th, table.dataframe td { padding: 0.1em 0.6em; text-align: right; }
table.dataframe thead th { border-bottom: 1px solid currentColor; }
.scroll { overflow-x: auto; }
.picture { background: #fff; padding: 0.75rem; border-radius: 4px; overflow-x: auto; }
.drawing { padding: 0.75rem 0; overflow-x: auto; }
.picture img, .drawing svg { display: block; margin: 0 auto; }
.picture img { max-width: 100%; height: auto; }
.absent { opacity: 0.75; font-style: italic; }
.problem { background: var(--warn); padding: 0.5rem 1rem 0.5rem 2.25rem;
  border-left: 4px solid #d55e00; }
@media print { body { max-width: none; } nav { display: none; }
  .drawing svg { max-width: 100%; height: auto; } }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<h1>$title</h1>
$lead
</header>
<nav aria-label="Contents">
<h2>Contents</h2>
<ol>
$contents
</ol>
</nav>
<main>
$body
</main>
</body>
</html>
""")


@dataclass(frozen=True, slots=True)
class PageSection:
    """A heading and what stands below it.

    Attributes
    ----------
    title
        The heading, as plain text.
    body
        HTML.
    """

    title: str
    body: str

    @property
    def anchor(self) -> str:
        """Where a link leads to."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def __str__(self) -> str:
        """Return the section as HTML."""
        head = f'<h2 id="{self.anchor}">{escape(self.title)}</h2>'
        return f"<section>\n{head}\n{self.body}\n</section>"


def page(title: str, lead: str, sections: Sequence[PageSection]) -> str:
    """Put a page together.

    Parameters
    ----------
    title
        Plain text.
    lead
        HTML below the title.
    sections
        In the order in which they are shown and listed.

    Returns
    -------
    str
        A complete document that refers to nothing outside itself.

    Examples
    --------
    >>> text = page("A & B", "", [PageSection("First part", paragraph("1 < 2"))])
    >>> "<h1>A &amp; B</h1>" in text, '<a href="#first-part">' in text
    (True, True)
    """
    links = [f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in sections]
    return _PAGE.substitute(
        title=escape(title),
        style=_STYLE,
        lead=lead,
        contents="\n".join(links),
        body="\n".join(map(str, sections)),
    )


def paragraph(text: str, kind: str = "") -> str:
    """Plain text as a paragraph of a kind (class) of the style sheet."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def absent(reason: str) -> str:
    """Say why a part is not there."""
    return paragraph(f"Not shown: {reason.rstrip('.')}.", "absent")


def bullets(items: Iterable[str], kind: str = "") -> str:
    """Plain texts as a list."""
    lines = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f"<ul{_class(kind)}>{lines}</ul>"


def facts(pairs: Mapping[str, object]) -> str:
    """Names and values side by side."""
    lines = [f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in pairs.items()]
    return f"<dl>{''.join(lines)}</dl>"


def preformatted(text: str, *, wrap: bool = False) -> str:
    """Text whose line breaks and columns matter; ``wrap`` breaks long lines as well."""
    return f"<pre{_class('words' if wrap else '')}>{escape(text)}</pre>"


def scrolling(table: str) -> str:
    """HTML of a table, which scrolls sideways where the window is too narrow for it."""
    return f'<div class="scroll">{table}</div>'


def vector(svg: str) -> str:
    """Drawing in the colour of the text; it scrolls where it is wider than the page."""
    return f'<div class="drawing">{svg}</div>'


def picture(figure: Figure, description: str) -> str:
    """Matplotlib figure as PNG inside the page.

    Parameters
    ----------
    figure
        Drawn on white.
    description
        For readers who cannot see it.

    Returns
    -------
    str
    """
    buffer = io.BytesIO()
    # without matplotlib's version the same numbers give the same file
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    code = base64.b64encode(buffer.getvalue()).decode("ascii")
    width = round(float(figure.get_size_inches()[0]) * _DPI)
    return (
        f'<div class="picture"><img alt="{escape(description)}" width="{width}" '
        f'src="data:image/png;base64,{code}"></div>'
    )


def _class(kind: str) -> str:
    return f' class="{escape(kind)}"' if kind else ""
