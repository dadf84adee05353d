"""Fits without sampling: random parameters of a model as if they were posterior draws."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.inference.coordinates import COORDINATES
from tests.likelihood.cases import Case
from tests.random.models import build, make_data, sampled_values, unpiloted

Array = NDArray[np.float64]
CHAINS, DRAWS = 2, 20


def synthetic_fit(case: Case) -> bm.Fit:
    """Return a fit of a case with 2 x 20 independent draws of everything that is sampled."""
    model = build(case, make_data())
    # in place of the one with a pilot, whose coordinates do not matter here
    blueprint = model.__dict__["blueprint"] = unpiloted(model)
    n = CHAINS * DRAWS
    x = np.stack([sampled_values(blueprint, seed) for seed in range(n)])
    variables, start = {}, 0
    for group in blueprint.parameters.groups:
        part = x[:, start : start + len(group.free)]
        start += len(group.free)
        variables[group.name] = (
            ("chain", "draw", f"{group.name}_row"),
            part.reshape(CHAINS, DRAWS, -1),
        )
    if blueprint.n_sampled:
        shape = (CHAINS, DRAWS, blueprint.observed.n_clusters, blueprint.n_sampled)
        variables[COORDINATES] = (
            ("chain", "draw", "cluster_id", "sampled_effect"),
            np.random.default_rng(7).normal(size=shape),
        )
    coordinates = {"chain": np.arange(CHAINS), "draw": np.arange(DRAWS)}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=coordinates)})
    tree.attrs["random_seed"] = 5
    return bm.Fit(model, tree)


def moments_by_hand(
    fit: bm.Fit, level: str, value: dict[tuple[str, str, str, str], Array]
) -> tuple[dict[tuple[str, str], Array], dict[str, Array]]:
    """Covariances and means of the variables of a level, from its rows; slow and plain.

    Every variable is a sum of sources (residuals, covariates, the constant) with coefficients
    found by following the equations until nothing changes, which they do if there are no circles.
    """
    table, observed = fit.model.table, fit.model.blueprint.observed
    rows = [r for r in table.rows if r.level == level and r.kind != "defined"]
    variables = {v for lev, v in table.roles if lev == level}
    covariates = {v for v in variables if "covariate" in table.roles[level, v]}
    modelled = sorted(variables - covariates)
    edges = [(r.rhs, r.lhs, value[r.key]) for r in rows if r.kind == "loading"]
    edges += [(r.lhs, r.rhs, value[r.key]) for r in rows if r.kind in ("regression", "intercept")]
    sources = {v: {f"e_{v}": 1.0} for v in modelled} | {v: {v: 1.0} for v in (*covariates, "1")}
    loads = {v: {} for v in modelled} | {v: sources[v] for v in (*covariates, "1")}
    for _ in range(len(modelled) + 1):
        updated = {}
        for v in modelled:
            total = dict(sources[v])
            for outcome, predictor, b in edges:
                if outcome == v:
                    for s, w in loads[predictor].items():
                        total[s] = total.get(s, 0.0) + b * w
            updated[v] = total
        loads = loads | updated
    data = observed.x if level == "within" else observed.w
    names = observed.x_names if level == "within" else observed.w_names
    between_sources = {
        (f"e_{a}", f"e_{b}"): value[r.key]
        for r in rows
        if r.op == "~~"
        for a, b in ((r.lhs, r.rhs), (r.rhs, r.lhs))
    }
    for i, a in enumerate(names):
        for k, b in enumerate(names):
            between_sources[a, b] = np.mean(
                (data[:, i] - data[:, i].mean()) * (data[:, k] - data[:, k].mean())
            )
    covariances = {
        (v, w): sum(
            (
                p * q * between_sources.get((s, t), 0.0)
                for s, p in loads[v].items()
                for t, q in loads[w].items()
            ),
            np.zeros(CHAINS * DRAWS),
        )
        for v in modelled
        for w in modelled
    }
    average = {"1": 1.0} | dict(zip(names, data.mean(axis=0), strict=True))
    means = {
        v: sum((c * average.get(s, 0.0) for s, c in loads[v].items()), np.zeros(CHAINS * DRAWS))
        for v in modelled
    }
    return covariances, means


def values_by_hand(fit: bm.Fit) -> dict[tuple[str, str, str, str], Array]:
    """Value of every row at the average cluster, (n,)."""
    value = {key: draws.reshape(-1) for key, draws in fit.draws.items()}
    if any(r.random for r in fit.model.table.rows):
        _, means = moments_by_hand(fit, "between", value)
        log_sds = {r.lhs: r.random for r in fit.model.table.rows if r.random and r.lhs == r.rhs}
        sd = {r.lhs: np.sqrt(value[r.key]) for r in fit.model.table.rows if is_variance(r)}
        sd |= {v: np.exp(means[name]) for v, name in log_sds.items()}
        for row in fit.model.table.rows:
            if not row.random:
                continue
            if row.kind == "variance":
                value[row.key] = sd[row.lhs] ** 2
            elif row.kind == "covariance":
                value[row.key] = np.tanh(means[row.random]) * sd[row.lhs] * sd[row.rhs]
            else:
                value[row.key] = means[row.random]
    return value


def is_variance(row) -> bool:
    return row.level == "within" and row.kind == "variance" and not row.random
