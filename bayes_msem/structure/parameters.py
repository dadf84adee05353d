"""The sampled parameters: their order, their groups, and their map to table values.

NUTS sees a vector x, the concatenation of a few *groups* (one per level, kind of coefficient and
prior family). The likelihood needs theta, the values of the table rows. Element by element

    identity     theta = x                      loadings, regressions, intercepts, "direct" blocks
    square       theta = x^2                    variances; x is the standard deviation
    correlation  theta = R_ik sd_i sd_k         covariances; z = 2 x - 1 is a canonical partial
                                                correlation (see bayes_msem.spec.covariance)
    threshold    from shares    thresholds with a Dirichlet prior; x is the share of a category in
                                what earlier ones leave (see bayes_msem.kernels.thresholds)

so that priors stand on the scales people think in, and positive definiteness is built in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayes_msem.kernels.layout import (
    CORRELATION,
    IDENTITY,
    SQUARE,
    THRESHOLD,
    Blocks,
    Thresholds,
)
from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import Kind, ParameterTable, Row, RowKey

IntArray = NDArray[np.int64]

GROUP_NAMES: dict[Kind, str] = {
    "loading": "loading",
    "regression": "regression",
    "intercept": "intercept",
    "variance": "sd",
    "covariance": "partial_correlation",
    "threshold": "threshold",
    "dispersion": "dispersion",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share a random variable in the PyMC model.

    ``arguments`` has shape (n_arguments, n_parameters); ``labels`` are the coordinates shown to
    the user, one per parameter.
    """

    name: str
    level: str
    kind: Kind
    family: str
    free: tuple[int, ...]
    labels: tuple[str, ...]
    arguments: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parameters:
    """All free parameters.

    Attributes
    ----------
    groups
        In the order of x.
    position
        Free number -> position in x and theta.
    transform
        IDENTITY, SQUARE, CORRELATION or THRESHOLD for each element, shape (n_parameters,).
    blocks
        The covariance blocks in which CORRELATION elements stand.
    thresholds
        The THRESHOLD elements.
    rows
        First table row of each element.
    """

    groups: tuple[Group, ...]
    position: dict[int, int]
    transform: IntArray
    blocks: Blocks
    thresholds: Thresholds
    rows: tuple[Row, ...]

    @property
    def n(self) -> int:
        """Number of free parameters."""
        return len(self.rows)


def row_label(row: Row) -> str:
    """Coordinate label of a row inside its level, e.g. ``"fw =~ y2"``."""
    return f"{row.lhs} {row.op} {row.rhs}"


def build_parameters(table: ParameterTable, priors: dict[int, Prior]) -> Parameters:
    """Order the free parameters, group them by prior family, and find their transforms.

    Parameters
    ----------
    table
        The parameter table.
    priors
        Free number -> prior.

    Returns
    -------
    The parameters in the order of x.
    """
    first: dict[int, Row] = {}
    for row in table.rows:
        if row.free:
            first.setdefault(row.free, row)
    blocks = [b for lev in table.levels for b in covariance_blocks(table, lev)]
    shares = _shares(first, priors)
    beta_shapes = _beta_shapes(blocks, priors) | {f: shape for _, f, shape in shares}
    groups = _groups(first, priors, beta_shapes)
    order = [f for g in groups for f in g.free]
    position = {f: i for i, f in enumerate(order)}
    correlated = {f for b in blocks if b.pattern != "direct" for f in b.free_edges}
    transform = [
        SQUARE
        if first[f].kind == "variance"
        else CORRELATION
        if f in correlated
        else THRESHOLD
        if f in {g for _, g, _ in shares}
        else IDENTITY
        for f in order
    ]
    return Parameters(
        groups=tuple(groups),
        position=position,
        transform=np.array(transform, dtype=np.int64),
        blocks=flatten_blocks([b for b in blocks if not varies(b, table)], table, position),
        thresholds=_thresholds(shares, priors, position),
        rows=tuple(first[f] for f in order),
    )


def _shares(
    first: dict[int, Row], priors: dict[int, Prior]
) -> list[tuple[str, int, tuple[float, float]]]:
    """Outcome, free number and Beta shape of all thresholds with a Dirichlet prior, in order."""
    members: dict[str, list[int]] = {}
    for free, row in first.items():
        if row.kind == "threshold" and priors[free].family == "dirichlet":
            members.setdefault(row.lhs, []).append(free)
    found = []
    for outcome, frees in members.items():
        for c, free in enumerate(frees):
            alpha = priors[free].arguments[0]
            found.append((outcome, free, (alpha, alpha * (len(frees) - c))))
    return found


def _thresholds(
    shares: list[tuple[str, int, tuple[float, float]]],
    priors: dict[int, Prior],
    position: dict[int, int],
) -> Thresholds:
    sizes: dict[str, int] = {}
    scales: dict[str, float] = {}
    for outcome, free, _ in shares:
        sizes[outcome] = sizes.get(outcome, 0) + 1
        scales[outcome] = priors[free].arguments[1]
    return Thresholds(
        size=np.array(list(sizes.values()), dtype=np.int64),
        position=np.array([position[f] for _, f, _ in shares], dtype=np.int64),
        scale=np.array(list(scales.values()), dtype=np.float64),
    )


def no_thresholds() -> Thresholds:
    """Return the thresholds of a model that has none."""
    nowhere = np.empty(0, dtype=np.int64)
    return Thresholds(nowhere, nowhere, np.empty(0))


def varies(block: CovarianceBlock, table: ParameterTable) -> bool:
    """Whether a variance or covariance of the block is a random coefficient."""
    random = {(r.level, r.lhs) for r in table.rows if r.random and r.kind == "variance"}
    return any(row.random for row in block.rows) or any(
        (block.level, variable) in random for variable in block.variables
    )


def _beta_shapes(
    blocks: list[CovarianceBlock], priors: dict[int, Prior]
) -> dict[int, tuple[float, float]]:
    """Beta(a, b) parameters on (z + 1) / 2 for every correlation."""
    shapes: dict[int, tuple[float, float]] = {}
    for block in blocks:
        if block.pattern == "direct":
            continue
        for free, edge in block.free_edges.items():
            prior = priors[free]
            if prior.family == "beta":
                shapes[free] = (prior.arguments[0], prior.arguments[1])
            else:
                shape = block.beta_shape(edge, prior.arguments[0])
                shapes[free] = (shape, shape)
    return shapes


def _groups(
    first: dict[int, Row], priors: dict[int, Prior], beta_shapes: dict[int, tuple[float, float]]
) -> list[Group]:
    members: dict[tuple[str, Kind, str], list[int]] = {}
    for free, row in first.items():
        family = "beta" if free in beta_shapes else priors[free].family
        members.setdefault((row.level, row.kind, family), []).append(free)
    stems = [_stem(*key) for key in members]
    groups = []
    for (level, kind, family), numbers in members.items():
        stem = _stem(level, kind, family)
        alone = stems.count(stem) == 1
        arguments = [beta_shapes.get(f, priors[f].arguments) for f in numbers]
        groups.append(
            Group(
                name=stem if alone else f"{stem}_{family}",
                level=level,
                kind=kind,
                family=family,
                free=tuple(numbers),
                labels=tuple(row_label(first[f]) for f in numbers),
                arguments=np.array(arguments, dtype=np.float64).T.copy(),
            )
        )
    return groups


def _stem(level: str, kind: Kind, family: str) -> str:
    if kind == "threshold" and family == "beta":
        return f"{level}_category_fraction"
    direct = kind == "covariance" and family != "beta"
    return f"{level}_{'covariance' if direct else GROUP_NAMES[kind]}"


def flatten_blocks(
    blocks: list[CovarianceBlock],
    table: ParameterTable,
    position: dict[int, int],
    random_position: dict[RowKey, int] | None = None,
) -> Blocks:
    """Flatten covariance blocks for the kernel.

    Parameters
    ----------
    blocks
        The blocks.
    table
        The parameter table.
    position
        Free number -> position in x.
    random_position
        Key of a row whose coefficient varies over clusters -> position of its value.
    """
    place_of = dict(random_position or {})
    for row in table.rows:
        if row.free:
            place_of[row.key] = position[row.free]
    variances = {(r.level, r.lhs): r for r in table.rows if r.kind == "variance"}
    sd_source: list[int] = []
    constants: list[float] = []
    edge_row: list[int] = []
    edge_column: list[int] = []
    for block in blocks:
        place = {v: i for i, v in enumerate(block.variables)}
        for variable in block.variables:
            row = variances[(block.level, variable)]
            if row.key in place_of:
                sd_source.append(place_of[row.key])
            else:
                sd_source.append(-1 - len(constants))
                constants.append(float(np.sqrt(row.value)))
        edge_row += [place[later] for later, _ in block.edges]
        edge_column += [place[earlier] for _, earlier in block.edges]
    edges = []
    for row in (row for block in blocks for row in block.rows):
        if row.key in place_of:
            edges.append(place_of[row.key])
        else:
            edges.append(-1 - len(constants))
            constants.append(row.value)
    sizes = [len(b.variables) * (-1 if b.pattern == "direct" else 1) for b in blocks]
    return Blocks(
        size=np.array(sizes, dtype=np.int64),
        sd_source=np.array(sd_source, dtype=np.int64),
        edge_count=np.array([len(b.edges) for b in blocks], dtype=np.int64),
        edge_row=np.array(edge_row, dtype=np.int64),
        edge_column=np.array(edge_column, dtype=np.int64),
        edge_position=np.array(edges, dtype=np.int64),
        constant=np.array(constants, dtype=np.float64),
    )
