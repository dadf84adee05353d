"""Small three-level models, written down as matrices, with data: no text, no parameter table."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bayes_msem.data.observed_data import ObservedData
from bayes_msem.structure.effects import Effects
from bayes_msem.structure.model_template import ModelTemplate
from bayes_msem.structure.nested import NestedTemplate
from bayes_msem.structure.templates import LevelTemplate, _topological, cells_of
from tests.nested.stacked import Plain, Unit, Uses

Cell = tuple[int, int, float]


@dataclass(frozen=True)
class LevelCase:
    """Names of variables, outcomes and design; non-zero cells of B, of Psi (lower) and of K."""

    names: tuple[str, ...]
    outcomes: tuple[str, ...]
    design: tuple[str, ...]
    b: tuple[Cell, ...] = ()
    psi: tuple[Cell, ...] = ()
    k: tuple[Cell, ...] = ()

    @property
    def plain(self) -> Plain:
        m = len(self.names)
        b, psi, k = np.zeros((m, m)), np.zeros((m, m)), np.zeros((m, len(self.design)))
        for matrix, cells in ((b, self.b), (psi, self.psi), (k, self.k)):
            for row, column, value in cells:
                matrix[row, column] += value
        psi = np.tril(psi) + np.tril(psi, -1).T
        at = tuple(self.names.index(v) if v in self.names else -1 for v in self.outcomes)
        return Plain(b, psi, k, at)


@dataclass(frozen=True)
class Case:
    """A model: three levels, the uses of the effects, and the numbers of z2 and z3."""

    levels: tuple[LevelCase, LevelCase, LevelCase]
    lower: Uses
    upper: Uses
    n_z2: int = 0
    n_z3: int = 0

    @property
    def plain(self) -> tuple[Plain, Plain, Plain]:
        one, two, three = (level.plain for level in self.levels)
        return one, two, three

    @property
    def theta(self) -> np.ndarray:
        """Values of all cells, in the order in which the template has them."""
        cells = [c for level in self.levels for c in (*level.b, *level.psi, *level.k)]
        return np.array([value for *_, value in cells])

    def template(self) -> NestedTemplate:
        """Every cell is a parameter."""
        source, built = 0, []
        for name, level in zip(("within", "child", "school"), self.levels, strict=True):
            parts = []
            for cells in (level.b, level.psi, level.k):
                parts.append([(i, k, source + s) for s, (i, k, _) in enumerate(cells)])
                source += len(cells)
            order = _topological(parts[0], len(level.names))
            seen = [
                (level.names.index(v), o) for o, v in enumerate(level.outcomes) if v in level.names
            ]
            built.append(
                LevelTemplate(
                    level=name,
                    outcomes=level.outcomes,
                    design=level.design,
                    names=level.names,
                    observed_variable=np.array([i for i, _ in seen], dtype=np.int64),
                    observed_position=np.array([o for _, o in seen], dtype=np.int64),
                    b=cells_of(parts[0] if order is None else order),
                    psi=cells_of(parts[1]),
                    k=cells_of(parts[2]),
                    recursive=order is not None,
                )
            )
        n_a = len(self.levels[1].outcomes) - self.n_z2
        n_c = len(self.levels[2].outcomes) - self.n_z3
        z2 = self.levels[1].outcomes[n_a:]
        lower = ModelTemplate(
            levels=(built[0], built[1]),
            effects=effects(self.levels[1].outcomes[:n_a], self.lower),
            z_names=z2,
            every_z=z2,
            constants=np.empty(0),
            sources={},
            n_theta=source,
        )
        c_names = self.levels[2].outcomes[:n_c]
        return NestedTemplate(
            lower, built[2], effects(c_names, self.upper), self.levels[2].outcomes[n_c:]
        )


def effects(names: tuple[str, ...], uses: Uses) -> Effects:
    table = np.array(uses, dtype=np.int64).reshape(-1, 3)
    none = np.empty(0, dtype=np.int64)
    return Effects(
        names, (), table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy(), (), none, none
    )


@dataclass(frozen=True, eq=False)
class NestedData(ObservedData):
    """Data with three levels."""

    parent: np.ndarray | None = None
    top_ids: object = None
    top_name: str | None = None
    z3: np.ndarray | None = None
    z3_names: tuple[str, ...] = ()
    w3: np.ndarray | None = None
    w3_names: tuple[str, ...] = ()


def data_for(case: Case, seed: int = 0, sizes=None, shift: float = 0.0) -> NestedData:
    """Unbalanced random data: rows per cluster by top unit, singletons at each level among them."""
    rng = np.random.default_rng(seed)
    sizes = sizes or ((3, 1, 4), (2,), (1,), (2, 5, 1, 3), (3, 3))
    one, two, three = case.levels
    per_cluster = np.array([n for unit in sizes for n in unit])
    parent = np.repeat(np.arange(len(sizes)), [len(unit) for unit in sizes])
    cluster = np.repeat(np.arange(len(parent)), per_cluster)
    n, n_j, n_k = len(cluster), len(parent), len(sizes)
    return NestedData(
        y=rng.normal(size=(n, len(one.outcomes))) * 1.5 + shift,
        y_names=one.outcomes,
        split_names=(),
        z=rng.normal(size=(n_j, case.n_z2)) + shift,
        z_names=two.outcomes[len(two.outcomes) - case.n_z2 :],
        x=rng.normal(size=(n, len(one.design) - 1)),
        x_names=one.design[1:],
        w=rng.normal(size=(n_j, len(two.design) - 1)),
        w_names=two.design[1:],
        cluster=cluster,
        cluster_ids=pd.Index(np.arange(n_j)),
        cluster_name="child",
        sizes=per_cluster,
        row_index=pd.RangeIndex(n),
        parent=parent,
        top_ids=pd.Index(np.arange(n_k)),
        top_name="school",
        z3=rng.normal(size=(n_k, case.n_z3)) + shift,
        z3_names=three.outcomes[len(three.outcomes) - case.n_z3 :],
        w3=rng.normal(size=(n_k, len(three.design) - 1)),
        w3_names=three.design[1:],
    )


def with_holes(data: NestedData, seed: int = 1) -> NestedData:
    """The same data with missing values at every level, a row without any among them."""
    rng = np.random.default_rng(seed)
    y, z, z3 = data.y.copy(), data.z.copy(), data.z3.copy()
    y[rng.random(y.shape) < 0.25] = np.nan
    y[2] = np.nan
    z[rng.random(z.shape) < 0.3] = np.nan
    z3[rng.random(z3.shape) < 0.4] = np.nan
    return replace(data, y=y, z=z, z3=z3)


def units_of(data: NestedData) -> list[Unit]:
    """The data of every top unit, as the oracle takes them."""
    d1 = np.column_stack([np.ones(data.n_rows), data.x])
    d2 = np.column_stack([np.ones(data.n_clusters), data.w])
    d3 = np.column_stack([np.ones(len(data.z3)), data.w3])
    found = []
    for k in range(len(data.z3)):
        clusters = np.flatnonzero(data.parent == k)
        rows = [np.flatnonzero(data.cluster == j) for j in clusters]
        found.append(
            Unit(
                [data.y[r] for r in rows], [d1[r] for r in rows], data.z[clusters], d2[clusters],
                data.z3[k], d3[k],
            )
        )  # fmt: skip
    return found


def _variances(n: int, values: tuple[float, ...]) -> tuple[Cell, ...]:
    return tuple((i, i, values[i % len(values)]) for i in range(n))


GROWTH = Case(
    (
        LevelCase(("y",), ("y",), ("1", "x"), psi=((0, 0, 0.8),), k=((0, 1, 0.1),)),
        LevelCase(
            ("y", "s"), ("y", "s"), ("1",), psi=((0, 0, 0.9), (1, 0, 0.2), (1, 1, 0.4))
        ),
        LevelCase(
            ("y", "s"), ("y", "s"), ("1", "w3"),
            psi=((0, 0, 0.5), (1, 0, -0.1), (1, 1, 0.3)),
            k=((0, 0, 0.3), (0, 1, 0.5), (1, 0, -0.4)),
        ),
    ),
    lower=((0, -1, 0), (1, 0, 1)),
    upper=((0, -1, 0), (1, -2, 0)),
)  # fmt: skip
"""Random intercepts and slopes at both levels."""

FACTORS = Case(
    (
        LevelCase(
            ("y1", "y2", "y3", "f"), ("y1", "y2", "y3"), ("1", "x"),
            b=((0, 3, 1.0), (1, 3, 0.8), (2, 3, 1.2)),
            psi=_variances(4, (0.7, 0.9, 0.5, 1.1)),
            k=((3, 1, 0.4),),
        ),
        LevelCase(
            ("y1", "y2", "y3", "z2", "g"), ("y1", "y2", "y3", "z2"), ("1", "w2"),
            b=((0, 4, 1.0), (1, 4, 0.7), (2, 4, 0.9), (3, 4, 0.3)),
            psi=(*_variances(5, (0.2, 0.1, 0.0, 0.8, 0.5)), (3, 0, 0.05)),
            k=((4, 1, 0.3), (3, 1, -0.2)),
        ),
        LevelCase(
            ("y1", "y2", "y3", "z2", "h", "z3"), ("y1", "y2", "y3", "z2", "z3"), ("1", "w3"),
            b=((0, 4, 1.0), (1, 4, 1.1), (2, 4, 0.6), (5, 4, 0.5)),
            psi=((1, 1, 0.1), (3, 3, 0.2), (4, 4, 0.4), (5, 5, 0.6), (3, 1, 0.03)),
            k=((0, 0, 0.2), (1, 0, 0.1), (2, 0, -0.3), (3, 0, 0.4), (5, 0, 0.2), (4, 1, 0.7)),
        ),
    ),
    lower=((0, -1, 0), (1, -2, 0), (2, -3, 0)),
    upper=((0, -1, 0), (1, -2, 0), (2, -3, 0), (3, -4, 0)),
    n_z2=1,
    n_z3=1,
)  # fmt: skip
"""A factor at each level, outcomes at each level, singular covariance matrices."""

SLOPES = Case(
    (
        LevelCase(
            ("y1", "y2", "f"), ("y1", "y2"), ("1", "x1", "x2"),
            b=((0, 2, 1.0), (1, 2, 0.7), (1, 0, 0.3)),
            psi=(*_variances(3, (0.7, 0.9, 1.1)),),
            k=((2, 1, 0.4), (1, 2, 0.2)),
        ),
        # s adds s x1 to f; t, at level 3, adds t w2 to g
        LevelCase(
            ("y1", "y2", "s", "z2", "g"), ("y1", "y2", "s", "z2"), ("1", "w2", "v2"),
            b=((0, 4, 1.0), (1, 4, 0.8), (3, 2, 0.5), (2, 4, 0.2)),
            psi=(*_variances(5, (0.4, 0.3, 0.25, 0.8, 0.5)), (2, 0, 0.1)),
            k=((4, 1, 0.3), (3, 2, -0.2), (2, 1, 0.15)),
        ),
        LevelCase(
            ("y1", "y2", "s", "t", "h", "q", "z3"), ("y1", "y2", "s", "t", "q", "z3"),
            ("1", "w3"),
            b=((0, 4, 1.0), (1, 4, 0.9), (6, 3, 0.6), (5, 2, 0.3)),
            psi=(
                (0, 0, 0.15), (1, 1, 0.1), (2, 2, 0.2), (3, 3, 0.3), (4, 4, 0.4), (5, 5, 0.9),
                (6, 6, 0.7), (3, 2, 0.08), (6, 0, 0.05),
            ),
            k=((0, 0, 0.2), (1, 0, 0.1), (2, 0, 0.3), (3, 0, -0.2), (2, 1, 0.25), (6, 0, 0.1)),
        ),
    ),
    lower=((0, -1, 0), (1, -2, 0), (2, 2, 1)),
    upper=((0, -1, 0), (1, -2, 0), (2, -3, 0), (3, 4, 1), (2, 4, 2)),
    n_z2=1,
    n_z3=2,
)  # fmt: skip
"""Slopes at both levels, one effect with two uses, paths from effects to outcomes."""

CASES = {"growth": GROWTH, "factors": FACTORS, "slopes": SLOPES}

_ONE, _TWO, _THREE = FACTORS.levels
EDGES = {
    "no effects at level 3": Case(
        (
            _ONE, _TWO,
            LevelCase(
                ("z3",), ("z3",), ("1", "w3"), psi=((0, 0, 0.6),), k=((0, 0, 0.2), (0, 1, 0.3))
            ),
        ),
        lower=FACTORS.lower, upper=(), n_z2=1, n_z3=1,
    ),
    "no effects at level 2": Case(
        (
            replace(_ONE, k=(*_ONE.k, (0, 0, 0.2))),
            LevelCase(
                ("z2", "g"), ("z2",), ("1", "w2"), b=((0, 1, 0.5),),
                psi=((0, 0, 0.4), (1, 1, 0.3)), k=((1, 1, 0.3),),
            ),
            LevelCase(
                ("z2", "z3"), ("z2", "z3"), ("1", "w3"), b=((1, 0, 0.5),),
                psi=((0, 0, 0.2), (1, 1, 0.6)), k=((0, 0, 0.4), (1, 1, 0.2)),
            ),
        ),
        lower=(), upper=((0, -1, 0),), n_z2=1, n_z3=1,
    ),
    "feedback at level 2": replace(
        FACTORS, levels=(_ONE, replace(_TWO, b=(*_TWO.b, (4, 3, 0.2))), _THREE)
    ),
    "no outcomes above rows": Case(
        (
            _ONE, replace(_TWO, outcomes=_TWO.outcomes[:3]),
            replace(_THREE, outcomes=_THREE.outcomes[:3]),
        ),
        lower=FACTORS.lower, upper=FACTORS.upper[:3],
    ),
}  # fmt: skip
"""What loops over nothing."""
