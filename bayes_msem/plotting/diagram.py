"""Path diagram of a model, in the convention of Muthen and Muthen and of Hox.

Boxes are observed, ellipses latent variables. A variable at both levels is split: a box at level
within, and an ellipse, its random intercept, at level between. A filled dot marks a coefficient
that varies over clusters; it is an ellipse of the same name at level between. Where everything
stands depends on the parameter table alone (``diagram_scene``), so that all diagrams of one model
look alike; SVG, PNG and PDF are drawn from the same shapes, without any other program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from bayes_msem import disk
from bayes_msem.arguments import anything, checked, number
from bayes_msem.plotting.diagram_print import printed
from bayes_msem.plotting.diagram_scene import Scene, compose
from bayes_msem.plotting.diagram_svg import svg_text
from bayes_msem.spec.table import ParameterTable, RowKey

__all__ = ["Diagram", "draw_diagram"]

_FORMATS = (".svg", ".png", ".pdf")
_OTHERWISE = "For other formats, convert the SVG with Inkscape or the PDF with Ghostscript."


@dataclass(frozen=True, slots=True, repr=False)
class Diagram:
    """A path diagram; notebooks show it as the result of a cell.

    Attributes
    ----------
    svg
        The picture as text. Groups carry ``data-level`` and ``data-name`` or ``data-row``.
    scene
        The shapes that every format draws.

    Examples
    --------
    >>> diagram = fit.diagram()
    >>> diagram.svg[:4]
    '<svg'
    """

    svg: str
    scene: Scene = field(compare=False)

    def _repr_svg_(self) -> str:
        """Picture for notebooks."""
        return self.svg

    def _repr_html_(self) -> str:
        """Picture inside the page, so that it has the colours of the notebook."""
        return f"<div style='overflow-x:auto'>{self.svg}</div>"

    @checked(path=anything, dpi=number("a number of dots per inch from 10 to 2400", 10, 2400))
    def save(
        self, path: str | PathLike[str], *, dpi: float = 200, transparent: bool = False
    ) -> Path:
        """Write the picture to a file, and return its path.

        Parameters
        ----------
        path
            Where to write; ends in ``.svg``, ``.png`` or ``.pdf``. What stands there is replaced,
            once the new file is complete.
        dpi
            Dots per inch of a PNG, from 10 to 2400; at 96 it is as wide, in dots, as the SVG in
            pixels. The other formats have no dots.
        transparent
            Whether the paper of a PNG or PDF is left out. An SVG never has any: its lines take
            the colour of the text around them, or are white where dark pages are preferred.

        Raises
        ------
        FileError
            ``path`` has another suffix, or cannot be written.
        SpecificationError
            ``dpi`` or ``transparent`` is none of the above.

        Examples
        --------
        >>> fit.diagram().save("model.svg").name
        'model.svg'
        >>> fit.diagram(ci=0.9).save("model.png", dpi=300).name
        'model.png'
        """
        target = disk.as_path(path)
        suffix = disk.check_suffix(target, list(_FORMATS), _OTHERWISE)
        if suffix == ".svg":
            contents = self.svg.encode()
        else:
            contents = printed(self.scene, suffix[1:], dpi, transparent=transparent)
        disk.write(target, [contents], overwrite=True)
        return target

    def __repr__(self) -> str:
        """Say what it is and how to see it."""
        return f"Diagram of {len(self.scene.nodes)} nodes; .save('paths.svg') writes it"


def draw_diagram(
    table: ParameterTable,
    values: Mapping[RowKey, float] | None = None,
    intervals: Mapping[RowKey, tuple[float, float]] | None = None,
) -> Diagram:
    """Draw the path diagram of a parameter table.

    Parameters
    ----------
    table
        The parameter table.
    values
        Numbers to write at the rows, {key: value}; None: labels and constants only.
    intervals
        Lower and upper limits to write below them, {key: (lower, upper)}.

    Returns
    -------
    Diagram
        Paths and covariances that are fixed at zero, and definitions, are not drawn. Intercepts
        are written in their node if ``values`` has them.
    """
    scene = compose(table, values, intervals)
    return Diagram(svg_text(scene), scene)
