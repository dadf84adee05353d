"""Estimates: tables of parameters and of what follows from them."""

from __future__ import annotations

from typing import Any

import xarray as xr

from bayes_msem.arguments import checked, identifier, new_or_older, text
from bayes_msem.data.coded_in_words import references_in_words
from bayes_msem.errors import SpecificationError
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.implied import implied_covariances
from bayes_msem.posterior.solution_tables import solution_of
from bayes_msem.posterior.summary import IntervalKind, summarise
from bayes_msem.posterior.tables import EstimateTable


class Estimates(FitCore):
    """The part of :class:`bayes_msem.Fit` that estimates parameters."""

    @checked()
    def summary(
        self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti", standardized: bool = False
    ) -> EstimateTable:
        """Summarise the posterior of every row of the parameter table.

        Parameters
        ----------
        ci
            Mass of the interval.
        ci_kind
            "eti" (equal-tailed) or "hdi" (highest density).
        standardized
            True: standardised values beside the estimates, and R-squared below them.

        Returns
        -------
        EstimateTable
            Data frame with columns level, lhs, op, rhs, label, mean, median, sd, lower, upper,
            ess_bulk, ess_tail, r_hat, note and prior. Rows ``x ~~ x`` are variances. ``note`` is
            "skewed" where mean and median differ much: report the median there. With
            ``standardized``, columns std_lv (factors and random effects in standard deviations)
            and std_all (all variables, as in :meth:`standardized`) follow ``upper``: posterior
            means, NaN where there is no standardised value. Rows ``y r2 y`` follow those of their
            level.

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1) or an unknown ``ci_kind``.

        Examples
        --------
        >>> fit.summary(ci=0.9).columns.tolist()[:8]
        ['level', 'lhs', 'op', 'rhs', 'label', 'mean', 'median', 'sd']
        >>> fit.summary().set_index("rhs").loc["sector", "mean"].round(1).tolist()
        [2.8, -1.3]
        >>> table = factors.summary(standardized=True)
        >>> table[table["op"] == "r2"].groupby("level").size().to_dict()
        {'between': 4, 'within': 4}
        """
        model = self.model
        references = references_in_words(model.observed.coded, model.table.rows)
        table = summarise(model.table, self.draws, ci=ci, ci_kind=ci_kind, references=references)
        if not standardized:
            return table
        posterior = self.datatree["posterior"].to_dataset()
        solution = solution_of(self.model.blueprint, posterior, lambda: self.cluster_draws)
        return solution.beside(table, ci, ci_kind)

    @checked(level=text, cluster_id=identifier, cluster=identifier)
    def implied_covariance(
        self,
        level: str = "within",
        *,
        cluster_id: Any = None,
        correlation: bool = False,
        cluster: Any = None,
    ) -> xr.DataArray:
        """Model-implied covariance or correlation matrix of the outcomes, per draw.

        Outcomes that are not normal stand for their latent responses, counts for their log rates.

        Parameters
        ----------
        level
            "within" or "between"; at the between level this is the covariance of the cluster
            means' true values (given the cluster-level covariates). Three-level models have their
            own names of levels.
        cluster_id
            Identifier of a cluster: its own within-level matrix, in models with random loadings,
            variances or correlations. None: the matrix of the typical cluster, whose sampled
            effects are at their intercepts.
        correlation
            Standardise to correlations.
        cluster
            Older name of ``cluster_id``.

        Returns
        -------
        xarray.DataArray
            Dimensions chain, draw, outcome, outcome_2; outcomes without a part at the level
            are left out.

        Raises
        ------
        SpecificationError
            Unknown level, "between" in a single-level model, or an unknown cluster.

        Examples
        --------
        >>> fit.implied_covariance("within", correlation=True).dims
        ('chain', 'draw', 'outcome', 'outcome_2')
        >>> factors.implied_covariance("between").mean(("chain", "draw")).shape
        (4, 4)
        """
        levels = self.model.table.levels
        if level not in levels:
            raise SpecificationError(
                f"level='{level}' is not in this model; it has {' and '.join(levels)}"
            )
        return implied_covariances(
            self.model.blueprint,
            self.datatree["posterior"].to_dataset(),
            level,
            cluster=new_or_older("cluster_id", cluster_id, "cluster", cluster),
            correlation=correlation,
        )
