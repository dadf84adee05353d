"""Fit indices: how far the model is from the saturated one, and how much better than none."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from bayes_msem.arguments import checked, choice
from bayes_msem.blueprint.normal_outcomes import check_normal_outcomes
from bayes_msem.checking.indices.evaluation import (
    EffectiveParameters,
    Request,
    check_request,
    evaluate,
)
from bayes_msem.checking.indices.index_table import IndexTable
from bayes_msem.checking.indices.saturated import Saturated, check_supported, fit_saturated
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.summary import IntervalKind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayes_msem.fit import Fit


class Indices(FitCore):
    """The part of :class:`bayes_msem.Fit` that evaluates the fit of the model as a whole."""

    @checked(pd=choice(EffectiveParameters))
    def indices(
        self,
        ci: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        levels: bool = False,
        incremental: bool = True,
        baseline: Fit | None = None,
        pd: EffectiveParameters = "dic",
        progress: bool = True,
    ) -> IndexTable:
        """Bayesian fit indices with their posterior distributions.

        Every draw is compared with the saturated model at its maximum likelihood, at the expected
        complexity of both (Garnier-Villarreal & Jorgensen, 2020); formulas in docs/fit_indices.md.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.
        levels
            Also evaluate each level of a two-level model by itself, with the other level saturated
            (Ryu & West, 2009). Samples the saturated
            model, one model per level, and a null model per level; a matter of minutes.
        incremental
            CFI, TLI and NFI, which need the posterior of a null model without covariances and
            regressions: it is sampled on the first call, with as many draws as this fit, and kept.
        baseline
            Fit of another null model to the same data, in place of that one.
        pd
            Effective number of parameters: "dic" (mean deviance less deviance at the posterior
            mean), "loo" or "waic".
        progress
            Show a progress bar while a model is sampled.

        Returns
        -------
        IndexTable
            Columns index, level ("overall", "within", "between"), mean, median, sd, lower,
            upper, ess_bulk, ess_tail, r_hat and note. Attributes: ``draws``, ``details`` (N, p,
            p*, pD per level) and ``log_likelihood_saturated``. SRMR is of each level, and needs no
            second model.

        Raises
        ------
        NotSupportedError
            Coefficients that vary between clusters, too few clusters, a model without
            restrictions, or labels that tie the levels together: the message says what has
            meaning instead.
        SpecificationError
            An unknown option, or a baseline of other data.
        DataError
            The saturated model has no maximum likelihood.
        KeyboardInterrupt
            Interrupted, be it after the first draws of another model.

        References
        ----------
        Garnier-Villarreal, M., & Jorgensen, T. D. (2020). Adapting fit indices for Bayesian
        structural equation modeling: Comparison to maximum likelihood. Psychological Methods,
        25(1), 46-70. https://doi.org/10.1037/met0000224

        Ryu, E., & West, S. G. (2009). Level-specific evaluation of model fit in multilevel
        structural equation modeling. Structural Equation Modeling, 16(4), 583-601.
        https://doi.org/10.1080/10705510902751259

        Examples
        --------
        >>> table = factors.indices(incremental=False)
        >>> table["index"].unique().tolist()
        ['RMSEA', 'Gamma-hat', 'adjusted Gamma-hat', 'Mc', 'SRMR']
        """
        check_normal_outcomes(
            self.model.blueprint,
            "Fit indices",
            "They compare covariance matrices of normal outcomes. fit.ppp() compares categories "
            "and counts with replicates, and fit.loo() models with each other",
        )
        request = Request(levels, incremental, baseline, pd, progress)
        check_request(self, request)
        return evaluate(self, request, self._saturated, self._refits, ci=ci, ci_kind=ci_kind)

    @checked(pd=choice(EffectiveParameters))
    def plot_indices(
        self,
        ci: float = 0.95,
        *,
        ci_kind: IntervalKind = "eti",
        levels: bool = False,
        incremental: bool = True,
        baseline: Fit | None = None,
        pd: EffectiveParameters = "dic",
        progress: bool = True,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Posterior distributions of the fit indices, one panel per index and level.

        Parameters
        ----------
        ci, ci_kind, levels, incremental, baseline, pd, progress
            As in :meth:`indices`.
        figsize
            Width and height in inches; None: what the panels need.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. Draws that fit as well as the saturated model stand in one
            column at the perfect value. No cut-offs are drawn: they are no tests.

        Examples
        --------
        >>> figure = factors.plot_indices(incremental=False)
        >>> len(figure.axes)
        6
        """
        from bayes_msem.plotting.index_histograms import index_histograms

        table = self.indices(
            ci,
            ci_kind=ci_kind,
            levels=levels,
            incremental=incremental,
            baseline=baseline,
            pd=pd,
            progress=progress,
        )
        return index_histograms(table, figsize=figsize)

    @cached_property
    def _saturated(self) -> Saturated:
        check_supported(self.model.table, self.model.observed)
        return fit_saturated(type(self.model), self.model.observed)

    @cached_property
    def _refits(self) -> dict[str, Fit]:
        """Fits of other models to the same data, by model text."""
        return {}
