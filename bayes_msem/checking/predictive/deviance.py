"""The marginal deviance of observed and replicated data at a draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint, statistics_of
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.statistics import Compute, Statistic
from bayes_msem.checking.predictive.structure import Structure
from bayes_msem.kernels.clusters import cluster_value_and_gradient

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
        statistics = statistics_of(complete, sample.data)
        if complete.n_sampled:
            b, program = np.ascontiguousarray(structure.b), complete.program
            value, *_ = cluster_value_and_gradient(
                structure.point, b, program.ints, program.floats, statistics
            )
        else:
            evaluator = replace(complete.evaluator, statistics=statistics)
            value, *_ = evaluator.sampled(structure.point, structure.b)
        return np.array([-2.0 * value])

    return deviance
