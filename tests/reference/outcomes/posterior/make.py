"""Posterior references: `python make.py NAME...` runs NAME.stan on ../data/NAME.csv.

Writes NAME.json: posterior means and SDs with Monte Carlo errors. README.md has the models.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from run_stan import HERE, sample, summarise

FACTOR = ["tau", "loading_w", "loading_b", "sd_fw", "sd_fb", "sd_u"]
# name of the model: parameters, draws kept per chain, thinning
RUNS: dict[str, tuple[list[str], int, int]] = {
    "binary_slope": (["tau", "slope", "sd_u", "r"], 10_000, 1),
    "count_slope": (["intercept", "slope", "sd_u", "r"], 10_000, 1),
    "cfa": (FACTOR, 4_000, 3),
    "latent_slope": ([*FACTOR, "slope", "beta_b", "sd_v", "r"], 2_500, 3),
}
CHAINS, WARMUP, SEED = 4, 1_000, 2026


def stan_data(name: str) -> dict[str, Any]:
    """Data of a model as its Stan program names them; categories counted from 1."""
    frame = pd.read_csv(HERE.parent / "data" / f"{name}.csv")
    data: dict[str, Any] = {"N": len(frame), "J": int(frame["cluster"].max())}
    data["cluster"] = frame["cluster"].tolist()
    items = [column for column in frame if column.startswith("y") or column == "z"]
    if name in ("cfa", "latent_slope"):
        data["y"] = (frame[items].to_numpy().T + 1).tolist()
        return data | {"K": len(items) - ("z" in items), "C": 4}
    for column in frame.columns.drop("cluster"):
        data[column] = frame[column].tolist()
    return data


def derived(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Variances of all SDs, and the covariance of correlated intercepts and slopes."""
    more = {key.replace("sd_", "var_", 1): v**2 for key, v in draws.items() if key[:3] == "sd_"}
    if "r" in draws:
        effect = "v" if "sd_v[1]" in draws else "u"
        more["covariance"] = draws["r"] * draws[f"sd_{effect}[1]"] * draws[f"sd_{effect}[2]"]
    return draws | more


def main() -> None:
    """Run the named models and store what they give."""
    for name in sys.argv[1:]:
        names, kept, thin = RUNS[name]
        draws, cost = sample(
            HERE / f"{name}.stan",
            stan_data(name),
            names,
            SEED,
            num_chains=CHAINS,
            num_warmup=WARMUP,
            num_samples=kept * thin,
            num_thin=thin,
        )
        run = {"chains": CHAINS, "warmup": WARMUP, "kept": kept, "thin": thin, "seed": SEED}
        result = {
            "program": f"Stan by httpstan {version('httpstan')}, pystan {version('pystan')}",
            "run": run | cost,
            "parameters": summarise(derived(draws)),
        }
        path = HERE / f"{name}.json"
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
