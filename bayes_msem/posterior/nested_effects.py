"""Effects of three-level models, drawn exactly: of top units, then of clusters given those.

Given the parameters everything is normal, so a draw of all that was integrated out is

    c_k | y, z2, z3             effects of top units (kernels.nested_recovery)
    z3 that is missing, and factors of level 3, given the rest of their level
    a_j | y_j, z2_j, c_k        linear effects of clusters, given those of their unit
    z2 that is missing, and factors of level 2, given the rest of their level and c

Levels come in the form of two-level models (posterior.recover), one data set each. Effects are
*total*: a random intercept of a cluster contains what its top unit adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.likelihood.nested_likelihood import NestedLikelihood
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.effects_table import effects_table
from bayes_msem.posterior.recover import DrawnEffects, Spread, effects_dataset, fill_z
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.simulation.factors_and_effects import draw_factors
from bayes_msem.structure.effects import Effects
from bayes_msem.structure.matrices import LevelMatrices, level_matrices
from bayes_msem.structure.templates import LevelTemplate

__all__ = [
    "NestedEffects",
    "both_levels",
    "drawn_levels",
    "nested_effects_table",
    "recover_levels",
]

FloatArray = NDArray[np.float64]

_MAX_VALUES = 1_000_000  # draws x units x variables that are held at a time


class NestedEffects(NamedTuple):
    """Levels 2 and 3 at some draws, and the level-2 means without what top units add.

    Attributes
    ----------
    clusters, tops
        u of both levels; the means of ``clusters`` are given the effects of their top unit.
    """

    clusters: DrawnEffects
    tops: DrawnEffects


@one_blas_thread
def recover_levels(
    blueprint: Blueprint, posterior: xr.Dataset, *, random_seed: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Draw all quantities of clusters and of top units.

    Parameters
    ----------
    blueprint
        A three-level model.
    posterior
        Posterior draws of its parameters.
    random_seed
        Seed of the exact conditional draws.

    Returns
    -------
    tuple of xarray.Dataset
        Of clusters and of top units, each as :func:`bayes_msem.posterior.recover.recover_effects`
        returns those of clusters; ``cluster_id`` holds the units of the level. Deviations of
        clusters are those from their top unit: ``prior_variance`` and ``deviation_variance`` are
        of what clusters of one top unit differ in.
    """
    observed, nested = blueprint.observed, blueprint.nested
    assert nested is not None
    x = sampled_parameters(blueprint, posterior)
    points = blueprint.points(x)
    levels = (
        (nested.lower.between, nested.lower.z_names, observed.cluster_ids),
        (nested.top, nested.z3_names, observed.top_ids),
    )
    collected = [
        _Collected(level, outcomes, _factors_of(blueprint, level), len(points), len(ids))
        for level, outcomes, ids in levels
    ]
    rng = np.random.default_rng(random_seed)
    for first, block in drawn_levels(blueprint, points, rng):
        for own, drawn in zip(collected, (block.clusters, block.tops), strict=True):
            own.add(first, drawn)
    clusters, tops = (
        effects_dataset(
            posterior,
            [str(i) for i in ids],
            own.names,
            [],
            (own.values, own.variances, own.spread.variance(), own.factors),
            own.factor_names,
        )
        for own, (_, _, ids) in zip(collected, levels, strict=True)
    )
    return clusters, tops


_TOP = {
    "cluster_id": "top_id",
    "effect": "top_effect",
    "integrated_or_sampled": "top_integrated",
    "between_factor": "top_factor",
}


def both_levels(clusters: xr.Dataset, tops: xr.Dataset) -> xr.Dataset:
    """Put the draws of clusters and of top units side by side, these with names in ``top_``."""
    names = _TOP | {str(name): f"top_{name}" for name in tops.data_vars}
    return clusters.merge(tops.rename({k: v for k, v in names.items() if k in tops.variables}))


def nested_effects_table(
    blueprint: Blueprint,
    draws: tuple[xr.Dataset, xr.Dataset],
    *,
    ci: float,
    ci_kind: IntervalKind,
) -> EstimateTable:
    """Summarise the draws of the effects of both levels.

    Parameters
    ----------
    blueprint
        A three-level model.
    draws
        From :func:`recover_levels`.
    ci, ci_kind
        Mass and kind of the interval.

    Returns
    -------
    EstimateTable
        As :func:`bayes_msem.posterior.effects_table.effects_table`, with the level first.
    """
    observed, table = blueprint.observed, blueprint.table
    assert observed.parent is not None
    units = (
        (table.levels[1], observed.cluster_ids, observed.sizes),
        (table.levels[2], observed.top_ids, np.bincount(observed.parent)),
    )
    parts = []
    for (level, ids, sizes), of_level in zip(units, draws, strict=True):
        part = effects_table([of_level], ids, sizes, ci=ci, ci_kind=ci_kind)
        part.insert(0, "level", level)
        parts.append(pd.DataFrame(part).astype({"cluster": object}))
    result = EstimateTable(pd.concat(parts, ignore_index=True))
    result.attrs["caption"] = (
        f"Effects of clusters and of units of level {table.levels[2]} (total coefficients: what "
        f"their '{table.levels[2]}' adds is part of those of clusters): posterior mean, SD and "
        f"{100 * ci:g}% {INTERVAL_NAMES[ci_kind]}. Shrinkage: 1 = own data only, 0 = pooled "
        "completely."
    )
    result.attrs.update(ci=ci, ci_kind=ci_kind)
    return result


class _Collected:
    """Room for the draws of one level."""

    def __init__(
        self,
        level: LevelTemplate,
        outcomes: tuple[str, ...],
        factor_names: tuple[str, ...],
        n_draws: int,
        n_units: int,
    ) -> None:
        every = level.outcomes
        self.keep = [i for i, name in enumerate(every) if name not in outcomes]
        self.names, self.factor_names = [every[i] for i in self.keep], factor_names
        self.spread = Spread((n_units, len(self.keep)))
        self.values = np.empty((n_draws, n_units, len(self.keep)))
        self.variances = np.empty((n_draws, len(self.keep)))
        self.factors = np.empty((n_draws, n_units, len(factor_names)))

    def add(self, first: int, drawn: DrawnEffects) -> None:
        at = slice(first, first + len(drawn.u))
        self.values[at] = drawn.u[..., self.keep]
        self.variances[at] = np.einsum("skk->sk", drawn.omega)[:, self.keep]
        self.spread.add((drawn.u - drawn.mean)[..., self.keep])
        self.factors[at] = drawn.factors


def drawn_levels(
    blueprint: Blueprint, points: FloatArray, rng: np.random.Generator
) -> Iterator[tuple[int, NestedEffects]]:
    """Draw u of both levels and their factors, some draws at a time.

    Parameters
    ----------
    blueprint
        A three-level model.
    points
        Draws of its parameters, (S, n_theta).
    rng
        Source of randomness.

    Yields
    ------
    tuple of (int, NestedEffects)
        Position of the first draw, and some draws.
    """
    observed, nested, likelihood = blueprint.observed, blueprint.nested, blueprint.likelihood
    assert nested is not None
    assert isinstance(likelihood, NestedLikelihood)
    statistics = blueprint.statistics_by_cluster
    sizes = len(nested.lower.between.names), len(nested.top.names)
    step = max(1, _MAX_VALUES // (6 * (observed.n_clusters * sizes[0] + 10 * sizes[1])))
    for first in range(0, len(points), step):
        x = np.ascontiguousarray(points[first : first + step])
        zero_c, zero_a = likelihood.no_noise(len(x), statistics)
        normals_c, normals_a = (rng.standard_normal(zero.shape) for zero in (zero_c, zero_a))
        found = likelihood.recover(x, normals_c, normals_a, statistics)
        values = likelihood.values(x)
        tops = _level(
            blueprint, nested.top, values, (found.c, observed.z3, observed.top_design),
            likelihood.level_three(x), np.zeros(len(nested.top.outcomes)),
            np.zeros(len(nested.top.names)), rng,
        )  # fmt: skip
        second = level_matrices(nested.lower.between, values)
        design = observed.cluster_design
        to_u, to_v = _added(
            nested.lower.between, second, nested.top_effects, design,
            found.c[:, observed.parent],
        )  # fmt: skip
        clusters = _level(
            blueprint, nested.lower.between, values, (found.a, observed.normal_z, design),
            likelihood.level_two(x), to_u, to_v, rng,
        )  # fmt: skip
        yield first, NestedEffects(clusters, tops)


def _level(
    blueprint: Blueprint,
    level: LevelTemplate,
    values: FloatArray,
    known: tuple[FloatArray, FloatArray, FloatArray],
    moments: tuple[FloatArray, FloatArray],
    to_u: FloatArray,
    to_v: FloatArray,
    rng: np.random.Generator,
) -> DrawnEffects:
    """Fill missing outcomes of a level and draw its factors.

    ``known`` are effects (S, n, n_a), outcomes (n, n_z) and the design (n, D); ``to_u`` and
    ``to_v`` what the level above adds to outcomes and to variables.
    """
    effects, z, design = known
    omega, coefficients = moments
    mean = design @ coefficients + to_u
    u = np.concatenate([effects, np.broadcast_to(z, (len(effects), *z.shape))], axis=2)
    missing = np.isnan(z)
    if missing.any():
        noise = rng.standard_normal((len(u), *missing.shape))
        fill_z(u, mean, omega, missing, effects.shape[2], noise)
    names = _factors_of(blueprint, level)
    factors = np.empty((*u.shape[:2], len(names)))
    if names:
        noise = rng.standard_normal((len(u), u.shape[1], len(names)))
        factors = draw_factors(level, names, level_matrices(level, values), design, u - mean, noise)
        factors += to_v[..., [level.names.index(v) for v in names]]
    return DrawnEffects(u, mean, omega, factors)


def _factors_of(blueprint: Blueprint, level: LevelTemplate) -> tuple[str, ...]:
    names: tuple[str, ...] = blueprint.table.variables(level.level, "between factor")
    return names


def _added(
    level: LevelTemplate,
    moments: LevelMatrices,
    effects: Effects,
    design: FloatArray,
    values: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return what effects (S, J, n_c) of the level above add to outcomes and to variables."""
    to_u = np.zeros((*values.shape[:2], len(level.outcomes)))
    to_v = np.zeros((*values.shape[:2], len(level.names)))
    for effect, variable, column in zip(
        effects.use_effect, effects.use_variable, effects.use_column, strict=True
    ):
        term = values[..., effect] * design[:, column]
        if variable < 0:
            to_u[..., -1 - variable] += term
        else:
            to_v += term[..., None] * moments.total[:, None, :, variable]
    to_u[..., level.observed_position] += to_v[..., level.observed_variable]
    return to_u, to_v
