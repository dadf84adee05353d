"""Whatever is given for an argument of a public function: a result, or an error of the package."""

from __future__ import annotations

import datetime
import inspect
import random
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
import bayes_msem.fit.report
import bayes_msem.inference.sample
import bayes_msem.model
from bayes_msem.arguments import shown
from tests.posterior.made_up import synthetic_fit

SPEC = """
level: within
    f =~ y1 + l2*y2 + y3
    f ~ b*x
    y4 ~ rv("s")*x
level: between
    fb =~ y1 + y2 + y3
    fb ~ w
    s ~ w
    s ~~ y4
double := 2*l2
"""


class Odd:
    """Equal to nothing, of no length, without text."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        raise ValueError("no comparison")

    def __repr__(self) -> str:
        raise ValueError("no text")

    def __len__(self) -> int:
        raise ValueError("no length")


JUNK: list[Callable[[], Any]] = [
    *(lambda value=value: value for value in (None, True, False, 0, 1, -1, 3, 1.5, 0.5, 2**64)),
    *(lambda value=value: value for value in (10**30, float("nan"), float("inf"), 1j, "", "a")),
    *(lambda value=value: value for value in ("within", "y1", "s", "\x00", "é" * 300, b"y1", ())),
    *(lambda value=value: value for value in ((1, 2), (1, 2, 3), ("within", "f", "=~", "y2"))),
    *(lambda value=value: value for value in (object, len, Odd(), Decimal("NaN"), pd.NA, pd.NaT)),
    *(lambda value=value: value for value in (datetime.date(2024, 1, 1), range(3), ..., (None,))),
    *(lambda value=value: value for value in (np.float64(0.9), np.int64(-1), np.bool_(True))),
    *(lambda value=value: value for value in (np.array(2.0), np.str_("y1"), frozenset({1}))),
    list,
    dict,
    set,
    lambda: [None],
    lambda: [1, "a", []],
    lambda: ["y1", "y2"],
    lambda: [Odd()],
    lambda: {"a": 1},
    lambda: {("within", "f", "=~", "y2"): "x"},
    lambda: {1: None},
    lambda: iter([1, 2]),
    lambda: (x for x in "ab"),
    lambda: np.arange(6.0).reshape(2, 3),
    lambda: np.array([]),
    lambda: np.array(["a", None], dtype=object),
    lambda: pd.Series([1, 2]),
    pd.DataFrame,
    lambda: pd.DataFrame({"a": [1]}),
    lambda: pd.DataFrame({"g": ["1"], "x": ["a"], "y1": [None]}),
]


def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(15), 6)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=90), "w": rng.normal(size=15)[g]})
    for name in ("y1", "y2", "y3", "y4"):
        frame[name] = frame["x"] + rng.normal(size=15)[g] + rng.normal(size=90)
    frame.loc[3, "y2"] = np.nan
    return frame


@pytest.fixture(scope="module")
def model() -> bm.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        return bm.Model(SPEC, data(), cluster="g")


@pytest.fixture(scope="module")
def fit(model: bm.Model) -> bm.Fit:
    return synthetic_fit(model, chains=2, draws=30)


class Reached(Exception):
    """All checks have let the arguments pass, and sampling would begin."""


@pytest.fixture
def nothing_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*args: object, **kwargs: object) -> None:
        raise Reached

    monkeypatch.setattr(bayes_msem.inference.sample, "draw_posterior", reached)
    monkeypatch.setattr(bayes_msem.model, "draw_prior_predictive", reached)
    monkeypatch.setattr(bayes_msem.fit.report, "_sections", lambda fit, checks: [])


# What to call a function with, besides the argument under test.
NEEDED: dict[str, dict[str, Any]] = {
    "plot_clusters": {"effect": "s"},
    "plot_regression": {"outcome": "y4", "predictor": "x"},
    "plot_levels": {"x": "x", "y": "y4"},
    "plot_ppc_clusters": {"outcome": "y1"},
    "effects": {"x": "x", "y": "y1"},
    "hypothesis": {"hypotheses": "b > 0"},
    "pool": {"estimates": [1.0, 2.0], "variances": [0.1, 0.2]},
    "describe_dataset": {"name": "hsb"},
    "load_dataset": {"name": "hsb"},
    "MplusInput": {"text": "y ~ x"},
    "Prior": {"family": "normal", "arguments": (0.0, 1.0)},
    "log_density": {"value": 0.0},
    "derivative": {"value": 0.0},
    "quantile": {"probability": 0.5},
    "sample": {"rng": np.random.default_rng(1)},
}
# Paths have tests of their own; whoever gives a function gets the errors of that function.
LEFT_OUT = {
    *((name, "path") for name in ("load", "report", "save", "to_draws", "to_table")),
    ("from_mplus", "source"),
    *((name, "path") for name in ("sbc", "study")),
}
CALLED = {"refit", "statistics"}


def public(owner: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions of a class, bound to an instance, or of the package."""
    for name, _ in inspect.getmembers(type(owner), inspect.isfunction):
        if not name.startswith("_"):
            yield name, getattr(owner, name)


def cases(model: bm.Model, fit: bm.Fit, folder: Path) -> list[tuple[str, Callable, dict, str]]:
    """All (name, function, arguments, argument under test)."""
    frame = data()
    owners = [model, fit, bm.Prior("normal", (0.0, 1.0))]
    functions = [pair for owner in owners for pair in public(owner)]
    functions += [(name, getattr(bm, name)) for name in bm.__all__ if callable(getattr(bm, name))]
    values = {row.key: 0.5 for row in model.table.rows if row.free}
    possible = values | {k: 0.1 for k in values if k.op == "~~" and k.lhs != k.rhs}
    needed = NEEDED | {
        "Model": {"spec": SPEC, "data": frame, "cluster": "g"},
        "simulate": {"values": values},
        "log_likelihood": {"values": values},
        "save": {"path": folder / "fit.nc", "overwrite": True},
        "report": {"path": folder / "fit.html", "overwrite": True, "checks": False},
        "describe": {"data": frame, "cluster": "g"},
        "sbc": {"model": model, "replications": 1, "quantities": ["l2"], "progress": False},
        "study": {"model": model, "values": possible, "clusters": 15, "sizes": 6, "replications": 1}
        | {"targets": ["l2"], "progress": False},
        "compare": {"models": {"a": fit, "b": fit}},
    }
    found = []
    for name, function in functions:
        if inspect.isclass(function) and issubclass(function, (BaseException, bm.Fit)):
            continue
        parameters = inspect.signature(function).parameters
        arguments = {k: v for k, v in needed.get(name, {}).items() if k in parameters}
        for argument, parameter in parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD or (name, argument) in LEFT_OUT:
                continue
            found.append((name, function, arguments, argument))
    return found


def check(case: tuple[str, Callable[..., Any], dict[str, Any], str], make: Callable) -> str:
    """Call a function; what is neither a result nor an error of ours goes through."""
    name, function, arguments, argument = case
    value = make()
    if argument in CALLED and callable(value):
        return "left out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function(**arguments | {argument: value})
        except bm.MsemError:
            return "refused"
        except Reached:
            return "reached"
        except BaseException as error:
            kind = type(error).__name__
            raise AssertionError(f"{name}({argument}={shown(value)}) raises {kind}") from error
    return "result"


def test_some_of_all_arguments(
    model: bm.Model, fit: bm.Fit, tmp_path: Path, nothing_sampled: None
) -> None:
    every = [(case, make) for case in cases(model, fit, tmp_path) for make in JUNK]
    outcomes = [check(*pair) for pair in random.Random(1).sample(every, 250)]
    assert outcomes.count("refused") > 150
    assert outcomes.count("result") > 5


@pytest.mark.slow
def test_all_arguments(model: bm.Model, fit: bm.Fit, tmp_path: Path, nothing_sampled: None) -> None:
    outcomes = [check(case, make) for case in cases(model, fit, tmp_path) for make in JUNK]
    assert len(outcomes) > 10_000
    assert outcomes.count("refused") > len(outcomes) / 2
    assert outcomes.count("reached") > 20
