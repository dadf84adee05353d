"""From what is declared of outcomes to their families, codes and exposures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bayes_msem.data.codings import Coding, read_codings
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.declared_families import declared_families, read_exposure, settled_family
from bayes_msem.spec.outcome_rows import not_normal
from bayes_msem.spec.roles import assign_roles
from bayes_msem.spec.statements import ParsedModel

__all__ = ["DeclaredOutcomes", "named_outcomes", "plain_outcomes", "read_outcomes"]


@dataclass(frozen=True, slots=True)
class DeclaredOutcomes:
    """What is known of outcomes that are not normal before there is a table.

    Attributes
    ----------
    families
        Family of each declared outcome.
    codings
        Codes and labels of the ordered ones.
    exposure
        Column with the exposure of each count that has one.
    """

    families: Mapping[str, Family]
    codings: Mapping[str, Coding]
    exposure: Mapping[str, str]

    @property
    def categories(self) -> dict[str, int]:
        """Number of categories of each ordered outcome."""
        return {name: len(coding.labels) for name, coding in self.codings.items()}


def named_outcomes(ordered: Any, families: Any) -> list[str]:
    """Names among ``ordered=`` and ``families=``, whatever else these hold."""
    named = [ordered] if isinstance(ordered, str) else ordered
    again = isinstance(named, Iterable) and not isinstance(named, Iterator)  # may be read twice
    found = [*(named if again else ())]
    found += families if isinstance(families, Mapping) else ()
    return [name for name in found if isinstance(name, str)]


def read_outcomes(
    frame: pd.DataFrame,
    parsed: ParsedModel,
    cluster: str | None,
    ordered: Any,
    families: Any,
    exposure: Any,
) -> DeclaredOutcomes:
    """Read ``ordered=``, ``families=`` and ``exposure=``, and the columns of ordered outcomes.

    Parameters
    ----------
    frame
        The data.
    parsed
        The statements of the model text.
    cluster
        The column that identifies clusters.
    ordered, families, exposure
        As for :class:`bayes_msem.Model`.

    Raises
    ------
    SpecificationError
        A declaration that makes no sense.
    DataError
        A column that has no ordered categories.
    """
    columns = list(frame.columns)
    declared = declared_families(parsed, columns, ordered=ordered, families=families)
    exposed = read_exposure(exposure, declared, columns)
    if declared:
        declared = not_normal(declared, assign_roles(parsed, columns, cluster=cluster))
    codings = read_codings(frame, declared)
    for name, coding in codings.items():
        declared[name] = settled_family(name, declared[name], coding.labels)
    return DeclaredOutcomes(declared, codings, exposed)


def plain_outcomes(
    ordered: Sequence[str] | bool | None,
    families: Mapping[str, Any] | None,
    exposure: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return the three arguments as JSON-able values."""
    names: Any = ordered
    if not (ordered is None or isinstance(ordered, bool | str)):
        names = [str(name) for name in ordered]
    texts = {name: getattr(given, "text", given) for name, given in (families or {}).items()}
    return {
        "ordered": names,
        "families": None if families is None else texts,
        "exposure": None if exposure is None else dict(exposure),
    }
