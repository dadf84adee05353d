"""Figures of the rows of the parameter table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bayes_msem.arguments import checked, flag_or_choice, rows, values_by_row
from bayes_msem.errors import SpecificationError
from bayes_msem.fit.core import FitCore
from bayes_msem.plotting.select import RowSelector
from bayes_msem.posterior.intervals import means_and_intervals
from bayes_msem.posterior.standardise import STD_KINDS, StdKind
from bayes_msem.posterior.summary import IntervalKind
from bayes_msem.spec.table import RowKey

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayes_msem.plotting.diagram import Diagram


class RowFigures(FitCore):
    """The part of :class:`bayes_msem.Fit` that draws the posterior of the parameters."""

    @checked(rows=rows, reference=values_by_row)
    def plot_forest(
        self,
        level: str | None = None,
        *,
        rows: Sequence[RowSelector] | RowSelector | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        reference: Mapping[Any, float] | None = None,
        reference_label: str = "reference",
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Posterior means and intervals, one panel per level and kind of parameter.

        Parameters
        ----------
        level
            "within", "between" or "" (defined parameters); None for all.
        rows
            Rows to show, by any of their names: keys ("within", "fw", "=~", "y2"), texts
            "fw =~ y2", labels, or kinds such as "variance"; None for all.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the thin interval; the thick one holds 50%.
        reference
            Values to mark beside the posterior, {row: value}, such as
            ``model.mode(prior=False)``; rows by any of their names.
        reference_label
            Their name in the legend.
        figsize
            Width and height in inches; None: what the rows need.

        Returns
        -------
        matplotlib.figure.Figure
            Not registered with pyplot: a notebook shows it as the result of a cell; elsewhere
            save it with ``savefig``. Random coefficients have a name in place of numbers.

        Raises
        ------
        SpecificationError
            Unknown level, row (also in ``reference``) or kind of interval, ``ci`` outside (0, 1),
            only random coefficients chosen, or a single draw.

        Examples
        --------
        >>> figure = fit.plot_forest("between")
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['Regressions', 'Covariances', 'Variances', 'Intercepts']
        >>> figure.savefig("forest.png")
        """
        from bayes_msem.plotting.forest import forest

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

    @checked(rows=rows)
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

        Examples
        --------
        >>> figure = fit.plot_trace(rows="mach ~ sector")
        >>> len(figure.axes)
        2
        """
        from bayes_msem.plotting.trace import trace

        return trace(self.model.table, self.draws, level=level, rows=rows, figsize=figsize)

    @checked(rows=rows)
    def plot_rank(
        self,
        level: str | None = None,
        *,
        rows: Sequence[RowSelector] | RowSelector | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Ranks of every chain among the draws of all chains, one panel per row.

        Parameters
        ----------
        level, rows, figsize
            As in :meth:`plot_forest`. Constants are left out.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. Chains that agree stay near 1; the grey band holds 95% of
            the heights if draws are independent.

        Raises
        ------
        SpecificationError
            Unknown level or row, only constants chosen, or a single chain.

        Examples
        --------
        >>> figure = fit.plot_rank("between", rows="regression")
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['mach ~ sector', 'slope ~ sector']
        """
        from bayes_msem.plotting.ranks import rank

        return rank(self.model.table, self.draws, level=level, rows=rows, figsize=figsize)

    @checked(rows=rows)
    def plot_prior_posterior(
        self,
        level: str | None = None,
        *,
        rows: Sequence[RowSelector] | RowSelector | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Prior and posterior density of every free row, one panel each.

        Parameters
        ----------
        level, rows, figsize
            As in :meth:`plot_forest`. Constants and definitions are left out.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. Densities are on the scale of the prior: a variance with
            a prior on the standard deviation is shown as one, a covariance as a correlation. A
            correlation in a block that leaves out pairs has no simple prior of its own, and none
            is drawn.

        Raises
        ------
        SpecificationError
            Unknown level or row, or only rows without a prior chosen.

        Examples
        --------
        >>> figure = fit.plot_prior_posterior(rows="mach ~ sector")
        >>> figure.axes[0].get_title(loc="left")
        'mach ~ sector'
        """
        from bayes_msem.plotting.prior_posterior import prior_posterior

        return prior_posterior(
            self.model.table,
            self.model.blueprint.priors,
            self.draws,
            level=level,
            rows=rows,
            figsize=figsize,
        )

    @checked(standardized=flag_or_choice(STD_KINDS))
    def diagram(
        self,
        *,
        estimates: bool = True,
        ci: float | None = None,
        ci_kind: IntervalKind = "eti",
        standardized: bool | StdKind = False,
    ) -> Diagram:
        """Path diagram with posterior means.

        Parameters
        ----------
        estimates
            Write posterior means at paths and (co)variances, and those of intercepts in their
            node. Constants are written as they are. False: as :meth:`bayes_msem.Model.diagram`.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of intervals below the means; None: no intervals.
        standardized
            True or "std_all": means and intervals of the values of :meth:`standardized`, where
            double-headed arrows are correlations (of residuals) and loops shares of variance that
            are not explained. "std_lv": only factors and random effects in standard deviations,
            as in that column of :meth:`summary`. What has no standardised value gets a dash.

        Returns
        -------
        Diagram
            See :meth:`bayes_msem.Model.diagram`. Nodes, paths and labels stand where they stand
            there, whatever is written at them.

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1), an unknown ``ci_kind`` or ``standardized``, or ``standardized``
            with ``estimates=False``.

        Examples
        --------
        >>> "<svg" in fit.diagram(ci=0.9).svg
        True
        >>> factors.diagram(standardized=True, ci=0.9).save("standardized.pdf").name
        'standardized.pdf'
        """
        from bayes_msem.plotting.diagram import draw_diagram

        if not estimates:
            if standardized:
                raise SpecificationError(
                    f"estimates=False writes no numbers, but standardized={standardized!r} asks "
                    "for them; leave one of the two out"
                )
            return self.model.diagram()
        draws: Mapping[RowKey, Any] = self.draws
        if standardized:
            kind: StdKind = "std_all" if standardized is True else standardized
            draws = self._solution().standardized_draws(kind)
        values, limits = means_and_intervals(draws, ci, ci_kind)
        return draw_diagram(self.model.table, values, limits)
