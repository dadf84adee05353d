"""Checks of words, names, switches and lists of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

import numpy as np

from bayes_msem.arguments.check import Check, shown
from bayes_msem.errors import SpecificationError, nearest


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


def flag_or_choice(allowed: Any) -> Check:
    """Check a value that is True, False, or one of several words.

    Examples
    --------
    >>> flag_or_choice(("std_lv", "std_all"))("standardized", "std_lv")
    'std_lv'
    >>> flag_or_choice(("std_lv", "std_all"))("standardized", 1)
    Traceback (most recent call last):
    bayes_msem.errors.SpecificationError: standardized must be True, False, 'std_lv' or 'std_all', got 1
    """  # noqa: E501
    one_of = choice(allowed)

    def check(name: str, value: Any) -> bool | str:
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        if isinstance(value, str):
            return str(one_of(name, value))
        words = [repr(str(word)) for word in (get_args(allowed) or allowed)]
        listed = f"{', '.join(words[:-1])} or {words[-1]}"
        raise SpecificationError(f"{name} must be True, False, {listed}, got {shown(value)}")

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
