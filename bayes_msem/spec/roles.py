"""Variable roles: what each variable is, read from how the formulas use it.

A variable's role follows from where it is written, as in lavaan:

========================  ==================================================================
role                      use
========================  ==================================================================
split                     observed, written at both levels: latent within + between part
covariate                 observed, level 1 only, nothing but a predictor: conditioned on (x)
within-only               observed, level 1 only, any other use; every modelled variable of a
                          single-level model
cluster-level covariate   observed, level 2 only, nothing but a predictor: conditioned on (w)
cluster-level             observed, level 2 only, any other use: modelled
within / between factor   stands left of ``=~`` at that level
random effect             named in ``rv()`` at level 1: a variable of level 2
log SD                    named in ``rv()`` of a residual variance, and left of ``~`` at level 1
========================  ==================================================================

"Any other use" is being an outcome or an indicator, or standing in ``~~``, ``~ 1`` or ``|``: who
writes a variance, covariance, mean or threshold of a predictor asks for a model of it.

**Three levels.** What level 2 is to level 1, level 3 is to level 2. A variable that stands at
several levels is split: it has a part at each of them, and its mean at the highest. At its lowest
level it is modelled, and keeps the name of what it is there (split, cluster-level, random effect);
above, each part is "split". A variable of levels 1 and 3 has a part at level 2 too, with variance
0. A coefficient with ``rv()`` at level 2 is a random effect of level 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.spec.statements import Formula, Level, ParsedModel
from bayes_msem.spec.table import Role

__all__ = [
    "LevelUse",
    "assign_roles",
    "level_use",
    "line",
    "log_sd_names",
    "passing_through",
    "random_names",
    "uses_of",
]


@dataclass(frozen=True, slots=True)
class LevelUse:
    """How the formulas of one level use each variable; all names in order of appearance."""

    level: Level
    names: tuple[str, ...]
    measured: dict[str, tuple[str, ...]]  # factor -> its indicators
    outcomes: tuple[str, ...]
    predictors: tuple[str, ...]
    covarying: tuple[str, ...]  # written in `~~`, `~ 1` or `|`

    @property
    def factors(self) -> tuple[str, ...]:
        """Variables left of ``=~``."""
        return tuple(self.measured)

    @property
    def indicators(self) -> tuple[str, ...]:
        """Variables right of ``=~``."""
        return tuple(dict.fromkeys(v for vs in self.measured.values() for v in vs))

    def is_exogenous(self, name: str) -> bool:
        """Whether nothing points at the variable."""
        return name not in self.outcomes and name not in self.indicators

    def is_childless(self, name: str) -> bool:
        """Whether the variable predicts nothing and is no indicator."""
        return name not in self.predictors and name not in self.indicators

    def is_pure_predictor(self, name: str) -> bool:
        """Whether the variable is a predictor and nothing else."""
        return name in self.predictors and self.is_exogenous(name) and name not in self.covarying


def level_use(formulas: Iterable[Formula], level: Level, *, extra: Sequence[str] = ()) -> LevelUse:
    """Collect how one level uses its variables.

    Parameters
    ----------
    formulas
        All formulas of the model.
    level
        The level to look at.
    extra
        Variables of the level that no formula need mention: random effects.
    """
    mine = [f for f in formulas if f.level == level]
    named = [n for f in mine for n in _variables_of(f)]
    measured: dict[str, tuple[str, ...]] = {}
    for f in mine:
        if f.op == "=~":
            measured[f.lhs] = (*measured.get(f.lhs, ()), f.term.name)
    slopes = [f for f in mine if f.op == "~" and f.term.name != "1"]
    moments = [f for f in mine if f.op in ("~~", "|") or f.term.name == "1"]
    return LevelUse(
        level=level,
        names=tuple(dict.fromkeys([*named, *extra])),
        measured=measured,
        outcomes=tuple(dict.fromkeys(f.lhs for f in slopes)),
        predictors=tuple(dict.fromkeys(f.term.name for f in slopes)),
        covarying=tuple(dict.fromkeys(n for f in moments for n in _variables_of(f))),
    )


def _variables_of(formula: Formula) -> tuple[str, ...]:
    """Return the variables of a formula; intercepts and thresholds are none."""
    if formula.op == "|" or formula.term.name == "1":
        return (formula.lhs,)
    return formula.lhs, formula.term.name


def random_names(parsed: ParsedModel) -> dict[str, Formula]:
    """Return the names given in ``rv()``, each with the first formula that uses it."""
    found: dict[str, Formula] = {}
    for f in parsed.formulas:
        if f.term.modifiers.random is not None:
            found.setdefault(f.term.modifiers.random, f)
    return found


def log_sd_names(parsed: ParsedModel) -> tuple[str, ...]:
    """Names in ``rv()`` of variances that stand left of ``~`` at level within."""
    variances = {
        f.term.modifiers.random for f in parsed.formulas if f.op == "~~" and f.lhs == f.term.name
    }
    names = (f.lhs for f in parsed.formulas if f.level == "within" and f.op == "~")
    return tuple(dict.fromkeys(name for name in names if name in variances))


def line(formula: Formula) -> str:
    """Return where a formula stands, for use in messages."""
    return f"(line {formula.span.line})"


def uses_of(parsed: ParsedModel) -> tuple[LevelUse, ...]:
    """Collect how every level uses its variables, the lowest first.

    Random effects are used at the level above that of their coefficient, and a variable at all
    levels between two that mention it.
    """
    random = random_names(parsed)
    uses = []
    for i, level in enumerate(parsed.levels):
        below = parsed.levels[i - 1] if i else ""
        born = [name for name, f in random.items() if f.level == below and parsed.two_level]
        passed = passing_through(parsed) if parsed.three_level and i == 1 else ()
        uses.append(level_use(parsed.formulas, level, extra=(*born, *passed)))
    return tuple(uses)


def passing_through(parsed: ParsedModel) -> tuple[str, ...]:
    """Variables of levels 1 and 3 that level 2 of a three-level text does not mention."""
    first, second, third = (level_use(parsed.formulas, level) for level in parsed.levels)
    factors = {*first.factors, *second.factors, *third.factors}
    return tuple(n for n in first.names if n in third.names and n not in {*second.names, *factors})


def assign_roles(
    parsed: ParsedModel, columns: Sequence[str], *, cluster: str | None
) -> dict[tuple[str, str], Role]:
    """Return the role of each variable at each level.

    Parameters
    ----------
    parsed
        The statements.
    columns
        Columns of the data.
    cluster
        The column that identifies clusters; None for single-level models.

    Returns
    -------
    dict
        (level, variable) -> role, level 1 first, each level in order of appearance.

    Raises
    ------
    SpecificationError
        If the levels do not fit ``cluster``, or a name is unknown, ambiguous, or used at a
        level where it does not exist.
    """
    _check_levels(parsed, cluster)
    random, log_sds = random_names(parsed), log_sd_names(parsed)
    uses = uses_of(parsed)
    for name, formula in random.items():
        _check_random_name(name, formula, uses, columns)
    for formula in parsed.formulas:
        _check_formula(formula, uses, columns, parsed, cluster, random, log_sds)
    for use in uses:
        _check_circles(use)
    return {
        (use.level, name): _role(name, i, uses, random)
        for i, use in enumerate(uses)
        for name in use.names
    }


def _role(name: str, i: int, uses: Sequence[LevelUse], random: Mapping[str, Formula]) -> Role:
    use, is_within = uses[i], i == 0
    if name in use.factors:
        return "within factor" if is_within else "between factor"
    if name in random and is_within:
        return "log SD"
    if name in random and random[name].level == uses[i - 1].level:
        return "random effect"
    if any(name in lower.names for lower in uses[:i]):
        return "split"
    above = any(name in upper.names for upper in uses[i + 1 :])
    if is_within:
        if above:
            return "split"
        return "covariate" if use.is_pure_predictor(name) else "within-only"
    conditioned = use.is_pure_predictor(name) and not above
    return "cluster-level covariate" if conditioned else "cluster-level"


def _check_levels(parsed: ParsedModel, cluster: str | None) -> None:
    if not parsed.formulas:
        raise SpecificationError(
            "the model text declares no variables; write at least one formula such as 'y ~ x'"
        )
    if parsed.two_level and cluster is None:
        raise SpecificationError(
            "the model text has 'level:' blocks, but no cluster column was given; "
            'say which column identifies the clusters, e.g. cluster="school"'
        )
    if not parsed.two_level and cluster is not None:
        raise SpecificationError(
            f"cluster={cluster!r} was given, but the model text has no 'level:' blocks; "
            "write 'level: within' above the formulas and 'level: between' with what varies "
            "between clusters below them (at least the random intercepts, e.g. 'y ~~ y'), or "
            "leave out cluster if rows are independent of each other"
        )
    present = [level for level in parsed.levels if any(f.level == level for f in parsed.formulas)]
    absent = [level for level in parsed.levels if level not in present]
    if parsed.two_level and absent:
        others = " and ".join(f"'level: {level}'" for level in present)
        kind, both = ("three", "all three") if parsed.three_level else ("two", "both")
        raise SpecificationError(
            f"the model text has no formulas for 'level: {absent[0]}', only for "
            f"{others}; a {kind}-level model needs {both} (at least variances, "
            "e.g. 'y ~~ y')"
            + (
                "; a variable whose variance at this level is 0 is written 'y ~~ 0*y'"
                if parsed.three_level
                else ""
            )
        )


def _check_random_name(
    name: str, formula: Formula, uses: Sequence[LevelUse], columns: Sequence[str]
) -> None:
    what = ""
    if name in columns:
        what = "a column of the data"
    elif any(name in use.factors for use in uses):
        what = "a factor"
    if what:
        raise SpecificationError(
            f"rv(\"{name}\") {line(formula)} names a random effect, but '{name}' is already "
            f"{what}; choose another name"
        )


def _check_formula(
    formula: Formula,
    uses: Sequence[LevelUse],
    columns: Sequence[str],
    parsed: ParsedModel,
    cluster: str | None,
    random: Mapping[str, Formula],
    log_sds: Sequence[str],
) -> None:
    lhs, rhs = formula.lhs, formula.term.name
    if lhs == rhs and formula.op in ("=~", "~"):
        what = {"=~": "measured by", "~": "regressed on"}[formula.op]
        raise SpecificationError(
            f"'{lhs}' is {what} itself at level {formula.level} {line(formula)}; "
            f"remove '{rhs}' from the right-hand side"
        )
    if formula.op == "=~" and lhs in columns and not parsed.is_cluster_column(lhs, cluster):
        raise SpecificationError(
            f"factor '{lhs}' {line(formula)} is also a column of the data; "
            "give the factor another name"
        )
    if formula.op == "|" and lhs not in columns and any(lhs in use.factors for use in uses):
        raise SpecificationError(
            f"'{lhs} | {rhs}' {line(formula)}: factors have no thresholds; they belong to the "
            "ordered outcomes that measure it"
        )
    for name in _variables_of(formula):
        if formula.op == "~" and name == lhs and name in log_sds:
            continue
        _check_name(name, formula, uses, columns, parsed, cluster, random)


def _check_name(
    name: str,
    formula: Formula,
    uses: Sequence[LevelUse],
    columns: Sequence[str],
    parsed: ParsedModel,
    cluster: str | None,
    random: Mapping[str, Formula],
) -> None:
    place = parsed.levels.index(formula.level)
    here, others = uses[place], (*uses[:place], *uses[place + 1 :])
    at = f"at level {formula.level} {line(formula)}"
    if parsed.is_cluster_column(name, cluster):
        raise SpecificationError(
            f"the cluster column '{name}' is used as a variable {at}; "
            "it only says which rows belong together. How clusters differ in an outcome is its "
            "random intercept: mention the outcome at level between, e.g. 'y ~~ y'"
        )
    if name in here.factors or name in columns:
        return
    if name in random:
        lowest = parsed.levels.index(random[name].level) + 1
        if place >= lowest or lowest == len(parsed.levels):  # rv() above all: refused elsewhere
            return
        raise SpecificationError(
            f"random effect '{name}' is used {at}, but it varies between "
            f"{'clusters only' if not parsed.three_level else _units(parsed.levels[lowest])}; "
            f"use it at level {parsed.levels[lowest]} (what has predictors at level within, left "
            "of '~', is the log SD of a residual variance)"
        )
    other = next((use for use in others if name in use.factors), None)
    if other is not None:
        raise SpecificationError(
            f"'{name}' is used {at}, but it is a factor of level {other.level}; define a "
            f"factor at level {formula.level} as well ('{name} =~ ...' there) or move the formula"
        )
    born = (n for n, f in random.items() if parsed.levels.index(f.level) < place)
    known = [*columns, *here.factors, *born]
    raise SpecificationError(
        f"unknown variable '{name}' {at}: neither a column of the data nor a factor"
        f"{nearest(name, known) or '.'} Correct the name, or define it as a factor with "
        f"'{name} =~ ...' at this level"
    )


def _units(level: str) -> str:
    """Name the units of a level of a three-level model."""
    return f"units of '{level}' only"


def _check_circles(use: LevelUse) -> None:
    def walk(factor: str, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if factor in path:
            yield (*path[path.index(factor) :], factor)
            return
        for indicator in use.measured.get(factor, ()):
            yield from walk(indicator, (*path, factor))

    for factor in use.factors:
        for circle in walk(factor, ()):
            raise SpecificationError(
                f"factors measure each other in a circle at level {use.level}: "
                f"{' =~ '.join(circle)}; remove one of these loadings"
            )
