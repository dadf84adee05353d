"""The template of a model: its levels, and the effects that link them.

There is one kind of template for all models. A level is made of rows of the parameter table with
its name; a random coefficient has no cell at its own level but is an outcome of the next one
(structure.effects says how it enters). A single-level model has a second level without outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.spec.table import ParameterTable, RowKey
from bayes_msem.structure.cluster_responses import (
    ClusterResponses,
    build_cluster_responses,
    families_by_level,
    feeding_factors,
)
from bayes_msem.structure.effects import Effects, find_effects
from bayes_msem.structure.response_template import ResponseTemplate, build_responses
from bayes_msem.structure.templates import LevelTemplate, level_template, place_rows

__all__ = ["ModelTemplate", "build_template"]


@dataclass(frozen=True, slots=True)
class ModelTemplate:
    """The template of a model.

    Attributes
    ----------
    levels
        Templates of the levels, the lowest first.
    effects
        What the upper level supplies to the lower one.
    z_names, every_z
        Cluster-level variables that are normal, and all of them.
    constants
        Fixed values, at the end of the value vector (theta, rows of sampled effects, constants).
    sources
        Row key -> position in the value vector, for all rows that have a cell.
    n_theta
        Number of free parameters and constrained rows.
    responses
        Rows with outcomes that are not normal; None if all are normal. Level within then is that of
        the latent responses.
    cluster_responses
        Cluster-level outcomes that are not normal; None if there are none. With some, there are
        ``responses`` too, if only of normal outcomes.
    """

    levels: tuple[LevelTemplate, LevelTemplate]
    effects: Effects
    z_names: tuple[str, ...]
    every_z: tuple[str, ...]
    constants: NDArray[np.float64]
    sources: dict[RowKey, int]
    n_theta: int
    responses: ResponseTemplate | None = None
    cluster_responses: ClusterResponses | None = None

    @property
    def within(self) -> LevelTemplate:
        """The level of rows: outcomes y, design (1, x)."""
        return self.levels[0]

    @property
    def between(self) -> LevelTemplate:
        """The level of clusters: outcomes u = (a, z, b), design (1, w)."""
        return self.levels[1]

    @property
    def y_names(self) -> tuple[str, ...]:
        """Level-1 outcomes."""
        return self.within.outcomes

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Observed outcomes: y, then z."""
        return (*self.y_names, *self.every_z)

    @property
    def x_names(self) -> tuple[str, ...]:
        """Covariates of level 1."""
        return self.within.design[1:]

    @property
    def w_names(self) -> tuple[str, ...]:
        """Covariates of level 2."""
        return self.between.design[1:]

    @property
    def level_two(self) -> tuple[str, ...]:
        """Names of the level-2 vector u: linear effects, z, sampled effects."""
        return self.between.outcomes

    @property
    def varies(self) -> bool:
        """Whether anything but intercepts differs between clusters."""
        return bool(self.effects.sampled or (self.effects.use_variable >= 0).any())

    @property
    def first_sampled(self) -> int:
        """Position of the first sampled effect in u."""
        return len(self.effects.linear) + len(self.z_names)


def build_template(
    table: ParameterTable,
    *,
    y_names: tuple[str, ...],
    z_names: tuple[str, ...],
    x_names: tuple[str, ...],
    w_names: tuple[str, ...],
    position: dict[int, int],
    unknown: tuple[str, ...] = (),
) -> ModelTemplate:
    """Build the template of a model.

    Parameters
    ----------
    table
        The parameter table.
    y_names, z_names, x_names, w_names
        Names of the data columns, by role.
    position
        Free number -> position in theta.
    unknown
        Normal outcomes of level within that are missing where they predict outcomes that are not:
        scores stand for them.

    Returns
    -------
    ModelTemplate
    """
    own, of_clusters = families_by_level(table)
    normal_z = tuple(z for z in z_names if z not in of_clusters)
    effects = find_effects(
        table,
        y_names,
        x_names,
        sample_all=bool(own or of_clusters),
        factors=feeding_factors(table, of_clusters),
    )
    sources, constants, n_theta = place_rows(table, position, effects.rows)
    integrated = {r.key for r in table.rows if r.random and r not in effects.rows}
    # residuals whose log SD depends on the row have no variance: levels of this template are
    # without them, as they are without what is left of a count given its log rate
    scaled, log_sds = table.log_sds, set(table.log_sds.values())
    remaining = replace(
        table,
        rows=tuple(
            r
            for r in table.rows
            if r.key not in integrated
            and not (r.level == "within" and r.kind == "variance" and r.lhs in scaled)
            and not (r.level == "within" and r.lhs in log_sds)
        ),
    )
    level_two = (*effects.linear, *normal_z, *effects.sampled)
    responses, cluster_responses = None, None
    if own or of_clusters:
        responses = build_responses(table, own, y_names, x_names, effects.sampled, sources, unknown)
    if of_clusters:
        cluster_responses = build_cluster_responses(
            table, of_clusters, ("1", *w_names, *normal_z), effects.sampled, sources
        )
    return ModelTemplate(
        levels=(
            level_template(remaining, "within", y_names, ("1", *x_names), sources),
            level_template(remaining, "between", level_two, ("1", *w_names), sources),
        ),
        effects=effects,
        z_names=normal_z,
        every_z=z_names,
        constants=constants,
        sources=sources,
        n_theta=n_theta,
        responses=responses,
        cluster_responses=cluster_responses,
    )
