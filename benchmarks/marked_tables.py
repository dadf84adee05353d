"""Markdown tables, and the places in pages that they are written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["markdown", "with_marked"]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: first column to the left, others to the right; cells may hold bars."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        for row in [head, rule, *rows]
    )


def with_marked(page: str, texts: Mapping[str, str]) -> str:
    """Replace what stands in a page between ``<!-- begin: name -->`` and ``end``, by name."""
    for name, text in texts.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"the page has no {begin} ... {end}")
        page = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return page
