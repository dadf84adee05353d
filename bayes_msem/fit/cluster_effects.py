"""Clusters: what the posterior says about each of them."""

from __future__ import annotations

from bayes_msem.arguments import checked
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.effects_table import effects_table
from bayes_msem.posterior.summary import IntervalKind
from bayes_msem.posterior.tables import EstimateTable


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
            completely.

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
        observed = self.model.blueprint.observed
        return effects_table(
            self.cluster_draws, observed.cluster_ids, observed.sizes, ci=ci, ci_kind=ci_kind
        )
