"""PyTensor operations around the kernels.

``LogLikelihood`` and ``JointDensity`` return a log density *and* its gradients, and their pullback
multiplies those further outputs: PyTensor merges equal nodes, so log density plus gradient cost one
kernel call.
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

from bayes_msem.kernels.augmented import RowPart
from bayes_msem.kernels.augmented import joint_value_and_gradient as joint_with_scores
from bayes_msem.kernels.by_address import OF_EFFECTS, OF_SCORES
from bayes_msem.kernels.centring import coordinate_density
from bayes_msem.kernels.compile import KERNEL_VERSION, read_only
from bayes_msem.kernels.providers import DATA
from bayes_msem.likelihood.by_name import effects_kernel, name_of, scores_kernel
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


class _Density(Op):
    """A scalar and its gradients with respect to the first ``n_differentiated`` inputs."""

    n_differentiated: int
    kernel: Any

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """Build the graph node."""
        variables = [pt.as_tensor_variable(v) for v in inputs]
        gradients = [v.type() for v in (pt.dvector(), *self.n_matrices * [pt.dmatrix()])]
        return Apply(self, variables, [pt.dscalar(), *gradients])

    @property
    def n_matrices(self) -> int:
        """Number of differentiated inputs behind x, all matrices."""
        return self.n_differentiated - 1

    def perform(self, node: Apply[Any], inputs: list[Any], output_storage: list[list[Any]]) -> None:
        """Call the kernel."""
        value, *gradients = self.kernel(*(np.ascontiguousarray(v) for v in inputs))
        output_storage[0][0] = np.asarray(value)
        for storage, gradient in zip(output_storage[1:], gradients, strict=True):
            storage[0] = gradient

    def infer_shape(self, node: Apply[Any], input_shapes: Any) -> list[Any]:
        """Scalar, and the shapes of the differentiated inputs."""
        return [(), *input_shapes[: self.n_differentiated]]

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """Gradient of the first output; the others are never differentiated."""
        rest = [disconnected_type() for _ in inputs[self.n_differentiated :]]
        return [*(cotangents[0] * slope for slope in outputs[1:]), *rest]

    def connection_pattern(self, node: Apply[Any]) -> list[list[bool]]:
        """Only the first inputs carry a gradient, and only to the scalar."""
        n = self.n_differentiated
        return [[i < n, *n * [False]] for i in range(len(node.inputs))]


class LogLikelihood(_Density):
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
    n_differentiated = 2

    def __init__(self, provider: Provider, part: Literal["data", "effects"] = "data") -> None:
        self.provider = provider
        self.part = part

    @property
    def kernel(self) -> Any:
        """The compiled function."""
        return DATA[self.provider] if self.part == "data" else coordinate_density


class JointDensity(_Density):
    """Log density of data and coordinates of models with outcomes that are not normal.

    Inputs are x (n,), the coordinates t of effects (J, n_b) and t_s of scores (N, q), then
    likelihood.Likelihood.arguments and the two arrays of the rows (likelihood.response_rows).
    Outputs are log p(y, z, t, t_s | theta) and its gradients with respect to x, t and t_s.
    """

    __props__ = ()
    n_differentiated = 3

    def kernel(self, *inputs: Any) -> Any:
        """Call the compiled function, whose last output is of no use here."""
        return joint_with_scores(*inputs[:-2], RowPart(*inputs[-2:]))[:4]


@register_funcify_default_op_cache_key(LogLikelihood)
def _numba_log_likelihood(op: LogLikelihood, node: Apply[Any], **_: Any) -> Any:
    name = name_of(op.kernel, OF_EFFECTS)

    @numba_njit
    def log_likelihood(x, t, ints, floats, statistics, approximation):
        # the types that all callers use: kernels are compiled once
        arguments = (
            np.ascontiguousarray(x),
            np.ascontiguousarray(t),
            read_only(np.ascontiguousarray(ints)),
            read_only(np.ascontiguousarray(floats)),
            read_only(np.ascontiguousarray(statistics)),
            read_only(np.ascontiguousarray(approximation)),
        )
        value, d_x, d_t = effects_kernel(name, arguments)
        return np.asarray(value), d_x, d_t

    return log_likelihood, KERNEL_VERSION


@register_funcify_default_op_cache_key(JointDensity)
def _numba_joint_density(op: JointDensity, node: Apply[Any], **_: Any) -> Any:
    name = name_of(joint_with_scores, OF_SCORES)

    @numba_njit
    def joint_density(x, t, t_s, ints, floats, statistics, approximation, row_ints, row_floats):
        rows = RowPart(
            read_only(np.ascontiguousarray(row_ints)), read_only(np.ascontiguousarray(row_floats))
        )
        arguments = (
            np.ascontiguousarray(x),
            np.ascontiguousarray(t),
            np.ascontiguousarray(t_s),
            read_only(np.ascontiguousarray(ints)),
            read_only(np.ascontiguousarray(floats)),
            read_only(np.ascontiguousarray(statistics)),
            read_only(np.ascontiguousarray(approximation)),
            rows,
        )
        value, d_x, d_t, d_t_s, _ = scores_kernel(name, arguments)
        return np.asarray(value), d_x, d_t, d_t_s

    return joint_density, KERNEL_VERSION
