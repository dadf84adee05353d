"""Models with outcomes that are not normal, and the oracle of their joint density.

The oracle reads the parameter table row by row and builds the matrices of both levels anew, from
the formulas in the headers of kernels.row_scores and kernels.centring. For cluster j with effects b
and row i with normal outcomes v and scores s,

    log p(z, b | theta) + sum_i [ log N((v, s); mu, Sigma) + sum_k log p(y_k | eta_k) ] .

Of v what is observed is in the density; nothing else is known of the rest.

Of cluster-level outcomes z those that are not normal have linear predictors too, of covariates,
normal z and b; the level-2 factors among their predictors are in b.

Latent responses y* that are predictors or have correlated residuals are known beside s: they are in
mu and eta, add the normal density of their residuals, and other residuals are normal given those.

With the logarithm of |d(b, s) / d(t_b, t_s)|, found by differences, that is the density of the
coordinates. Only the map from sampled parameters to table values is the package's (it has tests of
its own).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln, log_expit, log_ndtr

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.density import starting_point, support
from bayes_msem.likelihood.approximation import Approximation
from bayes_msem.likelihood.likelihood import Likelihood
from bayes_msem.spec.table import Row
from tests.inference.models import quiet_model

Array = NDArray[np.float64]

__all__ = ["AUGMENTED", "Augmented", "Joint", "built", "frame_of_responses", "informed_rows"]


@dataclass(frozen=True, eq=False)
class Augmented:
    """A model text with the families of its outcomes."""

    name: str
    text: str
    families: Mapping[str, str]
    cluster: str | None = "g"
    exposure: Mapping[str, str] = field(default_factory=dict)
    given_z: bool = False  # whether the coordinates of effects condition on z
    carried: tuple[str, ...] = ()  # responses whose y* is sampled
    holes: tuple[str, ...] = ()  # normal outcomes with missing values

    def __str__(self) -> str:
        return self.name


_ITEMS = "y1", "y2", "y3"
_CFA = "level: within\nfw =~ y1 + y2 + y3\n{}\nlevel: between\nfb =~ y1 + y2 + y3\n{}"


def _items(kind: str) -> dict[str, str]:
    return dict.fromkeys(_ITEMS, kind)


AUGMENTED = (
    Augmented("probit", _CFA.format("", "fb ~ w"), _items("ordinal(probit)")),
    Augmented("logit", _CFA.format("fw ~ x", "y1 ~ w"), _items("ordinal(logit)")),
    Augmented(
        "families beside a normal indicator",
        "level: within\nfw =~ y1 + y2 + v + u\nc ~ fw + x + v\nu ~ x\n"
        "level: between\nfb =~ y1 + y2 + v\nfb ~ w\nc ~~ v",
        {"y1": "ordinal(probit)", "y2": "binary(logit)", "c": "poisson"},
    ),
    Augmented(
        "slope of the factor",
        _CFA.format('fw ~ rv("s")*x', "fb + s ~ w\nz ~ s"),
        _items("ordinal(probit)"),
        given_z=True,
    ),
    Augmented(
        "loading and log SD vary",
        'level: within\nfw =~ y1 + rv("l")*y2 + y3\nfw ~~ rv("q")*fw\nfw ~ x\n'
        "level: between\nfb =~ y1 + y2 + y3\nl + q ~ w",
        _items("ordinal(logit)"),
    ),
    Augmented(
        "two factors, one slope on the other",
        'level: within\nf =~ y1 + y2\nh =~ y3 + c\nh ~ rv("s")*f + x\n'
        "level: between\ny1 ~~ y3\ns ~ w",
        {**_items("ordinal(probit)"), "c": "poisson"},
    ),
    Augmented(
        "z is an outcome",
        _CFA.format("", "z ~ fb + w"),
        _items("binary(probit)"),
        given_z=True,
    ),
    Augmented(
        "counts with exposure",
        'level: within\nc ~ rv("s")*x\nd ~ x\nlevel: between\nc + s ~ w\nc ~~ d',
        {"c": "poisson", "d": "negbinomial"},
        exposure={"c": "hours", "d": "hours"},
    ),
    Augmented(
        "single level",
        "f =~ y1 + y2 + v\nh =~ u + y3\nf ~ x\nc ~ f + x\nf ~~ h",
        {**_items("ordinal(probit)"), "c": "negbinomial"},
        cluster=None,
        exposure={"c": "hours"},
    ),
    Augmented(
        "a latent response is a predictor of a factor, an outcome and a response",
        'level: within\nf =~ y2 + y3\nf ~ rv("s")*y1 + x\nv ~ y1\ny3 ~ y1\ny1 ~ x + u\n'
        "level: between\ny1 ~~ y2\ns ~ w\nv ~ y1",
        _items("ordinal(probit)"),
        carried=("y1",),
    ),
    Augmented(
        "correlated residuals",
        "level: within\nf =~ y1 + y2 + y3 + v\ny1 ~~ y2 + y3\nc ~ x\n"
        "level: between\nfb =~ y1 + y2 + y3",
        {**_items("ordinal(probit)"), "c": "poisson"},
        carried=("y1", "y2"),
    ),
    Augmented(
        "a chain of latent responses, one with a correlated residual",
        "y3 ~ y2 + x\ny2 ~ f\nf ~ y1\ny1 ~ x\nf =~ v + u\ny1 ~~ y3\nc ~ y3 + f",
        {**_items("ordinal(probit)"), "y2": "binary(probit)", "c": "poisson"},
        cluster=None,
        carried=("y1", "y2", "y3"),
    ),
    Augmented(
        "outcomes of clusters beside those of rows",
        _CFA.format(
            'fw ~ rv("s")*x', "fb + s ~ w\nzo ~ fb + za + w\nzc ~ fb + y2\nzb ~ s + w\nz + za ~ fb"
        ),
        {
            **_items("ordinal(probit)"),
            "zo": "ordinal(probit)",
            "zc": "negbinomial",
            "zb": "binary(logit)",
        },
        exposure={"zc": "area"},
        given_z=True,
    ),
    Augmented(
        "only an outcome of clusters is not normal",
        'level: within\nfw =~ v + u\nfw ~ x\nv ~ rv("s")*x\n'
        "level: between\nfb =~ v + u + zc\nfb + s ~ w\nzo ~ v + fb + s",
        {"zc": "poisson", "zo": "ordinal(logit)"},
    ),
    Augmented(
        "indicators of a level-2 factor that are outcomes of clusters",
        "level: within\nv ~ x\nlevel: between\nfb =~ zo + zb + z\nv ~ fb + w",
        {"zo": "ordinal(probit)", "zb": "binary(probit)"},
        given_z=True,
    ),
    Augmented(
        "normal outcomes are missing, one is a predictor, residuals covary",
        "level: within\nfw =~ y1 + y2 + v + u\nc ~ fw + x + v\nu ~ x\nr ~ u + x\nv ~~ r\n"
        "level: between\nfb =~ y1 + y2 + v\nfb ~ w\nc ~~ v\nr ~~ v",
        {"y1": "ordinal(probit)", "y2": "binary(logit)", "c": "poisson"},
        holes=("u", "r"),
    ),
    Augmented(
        "normal outcomes are missing where a slope and a log SD vary",
        'level: within\nf =~ v + u + r\nh =~ y1 + y2 + y3\nv ~~ rv("e")*v\nf ~ rv("s")*h + x\n'
        "level: between\ne + s ~ w\nv ~~ y1\nz ~ r",
        _items("ordinal(logit)"),
        holes=("v", "u", "r"),
    ),
    Augmented(
        "normal indicators of what a latent response predicts are missing",
        "f =~ v + u\nf ~ y1 + x\ny1 ~ x\ny2 ~ f\nr ~ y1\ny1 ~~ y3",
        _items("ordinal(probit)"),
        cluster=None,
        carried=("y1",),
        holes=("v", "u", "r"),
    ),
)


def frame_of_responses(
    seed: int = 1,
    *,
    families: Mapping[str, str] | None = None,
    n_clusters: int = 7,
    holes: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Rows of clusters of 2 to 6, not sorted; a seventh of the items is missing, and some z.

    A third of the columns ``holes`` is missing, and of one row all of them, the items and c.
    """
    rng = np.random.default_rng(seed)
    g = rng.permutation(np.repeat(np.arange(n_clusters), 2 + np.arange(n_clusters) % 5))
    n, families = len(g), families or {}
    f, level = rng.normal(size=n), 0.5 * rng.normal(size=n_clusters)[g]
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=n), "w": rng.normal(size=n_clusters)[g]})
    frame["z"] = (rng.normal(size=n_clusters))[g]
    frame.loc[g == 2, "z"] = np.nan
    for k, name in enumerate(_ITEMS):
        cuts = [0.0] if "binary" in families.get(name, "") else [-0.6, 0.2, 0.9][: 2 + (k > 0)]
        frame[name] = np.digitize(f + level + rng.normal(size=n), cuts).astype(float)
        frame.loc[rng.uniform(size=n) < 1 / 7, name] = np.nan
    frame["v"] = 0.5 * f + level + rng.normal(size=n)
    frame["u"] = 0.4 * f + rng.normal(size=n)
    frame["hours"] = rng.uniform(0.5, 3.0, n)
    for name in ("c", "d"):
        frame[name] = rng.poisson(frame["hours"] * np.exp(0.3 * f + level)).astype(float)
    frame.loc[3, "c"] = np.nan
    frame["r"] = 0.5 * frame["u"] + level + rng.normal(size=n)
    for name in holes:
        frame.loc[rng.uniform(size=n) < 1 / 3, name] = np.nan
    if holes:
        frame.loc[5, [*_ITEMS, *holes, "c"]] = np.nan
    of_clusters = np.random.default_rng(seed + 100)
    frame["za"] = of_clusters.normal(size=n_clusters)[g]
    frame["area"] = of_clusters.uniform(0.5, 2.0, n_clusters)[g]
    frame["zo"] = (np.arange(n_clusters) % 3).astype(float)[g]
    frame["zb"] = (of_clusters.permutation(n_clusters) % 2).astype(float)[g]
    frame["zc"] = of_clusters.poisson(3.0, n_clusters).astype(float)[g]
    for k, name in enumerate(("zo", "zb", "zc")):
        frame.loc[g == k + 3, name] = np.nan
    return frame


def _log_category(y: float, cuts: list[float], eta: float, link: str) -> float:
    """Log F(upper - eta) - F(lower - eta), in the tail where that is accurate."""
    log_cdf = {"probit": log_ndtr, "logit": log_expit}[link]
    ends = [-np.inf, *cuts, np.inf]
    low, high = ends[int(y)] - eta, ends[int(y) + 1] - eta
    if low > 0:
        low, high = -high, -low
    return float(log_cdf(high) + np.log1p(-np.exp(log_cdf(low) - log_cdf(high))))


def _log_normal(values: Mapping[str, float], mean: Array, covariance: Array) -> float:
    """Log density of a normal distribution, from its textbook formula."""
    r = np.array(list(values.values())) - mean
    distance = r @ np.linalg.solve(covariance, r)
    return float(-0.5 * (distance + np.linalg.slogdet(2 * np.pi * covariance)[1]))


@dataclass(frozen=True)
class Joint:
    """The oracle of one model at one vector of sampled parameters."""

    case: Augmented
    blueprint: Blueprint
    frame: pd.DataFrame
    x: Array

    @cached_property
    def theta(self) -> Array:
        theta: Array = self.blueprint.theta(self.x[None, :])[0]
        return theta

    @cached_property
    def effects(self) -> tuple[str, ...]:
        """Random intercepts in the order of the outcomes, other random coefficients, factors."""
        table = self.blueprint.table
        names = [r.random for r in table.rows if r.random]
        split = [y for y in self.blueprint.observed.y_names if ("between", y) in table.roles]
        rows = [r for r in table.rows if r.level == "between"]
        pointing = {r.lhs for r in rows if r.op == "=~" and r.rhs in self.of_clusters}
        pointing |= {r.rhs for r in rows if r.op == "~" and r.lhs in self.of_clusters}
        factors = [f for f in table.variables("between", "between factor") if f in pointing]
        return tuple(dict.fromkeys([*split, *names, *factors]))

    @property
    def of_clusters(self) -> tuple[str, ...]:
        """Cluster-level outcomes that are not normal."""
        return tuple(z for z in self.blueprint.observed.z_names if z in self.case.families)

    @property
    def responses(self) -> tuple[str, ...]:
        return tuple(y for y in self.blueprint.observed.y_names if y in self.case.families)

    @property
    def normal(self) -> tuple[str, ...]:
        return tuple(y for y in self.blueprint.observed.y_names if y not in self.case.families)

    @property
    def factors(self) -> tuple[str, ...]:
        return self.blueprint.table.variables("within", "within factor")

    @property
    def scores(self) -> tuple[str, ...]:
        """Factors that point at responses."""
        rows = [r for r in self.blueprint.table.rows if r.level == "within"]
        pointing = {r.lhs for r in rows if r.op == "=~" and r.rhs in self.responses}
        pointing |= {r.rhs for r in rows if r.op == "~" and r.lhs in self.responses}
        return tuple(f for f in self.factors if f in pointing)

    @property
    def clusters(self) -> list[Any]:
        return list(self.blueprint.observed.cluster_ids) if self.case.cluster else [None]

    def rows_of(self, cluster: Any) -> Array:
        """Positions in the frame, in its order."""
        if cluster is None:
            return np.arange(len(self.frame))
        return np.flatnonzero(self.frame["g"] == cluster)

    def value(self, row: Row, b: Mapping[str, float]) -> float:
        if row.random:
            return float(np.exp(2 * b[row.random]) if row.lhs == row.rhs else b[row.random])
        return float(self.blueprint.row_value(row.key, self.theta))

    def _level(
        self, level: str, names: tuple[str, ...], design: tuple[str, ...], b: Mapping[str, float]
    ) -> tuple[Array, Array]:
        """Covariance matrix (m, m) and coefficients on the design (m, D) of the variables."""
        B, Psi = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
        K = np.zeros((len(names), len(design)))
        at = {name: i for i, name in enumerate(names)}
        for row in self.blueprint.table.rows:
            if row.level != level or row.op not in ("=~", "~", "~~"):
                continue
            to, source = (row.rhs, row.lhs) if row.op == "=~" else (row.lhs, row.rhs)
            if to not in at or (source not in at and source not in design):
                continue
            value = self.value(row, b)
            if row.op == "~~":
                Psi[at[to], at[source]] = Psi[at[source], at[to]] = value
            elif source in at:
                B[at[to], at[source]] += value
            else:
                K[at[to], design.index(source)] += value
        total = np.linalg.inv(np.eye(len(names)) - B)
        return total @ Psi @ total.T, total @ K

    def log_effects(self, j: int, b: Array) -> float:
        """Log p(z_j, b_j | theta)."""
        if self.case.cluster is None:
            return 0.0
        table = self.blueprint.table
        names = tuple(dict.fromkeys(
            r.rhs if r.op == "=~" else r.lhs
            for r in table.rows if r.level == "between" and r.op in ("~~", "~", "=~")
        ))  # fmt: skip
        rows = self.rows_of(self.clusters[j])
        design = ("1", *self.blueprint.observed.w_names)
        cov, means = self._level("between", names, design, {})
        first = self.frame.iloc[rows[0]]
        d = np.array([1.0, *(first[w] for w in design[1:])])
        values = dict(zip(self.effects, b, strict=True))
        normal = [z for z in self.blueprint.observed.z_names if z not in self.of_clusters]
        z = {z: first[z] for z in normal if not np.isnan(first[z])}
        known = {**z, **values}
        chosen = [names.index(v) for v in known]
        value = _log_normal(known, means[chosen] @ d, cov[np.ix_(chosen, chosen)])
        known |= dict(zip(design, d, strict=True))
        for k in self.of_clusters:
            if not np.isnan(first[k]):
                value += self._log_response(k, first, {}, known, level="between")
        return value

    def moments_of_scores(self, i: int, b: Array) -> tuple[Array, Array]:
        """Mean and covariance matrix of the scores of a row of the frame given b and v."""
        row, effects = self.frame.iloc[i], dict(zip(self.effects, b, strict=True))
        names, x_names = (*self.normal, *self.factors), self.blueprint.observed.x_names
        cov, coefficients = self._level("within", names, ("1", *x_names), effects)
        mean = coefficients @ np.array([1.0, *(row[x] for x in x_names)])
        v = [names.index(name) for name in self.normal]
        s = [names.index(name) for name in self.scores]
        residual = np.array([row[n] - effects.get(n, 0.0) for n in self.normal]) - mean[v]
        slope = np.linalg.solve(cov[np.ix_(v, v)], cov[np.ix_(v, s)]).T
        return mean[s] + slope @ residual, cov[np.ix_(s, s)] - slope @ cov[np.ix_(v, s)]

    def log_row(self, i: int, b: Array, s: Array, within: tuple[Array, Array]) -> float:
        """Log p(v, s, y | b) of a row of the frame."""
        row, effects = self.frame.iloc[i], dict(zip(self.effects, b, strict=True))
        names, x_names = (*self.normal, *self.factors), self.blueprint.observed.x_names
        cov, coefficients = within
        sampled = dict(zip((*self.scores, *self.case.carried), s, strict=True))
        stars = {k: sampled.pop(k) for k in self.case.carried}
        d = np.array([1.0, *(row[x] for x in x_names), *stars.values()])
        parts = {v: row[v] - effects.get(v, 0.0) for v in self.normal if not np.isnan(row[v])}
        known = {**parts, **sampled}
        value = 0.0
        if known:
            chosen = [names.index(v) for v in known]
            value += _log_normal(known, coefficients[chosen] @ d, cov[np.ix_(chosen, chosen)])
        known |= dict(zip(("1", *x_names, *stars), d, strict=True))
        if stars:
            return value + self._log_with_stars(row, effects, known, stars)
        for k in self.responses:
            if not np.isnan(row[k]):
                value += self._log_response(k, row, effects, known)
        return float(value)

    def _log_with_stars(
        self,
        row: Any,
        effects: Mapping[str, float],
        known: Mapping[str, float],
        stars: Mapping[str, float],
    ) -> float:
        """Log density of y* and of all responses."""
        names, R = self.responses, np.eye(len(self.responses))
        for r in self.blueprint.table.rows:
            if r.level == "within" and r.op == "~~" and r.lhs in names and r.lhs != r.rhs:
                i, j = names.index(r.lhs), names.index(r.rhs)
                R[i, j] = R[j, i] = self.value(r, effects)
        at = [names.index(k) for k in stars]
        e = {k: star - self._predictor(k, effects, known) for k, star in stars.items()}
        value = _log_normal(e, np.zeros(len(e)), R[np.ix_(at, at)])
        for k in names:
            if np.isnan(row[k]):
                continue
            if k in stars:
                ends = [-np.inf, *self._cuts(k, effects), np.inf]
                level = stars[k] + effects.get(k, 0.0)
                inside = ends[int(row[k])] < level < ends[int(row[k]) + 1]
                value += 0.0 if inside else -np.inf
                continue
            own = R[names.index(k), at]
            slope = np.linalg.solve(R[np.ix_(at, at)], own)
            shift, sd = slope @ np.array(list(e.values())), np.sqrt(1 - slope @ own)
            value += self._log_response(k, row, effects, known, shift, sd)
        return float(value)

    def _cuts(self, k: str, effects: Mapping[str, float]) -> list[float]:
        rows = self.blueprint.table.rows
        return [self.value(r, effects) for r in rows if r.op == "|" and r.lhs == k]

    def _predictor(
        self,
        k: str,
        effects: Mapping[str, float],
        known: Mapping[str, float],
        level: str = "within",
    ) -> float:
        """Linear predictor without the random intercept."""
        eta = 0.0
        for r in self.blueprint.table.rows:
            if r.level == level and r.op == "=~" and r.rhs == k:
                eta += self.value(r, effects) * known[r.lhs]
            if r.level == level and r.op == "~" and r.lhs == k:
                eta += self.value(r, effects) * known[r.rhs]
        return eta

    def _log_response(
        self,
        k: str,
        row: Any,
        effects: Mapping[str, float],
        known: Mapping[str, float],
        shift: float = 0.0,
        sd: float = 1.0,
        level: str = "within",
    ) -> float:
        table = self.blueprint.table
        eta, alpha = effects.get(k, 0.0) + self._predictor(k, effects, known, level), 0.0
        for r in table.rows:
            if r.level == level and r.op == "~~" and r.lhs == r.rhs == k:
                alpha = self.value(r, effects)
        kind, y, cuts = self.case.families[k], float(row[k]), self._cuts(k, effects)
        if cuts:
            cuts = [(cut - shift) / sd for cut in cuts]
            return _log_category(y, cuts, eta / sd, kind.split("(")[1][:-1])
        eta += np.log(row[self.case.exposure[k]]) if k in self.case.exposure else 0.0
        if kind == "poisson":
            return float(y * eta - np.exp(eta) - gammaln(y + 1))
        size = 1 / alpha
        both = np.logaddexp(np.log(size), eta)
        return float(
            gammaln(y + size) - gammaln(size) - gammaln(y + 1)
            + size * (np.log(size) - both) + y * (eta - both)
        )  # fmt: skip

    def cluster_density(self, j: int, b: Array, s: Array) -> float:
        """Log density of a cluster's data, effects and scores, rows in the order of the frame."""
        effects = dict(zip(self.effects, b, strict=True))
        design = ("1", *self.blueprint.observed.x_names, *self.case.carried)
        within = self._level("within", (*self.normal, *self.factors), design, effects)
        rows = self.rows_of(self.clusters[j])
        terms = [self.log_row(i, b, s_i, within) for i, s_i in zip(rows, s, strict=True)]
        return self.log_effects(j, b) + sum(terms)

    def density(self, b: Array, s: Array) -> float:
        """Log density of data, effects (J, n_b) and scores (N, q) in the order of the frame."""
        b = b if self.case.cluster else np.zeros((1, 0))
        return sum(
            self.cluster_density(j, b[j], s[self.rows_of(cluster)])
            for j, cluster in enumerate(self.clusters)
        )

    def joint(self, likelihood: Likelihood, t: Array, t_s: Array) -> float:
        """Log density of data and coordinates; the map is that of ``likelihood``."""
        assert likelihood.responses is not None
        x = np.ascontiguousarray(self.blueprint.extend_sampled(self.x))
        b, s = places(likelihood, x, t, t_s)
        in_frame = np.empty_like(s)
        in_frame[likelihood.responses.order] = s
        return self.density(b, in_frame) + log_volume(likelihood, x, t, t_s)


def places(likelihood: Likelihood, x: Array, t: Array, t_s: Array) -> tuple[Array, Array]:
    """Effects, and scores and latent responses, at coordinates."""
    b = likelihood.effects(x, t) if len(t) else np.zeros((1, 0))
    return b, likelihood.scores(x, b, t_s).sampled


def log_volume(likelihood: Likelihood, x: Array, t: Array, t_s: Array) -> float:
    """Log |d(b, s)/d(t_b, t_s)|: effects do not depend on t_s, nor rows on each other.

    Maps of effects and scores are linear, so that differences over a long step have no error but
    rounding. Those of latent responses are smooth: of five points over 4e-3, 1e-12.
    """
    total = 0.0
    b, _ = places(likelihood, x, t, t_s)
    if t.shape[1]:
        steps = np.eye(t.shape[1])
        slopes = [(likelihood.effects(x, t + h) - likelihood.effects(x, t - h)) / 2 for h in steps]
        total += np.linalg.slogdet(np.stack(slopes, axis=-1))[1].sum()
    if t_s.shape[1]:
        assert likelihood.responses is not None
        size = 1e-3 if likelihood.responses.template.carried else 1.0
        slopes = []
        for h in size * np.eye(t_s.shape[1]):
            far, near = (
                likelihood.scores(x, b, t_s + k * h).sampled
                - likelihood.scores(x, b, t_s - k * h).sampled
                for k in (2, 1)
            )
            slopes.append((8 * near - far) / 12 / size)
        total += np.linalg.slogdet(np.stack(slopes, axis=-1))[1].sum()
    return float(total)


@cache
def built(case: Augmented) -> tuple[bm.Model, pd.DataFrame]:
    frame = frame_of_responses(families=case.families, holes=case.holes)
    model = quiet_model(
        case.text, data=frame, cluster=case.cluster, families=dict(case.families),
        exposure=dict(case.exposure) or None,
    )  # fmt: skip
    return model, frame


def random_parameters(blueprint: Blueprint, seed: int) -> Array:
    """Sampled parameters around the starting point, inside their bounds."""
    bounds = support(blueprint)
    u = bounds.to_unconstrained(starting_point(blueprint))
    u = u + 0.3 * np.random.default_rng(seed).normal(size=len(u))
    return bounds.to_constrained(u)[0]


def informed_rows(blueprint: Blueprint, seed: int, *, given_z: bool) -> Blueprint:
    """Coordinates built on working weights and information that are random numbers."""
    rng, likelihood = np.random.default_rng(seed), blueprint.likelihood
    responses, (n_clusters, n) = likelihood.responses, likelihood.shape
    assert responses is not None
    seen = ~np.isnan(responses.y)
    weight, target = rng.uniform(0.2, 1.0, seen.shape) * seen, rng.normal(size=seen.shape) * seen
    carried = rng.normal(size=(len(seen), len(responses.template.carried)))
    likelihood = likelihood.with_working(weight, target, carried)
    seen_z = ~np.isnan(responses.z)
    working = rng.uniform(0.2, 1.0, seen_z.shape) * seen_z, rng.normal(size=seen_z.shape) * seen_z
    assert likelihood.responses is not None
    rows = likelihood.responses.with_cluster_working(*working)
    likelihood = replace(likelihood, responses=rows)
    if n_clusters:
        root = rng.normal(size=(n_clusters, n, n))
        z = blueprint.observed.normal_z if given_z else np.empty((n_clusters, 0))
        information, linear = root @ root.transpose(0, 2, 1), rng.normal(size=(n_clusters, n))
        likelihood = likelihood.with_approximation(Approximation(information, linear, n, z))
    return replace(blueprint, likelihood=likelihood)
