"""Expressions: printing, reading back, evaluating, differentiating."""

from __future__ import annotations

import copy
import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bayes_msem.errors import ModelSyntaxError, SpecificationError
from bayes_msem.spec.expressions import (
    FUNCTIONS,
    Binary,
    Call,
    Expression,
    Name,
    Negate,
    Number,
    derivative,
    evaluate,
    names,
    number,
    substitute,
)
from bayes_msem.spec.parser import parse_expression

A, B, C = Name("a"), Name("b"), Name("c")

leaves = st.one_of(
    st.sampled_from([A, B, C]),
    st.floats(min_value=0, allow_nan=False, allow_infinity=False)
    .filter(lambda x: math.copysign(1, x) > 0)
    .map(Number),
)


def _compound(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Negate, inner),
        st.builds(Binary, st.sampled_from("+-*/^"), inner, inner),
        st.builds(Call, st.sampled_from(sorted(FUNCTIONS)), inner),
    )


expressions = st.recursive(leaves, _compound, max_leaves=12)

# Smaller numbers and no towers of powers: finite differences need a tame function.
tame_leaves = st.one_of(
    st.sampled_from([A, B]), st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]).map(Number)
)
tame_expressions = st.recursive(tame_leaves, _compound, max_leaves=6)


@given(expressions)
def test_printed_text_reads_back_as_the_same_tree(expression: Expression) -> None:
    assert parse_expression(str(expression)) == expression


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("2", Number(2.0)),
        (".5", Number(0.5)),
        ("1e-3", Number(0.001)),
        ("1.5E+2", Number(150.0)),
        ("-2", Negate(Number(2.0))),
        ("a - b - c", Binary("-", Binary("-", A, B), C)),
        ("a/b*c", Binary("*", Binary("/", A, B), C)),
        ("a^b^c", Binary("^", A, Binary("^", B, C))),
        ("-a^2", Negate(Binary("^", A, Number(2.0)))),
        ("-a*b", Binary("*", Negate(A), B)),
        ("a^-b", Binary("^", A, Negate(B))),
        ("a^-b*c", Binary("*", Binary("^", A, Negate(B)), C)),
        ("--a", Negate(Negate(A))),
        ("((a))", A),
        ("exp(-a)", Call("exp", Negate(A))),
        ("exp", Name("exp")),
        ("größe_1.b", Name("größe_1.b")),
        (".a", Name(".a")),
    ],
)
def test_precedence_is_that_of_r(text: str, tree: Expression) -> None:
    assert parse_expression(text) == tree


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("((a*b)) + (c)", "a*b + c"),
        ("a*(b+c)", "a*(b + c)"),
        ("a-(b-c)", "a - (b - c)"),
        ("a-(b*c)", "a - b*c"),
        ("a/(b*c)", "a/(b*c)"),
        ("(-a)^2", "(-a)^2"),
        ("-(a^2)", "-a^2"),
        ("(a^b)^c", "(a^b)^c"),
        ("a^(b^c)", "a^b^c"),
        ("-(a*b)", "-(a*b)"),
        ("(-a)*b", "-a*b"),
        ("sqrt((a+1.0))", "sqrt(a + 1)"),
    ],
)
def test_parentheses_are_printed_only_where_needed(text: str, printed: str) -> None:
    assert str(parse_expression(text)) == printed


def test_names_come_once_in_order_of_appearance() -> None:
    assert names(parse_expression("b*a + exp(c)/b - 2")) == ("b", "a", "c")
    assert names(Number(1.0)) == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a*b + c", 2.0 * 3.0 - 4.0),
        ("-a^2", -4.0),
        ("(-a)^2", 4.0),
        ("2^3^2", 512.0),
        ("a - b - c", 3.0),
        ("24/b/a", 4.0),
        ("exp(log(b))", 3.0),
        ("abs(c)/sqrt(a + 2)", 2.0),
        ("tanh(atanh(0.5))", 0.5),
    ],
)
def test_evaluate(text: str, value: float) -> None:
    env = {"a": 2.0, "b": 3.0, "c": -4.0}
    assert evaluate(parse_expression(text), env) == pytest.approx(value, rel=1e-14)


def test_evaluate_works_elementwise_on_arrays() -> None:
    a, b = np.array([1.0, 2.0]), np.array([[3.0], [4.0]])
    result = evaluate(parse_expression("a*b + a^2"), {"a": a, "b": b})
    np.testing.assert_array_equal(result, a * b + a**2)


def test_evaluate_takes_other_implementations_of_the_functions() -> None:
    log: list[str] = []

    def exp(x: str) -> str:
        log.append(x)
        return f"exp<{x}>"

    assert evaluate(parse_expression("exp(a)"), {"a": "A"}, {"exp": exp}) == "exp<A>"
    assert log == ["A"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("text", "value"), [("1/0", math.inf), ("(-8)^(1/3)", math.nan)])
def test_plain_numbers_behave_like_arrays_outside_the_domain(text: str, value: float) -> None:
    assert evaluate(parse_expression(text), {}) == pytest.approx(value, nan_ok=True)


def test_evaluate_names_the_unknown_name() -> None:
    with pytest.raises(SpecificationError, match=r"unknown name 'slop'.*did you mean 'slope'"):
        evaluate(Name("slop"), {"slope": 1.0})
    with pytest.raises(SpecificationError, match=r"unknown function 'exp'.*Known: log\."):
        evaluate(Call("exp", A), {"a": 1.0}, {"log": np.log})


@pytest.mark.parametrize("value", [-1.0, -0.0, math.inf, math.nan])
def test_numbers_without_a_literal_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite values from 0 upwards"):
        Number(value)


def test_number_builds_either_sign() -> None:
    assert number(-1.5) == Negate(Number(1.5))
    assert number(0.0) == number(-0.0) == Number(0.0)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("3", "0"),
        ("b^2", "0"),
        ("a", "1"),
        ("a*b", "b"),
        ("a*b + c", "b"),
        ("c - a", "-1"),
        ("a/b", "1/b"),
        ("b/a", "-(b/a^2)"),
        ("a^2", "2*a"),
        ("a^3", "3*a^2"),
        ("2^a", "2^a*log(2)"),
        ("exp(2*a)", "exp(2*a)*2"),
        ("log(a)", "1/a"),
        ("sqrt(a)", "1/(2*sqrt(a))"),
        ("tanh(a)", "1 - tanh(a)^2"),
    ],
)
def test_derivative_is_lightly_simplified(text: str, printed: str) -> None:
    result = derivative(parse_expression(text), "a")
    value = {"a": 0.7, "b": 1.3}
    assert evaluate(result, value) == pytest.approx(evaluate(parse_expression(printed), value))
    assert str(result) == printed


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_derivative_of_every_function(function: str) -> None:
    expression = Call(function, Binary("*", Number(0.7), A))
    slope = evaluate(derivative(expression, "a"), {"a": 0.9})
    assert slope == pytest.approx(_finite_difference(expression, {"a": 0.9}), rel=1e-8)


def _finite_difference(expression: Expression, env: dict[str, float], step: float = 1e-5) -> float:
    """Central difference in ``a`` of fourth order."""

    def f(shift: float) -> float:
        return float(evaluate(expression, {**env, "a": env["a"] + shift}))

    return (8 * (f(step) - f(-step)) - (f(2 * step) - f(-2 * step))) / (12 * step)


@given(tame_expressions, st.floats(0.3, 0.9), st.floats(0.3, 0.9))
def test_derivative_agrees_with_finite_differences(
    expression: Expression, a: float, b: float
) -> None:
    env = {"a": a, "b": b}
    with np.errstate(all="ignore"):
        slope = float(evaluate(derivative(expression, "a"), env))
        coarse = _finite_difference(expression, env, 1e-4)
        fine = _finite_difference(expression, env, 5e-5)
        height = abs(float(evaluate(expression, env)))
    # Where two step sizes disagree (kinks, poles, rounding), the oracle itself says nothing.
    assume(all(map(math.isfinite, (slope, coarse, fine))))
    assume(height < 1e3)
    assume(abs(coarse - fine) <= 1e-7 * (1 + abs(fine)))
    assert slope == pytest.approx(fine, rel=1e-5, abs=1e-6)


# Long and deep expressions ---------------------------------------------------------------------

DEEP = {
    "sum": " + ".join(["a"] * 900),
    "product": "*".join(["a"] * 900),
    "power": "^".join(["a"] * 900),
    "calls": "tanh(" * 900 + "a" + ")" * 900,
    "signs": "-" * 900 + "a",
    "parentheses": "(" * 400 + "a" + " + b)" * 400,
    "right": "a/(" * 400 + "b" + ")" * 400,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_deep_expressions_are_like_any_other(text: str) -> None:
    """Printing, copying and differentiating need no more of Python's stack than for `a + b`."""
    expression = parse_expression(text)
    assert parse_expression(str(expression)) == expression
    assert expression != parse_expression(re.sub(r"\ba\b", "c", text, count=1))
    assert hash(expression) == hash(parse_expression(text))
    assert repr(expression).count("Name") == len(re.findall(r"\b[ab]\b", text))
    assert copy.deepcopy(expression) == expression
    assert pickle.loads(pickle.dumps(expression)) == expression
    assert set(names(expression)) <= {"a", "b"}
    assert set(names(derivative(expression, "a"))) <= {"a", "b"}
    assert math.isfinite(evaluate(expression, {"a": 1.0, "b": 1.0}))


def test_values_of_deep_expressions() -> None:
    sum_of_900, calls = parse_expression(DEEP["sum"]), parse_expression(DEEP["calls"])
    assert evaluate(sum_of_900, {"a": 0.5}) == 450.0
    assert evaluate(derivative(sum_of_900, "a"), {"a": 0.5}) == 900.0
    value, slope = 0.7, 1.0
    for _ in range(900):
        value = math.tanh(value)
        slope *= 1.0 - value**2
    assert evaluate(calls, {"a": 0.7}) == pytest.approx(value, rel=1e-12)
    assert evaluate(derivative(calls, "a"), {"a": 0.7}) == pytest.approx(slope, rel=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "exp(" * 2000 + "a" + ")" * 2000,
        "-" * 2000 + "a",
        "^".join(["a"] * 2000),
        " + ".join(["a*b"] * 5000),
    ],
)
def test_expressions_have_a_largest_size(text: str) -> None:
    with pytest.raises(ModelSyntaxError, match="more than 1000 levels or 10000 parts"):
        parse_expression(text)


def test_expressions_of_expressions_do_not_grow_without_bounds() -> None:
    """Doubling 40 times makes 10^12 parts, if it is written out."""
    expression = A
    for _ in range(12):
        expression = substitute(Binary("+", A, A), {"a": expression})
    with pytest.raises(SpecificationError, match="has 16383 parts in 14 levels; at most 10000"):
        substitute(Binary("+", A, A), {"a": expression})
