"""What a study asks: which cells, which quantities, how they are estimated; checked before it runs.

Seeds. Replication r of the cell with J clusters of n rows draws its data and its posterior with

    SeedSequence(random_seed, spawn_key=(J, n, r)) ,

so that its numbers depend neither on the other cells, nor on the order in which replications are
computed, nor on who computes them.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.arguments import IntervalKind, integer, number, several, shown
from bayes_msem.blueprint.rows import row_values
from bayes_msem.blueprint.values import Values, read_values, theta_from_values
from bayes_msem.errors import MsemError, MsemWarning, NotSupportedError, SpecificationError
from bayes_msem.model import Model
from bayes_msem.posterior.record import read_name, read_priors
from bayes_msem.spec.row_names import find_row, is_key, key_text
from bayes_msem.spec.table import Row, RowKey

__all__ = [
    "Cell",
    "StudyDesign",
    "Target",
    "cells_of",
    "check_analysable",
    "fingerprint",
    "model_on",
    "plain",
    "read_ropes",
    "targets_of",
]

_TRIALS = 5  # data sets that are tried before a cell is refused
_ALWAYS_POSITIVE = ("variance", "dispersion")


@dataclass(frozen=True, slots=True)
class Cell:
    """One condition: number of clusters (0 in single-level models) and rows of each."""

    clusters: int
    size: int

    def __str__(self) -> str:
        """Return the cell in words."""
        return f"{self.clusters} clusters of {self.size}" if self.clusters else f"{self.size} rows"


@dataclass(frozen=True, slots=True)
class Target:
    """One quantity: its name, its row, its true value, and whether zero is inside its range."""

    name: str
    key: RowKey
    true: float
    may_be_zero: bool


@dataclass(frozen=True, slots=True, eq=False)
class StudyDesign:
    """All that one replication needs.

    Attributes
    ----------
    model
        The model; its data have the covariates that clusters and rows are drawn from.
    values
        True value of every free row.
    targets
        What is estimated.
    ci, ci_kind
        Mass and kind of the interval.
    ml
        Whether maximum likelihood is computed as well.
    settings
        Passed to :meth:`bayes_msem.Model.fit`.
    seed
        Seed of the study.
    """

    model: Model
    values: Mapping[RowKey, float]
    targets: tuple[Target, ...]
    ci: float
    ci_kind: IntervalKind
    ml: bool
    settings: Mapping[str, Any]
    seed: int

    def seeds(self, cell: Cell, replication: int) -> tuple[int, int]:
        """Seeds of the data and of the sampler."""
        key = (cell.clusters, cell.size, replication)
        state = np.random.SeedSequence(self.seed, spawn_key=key).generate_state(2, np.uint64)
        data, sampler = (int(word >> np.uint64(1)) for word in state)  # below 2**63
        return data, sampler

    def simulate(self, cell: Cell, random_seed: int) -> pd.DataFrame:
        """Draw one data set."""
        return self.model.simulate(
            dict(self.values),
            clusters=cell.clusters or None,
            sizes=cell.size,
            random_seed=random_seed,
        )

    def record(self) -> dict[str, Any]:
        """Say in plain values what decides the numbers of a replication."""
        options = self.model.options
        settings = {k: v for k, v in self.settings.items() if k != "cores"}
        return {
            "bayes_msem": version("bayes_msem"),
            "model": options.pop("spec"),
            "options of the model": {k: v for k, v in sorted(options.items())},
            "covariates": fingerprint(self.model),
            "values": {key_text(k): v for k, v in self.values.items()},
            "targets": [key_text(t.key) for t in self.targets],
            "ci": self.ci,
            "ci_kind": self.ci_kind,
            "ml": self.ml,
            "settings of the sampler": {k: plain(v) for k, v in sorted(settings.items())},
            "random_seed": self.seed,
        }


def cells_of(model: Model, clusters: Any, sizes: Any) -> tuple[Cell, ...]:
    """Cross numbers of clusters with sizes.

    Raises
    ------
    SpecificationError
        Fewer than two clusters, no rows, the same number twice, or clusters in a single-level
        model.
    """
    if model.table.three_level:
        raise NotSupportedError(
            "studies are there for models of one and two levels; with three, simulate data sets by "
            "model.simulate(values, tops=..., clusters=..., sizes=...) and fit them in a loop"
        )
    rows = _numbers("sizes", sizes, integer(1, what="a number of rows, such as 10"))
    if not model.table.two_level:
        if clusters is not None:
            raise SpecificationError(
                f"clusters={shown(clusters)} was given, but the model has a single level; leave "
                "clusters out, and let sizes be numbers of rows"
            )
        return tuple(Cell(0, size) for size in rows)
    if clusters is None:
        raise SpecificationError(
            "clusters is missing: give numbers of clusters, such as clusters=[10, 20, 40]"
        )
    counts = _numbers("clusters", clusters, integer(2, what="a number of clusters, such as 20"))
    return tuple(Cell(count, size) for count in counts for size in rows)


def _numbers(name: str, given: Any, check: Any) -> list[int]:
    """Check one number or a list of them, all different."""
    alone = isinstance(given, (int, float, np.number, str)) or given is None
    values = [given] if alone else list(several(name, given))
    if not values:
        raise SpecificationError(f"{name} is empty; give at least one number")
    found = sorted(check(name, value) for value in values)
    for first, second in pairwise(found):
        if first == second:
            raise SpecificationError(f"{name} has {first} twice; give every number once")
    return found


def targets_of(model: Model, values: Values, targets: Any) -> tuple[Target, ...]:
    """Find the rows that a study is about, with their true values.

    Parameters
    ----------
    model
        The model.
    values
        True values of all free rows.
    targets
        Names of rows; None: all that are free or defined.

    Raises
    ------
    SpecificationError
        Unknown rows, constants, random coefficients, or values that are not complete.
    """
    blueprint = model.blueprint
    theta = theta_from_values(blueprint, values)
    truth = row_values(blueprint, theta)
    rows = [row for row in model.table.rows if row.free or row.kind == "defined"]
    if targets is not None:
        alone = isinstance(targets, str) or is_key(targets)
        listed = [targets] if alone else list(several("targets", targets))
        rows = [_target_row(model.table.rows, name) for name in listed]
    if not rows:
        raise SpecificationError("targets is empty; name at least one row, or leave it out")
    found: dict[str, Target] = {}
    for row in rows:
        name = row.label or (row.lhs if row.kind == "defined" else key_text(row.key))
        true = float(truth[row.key])
        if not np.isfinite(true):
            raise SpecificationError(f"targets: '{name}' has no true value: it is {true}")
        found.setdefault(name, Target(name, row.key, true, row.kind not in _ALWAYS_POSITIVE))
    return tuple(found.values())


def _target_row(rows: Sequence[Row], name: Any) -> Row:
    row = find_row(rows, name, what="targets")
    if row.random:
        raise SpecificationError(
            f"targets: {shown(name)} is a random coefficient, which differs between clusters; its "
            f"mean is 'between: {row.random} ~ 1'"
        )
    if not row.free and row.kind != "defined":
        raise SpecificationError(
            f"targets: {shown(name)} is fixed at {row.value:g}, so there is nothing to estimate; "
            "leave it out"
        )
    return row


def read_ropes(rope: Any, targets: Iterable[Target]) -> dict[str, tuple[float, float]]:
    """Read regions of practical equivalence: one for all targets, or by target.

    Raises
    ------
    SpecificationError
        Not a pair of ascending numbers, or an unknown target.
    """
    by_name = {target.name: target for target in targets}
    if rope is None:
        return {}
    if not isinstance(rope, Mapping):
        return dict.fromkeys(by_name, _pair(rope))
    table = [Row(*t.key[:4], label=t.name if t.key.op != ":=" else "") for t in by_name.values()]
    names = {t.key: t.name for t in by_name.values()}
    return {names[find_row(table, k, what="rope").key]: _pair(v) for k, v in rope.items()}


def _pair(value: Any) -> tuple[float, float]:
    one = number("a pair (lower, upper) of numbers, such as (-0.1, 0.1)")
    ends = [] if isinstance(value, (str, set, frozenset)) else several("rope", value)
    if len(ends) != 2:
        one("rope", None)
    lower, upper = (one("rope", end) for end in ends)
    if not lower < upper:
        raise SpecificationError(f"rope={shown(value)} must ascend, such as (-0.1, 0.1)")
    return lower, upper


def check_values(model: Model, values: Values) -> dict[RowKey, float]:
    """Read the true values of the free rows."""
    given = read_values(model.table, values)
    return {row.key: given[row.key] for row in model.table.rows if row.free}


def model_on(model: Model, frame: pd.DataFrame) -> Model:
    """Declare the model anew on other data, with their default priors and the given ones."""
    arguments = model.options
    arguments["priors"] = read_priors(arguments["priors"])
    arguments["cluster"] = read_name(arguments["cluster"])
    other = Model(arguments.pop("spec"), frame, **arguments)
    if [row.key for row in other.table.rows] != [row.key for row in model.table.rows] or (
        dict(other.observed.categories) != dict(model.observed.categories)
    ):
        raise SpecificationError("some category of an ordered outcome was not drawn")
    return other


def check_analysable(design: StudyDesign, cells: Sequence[Cell]) -> None:
    """Simulate a few data sets of every cell, and declare the model on them.

    Raises
    ------
    SpecificationError
        Of no data set of a cell can the model be declared, or maximum likelihood does not exist
        for it.
    """
    for cell in cells:
        problem: MsemError | None = None
        for trial in range(_TRIALS):
            frame = design.simulate(cell, design.seeds(cell, trial)[0])
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", MsemWarning)
                    model = model_on(design.model, frame)
                    if design.ml and cell is cells[0]:
                        model.mode(prior=False)
                break
            except NotSupportedError as error:
                raise SpecificationError(f"the study cannot be run: {error}") from error
            except MsemError as error:
                problem = error
        else:
            raise SpecificationError(
                f"data of {cell} cannot be analysed with this model: {problem}"
            ) from problem


def fingerprint(model: Model, *others: NDArray[Any]) -> str:
    """Hash of what data sets are drawn from: covariates, clusters and their sizes, and others."""
    observed = model.observed
    digest = hashlib.sha256()
    arrays = (observed.x, observed.w, observed.sizes, observed.cluster)
    exposures = (observed.y_exposure, observed.z_exposure)
    tops = () if observed.parent is None else (observed.parent, observed.w3, np.isnan(observed.z3))
    for array in (*arrays, *exposures, *others, *tops):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def plain(value: Any) -> Any:
    """Return what a file can hold."""
    return value if isinstance(value, (bool, int, float, str)) or value is None else shown(value)
