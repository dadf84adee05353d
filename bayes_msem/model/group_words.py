"""Arguments on groups that make no sense in a model without groups."""

from __future__ import annotations

from typing import Any

from bayes_msem.errors import SpecificationError

__all__ = ["check_no_groups"]


def check_no_groups(group_equal: Any, group_partial: Any, wiggle: Any) -> None:
    """Raise SpecificationError if something is said on groups, but no column of groups is named."""
    given = {"group_equal": group_equal, "group_partial": group_partial, "wiggle": wiggle}
    for name, value in given.items():
        if value is not None:
            raise SpecificationError(
                f"{name} says what is equal in several groups, but group= is not given; name the "
                "column of the groups, e.g. group='country'"
            )
