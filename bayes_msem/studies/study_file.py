"""The file of a study or calibration: its design in the first line, its replications as CSV below.

It is written whole or not at all (``disk``), every few seconds, so that an interrupted study goes
on where it stopped. Numbers are written with all their digits: a study that was resumed equals one
that was not.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_msem import disk
from bayes_msem.arguments import shown
from bayes_msem.errors import FileError
from bayes_msem.studies.replications import COLUMNS, Line

__all__ = [
    "STUDY",
    "Sheet",
    "StudyFile",
    "frame_of_lines",
    "read_study",
    "save_study",
    "write_study",
]

_SECONDS = 5.0  # between two writes

Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a file holds.

    Attributes
    ----------
    word
        "study" or "calibration".
    columns
        Name -> kind of every column.
    key
        The columns that name a replication.
    """

    word: str
    columns: Mapping[str, str]
    key: tuple[str, ...]

    @property
    def head(self) -> str:
        """How the first line begins."""
        return f"# bayes_msem {self.word} "


STUDY = Sheet("study", COLUMNS, ("clusters", "size", "replication"))


def frame_of_lines(lines: Iterable[Line], sheet: Sheet = STUDY) -> pd.DataFrame:
    """Put rows in a frame with the columns of a sheet, whatever their order."""
    frame = pd.DataFrame(list(lines), columns=list(sheet.columns)).astype(dict(sheet.columns))
    return frame.sort_values(list(sheet.key), kind="stable", ignore_index=True)


def write_study(
    path: Path,
    record: Mapping[str, Any],
    frame: pd.DataFrame,
    *,
    overwrite: bool,
    sheet: Sheet = STUDY,
) -> None:
    """Write the design and the replications of a study."""
    buffer = io.StringIO()
    buffer.write(f"{sheet.head}{json.dumps(record)}\n")
    frame.to_csv(buffer, index=False)
    disk.write(path, [buffer.getvalue().encode()], overwrite=overwrite)


def save_study(
    path: str | PathLike[str],
    record: Mapping[str, Any],
    frame: pd.DataFrame,
    *,
    overwrite: bool,
    sheet: Sheet = STUDY,
) -> None:
    """Write what :func:`write_study` does to the path that a user gives."""
    place = disk.as_path(path)
    disk.check_suffix(place, (".csv",), f"A {sheet.word} is written as CSV.")
    write_study(place, record, frame, overwrite=overwrite, sheet=sheet)


def read_study(path: Path, sheet: Sheet = STUDY) -> tuple[dict[str, Any], pd.DataFrame]:
    """Read what :func:`write_study` wrote.

    Raises
    ------
    FileError
        The file cannot be read, or is no study.
    """
    disk.recover(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read '{path}': {error}") from error
    head, _, body = text.partition("\n")
    try:
        if not head.startswith(sheet.head):
            raise ValueError("its first line does not say what was studied")
        record = json.loads(head.removeprefix(sheet.head))
        # as text first: readers of numbers may round the last digit
        frame = pd.read_csv(io.StringIO(body), dtype=str, keep_default_na=False)
        if list(frame.columns) != list(sheet.columns):
            raise ValueError(f"its columns are {', '.join(map(str, frame.columns))}")
        for name, kind in sheet.columns.items():
            values: list[Any] = list(frame[name])
            if kind == "float64":
                values = [float(text or "nan") for text in values]
            elif kind == "int64":
                values = [int(text) for text in values]
            frame[name] = pd.Series(values, dtype=kind)
    except (ValueError, TypeError) as error:
        raise FileError(
            f"'{path}' is not the file of a {sheet.word}: {error}; choose another path"
        ) from error
    return record, frame


class StudyFile:
    """Replications of one study, with their file if they have one.

    Parameters
    ----------
    path
        Where to write; None: nowhere.
    record
        What was studied.
    sheet
        What the file holds.
    """

    def __init__(self, path: Path | None, record: Mapping[str, Any], sheet: Sheet = STUDY) -> None:
        self.path, self.record, self.sheet = path, record, sheet
        self.lines: dict[Key, list[Line]] = {}
        self._written = time.monotonic()
        if path is not None and path.exists():
            before, frame = read_study(path, sheet)
            _check_same(path, before, record, sheet.word)
            for values in frame.to_dict("records"):
                line = {str(name): value for name, value in values.items()}
                key = tuple(int(line[name]) for name in sheet.key)
                self.lines.setdefault(key, []).append(line)

    def keep(self, key: Key, lines: list[Line]) -> None:
        """Add a replication, and write the file if that was not done lately."""
        self.lines[key] = lines
        if time.monotonic() - self._written > _SECONDS:
            self.write()

    def write(self) -> None:
        """Write the file."""
        if self.path is not None:
            frame = self.frame(self.lines)
            write_study(self.path, self.record, frame, overwrite=True, sheet=self.sheet)
            self._written = time.monotonic()

    def frame(self, keys: Iterable[Key]) -> pd.DataFrame:
        """Return some of the replications as a frame."""
        return frame_of_lines((line for key in keys for line in self.lines[key]), self.sheet)


def _check_same(path: Path, before: Mapping[str, Any], now: Mapping[str, Any], word: str) -> None:
    """Raise FileError, naming what differs, unless two studies are one."""
    plain = json.loads(json.dumps(now))
    names = [name for name in {**before, **plain} if before.get(name) != plain.get(name)]
    if names:
        first = names[0]
        raise FileError(
            f"'{path}' holds another {word}: {', '.join(names)} differ ({first}: "
            f"{shown(before.get(first))} there, {shown(plain.get(first))} here); choose another "
            "path, or give the same arguments to go on with it"
        )
