"""What ``print(model)`` says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm

TWO_LEVEL = """
level: within
    fw =~ y1 + y2 + y3
    fw ~ a*x
    u ~ fw
level: between
    fb =~ y1 + y2 + y3
    fb ~ b*w
    y2 ~~ y3
diff := b - a
"""


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"school": np.repeat(np.arange(25), 4)})
    for name in ("x", "u", "y1", "y2", "y3"):
        frame[name] = rng.standard_normal(len(frame))
    frame["w"] = np.repeat(rng.standard_normal(25), 4)
    for name in ("y1", "y2", "y3"):
        frame[name] += np.repeat(rng.standard_normal(25), 4)
    return frame


@pytest.fixture(scope="module")
def two_level(data: pd.DataFrame) -> bm.Model:
    return bm.Model(TWO_LEVEL, data=data, cluster="school")


def test_data_and_roles(two_level: bm.Model) -> None:
    text = str(two_level)
    assert "Two-level Bayesian structural equation model" in text
    assert "Data: 100 rows in 25 clusters ('school'), sizes 4 to 4 (median 4)" in text
    for line in (
        "  factor at level within: fw",
        "  split over levels (latent within + between parts): y1, y2, y3",
        "  outcome or indicator at level within only: u",
        "  covariate at level within (conditioned on): x",
        "  factor at level between: fb",
        "  cluster-level covariate (conditioned on): w",
    ):
        assert line in text.splitlines()


def test_every_row_with_its_prior(two_level: bm.Model) -> None:
    lines = str(two_level).splitlines()
    table = two_level.parameter_table
    starts = [lines.index("  within"), lines.index("  between"), len(lines)]
    for row in table.itertuples():
        first, end = starts[:2] if row.level == "within" else starts[1:]
        name = f"      {row.lhs} {row.op} {row.rhs} "
        shown = [line for line in lines[first:end] if line.startswith(name)]
        assert len(shown) == 1
        assert shown[0].split(name)[1].endswith(row.prior)
        assert str(row.free) in shown[0].split(name)[1].split()
    free = table.loc[table["free"] > 0, "free"].nunique()
    assert f"Parameters: {free} free." in str(two_level)


def test_scales_of_priors_are_explained_if_used(data: pd.DataFrame, two_level: bm.Model) -> None:
    text = " ".join(str(two_level).split())
    assert "[sd] on the standard deviation, [cor] on the correlation" in text
    plain = " ".join(str(bm.Model("u ~ x", data=data)).split())
    assert "[sd] on the standard deviation" in plain
    assert "[cor]" not in plain


def test_the_plan_names_each_sort_once(two_level: bm.Model) -> None:
    text = " ".join(str(two_level).split())
    assert (
        "integrated exactly: within factor fw; random intercepts of y1, y2, y3; between factor fb"
    ) in text
    assert "sampled by NUTS: the parameters why:" in text


def test_single_level(data: pd.DataFrame) -> None:
    text = str(bm.Model("f =~ y1 + y2 + y3\nu ~ f", data=data))
    assert text.startswith("Single-level Bayesian structural equation model\n\nData: 100 rows\n")
    assert "  outcome or indicator: y1, y2, y3, u" in text.splitlines()
    assert "integrated exactly: factor f" in text


def test_random_coefficients_are_explained(data: pd.DataFrame) -> None:
    spec = 'level: within\n u ~ rv("slope")*x\nlevel: between\n u + slope ~ w'
    text = " ".join(str(bm.Model(spec, data=data, cluster="school")).split())
    assert "random coefficient (varies over clusters): slope" in text
    assert "'random' is the name given in rv()" in text


def test_few_clusters_give_a_note(data: pd.DataFrame) -> None:
    few = data[data["school"] < 12]
    with pytest.warns(bm.SmallSampleWarning):
        model = bm.Model("level: within\n u ~ x\nlevel: between\n u ~ w", few, cluster="school")
    assert "\nNote: " in str(model)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_lines_fit_the_terminal(
    two_level: bm.Model, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(map(len, str(two_level).splitlines())) <= width
