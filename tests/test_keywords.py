"""Keywords of public functions: each has one meaning, older names still work, and docs list all."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_msem as bm
from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
from tests.posterior.made_up import synthetic_fit
from tests.test_docs import table_below
from tools.pages import DOCS

CLASSES = (bm.Model, bm.Fit, bm.Prior)
HEAD = "| word | meaning | where |"


def public_keywords() -> dict[str, set[str]]:
    """Keyword -> where it stands, for all public functions, classes and their methods."""
    functions: dict[str, Callable[..., Any]] = {
        name: getattr(bm, name)
        for name in bm.__all__
        if inspect.isfunction(getattr(bm, name)) or getattr(bm, name) in CLASSES
    }
    for kind in CLASSES:
        for name, member in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_"):
                functions[f"{kind.__name__}.{name}"] = member
    found: dict[str, set[str]] = {}
    for where, function in functions.items():
        for parameter in inspect.signature(function).parameters.values():
            named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            if named and parameter.name != "self":
                found.setdefault(parameter.name, set()).add(where)
    return found


def test_the_table_of_keywords_is_complete() -> None:
    listed: dict[str, set[str]] = {}
    for words, _, where in table_below(DOCS / "api.md", HEAD):
        for word in re.findall(r"`(\w+)`", words):
            listed.setdefault(word, set()).update(re.findall(r"`([\w.]+)\(?\)?`", where))
    actual = public_keywords()
    assert sorted(listed) == sorted(actual)
    wrong = {w: (listed[w], actual[w]) for w in actual if listed[w] and listed[w] != actual[w]}
    assert wrong == {}


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(24), 3)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=72)})
    frame["y"] = frame["x"] + rng.normal(size=24)[g] + rng.normal(size=72)
    frame.loc[3, "y"] = np.nan
    model = bm.Model("level: within; y ~ x; level: between; y ~~ y", data=frame, cluster="g")
    return synthetic_fit(model, draws=20)


def same(first: Any, second: Any) -> None:
    if isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(second))
    elif isinstance(first, xr.Dataset | xr.DataArray):
        xr.testing.assert_identical(first, second)
    elif isinstance(first, PredictiveCheck):
        assert first.kind == second.kind
        np.testing.assert_array_equal(first.replicated, second.replicated)
    else:
        names = [[t.get_text() for t in f.axes[0].get_yticklabels()] for f in (first, second)]
        assert names[0] == names[1]


PAIRS: dict[str, tuple[str, dict[str, Any], dict[str, Any], tuple[Any, ...]]] = {
    "effects": ("effects", {"return_draws": True}, {"draws": True}, ("x", "y")),
    "predict draws": ("predict", {"return_draws": True}, {"draws": True}, ()),
    "predict new": ("predict", {"new_clusters": True}, {"clusters": "new"}, ()),
    "predict known": ("predict", {"new_clusters": False}, {"clusters": "known"}, ()),
    "ppc new": ("ppc", {"new_clusters": True}, {"clusters": "new"}, (["icc"],)),
    "ppc same": ("ppc", {"new_clusters": False}, {"clusters": "same"}, (["icc"],)),
    "ppp same": ("ppp", {"new_clusters": False}, {"clusters": "same"}, (["icc"],)),
    "standardized": ("standardized", {"cluster_id": 3}, {"cluster": 3}, ()),
    "covariance": ("implied_covariance", {"cluster_id": 3}, {"cluster": 3}, ()),
    "figure": ("plot_clusters", {"cluster_ids": ["3", "5"]}, {"clusters": ["3", "5"]}, ("y",)),
}


@pytest.mark.parametrize("case", PAIRS)
def test_older_names_do_the_same(fit: bm.Fit, case: str) -> None:
    method, new, older, args = PAIRS[case]
    same(getattr(fit, method)(*args, **new), getattr(fit, method)(*args, **older))


@pytest.mark.parametrize("case", [k for k, v in PAIRS.items() if "return_draws" not in v[1]])
def test_both_names_at_once_are_refused(fit: bm.Fit, case: str) -> None:
    method, new, older, args = PAIRS[case]
    (name,), (old,) = new, older
    with pytest.raises(bm.SpecificationError, match=f"{old} is the older name of {name}"):
        getattr(fit, method)(*args, **new, **older)


def test_new_clusters_draw_effects_of_their_own(fit: bm.Fit) -> None:
    known, new = (fit.predict(new_clusters=v, return_draws=True) for v in (False, True))
    assert not np.allclose(known, new)
    xr.testing.assert_identical(known, fit.predict(return_draws=True))
    assert fit.ppc(["icc"]).kind == "new"


def test_missing_values_are_kept_under_both_names(fit: bm.Fit) -> None:
    mode = {row.key: 1.0 for row in fit.model.table.rows if row.free}
    frames = [
        fit.model.simulate(mode, random_seed=1, **{word: True})
        for word in ("keep_missing", "missing")
    ]
    pd.testing.assert_frame_equal(*frames)
    assert np.isnan(frames[0]["y"].to_numpy()).sum() == 1
    assert not np.isnan(fit.model.simulate(mode, random_seed=1)["y"]).any()


@pytest.mark.parametrize("word", ["prior_sensitivity", "priors"])
def test_checks_of_priors_can_be_left_out(fit: bm.Fit, word: str) -> None:
    verdict = fit.check(loo=False, **{word: False})
    assert verdict.prior_sensitivity is None
    assert not any("50 draws" in finding.message for finding in verdict.findings)
