"""Arithmetic expressions of labels: what stands right of ``:=`` and on both sides of ``==``.

An expression is a small immutable tree. It is built by the parser (never by ``eval``), printed
with ``str``, evaluated over floats, NumPy arrays or PyTensor variables, and differentiated
symbolically. Precedence is R's: ``^`` binds tighter than unary minus and groups from the
right, so ``-a^2`` is ``-(a^2)`` and ``a^b^c`` is ``a^(b^c)``.

Invariant: ``parse_expression(str(e)) == e`` for every tree. Numbers are therefore never
negative (the text ``-2`` reads as ``Negate(Number(2.0))``); :func:`number` builds either kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

import numpy as np

from bayes_msem.errors import SpecificationError, nearest

__all__ = [
    "FUNCTIONS",
    "Binary",
    "Call",
    "Expression",
    "Name",
    "Negate",
    "Number",
    "derivative",
    "evaluate",
    "names",
    "number",
    "substitute",
]

BinaryOperator = Literal["+", "-", "*", "/", "^"]

FUNCTIONS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "abs": np.abs,
        "acos": np.arccos,
        "asin": np.arcsin,
        "atan": np.arctan,
        "atanh": np.arctanh,
        "cos": np.cos,
        "cosh": np.cosh,
        "exp": np.exp,
        "log": np.log,
        "sin": np.sin,
        "sinh": np.sinh,
        "sqrt": np.sqrt,
        "tan": np.tan,
        "tanh": np.tanh,
    }
)
"""The functions of one argument an expression may call, with NumPy's implementations."""


@dataclass(frozen=True, slots=True)
class Number:
    """A finite, non-negative constant."""

    value: float

    def __post_init__(self) -> None:
        """Refuse what the syntax has no literal for."""
        if not math.isfinite(self.value) or math.copysign(1.0, self.value) < 0:
            raise ValueError(
                f"Number holds finite values from 0 upwards, got {self.value!r}; "
                "use number(value) for negative ones"
            )

    def __str__(self) -> str:
        """Shortest text that reads back as the same float."""
        return repr(float(self.value)).removesuffix(".0")


@dataclass(frozen=True, slots=True)
class Name:
    """A label, an ``rv()`` name or a defined parameter."""

    name: str

    def __str__(self) -> str:
        """Return the name itself."""
        return self.name


@dataclass(frozen=True, slots=True)
class Negate:
    """``-operand``."""

    operand: Expression

    def __str__(self) -> str:
        """Text with parentheses only where they are needed."""
        return f"-{_wrapped(self.operand, _NEGATE)}"


@dataclass(frozen=True, slots=True)
class Binary:
    """``left op right``."""

    op: BinaryOperator
    left: Expression
    right: Expression

    def __str__(self) -> str:
        """Text with parentheses only where they are needed."""
        left, right = _OPERAND_PRECEDENCE[self.op]
        gap = " " if self.op in "+-" else ""
        return f"{_wrapped(self.left, left)}{gap}{self.op}{gap}{_wrapped(self.right, right)}"


@dataclass(frozen=True, slots=True)
class Call:
    """``function(argument)``; ``function`` is a key of :data:`FUNCTIONS`."""

    function: str
    argument: Expression

    def __str__(self) -> str:
        """Text of the call."""
        return f"{self.function}({self.argument})"


Expression = Number | Name | Negate | Binary | Call

_SUM, _PRODUCT, _NEGATE, _POWER, _ATOM = range(5)

# Least precedence that the left and the right operand may have without parentheses.
_OPERAND_PRECEDENCE: dict[str, tuple[int, int]] = {
    "+": (_SUM, _PRODUCT),
    "-": (_SUM, _PRODUCT),
    "*": (_PRODUCT, _NEGATE),
    "/": (_PRODUCT, _NEGATE),
    "^": (_ATOM, _NEGATE),
}


def _precedence(expression: Expression) -> int:
    match expression:
        case Binary(op="+" | "-"):
            return _SUM
        case Binary(op="*" | "/"):
            return _PRODUCT
        case Binary():
            return _POWER
        case Negate():
            return _NEGATE
        case _:
            return _ATOM


def _wrapped(expression: Expression, least: int) -> str:
    return f"({expression})" if _precedence(expression) < least else str(expression)


def number(value: float) -> Expression:
    """Return the expression of a constant of either sign.

    Examples
    --------
    >>> number(-2.0)
    Negate(operand=Number(value=2.0))
    """
    constant = Number(abs(float(value)))
    return Negate(constant) if value < 0 else constant


def names(expression: Expression) -> tuple[str, ...]:
    """Return the names in an expression, each once, in order of appearance.

    Examples
    --------
    >>> names(Binary("*", Name("b"), Binary("+", Name("a"), Name("b"))))
    ('b', 'a')
    """
    match expression:
        case Number():
            return ()
        case Name(name):
            return (name,)
        case Negate(operand):
            return names(operand)
        case Call(_, argument):
            return names(argument)
        case Binary(_, left, right):
            return tuple(dict.fromkeys(names(left) + names(right)))


def substitute(expression: Expression, values: Mapping[str, Expression]) -> Expression:
    """Replace names by expressions.

    Parameters
    ----------
    expression
        Where to replace.
    values
        Name -> what stands for it; other names stay.

    Examples
    --------
    >>> str(substitute(Binary("*", Name("a"), Name("b")), {"a": Name("c")}))
    'c*b'
    """
    match expression:
        case Name(name):
            return values.get(name, expression)
        case Negate(operand):
            return Negate(substitute(operand, values))
        case Binary(op, left, right):
            return Binary(op, substitute(left, values), substitute(right, values))
        case Call(function, argument):
            return Call(function, substitute(argument, values))
        case _:
            return expression


def evaluate[T](
    expression: Expression,
    env: Mapping[str, T],
    functions: Mapping[str, Callable[[Any], Any]] = FUNCTIONS,
) -> T:
    """Evaluate an expression.

    Parameters
    ----------
    expression
        What to evaluate.
    env
        Value of each name: floats, NumPy arrays or PyTensor variables.
    functions
        Implementation of each function; NumPy's by default. Pass PyTensor's for symbolic
        values.

    Returns
    -------
    T
        The value, of the kind that ``env`` holds (a float if no name occurs). As in NumPy,
        values outside a function's domain give NaN or infinity, not an exception.

    Raises
    ------
    SpecificationError
        If a name or a function is missing from ``env`` or ``functions``.

    Examples
    --------
    >>> evaluate(Binary("*", Name("a"), Name("b")), {"a": 2.0, "b": 3.0})
    6.0
    """
    return cast("T", _value(expression, env, functions))


def _value(
    expression: Expression,
    env: Mapping[str, Any],
    functions: Mapping[str, Callable[[Any], Any]],
) -> Any:
    match expression:
        case Number(value):
            return value
        case Name(name):
            return _lookup(name, env, "name")
        case Negate(operand):
            return -_value(operand, env, functions)
        case Call(function, argument):
            return _lookup(function, functions, "function")(_value(argument, env, functions))
        case Binary(op, left, right):
            return _binary(op, _value(left, env, functions), _value(right, env, functions))


def _lookup(name: str, mapping: Mapping[str, Any], what: str) -> Any:
    if name not in mapping:
        raise _unknown(name, mapping, what)
    return mapping[name]


def _unknown(name: str, known: Mapping[str, Any], what: str) -> SpecificationError:
    return SpecificationError(
        f"unknown {what} '{name}' in an expression{nearest(name, known) or '.'} "
        f"Known: {', '.join(known) or 'none'}."
    )


def _binary(op: BinaryOperator, left: Any, right: Any) -> Any:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    if isinstance(left, int | float) and isinstance(right, int | float):
        # Python's own floats raise at 1/0 and turn complex at (-8)^(1/3); NumPy's do neither.
        left = np.float64(left)
    return left / right if op == "/" else left**right


def derivative(expression: Expression, name: str) -> Expression:
    """Differentiate an expression with respect to one name, lightly simplified.

    ``abs`` is differentiated as ``x/abs(x)``, undefined at 0.

    Parameters
    ----------
    expression
        What to differentiate.
    name
        The variable; all other names are constants.

    Examples
    --------
    >>> str(derivative(Binary("^", Name("a"), Number(3.0)), "a"))
    '3*a^2'
    """
    if name not in names(expression):
        return Number(0.0)
    match expression:
        case Name():
            return Number(1.0)
        case Negate(operand):
            return _negate(derivative(operand, name))
        case Call(function, argument):
            return _times(_outer_derivative(function, argument), derivative(argument, name))
        case Binary("^", left, right):
            return _power_rule(left, right, name)
        case Binary(op, left, right):
            return _arithmetic_rule(op, left, right, name)
    raise AssertionError(f"no rule for {expression!r}")


def _arithmetic_rule(op: str, u: Expression, v: Expression, name: str) -> Expression:
    du, dv = derivative(u, name), derivative(v, name)
    match op:
        case "+":
            return _plus(du, dv)
        case "-":
            return _minus(du, dv)
        case "*":
            return _plus(_times(du, v), _times(u, dv))
    if dv == Number(0.0):
        return _over(du, v)
    # (u/v)' as u'/v - u v'/v^2: no common denominator, so that no needless product overflows.
    return _minus(_over(du, v), _over(_times(u, dv), _power(v, Number(2.0))))


def _power_rule(u: Expression, v: Expression, name: str) -> Expression:
    du, dv = derivative(u, name), derivative(v, name)
    by_base = _times(_times(v, _power(u, _minus(v, Number(1.0)))), du)
    if dv == Number(0.0):
        # Not through log(u): the base may be negative when the exponent is constant.
        return by_base
    by_exponent = _times(_times(_power(u, v), Call("log", u)), dv)
    return _plus(by_base, by_exponent)


def _outer_derivative(function: str, x: Expression) -> Expression:
    """Return f'(x)."""
    one, square = Number(1.0), _power(x, Number(2.0))
    match function:
        case "abs":
            return _over(x, Call("abs", x))
        case "acos":
            return _negate(_over(one, Call("sqrt", _minus(one, square))))
        case "asin":
            return _over(one, Call("sqrt", _minus(one, square)))
        case "atan":
            return _over(one, _plus(one, square))
        case "atanh":
            return _over(one, _minus(one, square))
        case "cos":
            return _negate(Call("sin", x))
        case "cosh":
            return Call("sinh", x)
        case "exp":
            return Call("exp", x)
        case "log":
            return _over(one, x)
        case "sin":
            return Call("cos", x)
        case "sinh":
            return Call("cosh", x)
        case "sqrt":
            return _over(one, _times(Number(2.0), Call("sqrt", x)))
        case "tan":
            return _plus(one, _power(Call("tan", x), Number(2.0)))
        case "tanh":
            return _minus(one, _power(Call("tanh", x), Number(2.0)))
    raise _unknown(function, FUNCTIONS, "function")


# Constructors that drop neutral elements; they keep derivatives readable, no more.


def _negate(x: Expression) -> Expression:
    match x:
        case Number(0.0):
            return x
        case Negate(operand):
            return operand
    return Negate(x)


def _plus(x: Expression, y: Expression) -> Expression:
    if x == Number(0.0):
        return y
    if y == Number(0.0):
        return x
    match y:
        case Negate(operand):
            return _minus(x, operand)
    return Binary("+", x, y)


def _minus(x: Expression, y: Expression) -> Expression:
    match x, y:
        case _, Number(0.0):
            return x
        case Number(0.0), _:
            return _negate(y)
        case Number(left), Number(right):
            return number(left - right)
        case _, Negate(operand):
            return _plus(x, operand)
    return Binary("-", x, y)


def _times(x: Expression, y: Expression) -> Expression:
    if Number(0.0) in (x, y):
        return Number(0.0)
    if x == Number(1.0):
        return y
    if y == Number(1.0):
        return x
    return Binary("*", x, y)


def _over(x: Expression, y: Expression) -> Expression:
    return x if x == Number(0.0) or y == Number(1.0) else Binary("/", x, y)


def _power(x: Expression, y: Expression) -> Expression:
    if y == Number(0.0):
        return Number(1.0)
    return x if y == Number(1.0) else Binary("^", x, y)
