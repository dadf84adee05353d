"""One data set, observed or replicated, reduced to what the discrepancies read."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.checking.predictive.design import Design
from bayes_msem.data.observed_data import ObservedData, frame_of

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """Complete outcomes on a design.

    Attributes
    ----------
    design
        Rows and clusters.
    y
        Level-1 outcomes, centred at ``design.center``, (N, p).
    z
        Cluster-level outcomes, (J, q).
    """

    design: Design
    y: FloatArray
    z: FloatArray
    _found: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def once[Result](self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """Compute what depends on these data alone; the next time it is known.

        The observed data are compared with every replicate, but are always the same.
        """
        if key not in self._found:
            self._found[key] = compute()
        found: Result = self._found[key]
        return found

    @cached_property
    def data(self) -> ObservedData:
        """The data in their own units, rows sorted by cluster."""
        return replace(self.design.observed, y=self.y + self.design.center, z=self.z)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The data as a frame, rows in the order of the user's data."""
        frame = frame_of(self.data, self.data.y, self.data.z)
        return frame.iloc[np.argsort(self.design.rows)]

    @cached_property
    def swept(self) -> FloatArray:
        """What random effects cannot explain, (N, p)."""
        return self.design.sweep(self.y)

    @cached_property
    def swept_products(self) -> tuple[FloatArray, FloatArray]:
        """Cross products of the swept outcomes, (G, p, p), and with swept covariates (G, k, p)."""
        swept = self.swept
        products = self.design.products
        return products(swept, swept), products(self.design.rest_swept, swept)

    @cached_property
    def effect_products(self) -> FloatArray:
        """Sums of d_c y' for the columns c with random effects, (J, C, p)."""
        d = self.design.d[:, self.design.columns]
        return self.design.sums(d[:, :, None] * self.y[:, None, :])

    @cached_property
    def cluster_means(self) -> FloatArray:
        """Means of y in every cluster, (J, p)."""
        return self.design.sums(self.y) / self.design.sizes[:, None]

    @cached_property
    def deviations(self) -> FloatArray:
        """Outcomes without their cluster means, (N, p)."""
        # columns together: what is summed over rows later is then summed along memory
        return np.asfortranarray(self.y - self.cluster_means[self.design.codes])

    @cached_property
    def residuals(self) -> FloatArray:
        """Deviations without the pooled regression on the covariates, (N, p)."""
        x = self.design.x_swept
        if not x.shape[1]:
            return self.deviations
        explained = x @ (self.design.x_inverse @ (x.T @ self.deviations))
        return np.asfortranarray(self.deviations - explained)

    @cached_property
    def between_means(self) -> FloatArray:
        """Cluster means of split outcomes, then z: what level between shows of itself, (J, k)."""
        names = self.design.observed.y_names
        split = [names.index(name) for name in self.design.observed.split_names]
        return np.column_stack([self.cluster_means[:, split], self.z])
