"""Candidates for the default priors of level between, and posteriors under all of them at once.

A candidate is a rule for slopes, one for standard deviations and one for loadings of level between;
everything else keeps the package's default. In units of the data, with s_v the scale of a variable
as the package measures it (standard deviation of cluster means, which contains noise within) and

    net_v^2 = max( s_v^2 - within_v^2 / n,  f s_v^2 ),   f = min(1, sqrt(2 / (J - 1))) ,

its noise-corrected scale, n the harmonic mean of cluster sizes. The floor is one standard error of
s_v^2 in J clusters of normal data: less than that the data cannot tell from zero.

slopes       "2.5", "1.5", "1": normal(0, k s_y / s_x); "k net": s_x corrected;
             "k net both": s_y, too; "t", "t2": Student t(4) and t(2) instead of normal;
             "split": divided by the square root of K, the number of predictors of the outcome,
             so that R2 does not grow with K
             "R2D2": given the residual SD sigma of the outcome,
                 b_k ~ normal(0, sigma / net_k * sqrt(phi_k R2 / (1 - R2))),
             R2 ~ beta((K+1)/2, (K+1)/2), phi uniform over the simplex: K predictors share one R2,
             whose median is .5 whatever K. (A uniform R2 has an infinite density at slopes of 0
             for K > 1, so that it pulls all slopes of few clusters to 0.)
             "R2 of s": b_k ~ normal(0, s_y / net_k * sqrt(phi_k R2)), with the same R2 and phi
SDs          "half-normal": halfnormal(s); "gamma": gamma(2, 1/s);
             "lognormal": lognormal(log s, .7); "gamma half": gamma(2, 2/s), whose mean is s;
             "... net": with net; "... x": only where the variable is a predictor, half-normal
             elsewhere
loadings     "1": normal(r, r); "0.5": normal(r, r/2), "0.7": normal(r, .7 r);
             "net": normal(r, r) with r of net scales
effects      factor on the scale of SDs of random slopes

Data are sampled once, under a proposal with heavier tails than all of them and with positive
density at SDs of 0 (Student t(3) slopes of scale 1.5, exponential SDs, Student t(3) loadings). For
priors on R2 a second proposal, t(2) slopes of scale .3, helps where the first does not serve.
Ratios of densities, Pareto smoothed (Vehtari, Simpson, Gelman, Yao & Gabry, 2024), turn the draws
into those of each candidate. R2 and phi are integrated over a fixed set of points, so that the
R2D2 prior is a mixture of normals whose density is exact.

References
----------
Aguilar, J. E., & Bürkner, P.-C. (2023). Intuitive joint priors for Bayesian linear multilevel
models: The R2D2M2 prior. Electronic Journal of Statistics, 17(1), 1711-1767.
https://doi.org/10.1214/23-EJS2136

Chung, Y., Rabe-Hesketh, S., Dorie, V., Gelman, A., & Liu, J. (2013). A nondegenerate penalized
likelihood estimator for variance parameters in multilevel models. Psychometrika, 78(4), 685-709.
https://doi.org/10.1007/s11336-013-9328-2

Vehtari, A., Simpson, D., Gelman, A., Yao, Y., & Gabry, J. (2024). Pareto smoothed importance
sampling. Journal of Machine Learning Research, 25(72), 1-58.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import nutpie
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from prior_designs import Key
from scipy.special import betaincinv, logsumexp
from scipy.stats import qmc

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.data.cluster_means import within_and_between
from bayes_msem.inference.density import support
from bayes_msem.inference.geometry import coordinates_at, geometry_at
from bayes_msem.inference.nuts_model import nuts_model
from bayes_msem.spec.default_priors import Units
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import Row
from bayes_msem.spec.variable_scales import Scales

Array = NDArray[np.float64]

__all__ = [
    "TODAY",
    "Candidate",
    "Setting",
    "candidates_of",
    "draws_under",
    "log_ratios",
    "log_weights",
    "prior_draws",
    "weighted_quantiles",
]

NODES = 128  # points at which R2 and its split are integrated


@dataclass(frozen=True, slots=True)
class Candidate:
    """Rules for slopes, SDs and loadings of level between, and a factor on SDs of effects."""

    slopes: str = "2.5"
    sds: str = "half-normal"
    loadings: str = "1"
    effects: str = "1"

    @property
    def name(self) -> str:
        """Name in the results."""
        extra = "" if self.loadings == "1" else f" | loadings {self.loadings}"
        extra += "" if self.effects == "1" else f" | effects {self.effects}"
        return f"{self.slopes} | {self.sds}{extra}"

    @property
    def is_product(self) -> bool:
        """Whether parameters are independent, so that ``bm.Model`` can take the priors."""
        return self.slopes not in _SHARED


TODAY = Candidate()
_SHARED = ("R2D2", "R2 of s")


# SDs that are tried with each rule for slopes, where predictors are split
_PAIRS = {
    "2.5": ("half-normal", "gamma", "lognormal", "gamma half"),
    "1.5": ("half-normal", "gamma", "lognormal net", "gamma half x"),
    "1": (
        *("half-normal", "gamma", "lognormal", "gamma half", "gamma net", "lognormal net"),
        *("gamma x", "gamma half x", "gamma net x"),
    ),
    "1.5 net": ("half-normal",),
    "1 net": ("half-normal", "gamma net", "lognormal net"),
    "1 net both": ("half-normal", "lognormal net", "gamma half", "gamma half x"),
    "1 t": ("half-normal", "lognormal net", "gamma half x"),
    "1 split": ("half-normal", "lognormal net", "gamma x", "gamma half x"),
    "1.5 split": ("half-normal", "gamma half x"),
    "1 t split": ("half-normal", "gamma half x"),
    "1 net both split": ("half-normal", "gamma half x"),
    "1 t net both": ("half-normal", "gamma half x"),
    "0.7 t2": ("half-normal", "gamma half x"),
    "R2D2": ("half-normal", "lognormal net", "gamma half x"),
    "R2 of s": ("half-normal", "lognormal net", "gamma half x"),
}


def candidates_of(design: str) -> list[Candidate]:
    """List the candidates that differ for a generating model, today's first."""
    if design == "factor":
        sds = ("half-normal", "gamma", "lognormal", "gamma half", "gamma net", "lognormal net")
        return [
            *(Candidate(sds=sd) for sd in sds),
            *(Candidate(loadings=kind) for kind in ("0.5", "0.7", "net")),
            *(Candidate(sds="lognormal net", loadings=kind) for kind in ("0.5", "net")),
            Candidate(sds="gamma half", loadings="0.5"),
        ]
    if design == "slopes":
        rules = ("2.5", "1.5", "1", "1 t", "0.7 t2", "1 net both", *_SHARED)
        other = ("gamma", "lognormal", "lognormal net", "gamma half")
        return [
            *(Candidate(k) for k in rules),
            *(Candidate("1", sd) for sd in other),
            *(Candidate("1", sd, effects="0.5") for sd in ("half-normal", *other)),
        ]
    return [Candidate(k, sd) for k, sds in _PAIRS.items() for sd in sds]


class Setting:
    """A model with data, and what its priors are made of.

    Parameters
    ----------
    model
        The model, with default priors.
    narrow
        Propose slopes that are nearer to 0, as priors on R2 want them.
    """

    def __init__(self, model: bm.Model, *, narrow: bool = False) -> None:
        self._tails, self._width = (2.0, 0.3) if narrow else (3.0, 1.5)
        self.table, self.observed = model.table, model.observed
        self.defaults: Mapping[int, Prior] = model._priors
        scales: Scales = model._scales
        self.raw = Units(self.table, scales)
        net = {**scales.between, **self._net(scales)}
        self.net = Units(self.table, replace(scales, between=net))
        self.rows = {
            row.free: row
            for row in self.table.rows
            if row.free and row.level == "between"
            if row.kind in ("regression", "variance", "loading")
        }
        self.predictors = {row.rhs for row in self.rows.values() if row.kind == "regression"}

    def _net(self, scales: Scales) -> dict[str, float]:
        """Noise-corrected scales of split variables."""
        result, observed = {}, self.observed
        assert observed.cluster is not None
        for name in observed.split_names:
            column = np.ascontiguousarray(observed.outcome(name))
            sizes = within_and_between(column, observed.cluster)[2]
            clusters, size = len(sizes), len(sizes) / (1 / sizes).sum()
            total = scales.between[name] ** 2
            floor = min(1.0, (2 / (clusters - 1)) ** 0.5) * total
            result[name] = max(total - scales.within[name] ** 2 / size, floor) ** 0.5
        return result

    @cached_property
    def blueprint(self) -> Blueprint:
        """The model under the proposal."""
        return self.under({free: self.proposal(row) for free, row in self.rows.items()})

    def under(self, priors: Mapping[int, Prior]) -> Blueprint:
        """Return the model with other priors of level between."""
        return build_blueprint(self.table, {**self.defaults, **priors}, self.observed)

    def priors(self, candidate: Candidate) -> dict[int, Prior]:
        """Priors by free number, of a candidate with independent parameters."""
        return {free: self.prior(row, candidate) for free, row in self.rows.items()}

    def proposal(self, row: Row) -> Prior:
        """Prior under which draws are made: wider than all candidates."""
        if row.kind == "variance":
            return Prior("exponential", (1 / self.raw.of("between", row.lhs),), "sd")
        if row.kind == "regression":
            return Prior("studentt", (self._tails, 0.0, self._width * self.raw.slope(row)))
        ratio = self.raw.loading(row)
        return Prior("studentt", (3.0, ratio, ratio))

    def prior(self, row: Row, candidate: Candidate) -> Prior:
        """Prior of one row."""
        if row.kind == "variance":
            return self._sd(row, candidate)
        if row.kind == "loading":
            units = self.net if candidate.loadings == "net" else self.raw
            ratio = units.loading(row)
            spread = 1.0 if candidate.loadings == "net" else float(candidate.loadings)
            return Prior("normal", (ratio, ratio * spread))
        factor, *more = candidate.slopes.split()
        above = (self.net if "both" in more else self.raw).of("between", row.lhs)
        below = (self.net if "net" in more else self.raw).of("between", row.rhs)
        scale = float(factor) * above / below
        if "split" in more:
            others = [r for r in self.rows.values() if (r.lhs, r.kind) == (row.lhs, row.kind)]
            scale /= np.sqrt(len(others))
        for word, freedom in (("t", 4.0), ("t2", 2.0)):
            if word in more:
                return Prior("studentt", (freedom, 0.0, scale))
        return Prior("normal", (0.0, scale))

    def _sd(self, row: Row, candidate: Candidate) -> Prior:
        family, *more = candidate.sds.split()
        if "x" in more and row.lhs not in self.predictors:
            family, more = "half-normal", []
        scale = (self.net if "net" in more else self.raw).of("between", row.lhs)
        if self.table.roles.get(("between", row.lhs)) == "random effect":
            scale *= float(candidate.effects)
        if family == "gamma":
            return Prior("gamma", (2.0, (2 if "half" in more else 1) / scale), "sd")
        if family == "lognormal":
            return Prior("lognormal", (float(np.log(scale)), 0.7), "sd")
        return Prior("halfnormal", (scale,), "sd")

    def values(self, x: Array, blueprint: Blueprint | None = None) -> dict[Key, Array]:
        """Table values of sampled parameters (n, n_free), by row."""
        blueprint = blueprint or self.blueprint
        theta = blueprint.theta(x)
        return {
            row.key: theta[:, blueprint.parameters.position[row.free]]
            for row in self.table.rows
            if row.free
        }

    def shared(self) -> Iterator[tuple[str, list[Row], Row]]:
        """Each outcome between, its regressions and the row of its variance."""
        outcomes = dict.fromkeys(r.lhs for r in self.rows.values() if r.kind == "regression")
        for name in outcomes:
            own = [row for row in self.rows.values() if row.lhs == name]
            slopes = [row for row in own if row.kind == "regression"]
            yield name, slopes, next(row for row in own if row.kind == "variance")


@cache
def shares_of_variance(predictors: int) -> tuple[Array, Array]:
    """R2 (NODES,) and its split (NODES, predictors) at points of equal weight."""
    half = (predictors + 1) / 2
    if predictors == 1:
        r2 = betaincinv(half, half, (np.arange(NODES) + 0.5) / NODES)
        return r2, np.ones((NODES, 1))
    points = qmc.Sobol(predictors, seed=1).random(NODES)
    cuts = np.sort(points[:, 1:], axis=1)
    bounded = np.concatenate([np.zeros((NODES, 1)), cuts, np.ones((NODES, 1))], axis=1)
    return betaincinv(half, half, points[:, 0]), np.maximum(np.diff(bounded, axis=1), 1e-3)


def slope_sds(setting: Setting, kind: str, slopes: list[Row]) -> tuple[Array, bool]:
    """SDs of slopes at the points (NODES, K), and whether in units of the residual SD."""
    r2, split = shares_of_variance(len(slopes))
    net = np.array([setting.net.of("between", row.rhs) for row in slopes])
    if kind == "R2D2":
        return np.sqrt(split * (r2 / (1 - r2))[:, None]) / net, True
    outcome = setting.raw.of("between", slopes[0].lhs)
    return np.sqrt(split * r2[:, None]) * outcome / net, False


def shared_r2(setting: Setting, kind: str, x: Array) -> Array:
    """Log density of all slopes under a prior on R2, given the residual SDs, (n,)."""
    position = setting.blueprint.parameters.position
    total = np.zeros(len(x))
    for _, slopes, variance in setting.shared():
        sds, relative = slope_sds(setting, kind, slopes)
        unit = x[:, position[variance.free]] if relative else np.ones(len(x))
        z2 = (x[:, [position[row.free] for row in slopes]] / unit[:, None]) ** 2
        exponent = -0.5 * z2 @ (sds**-2.0).T - np.log(sds).sum(axis=1)
        constant = -np.log(NODES) - 0.5 * len(slopes) * np.log(2 * np.pi)
        top = exponent.max(axis=1, keepdims=True)
        inner = np.log(np.exp(exponent - top).sum(axis=1)) + top[:, 0]
        total += inner + constant - len(slopes) * np.log(unit)
    return total


def prior_draws(
    setting: Setting, candidate: Candidate, draws: int, rng: np.random.Generator
) -> Array:
    """Draw sampled parameters from the prior of a candidate, (draws, n_free)."""
    position = setting.blueprint.parameters.position
    plain = candidate if candidate.is_product else replace(candidate, slopes="1")
    priors = {**setting.defaults, **setting.priors(plain)}
    x = np.zeros((draws, setting.blueprint.parameters.n))
    for free, prior in priors.items():
        x[:, position[free]] = prior.quantile(rng.random(draws))
    if not candidate.is_product:
        for _, slopes, variance in setting.shared():
            sds, relative = slope_sds(setting, candidate.slopes, slopes)
            unit = x[:, position[variance.free]] if relative else np.ones(draws)
            scale = sds[rng.integers(NODES, size=draws)] * unit[:, None]
            x[:, [position[r.free] for r in slopes]] = scale * rng.standard_normal(scale.shape)
    return x


def draws_under(
    blueprint: Blueprint,
    truth: Mapping[Key, float],
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
) -> Array:
    """Sample with NUTS from around the true values, (chains * draws, n_free).

    Starting there spares the search for modes, which takes as long as sampling.
    """
    theta = np.zeros(blueprint.parameters.n)
    for row in blueprint.table.rows:
        if row.free:
            theta[blueprint.parameters.position[row.free]] = truth[row.key]
    bounds = support(blueprint)
    center = sampled_from_table(blueprint, theta)
    geometry = geometry_at(blueprint, center)

    def start(number: int | None) -> Array:
        noise = 0.1 * np.random.default_rng(number).standard_normal(len(center))
        u = bounds.to_unconstrained(center) + noise * (np.abs(center) + 0.1)
        return coordinates_at(geometry, u, bounds.to_constrained(u)[0])

    options = {"draws": draws, "tune": tune, "chains": chains, "cores": 1, "seed": seed}
    tree = nutpie.sample(
        nuts_model(blueprint, geometry, start),
        **options,
        progress_bar=False,
        save_warmup=False,
        adaptation="low_rank",
    )
    groups = [tree["posterior"][g.name].to_numpy() for g in blueprint.parameters.groups]
    return np.concatenate([g.reshape(chains * draws, -1) for g in groups], axis=1)


def log_ratios(setting: Setting, candidates: Iterable[Candidate], x: Array) -> Array:
    """Log density of each candidate less that of the proposal at draws, (n_candidates, n)."""
    position = setting.blueprint.parameters.position
    known: dict[tuple[int, Prior], Array] = {}

    def density(free: int, prior: Prior) -> Array:
        if (free, prior) not in known:
            known[free, prior] = prior.log_density(x[:, position[free]])
        return known[free, prior]

    base = sum(density(free, setting.proposal(row)) for free, row in setting.rows.items())
    shared: dict[str, Array] = {}
    result = []
    for candidate in candidates:
        kept, joint = list(setting.rows.items()), 0.0
        plain = candidate
        if not candidate.is_product:
            kind = candidate.slopes
            if kind not in shared:
                shared[kind] = shared_r2(setting, kind, x)
            joint, plain = shared[kind], replace(candidate, slopes="1")
            kept = [(free, row) for free, row in kept if row.kind != "regression"]
        total = sum(density(free, setting.prior(row, plain)) for free, row in kept)
        result.append(total + joint - base)
    return np.array(result)


def log_weights(ratios: Array) -> tuple[Array, Array]:
    """Smooth each line of log ratios; normalised log weights and Pareto k."""
    smoothed = [array_stats.psislw(-line) for line in ratios]
    weights = np.array([line - logsumexp(line) for line, _ in smoothed])
    return weights, np.array([float(k) for _, k in smoothed])


def weighted_quantiles(values: Array, weights: Array, probabilities: Iterable[float]) -> Array:
    """Quantiles of values (n,) under each line of weights (m, n): (m, n_probabilities)."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[:, order], axis=1)
    cumulative /= cumulative[:, -1:]
    middle = cumulative - 0.5 * weights[:, order] / weights.sum(axis=1, keepdims=True)
    sorted_values = values[order]
    return np.array([np.interp(list(probabilities), line, sorted_values) for line in middle])
