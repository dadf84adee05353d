"""Arithmetic expressions of labels: what stands right of ``:=`` and on both sides of ``==``.

An expression is a small immutable tree. It is built by the parser (never by ``eval``), printed
with ``str``, evaluated over floats, NumPy arrays or PyTensor variables, and differentiated
symbolically. Precedence is R's: ``^`` binds tighter than unary minus and groups from the
right, so ``-a^2`` is ``-(a^2)`` and ``a^b^c`` is ``a^(b^c)``.

Invariants: ``parse_expression(str(e)) == e`` for every tree, so that trees are equal when their
texts are. Numbers are never negative (the text ``-2`` reads as ``Negate(Number(2.0))``);
:func:`number` builds either kind. Nothing here recurses (:func:`fold` keeps a stack of its own), so
that a sum of hundreds of labels, which is a tree as deep, is like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
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
    "fold",
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


class _Node:
    """What all kinds of expressions share: no method recurses into the tree."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        pairs: list[tuple[object, object]] = [(self, other)]
        while pairs:
            one, another = pairs.pop()
            if type(one) is not type(another):
                return False
            for name in one.__slots__:  # type: ignore[attr-defined]
                field, its = getattr(one, name), getattr(another, name)
                if isinstance(field, _Node):
                    pairs.append((field, its))
                elif field != its:
                    return False
        return True

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        """Text with parentheses only where they are needed."""
        return fold(cast("Expression", self), _text)

    def __repr__(self) -> str:
        return fold(cast("Expression", self), _code)

    def __deepcopy__(self, memo: object) -> _Node:
        return self  # immutable

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle needs: the parts from the leaves to the root, as a flat tuple."""
        steps: list[tuple[type, tuple[object, ...], int]] = []

        def visit(part: Expression, below: tuple[None, ...]) -> None:
            fields = (getattr(part, name) for name in part.__slots__)
            own = tuple(field for field in fields if not isinstance(field, _Node))
            steps.append((type(part), own, len(below)))

        fold(cast("Expression", self), visit)
        return _rebuilt, (tuple(steps),)


def _rebuilt(steps: Iterable[tuple[type, tuple[object, ...], int]]) -> _Node:
    done: list[_Node] = []
    for kind, own, n in steps:
        first = len(done) - n
        done[first:] = [kind(*own, *done[first:])]
    return done[0]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Number(_Node):
    """A finite, non-negative constant."""

    value: float

    def __post_init__(self) -> None:
        """Refuse what the syntax has no literal for."""
        if not math.isfinite(self.value) or math.copysign(1.0, self.value) < 0:
            raise ValueError(
                f"Number holds finite values from 0 upwards, got {self.value!r}; "
                "use number(value) for negative ones"
            )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Name(_Node):
    """A label, an ``rv()`` name or a defined parameter."""

    name: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Negate(_Node):
    """``-operand``."""

    operand: Expression


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Binary(_Node):
    """``left op right``."""

    op: BinaryOperator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Call(_Node):
    """``function(argument)``; ``function`` is a key of :data:`FUNCTIONS`."""

    function: str
    argument: Expression


Expression = Number | Name | Negate | Binary | Call


def _operands(expression: Expression) -> tuple[Expression, ...]:
    match expression:
        case Negate(operand):
            return (operand,)
        case Call(_, argument):
            return (argument,)
        case Binary(_, left, right):
            return (left, right)
    return ()


def fold[T](expression: Expression, visit: Callable[[Expression, tuple[T, ...]], T]) -> T:
    """Compute something of a tree from its leaves to its root.

    Parameters
    ----------
    expression
        The tree.
    visit
        Function of a part and of what was computed of its operands.

    Examples
    --------
    >>> fold(Binary("+", Name("a"), Negate(Name("b"))), lambda part, below: 1 + sum(below))
    4
    """
    order, waiting = [], [expression]
    while waiting:
        part = waiting.pop()
        order.append(part)
        waiting += _operands(part)
    done: list[T] = []
    for part in reversed(order):
        first = len(done) - len(_operands(part))
        done[first:] = [visit(part, tuple(done[first:]))]
    return done[0]


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


def _text(expression: Expression, below: tuple[str, ...]) -> str:
    match expression:
        case Number(value):
            return repr(float(value)).removesuffix(".0")  # the shortest that reads back the same
        case Name(name):
            return name
        case Negate(operand):
            return f"-{_wrapped(operand, below[0], _NEGATE)}"
        case Call(function):
            return f"{function}({below[0]})"
        case Binary(op, left, right):
            least, least_right = _OPERAND_PRECEDENCE[op]
            gap = " " if op in "+-" else ""
            first, second = (
                _wrapped(left, below[0], least),
                _wrapped(right, below[1], least_right),
            )
            return f"{first}{gap}{op}{gap}{second}"


def _wrapped(operand: Expression, text: str, least: int) -> str:
    return f"({text})" if _precedence(operand) < least else text


def _code(expression: Expression, below: tuple[str, ...]) -> str:
    parts = iter(below)
    fields = {name: getattr(expression, name) for name in expression.__slots__}
    listed = ", ".join(
        f"{name}={next(parts) if isinstance(field, _Node) else repr(field)}"
        for name, field in fields.items()
    )
    return f"{type(expression).__name__}({listed})"


def number(value: float) -> Expression:
    """Return the expression of a constant of either sign.

    Examples
    --------
    >>> number(-2.0)
    Negate(operand=Number(value=2.0))
    """
    constant = Number(abs(float(value)))
    return Negate(constant) if value < 0 else constant


MOST_PARTS, MOST_NESTED = 10_000, 1000
"""Parts of an expression, and levels of its tree; a sum of n terms has n of both."""


def size(
    expression: Expression, sizes: Mapping[str, tuple[int, int]] = MappingProxyType({})
) -> tuple[int, int]:
    """Return the number of parts and of levels, where names stand for trees of these sizes.

    Examples
    --------
    >>> size(Binary("+", Name("a"), Negate(Name("b"))))
    (4, 3)
    """

    def visit(part: Expression, below: tuple[tuple[int, int], ...]) -> tuple[int, int]:
        if isinstance(part, Name):
            return sizes.get(part.name, (1, 1))
        return 1 + sum(n for n, _ in below), 1 + max((depth for _, depth in below), default=0)

    return fold(expression, visit)


def names(expression: Expression) -> tuple[str, ...]:
    """Return the names in an expression, each once, in order of appearance.

    Examples
    --------
    >>> names(Binary("*", Name("b"), Binary("+", Name("a"), Name("b"))))
    ('b', 'a')
    """
    found = []
    waiting = [expression]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Name):
            found.append(part.name)
        waiting += reversed(_operands(part))
    return tuple(dict.fromkeys(found))


def substitute(expression: Expression, values: Mapping[str, Expression]) -> Expression:
    """Replace names by expressions.

    Parameters
    ----------
    expression
        Where to replace.
    values
        Name -> what stands for it; other names stay.

    Raises
    ------
    SpecificationError
        The result would be too large: expressions of expressions grow without bounds.

    Examples
    --------
    >>> str(substitute(Binary("*", Name("a"), Name("b")), {"a": Name("c")}))
    'c*b'
    """
    used = {name: size(values[name]) for name in names(expression) if name in values}
    parts, depth = size(expression, used)
    if used and (parts > MOST_PARTS or depth > MOST_NESTED):
        raise SpecificationError(
            f"with {', '.join(used)} written out, this expression has {parts} parts in {depth} "
            f"levels; at most {MOST_PARTS} parts in {MOST_NESTED} levels are possible"
        )

    def visit(part: Expression, below: tuple[Expression, ...]) -> Expression:
        match part:
            case Name(name):
                return values.get(name, part)
            case Negate():
                return Negate(*below)
            case Binary(op):
                return Binary(op, *below)
            case Call(function):
                return Call(function, *below)
        return part

    return fold(expression, visit)


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

    def visit(part: Expression, below: tuple[Any, ...]) -> Any:
        match part:
            case Number(value):
                return value
            case Name(name):
                return _lookup(name, env, "name")
            case Negate():
                return -below[0]
            case Call(function):
                return _lookup(function, functions, "function")(below[0])
            case Binary(op):
                return _binary(op, *below)

    return cast("T", fold(expression, visit))


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

    def visit(part: Expression, below: tuple[Expression, ...]) -> Expression:
        match part:
            case Name(its):
                return Number(1.0 if its == name else 0.0)
            case Negate():
                return _negate(*below)
            case Call(function, argument) if below != (Number(0.0),):
                return _times(_outer_derivative(function, argument), *below)
            case Binary("^", left, right):
                return _power_rule(left, right, *below)
            case Binary(op, left, right):
                return _arithmetic_rule(op, left, right, *below)
        return Number(0.0)

    return fold(expression, visit)


def _arithmetic_rule(
    op: str, u: Expression, v: Expression, du: Expression, dv: Expression
) -> Expression:
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


def _power_rule(u: Expression, v: Expression, du: Expression, dv: Expression) -> Expression:
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
    return _added(x, y, "+")


def _minus(x: Expression, y: Expression) -> Expression:
    if x == Number(0.0) and y != Number(0.0):
        return _negate(y)
    return _added(x, y, "-")


def _added(x: Expression, y: Expression, op: Literal["+", "-"]) -> Expression:
    while isinstance(y, Negate):
        y, op = y.operand, "-" if op == "+" else "+"
    match x, y:
        case _, Number(0.0):
            return x
        case Number(left), Number(right) if op == "-":
            return number(left - right)
    return Binary(op, x, y)


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
