"""Leave-one-out terms that importance sampling cannot give: exact refits, and moment matching.

An exact refit fits the model, with the same priors, to the data without cluster j (or without the
outcomes of row i), and averages the density of what was left out over the new posterior draws,

    elpd_j = log 1/S sum_s p(y_j, z_j | theta_s) ,   theta_s ~ p(theta | data without j) .

Moment matching shifts and scales the draws of all data until they resemble those of the data
without j, and weights them again (Paananen et al. 2021). It needs the left-out unit's likelihood to
be a function of the parameters alone, so it serves models without sampled effects, and rows of
single-level models; in others effects of the left-out cluster are among the draws.

References
----------
Paananen, T., Piironen, J., Bürkner, P.-C., & Vehtari, A. (2021). Implicitly adaptive importance
sampling. Statistics and Computing, 31, 16. https://doi.org/10.1007/s11222-020-09982-2
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pickle import PicklingError
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rotated import check_unturned
from bayes_msem.checking.accuracy.integral import ClusterIntegral
from bayes_msem.checking.accuracy.log_likelihood import (
    Unit,
    parameter_points,
    row_log_likelihoods,
    unit_positions,
)
from bayes_msem.checking.accuracy.loo import LooResult, replaced
from bayes_msem.data.subsets import without_cluster, without_outcomes
from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.inference.density import log_posterior, support
from bayes_msem.inference.interrupt import all_or_nothing
from bayes_msem.posterior.draws import sampled_parameters

__all__ = ["exact_terms", "exactly_replaced", "moment_matched"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def exactly_replaced(
    model: Any,
    result: LooResult,
    log_likelihood: xr.DataArray,
    threshold: float | None,
    fit_again: Callable[[Any], Any],
    integral: ClusterIntegral | None,
    executor: Executor | None = None,
) -> LooResult:
    """Replace the terms whose Pareto k is above a threshold by those of exact refits.

    Parameters
    ----------
    model
        The :class:`bayes_msem.Model`.
    result
        Result of importance sampling.
    log_likelihood
        The log-likelihoods it was computed from.
    threshold
        Which k are too high; None: ArviZ's ``good_k``.
    fit_again, integral, executor
        As for :func:`exact_terms`.
    """
    limit = result.elpd_data.good_k if threshold is None else threshold
    bad = np.flatnonzero(~(result.pareto_k.to_numpy() <= limit))
    if not len(bad):
        return result
    terms = exact_terms(model, result.unit, bad, fit_again, integral, executor)
    return replaced(result, log_likelihood, bad, terms)


def exact_terms(
    model: Any,
    unit: Unit,
    positions: IntArray,
    fit_again: Callable[[Any], Any],
    integral: ClusterIntegral | None,
    executor: Executor | None = None,
) -> FloatArray:
    """Terms of elpd from fits without one unit at a time.

    Parameters
    ----------
    model
        The :class:`bayes_msem.Model`.
    unit
        What is left out.
    positions
        Which units, by position among those that have observed outcomes.
    fit_again
        Fits a model to the other data.
    integral
        Integrates the effects of clusters; None for unit "observation".
    executor
        Runs the fits, one task each; None: one after the other, here. Terms are the same.

    Returns
    -------
    array like ``positions``

    Raises
    ------
    KeyboardInterrupt
        A fit was interrupted: fewer draws than asked for would make a term less accurate, unseen.
    SpecificationError
        The executor's processes cannot be sent ``fit_again``.
    """
    places = [int(place) for place in unit_positions(model.observed, unit)[positions]]
    alone: list[ClusterIntegral | None] = [None] * len(places)
    if integral is not None:
        # in the order of the units, whose points are then the same wherever they are used
        alone = [integral.restricted(place) for place in places]
        for place, one in zip(places, alone, strict=True):
            assert one is not None
            one.rng = np.random.default_rng([int(integral.rng.integers(2**32)), place])
    task = partial(_term, model, unit, fit_again)
    if executor is None:
        return np.array([task(*each) for each in zip(places, alone, strict=True)])
    futures = [executor.submit(task, *each) for each in zip(places, alone, strict=True)]
    try:
        return np.array([future.result() for future in futures])
    except (PicklingError, AttributeError, TypeError) as error:
        if "pickle" not in str(error).lower():
            raise
        raise SpecificationError(
            "executor= sends the model, its data and refit= to other processes, and one of these "
            f"cannot be sent ({error}); let refit be 'exact', or a function of a module"
        ) from error
    finally:
        for future in futures:
            future.cancel()


def _term(
    model: Any,
    unit: Unit,
    fit_again: Callable[[Any], Any],
    place: int,
    integral: ClusterIntegral | None,
) -> float:
    """Term of elpd of one unit, from a fit without it."""
    blueprint = model.blueprint
    left = without_cluster if unit == "cluster" else without_outcomes
    with all_or_nothing():
        other = fit_again(model.on(left(blueprint.observed, place)))
    posterior = other.datatree["posterior"].to_dataset()
    if integral is not None:
        values = np.array([integral(x)[0][0] for x in parameter_points(blueprint, posterior)])
    else:
        clusters = other.cluster_draws if blueprint.observed.two_level else None
        values = row_log_likelihoods(blueprint, posterior, clusters, np.array([place]))[:, 0]
    return float(logsumexp(values) - np.log(len(values)))


def moment_matched(
    blueprint: Blueprint, tree: xr.DataTree, result: LooResult, integral: ClusterIntegral | None
) -> LooResult:
    """Improve the terms with high Pareto k by moment matching.

    Parameters
    ----------
    blueprint
        The model.
    tree
        With groups ``posterior`` and ``log_likelihood``.
    result
        Result of importance sampling.
    integral
        Evaluates clusters; None for rows of single-level models.

    Returns
    -------
    LooResult
        Its Pareto k are those after moment matching, in ``elpd_data``.

    Raises
    ------
    NotSupportedError
        What is left out depends on effects that are among the draws.
    """
    of_clusters = result.unit == "observation" and blueprint.observed.two_level
    if blueprint.likelihood.n_coordinates or of_clusters:
        what = "the effects of the clusters"
        if blueprint.likelihood.score_shape[1]:
            what = "scores of rows" + (f" and {what}" if blueprint.n_sampled else "")
        raise NotSupportedError(
            f"refit='moment_match' moves draws of parameters, but here {what} are among the draws; "
            "use refit='exact'"
        )
    check_unturned(blueprint, "refit='moment_match'", "Use refit='exact'")
    bad = result.high_k.index
    if not len(bad):
        return result
    posterior = tree["posterior"].to_dataset()
    bounds = support(blueprint)
    x = sampled_parameters(blueprint, posterior)
    upars = xr.DataArray(
        bounds.to_unconstrained(x),
        dims=("chain", "draw", "parameter"),
        coords={"chain": posterior["chain"], "draw": posterior["draw"]},
    )
    log_likelihood = _unit_likelihood(blueprint, result.unit, integral)

    def log_density(u: xr.DataArray) -> xr.DataArray:
        rows = u.to_numpy().reshape(-1, u.sizes["parameter"])
        values = [log_posterior(blueprint, row, jacobian=True)[0] for row in rows]
        return _like_draws(u, np.array(values))

    def unit_density(u: xr.DataArray, i: int) -> xr.DataArray:
        rows = u.to_numpy().reshape(-1, u.sizes["parameter"])
        return _like_draws(u, log_likelihood(int(i), bounds.to_constrained(rows)[0]))

    import arviz_stats as az  # with scipy.stats, which takes a while

    with warnings.catch_warnings():
        # what could not be mended is told by the record
        warnings.filterwarnings("ignore", message="Observation [0-9]+: Moment matching did not")
        warnings.filterwarnings("ignore", message="After Moment Matching")
        # k that is no number is not "above" the threshold for ArviZ
        warnings.filterwarnings("ignore", message="No Pareto k values exceed the threshold")
        data = az.loo_moment_match(
            tree,
            result.elpd_data,
            log_prob_upars_fn=log_density,
            log_lik_i_upars_fn=unit_density,
            upars=upars,
            var_name=result.unit,
            pointwise=True,
        )
    after = data.pareto_k.to_numpy()
    changed = result.pareto_k.index[after < result.pareto_k.to_numpy()]
    data = replace(data, warning=bool((~(after <= data.good_k)).any()))
    return replace(result, elpd_data=data, replaced=tuple(changed), replaced_by="moment matching")


def _like_draws(u: xr.DataArray, values: FloatArray) -> xr.DataArray:
    one = u.isel(parameter=0, drop=True)
    return one.copy(data=values.reshape(one.shape))


def _unit_likelihood(
    blueprint: Blueprint, unit: Unit, integral: ClusterIntegral | None
) -> Callable[[int, FloatArray], FloatArray]:
    """Return a function of a unit and sampled parameters (S, n_free): its log-likelihoods (S,)."""
    places = unit_positions(blueprint.observed, unit)

    def cluster(i: int, x: FloatArray) -> FloatArray:
        assert integral is not None
        one = integral.restricted(int(places[i]))
        points = np.ascontiguousarray(one.blueprint.extend_sampled(x))
        return np.array([one(point)[0][0] for point in points])

    def row(i: int, x: FloatArray) -> FloatArray:
        draws = _as_posterior(blueprint, x)
        return row_log_likelihoods(blueprint, draws, None, places[i : i + 1])[:, 0]

    return cluster if unit == "cluster" else row


def _as_posterior(blueprint: Blueprint, x: FloatArray) -> xr.Dataset:
    """Return sampled parameters (S, n_free) as a posterior of one chain."""
    parts, first = {}, 0
    for group in blueprint.parameters.groups:
        values = x[None, :, first : first + len(group.free)]
        parts[group.name] = (("chain", "draw", f"{group.name}_row"), values)
        first += len(group.free)
    return xr.Dataset(parts, coords={"chain": [0], "draw": np.arange(len(x))})
