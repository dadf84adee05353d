"""Generating models of the study of default priors: data, true values, and what is estimated.

Every variable has a total variance of 1, of which the share ICC lies between clusters. Coefficients
of level between are *standardised* here; true values are in the units of the data:

contextual   y ~ x in both levels, one predictor that is split; standardised slope .5
strong       the same with slope .9 and an ICC of y of .5: the raw slope is large
mediation    m ~ x + w and y ~ m + x + w, x, m and y split, w observed at level 2; two and three
             predictors, indirect effect
factor       four indicators, one factor at each level; loadings 1, .9, 1.1, .8 between, and four
             fifths of the first indicator's between variance from the factor
slopes       y ~ rv("s")*x with y + s ~ w; the variance of s is half the ICC
msalt        ``prior_msalt.py``

Data come from NumPy, and share nothing with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from prior_cells import Array, Cell, Design, Key, Truth, b, w
from prior_msalt import MSALT_DESIGN

__all__ = ["DESIGNS", "cells"]


def _clusters(cell: Cell) -> NDArray[np.int64]:
    return np.repeat(np.arange(cell.clusters), cell.size)


# Contextual effects ------------------------------------------------------------------------------

CONTEXTUAL = """
level: within
    y ~ x
level: between
    y ~ x
"""


def _contextual_truth(slope: float, icc_x: float, icc_y: float) -> Truth:
    within = 0.3 * np.sqrt((1 - icc_y) / (1 - icc_x))
    return {
        w("y", "~", "x"): within,
        w("x", "~~", "x"): 1 - icc_x,
        w("y", "~~", "y"): (1 - icc_y) - within**2 * (1 - icc_x),
        b("y", "~", "x"): slope * np.sqrt(icc_y / icc_x),
        b("x", "~~", "x"): icc_x,
        b("y", "~~", "y"): icc_y * (1 - slope**2),
        b("x", "~", "1"): 0.0,
        b("y", "~", "1"): 0.0,
    }


def _contextual_frame(t: Truth, cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    g = _clusters(cell)
    bx, by = rng.standard_normal((2, cell.clusters))
    wx, wy = rng.standard_normal((2, len(g)))
    bx, wx = bx * t[b("x", "~~", "x")] ** 0.5, wx * t[w("x", "~~", "x")] ** 0.5
    by = t[b("y", "~", "x")] * bx + by * t[b("y", "~~", "y")] ** 0.5
    wy = t[w("y", "~", "x")] * wx + wy * t[w("y", "~~", "y")] ** 0.5
    return pd.DataFrame({"x": bx[g] + wx, "y": by[g] + wy, "cluster": g})


def _contextual_estimands(t: Mapping[Key, Array | float]) -> dict[str, Array | float]:
    psi_x, slope, psi_y = t[b("x", "~~", "x")], t[b("y", "~", "x")], t[b("y", "~~", "y")]
    within_x, within = t[w("x", "~~", "x")], t[w("y", "~", "x")]
    between_y = slope**2 * psi_x + psi_y
    within_y = within**2 * within_x + t[w("y", "~~", "y")]
    return {
        "slope y~x": slope,
        "variance x": psi_x,
        "variance y": psi_y,
        "ICC x": psi_x / (psi_x + within_x),
        "ICC y": between_y / (between_y + within_y),
        "R2 y": slope**2 * psi_x / between_y,
    }


# Mediation ---------------------------------------------------------------------------------------

MEDIATION = """
level: within
    m ~ x
    y ~ m + x
level: between
    m ~ x + w
    y ~ m + x + w
"""
# standardised coefficients, between
_A, _AW, _B, _C, _DW = 0.5, 0.3, 0.4, 0.2, 0.3


def _mediation_truth(icc: float) -> Truth:
    r2_m = _A**2 + _AW**2
    r2_y = _B**2 + _C**2 + _DW**2 + 2 * _B * (_C * _A + _DW * _AW)
    inside = 1 - icc
    return {
        w("m", "~", "x"): 0.4,
        w("y", "~", "m"): 0.3,
        w("y", "~", "x"): 0.2,
        w("x", "~~", "x"): inside,
        w("m", "~~", "m"): inside * (1 - 0.16),
        w("y", "~~", "y"): inside * (1 - 0.09 - 0.04 - 2 * 0.3 * 0.2 * 0.4),
        b("m", "~", "x"): _A,
        b("m", "~", "w"): _AW * icc**0.5,
        b("y", "~", "m"): _B,
        b("y", "~", "x"): _C,
        b("y", "~", "w"): _DW * icc**0.5,
        b("x", "~", "w"): 0.0,
        b("x", "~~", "x"): icc,
        b("m", "~~", "m"): icc * (1 - r2_m),
        b("y", "~~", "y"): icc * (1 - r2_y),
        b("x", "~", "1"): 0.0,
        b("m", "~", "1"): 0.0,
        b("y", "~", "1"): 0.0,
    }


def _mediation_frame(t: Truth, cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    g = _clusters(cell)
    cov = rng.standard_normal(cell.clusters)

    def level(of: Callable[[str, str, str], Key], n: int, given: Array | None) -> dict[str, Array]:
        x, m, y = rng.standard_normal((3, n))
        x = x * t[of("x", "~~", "x")] ** 0.5
        m = m * t[of("m", "~~", "m")] ** 0.5 + t[of("m", "~", "x")] * x
        y = y * t[of("y", "~~", "y")] ** 0.5
        if given is not None:
            m = m + t[of("m", "~", "w")] * given
            y = y + t[of("y", "~", "w")] * given
        y = y + t[of("y", "~", "m")] * m + t[of("y", "~", "x")] * x
        return {"x": x, "m": m, "y": y}

    between, within = level(b, cell.clusters, cov), level(w, len(g), None)
    columns = {v: between[v][g] + within[v] for v in ("x", "m", "y")}
    return pd.DataFrame({**columns, "w": cov[g], "cluster": g})


def _mediation_estimands(t: Mapping[Key, Array | float]) -> dict[str, Array | float]:
    """Variances between are those of clusters whose w has variance 1, as in the population."""
    xw = t[b("x", "~", "w")]
    var_x = xw**2 + t[b("x", "~~", "x")]
    a, aw = t[b("m", "~", "x")], t[b("m", "~", "w")]
    cov_xm, cov_wm = a * var_x + aw * xw, a * xw + aw
    explained_m = a * cov_xm + aw * cov_wm
    var_m = explained_m + t[b("m", "~~", "m")]
    bm_, c, d = t[b("y", "~", "m")], t[b("y", "~", "x")], t[b("y", "~", "w")]
    explained_y = bm_ * (bm_ * var_m + c * cov_xm + d * cov_wm)
    explained_y = explained_y + c * (bm_ * cov_xm + c * var_x + d * xw)
    explained_y = explained_y + d * (bm_ * cov_wm + c * xw + d)
    var_y = explained_y + t[b("y", "~~", "y")]
    wx, wm = t[w("x", "~~", "x")], t[w("m", "~", "x")]
    wym, wyx = t[w("y", "~", "m")], t[w("y", "~", "x")]
    within_m = wm**2 * wx + t[w("m", "~~", "m")]
    within_y = wym**2 * within_m + wyx**2 * wx + 2 * wym * wyx * wm * wx + t[w("y", "~~", "y")]
    return {
        "slope m~x": a,
        "slope m~w": aw,
        "slope y~m": bm_,
        "slope y~x": c,
        "slope y~w": d,
        "indirect x>m>y": a * bm_,
        "variance x": t[b("x", "~~", "x")],
        "variance m": t[b("m", "~~", "m")],
        "ICC x": var_x / (var_x + wx),
        "ICC y": var_y / (var_y + within_y),
        "R2 m": explained_m / var_m,
        "R2 y": explained_y / var_y,
    }


# Factor ------------------------------------------------------------------------------------------

FACTOR = """
level: within
    fw =~ y1 + y2 + y3 + y4
level: between
    fb =~ y1 + y2 + y3 + y4
"""
_WITHIN, _BETWEEN = (1.0, 0.8, 0.9, 1.1), (1.0, 0.9, 1.1, 0.8)
_ITEMS = ("y1", "y2", "y3", "y4")


def _factor_truth(icc: float) -> Truth:
    t: Truth = {w("fw", "~~", "fw"): 0.6 * (1 - icc), b("fb", "~~", "fb"): 0.8 * icc}
    for name, lw, lb in zip(_ITEMS, _WITHIN, _BETWEEN, strict=True):
        t[w("fw", "=~", name)], t[b("fb", "=~", name)] = lw, lb
        t[w(name, "~~", name)] = 0.4 * (1 - icc)
        t[b(name, "~~", name)] = 0.2 * icc
        t[b(name, "~", "1")] = 0.0
    return t


def _factor_frame(t: Truth, cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    g = _clusters(cell)
    f_b = rng.standard_normal(cell.clusters) * t[b("fb", "~~", "fb")] ** 0.5
    f_w = rng.standard_normal(len(g)) * t[w("fw", "~~", "fw")] ** 0.5
    columns: dict[str, Array] = {}
    for v in _ITEMS:
        own_b = rng.standard_normal(cell.clusters) * t[b(v, "~~", v)] ** 0.5
        own_w = rng.standard_normal(len(g)) * t[w(v, "~~", v)] ** 0.5
        between = t[b("fb", "=~", v)] * f_b + own_b
        columns[v] = between[g] + t[w("fw", "=~", v)] * f_w + own_w
    return pd.DataFrame({**columns, "cluster": g})


def _factor_estimands(t: Mapping[Key, Array | float]) -> dict[str, Array | float]:
    between = t[b("fb", "~~", "fb")] + t[b("y1", "~~", "y1")]
    within = t[w("fw", "~~", "fw")] + t[w("y1", "~~", "y1")]
    return {
        "loading y2": t[b("fb", "=~", "y2")],
        "loading y3": t[b("fb", "=~", "y3")],
        "loading y4": t[b("fb", "=~", "y4")],
        "variance fb": t[b("fb", "~~", "fb")],
        "variance y2": t[b("y2", "~~", "y2")],
        "ICC y1": between / (between + within),
    }


# Random slopes -----------------------------------------------------------------------------------

SLOPES = """
level: within
    y ~ rv("s")*x
level: between
    y + s ~ w
"""


def _slopes_truth(icc: float) -> Truth:
    total = icc / 2  # variance of the slopes
    return {
        w("y", "~~", "y"): 1 - icc,
        b("s", "~", "w"): 0.4 * total**0.5,
        b("y", "~", "w"): 0.4 * icc**0.5,
        b("s", "~~", "s"): (1 - 0.16) * total,
        b("y", "~~", "y"): (1 - 0.16) * icc,
        b("y", "~~", "s"): 0.0,
        b("s", "~", "1"): 0.3,
        b("y", "~", "1"): 0.0,
    }


def _slopes_frame(t: Truth, cell: Cell, rng: np.random.Generator) -> pd.DataFrame:
    g = _clusters(cell)
    cov, s, y = rng.standard_normal((3, cell.clusters))
    s = t[b("s", "~", "1")] + t[b("s", "~", "w")] * cov + t[b("s", "~~", "s")] ** 0.5 * s
    y = t[b("y", "~", "w")] * cov + t[b("y", "~~", "y")] ** 0.5 * y
    x, e = rng.standard_normal((2, len(g)))
    outcome = y[g] + s[g] * x + t[w("y", "~~", "y")] ** 0.5 * e
    return pd.DataFrame({"x": x, "y": outcome, "w": cov[g], "cluster": g})


def _slopes_estimands(t: Mapping[Key, Array | float]) -> dict[str, Array | float]:
    gs, psi_s = t[b("s", "~", "w")], t[b("s", "~~", "s")]
    between = t[b("y", "~", "w")] ** 2 + t[b("y", "~~", "y")]
    return {
        "slope s~w": gs,
        "slope y~w": t[b("y", "~", "w")],
        "variance s": psi_s,
        "variance y": t[b("y", "~~", "y")],
        "ICC y": between / (between + t[w("y", "~~", "y")]),
        "R2 s": gs**2 / (gs**2 + psi_s),
    }


DESIGNS: dict[str, Design] = {
    "contextual": Design(
        CONTEXTUAL,
        lambda icc: _contextual_truth(0.5, icc, icc),
        _contextual_frame,
        _contextual_estimands,
        ("variance x", "variance y", "ICC x", "ICC y"),
    ),
    "strong": Design(
        CONTEXTUAL,
        lambda icc: _contextual_truth(0.9, icc, 0.5),
        _contextual_frame,
        _contextual_estimands,
        ("variance x", "variance y", "ICC x", "ICC y"),
    ),
    "mediation": Design(
        MEDIATION,
        _mediation_truth,
        _mediation_frame,
        _mediation_estimands,
        ("variance x", "variance m", "ICC x", "ICC y"),
    ),
    "factor": Design(
        FACTOR,
        _factor_truth,
        _factor_frame,
        _factor_estimands,
        ("variance fb", "variance y2", "ICC y1"),
    ),
    "slopes": Design(
        SLOPES,
        _slopes_truth,
        _slopes_frame,
        _slopes_estimands,
        ("variance s", "variance y", "ICC y"),
    ),
    "msalt": MSALT_DESIGN,
}


def cells() -> list[Cell]:
    """All cells of the factorial design, those that matter most first."""
    return [
        Cell(design, clusters, size, icc)
        for clusters in (10, 20, 5, 50)
        for design in ("contextual", "mediation", "strong", "factor", "slopes")
        for icc in (0.05, 0.2, 0.02, 0.4)
        for size in (5, 20)
    ]
