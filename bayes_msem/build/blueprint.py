"""The blueprint: everything that one model and one data set determine, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.moments import Moments, moments
from bayes_msem.data.observe import ObservedData
from bayes_msem.likelihood.marginal import (
    Program,
    build_program,
    pack_moments,
    theta_draws,
)
from bayes_msem.spec.expressions import derivative, evaluate, names
from bayes_msem.spec.priors import Prior
from bayes_msem.spec.table import ParameterTable, RowKey
from bayes_msem.structure.parameters import Parameters, build_parameters
from bayes_msem.structure.templates import Templates, build_templates

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A model structure with its data.

    Attributes
    ----------
    table
        Parameter table with the priors filled in.
    priors
        Free number -> prior.
    observed, moments, statistics
        The data, their sufficient statistics, and these packed for the kernel.
    parameters, templates, program
        See :mod:`bayes_msem.structure` and :mod:`bayes_msem.likelihood.marginal`.
    """

    table: ParameterTable
    priors: Mapping[int, Prior]
    observed: ObservedData
    moments: Moments
    statistics: FloatArray
    parameters: Parameters
    templates: Templates
    program: Program

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
        free = theta_draws(np.ascontiguousarray(x), self.program.ints, self.program.floats)
        return self.extend(free)

    def row_value(self, key: RowKey, theta: FloatArray) -> FloatArray:
        """Values of one table row, given the extended theta of shape (..., n_theta)."""
        source = self.templates.sources[key]
        if source < self.templates.n_theta:
            return theta[..., source]
        constant = self.templates.constants[source - self.templates.n_theta]
        return np.full(theta.shape[:-1], constant)


def build_blueprint(
    table: ParameterTable, priors: Mapping[int, Prior], observed: ObservedData
) -> Blueprint:
    """Assemble the blueprint of a model with random intercepts.

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
    templates = build_templates(
        table,
        y_names=observed.y_names,
        z_names=observed.z_names,
        x_names=observed.x_names,
        w_names=observed.w_names,
        position=parameters.position,
    )
    statistics = moments(observed)
    return Blueprint(
        table=table,
        priors=priors,
        observed=observed,
        moments=statistics,
        statistics=pack_moments(statistics),
        parameters=parameters,
        templates=templates,
        program=build_program(templates, parameters),
    )
