"""Texts of three levels: roles, rows, names of rows, round trips, and what is refused."""

from __future__ import annotations

import pytest

from bayes_msem.errors import ModelSyntaxError, NotSupportedError, SpecificationError
from bayes_msem.outcomes.families import family
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import table_frame, to_syntax
from bayes_msem.spec.row_names import find_rows, key_text, rows_of_kind
from bayes_msem.spec.table import ParameterTable

LEVELS = ("within", "child", "school")
COLUMNS = ["child", "school", "y", "y2", "y3", "x", "x2", "w", "v", "z", "u", "u2"]


def three(within: str, child: str, school: str) -> str:
    return f"level: within\n{within}\nlevel: child\n{child}\nlevel: school\n{school}"


def table_of(text: str, **options) -> ParameterTable:
    return build_table(parse(text, LEVELS), COLUMNS, cluster="child", **options)


def free(table: ParameterTable, level: str) -> list[str]:
    return [f"{r.lhs} {r.op} {r.rhs}" for r in table.rows if r.level == level and r.free]


@pytest.mark.parametrize(
    ("within", "child", "school", "roles"),
    [
        (
            "y ~ x",
            "y ~ w",
            "y ~ u",
            {"y": "split split split", "x": "covariate", "w": "w", "u": "u"},
        ),
        ("y ~ x", "y ~~ y", "u ~~ u", {"y": "split split", "u": "modelled at school"}),
        ("y ~ x", "z ~ w", "y ~ u", {"y": "split split split", "z": "modelled at child"}),
        ("y ~ x", "y ~ z", "z ~ u", {"z": "modelled at child, split"}),
        ("y ~ x", "y ~ x", "y ~ x", {"x": "split split split"}),
        ('y ~ rv("s")*x', "s ~ w", "s ~ u", {"s": "random, split"}),
        ('y ~ rv("s")*x', "y ~~ s", "y ~ u", {"s": "random"}),
        ("y ~ x", 'y ~ rv("t")*w', "y ~ u", {"t": "random at school", "w": "w"}),
        (
            "f =~ y + y2 + y3",
            "g =~ y + y2 + y3",
            "h =~ y + y2 + y3",
            {"g": "factor", "h": "factor"},
        ),
    ],
)
def test_roles(within, child, school, roles):
    words = {
        ("within", "split"): "split",
        ("within", "covariate"): "covariate",
        ("child", "split"): "split",
        ("school", "split"): "split",
        ("child", "cluster-level covariate"): "w",
        ("school", "cluster-level covariate"): "u",
    }
    found: dict[str, list[tuple[str, str]]] = {}
    for (level, name), role in table_of(three(within, child, school)).roles.items():
        found.setdefault(name, []).append((level, role))
    of = {
        "modelled at school": [("school", "cluster-level")],
        "modelled at child": [("child", "cluster-level")],
        "modelled at child, split": [("child", "cluster-level"), ("school", "split")],
        "random, split": [("child", "random effect"), ("school", "split")],
        "random": [("child", "random effect")],
        "random at school": [("school", "random effect")],
    }
    for name, expected in roles.items():
        if expected == "factor":
            assert [role for _, role in found[name]] == ["between factor"]
        elif expected in of:
            assert found[name] == of[expected]
        else:
            assert " ".join(words[pair] for pair in found[name]) == expected


def test_levels_of_a_table():
    table = table_of(three("y ~ x", "y ~~ y", "y ~ u"))
    assert table.levels == LEVELS
    assert [table.above(level) for level in LEVELS] == ["child", "school", ""]
    assert table.three_level
    assert table.mean_level("y") == "school"
    assert list(dict.fromkeys(r.level for r in table.rows)) == list(LEVELS)


def test_means_stand_at_the_highest_level():
    table = table_of(three('y ~ rv("s")*x\n y2 ~ x', "y ~~ y2\n z ~ s", "y + s ~ u"))
    assert [t for t in free(table, "within") if t.endswith("~ 1")] == []
    assert [t for t in free(table, "child") if t.endswith("~ 1")] == ["z ~ 1", "y2 ~ 1"]
    assert [t for t in free(table, "school") if t.endswith("~ 1")] == ["y ~ 1", "s ~ 1"]


def test_a_variable_that_passes_through_level_two_has_no_variance_there():
    table = table_of(three("y + y2 ~ x", "y ~~ y", "y ~~ y2"))
    (row,) = [r for r in table.rows if r.level == "child" and r.lhs == "y2"]
    assert (row.op, row.rhs, row.free, row.value, row.origin) == ("~~", "y2", 0, 0.0, "default")
    assert "y2 ~~ y2" in free(table, "school")


@pytest.mark.parametrize(
    ("option", "child", "school"),
    [
        ("all", ["y ~~ y2", "y ~~ s", "y2 ~~ s"], ["y ~~ y2", "y ~~ s", "y2 ~~ s"]),
        # lavaan's rule lets residuals of outcomes covary, and both are exogenous at child
        ("coefficients", ["y ~~ s", "y2 ~~ s"], ["y ~~ s", "y2 ~~ s"]),
        ("none", [], []),
    ],
)
def test_default_covariances_follow_the_same_rule_at_both_levels(option, child, school):
    text = three('y ~ rv("s")*x\n y2 ~ x', "y ~~ y\n y2 ~~ y2", "y ~~ y\n y2 ~~ y2\n s ~~ s")
    table = table_of(text, random_covariances=option)
    for level, expected in (("child", child), ("school", school)):
        pairs = [r for r in table.rows if r.level == level and r.kind == "covariance"]
        found = [frozenset((r.lhs, r.rhs)) for r in pairs]
        assert sorted(map(sorted, found)) == sorted(sorted(e.split(" ~~ ")) for e in expected)


def test_covariances_with_coefficients_at_the_highest_level_only_where_they_vary_there():
    table = table_of(three('y ~ rv("s")*x', "y ~~ y", "y ~ u"))
    assert "y ~~ s" in free(table, "child")
    assert not any("s" in (r.lhs, r.rhs) for r in table.rows if r.level == "school")


@pytest.mark.parametrize(
    "numbered", [{}, {"child": "2"}, {"within": "1", "child": "2", "school": "3"}]
)
def test_levels_may_be_written_as_numbers(numbered):
    text = three('y ~ rv("s")*x', 'y ~ rv("t")*w', "y + s ~ u")
    other = text
    for name, number in numbered.items():
        other = other.replace(f"level: {name}", f"level: {number}")
    assert table_of(other) == table_of(text)


TEXTS = [
    three("y ~ a*x + x2", "y ~ a*w", "y ~ u\n ab := a*2"),
    three('y ~ rv("s")*x\n y2 ~ x', 'y ~ rv("t")*w\n y2 ~~ z', "s ~ u + u2\n y2 ~~ y2"),
    three("f =~ y + y2 + y3\n f ~ x", "g =~ y + y2 + y3\n g ~ w", "h =~ y + y2 + y3\n h ~ u"),
    three("y + y2 ~ x", "y ~~ y", "y ~~ y2\n y ~ u"),
    three('y ~ rv("s")*x', "z ~ s + y\n s ~ w", "z ~~ y\n u2 ~ y"),
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("std_lv", [False, True])
def test_text_of_a_table_is_read_back_as_that_table(text, std_lv):
    table = table_of(text, std_lv=std_lv)
    again = table_of(to_syntax(table))
    assert table_frame(again).equals(table_frame(table))
    assert again.roles == table.roles
    assert to_syntax(again) == to_syntax(table)


def test_names_of_rows():
    rows = table_of(three("y ~ x", "y ~ w", "y ~ u")).rows
    for name in ("school: y ~ u", "3: y ~ u", ("school", "y", "~", "u"), (3, "y", "~", "u"), "y~u"):
        assert [key_text(r.key) for r in find_rows(rows, name)] == ["school: y ~ u"]
    assert len(find_rows(rows, "y ~~ y")) == 3
    assert [r.level for r in rows_of_kind(rows, ("child", "variance"))] == ["child"]
    with pytest.raises(SpecificationError, match="no row 'between: y ~ u'"):
        find_rows(rows, "between: y ~ u")


ERRORS = [
    (
        three("y ~ x", "y ~~ y", "y ~~ y").replace("school", "between"),
        ModelSyntaxError,
        ["'between' may be either", "'child'", "'school'", "level: school' (or 3)"],
    ),
    (
        three("y ~ x", "y ~~ y", "y ~~ y").replace("school", "shool"),
        ModelSyntaxError,
        ["'shool' is not a level", "did you mean 'school'?"],
    ),
    (
        three("y ~ x", "y ~~ y", "y ~~ y").replace("school", "4"),
        ModelSyntaxError,
        ["three levels at most"],
    ),
    (
        "level: within\n y ~ x\nlevel: school\n y ~~ y",
        SpecificationError,
        ["no formulas for 'level: child'", "all three", "y ~~ 0*y"],
    ),
    ("y ~ x", SpecificationError, ["no 'level:' blocks"]),
    (
        three("y ~ x", "y ~ school", "y ~~ y"),
        SpecificationError,
        ["cluster column 'school' is used as a variable", "level child"],
    ),
    (
        three("y ~ 1", "y ~~ y", "y ~~ y"),
        SpecificationError,
        ["levels within and school", "belongs to level school"],
    ),
    (
        three("y ~ x", "y ~ 1", "y ~~ y"),
        SpecificationError,
        ["levels child and school", "belongs to level school"],
    ),
    (three("y ~ x", "y ~ s", 'y ~ rv("s")*u'), SpecificationError, ['rv("s")', "no larger ones"]),
    (
        three("y ~ s", 'y ~ rv("s")*w', "y ~~ y"),
        SpecificationError,
        ["random effect 's' is used at level within", "use it at level school"],
    ),
    (
        three('y ~ rv("s")*x', 'y ~ rv("s")*w', "y ~~ y"),
        SpecificationError,
        ["at level within and on", "its own name"],
    ),
    (
        three("y ~ x", 'z ~ rv("t")*y', "y ~~ y"),
        NotSupportedError,
        ['rv("t")', "slopes on covariates of that level", "remove rv()"],
    ),
    (three("y ~ x", 'z ~~ rv("t")*z', "y ~~ y"), NotSupportedError, ["slopes on covariates"]),
    (
        three('y ~ rv("s")*x', "y ~~ y", "y ~~ y\n d := s*2"),
        NotSupportedError,
        ["definition 'd'", "'s ~ 1' at level child"],
    ),
    (
        three("f =~ y + y2\n f ~ x", "y ~ f", "y ~~ y"),
        SpecificationError,
        ["'f' is used at level child", "factor of level within"],
    ),
]


@pytest.mark.parametrize(("text", "kind", "parts"), ERRORS)
def test_errors(text, kind, parts):
    with pytest.raises(kind) as caught:
        table_of(text)
    for part in parts:
        assert part in str(caught.value)


def test_outcomes_are_normal():
    with pytest.raises(NotSupportedError, match=r"normal outcomes only.*cluster='child'"):
        table_of(
            three("y ~ x", "y ~~ y", "y ~~ y"),
            families={"y": family("binary(probit)")},
            categories={"y": 2},
        )
