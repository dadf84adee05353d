"""Fit indices: how far the model is from the saturated one, and how much better than none."""

from __future__ import annotations

import logging
import warnings
import zlib
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bayes_msem.arguments import checked, choice, shown
from bayes_msem.checking.indices.index_table import IndexTable, index_table
from bayes_msem.checking.indices.indices import (
    Comparison,
    Discrepancy,
    absolute_indices,
    dic_parameters,
    discrepancies,
    incremental_indices,
    n_units,
    paired,
    srmr_draws,
)
from bayes_msem.checking.indices.saturated import (
    LevelName,
    Saturated,
    build_on,
    check_same_data,
    check_separable,
    check_supported,
    fit_saturated,
    level_outcomes,
    model_text,
    structured_level,
)
from bayes_msem.errors import (
    INSIDE,
    ConvergenceWarning,
    NotSupportedError,
    SpecificationError,
)
from bayes_msem.fit.core import FitCore
from bayes_msem.inference.interrupt import all_or_nothing
from bayes_msem.plotting.indices import index_histograms
from bayes_msem.posterior.enough import check_enough
from bayes_msem.posterior.summary import IntervalKind

if TYPE_CHECKING:
    from bayes_msem.fit import Fit

FloatArray = NDArray[np.float64]
EffectiveParameters = Literal["dic", "loo", "waic"]

_logger = logging.getLogger(__name__)
_LEVELS: tuple[LevelName, LevelName] = ("within", "between")


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
        """
        sizes = self.datatree["posterior"].sizes
        check_enough(sizes["chain"] * sizes["draw"], 2, "the effective number of parameters")
        if levels:
            check_separable(self.model.table)
        if baseline is not None:
            if not isinstance(baseline, FitCore):
                raise SpecificationError(
                    f"baseline must be a fit of a null model, got {shown(baseline)}"
                )
            check_same_data(self.model.observed, baseline.model.observed)
        evaluation = _Evaluation(self, pd, progress)
        evaluation.overall(incremental, baseline)
        for level in _LEVELS if levels else ():
            evaluation.one_level(level, incremental)
        evaluation.residuals()
        return index_table(
            evaluation.indices,
            evaluation.discrepancies,
            evaluation.details,
            self._saturated.log_likelihood,
            evaluation.notes,
            ci=ci,
            ci_kind=ci_kind,
        )

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
        """
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


class _Evaluation:
    """Indices as they are computed, with what the table says about them."""

    def __init__(self, fit: Indices, pd: EffectiveParameters, progress: bool) -> None:
        self.fit, self.pd, self.progress = fit, pd, progress
        self.saturated = fit._saturated
        self.indices: dict[tuple[str, str], FloatArray] = {}
        self.discrepancies: dict[str, FloatArray] = {}
        self.details: dict[str, Comparison] = {}
        self.srmr_at_mean: dict[str, float] = {}
        self.notes: list[str] = []

    def overall(self, incremental: bool, baseline: Fit | None) -> None:
        """Evaluate the model as a whole."""
        observed = self.fit.model.observed
        n_rows, _ = n_units(observed)
        names = {*observed.y_names, *observed.z_names, *observed.x_names, *observed.w_names}
        p_star = self.saturated.n_parameters()
        found, p_d = self._discrepancy(self.fit)
        comparison = Comparison(n_rows, len(names), p_star, p_d, p_star, p_star)
        if not comparison.restricts(self.fit.model.blueprint.parameters.n, p_star):
            raise NotSupportedError(
                f"the model has {p_d:.1f} effective parameters for {p_star} means, slopes and "
                "(co)variances: it restricts (almost) nothing, so fit indices have no meaning. "
                "What has: fit.ppp(), and fit.loo() for comparing models."
            )
        null = baseline
        if incremental and null is None:
            null = self._refit(model_text(observed, "null", "null"), "null model")
        self._add("overall", found, comparison, null if incremental else None)

    def one_level(self, level: LevelName, incremental: bool) -> None:
        """Evaluate one level, the other being saturated."""
        observed, table = self.fit.model.observed, self.fit.model.table
        here = self.saturated.n_parameters(level)
        if len({r.free for r in table.rows if r.free and r.level == level}) >= here:
            self.notes.append(f"Level {level} has as many parameters as moments: no indices.")
            return
        covariates = observed.x_names if level == "within" else observed.w_names
        n_variables = len(level_outcomes(observed, level)) + len(covariates)
        n_rows, n_clusters = n_units(observed)
        n = n_rows - n_clusters if level == "within" else n_clusters
        part = self._refit(
            self._partial(level, structured_level(table, level)), f"model with level {level} only"
        )
        found, p_d = self._discrepancy(part)
        expected: float = self.saturated.n_parameters()
        p_d_saturated = expected
        if level == "within":  # the saturated level is the one with few units
            text = model_text(observed, "saturated", "saturated")
            full, p_d_saturated = self._discrepancy(self._refit(text, "saturated model"))
            expected = float(full.draws.mean())
        comparison = Comparison(n, n_variables, here, p_d, expected, p_d_saturated)
        if not comparison.restricts(
            part.model.blueprint.parameters.n, self.saturated.n_parameters()
        ):
            self.notes.append(f"Level {level} restricts (almost) nothing: no indices.")
            return
        null = None
        if incremental:
            null = self._refit(self._partial(level, "null"), f"null model of level {level}")
        self._add(level, found, comparison, null)

    def residuals(self) -> None:
        """Compute SRMR per level."""
        model, posterior = self.fit.model, self.fit.datatree["posterior"].to_dataset()
        for level in _LEVELS if model.table.two_level else _LEVELS[:1]:
            if not level_outcomes(model.observed, level):
                continue
            found = srmr_draws(model.blueprint, posterior, self.saturated, level)
            if found is None:
                self.notes.append(
                    f"No SRMR {level}: a variable has no variance at this level under the "
                    "saturated model."
                )
                continue
            self.indices["SRMR", level], self.srmr_at_mean[level] = found
        at_mean = ", ".join(f"{value:.3f} {level}" for level, value in self.srmr_at_mean.items())
        if at_mean:
            self.notes.append(f"SRMR at the posterior means of the parameters: {at_mean}.")

    def _add(
        self, level: str, found: Discrepancy, comparison: Comparison, null: Fit | None
    ) -> None:
        suffix = "" if level == "overall" else f"_{level}"
        self.discrepancies[f"discrepancy{suffix}"] = found.draws
        values = absolute_indices(found.draws, comparison)
        if null is not None:
            null_found, p_d_null = self._discrepancy(null)
            comparison = replace(comparison, p_d_null=p_d_null)
            null_draws = paired(null_found.draws, found.draws.shape)
            self.discrepancies[f"discrepancy_null{suffix}"] = null_draws
            more = incremental_indices(found.draws, null_draws, comparison)
            if not more:
                self.notes.append(
                    f"No CFI, TLI and NFI {level}: the null model fits as well as the saturated."
                )
            values |= more
        self.details[level] = comparison
        self.indices |= {(name, level): draws for name, draws in values.items()}

    def _partial(self, level: LevelName, content: str) -> str:
        texts = {"within": "saturated", "between": "saturated"} | {level: content}
        return model_text(self.fit.model.observed, texts["within"], texts["between"])

    def _discrepancy(self, fit: Any) -> tuple[Discrepancy, float]:
        found = discrepancies(
            fit.model.blueprint,
            fit.datatree["posterior"].to_dataset(),
            self.saturated.log_likelihood,
        )
        return found, _effective_parameters(fit, self.pd, found)

    def _refit(self, text: str, what: str) -> Fit:
        kept = self.fit._refits
        if text not in kept:
            kept[text] = _sample(self.fit, text, what, self.progress)
        return kept[text]


def _sample(fit: FitCore, text: str, what: str, progress: bool) -> Fit:
    """Sample another model of the same data, with as many draws and a seed of its own."""
    _logger.info("sampling for the fit indices: %s", what)
    model = build_on(type(fit.model), fit.model.observed, text)
    sizes = fit.datatree["posterior"].sizes
    seed = np.random.SeedSequence(
        [int(fit.datatree.attrs["random_seed"]), zlib.crc32(text.encode())]
    )
    with all_or_nothing(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        result: Fit = model.fit(
            draws=sizes["draw"],
            chains=sizes["chain"],
            random_seed=int(seed.generate_state(1)[0]),
            progress=progress,
        )
    for warning in caught:  # say which of several models it was
        if issubclass(warning.category, ConvergenceWarning):
            message = f"{what} (sampled for the fit indices): {warning.message}"
            warnings.warn(message, ConvergenceWarning, skip_file_prefixes=INSIDE)
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return result


def _effective_parameters(fit: Any, kind: EffectiveParameters, found: Discrepancy) -> float:
    """Effective number of parameters pD of a fit."""
    if kind == "dic":
        return dic_parameters(found)
    return float(fit.loo().p_loo if kind == "loo" else fit.waic().p_waic)
