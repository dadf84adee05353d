r"""From the sampled to the reported form of a model with exploratory factors (spec.exploratory).

With the variables v of a level, M the matrix that turns the factors of every block and leaves all
else, and v = K d + B v + z, the rotated variables M v follow

    M v = M K d + (M B M^-1) M v + M z ,      Cov(M z) = M Psi M' ,

so loadings, paths of and on the factors, and their (residual) covariances all follow from one
product each. The distribution of the data is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayes_msem.blueprint.inverse import sampled_from_draws
from bayes_msem.errors import NotSupportedError
from bayes_msem.spec.table import Block, Row
from bayes_msem.structure.matrices import LevelMatrices, level_matrices
from bayes_msem.structure.rotation import Criterion, Rotated, align, rotate
from bayes_msem.structure.templates import LevelTemplate

if TYPE_CHECKING:
    from bayes_msem.blueprint.blueprint import Blueprint

__all__ = ["Turning", "check_unturned", "near_values", "reported_draws", "reported_values"]

FloatArray = NDArray[np.float64]
_EXACT = 1e-8  # of rotations whose differences are taken
_Turn = Callable[[FloatArray, FloatArray], Rotated]


@dataclass(frozen=True, slots=True, eq=False)
class Turning:
    """How the sampled form is rotated.

    Attributes
    ----------
    reported
        Blueprint of the reported form.
    criterion
        The rotation criterion.
    """

    reported: Blueprint
    criterion: Criterion


def check_unturned(blueprint: Blueprint, what: str, instead: str) -> None:
    """Raise if the model has exploratory factors.

    Parameters
    ----------
    blueprint
        The model.
    what
        What was asked for, such as "fit.prior_sensitivity()".
    instead
        A sentence without a full stop on what to use.

    Raises
    ------
    NotSupportedError
        Priors are of unrotated loadings, draws of rotated ones.
    """
    if blueprint.table.blocks:
        names = ", ".join(f'efa("{block.name}")' for block in blueprint.table.blocks)
        raise NotSupportedError(
            f"{what} sets draws against their priors, but those of exploratory factors ({names}) "
            f"are priors of unrotated loadings, and the draws are rotated. {instead}"
        )


def reported_draws(sampled: Blueprint, x: FloatArray) -> FloatArray:
    """Rotate draws of the sampled parameters, columns and signs alike in all of them.

    Parameters
    ----------
    sampled
        The sampled form.
    x
        Its parameters, (n, n_free).

    Returns
    -------
    (n, n_free) array
        Sampled parameters of the reported form.
    """
    turning = sampled.turning
    assert turning is not None
    theta = _turned(sampled, sampled.theta(x), lambda a, s: align(a, s, turning.criterion)[0])
    same = {row.key: i for i, row in enumerate(sampled.parameters.rows)}
    result = sampled_from_draws(turning.reported, theta)
    for i, row in enumerate(turning.reported.parameters.rows):
        if not _is_turned(sampled, row) and row.key in same:
            result[:, i] = x[:, same[row.key]]  # to the last digit
    return result


def reported_values(sampled: Blueprint, theta: FloatArray) -> FloatArray:
    """Rotate table values of single solutions.

    Parameters
    ----------
    sampled
        The sampled form.
    theta
        Its extended table values, (n, n_theta).

    Returns
    -------
    (n, n_theta) array
        Those of the reported form: loadings in the order of their sums of squares.
    """
    turning = sampled.turning
    assert turning is not None
    return _turned(sampled, theta, lambda a, s: rotate(a, s, turning.criterion))


def near_values(sampled: Blueprint, theta: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Return a smooth map from table values near ``theta`` (n_theta,) to rotated ones."""
    turning = sampled.turning
    assert turning is not None
    criterion, references = turning.criterion, []

    def at_first(loadings: FloatArray, scale: FloatArray) -> Rotated:
        rotated = rotate(loadings, scale, criterion, tolerance=_EXACT)
        references.append(rotated.loadings[0] / scale[0][:, None])
        return rotated

    _turned(sampled, theta[None, :], at_first)

    def values(point: FloatArray) -> FloatArray:
        each = iter(references)

        def turn(loadings: FloatArray, scale: FloatArray) -> Rotated:
            return rotate(loadings, scale, criterion, next(each), tolerance=_EXACT)

        return _turned(sampled, np.atleast_2d(point), turn)

    return values


def _is_turned(blueprint: Blueprint, row: Row) -> bool:
    return any(block.touches(row) for block in blueprint.table.blocks)


def _turned(sampled: Blueprint, theta: FloatArray, turn: _Turn) -> FloatArray:
    """Return extended table values of the reported form, (n, n_theta)."""
    assert sampled.turning is not None
    reported = sampled.turning.reported
    values = sampled.value_vectors(theta)
    result = np.empty((len(theta), reported.parameters.n))
    for i, row in enumerate(reported.parameters.rows):
        source = sampled.template.sources.get(row.key, -1)
        result[:, i] = values[:, source]
    for level in sampled.template.levels:
        blocks = [b for b in sampled.table.blocks if b.level == level.level]
        if blocks:
            found = _rotated_level(level, level_matrices(level, values), blocks, turn)
            for i, row in _rows_of(reported, level, blocks):
                result[:, i] = _cell(level, found, row)
    return reported.extend(result)


def _rows_of(
    blueprint: Blueprint, level: LevelTemplate, blocks: list[Block]
) -> Iterator[tuple[int, Row]]:
    for i, row in enumerate(blueprint.parameters.rows):
        if row.level == level.level and any(block.touches(row) for block in blocks):
            yield i, row


def _rotated_level(
    level: LevelTemplate, matrices: LevelMatrices, blocks: list[Block], turn: _Turn
) -> LevelMatrices:
    m = len(level.names)
    whole = np.broadcast_to(np.eye(m), (len(matrices.b), m, m)).copy()
    variance = np.einsum("nii->ni", matrices.covariance)
    for block in blocks:
        factors = [level.names.index(v) for v in block.factors]
        items = [level.names.index(v) for v in block.indicators]
        loadings = matrices.b[:, items][:, :, factors]
        rotated = turn(loadings, np.sqrt(variance[:, items]))
        whole[:, np.array(factors)[:, None], factors] = rotated.transform
    back = np.linalg.inv(whole)
    return LevelMatrices(
        b=whole @ matrices.b @ back,
        psi=whole @ matrices.psi @ whole.transpose(0, 2, 1),
        k=whole @ matrices.k,
    )


def _cell(level: LevelTemplate, matrices: LevelMatrices, row: Row) -> FloatArray:
    """Values (n,) of a row that stands alone in its cell."""
    names = level.names
    if row.kind in ("variance", "covariance"):
        return matrices.psi[:, names.index(row.lhs), names.index(row.rhs)]
    if row.kind == "loading":
        return matrices.b[:, names.index(row.rhs), names.index(row.lhs)]
    if row.rhs in names:
        return matrices.b[:, names.index(row.lhs), names.index(row.rhs)]
    return matrices.k[:, names.index(row.lhs), level.design.index(row.rhs)]
