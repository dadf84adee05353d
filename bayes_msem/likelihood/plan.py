"""The plan: which random quantities are integrated out, which NUTS samples, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import NotSupportedError
from bayes_msem.likelihood.statistics import Provider
from bayes_msem.markup import block, pairs, text_paragraph
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.table import ParameterTable, Row
from bayes_msem.structure.carried_responses import carried_responses
from bayes_msem.structure.cluster_responses import (
    check_cluster_responses,
    families_by_level,
    feeding_factors,
)
from bayes_msem.structure.effects import linear_names
from bayes_msem.structure.items import edge
from bayes_msem.structure.response_template import sampled_scores


@dataclass(frozen=True, slots=True)
class Plan:
    """How the likelihood of a model is evaluated.

    Attributes
    ----------
    name
        "marginal": NUTS sees the parameters only. "partially marginal": it also samples those
        cluster-level effects that cannot be integrated out. "augmented": it also samples what
        outcomes that are not normal depend on, cluster-level effects and within-level scores.
    integrated
        Random quantities that are integrated out exactly, one entry per sort, such as
        "random intercepts of y1, y2".
    sampled
        Quantities besides the parameters that NUTS samples, one entry per sort.
    reason
        Why.
    provider
        What the likelihood is computed from: cross products per distinct cluster "size", per
        response "pattern", or of every "cluster"; "sampled" is the last with sampled effects, and
        "augmented" goes through all rows. Of three levels, "nested" is by cluster and "nested size"
        by cluster size.

    Examples
    --------
    >>> plan = fit.model.plan
    >>> plan.name, plan.sampled
    ('marginal', ())
    >>> plan.integrated
    ('random intercept of mach', 'random slope slope (mach ~ cses)')
    """

    name: str
    integrated: tuple[str, ...]
    sampled: tuple[str, ...]
    reason: str
    provider: Provider

    def __str__(self) -> str:
        """Return the plan in words."""
        facts = self._facts()
        return (
            f"Plan: {self.name}\n"
            f"  integrated exactly: {facts['integrated exactly']}\n"
            f"  sampled by NUTS:    {facts['sampled by NUTS']}\n"
            f"  why: {self.reason}"
        )

    def _repr_html_(self) -> str:
        """Notebook display."""
        return block(text_paragraph(f"Plan: {self.name}"), pairs(self._facts()))

    def _facts(self) -> dict[str, str]:
        none = "nothing" if self.sampled else "nothing (no latent or cluster-level quantities)"
        return {
            "integrated exactly": "; ".join(self.integrated) or none,
            "sampled by NUTS": "; ".join(("the parameters", *self.sampled)),
            "why": self.reason,
        }


_NORMAL = (
    "everything that varies over rows and clusters enters linearly and is normal, so the observed "
    "data are multivariate normal given the parameters"
)
_BY_SIZE = "; clusters of equal size share one covariance matrix, so the cost depends on the sizes"
_BY_CLUSTER = (
    "; random slopes give every cluster its own covariance matrix, computed from its cross products"
)
_BY_PATTERN = (
    "; missing values are integrated out with the rest, by response pattern, so the cost depends "
    "on the number of patterns in each cluster"
)
_NESTED = (
    "; what clusters say about their larger cluster is summed and absorbed there, so effects of "
    "both levels are integrated out in one pass"
)
_SAMPLED = (
    "random loadings, variances and correlations and random slopes on latent variables change the "
    "covariance matrix of a cluster, so they have no closed-form integral; given them everything "
    "else is normal and is integrated out"
)
_AUGMENTED = (
    "outcomes that are not normal have no closed-form integral over the effects and scores they "
    "depend on; given those, rows are independent, and what is normal is integrated out"
)
_SCALED = (
    "residual SDs of {} differ from row to row with what predicts them, so there are no cross "
    "products of clusters that say everything; given effects and scores, rows are independent, and "
    "what is normal is integrated out"
)


def make_plan(
    table: ParameterTable, *, incomplete: bool = False, unknown: tuple[str, ...] = ()
) -> Plan:
    """Choose the plan of a model.

    Parameters
    ----------
    table
        The parameter table.
    incomplete
        Whether outcomes have missing values.
    unknown
        From :func:`missing_predictors`.
    """
    if table.responses:
        return _augmented(table, unknown)
    if table.three_level:
        return _nested(table, incomplete)
    linear = linear_names(table)
    slopes = [r for r in table.rows if r.random in linear]
    sampled = [r for r in table.rows if r.random and r.random not in linear]
    sorts: list[tuple[str, str, tuple[str, ...]]]
    sorts = [("factor", "", table.variables("within", "within factor"))]
    if table.two_level:
        sorts = [
            ("within factor", "", table.variables("within", "within factor")),
            ("random intercept", "of ", table.variables("within", "split")),
            ("random slope", "", tuple(f"{r.random} ({_row(r)})" for r in slopes)),
            ("between factor", "", table.variables("between", "between factor")),
        ]
    integrated = _words(*sorts)
    by_size = _BY_SIZE if table.two_level and not incomplete else ""
    reason = (_SAMPLED if sampled else _NORMAL + (_BY_CLUSTER if slopes else by_size)) + (
        _BY_PATTERN if incomplete else ""
    )
    return Plan(
        name="partially marginal" if sampled else "marginal",
        integrated=integrated,
        sampled=_by_sort(sampled),
        reason=reason,
        provider=_provider(bool(sampled), bool(slopes), incomplete),
    )


def _nested(table: ParameterTable, incomplete: bool) -> Plan:
    """Plan of a three-level model: everything that varies is integrated out."""
    sorts: list[tuple[str, str, tuple[str, ...]]]
    sorts = [("within factor", "", table.variables("within", "within factor"))]
    slopes = [row for row in table.rows if row.random]
    for i, level in enumerate(table.levels[1:]):
        below = table.levels[i]
        rows = [row for row in slopes if row.level == below]
        at = f"of '{level}': "
        parts = tuple(v for v in table.variables(level, "split") if (below, v) in table.roles)
        sorts += [
            ("random intercept", at, parts),
            ("random slope", at, tuple(f"{row.random} ({_row(row)})" for row in rows)),
            ("factor", at, table.variables(level, "between factor")),
        ]
    if slopes:
        how = _BY_CLUSTER
    else:
        how = "" if incomplete else _BY_SIZE
    return Plan(
        name="marginal",
        integrated=_words(*sorts),
        sampled=(),
        reason=_NORMAL + how + _NESTED + (_BY_PATTERN if incomplete else ""),
        provider="nested" if slopes or incomplete else "nested size",
    )


def _check_nested(table: ParameterTable) -> None:
    """Refuse effects that would have to be sampled in a three-level model."""
    linear = linear_names(table)
    for row in table.rows:
        if row.level == "within" and row.random and row.random not in linear:
            (sort,) = _by_sort([row])
            raise NotSupportedError(
                f"{sort}: with three levels, what varies has to enter linearly (random intercepts "
                "and random slopes on observed covariates), because everything is integrated out; "
                f"{_SAMPLED.split(',')[0]}. Hold '{_row(row)}' constant, or leave out level "
                f"'{table.levels[2]}' (cluster='{table.levels[1]}'), where it can be sampled"
            )


def _augmented(table: ParameterTable, unknown: tuple[str, ...]) -> Plan:
    responses, clusters = families_by_level(table)
    scores, carried = sampled_scores(table, responses), carried_responses(table, responses)
    feeding = feeding_factors(table, clusters)
    intercepts = table.variables("within", "split") if table.two_level else ()
    others = [f for f in table.variables("within", "within factor") if f not in scores]
    between = table.variables("between", "between factor")
    constant = table.constant_log_sds if table.two_level else set(table.log_sds.values())
    named = (r.random for r in table.rows if r.random and r.random not in constant)
    coefficients = tuple(dict.fromkeys(named))
    return Plan(
        name="augmented",
        integrated=_words(
            ("within factor", "", tuple(others)),
            ("between factor", "", tuple(f for f in between if f not in feeding)),
        ),
        sampled=_words(
            ("score", "of ", scores),
            ("latent response", "of ", carried),
            ("missing value", "of ", unknown),
            ("random intercept", "of ", intercepts),
            ("random coefficient", "", coefficients),
            ("between factor", "", feeding),
        ),
        reason=_reason(table),
        provider="augmented",
    )


def _reason(table: ParameterTable) -> str:
    families, scaled = table.families, list(table.log_sds)
    reasons = []
    if families:
        named = ", ".join(f"{y}: {f.text}" for y, f in families.items())
        reasons.append(f"{_AUGMENTED} ({named})")
    if scaled:
        reasons.append(_SCALED.format(", ".join(scaled)))
    return "; ".join(reasons)


def _words(*sorts: tuple[str, str, tuple[str, ...]]) -> tuple[str, ...]:
    """One entry per sort that is there, such as "random intercepts of y1, y2"."""
    return tuple(
        f"{sort}{'s' if len(names) > 1 else ''} {of}{', '.join(names)}"
        for sort, of, names in sorts
        if names
    )


def _provider(sampled: bool, slopes: bool, incomplete: bool) -> Provider:
    if sampled:
        return "sampled"
    if incomplete:
        return "pattern"
    return "cluster" if slopes else "size"


def _by_sort(rows: list[Row]) -> tuple[str, ...]:
    what = {
        "loading": "random loading",
        "regression": "random slope on a latent part",
        "variance": "random log SD",
        "covariance": "random Fisher-z correlation",
    }
    members: dict[str, list[str]] = {}
    for row in rows:
        members.setdefault(what[row.kind], []).append(f"{row.random} ({_row(row)})")
    return tuple(f"{sort}: {', '.join(names)}" for sort, names in members.items())


def _row(row: Row) -> str:
    return f"{row.lhs} {row.op} {row.rhs}"


def check_plan(table: ParameterTable, observed: ObservedData) -> None:
    """Refuse what can be declared and printed, but not sampled yet.

    Raises
    ------
    NotSupportedError
        An outcome of clusters that is not normal and a predictor, or has a covariance; missing
        values of a normal outcome that predicts a latent response on which others depend, or an
        outcome of clusters that is not normal, where that is observed.
    """
    if table.three_level:
        _check_nested(table)
    responses, clusters = families_by_level(table)
    check_cluster_responses(table, clusters)
    _check_predictors(table, observed, responses)
    _check_cluster_predictors(table, observed, clusters)


def _check_cluster_predictors(
    table: ParameterTable, observed: ObservedData, responses: Mapping[str, Family]
) -> None:
    """Check that normal cluster-level variables are observed where a response needs them."""
    missing = dict(zip(observed.z_names, np.isnan(observed.z).T, strict=True))
    for row in table.rows:
        target, source = edge(row, "between") or ("", "")
        if target not in responses or source not in observed.normal_z_names:
            continue
        gone = int((missing[source] & ~missing[target]).sum())
        if gone:
            raise NotSupportedError(
                f"'{_row(row)}': {gone} values of '{source}' are missing where they predict "
                f"{target}, which is {responses[target].text}; a predictor of such an outcome has "
                "to be known. missing='listwise' drops these clusters"
            )


def missing_predictors(table: ParameterTable, observed: ObservedData) -> tuple[str, ...]:
    """Return the normal outcomes that are missing where others with responses need them."""
    responses, _ = families_by_level(table)
    outcomes: dict[str, list[str]] = {name: [name] for name in responses}
    for outcome, log_sd in table.log_sds.items():
        outcomes.setdefault(log_sd, []).append(outcome)
    missing = dict(zip(observed.y_names, np.isnan(observed.y).T, strict=True))
    found = dict.fromkeys(
        source
        for target, source in (edge(row) or ("", "") for row in table.rows)
        if source in missing and source not in responses
        for outcome in outcomes.get(target, ())
        if (missing[source] & ~missing[outcome]).any()
    )
    return tuple(found)


def _check_predictors(
    table: ParameterTable, observed: ObservedData, responses: Mapping[str, Family]
) -> None:
    """Check that normal outcomes are observed where a response, or the y* of one, needs them."""
    carried = carried_responses(table, responses) if responses else ()
    missing = dict(zip(observed.y_names, np.isnan(observed.y).T, strict=True))
    for row in table.rows:
        target, source = edge(row) or ("", "")
        if target not in carried or source in responses or source not in missing:
            continue
        gone = int(missing[source].sum())
        if gone:
            raise NotSupportedError(
                f"'{_row(row)}': {gone} values of '{source}' are missing where they predict "
                f"{target}, which is {responses[target].text} and has a latent response that other "
                "variables depend on; a predictor of such an outcome has to be known. Let a "
                f"factor with '{source}' among its indicators take its place, or drop these rows "
                "with missing='listwise'"
            )
