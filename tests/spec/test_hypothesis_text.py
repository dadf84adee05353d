"""Hypotheses as text: tables of what is read, and of what is refused, where and why."""

from __future__ import annotations

import pytest

from bayes_msem.errors import ModelSyntaxError
from bayes_msem.spec.expressions import names, substitute
from bayes_msem.spec.hypothesis_text import parse_hypothesis
from bayes_msem.spec.parser import parse_expression


def read(text: str) -> list[str]:
    """Comparisons, with rows in brackets: ``[y ~ x] > 0``."""
    found = parse_hypothesis(text)
    shown = []
    for comparison in found.comparisons:
        sides = []
        for side in (comparison.left, comparison.right):
            known = [name for name in names(side) if name in found.rows]
            short = {name: parse_expression(f"row{i}") for i, name in enumerate(known)}
            text = str(substitute(side, short))
            for i, name in enumerate(known):
                text = text.replace(f"row{i}", f"[{found.rows[name]}]")
            sides.append(text)
        shown.append(f"{sides[0]} {comparison.sign} {sides[1]}")
    return shown


@pytest.mark.parametrize(
    ("text", "comparisons"),
    [
        ("bb > bw", ["bb > bw"]),
        ("bb>=2*bw", ["bb > 2*bw"]),
        ("a == b", ["a = b"]),
        ("a < b < c", ["a < b", "b < c"]),
        ("a > b < c", ["a > b", "b < c"]),
        ("a > 0 & (b - a > 0)&((c) < 1)", ["a > 0", "b - a > 0", "c < 1"]),
        ("((a + b))*2 > -1e-3", ["(a + b)*2 > -0.001"]),
        ("between: y ~ x > within: y ~ x", ["[between: y ~ x] > [within: y ~ x]"]),
        ("2:y~x - 1:y~x>0", ["[2:y~x] - [1:y~x] > 0"]),
        ("2*y ~ x > 1", ["2*[y ~ x] > 1"]),
        ("f =~ y1 = f =~ y2", ["[f =~ y1] = [f =~ y2]"]),
        ("f1~~f2==0", ["[f1~~f2] = 0"]),
        ("y ~ 1 > .5", ["[y ~ 1] > 0.5"]),
        ("y ~1 - y | t1 < y |t2", ["[y ~1] - [y | t1] < [y |t2]"]),
        ("log(y ~~ y) < exp(a^2)", ["log([y ~~ y]) < exp(a^2)"]),
        ("größe_1 > .b", ["größe_1 > .b"]),
        ("a\n  > b", ["a > b"]),
    ],
)
def test_what_is_read(text: str, comparisons: list[str]) -> None:
    assert read(text) == comparisons


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "A hypothesis is missing"),
        ("b", 1, "Nothing is compared"),
        ("a > 0 & b", 9, "Nothing is compared"),
        ("a >", 3, "Nothing stands right of '>'"),
        ("< a", 1, "Nothing stands left of '<'"),
        ("a > 0 & ", 8, "A hypothesis is missing"),
        ("a != b", 3, "always differ"),
        ("a <> b", 3, "always differ"),
        ("a > b | c > d", 7, "'|' (or) cannot join"),
        ("witin: y ~ x > 0", 1, "did you mean 'within'?"),
        ("ind := a*b", 1, "belongs into the model"),
        ("a >> b", 3, "Nothing stands right of '>'"),
        ("a > b)", 6, "closes nothing"),
        ("(a > b", 1, "never closed"),
        ("y ~ x x2 > 0", 7, "'x2' follows 'y ~ x'"),
        ("y ~~~ x > 0", 3, "Unknown operator"),
        ("a + foo(b) > 0", 5, "Unknown function 'foo()'"),
        ("a > 'b'", 5, "Text cannot stand"),
        ("a > 2b", 5, "neither a number nor a name"),
    ],
)
def test_what_is_refused(text: str, column: int, words: str) -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse_hypothesis(text)
    assert (caught.value.line, caught.value.column) == (1, column)
    assert words in str(caught.value)
