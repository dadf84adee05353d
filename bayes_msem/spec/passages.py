"""Passages of a model text around a token, for messages that look further than the grammar does.

Positions count characters of the text as it is given. Comments are blanked out, so that positions
stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lark import Token

__all__ = ["NAME", "Passage", "Remark", "cut", "statement_at"]

Remark = tuple[str, str, bool]
"""Problem, suggestion, and whether this version can fulfil what was meant."""

NAME = re.compile(r"(?:[^\W\d]|\.(?!\d))[\w.]*")
_COMMENT = re.compile(r"[#!][^\n]*")
# Newlines after which, or before which, a statement goes on.
_CONTINUED = re.compile(r"[~=+*/^,(|-]\s*\n|\n\s*(?=[+*])")


@dataclass(frozen=True, slots=True)
class Passage:
    """One statement (up to ``;`` or the end of its last line), cut at a sign.

    ``start`` is the position of its first character in the text.
    """

    before: str
    sign: str
    after: str
    start: int

    @property
    def whole(self) -> str:
        """The statement."""
        return self.before + self.sign + self.after


def statement_at(text: str, token: Token) -> Passage:
    """Return the statement in which a token stands, cut at the token."""
    assert token.start_pos is not None
    plain = _COMMENT.sub(lambda found: " " * len(found[0]), text)
    plain = _CONTINUED.sub(lambda found: found[0].replace("\n", " "), plain)
    position, end = token.start_pos, token.start_pos + len(token.value)
    start = max(plain.rfind(mark, 0, position) for mark in "\n;") + 1
    after = re.match(r"[^\n;]*", plain[end:])
    assert after is not None
    return Passage(plain[start:position], token.value, after[0].rstrip(), start)


def cut(text: str, sign: str) -> Iterator[str]:
    """Cut a text at a sign outside parentheses."""
    depth, piece = 0, ""
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == sign and depth == 0:
            yield piece
            piece = ""
        else:
            piece += character
    yield piece
