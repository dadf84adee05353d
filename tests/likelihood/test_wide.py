"""Models with many outcomes or many cluster sizes: one reduction for all sizes (by_vector)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.data.moments import moments
from bayes_msem.kernels import by_size, by_vector
from bayes_msem.likelihood import statistics
from bayes_msem.likelihood.statistics import pack_by_size
from tests.likelihood.cases import (
    CASES,
    Case,
    free_values,
    make_frame,
    make_model,
    random_values,
    two_level,
)
from tests.likelihood.test_gradients import (
    ABSOLUTE,
    RELATIVE,
    central_differences,
    sampled_values,
)
from tests.oracle import oracle_log_likelihood

SIZES = (3, 1, 5, 2, 7, 4, 6, 3, 2, 9, 1, 8)


def factors(prefix: str) -> str:
    names = [" + ".join(f"y{i}" for i in range(1 + f, 7 + f)) for f in range(0, 30, 6)]
    return "\n".join(f"{prefix}{f} =~ {names[f]}" for f in range(5))


# z on both sides of others, and outcomes whose between part has no residual
WIDE = two_level(
    "30 indicators",
    f"{factors('f')}\nf0 ~ x1\ny31 ~ f4 + x2",
    f"{factors('b')}\nb1 ~ w1\nb2 ~ z1\nz2 ~ b3 + w2\nz1 ~~ z2\ny3 ~~ 0*y3\ny4 ~~ 0*y4",
)


def wide_frame() -> pd.DataFrame:
    rng, frame = np.random.default_rng(8), make_frame(SIZES, seed=9)
    of_clusters = rng.normal(size=(len(SIZES), 31))[pd.factorize(frame["group"])[0]]
    values = of_clusters + rng.normal(size=(len(frame), 31))
    names = [f"y{i}" for i in range(1, 32)]
    others = frame[["group", "x1", "x2", "w1", "w2", "z1", "z2"]]
    return others.assign(**dict(zip(names, values.T, strict=True)))


@pytest.fixture(scope="module")
def wide() -> tuple[pd.DataFrame, bm.Model]:
    frame = wide_frame()
    return frame, make_model(WIDE, frame)


def is_by_vector(model: bm.Model) -> bool:
    return bool(model.blueprint.likelihood.statistics[0] < 0)


# The tolerance of test_log_likelihood; residuals within of nearly 0 leave the others their digits.
@pytest.mark.parametrize("residual", [None, 1e-4, 1e-12])
def test_oracle(wide: tuple[pd.DataFrame, bm.Model], residual: float | None) -> None:
    frame, model = wide
    assert is_by_vector(model)
    values = random_values(WIDE, model, seed=1)
    if residual is not None:
        values["within", "y2", "~~", "y2"] = values["within", "y14", "~~", "y14"] = residual
    expected = oracle_log_likelihood(values, frame, "group")
    assert model.log_likelihood(free_values(model, values)) == pytest.approx(expected, rel=1e-10)


def test_gradient(wide: tuple[pd.DataFrame, bm.Model]) -> None:
    blueprint = wide[1].blueprint
    x = sampled_values(blueprint, seed=12)
    likelihood, t = blueprint.likelihood, blueprint.likelihood.no_coordinates()
    expected = central_differences(lambda at: likelihood.sampled(at, t)[0], x)
    gradient = likelihood.sampled(x, t)[1]
    np.testing.assert_allclose(gradient, expected, rtol=RELATIVE, atol=ABSOLUTE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_ways_agree(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two paths of rounding: 1e-11 of the value, and of the length of the gradient."""
    blueprint = make_model(case, make_frame()).blueprint
    if blueprint.likelihood.provider != "size":
        pytest.skip("not by cluster size")
    x, packed = sampled_values(blueprint, seed=15), []
    extended = np.concatenate([x, blueprint.theta(x[None, :])[0][len(x) :]])
    for least in (0, 1000):
        monkeypatch.setattr(statistics, "_WIDE", least)
        packed.append(pack_by_size(blueprint.observed))
    assert packed[0][0] < 0 < packed[1][0]
    structure = blueprint.likelihood.arguments[:2]
    value, gradient = by_vector.value_and_gradient(extended, *structure, packed[0])
    other, expected = by_size.value_and_gradient(extended, *structure, packed[1])
    assert value == pytest.approx(other, rel=1e-11)
    scale = np.linalg.norm(expected)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-11 * scale)


def test_the_choice_is_by_outcomes_and_sizes() -> None:
    """Few outcomes in clusters of few sizes, and single-level models, do without a reduction."""
    three = two_level("", "f =~ y1 + y2 + y3", "y1 ~~ y1")
    assert is_by_vector(make_model(three, make_frame()))
    assert not is_by_vector(make_model(three, make_frame((4,) * 6)))
    single = Case("", "f =~ y1 + y2 + y3 + y4 + y5 + y6", cluster=None)
    assert not is_by_vector(make_model(single, make_frame()))


@pytest.mark.parametrize("rows", [3, 40])
def test_vectors_have_the_cross_products(rows: int) -> None:
    """Of few rows and of many; a column of zeros, and scales far apart."""
    data = np.random.default_rng(2).normal(size=(rows, 5)) * [1e-6, 1.0, 0.0, 1e6, 1.0]
    vectors = statistics._with_product(data.T @ data, float(rows))
    assert len(vectors) == min(rows, 4)
    scale = np.sqrt((data**2).sum(axis=0)) + 1e-300
    found, expected = vectors / scale, data / scale
    np.testing.assert_allclose(found.T @ found, expected.T @ expected, rtol=0, atol=1e-14)


def test_packed_vectors_are_those_of_the_groups(wide: tuple[pd.DataFrame, bm.Model]) -> None:
    """No more vectors than clusters and ranks: their number decides what a gradient costs."""
    parts = moments(wide[1].blueprint.observed)
    n_vectors = -wide[1].blueprint.likelihood.statistics[0]
    assert n_vectors == len(SIZES) + min(sum(SIZES) - len(SIZES), 33)
    assert len(parts.weight) == len(set(SIZES)) + 1
