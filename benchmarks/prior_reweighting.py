"""Posteriors under all candidates for default priors from one run of NUTS.

Data are sampled once, under a proposal with heavier tails than all candidates and with positive
density at SDs of 0 (Student t(3) slopes of scale 1.5, exponential SDs, Student t(3) loadings). For
priors on R2 a second proposal, t(2) slopes of scale .3, helps where the first does not serve.
Ratios of densities, Pareto smoothed (Vehtari, Simpson, Gelman, Yao & Gabry, 2024), turn the draws
into those of each candidate. R2 and phi are integrated over a fixed set of points, so that the
R2D2 prior is a mixture of normals whose density is exact.

References
----------
Vehtari, A., Simpson, D., Gelman, A., Yao, Y., & Gabry, J. (2024). Pareto smoothed importance
sampling. Journal of Machine Learning Research, 25(72), 1-58.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import nutpie
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from prior_candidates import Candidate, Setting
from prior_cells import Key
from scipy.special import betaincinv, logsumexp
from scipy.stats import qmc

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.inference.density import support
from bayes_msem.inference.geometry import coordinates_at, geometry_at
from bayes_msem.inference.nuts_model import nuts_model
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import Row

Array = NDArray[np.float64]

__all__ = [
    "draws_under",
    "log_ratios",
    "log_weights",
    "prior_draws",
    "sampled_parameters",
    "shared_r2",
    "shares_of_variance",
    "tree_under",
    "weighted_quantiles",
]

NODES = 128  # points at which R2 and its split are integrated


@cache
def shares_of_variance(predictors: int) -> tuple[Array, Array]:
    """R2 (NODES,) and its split (NODES, predictors) at points of equal weight."""
    half = (predictors + 1) / 2
    if predictors == 1:
        r2 = betaincinv(half, half, (np.arange(NODES) + 0.5) / NODES)
        return r2, np.ones((NODES, 1))
    points = qmc.Sobol(predictors, seed=1).random(NODES)
    cuts = np.sort(points[:, 1:], axis=1)
    bounded = np.concatenate([np.zeros((NODES, 1)), cuts, np.ones((NODES, 1))], axis=1)
    return betaincinv(half, half, points[:, 0]), np.maximum(np.diff(bounded, axis=1), 1e-3)


def slope_sds(setting: Setting, kind: str, slopes: list[Row]) -> tuple[Array, bool]:
    """SDs of slopes at the points (NODES, K), and whether in units of the residual SD."""
    r2, split = shares_of_variance(len(slopes))
    net = np.array([setting.net.of("between", row.rhs) for row in slopes])
    if kind == "R2D2":
        return np.sqrt(split * (r2 / (1 - r2))[:, None]) / net, True
    outcome = setting.raw.of("between", slopes[0].lhs)
    return np.sqrt(split * r2[:, None]) * outcome / net, False


def shared_r2(setting: Setting, kind: str, x: Array) -> Array:
    """Log density of all slopes under a prior on R2, given the residual SDs, (n,)."""
    position = setting.blueprint.parameters.position
    total = np.zeros(len(x))
    for _, slopes, variance in setting.shared():
        sds, relative = slope_sds(setting, kind, slopes)
        unit = x[:, position[variance.free]] if relative else np.ones(len(x))
        z2 = (x[:, [position[row.free] for row in slopes]] / unit[:, None]) ** 2
        exponent = -0.5 * z2 @ (sds**-2.0).T - np.log(sds).sum(axis=1)
        constant = -np.log(NODES) - 0.5 * len(slopes) * np.log(2 * np.pi)
        top = exponent.max(axis=1, keepdims=True)
        inner = np.log(np.exp(exponent - top).sum(axis=1)) + top[:, 0]
        total += inner + constant - len(slopes) * np.log(unit)
    return total


def prior_draws(
    setting: Setting, candidate: Candidate, draws: int, rng: np.random.Generator
) -> Array:
    """Draw sampled parameters from the prior of a candidate, (draws, n_free)."""
    position = setting.blueprint.parameters.position
    plain = candidate if candidate.is_product else replace(candidate, slopes="1")
    priors = {**setting.defaults, **setting.priors(plain)}
    x = np.zeros((draws, setting.blueprint.parameters.n))
    for free, prior in priors.items():
        x[:, position[free]] = prior.quantile(rng.random(draws))
    if not candidate.is_product:
        for _, slopes, variance in setting.shared():
            sds, relative = slope_sds(setting, candidate.slopes, slopes)
            unit = x[:, position[variance.free]] if relative else np.ones(draws)
            scale = sds[rng.integers(NODES, size=draws)] * unit[:, None]
            x[:, [position[r.free] for r in slopes]] = scale * rng.standard_normal(scale.shape)
    return x


def draws_under(
    blueprint: Blueprint,
    truth: Mapping[Key, float],
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
) -> Array:
    """Sample with NUTS from around the true values, (chains * draws, n_free).

    Starting there spares the search for modes, which takes as long as sampling.
    """
    tree = tree_under(blueprint, truth, draws=draws, tune=tune, chains=chains, seed=seed)
    return sampled_parameters(blueprint, tree).reshape(chains * draws, -1)


def sampled_parameters(blueprint: Blueprint, tree: Any) -> Array:
    """Return sampled parameters (chains, draws, n_free), from what nutpie returns."""
    groups = [tree["posterior"][g.name].to_numpy() for g in blueprint.parameters.groups]
    return np.concatenate(groups, axis=-1)


def tree_under(
    blueprint: Blueprint,
    truth: Mapping[Key, float],
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
) -> Any:
    """Sample with NUTS from around the true values; what nutpie returns."""
    theta = np.zeros(blueprint.parameters.n)
    for row in blueprint.table.rows:
        if row.free:
            theta[blueprint.parameters.position[row.free]] = truth[row.key]
    bounds = support(blueprint)
    center = sampled_from_table(blueprint, theta)
    geometry = geometry_at(blueprint, center)

    def start(number: int | None) -> Array:
        noise = 0.1 * np.random.default_rng(number).standard_normal(len(center))
        u = bounds.to_unconstrained(center) + noise * (np.abs(center) + 0.1)
        return coordinates_at(geometry, u, bounds.to_constrained(u)[0])

    options = {"draws": draws, "tune": tune, "chains": chains, "cores": 1, "seed": seed}
    return nutpie.sample(
        nuts_model(blueprint, geometry, start),
        **options,
        progress_bar=False,
        save_warmup=False,
        adaptation="low_rank",
    )


def log_ratios(setting: Setting, candidates: Iterable[Candidate], x: Array) -> Array:
    """Log density of each candidate less that of the proposal at draws, (n_candidates, n)."""
    position = setting.blueprint.parameters.position
    known: dict[tuple[int, Prior], Array] = {}

    def density(free: int, prior: Prior) -> Array:
        if (free, prior) not in known:
            known[free, prior] = prior.log_density(x[:, position[free]])
        return known[free, prior]

    base = sum(density(free, setting.proposal(row)) for free, row in setting.rows.items())
    shared: dict[str, Array] = {}
    result = []
    for candidate in candidates:
        kept, joint = list(setting.rows.items()), 0.0
        plain = candidate
        if not candidate.is_product:
            kind = candidate.slopes
            if kind not in shared:
                shared[kind] = shared_r2(setting, kind, x)
            joint, plain = shared[kind], replace(candidate, slopes="1")
            kept = [(free, row) for free, row in kept if row.kind != "regression"]
        total = sum(density(free, setting.prior(row, plain)) for free, row in kept)
        result.append(total + joint - base)
    return np.array(result)


def log_weights(ratios: Array) -> tuple[Array, Array]:
    """Smooth each line of log ratios; normalised log weights and Pareto k."""
    smoothed = [array_stats.psislw(-line) for line in ratios]
    weights = np.array([line - logsumexp(line) for line, _ in smoothed])
    return weights, np.array([float(k) for _, k in smoothed])


def weighted_quantiles(values: Array, weights: Array, probabilities: Iterable[float]) -> Array:
    """Quantiles of values (n,) under each line of weights (m, n): (m, n_probabilities)."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[:, order], axis=1)
    cumulative /= cumulative[:, -1:]
    middle = cumulative - 0.5 * weights[:, order] / weights.sum(axis=1, keepdims=True)
    sorted_values = values[order]
    return np.array([np.interp(list(probabilities), line, sorted_values) for line in middle])
