"""Which random coefficients make sense, and what their default priors are."""

from __future__ import annotations

import math

import pytest

from bayes_msem.errors import MsemError, NotSupportedError, SpecificationError
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.identification import check_identification
from bayes_msem.spec.parser import parse
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable, Row
from bayes_msem.spec.user_priors import resolve_priors
from bayes_msem.spec.variable_scales import Scales
from tests.spec.test_printing import assert_reads_back

COLUMNS = [f"{v}{i}" for v in "yxwz" for i in range(1, 10)] + ["cluster"]
SPLIT_Y = "y1 ~~ y1"


def two_level(within: str, between: str = SPLIT_Y) -> str:
    return f"level: within\n{within}\nlevel: between\n{between}"


def table_of(text: str, **options: bool) -> ParameterTable:
    cluster = "cluster" if "level:" in text else None
    table = build_table(parse(text), COLUMNS, cluster=cluster, **options)
    check_identification(table)
    return table


def row_of(table: ParameterTable, key: str) -> Row:
    return next(r for r in table.rows if " ".join(r.key) == key)


# What is allowed -------------------------------------------------------------------------------

ALLOWED = {
    "equal slopes": two_level('y1 ~ rv("s")*x1\ny2 ~ rv("s")*x1'),
    "equal loadings": two_level('f =~ y1 + rv("l")*y2 + rv("l")*y3'),
    "equal residual SDs": two_level('y1 ~~ rv("v")*y1\ny2 ~~ rv("v")*y2'),
    "equal correlations, two blocks": two_level('y1 ~~ rv("r")*y2\ny3 ~~ rv("r")*y4'),
    "covariance of residuals": two_level('y1 + y2 ~ x1\ny1 ~~ rv("r")*y2'),
    "covariance of factor and variable": two_level('f =~ y1 + y2\ny4 ~ x1\nf ~~ rv("r")*y4'),
    "covariance of disturbances": two_level(
        'f =~ y1 + y2 + y3\ng =~ y4 + y5 + y6\nf + g ~ x1\nf ~~ rv("r")*g'
    ),
    "three correlations": two_level(
        'f =~ y1 + y2\ng =~ y3 + y4\nh =~ y5 + y6\nf ~~ rv("a")*g + rv("b")*h\ng ~~ rv("c")*h'
    ),
    "chordal: a chain": two_level('y1 ~~ rv("r")*y2\ny2 ~~ y3\ny3 ~~ rv("v")*y3'),
    "variances without covariances": two_level('y1 ~~ rv("v")*y1 + 0*y2\ny2 ~~ rv("u")*y2'),
    "slope that a random intercept explains": two_level('y1 ~ rv("s")*x1', "s ~ y1\ns ~~ 0*s"),
    "slope that a factor explains": two_level(
        'y1 ~ rv("s")*x1 + rv("t")*x2', "f =~ s + t + z1\ns ~~ 0*s"
    ),
    "marker beside a label": two_level('f =~ rv("l")*y1 + a*y2', "fb =~ 1*y1 + a*y2\nfb ~~ fb"),
}


@pytest.mark.parametrize("case", [c for c in ALLOWED if c != "marker beside a label"])
def test_allowed(case: str) -> None:
    table = table_of(ALLOWED[case])
    names = {row.random for row in table.rows if row.random}
    for name in names:
        assert row_of(table, f"between {name} ~ 1").free
        assert [r.key for r in table.rows].count(("between", name, "~~", name)) == 1
    assert_reads_back(table)


def test_a_marker_may_vary_if_a_shared_label_gives_the_scale() -> None:
    table = table_of(ALLOWED["marker beside a label"])
    assert row_of(table, "within f =~ y1").random == "l"


def test_one_name_is_one_effect_on_all_its_rows() -> None:
    table = table_of(ALLOWED["equal loadings"])
    assert [r.rhs for r in table.rows if r.random == "l"] == ["y2", "y3"]


# What is refused -------------------------------------------------------------------------------

RING = "y1 ~~ {0}*y2\ny2 ~~ {1}*y3\ny3 ~~ {1}*y4\ny4 ~~ {1}*y1"
Error = type[MsemError]
ERRORS: dict[str, tuple[str, Error, str, str]] = {
    "between level": (
        two_level(SPLIT_Y, 'y1 ~ rv("s")*w1'), SpecificationError,
        r"rv\(\"s\"\) \(line 4\) stands on 'y1 ~ w1' at level between", "remove rv()",
    ),
    "single level": (
        'y1 ~ rv("s")*x1', SpecificationError, "has a single level", "write 'level: within'",
    ),
    "different kinds": (
        two_level('f =~ y1 + rv("s")*y2\nf ~ rv("s")*x1'), SpecificationError,
        "loading 'f =~ y2' .* regression 'f ~ x1'", "give each its own name",
    ),
    "marker": (
        two_level('f =~ rv("l")*y1 + y2'), SpecificationError, "marker", "another indicator first",
    ),
    "marker with a random variance": (
        two_level('f =~ rv("l")*y1 + y2 + y3\nf ~~ rv("v")*f'), SpecificationError,
        "factor 'f' .*has no scale.* its variance varies as 'v'", "v ~ 0*1",
    ),
    "name of a column": (
        two_level('y1 ~ rv("z1")*x1'), SpecificationError, "'z1' is already a column", "another",
    ),
    "name of the cluster column": (
        two_level('y1 ~ rv("cluster")*x1'), SpecificationError, "already a column", "another",
    ),
    "name of a factor": (
        two_level('f =~ y1 + rv("f")*y2'), SpecificationError, "'f' is already a factor", "another",
    ),
    "name of a factor of level between": (
        two_level('y1 ~ rv("fb")*x1', "fb =~ y1 + y2"), SpecificationError, "a factor", "another",
    ),
    "name of a label": (
        two_level('y1 ~ rv("b")*x1 + b*x2'), SpecificationError,
        "'b' is used as a label and as the name of a random effect", "rename",
    ),
    "name of a definition": (
        two_level('y1 ~ rv("b")*x1 + a*x2', "y1 ~~ y1\nb := 2*a"), SpecificationError,
        "definition 'b := .*already a random effect", "choose another name",
    ),
    "variance 0": (
        two_level('y1 ~ rv("s")*x1', "y1 ~~ y1\ns ~~ 0*s"), SpecificationError,
        r"variance of random effect 's' is fixed at 0 .*'y1 ~ x1' at level", 'remove rv("s")',
    ),
    "variance 0 by a label": (
        two_level('y1 ~ rv("s")*x1', "s ~~ v*s\nv == 0"), SpecificationError,
        "variance of random effect 's' is fixed at 0", "remove 's ~~ 0*s'",
    ),
    "variance 0 and a covariate": (
        two_level('y1 ~ rv("s")*x1', "s ~ w1\ns ~~ 0*s"), SpecificationError,
        "beyond what predicts 's'", "product of columns",
    ),
    "variance 0 and a loading of 0": (
        two_level('y1 ~ rv("s")*x1', "f =~ z1 + z2 + 0*s\ns ~~ 0*s"), SpecificationError,
        "variance of random effect 's' is fixed at 0", "remove",
    ),
    "variance 0 of a sampled effect": (
        two_level('f =~ y1 + rv("l")*y2', "l ~ y1\nl ~~ 0*l"), SpecificationError,
        "variance of random effect 'l' is fixed at 0", 'remove rv("l")',
    ),
    "correlation with a constant": (
        two_level('f =~ y1\ny2 ~ x1\ny1 ~~ rv("r")*y2'), SpecificationError,
        "'y1 ~~ y2' at level within cannot vary.*variance of 'y1' is fixed at 0", "y1 ~~ NA*y1",
    ),
    "single indicator": (
        two_level('f =~ y1\ny1 ~~ rv("v")*y1'), SpecificationError,
        "single indicator 'y1' with a random residual variance", "y1 ~~ 0*y1",
    ),
    "a ring, random covariance": (
        two_level(RING.format('rv("r")', "NA")), NotSupportedError,
        r"'y1 ~~ y2' at level within varies as rv\(\"r\"\), but the covariances of y1, y2, y3, y4",
        "pairs are left out or fixed ('y1 ~~ y3', 'y2 ~~ y4'); let all of these variables covary",
    ),
    "a ring, random variance": (
        two_level(RING.format("NA", "NA") + '\ny3 ~~ rv("v")*y3'), NotSupportedError,
        r"'y3 ~~ y3' at level within varies as rv\(\"v\"\)", "let all of these variables covary",
    ),
    "beside a fixed covariance": (
        two_level('y1 ~~ rv("r")*y2\ny2 ~~ 0.3*y3'), NotSupportedError,
        "covariances of y1, y2, y3 cannot be kept positive definite", "'y2 ~~ y3'",
    ),
    "beside equal covariances": (
        two_level('y1 ~~ rv("r")*y2\ny2 ~~ a*y3\ny3 ~~ a*y1'), NotSupportedError,
        "covariances have labels", "let all of these variables covary freely",
    ),
    "equal correlations, one block": (
        two_level('y1 ~~ rv("r")*y2\ny2 ~~ rv("r")*y3'), NotSupportedError,
        "'y2 ~~ y3' .*'y1 ~~ y2' .*one block of covariances", "give each covariance its own name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_error_names_culprit_and_fix(case: str) -> None:
    text, error, culprit, fix = ERRORS[case]
    with pytest.raises(error, match=culprit) as caught:
        table_of(text)
    assert fix in str(caught.value)


def test_na_frees_the_typical_sd_of_a_standardised_factor() -> None:
    text = two_level('f =~ 1*y1 + y2 + y3\nf ~~ {}rv("v")*f')
    for modifier, is_free in (("", False), ("NA*", True)):
        table = table_of(text.format(modifier), std_lv=True)
        assert bool(row_of(table, "between v ~ 1").free) == is_free
        assert_reads_back(table)


# Priors ----------------------------------------------------------------------------------------

SCALES = Scales(
    mean={"y1": 5.0, "y2": 1.0, "y3": 0.0, "y4": 0.0, "x1": 0.0, "w1": 0.0},
    within={"y1": 2.0, "y2": 3.0, "y3": 0.5, "y4": 1.0},
    between={"y1": 1.5, "y2": 0.6, "y3": 0.2, "y4": 1.0},
    predictor={"x1": 4.0, "w1": 0.2},
)
EVERYTHING = two_level(
    'f =~ y1 + rv("l")*y2\ng =~ y3 + y4\nf ~ rv("s")*x1\ny1 ~~ rv("v")*y1\nf ~~ rv("r")*g',
    "y1 ~ 1\nl + s + v + r ~ w1",
)
DEFAULTS = {
    "between l ~ 1": "normal(1.5, 1.5)",
    "between l ~~ l": "halfnormal(0.75)[sd]",
    "between l ~ w1": f"studentt(4, 0, {0.75 / 0.2:.4g})",
    "between s ~ 1": "normal(0, 1.25)",
    "between s ~~ s": "halfnormal(0.25)[sd]",
    "between s ~ w1": f"studentt(4, 0, {0.5 / 0.2:.4g})",
    "between v ~ 1": f"normal({math.log(2):.4g}, 1)",
    "between v ~~ v": "halfnormal(0.5)[sd]",
    "between v ~ w1": f"studentt(4, 0, {0.5 / 0.2:.4g})",
    "between r ~ 1": "normal(0, 0.5)",
    "between r ~~ r": "halfnormal(0.3)[sd]",
    "between r ~ w1": f"studentt(4, 0, {0.3 / 0.2:.4g})",
}


def priors_of(text: str, user: dict[str, str] | None = None, **options: bool) -> dict[str, Prior]:
    table, priors = resolve_priors(table_of(text, **options), SCALES, user)
    return {" ".join(r.key): priors[r.free] for r in table.rows if r.free}


@pytest.mark.parametrize("key", DEFAULTS)
def test_default_priors(key: str) -> None:
    assert str(priors_of(EVERYTHING)[key]) == DEFAULTS[key]


def test_all_random_effects_covary_under_lkj() -> None:
    covariances = {
        k: str(p)
        for k, p in priors_of(EVERYTHING).items()
        if k.startswith("between") and " ~~ " in k and str(p).endswith("[cor]")
    }
    assert len(covariances) == 10  # pairs of l, s, v, r and the random intercept of y1
    assert set(covariances.values()) == {"lkj(2)[cor]"}


def test_user_priors_of_a_random_correlation() -> None:
    user = {"between: r ~ 1": "normal(0.5, 0.1)", "r ~~ r": "exponential(5)"}
    priors = priors_of(EVERYTHING, user)
    assert str(priors["between r ~ 1"]) == "normal(0.5, 0.1)"
    assert str(priors["between r ~~ r"]) == "exponential(5)[sd]"
    with pytest.raises(
        SpecificationError, match=r"within: f ~~ g cannot .*it varies .*'between: r ~ 1'"
    ):
        priors_of(EVERYTHING, {"f ~~ g": "lkj(2)"})


def test_a_random_marker_with_a_fixed_mean_is_a_marker() -> None:
    """It gives the factor its sign and its scale; other loadings are centred, not positive."""
    text = two_level('f =~ rv("l")*y1 + y2 + y3', "y1 ~ 1\nl ~ -1*1")
    priors = priors_of(text)
    assert str(priors["within f =~ y2"]) == "normal(-1.5, 1.5)"
    assert str(priors["within f ~~ f"]) == "halfstudentt(4, 2)[sd]"
    assert str(priors["between l ~~ l"]) == "halfnormal(0.5)[sd]"


def test_scale_of_a_standardised_factor_whose_variance_varies() -> None:
    text = two_level('f =~ y1 + y2\nf ~~ rv("v")*f', "y1 ~ 1")
    priors = priors_of(text, std_lv=True)
    assert str(priors["within f =~ y1"]) == "halfnormal(2)"
    assert str(priors["within f =~ y2"]) == "normal(0, 3)"
