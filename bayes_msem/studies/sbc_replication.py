r"""One replication of a calibration: parameters from the prior, data, a fit, and ranks.

    theta' ~ p(theta),   y ~ p(y | theta'),   theta_1, ..., theta_S ~ p(theta | y)

Then theta' is one more draw from p(theta | y), and for every function f of parameters and data,
the rank of f(theta', y) among l independent draws f(theta_s, y) is one of 0, ..., l, all equally
likely.

Chains are thinned, each quantity by itself, to l = min(L, ESS) draws, evenly spaced. Where l < L,
the rank r is spread at random to the ranks among L draws,

    floor((L + 1) (r + U) / (l + 1)) ,   U ~ uniform(0, 1) ,

which are equally likely if r is, so that a posterior that mixed badly stays in the calibration.

The log-likelihood is log p(y | theta) where all effects are integrated out, and log p(y | b, theta)
where effects b are sampled; b' is then drawn with the data.

Seeds. Replication r draws parameters and data, its posterior, and its ranks with
``SeedSequence(random_seed, spawn_key=(r,))``, whoever computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rows import row_values
from bayes_msem.checking.accuracy.marginal import given_effects
from bayes_msem.checking.priors.prior_draws import draw_prior
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import frozen
from bayes_msem.inference.density import log_likelihood
from bayes_msem.model import Model
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.rank_uniformity import rank_of
from bayes_msem.posterior.recover import coordinates_of_effects
from bayes_msem.simulation.simulate import simulate_data
from bayes_msem.spec.row_names import key_text
from bayes_msem.spec.table import RowKey
from bayes_msem.studies.replications import Line, attempted, complete
from bayes_msem.studies.study_design import fingerprint, plain
from bayes_msem.studies.study_file import Sheet

__all__ = ["CALIBRATION", "LOG_LIKELIHOOD", "N_DRAWS", "Calibration", "Drawn", "spread", "thinned"]

FloatArray = NDArray[np.float64]

N_DRAWS = 99
"""L, so that there are 100 ranks."""

LOG_LIKELIHOOD = "log_likelihood"

CALIBRATION = Sheet(
    "calibration",
    {
        "replication": "int64",
        "quantity": "object",
        **dict.fromkeys(("true", "rank", "draws", "ess"), "float64"),
        **dict.fromkeys(("seconds", "max_r_hat", "divergences"), "float64"),
        "failure": "object",
    },
    ("replication",),
)
"""The stored replications: one row per replication and quantity, or one if it failed."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Parameters from the prior, and data at them.

    Attributes
    ----------
    x
        Sampled parameters, (n_free,).
    observed
        The design with the data.
    effects
        Sampled effects of the clusters, (J, n_b).
    """

    x: FloatArray
    observed: ObservedData
    effects: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """All that one replication needs.

    Attributes
    ----------
    model
        The model; its data have the design: clusters, covariates, and what is missing.
    quantities
        Name of every ranked row -> its key.
    likelihood
        Whether the log-likelihood is ranked.
    settings
        Passed to :meth:`bayes_msem.Model.fit`.
    seed
        Seed of the calibration.
    """

    model: Model
    quantities: Mapping[str, RowKey]
    likelihood: bool
    settings: Mapping[str, Any]
    seed: int

    @property
    def names(self) -> list[str]:
        """Names of all that is ranked."""
        return [*self.quantities, *([LOG_LIKELIHOOD] if self.likelihood else [])]

    def __call__(self, number: int) -> list[Line]:
        """Compute one replication: rows with the columns of ``CALIBRATION``."""
        lines = attempted(lambda: self._ranked(number))
        return [complete({"replication": number} | line, CALIBRATION.columns) for line in lines]

    def fitted(self, observed: ObservedData) -> Model:
        """Return the model that is fitted; tests plant errors here."""
        return self.model.on(observed)

    def _ranked(self, number: int) -> list[Line]:
        state = np.random.SeedSequence(self.seed, spawn_key=(number,)).generate_state(3, np.uint64)
        rng = np.random.default_rng(state[0])
        drawn = draw_data(self.model.unpiloted_blueprint(), rng)
        model = self.fitted(drawn.observed)
        seed = int(state[1] >> np.uint64(1))  # below 2**63
        fit = model.fit(**self.settings, random_seed=seed, progress=False)
        blueprint, posterior = model.blueprint, fit.datatree["posterior"].to_dataset()
        convergence, rng = fit.convergence, np.random.default_rng(state[2])
        about = {
            "max_r_hat": convergence.max_r_hat,
            "divergences": float(convergence.divergences),
        }
        true = row_values(blueprint, blueprint.theta(drawn.x[None]), drawn.x[None])
        pairs = {k: (float(true[v][0]), fit.draws[v]) for k, v in self.quantities.items()}
        if self.likelihood:
            right = self.model.on(drawn.observed).unpiloted_blueprint()
            pairs[LOG_LIKELIHOOD] = likelihoods(right, drawn, blueprint, posterior)
        return [
            {"quantity": name, **_rank(name, truth, values, rng), **about}
            for name, (truth, values) in pairs.items()
        ]

    def record(self) -> dict[str, Any]:
        """Say in plain values what decides the numbers of a replication."""
        options = self.model.options
        observed = self.model.observed
        free = [row for row in self.model.table.rows if row.free]
        priors = {key_text(row.key): str(row.prior) for row in free}
        return {
            "bayes_msem": version("bayes_msem"),
            "model": options.pop("spec"),
            "options of the model": {k: v for k, v in sorted(options.items())},
            "priors": priors,
            "design": fingerprint(self.model, np.isnan(observed.y), np.isnan(observed.z)),
            "quantities": self.names,
            "draws that are ranked": N_DRAWS,
            "settings of the sampler": {
                k: plain(v) for k, v in sorted(self.settings.items()) if k != "cores"
            },
            "random_seed": self.seed,
        }


def draw_data(blueprint: Blueprint, rng: np.random.Generator) -> Drawn:
    """Draw parameters from the prior and data at them, with the gaps of the data of the model.

    Raises
    ------
    ArithmeticError
        Outcomes are not finite: the prior allows for values that computers cannot hold.
    """
    observed, (x,) = blueprint.observed, draw_prior(blueprint, 1, rng)
    (point,) = blueprint.points(x[None])
    there = [~np.isnan(values) for values in (observed.y, observed.z, observed.z3)]
    with np.errstate(over="ignore", invalid="ignore"):
        simulated = simulate_data(blueprint, point, observed, rng)
    z3 = observed.z3 if simulated.z3 is None else simulated.z3
    y, z, z3 = (
        np.where(seen, values, np.nan)
        for seen, values in zip(there, (simulated.y, simulated.z, z3), strict=True)
    )
    if not all(np.isfinite(v[seen]).all() for v, seen in zip((y, z, z3), there, strict=True)):
        raise ArithmeticError("the prior drew parameters whose data are not finite numbers")
    first = blueprint.template.first_sampled
    mean = observed.cluster_design @ blueprint.likelihood.level_two(point).coefficients
    effects = (mean + simulated.level_two)[:, first:]
    return Drawn(x, replace(observed, y=frozen(y), z=frozen(z), z3=frozen(z3)), effects)


def likelihoods(
    right: Blueprint, drawn: Drawn, fitted: Blueprint, posterior: xr.Dataset
) -> tuple[float, FloatArray]:
    """Log-likelihood at the parameters that made the data, and at draws (chain, draw).

    With outcomes that are not normal, scores are integrated numerically: only at as many draws of
    every chain as are needed.

    Parameters
    ----------
    right
        The model with the data, in any coordinates of effects.
    drawn
        What made the data.
    fitted, posterior
        The model whose draws these are: it has the coordinates of their effects.
    """
    x = sampled_parameters(fitted, posterior)
    if right.template.responses is not None:
        each = -(-N_DRAWS // x.shape[0])
        kept = np.unique(np.linspace(0, x.shape[1] - 1, each).astype(np.int64))
        x, posterior = x[:, kept], posterior.isel(draw=kept)
    flat = x.reshape(-1, x.shape[-1])
    coordinates = coordinates_of_effects(fitted, posterior, len(flat))
    values = np.empty(len(flat))
    for i, (row, t) in enumerate(zip(flat, coordinates, strict=True)):
        (point,) = fitted.points(row[None])
        b = fitted.likelihood.effects(point, t) if fitted.n_sampled else t
        values[i] = likelihood_given(right, row, b)
    return likelihood_given(right, drawn.x, drawn.effects), values.reshape(x.shape[:2])


def likelihood_given(blueprint: Blueprint, x: FloatArray, b: FloatArray) -> float:
    """Log-likelihood at sampled parameters (n_free,) and sampled effects (J, n_b)."""
    if blueprint.template.responses is not None:
        return given_effects(blueprint, x, b).value
    if not blueprint.n_sampled:
        return log_likelihood(blueprint, x)[0]
    (point,) = blueprint.points(x[None])
    return blueprint.likelihood.given_effects(point, b, blueprint.statistics_by_cluster)


def _rank(name: str, true: float, values: FloatArray, rng: np.random.Generator) -> Line:
    if not (np.isfinite(true) and np.isfinite(values).all()):
        raise ArithmeticError(f"{name}: its true value or some draws are not finite numbers")
    draws, ess = thinned(values, N_DRAWS)
    rank = spread(rank_of(true, draws, rng), len(draws), N_DRAWS, rng)
    return {"true": true, "rank": float(rank), "draws": float(len(draws)), "ess": ess}


def thinned(values: FloatArray, most: int) -> tuple[FloatArray, float]:
    """Thin chains (chain, draw) to at most ``most`` draws that are nearly independent.

    Returns
    -------
    tuple of ((l,) array, float)
        The draws, evenly spaced, and the effective sample size: the smaller one of bulk and tails.
    """
    from arviz_stats import ess

    size = values.size
    if values.shape[1] < 4 or not np.ptp(values):
        effective = float(size)
    else:
        both = ess(values, method="bulk"), ess(values, method="tail", prob=0.9)
        effective = float(np.nanmin(both))
    n = int(np.clip(effective, 1, min(most, size)))
    return values.reshape(-1)[((np.arange(n) + 0.5) * size / n).astype(np.int64)], effective


def spread(rank: int, n: int, most: int, rng: np.random.Generator) -> int:
    """Turn a rank among n draws into one among ``most``: uniform if the first one is."""
    if n == most:
        return rank
    return int((most + 1) * (rank + rng.uniform()) / (n + 1))
