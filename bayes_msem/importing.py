"""Models that were written for other programs: from an Mplus input to a model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from bayes_msem import disk
from bayes_msem.arguments import (
    anything,
    checked,
    checked_class,
    floats,
    mapping,
    names,
    shown,
)
from bayes_msem.data.frames import to_pandas_frame
from bayes_msem.data.recoding import with_missing
from bayes_msem.errors import INSIDE, FileError, SpecificationError, SpecificationWarning
from bayes_msem.model import Model
from bayes_msem.spec.exchange.mplus_reader import read_mplus

__all__ = ["MplusInput", "from_mplus"]


def _texts(name: str, value: Any) -> tuple[str, ...]:
    listed = names(name, value)
    return (listed,) if isinstance(listed, str) else tuple(listed)


def _codes(name: str, value: Any) -> Mapping[str, tuple[float, ...]]:
    found = {}
    for column, codes in mapping(name, value).items():
        if not isinstance(column, str):
            raise SpecificationError(f"{name} must map names to numbers, got {shown(column)}")
        found[column] = floats(f"{name}[{column!r}]", codes)
    return found


@checked_class(arguments=mapping, columns=_texts, missing_codes=_codes, notes=_texts)
@dataclass(frozen=True)
class MplusInput:
    """An Mplus input as a model text with the arguments of :class:`bayes_msem.Model`.

    Attributes
    ----------
    text
        Model text. Defaults of Mplus that differ from those here are written out in it.
    arguments
        Keyword arguments of ``Model``: ``cluster``, ``ordered``, ``families``,
        ``random_covariances``, ``missing``, as far as the input says them.
    title, file
        TITLE, and FILE of DATA.
    columns
        NAMES: the columns of the file, which has no header.
    missing_codes
        Numbers that stand for missing values, by column; "" for all columns.
    notes
        What is worth knowing; printed.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> read = bm.from_mplus("VARIABLE: NAMES = y x; MODEL: y ON x (b);")
    >>> read.text
    'y ~ b*x'
    """

    text: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    file: str = ""
    columns: tuple[str, ...] = ()
    missing_codes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def model(self, data: Any, **arguments: Any) -> Model:
        """Build the model on data.

        Parameters
        ----------
        data
            Data frame with the columns that the input names. Codes of missing values
            (``missing_codes``) are read as missing; the frame itself stays as it is.
        **arguments
            Arguments of :class:`bayes_msem.Model`, which go before those of the input.

        Returns
        -------
        Model

        Examples
        --------
        >>> import bayes_msem as bm
        >>> read = bm.from_mplus("VARIABLE: NAMES = mach ses; MODEL: mach ON ses;")
        >>> read.model(bm.load_dataset("hsb")).parameter_table["op"].tolist()
        ['~', '~~', '~']
        """
        frame = with_missing(to_pandas_frame(data), self.missing_codes)
        return Model(self.text, frame, **{**self.arguments, **arguments})

    def __str__(self) -> str:
        """Return the call that builds the model, its text, and the notes."""
        given = "".join(f", {name}={value!r}" for name, value in self.arguments.items())
        lines = [f"Mplus input{f': {self.title}' if self.title else ''}", ""]
        lines += [f"bm.Model(text, data{given})", "", *self.text.split("\n")]
        if self.file:
            lines += ["", f"data: {self.file!r} with the columns {' '.join(self.columns)}"]
        for name, codes in self.missing_codes.items():
            written = ", ".join(f"{code:g}" for code in codes)
            lines.append(f"missing in {name or 'all columns'}: {written}")
        if self.notes:
            lines += ["", "Notes", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines)

    __repr__ = __str__


@checked(source=anything)
def from_mplus(source: str | PathLike[str]) -> MplusInput:
    """Read an Mplus input: a single-level model, or one of two levels.

    Parameters
    ----------
    source
        The text of an input, or the path of a file. Text with a line break or a ``;`` is an input.

    Returns
    -------
    MplusInput
        ``read.text`` and ``read.arguments`` are what :class:`bayes_msem.Model` needs;
        ``read.model(data)`` builds the model, and ``print(read)`` shows all of it with notes.

    Raises
    ------
    ModelSyntaxError
        Commands that cannot be read, or that have no counterpart here (then it is a
        ``NotSupportedError``, too). The message names every such line and a way out.
    SpecificationError
        The model makes no sense.
    FileError
        The file cannot be read.

    Warns
    -----
    SpecificationWarning
        Priors without a counterpart, whose places the default priors take.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> read = bm.from_mplus('''
    ...     VARIABLE: NAMES = school mach cses sector; CLUSTER = school;
    ...               WITHIN = cses; BETWEEN = sector;
    ...     ANALYSIS: TYPE = TWOLEVEL RANDOM;
    ...     MODEL:    %WITHIN%   s | mach ON cses;
    ...               %BETWEEN%  mach s ON sector; mach WITH s;
    ... ''')
    >>> print(read.text)
    level: within
        mach ~ rv("s")*cses
    level: between
        mach ~ sector
        s ~ sector
        mach ~~ s
    >>> read.arguments
    {'cluster': 'school', 'random_covariances': 'none'}
    """
    found = read_mplus(_text_of(source))
    if found.losses:
        warnings.warn("\n".join(found.losses), SpecificationWarning, skip_file_prefixes=INSIDE)
    return MplusInput(
        text=found.text,
        arguments=found.arguments,
        title=found.title,
        file=found.file,
        columns=found.columns,
        missing_codes=found.missing_codes,
        notes=(*found.losses, *found.notes),
    )


def _text_of(source: str | PathLike[str]) -> str:
    if isinstance(source, str) and ("\n" in source or ";" in source or not source.strip()):
        return source
    path = disk.as_path(source)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(
            f"cannot read '{path}': {error.strerror or error}; pass the path of an Mplus input, or "
            "its text"
        ) from error
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return content.decode("latin-1").replace("\r\n", "\n")  # files of older editors
