"""Fits whose draws are made up: nothing is sampled, so no model graph is compiled."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.coordinates import COORDINATES, SCORE_COORDINATES
from bayes_msem.kernels.layout import THRESHOLD
from bayes_msem.posterior.datatree import complete_tree
from bayes_msem.spec.printing import to_syntax
from tests.random.models import informed, sampled_values


def random_posterior(blueprint: Blueprint, chains: int, draws: int, seed: int) -> xr.Dataset:
    """Admissible sampled parameters, and standard normal coordinates of effects."""
    x = np.array([sampled_values(blueprint, seed + i) for i in range(chains * draws)])
    rng, rows = np.random.default_rng(seed), blueprint.parameters.rows
    shares = blueprint.parameters.transform == THRESHOLD
    x[:, shares] = rng.uniform(0.2, 0.5, (len(x), int(shares.sum())))
    dispersions = np.array([row.kind == "dispersion" for row in rows])
    x[:, dispersions] = np.abs(x[:, dispersions]) + 0.05
    return posterior_of(blueprint, x.reshape(chains, draws, -1), seed)


def posterior_of(blueprint: Blueprint, x: NDArray[np.float64], seed: int) -> xr.Dataset:
    """Sampled parameters x (chain, draw, n), and standard normal coordinates of effects."""
    chains, draws = x.shape[:2]
    variables, first = {}, 0
    for group in blueprint.parameters.groups:
        n = len(group.free)
        variables[group.name] = (
            ("chain", "draw", f"{group.name}_row"),
            x[..., first : first + n],
        )
        first += n
    if blueprint.n_sampled:
        rng = np.random.default_rng(seed)
        shape = (chains, draws, blueprint.observed.n_clusters, blueprint.n_sampled)
        dims = ("chain", "draw", "cluster_id", "sampled_effect")
        variables[COORDINATES] = (dims, rng.standard_normal(shape))
    coords = {"chain": np.arange(chains), "draw": np.arange(draws)}
    if blueprint.likelihood.score_shape[1]:
        rng = np.random.default_rng(seed + 1)
        drawn = rng.standard_normal((chains, draws, *blueprint.likelihood.score_shape))
        variables[SCORE_COORDINATES] = (("chain", "draw", "score_row", "score"), drawn)
    dataset = xr.Dataset(variables, coords=coords)
    if blueprint.n_sampled:
        dataset = dataset.assign_coords(
            cluster_id=[str(c) for c in blueprint.observed.cluster_ids],
            sampled_effect=list(blueprint.template.effects.sampled),
        )
    return dataset


def synthetic_fit(
    model: bm.Model,
    *,
    chains: int = 2,
    draws: int = 50,
    seed: int = 3,
    posterior: xr.Dataset | None = None,
) -> bm.Fit:
    """Fit with made-up draws; coordinates of sampled effects are made up too."""
    blueprint = model.unpiloted_blueprint()
    if blueprint.n_sampled:
        blueprint = informed(blueprint, seed)
    model.blueprint = blueprint
    if posterior is None:
        posterior = random_posterior(blueprint, chains, draws, seed)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros(shape, dtype=bool))})
    tree = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})
    record: dict[str, str | int] = {
        "bayes_msem_version": bm.__version__,
        "spec": model.spec,
        "syntax": to_syntax(model.table),
        "random_seed": 11,
        "sampler": "none",
    }
    return bm.Fit(model, complete_tree(tree, blueprint, record))
