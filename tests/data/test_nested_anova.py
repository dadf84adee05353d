"""Variance components of three levels: exact expectations of the mean squares."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_msem.data.nested_anova import nested_components


def test_components_are_unbiased():
    """Each estimate is a quadratic form y'Ay, so its expectation is tr(A V), computed exactly."""
    rng = np.random.default_rng(1)
    parent = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3])
    cluster = np.repeat(np.arange(9), [1, 4, 2, 3, 2, 5, 1, 1, 3])
    order = rng.permutation(len(cluster))
    cluster = cluster[order]
    n = len(cluster)
    same_cluster = cluster[:, None] == cluster
    same_top = parent[cluster][:, None] == parent[cluster]
    true = np.array([1.3, 0.7, 0.4])
    cov = true[0] * np.eye(n) + true[1] * same_cluster + true[2] * same_top

    def form(i: int, k: int) -> np.ndarray:
        unit = np.eye(n)
        both = (unit[i] + unit[k], unit[i], unit[k])
        found = [np.array(nested_components(y, cluster, parent)) for y in both]
        return (found[0] - found[1] - found[2]) / 2 if i != k else found[1]

    expected = sum(form(i, k) * cov[i, k] for i in range(n) for k in range(n))
    np.testing.assert_allclose(expected, true, rtol=1e-9)


def test_missing_values_and_shifts_change_nothing_else():
    rng = np.random.default_rng(2)
    parent = np.repeat(np.arange(6), 3)
    cluster = np.repeat(np.arange(18), 4)
    y = rng.normal(size=72)
    holes = y.copy()
    holes[[0, 5, 6, 7, 4]] = np.nan  # the second cluster has none left
    kept = ~np.isnan(holes)
    _, codes = np.unique(cluster[kept], return_inverse=True)
    part = nested_components(holes[kept], codes, parent[np.unique(cluster[kept])])
    assert nested_components(holes, cluster, parent) == pytest.approx(part)
    shifted = nested_components(y + 1e6, cluster, parent)
    assert shifted == pytest.approx(nested_components(y, cluster, parent), rel=1e-6)


def test_what_cannot_be_told_apart_is_nan():
    one_each = nested_components(np.arange(4.0), np.array([0, 0, 1, 1]), np.array([0, 1]))
    assert np.isnan(one_each[1:]).all()
    assert np.isnan(nested_components(np.full(4, np.nan), np.arange(4), np.arange(4))).all()
