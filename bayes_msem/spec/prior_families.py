"""Families of prior distributions: densities, derivatives, quantiles and PyMC's names for them.

One :class:`Family` is one line of :data:`FAMILIES`. Arguments follow Stan and PyMC: a normal has
a standard deviation (never a variance or precision), a gamma has shape and rate, an inverse
gamma shape and scale. ``lkj`` and ``beta`` are priors of a correlation r: with
``u = (r + 1) / 2``

    beta(alpha, beta):  u ~ Beta(alpha, beta)
    lkj(eta):           p(R) proportional to det(R)^(eta - 1);  for a pair u ~ Beta(eta, eta)

so that the density methods of ``lkj`` hold for a pair of variables. Larger blocks need the whole
correlation matrix (:mod:`bayes_msem.spec.covariance`).

``dirichlet(alpha, sd)`` is a prior of all thresholds of an outcome at once
(:mod:`bayes_msem.spec.threshold_priors`). Its density methods hold for the threshold t of a binary
outcome: Phi(t / sd) ~ Beta(alpha, alpha), which is t ~ Normal(0, sd) for alpha = 1.

Densities and derivatives are plain NumPy and broadcast over values and arguments alike: a
posterior mode can be found without compiling anything. A half family is the positive half of a
symmetric one located at 0, with twice its density.

References
----------
Lewandowski, D., Kurowicka, D., & Joe, H. (2009). Generating random correlation matrices based on
vines and extended onion method. Journal of Multivariate Analysis, 100(9), 1989-2001.
https://doi.org/10.1016/j.jmva.2009.04.008
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = ["FAMILIES", "Family", "Support"]

FloatArray = NDArray[np.float64]
Support = Literal["real", "positive", "bounded", "correlation", "thresholds"]
Argument = Literal["location", "positive", "bound"]

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Family:
    """One family of distributions.

    Parameters
    ----------
    name
        Name in prior text.
    arguments
        Argument names, in order.
    kinds
        For each argument: "location" (any finite number), "positive" (finite and above 0) or
        "bound" (of an interval; the first is the lower one).
    support
        "real", "positive", "bounded" (by its two last arguments), "correlation", (-1, 1), or
        "thresholds", increasing real numbers.
    pymc
        Name of PyMC's class, empty if there is none. For "beta" and "lkj" it describes
        ``(r + 1) / 2`` of a pair.
    pymc_arguments
        PyMC's keyword for each argument.
    log_kernel, slope
        Log density inside the support and its derivative with respect to the value; called
        as ``f(value, *arguments)``.
    inverse
        Quantile function, called as ``f(probability, *arguments)``.
    expectation
        Mean, called as ``f(*arguments)``; NaN where it does not exist, inf where infinite.
    infinite_bounds
        Whether the two bounds may be infinite.
    """

    name: str
    arguments: tuple[str, ...]
    kinds: tuple[Argument, ...]
    support: Support
    pymc: str
    pymc_arguments: tuple[str, ...]
    log_kernel: Callable[..., FloatArray]
    slope: Callable[..., FloatArray]
    inverse: Callable[..., FloatArray]
    expectation: Callable[..., float]
    infinite_bounds: bool = False

    def limits(self, arguments: Sequence[ArrayLike]) -> tuple[ArrayLike, ArrayLike]:
        """Lower and upper end of the support."""
        if self.support == "bounded":
            return arguments[-2], arguments[-1]
        ends: dict[str, tuple[float, float]] = {
            "real": (-math.inf, math.inf),
            "positive": (0.0, math.inf),
            "correlation": (-1.0, 1.0),
            "thresholds": (-math.inf, math.inf),
        }
        return ends[self.support]

    def log_density(self, value: ArrayLike, arguments: Sequence[ArrayLike]) -> FloatArray:
        """Log density at ``value``; -inf outside the support."""
        inside = self._inside(value, arguments)
        with np.errstate(all="ignore"):
            density = self.log_kernel(np.asarray(value, dtype=np.float64), *arguments)
        # At the very edge of the support some formulas are inf - inf; the density there is 0.
        return np.where(inside & ~np.isnan(density), density, -np.inf)

    def derivative(self, value: ArrayLike, arguments: Sequence[ArrayLike]) -> FloatArray:
        """Differentiate :meth:`log_density` with respect to ``value``; 0 outside the support."""
        inside = self._inside(value, arguments)
        with np.errstate(all="ignore"):
            slope = self.slope(np.asarray(value, dtype=np.float64), *arguments)
        return np.where(inside, slope, 0.0)

    def quantile(self, probability: ArrayLike, arguments: Sequence[ArrayLike]) -> FloatArray:
        """Value below which lies ``probability``."""
        return np.asarray(
            self.inverse(np.asarray(probability, dtype=np.float64), *arguments), dtype=np.float64
        )

    def sample(
        self,
        rng: np.random.Generator,
        arguments: Sequence[ArrayLike],
        size: int | tuple[int, ...] | None = None,
    ) -> FloatArray:
        """Draw by inversion, so that equal seeds give equal draws whatever the library version."""
        uniform = np.maximum(rng.random(size), np.finfo(np.float64).tiny)
        return self.quantile(uniform, arguments)

    def median(self, arguments: Sequence[float]) -> float:
        """Return the median, a starting value that exists for every family."""
        return float(self.quantile(0.5, arguments))

    def mean(self, arguments: Sequence[float]) -> float:
        """Return the mean; NaN where it does not exist, inf where it is infinite."""
        return float(self.expectation(*arguments))

    def _inside(self, value: ArrayLike, arguments: Sequence[ArrayLike]) -> NDArray[np.bool_]:
        lower, upper = self.limits(arguments)
        x = np.asarray(value, dtype=np.float64)
        return np.asarray((x >= np.asarray(lower)) & (x <= np.asarray(upper)))


def _halved(whole: Family, name: str, pymc: str, keep: dict[str, str]) -> Family:
    """Positive half of a symmetric family at 0; ``keep`` maps kept arguments to new names."""
    at = whole.arguments.index("mu")

    def full(arguments: tuple[ArrayLike, ...]) -> list[ArrayLike]:
        return [*arguments[:at], 0.0, *arguments[at:]]

    return Family(
        name=name,
        arguments=tuple(keep.values()),
        kinds=tuple("positive" for _ in keep),
        support="positive",
        pymc=pymc,
        pymc_arguments=tuple(keep.values()),
        log_kernel=lambda x, *a: math.log(2) + whole.log_kernel(x, *full(a)),
        slope=lambda x, *a: whole.slope(x, *full(a)),
        inverse=lambda u, *a: whole.inverse((1 + u) / 2, *full(a)),
        expectation=_HALF_MEANS[name],
    )


def _half_t_mean(nu: float, sigma: float) -> float:
    if nu <= 1:
        return math.inf
    ratio = math.exp(math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2))
    return 2 * sigma * math.sqrt(nu / math.pi) * ratio / (nu - 1)


_HALF_MEANS: dict[str, Callable[..., float]] = {
    "halfnormal": lambda sigma: sigma * math.sqrt(2 / math.pi),
    "halfstudentt": _half_t_mean,
    "halfcauchy": lambda beta: math.inf,
}


def _log_t(x: FloatArray, nu: FloatArray, mu: FloatArray, sigma: FloatArray) -> FloatArray:
    z2 = ((x - mu) / sigma) ** 2
    constant = special.gammaln((np.asarray(nu) + 1) / 2) - special.gammaln(np.asarray(nu) / 2)
    constant = constant - 0.5 * np.log(np.pi * nu) - np.log(sigma)
    return np.asarray(constant - (nu + 1) / 2 * np.log1p(z2 / nu))


def _log_beta(x: FloatArray, alpha: FloatArray, beta: FloatArray) -> FloatArray:
    """Log density of r when (r + 1) / 2 is Beta; log 1/2 is the Jacobian."""
    kernel = special.xlogy(alpha - 1, (1 + x) / 2) + special.xlogy(beta - 1, (1 - x) / 2)
    return np.asarray(kernel - special.betaln(alpha, beta) - math.log(2))


def _log_truncated(
    x: FloatArray, mu: FloatArray, sigma: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    low, high = (np.asarray(lower) - mu) / sigma, (np.asarray(upper) - mu) / sigma
    # Both ends in the upper tail: mirror them, because only lower tails keep their digits.
    low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
    log_high = special.log_ndtr(high)
    log_mass = log_high + np.log1p(-np.exp(special.log_ndtr(low) - log_high))
    return np.asarray(_NORMAL.log_kernel(x, mu, sigma) - log_mass)


def _truncated_quantile(
    u: FloatArray, mu: FloatArray, sigma: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    low, high = (lower - mu) / sigma, (upper - mu) / sigma
    return np.asarray(scipy.stats.truncnorm.ppf(u, low, high, mu, sigma), dtype=np.float64)


def _truncated_mean(mu: float, sigma: float, lower: float, upper: float) -> float:
    return float(scipy.stats.truncnorm.mean((lower - mu) / sigma, (upper - mu) / sigma, mu, sigma))


_NORMAL = Family(
    "normal",
    ("mu", "sigma"),
    ("location", "positive"),
    "real",
    "Normal",
    ("mu", "sigma"),
    log_kernel=lambda x, mu, s: -0.5 * (((x - mu) / s) ** 2 + _LOG_2PI) - np.log(s),
    slope=lambda x, mu, s: (mu - x) / np.square(s),
    inverse=lambda u, mu, s: mu + s * special.ndtri(u),
    expectation=lambda mu, s: mu,
)
_STUDENT_T = Family(
    "studentt",
    ("nu", "mu", "sigma"),
    ("positive", "location", "positive"),
    "real",
    "StudentT",
    ("nu", "mu", "sigma"),
    log_kernel=_log_t,
    slope=lambda x, nu, mu, s: -(nu + 1) * (x - mu) / (nu * np.square(s) + (x - mu) ** 2),
    inverse=lambda u, nu, mu, s: mu + s * special.stdtrit(nu, u),
    expectation=lambda nu, mu, s: mu if nu > 1 else math.nan,
)
_CAUCHY = Family(
    "cauchy",
    ("mu", "sigma"),
    ("location", "positive"),
    "real",
    "Cauchy",
    ("alpha", "beta"),
    log_kernel=lambda x, mu, s: -np.log(np.pi * np.asarray(s)) - np.log1p(((x - mu) / s) ** 2),
    slope=lambda x, mu, s: -2 * (x - mu) / (np.square(s) + (x - mu) ** 2),
    inverse=lambda u, mu, s: mu + s * np.tan(np.pi * (u - 0.5)),
    expectation=lambda mu, s: math.nan,
)
_LAPLACE = Family(
    "laplace",
    ("mu", "b"),
    ("location", "positive"),
    "real",
    "Laplace",
    ("mu", "b"),
    log_kernel=lambda x, mu, b: -np.abs(x - mu) / b - np.log(2 * np.asarray(b)),
    slope=lambda x, mu, b: -np.sign(x - mu) / b,
    inverse=lambda u, mu, b: mu - b * np.sign(u - 0.5) * np.log1p(-2 * np.abs(u - 0.5)),
    expectation=lambda mu, b: mu,
)
_UNIFORM = Family(
    "uniform",
    ("lower", "upper"),
    ("bound", "bound"),
    "bounded",
    "Uniform",
    ("lower", "upper"),
    log_kernel=lambda x, lower, upper: 0 * x - np.log(np.asarray(upper) - lower),
    slope=lambda x, lower, upper: 0 * x * np.asarray(lower),
    inverse=lambda u, lower, upper: lower + u * (np.asarray(upper) - lower),
    expectation=lambda lower, upper: (lower + upper) / 2,
)
_TRUNCATED_NORMAL = Family(
    "truncatednormal",
    ("mu", "sigma", "lower", "upper"),
    ("location", "positive", "bound", "bound"),
    "bounded",
    "TruncatedNormal",
    ("mu", "sigma", "lower", "upper"),
    log_kernel=_log_truncated,
    slope=lambda x, mu, s, lower, upper: (mu - x) / np.square(s),
    inverse=_truncated_quantile,
    expectation=_truncated_mean,
    infinite_bounds=True,
)
_EXPONENTIAL = Family(
    "exponential",
    ("lam",),
    ("positive",),
    "positive",
    "Exponential",
    ("lam",),
    log_kernel=lambda x, lam: np.log(lam) - lam * x,
    slope=lambda x, lam: -lam + 0 * x,
    inverse=lambda u, lam: -np.log1p(-u) / lam,
    expectation=lambda lam: 1 / lam,
)
_GAMMA = Family(
    "gamma",
    ("alpha", "beta"),
    ("positive", "positive"),
    "positive",
    "Gamma",
    ("alpha", "beta"),
    log_kernel=lambda x, a, b: (
        special.xlogy(np.asarray(a) - 1, x) - b * x + special.xlogy(a, b) - special.gammaln(a)
    ),
    slope=lambda x, a, b: (np.asarray(a) - 1) / x - b,
    inverse=lambda u, a, b: special.gammaincinv(a, u) / b,
    expectation=lambda a, b: a / b,
)
_LOG_NORMAL = Family(
    "lognormal",
    ("mu", "sigma"),
    ("location", "positive"),
    "positive",
    "LogNormal",
    ("mu", "sigma"),
    log_kernel=lambda x, mu, s: _NORMAL.log_kernel(np.log(x), mu, s) - np.log(x),
    slope=lambda x, mu, s: ((mu - np.log(x)) / np.square(s) - 1) / x,
    inverse=lambda u, mu, s: np.exp(mu + s * special.ndtri(u)),
    expectation=lambda mu, s: math.exp(mu + s**2 / 2),
)
_INVERSE_GAMMA = Family(
    "invgamma",
    ("alpha", "beta"),
    ("positive", "positive"),
    "positive",
    "InverseGamma",
    ("alpha", "beta"),
    log_kernel=lambda x, a, b: (
        special.xlogy(a, b) - special.gammaln(a) - (np.asarray(a) + 1) * np.log(x) - b / x
    ),
    slope=lambda x, a, b: (b / x - (np.asarray(a) + 1)) / x,
    inverse=lambda u, a, b: b / special.gammainccinv(a, u),
    expectation=lambda a, b: b / (a - 1) if a > 1 else math.inf,
)
_CHI = Family(
    "chi",
    ("nu", "sigma"),
    ("positive", "positive"),
    "positive",
    "",
    ("nu", "sigma"),
    log_kernel=lambda x, nu, s: (
        special.xlogy(np.asarray(nu) - 1, x / s)
        - 0.5 * np.square(x / s)
        - (np.asarray(nu) / 2 - 1) * math.log(2)
        - special.gammaln(np.asarray(nu) / 2)
        - np.log(s)
    ),
    slope=lambda x, nu, s: (np.asarray(nu) - 1) / x - x / np.square(s),
    inverse=lambda u, nu, s: s * np.sqrt(2 * special.gammaincinv(np.asarray(nu) / 2, u)),
    expectation=lambda nu, s: (
        s * math.sqrt(2) * math.exp(special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2))
    ),
)
_BETA = Family(
    "beta",
    ("alpha", "beta"),
    ("positive", "positive"),
    "correlation",
    "Beta",
    ("alpha", "beta"),
    log_kernel=lambda x, a, b: _log_beta(x, np.asarray(a), np.asarray(b)),
    slope=lambda x, a, b: (np.asarray(a) - 1) / (1 + x) - (np.asarray(b) - 1) / (1 - x),
    inverse=lambda u, a, b: np.asarray(2 * special.betaincinv(a, b, u) - 1),
    expectation=lambda a, b: 2 * a / (a + b) - 1,
)
_LKJ = Family(
    "lkj",
    ("eta",),
    ("positive",),
    "correlation",
    "LKJCorr",
    ("eta",),
    log_kernel=lambda x, eta: _BETA.log_kernel(x, eta, eta),
    slope=lambda x, eta: _BETA.slope(x, eta, eta),
    inverse=lambda u, eta: _BETA.inverse(u, eta, eta),
    expectation=lambda eta: 0.0,
)


def _log_threshold(x: FloatArray, alpha: FloatArray, sd: FloatArray) -> FloatArray:
    z, a = x / sd, np.asarray(alpha)
    tails = special.log_ndtr(z) + special.log_ndtr(-z)
    return np.asarray((a - 1) * tails - special.betaln(a, a) - 0.5 * (z**2 + _LOG_2PI) - np.log(sd))


def _threshold_slope(x: FloatArray, alpha: FloatArray, sd: FloatArray) -> FloatArray:
    z = x / sd
    log_density = -0.5 * (z**2 + _LOG_2PI)
    up = np.exp(log_density - special.log_ndtr(z))
    down = np.exp(log_density - special.log_ndtr(-z))
    return np.asarray(((np.asarray(alpha) - 1) * (up - down) - z) / sd)


_DIRICHLET = Family(
    "dirichlet",
    ("alpha", "sd"),
    ("positive", "positive"),
    "thresholds",
    "Dirichlet",
    ("alpha", "sd"),
    log_kernel=_log_threshold,
    slope=_threshold_slope,
    inverse=lambda u, a, sd: sd * special.ndtri(special.betaincinv(a, a, u)),
    expectation=lambda a, sd: 0.0,
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        _NORMAL,
        _STUDENT_T,
        _CAUCHY,
        _LAPLACE,
        _UNIFORM,
        _TRUNCATED_NORMAL,
        _halved(_NORMAL, "halfnormal", "HalfNormal", {"sigma": "sigma"}),
        _halved(_STUDENT_T, "halfstudentt", "HalfStudentT", {"nu": "nu", "sigma": "sigma"}),
        _halved(_CAUCHY, "halfcauchy", "HalfCauchy", {"sigma": "beta"}),
        _EXPONENTIAL,
        _GAMMA,
        _LOG_NORMAL,
        _INVERSE_GAMMA,
        _CHI,
        _BETA,
        _LKJ,
        _DIRICHLET,
    )
}
