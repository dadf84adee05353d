"""Statements: what the parser reads from the model text, before any default is added."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bayes_msem.spec.expressions import Expression

Level = str
"""Name of a level: "within", and "between" or, in three-level models, names of cluster columns."""

TWO_LEVELS: tuple[Level, ...] = ("within", "between")
Operator = Literal["=~", "~", "~~", "|"]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a piece of text stands; all numbers count from 1, ``end_column`` is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Modifiers:
    """What stands before the ``*`` of a term.

    ``fixed`` is a number (``0.5*x``), ``free`` is True for ``NA*x``; ``label`` an equality
    label (``a*x``, ``equal("a")*x``, ``label("a")*x``); ``start`` a starting value; ``prior``
    the text inside ``prior("...")``; ``random`` the name inside ``rv("...")``. ``bare_label`` says
    that the label stands without ``label()``, as in ``a*x``, where a reader may take it for a
    variable. ``by_group`` holds the entries of ``c(a1, 0.5, NA)*x``, one for each group: labels,
    numbers, and None for NA.
    """

    fixed: float | None = None
    free: bool = False
    label: str | None = None
    start: float | None = None
    prior: str | None = None
    random: str | None = None
    by_group: tuple[str | float | None, ...] = ()
    bare_label: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Part:
    """A variable inside a term that is coded: ``x``, ``C(x)`` or ``x[T.b]``.

    ``kind`` is "column" for a column as it is, "categories" for all categories of a column but the
    reference (``category``; empty: the first one), "dummy" for one ``category``. Categories are
    named by their labels, as text.
    """

    column: str
    kind: Literal["column", "categories", "dummy"] = "column"
    category: str = ""

    @property
    def name(self) -> str:
        """How it is written."""
        if self.kind == "dummy":
            return f"{self.column}[T.{self.category}]"
        if self.kind == "column":
            return self.column
        if not self.category:
            return f"C({self.column})"
        quote = "'" if '"' in self.category else '"'
        return f"C({self.column}, Treatment({quote}{self.category}{quote}))"


@dataclass(frozen=True, slots=True)
class Term:
    """One variable on the right-hand side; "1" is an intercept, "t1", ... are thresholds.

    ``parts`` are those of a term that is coded: a product ``x:z`` has several, ``C(x)`` and
    ``x[T.b]`` one; the columns of the data have none.
    """

    name: str
    modifiers: Modifiers
    span: Span = field(compare=False)
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Formula:
    """``lhs op rhs`` with a single variable on the left and a single term on the right.

    The parser expands ``f1 + f2 ~ x + y`` into four of these, in reading order. ``level`` is
    ``"within"`` in a text without ``level:`` headers. ``block`` is the name in ``efa()`` before the
    left-hand side, empty for other formulas.
    """

    level: Level
    lhs: str
    op: Operator
    term: Term
    span: Span = field(compare=False)
    block: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """``name := expression``."""

    name: str
    expression: Expression
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Constraint:
    """``left == right``."""

    left: Expression
    right: Expression
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class ParsedModel:
    """All statements of one model text, in reading order.

    ``levels`` are the levels that it may have, the lowest first; a text without ``level:`` lines
    (``two_level`` is False) has the first one only.
    """

    text: str = field(compare=False)
    two_level: bool
    formulas: tuple[Formula, ...]
    definitions: tuple[Definition, ...]
    constraints: tuple[Constraint, ...]
    levels: tuple[Level, ...] = TWO_LEVELS

    @property
    def three_level(self) -> bool:
        """Whether clusters lie in larger ones; then these give the upper levels their names."""
        return len(self.levels) > 2

    def is_cluster_column(self, name: str, cluster: str | None) -> bool:
        """Whether a name is that of a column that says which rows belong together."""
        return name == cluster or (self.three_level and name in self.levels[1:])
