"""Models and fits can be pickled, copied and sent to other processes, and are the same there."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numba.core.dispatcher import Dispatcher

import bayes_msem as bm
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.inference.density import log_posterior
from tests.checking.laplace import laplace_fit
from tests.inference.models import quiet_model
from tests.missing.frames import holes
from tests.posterior.made_up import synthetic_fit
from tests.random.models import make_data
from tests.reference_models import Reference

SLOPE = 'level: within\ny1 ~ rv("s")*x1 + x2\nlevel: between\ny1 ~~ s'
LOADING = 'level: within\nfw =~ y1 + rv("l2")*y2 + y3\nlevel: between\nfb =~ y1 + y2 + y3'
MODELS: dict[str, tuple[str, Callable[[], pd.DataFrame]]] = {
    "moments": ("level: within\ny1 ~ x1 + x2\nlevel: between\ny1 ~ w1 + w2", make_data),
    "clusters": (SLOPE, make_data),
    "patterns": (SLOPE, holes),
    "sampled effects": (LOADING, make_data),
}
WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def fit_of(name: str) -> bm.Fit:
    text, data = MODELS[name]
    fit = synthetic_fit(quiet_model(text, data(), cluster="group"), chains=2, draws=8)
    fit.model.pymc_model  # noqa: B018 - what a fit leaves behind
    return fit


def results(fit: bm.Fit) -> list[np.ndarray]:
    """Numbers from all kernels behind a model and a fit."""
    blueprint = fit.model.blueprint
    n = blueprint.parameters.n + blueprint.observed.n_clusters * blueprint.n_sampled
    u = np.random.default_rng(1).normal(scale=0.1, size=n)
    density, gradient = log_posterior(blueprint, u, jacobian=True)
    summary = fit.summary()[["mean", "lower", "upper"]].to_numpy(dtype=float)
    effects = fit.cluster_effects()[["mean", "lower", "upper"]].to_numpy(dtype=float)
    found = [np.array(density), gradient, summary, effects]
    if not blueprint.n_sampled:
        found.append(np.array(list(fit.model.mode().values())))
        found.append(fit.log_likelihood("cluster").to_numpy())
    found.append(fit.log_likelihood("observation").to_numpy())
    values = {row.key: fit.draws[row.key][0, 0] for row in fit.model.table.rows if row.free}
    found.append(fit.model.simulate(values, random_seed=1)["y1"].to_numpy())
    return found


def signatures() -> dict[str, int]:
    """Number of compiled signatures of every kernel."""
    return {
        f"{name}.{kernel}": len(function.overloads)
        for name, module in sys.modules.items()
        if name.startswith("bayes_msem.")
        for kernel, function in vars(module).items()
        if isinstance(function, Dispatcher)
    }


@pytest.mark.parametrize("name", MODELS)
def test_copies_give_the_same_numbers_with_the_same_compiled_code(name: str) -> None:
    fit = fit_of(name)
    expected, before = results(fit), signatures()
    assert len(before) > 50
    for way, copied in WAYS.items():
        other = copied(fit)
        assert isinstance(other, bm.Fit)
        for mine, its in zip(expected, results(other), strict=True):
            np.testing.assert_array_equal(its, mine, err_msg=way)
        assert signatures() == before, way
        assert other.model.pymc_model.named_vars.keys() == fit.model.pymc_model.named_vars.keys()


@pytest.mark.parametrize("name", MODELS)
def test_arrays_of_copies_are_read_only(name: str) -> None:
    fit = fit_of(name)
    for way, copied in WAYS.items():
        model = copied(fit.model)
        likelihood = model.blueprint.likelihood
        records = [model.observed, model.blueprint.observed, likelihood, likelihood.program]
        records.append(likelihood.natural_program)
        assert not likelihood.approximation.packed.flags.writeable
        for record in records:
            arrays = [getattr(record, field) for field in type(record).__slots__]
            arrays = [array for array in arrays if isinstance(array, np.ndarray)]
            assert len(arrays) > 1 or not isinstance(record, ObservedData)
            assert not any(array.flags.writeable for array in arrays), (way, type(record))


def test_copies_keep_the_coordinates_of_sampled_effects() -> None:
    """They are those of the draws: a pilot of their own would change what the draws mean."""
    fit = fit_of("sampled effects")
    other = WAYS["pickle"](fit)
    assert fit.model.blueprint.likelihood.approximation.packed.any()
    packed = [f.model.blueprint.likelihood.approximation.packed for f in (other, fit)]
    np.testing.assert_array_equal(*packed)


def test_arrays_that_a_pool_maps_from_a_file(tmp_path: Any) -> None:
    """As joblib hands over large arrays."""
    observed = fit_of("moments").model.observed
    rebuild, (kind, values) = observed.__reduce__()
    file = tmp_path / "y.npy"
    np.save(file, values[0])
    again = rebuild(kind, (np.load(file, mmap_mode="r+"), *values[1:]))
    assert type(again.y) is np.ndarray
    assert not again.y.flags.writeable
    np.testing.assert_array_equal(again.y, observed.y)


def test_a_sampled_fit(demo_fit: bm.Fit) -> None:
    """After NUTS, with everything that sampling and tables left in the fit."""
    demo_fit.summary()
    demo_fit.loo()
    other = WAYS["pickle"](demo_fit)
    pd.testing.assert_frame_equal(other.summary(), demo_fit.summary())
    assert other.datatree.attrs == demo_fit.datatree.attrs
    assert other.convergence == demo_fit.convergence
    assert other.loo().elpd == demo_fit.loo().elpd
    assert WAYS["deepcopy"](demo_fit).model.spec == demo_fit.model.spec


RESULTS: dict[str, Callable[[bm.Fit], Any]] = {
    "mode": lambda fit: fit.model.mode(),
    "table": lambda fit: fit.summary(),
    "convergence": lambda fit: fit.convergence,
    "loo": lambda fit: fit.loo(),
    "replicates": lambda fit: fit.ppc(draws=8),
    "verdict": lambda fit: fit.check(),
    "implied by the prior": lambda fit: fit.model.prior_implied(draws=50, random_seed=1),
    "sensitivity": lambda fit: fit.prior_sensitivity(),
    "plan": lambda fit: fit.model.plan,
    "diagram": lambda fit: fit.model.diagram(),
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.filterwarnings("ignore::bayes_msem.MsemWarning")
def test_results_can_be_sent_too(approximate: bm.Fit, name: str) -> None:
    result = RESULTS[name](approximate)
    for way, copied in WAYS.items():
        assert str(copied(result)) == str(result), way


@pytest.fixture(scope="module")
def approximate() -> bm.Fit:
    spec = "level: within\nf =~ y1 + y2 + y3 + y4\nlevel: between\nb =~ y1 + y2 + y3 + y4"
    return laplace_fit(quiet_model(spec, make_data(), cluster="group"), draws=60)


# What a process pool does. Functions are sent by name, so they stand at the top of the module.


def mode_of(model: bm.Model) -> Any:
    return model.mode()


def model_of(text: str) -> bm.Model:
    return bm.Model(text, make_data(), cluster="group")


@pytest.fixture(scope="module")
def pool() -> Any:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


def test_process_pool(pool: ProcessPoolExecutor, demo: Reference, demo_model: bm.Model) -> None:
    mode = demo_model.mode()
    found = pool.submit(mode_of, demo_model).result(timeout=300)
    assert found.converged
    assert found.keys() == mode.keys()  # last digits depend on where the arrays lie in memory
    np.testing.assert_allclose(list(found.values()), list(mode.values()), rtol=1e-9)


def test_errors_come_back_from_a_process_pool(pool: ProcessPoolExecutor) -> None:
    text = "level: within\ny1 ~ x1 +\nlevel: between\ny1 ~ w1"
    with pytest.raises(bm.ModelSyntaxError) as here:
        model_of(text)
    with pytest.raises(bm.ModelSyntaxError) as there:
        pool.submit(model_of, text).result(timeout=300)
    assert str(there.value) == str(here.value)
    assert (there.value.line, there.value.column) == (here.value.line, here.value.column)


@pytest.mark.parametrize("name", [name for name in bm.__all__ if name.endswith("Error")])
def test_every_error_can_be_pickled(name: str) -> None:
    kind = getattr(bm, name)
    place = {"text": "y ~ ?", "line": 1, "column": 5, "width": 2, "suggestion": "leave it out"}
    error = kind("odd", **place) if kind is bm.ModelSyntaxError else kind("odd")
    again = WAYS["pickle"](error)
    assert type(again) is kind
    assert str(again) == str(error)
