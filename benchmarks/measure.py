"""CPU time, ESS per CPU second, and small tables on the terminal."""

from __future__ import annotations

import contextlib
import platform
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import arviz_stats as azs
import numpy as np
import nutpie
import xarray as xr

RESULT = "-> "
"""Begins a line that :func:`result` has printed."""

PACKAGES = ("bayes_msem", "pymc", "pytensor", "nutpie", "numba", "numpy")


def machine() -> str:
    """Describe Python, packages and processor in one line."""
    processor = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = [line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line]
        named = {key.strip(): value.strip() for key, value in fields}
        processor = (
            f"{named.get('model name', processor)} (family {named.get('cpu family', '?')}, "
            f"model {named.get('model', '?')})"
        )
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {packages}; {processor}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table: first column to the left, others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    for row in [header, rule, *rows]:
        cells = [
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def result(
    name: str, value: float, unit: str, target: float, *, at_least: bool = False, digits: int = 1
) -> None:
    """Print a figure that has a target, as ``suite.py`` reads it.

    Parameters
    ----------
    name, unit
        What was measured, and in what.
    value, target
        The figure, and its limit.
    at_least
        The target is a lower limit; else an upper one.
    digits
        Decimals of the figure; more where it would have one digit, or none.
    """
    limit = "at least" if at_least else "at most"
    shown = f"{value:.{digits}f}" if abs(value) >= 10.0 ** (1 - digits) else f"{value:.2g}"
    print(f"{RESULT}{name} | {shown} | {unit} | {limit} {target:g}", flush=True)


def calibration() -> float:
    """CPU seconds of ten million additions in a Python loop: how fast this machine is just now."""
    start, total = time.process_time(), 0
    for i in range(10_000_000):
        total += i * i
    return time.process_time() - start


def cpu_seconds() -> float:
    """CPU seconds of this process, all its threads, and the children it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_mib() -> float:
    """Return the most memory that this process has used so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass
class Timing:
    """CPU seconds of a ``with cpu_time()`` block, known at its end."""

    seconds: float = float("nan")


@contextlib.contextmanager
def cpu_time() -> Iterator[Timing]:
    """Time a block in CPU seconds."""
    timing, start = Timing(), cpu_seconds()
    yield timing
    timing.seconds = cpu_seconds() - start


def microseconds(call: Callable[[int], object], *, calls: int, batches: int) -> tuple[float, float]:
    """Time a repeated call.

    Parameters
    ----------
    call
        Function of the number of repetitions.
    calls, batches
        Repetitions per batch, and number of batches.

    Returns
    -------
    tuple of (float, float)
        Minimum and median over batches of microseconds of CPU per repetition.
    """
    call(calls)
    times = []
    for _ in range(batches):
        start = time.process_time()
        call(calls)
        times.append((time.process_time() - start) / calls * 1e6)
    return min(times), float(np.median(times))


@dataclass(frozen=True, slots=True)
class Run:
    """One run of NUTS: CPU seconds, and how well the parameters were sampled."""

    cpu: float
    min_ess: float
    worst: str
    max_r_hat: float
    steps: float
    divergences: int
    posterior: xr.Dataset

    @property
    def ess_per_second(self) -> float:
        """Minimum bulk ESS per CPU second of sampling."""
        return self.min_ess / self.cpu


def sample(compiled: Any, names: Sequence[str], *, seed: int, **options: Any) -> Run:
    """Sample with nutpie, measuring nothing but the sampling.

    Parameters
    ----------
    compiled
        A compiled nutpie model.
    names
        Variables whose bulk ESS counts.
    seed
        Seed of the sampler.
    **options
        Passed to :func:`nutpie.sample`; 4 chains of 1000 draws after 1000 otherwise.
    """
    settings = {"draws": 1000, "tune": 1000, "chains": 4, "save_warmup": False} | options
    with cpu_time() as timing:
        tree = nutpie.sample(compiled, seed=seed, progress_bar=False, **settings)
    posterior = tree["posterior"].to_dataset()[list(names)]
    ess = azs.ess(posterior, method="bulk")
    minima = {name: float(ess[name].min()) for name in names}
    worst = min(minima, key=lambda name: minima[name])
    r_hat = azs.rhat(posterior)
    stats = tree["sample_stats"]
    return Run(
        cpu=timing.seconds,
        min_ess=minima[worst],
        worst=worst,
        max_r_hat=max(float(r_hat[name].max()) for name in names),
        steps=float(stats["n_steps"].mean()),
        divergences=int(stats["diverging"].sum()),
        posterior=posterior,
    )
