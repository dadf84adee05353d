"""Reads the two sides of an operator from the syntax tree.

A side of ``=~ ~ ~~`` is a sum of terms, a term is a product ``modifier * modifier * variable``;
a side of ``:= ==`` is an expression. What does not fit raises :class:`Culprit`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from lark import Token, Tree

from bayes_msem.errors import nearest
from bayes_msem.spec.coded_terms import is_coded, parts_of, term_name, text_of
from bayes_msem.spec.expressions import (
    FUNCTIONS,
    MOST_NESTED,
    MOST_PARTS,
    Binary,
    BinaryOperator,
    Call,
    Expression,
    Name,
    Negate,
    Number,
    evaluate,
    names,
)
from bayes_msem.spec.foreign import INTERACTION, call_remark, is_foreign
from bayes_msem.spec.statements import Modifiers, Operator, Part, Span, Term
from bayes_msem.spec.syntax import Culprit, Node, span

__all__ = ["Target", "expression", "targets", "terms"]

# Left-hand sides -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """A variable on a left-hand side, and the block of ``efa("block")*f`` that it stands in."""

    name: str
    block: str = ""


def targets(side: Node, op: Operator) -> tuple[Target, ...]:
    """Return the variables of a left-hand side."""
    found: list[Target] = []
    for node in _summands(side):
        *before, last = _factors(node)
        block = _block(before, node, op) if before else ""
        _refuse_foreign_calls(last)
        if is_coded(last):
            parts_of(last, None)
        name = _variable(last)
        if name == "1":
            raise Culprit("A number cannot stand on the left-hand side.", span(last))
        if name in [target.name for target in found]:
            raise Culprit(f"'{name}' stands twice on the left-hand side.", span(last))
        found.append(Target(name, block))
    return tuple(found)


def _block(before: list[Node], node: Node, op: Operator) -> str:
    """Return the name in ``efa()``, the only modifier of a left-hand side."""
    first = before[0]
    if not (isinstance(first, Tree) and first.data == "call" and str(first.children[0]) == "efa"):
        _refuse_foreign_calls(*before)
        raise Culprit(
            "Modifiers cannot stand on the left-hand side.",
            span(node),
            "Put them before a variable on the right-hand side.",
        )
    if len(before) > 1:
        raise Culprit(
            "efa() is the only modifier of a factor.",
            span(before[1]),
            'Write efa("block")*f1 + efa("block")*f2 =~ y1 + y2 + ...',
        )
    if op != "=~":
        raise Culprit(
            f"efa() belongs to loadings, not to '{op}'.",
            span(first),
            'Write efa("block")*f1 + efa("block")*f2 =~ y1 + y2 + ...',
        )
    return str(_argument("efa", first))


def _summands(side: Node) -> Iterator[Node]:
    """Yield the terms of a sum in reading order (a loop: sums may be very long)."""
    reverse: list[Node] = []
    while isinstance(side, Tree) and side.data in {"add", "subtract"}:
        left, right = side.children
        if side.data == "subtract":
            raise Culprit(
                "Terms cannot be subtracted.",
                span(right),
                "Join terms by '+'. Write -1*x to fix a coefficient, 0*1 to remove an intercept.",
            )
        reverse.append(right)
        side = left
    yield side
    yield from reversed(reverse)


def _factors(term: Node) -> list[Node]:
    """Return the factors of a product in reading order (a loop: products may be very long)."""
    reverse: list[Node] = []
    while isinstance(term, Tree) and term.data == "multiply":
        term, last = term.children
        reverse.append(last)
    return [term, *reversed(reverse)]


def _variable(node: Node) -> str:
    """Return the name of a variable, or ``"1"``."""
    if isinstance(node, Tree):
        raise _no_variable(node)
    if node.type == "STRING":
        raise Culprit(
            "A variable's name stands without quotes.", span(node), f"Write {node.value[1:-1]}."
        )
    if node.type == "NUMBER" and node.value != "1":
        raise Culprit(
            f"'{node}' is not a variable.",
            span(node),
            f"Write {node}*x to fix the coefficient of x, {node}*1 to fix an intercept.",
        )
    if node.value == ".":
        raise Culprit(
            "'.' does not stand for all other columns.", span(node), "Write out the predictors."
        )
    if node.value == "NA":
        raise Culprit("'NA' is not a variable.", span(node), "Write NA*x to free a coefficient.")
    return str(node)


def _no_variable(node: Tree[Token]) -> Culprit:
    if node.data == "call":
        function = cast("Token", node.children[0]).value
        if function in _MODIFIER_FUNCTIONS:
            return Culprit(
                f"A variable is missing after {function}().",
                span(node),
                f"Write {function}(...)*x.",
            )
        return Culprit(
            f"'{function}(...)' is not a variable.",
            span(node),
            "Compute it as a column of the data and use that column's name.",
        )
    problem, suggestion = {
        "group": ("Parentheses cannot group terms.", "Write out each term."),
        "negate": ("A variable has no sign.", "Write -1*x to fix the coefficient at -1."),
    }.get(
        node.data,
        (
            "A variable cannot be divided or raised to a power here.",
            "Compute it as a column of the data and use that column's name.",
        ),
    )
    return Culprit(problem, span(node), suggestion)


# Terms and their modifiers -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Modifier:
    """One factor before a variable: the field of ``Modifiers`` it sets, and its value."""

    field: str
    value: float | str | bool | tuple[str | float | None, ...]
    span: Span
    bare: bool = False


_EXAMPLES = {"efa": 'efa("block")'}
_MODIFIER_FUNCTIONS = {
    "equal": 'equal("a")',
    "label": 'label("a")',
    "prior": 'prior("normal(0, 1)")',
    "rv": 'rv("slope")',
    "start": "start(0.5)",
}
_FIELD_OF_FUNCTION = {"equal": "label", "rv": "random"}
_WORDS = {
    "by_group": "c()",
    "fixed": "a fixed value",
    "free": "NA",
    "label": "a label",
    "prior": "a prior",
    "random": "rv()",
    "start": "a starting value",
}
_MOVE = "Give it to the rows of the rv() name in the between block."
_BY_GROUP = "c(...) says for every group whether the coefficient is fixed, free or has a label."
_CONTRADICTIONS = {
    ("by_group", "fixed"): _BY_GROUP,
    ("by_group", "free"): _BY_GROUP,
    ("by_group", "label"): _BY_GROUP,
    ("by_group", "random"): f"A coefficient that varies over clusters is no parameter. {_MOVE}",
    ("fixed", "free"): "NA frees a coefficient, a number fixes it.",
    ("fixed", "prior"): "A fixed coefficient has no prior; a label may stay.",
    ("fixed", "random"): "A coefficient is either fixed or varies over clusters.",
    ("fixed", "start"): "A fixed coefficient has no starting value.",
    ("label", "random"): f"A coefficient that varies over clusters is no parameter. {_MOVE}",
    ("prior", "random"): f"A coefficient that varies over clusters is no parameter. {_MOVE}",
    ("random", "start"): f"A coefficient that varies over clusters is no parameter. {_MOVE}",
}
_THRESHOLD = re.compile(r"t[1-9]\d*")
_NAME = re.compile(r"(?:[^\W\d]|\.(?!\d))[\w.]*")


def terms(side: Node, op: Operator) -> tuple[Term, ...]:
    """Return the terms of a right-hand side, repeated variables (lavaan's form) merged."""
    places: dict[str, Span] = {}
    given: dict[str, list[_Modifier]] = {}
    coded: dict[str, tuple[Part, ...]] = {}
    for node in _summands(side):
        name, parts, modifiers = _term(node, op)
        coded[name] = parts
        if name in given and not (given[name] and modifiers):
            fix = "Remove one, or give each its own modifier."
            if any(m.field == "label" and m.value in given for m in modifiers):
                fix = f"'*' joins a modifier to a variable. {INTERACTION}"
            raise Culprit(f"'{name}' stands twice in this formula.", span(node), fix)
        places.setdefault(name, span(node))
        given.setdefault(name, []).extend(modifiers)
    return tuple(
        Term(name, _combined(given[name]), place, coded[name]) for name, place in places.items()
    )


def _term(node: Node, op: Operator) -> tuple[str, tuple[Part, ...], list[_Modifier]]:
    *before, last = _factors(node)
    _refuse_foreign_calls(*before, last)
    if before and isinstance(last, Token) and last.type == "NUMBER" and last.value != "1":
        raise Culprit(
            f"'{last}' is not a variable.",
            span(last),
            f"Modifiers stand before the variable: {last}*x.",
        )
    parts = parts_of(last, op) if is_coded(last) else ()
    name = term_name(parts) if parts else _variable(last)
    if op == "|" and not _THRESHOLD.fullmatch(name):
        raise Culprit(
            f"'{name}' is not a threshold.",
            span(last),
            "Thresholds are named t1, t2, ... from the lowest on, one less than there are "
            "categories: 'y | t1 + t2'.",
        )
    if name == "1" and op != "~":
        raise Culprit(
            f"'1' cannot stand right of '{op}'.", span(last), "Write an intercept as y ~ 1."
        )
    return name, parts, [_modifier(factor) for factor in before]


def _modifier(node: Node) -> _Modifier:
    place = span(node)
    if isinstance(node, Token) and node.type == "NAME":
        if node.value == "NA":
            return _Modifier("free", True, place)
        return _Modifier("label", node.value, place, bare=True)
    if isinstance(node, Token) and node.type == "STRING":
        raise Culprit("Text is not a modifier.", place, f"Write label({node})*x for a label.")
    if isinstance(node, Tree) and node.data == "call":
        function = cast("Token", node.children[0]).value
        if function == "c":
            return _Modifier("by_group", _entries(node), place)
        if function in _MODIFIER_FUNCTIONS:
            field = _FIELD_OF_FUNCTION.get(function, function)
            return _Modifier(field, _argument(function, node), place)
        if function not in FUNCTIONS:
            raise Culprit(
                f"Unknown modifier '{function}()'{nearest(function, _MODIFIER_FUNCTIONS) or '.'}",
                span(node.children[0]),
                f"Modifiers: {', '.join(_MODIFIER_FUNCTIONS.values())}.",
            )
    return _Modifier("fixed", _constant(node), place)


def _entries(call: Tree[Token]) -> tuple[str | float | None, ...]:
    """Return the entries of ``c(a1, 0.5, NA)``: labels, numbers, None for NA."""
    found: list[str | float | None] = []
    entries = [node for node in call.children[1:] if node is not None]
    if not entries:
        raise Culprit("c() is empty.", span(call), "Write one entry per group: c(a1, a2)*x.")
    for node in entries:
        if isinstance(node, Token) and node.type in ("NAME", "STRING"):
            name = str(node).strip("\"'").strip()
            if not _NAME.fullmatch(name):
                raise Culprit(f"'{name}' is not a name.", span(node), "Write c(a1, a2)*x.")
            found.append(None if name == "NA" else name)
            continue
        if isinstance(node, Tree) and node.data == "call":
            raise Culprit(
                "c() takes labels, numbers and NA.",
                span(node),
                "What else a coefficient has holds in all groups: c(a1, a2)*start(0.5)*x.",
            )
        found.append(_constant(node))
    return tuple(found)


def _argument(function: str, call: Tree[Token]) -> float | str:
    example = f"Write it like {(_MODIFIER_FUNCTIONS | _EXAMPLES)[function]}."
    if len(call.children) != 2:
        raise Culprit(f"{function}() takes one argument.", span(call), example)
    argument = call.children[1]
    if function == "start":
        if isinstance(argument, Token) and argument.type == "STRING":
            raise Culprit("start() takes a number.", span(argument), example)
        return _constant(argument)
    if not (isinstance(argument, Token) and argument.type == "STRING"):
        raise Culprit(f"{function}() takes text in quotes.", span(argument), example)
    content = str(argument)[1:-1].strip()
    if not content:
        raise Culprit(f"{function}() is given an empty text.", span(argument), example)
    if function != "prior" and (content == "NA" or not _NAME.fullmatch(content)):
        raise Culprit(
            f"'{content}' is not a name.",
            span(argument),
            f"Names hold letters, digits, '.' and '_' and do not start with a digit. {example}",
        )
    return content


def _constant(node: Node) -> float:
    """Return the value of an expression without names, such as ``-1`` or ``1/3``."""
    constant = expression(node)
    if found := names(constant):
        raise Culprit(
            f"'{found[0]}' cannot be part of a number.",
            span(node),
            "A modifier is a number, a label, NA or a function. "
            "Write relations between labels as 'b == 2*a'.",
        )
    with np.errstate(all="ignore"):
        value = float(evaluate(constant, {}))
    if not math.isfinite(value):
        raise Culprit("This number is not finite.", span(node))
    return value


def _combined(modifiers: list[_Modifier]) -> Modifiers:
    fields: dict[str, Any] = {}
    for modifier in modifiers:
        if modifier.field in fields:
            raise Culprit(
                f"This gives {_WORDS[modifier.field]} for the second time.",
                modifier.span,
                "Keep one of the two."
                + (f" If products are meant: {INTERACTION}" if modifier.field == "label" else ""),
            )
        for earlier in fields:
            first, second = sorted((earlier, modifier.field))
            if reason := _CONTRADICTIONS.get((first, second)):
                raise Culprit(
                    f"This gives {_WORDS[modifier.field]}, which contradicts {_WORDS[earlier]}.",
                    modifier.span,
                    reason,
                )
        fields[modifier.field] = modifier.value
        fields["bare_label"] = fields.get("bare_label", False) or modifier.bare
    return Modifiers(**fields)


def _refuse_foreign_calls(*nodes: Node) -> None:
    """Refuse calls that mean something to other packages."""
    for node in nodes:
        for factor in _factors(node):
            if isinstance(factor, Tree) and factor.data == "call":
                function, *arguments = factor.children
                name = cast("Token", function).value
                if is_foreign(name):
                    listed = ", ".join(text_of(argument) for argument in arguments)
                    problem, suggestion, supported = call_remark(name, listed)
                    raise Culprit(problem, span(factor), suggestion, supported=supported)


# Expressions ---------------------------------------------------------------------------------

_BINARY: dict[str, BinaryOperator] = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "power": "^",
}


def expression(node: Node) -> Expression:
    """Return the expression that a node holds (by loops: expressions may be very long)."""
    order: list[Node] = []
    waiting = [(node, 1)]
    while waiting:
        part, depth = waiting.pop()
        order.append(part)
        if depth > MOST_NESTED or len(order) > MOST_PARTS:
            raise Culprit(
                f"This expression has more than {MOST_NESTED} levels or {MOST_PARTS} parts.",
                span(node),
                "Define parts of it under names of their own: part := ...",
            )
        if is_coded(part):
            raise Culprit(
                f"'{text_of(part)}' is a predictor; expressions hold labels.",
                span(part),
                "Give its coefficient a label, 'y ~ b*x:z', and use the label here.",
            )
        if isinstance(part, Tree) and part.data == "call":
            _check_call(part)
        waiting += [(below, depth + 1) for below in reversed(_operands(part))]
    done: list[Expression] = []
    leaves = {id(part): _leaf(part) for part in order if isinstance(part, Token)}
    for part in reversed(order):
        if isinstance(part, Token):
            done.append(leaves[id(part)])
            continue
        below = [done.pop() for _ in _operands(part)]  # the left one stands on top
        if part.data == "group":
            done += below
        elif part.data == "negate":
            done.append(Negate(*below))
        elif part.data == "call":
            done.append(Call(cast("Token", part.children[0]).value, *below))
        else:
            done.append(Binary(_BINARY[part.data], *below))
    return done[0]


def _operands(node: Node) -> list[Node]:
    if isinstance(node, Token):
        return []
    return list(node.children[1:] if node.data == "call" else node.children)


def _leaf(token: Token) -> Expression:
    if token.type == "NAME":
        return Name(token.value)
    if token.type == "STRING":
        raise Culprit("Text cannot stand in an expression.", span(token), "Remove the quotes.")
    value = float(token)
    if not math.isfinite(value):
        raise Culprit("This number is not finite.", span(token))
    return Number(value)


def _check_call(node: Tree[Token]) -> None:
    function = cast("Token", node.children[0])
    if function.value not in FUNCTIONS:
        raise Culprit(
            f"Unknown function '{function}()'{nearest(function.value, FUNCTIONS) or '.'}",
            span(function),
            f"Functions: {', '.join(FUNCTIONS)}.",
        )
    if len(node.children) != 2:
        raise Culprit(f"{function}() takes one argument.", span(node))
