"""Names of rows: a table of spellings, and every place of the package that takes a row."""

from __future__ import annotations

import warnings
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import bayes_msem as bm
from bayes_msem.spec.row_names import ByRow, by_key, find_row, matching_rows, rows_of_kind
from tests.likelihood.cases import Case, make_model, two_level
from tests.posterior.made_up import synthetic_fit
from tests.random.models import make_data

THIS = two_level(
    "names",
    "fw =~ y1 + l*y2 + y3\nfw ~ b1b*x1\ny1 ~~ y3",
    "fb =~ y1 + l*y2 + y3\nfb ~ w1",
    "product := b1b * l",
)
SLOPE = ("within", "fw", "~", "x1")
PRODUCT = ("", "product", ":=", "b1b*l")
RANDOM = two_level("random", 'y1 ~ rv("slope")*x1', "y1 ~~ slope")


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    return synthetic_fit(make_model(THIS, make_data()), chains=2, draws=60)


ONE = (
    # name, key
    (SLOPE, SLOPE),
    ("b1b", SLOPE),
    (" b1b ", SLOPE),
    ("fw ~ x1", SLOPE),
    ("fw~x1", SLOPE),
    ("within: fw ~ x1", SLOPE),
    ("1: fw ~ x1", SLOPE),
    ((1, "fw", "~", "x1"), SLOPE),
    (("fw", "~", "x1"), SLOPE),
    ("l", ("within", "fw", "=~", "y2")),
    ("y3 ~~ y1", ("within", "y1", "~~", "y3")),
    (("within", "y3", "~~", "y1"), ("within", "y1", "~~", "y3")),
    ("between: y1 ~~ y1", ("between", "y1", "~~", "y1")),
    ("2:y1~~y1", ("between", "y1", "~~", "y1")),
    ("y1 ~1", ("between", "y1", "~", "1")),
    ("y1 ~ 1", ("between", "y1", "~", "1")),
    (("between", "y1", "~1", ""), ("between", "y1", "~", "1")),
    ("product", PRODUCT),
    ("product := b1b*l", PRODUCT),
    ("product := b1b * l", PRODUCT),
)
UNKNOWN = ("b1c", "fw ~ x2", "between: fw ~ x1", "withn: fw ~ x1", "", 5, None, ("fw", "x1"), ())
AMBIGUOUS = ("y1 ~~ y1", "y2 ~~ y2", ("y1", "~~", "y1"))


@pytest.mark.parametrize(("name", "key"), ONE)
def test_one_row(fit: bm.Fit, name: Any, key: tuple[str, str, str, str]) -> None:
    rows = fit.model.table.rows
    assert find_row(rows, name).key == key
    expected = fit.draws[key]
    assert fit.draws[name] is expected
    assert name in fit.draws
    assert fit.draws.get(name) is expected


@pytest.mark.parametrize("name", [*UNKNOWN, *AMBIGUOUS])
def test_no_row_or_two(fit: bm.Fit, name: Any) -> None:
    """An error of ours that is a KeyError too, as code that reads mappings expects."""
    for kind in (bm.SpecificationError, KeyError):
        with pytest.raises(kind) as error:
            fit.draws[name]
    text = str(error.value)
    assert repr(name) in text
    if name in AMBIGUOUS:
        assert "ambiguous; write 'within: y" in text
        assert "or 'between: y" in text
    else:
        assert "A row is named by its key, such as ('within', 'fw', '=~', 'y1')" in text
    assert name not in fit.draws
    assert fit.draws.get(name, "absent") == "absent"


def test_suggestions() -> None:
    rows = make_model(THIS, make_data()).table.rows
    with pytest.raises(bm.SpecificationError, match=r"no row 'b1c'; did you mean 'b1b'\?"):
        find_row(rows, "b1c")
    rows = make_model(RANDOM, make_data()).table.rows
    words = "the mean of this random coefficient is 'between: slope ~ 1'"
    with pytest.raises(bm.SpecificationError, match=words):
        find_row(rows, "slope")


def test_a_mapping_like_a_dictionary(fit: bm.Fit) -> None:
    draws = fit.draws
    assert isinstance(draws, ByRow)
    assert list(draws) == [row.key for row in fit.model.table.rows]
    assert len(draws) == len(fit.model.table.rows)
    assert dict(draws.items()).keys() == draws.keys()


def test_kinds() -> None:
    rows = make_model(THIS, make_data()).table.rows
    for name, kinds, level in (
        ("loading", {"loading"}, ""),
        ("=~", {"loading"}, ""),
        (("between", "=~"), {"loading"}, "between"),
        ((1, "sd"), {"variance"}, "within"),
        ("~~", {"variance", "covariance"}, ""),
        ("~ 1", {"intercept"}, ""),
        ("defined", {"defined"}, ""),
    ):
        expected = [r for r in rows if r.kind in kinds and (not level or r.level == level)]
        assert list(rows_of_kind(rows, name)) == expected
        assert expected
    assert rows_of_kind(rows, "fw") == rows_of_kind(rows, ("nowhere", "=~")) == ()
    assert matching_rows(rows, "loading") == ()


def test_a_label_comes_first() -> None:
    this = Case("", "y1 ~ loading*x1", cluster=None)
    rows = make_model(this, make_data()).table.rows
    assert find_row(rows, "loading").key == ("within", "y1", "~", "x1")


# Every place that takes a row --------------------------------------------------------------------


def spelled(values: dict[Any, float]) -> dict[Any, float]:
    """The same values under other names."""
    names = {key: name for name, key in ONE if isinstance(name, str)}
    renamed = {names.get(key, key): v for key, v in values.items() if key[2] != ":="}
    return {k: v for k, v in renamed.items() if k != ("between", "fb", "=~", "y2")}


def test_values(fit: bm.Fit) -> None:
    """log_likelihood and simulate; a label stands for all its rows."""
    values = {key: float(draws[0, 0]) for key, draws in fit.draws.items()}
    other = spelled(values)
    assert sum(isinstance(name, str) for name in other) >= 5
    model = fit.model
    assert model.log_likelihood(other) == model.log_likelihood(values)  # type: ignore[arg-type]
    one, two = (model.simulate(v, random_seed=1) for v in (values, other))
    assert one.equals(two)
    with pytest.raises(bm.SpecificationError, match=r"values: .*are one row but have the values"):
        model.log_likelihood({**values, "b1b": 17.0})  # type: ignore[dict-item]
    with pytest.raises(bm.SpecificationError, match="values: 'y1 ~~ y1' is ambiguous"):
        model.log_likelihood({"y1 ~~ y1": 1.0})


def test_modes() -> None:
    model = make_model(Case("", "y1 ~ b*x1 + x2", cluster=None), make_data())
    mode = model.mode(prior=False)
    key = ("within", "y1", "~", "x1")
    for name in ("b", "y1 ~ x1", key):
        assert mode[name] == mode.estimates[name] == mode.estimates[key]  # type: ignore[index]
        assert mode.standard_errors[name] == mode.standard_errors[key]  # type: ignore[index]
        assert name in mode
    assert "c" not in mode
    assert model.log_likelihood(mode) == pytest.approx(mode.log_likelihood)


def test_priors() -> None:
    names = [n for n, key in ONE if key == SLOPE]
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.MsemWarning)
            priors = {name: "normal(0, 0.123)"}
            model = bm.Model(THIS.text, data=make_data(), cluster="group", priors=priors)
        row = next(r for r in model.table.rows if r.key == SLOPE)
        assert row.prior == "normal(0, 0.123)", name


@pytest.mark.parametrize(
    "figure", ["plot_forest", "plot_trace", "plot_rank", "plot_prior_posterior"]
)
def test_figures(fit: bm.Fit, figure: str) -> None:
    """One panel or label for the row, whatever it is called."""
    for name, key in ONE:
        if key != SLOPE:
            continue
        for rows in (name, [name]):
            drawn = getattr(fit, figure)(rows=rows)
            words = [t.get_text() for ax in drawn.axes for t in (*ax.get_yticklabels(), ax.title)]
            words += [ax.get_title(loc="left") for ax in drawn.axes]
            assert any("fw ~ x1" in word for word in words), (figure, rows, words)
            assert not any("=~" in word for word in words)
            plt.close(drawn)


def test_reference_of_a_forest_plot(fit: bm.Fit) -> None:
    drawn = fit.plot_forest(rows="regression", reference={"b1b": 0.25, "between: fb ~ w1": -1.0})
    marks = [line for ax in drawn.axes for line in ax.lines if line.get_gid() == "reference"]
    assert sorted(float(x) for line in marks for x in line.get_xdata()) == [-1.0, 0.25]
    with pytest.raises(bm.SpecificationError, match="reference: no row 'b1c'; did you mean 'b1b'"):
        fit.plot_forest(reference={"b1c": 1.0})


def test_by_key_keeps_values_that_are_not_numbers() -> None:
    rows = make_model(THIS, make_data()).table.rows
    found = by_key(rows, {"l": "a", SLOPE: "b"}, what="here")
    assert found == {
        ("within", "fw", "=~", "y2"): "a",
        ("between", "fb", "=~", "y2"): "a",
        SLOPE: "b",
    }
    assert np.all([isinstance(key, tuple) for key in found])
