"""From a template to matrices in NumPy, for one or many vectors of values.

The kernels (kernels.template) go through the cells of a template without ever forming a matrix.
Everything else takes its matrices from here:

    B, Psi, K        sums of the values of their cells, Psi symmetric
    T = (I - B)^-1   total effects of the variables on each other
    T K              means of the variables, as coefficients of the design
    T Psi T'         covariance matrix of the variables given the design

Invariant: several rows of the parameter table may stand in one cell, such as the loading
``f =~ 0.5*y`` and the regression ``y ~ f``. Their values add, as they do in the kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayes_msem.structure.templates import Cells, LevelTemplate

__all__ = ["LevelMatrices", "level_matrices"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LevelMatrices:
    """Matrices of a level with m variables and D columns of the design; leading axes are shared.

    Attributes
    ----------
    b, psi
        B and Psi, (..., m, m).
    k
        Coefficients of the design, (..., m, D).
    """

    b: FloatArray
    psi: FloatArray
    k: FloatArray

    @cached_property
    def total(self) -> FloatArray:
        """(I - B)^-1, (..., m, m).

        Raises
        ------
        numpy.linalg.LinAlgError
            Variables predict each other in a circle whose coefficients cancel.
        """
        inverse: FloatArray = np.linalg.inv(np.eye(self.b.shape[-1]) - self.b)
        return inverse

    @cached_property
    def coefficients(self) -> FloatArray:
        """Coefficients of the means of the variables on the design, (..., m, D)."""
        result: FloatArray = self.total @ self.k
        return result

    @cached_property
    def covariance(self) -> FloatArray:
        """Covariance matrix of the variables given the design, (..., m, m)."""
        result: FloatArray = self.total @ self.psi @ np.swapaxes(self.total, -1, -2)
        return result


def level_matrices(template: LevelTemplate, values: FloatArray) -> LevelMatrices:
    """Fill the matrices of a level.

    Parameters
    ----------
    template
        The template of the level.
    values
        Vectors that the cells point into, (..., n_values).

    Returns
    -------
    LevelMatrices

    Examples
    --------
    A loading of 0.5 and a slope of 0.2 of the same variables:

    >>> one = np.zeros(2, dtype=np.int64)
    >>> none = Cells(one[:0], one[:0], one[:0])
    >>> twice = Cells(one + 1, one, np.array([0, 1]))
    >>> template = LevelTemplate(
    ...     "within", ("y",), ("1",), ("f", "y"), one[:1] + 1, one[:1], twice, none, none, True
    ... )
    >>> level_matrices(template, np.array([0.5, 0.2])).b.tolist()
    [[0.0, 0.0], [0.7, 0.0]]
    """
    m = len(template.names)
    lower = _summed(template.psi, values, (m, m))
    return LevelMatrices(
        b=_summed(template.b, values, (m, m)),
        psi=lower + np.swapaxes(np.tril(lower, -1), -1, -2),
        k=_summed(template.k, values, (m, len(template.design))),
    )


def _summed(cells: Cells, values: FloatArray, shape: tuple[int, int]) -> FloatArray:
    matrix = np.zeros((*values.shape[:-1], *shape))
    for row, column, source in zip(cells.row, cells.column, cells.source, strict=True):
        matrix[..., row, column] += values[..., source]
    return matrix
