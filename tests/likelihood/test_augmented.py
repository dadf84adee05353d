"""The joint density of models with outcomes that are not normal, against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.likelihood.augmented import (
    AUGMENTED,
    Augmented,
    Joint,
    built,
    informed_rows,
    random_parameters,
)

Array = NDArray[np.float64]
CASES = pytest.mark.parametrize("case", AUGMENTED, ids=str)


def point(case: Augmented, seed: int) -> tuple[Joint, Array, Array, Array]:
    """Oracle, extended parameters, and coordinates of effects and scores."""
    model, frame = built(case)
    blueprint = informed_rows(model.unpiloted_blueprint(), seed, given_z=case.given_z)
    this = Joint(case, blueprint, frame, random_parameters(blueprint, seed))
    x = np.ascontiguousarray(blueprint.extend_sampled(this.x))
    rng, likelihood = np.random.default_rng(seed), blueprint.likelihood
    return this, x, rng.normal(size=likelihood.shape), rng.normal(size=likelihood.score_shape)


@CASES
@pytest.mark.parametrize("seed", [1, 2])
def test_joint_density_is_that_of_the_oracle(case: Augmented, seed: int) -> None:
    this, x, t, t_s = point(case, seed)
    found = this.blueprint.likelihood.joint_with_scores(x, t, t_s)[0]
    expected = this.joint(this.blueprint.likelihood, t, t_s)
    assert np.isfinite(expected)
    assert found == pytest.approx(expected, rel=1e-11)
