"""What the user declares of outcomes: ``ordered=``, ``families=`` and ``exposure=``.

Only names and words are checked here; what the data say comes with
:mod:`bayes_msem.data.codings`, what the roles of variables allow with
:mod:`bayes_msem.spec.outcome_rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bayes_msem.arguments import shown
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.outcomes.families import Family, family
from bayes_msem.spec.statements import ParsedModel
from bayes_msem.wording import listed

__all__ = ["declared_families", "read_exposure", "settled_family"]

_ORDERED = "ordinal(probit)"


def declared_families(
    parsed: ParsedModel,
    columns: Sequence[str],
    *,
    ordered: Any = None,
    families: Any = None,
) -> dict[str, Family]:
    """Read which family each outcome has; those without one are normal.

    Parameters
    ----------
    parsed
        The statements, whose indicators ``ordered=True`` means.
    columns
        Columns of the data.
    ordered
        Names of ordered outcomes (probit link), or True for all observed indicators that
        ``families`` does not name.
    families
        Family by outcome, such as ``{"y1": "ordinal(logit)"}``.

    Raises
    ------
    SpecificationError
        An unknown family or name, or two declarations that contradict each other.

    Examples
    --------
    >>> from bayes_msem.spec.parser import parse
    >>> found = declared_families(
    ...     parse("f =~ y1 + y2; c ~ f"),
    ...     ["y1", "y2", "c"],
    ...     ordered=True,
    ...     families={"c": "poisson"},
    ... )
    >>> {name: family.text for name, family in found.items()}
    {'c': 'poisson', 'y1': 'ordinal(probit)', 'y2': 'ordinal(probit)'}
    """
    found = _read_families(families)
    for name in found:
        _check_column(name, columns, "families")
    for name in _read_ordered(ordered, parsed, columns):
        _check_column(name, columns, "ordered")
        given = found.get(name)
        if given is None:
            found[name] = family(_ORDERED)
        elif ordered is not True and not given.has_thresholds:
            raise SpecificationError(
                f"'{name}' is declared twice: as ordered, and as {given.text} in families; take it "
                "out of one of them"
            )
    return found


def _read_families(families: Any) -> dict[str, Family]:
    if families is None:
        return {}
    if not isinstance(families, Mapping):
        raise SpecificationError(
            "families must be a mapping such as {'y1': 'ordinal(probit)', 'c': 'poisson'}, got "
            f"{shown(families)}"
        )
    found: dict[str, Family] = {}
    for name, text in families.items():
        try:
            found[name] = text if isinstance(text, Family) else family(text)
        except SpecificationError as error:
            raise SpecificationError(f"families[{name!r}]: {error}") from None
    return found


def _read_ordered(ordered: Any, parsed: ParsedModel, columns: Sequence[str]) -> list[str]:
    if ordered is None or ordered is False:
        return []
    if ordered is True:
        measured = (f.term.name for f in parsed.formulas if f.op == "=~")
        names = list(dict.fromkeys(name for name in measured if name in columns))
        if not names:
            raise SpecificationError(
                "ordered=True means all observed indicators (right of '=~'), but the model text "
                "has none; name the ordered outcomes, e.g. ordered=['y']"
            )
        return names
    if isinstance(ordered, str):
        return [ordered]
    if isinstance(ordered, Mapping) or not isinstance(ordered, Iterable):
        raise SpecificationError(
            f"ordered must be a list of names, or True for all indicators, got {shown(ordered)}"
        )
    return list(ordered)


def _check_column(name: Any, columns: Sequence[str], argument: str) -> None:
    if isinstance(name, str) and name in columns:
        return
    raise SpecificationError(
        f"{argument} names {name!r}, which is no column of the data"
        f"{nearest(str(name), columns) or '.'} Only observed outcomes have a family"
    )


def settled_family(name: str, declared: Family, categories: Sequence[Any]) -> Family:
    """Return the family that the categories in the data leave: with two, ordinal is binary.

    Parameters
    ----------
    name
        The outcome.
    declared
        A family with thresholds.
    categories
        Labels of the categories in order.

    Raises
    ------
    SpecificationError
        Binary is declared and there are more than two.
    """
    if len(categories) == 2:
        return family(f"binary({declared.link})")
    if declared.name == "binary":
        raise SpecificationError(
            f"'{name}' is declared {declared.text}, but has {len(categories)} categories "
            f"({listed(list(categories)[:5])}{', ...' if len(categories) > 5 else ''}); declare it "
            f"'ordinal({declared.link})', or code it by two values"
        )
    return declared


def read_exposure(
    exposure: Any, families: Mapping[str, Family], columns: Sequence[str]
) -> dict[str, str]:
    """Read which column holds the exposure of each count.

    Parameters
    ----------
    exposure
        Column by outcome, such as ``{"c": "hours"}``.
    families
        Declared families.
    columns
        Columns of the data.

    Raises
    ------
    SpecificationError
        Of something that is no count, or an unknown column.
    """
    if exposure is None:
        return {}
    if not isinstance(exposure, Mapping):
        raise SpecificationError(
            "exposure must be a mapping from counts to columns, such as {'c': 'hours'}, got "
            f"{shown(exposure)}"
        )
    counts = [name for name, found in families.items() if found.link == "log"]
    for name, column in exposure.items():
        if name not in counts:
            raise SpecificationError(
                f"exposure[{name!r}]: '{name}' is not declared as a count; only counts have an "
                f"exposure (families={{{name!r}: 'poisson'}}). Declared counts: "
                f"{', '.join(counts) or 'none'}"
            )
        if not isinstance(column, str) or column not in columns:
            raise SpecificationError(
                f"exposure[{name!r}] is {shown(column)}, which is no column of the data"
                f"{nearest(str(column), columns) or '.'} Give the name of the column that holds "
                "the time or the number at risk"
            )
    return dict(exposure)
