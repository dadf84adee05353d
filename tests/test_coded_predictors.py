"""Categorical predictors and products from text to files: the model of hand-made columns."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.data.observed_data import frame_of
from bayes_msem.data.subsets import take_rows
from bayes_msem.posterior.lines import Posterior, cluster_lines, level_slopes
from bayes_msem.spec.printing import to_syntax
from bayes_msem.studies.study_design import model_on
from tests.posterior.made_up import synthetic_fit

J, N = 30, 240
TEXT = """
level: within
    y ~ bx*x + g + h + x:g + bw*x:w + z + x:z
level: between
    y ~ w + sector + w:sector
at_1 := bx + bw
"""
BY_HAND = """
level: within
    y ~ bx*x + g_mid + g_top + h_u + x_mid + x_top + bw*x_w + z + x_z
level: between
    y ~ w + s_p + w_s
at_1 := bx + bw
"""


def make_data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    school = np.repeat(np.arange(J), N // J)
    data = pd.DataFrame({"school": school, "x": rng.normal(size=N), "z": rng.normal(size=N)})
    data["g"] = rng.choice(["low", "mid", "top"], size=N)
    data["h"] = pd.Categorical(rng.choice(["u", "v"], size=N), categories=["v", "u"])
    data["w"] = rng.normal(size=J)[school]
    data["sector"] = np.where(rng.random(J) > 0.5, "public", "private")[school]
    data["y"] = 1 + data.x * (0.5 + 0.3 * data.w) + 0.4 * (data.g == "top") + rng.normal(size=N)
    data["y"] += 0.5 * rng.normal(size=J)[school]
    return data


def by_hand(data: pd.DataFrame) -> pd.DataFrame:
    """The columns as a user would make them."""
    made = data.copy()
    made["g_mid"], made["g_top"] = (1.0 * (data.g == c) for c in ("mid", "top"))
    made["h_u"], made["s_p"] = 1.0 * (data.h == "u"), 1.0 * (data.sector == "public")
    made["x_mid"], made["x_top"] = data.x * made.g_mid, data.x * made.g_top
    made["x_w"], made["x_z"], made["w_s"] = data.x * data.w, data.x * data.z, data.w * made.s_p
    return made


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return make_data()


@pytest.fixture(scope="module")
def model(data: pd.DataFrame) -> bm.Model:
    return bm.Model(TEXT, data, cluster="school")


@pytest.fixture(scope="module")
def other(data: pd.DataFrame) -> bm.Model:
    return bm.Model(BY_HAND, by_hand(data), cluster="school")


@pytest.fixture(scope="module")
def fit(model: bm.Model) -> bm.Fit:
    return synthetic_fit(model, chains=2, draws=20, seed=3)


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


# New data and files ----------------------------------------------------------------------------


def test_predictions_use_the_categories_of_the_model(
    data: pd.DataFrame, fit: bm.Fit, model: bm.Model
) -> None:
    rows = data[data.g == "top"].drop(columns=["y", "sector"])
    mean = fit.predict(rows)["mean"]
    np.testing.assert_allclose(mean, fit.predict()["mean"].loc[rows.index], rtol=1e-12)
    draws = fit.predict(rows.head(1), return_draws=True).to_numpy().reshape(-1)
    row = data.loc[rows.index[0]]
    value = fit.cluster_draws["effects"].sel(cluster_id=str(row.school), effect="y").to_numpy()
    for name, x in {
        "y ~ x": row.x,
        "y ~ g[T.top]": 1.0,
        "y ~ h[T.u]": row.h == "u",
        "y ~ x:g[T.top]": row.x,
        "within: y ~ x:w": row.x * row.w,
        "y ~ z": row.z,
        "y ~ x:z": row.x * row.z,
    }.items():
        value = value + fit.draws[name] * x
    np.testing.assert_allclose(draws, value.reshape(-1), rtol=1e-12)


def test_new_clusters(data: pd.DataFrame, fit: bm.Fit) -> None:
    new = data.drop(columns="y").head(16).assign(school="new")
    new["sector"], new["w"] = "public", 0.3
    found = fit.predict(new, new_clusters=True, return_draws=True)
    assert found.sizes["obs_id"] == 16
    flipped = fit.predict(new.assign(sector="private"), new_clusters=True, return_draws=True)
    change = fit.draws["y ~ sector[T.public]"] + 0.3 * fit.draws["y ~ w:sector[T.public]"]
    np.testing.assert_allclose(
        (found - flipped).isel(obs_id=0).to_numpy().squeeze(), change, rtol=1e-9, atol=1e-12
    )


NEW = [
    ({"g": "paris"}, (), ["newdata has categories of 'g'", "'paris'", "'low', 'mid', 'top'"]),
    ({}, ("g",), ["newdata lacks the covariates 'g'"]),
    ({}, ("w",), ["newdata lacks the covariates 'w'"]),
    ({"g": None}, (), ["no value of the covariate 'g[T.mid]' (made of 'g')"]),
]


@pytest.mark.parametrize(("change", "drop", "parts"), NEW)
def test_new_data_that_lack_something(
    data: pd.DataFrame, fit: bm.Fit, change: dict, drop: tuple, parts: list[str]
) -> None:
    with pytest.raises(bm.DataError) as caught:
        fit.predict(data.head(3).assign(**change).drop(columns=list(drop)))
    for part in parts:
        assert part in str(caught.value)


def test_files_keep_the_coding(fit: bm.Fit, data: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    fit.save(path)
    again = bm.load(path)
    assert again.model.observed.coded == fit.model.observed.coded
    np.testing.assert_array_equal(again.model.observed.x, fit.model.observed.x)
    np.testing.assert_array_equal(again.model.observed.w, fit.model.observed.w)
    one_category = data[data.g == "top"].head(4)
    pd.testing.assert_frame_equal(again.predict(one_category), fit.predict(one_category))
    pd.testing.assert_frame_equal(again.summary(), fit.summary())


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pd.Series([1, 2, 3]), "y ~ C(c)"),
        (pd.Series([1.0, 2.0, 2.5]), "y ~ C(c)"),
        (pd.Series([True, False, True]), "y ~ C(c)"),
        (pd.Series(pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"])), "y ~ C(c)"),
        (pd.Series(pd.Categorical(["b", "a", "b"], ["b", "a"])), "y ~ c"),
        (pd.Series(["é", "日本", "x y"]), "y ~ x + c + x:c"),
        (pd.Series(["b", "a", "c"]), 'y ~ C(c, Treatment("c"))'),
    ],
)
def test_files_keep_categories_of_any_type(
    data: pd.DataFrame, column: pd.Series, text: str, tmp_path: Path
) -> None:
    values = column.iloc[np.arange(N) % 3].reset_index(drop=True)
    model = bm.Model(text, data.assign(c=values))
    synthetic_fit(model, chains=1, draws=4, seed=1).save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc").model
    assert again.observed.coded == model.observed.coded
    np.testing.assert_array_equal(again.observed.x, model.observed.x)


def test_simulated_data_are_data_for_the_model(model: bm.Model, data: pd.DataFrame) -> None:
    values = model.mode()
    same = model.simulate(values, random_seed=1)
    assert list(same.columns) == ["school", "y", "x", "z", "w", "g", "h", "sector"]
    assert same["g"].tolist() == data["g"].tolist()
    again = model_on(model, same)
    np.testing.assert_array_equal(again.observed.x, model.observed.x)
    new = model.simulate(values, random_seed=1, clusters=40, sizes=20)
    resampled = model_on(model, new)
    np.testing.assert_array_equal(resampled.observed.x[:, 1], (new["g"] == "mid").astype(float))
    frame = data.drop(columns="y").assign(g=data.g.iloc[::-1].to_numpy())
    taken = model.simulate(values, random_seed=1, data=frame)
    assert taken["g"].tolist() == frame["g"].tolist()
    with pytest.raises(bm.DataError, match="'paris'"):
        model.simulate(values, data=frame.assign(g="paris"))


def test_a_cluster_level_category_may_be_missing_in_some_rows(data: pd.DataFrame) -> None:
    text = "level: within; y ~ x; level: between; y ~ sector"
    given = data.copy()
    given.loc[given.groupby("school").head(3).index, "sector"] = None
    model = bm.Model(text, given, cluster="school")
    whole = bm.Model(text, data, cluster="school")
    np.testing.assert_array_equal(model.observed.w, whole.observed.w)
    frame = frame_of(model.observed, model.observed.y, model.observed.z)
    assert frame["sector"].tolist() == data["sector"].tolist()


def test_parts_of_the_data(model: bm.Model) -> None:
    rows = np.arange(0, N, 3)
    part = take_rows(model.observed, rows)
    assert part.sources is not None
    frame = frame_of(part, part.y, part.z)
    whole = frame_of(model.observed, model.observed.y, model.observed.z)
    pd.testing.assert_frame_equal(frame, whole.iloc[rows])


def test_saturated_models_know_the_columns(fit: bm.Fit) -> None:
    """Fit indices build models from texts that hold dummies and products."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(bm.NotSupportedError, match="restricts"):
            fit.indices(incremental=False)


# Other programs --------------------------------------------------------------------------------


def made_by(text: str, data: pd.DataFrame) -> pd.DataFrame:
    """Run the lines of Python that the comments of an Mplus input hold."""
    frame = data.copy()
    for line in re.findall(r"^!   (data\[.*)$", text, flags=re.MULTILINE):
        exec(line, {"data": frame})
    return frame


def test_exports_name_columns_that_exist(model: bm.Model, data: pd.DataFrame) -> None:
    mplus, lavaan = model.to_mplus(), model.to_lavaan()
    assert not re.search(r"\[T\.|\w:\w", re.sub(r"(?m)^[!#].*$", "", mplus + lavaan))
    frame = made_by(mplus, data)
    assert 'data[["x_g_mid"]] <- data[["x"]] * (data[["g"]] == "mid")' in lavaan
    assert 'data[["h_u"]] <- (data[["h"]] == "u") * 1' in lavaan
    again = bm.Model(lavaan, frame, cluster="school")
    values = model.mode(prior=False)
    theirs = {
        new.key: values[old.key]
        for old, new in zip(model.table.rows, again.table.rows, strict=True)
        if old.free
    }
    assert again.log_likelihood(theirs) == values.log_likelihood
    back = bm.from_mplus(mplus).model(frame.rename(columns=_shortened(mplus)))
    assert back.mode(prior=False).log_likelihood == pytest.approx(values.log_likelihood, abs=1e-6)


def _shortened(mplus: str) -> dict[str, str]:
    return dict(re.findall(r"^!   (\w+) = (\w+)$", mplus, flags=re.MULTILINE))


def test_exports_of_awkward_categories(data: pd.DataFrame) -> None:
    given = data.assign(g=data.g.replace({"mid": 'say "no"', "top": "say 'no'"}), g_say__no_=1.0)
    text = "y ~ g + g_say__no_; g_say__no_ ~~ g_say__no_"
    given["g_say__no_"] = given.z
    model = bm.Model(text, given)
    frame = made_by(model.to_mplus(), given)
    made = [c for c in frame if c not in given]
    assert len(set(made)) == 2
    assert frame[made].sum().tolist() == [(data.g == c).sum() for c in ("mid", "top")]
    assert '"say \\"no\\""' in model.to_lavaan()


# Figures and effects ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def posterior(fit: bm.Fit) -> Posterior:
    return Posterior(fit.model.table, fit.draws, fit.cluster_draws, fit.model.observed)


def test_lines_take_products_along(fit: bm.Fit, posterior: Posterior, data: pd.DataFrame) -> None:
    """The slope of x at the mean of z and g, and at the w of each cluster."""
    lines = cluster_lines(posterior, "y", "x", ci=0.9, ci_kind="eti")
    mean = {name: float(np.mean(fit.draws[name])) for name in fit.draws}
    key = {rhs: ("within", "y", "~", rhs) for rhs in fit.model.observed.x_names}
    w = data.groupby("school")["w"].first().to_numpy()
    slope = (
        mean[key["x"]]
        + mean[key["x:g[T.mid]"]] * (data.g == "mid").mean()
        + mean[key["x:g[T.top]"]] * (data.g == "top").mean()
        + mean[key["x:z"]] * data.z.mean()
        + mean[key["x:w"]] * w
    )
    start, end = lines.segments[:, 0], lines.segments[:, 1]
    found = (end[:, 1] - start[:, 1]) / (end[:, 0] - start[:, 0])
    np.testing.assert_allclose(found, slope, rtol=1e-9)
    level = fit.cluster_draws["effects"].sel(effect="y").mean(("chain", "draw")).to_numpy()
    level = level + mean[key["z"]] * data.z.mean() + mean[key["h[T.u]"]] * (data.h == "u").mean()
    level = level + sum(mean[key[f"g[T.{c}]"]] * (data.g == c).mean() for c in ("mid", "top"))
    np.testing.assert_allclose(start[:, 1] - slope * start[:, 0], level, rtol=1e-9)


def test_products_of_other_variables_are_held(
    fit: bm.Fit, posterior: Posterior, data: pd.DataFrame
) -> None:
    """Each variable is at its mean, so a product is a product of means, and not their mean."""
    lines = cluster_lines(posterior, "y", "h[T.u]", ci=0.9, ci_kind="eti")
    mean = {name[3]: float(np.mean(fit.draws[name])) for name in fit.draws if name[0] == "within"}
    held = {"x": data.x.mean(), "z": data.z.mean(), "w": data.groupby("school")["w"].first()}
    held |= {f"g[T.{c}]": (data.g == c).mean() for c in ("mid", "top")}
    level = fit.cluster_draws["effects"].sel(effect="y").mean(("chain", "draw")).to_numpy()
    for name in fit.model.observed.x_names:
        if name != "h[T.u]":
            parts = re.findall(r"\w(?:\[T\.\w+\])?", name)
            level = level + mean[name] * math.prod(np.asarray(held[part]) for part in parts)
    np.testing.assert_allclose(lines.segments[:, 0, 1], level, rtol=1e-9)
    slope = lines.segments[:, 1, 1] - lines.segments[:, 0, 1]
    np.testing.assert_allclose(slope, mean["h[T.u]"], rtol=1e-9)


def test_products_are_no_axis(posterior: Posterior) -> None:
    with pytest.raises(bm.SpecificationError, match=r"'x:z' is a product.*'x' or 'z'"):
        cluster_lines(posterior, "y", "x:z", ci=0.9, ci_kind="eti")


def test_slopes_of_levels(fit: bm.Fit, posterior: Posterior, data: pd.DataFrame) -> None:
    between, _ = level_slopes(posterior, "x", "y", between="w", ci=0.9, ci_kind="eti")
    share = data.groupby("school")["sector"].first().eq("public").mean()
    expected = fit.draws["between: y ~ w"] + share * fit.draws["y ~ w:sector[T.public]"]
    assert between.slope == pytest.approx(expected.mean(), rel=1e-9)


def test_no_single_effect(fit: bm.Fit) -> None:
    with pytest.raises(bm.NotSupportedError) as caught:
        fit.effects("x", "y")
    for part in ("'x' has no single effect on 'y'", "'x:w'", "at_1 := b + 1*c"):
        assert part in str(caught.value)
    table = fit.effects("h[T.u]", "y")
    np.testing.assert_allclose(table["mean"][0], fit.draws["y ~ h[T.u]"].mean())


def test_hypotheses_name_coded_rows(fit: bm.Fit) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = fit.hypothesis("y ~ g[T.top] > 0 & within: y ~ w:x > 0")
    both = (fit.draws["y ~ g[T.top]"] > 0) & (fit.draws["within: y ~ x:w"] > 0)
    assert result.table["probability"].iloc[0] == pytest.approx(both.mean())
