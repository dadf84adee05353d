"""Statistics of data alone, with plain loops over clusters."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

import bayes_msem as bm
from bayes_msem.checking.predictive import spread
from bayes_msem.checking.predictive.design import check_design
from bayes_msem.checking.predictive.reduced_data import Sample
from benchmarks.planted import MODEL, planted

Array = NDArray[np.float64]
NAMES = ["y1", "y2", "y3", "y4"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Rows in disorder, and some clusters of one row."""
    return planted(1, n_clusters=30, sizes=(1, 5, 9)).sample(frac=1, random_state=1)


@pytest.fixture(scope="module")
def sample(frame: pd.DataFrame) -> Sample:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.SmallSampleWarning)
        model = bm.Model(MODEL, data=frame, cluster="cluster")
    blueprint = model.blueprint
    design = check_design(blueprint)
    return Sample(design, blueprint.observed.y[design.rows] - design.center, blueprint.observed.z)


@pytest.fixture(scope="module")
def residuals(frame: pd.DataFrame) -> pd.DataFrame:
    """Deviations from cluster means after the pooled regression on x, and x."""
    inside = frame[[*NAMES, "x"]] - frame.groupby("cluster")[[*NAMES, "x"]].transform("mean")
    slope = np.linalg.lstsq(inside[["x"]], inside[NAMES], rcond=None)[0]
    rest = inside[NAMES] - inside[["x"]].to_numpy() @ slope
    return rest.assign(x=inside["x"], cluster=frame["cluster"])


def test_shapes_are_scipys(frame: pd.DataFrame, sample: Sample) -> None:
    inside = frame[NAMES] - frame.groupby("cluster")[NAMES].transform("mean")
    assert spread.skewness(sample.deviations) == pytest.approx(stats.skew(inside))
    assert spread.kurtosis(sample.deviations) == pytest.approx(stats.kurtosis(inside))
    means = frame.groupby("cluster")[NAMES].mean()
    assert spread.kurtosis(sample.between_means) == pytest.approx(stats.kurtosis(means))


def test_intraclass_correlations_are_those_of_describe(frame: pd.DataFrame, sample: Sample) -> None:
    expected = bm.describe(frame, cluster="cluster", variables=NAMES).variables["icc1"]
    assert spread.intraclass(sample) == pytest.approx(expected.to_numpy())


def test_variance_of_slopes(residuals: pd.DataFrame, sample: Sample) -> None:
    """DerSimonian and Laird, from clusters' own slopes and their inverse-variance weights."""
    found = spread.slope_variances(sample)
    assert len(found) == len(NAMES)
    df = len(residuals) - residuals["cluster"].nunique()
    for name, value in zip(NAMES, found, strict=True):
        noise = (residuals[name] ** 2).sum() / df
        slopes, weights = [], []
        for _, rows in residuals.groupby("cluster"):
            size = (rows["x"] ** 2).sum()
            if size > 1e-9:
                slopes.append((rows["x"] * rows[name]).sum() / size)
                weights.append(size / noise)
        slope, weight = np.array(slopes), np.array(weights)
        pooled = (weight * slope).sum() / weight.sum()
        q = (weight * (slope - pooled) ** 2).sum()
        scale = weight.sum() - (weight**2).sum() / weight.sum()
        assert value == pytest.approx((q - (len(slope) - 1)) / scale, rel=1e-8)


def test_slopes_on_outcomes_are_slopes_on_what_covariates_leave(
    frame: pd.DataFrame, residuals: pd.DataFrame
) -> None:
    text = "level: within\ny1 ~ x\ny2 ~ y1 + x\nlevel: between\ny2 ~ y1 + w"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.SmallSampleWarning)
        model = bm.Model(text, data=frame, cluster="cluster")
    blueprint = model.blueprint
    design = check_design(blueprint)
    sample = Sample(design, blueprint.observed.y[design.rows] - design.center, blueprint.observed.z)
    assert [model.observed.y_names[i] for i in design.outcome_slopes[0]] == ["y2", "y1"]
    *on_x, found = spread.slope_variances(sample)
    assert len(on_x) == 2
    slope = (residuals["y1"] * residuals["y2"]).sum() / (residuals["y1"] ** 2).sum()
    rest = residuals["y2"] - slope * residuals["y1"]
    df = len(residuals) - residuals["cluster"].nunique()
    sizes = (residuals["y1"] ** 2).groupby(residuals["cluster"]).sum()
    products = (residuals["y1"] * rest).groupby(residuals["cluster"]).sum()
    keep = sizes > 1e-9
    excess = (products**2 / sizes)[keep].sum() - (keep.sum() - 1) * (rest**2).sum() / df
    assert found == pytest.approx(excess / (sizes.sum() - (sizes**2).sum() / sizes.sum()))


def test_spread_of_variances_and_covariances(residuals: pd.DataFrame, sample: Sample) -> None:
    df = len(residuals) - residuals["cluster"].nunique()
    pooled = residuals[NAMES].T @ residuals[NAMES] / df
    ratios, matrices = [], []
    for _, rows in residuals.groupby("cluster"):
        n = len(rows) - 1
        if n:
            own = (rows[NAMES].T @ rows[NAMES]).to_numpy() / n
            ratios.append(n / 2 * (np.diag(own) / np.diag(pooled) - 1) ** 2)
            change = np.linalg.solve(pooled.to_numpy(), own) - np.eye(4)
            matrices.append(n / 2 * np.trace(change @ change))
    assert spread.variance_spread(sample) == pytest.approx(np.mean(ratios, axis=0))
    assert spread.covariance_spread(sample) == pytest.approx(np.mean(matrices))


def test_spreads_have_the_expectations_that_the_docstring_names() -> None:
    """About 1 and p (p + 1) / 2 for equal normal clusters; 4 standard errors of 400 clusters."""
    frame = planted(3, n_clusters=400, sizes=(20,))
    blueprint = bm.Model(MODEL, data=frame, cluster="cluster").blueprint
    design = check_design(blueprint)
    sample = Sample(design, blueprint.observed.y[design.rows] - design.center, blueprint.observed.z)
    # a squared chi-square deviate has variance of about 8 + 48 / df
    assert spread.variance_spread(sample) == pytest.approx(np.ones(4), abs=4 * np.sqrt(10.5 / 400))
    assert spread.covariance_spread(sample) == pytest.approx(10, abs=4 * np.sqrt(35 / 400))
