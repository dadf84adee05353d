"""From model text to syntax tree: tokens, line layout, LALR, and what to say when that fails.

The tree is still free of meaning (see ``grammar.lark``); ``parser.py`` reads it. Both raise
:class:`Culprit` at the place that is wrong, and :meth:`Culprit.located` turns it into the
error that users see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Literal, cast

from lark import Lark, Token, Tree, UnexpectedToken
from lark.lark import PostLex

from bayes_msem.errors import ModelSyntaxError, NotSupportedError
from bayes_msem.spec.foreign import (
    NAME_RULE,
    VALID_OPERATORS,
    character_remark,
    is_threshold_bar,
    operator_remark,
)
from bayes_msem.spec.mplus import mplus_header, mplus_statement
from bayes_msem.spec.passages import Remark, statement_at
from bayes_msem.spec.statements import Span

__all__ = ["Culprit", "Node", "UnsupportedSyntaxError", "span", "syntax_tree"]

Node = Tree[Token] | Token

# Tokens after which a formula must go on, on this line or on the next.
_DANGLING = frozenset(
    {"OPERATOR", "PLUS", "MINUS", "STAR", "SLASH", "CIRCUMFLEX", "COMMA", "COLON"}
)
# Tokens that continue the line before them.
_CONTINUING = frozenset({"PLUS", "STAR"})
# Tokens that end and that begin something complete: a sign is missing between the two.
_COMPLETE = frozenset({"NAME", "DUMMY", "NUMBER", "STRING", "RPAR"})
_BEGINNING = frozenset({"NAME", "DUMMY", "NUMBER", "STRING", "LPAR", "LEVEL"})
_ENDS = frozenset({"$END", "_SEPARATOR", "LEVEL"})

# Line ends that str.splitlines knows, `\n` and `\r\n` apart: one character each.
_RARE_NEWLINE = re.compile("\r(?!\n)|[\v\f\x1c-\x1e\x85\u2028\u2029]")


class UnsupportedSyntaxError(ModelSyntaxError, NotSupportedError):
    """Syntax that lavaan knows and this package cannot fulfil."""


class Culprit(Exception):
    """Something wrong at a place in the text; carries what the user's error will say."""

    def __init__(
        self, problem: str, place: Span, suggestion: str = "", *, supported: bool = True
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place
        self.suggestion = suggestion
        self.supported = supported

    def located(self, text: str) -> ModelSyntaxError:
        """Return the user's error, with ``text`` to quote from."""
        place = self.place
        end = place.end_column
        if place.end_line > place.line:
            end = len(text.splitlines()[place.line - 1].rstrip()) + 1
        error = ModelSyntaxError if self.supported else UnsupportedSyntaxError
        return error(
            self.problem,
            text=text,
            line=place.line,
            column=place.column,
            width=end - place.column,
            suggestion=self.suggestion,
        )


def span(first: Node, last: Node | None = None) -> Span:
    """Return where a node stands, or everything from ``first`` to ``last``."""
    start = first if isinstance(first, Token) else first.meta
    end = start if last is None else last if isinstance(last, Token) else last.meta
    assert start.line is not None
    assert start.column is not None
    assert end.end_line is not None
    assert end.end_column is not None
    return Span(start.line, start.column, end.end_line, end.end_column)


def syntax_tree(text: str, start: Literal["model", "expression"]) -> Tree[Token]:
    """Return the syntax tree of a text; raises :class:`Culprit`."""
    lark = _lark()
    parser = lark.parse_interactive(start=start)
    plain = _RARE_NEWLINE.sub("\n", text)
    fed: list[Token] = []
    try:
        for token in lark.lex(plain):
            if token.type == "FOREIGN_OPERATOR" and is_threshold_bar(token, plain):
                token.type = "OPERATOR"  # the layout step sees it too: its formula may go on below
            if token.type == "COLON" and (heading := mplus_header(token, plain)) is not None:
                raise _remarked(heading, span(token))
            parser.feed_token(token)
            fed.append(token)
        end = Token.new_borrow_pos("$END", "", fed[-1]) if fed else Token("$END", "")
        return cast("Tree[Token]", parser.feed_token(end))
    except UnexpectedToken as error:
        if start == "expression":
            raise _expression_diagnosis(fed, error.token, plain) from None
        raise _diagnosis(fed, error.token, plain) from None


@cache
def _lark() -> Lark:
    return Lark(
        files("bayes_msem.spec").joinpath("grammar.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start=["model", "expression"],
        propagate_positions=True,
        maybe_placeholders=False,
        postlex=_Layout(),
    )


class _Layout(PostLex):
    """Decides which newlines end a statement."""

    always_accept = (
        "FOREIGN_ARROW",
        "FOREIGN_HEADER",
        "FOREIGN_OPERATOR",
        "NEWLINE",
        "SEMICOLON",
        "STRAY",
        "UNCLOSED_STRING",
    )

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """Yield the tokens of the grammar."""
        previous: Token | None = None
        broken = ended = False
        parentheses: list[Token] = []
        for token in stream:
            if token.type == "NEWLINE":
                broken = True
                continue
            _balance(parentheses, token)
            if token.type == "SEMICOLON":
                ended = True
                continue
            if previous is not None:
                inside = bool(parentheses) or token.type == "RPAR"
                if ended or (broken and not inside and not _continues(previous, token)):
                    yield Token.new_borrow_pos("_SEPARATOR", ";", previous)
                elif not ended and _is_variable(previous, token, broken=broken):
                    name, token = _cut_header(token)
                    yield name
            yield token
            previous, broken, ended = token, False, False
        if parentheses:
            raise _unclosed(parentheses[-1])


def _continues(previous: Token, token: Token) -> bool:
    return previous.type in _DANGLING or token.type in _CONTINUING


def _is_variable(previous: Token, token: Token, *, broken: bool) -> bool:
    """Whether a header is none, but a variable in a product, as in `y ~ x + group:z`."""
    if previous.type not in _DANGLING:
        return False
    return token.type == "FOREIGN_HEADER" or (token.type == "LEVEL" and not broken)


def _cut_header(token: Token) -> tuple[Token, Token]:
    """Cut a header into a name and a colon."""
    name = token.value[:-1].rstrip()
    start, line, column = token.start_pos, token.line, token.column
    assert start is not None
    assert line is not None
    assert column is not None
    cuts = (("NAME", name, 0), ("COLON", ":", len(token.value) - 1))
    first, second = (
        Token(
            kind,
            text,
            start + at,
            line,
            column + at,
            line,
            column + at + len(text),
            start + at + len(text),
        )
        for kind, text, at in cuts
    )
    return first, second


def _balance(parentheses: list[Token], token: Token) -> None:
    """Keep the stack of open parentheses."""
    if token.type == "LPAR":
        parentheses.append(token)
    elif token.type == "RPAR":
        if not parentheses:
            raise Culprit("This ')' closes nothing.", span(token), "Remove it, or add a '('.")
        parentheses.pop()
    elif parentheses and token.type in {"OPERATOR", "LEVEL", "SEMICOLON"}:
        raise _unclosed(parentheses[-1])


def _unclosed(parenthesis: Token) -> Culprit:
    return Culprit("This '(' is never closed.", span(parenthesis), "Add a ')'.")


# Tokens outside the grammar ------------------------------------------------------------------


def _outside(token: Token, text: str) -> Culprit | None:
    """Return what to say of a token that the grammar has no place for; None if it has one."""
    match token.type:
        case "FOREIGN_HEADER":
            return Culprit(
                f"Blocks by '{token.value}' are not supported: there is no multi-group analysis.",
                span(token),
                "Only 'level: within' and 'level: between' head a block.",
                supported=False,
            )
        case "FOREIGN_ARROW" | "FOREIGN_OPERATOR":
            return _remarked(operator_remark(token, text), span(token))
        case "UNCLOSED_STRING":
            return Culprit(
                "This quote is never closed.",
                span(token),
                f"Add a closing {token.value[0]} on the same line.",
            )
        case "STRAY":
            return _remarked(character_remark(token, text), span(token))
    return None


def _remarked(remark: Remark, place: Span) -> Culprit:
    problem, suggestion, supported = remark
    return Culprit(problem, place, suggestion, supported=supported)


def _mplus(token: Token, text: str) -> Culprit | None:
    """Say how a statement of Mplus, such as ``f BY y1 y2``, is written here."""
    around = statement_at(text, token)
    found = mplus_statement(around)
    if found is None:
        return None
    position, word, remark = found
    line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    return _remarked(remark, Span(line, column, line, column + len(word)))


# Tokens of the grammar at the wrong place ----------------------------------------------------


def _diagnosis(fed: list[Token], token: Token, text: str) -> Culprit:
    """Say why ``token`` cannot follow the tokens ``fed`` so far."""
    if (outside := _outside(token, text)) is not None:
        return outside
    begin = max((i + 1 for i, t in enumerate(fed) if t.type == "_SEPARATOR"), default=0)
    statement = fed[begin:]
    if token.type == "OPERATOR":
        return _operator_diagnosis(statement, token)
    if not statement:
        return _misplaced(None, token)
    previous = statement[-1]
    if token.type == "NAME" and (mplus := _mplus(token, text)) is not None:
        return mplus
    same_line = previous.line == token.line and token.type != "$END"
    if token.type in _ENDS and not (token.type == "LEVEL" and same_line):
        if previous.type in _DANGLING:
            return _dangling(previous)
        if previous.type == "LEVEL":
            return Culprit(
                "'level:' without a value.", span(previous), "Write 'level: within' or 'between'."
            )
        return Culprit(
            "This statement has no operator.", span(statement[0], previous), VALID_OPERATORS
        )
    if not same_line and (parentheses := _open(statement)):
        return _unclosed(parentheses[-1])  # it swallowed the end of its line
    return _misplaced(previous, token)


def _open(statement: list[Token]) -> list[Token]:
    parentheses: list[Token] = []
    for token in statement:
        _balance(parentheses, token)
    return parentheses


def _operator_diagnosis(statement: list[Token], token: Token) -> Culprit:
    if not statement:
        return Culprit(
            f"Nothing stands left of '{token.value}'.",
            span(token),
            "Every statement begins with a variable, label or new name.",
        )
    # `f =~` or `y ~ x +` took the line below for its continuation.
    for previous, following in zip(statement[-2::-1], statement[:0:-1], strict=True):
        if previous.type in _DANGLING and span(previous).end_line < span(following).line:
            return _dangling(previous)
    if statement[-1].type == "OPERATOR":
        return Culprit(
            f"'{token.value}' follows '{statement[-1].value}' directly.",
            span(token),
            VALID_OPERATORS,
        )
    if any(t.type == "OPERATOR" for t in statement):
        return Culprit(
            f"A second operator, '{token.value}', in one statement.",
            span(token),
            "Begin a new line, or put ';' between two statements.",
        )
    return _misplaced(statement[-1], token)


def _expression_diagnosis(fed: list[Token], token: Token, text: str) -> Culprit:
    if (outside := _outside(token, text)) is not None:
        return outside
    if not fed and token.type == "$END":
        return Culprit("The expression is empty.", Span(1, 1, 1, 2))
    if token.type in {"OPERATOR", "LEVEL"}:
        return Culprit(f"'{token.value}' cannot stand in an expression.", span(token))
    if token.type == "_SEPARATOR":
        return Culprit("The expression goes on after its end.", span(token), "Use one line.")
    if token.type == "$END":
        return _dangling(fed[-1])
    return _misplaced(fed[-1] if fed else None, token)


def _dangling(token: Token) -> Culprit:
    return Culprit(
        f"Nothing stands right of '{token.value}'.",
        span(token),
        "Complete the statement, or remove the sign." if token.type != "OPERATOR" else "",
    )


def _misplaced(previous: Token | None, token: Token) -> Culprit:
    if previous is not None and previous.type in _COMPLETE and token.type in _BEGINNING:
        adjacent = previous.end_pos == token.start_pos
        if adjacent and previous.type == "NUMBER" and token.type in {"NAME", "NUMBER"}:
            return Culprit(
                f"'{previous.value}{token.value}' is neither a number nor a name.",
                span(previous, token),
                NAME_RULE,
            )
        return Culprit(
            f"'{token.value}' follows '{previous.value}' without a sign between them.",
            span(token),
            "Put '+' between terms; begin a new line or put ';' between statements.",
        )
    if token.type == "COMMA":
        return Culprit("Unexpected ','.", span(token), "Put '+' between terms.")
    return Culprit(
        f"Unexpected '{token.value}'.", span(token), "A variable, number or modifier goes here."
    )
