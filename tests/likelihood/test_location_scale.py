"""Location-scale models against plain NumPy: densities given effects, integrals, gradients.

The oracle is written for each model by hand, from the formulas of docs/location_scale.md. Its
integrals are rules with so many nodes that more of them change nothing that tolerances would see.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import NotSupportedError, SmallSampleWarning
from bayes_msem.inference.density import starting_point
from bayes_msem.likelihood.row_integral import row_integral

Array = NDArray[np.float64]

SPLIT = """
level: within
    y ~ rv("s")*m + x
    y ~~ rv("g")*y
    g ~ m + x
level: between
    y ~ m
    g ~ m
"""
PLAIN = """
level: within
    y ~ x
    y ~~ rv("g")*y
    g ~ x
level: between
    y ~~ g
    g ~ w
"""
CONSTANT = """
level: within
    y ~ x
    y ~~ rv("g")*y
    g ~ x
level: between
    y ~ w
    g ~~ 0*g
"""
FACTOR = """
f =~ y1 + y2 + y3
f ~ x
y1 ~~ rv("v1")*y1
y2 ~~ rv("v2")*y2
v1 ~ x
v2 ~ x + w
"""
SINGLE = 'y ~ m + x\ny ~~ rv("v")*y\nv ~ m + x\nm ~ x'


@cache
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(6), [5, 3, 6, 4, 2, 5])
    n = len(cluster)
    data = pd.DataFrame({"c": cluster, "x": rng.normal(size=n), "w": rng.normal(size=6)[cluster]})
    data["m"] = rng.normal(size=6)[cluster] + rng.normal(size=n)
    data["y"] = 1 + 0.3 * data["m"] + rng.normal(size=n) * np.exp(0.2 * data["x"])
    f = rng.normal(size=n)
    for k in (1, 2, 3):
        data[f"y{k}"] = f + 0.6 * rng.normal(size=n)
    return data


def with_holes() -> pd.DataFrame:
    """Predictor missing, both missing, outcome missing."""
    data = frame().copy()
    data.loc[[1, 7, 8, 12], "m"] = np.nan
    data.loc[[8, 20], "y"] = np.nan
    return data


def blueprint_of(text: str, data: pd.DataFrame) -> Blueprint:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        cluster = "c" if "level" in text else None
        return bm.Model(text, data=data, cluster=cluster).unpiloted_blueprint()


class Point:
    """A blueprint at some parameters, effects and coordinates."""

    def __init__(self, text: str, data: pd.DataFrame) -> None:
        self.data, self.blueprint = data, blueprint_of(text, data)
        self.likelihood = self.blueprint.likelihood
        rng = np.random.default_rng(3)
        start = starting_point(self.blueprint)
        self.free = start + 0.2 * rng.normal(size=len(start)) * (1 - 0.8 * (start > 0))
        self.x = self.extended(self.free)
        self.t = rng.normal(size=self.likelihood.shape)
        self.t_s = rng.normal(size=self.likelihood.score_shape)
        self.theta = self.blueprint.theta(self.free[None])[0]
        self.b = self.likelihood.effects(self.x, self.t)
        self.cluster = data["c"].to_numpy()

    def extended(self, free: Array) -> Array:
        return np.ascontiguousarray(self.blueprint.extend_sampled(free))

    def value(self, *key: str) -> float:
        level = "within" if len(key) == 3 else key[0]
        return float(self.blueprint.row_value((level, *key[-3:]), self.theta))  # type: ignore[arg-type]

    def effect(self, name: str) -> Array:
        """One effect for every row."""
        return self.b[self.cluster, self.blueprint.template.effects.sampled.index(name)]

    def by_cluster(self, rows: Array) -> Array:
        return pd.Series(np.asarray(rows)).groupby(self.cluster).sum().to_numpy()


def log_rows(at: Point, part: Array) -> Array:
    """Log p(y | part of m within, effects) of every row of the model ``SPLIT``."""
    x = at.data["x"].to_numpy()
    eta = at.effect("y") + at.effect("s") * part + at.value("y", "~", "x") * x
    delta = at.effect("g") + at.value("g", "~", "m") * part + at.value("g", "~", "x") * x
    found = norm.logpdf(at.data["y"], eta, np.exp(delta))
    return np.where(np.isnan(found), 0.0, found)


def test_given_effects_it_is_the_closed_form() -> None:
    at = Point(SPLIT, frame())
    part = at.data["m"].to_numpy() - at.effect("m")
    mean, sd = at.value("m", "~", "x") * at.data["x"], np.sqrt(at.value("m", "~~", "m"))
    expected = at.by_cluster(log_rows(at, part) + norm.logpdf(part, mean, sd))
    found = at.likelihood.row_terms(at.x, at.b, np.zeros(at.likelihood.score_shape)).value
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_missing_predictors_are_integrated() -> None:
    at = Point(SPLIT, with_holes())
    assert at.blueprint.template.responses is not None
    assert at.blueprint.template.responses.stand_ins == ("m",)
    mean = (at.value("m", "~", "x") * at.data["x"]).to_numpy()
    sd = np.sqrt(at.value("m", "~~", "m"))
    part = at.data["m"].to_numpy() - at.effect("m")
    known = log_rows(at, np.nan_to_num(part)) + norm.logpdf(part, mean, sd)
    nodes, weights = hermegauss(120)
    logs = np.stack([log_rows(at, mean + sd * z) for z in nodes], axis=-1)
    unknown = logsumexp(logs, b=weights / weights.sum(), axis=-1)
    expected = at.by_cluster(np.where(np.isnan(part), unknown, known))
    integral, _ = row_integral(at.likelihood, at.x, at.b, 1e-9)
    # coordinates without a pilot: the rule of the package, of 41 nodes at most, is what errs
    np.testing.assert_allclose(integral(at.x, at.b), expected, atol=1e-6)


def test_rows_without_anything_missing_have_idle_scores() -> None:
    """They are standard normal whatever the parameters are, and change nothing else."""
    at = Point(SPLIT, with_holes())
    origin = np.zeros(at.likelihood.score_shape)
    rows = at.likelihood.responses
    assert rows is not None
    known = ~np.isnan(at.data["m"].to_numpy())[rows.order]
    moved = origin.copy()
    moved[known] = np.random.default_rng(4).normal(size=(int(known.sum()), 1))
    plain = at.likelihood.row_terms(at.x, at.b, origin)
    other = at.likelihood.row_terms(at.x, at.b, moved)
    sums = np.zeros(len(at.b))
    np.add.at(sums, rows.cluster, -0.5 * moved[:, 0] ** 2)
    np.testing.assert_allclose(other.value - plain.value, sums, atol=1e-12)
    np.testing.assert_allclose(other.d_effects, plain.d_effects, atol=1e-12)
    np.testing.assert_allclose(other.d_scores[known], -moved[known], atol=1e-12)


@pytest.mark.parametrize(
    ("text", "holes"),
    [
        (SPLIT, False),
        (SPLIT, True),
        (PLAIN, False),
        (CONSTANT, False),
        (FACTOR, False),
        (SINGLE, True),
    ],
)
def test_gradients(text: str, holes: bool) -> None:
    at = Point(text, with_holes() if holes else frame())

    def density(free: Array, t: Array, t_s: Array) -> float:
        return at.likelihood.joint_with_scores(at.extended(free), t, t_s)[0]

    _, d_x, d_t, d_s = at.likelihood.joint_with_scores(at.x, at.t, at.t_s)
    parts = [at.free, at.t, at.t_s]
    for place, slope in enumerate((d_x[: len(at.free)], d_t, d_s)):
        found = np.zeros_like(parts[place])
        for index in np.ndindex(*found.shape):
            values = []
            for h in (1e-4, -1e-4, 2e-4, -2e-4):  # fourth-order differences: errors of 1e-9 or so
                moved = [part.copy() for part in parts]
                moved[place][index] += h
                values.append(density(*moved))
            found[index] = (8 * (values[0] - values[1]) - (values[2] - values[3])) / 12e-4
        np.testing.assert_allclose(slope, found, rtol=1e-6, atol=1e-6)


# Marginal likelihoods ---------------------------------------------------------------------------


def values_of(at: Point) -> dict[Any, float]:
    rows = at.blueprint.table.rows
    return {r.key: float(at.blueprint.row_value(r.key, at.theta)) for r in rows if r.free}


def marginal(text: str, data: pd.DataFrame, values: dict[Any, float]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        model = bm.Model(text, data=data, cluster="c" if "level" in text else None)
        return model.log_likelihood(values)


def test_intercept_and_log_sd_are_integrated() -> None:
    """The integral over (intercept, log SD) by a product rule of 60 x 60 nodes.

    The package may stop at an error of 0.01 in all; it is far more accurate here.
    """
    at = Point(PLAIN, frame())
    data, nodes = at.data, hermegauss(60)
    within, between = (lambda *k: at.value(*k)), (lambda *k: at.value("between", *k))
    covariance = np.array(
        [
            [between("y", "~~", "y"), between("y", "~~", "g")],
            [between("y", "~~", "g"), between("g", "~~", "g")],
        ]
    )
    root, log_weights = np.linalg.cholesky(covariance), np.log(nodes[1] / nodes[1].sum())
    total = 0.0
    for _, rows in data.groupby("c"):
        w = rows["w"].iloc[0]
        z = np.stack(np.meshgrid(nodes[0], nodes[0], indexing="ij"), axis=-1) @ root.T
        level = between("y", "~", "1") + z[..., 0]
        scale = between("g", "~", "1") + between("g", "~", "w") * w + z[..., 1]
        logs = log_weights[:, None] + log_weights[None, :]
        for x, y in zip(rows["x"], rows["y"], strict=True):
            delta = scale + within("g", "~", "x") * x
            logs = logs + norm.logpdf(y, level + within("y", "~", "x") * x, np.exp(delta))
        total += float(logsumexp(logs))
    assert marginal(PLAIN, data, values_of(at)) == pytest.approx(total, abs=1e-3)


def test_one_log_sd_for_all_clusters() -> None:
    """Given it, the rows of a cluster are normal: covariance D + t 1 1'."""
    at = Point(CONSTANT, frame())
    total = 0.0
    for _, rows in at.data.groupby("c"):
        mean = at.value("between", "y", "~", "1") + at.value("between", "y", "~", "w") * rows["w"]
        mean = mean + at.value("y", "~", "x") * rows["x"]
        delta = at.value("between", "g", "~", "1") + at.value("g", "~", "x") * rows["x"]
        covariance = np.diag(np.exp(2 * delta)) + at.value("between", "y", "~~", "y")
        total += float(multivariate_normal(mean, covariance).logpdf(rows["y"]))
    assert "g" not in at.blueprint.template.effects.sampled
    # one effect: the rule of the package is exact up to rounding, since y is normal given it
    assert marginal(CONSTANT, at.data, values_of(at)) == pytest.approx(total, abs=1e-8)


def test_factor_models_are_normal_given_covariates() -> None:
    at = Point(FACTOR, frame())
    total, load = 0.0, np.array([1.0, at.value("f", "=~", "y2"), at.value("f", "=~", "y3")])
    for _, row in at.data.iterrows():
        v1 = at.value("v1", "~", "1") + at.value("v1", "~", "x") * row["x"]
        v2 = at.value("v2", "~", "1") + at.value("v2", "~", "x") * row["x"]
        v2 += at.value("v2", "~", "w") * row["w"]
        residual = np.array([np.exp(2 * v1), np.exp(2 * v2), at.value("y3", "~~", "y3")])
        covariance = np.diag(residual) + np.outer(load, load) * at.value("f", "~~", "f")
        mean = load * at.value("f", "~", "x") * row["x"]
        mean = mean + [at.value(f"y{k}", "~", "1") for k in (1, 2, 3)]
        y = row[["y1", "y2", "y3"]].to_numpy(dtype=float)
        total += float(multivariate_normal(mean, covariance).logpdf(y))
    # scores have coordinates in which they are standard normal: any rule is exact
    assert marginal(FACTOR, at.data, values_of(at)) == pytest.approx(total, abs=1e-8)


@pytest.mark.parametrize(
    ("scaled", "plain"),
    [
        (
            'y ~ x + w\ny ~~ rv("v")*y\nv ~ 0*x',
            "y ~ x + w",
        ),
        (
            'f =~ y1 + y2 + y3\nf ~ x\ny1 ~~ rv("v")*y1\nv ~ 0*x',
            "f =~ y1 + y2 + y3\nf ~ x",
        ),
        (
            'level: within\ny ~ x\ny ~~ rv("v")*y\nv ~ 0*x\nlevel: between\ny ~ w\nv ~~ 0*v',
            "level: within\ny ~ x\nlevel: between\ny ~ w",
        ),
    ],
)
def test_with_slopes_of_zero_it_is_the_gaussian_model(scaled: str, plain: str) -> None:
    at = Point(plain, frame())
    values = values_of(at)
    known = marginal(plain, at.data, values)
    outcome = "y1" if "y1" in scaled else "y"
    log_sd = 0.5 * np.log(values.pop(("within", outcome, "~~", outcome)))
    level = "between" if "level" in scaled else "within"
    values[level, "v", "~", "1"] = log_sd
    assert marginal(scaled, at.data, values) == pytest.approx(known, abs=1e-8)


def test_given_log_sds_it_is_the_model_with_random_variances() -> None:
    """Log p(y | g), the intercept integrated: exactly by the older path, by a rule here."""
    scaled = PLAIN.replace("g ~ x", "g ~ 0*x")
    at = Point(scaled, frame())
    other = blueprint_of(PLAIN.replace("    g ~ x\n", ""), frame())
    assert other.likelihood.provider == "sampled"
    same = [r.key for r in other.parameters.rows] == [r.key for r in at.blueprint.parameters.rows]
    assert same  # and so the vectors of sampled parameters mean the same
    names = at.blueprint.template.effects.sampled
    g = at.b[:, [names.index("g")]]
    known = other.likelihood.terms(at.x, g[None], other.likelihood.statistics)[0]
    omega, c = at.likelihood.level_two(at.x)
    expected = at.blueprint.observed.cluster_design @ c
    i, k = names.index("y"), names.index("g")
    mean = expected[:, i] + omega[i, k] / omega[k, k] * (g[:, 0] - expected[:, k])
    sd = np.sqrt(omega[i, i] - omega[i, k] ** 2 / omega[k, k])
    nodes = np.linspace(-9.0, 9.0, 1201)  # the trapezoidal rule is exact to rounding here
    logs = []
    for z in nodes:
        b = at.b.copy()
        b[:, i] = mean + sd * z
        logs.append(at.likelihood.row_terms(at.x, b, at.t_s).value + norm.logpdf(z))
    found = logsumexp(np.stack(logs, axis=-1), axis=-1) + np.log(nodes[1] - nodes[0])
    np.testing.assert_allclose(found, known, atol=1e-8)


def test_data_with_other_holes_are_refused() -> None:
    model = blueprint_of(SPLIT, frame())
    holes = blueprint_of(SPLIT, with_holes()).observed
    with pytest.raises(NotSupportedError, match="rows miss 'm', which predicts 'y'"):
        model.on(holes)
