"""Effects of models with outcomes that are not normal, from the coordinates that NUTS samples."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import bayes_msem as bm
from bayes_msem.inference.working import expand_rows
from bayes_msem.kernels.layout import THRESHOLD


def test_effects_are_those_of_the_joint_density() -> None:
    """Joint density = rows given b(t) + density of b(t) + log|db/dt|; thresholds move b(t)."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(np.arange(24), 2), "x": rng.standard_normal(48)})
    for k in (1, 2, 3):
        frame[f"y{k}"] = rng.permutation(np.repeat([0, 1, 2, 2], 12))
    text = """
        level: within
            f =~ y1 + y2 + y3
        level: between
            y1 ~~ y2 + y3
            y2 ~~ y3
    """
    model = bm.Model(text, data=frame, cluster="g", ordered=True)
    plain = model.unpiloted_blueprint()
    x = np.where(plain.parameters.transform == THRESHOLD, 0.3, 0.7)
    likelihood = expand_rows(plain, x, None).likelihood
    # away from where coordinates were made, so that thresholds have moved
    x = np.where(plain.parameters.transform == THRESHOLD, 0.45, 0.6)
    x, shape = np.ascontiguousarray(plain.extend_sampled(x)), likelihood.shape
    t, t_s = rng.standard_normal(shape), rng.standard_normal(likelihood.score_shape)
    b = likelihood.effects(x, t)
    omega, coefficients = likelihood.level_two(x)
    mean = plain.observed.cluster_design @ coefficients
    density = multivariate_normal(np.zeros(3), omega).logpdf(b - mean).sum()
    columns = [likelihood.effects(x, t + e) - b for e in np.eye(3)]
    volume = np.linalg.slogdet(np.stack(columns, axis=-1))[1].sum()
    expected = likelihood.row_terms(x, b, t_s).value.sum() + density + volume
    assert likelihood.joint_with_scores(x, t, t_s)[0] == pytest.approx(expected, abs=1e-9)
    slopes = likelihood.coordinate_map(x, t).slope
    np.testing.assert_allclose(slopes, np.stack(columns, axis=-1), rtol=1e-8)
    s = np.linalg.solve(np.linalg.cholesky(omega), (b - mean).T).T
    np.testing.assert_allclose(likelihood.coordinates(x, np.ascontiguousarray(s)), t, rtol=1e-8)
