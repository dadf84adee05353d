"""Figures of the posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from bayes_msem.fit.core import FitCore
from bayes_msem.plotting.clusters import caterpillar
from bayes_msem.plotting.diagram import Diagram, draw_diagram
from bayes_msem.plotting.posterior import forest, trace
from bayes_msem.plotting.select import RowSelector
from bayes_msem.posterior.summary import IntervalKind, check_interval, interval
from bayes_msem.spec.table import RowKey


class Figures(FitCore):
    """The part of :class:`bayes_msem.Fit` that draws figures."""

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
            self.cluster_draws,
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

    def diagram(
        self, *, estimates: bool = True, ci: float | None = None, ci_kind: IntervalKind = "eti"
    ) -> Diagram:
        """Path diagram with posterior means.

        Parameters
        ----------
        estimates
            Write posterior means at paths and (co)variances, and those of intercepts in their
            node. Constants are written as they are. False: as :meth:`bayes_msem.Model.diagram`.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of intervals below the means; None: no intervals.

        Returns
        -------
        Diagram
            SVG, see :meth:`bayes_msem.Model.diagram`.

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1), or an unknown ``ci_kind``.
        """
        if ci is not None:
            check_interval(ci, ci_kind)
        if not estimates:
            return self.model.diagram()
        values = {key: float(x.mean()) for key, x in self.draws.items()}
        limits: dict[RowKey, tuple[float, float]] = {}
        if ci is not None:
            for key, x in self.draws.items():
                lower, upper = interval(x[..., None], ci, ci_kind)
                limits[key] = (float(lower[0]), float(upper[0]))
        return draw_diagram(self.model.table, values, limits)
