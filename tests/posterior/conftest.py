"""One short NUTS fit with outcomes that are not normal for all tests of the room."""

from __future__ import annotations

import pytest

import bayes_msem as bm
from tests.posterior.made_up import synthetic_fit
from tests.posterior.outcome_fits import mixed_model, sampled_fit


@pytest.fixture(scope="session")
def outcome_fit() -> bm.Fit:
    return sampled_fit()


@pytest.fixture(scope="session")
def mixed_fit() -> bm.Fit:
    return synthetic_fit(mixed_model(), draws=15)
