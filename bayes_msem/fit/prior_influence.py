"""Sensitivity: how much the priors matter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from bayes_msem.arguments import checked, floats, rows
from bayes_msem.blueprint.normal_outcomes import check_normal_outcomes
from bayes_msem.blueprint.rotated import check_unturned
from bayes_msem.checking.priors.overlap import prior_posterior_overlap
from bayes_msem.checking.priors.prior_sensitivity import (
    PriorSensitivity,
    most_sensitive,
    prior_sensitivity,
    sensitive_rows,
    sensitivity_tree,
)
from bayes_msem.errors import SpecificationError
from bayes_msem.fit.core import FitCore
from bayes_msem.plotting.select import RowSelector, select_rows
from bayes_msem.posterior.tables import EstimateTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Sensitivity"]

_REFIT = "Fit the model with other priors, and compare"
_SHOWN = 6  # rows of the figure by default


class Sensitivity(FitCore):
    """The part of :class:`bayes_msem.Fit` that asks how much the priors matter."""

    @checked()
    def prior_sensitivity(self) -> PriorSensitivity:
        """Ask whether posteriors follow the priors or the data, by power-scaling.

        Returns
        -------
        PriorSensitivity
            ``table``: one row per free or defined row with prior and likelihood sensitivity, a
            diagnosis where the priors matter (sensitivity above 0.05), and the row whose prior
            matters most; ``by_group``: sensitivity to each group of priors alone; ``advice``: what
            to do, in words. Print it to see table and advice.

        Raises
        ------
        SpecificationError
            Fewer than 50 draws.

        References
        ----------
        Kallioinen, N., Paananen, T., Bürkner, P.-C., & Vehtari, A. (2024). Detecting and
        diagnosing prior and likelihood sensitivity with power-scaling. Statistics and Computing,
        34, 57. https://doi.org/10.1007/s11222-023-10366-5

        Examples
        --------
        >>> fit.prior_sensitivity().advice
        ()
        """
        check_normal_outcomes(
            self.model.blueprint,
            "fit.prior_sensitivity()",
            "fit.plot_prior_posterior() shows what was learnt",
        )
        check_unturned(self.model.blueprint, "fit.prior_sensitivity()", _REFIT)
        return self._sensitivity

    @checked(rows=rows, alphas=floats)
    def plot_prior_sensitivity(
        self,
        level: str | None = None,
        *,
        rows: Sequence[RowSelector] | RowSelector | None = None,
        alphas: tuple[float, float] = (0.8, 1.25),
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Show posteriors under weaker and stronger priors, and under less and more data.

        Parameters
        ----------
        level, rows
            Rows to show, as in :meth:`plot_forest`. None for both: the six that are most
            sensitive to their priors.
        alphas
            Powers below and above 1 that the prior, and the likelihood, are raised to.
        figsize
            Width and height in inches; None: what the rows need.

        Returns
        -------
        matplotlib.figure.Figure
            Two panels per row: densities with the prior scaled, and with the likelihood scaled.

        Raises
        ------
        SpecificationError
            Unknown level or row, only rows that do not vary, ``alphas`` on one side of 1, or
            fewer than 50 draws.

        Examples
        --------
        >>> figure = fit.plot_prior_sensitivity(rows="mach ~ sector")
        >>> len(figure.axes)
        2
        """
        from bayes_msem.plotting.sensitivity import power_scaled

        check_normal_outcomes(
            self.model.blueprint,
            "fit.plot_prior_sensitivity()",
            "fit.plot_prior_posterior() shows what was learnt",
        )
        check_unturned(self.model.blueprint, "fit.plot_prior_sensitivity()", _REFIT)
        if len(alphas) != 2 or not 0 < alphas[0] < 1 < alphas[1]:
            raise SpecificationError(f"alphas={alphas!r} must be one number below 1 and one above")
        blueprint = self.model.blueprint
        varying = sensitive_rows(blueprint, self.draws)
        if level is None and rows is None:
            positions = most_sensitive(self._sensitivity, _SHOWN)
        else:
            wanted = {row.key for row in select_rows(self.model.table, level, rows)}
            positions = [i for i, row in enumerate(varying) if row.key in wanted]
        if not positions:
            raise SpecificationError("none of the rows chosen varies over the draws")
        tree = sensitivity_tree(
            blueprint, self.datatree["posterior"].to_dataset(), varying, self.draws
        )
        return power_scaled(
            tree,
            [varying[i] for i in positions],
            positions,
            two_level=self.model.table.two_level,
            alphas=alphas,
            figsize=figsize,
        )

    @checked()
    def prior_posterior_overlap(self, *, sort: bool = False) -> EstimateTable:
        """Compare prior and posterior of every free row: overlap, and shrinkage of the SD.

        Parameters
        ----------
        sort
            Largest overlap (least learnt from the data) first, instead of the order of the
            parameter table.

        Returns
        -------
        EstimateTable
            Columns level, lhs, op, rhs, label, overlap (integral of the smaller of both
            densities; right within 0.02 with 4,000 independent draws), sd_prior, sd_posterior,
            sd_ratio and prior, on the scale of the prior: standard deviations for variances,
            correlations for covariances, where their prior is on these.

        Examples
        --------
        >>> table = fit.prior_posterior_overlap(sort=True)
        >>> table["overlap"].is_monotonic_decreasing
        True
        """
        check_unturned(self.model.blueprint, "fit.prior_posterior_overlap()", _REFIT)
        return prior_posterior_overlap(self.model.blueprint, self.draws, sort=sort)

    @cached_property
    def _sensitivity(self) -> PriorSensitivity:
        posterior = self.datatree["posterior"].to_dataset()
        return prior_sensitivity(self.model.blueprint, posterior, self.draws)
