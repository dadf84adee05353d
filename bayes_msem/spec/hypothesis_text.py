"""Hypotheses as text: what :meth:`bayes_msem.Fit.hypothesis` reads.

    hypothesis   comparison ("&" comparison)*
    comparison   side (sign side)+              a < b < c  is  a < b & b < c
    sign         < > <= >= = ==
    side         an expression (:mod:`bayes_msem.spec.expressions`) of labels, defined parameters,
                 numbers and rows of the parameter table, as in  between: y ~ x - within: y ~ x

Rows hold signs of their own. So that each side can be read by the parser of expressions, every row
is first replaced by a name as long as its text, and columns in messages stay those of the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from bayes_msem.errors import ModelSyntaxError, nearest
from bayes_msem.spec.expressions import Expression
from bayes_msem.spec.parser import parse_expression
from bayes_msem.spec.statements import TWO_LEVELS

__all__ = ["Comparison", "Hypothesis", "parse_hypothesis"]

Sign = Literal["<", ">", "="]

_NAME = r"(?:[^\W\d]|\.(?!\d))[\w.]*"
_PREDICTOR = rf"{_NAME}(?:\[T\.[^\]]*\])?"
_ROW_WITHOUT_LEVEL = (
    rf"{_NAME}\s*"
    rf"(?:(?:=~|~~|~)\s*(?:{_PREDICTOR}(?:\s*:\s*{_PREDICTOR})*|1(?![\w.]))|\|\s*t\d+(?![\w.]))"
)
_PREFIX = re.compile(rf"({_NAME}|\d+)\s*:")
_SIGN = re.compile(r"!=|<>|<=|>=|==|=|<|>")
_FIRST_LETTER = 0x20000  # rare letters, which names in a text do not have
_STAND_IN = re.compile(rf"([{chr(_FIRST_LETTER)}-{chr(_FIRST_LETTER + 0xA000)}])\1*")


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left sign right``, with the text it was written as."""

    left: Expression
    sign: Sign
    right: Expression
    text: str


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Comparisons that hold together.

    Attributes
    ----------
    text
        As it was written, with single blanks.
    comparisons
        One or more.
    rows
        Name in the expressions -> text of the row of the parameter table it stands for.
    """

    text: str
    comparisons: tuple[Comparison, ...]
    rows: Mapping[str, str]


def parse_hypothesis(text: str, levels: Sequence[str] = TWO_LEVELS) -> Hypothesis:
    """Read a hypothesis.

    Parameters
    ----------
    text
        See the top of this module.
    levels
        Names of the levels of the model, the lowest first.

    Raises
    ------
    ModelSyntaxError
        With the column of the culprit.

    Examples
    --------
    >>> found = parse_hypothesis("0 < between: y ~ x < 2*b")
    >>> [comparison.text for comparison in found.comparisons]
    ['0 < between: y ~ x', 'between: y ~ x < 2*b']
    """
    line = re.sub(r"\s", " ", text)
    plain, rows = _without_rows(line, levels)
    _check_signs(line, plain, levels)
    comparisons: list[Comparison] = []
    for start, end in _pieces(plain, re.compile("&")):
        comparisons += _comparisons(line, plain, *_unwrapped(line, plain, start, end))
    return Hypothesis(_shown(line), tuple(comparisons), rows)


def _without_rows(line: str, levels: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Write a name of equal length for every row."""
    rows: dict[str, str] = {}

    def stand_in(found: re.Match[str]) -> str:
        name = chr(_FIRST_LETTER + len(rows)) * len(found[0])
        rows[name] = _shown(found[0])
        return name

    words = "|".join([*map(re.escape, levels), *(str(i) for i, _ in enumerate(levels, 1))])
    row = re.compile(rf"(?<![\w.])(?:(?:{words})\s*:\s*)?{_ROW_WITHOUT_LEVEL}")
    return row.sub(stand_in, line), rows


def _check_signs(line: str, plain: str, levels: Sequence[str]) -> None:
    """Refuse what reads like a hypothesis elsewhere, before the pieces are read."""
    if (found := _PREFIX.search(plain)) is not None and found[0] != ":":
        raise _error(
            f"'{found[0]}' heads no row of the parameter table"
            f"{nearest(found[1], [n for n in (*levels, '1', '2')]) or '.'}",
            line,
            found.span(),
            f"A row is written {' or '.join(repr(f'{level}: y ~ x') for level in levels)}; ':=' "
            "belongs into the model.",
        )
    if (at := plain.find("|")) >= 0:
        raise _error(
            "'|' (or) cannot join hypotheses.",
            line,
            (at, at + 1),
            "Give each as a hypothesis of its own, or its opposite: not (a or b) is not a & not b.",
        )
    if (at := plain.find("!=")) >= 0 or (at := plain.find("<>")) >= 0:
        raise _error(
            "Two continuous quantities always differ.",
            line,
            (at, at + 2),
            "Write '=' for the evidence for and against equality, or give rope=.",
        )


def _comparisons(line: str, plain: str, start: int, end: int) -> list[Comparison]:
    signs = [m for m in _SIGN.finditer(plain, start, end)]
    if not signs:
        raise _error(
            "Nothing is compared here.",
            line,
            (start, end),
            "Write what it is compared with, as in 'b > 0' or 'b1 = b2'.",
        )
    edges = [start, *(edge for sign in signs for edge in sign.span()), end]
    sides = list(zip(edges[::2], edges[1::2], strict=True))
    for (first, last), sign in zip(sides, [signs[0], *signs], strict=True):
        if not plain[first:last].strip():
            which = "left" if last <= sign.start() else "right"
            raise _error(f"Nothing stands {which} of '{sign[0]}'.", line, sign.span())
    parsed = [_expression(line, plain, first, last) for first, last in sides]
    return [
        Comparison(
            parsed[i],
            cast("Sign", sign[0][0]),
            parsed[i + 1],
            f"{_shown(line[slice(*sides[i])])} {sign[0]} {_shown(line[slice(*sides[i + 1])])}",
        )
        for i, sign in enumerate(signs)
    ]


def _expression(line: str, plain: str, start: int, end: int) -> Expression:
    try:
        return parse_expression(" " * start + plain[start:end])
    except ModelSyntaxError as error:
        left = error.column - 1
        problem = error.problem
        for found in _STAND_IN.finditer(plain):
            problem = problem.replace(found[0], _shown(line[slice(*found.span())]))
        raise _error(problem, line, (left, left + error.width), error.suggestion) from None


def _pieces(plain: str, sign: re.Pattern[str]) -> list[tuple[int, int]]:
    edges = [0, *(edge for found in sign.finditer(plain) for edge in found.span()), len(plain)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _unwrapped(line: str, plain: str, start: int, end: int) -> tuple[int, int]:
    """Take off blanks, and parentheses around a whole comparison."""
    while True:
        piece = plain[start:end]
        start, end = (
            start + len(piece) - len(piece.lstrip()),
            end - len(piece) + len(piece.rstrip()),
        )
        piece = plain[start:end]
        if not piece:
            at = min(start, len(line) - 1) if line else 0
            raise _error("A hypothesis is missing here.", line, (at, at + 1), "Write 'b > 0'.")
        if piece[0] != "(" or _closing(piece) != len(piece) - 1:
            return start, end
        if not _SIGN.search(piece):
            return start, end
        start, end = start + 1, end - 1


def _closing(piece: str) -> int:
    """Position of the parenthesis that closes the first one; -1 if there is none."""
    depth = 0
    for i, letter in enumerate(piece):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return i
    return -1


def _shown(text: str) -> str:
    return " ".join(text.split())


def _error(
    problem: str, line: str, place: tuple[int, int], suggestion: str = ""
) -> ModelSyntaxError:
    start, end = place
    return ModelSyntaxError(
        problem, text=line, line=1, column=start + 1, width=end - start, suggestion=suggestion
    )
