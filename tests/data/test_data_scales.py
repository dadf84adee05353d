"""Scales against pandas."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from bayes_msem.data.observe import observe
from bayes_msem.data.scales import scales


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_two_level_scales(frame, table, shift):
    frame = frame.assign(y1=frame.y1 + shift)
    result = scales(observe(frame, table, "school"))
    clusters = frame.drop_duplicates("school")
    for name in ("y1", "y2", "y3"):
        assert result.mean[name] == pytest.approx(frame[name].mean(), rel=1e-12)
        deviation = frame[name] - frame.groupby("school")[name].transform("mean")
        expected = np.sqrt((deviation**2).sum() / (23 - 7))
        assert result.within[name] == pytest.approx(expected, rel=1e-8)
    for name in ("y1", "y2"):
        expected = frame.groupby("school")[name].mean().std()
        assert result.between[name] == pytest.approx(expected, rel=1e-8)
    assert result.mean["z1"] == pytest.approx(clusters.z1.mean())
    assert result.between["z1"] == pytest.approx(clusters.z1.std())
    assert result.predictor == pytest.approx(
        {"x1": frame.x1.std(), "x2": frame.x2.std(), "w1": clusters.w1.std()}
    )
    assert set(result.within) == {"y1", "y2", "y3"}
    assert set(result.between) == {"y1", "y2", "z1"}


def test_single_level_scales(frame, make_table):
    table = make_table({"y1": "within-only", "x1": "covariate"})
    result = scales(observe(frame, table, None))
    assert result.mean == pytest.approx({"y1": frame.y1.mean(), "x1": frame.x1.mean()})
    assert result.within == pytest.approx({"y1": frame.y1.std()})
    assert result.between == {}
    assert result.predictor == pytest.approx({"x1": frame.x1.std()})


def test_scales_travel_to_other_processes(frame, table):
    result = scales(observe(frame, table, "school"))
    assert pickle.loads(pickle.dumps(result)) == result


def test_between_is_positive_without_between_variance(make_table):
    """Conservative: cluster means vary by within noise alone, where ML would say 0."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"y": rng.normal(size=40), "g": np.arange(40) % 4})
    table = make_table({"y": "split"}, {"y": "split"})
    result = scales(observe(frame, table, "g"))
    assert result.between["y"] > 0.05
