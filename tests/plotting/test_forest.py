"""Positions of what the forest plot draws, against the draws it is made from."""

from __future__ import annotations

from typing import Any

import arviz_stats as azs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.forest import forest
from bayes_msem.spec.table import ParameterTable, RowKey

Draws = dict[RowKey, NDArray[np.float64]]
Drawn = dict[tuple[str, str], dict[str, Any]]  # (level, row) -> what is drawn of it


def artists(ax: Axes, gid: str) -> Any:
    return next(a for a in ax.get_children() if a.get_gid() == gid)


def read(figure: Figure) -> Drawn:
    """Everything the figure draws, by level (from the column) and tick label."""
    result: Drawn = {}
    lefts = sorted({round(ax.get_position().x0, 6) for ax in figure.axes})
    headings = sorted((t.get_position()[0], t.get_text()) for t in figure.texts)
    for ax in figure.axes:
        column = lefts.index(round(ax.get_position().x0, 6))
        labels = [t.get_text() for t in ax.get_yticklabels()]
        for label in labels:
            level = "" if ":=" in label else headings[column][1]
            result[(level, label)] = {"title": ax.get_title(loc="left"), "axes": ax}
        rows = [result[("" if ":=" in n else headings[column][1], n)] for n in labels]
        for gid in ("outer", "inner"):
            lines = [a for a in ax.get_children() if a.get_gid() == gid]
            for (x0, y0), (x1, y1) in [s for line in lines for s in line.get_segments()]:
                assert y0 == y1
                rows[round(y0)][gid] = (x0, x1)
        for gid in ("mean", "fixed", "reference"):
            for x, y in artists(ax, gid).get_xydata():
                rows[round(y)][gid] = x
    return result


def test_means_and_intervals_are_those_of_the_draws(table: ParameterTable, draws: Draws) -> None:
    drawn = read(forest(table, draws, ci=0.9))
    assert len(drawn) == len(table.rows)
    for row in table.rows:
        shown, x = drawn[(row.level, f"{row.lhs} {row.op} {row.rhs}")], draws[row.key]
        if np.ptp(x) == 0:
            assert shown["fixed"] == row.value
            assert {"mean", "outer", "inner"}.isdisjoint(shown)
        else:
            assert shown["mean"] == pytest.approx(x.mean())
            assert shown["outer"] == pytest.approx(np.quantile(x, [0.05, 0.95]))
            assert shown["inner"] == pytest.approx(np.quantile(x, [0.25, 0.75]))
            assert "fixed" not in shown


def test_highest_density_intervals(table: ParameterTable, draws: Draws) -> None:
    key = ("between", "y2", "~~", "y2")
    shown = read(forest(table, draws, rows=key, ci_kind="hdi"))[("between", "y2 ~~ y2")]
    assert shown["outer"] == pytest.approx(azs.hdi(draws[key].ravel(), prob=0.95))
    assert shown["outer"][0] < np.quantile(draws[key], 0.025)


@pytest.mark.parametrize(("ci", "thick"), [(0.5, False), (0.4, False), (0.51, True)])
def test_a_narrow_outer_interval_stands_alone(
    table: ParameterTable, draws: Draws, ci: float, thick: bool
) -> None:
    figure = forest(table, draws, rows="fw ~ x", ci=ci)
    assert ("inner" in read(figure)[("within", "fw ~ x")]) is thick
    assert ("50% ETI" in legend(figure)) is thick


def legend(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.legends[0].get_texts()]


def test_the_legend_states_kind_and_mass(table: ParameterTable, draws: Draws) -> None:
    assert legend(forest(table, draws, ci=0.9, ci_kind="hdi")) == [
        "posterior mean",
        "50% HDI",
        "90% highest-density interval (HDI)",
        "fixed",
    ]
    assert legend(forest(table, draws, level="")) == [
        "posterior mean",
        "50% ETI",
        "95% equal-tailed interval (ETI)",
    ]


def test_panels_per_level_and_kind(table: ParameterTable, draws: Draws) -> None:
    drawn = read(forest(table, draws))
    assert {(level, shown["title"]) for (level, _), shown in drawn.items()} == {
        *((lev, k) for lev in ("within", "between") for k in ("Loadings", "Regressions")),
        *((lev, "Variances") for lev in ("within", "between")),
        ("between", "Intercepts"),
        ("", "Defined parameters"),
    }
    only = read(forest(table, draws, level="between"))
    assert set(only) == {k for k in drawn if k[0] == "between"}


def test_reference_values_are_marked_where_they_are(table: ParameterTable, draws: Draws) -> None:
    negative = ("between", "y1", "~~", "y1")
    reference = {key: float(x.mean()) + 0.1 for key, x in draws.items()} | {negative: -0.02}
    figure = forest(table, draws, reference=reference, reference_label="ML")
    drawn = read(figure)
    for row in table.rows:
        shown = drawn[(row.level, f"{row.lhs} {row.op} {row.rhs}")]
        if np.ptp(draws[row.key]) > 0:
            assert shown["reference"] == pytest.approx(reference[row.key])
        else:  # a constant is the same in both
            assert "reference" not in shown
    assert legend(figure)[-2:] == ["ML", "negative variance"]


def test_variances_start_at_zero_unless_a_reference_is_below(
    table: ParameterTable, draws: Draws
) -> None:
    key = ("between", "y1", "~~", "y1")

    def variances(**options: Any) -> Axes:
        drawn = read(forest(table, draws, level="between", **options))
        axes: Axes = drawn[("between", "y1 ~~ y1")]["axes"]
        return axes

    lower, upper = variances().get_xlim()
    assert -0.02 * upper < lower <= 0
    assert variances(reference={key: 0.4}).get_xlim()[0] == pytest.approx(lower)
    largest = max(np.quantile(x, 0.975) for k, x in draws.items() if k[1] == k[3])
    assert upper == pytest.approx(1.04 * largest, rel=0.3)

    opened = variances(reference={key: -0.001})
    lower, upper = opened.get_xlim()
    assert lower < -0.001 - 0.03 * upper  # the whole marker is visible
    shaded = artists(opened, "negative")
    assert (shaded.get_x(), shaded.get_x() + shaded.get_width()) == pytest.approx((lower, 0.0))
    assert [t.get_text() for t in opened.texts] == ["−0.001"]
    assert not [a for a in variances().get_children() if a.get_gid() == "negative"]


def test_rows_have_the_same_height_in_all_panels(table: ParameterTable, draws: Draws) -> None:
    figure = forest(table, draws)
    heights = {
        round(ax.get_position().height * figure.get_figheight() / len(ax.get_yticks()), 6)
        for ax in figure.axes
    }
    assert len(heights) == 1
    assert tuple(forest(table, draws, figsize=(5, 4)).get_size_inches()) == (5, 4)


def test_nothing_overlaps_and_nothing_is_cut_off(table: ParameterTable, draws: Draws) -> None:
    reference = {("between", "y1", "~~", "y1"): -0.02}
    figure = forest(table, draws, reference=reference)
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    boxes = [ax.get_tightbbox() for ax in figure.axes] + [figure.legends[0].get_window_extent()]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y0 >= 0
        assert box.y1 <= height
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "beetween"}, r"level='beetween' is not in this model; .*did you mean 'between'"),
        ({"rows": "fw =~ y4"}, r"no row 'fw =~ y4'; did you mean 'fw =~ y[123]'"),
        ({"rows": [("within", "fw", "=~", "y9")]}, r"no row \('within', 'fw', '=~', 'y9'\)"),
        ({"rows": "fw ~ x", "level": "between"}, r"no row 'fw ~ x' at level 'between'"),
        ({"rows": []}, r"rows=\[\] leaves nothing to show"),
        ({"ci": 95}, r"ci=95 is not a probability"),
        ({"ci_kind": "wald"}, r"ci_kind='wald' is unknown; use 'eti' or 'hdi'"),
        (
            {"reference": {("within", "fw", "~", "z"): 1.0}},
            r"reference: no row \('within', .*'within: fw ~ x'",
        ),
    ],
)
def test_bad_requests(
    table: ParameterTable, draws: Draws, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecificationError, match=message):
        forest(table, draws, **options)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("variance", {"y1", "y2", "y3", "fw", "fb"}),
        ("between: y1 ~~ y1", {"y1"}),
        (["b", "diff"], {"fb", "diff"}),
        ([("within", "fw", "=~", "y2"), "fb=~y3"], {"fw", "fb"}),
    ],
)
def test_rows_by_kind_text_label_and_key(
    table: ParameterTable, draws: Draws, rows: Any, expected: set[str]
) -> None:
    drawn = read(forest(table, draws, rows=rows))
    assert {label.split()[0] for _, label in drawn} == expected


def test_pyplot_does_not_know_the_figure(table: ParameterTable, draws: Draws) -> None:
    mine = plt.figure()
    try:
        figure = forest(table, draws)
        assert plt.get_fignums() == [mine.number]
        assert plt.gcf() is mine
        assert figure._repr_png_()[:4] == b"\x89PNG"
    finally:
        plt.close(mine)
