"""log p(y) = log p(y, u) - log p(u | y) at any u, for random intercepts u of two outcomes.

The left side is the package's. The right side is written here with densities of single rows and
the conditional normal distribution of u_j, in precisions, so that it shares nothing with the
marginal covariance matrices of the left side or of the oracle.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tests.likelihood.cases import free_values, make_frame, make_model, random_values, two_level

CASE = two_level("", "y1 ~ x1\ny2 ~ y1 + x2", "y1 ~ w1\ny1 ~~ y2")


@pytest.mark.parametrize("distance", [0.0, 1.0, 5.0])
def test_marginal_is_joint_minus_conditional(distance: float) -> None:
    """Terms of about 1e3 cancel at a distance of 5: 1e-10 of the result is left."""
    frame = make_frame()
    model = make_model(CASE, frame)
    value = random_values(CASE, model, seed=21)

    def within(lhs: str, op: str, rhs: str) -> float:
        return value["within", lhs, op, rhs]

    def between(lhs: str, op: str, rhs: str) -> float:
        return value["between", lhs, op, rhs]

    # y_ij = u_j + A (G x_ij + e_ij)
    A = np.array([[1.0, 0.0], [within("y2", "~", "y1"), 1.0]])
    G = np.diag([within("y1", "~", "x1"), within("y2", "~", "x2")])
    Sigma_w = A @ np.diag([within("y1", "~~", "y1"), within("y2", "~~", "y2")]) @ A.T
    covariance = between("y1", "~~", "y2")
    Omega = np.array(
        [[between("y1", "~~", "y1"), covariance], [covariance, between("y2", "~~", "y2")]]
    )
    rng = np.random.default_rng(22)
    total = 0.0
    for _, rows in frame.groupby("group"):
        mu = np.array([between("y1", "~", "1"), between("y2", "~", "1")])
        mu[0] += between("y1", "~", "w1") * rows["w1"].iloc[0]
        residual = rows[["y1", "y2"]].to_numpy() - rows[["x1", "x2"]].to_numpy() @ G @ A.T
        u = mu + distance * rng.normal(size=2)
        likelihood = multivariate_normal(u, Sigma_w).logpdf(residual).sum()
        prior = multivariate_normal(mu, Omega).logpdf(u)
        precision = np.linalg.inv(Omega) + len(rows) * np.linalg.inv(Sigma_w)
        weighted = np.linalg.inv(Omega) @ mu + np.linalg.inv(Sigma_w) @ residual.sum(axis=0)
        mean = np.linalg.solve(precision, weighted)
        total += likelihood + prior - multivariate_normal(mean, np.linalg.inv(precision)).logpdf(u)
    assert model.log_likelihood(free_values(model, value)) == pytest.approx(total, rel=1e-10)
