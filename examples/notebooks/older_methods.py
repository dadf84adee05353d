"""Methods older than the full two-level model, each in a few lines, and what they are to find.

One data set: unit i of cluster j, n_j rows in cluster j, J clusters, N rows,

    x_ij  = X_j + xw_ij                                       var(X) = x_between, var(xw) = x_within
    y_ij  = between X_j + within xw_ij + s_j z_ij + u_j + e_ij  s_j ~ N(slope, slope_variance)
    i_ijk = nu_k + lb_k F_j + lw_k f_ij + eb_jk + ew_ijk      k = 1, 2, 3; loadings differ by level

z is a design variable, equal steps from -1 to 1 in every cluster, so that it has no means to
estimate. ``expected`` has the values to which the estimates tend with many clusters; where
clusters differ in size, n~ is the harmonic mean of sizes, n* = (N - sum n_j^2 / N) / (J - 1) the
size in the expectation of S_B.

    disaggregation    (x_within within + x_between between) / (x_within + x_between)
    aggregation       lambda between + (1 - lambda) within, lambda = x_between / var(mean of x)
    two-step          shrunken means of both; in equal clusters times lambda_y / lambda_x
    observed-mean     as aggregation, with var(mean of x) = x_between + x_within J / N
    S_B apart         E(S_B) / n* = Sigma_B + Sigma_W / n*
    equal loadings    the maximum of the expected log-likelihood, found numerically
    MUML              E(S_B - S_W) / n* = Sigma_B
    aggregated items  Sigma_B + Sigma_W / n~
    two-stage slopes  slope_variance + (e + within^2 x_within) mean(1 / sum_i z_ij^2)

With three indicators a one-factor model is saturated, so its loadings follow from any covariance
matrix: lambda_3 / lambda_1 = s_23 / s_12, and so on; no fit is needed to see what a matrix says.

References
----------
Chou, C.-P., Bentler, P. M., & Pentz, M. A. (2000). A two-stage approach to multilevel structural
equation models: Application to longitudinal data. In T. D. Little, K. U. Schnabel, & J. Baumert
(Eds.), Modeling longitudinal and multilevel data (pp. 33-49). Erlbaum.

Muthén, B. O. (1994). Multilevel covariance structure analysis. Sociological Methods & Research,
22(3), 376-398. https://doi.org/10.1177/0049124194022003006
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = [
    "Truth",
    "aggregated_slope",
    "between_of_means",
    "equal_loadings",
    "expected",
    "least_squares_slope",
    "muml",
    "observed_mean_centring",
    "one_factor",
    "scatter",
    "simulate",
    "standard_error_ignoring_clusters",
    "two_stage_slopes",
    "two_step_slope",
]

Array = NDArray[np.float64]
ITEMS = ["i1", "i2", "i3"]


@dataclass(frozen=True)
class Truth:
    """Parameters of the simulated data."""

    x_within: float = 1.0
    x_between: float = 0.25
    within: float = 0.2
    between: float = 0.8
    slope: float = 0.3
    slope_variance: float = 0.1
    intercept_variance: float = 0.15
    residual_variance: float = 0.8
    loadings_within: tuple[float, float, float] = (1.0, 0.8, 0.6)
    loadings_between: tuple[float, float, float] = (1.0, 1.0, 1.4)
    factor_within: float = 1.0
    factor_between: float = 0.2
    residuals_within: tuple[float, float, float] = (0.6, 0.7, 0.8)
    residuals_between: tuple[float, float, float] = (0.05, 0.05, 0.05)
    sizes: tuple[int, ...] = field(default=(4, 6, 8))

    @property
    def items_within(self) -> Array:
        """Covariance matrix of the items within clusters, (3, 3)."""
        loadings = np.array(self.loadings_within)
        return self.factor_within * np.outer(loadings, loadings) + np.diag(self.residuals_within)

    @property
    def items_between(self) -> Array:
        """Covariance matrix of the between parts of the items, (3, 3)."""
        loadings = np.array(self.loadings_between)
        return self.factor_between * np.outer(loadings, loadings) + np.diag(self.residuals_between)


def simulate(truth: Truth, clusters: int, seed: int) -> pd.DataFrame:
    """Simulate the data set: columns cluster, x, y, z, i1, i2, i3; sizes take turns."""
    rng = np.random.default_rng(seed)
    sizes = np.resize(truth.sizes, clusters)
    cluster = np.repeat(np.arange(clusters), sizes)
    z = np.concatenate([np.linspace(-1.0, 1.0, n) for n in sizes])

    def normal(variance: float, size: int) -> Array:
        return np.sqrt(variance) * rng.standard_normal(size)

    x_b, x_w = normal(truth.x_between, clusters), normal(truth.x_within, len(cluster))
    s = truth.slope + normal(truth.slope_variance, clusters)
    u = normal(truth.intercept_variance, clusters)
    y = truth.between * x_b[cluster] + truth.within * x_w + s[cluster] * z + u[cluster]
    y = y + normal(truth.residual_variance, len(cluster))
    columns = {"cluster": cluster, "x": x_b[cluster] + x_w, "y": y, "z": z}
    f_b = normal(truth.factor_between, clusters)
    f_w = normal(truth.factor_within, len(cluster))
    for k, name in enumerate(ITEMS):
        between = truth.loadings_between[k] * f_b + normal(truth.residuals_between[k], clusters)
        within = truth.loadings_within[k] * f_w + normal(truth.residuals_within[k], len(cluster))
        columns[name] = 4.0 + between[cluster] + within
    return pd.DataFrame(columns)


# Regressions -------------------------------------------------------------------------------------


def least_squares_slope(y: Array, x: Array) -> float:
    """Disaggregation: one regression over all rows, as if there were no clusters."""
    x = x - x.mean()
    return float(x @ y / (x @ x))


def aggregated_slope(data: pd.DataFrame) -> float:
    """Regress cluster means on cluster means: aggregation."""
    means = data.groupby("cluster")[["x", "y"]].mean()
    return least_squares_slope(means["y"].to_numpy(), means["x"].to_numpy())


def observed_mean_centring(data: pd.DataFrame) -> tuple[float, float]:
    """Slopes within and between of one regression on deviations and observed means."""
    mean = data.groupby("cluster")["x"].transform("mean")
    design = np.column_stack([np.ones(len(data)), data["x"] - mean, mean])
    _, within, between = np.linalg.lstsq(design, data["y"].to_numpy(), rcond=None)[0]
    return float(within), float(between)


def scatter(data: pd.DataFrame, names: list[str]) -> tuple[Array, Array, float]:
    """Schmidt's S_W and S_B, in the scale of rows, and n*; matrices are (p, p)."""
    values, groups = data[names], data.groupby("cluster")[names]
    means, sizes = groups.mean().to_numpy(), groups.size().to_numpy()
    inside = values.to_numpy() - groups.transform("mean").to_numpy()
    outside = means - values.mean().to_numpy()
    n, j = len(data), len(sizes)
    star = (n - (sizes**2).sum() / n) / (j - 1)
    return inside.T @ inside / (n - j), (sizes * outside.T) @ outside / (j - 1), float(star)


def muml(data: pd.DataFrame, names: list[str]) -> Array:
    """Muthén's estimate of Sigma_B for models that leave it free, (p, p)."""
    within, between, star = scatter(data, names)
    return (between - within) / star


def shrunken_means(data: pd.DataFrame, name: str) -> Array:
    """Empirical Bayes estimates of cluster means from a model without predictors, (J,)."""
    groups = data.groupby("cluster")[name]
    within = scatter(data, [name])[0].item()
    between = max(muml(data, [name]).item(), 0.0)
    weight = between / (between + within / groups.size().to_numpy())
    mean = data[name].mean()
    return mean + weight * (groups.mean().to_numpy() - mean)


def two_step_slope(data: pd.DataFrame) -> float:
    """Two-step: estimate the cluster means of both variables, then regress the estimates."""
    return least_squares_slope(shrunken_means(data, "y"), shrunken_means(data, "x"))


def two_stage_slopes(data: pd.DataFrame) -> tuple[float, float]:
    """Chou, Bentler and Pentz: mean and variance of the slopes of one regression a cluster."""
    slopes = [
        least_squares_slope(group["y"].to_numpy(), group["z"].to_numpy())
        for _, group in data.groupby("cluster")
    ]
    return float(np.mean(slopes)), float(np.var(slopes, ddof=1))


def standard_error_ignoring_clusters(values: Array) -> float:
    """Disaggregation: standard error of a mean over rows."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


# Covariance matrices -----------------------------------------------------------------------------


def one_factor(matrix: Array) -> tuple[float, float, float]:
    """Factor variance and the loadings of the second and third item, of three; marker first."""
    variance = matrix[0, 1] * matrix[0, 2] / matrix[1, 2]
    return float(variance), float(matrix[1, 2] / matrix[0, 2]), float(matrix[1, 2] / matrix[0, 1])


def between_of_means(data: pd.DataFrame, names: list[str]) -> Array:
    """Return the covariance matrix of the observed cluster means, (p, p): aggregation."""
    return np.cov(data.groupby("cluster")[names].mean().to_numpy().T)


# What to expect ----------------------------------------------------------------------------------


def expected(truth: Truth) -> dict[tuple[str, str], float]:
    """Return the values to which estimates tend: (method, quantity) -> value.

    Sizes take turns, so means over ``truth.sizes`` are means over clusters.
    """
    sizes = np.array(truth.sizes, dtype=np.float64)
    per_row = float(1.0 / sizes.mean())  # J / N
    inverse = float((1.0 / sizes).mean())  # 1 / n~
    xb, xw, bb, bw = truth.x_between, truth.x_within, truth.between, truth.within

    def mixture(inside: float) -> float:
        return (xb * bb + inside * bw) / (xb + inside)

    values = {
        ("disaggregation", "slope within"): mixture(xw),
        ("disaggregation", "slope between"): mixture(xw),
        ("aggregation", "slope between"): mixture(xw * inverse),
        ("observed-mean centring", "slope within"): bw,
        ("observed-mean centring", "slope between"): mixture(xw * per_row),
        ("two-step", "slope between"): _two_step(truth, sizes),
        ("two-stage", "slope variance"): truth.slope_variance
        + (truth.residual_variance + bw**2 * xw)
        * float(np.mean([1.0 / (np.linspace(-1, 1, int(n)) ** 2).sum() for n in sizes])),
    }
    star = float(sizes.mean())  # of many clusters n* is N / J less the variance of sizes / (J - 1)
    matrices = {
        "S_B apart": truth.items_between + truth.items_within / star,
        "aggregation": truth.items_between + inverse * truth.items_within,
        "disaggregation": truth.items_between + truth.items_within,
        "MUML": truth.items_between,
        "Cronbach-Härnqvist": truth.items_between + per_row * truth.items_within,
    }
    total = np.diag(truth.items_between + truth.items_within)
    for method, matrix in matrices.items():
        if method != "Cronbach-Härnqvist":  # whose units are others
            values[method, "loading of item 3"] = one_factor(matrix)[2]
        values[method, "correlation of items 1 and 2"] = float(
            matrix[0, 1] / np.sqrt(matrix[0, 0] * matrix[1, 1])
        )
        values[method, "share between of item 1"] = float(matrix[0, 0] / total[0])
    values["equal loadings", "loading of item 3"] = equal_loadings(truth)[1]
    return values


def equal_loadings(truth: Truth) -> tuple[float, float]:
    """Return loadings of items 2 and 3 where maximum likelihood makes them equal at both levels.

    The maximum for infinitely many clusters: the expected log-likelihood, a contrast of rows at a
    time (n - 1 in a cluster of n, with covariance Sigma_W) and a mean (Sigma_B + Sigma_W / n).
    """

    def terms(model: Array, true: Array) -> float:
        return float(np.linalg.slogdet(model)[1] + np.trace(np.linalg.solve(model, true)))

    def discrepancy(x: Array) -> float:
        loadings = np.array([1.0, x[0], x[1]])
        common, variances = np.outer(loadings, loadings), np.exp(x[2:])
        within = variances[0] * common + np.diag(variances[1:4])
        between = variances[4] * common + np.diag(variances[5:8])
        total = 0.0
        for n in truth.sizes:
            mean = truth.items_between + truth.items_within / n
            total += (n - 1) * terms(within, truth.items_within) + terms(between + within / n, mean)
        return total

    start = np.concatenate([[1.0, 1.0], np.log([1, 0.5, 0.5, 0.5, 0.2, 0.1, 0.1, 0.1])])
    found = minimize(discrepancy, start, method="BFGS", options={"gtol": 1e-7})
    return float(found.x[0]), float(found.x[1])


def _two_step(truth: Truth, sizes: Array) -> float:
    """Slope of shrunken means: clusters of size n weigh with what their shrinkage lets through.

    The first step sees y without z. z moves rows and no means, so that S_W is too large for what
    the means have of it, and the variance between comes out too small by this over n*.
    """
    rows = truth.within**2 * truth.x_within + truth.residual_variance
    of_z = np.concatenate([np.linspace(-1.0, 1.0, n) for n in truth.sizes])
    moved = (truth.slope**2 + truth.slope_variance) * (of_z @ of_z) / (sizes - 1.0).sum()
    y_within = rows + moved
    y_between = truth.between**2 * truth.x_between + truth.intercept_variance
    y_between = y_between - moved / sizes.mean()
    weight_x = truth.x_between / (truth.x_between + truth.x_within / sizes)
    weight_y = y_between / (y_between + y_within / sizes)
    variance = truth.x_between + truth.x_within / sizes
    covariance = truth.between * truth.x_between + truth.within * truth.x_within / sizes
    return float((weight_x * weight_y * covariance).sum() / (weight_x**2 * variance).sum())
