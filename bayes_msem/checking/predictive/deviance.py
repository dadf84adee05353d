"""The marginal deviance of observed and replicated data at a draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.checking.predictive.complete_data import CompleteModel
from bayes_msem.checking.predictive.named_statistics import Compute, Statistic
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.structure import Structure

FloatArray = NDArray[np.float64]


def deviance_statistic(complete: CompleteModel) -> Statistic:
    """Return -2 log p(y, z | theta), or -2 log p(y, z | b, theta) with sampled effects b.

    Parameters
    ----------
    complete
        The model on complete data of the design under check.
    """
    return Statistic(
        "deviance",
        "-2 log-likelihood" + (" given sampled effects" if complete.blueprint.n_sampled else ""),
        "",
        _deviance(complete),
        lambda design: ("",),
        two_sided=True,
    )


def _deviance(complete: CompleteModel) -> Compute:
    def deviance(sample: Sample, structure: Structure) -> FloatArray:
        likelihood = complete.on(sample).likelihood
        if likelihood.n_sampled:
            b = np.ascontiguousarray(structure.b)
            value = likelihood.given_effects(structure.point, b, likelihood.statistics)
        else:
            value, *_ = likelihood.sampled(structure.point, likelihood.no_coordinates())
        return np.array([-2.0 * value])

    return deviance
