"""The core of a fit: the model, its draws, and what every other part of :class:`Fit` reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_msem.arguments import checked_class, shown
from bayes_msem.display import describe_data
from bayes_msem.errors import SpecificationError
from bayes_msem.markup import block, fold, text_paragraph, words
from bayes_msem.posterior.chain_checks import convergence_of
from bayes_msem.posterior.convergence import Convergence
from bayes_msem.posterior.draws import row_draws
from bayes_msem.posterior.found_modes import read_modes
from bayes_msem.posterior.nested_effects import both_levels, recover_levels
from bayes_msem.posterior.recover import recover_effects
from bayes_msem.posterior.solution_tables import Solution, solution_of
from bayes_msem.spec.row_names import ByRow
from bayes_msem.wording import plural

_NEXT = ".summary() gives the estimates, .datatree the draws for ArviZ"

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bayes_msem.model import Model


def _model(name: str, value: Any) -> Any:
    if not hasattr(value, "unpiloted_blueprint"):
        raise SpecificationError(f"{name} must be a Model, got {shown(value)}")
    return value


def _draws(name: str, value: Any) -> xr.DataTree:
    if not isinstance(value, xr.DataTree):
        raise SpecificationError(
            f"{name} must be a DataTree of draws, got {shown(value)}; model.fit() makes one"
        )
    return value


@checked_class(model=_model, datatree=_draws)
@dataclass(frozen=True, eq=False, repr=False)
class FitCore:
    """Draws together with the model that made them; see :class:`bayes_msem.Fit`."""

    model: Model
    datatree: xr.DataTree

    @cached_property
    def draws(self) -> ByRow[NDArray[np.float64]]:
        """Draws of every row of the parameter table: row -> array (chain, draw).

        Rows are named by key, ``fit.draws["within", "fw", "=~", "y2"]``, by text,
        ``fit.draws["within: fw =~ y2"]`` or, where one level has such a row,
        ``fit.draws["fw =~ y2"]``, by label, or by the name of a definition.

        Examples
        --------
        >>> fit.draws["mach ~ sector"].shape
        (2, 100)
        >>> fit.draws["between: mach ~~ mach"].shape
        (2, 100)
        """
        return row_draws(self.model.blueprint, self.datatree["posterior"].to_dataset())

    @cached_property
    def convergence(self) -> Convergence:
        """Worst diagnostics over all parameters, graded, with advice.

        Examples
        --------
        >>> fit.convergence.divergences
        0
        >>> bool(fit.convergence.max_r_hat < 1.1)
        True
        """
        return convergence_of(
            self.model.blueprint,
            self.datatree["posterior"].to_dataset(),
            self.datatree["sample_stats"].to_dataset(),
            modes=read_modes(str(self.datatree.attrs.get("modes", ""))),
        )

    @cached_property
    def cluster_draws(self) -> xr.Dataset:
        """Posterior draws of all cluster-level quantities.

        Variable ``effects`` (chain, draw, cluster_id, effect): total coefficients of every cluster,
        that is random intercepts (named after their outcome), random coefficients (named as in
        ``rv()``) and definitions that use some; ``factors`` (chain, draw, cluster_id,
        between_factor): level-2 factors. What NUTS did not sample is drawn from its exact
        conditional distribution, one draw per posterior draw. Three-level models have
        ``top_effects`` (chain, draw, top_id, top_effect) and ``top_factors`` besides: those of the
        units of the highest level, which belong to the same draws.

        Raises
        ------
        SpecificationError
            In a single-level model.

        Examples
        --------
        >>> fit.cluster_draws["effects"].dims
        ('chain', 'draw', 'cluster_id', 'effect')
        >>> fit.cluster_draws["effect"].values.tolist()
        ['mach', 'slope']
        """
        if not self.model.table.two_level:
            raise SpecificationError("a single-level model has no cluster effects")
        if self.model.table.three_level:
            return both_levels(*self._levels_draws)
        return recover_effects(
            self.model.blueprint,
            self.datatree["posterior"].to_dataset(),
            random_seed=int(self.datatree.attrs["random_seed"]),
        )

    @cached_property
    def _levels_draws(self) -> tuple[xr.Dataset, xr.Dataset]:
        """Draws of clusters and of top units."""
        return recover_levels(
            self.model.blueprint,
            self.datatree["posterior"].to_dataset(),
            random_seed=int(self.datatree.attrs["random_seed"]),
        )

    def _solution(self, cluster: Any = None) -> Solution:
        """Matrices of all draws: of the average cluster, or of one cluster."""
        posterior = self.datatree["posterior"].to_dataset()
        return solution_of(self.model.blueprint, posterior, lambda: self.cluster_draws, cluster)

    def __repr__(self) -> str:
        """Return draws, convergence and where to go next."""
        return f"{self._title()}\n  {self.convergence}\n  {_NEXT}"

    def _repr_html_(self) -> str:
        """Notebook display."""
        kind = ("single-level", "two-level", "three-level")[len(self.model.table.levels) - 1]
        data = describe_data(self.model.blueprint.observed).removeprefix("Data: ")
        return block(
            text_paragraph(self._title(), bold=True),
            text_paragraph(f"{kind} model of {data}"),
            self.convergence._repr_html_(),
            fold("Model text", words(self.model.spec.strip("\n"))),
            text_paragraph(_NEXT, small=True),
        )

    def _title(self) -> str:
        posterior = self.datatree["posterior"]
        chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
        return (
            f"Fit of {plural(chains, 'chain')} x {plural(draws, 'draw')} "
            f"({self.datatree.attrs.get('sampler', 'unknown sampler')}, "
            f"seed {self.datatree.attrs.get('random_seed', 'unknown')})"
        )
