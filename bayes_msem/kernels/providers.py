"""The providers of the likelihood, behind one signature.

(x, t, ints, floats, statistics, approximation) -> value, gradients with respect to x and t:
sampled parameters x and coordinates t of sampled effects (no columns where none are), a packed
structure (kernels.layout), packed statistics of the provider (kernels.statistics) and the packed
approximation behind the coordinates (kernels.coordinates; empty where no effects are sampled).
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels import by_cluster, by_pattern, by_size, centring
from bayes_msem.kernels.compile import kernel

_by_size = by_size.value_and_gradient
_by_pattern = by_pattern.value_and_gradient
_by_cluster = by_cluster.value_and_gradient


@kernel
def size_density(x, t, ints, floats, statistics, approximation):
    """Log p(y, z | theta) from statistics by size."""
    value, d_x = _by_size(x, ints, floats, statistics)
    return value, d_x, np.zeros_like(t)


@kernel
def pattern_density(x, t, ints, floats, statistics, approximation):
    """Log p(y, z | theta) from statistics by pattern."""
    value, d_x = _by_pattern(x, ints, floats, statistics)
    return value, d_x, np.zeros_like(t)


@kernel
def cluster_density(x, t, ints, floats, statistics, approximation):
    """Log p(y, z | theta) from statistics by cluster, without sampled effects."""
    return _by_cluster(x, t, np.ones((t.shape[0], 1)), ints, floats, statistics)


DATA = {
    "size": size_density,
    "pattern": pattern_density,
    "cluster": cluster_density,
    "sampled": centring.sampled_value_and_gradient,
}
"""Log p(y, z | b(t, theta), theta)."""

JOINT = DATA | {"sampled": centring.joint_value_and_gradient}
"""Log p(y, z, t | theta)."""
