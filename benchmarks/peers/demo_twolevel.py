"""Minimum bulk ESS per CPU second of Stan on the reference model, random effects integrated out.

`python benchmarks/peers/demo_twolevel.py [OUT.json]`, in an environment of its own with
`pystan numpy pandas scipy arviz-stats` (the package needs none of this; a C++ compiler is needed).
The program has the likelihood of cross-products, one term per cluster size, and the priors that
bayes_msem prints. Its density is compared with SciPy's, cluster by cluster, before it samples. Two
versions: Stan's diagonal metric, and parameters decorrelated by the posterior covariance of a short
first run, which is not timed.
CPU seconds are those of warmup and sampling, without compilation.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests" / "reference"
PROGRAM = HERE / "demo_twolevel.stan"
Y, X, W = ["y1", "y2", "y3"], ["x1", "x2", "x3"], ["w1", "w2"]
CHAINS, WARMUP, DRAWS, SEEDS = 4, 1_000, 1_000, (1, 2, 3)
PRIORS = {
    "loading_within_scale": [0.914, 0.8825],
    "loading_between_scale": [0.8188, 0.7302],
    "slope_within_scale": [3.569, 3.517, 3.46],
    "slope_between_scale": [2.84, 2.746],
    "sd_within_scale": [1.415, 1.293, 1.249],
    "factor_sd_within_scale": 1.415,
    "sd_between_scale": [1.062, 0.8697, 0.7757],
    "factor_sd_between_scale": 1.062,
    "intercept_mean": [0.02472, -0.02417, -0.02362],
    "intercept_scale": [4.424, 3.897, 3.675],
}
"""As in the parameter table of the model (a test compares them)."""
PARAMETERS = {
    "loading_within": 2,
    "slope_within": 3,
    "sd_within": 3,
    "factor_sd_within": 1,
    "loading_between": 2,
    "slope_between": 2,
    "sd_between": 3,
    "factor_sd_between": 1,
    "intercept": 3,
}
"""Lengths, in the order of the program."""
NAMES = [
    name if length == 1 else f"{name}[{i + 1}]"
    for name, length in PARAMETERS.items()
    for i in range(length)
]


def frame() -> pd.DataFrame:
    """Read the data of the reference model: 2,500 rows, 200 clusters of four sizes."""
    return pd.read_csv(TESTS / "demo-twolevel" / "data.csv.gz")


def stan_data() -> dict[str, Any]:
    """Cross-products and priors."""
    rows = frame()
    clusters = rows.groupby("cluster")
    deviations = (rows[Y + X] - clusters[Y + X].transform("mean")).to_numpy()
    means = clusters[Y + X + W].mean().assign(one=1.0).to_numpy()
    sizes = clusters.size().to_numpy()
    distinct = np.unique(sizes)
    between = [n * means[sizes == n].T @ means[sizes == n] for n in distinct]
    return PRIORS | {
        "P": len(Y),
        "X": len(X),
        "W": len(W),
        "G": len(distinct),
        "df_within": len(rows) - len(sizes),
        "clusters": [int((sizes == n).sum()) for n in distinct],
        "size": distinct.tolist(),
        "cross_within": (deviations.T @ deviations).tolist(),
        "cross_between": [products.tolist() for products in between],
        "D": len(NAMES),
        "location": [0.0] * len(NAMES),
        "scale_root": np.eye(len(NAMES)).tolist(),
    }


def log_density(parameters: dict[str, np.ndarray]) -> float:
    """Log posterior density by SciPy, cluster by cluster, on the scale of the parameters."""
    from scipy.stats import halfnorm, multivariate_normal, norm, t

    p, total = parameters, 0.0
    lw, lb = (np.append(1.0, p[f"loading_{level}"]) for level in ("within", "between"))
    sigma_w = p["factor_sd_within"] ** 2 * np.outer(lw, lw) + np.diag(p["sd_within"] ** 2)
    sigma_b = p["factor_sd_between"] ** 2 * np.outer(lb, lb) + np.diag(p["sd_between"] ** 2)
    for _, rows in frame().groupby("cluster"):
        within = np.outer(rows[X].to_numpy() @ p["slope_within"], lw)
        between = p["intercept"] + (rows[W].to_numpy() @ p["slope_between"])[:, None] * lb
        n = len(rows)
        covariance = np.kron(np.eye(n), sigma_w) + np.kron(np.ones((n, n)), sigma_b)
        mean = (within + between).ravel()
        total += multivariate_normal(mean, covariance).logpdf(rows[Y].to_numpy().ravel())
    for level in ("within", "between"):
        scale = np.array(PRIORS[f"loading_{level}_scale"])
        total += norm(scale, scale).logpdf(p[f"loading_{level}"]).sum()
        total += norm(0, PRIORS[f"slope_{level}_scale"]).logpdf(p[f"slope_{level}"]).sum()
        for name in (f"sd_{level}", f"factor_sd_{level}"):
            half = t(4) if level == "within" else halfnorm()
            total += np.sum(half.logpdf(p[name] / np.array(PRIORS[f"{name}_scale"])))
    intercept = norm(PRIORS["intercept_mean"], PRIORS["intercept_scale"])
    return float(total + intercept.logpdf(p["intercept"]).sum())


def unpacked(theta: np.ndarray) -> dict[str, np.ndarray]:
    """Parameters by name from unconstrained values in the program's order; SDs as logarithms."""
    parts = np.split(theta, np.cumsum(list(PARAMETERS.values()))[:-1])
    values = dict(zip(PARAMETERS, parts, strict=True))
    return {name: np.exp(v) if "sd_" in name else v for name, v in values.items()}


def check(model: Any) -> float:
    """Largest disagreement of differences of log densities at random points."""
    rng = np.random.default_rng(1)
    points = rng.normal(0.2, 0.4, (4, len(NAMES)))
    stan_values = [model.log_prob(list(point)) for point in points]
    jacobians = points[:, ["sd_" in name for name in NAMES]].sum(axis=1)
    ours = [log_density(unpacked(point)) for point in points] + jacobians
    return float(np.max(np.abs(np.diff(stan_values) - np.diff(ours))))


def decorrelated(data: dict[str, Any], draws: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the same data with the metric of these draws."""
    theta = [np.log(draws[n]).ravel() if "sd_" in n else draws[n].ravel() for n in NAMES]
    root = np.linalg.cholesky(np.cov(theta))
    return data | {"location": np.mean(theta, axis=1).tolist(), "scale_root": root.tolist()}


def main() -> None:
    """Check the density, time both versions and print or store what came out."""
    sys.path.insert(0, str(TESTS / "outcomes" / "posterior"))
    import stan
    from run_stan import build, sample, summarise

    data = stan_data()
    assert check(build(PROGRAM, data, 1)) < 1e-6  # of log densities of some -10,000
    names, length = list(PARAMETERS), {"num_warmup": WARMUP, "num_samples": DRAWS}
    first, _ = sample(PROGRAM, data, names, 9, num_chains=2, **length)
    results: dict[str, Any] = {
        "program": f"Stan by httpstan {version('httpstan')}, pystan {stan.__version__}",
        "run": {"chains": CHAINS, "warmup": WARMUP, "draws": DRAWS},
    }
    for label, given in (("diagonal", data), ("decorrelated", decorrelated(data, first))):
        for seed in SEEDS:
            draws, cost = sample(PROGRAM, given, names, seed, num_chains=CHAINS, **length)
            summary = summarise(draws)
            worst = min(summary, key=lambda name: summary[name]["ess_bulk"])
            ess = summary[worst]["ess_bulk"]
            results[f"{label}, seed {seed}"] = cost | {
                "worst_parameter": worst,
                "min_ess_bulk": ess,
                "min_ess_per_cpu_second": ess / cost["cpu_seconds"],
                "max_rhat": max(row["rhat"] for row in summary.values()),
            }
            print(f"{label}, seed {seed}", results[f"{label}, seed {seed}"])
        results[f"posterior means, {label}"] = {n: row["mean"] for n, row in summary.items()}
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
