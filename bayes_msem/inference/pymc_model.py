"""The PyMC model: a few vector-valued priors and one observed variable.

This is the only module that creates random variables. Each group of parameters (see
structure.parameters) is one random variable whose dimension is named ``<group>_row`` and has the
table rows as coordinates. The observed variable ``y`` carries the raw data (rows x outcomes, with
cluster-level outcomes repeated inside their cluster); its log density is the marginal
log-likelihood, its random draws new data from the model, so that PyMC's own prior and posterior
predictive sampling work.

With outcomes that are not normal, cluster effects and scores are random variables too
(``effect_coordinates``, ``score_coordinates``). The density of the data is then computed in one
pass with theirs, and all of it stands in ``y``; their own terms are zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import NotSupportedError
from bayes_msem.inference.coordinates import COORDINATES, SCORE_COORDINATES, coords_of
from bayes_msem.kernels.layout import SQUARE
from bayes_msem.likelihood.ops import (
    JointDensity,
    LogLikelihood,
    SufficientStatistics,
)
from bayes_msem.simulation.simulate import simulate_data
from bayes_msem.spec.expressions import FUNCTIONS, evaluate
from bayes_msem.spec.prior_families import FAMILIES
from bayes_msem.structure.parameters import Group

FloatArray = NDArray[np.float64]


def build_pymc_model(blueprint: Blueprint) -> pm.Model:
    """Build the PyMC model.

    Parameters
    ----------
    blueprint
        Structure, priors and data.

    Returns
    -------
    pm.Model
        With one random variable per group of parameters and the observed variable ``y``.
    """
    observed = blueprint.observed
    coords: dict[str, Any] = {
        **coords_of(blueprint),
        "obs_id": np.arange(observed.n_rows),
        "outcome": list(blueprint.outcomes),
    }
    with pm.Model(coords=coords) as model:
        x = pt.concatenate([_random_variable(group) for group in blueprint.parameters.groups])
        x = _append_constrained(x, blueprint)
        coordinates = [_coordinates(x, blueprint)] if blueprint.n_sampled else []
        scores = []
        if blueprint.likelihood.score_shape[1]:
            scores = [_score_coordinates(x, coordinates, blueprint)]
        inputs = ["(k)", *(["(j,e)"] if coordinates else []), *(["(n,q)"] if scores else [])]
        pm.CustomDist(
            "y",
            x,
            *coordinates,
            *scores,
            np.arange(observed.n_rows),
            np.arange(len(blueprint.outcomes)),
            logp=_log_density(blueprint),
            random=_random(blueprint),
            signature=f"{','.join([*inputs, '(o)', '(v)'])}->(o,v)",
            class_name=_class_name(blueprint),
            observed=_observed_values(observed),
            dims=("obs_id", "outcome"),
        )
    return model


def has_potentials(model: pm.Model, blueprint: Blueprint) -> bool:
    """Whether a user has added potentials to the model; variables of a user are refused.

    Raises
    ------
    NotSupportedError
        The model has other random variables than those of its blueprint.
    """
    expected = {group.name for group in blueprint.parameters.groups} | {"y"}
    if blueprint.n_sampled:
        expected.add(COORDINATES)
    if blueprint.likelihood.score_shape[1]:
        expected.add(SCORE_COORDINATES)
    added = sorted({variable.name for variable in model.basic_RVs} - expected)
    if added:
        raise NotSupportedError(
            "model.pymc_model has got random variables that model.fit() does not know: "
            f"{', '.join(added)}. Sample it with PyMC itself (with model.pymc_model: pm.sample()), "
            "or add terms as pm.Potential, which model.fit() takes into account."
        )
    return bool(model.potentials)


def _observed_values(observed: ObservedData) -> Any:
    """Outcomes as PyMC takes them.

    As a NumPy array, missing values would make PyMC sample them one by one; the likelihood
    integrates them out.
    """
    values = observed_matrix(observed)
    return pt.constant(values) if observed.incomplete else values


def _random_variable(group: Group) -> Any:
    family = FAMILIES[group.family]
    if not family.pymc:
        return _custom_variable(group)
    distribution: Any = getattr(pm, family.pymc)
    arguments = dict(zip(family.pymc_arguments, group.arguments, strict=True))
    return distribution(group.name, **arguments, dims=f"{group.name}_row")


def _custom_variable(group: Group) -> Any:
    """Positive variable of a family that PyMC lacks: chi is the root of a gamma."""
    assert group.family == "chi"
    nu, sigma = group.arguments

    def logp(value: Any, nu: Any, sigma: Any) -> Any:
        gamma = pm.Gamma.dist(nu / 2.0, 0.5 / sigma**2)
        return pm.logp(gamma, value**2) + pt.log(2.0 * value)

    def random(nu: Any, sigma: Any, rng: np.random.Generator, size: Any) -> Any:
        return sigma * np.sqrt(rng.chisquare(nu, size=size))

    return pm.CustomDist(
        group.name,
        nu,
        sigma,
        logp=logp,
        random=random,
        support_point=lambda rv, size, nu, sigma: sigma * pt.sqrt(nu),
        transform=pm.distributions.transforms.log,
        dims=f"{group.name}_row",
    )


def _append_constrained(x: Any, blueprint: Blueprint) -> Any:
    """Append the rows that are expressions of labels to the vector of parameters."""
    if not blueprint.table.constraints:
        return x
    squared = blueprint.parameters.transform == SQUARE
    labels: dict[str, Any] = {
        name: x[i] ** 2 if squared[i] else x[i] for name, i in blueprint.label_positions.items()
    }
    # PyTensor has the functions under our names (abs) or under NumPy's (arccos)
    functions = {
        name: getattr(pt, name if hasattr(pt, name) else function.__name__)
        for name, function in FUNCTIONS.items()
    }
    values = []
    for constraint in blueprint.table.constraints:
        value = pt.as_tensor_variable(evaluate(constraint.expression, labels, functions=functions))
        labels[constraint.label] = value
        values.append(value)
    return pt.concatenate([x, pt.stack(values)])


def _class_name(blueprint: Blueprint) -> str:
    if blueprint.likelihood.responses is not None:
        return "TwoLevelOutcomes" if blueprint.observed.n_clusters else "Outcomes"
    return "TwoLevelNormal" if blueprint.observed.n_clusters else "MultivariateNormal"


def _log_density(blueprint: Blueprint) -> Callable[..., Any]:
    if blueprint.likelihood.responses is not None:
        return _joint_log_density(blueprint)
    observed, likelihood = blueprint.observed, blueprint.likelihood
    ints, floats, _, approximation = likelihood.arguments

    def reduce(outcomes: FloatArray) -> FloatArray:
        return likelihood.pack(with_outcomes(observed, outcomes))

    def logp(value: Any, x: Any, *rest: Any) -> Any:
        statistics = SufficientStatistics(reduce)(value)
        t = rest[0] if blueprint.n_sampled else likelihood.no_coordinates()
        inputs = (x, t, ints, floats, statistics, approximation)
        return LogLikelihood(likelihood.provider).make_node(*inputs).outputs[0]

    return logp


def _coordinates(x: Any, blueprint: Blueprint) -> Any:
    """Coordinates of the sampled effects: normal given the parameters (kernels.centring)."""
    likelihood = blueprint.likelihood
    constants, shape = likelihood.arguments, likelihood.shape

    def logp(value: Any, x: Any, *_: Any) -> Any:
        if likelihood.responses is not None:
            return pt.zeros(())  # it is part of that of y
        effects = LogLikelihood(likelihood.provider, "effects")
        return effects.make_node(x, value, *constants).outputs[0]

    def random(
        x: FloatArray, *_: Any, rng: np.random.Generator, size: tuple[int, ...] | None = None
    ) -> FloatArray:
        flat = _broadcast(x, size).reshape(-1, x.shape[-1])
        draws = [likelihood.coordinates(row, rng.standard_normal(shape)) for row in flat]
        return np.stack(draws).reshape(*_broadcast(x, size).shape[:-1], *shape)

    return pm.CustomDist(
        COORDINATES,
        x,
        np.arange(shape[0]),
        np.arange(shape[1]),
        logp=logp,
        random=random,
        signature="(k),(j),(e)->(j,e)",
        class_name="ClusterEffects",
        dims=("cluster_id", "sampled_effect"),
    )


def _broadcast(x: FloatArray, size: tuple[int, ...] | None) -> FloatArray:
    return np.broadcast_to(x, (*size, x.shape[-1])) if size else x


def _joint_log_density(blueprint: Blueprint) -> Callable[..., Any]:
    """Density of outcomes and coordinates, of which one pass over the rows gives both."""
    observed, likelihood = blueprint.observed, blueprint.likelihood
    responses, (ints, floats, _, approximation) = likelihood.responses, likelihood.arguments
    assert responses is not None
    none = (likelihood.no_coordinates(), np.zeros(likelihood.score_shape))
    sampled = (bool(blueprint.n_sampled), bool(likelihood.score_shape[1]))

    def statistics(outcomes: FloatArray) -> FloatArray:
        return likelihood.pack(with_outcomes(observed, outcomes))

    def rows(outcomes: FloatArray) -> FloatArray:
        packed: FloatArray = responses.on(with_outcomes(observed, outcomes)).part.floats
        return packed

    def logp(value: Any, x: Any, *rest: Any) -> Any:
        given = iter(rest)
        t, t_s = (
            next(given) if is_sampled else empty
            for is_sampled, empty in zip(sampled, none, strict=True)
        )
        read = SufficientStatistics(statistics)(value), SufficientStatistics(rows)(value)
        inputs = (x, t, t_s, ints, floats, read[0], approximation, responses.part.ints, read[1])
        return JointDensity().make_node(*inputs).outputs[0]

    return logp


def _score_coordinates(x: Any, effects: list[Any], blueprint: Blueprint) -> Any:
    """Coordinates of the scores; their density given the parameters is part of that of y."""
    likelihood = blueprint.likelihood
    shape, none = likelihood.score_shape, likelihood.no_coordinates()
    assert likelihood.responses is not None
    carried = likelihood.responses.template.carried

    def logp(*_: Any) -> Any:
        return pt.zeros(())

    def random(
        x: FloatArray, *rest: Any, rng: np.random.Generator, size: tuple[int, ...] | None = None
    ) -> FloatArray:
        if carried:
            raise NotSupportedError(
                f"latent responses of {', '.join(carried)} are predictors or have correlated "
                "residuals; PyMC cannot draw such rows. Use model.prior_predictive() and fit.ppc()"
            )
        x = _broadcast(x, size)
        flat = np.ascontiguousarray(x.reshape(-1, x.shape[-1]))
        t = np.asarray(rest[0]) if effects else none
        ts = np.broadcast_to(t, (*x.shape[:-1], *t.shape[-2:])).reshape(len(flat), *t.shape[-2:])
        draws = [
            likelihood.score_coordinates(
                row, likelihood.effects(row, at), rng.standard_normal(shape)
            )
            for row, at in zip(flat, ts, strict=True)
        ]
        return np.stack(draws).reshape(*x.shape[:-1], *shape)

    return pm.CustomDist(
        SCORE_COORDINATES,
        x,
        *effects,
        np.arange(shape[0]),
        np.arange(shape[1]),
        logp=logp,
        random=random,
        signature="(k),(j,e),(n),(q)->(n,q)" if effects else "(k),(n),(q)->(n,q)",
        class_name="Scores",
        dims=("score_row", "score"),
    )


def _random(blueprint: Blueprint) -> Callable[..., FloatArray]:
    likelihood, observed = blueprint.likelihood, blueprint.observed
    n = blueprint.parameters.n

    def outcomes(x: FloatArray, t: FloatArray, rng: np.random.Generator) -> FloatArray:
        if np.isnan(blueprint.theta(x[None, :n])).any():
            # outside the prior: covariances of a direct block are not positive definite
            return np.full(observed_matrix(observed).shape, np.nan)
        sampled = None
        if blueprint.n_sampled:
            sampled = likelihood.effects(x, t)
        return simulate_data(blueprint, x, observed, rng, sampled=sampled).outcomes(observed)

    def random(
        x: FloatArray, *rest: Any, rng: np.random.Generator, size: tuple[int, ...] | None = None
    ) -> FloatArray:
        x = _broadcast(x, size)
        flat = np.ascontiguousarray(x.reshape(-1, x.shape[-1]))
        t = np.asarray(rest[0]) if blueprint.n_sampled else likelihood.no_coordinates()
        # not -1: without sampled effects the array is empty
        ts = np.broadcast_to(t, (*x.shape[:-1], *t.shape[-2:])).reshape(len(flat), *t.shape[-2:])
        draws = [
            outcomes(row, np.ascontiguousarray(coordinates), rng)
            for row, coordinates in zip(flat, ts, strict=True)
        ]
        return np.stack(draws).reshape(*x.shape[:-1], *draws[0].shape)

    return random


def observed_matrix(observed: ObservedData) -> FloatArray:
    """Outcomes as one array (N, P): y, then z (and z3) repeated for every row of their unit."""
    if observed.parent is not None:
        z3 = observed.z3[observed.parent[observed.cluster]]
        return np.column_stack([observed.y, observed.z[observed.cluster], z3])
    if observed.cluster is None or not observed.z_names:
        return np.array(observed.y)
    return np.column_stack([observed.y, observed.z[observed.cluster]])


def with_outcomes(observed: ObservedData, outcomes: FloatArray) -> ObservedData:
    """Return the same design with other outcomes (N, P)."""
    p = len(observed.y_names)
    if observed.cluster is None or not (observed.z_names or observed.z3_names):
        return replace(observed, y=np.ascontiguousarray(outcomes[:, :p]))
    _, first = np.unique(observed.cluster, return_index=True)
    if observed.parent is not None:
        q = p + len(observed.z_names)
        _, row = np.unique(observed.parent[observed.cluster], return_index=True)
        observed = replace(observed, z3=outcomes[row, q:].copy())
        outcomes = outcomes[:, :q]
    return replace(observed, y=np.ascontiguousarray(outcomes[:, :p]), z=outcomes[first, p:].copy())
