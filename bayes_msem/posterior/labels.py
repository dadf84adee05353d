"""Identifiers of clusters and rows as plain arrays, and back with their types.

Numbers, dates and durations are stored as numbers; everything else as one JSON text per
identifier that names its type, so that 1, 1.0, "1" and True stay four different identifiers.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.errors import NotSupportedError

_WRITE: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (str, "str", str),
    (bool, "bool", bool),
    (int, "int", str),
    (float, "float", repr),
    (Decimal, "decimal", str),
    (pd.Timestamp, "timestamp", lambda v: [v.isoformat(), str(v.tz) if v.tz else "", v.unit]),
    (datetime.datetime, "datetime", lambda v: v.isoformat()),
    (datetime.date, "date", lambda v: v.isoformat()),
    (bytes, "bytes", bytes.hex),
    (tuple, "tuple", lambda v: [to_plain(part) for part in v]),
    (type(None), "none", lambda _: None),
)


def _read_timestamp(parts: list[Any]) -> pd.Timestamp:
    text, zone, unit = parts
    stamp = pd.Timestamp(text)
    return (stamp.tz_convert(zone) if zone else stamp).as_unit(unit)


_READ: dict[str, Callable[[Any], Any]] = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": float,
    "decimal": Decimal,
    "timestamp": _read_timestamp,
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "bytes": bytes.fromhex,
    "tuple": lambda parts: tuple(from_plain(part) for part in parts),
    "none": lambda _: None,
}


def to_plain(value: Any) -> list[Any]:
    """Turn one identifier into a JSON-able pair of type and value.

    Raises
    ------
    NotSupportedError
        The identifier is of another type than text, number, date, bytes or tuple.
    """
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, np.generic):
        value = value.item()
    for kind, name, write in _WRITE:
        if isinstance(value, kind):
            return [name, write(value)]
    raise NotSupportedError(
        f"identifiers of type {type(value).__name__}, such as {value!r}, cannot be stored; turn "
        "the cluster column (or the index of data) into text, numbers or dates"
    )


def from_plain(pair: list[Any]) -> Any:
    """Reverse of :func:`to_plain`."""
    name, value = pair
    return _READ[name](value)


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
    values: NDArray[Any]
    about: dict[str, Any] = {"names": [to_plain(name) for name in index.names], "kind": "number"}
    if isinstance(index, pd.RangeIndex):
        about |= {"kind": "range", "range": [index.start, index.stop, index.step]}
        values = index.to_numpy()
    elif isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        zone = getattr(index, "tz", None)
        about |= {"kind": "time", "zone": str(zone) if zone else ""}
        plain = index.tz_convert("UTC").tz_localize(None) if zone else index  # type: ignore[union-attr]
        values = plain.to_numpy()
        about["dtype"] = str(values.dtype)
        values = values.astype(np.int64)
    elif isinstance(index.dtype, np.dtype) and index.dtype.kind in "biuf":
        about["dtype"] = str(index.dtype)
        values = index.to_numpy()
        values = values.astype(np.int8) if values.dtype.kind == "b" else values
    else:
        text = isinstance(index.dtype, pd.StringDtype)
        about |= {"kind": "object", "dtype": str(index.dtype) if text else "object"}
        about["several"] = isinstance(index, pd.MultiIndex)
        values = np.array([json.dumps(to_plain(value)) for value in index], dtype=object)
    return values, json.dumps(about)


def unpack_labels(values: NDArray[Any], description: str) -> pd.Index[Any]:
    """Reverse of :func:`pack_labels`."""
    about = json.loads(description)
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
    labels = [from_plain(json.loads(str(text))) for text in values]
    if about["several"]:
        return pd.MultiIndex.from_tuples(labels, names=names)
    result = pd.Index(labels, dtype=about["dtype"], name=names[0], tupleize_cols=False)
    return result
