"""The structure of a model as the kernels read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.readonly import ReadOnlyArrays
from bayes_msem.errors import NotSupportedError
from bayes_msem.kernels.layout import (
    CORRELATION,
    FISHER_Z,
    IDENTITY,
    LOG_SD,
    SQUARE,
    Blocks,
    Level,
    Rows,
    Structure,
    Uses,
    flat_cells,
    pack_structure,
)
from bayes_msem.kernels.nested_layout import Top, with_top
from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks
from bayes_msem.spec.table import ParameterTable
from bayes_msem.structure.model_template import ModelTemplate
from bayes_msem.structure.nested import NestedTemplate
from bayes_msem.structure.parameters import Parameters, flatten_blocks, no_thresholds, varies
from bayes_msem.structure.templates import Cells, LevelTemplate, without_outcomes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_TRANSFORM_OF = {LOG_SD: SQUARE, FISHER_Z: CORRELATION}


@dataclass(frozen=True, slots=True)
class Program(ReadOnlyArrays):
    """A model structure packed for the kernels (kernels.layout)."""

    ints: IntArray
    floats: FloatArray


def build_program(
    template: ModelTemplate,
    parameters: Parameters,
    table: ParameterTable,
    *,
    natural: bool = False,
    with_rows: bool = True,
    above: NestedTemplate | None = None,
) -> Program:
    """Pack a template and parameter transforms.

    Parameters
    ----------
    template, parameters, table
        The model.
    natural
        True: the kernels shall read table values instead of sampled parameters. Only for models
        without sampled effects.
    with_rows
        False: level within has no outcomes; they stand elsewhere (likelihood.response_rows).
    above
        The template of a three-level model, of which ``template`` has the lower two levels.

    Raises
    ------
    NotSupportedError
        A random variance or covariance in a block of covariances that has no form which is
        positive definite by construction.
    """
    effects = template.effects
    extra = np.full(template.n_theta - parameters.n, IDENTITY)
    rows = np.array([_TRANSFORM_OF.get(int(c), IDENTITY) for c in effects.row_code])
    transform = np.full(parameters.n, IDENTITY) if natural else parameters.transform
    levels = [*template.levels, *([] if above is None else [above.top])]
    names = () if natural else tuple(level.level for level in levels)
    varying, common = _blocks(table, template, parameters, names)
    structure = Structure(
        n_theta=template.n_theta,
        n_a=len(effects.linear),
        n_z=len(template.z_names),
        n_b=len(effects.sampled),
        transform=np.concatenate([transform, extra, rows]),
        constants=template.constants,
        varying=varying,
        common=common,
        uses=Uses(effects.use_effect, effects.use_variable, effects.use_column),
        rows=Rows(effects.row_effect, effects.row_code),
        within=_level(template.within if with_rows else without_outcomes(template.within)),
        between=_level(template.between),
        thresholds=no_thresholds() if natural else parameters.thresholds,
    )
    ints, floats = pack_structure(structure)
    if above is not None:
        c = above.top_effects
        ints = with_top(
            ints,
            Top(
                n_c=len(c.linear),
                n_z=len(above.z3_names),
                uses=Uses(c.use_effect, c.use_variable, c.use_column),
                level=_level(above.top),
            ),
        )
    return Program(ints, floats)


def _level(level: LevelTemplate) -> Level:
    return Level(
        m=len(level.names),
        n=len(level.outcomes),
        n_design=len(level.design),
        recursive=level.recursive,
        variable=level.observed_variable,
        position=level.observed_position,
        b=_flat(level.b),
        psi=_flat(level.psi),
        k=_flat(level.k),
    )


def _flat(cells: Cells) -> IntArray:
    return flat_cells(cells.row, cells.column, cells.source)


def _blocks(
    table: ParameterTable,
    template: ModelTemplate,
    parameters: Parameters,
    levels: tuple[str, ...],
) -> tuple[Blocks, Blocks]:
    """Covariance blocks that differ between clusters, and all others."""
    varying: list[CovarianceBlock] = []
    common: list[CovarianceBlock] = []
    for level in levels:
        for block in covariance_blocks(table, level):
            if block.pattern == "direct" and varies(block, table):
                raise NotSupportedError(
                    f"the covariances of {', '.join(block.variables)} leave out pairs, or are "
                    "fixed or shared by a label, in a way that cannot be kept positive definite in "
                    "every cluster; let all of these variables covary, or make none of their "
                    "variances and covariances random"
                )
            (varying if varies(block, table) else common).append(block)
    random = {row.key: template.sources[row.key] for row in template.effects.rows}
    return (
        flatten_blocks(varying, table, parameters.position, random),
        flatten_blocks(common, table, parameters.position, random),
    )
