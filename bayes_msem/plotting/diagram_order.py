"""In which order the nodes of a column stand: the one with the fewest crossings.

A path that skips columns has a :class:`Gap` in each of them, so that every piece of it runs between
neighbouring columns. Two pieces cross if their ends are in opposite orders; an order of all columns
is searched exhaustively if there are few, and column by column otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from math import factorial, prod

from bayes_msem.plotting.diagram_graph import LevelGraph

__all__ = ["Gap", "Item", "Link", "best_orders", "untangled"]

_MANY = 3000  # orders that are all tried
_LARGE = 5  # columns of more items are sorted by neighbours swapped
_CROSSING, _APART, _LOW, _MOVED = 10.0, 3.0, 0.4, 0.3


@dataclass(frozen=True, slots=True)
class Gap:
    """Place of a path in a column that it skips."""

    source: str
    target: str
    column: int


type Item = str | Gap


@dataclass(frozen=True, slots=True)
class Link:
    """A path between two columns."""

    source: str
    target: str
    from_column: int
    to_column: int

    @property
    def first(self) -> int:
        """The left one of its columns."""
        return min(self.from_column, self.to_column)

    @property
    def last(self) -> int:
        """The right one of its columns."""
        return max(self.from_column, self.to_column)

    @property
    def ends(self) -> tuple[str, str]:
        """Names at the left and at the right."""
        forward = self.from_column < self.to_column
        return (self.source, self.target) if forward else (self.target, self.source)

    @property
    def between(self) -> range:
        """Columns that it skips, from the left; turned for paths that run to the left."""
        inner = range(self.first + 1, self.last)
        return inner if self.from_column < self.to_column else inner[::-1]

    def at(self, column: int) -> Item:
        """Its node or gap in a column."""
        if column in (self.first, self.last):
            return self.ends[column == self.last]
        return Gap(self.source, self.target, column)


def best_orders(
    columns: Sequence[Sequence[str]],
    links: Sequence[Link],
    pairs: Sequence[tuple[str, str]],
    fixed_inside: Sequence[bool],
    upward: bool,
) -> list[list[Item]]:
    """Order the nodes and gaps of every column, from the inside out.

    Parameters
    ----------
    columns
        Names by column, the first on top.
    links
        Paths between columns.
    pairs
        Names that covary: they should be neighbours.
    fixed_inside
        Whether a column is a factor with indicators below, so that gaps go outside of it.
    upward
        Whether outside is up.
    """
    gaps = {i: [link.at(i) for link in links if i in link.between] for i in range(len(columns))}
    items: list[list[Item]] = [[*names, *gaps[i]] for i, names in enumerate(columns)]
    search = _Search(items, links, pairs, upward)
    choices = [_ways(stack, fixed_inside[i], upward) for i, stack in enumerate(items)]
    if prod(factorial(len(stack)) for stack in items) <= _MANY:
        found = min((list(o) for o in product(*choices)), key=search.cost)
    else:
        found = [list(stack) for stack in items]
        for _ in range(4):
            for i, stack in enumerate(found):
                found[i] = search.improved(found, i, _ways(stack, fixed_inside[i], upward))
    return [stack[::-1] for stack in found] if upward else found


def _ways(stack: Sequence[Item], factor: bool, upward: bool) -> list[list[Item]]:
    """Orders of a column to try, from top to bottom."""
    if factor:  # innermost
        gaps = [item for item in stack if isinstance(item, Gap)]
        names = [item for item in stack if not isinstance(item, Gap)]
        ways = _ways(gaps, False, upward) if gaps else [[]]
        return [[*way, *names] if upward else [*names, *way] for way in ways]
    if len(stack) <= _LARGE:
        return [list(p) for p in permutations(stack)]
    ways = [list(stack)]
    for i in range(len(stack)):
        for j in range(len(stack)):
            if i != j:
                moved = [*stack[:i], *stack[i + 1 :]]
                ways.append([*moved[:j], stack[i], *moved[j:]])
    return ways


@dataclass(frozen=True, slots=True)
class _Search:
    start: Sequence[Sequence[Item]]
    links: Sequence[Link]
    pairs: Sequence[tuple[str, str]]
    upward: bool

    def cost(self, orders: Sequence[Sequence[Item]]) -> float:
        """Crossings first; then neighbours that covary, low gaps, and the order of the table."""
        place = {item: i for stack in orders for i, item in enumerate(stack)}
        cost = 0.0
        for column in range(len(orders) - 1):
            pieces = [
                (place[link.at(column)], place[link.at(column + 1)])
                for link in self.links
                if link.first <= column < link.last
            ]
            crossed = ((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(pieces, 2))
            cost += _CROSSING * sum(crossed)
        column_of = {item: i for i, stack in enumerate(orders) for item in stack}
        for a, b in self.pairs:
            if a in place and b in place and column_of[a] == column_of[b]:
                low, high = sorted((place[a], place[b]))
                inner = orders[column_of[a]][low + 1 : high]
                cost += sum(_CROSSING if isinstance(item, Gap) else _APART for item in inner)
        for before, stack in zip(self.start, orders, strict=True):
            names = [item for item in before if not isinstance(item, Gap)]
            kept = [item for item in stack if not isinstance(item, Gap)]
            cost += _MOVED * sum(kept.index(a) > kept.index(b) for a, b in combinations(names, 2))
            low_gaps = sum(isinstance(item, Gap) * (len(stack) - i) for i, item in enumerate(stack))
            cost += _LOW * low_gaps / len(stack)
        return cost

    def improved(
        self, orders: list[list[Item]], column: int, ways: Sequence[list[Item]]
    ) -> list[Item]:
        """Return the best order of one column, the others as they are."""
        return min(ways, key=lambda way: self.cost([*orders[:column], way, *orders[column + 1 :]]))


# Rows of indicators -----------------------------------------------------------------------------


def untangled(
    graphs: Sequence[LevelGraph], blocks: Sequence[Mapping[str, list[str]]]
) -> list[dict[str, list[str]]]:
    """Turn blocks of indicators round where fewer of their residual covariances cross then.

    A block that is the same at both levels is turned at both, or at neither.
    """
    known = list(dict.fromkeys(frozenset(b) for level in blocks for b in level.values()))
    known = [b for b in known if len(b) > 1]
    best = [dict(level) for level in blocks]
    if len(known) > 8:
        return best
    least = _tangles(graphs, best)
    for turned in _subsets(known):
        tried = [
            {f: shown[::-1] if frozenset(shown) in turned else shown for f, shown in level.items()}
            for level in blocks
        ]
        cost = _tangles(graphs, tried)
        if cost < least:
            best, least = tried, cost
    return [dict(level) for level in best]


def _subsets(known: Sequence[frozenset[str]]) -> Iterator[tuple[frozenset[str], ...]]:
    """Small ones first, and those with late members before those with early ones."""
    for n in range(1, len(known) + 1):
        yield from combinations(known[::-1], n)


def _tangles(graphs: Sequence[LevelGraph], blocks: Sequence[Mapping[str, Sequence[str]]]) -> int:
    """Pairs of covariances of indicators that cross if all are drawn on one side of the row."""
    count = 0
    for graph, level in zip(graphs, blocks, strict=True):
        row = {name: i for i, name in enumerate(n for shown in level.values() for n in shown)}
        arcs = [
            sorted((row[e.source], row[e.target]))
            for e in graph.of_kind("covariance")
            if e.source in row and e.target in row
        ]
        count += sum(a < c < b < d or c < a < d < b for (a, b), (c, d) in combinations(arcs, 2))
    return count
