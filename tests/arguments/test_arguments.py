"""Arguments of public functions: what is refused, with which words, and before any work."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import nutpie
import pandas as pd
import pytest

import bayes_msem as bm
import bayes_msem.inference.sample
import bayes_msem.model
from bayes_msem.arguments import IntervalKind, checked, figure_size, integer, shown
from bayes_msem.errors import (
    INSIDE,
    ArgumentError,
    MsemError,
    NotSupportedError,
    SpecificationError,
)
from bayes_msem.foreign_words import WORDS
from bayes_msem.inference import options
from bayes_msem.inference.mode import Mode
from bayes_msem.inference.options import check_fit_options, check_sampler_options
from tests.posterior.made_up import synthetic_fit

TWO_LEVEL = "level: within; y ~ x; level: between; y ~ w"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(12), 5)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=60), "w": rng.normal(size=12)[g]})
    return frame.assign(y=frame["x"] + rng.normal(size=12)[g] + rng.normal(size=60))


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> bm.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        return bm.Model(TWO_LEVEL, frame, cluster="g")


@pytest.fixture(scope="module")
def fit(model: bm.Model) -> bm.Fit:
    return synthetic_fit(model, draws=10)


class Reached(Exception):
    """Sampling would begin."""


@pytest.fixture
def untouched(model: bm.Model, monkeypatch: pytest.MonkeyPatch) -> bm.Model:
    """A model that must neither be assembled nor compiled."""

    def reached(*args: object, **kwargs: object) -> None:
        raise Reached

    monkeypatch.setattr(bayes_msem.inference.sample, "draw_posterior", reached)
    monkeypatch.setattr(bayes_msem.model, "build_pymc_model", reached)
    monkeypatch.setattr(bayes_msem.model.forms, "build_blueprint", reached)
    return model.on(model.observed)


# Every public function is checked --------------------------------------------------------------


def public_functions() -> Iterator[Callable[..., Any]]:
    for name in bm.__all__:
        value = getattr(bm, name)
        if inspect.isfunction(value):
            yield value
    for owner in (bm.Model, bm.Fit, Mode, bm.Prior):
        for name, function in inspect.getmembers(owner, inspect.isfunction):
            ours = function.__module__.startswith("bayes_msem")
            if ours and (not name.startswith("_") or (name == "__init__" and owner is not Mode)):
                yield function


NOT_CALLED_BY_USERS = {"unpiloted_blueprint", "sample", "get", "items", "keys", "values"}


@pytest.mark.parametrize("function", list(public_functions()), ids=lambda f: f.__qualname__)
def test_every_public_function_is_checked(function: Callable[..., Any]) -> None:
    if function.__name__ in NOT_CALLED_BY_USERS:
        return
    assert hasattr(function, "__wrapped__"), f"{function.__qualname__} needs @checked()"
    assert function.__doc__ or function.__name__ == "__init__"


def test_checks_of_arguments_that_are_not_there_are_a_mistake() -> None:
    with pytest.raises(TypeError, match="has no argument drows"):
        checked(drows=integer(1))(lambda draws: draws)


def test_arguments_become_plain_python() -> None:
    @checked(draws=integer(1))
    def sample(draws: int, *, sort: bool = False, ci: float = 0.5) -> tuple[object, ...]:
        return draws, sort, ci

    result = sample(np.int8(3), sort=np.bool_(True), ci=np.float32(0.25))
    assert result == (3, True, 0.25)
    assert [type(x) for x in result] == [int, bool, float]


def test_none_passes_where_it_is_the_default() -> None:
    @checked(draws=integer(1), keep=integer(0))
    def sample(draws: int, keep: int | None = None) -> object:
        return draws, keep

    assert sample(1, None) == (1, None)
    with pytest.raises(SpecificationError, match="draws must be an integer, at least 1, got None"):
        sample(None)


@pytest.mark.parametrize(
    "size", [(0, 1), (1, -1), (1,), "ab", 3, (1, np.nan), (1, 601), None, (1, "2")]
)
def test_sizes_of_figures(size: object) -> None:
    with pytest.raises(SpecificationError, match="figsize must be"):
        figure_size("figsize", size)
    assert figure_size("figsize", np.array([3, 4])) == (3.0, 4.0)


def test_long_and_broken_values_are_shown_by_their_type() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    assert shown("x" * 1000).count("x") < 80
    assert shown(Broken()) == "a value of type Broken"
    assert len(shown(np.zeros((50, 50)))) <= 80


def test_warnings_name_the_line_of_the_user(frame: pd.DataFrame) -> None:
    with pytest.warns(bm.SmallSampleWarning) as caught:
        bm.Model(TWO_LEVEL, frame, cluster="g")
    assert {w.filename for w in caught} == {__file__}
    assert bm.__file__.startswith(INSIDE)


# Values ----------------------------------------------------------------------------------------

WRONG_FIT: list[tuple[dict[str, Any], str]] = [
    *(({name: value}, name) for name in ("draws", "tune", "chains") for value in
      (0, -1, 1.5, "100", None, True, 10**12, np.nan, [1])),
    *(({"cores": value}, "cores") for value in (0, -2, 1.5, "all", True)),
    *(({"random_seed": value}, "random_seed") for value in (-1, 2**63, 2**64, 1.0, "1", True)),
    *(({"target_accept": value}, "target_accept") for value in (0, 1, 2, -0.5, "0.9", True)),
    *(({"progress": value}, "progress") for value in (None, 0, "no")),
    *(({"sampler": value}, "sampler") for value in (None, "stan", 3, ["nutpie"])),
    *(({"maxdepth": value}, "maxdepth") for value in (0, 100, "a", 1.5)),
    ({"adaptation": "dense"}, "adaptation"),
    ({"step_size_jitter": "a"}, "step_size_jitter"),
    ({"mass_matrix_gamma": 0.1, "adaptation": "diag"}, "mass_matrix_gamma"),
    ({"zarr_store": "folder"}, "zarr_store"),
    ({"sampler": "pymc", "nuts": 3}, "nuts"),
    ({"sampler": "pymc", "nuts": {"max_treedepth": 0}}, "max_treedepth"),
    ({"sampler": "pymc", "nuts": {"target_accept": 0.9}, "target_accept": 0.8}, "given twice"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "culprit"), WRONG_FIT, ids=lambda x: str(x)[:40])
def test_wrong_settings_are_refused_before_anything_is_compiled(
    untouched: bm.Model, arguments: dict[str, Any], culprit: str
) -> None:
    start = time.perf_counter()
    with pytest.raises(SpecificationError, match=culprit):
        untouched.fit(**arguments)
    assert time.perf_counter() - start < 0.1


UNKNOWN_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"foo": 1}, r"sampler='nutpie' has no argument 'foo'.*target_accept"),
    ({"taget_accept": 0.9}, "did you mean 'target_accept'"),
    ({"max_treedepth": 12}, "maxdepth=10 with nutpie"),
    ({"sampler": "pymc", "maxdepth": 12}, "max_treedepth"),
    ({"sampler": "pymc", "nuts": {"foo": 1}}, "no argument 'foo'.*max_treedepth"),
    ({"init_mean": 0}, r"start\(0\.8\)"),
    ({"save_warmup": True}, "sets save_warmup of nutpie itself"),
    ({"num_draws": 5}, "sets num_draws of nutpie itself"),
    ({"sampler": "pymc", "return_inferencedata": False}, "sets return_inferencedata of pymc"),
    ({"nuts_sampler": "pymc"}, "here it is sampler="),
]


@pytest.mark.parametrize(("options", "message"), UNKNOWN_OPTIONS, ids=lambda x: str(x)[:40])
def test_unknown_options_are_refused_before_anything_is_compiled(
    untouched: bm.Model, options: dict[str, Any], message: str
) -> None:
    start = time.perf_counter()
    with pytest.raises(ArgumentError, match=message):
        untouched.fit(**options)
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize("sampler", ["numpyro", "blackjax"])
def test_samplers_in_jax_are_refused_before_a_pilot(
    untouched: bm.Model, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, sampler: Any
) -> None:
    """Where JAX is not installed, and where outcomes are not normal."""
    monkeypatch.setattr("bayes_msem.inference.options.find_spec", lambda name: None)
    with pytest.raises(NotSupportedError, match=f"the packages jax and {sampler}, and jax is not"):
        untouched.fit(sampler=sampler)
    coded = frame.assign(y=(frame["y"] > 0) + 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        binary = bm.Model(TWO_LEVEL, coded, cluster="g", families={"y": "binary(logit)"})
    with pytest.raises(NotSupportedError, match=f"{sampler}.*y: binary.*nutpie.*pymc"):
        binary.fit(sampler=sampler)


@pytest.mark.parametrize(
    "options",
    [
        {"target_accept": 0.95, "maxdepth": np.int64(12), "store_divergences": True},
        {"adaptation": "draw_diag", "max_energy_error": 100, "mindepth": 2},
        {"sampler": "pymc", "target_accept": 0.9, "nuts": {"max_treedepth": 12}, "n_init": 50},
        {"draws": np.int64(1), "tune": 1, "chains": 1, "cores": 100, "random_seed": 2**63 - 1},
    ],
)  # fmt: skip
def test_settings_that_samplers_know_pass(untouched: bm.Model, options: dict[str, Any]) -> None:
    with pytest.raises(Reached):
        untouched.fit(**options)


def test_named_options_are_those_of_the_installed_nutpie() -> None:
    """They are written down, so that nobody waits for nutpie's signature."""
    signature = inspect.signature(nutpie.sample).parameters.values()
    named = {p.name for p in signature if p.kind is not p.VAR_KEYWORD}
    own = options._PASSED | options._STARTS | options._KEEPS_FROM_READING
    assert named - own == set(options._NAMED)
    assert all(options._nutpie_takes({name: 1.0}) for name in options._NUTPIE)
    assert options._nutpie_itself() is nutpie._lib


def test_settings_of_one_adaptation_choose_it() -> None:
    assert check_sampler_options("nutpie", {"mass_matrix_gamma": 0.1}) == {
        "mass_matrix_gamma": 0.1,
        "adaptation": "low_rank",
    }


def test_options_of_refits_are_checked_before_the_first_refit(fit: bm.Fit) -> None:
    with pytest.raises(ArgumentError, match="no argument 'foo'"):
        fit.loo(refit="exact", foo=1)
    with pytest.raises(SpecificationError, match="chains must be"):
        fit.loo(refit="exact", chains=0)
    with pytest.raises(SpecificationError, match="add refit='exact'"):
        fit.loo(chains=2)
    assert check_fit_options({"cores": None, "draws": 5}) == {"cores": None, "draws": 5}


@pytest.mark.parametrize("spec", [None, b"y ~ x", ["y ~ x"], 3, {"y": "x"}])
def test_specs_that_are_no_text(frame: pd.DataFrame, spec: Any) -> None:
    with pytest.raises(SpecificationError, match="spec must be text"):
        bm.Model(spec, frame)


def test_fits_that_are_none(model: bm.Model, fit: bm.Fit) -> None:
    with pytest.raises(SpecificationError, match="model must be a Model, got None"):
        bm.Fit(None, fit.datatree)
    with pytest.raises(SpecificationError, match="datatree must be a DataTree of draws, got None"):
        bm.Fit(model, None)
    with pytest.raises(SpecificationError, match="baseline must be a fit of a null model, got 3"):
        fit.indices(baseline=3)
    with pytest.raises(SpecificationError, match=r"observed must be model\.observed"):
        model.on(None)


@pytest.mark.parametrize("draws", [0, -1, 1.5, None, "10", True, 10**12])
def test_numbers_of_prior_draws(untouched: bm.Model, draws: Any) -> None:
    for method in (untouched.prior_predictive, untouched.prior_implied):
        with pytest.raises(SpecificationError, match="draws must be an integer, from 1"):
            method(draws)


@pytest.mark.parametrize(
    "sample",
    [
        {"clusters": 10**12},
        {"clusters": 10**30},
        {"clusters": 10, "sizes": 10**12},
        {"sizes": [10**9] * 3},
        {"sizes": 10**10},
    ],
)
def test_samples_that_no_memory_holds(model: bm.Model, sample: dict[str, Any]) -> None:
    values = {row.key: 0.5 for row in model.table.rows if row.free}
    with pytest.raises(SpecificationError, match="values can be simulated at once"):
        model.simulate(values, **sample)


def test_a_model_with_nothing_free(frame: pd.DataFrame) -> None:
    """Its likelihood is that of a standard normal distribution, by hand."""
    model = bm.Model("y ~ 0*1 + 0*x; y ~~ 1*y", frame)
    y = frame["y"].to_numpy()
    by_hand = float(np.sum(-0.5 * np.log(2 * np.pi) - y**2 / 2))
    assert model.log_likelihood({}) == pytest.approx(by_hand, rel=1e-12)
    assert len(model.simulate({}, random_seed=1)) == len(frame)
    for method in (model.fit, model.mode, model.prior_predictive, model.prior_implied):
        with pytest.raises(SpecificationError, match="the model has no free parameter"):
            method()


# Words -----------------------------------------------------------------------------------------

NOT_YET = {
    "sampling_weights": "no sampling weights",
    "sampling.weights": "no sampling weights",
    "parameterization": "theta parameterisation",
    "estimator": r"model\.mode\(prior=False\)",
    "fixed_x": "Covariates are always conditioned on",
    "fixed.x": "Covariates are always conditioned on",
}
OURS = {
    "dp": "priors=",
    "categorical": "ordered=",
    "family": "families=.*ordinal.logit.",
    "offset": "exposure=.*not its logarithm",
    "std.lv": "std_lv=",
    "orthogonal": "random_covariances=.none. makes random effects independent",
    "model": "spec=",
    "seed": r"random_seed=, an argument of model\.fit\(\)",
    "iter": r"draws=, an argument of model\.fit\(\)",
    "burnin": r"tune=, an argument of model\.fit\(\)",
    "draws": r"draws=, an argument of model\.fit\(\)",
}


@pytest.mark.parametrize(("word", "message"), [*NOT_YET.items(), *OURS.items()])
def test_words_of_other_packages_in_models(frame: pd.DataFrame, word: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        bm.Model("y ~ x", frame, **{word: 1})
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, MsemError)
    assert f"Model() has no argument {word!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        *NOT_YET.items(),
        ("seed", r"random_seed=\."),
        ("iter", r"draws=\."),
        ("sample", r"draws=\."),
        ("burnin", r"tune=\."),
        ("warmup", r"tune=\."),
        ("n.chains", r"chains=\."),
        ("adapt_delta", r"target_accept=\."),
        ("thin", "not thinned"),
        ("dp", r"priors=, an argument of bm\.Model\(\)"),
        ("std_lv", r"std_lv=, an argument of bm\.Model\(\)"),
        ("cluster", r"cluster=, an argument of bm\.Model\(\)"),
        ("group", r"group=, an argument of bm\.Model\(\)"),
    ],
)
def test_words_of_other_packages_in_fits(untouched: bm.Model, word: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        untouched.fit(**{word: 1})


def test_words_of_other_packages_elsewhere(fit: bm.Fit, frame: pd.DataFrame) -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: fit.summary(prob=0.9), r"Fit\.summary\(\).*ci="),
        (lambda: fit.summary(hdi_prob=0.9), "ci="),
        (lambda: fit.summary(**{"CI.kind": "hdi"}), "here it is ci_kind="),
        (lambda: fit.plot_trace(var_names=["y"]), "rows="),
        (lambda: fit.ppp(seed=1), r"random_seed=\."),
        (lambda: fit.predict(new_data=frame), "newdata="),
        (lambda: fit.icc(level=1), "Its arguments are ci, ci_kind, means"),
        (lambda: fit.dic(group=1), r"group=, an argument of bm\.Model\(\)"),
        (lambda: fit.dic(foo=1), "It takes none"),
        (lambda: bm.describe(frame, "g", group="g"), r"group=, an argument of bm\.Model\(\)"),
        (lambda: bm.compare({}, ic="waic"), "fit.waic"),
        (lambda: bm.load_dataset("hsb", file="x"), "path="),
        (lambda: bm.load(file="x"), r"load\(\).*here it is path=\."),
        (lambda: bm.Prior("normal", (0, 1), sd=3), r"Prior\(\) has no argument 'sd'"),
    ]
    for call, message in cases:
        with pytest.raises(ArgumentError, match=message):
            call()


def test_missing_and_superfluous_arguments(fit: bm.Fit) -> None:
    with pytest.raises(ArgumentError, match=r"Model\(\): missing a required argument: 'data'"):
        bm.Model("y ~ x")
    with pytest.raises(ArgumentError, match=r"Fit\.r2\(\): too many positional arguments"):
        fit.r2(0.9, "eti")


@pytest.mark.parametrize("word", list(WORDS))
def test_the_table_of_words_is_consistent(word: str) -> None:
    """Words are plain; what they stand for exists; sentences end with a stop."""
    entry = WORDS[word]
    assert word == word.lower().replace(".", "_").replace("-", "_")
    here = entry.here or (word if entry.of else "")
    assert here or entry.says
    assert not entry.says or entry.says.endswith(".")
    owners = {"model.fit()": bm.Model.fit, "bm.Model()": bm.Model.__init__}
    if entry.of:
        known = {*inspect.signature(owners[entry.of]).parameters, "target_accept"}
        assert here in known
    elif here:
        functions = [f for f in public_functions() if here in inspect.signature(f).parameters]
        assert functions, f"nothing has an argument {here}"


def test_kinds_of_intervals_are_said_once() -> None:
    from bayes_msem.posterior import summary

    assert summary.IntervalKind is IntervalKind
