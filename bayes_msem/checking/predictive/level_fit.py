r"""How far data are from a draw of the model, level by level.

Level within. Outcomes and covariates are replaced by their residuals from the cluster's own
regression on all covariates with random effects (see design.py); m = N - (rank of it, summed over
clusters) independent rows are left, with covariance Sigma around C x. With whitened residuals
e = Sigma^-1/2 (y - C x), M = sum e e' / m, and M* the same after regressing e on the covariates,

    chi2_W = m [ tr M - log|M*| - p ]

is the likelihood-ratio statistic against an unrestricted covariance matrix and unrestricted
regressions. Without covariates it is the familiar m [ log|Sigma| + tr(S Sigma^-1) - log|S| - p ]
of the pooled within-cluster covariance matrix S.

Level between. The rows of a cluster give a least-squares estimate of its linear effects,
a_j + error with covariance H_j^-1 (Sigma as in the draw); where only intercepts vary these are the
cluster means, H_j^-1 = Sigma / n_j. Under the model v_j = (estimate, z_j, b_j) - mu_j has
covariance Omega + H_j^-1. With e_j its whitened form (see structure.py), M over clusters, and M*
after a regression on (1, w),

    chi2_B = J [ tr M - log|M*| - n_u ] .

In balanced data with random intercepts this is the likelihood-ratio statistic of the cluster means
given Sigma. Sampled effects b_j are not observed: they take their values in the draw. Clusters
whose rows do not identify all their effects are left out of the level between.

Both are zero at a perfect fit. Their reference distribution is the replicates', never a chi-square
table: parameters have a posterior, and clusters may be few.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps

import numpy as np
from numpy.typing import NDArray

from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.structure import Structure, gather_effects

FloatArray = NDArray[np.float64]


def once[Result](
    function: Callable[[Sample, Structure], Result],
) -> Callable[[Sample, Structure], Result]:
    """Let the structure keep what a function finds in a sample: several statistics start there."""

    @wraps(function)
    def kept(sample: Sample, structure: Structure) -> Result:
        found = structure.found.setdefault(function.__name__, [])
        for known, result in found:
            if known() is sample:
                same: Result = result
                return same
        result = function(sample, structure)
        found.append((weakref.ref(sample), result))  # samples keep structures, not the reverse
        return result

    return kept


@once
def within_moments(sample: Sample, structure: Structure) -> tuple[FloatArray, FloatArray]:
    """M of the level within, before and after regression on the covariates, both (p, p)."""
    design, white = sample.design, structure.whitener
    yy, xy = sample.swept_products
    xx, c = design.rest_products, structure.c[:, design.rest]
    cross = xy - xx @ c  # of the covariates with the residuals
    total = yy - _transposed(c) @ xy - _transposed(cross) @ c
    before = (white @ total @ _transposed(white)).sum(axis=0)
    slope = (white @ _transposed(cross)).sum(axis=0)
    after = before - slope @ design.rest_inverse @ slope.T
    return before / design.df_within, after / design.df_within


def chi_square_within(sample: Sample, structure: Structure) -> float:
    """Likelihood-ratio statistic of the level within."""
    before, after = within_moments(sample, structure)
    return sample.design.df_within * _divergence(before, after)


@once
def within_distances(sample: Sample, structure: Structure) -> FloatArray:
    """Sum of squares of the whitened residuals of every cluster, (J,)."""
    design, c = sample.design, structure.c[:, sample.design.rest]
    if design.shared:
        white = (sample.swept - design.rest_swept @ c[0]) @ structure.whitener[0].T
        return design.sums((white**2).sum(axis=1))
    yy, xy = sample.swept_products
    cross = xy - design.rest_products @ c
    total = yy - _transposed(c) @ xy - _transposed(cross) @ c
    distances: FloatArray = np.einsum("jpq,jqp->j", structure.precision, total)
    return distances


@once
def level_two_residuals(sample: Sample, structure: Structure) -> FloatArray:
    """Return v_j of every complete cluster, (J', n_u)."""
    design, effects = sample.design, sample.design.template.effects
    used = design.complete_clusters
    own = slice(None) if design.shared else used
    residual = sample.effect_products[used] - design.design_products[used] @ structure.c[own]
    place = np.searchsorted(design.columns, effects.use_column)
    # g[q] = l_q' Sigma^-1 residual of the column of q
    projected = structure.effect[own] @ structure.precision[own]
    g = (projected * residual[:, place]).sum(axis=2)
    estimate = np.einsum("jab,jb->ja", structure.error, gather_effects(g, design, 1))
    v = np.column_stack([estimate, sample.z[used], structure.b[used]])
    result: FloatArray = v - structure.mean[used]
    return result


@once
def level_two_scores(sample: Sample, structure: Structure) -> FloatArray:
    """Return v_j whitened: standard normal under the model, (J', n_u)."""
    v = level_two_residuals(sample, structure)
    scores: FloatArray = np.einsum("jab,jb->ja", structure.level_two_whitener, v)
    return scores


def between_distances(sample: Sample, structure: Structure) -> FloatArray:
    """Squared Mahalanobis distance of every complete cluster, (J',)."""
    distances: FloatArray = (level_two_scores(sample, structure) ** 2).sum(axis=1)
    return distances


def chi_square_between(sample: Sample, structure: Structure) -> float:
    """Likelihood-ratio statistic of the level between."""
    e = level_two_scores(sample, structure)
    design = sample.design
    w = design.observed.cluster_design[design.complete_clusters]
    slope = w.T @ e
    before = e.T @ e
    after = before - slope.T @ design.level_two_inverse @ slope
    return len(e) * _divergence(before / len(e), after / len(e))


def srmr_within(sample: Sample, structure: Structure) -> float:
    """Root mean square of standardised residual covariances of the level within."""
    return _root_mean_square(_standardised(*_covariances_within(sample, structure)))


def srmr_between(sample: Sample, structure: Structure) -> float:
    """Root mean square of standardised residual covariances of random intercepts and z."""
    return _root_mean_square(_standardised(*_covariances_between(sample, structure)))


def residual_correlations_within(sample: Sample, structure: Structure) -> FloatArray:
    """Standardised residual covariances of all pairs of outcomes."""
    residual = _standardised(*_covariances_within(sample, structure))
    return residual[np.tril_indices(len(residual), -1)]


def residual_correlations_between(sample: Sample, structure: Structure) -> FloatArray:
    """Standardised residual covariances of all pairs of random intercepts and z."""
    residual = _standardised(*_covariances_between(sample, structure))
    return residual[np.tril_indices(len(residual), -1)]


def _covariances_within(sample: Sample, structure: Structure) -> tuple[FloatArray, FloatArray]:
    """Covariance matrix of the residuals of the level within, and what the draw implies."""
    before, _ = within_moments(sample, structure)
    root = np.linalg.inv(structure.whitener[0])
    return root @ before @ root.T, structure.sigma[0]


def _covariances_between(sample: Sample, structure: Structure) -> tuple[FloatArray, FloatArray]:
    """Moment estimate of the covariances of random intercepts and z, and what the draw implies."""
    design, effects = sample.design, sample.design.template.effects
    n_a = len(effects.linear)
    v = level_two_residuals(sample, structure)[:, : n_a + sample.z.shape[1]]
    found = v.T @ v / len(v)
    found[:n_a, :n_a] -= structure.error.mean(axis=0)
    intercepts = [effects.linear.index(name) for name in design.observed.split_names]
    chosen = np.ix_(*[[*intercepts, *range(n_a, len(found))]] * 2)
    return found[chosen], structure.omega[chosen]


def _standardised(found: FloatArray, implied: FloatArray) -> FloatArray:
    """Residual covariances in implied SDs: moment estimates may have negative variances."""
    sd = np.sqrt(np.diag(implied))
    residual: FloatArray = (found - implied) / np.outer(sd, sd)
    return residual


def _root_mean_square(residual: FloatArray) -> float:
    """Root mean square over variances and covariances."""
    return float(np.sqrt((residual[np.tril_indices(len(residual))] ** 2).mean()))


def _divergence(before: FloatArray, after: FloatArray) -> float:
    """Return tr M - log|M*| - n."""
    sign, log_determinant = np.linalg.slogdet(after)
    return float(np.trace(before) - log_determinant - len(after)) if sign > 0 else np.inf


def _transposed(stack: FloatArray) -> FloatArray:
    return np.swapaxes(stack, 1, 2)
