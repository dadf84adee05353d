"""The two likelihoods behind one interface.

``MomentEvaluator`` serves models whose only random coefficients are intercepts, on complete data:
sufficient statistics per distinct cluster size. ``ClusterEvaluator`` serves all others: one pass
over the clusters, with sampled effects where some cannot be integrated out.

Both know three things: table values from sampled parameters, the likelihood at table values, and
the likelihood at sampled parameters x and coordinates t of sampled effects (empty if none are).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.moments import Moments
from bayes_msem.data.readonly import ReadOnlyArrays
from bayes_msem.kernels import clusters
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.patterns import marginal_value_and_gradient
from bayes_msem.likelihood import centring
from bayes_msem.likelihood.approximation import Approximation
from bayes_msem.likelihood.cluster_program import ClusterProgram
from bayes_msem.likelihood.marginal import (
    Program,
    sampler_value_and_gradient,
    theta_draws,
    value_and_gradient,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Evaluated = tuple[float, FloatArray, FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class MomentEvaluator(ReadOnlyArrays):
    """Likelihood from sufficient statistics per cluster size.

    Attributes
    ----------
    program, statistics
        Packed structure and packed ``moments``.
    """

    program: Program
    moments: Moments
    statistics: FloatArray

    n_sampled = 0

    def theta(self, x: FloatArray) -> FloatArray:
        """Table values of the free parameters at draws x, both (n_draws, n)."""
        theta: FloatArray = theta_draws(x, self.program.ints, self.program.floats)
        return theta

    def natural(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Log-likelihood and gradient at table values (n_theta,)."""
        program = self.program
        value, gradient = value_and_gradient(theta, program.ints, program.floats, self.statistics)
        return float(value), gradient

    def sampled(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log-likelihood and gradients at sampled parameters (n_theta,); ``t`` is empty."""
        program = self.program
        value, gradient = sampler_value_and_gradient(
            x, program.ints, program.floats, self.statistics
        )
        return float(value), gradient, np.zeros_like(t)

    def joint(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log-likelihood and gradients: there are no coordinates."""
        return self.sampled(x, t)

    def coordinate_density(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Density of the coordinates: there are none."""
        return 0.0, np.zeros_like(x), np.zeros_like(t)


@dataclass(frozen=True, slots=True, eq=False)
class ClusterEvaluator(ReadOnlyArrays):
    """Likelihood by one pass over the clusters.

    Attributes
    ----------
    program
        Packed structure for sampled parameters.
    natural_program
        The same for table values (no transforms).
    statistics
        What the likelihood reads: packed cross products of every cluster, or those of response
        patterns (kernels.patterns).
    cluster_statistics
        Packed cross products of every cluster, always; empty in single-level models.
    approximation
        Of what each cluster's data say about its effects: the coordinates t are built on it.
    """

    program: ClusterProgram
    natural_program: ClusterProgram
    statistics: FloatArray
    cluster_statistics: FloatArray
    approximation: Approximation

    @property
    def arguments(self) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        """What kernels of likelihood.centring read besides parameters and coordinates."""
        program = self.program
        return program.ints, program.floats, self.statistics, self.approximation.packed

    @property
    def coordinates_shape(self) -> tuple[int, int]:
        """Shape (J, n_b) of the coordinates of sampled effects."""
        return len(self.approximation.linear), self.n_sampled

    @property
    def n_sampled(self) -> int:
        """Number of sampled effects per cluster."""
        return self.program.n_sampled

    def theta(self, x: FloatArray) -> FloatArray:
        """Table values of the free parameters at draws x, both (n_draws, n)."""
        theta: FloatArray = _theta_draws(x, self.program.ints, self.program.floats)
        return theta

    def natural(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Log-likelihood and gradient at table values; only without sampled effects."""
        program = self.natural_program
        b = np.empty(self.coordinates_shape)
        value, gradient, _ = marginal_value_and_gradient(
            theta, b, program.ints, program.floats, self.statistics
        )
        return float(value), gradient

    def given_effects(self, theta: FloatArray, b: FloatArray) -> float:
        """Log-likelihood at table values, given sampled effects b (J, n_b)."""
        program = self.natural_program
        value, _, _ = clusters.cluster_value_and_gradient(
            theta, b, program.ints, program.floats, self.statistics
        )
        return float(value)

    def sampled(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log-likelihood given the effects at (x, t), and its gradients."""
        if not self.n_sampled:
            value, d_x, _ = marginal_value_and_gradient(x, t, *self.arguments[:3])
            return float(value), d_x, np.zeros_like(t)
        value, d_x, d_t = centring.sampled_value_and_gradient(x, t, *self.arguments)
        return float(value), d_x, d_t

    def joint(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log-likelihood plus log density of the coordinates, and gradients, in one pass."""
        if not self.n_sampled:
            return self.sampled(x, t)
        value, d_x, d_t = centring.joint_value_and_gradient(x, t, *self.arguments)
        return float(value), d_x, d_t

    def coordinate_density(self, x: FloatArray, t: FloatArray) -> Evaluated:
        """Log density of t given the parameters, and its gradients."""
        if not self.n_sampled:
            return 0.0, np.zeros_like(x), np.zeros_like(t)
        value, d_x, d_t = centring.coordinate_density(x, t, *self.arguments)
        return float(value), d_x, d_t

    def effects(self, x: FloatArray, t: FloatArray) -> FloatArray:
        """Return the sampled effects (J, n_b) at (x, t)."""
        effects: FloatArray = centring.effects_at(x, t, *self.arguments)
        return effects


Evaluator = MomentEvaluator | ClusterEvaluator


@kernel
def _theta_draws(x, ints, floats):
    theta = np.empty_like(x)
    for i in range(x.shape[0]):
        theta[i] = clusters.typical_theta(x[i], ints, floats)[: x.shape[1]]
    return theta
