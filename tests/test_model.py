"""Model: options, refusals, warnings, immutability. Numbers are tested room by room."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.errors import (
    DataError,
    IdentificationWarning,
    ModelSyntaxError,
    MsemError,
    MsemWarning,
    NotSupportedError,
    SmallSampleWarning,
    SpecificationError,
)
from tests.likelihood.cases import make_frame

TWO_LEVEL = "level: within\n  y1 ~ x1\nlevel: between\n  y1 ~ w1"


def quiet(spec: str, data: pd.DataFrame, **options: object) -> bm.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        return bm.Model(spec, data=data, **options)  # type: ignore[arg-type]


@pytest.fixture
def enough() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(60), 4)
    columns = {"group": group} | {
        v: rng.normal(size=240) + rng.normal(size=60)[group] for v in ("y1", "y2", "y3", "y4")
    }
    columns |= {"x1": rng.normal(size=240), "w1": rng.normal(size=60)[group]}
    return pd.DataFrame(columns)


# Options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"missing": "listwize"}, SpecificationError, "is unknown.*did you mean 'listwise'"),
        ({"priors": ["normal(0, 1)"]}, SpecificationError, "priors must be a mapping.*not list"),
        ({"cluster": None}, MsemError, "cluster"),
        ({"cluster": "school"}, DataError, "school"),
    ],
)
def test_options_are_checked(
    options: dict[str, object], error: type[MsemError], message: str
) -> None:
    with pytest.raises(error, match=message):
        quiet(TWO_LEVEL, make_frame(), **({"cluster": "group"} | options))


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError, match="positional"):
        bm.Model(TWO_LEVEL, make_frame(), "group")  # type: ignore[misc]


def test_syntax_errors_come_through() -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        quiet("y1 ~ x1\ny2 ~~~ y1", make_frame())
    assert caught.value.line == 2


@pytest.mark.parametrize("data", [None, {"y1": [1.0, 2.0]}, [[1.0]]])
def test_data_must_be_a_frame(data: object) -> None:
    with pytest.raises(MsemError):
        bm.Model("y1 ~ 1", data=data)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [True, 1.5, "1"])
def test_seeds_are_integers(seed: object, enough: pd.DataFrame) -> None:
    model = quiet(TWO_LEVEL, enough, cluster="group")
    with pytest.raises(SpecificationError, match="random_seed must be an integer"):
        model.fit(random_seed=seed, progress=False)  # type: ignore[arg-type]


def test_unknown_samplers_are_refused_before_sampling(enough: pd.DataFrame) -> None:
    model = quiet(TWO_LEVEL, enough, cluster="group")
    with pytest.raises(SpecificationError, match=r"sampler='nutpi' is unknown.*mean 'nutpie'"):
        model.fit(sampler="nutpi", random_seed=1)  # type: ignore[arg-type]


# Immutability ----------------------------------------------------------------------------------


def test_data_are_never_changed(enough: pd.DataFrame) -> None:
    frame = enough.assign(group=enough["group"].astype("category"))
    frame.attrs["note"] = "mine"
    before = frame.copy(deep=True)
    model = quiet(TWO_LEVEL, frame, cluster="group")
    str(model)
    mode = model.mode(prior=False)
    model.mode()
    model.log_likelihood(mode)
    model.simulate(mode, random_seed=1)
    _ = model.pymc_model
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == {"note": "mine"}


def test_changing_the_data_later_changes_nothing(enough: pd.DataFrame) -> None:
    frame = enough.copy()
    model = quiet(TWO_LEVEL, frame, cluster="group")
    values = {row.key: 0.5 for row in model.table.rows if row.free}
    before = model.log_likelihood(values)
    frame.loc[:, "y1"] = 0.0
    frame["group"] = 1
    assert model.log_likelihood(values) == before
    assert quiet(TWO_LEVEL, enough, cluster="group").log_likelihood(values) == before


def test_attributes_cannot_be_set_on_results(enough: pd.DataFrame) -> None:
    mode = quiet(TWO_LEVEL, enough, cluster="group").mode()
    with pytest.raises(AttributeError):
        mode.converged = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        mode["within", "y1", "~", "x1"] = 0.0  # type: ignore[index]


# Warnings --------------------------------------------------------------------------------------


def test_no_warning_without_a_reason(enough: pd.DataFrame) -> None:
    model = bm.Model(TWO_LEVEL, data=enough, cluster="group")  # warnings are errors
    assert "Note:" not in str(model)


def test_few_clusters_and_single_rows_are_told() -> None:
    with pytest.warns(SmallSampleWarning) as caught:
        model = bm.Model(TWO_LEVEL, data=make_frame(), cluster="group")
    messages = [str(w.message) for w in caught]
    assert len(messages) == 2
    assert "10 clusters" in messages[0]
    assert "2 of 10" in messages[1]
    assert all(w.filename == __file__ for w in caught)
    for message in messages:
        assert message in " ".join(str(model).split())


def test_too_many_parameters_are_told_for_the_level_that_has_them(enough: pd.DataFrame) -> None:
    """Two factors of two indicators at level within only: 13 parameters for 10 moments."""
    text = (
        "level: within\n f =~ y1 + y2 + y3\n g =~ y1 + y2 + y4 \n y1 ~~ y2\n y3 ~~ y4\n"
        "level: between\n y1 ~~ y2"
    )
    with pytest.warns(IdentificationWarning) as caught:
        bm.Model(text, data=enough, cluster="group")
    (message,) = (str(w.message) for w in caught)
    assert message.startswith("level within")
    assert "10 observed" in message


@pytest.mark.parametrize(
    "text",
    [
        "y1 ~ x1 + w1",  # saturated: counts are equal, not too large
        "f =~ y1 + y2 + y3",
        "level: within\n y1 ~~ y2\nlevel: between\n y1 ~~ y2",
    ],
)
def test_just_identified_models_are_no_reason_to_warn(text: str, enough: pd.DataFrame) -> None:
    model = bm.Model(text, data=enough, cluster="group" if "level" in text else None)
    assert "Note:" not in str(model)


# What this version cannot do -------------------------------------------------------------------

SAMPLED = """
level: within
    f =~ y1 + y2 + rv("l3")*y3
    y1 ~~ rv("v1")*y1
level: between
    l3 ~ w1
"""


@pytest.mark.parametrize("method", ["mode", "log_likelihood"])
def test_no_closed_form_with_sampled_effects(method: str, enough: pd.DataFrame) -> None:
    model = bm.Model(SAMPLED, data=enough, cluster="group")
    values = {row.key: 0.5 for row in model.table.rows if row.free}
    arguments = (values,) if method == "log_likelihood" else ()
    with pytest.raises(NotSupportedError, match=r"no closed-form.*model\.plan.*model\.fit\(\)"):
        getattr(model, method)(*arguments)


def test_models_with_sampled_effects_can_be_looked_at(enough: pd.DataFrame) -> None:
    model = bm.Model(SAMPLED, data=enough, cluster="group")
    assert set(model.parameter_table["random"]) == {"", "l3", "v1"}
    assert "l3 (f =~ y3)" in str(model)
    assert "Plan: partially marginal" in str(model)


# What is printed -------------------------------------------------------------------------------


def test_text_of_the_model(enough: pd.DataFrame) -> None:
    text = "level: within\n y1 ~ s*x1 + y2\nlevel: between\n y1 ~ w1\n double := 2 * s"
    model = bm.Model(text, data=enough, cluster="group")
    shown = str(model)
    assert shown == repr(model)
    for part in (
        "240 rows", "60 clusters", "'group'", "y1", "x1", "w1", "Plan: marginal", "halfstudentt",
        "double", "random intercept",
    ):  # fmt: skip
        assert part in shown


def test_parameter_table_has_the_contracts_columns(enough: pd.DataFrame) -> None:
    table = bm.Model(TWO_LEVEL, data=enough, cluster="group").parameter_table
    assert list(table.columns[:7]) == ["level", "lhs", "op", "rhs", "label", "free", "value"]
    assert "prior" in table.columns
    assert (table.loc[table["free"] > 0, "prior"] != "").all()


def test_spec_is_kept_as_given(enough: pd.DataFrame) -> None:
    assert bm.Model(TWO_LEVEL, data=enough, cluster="group").spec == TWO_LEVEL
