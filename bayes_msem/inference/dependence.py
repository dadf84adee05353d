"""Which parts of level 2 depend on each other, whatever the parameters."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bayes_msem.blueprint.blueprint import Blueprint

Part = Literal["a", "z", "b"]


def depends(blueprint: Blueprint, one: Part, other: Part) -> bool:
    """Whether linear effects a, cluster-level variables z or sampled effects b covary.

    What is zero at arbitrary parameters is zero at all.
    """
    if not blueprint.observed.n_clusters:
        return False
    rng = np.random.default_rng(1)
    x = rng.uniform(0.6, 0.9, blueprint.parameters.n)
    extended = np.ascontiguousarray(blueprint.extend_sampled(x))
    omega = blueprint.likelihood.level_two(extended).Omega
    n_a, first = len(blueprint.template.effects.linear), blueprint.template.first_sampled
    parts = {"a": slice(n_a), "z": slice(n_a, first), "b": slice(first, None)}
    return bool((omega[parts[one], parts[other]] != 0.0).any())
