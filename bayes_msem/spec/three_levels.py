"""What three-level models cannot declare yet: each is refused with what to do instead.

Everything that varies over clusters or over top units has to enter linearly: random intercepts and
random slopes on observed covariates. Which effects of level 2 beyond these can be sampled is up to
the plan (:mod:`bayes_msem.likelihood.plan`).
"""

from __future__ import annotations

from bayes_msem.errors import NotSupportedError
from bayes_msem.spec.expressions import names
from bayes_msem.spec.parameter_labels import describe
from bayes_msem.spec.table import ParameterTable

__all__ = ["check_three_levels"]


def check_three_levels(table: ParameterTable) -> None:
    """Refuse what is well-formed, but not there for three levels.

    Parameters
    ----------
    table
        The table of a three-level model.

    Raises
    ------
    NotSupportedError
        Outcomes that are not normal or whose log SDs have predictors, ``rv()`` at level 2 on
        anything but the slope of a covariate of that level, or a definition that holds random
        coefficients.
    """
    _, middle, top = table.levels
    if table.families:
        name, family = next(iter(table.families.items()))
        raise NotSupportedError(
            f"'{name}' is {family.text}, but models of three levels have normal outcomes only; "
            f"leave out 'level: {top}' (cluster='{middle}'), or treat '{name}' as normal"
        )
    for outcome, log_sd in table.log_sds.items():
        raise NotSupportedError(
            f"'{log_sd}', the log SD of the residuals of '{outcome}', has predictors at level "
            "within; that is there for one and two levels. Leave out 'level: "
            f"{top}' (cluster='{middle}'), or remove the predictors"
        )
    covariates = table.variables(middle, "cluster-level covariate")
    for row in table.rows:
        if row.random and row.level == middle:
            if row.kind != "regression" or row.rhs not in covariates:
                raise NotSupportedError(
                    f'{describe(row)} cannot vary as rv("{row.random}"): at level {middle}, '
                    "coefficients vary where they are slopes on covariates of that level "
                    f"({', '.join(covariates) or 'none here'}). {_way_out(row.kind)}"
                )
    random = set(table.coefficients)
    for definition in table.definitions:
        held = [name for name in names(definition.expression) if name in random]
        if held:
            raise NotSupportedError(
                f"definition '{definition.name}' holds the random coefficient '{held[0]}', which "
                "varies over the units of two levels; definitions of three-level models are made "
                f"of labels. The mean of '{held[0]}' has a row of its own, "
                f"'{held[0]} ~ 1' at level {table.mean_level(held[0])}: label it and use the label"
            )


def _way_out(kind: str) -> str:
    if kind == "regression":
        return (
            "A predictor that is modelled or split would make a product of latent variables: "
            "remove rv(), or use observed values of the predictor that are nothing but predictors"
        )
    return "Remove rv(), or let a coefficient of level within vary"
