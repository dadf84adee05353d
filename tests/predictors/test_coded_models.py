"""Categorical predictors and products: the model of hand-made columns, and what the user reads."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.spec.printing import to_syntax
from tests.predictors.columns_by_hand import TEXT, N, by_hand

# The model -------------------------------------------------------------------------------------


def test_the_same_model_as_with_columns_by_hand(model: bm.Model, other: bm.Model) -> None:
    """Log-likelihood and maximum are equal to the last digit, and so are the priors."""
    found, expected = model.mode(prior=False), other.mode(prior=False)
    assert found.log_likelihood == expected.log_likelihood
    assert list(found.values()) == list(expected.values())
    assert model.mode().log_likelihood == other.mode().log_likelihood
    ours, theirs = model.parameter_table, other.parameter_table
    pd.testing.assert_frame_equal(ours.drop(columns="rhs"), theirs.drop(columns="rhs"))
    np.testing.assert_array_equal(model.observed.x, other.observed.x)
    np.testing.assert_array_equal(model.observed.w, other.observed.w)


def test_single_level(data: pd.DataFrame) -> None:
    model = bm.Model("y ~ x + C(g, Treatment('mid')) + x:z + z", data)
    mode = model.mode(prior=False)
    design = np.column_stack(
        [np.ones(N), data.x, data.g == "low", data.g == "top", data.x * data.z, data.z]
    )
    slopes = np.linalg.lstsq(design.astype(float), data.y, rcond=None)[0]
    rows = ["y ~ 1", "y ~ x", "y ~ g[T.low]", "y ~ g[T.top]", "y ~ z:x", "y ~ z"]
    np.testing.assert_allclose([mode[row] for row in rows], slopes, rtol=1e-6)


def test_random_slopes_of_dummies(data: pd.DataFrame) -> None:
    text = 'level: within; y ~ rv("s")*h + x + x:h; level: between; y ~ w; s ~ w'
    hand = 'level: within; y ~ rv("s")*h_u + x + x_h; level: between; y ~ w; s ~ w'
    made = by_hand(data).assign(x_h=data.x * (data.h == "u"))
    one = bm.Model(text, data, cluster="school").mode(prior=False)
    two = bm.Model(hand, made, cluster="school").mode(prior=False)
    assert one.log_likelihood == two.log_likelihood
    slopes = bm.Model(
        "level: within; y ~ x + g; level: between; y ~~ y", data, cluster="school", random="slopes"
    )
    names = [row.random for row in slopes.table.rows if row.random]
    assert names == ["s.y.x", "s.y.g.mid", "s.y.g.top"]


def test_the_table_reads_back(model: bm.Model, data: pd.DataFrame) -> None:
    again = bm.Model(to_syntax(model.table), data, cluster="school")
    assert [row.key for row in again.table.rows] == [row.key for row in model.table.rows]
    np.testing.assert_array_equal(again.observed.x, model.observed.x)


def test_priors_of_all_dummies(data: pd.DataFrame) -> None:
    priors = {"y ~ g": "normal(0, 1)", "y ~ g:x": "normal(0, 2)"}
    table = bm.Model("y ~ x + g + x:g", data, priors=priors).parameter_table
    given = dict(zip(table["rhs"], table["prior"], strict=True))
    assert given["g[T.mid]"] == given["g[T.top]"] == "normal(0, 1)"
    assert given["x:g[T.mid]"] == given["x:g[T.top]"] == "normal(0, 2)"
    text = "y ~ prior('normal(0, 1)')*g + x + prior('normal(0, 2)')*x:g"
    again = bm.Model(text, data).parameter_table
    pd.testing.assert_series_equal(
        table.sort_values("rhs")["prior"].reset_index(drop=True),
        again.sort_values("rhs")["prior"].reset_index(drop=True),
    )
    two = {"level: within": "y ~ x", "level: between": "y ~ sector"}
    both = bm.Model(
        "\n".join(f"{k}\n {v}" for k, v in two.items()),
        data,
        cluster="school",
        priors={"y ~ sector": "normal(0, 3)"},
    )
    assert "normal(0, 3)" in both.parameter_table["prior"].tolist()


def test_listwise_deletion(data: pd.DataFrame) -> None:
    given = data.copy()
    given.loc[[3, 50], "g"] = None
    with pytest.warns(bm.MissingDataWarning, match="2 rows"):
        model = bm.Model(TEXT, given, cluster="school", missing="listwise")
    whole = bm.Model(TEXT, data.drop(index=[3, 50]), cluster="school")
    np.testing.assert_array_equal(model.observed.x, whole.observed.x)
    assert model.log_likelihood(whole.mode()) == whole.log_likelihood(whole.mode())


# What the user reads ---------------------------------------------------------------------------


def test_references_are_printed(model: bm.Model, fit: bm.Fit) -> None:
    text = re.sub(r"\s+", " ", str(model))
    for part in (
        "g[T.mid], g[T.top]: dummies of 'g' (1 in the category, else 0), compared with 'low'",
        "h[T.u]: dummy of 'h' (1 in the category, else 0), compared with 'v'",
        "x:z, w:sector[T.public]: products of the columns as they are; nothing is centred",
        "y ~ x:g[T.top]",
    ):
        assert part in text
    assert "compared with &#x27;low&#x27;" in model._repr_html_()
    told = "Reference categories: g 'low'; h 'v'; sector 'private'."
    assert told in fit.summary().caption
    assert told in fit.to_table(format="markdown")
    assert "g[T.mid]" in fit.summary()["rhs"].tolist()
    svg = model.diagram().svg
    assert all(f">{name}</text>" in svg for name in ("g[T.mid]", "x:z", "w:sector[T.public]"))


def test_references_by_outcome(data: pd.DataFrame) -> None:
    given = data.assign(m=data.y + data.x)
    text = str(bm.Model("y ~ g; m ~ g[T.top]; y ~~ 0*m", given))
    assert "compared with 'low' (y), 'low', 'mid' together (m)" in re.sub(r"\s+", " ", text)


def test_markup_in_labels(data: pd.DataFrame) -> None:
    model = bm.Model("y ~ g", data.assign(g=data.g.replace({"mid": "n<b>&"})))
    assert "y ~ g[T.n<b>&]" in str(model)
    for shown in (model._repr_html_(), model.diagram().svg):
        assert "<b>&" not in shown
        assert "g[T.n&lt;b&gt;&amp;]" in shown


def test_main_effects_are_warned_of(data: pd.DataFrame) -> None:
    with pytest.warns(bm.SpecificationWarning, match="without the effect of 'z'") as caught:
        model = bm.Model("y ~ x + x:z", data)
    assert caught[0].filename == __file__
    assert any("without the effect of 'z'" in note for note in model.notes)


def test_slopes_that_blend(data: pd.DataFrame) -> None:
    """Advice is given for columns that exist."""
    given = data.assign(x=data.x + 2 * data.w, c=np.where(data.w + data.z / 2 > 0, "p", "q"))
    text = "level: within; y ~ x + z + c + x:z; level: between; y ~ w"
    notes = " ".join(bm.Model(text, given, cluster="school").notes)
    assert "(data['c'] == 'q').groupby(data['school']).transform('mean')" in notes
    assert "centre the columns first, data['x'] - data['x'].groupby(data['school'])" in notes
    assert "data['x:z']" not in notes
    assert "data['c[T.q]']" not in notes


def test_no_codes_are_sought_among_dummies(data: pd.DataFrame) -> None:
    given = data.assign(v=data.z.where(np.arange(N) % 40 > 0, 999.0))
    with pytest.warns(bm.DataWarning, match="999 in 'v'") as caught:
        bm.Model("y ~ x + 0*v + x:v", given)
    assert "x:v" not in str(caught[0].message)


ERRORS = [
    ({"g": None}, "y ~ g", ["covariate 'g' is missing in 1 row (7", "multiple imputation"]),
    ({"x": np.nan}, "y ~ x + w + x:w", ["covariate 'x' is missing", "'x:w'", "listwise"]),
    ({"w": np.nan}, "y ~ x + 0*z + x:w", ["'x:w' (made of 'x', 'w') is missing"]),
]


@pytest.mark.filterwarnings("ignore::bayes_msem.errors.SpecificationWarning")
@pytest.mark.parametrize(("change", "text", "parts"), ERRORS)
def test_missing_predictors(
    data: pd.DataFrame, change: dict[str, object], text: str, parts: list[str]
) -> None:
    given = data.copy()
    for name, value in change.items():
        given[name] = given[name].astype(object)
        given.loc[7, name] = value
    with pytest.raises(bm.DataError) as caught:
        bm.Model(text, given)
    message = str(caught.value)
    for part in parts:
        assert part in message or part == "'x:w'"
    assert "~~" not in message  # a variance would make it modelled, which a product cannot be
    assert message.count("missing in") == 1


def test_constant_inside_clusters(data: pd.DataFrame) -> None:
    text = "level: within; y ~ x; level: between; y ~ {}"
    with pytest.raises(bm.DataError) as caught:
        bm.Model(text.format("g"), data, cluster="school")
    for part in ("'g' is part of 'g[T.mid]'", "inside 30 of 30", "(data['g'] == 'top').groupby"):
        assert part in str(caught.value)
    with pytest.raises(bm.DataError, match=r"'z' is part of 'w:z' .*\['z'\].transform\('mean'\)"):
        bm.Model(text.format("w + 0*z + w:z"), data, cluster="school")


def test_empty_cells(data: pd.DataFrame) -> None:
    given = data[~((data.g == "mid") & (data.h == "u"))]
    with pytest.raises(bm.DataError) as caught:
        bm.Model("y ~ g + h + g:h", given)
    for part in ("'g[T.mid]:h[T.u]' (made of 'g', 'h') is constant", "write out the dummies"):
        assert part in str(caught.value)
    bm.Model("y ~ g + h + g[T.top]:h[T.u]", given)


def test_outcomes_of_categories_are_no_predictors(data: pd.DataFrame) -> None:
    with pytest.raises(bm.DataError, match=r"'h' is not numeric.*ordered"):
        bm.Model("h ~ x", data)
    ordered = data.assign(o=pd.Categorical(data.g, ["low", "mid", "top"], ordered=True))
    model = bm.Model("o ~ x + h + x:h", ordered, ordered=["o"])
    assert model.observed.categories == {"o": ("low", "mid", "top")}
    assert model.observed.x_names == ("x", "h[T.u]", "x:h[T.u]")
    assert bm.Model("y ~ o", ordered).observed.x_names == ("o[T.mid]", "o[T.top]")


def test_truth_values_keep_their_name(data: pd.DataFrame) -> None:
    model = bm.Model("y ~ b + x + b:x", data.assign(b=data.z > 0))
    assert model.observed.x_names == ("b", "x", "b:x")
    assert not model.observed.coded.categories
