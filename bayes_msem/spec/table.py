"""The parameter table: one row per coordinate (level, lhs, op, rhs) of the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from bayes_msem.outcomes.families import LOCATION_SCALE, Family
from bayes_msem.spec.expressions import Expression
from bayes_msem.spec.statements import Definition


class RowKey(tuple[str, str, str, str]):
    """The coordinate of a row: (level, lhs, op, rhs), and a group if there is one.

    A key without a group equals the tuple of its four texts, in dictionaries too; the group is a
    fifth.

    Examples
    --------
    >>> key = RowKey("within", "fw", "=~", "y2")
    >>> key.lhs, key.group, key == ("within", "fw", "=~", "y2")
    ('fw', '', True)
    """

    __slots__ = ()

    def __new__(cls, level: str, lhs: str, op: str, rhs: str, group: str = "") -> RowKey:
        """Make a key; ``group`` is empty in models with one group."""
        parts = (level, lhs, op, rhs, group) if group else (level, lhs, op, rhs)
        return super().__new__(cls, parts)

    def __getnewargs__(self) -> tuple[str, ...]:
        """Say how to copy and unpickle it."""
        return tuple(self)

    @property
    def level(self) -> str:
        """Level: "within", "between" (or a cluster column), or empty for defined parameters."""
        return self[0]

    @property
    def lhs(self) -> str:
        """Left-hand side."""
        return self[1]

    @property
    def op(self) -> str:
        """Operator."""
        return self[2]

    @property
    def rhs(self) -> str:
        """Right-hand side."""
        return self[3]

    @property
    def group(self) -> str:
        """Group, empty if there is one group."""
        return "".join(self[4:])


Kind = Literal[
    "loading",
    "regression",
    "intercept",
    "variance",
    "covariance",
    "threshold",
    "dispersion",
    "defined",
]
Role = Literal[
    "split",  # observed at both levels: latent within + between part
    "within-only",  # level-1 outcome or indicator without a between part
    "covariate",  # level-1 predictor, conditioned on (x)
    "cluster-level",  # level-2 outcome or indicator, modelled (z)
    "cluster-level covariate",  # level-2 predictor, conditioned on (w)
    "within factor",
    "between factor",
    "random effect",  # level-2 variable created by rv()
    "log SD",  # of residuals, created by rv() and predicted at level 1
]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the parameter table.

    ``free`` numbers the free parameters from 1; equal numbers are equal parameters, 0 is a
    constant. ``value`` is the constant or the starting value (NaN: none given). ``random`` is
    the name given in ``rv()``; such a row has ``free == 0`` and its distribution stands in the
    between-level rows of that name. Intercepts have ``op == "~"`` and ``rhs == "1"``; thresholds
    ``op == "|"`` and ``rhs`` "t1", "t2", ... The row ``c ~~ c`` of a count at the level of its
    rows may be a dispersion instead of a variance (``is_dispersion``).
    """

    level: str
    lhs: str
    op: str
    rhs: str
    label: str = ""
    free: int = 0
    value: float = math.nan
    prior: str = ""
    random: str = ""
    origin: Literal["user", "default"] = "user"
    group: str = ""
    is_dispersion: bool = False

    @property
    def key(self) -> RowKey:
        """The coordinate (level, lhs, op, rhs), with the group if there are several."""
        return RowKey(self.level, self.lhs, self.op, self.rhs, self.group)

    @property
    def kind(self) -> Kind:
        """What sort of coefficient this is."""
        if self.op == "=~":
            return "loading"
        if self.op == ":=":
            return "defined"
        if self.op == "|":
            return "threshold"
        if self.is_dispersion:
            return "dispersion"
        if self.op == "~":
            return "intercept" if self.rhs == "1" else "regression"
        return "variance" if self.lhs == self.rhs else "covariance"


@dataclass(frozen=True, slots=True)
class ConstrainedRow:
    """A row whose value is an expression of labels: ``label == expression``."""

    label: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Block:
    """Exploratory factors of one level.

    Attributes
    ----------
    name, level
        What stands in ``efa()``, and the level.
    factors, indicators
        In the order of the text.
    """

    name: str
    level: str
    factors: tuple[str, ...]
    indicators: tuple[str, ...]

    def is_loading(self, row: Row) -> bool:
        """Whether a row is a loading of the block."""
        return row.kind == "loading" and row.level == self.level and row.lhs in self.factors

    def is_inside(self, row: Row) -> bool:
        """Whether a row is a covariance between factors of the block."""
        return row.kind == "covariance" and row.level == self.level and self.has(row) == 2

    def has(self, row: Row) -> int:
        """How many of the two variables of a row are factors of the block."""
        return (row.lhs in self.factors) + (row.rhs in self.factors)

    def touches(self, row: Row) -> bool:
        """Whether rotating the factors changes a row."""
        return row.level == self.level and row.kind != "defined" and self.has(row) > 0


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """All rows with the roles of all variables.

    Rows come in the order of the levels, then defined, and inside a level in lavaan's order:
    loadings, regressions, (co)variances as written and then those added by default,
    intercepts, thresholds. ``roles`` maps (level, variable) to its role; a split variable has an
    entry for each level. ``families`` has the outcomes that are not normal. ``definitions`` keep
    their expressions as written; the expressions of ``constraints`` are rewritten to hold labels
    of free rows only. ``cluster_levels`` are the levels above within of a three-level model, named
    by its cluster columns, the inner one first; it is empty otherwise. ``elsewhere`` has the free
    numbers that stand in tables of other groups too. ``blocks`` are those of exploratory factors.
    """

    rows: tuple[Row, ...]
    roles: dict[tuple[str, str], Role]
    definitions: tuple[Definition, ...]
    constraints: tuple[ConstrainedRow, ...]
    two_level: bool
    families: dict[str, Family] = field(default_factory=dict)
    cluster_levels: tuple[str, ...] = ()
    elsewhere: frozenset[int] = frozenset()
    blocks: tuple[Block, ...] = ()

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the levels, the lowest first."""
        if not self.two_level:
            return ("within",)
        return ("within", *(self.cluster_levels or ("between",)))

    @property
    def three_level(self) -> bool:
        """Whether clusters lie in larger ones."""
        return len(self.levels) > 2

    @property
    def level_two(self) -> str:
        """Name of the level above that of rows; "between" in single-level models, without rows."""
        return self.levels[1] if self.two_level else "between"

    def above(self, level: str) -> str:
        """Name of the level above another one, empty if there is none."""
        place = self.levels.index(level) + 1
        return self.levels[place] if place < len(self.levels) else ""

    def mean_level(self, name: str) -> str:
        """Name of the highest level at which a variable stands: that of its mean."""
        found = [level for level in self.levels if (level, name) in self.roles]
        return found[-1] if found else self.levels[-1]

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Names given in ``rv()``, in the order of the rows."""
        return tuple(dict.fromkeys(row.random for row in self.rows if row.random))

    @property
    def log_sds(self) -> dict[str, str]:
        """Outcomes whose residual log SD has predictors at level 1 -> its name."""
        names = self.variables("within", "log SD")
        rows = [r for r in self.rows if r.random in names and r.kind == "variance"]
        return {row.lhs: row.random for row in rows}

    @property
    def constant_log_sds(self) -> frozenset[str]:
        """Those of ``log_sds`` that are the same in all clusters but for what predicts them."""
        names = set(self.log_sds.values())
        return frozenset(
            r.lhs
            for r in self.rows
            if r.level == "between" and r.kind == "variance" and r.lhs in names
            if r.free == 0 and r.value == 0
        )

    @property
    def responses(self) -> dict[str, Family]:
        """Outcomes with a likelihood of their own: not normal, or with log SDs of their rows."""
        return {**self.families, **dict.fromkeys(self.log_sds, LOCATION_SCALE)}

    def variables(self, level: str, *roles: Role) -> tuple[str, ...]:
        """Names of the variables of ``level`` with one of ``roles``, in order of appearance."""
        return tuple(v for (lev, v), r in self.roles.items() if lev == level and r in roles)
