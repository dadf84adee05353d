"""The marginal log-likelihood: values -> implied moments -> groups, and back.

One kernel serves all models: the structure arrives packed in an integer and a float vector, the
data as a vector of sufficient statistics, so that it is compiled once (and cached on disk), not
once per model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.moments import Moments
from bayes_msem.data.readonly import ReadOnlyArrays, frozen
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.groups import group_log_likelihood
from bayes_msem.kernels.transform import backward as transform_backward
from bayes_msem.kernels.transform import forward as transform_forward
from bayes_msem.likelihood.packing import (
    floats_at,
    integers,
    level_arrays,
    level_backward,
    level_forward,
    pack,
)
from bayes_msem.structure.parameters import Parameters
from bayes_msem.structure.templates import Templates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Packed integer arrays, in this order; the header of ``ints`` holds their N_INTS + 1 offsets.
# sizes = (p, P, D, n_theta, m_within, m_between, recursive_within, recursive_between)
(
    SIZES,
    TRANSFORM,
    BLOCK_SIZE,
    SD_SOURCE,
    EDGE_COUNT,
    EDGE_ROW,
    EDGE_COLUMN,
    EDGE_POSITION,
    VARIABLE_W,
    POSITION_W,
    B_W,
    PSI_W,
    K_W,
    VARIABLE_B,
    POSITION_B,
    B_B,
    PSI_B,
    K_B,
) = range(18)
N_INTS = 18
# Packed float arrays: constants, sd_constant.
CONSTANTS, SD_CONSTANT = range(2)
N_FLOATS = 2


@dataclass(frozen=True, slots=True)
class Program(ReadOnlyArrays):
    """A model structure packed for the kernel.

    Attributes
    ----------
    ints, floats
        See the constants of this module.
    n_theta
        Length of theta (and of x): free parameters and constrained rows.
    """

    ints: IntArray
    floats: FloatArray
    n_theta: int


def build_program(templates: Templates, parameters: Parameters) -> Program:
    """Pack templates and parameter transforms for the kernel."""
    blocks = parameters.blocks
    between = templates.between
    sizes = np.array(
        [
            templates.p,
            len(templates.outcomes),
            len(templates.design),
            templates.n_theta,
            len(templates.within.names),
            len(between.names) if between else 0,
            templates.within.recursive,
            between.recursive if between else True,
        ],
        dtype=np.int64,
    )
    ints = [
        sizes,
        parameters.transform,
        blocks.size,
        blocks.sd_source,
        blocks.edge_count,
        blocks.edge_row,
        blocks.edge_column,
        blocks.edge_position,
        *level_arrays(templates.within),
        *level_arrays(between),
    ]
    return Program(
        ints=pack(ints, np.int64),
        floats=pack([templates.constants, blocks.sd_constant], np.float64),
        n_theta=templates.n_theta,
    )


def pack_moments(moments: Moments) -> FloatArray:
    """Flatten sufficient statistics into the vector that the kernel reads.

    Layout: number of groups, constant, center (P + D), weight, between, within (G each), cross
    products (G x (P + D) x (P + D)).
    """
    return frozen(
        np.concatenate(
            [
                [len(moments.weight), moments.constant],
                moments.center,
                moments.weight,
                moments.between,
                moments.within,
                moments.cross.ravel(),
            ]
        ).astype(np.float64)
    )


@kernel
def cell_values(theta, ints, floats):
    """Value vector (theta, constants) that the cells of the templates point into."""
    n_theta, constants = integers(ints, SIZES)[3], floats_at(floats, CONSTANTS)
    values = np.empty(n_theta + len(constants))
    values[:n_theta] = theta
    values[n_theta:] = constants
    return values


@kernel
def implied_arrays(theta, ints, floats):
    """Return Sigma_w, Sigma_b (P, P) and the transposed mean coefficients (D, P)."""
    sizes, values = integers(ints, SIZES), cell_values(theta, ints, floats)
    sigma_w, sigma_b = np.zeros((sizes[1], sizes[1])), np.zeros((sizes[1], sizes[1]))
    c = np.zeros((sizes[2], sizes[1]))
    level_forward(VARIABLE_W, sizes[4], sizes[6] == 1, values, ints, sigma_w, c)
    level_forward(VARIABLE_B, sizes[5], sizes[7] == 1, values, ints, sigma_b, c)
    return sigma_w, sigma_b, c


@kernel
def value_and_gradient(theta, ints, floats, moments):
    """Log-likelihood at table values ``theta`` and its gradient.

    Parameters
    ----------
    theta : (n_theta,) array
        Values of the free parameters (variances and covariances as in the table) and of
        constrained rows.
    ints, floats
        A packed :class:`Program`.
    moments
        Packed sufficient statistics.

    Returns
    -------
    tuple of (float, (n_theta,) array)
    """
    sizes, values = integers(ints, SIZES), cell_values(theta, ints, floats)
    p, n_outcomes, n_design, n_theta = sizes[0], sizes[1], sizes[2], sizes[3]
    sigma_w, sigma_b = np.zeros((n_outcomes, n_outcomes)), np.zeros((n_outcomes, n_outcomes))
    c = np.zeros((n_design, n_outcomes))
    t_w, a_w, inverse_w = level_forward(
        VARIABLE_W, sizes[4], sizes[6] == 1, values, ints, sigma_w, c
    )
    t_b, a_b, inverse_b = level_forward(
        VARIABLE_B, sizes[5], sizes[7] == 1, values, ints, sigma_b, c
    )

    n_groups, n_all = int(moments[0]), n_outcomes + n_design
    center, rest = moments[2 : 2 + n_all], moments[2 + n_all :]
    weight, between = rest[:n_groups], rest[n_groups : 2 * n_groups]
    within = rest[2 * n_groups : 3 * n_groups]
    cross = rest[3 * n_groups :].reshape((n_groups, n_all, n_all))
    # the data are centred: shift the intercepts accordingly
    for o in range(n_outcomes):
        shift = -center[o]
        for d in range(1, n_design):
            shift += c[d, o] * center[n_outcomes + d]
        c[0, o] += shift

    d_sigma_w, d_sigma_b = np.zeros((n_outcomes, n_outcomes)), np.zeros((n_outcomes, n_outcomes))
    d_c, gradient = np.zeros((n_design, n_outcomes)), np.zeros(len(values))
    total = group_log_likelihood(
        p, weight, between, within, cross, sigma_b, sigma_w, c, d_sigma_b, d_sigma_w, d_c
    )
    if total == -np.inf:
        return total, gradient[:n_theta]
    for o in range(n_outcomes):
        for d in range(1, n_design):
            d_c[d, o] += d_c[0, o] * center[n_outcomes + d]
    first, m, recursive = VARIABLE_W, sizes[4], sizes[6] == 1
    d_t, h = np.zeros((m, n_outcomes)), np.empty((m, n_outcomes))
    level_backward(
        first, m, recursive, values, ints, t_w, a_w, inverse_w, d_sigma_w, d_c, d_t, h, gradient
    )
    first, m, recursive = VARIABLE_B, sizes[5], sizes[7] == 1
    d_t, h = np.zeros((m, n_outcomes)), np.empty((m, n_outcomes))
    level_backward(
        first, m, recursive, values, ints, t_b, a_b, inverse_b, d_sigma_b, d_c, d_t, h, gradient
    )
    return total + moments[1], gradient[:n_theta]


@kernel
def _to_theta(x, ints, floats):
    theta = np.empty(len(x))
    transform_forward(
        x,
        integers(ints, TRANSFORM),
        integers(ints, BLOCK_SIZE),
        integers(ints, SD_SOURCE),
        floats_at(floats, SD_CONSTANT),
        integers(ints, EDGE_COUNT),
        integers(ints, EDGE_ROW),
        integers(ints, EDGE_COLUMN),
        integers(ints, EDGE_POSITION),
        theta,
    )
    return theta


@kernel
def sampler_value_and_gradient(x, ints, floats, moments):
    """Log-likelihood at sampled parameters ``x`` and its gradient (see structure.parameters)."""
    theta = _to_theta(x, ints, floats)
    value, d_theta = value_and_gradient(theta, ints, floats, moments)
    d_x = np.zeros(len(x))
    transform_backward(
        x,
        integers(ints, TRANSFORM),
        integers(ints, BLOCK_SIZE),
        integers(ints, SD_SOURCE),
        floats_at(floats, SD_CONSTANT),
        integers(ints, EDGE_COUNT),
        integers(ints, EDGE_ROW),
        integers(ints, EDGE_COLUMN),
        integers(ints, EDGE_POSITION),
        d_theta,
        d_x,
    )
    return value, d_x


@kernel
def theta_draws(x, ints, floats):
    """Table values for many draws: ``x`` has shape (draws, n_theta), as has the result."""
    theta = np.empty_like(x)
    for i in range(x.shape[0]):
        theta[i] = _to_theta(x[i], ints, floats)
    return theta


@kernel
def implied_draws(theta, ints, floats, n_outcomes):
    """Sigma_w and Sigma_b, each (draws, P, P), for many draws of theta (draws, n_theta)."""
    within = np.empty((theta.shape[0], n_outcomes, n_outcomes))
    between = np.empty((theta.shape[0], n_outcomes, n_outcomes))
    for i in range(theta.shape[0]):
        within[i], between[i], _ = implied_arrays(theta[i], ints, floats)
    return within, between
