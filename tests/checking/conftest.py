"""Fits that several tests of this room share."""

import pytest

import bayes_msem as bm
from tests.checking import outcome_fits


@pytest.fixture(scope="session")
def items() -> bm.Fit:
    return outcome_fits.item_fit()


@pytest.fixture(scope="session")
def counts() -> bm.Fit:
    return outcome_fits.count_fit()
