"""The likelihood of a three-level model: that of two levels (likelihood.likelihood), and level 3.

Densities, values and moments of levels 1 and 2 are asked for as with two levels. What is said of
clusters given their effects there is said here given the effects c of their top units as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.kernels import nested_recovery
from bayes_msem.likelihood.approximation import no_approximation
from bayes_msem.likelihood.likelihood import LevelTwoMoments, Likelihood
from bayes_msem.likelihood.nested_statistics import NESTED_PACKERS
from bayes_msem.likelihood.program import build_program
from bayes_msem.likelihood.statistics import Provider
from bayes_msem.spec.table import ParameterTable
from bayes_msem.structure.nested import NestedTemplate
from bayes_msem.structure.parameters import Parameters

__all__ = ["NestedDraws", "NestedLikelihood", "build_nested_likelihood"]

FloatArray = NDArray[np.float64]


class NestedDraws(NamedTuple):
    """Effects at both levels at S draws of the parameters, and terms of the likelihood.

    Attributes
    ----------
    unit_terms
        log p(y, z2, z3 | theta) of every top unit, (S, K).
    c
        Effects of top units, from their posterior, (S, K, n_c).
    cluster_terms
        log p(y_j, z2_j | c, theta) of every cluster, (S, J).
    a
        Linear effects of clusters, from their posterior given c, (S, J, n_a).
    """

    unit_terms: FloatArray
    c: FloatArray
    cluster_terms: FloatArray
    a: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class NestedLikelihood(Likelihood):
    """The likelihood of a three-level model and one data set.

    Attributes
    ----------
    template
        Its template.
    """

    template: NestedTemplate | None = None

    def pack(self, observed: ObservedData) -> FloatArray:
        """Pack other data of the same kind as the provider reads them."""
        return NESTED_PACKERS[self.provider](observed)

    def level_three(self, x: FloatArray, *, natural: bool = False) -> LevelTwoMoments:
        """Moments of level 3 at sampled parameters (S, n_theta), or at table values."""
        program = self.natural_program if natural else self.program
        found = nested_recovery.level_three_of_draws(_own(x), program.ints, program.floats)
        return LevelTwoMoments(*found)

    def recover(
        self,
        x: FloatArray,
        normals_c: FloatArray,
        normals_a: FloatArray,
        statistics: FloatArray,
        *,
        c: FloatArray | None = None,
    ) -> NestedDraws:
        """Draw the effects of both levels given the data.

        Parameters
        ----------
        x
            Draws of the parameters, (S, n_theta).
        normals_c, normals_a
            Standard normal numbers, (S, K, n_c) and (S, J, uses); zeros give posterior means.
        statistics
            By cluster ("nested"), whatever the provider.
        c
            Effects of top units (S, K, n_c), if they are given: there are no terms of top units
            then.
        """
        known = c is not None
        own = normals_c if c is None else c
        found = nested_recovery.recovered(
            _own(x), _own(own), known, _own(normals_c), _own(normals_a), self.program.ints,
            self.program.floats, statistics,
        )  # fmt: skip
        return NestedDraws(*found)

    def unit_terms(self, x: FloatArray, statistics: FloatArray) -> FloatArray:
        """Log p(y, z2, z3 | theta) of every top unit, (S, K), at draws x (S, n_theta)."""
        return self.recover(x, *self.no_noise(len(x), statistics), statistics).unit_terms

    def no_noise(self, n_draws: int, statistics: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return zeros in place of the standard normal numbers of n draws."""
        assert self.template is not None
        n_units, effects = int(statistics[1]), self.template.lower.effects
        n_c = len(self.template.top_effects.linear)
        return (
            np.zeros((n_draws, n_units, n_c)),
            np.zeros((n_draws, self.shape[0], len(effects.use_effect))),
        )


def _own(array: FloatArray) -> FloatArray:
    """Return the kind of array that kernels are compiled for: rows together, and writable."""
    return np.require(array, np.float64, ("C", "W"))


def build_nested_likelihood(
    template: NestedTemplate,
    parameters: Parameters,
    table: ParameterTable,
    observed: ObservedData,
    provider: Provider,
) -> NestedLikelihood:
    """Assemble the likelihood of a three-level model."""
    lower, n_sampled = template.lower, len(template.lower.effects.sampled)
    program = build_program(lower, parameters, table, above=template)
    return NestedLikelihood(
        provider=provider,
        program=program,
        row_program=program,
        natural_program=build_program(lower, parameters, table, natural=True, above=template),
        statistics=NESTED_PACKERS[provider](observed),
        shape=(observed.n_clusters, n_sampled),
        approximation=no_approximation(observed.n_clusters, n_sampled),
        template=template,
    )
