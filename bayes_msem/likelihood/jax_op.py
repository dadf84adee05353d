"""The likelihood inside JAX, for the samplers that need it (numpyro, blackjax).

The kernel stays the compiled one on the host: JAX calls it back. Importing this module registers
the translation; it needs JAX, which is not a dependency of the package.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from pytensor.link.jax.dispatch.basic import jax_funcify

from bayes_msem.likelihood.marginal import sampler_value_and_gradient
from bayes_msem.likelihood.ops import MarginalLogLikelihood


def _call_kernel(*inputs: Any) -> tuple[Any, Any]:
    arrays = [np.ascontiguousarray(v) for v in inputs]
    value, gradient = sampler_value_and_gradient(*arrays)
    return np.asarray(value), gradient


@jax.custom_vjp
def _log_likelihood(x: Any, ints: Any, floats: Any, statistics: Any) -> tuple[Any, Any]:
    shapes = (jax.ShapeDtypeStruct((), "float64"), jax.ShapeDtypeStruct(x.shape, "float64"))
    result: tuple[Any, Any] = jax.pure_callback(
        _call_kernel, shapes, x, ints, floats, statistics, vmap_method="sequential"
    )
    return result


def _forward(*inputs: Any) -> tuple[tuple[Any, Any], Any]:
    value, gradient = _log_likelihood(*inputs)
    return (value, gradient), gradient


def _backward(gradient: Any, cotangents: tuple[Any, Any]) -> tuple[Any, None, None, None]:
    return cotangents[0] * gradient, None, None, None


_log_likelihood.defvjp(_forward, _backward)


@jax_funcify.register(MarginalLogLikelihood)
def _jax_marginal_log_likelihood(op: MarginalLogLikelihood, **_: Any) -> Any:
    return _log_likelihood
