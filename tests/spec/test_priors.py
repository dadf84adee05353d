"""Families against SciPy and PyMC, and prior text against records."""

from __future__ import annotations

import math

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import approx_fprime

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.spec.prior_text import FAMILIES, Prior, fit_to_kind, parse_prior, read_prior


def half_t(nu, sigma):
    """SciPy has no half t: fold the t at 0."""
    whole = stats.t(nu, 0, sigma)

    class Half:
        logpdf = staticmethod(lambda x: np.log(2) + whole.logpdf(x))
        ppf = staticmethod(lambda q: whole.ppf((1 + q) / 2))
        mean = staticmethod(lambda: quad(lambda x: 2 * x * whole.pdf(x), 0, np.inf)[0])

    return Half()


def binary_threshold(alpha, sd):
    """Distribution of t with Phi(t / sd) ~ Beta(alpha, alpha)."""
    share, normal = stats.beta(alpha, alpha), stats.norm(0, sd)

    class Threshold:
        logpdf = staticmethod(lambda x: share.logpdf(normal.cdf(x)) + normal.logpdf(x))
        ppf = staticmethod(lambda q: normal.ppf(share.ppf(q)))
        mean = staticmethod(lambda: 0.0)

    return Threshold()


# Prior, SciPy's frozen distribution, values inside the support.
CASES = [
    (Prior("normal", (1, 2)), stats.norm(1, 2), (-3, 0, 1, 7)),
    (Prior("studentt", (3, 1, 2)), stats.t(3, 1, 2), (-30, 0, 1, 7)),
    (Prior("cauchy", (1, 2)), stats.cauchy(1, 2), (-30, 0, 1, 7)),
    (Prior("laplace", (1, 2)), stats.laplace(1, 2), (-3, 0.5, 1.5, 7)),
    (Prior("uniform", (-1, 3)), stats.uniform(-1, 4), (-0.5, 0, 2.5)),
    (
        Prior("truncatednormal", (1, 2, 0, 4)),
        stats.truncnorm(-0.5, 1.5, 1, 2),
        (0.1, 1, 3.5),
    ),
    (
        Prior("truncatednormal", (0, 1, 9, math.inf)),
        stats.truncnorm(9, np.inf, 0, 1),
        (9.01, 9.3, 10),
    ),
    (Prior("halfnormal", (2,)), stats.halfnorm(0, 2), (0.01, 1, 7)),
    (Prior("halfstudentt", (4, 1.31)), half_t(4, 1.31), (0.01, 1, 7)),
    (Prior("halfcauchy", (2,)), stats.halfcauchy(0, 2), (0.01, 1, 70)),
    (Prior("exponential", (0.5,)), stats.expon(0, 2), (0.01, 1, 7)),
    (Prior("gamma", (3, 2)), stats.gamma(3, 0, 0.5), (0.01, 1, 7)),
    (Prior("lognormal", (0.3, 0.8)), stats.lognorm(0.8, 0, math.exp(0.3)), (0.01, 1, 7)),
    (Prior("invgamma", (3, 2)), stats.invgamma(3, 0, 2), (0.1, 1, 7)),
    (Prior("chi", (1, 2)), stats.chi(1, 0, 2), (0.01, 1, 7)),
    (Prior("chi", (3, 0.7)), stats.chi(3, 0, 0.7), (0.01, 1, 3)),
    (Prior("beta", (2, 3)), stats.beta(2, 3, -1, 2), (-0.9, 0, 0.7)),
    (Prior("lkj", (2,)), stats.beta(2, 2, -1, 2), (-0.9, 0, 0.7)),
    (Prior("dirichlet", (1, 1.5)), stats.norm(0, 1.5), (-3, 0, 1, 40)),
    (Prior("dirichlet", (2.5, 1.5)), binary_threshold(2.5, 1.5), (-3, 0, 1, 6)),
]
IDS = [str(prior) for prior, *_ in CASES]


def test_every_family_has_a_case():
    assert {prior.family for prior, *_ in CASES} == set(FAMILIES)


@pytest.mark.parametrize(("prior", "scipy", "values"), CASES, ids=IDS)
class TestFamilies:
    def test_log_density_is_scipys(self, prior, scipy, values):
        np.testing.assert_allclose(prior.log_density(values), scipy.logpdf(values), rtol=1e-10)

    def test_log_density_is_pymcs(self, prior, scipy, values):
        family, x = prior.definition, np.array(values, dtype=float)
        jacobian = 0.0
        if family.support == "correlation":  # PyMC's Beta is on (r + 1) / 2
            x, jacobian = (x + 1) / 2, math.log(0.5)
        arguments = dict(zip(family.pymc_arguments, prior.arguments, strict=True))
        if prior.family == "lkj":
            eta = prior.arguments[0]
            logp = pm.logp(pm.Beta.dist(eta, eta), x)
        elif prior.family == "chi":  # PyMC has its square, a gamma
            (nu, sigma), slope = prior.arguments, np.log(2 * x)
            logp = pm.logp(pm.Gamma.dist(nu / 2, 0.5 / sigma**2), x**2) + slope
        elif prior.family == "dirichlet":  # of the threshold of a binary outcome
            (alpha, sd), share = prior.arguments, stats.norm.cdf(x / prior.arguments[1])
            inside = share < 1  # PyMC's Beta has no digits left above
            beta = np.where(inside, pm.logp(pm.Beta.dist(alpha, alpha), share).eval(), 0.0)
            logp = pm.logp(pm.Normal.dist(0, sd), x) + beta
        else:
            logp = pm.logp(getattr(pm, family.pymc).dist(**arguments), x)
        # PyMC's normaliser of a far truncated tail is good to 2e-6 only; the rest to 1e-12.
        expected = logp.eval() + jacobian
        np.testing.assert_allclose(prior.log_density(values), expected, rtol=1e-6, atol=3e-6)

    def test_derivative_is_that_of_the_density(self, prior, scipy, values):
        numeric = [
            approx_fprime([v], lambda x: prior.log_density(x[0]), 1e-7 * (1 + abs(v)))[0]
            for v in values
        ]
        np.testing.assert_allclose(prior.derivative(values), numeric, rtol=2e-5, atol=1e-5)

    def test_quantiles_and_mean_are_scipys(self, prior, scipy, values):
        q = np.array([0.01, 0.3, 0.5, 0.99])
        np.testing.assert_allclose(prior.quantile(q), scipy.ppf(q), rtol=1e-9, atol=1e-12)
        assert prior.median == pytest.approx(scipy.ppf(0.5), abs=1e-12)
        expected = scipy.mean()
        assert prior.mean == pytest.approx(expected, rel=1e-7, nan_ok=True)

    def test_nothing_outside_the_support(self, prior, scipy, values):
        lower, upper = prior.limits
        outside = [end for end in (lower - 0.1, upper + 0.1) if math.isfinite(end)]
        assert np.all(prior.log_density(outside) == -np.inf)
        assert np.all(prior.derivative(outside) == 0)
        assert prior.is_positive == (lower >= 0)

    def test_draws_are_reproducible_and_follow_the_density(self, prior, scipy, values):
        draws = prior.sample(np.random.default_rng(5), 2000)
        assert np.array_equal(draws, prior.sample(np.random.default_rng(5), 2000))
        assert np.isfinite(prior.log_density(draws)).all()
        # With 2,000 uniform draws the share below the 30% point has SD 0.0102.
        assert np.mean(draws < scipy.ppf(0.3)) == pytest.approx(0.3, abs=4 * 0.0102)


def test_scalar_draw_and_shape():
    prior = Prior("halfnormal", (1,))
    assert prior.sample(np.random.default_rng(1)).shape == ()
    assert prior.sample(np.random.default_rng(1), (2, 3)).shape == (2, 3)


def test_arguments_broadcast_with_values():
    mu, sigma, x = np.array([0.0, 1, 2]), np.array([1.0, 2, 3]), np.array([0.5, 0.5, 0.5])
    np.testing.assert_allclose(
        FAMILIES["normal"].log_density(x, (mu, sigma)), stats.norm(mu, sigma).logpdf(x)
    )


@pytest.mark.parametrize("family", ["gamma", "lognormal", "invgamma", "halfnormal", "exponential"])
def test_density_at_zero_is_a_number(family):
    arguments = (1.0,) * len(FAMILIES[family].arguments)
    value = FAMILIES[family].log_density(0.0, arguments)
    assert not np.isnan(value)
    assert np.isfinite(value) == (family in ("gamma", "halfnormal", "exponential"))


def test_heavy_tails_without_a_mean():
    assert math.isnan(Prior("studentt", (1, 0, 1)).mean)
    assert Prior("halfstudentt", (1, 1)).mean == math.inf
    assert Prior("invgamma", (1, 1)).mean == math.inf


TEXTS = [
    ("normal(0, 2.5)", "loading", "normal(0, 2.5)"),
    (" Normal( -1 ,1e-3 ) ", "regression", "normal(-1, 0.001)"),
    ("student_t(4, 0, 1)", "intercept", "studentt(4, 0, 1)"),
    ("halfnormal(1)", "loading", "halfnormal(1)"),
    ("truncated_normal(0, 1, 0, inf)", "loading", "truncatednormal(0, 1, 0, inf)"),
    ("half_normal(.5)", "variance", "halfnormal(0.5)[sd]"),
    ("HalfStudentT(4,1.31) [sd]", "variance", "halfstudentt(4, 1.31)[sd]"),
    ("half-cauchy(2.)[SD]", "variance", "halfcauchy(2)[sd]"),
    ("uniform(0, 1000000)", "variance", "uniform(0, 1e+06)[sd]"),
    ("gamma(1,.5)[sd]", "variance", "gamma(1, 0.5)[sd]"),
    ("double_exponential(0, 1)", "regression", "laplace(0, 1)"),
    ("lkj_corr(2)", "covariance", "lkj(2)[cor]"),
    ("beta(1,1)", "covariance", "beta(1, 1)[cor]"),
    ("normal(0, 0.5)", "covariance", "normal(0, 0.5)[cov]"),
    ("normal(123.4567, 0.1)", "intercept", "normal(123.4567, 0.1)"),
    ("normal(123456, 1)", "intercept", "normal(123456, 1)"),
]


@pytest.mark.parametrize(("text", "kind", "printed"), TEXTS)
def test_text_to_prior_and_back(text, kind, printed):
    prior = parse_prior(text, kind)
    assert str(prior) == printed
    assert parse_prior(printed, kind) == prior
    assert read_prior(printed) == prior


def test_full_precision_survives_printing():
    prior = Prior("normal", (1 / 3, 2 / 3))
    assert read_prior(str(prior)) == prior


ERRORS = [
    ("norml(0, 1)", "loading", r"'norml'; did you mean 'normal'\?.*families: normal, studentt"),
    ("halfstudent(4, 1)", "variance", r"'halfstudent'; did you mean 'halfstudentt'\?"),
    ("normal(0)", "loading", r"normal\(mu, sigma\) takes 2 arguments, not 1"),
    ("lkj(1, 2)", "covariance", r"lkj\(eta\) takes 1 argument, not 2"),
    ("normal(0, -1)", "loading", r"sigma of normal\(mu, sigma\) must be positive, not -1"),
    ("normal(0, 0)", "loading", r"sigma of .* must be positive, not 0"),
    ("normal(inf, 1)", "loading", r"mu of .* must be a finite number, not inf"),
    ("uniform(2, 1)", "loading", r"lower of uniform\(lower, upper\) must be below upper.*2 >= 1"),
    ("uniform(0, inf)", "loading", r"upper of .* must be a finite number"),
    ("normal(a, 1)", "loading", r"cannot read 'a' in the prior 'normal\(a, 1\)' as a number"),
    ("normal 0 1", "loading", r"cannot read the prior 'normal 0 1'.*'normal\(0, 1\)'"),
    ("normal(0, 1)[foo]", "loading", r"unknown scale \[foo\].*\[sd\] for variances"),
    ("normal(0, 1)[sd]", "loading", r"of a loading cannot be on the scale \[sd\].*no suffix"),
    ("lkj(2)[cov]", "covariance", r"cannot be on the scale \[cov\].*\[cor\] or no suffix"),
    ("normal(0, 2)", "variance", r"on positive numbers.*did you mean 'halfnormal\(2\)\[sd\]'\?"),
    ("student_t(4, 0, 2)", "variance", r"did you mean 'halfstudentt\(4, 2\)\[sd\]'\?.*allowed are"),
    ("uniform(-1, 2)", "variance", r"lower bound must be 0 or above"),
    ("lkj(2)", "variance", r"of a variance.*did you mean 'halfnormal\(1\)'\?.*halfcauchy"),
    ("lkj(2)", "loading", r"of a loading.*did you mean 'normal\(0, 1\)'\?.*normal, studentt"),
    ("beta(1, 1)", "regression", r"of a regression.*real or positive"),
    ("N(0, 5)", "loading", r"a variance in Mplus; write normal\(m, s\)"),
    ("IG(1, 1)", "variance", r"standard deviation, for instance halfnormal"),
    ("dnorm(0, .1)", "loading", r"a precision in JAGS"),
    ("wishart(3)", "covariance", r"inverse-Wishart priors are not offered"),
    ("normal(0, 1)", "defined", r"have no prior of their own.*parameters in the expression"),
]


@pytest.mark.parametrize(("text", "kind", "message"), ERRORS)
def test_errors_name_culprit_and_fix(text, kind, message):
    with pytest.raises(SpecificationError, match=message):
        parse_prior(text, kind)


@pytest.mark.parametrize(("suffix", "word"), [("var", "variance"), ("prec", "precision")])
def test_variance_and_precision_scale_are_refused(suffix, word):
    with pytest.raises(NotSupportedError, match=rf"on the {word}.*halfnormal\(s\)\[sd\]"):
        parse_prior(f"gamma(1, 1)[{suffix}]", "variance")


def test_records_are_checked_like_text():
    with pytest.raises(
        SpecificationError, match=r"unknown prior family 'half_normal'.*did you mean"
    ):
        Prior("half_normal", (1,))
    with pytest.raises(SpecificationError, match="must be positive"):
        Prior("halfnormal", (0,))
    assert fit_to_kind(Prior("halfnormal", (1,)), "variance").scale == "sd"
