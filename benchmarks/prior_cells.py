"""Cells and generating models of the study of default priors: what they consist of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Key = tuple[str, str, str, str]
Truth = dict[Key, float]

__all__ = ["Array", "Cell", "Design", "Key", "Truth", "b", "w"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the study: a generating model, numbers of clusters and rows, an ICC."""

    design: str
    clusters: int
    size: int
    icc: float

    @property
    def name(self) -> str:
        """Name in the results."""
        return f"{self.design}-{self.clusters}-{self.size}-{self.icc:g}"


@dataclass(frozen=True, slots=True)
class Design:
    """A generating model.

    Attributes
    ----------
    text
        The model that is fitted.
    truth
        True values of all rows, from an ICC.
    draw
        Data, from the truth, a cell and a generator.
    estimands
        Quantities of interest, from values of rows (numbers or draws) by key.
    positive
        Those of them that are positive by definition.
    """

    text: str
    truth: Callable[[float], Truth]
    draw: Callable[[Truth, Cell, np.random.Generator], pd.DataFrame]
    estimands: Callable[[Mapping[Key, Array | float]], dict[str, Array | float]]
    positive: tuple[str, ...] = ()

    def frame(self, cell: Cell, seed: int) -> pd.DataFrame:
        """Simulate the data set of one seed; numbers of level 2 do not depend on the ICC."""
        key = [20261130, *cell.design.encode(), cell.clusters, cell.size, seed]
        return self.draw(self.truth(cell.icc), cell, np.random.default_rng(key))


def w(lhs: str, op: str, rhs: str) -> Key:
    """Key of a row of level within."""
    return ("within", lhs, op, rhs)


def b(lhs: str, op: str, rhs: str) -> Key:
    """Key of a row of level between."""
    return ("between", lhs, op, rhs)
