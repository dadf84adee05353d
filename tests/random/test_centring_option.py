"""The ``centring`` option forces the coordinates of sampled effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm

SPEC = """
    level: within
        f =~ y1 + rv("l2")*y2 + y3
    level: between
        y1 ~~ y1
        y2 ~~ y2
        y3 ~~ y3
"""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(24), 10)
    factor = rng.normal(size=240)
    y = factor[:, None] * [1.0, 0.8, 0.9] + rng.normal(size=(24, 3))[cluster]
    y += rng.normal(size=y.shape)
    return pd.DataFrame(y, columns=["y1", "y2", "y3"]).assign(g=cluster)


def posterior_sd_of_effects(model: bm.Model) -> np.ndarray:
    """Standard deviation of b per unit of t, one per cluster, at the pilot's parameters."""
    blueprint = model.blueprint
    x = np.ascontiguousarray(blueprint.extend_sampled(blueprint.pilot))
    zeros = np.zeros((24, 1))
    likelihood = blueprint.likelihood
    return (likelihood.effects(x, zeros + 1.0) - likelihood.effects(x, zeros))[:, 0]


def test_extremes_and_the_mixture_between_them(frame):
    sd = {
        choice: posterior_sd_of_effects(bm.Model(SPEC, frame, cluster="g", centring=choice))
        for choice in ("noncentred", "adaptive", "centred")
    }
    # non-centred: the prior's SD, equal for all clusters; centred: vanishing units; adaptive: less
    # than the prior's, and different for clusters that know different amounts
    np.testing.assert_allclose(sd["noncentred"], sd["noncentred"][0])
    assert (sd["adaptive"] < sd["noncentred"]).all()
    assert np.ptp(sd["adaptive"]) > 0
    assert (sd["centred"] < 0.01 * sd["adaptive"]).all()


def test_unknown_choice_names_the_valid_ones(frame):
    with pytest.raises(bm.SpecificationError, match="use 'adaptive', 'centred' or 'noncentred'"):
        bm.Model(SPEC, frame, cluster="g", centring="center")
