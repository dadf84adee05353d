"""The marginal deviance of observed and replicated data at a draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bayes_msem.build.blueprint import Blueprint, build_blueprint, likelihood_statistics
from bayes_msem.checking.predictive.sample import Sample
from bayes_msem.checking.predictive.statistics import Statistic
from bayes_msem.checking.predictive.structure import Structure
from bayes_msem.data.moments import moments
from bayes_msem.likelihood.clusters import cluster_value_and_gradient
from bayes_msem.likelihood.evaluators import ClusterEvaluator, MomentEvaluator
from bayes_msem.likelihood.marginal import pack_moments


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


def _deviance(
    blueprint: Blueprint, sample: Sample
) -> Callable[[Sample, Structure], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    complete = build_blueprint(blueprint.table, blueprint.priors, sample.data)
    evaluator, n_sampled = complete.evaluator, complete.n_sampled
    program = evaluator.program

    def deviance(
        sample: Sample, structure: Structure
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        if isinstance(evaluator, MomentEvaluator):
            other = replace(evaluator, statistics=pack_moments(moments(sample.data)))
            value, *_ = other.sampled(structure.point, structure.b)
            return np.array([-2.0 * value])
        assert isinstance(evaluator, ClusterEvaluator)
        statistics = likelihood_statistics(sample.data, n_sampled)
        if n_sampled:
            b = np.ascontiguousarray(structure.b)
            value, *_ = cluster_value_and_gradient(
                structure.point, b, program.ints, program.floats, statistics
            )
        else:
            value, *_ = replace(evaluator, statistics=statistics).sampled(
                structure.point, structure.b
            )
        return np.array([-2.0 * value])

    return deviance
