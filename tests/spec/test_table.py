"""Rows of the parameter table: against lavaan's, and what goes beyond lavaan."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.table import ParameterTable, Row, RowKey

PARTABLES = Path(__file__).parents[1] / "reference" / "partables"
SPECS = sorted(p.stem for p in PARTABLES.glob("*.json"))
COLUMNS = [
    "cluster",
    *(f"{v}{i}" for v, n in (("y", 9), ("x", 3), ("w", 3), ("z", 3)) for i in range(1, n + 1)),
]
Coordinate = tuple[str, str, str, str]

# Rows we have and lavaan does not: modelled predictors are regressed on the covariates of their
# level (see point 6 of bayes_msem/spec/defaults.py). lavaan leaves them uncorrelated.
BEYOND_LAVAAN: dict[str, set[Coordinate]] = {
    "modelled_predictor": {("within", "x1", "~", "x2")},
}


def table_of(text: str, cluster: str | None = None, **options: Any) -> ParameterTable:
    two_level = "level:" in text
    cluster = cluster or ("cluster" if two_level else None)
    return build_table(parse(text), COLUMNS, cluster=cluster, **options)


def two_level(within: str, between: str) -> str:
    return f"level: within\n{within}\nlevel: between\n{between}"


def coordinate(level: str, lhs: str, op: str, rhs: str) -> Coordinate:
    if op == "~~":
        lhs, rhs = sorted((lhs, rhs))
    return level, lhs, op, rhs


def by_coordinate(table: ParameterTable) -> dict[Coordinate, Row]:
    return {coordinate(*r.key): r for r in table.rows if r.op != ":="}


def defaults_of(table: ParameterTable, level: str, op: str) -> set[tuple[str, str]]:
    """Default rows that are neither variances nor intercepts."""
    return {
        (r.lhs, r.rhs)
        for r in table.rows
        if r.origin == "default" and r.level == level and r.op == op and r.rhs not in ("1", r.lhs)
    }


class Lavaan:
    """lavaan's parameter table, without the rows that we leave out on purpose.

    Left out are moments of covariates (exo = 1), and means fixed at 0 by default: of latent
    variables, and of the within part of split variables.
    """

    def __init__(self, name: str) -> None:
        self.content = json.loads((PARTABLES / f"{name}.json").read_text(encoding="utf-8"))
        raw = [dict(zip(self.content["columns"], r, strict=True)) for r in self.content["rows"]]
        self.rows: dict[Coordinate, dict[str, Any]] = {}
        for row in raw:
            zero_mean = row["op"] == "~1" and row["user"] == 0 and row["free"] == 0
            if row["block"] == 0 or row["op"] in ("==", ":=") or row["exo"] == 1 or zero_mean:
                continue
            op, rhs = ("~", "1") if row["op"] == "~1" else (row["op"], row["rhs"])
            level = "within" if row["block"] == 1 else "between"
            self.rows[coordinate(level, row["lhs"], op, rhs)] = row
        self.equal = [(r["lhs"], r["rhs"]) for r in raw if r["op"] == "=="]

    def ordered(self) -> list[Coordinate]:
        """Coordinates, sorted as our tables are: by level, then by sort of row."""

        def place(c: Coordinate) -> tuple[bool, int]:
            return c[0] == "between", 3 if c[3] == "1" else ("=~", "~", "~~").index(c[2])

        return sorted(self.rows, key=place)

    def groups(self) -> set[frozenset[Coordinate]]:
        """Coordinates of equal free parameters, joined by plabels and labels."""
        group = {c: {c} for c, r in self.rows.items() if r["free"]}
        for first, second in self.equal:
            joined: set[Coordinate] = set()
            for c in group:
                if {self.rows[c]["plabel"], self.rows[c]["label"]} & {first, second}:
                    joined |= group[c]
            for c in joined:
                group[c] = joined
        return {frozenset(g) for g in group.values()}


@pytest.mark.parametrize("name", SPECS)
def test_rows_equal_those_of_lavaan(name: str) -> None:
    lavaan = Lavaan(name)
    content = lavaan.content
    table = build_table(
        parse("\n".join(content["model"])),
        content["data"],
        cluster=content["cluster"],
        std_lv=content["std_lv"],
    )
    beyond = BEYOND_LAVAAN.get(name, set())
    ours = {c: r for c, r in by_coordinate(table).items() if c not in beyond}
    assert list(ours) == lavaan.ordered()
    assert beyond <= set(by_coordinate(table))
    for c, row in ours.items():
        theirs = lavaan.rows[c]
        assert (row.free == 0) == (theirs["free"] == 0), c
        assert row.label == theirs["label"], c
        given = math.nan if theirs["ustart"] is None else theirs["ustart"]
        assert row.value == pytest.approx(given, rel=1e-15, nan_ok=True), c
        assert (row.origin == "user") == (theirs["user"] == 1), c
    assert groups(ours) == lavaan.groups()


def groups(rows: dict[Coordinate, Row]) -> set[frozenset[Coordinate]]:
    free = {r.free for r in rows.values() if r.free}
    return {frozenset(c for c, r in rows.items() if r.free == number) for number in free}


def test_enough_specifications_are_compared() -> None:
    assert len(SPECS) >= 25
    assert sum(s.startswith("two_level") for s in SPECS) >= 6


def test_free_parameters_are_numbered_in_row_order() -> None:
    table = table_of("f =~ y1 + a*y2 + a*y3 + y4\ny5 ~ f")
    assert [r.free for r in table.rows][:5] == [0, 1, 1, 2, 3]
    numbers = [r.free for r in table.rows if r.free]
    assert list(dict.fromkeys(numbers)) == list(range(1, max(numbers) + 1))


def test_rows_stand_in_lavaans_order() -> None:
    table = table_of("y9 ~~ f\nf ~ x1\nf =~ y1 + y2\ny1 ~ 0*1")
    assert [f"{r.lhs} {r.op} {r.rhs}" for r in table.rows] == [
        "f =~ y1",
        "f =~ y2",
        "f ~ x1",
        "y9 ~~ f",  # written rows come before those added by default
        "y1 ~~ y1",
        "y2 ~~ y2",
        "y9 ~~ y9",
        "f ~~ f",
        "y1 ~ 1",
        "y2 ~ 1",
        "y9 ~ 1",
    ]


def test_modifiers_reach_the_row() -> None:
    table = table_of("y1 ~ a*start(0.5)*prior('normal(0, 1)')*x1 + -2*x2")
    slope, fixed = table.rows[:2]
    assert (slope.label, slope.value, slope.prior) == ("a", 0.5, "normal(0, 1)")
    assert (fixed.free, fixed.value) == (0, -2.0)


# Modelled predictors ------------------------------------------------------------------------


def test_split_predictor_is_modelled_given_the_covariates_of_each_level() -> None:
    table = table_of(two_level("y1 ~ y2 + x1 + x2", "y1 ~ y2 + w1"))
    rows = by_coordinate(table)
    assert defaults_of(table, "within", "~") == {("y2", "x1"), ("y2", "x2")}
    assert defaults_of(table, "between", "~") == {("y2", "w1")}
    for level, present in (("within", False), ("between", True)):
        assert rows[level, "y2", "~~", "y2"].free > 0
        assert ((level, "y2", "~", "1") in rows) == present


def test_modelled_predictors_covary_with_each_other_and_with_factors() -> None:
    table = table_of(two_level("y1 ~ y2 + y3", "f =~ z1 + z2\ny1 ~ y2 + y3 + f"))
    assert defaults_of(table, "within", "~~") == {("y2", "y3")}
    assert defaults_of(table, "between", "~~") == {("f", "y2"), ("f", "y3"), ("y2", "y3")}


def test_predictor_the_user_regressed_gets_no_default_regression() -> None:
    table = table_of("y1 ~ y2 + x1 + x2\ny2 ~ x1")
    assert defaults_of(table, "within", "~") == set()


def test_covariates_have_no_rows() -> None:
    table = table_of("y1 ~ x1 + x2")
    assert [r.key for r in table.rows if r.lhs != "y1"] == []


def test_mean_of_a_factor_is_free_if_written() -> None:
    rows = by_coordinate(table_of("f =~ y1 + y2\nf ~ 1\ny1 ~ 0*1"))
    assert rows["within", "f", "~", "1"].free > 0
    assert rows["within", "y1", "~", "1"].value == 0


# Random effects -----------------------------------------------------------------------------

RS = 'y1 ~ rv("rs")*x1'


def test_random_slope_has_its_distribution_at_level_between() -> None:
    table = table_of(two_level(RS, "y1 ~ w1 + w2\nrs ~ w1 + w2"))
    rows = by_coordinate(table)
    slope = rows["within", "y1", "~", "x1"]
    assert (slope.random, slope.free) == ("rs", 0)
    assert math.isnan(slope.value)
    assert rows["between", "rs", "~", "1"].free > 0
    assert rows["between", "rs", "~~", "rs"].free > 0
    assert defaults_of(table, "between", "~~") == {("y1", "rs")}
    assert table.roles["between", "rs"] == "random effect"


@pytest.mark.parametrize("intercept", ["y1 ~ w1", "y1 ~~ y1", "y1 ~ 1", "f =~ z1 + z2\ny1 ~ f"])
@pytest.mark.parametrize("slope", ["rs ~ w1", "rs ~ 1", ""])
def test_random_slope_covaries_with_the_random_intercept(intercept: str, slope: str) -> None:
    table = table_of(two_level(RS, f"{intercept}\n{slope}"))
    assert ("y1", "rs") in defaults_of(table, "between", "~~")


def test_random_effects_covary_with_each_other_and_with_exogenous_factors() -> None:
    text = two_level(
        'f =~ y1 + y2 + rv("l3")*y3\nf ~ rv("s")*x1\nf ~~ rv("v")*f', "fb =~ y1 + y2 + y3"
    )
    table = table_of(text)
    names = ["fb", "l3", "s", "v"]
    pairs = {(a, b) for a, b in product(names, names) if names.index(a) < names.index(b)}
    assert defaults_of(table, "between", "~~") == pairs


@pytest.mark.parametrize(
    ("between", "pairs"),
    [
        # rs predicts z1 and y1's between part has a predictor: a path stands for the covariance
        ("y1 ~ w1\nz1 ~ rs", {("y1", "z1")}),
        ("y1 ~ rs", set()),
        ("y1 ~~ y1\nz1 ~ y1 + rs", {("y1", "rs")}),
        ("y1 ~~ y1\nrs ~~ 0*y1", set()),
    ],
)
def test_covariances_of_random_effects_that_predict(
    between: str, pairs: set[tuple[str, str]]
) -> None:
    assert defaults_of(table_of(two_level(RS, between)), "between", "~~") == pairs


def test_random_effects_may_be_indicators() -> None:
    text = two_level('y1 ~ rv("a")*x1 + rv("b")*x2\ny2 ~ rv("c")*x1', "f =~ a + b + c\ny1 ~~ y2")
    rows = by_coordinate(table_of(text))
    assert rows["between", "f", "=~", "a"].value == 1
    assert ("between", "a", "~~", "b") not in rows
    assert rows["between", "a", "~~", "a"].free > 0


def test_one_name_on_rows_of_one_kind_is_one_random_effect() -> None:
    table = table_of(two_level('y1 ~ rv("s")*x1\ny2 ~ rv("s")*x1', "y1 ~~ y2"))
    assert sum(r.key == ("between", "s", "~~", "s") for r in table.rows) == 1


def test_std_lv_fixes_the_mean_log_sd_of_a_random_factor_variance() -> None:
    text = two_level('f =~ y1 + y2 + y3\nf ~~ rv("v")*f', "fb =~ y1 + y2 + y3")
    rows = by_coordinate(table_of(text, std_lv=True))
    assert (rows["between", "v", "~", "1"].free, rows["between", "v", "~", "1"].value) == (0, 0)
    assert by_coordinate(table_of(text))["between", "v", "~", "1"].free > 0


@pytest.mark.parametrize(
    "within",
    [
        'f =~ y1 + rv("l")*y2 + y3',
        'f =~ rv("l")*y1 + 1*y2 + y3',
        'f =~ rv("l")*y1 + y2 + y3\nf ~~ 1*f',
    ],
)
def test_random_loading_beside_a_scale(within: str) -> None:
    table = table_of(two_level(within, "y1 ~~ y1"))
    assert sum(bool(r.random) for r in table.rows) == 1


# Errors -------------------------------------------------------------------------------------

SPLIT_Y = "y1 ~~ y1"

ERRORS = {
    "duplicate": ("y1 ~ x1\ny1 ~ x1", "'y1 ~ x1' at level within is written twice", "keep one"),
    "duplicate_covariance": ("y1 ~~ y2\ny2 ~~ y1", "'y2 ~~ y1' .* twice", "lines 1 and 2"),
    "prior_on_marker": (
        "f =~ prior('normal(0, 1)')*y1 + y2",
        "'f =~ y1' at level within .line 1. has a prior, but it is fixed at 1",
        "NA.y1",
    ),
    "start_on_marker": ("f =~ start(2)*y1 + y2", "'f =~ y1'.* has a starting value", "NA.y1"),
    "negative_variance": ("y1 ~ x1\ny1 ~~ -1*y1", "'y1 ~~ y1'.* fixed at -1", "at least 0"),
    "rv_single_level": (RS, 'rv."rs".*single level', "write 'level: within'"),
    "rv_between": (two_level(SPLIT_Y, 'y1 ~ rv("s")*w1'), "rv.\"s\".*'y1 ~ w1'", "remove rv"),
    "rv_two_kinds": (
        two_level('y1 ~ rv("s")*x1\ny1 ~~ rv("s")*y1', SPLIT_Y),
        "regression 'y1 ~ x1'.*variance 'y1 ~~ y1'",
        "give each its own name",
    ),
    "rv_marker": (
        two_level('f =~ rv("l")*y1 + y2', "y1 ~~ y1\ny2 ~~ y2"),
        "'f =~ y1' .* is the marker",
        "put another indicator first, use std_lv=True",
    ),
    "rv_intercept": (
        two_level('y1 ~ rv("i")*1', SPLIT_Y),
        "intercept of 'y1' cannot vary",
        "use 'y1' at level between",
    ),
    "rv_label": (
        two_level(RS + "\ny2 ~ rs*x1", SPLIT_Y),
        "'rs' is used as a label and as the name of a random effect",
        "rename",
    ),
    "within_intercept": (
        two_level("y1 ~ x1\ny1 ~ 1", SPLIT_Y),
        "'y1 ~ 1' at level within .line 3.",
        "write 'y1 ~ 1' there",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_culprit_and_fix(name: str) -> None:
    text, culprit, fix = ERRORS[name]
    with pytest.raises(SpecificationError, match=culprit) as caught:
        table_of(text)
    assert fix.replace(".", "*") in str(caught.value)


def test_random_factor_mean_is_not_supported() -> None:
    with pytest.raises(NotSupportedError, match=r"mean of factor 'f' cannot vary.*between"):
        table_of(two_level('f =~ y1 + y2\nf ~ rv("m")*1', "y1 ~~ y2"))


def test_key_has_a_place_for_a_group() -> None:
    """Without a group it is the tuple of four texts, also as a key and in copies."""
    key, four = RowKey("within", "fw", "=~", "y2"), ("within", "fw", "=~", "y2")
    assert key == four
    assert {four: 1.0}[key] == {key: 1.0}[four] == 1.0
    assert (key.level, key.lhs, key.op, key.rhs, key.group) == (*four, "")
    grouped = RowKey(*four, "A")
    assert grouped.group == "A"
    assert grouped != key
    for copied in (pickle.loads(pickle.dumps(grouped)), copy.deepcopy(grouped)):
        assert copied == grouped
        assert copied.group == "A"
    row = Row("within", "fw", "=~", "y2", group="A")
    assert row.key == grouped
    assert replace(row, group="").key == four
