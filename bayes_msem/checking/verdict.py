"""One verdict from the findings of all checks (:mod:`bayes_msem.checking.findings`)."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from bayes_msem.checking.findings import Finding, State
from bayes_msem.posterior.convergence import Grade
from bayes_msem.posterior.tables import terminal_width
from bayes_msem.wording import plural

_MARKS: dict[State, str] = {"fine": "ok  ", "look": "look", "problem": "!!  "}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verdict:
    """Result of :meth:`bayes_msem.Fit.check`.

    Attributes
    ----------
    findings
        In the order of the checks.
    ppp, loo, prior_sensitivity
        The tables behind the findings; None for what was not asked for, or could not be computed.
    grade
        That of :attr:`bayes_msem.Fit.convergence`.

    Examples
    --------
    >>> verdict = fit.check(draws=20, loo=False, prior_sensitivity=False)
    >>> {finding.state for finding in verdict.findings} <= {"fine", "look", "problem"}
    True
    """

    findings: tuple[Finding, ...]
    ppp: Any
    loo: Any
    prior_sensitivity: Any
    grade: Grade = "fine"

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Findings that are problems.

        Examples
        --------
        >>> verdict = fit.check(draws=20, loo=False, prior_sensitivity=False)
        >>> all(finding.state == "problem" for finding in verdict.problems)
        True
        """
        return tuple(f for f in self.findings if f.state == "problem")

    @property
    def summary(self) -> str:
        """The verdict in one sentence.

        Examples
        --------
        >>> verdict = fit.check(draws=20, loo=False, prior_sensitivity=False)
        >>> isinstance(verdict.summary, str)
        True
        """
        if any(f.topic == "sampling" for f in self.problems):
            return "Do not use these estimates yet: the chains have problems."
        longer = self.grade == "sample longer"
        looks = sum(f.state == "look" for f in self.findings) - longer
        start = "Sample longer before you report these estimates. " if longer else ""
        if self.problems:
            chains = "The" if longer else "The chains are fine, but the"
            return (
                f"{start}{chains} model misses something in the data: "
                f"{plural(len(self.problems), 'problem')}, {plural(looks, 'thing')} to look at."
            )
        if looks:
            return f"{start}No serious problem; {plural(looks, 'thing')} to look at."
        other = "Nothing else speaks" if longer else "Nothing speaks"
        return f"{start}{other} against this fit in any of the checks."

    def to_frame(self) -> pd.DataFrame:
        """Return the findings as a data frame: topic, state, message, advice.

        Examples
        --------
        >>> verdict = fit.check(draws=20, loo=False, prior_sensitivity=False)
        >>> verdict.to_frame().columns.tolist()
        ['topic', 'state', 'message', 'advice']
        """
        columns = ["topic", "state", "message", "advice"]
        return pd.DataFrame(
            [[getattr(f, c) for c in columns] for f in self.findings], None, columns
        )

    def __repr__(self) -> str:
        """Return the verdict as text."""
        width = terminal_width()
        lines = textwrap.wrap(self.summary, width)
        for finding in self.findings:
            head = f"  {_MARKS[finding.state]}  {finding.topic:<10}  "
            text = finding.message + (f" -> {finding.advice}" if finding.advice else "")
            lines.append(
                textwrap.fill(text, width, initial_indent=head, subsequent_indent=" " * len(head))
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Notebook display."""
        cell = "padding:0.15em 0.7em;text-align:left;vertical-align:top"
        rows = "".join(
            f"<tr style='background:none'><td style='{cell}'>{finding.state}</td>"
            f"<td style='{cell}'>{finding.topic}</td><td style='{cell}'>{escape(finding.message)}"
            + (f"<br><i>{escape(finding.advice)}</i>" if finding.advice else "")
            + "</td></tr>"
            for finding in self.findings
        )
        return f"<div><p><b>{escape(self.summary)}</b></p><table>{rows}</table></div>"
