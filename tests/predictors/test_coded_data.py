"""New data, files and texts for other programs keep the categories of the model."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.data.observed_data import frame_of
from bayes_msem.data.subsets import take_rows
from bayes_msem.studies.study_design import model_on
from tests.posterior.made_up import synthetic_fit
from tests.predictors.columns_by_hand import N

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


def test_exports_leave_missing_categories_missing(data: pd.DataFrame) -> None:
    given = data.assign(g=data.g.where(data.index % 7 != 0), h=data.h.where(data.index % 5 != 0))
    text = "y ~ x + g + h + x:g + g:h"
    with pytest.warns(bm.MissingDataWarning):
        model = bm.Model(text, given, missing="listwise")
    frame = made_by(model.to_mplus(), given)
    made = [c for c in frame if c not in given]
    seen = given.g.notna() & given.h.notna()
    assert frame[made].notna().all(axis=1).tolist() == seen.tolist()
    assert frame.loc[seen, "g_top_h_u"].sum() == ((given.g == "top") & (given.h == "u")).sum()
    with pytest.warns(bm.MissingDataWarning):
        again = bm.Model(f"y ~ x + {' + '.join(made)}", frame.infer_objects(), missing="listwise")
    theirs = again.mode(prior=False).log_likelihood
    assert theirs == pytest.approx(model.mode(prior=False).log_likelihood, abs=1e-6)


def test_a_reference_without_rows_is_named(data: pd.DataFrame) -> None:
    emptied = data.assign(x=data.x.where(data.g != "low"))
    told = "reference category of 'g'.*'g\\[T.mid\\]', 'g\\[T.top\\]'.*leave one category out"
    with pytest.raises(bm.DataError, match=told):
        bm.Model("y ~ x + g", emptied, missing="listwise")
    with pytest.warns(bm.MissingDataWarning):
        bm.Model("y ~ x + g[T.top]", emptied, missing="listwise")
    with pytest.raises(bm.DataError, match="exact linear combination"):
        bm.Model("y ~ x + g[T.low] + g[T.mid] + g[T.top]", data)
