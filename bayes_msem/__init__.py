"""Bayesian multilevel structural equation models.

Declare a two-level structure in lavaan's syntax, fit it with NUTS, and read the posterior:

>>> import bayes_msem as bm
>>> spec = "level: within; mach ~ cses; level: between; mach ~ sector"
>>> model = bm.Model(spec, data=bm.load_dataset("hsb"), cluster="school")
>>> fit = model.fit(random_seed=1)  # doctest: +SKIP
>>> fit.summary()  # doctest: +SKIP
"""

from importlib.metadata import version as _version

from bayes_msem.checking.accuracy.compare import compare
from bayes_msem.data.describe import describe
from bayes_msem.datasets import describe_dataset, list_datasets, load_dataset
from bayes_msem.errors import (
    AccuracyWarning,
    ArgumentError,
    CacheWarning,
    ConvergenceWarning,
    DataError,
    DataWarning,
    FileError,
    HeywoodWarning,
    IdentificationWarning,
    InterruptedWarning,
    MissingDataWarning,
    ModelSyntaxError,
    MsemError,
    MsemWarning,
    NotSupportedError,
    SmallSampleWarning,
    SpecificationError,
    SpecificationWarning,
)
from bayes_msem.fit import Fit
from bayes_msem.importing import MplusInput, from_mplus
from bayes_msem.invariance import MeasurementInvariance, measurement_invariance
from bayes_msem.loading import load
from bayes_msem.model import Model
from bayes_msem.posterior.pooling import pool
from bayes_msem.spec.prior_text import Prior
from bayes_msem.studies.sbc import sbc
from bayes_msem.studies.study import study

__version__ = _version("bayes_msem")

__all__ = [
    "AccuracyWarning",
    "ArgumentError",
    "CacheWarning",
    "ConvergenceWarning",
    "DataError",
    "DataWarning",
    "FileError",
    "Fit",
    "HeywoodWarning",
    "IdentificationWarning",
    "InterruptedWarning",
    "MeasurementInvariance",
    "MissingDataWarning",
    "Model",
    "ModelSyntaxError",
    "MplusInput",
    "MsemError",
    "MsemWarning",
    "NotSupportedError",
    "Prior",
    "SmallSampleWarning",
    "SpecificationError",
    "SpecificationWarning",
    "compare",
    "describe",
    "describe_dataset",
    "from_mplus",
    "list_datasets",
    "load",
    "load_dataset",
    "measurement_invariance",
    "pool",
    "sbc",
    "study",
]
