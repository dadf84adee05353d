"""Random slopes against lme4 (maximum likelihood; see tests/reference/README.md)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import bayes_msem as bm
from bayes_msem.inference.mode import Mode
from tests.inference.models import quiet_model
from tests.reference_models import RANDOM_SLOPE_NAMES, Reference, load_reference


@cache
def reference_and_model(name: str) -> tuple[Reference, bm.Model]:
    reference = load_reference(name)
    return reference, quiet_model(reference.model_text, reference.frame, cluster=reference.cluster)


@cache
def maximum(name: str) -> Mode:
    return reference_and_model(name)[1].mode(prior=False)


@pytest.mark.parametrize("name", RANDOM_SLOPE_NAMES)
def test_log_likelihood_at_lme4s_estimates(name: str) -> None:
    """Estimates are stored with 10 digits; a maximum forgives them. Sums of 7185 rows: 1e-8."""
    reference, model = reference_and_model(name)
    found = model.log_likelihood(reference.estimates)
    assert found == pytest.approx(reference.log_likelihood, rel=0, abs=1e-7)


@pytest.mark.parametrize("name", RANDOM_SLOPE_NAMES)
def test_mode_is_lme4s(name: str) -> None:
    """lme4 stops at 1e-2 standard errors at worst, which is 5e-5 in the log-likelihood.

    Our own mode is never lower: it stops at a Newton decrement of 1e-9.
    """
    reference, mode = load_reference(name), maximum(name)
    assert mode.converged
    assert reference.log_likelihood - 1e-8 < mode.log_likelihood < reference.log_likelihood + 5e-5
    for key, value in reference.estimates.items():
        assert abs(mode[key] - value) <= 1e-2 * mode.standard_errors[key], key


@pytest.mark.parametrize("name", RANDOM_SLOPE_NAMES)
def test_standard_errors_are_lme4s(name: str) -> None:
    """lme4's standard errors hold variances fixed; ours let them vary: 2 % with 160 schools."""
    reference, mode = load_reference(name), maximum(name)
    compared = 0
    for key, se in reference.se.items():
        if np.isfinite(se):
            assert mode.standard_errors[key] == pytest.approx(se, rel=0.02), key
            compared += 1
    assert compared >= 2


def test_posterior_mode_is_near_the_maximum() -> None:
    """Weak priors move 160 schools by less than a standard error."""
    name = "hsb/random-slope"
    _, model = reference_and_model(name)
    mode, best = model.mode(), maximum(name)
    assert mode.converged
    assert best.log_likelihood - 1.0 < mode.log_likelihood < best.log_likelihood
    for key, se in best.standard_errors.items():
        assert abs(mode[key] - best[key]) < se, key
