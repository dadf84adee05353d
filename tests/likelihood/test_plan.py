"""The plan names what is integrated out, and refuses what this version cannot fit."""

from __future__ import annotations

import pytest

from bayes_msem.errors import NotSupportedError
from bayes_msem.likelihood.plan import make_plan
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.table import ParameterTable

COLUMNS = ["y1", "y2", "y3", "x1", "w1"]


def table(text: str, cluster: str | None = "g") -> ParameterTable:
    return build_table(parse(text), COLUMNS, cluster=cluster, std_lv=False)


@pytest.mark.parametrize(
    ("text", "cluster", "integrated"),
    [
        (
            "level: within\nfw =~ y1 + y2 + y3\nlevel: between\nfb =~ y1 + y2 + y3",
            "g",
            ("within factor fw", "random intercepts of y1, y2, y3", "between factor fb"),
        ),
        (
            "level: within\ny1 ~ y2\nlevel: between\ny1 ~ w1",
            "g",
            ("random intercept of y1",),
        ),
        ("f =~ y1 + y2 + y3", None, ("factor f",)),
        ("y1 ~ x1", None, ()),
    ],
)
def test_integrated_quantities(
    text: str, cluster: str | None, integrated: tuple[str, ...]
) -> None:
    plan = make_plan(table(text, cluster))
    assert plan.name == "marginal"
    assert plan.integrated == integrated
    assert plan.sampled == ()
    for name in integrated:
        assert name in str(plan)


def test_random_coefficients_are_refused_by_name() -> None:
    text = (
        'level: within\nfw =~ y1 + y2 + rv("l3")*y3\nfw ~ rv("slope")*x1\n'
        "level: between\ny1 ~~ slope"
    )
    message = r"slope \(fw ~ x1\).*remove rv\(\)"
    with pytest.raises(NotSupportedError, match=message) as caught:
        make_plan(table(text))
    assert "l3 (fw =~ y3)" in str(caught.value)
