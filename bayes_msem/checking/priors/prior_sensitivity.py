r"""Does the posterior follow the prior or the data? Power-scaling sensitivity, row by row.

Raise the prior, or the likelihood, to a power alpha near 1 and see how far the posterior moves:

    p(theta | y, alpha)  ~  p(theta)^alpha p(y | theta)    or    p(theta) p(y | theta)^alpha

by importance weights p(theta)^(alpha - 1) or p(y | theta)^(alpha - 1) on the draws there are. The
sensitivity of a row is the derivative of the cumulative Jensen-Shannon distance between the two
distributions of its table value with respect to log2(alpha), computed by ArviZ at .99 and 1.01
(Kallioinen et al., 2024). Above 0.05 it is worth a look.

The prior. A power of a density depends on the scale it is on. Every prior is scaled where it is
stated: on the standard deviation, the correlation, the coefficient; LKJ priors on the correlation
matrix, that is det(R)^(eta - 1) = prod (1 - z^2)^(eta - 1) over the partial correlations z that are
sampled. Densities are known up to constants, which do not matter.

Random coefficients. Only the priors of parameters are scaled, never the distribution of random
coefficients given the parameters: that is part of the model, and the paper advises to scale the
priors at the top of a hierarchy alone. The likelihood of the parameters is p(y | theta), the
random coefficients integrated out, in every model, so that scaling it stands for alpha times the
clusters. Where some of them (b, with coordinates t) were sampled, the identity

    log p(y | theta) = log p(y | b, theta) + log p(t | theta) - log p(t | y, theta)

holds at any t. The last term is replaced by the standard normal density that the coordinates were
built to have (kernels.centring); with coordinates that know nothing of the data (non-centred),
what remains is log p(y | b, theta). The error is the distance of the conditional distribution of t
from standard normal: noise where it does not depend on theta.

References
----------
Kallioinen, N., Paananen, T., Bürkner, P.-C., & Vehtari, A. (2024). Detecting and diagnosing prior
and likelihood sensitivity with power-scaling. Statistics and Computing, 34, 57.
https://doi.org/10.1007/s11222-023-10366-5
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.priors.prior_advice import (
    CONFLICT,
    STRONG_PRIOR,
    advice_on_priors,
    row_text,
    warnings_of_weights,
)
from bayes_msem.kernels.layout import CORRELATION
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.enough import check_enough
from bayes_msem.posterior.recover import coordinates_of_effects
from bayes_msem.posterior.tables import EstimateTable, terminal_width
from bayes_msem.spec.table import Row, RowKey

__all__ = [
    "LEAST_DRAWS",
    "PriorSensitivity",
    "log_likelihood_draws",
    "log_prior_draws",
    "most_sensitive",
    "prior_sensitivity",
    "sensitive_rows",
    "sensitivity_tree",
]

FloatArray = NDArray[np.float64]

THRESHOLD = 0.05  # Kallioinen et al., section 4
_ALPHAS = (0.99, 1.01)
LEAST_DRAWS = 50  # of all chains
_KINDS = {"variance": "SD", "covariance": "correlation"}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PriorSensitivity:
    """Power-scaling sensitivity of every row.

    Attributes
    ----------
    table
        One row per free or defined row of the parameter table: level, lhs, op, rhs, label,
        prior_sensitivity, likelihood_sensitivity, diagnosis ("prior-data conflict", "strong prior,
        weak data" or ""), source (the row whose prior alone matters most) and prior.
    by_group
        The prior sensitivity to each group of priors alone: level, lhs, op, rhs, then one column
        per group, such as "between SD".
    advice
        What to do about the priors behind a diagnosis, in words.
    pareto_k
        "prior" and "likelihood": the larger Pareto k of the two sets of weights. Above
        ``k_threshold`` the sensitivities are not to be trusted.
    k_threshold
        min(1 - 1 / log10(number of draws), 0.7).

    Examples
    --------
    >>> sensitivity = fit.prior_sensitivity()
    >>> sorted(sensitivity.pareto_k), sensitivity.reliable
    (['likelihood', 'prior'], True)
    """

    table: EstimateTable
    by_group: EstimateTable
    advice: tuple[str, ...]
    pareto_k: Mapping[str, float]
    k_threshold: float

    @property
    def reliable(self) -> bool:
        """Whether the importance weights are.

        Examples
        --------
        >>> fit.prior_sensitivity().reliable
        True
        """
        return all(k <= self.k_threshold for k in self.pareto_k.values())

    def __repr__(self) -> str:
        """Return the table and the advice as text."""
        width = terminal_width()
        lines = [textwrap.fill(f"- {line}", width, subsequent_indent="  ") for line in self._said()]
        return "\n".join([repr(self.table), "", *lines])

    def _repr_html_(self) -> str:
        """Notebook display."""
        items = "".join(f"<li>{escape(line)}</li>" for line in self._said())
        return f"<div>{self.table._repr_html_()}<ul>{items}</ul></div>"

    def _said(self) -> tuple[str, ...]:
        return self.advice or ("No row is sensitive to its priors.",)


def prior_sensitivity(
    blueprint: Blueprint, posterior: xr.Dataset, draws: Mapping[RowKey, FloatArray]
) -> PriorSensitivity:
    """Compute the sensitivity of all rows.

    Parameters
    ----------
    blueprint
        The model, with the coordinates that its draws have.
    posterior
        Its posterior draws.
    draws
        Row key -> draws of the table values (chain, draw).

    Returns
    -------
    PriorSensitivity

    Raises
    ------
    SpecificationError
        Fewer than 50 draws.
    """
    n = posterior.sizes["chain"] * posterior.sizes["draw"]
    check_enough(n, LEAST_DRAWS, "sensitivity to priors")
    rows = sensitive_rows(blueprint, draws)
    tree = sensitivity_tree(blueprint, posterior, rows, draws)
    of_prior, of_likelihood = _sense(tree, "prior"), _sense(tree, "likelihood")
    diagnoses = [_diagnose(p, v) for p, v in zip(of_prior, of_likelihood, strict=True)]
    sources = _sources(blueprint, tree, diagnoses)
    keys = pd.DataFrame([row.key for row in rows], columns=["level", "lhs", "op", "rhs"])
    table = EstimateTable(
        keys.assign(
            label=[row.label for row in rows],
            prior_sensitivity=of_prior,
            likelihood_sensitivity=of_likelihood,
            diagnosis=diagnoses,
            source=["" if row is None else row_text(row, blueprint) for row in sources],
            prior=[row.prior if row.free else "" for row in rows],
        )
    )
    table.attrs["caption"] = (
        "How fast the posterior of each table value moves when all priors, or the likelihood, are "
        "raised to a power (derivative of the cumulative Jensen-Shannon distance). Above "
        f"{THRESHOLD:g}: worth a look; source: the row whose prior matters most."
    )
    by_group = EstimateTable(
        keys.assign(**{g: _sense(tree, "prior", v) for g, v in _groups(blueprint).items()})
    )
    by_group.attrs["caption"] = "Sensitivity to each group of priors alone."
    pareto = {
        "prior": _pareto_k(tree["log_prior"].to_dataset()),
        "likelihood": _pareto_k(tree["log_likelihood"].to_dataset()),
    }
    threshold = min(1 - 1 / np.log10(n), 0.7)
    advice = (
        *warnings_of_weights(pareto, threshold),
        *advice_on_priors(blueprint, rows, diagnoses, sources),
    )
    return PriorSensitivity(table, by_group, advice, pareto, threshold)


def sensitive_rows(blueprint: Blueprint, draws: Mapping[RowKey, FloatArray]) -> list[Row]:
    """Rows whose values vary over the posterior: free, computed or defined."""
    return [
        row
        for row in blueprint.table.rows
        if np.isfinite(draws[row.key]).all() and np.ptp(draws[row.key]) > 0
    ]


def most_sensitive(sensitivity: PriorSensitivity, most: int) -> list[int]:
    """Positions of the rows that are most sensitive to their priors, in the table's order."""
    values = sensitivity.table["prior_sensitivity"].to_numpy(dtype=np.float64)
    return sorted(np.argsort(-values, kind="stable")[:most].tolist())


def sensitivity_tree(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    rows: list[Row],
    draws: Mapping[RowKey, FloatArray],
) -> xr.DataTree:
    """Return what ArviZ needs: table values, log priors by group, and the log-likelihood.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` (value: chain, draw, row), ``log_prior`` (one variable per free row,
        such as "between: y1 ~~ y1") and ``log_likelihood`` (y), the latter two (chain, draw).
    """
    dims = ("chain", "draw")
    densities = log_prior_draws(blueprint, sampled_parameters(blueprint, posterior))
    names = [row_text(row, blueprint) for row in blueprint.parameters.rows]
    priors = {name: (dims, densities[..., i]) for i, name in enumerate(names)}
    values = np.stack([draws[row.key] for row in rows], axis=-1)
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"value": ((*dims, "row"), values)}),
            "log_prior": xr.Dataset(priors),
            "log_likelihood": xr.Dataset({"y": (dims, log_likelihood_draws(blueprint, posterior))}),
        }
    )


def log_prior_draws(blueprint: Blueprint, x: FloatArray) -> FloatArray:
    """Log prior density of every parameter, on the scale its prior is stated on.

    Parameters
    ----------
    blueprint
        The model.
    x
        Sampled parameters, (..., n_free).

    Returns
    -------
    array like x
        Their sum over parameters is the log prior up to a constant.
    """
    parameters = blueprint.parameters
    own = np.where(parameters.transform == CORRELATION, 2.0 * x - 1.0, x)
    columns = [
        blueprint.priors[row.free].log_density(own[..., i]) for i, row in enumerate(parameters.rows)
    ]
    return np.stack(columns, axis=-1)


def log_likelihood_draws(blueprint: Blueprint, posterior: xr.Dataset) -> FloatArray:
    """Log-likelihood of the parameters, (chain, draw); sampled effects as in the equations above.

    Parameters
    ----------
    blueprint
        The model, with the coordinates that its draws have.
    posterior
        Its draws.
    """
    likelihood = blueprint.likelihood
    x = sampled_parameters(blueprint, posterior)
    points = blueprint.points(x)
    result = np.empty(len(points))
    for i, t in enumerate(coordinates_of_effects(blueprint, posterior, len(points))):
        value, *_ = likelihood.sampled(points[i], t)
        density, *_ = likelihood.coordinate_density(points[i], t)
        result[i] = value + density + 0.5 * float((t**2).sum())
    return result.reshape(x.shape[:2])


def _groups(blueprint: Blueprint) -> dict[str, list[str]]:
    """Names of the priors of every level and kind of parameter."""
    groups: dict[str, list[str]] = {}
    for row in blueprint.parameters.rows:
        kind = _KINDS.get(row.kind, row.kind)
        if row.kind == "covariance" and blueprint.priors[row.free].scale == "cov":
            kind = "covariance"
        name = f"{row.level} {kind}" if blueprint.table.two_level else kind
        groups.setdefault(name, []).append(row_text(row, blueprint))
    return groups


def _sources(blueprint: Blueprint, tree: xr.DataTree, diagnoses: Sequence[str]) -> list[Row | None]:
    """Row whose prior alone moves each row with a diagnosis most."""
    if not any(diagnoses):
        return [None] * len(diagnoses)
    priors = blueprint.parameters.rows
    alone = np.stack([_sense(tree, "prior", [row_text(r, blueprint)]) for r in priors])
    return [priors[i] if d else None for i, d in zip(alone.argmax(axis=0), diagnoses, strict=True)]


def _sense(tree: xr.DataTree, group: str, names: list[str] | None = None) -> FloatArray:
    from arviz_stats import psense  # with scipy.stats, which takes a while

    result = psense(tree, group=group, alphas=_ALPHAS, group_var_names=names)
    values: FloatArray = np.asarray(result["value"], dtype=np.float64)
    return values


def _diagnose(prior: float, likelihood: float) -> str:
    if prior < THRESHOLD:
        return ""
    return CONFLICT if likelihood >= THRESHOLD else STRONG_PRIOR


def _pareto_k(component: xr.Dataset) -> float:
    """Largest Pareto k of the weights at both powers."""
    from arviz_stats.base import array_stats  # with scipy.stats, which takes a while

    total = sum(component[name].to_numpy() for name in component.data_vars)
    values = np.asarray(total, dtype=np.float64).reshape(-1)
    if not np.ptp(values) > 0:
        return 0.0
    found = [float(array_stats.psislw(-(a - 1) * values)[1]) for a in _ALPHAS]
    return max(found)
