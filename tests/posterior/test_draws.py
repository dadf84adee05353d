"""Sampled parameters come back from a fit's posterior as they went in."""

from __future__ import annotations

import numpy as np
import pytest

import bayes_msem as bm
from bayes_msem.posterior.draws import sampled_parameters
from tests.posterior.made_up import random_posterior, synthetic_fit
from tests.reference_models import load_reference


@pytest.mark.parametrize("name", ["single-level/political-democracy", "single-level/mediation"])
def test_sampled_covariances_share_a_variable_with_derived_ones(name: str) -> None:
    """Political democracy: a pattern of 4 covariances is sampled as it is, 2 as correlations.

    All 6 stand in the variable within_covariance.
    """
    reference = load_reference(name)
    model = bm.Model(reference.model_text, data=reference.frame)
    posterior = random_posterior(model.blueprint, 2, 5, seed=1)
    fit = synthetic_fit(model, posterior=posterior)
    stored = fit.datatree["posterior"].to_dataset()
    before = sampled_parameters(model.blueprint, posterior)
    assert np.array_equal(sampled_parameters(model.blueprint, stored), before)
    for group in model.blueprint.parameters.groups:
        assert posterior[group.name].sizes[f"{group.name}_row"] == len(group.free)
    if name == "single-level/political-democracy":
        assert stored["within_covariance"].sizes["within_covariance_row"] == 6
        pairs = [("y2", "y4"), ("y2", "y6"), ("y4", "y8"), ("y6", "y8")]
        for i, (a, b) in enumerate(pairs):
            sampled = posterior["within_covariance"].to_numpy()[..., i]
            assert np.array_equal(fit.draws["within", a, "~~", b], sampled)
    summary = fit.summary()
    assert summary["mean"].notna().all()
