"""Missing outcomes: log-likelihoods, estimates and standard errors of lavaan (full information)."""

from __future__ import annotations

import warnings
from functools import cache

import pytest

import bayes_msem as bm
from bayes_msem.errors import MsemWarning
from tests.reference_models import MISSING_NAMES, Reference, load_reference
from tests.test_oracle import COVARIATE_TOLERANCE


@cache
def reference_model(name: str) -> tuple[Reference, bm.Model]:
    reference = load_reference(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        model = bm.Model(reference.model_text, data=reference.frame, cluster=reference.cluster)
    return reference, model


def tolerance(name: str, usual: float) -> float:
    return COVARIATE_TOLERANCE if name == "missing/covariates" else usual


@pytest.mark.parametrize("name", MISSING_NAMES)
def test_log_likelihood_at_the_stored_estimates(name: str) -> None:
    """Both sum the same terms in double precision; estimates have 17 digits. (Issue: 1e-4.)

    With covariates, lavaan's own value is off by 2e-5 (see tests.test_oracle).
    """
    reference, model = reference_model(name)
    assert reference.frame.isna().any(axis=None)
    at = {key: reference.estimates[key] for key in reference.free}
    assert model.log_likelihood(at) == pytest.approx(
        reference.log_likelihood, abs=tolerance(name, 1e-8)
    )


@pytest.mark.parametrize("name", MISSING_NAMES)
def test_maximum_likelihood(name: str) -> None:
    """As in tests.inference.test_mode: Newton steps of less than 1e-6 SE; SEs from differences."""
    reference, model = reference_model(name)
    mode = model.mode(prior=False)
    assert mode.converged
    assert mode.log_likelihood == pytest.approx(reference.log_likelihood, abs=tolerance(name, 1e-6))
    assert set(mode.standard_errors) == reference.free | {k for k in mode if k[2] == ":="}
    for key, estimate in reference.estimates.items():
        assert mode[key] == pytest.approx(estimate, abs=1e-5 * reference.se[key]), key
    for key in reference.free:  # observed information on both sides
        assert mode.standard_errors[key] == pytest.approx(reference.se[key], rel=1e-4), key
