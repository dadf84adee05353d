"""Where chains start: around all modes that matter, one after the other.

Chain k starts around mode k mod (number of modes), in the order of their masses, twice as spread
out as the normal approximation there says. So R-hat can do its work whatever the units of the
data, and chains that do not leave their modes show it.

PyMC takes a list of starting points. nutpie asks for one per chain by a seed, in any order and
from several threads; the seeds follow from the random seed alone. They are therefore asked for
once in advance, with a model of one parameter that costs no compilation, on one core, where chains
start in their order. So the same random seed gives the same starting points.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import nutpie
from numpy.typing import NDArray
from nutpie.compiled_pyfunc import from_pyfunc

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.maximise import inverse_root
from bayes_msem.inference.modes import posterior_modes

__all__ = ["nutpie_seeds", "starts_at_modes"]

FloatArray = NDArray[np.float64]

_OVERDISPERSION = 2.0  # spread of starting points, in posterior standard deviations


def starts_at_modes(
    blueprint: Blueprint, seeds: Callable[[], Sequence[int]]
) -> Callable[[int | None], FloatArray]:
    """Return a function from the seed of a chain to unconstrained starting values.

    Parameters
    ----------
    blueprint
        A model without sampled effects.
    seeds
        Returns the seeds of the chains, in their order; asked only if there are several modes.
    """
    found = posterior_modes(blueprint)
    modes = found.sampled[: found.n_matter]
    roots = [inverse_root(-mode.hessian) for mode in modes]
    chain_of = {seed: k for k, seed in enumerate(seeds())} if len(modes) > 1 else {}

    def start(seed: int | None) -> FloatArray:
        # a sampler asks again with other seeds if a point has no density
        chain = chain_of.get(seed or 0, seed or 0)
        k = chain % len(modes)
        rng = np.random.default_rng(seed)
        noise: FloatArray = roots[k] @ rng.standard_normal(len(modes[k].position))
        return modes[k].position + _OVERDISPERSION * noise

    return start


def nutpie_seeds(chains: int, random_seed: int) -> list[int]:
    """Seeds with which nutpie asks for the starting points of its chains, in their order."""
    seen: list[int] = []

    def start(seed: int) -> FloatArray:
        seen.append(int(seed))
        return np.ones(1)

    def make_log_density() -> Callable[..., tuple[float, FloatArray]]:
        return lambda x, **_: (-0.5 * float(x @ x), -x)

    def make_expand(*_: Any, **__: Any) -> Callable[..., dict[str, FloatArray]]:
        return lambda x, **_: {"x": x}

    model = from_pyfunc(
        1,
        make_log_density,
        make_expand,
        [np.dtype(np.float64)],
        [(1,)],
        ["x"],
        make_initial_point_fn=start,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # ArviZ: more chains than draws
        nutpie.sample(
            model, draws=1, tune=1, chains=chains, cores=1, seed=random_seed, progress_bar=False
        )
    return seen
