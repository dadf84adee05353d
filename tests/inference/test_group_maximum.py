"""Maximum likelihood of several groups against lavaan (tests/reference/groups)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm

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


@pytest.mark.parametrize("name", MODELS)
def test_lavaan(name, frame):
    text, options = MODELS[name]
    cluster = "cl" if text == TWO else None
    mode = bm.Model(text, frame, cluster=cluster, group="g", **options).mode(prior=False)
    reference = REFERENCES[name]
    assert mode.converged
    # lavaan stops up to 1e-5 below its maximum in two-level models
    difference = mode.log_likelihood - reference["log_likelihood"]
    assert -1e-7 < difference < (2e-5 if cluster else 1e-6)
    level = {0: "", 1: "within", 2: "between"}
    compared = 0
    columns = ("level", "lhs", "op", "rhs", "group", "est", "se")
    for lev, lhs, op, rhs, group, value, se in zip(*(reference[c] for c in columns), strict=True):
        op, rhs = ("~", "1") if op == "~1" else (op, rhs)
        key = bm.spec.table.RowKey(level[lev], lhs, op, "d" if op == ":=" else rhs, group)
        if op == ":=":
            key = next(k for k in mode if k.op == ":=" and k.lhs == lhs)
        if key not in mode:
            assert se == 0  # means of factors that are fixed at 0
            continue
        compared += 1
        # where lavaan's search stops, in standard errors
        assert abs(mode[key] - value) < 2e-3 * max(se, 1e-6) + 1e-6, key
        if se > 0:
            assert mode.standard_errors[key] == pytest.approx(se, rel=2e-3)
    assert compared >= len(mode) - 1
    assert np.isfinite(mode.log_likelihood)
