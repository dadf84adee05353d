"""Labels, equality, constraints and definitions."""

from __future__ import annotations

import pytest

from bayes_msem.errors import MsemError, NotSupportedError, SpecificationError
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.table import ParameterTable, Row

COLUMNS = [f"y{i}" for i in range(1, 7)] + ["x1", "x2", "x3", "x4"]
SLOPES = "y1 ~ a*x1 + b*x2 + c*x3 + d*x4\n"


def table_of(text: str, **options: bool) -> ParameterTable:
    return build_table(parse(text), COLUMNS, **options)


def labelled(table: ParameterTable) -> dict[str, Row]:
    return {r.label: r for r in table.rows if r.label}


def free_and_value(table: ParameterTable, label: str) -> tuple[int, float]:
    row = labelled(table)[label]
    return row.free, row.value


def constraints(table: ParameterTable) -> dict[str, str]:
    return {c.label: str(c.expression) for c in table.constraints}


def test_equal_labels_share_a_parameter() -> None:
    table = table_of("y1 ~ a*x1 + a*x2 + x3")
    assert [r.free for r in table.rows[:3]] == [1, 1, 2]


def test_chained_equality_merges_labels() -> None:
    rows = labelled(table_of(SLOPES + "a == b\nc == d\nd == a"))
    assert {rows[x].free for x in "abcd"} == {1}


@pytest.mark.parametrize("constraint", ["a == 0.5", "0.5 == a", "a == 1/2", "a == b\nb == 0.5"])
def test_equality_with_a_number_fixes(constraint: str) -> None:
    assert free_and_value(table_of(SLOPES + constraint), "a") == (0, 0.5)


def test_label_of_a_marker_fixes_its_equals() -> None:
    # As lavaan does: the marker is fixed, so whatever equals it is fixed.
    table = table_of("f =~ a*y1 + a*y2 + y3")
    assert [(r.free, r.value) for r in table.rows[:2]] == [(0, 1.0), (0, 1.0)]
    assert [r.free for r in table_of("f =~ a*y1 + a*y2 + y3", std_lv=True).rows[:2]] == [1, 1]


def test_expression_makes_a_constrained_row() -> None:
    table = table_of(SLOPES + "c == a*b")
    assert constraints(table) == {"c": "a*b"}
    assert labelled(table)["c"].free == 0
    assert constraints(table_of(SLOPES + "a*b == c")) == {"c": "a*b"}


def test_expressions_are_rewritten_in_free_labels() -> None:
    table = table_of(SLOPES + "d == 2*c\nc == a + b\nb == 3")
    assert constraints(table) == {"c": "a + 3", "d": "2*(a + 3)"}
    assert free_and_value(table, "b") == (0, 3.0)


def test_expression_of_constants_fixes() -> None:
    table = table_of(SLOPES + "b == 2*a\na == -1")
    assert constraints(table) == {}
    assert free_and_value(table, "b") == (0, -2.0)


def test_labels_merged_with_a_computed_one_are_computed() -> None:
    assert constraints(table_of(SLOPES + "c == 2*a\nc == d")) == {"c": "2*a", "d": "2*a"}
    assert constraints(table_of(SLOPES + "c == 2*a\nd == c")) == {"c": "2*a", "d": "2*a"}


def test_definitions_are_rows_without_level() -> None:
    table = table_of(SLOPES + "ab := a*b\ntwice := 2*ab")
    assert [(r.key, r.free) for r in table.rows[-2:]] == [
        (("", "ab", ":=", "a*b"), 0),
        (("", "twice", ":=", "2*ab"), 0),
    ]


def test_definitions_may_use_random_effects() -> None:
    text = 'level: 1\ny1 ~ rv("s")*x1 + b*x2\nlevel: 2\ny1 ~~ y1\nsb := s*b'
    table = build_table(parse(text), [*COLUMNS, "g"], cluster="g")
    assert table.rows[-1].rhs == "s*b"


ERRORS: dict[str, tuple[str, type[MsemError], list[str]]] = {
    "kinds": (
        "f =~ y1 + a*y2 + y3\ny1 ~~ a*y1",
        SpecificationError,
        ["loading 'f =~ y2'", "variance 'y1 ~~ y1'", "use different labels"],
    ),
    "merged_kinds": (
        "f =~ y1 + a*y2 + y3\ny1 ~~ b*y1\na == b",
        SpecificationError,
        ["label 'b'", "only rows of one kind"],
    ),
    "two_values": (
        "y1 ~ 1*a*x1 + 2*a*x2",
        SpecificationError,
        ["label 'a'", "fixed at 1 and at 2", "different labels or the same number"],
    ),
    "marker_and_number": (
        "f =~ a*y1 + y2\na == 2",
        SpecificationError,
        ["label 'a'", "fixed at 1 and at 2"],
    ),
    "two_priors": (
        "y1 ~ a*prior('normal(0, 1)')*x1 + a*prior('normal(0, 2)')*x2",
        SpecificationError,
        ["label 'a'", "normal(0, 1), normal(0, 2)", "keep one"],
    ),
    "prior_on_constant": (
        "y1 ~ a*prior('normal(0, 1)')*x1\na == 1",
        SpecificationError,
        ["'y1 ~ x1' at level within has a prior", "remove the prior or the constraint"],
    ),
    "unknown_label": (
        "y1 ~ slope*x1\nslop == 0.5",
        SpecificationError,
        ["unknown label 'slop'", "did you mean 'slope'?", "(line 2)"],
    ),
    "unknown_label_right": (SLOPES + "a == 2*zz", SpecificationError, ["'zz'", "a, b, c, d"]),
    "circle": (SLOPES + "a == 2*b\nb == a + c", SpecificationError, ["a -> b -> a", "remove one"]),
    "self_circle": (SLOPES + "a == a + b", SpecificationError, ["circular: a -> a"]),
    "twice": (
        SLOPES + "a == 2*b\na == 3*c",
        SpecificationError,
        ["label 'a' is constrained twice", "'a == 3*c' (line 3)", "remove one"],
    ),
    "fixed_and_computed": (
        "y1 ~ 1*a*x1 + b*x2\na == 2*b",
        SpecificationError,
        ["label 'a' is fixed at 1", "'a == 2*b'", "remove one"],
    ),
    "not_finite": (SLOPES + "a == 1/0", SpecificationError, ["'a' is constrained to inf"]),
    "variance": (
        "y1 ~ a*x1\ny1 ~~ v*y1\nv == 2*a",
        NotSupportedError,
        ["'v == 2*a' (line 3)", "variance 'y1 ~~ y1'", "positive definite"],
    ),
    "no_single_label": (
        SLOPES + "a + b == c + d",
        NotSupportedError,
        ["'a + b == c + d' (line 2)", "solve it for one label"],
    ),
    "defined_parameter": (
        SLOPES + "ab := a*b\nab == 1",
        NotSupportedError,
        ["'ab == 1' (line 3)", "defined parameters"],
    ),
    "unknown_in_definition": (
        "y1 ~ slope*x1\nt := 2*slop",
        SpecificationError,
        ["definition 't' (line 2)", "unknown name 'slop'", "did you mean 'slope'?"],
    ),
    "used_before": (
        SLOPES + "t := 2*u\nu := a*b",
        SpecificationError,
        ["uses 'u' before it is defined", "move 'u := ...' above"],
    ),
    "uses_itself": (SLOPES + "t := 2*t", SpecificationError, ["uses 't' before it is defined"]),
    "named_like_label": (
        SLOPES + "a := b*c",
        SpecificationError,
        ["'a' is already a label", "choose another name"],
    ),
    "named_like_column": (SLOPES + "y5 := b*c", SpecificationError, ["'y5' is already a variable"]),
    "named_like_factor": (
        "f =~ y1 + l*y2\nf := 2*l",
        SpecificationError,
        ["'f' is already a variable"],
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_culprit_and_fix(name: str) -> None:
    text, error, parts = ERRORS[name]
    with pytest.raises(error) as caught:
        table_of(text)
    for part in parts:
        assert part in str(caught.value)
