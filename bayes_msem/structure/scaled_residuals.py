r"""Residual log SDs that depend on the row, and what their residuals vary on average.

The log SD of a scaled response k in row i of cluster j is

    delta_ijk = g_jk + c_k' (1, x_ij) + e_k' v^w_ij ,

with g its random effect, if it has one, and v^w the parts of normal outcomes that vary within
clusters. Given x these are normal, v^w_ij ~ N(C' (1, x_ij), S), so the mean residual variance is

    E[exp(2 delta) | x_ij, j] = exp(2 (g_jk + (c_k + C e_k)' (1, x_ij)) + 2 e_k' S e_k) .
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.structure.matrices import level_matrices
from bayes_msem.structure.model_template import ModelTemplate
from bayes_msem.structure.response_template import ResponseTemplate

__all__ = ["effects_of_log_sds", "log_sds", "mean_residual_variances"]

FloatArray = NDArray[np.float64]

_MOST = 4_000_000  # numbers held at a time


def effects_of_log_sds(template: ResponseTemplate, b: FloatArray) -> FloatArray:
    """Take the random effects of log SDs (..., K) from sampled effects (..., n_b); or zeros."""
    own = template.effect[len(template.names) :]
    result = np.zeros((*b.shape[:-1], len(own)))
    for k, effect in enumerate(own):
        if effect >= 0:
            result[..., k] = b[..., effect]
    return result


def log_sds(
    template: ResponseTemplate, values: FloatArray, design: FloatArray, parts: FloatArray
) -> FloatArray:
    """Log SDs of scaled responses without their random effects, (..., n, K).

    Parameters
    ----------
    template
        Of the rows.
    values
        Value vectors (..., n_values).
    design
        (1, x) of the rows, (n, D).
    parts
        Parts of the normal outcomes that vary within clusters, (..., n, n_v); missing ones that
        have no coefficient do no harm.
    """
    coefficients = template.log_sd_coefficients(values)
    first = len(template.level.design)
    of_design, of_parts = coefficients[..., : design.shape[1]], coefficients[..., first:]
    found: FloatArray = np.einsum("nd,...kd->...nk", design, of_design)
    for v in np.flatnonzero((of_parts != 0).any(axis=tuple(range(of_parts.ndim - 1)))):
        found = found + parts[..., v, None] * of_parts[..., None, :, v]
    return found


def mean_residual_variances(
    template: ModelTemplate, values: FloatArray, b: FloatArray | None, design: FloatArray
) -> FloatArray:
    """Residual variances of scaled responses, averaged over rows of one cluster, (n, K).

    Parameters
    ----------
    template
        Of the model.
    values
        Value vectors of the cluster, (n, n_values).
    b
        Its sampled effects (n, n_b); None in single-level models.
    design
        (1, x) of the rows to average over, (N, D).
    """
    rows = template.responses
    assert rows is not None
    coefficients = rows.log_sd_coefficients(values)
    first, level = len(rows.level.design), level_matrices(template.within, values)
    of_design, of_parts = coefficients[..., : design.shape[1]], coefficients[..., first:]
    at = [template.within.names.index(name) for name in rows.normal]
    means = level.coefficients[:, at]  # (n, n_v, D)
    spread = level.covariance[:, at][:, :, at]
    slopes = of_design + np.einsum("nkv,nvd->nkd", of_parts, means)
    constant = 2.0 * np.einsum("nkv,nvw,nkw->nk", of_parts, spread, of_parts)
    if b is not None:
        constant = constant + 2.0 * effects_of_log_sds(rows, b)
    result = np.empty(constant.shape)
    step = max(1, _MOST // max(len(design) * slopes.shape[1], 1))
    for start in range(0, len(values), step):
        some = slice(start, start + step)
        exponent = 2.0 * np.einsum("nkd,id->nki", slopes[some], design)
        result[some] = np.exp(exponent).mean(axis=-1) * np.exp(constant[some])
    return result
