"""Priors of single parameters: one record, and the text it is read from and printed to.

``normal(0, 2.5)``, ``halfstudentt(4, 1.31)[sd]``, ``lkj(2)[cor]``: a family, its arguments and
the scale the prior is on. Rows ``x ~~ x`` are variances, but their priors are on the standard
deviation, ``[sd]``; covariances carry their prior on the correlation, ``[cor]``, or, in patterns
that do not stay positive definite by construction, on the covariance itself, ``[cov]``.

Text is read case-insensitively, with or without underscores, so that the spellings of Stan,
blavaan and PyMC work. Spellings whose second argument is a variance or a precision elsewhere
(Mplus' ``N(0, 5)``, JAGS' ``dnorm(0, 0.1)``) are refused: guessing would change the model.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msem.arguments import array, checked, checked_class, floats, generator, shape, text
from bayes_msem.errors import NotSupportedError, SpecificationError, nearest
from bayes_msem.spec.prior_families import FAMILIES, Family
from bayes_msem.spec.table import Kind

__all__ = ["FAMILIES", "Prior", "Scale", "fit_to_kind", "parse_prior", "read_prior"]

Scale = Literal["", "sd", "cor", "cov"]
FloatArray = NDArray[np.float64]

_ALIASES = {
    "norm": "normal",
    "gaussian": "normal",
    "t": "studentt",
    "doubleexponential": "laplace",
    "unif": "uniform",
    "truncnormal": "truncatednormal",
    "truncnorm": "truncatednormal",
    "halft": "halfstudentt",
    "exp": "exponential",
    "lnorm": "lognormal",
    "inversegamma": "invgamma",
    "lkjcorr": "lkj",
}
# Same names, other meanings: refused with the way to write what was probably meant.
_FOREIGN = {
    "n": "'N(m, v)' has a variance in Mplus; write normal(m, s) with the standard deviation s",
    "ig": "'IG(a, b)' is a prior of a variance in Mplus; priors here are on the standard "
    "deviation, for instance halfnormal(1)",
    "iw": "inverse-Wishart priors are not offered; write the standard deviations' priors and "
    "lkj(2) for the correlations",
    "dnorm": "'dnorm(m, p)' has a precision in JAGS; write normal(m, s) with the standard "
    "deviation s = 1 / sqrt(p)",
    "dgamma": "'dgamma(a, b)' is a prior of a precision in JAGS; priors here are on the "
    "standard deviation, for instance gamma(1, 0.5)",
}
_FOREIGN |= {"wishart": _FOREIGN["iw"], "invwishart": _FOREIGN["iw"]}
_HALVES = {"normal": "halfnormal", "studentt": "halfstudentt", "cauchy": "halfcauchy"}
_SUPPORTS: dict[str, tuple[str, ...]] = {
    "loading": ("real", "positive", "bounded"),
    "regression": ("real", "positive", "bounded"),
    "intercept": ("real", "positive", "bounded"),
    "variance": ("positive", "bounded"),
    "covariance": ("correlation", "real", "positive", "bounded"),
    "threshold": ("thresholds", "real", "positive", "bounded"),
    "dispersion": ("positive", "bounded"),
}
_NAMED = {"dirichlet": "sd"}  # its last argument is written with its name
_NUMBER = r"[-+]?(?:inf(?:inity)?|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)"
_PRIOR_TEXT = re.compile(r"\s*([a-z][\w. -]*?)\s*\(([^()]*)\)\s*(?:\[\s*(\w*)\s*\])?\s*", re.I)


@checked_class(arguments=floats, scale=text)
@dataclass(frozen=True, slots=True)
class Prior:
    """The prior of one parameter.

    Parameters
    ----------
    family
        Name of a family, a key of ``FAMILIES``.
    arguments
        Its arguments in order (standard deviations, shapes and rates; see
        ``spec.prior_families``).
    scale
        "sd": on the standard deviation of a variance row; "cor": on the correlation of a
        covariance row; "cov": on the covariance itself; "": on the parameter as it is.

    Raises
    ------
    SpecificationError
        Unknown family, wrong number of arguments, or arguments out of range.

    Examples
    --------
    >>> str(Prior("halfstudentt", (4.0, 1.31), "sd"))
    'halfstudentt(4, 1.31)[sd]'
    >>> round(Prior("normal", (0.0, 2.5)).log_density(1.0).item(), 4)
    -1.9152
    """

    family: str
    arguments: tuple[float, ...]
    scale: Scale = ""

    def __post_init__(self) -> None:
        """Check the family and the arguments, and make them floats."""
        if self.family not in FAMILIES:
            raise SpecificationError(_unknown_family(self.family, FAMILIES))
        object.__setattr__(self, "arguments", tuple(float(a) for a in self.arguments))
        _check_arguments(FAMILIES[self.family], self.arguments)
        if self.scale not in ("", "sd", "cor", "cov"):
            raise SpecificationError(
                f"unknown scale [{self.scale}] of the prior {self.family}; allowed are [sd] for "
                "variances, [cor] and [cov] for covariances, and none for all other rows"
            )

    def __str__(self) -> str:
        """Text that :func:`read_prior` reads back as an equal prior."""
        suffix = f"[{self.scale}]" if self.scale else ""
        written = [_number(a) for a in self.arguments]
        if self.family in _NAMED:
            written[-1] = f"{_NAMED[self.family]}={written[-1]}"
        return f"{self.family}({', '.join(written)}){suffix}"

    @property
    def definition(self) -> Family:
        """The family's entry in ``FAMILIES``.

        Examples
        --------
        >>> Prior("halfnormal", (1.0,)).definition.support
        'positive'
        """
        return FAMILIES[self.family]

    @property
    def limits(self) -> tuple[float, float]:
        """Lower and upper end of the support.

        Examples
        --------
        >>> Prior("halfnormal", (1.0,)).limits
        (0.0, inf)
        """
        lower, upper = self.definition.limits(self.arguments)
        return float(np.asarray(lower)), float(np.asarray(upper))

    @property
    def is_positive(self) -> bool:
        """Whether the support has no negative numbers.

        Examples
        --------
        >>> Prior("halfnormal", (1.0,)).is_positive
        True
        """
        return self.limits[0] >= 0

    @property
    def mean(self) -> float:
        """Mean; NaN where it does not exist, inf where it is infinite.

        Examples
        --------
        >>> Prior("gamma", (3.0, 2.0)).mean
        1.5
        >>> Prior("halfcauchy", (1.0,)).mean
        inf
        """
        return self.definition.mean(self.arguments)

    @property
    def median(self) -> float:
        """Median.

        Examples
        --------
        >>> Prior("lognormal", (0.0, 1.0)).median
        1.0
        """
        return self.definition.median(self.arguments)

    @checked(value=array)
    def log_density(self, value: ArrayLike) -> FloatArray:
        """Log density at ``value``, on the prior's own scale; -inf outside the support.

        Examples
        --------
        >>> Prior("exponential", (2.0,)).log_density([-1.0, 1.0]).round(4).tolist()
        [-inf, -1.3069]
        """
        return self.definition.log_density(value, self.arguments)

    @checked(value=array)
    def derivative(self, value: ArrayLike) -> FloatArray:
        """Differentiate :meth:`log_density` with respect to ``value``; 0 outside the support.

        Examples
        --------
        >>> Prior("normal", (0.0, 2.0)).derivative([1.0, 2.0]).tolist()
        [-0.25, -0.5]
        """
        return self.definition.derivative(value, self.arguments)

    @checked(probability=array)
    def quantile(self, probability: ArrayLike) -> FloatArray:
        """Value below which lies ``probability``.

        Examples
        --------
        >>> Prior("normal", (0.0, 2.0)).quantile([0.5, 0.975]).round(2).tolist()
        [0.0, 3.92]
        """
        return self.definition.quantile(probability, self.arguments)

    @checked(rng=generator, size=shape)
    def sample(
        self, rng: np.random.Generator, size: int | tuple[int, ...] | None = None
    ) -> FloatArray:
        """Draw independent values on the prior's own scale.

        Examples
        --------
        >>> import numpy as np
        >>> draws = Prior("normal", (0.0, 2.0)).sample(np.random.default_rng(1), size=1000)
        >>> draws.shape, bool(abs(draws.std() - 2.0) < 0.1)
        ((1000,), True)
        """
        return self.definition.sample(rng, self.arguments, size)


def parse_prior(text: str, kind: Kind) -> Prior:
    """Read the prior of a row of the parameter table.

    Parameters
    ----------
    text
        For instance ``"normal(0, 1)"``, ``"half_normal(0.5)[sd]"`` or ``"lkj(2)"``.
    kind
        What sort of row it is for.

    Returns
    -------
    Prior
        With its scale filled in: "sd" for variances, "cor" or "cov" for covariances.

    Raises
    ------
    SpecificationError
        The text cannot be read, or the family does not suit this kind of row.
    NotSupportedError
        ``[var]`` or ``[prec]``: priors of variances are on the standard deviation.

    Examples
    --------
    >>> str(parse_prior("student_t(4, 0, 1)", "regression"))
    'studentt(4, 0, 1)'
    >>> str(parse_prior("half_normal(.5)", "variance"))
    'halfnormal(0.5)[sd]'
    """
    return fit_to_kind(read_prior(text), kind)


def read_prior(text: str) -> Prior:
    """Read prior text; the scale stays empty where the text does not name it.

    Parameters
    ----------
    text
        Prior text as in :func:`parse_prior`.

    Raises
    ------
    SpecificationError
        The text cannot be read.
    NotSupportedError
        ``[var]`` or ``[prec]``.
    """
    match = _PRIOR_TEXT.fullmatch(text)
    if match is None:
        raise SpecificationError(
            f"cannot read the prior '{text}'; write a family and its arguments, for instance "
            "'normal(0, 1)', 'halfnormal(0.5)' or 'lkj(2)'"
        )
    written, inside, suffix = match.group(1), match.group(2), (match.group(3) or "").lower()
    name = re.sub(r"[\s_.-]", "", written.lower())
    if name in _FOREIGN:
        raise SpecificationError(f"cannot read the prior '{text}': {_FOREIGN[name]}")
    name = _ALIASES.get(name, name)
    if name not in FAMILIES:
        raise SpecificationError(_unknown_family(written, FAMILIES))
    if suffix in ("var", "prec"):
        raise NotSupportedError(
            f"the prior '{text}' is on the {'variance' if suffix == 'var' else 'precision'}; "
            "priors of variance rows are on the standard deviation: write "
            f"{FAMILIES['halfnormal'].name}(s)[sd] or another positive family with [sd]"
        )
    parts = inside.split(",") if inside.strip() else []
    if name in _NAMED and parts:
        parts[-1] = re.sub(rf"^\s*{_NAMED[name]}\s*=", "", parts[-1])
    arguments = tuple(_read_number(part, text) for part in parts)
    return Prior(name, arguments, suffix)  # type: ignore[arg-type]  # Prior checks the suffix


def fit_to_kind(prior: Prior, kind: Kind) -> Prior:
    """Check that a prior suits a kind of row, and fill in its scale.

    Parameters
    ----------
    prior
        A prior, with or without a scale.
    kind
        What sort of row it is for.

    Returns
    -------
    Prior
        The prior with the scale of such rows.

    Raises
    ------
    SpecificationError
        The family or the scale does not suit; the message lists the families that do.
    """
    if kind == "defined":
        raise SpecificationError(
            f"defined parameters (:=) have no prior of their own, but {prior} was given; "
            "set priors of the parameters in the expression"
        )
    allowed = tuple(f.name for f in FAMILIES.values() if f.support in _SUPPORTS[kind])
    positive = kind in ("variance", "dispersion")
    if prior.family not in allowed or (positive and not prior.is_positive):
        raise SpecificationError(_unsuited(prior, kind, allowed))
    scale: Scale = ""
    if kind == "variance":
        scale = "sd"
    elif kind == "covariance":
        scale = "cor" if prior.definition.support == "correlation" else "cov"
    if prior.scale not in ("", scale):
        expected = f"[{scale}] or no suffix" if scale else "no suffix"
        raise SpecificationError(
            f"the prior {prior} of a {kind} cannot be on the scale [{prior.scale}]; "
            f"{prior.family} takes {expected} there"
        )
    return replace(prior, scale=scale)


def _unsuited(prior: Prior, kind: Kind, allowed: tuple[str, ...]) -> str:
    if kind in ("variance", "dispersion"):
        what = " (it is a prior of the standard deviation)" if kind == "variance" else ""
        problem = f"needs a family on positive numbers{what}"
        hint = _HALVES.get(prior.family)
        if hint:
            spread = [a for a, n in zip(prior.arguments, prior.definition.arguments, strict=True)
                      if n != "mu"]  # fmt: skip
            scale: Scale = "sd" if kind == "variance" else ""
            fix = f"; did you mean '{Prior(hint, tuple(spread), scale)}'?"
        elif prior.definition.support == "bounded":
            fix = "; its lower bound must be 0 or above"
        else:
            fix = "; did you mean 'halfnormal(1)'?"
    else:
        problem = "needs a family on real or positive numbers"
        fix = "; did you mean 'normal(0, 1)'?"
    return f"the prior {prior} of a {kind} {problem}{fix}; allowed are {', '.join(allowed)}"


def _unknown_family(name: str, allowed: dict[str, Family]) -> str:
    known = f"{', '.join(allowed)}"
    plain = re.sub(r"[\s_.-]", "", name.lower())
    return f"unknown prior family '{name}'{nearest(plain, allowed)} (families: {known})"


def _check_arguments(family: Family, arguments: tuple[float, ...]) -> None:
    usage = f"{family.name}({', '.join(family.arguments)})"
    if len(arguments) != len(family.arguments):
        raise SpecificationError(
            f"{usage} takes {len(family.arguments)} "
            f"{'argument' if len(family.arguments) == 1 else 'arguments'}, "
            f"not {len(arguments)}"
        )
    for name, kind, value in zip(family.arguments, family.kinds, arguments, strict=True):
        may_be_infinite = kind == "bound" and family.infinite_bounds
        if math.isnan(value) or (math.isinf(value) and not may_be_infinite):
            raise SpecificationError(f"{name} of {usage} must be a finite number, not {value:g}")
        if kind == "positive" and value <= 0:
            raise SpecificationError(f"{name} of {usage} must be positive, not {value:g}")
    if family.support == "bounded" and arguments[-2] >= arguments[-1]:
        raise SpecificationError(
            f"lower of {usage} must be below upper, but {arguments[-2]:g} >= {arguments[-1]:g}"
        )


def _read_number(part: str, text: str) -> float:
    cleaned = part.strip().lower()
    if not re.fullmatch(_NUMBER, cleaned):
        raise SpecificationError(
            f"cannot read '{part.strip()}' in the prior '{text}' as a number; arguments are "
            "plain numbers such as 2.5, 1e-3 or inf"
        )
    return float(cleaned)


def _number(value: float) -> str:
    """Shortest text that is read back as the same number: 4 digits where they suffice."""
    short = f"{value:.4g}"
    if float(short) == value:
        return short
    return repr(value).removesuffix(".0")
