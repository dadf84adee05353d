"""Clusters and parameters of level between of a model, and predictors with unreliable means."""

from __future__ import annotations

from bayes_msem.data.anova import anova_components, reliability_of_means
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.sample_size import AMPLE, FEW, MOST_CLUSTERS, PAGE, on_reliability
from bayes_msem.spec.table import ParameterTable
from bayes_msem.wording import plural

__all__ = ["between_size"]


def between_size(observed: ObservedData, table: ParameterTable) -> list[str]:
    """Say in one or two lines how much the clusters can tell about level between.

    Parameters
    ----------
    observed
        Data that passed all checks.
    table
        The parameter table.

    Returns
    -------
    list of str
        Lines; none for single-level models and those without free parameters of level between.
    """
    if observed.cluster is None:
        return []
    counts = [(observed.n_clusters, "clusters"), (observed.n_tops, f"'{observed.top_name}'")]
    lines = []
    for level, (count, units) in zip(table.levels[1:], counts, strict=False):
        free = {row.free for row in table.rows if row.level == level and row.free}
        if not free:
            continue
        each = count / len(free)
        line = (
            f"Level {level}: {plural(len(free), 'free parameter')}, {_digits(each)} {units} each."
        )
        slopes = [row for row in table.rows if row.kind == "regression" and row.free in free]
        if each < AMPLE and slopes:
            limit, narrow = (FEW, "narrow") if each < FEW else (AMPLE, "may narrow")
            line += f" Below {limit} each, priors {narrow} intervals of slopes ({PAGE})."
        lines.append(line)
    if not lines or observed.three_level:
        return lines
    reliability = on_reliability(predictors(observed, table), observed.n_clusters)
    return [*lines, *([reliability] if reliability else [])]


def predictors(observed: ObservedData, table: ParameterTable) -> dict[str, float]:
    """ICC(2) of split variables with a free slope on them at level between, by name."""
    used = {
        row.rhs
        for row in table.rows
        if row.level == "between" and row.kind == "regression" and row.free
    }
    if observed.cluster is None or observed.n_clusters > MOST_CLUSTERS:
        return {}
    found = {}
    for name in observed.split_names:
        if name in used and name not in observed.families:
            column = observed.y[:, observed.y_names.index(name)]
            within, between, _ = anova_components(column, column, observed.cluster)
            found[name] = reliability_of_means(float(within), float(between))
    return found


def _digits(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"
