"""Data frames simulated from given parameters, for the clusters and covariates asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.frames import to_pandas_frame
from bayes_msem.data.nested_designs import nested_sample, resampled_tops
from bayes_msem.data.new_designs import design_from_frame, new_sample, resampled_design
from bayes_msem.data.observed_data import ObservedData, frame_of
from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.outcomes.counts import MOST_DRAWN
from bayes_msem.simulation.conditional import simulate_from_table
from bayes_msem.simulation.factors_and_effects import true_effects

__all__ = ["Wanted", "simulated_frame"]


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Which rows to simulate; fields as the arguments of :meth:`bayes_msem.Model.simulate`."""

    clusters: int | Sequence[int] | None
    sizes: int | Sequence[int] | None
    data: Any
    missing: bool
    effects: pd.DataFrame | None
    tops: int | None = None


def simulated_frame(
    blueprint: Blueprint,
    theta: NDArray[np.float64],
    wanted: Wanted,
    random_seed: int,
    return_effects: bool,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Simulate data.

    Parameters
    ----------
    blueprint
        The model.
    theta
        Values of its parameters.
    wanted
        Which rows.
    random_seed
        Seed, of resampled covariates too.
    return_effects
        Whether to return the effects of the clusters.

    Returns
    -------
    tuple
        The data, and the effects of the clusters or None.

    Raises
    ------
    SpecificationError
        Effects of clusters in a single-level model, or arguments that contradict each other.
    """
    if blueprint.table.three_level and (return_effects or wanted.effects is not None):
        argument = "return_effects=True" if return_effects else "effects"
        raise NotSupportedError(
            f"simulate({argument}) is there for two levels only; leave it out: simulate(values) "
            "draws the units of all levels"
        )
    if not blueprint.table.two_level and (return_effects or wanted.effects is not None):
        argument = "return_effects=True was" if return_effects else "effects were"
        raise SpecificationError(
            f"{argument} given, but a single-level model has no cluster effects"
        )
    rng = np.random.default_rng(random_seed)
    design = _design(blueprint.observed, wanted, rng)
    simulated = simulate_from_table(blueprint, theta, design, rng, wanted.effects)
    y, z, z3 = simulated.y, simulated.z, simulated.z3
    _check_counts(design, y, z)
    if wanted.missing:
        y, z = (np.where(np.isnan(seen), np.nan, v) for v, seen in ((y, design.y), (z, design.z)))
        z3 = None if z3 is None else np.where(np.isnan(design.z3), np.nan, z3)
    frame = frame_of(design, y, z, z3)
    if not return_effects:
        return frame, None
    return frame, true_effects(blueprint, theta, simulated, design, rng)


def _check_counts(design: ObservedData, y: NDArray[np.float64], z: NDArray[np.float64]) -> None:
    """Raise where values of parameters make counts that no data have."""
    columns = dict(zip((*design.y_names, *design.z_names), (*y.T, *z.T), strict=True))
    for name, family in design.families.items():
        if family.has_thresholds:
            continue
        highest = float(np.nanmax(columns[name], initial=0.0))
        if highest > MOST_DRAWN:
            raise SpecificationError(
                f"'{name}' would have a count of {highest:.3g}; at most {MOST_DRAWN:.0e} can be "
                "drawn: give smaller intercepts, slopes or variances of its log rate"
            )


def _design(observed: ObservedData, wanted: Wanted, rng: np.random.Generator) -> ObservedData:
    """Clusters and covariates that the arguments ask for."""
    if wanted.data is not None:
        if any(given is not None for given in (wanted.clusters, wanted.sizes, wanted.tops)):
            raise SpecificationError(
                "data says which clusters and rows there are; leave clusters and sizes out, or "
                "leave data out"
            )
        return design_from_frame(to_pandas_frame(wanted.data), observed, missing=wanted.missing)
    if all(given is None for given in (wanted.clusters, wanted.sizes, wanted.tops)):
        return observed
    if observed.three_level:
        nested = nested_sample(observed, wanted.tops, wanted.clusters, wanted.sizes)
        return resampled_tops(observed, nested, rng, incomplete=wanted.missing)
    if wanted.tops is not None:
        raise SpecificationError(
            f"tops={wanted.tops} is a number of units of a third level, but the model has "
            f"{'two levels' if observed.two_level else 'a single level'}; leave tops out"
        )
    sample = new_sample(observed, wanted.clusters, wanted.sizes)
    return resampled_design(observed, sample, rng, incomplete=wanted.missing)
