"""Priors of several groups: equal for a coefficient in all groups, unless the user says otherwise.

Default priors have the scales of the data of all groups together, so that a parameter that groups
share has one prior, and parameters that they do not share can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.default_priors import Units, default_priors
from bayes_msem.spec.group_tables import AVERAGE, GroupTables, tagged
from bayes_msem.spec.prior_sets import PriorSetName
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.row_names import find_row, is_key, key_text, matching_rows, rows_of_kind
from bayes_msem.spec.table import ParameterTable, Row
from bayes_msem.spec.user_priors import resolve_priors
from bayes_msem.spec.variable_scales import Scales

__all__ = ["group_priors", "scales_in_groups", "wide_group_priors"]


def scales_in_groups(scales: Scales, groups: Sequence[str]) -> Scales:
    """Give the variables of every group the same scales."""

    def everywhere(values: Mapping[str, float]) -> dict[str, float]:
        return {tagged(v, g): value for g in groups for v, value in values.items()}

    return Scales(
        mean=everywhere(scales.mean),
        within=everywhere(scales.within),
        between=everywhere(scales.between),
        predictor=everywhere(scales.predictor),
    )


def group_priors(
    tables: GroupTables,
    twin: GroupTables,
    scales: Scales,
    user: Mapping[Any, str | Prior] | str | None,
    wiggle_sd: float,
) -> dict[int, Prior]:
    """Give every free parameter its prior.

    Parameters
    ----------
    tables
        The tables of the model.
    twin
        The same tables, with what is nearly equal being equal; ``tables`` if nothing is.
    scales
        Location and scale of the variables in the data of all groups.
    user
        As for :func:`bayes_msem.spec.user_priors.resolve_priors`; rows may have a group.
    wiggle_sd
        Prior SD of the difference between two groups' nearly equal parameters, in units of the
        scale of the coefficient.

    Returns
    -------
    dict
        Prior by free number.
    """
    everywhere = scales_in_groups(scales, tables.groups)
    wishes = _in_joint(twin, user) if isinstance(user, Mapping) else user
    _, priors = resolve_priors(twin.joint, everywhere, wishes)
    return _onto(tables, twin, priors, Units(twin.joint, everywhere), wiggle_sd)


def wide_group_priors(
    tables: GroupTables, twin: GroupTables, scales: Scales, wiggle_sd: float
) -> dict[int, Prior]:
    """Wide default priors, for starting values and units; arguments as of :func:`group_priors`."""
    everywhere = scales_in_groups(scales, tables.groups)
    name: PriorSetName = "wide"
    priors = default_priors(twin.joint, everywhere, name)
    return _onto(tables, twin, priors, Units(twin.joint, everywhere), wiggle_sd)


def _onto(
    tables: GroupTables,
    twin: GroupTables,
    priors: Mapping[int, Prior],
    units: Units,
    wiggle_sd: float,
) -> dict[int, Prior]:
    """Take the priors of the twin, and add those of differences."""
    if tables is twin:
        return dict(priors)
    known = {p.key: (p, j) for p, j in zip(twin.public, twin.joint.rows, strict=True)}
    found: dict[int, Prior] = {}
    for row in tables.public:
        if not row.free or row.free in found:
            continue
        group = tables.groups[0] if row.group == AVERAGE else row.group
        key = type(row.key)(*row.key[:4], group)
        if key in known:
            found[row.free] = priors[known[key][0].free]
        else:
            first = known[type(row.key)(*row.key[:4], tables.groups[0])][1]
            sd = wiggle_sd / 2**0.5 * _unit(first, units)
            found[row.free] = Prior("normal", (0.0, float(f"{sd:.3g}")), "")
    return found


def _unit(row: Row, units: Units) -> float:
    """Scale of a coefficient: of a loading or slope SD per SD, of an intercept one SD."""
    if row.kind == "loading":
        return units.loading(row)
    if row.kind == "regression":
        return units.slope(row)
    return units.total(row.level, row.lhs)


def _in_joint(tables: GroupTables, user: Mapping[Any, str | Prior]) -> dict[Any, str | Prior]:
    """Name the rows of the joint table in the place of those that the user sees."""
    joint = dict(zip((r.key for r in tables.public), tables.joint.rows, strict=True))
    labels = {r.label for r in tables.public if r.label}
    found: dict[Any, str | Prior] = {}
    for name, prior in user.items():
        rows = matching_rows(tables.public, name)
        is_row = is_key(name) or (isinstance(name, str) and name.strip() not in labels)
        if not rows or not is_row or (not is_key(name) and rows_of_kind(tables.public, name)):
            found[name] = prior
            continue
        _check_one_level(rows, name)
        free = {r.free: r for r in reversed(rows) if r.free}
        if not free:
            raise SpecificationError(
                f"priors: '{key_text(rows[0].key)}' is not free in any group, so it has no prior"
            )
        for row in free.values():
            target = joint[row.key].key
            if target in found and len(rows) > 1:
                continue  # one group's own prior stands
            found[target] = prior
    return found


def _check_one_level(rows: Sequence[Row], name: Any) -> None:
    if len({r.level for r in rows if r.free}) > 1:
        first = rows[0].group
        find_row([r for r in rows if r.group == first], name, what="priors")


def prior_texts(table: ParameterTable, priors: Mapping[int, Prior]) -> dict[int, str]:
    """Text of every free parameter's prior."""
    return {row.free: str(priors[row.free]) for row in table.rows if row.free}
