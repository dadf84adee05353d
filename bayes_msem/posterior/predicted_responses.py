r"""Predictions of outcomes that are not normal, given covariates and effects of clusters.

Given those, the linear predictor eta of an outcome is normal: its mean is that of the latent
response (posterior.within), and its variance that of the latent response without its residual. It
comes from factors, whose residuals are not known. So

    E[y], P(y = c)   are averages over eta ~ N(mean, variance)  (outcomes.outcome: marginal_...)
    y                is drawn given eta, which outcomes of a row share as far as they share factors
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.gaussian.normal import roots
from bayes_msem.outcomes.families import Family
from bayes_msem.posterior.draws import row_draws
from bayes_msem.posterior.within import WithinDraws
from bayes_msem.simulation.drawn_responses import categories_of, predictor_covariance

__all__ = [
    "Response",
    "category_probabilities",
    "expected",
    "labels_of",
    "one_of_each",
    "responses_of",
]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """An outcome that is not normal.

    Attributes
    ----------
    position
        Among the outcomes of level within.
    family
        Its family.
    thresholds, dispersion
        Draws (S, 1, K - 1) and (S, 1), where the family has some.
    whole
        Whether the latent response is drawn with its residual, which others depend on.
    log_sd
        Position among the log SDs that depend on the row, where the outcome has one.
    """

    position: int
    family: Family
    thresholds: FloatArray | None
    dispersion: FloatArray | None
    whole: bool = False
    log_sd: int | None = None

    def spread(self, log_sds: FloatArray | None) -> FloatArray | None:
        """Dispersion, given the log SDs (S, n, K) of the rows."""
        if self.log_sd is None or log_sds is None:
            return self.dispersion
        return np.exp(2.0 * log_sds[..., self.log_sd])


def labels_of(observed: ObservedData, outcome: str) -> tuple[Any, ...]:
    """Labels of the categories of an ordered outcome of level within.

    Raises
    ------
    SpecificationError
        There is no such outcome.
    """
    known = [name for name in observed.y_names if name in observed.categories]
    if outcome not in known:
        raise SpecificationError(
            f"'{outcome}' is no ordered outcome of level within{nearest(outcome, known) or '.'} "
            f"This model has {', '.join(map(repr, known)) or 'none'}"
        )
    return observed.categories[outcome]


def responses_of(blueprint: Blueprint, posterior: xr.Dataset) -> dict[str, Response]:
    """Outcomes of level within that are not normal, by name."""
    template = blueprint.template.responses
    if template is None:
        return {}
    values, rows = row_draws(blueprint, posterior), blueprint.table.rows
    result = {}
    for name, family in template.families.items():
        cuts = [values[r.key].ravel() for r in rows if r.kind == "threshold" and r.lhs == name]
        spread = [values[r.key].ravel() for r in rows if r.kind == "dispersion" and r.lhs == name]
        result[name] = Response(
            blueprint.template.y_names.index(name),
            family,
            np.stack(cuts, axis=-1)[:, None, :] if cuts else None,
            spread[0][:, None] if spread else None,
            name in template.whole,
            template.scaled.index(name) if name in template.scaled else None,
        )
    return result


def _predictor(
    means: FloatArray, covariances: FloatArray, offset: FloatArray, response: Response
) -> tuple[FloatArray, FloatArray]:
    """Mean (S, n) and variance (S, 1) of a linear predictor, from the moments of outcomes."""
    k = response.position
    variance = covariances[:, k, k] - (response.family.residual_variance or 0.0)
    return means[..., k] + offset[:, k], np.maximum(variance, 0.0)[:, None]


def expected(
    within: WithinDraws,
    responses: dict[str, Response],
    design: FloatArray,
    offset: FloatArray,
) -> FloatArray:
    """Return expected outcomes (S, n, p): of ordered outcomes the mean of the codes.

    Parameters
    ----------
    within
        Level 1 of the cluster of the rows.
    responses
        From :func:`responses_of`.
    design, offset
        Design (n, D) of the rows, and what is added to linear predictors, (n, p).
    """
    y, covariances = within.outcome_means(design), within.outcome_covariances()
    for response in responses.values():
        mean, variance = _predictor(y, covariances, offset, response)
        rule = response.family.outcome
        y[..., response.position] = rule.marginal_mean(mean, variance, response.thresholds)
    return y


def category_probabilities(
    within: WithinDraws, response: Response, design: FloatArray, offset: FloatArray
) -> FloatArray:
    """Probabilities (S, n, K) of the categories of an ordered outcome."""
    means, covariances = within.outcome_means(design), within.outcome_covariances()
    mean, variance = _predictor(means, covariances, offset, response)
    variance = np.broadcast_to(variance, mean.shape)
    rule = response.family.outcome
    return rule.marginal_probabilities(mean, variance, response.thresholds)


def one_of_each(
    within: WithinDraws,
    responses: dict[str, Response],
    design: FloatArray,
    offset: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw one outcome per row and posterior draw, (S, n, p); arguments as in :func:`expected`."""
    y, found = within.outcome_means(design), responses.values()
    residuals = {r.position: r.family.residual_variance or 0.0 for r in found if not r.whole}
    covariance = predictor_covariance(residuals, within.outcome_covariances())
    y += np.einsum("spq,snq->snp", roots(covariance), rng.standard_normal(y.shape))
    log_sds = None if within.log_sds is None else within.log_sds(design, y)
    for response in found:
        k, rule = response.position, response.family.outcome
        eta = y[..., k] + offset[:, k]
        known = np.isfinite(eta)  # without an exposure there is no prediction
        if response.whole:
            assert response.thresholds is not None
            drawn = categories_of(eta, response.thresholds)
        else:
            drawn = rule.simulate(
                rng, np.where(known, eta, 0.0), response.thresholds, response.spread(log_sds)
            )
        y[..., k] = np.where(known, drawn, np.nan)
    return y
