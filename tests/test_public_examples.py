"""Every public name has an example in its docstring; `pytest --doctest-modules` runs them all."""

from __future__ import annotations

import doctest
import inspect
from functools import cached_property
from typing import Any

import pytest

import bayes_msem as bm
from bayes_msem.checking.accuracy.criteria import Dic, Waic
from bayes_msem.checking.accuracy.loo import LooResult
from bayes_msem.checking.hypothesis_result import HypothesisResult
from bayes_msem.checking.indices.index_table import IndexTable
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from bayes_msem.checking.priors.prior_implied import PriorImplied
from bayes_msem.checking.priors.prior_sensitivity import PriorSensitivity
from bayes_msem.checking.verdict import Verdict
from bayes_msem.data.describe import Description
from bayes_msem.data.missing_report import MissingReport
from bayes_msem.inference.mode import Mode
from bayes_msem.likelihood.plan import Plan
from bayes_msem.plotting.diagram import Diagram
from bayes_msem.posterior.convergence import Convergence
from bayes_msem.posterior.tables import EstimateTable

RESULTS = (
    *(Convergence, Diagram, Dic, EstimateTable, HypothesisResult, IndexTable, LooResult),
    *(
        PredictiveCheck,
        PriorImplied,
        PriorSensitivity,
        Verdict,
        Waic,
        Description,
        MissingReport,
        Mode,
        Plan,
    ),
    bm.Prior,
    bm.MplusInput,
)
PROPERTIES = (property, cached_property)


def members(kind: type, *kinds: type) -> dict[str, Any]:
    """Public functions of the package's own, and members of ``kinds``, in a class."""
    found = {}
    for name in dir(kind):
        member = inspect.getattr_static(kind, name)
        function = inspect.isfunction(member) and member.__module__.startswith("bayes_msem")
        if not name.startswith("_") and (function or isinstance(member, kinds)):
            found[f"{kind.__name__}.{name}"] = member
    return found


def public_names() -> dict[str, Any]:
    found = {name: getattr(bm, name) for name in bm.__all__}
    for kind in (bm.Model, bm.Fit):
        found |= members(kind, *PROPERTIES)
    for kind in RESULTS:
        found[kind.__name__] = kind
        found |= members(kind, *PROPERTIES)
    return found


def runs(example: doctest.Example) -> bool:
    return not example.options.get(doctest.SKIP, False)


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    text = inspect.getdoc(public_names()[name]) or ""
    examples = doctest.DocTestParser().get_examples(text)
    assert any(runs(example) and example.source.strip() for example in examples)
    assert "Examples\n--------" in text
