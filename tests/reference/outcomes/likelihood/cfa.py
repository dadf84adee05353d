"""Marginal log-likelihoods of a two-level ordinal factor model: `python cfa.py` writes cfa.json.

NumPy and SciPy alone. Given the item intercepts b of a cluster, the within factor of each row is
integrated by the trapezoidal rule (steep items: Gauss–Hermite with 64 nodes is off by 1e-5, this
by less than 1e-12). The intercepts, normal with covariance
lambda_b lambda_b' sd_fb^2 + diag(sd_u^2), are integrated twice: by adaptive Gauss–Hermite
quadrature in as many dimensions as there are items, and by importance sampling from a multivariate
t at their mode, with scrambled Sobol points. The first is stored, with its change from a coarser
rule as `error`; the second checks it, with its standard error over scramblings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
from quadrature import Array, gauss_hermite, mode_and_scale
from scipy.special import logsumexp, ndtr, ndtri
from scipy.stats import chi2, multivariate_t, qmc

HERE = Path(__file__).parent
ITEMS = ["y1", "y2", "y3", "y4"]
SCRAMBLINGS, POINTS = 8, 4096
WITHIN_SDS, WITHIN_NODES = 8.0, 107
CASES: dict[str, dict[str, Any]] = {
    "near the truth": {
        "thresholds": [[-1.1, 0.1, 1.0], [-0.8, 0.4, 1.5], [-1.5, -0.5, 0.6], [-0.5, 0.6, 1.8]],
        "loadings_w": [1.0, 0.9, 1.2, 0.7],
        "loadings_b": [1.0, 1.1, 0.8, 0.9],
        "sd_fw": 1.0,
        "sd_fb": 0.6,
        "sd_u": [0.4, 0.35, 0.45, 0.3],
    },
    "small residuals between, one negative loading": {
        "thresholds": [[-0.9, 0.2, 0.9], [-0.9, 0.3, 1.2], [-1.2, -0.3, 0.7], [-0.6, 0.5, 1.6]],
        "loadings_w": [1.0, 1.3, 1.5, 0.4],
        "loadings_b": [1.0, 0.5, -0.4, 1.2],
        "sd_fw": 1.4,
        "sd_fb": 0.9,
        "sd_u": [0.05, 0.1, 0.2, 0.6],
    },
    "large effects of clusters": {
        "thresholds": [[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]],
        "loadings_w": [1.0, 0.8, 0.8, 0.8],
        "loadings_b": [1.0, 1.5, 0.7, 1.2],
        "sd_fw": 0.7,
        "sd_fb": 1.5,
        "sd_u": [0.8, 1.0, 0.7, 0.9],
    },
}


def cluster_density(y: Array, values: dict[str, Any], b: Array) -> Array:
    """Log p(rows of a cluster | intercepts b), for many b; y has -1 where missing."""
    z = np.linspace(-WITHIN_SDS, WITHIN_SDS, WITHIN_NODES)
    weight = np.exp(-(z**2) / 2)
    weight = weight / weight.sum()
    total = np.zeros(len(b))
    # [item][category]: probabilities at (b, node), shared by the rows
    tables = []
    for k, cuts in enumerate(values["thresholds"]):
        eta = b[:, k, None] + values["loadings_w"][k] * values["sd_fw"] * z
        above = [np.ones_like(eta)] + [ndtr(eta - cut) for cut in cuts] + [np.zeros_like(eta)]
        tables.append([above[c] - above[c + 1] for c in range(len(cuts) + 1)])
    for row in y:
        product = np.ones((len(b), len(z)))
        for k, category in enumerate(row):
            if category >= 0:
                product = product * tables[k][category]
        total += np.log(product @ weight)
    return total


def in_parts(function: Any, points: Array, size: int = 5000) -> Array:
    """A function of many points, some thousands at a time to save memory."""
    return np.concatenate([function(points[i : i + size]) for i in range(0, len(points), size)])


def sobol_t(mode: Array, scale: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Points of a multivariate t with 8 degrees of freedom, and their log densities."""
    d, df = len(mode), 8
    u = np.concatenate([qmc.Sobol(d + 1, rng=rng).random(POINTS) for _ in range(SCRAMBLINGS)])
    b = mode + ndtri(u[:, :d]) @ scale.T / np.sqrt(chi2.ppf(u[:, d:], df) / df)
    return b, multivariate_t(mode, scale @ scale.T, df=df).logpdf(b)


def log_likelihood(
    values: dict[str, Any], nodes: tuple[int, int], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """By a fine and a coarse rule; by importance sampling, and its standard error."""
    frame = pd.read_csv(HERE.parent / "data" / "cfa_small.csv")
    y = frame[ITEMS].fillna(-1).to_numpy().astype(int)
    loadings = np.array(values["loadings_b"])
    prior = np.outer(loadings, loadings) * values["sd_fb"] ** 2 + np.diag(values["sd_u"]) ** 2
    precision, log_det_prior = np.linalg.inv(prior), np.linalg.slogdet(prior)[1]
    rules = [gauss_hermite(n, 4) for n in nodes]
    totals, sampled, variance = [0.0, 0.0], 0.0, 0.0
    for rows in frame.groupby("cluster").indices.values():

        def log_joint(b: Array, rows: Array = rows) -> Array:
            quadratic = np.einsum("md,de,me->m", b, precision, b)
            log_prior = -0.5 * (4 * np.log(2 * np.pi) + log_det_prior + quadratic)
            return cluster_density(y[rows], values, b) + log_prior

        mode, scale = mode_and_scale(log_joint, prior)
        log_det = np.linalg.slogdet(scale)[1]
        for i, (z, log_weights) in enumerate(rules):
            f = in_parts(log_joint, mode + z @ scale.T)
            totals[i] += float(logsumexp(f + log_weights) + log_det)
        b, log_proposal = sobol_t(mode, scale, rng)
        ratio = (in_parts(log_joint, b) - log_proposal).reshape(SCRAMBLINGS, -1)
        means = logsumexp(ratio, axis=1) - np.log(ratio.shape[1])
        sampled += float(means.mean())
        variance += float(means.var(ddof=1) / SCRAMBLINGS)
    return totals[0], totals[1], sampled, variance**0.5


def main() -> None:
    """Integrate every case and store it."""
    rng = np.random.default_rng(1309)
    cases = []
    for name, values in CASES.items():
        fine, coarse, sampled, error = log_likelihood(values, (14, 11), rng)
        print(name, fine, coarse, sampled, error)
        cases.append(
            {"name": name, "data": "cfa_small", "family": "ordinal(probit)", "values": values}
            | {"log_likelihood": fine, "error": abs(fine - coarse)}
            | {"importance_sampling": {"log_likelihood": sampled, "standard_error": error}}
        )
    result = {"program": f"NumPy {np.__version__}, SciPy {scipy.__version__}", "cases": cases}
    (HERE / "cfa.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
