"""Seeds of random numbers."""

from __future__ import annotations

import numpy as np

from bayes_msem.arguments import seed


def seed_of(random_seed: int | None) -> int:
    """Return the seed, or a new one for None.

    Raises
    ------
    SpecificationError
        Not an integer from 0 to 2**63 - 1.
    """
    if random_seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return seed("random_seed", random_seed)


def seeds_of_groups(seed: int, groups: int) -> list[int]:
    """Return a seed for each group."""
    return [int(s) for s in np.random.SeedSequence(seed).generate_state(groups)]
