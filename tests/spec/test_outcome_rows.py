"""Rows of outcomes that are not normal: thresholds, fixed residuals, dispersions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bayes_msem.errors import ModelSyntaxError, NotSupportedError, SpecificationError
from bayes_msem.outcomes.families import family
from bayes_msem.spec.constants import check_constants
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.identification import check_identification, counting_rule
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import to_syntax
from bayes_msem.spec.row_names import find_row, rows_of_kind
from bayes_msem.spec.shorthand import expand_random
from bayes_msem.spec.statements import Modifiers
from bayes_msem.spec.table import ParameterTable, Row, RowKey

COLUMNS = ["y1", "y2", "y3", "x", "w", "z", "c", "g"]
PROBIT, LOGIT, COUNT, WIDE = "ordinal(probit)", "ordinal(logit)", "poisson", "negbinomial"


def table_of(text: str, families: dict[str, str], **options: Any) -> ParameterTable:
    cluster = "g" if "level:" in text else None
    counts = {name: 4 for name, f in families.items() if "ordinal" in f}
    given = {name: family(text) for name, text in families.items()}
    return build_table(
        parse(text), COLUMNS, cluster=cluster, families=given, categories=counts, **options
    )


def two_level(within: str, between: str) -> str:
    return f"level: within\n{within}\nlevel: between\n{between}"


def row_of(table: ParameterTable, *key: str) -> Row:
    return next(r for r in table.rows if r.key == key)


def keys(table: ParameterTable, kind: str) -> list[RowKey]:
    return [r.key for r in table.rows if r.kind == kind]


# Text -----------------------------------------------------------------------------------------


def test_thresholds_are_read_with_all_modifiers() -> None:
    text = (
        'y1 + y2 |\n  a*t1 + start(0.5)*t2 + 1.5*t3\ny3|prior("normal(0, 1)")*t1+NA*t2 # and so on'
    )
    found = [(f.lhs, f.op, f.term.name, f.term.modifiers) for f in parse(text).formulas]
    half = [
        ("|", "t1", Modifiers(label="a", bare_label=True)),
        ("|", "t2", Modifiers(start=0.5)),
        ("|", "t3", Modifiers(fixed=1.5)),
    ]
    third = [("|", "t1", Modifiers(prior="normal(0, 1)")), ("|", "t2", Modifiers(free=True))]
    assert found == [
        *(("y1", *h) for h in half),
        *(("y2", *h) for h in half),
        *(("y3", *t) for t in third),
    ]


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("y ~ x\ny | z1 + t2", 2, 5, "'z1' is not a threshold"),
        ("y | t1 + t0", 1, 10, "named t1, t2"),
        ("y | 1", 1, 5, "'1' is not a threshold"),
        ("y | 0.5", 1, 5, "'0.5' is not a variable"),
        ("y | t1 + t1", 1, 10, "'t1' stands twice"),
        ("y |", 1, 3, "Nothing stands right"),
        ("y | t1 ~ x", 1, 3, "not written with '|'"),
        ("f =~ y | t1", 1, 8, "Thresholds of an ordered outcome have a line"),
        ("y || t1", 1, 3, "Thresholds of an ordered outcome have a line"),
        ("y == (a | t1)", 1, 9, "Random effects are not written"),
    ],
)
def test_places_of_syntax_errors(text: str, line: int, column: int, part: str) -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse(text)
    assert part in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)


# Rows -----------------------------------------------------------------------------------------


def test_split_ordered_outcome() -> None:
    text = two_level("f =~ y1 + y2 + y3", "y1 ~~ y2 + y3; y2 ~~ y3")
    table = table_of(text, {"y1": PROBIT, "y2": LOGIT})
    assert keys(table, "threshold") == [
        ("between", y, "|", t) for y in ("y1", "y2") for t in ("t1", "t2", "t3")
    ]
    thresholds = [r for r in table.rows if r.kind == "threshold"]
    assert all(r.free and r.origin == "default" and math.isnan(r.value) for r in thresholds)
    for y, variance in (("y1", 1.0), ("y2", math.pi**2 / 3)):
        residual = row_of(table, "within", y, "~~", y)
        assert (residual.free, residual.value) == (0, variance)
        assert row_of(table, "between", y, "~~", y).free  # the random intercept
        mean = row_of(table, "between", y, "~", "1")
        assert (mean.free, mean.value) == (0, 0.0)
    assert row_of(table, "within", "y3", "~~", "y3").free
    assert row_of(table, "between", "y3", "~", "1").free
    assert {n: f.text for n, f in table.families.items()} == {"y1": PROBIT, "y2": LOGIT}


def test_ordered_outcome_of_one_level() -> None:
    single = table_of("y1 ~ x", {"y1": "binary(probit)"})
    assert [r.key for r in single.rows] == [
        ("within", "y1", "~", "x"),
        ("within", "y1", "~~", "y1"),
        ("within", "y1", "~", "1"),
        ("within", "y1", "|", "t1"),
    ]
    within_only = table_of(two_level("y1 ~ x; y2 ~~ y2", "y2 ~~ y2"), {"y1": PROBIT})
    assert {r.level for r in within_only.rows if r.lhs == "y1"} == {"within"}
    assert row_of(within_only, "within", "y1", "~", "1").value == 0


def test_cluster_level_outcome() -> None:
    table = table_of(two_level("y1 ~ x", "y1 ~ w\nz ~ y1"), {"z": LOGIT})
    assert keys(table, "threshold") == [("between", "z", "|", t) for t in ("t1", "t2", "t3")]
    residual = row_of(table, "between", "z", "~~", "z")
    assert (residual.free, residual.value) == (0, math.pi**2 / 3)
    assert row_of(table, "between", "z", "~", "1").value == 0


@pytest.mark.parametrize(("name", "kinds"), [(COUNT, []), (WIDE, ["dispersion"])])
def test_counts(name: str, kinds: list[str]) -> None:
    table = table_of(two_level("c ~ x", "c ~ w"), {"c": name})
    assert [r.kind for r in table.rows if r.key == ("within", "c", "~~", "c")] == kinds
    assert row_of(table, "between", "c", "~~", "c").kind == "variance"
    assert row_of(table, "between", "c", "~", "1").free
    assert keys(table, "threshold") == []
    at_level_two = table_of(two_level("y1 ~ x", "y1 ~ w\nc ~ y1"), {"c": name})
    assert [r.kind for r in at_level_two.rows if r.key == ("between", "c", "~~", "c")] == kinds


def test_gaussian_is_the_default() -> None:
    text = two_level("f =~ y1 + y2 + y3", "y1 ~~ y2")
    assert table_of(text, {"y1": "gaussian"}) == table_of(text, {})


def test_no_default_residual_covariances() -> None:
    text = two_level("y1 + y2 + c ~ x", "y1 + y2 + c ~ w")
    ordered = table_of(text, {"y1": PROBIT, "c": COUNT})
    assert keys(ordered, "covariance") == [
        ("between", *pair) for pair in (("y1", "~~", "y2"), ("y1", "~~", "c"), ("y2", "~~", "c"))
    ]
    assert len(keys(table_of(text, {}), "covariance")) == 6
    # y1* and y2* covary where the text says so
    asked = table_of(two_level("y1 + y2 ~ x; y1 ~~ y2", "y1 ~~ y2"), {"y1": PROBIT, "y2": PROBIT})
    assert row_of(asked, "within", "y1", "~~", "y2").free
    # nor does a cluster-level outcome with random effects
    text = two_level('y1 ~ rv("s")*x', "y1 ~ w; z ~ w")
    assert ("between", "z", "~~", "s") not in keys(table_of(text, {"z": PROBIT}), "covariance")
    assert ("between", "z", "~~", "s") in keys(table_of(text, {}), "covariance")


def test_modelled_predictors_covary_with_factors() -> None:
    text = "f =~ y2 + y3 + x; z ~ f + y1; y1 ~~ y1"
    assert ("within", "f", "~~", "y1") in keys(table_of(text, {"y1": PROBIT}), "covariance")


def test_single_indicator_keeps_its_fixed_residual() -> None:
    table = table_of("f =~ y1; f ~~ 1*f; f ~ x", {"y1": PROBIT})
    assert row_of(table, "within", "y1", "~~", "y1").value == 1.0


def test_written_rows() -> None:
    within = "f =~ y1 + y2 + y3; y1 ~~ y1; y2 ~~ e*y2; c ~ x; c ~~ a*start(0.3)*c"
    between = "y1 | u*t1 + 1.5*t3; y2 | v*t2; y3 ~~ y3; c ~~ c; u == v"
    table = table_of(two_level(within, between), {"y1": PROBIT, "y2": LOGIT, "c": WIDE})
    thresholds = [r for r in table.rows if r.kind == "threshold"]
    assert [r.rhs for r in thresholds] == ["t1", "t2", "t3"] * 2
    assert [r.origin[0] for r in thresholds] == list("ududud")
    assert thresholds[0].free == thresholds[4].free != 0
    assert (thresholds[2].free, thresholds[2].value) == (0, 1.5)
    # what the text mentions with its default constant keeps it
    assert [row_of(table, "within", y, "~~", y).value for y in ("y1", "y2")] == [
        1.0,
        math.pi**2 / 3,
    ]
    dispersion = row_of(table, "within", "c", "~~", "c")
    assert (dispersion.kind, dispersion.label, dispersion.value) == ("dispersion", "a", 0.3)


def test_free_intercept_beside_a_fixed_or_shared_threshold() -> None:
    fixed = table_of("y1 ~ x + 1; y1 | 0*t1", {"y1": PROBIT})
    assert row_of(fixed, "within", "y1", "~", "1").free
    shared = "f =~ y1 + y2 + y3; y1 + y2 | a*t1 + b*t2 + d*t3; y2 ~ 1"
    assert row_of(table_of(shared, {"y1": PROBIT, "y2": PROBIT}), "within", "y2", "~", "1").free


@pytest.mark.parametrize(
    ("text", "families"),
    [
        (
            two_level("f =~ y1 + y2 + c; f ~ x", "y1 | a*t2; y1 ~~ y2; c ~~ c"),
            {"y1": PROBIT, "y2": LOGIT, "c": WIDE},
        ),
        ("y1 ~ x + 1; y1 | 0*t1 + start(1)*t2", {"y1": PROBIT}),
        (two_level("y1 ~ x", "y1 ~ w; z ~ y1; c ~ w; c ~~ 0.5*c"), {"z": LOGIT, "c": WIDE}),
        ('c ~ x; c ~~ prior("halfnormal(2)")*c', {"c": WIDE}),
    ],
)
def test_text_reads_back_as_the_same_table(text: str, families: dict[str, str]) -> None:
    table = table_of(text, families)
    again = table_of(to_syntax(table), families)
    assert [replace(r, origin="user") for r in table.rows] == list(again.rows)


# What cannot be --------------------------------------------------------------------------------

NO_RESIDUAL = two_level("f =~ y1 + y2 + y3; {}", "y1 ~~ y1; y2 ~~ y2; y3 ~~ y3")
REFUSED = [
    # residual variances
    *(
        (f"f =~ y1 + y2 + y3; y1 ~~ {given}*y1", {"y1": PROBIT}, SpecificationError, part)
        for given, part in [
            ("2", "has 2.0, but the residual variance .* is fixed at 1 .probit."),
            ("NA", "has NA, but"),
            ("start(2)", "has a starting value"),
            ('prior("halfnormal(1)")', "has a prior"),
        ]
    ),
    (NO_RESIDUAL.format('y1 ~~ rv("v")*y1'), {"y1": PROBIT}, SpecificationError, r"has rv\(\)"),
    (
        NO_RESIDUAL.format("y1 ~~ 1*y1"),
        {"y1": LOGIT},
        SpecificationError,
        "is fixed at 3.29 .logit.",
    ),
    ("c ~ x; c ~~ c", {"c": COUNT}, SpecificationError, "no residual variance.*negbinomial"),
    ("c ~ x; c ~~ 0*c", {"c": WIDE}, SpecificationError, "must be positive.*poisson"),
    (
        two_level('c ~ x; c ~~ rv("v")*c', "c ~ w"),
        {"c": WIDE},
        NotSupportedError,
        "dispersion of a count cannot vary",
    ),
    # thresholds
    ("y1 ~ x; y1 | t1", {}, SpecificationError, r"is continuous .*ordered=\['y1'\]"),
    ("c ~ x; c | t1", {"c": COUNT}, SpecificationError, "is poisson and has no thresholds"),
    ("y1 ~ x; y1 | t4", {"y1": PROBIT}, SpecificationError, "4 categories .* t1 to t3; .* no t4"),
    ("y1 ~ x; y1 | t2", {"y1": "binary(logit)"}, SpecificationError, "2 categories .* t1; "),
    (
        two_level("y1 ~ x; y1 | t1", "y1 ~~ y1"),
        {"y1": PROBIT},
        SpecificationError,
        "belong to level between",
    ),
    ("f =~ y1 + y2 + y3; f | t1", {"y1": PROBIT}, SpecificationError, "factors have no thresholds"),
    ("y1 ~ x; y9 | t1", {"y1": PROBIT}, SpecificationError, "unknown variable 'y9'"),
    ("y1 ~ x; y1 | t1; y1 | t1", {"y1": PROBIT}, SpecificationError, "written twice"),
    ("y1 ~ x; y1 | 1*t1 + 0*t3", {"y1": PROBIT}, SpecificationError, "thresholds increase"),
    ("y1 ~ x; y1 | 1*t1 + start(1)*t2", {"y1": PROBIT}, SpecificationError, "increase"),
    ("y1 ~ x; y1 | a*t1 + a*t3", {"y1": PROBIT}, SpecificationError, "would be empty"),
    ("y1 ~ x; y1 | a*t1 + b*t3; a == b", {"y1": PROBIT}, SpecificationError, "would be empty"),
    ("y1 ~ b*x; y1 | a*t1; a == 2*b", {"y1": PROBIT}, NotSupportedError, "thresholds in order"),
    ("y1 ~ a*x; y1 | a*t1", {"y1": PROBIT}, SpecificationError, "only rows of one kind"),
    (
        two_level("y1 ~ x", 'y1 | rv("u")*t1'),
        {"y1": PROBIT},
        NotSupportedError,
        "same in all clusters",
    ),
    ("y1 ~ x + 1", {"y1": PROBIT}, SpecificationError, "Fix the intercept .* or a threshold"),
    # residuals that would have to covary or predict
    (
        "y1 + y2 ~ x; y1 ~~ y2",
        {"y1": PROBIT, "y2": LOGIT},
        NotSupportedError,
        "is logistic.*probit",
    ),
    ("y1 + c ~ x; y1 ~~ c", {"c": COUNT}, NotSupportedError, "a log rate has none; let a factor"),
    ("c ~ x; y1 ~ c", {"c": COUNT}, NotSupportedError, r"data\['c_seen'\] = data\['c'\]"),
    # families of what is no outcome
    (
        "y1 ~ x",
        {"x": PROBIT},
        SpecificationError,
        "'x' is declared ordinal.probit., but .* covariate",
    ),
    (
        two_level("y1 ~ x", "y1 ~ w"),
        {"w": COUNT},
        SpecificationError,
        "it is a covariate: .*get_dummies",
    ),
    ("y1 ~ x", {"y2": PROBIT}, SpecificationError, "does not use it. Outcomes of this model: y1"),
    ("f =~ y1 + y2 + y3", {"f": PROBIT}, SpecificationError, "it is a within factor"),
]


@pytest.mark.parametrize(("text", "families", "error", "part"), REFUSED)
def test_refused(text: str, families: dict[str, str], error: type[Exception], part: str) -> None:
    with pytest.raises(error, match=part):
        table_of(text, families)


def test_number_of_categories_must_be_known() -> None:
    with pytest.raises(SpecificationError, match=r"number of categories of 'y1' .ordinal.probit."):
        build_table(parse("y1 ~ x"), COLUMNS, families={"y1": family(PROBIT)})


def test_starting_value_of_a_dispersion() -> None:
    with pytest.raises(SpecificationError, match="the dispersion within: c ~~ c has the starting"):
        check_constants(table_of("c ~ x; c ~~ start(-1)*c", {"c": WIDE}))


# What others make of them ----------------------------------------------------------------------


def test_names_of_rows() -> None:
    table = table_of(two_level("c ~ x; y1 ~ x", "c ~ w; y1 | a*t2"), {"y1": PROBIT, "c": WIDE})
    second = RowKey("between", "y1", "|", "t2")
    for name in (second, "y1 | t2", "between: y1|t2", "a", ("y1", "|", "t2")):
        assert find_row(table.rows, name).key == second
    assert [r.rhs for r in rows_of_kind(table.rows, "threshold")] == ["t1", "t2", "t3"]
    assert rows_of_kind(table.rows, ("between", "|")) == rows_of_kind(table.rows, "threshold")
    assert [r.key for r in rows_of_kind(table.rows, "dispersion")] == [("within", "c", "~~", "c")]


def test_shorthand_leaves_fixed_residuals() -> None:
    parsed = parse(two_level("f =~ y1 + y2 + y3 + c", "y1 ~~ y1; y2 ~~ y2; y3 ~~ y3; c ~~ c"))
    expanded = expand_random(
        parsed,
        "variances",
        COLUMNS,
        cluster="g",
        families={"y1": family(PROBIT), "c": family(WIDE)},
        categories={"y1": 3},
    )
    named = [f.term.modifiers.random for f in expanded.formulas if f.term.modifiers.random]
    assert named == ["v.y2", "v.y3", "v.f"]


def test_counting_rule_knows_what_categories_show() -> None:
    text = "f =~ y1 + y2 + y3 + z"
    counts = counting_rule(table_of(text, dict.fromkeys(("y1", "y2", "y3", "z"), PROBIT)))
    # 6 polychoric correlations; 3 loadings and the factor's variance
    assert [(c.n_parameters, c.n_moments) for c in counts] == [(0, 4), (4, 6)]
    one = table_of("f =~ y1; f ~ x", {"y1": PROBIT})
    with pytest.raises(SpecificationError, match="categories have no scale"):
        check_identification(one)
    check_identification(table_of("f =~ y1; f ~ x; f ~~ 1*f", {"y1": PROBIT}))
    # between clusters, the random intercept has a variance of its own
    check_identification(table_of(two_level("y1 ~ x", "f =~ y1; f ~ w"), {"y1": PROBIT}))
