"""The MSALT example of the study of default priors: its predictor hardly varies between clusters.

A 1-(1,1)-1 mediation in school classes with 2,000 pupils in 120 classes of random size. The ICCs
are those of the example that Kristopher Preacher uses in talks on multilevel SEM; coefficients are
made up. Under the default priors before this study, the posterior of ICC(gse) excluded the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from prior_cells import Array, Cell, Design, Key, Truth, b, w

__all__ = ["MSALT_DESIGN", "msalt_cell"]

MSALT = """
level: within
    talent ~ gse
    effort ~ gse
    performance ~ talent + effort + gse
    talent ~~ effort
level: between
    talent ~ gse
    effort ~ gse
    performance ~ talent + effort + gse
    talent ~~ effort
"""
_MSALT_ICC = {"gse": 0.03, "talent": 0.11, "effort": 0.13, "performance": 0.04}
_MSALT_ROWS = 2000
# standardised at either level
_MSALT_PATHS = {
    ("talent", "gse"): 0.4,
    ("effort", "gse"): 0.3,
    ("performance", "talent"): 0.35,
    ("performance", "effort"): 0.25,
    ("performance", "gse"): 0.15,
}


def msalt_cell() -> Cell:
    """Return the one cell of this design."""
    return Cell("msalt", 120, 17, 0.03)


def _msalt_truth(_: float) -> Truth:
    p = _MSALT_PATHS
    between_paths = p["performance", "talent"] * p["talent", "gse"]
    r_te = p["talent", "gse"] * p["effort", "gse"]
    explained = (
        p["performance", "talent"] ** 2
        + p["performance", "effort"] ** 2
        + p["performance", "gse"] ** 2
        + 2 * p["performance", "talent"] * p["performance", "effort"] * r_te
        + 2 * between_paths * p["performance", "gse"]
        + 2 * p["performance", "effort"] * p["effort", "gse"] * p["performance", "gse"]
    )
    residual = {
        "gse": 1.0,
        "talent": 1 - p["talent", "gse"] ** 2,
        "effort": 1 - p["effort", "gse"] ** 2,
        "performance": 1 - explained,
    }
    t: Truth = {}
    for of, share in ((w, {k: 1 - v for k, v in _MSALT_ICC.items()}), (b, _MSALT_ICC)):
        for v, value in residual.items():
            t[of(v, "~~", v)] = value * share[v]
        for (y, x), value in p.items():
            t[of(y, "~", x)] = value * (share[y] / share[x]) ** 0.5
        t[of("talent", "~~", "effort")] = 0.0
    for v in residual:
        t[b(v, "~", "1")] = 4.0
    for y in ("performance", "talent", "effort"):
        slopes = sum(t[b(y, "~", x)] for (lhs, x) in p if lhs == y)
        t[b(y, "~", "1")] = 4.0 - 4.0 * slopes
    return t


def _msalt_frame(t: Truth, cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    share = rng.dirichlet(np.full(cell.clusters, 8.0))
    g = np.sort(rng.choice(cell.clusters, _MSALT_ROWS, p=share))

    def level(of: Callable[[str, str, str], Key], n: int) -> dict[str, Array]:
        values: dict[str, Array] = {}
        for v in _MSALT_ICC:
            values[v] = t[of(v, "~~", v)] ** 0.5 * rng.standard_normal(n)
            for y, x in _MSALT_PATHS:
                if y == v:
                    values[v] = values[v] + t[of(y, "~", x)] * values[x]
        return values

    between, within = level(b, cell.clusters), level(w, len(g))
    return pd.DataFrame({**{v: 4 + between[v][g] + within[v] for v in between}, "cluster": g})


def _msalt_estimands(t: Mapping[Key, Array | float]) -> dict[str, Array | float]:
    psi, inside = t[b("gse", "~~", "gse")], t[w("gse", "~~", "gse")]
    a = t[b("talent", "~", "gse")]
    return {
        "ICC gse": psi / (psi + inside),
        "slope talent~gse": a,
        "slope performance~talent": t[b("performance", "~", "talent")],
        "indirect gse>talent>performance": a * t[b("performance", "~", "talent")],
    }


MSALT_DESIGN = Design(MSALT, _msalt_truth, _msalt_frame, _msalt_estimands, ("ICC gse",))
