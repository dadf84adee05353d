"""Checks of the arguments of public functions: one set of checks, made before any work.

:func:`checked` wraps a public function or method. A call then goes through three steps: words the
function does not know are refused with the word used here (see :mod:`bayes_msem.foreign_words`),
missing arguments are named, and every argument that has a check is checked. A check is a function
(name, value) -> value; it raises, or returns the value as plain Python. Which checks an argument
has:

1. the one given to :func:`checked`,
2. the one that its name has everywhere (``ci``, ``random_seed``, ...),
3. the one of its annotation: ``bool`` and ``str``.

Invariants: where the default is None, None passes; a check never computes, compiles or changes
what it is given; whatever the value, it returns or raises an :class:`MsemError`.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import reprlib
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, cast, get_args

import numpy as np

from bayes_msem.errors import ArgumentError, SpecificationError, nearest
from bayes_msem.foreign_words import unknown_word

__all__ = [
    "Check",
    "IntervalKind",
    "anything",
    "array",
    "checked",
    "checked_class",
    "choice",
    "columns",
    "figure_size",
    "flag",
    "floats",
    "functions",
    "generator",
    "hashable",
    "identifier",
    "identifiers",
    "integer",
    "mapping",
    "names",
    "new_or_older",
    "number",
    "probability",
    "rows",
    "seed",
    "several",
    "shape",
    "shown",
    "text",
    "values_by_row",
    "variable",
]

Check = Callable[[str, Any], Any]
IntervalKind = Literal["eti", "hdi"]

LARGEST_SEED = 2**63 - 1  # what every sampler takes and every file can hold
MOST_DRAWS = 10_000_000  # of one chain: more than fits in memory
MOST_CHAINS = 1000


def checked[**P, R](**checks: Check) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Check the arguments of a public function before it runs.

    Parameters
    ----------
    **checks
        Check by argument, for those whose name and annotation do not say it.

    Returns
    -------
    Callable
        Decorator that keeps signature and docstring.

    Examples
    --------
    >>> @checked(draws=integer(1))
    ... def sample(draws, *, random_seed=None):
    ...     return draws
    >>> sample(0)
    Traceback (most recent call last):
    bayes_msem.errors.SpecificationError: draws must be an integer, at least 1, got 0
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        unknown = sorted(set(checks) - set(signature.parameters))
        if unknown:
            raise TypeError(f"{function.__qualname__} has no argument {', '.join(unknown)}")
        chosen = {
            name: check
            for name, parameter in signature.parameters.items()
            if (check := checks.get(name) or _usual(parameter)) is not None
        }

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = bind(function, signature, args, kwargs)
            check_all(signature, chosen, bound)
            return function(*bound.args, **bound.kwargs)

        bind, check_all = _bind, _check_all
        # doctest takes functions with other globals than the module's for imported ones, and
        # skips their examples. So the wrapper has those of what it wraps, and reads its closure.
        inner, outer = cast("types.FunctionType", function), cast("types.FunctionType", call)
        wrapper = types.FunctionType(
            outer.__code__, inner.__globals__, inner.__name__, None, outer.__closure__
        )
        return cast("Callable[P, R]", functools.update_wrapper(wrapper, function))

    return decorate


def checked_class[C: type](**checks: Check) -> Callable[[C], C]:
    """Check the arguments of a class, such as a dataclass, whose constructor is not written out."""

    def decorate(cls: C) -> C:
        cls.__init__ = checked(**checks)(cls.__init__)  # type: ignore[misc]
        return cls

    return decorate


def _usual(parameter: inspect.Parameter) -> Check | None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return None
    by_annotation = _BY_ANNOTATION.get(str(parameter.annotation).removesuffix(" | None"))
    return _BY_NAME.get(parameter.name, by_annotation)


def _bind(
    function: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> inspect.BoundArguments:
    parameters = signature.parameters
    takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = [name for name, p in parameters.items() if name != "self" and p.kind != p.VAR_KEYWORD]
    for word in kwargs:
        if word not in known and not takes_more:
            raise ArgumentError(unknown_word(_spoken(function, args), word, known))
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(
            f"{_spoken(function, args)}: {error}; its arguments are {', '.join(known) or 'none'}"
        ) from None


def _check_all(
    signature: inspect.Signature, checks: Mapping[str, Check], bound: inspect.BoundArguments
) -> None:
    for name, check in checks.items():
        if name in bound.arguments:
            value = bound.arguments[name]
            if value is not None or signature.parameters[name].default is not None:
                bound.arguments[name] = check(name, value)


def _spoken(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Name a function as its user wrote it: ``Fit.summary()`` and not the class it comes from."""
    owner, _, name = function.__qualname__.rpartition(".")
    if not owner:
        return f"{name}()"
    shown_owner = type(args[0]).__name__ if args else owner
    return f"{shown_owner}()" if name == "__init__" else f"{shown_owner}.{name}()"


def shown(value: object) -> str:
    """Return a value as it would be typed, shortened; never raises."""
    try:
        text = _REPR.repr(value)
    except Exception:
        text = ""
    plain = " ".join(text.split())
    if plain and len(plain) <= 80 and " at 0x" not in plain:
        return plain
    return f"a value of type {type(value).__name__}"


_REPR = reprlib.Repr(maxstring=60, maxother=60, maxlong=40, maxlevel=2)


# Checks --------------------------------------------------------------------------------------


def new_or_older(name: str, value: Any, older_name: str, older: Any) -> Any:
    """Return what was given for an argument under its name, or under the older one.

    Examples
    --------
    >>> new_or_older("cluster_id", None, "cluster", 17)
    17
    >>> new_or_older("cluster_id", 17, "cluster", 17)
    Traceback (most recent call last):
    bayes_msem.errors.SpecificationError: cluster is the older name of cluster_id; give one of them
    """
    if value is not None and older is not None:
        raise SpecificationError(f"{older_name} is the older name of {name}; give one of them")
    return older if value is None else value


def anything(name: str, value: Any) -> Any:
    """Leave an argument to the function itself."""
    return value


def integer(least: int, most: int | None = None, *, what: str = "an integer") -> Check:
    """Integers (Python's or NumPy's, no booleans) from ``least`` to ``most``; ``what`` they are.

    Examples
    --------
    >>> integer(1)("thin", 2)
    2
    """
    allowed = f"at least {least}" if most is None else f"from {least} to {most}"

    def check(name: str, value: Any) -> int:
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or value < least or (most is not None and value > most):
            raise SpecificationError(f"{name} must be {what}, {allowed}, got {shown(value)}")
        return int(value)

    return check


def seed(name: str, value: Any) -> int:
    """Check a seed: an integer from 0 to 2**63 - 1."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not 0 <= value <= LARGEST_SEED:
        raise SpecificationError(
            f"{name} must be an integer of at least 0, and below 2**63, or None, got {shown(value)}"
        )
    return int(value)


def number(
    allowed: str, least: float = -math.inf, most: float = math.inf, *, strict: bool = False
) -> Check:
    """Real numbers from ``least`` to ``most`` (``strict``: between them), but never NaN.

    Examples
    --------
    >>> number("a positive number", 0.0, strict=True)("initial_step", 0.1)
    0.1
    """

    def check(name: str, value: Any) -> float:
        real = isinstance(value, (numbers.Real, np.floating, np.integer))
        if real and not isinstance(value, bool):
            try:
                found = float(value)
            except (OverflowError, ValueError):
                found = math.nan
            if (least < found < most) if strict else (least <= found <= most):
                return found
        raise SpecificationError(f"{name} must be {allowed}, got {shown(value)}")

    return check


def probability(name: str, value: Any) -> float:
    """Check a number between 0 and 1, both left out."""
    try:
        return cast("float", _BETWEEN(name, value))
    except SpecificationError:
        raise SpecificationError(
            f"{name}={shown(value)} is not a probability; use a number such as 0.95"
        ) from None


_BETWEEN = number("between 0 and 1", 0.0, 1.0, strict=True)


def flag(name: str, value: Any) -> bool:
    """Check a value that is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise SpecificationError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def choice(allowed: Any) -> Check:
    """One of several words: those of a ``Literal``, or of a sequence.

    Examples
    --------
    >>> choice(("cluster", "observation"))("unit", "clusters")
    Traceback (most recent call last):
    bayes_msem.errors.SpecificationError: unit='clusters' is unknown; use 'cluster' or 'observation'; did you mean 'cluster'?
    """  # noqa: E501
    words = tuple(str(word) for word in (get_args(allowed) or allowed))
    *most, last = [repr(word) for word in words]
    listed = f"{', '.join(most)} or {last}" if most else last

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise SpecificationError(
                f"{name}={shown(value)} is unknown; use {listed}{nearest(str(value), words)}"
                if isinstance(value, str)
                else f"{name} must be {listed}, got {shown(value)}"
            )
        return str(value)

    return check


def text(name: str, value: Any) -> str:
    """Check text (no bytes)."""
    if not isinstance(value, str):
        raise SpecificationError(f"{name} must be text, got {shown(value)}")
    return value


def names(name: str, value: Any) -> Any:
    """Check one name or several: text, or a list of texts."""
    if isinstance(value, str):
        return value
    listed = several(name, value)
    for one in listed:
        if not isinstance(one, str):
            raise SpecificationError(
                f"{name} must be names, such as 'y1' or ['y1', 'y2'], got {shown(one)} among them"
            )
    return listed


def several(name: str, value: Any) -> Any:
    """Check one text, or a list of things (a tuple, an array or a column will do)."""
    if isinstance(value, (str, tuple)):
        return value
    if isinstance(value, Iterable) and not isinstance(value, (Mapping, bytes, bytearray)):
        try:
            return list(value)
        except TypeError:  # such as an array without dimensions
            pass
    raise SpecificationError(f"{name} must be a list, got {shown(value)}")


def rows(name: str, value: Any) -> Any:
    """Check rows of the parameter table: one text or key, or a list of them."""
    listed = several(name, value)
    flat = isinstance(value, tuple) and not any(isinstance(part, tuple) for part in value)
    for row in [] if isinstance(listed, str) else [listed] if flat else listed:
        parts = row if isinstance(row, tuple) else (row,)
        # the level of a key may be a number, as in the syntax
        if not all(isinstance(p, str) or (len(parts) > 1 and p in (1, 2)) for p in parts):
            raise SpecificationError(
                f"{name} must be rows, such as 'fw =~ y2' or ('within', 'fw', '=~', 'y2'), got "
                f"{shown(row)} among them"
            )
    return listed


def hashable(what: str) -> Check:
    """One value, of any type, that can be looked up."""

    def check(name: str, value: Any) -> Any:
        try:
            hash(value)
            str(value)
        except Exception:
            raise SpecificationError(f"{name} must be {what}, got {shown(value)}") from None
        return value

    return check


identifier = hashable("the identifier of one cluster")
_column = hashable("the name of one column")


def columns(name: str, value: Any) -> Any:
    """Check names of columns: one text, or a list."""
    listed = several(name, value)
    return listed if isinstance(listed, str) else [_column(name, one) for one in listed]


def identifiers(name: str, value: Any) -> Any:
    """Check identifiers of clusters: one text, or a list."""
    listed = several(name, value)
    return listed if isinstance(listed, str) else [identifier(name, one) for one in listed]


def variable(name: str, value: Any) -> Any:
    """Check the name of a variable, or the pair of names (within, between) of its parts."""
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    if not isinstance(value, str) and not (pair and all(isinstance(v, str) for v in value)):
        raise SpecificationError(
            f"{name} must be the name of a variable, or a pair of names (within, between), got "
            f"{shown(value)}"
        )
    return value if isinstance(value, str) else tuple(value)


def functions(name: str, value: Any) -> Any:
    """Check names and functions: one, a list of them, or a dict from names to functions."""
    if isinstance(value, str) or callable(value):
        return value
    if isinstance(value, Mapping):
        wrong = [key for key, one in value.items() if not callable(one)]
        if wrong:
            raise SpecificationError(
                f"{name}: {shown(wrong[0])} is not a function, but {shown(value[wrong[0]])}"
            )
        return value
    listed = several(name, value)
    for one in listed:
        if not callable(one) and not isinstance(one, str):
            raise SpecificationError(
                f"{name} must be names or functions, or a dict from names to functions, got "
                f"{shown(one)} among them"
            )
    return listed


def mapping(name: str, value: Any) -> Any:
    """Check a dict, or another mapping."""
    if not isinstance(value, Mapping):
        raise SpecificationError(f"{name} must be a dict, got {shown(value)}")
    return value


def values_by_row(name: str, value: Any) -> Any:
    """Check numbers by row, such as a mode; NaN stands for none."""
    for key, one in mapping(name, value).items():
        if not isinstance(one, (numbers.Real, np.floating, np.integer)):
            raise SpecificationError(
                f"{name} must be a dict from rows to numbers, got {shown(one)} for {shown(key)}"
            )
    return value


def floats(name: str, value: Any) -> tuple[float, ...]:
    """Check a sequence of numbers, and return them as a tuple."""
    one = number("numbers, such as (0.8, 1.25)")
    listed = () if isinstance(value, (str, set, frozenset)) else several(name, value)
    if not len(listed):
        one(name, value if isinstance(value, str) else None)
    return tuple(one(name, x) for x in listed)


def array(name: str, value: Any) -> Any:
    """Check one number or an array of numbers, and return an array of float64."""
    try:
        result = np.asarray(value)
        real = result.dtype.kind in "iuf" or (result.dtype.kind == "O" and result.size > 0)
        if real:
            return result.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SpecificationError(f"{name} must be a number or an array of numbers, got {shown(value)}")


def generator(name: str, value: Any) -> np.random.Generator:
    """Check a source of random numbers."""
    if not isinstance(value, np.random.Generator):
        raise SpecificationError(
            f"{name} must be a generator, such as numpy.random.default_rng(1), got {shown(value)}"
        )
    return value


def shape(name: str, value: Any) -> Any:
    """Check the shape of an array: one size, or a tuple of them."""
    size = integer(0, 10**9, what="a number of values, or a tuple of them")
    if isinstance(value, tuple):
        sizes = tuple(size(name, one) for one in value)
        size(name, math.prod(sizes))
        return sizes
    return size(name, value)


def figure_size(name: str, value: Any) -> tuple[float, float]:
    """Check width and height of a figure in inches."""
    inches = number("(width, height) in inches, each above 0 and at most 600", 0.0, 600.0)
    sizes = several(name, value)
    if isinstance(sizes, str) or len(sizes) != 2:
        inches(name, value)
    width, height = (inches(name, size) for size in sizes)
    if width and height:
        return width, height
    raise SpecificationError(f"{name} must be above 0 in both directions, got {shown(value)}")


_BY_NAME: dict[str, Check] = {
    "ci": probability,
    "ci_kind": choice(IntervalKind),
    "figsize": figure_size,
    "random_seed": seed,
}
_BY_ANNOTATION: dict[str, Check] = {"bool": flag, "str": text}
