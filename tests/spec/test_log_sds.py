"""Log SDs of residuals with predictors at level within: rows of the table, and what is refused."""

from __future__ import annotations

import pytest

from bayes_msem.errors import MsemError, NotSupportedError, SpecificationError
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import to_syntax
from bayes_msem.spec.table import ParameterTable

COLUMNS = ["school", "y", "y2", "m", "x", "w", "c"]

TWO_LEVEL = """
level: within
    y ~ rv("s")*m
    y ~~ rv("g")*y
    g ~ m + a*x
level: between
    y ~ m
    g ~ m + w
"""
SINGLE = """
y ~ x
y ~~ rv("v")*y
v ~ x
"""


def table(text: str, cluster: str | None = None) -> ParameterTable:
    return build_table(parse(text), COLUMNS, cluster=cluster)


def rows_of(found: ParameterTable, level: str, name: str) -> set[tuple[str, str, str]]:
    return {(r.lhs, r.op, r.rhs) for r in found.rows if r.level == level and r.lhs == name}


def test_the_rows_of_two_levels() -> None:
    found = table(TWO_LEVEL, "school")
    assert found.log_sds == {"y": "g"}
    assert found.roles["within", "g"] == "log SD"
    assert found.roles["between", "g"] == "random effect"
    assert found.roles["within", "x"] == "covariate"
    assert rows_of(found, "within", "g") == {("g", "~", "m"), ("g", "~", "x")}
    # mean, variance and predictors at level between are those of any random coefficient
    assert {("g", "~", "1"), ("g", "~~", "g"), ("g", "~", "w")} <= rows_of(found, "between", "g")


def test_the_rows_of_one_level() -> None:
    found = table(SINGLE)
    assert found.log_sds == {"y": "v"}
    assert rows_of(found, "within", "v") == {("v", "~", "x"), ("v", "~", "1")}
    assert not [r for r in found.rows if r.level == "between"]
    assert [r.random for r in found.rows if r.kind == "variance"] == ["v"]


def test_an_intercept_alone_will_do_with_one_level() -> None:
    found = table('y ~ x; y ~~ rv("v")*y; v ~ 0.5*1')
    (row,) = [r for r in found.rows if r.lhs == "v"]
    assert (row.free, row.value) == (0, 0.5)


def test_no_default_covariances_of_such_residuals() -> None:
    plain = table("y + y2 ~ x")
    scaled = table('y + y2 ~ x; y ~~ rv("v")*y; v ~ x')
    assert [r.key for r in plain.rows if r.kind == "covariance"] == [("within", "y", "~~", "y2")]
    assert not [r for r in scaled.rows if r.kind == "covariance"]


def test_a_predictor_of_the_log_sd_alone_is_modelled_as_others_are() -> None:
    text = 'level: within\n y ~ x\n y ~~ rv("g")*y\n g ~ m\nlevel: between\n y ~~ y\n m ~~ m'
    found = table(text, "school")
    assert found.roles["within", "m"] == "split"
    # exogenous and modelled: regressed on the covariates, so that nothing false is claimed
    assert ("m", "~", "x") in rows_of(found, "within", "m")


def test_a_log_sd_without_variation_over_clusters() -> None:
    text = 'level: within\n y ~~ rv("g")*y\n g ~ x\nlevel: between\n y ~~ y\n g ~~ 0*g'
    found = table(text, "school")
    assert [r.value for r in found.rows if r.key == ("between", "g", "~~", "g")] == [0.0]
    assert not [r for r in found.rows if r.kind == "covariance"]


@pytest.mark.parametrize(("text", "cluster"), [(TWO_LEVEL, "school"), (SINGLE, None)])
def test_written_out_it_reads_back_as_the_same_table(text: str, cluster: str | None) -> None:
    found = table(text, cluster)
    again = table(to_syntax(found), cluster)
    assert {r.key: (r.free > 0, r.random, r.label) for r in again.rows} == {
        r.key: (r.free > 0, r.random, r.label) for r in found.rows
    }
    assert again.log_sds == found.log_sds


IN_TWO_LEVELS = "level: within\n {}\nlevel: between\n y ~~ y\n m ~~ m"


@pytest.mark.parametrize(
    ("text", "cluster", "kind", "words"),
    [
        # what has predictors at level within is the log SD of a residual variance
        (
            IN_TWO_LEVELS.format('y ~ rv("s")*x; s ~ x'),
            "school",
            SpecificationError,
            ["'s' is used at level within", "log SD of a residual variance"],
        ),
        (
            IN_TWO_LEVELS.format('y ~~ rv("g")*y; y ~ g'),
            "school",
            SpecificationError,
            ["'g' is used at level within", "use it at level between"],
        ),
        (
            IN_TWO_LEVELS.format('y ~~ rv("g")*y; g ~~ g; g ~ x'),
            "school",
            SpecificationError,
            ["'g' is used at level within"],
        ),
        (
            IN_TWO_LEVELS.format('f =~ y + y2 + c; f ~~ rv("vf")*f; vf ~ x'),
            "school",
            NotSupportedError,
            ["'vf ~ x'", "log SD of 'f'", "factor", "at level between"],
        ),
        (
            IN_TWO_LEVELS.format('y ~~ rv("g")*y; g ~ rv("gs")*x'),
            "school",
            NotSupportedError,
            ['rv("gs")', "same in all clusters", "remove rv()"],
        ),
        (
            IN_TWO_LEVELS.format('y ~~ rv("g")*y; g ~ 1 + x'),
            "school",
            SpecificationError,
            ["'g ~ 1' at level within", "write 'g ~ 1' there"],
        ),
        (
            'y ~ x; y ~~ rv("v")*y',
            None,
            SpecificationError,
            ["single level", "'v ~ x'"],
        ),
        (
            'y ~ rv("s")*x; y ~~ rv("v")*y; v ~ x',
            None,
            SpecificationError,
            ['rv("s")', "single level"],
        ),
        (
            'f =~ y + y2 + c; f ~ x; y ~~ rv("v")*y; v ~ f',
            None,
            NotSupportedError,
            ["'f' is a factor"],
        ),
        (
            'y ~ x; y ~~ rv("v")*y; v ~ y',
            None,
            NotSupportedError,
            ["'y' is an outcome whose residual log SD has predictors itself", "y_seen"],
        ),
        (
            'y ~ x; y2 ~ y; y ~~ rv("v")*y; v ~ x',
            None,
            NotSupportedError,
            ["'y' as a predictor", "'v'", "y_seen"],
        ),
        (
            'y + y2 ~ x; y ~~ y2; y ~~ rv("v")*y; v ~ x',
            None,
            NotSupportedError,
            ["covariance with the residual of 'y'", "'y ~~ 0*y2'"],
        ),
    ],
)
def test_what_is_refused(
    text: str, cluster: str | None, kind: type[MsemError], words: list[str]
) -> None:
    with pytest.raises(kind) as caught:
        table(text, cluster)
    assert type(caught.value) is kind
    for word in words:
        assert word in str(caught.value)
