"""Named sets of default priors: the wide one, and the informative one for level between."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm

TEXT = """
level: within
    m ~ x
    y ~ m + rv("s")*z
level: between
    m ~ x + w
    y ~ m + x + w
    s ~ w
"""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(30), 6)
    x, m, y = rng.normal(size=(3, 180)) + rng.normal(size=(3, 30))[:, g]
    z, w = rng.normal(size=180), rng.normal(size=30)[g]
    return pd.DataFrame({"x": x, "m": 2 * m, "y": y, "z": z, "w": w, "g": g})


def priors(model: bm.Model) -> dict[tuple[str, str, str, str], str]:
    table = model.parameter_table
    keys = table[["level", "lhs", "op", "rhs"]].itertuples(index=False, name=None)
    return dict(zip(keys, table["prior"], strict=True))


def test_informative(frame: pd.DataFrame) -> None:
    found = priors(bm.Model(TEXT, frame, cluster="g", priors="informative"))
    s = frame.groupby("g")[["x", "m", "y", "w"]].mean().std()
    inside = frame[["y", "z"]] - frame.groupby("g")[["y", "z"]].transform("mean")
    s_y = np.sqrt((inside["y"] ** 2).sum() / 150)
    slope = s_y / frame["z"].std()
    expected = {
        ("m", "~", "x"): ("studentt", 4, 0, s["m"] / s["x"] / np.sqrt(2)),
        ("m", "~", "w"): ("studentt", 4, 0, s["m"] / s["w"] / np.sqrt(2)),
        ("y", "~", "m"): ("studentt", 4, 0, s["y"] / s["m"] / np.sqrt(3)),
        ("s", "~", "w"): ("studentt", 4, 0, slope / s["w"]),
        ("x", "~~", "x"): ("gamma", 2, 2 / s["x"]),
        ("m", "~~", "m"): ("gamma", 2, 2 / s["m"]),
        ("y", "~~", "y"): ("halfnormal", s["y"]),
        ("s", "~~", "s"): ("halfnormal", slope / 2),
    }
    for key, (family, *arguments) in expected.items():
        text = found["between", *key].removesuffix("[sd]")
        name, _, rest = text.partition("(")
        assert name == family
        numbers = [float(part) for part in rest.rstrip(")").split(",")]
        assert numbers == pytest.approx(arguments, rel=1e-3)
    assert found["within", "m", "~", "x"].startswith("normal(0, ")


def test_wide_is_the_default(frame: pd.DataFrame) -> None:
    """Normal slopes of 2.5 standard deviations, half-normal SDs."""
    found = priors(bm.Model(TEXT, frame, cluster="g", priors="wide"))
    s = frame.groupby("g")[["x", "m"]].mean().std()
    slope = found["between", "m", "~", "x"]
    assert slope == f"normal(0, {float(f'{2.5 * s["m"] / s["x"]:.4g}'):g})"
    between = {k: v for k, v in found.items() if k[0] == "between"}
    assert not any("gamma" in v or "studentt" in v for v in between.values())
    assert found == priors(bm.Model(TEXT, frame, cluster="g"))
    other = priors(bm.Model(TEXT, frame, cluster="g", priors="informative"))
    within = {k for k in found if k[0] == "within"}
    assert {k: found[k] for k in within} == {k: other[k] for k in within}


def test_unknown_set_names_the_known_ones(frame: pd.DataFrame) -> None:
    with pytest.raises(bm.SpecificationError, match=r"unknown set of priors 'wid'.*'wide'"):
        bm.Model(TEXT, frame, cluster="g", priors="wid")  # type: ignore[arg-type]


def test_set_survives_a_file(frame: pd.DataFrame, tmp_path: Path) -> None:
    fit = bm.Model(
        "level: within\n y ~ x\nlevel: between\n y ~ x", frame, cluster="g", priors="informative"
    ).fit(draws=500, tune=300, chains=4, progress=False, random_seed=1)
    fit.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc")
    assert priors(again.model) == priors(fit.model)
    assert again.model.options["priors"] == "informative"


def test_informative_is_what_the_study_recommends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidate of the study, row by row, on data of one of its cells."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from prior_candidates import Candidate, Setting
    from prior_cells import Cell
    from prior_designs import DESIGNS

    candidate = Candidate("1 t split", "gamma half x", effects="0.5")
    for name in ("contextual", "mediation", "factor", "slopes"):
        frame = DESIGNS[name].frame(Cell(name, 12, 7, 0.2), 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.MsemWarning)  # 12 clusters are few
            model = bm.Model(DESIGNS[name].text, frame, cluster="cluster", priors="informative")
        setting = Setting(model)
        for free, expected in setting.priors(candidate).items():
            found = setting.defaults[free]
            assert found.family == expected.family
            assert found.arguments == pytest.approx(expected.arguments, rel=1e-3)
