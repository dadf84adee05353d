"""Refusal of what is computed as if all outcomes were normal."""

from __future__ import annotations

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import NotSupportedError

__all__ = ["check_normal_outcomes"]


def check_normal_outcomes(blueprint: Blueprint, what: str, instead: str) -> None:
    """Raise if the model has outcomes that are not normal.

    Parameters
    ----------
    blueprint
        The model.
    what
        What was asked for, such as "fit.indices()".
    instead
        A sentence without a full stop on what to use.

    Raises
    ------
    NotSupportedError
        Some outcome has another family; the message names it.
    """
    families = blueprint.table.responses
    if not families:
        return
    named = ", ".join(f"{name}: {family.text}" for name, family in families.items())
    raise NotSupportedError(
        f"{what} would take all outcomes to be normal, and this model has others ({named}). "
        f"{instead}"
    )
