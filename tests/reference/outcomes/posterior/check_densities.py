"""The Stan programs against their densities in SciPy: `python check_densities.py`.

At random points, differences of log densities from the first point must agree (Stan leaves out
constants). Prints the largest disagreement of each program.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import stan
from make import HERE, stan_data
from scipy.stats import bernoulli, norm, poisson

Array = np.ndarray
PEER = HERE.parents[3] / "benchmarks" / "peers" / "ordinal_cfa.stan"
PROGRAMS = {
    "binary_slope": [HERE / "binary_slope.stan"],
    "count_slope": [HERE / "count_slope.stan"],
    "cfa": [HERE / "cfa.stan", PEER],
    "latent_slope": [HERE / "latent_slope.stan"],
}


def priors(p: dict[str, Array]) -> float:
    """Log prior of everything but the latent variables; r is uniform."""
    scales = {"tau": 1.5, "intercept": 1.5}
    return sum(
        norm(float(name.startswith("loading")), scales.get(name, 1.0)).logpdf(value).sum()
        for name, value in p.items()
        if name != "r"
    )


def regression(p: dict[str, Array], data: dict[str, Any]) -> float:
    """Binary or count outcome with intercepts and slopes that vary."""
    sd, r, j = p["sd_u"], float(p["r"]), np.array(data["cluster"]) - 1
    root = np.linalg.cholesky(np.outer(sd, sd) * np.array([[1, r], [r, 1]]))
    u, x, y = p["z"] @ root.T, np.array(data["x"]), np.array(data["y"])
    eta = u[j, 0] + (p["slope"] + u[j, 1]) * x
    if "tau" in p:
        return bernoulli.logpmf(y, 1 / (1 + np.exp(p["tau"] - eta))).sum() + priors(p)
    return poisson.logpmf(y, data["exposure"] * np.exp(p["intercept"] + eta)).sum() + priors(p)


def factors(p: dict[str, Array], data: dict[str, Any]) -> float:
    """Ordinal items of a factor at each level, and an outcome z of both where there is a slope."""
    j, y = np.array(data["cluster"]) - 1, np.array(data["y"]) - 1
    fw, fb = p["sd_fw"] * p["z_w"], p["sd_fb"] * p["z_b"]
    within, between = np.append(1, p["loading_w"]), np.append(1, p["loading_b"])
    eta = [w * fw + (b * fb + s * z)[j] for w, b, s, z in
           zip(within, between, p["sd_u"], p["z_u"].T, strict=True)]  # fmt: skip
    if "slope" in p:
        sd, r = p["sd_v"], float(p["r"])
        v = p["z_v"] @ np.linalg.cholesky(np.outer(sd, sd) * np.array([[1, r], [r, 1]])).T
        eta.append((p["beta_b"] * fb + v[:, 0])[j] + (p["slope"] + v[j, 1]) * fw)
    total = priors(p)
    for k, mean in enumerate(eta):
        cuts = np.concatenate([[-np.inf], p["tau"][k], [np.inf]])
        total += np.log(norm.cdf(cuts[y[k] + 1] - mean) - norm.cdf(cuts[y[k]] - mean)).sum()
    return total


def points(model: Any, rng: np.random.Generator, number: int) -> list[tuple[list[float], Any]]:
    """Unconstrained points, and the parameters there by name."""
    shapes = {n: d for n, d in zip(model.param_names, model.dims, strict=True) if n[0] != "u"}
    sizes = [int(np.prod(dims)) for dims in shapes.values()]  # u1, u2 are transformed ones
    found = []
    for _ in range(number):
        u = rng.normal(scale=0.3, size=sum(sizes)).tolist()
        flat = np.split(np.array(model.constrain_pars(u, include_tparams=False)), np.cumsum(sizes))
        values = zip(shapes.items(), flat, strict=False)
        found.append((u, {name: v.reshape(dims, order="F") for (name, dims), v in values}))
    return found


def main() -> int:
    """Compare all programs; 1 if one disagrees."""
    worst = 0.0
    rng = np.random.default_rng(5)
    for name, programs in PROGRAMS.items():
        data = stan_data(name)
        density = factors if "K" in data else regression
        for path in programs:
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                model = stan.build(path.read_text(encoding="utf-8"), data=data, random_seed=1)
            pairs = [
                (model.log_prob(u, adjust_transform=False), density(p, data))
                for u, p in points(model, rng, 6)
            ]
            theirs, ours = np.array(pairs).T
            error = float(np.abs((theirs - theirs[0]) - (ours - ours[0])).max())
            print(f"{Path(path).name} ({path.parent.name}): {error:.1e} of {np.ptp(ours):.0f}")
            worst = max(worst, error)
    return int(worst > 1e-8)


if __name__ == "__main__":
    sys.exit(main())
