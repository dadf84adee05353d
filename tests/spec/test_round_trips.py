"""Models go to lavaan and Mplus and come back as the same parameter table."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_msem.errors import MsemError
from bayes_msem.outcomes.families import family
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.exchange.lavaan_writer import to_lavaan
from bayes_msem.spec.exchange.mplus_reader import read_mplus
from bayes_msem.spec.exchange.mplus_writer import to_mplus
from bayes_msem.spec.parser import parse
from bayes_msem.spec.table import ParameterTable
from tests.spec.mplus_models import PAIRS
from tests.spec.test_printing import COLUMNS, PARTABLES, TEXTS, model_texts

ALL_COLUMNS = [*COLUMNS, "school", "x", "w", "m", "y", "c", *(f"u{i}" for i in range(1, 5))]


def table_of(text: str, **arguments: Any) -> ParameterTable:
    """Table without data; ordered outcomes have three categories."""
    cluster = arguments.pop("cluster", "cluster") if "level:" in text else None
    families = dict(arguments.pop("families", None) or {})
    families |= dict.fromkeys(arguments.pop("ordered", None) or (), "ordinal(probit)")
    arguments.pop("priors", None)
    return build_table(
        parse(text),
        ALL_COLUMNS,
        cluster=cluster,
        families={name: family(found) for name, found in families.items()},
        categories=dict.fromkeys(families, 3),
        **arguments,
    )


def told(table: ParameterTable) -> list[tuple[Any, ...]]:
    """Rows as a user compares them.

    Means of 0 of parts within clusters are left out: Mplus has no word for them.
    """
    rows = []
    for row in table.rows:
        role = table.roles.get((row.level, row.lhs))
        if row.kind == "intercept" and row.level == "within" and role == "split":
            continue
        value = None if math.isnan(row.value) else row.value
        is_pair = row.kind == "covariance"
        pair = sorted((row.lhs, row.rhs)) if is_pair else [row.lhs, row.rhs]
        rows.append((row.level, row.op, *pair, row.free, row.label, value, row.random))
    return sorted(rows, key=repr)


def through_lavaan(table: ParameterTable, **arguments: Any) -> ParameterTable:
    return table_of(to_lavaan(table), **arguments)


def through_mplus(table: ParameterTable) -> ParameterTable:
    cluster = "cluster" if table.two_level else ""
    read = read_mplus(to_mplus(table, cluster=cluster))
    return table_of(read.text, **read.arguments)


def comparable(table: ParameterTable) -> tuple[Any, ...]:
    rows = tuple(repr(replace(row, origin="user", prior="")) for row in table.rows)
    return rows, table.roles, table.definitions, table.constraints, table.two_level


def texts() -> dict[str, tuple[str, dict[str, Any]]]:
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in sorted(PARTABLES.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found[path.stem] = ("\n".join(content["model"]), {"std_lv": content["std_lv"]})
    found |= {f"text {i}": (text, {}) for i, text in enumerate(TEXTS)}
    found |= {name: (pair.text, dict(pair.arguments)) for name, pair in PAIRS.items()}
    found["covariances of random effects"] = (
        "level: 1\ny1 ~ rv('s')*x1\ny2 ~ rv('t')*x1\nlevel: 2\ny1 + s ~ w1",
        {},
    )
    found["ordered outcomes"] = (
        "u1 ~ x1\nu2 ~ x1\nu1 | -1*t1 + start(0.4)*t2",
        {"ordered": ["u1", "u2"]},
    )
    found["ordered outcomes beside counts"] = (
        "u1 ~ x1\nu2 ~ x1\nc ~ x1",
        {"ordered": ["u1", "u2"], "families": {"c": "poisson"}},
    )
    found["ordered outcomes with a constraint"] = (
        "u1 ~ a*x1\nu2 ~ b*x1\nb == 2*a",
        {"ordered": ["u1", "u2"]},
    )
    found["modelled predictor beside a factor"] = ("f =~ y1 + y2 + y3\ny4 ~ f + x1\nx1 ~~ x1", {})
    return found


# The texts in which something varies that lavaan keeps constant.
VARIES = {"random loadings", "text 9"}
LONG_NAME = "two_level_two_factors"  # "contextual" has ten letters


@pytest.mark.parametrize("name", texts())
def test_through_lavaan(name: str) -> None:
    text, arguments = texts()[name]
    table = table_of(text, **arguments)
    if name in VARIES:
        assert "Not in lavaan" in to_lavaan(table)
        return
    again = through_lavaan(table, **{k: v for k, v in arguments.items() if k != "std_lv"})
    assert comparable(again) == comparable(table)


@pytest.mark.parametrize("name", texts())
def test_through_mplus(name: str) -> None:
    text, arguments = texts()[name]
    table = table_of(text, **arguments)
    if name == LONG_NAME:
        assert "contextual = contextu\n" in to_mplus(table, cluster="cluster")
        table = table_of(text.replace("contextual", "contextu"), **arguments)
    if name == "text 9":
        assert "ind := slope^2: definitions hold" in to_mplus(table, cluster="cluster")
        table = table_of(text.replace("ind := slope^2", ""), **arguments)
    again = through_mplus(table)
    assert told(again) == told(table)
    assert again.roles == table.roles
    assert again.definitions == table.definitions
    assert again.constraints == table.constraints


@given(text=model_texts(), std_lv=st.booleans())
def test_random_tables_through_both(text: str, std_lv: bool) -> None:
    try:
        table = table_of(text, std_lv=std_lv)
    except MsemError:
        return
    lavaan, mplus = to_lavaan(table), to_mplus(table, cluster="cluster")
    if "Not in lavaan" not in lavaan:
        assert comparable(table_of(lavaan)) == comparable(table)
    if "Not in Mplus" not in mplus:
        read = read_mplus(mplus)
        assert told(table_of(read.text, **read.arguments)) == told(table)
    assert max(len(line) for line in mplus.split("\n")) <= 90
