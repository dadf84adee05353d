"""What result tables show, and that they stay data frames."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayes_msem.posterior.tables import EstimateTable, grouped_text

# level lhs op rhs | label | mean sd lower upper ess_bulk ess_tail r_hat | prior
ROWS = """
within fw =~ y1 | | 1 0 1 1 nan nan nan |
within fw =~ y2 | | 1.23456 0.0512 1.1 1.4 1234.6 999.4 1.00249 | normal(1, 1)
within fw ~ x | a | -12.34567 12.5 -37.1 12.3 400 300 1 | normal(0, 2)
within y1 ~~ y2 | | 0.1 0.05 0 0.2 400 300 1 | lkj(2)[cor]
between y1 ~~ y1 | | 0.00181 0.00234 1.04e-6 0.00813 1967 1307 1.001 | halfnormal(1)[sd]
between y1 ~ 1 | | 3 0.1 2.8 3.2 500 500 1 | normal(3, 5)
"" diff := b-a | | 0.5 0.25 0.01 0.99 500 500 1 |
"""
COLUMNS = "level lhs op rhs label mean sd lower upper ess_bulk ess_tail r_hat prior".split()
CAPTION = "Posterior mean, SD and 95% equal-tailed interval (ETI)."


@pytest.fixture
def table() -> EstimateTable:
    rows: list[list[object]] = []
    for line in ROWS.strip().splitlines():
        key, label, numbers, prior = (part.strip() for part in line.split("|"))
        level, *rest = key.split()
        rows.append([level.strip('"'), *rest, label, *map(float, numbers.split()), prior])
    result = EstimateTable(pd.DataFrame(rows, columns=COLUMNS))
    result.attrs["caption"] = CAPTION
    return result


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_text_in_sections(table: EstimateTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert str(table) == (
        """\
Posterior mean, SD and 95% equal-tailed interval (ETI).
Not shown for lack of width: prior.
within
  Loadings            label     mean      sd    lower   upper  ess_bulk  ess_tail  r_hat
    fw =~ y1                   1.000   fixed
    fw =~ y2                   1.235   0.051    1.100   1.400      1235       999  1.002
  Regressions         label     mean      sd    lower   upper  ess_bulk  ess_tail  r_hat
    fw ~ x            a      -12.346  12.500  -37.100  12.300       400       300  1.000
  Covariances         label     mean      sd    lower   upper  ess_bulk  ess_tail  r_hat
    y1 ~~ y2                   0.100   0.050    0.000   0.200       400       300  1.000

between
  Variances           label     mean      sd    lower   upper  ess_bulk  ess_tail  r_hat
    y1 ~~ y1                  0.0018  0.0023  1.0e-06  0.0081      1967      1307  1.001
  Intercepts          label     mean      sd    lower   upper  ess_bulk  ess_tail  r_hat
    y1 ~ 1                     3.000   0.100    2.800   3.200       500       500  1.000

  Defined parameters  label     mean      sd    lower   upper  ess_bulk  ess_tail  r_hat
    diff := b-a                0.500   0.250    0.010   0.990       500       500  1.000"""
    )


def test_priors_are_shown_where_there_is_room(table: EstimateTable) -> None:
    lines = str(table).splitlines()
    assert not any("Not shown" in line for line in lines)
    assert [line.split()[-1] for line in lines if " y1 ~~ y1 " in line] == ["halfnormal(1)[sd]"]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_longer_than_the_terminal(
    table: EstimateTable, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    table.attrs["caption"] = CAPTION * 5
    lines = str(table[["level", "lhs", "op", "rhs", "mean", "sd", "prior"]]).splitlines()
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("sd", "shown"),
    [
        (3.0, "0.123 3.000"),
        (0.1, "0.123 0.100"),
        (0.012345, "0.123 0.012"),
        (0.0012345, "0.1235 0.0012"),
        (0.00012345, "0.12346 0.00012"),
        (1.2345e-12, "0.12345679 1.2e-12"),
    ],
)
def test_the_smallest_sd_has_two_digits(sd: float, shown: str) -> None:
    table = EstimateTable(
        [("within", "y", "~", "x", 0.123456789, sd)], columns=[*COLUMNS[:4], "mean", "sd"]
    )
    assert shown == re.sub(r" +", " ", str(table).splitlines()[-1].split("y ~ x")[1]).strip()


def test_empty_columns_are_left_out_of_the_text_only(table: EstimateTable) -> None:
    part = table[table["level"] == "between"]
    assert "label" not in str(part)
    assert "label" in part.columns


def test_a_subset_prints_with_its_caption(table: EstimateTable) -> None:
    part = table[table["op"] == "~~"]
    assert isinstance(part, EstimateTable)
    lines = str(part).splitlines()
    assert lines[0] == CAPTION
    first = [line.split()[0] for line in lines[1:] if line]
    assert first == ["within", "Covariances", "y1", "between", "Variances", "y1"]


def test_another_order_is_kept(table: EstimateTable) -> None:
    by_mean = table.sort_values("mean")
    lines = str(by_mean).splitlines()
    assert lines[1].split() == COLUMNS
    shown = [next(m for m in map(float, re.findall(r"-?\d+\.\d+", x))) for x in lines[2:]]
    assert shown == [-12.346, 0.002, 0.1, 0.5, 1.0, 1.235, 3.0]


def test_an_index_with_names_is_shown(table: EstimateTable) -> None:
    by_key = table.set_index(COLUMNS[:4])[["mean", "sd"]]
    slope = next(line for line in str(by_key).splitlines() if "-12.346" in line)
    assert slope.split() == ["~", "x", "-12.346", "12.500"]
    assert "within" in str(by_key)
    assert ">within</th>" in by_key._repr_html_()


def test_without_key_columns_it_is_a_plain_table(table: EstimateTable) -> None:
    lines = str(table[["rhs", "mean"]]).splitlines()
    assert lines[0] == CAPTION
    assert [line.split() for line in lines[1:4]] == [
        ["rhs", "mean"],
        ["y1", "1.000"],
        ["y2", "1.235"],
    ]
    assert str(EstimateTable({"x": [0.12345, np.nan, 1e-7]})).split() == ["x", "0.123", "1.0e-07"]


def test_long_plain_tables_are_cut_in_the_middle() -> None:
    text = str(EstimateTable({"cluster": range(500), "mean": np.linspace(0, 1, 500)}))
    assert len(text.splitlines()) < 30
    assert "500 rows" in text


def test_empty_table(table: EstimateTable) -> None:
    assert str(table.iloc[:0]).startswith(CAPTION)
    assert table.iloc[:0]._repr_html_().startswith("<div>")


def test_html_has_every_cell_with_numbers_to_the_right(table: EstimateTable) -> None:
    table.attrs["caption"] = "a < b"
    html = table._repr_html_()
    assert "a &lt; b" in html
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html)
    cells = [re.findall(r"<t([hd]) style='text-align:(\w+);[^']*'>(.*?)</t[hd]>", r) for r in rows]
    heads = [row[0][2] for row in cells if row[0][0] == "h"]
    assert heads == [
        "within: loadings", "within: regressions", "within: covariances",
        "between: variances", "between: intercepts", "Defined parameters",
    ]  # fmt: skip
    assert {len(row) for row in cells} == {len(COLUMNS) - 3}
    wanted = ["left", "left", *["right"] * 7, "left"]
    assert all([side for _, side, _ in row] == wanted for row in cells)
    slope = next(row for row in cells if row[0][2] == "fw ~ x")
    assert [v for _, _, v in slope] == [
        "fw ~ x", "a", "-12.346", "12.500", "-37.100", "12.300", "400", "300", "1.000",
        "normal(0, 2)",
    ]  # fmt: skip


def test_display_changes_nothing(table: EstimateTable) -> None:
    before = pd.DataFrame(table, copy=True)
    str(table)
    table._repr_html_()
    pd.testing.assert_frame_equal(pd.DataFrame(table), before)


def test_copy_pickle_and_csv_keep_full_precision(table: EstimateTable, tmp_path: Path) -> None:
    for again in (table.copy(), pickle.loads(pickle.dumps(table))):
        assert isinstance(again, EstimateTable)
        assert again.caption == CAPTION
        pd.testing.assert_frame_equal(again, table)
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    back = pd.read_csv(path, keep_default_na=False, na_values={"r_hat": "", "ess_bulk": ""})
    np.testing.assert_array_equal(back[["mean", "sd"]], table[["mean", "sd"]])
    assert list(back.columns) == COLUMNS


def test_other_formats_of_pandas(table: EstimateTable) -> None:
    assert "12.34567" in table.to_string()
    assert "12.34567" in table.to_html()
    assert table.to_dict("records")[2]["mean"] == -12.34567


def test_latex(table: EstimateTable) -> None:
    pytest.importorskip("jinja2")
    assert "-12.35" in table[["lhs", "mean"]].to_latex(float_format="%.2f")


def test_markdown(table: EstimateTable) -> None:
    pytest.importorskip("tabulate")
    assert "-12.3457" in table[["lhs", "mean"]].to_markdown()


def test_arithmetic_and_grouping_work(table: EstimateTable) -> None:
    assert (table["mean"] * 2).iloc[2] == -24.69134
    assert table.groupby("level")["mean"].max()["within"] == 1.23456
    assert str(table.describe()).count("\n") >= 8
    assert str(table.T)
    assert str(pd.concat([table, table]))


def test_grouped_text_of_any_frame() -> None:
    frame = pd.DataFrame(
        [("within", "y", "~", "x", 1, "normal(0, 1)"), ("within", "y", "~~", "y", 2, "")],
        columns=[*COLUMNS[:4], "free", "prior"],
    )
    assert grouped_text(frame) == (
        "within\n"
        "  Regressions  free  prior\n"
        "    y ~ x         1  normal(0, 1)\n"
        "  Variances    free  prior\n"
        "    y ~~ y        2"
    )
