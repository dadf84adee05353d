"""Findings of every check, in plain words, with what to do next.

Every check gives findings: fine, worth a look, or a problem. The rules:

- sampling: the grade of the convergence diagnostics (fine, sample longer, do not use), and several
  modes of the posterior;
- fit: posterior predictive p-values of the likelihood ratio of each level, at the data's own mode
  where there is one (below .05 a look, below .01 a problem), and the other statistics, each group
  of which (one statistic, all variables) is named if a p-value is beyond what its number of
  variables lets expect (Bonferroni, 5%);
- clusters: those farther from the model than 95% of replicates, again allowing for their number;
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

_LOOK, _PROBLEM = 0.05, 0.01
_MOST = 5  # names in a sentence
_NEAR_ZERO = 0.2
_NAME = re.compile(r"(?<!\w)'[^']*'(?!\w)")
_STATES: dict[Grade, State] = {
    "fine": "fine",
    "sample longer": "look",
    "do not use": "problem",
}
_ADVICE = {
    "category_share": (
        "these categories are chosen more often than the model says",
        "these categories are chosen less often than the model says",
        "look at thresholds with strong priors or equal labels, and at covariates",
    ),
    "pair_table": (
        "these pairs of outcomes go together in another way than the model says",
        "",
        "add a factor for what the pair shares, or let loadings be free",
    ),
    "share_spread": (
        "clusters differ more in their shares of categories than the model allows",
        "clusters differ less in their shares of categories than the model says",
        "look at variances at level between with strong priors, and at their predictors",
    ),
    "count_dispersion": (
        "counts vary more than the model allows",
        "counts vary less than the model says",
        "family 'negbinomial' allows more variation than 'poisson'",
    ),
    "slope_spread": (
        "clusters differ more in these slopes than the model allows",
        "clusters differ less in these slopes than the model says",
        'let them vary: rv("s") before the predictor at level within',
    ),
    "slope_variance": (
        "clusters differ more in these slopes than the model allows",
        "clusters differ less in these slopes than the model says",
        'let them vary: rv("s") before the predictor at level within',
    ),
    "variance_spread": (
        "clusters differ more in these residual variances than the model allows",
        "clusters differ less in these residual variances than the model says",
        'let them vary (random="variances"), or look for outliers: fit.plot_ppc("clusters")',
    ),
    "covariance_spread": (
        "clusters differ more in their residual covariances than the model allows",
        "clusters differ less in their residual covariances than the model says",
        'loadings, slopes or variances may vary: try random="loadings" or random="variances" and '
        "compare with bm.compare()",
    ),
    "skewness": (
        "distributions inside clusters are more skewed to the right than normal ones",
        "distributions inside clusters are more skewed to the left than normal ones",
        "consider a transformation; intervals of variances rest on normality",
    ),
    "kurtosis": (
        "distributions inside clusters have heavier tails than normal ones",
        "distributions inside clusters have lighter tails than normal ones",
        "look for outlying rows; intervals of variances rest on normality",
    ),
    "cluster_mean_skewness": (
        "cluster means are more skewed to the right than the model says",
        "cluster means are more skewed to the left than the model says",
        "look at the clusters at that end: fit.plot_clusters()",
    ),
    "cluster_mean_kurtosis": (
        "cluster means have heavier tails than the model says",
        "cluster means have lighter tails than the model says",
        "look at the outermost clusters: fit.plot_clusters()",
    ),
}  # statistic: (data larger, data smaller, what to do)
_DISTANCES = ("pair_table",)
_OTHER = (
    "the data have larger values than the model's replicates",
    "the data have smaller values than the model's replicates",
    "compare the values in fit.ppp()",
)


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
        also = f" The same holds for {_listed(names, '; ')}." if names else ""
        merged.append(replace(first, message=f"{first.message}{also}"))
    return merged


def mode_findings(convergence: Convergence) -> list[Finding]:
    """Name the modes of the posterior if there are several."""
    modes = convergence.modes
    if modes is None or not modes.message:
        return []
    message = f"{modes.message[0].upper()}{modes.message[1:]}."
    return [Finding("sampling", "look" if modes.several else "fine", message, modes.advice)]


def fit_findings(table: pd.DataFrame) -> list[Finding]:
    """Judge posterior predictive p-values.

    Parameters
    ----------
    table
        From :meth:`bayes_msem.Fit.ppp`.
    """
    findings = [_level_finding(table, level) for level in ("within", "between")]
    found = [f for f in findings if f is not None]
    others = table[~table["statistic"].isin(["chi_square", "chi_square_refit", "srmr", "deviance"])]
    others = others[~others["statistic"].str.startswith("outlying")]
    for (level, statistic), group in others.groupby(["level", "statistic"], sort=False):
        found += _group_findings(str(level), str(statistic), group)
    if all(f.state == "fine" for f in found):
        found.append(
            Finding(
                "fit",
                "fine",
                f"{len(others)} other statistics of the data are within what the model expects.",
            )
        )
    return found


def _level_finding(table: pd.DataFrame, level: str) -> Finding | None:
    rows = table[table["level"] == level].set_index("statistic")["ppp"]
    name = next((n for n in ("chi_square_refit", "chi_square") if n in rows.index), None)
    if name is None:
        return None
    p = float(rows[name])
    said = f"Level {level}: the model {{}} means and covariances (ppp {p:.3f} of {name}{{}})."
    if p >= _LOOK:
        return Finding("fit", "fine", said.format("reproduces", ""))
    size = ""
    if "srmr" in rows.index and "observed" in table:
        found = table[(table["level"] == level) & (table["statistic"] == "srmr")]["observed"]
        size = f", SRMR {float(found.iloc[0]):.3f}"
    advice = 'fit.ppp("residual_correlation") names the pairs that fit worst.'
    state: State = "problem" if p < _PROBLEM else "look"
    return Finding("fit", state, said.format("does not reproduce", size), advice)


def _group_findings(level: str, statistic: str, group: pd.DataFrame) -> list[Finding]:
    ppp, names = group["ppp"].to_numpy(dtype=np.float64), group["variable"].to_numpy()
    sides = 1 if statistic in _DISTANCES else 2
    limit = _LOOK / sides / len(group)
    larger, smaller, advice = _ADVICE.get(statistic, _OTHER)
    ppp = np.minimum(ppp, 0.5) if sides == 1 else ppp  # small distances are good
    extreme, parts = np.minimum(ppp, 1 - ppp), []
    for chosen, text in ((ppp < limit, larger), (ppp > 1 - limit, smaller)):
        if chosen.any():
            listed = _listed(names[chosen][np.argsort(extreme[chosen], kind="stable")].tolist())
            parts.append(f"{text}{f' ({listed})' if listed else ''}")
    if not parts:
        return []
    state: State = "problem" if extreme.min() < _PROBLEM / sides / len(group) else "look"
    where = f" {level}" if level else ""
    message = f"{statistic}{where}: {'; '.join(parts)}."
    return [Finding("fit", state, message, f"{advice[0].upper()}{advice[1:]}.")]


def cluster_findings(clusters: pd.DataFrame) -> list[Finding]:
    """Judge the distances of clusters from the model.

    Parameters
    ----------
    clusters
        Of a :class:`bayes_msem.checking.predictive.predictive_check.PredictiveCheck`.
    """
    findings = []
    for level, what in (("between", "means"), ("within", "spread")):
        column = f"ppp_{level}"
        if column not in clusters:
            continue
        p = clusters[column].dropna()
        far = p[p < _LOOK / max(len(p), 1)].index
        if len(far):
            findings.append(
                Finding(
                    "clusters",
                    "look",
                    f"Unusual {what}: {plural(len(far), 'cluster')} "
                    f"({_listed([str(c) for c in far])}).",
                    'See fit.plot_ppc("clusters"); check these clusters\' data.',
                )
            )
    if len(clusters) and not findings:
        findings.append(
            Finding("clusters", "fine", f"None of {len(clusters)} clusters is unusual.")
        )
    return findings


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
            f"the posterior much ({_listed([str(c) for c in high_k.index])}).",
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
            f"The data do not tell these variances between clusters from zero: {_listed(near)}.",
            "Report their intervals, not their means; correlations with such effects are mostly "
            "prior, and a simpler model may predict as well (bm.compare).",
        )
    ]


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    names = [name for name in names if name]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return separator.join(names[:_MOST]) + more
