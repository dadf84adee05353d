"""What the text says about one group: the entries of ``c(a1, a2)*x``.

``c()`` has one entry for each group, in the order of the groups: a label, a number that fixes the
coefficient, or NA that frees it. Without ``c()`` a modifier holds in all groups; so ``a*x`` makes
the coefficient equal in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.statements import Formula, Modifiers, ParsedModel

__all__ = ["in_group", "refuse_by_group"]


def in_group(parsed: ParsedModel, number: int, groups: Sequence[str]) -> ParsedModel:
    """Return the statements as they hold in one group.

    Parameters
    ----------
    parsed
        The statements of the text.
    number
        Of the group, from 0.
    groups
        Names of all groups, in their order.

    Raises
    ------
    SpecificationError
        ``c()`` has more or fewer entries than there are groups.
    """
    return replace(parsed, formulas=tuple(_formula(f, number, groups) for f in parsed.formulas))


def refuse_by_group(parsed: ParsedModel) -> None:
    """Raise SpecificationError if a modifier has entries for groups; for models without groups."""
    for f in parsed.formulas:
        if f.term.modifiers.by_group:
            raise SpecificationError(
                f"c(...) before '{f.term.name}' (line {f.span.line}) has one entry for each group, "
                "but the model has no groups; name the column of the groups, "
                "Model(..., group='country'), or give one label or number"
            )


def _formula(formula: Formula, number: int, groups: Sequence[str]) -> Formula:
    given = formula.term.modifiers.by_group
    if not given:
        return formula
    if len(given) != len(groups):
        raise SpecificationError(
            f"c(...) before '{formula.term.name}' (line {formula.span.line}) has {len(given)} "
            f"entries, but there are {len(groups)} groups: {', '.join(groups)}; write one entry "
            "for each, in this order"
        )
    modifiers = _chosen(replace(formula.term.modifiers, by_group=()), given[number])
    return replace(formula, term=replace(formula.term, modifiers=modifiers))


def _chosen(modifiers: Modifiers, entry: str | float | None) -> Modifiers:
    if entry is None:
        return replace(modifiers, free=True)
    if isinstance(entry, str):
        return replace(modifiers, label=entry, bare_label=True)
    # a number takes the place of a prior and a starting value that hold in the other groups
    return replace(modifiers, fixed=entry, prior=None, start=None)
