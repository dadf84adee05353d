"""Pieces of what notebooks show: HTML with every text escaped, in the colours of the page.

Styles are inline, since they must hold in every notebook, and name no colours, so that light and
dark themes both can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

__all__ = ["block", "bullets_of", "fold", "grid", "pairs", "text_paragraph", "words"]

_ROW = "<tr style='background:none'>"
_CELL = "padding:0.1em 0.7em 0.1em 0;vertical-align:top"
_WHOLE = f"white-space:nowrap;{_CELL}"
_TABLE = "<table style='border-collapse:collapse;font-variant-numeric:tabular-nums'>"


def block(*parts: str) -> str:
    """Put pieces into one, that scrolls by itself if it is too wide."""
    return f"<div style='overflow-x:auto'>{''.join(parts)}</div>"


def text_paragraph(text: str, *, bold: bool = False, small: bool = False) -> str:
    """One paragraph.

    Examples
    --------
    >>> text_paragraph("a < b")
    "<p style='margin:0.4em 0'>a &lt; b</p>"
    """
    style = "margin:0.4em 0" + (";font-weight:bold" if bold else "")
    style += ";font-size:90%" if small else ""
    return f"<p style='{style}'>{escape(text)}</p>"


def bullets_of(lines: Iterable[str]) -> str:
    """Lines as a list; empty if there are none."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul style='margin:0.4em 0'>{items}</ul>" if items else ""


def pairs(facts: Mapping[str, str]) -> str:
    """Names and what they are, in two columns."""
    rows = "".join(
        f"{_ROW}<th style='text-align:left;font-weight:normal;opacity:0.75;{_WHOLE}'>{escape(k)}"
        f"</th><td style='text-align:left;white-space:normal;max-width:50em;{_CELL}'>{escape(v)}"
        "</td></tr>"
        for k, v in facts.items()
    )
    return f"{_TABLE}<tbody>{rows}</tbody></table>"


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Numbers in columns, after ``left`` columns of names."""

    def line(tag: str, cells: Sequence[str], rule: str = "") -> str:
        sides = ["left"] * left + ["right"] * (len(cells) - left)
        written = (
            f"<{tag} style='text-align:{side};{_WHOLE};{rule}'>{escape(cell)}</{tag}>"
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"{_ROW}{''.join(written)}</tr>"

    head = line("th", heads, "border-bottom:1px solid currentColor")
    body = "".join(line("td", row) for row in rows)
    return f"{_TABLE}<thead>{head}</thead><tbody>{body}</tbody></table>"


def fold(summary: str, content: str, *, is_open: bool = False) -> str:
    """Show HTML only when its heading is clicked."""
    state = " open" if is_open else ""
    return (
        f"<details{state} style='margin:0.4em 0'><summary style='cursor:pointer'>{escape(summary)}"
        f"</summary>{content}</details>"
    )


def words(text: str) -> str:
    """Text whose line breaks and columns matter."""
    style = "white-space:pre-wrap;background:none;font-size:90%;margin:0.4em 0"
    return f"<pre style='{style}'>{escape(text)}</pre>"
