"""Covariance patterns as graphs, and models that have them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

import bayes_msem as bm
from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks

Edge = tuple[str, str]

COMPLETE = {
    "pair": ("ab",),
    "complete 3": ("ab", "ac", "bc"),
    "complete 4": ("ab", "ac", "ad", "bc", "bd", "cd"),
    "complete 5": ("ab", "ac", "ad", "ae", "bc", "bd", "be", "cd", "ce", "de"),
}
CHORDAL = {
    "chain of 3": ("ab", "bc"),
    "chain of 5": ("ab", "bc", "cd", "de"),
    "chain in odd order": ("cd", "ab", "de", "bc"),
    "star": ("ab", "ac", "ad", "ae"),
    "tree": ("ab", "ac", "bd", "be", "cf"),
    "two triangles, one edge in common": ("ab", "ac", "bc", "bd", "cd"),
    "two triangles, one corner in common": ("ab", "ac", "bc", "cd", "ce", "de"),
    "triangle with a tail": ("ab", "bc", "cd", "bd"),
    "complete 4 without an edge": ("ab", "ac", "ad", "bc", "bd"),
    "4-cycle with a chord": ("ab", "bc", "cd", "da", "ac"),
}
DIRECT = {
    "4-cycle": ("ab", "bc", "cd", "da"),
    "5-cycle": ("ab", "bc", "cd", "de", "ea"),
    "6-cycle with one chord": ("ab", "bc", "cd", "de", "ef", "fa", "ad"),
    "4-cycle with a tail": ("ab", "bc", "cd", "da", "ae"),
}


def text_of(edges: tuple[str, ...], fixed: str = "") -> str:
    """Covariances among observed variables, say a ~~ b, and further lines."""
    return "\n".join(f"{e[0]} ~~ {e[1]}" for e in edges) + f"\n{fixed}"


@cache
def make_model(text: str, eta: float = 2.0) -> bm.Model:
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(40, 6)), columns=list("abcdef"))
    blocks = _blocks(bm.Model(text, data=frame))
    correlated = any(block.pattern != "direct" for block in blocks)
    priors = {"covariance": f"lkj({eta})"} if correlated else None
    return bm.Model(text, data=frame, priors=priors)


def the_block(text: str) -> CovarianceBlock:
    (block,) = _blocks(make_model(text))
    return block


def _blocks(model: bm.Model) -> tuple[CovarianceBlock, ...]:
    return covariance_blocks(model.table, "within")
