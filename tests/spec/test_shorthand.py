"""``random=``: which rows it makes random, under which names, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.identification import check_identification
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import to_syntax
from bayes_msem.spec.shorthand import expand_random
from bayes_msem.spec.table import ParameterTable
from tests.spec.test_printing import assert_reads_back, comparable

COLUMNS = [f"{v}{i}" for v in "yxwz" for i in range(1, 10)] + ["cluster"]
BETWEEN = "level: between\n" + " + ".join(f"y{i}" for i in range(1, 7)) + " ~ 1"
TWO_FACTORS = "level: within\nf =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\ng ~ f + x1\n" + BETWEEN


def expanded(
    text: str, random: Any, columns: Sequence[str] = COLUMNS, **options: bool
) -> ParameterTable:
    parsed = expand_random(parse(text), random, columns, cluster="cluster", **options)
    return build_table(parsed, columns, cluster="cluster", **options)


def written(text: str, **options: bool) -> ParameterTable:
    return build_table(parse(text), COLUMNS, cluster="cluster", **options)


def names(table: ParameterTable) -> list[str]:
    return [row.random for row in table.rows if row.random]


LOADINGS = ["l.f.y2", "l.f.y3", "l.g.y5", "l.g.y6"]
VARIANCES = [f"v.{v}" for v in ("y1", "y2", "y3", "y4", "y5", "y6", "f", "g")]


@pytest.mark.parametrize(
    ("random", "expected"),
    [
        (None, []),
        ("loadings", LOADINGS),
        ("slopes", ["s.g.f", "s.g.x1"]),
        ("intercepts", []),
        ("variances", VARIANCES),
        (["loadings"], LOADINGS),
        (("slopes", "loadings", "slopes"), [*LOADINGS, "s.g.f", "s.g.x1"]),
        ("all", [*LOADINGS, "s.g.f", "s.g.x1", *VARIANCES]),
        (["all", "loadings"], [*LOADINGS, "s.g.f", "s.g.x1", *VARIANCES]),
    ],
)
def test_words(random: Any, expected: list[str]) -> None:
    assert names(expanded(TWO_FACTORS, random)) == expected


@pytest.mark.parametrize("word", ["correlations", "covariances"])
@pytest.mark.parametrize(
    ("within", "expected"),
    [
        ("f =~ y1 + y2\ng =~ y3 + y4", ["r.f.g"]),  # added by default
        ("f =~ y1 + y2\ng =~ y3 + y4\ng ~~ f\ny1 ~~ y3", ["r.g.f"]),  # not between indicators
        ("f =~ y1 + y2\ng =~ y3 + y4\nf + g ~ x1", ["r.f.g"]),  # residuals of outcomes
        ("f =~ y1 + y2\ng =~ y3 + y4\nh =~ y5 + y6\nf ~~ 0*g", ["r.f.h", "r.g.h"]),
    ],
)
def test_correlations_of_factors(word: str, within: str, expected: list[str]) -> None:
    assert names(expanded(f"level: 1\n{within}\n{BETWEEN}", word)) == expected


def test_expansion_is_the_same_as_writing_rv() -> None:
    text = "level: 1\nf =~ y1 + y2 + y3\nf ~ x1 + x2\nlevel: 2\ny1 ~~ y2\ny3 ~ w1"
    by_hand = """
    level: 1
        f =~ y1 + rv("l.f.y2")*y2 + rv("l.f.y3")*y3
        f ~ rv("s.f.x1")*x1 + rv("s.f.x2")*x2
        y1 ~~ rv("v.y1")*y1
        y2 ~~ rv("v.y2")*y2
        y3 ~~ rv("v.y3")*y3
        f ~~ rv("v.f")*f
    level: 2
        y1 ~~ y2
        y3 ~ w1
    """
    assert expanded(text, "all") == written(by_hand)


def test_random_effects_are_variables_of_level_between() -> None:
    table = expanded(TWO_FACTORS, ["slopes"])
    keys = {row.key for row in table.rows}
    assert {("between", "s.g.x1", "~", "1"), ("between", "s.g.x1", "~~", "s.g.x1")} <= keys
    assert table.roles["between", "s.g.x1"] == "random effect"


def test_rows_with_a_wish_stay_as_written() -> None:
    text = """
    level: 1
        f =~ NA*y1 + 1*y2 + a*y3 + prior("normal(1, 1)")*y4 + start(2)*y5 + rv("mine")*y6
    """
    assert names(expanded(text + BETWEEN, "loadings")) == ["l.f.y1", "mine"]


def test_only_slopes_of_the_text_vary() -> None:
    """The default regression of a modelled predictor on a covariate is no slope of interest."""
    text = "level: 1\ny1 ~ y2 + x1\nlevel: 2\ny1 ~ y2"
    assert ("within", "y2", "~", "x1") in {row.key for row in written(text).rows}
    assert names(expanded(text, "slopes")) == ["s.y1.y2", "s.y1.x1"]


def test_standardised_factors_keep_their_typical_variance() -> None:
    text = "level: 1\nf =~ y1 + y2 + y3\n" + BETWEEN
    table = expanded(text, "all", std_lv=True)
    assert names(table)[:3] == ["l.f.y1", "l.f.y2", "l.f.y3"]
    assert "v.f" not in names(table)
    freed = expanded(f"level: 1\nf =~ 1*y1 + y2 + y3\nf ~~ NA*f\n{BETWEEN}", "all", std_lv=True)
    mean = next(r for r in freed.rows if r.key == ("between", "v.f", "~", "1"))
    assert mean.free > 0


@pytest.mark.parametrize("std_lv", [False, True])
@pytest.mark.parametrize("random", ["loadings", "variances", ["slopes", "variances"], "all"])
@pytest.mark.parametrize(
    "text",
    [
        TWO_FACTORS,
        "level: 1\nf =~ y1 + y2\ng =~ y3 + y4\nh =~ f + g\nh ~ y5 + x1\n" + BETWEEN,
        "level: 1\nf =~ NA*y1 + y2 + y3\nf ~~ 1*f\ng =~ y4\ng ~ a*f + x1\n" + BETWEEN,
    ],
)
def test_text_of_an_expanded_table_reads_back(text: str, random: Any, std_lv: bool) -> None:
    table = expanded(text, random, std_lv=std_lv)
    assert names(table)
    check_identification(table)
    assert_reads_back(table)


def test_text_shows_the_names() -> None:
    lines = to_syntax(expanded(TWO_FACTORS, "loadings")).splitlines()
    assert '    f =~ 1*y1 + rv("l.f.y2")*y2 + rv("l.f.y3")*y3' in lines


def test_statements_are_not_changed() -> None:
    parsed = parse(TWO_FACTORS)
    expand_random(parsed, "all", COLUMNS, cluster="cluster")
    assert parsed == parse(TWO_FACTORS)
    assert comparable(expanded(TWO_FACTORS, None)) == comparable(written(TWO_FACTORS))


# Refusals --------------------------------------------------------------------------------------

REGRESSION = "level: 1\ny1 ~ x1\nlevel: 2\ny1 ~ 1"

ERRORS = {
    "single level": ("y1 ~ x1", "slopes", "random='slopes'.*single level", "'level: between'"),
    "unknown word": (TWO_FACTORS, "slope", "unknown word 'slope'; did you mean 'slopes'", "'all'"),
    "unknown in a list": (TWO_FACTORS, ["all", "x"], "unknown word 'x'", "Allowed: 'loadings'"),
    "no word": (TWO_FACTORS, [], "names nothing", "'loadings'"),
    "a number": (TWO_FACTORS, 3, "neither a word nor a list", "'loadings'"),
    "a number in a list": (TWO_FACTORS, [3], "neither a word nor a list", "'loadings'"),
    "True": (TWO_FACTORS, True, "neither a word nor a list", "'loadings'"),
    "no loading": (REGRESSION, "loadings", "no free loading at level within", "leave out"),
    "no free loading": (
        "level: 1\nf =~ y1 + a*y2\n" + BETWEEN, "loadings", "no free loading", "free such a row",
    ),
    "no slope": ("level: 1\ny1 ~~ y1\nlevel: 2\ny1 ~ 1", "slopes", "no free regression", "out"),
    "no variance": ("level: 1\ny1 ~ x1\ny1 ~~ 1*y1\nlevel: 2\ny1 ~ 1", "variances", "no", "out"),
    "nothing at all": (
        "level: 1\ny1 ~ a*x1\ny1 ~~ 1*y1\nlevel: 2\ny1 ~ 1", "all",
        "random='all': the model has no free coefficient", "leave out random",
    ),
    "one factor": (
        "level: 1\nf =~ y1 + y2\n" + BETWEEN, ["loadings", "correlations"],
        "no free covariance between two factors", "leave out 'correlations'",
    ),
    "within-only": (
        "level: 1\ny1 + y2 ~ x1\nlevel: 2\ny1 ~ 1", "intercepts",
        "'y2' cannot have random intercepts", "at level between; mention them there, e.g. 'y2 ~~",
    ),
    "within-only, all": (
        "level: 1\ny1 + y2 ~ x1\nlevel: 2\ny1 ~ 1", "all",
        "random='all': 'y2' cannot", "random=['loadings', 'slopes', 'variances', 'correlations']",
    ),
    "name of a label": (
        "level: 1\ny1 ~ x1 + s.y1.x1*x2\nlevel: 2\ny1 ~ 1", "slopes",
        "'y1 ~ x1' at level within 's.y1.x1'.*already a label", "rv(\"s.y1.x1.random\")*x1",
    ),
    "name of a factor": (
        "level: 1\nv.y1 =~ y1 + y2\n" + BETWEEN, "variances",
        "'v.y1' is already a variable", "name it in the text",
    ),
    "name of another effect": (
        'level: 1\ny1 ~ x1 + rv("s.y1.x1")*x2\nlevel: 2\ny1 ~ 1', "slopes",
        "'s.y1.x1' is already the name of another rv", "name it in the text",
    ),
    "name of a definition": (
        "level: 1\ny1 ~ x1 + b*x2\nlevel: 2\ny1 ~ 1\ns.y1.x1 := b^2", "slopes",
        "'s.y1.x1' is already a definition", "name it in the text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_error_names_culprit_and_fix(case: str) -> None:
    text, random, culprit, fix = ERRORS[case]
    cluster = "cluster" if "level:" in text else None
    with pytest.raises(SpecificationError, match=culprit) as caught:
        expand_random(parse(text), random, COLUMNS, cluster=cluster)
    assert fix in str(caught.value)


def test_names_that_are_columns() -> None:
    columns = [*COLUMNS, "s.y1.x1"]
    with pytest.raises(SpecificationError, match=r"'s\.y1\.x1' is already a column") as caught:
        expanded(REGRESSION, "slopes", columns)
    # the fix of the message works
    fix = str(caught.value).split("e.g. '")[1].rstrip("'")
    assert names(expanded(REGRESSION.replace("y1 ~ x1", fix), "all", columns)) == [
        "s.y1.x1.random",
        "v.y1",
    ]


def test_names_that_two_rows_would_share() -> None:
    text = "level: 1\na ~ b.c\na.b ~ c\nlevel: 2\na ~ 1\na.b ~ 1"
    with pytest.raises(SpecificationError, match=r"'a ~ b\.c' at level within"):
        expanded(text, "slopes", ["a", "a.b", "b.c", "c"])
