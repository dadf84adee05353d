"""Which free covariances belong together, and in what order they stay positive definite.

The free covariances of one level are the edges of a graph over its variables. Each connected
component is a block ``Psi_B = diag(sd) R diag(sd)`` whose correlation matrix ``R`` has zeros
where there is no edge. Three patterns are told apart:

``complete``
    Every pair covaries. ``R = L L'`` with the rows of ``L`` on the unit sphere.
``chordal``
    Some pairs do not covary, but the variables can be ordered such that the later neighbours
    of each variable all covary (a perfect elimination ordering). Then ``L`` has zeros exactly
    where ``R`` has them, and ``R`` is positive definite by construction as well.
``direct``
    No such order exists, or a covariance is fixed at a number other than 0, shared by a label or
    used in a ``==`` constraint. The covariances themselves are the parameters, and values that
    are not positive definite get density zero.

In the first two patterns the entries of ``L`` come from canonical partial correlations
``z_ik`` (k before i): ``L_ik = z_ik sqrt(prod_{l<k} (1 - z_il^2))``. If ``R`` has density
proportional to ``det(R)^(eta - 1)``, the ``z`` are independent with
``(z_ik + 1) / 2 ~ Beta(b_ik, b_ik)``,

    b_ik = eta + (later neighbours of i + neighbours k' of i with k < k' < i) / 2

because ``det R = prod_i L_ii^2`` and the Jacobian from ``z`` to ``R`` is triangular. For a
complete block this is the LKJ distribution in its C-vine form (Lewandowski, Kurowicka & Joe
2009, https://doi.org/10.1016/j.jmva.2009.04.008).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from bayes_msem.spec.expressions import names as labels_of
from bayes_msem.spec.table import ParameterTable, Row

Pattern = Literal["complete", "chordal", "direct"]
Graph = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class CovarianceBlock:
    """One connected set of covarying variables.

    ``variables`` stand in elimination order; ``edges`` are the free covariances as
    (later, earlier) pairs in that order, sorted by rows of the Cholesky factor; ``rows`` holds
    the table row of each edge, free or random, or fixed in a "direct" block.
    """

    level: str
    variables: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    pattern: Pattern

    @property
    def free_edges(self) -> dict[int, tuple[str, str]]:
        """Free number -> edge, without random covariances."""
        pairs = zip(self.edges, self.rows, strict=True)
        return {row.free: edge for edge, row in pairs if row.free}

    def beta_shape(self, edge: tuple[str, str], eta: float) -> float:
        """Shape ``b_ik`` of the Beta prior of one partial correlation under LKJ(``eta``)."""
        later, earlier = edge
        position = {v: i for i, v in enumerate(self.variables)}
        i, k = position[later], position[earlier]
        n_after_i = sum(1 for _, e in self.edges if e == later)
        n_between = sum(1 for lat, e in self.edges if lat == later and k < position[e] < i)
        return eta + (n_after_i + n_between) / 2


def covariance_blocks(table: ParameterTable, level: str) -> tuple[CovarianceBlock, ...]:
    """Return the blocks of covarying variables of one level.

    Parameters
    ----------
    table
        The parameter table.
    level
        "within" or "between".

    Returns
    -------
    tuple of CovarianceBlock
        Blocks in order of first appearance; variables without a covariance are in none.
    """
    rows = [r for r in table.rows if r.level == level and r.kind == "covariance"]
    present = [r for r in rows if r.free or r.random or r.value != 0]
    graph: Graph = {}
    for row in present:
        graph.setdefault(row.lhs, set()).add(row.rhs)
        graph.setdefault(row.rhs, set()).add(row.lhs)
    used = {label for c in table.constraints for label in labels_of(c.expression)}
    uses = Counter(r.free for r in table.rows if r.free)
    shared = {r.free for r in present if uses[r.free] > 1 or r.label in used}
    shared |= table.elsewhere
    return tuple(_block(level, names, graph, present, shared) for names in _components(graph))


def _block(
    level: str, names: list[str], graph: Graph, rows: list[Row], shared: set[int]
) -> CovarianceBlock:
    members = [r for r in rows if r.lhs in graph and r.lhs in names]
    order = _elimination_order(names, graph)
    plain = all(r.random or (r.free and r.free not in shared) for r in members)
    pattern: Pattern
    if order is None or not plain:
        pattern, order = "direct", names
    else:
        pattern = "complete" if len(members) == len(names) * (len(names) - 1) // 2 else "chordal"
    position = {v: i for i, v in enumerate(order)}
    keyed = []
    for row in members:
        if row.free or row.random or pattern == "direct":
            later, earlier = sorted((row.lhs, row.rhs), key=position.__getitem__, reverse=True)
            keyed.append((position[later], position[earlier], later, earlier, row))
    keyed.sort(key=lambda k: k[:2])
    return CovarianceBlock(
        level=level,
        variables=tuple(order),
        edges=tuple((k[2], k[3]) for k in keyed),
        rows=tuple(k[4] for k in keyed),
        pattern=pattern,
    )


def _components(graph: Graph) -> list[list[str]]:
    """Find connected components, each in order of first appearance."""
    seen: set[str] = set()
    components = []
    for start in graph:
        if start in seen:
            continue
        found, frontier = {start}, [start]
        while frontier:
            new = graph[frontier.pop()] - found
            found |= new
            frontier.extend(new)
        seen |= found
        components.append([v for v in graph if v in found])
    return components


def _elimination_order(names: list[str], graph: Graph) -> list[str] | None:
    """Perfect elimination ordering by maximum cardinality search; None if not chordal.

    For a complete block the order of appearance is kept, so that the first variable's
    correlations are plain correlations.
    """
    if all(len(graph[v]) == len(names) - 1 for v in names):
        return list(names)
    visited: list[str] = []
    weight = dict.fromkeys(names, 0)
    while weight:
        chosen = max(weight, key=weight.__getitem__)
        del weight[chosen]
        visited.append(chosen)
        for other in graph[chosen]:
            if other in weight:
                weight[other] += 1
    order = visited[::-1]
    for i, variable in enumerate(order):
        later = [v for v in order[i + 1 :] if v in graph[variable]]
        if any(b not in graph[a] for a in later for b in later if a != b):
            return None
    return order
