"""Roles of variables, and errors about names and levels."""

from __future__ import annotations

import pytest

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.parser import parse
from bayes_msem.spec.roles import assign_roles

COLUMNS = ["school", "LEAD01", "LEAD02", "y1", "y2", "y3", "x1", "x2", "w1", "w2", "z1"]


def two_level(within: str, between: str) -> str:
    return f"level: within\n{within}\nlevel: between\n{between}"


def roles_of(text: str) -> dict[tuple[str, str], str]:
    cluster = "school" if "level:" in text else None
    return dict(assign_roles(parse(text), COLUMNS, cluster=cluster))


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("y1 ~ x1", {"y1": "within-only", "x1": "covariate"}),
        ("y1 ~ x1\nx1 ~~ x1", {"y1": "within-only", "x1": "within-only"}),
        ("y1 ~ x1\nx1 ~ 1", {"y1": "within-only", "x1": "within-only"}),
        ("y1 ~ x1 + x2\nx1 ~~ x2", {"y1": "within-only", "x1": "within-only", "x2": "within-only"}),
        ("y1 ~ y2\ny2 ~ x1", {"y1": "within-only", "y2": "within-only", "x1": "covariate"}),
        (
            "f =~ y1 + y2\nf ~ x1\ny3 ~ f",
            {
                "f": "within factor",
                "y1": "within-only",
                "y2": "within-only",
                "x1": "covariate",
                "y3": "within-only",
            },
        ),
    ],
)
def test_roles_of_a_single_level(text: str, roles: dict[str, str]) -> None:
    assert roles_of(text) == {("within", v): r for v, r in roles.items()}


def test_roles_of_two_levels() -> None:
    text = two_level(
        'f =~ y1 + y2\nf ~ x1 + x2\ny3 ~ rv("s")*f', "f =~ y1 + z1\ny1 ~ w1\ns ~ x2\nw2 ~~ w2"
    )
    assert roles_of(text) == {
        ("within", "f"): "within factor",
        ("within", "y1"): "split",
        ("within", "y2"): "within-only",
        ("within", "x1"): "covariate",
        ("within", "x2"): "split",
        ("within", "y3"): "within-only",
        ("between", "f"): "between factor",
        ("between", "y1"): "split",
        ("between", "z1"): "cluster-level",
        ("between", "w1"): "cluster-level covariate",
        ("between", "s"): "random effect",
        ("between", "x2"): "split",
        ("between", "w2"): "cluster-level",
    }


def test_random_effect_needs_no_mention_at_level_between() -> None:
    roles = roles_of(two_level('y1 ~ rv("s")*x1', "y1 ~~ y1"))
    assert roles["between", "s"] == "random effect"


ERRORS = {
    "nearest_column": (
        "f =~ LAED01 + y1 + y2",
        ["unknown variable 'LAED01' at level within (line 1)", "did you mean 'LEAD01'?"],
    ),
    "undefined_factor": (
        "outcome ~ x1",
        ["unknown variable 'outcome'", "define it as a factor with 'outcome =~ ...'"],
    ),
    "nearest_factor": (
        "visual =~ y1 + y2\ny3 ~ visaul",
        ["unknown variable 'visaul' at level within (line 2)", "did you mean 'visual'?"],
    ),
    "nearest_random_effect": (
        two_level('y1 ~ rv("slope")*x1', "slpoe ~ w1\ny1 ~~ y1"),
        ["unknown variable 'slpoe' at level between", "did you mean 'slope'?"],
    ),
    "factor_is_column": (
        "y3 =~ y1 + y2",
        ["factor 'y3' (line 1) is also a column", "give the factor another name"],
    ),
    "measured_by_itself": (
        "f =~ y1 + f",
        ["'f' is measured by itself at level within", "remove 'f' from the right-hand side"],
    ),
    "regressed_on_itself": ("y1 ~ y1", ["'y1' is regressed on itself", "remove 'y1'"]),
    "circular_factors": (
        "f =~ y1 + g\ng =~ y2 + f",
        ["in a circle at level within: f =~ g =~ f", "remove one of these loadings"],
    ),
    "cluster_column": (
        two_level("y1 ~ x1", "y1 ~ school"),
        [
            "cluster column 'school' is used as a variable at level between",
            "random intercept",
            "'y ~~ y'",
        ],
    ),
    "cluster_column_as_factor": (
        two_level("y1 ~ x1", "school =~ y1"),
        ["cluster column 'school'", "random intercept"],
    ),
    "only_within": (
        "level: within\ny1 ~ x1",
        ["no formulas for 'level: between'", "needs both"],
    ),
    "only_between": ("level: 2\ny1 ~ w1", ["no formulas for 'level: within'", "needs both"]),
    "within_factor_between": (
        two_level("f =~ y1 + y2", "f ~ w1\ny1 ~~ y2"),
        ["'f' is used at level between (line 4), but it is a factor of level within", "f =~ ..."],
    ),
    "between_factor_within": (
        two_level("fb ~ x1\ny1 ~ x1", "fb =~ y1 + y2"),
        ["'fb' is used at level within (line 2), but it is a factor of level between", "move"],
    ),
    "random_effect_within": (
        two_level('y1 ~ rv("s")*x1\ny2 ~ s', "y1 ~~ y1"),
        ["random effect 's' is used at level within", "use it at level between"],
    ),
    "random_effect_is_column": (
        two_level('y1 ~ rv("x2")*x1', "y1 ~~ y1"),
        ["names a random effect, but 'x2' is already a column", "choose another name"],
    ),
    "random_effect_is_factor": (
        two_level('y1 ~ rv("f")*x1', "f =~ y1 + y2"),
        ["names a random effect, but 'f' is already a factor", "choose another name"],
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_culprit_and_fix(name: str) -> None:
    text, parts = ERRORS[name]
    with pytest.raises(SpecificationError) as caught:
        roles_of(text)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "cluster", "parts"),
    [
        ("y1 ~ x1", "school", ["cluster='school' was given", "no 'level:' blocks", "leave out"]),
        (
            two_level("y1 ~ x1", "y1 ~~ y1"),
            None,
            ["no cluster column was given", 'cluster="school"'],
        ),
        ("half := 1/2", None, ["declares no variables", "write at least one formula"]),
    ],
)
def test_levels_must_fit_the_cluster_argument(
    text: str, cluster: str | None, parts: list[str]
) -> None:
    with pytest.raises(SpecificationError) as caught:
        assign_roles(parse(text), COLUMNS, cluster=cluster)
    for part in parts:
        assert part in str(caught.value)
