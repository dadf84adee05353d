"""A table for publication (posterior.published) for Word, by python-docx, and for great_tables.

Both packages are optional (the extra ``tables``), and imported when they are needed.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from bayes_msem.errors import NotSupportedError
from bayes_msem.posterior.published import R2, PublishedTable

__all__ = ["docx_bytes", "require", "to_docx", "to_great_table"]

_PACKAGES = {"docx": "python-docx", "great_tables": "great_tables"}
# inches
_INDENT, _BESIDE, _LETTER, _PAGE, _NARROWEST = 0.2, 0.2, 0.085, 6.0, 0.6


def require(module: str) -> Any:
    """Import an optional package.

    Raises
    ------
    NotSupportedError
        It is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise NotSupportedError(
            f"format='{module}' needs {_PACKAGES[module]}, which is not installed; install it "
            "with the extra 'tables': pip install \"bayes_msem[tables]\""
        ) from error


def to_docx(table: PublishedTable) -> Any:
    """Word document with the table as APA draws it: three rules, no vertical lines."""
    docx = require("docx")
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Inches, Pt

    document = docx.Document()
    document.styles["Normal"].font.name = "Times New Roman"
    document.styles["Normal"].font.size = Pt(11)
    title = document.add_paragraph()
    title.add_run(table.title).italic = True
    title.paragraph_format.keep_with_next = True
    grid = document.add_table(rows=1 + len(table.lines), cols=len(table.columns))
    grid.autofit = False
    for column, width in zip(grid.columns, _widths(table), strict=True):
        column.width = Inches(width)
        for cell in column.cells:  # Word reads those of the cells, others that of the column
            cell.width = Inches(width)
    last = len(table.lines)

    def fill(r: int, c: int, text: str, *, depth: int = 2, left: bool = False) -> None:
        paragraph = grid.cell(r, c).paragraphs[0]
        run = paragraph.add_run(text)
        run.bold, run.italic = depth == 0, depth == 1
        paragraph.paragraph_format.space_after = Pt(1)
        paragraph.paragraph_format.space_before = Pt(1 if depth == 2 else 5)
        paragraph.paragraph_format.keep_with_next = depth < 2 or r in (0, last)
        if not left:
            paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT

    for c, head in enumerate(table.columns):
        fill(0, c, head, left=c == 0)
    for r, line in enumerate(table.lines, 1):
        if line.depth < 2:
            grid.cell(r, 0).merge(grid.cell(r, len(table.columns) - 1))
            fill(r, 0, line.cells[0], depth=line.depth, left=True)
            continue
        for c, cell in enumerate(line.cells):
            fill(r, c, cell, left=c == 0)
        grid.cell(r, 0).paragraphs[0].paragraph_format.left_indent = Inches(_INDENT)
    for row in grid.rows:
        _on_row(row, "w:cantSplit")
    _rule(grid.rows[0], top=12, bottom=6)
    _rule(grid.rows[-1], bottom=12)
    _on_row(grid.rows[0], "w:tblHeader")  # repeated on every page
    note = document.add_paragraph()
    note.paragraph_format.space_before = Pt(6)
    note.add_run("Note.").italic = True
    note.add_run(" " + " ".join(table.notes))
    for run in note.runs:
        run.font.size = Pt(10)
    return document


def docx_bytes(document: Any) -> bytes:
    """Content of the file of a Word document."""
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def _rule(row: Any, **sides: int) -> None:
    """Draw lines along a row; sizes in eighths of a point. python-docx has no call for it."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    for cell in row.cells:
        properties = cell._tc.get_or_add_tcPr()
        borders = OxmlElement("w:tcBorders")
        for side, size in sides.items():
            line = OxmlElement(f"w:{side}")
            for name, value in (("val", "single"), ("sz", str(size)), ("space", "0")):
                line.set(qn(f"w:{name}"), value)
            borders.append(line)
        properties.append(borders)


def _on_row(row: Any, flag: str) -> None:
    from docx.oxml import OxmlElement

    row._tr.get_or_add_trPr().append(OxmlElement(flag))


def _widths(table: PublishedTable) -> list[float]:
    """Widths in inches that hold the longest cells; the first has what is left of a page."""
    rows = [table.columns, *(line.cells for line in table.lines if line.depth == 2)]
    longest = [max(len(row[c]) for row in rows) for c in range(len(table.columns))]
    widths = [_BESIDE + _LETTER * n for n in longest]
    widths[0] = min(widths[0] + _INDENT, _PAGE - sum(widths[1:]))
    return [max(width, _NARROWEST) for width in widths]


def to_great_table(table: PublishedTable) -> Any:
    """Make a ``great_tables.GT``, which can be styled further."""
    gt = require("great_tables")
    import pandas as pd

    records, kind = [], ""
    level = ""
    for line in table.lines:
        if line.depth == 0:
            level, kind = line.cells[0], ""
        elif line.depth == 1:
            kind = line.cells[0]
        else:
            group = ": ".join(filter(None, (level, kind if kind == R2 else kind.lower())))
            records.append((group, *line.cells))
    frame = pd.DataFrame(records, columns=["group", *table.columns])
    made = gt.GT(frame, groupname_col="group", id="bayes_msem")
    made = made.tab_header(title=table.title).cols_align("right", columns=list(table.columns[1:]))
    made = made.cols_align("left", columns=table.columns[0]).opt_align_table_header("left")
    return made.tab_source_note(f"Note. {' '.join(table.notes)}")
