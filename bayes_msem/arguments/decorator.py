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
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from bayes_msem.arguments.check import Check
from bayes_msem.arguments.numeric import figure_size, probability, seed
from bayes_msem.arguments.words_and_lists import choice, flag, text
from bayes_msem.errors import ArgumentError
from bayes_msem.foreign_words import unknown_word

IntervalKind = Literal["eti", "hdi"]


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
    >>> from bayes_msem.arguments import integer
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


_BY_NAME: dict[str, Check] = {
    "ci": probability,
    "ci_kind": choice(IntervalKind),
    "figsize": figure_size,
    "random_seed": seed,
}
_BY_ANNOTATION: dict[str, Check] = {"bool": flag, "str": text}
