"""The compiled density as nutpie takes it: a table of addresses behind two C functions.

nutpie compiles its own functions for each model; those of kernels.nuts_functions serve all, so that
a model costs no compilation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from nutpie import _lib
from nutpie.sample import CompiledModel

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.coordinates import COORDINATES, SCORE_COORDINATES, coords_of, dimensions
from bayes_msem.kernels.compile import c_function
from bayes_msem.kernels.density import Geometry
from bayes_msem.kernels.nuts_functions import (
    EXPAND,
    LOGP,
    LOGP_OF,
    WIDTH,
    expand,
)

FloatArray = NDArray[np.float64]


@cache
def _compiled(function: Callable[..., Any]) -> Any:
    """Return a C function from the cache on disk, or compile it once for all models."""
    return c_function(function, EXPAND if function is expand else LOGP)


@dataclass(frozen=True)
class NutsModel(CompiledModel):  # type: ignore[misc]
    """A model as nutpie samples it, without compiling anything for it.

    Attributes
    ----------
    blueprint
        Structure, priors, data and coordinates.
    arrays
        What the table of addresses points to; they must live as long as the model.
    start
        From a seed to a starting point.
    """

    blueprint: Blueprint
    arrays: tuple[NDArray[Any], ...]
    start: Callable[[int | None], FloatArray]

    @property
    def n_dim(self) -> int:
        """Number of coordinates."""
        return self.blueprint.parameters.n + self.blueprint.likelihood.n_coordinates

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every random variable."""
        blueprint = self.blueprint
        shapes: dict[str, tuple[int, ...]]
        shapes = {group.name: (len(group.free),) for group in blueprint.parameters.groups}
        if blueprint.n_sampled:
            shapes[COORDINATES] = (blueprint.observed.n_clusters, blueprint.n_sampled)
        if blueprint.likelihood.score_shape[1]:
            shapes[SCORE_COORDINATES] = blueprint.likelihood.score_shape
        return shapes

    @property
    def coords(self) -> dict[str, Any]:
        """Coordinates of all dimensions."""
        return {name: pd.Index(values) for name, values in coords_of(self.blueprint).items()}

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """Addresses and shapes of the arrays, behind a row with their number."""
        rows = [[len(self.arrays), 0, 0, 0]]
        for array in self.arrays:
            shape = [*array.shape, 0, 0, 0][: WIDTH - 1]
            rows.append([array.ctypes.data, *shape])
        return np.array(rows, dtype=np.int64)

    @property
    def functions(self) -> tuple[Any, Any]:
        """The C functions of this kind of model: density and expansion."""
        return _compiled(LOGP_OF[self.blueprint.likelihood.kernel[1]]), _compiled(expand)

    def _make_model(self, init_mean: Any) -> Any:
        shapes, coords = self.shapes, self.coords
        sizes = {name: len(values) for name, values in coords.items()}
        logp, expanded = self.functions
        address = self.table.ctypes.data
        variables = _lib.PyVariable.new_variables(
            list(shapes), ["float64"] * len(shapes), list(shapes.values()), sizes, dict(self.dims)
        )
        return _lib.PyMcModel(
            _lib.LogpFunc(logp.address, address, self),
            _lib.ExpandFunc(self.n_dim, self.n_dim, expanded.address, address, self),
            variables,
            self.n_dim,
            sizes,
            coords,
            self.start,
            _flow_adapter,
        )

    def _make_sampler(
        self, settings: Any, init_mean: Any, cores: Any, progress_type: Any, *rest: Any
    ) -> Any:
        model = self._make_model(init_mean)
        return _lib.PySampler.from_pymc(settings, cores, model, progress_type, *rest)


def _flow_adapter(*args: Any, **options: Any) -> Any:
    """Nutpie's adapter for adaptation="flow", which needs JAX: imported when it is asked for."""
    from nutpie.transform_adapter import make_transform_adapter

    return make_transform_adapter()(*args, **options, logp_fn=None)


def nuts_model(
    blueprint: Blueprint, geometry: Geometry, start: Callable[[int | None], FloatArray]
) -> NutsModel:
    """Put together what nutpie samples.

    Parameters
    ----------
    blueprint
        The model.
    geometry
        The map from the coordinates of NUTS to the parameters (inference.geometry).
    start
        From a seed to a starting point in the coordinates of the geometry.
    """
    likelihood = blueprint.likelihood
    everything = (
        *blueprint.prior_arrays, *geometry, *likelihood.everything, np.array([likelihood.address]),
    )  # fmt: skip
    arrays = tuple(np.ascontiguousarray(array) for array in everything)
    return NutsModel(dimensions(blueprint), blueprint, arrays, start)
