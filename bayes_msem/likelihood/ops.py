"""PyTensor operations around the kernels.

``LogLikelihood`` returns the log-likelihood *and* its gradients, and its pullback multiplies those
further outputs: PyTensor merges equal nodes, so log density plus gradient cost one kernel call.
``SufficientStatistics`` turns the raw observed array into the vector the kernel reads; with
constant data PyTensor folds it away once, before compilation.
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

from bayes_msem.kernels.centring import coordinate_density
from bayes_msem.kernels.compile import KERNEL_VERSION, read_only
from bayes_msem.kernels.providers import DATA
from bayes_msem.likelihood.statistics import Provider


class SufficientStatistics(Op):
    """Packed sufficient statistics of an observed array of shape (N, P).

    Parameters
    ----------
    reduce
        Function from the observed array to the packed vector (see
        :meth:`bayes_msem.likelihood.likelihood.Likelihood.pack`).
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


class LogLikelihood(Op):
    """Log-likelihood and its gradients.

    Inputs are x (n,), the coordinates t of sampled effects (J, n_b), and what the kernels of the
    provider read besides (likelihood.Likelihood.arguments). Outputs are the scalar log-likelihood
    and its gradients with respect to x and t.

    Parameters
    ----------
    provider
        What the likelihood is computed from (likelihood.statistics).
    part
        "data": log p(y, z | b, theta). "effects": log p(t | theta).
    """

    __props__ = ("part", "provider")

    def __init__(self, provider: Provider, part: Literal["data", "effects"] = "data") -> None:
        self.provider = provider
        self.part = part

    @property
    def kernel(self) -> Any:
        """The compiled function."""
        return DATA[self.provider] if self.part == "data" else coordinate_density

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """Build the graph node."""
        variables = [pt.as_tensor_variable(v) for v in inputs]
        return Apply(self, variables, [pt.dscalar(), pt.dvector(), pt.dmatrix()])

    def perform(self, node: Apply[Any], inputs: list[Any], output_storage: list[list[Any]]) -> None:
        """Call the kernel."""
        value, d_x, d_t = self.kernel(*(np.ascontiguousarray(v) for v in inputs))
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


@register_funcify_default_op_cache_key(LogLikelihood)
def _numba_log_likelihood(op: LogLikelihood, node: Apply[Any], **_: Any) -> Any:
    call = op.kernel

    @numba_njit
    def log_likelihood(x, t, ints, floats, statistics, approximation):
        # the types that all callers use: kernels are compiled once
        value, d_x, d_t = call(
            np.ascontiguousarray(x),
            np.ascontiguousarray(t),
            read_only(np.ascontiguousarray(ints)),
            read_only(np.ascontiguousarray(floats)),
            read_only(np.ascontiguousarray(statistics)),
            read_only(np.ascontiguousarray(approximation)),
        )
        return np.asarray(value), d_x, d_t

    return log_likelihood, KERNEL_VERSION
