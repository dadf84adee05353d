"""Findings of every check, in plain words, with what to do next.

Every check gives findings: fine, worth a look, or a problem. The rules:

- sampling: the grade of the convergence diagnostics (fine, sample longer, do not use), and several
  modes of the posterior;
- fit and clusters: posterior predictive p-values, so that at most a tenth of right models has a
  finding (:mod:`bayes_msem.checking.misfit`);
- prediction: clusters (rows) whose Pareto k is too high;
- priors: rows that follow their priors, by power-scaling;
- data: few clusters or rows, and SDs between clusters whose posterior reaches down to zero (5%
  quantile below a fifth of the median; the half-normal distribution has a tenth).

Findings that say the same of other names are put together (:func:`grouped`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.posterior.convergence import Convergence, Grade
from bayes_msem.spec.table import Row
from bayes_msem.wording import plural

State = Literal["fine", "look", "problem"]

_MOST = 5  # names in a sentence
_NEAR_ZERO = 0.2
_NAME = re.compile(r"(?<!\w)'[^']*'(?!\w)")
_STATES: dict[Grade, State] = {
    "fine": "fine",
    "sample longer": "look",
    "do not use": "problem",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Attributes
    ----------
    topic
        sampling, fit, clusters, prediction, priors, or data.
    state
        "fine", "look" or "problem".
    message
        What was found.
    advice
        What to do; empty if nothing.
    """

    topic: str
    state: State
    message: str
    advice: str = ""


def sampling_findings(convergence: Convergence) -> list[Finding]:
    """Judge the chains: one finding for all problems, and one for each further note."""
    state = _STATES[convergence.grade]
    message = " ".join(convergence.problems) or f"{convergence.numbers}: converged."
    findings = [Finding("sampling", state, message, convergence.advice)]
    for note in convergence.notes:
        said, _, advice = note.partition(". ")
        findings.append(Finding("sampling", "look", f"{said.rstrip('.')}.", advice))
    return findings


def grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Put findings together that differ in names alone.

    What stands in single quotation marks is a name. Of findings of one topic and state, and with
    the same words, the first is kept, and lists the names of the others.
    """
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        message, advice = (_NAME.sub("''", text) for text in (finding.message, finding.advice))
        key = (finding.topic, finding.state, message, advice)
        groups.setdefault(key, []).append(finding)
    merged = []
    for first, *others in groups.values():
        names = [" and ".join(dict.fromkeys(_NAME.findall(f.message))) for f in others]
        names = [name for name in dict.fromkeys(names) if name]
        also = f" The same holds for {listed(names, '; ')}." if names else ""
        merged.append(replace(first, message=f"{first.message}{also}"))
    return merged


def mode_findings(convergence: Convergence) -> list[Finding]:
    """Name the modes of the posterior if there are several."""
    modes = convergence.modes
    if modes is None or not modes.message:
        return []
    message = f"{modes.message[0].upper()}{modes.message[1:]}."
    return [Finding("sampling", "look" if modes.several else "fine", message, modes.advice)]


def prediction_findings(high_k: pd.Series[Any], n: int, unit: str) -> list[Finding]:
    """Judge Pareto k.

    Parameters
    ----------
    high_k
        Units whose k is too high.
    n
        Number of units.
    unit
        "cluster" or "observation".
    """
    noun = "cluster" if unit == "cluster" else "row"
    if not len(high_k):
        return [Finding("prediction", "fine", f"LOO is reliable for all {plural(n, noun)}.")]
    return [
        Finding(
            "prediction",
            "look",
            f"LOO is unreliable for {len(high_k)} of {plural(n, noun)}: leaving one out changes "
            f"the posterior much ({listed([str(c) for c in high_k.index])}).",
            f'fit.loo(refit="exact") for comparisons; see what is special about these {noun}s.',
        )
    ]


def too_few_draws(topic: str, what: str, n: int, least: int) -> Finding:
    """Say that a check was left out because it needs more draws."""
    return Finding(
        topic,
        "look",
        f"{what} is left out: it needs {least} draws or more, not {n}.",
        "Sample more, such as model.fit(draws=1000).",
    )


def left_out_rotated(topic: str, what: str, blocks: Sequence[str]) -> Finding:
    """Say that a check was left out because draws of exploratory factors are rotated."""
    named = ", ".join(f'efa("{name}")' for name in blocks)
    return Finding(
        topic,
        "fine",
        f"{what} is left out: priors of {named} are of unrotated loadings, draws of rotated ones.",
    )


def left_out(topic: str, what: str, names: Sequence[str]) -> Finding:
    """Say that a check was left out because it needs normal outcomes."""
    return Finding(
        topic,
        "fine",
        f"{what} is left out: it takes outcomes to be normal, and {', '.join(names)} "
        f"{'are' if len(names) > 1 else 'is'} not.",
    )


def prior_findings(advice: Sequence[str]) -> list[Finding]:
    """Judge sensitivity to priors, from the advice of :meth:`bayes_msem.Fit.prior_sensitivity`."""
    if not advice:
        return [Finding("priors", "fine", "No row is sensitive to its prior.")]
    return [Finding("priors", "look", line) for line in advice]


def data_findings(notes: Sequence[str]) -> list[Finding]:
    """Turn the model's notes on small samples into findings."""
    findings = []
    for note in notes:
        message, _, advice = note.partition(". ")
        findings.append(Finding("data", "look", f"{message.rstrip('.')}.", advice))
    return findings


def near_zero_findings(rows: Sequence[tuple[Row, NDArray[np.float64]]]) -> list[Finding]:
    """Name between-level SDs whose posterior reaches down to zero.

    Parameters
    ----------
    rows
        Variance rows of level between with draws of the variance.
    """
    near = []
    for row, variance in rows:
        low, median = np.quantile(np.sqrt(np.maximum(variance, 0.0)), [0.05, 0.5])
        if low < _NEAR_ZERO * median:
            near.append(f"{row.lhs} ~~ {row.rhs}")
    if not near:
        return []
    return [
        Finding(
            "data",
            "look",
            f"The data do not tell these variances between clusters from zero: {listed(near)}.",
            "Report their intervals, not their means; correlations with such effects are mostly "
            "prior, and a simpler model may predict as well (bm.compare).",
        )
    ]


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """Join the first five names; the others are counted."""
    names = [name for name in names if name]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return separator.join(names[:_MOST]) + more
