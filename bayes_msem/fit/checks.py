"""Checks of the fit against replicated data."""

from __future__ import annotations

from typing import Any

from bayes_msem.arguments import checked, choice, flag, functions, integer, new_or_older
from bayes_msem.checking.predictive.nested_check import nested_p_values
from bayes_msem.checking.predictive.p_values import p_values
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck, predictive_check
from bayes_msem.checking.predictive.replicate import Clusters, Replicates
from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.fit.core import FitCore
from bayes_msem.inference.seeds import seed_of
from bayes_msem.posterior.tables import EstimateTable


class Checks(FitCore):
    """The part of :class:`bayes_msem.Fit` that compares data with replicates."""

    @checked(
        statistics=functions,
        new_clusters=flag,
        clusters=choice(Clusters),
        draws=integer(1),
        keep=integer(0),
    )
    def ppc(
        self,
        statistics: Any = None,
        *,
        new_clusters: bool | None = None,
        draws: int | None = None,
        keep: int | None = None,
        random_seed: int | None = None,
        clusters: Clusters | None = None,
    ) -> PredictiveCheck:
        """Posterior predictive check: replicate the data and compare.

        For every draw a whole data set is drawn, level by level, for the cluster sizes and
        covariates of the data. Nothing but what is compared is kept, so memory does not grow with
        the number of draws.

        Parameters
        ----------
        statistics
            What to compare: None for all built-in discrepancies; names (chi_square_refit,
            chi_square, which is weak with sampled effects, deviance,
            srmr, icc, cluster_mean_sd, cluster_mean_skewness, cluster_mean_kurtosis,
            outlying_cluster, skewness, kurtosis, slope_variance, variance_spread,
            covariance_spread, outlying_within); functions; or a mapping from names to functions. A
            function takes a data frame like the data, or that and a mapping {row key: value} with
            the parameters of the draw, and returns a number, a Series or a dict of numbers. With
            outcomes that are not normal the names are category_share, pair_table, zero_share,
            count_mean, count_dispersion, share_spread, count_spread and slope_spread.
        new_clusters
            True (or None): the random effects of a replicate are drawn from their distribution, so
            that both levels are checked. False: they are drawn from their posterior in the clusters
            of the data; says how new rows of the same clusters would look, and hardly checks the
            level between.
        draws
            Number of replicates, evenly spaced over all chains; None: 1,000, or all if there are
            fewer.
        keep
            Number of replicated data sets to keep for plots; None: up to 100, and 64 MB.
        random_seed
            Seed; None: that of the fit.
        clusters
            Older name: "new" is ``new_clusters=True``, "same" is ``new_clusters=False``.

        Returns
        -------
        PredictiveCheck
            ``ppp()`` of the fit tabulates it; ``datatree`` has groups posterior_predictive and
            observed_data for ArviZ; ``clusters`` the distances of every cluster.

        Raises
        ------
        SpecificationError
            An unknown statistic or kind of clusters, too many draws, or a function that does not
            return numbers.
        NotSupportedError
            A statistic of normal theory, for outcomes that are not normal.

        References
        ----------
        Gelman, A., Meng, X.-L., & Stern, H. (1996). Posterior predictive assessment of model
        fitness via realized discrepancies. Statistica Sinica, 6, 733-807.

        Examples
        --------
        >>> check = fit.ppc(["icc"], draws=20)
        >>> check.draws
        20
        >>> check.statistics["statistic"].unique().tolist()
        ['icc']
        """
        older = None if clusters is None else clusters == "new"
        new = new_or_older("new_clusters", new_clusters, "clusters", older)
        posterior = self.datatree["posterior"].to_dataset()
        total = posterior.sizes["chain"] * posterior.sizes["draw"]
        replicates = Replicates(
            self.model.blueprint,
            posterior,
            draws=min(1000, total) if draws is None else draws,
            clusters="new" if new is None or new else "same",
            random_seed=self._seed_of_replicates(random_seed),
        )
        return predictive_check(replicates, statistics, keep)

    @checked(statistics=functions, new_clusters=flag, clusters=choice(Clusters), draws=integer(1))
    def ppp(
        self,
        statistics: Any = None,
        *,
        new_clusters: bool | None = None,
        draws: int | None = None,
        random_seed: int | None = None,
        clusters: Clusters | None = None,
    ) -> EstimateTable:
        """Posterior predictive p-values, per level and overall.

        Parameters
        ----------
        statistics, new_clusters, draws, random_seed, clusters
            As in :meth:`ppc`.

        Returns
        -------
        EstimateTable
            One row per number compared: level ("": both), statistic, variable, its posterior mean
            for the data (observed) and the replicates (replicated), the central 95% of the
            replicates (lower, upper), ppp, its Monte-Carlo error (mcse), a p-value that allows for
            all variables of the statistic at the level (adjusted), and a flag for extreme values.
            The first rows are those of the whole model. Three-level models have means, and
            variances and their shares at each level, of replicates with new units of all levels.

        Examples
        --------
        >>> table = fit.ppp(["icc", "cluster_mean_sd"], draws=20)
        >>> bool(table["ppp"].between(0, 1).all())
        True
        """
        if self.model.table.three_level:
            return self._ppp_of_three_levels(statistics, new_clusters, clusters, draws, random_seed)
        return p_values(
            self.ppc(
                statistics,
                new_clusters=new_clusters,
                draws=draws,
                keep=0,
                random_seed=random_seed,
                clusters=clusters,
            )
        )

    def _ppp_of_three_levels(
        self,
        statistics: Any,
        new_clusters: bool | None,
        clusters: Clusters | None,
        draws: int | None,
        random_seed: int | None,
    ) -> EstimateTable:
        if statistics is not None or new_clusters is False or clusters == "same":
            raise NotSupportedError(
                "with three levels, ppp() compares means, variances and their shares at each level "
                "with replicates of new units: leave out statistics, new_clusters and clusters"
            )
        posterior = self.datatree["posterior"].to_dataset()
        total = posterior.sizes["chain"] * posterior.sizes["draw"]
        wanted = min(500, total) if draws is None else draws
        if wanted > total:
            raise SpecificationError(f"draws={wanted}, but the fit has {total}")
        return nested_p_values(
            self.model.blueprint,
            posterior,
            draws=wanted,
            random_seed=self._seed_of_replicates(random_seed),
        )

    def _seed_of_replicates(self, random_seed: int | None) -> int:
        return (
            int(self.datatree.attrs["random_seed"]) if random_seed is None else seed_of(random_seed)
        )
