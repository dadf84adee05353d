"""Private interfaces of numba and PyTensor: one that is gone has a message of ours."""

from __future__ import annotations

import numba
import pytest

from bayes_msem.kernels import guard


def test_installed_versions_have_everything() -> None:
    for package in ("numba", "pytensor"):
        guard.check_compilers(package)


@pytest.mark.parametrize(("package", "module", "name"), guard._NEEDED)
def test_what_is_gone_is_named(
    package: str, module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = (package, module, f"{name}_of_old")
    monkeypatch.setattr(guard, "_NEEDED", (*guard._NEEDED, gone))
    with pytest.raises(ImportError, match=f"uses {module}.{name}_of_old, which {package} ") as info:
        guard.check_compilers(package)
    assert "install" in str(info.value)


def test_a_module_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_NEEDED", (("numba", "numba.core.no_such_thing", "x"),))
    with pytest.raises(ImportError, match=f"numba {numba.__version__} does not"):
        guard.check_compilers("numba")


def test_one_lane_needs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ("numba", "numba.core.typing.templates", "signature_of_old")
    monkeypatch.setattr(guard, "_NEEDED", (gone,))
    monkeypatch.delenv("BAYES_MSEM_LANES", raising=False)
    with pytest.raises(ImportError, match="set BAYES_MSEM_LANES=1, which is slower"):
        guard.check_compilers("numba")
    monkeypatch.setenv("BAYES_MSEM_LANES", "1")
    guard.check_compilers("numba")
    monkeypatch.setenv("BAYES_MSEM_LANES", "four")
    with pytest.raises(ImportError, match="BAYES_MSEM_LANES is 'four'; it can be 8"):
        guard.one_lane()
