"""Did the sampler converge, and what to do if not."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.posterior.modes import FoundModes, with_shares
from bayes_msem.posterior.summary import diagnostics

R_HAT_LIMIT = 1.01
ESS_PER_CHAIN = 100


@dataclass(frozen=True, slots=True)
class Convergence:
    """Convergence of one fit.

    Attributes
    ----------
    divergences
        Number of divergent transitions after tuning.
    max_r_hat, min_ess
        Worst over the free parameters (bulk and tail ESS).
    problems
        What is wrong and what to do, one sentence each; empty if nothing is.
    modes
        The modes of the posterior that were found before sampling, with the share of the draws
        near each; None if they could not be searched (sampled effects).
    """

    divergences: int
    max_r_hat: float
    min_ess: float
    problems: tuple[str, ...]
    modes: FoundModes | None = None

    def __str__(self) -> str:
        """Return a short verdict."""
        head = (
            f"R-hat at most {self.max_r_hat:.3f}, ESS at least {self.min_ess:.0f}, "
            f"{self.divergences} divergences"
        )
        notes = [str(self.modes)] if self.modes and self.modes.message else []
        if not self.problems:
            head = f"{head}: converged"
        advice = [
            fill(p, 88, initial_indent="  - ", subsequent_indent="    ")
            for p in (*self.problems, *notes)
        ]
        return "\n".join([head, *advice])


def check_convergence(
    x: NDArray[np.float64], sample_stats: xr.Dataset, modes: FoundModes | None = None
) -> Convergence:
    """Judge draws x (chain, draw, parameter) of all free parameters, given the modes found."""
    bulk, tail, r_hat = diagnostics(x).T
    divergences = int(sample_stats["diverging"].sum()) if "diverging" in sample_stats else 0
    worst, least = float(np.max(r_hat)), float(np.minimum(bulk, tail).min())
    needed = ESS_PER_CHAIN * x.shape[0]
    problems = []
    if divergences:
        problems.append(
            f"{divergences} divergent transitions: estimates may be biased. Raise target_accept "
            "(for example target_accept=0.95); if they stay, a variance near zero or a model the "
            "data do not identify is the usual cause: look at the rows with the lowest ESS and "
            "give them a stronger prior."
        )
    if not worst <= R_HAT_LIMIT:
        problems.append(
            f"R-hat is up to {worst:.3f} (should be at most {R_HAT_LIMIT}): the chains have not "
            "mixed. Do not use the estimates. Sample longer (tune=2000, draws=2000); if it stays, "
            "check the identification of the model."
        )
    if least < needed:
        problems.append(
            f"the effective sample size is as low as {least:.0f} (should be at least {needed}): "
            "intervals are imprecise. Raise draws."
        )
    found = modes and with_shares(modes, x)
    return Convergence(divergences, worst, least, tuple(problems), found)
