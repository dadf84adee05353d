"""Ordered categories 0, ..., K - 1, cut from a latent response by K - 1 thresholds.

y = c  where  tau_c < y* <= tau_(c + 1) ,   y* = eta + e ,   tau_0 = -inf,  tau_K = inf
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.outcomes.links import LINKS
from bayes_msem.outcomes.outcome import Outcome, WorkingResponse

__all__ = ["Ordinal"]

FloatArray = NDArray[np.float64]


class Ordinal(Outcome):
    """Ordered categories with a probit or logit link.

    Examples
    --------
    >>> item = Ordinal("probit")
    >>> item.probabilities(0.0, thresholds=[-1.0, 1.0]).round(3).tolist()
    [0.159, 0.683, 0.159]
    """

    name: ClassVar[str] = "ordinal"
    links: ClassVar[tuple[str, ...]] = tuple(LINKS)
    has_thresholds: ClassVar[bool] = True

    def __init__(self, link: str) -> None:
        super().__init__(link)
        self._link = LINKS[link]
        self.residual_variance = self._link.variance

    @property
    def code(self) -> int:
        """The family in kernels.responses."""
        return self._link.code

    def log_density(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
    ) -> FloatArray:
        """Log probability of the observed categories; 0 where they are missing."""
        edges, category = self._edges(thresholds), np.asarray(y, dtype=np.float64)
        predictor = np.asarray(eta, dtype=np.float64)
        shape = np.broadcast_shapes(category.shape, predictor.shape, edges.shape[:-1])
        known = np.broadcast_to(~np.isnan(category), shape)
        position = np.broadcast_to(np.nan_to_num(category), shape).astype(np.int64)[..., None]
        around = np.broadcast_to(edges, (*shape, edges.shape[-1]))
        lower = np.take_along_axis(around, position, axis=-1)[..., 0]
        upper = np.take_along_axis(around, position + 1, axis=-1)[..., 0]
        log_p = self._link.log_between(lower - predictor, upper - predictor)
        return np.where(known, log_p, 0.0)

    def mean(self, eta: ArrayLike, thresholds: ArrayLike | None = None) -> FloatArray:
        """Return the mean of the codes, sum_k P(y* > tau_k)."""
        cuts = self._edges(thresholds)[..., 1:-1]
        above = np.asarray(eta, dtype=np.float64)[..., None] - cuts
        return np.asarray(np.exp(self._link.log_cdf(above)).sum(axis=-1))

    def marginal_mean(
        self, mean: ArrayLike, variance: ArrayLike, thresholds: ArrayLike | None = None
    ) -> FloatArray:
        """Return the mean of the codes if the linear predictor is N(mean, variance)."""
        shares = self.marginal_probabilities(mean, variance, thresholds)
        return np.asarray(shares @ np.arange(shares.shape[-1], dtype=np.float64))

    def marginal_probabilities(
        self,
        mean: ArrayLike,
        variance: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
        *,
        values: ArrayLike | None = None,
    ) -> FloatArray:
        """Probabilities if the linear predictor is N(mean, variance): exact for probits.

        y* is then normal with variance 1 + variance. Logits are integrated numerically.

        Examples
        --------
        >>> Ordinal("probit").marginal_probabilities(0.0, 3.0, [1.0]).round(3).tolist()
        [0.691, 0.309]
        """
        if self.link != "probit":
            return super().marginal_probabilities(mean, variance, thresholds, values=values)
        sd = np.sqrt(1.0 + np.asarray(variance, dtype=np.float64))
        cuts = self._edges(thresholds)[..., 1:-1] / sd[..., None]
        return self.probabilities(np.asarray(mean) / sd, cuts, values=values)

    def simulate(
        self,
        rng: np.random.Generator,
        eta: ArrayLike,
        thresholds: ArrayLike | None = None,
        dispersion: ArrayLike | None = None,
    ) -> FloatArray:
        """Draw latent responses, and count the thresholds below them."""
        cuts = self._edges(thresholds)[..., 1:-1]
        predictor = np.asarray(eta, dtype=np.float64)
        shape = np.broadcast_shapes(predictor.shape, cuts.shape[:-1])
        latent = predictor + self._link.draw(rng, shape)
        return np.asarray((latent[..., None] > cuts).sum(axis=-1), dtype=np.float64)

    def working_response(
        self, y: FloatArray, *, exposure: FloatArray | None = None, categories: int | None = None
    ) -> WorkingResponse:
        """Return thresholds that reproduce the shares, and E(e | category) as scores.

        Half an observation is added to every category, so that thresholds are finite.
        """
        known = ~np.isnan(y)
        codes = y[known].astype(np.int64)
        k = self._categories(codes, categories)
        shares = (np.bincount(codes, minlength=k) + 0.5) / (len(codes) + 0.5 * k)
        below = np.concatenate([[0.0], np.cumsum(shares)[:-1], [1.0]])
        scores = np.diff(self._link.partial_mean(below)) / shares
        response = np.full(y.shape, np.nan)
        response[known] = scores[codes]
        return WorkingResponse(response, thresholds=self._link.quantile(below[1:-1]))

    def _categories(self, codes: NDArray[np.int64], categories: int | None) -> int:
        return max(2, int(codes.max(initial=1)) + 1) if categories is None else categories

    def _values(self, thresholds: ArrayLike | None, values: ArrayLike | None) -> FloatArray:
        """All categories, if not said otherwise."""
        if values is not None:
            return np.asarray(values, dtype=np.float64)
        return np.arange(self._edges(thresholds).shape[-1] - 1, dtype=np.float64)

    def _edges(self, thresholds: ArrayLike | None) -> FloatArray:
        """Thresholds with the infinite ones at the ends, (..., K + 1)."""
        if thresholds is None:
            raise SpecificationError(
                f"outcomes of family '{self.name}({self.link})' need thresholds, one fewer than "
                "categories"
            )
        cuts = np.asarray(thresholds, dtype=np.float64)
        ends = np.broadcast_to(np.inf, (*cuts.shape[:-1], 1))
        return np.concatenate([-ends, cuts, ends], axis=-1)
