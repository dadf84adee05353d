"""The likelihood of several groups: the sum of those of the groups (kernels.grouped).

It has the methods of :class:`bayes_msem.likelihood.likelihood.Likelihood`. Points are the sampled
parameters of all groups, and coordinates those of the clusters of all groups, group by group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.subsets import take_rows
from bayes_msem.kernels.grouped import PER_GROUP, SUM
from bayes_msem.likelihood.approximation import Approximation, no_approximation
from bayes_msem.likelihood.likelihood import CoordinateMap, Evaluated, Likelihood
from bayes_msem.likelihood.program import build_program
from bayes_msem.spec.table import ParameterTable
from bayes_msem.structure.model_template import ModelTemplate
from bayes_msem.structure.parameters import Parameters

__all__ = ["GroupedLikelihood", "Place", "grouped_likelihood"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Arguments = tuple[IntArray, FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where the data of a group stand in the joint data, whose variables have the group's name.

    Attributes
    ----------
    rows
        Positions of the rows.
    y, z, x, w
        Columns of the group's variables.
    observed
        The data of the group, with the names of the text.
    """

    rows: IntArray
    y: slice
    z: slice
    x: slice
    w: slice
    observed: ObservedData

    def of(self, joint: ObservedData) -> ObservedData:
        """Return the group's part of other joint data of the same kind."""
        part = take_rows(joint, self.rows)
        return replace(
            self.observed,
            y=np.ascontiguousarray(part.y[:, self.y]),
            z=np.ascontiguousarray(part.z[:, self.z]),
            x=np.ascontiguousarray(part.x[:, self.x]),
            w=np.ascontiguousarray(part.w[:, self.w]),
            cluster=part.cluster,
            cluster_ids=part.cluster_ids,
            sizes=part.sizes,
            row_index=part.row_index,
        )


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class GroupedLikelihood(Likelihood):
    """The sum of the likelihoods of groups.

    Attributes
    ----------
    parts
        The likelihoods of the groups.
    places
        Where their data stand in joint data.
    """

    parts: tuple[Likelihood, ...] = ()
    places: tuple[Place, ...] = ()

    @property
    def kernel(self) -> tuple[Any, Any]:
        """The compiled sum, and its signature."""
        signature = self.parts[0].kernel[1]
        return SUM[signature], signature

    @property
    def arguments(self) -> Arguments:
        """What the compiled sum reads; remembered in this process, for it holds addresses."""
        if self not in _PACKED:
            _PACKED[self] = _packed(self.parts)
        return _PACKED[self]

    @property
    def clusters(self) -> list[slice]:
        """Where the clusters of every group stand among all."""
        stops = np.cumsum([part.shape[0] for part in self.parts]).tolist()
        return [slice(a, b) for a, b in zip([0, *stops], stops, strict=False)]

    def with_parts(self, parts: Sequence[Likelihood]) -> GroupedLikelihood:
        """Return the sum of other likelihoods of the same groups."""
        return replace(self, parts=tuple(parts))

    def with_approximation(self, approximation: Approximation) -> GroupedLikelihood:
        """Return the sum with other coordinates, which hold for the clusters of all groups."""
        own = []
        for part, chosen in zip(self.parts, self.clusters, strict=True):
            cut = replace(
                approximation,
                information=np.ascontiguousarray(approximation.information[chosen]),
                linear=np.ascontiguousarray(approximation.linear[chosen]),
                z=np.ascontiguousarray(approximation.z[chosen]),
            )
            own.append(part.with_approximation(cut))
        return replace(self, approximation=approximation, parts=tuple(own))

    def pack(self, observed: ObservedData) -> FloatArray:
        """Return the statistics of all groups, one after the other."""
        parts = zip(self.parts, self.places, strict=True)
        return np.concatenate([part.pack(place.of(observed)) for part, place in parts])

    def on(self, observed: ObservedData) -> GroupedLikelihood:
        """Return the likelihood of other joint data of the same kind."""
        parts = zip(self.parts, self.places, strict=True)
        return self.with_parts([part.on(place.of(observed)) for part, place in parts])

    def natural(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Log-likelihood and gradient at table values; only without sampled effects."""
        found = [part.natural(theta) for part in self.parts]
        return sum(value for value, _ in found), np.sum([slope for _, slope in found], axis=0)

    def sampled(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log-likelihood given the effects at (x, t), and its gradients."""
        return _total([p.sampled(x, own) for p, own in self._cut(t)])

    def joint(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log density of data and coordinates, and gradients."""
        return _total([p.joint(x, own) for p, own in self._cut(t)])

    def coordinate_density(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log density of t given the parameters, and its gradients."""
        return _total([p.coordinate_density(x, own) for p, own in self._cut(t)])

    def effects(self, x: FloatArray, t: FloatArray) -> FloatArray:
        """Return the sampled effects of all clusters at (x, t)."""
        return np.concatenate([p.effects(x, own) for p, own in self._cut(t)])

    def coordinate_map(self, x: FloatArray, t: FloatArray) -> CoordinateMap:
        """Return how the sampled effects follow from their coordinates."""
        found = [p.coordinate_map(x, own) for p, own in self._cut(t)]
        return CoordinateMap(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))

    def coordinates(self, x: FloatArray, s: FloatArray) -> FloatArray:
        """Coordinates at which the effects are E b + chol(Omega_bb) s."""
        return np.concatenate([p.coordinates(x, own) for p, own in self._cut(s)])

    def _cut(self, t: FloatArray) -> list[tuple[Likelihood, FloatArray]]:
        """Pair every group's likelihood with the rows of its clusters."""
        return [
            (part, np.ascontiguousarray(t[own]))
            for part, own in zip(self.parts, self.clusters, strict=True)
        ]


_PACKED: WeakKeyDictionary[GroupedLikelihood, Arguments] = WeakKeyDictionary()


def _total(found: Sequence[Evaluated]) -> Evaluated:
    return (
        float(sum(value for value, _, _ in found)),
        np.sum([d_x for _, d_x, _ in found], axis=0),
        np.concatenate([d_t for _, _, d_t in found]),
    )


def _packed(parts: Sequence[Likelihood]) -> Arguments:
    """Lay out the groups as kernels.grouped reads them."""
    own = [part.arguments for part in parts]
    stops = np.cumsum([part.shape[0] for part in parts]).tolist()
    heads = [
        [part.address, *map(len, arrays), stop - part.shape[0], stop]
        for part, arrays, stop in zip(parts, own, stops, strict=True)
    ]
    assert all(len(head) == PER_GROUP for head in heads)
    ints, floats, statistics, approximations = zip(*own, strict=True)
    head = np.array([len(parts), *np.ravel(heads)], dtype=np.int64)
    arrays = (
        np.concatenate([head, *ints]),
        np.concatenate(floats),
        np.concatenate([[float(stops[-1])], *statistics]),
        np.concatenate(approximations),
    )
    for array in arrays:  # as kernels are compiled for
        array.setflags(write=False)
    return arrays


def grouped_likelihood(
    parts: Sequence[Likelihood],
    places: Sequence[Place],
    template: ModelTemplate,
    parameters: Parameters,
    table: ParameterTable,
) -> GroupedLikelihood:
    """Put the likelihoods of groups together.

    Parameters
    ----------
    parts, places
        Likelihoods of the groups, and where their data stand in joint data.
    template, parameters, table
        The joint model, for the map from sampled parameters to table values.
    """
    program = build_program(template, parameters, table)
    n_clusters, n_sampled = sum(part.shape[0] for part in parts), parts[0].n_sampled
    return GroupedLikelihood(
        provider=parts[0].provider,
        program=program,
        natural_program=build_program(template, parameters, table, natural=True),
        row_program=program,
        statistics=np.concatenate([part.statistics for part in parts]),
        shape=(n_clusters, n_sampled),
        approximation=no_approximation(n_clusters, n_sampled),
        parts=tuple(parts),
        places=tuple(places),
    )
