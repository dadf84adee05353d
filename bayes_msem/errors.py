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
    """Root of all errors raised by bayes_msem.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> try:
    ...     bm.Model("mach ~", data=data)
    ... except bm.MsemError as error:
    ...     type(error).__name__
    'ModelSyntaxError'
    """


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

    Examples
    --------
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> bm.Model("mach ~", data=data)
    Traceback (most recent call last):
    bayes_msem.errors.ModelSyntaxError: Nothing stands right of '~'. (line 1, colu...
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
    """A call with a word that the function does not know, or without one that it needs.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> bm.Model("mach ~ ses", data=data, std_lvl=True)
    Traceback (most recent call last):
    bayes_msem.errors.ArgumentError: Model() has no argument 'std_lvl'; did you me...
    """


class SpecificationError(MsemError):
    """The model text, or the value of an argument, can be read but makes no sense.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> bm.Model("mach ~ 0*ses; mach ~~ 1*mach; mach ~ 0*1", data=data).mode()
    Traceback (most recent call last):
    bayes_msem.errors.SpecificationError: the model has no free parameter: every r...
    """


class DataError(MsemError):
    """The data do not fit the model that was declared.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> bm.Model("mach ~ ses", data=data.assign(ses=1.0))
    Traceback (most recent call last):
    bayes_msem.errors.DataError: 'ses' is constant: it has the value 1 in all rows...
    """


class FileError(MsemError):
    """A file is missing, damaged, foreign or in the way.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> bm.load("nothing.nc")
    Traceback (most recent call last):
    bayes_msem.errors.FileError: there is no file 'nothing.nc'
    """


class NotSupportedError(MsemError):
    """A well-formed request that this version cannot fulfil.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> bm.Model("mach ~ ses; ses > 0", data=data)
    Traceback (most recent call last):
    bayes_msem.spec.syntax.UnsupportedSyntaxError: Inequality constraints ('>') ar...
    """


class MsemWarning(UserWarning):
    """Root of all warnings issued by bayes_msem.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb").head(400)  # 11 schools
    >>> spec = "level: within; mach ~ cses; level: between; mach ~~ mach"
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", bm.MsemWarning)
    ...     model = bm.Model(spec, data=data, cluster="school")
    >>> model.observed.n_clusters
    11
    """


class ConvergenceWarning(MsemWarning):
    """Sampling or optimisation did not converge well enough.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", bm.ConvergenceWarning)  # stop a script there
    ...     warnings.warn("an example", bm.ConvergenceWarning)
    Traceback (most recent call last):
    bayes_msem.errors.ConvergenceWarning: an example
    """


class AccuracyWarning(MsemWarning):
    """A number is less accurate than it should be, such as an elpd with high Pareto k.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", bm.AccuracyWarning)  # stop a script there
    ...     result = fit.loo()
    """


class CacheWarning(MsemWarning):
    """Compiled code cannot be kept on disk, so that every process compiles again.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", bm.CacheWarning)  # stop a script there
    ...     result = bm.Model("mach ~ ses", data=data)
    """


class HeywoodWarning(MsemWarning):
    """Maximum likelihood ended at an impossible value, such as a negative variance.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", bm.HeywoodWarning)  # stop a script there
    ...     result = bm.Model("mach ~ ses", data=data).mode(prior=False)
    """


class IdentificationWarning(MsemWarning):
    """The likelihood does not identify all parameters, or constants restrict more than needed.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", bm.IdentificationWarning)  # stop a script there
    ...     result = bm.Model("mach ~ ses", data=data)
    """


class MissingDataWarning(MsemWarning):
    """Rows with missing values were left out, as the user asked.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> data.loc[:9, "mach"] = float("nan")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", bm.MissingDataWarning)
    ...     result = bm.Model("mach ~ ses", data=data, missing="listwise")
    >>> [warning.category.__name__ for warning in caught]
    ['MissingDataWarning']
    """


class InterruptedWarning(MsemWarning):
    """Sampling was interrupted; the draws made so far are kept.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", bm.InterruptedWarning)  # stop a script there
    ...     warnings.warn("an example", bm.InterruptedWarning)
    Traceback (most recent call last):
    bayes_msem.errors.InterruptedWarning: an example
    """


class SpecificationWarning(MsemWarning):
    """The model text can be read, but may not mean what its author wants.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", bm.SpecificationWarning)
    ...     result = bm.Model("mach ~ female*ses", data=data)  # a label
    >>> [warning.category.__name__ for warning in caught]
    ['SpecificationWarning']
    """


class DataWarning(MsemWarning):
    """The data can be used, but something in them may not be what it seems.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb")
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", bm.DataWarning)  # stop a script there
    ...     result = bm.Model("mach ~ ses", data=data)
    """


class SmallSampleWarning(MsemWarning):
    """Few clusters: results depend on the priors more than usual.

    Examples
    --------
    >>> import warnings
    >>> import bayes_msem as bm
    >>> data = bm.load_dataset("hsb").head(400)  # 11 schools
    >>> spec = "level: within; mach ~ cses; level: between; mach ~~ mach"
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", bm.SmallSampleWarning)
    ...     result = bm.Model(spec, data=data, cluster="school")
    >>> [warning.category.__name__ for warning in caught]
    ['SmallSampleWarning']
    """


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
