"""The blueprint: everything that one model and one data set determine, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.prior_arrays import pack_priors
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.kernels.layout import SQUARE
from bayes_msem.kernels.priors import PriorArrays
from bayes_msem.likelihood.approximation import Approximation
from bayes_msem.likelihood.likelihood import Likelihood, build_likelihood
from bayes_msem.likelihood.plan import make_plan
from bayes_msem.likelihood.statistics import pack_by_cluster
from bayes_msem.spec.expressions import derivative, evaluate, names
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable, RowKey
from bayes_msem.structure.model_template import ModelTemplate, build_template
from bayes_msem.structure.parameters import Parameters, build_parameters

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Blueprint:
    """A model structure with its data.

    Attributes
    ----------
    table
        Parameter table with the priors filled in.
    priors
        Free number -> prior.
    observed
        The data.
    parameters
        The sampled parameters, see :mod:`bayes_msem.structure.parameters`.
    template
        The template of the model.
    likelihood
        Its likelihood.
    prior_arrays
        Priors, bounds and constraints as the compiled density reads them.
    pilot
        Sampled parameters at a mode; only for models with sampled effects.
    parts
        Of several groups, each group's structure and data with the parameters of all groups
        (blueprint.grouped_blueprint).
    wide
        Of several groups, the wide default priors.
    labels
        Of a part, the position of every label of all groups.
    """

    table: ParameterTable
    priors: Mapping[int, Prior]
    observed: ObservedData
    parameters: Parameters
    template: ModelTemplate
    likelihood: Likelihood
    prior_arrays: PriorArrays
    pilot: FloatArray | None = None
    parts: tuple[Blueprint, ...] = ()
    wide: Mapping[int, Prior] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def statistics_by_cluster(self) -> FloatArray:
        """Packed statistics by cluster, whatever the provider: what recovery reads."""
        if self.likelihood.provider in ("cluster", "sampled"):
            return self.likelihood.statistics
        if self not in _BY_CLUSTER:
            _BY_CLUSTER[self] = pack_by_cluster(self.observed)
        return _BY_CLUSTER[self]

    def on(self, observed: ObservedData) -> Blueprint:
        """Return the same model, priors and coordinates on other data of the same kind."""
        likelihood = self.likelihood.on(observed)
        return replace(self, observed=observed, likelihood=likelihood)

    @property
    def n_sampled(self) -> int:
        """Number of effects per cluster that NUTS samples."""
        return self.likelihood.n_sampled

    @property
    def label_positions(self) -> dict[str, int]:
        """Position in theta of every label that stands on a free row."""
        if self.labels:
            return dict(self.labels)
        return {
            row.label: self.parameters.position[row.free]
            for row in self.table.rows
            if row.free and row.label
        }

    def extend(self, theta: FloatArray) -> FloatArray:
        """Append the constrained rows to table values of shape (..., n_free)."""
        if not self.table.constraints:
            return theta
        labels = {name: theta[..., i] for name, i in self.label_positions.items()}
        columns = []
        for constraint in self.table.constraints:
            value = np.broadcast_to(evaluate(constraint.expression, labels), theta.shape[:-1])
            labels[constraint.label] = value
            columns.append(value)
        return np.concatenate([theta, np.stack(columns, axis=-1)], axis=-1)

    def extend_sampled(self, x: FloatArray) -> FloatArray:
        """Append the constrained rows to sampled parameters of shape (..., n_free)."""
        if not self.table.constraints:
            return x
        # labels in constraints stand on rows that are sampled as they are, or on variances
        theta = np.where(self.parameters.transform == SQUARE, x**2, x)
        return np.concatenate([x, self.extend(theta)[..., self.parameters.n :]], axis=-1)

    def points(self, x: FloatArray) -> FloatArray:
        """Lay out sampled parameters (..., n_free) as the kernels read draws, (n, n_theta)."""
        return np.ascontiguousarray(self.extend_sampled(x.reshape(-1, x.shape[-1])))

    def pull_back(self, theta: FloatArray, gradient: FloatArray) -> FloatArray:
        """Turn a gradient with respect to the extended theta into one of the free parameters."""
        n = self.parameters.n
        result = gradient[:n].copy()
        positions = self.label_positions
        labels = {name: float(theta[i]) for name, i in positions.items()}
        for constraint, slope in zip(self.table.constraints, gradient[n:], strict=True):
            for name in set(names(constraint.expression)):
                inner = evaluate(derivative(constraint.expression, name), labels)
                result[positions[name]] += slope * float(inner)
        return result

    def theta(self, x: FloatArray) -> FloatArray:
        """Table values (n_draws, n_theta) of sampled parameters (n_draws, n_free)."""
        extended = np.ascontiguousarray(self.extend_sampled(x))
        return self.extend(self.likelihood.theta(extended)[:, : self.parameters.n])

    def row_value(self, key: RowKey, theta: FloatArray) -> FloatArray:
        """Values of one table row, given the extended theta of shape (..., n_theta).

        Random coefficients have no single value: NaN.
        """
        template = self.template
        source = template.sources.get(key, -1)
        first_constant = template.n_theta + len(template.effects.rows)
        if 0 <= source < template.n_theta:
            return theta[..., source]
        value = np.nan if source < first_constant else template.constants[source - first_constant]
        return np.full(theta.shape[:-1], value)


# beside the blueprints, so that copies for other processes stay small
_BY_CLUSTER: WeakKeyDictionary[Blueprint, FloatArray] = WeakKeyDictionary()


def build_blueprint(
    table: ParameterTable, priors: Mapping[int, Prior], observed: ObservedData
) -> Blueprint:
    """Assemble the blueprint of a model.

    Parameters
    ----------
    table
        Parameter table with priors filled in.
    priors
        Free number -> prior.
    observed
        The data, checked against the table.

    Returns
    -------
    Blueprint
    """
    parameters = build_parameters(table, dict(priors))
    template = build_template(
        table,
        y_names=observed.y_names,
        z_names=observed.z_names,
        x_names=observed.x_names,
        w_names=observed.w_names,
        position=parameters.position,
    )
    provider = make_plan(table, incomplete=observed.incomplete).provider
    likelihood = build_likelihood(template, parameters, table, observed, provider)
    arrays = pack_priors(table, parameters)
    return Blueprint(table, priors, observed, parameters, template, likelihood, arrays)


def with_approximation(
    blueprint: Blueprint, approximation: Approximation, pilot: FloatArray | None
) -> Blueprint:
    """Return the same blueprint with other coordinates of the sampled effects."""
    likelihood = blueprint.likelihood.with_approximation(approximation)
    return replace(blueprint, likelihood=likelihood, pilot=pilot)
