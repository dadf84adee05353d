"""The blueprint: everything that one model and one data set determine, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.prior_arrays import pack_priors
from bayes_msem.data.moments import Moments, moments
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.kernels.priors import PriorArrays
from bayes_msem.likelihood.approximation import Approximation, no_approximation
from bayes_msem.likelihood.cluster_program import ClusterProgram, build_cluster_program
from bayes_msem.likelihood.cluster_statistics import pack_cluster_statistics
from bayes_msem.likelihood.evaluators import ClusterEvaluator, Evaluator, MomentEvaluator
from bayes_msem.likelihood.marginal import Program, build_program, pack_moments
from bayes_msem.likelihood.pattern_statistics import pack_pattern_statistics
from bayes_msem.likelihood.plan import make_plan
from bayes_msem.spec.expressions import derivative, evaluate, names
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable, RowKey
from bayes_msem.structure.effects import ClusterTemplates, build_cluster_templates
from bayes_msem.structure.parameters import SQUARE, Parameters, build_parameters
from bayes_msem.structure.templates import Templates, build_templates

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
    templates
        The matrix templates; their kind depends on the plan.
    evaluator
        The likelihood.
    prior_arrays
        Priors, bounds and constraints as the compiled density reads them.
    pilot
        Sampled parameters at a mode; only for models with sampled effects.
    """

    table: ParameterTable
    priors: Mapping[int, Prior]
    observed: ObservedData
    parameters: Parameters
    templates: Templates | ClusterTemplates
    evaluator: Evaluator
    prior_arrays: PriorArrays
    pilot: FloatArray | None = None

    @property
    def program(self) -> Program | ClusterProgram:
        """The packed structure."""
        return self.evaluator.program

    @property
    def statistics(self) -> FloatArray:
        """The packed sufficient statistics."""
        return self.evaluator.statistics

    @property
    def n_sampled(self) -> int:
        """Number of effects per cluster that NUTS samples."""
        return self.evaluator.n_sampled

    @property
    def label_positions(self) -> dict[str, int]:
        """Position in theta of every label that stands on a free row."""
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
        return self.extend(self.evaluator.theta(extended)[:, : self.parameters.n])

    def row_value(self, key: RowKey, theta: FloatArray) -> FloatArray:
        """Values of one table row, given the extended theta of shape (..., n_theta).

        Random coefficients have no single value: NaN.
        """
        templates = self.templates
        source = templates.sources.get(key, -1)
        first_constant = templates.n_theta
        if isinstance(templates, ClusterTemplates):
            first_constant += len(templates.effects.rows)
        if 0 <= source < templates.n_theta:
            return theta[..., source]
        value = np.nan if source < first_constant else templates.constants[source - first_constant]
        return np.full(theta.shape[:-1], value)


def build_blueprint(
    table: ParameterTable,
    priors: Mapping[int, Prior],
    observed: ObservedData,
    *,
    by_cluster: bool | None = None,
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
    by_cluster
        Whether to go through the clusters one by one; None: as plan and data ask for.

    Returns
    -------
    Blueprint
    """
    parameters = build_parameters(table, dict(priors))
    arrays = pack_priors(table, parameters)
    names_of = {
        "y_names": observed.y_names,
        "z_names": observed.z_names,
        "x_names": observed.x_names,
        "w_names": observed.w_names,
    }
    position = parameters.position
    if by_cluster is None:
        by_cluster = make_plan(table, incomplete=observed.incomplete).by_cluster
    if by_cluster:
        cluster_templates = build_cluster_templates(table, **names_of, position=position)
        evaluator = _cluster_evaluator(table, parameters, cluster_templates, observed)
        return Blueprint(table, priors, observed, parameters, cluster_templates, evaluator, arrays)
    templates = build_templates(table, **names_of, position=position)
    statistics: Moments = moments(observed)
    moment_evaluator = MomentEvaluator(
        program=build_program(templates, parameters),
        moments=statistics,
        statistics=pack_moments(statistics),
    )
    return Blueprint(table, priors, observed, parameters, templates, moment_evaluator, arrays)


def _cluster_evaluator(
    table: ParameterTable,
    parameters: Parameters,
    templates: ClusterTemplates,
    observed: ObservedData,
) -> ClusterEvaluator:
    n_sampled = len(templates.effects.sampled)
    statistics = likelihood_statistics(observed, n_sampled)
    by_cluster = statistics
    if observed.incomplete and not n_sampled:
        by_cluster = pack_cluster_statistics(observed) if observed.two_level else np.empty(0)
    return ClusterEvaluator(
        program=build_cluster_program(templates, parameters, table),
        natural_program=build_cluster_program(templates, parameters, table, natural=True),
        statistics=statistics,
        cluster_statistics=by_cluster,
        # non-centred coordinates until a pilot says what each cluster's data know
        approximation=no_approximation(observed.n_clusters, n_sampled),
    )


def likelihood_statistics(observed: ObservedData, n_sampled: int) -> FloatArray:
    """Pack what the likelihood of a :class:`ClusterEvaluator` reads."""
    if n_sampled or (observed.two_level and not observed.incomplete):
        return pack_cluster_statistics(observed)
    return pack_pattern_statistics(observed)


def statistics_of(blueprint: Blueprint, data: ObservedData) -> FloatArray:
    """Pack other data of the same kind as the likelihood of a blueprint reads them."""
    if isinstance(blueprint.evaluator, ClusterEvaluator):
        return likelihood_statistics(data, blueprint.n_sampled)
    return pack_moments(moments(data))


def with_approximation(
    blueprint: Blueprint, approximation: Approximation, pilot: FloatArray | None
) -> Blueprint:
    """Return the same blueprint with other coordinates of the sampled effects."""
    assert isinstance(blueprint.evaluator, ClusterEvaluator)
    evaluator = replace(blueprint.evaluator, approximation=approximation)
    return replace(blueprint, evaluator=evaluator, pilot=pilot)
