"""Maximum likelihood of several groups against lavaan (tests/reference/groups)."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.spec.table import RowKey

FOLDER = Path(__file__).parents[1] / "reference" / "groups"
REFERENCES = json.loads((FOLDER / "groups.json").read_text())
TWO = """
level: within
    fw =~ y1 + y2 + y3 + y4
    fw ~ x
level: between
    fb =~ y1 + y2 + y3 + y4
    fb ~ w
"""
ONE = "f =~ y1 + y2 + y3 + y4; f ~ x"
CFA = "f =~ y1 + y2 + y3 + y4"
MISSING = "f =~ y1m + y2m + y3m + y4m; f ~ x"
LABELS = "f =~ y1 + c(a, a, b)*y2 + c(NA, NA, 1.2)*y3 + y4; f ~ c(s1, s2, s1)*x; d := s2 - s1"
SCALAR = ["loadings", "intercepts"]
MODELS = {
    "two_configural": (TWO, {}),
    "two_metric": (TWO, {"group_equal": ["loadings"]}),
    "two_scalar": (TWO, {"group_equal": {"within": ["loadings"], "between": SCALAR}}),
    "one_configural": (ONE, {}),
    "one_metric": (ONE, {"group_equal": "loadings"}),
    "one_scalar": (ONE, {"group_equal": SCALAR}),
    "one_strict": (CFA, {"group_equal": [*SCALAR, "residuals", "lv.variances"]}),
    "one_partial": (ONE, {"group_equal": SCALAR, "group_partial": ["f =~ y3", "y2 ~ 1"]}),
    "one_std_lv": (CFA, {"group_equal": SCALAR, "std_lv": True}),
    "one_labels": (LABELS, {}),
    "one_missing": (MISSING, {"group_equal": ["loadings", "regressions"]}),
}
pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.MsemWarning")


@pytest.fixture(scope="module")
def frame():
    return pd.read_csv(FOLDER / "groups.csv.gz")


def estimates_of(name):
    """Lavaan's estimates and standard errors, row key -> (estimate, error)."""
    level, reference = {0: "", 1: "within", 2: "between"}, REFERENCES[name]
    columns = ("level", "lhs", "op", "rhs", "group", "est", "se")
    found = {}
    for lev, lhs, op, rhs, group, value, se in zip(*(reference[c] for c in columns), strict=True):
        op, rhs = ("~", "1") if op == "~1" else (op, rhs)
        if op != ":=":
            found[RowKey(level[lev], lhs, op, rhs, group)] = (value, se)
    return found


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("two")])
def test_log_likelihood_at_lavaans_estimates(name, frame):
    """Lavaan's estimates of two levels with equal rows are not at the maximum; ours are."""
    text, options = MODELS[name]
    model = bm.Model(text, frame, cluster="cl", group="g", **options)
    free = {row.key for row in model.table.rows if row.free}
    at = {key: value for key, (value, _) in estimates_of(name).items() if key in free}
    theirs = REFERENCES[name]["log_likelihood"]
    assert model.log_likelihood(at) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.slow
def test_two_level_maximum_is_above_lavaans(frame):
    """A search of 66 parameters takes half a minute."""
    name = "two_scalar"
    text, options = MODELS[name]
    model = bm.Model(text, frame, cluster="cl", group="g", **options)
    free = {row.key for row in model.table.rows if row.free}
    theirs = REFERENCES[name]["log_likelihood"]
    mode = model.mode(prior=False)
    assert theirs < mode.log_likelihood < theirs + 0.1
    for key in list(free)[::7]:  # a step of a hundredth of a standard error to both sides
        step = 0.01 * mode.standard_errors[key]
        label = next(r.label for r in model.table.rows if r.key == key)
        same = {r.key for r in model.table.rows if r.label == label and label} | {key}
        ends = [
            model.log_likelihood({k: mode[k] + s * step * (k in same) for k in free})
            for s in (1, -1)
        ]
        assert max(ends) < mode.log_likelihood
        assert abs(ends[0] - ends[1]) < 1e-5


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow) if n == "two_configural" else n
        for n in MODELS
        if n not in ("two_metric", "two_scalar")
    ],
)
def test_lavaan(name, frame):
    text, options = MODELS[name]
    cluster = "cl" if text == TWO else None
    mode = bm.Model(text, frame, cluster=cluster, group="g", **options).mode(prior=False)
    reference = REFERENCES[name]
    assert mode.converged
    # lavaan stops up to 1e-5 below its maximum in two-level models
    difference = mode.log_likelihood - reference["log_likelihood"]
    assert -1e-7 < difference < (2e-5 if cluster else 1e-6)
    compared = 0
    for key, (value, se) in estimates_of(name).items():
        if key not in mode:
            assert se == 0  # means of factors that are fixed at 0
            continue
        compared += 1
        # where lavaan's search stops, in standard errors
        assert abs(mode[key] - value) < 2e-3 * max(se, 1e-6) + 1e-6, key
        if se > 0:
            assert mode.standard_errors[key] == pytest.approx(se, rel=2e-3)
    defined = sum(key.op == ":=" for key in mode)
    assert compared == len(mode) - defined
    if defined:
        assert mode["d"] == pytest.approx(mode["s2"] - mode["s1"], abs=1e-12)
