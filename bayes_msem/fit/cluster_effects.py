"""Clusters: what the posterior says about each of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from bayes_msem.arguments import anything, checked
from bayes_msem.errors import SpecificationError
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.effects_table import effects_table
from bayes_msem.posterior.recover import recover_in_parts
from bayes_msem.posterior.summary import IntervalKind
from bayes_msem.posterior.tables import EstimateTable

_HELD = 30_000_000  # draws x clusters x effects that are kept for later calls


class Clusters(FitCore):
    """The part of :class:`bayes_msem.Fit` that estimates what belongs to single clusters."""

    @checked(level=anything)
    def cluster_effects(
        self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti", level: str | None = None
    ) -> EstimateTable:
        """Summarise the effects of every cluster.

        Parameters
        ----------
        ci
            Mass of the interval.
        ci_kind
            "eti" (equal-tailed) or "hdi" (highest density).
        level
            Of three-level models, the level whose units are meant, by its name (a cluster column).
            None: the clusters of rows, level 2. Their effects contain what their larger cluster
            adds, and shrinkage is that of their deviation from it.

        Returns
        -------
        EstimateTable
            One row per effect and cluster with columns effect, cluster, size (rows in the
            cluster; at level 3 clusters in it), mean, sd, lower, upper and shrinkage. Effects are
            total coefficients: fixed part plus the cluster's deviation. Shrinkage is 1 - Var(deviation | data) /
            Var(deviation): 1 if a cluster's own data determine its effect, 0 if it is pooled
            completely.

        Raises
        ------
        SpecificationError
            In a single-level model, for ``ci`` outside (0, 1), an unknown ``ci_kind``, or a
            level without clusters.

        Examples
        --------
        >>> table = fit.cluster_effects()
        >>> table["effect"].unique().tolist()
        ['mach', 'slope']
        >>> len(table)
        320
        """
        observed = self.model.blueprint.observed
        if level is not None and self._level_of_clusters(level) == observed.top_name:
            assert observed.parent is not None
            sizes = np.bincount(observed.parent, minlength=observed.n_tops)
            return effects_table([self.top_draws], observed.top_ids, sizes, ci=ci, ci_kind=ci_kind)
        return effects_table(
            self._cluster_parts(), observed.cluster_ids, observed.sizes, ci=ci, ci_kind=ci_kind
        )

    def _level_of_clusters(self, level: str) -> str:
        """Check the name of a level with clusters."""
        table = self.model.table
        if level not in table.levels[1:]:
            raise SpecificationError(
                f"level='{level}' has no clusters; use one of "
                f"{', '.join(map(repr, table.levels[1:])) or 'none: the model has a single level'}"
            )
        return level

    def _cluster_parts(self) -> Iterable[xr.Dataset]:
        """Draws of all clusters, or of some at a time where all would need much memory."""
        blueprint, posterior = self.model.blueprint, self.datatree["posterior"].to_dataset()
        n_effects = len(blueprint.template.level_two)
        n_values = posterior.sizes["chain"] * posterior.sizes["draw"] * n_effects
        few = n_values * blueprint.observed.n_clusters <= _HELD or blueprint.nested is not None
        if few or blueprint.n_sampled or "cluster_draws" in self.__dict__:
            return [self.cluster_draws]
        seed = int(self.datatree.attrs["random_seed"])
        return recover_in_parts(blueprint, posterior, random_seed=seed)
