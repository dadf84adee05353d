"""The examples run, with settings far too small for real use."""

from __future__ import annotations

import importlib.util
import struct
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def png_size(path: Path) -> tuple[int, int]:
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:])
    return width, height


@pytest.mark.slow
def test_lq2002_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = load("lq2002_demo")
    with warnings.catch_warnings():
        # 100 draws do not converge, and maximum likelihood ends at a negative variance
        warnings.simplefilter("default", bm.MsemWarning)
        demo.main(
            ["--draws", "100", "--tune", "200", "--chains", "2", "--out", str(tmp_path / "new")]
        )
    printed = " ".join(capsys.readouterr().out.split())
    assert "Note: maximum likelihood ended at negative variances" in printed
    assert "HOSTIL04 -0.0014 0.0030" in printed  # lavaan: -0.00142, se 0.00298

    summary = pd.read_csv(tmp_path / "new" / "summary.csv", keep_default_na=False)
    variances = summary[(summary["op"] == "~~") & (summary["lhs"] == summary["rhs"])]
    assert len(summary) == 57
    assert (variances["lower"] > 0).all()
    loading = summary[(summary["lhs"] == "lead_w") & (summary["rhs"] == "LEAD03")]
    assert np.abs(loading["mean"].item() - 1.449) < 0.0615  # lavaan's estimate and its se

    for name in ("forest.png", "trace.png", "variances.png"):
        assert min(png_size(tmp_path / "new" / name)) > 500


# Script -> clusters to simulate (None: its own data), figures, and what it must print.
SCRIPTS: dict[str, tuple[int | None, list[str], list[str]]] = {
    "hsb_random_slopes": (
        None,
        ["hsb_slopes.png", "hsb_forest.png"],
        ["rs ~ sector -1.644 -1.644", "mach ~~ rs 0.188 0.188", "rs 1224 47"],
    ),
    "random_loadings": (
        30,
        ["loadings_l3.png", "loadings_bias.png"],
        ["sampled by NUTS: the parameters; random loading: l2", "y3 loading 0.400", "l3 0 "],
    ),
    "mediation_111": (
        30,
        ["mediation_indirect.png", "mediation_forest.png"],
        ["indirect := a*b 0.372", "product := mean_a*mean_b 0.300", "indirect 0 20 "],
    ),
    "mediation_112": (
        None,
        ["mediation_112_forest.png"],
        ["indirect := a*b 4.800", "total := a*b + c 6.800", "The same from observed team means"],
    ),
    "three_levels": (
        None,
        ["three_levels_forest.png"],
        [
            "random coefficient (varies over 'class' and 'school'): gap",
            "math ~ urban -15.000",
            "ICC(school) math",
            "class: 161 slopes",
            "school: 40 slopes",
        ],
    ),
    "missing_data": (
        None,
        ["missing_forest.png"],
        [
            "turnover ~ climate -4.000",
            "turnover 12.1",
            "se complete",
            "of 11 true values lie",
            "se no holes",
        ],
    ),
    "model_checks": (
        None,
        ["checks_statistics.png", "checks_clusters.png", "checks_pareto_k.png"],
        [
            "within slope_variance mach ~ cses 0.627",
            "icc mach 0.087",
            "Leave-one-out cross-validation of 160 clusters",
            "Leave-one-out cross-validation of 7185 rows",
        ],
    ),
    "ordinal_items": (
        None,
        ["ordinal_clusters.png"],
        [
            "sampled by NUTS: the parameters; score of fw; random intercepts of HOSTIL01",
            "HOSTIL01 t1",
            "loading, ordered loading, numbers ICC, ordered ICC, numbers",
        ],
    ),
    "random_covariance": (
        25,
        ["covariance_correlations.png", "covariance_forest.png"],
        [
            "(random_covariances='none'): 1 of 105 pairs of g1, g2, l2, l3,",
            "r ~ 1 0.500",
            "inside the interval:",
        ],
    ),
}


LONG = ("missing_data", "model_checks")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in SCRIPTS]
)
def test_random_effects_scripts(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    n_clusters, figures, expected = SCRIPTS[name]
    monkeypatch.syspath_prepend(str(EXAMPLES))  # as when the script is run: it imports console
    script = load(name)
    if n_clusters is not None:
        monkeypatch.setattr(script, "simulate", partial(script.simulate, n_clusters=n_clusters))
    with warnings.catch_warnings():
        # 30 draws do not converge (ConvergenceWarning), and the clusters are few
        # (SmallSampleWarning); the scripts print both as notes
        warnings.simplefilter("default", bm.MsemWarning)
        script.main(["--draws", "30", "--tune", "60", "--chains", "2", "--out", str(tmp_path)])
    printed = " ".join(capsys.readouterr().out.split())
    for text in [*expected, "Fit of 2 chains x 30 draws", "Note: sampling had problems"]:
        assert text in printed, text
    for figure in figures:
        assert min(png_size(tmp_path / figure)) > 200


@pytest.mark.slow
def test_measurement_invariance(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)  # 60 draws do not converge
        load("measurement_invariance").main(
            ["--draws", "60", "--tune", "60", "--chains", "2", "--out", str(tmp_path)]
        )
    printed = " ".join(capsys.readouterr().out.split())
    for text in ("metric within", "- scalar: ", "belonging_b ~ 1", "between [C - A]"):
        assert text in printed, text


def test_every_example_is_run() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    assert scripts == {*SCRIPTS, "lq2002_demo", "measurement_invariance", "console"}
