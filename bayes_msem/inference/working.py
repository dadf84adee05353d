r"""Coordinates of effects and scores of models with outcomes that are not normal.

At given parameters the modes of effects and scores are found together, by iteratively reweighted
least squares: the density of every response is replaced by the normal one that it looks like at the
current linear predictor (kernels.row_working.working_of), which gives the scores of a row in closed
form; with the scores integrated out by Laplace's method (their coordinates at zero), effects take a
Newton step towards

    sum_i log p(y_i, s_i(b) | b) - log|L_i| + log p(b | z) .

Responses of clusters add their own density, and are replaced by normal ones in the same way. What
the rows say about effects is then their part to second order, and coordinates are built on it, and
on the approximations of clusters' responses, as in inference.expansion. Derivatives in b are the
kernel's, second ones their differences. Log SDs that depend on the row are another matter:
inference.scaled_modes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.row_modes import RowModes
from bayes_msem.inference.scaled_modes import ScaledModes

FloatArray = NDArray[np.float64]

_STEPS, _SETTLED = 20, 0.01

__all__ = ["expand_rows"]


def expand_rows(blueprint: Blueprint, x: FloatArray, b: FloatArray | None) -> Blueprint:
    """Coordinates built around the modes of effects and scores at sampled parameters x.

    Parameters
    ----------
    blueprint
        A model with outcomes that are not normal.
    x
        Sampled parameters (n_free,).
    b
        Where the search for the modes starts; None: at the means of the effects.
    """
    responses = blueprint.template.responses
    scaled = responses is not None and bool(responses.scaled)
    rows = ScaledModes(blueprint, x) if scaled else RowModes(blueprint, x)
    if b is None or b.shape != rows.means.shape or not np.isfinite(b).all():
        b = rows.means
    for _ in range(_STEPS):
        rows.reweight(b)
        b, moved = rows.step(b)
        if moved < _SETTLED:
            break
    return rows.expansion(b)
