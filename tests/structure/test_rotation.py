"""Rotations: gradients, invariance, and columns and signs that mean the same in all draws."""

from itertools import permutations

import numpy as np
import pytest

from bayes_msem.structure.rotation import ROTATIONS, align, criterion, rotate

SIMPLE = np.zeros((9, 3))
SIMPLE[[0, 1, 2], 0] = 0.8, 0.7, 0.75
SIMPLE[[3, 4, 5], 1] = 0.8, 0.7, 0.65
SIMPLE[[6, 7, 8], 2] = 0.7, 0.8, 0.6
CORRELATION = np.array([[1, 0.3, 0.2], [0.3, 1, 0.4], [0.2, 0.4, 1]])
ONES = np.ones((1, 9))


def turned(rng: np.random.Generator, loadings: np.ndarray) -> np.ndarray:
    return loadings @ np.linalg.qr(rng.standard_normal((3, 3)))[0]


@pytest.mark.parametrize("name", ROTATIONS)
def test_gradients_of_criteria(name: str) -> None:
    rng = np.random.default_rng(1)
    loadings, direction = rng.standard_normal((2, 4, 9, 3))
    _, slope = criterion(name).value(loadings)
    up, down = (criterion(name).value(loadings + h * direction)[0] for h in (1e-6, -1e-6))
    # central differences of a smooth function of size 1: 1e-8 or better
    np.testing.assert_allclose((up - down) / 2e-6, (slope * direction).sum((1, 2)), atol=1e-7)


@pytest.mark.parametrize("name", ROTATIONS)
def test_rotation_keeps_the_covariance_matrix(name: str) -> None:
    rng = np.random.default_rng(2)
    loadings = np.stack([turned(rng, SIMPLE + 0.1 * rng.standard_normal((9, 3))) for _ in range(5)])
    found = rotate(loadings, rng.uniform(0.5, 2.0, (5, 9)), criterion(name))
    correlation = found.transform @ found.transform.transpose(0, 2, 1)
    np.testing.assert_allclose(np.einsum("nii->ni", correlation), 1.0, atol=1e-12)
    if criterion(name).orthogonal:
        np.testing.assert_allclose(correlation, np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(
        found.loadings @ correlation @ found.loadings.transpose(0, 2, 1),
        loadings @ loadings.transpose(0, 2, 1),
        atol=1e-10,
    )


# oblimin is 0 at a simple structure, so its minimum is there; the epsilon of geomin, .001, moves it
@pytest.mark.parametrize(("name", "off"), [("geomin", 0.01), ("oblimin", 2e-4)])
def test_a_simple_structure_is_found_from_any_basis(name: str, off: float) -> None:
    rng = np.random.default_rng(3)
    start = turned(rng, SIMPLE @ np.linalg.cholesky(CORRELATION))
    found = rotate(start[None], ONES, criterion(name))
    order = [1, 0, 2] if (SIMPLE[:, 1] ** 2).sum() > (SIMPLE[:, 0] ** 2).sum() else [0, 1, 2]
    np.testing.assert_allclose(found.loadings[0], SIMPLE[:, order], atol=off)
    np.testing.assert_allclose(
        found.transform[0] @ found.transform[0].T, CORRELATION[np.ix_(order, order)], atol=off
    )


def test_units_of_the_indicators_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    loadings, unit = turned(rng, SIMPLE)[None], rng.uniform(0.1, 10.0, 9)
    first = rotate(loadings, ONES, criterion("geomin"))
    second = rotate(loadings * unit[:, None], unit[None], criterion("geomin"))
    # searches end at gradients of 1e-6, and units are up to 10
    np.testing.assert_allclose(second.loadings, first.loadings * unit[:, None], atol=1e-5)


@pytest.mark.parametrize("name", ROTATIONS)
def test_no_draw_is_flipped_or_exchanged(name: str) -> None:
    rng = np.random.default_rng(5)
    true = SIMPLE @ np.linalg.cholesky(CORRELATION)
    draws = np.stack(
        [turned(rng, true + 0.05 * rng.standard_normal(true.shape)) for _ in range(300)]
    )
    found, reference = align(draws, np.ones((300, 9)), criterion(name))
    for loadings in found.loadings:
        # any other order or sign would be farther from the reference
        own = ((loadings - reference) ** 2).sum()
        for order in permutations(range(3)):
            signs = np.sign((loadings[:, order] * reference).sum(axis=0))
            other = ((loadings[:, order] * signs - reference) ** 2).sum()
            assert own <= other + 1e-12
    # draws have SDs of .05 before; a flipped or exchanged column would make them about .5
    assert found.loadings.std(axis=0).max() < 0.12


def test_one_factor_has_a_sign_only() -> None:
    loadings = np.array([[[-0.8], [-0.7], [-0.6]]])
    found = rotate(loadings, np.ones((1, 3)), criterion("geomin"))
    np.testing.assert_allclose(found.loadings, -loadings)
