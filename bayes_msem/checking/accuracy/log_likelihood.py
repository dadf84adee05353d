"""Log-likelihoods per unit and posterior draw: what is predicted when a unit is left out.

Two questions, two numbers per draw (Merkle, Furr & Rabe-Hesketh 2019):

``cluster``
    How well is a *new cluster* predicted? log p(y_j, z_j | theta): all of the cluster's outcomes at
    both levels, with its random effects integrated out (checking.accuracy.integral).
``observation``
    How well is a *new row of a known cluster* predicted? log p(y_ij | u_j, theta): the outcomes of
    one row given its cluster's effects u_j, which are drawn with the parameters from their joint
    posterior; factors of the row are integrated out. Cluster-level outcomes z are no part of it. In
    single-level models rows are the units, and there are no effects.

In three-level models there is a third, "top": a *new top unit*, log p(y_k, z2_k, z3_k | theta) of
all outcomes in it. A new cluster is one in a known top unit then, log p(y_j, z_j | c_k, theta),
with the effects c_k of the unit drawn with the parameters.

Missing outcomes are integrated out in all. Units without any observed outcome are left out.

References
----------
Merkle, E. C., Furr, D., & Rabe-Hesketh, S. (2019). Bayesian comparison of latent variable models:
conditional versus marginal likelihoods. Psychometrika, 84, 802-829.
https://doi.org/10.1007/s11336-019-09679-0
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.accuracy.integral import ClusterIntegral, default_nodes, proposal_from
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import INSIDE, AccuracyWarning, SpecificationError, nearest
from bayes_msem.kernels.normal_rows import normal_rows
from bayes_msem.likelihood.nested_likelihood import NestedLikelihood
from bayes_msem.likelihood.row_integral import RowIntegral, row_integral
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.frame_rows import Rows, data_rows
from bayes_msem.posterior.recover import coordinates_of_effects
from bayes_msem.posterior.scores import known_effects
from bayes_msem.posterior.within import WithinDraws, WithinModel

__all__ = [
    "UNIT_DIMENSION",
    "Unit",
    "check_unit",
    "cluster_integral",
    "cluster_log_likelihood",
    "nested_log_likelihood",
    "observation_log_likelihood",
    "row_log_likelihoods",
    "unit_labels",
    "unit_positions",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Unit = Literal["cluster", "observation", "top"]

UNIT_DIMENSION: dict[str, str] = {
    "cluster": "cluster_id",
    "observation": "obs_id",
    "top": "top_id",
}
_ROWS = 0.005  # error of the integral over scores, per cluster (or row) on average
_MAX_EFFECTS = 200_000  # clusters x draws that are held at a time
LARGE_ERROR = 0.1  # root mean square over draws; biases elpd_loo by about its square


def check_unit(unit: str | None, observed: ObservedData) -> Unit:
    """Return the unit asked for; None: the units of the highest level.

    Raises
    ------
    SpecificationError
        Unknown unit, "cluster" in a single-level model, or "top" without three levels.
    """
    if unit is None:
        if observed.three_level:
            return "top"
        return "cluster" if observed.two_level else "observation"
    if unit not in get_args(Unit):
        raise SpecificationError(
            f"unit='{unit}' is unknown; use 'cluster' (a new cluster) or 'observation' (a new row "
            f"of a known cluster){nearest(str(unit), get_args(Unit))}"
        )
    if unit == "cluster" and not observed.two_level:
        raise SpecificationError(
            "unit='cluster' needs clusters, and this is a single-level model: its rows are "
            "independent given the parameters, so they are the units; use unit='observation'"
        )
    if unit == "top" and not observed.three_level:
        raise SpecificationError(
            "unit='top' needs three levels: it is a unit of the highest one, with the clusters in "
            "it; use unit='cluster' or unit='observation'"
        )
    return "cluster" if unit == "cluster" else "top" if unit == "top" else "observation"


def unit_positions(observed: ObservedData, unit: Unit) -> IntArray:
    """Codes of the clusters, or positions of the rows, that have any observed outcome."""
    rows = observed.informative
    if unit == "observation" or observed.cluster is None:
        return np.flatnonzero(rows)
    informative = ~np.isnan(observed.z).all(axis=1)  # False where there are no z at all
    informative[observed.cluster[rows]] = True
    if unit == "top":
        assert observed.parent is not None
        of_clusters, informative = informative, ~np.isnan(observed.z3).all(axis=1)
        informative[observed.parent[of_clusters]] = True
    return np.flatnonzero(informative)


def unit_labels(observed: ObservedData, unit: Unit) -> pd.Index[Any]:
    """Return identifiers of the clusters, or labels of the rows, that are units."""
    ids = {"cluster": observed.cluster_ids, "top": observed.top_ids}
    every = ids.get(unit, observed.row_index)
    return every.take(unit_positions(observed, unit))


def cluster_integral(
    blueprint: Blueprint, posterior: xr.Dataset, *, nodes: int | None, random_seed: int
) -> ClusterIntegral:
    """Return the function that integrates the effects of clusters, tuned to posterior draws."""
    proposal, n_sampled = None, blueprint.n_sampled
    if n_sampled:
        n = posterior.sizes["chain"] * posterior.sizes["draw"]
        proposal = proposal_from(coordinates_of_effects(blueprint, posterior, n))
    if nodes is not None and nodes < 8:
        raise SpecificationError(
            f"nodes={nodes} are too few to know the error of the integral; use 8 or more"
        )
    rows = row_errors = None
    if blueprint.template.responses is not None:
        rows, errors = _row_integral(blueprint, posterior)
        row_errors = rows.by_cluster(errors)
    return ClusterIntegral(
        blueprint,
        proposal,
        nodes=default_nodes(n_sampled) if nodes is None else nodes,
        rng=np.random.default_rng(random_seed),
        rows=rows,
        row_errors=row_errors,
    )


def _row_integral(blueprint: Blueprint, posterior: xr.Dataset) -> tuple[RowIntegral, FloatArray]:
    """Return the integral over scores and its errors by row, chosen at a draw in the middle."""
    one = posterior.isel(chain=[0], draw=[posterior.sizes["draw"] // 2])
    point = parameter_points(blueprint, one)[0]
    b = np.empty((blueprint.observed.n_clusters, 0))
    if blueprint.n_sampled:
        b = blueprint.likelihood.effects(point, coordinates_of_effects(blueprint, one, 1)[0])
    units = blueprint.observed.n_clusters or blueprint.observed.n_rows
    return row_integral(blueprint.likelihood, point, b, _ROWS * units)


def cluster_log_likelihood(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    integral: ClusterIntegral,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Log p(y_j, z_j | theta) for every draw and cluster.

    Parameters
    ----------
    blueprint
        A two-level model.
    posterior
        Posterior draws of its parameters.
    integral
        From :func:`cluster_integral`.

    Returns
    -------
    tuple of xarray.DataArray
        Values and standard errors of the integrals, both (chain, draw, cluster_id); the errors are
        zero where everything is integrated exactly.

    Warns
    -----
    AccuracyWarning
        The integrals are inaccurate for some clusters.
    """
    points = parameter_points(blueprint, posterior)
    keep = unit_positions(blueprint.observed, "cluster")
    values, errors = np.empty((2, len(points), len(keep)))
    for i, point in enumerate(points):
        value, error = integral(point)
        values[i], errors[i] = value[keep], error[keep]
    labels = unit_labels(blueprint.observed, "cluster")
    if blueprint.n_sampled or blueprint.template.responses is not None:
        _warn_of_errors(errors, labels, integral.nodes)
    largest = float(errors.max(initial=0.0))
    about = _about("cluster", blueprint.observed) | {
        "largest_integration_error": largest,
        "nodes": integral.nodes if blueprint.n_sampled else 0,
    }
    ids = np.array([str(label) for label in labels], dtype=object)
    return tuple(  # type: ignore[return-value]
        _array(array, posterior, "cluster", ids, about) for array in (values, errors)
    )


def nested_log_likelihood(
    blueprint: Blueprint, posterior: xr.Dataset, unit: Unit, *, random_seed: int
) -> xr.DataArray:
    """Log-likelihood of every top unit, or of every cluster given the effects of its top unit.

    Parameters
    ----------
    blueprint
        A three-level model.
    posterior
        Posterior draws of its parameters.
    unit
        "top" or "cluster".
    random_seed
        Seed of the effects of top units, one draw per draw of the parameters; those of "top" are
        integrated out.

    Returns
    -------
    xarray.DataArray
        (chain, draw, top_id) or (chain, draw, cluster_id).
    """
    likelihood, statistics = blueprint.likelihood, blueprint.statistics_by_cluster
    assert isinstance(likelihood, NestedLikelihood)
    points, rng = parameter_points(blueprint, posterior), np.random.default_rng(random_seed)
    keep, parts = unit_positions(blueprint.observed, unit), []
    step = max(1, _MAX_EFFECTS // (blueprint.observed.n_clusters + 1))
    for first in range(0, len(points), step):
        x = points[first : first + step]
        of_c, of_a = likelihood.no_noise(len(x), statistics)
        found = likelihood.recover(x, rng.standard_normal(of_c.shape), of_a, statistics)
        terms = found.unit_terms if unit == "top" else found.cluster_terms
        parts.append(terms[:, keep])
    ids = np.array([str(i) for i in unit_labels(blueprint.observed, unit)], dtype=object)
    about = _about(unit, blueprint.observed)
    return _array(np.concatenate(parts), posterior, unit, ids, about)


def parameter_points(blueprint: Blueprint, posterior: xr.Dataset) -> FloatArray:
    """Return extended sampled parameters of all draws, (S, n_theta), for the cluster form."""
    return blueprint.points(sampled_parameters(blueprint, posterior))


def observation_log_likelihood(
    blueprint: Blueprint, posterior: xr.Dataset, cluster_draws: xr.Dataset | None
) -> xr.DataArray:
    """Log p(y_ij | u_j, theta) for every draw and row with an observed outcome.

    Parameters
    ----------
    blueprint
        The model.
    posterior
        Posterior draws of its parameters.
    cluster_draws
        Draws of the clusters' effects; None in single-level models.

    Returns
    -------
    xarray.DataArray
        (chain, draw, obs_id), where obs_id is the position of the row in the data.
    """
    observed = blueprint.observed
    keep = unit_positions(observed, "observation")
    about = _about("observation", observed)
    if blueprint.template.responses is not None:
        rows, errors = _row_integral(blueprint, posterior)
        about["largest_integration_error"] = float(errors.max(initial=0.0))
        values = _integrated_rows(blueprint, posterior, cluster_draws, rows)[:, keep]
        _warn_of_row_errors(errors)
    else:
        values = row_log_likelihoods(blueprint, posterior, cluster_draws, keep)
    return _array(values, posterior, "observation", keep, about)


def row_log_likelihoods(
    blueprint: Blueprint, posterior: xr.Dataset, cluster_draws: xr.Dataset | None, at: IntArray
) -> FloatArray:
    """Log p(y_ij | u_j, theta) of the rows at some positions, (S, n)."""
    if blueprint.template.responses is not None:
        rows_of_model, _ = _row_integral(blueprint, posterior)
        return _integrated_rows(blueprint, posterior, cluster_draws, rows_of_model)[:, at]
    model = WithinModel(blueprint, posterior)
    effects, rows = known_effects(model, cluster_draws), _some(data_rows(blueprint.observed), at)
    values = np.empty((len(at), model.n_draws))  # the draws of a row together: LOO reads them so
    roots: dict[bytes, tuple[FloatArray, FloatArray]] = {}
    per_row = model.n_draws * (len(model.level.names) + rows.y.shape[1])
    for _, within, block in model.blocks(effects.of, rows.cluster, len(at), per_row):
        if model.shared is None:  # the cluster has a covariance matrix of its own
            roots.clear()
        patterns, kind = np.unique(~np.isnan(rows.y[block]), axis=0, return_inverse=True)
        for k, seen in enumerate(patterns):
            if seen.tobytes() not in roots:
                roots[seen.tobytes()] = _inverse_roots(within, seen)
            same = block[kind.ravel() == k]
            parts = (np.ascontiguousarray(rows.y[same][:, seen]), rows.design[same])
            means = (within.outcome_coefficients()[:, seen], within.shift[:, seen])
            arguments = (*means, *roots[seen.tobytes()], *parts)
            # writable, as kernels are compiled for
            values[same] = normal_rows(*(np.require(a, None, ("C", "W")) for a in arguments))
    return values.T


def _integrated_rows(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: xr.Dataset | None,
    rows: RowIntegral,
) -> FloatArray:
    """Log p(y_ij | b_j, theta) of all rows, (S, N), in the order of the data."""
    points, n_clusters = parameter_points(blueprint, posterior), blueprint.observed.n_clusters
    b = np.empty((len(points), n_clusters, 0))
    if blueprint.n_sampled:
        assert cluster_draws is not None
        every = cluster_draws["effects"].transpose("chain", "draw", "cluster_id", "effect")
        own = every.sel(effect=list(blueprint.template.effects.sampled)).to_numpy()
        b = own.reshape(len(points), n_clusters, -1)
    values = np.empty((len(points), blueprint.observed.n_rows))
    for value, point, effects in zip(values, points, b, strict=True):
        value[rows.rows.order] = rows.of_rows(point, effects)
    return values


def _warn_of_row_errors(errors: FloatArray) -> None:
    bad = int((~(errors <= LARGE_ERROR)).sum())
    if bad:
        warnings.warn(
            f"the log-likelihood of {bad} rows may be off by more than {LARGE_ERROR:g} (at most "
            f"{errors.max():.2g}), because the scores of rows are integrated numerically",
            AccuracyWarning,
            skip_file_prefixes=INSIDE,
        )


def _some(rows: Rows, at: IntArray) -> Rows:
    return replace(
        rows,
        y=rows.y[at],
        design=rows.design[at],
        cluster=None if rows.cluster is None else rows.cluster[at],
        row_index=rows.row_index.take(at),
    )


def _inverse_roots(within: WithinDraws, seen: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Inverse Cholesky factors (S, k, k) of Sigma_j of the outcomes seen; constants (S,)."""
    chol = np.linalg.cholesky(within.outcome_covariances()[:, seen][:, :, seen])
    log_det = np.log(np.einsum("skk->sk", chol)).sum(axis=1)
    return np.linalg.inv(chol), -0.5 * seen.sum() * np.log(2.0 * np.pi) - log_det


def _about(unit: Unit, observed: ObservedData) -> dict[str, str | int | float]:
    """Attributes that say what was computed."""
    counts = {"cluster": observed.n_clusters, "top": observed.n_tops}
    every = counts.get(unit, observed.n_rows)
    return {"unit": unit, "left_out": every - len(unit_positions(observed, unit))}


def _array(
    values: FloatArray,
    posterior: xr.Dataset,
    unit: Unit,
    ids: NDArray[Any],
    about: dict[str, str | int | float],
) -> xr.DataArray:
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], values.shape[1])
    return xr.DataArray(
        values.reshape(shape),
        dims=("chain", "draw", UNIT_DIMENSION[unit]),
        coords={
            "chain": posterior["chain"],
            "draw": posterior["draw"],
            UNIT_DIMENSION[unit]: ids,
        },
        attrs=about,
        name=unit,
    )


def _warn_of_errors(errors: FloatArray, labels: pd.Index[Any], nodes: int) -> None:
    typical = np.sqrt((errors**2).mean(axis=0))
    bad = np.flatnonzero(~(typical <= LARGE_ERROR))
    if len(bad):
        worst = bad[np.argmax(typical[bad])]
        warnings.warn(
            f"the log-likelihood of {len(bad)} of {len(labels)} clusters is known with a standard "
            f"error above {LARGE_ERROR:g} only (worst: {str(labels[worst])!r}, "
            f"{typical[worst]:.2g} in the root mean square over draws), because its sampled "
            f"effects are integrated out with {nodes} nodes; use more, "
            f"log_likelihood(nodes={4 * nodes})",
            AccuracyWarning,
            skip_file_prefixes=INSIDE,
        )
