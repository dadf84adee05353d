"""Commands of MODEL as records: what they relate, with values and labels in place.

A label belongs to the parameters that stand before it in its line, up to the label before; a
label on a line of its own belongs to those of the lines above. ``(p1-p4)`` gives one label to each
parameter, ``(p1)`` or ``(1)`` the same one to all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import cast

from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedToken

from bayes_msem.spec.exchange.mplus_names import Names, numbered
from bayes_msem.spec.exchange.mplus_sections import Command, span_at
from bayes_msem.spec.statements import Span
from bayes_msem.spec.syntax import Culprit

__all__ = ["Element", "Relation", "read_statement"]


@dataclass(frozen=True, slots=True)
class Element:
    """One variable of a statement, with what stands at it.

    Attributes
    ----------
    name
        As it was first spelt; thresholds keep their ``$1``.
    fixed, start
        ``@0.5`` and ``*0.5``.
    free
        Whether there is a ``*``.
    chunk
        Number of the labels that belong to it; -1 for none.
    place
        Where it stands.
    """

    name: str
    fixed: float | None
    start: float | None
    free: bool
    place: Span
    chunk: int = -1


@dataclass(frozen=True, slots=True)
class Relation:
    """One statement.

    Attributes
    ----------
    operator
        "BY", "ON", ..., "mean" for ``[y]``, "moment" for ``y``, or empty: a growth model or random
        variances right of a bar.
    random
        Names left of a bar.
    left, right
        Its variables; ``left`` is empty for means and moments.
    labels
        Labels of each chunk of elements.
    """

    operator: str
    random: tuple[Element, ...]
    left: tuple[Element, ...]
    right: tuple[Element, ...]
    labels: tuple[tuple[str, ...], ...]
    place: Span


def read_statement(command: Command, text: str, names: Names) -> Relation:
    """Read one command of MODEL.

    Parameters
    ----------
    command
        The command.
    text
        The input.
    names
        All names; spells those that are known, and writes out lists.

    Raises
    ------
    Culprit
        It cannot be read.
    """
    tree = _tree(command, text)
    reader = _Reader(names, text, command.start)
    (statement,) = tree.children
    return reader.relation(cast("Tree[Token]", statement), command)


@cache
def _lark() -> Lark:
    return Lark(
        files("bayes_msem.spec.exchange").joinpath("mplus.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start="statement",
        propagate_positions=True,
        maybe_placeholders=False,
    )


_SIGNS = {
    "{": ("Scale factors, {y}, are not supported.", "Residual variances are fixed at 1 (theta)."),
    "&": ("Lagged variables, as in y&1, are not supported.", "Time series are not there yet."),
    "^": ("Residuals, as in y^, are not supported.", "Write a factor measured by y alone."),
    "#": ("Classes and inflation, as in c#1, are not supported.", "They are not there yet."),
}


def _tree(command: Command, text: str) -> Tree[Token]:
    try:
        return _lark().parse(command.text)
    except UnexpectedToken as error:
        token = error.token
        if token.type == "$END":
            end = command.start + len(command.text)
            problem = "This command is not complete."
            raise Culprit(problem, span_at(text, end - 1, end), _FORMS) from None
        start = command.start + cast("int", token.start_pos)
        raise _unexpected(str(token), start, command, text) from None
    except UnexpectedCharacters as error:
        start = command.start + (error.pos_in_stream or 0)
        raise _unexpected(text[start], start, command, text) from None


_FORMS = (
    "Statements are 'f BY y1-y4;', 'y ON x;', 'y WITH x;', '[y];', 'y;' and 's | y ON x;', and "
    "each ends with ';'."
)


def _unexpected(found: str, start: int, command: Command, text: str) -> Culprit:
    place = span_at(text, start, start + len(found))
    if found in _SIGNS:
        problem, fix = _SIGNS[found]
        return Culprit(problem, place, fix, supported=False)
    before = text[command.start : start]
    if found == "*" and before.rstrip().endswith("("):
        fix = "Rotated factors are not there yet."
        return Culprit("Exploratory factors, (*1), are not supported.", place, fix, supported=False)
    is_word = re.fullmatch(r"(BY|ON|WITH|PON|PWITH)", found, re.IGNORECASE)
    if is_word and re.search(r"\b(BY|ON|WITH|PON|PWITH)\b", before, re.IGNORECASE):
        fix = "A ';' is missing before the statement that it belongs to."
        return Culprit(f"A second '{found}' in one statement.", place, fix)
    if found == "[":
        return Culprit("'[' begins a new statement.", place, "A ';' is missing before it.")
    if found == "=":
        fix = "Equations stand in MODEL CONSTRAINT; a ';' may be missing before this one."
        return Culprit("'=' cannot stand in MODEL.", place, fix)
    return Culprit(f"Unexpected '{found}'.", place, _FORMS)


class _Reader:
    """Turns the tree of one command into a relation."""

    def __init__(self, names: Names, text: str, offset: int) -> None:
        self.names = names
        self.text = text
        self.offset = offset
        self.labels: list[tuple[str, ...]] = []

    def relation(self, tree: Tree[Token], command: Command) -> Relation:
        place = span_at(self.text, command.start, command.start + len(command.text))
        groups = [self.group(g) for g in tree.children if isinstance(g, Tree) and g.data == "group"]
        operators = [str(t).upper() for t in tree.children if _is(t, "OPERATOR")]
        operator = operators[0] if operators else ""
        empty: tuple[Element, ...] = ()
        if tree.data == "means":
            found = self.means(tree)
            return Relation("mean", empty, empty, found, tuple(self.labels), place)
        if tree.data == "moments":
            return Relation("moment", empty, empty, groups[0], tuple(self.labels), place)
        random = groups.pop(0) if tree.data == "random" else empty
        left = groups[0] if operator else empty
        return Relation(operator, random, left, groups[-1], tuple(self.labels), place)

    def means(self, tree: Tree[Token]) -> tuple[Element, ...]:
        self.labels = []
        found: list[Element] = []
        pending: list[int] = []
        for child in tree.children:
            if isinstance(child, Tree) and child.data == "group":
                new = self.group(child)
                pending = [i for i, e in enumerate(new, start=len(found)) if e.chunk < 0]
                found += new
            elif isinstance(child, Tree):
                self.close(child, found, pending)
        return tuple(found)

    def group(self, tree: Tree[Token]) -> tuple[Element, ...]:
        found: list[Element] = []
        pending: list[int] = []
        for child in cast("list[Tree[Token]]", tree.children):
            if child.data == "item":
                pending += range(len(found), len(found) + len(new := self.item(child)))
                found += new
            else:
                line = span_at(self.text, self.start(child), self.start(child)).line
                here = [i for i in pending if found[i].place.line == line]
                self.close(child, found, here or pending)
                pending = []
        return tuple(found)

    def close(self, tree: Tree[Token], found: list[Element], targets: list[int]) -> None:
        """Give the labels in parentheses to the elements before them."""
        self.labels.append(self.label_names(tree))
        for i in targets:
            found[i] = replace(found[i], chunk=len(self.labels) - 1)
        if not targets:
            raise self.culprit(tree, "No parameter stands before this label.", _LABELS)

    def label_names(self, tree: Tree[Token]) -> tuple[str, ...]:
        found: list[str] = []
        for label in tree.children:
            if not isinstance(label, Tree):
                continue
            tokens = [str(t) for t in label.children if _is(t, "NAME") or _is(t, "NUMBER")]
            if len(tokens) == 2:
                counted = numbered(*tokens)
                if counted is None:
                    raise self.culprit(tree, f"'{'-'.join(tokens)}' is no list of labels.", _LABELS)
                found += counted
            else:
                found += tokens
        return tuple(self.names.label(name) for name in found)

    def item(self, tree: Tree[Token]) -> list[Element]:
        names = [str(t) for t in tree.children if _is(t, "NAME")]
        fixed = start = None
        free = False
        for value in (t for t in tree.children if isinstance(t, Tree)):
            number = next((self.number(t) for t in value.children if isinstance(t, Tree)), None)
            if value.data == "fixed":
                fixed = number
            else:
                free, start = True, number
        if len(names) == 2:
            expanded = self.names.expand(*names)
            if expanded is None:
                raise self.culprit(
                    tree,
                    f"The list '{names[0]}-{names[1]}' cannot be written out.",
                    "Both ends stand in USEVARIABLES (or NAMES), the first one first, or differ in "
                    "their number alone.",
                )
            names = expanded
        else:
            names = [self.names.spelt(names[0])]
        begin = self.start(tree)
        place = span_at(self.text, begin, self.offset + tree.meta.end_pos)
        return [Element(name, fixed, start, free, place) for name in names]

    @staticmethod
    def number(tree: Tree[Token]) -> float:
        return float("".join(str(token) for token in tree.children))

    def start(self, tree: Tree[Token]) -> int:
        return self.offset + tree.meta.start_pos

    def culprit(self, tree: Tree[Token], problem: str, fix: str) -> Culprit:
        end = self.offset + tree.meta.end_pos
        return Culprit(problem, span_at(self.text, self.start(tree), end), fix)


_LABELS = "Labels stand in parentheses after the parameters of their line: y ON x (b);"


def _is(node: Sequence[str] | Tree[Token], kind: str) -> bool:
    return isinstance(node, Token) and node.type == kind
