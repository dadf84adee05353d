"""Named sets of default priors: the informative one, which is the default, and the wide one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.posterior.record import plain_priors, read_priors

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


def test_wide(frame: pd.DataFrame) -> None:
    """Normal slopes of 2.5 standard deviations, half-normal SDs."""
    found = priors(bm.Model(TEXT, frame, cluster="g", priors="wide"))
    s = frame.groupby("g")[["x", "m"]].mean().std()
    slope = found["between", "m", "~", "x"]
    assert slope == f"normal(0, {float(f'{2.5 * s["m"] / s["x"]:.4g}'):g})"
    between = {k: v for k, v in found.items() if k[0] == "between"}
    assert not any("gamma" in v or "studentt" in v for v in between.values())
    other = priors(bm.Model(TEXT, frame, cluster="g"))
    assert other == priors(bm.Model(TEXT, frame, cluster="g", priors="informative"))
    within = {k for k in found if k[0] == "within"}
    assert {k: found[k] for k in within} == {k: other[k] for k in within}


def test_unknown_set_names_the_known_ones(frame: pd.DataFrame) -> None:
    with pytest.raises(bm.SpecificationError, match=r"unknown set of priors 'wid'.*'wide'"):
        bm.Model(TEXT, frame, cluster="g", priors="wid")  # type: ignore[arg-type]


def test_a_mapping_names_the_set_for_all_other_rows(frame: pd.DataFrame) -> None:
    own = {("between", "regression"): "normal(0, 9)"}
    wide = priors(bm.Model(TEXT, frame, cluster="g", priors="wide"))
    for named, base in (
        ({"defaults": "wide"}, wide),
        ({}, priors(bm.Model(TEXT, frame, cluster="g"))),
    ):
        found = priors(bm.Model(TEXT, frame, cluster="g", priors=own | named))
        for key, text in found.items():
            slope = key[0] == "between" and key[2] == "~" and key[3] != "1"
            # intercepts allow for slopes of the default priors, whatever the user's are
            assert text == ("normal(0, 9)" if slope else base[key])
    with pytest.raises(bm.SpecificationError, match=r"priors\['defaults'\]: unknown .*'wid'"):
        bm.Model(TEXT, frame, cluster="g", priors={"defaults": "wid"})


@pytest.mark.parametrize("given", [None, {"sd": "exponential(1)"}], ids=["none", "mapping"])
def test_files_of_earlier_versions_have_the_wide_set(
    frame: pd.DataFrame, given: dict[str, str] | None
) -> None:
    """They name no set, and were written when the wide one was the default."""
    plain = plain_priors(given)
    old = None if given is None else [pair for pair in plain if pair[0] != ["str", "defaults"]]
    assert old != plain
    expected = "wide" if given is None else given | {"defaults": "wide"}
    for stored, chosen in ((old, expected), (plain, given)):
        read = bm.Model(TEXT, frame, cluster="g", priors=read_priors(stored))
        assert priors(read) == priors(bm.Model(TEXT, frame, cluster="g", priors=chosen))


@pytest.mark.parametrize("named", ["informative", "wide"])
def test_set_survives_a_file(frame: pd.DataFrame, tmp_path: Path, named: Any) -> None:
    fit = bm.Model(
        "level: within\n y ~ x\nlevel: between\n y ~ x", frame, cluster="g", priors=named
    ).fit(draws=500, tune=300, chains=4, progress=False, random_seed=1)
    fit.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc")
    assert priors(again.model) == priors(fit.model)
    assert again.model.options["priors"] == named


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
