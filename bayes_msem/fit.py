"""Fit: posterior draws together with the model that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bayes_msem.build.pymc_model import COORDINATES
from bayes_msem.build.rows import row_values
from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.clusters import caterpillar
from bayes_msem.plotting.posterior import forest, trace
from bayes_msem.plotting.select import RowSelector
from bayes_msem.posterior.convergence import Convergence, check_convergence
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.effects import effects_table
from bayes_msem.posterior.implied import implied_covariances
from bayes_msem.posterior.recover import recover_effects
from bayes_msem.posterior.summary import IntervalKind, summarise
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.spec.table import RowKey

if TYPE_CHECKING:
    from bayes_msem.model import Model


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """Result of :meth:`bayes_msem.Model.fit`.

    Attributes
    ----------
    model
        The model that was fitted.
    datatree
        ArviZ DataTree. Group ``posterior`` has the sampled parameters (one variable per level
        and kind; standard deviations and partial correlations for (co)variances) and derived
        ones: variances, covariances, correlations and defined parameters. Groups
        ``sample_stats``, ``observed_data`` and ``constant_data`` complete it; its attributes
        record package version, model text and seed.
    """

    model: Model
    datatree: xr.DataTree

    def summary(self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti") -> EstimateTable:
        """Summarise the posterior of every row of the parameter table.

        Parameters
        ----------
        ci
            Mass of the interval.
        ci_kind
            "eti" (equal-tailed) or "hdi" (highest density).

        Returns
        -------
        EstimateTable
            Data frame with columns level, lhs, op, rhs, label, mean, sd, lower, upper,
            ess_bulk, ess_tail, r_hat and prior. Rows ``x ~~ x`` are variances.

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1) or an unknown ``ci_kind``.
        """
        return summarise(self.model.table, self.draws, ci=ci, ci_kind=ci_kind)

    @cached_property
    def draws(self) -> dict[RowKey, NDArray[np.float64]]:
        """Draws of every row of the parameter table: row key -> array (chain, draw)."""
        blueprint = self.model.blueprint
        x = sampled_parameters(blueprint, self.datatree["posterior"].to_dataset())
        theta = blueprint.theta(x.reshape(-1, x.shape[-1]))
        return row_values(blueprint, theta.reshape(*x.shape[:2], -1), x)

    @cached_property
    def convergence(self) -> Convergence:
        """Worst diagnostics over all parameters, with advice."""
        posterior = self.datatree["posterior"].to_dataset()
        x = sampled_parameters(self.model.blueprint, posterior)
        if COORDINATES in posterior:
            t = posterior[COORDINATES].transpose("chain", "draw", ...).to_numpy()
            x = np.concatenate([x, t.reshape(*x.shape[:2], -1)], axis=-1)
        return check_convergence(x, self.datatree["sample_stats"].to_dataset())

    def implied_covariance(
        self,
        level: Literal["within", "between"] = "within",
        *,
        cluster: Any = None,
        correlation: bool = False,
    ) -> xr.DataArray:
        """Model-implied covariance or correlation matrix of the outcomes, per draw.

        Parameters
        ----------
        level
            "within" or "between"; at the between level this is the covariance of the cluster
            means' true values (given the cluster-level covariates).
        cluster
            Identifier of a cluster: its own within-level matrix, in models with random loadings,
            variances or correlations. None: the matrix of the typical cluster, whose sampled
            effects are at their intercepts.
        correlation
            Standardise to correlations.

        Returns
        -------
        xarray.DataArray
            Dimensions chain, draw, outcome, outcome_2; outcomes without a part at the level
            are left out.

        Raises
        ------
        SpecificationError
            Unknown level, "between" in a single-level model, or an unknown cluster.
        """
        levels = ("within", "between") if self.model.table.two_level else ("within",)
        if level not in levels:
            raise SpecificationError(
                f"level='{level}' is not in this model; it has {' and '.join(levels)}"
            )
        return implied_covariances(
            self.model.blueprint,
            self.datatree["posterior"].to_dataset(),
            level,
            cluster=cluster,
            correlation=correlation,
        )

    @cached_property
    def effects(self) -> xr.Dataset:
        """Posterior draws of all cluster-level quantities.

        Variable ``effects`` (chain, draw, cluster_id, effect): total coefficients of every cluster,
        that is random intercepts (named after their outcome), random coefficients (named as in
        ``rv()``) and definitions that use some; ``factors`` (chain, draw, cluster_id,
        between_factor): level-2 factors. What NUTS did not sample is drawn from its exact
        conditional distribution, one draw per posterior draw.

        Raises
        ------
        SpecificationError
            In a single-level model.
        """
        if not self.model.table.two_level:
            raise SpecificationError("a single-level model has no cluster effects")
        return recover_effects(
            self.model.blueprint,
            self.datatree["posterior"].to_dataset(),
            random_seed=int(self.datatree.attrs["random_seed"]),
        )

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
        """
        observed = self.model.blueprint.observed
        return effects_table(
            self.effects, observed.cluster_ids, observed.sizes, ci=ci, ci_kind=ci_kind
        )

    def plot_forest(
        self,
        level: str | None = None,
        *,
        rows: Sequence[RowSelector] | RowSelector | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        reference: Mapping[RowKey, float] | None = None,
        reference_label: str = "reference",
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Posterior means and intervals, one panel per level and kind of parameter.

        Parameters
        ----------
        level
            "within", "between" or "" (defined parameters); None for all.
        rows
            Rows to show: keys ("within", "fw", "=~", "y2"), texts "fw =~ y2", labels, or kinds
            such as "variance"; None for all.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the thin interval; the thick one holds 50%.
        reference
            Values to mark beside the posterior, {key: value}, such as
            ``model.mode(prior=False)``.
        reference_label
            Their name in the legend.
        figsize
            Width and height in inches; None: what the rows need.

        Returns
        -------
        matplotlib.figure.Figure
            Not registered with pyplot: a notebook shows it as the result of a cell; elsewhere
            save it with ``savefig``.

        Raises
        ------
        SpecificationError
            Unknown level, row or kind of interval, or ``ci`` outside (0, 1).
        """
        return forest(
            self.model.table,
            self.draws,
            level=level,
            rows=rows,
            ci=ci,
            ci_kind=ci_kind,
            reference=reference,
            reference_label=reference_label,
            figsize=figsize,
        )

    def plot_clusters(
        self,
        effect: str,
        *,
        clusters: Sequence[Any] | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        sort: bool = True,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """One effect in every cluster, sorted by posterior mean (caterpillar plot).

        Parameters
        ----------
        effect
            Name of a random intercept (its outcome), a random coefficient (its name in
            ``rv()``), a definition that uses random coefficients, or a factor at level between.
        clusters
            Identifiers of the clusters to show; None: all.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the thin interval; the thick one holds 50%.
        sort
            Sort by posterior mean, smallest at the bottom. False: the order of ``clusters``, or
            of the data, from the top.
        figsize
            Width and height in inches; None: what the clusters need.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. The vertical line is the posterior mean of the average of
            all clusters' effects, or the population mean of a definition.

        Raises
        ------
        SpecificationError
            Unknown effect, cluster or kind of interval, ``ci`` outside (0, 1), or a single-level
            model.
        """
        return caterpillar(
            self.model.table,
            self.effects,
            self.draws,
            effect,
            clusters=clusters,
            ci=ci,
            ci_kind=ci_kind,
            sort=sort,
            figsize=figsize,
        )

    def plot_trace(
        self,
        level: str | None = None,
        *,
        rows: Sequence[RowSelector] | RowSelector | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Densities and traces of all chains, one row per parameter.

        Parameters
        ----------
        level, rows, figsize
            As in :meth:`plot_forest`. Constants are left out.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`.

        Raises
        ------
        SpecificationError
            Unknown level or row, or only constants chosen.
        """
        return trace(self.model.table, self.draws, level=level, rows=rows, figsize=figsize)

    def __repr__(self) -> str:
        """Return draws, convergence and where to go next."""
        posterior = self.datatree["posterior"]
        chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
        return (
            f"Fit of {chains} chains x {draws} draws "
            f"({self.datatree.attrs.get('sampler', 'unknown sampler')}, "
            f"seed {self.datatree.attrs.get('random_seed', 'unknown')})\n"
            f"  {self.convergence}\n"
            "  .summary() gives the estimates, .datatree the draws for ArviZ"
        )
