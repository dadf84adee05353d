"""What a model says of its text, data and priors, and where it is silent."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.errors import nearest
from bayes_msem.model.group_model import GroupModel

EXAMPLES = Path(__file__).parent.parent / "examples"
BETWEEN = "\nlevel: between\n y ~~ y"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(40), 12)
    frame = pd.DataFrame({"g": g, "x": rng.normal(size=480), "z": rng.normal(size=480)})
    frame["w"] = rng.normal(size=40)[g]
    frame["y"] = 0.5 * frame.x + 0.3 * frame.z + rng.normal(0, 0.5, 40)[g] + rng.normal(size=480)
    frame["m"] = frame.x + frame.z[::-1].to_numpy()
    return frame


def _warned(text: str, data: pd.DataFrame, **options: object) -> tuple[bm.Model, dict[str, type]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = bm.Model(text, data=data, cluster="g", **options)  # type: ignore[arg-type]
    assert all(w.filename == __file__ for w in caught)  # it points at the line of the user
    return model, {str(w.message): w.category for w in caught}


# Labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("y ~ x*z", ["'x*z' (line 2)", "'x', a column of the data", "no effect itself"]),
        ("y ~ x + w*z", ["'w*z' (line 2)"]),
        ("f =~ y + x + z\n m ~ f*z", ["'f*z' (line 3)", "'f', a factor"]),
        ("y ~ x*z + z*m", ["'x*z' (line 2)", "'z*m' (line 2)"]),
    ],
)
def test_a_label_that_is_a_variable(text: str, parts: list[str], data: pd.DataFrame) -> None:
    model, warned = _warned(f"level: within\n {text}{BETWEEN}", data)
    (note,) = [n for n, category in warned.items() if category is bm.SpecificationWarning]
    for part in [*parts, "label(", "y ~ x + z + x:z"]:
        assert part in note
    assert note in model.notes
    assert "Note: " in str(model)


@pytest.mark.parametrize(
    "text", ["y ~ b*z", 'y ~ label("x")*z', 'y ~ equal("x")*z', "y ~ start(1)*x"]
)
def test_labels_that_are_labels(text: str, data: pd.DataFrame) -> None:
    assert _warned(f"level: within\n {text}{BETWEEN}", data)[1] == {}


# Data ------------------------------------------------------------------------------------------


def test_notes_on_data_are_warned_of_and_printed(data: pd.DataFrame) -> None:
    frame = data.assign(
        x=data.x.where(np.arange(480) > 2, 999), w=data.groupby("g").y.transform("mean")
    )
    frame["z"] = frame.g % 7
    text = 'level: within\n y ~ x + rv("s")*z\nlevel: between\n y ~ w'
    model, warned = _warned(text, frame)
    assert set(warned.values()) == {bm.DataWarning}
    printed = " ".join(str(model).split())
    for part in ("999 in 'x' (3 rows)", "'w' is the cluster mean of 'y'", 'rv("s")*z: '):
        assert any(part in note for note in warned)
        assert part in printed


def test_a_blended_slope_is_printed_and_not_warned_of(data: pd.DataFrame) -> None:
    frame = data.assign(x=data.x + data.w)
    model, warned = _warned(f"level: within\n y ~ x{BETWEEN}", frame)
    assert warned == {}
    assert "its slope blends effects" in " ".join(str(model).split())


# Priors and covariances ------------------------------------------------------------------------


def test_priors_that_a_model_lacks_are_printed(data: pd.DataFrame) -> None:
    priors = {"loading": "normal(1, 1)", "regression": "normal(0, 2)"}
    model, warned = _warned(f"level: within\n y ~ x{BETWEEN}", data, priors=priors)
    assert warned == {}
    assert "priors['loading']: this model has no such free row" in " ".join(str(model).split())
    assert "normal(0, 2)" in set(model.parameter_table["prior"])
    with pytest.raises(bm.SpecificationError, match="names nothing"):
        _warned(f"level: within\n y ~ x{BETWEEN}", data, priors={"laoding": "normal(1, 1)"})


TEXT = 'level: within\n m ~ rv("a")*x\n y ~ rv("b")*z\nlevel: between\n m ~~ m\n y ~~ y'


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "(random_covariances='all'): 6 of 6 pairs of m, y, a, b are free. "),
        (
            {"random_covariances": "coefficients"},
            "(random_covariances='coefficients'): 5 of 6 pairs of m, y, a, b are free. "
            "Not free: m ~~ y. ",
        ),
        (
            {"random_covariances": "none"},
            "(random_covariances='none'): 0 of 6 pairs of m, y, a, b are free. ",
        ),
    ],
)
def test_random_covariances_are_printed(
    options: dict[str, str], said: str, data: pd.DataFrame
) -> None:
    model, _ = _warned(TEXT, data, **options)
    assert f"Covariances of random effects {said}" in " ".join(str(model).split())
    assert model.options["random_covariances"] == options.get("random_covariances", "all")


def test_independent_effects_have_the_likelihood_of_covariances_at_zero(
    data: pd.DataFrame,
) -> None:
    full, independent = _warned(TEXT, data)[0], _warned(TEXT, data, random_covariances="none")[0]
    values = {
        key: 0.7 if key[1] == key[3] else 0.2
        for key in (row.key for row in independent.table.rows if row.free)
    }
    zeros = {row.key: 0.0 for row in full.table.rows if row.free and row.key not in values}
    assert len(zeros) == 6
    expected = independent.log_likelihood(values)
    assert full.log_likelihood(values | zeros) == pytest.approx(expected, abs=1e-9)
    assert full.log_likelihood(values | zeros | {("between", "m", "~~", "y"): 0.3}) != expected


def test_an_idle_or_unknown_option_is_told(data: pd.DataFrame) -> None:
    model, warned = _warned(f"level: within\n y ~ x{BETWEEN}", data, random_covariances="none")
    assert warned == {}
    assert "changes nothing: no coefficient has rv()" in " ".join(str(model).split())
    assert model.notes == ()  # nothing that check() should report
    for given in ("nothing", False, None):
        with pytest.raises(bm.SpecificationError, match="'all', 'coefficients' or 'none'"):
            _warned(TEXT, data, random_covariances=given)


# Silence ---------------------------------------------------------------------------------------


def _script(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"notes_of_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _BuiltError(Exception):
    """An example has built its model; no need to sample."""


@pytest.mark.parametrize(
    "path", [p for p in sorted(EXAMPLES.glob("*.py")) if p.stem != "console"], ids=lambda p: p.stem
)
def test_examples_cause_no_alarm(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []

    def spied(kind: type[bm.Model]) -> None:
        build = kind.__init__

        def spy(self: bm.Model, *args: object, **options: object) -> None:
            build(self, *args, **options)  # type: ignore[arg-type]
            notes.extend(self.notes)
            raise _BuiltError

        monkeypatch.setattr(kind, "__init__", spy)

    module = _script(path, monkeypatch)
    spied(bm.Model)
    spied(GroupModel)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("default", bm.SmallSampleWarning)
        with pytest.raises(_BuiltError):
            module.main(["--out", str(tmp_path)])
    expected = ("Clusters with a single row", "10 outcomes have at most 7 different values")
    assert [n for n in notes if not n.startswith(expected)] == []


# Names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "allowed", "found"),
    [
        ("Y", ["x", "y"], "y"),
        ("y", ["X", "Y"], "Y"),
        ("MATH1", ["math2", "Math1"], "Math1"),
        ("MATH_SCOR", ["x", "math_score"], "math_score"),
        ("wihtin", ["within", "between"], "within"),
        ("y1", ["Y1", "y2"], "Y1"),
        ("MATH2", ["MATH1", "math2"], "math2"),  # case is less of a difference than a letter
    ],
)
def test_names_that_differ_in_case_are_suggested(name: str, allowed: list[str], found: str) -> None:
    assert nearest(name, allowed) == f"; did you mean '{found}'?"


def test_far_names_are_not_suggested() -> None:
    assert nearest("Q", ["x", "y"]) == ""


def test_case_is_told_wherever_names_are_given(data: pd.DataFrame) -> None:
    with pytest.raises(bm.SpecificationError, match=r"variable 'Y'.*did you mean 'y'"):
        _warned(f"level: within\n Y ~ x{BETWEEN}", data)
    with pytest.raises(bm.DataError, match="did you mean 'g'"):
        bm.Model(f"level: within\n y ~ x{BETWEEN}", data=data, cluster="G")
    with pytest.raises(bm.DataError, match="did you mean 'y'"):
        bm.describe(data, "g", ["Y"])
    with pytest.raises(bm.DataError, match="did you mean 'hsb'"):
        bm.load_dataset("HSB")
    with pytest.raises(bm.SpecificationError, match="did you mean 'fiml'"):
        _warned(f"level: within\n y ~ x{BETWEEN}", data, missing="FIML")
