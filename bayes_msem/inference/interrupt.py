"""What Ctrl-C (or the stop button of a notebook) leaves of a fit.

Samplers answer an interrupt by returning what they have: chains of different lengths, filled up
with NaN (nutpie) or cut to equal length (PyMC), or none at all during tuning. A fit keeps what was
made, with a warning, because its user sees the warning. A fit that is a step of something else,
such as one of many refits, must not: its caller would go on with the next one, and a result would
be made of a few draws. So there are two answers, and :func:`all_or_nothing` asks for the second.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.errors import INSIDE, InterruptedWarning

__all__ = ["all_or_nothing", "interruptible"]

IntArray = NDArray[np.int64]

_DURING_TUNING = "sampling was interrupted before the first draw after tuning"
_NO_TRACE = "Not enough samples to build a trace"  # PyMC's words for the same

_part_is_enough: ContextVar[bool] = ContextVar("part_is_enough", default=True)


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """Let an interrupt of any fit inside end as KeyboardInterrupt, never as a shorter fit."""
    token = _part_is_enough.set(False)
    try:
        yield
    finally:
        _part_is_enough.reset(token)


def interruptible(sample: Callable[[], xr.DataTree], *, draws: int, chains: int) -> xr.DataTree:
    """Call a sampler, and answer if it was interrupted.

    Parameters
    ----------
    sample
        Runs the sampler.
    draws, chains
        How much it was asked for.

    Returns
    -------
    xarray.DataTree
        What the sampler returned, or as many complete draws of it as possible.

    Raises
    ------
    KeyboardInterrupt
        Interrupted before the first draw after tuning, or inside :func:`all_or_nothing`.

    Warns
    -----
    InterruptedWarning
        Interrupted later; says what is kept.
    """
    with warnings.catch_warnings():
        # ArviZ takes few draws, or none, for a wrong order of dimensions, once per variable
        warnings.filterwarnings("ignore", message="Found chain dimension to be longer than draw")
        try:
            tree = sample()
        except ValueError as error:
            if _NO_TRACE not in str(error):
                raise
            raise KeyboardInterrupt(_DURING_TUNING) from None
    made = complete_draws(tree)
    if len(made) >= chains and made.min(initial=draws) >= draws:
        return tree
    if made.max(initial=0) == 0:
        raise KeyboardInterrupt(_DURING_TUNING)
    if not _part_is_enough.get():
        raise KeyboardInterrupt("sampling was interrupted; a part of the draws is of no use here")
    kept, length = most_draws(made)
    warnings.warn(
        f"sampling was interrupted: {len(kept)} of {chains} chains with {length} of "
        f"{draws} draws each are kept; see convergence before you use them",
        InterruptedWarning,
        skip_file_prefixes=INSIDE,
    )
    groups = {
        node.path: _cut(node.to_dataset(inherit=False), kept, length) for node in tree.subtree
    }
    return xr.DataTree.from_dict(groups)


def complete_draws(tree: xr.DataTree) -> IntArray:
    """Count the draws of every chain; draws that were not made are NaN."""
    posterior = tree["posterior"].to_dataset()
    sizes = posterior.sizes["chain"], posterior.sizes["draw"]
    first = next(iter(posterior.data_vars.values())).transpose("chain", "draw", ...).to_numpy()
    missing = np.isnan(first).any(axis=tuple(range(2, first.ndim)))
    return (~missing).reshape(sizes).sum(axis=1)


def most_draws(made: IntArray) -> tuple[IntArray, int]:
    """Choose chains, and one length for them, such that most draws are kept."""
    longest = np.argsort(-made, kind="stable")
    kept = made[longest] * np.arange(1, len(made) + 1)
    chains = np.sort(longest[: int(kept.argmax()) + 1])
    return chains, int(made[chains].min())


def _cut(dataset: xr.Dataset, chains: IntArray, length: int) -> xr.Dataset:
    """Take chains and the first draws, and number the chains anew."""
    if "draw" not in dataset.dims:
        return dataset
    cut = dataset.isel(chain=chains, draw=slice(length))
    return cut.assign_coords(chain=np.arange(len(chains)))
