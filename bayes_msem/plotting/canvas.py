"""What all figures share: colours, and a figure that notebooks show without pyplot."""

from __future__ import annotations

import io
from os import PathLike
from typing import Any

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import TextPath

from bayes_msem import disk

__all__ = ["CHAIN_COLOURS", "ESTIMATE", "MUTED", "REFERENCE", "NotebookFigure", "text_width"]

# Okabe & Ito (2008), "Color universal design": told apart under all common colour deficiencies.
ESTIMATE = "#0072B2"  # blue
REFERENCE = "#D55E00"  # vermillion
MUTED = "#767676"  # text grey with a contrast of 4.5 to 1 on white
CHAIN_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")

_POINTS = 72.0  # per inch


class NotebookFigure(Figure):
    """A matplotlib figure that pyplot does not know of.

    So there is no global state: nothing to close, no second copy at the end of a notebook cell,
    and no display needed. Notebooks show it as the result of a cell; elsewhere use ``savefig``.
    """

    def draw(self, renderer: Any) -> None:
        """Draw it, with names as they are: a dollar sign in them starts no formula."""
        for ax in self.axes:
            for axis in (ax.xaxis, ax.yaxis):
                axis.get_ticklabels()  # which puts in them what stands there now
        for text in self.findobj(Text):
            # matplotlib writes the labels of a logarithmic axis as formulas
            if isinstance(text, Text) and r"\mathdefault" not in text.get_text():
                text.set_parse_math(False)
        super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write the figure, as matplotlib does, but whole or not at all.

        Parameters
        ----------
        fname
            Path, whose suffix decides the format (``.png``, ``.pdf``, ``.svg``, ...; without
            one, matplotlib's setting ``savefig.format``), or a file that is open. What stands at
            the path is replaced, once the new file is complete.
        **options
            What :meth:`matplotlib.figure.Figure.savefig` takes.

        Raises
        ------
        FileError
            The path cannot be written to.
        ValueError
            matplotlib cannot write this format.
        """
        if not isinstance(fname, str | PathLike):
            super().savefig(fname, **options)
            return
        target = disk.as_path(fname)
        suffix = target.suffix[1:].lower()
        form = options.pop("format", None) or suffix or rcParams["savefig.format"]
        if not suffix:
            target = target.with_name(f"{target.name}.{form}")
        buffer = io.BytesIO()
        super().savefig(buffer, format=form, **options)
        disk.write(target, [buffer.getbuffer()], overwrite=True)

    def _repr_png_(self) -> bytes:
        """Picture for notebooks."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def text_width(texts: list[str], size: float) -> float:
    """Width of the widest text in inches, at a font size in points; dollars are dollars."""
    font = FontProperties(size=size)
    plain = [t.replace("$", r"\$") for t in texts if t.strip()]
    widths = [float(TextPath((0, 0), t, prop=font).get_extents().width) for t in plain]
    return max(widths, default=0.0) / _POINTS
