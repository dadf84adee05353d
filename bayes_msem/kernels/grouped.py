r"""The likelihood of several groups: the sum of those of the groups.

    log p(y | x) = sum_g log p(y_g | x)

Every group has its own structure and data, and all read one vector x of sampled parameters; where
groups are equal, their structures point to the same entry. The likelihoods of the groups are called
at their address (kernels.by_address), so that the sum has the signature of one of them.

Packed, ``ints`` begins with the number of groups and seven numbers for each group: the address of
its likelihood, and the lengths of its ints, floats, statistics and approximation, then the first
and last of its clusters. Statistics begin with the number of all clusters. The arrays of the groups
follow, one after the other.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.by_address import OF_EFFECTS, OF_PARAMETERS, at_address
from bayes_msem.kernels.compile import kernel, stacked

__all__ = ["HEADER", "PER_GROUP", "SUM"]

HEADER, PER_GROUP = 1, 7

_of_parameters, _of_effects = at_address(OF_PARAMETERS), at_address(OF_EFFECTS)


@kernel
def sum_of_parameters(x, ints, floats, statistics):
    """Sum of log likelihoods, and its gradient with respect to x."""
    n_groups = ints[0]
    first, first_float, first_number = 1 + 7 * n_groups, 0, 1
    total, d_x = 0.0, np.zeros(len(x))
    for g in range(n_groups):
        at = 1 + 7 * g
        n_ints, n_floats, n_numbers = ints[at + 1], ints[at + 2], ints[at + 3]
        value, d_group = _of_parameters(
            ints[at],
            (
                x,
                stacked(ints, first, (n_ints,)),
                stacked(floats, first_float, (n_floats,)),
                stacked(statistics, first_number, (n_numbers,)),
            ),
        )
        total += value
        for i in range(len(x)):
            d_x[i] += d_group[i]
        first += n_ints
        first_float += n_floats
        first_number += n_numbers
    return total, d_x


@kernel
def sum_of_effects(x, t, ints, floats, statistics, approximation):
    """Sum of log densities of data and coordinates t, and gradients in x and t.

    The clusters of a group stand together in t.
    """
    n_groups = ints[0]
    first, first_float, first_number, first_part = 1 + 7 * n_groups, 0, 1, 0
    total, d_x, d_t = 0.0, np.zeros(len(x)), np.zeros(t.shape)
    for g in range(n_groups):
        at = 1 + 7 * g
        n_ints, n_floats, n_numbers = ints[at + 1], ints[at + 2], ints[at + 3]
        n_part, start, stop = ints[at + 4], ints[at + 5], ints[at + 6]
        own = t[start:stop].copy()
        value, d_group, d_own = _of_effects(
            ints[at],
            (
                x,
                own,
                stacked(ints, first, (n_ints,)),
                stacked(floats, first_float, (n_floats,)),
                stacked(statistics, first_number, (n_numbers,)),
                stacked(approximation, first_part, (n_part,)),
            ),
        )
        total += value
        for i in range(len(x)):
            d_x[i] += d_group[i]
        for j in range(stop - start):
            for k in range(t.shape[1]):
                d_t[start + j, k] = d_own[j, k]
        first += n_ints
        first_float += n_floats
        first_number += n_numbers
        first_part += n_part
    return total, d_x, d_t


SUM = {OF_PARAMETERS: sum_of_parameters, OF_EFFECTS: sum_of_effects}
"""The sum, by the signature of what is summed."""
