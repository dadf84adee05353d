"""Text of a table reads back as the same table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_msem.errors import MsemError
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import table_frame, to_syntax
from bayes_msem.spec.table import ParameterTable

PARTABLES = Path(__file__).parents[1] / "reference" / "partables"
COLUMNS = [f"{v}{i}" for v in "yxwz" for i in range(1, 10)] + ["cluster"]


def table_of(text: str, **options: Any) -> ParameterTable:
    cluster = "cluster" if "level:" in text else None
    return build_table(parse(text), COLUMNS, cluster=cluster, **options)


def comparable(table: ParameterTable) -> tuple[object, ...]:
    """All that a table holds, without ``origin`` and with NaN equal to NaN."""
    rows = tuple(repr(replace(r, origin="user")) for r in table.rows)
    return rows, table.roles, table.definitions, table.constraints, table.two_level


def assert_reads_back(table: ParameterTable) -> None:
    text = to_syntax(table)
    for std_lv in (False, True):  # a complete text leaves nothing to defaults
        again = table_of(text, std_lv=std_lv)
        assert comparable(again) == comparable(table)
        assert to_syntax(again) == text


TWO_LEVEL = """
level: within
    fw =~ y1 + y2 + rv("l3")*y3
    fw ~ x1 + rv("slope")*x2
    y4 ~ fw + x3
    y1 ~~ rv("v1")*y1
    fw ~~ rv("vf")*fw
level: between
    fb =~ y1 + y2 + y3
    fb + slope ~ w1
    slope ~~ fb
    z1 ~ slope + x3
    ind := slope^2
"""

TEXTS = [
    "y1 ~ x1 + x2\nx1 ~~ x1",
    "y1 ~ a*x1 + b*x2 + c*x3 + d*x4\na == b\nc == a*d - 1\nab := a*(b + c)",
    "y1 ~ a*x1 + b*x2 + c*x3 + d*x4\nc == 2*a\nc == d\nb == 0.25",
    "y1 ~ start(-0.5)*x1 + prior('normal(0, 1)')*x2 + -1.5*x3\ny1 ~~ 0*y2",
    "y1 ~ a*start(1e-9)*prior(\"t('3')\")*x1 + 0.1*b*x2",
    "f =~ a*y1 + a*y2 + y3\nf ~ 1\ny1 ~ 0*1",
    "f =~ NA*y1 + y2 + y3\nf ~~ 1*f\ng =~ y4\ny4 ~ f",
    "level: 1\ny1 ~ y2 + x1\nlevel: 2\ny1 ~ y2 + w1 + w2",
    "level: 1\ny1 ~ rv('s')*x1\ny1 ~ 0*1\nlevel: 2\ny1 ~ w1",
    TWO_LEVEL,
]


@pytest.mark.parametrize("std_lv", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_text_reads_back_as_the_same_table(text: str, std_lv: bool) -> None:
    assert_reads_back(table_of(text, std_lv=std_lv))


@pytest.mark.parametrize("name", sorted(p.stem for p in PARTABLES.glob("*.json")))
def test_reference_specifications_read_back(name: str) -> None:
    content = json.loads((PARTABLES / f"{name}.json").read_text(encoding="utf-8"))
    assert_reads_back(table_of("\n".join(content["model"]), std_lv=content["std_lv"]))


def test_text_of_a_two_level_table() -> None:
    text = "level: 1\nf =~ y1 + l*y2\nlevel: 2\ny1 ~ b*w1\ny2 ~~ y2\ntwice := 2*b"
    assert to_syntax(table_of(text)).splitlines() == [
        "level: within",
        "    f =~ 1*y1 + NA*l*y2",
        "    y1 ~~ NA*y1",
        "    y2 ~~ NA*y2",
        "    f ~~ NA*f",
        "level: between",
        "    y1 ~ b*w1",
        "    y2 ~~ NA*y2",
        "    y1 ~~ NA*y1",
        "    y1 ~ 1",
        "    y2 ~ 1",
        "twice := 2*b",
    ]


def test_frame_has_one_line_per_row() -> None:
    table = table_of("y1 ~ b*start(0.5)*x1 + prior('normal(0, 1)')*x2\ntwice := 2*b")
    frame = table_frame(table)
    assert list(frame.columns) == [
        "level",
        "lhs",
        "op",
        "rhs",
        "label",
        "free",
        "value",
        "prior",
        "random",
    ]
    assert frame["free"].tolist() == [1, 2, 3, 4, 0]
    assert frame.loc[0].tolist() == ["within", "y1", "~", "x1", "b", 1, 0.5, "", ""]
    assert frame.loc[1, "prior"] == "normal(0, 1)"
    assert frame.loc[4, ["level", "lhs", "op", "rhs"]].tolist() == ["", "twice", ":=", "2*b"]
    assert frame["value"].isna().tolist() == [False, True, True, True, True]


# Random models: whatever the text declares, its table reads back. ---------------------------

FIXED = ["", "", "", "NA*", "0*", "1*", "-0.5*", "start(0.3)*"]
MODIFIERS = {  # labels and random effects that stay with one kind of row
    "regression": [*FIXED, "a*", "b*start(2)*", "0.5*c*"],
    "covariance": [*FIXED, "d*"],
    "variance": ["", "NA*", "0*", "1*", "start(0.3)*", "e*"],
    "intercept": ["", "0*", "0*", "g*"],
}
RANDOM = {"regression": "rv('s')*", "covariance": "rv('r')*", "variance": "rv('v')*"}
WITHIN = ["fw", "gw", "y1", "y2", "y3", "y4", "x1", "x2"]
BETWEEN = ["fb", "gb", "s", "y1", "y2", "y3", "x2", "w1", "w2", "z1"]


@st.composite
def lines(draw: st.DrawFn, names: list[str], random: bool) -> list[str]:
    """Formulas on distinct coordinates."""
    result: dict[tuple[str, frozenset[str] | str], str] = {}
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["regression", "regression", "covariance", *MODIFIERS]))
        lhs, other = draw(st.permutations(names))[:2]
        rhs = {"variance": lhs, "intercept": "1"}.get(kind, other)
        modifiers = MODIFIERS[kind] + ([RANDOM[kind]] * 2 if random and kind in RANDOM else [])
        op = "~~" if kind in ("covariance", "variance") else "~"
        place = (op, frozenset({lhs, rhs}) if op == "~~" else lhs + rhs)
        result.setdefault(place, f"{lhs} {op} {draw(st.sampled_from(modifiers))}{rhs}")
    return list(result.values())


@st.composite
def model_texts(draw: st.DrawFn) -> str:
    two_level = draw(st.booleans())
    within = ["fw =~ y1 + l*y2 + y3", draw(st.sampled_from(["gw =~ y4", "gw =~ fw + y4"]))]
    within += ["y9 ~ a*x1 + b*x2 + x3", *draw(lines(WITHIN, two_level))]
    extra = draw(st.sampled_from(["", "a == 2*b", "a == b", "b == 0.5", "t := a*b"]))
    if not two_level:
        return "\n".join([*within, extra])
    between = ["fb =~ y1 + l*y2", "gb =~ z1 + y3", *draw(lines(BETWEEN, False))]
    slope = "y8 ~ rv('s')*x4"
    return "\n".join(["level: 1", *within, slope, "level: 2", *between, extra])


@given(text=model_texts(), std_lv=st.booleans())
def test_random_tables_read_back(text: str, std_lv: bool) -> None:
    try:
        table = table_of(text, std_lv=std_lv)
    except MsemError:
        return
    assert_reads_back(table)
