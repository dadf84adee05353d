"""Figures of clusters: their effects, their lines, and their shares of categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bayes_msem.arguments import checked, identifiers, new_or_older
from bayes_msem.blueprint.normal_outcomes import check_normal_outcomes
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.category_shares import category_shares
from bayes_msem.posterior.frame_rows import data_rows
from bayes_msem.posterior.lines import Posterior
from bayes_msem.posterior.summary import IntervalKind

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ClusterFigures(FitCore):
    """The part of :class:`bayes_msem.Fit` that draws what differs between clusters."""

    @checked(cluster_ids=identifiers, clusters=identifiers)
    def plot_clusters(
        self,
        effect: str,
        *,
        cluster_ids: Sequence[Any] | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        sort: bool = True,
        figsize: tuple[float, float] | None = None,
        clusters: Sequence[Any] | None = None,
    ) -> Figure:
        """One effect in every cluster, sorted by posterior mean (caterpillar plot).

        Parameters
        ----------
        effect
            Name of a random intercept (its outcome), a random coefficient (its name in
            ``rv()``), a definition that uses random coefficients, or a factor at level between.
        cluster_ids
            Identifiers of the clusters to show; None: all.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the thin interval; the thick one holds 50%.
        sort
            Sort by posterior mean, smallest at the bottom. False: the order of ``cluster_ids``, or
            of the data, from the top.
        figsize
            Width and height in inches; None: what the clusters need.
        clusters
            Older name of ``cluster_ids``.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. The vertical line is the posterior mean of the average of
            all clusters' effects, or the population mean of a definition.

        Raises
        ------
        SpecificationError
            Unknown effect, cluster or kind of interval, no clusters, ``ci`` outside (0, 1), or a
            single-level model.

        Examples
        --------
        >>> figure = fit.plot_clusters("slope", cluster_ids=[1224, 1288, 1296])
        >>> figure.axes[0].get_title(loc="left")
        'slope: random slope (mach ~ cses)'
        """
        from bayes_msem.plotting.clusters import caterpillar

        return caterpillar(
            self.model.table,
            self.cluster_draws,
            self.draws,
            effect,
            clusters=new_or_older("cluster_ids", cluster_ids, "clusters", clusters),
            ci=ci,
            ci_kind=ci_kind,
            sort=sort,
            figsize=figsize,
        )

    @checked()
    def plot_regression(
        self,
        outcome: str,
        predictor: str,
        *,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Regression line of every cluster, and their mean with its interval.

        Parameters
        ----------
        outcome
            A variable at both levels, which has a random intercept.
        predictor
            An observed covariate at level within. Its slope may be random (``rv()``) or fixed.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval of the mean line.
        figsize
            Width and height in inches.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. Every line covers the range of its cluster; other
            covariates of the outcome are held at their means, also inside products with the
            predictor (cluster-level ones at the value of the cluster). Clusters without any value
            of the predictor are left out; the title counts those drawn.

        Raises
        ------
        SpecificationError
            No such regression, an outcome without a random intercept, a predictor that is latent,
            split, a product or does not vary, or a single-level model.

        Examples
        --------
        >>> fit.plot_regression("mach", "cses").axes[0].get_title(loc="left")
        'mach ~ cses in 160 clusters'
        """
        from bayes_msem.plotting.regression import cluster_lines

        check_normal_outcomes(
            self.model.blueprint,
            "fit.plot_regression()",
            "fit.plot_clusters() shows slopes and intercepts of every cluster",
        )
        return cluster_lines(
            self._posterior(), outcome, predictor, ci=ci, ci_kind=ci_kind, figsize=figsize
        )

    @checked()
    def plot_levels(
        self,
        x: str,
        y: str,
        *,
        between: str | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Slope between clusters and slope within clusters, side by side with the data.

        Parameters
        ----------
        x, y
            Predictor and outcome; ``y`` is regressed at both levels.
        between
            The predictor at level between if it has another name, such as an observed mean.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the intervals.
        figsize
            Width and height in inches.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. Left, observed cluster means with the slope between; right,
            deviations from them with the slope within (its mean over clusters, if it varies).
            Lines run through the centre of the points, and other predictors are not shown; where
            x is part of products, the slope is that at the means of the others. Where values are
            missing, means are of those observed, deviations are of rows with both values from the
            means of such rows, and the number of points is written in the corner.

        Raises
        ------
        SpecificationError
            No such regression at one of the levels, a latent variable, a predictor that does not
            vary, or a single-level model.

        Examples
        --------
        >>> figure = fit.plot_levels("cses", "mach", between="sector")
        >>> len(figure.axes)
        2
        """
        from bayes_msem.plotting.regression import level_slopes

        check_normal_outcomes(
            self.model.blueprint,
            "fit.plot_levels()",
            "fit.summary() has the slopes of both levels",
        )
        return level_slopes(
            self._posterior(), x, y, between=between, ci=ci, ci_kind=ci_kind, figsize=figsize
        )

    @checked()
    def plot_effect_correlations(
        self,
        *,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Heat map of the correlations of random effects over the clusters.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the intervals written in the cells.
        figsize
            Width and height in inches; None: what the effects need.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. For every draw, the total effects of the clusters in the
            data are correlated; so what level-2 predictors explain is part of it.

        Raises
        ------
        SpecificationError
            Fewer than two random effects that vary, or a single-level model.

        Examples
        --------
        >>> fit.plot_effect_correlations().axes[0].get_xlabel()
        'posterior mean and 95% equal-tailed interval (ETI)'
        """
        from bayes_msem.plotting.correlations import heat_map

        return heat_map(self.cluster_draws, ci=ci, ci_kind=ci_kind, figsize=figsize)

    @checked(cluster_ids=identifiers)
    def plot_category_shares(
        self,
        outcome: str,
        *,
        cluster_ids: Sequence[Any] | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Shares of the categories of an ordered outcome by cluster: expected and observed.

        Parameters
        ----------
        outcome
            An ordered outcome of level within.
        cluster_ids
            Identifiers of the clusters to show; None: all.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the intervals of expected shares.
        figsize
            Width and height in inches; None: what the panels need.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. One panel per category; clusters in the order of their
            expected category. Expected shares are those given the covariates of the rows and the
            effects of the cluster. Observed shares vary around them by chance, the more the fewer
            rows a cluster has. A single-level model has one column.

        Raises
        ------
        SpecificationError
            Not an ordered outcome, an unknown cluster, or ``ci`` outside (0, 1).

        Examples
        --------
        >>> import bayes_msem as bm
        >>> try:
        ...     fit.plot_category_shares("mach")
        ... except bm.SpecificationError as error:
        ...     print(error)
        'mach' is no ordered outcome of level within. This model has none
        """
        from bayes_msem.plotting.categories import share_panels

        blueprint = self.model.blueprint
        shares = category_shares(
            blueprint,
            self.datatree["posterior"].to_dataset(),
            self.cluster_draws if self.model.table.two_level else None,
            data_rows(blueprint.observed),
            outcome,
            ci=ci,
            ci_kind=ci_kind,
        )
        return share_panels(
            shares, outcome, clusters=cluster_ids, ci=ci, ci_kind=ci_kind, figsize=figsize
        )

    def _posterior(self) -> Posterior:
        observed = self.model.blueprint.observed
        return Posterior(self.model.table, self.draws, self.cluster_draws, observed)
