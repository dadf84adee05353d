"""Solutions: what follows from the parameters, with the posterior's uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import xarray as xr

from bayes_msem.arguments import checked, identifier, new_or_older, variable
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.item_curves import item_curves
from bayes_msem.posterior.summary import IntervalKind
from bayes_msem.posterior.tables import EstimateTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Solutions(FitCore):
    """The part of :class:`bayes_msem.Fit` that computes tables from the parameters."""

    @checked(cluster_id=identifier, cluster=identifier)
    def standardized(
        self,
        ci: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        cluster_id: Any = None,
        cluster: Any = None,
    ) -> EstimateTable:
        """Standardise every row of the parameter table within its level (StdYX).

        Loadings, regressions and intercepts are in standard deviations of the level; variances
        are shares of the variable's variance at the level; covariances are correlations (of
        residuals where the variables have predictors). Covariates are standardised with their SD
        in the data: over rows within, over clusters between, divisor N.

        Parameters
        ----------
        ci
            Mass of the interval.
        ci_kind
            "eti" (equal-tailed) or "hdi" (highest density).
        cluster_id
            Identifier of a cluster: its own coefficients and variances, and the SD that covariates
            have inside it (rows of level within only; Schuurman et al., 2016). None: the average
            cluster, whose random coefficients are at their population means.
        cluster
            Older name of ``cluster_id``.

        Returns
        -------
        EstimateTable
            Columns level, lhs, op, rhs, label, mean, median, sd, lower, upper, ess_bulk, ess_tail,
            r_hat and note.
            Definitions are computed from standardised coefficients. Left out, and named in the
            caption, are those that have no one standardised value: they use random coefficients,
            labels that stand on several rows, or labels of both levels (the SDs of the levels
            differ, so that their difference would not compare effects).

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1), an unknown ``ci_kind`` or cluster.

        References
        ----------
        Schuurman, N. K., Ferrer, E., de Boer-Sonnenschein, M., & Hamaker, E. L. (2016). How to
        compare cross-lagged associations in a multilevel autoregressive model. Psychological
        Methods, 21(2), 206-221. https://doi.org/10.1037/met0000062

        Examples
        --------
        >>> table = factors.standardized()
        >>> bool(table.loc[table["op"] == "=~", "mean"].between(-1, 1).all())
        True
        >>> fit.standardized(cluster_id=1224)["level"].unique().tolist()
        ['within']
        """
        chosen = new_or_older("cluster_id", cluster_id, "cluster", cluster)
        return self._solution(chosen).standardized(ci, ci_kind)

    @checked()
    def icc(
        self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti", means: bool = False
    ) -> EstimateTable:
        """Intraclass correlations of all variables that are split into two levels.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.
        means
            True: also ICC(2), the reliability of observed cluster means at the harmonic mean of
            the cluster sizes.

        Returns
        -------
        EstimateTable
            Columns icc ("ICC(1)" or "ICC(2)"), variable, mean, median, sd, lower, upper,
            ess_bulk, ess_tail, r_hat and note.

        Raises
        ------
        SpecificationError
            In a single-level model or one without split variables; ``ci`` outside (0, 1).

        Examples
        --------
        >>> fit.icc()[["icc", "variable"]].to_numpy().tolist()
        [['ICC(1)', 'mach']]
        >>> len(factors.icc(means=True))
        8
        """
        return self._solution().icc(ci, ci_kind, means=means)

    @checked()
    def r2(self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti") -> EstimateTable:
        """Share of variance that is explained, for every variable with predictors, by level.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.

        Returns
        -------
        EstimateTable
            Columns level, variable, mean, median, sd, lower, upper, ess_bulk, ess_tail, r_hat and
            note. For an indicator, it is the share that its factors explain.

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1), an unknown ``ci_kind``, or a model without predictors.

        Examples
        --------
        >>> fit.r2()[["level", "variable"]].to_numpy().tolist()
        [['within', 'mach'], ['between', 'mach'], ['between', 'slope']]
        """
        return self._solution().r2(ci, ci_kind)

    @checked()
    def variance_components(
        self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti"
    ) -> EstimateTable:
        """Explained, residual and total variance of every variable at each level.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.

        Returns
        -------
        EstimateTable
            Columns level, variable, part ("explained", "residual", "total"), mean, median,
            sd, lower, upper, ess_bulk, ess_tail, r_hat and note.

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1), or an unknown ``ci_kind``.

        Examples
        --------
        >>> fit.variance_components()["part"].unique().tolist()
        ['explained', 'residual', 'total']
        """
        return self._solution().variance_components(ci, ci_kind)

    @checked()
    def reliability(self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti") -> EstimateTable:
        """Composite reliability (omega) of the sum of each factor's indicators.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.

        Returns
        -------
        EstimateTable
            Columns factor, composite ("within", "between", "cluster means", "total"), mean,
            median, sd, lower, upper, ess_bulk, ess_tail, r_hat and note; formulas and references in
            the module ``posterior.reliability``. Factors with a single indicator or with
            latent ones are left out.

        Raises
        ------
        SpecificationError
            No factor has two or more indicators that are all observed.

        Examples
        --------
        >>> factors.reliability()[["factor", "composite"]].to_numpy().tolist()
        [['fw', 'within'], ['fw', 'total'], ['fb', 'between'], ['fb', 'cluster means']]
        """
        return self._solution().reliability(ci, ci_kind)

    @overload
    def effects(
        self,
        x: str | tuple[str, str],
        y: str | tuple[str, str],
        *,
        ci: float = ...,
        ci_kind: IntervalKind = ...,
        return_draws: Literal[False] = ...,
        draws: Literal[False] = ...,
    ) -> EstimateTable: ...

    @overload
    def effects(
        self,
        x: str | tuple[str, str],
        y: str | tuple[str, str],
        *,
        ci: float = ...,
        ci_kind: IntervalKind = ...,
        return_draws: Literal[True],
        draws: bool = ...,
    ) -> xr.Dataset: ...

    @overload
    def effects(
        self,
        x: str | tuple[str, str],
        y: str | tuple[str, str],
        *,
        ci: float = ...,
        ci_kind: IntervalKind = ...,
        return_draws: bool = ...,
        draws: Literal[True],
    ) -> xr.Dataset: ...

    @checked(x=variable, y=variable)
    def effects(
        self,
        x: str | tuple[str, str],
        y: str | tuple[str, str],
        *,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        return_draws: bool = False,
        draws: bool = False,
    ) -> EstimateTable | xr.Dataset:
        """Total, direct, indirect and contextual effects of one variable on another.

        Parameters
        ----------
        x, y
            Name of a variable; a pair (within, between) where its parts have different names,
            such as ("fw", "fb") or a covariate and its cluster mean.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.
        return_draws
            True: return the draws instead of the table.
        draws
            Older name of ``return_draws``.

        Returns
        -------
        EstimateTable or xarray.Dataset
            Columns level, effect ("total", "direct", "indirect", "path", "contextual"), path,
            mean, median, sd, lower, upper, ess_bulk, ess_tail, r_hat and note. With
            ``return_draws``: variable ``effect`` (chain, draw, row), with coordinates level, kind
            and path. Contextual is the total effect between minus that within. With random
            coefficients on a path, the effect is the population mean over clusters: E[a b] = E[a]
            E[b] + cov(a, b).

        Raises
        ------
        SpecificationError
            Unknown variables, or no path from x to y at any level.
        NotSupportedError
            Random coefficients in a level with feedback loops; or products with x among the
            predictors, so that its effect depends on other variables.

        Examples
        --------
        >>> fit.effects("sector", "mach")[["level", "effect"]].to_numpy().tolist()
        [['between', 'total'], ['between', 'direct']]
        >>> fit.effects("sector", "mach", return_draws=True)["effect"].dims
        ('chain', 'draw', 'row')
        """
        solution = self._solution()
        if return_draws or draws:
            return solution.effect_draws(x, y)
        return solution.effects(x, y, ci, ci_kind)

    @checked()
    def plot_item_curves(
        self,
        outcome: str,
        factor: str | None = None,
        *,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Item characteristic curves: probability of every category by the factor.

        Parameters
        ----------
        outcome
            An ordered outcome of level within.
        factor
            Factor of level within that points at it; None: the only one.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the bands.
        figsize
            Width and height in inches; None: what the curves need.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. Curves are those of an average cluster, with covariates and
            all other factors at their means, up to three SDs of the factor from its mean.

        Raises
        ------
        SpecificationError
            Not an ordered outcome, no such factor, several factors and none named, or ``ci``
            outside (0, 1).

        Examples
        --------
        >>> import bayes_msem as bm
        >>> try:
        ...     fit.plot_item_curves("mach")
        ... except bm.SpecificationError as error:
        ...     print(error)
        'mach' is no ordered outcome of level within. This model has none
        """
        from bayes_msem.plotting.curves import characteristic_curves

        chains = self.datatree["posterior"].sizes["chain"]
        curves = item_curves(
            self._solution().levels, outcome, factor, chains=chains, ci=ci, ci_kind=ci_kind
        )
        return characteristic_curves(curves, outcome, figsize=figsize)
