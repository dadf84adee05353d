"""Reads predictors that are coded from columns: ``x:z``, ``C(x)``, ``x[T.b]``.

Whether a plain ``x`` holds categories is not written in the text but in the data; who has both
spells such terms out (:mod:`bayes_msem.spec.dummies`).
"""

from __future__ import annotations

import re
from typing import cast

from lark import Token, Tree

from bayes_msem.spec.foreign import call_remark, is_foreign
from bayes_msem.spec.statements import Operator, Part
from bayes_msem.spec.syntax import Culprit, Node, span

__all__ = ["is_coded", "parts_of", "plain_name", "term_name", "text_of"]

_TREATMENTS = ("Treatment", "contr.treatment")
_CONTRASTS = ("Sum", "Helmert", "Poly", "Diff", "SAS")
_BINARY = {
    "add": " + ",
    "subtract": " - ",
    "multiply": " * ",
    "divide": " / ",
    "power": " ^ ",
    "product_term": ":",
}


def is_coded(node: Node) -> bool:
    """Whether a node is a term that is coded."""
    if isinstance(node, Token):
        return node.type == "DUMMY"
    return node.data == "product_term" or (node.data == "call" and node.children[0] == "C")


def parts_of(node: Node, op: Operator | None) -> tuple[Part, ...]:
    """Read the parts of a term that is coded.

    Parameters
    ----------
    node
        A node for which :func:`is_coded` holds.
    op
        The operator, if the term stands right of one.

    Raises
    ------
    Culprit
        The term stands where no predictor can, or some part of it is no column.
    """
    if op != "~":
        where = "left of an operator" if op is None else f"right of '{op}'"
        raise Culprit(
            f"'{text_of(node)}' cannot stand {where}.",
            span(node),
            "Dummies of categories and products are predictors, right of '~': they are "
            "conditioned on, and not modelled.",
        )
    nodes = [node]
    if isinstance(node, Tree) and node.data == "product_term":
        nodes = [child for child in node.children if not _is_colon(child)]
    parts = tuple(_part(child, alone=len(nodes) == 1) for child in nodes)
    columns = [part.column for part in parts]
    for child, column in zip(nodes, columns, strict=True):
        if columns.count(column) > 1:
            raise Culprit(
                f"'{column}' stands twice in this product.",
                span(child),
                f"A square is a column of the data: data['{column}_2'] = data['{column}']**2. "
                "(Products of dummies of one variable are zero.)",
            )
    return parts


def term_name(parts: tuple[Part, ...]) -> str:
    """How a term with these parts is written."""
    return ":".join(part.name for part in parts)


def plain_name(name: str) -> str:
    """Return a name of letters, digits, ``.`` and ``_`` for a term that is coded.

    Examples
    --------
    >>> plain_name("x[T.new york]:z")
    'x.new_york.z'
    """
    return re.sub(r"[^\w.]", "_", re.sub(r"\[T\.([^\]]*)\]", r".\1", name).replace(":", "."))


def _is_colon(node: Node) -> bool:
    return isinstance(node, Token) and node.type == "COLON"


def _part(node: Node, *, alone: bool) -> Part:
    if isinstance(node, Token):
        if node.type == "DUMMY":
            column, _, category = node.value[:-1].partition("[T.")
            if not category.strip():
                raise Culprit(
                    "This dummy names no category.", span(node), f"Write '{column}[T.b]'."
                )
            return Part(column, "dummy", category)
        if node.type == "NAME" and node.value not in (".", "NA"):
            return Part(node.value)
    elif node.data == "call":
        function = cast("Token", node.children[0]).value
        if function == "C":
            return _categories(node)
        if is_foreign(function):
            listed = ", ".join(text_of(argument) for argument in node.children[1:])
            problem, suggestion, supported = call_remark(function, listed)
            raise Culprit(problem, span(node), suggestion, supported=supported)
    raise Culprit(
        f"'{text_of(node)}' is no variable of a product.",
        span(node),
        "Products are made of columns of the data: x:z, C(x):z, x[T.b]:z. A modifier stands "
        "before the whole product: a*x:z.",
    )


def _categories(call: Tree[Token]) -> Part:
    """Read ``C(x)`` and ``C(x, Treatment("b"))``."""
    column, *contrast = call.children[1:]
    if not (isinstance(column, Token) and column.type == "NAME"):
        raise Culprit("C() takes a column of the data.", span(call), "Write it like C(x).")
    if not contrast:
        return Part(column.value, "categories")
    example = f'C({column}, Treatment("b")), with the category that others are compared with'
    coding = contrast[0]
    if len(contrast) > 1 or not (isinstance(coding, Tree) and coding.data == "call"):
        raise Culprit("C() takes a column and a coding.", span(call), f"Write it like {example}.")
    function = cast("Token", coding.children[0]).value
    if function not in _TREATMENTS:
        raise Culprit(
            f"The coding {text_of(coding)} is not supported.",
            span(coding),
            f"Categories are compared with one of them: {example}. For other contrasts, such as "
            f"{', '.join(_CONTRASTS[:2])}, make columns of the data.",
            supported=False,
        )
    reference = coding.children[1:]
    if len(reference) != 1 or not isinstance(reference[0], Token):
        raise Culprit(f"{function}() takes one category.", span(coding), f"Write {example}.")
    text = reference[0].value
    if reference[0].type == "STRING":
        text = text[1:-1]
    if not text.strip() or re.search(r"[\]\n]", text):
        raise Culprit(f"'{text}' is no category.", span(reference[0]), f"Write {example}.")
    return Part(column.value, "categories", text)


def text_of(node: Node) -> str:
    """Write a node as text, with its parts in the order of the text."""
    if isinstance(node, Token):
        return str(node)
    parts = [text_of(child) for child in node.children if not _is_colon(child)]
    match node.data:
        case "call":
            return f"{parts[0]}({', '.join(parts[1:])})"
        case "group":
            return f"({parts[0]})"
        case "negate":
            return f"-{parts[0]}"
    return _BINARY[node.data].join(parts)
