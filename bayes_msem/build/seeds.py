"""Seeds of random numbers."""

from __future__ import annotations

import numpy as np

from bayes_msem.errors import SpecificationError


def seed_of(random_seed: int | None) -> int:
    """Return the seed, or a new one for None.

    Raises
    ------
    SpecificationError
        Not an integer, or negative.
    """
    if random_seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    is_integer = isinstance(random_seed, (int, np.integer)) and not isinstance(random_seed, bool)
    if not is_integer or random_seed < 0:
        raise SpecificationError(
            f"random_seed must be an integer of at least 0, or None, got {random_seed!r}"
        )
    return int(random_seed)
