"""Positions of what the caterpillar plot draws, against the draws it is made from."""

from __future__ import annotations

from typing import Any

import arviz_stats as azs
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bayes_msem.errors import SpecificationError
from bayes_msem.plotting.clusters import caterpillar
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse
from bayes_msem.spec.table import ParameterTable, RowKey

MODEL = """
level: within
    fw =~ y1 + rv("l2")*y2 + y3
    fw ~ rv("slope")*x
    y1 ~~ rv("v1")*y1
level: between
    fb =~ y1 + y2 + y3
product := slope*l2
"""
EFFECTS = ["y1", "y2", "y3", "slope", "l2", "v1", "product"]
PRODUCT = ("", "product", ":=", "slope*l2")

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def random_table() -> ParameterTable:
    return build_table(parse(MODEL), ["g", "x", "y1", "y2", "y3"], cluster="g")


def make_effects(n_clusters: int, names: list[str] | None = None) -> xr.Dataset:
    """Skewed draws: two chains of 150, a mean and a spread of its own for every cluster."""
    rng = np.random.default_rng(99)
    shape = (2, 150, n_clusters, len(EFFECTS))
    centre = rng.normal(size=(n_clusters, len(EFFECTS)))
    factors = rng.normal(size=(*shape[:3], 1)) + centre[:, :1]
    return xr.Dataset(
        {
            "effects": (
                ("chain", "draw", "cluster_id", "effect"),
                centre + rng.exponential(0.2, size=shape) * rng.uniform(0.5, 2, shape[2:]),
            ),
            "factors": (("chain", "draw", "cluster_id", "between_factor"), factors),
        },
        coords={
            "cluster_id": names or [f"school {i}" for i in range(n_clusters)],
            "effect": EFFECTS,
            "between_factor": ["fb"],
        },
    )


@pytest.fixture(scope="module")
def effects() -> xr.Dataset:
    return make_effects(12)


@pytest.fixture(scope="module")
def population() -> dict[RowKey, Array]:
    return {PRODUCT: np.full((2, 150), 0.625)}


def only_axes(figure: Figure) -> Axes:
    (ax,) = figure.axes
    return ax


def artist(ax: Axes, gid: str) -> Any:
    return next(a for a in ax.get_children() if a.get_gid() == gid)


def read(figure: Figure) -> list[dict[str, Any]]:
    """What is drawn of every cluster, from the bottom to the top."""
    ax = only_axes(figure)
    labels = [t.get_text() for t in ax.get_yticklabels()]
    rows: list[dict[str, Any]] = [{"mean": x} for x, _ in artist(ax, "mean").get_xydata()]
    for gid in ("outer", "inner"):
        lines = [a for a in ax.get_children() if a.get_gid() == gid]
        for (x0, y0), (x1, y1) in [s for line in lines for s in line.get_segments()]:
            assert y0 == y1 == round(y0)
            rows[round(y0)][gid] = (x0, x1)
    for row, label in zip(rows, labels, strict=False):
        row["name"] = label
    return rows


def centre(figure: Figure) -> float:
    x = np.asarray(artist(only_axes(figure), "centre").get_xdata(), dtype=np.float64)
    assert x[0] == x[1]
    return float(x[0])


def legend(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.legends[0].get_texts()]


@pytest.mark.parametrize("name", [*EFFECTS, "fb"])
def test_means_and_intervals_are_those_of_the_draws(
    random_table: ParameterTable,
    effects: xr.Dataset,
    population: dict[RowKey, Array],
    name: str,
) -> None:
    drawn = read(caterpillar(random_table, effects, population, name, ci=0.9))
    every = (
        effects["factors"].sel(between_factor=name)
        if name == "fb"
        else effects["effects"].sel(effect=name)
    )
    assert len(drawn) == 12
    for row in drawn:
        x = every.sel(cluster_id=row["name"]).to_numpy()
        assert row["mean"] == pytest.approx(x.mean())
        assert row["outer"] == pytest.approx(np.quantile(x, [0.05, 0.95]))
        assert row["inner"] == pytest.approx(np.quantile(x, [0.25, 0.75]))
    means = [row["mean"] for row in drawn]
    assert means == sorted(means)  # smallest at the bottom
    assert only_axes(caterpillar(random_table, effects, population, name)).get_ylim()[0] < 0


def test_highest_density_intervals(
    random_table: ParameterTable, effects: xr.Dataset, population: dict[RowKey, Array]
) -> None:
    figure = caterpillar(random_table, effects, population, "slope", ci_kind="hdi")
    x = effects["effects"].sel(effect="slope")
    for row in read(figure):
        draws = x.sel(cluster_id=row["name"]).to_numpy().ravel()
        assert row["outer"] == pytest.approx(azs.hdi(draws, prob=0.95))
        assert row["outer"][0] < np.quantile(draws, 0.025)  # skewed to the right
    assert legend(figure)[1:3] == ["50% HDI", "95% highest-density interval (HDI)"]


def test_the_line_is_the_mean_of_all_clusters_also_when_few_are_shown(
    random_table: ParameterTable, effects: xr.Dataset, population: dict[RowKey, Array]
) -> None:
    average = effects["effects"].sel(effect="slope").to_numpy().mean()
    for clusters in (None, ["school 3", "school 5"]):
        figure = caterpillar(random_table, effects, population, "slope", clusters=clusters)
        assert centre(figure) == pytest.approx(average)
        assert legend(figure) == [
            "posterior mean",
            "50% ETI",
            "95% equal-tailed interval (ETI)",
            "mean of all clusters",
        ]


def test_the_line_of_a_definition_is_its_population_mean(
    random_table: ParameterTable, effects: xr.Dataset, population: dict[RowKey, Array]
) -> None:
    figure = caterpillar(random_table, effects, population, "product")
    assert centre(figure) == 0.625
    assert legend(figure)[-1] == "population mean"


@pytest.mark.parametrize(
    ("sort", "clusters", "expected"),
    [
        (False, ["school 7", "school 2", "school 9"], ["school 7", "school 2", "school 9"]),
        (False, None, [f"school {i}" for i in range(12)]),
        (False, ["school 2", "school 2"], ["school 2"]),
        (False, "school 2", ["school 2"]),
    ],
)
def test_clusters_in_the_order_asked_for_from_the_top(
    random_table: ParameterTable,
    effects: xr.Dataset,
    population: dict[RowKey, Array],
    sort: bool,
    clusters: Any,
    expected: list[str],
) -> None:
    figure = caterpillar(random_table, effects, population, "y1", clusters=clusters, sort=sort)
    assert [row["name"] for row in read(figure)][::-1] == expected


def test_chosen_clusters_are_sorted(
    random_table: ParameterTable, effects: xr.Dataset, population: dict[RowKey, Array]
) -> None:
    chosen = ["school 7", "school 2", "school 9", "school 0"]
    drawn = read(caterpillar(random_table, effects, population, "y1", clusters=chosen))
    means = effects["effects"].sel(effect="y1").mean(("chain", "draw"))
    assert [row["name"] for row in drawn] == sorted(
        chosen, key=lambda c: float(means.sel(cluster_id=c))
    )


def test_identifiers_may_be_numbers(
    random_table: ParameterTable, population: dict[RowKey, Array]
) -> None:
    numbered = make_effects(12, [str(i) for i in range(100, 112)])
    figure = caterpillar(random_table, numbered, population, "y1", clusters=[104, 101], sort=False)
    assert [row["name"] for row in read(figure)] == ["101", "104"]


@pytest.mark.parametrize(
    ("name", "title", "unit"),
    [
        ("y1", "y1: random intercept", "intercept of the cluster"),
        ("slope", "slope: random slope (fw ~ x)", "slope of the cluster"),
        ("l2", "l2: random loading (fw =~ y2)", "loading of the cluster"),
        ("v1", "v1: random log SD (y1 ~~ y1)", "log SD of the cluster"),
        ("product", "product := slope*l2", "value of the cluster"),
        ("fb", "fb: factor at level between", "score of the cluster"),
    ],
)
def test_the_figure_says_what_it_shows(
    random_table: ParameterTable,
    effects: xr.Dataset,
    population: dict[RowKey, Array],
    name: str,
    title: str,
    unit: str,
) -> None:
    ax = only_axes(caterpillar(random_table, effects, population, name))
    assert ax.get_title(loc="left") == title
    assert ax.get_xlabel() == unit


@pytest.mark.parametrize(
    ("n", "named"), [(1, True), (10, True), (76, True), (77, False), (97, False), (500, False)]
)
def test_names_only_where_they_fit_and_lines_never_touch(
    random_table: ParameterTable, population: dict[RowKey, Array], n: int, named: bool
) -> None:
    figure = caterpillar(random_table, make_effects(n), population, "y1")
    ax = only_axes(figure)
    height = figure.get_figheight() * ax.get_position().height
    assert height <= 8
    assert len(read(figure)) == n
    assert bool(ax.get_yticklabels()) is named
    assert ax.get_ylabel() == ("" if named else f"{n} clusters, sorted by posterior mean")
    pitch = 72 * height / n
    if named:
        assert all(t.get_fontsize() <= pitch for t in ax.get_yticklabels())
        assert min(t.get_fontsize() for t in ax.get_yticklabels()) >= 6
    assert artist(ax, "inner").get_linewidths()[0] < pitch
    figure.draw_without_rendering()
    width, high = figure.bbox.size
    axes, below = ax.get_tightbbox(), figure.legends[0].get_window_extent()
    assert axes is not None
    assert not axes.overlaps(below)
    for box in (axes, below):
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y0 >= 0
        assert box.y1 <= high


def test_size_of_the_figure(
    random_table: ParameterTable, effects: xr.Dataset, population: dict[RowKey, Array]
) -> None:
    figure = caterpillar(random_table, effects, population, "y1", figsize=(7, 3))
    assert tuple(figure.get_size_inches()) == (7, 3)
    low = caterpillar(random_table, effects, population, "y1", figsize=(7, 2))
    assert only_axes(figure).get_yticklabels()
    assert not only_axes(low).get_yticklabels()
    some = caterpillar(
        random_table,
        effects,
        population,
        "y1",
        clusters=[f"school {i}" for i in range(11)],
        sort=False,
        figsize=(7, 2),
    )
    assert only_axes(some).get_ylabel() == "11 of 12 clusters"


@pytest.mark.parametrize(("ci", "thick"), [(0.5, False), (0.4, False), (0.51, True)])
def test_a_narrow_outer_interval_stands_alone(
    random_table: ParameterTable,
    effects: xr.Dataset,
    population: dict[RowKey, Array],
    ci: float,
    thick: bool,
) -> None:
    figure = caterpillar(random_table, effects, population, "y1", ci=ci)
    assert ("inner" in read(figure)[0]) is thick
    assert ("50% ETI" in legend(figure)) is thick


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"effect": "slpe"},
            "no cluster effect 'slpe'; did you mean 'slope'\\? This model has "
            "'y1', 'y2', 'y3', 'slope', 'l2', 'v1', 'product', 'fb'$",
        ),
        ({"effect": "fw"}, r"no cluster effect 'fw'.*This model has 'y1'"),
        ({"effect": "zzzzz"}, r"no cluster effect 'zzzzz'\. This model has 'y1'"),
        ({"clusters": ["school3"]}, "no cluster 'school3'; did you mean 'school 3'"),
        ({"clusters": [404]}, r"no cluster '404'\. Identifiers look like 'school 0'"),
        ({"clusters": []}, r"cluster_ids=\[\] leaves nothing to show"),
        ({"ci": 95}, "ci=95 is not a probability"),
        ({"ci_kind": "wald"}, "ci_kind='wald' is unknown; use 'eti' or 'hdi'"),
    ],
)
def test_bad_requests(
    random_table: ParameterTable,
    effects: xr.Dataset,
    population: dict[RowKey, Array],
    arguments: dict[str, Any],
    message: str,
) -> None:
    options = {"effect": "slope"} | arguments
    with pytest.raises(SpecificationError, match=message):
        caterpillar(random_table, effects, population, **options)


def test_pyplot_does_not_know_the_figure(
    random_table: ParameterTable, effects: xr.Dataset, population: dict[RowKey, Array]
) -> None:
    mine = plt.figure()
    try:
        figure = caterpillar(random_table, effects, population, "y1")
        assert plt.get_fignums() == [mine.number]
        assert figure._repr_png_()[:4] == b"\x89PNG"
    finally:
        plt.close(mine)
