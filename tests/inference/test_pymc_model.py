"""The PyMC model: its density, its names, its draws."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.inference.density import log_likelihood, log_posterior, starting_point, support
from bayes_msem.spec.expressions import FUNCTIONS
from tests.inference.models import everything, quiet_model, reference_model
from tests.likelihood.cases import make_frame

Array = NDArray[np.float64]

# Drawing from y and reducing data to statistics run in Python, of which PyTensor tells.
pytestmark = pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")


def random_u(model: bm.Model, seed: int) -> Array:
    bounds = support(model.blueprint)
    center = bounds.to_unconstrained(starting_point(model.blueprint))
    return center + 0.2 * np.random.default_rng(seed).normal(size=len(center))


def named(model: bm.Model, values: Array) -> dict[str, Array]:
    """Split values by random variable."""
    parts: dict[str, Array] = {}
    start = 0
    for group in model.blueprint.parameters.groups:
        parts[group.name] = values[start : start + len(group.free)]
        start += len(group.free)
    return parts


@cache
def compiled_everything() -> Any:
    function = everything().pymc_model.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    return function


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_density_and_gradient_equal_those_in_numpy(seed: int) -> None:
    """One model with every prior family, LKJ, Beta, direct covariances and a computed row.

    PyMC's log(2) in half families and other constants have single precision: 1e-8 relative.
    """
    model = everything()
    u = random_u(model, seed)
    value, gradient = compiled_everything()(u)
    expected, slopes = log_posterior(model.blueprint, u, jacobian=True)
    assert np.isfinite(expected)
    assert value == pytest.approx(expected, rel=1e-8)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-9, atol=1e-9)


def test_pymcs_gradient_equals_central_differences() -> None:
    """Steps of 1e-5 on a value near -500: rounding 1e-8, third derivatives up to 1e3 * 1e-10."""
    u = random_u(everything(), 5)
    function = compiled_everything()
    step = 1e-5
    differences = [
        (function(u + h)[0] - function(u - h)[0]) / (2 * step) for h in step * np.eye(len(u))
    ]
    np.testing.assert_allclose(function(u)[1], differences, rtol=1e-5, atol=1e-5)


def test_minus_infinity_where_direct_covariances_are_not_positive_definite() -> None:
    model = everything()
    u = random_u(model, 6)
    rows = [(r.level, r.lhs, r.rhs) for r in model.blueprint.parameters.rows]
    u[rows.index(("between", "y4", "y5"))] = 1e3
    assert compiled_everything()(u)[0] == -np.inf


def test_posterior_mode_maximises_pymcs_density() -> None:
    """Without Jacobians, the gradient vanishes and every step away goes down.

    The search stops at a Newton decrement of 1e-9, so the mode is 3e-5 posterior SDs from the
    maximum at most and the density 1e-9 below it.
    """
    _, model = reference_model("demo-twolevel")
    density = model.pymc_model.compile_logp(jacobian=False)
    mode = model.mode()
    parameters = model.blueprint.parameters
    x = np.array([mode[row.key] for row in parameters.rows])
    x = np.where([row.kind == "variance" for row in parameters.rows], np.sqrt(np.abs(x)), x)
    assert not len(parameters.blocks.size)  # no correlations: x is known from the table values
    bounds = support(model.blueprint)
    u = bounds.to_unconstrained(x)
    names = [v.name for v in model.pymc_model.value_vars]

    def at(position: Array) -> float:
        parts = named(model, position).values()
        return float(density(dict(zip(names, parts, strict=True))))

    best = at(u)
    assert best == pytest.approx(mode.log_posterior, rel=1e-9)
    se = np.array([model.mode(prior=False).standard_errors[row.key] for row in parameters.rows])
    se = np.where([row.kind == "variance" for row in parameters.rows], se / (2 * x**2), se)
    for i, step in enumerate(np.diag(0.05 * se)):
        up, down = at(u + step), at(u - step)
        assert max(up, down) < best
        # in units of SEs: slope against a curvature of about 1
        assert abs(up - down) / 0.1 < 1e-2, parameters.rows[i]


def test_names_dims_and_coordinates_are_the_rows_of_the_table() -> None:
    model = everything()
    pymc_model = model.pymc_model
    found: set[tuple[str, str, str, str]] = set()
    for variable in pymc_model.free_RVs:
        (dim,) = pymc_model.named_vars_to_dims[variable.name]
        assert dim == f"{variable.name}_row"
        level = variable.name.split("_")[0]
        for label in pymc_model.coords[dim]:
            lhs, op, rhs = label.split(" ")
            found.add((level, lhs, op, rhs))
    assert found == {row.key for row in model.table.rows if row.free}
    assert pymc_model.named_vars_to_dims["y"] == ("obs_id", "outcome")
    assert pymc_model.coords["outcome"] == ("y1", "y2", "y3", "y4", "y5", "y6", "z1")
    assert len(pymc_model.coords["obs_id"]) == len(make_frame())


def test_observed_values_are_the_data_in_the_order_of_the_rows() -> None:
    model, frame = everything(), make_frame()
    (y,) = model.pymc_model.observed_RVs
    data = model.pymc_model.rvs_to_values[y].data
    np.testing.assert_array_equal(data, frame[["y1", "y2", "y3", "y4", "y5", "y6", "z1"]])


PATH = "level: within\ny1 ~ y2 + x1\ny2 ~~ y2\nlevel: between\ny1 ~ w1\ny1 ~~ y2\nz1 ~ y1"


@cache
def path_model() -> bm.Model:
    frame = make_frame().assign(y2=lambda d: 0.3 * d["y2"])
    return quiet_model(PATH, data=frame, cluster="group")


def fixed_values(model: bm.Model) -> Array:
    """One vector x with moderate slopes and SDs."""
    kinds = [row.kind for row in model.blueprint.parameters.rows]
    x = {"regression": 0.4, "intercept": 1.5, "variance": 0.8, "covariance": 0.7, "loading": 1.0}
    return np.array([x[kind] for kind in kinds])


def test_density_responds_to_other_data() -> None:
    """Statistics are computed from the value, not from the data the model was built with."""
    model, frame = path_model(), make_frame(seed=1)
    other = quiet_model(model.spec, data=frame, cluster="group")
    y, x = model.pymc_model["y"], fixed_values(model)
    own_data = model.pymc_model.rvs_to_values[y].data
    other_data = frame[["y1", "y2", "z1"]].to_numpy()
    value = pt.dmatrix("value")
    givens = {model.pymc_model[name]: part for name, part in named(model, x).items()}
    density = pm.logp(y, value).sum()
    own, expected = (log_likelihood(m.blueprint, x)[0] for m in (model, other))
    assert density.eval(givens | {value: own_data}) == pytest.approx(own, rel=1e-12)
    assert density.eval(givens | {value: other_data}) == pytest.approx(expected, rel=1e-12)
    assert abs(expected - own) > 1


def posterior_of_one_value(model: bm.Model, draws: int) -> xr.DataTree:
    """A posterior in which all draws are equal."""
    parts = named(model, fixed_values(model))
    variables = {
        name: (("chain", "draw", f"{name}_row"), np.tile(part, (1, draws, 1)))
        for name, part in parts.items()
    }
    coords = {f"{g.name}_row": list(g.labels) for g in model.blueprint.parameters.groups}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=coords)})


def test_posterior_predictive_draws_have_the_implied_moments() -> None:
    """4,000 draws at one x; z values of means and covariances below 4.5.

    Means and (co)variances of the first row of every cluster, which are independent.
    """
    model, draws = path_model(), 4000
    with model.pymc_model:
        tree = pm.sample_posterior_predictive(
            posterior_of_one_value(model, draws), random_seed=1, progressbar=False
        )
    y = tree["posterior_predictive"]["y"]
    assert y.dims == ("chain", "draw", "obs_id", "outcome")
    assert y.shape == (1, draws, len(make_frame()), 3)
    theta = model.blueprint.theta(fixed_values(model)[None, :])[0]
    implied = model.blueprint.likelihood.outcomes(theta)
    frame = make_frame()
    total = implied.Sigma_w + implied.Sigma_b
    variance = np.diag(total)
    errors = np.sqrt((np.outer(variance, variance) + total**2) / draws)
    for row in (0, 7, 20):
        design = np.r_[1.0, frame.loc[row, ["x1", "w1"]].to_numpy(float)]
        sample = y.isel(chain=0, obs_id=row).to_numpy()
        mean = implied.coefficients @ design
        assert np.abs((sample.mean(axis=0) - mean) / np.sqrt(variance / draws)).max() < 4.5
        assert np.abs((np.cov(sample.T) - total) / errors).max() < 4.5
    # two rows of one cluster share the between part only
    group = frame["group"] == frame["group"].value_counts().index[0]
    first, second = np.flatnonzero(group)[:2]
    pair = y.isel(chain=0, obs_id=[first, second], outcome=0).to_numpy()
    expected = implied.Sigma_b[0, 0]
    error = np.sqrt((variance[0] ** 2 + expected**2) / draws)
    assert np.cov(pair.T)[0, 1] == pytest.approx(expected, abs=4.5 * error)
    # cluster-level outcomes do not vary inside clusters
    z = y.isel(chain=0, outcome=2, obs_id=np.flatnonzero(group)).to_numpy()
    assert np.ptp(z, axis=1).max() == 0


def test_prior_predictive() -> None:
    """Shapes and seeds; draws of priors with known moments, and data that follow them."""
    model = quiet_model(
        "y1 ~ 1",
        data=make_frame(),
        priors={"y1 ~ 1": "normal(3, 2)", "y1 ~~ y1": "uniform(0.5, 1.5)"},
    )
    n, draws = len(make_frame()), 2000
    tree = model.prior_predictive(draws, random_seed=1)
    y = tree["prior_predictive"]["y"].to_numpy()
    intercept = tree["prior"]["within_intercept"].to_numpy().ravel()
    assert y.shape == (1, draws, n, 1)
    means = y.mean(axis=(2, 3)).ravel()
    # mean of n rows: SD of the prior, and of E[sd^2] / n with E[sd^2] = 1 + 1 / 12
    sd = np.sqrt(4 + (1 + 1 / 12) / n)
    assert means.mean() == pytest.approx(3, abs=4 * sd / np.sqrt(draws))
    assert means.std() == pytest.approx(sd, abs=4 * sd / np.sqrt(2 * draws))
    assert np.corrcoef(means, intercept)[0, 1] > 0.99
    again = model.prior_predictive(draws, random_seed=1)
    np.testing.assert_array_equal(again["prior_predictive"]["y"].to_numpy(), y)
    other = model.prior_predictive(5, random_seed=2)
    assert other["prior_predictive"]["y"].shape == (1, 5, n, 1)
    np.testing.assert_array_equal(
        tree["observed_data"]["y"].to_numpy().ravel(), make_frame()["y1"].to_numpy()
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_of_a_constraint_has_a_pytensor_form(function: str) -> None:
    """The computed row is in the graph, not only in NumPy."""
    model = quiet_model(
        f"y1 ~ a*x1 + b*x2\nb == {function}(a)",
        data=make_frame(),
        priors={"a": "uniform(0.1, 0.9)"},
    )
    y = model.pymc_model["y"]
    x = np.array([{"regression": 0.3}.get(r.kind, 1.1) for r in model.blueprint.parameters.rows])
    graph = next(v for v in y.owner.inputs if getattr(v.type, "dtype", "") == "float64")
    givens = {model.pymc_model[name]: part for name, part in named(model, x).items()}
    extended = graph.eval(givens, mode="FAST_COMPILE")
    assert len(extended) == len(x) + 1
    assert extended[-1] == pytest.approx(float(FUNCTIONS[function](0.3)), rel=1e-12)
