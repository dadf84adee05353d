"""The model, and a fit whose draws are made up."""

from __future__ import annotations

import pandas as pd
import pytest

import bayes_msem as bm
from tests.posterior.made_up import synthetic_fit
from tests.predictors.columns_by_hand import BY_HAND, TEXT, by_hand, make_data


@pytest.fixture(scope="session")
def data() -> pd.DataFrame:
    return make_data()


@pytest.fixture(scope="session")
def model(data: pd.DataFrame) -> bm.Model:
    return bm.Model(TEXT, data, cluster="school")


@pytest.fixture(scope="session")
def other(data: pd.DataFrame) -> bm.Model:
    return bm.Model(BY_HAND, by_hand(data), cluster="school")


@pytest.fixture(scope="session")
def fit(model: bm.Model) -> bm.Fit:
    return synthetic_fit(model, chains=2, draws=20, seed=3)
