"""The plan names what is integrated out, and refuses what this version cannot fit."""

from __future__ import annotations

import pytest

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
def test_integrated_quantities(text: str, cluster: str | None, integrated: tuple[str, ...]) -> None:
    plan = make_plan(table(text, cluster))
    assert plan.name == "marginal"
    assert plan.integrated == integrated
    assert plan.sampled == ()
    for name in integrated:
        assert name in str(plan)


def test_random_coefficients_are_sorted_into_integrated_and_sampled() -> None:
    """Slopes on covariates enter linearly; loadings and variances do not."""
    text = (
        'level: within\nfw =~ y1 + y2 + rv("l3")*y3\nfw ~ rv("slope")*x1\ny1 ~~ rv("v1")*y1\n'
        "level: between\ny1 ~~ slope"
    )
    plan = make_plan(table(text))
    assert plan.name == "partially marginal"
    assert "slope (fw ~ x1)" in " ".join(plan.integrated)
    assert [part in " ".join(plan.sampled) for part in ("l3 (fw =~ y3)", "v1 (y1 ~~ y1)")] == [
        True, True
    ]  # fmt: skip
    assert "slope (" not in " ".join(plan.sampled)
    assert "l3" not in " ".join(plan.integrated)


def test_random_slopes_alone_leave_nothing_to_sample() -> None:
    plan = make_plan(table('level: within\ny1 ~ rv("slope")*x1\nlevel: between\ny1 ~~ slope'))
    assert plan.name == "marginal"
    assert plan.sampled == ()
    assert plan.integrated == ("random intercept of y1", "random slope slope (y1 ~ x1)")
