"""The published diary of chronic pain, as stored by benchmarks/diary_location_scale.py.

The data are not here (no licence is known), so the fit cannot be repeated by the tests.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
# In published SDs. Medians of 4,000 draws err by less than .05 of them; variances of intercept and
# slope have other priors there (inverse Wishart), which add to small variances.
TOLERANCE = {"variance of the intercept": 0.4, "variance of the slope": 0.9}


@pytest.fixture
def stored() -> pd.DataFrame:
    return pd.read_csv(ROOT / "benchmarks" / "diary_location_scale.csv").set_index("quantity")


def test_medians_and_sds_agree(stored: pd.DataFrame) -> None:
    known = stored.dropna(subset="blimp")
    assert len(known) == 7
    for name, row in known.iterrows():
        distance = abs(row["median"] - row["blimp"]) / row["blimp_sd"]
        assert distance < TOLERANCE.get(str(name), 0.25), name
        # the correlation with a slope that hardly varies is known less well without the Wishart
        assert row["sd"] == pytest.approx(row["blimp_sd"], rel=0.3), name


def test_the_page_shows_them(stored: pd.DataFrame) -> None:
    text = (ROOT / "docs" / "location_scale.md").read_text(encoding="utf-8")
    for name, row in stored.iterrows():
        assert f"| {name} |" in text
        assert f"| {row['median']:.3f} ({row['sd']:.3f}) |" in text
