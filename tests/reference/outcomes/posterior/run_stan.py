"""Run a Stan program and summarise the draws: shared by the scripts that make references."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import stan
from arviz_stats.base import array_stats

HERE = Path(__file__).parent


def cpu_seconds() -> float:
    """CPU seconds used so far by the child processes in which Stan samples (Linux)."""
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text(encoding="utf-8").split():
            stat = Path(f"/proc/{child}/stat").read_text(encoding="utf-8")
            fields = stat.rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # user and system time
    return ticks / os.sysconf("SC_CLK_TCK")


def build(program: Path, data: dict[str, Any], seed: int) -> Any:
    """Compile a program for these data."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        # the compiler leaves its objects in the working directory
        return stan.build(program.read_text(encoding="utf-8"), data=data, random_seed=seed)


def sample(
    program: Path, data: dict[str, Any], names: list[str], seed: int, **options: Any
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Draws as arrays (chain, draw) by name, and what sampling cost.

    Leapfrog steps are those after warmup; CPU seconds include warmup, not compilation.
    Vectors get names such as `tau[2,1]`, counted from 1 as in Stan.
    """
    model = build(program, data, seed)
    before = cpu_seconds()
    fit = model.sample(**options)
    cost = {"cpu_seconds": round(cpu_seconds() - before, 2)}
    chains = options["num_chains"]
    draws: dict[str, np.ndarray] = {}
    for name in names:
        block = fit[name]  # (..., draw * chain), chains alternate fastest
        block = block.reshape(*block.shape[:-1], -1, chains)
        scalar = block.shape[:-2] == (1,)
        for index in np.ndindex(block.shape[:-2]):
            key = name if scalar else f"{name}[{','.join(str(i + 1) for i in index)}]"
            draws[key] = block[index].T
    # steps of kept draws stand for those of thinned ones
    cost["leapfrog_steps"] = int(fit["n_leapfrog__"].sum()) * options.get("num_thin", 1)
    cost["divergences"] = int(fit["divergent__"].sum())
    return draws, cost


def summarise(draws: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Posterior mean and SD with their Monte Carlo errors, ESS and R-hat."""
    out = {}
    for name, values in draws.items():
        at = {"chain_axis": 0, "draw_axis": 1}
        out[name] = {
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)),
            "mcse_mean": float(array_stats.mcse(values, method="mean", **at)),
            "mcse_sd": float(array_stats.mcse(values, method="sd", **at)),
            "ess_bulk": float(array_stats.ess(values, method="bulk", **at)),
            "ess_tail": float(array_stats.ess(values, method="tail", prob=(0.05, 0.95), **at)),
            "rhat": float(array_stats.rhat(values, **at)),
        }
    return out
