"""The likelihood of one model and one data set.

The plan says what it is computed from (kernels.providers). Everything the rest of the package asks
of the kernels goes through here; packed arrays do not leave this room.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.readonly import ReadOnlyArrays
from bayes_msem.kernels import augmented, recovery
from bayes_msem.kernels.by_address import OF_PARAMETERS, address_of
from bayes_msem.kernels.by_cluster import value_and_gradient
from bayes_msem.kernels.centring import (
    coordinate_density,
    coordinate_map,
    coordinates_of,
    effects_at,
)
from bayes_msem.kernels.density import NO_ROWS, POSTERIOR, Geometry, Packed
from bayes_msem.kernels.priors import PriorArrays
from bayes_msem.kernels.providers import DATA, JOINT
from bayes_msem.likelihood.approximation import Approximation, no_approximation
from bayes_msem.likelihood.program import Program, build_program
from bayes_msem.likelihood.response_rows import Responses, lay_out_rows
from bayes_msem.likelihood.statistics import PACKERS, Provider
from bayes_msem.spec.table import ParameterTable
from bayes_msem.structure.model_template import ModelTemplate
from bayes_msem.structure.parameters import Parameters

__all__ = [
    "CoordinateMap",
    "Likelihood",
    "Messages",
    "OutcomeMoments",
    "WithinMoments",
    "build_likelihood",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Evaluated = tuple[float, FloatArray, FloatArray]


class OutcomeMoments(NamedTuple):
    """Moments of the outcomes (y, z) of a model whose only random coefficients are intercepts.

    Attributes
    ----------
    Sigma_w, Sigma_b
        Covariance matrices of the within and between parts, (P, P); zero in rows of outcomes
        without that part.
    coefficients
        Mean coefficients (P, D) on the design vector (1, x, w).
    """

    Sigma_w: FloatArray
    Sigma_b: FloatArray
    coefficients: FloatArray


class LevelTwoMoments(NamedTuple):
    """Moments of level 2, u = (a, z, b).

    Attributes
    ----------
    Omega
        Residual covariance matrix, (n_u, n_u).
    coefficients
        Mean coefficients (Dw, n_u) on (1, w).
    """

    Omega: FloatArray
    coefficients: FloatArray


class WithinMoments(NamedTuple):
    """Moments of the rows of every cluster, given its effects.

    Attributes
    ----------
    Sigma
        Covariance matrices, (J, p, p).
    coefficients
        Fixed coefficients (J, D, p) on (1, x).
    vectors
        What every use of a linear effect adds to the outcomes, (J, uses, p).
    """

    Sigma: FloatArray
    coefficients: FloatArray
    vectors: FloatArray


class Messages(NamedTuple):
    """What the rows of every cluster say about its effects: value - 1/2 d'H d + g'd.

    Attributes
    ----------
    value, gradient, information
        c (J,), g (J, n_a) and H (J, n_a, n_a).
    """

    value: FloatArray
    gradient: FloatArray
    information: FloatArray


class ClusterTerms(NamedTuple):
    """Log density of the responses of every cluster (J,), and its gradient in effects (J, n_b)."""

    value: FloatArray
    d_effects: FloatArray


class RowTerms(NamedTuple):
    """Terms of the rows of every cluster, and the gradients of their sum.

    Attributes
    ----------
    value
        Log p(y, scores | effects) and the log volume of the coordinates, (J,).
    d_effects, d_scores
        Gradients (J, n_b) and (N, q).
    """

    value: FloatArray
    d_effects: FloatArray
    d_scores: FloatArray


class RowScores(NamedTuple):
    """Scores, and what follows from them.

    Attributes
    ----------
    scores, predictors, carried
        (N, q), (N, K) without what is due to correlated residuals, and y* of carried responses
        without random intercepts, (N, M).
    """

    scores: FloatArray
    predictors: FloatArray
    carried: FloatArray

    @property
    def sampled(self) -> FloatArray:
        """Scores and carried y*, (N, q + M)."""
        return np.hstack([self.scores, self.carried])


class CoordinateMap(NamedTuple):
    """How effects follow from coordinates t (see kernels.centring.coordinate_map)."""

    deviation: FloatArray
    slope: FloatArray
    s: FloatArray
    mean: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Likelihood(ReadOnlyArrays):
    """The likelihood of one model and one data set.

    Points are sampled parameters x with the constrained rows behind them (n_theta,), coordinates t
    of sampled effects (J, n_b), and sampled effects b (J, n_b).

    Attributes
    ----------
    provider
        What it is computed from.
    program, natural_program
        Packed structure for sampled parameters, and for table values (no transforms).
    row_program
        With the outcomes of level within where ``program`` has none, because they stand in
        ``responses``; else ``program``.
    statistics
        What the provider reads.
    shape
        Numbers of clusters and of sampled effects.
    approximation
        Of what each cluster's data say about its effects: the coordinates t are built on it.
    responses
        Rows with outcomes that are not normal; None if all are normal.
    """

    provider: Provider
    program: Program
    natural_program: Program
    row_program: Program
    statistics: FloatArray
    shape: tuple[int, int]
    approximation: Approximation
    responses: Responses | None = None

    @property
    def n_sampled(self) -> int:
        """Number of sampled effects per cluster."""
        return self.shape[1]

    @property
    def score_shape(self) -> tuple[int, int]:
        """Numbers of rows and of sampled scores per row; (0, 0) if none are sampled."""
        return (0, 0) if self.responses is None else self.responses.shape

    @property
    def n_coordinates(self) -> int:
        """Number of coordinates of effects and scores."""
        return self.shape[0] * self.shape[1] + self.score_shape[0] * self.score_shape[1]

    @property
    def kernel(self) -> tuple[Any, Any]:
        """The compiled joint density of data and coordinates, and its signature."""
        by_vector = self.provider == "size" and self.statistics[0] < 0.0
        return JOINT["vector" if by_vector else self.provider]

    @property
    def address(self) -> int:
        """Where that density is in the memory of this process."""
        return address_of(*self.kernel)

    @property
    def everything(self) -> Packed:
        """What the compiled density reads besides parameters and coordinates."""
        rows = NO_ROWS if self.responses is None else self.responses.part
        return Packed(*self.arguments, *rows)

    @property
    def arguments(self) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        """What the kernels of the provider read besides parameters and coordinates."""
        program, packed = self.program, self.approximation.packed
        return program.ints, program.floats, self.statistics, packed

    def with_approximation(self, approximation: Approximation) -> Likelihood:
        """Return the same likelihood with other coordinates of the sampled effects."""
        return replace(self, approximation=approximation)

    def with_working(
        self, weight: FloatArray, target: FloatArray, carried: FloatArray
    ) -> Likelihood:
        """Return the same likelihood with other coordinates of the scores."""
        assert self.responses is not None
        return replace(self, responses=self.responses.with_working(weight, target, carried))

    def pack(self, observed: ObservedData) -> FloatArray:
        """Pack other data of the same kind as the provider reads them; not those of responses."""
        return PACKERS[self.provider](observed)

    def on(self, observed: ObservedData) -> Likelihood:
        """Return the likelihood of other data of the same kind, with the same coordinates."""
        statistics, responses = self.pack(observed), self.responses
        if responses is not None:
            responses = responses.on(observed)
        return replace(self, statistics=statistics, responses=responses)

    def no_coordinates(self) -> FloatArray:
        """Return the coordinates of a model without sampled effects, (J, 0)."""
        return np.empty((self.shape[0], 0))

    # densities -----------------------------------------------------------------------------------

    def natural(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Log-likelihood and gradient at table values (n_theta,); only without sampled effects."""
        program, packed = self.natural_program, self.approximation.packed
        arguments = program.ints, program.floats, self.statistics, packed
        value, gradient, _ = self._evaluated(theta, self.no_coordinates(), *arguments)
        return float(value), gradient

    def sampled(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log-likelihood given the effects at (x, t), and its gradients."""
        if self.n_sampled:
            value, d_x, d_t = DATA[self.provider](x, t, *self.arguments)
            return float(value), d_x, d_t
        return self._evaluated(x, t, *self.arguments)

    def joint(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log-likelihood plus log density of the coordinates, and gradients, in one pass.

        With sampled scores, at the origin of their coordinates: Laplace's approximation.
        """
        if self.responses is not None:
            return self.joint_with_scores(x, t, np.zeros(self.score_shape))[:3]
        return self._evaluated(x, t, *self.arguments)

    def _evaluated(self, x: FloatArray, t: FloatArray, *arguments: Any) -> Evaluated:
        """Call the joint density of data and effects with these packed arrays."""
        function, signature = self.kernel
        if signature == OF_PARAMETERS:
            value, d_x = function(x, *arguments[:3])
            return float(value), d_x, np.zeros_like(t)
        value, d_x, d_t = function(x, t, *arguments)
        return float(value), d_x, d_t

    def coordinate_density(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log density of t given the parameters, and its gradients.

        With responses that in x is NaN: thresholds move the coordinates, which its kernel does not
        know.
        """
        if not self.n_sampled:
            return 0.0, np.zeros_like(x), np.zeros_like(t)
        value, d_x, d_t = coordinate_density(x, t, *self._around(x))
        return float(value), d_x if self.responses is None else np.full_like(x, np.nan), d_t

    def posterior(
        self, v: FloatArray, jacobian: bool, priors: PriorArrays, geometry: Geometry
    ) -> tuple[float, FloatArray]:
        """Log posterior at coordinates v of parameters and sampled effects, and its gradient.

        ``jacobian``: the density of v, not that of the parameters. See kernels.density.
        """
        # kernels do not look where arrays end, and calls at an address do not convert
        n = len(priors.family) + self.n_coordinates
        if v.shape != (n,):
            raise ValueError(f"coordinates have shape {v.shape}, not {(n,)}")
        v = np.require(v, np.float64, ("C", "W"))
        gradient, packed = np.empty(n), self.everything
        value = POSTERIOR[self.kernel[1]](
            self.address, v, 1.0 if jacobian else 0.0, priors, geometry, packed, gradient
        )
        return float(value), gradient

    # values and moments --------------------------------------------------------------------------

    def theta(self, x: FloatArray) -> FloatArray:
        """Table values of the free parameters at draws x, both (n_draws, n)."""
        theta: FloatArray = recovery.theta_draws(x, self.program.ints, self.program.floats)
        return theta

    def values(self, x: FloatArray, b: FloatArray | None = None) -> FloatArray:
        """Value vector that the cells of the template point into.

        Parameters
        ----------
        x
            Sampled parameters and constrained rows, (n_theta,), or many draws of them,
            (S, n_theta): there are S vectors then.
        b
            Sampled effects of the cluster whose rows of sampled effects are wanted, (n_b,) or
            (S, n_b).
        """
        b = np.zeros((*x.shape[:-1], self.n_sampled)) if b is None else b
        values: FloatArray
        if x.ndim == 2:
            draws, program = (_own(x), _own(b)), self.program
            values = recovery.values_of_draws(*draws, program.ints, program.floats)
        else:
            values = recovery.values_at(x, b, self.program.ints, self.program.floats)
        return values

    def level_two(self, x: FloatArray, *, natural: bool = False) -> LevelTwoMoments:
        """Moments of level 2, at sampled parameters or at table values.

        Of one draw (n_theta,), or of many (S, n_theta), which then come first.
        """
        program = self.natural_program if natural else self.program
        if x.ndim == 2:
            every = recovery.level_two_of_draws(_own(x), program.ints, program.floats)
            return LevelTwoMoments(*every)
        return LevelTwoMoments(*recovery.level_two_moments(x, program.ints, program.floats))

    def within(self, x: FloatArray, b: FloatArray, *, natural: bool = False) -> WithinMoments:
        """Moments of the rows of clusters with effects b (n, n_b), at x or at table values."""
        program = self.natural_program if natural else self.row_program
        structures = recovery.cluster_structures(x, b, program.ints, program.floats)
        return WithinMoments(*structures)

    def outcomes(self, theta: FloatArray) -> OutcomeMoments:
        """Moments of the outcomes at table values; only of random intercepts."""
        program = self.natural_program
        moments = recovery.outcome_moments_at(theta, program.ints, program.floats)
        return OutcomeMoments(*moments)

    # effects -------------------------------------------------------------------------------------

    def effects(self, x: FloatArray, t: FloatArray) -> FloatArray:
        """Return the sampled effects (J, n_b) at (x, t)."""
        effects: FloatArray = effects_at(x, _own(t), *self._around(x))
        return effects

    def coordinate_map(self, x: FloatArray, t: FloatArray) -> CoordinateMap:
        """How the sampled effects follow from their coordinates."""
        return CoordinateMap(*coordinate_map(x, _own(t), *self._around(x)))

    def coordinates(self, x: FloatArray, s: FloatArray) -> FloatArray:
        """Coordinates at which the effects are E b + chol(Omega_bb) s, both (J, n_b)."""
        t: FloatArray = coordinates_of(x, s, *self._around(x))
        return t

    def _around(self, x: FloatArray) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        """Return ``arguments`` with the approximation moved to where x puts it.

        Thresholds and what clusters' responses say move it. kernels.augmented does so by itself;
        the kernels of coordinates know nothing of either.
        """
        if self.responses is None or not self.n_sampled:
            return self.arguments
        approximation = self.approximation
        move = np.einsum("jik,k->ji", approximation.information, self.shift(x))
        information, linear = self.clusters_say(x, np.zeros(self.n_sampled))
        moved = replace(
            approximation,
            information=approximation.information + information,
            linear=approximation.linear + linear + move,
        )
        return (*self.arguments[:3], moved.packed)

    # rows ----------------------------------------------------------------------------------------

    def joint_with_scores(
        self, x: FloatArray, t: FloatArray, t_s: FloatArray
    ) -> tuple[float, FloatArray, FloatArray, FloatArray]:
        """Log density of data and coordinates, and its gradients in x, t and t_s."""
        assert self.responses is not None
        found = augmented.joint_value_and_gradient(x, t, t_s, *self.arguments, self.responses.part)
        return float(found[0]), *found[1:4]

    def scores(self, x: FloatArray, b: FloatArray, t_s: FloatArray) -> RowScores:
        """Return scores, linear predictors and carried y*, in the order of ``responses``."""
        assert self.responses is not None
        program = self.program
        found = augmented.scores_at(
            x, self._by_group(b), _own(t_s), program.ints, program.floats, self.responses.part
        )
        return RowScores(*found)

    def score_coordinates(self, x: FloatArray, b: FloatArray, normals: FloatArray) -> FloatArray:
        """Coordinates of scores that ``normals`` standardise given effects b, both (N, q).

        For draws of scores from their distribution given effects and normal outcomes. Coordinates
        of carried responses are drawn given everything else, as ``normals`` say.
        """
        assert self.responses is not None
        rows, t_s, origin = self.responses, normals.copy(), np.zeros_like(normals)
        none, q = np.zeros(rows.y.shape), normals.shape[1] - len(rows.template.carried)
        goal = self.with_working(none, none, rows.carried).scores(x, b, normals).scores
        start = self.scores(x, b, origin).scores
        steps = np.eye(normals.shape[1])[:q]
        slopes = [self.scores(x, b, origin + h).scores - start for h in steps]
        if slopes:
            move = (goal - start)[:, :, None]
            t_s[:, :q] = np.linalg.solve(np.stack(slopes, axis=-1), move)[:, :, 0]
        return t_s

    def row_terms(self, x: FloatArray, b: FloatArray, t_s: FloatArray) -> RowTerms:
        """Return the terms of the rows of every cluster at effects b and coordinates t_s."""
        assert self.responses is not None
        program = self.program
        found = augmented.rows_given(
            x, self._by_group(b), _own(t_s), program.ints, program.floats, self.responses.part
        )
        return RowTerms(*found)

    def cluster_terms(self, x: FloatArray, b: FloatArray) -> ClusterTerms:
        """Log density of the responses of every cluster at effects b (J, n_b)."""
        assert self.responses is not None
        if self.responses.of_clusters is None:
            return ClusterTerms(np.zeros(len(self.responses.first) - 1), np.zeros_like(b))
        program, part = self.program, self.responses.part
        found = augmented.clusters_given(x, _own(b), program.ints, program.floats, part)
        return ClusterTerms(*found)

    def with_cluster_working(self, x: FloatArray, b: FloatArray) -> Likelihood:
        """Return the same likelihood, the responses of clusters approximated around effects b."""
        assert self.responses is not None
        if self.responses.of_clusters is None:
            return self
        program, part = self.program, self.responses.part
        found = augmented.clusters_working_at(x, _own(b), program.ints, program.floats, part)
        return replace(self, responses=self.responses.with_cluster_working(*found))

    def clusters_say(self, x: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what the responses of clusters say about effects, with their loadings at x.

        Returns
        -------
        tuple of arrays
            Information (J, n_b, n_b) and linear terms (J, n_b), to be added to those of rows.
        """
        assert self.responses is not None
        n_clusters, n_b = self.shape
        if self.responses.of_clusters is None:
            return np.zeros((n_clusters, n_b, n_b)), np.zeros((n_clusters, n_b))
        program, part = self.program, self.responses.part
        found: tuple[FloatArray, FloatArray] = augmented.clusters_say(
            x, n_b, shift, program.ints, program.floats, part
        )
        return found

    def _by_group(self, b: FloatArray) -> FloatArray:
        """Return effects by group of rows: a single-level model has one group, and no effects."""
        return _own(b) if self.shape[0] else np.zeros((1, 0))

    def shift(self, x: FloatArray) -> FloatArray:
        """How far the thresholds at x move what the data say about each effect, (n_b,)."""
        assert self.responses is not None
        shift = np.zeros(self.n_sampled)
        for effect, middle in zip(self.responses.template.effect, self._middles(x), strict=True):
            if effect >= 0:
                shift[effect] += middle
        return shift

    def _middles(self, x: FloatArray) -> FloatArray:
        """Means of the thresholds of every response at x, (K,); 0 where there are none."""
        assert self.responses is not None
        template, values = self.responses.template, self.values(x)
        found = [template.thresholds(values, k) for k in range(len(template.effect))]
        return np.array([cuts.mean() if len(cuts) else 0.0 for cuts in found])

    def working(self, x: FloatArray, at: RowScores) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Working weights and working responses (N, K), and frozen y* (N, M), around scores."""
        assert self.responses is not None
        program, part = self.program, self.responses.part
        weight, target = augmented.working_at(
            x, _own(at.predictors), program.ints, program.floats, part
        )
        carried, template = at.carried.copy(), self.responses.template
        follow = np.flatnonzero(template.effect[: carried.shape[1]] < 0)
        carried[:, follow] -= self._middles(x)[follow]
        return weight, target, carried

    def given_effects(self, x: FloatArray, b: FloatArray, statistics: FloatArray) -> float:
        """Log-likelihood given sampled effects b (J, n_b), from statistics by cluster."""
        b, weights, program = _own(b), np.ones((len(b), 1)), self.program
        value, _, _ = value_and_gradient(x, b, weights, program.ints, program.floats, statistics)
        return float(value)

    def terms(self, x: FloatArray, b: FloatArray, statistics: FloatArray) -> FloatArray:
        """Log p(y_j, z_j | b_j) of clusters at many b: (nodes, J) from b (nodes, J, n_b)."""
        program = self.program
        terms: FloatArray = recovery.node_log_likelihoods(
            _own(x), _own(b), program.ints, program.floats, statistics
        )
        return terms

    def linear_effects(
        self, x: FloatArray, b: FloatArray, normals: FloatArray, statistics: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Draw the linear effects given sampled effects and data (zeros: their means).

        Parameters
        ----------
        x, b, normals
            Parameters (n_theta,), sampled effects (J, n_b) and standard normal numbers (J, uses),
            or S draws of each, which then come first.
        statistics
            By cluster.

        Returns
        -------
        tuple of (J, n_a) or (S, J, n_a) arrays
            The draws, and the posterior variances.
        """
        if x.ndim == 1:
            draws, variances = self.linear_effects(x[None], b[None], normals[None], statistics)
            return draws[0], variances[0]
        program = self.program
        drawn: tuple[FloatArray, FloatArray] = recovery.linear_effects(
            _own(x), _own(b), program.ints, program.floats, statistics, _own(normals)
        )
        return drawn

    def messages(self, x: FloatArray, a: FloatArray, b: FloatArray) -> Messages:
        """Return what the rows say about linear effects around a, given b; with sampled effects."""
        assert self.provider == "sampled", "other providers do not read statistics by cluster"
        program = self.program
        found = recovery.cluster_messages(x, a, b, program.ints, program.floats, self.statistics)
        return Messages(*found)


def _own(array: FloatArray) -> FloatArray:
    """Return the kind of array that kernels are compiled for: rows together, and writable."""
    return np.require(array, requirements=("C", "W"))


def build_likelihood(
    template: ModelTemplate,
    parameters: Parameters,
    table: ParameterTable,
    observed: ObservedData,
    provider: Provider,
) -> Likelihood:
    """Assemble the likelihood of a model that the plan wants computed from ``provider``."""
    n_sampled = len(template.effects.sampled)
    program = row_program = build_program(template, parameters, table)
    responses = None
    if template.responses is not None:
        program = build_program(template, parameters, table, with_rows=False)
        responses = lay_out_rows(template.responses, template.cluster_responses, observed)
    return Likelihood(
        provider=provider,
        program=program,
        row_program=row_program,
        natural_program=build_program(template, parameters, table, natural=True),
        statistics=PACKERS[provider](observed),
        shape=(observed.n_clusters, n_sampled),
        # non-centred coordinates until a pilot says what each cluster's data know
        approximation=no_approximation(observed.n_clusters, n_sampled),
        responses=responses,
    )
