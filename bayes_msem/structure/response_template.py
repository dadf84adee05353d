"""The template of rows with outcomes that are not normal: scores, and responses given them.

Outcomes that are not normal are *responses*: given the scores of their row and the effects of its
cluster they are independent, each with its own linear predictor eta. *Scores* are the within-level
factors that responses depend on; they are sampled. Normal outcomes v and scores s are outcomes of
one level (structure.templates), as if scores were observed; the cells of eta stand beside it
(kernels.row_scores).

Responses that others depend on, because they are predictors or because their residuals are
correlated, are *carried*: their latent responses y* are sampled (kernels.carried).

Normal outcomes whose residual log SD depends on the row are responses with two linear predictors:
the log SD has cells of its own, and places behind those of all responses.

A normal outcome that is missing where a response depends on it has a score that *stands for* it in
those rows: its part that varies within clusters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.outcomes.families import LOCATION_SCALE, Family
from bayes_msem.spec.table import ParameterTable, Row, RowKey
from bayes_msem.structure.carried_responses import carried_responses, correlated
from bayes_msem.structure.items import Items, cuts_of, edge
from bayes_msem.structure.templates import Cells, LevelTemplate, cells_of, level_template

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

__all__ = ["ResponseTemplate", "build_responses", "sampled_scores"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTemplate(Items):
    """The rows of a model with outcomes that are not normal.

    Responses that are carried come first, and behind all of them the log SDs of those that are
    ``scaled``, in cells, ``effect``, ``first`` and ``dispersion``; regressors are (1, x, y*, v -
    b_v, s). There are no responses where only outcomes of clusters are not normal.

    Attributes
    ----------
    level
        Template of the outcomes (v, s).
    normal, scores, stand_ins, carried
        Names of v, of the factors in s, of those of v that the other s stand for, and of the
        responses whose y* is sampled.
    log_sds
        Names of the log SDs of scaled responses, in their order.
    normal_effect, effect
        Positions of the random intercepts of v and of the responses among the sampled effects; -1
        where there is none.
    correlations
        Correlations of residuals: later response, earlier response, and source.
    """

    level: LevelTemplate
    normal: tuple[str, ...]
    scores: tuple[str, ...]
    stand_ins: tuple[str, ...]
    carried: tuple[str, ...]
    normal_effect: IntArray
    effect: IntArray
    log_sds: tuple[str, ...]
    correlations: Cells

    @property
    def sampled(self) -> tuple[str, ...]:
        """What is sampled of every row: scores, and y* of carried responses."""
        return (*self.scores, *self.stand_ins, *self.carried)

    @property
    def scaled(self) -> tuple[str, ...]:
        """Responses whose residual log SD depends on the row."""
        return tuple(name for name, f in self.families.items() if f == LOCATION_SCALE)

    @property
    def columns(self) -> tuple[str, ...]:
        """The outcome of every linear predictor: those of log SDs come last."""
        return (*self.names, *self.scaled)

    @property
    def stands_for(self) -> IntArray:
        """Positions among v of what has a stand-in."""
        return np.array([self.normal.index(name) for name in self.stand_ins], dtype=np.int64)

    def log_sd_coefficients(self, values: FloatArray) -> FloatArray:
        """Coefficients (..., K, D + n_v) of the log SDs of the scaled responses.

        Of (1, x, y*, v - b_v), in value vectors (..., n_values).
        """
        n_fixed, first = len(self.level.design) + len(self.normal), len(self.names)
        result = np.zeros((*values.shape[:-1], len(self.log_sds), n_fixed))
        cells = zip(self.cells.row, self.cells.column, self.cells.source, strict=True)
        for item, column, source in cells:
            if item >= first and column < n_fixed:
                result[..., item - first, column] += values[..., source]
        return result

    @property
    def whole(self) -> tuple[str, ...]:
        """Responses that are carried or have a correlated residual: y* is drawn with it."""
        pairs = {*self.correlations.row.tolist(), *self.correlations.column.tolist()}
        return tuple(n for k, n in enumerate(self.names) if k < len(self.carried) or k in pairs)

    @property
    def needed(self) -> tuple[str, ...]:
        """Normal outcomes that carried responses depend on: no row can do without them."""
        of_carried = self.cells.column[self.cells.row < len(self.carried)] - len(self.level.design)
        return tuple(name for k, name in enumerate(self.normal) if k in of_carried)


def sampled_scores(table: ParameterTable, responses: Mapping[str, Family]) -> tuple[str, ...]:
    """Within-level factors that responses depend on."""
    factors = table.variables("within", "within factor")
    edges = [edge(row) for row in table.rows]
    parents = {ends[1] for ends in edges if ends is not None and ends[0] in responses}
    return tuple(f for f in factors if f in parents)


def build_responses(
    table: ParameterTable,
    families: Mapping[str, Family],
    y_names: tuple[str, ...],
    x_names: tuple[str, ...],
    effects: tuple[str, ...],
    sources: Mapping[RowKey, int],
    unknown: tuple[str, ...] = (),
) -> ResponseTemplate:
    """Build the template of the rows.

    Parameters
    ----------
    table
        The parameter table.
    families
        Outcomes of level within that are not normal, and their families.
    y_names, x_names
        Outcomes and covariates of level within.
    effects
        Names of the sampled effects.
    sources
        Row key -> position in the value vector.
    unknown
        Normal outcomes that are missing where responses depend on them.

    Raises
    ------
    NotSupportedError
        A response that is not a probit is a predictor or has a covariance; a covariance with
        something else than a response; or a cycle.
    """
    scores, carried = sampled_scores(table, families), carried_responses(table, families)
    normal = tuple(y for y in y_names if y not in families)
    later = (y for y in y_names if y in families and y not in carried)
    items = {name: k for k, name in enumerate((*carried, *later))}
    log_sds = tuple(table.log_sds[name] for name in items if name in table.log_sds)
    stand_ins = tuple(v for v in normal if v in unknown)
    split = set(table.variables("between", "split"))

    def intercepts(names: tuple[str, ...]) -> IntArray:
        found = [effects.index(v) if v in split else -1 for v in names]
        return np.array(found, dtype=np.int64)

    constant = table.constant_log_sds

    def places(name: str) -> list[int]:
        own = [items[name]] if name in items else []
        return own + [len(items) + k for k, known in enumerate(log_sds) if known == name]

    others = replace(
        table,
        rows=tuple(r for r in table.rows if not _of_response(r, families, log_sds)),
        roles={k: v for k, v in table.roles.items() if k[0] != "within" or k[1] not in families},
    )
    own_effects = np.array(
        [effects.index(name) if name in effects else -1 for name in log_sds], dtype=np.int64
    )
    design = ("1", *x_names, *carried)
    regressors = (*design, *normal, *scores)
    first_stand_in = len(regressors)
    cells, pairs = [], []
    for row in table.rows:
        ends = edge(row)
        found = places(ends[0]) if ends is not None else []
        if ends is not None and found:
            columns = [regressors.index(ends[1])]
            if ends[1] in stand_ins:
                columns.append(first_stand_in + stand_ins.index(ends[1]))
            cells += [(k, column, sources[row.key]) for k in found for column in columns]
        elif row.level == "between" and row.kind == "intercept" and row.lhs in constant:
            cells += [(k, 0, sources[row.key]) for k in places(row.lhs)]
        elif correlated(row, families):
            one, other = items[row.lhs], items[row.rhs]
            pairs.append((max(one, other), min(one, other), sources[row.key]))
    return ResponseTemplate(
        level=level_template(
            others, "within", (*normal, *scores, *stand_ins), design, dict(sources)
        ),
        families={name: families[name] for name in items},
        normal=normal,
        scores=scores,
        stand_ins=stand_ins,
        carried=carried,
        normal_effect=intercepts(normal),
        effect=np.concatenate([intercepts(tuple(items)), own_effects]),
        log_sds=log_sds,
        cells=cells_of(cells),
        correlations=cells_of(pairs),
        **cuts_of(table, (*items, *log_sds), sources)._asdict(),
    )


def _of_response(row: Row, families: Mapping[str, Family], log_sds: tuple[str, ...]) -> bool:
    """Whether the row belongs to a response or its log SD, not to the level of v and s."""
    if row.level == "within" and row.lhs in log_sds:
        return True
    if row.kind in ("threshold", "dispersion"):
        return True
    ends = edge(row)
    if ends is not None:
        return ends[0] in families
    return row.level == "within" and bool({row.lhs, row.rhs} & set(families))
