"""Recover what was integrated out: cluster effects and level-2 factors, per posterior draw.

NUTS never sees random intercepts, slopes on covariates, or factors. Given a draw of the
parameters (and of the sampled effects b) they are normal, so they are drawn exactly:

    a_j | y_j, z_j, b_j     kernels.integrate
    v_j | u_j               the level-2 variables given u = (a, z, b), from the level-2 model

Effects are *total* coefficients of a cluster (fixed part plus deviation).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint
from bayes_msem.blueprint.rows import defined_effects
from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.kernels.clusters import between_moments
from bayes_msem.likelihood.cluster_draws import linear_effects
from bayes_msem.likelihood.evaluators import ClusterEvaluator
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.enough import sd_of_draws
from bayes_msem.simulation.level_two import draw_factors
from bayes_msem.structure.effects import ClusterTemplates
from bayes_msem.structure.matrices import level_matrices

FloatArray = NDArray[np.float64]


def cluster_view(blueprint: Blueprint) -> Blueprint:
    """Return the blueprint in the form that goes through the clusters one by one."""
    if isinstance(blueprint.evaluator, ClusterEvaluator):
        return blueprint
    return replace(
        build_blueprint(blueprint.table, blueprint.priors, blueprint.observed, by_cluster=True),
        parameters=blueprint.parameters,
    )


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
    view = cluster_view(blueprint)
    templates, evaluator = view.templates, view.evaluator
    assert isinstance(templates, ClusterTemplates)
    assert isinstance(evaluator, ClusterEvaluator)
    x = sampled_parameters(blueprint, posterior)
    shape = x.shape[:2]
    points = view.points(x)
    coordinates = coordinates_of_effects(view, posterior, len(points))
    rng, design = np.random.default_rng(random_seed), view.observed.cluster_design
    effects, deviations, variances, factors = [], [], [], []
    for point, t in zip(points, coordinates, strict=True):
        u, mean, omega, factor = one_draw(view, design, point, t, rng)
        effects.append(u)
        deviations.append(u - mean)
        variances.append(np.diag(omega))
        factors.append(factor)
    every = templates.level_two
    keep = [i for i, name in enumerate(every) if name not in templates.z_names]
    stacked, names = np.stack(effects), [every[i] for i in keep]
    theta = view.theta(points[:, : view.parameters.n])
    named = {name: stacked[..., i] for i, name in enumerate(every)}
    values, defined = stacked[..., keep], defined_effects(view, theta[:, None], named)
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
            "cluster_id": [str(c) for c in view.observed.cluster_ids],
            "effect": [*names, *defined],
            "integrated_or_sampled": names,
        },
    )
    factor_names = view.table.variables("between", "between factor")
    if factor_names:
        array = np.stack(factors)
        result["factors"] = (
            ("chain", "draw", "cluster_id", "between_factor"),
            array.reshape(*shape, *array.shape[1:]),
        )
        result = result.assign_coords(between_factor=list(factor_names))
    return result


def coordinates_of_effects(view: Blueprint, posterior: xr.Dataset, n: int) -> FloatArray:
    """Draws of the coordinates of sampled effects, (n, J, n_b); empty if there are none."""
    shape = (view.observed.n_clusters, view.n_sampled)
    if not view.n_sampled:
        return np.zeros((n, *shape))
    values = posterior[COORDINATES].transpose("chain", "draw", "cluster_id", "sampled_effect")
    return np.ascontiguousarray(values.to_numpy().reshape(n, *shape))


def one_draw(
    view: Blueprint,
    design: FloatArray,
    point: FloatArray,
    t: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Draw u; return it with its mean (J, n_u), Omega (n_u, n_u) and factors (J, n_factors)."""
    evaluator = view.evaluator
    assert isinstance(evaluator, ClusterEvaluator)
    assert isinstance(view.templates, ClusterTemplates)
    program = evaluator.program
    b = evaluator.effects(point, t) if view.n_sampled else t
    n_uses = len(view.templates.effects.use_effect)
    normals = rng.standard_normal((view.observed.n_clusters, n_uses))
    a, _ = linear_effects(
        point, b, program.ints, program.floats, evaluator.cluster_statistics, normals
    )
    u = np.concatenate([a, view.observed.z, b], axis=1)
    values, omega, c_b, *_ = between_moments(point, program.ints, program.floats)
    mean = design @ c_b
    fill_missing(u, mean, omega, rng)
    level, factors = view.templates.between, np.empty((len(design), 0))
    names = view.table.variables("between", "between factor")
    if names:
        moments = level_matrices(level, values, design.shape[1])
        factors = draw_factors(level, names, moments, design, u - mean, rng)
    return u, mean, omega, factors


def fill_missing(
    values: FloatArray, mean: FloatArray, covariance: FloatArray, rng: np.random.Generator
) -> None:
    """Replace the NaN of every row of ``values`` by draws given the rest of the row.

    Parameters
    ----------
    values, mean
        Normal vectors, one per row, and their means, both (n, k); ``values`` is changed.
    covariance
        Their common covariance matrix (k, k), which may be singular.
    rng
        Source of randomness.
    """
    missing = np.isnan(values)
    for pattern in np.unique(missing[missing.any(axis=1)], axis=0):
        rows = np.flatnonzero((missing == pattern).all(axis=1))
        gone, seen = np.flatnonzero(pattern), np.flatnonzero(~pattern)
        cross = covariance[np.ix_(gone, seen)]
        slope = cross @ np.linalg.pinv(covariance[np.ix_(seen, seen)], rcond=1e-12, hermitian=True)
        rest = covariance[np.ix_(gone, gone)] - slope @ cross.T
        spread, vectors = np.linalg.eigh((rest + rest.T) / 2)
        root = vectors * np.sqrt(np.clip(spread, 0.0, None))
        deviation = (values[np.ix_(rows, seen)] - mean[np.ix_(rows, seen)]) @ slope.T
        noise = rng.standard_normal((len(rows), len(gone))) @ root.T
        values[np.ix_(rows, gone)] = mean[np.ix_(rows, gone)] + deviation + noise
