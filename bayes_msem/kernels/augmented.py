"""The likelihood of models with outcomes that are not normal: effects and scores are sampled.

The effects b_j of all clusters that reach rows with such outcomes are sampled in the coordinates of
kernels.centring, the scores of their rows in those of kernels.row_scores:

    log p(y, z, t_b, t_s | theta) = log p(z, t_b | theta) + sum_ij row terms(b_j(t_b), t_s)
                                     + sum_j log p(z*_j | b_j) ,

with z* the outcomes of clusters that are not normal (kernels.cluster_terms). The first part is
that of kernels.centring for clusters without rows: the structure has no outcomes at level 1, which
stand in the structure of the rows. A single-level model has one group of rows, and no clusters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayes_msem.kernels.by_cluster import add_clusters
from bayes_msem.kernels.centring import log_jacobian, prior_backward, prior_forward, start
from bayes_msem.kernels.cluster_terms import (
    add_cluster_responses,
    add_clusters_say,
    add_clusters_say_back,
    working_of_clusters,
)
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.lanes import (
    fill_empty_lanes,
    from_lanes,
    in_lanes,
    lanes_matrix,
)
from bayes_msem.kernels.layout import unpack
from bayes_msem.kernels.level_two import LOG_2PI, gradients_of, level_two, level_two_back
from bayes_msem.kernels.row_layout import RowGradients, row_data, row_structure
from bayes_msem.kernels.row_pass import add_rows, scores_of
from bayes_msem.kernels.row_working import add_shifts, add_shifts_back, working_of


class RowPart(NamedTuple):
    """Packed structure of the rows, and the rows (likelihood.response_rows)."""

    ints: Any
    floats: Any


@kernel
def _add_clusters(near, n_clusters, items, values, data, shift):
    """Add what the clusters' responses say to the approximation."""
    n, n_b = near.eta2.shape
    more_info, more_eta2 = np.zeros((n_clusters, n_b * n_b)), np.zeros((n_clusters, n_b))
    add_clusters_say(values, items, data, shift, more_info, more_eta2)
    more_info_l, more_eta2_l = in_lanes(more_info), in_lanes(more_eta2)
    for g in range(n):
        for i in range(n_b):
            near.eta2[g, i] += more_eta2_l[g, i]
            for m in range(n_b):
                near.info[g, i, m] += more_info_l[g, i * n_b + m]


@kernel
def joint_value_and_gradient(x, t, t_s, ints, floats, statistics, packed, rows):
    """Log p(y, z, t_b, t_s | theta) and its gradients with respect to x, t_b and t_s.

    Parameters
    ----------
    x : (n_theta,) array
        Sampled parameters and constrained rows.
    t : (J, n_b) array
        Coordinates of the effects.
    t_s : (N, q + M) array
        Coordinates of the scores and of carried responses.
    ints, floats, statistics, packed
        As in kernels.centring.
    rows : RowPart
        The rows.

    Returns
    -------
    tuple of (float, array, array, array, array)
        The value, the gradients, and the terms of the clusters' rows.
    """
    outline = row_structure(rows.ints)
    data = row_data(rows.floats, outline)
    terms, d_t_s = np.zeros(len(data.first) - 1), np.zeros_like(t_s)
    if len(t) == 0:
        structure = unpack(ints, floats)
        top = level_two(x, structure)
        d, b = gradients_of(x, top, 0, 0), np.zeros((1, 0))
        result = RowGradients(terms, d.x, d.values, np.zeros((1, 0)), d_t_s)
        positive = add_rows(x, b, t_s, structure, top.values, outline, data, result)
        total = terms.sum() if positive else -np.inf
        level_two_back(x, structure, top, d.omega, d.c, d.values, d.x)
        return total, d.x, np.zeros_like(t), d_t_s, terms
    structure, top, w, near, t_l, given, space = start(x, t, ints, floats, statistics, packed)
    n_clusters, n_b, n, of_root = len(t), t.shape[1], len(t_l), near.n_z > 0
    d = gradients_of(x, top, n, n_b)
    add_shifts(outline, top.values, near.shift)
    shift, n_wanted = np.zeros(n_b), n if len(outline.top.code) > 0 else 0
    add_shifts(outline, top.values, shift)
    if n_wanted > 0:
        _add_clusters(near, n_clusters, outline.top, top.values, data, shift)
    if not prior_forward(top, t_l, w, near, given, space):
        return -np.inf, d.x, np.zeros_like(t), d_t_s, terms
    fill_empty_lanes(space.b, n_clusters)
    ones, clusters, d_t = lanes_matrix(n, 1), lanes_matrix(n, 1), lanes_matrix(n, n_b)
    for g in range(n):
        ones[g, 0] += 1.0
    total = add_clusters(x, space.b, structure, statistics, top, not of_root, ones, clusters, d)
    b, d_b = from_lanes(space.b, n_clusters), np.zeros_like(t)
    result = RowGradients(terms, d.x, d.values, d_b, d_t_s)
    if total == -np.inf or not add_rows(x, b, t_s, structure, top.values, outline, data, result):
        return -np.inf, d.x, np.zeros_like(t), d_t_s, terms
    add_cluster_responses(b, top.values, outline.top, data, terms, d_b, d.values)
    d_b_l = in_lanes(d_b)
    for g in range(n):
        for i in range(n_b):
            d.effects[g, i] += d_b_l[g, i]
    total += terms.sum() + log_jacobian(near.n_z, w, given, space, of_root)
    if not of_root:
        total -= 0.5 * n_clusters * n_b * LOG_2PI
    d_shift = np.zeros(n_b)
    d_info, d_eta2 = lanes_matrix(n_wanted, n_b * n_b), lanes_matrix(n_wanted, n_b)
    prior_backward(
        t_l, w, near, given, space, d.effects, 1.0, of_root, d_t, d_shift, d_info, d_eta2, d
    )
    if n_wanted > 0:
        add_clusters_say_back(
            top.values, outline.top, data, shift,
            from_lanes(d_info, n_clusters), from_lanes(d_eta2, n_clusters), d_shift, d.values,
        )  # fmt: skip
    add_shifts_back(outline, d_shift, d.values)
    level_two_back(x, structure, top, d.omega, d.c, d.values, d.x)
    return total, d.x, from_lanes(d_t, n_clusters), d_t_s, terms


@kernel
def scores_at(x, b, t_s, ints, floats, rows):
    """Return scores (N, q), predictors (N, K) and carried y* (N, M) at b and t_s."""
    structure = unpack(ints, floats)
    outline = row_structure(rows.ints)
    values = level_two(x, structure).values
    return scores_of(x, b, t_s, structure, values, outline, row_data(rows.floats, outline))


@kernel
def rows_given(x, b, t_s, ints, floats, rows):
    """Terms of the rows of all clusters, with the gradients of their sum in b and t_s."""
    structure = unpack(ints, floats)
    outline = row_structure(rows.ints)
    data, values = row_data(rows.floats, outline), level_two(x, structure).values
    terms, d_x, d_values = np.zeros(len(data.first) - 1), np.zeros(len(x)), np.zeros(len(values))
    result = RowGradients(terms, d_x, d_values, np.zeros_like(b), np.zeros_like(t_s))
    if not add_rows(x, b, t_s, structure, values, outline, data, result):
        terms[:] = -np.inf
    return terms, result.b, result.t


@kernel
def clusters_given(x, b, ints, floats, rows):
    """Terms (J,) of the clusters' responses at effects b, and their gradients (J, n_b)."""
    structure = unpack(ints, floats)
    outline = row_structure(rows.ints)
    data, values = row_data(rows.floats, outline), level_two(x, structure).values
    terms = np.zeros(len(data.z))
    d_b, d_values = np.zeros_like(b), np.zeros(len(values))
    add_cluster_responses(b, values, outline.top, data, terms, d_b, d_values)
    return terms, d_b


@kernel
def clusters_say(x, n_b, shift, ints, floats, rows):
    """Information (J, n_b, n_b) and linear terms (J, n_b) of the clusters' responses about b."""
    structure = unpack(ints, floats)
    outline = row_structure(rows.ints)
    data, values = row_data(rows.floats, outline), level_two(x, structure).values
    info, linear = np.zeros((len(data.z), n_b * n_b)), np.zeros((len(data.z), n_b))
    add_clusters_say(values, outline.top, data, shift, info, linear)
    return info.reshape((len(data.z), n_b, n_b)), linear


@kernel
def clusters_working_at(x, b, ints, floats, rows):
    """Working weights and working responses (J, K) of the clusters' responses at effects b."""
    structure = unpack(ints, floats)
    outline = row_structure(rows.ints)
    values = level_two(x, structure).values
    return working_of_clusters(b, values, outline.top, row_data(rows.floats, outline))


@kernel
def working_at(x, eta, ints, floats, rows):
    """Working weights and working responses (N, K) at linear predictors eta."""
    structure = unpack(ints, floats)
    outline = row_structure(rows.ints)
    values = level_two(x, structure).values
    return working_of(eta, values, outline, row_data(rows.floats, outline))
