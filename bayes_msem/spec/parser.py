"""From syntax tree to statements: the public ``parse`` and ``parse_expression``.

Nothing is added or checked here that needs more than the text of one statement: defaults,
variable roles and unknown names are the parameter table's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from lark import Token, Tree

from bayes_msem.errors import nearest
from bayes_msem.spec.expressions import Expression
from bayes_msem.spec.sides import expression, terms, variables
from bayes_msem.spec.statements import (
    Constraint,
    Definition,
    Formula,
    Level,
    Operator,
    ParsedModel,
    Span,
    TWO_LEVELS,
)
from bayes_msem.spec.syntax import Culprit, span, syntax_tree

__all__ = ["parse", "parse_expression"]

_VALID_LEVELS = "Write 'level: within' (or 1) or 'level: between' (or 2)."


def parse(text: str, levels: Sequence[Level] = TWO_LEVELS) -> ParsedModel:
    """Read a model text.

    Parameters
    ----------
    text
        The model in lavaan-style syntax.
    levels
        Names of the levels that the text may have, the lowest first. More than two are named by
        the columns of the clusters; each may be written as its number.

    Returns
    -------
    ParsedModel
        The statements in reading order, without any default added.

    Raises
    ------
    ModelSyntaxError
        If the text cannot be read; it holds line and column of the culprit. Syntax that lavaan
        knows and this package does not support raises a subclass that is a
        ``NotSupportedError`` as well.

    Examples
    --------
    >>> model = parse("f =~ y1 + a*y2; f ~ x")
    >>> [(formula.lhs, formula.op, formula.term.name) for formula in model.formulas]
    [('f', '=~', 'y1'), ('f', '=~', 'y2'), ('f', '~', 'x')]
    """
    try:
        return _parsed_model(syntax_tree(text, "model"), text, tuple(levels))
    except Culprit as culprit:
        raise culprit.located(text) from None


def parse_expression(text: str) -> Expression:
    """Read one arithmetic expression, such as the right-hand side of ``:=``.

    Parameters
    ----------
    text
        The expression.

    Raises
    ------
    ModelSyntaxError
        If the text cannot be read.

    Examples
    --------
    >>> print(parse_expression("a * (b + 2*c)"))
    a*(b + 2*c)
    """
    try:
        return expression(syntax_tree(text, "expression").children[0])
    except Culprit as culprit:
        raise culprit.located(text) from None


# Statements ----------------------------------------------------------------------------------


def _parsed_model(tree: Tree[Token], text: str, levels: tuple[Level, ...]) -> ParsedModel:
    headers: dict[Level, Span] = {}
    level: Level = levels[0]
    formulas: list[Formula] = []
    definitions: dict[str, Definition] = {}
    constraints: list[Constraint] = []
    for statement in cast("list[Tree[Token]]", tree.children):
        if statement.data == "header":
            if formulas and not headers:
                raise Culprit(
                    "This formula stands before the first 'level:'.",
                    formulas[0].span,
                    "In a two-level text every formula belongs below a 'level:' line.",
                )
            level = _level(statement, headers, levels)
            continue
        operator = cast("Token", statement.children[1]).value
        if operator == ":=":
            _define(statement, definitions)
        elif operator == "==":
            left, _, right = statement.children
            constraints.append(Constraint(expression(left), expression(right), span(statement)))
        else:
            formulas.extend(_formulas(level, statement))
    if not (formulas or definitions or constraints):
        raise Culprit(
            "The model text holds no statement.",
            next(iter(headers.values()), Span(1, 1, 1, 2)),
            "Write at least one formula, for example 'y ~ x'.",
        )
    _check_products(formulas)
    return ParsedModel(
        text,
        bool(headers),
        tuple(formulas),
        tuple(definitions.values()),
        tuple(constraints),
        levels,
    )


def _check_products(formulas: Sequence[Formula]) -> None:
    """Refuse products of latent variables."""
    latent = {f.lhs: "a factor" for f in formulas if f.op == "=~"}
    latent |= {
        f.term.modifiers.random: "a coefficient that varies over clusters"
        for f in formulas
        if f.term.modifiers.random is not None
    }
    for f in formulas:
        for part in f.term.parts:
            if part.column in latent:
                raise Culprit(
                    f"'{f.term.name}' is a latent interaction: '{part.column}' is "
                    f"{latent[part.column]}.",
                    f.term.span,
                    "Products of latent variables are not there yet; those of observed columns "
                    "are. Where one of the two belongs to clusters, let the slope of the other "
                    'vary and predict it: y ~ rv("s")*f at level within, s ~ w at level between.',
                    supported=False,
                )


def _level(header: Tree[Token], headers: dict[Level, Span], levels: tuple[Level, ...]) -> Level:
    value = header.children[1]
    valid = _VALID_LEVELS if len(levels) < 3 else _valid_levels(levels)
    if not isinstance(value, Token):
        raise Culprit("This is not a level.", span(value), valid)
    known = {str(i): name for i, name in enumerate(levels, 1)} | {name: name for name in levels}
    level = known.get(value) or known.get(value.lower())
    if level is None and value == "3":
        raise Culprit(
            "'level: 3' needs clusters of clusters, but one cluster column was given at most.",
            span(value),
            'Name both columns, the inner one first: cluster=["class", "school"]. Levels are then '
            "written 'level: within', 'level: class' and 'level: school' (or 1, 2, 3).",
        )
    if level is None and value.type == "NUMBER" and value != "0":
        raise Culprit(
            f"'level: {value}' is not supported: models have three levels at most.",
            span(value),
            valid
            if len(levels) > 2
            else f"{_VALID_LEVELS} A third level needs two cluster "
            'columns, the inner one first: cluster=["class", "school"].',
            supported=False,
        )
    if level is None and len(levels) > 2 and value.lower() == "between":
        raise Culprit(
            f"'between' may be either of two levels, '{levels[1]}' and '{levels[2]}'.",
            span(value),
            valid,
        )
    if level is None:
        problem = f"'{value}' is not a level{nearest(value.lower(), tuple(known)) or '.'}"
        raise Culprit(problem, span(value), valid)
    if level in headers:
        raise Culprit(
            f"A second block for level '{level}'; the first begins in line {headers[level].line}.",
            span(header),
            "Put all formulas of a level into one block.",
        )
    headers[level] = span(header)
    return level


def _valid_levels(levels: tuple[Level, ...]) -> str:
    written = [f"'level: {name}' (or {i})" for i, name in enumerate(levels, 1)]
    return f"Write {', '.join(written[:-1])} or {written[-1]}."


def _define(statement: Tree[Token], definitions: dict[str, Definition]) -> None:
    left, _, right = statement.children
    if not (isinstance(left, Token) and left.type == "NAME"):
        raise Culprit("Only one new name can stand left of ':='.", span(left))
    if left.value in definitions:
        line = definitions[left.value].span.line
        raise Culprit(f"'{left}' was defined before, in line {line}.", span(left), "Rename one.")
    definitions[left.value] = Definition(left.value, expression(right), span(statement))


def _formulas(level: Level, statement: Tree[Token]) -> Iterator[Formula]:
    left, operator, right = statement.children
    op = cast("Operator", cast("Token", operator).value)
    lhs = variables(left)  # first, so that errors come in reading order
    rhs = terms(right, op)
    for variable in lhs:
        for term in rhs:
            yield Formula(level, variable, op, term, span(statement))
