"""Location and scale of the observed variables, as the default priors need them.

The record is declared in this room so that priors can be written down without any data; the
data room fills it (:func:`bayes_msem.data.scales.scales`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Scales"]


@dataclass(frozen=True, slots=True)
class Scales:
    """Location and scale of each observed variable, all in the units of the data.

    Every standard deviation is positive: variables without variation never get here.

    Parameters
    ----------
    mean
        Grand mean of each variable: over rows for level-1 variables, over clusters for
        cluster-level variables and covariates.
    within
        Pooled standard deviation inside clusters of each level-1 variable; in single-level
        models the overall standard deviation.
    between
        Standard deviation of the observed cluster means of each split variable. It carries
        within-cluster noise too, so as a prior scale it errs on the wide side. For a
        cluster-level variable, its standard deviation over clusters.
    predictor
        Standard deviation of each covariate: over rows for level-1 covariates, over clusters
        for cluster-level covariates.
    top
        In three-level models, the standard deviation over top units of each variable with a part at
        level 3: of the means of their clusters' means, or of the value itself. ``between`` is then
        that of clusters inside top units, for variables that are split between them.
    """

    mean: Mapping[str, float]
    within: Mapping[str, float]
    between: Mapping[str, float]
    predictor: Mapping[str, float]
    top: Mapping[str, float] = field(default_factory=dict)
