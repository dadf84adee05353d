"""What every family of outcomes can do, given a linear predictor.

Arrays broadcast: outcomes, linear predictors and dispersions have the same leading axes (draws,
rows), and thresholds have one more, (..., K - 1). For counts, linear predictors include the log of
the exposure. Missing outcomes are NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msem.errors import NotSupportedError
from bayes_msem.gaussian.quadrature import expectation

__all__ = ["Outcome", "WorkingResponse"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_TOLERANCE = 1e-7  # relative to each probability


@dataclass(frozen=True, slots=True, eq=False)
class WorkingResponse:
    """An outcome as if it were normal, from which starting values are computed.

    Attributes
    ----------
    response
        A value on the scale of the linear predictor for every outcome, NaN where that is missing.
    thresholds
        Their starting values (K - 1,); none in families without thresholds.
    dispersion
        Its starting value; none in families without dispersion.
    """

    response: FloatArray
    thresholds: FloatArray | None = None
    dispersion: float | None = None


class Outcome(ABC):
    """One family with one link.

    Parameters
    ----------
    link
        One of ``links``.
    """

    name: ClassVar[str]
    links: ClassVar[tuple[str, ...]]
    has_thresholds: ClassVar[bool] = False
    has_dispersion: ClassVar[bool] = False
    residual_variance: float | None = None
    """Fixed residual variance of the latent response; None where it is free."""

    def __init__(self, link: str) -> None:
        self.link = link

    @property
    @abstractmethod
    def code(self) -> int:
        """The family in kernels.responses."""

    @abstractmethod
    def log_density(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
    ) -> FloatArray:
        """Log density, or log probability, of outcomes; 0 where they are missing."""

    @abstractmethod
    def mean(self, eta: ArrayLike, thresholds: ArrayLike | None = None) -> FloatArray:
        """Return the expected outcome: a share (binary), a mean of codes (ordinal), a rate."""

    @abstractmethod
    def marginal_mean(
        self, mean: ArrayLike, variance: ArrayLike, thresholds: ArrayLike | None = None
    ) -> FloatArray:
        """Return the expected outcome if the linear predictor is N(mean, variance)."""

    @abstractmethod
    def simulate(
        self,
        rng: np.random.Generator,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
    ) -> FloatArray:
        """Draw one outcome per linear predictor, as floats."""

    @abstractmethod
    def working_response(
        self, y: FloatArray, *, exposure: FloatArray | None = None, categories: int | None = None
    ) -> WorkingResponse:
        """Return what to compute starting values from.

        Parameters
        ----------
        y
            Outcomes (n,).
        exposure
            Of counts, (n,); 1 by default.
        categories
            K; by default, as many as the highest code says.
        """

    def _values(self, thresholds: ArrayLike | None, values: ArrayLike | None) -> FloatArray:
        """Outcomes whose probabilities are asked for."""
        raise NotSupportedError(
            f"outcomes of family '{self.name}' have a density, and no probabilities of single "
            "values; ask for the mean"
        )

    def probabilities(
        self,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
        *,
        values: ArrayLike | None = None,
    ) -> FloatArray:
        """Probabilities of single outcomes.

        Parameters
        ----------
        values
            Outcomes (V,); all categories by default. Counts need them.

        Returns
        -------
        numpy.ndarray
            (..., V)
        """
        y = self._values(thresholds, values)
        predictor = np.asarray(eta, dtype=np.float64)[..., None]
        edges = None if thresholds is None else np.asarray(thresholds)[..., None, :]
        spread = None if dispersion is None else np.asarray(dispersion)[..., None]
        return np.exp(self.log_density(y, predictor, edges, spread))

    def marginal_probabilities(
        self,
        mean: ArrayLike,
        variance: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
        *,
        values: ArrayLike | None = None,
    ) -> FloatArray:
        """Probabilities in a population whose linear predictor is N(mean, variance).

        By Gauss-Hermite quadrature (gaussian.quadrature), or an adaptive rule where three sizes of
        it do not agree to 1e-7.

        Parameters
        ----------
        values
            Outcomes (V,); all categories by default. Counts need them.

        Returns
        -------
        numpy.ndarray
            (..., V)
        """
        y, dispersed = self._values(thresholds, values), dispersion is not None
        middle, spread = (np.asarray(v, dtype=np.float64)[..., None] for v in (mean, variance))
        alpha = np.zeros(1) if dispersion is None else np.asarray(dispersion)[..., None]
        edges = np.zeros((1, 1)) if thresholds is None else np.asarray(thresholds)[..., None, :]
        shape = np.broadcast_shapes(
            *(v.shape for v in (y, middle, spread, alpha)), edges.shape[:-1]
        )
        y, middle, spread, alpha = (
            np.broadcast_to(v, shape).reshape(-1) for v in (y, middle, spread, alpha)
        )
        edges = np.broadcast_to(edges, (*shape, edges.shape[-1])).reshape(len(y), -1)

        def log_density(u: FloatArray, at: IntArray) -> FloatArray:
            own = edges[at, None] if self.has_thresholds else None
            return self.log_density(y[at, None], u, own, alpha[at, None] if dispersed else None)

        nodes = self._nodes(y, middle, spread, alpha)
        return _averaged(log_density, middle, spread, *nodes).reshape(shape)

    def _nodes(
        self, y: FloatArray, mean: FloatArray, variance: FloatArray, dispersion: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Centre and scale of the nodes over which predictors N(mean, variance) are averaged."""
        return mean, np.sqrt(variance)


def _averaged(
    log_density: Callable[[FloatArray, IntArray], FloatArray],
    mean: FloatArray,
    variance: FloatArray,
    centre: FloatArray,
    scale: FloatArray,
) -> FloatArray:
    """E exp log_density(u) for u ~ N(mean, variance), with nodes of N(centre, scale^2)."""
    sd, width = (np.where(variance > 0.0, v, 1.0) for v in (np.sqrt(variance), scale))

    def integrand(u: FloatArray, at: IntArray) -> FloatArray:
        v = u[..., 0]
        own = ((v - mean[at, None]) / sd[at, None]) ** 2
        nodes = ((v - centre[at, None]) / width[at, None]) ** 2
        ratio = np.log(width / sd)[at, None]
        return np.exp(log_density(v, at) + ratio + 0.5 * (nodes - own))

    roots = np.where(variance > 0.0, scale, 0.0)[:, None, None]
    return expectation(integrand, centre[:, None], roots, tolerance=_TOLERANCE).value
