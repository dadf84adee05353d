"""Models with outcomes that are not normal, from their declaration to their table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.display import outcomes_in_words

TEXT = """
level: within
    f =~ y1 + y2 + y3
    f ~ x
    c ~ f
level: between
    b =~ y1 + y2 + y3
    y1 | first*t1
    b ~ w
    c ~ w
    z ~ b
"""
DECLARED: dict[str, Any] = {
    "ordered": ["y1", "y2"],
    "families": {"y3": "ordinal(logit)", "c": "negbinomial", "z": "binary(logit)"},
    "exposure": {"c": "hours"},
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(21)
    g = np.repeat(np.arange(24), 6)
    n = len(g)
    scale = ["never", "sometimes", "always"]
    return pd.DataFrame(
        {
            "g": g,
            "y1": pd.Categorical.from_codes(rng.integers(0, 3, n), scale, ordered=True),
            "y2": rng.integers(1, 6, n),
            "y3": rng.integers(0, 2, n),
            "c": rng.poisson(3, n),
            "hours": rng.uniform(1, 2, n),
            "x": rng.normal(size=n),
            "w": rng.normal(size=24)[g],
            "z": (np.arange(24) % 3 == 0)[g],
        }
    )


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models be built that cannot be sampled yet."""
    monkeypatch.setattr("bayes_msem.model.check_plan", lambda table, observed: None)


def test_bad_declarations_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(bm.DataError, match="'c' is declared negbinomial, but has negative values"):
        bm.Model(TEXT, frame.assign(c=frame["c"] - 5), cluster="g", **DECLARED)
    with pytest.raises(bm.SpecificationError, match=r"'y1' has 3 categories .* there is no t3"):
        bm.Model(TEXT.replace("t1", "t3"), frame, cluster="g", **DECLARED)
    with pytest.raises(bm.SpecificationError, match=r"priors\['y1 . t9'\] names nothing"):
        bm.Model(TEXT, frame, cluster="g", priors={"y1 | t9": "normal(0, 1)"}, **DECLARED)


@pytest.mark.usefixtures("built")
def test_table_and_data(frame: pd.DataFrame) -> None:
    model = bm.Model(TEXT, frame, cluster="g", **DECLARED)
    assert {name: f.text for name, f in model.table.families.items()} == {
        "y1": "ordinal(probit)",
        "y2": "ordinal(probit)",
        "y3": "binary(logit)",  # two categories
        "c": "negbinomial",
        "z": "binary(logit)",
    }
    assert model.observed.families == model.table.families
    table = model.parameter_table
    thresholds = table[table["op"] == "|"]
    counts = thresholds.groupby("lhs", sort=False).size().to_dict()
    assert counts == {"y1": 2, "y2": 4, "y3": 1, "z": 1}
    assert set(thresholds["level"]) == {"between"}
    assert thresholds["label"].tolist() == ["first"] + [""] * 7
    assert (thresholds["free"] > 0).all()
    dispersion = table[(table["level"] == "within") & (table["lhs"] == "c") & (table["op"] == "~~")]
    assert dispersion["prior"].tolist() == ["halfnormal(1)"]
    assert model.observed.exposure == {"c": "hours"}


@pytest.mark.usefixtures("built")
def test_options_are_plain(frame: pd.DataFrame) -> None:
    model = bm.Model(TEXT, frame, cluster="g", **DECLARED)
    assert {name: model.options[name] for name in DECLARED} == DECLARED
    again = bm.Model(TEXT, frame, cluster="g", **{n: model.options[n] for n in DECLARED})
    assert again.table == model.table


@pytest.mark.usefixtures("built")
def test_all_indicators(frame: pd.DataFrame) -> None:
    model = bm.Model("f =~ y1 + y2 + y3; x ~ f", frame, ordered=True)
    assert list(model.table.families) == ["y1", "y2", "y3"]
    assert model.table.families["y3"].text == "binary(probit)"


@pytest.mark.usefixtures("built")
def test_random_shorthand(frame: pd.DataFrame) -> None:
    text = "level: within; f =~ y1 + y2 + y3; level: between; y1 ~~ y1; y2 ~~ y2; y3 ~~ y3"
    model = bm.Model(text, frame, cluster="g", random="all", ordered=True)
    names = [r.random for r in model.table.rows if r.random]
    assert names == ["l.f.y2", "l.f.y3", "v.f"]


@pytest.mark.usefixtures("built")
def test_print(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    model = bm.Model(TEXT, frame, cluster="g", **DECLARED)
    assert outcomes_in_words(model.observed) == {
        "ordinal(probit), 3 categories: never < sometimes < always": ["y1"],
        "ordinal(probit), 5 categories: 1 < 2 < 3 < 4 < 5": ["y2"],
        "binary(logit), 2 categories: 0 < 1": ["y3"],
        "negbinomial, exposure 'hours'": ["c"],
        "binary(logit), 2 categories: False < True": ["z"],
    }
    lines = [line.split() for line in str(model).splitlines()]
    text = str(model)
    assert "  y1: ordinal(probit), 3 categories: never < sometimes < always" in text.splitlines()
    assert ["c", "~~", "c"] in [line[:3] for line in lines]
    sections = [line[0] for line in lines if line and line[0] in ("Dispersions", "Thresholds")]
    assert sections == ["Dispersions", "Thresholds"]
    # residual 1, factor 1, random intercept 1
    assert ["y2", "|", "t4"] in [
        line[:3] for line in lines if "dirichlet(1, sd=1.732)" in " ".join(line)
    ]
    assert "one prior of all thresholds of an outcome" in " ".join(text.split())


def test_a_model_that_is_normal_says_nothing_of_all_this(frame: pd.DataFrame) -> None:
    text = str(bm.Model("x ~ w", frame))
    assert "not normal" not in text
    assert "thresholds" not in text


def test_note_on_outcomes_left_continuous(frame: pd.DataFrame) -> None:
    model = bm.Model("y2 ~ x; c ~ x", frame, families={"y2": "gaussian"})
    (note,) = [n for n in model.notes if "different values" in n]
    assert note.endswith("say ordered=['y2'].")
    assert model.table.families == {}


def test_covariates_are_no_outcomes(frame: pd.DataFrame) -> None:
    with pytest.raises(bm.SpecificationError, match=r"'y2' is declared ordinal.* a covariate"):
        bm.Model("x ~ y2", frame, ordered=["y2"])


def test_ordered_categories_that_are_not_declared(frame: pd.DataFrame) -> None:
    with pytest.raises(bm.DataError, match=r"ordered categories, but is not .*ordered=\['y1'\]"):
        bm.Model("y1 ~ x", frame)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("family", ["poisson", "negbinomial"])
def test_a_count_needs_no_residual_variance(frame: pd.DataFrame, family: str) -> None:
    """Its log rate is constant given covariates, which would be singular for a normal outcome."""
    model = bm.Model("c ~ x", frame, families={"c": family})
    kinds = [row.kind for row in model.table.rows]
    assert kinds == ["regression", *(["dispersion"] * (family != "poisson")), "intercept"]
    text = "level: within; y2 ~ x; level: between; y2 ~~ y2; c ~ w"
    by_cluster = frame.assign(c=frame["g"] % 5)
    bm.Model(text, by_cluster, cluster="g", families={"c": family}, ordered=["y2"])
