"""Marginal log-likelihoods by numerical integration: `python quadrature.py` writes quadrature.json.

NumPy and SciPy alone. Each cluster's integral over its intercept (and slope) is computed by two
rules: adaptive Gauss–Hermite quadrature, and the trapezoidal rule on a wide grid, which converges
exponentially for such integrands. What the two differ by is stored as `error`.
Values of parameters are the estimates of lme4.R, ordinal.R and glmmTMB.R, and rounder ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
from scipy.optimize import minimize
from scipy.special import gammaln, log_expit, log_ndtr, logsumexp

HERE = Path(__file__).parent
Array = np.ndarray
Density = Callable[[Array], Array]


def log_category(y: Array, thresholds: list[float], link: str) -> Density:
    """Log probability of the observed categories as a function of the linear predictor."""
    log_cdf = {"probit": log_ndtr, "logit": log_expit}[link]
    cuts = np.concatenate([[-np.inf], thresholds, [np.inf]])
    low, high = cuts[y], cuts[y + 1]

    def log_probability(eta: Array) -> Array:
        a, b = low - eta, high - eta
        flip = a > 0  # in the upper tail, differences of survival functions are the accurate ones
        a, b = np.where(flip, -b, a), np.where(flip, -a, b)
        big, small = log_cdf(b), log_cdf(a)
        return big + np.log1p(-np.exp(small - big))

    return log_probability


def log_poisson(y: Array, log_exposure: Array) -> Density:
    """Log density of counts as a function of the log rate."""
    return lambda eta: y * (eta + log_exposure) - np.exp(eta + log_exposure) - gammaln(y + 1)


def log_negative_binomial(y: Array, log_exposure: Array, alpha: float) -> Density:
    """The same with variance m + alpha m^2."""
    size = 1 / alpha
    constant = gammaln(y + size) - gammaln(size) - gammaln(y + 1)

    def log_density(eta: Array) -> Array:
        log_mean = eta + log_exposure
        log_sum = np.logaddexp(np.log(size), log_mean)
        return constant + size * (np.log(size) - log_sum) + y * (log_mean - log_sum)

    return log_density


def frame_of(name: str, outcome: str) -> pd.DataFrame:
    """Rows with an outcome, integers in column `outcome`."""
    frame = pd.read_csv(HERE.parent / "data" / f"{name}.csv").dropna(subset=[outcome])
    return frame.assign(**{outcome: frame[outcome].astype(int)}).reset_index(drop=True)


def density_of(case: dict[str, Any], frame: pd.DataFrame) -> Callable[[Array], Density]:
    """For the rows of a cluster, the log density given their linear predictor."""
    kind, _, link = case["family"].partition("(")
    values, y = case["values"], frame[case["outcome"]].to_numpy()
    if kind in ("binary", "ordinal"):
        return lambda rows: log_category(y[rows], values["thresholds"], link[:-1])
    exposure = np.log(frame["exposure"].to_numpy())
    if kind == "poisson":
        return lambda rows: log_poisson(y[rows], exposure[rows])
    return lambda rows: log_negative_binomial(y[rows], exposure[rows], values["alpha"])


def covariance_of(values: dict[str, Any]) -> Array:
    """Covariance matrix of the effects."""
    sd = np.atleast_1d(values["sd"]).astype(float)
    r = np.eye(len(sd))
    if len(sd) == 2:
        r[0, 1] = r[1, 0] = values["r"]
    return np.outer(sd, sd) * r


def mode_and_scale(log_joint: Density, prior: Array) -> tuple[Array, Array]:
    """Mode of an integrand and a root of its inverse curvature there."""
    root = np.linalg.cholesky(prior)
    d = len(prior)
    found = minimize(lambda v: -log_joint((root @ v)[None])[0], np.zeros(d), tol=1e-10).x
    h = 1e-3
    step = np.eye(d) * h
    hessian = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            corners = [
                found + a * step[i] + b * step[j] for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            f = log_joint(np.array(corners) @ root.T)
            hessian[i, j] = -(f[0] - f[1] - f[2] + f[3]) / (4 * h * h)
    return root @ found, root @ np.linalg.cholesky(np.linalg.inv(hessian))


def product_rule(points: Array, log_weights: Array, d: int) -> tuple[Array, Array]:
    """Points and log weights of a rule in d dimensions."""
    grid = np.stack([g.ravel() for g in np.meshgrid(*[points] * d, indexing="ij")], axis=1)
    total = sum(g.ravel() for g in np.meshgrid(*[log_weights] * d, indexing="ij"))
    return grid, np.asarray(total)


def gauss_hermite(n: int, d: int) -> tuple[Array, Array]:
    """Rule for integrals of f: weights include exp(z^2 / 2)."""
    z, weight = np.polynomial.hermite_e.hermegauss(n)
    return product_rule(z, np.log(weight) + z**2 / 2, d)


def trapezoid(n: int, d: int, half_width: float = 12.0) -> tuple[Array, Array]:
    """Rule for integrals of f that vanish at the ends; the width is in SDs at the mode."""
    z = np.linspace(-half_width, half_width, n)
    return product_rule(z, np.full(n, np.log(z[1] - z[0])), d)


def log_likelihood(case: dict[str, Any], rules: list[tuple[Array, Array]]) -> list[float]:
    """Marginal log-likelihood by each rule."""
    frame, values = frame_of(case["data"], case["outcome"]), case["values"]
    density = density_of(case, frame)
    prior = covariance_of(values)
    precision, d = np.linalg.inv(prior), len(prior)
    log_norm = -0.5 * (d * np.log(2 * np.pi) + np.linalg.slogdet(prior)[1])
    design = np.column_stack([np.ones(len(frame)), frame["x"]])[:, :d]
    mean = values.get("intercept", 0.0) + sum(
        values[name] * frame[name].to_numpy() for name in ("x", "w") if name in values
    )
    totals = [0.0] * len(rules)
    for rows in frame.groupby("cluster").indices.values():
        log_density = density(rows)

        def log_joint(u: Array, rows: Array = rows, log_density: Density = log_density) -> Array:
            quadratic = np.einsum("md,de,me->m", u, precision, u)
            given = log_density(mean[rows] + u @ design[rows].T).sum(axis=1)
            return given + log_norm - quadratic / 2

        mode, scale = mode_and_scale(log_joint, prior)
        log_det = np.log(np.abs(np.diag(scale))).sum() if d == 1 else np.linalg.slogdet(scale)[1]
        for i, (z, log_weights) in enumerate(rules):
            totals[i] += float(logsumexp(log_joint(mode + z @ scale.T) + log_weights) + log_det)
    return totals


def peer_cases() -> list[dict[str, Any]]:
    """Cases at the estimates of the R programs, with their log-likelihoods."""
    cases = []

    def add(file: str, fit: str, data: str, outcome: str, family: str, note: str = "") -> None:
        stored = json.loads((HERE / f"{file}.json").read_text(encoding="utf-8"))
        peer = stored["fits"][fit]
        values = {key: value for key, value in peer["fixed"].items() if key in ("x", "w")}
        if "thresholds" in peer:
            values["thresholds"] = peer["thresholds"]
        elif family.startswith("binary"):
            values["thresholds"] = [-peer["fixed"]["(Intercept)"]]
        else:
            values["intercept"] = peer["fixed"]["(Intercept)"]
        sd = peer["random_sd"]
        values["sd"] = list(sd.values()) if isinstance(sd, dict) else [sd]
        if len(values["sd"]) == 2:
            values["r"] = peer["random_correlation"]
        if "dispersion_alpha" in peer:
            values["alpha"] = peer["dispersion_alpha"]
        program = stored["program"]
        reported = {"program": program, "nAGQ": peer["nAGQ"], "log_likelihood": peer["logLik"]}
        cases.append(
            {"name": f"{fit}_{file}", "data": data, "outcome": outcome, "family": family}
            | {"values": values, "peer": reported | ({"note": note} if note else {})}
        )

    for link in ("logit", "probit"):
        add("lme4", f"binary_{link}_25", "binary", "y", f"binary({link})")
        add("ordinal", f"ordinal_{link}_51", "ordinal", "y", f"ordinal({link})")
    laplace = "Laplace approximation: agreement to the error of Laplace only"
    add("lme4", "binary_slope_1", "binary_slope", "y", "binary(logit)", laplace)
    left_out = "leaves out the sum of log Poisson(y; mean y), see poisson_constant"
    add("lme4", "poisson_25", "count", "y", "poisson", left_out)
    add("lme4", "poisson_1", "count", "y", "poisson", laplace)
    add("lme4", "poisson_slope_1", "count_slope", "y", "poisson", laplace)
    add("glmmTMB", "negbinomial_1", "count", "overdispersed", "negbinomial", laplace)
    return cases


def round_cases() -> list[dict[str, Any]]:
    """Cases at round values, some far from the estimates (large SDs, high correlation)."""
    cuts, both = [-1.0, 0.25, 1.5], {"x": 0.5, "w": -0.25}
    slope = {"x": 0.6}
    rows: list[tuple[str, str, str, dict[str, Any]]] = []
    for link in ("logit", "probit"):
        for sd in (0.1, 1.0, 3.0):
            values = both | {"sd": [sd]}
            rows.append(("binary", "y", f"binary({link})", values | {"thresholds": [0.25]}))
            rows.append(("ordinal", "y", f"ordinal({link})", values | {"thresholds": cuts}))
        for spread, r in (([0.9, 0.7], 0.3), ([2.0, 1.5], -0.8), ([0.3, 0.05], 0.0)):
            values = slope | {"thresholds": [-0.2], "sd": spread, "r": r}
            rows.append(("binary_slope", "y", f"binary({link})", values))
    for sd in (0.1, 0.5, 1.5):
        values = both | {"intercept": 0.5, "sd": [sd]}
        rows.append(("count", "y", "poisson", values))
        for alpha in (0.1, 0.6, 2.0):
            rows.append(("count", "overdispersed", "negbinomial", values | {"alpha": alpha}))
    for spread, r in (([0.5, 0.3], -0.3), ([1.0, 0.8], 0.7)):
        values = slope | {"intercept": 0.5, "sd": spread, "r": r}
        rows.append(("count_slope", "y", "poisson", values))
    keys = ("data", "outcome", "family", "values")
    return [
        {"name": f"round_{i + 1}"} | dict(zip(keys, row, strict=True)) for i, row in enumerate(rows)
    ]


def poisson_constant() -> float:
    """What glmer leaves out with nAGQ > 1: the log-likelihood of the saturated model."""
    y = frame_of("count", "y")["y"].to_numpy()
    mean = np.where(y > 0, y, 1)  # y log y is 0 at 0
    return float(np.sum(y * np.log(mean) - y - gammaln(y + 1)))


def main() -> None:
    """Integrate every case and store it."""
    rules = {
        1: [trapezoid(801, 1), gauss_hermite(61, 1)],
        2: [trapezoid(161, 2), gauss_hermite(41, 2)],
    }
    cases = peer_cases() + round_cases()
    for case in cases:
        found = log_likelihood(case, rules[len(case["values"]["sd"])])
        case["log_likelihood"] = found[0]
        case["error"] = max(abs(found[1] - found[0]), 1e-11)
        print(case["name"], case["family"], found, case.get("peer", {}).get("log_likelihood"))
    result = {
        "program": f"NumPy {np.__version__}, SciPy {scipy.__version__}",
        "poisson_constant": poisson_constant(),
        "cases": cases,
    }
    (HERE / "quadrature.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
