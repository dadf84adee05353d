"""The blueprint: everything that one model and one data set determine, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.prior_arrays import pack_priors
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.kernels.layout import SQUARE
from bayes_msem.kernels.priors import PriorArrays
from bayes_msem.likelihood.approximation import Approximation
from bayes_msem.likelihood.likelihood import Likelihood, build_likelihood
from bayes_msem.likelihood.nested_likelihood import build_nested_likelihood
from bayes_msem.likelihood.nested_statistics import pack_nested
from bayes_msem.likelihood.plan import make_plan, missing_predictors
from bayes_msem.likelihood.statistics import pack_by_cluster
from bayes_msem.spec.expressions import derivative, evaluate, names
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable, RowKey
from bayes_msem.structure.model_template import ModelTemplate, build_template
from bayes_msem.structure.nested import NestedTemplate
from bayes_msem.structure.nested_template import build_nested
from bayes_msem.structure.parameters import Parameters, build_parameters

if TYPE_CHECKING:
    from bayes_msem.blueprint.rotated import Turning

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
    nested
        The template of all levels of a three-level model, of which ``template`` has the lower two;
        None for other models.
    parts
        Of several groups, each group's structure and data with the parameters of all groups
        (blueprint.grouped_blueprint).
    wide
        Of several groups, the wide default priors.
    labels
        Of a part, the position of every label of all groups.
    sampled_form
        With exploratory factors (spec.exploratory): the form that is sampled and whose modes are
        found. Everything else reads this one, the reported form.
    turning
        Of a sampled form: how it is rotated, and the reported form.
    """

    table: ParameterTable
    priors: Mapping[int, Prior]
    observed: ObservedData
    parameters: Parameters
    template: ModelTemplate
    likelihood: Likelihood
    prior_arrays: PriorArrays
    pilot: FloatArray | None = None
    nested: NestedTemplate | None = None
    parts: tuple[Blueprint, ...] = ()
    wide: Mapping[int, Prior] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    sampled_form: Blueprint | None = None
    turning: Turning | None = None

    @property
    def to_sample(self) -> Blueprint:
        """The form whose parameters NUTS and searches for modes move in."""
        return self if self.sampled_form is None else self.sampled_form

    @property
    def statistics_by_cluster(self) -> FloatArray:
        """Packed statistics by cluster, whatever the provider: what recovery reads.

        Of three-level models with what is known of top units.
        """
        if self.likelihood.provider in ("cluster", "sampled", "nested"):
            return self.likelihood.statistics
        if self not in _BY_CLUSTER:
            pack = pack_by_cluster if self.nested is None else pack_nested
            _BY_CLUSTER[self] = pack(self.observed)
        return _BY_CLUSTER[self]

    def on(self, observed: ObservedData) -> Blueprint:
        """Return the same model, priors and coordinates on other data of the same kind."""
        likelihood, form = self.likelihood.on(observed), self.sampled_form
        plain = replace(self, observed=observed, likelihood=likelihood, sampled_form=None)
        return plain if form is None else linked(plain, form.on(observed))

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Observed outcomes: y, z, and with three levels z3."""
        above = () if self.nested is None else self.nested.z3_names
        return (*self.template.outcomes, *above)

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

    def value_vectors(self, theta: FloatArray) -> FloatArray:
        """Vectors that the cells of the template point into, of extended theta (n, n_theta).

        NaN stands for rows of single clusters.
        """
        template = self.template
        own = np.full((len(theta), len(template.effects.rows)), np.nan)
        constants = np.broadcast_to(template.constants, (len(theta), len(template.constants)))
        return np.concatenate([theta, own, constants], axis=1)

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
    names = {
        "y_names": observed.y_names,
        "z_names": observed.z_names,
        "x_names": observed.x_names,
        "w_names": observed.w_names,
    }
    nested = None
    if table.three_level:
        nested = build_nested(
            table,
            **names,
            z3_names=observed.z3_names,
            w3_names=observed.w3_names,
            position=parameters.position,
        )
        template = nested.lower
    else:
        template = build_template(
            table,
            **names,
            position=parameters.position,
            unknown=missing_predictors(table, observed),
        )
    provider = make_plan(table, incomplete=observed.incomplete).provider
    likelihood = (
        build_likelihood(template, parameters, table, observed, provider)
        if nested is None
        else build_nested_likelihood(nested, parameters, table, observed, provider)
    )
    arrays = pack_priors(table, parameters)
    return Blueprint(
        table, priors, observed, parameters, template, likelihood, arrays, nested=nested
    )


def linked(reported: Blueprint, sampled: Blueprint) -> Blueprint:
    """Return the reported form with its sampled form, which rotates to it."""
    assert sampled.turning is not None
    turning = replace(sampled.turning, reported=reported)
    return replace(reported, sampled_form=replace(sampled, turning=turning))


def reported_form(blueprint: Blueprint) -> Blueprint:
    """Return the reported form of a sampled one, linked to it; other models as they are."""
    if blueprint.turning is None:
        return blueprint
    return linked(blueprint.turning.reported, blueprint)


def with_approximation(
    blueprint: Blueprint, approximation: Approximation, pilot: FloatArray | None
) -> Blueprint:
    """Return the same blueprint with other coordinates of the sampled effects.

    Effects of clusters do not turn with exploratory factors, so both forms share coordinates.
    """
    likelihood = blueprint.likelihood.with_approximation(approximation)
    result = replace(blueprint, likelihood=likelihood, pilot=pilot)
    if blueprint.turning is None:
        return result
    reported = with_approximation(blueprint.turning.reported, approximation, None)
    return replace(result, turning=replace(blueprint.turning, reported=reported))
