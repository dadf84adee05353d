"""Syntax of other packages: each message says what its author wanted, in words of this one."""

from __future__ import annotations

import re
import time

import pytest

from bayes_msem.errors import ModelSyntaxError, NotSupportedError
from bayes_msem.spec.parser import parse

# What is written, line and column of the culprit, and the statement that replaces it.
TRANSLATED = [
    # lme4
    ("y ~ x + (1 | school)", 1, 12, ["level: within\n    y ~ x\nlevel: between\n    y ~~ y"]),
    ("y ~ (1|school)", 1, 7, ["level: within\n    y ~~ y\nlevel: between\n    y ~~ y"]),
    ("y ~ x + (1 + x | school)", 1, 16, ['y ~ rv("s")*x', "    y ~~ y", 'cluster="school"']),
    ("y ~ (x | school)", 1, 8, ['y ~ rv("s")*x', "    y ~~ y"]),
    ("y ~ x + z + (x + z | g)", 1, 20, ['y ~ rv("s1")*x + rv("s2")*z']),
    ("y ~ x + (0 + x | school)", 1, 16, ['y ~ rv("s")*x', "y ~~ 0*y"]),
    ("y ~ x + (x || school)", 1, 12, ['y ~ rv("s")*x', 'random_covariances="none"']),
    ("v ~ w\ny ~ x + # why\n  (1 | g) + z", 3, 6, ["y ~ x + z"]),
    ("y ~ x | school", 1, 7, ["y ~~ y", 'cluster="school"']),
    # Mplus
    ("s | y ~ x", 1, 3, ["Write 'y ~ rv(\"s\")*x'"]),
    ("s | y ON x;", 1, 3, ["Write 'y ~ rv(\"s\")*x'"]),
    ("l1-l3 | f BY y1-y3;", 1, 7, ['f =~ rv("l1")*y1 + rv("l2")*y2 + rv("l3")*y3']),
    ("logv | y;", 1, 6, ['y ~~ rv("logv")*y']),
    ("i s | y1@0 y2@1;", 1, 1, ["i =~ 1*y1 + 1*y2 + 1*y3"]),
    ("%WITHIN%\ny ON x;", 1, 1, ["Write 'level: within'"]),
    ("y ~ x\n% Between %", 2, 1, ["Write 'level: between'"]),
    ("f BY y1 y2 y3;", 1, 3, ["Write 'f =~ y1 + y2 + y3'"]),
    ("f by y1-y3", 1, 3, ["Write 'f =~ y1 + y2 + y3'"]),
    ("f BY y01-y03@1;", 1, 3, ["=~"]),
    ("f BY y1* y2@1 y3*0.5;", 1, 3, ["Write 'f =~ NA*y1 + 1*y2 + start(0.5)*y3'"]),
    ("y ~ x\n  y1 y2 ON x1-x3;", 2, 9, ["Write 'y1 + y2 ~ x1 + x2 + x3'"]),
    ("f BY y1 (a);", 1, 3, ["BY is written '=~'"]),
    ("f WITH g@0;", 1, 3, ["Write 'f ~~ 0*g'"]),
    ("[y1 y2];", 1, 1, ["Write 'y1 + y2 ~ 1'"]),
    ("f@1;", 1, 2, ["Write 'f ~~ 1*f'"]),
    ("y ~ x@2", 1, 6, ["Write '2*x'"]),
    ("MODEL:\nf BY y1;", 1, 6, ["statements of the model", "BY is written '=~'"]),
    ("MODEL INDIRECT:\ny IND x;", 1, 1, ["statements of the model"]),
    ("y IND m x;", 1, 3, ["ind := a*b"]),
    # R
    ("y ~ offset(x)", 1, 5, ["write 1*x."]),
    ("y ~ offset(log(n) + 2)", 1, 5, ["1*x, where the column x of the data is log(n) + 2"]),
    ("y ~ factor(g)", 1, 5, ["written C(x)", "ordered=['y']"]),
    ("y ~ g[b]", 1, 6, ["written g[T.b]"]),
    ("y ~ C(g)[T.b]", 1, 9, ["written g[T.b]"]),
    ("cbind(y1, y2) ~ x", 1, 1, ["y1 + y2 ~ x"]),
    ("y ~ .", 1, 5, ["Write out the predictors"]),
    ("y ~ x + z + x*z", 1, 13, ["'z' stands twice", "y ~ x + z + x:z", "s ~ z"]),
    ("y ~ x*z*w", 1, 7, ["y ~ x + z + x:z"]),
]
NOT_THERE_YET = [
    ("y ~ (1 | school/class)", 1, 8, ["Nested columns are a list", "Crossed", "not there yet"]),
    ("y ~ (1 | a) + (1 | b)", 1, 8, ["Nested columns are a list", "Crossed", "not there yet"]),
    ("f1xf2 | f1 XWITH f2;", 1, 7, ["Latent interactions"]),
    ("%BETWEEN school%\ny ON x;", 1, 1, ["three levels"]),
    ("%OVERALL%", 1, 1, ["Mixtures"]),
    ("y ~ y&1", 1, 6, ["Lagged", "time series"]),
    ("y ~ lag(x)", 1, 5, ["Lagged variables, lag(x)", "time series"]),
    ('y ~ rv("phi")*lag(y, 1)', 1, 15, ["lag(y, 1)"]),
    ("y ~ s(x)", 1, 5, ["Smooth terms"]),
    ("level: 4\ny ~ x", 1, 8, ["models have three levels at most", "third level"]),
    ("f1 =~ y1 + y2\nf2 =~ y3\ny ~ f1:f2", 3, 5, ["'f1' is a factor", "latent interaction"]),
    ("y ~ x:f\n f + g =~ y1", 1, 5, ["'f' is a factor", "latent interaction", 'rv("s")*f']),
    ('y ~ rv("s")*x\ny ~ s:z', 2, 5, ["'s' is a coefficient that varies", "latent"]),
    ("y ~ C(g, Sum())", 1, 10, ["coding Sum()", 'C(g, Treatment("b"))']),
    ("f <~ y1 + y2", 1, 3, ["weights"]),
]


def _assert_said(error: ModelSyntaxError, line: int, column: int, parts: list[str]) -> None:
    assert (error.line, error.column) == (line, column)
    for part in parts:
        assert part in str(error)


@pytest.mark.parametrize(("text", "line", "column", "parts"), TRANSLATED)
def test_what_can_be_said_here_is_said(text: str, line: int, column: int, parts: list[str]) -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse(text)
    _assert_said(caught.value, line, column, parts)
    assert not isinstance(caught.value, NotSupportedError)


@pytest.mark.parametrize(("text", "line", "column", "parts"), NOT_THERE_YET)
def test_what_cannot_be_said_yet_is_not_replaced(
    text: str, line: int, column: int, parts: list[str]
) -> None:
    with pytest.raises(NotSupportedError) as caught:
        parse(text)
    assert isinstance(caught.value, ModelSyntaxError)
    _assert_said(caught.value, line, column, parts)


ALL = [*TRANSLATED, *NOT_THERE_YET]


@pytest.mark.parametrize("text", [text for text, *_ in ALL])
def test_no_advice_builds_another_model(text: str) -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse(text)
    assert not re.search(r"leave|remove|drop\b|instead of a", caught.value.suggestion, re.I)


@pytest.mark.parametrize("text", [text for text, *_ in ALL])
def test_written_suggestions_can_be_read(text: str) -> None:
    """Statements in quotes, and blocks of levels, are syntax of this package."""
    with pytest.raises(ModelSyntaxError) as caught:
        parse(text)
    suggestion = caught.value.suggestion
    written = re.findall(r"Write '([^']+)'", suggestion)
    if (block := re.search(r"level: within\n.*\nlevel: between\n[^\n]*", suggestion)) is not None:
        written.append(block[0])
    for statement in written:
        if statement.startswith("level:") and "\n" not in statement:
            statement += "\ny ~~ y"
        elif re.fullmatch(r"[\d.]+\*\w+", statement):
            statement = f"y ~ {statement}"
        assert parse(statement).formulas, statement


@pytest.mark.parametrize(
    "text", ["y ~ on + with", "by ~~ on", "s ~ lag + offset", "model ~ within", "f =~ by + y.on"]
)
def test_words_of_other_packages_are_names_where_names_go(text: str) -> None:
    assert parse(text).formulas


@pytest.mark.parametrize("text", ["y ~ x on z", "y ~ x z", "f =~ y1 with y2"])
def test_a_forgotten_sign_is_no_mplus(text: str) -> None:
    with pytest.raises(ModelSyntaxError, match="without a sign between them"):
        parse(text)


@pytest.mark.parametrize(
    "text", [" " * 20_000 + "x y", "y " * 5_000, "f BY " + "y " * 5_000, "f BY y1-y999999999"]
)
def test_long_texts_are_given_up_quickly(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ModelSyntaxError):
        parse(text)
    assert time.process_time() - began < 5
