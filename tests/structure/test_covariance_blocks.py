"""Which covariances form a block, its pattern, and its elimination order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from tests.structure.patterns import CHORDAL, COMPLETE, DIRECT, text_of

COLUMNS = list("abcdefgh")


def blocks(text: str, level: str = "within") -> tuple[CovarianceBlock, ...]:
    cluster = "group" if "level:" in text else None
    return covariance_blocks(build_table(parse(text), COLUMNS, cluster=cluster), level)


def edge_sets(block: CovarianceBlock) -> set[frozenset[str]]:
    return {frozenset(edge) for edge in block.edges}


@pytest.mark.parametrize(
    ("edges", "pattern"),
    [(edges, "complete") for edges in COMPLETE.values()]
    + [(edges, "chordal") for edges in CHORDAL.values()]
    + [(edges, "direct") for edges in DIRECT.values()],
    ids=[*COMPLETE, *CHORDAL, *DIRECT],
)
def test_pattern(edges: tuple[str, ...], pattern: str) -> None:
    (block,) = blocks(text_of(edges))
    assert block.pattern == pattern
    assert edge_sets(block) == {frozenset(e) for e in edges}
    assert sorted(block.variables) == sorted(set("".join(edges)))
    assert block.level == "within"


def is_chordal(edges: set[frozenset[str]]) -> bool:
    """Chordal graphs are those that vanish by removing vertices whose neighbours are adjacent."""
    vertices = set().union(*edges)
    while vertices:
        for v in sorted(vertices):
            neighbours = [u for u in vertices if frozenset((u, v)) in edges]
            if all(frozenset(pair) in edges for pair in itertools.combinations(neighbours, 2)):
                vertices.remove(v)
                break
        else:
            return False
    return True


def random_edges(seed: int) -> tuple[str, ...]:
    rng = np.random.default_rng(seed)
    pairs = [a + b for a, b in itertools.combinations("abcdef", 2)]
    rng.shuffle(pairs)
    return tuple(pairs[: rng.integers(4, 11)])


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int) -> None:
    """Pattern as by brute force; the order creates no fill-in in the Cholesky factor."""
    chosen = random_edges(seed)
    found = blocks(text_of(chosen))
    assert set().union(*map(edge_sets, found)) == {frozenset(e) for e in chosen}
    for block in found:
        edges = edge_sets(block)
        assert (block.pattern == "direct") == (not is_chordal(edges))
        if block.pattern == "direct":
            continue
        order = block.variables
        for i, v in enumerate(order):
            later = [u for u in order[i + 1 :] if frozenset((u, v)) in edges]
            assert all(frozenset(p) in edges for p in itertools.combinations(later, 2))
        # edges are (later, earlier), sorted by rows of the Cholesky factor
        places = [(order.index(a), order.index(b)) for a, b in block.edges]
        assert all(i > k for i, k in places)
        assert places == sorted(places)


def test_random_graphs_include_both_kinds() -> None:
    """The test above would show nothing if all its graphs were chordal, or none."""
    kinds = [is_chordal({frozenset(e) for e in random_edges(seed)}) for seed in range(40)]
    assert 5 < sum(kinds) < 35


@pytest.mark.parametrize(
    "fixed",
    [
        "a ~~ 0.3*c",  # a constant other than zero
        "c ~~ k*d\nc ~~ k*e",  # shared by a label
        "c ~~ k*d\na ~ s*f\ns == 2 * k",  # used in a constraint
    ],
    ids=["constant", "shared", "constraint"],
)
def test_covariances_that_others_depend_on_are_direct(fixed: str) -> None:
    (block,) = blocks(f"a ~~ b\nb ~~ c\n{fixed}")
    assert block.pattern == "direct"


def test_direct_only_where_needed() -> None:
    """A label on one covariance alone changes nothing; nor do := and labels of variances."""
    text = "a ~~ k*b\nb ~~ c\nc ~~ v*c\na ~~ v*a\ntwice := 2 * k"
    (block,) = blocks(text)
    assert block.pattern == "chordal"


def test_zero_covariances_cut_blocks() -> None:
    (block,) = blocks("F =~ a + b\nG =~ c + d\nH =~ e + f\nF ~~ 0*G")
    assert edge_sets(block) == {frozenset("FH"), frozenset("GH")}
    assert block.pattern == "chordal"


def test_several_blocks_in_order_of_appearance() -> None:
    found = blocks("d ~~ e\na ~~ b\na ~~ c\nb ~~ c\nf ~~ g\nf ~~ 0*a")
    assert [set(b.variables) for b in found] == [set("de"), set("abc"), set("fg")]
    assert [b.pattern for b in found] == ["complete", "complete", "complete"]


def test_levels_have_their_own_blocks() -> None:
    text = "level: within\na ~~ b\nlevel: between\na ~~ b\nb ~~ c"
    (within,), (between,) = blocks(text), blocks(text, "between")
    assert (within.level, within.pattern) == ("within", "complete")
    assert (between.level, between.pattern) == ("between", "chordal")


def test_no_covariances_no_blocks() -> None:
    assert blocks("a ~ b") == ()
