"""Models that several test modules of this folder share."""

from __future__ import annotations

import warnings
from functools import cache

import bayes_msem as bm
from bayes_msem.errors import MsemWarning
from tests.likelihood.cases import make_frame
from tests.reference_models import Reference, load_reference

# Every prior family; an LKJ block, a pair with a Beta prior, a 4-cycle of covariances that are
# parameters themselves (two families), a computed row that uses a variance, bounds of all sorts.
EVERYTHING = """
level: within
    f =~ y1 + prior("laplace(1, 0.5)")*y2 + prior("gamma(3, 3)")*y3
    y4 ~ prior("cauchy(0, 1)")*x1 + prior("studentt(3, 0, 1)")*x2
    y5 ~ a*x1 + b*x2
    y6 ~ prior("lognormal(0, 0.5)")*x1 + prior("truncatednormal(0, 1, 0, inf)")*x2
    y1 ~~ prior("halfnormal(1)")*y1
    y2 ~~ prior("halfstudentt(4, 1)")*y2
    y3 ~~ prior("halfcauchy(1)")*y3
    y4 ~~ prior("exponential(1)")*y4
    y5 ~~ v*y5
    y6 ~~ prior("invgamma(3, 2)")*y6
    f ~~ prior("uniform(0, 3)")*f
    y4 ~~ prior("beta(2, 3)")*y5
    y4 ~~ 0*y6
    y5 ~~ 0*y6
level: between
    y1 ~~ y2
    y1 ~~ y3
    y2 ~~ y3
    y4 ~~ y5
    y5 ~~ prior("uniform(-0.4, 0.4)")*y6
    y6 ~~ z1
    z1 ~~ y4
    y1 ~ prior("truncatednormal(0, 2, -3, 3)")*1
    y2 ~ prior("truncatednormal(0, 2, -inf, 3)")*1
    y3 ~ prior("truncatednormal(0, 2, -inf, inf)")*1
    y4 ~ prior("uniform(-5, 5)")*1
b == abs(a) + v
"""
EVERYTHING_PRIORS = {
    "a": "normal(0, 1)",
    "v": "lognormal(0, 0.5)",
    ("between", "covariance"): "lkj(3)",
    "between: y4 ~~ y5": "normal(0, 0.2)",
    "between: y6 ~~ z1": "normal(0, 0.2)",
    "between: z1 ~~ y4": "normal(0, 0.2)",
}


@cache
def everything() -> bm.Model:
    return quiet_model(EVERYTHING, data=make_frame(), cluster="group", priors=EVERYTHING_PRIORS)


@cache
def reference_model(name: str) -> tuple[Reference, bm.Model]:
    reference = load_reference(name)
    model = quiet_model(reference.model_text, data=reference.frame, cluster=reference.cluster)
    return reference, model


def quiet_model(*args: object, **options: object) -> bm.Model:
    """Build a model without warnings about few clusters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        return bm.Model(*args, **options)  # type: ignore[arg-type]
