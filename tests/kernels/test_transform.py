"""From partial correlations to covariance matrices: zeros, definiteness, and the implied prior.

The densities are compared without using how the transform works: by a numerical Jacobian of the
map from the sampled x to the correlations that are free.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymc as pm
import pytest
from numpy.typing import NDArray
from scipy import stats

import bayes_msem as bm
from bayes_msem.data.readonly import frozen
from bayes_msem.kernels.layout import CORRELATION, SQUARE
from bayes_msem.kernels.transform import backward
from tests.structure.patterns import CHORDAL, COMPLETE, make_model, text_of, the_block

Array = NDArray[np.float64]
PATTERNS = COMPLETE | CHORDAL


class Transform:
    """The map from x to the covariance matrix of one block."""

    def __init__(self, text: str, eta: float = 2.0) -> None:
        self.model = make_model(text, eta)
        self.block = the_block(text)
        self.parameters = self.model.blueprint.parameters
        self.correlated = np.flatnonzero(self.parameters.transform == CORRELATION)

    def random_x(self, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        transform = self.parameters.transform
        x = rng.normal(size=len(transform))
        x = np.where(transform == SQUARE, np.exp(rng.normal(size=len(x))), x)
        return np.where(transform == CORRELATION, rng.uniform(0.01, 0.99, size=len(x)), x)

    def covariance(self, x: Array) -> Array:
        """Covariance matrix of the block, by the keys of the table rows."""
        theta = self.model.blueprint.theta(x[None, :])[0]
        names = self.block.variables
        matrix = np.zeros((len(names), len(names)))
        for row in self.model.table.rows:
            if row.op == "~~" and row.lhs in names and row.rhs in names:
                value = float(self.model.blueprint.row_value(row.key, theta))
                i, k = names.index(row.lhs), names.index(row.rhs)
                matrix[i, k] = matrix[k, i] = value
        return matrix

    def correlation(self, x: Array) -> Array:
        matrix = self.covariance(x)
        sd = np.sqrt(np.diag(matrix))
        return matrix / np.outer(sd, sd)

    def free_correlations(self, x: Array) -> Array:
        """One entry for each parameter at ``self.correlated``."""
        R, names = self.correlation(x), self.block.variables
        rows = [self.parameters.rows[i] for i in self.correlated]
        return np.array([R[names.index(r.lhs), names.index(r.rhs)] for r in rows])

    def log_prior(self, x: Array) -> float:
        """Log density of the free correlations that the Beta priors of x imply."""
        (group,) = (g for g in self.parameters.groups if g.family == "beta")
        density = stats.beta(*group.arguments).logpdf(x[self.correlated]).sum()
        return float(density - np.log(abs(np.linalg.det(self.jacobian(x)))))

    def jacobian(self, x: Array, step: float = 1e-6) -> Array:
        columns = []
        for i in self.correlated:
            up, down = x.copy(), x.copy()
            up[i], down[i] = up[i] + step, down[i] - step
            difference = self.free_correlations(up) - self.free_correlations(down)
            columns.append(difference / (2 * step))
        return np.column_stack(columns)


@pytest.mark.parametrize("edges", PATTERNS.values(), ids=PATTERNS)
def test_positive_definite_with_zeros_where_there_is_no_covariance(edges: tuple[str, ...]) -> None:
    transform = Transform(text_of(edges))
    names = transform.block.variables
    for seed in range(50):
        x = transform.random_x(seed)
        R = transform.correlation(x)
        assert np.linalg.eigvalsh(R).min() > 0
        for i, a in enumerate(names):
            assert transform.covariance(x)[i, i] == pytest.approx(_sd(transform, x, a) ** 2)
            for k, b in enumerate(names[:i]):
                is_edge = a + b in edges or b + a in edges
                assert (R[i, k] != 0) == is_edge


def _sd(transform: Transform, x: Array, name: str) -> float:
    rows = [(r.lhs, r.rhs) for r in transform.parameters.rows]
    return float(x[rows.index((name, name))])


@pytest.mark.parametrize("eta", [0.7, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("edges", PATTERNS.values(), ids=PATTERNS)
def test_prior_is_proportional_to_a_power_of_the_determinant(
    edges: tuple[str, ...], eta: float
) -> None:
    """log p(R) - (eta - 1) log det R is the same number wherever x is.

    The numerical Jacobian has a relative error of about 1e-9, except near the ends of (0, 1), to
    which x does not come closer than 0.01.
    """
    transform = Transform(text_of(edges), eta)
    constants = []
    for seed in range(8):
        x = transform.random_x(seed)
        log_det = np.linalg.slogdet(transform.correlation(x))[1]
        constants.append(transform.log_prior(x) - (eta - 1) * log_det)
    np.testing.assert_allclose(constants, constants[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("eta", [1.0, 3.0])
@pytest.mark.parametrize("edges", COMPLETE.values(), ids=COMPLETE)
def test_complete_blocks_equal_pymcs_lkj_with_its_constant(
    edges: tuple[str, ...], eta: float
) -> None:
    """PyMC's density is that of the Cholesky factor L: p(L) = p(R) prod_i L_ii^(n - i).

    Tolerance as above: that of the numerical Jacobian.
    """
    transform = Transform(text_of(edges), eta)
    n = len(transform.block.variables)
    lkj = pm.LKJCorr.dist(n=n, eta=eta)
    for seed in range(3):
        x = transform.random_x(seed)
        L = np.linalg.cholesky(transform.correlation(x))
        of_factor = float(pm.logp(lkj, L).eval(mode="FAST_COMPILE"))
        jacobian = np.sum((n - np.arange(1, n + 1)) * np.log(np.diag(L)))
        assert transform.log_prior(x) == pytest.approx(of_factor - jacobian, abs=1e-6)


@pytest.mark.parametrize("name", ["pair", "complete 3", "complete 5"])
@pytest.mark.parametrize("eta", [1.0, 2.0])
def test_every_correlation_of_a_complete_block_is_beta(name: str, eta: float) -> None:
    """(r + 1) / 2 is Beta(b, b) with b = eta + (d - 2) / 2: Kolmogorov-Smirnov on 5,000 draws.

    The seed is fixed; p > 0.001 allows for 10 correlations.
    """
    transform = Transform(text_of(COMPLETE[name]), eta)
    d = len(transform.block.variables)
    (group,) = (g for g in transform.parameters.groups if g.family == "beta")
    rng = np.random.default_rng(2)
    x = np.tile(transform.random_x(1), (5000, 1))
    x[:, transform.correlated] = rng.beta(*group.arguments, size=(5000, len(transform.correlated)))
    sd = {
        row.lhs: x[:, i]
        for i, row in enumerate(transform.parameters.rows)
        if row.kind == "variance"
    }
    theta = transform.model.blueprint.theta(x)
    shape = eta + (d - 2) / 2
    for i in transform.correlated:
        row = transform.parameters.rows[i]
        r = theta[:, i] / (sd[row.lhs] * sd[row.rhs])
        assert stats.kstest((r + 1) / 2, stats.beta(shape, shape).cdf).pvalue > 1e-3
        # the standard error of a mean square: SD / sqrt(draws)
        expected = 1 / (2 * shape + 1)
        assert np.mean(r**2) == pytest.approx(expected, abs=4 * np.std(r**2) / np.sqrt(5000))


@pytest.mark.parametrize(
    ("edges", "edge", "shape"),
    [
        (("ab",), "ab", 2.0),
        (COMPLETE["complete 4"], "ab", 3.0),  # eta + (d - 2) / 2
        (COMPLETE["complete 4"], "ad", 3.0),
        (COMPLETE["complete 4"], "cd", 2.0),  # the last partial correlation given a and b
        (COMPLETE["complete 4"], "bd", 2.5),
    ],
)
def test_beta_shapes_of_the_c_vine(edges: tuple[str, ...], edge: str, shape: float) -> None:
    block = the_block(text_of(edges))
    assert block.beta_shape((edge[1], edge[0]), 2.0) == shape


def backward_at(model: bm.Model, x: Array, d_theta: Array) -> Array:
    parameters = model.blueprint.parameters
    d_x = np.zeros(len(x))
    blocks = type(parameters.blocks)(*(frozen(a.copy()) for a in parameters.blocks))
    thresholds = type(parameters.thresholds)(*(frozen(a.copy()) for a in parameters.thresholds))
    backward(x, frozen(parameters.transform.copy()), blocks, thresholds, d_theta, d_x)
    return d_x


@pytest.mark.parametrize(
    "text",
    [
        *(text_of(edges) for edges in PATTERNS.values()),
        text_of(COMPLETE["complete 3"], "a ~~ 2*a"),
        text_of(COMPLETE["complete 3"], "a ~~ v*a\nb ~~ v*b"),
        text_of(("ab", "cd", "ce"), "f ~ a"),
    ],
    ids=[*PATTERNS, "constant variance", "equal variances", "several blocks"],
)
def test_gradient_equals_central_differences(text: str) -> None:
    """Error of the differences: third derivatives of up to 1e3 times 1e-12, rounding 1e-10."""
    model = make_model(text)
    transform = model.blueprint.parameters.transform
    rng = np.random.default_rng(3)
    for _ in range(5):
        x = np.where(
            transform == SQUARE, np.exp(0.5 * rng.normal(size=len(transform))),
            rng.uniform(0.05, 0.95, size=len(transform)),
        )  # fmt: skip
        weight = rng.normal(size=len(x))

        def value(at: Array, weight: Array = weight) -> float:
            return float(weight @ model.blueprint.theta(at[None, :])[0])

        found = backward_at(model, x, weight)
        expected = central_differences(value, x)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def central_differences(f: Callable[[Array], float], at: Array, step: float = 1e-6) -> Array:
    steps = step * np.eye(len(at))
    return np.array([(f(at + h) - f(at - h)) / (2 * step) for h in steps])


def test_constant_and_equal_variances_scale_the_covariances() -> None:
    model = make_model(text_of(("ab", "bc", "ac"), "a ~~ 4*a\nb ~~ v*b\nc ~~ v*c"))
    parameters = model.blueprint.parameters
    x = np.where(parameters.transform == SQUARE, 3.0, 0.75)  # SD 3, z = 0.5
    theta = model.blueprint.theta(x[None, :])[0]
    value = {
        (row.lhs, row.rhs): float(model.blueprint.row_value(row.key, theta))
        for row in model.table.rows
    }
    assert value["a", "a"] == 4.0
    assert value["b", "b"] == value["c", "c"] == 9.0
    assert value["a", "b"] == pytest.approx(0.5 * 2 * 3, rel=1e-14)
    # r_bc = z_ab z_ac + z_bc sqrt((1 - z_ab^2) (1 - z_ac^2)) with all z = 0.5
    assert value["b", "c"] == pytest.approx((0.25 + 0.5 * 0.75) * 9, rel=1e-14)
