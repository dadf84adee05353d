"""One small model for every provider of the likelihood, and all that is asked of its kernels."""

from __future__ import annotations

import numpy as np

from bayes_msem.inference.density import log_posterior, starting_point
from bayes_msem.inference.geometry import geometry_at
from bayes_msem.inference.nuts_model import nuts_model
from bayes_msem.likelihood.nested_likelihood import NestedLikelihood
from tests.likelihood.cases import two_level
from tests.missing.frames import holes
from tests.nested.models import three_level_blueprints
from tests.random.models import build, make_data, sampled_values, unpiloted

INTERCEPTS = two_level("intercepts", "fw =~ y1 + y2 + y3\nfw ~ x1", "fb =~ y1 + y2 + y3\nz1 ~ fb")
SLOPE = two_level("slope", 'y1 ~ rv("s")*x1', "y1 ~~ s\nz1 ~ s")
LOADING = two_level("loading", 'fw =~ y1 + rv("l")*y2 + y3', "z1 ~ l")


def no_start(seed: int | None) -> np.ndarray:
    raise AssertionError("nothing is sampled here")


def evaluate_all() -> None:
    """Evaluate densities, terms, draws and messages of all providers."""
    evaluate_nested()
    frame = make_data()
    for case, data in (
        (INTERCEPTS, frame),
        (INTERCEPTS, holes(frame)),
        (SLOPE, frame),
        (LOADING, holes(frame)),
    ):
        blueprint = unpiloted(build(case, data))
        x = sampled_values(blueprint, 1)
        likelihood, point = blueprint.likelihood, blueprint.points(x)[0]
        t = np.zeros(likelihood.shape)
        likelihood.joint(point, t)
        likelihood.sampled(point, t)
        if not blueprint.n_sampled:
            likelihood.natural(np.ascontiguousarray(blueprint.theta(x[None])[0]))
        log_posterior(blueprint, np.concatenate([x, t.ravel()]), jacobian=True)
        b = np.ascontiguousarray(likelihood.effects(point, t)) if blueprint.n_sampled else t
        statistics = blueprint.statistics_by_cluster
        likelihood.terms(point, b[None], statistics)
        normals = np.zeros((len(b), len(blueprint.template.effects.use_effect)))
        likelihood.linear_effects(point, b, normals, statistics)
        likelihood.within(point, b)
        if blueprint.n_sampled:
            likelihood.coordinate_density(point, t)
            likelihood.coordinates(point, t)
            n_a = len(blueprint.template.effects.linear)
            likelihood.messages(point, np.zeros((len(b), n_a)), b)
        geometry = geometry_at(blueprint, x)
        nuts_model(blueprint, geometry, no_start).functions  # noqa: B018 - compiles them


def evaluate_nested() -> None:
    """The same of three levels."""
    for blueprint in three_level_blueprints():
        x = starting_point(blueprint)
        likelihood, points = blueprint.likelihood, blueprint.points(x)
        assert isinstance(likelihood, NestedLikelihood)
        t = np.zeros(likelihood.shape)
        likelihood.joint(points[0], t)
        likelihood.natural(np.ascontiguousarray(blueprint.theta(x[None])[0]))
        log_posterior(blueprint, x, jacobian=True)
        statistics = blueprint.statistics_by_cluster
        likelihood.unit_terms(points, statistics)
        likelihood.level_three(points)
        likelihood.level_two(points)
        likelihood.values(points)
        nuts_model(blueprint, geometry_at(blueprint, x), no_start).functions  # noqa: B018
