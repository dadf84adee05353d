"""Clusters: what the posterior says about each of them."""

from __future__ import annotations

from collections.abc import Iterable

import xarray as xr

from bayes_msem.arguments import checked
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.effects_table import effects_table
from bayes_msem.posterior.nested_effects import nested_effects_table
from bayes_msem.posterior.recover import recover_in_parts
from bayes_msem.posterior.summary import IntervalKind
from bayes_msem.posterior.tables import EstimateTable

_HELD = 30_000_000  # draws x clusters x effects that are kept for later calls


class Clusters(FitCore):
    """The part of :class:`bayes_msem.Fit` that estimates what belongs to single clusters."""

    @checked()
    def cluster_effects(self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti") -> EstimateTable:
        """Summarise the effects of every cluster.

        Parameters
        ----------
        ci
            Mass of the interval.
        ci_kind
            "eti" (equal-tailed) or "hdi" (highest density).

        Returns
        -------
        EstimateTable
            One row per effect and cluster with columns effect, cluster, size (rows in the
            cluster), mean, sd, lower, upper and shrinkage. Effects are total coefficients: fixed
            part plus the cluster's deviation. Shrinkage is 1 - Var(deviation | data) /
            Var(deviation): 1 if a cluster's own data determine its effect, 0 if it is pooled
            completely. In three-level models a column ``level`` comes first, and there are rows for
            the units of both levels above within; the size of a unit of the highest level is its
            number of clusters. Effects of clusters contain what their larger unit adds, and
            their deviation is the one from that.

        Raises
        ------
        SpecificationError
            In a single-level model, for ``ci`` outside (0, 1), or an unknown ``ci_kind``.

        Examples
        --------
        >>> table = fit.cluster_effects()
        >>> table["effect"].unique().tolist()
        ['mach', 'slope']
        >>> len(table)
        320
        """
        blueprint = self.model.blueprint
        observed = blueprint.observed
        if blueprint.nested is not None:
            return nested_effects_table(blueprint, self._levels_draws, ci=ci, ci_kind=ci_kind)
        return effects_table(
            self._cluster_parts(), observed.cluster_ids, observed.sizes, ci=ci, ci_kind=ci_kind
        )

    def _cluster_parts(self) -> Iterable[xr.Dataset]:
        """Draws of all clusters, or of some at a time where all would need much memory."""
        blueprint, posterior = self.model.blueprint, self.datatree["posterior"].to_dataset()
        n_effects = len(blueprint.template.level_two)
        n_values = posterior.sizes["chain"] * posterior.sizes["draw"] * n_effects
        few = n_values * blueprint.observed.n_clusters <= _HELD
        if few or blueprint.n_sampled or "cluster_draws" in self.__dict__:
            return [self.cluster_draws]
        seed = int(self.datatree.attrs["random_seed"])
        return recover_in_parts(blueprint, posterior, random_seed=seed)
