"""Options of VARIABLE and ANALYSIS in Mplus that this package does not have, with ways out.

``ANALYSIS_OPTIONS`` are all options of ANALYSIS; those that :mod:`mplus_settings` does not read are
about estimation.
"""

from __future__ import annotations

__all__ = ["ANALYSIS_OPTIONS", "DELTA", "PREPARE", "REFUSED_TYPES", "REFUSED_VARIABLE"]

_NO_WEIGHTS = "There are no sampling weights; docs/weights.md says what to do instead."
PREPARE = "Prepare the data frame before it goes to the model."
_NO_CLASSES = "Mixtures (latent classes) are not there yet."
REFUSED_VARIABLE = {
    **dict.fromkeys(("WEIGHT", "BWEIGHT", "B2WEIGHT", "FREQWEIGHT", "WTSCALE"), _NO_WEIGHTS),
    **dict.fromkeys(("STRATIFICATION", "REPWEIGHTS"), _NO_WEIGHTS),
    "USEOBSERVATIONS": f"{PREPARE} Keep the rows with data = data[condition].",
    "SUBPOPULATION": f"{PREPARE} Keep the rows with data = data[condition].",
    "NOMINAL": "Nominal outcomes are not there yet; a pair of categories may be binary.",
    "CENSORED": "Censored outcomes are not there yet.",
    "GROUPING": "There is no analysis of several groups yet.",
    "CLASSES": _NO_CLASSES,
    "KNOWNCLASS": _NO_CLASSES,
    "TRAINING": _NO_CLASSES,
    "TSCORES": "Write the measured time as a predictor with a random slope, rows in long form.",
    "LAGGED": "Models for time series are not there yet.",
    "TINTERVAL": "Models for time series are not there yet.",
    "SURVIVAL": "Survival times are not there yet.",
    "DSURVIVAL": "Survival times are not there yet.",
    "CONSTRAINT": "Constraints are written in labels of parameters, not in columns of the data.",
    "CENTERING": f"{PREPARE} data['x'] -= data['x'].mean() centres at the grand mean; a predictor "
    "on neither list is centred at the latent cluster mean.",
    "PATTERN": "Every row may miss other values; patterns need not be declared.",
}
DELTA = (
    "Residual variances of latent responses are fixed at 1 here (theta), not their total variances "
    "(delta): loadings and thresholds are on another scale, of the same model."
)
REFUSED_TYPES = {
    "COMPLEX": "It corrects standard errors. A two-level model says how clusters differ.",
    "MIXTURE": _NO_CLASSES,
    "THREELEVEL": "Inputs of two levels are read; a third is written in a model text.",
    "CROSSCLASSIFIED": "Crossed clusters are not there yet.",
    "EFA": "Rotated factors are not there yet.",
    "BASIC": "bm.describe(data, cluster) describes data.",
    "LOGISTIC": "Write a MODEL with CATEGORICAL outcomes.",
}
ANALYSIS_OPTIONS = (
    *("TYPE", "ESTIMATOR", "MODEL", "LINK", "PARAMETERIZATION", "ALGORITHM", "INTEGRATION"),
    *("PROCESSORS", "CHAINS", "BITERATIONS", "FBITERATIONS", "BSEED", "THIN", "POINT", "STARTS"),
    *("ITERATIONS", "CONVERGENCE", "BCONVERGENCE", "MITERATIONS", "H1ITERATIONS", "PRIOR"),
    *("INFORMATION", "BOOTSTRAP", "COVERAGE", "MEDIATOR", "ADAPTIVE", "CHOLESKY", "SDITERATIONS"),
    *("STITERATIONS", "STSEED", "MCSEED", "LOGCRITERION", "MCONVERGENCE", "STVALUES", "VARIANCE"),
)
