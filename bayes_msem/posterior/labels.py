"""Identifiers of clusters and rows as plain arrays, and back with their types.

Numbers, dates and durations are stored as numbers; everything else as one JSON text per
identifier that names its type, so that 1, 1.0, "1" and True stay four different identifiers.
What cannot be stored is found by :func:`check_labels`, when a model is built and not after its
draws have been made.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.errors import NotSupportedError

__all__ = ["check_labels", "check_text", "from_plain", "pack_labels", "to_plain", "unpack_labels"]


def _zone_name(zone: datetime.tzinfo | None) -> str:
    """Name of a time zone that pandas reads back; empty for none."""
    if zone is None:
        return ""
    file = getattr(zone, "_filename", None)  # zones of dateutil have no name of their own
    name = f"dateutil/{file.rpartition('zoneinfo/')[2]}" if file else str(zone)
    try:
        pd.Timestamp(0, tz="UTC").tz_convert(name)
    except Exception as error:  # whatever a library of zones comes across
        raise NotSupportedError(
            f"the time zone {zone!r} cannot be stored; convert to a named one, e.g. "
            "tz_convert('Europe/Vienna')"
        ) from error
    return name


def _write_interval(value: pd.Interval[Any]) -> list[Any]:
    return [to_plain(value.left), to_plain(value.right), value.closed]


def _read_interval(parts: list[Any]) -> pd.Interval[Any]:
    left, right, closed = parts
    return pd.Interval(from_plain(left), from_plain(right), closed=closed)


def _write_timestamp(value: pd.Timestamp) -> list[str]:
    return [value.isoformat(), _zone_name(value.tz), value.unit]


def _read_timestamp(parts: list[Any]) -> pd.Timestamp:
    text, zone, unit = parts
    stamp = pd.Timestamp(text)
    return (stamp.tz_convert(zone) if zone else stamp).as_unit(unit)


# The first type that fits counts: bool is an int, Timestamp a datetime, and datetime a date.
_WRITE: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (type(pd.NaT), "nat", lambda _: None),
    (type(pd.NA), "na", lambda _: None),
    (str, "str", str),
    (bool, "bool", bool),
    (int, "int", int.__repr__),
    (float, "float", float.__repr__),
    (complex, "complex", complex.__repr__),
    (Decimal, "decimal", str),
    (Fraction, "fraction", str),
    (pd.Timestamp, "timestamp", _write_timestamp),
    (datetime.datetime, "datetime", lambda v: v.isoformat()),
    (datetime.date, "date", lambda v: v.isoformat()),
    (datetime.time, "time", lambda v: v.isoformat()),
    (pd.Timedelta, "timedelta", lambda v: [str(v.asm8.astype(np.int64)), v.unit]),
    (datetime.timedelta, "duration", lambda v: [v.days, v.seconds, v.microseconds]),
    (pd.Period, "period", lambda v: [int(v.ordinal), v.freqstr]),
    (pd.Interval, "interval", _write_interval),
    (UUID, "uuid", str),
    (bytes, "bytes", bytes.hex),
    (tuple, "tuple", lambda v: [to_plain(part) for part in v]),
    (type(None), "none", lambda _: None),
)

_READ: dict[str, Callable[[Any], Any]] = {
    "nat": lambda _: pd.NaT,
    "na": lambda _: pd.NA,
    "str": str,
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "decimal": Decimal,
    "fraction": Fraction,
    "timestamp": _read_timestamp,
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": lambda parts: pd.Timedelta(np.timedelta64(int(parts[0]), parts[1])),
    "duration": lambda parts: datetime.timedelta(*parts),
    "period": lambda parts: pd.Period(ordinal=parts[0], freq=parts[1]),
    "interval": _read_interval,
    "uuid": UUID,
    "bytes": bytes.fromhex,
    "tuple": lambda parts: tuple(from_plain(part) for part in parts),
    "none": lambda _: None,
}


def to_plain(value: Any) -> list[Any]:
    """Turn one identifier into a JSON-able pair of type and value.

    Raises
    ------
    NotSupportedError
        The identifier is of a type that cannot be read back.
    """
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, np.timedelta64):
        value = pd.Timedelta(value)
    if isinstance(value, np.generic):
        value = value.item()
    for kind, name, write in _WRITE:
        if isinstance(value, kind):
            try:
                return [name, write(value)]
            except (ValueError, RecursionError) as error:  # integers of thousands of digits
                raise NotSupportedError(f"identifiers cannot be stored: {error}") from error
    raise NotSupportedError(
        f"identifiers of type {type(value).__name__}, such as {value!r}, cannot be stored; turn "
        "them into text, numbers, dates or periods, for example with astype(str)"
    )


def from_plain(pair: list[Any]) -> Any:
    """Reverse of :func:`to_plain`."""
    name, value = pair
    return _READ[name](value)


def check_labels(index: pd.Index[Any]) -> None:
    """Raise NotSupportedError unless :func:`pack_labels` can store these identifiers.

    One identifier of each type is tried, so that this costs little for many rows.
    """
    for name in index.names:
        to_plain(name)
    if isinstance(index, pd.MultiIndex):
        for level in index.levels:
            check_labels(level)
    elif isinstance(index, pd.CategoricalIndex):
        check_labels(index.categories)
    elif isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        _zone_name(getattr(index, "tz", None))
    elif not _is_number(index):
        values = list(index)
        one_each = {type(value): value for value in values}
        for value in one_each.values():
            to_plain(value)
        for kind in one_each:
            if issubclass(kind, tuple | pd.Interval | pd.Timestamp | int):  # not all are alike
                for value in values:
                    if isinstance(value, kind):
                        to_plain(value)


def check_text(values: Iterable[object], what: str) -> None:
    """Raise NotSupportedError if the text of a value has characters that no file can hold."""
    for value in values:
        try:
            text = str(value)
            text.encode()
        except ValueError as error:  # half a character; an integer of thousands of digits
            raise NotSupportedError(f"{what} cannot be stored: {error}") from error
        if "\0" in text:
            raise NotSupportedError(
                f"{what} cannot be stored: {ascii(text)[:80]} holds the character NUL; remove it"
            )


def pack_labels(index: pd.Index[Any]) -> tuple[NDArray[Any], str]:
    """Store an index as an array and a description of its type.

    Parameters
    ----------
    index
        Identifiers of clusters or rows.

    Returns
    -------
    tuple of (array, str)
        Integers, floats or texts, one per identifier, and JSON.
    """
    values, about = _pack(index)
    return values, json.dumps(about)


def _pack(index: pd.Index[Any]) -> tuple[NDArray[Any], dict[str, Any]]:
    values: NDArray[Any]
    about: dict[str, Any] = {"names": [to_plain(name) for name in index.names], "kind": "number"}
    if isinstance(index, pd.RangeIndex):
        about |= {"kind": "range", "range": [index.start, index.stop, index.step]}
        values = index.to_numpy()
    elif isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        zone = getattr(index, "tz", None)
        about |= {"kind": "time", "zone": _zone_name(zone)}
        plain = index.tz_convert("UTC").tz_localize(None) if zone else index  # type: ignore[union-attr]
        values = plain.to_numpy()
        about["dtype"] = str(values.dtype)
        values = values.astype(np.int64)
    elif isinstance(index, pd.CategoricalIndex):
        about |= {"kind": "category", "ordered": bool(index.ordered)}
        about["categories"] = _pack_inside(index.categories)
        values = np.asarray(index.codes, dtype=np.int64)
    elif isinstance(index, pd.MultiIndex):
        about |= {"kind": "levels", "levels": [_pack_inside(level) for level in index.levels]}
        codes = zip(*(code.tolist() for code in index.codes), strict=True)
        values = np.array([json.dumps(code) for code in codes], dtype=object)
    elif _is_number(index):
        about["dtype"] = str(index.dtype)
        values = index.to_numpy()
        values = values.astype(np.int8) if values.dtype.kind == "b" else values
    else:
        about |= {"kind": "object", "dtype": _dtype_name(index)}
        values = np.array([json.dumps(to_plain(value)) for value in index], dtype=object)
    return values, about


def _pack_inside(index: pd.Index[Any]) -> list[Any]:
    """Store an index that is part of the description of another."""
    values, about = _pack(index)
    return [values.tolist(), about]


def _is_number(index: pd.Index[Any]) -> bool:
    """Whether the values are numbers that files hold as they are."""
    dtype = index.dtype
    return isinstance(dtype, np.dtype) and dtype.kind in "biuf" and dtype.itemsize <= 8


def _dtype_name(index: pd.Index[Any]) -> str:
    """Name of the type, if pandas finds the type by it; "object" otherwise."""
    name = str(index.dtype)
    try:
        found = pd.api.types.pandas_dtype(name)
    except (TypeError, ValueError):
        return "object"
    return name if found == index.dtype else "object"


def unpack_labels(values: NDArray[Any], description: str) -> pd.Index[Any]:
    """Reverse of :func:`pack_labels`."""
    return _unpack(values, json.loads(description))


def _unpack(values: NDArray[Any], about: dict[str, Any]) -> pd.Index[Any]:
    names = [from_plain(name) for name in about["names"]]
    result: pd.Index[Any]
    if about["kind"] == "range":
        start, stop, step = about["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    if about["kind"] == "number":
        result = pd.Index(values.astype(about["dtype"]), name=names[0])
        return result
    if about["kind"] == "time":
        result = pd.Index(values.astype(np.int64).astype(about["dtype"]), name=names[0])
        if about["zone"] and isinstance(result, pd.DatetimeIndex):
            result = result.tz_localize("UTC").tz_convert(about["zone"])
        return result
    if about["kind"] == "category":
        categories = _unpack_inside(about["categories"])
        coded = pd.Categorical.from_codes(values.astype(int), categories, ordered=about["ordered"])
        return pd.CategoricalIndex(coded, name=names[0])
    if about["kind"] == "levels":
        levels: Any = [_unpack_inside(level) for level in about["levels"]]
        codes = np.array([json.loads(str(text)) for text in values], dtype=np.int64)
        return pd.MultiIndex(levels, list(codes.reshape(-1, len(levels)).T), names=names)
    labels = [from_plain(json.loads(str(text))) for text in values]
    if about.get("several"):  # how earlier versions stored several levels
        return pd.MultiIndex.from_tuples(labels, names=names)
    result = pd.Index(labels, dtype=about["dtype"], name=names[0], tupleize_cols=False)
    return result


def _unpack_inside(packed: list[Any]) -> pd.Index[Any]:
    values, about = packed
    return _unpack(np.array(values, dtype=object if about["kind"] == "object" else None), about)
