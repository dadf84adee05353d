"""Names, dimensions and coordinates of what is sampled, the same for every sampler."""

from __future__ import annotations

from typing import Any

from bayes_msem.blueprint.blueprint import Blueprint

# Names of the random variables behind sampled effects and sampled scores.
COORDINATES, SCORE_COORDINATES = "effect_coordinates", "score_coordinates"


def coords_of(blueprint: Blueprint) -> dict[str, list[Any]]:
    """Return the coordinates of every dimension of the random variables."""
    coords: dict[str, list[Any]] = {
        f"{group.name}_row": list(group.labels) for group in blueprint.parameters.groups
    }
    if blueprint.n_sampled:
        coords["cluster_id"] = [str(c) for c in blueprint.observed.cluster_ids]
        template = blueprint.parts[0].template if blueprint.parts else blueprint.template
        coords["sampled_effect"] = list(template.effects.sampled)
    responses = blueprint.likelihood.responses
    if responses is not None and responses.template.sampled:
        # positions of the rows in the data: they are sampled cluster by cluster
        coords["score_row"] = responses.order.tolist()
        coords["score"] = list(responses.template.sampled)
    return coords


def dimensions(blueprint: Blueprint) -> dict[str, tuple[str, ...]]:
    """Return the dimensions of every random variable."""
    dims: dict[str, tuple[str, ...]]
    dims = {group.name: (f"{group.name}_row",) for group in blueprint.parameters.groups}
    if blueprint.n_sampled:
        dims[COORDINATES] = ("cluster_id", "sampled_effect")
    if blueprint.likelihood.score_shape[1]:
        dims[SCORE_COORDINATES] = ("score_row", "score")
    return dims
