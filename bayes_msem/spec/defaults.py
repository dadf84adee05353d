"""From statements to the parameter table: lavaan's ``sem()`` defaults, at each level.

What is added to the formulas of the user (origin "default"):

1. *Scale of factors*: the first loading is fixed at 1; with ``std_lv`` the (residual) variance
   is fixed at 1 instead.
2. *Variances* of all modelled variables; 0 for the only indicator of a factor.
3. *Covariances* between exogenous factors, and between the residuals of outcomes that predict
   nothing and measure nothing.
4. *Intercepts* of observed variables: of split variables at level between, of within-only
   variables at level within. Means of factors are 0 and have no row unless written.
5. Covariates (x, w) are conditioned on and have no rows of their own.

Beyond lavaan:

6. *Modelled predictors*: exogenous predictors that are split, or that the user gave a variance,
   covariance or mean, covary with each other and with exogenous factors. They are also
   regressed on the covariates of their level. Reason: the likelihood is that of all modelled
   variables *given* the covariates. Without the regression the model would claim that a
   modelled predictor is independent of the covariates, and the false claim would bias the other
   coefficients. Regressing leaves the joint distribution of predictors and covariates
   unrestricted, as it is when both are conditioned on. (At level between this concerns the
   covariates written there; a level-1 covariate whose cluster means matter belongs in both
   blocks.)
7. *Random effects* have a mean, a variance, and covariances (of their residuals) with each
   other, and with factors and the observed variables of level 2 that measure nothing. A pair
   covaries if both are exogenous (as exogenous factors do) or if both predict nothing (as the
   residuals of outcomes do). So a random slope and the random intercept covary whether none,
   one or both have predictors, as in lme4, but not if one of them predicts something and the
   other has predictors: then a path usually stands for their association. Where coefficients
   vary, random intercepts (split variables) covary with each other by the same rule: a
   covariance matrix with zeros between intercepts alone is no one's hypothesis.
   ``random_covariances`` says less: "coefficients" leaves intercepts to points 3 and 6, and
   "none" also lets coefficients covary with nothing. A variable whose variance is fixed at 0
   gets no covariance.
8. *Outcomes that are not normal* have thresholds, fixed residual variances or dispersions
   (:mod:`bayes_msem.spec.outcome_rows`), and no default covariances of their residuals. Nor have
   outcomes whose residual log SD is predicted at level within (:mod:`bayes_msem.spec.log_sds`).
   In single-level models these log SDs have their intercepts there.
   (:mod:`bayes_msem.spec.outcome_rows`), and no default covariances of their residuals.
9. *Exploratory factors* (:mod:`bayes_msem.spec.exploratory`) have free loadings, (residual)
   variances of 1, and covary within their block: freely, or not if the rotation is orthogonal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, product
from typing import Literal

from bayes_msem.errors import SpecificationError
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.exploratory import read_blocks
from bayes_msem.spec.group_modifiers import refuse_by_group
from bayes_msem.spec.log_sds import check_log_sd_formulas, check_log_sds
from bayes_msem.spec.outcome_rows import Outcomes, check_outcome_rows, not_normal
from bayes_msem.spec.parameter_labels import UNNUMBERED, check_definitions, describe, resolve_labels
from bayes_msem.spec.random_checks import (
    check_random_effects,
    check_random_formulas,
    check_random_row,
)
from bayes_msem.spec.roles import (
    LevelUse,
    assign_roles,
    line,
    passing_through,
    random_names,
    uses_of,
)
from bayes_msem.spec.statements import Formula, ParsedModel
from bayes_msem.spec.table import Block, Kind, ParameterTable, Role, Row
from bayes_msem.spec.three_levels import check_three_levels

__all__ = ["Declared", "RandomCovariances", "build_table", "check_constant", "declare"]

RandomCovariances = Literal["all", "coefficients", "none"]
_MODELLED: tuple[Role, ...] = ("split", "within-only", "cluster-level")
_COVARIATES: tuple[Role, ...] = ("covariate", "cluster-level covariate")
_ORDER: dict[Kind, int] = {
    "loading": 0,
    "regression": 1,
    "variance": 2,
    "covariance": 2,
    "dispersion": 2,
    "intercept": 3,
    "threshold": 4,
}


def build_table(
    parsed: ParsedModel,
    columns: Sequence[str],
    *,
    cluster: str | None = None,
    std_lv: bool = False,
    random_covariances: RandomCovariances = "all",
    families: Mapping[str, Family] | None = None,
    categories: Mapping[str, int] | None = None,
    oblique: bool = True,
) -> ParameterTable:
    """Build the parameter table of a model text.

    Parameters
    ----------
    parsed
        The statements of the text.
    columns
        Columns of the data, which tell observed variables from unknown ones.
    cluster
        The column that identifies clusters; None for single-level models.
    std_lv
        Fix the (residual) variance of each factor at 1 and free its first loading.
    random_covariances
        Which covariances of random effects are free unless written (point 7): "all",
        "coefficients" or "none".
    families
        Families of outcomes; those without one are normal.
    categories
        Number of categories of each ordered outcome.
    oblique
        Whether exploratory factors of a block covary (point 9).

    Returns
    -------
    ParameterTable
        All rows, those of the user and those added by default, with the role of each variable.

    Raises
    ------
    SpecificationError
        If the text declares a model that makes no sense; the message says how to mend it.
    NotSupportedError
        For well-formed requests that cannot be fulfilled.
    """
    refuse_by_group(parsed)
    declared = declare(
        parsed,
        columns,
        cluster=cluster,
        std_lv=std_lv,
        random_covariances=random_covariances,
        families=families,
        categories=categories,
        oblique=oblique,
    )
    labels = [r.label for r in declared.rows if r.label]
    check_definitions(
        parsed.definitions, labels, declared.random, {*columns, *(v for _, v in declared.roles)}
    )
    reserved = {*declared.random, *(d.name for d in parsed.definitions)}
    numbered, constrained = resolve_labels(declared.rows, parsed.constraints, reserved=reserved)
    for row in numbered:
        check_constant(row)
    check_outcome_rows(numbered, declared.outcomes)
    defined = tuple(Row("", d.name, ":=", str(d.expression)) for d in parsed.definitions)
    table = ParameterTable(
        rows=(*numbered, *defined),
        roles=declared.roles,
        definitions=parsed.definitions,
        constraints=constrained,
        two_level=parsed.two_level,
        families=dict(declared.outcomes.families),
        cluster_levels=parsed.levels[1:] if parsed.three_level else (),
        blocks=declared.blocks,
    )
    check_random_effects(table)
    check_log_sds(table)
    if table.three_level:
        check_three_levels(table)
    return table


@dataclass(frozen=True, slots=True)
class Declared:
    """The rows of a model before labels are resolved and free rows numbered.

    Attributes
    ----------
    rows
        In table order; ``free`` is 0 or ``UNNUMBERED``.
    roles
        (level, variable) -> role.
    random
        Names given in ``rv()``.
    outcomes
        Outcomes that are not normal.
    blocks
        Of exploratory factors.
    """

    rows: tuple[Row, ...]
    roles: dict[tuple[str, str], Role]
    random: tuple[str, ...]
    outcomes: Outcomes
    blocks: tuple[Block, ...]


def declare(
    parsed: ParsedModel,
    columns: Sequence[str],
    *,
    cluster: str | None = None,
    std_lv: bool = False,
    random_covariances: RandomCovariances = "all",
    families: Mapping[str, Family] | None = None,
    categories: Mapping[str, int] | None = None,
    oblique: bool = True,
) -> Declared:
    """Give every variable its role and write all rows; arguments as for :func:`build_table`."""
    roles = assign_roles(parsed, columns, cluster=cluster)
    outcomes = Outcomes(not_normal(families, roles), categories or {}, roles)
    random = random_names(parsed)
    check_random_formulas(parsed)
    check_log_sd_formulas(parsed, columns)
    _check_duplicates(parsed)
    blocks = read_blocks(parsed)
    rows: list[Row] = []
    passing = passing_through(parsed) if parsed.three_level else ()
    for i, use in enumerate(uses_of(parsed)):
        level = _Level(
            use=use,
            roles=roles,
            formulas=parsed.formulas,
            std_lv=std_lv,
            random_covariances=random_covariances,
            outcomes=outcomes,
            above=parsed.levels[i + 1 :] if parsed.two_level else (),
            random=tuple(random),
            passing=passing if i == 1 else (),
            exploratory=_Exploratory(tuple(b for b in blocks if b.level == use.level), oblique),
        )
        rows += level.rows()
    for name in sorted({r.label for r in rows if r.label} & set(random)):
        raise SpecificationError(
            f"'{name}' is used as a label and as the name of a random effect; rename one of them"
        )
    return Declared(tuple(rows), roles, tuple(random), outcomes, blocks)


@dataclass(frozen=True, slots=True)
class _Exploratory:
    """Blocks of exploratory factors of one level, and whether their factors covary."""

    blocks: tuple[Block, ...]
    oblique: bool

    def __contains__(self, name: str) -> bool:
        return any(name in block.factors for block in self.blocks)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield the pairs of factors of a block."""
        return chain.from_iterable(combinations(block.factors, 2) for block in self.blocks)


@dataclass(frozen=True, slots=True)
class _Level:
    """The rows of one level.

    ``above`` are the levels above it, ``random`` the names in ``rv()`` anywhere, and ``passing``
    its variables that stand at the levels around it only: their part here has variance 0.
    """

    use: LevelUse
    roles: dict[tuple[str, str], Role]
    formulas: tuple[Formula, ...]
    std_lv: bool
    random_covariances: RandomCovariances
    outcomes: Outcomes
    above: tuple[str, ...]
    random: tuple[str, ...]
    passing: tuple[str, ...]
    exploratory: _Exploratory

    def rows(self) -> list[Row]:
        """Return the rows in table order; free rows are not numbered yet."""
        level = self.use.level
        mine = [f for f in self.formulas if f.level == level]
        written = [self._user_row(f) for f in mine]
        taken = {_coordinate(r) for r in written}
        added = chain(
            self._regressions(),
            self._variances(),
            self._covariances(),
            self._intercepts(),
            self._thresholds(),
        )
        defaults: list[Row] = []
        for row in added:
            if _coordinate(row) not in taken:
                taken.add(_coordinate(row))
                defaults.append(row)
        place = {t: i for i, t in enumerate(self.outcomes.thresholds(level, self._observed()))}
        return sorted(
            written + defaults, key=lambda r: (_ORDER[r.kind], place.get((r.lhs, r.rhs), 0))
        )

    def _role(self, name: str) -> Role:
        return self.roles[self.use.level, name]

    def _with_role(self, *roles: Role) -> list[str]:
        return [v for v in self.use.names if self._role(v) in roles]

    def _user_row(self, formula: Formula) -> Row:
        m = formula.term.modifiers
        row = Row(
            level=formula.level,
            lhs=formula.lhs,
            op=formula.op,
            rhs=formula.term.name,
            label=m.label or "",
            free=UNNUMBERED,
            value=math.nan if m.start is None else m.start,
            prior=m.prior or "",
            random=m.random or "",
        )
        if row.kind == "threshold":
            self.outcomes.check_threshold(row, line(formula))
        residual = self.outcomes.residual_row(row, m, line(formula))
        if residual is not None:
            return residual
        if m.random is not None:
            check_random_row(formula, row, self.use, self.formulas, std_lv=self.std_lv)
            return replace(row, free=0)
        constant = m.fixed
        if constant is None and not m.free:
            constant = self._scale_constant(row)
        if constant is not None:
            _check_no_modifier(row, constant, line(formula))
            row = replace(row, free=0, value=constant)
        self._check_within_intercept(row, line(formula))
        return row

    def _scale_constant(self, row: Row) -> float | None:
        """Return 1 for rows that carry the scale of a factor, although the user wrote them."""
        if row.lhs in self.exploratory:
            return 1.0 if row.kind == "variance" else None
        if row.kind == "loading" and not self.std_lv:
            return 1.0 if row.rhs == self.use.measured[row.lhs][0] else None
        if row.kind == "variance" and self.std_lv:
            return 1.0 if row.lhs in self.use.factors else None
        return None

    def _check_within_intercept(self, row: Row, at: str) -> None:
        # A split variable is a sum of two parts; only the sum of their means is identified.
        if row.kind != "intercept" or row.lhs in self.use.factors:
            return
        top = self._level_above(row.lhs)
        if top and (row.free or row.value != 0):
            several = (
                "both levels" if self.above == ("between",) else f"levels {row.level} and {top}"
            )
            raise SpecificationError(
                f"'{row.lhs} ~ 1' at level {row.level} {at}: '{row.lhs}' is used at {several}, so "
                f"its mean belongs to level {top}; write '{row.lhs} ~ 1' there"
            )

    def _level_above(self, name: str) -> str:
        """Name the highest level above this one at which a variable stands; empty if none."""
        found = [level for level in self.above if (level, name) in self.roles]
        return found[-1] if found else ""

    def _default(self, lhs: str, op: str, rhs: str, constant: float | None = None) -> Row:
        free, value = (UNNUMBERED, math.nan) if constant is None else (0, constant)
        return Row(self.use.level, lhs, op, rhs, free=free, value=value, origin="default")

    def _modelled_predictors(self) -> list[str]:
        return [
            v
            for v in self._with_role(*_MODELLED)
            if v in self.use.predictors and self.use.is_exogenous(v)
        ]

    def _regressions(self) -> Iterator[Row]:
        """Point 6 of the module's list: conditioning on covariates must stay right."""
        pairs = product(self._modelled_predictors(), self._with_role(*_COVARIATES))
        return (self._default(v, "~", x) for v, x in pairs)

    def _observed(self) -> list[str]:
        """Return modelled observed variables in lavaan's order: indicators, outcomes, others."""
        first = [*self.use.indicators, *self.use.outcomes]
        return sorted(
            self._with_role(*_MODELLED), key=lambda v: first.index(v) if v in first else len(first)
        )

    def _variances(self) -> Iterator[Row]:
        single = self._single_indicators()
        for v in (*self._observed(), *self.use.factors, *self._with_role("random effect")):
            constant = 0.0 if v in self.passing else None
            family = self.outcomes.at(self.use.level, v)
            if family is not None:
                yield from self._residual(v, family)
                continue
            if v in single:
                constant = 0.0
            elif (self.std_lv and v in self.use.factors) or v in self.exploratory:
                constant = 1.0
            yield self._default(v, "~~", v, constant)

    def _residual(self, name: str, family: Family) -> Iterator[Row]:
        """Point 8: what an outcome that is not normal has in place of a residual variance."""
        if family.has_dispersion:
            yield replace(self._default(name, "~~", name), is_dispersion=True)
        elif family.has_thresholds:
            yield self._default(name, "~~", name, family.residual_variance)

    def _thresholds(self) -> Iterator[Row]:
        named = self.outcomes.thresholds(self.use.level, self._observed())
        return (self._default(v, "|", t) for v, t in named)

    def _single_indicators(self) -> set[str]:
        """Return indicators that alone measure their factor: their residual has no variance."""
        loads_on = [v for vs in self.use.measured.values() for v in vs]
        only = {vs[0] for vs in self.use.measured.values() if len(vs) == 1}
        random = set(self._with_role("random effect"))
        return {v for v in only - random if loads_on.count(v) == 1}

    def _covariances(self) -> Iterator[Row]:
        use = self.use
        factors = [f for f in use.factors if use.is_exogenous(f)]
        predictors = self._modelled_predictors()
        outcomes = [
            v
            for v in (*use.factors, *use.outcomes)
            if v in use.outcomes and use.is_childless(v) and not self.outcomes.at(use.level, v)
            if use.level == "between" or v not in self._log_sds()
        ]
        inside = None if self.exploratory.oblique else 0.0
        for v, w in self.exploratory.pairs():  # first, so that other defaults do not name them
            yield self._default(v, "~~", w, inside)
        pairs = chain(
            combinations([*factors, *predictors], 2),
            combinations(dict.fromkeys(outcomes), 2),
            self._random_pairs(),
        )
        apart = self._coefficients() if self.random_covariances == "none" else []
        for v, w in pairs:
            if v not in apart and w not in apart:
                yield self._default(v, "~~", w)

    def _coefficients(self) -> list[str]:
        """Return the random effects of this level, and the parts of those of the level below."""
        own = self._with_role("log SD")
        return [
            v for v in self.use.names if v in self.random and v not in (*self.use.factors, *own)
        ]

    def _log_sds(self) -> set[str]:
        """Return log SDs with predictors at this level, and the outcomes that have them."""
        names = set(self._with_role("log SD"))
        return names | {f.lhs for f in self.formulas if f.term.modifiers.random in names}

    def _random_pairs(self) -> Iterator[tuple[str, str]]:
        """Point 7 of the module's list."""
        use = self.use
        random = self._coefficients()
        if not random:
            return
        others = [v for v in use.names if self._role(v) not in _COVARIATES and v not in random]
        others = [v for v in others if not self.outcomes.at(use.level, v)]
        intercepts = self._with_role("split") if self.random_covariances == "all" else []
        intercepts = [v for v in intercepts if v not in random]
        constant = self._constants()
        for v, r in chain(
            combinations(intercepts, 2), product(others, random), combinations(random, 2)
        ):
            exogenous = use.is_exogenous(v) and use.is_exogenous(r)
            childless = use.is_childless(v) and use.is_childless(r)
            if (exogenous or childless) and not constant & {v, r}:
                yield v, r

    def _constants(self) -> set[str]:
        """Return the variables whose (residual) variance is fixed at 0 by the text, or passing."""
        return {*self.passing} | {
            f.lhs
            for f in self.formulas
            if f.level == self.use.level and f.op == "~~" and f.lhs == f.term.name
            if f.term.modifiers.fixed == 0
        }

    def _intercepts(self) -> Iterator[Row]:
        scale = self._scale_of_random_variances()
        alone = () if self.above else ("log SD",)
        for v in (*self._observed(), *self._with_role("random effect", *alone)):
            # The highest part of a split variable carries the mean of all.
            if not self._level_above(v):
                zero = v in scale or self.outcomes.has_thresholds(self.use.level, v)
                yield self._default(v, "~", "1", 0.0 if zero else None)

    def _scale_of_random_variances(self) -> set[str]:
        # std_lv fixes a factor's variance at 1; if it varies, its log SD has mean 0 instead, and
        # NA* frees either.
        if not self.std_lv:
            return set()
        factors = {v for (_, v), r in self.roles.items() if r == "within factor"}
        return {
            f.term.modifiers.random
            for f in self.formulas
            if f.term.modifiers.random and f.op == "~~" and f.lhs == f.term.name in factors
            if not f.term.modifiers.free
        }


def _coordinate(row: Row) -> tuple[str, str, str, frozenset[str] | str]:
    """Key under which `x ~~ y` and `y ~~ x` are one coordinate."""
    if row.op == "~~":
        return (row.level, "", row.op, frozenset({row.lhs, row.rhs}))
    return row.key


def _check_no_modifier(row: Row, constant: float, at: str) -> None:
    """Refuse a prior or starting value on a constant."""
    given = "a prior" if row.prior else "" if math.isnan(row.value) else "a starting value"
    if given:
        free = f"NA*{row.rhs}" if row.kind == "loading" else f"NA*{row.lhs}"
        raise SpecificationError(
            f"{describe(row)} {at} has {given}, but it is fixed at {constant:g} (it may set the "
            f"scale of a factor); free it with '{free}' and fix the scale elsewhere, or remove "
            f"{given}"
        )


def check_constant(row: Row) -> None:
    """Raise SpecificationError if a variance is fixed at a negative number."""
    if row.kind == "variance" and row.free == 0 and row.value < 0:
        raise SpecificationError(
            f"the variance {describe(row)} is fixed at {row.value:g}; a variance is at least 0"
        )


def _check_duplicates(parsed: ParsedModel) -> None:
    seen: dict[tuple[str, str, str, frozenset[str] | str], Formula] = {}
    for f in parsed.formulas:
        row = Row(f.level, f.lhs, f.op, f.term.name)
        first = seen.setdefault(_coordinate(row), f)
        if first is not f:
            raise SpecificationError(
                f"{describe(row)} is written twice (lines {first.span.line} and "
                f"{f.span.line}); keep one and join its modifiers, e.g. 'a*start(0.5)*x'"
            )
