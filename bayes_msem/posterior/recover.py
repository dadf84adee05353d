"""Recover what was integrated out: cluster effects and level-2 factors, per posterior draw.

NUTS never sees random intercepts, slopes on covariates, or factors. Given a draw of the
parameters (and of the sampled effects b) they are normal, so they are drawn exactly:

    a_j | y_j, z_j, b_j     kernels.integrate
    v_j | u_j               the level-2 variables given u = (a, z, b), from the level-2 model

Effects are *total* coefficients of a cluster (fixed part plus deviation).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rows import defined_effects
from bayes_msem.gaussian.normal import fill_missing
from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.enough import sd_of_draws
from bayes_msem.simulation.factors_and_effects import draw_factors
from bayes_msem.structure.matrices import level_matrices

FloatArray = NDArray[np.float64]


@one_blas_thread
def recover_effects(blueprint: Blueprint, posterior: xr.Dataset, *, random_seed: int) -> xr.Dataset:
    """Draw all cluster-level quantities.

    Parameters
    ----------
    blueprint
        A two-level model.
    posterior
        Posterior draws of its parameters.
    random_seed
        Seed of the exact conditional draws.

    Returns
    -------
    xarray.Dataset
        ``effects`` (chain, draw, cluster_id, effect): random intercepts (named after their
        outcome), slopes, sampled effects and cluster-specific definitions; ``prior_variance``
        (chain, draw, effect) of those that are not definitions, given the cluster-level covariates;
        ``deviation_variance`` (cluster_id, effect): posterior variance of the deviations from
        the mean that the predictors give; ``factors`` (chain, draw, cluster_id, between_factor)
        if there are level-2 factors.
    """
    template = blueprint.template
    x = sampled_parameters(blueprint, posterior)
    shape = x.shape[:2]
    points = blueprint.points(x)
    coordinates = coordinates_of_effects(blueprint, posterior, len(points))
    rng, design = np.random.default_rng(random_seed), blueprint.observed.cluster_design
    effects, deviations, variances, factors = [], [], [], []
    for point, t in zip(points, coordinates, strict=True):
        u, mean, omega, factor = one_draw(blueprint, design, point, t, rng)
        effects.append(u)
        deviations.append(u - mean)
        variances.append(np.diag(omega))
        factors.append(factor)
    every, factor_names = template.level_two, blueprint.table.variables("between", "between factor")
    keep = [i for i, name in enumerate(every) if name not in template.z_names]
    stacked, names = np.stack(effects), [every[i] for i in keep]
    theta = blueprint.theta(points[:, : blueprint.parameters.n])
    named = {name: stacked[..., i] for i, name in enumerate(every)}
    values, defined = stacked[..., keep], defined_effects(blueprint, theta[:, None], named)
    if defined:
        values = np.concatenate([values, np.stack(list(defined.values()), axis=-1)], axis=-1)
    result = xr.Dataset(
        {
            "effects": (
                ("chain", "draw", "cluster_id", "effect"),
                values.reshape(*shape, *values.shape[1:]),
            ),
            "prior_variance": (
                ("chain", "draw", "integrated_or_sampled"),
                np.stack(variances)[:, keep].reshape(*shape, len(keep)),
            ),
            "deviation_variance": (
                ("cluster_id", "integrated_or_sampled"),
                sd_of_draws(np.stack(deviations)[..., keep], 0) ** 2,
            ),
        },
        coords={
            "chain": posterior["chain"],
            "draw": posterior["draw"],
            "cluster_id": [str(c) for c in blueprint.observed.cluster_ids],
            "effect": [*names, *defined],
            "integrated_or_sampled": names,
        },
    )
    if factor_names:
        array = np.stack(factors)
        result["factors"] = (
            ("chain", "draw", "cluster_id", "between_factor"),
            array.reshape(*shape, *array.shape[1:]),
        )
        result = result.assign_coords(between_factor=list(factor_names))
    return result


def coordinates_of_effects(blueprint: Blueprint, posterior: xr.Dataset, n: int) -> FloatArray:
    """Draws of the coordinates of sampled effects, (n, J, n_b); empty if there are none."""
    shape = (blueprint.observed.n_clusters, blueprint.n_sampled)
    if not blueprint.n_sampled:
        return np.zeros((n, *shape))
    values = posterior[COORDINATES].transpose("chain", "draw", "cluster_id", "sampled_effect")
    return np.ascontiguousarray(values.to_numpy().reshape(n, *shape))


def one_draw(
    blueprint: Blueprint,
    design: FloatArray,
    point: FloatArray,
    t: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Draw u; return it with its mean (J, n_u), Omega (n_u, n_u) and factors (J, n_factors)."""
    likelihood = blueprint.likelihood
    b = likelihood.effects(point, t) if blueprint.n_sampled else t
    n_uses = len(blueprint.template.effects.use_effect)
    normals = rng.standard_normal((blueprint.observed.n_clusters, n_uses))
    a = np.empty((len(b), 0))
    if blueprint.template.effects.linear:
        a, _ = likelihood.linear_effects(point, b, normals, blueprint.statistics_by_cluster)
    u = np.concatenate([a, blueprint.observed.normal_z, b], axis=1)
    omega, coefficients = likelihood.level_two(point)
    mean = design @ coefficients
    fill_missing(u, mean, omega, rng)
    level, factors = blueprint.template.between, np.empty((len(design), 0))
    names = blueprint.table.variables("between", "between factor")
    if names:
        moments = level_matrices(level, likelihood.values(point))
        factors = draw_factors(level, names, moments, design, u - mean, rng)
        every = blueprint.template.level_two
        sampled = [name for name in names if name in every]  # known, but for rounding
        factors[:, [names.index(v) for v in sampled]] = u[:, [every.index(v) for v in sampled]]
    return u, mean, omega, factors
