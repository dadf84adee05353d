"""Fit indices of a fit: which models are compared, and the numbers and notes that come of it.

The formulas are in :mod:`bayes_msem.checking.indices.index_formulas`. Null models, and models with
one level saturated, are sampled like the fit itself: as many draws, and a seed that the fit's own
seed and the model text give.
"""

from __future__ import annotations

import logging
import warnings
import zlib
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bayes_msem.arguments import shown
from bayes_msem.checking.indices.index_formulas import (
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
from bayes_msem.checking.indices.index_table import IndexTable, index_table
from bayes_msem.checking.indices.saturated import (
    LevelName,
    Saturated,
    build_on,
    check_same_data,
    check_separable,
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
from bayes_msem.inference.interrupt import all_or_nothing
from bayes_msem.posterior.enough import check_enough
from bayes_msem.posterior.summary import IntervalKind

__all__ = ["EffectiveParameters", "Request", "check_request", "evaluate"]

FloatArray = NDArray[np.float64]
EffectiveParameters = Literal["dic", "loo", "waic"]

_logger = logging.getLogger(__name__)
_LEVELS: tuple[LevelName, LevelName] = ("within", "between")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for; fields as the arguments of :meth:`bayes_msem.Fit.indices`."""

    levels: bool
    incremental: bool
    baseline: Any
    pd: EffectiveParameters
    progress: bool


def check_request(fit: Any, request: Request) -> None:
    """Raise if the indices asked for do not exist.

    Parameters
    ----------
    fit
        The :class:`bayes_msem.Fit`.
    request
        What is asked for.

    Raises
    ------
    SpecificationError
        Too few draws, or a baseline that is no fit or one of other data.
    NotSupportedError
        Labels that tie the levels together.
    """
    sizes = fit.datatree["posterior"].sizes
    check_enough(sizes["chain"] * sizes["draw"], 2, "the effective number of parameters")
    if request.levels:
        check_separable(fit.model.table)
    if request.baseline is not None:
        if not hasattr(request.baseline, "datatree"):
            raise SpecificationError(
                f"baseline must be a fit of a null model, got {shown(request.baseline)}"
            )
        check_same_data(fit.model.observed, request.baseline.model.observed)


def evaluate(
    fit: Any,
    request: Request,
    saturated: Saturated,
    refits: dict[str, Any],
    *,
    ci: float,
    ci_kind: IntervalKind,
) -> IndexTable:
    """Compute the table of fit indices.

    Parameters
    ----------
    fit
        The :class:`bayes_msem.Fit`.
    request
        What is asked for, checked.
    saturated
        The saturated model of the same data.
    refits
        Fits of other models to the same data by model text; those that are needed and not there
        are sampled and put in.
    ci, ci_kind
        Mass and kind of the interval.

    Returns
    -------
    IndexTable
    """
    evaluation = _Evaluation(fit, saturated, refits, request)
    evaluation.overall(request.incremental, request.baseline)
    for level in _LEVELS if request.levels else ():
        evaluation.one_level(level, request.incremental)
    evaluation.residuals()
    return index_table(
        evaluation.indices,
        evaluation.discrepancies,
        evaluation.details,
        saturated.log_likelihood,
        evaluation.notes,
        ci=ci,
        ci_kind=ci_kind,
    )


class _Evaluation:
    """Indices as they are computed, with what the table says about them."""

    def __init__(
        self, fit: Any, saturated: Saturated, refits: dict[str, Any], request: Request
    ) -> None:
        self.fit, self.saturated, self.refits = fit, saturated, refits
        self.pd, self.progress = request.pd, request.progress
        self.indices: dict[tuple[str, str], FloatArray] = {}
        self.discrepancies: dict[str, FloatArray] = {}
        self.details: dict[str, Comparison] = {}
        self.srmr_at_mean: dict[str, float] = {}
        self.notes: list[str] = []

    def overall(self, incremental: bool, baseline: Any) -> None:
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

    def _add(self, level: str, found: Discrepancy, comparison: Comparison, null: Any) -> None:
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

    def _refit(self, text: str, what: str) -> Any:
        if text not in self.refits:
            self.refits[text] = _sample(self.fit, text, what, self.progress)
        return self.refits[text]


def _sample(fit: Any, text: str, what: str, progress: bool) -> Any:
    """Sample another model of the same data, with as many draws and a seed of its own."""
    _logger.info("sampling for the fit indices: %s", what)
    model = build_on(type(fit.model), fit.model.observed, text)
    sizes = fit.datatree["posterior"].sizes
    seed = np.random.SeedSequence(
        [int(fit.datatree.attrs["random_seed"]), zlib.crc32(text.encode())]
    )
    with all_or_nothing(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        result = model.fit(
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
