"""Errors and warnings of bayes_msem.

Every error the package raises on purpose derives from :class:`MsemError`, every
warning from :class:`MsemWarning`. A message names what was given, what is allowed
and how to mend it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AccuracyWarning",
    "ConvergenceWarning",
    "DataError",
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
    "nearest",
]


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

    def _message(self) -> str:
        lines = self.text.splitlines() or [""]
        source = lines[min(self.line, len(lines)) - 1]
        pointer = " " * (self.column - 1) + "^" * self.width
        message = (
            f"{self.problem} (line {self.line}, column {self.column})\n    {source}\n    {pointer}"
        )
        return message + (f"\n{self.suggestion}" if self.suggestion else "")


class SpecificationError(MsemError):
    """The model text can be read, but the model it declares makes no sense."""


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


class HeywoodWarning(MsemWarning):
    """Maximum likelihood ended at an impossible value, such as a negative variance."""


class IdentificationWarning(MsemWarning):
    """The likelihood does not identify all parameters, or constants restrict more than needed."""


class MissingDataWarning(MsemWarning):
    """Rows with missing values were left out, as the user asked."""


class InterruptedWarning(MsemWarning):
    """Sampling was interrupted; the draws made so far are kept."""


class SmallSampleWarning(MsemWarning):
    """Few clusters: results depend on the priors more than usual."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest allowed name, or an empty string."""
    matches = difflib.get_close_matches(name, [str(a) for a in allowed], n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""
