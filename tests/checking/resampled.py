"""Fits without NUTS whose draws are from the posterior itself, for models without sampled effects.

Draws from the normal approximation at the mode are weighted by posterior over approximation, and
resampled (sampling/importance resampling, Rubin 1988). With few parameters that leaves most of
them, and the result is as good as so many, somewhat dependent draws of NUTS: no compilation.
"""

from __future__ import annotations

import numpy as np

import bayes_msem as bm
from bayes_msem.inference.density import log_posterior, support
from bayes_msem.inference.mode import unconstrained_mode
from tests.posterior.made_up import posterior_of, synthetic_fit

CHAINS = 2


def resampled_fit(
    model: bm.Model, *, draws: int = 400, proposals: int = 3000, seed: int = 1
) -> bm.Fit:
    """Fit a model without sampled effects: two chains of resampled draws."""
    blueprint = model.blueprint
    assert not blueprint.n_sampled
    mode, _, converged, hessian = unconstrained_mode(blueprint, jacobian=True)
    assert converged
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(np.linalg.inv(-hessian))
    # a t distribution of 10 degrees of freedom covers the tails
    normals = rng.standard_normal((proposals, len(mode)))
    scale = np.sqrt(10.0 / rng.chisquare(10.0, size=(proposals, 1)))
    z = normals * scale
    u = mode + z @ root.T
    bounds = support(blueprint)
    target = np.array([log_posterior(blueprint, row, jacobian=True)[0] for row in u])
    log_q = -0.5 * (10.0 + len(mode)) * np.log1p((z**2).sum(axis=1) / 10.0)
    weights = np.exp(target - log_q - (target - log_q).max())
    weights /= weights.sum()
    assert 1.0 / (weights**2).sum() > 0.3 * proposals
    ticks = (np.arange(CHAINS * draws) + rng.uniform()) / (CHAINS * draws)
    chosen = rng.permutation(np.searchsorted(np.cumsum(weights), ticks).clip(max=proposals - 1))
    x = bounds.to_constrained(u[chosen])[0]
    return synthetic_fit(model, posterior=posterior_of(blueprint, x.reshape(CHAINS, draws, -1), 1))
