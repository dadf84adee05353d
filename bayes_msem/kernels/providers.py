"""The providers of the likelihood, behind one signature.

(x, t, ints, floats, statistics, approximation) -> value, gradients with respect to x and t:
sampled parameters x and coordinates t of sampled effects (no columns where none are), a packed
structure (kernels.layout), packed statistics of the provider (kernels.statistics) and the packed
approximation behind the coordinates (kernels.coordinates; empty where no effects are sampled).
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels import (
    augmented,
    by_cluster,
    by_pattern,
    by_size,
    by_vector,
    centring,
    nested_clusters,
    nested_sizes,
)
from bayes_msem.kernels.by_address import OF_EFFECTS, OF_PARAMETERS, OF_SCORES
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.statistics import has_vectors

__all__ = ["DATA", "JOINT"]

_by_size = by_size.value_and_gradient
_by_vector = by_vector.value_and_gradient
_by_pattern = by_pattern.value_and_gradient
_by_cluster = by_cluster.value_and_gradient
_nested_clusters = nested_clusters.value_and_gradient
_nested_sizes = nested_sizes.value_and_gradient


@kernel
def size_density(x, t, ints, floats, statistics, approximation):
    """Log p(y, z | theta) from statistics by size, of both kinds."""
    if has_vectors(statistics):
        value, d_x = _by_vector(x, ints, floats, statistics)
    else:
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


@kernel
def nested_density(x, t, ints, floats, statistics, approximation):
    """Log p(y, z2, z3 | theta) of a three-level model from statistics by cluster."""
    value, d_x = _nested_clusters(x, ints, floats, statistics)
    return value, d_x, np.zeros_like(t)


@kernel
def nested_size_density(x, t, ints, floats, statistics, approximation):
    """Log p(y, z2, z3 | theta) of a three-level model from statistics by size."""
    value, d_x = _nested_sizes(x, ints, floats, statistics)
    return value, d_x, np.zeros_like(t)


DATA = {
    "size": size_density,
    "pattern": pattern_density,
    "cluster": cluster_density,
    "sampled": centring.sampled_value_and_gradient,
    "nested": nested_density,
    "nested size": nested_size_density,
}
"""Log p(y, z | b(t, theta), theta), behind one signature: for graphs of PyTensor."""

JOINT = {
    "size": (by_size.value_and_gradient, OF_PARAMETERS),
    "vector": (by_vector.value_and_gradient, OF_PARAMETERS),
    "pattern": (by_pattern.value_and_gradient, OF_PARAMETERS),
    "cluster": (cluster_density, OF_EFFECTS),
    "sampled": (centring.joint_value_and_gradient, OF_EFFECTS),
    "augmented": (augmented.joint_value_and_gradient, OF_SCORES),
    "nested": (nested_clusters.value_and_gradient, OF_PARAMETERS),
    "nested size": (nested_sizes.value_and_gradient, OF_PARAMETERS),
}
"""Log p(y, z, t | theta), and its signature; "vector" are statistics by size as vectors."""
