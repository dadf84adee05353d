"""Fits without NUTS: draws from the normal approximation at the posterior mode.

The mode is taken in unconstrained coordinates, with the Jacobian, so that the approximation is of
the density NUTS would sample. With hundreds of rows it is close; where a test needs the posterior
itself, it says so and samples. No model graph is compiled, so a fit takes a fraction of a second.
"""

from __future__ import annotations

import numpy as np

import bayes_msem as bm
from bayes_msem.inference.density import support
from bayes_msem.inference.mode import unconstrained_mode
from tests.posterior.made_up import posterior_of, synthetic_fit


def laplace_fit(model: bm.Model, *, chains: int = 2, draws: int = 100, seed: int = 1) -> bm.Fit:
    """Fit a model without sampled effects."""
    assert not model.blueprint.n_sampled
    mode, _, converged, hessian = unconstrained_mode(model.blueprint, jacobian=True)
    assert converged
    root = np.linalg.cholesky(np.linalg.inv(-hessian))
    normals = np.random.default_rng(seed).standard_normal((chains * draws, len(mode)))
    u = mode + normals @ root.T
    bounds = support(model.blueprint)
    x = np.stack([bounds.to_constrained(row)[0] for row in u])
    posterior = posterior_of(model.blueprint, x.reshape(chains, draws, -1), seed)
    return synthetic_fit(model, posterior=posterior)
