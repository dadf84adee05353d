"""The MODEL section of an Mplus input as rows of a model text.

:class:`Rows` keeps them in reading order. A parameter that is mentioned twice keeps what the later
mention says, and its label.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from bayes_msem.spec.exchange.mplus_names import Names
from bayes_msem.spec.exchange.mplus_statements import Element, Relation
from bayes_msem.spec.expressions import number
from bayes_msem.spec.statements import Span
from bayes_msem.spec.syntax import Culprit
from bayes_msem.wording import plural

__all__ = ["Cell", "Rows", "add_relation"]

Key = tuple[str, str, frozenset[str] | tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One parameter: its coordinate, and what the input says about it."""

    level: str
    lhs: str
    op: str
    rhs: str
    fixed: float | None = None
    start: float | None = None
    freed: bool = False
    label: str = ""
    prior: str = ""
    random: str = ""
    place: Span | None = None
    implied: bool = False

    @property
    def key(self) -> Key:
        """Coordinate in which ``x ~~ y`` and ``y ~~ x`` are one."""
        pair = frozenset({self.lhs, self.rhs}) if self.op == "~~" else (self.lhs, self.rhs)
        return self.level, self.op, pair

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables of the coordinate."""
        plain = self.rhs == "1" or self.op == "|"
        return (self.lhs,) if plain or self.lhs == self.rhs else (self.lhs, self.rhs)

    def term(self, variables: Collection[str] = ()) -> str:
        """Return the right-hand side with its modifiers.

        A label that is the name of a variable stands in ``label()``, so that it is not mistaken.
        """
        if self.random:
            return f'rv("{self.random}")*{self.rhs}'
        parts = []
        if self.fixed is not None:
            parts.append(str(number(self.fixed)))
        elif self.freed:
            parts.append("NA")
        if self.label:
            parts.append(f'label("{self.label}")' if self.label in variables else self.label)
        if self.fixed is None and self.start is not None:
            parts.append(f"start({number(self.start)})")
        if self.prior:
            parts.append(f'prior("{self.prior}")')
        return "*".join([*parts, self.rhs])


@dataclass
class Rows:
    """All parameters that are mentioned, in reading order."""

    two_level: bool
    cells: dict[Key, Cell] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Cell]:
        """Return the cells in order."""
        return iter(list(self.cells.values()))

    def add(self, cell: Cell) -> Cell:
        """Add a cell, or let it override an earlier one at its coordinate."""
        earlier = self.cells.get(cell.key)
        if earlier is not None:
            cell = replace(
                cell,
                lhs=earlier.lhs,
                rhs=earlier.rhs,
                label=cell.label or earlier.label,
                random=cell.random or earlier.random,
                place=earlier.place,
            )
        self.cells[cell.key] = cell
        return cell

    def imply(self, cell: Cell) -> bool:
        """Add a cell unless its coordinate was mentioned; whether it was added."""
        if cell.key in self.cells:
            return False
        self.cells[cell.key] = replace(cell, implied=True)
        return True

    def text(self, variables: Collection[str] = ()) -> str:
        """Return the model text of all rows, without definitions and constraints.

        Parameters
        ----------
        variables
            Columns of the data, which labels may be mistaken for.
        """
        names = {*variables, *(name for cell in self for name in cell.variables)}
        lines = []
        for level in ("within", "between"):
            mine = [cell for cell in self if cell.level == level]
            if self.two_level:
                lines.append(f"level: {level}")
            indent = "    " if self.two_level else ""
            for (lhs, op), members in groupby(mine, key=lambda c: (c.lhs, c.op)):
                lines.append(
                    f"{indent}{lhs} {op} {' + '.join(cell.term(names) for cell in members)}"
                )
        return "\n".join(lines)


# From statements to rows --------------------------------------------------------------------------

_LATENT_PRODUCT = "Products of factors are not there yet."
_INDIRECT = (
    "An indirect effect is a definition of labels: 'm ON x (a); y ON m (b);' and, in MODEL "
    "CONSTRAINT, 'NEW(ind); ind = a*b;'. Or fit.effects(x, y) after fitting."
)
_REFUSED = {"XWITH": _LATENT_PRODUCT, "IND": _INDIRECT, "VIA": _INDIRECT}


def add_relation(relation: Relation, level: str, rows: Rows, names: Names) -> None:
    """Add the parameters of one statement.

    Parameters
    ----------
    relation
        The statement.
    level
        "within" or "between".
    rows
        What was read so far.
    names
        Gets factors and random effects.

    Raises
    ------
    Culprit
        It has no counterpart here, or makes no sense.
    """
    if relation.operator in _REFUSED:
        raise Culprit(
            f"{relation.operator} is not supported.",
            relation.place,
            _REFUSED[relation.operator],
            supported=False,
        )
    for element in relation.left:
        if element.fixed is not None or element.free or element.chunk >= 0:
            raise Culprit(
                "Values and labels stand right of BY, ON and WITH.",
                element.place,
                "Give them to the variables on the right.",
            )
    if relation.random and not relation.operator and _is_growth(relation):
        _add_growth(relation, level, rows, names)
        return
    cells = list(_cells(relation, level, rows, names))
    if relation.random:
        cells = list(_varying(relation, cells, level, names))
    for cell in _labelled(relation, cells):
        rows.add(cell)


def _cells(
    relation: Relation, level: str, rows: Rows, names: Names
) -> Iterator[tuple[Cell, Element]]:
    """Yield the parameters of a statement with the elements that hold their values."""
    pairs: Iterable[tuple[Element, Element]]
    match relation.operator:
        case "BY":
            for left in relation.left:
                factor = names.define(left.name)
                first = not any(c.op == "=~" and c.lhs == factor for c in rows if c.level == level)
                for e in relation.right:
                    marker = first and not relation.random and e.fixed is None and not e.free
                    cell = _cell(level, factor, "=~", e.name, e)
                    free = first and cell.fixed is None and not marker
                    yield replace(cell, fixed=1.0 if marker else cell.fixed, freed=free), e
                    first = False
            return
        case "mean":
            for e in relation.right:
                name, dollar, k = e.name.partition("$")
                op, rhs = ("|", f"t{k}") if dollar else ("~", "1")
                yield _cell(level, names.spelt(name), op, rhs, e), e
            return
        case "moment" | "":
            for e in relation.right:
                yield _cell(level, e.name, "~~", e.name, e), e
            return
        case "PON" | "PWITH":
            if len(relation.left) != len(relation.right):
                raise Culprit(
                    f"{relation.operator} pairs {len(relation.left)} variables with "
                    f"{len(relation.right)}.",
                    relation.place,
                    "Both sides need the same number.",
                )
            pairs = zip(relation.left, relation.right, strict=True)
        case _:
            pairs = ((left, right) for left in relation.left for right in relation.right)
    op = "~~" if relation.operator in ("WITH", "PWITH") else "~"
    seen = set()
    for left, right in pairs:
        pair = frozenset({left.name, right.name})
        if op == "~~" and (len(pair) == 1 or pair in seen):
            continue  # y1-y3 WITH y1-y3 means the pairs
        seen.add(pair)
        yield _cell(level, left.name, op, right.name, right), right


def _cell(level: str, lhs: str, op: str, rhs: str, element: Element) -> Cell:
    return Cell(level, lhs, op, rhs, fixed=element.fixed, start=element.start, place=element.place)


def _varying(
    relation: Relation, cells: list[tuple[Cell, Element]], level: str, names: Names
) -> Iterator[tuple[Cell, Element]]:
    """Yield the parameters with the names of their random effects."""
    if level == "between":
        raise Culprit(
            "Only coefficients of %WITHIN% vary over clusters.",
            relation.place,
            "Move the statement to %WITHIN%.",
        )
    if len(cells) != len(relation.random):
        raise Culprit(
            f"{plural(len(relation.random), 'name')} left of '|' for "
            f"{plural(len(cells), 'coefficient')}.",
            relation.place,
            "Give every coefficient a name: s1-s4 | f BY y1-y4;",
        )
    for effect, (cell, element) in zip(relation.random, cells, strict=True):
        if element.fixed is not None or element.free or element.chunk >= 0:
            raise Culprit(
                "A coefficient that varies has no value or label.",
                element.place,
                "Give it to the mean or variance of the random effect in %BETWEEN%.",
            )
        if cell.op == "~~" and cell.lhs != cell.rhs:
            raise Culprit("Covariances do not vary in Mplus.", relation.place, "", supported=False)
        yield replace(cell, random=names.define(effect.name), freed=False), element


def _labelled(relation: Relation, cells: list[tuple[Cell, Element]]) -> Iterator[Cell]:
    """Yield the cells with their labels."""
    given: dict[int, str] = {}
    for chunk, labels in enumerate(relation.labels):
        own = [i for i, (_, element) in enumerate(cells) if element.chunk == chunk]
        free = [i for i in own if cells[i][0].fixed is None]
        if len(labels) == len(own):
            given |= dict(zip(own, labels, strict=True))
        elif len(labels) == 1:
            given |= dict.fromkeys(free, labels[0])
        elif len(labels) == len(free):
            given |= dict(zip(free, labels, strict=True))
        else:
            raise Culprit(
                f"{len(labels)} labels stand after {len(own)} parameters "
                f"({len(free)} of them free).",
                relation.place,
                "Give one label for all of a line, or as many as it has parameters.",
            )
    for i, (cell, _) in enumerate(cells):
        yield replace(cell, label=given.get(i, ""))


# Growth models ------------------------------------------------------------------------------------


def _is_growth(relation: Relation) -> bool:
    return any(e.fixed is not None or e.free for e in relation.right)


def _add_growth(relation: Relation, level: str, rows: Rows, names: Names) -> None:
    """Write ``i s | y1@0 y2@1`` as loadings, intercepts of 0 and means of the factors."""
    if len(relation.random) > 3 or relation.labels:
        raise Culprit(
            "This growth model cannot be read.",
            relation.place,
            "Write it out with BY: 'i BY y1-y3@1; s BY y1@0 y2@1 y3@2; [y1-y3@0 i s];'.",
            supported=False,
        )
    factors = [names.define(e.name) for e in relation.random]
    for power, factor in enumerate(factors):
        for e in relation.right:
            time = e.fixed
            if time is None and (power > 1 or not e.free):
                raise Culprit(
                    f"The time score of '{e.name}' is not a number.",
                    e.place,
                    "Write y1@0 y2@1; only linear models may have free scores, as in y3*.",
                )
            if power == 0 or time is not None:
                value = float(1 if time is None else time) ** power if power else 1.0
                rows.add(Cell(level, factor, "=~", e.name, fixed=value, place=e.place))
            else:
                rows.add(Cell(level, factor, "=~", e.name, start=e.start, place=e.place))
    if rows.two_level and level == "within":
        return  # means stand at level between
    for e in relation.right:
        rows.add(Cell(level, e.name, "~", "1", fixed=0.0, place=e.place))
    for factor in factors:
        rows.add(Cell(level, factor, "~", "1", place=relation.place))
