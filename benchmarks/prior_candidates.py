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

References
----------
Aguilar, J. E., & Bürkner, P.-C. (2023). Intuitive joint priors for Bayesian linear multilevel
models: The R2D2M2 prior. Electronic Journal of Statistics, 17(1), 1711-1767.
https://doi.org/10.1214/23-EJS2136

Chung, Y., Rabe-Hesketh, S., Dorie, V., Gelman, A., & Liu, J. (2013). A nondegenerate penalized
likelihood estimator for variance parameters in multilevel models. Psychometrika, 78(4), 685-709.
https://doi.org/10.1007/s11336-013-9328-2
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from prior_cells import Key

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint
from bayes_msem.data.cluster_means import within_and_between
from bayes_msem.spec.default_priors import Units
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import Row
from bayes_msem.spec.variable_scales import Scales

Array = NDArray[np.float64]

__all__ = ["WIDE", "Candidate", "Setting", "candidates_of"]


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


WIDE = Candidate()
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
    """List the candidates that differ for a generating model, the wide priors first."""
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
        The model, with the priors of the wide set.
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
