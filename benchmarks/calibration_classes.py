"""Seven classes of two-level models with priors, designs, and errors that can be planted.

All SDs have the prior gamma(2, 2): without the Jacobian of log SD, x, it is the density of another
prior, exponential(2), up to a constant. So an error is a model with other priors ("prior",
"jacobian") or with other data ("cell": a covariate that never reaches the likelihood, or rows with
gaps that are left out): nothing in the package has to be broken.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

import bayes_msem as bm
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import frozen

__all__ = ["CLASSES", "ERRORS", "ModelClass", "design"]

N_CLUSTERS, SIZE = 10, 5
PRIORS: dict[Any, str] = {
    "regression": "normal(0, 1)",
    "intercept": "normal(0, 1)",
    "loading": "normal(1, 0.3)",
    "sd": "gamma(2, 2)",
    "covariance": "lkj(2)",
}
ERRORS = {
    "prior": "priors of slopes, intercepts and loadings a third as wide",
    "jacobian": "no Jacobian of log SDs",
    "cell": "a coefficient that does not reach the likelihood",
}
# SDs, slopes and means of log SDs and Fisher-z correlations: larger ones make absurd data
_TIGHT = {"regression": "normal(0, 0.4)", "intercept": "normal(0, 0.4)", "sd": "gamma(2, 6)"}
_WRONG = {
    "": {},
    "prior": {
        "normal(0, 1)": "normal(0, 0.33)",
        "normal(0, 0.4)": "normal(0, 0.13)",
        "normal(1, 0.3)": "normal(1, 0.1)",
    },
    "jacobian": {"gamma(2, 2)": "exponential(2)", "gamma(2, 6)": "exponential(6)"},
    "cell": {},
}


def _no_w(observed: ObservedData) -> ObservedData:
    """Drop the cell of the cluster-level covariate: what is left of it is nothing."""
    return replace(observed, w=frozen(1e-6 * observed.w))


def _no_x(observed: ObservedData) -> ObservedData:
    """Drop the cell of the level-1 covariate."""
    return replace(observed, x=frozen(1e-6 * observed.x))


def _no_gaps(observed: ObservedData) -> ObservedData:
    """Leave out all outcomes of rows with gaps."""
    y = observed.y.copy()
    y[np.isnan(y).any(axis=1)] = np.nan
    return replace(observed, y=frozen(y))


@dataclass(frozen=True, eq=False)
class ModelClass:
    """A class of models.

    Attributes
    ----------
    name
        Its name.
    text
        Model text.
    outcomes
        Columns of outcomes at level within; at level between.
    drop
        What "cell" does to the data.
    missing
        Share of outcomes that are missing.
    tight
        Random log SDs and Fisher-z correlations, which have tighter priors.
    """

    name: str
    text: str
    outcomes: tuple[tuple[str, ...], tuple[str, ...]]
    drop: Callable[[ObservedData], ObservedData] = _no_w
    missing: float = 0.0
    tight: tuple[str, ...] = ()

    def model(self, error: str = "") -> bm.Model:
        """Return the model, right or with an error in its priors."""
        priors = dict(PRIORS)
        for name in self.tight:
            keys = (("~", "w", "regression"), ("~", "1", "intercept"), ("~~", name, "sd"))
            priors |= {("between", name, op, rhs): _TIGHT[kind] for op, rhs, kind in keys}
        priors = {key: _WRONG[error].get(prior, prior) for key, prior in priors.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.MsemWarning)
            return bm.Model(self.text, data=design(self), cluster="g", priors=priors)

    def data(self, observed: ObservedData, error: str = "") -> ObservedData:
        """Return the data, right or with an error."""
        return self.drop(observed) if error == "cell" else observed


def design(model_class: ModelClass) -> pd.DataFrame:
    """Clusters and covariates, the same in every data set; outcomes only say what is missing."""
    rng = np.random.default_rng(15)
    g = np.repeat(np.arange(N_CLUSTERS), SIZE)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=len(g)), "w": rng.normal(size=10)[g]})
    within, between = model_class.outcomes
    for name in within:
        y = rng.normal(size=len(g)) + rng.normal(size=N_CLUSTERS)[g]
        frame[name] = np.where(rng.random(len(g)) < model_class.missing, np.nan, y)
    for name in between:
        z = rng.normal(size=N_CLUSTERS)
        frame[name] = np.where(rng.random(N_CLUSTERS) < model_class.missing, np.nan, z)[g]
    return frame


CLASSES = (
    ModelClass(
        "random intercepts",
        "level: within\n y1 + y2 ~ x\n y1 ~~ y2\nlevel: between\n y1 + y2 ~ w\n y1 ~~ y2",
        (("y1", "y2"), ()),
    ),
    ModelClass(
        "random slopes",
        'level: within\n y ~ rv("s")*x\nlevel: between\n y + s ~ w\n y ~~ s',
        (("y",), ()),
    ),
    ModelClass(
        "random loadings",
        'level: within\n f =~ y1 + rv("l")*y2 + y3\nlevel: between\n y1 + l ~ w\n'
        " y1 ~~ 0*y2 + 0*y3\n y2 ~~ 0*y3\n l ~~ 0*y1 + 0*y2 + 0*y3",
        (("y1", "y2", "y3"), ()),
    ),
    ModelClass(
        "random variances and correlations",
        'level: within\n y1 ~~ rv("v")*y1\n y1 ~~ rv("r")*y2\nlevel: between\n v + r ~ w\n'
        " y1 ~~ 0*y2 + 0*v + 0*r\n y2 ~~ 0*v + 0*r\n v ~~ 0*r",
        (("y1", "y2"), ()),
        tight=("v", "r"),
    ),
    ModelClass(
        "missing data",
        "level: within\n f =~ y1 + y2 + y3\n f ~ x\nlevel: between\n y1 + z ~ w\n"
        " y1 ~~ 0*y2 + 0*y3\n y2 ~~ 0*y3\n z ~~ 0*y1 + 0*y2 + 0*y3",
        (("y1", "y2", "y3"), ("z",)),
        drop=_no_gaps,
        missing=0.25,
    ),
    ModelClass(
        "level-2 outcomes",
        "level: within\n y ~ x\nlevel: between\n z1 ~ y + w\n z2 ~ z1 + y\n y ~ w",
        (("y",), ("z1", "z2")),
    ),
    ModelClass(
        "mediation",
        "level: within\n m ~ a*x\n y ~ b*m + x\nlevel: between\n m ~ ab*w\n y ~ bb*m + w\n"
        "indirect_w := a*b\nindirect_b := ab*bb",
        (("m", "y"), ()),
        drop=_no_x,
    ),
)
