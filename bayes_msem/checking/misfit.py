"""Findings of posterior predictive checks, and how small a p-value must be for one.

`Fit.check` looks at a dozen statistics. If each of them had a finding in 5% of right models, a
third of all right models would have one. So the rule is about the whole: with all p-values of a
right model uniform, at most

    LOOK = 10%  have any finding,  PROBLEM = 2%  have one that is a problem .

Half of this goes to the likelihood ratios, in equal parts for the levels: they are what the check
is mainly about, and what they see has a name. The other half goes to all other groups in equal
parts. A group is a statistic at a level, with all its variables: its p-value is the smallest
adjusted one (:func:`bayes_msem.checking.predictive.p_values.adjusted_p_values`), so that neither
their number nor their dependence matters. The most unusual clusters are two of the groups.

By Bonferroni's inequality the shares hold however statistics depend on each other; a share of
1 / replicates per group comes on top, as a p-value among n replicates may be 0. P-values of data
that were used for the fit are not uniform but crowd around .5 where the model follows the statistic
closely (Meng 1994), so that the shares are smaller in fact. docs/checks.md has them.

References
----------
Meng, X.-L. (1994). Posterior predictive p-values. The Annals of Statistics, 22, 1142-1160.
https://doi.org/10.1214/aos/1176325622
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_msem.checking.findings import Finding, State, listed
from bayes_msem.wording import plural

__all__ = ["LOOK", "PROBLEM", "Limits", "cluster_findings", "fit_findings", "limits"]

LOOK, PROBLEM = 0.1, 0.02
_LIKELIHOOD_RATIOS = ("chi_square_refit", "chi_square")
_NEVER = (*_LIKELIHOOD_RATIOS, "srmr", "deviance")  # no groups: seen by the ratios, or useless
_CLUSTERS = {"between": ("outlying_cluster", "means"), "within": ("outlying_within", "spread")}
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
_OTHER = (
    "the data have larger values than the model's replicates",
    "the data have smaller values than the model's replicates",
    "compare the values in fit.ppp()",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """P-values up to which there is a finding.

    Attributes
    ----------
    level
        Of the likelihood ratio of a level.
    group
        Of the smallest adjusted p-value of any other statistic at a level.
    """

    level: float
    group: float

    def state(self, p: float, limit: float) -> State:
        """Judge a p-value by one of the limits."""
        if p > limit:
            return "fine"
        return "problem" if p <= limit * PROBLEM / LOOK else "look"


def limits(table: pd.DataFrame) -> Limits:
    """Divide the share of right models with a finding among what a table has.

    Parameters
    ----------
    table
        From :meth:`bayes_msem.Fit.ppp`.
    """
    ratios = table[table["statistic"].isin(_LIKELIHOOD_RATIOS)]
    n_levels = len(set(ratios["level"]) - {""})
    n_groups = len(_groups(table))
    part = LOOK / 2 if n_levels and n_groups else LOOK
    return Limits(part / max(n_levels, 1), part / max(n_groups, 1))


def fit_findings(table: pd.DataFrame) -> list[Finding]:
    """Judge posterior predictive p-values.

    Parameters
    ----------
    table
        From :meth:`bayes_msem.Fit.ppp`.
    """
    limit = limits(table)
    found = [_level_finding(table, level, limit) for level in ("within", "between")]
    findings = [f for f in found if f is not None]
    of_clusters = {statistic for statistic, _ in _CLUSTERS.values()}
    others = _groups(table)
    others = {key: group for key, group in others.items() if key[1] not in of_clusters}
    for (level, statistic), group in others.items():
        findings += _group_findings(level, statistic, group, limit)
    if all(f.state == "fine" for f in findings):
        n = sum(map(len, others.values()))
        findings.append(
            Finding(
                "fit",
                "fine",
                f"{n} other statistics of the data are within what the model expects.",
            )
        )
    return findings


def _groups(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Rows by level and statistic, without likelihood ratios and what is never judged."""
    others = table[~table["statistic"].isin(_NEVER)]
    return {
        (str(level), str(statistic)): group
        for (level, statistic), group in others.groupby(["level", "statistic"], sort=False)
    }


def _level_finding(table: pd.DataFrame, level: str, limit: Limits) -> Finding | None:
    rows = table[table["level"] == level].set_index("statistic")["ppp"]
    name = next((n for n in _LIKELIHOOD_RATIOS if n in rows.index), None)
    if name is None:
        return None
    p = float(rows[name])
    said = f"Level {level}: the model {{}} means and covariances (ppp {p:.3f} of {name}{{}})."
    state = limit.state(p, limit.level)
    if state == "fine":
        return Finding("fit", state, said.format("reproduces", ""))
    size = ""
    if "srmr" in rows.index and "observed" in table:
        found = table[(table["level"] == level) & (table["statistic"] == "srmr")]["observed"]
        size = f", SRMR {float(found.iloc[0]):.3f}"
    advice = 'fit.ppp("residual_correlation") names the pairs that fit worst.'
    return Finding("fit", state, said.format("does not reproduce", size), advice)


def _group_findings(
    level: str, statistic: str, group: pd.DataFrame, limit: Limits
) -> list[Finding]:
    p, ppp = group["adjusted"].to_numpy(dtype=np.float64), group["ppp"].to_numpy(dtype=np.float64)
    state = limit.state(float(p.min()), limit.group)
    if state == "fine":
        return []
    names = group["variable"].to_numpy()
    larger, smaller, advice = _ADVICE.get(statistic, _OTHER)
    parts = []
    for chosen, text in ((ppp < 0.5, larger), (ppp >= 0.5, smaller)):
        chosen = chosen & (p <= limit.group)
        if chosen.any():
            every = listed(names[chosen][np.argsort(p[chosen], kind="stable")].tolist())
            parts.append(f"{text}{f' ({every})' if every else ''}")
    where = f" {level}" if level else ""
    message = f"{statistic}{where}: {'; '.join(parts)}."
    return [Finding("fit", state, message, f"{advice[0].upper()}{advice[1:]}.")]


def cluster_findings(clusters: pd.DataFrame, table: pd.DataFrame) -> list[Finding]:
    """Judge the distances of clusters from the model.

    There is a finding where the most distant cluster is farther away than that of replicates. It
    names all clusters that are unusual given their number (5%, Bonferroni), and the most unusual
    one in any case.

    Parameters
    ----------
    clusters
        Of a :class:`bayes_msem.checking.predictive.predictive_check.PredictiveCheck`.
    table
        From :meth:`bayes_msem.Fit.ppp`.
    """
    limit, findings = limits(table), []
    for level, (statistic, what) in _CLUSTERS.items():
        largest = table[(table["level"] == level) & (table["statistic"] == statistic)]["ppp"]
        if f"ppp_{level}" not in clusters or largest.empty:
            continue
        state = limit.state(float(largest.iloc[0]), limit.group)
        if state == "fine":
            continue
        p = clusters[f"ppp_{level}"].dropna().sort_values(kind="stable")
        far = p[p <= max(0.05 / len(p), float(p.iloc[0]))].index
        findings.append(
            Finding(
                "clusters",
                "look",
                f"Unusual {what}: {plural(len(far), 'cluster')} ({listed([str(c) for c in far])}).",
                'See fit.plot_ppc("clusters"); check these clusters\' data.',
            )
        )
    if len(clusters) and not findings:
        findings.append(
            Finding("clusters", "fine", f"None of {len(clusters)} clusters is unusual.")
        )
    return findings
