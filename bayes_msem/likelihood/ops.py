"""PyTensor operations around the kernels.

``MarginalLogLikelihood`` returns the log-likelihood *and* its gradient, and its pullback
multiplies that second output: PyTensor merges equal nodes, so log density plus gradient cost one
kernel call. ``SufficientStatistics`` turns the raw observed array into the vector the kernel
reads; with constant data PyTensor folds it away once, before compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import (
    numba_njit,
    register_funcify_default_op_cache_key,
)

from bayes_msem.kernels.compile import KERNEL_VERSION, kernel
from bayes_msem.kernels.patterns import marginal_value_and_gradient
from bayes_msem.likelihood.centring import coordinate_density, sampled_value_and_gradient
from bayes_msem.likelihood.marginal import sampler_value_and_gradient


class SufficientStatistics(Op):
    """Packed sufficient statistics of an observed array of shape (N, P).

    Parameters
    ----------
    reduce
        Function from the observed array to the packed vector (see
        :func:`bayes_msem.likelihood.marginal.pack_moments`).
    """

    def __init__(self, reduce: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
        self.reduce = reduce

    def make_node(self, observed: Any) -> Apply[Any]:
        """Build the graph node."""
        return Apply(self, [pt.as_tensor_variable(observed)], [pt.dvector()])

    def perform(self, node: Apply[Any], inputs: list[Any], output_storage: list[list[Any]]) -> None:
        """Compute the statistics."""
        output_storage[0][0] = self.reduce(np.asarray(inputs[0], dtype=np.float64))

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Observed data are constants: no gradient."""
        return [disconnected_type()]

    def connection_pattern(self, node: Apply[Any]) -> list[list[bool]]:
        """Cut the gradient at the data."""
        return [[False]]


class MarginalLogLikelihood(Op):
    """Log-likelihood and gradient at sampled parameters x.

    Inputs are x (n,), the packed program (ints, floats) and the packed statistics; outputs are
    the scalar log-likelihood and its gradient (n,).
    """

    __props__ = ()

    def make_node(self, x: Any, ints: Any, floats: Any, statistics: Any) -> Apply[Any]:
        """Build the graph node."""
        inputs = [pt.as_tensor_variable(v) for v in (x, ints, floats, statistics)]
        return Apply(self, inputs, [pt.dscalar(), pt.dvector()])

    def perform(self, node: Apply[Any], inputs: list[Any], output_storage: list[list[Any]]) -> None:
        """Call the kernel."""
        value, gradient = sampler_value_and_gradient(*(np.ascontiguousarray(v) for v in inputs))
        output_storage[0][0] = np.asarray(value)
        output_storage[1][0] = gradient

    def infer_shape(self, node: Apply[Any], input_shapes: Any) -> list[Any]:
        """Scalar, and the shape of x."""
        return [(), input_shapes[0]]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Gradient of the first output; the second is never differentiated."""
        rest = [disconnected_type() for _ in inputs[1:]]
        return [cotangents[0] * outputs[1], *rest]

    def connection_pattern(self, node: Apply[Any]) -> list[list[bool]]:
        """Only x carries a gradient, and only to the log-likelihood."""
        return [[True, False], [False, False], [False, False], [False, False]]


class ClusterLogLikelihood(Op):
    """Log-likelihood of a model with random coefficients, and its gradients.

    Inputs are x (n,), the coordinates t of sampled effects (J, n_b), the packed program (ints,
    floats) and statistics, and the packed approximation behind the coordinates
    (likelihood.approximation). Outputs are the scalar log-likelihood and its gradients
    with respect to x and t.

    Parameters
    ----------
    part
        "data": log p(y, z | b, theta). "effects": log p(t | theta).
    """

    __props__ = ("part",)

    def __init__(self, part: Literal["data", "effects"]) -> None:
        self.part = part

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """Build the graph node."""
        variables = [pt.as_tensor_variable(v) for v in inputs]
        return Apply(self, variables, [pt.dscalar(), pt.dvector(), pt.dmatrix()])

    def perform(self, node: Apply[Any], inputs: list[Any], output_storage: list[list[Any]]) -> None:
        """Call the kernel."""
        arrays = [np.ascontiguousarray(v) for v in inputs]
        value, d_x, d_t = cluster_kernel(self.part)(*arrays)
        output_storage[0][0] = np.asarray(value)
        output_storage[1][0] = d_x
        output_storage[2][0] = d_t

    def infer_shape(self, node: Apply[Any], input_shapes: Any) -> list[Any]:
        """Scalar, and the shapes of x and t."""
        return [(), input_shapes[0], input_shapes[1]]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Gradient of the first output; the others are never differentiated."""
        rest = [disconnected_type() for _ in inputs[2:]]
        return [cotangents[0] * outputs[1], cotangents[0] * outputs[2], *rest]

    def connection_pattern(self, node: Apply[Any]) -> list[list[bool]]:
        """Only x and t carry a gradient, and only to the log-likelihood."""
        return [[i < 2, False, False] for i in range(len(node.inputs))]


@kernel
def _data_kernel(x, t, ints, floats, statistics, approximation):
    if t.shape[1] > 0:
        return sampled_value_and_gradient(x, t, ints, floats, statistics, approximation)
    return marginal_value_and_gradient(x, t, ints, floats, statistics)


def cluster_kernel(part: Literal["data", "effects"]) -> Any:
    """Return the kernel behind one part of :class:`ClusterLogLikelihood`."""
    return _data_kernel if part == "data" else coordinate_density


@register_funcify_default_op_cache_key(ClusterLogLikelihood)
def _numba_cluster_log_likelihood(op: ClusterLogLikelihood, node: Apply[Any], **_: Any) -> Any:
    call = cluster_kernel(op.part)

    @numba_njit
    def cluster_log_likelihood(x, t, ints, floats, statistics, approximation):
        data = np.ascontiguousarray(statistics)
        value, d_x, d_t = call(x, t, ints, floats, data, approximation)
        return np.asarray(value), d_x, d_t

    return cluster_log_likelihood, KERNEL_VERSION


@register_funcify_default_op_cache_key(MarginalLogLikelihood)
def _numba_marginal_log_likelihood(op: Op, node: Apply[Any], **_: Any) -> Any:
    @numba_njit
    def marginal_log_likelihood(x, ints, floats, statistics):
        # statistics of data that are not constant come from Python, with unknown layout
        data = np.ascontiguousarray(statistics)
        value, gradient = sampler_value_and_gradient(x, ints, floats, data)
        return np.asarray(value), gradient

    return marginal_log_likelihood, KERNEL_VERSION
