"""Priors of thresholds, and scales of latent responses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import dblquad

from bayes_msem.errors import SpecificationError
from bayes_msem.outcomes.families import family
from bayes_msem.spec.default_priors import Units, default_priors
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.prior_text import Prior, parse_prior
from bayes_msem.spec.table import ParameterTable
from bayes_msem.spec.threshold_priors import induced_log_density, latent_sd, sample_thresholds
from bayes_msem.spec.user_priors import resolve_priors
from bayes_msem.spec.variable_scales import Scales

COLUMNS = ["y1", "y2", "y3", "v", "x", "w", "z", "c", "g"]
PROBIT, LOGIT = "ordinal(probit)", "ordinal(logit)"
SCALES = Scales(
    mean={"v": 10.0, "x": 0.0, "w": 0.0, "c": 0.7},
    within={"v": 3.0},
    between={"v": 1.0},
    predictor={"x": 2.0, "w": 0.5},
)
TWO_LEVEL = "level: within; f =~ y1 + y2 + y3; f ~ x; level: between; b =~ y1 + y2 + y3; b ~ w"


def table_of(text: str, families: dict[str, str], **options: Any) -> ParameterTable:
    cluster = "g" if "level:" in text else None
    counts = {name: 4 for name, f in families.items() if "ordinal" in f}
    given = {name: family(text) for name, text in families.items()}
    return build_table(
        parse(text), COLUMNS, cluster=cluster, families=given, categories=counts, **options
    )


def priors_of(
    text: str, families: dict[str, str], user: Any = None, scales: Scales = SCALES
) -> dict[str, str]:
    table, _ = resolve_priors(table_of(text, families), scales, user)
    level = {"within": "w", "between": "b"}
    return {f"{level[r.level]}: {r.lhs} {r.op} {r.rhs}": r.prior for r in table.rows if r.free}


# The density -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "sd"), [(1.0, 1.0), (1.0, 2.3), (2.5, 1.7), (0.7, 1.2)])
def test_density_is_that_of_the_probabilities_times_the_jacobian(alpha: float, sd: float) -> None:
    tau = np.array([-1.1, 0.2, 0.9])
    p = np.diff(stats.norm.cdf(tau / sd), prepend=0, append=1)
    jacobian = np.zeros((3, 3))  # of p_0, p_1, p_2
    for k in range(3):
        slope = stats.norm.pdf(tau[k] / sd) / sd
        jacobian[k, k] = slope
        if k < 2:
            jacobian[k + 1, k] = -slope
    expected = stats.dirichlet(np.full(4, alpha)).logpdf(p)
    expected += np.log(abs(np.linalg.det(jacobian)))
    assert induced_log_density(tau, alpha, sd) == pytest.approx(expected, rel=1e-12)
    many = np.stack([tau, tau - 0.3])
    assert induced_log_density(many, alpha, sd).shape == (2,)
    assert induced_log_density(many, alpha, sd)[0] == pytest.approx(expected, rel=1e-12)


def test_density_integrates_to_one() -> None:
    def density(second: float, first: float) -> float:
        return math.exp(float(induced_log_density([first, second], 2.0, 1.5)))

    total, error = dblquad(density, -9, 9, lambda first: first, 9)
    assert total == pytest.approx(1, abs=1e-6 + error)


def test_ordered_normals_for_alpha_one() -> None:
    tau = np.array([-2.0, -1.0, 0.5, 3.0])
    normals = stats.norm(0, 1.7).logpdf(tau).sum() + math.log(math.factorial(4))
    assert induced_log_density(tau, 1.0, 1.7) == pytest.approx(normals, rel=1e-12)


def test_density_far_out_and_out_of_order() -> None:
    assert induced_log_density([0.5, 0.5], 1.0, 1.0) == -np.inf
    assert induced_log_density([1.0, 0.5], 2.0, 1.0) == -np.inf
    far = np.array([[38.0, 39.0, 40.0], [-40.0, -39.0, -38.0]])
    values = induced_log_density(far, 2.0, 1.0)
    assert np.isfinite(values).all()
    assert values[0] == pytest.approx(values[1], rel=1e-12)  # mirrored


def test_draws_divide_probability_evenly() -> None:
    draws = sample_thresholds(np.random.default_rng(4), 3, 1.0, 1.732, 40_000)
    assert (np.diff(draws, axis=1) > 0).all()
    shares = np.diff(stats.norm.cdf(draws / 1.732), axis=1, prepend=0, append=1)
    # Dirichlet(1, 1, 1, 1): mean 1/4, variance 3/80; four standard errors
    np.testing.assert_allclose(shares.mean(axis=0), 0.25, atol=4 * math.sqrt(3 / 80 / 40_000))
    np.testing.assert_allclose(shares.var(axis=0), 3 / 80, rtol=0.04)


def test_text() -> None:
    prior = parse_prior("Dirichlet(2, sd = 1.5)", "threshold")
    assert prior == parse_prior("dirichlet(2, 1.5)", "threshold") == Prior("dirichlet", (2, 1.5))
    assert str(prior) == "dirichlet(2, sd=1.5)"
    assert parse_prior(str(prior), "threshold") == prior
    for kind in ("loading", "variance", "dispersion", "intercept"):
        with pytest.raises(SpecificationError, match="allowed are"):
            parse_prior("dirichlet(2, sd=1)", kind)
    with pytest.raises(SpecificationError, match=r"positive numbers; did you mean 'halfnormal.1.'"):
        parse_prior("normal(0, 1)", "dispersion")
    with pytest.raises(SpecificationError, match=r"sd of .* must be positive"):
        parse_prior("dirichlet(1, sd=0)", "threshold")


# Scales ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "link", "name", "parts"),
    [
        (TWO_LEVEL, PROBIT, "y1", 3),  # residual, factor, random intercept
        (TWO_LEVEL, LOGIT, "y1", 3),
        ("level: within; y1 ~~ y1; v ~~ v; level: between; y1 ~ w; v ~~ v", PROBIT, "y1", 2),
        ("f =~ y1 + y2 + y3", LOGIT, "y1", 2),
        ("y1 ~~ y1; v ~ x", PROBIT, "y1", 1),
        ("level: within; v ~ x; level: between; v ~~ v; z ~ v", PROBIT, "z", 2),
    ],
)
def test_assumed_sd_of_the_latent_response(text: str, link: str, name: str, parts: int) -> None:
    unit = math.pi / math.sqrt(3) if link == LOGIT else 1.0
    table = table_of(text, {name: link})
    assert latent_sd(table, name) == pytest.approx(unit * math.sqrt(parts), rel=1e-12)


def test_priors_on_the_scale_of_y_star() -> None:
    families = dict.fromkeys(("y1", "y2", "y3"), PROBIT)
    assert priors_of(TWO_LEVEL, families) == {
        "w: f =~ y2": "normal(1, 1)",
        "w: f =~ y3": "normal(1, 1)",
        "w: f ~ x": "normal(0, 1.25)",  # 2.5 / 2
        "w: f ~~ f": "halfstudentt(4, 1)[sd]",
        "b: b =~ y2": "normal(1, 1)",
        "b: b =~ y3": "normal(1, 1)",
        "b: b ~ w": "studentt(4, 0, 2)",
        **{f"b: y{i} ~~ y{i}": "halfnormal(1)[sd]" for i in (1, 2, 3)},
        "b: b ~~ b": "halfnormal(1)[sd]",
        **{f"b: y{i} | t{k}": "dirichlet(1, sd=1.732)" for i in (1, 2, 3) for k in (1, 2, 3)},
    }
    logit = priors_of(TWO_LEVEL, dict.fromkeys(families, LOGIT))
    assert logit["w: f ~~ f"] == "halfstudentt(4, 1.814)[sd]"
    assert logit["b: y1 | t2"] == "dirichlet(1, sd=3.142)"


def test_mixed_families_share_a_factor() -> None:
    text = "f =~ y1 + v; f ~ x; z ~ f"
    priors = priors_of(text, {"y1": PROBIT, "z": "binary(logit)"})
    assert priors["w: f =~ v"] == "normal(3, 3)"
    assert priors["w: z ~ f"] == "normal(0, 4.534)"  # 2.5 pi / sqrt(3)
    assert priors["w: v ~ 1"] == "normal(10, 7.5)"
    assert priors["w: z | t1"] == "dirichlet(1, sd=2.565)"


def test_counts() -> None:
    text = "level: within; c ~ rv('s')*x; level: between; c + s ~ w"
    priors = priors_of(text, {"c": "negbinomial"})
    assert priors == {
        "w: c ~~ c": "halfnormal(1)",
        "b: c ~ w": "normal(0, 2)",  # one unit of the log rate for one SD of w
        "b: s ~ w": "studentt(4, 0, 1)",
        "b: c ~~ c": "halfnormal(1)[sd]",
        "b: s ~~ s": "halfnormal(0.25)[sd]",
        "b: c ~~ s": "lkj(2)[cor]",
        "b: c ~ 1": "normal(0.7, 1.5)",
        "b: s ~ 1": "normal(0, 0.5)",
    }


def test_predictors_far_from_zero_widen_thresholds_as_they_widen_intercepts() -> None:
    far = Scales(
        mean=SCALES.mean | {"x": 8.0}, within={}, between={}, predictor=dict(SCALES.predictor)
    )
    # slope normal(0, 1.25) times a mean of 8
    expected = math.sqrt(2 + 10**2)
    assert priors_of("y1 ~ x", {"y1": PROBIT}, scales=far)["w: y1 | t1"] == (
        f"dirichlet(1, sd={expected:.4g})"
    )
    fixed = priors_of("y1 ~ 0.5*x", {"y1": PROBIT}, scales=far)["w: y1 | t1"]
    assert fixed == f"dirichlet(1, sd={math.sqrt(2 + 4**2):.4g})"
    counts = priors_of("c ~ x", {"c": "poisson"}, scales=far)
    assert counts["w: c ~ 1"] == f"normal(0.7, {math.hypot(1.5, 0.5 * 8):.4g})"


# Replaced --------------------------------------------------------------------------------------

Y1, Y2 = "w: y1 | t{}", "w: y2 | t{}"
NORMAL = "normal(0, 2.121)"  # 1.5 sqrt(2)
JOINT = "dirichlet(1, sd=1.414)"
ITEMS = "f =~ y1 + y2 + y3"


@pytest.mark.parametrize(
    ("text", "user", "first", "second"),
    [
        ("", None, [JOINT] * 3, [JOINT] * 3),
        ("y1 | 0*t1", None, [None, NORMAL, NORMAL], [JOINT] * 3),
        ("y1 | a*t1; y2 | a*t1", None, [NORMAL] * 3, [NORMAL] * 3),
        ("y1 | a*t1 + start(2)*t3", None, [JOINT] * 3, [JOINT] * 3),
        (
            'y1 | prior("normal(-1, 0.5)")*t1',
            None,
            ["normal(-1, 0.5)", NORMAL, NORMAL],
            [JOINT] * 3,
        ),
        ("", {"y2 | t3": "normal(2, 1)"}, [JOINT] * 3, [NORMAL, NORMAL, "normal(2, 1)"]),
        ("", {"threshold": "normal(0, 3)"}, ["normal(0, 3)"] * 3, ["normal(0, 3)"] * 3),
        (
            "",
            {("within", "|"): "dirichlet(2, sd=1.5)"},
            ["dirichlet(2, sd=1.5)"] * 3,
            ["dirichlet(2, sd=1.5)"] * 3,
        ),
    ],
)
def test_when_thresholds_have_normal_priors(
    text: str, user: Any, first: list[str | None], second: list[str | None]
) -> None:
    found = priors_of(f"{ITEMS}; {text}", {"y1": PROBIT, "y2": PROBIT}, user, SCALES_OF_ITEMS)
    assert [found.get(Y1.format(k)) for k in (1, 2, 3)] == first
    assert [found.get(Y2.format(k)) for k in (1, 2, 3)] == second


@pytest.mark.parametrize(
    ("text", "user", "part"),
    [
        ("", {"y1 | t1": "dirichlet(2, sd=1)"}, "do not all have it; set them together"),
        ("y1 | 0*t1", {"threshold": "dirichlet(2, sd=1)"}, "one of these is fixed"),
        ("y1 | a*t1; y2 | a*t1", {"a": "dirichlet(2, sd=1)"}, "shares a label"),
    ],
)
def test_a_joint_prior_for_a_part(text: str, user: Any, part: str) -> None:
    with pytest.raises(SpecificationError, match=part):
        priors_of(f"{ITEMS}; {text}", {"y1": PROBIT, "y2": PROBIT}, user, SCALES_OF_ITEMS)


def test_defaults_ignore_priors_in_the_text() -> None:
    table = table_of(f'{ITEMS}; y1 | prior("normal(9, 9)")*t1', {"y1": PROBIT})
    first = next(r for r in table.rows if r.kind == "threshold")
    assert str(default_priors(table, SCALES_OF_ITEMS)[first.free]) == JOINT


SCALES_OF_ITEMS = Scales(mean={}, within={"y2": 1.0, "y3": 1.0}, between={}, predictor={})


def test_free_intercept_of_an_ordered_outcome() -> None:
    priors = priors_of("y1 ~ x + 1; y1 | 0*t1", {"y1": PROBIT})
    assert priors["w: y1 ~ 1"] == "normal(0, 3.536)"  # 2.5 sqrt(2)
    assert Units(table_of("y1 ~ x", {"y1": PROBIT}), SCALES).centre("within", "y1") == 0
