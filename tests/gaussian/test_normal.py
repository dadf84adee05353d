"""Conditional normal vectors, against plain formulas, and where these cannot be written down.

Draws are compared with moments in Monte Carlo errors: sqrt(s_ii / n) of a mean and
sqrt((s_ii s_jj + s_ij^2) / n) of a covariance.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.gaussian.normal import conditional, draw_given, fill_missing, given_known, roots
from tests.checking.simulated import check_moments

Array = NDArray[np.float64]

DRAWS = 20_000
UNITS = (1e-8, 1.0, 1e8)


def full(k: int, seed: int, *shape: int) -> Array:
    """Covariance matrices (*shape, k, k) of full rank."""
    root = np.random.default_rng(seed).normal(size=(*shape, k, k))
    return root @ root.swapaxes(-1, -2) + 0.1 * np.eye(k)


def low_rank(k: int, rank: int, seed: int) -> tuple[Array, Array]:
    """Covariance matrix (k, k) of lower rank, and the loadings (k, rank) behind it."""
    loadings = np.random.default_rng(seed).normal(size=(k, rank))
    return loadings @ loadings.T, loadings


def plain(covariance: Array, wanted: list[int], given: list[int]) -> tuple[Array, Array]:
    """S_wg S_gg^-1 and S_ww - S_wg S_gg^-1 S_gw."""
    cross = covariance[np.ix_(wanted, given)]
    slope = cross @ np.linalg.inv(covariance[np.ix_(given, given)])
    return slope, covariance[np.ix_(wanted, wanted)] - slope @ cross.T


def check_same(
    covariance: Array, found: tuple[Array, Array], expected: tuple[Array, Array]
) -> None:
    """Equal to 1e-10 in units of the SDs, of (wanted, given) in this order."""
    sd, n = np.sqrt(np.diag(covariance)), len(found[0])
    sizes = np.outer(sd[:n], 1 / sd[n:]), np.outer(sd[:n], sd[:n])
    for one, other, size in zip(found, expected, sizes, strict=True):
        np.testing.assert_allclose(one / size, other / size, rtol=0.0, atol=1e-10)


# roots -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_roots_multiply_to_the_matrix(unit: float) -> None:
    for covariance in (full(4, 1), low_rank(4, 2, 1)[0], np.zeros((4, 4)), np.diag([2.0, 0.0])):
        covariance = unit**2 * covariance
        root = roots(covariance)
        atol = 1e-13 * np.abs(covariance).max()
        np.testing.assert_allclose(root @ root.T, covariance, rtol=0, atol=atol)


def test_roots_of_a_stack_are_those_of_its_matrices() -> None:
    stack = full(3, 2, 2, 5)
    stack[1, 2] = low_rank(3, 1, 2)[0]
    found = roots(stack)
    assert found.shape == (2, 5, 3, 3)
    for place in np.ndindex(2, 5):
        np.testing.assert_allclose(found[place] @ found[place].T, stack[place], atol=1e-13)
        np.testing.assert_allclose(found[place], roots(stack[place]), atol=1e-13)


def test_roots_of_nothing() -> None:
    assert roots(np.empty((0, 0))).shape == (0, 0)
    assert roots(np.empty((3, 0, 0))).shape == (3, 0, 0)
    assert roots(np.empty((0, 2, 2))).shape == (0, 2, 2)


@pytest.mark.parametrize("unit", UNITS)
def test_rounding_is_no_negative_eigenvalue_but_minus_one_is(unit: float) -> None:
    rounding = np.array([[1.0, 1.0], [1.0, 1.0 - 1e-12]])
    root = roots(unit**2 * rounding)
    np.testing.assert_allclose(root @ root.T / unit**2, rounding, atol=1e-11)
    impossible = unit**2 * np.array([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(np.linalg.LinAlgError, match="negative eigenvalue"):
        roots(impossible)
    with pytest.raises(np.linalg.LinAlgError, match="negative eigenvalue"):
        roots(np.stack([np.eye(2), impossible]))


# conditional -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "given"),
    [([0], [1]), ([0, 1], [2, 3, 4]), ([4, 1], [3, 0]), ([2], [4, 3, 1, 0]), ([0, 1, 2, 3], [4])],
)
def test_conditional_is_the_plain_formula(wanted: list[int], given: list[int]) -> None:
    covariance = full(5, 3)
    slope, rest = conditional(covariance, wanted, given)
    expected = plain(covariance, wanted, given)
    np.testing.assert_allclose(slope, expected[0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(rest, expected[1], rtol=1e-9, atol=1e-10)


def test_conditional_of_a_stack() -> None:
    stack = full(4, 4, 2, 3)
    stack[0, 1], _ = low_rank(4, 2, 4)
    slope, rest = conditional(stack, [0, 2], np.array([3, 1]))
    assert slope.shape == rest.shape == (2, 3, 2, 2)
    for place in np.ndindex(2, 3):
        one = conditional(stack[place], [0, 2], [3, 1])
        np.testing.assert_allclose(slope[place], one[0], atol=1e-12)
        np.testing.assert_allclose(rest[place], one[1], atol=1e-12)


def test_nothing_given_and_nothing_wanted() -> None:
    covariance = full(3, 5)
    slope, rest = conditional(covariance, [0, 1, 2], [])
    assert slope.shape == (3, 0)
    np.testing.assert_array_equal(rest, covariance)
    slope, rest = conditional(covariance, [], [0, 1])
    assert slope.shape == (0, 2)
    assert rest.shape == (0, 0)


@pytest.mark.parametrize(
    "units", [(1e-8, 1e8, 1.0, 1e8), (1e8, 1e8, 1e-8, 1e-8), (1.0, 1.0, 1e-8, 1e8)]
)
def test_units_change_nothing_but_units(units: tuple[float, ...]) -> None:
    """Also of a singular matrix: which directions count does not depend on them."""
    scale, wanted, given = np.array(units), [0, 1], [2, 3]
    for covariance in (full(4, 6), low_rank(4, 1, 6)[0], low_rank(4, 2, 6)[0]):
        slope, rest = conditional(covariance, wanted, given)
        found = conditional(covariance * np.outer(scale, scale), wanted, given)
        expected = (
            slope * np.outer(scale[wanted], 1 / scale[given]),
            rest * np.outer(scale[wanted], scale[wanted]),
        )
        check_same(covariance * np.outer(scale, scale), found, expected)


def test_what_is_known_exactly_has_no_variance_left() -> None:
    """Rank 2: two elements say all about the others, v_w = L_w L_g^-1 v_g."""
    covariance, loadings = low_rank(5, 2, 7)
    slope, rest = conditional(covariance, [0, 1, 2], [3, 4])
    np.testing.assert_allclose(slope, loadings[:3] @ np.linalg.inv(loadings[3:]), rtol=1e-9)
    np.testing.assert_array_equal(rest, 0.0)


def test_given_elements_that_are_combinations_of_others() -> None:
    """Three given of rank 2: predictions are those from any two of them, and so is the rest."""
    loadings = np.random.default_rng(8).normal(size=(5, 2))
    covariance = loadings @ loadings.T
    covariance[:2, :2] += full(2, 8)  # the wanted have residuals of their own
    slope, rest = conditional(covariance, [0, 1], [2, 3, 4])
    of_two, expected = plain(covariance, [0, 1], [2, 3])
    v = loadings[2:] @ np.random.default_rng(9).normal(size=2)
    np.testing.assert_allclose(slope @ v, of_two @ v[:2], rtol=1e-9)
    np.testing.assert_allclose(rest, expected, rtol=1e-9)


def test_a_constant_says_nothing_and_is_not_changed_by_anything() -> None:
    covariance = np.zeros((4, 4))
    covariance[:3, :3] = full(3, 10)
    slope, rest = conditional(covariance, [0, 1], [2, 3])
    expected = plain(covariance, [0, 1], [2])
    np.testing.assert_allclose(slope[:, :1], expected[0], rtol=1e-12)
    np.testing.assert_array_equal(slope[:, 1], 0.0)
    np.testing.assert_allclose(rest, expected[1], rtol=1e-12)
    slope, rest = conditional(covariance, [3], [0, 1, 2])
    np.testing.assert_array_equal(slope, 0.0)
    np.testing.assert_array_equal(rest, 0.0)


def test_small_variances_are_not_taken_for_rounding() -> None:
    """A residual variance of 1e-9 of the whole is kept; equal elements leave exactly none."""
    covariance = np.array([[1.0 + 1e-9, 1.0], [1.0, 1.0]])
    _, rest = conditional(covariance, [0], [1])
    np.testing.assert_allclose(rest, 1e-9, rtol=1e-5)
    _, rest = conditional(np.ones((2, 2)), [0], [1])
    np.testing.assert_array_equal(rest, 0.0)


# draws -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_draws_have_the_conditional_moments(unit: float) -> None:
    covariance, known = unit**2 * full(5, 11), unit * np.array([1.0, -0.5])
    wanted, given = [4, 0, 2], [1, 3]
    many, rng = np.tile(known, (DRAWS, 1)), np.random.default_rng(1)
    drawn = draw_given(covariance, wanted, given, many, rng)
    slope, rest = plain(covariance / unit**2, wanted, given)
    check_moments(drawn / unit, slope @ known / unit, rest)


def test_draws_are_about_what_is_known_of_their_own_row() -> None:
    covariance, loadings = low_rank(4, 2, 12)
    known = np.random.default_rng(2).normal(size=(6, 2)) @ loadings[:2].T
    drawn = draw_given(covariance, [2, 3], [0, 1], known, np.random.default_rng(3))
    expected = known @ np.linalg.inv(loadings[:2]).T @ loadings[2:].T
    np.testing.assert_allclose(drawn, expected, rtol=1e-9, atol=1e-9)


def test_draws_of_everything_and_of_nothing() -> None:
    covariance = full(3, 13)
    drawn = draw_given(covariance, [0, 1, 2], [], np.empty((DRAWS, 0)), np.random.default_rng(4))
    check_moments(drawn, np.zeros(3), covariance)
    none = draw_given(covariance, [], [0, 1, 2], np.ones((2, 3)), np.random.default_rng(4))
    assert none.shape == (2, 0)


def test_one_state_of_the_generator_gives_one_draw() -> None:
    first, again, other = (
        draw_given(full(3, 14), [0, 1], [2], np.ones((4, 1)), np.random.default_rng(seed))
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


# missing values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_missing_values_have_the_conditional_moments(unit: float) -> None:
    """Three patterns, in turns; also a row of which nothing is known."""
    covariance, patterns = full(3, 15), ([0], [1, 2], [0, 1, 2])
    truth, mean = np.array([1.0, -2.0, 0.5]), np.array([0.5, 1.0, -1.0])
    values = np.tile(unit * truth, (3 * DRAWS, 1))
    for i, gone in enumerate(patterns):
        values[i::3, gone] = np.nan
    means = np.tile(unit * mean, (3 * DRAWS, 1))
    fill_missing(values, means, unit**2 * covariance, np.random.default_rng(7))
    for i, gone in enumerate(patterns):
        seen = [k for k in range(3) if k not in gone]
        np.testing.assert_array_equal(values[i::3, seen], np.tile(unit * truth[seen], (DRAWS, 1)))
        slope, rest = plain(covariance, gone, seen)
        expected = mean[gone] + slope @ (truth - mean)[seen]
        check_moments(values[i::3][:, gone] / unit, expected, rest)


def test_missing_values_that_the_others_determine() -> None:
    """A singular matrix, and a mean of its own for every row."""
    rng = np.random.default_rng(8)
    covariance, loadings = low_rank(5, 2, 16)
    mean = rng.normal(size=(40, 5))
    complete = mean + rng.normal(size=(40, 2)) @ loadings.T
    values = complete.copy()
    for row in values:  # two elements are always left
        row[rng.choice(5, size=rng.integers(0, 4), replace=False)] = np.nan
    assert np.isnan(values).any()
    fill_missing(values, mean, covariance, rng)
    np.testing.assert_allclose(values, complete, atol=1e-8)


def test_complete_rows_and_no_rows_are_left_alone() -> None:
    complete, rng = np.random.default_rng(9).normal(size=(4, 3)), np.random.default_rng(10)
    values = complete.copy()
    fill_missing(values, np.zeros((4, 3)), full(3, 17), rng)
    np.testing.assert_array_equal(values, complete)
    assert rng.random() == np.random.default_rng(10).random()  # nothing was drawn
    nothing = np.empty((0, 3))
    fill_missing(nothing, np.empty((0, 3)), full(3, 17), rng)
    assert nothing.shape == (0, 3)


def test_what_is_known_differs_from_case_to_case() -> None:
    covariance, wanted, given = full(5, 3), [0, 4], [1, 3]
    deviations = np.array([[0.3, -1.0], [np.nan, 0.7], [np.nan, np.nan], [2.0, 0.1]])
    shift, rest = given_known(covariance, wanted, given, deviations)
    for case, row in enumerate(deviations):
        known = [g for g, value in zip(given, row, strict=True) if not np.isnan(value)]
        slope, left = plain(covariance, wanted, known)
        np.testing.assert_allclose(shift[case], slope @ row[~np.isnan(row)], rtol=1e-10)
        np.testing.assert_allclose(rest[case], left, rtol=1e-10)
