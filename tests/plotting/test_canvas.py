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


def test_dollars_in_names_start_no_formula() -> None:
    figure = NotebookFigure(figsize=(4, 3), dpi=100, layout="constrained")
    ax = figure.add_subplot()
    ax.set_title(r"$\foo$")  # no formula that matplotlib knows
    ax.plot([1, 1000], [0, 1], label="$10-$20")
    ax.legend()
    ax.set_yticks([0, 1], [r"$\bar$", "b"])
    ax.set_xscale("log")
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg")
    shown = buffer.getvalue().decode()
    for name in (r"$\foo$", "$10-$20", r"$\bar$"):
        assert f">{name}</text>" in shown
    powers = [label for label in ax.get_xticklabels() if "mathdefault" in label.get_text()]
    assert powers
    assert all(label.get_parse_math() for label in powers)
