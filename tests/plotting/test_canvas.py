"""Figures as files: suffixes decide, and old files stay until new ones are whole."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from matplotlib import rc_context

from bayes_msem.errors import FileError
from bayes_msem.plotting.canvas import NotebookFigure

HEADS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml", "eps": b"%!PS"}


@pytest.fixture
def figure() -> NotebookFigure:
    figure = NotebookFigure(figsize=(1, 1))
    figure.add_subplot().plot([0, 1])
    return figure


def test_the_suffix_decides_the_format(figure: NotebookFigure, tmp_path: Path) -> None:
    for suffix, head in HEADS.items():
        figure.savefig(str(tmp_path / f"a.{suffix.upper()}"), dpi=50)
        assert (tmp_path / f"a.{suffix.upper()}").read_bytes().startswith(head)
    figure.savefig(tmp_path / "odd.png", format="svg")
    assert (tmp_path / "odd.png").read_bytes().startswith(HEADS["svg"])
    with rc_context({"savefig.format": "pdf"}):
        figure.savefig(tmp_path / "bare")
    assert (tmp_path / "bare.pdf").read_bytes().startswith(HEADS["pdf"])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(HEADS["png"])


def test_what_cannot_be_written_leaves_the_old_file(figure: NotebookFigure, tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("mine")
    with pytest.raises(ValueError, match="'csv' is not supported"):
        figure.savefig(target)
    assert target.read_text() == "mine"
    with pytest.raises(FileError, match="there is no folder"):
        figure.savefig(tmp_path / "none" / "a.png")
    with pytest.raises(FileError, match="leave that character out"):
        figure.savefig("a\0.png")
