"""``Model(random=...)`` and what the model says about random coefficients and small clusters."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.spec.printing import to_syntax

FACTOR = """
level: within
    f =~ y1 + y2 + y3
    f ~ x
level: between
    y1 + y2 + y3 ~ 1
    y1 ~~ 0*y2 + 0*y3
    y2 ~~ 0*y3
"""


def make_data(sizes: list[int]) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    school = np.repeat(np.arange(len(sizes)), sizes)
    names = ["y1", "y2", "y3", "x"]
    values = rng.normal(size=(len(school), 4)) + rng.normal(size=(len(sizes), 4))[school]
    return pd.DataFrame(values, columns=names).assign(school=school)


def notes_of(spec: str, sizes: list[int], random: object = None) -> list[str]:
    """Return the advice of a model: what it warns of, which print(model) repeats."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = bm.Model(spec, data=make_data(sizes), cluster="school", random=random)  # type: ignore[arg-type]
    notes = [str(w.message) for w in caught if w.category is bm.SmallSampleWarning]
    printed = " ".join(str(model).split())
    assert all(f"Note: {note}" in printed for note in notes)
    return notes


def test_the_option_expands_visibly() -> None:
    data = make_data([10] * 30)
    model = bm.Model(FACTOR, data=data, cluster="school", random=["loadings", "variances"])
    table = model.parameter_table
    effects = ["l.f.y2", "l.f.y3", "v.y1", "v.y2", "v.y3", "v.f"]
    assert table["random"][table["random"] != ""].tolist() == effects
    assert {("l.f.y2", "1"), ("l.f.y2", "l.f.y2"), ("v.f", "1")} <= set(
        table.loc[table["level"] == "between", ["lhs", "rhs"]].itertuples(index=False, name=None)
    )
    assert "random loadings" in str(model) or "random loading: l.f.y2" in str(model)
    again = bm.Model(to_syntax(model.table), data=data, cluster="school")
    pd.testing.assert_frame_equal(again.parameter_table, table)
    assert model.spec == FACTOR


def test_no_option_changes_nothing() -> None:
    data = make_data([10] * 30)
    plain = bm.Model(FACTOR, data=data, cluster="school")
    intercepts = bm.Model(FACTOR, data=data, cluster="school", random="intercepts")
    pd.testing.assert_frame_equal(plain.parameter_table, intercepts.parameter_table)


@pytest.mark.parametrize(
    ("spec", "cluster", "random", "message"),
    [
        (FACTOR, "school", "loading", "unknown word 'loading'; did you mean 'loadings'"),
        (FACTOR, "school", "correlations", "no free covariance between two factors"),
        (FACTOR.replace("y1 + y2 + y3 ~ 1", "y1 + y2 ~ 1").replace(" + 0*y3", "").replace(
            "y2 ~~ 0*y3", ""), "school", "all", "'y3' cannot have random intercepts"),
        ("y1 ~ x", None, "slopes", "single level"),
    ],
)  # fmt: skip
def test_misuse(spec: str, cluster: str | None, random: str, message: str) -> None:
    with pytest.raises(bm.SpecificationError, match=message):
        bm.Model(spec, data=make_data([10] * 30), cluster=cluster, random=random)  # type: ignore[arg-type]


# Advice ----------------------------------------------------------------------------------------


def test_more_random_effects_than_clusters() -> None:
    """Three random intercepts, two loadings, a slope and four log SDs: ten."""
    notes = notes_of(FACTOR, [10] * 9, "all")
    (note,) = [n for n in notes if "vary between" in n]
    assert note.startswith("3 variables ('y1', 'y2', 'y3') and 7 coefficients ('l.f.y2', ")
    assert "vary between 9 clusters" in note
    assert "remove rv()" in note
    assert "random_covariances='none'" in note
    assert any("vary between 10 clusters" in n for n in notes_of(FACTOR, [10] * 10, "all"))
    assert not any("vary between" in n for n in notes_of(FACTOR, [10] * 11, "all"))


def test_equal_coefficients_count_once() -> None:
    spec = FACTOR.replace("y2 + y3\n", "rv('l')*y2 + rv('l')*y3\n", 1)
    (note,) = [n for n in notes_of(spec, [20] * 4) if "vary between" in n]
    assert "and 1 coefficient ('l') vary between 4 clusters" in note


def test_no_advice_for_ample_data() -> None:
    assert notes_of(FACTOR, [10] * 40, "all") == []


@pytest.mark.parametrize("random", [None, "loadings", "slopes"])
def test_small_clusters_alone_are_no_problem(random: str | None) -> None:
    assert notes_of(FACTOR, [2] * 40, random) == []


def test_clusters_too_small_for_random_standard_deviations() -> None:
    notes = notes_of(FACTOR, [2] * 40, "variances")
    (note,) = notes
    assert note.startswith("Random standard deviations and correlations ('v.y1', 'v.y2', 'v.y3', ")
    assert "half of the clusters have at most 2" in note
    assert "Remove rv() from rows such as 'y1 ~~ y1'" in note
    assert notes_of(FACTOR, [3] * 40, "variances") == []


def test_random_standard_deviations_of_single_rows() -> None:
    notes = notes_of(FACTOR, [1, 1, *[8] * 38], "variances")
    assert len(notes) == 2
    assert notes[0].startswith("Clusters with a single row: 2 of 40.")
    assert "of clusters with a single row (2 of 40) are predictions from level 2" in notes[1]
    assert len(notes_of(FACTOR, [1, 1, *[8] * 38], "loadings")) == 1
