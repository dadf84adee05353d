"""Log SDs of residuals that have predictors at level within: location-scale models.

``y ~~ rv("v")*y`` makes v the log SD of the residuals of y. Predicted at level within, ``v ~ x``,
it differs between the rows of a cluster, and y ~ N(., exp(2 v_ij)). In single-level models there is
nothing else that it could differ between, and its intercept stands at level within, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.spec.parameter_labels import describe
from bayes_msem.spec.roles import line, log_sd_names, random_names
from bayes_msem.spec.statements import Formula, ParsedModel
from bayes_msem.spec.table import ParameterTable, Row

__all__ = ["check_log_sd_formulas", "check_log_sds"]


def check_log_sd_formulas(parsed: ParsedModel, columns: Sequence[str]) -> None:
    """Check the statements about log SDs at level within.

    Parameters
    ----------
    parsed
        The statements.
    columns
        Columns of the data.

    Raises
    ------
    SpecificationError
        An intercept where level between has it.
    NotSupportedError
        The log SD of a factor, or a slope that varies over clusters.
    """
    random, names = random_names(parsed), log_sd_names(parsed)
    for f in parsed.formulas:
        if f.level != "within" or f.op != "~" or f.lhs not in names:
            continue
        outcome = random[f.lhs].lhs
        if outcome not in columns:
            raise NotSupportedError(
                f"{_said(f)}: '{f.lhs}' is the log SD of '{outcome}', which is a factor; only "
                "residual variances of observed outcomes have predictors at level within. Predict "
                f"'{f.lhs}' at level between, or the residual variances of the indicators"
            )
        if f.term.modifiers.random is not None:
            raise NotSupportedError(
                f'{_said(f)}: rv("{f.term.modifiers.random}") stands on a slope of the log SD '
                f"'{f.lhs}', and such slopes are the same in all clusters; remove rv()"
            )
        if f.term.name == "1" and parsed.two_level:
            raise SpecificationError(
                f"{_said(f)}: '{f.lhs}' differs between clusters, so its mean belongs to level "
                f"between; write '{f.lhs} ~ 1' there"
            )


def _said(f: Formula) -> str:
    return f"'{f.lhs} {f.op} {f.term.name}' at level within {line(f)}"


def check_log_sds(table: ParameterTable) -> None:
    """Check the complete table: what predicts log SDs, and what else their outcomes do.

    Raises
    ------
    NotSupportedError
        Level between has more than the mean of a log SD without variation there; a predictor that
        is neither a covariate nor a normal outcome with a residual variance
        without such predictors; an outcome that is a predictor itself, or whose residual covaries.
    """
    names = set(table.log_sds.values())
    for row in table.rows:
        _check_constant(row, table)
        if row.level != "within" or row.kind == "defined":
            continue
        if row.kind == "regression" and row.lhs in names:
            _check_predictor(row, table)
        elif row.kind == "covariance" and not (row.free == 0 and row.value == 0):
            _check_covariance(row, table)
        elif row.kind in ("regression", "loading"):
            source = row.lhs if row.kind == "loading" else row.rhs
            if source in table.log_sds:
                raise NotSupportedError(
                    f"{describe(row)} has '{source}' as a predictor, whose residual log SD "
                    f"'{table.log_sds[source]}' has predictors at level within; the outcomes of "
                    "such a variable are not supported. Let its observed value predict: copy its "
                    f"column, data['{source}_seen'] = data['{source}'], and use '{source}_seen'; "
                    f"or predict '{table.log_sds[source]}' at level between only"
                )


def _check_constant(row: Row, table: ParameterTable) -> None:
    """Refuse what a log SD without variation over clusters has beside its mean."""
    if row.level != "between" or row.kind in ("intercept", "variance"):
        return
    for name in sorted({row.lhs, row.rhs} & table.constant_log_sds):
        if row.kind == "covariance" and not row.free and row.value == 0:
            continue
        raise NotSupportedError(
            f"{describe(row)}: '{name}' has no variation over clusters of its own ('{name} ~~ "
            f"0*{name}'), and then nothing but its mean stands at level between. A covariate of "
            f"clusters predicts it at level within: copy its column, data['w_row'] = data['w'], "
            f"and write '{name} ~ w_row' there; or remove '{name} ~~ 0*{name}'"
        )


def _check_predictor(row: Row, table: ParameterTable) -> None:
    role, what = table.roles["within", row.rhs], ""
    if role == "within factor":
        raise NotSupportedError(
            f"{describe(row)}: '{row.rhs}' is a factor; a log SD is predicted at level within by "
            "covariates and normal outcomes. Use an indicator, or the factor of level between"
        )
    if row.rhs in table.families:
        what = f"an outcome that is {table.families[row.rhs].text}"
    elif row.rhs in table.log_sds:
        what = "an outcome whose residual log SD has predictors itself"
    if what:
        raise NotSupportedError(
            f"{describe(row)}: '{row.rhs}' is {what}; a log SD is predicted at level within by "
            "covariates and normal outcomes. To let observed values predict, copy their column: "
            f"data['{row.rhs}_seen'] = data['{row.rhs}'], and use '{row.rhs}_seen'"
        )


def _check_covariance(row: Row, table: ParameterTable) -> None:
    for name, other in ((row.lhs, row.rhs), (row.rhs, row.lhs)):
        if name in table.log_sds:
            raise NotSupportedError(
                f"{describe(row)} is a covariance with the residual of '{name}', whose log SD "
                f"'{table.log_sds[name]}' has predictors at level within: given factors and "
                "effects, such an outcome is independent of others. Regress one on the other, let "
                f"a factor measured by '{name}' and '{other}' stand for it, or write "
                f"'{row.lhs} ~~ 0*{row.rhs}'"
            )
