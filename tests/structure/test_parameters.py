"""Order, groups, labels and transforms of the sampled parameters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.kernels.layout import CORRELATION, IDENTITY, SQUARE
from bayes_msem.structure.parameters import Parameters

FRAME = pd.DataFrame(np.random.default_rng(1).normal(size=(40, 6)), columns=list("abcdef"))


def parameters(text: str, **options: object) -> Parameters:
    return bm.Model(text, data=FRAME, **options).blueprint.parameters  # type: ignore[arg-type]


def test_groups_are_named_by_level_and_kind_and_labelled_by_row() -> None:
    found = parameters("F =~ a + b + c\nG =~ d + e + f\nG ~ F\na ~~ d")
    labels = {group.name: group.labels for group in found.groups}
    assert labels == {
        "within_loading": ("F =~ b", "F =~ c", "G =~ e", "G =~ f"),
        "within_regression": ("G ~ F",),
        "within_partial_correlation": ("a ~~ d",),
        "within_sd": tuple(f"{v} ~~ {v}" for v in ("a", "b", "c", "d", "e", "f", "F", "G")),
        "within_intercept": tuple(f"{v} ~ 1" for v in "abcdef"),
    }
    assert found.n == sum(map(len, labels.values()))


def test_families_of_one_kind_become_groups_of_their_own() -> None:
    priors = {"F =~ b": "uniform(0, 2)", "a ~~ a": "exponential(1)"}
    found = parameters("F =~ a + b + c", priors=priors)
    assert [group.name for group in found.groups] == [
        "within_loading_uniform",
        "within_loading_normal",
        "within_sd_exponential",
        "within_sd_halfstudentt",
        "within_intercept",
    ]


def test_direct_covariances_of_several_families_have_names_of_their_own() -> None:
    found = parameters('a ~~ b\nb ~~ c\nc ~~ prior("uniform(-.1, .1)")*d\nd ~~ a\ne ~~ f')
    names = [group.name for group in found.groups]
    assert len(names) == len(set(names))
    assert {"within_covariance_normal", "within_covariance_uniform"} < set(names)
    assert "within_partial_correlation" in names


def test_transforms() -> None:
    found = parameters("F =~ a + b + c\nF ~~ G\nG =~ d + e + f")
    kinds = [row.kind for row in found.rows]
    expected = {
        "loading": IDENTITY, "variance": SQUARE, "covariance": CORRELATION, "intercept": IDENTITY
    }  # fmt: skip
    assert list(found.transform) == [expected[kind] for kind in kinds]


def test_direct_covariances_are_checked_and_not_transformed() -> None:
    found = parameters("a ~~ b\nb ~~ c\nc ~~ d\nd ~~ a")
    kinds = np.array([row.kind for row in found.rows])
    assert (found.transform[kinds == "covariance"] == IDENTITY).all()
    assert list(found.blocks.size) == [-4]  # negative: checked for definiteness only


def test_equal_labels_are_one_parameter_with_the_first_row() -> None:
    found = parameters("F =~ a + k*b + k*c\nd ~ k2*a + k2*b")
    shared = [row for row in found.rows if row.label]
    assert [(row.lhs, row.rhs) for row in shared] == [("F", "b"), ("d", "a")]
    assert len(found.position) == found.n


def test_arguments_stand_in_the_order_of_the_labels() -> None:
    priors = {"F =~ b": "normal(1, 10)", "F =~ c": "normal(2, 20)"}
    (loading, *_) = parameters("F =~ a + b + c", priors=priors).groups
    np.testing.assert_array_equal(loading.arguments, [[1, 2], [10, 20]])


@pytest.mark.parametrize(("eta", "shapes"), [(1.0, (1.5, 1.5, 1.0)), (2.0, (2.5, 2.5, 2.0))])
def test_lkj_becomes_beta_shapes(eta: float, shapes: tuple[float, ...]) -> None:
    found = parameters("a ~~ b\na ~~ c\nb ~~ c", priors={"covariance": f"lkj({eta})"})
    (group,) = (g for g in found.groups if g.family == "beta")
    np.testing.assert_array_equal(group.arguments, [shapes, shapes])


def test_a_beta_prior_of_a_pair_is_kept() -> None:
    found = parameters("a ~~ b", priors={"a ~~ b": "beta(3, 5)"})
    (group,) = (g for g in found.groups if g.family == "beta")
    np.testing.assert_array_equal(group.arguments, [[3], [5]])
