"""The likelihoods inside JAX, for the samplers that need it (numpyro, blackjax).

The kernels stay the compiled ones on the host: JAX calls them back, and takes their gradients from
the further outputs. Importing this module registers the translation; it needs JAX, which is not a
dependency of the package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from pytensor.link.jax.dispatch.basic import jax_funcify

from bayes_msem.likelihood.ops import LogLikelihood


def _callback(kernel: Callable[..., Any], n_differentiated: int) -> Any:
    """Wrap a kernel that returns a value and its gradients with respect to its first inputs."""

    def host(*inputs: Any) -> tuple[Any, ...]:
        value, *gradients = kernel(*(np.ascontiguousarray(v) for v in inputs))
        return (np.asarray(value), *gradients)

    @jax.custom_vjp
    def call(*inputs: Any) -> tuple[Any, ...]:
        shapes = [jax.ShapeDtypeStruct((), "float64")]
        shapes += [jax.ShapeDtypeStruct(v.shape, "float64") for v in inputs[:n_differentiated]]
        result: tuple[Any, ...] = jax.pure_callback(
            host, tuple(shapes), *inputs, vmap_method="sequential"
        )
        return result

    def forward(*inputs: Any) -> tuple[tuple[Any, ...], tuple[Any, int]]:
        outputs = call(*inputs)
        return outputs, (outputs[1:], len(inputs))

    def backward(saved: tuple[Any, int], cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
        gradients, n_inputs = saved
        rest = [None] * (n_inputs - n_differentiated)
        return (*(cotangents[0] * gradient for gradient in gradients), *rest)

    call.defvjp(forward, backward)
    return call


@jax_funcify.register(LogLikelihood)
def _jax_log_likelihood(op: LogLikelihood, **_: Any) -> Any:
    return _callback(op.kernel, 2)
