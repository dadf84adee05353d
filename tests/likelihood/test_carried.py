"""Latent responses that others depend on: intervals, closed forms, and what is refused.

Two probits without effects have a bivariate normal (y1*, y2*), so probabilities of pairs of
categories are those of rectangles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm

from bayes_msem.errors import NotSupportedError
from bayes_msem.kernels.carried import inside
from bayes_msem.kernels.compile import kernel
from bayes_msem.kernels.probit_cells import evaluate_cells, place_cell, probit_space
from bayes_msem.kernels.responses import PROBIT, response
from tests.inference.models import quiet_model

Array = NDArray[np.float64]

CUTS = {"y1": np.array([-0.4, 0.7]), "y2": np.array([-0.8, 0.1, 1.0])}
SLOPES = {"y1": 0.5, "y2": -0.3}
CORRELATED, PREDICTOR = "y1 ~ x\ny2 ~ x\ny1 ~~ y2", "y1 ~ x\ny2 ~ y1 + x"
OF_PAIR = 0.6  # the correlation of the residuals, or the slope of y2* on y1*


def frame_of_pairs(n: int = 40, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame, first = pd.DataFrame({"x": rng.normal(size=n)}), rng.normal(size=n)
    for k, name in enumerate(CUTS):
        noise = 0.6 * first + 0.8 * rng.normal(size=n) if k else first
        codes = np.digitize(SLOPES[name] * frame["x"] + noise, CUTS[name])
        frame[name] = codes.astype(float)
        frame.loc[rng.uniform(size=n) < 0.1 * (k + 1), name] = np.nan
    return frame


def values_of(text: str) -> dict[str, float]:
    values = {f"{y} | t{c}": cut for y, cuts in CUTS.items() for c, cut in enumerate(cuts, start=1)}
    values |= {f"{y} ~ x": slope for y, slope in SLOPES.items()}
    return values | {"y1 ~~ y2" if text == CORRELATED else "y2 ~ y1": OF_PAIR}


def moments(text: str, x: Array) -> tuple[Array, Array]:
    """Means (n, 2) and covariance matrix of (y1*, y2*)."""
    means = np.column_stack([SLOPES["y1"] * x, SLOPES["y2"] * x])
    if text == CORRELATED:
        return means, np.array([[1.0, OF_PAIR], [OF_PAIR, 1.0]])
    means[:, 1] += OF_PAIR * means[:, 0]
    return means, np.array([[1.0, OF_PAIR], [OF_PAIR, 1.0 + OF_PAIR**2]])


def rectangle(low: list[float], high: list[float], mean: Array, covariance: Array) -> float:
    """Probability of a rectangle: sum over corners of the distribution function."""
    law, total = multivariate_normal(mean, covariance), 0.0
    for corner in np.ndindex(2, 2):
        at = [(low, high)[c][i] for i, c in enumerate(corner)]
        sign = (-1) ** (2 - sum(corner))
        total += 0.0 if -np.inf in at else sign * law.cdf(np.clip(at, -40, 40))
    return total


def ends(name: str, code: float) -> tuple[float, float]:
    if np.isnan(code):
        return -np.inf, np.inf
    bounds = [-np.inf, *CUTS[name], np.inf]
    return bounds[int(code)], bounds[int(code) + 1]


@pytest.mark.parametrize("text", [CORRELATED, PREDICTOR], ids=["correlated", "predictor"])
def test_log_likelihood_is_that_of_rectangles(text: str) -> None:
    """SciPy's own error is 1e-5 at most; the package adds nodes until its error is 0.02."""
    frame = frame_of_pairs()
    model = quiet_model(text, data=frame, ordered=["y1", "y2"])
    means, covariance = moments(text, frame["x"].to_numpy())
    expected = 0.0
    for i, row in frame.iterrows():
        bounds = np.array([ends(name, row[name]) for name in CUTS])
        expected += np.log(rectangle(list(bounds[:, 0]), list(bounds[:, 1]), means[i], covariance))
    assert model.log_likelihood(values_of(text)) == pytest.approx(expected, abs=0.02)
    changed = {
        **values_of(text),
        next(k for k in values_of(text) if k in ("y1 ~~ y2", "y2 ~ y1")): 0.0,
    }
    assert abs(model.log_likelihood(changed) - expected) > 1.0


@pytest.mark.parametrize("text", [CORRELATED, PREDICTOR], ids=["correlated", "predictor"])
def test_simulated_pairs_have_the_probabilities_of_rectangles(text: str) -> None:
    """40,000 rows: shares differ from probabilities by less than 4 standard errors."""
    n = 40_000
    frame = frame_of_pairs()
    model = quiet_model(text, data=frame, ordered=["y1", "y2"])
    design = pd.DataFrame({"x": np.zeros(n)})
    drawn = model.simulate(values_of(text), data=design, random_seed=5)
    _, covariance = moments(text, np.zeros(1))
    codes = [drawn[name].astype(float).to_numpy() for name in CUTS]
    for a in range(3):
        for b in range(4):
            (low1, high1), (low2, high2) = ends("y1", a), ends("y2", b)
            p = rectangle([low1, low2], [high1, high2], np.zeros(2), covariance)
            share = np.mean((codes[0] == a) & (codes[1] == b))
            assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / n)


INTERVALS = [
    (-1.0, 0.5, 0.3), (-np.inf, 0.2, -1.0), (2.0, np.inf, 1.0), (-np.inf, np.inf, 0.7),
    (-0.1, 0.05, 2.0), (6.0, 6.5, -1.5), (-np.inf, 9.0, 8.5),
]  # fmt: skip


@pytest.mark.parametrize(("lower", "upper", "t"), INTERVALS)
def test_ranks_inside_an_interval(lower: float, upper: float, t: float) -> None:
    """Phi(z) is between the ends as Phi(t) says, in the tail where digits are; derivatives."""
    z, *slopes = inside(lower, upper, t)
    flip = -1.0 if lower > 0 or t > 5 else 1.0  # look at the smaller tail
    low, high = sorted((norm.cdf(flip * lower), norm.cdf(flip * upper)))
    share = norm.cdf(flip * t)
    assert norm.cdf(flip * z) == pytest.approx(low + share * (high - low), rel=1e-12)
    step = 1e-5
    for k, slope in enumerate(slopes):
        at = np.array([lower, upper, t])
        if not np.isfinite(at[k]):
            assert slope == 0.0
            continue
        h = step * np.eye(3)[k]
        difference = (inside(*(at + h))[0] - inside(*(at - h))[0]) / (2 * step)
        assert slope == pytest.approx(difference, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(("lower", "upper"), [(-np.inf, -40.0), (40.0, np.inf), (-41.0, -40.0)])
def test_intervals_far_out(lower: float, upper: float) -> None:
    """Inside, finite, and increasing in t."""
    found = [inside(lower, upper, t)[0] for t in (-3.0, 0.0, 3.0)]
    assert lower < found[0] < found[1] < found[2] < upper


@kernel
def in_lanes(low: Any, high: Any) -> Any:
    """Which cells are of the common kind, and p, slope and derivatives of all, (4, 64)."""
    cells, placed = probit_space(64), np.zeros(64, np.bool_)
    for r in range(64):
        placed[r] = place_cell(cells, r, low[r], high[r])
    evaluate_cells(cells, 64)
    return placed, cells.floats[7:11].copy()


def test_cells_in_lanes_are_those_of_one_cell() -> None:
    """All cells of the common kind, at random ends and predictors; others are said not to be."""
    rng, common = np.random.default_rng(1), 0
    for _ in range(50):
        a, width = rng.normal(0, 4, 64), rng.exponential(1.5, 64)
        low = np.where(rng.uniform(size=64) < 0.3, -np.inf, a)
        high = np.where(rng.uniform(size=64) < 0.3, np.inf, a + width)
        placed, found = in_lanes(low, high)
        for r in np.flatnonzero(placed):
            p, slope, d_lower, d_upper = found[:, r]
            expected = response(PROBIT, 0.0, 0.0, low[r], high[r], 0.0)[:4]
            # slopes are differences of densities; narrow intervals are not of the common kind
            np.testing.assert_allclose(
                [np.log(p), slope, d_lower, d_upper], expected, rtol=1e-11, atol=1e-13
            )
        common += sum(placed)
    assert common > 2500
    for ends in ((np.nan, np.nan), (25.0, np.inf), (-np.inf, -np.inf), (0.0, 0.01)):
        low, high = np.repeat(np.array(ends)[:, None], 64, axis=1)
        assert not in_lanes(low.copy(), high.copy())[0].any()


@pytest.mark.parametrize(
    ("text", "families", "said"),
    [
        ("y1 ~ x\ny2 ~ y1", dict.fromkeys(("y1", "y2"), "ordinal(logit)"), "probit link"),
        ("y1 ~~ y2", {"y1": "ordinal(probit)", "y2": "ordinal(logit)"}, "probit link"),
        ("y1 ~~ v", {"y1": "ordinal(probit)"}, "which is normal"),
        ("y2 ~ y1\ny1 ~ y2", dict.fromkeys(("y1", "y2"), "ordinal(probit)"), "themselves"),
    ],
    ids=["logit predictor", "logit residual", "normal outcome", "cycle"],
)
def test_what_cannot_be_carried_is_refused(text: str, families: dict[str, str], said: str) -> None:
    frame = frame_of_pairs()
    frame["v"] = np.random.default_rng(2).normal(size=len(frame))
    with pytest.raises(NotSupportedError, match=said):
        quiet_model(text, data=frame, families=families).unpiloted_blueprint()
