"""The template of rows with outcomes that are not normal: scores, and responses given them.

Outcomes that are not normal are *responses*: given the scores of their row and the effects of its
cluster they are independent, each with its own linear predictor eta. *Scores* are the within-level
factors that responses depend on; they are sampled. Normal outcomes v and scores s are outcomes of
one level (structure.templates), as if scores were observed; the cells of eta stand beside it
(kernels.row_scores).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayes_msem.errors import NotSupportedError
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.table import ParameterTable, Row, RowKey
from bayes_msem.structure.templates import Cells, LevelTemplate, level_template

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

__all__ = ["ResponseTemplate", "build_responses", "sampled_scores"]


@dataclass(frozen=True, slots=True)
class ResponseTemplate:
    """The rows of a model with outcomes that are not normal.

    Attributes
    ----------
    level
        Template of the outcomes (v, s).
    families
        Response -> family, in the order of the responses.
    normal, scores
        Names of v and of s.
    normal_effect, effect
        Positions of the random intercepts of v and of the responses among the sampled effects; -1
        where there is none.
    cells
        Coefficients of eta: response, column of (1, x, v - b_v, s), and source in the value vector.
    threshold, first
        Sources of the thresholds; first[k] to first[k + 1] are those of response k.
    dispersion
        Sources of the dispersions, -1 where there is none.
    """

    level: LevelTemplate
    families: Mapping[str, Family]
    normal: tuple[str, ...]
    scores: tuple[str, ...]
    normal_effect: IntArray
    effect: IntArray
    cells: Cells
    threshold: IntArray
    first: IntArray
    dispersion: IntArray

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the responses."""
        return tuple(self.families)

    def thresholds(self, values: FloatArray, k: int) -> FloatArray:
        """Thresholds of response k in a value vector; none if its family has none."""
        own: FloatArray = values[self.threshold[self.first[k] : self.first[k + 1]]]
        return own


def sampled_scores(table: ParameterTable, responses: Mapping[str, Family]) -> tuple[str, ...]:
    """Within-level factors that responses depend on."""
    factors = table.variables("within", "within factor")
    parents = {_ends(row)[1] for row in table.rows if _is_cell(row) and _ends(row)[0] in responses}
    return tuple(f for f in factors if f in parents)


def build_responses(
    table: ParameterTable,
    families: Mapping[str, Family],
    y_names: tuple[str, ...],
    x_names: tuple[str, ...],
    effects: tuple[str, ...],
    sources: Mapping[RowKey, int],
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

    Raises
    ------
    NotSupportedError
        A response is a predictor, or has a covariance.
    """
    _check(table, families)
    scores = sampled_scores(table, families)
    normal = tuple(y for y in y_names if y not in families)
    items = {name: k for k, name in enumerate(y for y in y_names if y in families)}
    split = set(table.variables("between", "split"))

    def intercepts(names: tuple[str, ...]) -> IntArray:
        found = [effects.index(v) if v in split else -1 for v in names]
        return np.array(found, dtype=np.int64)

    others = tuple(r for r in table.rows if not _concerns(r, families))
    regressors = ("1", *x_names, *normal, *scores)
    cells = [
        (items[_ends(row)[0]], regressors.index(_ends(row)[1]), sources[row.key])
        for row in table.rows
        if _is_cell(row) and _ends(row)[0] in items
    ]
    by_item = [
        [sources[r.key] for r in table.rows if r.kind == "threshold" and r.lhs == name]
        for name in items
    ]
    dispersion = {r.lhs: sources[r.key] for r in table.rows if r.kind == "dispersion"}
    return ResponseTemplate(
        level=level_template(
            replace(table, rows=others),
            "within",
            (*normal, *scores),
            ("1", *x_names),
            dict(sources),
        ),
        families={name: families[name] for name in items},
        normal=normal,
        scores=scores,
        normal_effect=intercepts(normal),
        effect=intercepts(tuple(items)),
        cells=Cells(*np.array(cells, dtype=np.int64).reshape(-1, 3).T.copy()),
        threshold=np.array([s for sources in by_item for s in sources], dtype=np.int64),
        first=np.concatenate([[0], np.cumsum([len(s) for s in by_item])]).astype(np.int64),
        dispersion=np.array([dispersion.get(name, -1) for name in items], dtype=np.int64),
    )


def _is_cell(row: Row) -> bool:
    """Whether the row is a coefficient of a linear predictor, if its target is a response."""
    return row.level == "within" and row.kind in ("loading", "regression", "intercept")


def _ends(row: Row) -> tuple[str, str]:
    """Target and source of a coefficient."""
    return (row.rhs, row.lhs) if row.kind == "loading" else (row.lhs, row.rhs)


def _concerns(row: Row, families: Mapping[str, Family]) -> bool:
    """Whether the row belongs to a response, not to the level of v and s."""
    return row.kind in ("threshold", "dispersion") or (
        row.level == "within" and (row.lhs in families or row.rhs in families)
    )


def _check(table: ParameterTable, families: Mapping[str, Family]) -> None:
    for row in table.rows:
        if row.level != "within":
            continue
        if _is_cell(row) and _ends(row)[1] in families:
            name = _ends(row)[1]
            raise NotSupportedError(
                f"'{row.lhs} {row.op} {row.rhs}' has {name}, which is {families[name].text}, as a "
                "predictor within clusters; its latent response is not sampled yet. Let a factor "
                f"with {name} among its indicators be the predictor, or declare {name} gaussian"
            )
        pair = {row.lhs, row.rhs} & set(families)
        if row.kind == "covariance" and pair:
            name = next(iter(sorted(pair)))
            raise NotSupportedError(
                f"'{row.lhs} ~~ {row.rhs}' is a residual covariance of {name}, which is "
                f"{families[name].text}; add a factor with these two indicators instead"
            )
