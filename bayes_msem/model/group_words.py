"""What makes no sense without groups, and what is not there with several."""

from __future__ import annotations

from typing import Any

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.spec.defaults import Declared

__all__ = ["check_no_groups", "refuse_declared"]


def check_no_groups(group_equal: Any, group_partial: Any, wiggle: Any) -> None:
    """Raise SpecificationError if something is said on groups, but no column of groups is named."""
    given = {"group_equal": group_equal, "group_partial": group_partial, "wiggle": wiggle}
    for name, value in given.items():
        if value is not None:
            raise SpecificationError(
                f"{name} says what is equal in several groups, but group= is not given; name the "
                "column of the groups, e.g. group='country'"
            )


def refuse_declared(declared: Declared) -> None:
    """Raise NotSupportedError for what models of several groups do not have yet."""
    for block in declared.blocks:
        raise NotSupportedError(
            f'exploratory factors, efa("{block.name}"), of several groups are not there yet, '
            "because rotations of groups would have to agree; use confirmatory factors with "
            "group_equal=['loadings'], or fit each group by itself"
        )
    for (_, name), role in declared.roles.items():
        if role == "log SD":
            raise NotSupportedError(
                f"'{name}', the log SD of residuals, has predictors at level within; that is not "
                "there for several groups yet. Fit each group by itself, or let the group predict "
                f"it: '{name} ~ x + g' with a column g of 0 and 1"
            )
