"""Many simulations of one cluster, and how far their moments are from those of the oracle.

Standard errors over n draws of normal variables: sqrt(s_ii / n) of a mean and
sqrt((s_ii s_jj + s_ij^2) / n) of a covariance.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.oracle import Oracle

Array = np.ndarray

CLUSTERS = 20_000
LIMIT = 5.2


def tiled(frame: pd.DataFrame, units: Array, n: int = CLUSTERS) -> pd.DataFrame:
    """Repeat the rows of one cluster as n clusters."""
    many = frame.iloc[np.tile(units, n)].reset_index(drop=True)
    return many.assign(group=np.repeat(np.arange(n), len(units)))


def z_values(sample: Array, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """z values of all means and covariances; what has no variance must be exact."""
    n, variance = len(sample), np.diag(covariance).clip(0.0)
    fixed = variance < 1e-20
    np.testing.assert_allclose(
        sample[:, fixed], np.broadcast_to(mean[fixed], (n, fixed.sum())), atol=1e-9
    )
    sample, mean, variance = sample[:, ~fixed], mean[~fixed], variance[~fixed]
    covariance = covariance[np.ix_(~fixed, ~fixed)]
    errors = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
    return (
        (sample.mean(axis=0) - mean) / np.sqrt(variance / n),
        (np.cov(sample.T).reshape(errors.shape) - covariance) / errors,
    )


def check_moments(sample: Array, mean: Array, covariance: Array) -> None:
    means, covariances = z_values(sample, mean, covariance)
    assert np.abs(means).max() < LIMIT
    assert np.abs(covariances).max() < LIMIT
    if len(covariances) > 3:  # of outcomes that were not random they would be far too small
        assert np.abs(covariances).max() > 0.3


def cluster_of_three(frame: pd.DataFrame) -> Array:
    groups = frame["group"].to_numpy()
    return next(np.flatnonzero(groups == g) for g in pd.unique(groups) if (groups == g).sum() == 3)


def joint_moments(oracle: Oracle, units: Array, effects: list[int]) -> tuple[Array, Array]:
    """Mean and covariance of (y_1, ..., y_n, z, u[effects]) of a cluster."""
    stacked = oracle.stacked(units)
    mean_u, covariance_u = oracle.effect_moments(units)
    x = oracle.data["x"][units]
    design = np.vstack([oracle.design(x_i) for x_i in x] + [oracle.between.F_z])
    cross = design @ covariance_u[:, effects]
    covariance = np.block(
        [[stacked.covariance, cross], [cross.T, covariance_u[np.ix_(effects, effects)]]]
    )
    return np.concatenate([stacked.mean, mean_u[effects]]), covariance
