"""Plausible values: factors of a few posterior draws, one data set below the other."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import SpecificationError
from bayes_msem.posterior.frame_rows import data_rows
from bayes_msem.posterior.scores import within_score_draws

__all__ = ["evenly_spaced", "long_frame", "plausible_values"]


def evenly_spaced(draws: int, available: int) -> NDArray[np.intp]:
    """Positions of some draws among all, evenly spaced over the chains.

    Raises
    ------
    SpecificationError
        More are asked for than there are.
    """
    if not 1 <= draws <= available:
        raise SpecificationError(
            f"draws={draws} data sets cannot be made from {available} posterior draws; "
            f"use a number from 1 to {available}"
        )
    return np.linspace(0, available - 1, draws).round().astype(np.intp)


def long_frame(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put data sets below each other, numbered from 1 in a first column ``imputation``."""
    taken = [name for name in frames[0].columns if str(name) == "imputation"]
    if taken:
        raise SpecificationError(
            "the data have a column 'imputation', which numbers the data sets here; rename it"
        )
    numbered = []
    for i, frame in enumerate(frames, 1):
        part = frame.copy()
        part.insert(0, "imputation", i)
        numbered.append(part)
    return pd.concat(numbered)


def plausible_values(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: xr.Dataset | None,
    level: Literal["within", "between"],
    draws: int,
    random_seed: int,
) -> pd.DataFrame:
    """Draw factors, at evenly spaced posterior draws.

    Parameters
    ----------
    blueprint, posterior
        The model and the draws of its parameters.
    cluster_draws
        Draws of the clusters' effects; None in single-level models.
    level
        Whose factors.
    draws
        Number of data sets.
    random_seed
        Seed.

    Returns
    -------
    pandas.DataFrame
        Columns imputation, cluster (two-level models) and one per factor.
    """
    chains, per_chain = posterior.sizes["chain"], posterior.sizes["draw"]
    chosen = evenly_spaced(draws, chains * per_chain)
    some = _chosen(posterior, chosen, per_chain)
    known = None if cluster_draws is None else _chosen(cluster_draws, chosen, per_chain)
    observed = blueprint.observed
    index: pd.Index[Any]
    if level == "between":
        assert known is not None
        values = known["factors"].isel(chain=0).transpose("draw", "cluster_id", "between_factor")
        names = [str(name) for name in values["between_factor"].to_numpy()]
        index = pd.RangeIndex(len(observed.cluster_ids))
        clusters = observed.cluster_ids.array
    else:
        rows = data_rows(observed)
        drawn = within_score_draws(blueprint, some, known, rows, random_seed=random_seed)
        values = drawn.isel(chain=0).transpose("draw", "obs_id", "factor")
        names = [str(name) for name in values["factor"].to_numpy()]
        index = rows.row_index
        codes = observed.cluster
        clusters = None if codes is None else observed.cluster_ids.take(codes).array
    frames = []
    for block in values.to_numpy():
        frame = pd.DataFrame(block, index=index, columns=names)
        if clusters is not None:
            frame.insert(0, observed.cluster_name, clusters)
        frames.append(frame)
    return long_frame(frames)


def _chosen(data: xr.Dataset, at: NDArray[np.intp], per_chain: int) -> xr.Dataset:
    """Make one chain of some draws of all chains."""
    chain = xr.DataArray(at // per_chain, dims="draw")
    draw = xr.DataArray(at % per_chain, dims="draw")
    picked = data.drop_vars(["chain", "draw"]).isel(chain=chain, draw=draw)
    named = picked.expand_dims("chain").assign_coords(chain=[0], draw=np.arange(len(at)))
    return named.transpose("chain", "draw", ...)
