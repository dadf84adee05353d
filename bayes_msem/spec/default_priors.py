"""Default priors: weakly informative, in the units of the data.

With s_v the scale of variable v at the level of the row (its standard deviation; see
:class:`Units`), mean_v its grand mean, and HalfT a half Student t:

=====================  ==========================  ==============================================
row                    prior                       remark
=====================  ==========================  ==============================================
intercept              Normal(mean, 2.5 s)         s = sqrt(within^2 + between^2) for split
                                                   variables; wider where predictors have a
                                                   mean other than 0, see below
latent mean            Normal(0, 2.5 s_f)
loading                Normal(r, r), r = s_k/s_f   1 in units of the marker; -r for a marker
                                                   fixed at a negative number
loading, std_lv        Normal(0, r)                first one HalfNormal(r): fixes the sign
loading, efa()         Normal(0, r)                of all factors; paths normal at level between too
regression             Normal(0, 2.5 s_y/s_x)
SD, within             HalfT(4, s)[sd]             also in single-level models
SD, between            HalfNormal(s)[sd]           variables, factors and random effects
correlation            lkj(2)[cor]
covariance             Normal(0, s_i s_j/2)[cov]   patterns that are not positive definite by
                                                   construction
thresholds             dirichlet(1, sd=S)          of an outcome together
dispersion             HalfNormal(1)               of a negative binomial count
log rate               Normal(log mean, 1.5)       intercept of a count, with its exposure
slope on a log rate    Normal(0, 1/s_x)
slope on a log SD      Normal(0, 0.5/s_x)          at level within (location-scale models)
=====================  ==========================  ==============================================

Random effects have the scale of what varies: a random slope s_y/s_x, a random loading r/2, a
random intercept s_b, with means like the coefficients they replace. Loadings get half of r because
they vary around r, the mean they are expected to have: with a standard deviation of r, every sixth
cluster would load negatively, and the indicators would not measure one thing. A random variance is
a log standard deviation with mean Normal(log s_w, 1) and scale 0.5 (one between-level SD changes
the residual SD by a factor 1.6); a random covariance is a Fisher z with mean Normal(0, 0.5) and
scale 0.3.

Latent responses of ordered outcomes, and log rates, have scales of their own:
:mod:`bayes_msem.spec.threshold_priors`.

The set "informative" (:mod:`bayes_msem.spec.prior_sets`), which a simulation study recommends
(``docs/prior_study.md``), has other priors of level between: t(4, 0, s_y/(s_x sqrt(K))) for slopes
of an outcome with K predictors, Gamma(2, 2/s) for SDs of split variables that predict others, and
half the scale for SDs of random slopes.

Why these: 2.5 standard deviations cover every plausible standardised coefficient and mean, as in
Gelman et al. (2008) and rstanarm. Half-normal and half-t priors on standard deviations do not
pile up mass near 0 as inverse-gamma priors do, and allow 0, unlike Wishart priors (Gelman 2006);
between-level SDs get the lighter tail because with few clusters the likelihood hardly bounds them
from above, while s_b, which contains within-cluster noise, does. lkj(2) is flat around 0 and
vanishes at -1 and 1, which keeps modes off the boundary (Lewandowski et al. 2009).

The intercept is the expected value at predictors of 0, which may lie far from any data (a
calendar year). Where a predictor has mean m and prior slope Normal(0, t), the intercept's
standard deviation is therefore sqrt((2.5 s)^2 + (t m)^2 + ...): the same belief about the mean of
the outcome as with a centred predictor. A slope that is fixed at c moves the prior's mean by -c m.

Arguments are rounded to 4 digits *before* use, so that the printed prior is the prior.

References
----------
Gelman, A. (2006). Prior distributions for variance parameters in hierarchical models. Bayesian
Analysis, 1(3), 515-534. https://doi.org/10.1214/06-BA117A

Gelman, A., Jakulin, A., Pittau, M. G., & Su, Y.-S. (2008). A weakly informative default prior
distribution for logistic and other regression models. Annals of Applied Statistics, 2(4),
1360-1383. https://doi.org/10.1214/08-AOAS191

Lewandowski, D., Kurowicka, D., & Joe, H. (2009). Generating random correlation matrices based on
vines and extended onion method. Journal of Multivariate Analysis, 100(9), 1989-2001.
https://doi.org/10.1016/j.jmva.2009.04.008
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from bayes_msem.errors import DataError
from bayes_msem.spec.covariance import covariance_blocks
from bayes_msem.spec.prior_sets import DEFAULT_SET, PRIOR_SETS, PriorSet, PriorSetName
from bayes_msem.spec.prior_text import Prior, Scale
from bayes_msem.spec.table import Kind, ParameterTable, Row, RowKey
from bayes_msem.spec.threshold_priors import default_threshold_prior, latent_sd, latent_unit
from bayes_msem.spec.variable_scales import Scales

__all__ = ["Units", "default_priors"]

# Cluster means of a variable that was centred within clusters vary by rounding error only. A
# between SD below a tenth of the within SD (an ICC of 0.01) is no scale to build priors on.
_SMALLEST_BETWEEN = 0.1
# Scales of random effects: of a loading in units of its expected value, of a log SD, of a z.
_LOADING_SCALE = 0.5
_LOG_SD_SCALE = 0.5
_FISHER_Z_SCALE = 0.3
_LOG_RATE_SCALE = 1.5


def default_priors(
    table: ParameterTable, scales: Scales, named: PriorSetName = DEFAULT_SET
) -> dict[int, Prior]:
    """Give every free parameter its default prior.

    Parameters
    ----------
    table
        The parameter table; its ``prior`` column is ignored.
    scales
        Location and scale of the observed variables.
    named
        Which set of defaults.

    Returns
    -------
    dict
        Prior by free number. Parameters shared by several rows (equal labels) get the prior of
        the first of them.

    Raises
    ------
    DataError
        A variable of the model has no positive, finite scale.
    """
    units = Units(table, scales, PRIOR_SETS[named])
    direct = {
        (level, frozenset(edge))
        for level in table.levels
        for block in covariance_blocks(table, level)
        if block.pattern == "direct"
        for edge in block.edges
    }
    priors: dict[int, Prior] = {}
    for row in table.rows:
        if not row.free or row.free in priors:
            continue
        if row.kind == "covariance" and (row.level, frozenset((row.lhs, row.rhs))) not in direct:
            priors[row.free] = Prior("lkj", (2.0,), "cor")
        else:
            priors[row.free] = _RULES[row.kind](row, units)
    return priors


class Units:
    """Scales of all variables of a model, observed or not, at their level.

    Observed variables have the scale of the data. A factor has the square root of its fixed
    variance (its fixed typical SD if the variance is random), or the scale of its marker divided
    by the fixed loading; without either, that of the loading it shares with another factor by a
    label, or else of its first indicator. Markers can be factors themselves. A random effect has
    the scale of what varies.

    Parameters
    ----------
    table
        The parameter table.
    scales
        Location and scale of the observed variables.
    rules
        What differs between sets of defaults.
    """

    def __init__(
        self, table: ParameterTable, scales: Scales, rules: PriorSet = PRIOR_SETS[DEFAULT_SET]
    ) -> None:
        self.rules = rules
        self._table = table
        self._scales = scales
        self._known: dict[tuple[str, str], float] = {}
        self._open: set[tuple[str, str]] = set()
        self._random = {r.random: r for r in reversed(table.rows) if r.random}
        self._means = {
            r.lhs: r for r in table.rows if r.kind == "intercept" and r.lhs in self._random
        }
        self._anchors = self._find_anchors()

    def of(self, level: str, name: str) -> float:
        """Scale of one variable at one level, in its own units."""
        key = (level, name)
        if key in self._open:
            return 1.0  # labels that lead back to the same factor: any unit will do
        if key not in self._known:
            self._open.add(key)
            self._known[key] = self._measure(level, name)
            self._open.discard(key)
        return self._known[key]

    def loading(self, row: Row) -> float:
        """Scale of the indicator in units of the factor."""
        return self.of(row.level, row.rhs) / self.of(row.level, row.lhs)

    def slope(self, row: Row) -> float:
        """Scale of the outcome in units of the predictor."""
        return self.of(row.level, row.lhs) / self.of(row.level, row.rhs)

    def reach(self, row: Row) -> float:
        """Scale of the prior of a slope; one unit of a log rate, half a one of a log SD within."""
        own_log_sd = self._table.roles.get((row.level, row.lhs)) == "log SD"
        if own_log_sd or self.is_count(row.lhs):
            return self.slope(row)
        if row.level == "within":
            return 2.5 * self.slope(row)
        share = math.sqrt(self._n_predictors(row)) if self.rules.splits else 1.0
        return self.rules.slope * self.slope(row) / share

    def _n_predictors(self, row: Row) -> int:
        """How many slopes, free or random, the outcome has at the level of this one."""
        same = (row.level, row.lhs, row.kind)
        rows = (r for r in self._table.rows if r.free or r.random)
        return sum((r.level, r.lhs, r.kind) == same for r in rows)

    def is_split_predictor(self, level: str, name: str) -> bool:
        """Whether the part of a split variable at a level above within predicts another there."""
        if self._table.roles.get((level, name)) != "split":
            return False
        rows = self._table.rows
        return any(r.level == level and r.kind == "regression" and r.rhs == name for r in rows)

    def is_exploratory(self, row: Row) -> bool:
        """Whether the row is a loading or path of an exploratory factor."""
        return any(block.touches(row) for block in self._table.blocks)

    def is_count(self, name: str) -> bool:
        """Whether the outcome is modelled by a log rate."""
        family = self._table.families.get(name)
        return family is not None and family.is_count

    def threshold(self, row: Row, scale: float) -> Prior:
        """Return the default prior of a threshold."""
        return default_threshold_prior(self._table, row, scale)

    def sign(self, row: Row) -> int:
        """Sign of the factor's marker, 0 if the factor has none."""
        marker = self._marker(row.level, row.lhs)
        return int(math.copysign(1, marker.value)) if marker else 0

    def is_anchor(self, row: Row) -> bool:
        """Whether this loading is the one that fixes the sign of its factor."""
        return row.key in self._anchors

    def varies(self, name: str) -> Row | None:
        """Row of the coefficient that varies over clusters under this name."""
        return self._random.get(name)

    def total(self, level: str, name: str) -> float:
        """Overall standard deviation of a variable: both parts of a split variable together."""
        if name in self._table.families:
            return latent_sd(self._table, name)
        if self._table.roles.get((level, name)) != "split":
            return self.of(level, name)
        parts = [place for place in self._table.levels if (place, name) in self._table.roles]
        above = (self._of_data(place).get(name, 0.0) for place in parts[1:])
        return math.hypot(self.of(parts[0], name), *above)

    def centre(self, level: str, name: str) -> float:
        """Where the mean of a variable is expected a priori."""
        role = self._table.roles.get((level, name))
        if role == "log SD":
            return self._centre_of_effect(name)
        if role is None or role.endswith("factor"):
            return 0.0
        if self._table.mean_level(name) != level:
            return 0.0  # a deviation from the mean of its unit at a level above
        if name in self._random:
            return self._centre_of_effect(name)
        return self._scales.mean.get(name, 0.0)

    def predictors(self, level: str, name: str) -> list[Row]:
        """Regressions that move the mean of a variable away from its intercept."""
        rows = [r for r in self._table.rows if r.kind == "regression" and r.lhs == name]
        own = [r for r in rows if r.level == level]
        levels = self._table.levels
        below = levels[: levels.index(level)] if level in levels else ()
        covariates = [
            r
            for r in rows
            if r.level in below and "covariate" in self._table.roles.get((r.level, r.rhs), "")
        ]
        return own + covariates

    def _measure(self, level: str, name: str) -> float:
        role = self._table.roles.get((level, name))
        if name in self._table.families:
            return latent_unit(self._table.families[name])
        if role in ("within factor", "between factor"):
            return self._of_factor(level, name)
        if name in self._random:
            return self._of_effect(name)
        if role in ("covariate", "cluster-level covariate"):
            return self._checked(self._scales.predictor.get(name), name)
        if role == "split" and level != "within":
            floor = _SMALLEST_BETWEEN * self._below(level, name)
            return max(self._of_data(level).get(name, 0.0), floor)
        return self._checked(self._of_data(level).get(name), name)

    def _of_data(self, level: str) -> Mapping[str, float]:
        """Return the standard deviations of the data at a level."""
        if level == "within":
            return self._scales.within
        is_third = self._table.three_level and level == self._table.levels[2]
        return self._scales.top if is_third else self._scales.between

    def _below(self, level: str, name: str) -> float:
        """Scale of a split variable at the next level below another, in the data."""
        below = self._table.levels[self._table.levels.index(level) - 1]
        if below == "within":
            return self._checked(self._scales.within.get(name), name)
        return self.of(below, name)

    def _checked(self, value: float | None, name: str) -> float:
        if value is None or not math.isfinite(value) or value <= 0:
            raise DataError(
                f"no default prior without a scale: the standard deviation of '{name}' is "
                f"{value}, but must be positive; check that the variable varies in the data"
            )
        return value

    def _of_factor(self, level: str, name: str) -> float:
        for row in self._table.rows:
            if row.key != (level, name, "~~", name) or row.free:
                continue
            mean = self._means.get(row.random)
            if row.random and mean and not mean.free and not math.isnan(mean.value):
                return math.exp(mean.value)
            if row.value > 0:
                return math.sqrt(row.value)
        marker = self._marker(level, name)
        if marker:
            return self.of(level, marker.rhs) / abs(marker.value)
        loadings = self._loadings(level, name)
        for row in loadings:
            first = next(r for r in self._table.rows if r is row or r.free == row.free > 0)
            if first.kind == "loading" and (first.level, first.lhs) != (level, name):
                return self.of(level, row.rhs) / self.loading(first)
        return self.of(level, loadings[0].rhs) if loadings else 1.0

    def _of_effect(self, name: str) -> float:
        row = self._random[name]
        if row.kind == "variance":
            return _LOG_SD_SCALE
        if row.kind == "covariance":
            return _FISHER_Z_SCALE
        if row.kind == "intercept":
            between = self._scales.between.get(row.lhs)
            return self.of(row.level, row.lhs) if between is None else between
        if row.kind == "loading":
            return _LOADING_SCALE * self.loading(row)
        return self.slope(row)

    def _centre_of_effect(self, name: str) -> float:
        row = self._random[name]
        if row.kind == "variance":
            return math.log(self.of(row.level, row.lhs))
        if row.kind == "loading":
            return self.sign(row) * self.loading(row)
        if row.kind == "intercept":
            return self._scales.mean.get(row.lhs, 0.0)
        return 0.0

    def _loadings(self, level: str, factor: str) -> list[Row]:
        """List the loadings of a factor that are not fixed at 0."""
        rows = [r for r in self._table.rows if (r.level, r.lhs, r.op) == (level, factor, "=~")]
        return [r for r in rows if r.free or r.random or r.value != 0]

    def _marker(self, level: str, factor: str) -> Row | None:
        """Return the first loading that is fixed, or whose mean over clusters is."""
        for row in self._loadings(level, factor):
            mean = self._means.get(row.random, row) if row.random else row
            if not mean.free and mean.value and not math.isnan(mean.value):
                return replace(row, value=mean.value)
        return None

    def _moves(self, name: str) -> bool:
        """Whether a random coefficient has predictors."""
        return bool(self.predictors(self._table.mean_level(name), name))

    def _is_in_block(self, level: str, factor: str) -> bool:
        return any(b.level == level and factor in b.factors for b in self._table.blocks)

    def _find_anchors(self) -> set[RowKey]:
        """Keys of the loadings that fix the sign of their factor.

        The first free loading of each factor without a marker. A random loading serves only if
        there is no other and it has no predictors, for then its intercept is not its mean.
        """
        anchors: set[RowKey] = set()
        factors = dict.fromkeys((r.level, r.lhs) for r in self._table.rows if r.op == "=~")
        for level, factor in factors:
            if self._marker(level, factor) or self._is_in_block(level, factor):
                continue
            rows = self._loadings(level, factor)
            random = [r for r in rows if r.random and not self._moves(r.random)]
            candidates = [r for r in rows if r.free] + random
            anchors |= {r.key for r in candidates[:1]}
        return anchors


def _loading(row: Row, units: Units) -> Prior:
    ratio = units.loading(row)
    sign = units.sign(row)
    if sign:
        return _normal(sign * ratio, ratio)
    return _half_normal(ratio, "") if units.is_anchor(row) else _normal(0.0, ratio)


def _regression(row: Row, units: Units) -> Prior:
    freedom = units.rules.freedom
    spherical = units.is_exploratory(row)  # a prior that no rotation changes
    if row.level != "within" and freedom and not units.is_count(row.lhs) and not spherical:
        return Prior("studentt", (freedom, 0.0, _rounded(units.reach(row))))
    return _normal(0.0, units.reach(row))


def _intercept(row: Row, units: Units) -> Prior:
    varying = units.varies(row.lhs)
    if varying is None:
        total = units.total(row.level, row.lhs)
        spread = _LOG_RATE_SCALE if units.is_count(row.lhs) else 2.5 * total
    elif varying.kind == "loading":
        if units.is_anchor(varying):
            return _half_normal(units.loading(varying), "")
        spread = units.loading(varying)
    elif varying.kind == "regression":
        spread = units.reach(varying)
    elif varying.kind == "intercept":
        spread = 2.5 * units.total(varying.level, varying.lhs)
    else:
        spread = {"variance": 1.0, "covariance": 0.5}[varying.kind]
    return _normal(*_widened(row, units, spread))


def _threshold(row: Row, units: Units) -> Prior:
    centre, spread = _widened(row, units, units.total(row.level, row.lhs))
    return units.threshold(row, math.hypot(centre, spread))


def _widened(row: Row, units: Units, spread: float) -> tuple[float, float]:
    """Mean and SD of an intercept, given the spread of the outcome's mean."""
    centre = units.centre(row.level, row.lhs)
    variance = spread**2
    for slope in units.predictors(row.level, row.lhs):
        mean = units.centre(slope.level, slope.rhs)
        if slope.free or slope.random:
            variance += (units.reach(slope) * mean) ** 2
        elif not math.isnan(slope.value):
            centre -= slope.value * mean
    return centre, math.sqrt(variance)


def _variance(row: Row, units: Units) -> Prior:
    scale = units.of(row.level, row.lhs)
    if row.level != "within":
        if units.rules.avoids_zero and units.is_split_predictor(row.level, row.lhs):
            return Prior("gamma", (2.0, _rounded(2 / scale)), "sd")
        varying = units.varies(row.lhs)
        if varying is not None and varying.kind == "regression":
            scale *= units.rules.slope_effect
        return _half_normal(scale, "sd")
    return Prior("halfstudentt", (4.0, _rounded(scale)), "sd")


def _covariance(row: Row, units: Units) -> Prior:
    scale = 0.5 * units.of(row.level, row.lhs) * units.of(row.level, row.rhs)
    return Prior("normal", (0.0, _rounded(scale)), "cov")


_RULES: dict[Kind, Callable[[Row, Units], Prior]] = {
    "loading": _loading,
    "regression": _regression,
    "intercept": _intercept,
    "variance": _variance,
    "covariance": _covariance,
    "threshold": _threshold,
    "dispersion": lambda row, units: _half_normal(1.0, ""),
}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _normal(mu: float, sigma: float) -> Prior:
    """Round the arguments; the mean keeps two digits below sigma's first."""
    sigma = _rounded(sigma)
    places = 2 - math.floor(math.log10(sigma))
    coarse, fine = _rounded(mu), round(mu, places)
    closer = coarse if abs(coarse - mu) <= abs(fine - mu) else fine
    return Prior("normal", (closer, sigma))


def _half_normal(sigma: float, scale: Scale) -> Prior:
    return Prior("halfnormal", (_rounded(sigma),), scale)
