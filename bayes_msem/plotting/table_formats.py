"""A table for publication (posterior.published) as Markdown, LaTeX or HTML.

All text is escaped here: names of variables, labels and titles may hold signs that mean something
in a format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from bayes_msem.posterior.published import MARK, PublishedTable

__all__ = ["HtmlText", "MarkdownText", "html_page", "to_html", "to_latex", "to_markdown"]

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    MARK: r"\textsuperscript{a}",
    "\u2212": "$-$",
    "\u2013": "--",
    "\u2192": r"$\rightarrow$",
    "\u2194": r"$\leftrightarrow$",
    "\u00b2": r"\textsuperscript{2}",
}
_LONGEST = 45  # lines that fit on one page
_RAISED = "\u0302"  # a combining hat


class MarkdownText(str):
    """Text that notebooks show as Markdown."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return str(self)


class HtmlText(str):
    """Text that notebooks show as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


def to_markdown(table: PublishedTable) -> MarkdownText:
    """Pipe table, as GitHub, Pandoc, Quarto and Jupyter read it."""
    heads = [_plain(c) for c in table.columns]
    rows = [heads, [":--", *["--:"] * (len(heads) - 1)]]
    for line in table.lines:
        cells = [_plain(cell) for cell in line.cells]
        if line.depth < 2:
            mark = "**" if line.depth == 0 else "*"
            cells = [f"{mark}{cells[0]}{mark}", *[""] * (len(heads) - 1)]
        rows.append(cells)
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    note = " ".join(_plain(n) for n in table.notes)
    return MarkdownText(f"*{_plain(table.title)}*\n\n{text}\n\n*Note.* {note}\n")


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}<>#|~])", r"\\\1", text)


def to_latex(table: PublishedTable) -> str:
    """Table with the rules of the package booktabs; one that breaks over pages if it is long."""
    n = len(table.columns)
    long = len(table.lines) > _LONGEST
    across = f"\\multicolumn{{{n}}}{{@{{}}l@{{}}}}"
    form = f"{{@{{}}l{'r' * (n - 1)}@{{}}}}"
    head = " & ".join(_latex(c) for c in table.columns) + " \\\\"
    title = f"\\textit{{{_latex(table.title)}}}"
    note = "\\footnotesize\\textit{Note.} " + " ".join(_latex(note) for note in table.notes)
    body = []
    for i, line in enumerate(table.lines):
        cells = [_latex(cell) for cell in line.cells]
        if line.depth < 2:
            body += ["\\addlinespace"] if i and table.lines[i - 1].depth == 2 else []
            font = "\\textbf" if line.depth == 0 else "\\textit"
            body.append(f"{across}{{{font}{{{cells[0]}}}}} \\\\")
        else:
            body.append("\\quad " + " & ".join(cells) + " \\\\")
    if long:
        lines = [
            "% \\usepackage{booktabs,longtable}",
            f"\\begin{{longtable}}[l]{form}",
            f"{across}{{{title}}} \\\\",
            "\\toprule",
            head,
            "\\midrule",
            "\\endfirsthead",
            "\\toprule",
            head,
            "\\midrule",
            "\\endhead",
            "\\bottomrule",
            "\\endfoot",
            *body,
            "\\end{longtable}",
            f"{{{note}\\par}}",
        ]
    else:
        lines = [
            "% \\usepackage{booktabs}",
            "\\begin{table}",
            "\\begin{minipage}{\\linewidth}",
            title,
            "\\par\\medskip",
            f"\\begin{{tabular}}{form}",
            "\\toprule",
            head,
            "\\midrule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
            "\\par\\smallskip",
            note,
            "\\end{minipage}",
            "\\end{table}",
        ]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    hatted = re.sub(f"(.){_RAISED}", lambda m: f"\0{m[1]}\1", text)
    written = "".join(_LATEX.get(letter, letter) for letter in hatted)
    return written.replace("\0", "$\\hat{").replace("\1", "}$")


def to_html(table: PublishedTable) -> HtmlText:
    """Table with inline styles, in the colours of the page around it."""
    rule = "1.5px solid currentColor"
    n = len(table.columns)
    parts = [
        f"<table style='border-collapse:collapse;border-top:{rule};"
        "font-variant-numeric:tabular-nums;background:none'>",
        "<caption style='caption-side:top;text-align:left;font-style:italic;color:inherit;"
        f"padding-bottom:0.5em'>{escape(table.title)}</caption>",
        "<thead>",
        _row(
            "th", table.columns, f"border-bottom:1px solid currentColor;{_CELL}font-weight:normal;"
        ),
        "</thead>",
        "<tbody>",
    ]
    for line in table.lines:
        if line.depth == 2:
            parts.append(_row("td", line.cells, _CELL, indent=True))
        else:
            style = (
                "font-weight:bold" if line.depth == 0 else "font-style:italic;font-weight:normal"
            )
            parts.append(
                f"<tr style='background:none'><th colspan='{n}' scope='rowgroup' "
                f"style='text-align:left;padding:0.5em 0.8em 0.15em 0;{style}'>"
                f"{escape(line.cells[0])}</th></tr>"
            )
    note = " ".join(escape(note) for note in table.notes)
    parts += [
        "</tbody>",
        f"<tfoot><tr style='background:none'><td colspan='{n}' style='border-top:{rule};"
        "text-align:left;font-size:90%;padding:0.5em 0;max-width:34em;white-space:normal'>"
        f"<i>Note.</i> {note}</td></tr></tfoot>",
        "</table>",
    ]
    return HtmlText("\n".join(parts) + "\n")


def html_page(body: str) -> str:
    """Page that browsers open by itself, whatever encoding they would guess."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="color-scheme" content="light dark">\n<title>Table</title>\n</head>\n<body>\n'
        f"{body}</body>\n</html>\n"
    )


_HEADINGS = ("font-weight:bold", "font-style:italic;font-weight:normal")
_CELL = "padding:0.15em 0.8em;white-space:nowrap;"


def _row(tag: str, cells: Sequence[str], style: str, *, indent: bool = False) -> str:
    written = []
    for i, cell in enumerate(cells):
        side = "left" if i == 0 else "right"
        first = "padding-left:1.2em;" if indent and i == 0 else ""
        scope = " scope='col'" if tag == "th" else ""
        written.append(
            f"<{tag}{scope} style='text-align:{side};{style}{first}'>{escape(cell)}</{tag}>"
        )
    return f"<tr style='background:none'>{''.join(written)}</tr>"
