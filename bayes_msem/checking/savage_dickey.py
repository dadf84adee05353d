"""Bayes factors of equalities, by the density ratio of Savage and Dickey.

For d = left - right of a hypothesis left = right,

    BF = p(d = 0 | data) / p(d = 0)

is the marginal likelihood of the model in which d is 0, over that of the model as it stands, if
the other parameters have the same priors given d = 0 (Wagenmakers, Lodewyckx, Kuriyal & Grasman,
2010). Both densities have to exist, so that d may be

- a sum of parameters with fixed coefficients, c_0 + c_1 t_1 + c_2 t_2 + ..., whose priors are each
  on the parameter itself and therefore independent: loadings, regressions and intercepts. Products
  and ratios have densities that depend on how the equality is written, or are infinite at 0;
- one covariance that is compared with 0, if its prior is on the correlation: then d is the
  correlation.

The prior density is exact for a single parameter and for normal priors; otherwise it is the mean of
f_k((-c_0 - sum_(i != k) c_i t_i) / c_k) / |c_k| over prior draws of all parameters but the widest,
k: a mean of exact densities, with an error far below that of the posterior. A correlation in a
block of variables some of which do not covary has no such form; there it is a kernel density of
draws from the prior.

The posterior density is a kernel density of the draws (ArviZ's), with the Monte Carlo error

    sqrt(p / (2 sqrt(pi) h n)) ,     h: bandwidth, n: effective number of draws.

Where fewer than 20 effective draws lie beyond the point, a kernel density is made of its kernel. A
posterior with one peak rises towards it, so that p(0) is at most the probability between 0 and any
point on the way to the peak, over their distance. In its place stands this bound, with the 95%
quantile gamma_k / n of the probability up to the kth effective draw, for the best of a few k.

References
----------
Wagenmakers, E.-J., Lodewyckx, T., Kuriyal, H., & Grasman, R. (2010). Bayesian hypothesis testing
for psychologists: A tutorial on the Savage-Dickey method. Cognitive Psychology, 60(3), 158-189.
https://doi.org/10.1016/j.cogpsych.2009.12.001
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.posterior.prior_scale import marginal_prior, on_prior_scale
from bayes_msem.posterior.summary import diagnostics
from bayes_msem.spec.expressions import (
    Expression,
    Name,
    derivative,
    evaluate,
    names,
    number,
    substitute,
)
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.row_names import formula
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["DensityRatio", "density_ratio"]

FloatArray = NDArray[np.float64]

_PRIOR_DRAWS = 100_000
_BEYOND = 20.0  # effective draws beyond the point that a kernel density needs
_FIRST = (1, 3, 10, 20)  # effective draws up to which a density beyond them is bounded
_EDGE = 1e-3  # share of the prior that must lie on either side of the point
_KERNEL = 1.0 / (2.0 * math.sqrt(math.pi))  # integral of the squared normal density


@dataclass(frozen=True, slots=True)
class DensityRatio:
    """Evidence for an equality.

    Attributes
    ----------
    bayes_factor
        Density of the posterior over that of the prior, or its upper bound.
    error
        Relative Monte Carlo error; NaN for a bound.
    is_bound
        Whether ``bayes_factor`` is an upper bound.
    prior, posterior
        Both densities at the point.
    how
        Where the density of the prior comes from, in words.
    rows
        Rows whose priors it rests on.
    """

    bayes_factor: float
    error: float
    is_bound: bool
    prior: float
    posterior: float
    how: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class _Term:
    """A parameter of an equality, with its coefficient and the prior that is on it alone."""

    row: Row
    coefficient: float
    prior: Prior


def density_ratio(
    table: ParameterTable,
    priors: Mapping[int, Prior],
    difference: Expression,
    rows: Mapping[str, Row],
    draws: Mapping[RowKey, FloatArray],
    rng: np.random.Generator,
    *,
    prior_draws: Callable[[], Mapping[RowKey, FloatArray]],
    text: str,
    random_definitions: Sequence[str] = (),
) -> DensityRatio:
    """Compare the densities of prior and posterior where a difference is 0.

    Parameters
    ----------
    table, priors
        Parameter table, and prior by free number.
    difference
        left - right.
    rows
        Row of every name in it.
    draws
        Row key -> draws (chain, draw).
    rng
        Source of the prior draws.
    prior_draws
        Returns draws from the prior by row; called only where there is no closed form.
    text
        The equality, for messages.
    random_definitions
        Names of definitions that differ between clusters.

    Raises
    ------
    NotSupportedError
        The difference is no sum of parameters with priors of their own, or the point lies at the
        edge of their support.
    """
    expression, by_name = _in_parameters(table, difference, rows, random_definitions)
    constant, slopes = _sum_of(expression, text)
    chosen = {name: by_name[name] for name in slopes}
    if _is_correlation(constant, chosen, priors):
        row = next(iter(chosen.values()))
        prior = marginal_prior(table, row, priors[row.free])
        values = on_prior_scale(row, priors[row.free], draws)
        used: tuple[Row, ...] = (row,)
        if prior is None:
            sample = on_prior_scale(row, priors[row.free], prior_draws())
            density, _ = _kernel_density(sample)
            how = f"a kernel density of {sample.size:,} prior draws"
        else:
            density, how = _prior_density(0.0, [_Term(row, 1.0, prior)], rng)
    else:
        terms = [_term(table, row, slopes[name], priors) for name, row in chosen.items()]
        values = constant + np.sum([slopes[n] * draws[r.key] for n, r in chosen.items()], axis=0)
        density, how = _prior_density(constant, terms, rng)
        used = tuple(chosen.values())
    posterior, error, is_bound = _density_at_zero(values)
    ratio = posterior / density
    return DensityRatio(ratio, error, is_bound, density, posterior, how, used)


# From a hypothesis to a sum of parameters --------------------------------------------------------


def _in_parameters(
    table: ParameterTable,
    difference: Expression,
    rows: Mapping[str, Row],
    random_definitions: Sequence[str],
) -> tuple[Expression, dict[str, Row]]:
    """Write a difference in free parameters; names "p1", "p2", ... by free number."""
    parameters: dict[str, Row] = {}
    labelled = {row.label: row for row in table.rows if row.label and row.kind != "defined"}
    computed = {c.label: c.expression for c in table.constraints}
    defined = {d.name: d.expression for d in table.definitions}

    def written(row: Row) -> Expression:
        if row.kind == "defined":
            if row.lhs in random_definitions:
                raise NotSupportedError(
                    f"'{row.lhs}' is a mean over clusters of random coefficients, whose prior has "
                    "no density in closed form; give rope=, or compare it with '>'"
                )
            return of_names(defined[row.lhs])
        if row.free:
            parameters.setdefault(f"p{row.free}", row)
            return Name(f"p{row.free}")
        if row.label in computed:
            return of_names(computed[row.label])
        return number(row.value)

    def of_names(expression: Expression) -> Expression:
        known = {
            name: written(labelled[name]) if name in labelled else of_names(defined[name])
            for name in names(expression)
        }
        return substitute(expression, known)

    expression = substitute(difference, {name: written(row) for name, row in rows.items()})
    return expression, parameters


def _sum_of(expression: Expression, text: str) -> tuple[float, dict[str, float]]:
    """Return c_0 and the coefficients of a sum."""
    slopes: dict[str, float] = {}
    with np.errstate(all="ignore"):
        for name in names(expression):
            slope = derivative(expression, name)
            if names(slope):
                raise NotSupportedError(
                    f"'{text}' is no equality of sums of parameters with fixed coefficients: "
                    "densities of products, ratios and functions at a point depend on how the "
                    "equality is written, and can be infinite. Multiply a ratio out ('a/b = 2' is "
                    "'a = 2*b'), or ask how much lies near the value with rope="
                )
            slopes[name] = float(evaluate(slope, {}))
        constant = float(evaluate(expression, dict.fromkeys(slopes, 0.0)))
    slopes = {name: slope for name, slope in slopes.items() if slope}
    if not slopes or not np.isfinite([constant, *slopes.values()]).all():
        raise SpecificationError(f"'{text}' depends on no free parameter")
    return constant, slopes


def _is_correlation(
    constant: float, chosen: Mapping[str, Row], priors: Mapping[int, Prior]
) -> bool:
    rows = list(chosen.values())
    one = len(rows) == 1 and constant == 0
    return one and rows[0].kind == "covariance" and priors[rows[0].free].scale == "cor"


def _term(
    table: ParameterTable, row: Row, coefficient: float, priors: Mapping[int, Prior]
) -> _Term:
    prior = priors[row.free]
    alone = marginal_prior(table, row, prior) if prior.scale == "" else None
    if alone is None:
        hint = (
            "a covariance can be compared with 0 alone"
            if row.kind == "covariance"
            else "give rope=, or compare it with '>'"
        )
        raise NotSupportedError(
            f"the prior of the {row.kind} '{formula(row)}', {prior}, is not on the parameter "
            f"itself and alone, so that a difference has no density that could be trusted; {hint}"
        )
    return _Term(row, coefficient, alone)


# Densities at a point ----------------------------------------------------------------------------


def _prior_density(
    constant: float, terms: Sequence[_Term], rng: np.random.Generator
) -> tuple[float, str]:
    """Density of c_0 + sum of c_i t_i at 0, and where it comes from."""
    sample = [t.coefficient * t.prior.sample(rng, _PRIOR_DRAWS) for t in terms]
    total = constant + np.sum(sample, axis=0)
    share = float((total > 0).mean())
    if not _EDGE < share < 1 - _EDGE:
        side = "all" if share in (0.0, 1.0) else "nearly all"
        raise NotSupportedError(
            f"the priors ({', '.join(str(t.prior) for t in terms)}) put {side} of their mass on "
            "one side of the equality: it lies at the edge of what they allow, or outside, and "
            "has no prior density that a posterior could be compared with"
        )
    if len(terms) == 1:
        density = math.exp(float(terms[0].prior.log_density(-constant / terms[0].coefficient)))
        return density / abs(terms[0].coefficient), "its closed form"
    if all(t.prior.family == "normal" for t in terms):
        mean = constant + sum(t.coefficient * t.prior.arguments[0] for t in terms)
        sd = math.hypot(*(t.coefficient * t.prior.arguments[1] for t in terms))
        density = math.exp(-0.5 * (mean / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
        return density, "its closed form"
    spread = [float(np.subtract(*np.quantile(s, [0.75, 0.25]))) for s in sample]
    widest = int(np.argmax(spread))
    term = terms[widest]
    points = -(total - sample[widest]) / term.coefficient
    density = float(np.exp(term.prior.log_density(points)).mean()) / abs(term.coefficient)
    return density, f"a mean of exact densities over {_PRIOR_DRAWS:,} prior draws"


def _density_at_zero(values: FloatArray) -> tuple[float, float, bool]:
    """Density of draws (chain, draw) at 0, its relative error, and whether it is a bound."""
    flat = np.sort(values.ravel())
    ess = float(diagnostics(values[..., None])[0, 0])
    ess = min(ess, flat.size) if math.isfinite(ess) else float(flat.size)
    below = int((flat < 0).sum())
    beyond = min(below, flat.size - below) * ess / flat.size
    if beyond < _BEYOND:
        towards = flat[below:] if below < flat.size - below else -flat[:below][::-1]
        kth = [min(math.ceil(k * flat.size / ess), len(towards)) - 1 for k in _FIRST]
        bounds = special.gammaincinv(_FIRST, 0.95) / ess / towards[kth]
        return float(bounds.min()), math.nan, True
    density, bandwidth = _kernel_density(flat)
    return density, math.sqrt(_KERNEL / (density * bandwidth * ess)), False


def _kernel_density(sample: FloatArray) -> tuple[float, float]:
    """Density at 0, and the bandwidth."""
    from arviz_stats.base import array_stats

    grid, height, bandwidth = array_stats.kde(sample)
    return float(np.interp(0.0, grid, height)), float(bandwidth)
