"""Compiled code is kept where that is possible, and nothing breaks where it is not."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest

import bayes_msem as bm
from bayes_msem.kernels import cache
from bayes_msem.kernels.compile import kernel

PACKAGE = Path(bm.__file__).parent
NOWHERE = os.devnull + "/nowhere"  # below a file: nobody can write there, not even root

# Import the package, run a kernel and a function of PyTensor's linker, report in JSON.
SMALL = """
import json, sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import bayes_msem
    from bayes_msem.kernels.layout import integers
    import numpy as np, pytensor, pytensor.tensor as pt
    found = integers(np.array([2, 4, 7, 9]), 0).tolist()
    x = pt.dvector()
    double = pytensor.function([x], 2 * x, mode="NUMBA")(np.array([1.0, 4.0])).tolist()
ours = [w for w in caught if issubclass(w.category, bayes_msem.MsemWarning)]
print(json.dumps({
    "file": bayes_msem.__file__, "kernel": found, "pytensor": double,
    "warnings": [[w.category.__name__, w.filename, str(w.message)] for w in ours],
}))
"""
FIT = """
import json, warnings
import numpy as np, pandas as pd
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import bayes_msem
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=60)})
    frame["y"] = 0.5 * frame["x"] + rng.normal(size=60)
    fit = bayes_msem.Model("y ~ x", frame).fit(draws=400, chains=2, random_seed=1, progress=False)
print(json.dumps({
    "mean": fit.summary().loc[0, "mean"],
    "warnings": [str(w.message) for w in caught if w.category is bayes_msem.CacheWarning],
}))
"""


def child(code: str, folder: Path, **variables: str) -> dict[str, Any]:
    """Run code with a copy of the package that has no place for compiled code beside it."""
    copied = folder / "library" / "bayes_msem"
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    for room in [copied, *(path for path in copied.iterdir() if path.is_dir())]:
        (room / "__pycache__").touch()
    temporary = folder / "temporary"
    temporary.mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "PYTENSOR_FLAGS")}
    environment = kept | {
        "PYTHONPATH": str(copied.parent),
        "HOME": NOWHERE,
        "XDG_CACHE_HOME": NOWHERE,
        "TMPDIR": str(temporary),
    }
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert not list(temporary.glob("bayes_msem-*"))  # what was set up for the run is gone
    result: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return result


def test_no_folder_can_be_written_to(tmp_path: Path) -> None:
    found = child(SMALL, tmp_path, NUMBA_CACHE_DIR=NOWHERE)
    assert Path(found["file"]).is_relative_to(tmp_path)
    assert found["kernel"] == [7, 9]
    assert found["pytensor"] == [2.0, 8.0]
    ((category, file, message),) = found["warnings"]
    assert category == "CacheWarning"
    assert file == "<string>"  # where the package was imported
    assert "set NUMBA_CACHE_DIR to a folder" in message
    assert "PYTENSOR_FLAGS=base_compiledir=" in message


def test_the_variables_that_the_warning_names(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("numba", "pytensor")}
    found = child(
        SMALL,
        tmp_path,
        NUMBA_CACHE_DIR=str(folders["numba"]),
        PYTENSOR_FLAGS=f"base_compiledir={folders['pytensor']}",
    )
    assert found["warnings"] == []
    assert found["pytensor"] == [2.0, 8.0]
    for name, folder in folders.items():
        assert list(folder.rglob("*.nbi")), name


@pytest.mark.slow
def test_a_fit_without_any_cache(tmp_path: Path) -> None:
    found = child(FIT, tmp_path)
    assert abs(found["mean"] - 0.5) < 0.4
    assert len(found["warnings"]) == 1


# One kernel, in this process -----------------------------------------------------------------

SOURCE = "def twice(x):\n    return 2 * x\n"


def module_with_kernel(folder: Path) -> ModuleType:
    path = folder / "module_with_kernel.py"
    path.write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("module_with_kernel", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_folder_that_is_lost_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the disk were full: one warning for all kernels, and right results."""
    cache._warn_of_full_cache.cache_clear()
    folder = tmp_path / "cache"
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder))
    function = module_with_kernel(tmp_path).twice
    first, second = kernel(function), kernel(function)
    shutil.rmtree(folder)
    folder.touch()
    with pytest.warns(bm.CacheWarning, match=r"could not be kept \(.+\).*NUMBA_CACHE_DIR"):
        assert first(2.0) == 4.0
    assert second(np.float32(3)) == 6.0  # a second warning would be an error
    cache._warn_of_full_cache.cache_clear()


def test_a_cache_that_can_only_be_read_is_of_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container, say, whose builder has run the package once."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    function = module_with_kernel(tmp_path).twice
    assert kernel(function)(2.0) == 4.0
    before = sorted((tmp_path / "__pycache__").iterdir())
    monkeypatch.setattr(cache._KernelCacheImpl, "_locator_classes", (cache._ReadOnly,))
    again = kernel(function)
    assert again(2.0) == 4.0
    assert sum(again.stats.cache_hits.values()) == 1
    assert again(2) == 4  # not there: compiled, and not kept
    assert sorted((tmp_path / "__pycache__").iterdir()) == before


def test_stale_code_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    function = module_with_kernel(tmp_path).twice
    kernel(function)(2.0)
    same = kernel(function)
    same(2.0)
    assert sum(same.stats.cache_hits.values()) == 1
    monkeypatch.setattr(cache, "_STAMP", "sources of any kernel have changed")
    changed = kernel(function)
    changed(2.0)
    assert sum(changed.stats.cache_hits.values()) == 0


def test_nothing_is_said_where_all_is_well() -> None:
    cache.prepare.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.prepare()
