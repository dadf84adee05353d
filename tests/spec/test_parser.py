"""Model texts to statements, and the place and message of every syntax error."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_msem.errors import ModelSyntaxError, NotSupportedError
from bayes_msem.spec.parser import parse, parse_expression
from bayes_msem.spec.statements import Modifiers, ParsedModel, Span

NO_MODIFIERS = Modifiers()


def _rows(model: ParsedModel) -> list[tuple[str, str, str, str]]:
    return [(f.level, f.lhs, f.op, f.term.name) for f in model.formulas]


def _short(text: str) -> list[str]:
    """Formulas as ``lhs op rhs``, for texts where levels and modifiers do not matter."""
    return [f"{f.lhs} {f.op} {f.term.name}" for f in parse(text).formulas]


def _modifiers(text: str) -> Modifiers:
    """Modifiers of the only term of a right-hand side."""
    (formula,) = parse(f"y ~ {text}").formulas
    return formula.term.modifiers


# Formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f =~ y1 + y2", ["f =~ y1", "f =~ y2"]),
        ("y~x", ["y ~ x"]),
        ("y ~~ y", ["y ~~ y"]),
        ("y1 ~~ y2 + y3", ["y1 ~~ y2", "y1 ~~ y3"]),
        ("y ~ 1", ["y ~ 1"]),
        ("y ~ x + 1", ["y ~ x", "y ~ 1"]),
        ("y ~ 0*1", ["y ~ 1"]),
        ("f1 + f2 ~ x + z", ["f1 ~ x", "f1 ~ z", "f2 ~ x", "f2 ~ z"]),
        ("y ~ x; z ~ w ;; ", ["y ~ x", "z ~ w"]),
        ("größe ~ x.1_a + .z + _w", ["größe ~ x.1_a", "größe ~ .z", "größe ~ _w"]),
        ("年齢 ~ Δx", ["年齢 ~ Δx"]),
        ("level ~ start + rv + exp", ["level ~ start", "level ~ rv", "level ~ exp"]),
        ("\ufeffy ~ x", ["y ~ x"]),
        ("y\u00a0~\tx", ["y ~ x"]),
    ],
)
def test_formulas(text: str, expected: list[str]) -> None:
    assert _short(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "y ~ x + z\nv ~ w",
        "y ~ x + z\r\nv ~ w\r\n",
        "y ~ x + z\rv ~ w",
        "\n\n  y ~ x +\n  z\n\n\n  v ~ w\n",
        "y ~ x +\n\n  z; v ~ w",
        "y ~ x\n  + z\nv ~ w",
        "y ~ x\n\n  # why z\n  + z\nv ~ w",
        "y ~\n  x + z\nv\n  ~ w".replace("v\n  ~", "v ~\n"),
        "y ~ x + # first\n  z ! second\nv ~ w",
        '# title\ny ~ x + z # it\'s "quoted"\n! v ~ q\nv ~ w # end',
        "y ~ x +\r\n\tz\r\n\r\nv ~\r\nw",
    ],
)
def test_layout_does_not_matter(text: str) -> None:
    assert _short(text) == ["y ~ x", "y ~ z", "v ~ w"]


def test_a_modifier_may_stand_on_its_own_line() -> None:
    model = parse('y ~ prior("normal(0, 1)") *\n x + a\n * z + start(\n 0.5\n)*w')
    assert [f.term.name for f in model.formulas] == ["x", "z", "w"]
    assert [f.term.modifiers for f in model.formulas] == [
        Modifiers(prior="normal(0, 1)"),
        Modifiers(label="a"),
        Modifiers(start=0.5),
    ]


def test_parentheses_hold_a_line_together() -> None:
    (definition,) = parse("d := exp(a\n)").definitions
    assert str(definition.expression) == "exp(a)"


# Levels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("within", "between"),
    [("within", "between"), ("1", "2"), ("Within", "BETWEEN"), (" within ", "2 # comment")],
)
def test_level_blocks(within: str, between: str) -> None:
    model = parse(f"level: {within}\n f =~ y\nlevel: {between}\n y ~ w")
    assert model.two_level
    assert _rows(model) == [("within", "f", "=~", "y"), ("between", "y", "~", "w")]


def test_level_blocks_in_any_order() -> None:
    model = parse("level:2\n y ~ w\nLevel : 1; y ~ x")
    assert _rows(model) == [("between", "y", "~", "w"), ("within", "y", "~", "x")]


def test_text_without_headers_is_single_level() -> None:
    model = parse("y ~ x")
    assert not model.two_level
    assert _rows(model) == [("within", "y", "~", "x")]


def test_one_header_makes_the_model_two_level() -> None:
    model = parse("level: between\n y ~ w")
    assert model.two_level
    assert _rows(model) == [("between", "y", "~", "w")]


def test_definitions_and_constraints_may_stand_before_the_first_header() -> None:
    model = parse("d := a*b\na == 2*b\nlevel: 1\n y ~ a*x\nlevel: 2\n y ~ b*w")
    assert [d.name for d in model.definitions] == ["d"]
    assert len(model.constraints) == 1


# Modifiers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", NO_MODIFIERS),
        ("0.5*x", Modifiers(fixed=0.5)),
        (".5*x", Modifiers(fixed=0.5)),
        ("0*1", Modifiers(fixed=0.0)),
        ("1*1", Modifiers(fixed=1.0)),
        ("-1*x", Modifiers(fixed=-1.0)),
        ("1e-3*x", Modifiers(fixed=0.001)),
        ("-1E3*x", Modifiers(fixed=-1000.0)),
        ("1/4*x", Modifiers(fixed=0.25)),
        ("(1 - 3)*x", Modifiers(fixed=-2.0)),
        ("sqrt(4)*x", Modifiers(fixed=2.0)),
        ("NA*x", Modifiers(free=True)),
        ("a*x", Modifiers(label="a")),
        ("x*x", Modifiers(label="x")),
        ("start*x", Modifiers(label="start")),
        ('label("a")*x', Modifiers(label="a")),
        ("equal('a')*x", Modifiers(label="a")),
        ("start(0.5)*x", Modifiers(start=0.5)),
        ("start(-1)*x", Modifiers(start=-1.0)),
        ("start(1/2)*x", Modifiers(start=0.5)),
        ('prior("normal(0, 1)")*x', Modifiers(prior="normal(0, 1)")),
        ("prior( 'normal(0, 1)' ) * x", Modifiers(prior="normal(0, 1)")),
        ('prior("a # b; c")*x', Modifiers(prior="a # b; c")),
        ('rv("slope")*x', Modifiers(random="slope")),
        ('NA*rv("slope")*x', Modifiers(free=True, random="slope")),
        (
            'a*start(0.5)*prior("normal(0, 1)")*x',
            Modifiers(label="a", start=0.5, prior="normal(0, 1)"),
        ),
        ("NA*a*x", Modifiers(free=True, label="a")),
        ("a*1*x", Modifiers(fixed=1.0, label="a")),
        ("a*x + start(0.5)*x", Modifiers(label="a", start=0.5)),
        (
            'NA*x + a*x + prior("normal(0, 1)")*x',
            Modifiers(free=True, label="a", prior="normal(0, 1)"),
        ),
        ("a*1 + start(2)*1", Modifiers(label="a", start=2.0)),
    ],
)
def test_modifiers(text: str, expected: Modifiers) -> None:
    assert _modifiers(text) == expected


def test_repeated_terms_keep_the_place_of_the_first() -> None:
    model = parse("y ~ a*x + z + start(1)*x")
    assert [(f.term.name, f.term.modifiers) for f in model.formulas] == [
        ("x", Modifiers(label="a", start=1.0)),
        ("z", NO_MODIFIERS),
    ]
    assert model.formulas[0].term.span == Span(1, 5, 1, 8)


def test_modifiers_hold_for_every_left_hand_side() -> None:
    assert {f.term.modifiers for f in parse("y1 + y2 ~ a*x").formulas} == {Modifiers(label="a")}


def test_spans_count_from_one_and_end_exclusively() -> None:
    model = parse("# title\r\n  y ~ x +\r\n    0.5*z\r\nd := a\r\n  a == b")
    first, second = model.formulas
    assert first.span == second.span == Span(2, 3, 3, 10)
    assert first.term.span == Span(2, 7, 2, 8)
    assert second.term.span == Span(3, 5, 3, 10)
    assert model.definitions[0].span == Span(4, 1, 4, 7)
    assert model.constraints[0].span == Span(5, 3, 5, 9)


# Definitions and constraints -----------------------------------------------------------------


def test_definitions_keep_their_order() -> None:
    model = parse("y ~ a*x\nind := a*b\n y ~ b*m\n total := ind + c^2/exp(-a)")
    assert [(d.name, str(d.expression)) for d in model.definitions] == [
        ("ind", "a*b"),
        ("total", "ind + c^2/exp(-a)"),
    ]


def test_constraints_have_two_sides() -> None:
    (constraint,) = parse("a == 2*b + 1").constraints
    assert (str(constraint.left), str(constraint.right)) == ("a", "2*b + 1")
    (constraint,) = parse("a - b == 0").constraints
    assert (str(constraint.left), str(constraint.right)) == ("a - b", "0")


def test_a_definition_may_be_called_level() -> None:
    assert [d.name for d in parse("level := a; group := b").definitions] == ["level", "group"]


def test_long_formulas_are_read() -> None:
    """Neither recursion limit nor quadratic time for formulas of thousands of terms."""
    text = "f =~ " + " + ".join(f"a{i}*y{i}" for i in range(3000))
    assert len(parse(text).formulas) == 3000


# Errors --------------------------------------------------------------------------------------

SYNTAX_ERRORS = [
    # text, line, column, width, part of the message
    # Missing sides
    ("", 1, 1, 1, "holds no statement"),
    ("\n  # only a comment\n", 1, 1, 1, "holds no statement"),
    ("level: within\nlevel: between", 1, 1, 13, "holds no statement"),
    ("y ~ x\nf =~", 2, 3, 2, "Nothing stands right of '=~'"),
    ("f =~\ny ~ x", 1, 3, 2, "Nothing stands right of '=~'"),
    ("f =~\ny1 + y2 ~ x", 1, 3, 2, "Nothing stands right of '=~'"),
    ("f =~; y ~ x", 1, 3, 2, "Nothing stands right of '=~'"),
    ("f =~\nlevel: within", 1, 3, 2, "Nothing stands right of '=~'"),
    ("y ~ x +\nz ~ w", 1, 7, 1, "Nothing stands right of '+'"),
    ("y ~ x + ; z ~ w", 1, 7, 1, "Nothing stands right of '+'"),
    ("y ~ a*", 1, 6, 1, "Nothing stands right of '*'"),
    ("d :=", 1, 3, 2, "Nothing stands right of ':='"),
    ("a ==", 1, 3, 2, "Nothing stands right of '=='"),
    ("y ~ x\n =~ z", 2, 2, 2, "Nothing stands left of '=~'"),
    (":= a", 1, 1, 2, "Nothing stands left of ':='"),
    ("y ~ x\ny1 + y2", 2, 1, 7, "no operator"),
    ("y ~ x\n  z\nw ~ x", 2, 3, 1, "no operator"),
    # Operators
    ("y ~ x\ny = x", 2, 3, 1, "Unknown operator '='"),
    ("y = x", 1, 3, 1, "'=~' for a loading, ':=' for a definition or '==' for a constraint"),
    ("x -> y", 1, 3, 2, "'y ~ x' instead of 'x -> y'"),
    ("y <- x", 1, 3, 2, "'y ~ x' instead of 'y <- x'"),
    ("y <-> x", 1, 3, 3, "Write '~~'"),
    ("f =~~ y", 1, 3, 3, "did you mean '=~'"),
    ("f ~= y", 1, 3, 2, "did you mean '=~'"),
    ("y1 ~~~ y2", 1, 4, 3, "did you mean '~~'"),
    ("a === b", 1, 3, 3, "did you mean '=='"),
    ("d =: a", 1, 3, 2, "did you mean ':='"),
    ("d ::= a", 1, 3, 3, "Valid operators: =~"),
    ("y ~ x ~ z", 1, 7, 1, "second operator, '~'"),
    ("y ~ ~ x", 1, 5, 1, "'~' follows '~' directly"),
    ("y + ~ x", 1, 5, 1, "Unexpected '~'"),
    # Missing or surplus signs
    ("y ~ x1 x2", 1, 8, 2, "'x2' follows 'x1' without a sign"),
    ("y ~ x z ~ w", 1, 7, 1, "begin a new line"),
    ("y ~ x + + z", 1, 9, 1, "Unexpected '+'"),
    ("+ y ~ x", 1, 1, 1, "Unexpected '+'"),
    ("y ~ x, z", 1, 6, 1, "Put '+' between terms"),
    ("y ~ 2x", 1, 5, 2, "neither a number nor a name"),
    ("y ~ 1.2.3*x", 1, 5, 5, "neither a number nor a name"),
    # Parentheses, quotes, characters
    ('y ~ prior("a"*x\nz ~ w', 1, 10, 1, "'(' is never closed"),
    ("y ~ start(1*x", 1, 10, 1, "'(' is never closed"),
    ("y ~ start(1; z ~ w", 1, 10, 1, "'(' is never closed"),
    ("d := a*(b + c", 1, 8, 1, "'(' is never closed"),
    ("y ~ x)", 1, 6, 1, "')' closes nothing"),
    ("y ~ x(\n)", 1, 5, 2, "'x(...)' is not a variable"),
    ("y ~ 2(x)", 1, 6, 1, "'(' follows '2' without a sign"),
    ("y ~ ()", 1, 6, 1, "Unexpected ')'"),
    ('y ~ prior("a)*x\nz ~ w', 1, 11, 5, 'Add a closing " on the same line'),
    ("y ~ label('a)*x", 1, 11, 5, "Add a closing ' on the same line"),
    ("y ~ prior('a\r\nb')*x", 1, 11, 2, "quote is never closed"),
    ("y ~ df$x", 1, 7, 1, "Unexpected character '$'"),
    ("y ~ \u201cx\u201d", 1, 5, 1, "straight quotes"),
    ("y ~ `x`", 1, 5, 1, "straight quotes"),
    ("y ~ \u22121*x", 1, 5, 1, "plain minus sign"),
    # Levels
    ("level: wihtin\ny ~ x", 1, 8, 6, "did you mean 'within'"),
    ("level: 0\ny ~ x", 1, 8, 1, "'0' is not a level"),
    ("level: with-in\ny ~ x", 1, 8, 7, "not a level"),
    ("level:\ny ~ x", 1, 1, 6, "'level:' without a value"),
    ("y ~ x\nlevel:", 2, 1, 6, "'level:' without a value"),
    ("level: 1\ny ~ x\nlevel: within\ny ~ z", 3, 1, 13, "Second block for level 'within'"),
    ("level: 1\ny ~ x\nlevel: within\ny ~ z", 3, 1, 13, "first begins in line 1"),
    ("z ~ q; y ~ x\nlevel: 2\ny ~ w", 1, 1, 5, "before the first 'level:'"),
    ("level: within y ~ x", 1, 15, 1, "begin a new line"),
    ("y ~ x level: within", 1, 7, 6, "begin a new line"),
    # Variables
    ("y ~ 2", 1, 5, 1, "'2' is not a variable"),
    ("y ~ 0", 1, 5, 1, "0*1 to fix an intercept"),
    ("y ~ x + 0.5", 1, 9, 3, "'0.5' is not a variable"),
    ("y ~ x*0.5", 1, 7, 3, "Modifiers stand before the variable"),
    ("f =~ 1", 1, 6, 1, "'1' cannot stand right of '=~'"),
    ("f =~ y + 0*1", 1, 12, 1, "'1' cannot stand right of '=~'"),
    ("y ~~ 1", 1, 6, 1, "'1' cannot stand right of '~~'"),
    ("1 ~ x", 1, 1, 1, "cannot stand on the left"),
    ("0.5 ~ x", 1, 1, 3, "'0.5' is not a variable"),
    ("y ~ NA", 1, 5, 2, "'NA' is not a variable"),
    ('y ~ "x"', 1, 5, 3, "without quotes"),
    ("y ~ -x", 1, 5, 2, "A variable has no sign"),
    ("y ~ x - 1", 1, 9, 1, "cannot be subtracted"),
    ("y ~ x - z", 1, 9, 1, "cannot be subtracted"),
    ("y ~ (x + z)", 1, 5, 7, "Parentheses cannot group terms"),
    ("y ~ a*(x + z)", 1, 7, 7, "Parentheses cannot group terms"),
    ("y ~ (x +\n z)", 1, 5, 4, "Parentheses cannot group terms"),
    ("y ~ x^2", 1, 5, 3, "raised to a power"),
    ("y ~ x/z", 1, 5, 3, "divided"),
    ("y ~ log(x)", 1, 5, 6, "column of the data"),
    ("y ~ z + start(0.5)", 1, 9, 10, "A variable is missing after start()"),
    ("a*y ~ x", 1, 1, 3, "Modifiers cannot stand on the left"),
    ("y ~ z\nv + rv('s')*y ~ x", 2, 5, 9, "Modifiers cannot stand on the left"),
    ("y + z + y ~ x", 1, 9, 1, "'y' stands twice on the left"),
    # Modifiers
    ("y ~ satrt(0.5)*x", 1, 5, 5, "did you mean 'start'"),
    ("y ~ foo(0.5)*x", 1, 5, 3, 'Modifiers: equal("a"), label("a")'),
    ("y ~ rv(slope)*x", 1, 8, 5, 'Write it like rv("slope")'),
    ('y ~ rv("2s")*x', 1, 8, 4, "'2s' is not a name"),
    ('y ~ equal("f=~y2")*x', 1, 11, 7, "not a name"),
    ('y ~ label("NA")*x', 1, 11, 4, "'NA' is not a name"),
    ('y ~ label("")*x', 1, 11, 2, "empty text"),
    ('y ~ prior(" ")*x', 1, 11, 3, "empty text"),
    ("y ~ prior(normal(0, 1))*x", 1, 11, 12, "takes text in quotes"),
    ("y ~ start()*x", 1, 5, 7, "start() takes one argument"),
    ('y ~ rv("a", "b")*x', 1, 5, 12, "rv() takes one argument"),
    ('y ~ start("1")*x', 1, 11, 3, "takes a number"),
    ("y ~ start(a)*x", 1, 11, 1, "'a' cannot be part of a number"),
    ("y ~ -a*x", 1, 5, 2, "'a' cannot be part of a number"),
    ("y ~ 1e999*x", 1, 5, 5, "not finite"),
    ("y ~ (1/0)*x", 1, 5, 5, "not finite"),
    ('y ~ "a"*x', 1, 5, 3, 'label("a")*x'),
    # Doubled and contradictory modifiers
    ("y ~ a*b*x", 1, 7, 1, "a label for the second time"),
    ('y ~ a*label("a")*x', 1, 7, 10, "a label for the second time"),
    ("y ~ a*x + b*x", 1, 11, 1, "a label for the second time"),
    ("y ~ 1*2*x", 1, 7, 1, "a fixed value for the second time"),
    ("y ~ NA*NA*x", 1, 8, 2, "NA for the second time"),
    ("y ~ NA*0*x", 1, 8, 1, "a fixed value, which contradicts NA"),
    ("y ~ 0*x + NA*x", 1, 11, 2, "NA, which contradicts a fixed value"),
    ("y ~ 0*start(1)*x", 1, 7, 8, "contradicts a fixed value"),
    ('y ~ 0*prior("normal(0, 1)")*x', 1, 7, 21, "contradicts a fixed value"),
    ('y ~ rv("s")*1*x', 1, 13, 1, "contradicts rv()"),
    ('y ~ rv("s")*a*x', 1, 13, 1, "rows of the rv() name"),
    ('y ~ start(1)*rv("s")*x', 1, 14, 7, "contradicts a starting value"),
    ('y ~ rv("s")*prior("normal(0, 1)")*x', 1, 13, 21, "contradicts rv()"),
    ("y ~ x + x", 1, 9, 1, "'x' stands twice"),
    ("y ~ x + a*x", 1, 9, 3, "'x' stands twice"),
    ("y ~ a*x + x", 1, 11, 1, "'x' stands twice"),
    ("y ~ 1 + x + 1", 1, 13, 1, "'1' stands twice"),
    # Definitions and constraints
    ("a + b := c", 1, 1, 5, "Only one new name"),
    ("2 := c", 1, 1, 1, "Only one new name"),
    ("d := a\nd := b", 2, 1, 1, "'d' was defined before, in line 1"),
    ("d := foo(a)", 1, 6, 3, "Unknown function 'foo()'"),
    ("d := sqr(a)", 1, 6, 3, "did you mean 'sqrt'"),
    ("d := exp(a, b)", 1, 6, 9, "exp() takes one argument"),
    ('d := "a"', 1, 6, 3, "Text cannot stand in an expression"),
    ("d := 1e999", 1, 6, 5, "not finite"),
    ("a == +b", 1, 6, 1, "Unexpected '+'"),
    ("level: 3\ny ~ x", 1, 8, 1, "one cluster column was given at most"),
]

UNSUPPORTED = [
    ("f <~ y1 + y2", 1, 3, 2, "Formative"),
    ("y ~*~ 1*y", 1, 3, 3, "Scaling factors"),
    ("f =~ z\ny ~ f:x2", 2, 5, 4, "latent interaction"),
    ("level: 4\ny ~ x", 1, 8, 1, "three levels at most"),
    ("y ~ a*x\na > 0", 2, 3, 1, 'prior("halfnormal(1)")'),
    ("a < 1", 1, 3, 1, "Inequality"),
    ("a >= 1", 1, 3, 2, "Inequality"),
    ("group: 1\ny ~ x", 1, 1, 6, "multi-group"),
    ("y ~ lower(0)*x", 1, 5, 8, "Bounds"),
]


def _check(error: ModelSyntaxError, line: int, column: int, width: int, part: str) -> None:
    assert (error.line, error.column, error.width) == (line, column, width)
    assert re.search(re.escape(part), str(error), re.IGNORECASE)


@pytest.mark.parametrize(("text", "line", "column", "width", "part"), SYNTAX_ERRORS)
def test_syntax_errors(text: str, line: int, column: int, width: int, part: str) -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse(text)
    _check(caught.value, line, column, width, part)
    assert not isinstance(caught.value, NotSupportedError)


@pytest.mark.parametrize(("text", "line", "column", "width", "part"), UNSUPPORTED)
def test_unsupported_syntax(text: str, line: int, column: int, width: int, part: str) -> None:
    with pytest.raises(NotSupportedError) as caught:
        parse(text)
    assert isinstance(caught.value, ModelSyntaxError)
    _check(caught.value, line, column, width, part)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\u2028"])
def test_error_lines_do_not_depend_on_the_kind_of_newline(newline: str) -> None:
    text = newline.join(["y ~ x", "# comment", "", "  z = w"])
    with pytest.raises(ModelSyntaxError, match=r"    z = w\n {8}\^") as caught:
        parse(text)
    _check(caught.value, 4, 5, 1, "Unknown operator")


def test_the_first_error_is_reported() -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse("y ~ x z\nv = w")
    assert caught.value.line == 1


def test_message_shows_the_line_with_a_caret() -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse("level: within\n  f =~~ y1")
    assert str(caught.value).splitlines()[:3] == [
        "Unknown operator '=~~'. (line 2, column 5)",
        "      f =~~ y1",
        "        ^^^",
    ]


@pytest.mark.parametrize(
    ("text", "column", "part"),
    [
        ("", 1, "empty"),
        ("a +", 3, "Nothing stands right of '+'"),
        ("a ~ b", 3, "cannot stand in an expression"),
        ("a b", 3, "without a sign"),
        ("a\nb", 1, "goes on after its end"),
        ("(a", 1, "never closed"),
        ("* a", 1, "Unexpected '*'"),
        ("a = b", 3, "Unknown operator"),
    ],
)
def test_errors_in_expressions(text: str, column: int, part: str) -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse_expression(text)
    _check(caught.value, caught.value.line, column, caught.value.width, part)


@given(st.text(alphabet="yx1_ .~=:*+-/^()<>|\"'#;,\n\rNAlevel2é$", max_size=25))
def test_any_text_is_either_read_or_refused_in_place(text: str) -> None:
    error = _error(text)
    if error is not None:
        lines = text.splitlines() or [""]
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1


def _error(text: str) -> ModelSyntaxError | None:
    try:
        parse(text)
    except ModelSyntaxError as error:
        return error
    return None


def test_of_a_long_line_only_the_surroundings_of_the_culprit_are_shown() -> None:
    text = "y ~ " + " + ".join(f"x{i}" for i in range(500)) + " + 2*(x1 + z)" + " + x" * 500
    with pytest.raises(ModelSyntaxError) as caught:
        parse(text)
    _, source, pointer, *_ = str(caught.value).splitlines()
    assert len(source) < 180
    assert source[pointer.index("^") :].startswith("(x1 + z)")
