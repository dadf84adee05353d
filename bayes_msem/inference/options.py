"""Settings of a sampler, checked before anything is compiled.

What a sampler knows is asked of the sampler that is installed: PyMC's signatures, and nutpie's own
settings object, which refuses what it does not know. What the package passes
itself (draws, seeds, starting points, ...) is not up to the user, nor is what would keep the draws
from coming back as they are read here.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, Literal

import pymc as pm

from bayes_msem.arguments import (
    MOST_CHAINS,
    MOST_DRAWS,
    Check,
    choice,
    flag,
    integer,
    mapping,
    number,
    probability,
    seed,
    shown,
    text,
)
from bayes_msem.errors import ArgumentError, NotSupportedError, SpecificationError
from bayes_msem.foreign_words import unknown_word
from bayes_msem.outcomes.families import Family

__all__ = [
    "FIT_ARGUMENTS",
    "Sampler",
    "check_fit_options",
    "check_sampler_can",
    "check_sampler_options",
]

Sampler = Literal["nutpie", "pymc", "numpyro", "blackjax"]

_PASSED = {  # to the samplers, by the package
    *("compiled_model", "model", "draws", "tune", "chains", "cores", "seed", "random_seed"),
    *("progress_bar", "progressbar", "save_warmup", "nuts_sampler", "sampler", "num_tune"),
    *("num_draws", "num_chains", "compute_convergence_checks"),
}
_STARTS = {"init_mean", "initvals"}
_KEEPS_FROM_READING = {
    *("return_raw_trace", "blocking", "return_inferencedata", "discard_tuned_samples"),
    *("var_names", "trace", "step", "idata_kwargs", "nuts_sampler_kwargs"),
}
# What nutpie.sample takes by name, besides the above
_NAMED = (
    *("adaptation", "store_unconstrained", "zarr_store"),
    *("progress_callback", "progress_template", "progress_style", "progress_rate"),
)
# nutpie's documented settings, to be named in messages; its settings object knows a few more
_NUTPIE = (
    *("target_accept", "maxdepth", "mindepth", "max_energy_error", "initial_step"),
    *("max_step_size", "store_divergences", "store_gradient", "store_mass_matrix"),
    *("mass_matrix_eigval_cutoff", "mass_matrix_gamma"),
)
_DEEPEST = 20  # 2**20 steps for one draw


def _mapping(name: str, value: Any) -> Any:
    if not all(isinstance(key, str) for key in mapping(name, value)):
        raise SpecificationError(f"{name} must be a dict of options, got {shown(value)}")
    return dict(value)


def _function(name: str, value: Any) -> Any:
    if not callable(value):
        raise SpecificationError(f"{name} must be a function, got {shown(value)}")
    return value


def _store(name: str, value: Any) -> Any:
    if type(value).__module__.split(".")[0] not in ("nutpie", "_lib"):
        raise SpecificationError(f"{name} must be a store of nutpie.zarr_store, got {shown(value)}")
    return value


FIT_ARGUMENTS: dict[str, Check] = {
    "draws": integer(1, MOST_DRAWS, what="an integer, such as 1000"),
    "tune": integer(
        1, MOST_DRAWS, what="an integer, such as 1000"
    ),  # without, there are no step sizes and scales
    "chains": integer(1, MOST_CHAINS, what="an integer, such as 4"),
    "random_seed": seed,
    "progress": flag,
    "cores": integer(1, what="an integer, such as 4"),
    "sampler": choice(Sampler),
}
"""Checks of what :meth:`bayes_msem.Model.fit` takes besides options of the sampler."""

_POSITIVE = number("a positive number", 0.0, strict=True)
_VALUES: dict[str, Check] = {
    "target_accept": probability,
    "maxdepth": integer(1, _DEEPEST, what="an integer, such as 10"),
    "mindepth": integer(0, _DEEPEST),
    "max_treedepth": integer(1, _DEEPEST, what="an integer, such as 10"),
    "early_max_treedepth": integer(1, _DEEPEST, what="an integer, such as 8"),
    "adaptation": choice(("diag", "draw_diag", "low_rank", "flow")),
    "max_energy_error": _POSITIVE,
    "initial_step": _POSITIVE,
    "max_step_size": _POSITIVE,
    "step_scale": _POSITIVE,
    "mass_matrix_gamma": _POSITIVE,
    "mass_matrix_eigval_cutoff": number("a number above 1", 1.0, strict=True),
    **dict.fromkeys(("store_divergences", "store_gradient", "store_mass_matrix"), flag),
    **dict.fromkeys(("store_unconstrained", "quiet", "keep_warning_stat", "check_turning"), flag),
    **dict.fromkeys(("progress_template", "progress_style", "backend", "init"), text),
    "progress_rate": integer(1, 10**6, what="an integer, such as 100"),
    "jitter_max_retries": integer(0, 10**6),
    "n_init": integer(1, 10**9),
    **dict.fromkeys(("nuts", "compile_kwargs"), _mapping),
    **dict.fromkeys(("progress_callback", "callback"), _function),
    "zarr_store": _store,
}  # fmt: skip


def check_fit_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Check what is passed on to :meth:`bayes_msem.Model.fit`, before there is a model to fit."""
    own = {name: value for name, value in options.items() if name in FIT_ARGUMENTS}
    given = {
        name: FIT_ARGUMENTS[name](name, value) if value is not None else value
        for name, value in own.items()
    }
    rest = {name: value for name, value in options.items() if name not in own}
    return given | check_sampler_options(given.get("sampler") or "nutpie", rest)


def check_sampler_options(sampler: Sampler, options: Mapping[str, Any]) -> dict[str, Any]:
    """Check the options that :meth:`bayes_msem.Model.fit` passes on to a sampler.

    Parameters
    ----------
    sampler
        Name of the sampler.
    options
        What the user gave.

    Returns
    -------
    dict
        The options, as plain Python values.

    Raises
    ------
    ArgumentError
        An option that the sampler does not know, or that is not up to the user.
    SpecificationError
        A value that it cannot have.

    Examples
    --------
    >>> check_sampler_options("nutpie", {"target_accept": 0.95})
    {'target_accept': 0.95}
    """
    known = _known(sampler)
    for name in options:
        if name not in known and not (sampler == "nutpie" and _nutpie_takes({name: 1.0})):
            raise ArgumentError(_unknown(name, sampler, [*FIT_ARGUMENTS, *sorted(known)]))
    checked = {
        name: _VALUES[name](name, value) if name in _VALUES and value is not None else value
        for name, value in options.items()
    }
    if sampler == "nutpie":
        checked |= _adaptation_for(checked)
    elif sampler == "pymc":
        _check_nuts(checked.get("nuts") or {}, "target_accept" in checked)
    return checked


def check_sampler_can(sampler: Sampler, families: Mapping[str, Family]) -> None:
    """Check that a sampler is installed and knows the outcomes.

    Parameters
    ----------
    sampler
        Name of the sampler.
    families
        Outcomes that are not normal.

    Raises
    ------
    NotSupportedError
        A sampler that needs JAX, where JAX is not installed or outcomes are not normal.
    """
    if sampler not in ("numpyro", "blackjax"):
        return
    if families:
        names = ", ".join(f"{y}: {family.text}" for y, family in families.items())
        raise NotSupportedError(
            f"sampler='{sampler}' cannot sample outcomes that are not normal ({names}): "
            "their density has no form for JAX yet; use sampler='nutpie' or sampler='pymc'"
        )
    for module in ("jax", sampler):
        if find_spec(module) is None:
            raise NotSupportedError(
                f"sampler='{sampler}' needs the packages jax and {sampler}, and {module} is not "
                f"installed; install both (pip install jax {sampler}) or use sampler='nutpie'"
            )


def _unknown(name: str, sampler: str, known: list[str]) -> str:
    if name in _STARTS:
        return (
            f"Model.fit() sets {name} itself: chains start around the mode; give starting values "
            "in the model text, as in 'f =~ y1 + start(0.8)*y2'"
        )
    if name in _PASSED | _KEEPS_FROM_READING and name not in known:
        here = unknown_word("Model.fit()", name, known)
        if "here it is" in here:
            return here
        return f"Model.fit() sets {name} of {sampler} itself; leave it out"
    return unknown_word(f"Model.fit() with sampler={sampler!r}", name, known)


@cache
def _known(sampler: str) -> frozenset[str]:
    if sampler == "nutpie":
        return frozenset({*_NAMED, *_NUTPIE})
    parameters = inspect.signature(pm.sample).parameters.values()
    names = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} | {"target_accept", "nuts"}
    return frozenset(names - _PASSED - _STARTS - _KEEPS_FROM_READING)


@cache
def _steps_of_pymc() -> frozenset[str]:
    parameters: set[str] = set()
    for step in pm.NUTS.__mro__:
        if step is not object and "__init__" in vars(step):
            parameters |= set(inspect.signature(step.__init__).parameters)
    return frozenset(parameters - {"self", "vars", "model", "rng", "kwargs", "pytensor_kwargs"})


def _settings(adaptation: str) -> Any:
    kind = {"low_rank": "LowRank", "flow": "Flow"}.get(adaptation, "Diag")
    return getattr(_nutpie_itself().PyNutsSettings, kind)(0)


def _nutpie_itself() -> Any:
    """Nutpie's compiled part, without the package around it.

    That imports all of ArviZ, a second during which nobody should wait for a misspelt option.
    """
    name = "nutpie._lib"
    if name not in sys.modules:
        package = find_spec("nutpie")
        found = package and PathFinder.find_spec(name, package.submodule_search_locations)
        if not found or not found.loader:
            raise ImportError(f"{name} is missing; install nutpie anew")
        module = sys.modules[name] = module_from_spec(found)
        found.loader.exec_module(module)
    return sys.modules[name]


def _nutpie_takes(option: dict[str, Any]) -> bool:
    """Whether nutpie has a setting of this name; numbers of the wrong kind do not matter."""
    if set(option) & (_PASSED | _STARTS | _KEEPS_FROM_READING):
        return False
    try:
        _settings("diag").update(option)
    except AttributeError:
        return False
    except Exception:
        return True
    return True


def _adaptation_for(options: Mapping[str, Any]) -> dict[str, Any]:
    """Let nutpie's settings object read the settings: it refuses values of the wrong kind.

    Settings of one kind of adaptation, such as ``mass_matrix_gamma``, choose that kind.
    """
    settings = {name: value for name, value in options.items() if name not in _NAMED}
    given = options.get("adaptation")
    problems: dict[str, Exception] = {}
    kinds = (given,) if given else ("diag", "low_rank")
    for adaptation in kinds:
        try:
            _settings(adaptation).update(settings)
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            problems[adaptation] = error
    taken = [kind for kind in kinds if kind not in problems]
    if not taken:
        listed = ", ".join(f"{name}={shown(value)}" for name, value in settings.items())
        raise SpecificationError(f"nutpie refuses {listed}: {next(iter(problems.values()))}")
    return {"adaptation": taken[0]} if problems and not given else {}


def _check_nuts(nuts: Mapping[str, Any], also_outside: bool) -> None:
    known = _steps_of_pymc()
    for name, value in nuts.items():
        if name not in known:
            raise ArgumentError(unknown_word("nuts= of PyMC's sampler", name, sorted(known)))
        if name in _VALUES and value is not None:
            _VALUES[name](f"nuts[{name!r}]", value)
    if also_outside and "target_accept" in nuts:
        raise SpecificationError("target_accept is given twice: once in nuts; keep one")
