"""The blueprint of several groups.

Its table is the joint one, in which every group has variables of its own (spec.group_tables), and
its data have a column for each of them: outcomes of other groups are missing. So searches, priors
and printed names work as for one group. The likelihood is the sum of those of the groups, which
share one vector of parameters. ``parts`` has a blueprint for each group with that vector.

A covariate has no values in other groups. Their rows get its mean plus and minus its standard
deviation, which leaves both as they are; no likelihood reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.prior_arrays import pack_priors
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import NotSupportedError
from bayes_msem.likelihood.approximation import Approximation
from bayes_msem.likelihood.grouped_likelihood import GroupedLikelihood, Place, grouped_likelihood
from bayes_msem.likelihood.likelihood import Likelihood, build_likelihood
from bayes_msem.likelihood.plan import make_plan
from bayes_msem.spec.group_tables import GroupTables, in_words, tagged
from bayes_msem.spec.prior_text import Prior
from bayes_msem.structure.model_template import ModelTemplate, build_template
from bayes_msem.structure.parameters import Group, Parameters, build_parameters

__all__ = ["build_grouped", "joint_data", "with_parts"]

FloatArray = NDArray[np.float64]


def build_grouped(
    tables: GroupTables,
    priors: Mapping[int, Prior],
    wide: Mapping[int, Prior],
    observed: Sequence[ObservedData],
) -> Blueprint:
    """Assemble the blueprint of several groups.

    Parameters
    ----------
    tables
        Parameter tables with the priors filled in.
    priors, wide
        Free number -> prior, and wide default prior.
    observed
        The data of every group.
    """
    data, places = joint_data(observed, tables.groups)
    parameters = build_parameters(tables.joint, dict(priors))
    parameters = _with_plain_labels(parameters, tables)
    template = _joint_template(tables, data, parameters)
    provider = make_plan(
        tables.local[0], incomplete=any(own.incomplete for own in observed)
    ).provider
    arrays = pack_priors(tables.joint, parameters)
    labels = {
        row.label: parameters.position[row.free]
        for row in tables.joint.rows
        if row.free and row.label
    }
    parts = []
    for table, own in zip(tables.local, observed, strict=True):
        local = build_template(
            table,
            y_names=own.y_names,
            z_names=own.z_names,
            x_names=own.x_names,
            w_names=own.w_names,
            position=parameters.position,
        )
        likelihood = build_likelihood(local, parameters, table, own, provider)
        part = Blueprint(table, priors, own, parameters, local, likelihood, arrays, labels=labels)
        parts.append(part)
    joint = grouped_likelihood(
        [part.likelihood for part in parts], places, template, parameters, tables.modelled
    )
    return Blueprint(
        tables.joint,
        priors,
        data,
        parameters,
        template,
        joint,
        arrays,
        parts=tuple(parts),
        wide=wide,
    )


def with_parts(blueprint: Blueprint, parts: Sequence[Blueprint], pilot: FloatArray) -> Blueprint:
    """Return the same blueprint with the coordinates of its groups' sampled effects."""
    assert isinstance(blueprint.likelihood, GroupedLikelihood)
    own = [part.likelihood.approximation for part in parts]
    if len({a.linear.shape[1] for a in own}) > 1 or len({a.z.shape[1] for a in own}) > 1:
        raise NotSupportedError(
            "the constants in c(...) make random coefficients depend on different quantities in "
            "different groups; free the same rows at level between in all groups"
        )
    joined = Approximation(
        np.concatenate([a.information for a in own]),
        np.concatenate([a.linear for a in own]),
        own[0].n_sampled,
        np.concatenate([a.z for a in own]),
    )
    likelihood = replace(
        blueprint.likelihood.with_parts([part.likelihood for part in parts]), approximation=joined
    )
    return replace(blueprint, likelihood=likelihood, parts=tuple(parts), pilot=pilot)


def _joint_template(
    tables: GroupTables, data: ObservedData, parameters: Parameters
) -> ModelTemplate:
    template = build_template(
        tables.modelled,
        y_names=data.y_names,
        z_names=data.z_names,
        x_names=data.x_names,
        w_names=data.w_names,
        position=parameters.position,
    )
    extra = {
        r.key: parameters.position[r.free] for r in tables.joint.rows if r.free in tables.extra
    }
    return replace(template, sources=template.sources | extra)


def _with_plain_labels(parameters: Parameters, tables: GroupTables) -> Parameters:
    """Name parameters as users see them: "fw =~ y2 [DE]", or "fw =~ y2" if groups share it."""
    public = {p.free: p for p in reversed(tables.public) if p.free}

    def label(free: int, group: Group) -> str:
        row = public[free]
        text = f"{row.lhs} {row.op} {row.rhs}"
        # covariances that are sampled as they are stand among all covariances, one per group
        everywhere = free in tables.shared and (
            group.kind != "covariance" or group.family == "beta"
        )
        return text if everywhere else f"{text} [{row.group}]"

    groups = tuple(
        replace(group, labels=tuple(label(free, group) for free in group.free))
        for group in parameters.groups
    )
    return replace(parameters, groups=groups)


def joint_data(
    observed: Sequence[ObservedData], groups: Sequence[str]
) -> tuple[ObservedData, list[Place]]:
    """Put the data of groups side by side, with a column for every variable of every group."""
    n_rows = [own.n_rows for own in observed]
    n_clusters = [own.n_clusters for own in observed]
    two_level = observed[0].two_level
    starts = np.cumsum([0, *n_rows])
    firsts = np.cumsum([0, *n_clusters])
    lengths = [len(observed[0].y_names), len(observed[0].z_names)]
    lengths += [len(observed[0].x_names), len(observed[0].w_names)]
    cluster = None
    if two_level:
        codes = [own.cluster for own in observed if own.cluster is not None]
        cluster = np.concatenate([c + first for c, first in zip(codes, firsts, strict=False)])

    def names(attribute: str) -> tuple[str, ...]:
        pairs = zip(groups, observed, strict=True)
        return tuple(tagged(v, g) for g, own in pairs for v in getattr(own, attribute))

    first_index = observed[0].row_index
    joint = ObservedData(
        y=_blocks([own.y for own in observed], _nothing),
        y_names=names("y_names"),
        split_names=names("split_names"),
        z=_blocks([own.z for own in observed], _nothing),
        z_names=names("z_names"),
        x=_blocks([own.x for own in observed], _around),
        x_names=names("x_names"),
        w=_blocks([own.w for own in observed], _around),
        w_names=names("w_names"),
        cluster=cluster,
        cluster_ids=_appended([own.cluster_ids for own in observed])
        if two_level
        else observed[0].cluster_ids,
        cluster_name=observed[0].cluster_name,
        sizes=np.concatenate([own.sizes for own in observed]),
        row_index=_appended([own.row_index for own in observed]).rename(first_index.name),
        dropped=sum(own.dropped for own in observed),
    )
    places = []
    for g, own in enumerate(observed):
        y, z, x, w = (slice(g * n, (g + 1) * n) for n in lengths)
        places.append(Place(np.arange(starts[g], starts[g + 1]), y, z, x, w, own))
    return joint, places


def _appended(indexes: Sequence[pd.Index]) -> pd.Index:
    first, *others = indexes
    return first.append(list(others)) if others else first


def _nothing(column: FloatArray, n: int) -> FloatArray:
    return np.full(n, np.nan)


def _around(column: FloatArray, n: int) -> FloatArray:
    seen = column[np.isfinite(column)]
    if not len(seen):
        return np.zeros(n)
    filled = np.full(n, seen.mean())
    even = n - n % 2
    filled[:even] += np.tile([1.0, -1.0], even // 2) * seen.std()
    return filled


def _blocks(
    arrays: Sequence[FloatArray], fill: Callable[[FloatArray, int], FloatArray]
) -> FloatArray:
    """Block-diagonal matrix of arrays, filled elsewhere."""
    n, k = sum(len(a) for a in arrays), sum(a.shape[1] for a in arrays)
    out = np.empty((n, k))
    row = column = 0
    for array in arrays:
        for values in array.T:
            inside = slice(row, row + len(array))
            elsewhere = np.ones(n, dtype=bool)
            elsewhere[inside] = False
            out[inside, column] = values
            out[elsewhere, column] = fill(values, n - len(array))
            column += 1
        row += len(array)
    out.setflags(write=False)
    return out


def likelihood_parts(blueprint: Blueprint) -> tuple[Likelihood, ...]:
    """Return the likelihoods of the groups."""
    assert isinstance(blueprint.likelihood, GroupedLikelihood)
    return blueprint.likelihood.parts


def label_in_words(label: str, tables: GroupTables) -> str:
    """Write the label of a joint row as users see it."""
    names = [row.group for row in tables.public if row.group]
    return in_words(label, list(dict.fromkeys(names)))
