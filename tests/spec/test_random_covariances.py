"""Which covariances of random effects are free unless written."""

from __future__ import annotations

from typing import get_args

import pytest

from bayes_msem.spec.defaults import RandomCovariances, build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import to_syntax
from bayes_msem.spec.table import ParameterTable

COLUMNS = ["g", "x", "w", "z", "m", "y", "y1", "y2", "y3"]
WITHIN = 'level: within\n m ~ rv("a")*x\n y ~ rv("b")*m + c*x\nlevel: between\n'


def table_of(between: str, setting: RandomCovariances, within: str = WITHIN) -> ParameterTable:
    return build_table(parse(within + between), COLUMNS, cluster="g", random_covariances=setting)


def free_pairs(table: ParameterTable) -> set[str]:
    """Free covariances of level between, names sorted."""
    return {
        " ".join(sorted((r.lhs, r.rhs)))
        for r in table.rows
        if r.level == "between" and r.kind == "covariance" and r.free
    }


SLOPES = {"a m", "b m", "a y", "b y", "a b"}
DEFAULTS = [
    # between, "all", "coefficients", "none"
    ("m ~~ m; y ~~ y", {"m y"} | SLOPES, SLOPES, set()),
    # residuals: of both, of one, none
    ("m + y ~ w", {"m y"} | SLOPES, {"m y"} | SLOPES, {"m y"}),  # m ~~ y is lavaan's
    ("y ~ w; m ~~ m", {"m y"} | SLOPES, SLOPES, set()),
    ("a + b + m + y ~ w", {"m y"} | SLOPES, {"m y"} | SLOPES, {"m y"}),
    # a path stands for the association
    ("y ~ m", {"a m", "b m", "a y", "b y", "a b"}, {"a m", "b m", "a y", "b y", "a b"}, set()),
    ("y ~ a; m ~~ m", {"m y", "a m", "b m", "b y", "a b"}, {"a m", "b m", "b y", "a b"}, set()),
    # a variance fixed at 0 has no covariances
    ("m ~~ 0*m; y ~~ y", {"a y", "b y", "a b"}, {"a y", "b y", "a b"}, set()),
    # what is written stays
    ("m ~~ 0*y + a", SLOPES, SLOPES, {"a m"}),
    ("a ~~ 0*b + 0*m; y ~~ y", {"m y", "b m", "a y", "b y"}, {"b m", "a y", "b y"}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("between", "every", "coefficients", "none"), DEFAULTS)
def test_free_covariances(
    between: str, every: set[str], coefficients: set[str], none: set[str]
) -> None:
    assert free_pairs(table_of(between, "all")) == every
    assert free_pairs(table_of(between, "coefficients")) == coefficients
    assert free_pairs(table_of(between, "none")) == none


@pytest.mark.parametrize("setting", get_args(RandomCovariances))
@pytest.mark.parametrize("between", [row[0] for row in DEFAULTS])
def test_written_tables_read_back_under_every_setting(
    between: str, setting: RandomCovariances
) -> None:
    table = table_of(between, setting)
    text = to_syntax(table)
    again = build_table(parse(text), COLUMNS, cluster="g", random_covariances=setting)
    assert to_syntax(again) == text


def test_without_random_coefficients_lavaans_defaults_hold() -> None:
    within = "level: within\n m ~ x\n y ~ x\nlevel: between\n"
    for setting in get_args(RandomCovariances):
        assert free_pairs(table_of("m ~~ m; y ~~ y", setting, within)) == set()
        assert free_pairs(table_of("m + y ~ w", setting, within)) == {"m y"}


def test_indicators_keep_independent_residuals() -> None:
    within = 'level: within\n f =~ y1 + rv("l")*y2 + y3\nlevel: between\n'
    table = table_of("g1 =~ y1 + y2 + y3; z ~~ z", "all", within)
    assert free_pairs(table) == {"g1 l", "l z"}
    assert free_pairs(table_of("g1 =~ y1 + y2 + y3; z ~~ z", "none", within)) == set()


def test_thirteen_lines_become_one_word() -> None:
    """The model whose independent effects took one line per pair."""
    within = 'level: within\n m ~ rv("a")*x\n y ~ rv("b")*m + rv("c")*x\n y1 ~ rv("d")*x\n'
    within += "level: between\n"
    zeros = "m ~~ 0*a + 0*b + 0*c + 0*d; y ~~ 0*a + 0*b + 0*c + 0*d; y1 ~~ 0*a + 0*b + 0*c + 0*d"
    zeros += "; a ~~ 0*b + 0*c + 0*d; b ~~ 0*c + 0*d; c ~~ 0*d; m ~~ 0*y + 0*y1; y ~~ 0*y1"
    short = table_of("m ~~ m; y ~~ y; y1 ~~ y1", "none", within)
    long = table_of(zeros, "all", within)
    free = [r.key for r in long.rows if r.free]
    assert sorted(free) == sorted(r.key for r in short.rows if r.free)
