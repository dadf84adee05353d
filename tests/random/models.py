"""Models with random coefficients, their data, and admissible parameter values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint, with_approximation
from bayes_msem.kernels.layout import CORRELATION, SQUARE
from bayes_msem.likelihood.approximation import Approximation
from tests.likelihood.cases import Case, Key, free_values, make_frame, make_model, two_level
from tests.likelihood.cases import random_values as all_values

Array = NDArray[np.float64]

FACTOR_W, FACTOR_B = "fw =~ y1 + y2 + y3", "fb =~ y1 + y2 + y3"

# --- random slopes on observed covariates only: everything is integrated out ---------------------

LINEAR_CASES = (
    two_level("slope", 'y1 ~ rv("s")*x1 + x2', "y1 ~~ s"),
    two_level("slope alone varies", 'y1 ~ rv("s")*x1', "s ~ w1\nz1 ~~ z1"),
    two_level("two slopes of one outcome", 'y1 ~ rv("s")*x1 + rv("t")*x2', "y1 ~ w1"),
    two_level("two outcomes", 'y1 ~ rv("s")*x1\ny2 ~ rv("t")*x2 + rv("r")*x1', "y1 ~~ y2"),
    two_level("slope of a factor", f'{FACTOR_W}\nfw ~ rv("s")*x1 + x2', FACTOR_B),
    two_level(
        "slopes of a factor and of its indicator",
        f'{FACTOR_W}\nfw ~ rv("s")*x1\ny2 ~ rv("t")*x1 + rv("r")*x2',
        FACTOR_B,
    ),
    two_level("slope that goes through", 'y1 ~ rv("s")*x1\ny2 ~ y1\ny3 ~ y2 + y1', "y1 + y3 ~ w1"),
    two_level("slope on a circle", 'y1 ~ y2 + rv("s")*x1\ny2 ~ y1 + rv("t")*x2', "y1 ~~ y2"),
    two_level("slope of a within-only outcome", f'{FACTOR_W}\ny4 ~ fw + rv("s")*x1', FACTOR_B),
    two_level("one name, two outcomes", 'y1 ~ rv("s")*x1\ny2 ~ rv("s")*x1', "y1 ~~ y2"),
    two_level("one name, two covariates", 'y1 ~ rv("s")*x1 + rv("s")*x2', "y1 ~~ s"),
    two_level(
        "one name, factor and indicator",
        f'{FACTOR_W}\nfw ~ rv("s")*x1 + rv("t")*x2\ny3 ~ rv("s")*x2',
        FACTOR_B,
    ),
    two_level("slope predicts z", 'y1 ~ rv("s")*x1', "z1 ~ s + y1 + w1\nz2 ~ s\nz1 ~~ z2"),
    two_level("slope predicted by z", 'y1 ~ rv("s")*x1', "s ~ z1 + w1\nz1 ~ w2\ny1 ~ z1"),
    two_level(
        "slope predicted by w and by a factor",
        f'{FACTOR_W}\nfw ~ rv("s")*x1',
        f"{FACTOR_B}\ns ~ fb + w1\nfb ~ w1 + w2",
    ),
    two_level("slope predicts slope", 'y1 ~ rv("s")*x1 + rv("t")*x2', "t ~ s + w1\ny1 ~ t"),
    two_level(
        "slope indicates a factor",
        'y1 ~ rv("s")*x1\ny2 ~ rv("t")*x2\ny1 ~~ y2',
        "fb =~ y1 + s + y2 + t + z1\nfb ~ w1",
    ),
    two_level("x is constant inside clusters", 'y1 ~ rv("s")*c1 + rv("t")*x1', "y1 ~ w1"),
    two_level("x is often zero", 'y1 ~ rv("s")*d1 + x1', "y1 ~~ s"),
    two_level("intercepts are constants", 'y1 ~ rv("s")*x1', "y1 ~~ 0*y1\ny1 ~~ 0*s\ns ~ 0.5*1"),
    two_level(
        "labels over levels",
        'y1 ~ rv("s")*x1 + a*x2\ny1 ~~ v*y1',
        "s ~ a*w1\ns ~~ v*s\nz1 ~ b*s",
        "b == a^2 - v",
        computed={"b": lambda at: at["a"] ** 2 - at["v"]},
    ),
    two_level(
        "slope, with a loading and a slope of one pair",
        'fw =~ y1 + 0.5*y2 + y3\nfw ~ rv("s")*x1\ny2 ~ fw + rv("t")*x1',
        "fb =~ y1 + 0.5*y2 + y3 + 0.3*s\ny2 ~ fb\ns ~ fb",
    ),
)

# --- coefficients that cannot be integrated out --------------------------------------------------

SAMPLED_CASES = (
    two_level("loadings", 'fw =~ y1 + rv("l2")*y2 + rv("l3")*y3', FACTOR_B),
    two_level("one loading, w and z", 'fw =~ y1 + rv("l2")*y2 + y3', "l2 ~ w1\nz1 ~ l2\ny1 ~ w1"),
    two_level("marker varies", 'fw =~ rv("l1")*y1 + rv("l2")*y2 + y3\nfw ~~ 1*fw', "y1 ~ w1"),
    two_level("equal loadings", 'fw =~ y1 + rv("l")*y2 + rv("l")*y3', FACTOR_B),
    two_level("residual SD", 'y1 ~ x1\ny1 ~~ rv("v1")*y1', "y1 ~ w1\nv1 ~ w1"),
    two_level(
        "factor and residual SDs",
        f'{FACTOR_W}\nfw ~~ rv("vf")*fw\ny1 ~~ rv("v1")*y1\ny2 ~~ rv("v1")*y2',
        FACTOR_B,
    ),
    two_level(
        "slope on a factor",
        f'{FACTOR_W}\ngw =~ y4 + y5 + y6\ngw ~ rv("s")*fw + rv("t")*x1',
        f"{FACTOR_B}\ngb =~ y4 + y5 + y6\ngb ~ fb",
    ),
    two_level("slope on a split predictor", 'y2 ~ rv("s")*y1 + x1\ny1 ~ x1', "y2 ~ y1 + w1"),
    two_level(
        "1-1-1 mediation",
        'm1 ~ rv("a")*x1\ny1 ~ rv("b")*m1 + rv("c")*x1'.replace("m1", "y2"),
        "y1 ~ y2\na ~~ b",
    ),
    two_level(
        "correlation of two factors",
        'f =~ y1 + y2\ng =~ y3 + y4\nf ~~ rv("r")*g',
        "y1 ~ w1\nr ~ w1",
    ),
    two_level(
        "correlation with random SDs",
        'f =~ y1 + y2\ng =~ y3 + y4\nf ~~ rv("r")*g\nf ~~ rv("vf")*f\ng ~~ rv("vg")*g',
        "y1 ~~ y3",
    ),
    two_level(
        "covariance of factors, one SD random",
        'f =~ y1 + y2\ng =~ y3 + y4\nf ~~ g\nf ~~ rv("vf")*f\ny1 ~~ y3',
        "y1 ~~ y3",
    ),
    two_level(
        "three factors, two correlations random",
        'f =~ y1 + y2\ng =~ y3 + y4\nh =~ y5 + y6\nf ~~ rv("r1")*g\nf ~~ h\ng ~~ rv("r2")*h',
        "y1 ~~ y3",
    ),
    two_level(
        "three factors in a chain",
        'f =~ y1 + y2\ng =~ y3 + y4\nh =~ y5 + y6\nf ~~ rv("r1")*g\nf ~~ 0*h\ng ~~ rv("r2")*h',
        "y1 ~~ y3",
    ),
    two_level(
        "one name, observed and latent predictor",
        f'{FACTOR_W}\ny4 ~ rv("s")*x1 + rv("s")*fw',
        f"{FACTOR_B}\ny4 ~~ s",
    ),
    two_level(
        "slope on a circle of outcomes",
        'y1 ~ rv("s")*y2 + x1\ny2 ~ y1 + rv("t")*x2',
        "y1 + y2 ~ w1\ny1 ~~ y2",
    ),
    two_level(
        "second order",
        'f =~ y1 + rv("l2")*y2\ng =~ y3 + y4\nh =~ y5 + y6\n'
        'top =~ f + rv("k2")*g + h\ntop ~ rv("s")*x1\nh ~~ rv("vh")*h',
        "y1 ~ w1",
    ),
    two_level(
        "std_lv",
        'f =~ rv("l1")*y1 + rv("l2")*y2 + y3\ng =~ y4 + y5 + y6\nf ~~ rv("r")*g',
        "fb =~ y1 + y2 + y3 + y4",
        std_lv=True,
    ),
    two_level(
        "labels and a computed row",
        'fw =~ y1 + rv("l2")*y2 + a*y3\nfw ~ b*x1\ny3 ~~ v*y3',
        f"{FACTOR_B}\nz1 ~ c*l2\ny1 ~~ v*y1",
        "c == 2 * a - v",
        computed={"c": lambda at: 2 * at["a"] - at["v"]},
    ),
    two_level(
        "random loading and slope of one pair",
        'fw =~ y1 + rv("l")*y2 + y3\ny2 ~ rv("s")*fw\ny3 ~ 0.3*fw\nfw ~ x1',
        "fb =~ y1 + 0.5*y2 + y3\ny2 ~ fb",
    ),
    two_level(
        "fixed loading, random slope",
        'fw =~ y1 + 0.5*y2 + y3\ny2 ~ rv("s")*fw\ny1 ~~ rv("v")*y1',
        "fb =~ y1 + y2 + y3 + z1\ns ~ fb + w1\nz1 ~ fb",
    ),
    two_level(
        "everything",
        'f =~ y1 + rv("l2")*y2 + y3\ng =~ y4 + rv("l5")*y5 + y6\n'
        'g ~ rv("s")*x1\nf ~ rv("t")*x2 + rv("s2")*s1\n'
        'f ~~ rv("r")*g\nf ~~ rv("vf")*f\ng ~~ rv("vg")*g\ny1 ~~ rv("v1")*y1',
        "fb =~ y1 + y2 + y3 + y4\ns ~ w1 + fb\nl2 ~ w2\nvf ~ l2\nz1 ~ vf + t + w1\nz2 ~~ z1\n"
        "s1 ~ w1",
    ),
)
# The between parts of loadings, SDs and the like stand in blocks of covariances, so that the
# tables above also try complete and chordal blocks of level 2 with two to eight variables.

CASES = LINEAR_CASES + SAMPLED_CASES


def case(name: str) -> Case:
    """Return the case of this name."""
    return next(c for c in CASES if c.name == name)


def make_data(**options: object) -> pd.DataFrame:
    """Return the frame of tests.likelihood.cases with two more covariates.

    c1 is constant inside clusters; d1 is a dummy that is zero in some clusters altogether.
    """
    frame = make_frame(**options)  # type: ignore[arg-type]
    rng = np.random.default_rng(99)
    codes = frame["group"].astype("category").cat.codes.to_numpy()
    frame["c1"] = rng.normal(size=codes.max() + 1)[codes]
    frame["d1"] = np.where(codes % 3 == 0, 0.0, rng.integers(0, 2, size=len(frame)))
    return frame


def build(case: Case, frame: pd.DataFrame | None = None) -> bm.Model:
    """Build the model of a case."""
    return make_model(case, make_data() if frame is None else frame)


def unpiloted(model: bm.Model) -> Blueprint:
    """Blueprint with non-centred coordinates: the pilot costs more than most tests."""
    return build_blueprint(model.table, model._priors, model._observed)


def linear_random(model: bm.Model) -> dict[Key, str]:
    """Rows of random slopes on observed covariates, as the oracle wants them."""
    covariates = model.table.variables("within", "covariate")
    rows = [row for row in model.table.rows if row.random]
    latent = {r.random for r in rows if not (r.kind == "regression" and r.rhs in covariates)}
    return {row.key: row.random for row in rows if row.random not in latent}


def table_values(case: Case, model: bm.Model, seed: int) -> dict[Key, float]:
    """Admissible values of all rows that have one."""
    values = all_values(case, model, seed)
    return {key: value for key, value in values.items() if np.isfinite(value)}


def free_rows(model: bm.Model, values: dict[Key, float]) -> dict[Key, float]:
    """Leave out constants and computed rows."""
    return free_values(model, values)


def sampled_values(blueprint: Blueprint, seed: int) -> Array:
    """Random sampled parameters: SDs around 0.7, partial correlations all over (-0.6, 0.6)."""
    rng = np.random.default_rng(seed)
    transform = blueprint.parameters.transform
    x = rng.normal(0.3, 0.3, size=len(transform))
    x = np.where(transform == SQUARE, 0.7 * np.exp(0.3 * rng.normal(size=len(x))), x)
    x = np.where(transform == CORRELATION, rng.uniform(0.2, 0.8, size=len(x)), x)
    rows = blueprint.parameters.rows
    direct = [r.kind == "covariance" for r in rows] & (transform != CORRELATION)
    loading = np.array([r.kind == "loading" for r in rows])
    return np.where(direct, 0.2 * x, np.where(loading, x + 0.5, x))


def effects(blueprint: Blueprint, seed: int) -> Array:
    """Random sampled effects (J, n_b)."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.2, 0.6, size=(blueprint.observed.n_clusters, blueprint.n_sampled))


def informed(blueprint: Blueprint, seed: int, *, joint: bool = True) -> Blueprint:
    """Random coordinates: information of every size, from none to 1e3, and of every rank.

    ``joint``: about linear and sampled effects, and given cluster-level variables; otherwise about
    sampled effects alone.
    """
    rng = np.random.default_rng(seed)
    n_clusters, n_sampled = blueprint.observed.n_clusters, blueprint.n_sampled
    template = blueprint.template
    n = n_sampled + (len(template.effects.linear) if joint else 0)
    root = rng.normal(size=(n_clusters, n, n)) * 10.0 ** rng.uniform(-1, 1.5, (n_clusters, 1, 1))
    root[::3, :, 0] = 0.0
    root[1::5, :, 1:] = 0.0
    information = np.einsum("jik,jlk->jil", root, root)
    linear = np.einsum("jik,jk->ji", information, rng.normal(0.2, 0.5, (n_clusters, n)))
    z = blueprint.observed.z if joint else np.empty((n_clusters, 0))
    approximation = Approximation(information, linear, n_sampled, z)
    return with_approximation(blueprint, approximation, np.zeros(blueprint.parameters.n))
