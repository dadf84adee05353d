"""Functions that draw say what is theirs, and leave the rest to the method that calls them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from typing import Any

import pytest

import bayes_msem as bm
from bayes_msem import plotting

REFERENCE = re.compile(r"^([\w, ]+)\n    As in :meth:`bayes_msem\.Fit\.(\w+)`", re.MULTILINE)


def functions_that_refer() -> dict[str, Callable[..., Any]]:
    """Functions of the room whose docstring sends the reader to a method of a fit."""
    found = {}
    for module in pkgutil.iter_modules(plotting.__path__):
        members = vars(importlib.import_module(f"bayes_msem.plotting.{module.name}"))
        for name, member in members.items():
            here = inspect.isfunction(member) and member.__module__.endswith(f".{module.name}")
            if here and REFERENCE.search(inspect.getdoc(member) or ""):
                found[f"{module.name}.{name}"] = member
    return found


def documented(function: Callable[..., Any]) -> set[str]:
    """Arguments that a docstring explains; one line may name several."""
    text = inspect.getdoc(function) or ""
    section = text.split("Parameters\n----------\n")[1].split("\n\n")[0]
    return {name for line in re.findall(r"^(\w.*)$", section, re.M) for name in line.split(", ")}


@pytest.mark.parametrize("name", functions_that_refer())
def test_what_a_docstring_leaves_out_is_said_by_the_method(name: str) -> None:
    function = functions_that_refer()[name]
    ((arguments, method),) = REFERENCE.findall(inspect.getdoc(function) or "")
    said = set(arguments.split(", "))
    assert said <= documented(getattr(bm.Fit, method))
    assert documented(function) == set(inspect.signature(function).parameters)


def test_eight_figures_refer_to_their_method() -> None:
    assert len(functions_that_refer()) == 8
