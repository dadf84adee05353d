"""From an Mplus input to a model, and from a model to inputs of lavaan and Mplus, with data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from tests.spec.mplus_models import PAIRS, frame

INPUT = "VARIABLE: NAMES = y x;\n MISSING = ALL (-99) y (9);\nMODEL: y ON x (b);\n"
SAME = ["level", "op", "lhs", "rhs", "free", "label", "value", "random"]


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return frame()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_files(tmp_path: Path, encoding: str) -> None:
    content = f"TITLE: Größe\n{INPUT}".replace("\n", "\r\n").encode(encoding)
    (tmp_path / "a.inp").write_bytes(content)
    for path in (tmp_path / "a.inp", str(tmp_path / "a.inp")):
        read = bm.from_mplus(path)
        assert (read.title, read.text) == ("Größe", "y ~ b*x")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(bm.FileError, match="No such file"):
        bm.from_mplus("nothing.inp")
    with pytest.raises(bm.FileError, match="pass the path of an Mplus input, or its text"):
        bm.from_mplus(tmp_path)
    with pytest.raises(bm.FileError, match="must be text or a pathlib"):
        bm.from_mplus(3)  # type: ignore[arg-type]


def test_codes_of_missing_values(data: pd.DataFrame) -> None:
    coded = data[["y", "x"]].copy()
    coded.loc[:4, "y"] = [-99, 9, -99, 9, 1]
    before = coded.copy()
    model = bm.from_mplus(INPUT).model(coded)
    pd.testing.assert_frame_equal(coded, before)
    assert model.missing.variables["missing"].tolist()[0] == 4
    coded.loc[7, "x"] = 9  # a code of y only
    assert bm.from_mplus(INPUT).model(coded).observed.n_rows == len(coded)


def test_arguments_go_before_those_of_the_input(data: pd.DataFrame) -> None:
    read = bm.from_mplus(INPUT)
    model = read.model(data, priors={"b": "normal(0, 7)"}, missing="listwise")
    assert model.parameter_table.loc[0, "prior"] == "normal(0, 7)"
    assert model.options["missing"] == "listwise"


def test_printed(data: pd.DataFrame) -> None:
    text = str(bm.from_mplus(f"DATA: FILE = a.dat;\n{INPUT}OUTPUT: TECH1;"))
    assert "bm.Model(text, data)" in text
    assert "data: 'a.dat' with the columns y x" in text
    assert "missing in all columns: -99" in text
    assert "- Line 5: OUTPUT is not read" in text
    counts = bm.from_mplus(PAIRS["counts"].mplus)
    assert "cluster='school', families={'c': 'negbinomial'}" in repr(counts)


# Written, and read back ---------------------------------------------------------------------------

RICH = """
level: within
    fw =~ y1 + a*y2 + rv("l3")*y3 + y4
    fw ~ rv("s")*x + prior("normal(0, 0.5)")*z
    y1 ~~ rv("v")*y1
level: between
    fb =~ y1 + a*y2 + y3 + y4
    fb + s ~ b*w
    v ~ start(0.2)*w
    l3 ~ q*1
    y2 ~~ 0.05*y2
total := a*b
q == 2*a - 1
"""


def same_rows(first: bm.Model, second: bm.Model) -> None:
    def sorted_rows(model: bm.Model) -> pd.DataFrame:
        table = model.parameter_table[SAME]
        return table.sort_values(SAME[:4]).reset_index(drop=True)

    pd.testing.assert_frame_equal(sorted_rows(first), sorted_rows(second))


def test_a_rich_model_through_mplus(data: pd.DataFrame) -> None:
    model = bm.Model(RICH, data, cluster="school", priors={"b": "normal(0, 0.25)"})
    written = model.to_mplus()
    assert "b ~ N(0, 0.0625);" in written
    assert "prior1 ~ N(0, 0.25);" in written
    assert "v ON w*0.4;" in written  # twice as much, in logarithms of variances
    again = bm.from_mplus(written).model(data)
    table = again.parameter_table
    named = table["label"] == "prior1"
    assert table.loc[named, "prior"].tolist() == ["normal(0, 0.5)"]
    assert set(table.loc[table["label"] == "b", "prior"]) == {"normal(0, 0.25)"}
    # the prior needs a label
    plain = bm.Model(RICH.replace("prior(", "prior1*prior("), data, cluster="school")
    same_rows(again, plain)


@pytest.mark.parametrize("name", PAIRS)
def test_typical_models_through_both(name: str, data: pd.DataFrame) -> None:
    pair = PAIRS[name]
    model = bm.Model(pair.text, data, **pair.arguments)
    priors = pair.arguments.get("priors")
    again = bm.from_mplus(model.to_mplus()).model(data)
    same_rows(again, model)
    if priors:
        assert set(again.parameter_table["prior"]) == set(model.parameter_table["prior"])
    if "it does not vary over clusters" not in model.to_lavaan():
        same_rows(bm.Model(model.to_lavaan(), data, **pair.arguments), model)


LEFT_OUT: dict[str, tuple[str, dict[str, Any], list[str], list[str]]] = {
    # text, arguments, what the comments for lavaan and for Mplus name
    "random loading": (
        "level: 1; f =~ y1 + rv('l')*y2 + y3; level: 2; y1 + l ~ w; y2 ~~ y2; y3 ~~ y3",
        {},
        ['f =~ rv("l")*y2: it does not vary', "l ~ w: a row of what varies"],
        [],
    ),
    "random correlation": (
        "level: 1; f =~ y1 + y2 + y3; h =~ y4 + y5 + y6; f ~~ rv('r')*h; level: 2\n"
        "y1 ~~ y1; y2 ~~ y2; y3 ~~ y3; y4 ~~ y4; y5 ~~ y5; y6 ~~ y6; r ~ w",
        {},
        ['f ~~ rv("r")*h: it does not vary', "r ~ w: a row"],
        ['f ~~ rv("r")*h: it does not vary', "r ~ w: a row", "r ~~ r: a row"],
    ),
    "priors": (
        'y ~ prior("studentt(4, 0, 1)")*x; y ~~ prior("halfnormal(3)")*y',
        {},
        ["y ~ x: studentt(4, 0, 1) (blavaan", "y ~~ y: halfnormal(3)[sd]"],
        ["y ~ x: studentt(4, 0, 1)", "y ~~ y: halfnormal(3)[sd]"],
    ),
    "cluster-specific definition": (
        "level: 1; y ~ rv('s')*x; level: 2; y ~ b*w; d := s*b",
        {},
        ["d := s*b: definitions hold labels only"],
        ["d := s*b: definitions hold labels only"],
    ),
    "function": (
        "y ~ b*x; d := tanh(b)",
        {},
        [],
        ["d := tanh(b): Mplus lacks this function"],
    ),
    "count": (
        "c ~ prior('normal(0, 1)')*x",
        {"families": {"c": "poisson"}, "exposure": {"c": "e"}},
        ["c is poisson: lavaan would take it for normal", "exposure of c (e)"],
        ["c ~ x: normal(0, 1)", "exposure of c: add the logarithm of e"],
    ),
    "logit": (
        "u1 ~ x; u2 ~ x",
        {"families": {"u1": "ordinal(logit)", "u2": "ordinal(probit)"}},
        ["u1 is ordinal(logit): lavaan has the probit link only"],
        ["logit and probit links in one model"],
    ),
    "ordered at two levels": (
        "level: 1; u1 ~ x; level: 2; u1 ~ w",
        {"ordered": ["u1"]},
        ["u1 is ordinal(probit): lavaan has ordered outcomes with one level only"],
        [],
    ),
    "label of a random variance": (
        "level: 1; y ~~ rv('v')*y; level: 2; v ~ q*w; y ~ w; d := 2*q",
        {},
        ["d := 2*q: its labels are missing|d := 2*q: definitions hold"],
        ["d := 2*q: random variances have another unit"],
    ),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_named_in_comments(name: str, data: pd.DataFrame) -> None:
    text, arguments, lavaan, mplus = LEFT_OUT[name]
    two_level = {"cluster": "school"} if "level" in text else {}
    exposed = data.assign(e=np.linspace(1, 2, len(data)))
    model = bm.Model(text, exposed, **two_level, **arguments)
    for written, sign, expected in (
        (model.to_lavaan(), "#", lavaan),
        (model.to_mplus(), "!", mplus),
    ):
        comments = [line for line in written.split("\n") if line.startswith(sign)]
        said = " ".join(line.lstrip(f"{sign} ") for line in comments)
        assert ("and so not in this" in said) == bool(expected)
        for words in expected:
            assert any(w in said for w in words.split("|")), said
        assert max(map(len, comments)) <= 88
    assert bm.Model(model.to_lavaan(), exposed, **two_level, **arguments).table.rows
    assert bm.from_mplus(model.to_mplus()).model(exposed).table.rows


def test_names_that_mplus_cannot_read(data: pd.DataFrame) -> None:
    renamed = data.rename(columns={"y1": "extraversion", "y2": "Extraver", "y3": "on"})
    text = "factor.one =~ extraversion + long_label*Extraver + on\nshort := long_label^2"
    model = bm.Model(text, renamed)
    written = model.to_mplus()
    assert "factor.one = factor_o" in written
    assert "long_label = long_lab" in written
    read = bm.from_mplus(written)
    assert all(len(name) <= 8 for name in read.columns)
    assert len({name.lower() for name in read.columns}) == 3
    assert "short := long_lab^2" in read.text


def test_the_input_says_what_lists_and_estimators_are(data: pd.DataFrame) -> None:
    pair = PAIRS["counts"]
    written = bm.Model(pair.text, data, **pair.arguments).to_mplus()
    for line in (
        "COUNT = c (nb);",
        "WITHIN = x c;|WITHIN = x;",
        "BETWEEN = w;",
        "ESTIMATOR = MLR;",
    ):
        assert any(part in written for part in line.split("|"))
    logit = PAIRS["two-level logistic regression"]
    assert "LINK = LOGIT;" in bm.Model(logit.text, data, **logit.arguments).to_mplus()
    ordinal = PAIRS["ordinal factor model"]
    written = bm.Model(ordinal.text, data, **ordinal.arguments).to_mplus()
    assert "ESTIMATOR = BAYES;" in written
    assert "CATEGORICAL = u1 u2 u3 u4;" in written
    lavaan = bm.Model(ordinal.text, data, **ordinal.arguments).to_lavaan()
    assert 'ordered = c("u1", "u2", "u3", "u4")' in lavaan.replace("\n#   ", " ")


def test_constraints_have_an_estimator_that_knows_them(data: pd.DataFrame) -> None:
    constrained = bm.Model("y1 ~ a*x; y2 ~ b*x; b == 2*a", data).to_mplus()
    assert "ESTIMATOR = MLR;" in constrained
    assert "b = 2*a;" in constrained
    free = bm.Model("y1 ~ a*x; y2 ~ b*x; d := 2*a", data).to_mplus()
    assert "ESTIMATOR = BAYES;" in free
    varying = bm.Model(RICH, data, cluster="school").to_mplus()
    assert "ESTIMATOR = BAYES;" in varying
    assert "Mplus may refuse the" in varying


def test_listwise(data: pd.DataFrame) -> None:
    model = bm.Model("y ~ x", data, missing="listwise")
    assert 'missing = "ml"' not in model.to_lavaan()
    assert bm.from_mplus(model.to_mplus()).arguments == {"missing": "listwise"}
