"""The marginal deviance of observed and replicated data at a draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint
from bayes_msem.checking.predictive.named_statistics import Compute, Statistic
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.structure import Structure

FloatArray = NDArray[np.float64]


def deviance_statistic(blueprint: Blueprint, sample: Sample) -> Statistic:
    """Return -2 log p(y, z | theta), or -2 log p(y, z | b, theta) with sampled effects b.

    Parameters
    ----------
    blueprint
        The model.
    sample
        Some complete data on the design under check.
    """
    return Statistic(
        "deviance",
        "-2 log-likelihood" + (" given sampled effects" if blueprint.n_sampled else ""),
        "",
        _deviance(blueprint, sample),
        lambda design: ("",),
        two_sided=True,
    )


def _deviance(blueprint: Blueprint, sample: Sample) -> Compute:
    complete = build_blueprint(blueprint.table, blueprint.priors, sample.data)

    def deviance(sample: Sample, structure: Structure) -> FloatArray:
        likelihood = complete.on(sample.data).likelihood
        if complete.n_sampled:
            b = np.ascontiguousarray(structure.b)
            value = likelihood.given_effects(structure.point, b, likelihood.statistics)
        else:
            value, *_ = likelihood.sampled(structure.point, likelihood.no_coordinates())
        return np.array([-2.0 * value])

    return deviance
