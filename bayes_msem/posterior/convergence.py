"""Convergence of a fit: grade, numbers and words.

A number that decides is written with as many digits as it takes to tell it from its limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from textwrap import fill
from typing import Literal

from bayes_msem.markup import block, bullets_of, text_paragraph
from bayes_msem.posterior.found_modes import FoundModes
from bayes_msem.wording import plural

__all__ = ["R_HAT_LIMIT", "Convergence", "Grade", "RowDiagnostics", "told_apart"]

Grade = Literal["fine", "sample longer", "do not use"]

R_HAT_LIMIT = 1.01
_HUGE = 1e6  # numbers whose decimals say nothing


@dataclass(frozen=True, slots=True)
class RowDiagnostics:
    """Diagnostics of one sampled parameter.

    Attributes
    ----------
    name
        The row, such as "between: y1 ~~ y1" (variances are sampled as standard deviations,
        covariances as partial correlations), or the effect of a cluster.
    r_hat, ess_bulk, ess_tail
        NaN where they cannot be computed.
    """

    name: str
    r_hat: float
    ess_bulk: float
    ess_tail: float

    @property
    def ess(self) -> float:
        """Smaller of the two effective sample sizes."""
        return min(self.ess_bulk, self.ess_tail)


@dataclass(frozen=True, slots=True)
class Convergence:
    """Convergence of one fit.

    Attributes
    ----------
    divergences
        Number of divergent transitions after tuning.
    max_r_hat, min_ess
        Worst over the free parameters (bulk and tail ESS). NaN where no parameter has one: R-hat
        needs two chains, both need four draws per chain.
    problems
        What is wrong, one sentence each; empty if nothing is.
    grade
        "fine", "sample longer" (a near miss) or "do not use".
    rows
        The parameters whose R-hat or effective sample size is the problem, worst first.
    advice
        What to do about all problems together; empty if there are none.
    notes
        What else there is to know about the chains, one note of a sentence or more each.
    modes
        The modes of the posterior that were found before sampling, with the share of the draws
        near each; None if they could not be searched (sampled effects).

    Examples
    --------
    >>> fit.convergence.divergences, len(fit.convergence.rows)
    (0, 8)
    """

    divergences: int
    max_r_hat: float
    min_ess: float
    problems: tuple[str, ...]
    grade: Grade = "fine"
    rows: tuple[RowDiagnostics, ...] = ()
    advice: str = ""
    notes: tuple[str, ...] = ()
    modes: FoundModes | None = None

    @property
    def numbers(self) -> str:
        """The three numbers in words.

        Examples
        --------
        >>> fit.convergence.numbers
        'R-hat at most ..., ESS at least ..., 0 divergences'
        """
        r_hat, ess = "no R-hat", "no ESS"
        if not math.isnan(self.max_r_hat):
            r_hat = f"R-hat at most {told_apart(self.max_r_hat, R_HAT_LIMIT, 3)}"
        if not math.isnan(self.min_ess):
            ess = f"ESS at least {self.min_ess:.0f}"
        return f"{r_hat}, {ess}, {plural(self.divergences, 'divergence')}"

    def _repr_html_(self) -> str:
        """Notebook display."""
        modes = [str(self.modes)] if self.modes and self.modes.message else []
        advice = [text_paragraph(self.advice, bold=True)] if self.advice else []
        verdict = f"{self.numbers}: {'converged' if self.grade == 'fine' else self.grade}"
        lines = [*self.problems, *self.notes, *modes]
        return block(text_paragraph(verdict), bullets_of(lines), *advice)

    def __str__(self) -> str:
        """Return a short verdict."""
        modes = [str(self.modes)] if self.modes and self.modes.message else []
        lines = [f"{self.numbers}: {'converged' if self.grade == 'fine' else self.grade}"]
        items = [("  - ", text) for text in (*self.problems, *self.notes, *modes)]
        items += [("  -> ", self.advice)] * bool(self.advice)
        lines += [
            fill(text, 88, initial_indent=mark, subsequent_indent=" " * len(mark))
            for mark, text in items
        ]
        return "\n".join(lines)


def told_apart(value: float, limit: float, digits: int) -> str:
    """Write a number with at least so many decimals, and as many as tell it from a limit."""
    if abs(value) >= _HUGE:
        return f"{value:.2g}"
    text = f"{value:.{digits}f}"
    while math.isfinite(value) and digits < 15 and _side(float(text), limit) != _side(value, limit):
        digits += 1
        text = f"{value:.{digits}f}"
    return text


def _side(value: float, limit: float) -> int:
    return int(value > limit) - int(value < limit)
