"""The density NUTS sees: C functions, geometry, and no compilation for a model."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
from numba.core import event
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.errors import NotSupportedError
from bayes_msem.inference import nuts_model as nuts
from bayes_msem.inference.density import log_posterior, starting_point, support
from bayes_msem.inference.geometry import coordinates_at, geometry_at
from bayes_msem.kernels.density import Geometry, constrained
from tests.inference.models import everything, quiet_model
from tests.inference.test_density import central_differences

Array = NDArray[np.float64]


@cache
def clustered(seed: int = 1) -> pd.DataFrame:
    """Two predictors with small variances between clusters, an outcome of each, and z."""
    rng = np.random.default_rng(seed)
    j, n = 25, 10
    g = np.repeat(np.arange(j), n)
    between = {"x1": rng.normal(0, 0.5, j)}
    between["y1"] = 0.5 * between["x1"] + rng.normal(0, 0.4, j)
    between["x2"] = 0.6 * between["x1"] + 0.2 * between["y1"]
    between["y2"] = 0.3 * between["x1"] + 0.5 * between["y1"]
    within = {"x1": rng.normal(size=j * n)}
    within["y1"] = 0.4 * within["x1"] + rng.normal(size=j * n)
    within["x2"] = 0.5 * within["x1"] + 0.2 * within["y1"] + rng.normal(size=j * n)
    within["y2"] = 0.2 * within["x1"] + 0.5 * within["y1"] + rng.normal(size=j * n)
    late = rng.integers(0, 9, j * n)
    frame = pd.DataFrame({name: within[name] + between[name][g] for name in within})
    return frame.assign(g=g, year=2010.0 + late, late=1.0 * late, w=rng.normal(size=j)[g])


CROSS_LAGGED = """
level: within
    x2 + y2 ~ x1 + y1
    x1 ~~ y1
    x2 ~~ y2
level: between
    x2 + y2 ~ x1 + y1
    x1 ~~ y1
    x2 ~~ y2
"""
MODELS = {
    "everything": None,
    "cross-lagged": CROSS_LAGGED,
    "covariates": "level: within\n y1 ~ x1 + year\nlevel: between\n y1 ~ x1 + w",
    "random slopes": 'level: within\n y1 ~ rv("s")*late + x1\nlevel: between\n s ~ w\n y1 ~ x1',
    "sampled slopes": 'level: within\n y1 ~ rv("s")*x1\nlevel: between\n y1 ~ x1\n s ~ w',
    "feedback": "level: within\n y1 ~ x1\n x2 ~ x1\nlevel: between\n y1 ~ x2 + x1\n x2 ~ y1 + w",
    "factor mean": "y1 ~ year\nf =~ y1 + y2 + x2\nf ~ year",
}


@cache
def model(name: str) -> bm.Model:
    text = MODELS[name]
    if text is None:
        return everything()
    return quiet_model(text, clustered(), cluster="g" if "level" in text else None)


def point(of: bm.Model, seed: int) -> tuple[Array, Geometry]:
    """Return coordinates v near a starting point, and the geometry found there."""
    blueprint, rng = of.blueprint, np.random.default_rng(seed)
    x = starting_point(blueprint) if blueprint.pilot is None else blueprint.pilot
    u = support(blueprint).to_unconstrained(x)
    u = u + 0.1 * rng.normal(size=len(u))
    x = support(blueprint).to_constrained(u)[0]
    geometry = geometry_at(blueprint, x)
    v = coordinates_at(geometry, u, x)
    t = rng.normal(size=blueprint.n_sampled * blueprint.observed.n_clusters)
    return np.concatenate([v, t]), geometry


@pytest.mark.parametrize("name", MODELS)
def test_c_functions_say_what_the_density_says(name: str) -> None:
    """Through the table of addresses, as nutpie calls them: bit for bit."""
    blueprint = model(name).blueprint
    v, geometry = point(model(name), 1)
    prepared = nuts.nuts_model(blueprint, geometry, lambda seed: v)
    logp, expand = prepared.functions
    gradient, value, x = np.empty(len(v)), np.empty(1), np.empty(len(v))
    pointer = ctypes.POINTER(ctypes.c_double)
    table = ctypes.c_void_p(prepared.table.ctypes.data)
    arrays = [a.ctypes.data_as(pointer) for a in (v, gradient, value, x)]
    assert logp.ctypes(len(v), *arrays[:3], table) == 0
    expected, slopes = log_posterior(blueprint, v, jacobian=True, geometry=geometry)
    assert np.isfinite(expected)
    assert value[0] == expected
    np.testing.assert_array_equal(gradient, slopes)
    assert expand.ctypes(len(v), len(v), arrays[0], arrays[3], table) == 0
    inside = np.empty(blueprint.parameters.n)
    constrained(v, len(inside), blueprint.prior_arrays, geometry, inside)
    np.testing.assert_array_equal(x[: len(inside)], inside)
    np.testing.assert_array_equal(x[len(inside) :], v[len(inside) :])


@pytest.mark.parametrize("name", ["covariates", "sampled slopes"])
def test_coordinates_of_other_kinds(name: str) -> None:
    """What kernels are not compiled for is converted; another length is no matter of memory."""
    blueprint = model(name).blueprint
    v, geometry = point(model(name), 4)
    v = np.round(v, 1)
    expected = log_posterior(blueprint, v, jacobian=True, geometry=geometry)
    read_only = v.copy()
    read_only.setflags(write=False)
    single = v.astype(np.float32)
    for other, tolerance in ((read_only, 0.0), (np.repeat(v, 2)[::2], 0.0), (single, 1e-4)):
        with event.install_recorder("numba:compile") as recorder:
            value, gradient = log_posterior(blueprint, other, jacobian=True, geometry=geometry)
        assert not recorder.buffer
        assert value == pytest.approx(expected[0], rel=tolerance, abs=0)
        scale = np.abs(expected[1]).max()
        np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=tolerance * scale)
    for wrong in (v[:-1], np.append(v, 0.0), v[None]):
        with pytest.raises(ValueError, match="coordinates have shape"):
            log_posterior(blueprint, wrong, jacobian=True, geometry=geometry)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_in_the_geometry(name: str) -> None:
    """Central differences with steps of 1e-6: rounding 1e-10 of values near 1e3."""
    blueprint = model(name).blueprint
    v, geometry = point(model(name), 2)

    def value(at: Array) -> float:
        return log_posterior(blueprint, at, jacobian=True, geometry=geometry)[0]

    gradient = log_posterior(blueprint, v, jacobian=True, geometry=geometry)[1]
    differences = central_differences(value, v, 1e-6)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(gradient / scale, differences / scale, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in MODELS if n != "sampled slopes"])
def test_change_of_variables_is_exact(name: str) -> None:
    """Densities of v and u differ by log |det dx/dv| - sum log |dx/du|, by differences."""
    blueprint = model(name).blueprint
    v, geometry = point(model(name), 3)
    bounds, n = support(blueprint), blueprint.parameters.n

    def parameters(at: Array) -> Array:
        x = np.empty(n)
        constrained(np.ascontiguousarray(at), n, blueprint.prior_arrays, geometry, x)
        return x

    x = parameters(v)
    u = bounds.to_unconstrained(x)
    np.testing.assert_allclose(coordinates_at(geometry, u, x), v, rtol=1e-9, atol=1e-9)
    steps = 1e-6 * np.eye(n)
    jacobian = np.array([(parameters(v + h) - parameters(v - h)) / 2e-6 for h in steps])
    log_det = np.linalg.slogdet(jacobian)[1] - bounds.to_constrained(u)[2].sum()
    in_v = log_posterior(blueprint, v, jacobian=True, geometry=geometry)[0]
    in_u = log_posterior(blueprint, u, jacobian=True)[0]
    assert in_v - in_u == pytest.approx(log_det, abs=1e-5)  # differences: n times 1e-7


@pytest.mark.parametrize("z", [-800.0, -40.0, -1e-9, 0.0, 1e-9, 3.0, 40.0])
def test_softplus_keeps_its_digits(z: float) -> None:
    """x, dx/dv, their logarithms and log x, from mpmath-like references by log1p and expm1."""
    from bayes_msem.kernels.priors import BELOW, bounded

    soft = 0.3
    x, slope, log_slope, bend, log_x, _ = bounded(BELOW, 0.0, np.inf, soft, soft * z)
    assert x == pytest.approx(soft * np.logaddexp(0.0, z), rel=1e-14)
    assert slope == pytest.approx(np.exp(-np.logaddexp(0.0, -z)), rel=1e-14)
    assert log_slope == pytest.approx(-np.logaddexp(0.0, -z), rel=1e-14)
    assert bend == pytest.approx(np.exp(-np.logaddexp(0.0, z)) / soft, rel=1e-14)
    expected = np.log(soft) + (z if z < -30 else np.log(np.logaddexp(0.0, z)))
    assert log_x == pytest.approx(expected, rel=1e-13)


def test_a_second_model_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other structure, priors and data: neither numba nor PyTensor has anything to do."""
    frame = clustered()
    first = quiet_model(str(MODELS["covariates"]), frame, cluster="g")
    short = {"draws": 20, "tune": 50, "chains": 2, "progress": False, "random_seed": 1}
    with pytest.warns(bm.ConvergenceWarning):
        first.fit(**short)

    def refused(*arguments: object, **options: object) -> None:
        raise AssertionError("PyTensor was asked to compile")

    monkeypatch.setattr(pytensor, "function", refused)
    other = quiet_model(
        "level: within\n y2 ~ x2\nlevel: between\n y2 ~ w",
        frame.iloc[:200],
        cluster="g",
        priors={("within", "regression"): "studentt(3, 0, 1)"},
    )
    with (
        event.install_recorder("numba:compile") as recorder,
        pytest.warns(bm.ConvergenceWarning),
    ):
        other.fit(**short)
    assert not recorder.buffer


@pytest.mark.filterwarnings("ignore::bayes_msem.ConvergenceWarning")  # R-hat may be a near miss
@pytest.mark.parametrize("data", [1, 2])
def test_no_divergences_where_variances_are_near_zero(data: int) -> None:
    """Slopes on predictors that hardly vary between clusters: intercepts made 10 to 30 diverge."""
    of = quiet_model(CROSS_LAGGED, clustered(data), cluster="g")
    for seed in (1, 2):
        fit = of.fit(random_seed=seed, progress=False)
        assert fit.convergence.divergences == 0
        assert fit.convergence.min_ess > 200


def test_intercepts_mix_as_slopes_do_where_zero_is_far_from_the_data() -> None:
    """A latent mean of 50: the intercept had a tenth of the slopes' ESS (217 of 1,000 draws)."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(60), 15)
    between = 50 + rng.normal(0, 3, 60)
    x = between[g] + rng.normal(0, 5, len(g))
    y = 2 + 0.3 * (x - between[g]) + 0.8 * between[g] + rng.normal(0, 2, 60)[g]
    frame = pd.DataFrame({"g": g, "x": x, "y": y + rng.normal(0, 4, len(g))})
    of = quiet_model("level: within\n y ~ x\nlevel: between\n y ~ x", frame, cluster="g")
    fit = of.fit(random_seed=1, progress=False)
    ess = fit.summary().set_index(["level", "lhs", "op", "rhs"])["ess_bulk"]
    assert ess["between", "y", "~", "1"] > 0.5 * ess["between", "y", "~", "x"]
    assert ess["between", "y", "~", "1"] > 1500


def test_potentials_of_a_user_are_sampled_and_other_variables_refused() -> None:
    """A potential that pulls a slope to 5 with precision 1e6."""
    of = quiet_model("y1 ~ x1", clustered())
    with of.pymc_model:
        slope = of.pymc_model["within_regression"]
        pm.Potential("pull", -0.5e6 * (slope[0] - 5.0) ** 2)
    fit = of.fit(draws=200, tune=400, chains=2, random_seed=1, progress=False)
    slope = fit.datatree["posterior"]["within_regression"]
    assert float(slope.mean()) == pytest.approx(5.0, abs=0.01)
    other = quiet_model("y1 ~ x1", clustered())
    with other.pymc_model:
        pm.Normal("extra")
    with pytest.raises(NotSupportedError, match="extra"):
        other.fit(progress=False)
