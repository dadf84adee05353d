"""Draws as a table: written, read back, and named as R's posterior has it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from tests.posterior.made_up import synthetic_fit
from tests.spec.mplus_models import frame

TEXT = """
level: within
    y ~ a*x + rv("s")*z
level: between
    y ~ b*w
    s ~ 0.5*w
twice := 2*a
"""


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    return synthetic_fit(bm.Model(TEXT, frame(), cluster="school"), chains=3, draws=7)


def test_layout(fit: bm.Fit) -> None:
    table = fit.to_draws()
    assert table[".chain"].tolist() == [1] * 7 + [2] * 7 + [3] * 7
    assert table[".iteration"].tolist() == list(range(1, 8)) * 3
    assert table[".draw"].tolist() == list(range(1, 22))
    free = [row for row in fit.model.table.rows if row.free]
    assert len(table.columns) == 3 + len(free) + 1  # and the definition
    assert not any("0.5" in name or "s~w" in name for name in table.columns)
    for row in free:
        name = f"{row.kind}[{row.level},{row.lhs}{row.op}{row.rhs}]"
        np.testing.assert_array_equal(table[name], fit.draws[row.key].reshape(-1))
    np.testing.assert_array_equal(table["twice"], 2 * table["regression[within,y~x]"])


def test_names_are_variables_with_indices(fit: bm.Fit) -> None:
    """A name, and two indices without brackets or blanks in them, as posterior splits them."""
    for name in fit.to_draws().columns[3:]:
        assert re.fullmatch(r"\w+(\[(within|between),[^\[\], ]+\])?", name), name


@pytest.mark.parametrize("suffix", [".csv", ".arrow", ".feather", ".parquet"])
def test_written_and_read_back(fit: bm.Fit, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"draws{suffix}"
    returned = fit.to_draws(path)
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet}.get(suffix, pd.read_feather)(path)
    pd.testing.assert_frame_equal(read, returned, check_exact=True)
    with pytest.raises(bm.FileError, match="exists"):
        fit.to_draws(path)
    fit.to_draws(str(path), overwrite=True)


def test_other_formats_are_refused(fit: bm.Fit, tmp_path: Path) -> None:
    with pytest.raises(bm.FileError, match=r"'\.csv' or '\.arrow' or '\.feather' or '\.parquet'"):
        fit.to_draws(tmp_path / "draws.rds")


def test_a_missing_package_is_named(
    fit: bm.Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(bm.NotSupportedError, match=r"'\.arrow' need the package pyarrow"):
        fit.to_draws(tmp_path / "draws.arrow")
    assert not (tmp_path / "draws.arrow").exists()
    fit.to_draws(tmp_path / "draws.csv")


def test_computed_rows_are_variables_too() -> None:
    text = "level: within; y ~ a*x; level: between; y ~ b*w; b == a/2"
    fit = synthetic_fit(bm.Model(text, frame(), cluster="school"), chains=1, draws=4)
    table = fit.to_draws()
    np.testing.assert_allclose(
        table["regression[between,y~w]"], table["regression[within,y~x]"] / 2, rtol=1e-14
    )
