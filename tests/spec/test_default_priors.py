"""Default priors: every number against a formula written here."""

from __future__ import annotations

import math

import pytest

from bayes_msem.errors import DataError
from bayes_msem.spec.default_priors import Units, default_priors
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable, Row
from bayes_msem.spec.variable_scales import Scales

W, B = "within", "between"

SCALES = Scales(
    mean={"y1": 5.0, "y2": 1.0, "y3": -2.0, "y4": 0.5, "z": 40.0},
    within={"y1": 2.0, "y2": 3.0, "y3": 0.5, "y4": 1.0},
    between={"y1": 1.5, "y2": 0.6, "y3": 0.25, "y4": 0.8, "z": 10.0},
    predictor={"x": 4.0, "w": 0.2},
)
ROLES = {
    (W, "fw"): "within factor",
    (W, "gw"): "within factor",
    (W, "hw"): "within factor",
    **{(W, f"y{i}"): "split" for i in (1, 2, 3, 4)},
    (W, "x"): "covariate",
    (B, "fb"): "between factor",
    (B, "gb"): "between factor",
    **{(B, f"y{i}"): "split" for i in (1, 2, 3, 4)},
    (B, "z"): "cluster-level",
    (B, "w"): "cluster-level covariate",
    **{(B, name): "random effect" for name in ("slope", "load", "logsd", "corr")},
}


def make_table(*rows: str, two_level: bool = True, roles=ROLES) -> ParameterTable:
    """Build a table from lines ``level lhs op rhs [label=.. | value=.. | random=.. | prior=..]``.

    Rows are free and numbered in order, equal labels alike, unless they have a value or are
    random.
    """
    numbers: dict[str, int] = {}
    made = []
    for index, line in enumerate(rows):
        level, lhs, op, rhs, *options = line.split(maxsplit=4)
        given = dict(o.split("=", 1) for o in options[0].split("; ")) if options else {}
        fixed = "value" in given or "random" in given
        name = given.get("label") or f"row {index}"
        made.append(
            Row(
                level=level,
                lhs=lhs,
                op=op,
                rhs=rhs,
                label=given.get("label", ""),
                free=0 if fixed else numbers.setdefault(name, len(numbers) + 1),
                value=float(given.get("value", "nan")),
                random=given.get("random", ""),
                prior=given.get("prior", ""),
            )
        )
    return ParameterTable(tuple(made), dict(roles), (), (), two_level)


def prior_of(table: ParameterTable, key: str, scales: Scales = SCALES) -> Prior:
    row = next(r for r in table.rows if " ".join(r.key) == key)
    return default_priors(table, scales)[row.free]


MARKER = (
    "within fw =~ y1 value=1",
    "within fw =~ y2",
    "within fw =~ y3",
    "between fb =~ y1 value=0.5",
    "between fb =~ y2",
)
STD_LV = (
    "within fw =~ y1",
    "within fw =~ y2",
    "within fw ~~ fw value=4",
)
RANDOM = (
    "within fw =~ y1 value=1",
    "within fw =~ y2 random=load",
    "within fw ~ x random=slope",
    "within y1 ~~ y1 random=logsd",
    "within y1 ~~ y2 random=corr",
)


def normal(mu, sigma):
    """Give the prior as it is printed: 4 digits."""
    return Prior("normal", (round(mu, 12), float(f"{sigma:.4g}")))


def t4(sigma):
    """Student t(4) around 0, 4 digits."""
    return Prior("studentt", (4.0, 0.0, float(f"{sigma:.4g}")))


LOADINGS = [
    (MARKER, "within fw =~ y2", normal(3 / 2, 3 / 2)),
    (MARKER, "within fw =~ y3", normal(0.5 / 2, 0.5 / 2)),
    # The marker's loading is 0.5, so the factor's SD is 1.5 / 0.5 = 3.
    (MARKER, "between fb =~ y2", normal(0.6 / 3, 0.6 / 3)),
    (("within fw =~ y1 value=-1", "within fw =~ y2"), "within fw =~ y2", normal(-1.5, 1.5)),
    # Fixed variance 4: the factor's SD is 2, the first loading is positive.
    (STD_LV, "within fw =~ y1", Prior("halfnormal", (2 / 2,))),
    (STD_LV, "within fw =~ y2", normal(0, 3 / 2)),
    # A loading fixed at 0 is no marker.
    (("within fw =~ y3 value=0", *STD_LV), "within fw =~ y1", Prior("halfnormal", (1,))),
    # Second order: hw has the scale of its marker fw, which has that of y1 (2).
    (
        ("within hw =~ fw value=1", "within hw =~ gw", "within fw =~ y1 value=1",
         "within gw =~ y2 value=2"),
        "within hw =~ gw",
        normal((3 / 2) / 2, (3 / 2) / 2),
    ),
    # fb has its scale through the loading it shares with fw: 1.5 / (2 / 2).
    (
        ("within fw =~ y1 label=a", "within fw =~ y2", "within fw ~~ fw value=4",
         "between fb =~ y1 label=a", "between fb =~ y2"),
        "between fb =~ y2",
        normal(0, 0.6 / 1.5),
    ),
    # Shared by a label: the prior of the first row.
    (
        ("within fw =~ y1 value=1", "within fw =~ y2 label=a", "between fb =~ y1 value=1",
         "between fb =~ y2 label=a"),
        "between fb =~ y2",
        normal(1.5, 1.5),
    ),
]  # fmt: skip

REGRESSIONS = [
    (("within y1 ~ x",), "within y1 ~ x", normal(0, 2.5 * 2 / 4)),
    (("within y1 ~ y2",), "within y1 ~ y2", normal(0, 2.5 * 2 / 3)),
    (("between y1 ~ y2",), "between y1 ~ y2", t4(1.5 / 0.6)),
    (("between y1 ~ w",), "between y1 ~ w", t4(1.5 / 0.2)),
    # Two predictors share what one could explain.
    (("between y1 ~ w", "between y1 ~ y2"), "between y1 ~ w", t4(1.5 / 0.2 / math.sqrt(2))),
    (("between z ~ y2",), "between z ~ y2", t4(10 / 0.6)),
    ((*MARKER, "within fw ~ x"), "within fw ~ x", normal(0, 2.5 * 2 / 4)),
    ((*MARKER, "between z ~ fb"), "between z ~ fb", t4(10 / 3)),
    ((*RANDOM, "between slope ~ w"), "between slope ~ w", t4((2 / 4) / 0.2)),
    ((*RANDOM, "between z ~ slope"), "between z ~ slope", t4(10 / (2 / 4))),
    ((*RANDOM, "between logsd ~ w"), "between logsd ~ w", t4(0.5 / 0.2)),
]

INTERCEPTS = [
    (("between y1 ~ 1",), "between y1 ~ 1", normal(5, 2.5 * 2.5)),  # hypot(2, 1.5) = 2.5
    (("between z ~ 1",), "between z ~ 1", normal(40, 2.5 * 10)),
    ((*MARKER, "between fb ~ 1"), "between fb ~ 1", normal(0, 2.5 * 3)),
    ((*RANDOM, "between slope ~ 1"), "between slope ~ 1", normal(0, 2.5 * 2 / 4)),
    ((*RANDOM, "between load ~ 1"), "between load ~ 1", normal(3 / 2, 3 / 2)),
    ((*RANDOM, "between logsd ~ 1"), "between logsd ~ 1", normal(0.6931, 1)),
    ((*RANDOM, "between corr ~ 1"), "between corr ~ 1", normal(0, 0.5)),
    # The within part of a predictor that is split has mean 0: nothing to allow for.
    (("within y1 ~ y2", "between y1 ~ 1"), "between y1 ~ 1", normal(5, 6.25)),
    # The prior slope's scale is 1.5 / 0.6 = 2.5 and the predictor's mean 1.
    (
        ("between y1 ~ y2", "between y1 ~ 1"),
        "between y1 ~ 1",
        normal(5, math.hypot(6.25, 2.5)),
    ),
    # A fixed slope of 2 on a predictor with mean 1 moves the intercept.
    (("between y1 ~ y2 value=2", "between y1 ~ 1"), "between y1 ~ 1", normal(3, 6.25)),
    # Half-normal for a random loading that fixes the sign of its factor.
    (
        ("within fw =~ y1 random=load", "within fw ~~ fw value=1", "between load ~ 1"),
        "between load ~ 1",
        Prior("halfnormal", (2,)),
    ),
]

VARIANCES = [
    (("within y2 ~~ y2",), "within y2 ~~ y2", Prior("halfstudentt", (4, 3), "sd")),
    (("between y2 ~~ y2",), "between y2 ~~ y2", Prior("halfnormal", (0.6,), "sd")),
    (("between z ~~ z",), "between z ~~ z", Prior("halfnormal", (10,), "sd")),
    ((*MARKER, "within fw ~~ fw"), "within fw ~~ fw", Prior("halfstudentt", (4, 2), "sd")),
    ((*MARKER, "between fb ~~ fb"), "between fb ~~ fb", Prior("halfnormal", (3,), "sd")),
    ((*RANDOM, "between slope ~~ slope"), "between slope ~~ slope",
     Prior("halfnormal", (0.5 * 2 / 4,), "sd")),
    ((*RANDOM, "between load ~~ load"), "between load ~~ load",
     Prior("halfnormal", (0.5 * 3 / 2,), "sd")),
    ((*RANDOM, "between logsd ~~ logsd"), "between logsd ~~ logsd",
     Prior("halfnormal", (0.5,), "sd")),
    ((*RANDOM, "between corr ~~ corr"), "between corr ~~ corr",
     Prior("halfnormal", (0.3,), "sd")),
]  # fmt: skip

RING = tuple(
    f"within {a} ~~ {b}"
    for a, b in zip(("y1", "y2", "y3", "y4"), ("y2", "y3", "y4", "y1"), strict=True)
)
COVARIANCES = [
    (("within y1 ~~ y2",), "within y1 ~~ y2", Prior("lkj", (2,), "cor")),
    (("within y1 ~~ y2", "within y2 ~~ y3"), "within y2 ~~ y3", Prior("lkj", (2,), "cor")),
    # A ring of four cannot be ordered: covariances themselves, 0.5 * 3 * 0.5.
    (RING, "within y2 ~~ y3", Prior("normal", (0, 0.75), "cov")),
    (RING, "within y4 ~~ y1", Prior("normal", (0, 1), "cov")),
]


@pytest.mark.parametrize(
    ("rows", "key", "expected"), LOADINGS + REGRESSIONS + INTERCEPTS + VARIANCES + COVARIANCES
)
def test_default(rows, key, expected):
    assert prior_of(make_table(*rows), key) == expected


def test_covariates_with_a_mean_widen_the_intercept():
    scales = Scales(SCALES.mean | {"x": 2000.0}, SCALES.within, SCALES.between, SCALES.predictor)
    table = make_table("within y1 ~ x random=slope", "between y1 ~ 1", "between slope ~ 1")
    slope = 2.5 * 2 / 4
    sigma = math.hypot(2.5 * 2.5, slope * 2000)
    assert prior_of(table, "between y1 ~ 1", scales) == normal(5, sigma)
    assert prior_of(table, "between slope ~ 1", scales) == normal(0, slope)


def test_random_loading_with_predictors_does_not_fix_the_sign():
    rows = ("within fw =~ y1 random=load", "within fw =~ y2", "within fw ~~ fw value=1")
    table = make_table(*rows, "between load ~ w", "between load ~ 1")
    assert prior_of(table, "between load ~ 1") == normal(0, 2)
    assert prior_of(table, "within fw =~ y2") == Prior("halfnormal", (3,))


def test_single_level():
    roles = {(W, "y1"): "within-only", (W, "x"): "covariate"}
    scales = Scales({"y1": 5.0}, {"y1": 2.0}, {}, {"x": 4.0})
    table = make_table(
        "within y1 ~ x", "within y1 ~~ y1", "within y1 ~ 1", two_level=False, roles=roles
    )
    assert list(default_priors(table, scales).values()) == [
        normal(0, 1.25),
        Prior("halfstudentt", (4, 2), "sd"),
        normal(5, 5),
    ]


def test_printed_prior_is_the_prior_and_keeps_the_digits_of_a_distant_mean():
    scales = Scales({"z": 1987.654321}, {}, {"z": 1 / 3}, {})
    prior = prior_of(make_table("between z ~ 1"), "between z ~ 1", scales)
    assert prior == normal(1987.654, 0.8333)
    assert str(prior) == "normal(1987.654, 0.8333)"


def test_cluster_means_without_variation_get_a_floor():
    scales = Scales({"y1": 0.0}, {"y1": 2.0}, {"y1": 1e-16}, {})
    table = make_table("between y1 ~~ y1")
    assert prior_of(table, "between y1 ~~ y1", scales) == Prior("halfnormal", (0.2,), "sd")


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_variable_without_a_scale(value):
    scales = Scales({"y1": 0.0}, {"y1": value}, {}, {})
    with pytest.raises(DataError, match=r"standard deviation of 'y1' is .*check that the variable"):
        default_priors(make_table("within y1 ~~ y1"), scales)


def test_labels_that_lead_in_a_circle_end():
    table = make_table("within fw =~ y1 label=a", "within fw =~ y2 label=a")
    assert Units(table, SCALES).of(W, "fw") == 2.0


def test_only_free_rows_get_a_prior():
    table = make_table(*MARKER, "within y1 ~~ y1 value=1")
    assert list(default_priors(table, SCALES)) == [1, 2, 3]
