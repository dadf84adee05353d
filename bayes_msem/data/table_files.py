"""Data frames from files, for the command line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_msem import disk
from bayes_msem.errors import DataError, FileError

__all__ = ["read_table_file"]

_SUFFIXES = (".csv", ".tsv", ".dat", ".txt", ".dta", ".feather", ".arrow", ".parquet")


def read_table_file(path: Any, *, names: Sequence[str] = ()) -> pd.DataFrame:
    """Read a data frame.

    Parameters
    ----------
    path
        The suffix decides: ``.csv`` (commas or semicolons), ``.tsv`` (tabs), ``.dat`` and ``.txt``
        (blanks or commas), ``.dta`` (Stata), ``.feather``, ``.arrow``, ``.parquet``. ``.``
        and ``*`` are missing values in text that has no header.
    names
        Columns of a file that has no header: one whose first line holds numbers only.

    Raises
    ------
    FileError
        There is no such file, it has another suffix, or cannot be read.
    DataError
        It has no header, and there are no names, or not as many as columns.
    """
    place = disk.as_path(path)
    suffix = disk.check_suffix(place, _SUFFIXES, "Convert the data to one of these formats.")
    try:
        if suffix == ".dta":
            return pd.read_stata(place, convert_categoricals=False)
        if suffix == ".parquet":
            return pd.read_parquet(place)
        if suffix in (".feather", ".arrow"):
            return pd.read_feather(place)
        return _text(place, suffix, names)
    except OSError as error:
        raise FileError(f"cannot read '{path}': {error.strerror or error}") from error
    except ImportError as error:
        raise FileError(
            f"reading '{path}' needs the package pyarrow, which is not installed; install it (pip "
            "install pyarrow) or save the data as '.csv'"
        ) from error
    except (ValueError, csv.Error) as error:  # pandas' and pyarrow's errors of parsing
        raise FileError(f"'{path}' cannot be read as {suffix}: {error}") from error


def _text(place: Path, suffix: str, names: Sequence[str]) -> pd.DataFrame:
    with place.open(encoding="utf-8-sig") as file:
        first = file.readline()
    separator = {".tsv": "\t", ".csv": ";" if first.count(";") > first.count(",") else ","}
    if suffix not in separator and "," in first:
        separator[suffix] = ","
    blanks = suffix not in separator
    sep = r"\s+" if blanks else separator[suffix]
    words = first.split() if blanks else first.strip().split(sep)
    if words and all(_is_number(word) for word in words):
        if not names:
            raise DataError(
                f"'{place}' has no header: its first line holds numbers only. Write the names of "
                "the columns into the first line"
            )
        if len(names) != len(words):
            raise DataError(
                f"'{place}' has {len(words)} columns, but the Mplus input has {len(names)} NAMES"
            )
        return pd.read_csv(
            place, sep=sep, header=None, names=list(names), na_values=[".", "*"], index_col=False
        )
    return pd.read_csv(place, sep=sep, encoding="utf-8-sig")


def _is_number(word: str) -> bool:
    if word.strip() in (".", "*", ""):
        return True
    try:
        float(word.strip().strip('"'))
    except ValueError:
        return False
    return True
