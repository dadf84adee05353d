"""Discrepancies per level against stacked clusters and against textbook formulas.

The stacked outcomes of a cluster have mean m and covariance C (tests.oracle). Their squared
Mahalanobis distance splits into what remains after a generalised least-squares fit of the cluster's
own effects, and the distance of these estimates from the level-2 model: the second part is what
the package calls the cluster's distance at level between.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import inv, sqrtm

from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.blueprint.values import theta_from_values
from bayes_msem.checking.predictive import level_fit
from bayes_msem.checking.predictive.design import check_design
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.structure import Structure, structure_at
from tests.likelihood.cases import (
    SINGLE_LEVEL_CASES,
    TWO_LEVEL_CASES,
    Case,
    free_values,
    make_frame,
    make_model,
    random_values,
)
from tests.random.conditional import Conditional
from tests.random.models import (
    LINEAR_CASES,
    SAMPLED_CASES,
    build,
    effects,
    make_data,
    sampled_values,
)

Array = NDArray[np.float64]

SIZES = (9, 14, 12, 1, 2, 10, 15, 11)

# Differences of quadratic forms of stacked clusters of up to 90 rows, condition numbers of 1e3.
RELATIVE = 1e-7


class Both(NamedTuple):
    oracle: Conditional
    x: Array
    b: Array
    sample: Sample
    structure: Structure


def both(case: Case, seed: int = 1) -> Both:
    """The oracle, and the package's sample and structure at the same parameters."""
    frame = make_data(sizes=SIZES)
    model = build(case, frame)
    blueprint = model.unpiloted_blueprint()
    oracle = Conditional(case, model, blueprint, frame)
    x, b = sampled_values(blueprint, seed), effects(blueprint, seed)
    design = check_design(blueprint)
    observed = blueprint.observed
    point = np.ascontiguousarray(blueprint.extend_sampled(x))
    structure = structure_at(blueprint, design, point, b, {})
    sample = Sample(design, observed.y[design.rows] - design.center, observed.z)
    return Both(oracle, x, b, sample, structure)


def whitened(covariance: Array, *arrays: Array) -> list[Array]:
    root = np.linalg.inv(np.linalg.cholesky(covariance))
    return [root @ a for a in arrays]


def correlation_whitened(covariance: Array, rows: Array) -> Array:
    """Whiten rows so that neither order nor units of the variables matter."""
    sd = np.sqrt(np.diag(covariance))
    return rows / sd @ inv(sqrtm(covariance / np.outer(sd, sd))).real


def left_over(y: Array, x: Array) -> Array:
    """Residuals of a least-squares fit."""
    return y - x @ np.linalg.lstsq(x, y, rcond=None)[0] if x.shape[1] else y


@pytest.mark.parametrize("case", TWO_LEVEL_CASES + LINEAR_CASES + SAMPLED_CASES, ids=str)
def test_distance_between_is_what_the_own_fit_of_a_cluster_leaves(case: Case) -> None:
    this = both(case)
    found = level_fit.between_distances(this.sample, this.structure)
    complete = this.sample.design.complete_clusters
    # one case's covariate is constant inside clusters, another's in three of them
    fewest = {"x is constant inside clusters": 0, "x is often zero": 4}
    assert fewest.get(case.name, 5) <= len(complete) <= 8
    for j, distance in zip(complete, found, strict=True):
        units = this.oracle.clusters()[j]
        oracle = this.oracle.oracle(this.x, this.b[j], units)
        stacked = oracle.stacked(np.arange(len(units)))
        residual = stacked.values - stacked.mean
        total = residual @ np.linalg.solve(stacked.covariance, residual)
        design = np.vstack([oracle.design(x) for x in oracle.data["x"]])
        sigma = oracle.total @ oracle.within.Psi @ oracle.total.T
        y = residual[: len(design)]
        noise = np.kron(np.eye(len(units)), sigma)
        y, z = whitened(noise, y, design[:, np.abs(design).max(axis=0) > 1e-12])
        own = left_over(y, z)
        assert distance == pytest.approx(total - own @ own, rel=RELATIVE, abs=1e-8)


@pytest.mark.parametrize("case", TWO_LEVEL_CASES + LINEAR_CASES + SAMPLED_CASES, ids=str)
def test_level_within_is_what_regressions_of_every_cluster_leave(case: Case) -> None:
    """Distances, and the likelihood ratio, with every cluster's regressions done one by one."""
    this = both(case)
    design = this.sample.design
    varying = {["1", *design.observed.x_names][k] for k in design.columns}
    residuals, covariates, distances, df = [], [], [], 0
    for j, units in enumerate(this.oracle.clusters()):
        oracle = this.oracle.oracle(this.x, this.b[j], units)
        y, x = oracle.data["y"], oracle.data["x"]
        d = np.column_stack([np.ones(len(units)), x])
        columns = [i for i, v in enumerate(["1", *oracle.within.covariates]) if v in varying]
        mean = x @ (oracle.total @ oracle.within.G).T
        sigma = oracle.total @ oracle.within.Psi @ oracle.total.T
        e = left_over(y - mean, d[:, columns])
        residuals.append(correlation_whitened(sigma, e))
        covariates.append(left_over(np.delete(d, columns, axis=1), d[:, columns]))
        distances.append((residuals[-1] ** 2).sum())
        df += len(units) - np.linalg.matrix_rank(d[:, columns])
    found = level_fit.within_distances(this.sample, this.structure)
    assert found == pytest.approx(np.array(distances), rel=RELATIVE, abs=1e-8)
    assert design.df_within == df
    e, x = np.vstack(residuals), np.vstack(covariates)
    before, after = e.T @ e / df, left_over(e, x).T @ left_over(e, x) / df
    expected = df * (np.trace(before) - np.linalg.slogdet(after)[1] - len(after))
    chi_square = level_fit.chi_square_within(this.sample, this.structure)
    assert chi_square == pytest.approx(expected, rel=RELATIVE)


def balanced(z: bool = False) -> Both:
    between = "fb =~ y1 + y2 + y3" + ("\nz1 ~ fb" if z else "")
    case = Case("balanced", f"level: within\nfw =~ y1 + y2 + y3\nlevel: between\n{between}")
    frame = make_frame(sizes=(6,) * 12)
    model = make_model(case, frame)
    blueprint = model.blueprint
    oracle = Conditional(case, model, blueprint, frame)
    x, b = sampled_values(blueprint, 3), np.empty((12, 0))
    design = check_design(blueprint)
    point = np.ascontiguousarray(blueprint.extend_sampled(x))
    sample = Sample(design, blueprint.observed.y[design.rows] - design.center, blueprint.observed.z)
    return Both(oracle, x, b, sample, structure_at(blueprint, design, point, b, {}))


def moments_of(this: Both) -> tuple[Array, Array, Array, Array]:
    """Sigma_w, and covariance and mean of (cluster means, z), from the oracle; the values."""
    units = this.oracle.clusters()[0]
    oracle = this.oracle.oracle(this.x, this.b[0], units)
    mean, covariance = oracle.effect_moments(np.arange(len(units)))
    pick = np.vstack([oracle.between.F_y, oracle.between.F_z])
    sigma = oracle.total @ oracle.within.Psi @ oracle.total.T
    implied = pick @ covariance @ pick.T
    implied[:3, :3] += sigma / len(units)
    grouped = this.oracle.frame.groupby("group", sort=False)
    values = grouped[[*oracle.within.observed, *oracle.between.outcomes]].mean().to_numpy()
    return sigma, implied, pick @ mean, values


@pytest.mark.parametrize("z", [False, True])
def test_textbook_fit_functions_of_balanced_data(z: bool) -> None:
    """ML discrepancies of the pooled within-cluster covariances and of the cluster means."""
    this = balanced(z)
    sigma, implied, mean, values = moments_of(this)
    y = this.oracle.frame[["y1", "y2", "y3"]].to_numpy()
    own = this.oracle.frame.groupby("group")[["y1", "y2", "y3"]].transform("mean").to_numpy()
    df = len(y) - 12
    s = (y - own).T @ (y - own) / df
    expected = df * fit_function(s, sigma)
    assert level_fit.chi_square_within(this.sample, this.structure) == pytest.approx(expected)
    s = np.cov(values.T, bias=True)
    deviation = values.mean(axis=0) - mean
    expected = 12 * (fit_function(s, implied) + deviation @ np.linalg.solve(implied, deviation))
    assert level_fit.chi_square_between(this.sample, this.structure) == pytest.approx(expected)


def fit_function(s: Array, sigma: Array) -> float:
    """log|Sigma| + tr(S Sigma^-1) - log|S| - p."""
    ratio = np.linalg.solve(sigma, s)
    return float(np.trace(ratio) - np.linalg.slogdet(ratio)[1] - len(s))


def test_residual_correlations_and_srmr_of_balanced_data() -> None:
    this = balanced(z=True)
    sigma, implied, mean, values = moments_of(this)
    y = this.oracle.frame[["y1", "y2", "y3"]].to_numpy()
    own = this.oracle.frame.groupby("group")[["y1", "y2", "y3"]].transform("mean").to_numpy()
    s = (y - own).T @ (y - own) / (len(y) - 12)
    within = (s - sigma) / np.sqrt(np.outer(np.diag(sigma), np.diag(sigma)))
    found = level_fit.residual_correlations_within(this.sample, this.structure)
    assert found == pytest.approx(within[np.tril_indices(3, -1)])
    expected = np.sqrt((within[np.tril_indices(3)] ** 2).mean())
    assert level_fit.srmr_within(this.sample, this.structure) == pytest.approx(expected)
    about = (values - mean).T @ (values - mean) / 12
    sd = np.sqrt(np.diag(implied) - np.r_[np.diag(sigma) / 6, 0.0])
    between = (about - implied) / np.outer(sd, sd)  # Sigma_w / n is in both
    found = level_fit.residual_correlations_between(this.sample, this.structure)
    assert found == pytest.approx(between[np.tril_indices(4, -1)])
    expected = np.sqrt((between[np.tril_indices(4)] ** 2).mean())
    assert level_fit.srmr_between(this.sample, this.structure) == pytest.approx(expected)


@pytest.mark.parametrize("case", SINGLE_LEVEL_CASES, ids=str)
def test_single_level_likelihood_ratio(case: Case) -> None:
    """Against unrestricted regressions on the covariates, with rows as they are."""
    frame = make_frame(sizes=(30,) * 4)
    model = make_model(case, frame)
    blueprint = model.blueprint
    free = free_values(model, random_values(case, model, 2))
    x = sampled_from_table(model.blueprint, theta_from_values(model.blueprint, free))
    design = check_design(blueprint)
    point = np.ascontiguousarray(blueprint.extend_sampled(x))
    structure = structure_at(blueprint, design, point, np.empty((1, 0)), {})
    sample = Sample(design, blueprint.observed.y[design.rows] - design.center, blueprint.observed.z)
    n, y = len(frame), blueprint.observed.y
    d = np.column_stack([np.ones(n), blueprint.observed.x])
    residual = left_over(y, d)
    s = residual.T @ residual / n
    saturated = -n / 2 * (np.linalg.slogdet(2 * np.pi * s)[1] + y.shape[1])
    expected = 2 * (saturated - model.log_likelihood(free))
    assert level_fit.chi_square_within(sample, structure) == pytest.approx(expected, rel=1e-8)
