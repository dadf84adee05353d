"""What ``print(model)`` shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayes_msem.data.observe import ObservedData
from bayes_msem.spec.table import ParameterTable, Role

_ROLES: dict[Role, str] = {
    "split": "split over levels (latent within + between parts)",
    "within-only": "outcome or indicator at level within only",
    "covariate": "covariate at level within (conditioned on)",
    "cluster-level": "cluster-level outcome or indicator",
    "cluster-level covariate": "cluster-level covariate (conditioned on)",
    "within factor": "factor at level within",
    "between factor": "factor at level between",
    "random effect": "random coefficient (varies over clusters)",
}
_SINGLE_LEVEL: dict[Role, str] = {
    "within-only": "outcome or indicator",
    "covariate": "covariate (conditioned on)",
    "within factor": "factor",
}


def describe_model(
    table: ParameterTable,
    parameters: pd.DataFrame,
    observed: ObservedData,
    plan: str,
    notes: Sequence[str],
) -> str:
    """Describe data, roles of variables, parameters with priors, and plan.

    Parameters
    ----------
    table
        The parameter table.
    parameters
        The same as a data frame.
    observed
        The data.
    plan
        The plan in words.
    notes
        Advice on the data.

    Returns
    -------
    str
    """
    kind = "Two-level" if table.two_level else "Single-level"
    parts = [
        f"{kind} Bayesian structural equation model",
        _describe_data(observed),
        _describe_roles(table),
        _describe_parameters(parameters),
        plan,
    ]
    parts += [f"Note: {note}" for note in notes]
    return "\n\n".join(parts)


def _describe_data(observed: ObservedData) -> str:
    if observed.cluster is None:
        return f"Data: {observed.n_rows} rows"
    sizes = observed.sizes
    return (
        f"Data: {observed.n_rows} rows in {observed.n_clusters} clusters "
        f"('{observed.cluster_name}'), sizes {sizes.min()} to {sizes.max()} "
        f"(median {np.median(sizes):g})"
    )


def _describe_roles(table: ParameterTable) -> str:
    names = _ROLES if table.two_level else _ROLES | _SINGLE_LEVEL
    members: dict[Role, list[str]] = {}
    for (_, variable), role in table.roles.items():
        found = members.setdefault(role, [])
        if variable not in found:
            found.append(variable)
    width = max(len(names[role]) for role in members)
    lines = [f"  {names[role]:<{width}}  {', '.join(v)}" for role, v in members.items()]
    return "\n".join(["Variables:", *lines])


def _describe_parameters(parameters: pd.DataFrame) -> str:
    shown = parameters.copy()
    shown["value"] = ["" if np.isnan(v) else f"{v:g}" for v in shown["value"]]
    for column in ("label", "random"):
        if not shown[column].any():
            shown = shown.drop(columns=column)
    body = shown.to_string(index=False, justify="left").splitlines()
    free = parameters.loc[parameters["free"] > 0, "free"].nunique()
    head = (
        f"Parameters: {free} free (free = 0: constant, value = the constant or starting value). "
        "Rows x ~~ x are variances."
    )
    scales = (
        "Priors marked [sd] are on the standard deviation, [cor] on the correlation, [cov] on "
        "the covariance."
    )
    return "\n".join([head, scales, *(f"  {line}" for line in body)])
