"""Advice on priors: which ones it tells to compare with."""

from __future__ import annotations

from typing import Any

import pytest

import bayes_msem as bm
from bayes_msem.checking.priors.prior_advice import CONFLICT, STRONG_PRIOR, advice_on_priors

TEXT = "level: within\n mach ~ cses\nlevel: between\n mach ~ sector + meanses"


def advice(priors: Any, diagnosis: str, *names: str) -> str:
    model = bm.Model(TEXT, data=bm.load_dataset("hsb"), cluster="school", priors=priors)
    rows = [
        row for row in model.table.rows if row.free and f"{row.lhs} {row.op} {row.rhs}" in names
    ]
    assert len(rows) == len(names)
    (line,) = advice_on_priors(model.blueprint, rows, [diagnosis] * len(rows), rows)
    return line


def test_defaults_are_compared_with_the_other_set() -> None:
    """A slope between has another prior in each set; the study says what that changes."""
    for diagnosis in (CONFLICT, STRONG_PRIOR):
        line = advice(None, diagnosis, "mach ~ sector")
        assert 'for example priors="wide", under which intervals' in line
        assert "priors={" not in line
    line = advice("wide", STRONG_PRIOR, "mach ~ sector")
    assert 'for example priors="informative", which gave' in line


def test_a_conflict_under_the_wide_set_calls_for_wider_ones_still() -> None:
    line = advice("wide", CONFLICT, "mach ~ sector")
    assert "informative" not in line
    assert "priors={('between', 'mach', '~', 'sector'): 'normal(0, 31.32)'}" in line


@pytest.mark.parametrize("named", ["informative", "wide"])
def test_priors_that_no_set_has_are_doubled(named: str) -> None:
    own = {"defaults": named, "mach ~ meanses": "normal(0, 1)"}
    line = advice(own, STRONG_PRIOR, "mach ~ meanses", "mach ~ cses")
    assert "docs/prior_study.md" not in line  # the slope within is the same in both
    assert "'meanses'): 'normal(0, 2)'" in line
    assert "'cses'): 'normal(0, 47.36)'" in line
    both = advice(own, STRONG_PRIOR, "mach ~ meanses", "mach ~ sector")
    assert "docs/prior_study.md" in both
    assert "; or priors={('between', 'mach', '~', 'meanses'): 'normal(0, 2)'}" in both
