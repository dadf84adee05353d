"""Sufficient statistics against a brute-force likelihood, and their invariances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from bayes_msem.data.moments import moments
from bayes_msem.data.observe import observe


def _random_covariance(rng, size):
    root = rng.normal(size=(size, size + 2))
    return root @ root.T / size


def _draw_parameters(rng, m):
    """Saturated Sigma_w, Sigma_b of (y, z), and mean coefficients on (1, x, w)."""
    size = m.p + m.q
    sigma_w = np.zeros((size, size))
    sigma_w[: m.p, : m.p] = _random_covariance(rng, m.p)
    coefficients = rng.normal(size=(size, m.d))
    coefficients[m.p :, 1 : m.d - 1] = 0  # z is not regressed on level-1 covariates
    return sigma_w, _random_covariance(rng, size), coefficients


def _from_moments(m, sigma_w, sigma_b, coefficients):
    """The formula of the module docstring, for coefficients on centred variables."""
    size = m.p + m.q
    residual = np.hstack([np.eye(size), -coefficients])
    total = m.constant
    for g in range(len(m.weight)):
        use = slice(0, m.p if m.between[g] == 0 else size)
        sigma = (m.between[g] * sigma_b + m.within[g] * sigma_w)[use, use]
        cross = (residual @ m.cross[g] @ residual.T)[use, use]
        _, logdet = np.linalg.slogdet(sigma)
        total -= 0.5 * m.weight[g] * (len(sigma) * np.log(2 * np.pi) + logdet)
        total -= 0.5 * np.trace(np.linalg.solve(sigma, cross))
    return total


def _brute_force(frame, names, m, sigma_w, sigma_b, coefficients):
    """Stack each cluster's y with its z, and ask SciPy."""
    y, z, x, w = names
    center = m.center
    total = 0.0
    for _, rows in frame.groupby("school", sort=False):
        n = len(rows)
        given = np.hstack([np.ones((n, 1)), rows[x + w].to_numpy() - center[m.p + m.q + 1 :]])
        mean = given @ coefficients.T + center[: m.p + m.q]
        sigma = np.kron(np.ones((n, n)), sigma_b[: m.p, : m.p])
        sigma += np.kron(np.eye(n), sigma_w[: m.p, : m.p])
        with_z = np.kron(np.ones((n, 1)), sigma_b[: m.p, m.p :])
        sigma = np.block([[sigma, with_z], [with_z.T, sigma_b[m.p :, m.p :]]])
        values = np.r_[rows[y].to_numpy().ravel(), rows[z].to_numpy()[0]]
        means = np.r_[mean[:, : m.p].ravel(), mean[0, m.p :]]
        total += multivariate_normal(means, sigma).logpdf(values)
    return total


@pytest.mark.parametrize("seed", range(3))
def test_two_level_likelihood_equals_stacked_clusters(frame, table, seed):
    m = moments(observe(frame, table, "school"))
    parameters = _draw_parameters(np.random.default_rng(seed), m)
    names = (["y1", "y2", "y3"], ["z1"], ["x1", "x2"], ["w1"])
    expected = _brute_force(frame, names, m, *parameters)
    assert _from_moments(m, *parameters) == pytest.approx(expected, rel=1e-11)


def test_single_level_likelihood_equals_rows(frame, make_table):
    table = make_table(
        {"y1": "within-only", "y2": "within-only", "x1": "covariate", "x2": "covariate"}
    )
    m = moments(observe(frame, table, None))
    rng = np.random.default_rng(1)
    sigma, coefficients = _random_covariance(rng, 2), rng.normal(size=(2, 3))
    given = np.c_[np.ones(len(frame)), frame[["x1", "x2"]].to_numpy() - m.center[3:]]
    residual = frame[["y1", "y2"]].to_numpy() - m.center[:2] - given @ coefficients.T
    expected = multivariate_normal(np.zeros(2), sigma).logpdf(residual).sum()
    value = _from_moments(m, sigma, np.zeros((2, 2)), coefficients)
    assert value == pytest.approx(expected, rel=1e-12)
    assert (m.constant, m.n_clusters, m.n_rows) == (0.0, 0, 23)


def test_groups_of_a_two_level_model(frame, table):
    m = moments(observe(frame, table, "school"))
    assert (m.p, m.q, m.d) == (3, 1, 4)
    np.testing.assert_array_equal(m.weight, [23 - 7, 1, 1, 2, 1, 2])
    np.testing.assert_array_equal(m.between, [0, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(m.within, [1, 1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    sizes = np.array([1, 2, 3, 3, 4, 5, 5])
    assert m.constant == pytest.approx(-1.5 * np.log(sizes).sum())
    np.testing.assert_array_equal(m.cross, np.swapaxes(m.cross, 1, 2))
    # z, 1 and w do not vary inside clusters.
    assert (m.cross[0][[3, 4, 7]] == 0).all()
    # The constant stays a 1: its entry counts clusters.
    np.testing.assert_allclose(m.cross[1:, 4, 4], m.weight[1:])
    clusters = frame.drop_duplicates("school")
    np.testing.assert_allclose(
        m.center,
        np.r_[
            frame[["y1", "y2", "y3"]].mean(),
            clusters.z1.mean(),
            0.0,
            frame[["x1", "x2"]].mean(),
            clusters.w1.mean(),
        ],
    )
    for name in ("weight", "between", "within", "cross", "center"):
        assert not getattr(m, name).flags.writeable


def _assert_equal_moments(a, b):
    np.testing.assert_array_equal(a.weight, b.weight)
    np.testing.assert_array_equal(a.within, b.within)
    np.testing.assert_allclose(a.center, b.center, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(a.cross, b.cross, rtol=1e-11, atol=1e-12)
    assert a.constant == pytest.approx(b.constant, rel=1e-14)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: f.sample(frac=1, random_state=2), id="row order"),
        pytest.param(lambda f: f.sort_values("school", ascending=False), id="cluster order"),
        pytest.param(lambda f: f.assign(school=[f"s{-i}" for i in f.school]), id="labels"),
    ],
)
def test_moments_do_not_depend_on(frame, table, change):
    m = moments(observe(frame, table, "school"))
    _assert_equal_moments(moments(observe(change(frame), table, "school")), m)


def test_order_of_variables_permutes_the_moments(frame, make_table):
    between = {"y1": "split", "y2": "split"}
    a = moments(observe(frame, make_table({"y1": "split", "y2": "split"}, between), "school"))
    b = moments(observe(frame, make_table({"y2": "split", "y1": "split"}, between), "school"))
    order = [1, 0, 2]
    np.testing.assert_allclose(b.cross, a.cross[:, order][:, :, order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_large_means_and_odd_scales_lose_no_digits(frame, table, scale, shift):
    columns = ["y1", "y2", "y3", "x1", "x2", "z1", "w1"]
    # A power-of-two grid: the shifted values are exact, so any loss is the package's own.
    coarse = frame.copy()
    coarse[columns] = np.round(frame[columns].astype(float) * 1024) / 1024
    factor = 2.0 ** np.round(np.log2(scale))
    moved = coarse.copy()
    moved[columns] = (coarse[columns] + shift) * factor
    m, n = (moments(observe(f, table, "school")) for f in (coarse, moved))
    unit = np.full(len(m.center), factor)
    unit[m.p + m.q] = 1.0
    # A mean near 1e6 is itself rounded by 1e-10, so the two centres differ by that much.
    np.testing.assert_allclose(n.cross / np.outer(unit, unit), m.cross, rtol=1e-9, atol=1e-8)


def test_many_rows_and_clusters(make_table):
    """A million rows of a mean of 1e6: pooled variance within rounding, in modest time."""
    rng = np.random.default_rng(3)
    n, n_clusters = 1_000_000, 50_000
    cluster = rng.integers(0, n_clusters, size=n)
    noise, effect = rng.normal(size=n), rng.normal(size=n_clusters)
    frame = pd.DataFrame({"y": 1e6 + noise + effect[cluster], "g": cluster})
    table = make_table({"y": "split"}, {"y": "split"})
    m = moments(observe(frame, table, "g"))
    grouped = pd.Series(noise).groupby(cluster)
    expected = ((noise - grouped.transform("mean")) ** 2).sum()
    assert m.cross[0, 0, 0] == pytest.approx(expected, rel=1e-9)
    assert m.weight.sum() == n
