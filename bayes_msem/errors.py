"""Errors and warnings of bayes_msem.

Every error the package raises on purpose derives from :class:`MsemError`, every
warning from :class:`MsemWarning`. A message names what was given, what is allowed
and how to mend it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from functools import partial
from typing import Any

__all__ = [
    "INSIDE",
    "AccuracyWarning",
    "ArgumentError",
    "CacheWarning",
    "ConvergenceWarning",
    "DataError",
    "DataWarning",
    "FileError",
    "HeywoodWarning",
    "IdentificationWarning",
    "InterruptedWarning",
    "MissingDataWarning",
    "ModelSyntaxError",
    "MsemError",
    "MsemWarning",
    "NotSupportedError",
    "SmallSampleWarning",
    "SpecificationError",
    "SpecificationWarning",
    "nearest",
]

INSIDE = (os.path.join(os.path.dirname(__file__), ""),)
"""For ``warnings.warn(..., skip_file_prefixes=INSIDE)``: a warning names the user's own line."""


_LONGEST_LINE = 160  # of model text in a message


class MsemError(Exception):
    """Root of all errors raised by bayes_msem."""


class ModelSyntaxError(MsemError):
    """The model text cannot be read.

    Parameters
    ----------
    problem
        What is wrong, one sentence.
    text
        The whole model text.
    line, column
        Position of the culprit, counted from 1.
    width
        Number of characters to underline.
    suggestion
        How to mend it; empty if unknown.
    """

    def __init__(
        self,
        problem: str,
        *,
        text: str,
        line: int,
        column: int,
        width: int = 1,
        suggestion: str = "",
    ) -> None:
        self.problem = problem
        self.text = text
        self.line = line
        self.column = column
        self.width = max(1, width)
        self.suggestion = suggestion
        super().__init__(self._message())

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make this error again: it has to reach the parent of a process pool."""
        places = {"line": self.line, "column": self.column, "width": self.width}
        again = partial(
            type(self), self.problem, text=self.text, suggestion=self.suggestion, **places
        )
        return again, ()

    def _message(self) -> str:
        lines = self.text.splitlines() or [""]
        source = lines[min(self.line, len(lines)) - 1]
        left, width = self.column - 1, self.width
        if len(source) > _LONGEST_LINE:  # show what stands around the culprit
            first = max(0, left - _LONGEST_LINE // 2)
            source = f"... {source[first : first + _LONGEST_LINE]} ..."
            left, width = left - first + 4, min(width, _LONGEST_LINE // 2)
        pointer = " " * left + "^" * width
        message = (
            f"{self.problem} (line {self.line}, column {self.column})\n    {source}\n    {pointer}"
        )
        return message + (f"\n{self.suggestion}" if self.suggestion else "")


class ArgumentError(MsemError, TypeError):
    """A call with a word that the function does not know, or without one that it needs."""


class SpecificationError(MsemError):
    """The model text, or the value of an argument, can be read but makes no sense."""


class DataError(MsemError):
    """The data do not fit the model that was declared."""


class FileError(MsemError):
    """A file is missing, damaged, foreign or in the way."""


class NotSupportedError(MsemError):
    """A well-formed request that this version cannot fulfil."""


class MsemWarning(UserWarning):
    """Root of all warnings issued by bayes_msem."""


class ConvergenceWarning(MsemWarning):
    """Sampling or optimisation did not converge well enough."""


class AccuracyWarning(MsemWarning):
    """A number is less accurate than it should be, such as an elpd with high Pareto k."""


class CacheWarning(MsemWarning):
    """Compiled code cannot be kept on disk, so that every process compiles again."""


class HeywoodWarning(MsemWarning):
    """Maximum likelihood ended at an impossible value, such as a negative variance."""


class IdentificationWarning(MsemWarning):
    """The likelihood does not identify all parameters, or constants restrict more than needed."""


class MissingDataWarning(MsemWarning):
    """Rows with missing values were left out, as the user asked."""


class InterruptedWarning(MsemWarning):
    """Sampling was interrupted; the draws made so far are kept."""


class SpecificationWarning(MsemWarning):
    """The model text can be read, but may not mean what its author wants."""


class DataWarning(MsemWarning):
    """The data can be used, but something in them may not be what it seems."""


class SmallSampleWarning(MsemWarning):
    """Few clusters: results depend on the priors more than usual."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest allowed name, or an empty string.

    A name that differs in case alone is the closest.

    Examples
    --------
    >>> nearest("Y", ["x", "y"])
    "; did you mean 'y'?"
    """
    names = [str(a) for a in allowed]
    folded = {known.casefold(): known for known in reversed(names)}
    if (same := folded.get(name.strip().casefold())) is not None:
        return f"; did you mean '{same}'?"
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not matches:
        alike = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
        matches = [folded[key] for key in alike]
    return f"; did you mean '{matches[0]}'?" if matches else ""
