"""Figures of checks: the data beside their replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from bayes_msem.arguments import checked, choice, functions, identifiers, names, new_or_older
from bayes_msem.blueprint.normal_outcomes import check_normal_outcomes
from bayes_msem.checking.predictive.compared import Part, check_same_data
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.errors import SpecificationError
from bayes_msem.fit.checks import Checks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["density", "statistics", "scatter", "clusters"]

_OPTIONS: dict[str, tuple[str, ...]] = {
    "density": ("part", "outcomes"),
    "statistics": ("statistics", "outcomes", "level"),
    "scatter": ("statistics", "level"),
    "clusters": ("level",),
}
_OF_PARAMETERS = ("chi_square", "deviance", "srmr", "outlying_within", "outlying_cluster")
_REPLICATES = 100  # that a figure of replicates needs


class CheckFigures(Checks):
    """The part of :class:`bayes_msem.Fit` that draws posterior predictive checks."""

    @checked(kind=choice(Kind), part=choice(Part), outcomes=names, statistics=functions)
    def plot_ppc(
        self,
        kind: Kind = "density",
        *,
        part: Part | None = None,
        outcomes: Sequence[str] | str | None = None,
        statistics: Any = None,
        level: str | None = None,
        check: PredictiveCheck | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Posterior predictive check as a figure: replicated data beside those observed.

        Parameters
        ----------
        kind
            "density": distribution of each outcome. "statistics": histogram of each discrepancy
            over the replicates, with that of the data. "scatter": for discrepancies that depend
            on the parameters, those of replicates against those of the data, one point per draw;
            the posterior predictive p-value is the share of points above the diagonal.
            "clusters": distance of each cluster from the model, at both levels.
        part
            For "density": "raw" values (None), "within" (deviations from cluster means) or
            "between" (cluster means; variables of clusters).
        outcomes
            For "density" and "statistics": outcomes to show; None: all.
        statistics
            For "statistics" and "scatter": what to show, as in :meth:`ppc`, or names in
            ``check``; None: for "statistics" up to 20 numbers, those of whole levels and then the
            most extreme; for "scatter" all of whole levels that depend on the parameters.
        level
            For all but "density": "within", "between", or "" (both levels together); None: all.
        check
            Result of :meth:`ppc`; None: one is made, of new clusters.
        figsize
            Width and height in inches; None: what the panels need.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. Replicates of values that are missing are not drawn. If
            values are missing for reasons that other outcomes tell, the density of those observed
            differs from that of replicates for these reasons, too; the statistics, which complete
            the data, do not.

        Raises
        ------
        SpecificationError
            An unknown choice, an option that the kind does not have, a level or outcome that has
            nothing to show, or a check of other data.

        Examples
        --------
        >>> check = fit.ppc(["icc"], draws=20, keep=20)
        >>> figure = fit.plot_ppc("density", part="within", check=check)
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['mach']
        """
        from bayes_msem.plotting.ppc import densities
        from bayes_msem.plotting.ppc_clusters import cluster_distances
        from bayes_msem.plotting.ppc_statistics import discrepancy_pairs, statistics_panels

        options = {"part": part, "outcomes": outcomes, "statistics": statistics, "level": level}
        _check_options(kind, options)
        self._check_is_ours(check)
        if kind in ("density", "clusters"):
            check_normal_outcomes(
                self.model.blueprint,
                f"fit.plot_ppc({kind!r})",
                "Use kind='statistics', which shows shares of categories, counts and their spread",
            )
        if kind == "density":
            made = check or self._replicates()
            observed = self.model.blueprint.observed
            return densities(made, observed, part=part or "raw", outcomes=outcomes, figsize=figsize)
        if kind == "clusters":
            made = check or self.ppc([], keep=0)
            return cluster_distances(made, level=level, figsize=figsize)
        if kind == "scatter":
            names = _OF_PARAMETERS if statistics is None else statistics
            made = check or self.ppc(names, keep=0)
            chosen = statistics if check is not None else None
            return discrepancy_pairs(made, names=chosen, level=level, figsize=figsize)
        made = check or self.ppc(statistics, keep=0)
        names = statistics if check is not None or statistics is None else _all_names(made)
        return statistics_panels(made, names=names, outcomes=outcomes, level=level, figsize=figsize)

    @checked(cluster_ids=identifiers, clusters=identifiers)
    def plot_ppc_clusters(
        self,
        outcome: str,
        *,
        cluster_ids: Sequence[Any] | None = None,
        check: PredictiveCheck | None = None,
        figsize: tuple[float, float] | None = None,
        clusters: Sequence[Any] | None = None,
    ) -> Figure:
        """Values of an outcome in single clusters, over the density of their replicates.

        Parameters
        ----------
        outcome
            A level-1 outcome.
        cluster_ids
            Identifiers of the clusters to show; None: the four most distant from the model (the
            smaller of their p-values at the two levels is smallest) and four from the middle.
        check
            Result of :meth:`ppc`; None: one is made, of new clusters. With ``new_clusters=True``
            replicates show what any cluster of this size and with these covariates could look
            like; with ``new_clusters=False``, new rows of this very cluster.
        figsize
            Width and height in inches; None: what the panels need.
        clusters
            Older name of ``cluster_ids``.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. Each panel has the p-values of the cluster's distances.

        Raises
        ------
        SpecificationError
            A single-level model, an unknown outcome or cluster, a check of other data or without
            replicates.

        Examples
        --------
        >>> check = fit.ppc(["icc"], draws=20, keep=20)
        >>> figure = fit.plot_ppc_clusters("mach", cluster_ids=[1224, 1288], check=check)
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['1224', '1288']
        """
        from bayes_msem.plotting.ppc_clusters import cluster_replicates

        check_normal_outcomes(
            self.model.blueprint,
            "fit.plot_ppc_clusters()",
            "Use fit.ppp('share_spread') or fit.ppp('count_spread')",
        )
        self._check_is_ours(check)
        if not self.model.table.two_level:
            raise SpecificationError("a single-level model has no clusters to show")
        made = check or self.ppc([])
        chosen = new_or_older("cluster_ids", cluster_ids, "clusters", clusters)
        return cluster_replicates(
            made, self.model.blueprint.observed, outcome, clusters=chosen, figsize=figsize
        )

    def _replicates(self) -> PredictiveCheck:
        posterior = self.datatree["posterior"]
        total = posterior.sizes["chain"] * posterior.sizes["draw"]
        return self.ppc([], draws=min(_REPLICATES, total))

    def _check_is_ours(self, check: PredictiveCheck | None) -> None:
        if check is not None:
            check_same_data(check, self.model.blueprint)


def _check_options(kind: str, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value is not None and name not in _OPTIONS[kind]:
            allowed = " or ".join(repr(k) for k, names in _OPTIONS.items() if name in names)
            raise SpecificationError(
                f"kind='{kind}' has no option '{name}'; it belongs to kind={allowed}"
            )


def _all_names(check: PredictiveCheck) -> list[str]:
    """Statistics of a check, so that all of them are drawn."""
    return list(dict.fromkeys(check.statistics["statistic"]))
