"""Which latent responses have to be sampled: those that other variables of their row depend on.

A response y* is a predictor, or its residual is correlated with another one's. Given the sampled y*
and scores, all responses are independent again, provided that nothing depends on itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from bayes_msem.errors import NotSupportedError
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.table import ParameterTable, Row
from bayes_msem.structure.items import edge

__all__ = ["carried_responses", "correlated"]


def correlated(row: Row, families: Mapping[str, Family]) -> bool:
    """Whether the row is a correlation of two residuals of responses."""
    return row.level == "within" and row.kind == "covariance" and row.lhs in families


def carried_responses(table: ParameterTable, families: Mapping[str, Family]) -> tuple[str, ...]:
    """Responses whose y* are sampled, such that none depends on a later one.

    Of responses with correlated residuals all but one are carried.

    Parameters
    ----------
    table
        The parameter table.
    families
        Outcomes of level within that are not normal.

    Raises
    ------
    NotSupportedError
        One of them is not a probit; a covariance with something that is not a response; a cycle.
    """
    pairs = _check(table, families)
    edges = [ends for ends in map(edge, table.rows) if ends is not None]
    predictors = {source for _, source in edges if source in families}
    wanted = predictors | _all_but_one(pairs, predictors, list(families))
    if not wanted:
        return ()
    for name in sorted(predictors):
        _check_probit(name, families, f"{name} is a predictor within clusters")
    order = _order(edges)
    return tuple(sorted(wanted, key=lambda name: (order.get(name, -1), list(families).index(name))))


def _check(table: ParameterTable, families: Mapping[str, Family]) -> list[tuple[str, str]]:
    """Pairs of responses with correlated residuals."""
    pairs = []
    for row in table.rows:
        mine = [name for name in dict.fromkeys((row.lhs, row.rhs)) if name in families]
        if row.level != "within" or row.kind != "covariance" or not mine:
            continue
        if len(mine) == 1:
            other = row.rhs if row.lhs in families else row.lhs
            raise NotSupportedError(
                f"'{row.lhs} ~~ {row.rhs}' is a covariance of {mine[0]}, which is "
                f"{families[mine[0]].text}, with {other}, which is normal; only residuals of two "
                "probits can covary. Regress one on the other, or add a factor with both as "
                "indicators"
            )
        if row.random:
            raise NotSupportedError(
                f"'{row.lhs} ~~ {row.rhs}' is a random correlation of responses that are not "
                "normal; it has to be the same in all clusters"
            )
        for name in mine:
            _check_probit(name, families, f"'{row.lhs} ~~ {row.rhs}' correlates its residual")
        pairs.append((row.lhs, row.rhs))
    return pairs


def _check_probit(name: str, families: Mapping[str, Family], why: str) -> None:
    family = families[name]
    if family.link != "probit":
        way = "a probit link" if family.has_thresholds else "gaussian"
        raise NotSupportedError(
            f"{why}, and {name} is {family.text}; its latent response is normal only with a probit "
            f"link. Declare it with {way}, or let a factor with {name} among its indicators take "
            "its place"
        )


def _all_but_one(
    pairs: list[tuple[str, str]], predictors: set[str], families: list[str]
) -> set[str]:
    """Of every group of correlated residuals all but one, which is no predictor if possible."""
    groups: list[set[str]] = []
    for pair in pairs:
        joined = set(pair).union(*(g for g in groups if g & set(pair)))
        groups = [g for g in groups if not g & joined] + [joined]
    chosen: set[str] = set()
    for group in groups:
        last = max(group, key=lambda name: (name not in predictors, families.index(name)))
        chosen |= group - {last}
    return chosen


def _order(edges: list[tuple[str, str]]) -> dict[str, int]:
    """Places of the variables, sources before targets."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for target, source in edges:
        sorter.add(target, source)
    try:
        return {name: place for place, name in enumerate(sorter.static_order())}
    except CycleError as error:
        path = " -> ".join(error.args[1])
        raise NotSupportedError(
            f"variables of level within depend on themselves ({path}), among or beside latent "
            "responses that are predictors or have correlated residuals; remove one of these paths"
        ) from error
