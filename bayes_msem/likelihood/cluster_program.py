"""Structure and statistics of models with random coefficients, packed for kernels.clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.data.readonly import ReadOnlyArrays
from bayes_msem.errors import NotSupportedError
from bayes_msem.likelihood.packing import level_arrays, pack
from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks
from bayes_msem.spec.table import ParameterTable
from bayes_msem.structure.effects import FISHER_Z, LOG_SD, ClusterTemplates
from bayes_msem.structure.parameters import (
    CORRELATION,
    IDENTITY,
    SQUARE,
    Blocks,
    Parameters,
    flatten_blocks,
    varies,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Packed integer arrays, in this order. SIZES holds
# (p, D_w, D_b, n_theta, n_rows, n_a, n_uses, n_z, n_b, m_w, m_b, recursive_w, recursive_b).
# VARYING: covariance blocks with a random variance or correlation; COMMON: all others.
SIZES, TRANSFORM, VARYING, COMMON = 0, 1, 2, 8
USE_EFFECT, USE_VARIABLE, USE_COLUMN, ROW_EFFECT, ROW_CODE = 14, 15, 16, 17, 18
WITHIN, BETWEEN = 19, 24
# Packed float arrays.
CONSTANTS, SD_VARYING, SD_COMMON = 0, 1, 2

_TRANSFORM_OF = {LOG_SD: SQUARE, FISHER_Z: CORRELATION}


@dataclass(frozen=True, slots=True)
class ClusterProgram(ReadOnlyArrays):
    """A model structure packed for the kernel.

    Attributes
    ----------
    ints, floats
        See the constants of this module.
    n_theta
        Free parameters and constrained rows.
    n_sampled
        Number of sampled effects per cluster.
    """

    ints: IntArray
    floats: FloatArray
    n_theta: int
    n_sampled: int


def build_cluster_program(
    templates: ClusterTemplates,
    parameters: Parameters,
    table: ParameterTable,
    *,
    natural: bool = False,
) -> ClusterProgram:
    """Pack templates and parameter transforms.

    Parameters
    ----------
    templates, parameters, table
        The model.
    natural
        True: the kernel shall read table values instead of sampled parameters. Only for models
        without sampled effects.

    Raises
    ------
    NotSupportedError
        A random variance or covariance in a block of covariances that has no form which is
        positive definite by construction.
    """
    effects = templates.effects
    n_theta = templates.n_theta
    extra = np.full(n_theta - parameters.n, IDENTITY)
    rows = np.array([_TRANSFORM_OF.get(int(c), IDENTITY) for c in effects.row_code])
    transform = np.full(parameters.n, IDENTITY) if natural else parameters.transform
    varying, common = _blocks(table, templates, parameters, natural=natural)
    sizes = [
        len(templates.y_names),
        1 + len(templates.x_names),
        1 + len(templates.w_names),
        n_theta,
        len(effects.rows),
        len(effects.linear),
        len(effects.use_effect),
        len(templates.z_names),
        len(effects.sampled),
        len(templates.within.names),
        len(templates.between.names),
        templates.within.recursive,
        templates.between.recursive,
    ]
    ints = [
        np.array(sizes, dtype=np.int64),
        np.concatenate([transform, extra, rows]).astype(np.int64),
        *_block_arrays(varying),
        *_block_arrays(common),
        effects.use_effect,
        effects.use_variable,
        effects.use_column,
        effects.row_effect,
        effects.row_code,
        *level_arrays(templates.within),
        *level_arrays(templates.between),
    ]
    floats = [templates.constants, varying.sd_constant, common.sd_constant]
    return ClusterProgram(
        ints=pack(ints, np.int64),
        floats=pack(floats, np.float64),
        n_theta=n_theta,
        n_sampled=len(effects.sampled),
    )


def _blocks(
    table: ParameterTable, templates: ClusterTemplates, parameters: Parameters, *, natural: bool
) -> tuple[Blocks, Blocks]:
    """Covariance blocks that differ between clusters, and all others."""
    varying: list[CovarianceBlock] = []
    common: list[CovarianceBlock] = []
    for level in () if natural else ("within", "between"):
        for block in covariance_blocks(table, level):
            if block.pattern == "direct" and varies(block, table):
                raise NotSupportedError(
                    f"the covariances of {', '.join(block.variables)} leave out pairs, or are "
                    "fixed or shared by a label, in a way that cannot be kept positive definite in "
                    "every cluster; let all of these variables covary, or make none of their "
                    "variances and covariances random"
                )
            (varying if varies(block, table) else common).append(block)
    random = {row.key: templates.sources[row.key] for row in templates.effects.rows}
    return (
        flatten_blocks(varying, table, parameters.position, random),
        flatten_blocks(common, table, parameters.position, random),
    )


def _block_arrays(blocks: Blocks) -> list[IntArray]:
    return [
        blocks.size,
        blocks.sd_source,
        blocks.edge_count,
        blocks.edge_row,
        blocks.edge_column,
        blocks.edge_position,
    ]
