"""Observed and replicated data, one posterior draw at a time.

Nothing is kept: a draw's data sets are made, looked at and dropped, so the memory needed is that of
two data sets, however many draws there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rows import row_values
from bayes_msem.checking.predictive.design import Design, check_design
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.structure import Structure, no_structure, structure_at
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.impute import complete_outcomes
from bayes_msem.posterior.recover import coordinates_of_effects, one_draw
from bayes_msem.simulation.simulate import draw_rows, simulate_data

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Clusters = Literal["new", "same"]


@dataclass(frozen=True, eq=False)
class Pair:
    """What one draw gives: the observed data and a replicate, each with its structure."""

    observed: Sample
    observed_structure: Structure
    replicate: Sample
    replicate_structure: Structure


class Replicates:
    """Pairs of observed and replicated data sets, one per chosen posterior draw.

    Parameters
    ----------
    blueprint
        The model.
    posterior
        Its posterior draws.
    draws
        How many of them to use, in all chains together; they are evenly spaced in every chain.
    clusters
        "new": level-2 quantities of a replicate are drawn from the model; "same": from their
        posterior.
    random_seed
        Seed.

    Raises
    ------
    SpecificationError
        ``clusters`` or ``draws`` is out of range.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        posterior: xr.Dataset,
        *,
        draws: int,
        clusters: Clusters,
        random_seed: int,
    ) -> None:
        _check_clusters(clusters)
        x = sampled_parameters(blueprint, posterior)
        self.blueprint, self.clusters = blueprint, clusters
        self.responses = blueprint.template.responses is not None
        self.chosen = spaced(x.shape[1], x.shape[0], draws)
        self.shape = (x.shape[0], len(self.chosen))
        self.design: Design = check_design(self.blueprint)
        if clusters == "same" and not self.design.two_level:
            raise SpecificationError(
                "new_clusters=False needs a two-level model; a single-level model has no clusters"
            )
        part = np.ascontiguousarray(x[:, self.chosen].reshape(-1, x.shape[-1]))
        self.points = self.blueprint.points(part)
        theta = blueprint.theta(part)
        self.values = row_values(blueprint, theta, part)
        chosen = posterior.isel(draw=self.chosen)
        self.coordinates = coordinates_of_effects(self.blueprint, chosen, len(part))
        self.rng = np.random.default_rng(random_seed)
        self.current = 0

    def __iter__(self) -> Iterator[Pair]:
        """Yield the pairs, chain by chain."""
        if self.responses:
            yield from (self._response_pair(i) for i in range(len(self.points)))
            return
        fixed = None if self.blueprint.observed.incomplete else self._observed(0)
        for i in range(len(self.points)):
            observed = self._observed(i) if fixed is None else fixed
            yield self._pair(i, observed)

    def _observed(self, i: int) -> Sample:
        """Return the data; what is missing is drawn given all that is observed."""
        data = self.blueprint.observed
        y, z = data.y, data.z
        if data.incomplete:
            y, z = complete_outcomes(self.blueprint, self.points[i], self.coordinates[i], self.rng)
        design = self.design
        return Sample(design, y[design.rows] - design.center, z[design.clusters])

    def more(self, n: int) -> list[Sample]:
        """Make n more replicates at the draw of the pair that was made last."""
        return [self._replicated(self.current) for _ in range(n)]

    def _response_pair(self, i: int) -> Pair:
        """Pair with outcomes that are not normal: what is missing is missing in both."""
        design, data, self.current = self.design, self.blueprint.observed, i
        values = {key: float(value[i]) for key, value in self.values.items()}
        structure = no_structure(design, self.points[i], values)
        observed = Sample(design, data.y[design.rows], data.z[design.clusters])
        return Pair(observed, structure, self._replicated(i), structure)

    def _replicated(self, i: int) -> Sample:
        design, blueprint, point = self.design, self.blueprint, self.points[i]
        data = blueprint.observed
        known = data.z[design.clusters]
        if self.clusters == "same":
            u = one_draw(blueprint, point, self.coordinates[i], self.rng)
            y, z = draw_rows(blueprint, point, u[design.clusters], design.observed, self.rng), known
        else:
            drawn = simulate_data(blueprint, point, design.observed, self.rng)
            y, z = drawn.y, drawn.z
        y = np.where(np.isnan(data.y[design.rows]), np.nan, y)
        return Sample(design, y, np.where(np.isnan(known), np.nan, z))

    def _pair(self, i: int, observed: Sample) -> Pair:
        design, blueprint, point = self.design, self.blueprint, self.points[i]
        likelihood, template = blueprint.likelihood, blueprint.template
        values = {key: float(value[i]) for key, value in self.values.items()}
        b = np.empty((design.n_clusters, 0))
        if blueprint.n_sampled:
            b = likelihood.effects(point, self.coordinates[i])[design.clusters]
        structure = structure_at(blueprint, design, point, b, values)
        if self.clusters == "same":
            u = one_draw(blueprint, point, self.coordinates[i], self.rng)
            y = draw_rows(blueprint, point, u[design.clusters], design.observed, self.rng)
            replicate = Sample(design, y - design.center, observed.z)
            return Pair(observed, structure, replicate, structure)
        drawn, own = simulate_data(blueprint, point, design.observed, self.rng), structure
        if not design.shared:
            u = structure.mean + drawn.level_two
            own = structure_at(blueprint, design, point, u[:, template.first_sampled :], values)
        return Pair(observed, structure, Sample(design, drawn.y - design.center, drawn.z), own)


def spaced(n_draws: int, n_chains: int, wanted: int) -> IntArray:
    """Positions of evenly spaced draws, the same in every chain.

    Raises
    ------
    SpecificationError
        More draws are asked for than there are.
    """
    total = n_draws * n_chains
    if not 1 <= wanted <= total:
        raise SpecificationError(
            f"draws={wanted} replicates cannot be made from {total} posterior draws; use a number "
            f"from 1 to {total}"
        )
    each = -(-wanted // n_chains)
    return np.linspace(0, n_draws - 1, each).round().astype(np.int64)


def _check_clusters(clusters: str) -> None:
    if clusters not in get_args(Clusters):
        raise SpecificationError(
            f"clusters='{clusters}' is unknown; use 'new' or 'same'"
            f"{nearest(str(clusters), get_args(Clusters))}"
        )
