"""Draws of effects and factors of both levels against the conditional normal of a top unit."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_msem.inference.density import starting_point
from bayes_msem.posterior.nested_effects import drawn_levels
from bayes_msem.structure.matrices import level_matrices
from tests.nested.models import FACTORS, SLOPES, school_frame, three_level, with_missing
from tests.nested.stacked import Plain, Unit, posterior

N = 4000


def plain(level, values, outcomes) -> Plain:
    """Matrices of a level, with these variables as its outcomes."""
    found = level_matrices(level, values)
    names = level.names
    at = tuple(names.index(v) if v in names else -1 for v in outcomes)
    return Plain(found.b, found.psi, found.k, at)


def uses_of(effects, names, outcomes):
    """Uses whose direct outcomes are counted in another order of the outcomes."""
    return tuple(
        (int(e), int(v) if v >= 0 else -1 - outcomes.index(names[-1 - v]), int(c))
        for e, v, c in zip(
            effects.use_effect, effects.use_variable, effects.use_column, strict=True
        )
    )


@pytest.mark.parametrize("text", [FACTORS, SLOPES])
def test_effects_factors_and_missing_outcomes(text: str) -> None:
    """Means and SDs of 4,000 draws at one point, to five standard errors."""
    blueprint = three_level(text, with_missing(school_frame(6))).blueprint
    observed, nested = blueprint.observed, blueprint.nested
    x = starting_point(blueprint)
    points = blueprint.points(np.tile(x, (N, 1)))
    blocks = [block for _, block in drawn_levels(blueprint, points, np.random.default_rng(1))]
    drawn = [
        np.concatenate(
            [np.dstack([getattr(b, level).u, getattr(b, level).factors]) for b in blocks]
        )
        for level in ("clusters", "tops")
    ]
    values, lower = blueprint.likelihood.values(points[0]), nested.lower
    factors = [
        blueprint.table.variables(level.level, "between factor")
        for level in (lower.between, nested.top)
    ]
    # factors stand among the effects, which come first; no use refers to them
    n_a, n_c = len(lower.effects.linear), len(nested.top_effects.linear)
    two = (*lower.between.outcomes[:n_a], *factors[0], *lower.z_names)
    three = (*nested.top.outcomes[:n_c], *factors[1], *nested.z3_names)
    levels = (
        plain(lower.within, values, lower.within.outcomes),
        plain(lower.between, values, two),
        plain(nested.top, values, three),
    )
    below = uses_of(lower.effects, lower.within.outcomes, lower.within.outcomes)
    above = uses_of(nested.top_effects, lower.between.outcomes, two)
    d1 = np.column_stack([np.ones(observed.n_rows), observed.x])
    for k in range(observed.n_tops):
        clusters = np.flatnonzero(observed.parent == k)
        rows = [np.flatnonzero(observed.cluster == j) for j in clusters]
        unit = Unit(
            [observed.y[r] for r in rows], [d1[r] for r in rows], observed.z[clusters],
            observed.cluster_design[clusters], observed.z3[k], observed.top_design[k],
        )  # fmt: skip
        mean, covariance = posterior(levels, below, above, unit)
        found = np.hstack([
            *(_ordered(drawn[0][:, j], lower.between.outcomes, factors[0], two) for j in clusters),
            _ordered(drawn[1][:, k], nested.top.outcomes, factors[1], three),
        ])  # fmt: skip
        sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        error = 5 * sd / np.sqrt(N) + 1e-8
        assert (np.abs(found.mean(axis=0) - mean) < error).all()
        assert (np.abs(found.std(axis=0) - sd) < 5 * sd / np.sqrt(2 * N) + 1e-6).all()


def _ordered(drawn, outcomes, factors, wanted):
    names = [*outcomes, *factors]
    return drawn[:, [names.index(v) for v in wanted]]
