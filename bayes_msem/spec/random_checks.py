"""Which coefficients may carry ``rv()``, and what their random effects must look like.

Three steps, in the order in which a table is built: the formulas (:func:`check_random_formulas`),
single rows (:func:`check_random_row`), and the complete table (:func:`check_random_effects`).

**Covariances that vary.** A random covariance is the Fisher z of a correlation parameter, and a
random variance rescales the covariances of its variable. Both keep the covariance matrix of every
cluster positive definite only if the block of covarying variables has a form that is positive
definite by construction (complete or chordal, see :mod:`bayes_msem.spec.covariance`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks
from bayes_msem.spec.parameter_labels import describe
from bayes_msem.spec.roles import LevelUse, line, log_sd_names
from bayes_msem.spec.statements import Formula, ParsedModel
from bayes_msem.spec.table import ParameterTable, Row

__all__ = ["check_random_effects", "check_random_formulas", "check_random_row"]


def check_random_formulas(parsed: ParsedModel) -> None:
    """Refuse ``rv()`` where nothing can vary over clusters, and one name for different kinds.

    Parameters
    ----------
    parsed
        The statements.

    Raises
    ------
    SpecificationError
        ``rv()`` in a single-level model or at level between, or one name on rows of different
        kind. One name on rows of one kind is fine: these coefficients are equal.
    NotSupportedError
        ``rv()`` on a threshold.
    """
    kinds: dict[str, Row] = {}
    log_sds = log_sd_names(parsed)
    for f in parsed.formulas:
        name = f.term.modifiers.random
        if name is None:
            continue
        row = Row(f.level, f.lhs, f.op, f.term.name)
        if row.kind == "threshold":
            raise NotSupportedError(
                f'rv("{name}") {line(f)} stands on {describe(row)}; thresholds are the same in all '
                f"clusters. The random intercept of '{f.lhs}' shifts all of them together: "
                f"use '{f.lhs}' at level between"
            )
        if not parsed.two_level and name not in log_sds:
            log_sd = ""
            if row.kind == "variance":
                log_sd = f", or predict the log SD of the residuals: '{name} ~ x'"
            raise SpecificationError(
                f'rv("{name}") {line(f)} lets a coefficient vary over clusters, but the model '
                f"has a single level; write 'level: within' and 'level: between' blocks{log_sd}"
            )
        if f.level == parsed.levels[-1]:
            if parsed.three_level:
                raise SpecificationError(
                    f'rv("{name}") {line(f)} stands on {describe(row)}, but units of '
                    f"'{f.level}' lie in no larger ones, so nothing is there for it to vary over; "
                    "remove rv() or move the formula to a level below"
                )
            raise SpecificationError(
                f'rv("{name}") {line(f)} stands on {describe(row)}; only coefficients of level '
                "within vary over clusters, so remove rv() or move the formula to level within"
            )
        first = kinds.setdefault(name, row)
        if first.level != row.level:
            raise SpecificationError(
                f'rv("{name}") stands on {describe(first)} at level {first.level} and on '
                f"{describe(row)} at level {row.level} {line(f)}; give each its own name"
            )
        if first.kind != row.kind:
            raise SpecificationError(
                f'rv("{name}") stands on the {first.kind} {describe(first)} and on the '
                f"{row.kind} {describe(row)} {line(f)}; give each its own name"
            )


def check_random_row(
    formula: Formula, row: Row, use: LevelUse, formulas: Sequence[Formula], *, std_lv: bool
) -> None:
    """Refuse random intercepts written as ``rv()``, and random markers without another scale.

    Parameters
    ----------
    formula, row
        The formula that carries ``rv()``, and its row.
    use
        How the row's level uses its variables.
    formulas
        All formulas, which may give the factor a scale.
    std_lv
        Whether variances of factors are fixed at 1.

    Raises
    ------
    SpecificationError
        A random intercept of an observed variable, or a marker that varies.
    NotSupportedError
        A random mean of a factor.
    """
    if row.kind == "intercept":
        _refuse_random_intercept(row, use, line(formula))
    if row.kind == "loading" and not std_lv and row.rhs == use.measured[row.lhs][0]:
        _check_random_marker(row, formulas, line(formula))


def _refuse_random_intercept(row: Row, use: LevelUse, at: str) -> None:
    if row.lhs in use.factors:
        raise NotSupportedError(
            f"the mean of factor '{row.lhs}' cannot vary over clusters through "
            f'rv("{row.random}") {at}; write a factor with the same indicators at level '
            "between, with loadings equal to those within"
        )
    raise SpecificationError(
        f"the intercept of '{row.lhs}' cannot vary through rv(\"{row.random}\") {at}: the "
        f"random intercept of an observed variable is its between part; use '{row.lhs}' at "
        f"level between instead, e.g. '{row.lhs} ~~ {row.lhs}'"
    )


def _check_random_marker(row: Row, formulas: Sequence[Formula], at: str) -> None:
    """Accept whatever may give the factor a scale; identification.py looks closer."""
    for f in formulas:
        m = f.term.modifiers
        here = f.level == row.level and f.lhs == row.lhs
        fixed = m.fixed is not None and m.fixed != 0
        variance = f.op == "~~" and f.term.name == row.lhs and (fixed or m.random is not None)
        loading = f.op == "=~" and (fixed or m.label is not None)
        mean = f.lhs == row.random and f.term.name == "1" and fixed
        if mean or (here and (variance or loading)):
            return
    raise SpecificationError(
        f"{describe(row)} {at} is the marker that sets the scale of '{row.lhs}', so its "
        f'loading cannot vary as rv("{row.random}"); put another indicator first, use '
        f"std_lv=True, or fix another loading or the variance ('{row.lhs} ~~ 1*{row.lhs}')"
    )


def check_random_effects(table: ParameterTable) -> None:
    """Check the distributions of random effects, and covariance blocks that vary.

    Parameters
    ----------
    table
        The complete parameter table.

    Raises
    ------
    SpecificationError
        A random effect that cannot vary, or a random correlation with a constant.
    NotSupportedError
        A covariance block that cannot be kept positive definite in every cluster, or one name
        on several covariances of a block.
    """
    random = {row.random: row for row in reversed(table.rows) if row.random}
    variances = {(r.level, r.lhs): r for r in table.rows if r.kind == "variance"}
    for name, row in random.items():
        _check_varies(name, row, variances, table)
    for row in table.rows:
        if row.random and row.kind == "covariance":
            _check_not_constant(row, variances)
    for block in covariance_blocks(table, "within"):
        _check_block(block, variances)


def _is_zero(row: Row | None) -> bool:
    return row is not None and row.free == 0 and not row.random and row.value == 0


def _check_varies(
    name: str, row: Row, variances: Mapping[tuple[str, str], Row], table: ParameterTable
) -> None:
    """Refuse a residual variance of 0.

    A slope on a covariate may follow from other level-2 variables exactly; it is integrated, and
    that needs no inverse. All other effects are sampled, which needs a density.
    """
    level = table.above(row.level)
    if not _is_zero(variances.get((level, name))):
        return
    if ("within", name) in table.roles:  # a log SD with predictors of its rows varies by these
        return
    covariates = table.variables(row.level, "covariate", "cluster-level covariate")
    rows = [r for r in table.rows if r.random == name]
    linear = all(r.kind == "regression" and r.rhs in covariates for r in rows)
    varies_above = table.mean_level(name) != level
    if linear and (varies_above or _has_random_causes(name, level, table)):
        return
    product = " (a cross-level interaction is a product of columns of the data)" if linear else ""
    raise SpecificationError(
        f"the variance of random effect '{name}' is fixed at 0 ('{name} ~~ 0*{name}'), so "
        f"{describe(row)} does not vary beyond what predicts '{name}'; remove rv(\"{name}\") "
        f"there{product}, or remove '{name} ~~ 0*{name}'"
    )


def _has_random_causes(name: str, level: str, table: ParameterTable) -> bool:
    """Whether a modelled variable of its level predicts or is measured by the effect."""
    covariates = table.variables(level, "cluster-level covariate")
    causes = {
        r.rhs if r.kind == "regression" else r.lhs
        for r in table.rows
        if r.level == level and not _is_zero(r)
        if (r.kind == "regression" and r.lhs == name) or (r.kind == "loading" and r.rhs == name)
    }
    return bool(causes - set(covariates))


def _check_not_constant(row: Row, variances: Mapping[tuple[str, str], Row]) -> None:
    for name in (row.lhs, row.rhs):
        if _is_zero(variances.get((row.level, name))):
            raise SpecificationError(
                f"{describe(row)} cannot vary as rv(\"{row.random}\"): the variance of '{name}' "
                f"is fixed at 0, so it correlates with nothing; remove this covariance, or free "
                f"the variance ('{name} ~~ NA*{name}')"
            )


def _check_block(block: CovarianceBlock, variances: Mapping[tuple[str, str], Row]) -> None:
    random = [row for row in block.rows if row.random]
    scales = [variances[block.level, v] for v in block.variables]
    varying = [*random, *(row for row in scales if row.random)]
    if not varying:
        return
    members = ", ".join(block.variables)
    if block.pattern == "direct":
        raise NotSupportedError(
            f'{describe(varying[0])} varies as rv("{varying[0].random}"), but the covariances of '
            f"{members} cannot be kept positive definite in every cluster, because "
            f"{_obstacle(block)}; let all of these variables covary freely, or make none of their "
            "variances and covariances random"
        )
    first: dict[str, Row] = {}
    for row in random:
        other = first.setdefault(row.random, row)
        if other is not row:
            raise NotSupportedError(
                f'rv("{row.random}") stands on {describe(other)} and on {describe(row)}, which '
                f"belong to one block of covariances ({members}). Its parameters are partial "
                "correlations, and equal ones are not equal correlations; give each covariance "
                "its own name"
            )


def _obstacle(block: CovarianceBlock) -> str:
    """Say what keeps a block from being positive definite by construction."""
    edges = {
        frozenset(edge)
        for edge, row in zip(block.edges, block.rows, strict=True)
        if row.free or row.random
    }
    missing = [
        f"'{a} ~~ {b}'"
        for a, b in combinations(block.variables, 2)
        if frozenset((a, b)) not in edges
    ]
    labelled = [f"'{r.lhs} ~~ {r.rhs}'" for r in block.rows if r.label]
    return " and ".join(_reasons(missing, labelled))


def _reasons(missing: Sequence[str], labelled: Sequence[str]) -> Iterator[str]:
    if missing:
        yield f"pairs are left out or fixed ({', '.join(missing)})"
    if labelled:
        yield f"covariances have labels ({', '.join(labelled)})"
