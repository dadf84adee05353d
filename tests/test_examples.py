"""The examples run, with settings far too small for real use."""

from __future__ import annotations

import importlib.util
import struct
import warnings
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
