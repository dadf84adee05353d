"""Posterior predictive checks as users call them."""

from __future__ import annotations

import tracemalloc
import warnings

import arviz_stats as azs
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.checking.predictive import at_mode
from bayes_msem.checking.predictive.at_mode import Refit
from bayes_msem.checking.predictive.complete_data import CompleteModel
from bayes_msem.checking.predictive.named_statistics import BUILT_IN
from bayes_msem.checking.predictive.replicate import Replicates
from benchmarks.planted import MODEL, planted
from tests.checking.laplace import laplace_fit
from tests.posterior.made_up import synthetic_fit
from tests.random.models import SAMPLED_CASES, build, make_data

Array = np.ndarray

LIKELIHOOD_RATIOS = ["chi_square_refit", "chi_square"]


def fitted(seed: int, **planted_misfit: float) -> bm.Fit:
    data = planted(seed, n_clusters=200, **planted_misfit)
    return laplace_fit(bm.Model(MODEL, data=data, cluster="cluster"), draws=100)


@pytest.fixture(scope="module")
def right() -> bm.Fit:
    return fitted(1)


def ppp_of(table: pd.DataFrame, level: str, statistic: str, variable: str = "") -> float:
    chosen = table[
        (table["level"] == level)
        & (table["statistic"] == statistic)
        & (table["variable"] == variable)
    ]
    assert len(chosen) == 1
    return float(chosen["ppp"].iloc[0])


def test_demo_twolevel_is_unremarkable(demo_fit: bm.Fit) -> None:
    """lavaan's maximum likelihood test has p = .62; the refitted statistic comes close to that."""
    table = demo_fit.ppp(LIKELIHOOD_RATIOS, draws=400)
    for statistic in LIKELIHOOD_RATIOS:
        assert 0.2 < ppp_of(table, "", statistic) < 0.9
        for level in ("within", "between"):  # distances: a small one is no misfit
            assert ppp_of(table, level, statistic) > 0.1  # between: .23, with an error of .02
    # four standard errors of 400 replicates, and the difference between the tests
    assert ppp_of(table, "", "chi_square_refit") == pytest.approx(0.62, abs=0.15)


def test_right_model_is_unremarkable(right: bm.Fit) -> None:
    table = right.ppp(draws=200)
    assert (table["ppp"] > 0.01).mean() > 0.9
    for level in ("", "within", "between"):
        assert 0.1 < ppp_of(table, level, "chi_square_refit") < 0.95


def test_misfit_within_shows_within() -> None:
    table = fitted(1, within=0.3).ppp(LIKELIHOOD_RATIOS, draws=200)
    for statistic in LIKELIHOOD_RATIOS:
        assert ppp_of(table, "within", statistic) < 0.05
        assert ppp_of(table, "between", statistic) > 0.1
    assert ppp_of(table, "", "chi_square_refit") < 0.05


def test_misfit_between_shows_between() -> None:
    table = fitted(2, between=0.9).ppp(LIKELIHOOD_RATIOS, draws=200)
    assert ppp_of(table, "between", "chi_square_refit") < 0.05
    assert ppp_of(table, "within", "chi_square_refit") > 0.1
    assert ppp_of(table, "", "chi_square_refit") < 0.05


def test_ignored_random_slopes_show_in_the_spread_of_slopes() -> None:
    table = fitted(1, slope_sd=0.3).ppp([*LIKELIHOOD_RATIOS, "slope_variance"], draws=200)
    assert ppp_of(table, "within", "slope_variance", "y1 ~ x") < 0.05
    assert ppp_of(table, "within", "chi_square_refit") > 0.05


def test_unequal_cluster_variances_show_in_the_spread_of_variances() -> None:
    table = fitted(1, log_sd=0.35).ppp(["variance_spread", "covariance_spread"], draws=200)
    for name in ("y1", "y2", "y3", "y4"):
        assert ppp_of(table, "within", "variance_spread", name) < 0.05
    assert ppp_of(table, "within", "covariance_spread") < 0.05


@pytest.mark.slow
def test_refitted_statistic_is_calibrated() -> None:
    """Uniform p-values over data sets from the model: Kolmogorov-Smirnov, mean, no pile-up.

    Every p-value has a Monte-Carlo error of up to .06, which hardly widens a uniform distribution.
    """
    levels: dict[str, list[float]] = {"within": [], "between": []}
    for seed in range(16):
        data = planted(100 + seed, n_clusters=50)
        fit = laplace_fit(bm.Model(MODEL, data=data, cluster="cluster"), draws=30)
        table = fit.ppp("chi_square_refit", draws=60)
        for level, values in levels.items():
            values.append(ppp_of(table, level, "chi_square_refit"))
    for values in levels.values():
        assert stats.kstest(values, "uniform").pvalue > 0.01
        assert np.mean(values) == pytest.approx(0.5, abs=3 / np.sqrt(12 * 16))
        assert np.mean(np.array(values) < 0.05) <= 0.2  # at most 3 of 16: p < .01 if uniform


def test_p_values_and_errors_by_hand(right: bm.Fit) -> None:
    check = right.ppc(["icc", "srmr"], draws=100)
    table = right.ppp(["icc", "srmr"], draws=100)
    assert check.observed.shape == check.replicated.shape == (2, 50, 6)
    larger = check.replicated > check.observed
    assert table["ppp"].to_numpy() == pytest.approx(larger.mean(axis=(0, 1)))
    for k, mcse in enumerate(table["mcse"]):
        p = (larger[..., k].sum() + 0.5) / 101
        n = min(100.0, float(azs.ess(larger[..., k].astype(float), method="mean")))
        assert mcse == pytest.approx(np.sqrt(p * (1 - p) / n))
    assert table["lower"].to_numpy() == pytest.approx(
        np.quantile(check.replicated.reshape(100, -1), 0.025, axis=0)
    )
    # data that are complete give the same ICCs in every draw, but not the same SRMR
    icc = (check.statistics["statistic"] == "icc").to_numpy()
    assert np.ptp(check.observed[..., icc], axis=(0, 1)).max() == 0
    assert np.ptp(check.observed[..., ~icc], axis=(0, 1)).min() > 0


def test_functions_of_users(right: bm.Fit) -> None:
    seen: list[pd.DataFrame] = []

    def top(frame: pd.DataFrame) -> pd.Series:
        seen.append(frame)
        return frame[["y1", "y2"]].max()

    def distance(frame: pd.DataFrame, values: dict) -> float:
        return frame["y1"].mean() - values["between", "y1", "~", "1"]

    table = right.ppp([top, distance, "icc"], draws=20)
    assert table["statistic"].tolist() == ["top", "top", "distance", *["icc"] * 4]
    assert table["variable"].tolist()[:3] == ["y1", "y2", ""]
    observed = right.model.observed
    data = seen[0]
    assert data["y1"].to_numpy() == pytest.approx(observed.y[:, 0])
    assert data["cluster"].to_numpy().tolist() == observed.cluster.tolist()
    assert table["observed"].iloc[0] == pytest.approx(observed.y[:, 0].max())
    draws = right.draws["between", "y1", "~", "1"].reshape(2, -1)
    expected = observed.y[:, 0].mean() - draws[:, np.linspace(0, 99, 10).round().astype(int)].mean()
    assert table["observed"].iloc[2] == pytest.approx(expected)
    named = right.ppp({"largest": top}, draws=4)
    assert named["statistic"].unique().tolist() == ["largest"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"statistics": "chi_sqare"}, "no statistic 'chi_sqare'.*did you mean 'chi_square'"),
        ({"clusters": "old"}, "clusters='old' is unknown"),
        ({"draws": 0}, "draws must be an integer, at least 1, got 0"),
        ({"draws": 10**6}, "use a number from 1 to 200"),
        ({"random_seed": -1}, "random_seed must be an integer of at least 0"),
        ({"random_seed": 0.5}, "random_seed must be an integer"),
        ({"keep": -1}, "keep must be an integer, at least 0, got -1"),
        ({"statistics": {"text": lambda frame: "much"}}, "'text' returned str"),
        ({"statistics": {"matrix": lambda frame: np.eye(2)}}, "shape \\(2, 2\\)"),
        ({"statistics": {"nothing": 3}}, "'nothing' is not a function"),
    ],
)
def test_errors_name_the_culprit(right: bm.Fit, arguments: dict, message: str) -> None:
    with pytest.raises(bm.SpecificationError, match=message):
        right.ppc(**({"draws": 4} | arguments))


def test_a_function_must_name_the_same_things_every_time(right: bm.Fit) -> None:
    count = iter(range(100))
    with pytest.raises(bm.SpecificationError, match="the same things every time"):
        right.ppc({"changing": lambda frame: {next(count): 1.0}}, draws=4)


def test_same_clusters_hardly_differ_in_their_means(right: bm.Fit) -> None:
    """Replicates of the same clusters have the clusters' means; new clusters' spread is larger."""
    same = right.ppc("cluster_mean_sd", clusters="same", draws=60)
    new = right.ppc("cluster_mean_sd", draws=60)
    assert (same.replicated.std(axis=(0, 1)) < 0.7 * new.replicated.std(axis=(0, 1))).all()
    assert same.kind == "same"


def test_kept_replicates_and_the_tree(right: bm.Fit) -> None:
    check = right.ppc("icc", draws=40, keep=10)
    tree = check.datatree
    n = right.model.observed.n_rows
    y = tree["posterior_predictive"].to_dataset().to_dataarray("outcome")
    assert y.transpose("chain", "draw", "row", "outcome").shape == (1, 10, n, 4)
    observed = (
        tree["observed_data"].to_dataset().to_dataarray("outcome").transpose("row", "outcome")
    )
    assert observed.to_numpy() == pytest.approx(right.model.observed.y)
    assert str(tree["discrepancies"]["discrepancy"].to_numpy()[0]) == "between icc y1"
    # replicates are centred where the data are
    means = y.mean(["chain", "row"])
    distance = np.abs(means.mean("draw") - observed.mean("row"))
    assert (distance < 5 * means.std("draw")).all()


def test_a_level_that_fits_anything_is_no_test() -> None:
    """One outcome: any mean, slope and variance within; between likewise but for w."""
    frame = planted(1, n_clusters=60)
    text = "level: within; y1 ~ x; level: between; y1 ~ w"
    fit = laplace_fit(bm.Model(text, data=frame, cluster="cluster"), draws=30)
    check = fit.ppc(["chi_square_refit", "chi_square"], draws=60)
    assert "chi_square_refit" not in set(check.statistics["statistic"])
    assert set(check.statistics["level"]) == {"", "within", "between"}
    assert sum("nothing to test" in note for note in check.notes) == 3
    # a slope fixed at a wrong value is a test of level within
    text = "level: within; y1 ~ 0*x; level: between; y1 ~ w"
    fit = laplace_fit(bm.Model(text, data=frame, cluster="cluster"), draws=30)
    table = fit.ppp("chi_square_refit", draws=60)
    assert ppp_of(table, "within", "chi_square_refit") < 0.05


def test_no_statistics_are_no_numbers(right: bm.Fit) -> None:
    check = right.ppc([], draws=4)
    assert check.observed.shape == (2, 2, 0)
    assert len(check.clusters) == 200


def test_refit_finds_the_mode_of_a_replicate(right: bm.Fit) -> None:
    """Against the slow, careful search on a model of its own.

    The fast one stops at gradients of .0001 posterior SD in each of some 20 coordinates.
    """
    posterior = right.datatree["posterior"].to_dataset()
    blueprint = right.model.blueprint
    replicates = Replicates(blueprint, posterior, draws=3, clusters="new", random_seed=3)
    refit = None
    for pair in replicates:
        refit = refit or Refit(CompleteModel(blueprint, pair.observed))
        structure = refit.structure(pair.replicate, pair.replicate_structure)
        own = right.model.on(pair.replicate.data).blueprint
        careful = Refit(CompleteModel(own, pair.replicate))
        assert careful.converged
        expected = careful.structure(pair.replicate, pair.replicate_structure)
        for plain in (s for s in BUILT_IN if s.name == "chi_square"):
            found = plain.compute(pair.replicate, structure)
            assert found == pytest.approx(plain.compute(pair.replicate, expected), abs=3e-4)
    assert refit.failures == 0


def test_the_data_are_refitted_once(right: bm.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """One mode per replicate, and one of the data, which do not change."""
    searches: list[int] = []
    search = at_mode._minimum

    def counted(objective: at_mode.Objective, n: int) -> tuple[Array, Array]:
        searches.append(n)
        return search(objective, n)

    monkeypatch.setattr(at_mode, "_minimum", counted)
    check = right.ppc(["chi_square_refit", "deviance"], draws=6)
    assert len(searches) == check.draws + 1


def test_a_search_that_does_not_descend_goes_on_in_small_steps() -> None:
    """Rosenbrock's valley, whose minimum is at (1, 1): the first step of length 2 leads uphill."""

    def valley(v: Array) -> tuple[float, Array]:
        across = v[1] - v[0] ** 2
        slope = np.array([-400.0 * v[0] * across - 2.0 * (1.0 - v[0]), 200.0 * across])
        return float(100.0 * across**2 + (1.0 - v[0]) ** 2), slope

    v, gradient = at_mode._minimum(valley, 2)
    np.testing.assert_allclose(v, [1.0, 1.0], atol=1e-3)
    assert np.abs(gradient).max() < 1e-3


def test_deviance_is_the_marginal_one(right: bm.Fit) -> None:
    check = right.ppc("deviance", draws=4)
    positions = np.linspace(0, 99, 2).round().astype(int)
    draws = {key: value[:, positions] for key, value in right.draws.items()}
    free = [row.key for row in right.model.table.rows if row.free]
    for chain in range(2):
        for draw in range(2):
            at = {key: float(draws[key][chain, draw]) for key in free}
            expected = -2 * right.model.log_likelihood(at)
            assert check.observed[chain, draw, 0] == pytest.approx(expected, rel=1e-10)


def test_missing_values_are_drawn_and_said_to_be() -> None:
    """Data with values removed at random give about the p-values of complete data."""
    frame = planted(1, n_clusters=200, within=0.4)
    holes = np.random.default_rng(1).random((len(frame), 4)) < 0.1
    holes[0] = True  # one row without any outcome
    frame[["y1", "y2", "y3", "y4"]] = frame[["y1", "y2", "y3", "y4"]].mask(holes)
    fit = laplace_fit(bm.Model(MODEL, data=frame, cluster="cluster"), draws=50)
    check = fit.ppc(["chi_square_refit", "icc"], draws=60)
    assert any("drawn from the model" in note for note in check.notes)
    assert any("1 row without any observed outcome" in note for note in check.notes)
    table = fit.ppp(["chi_square_refit", "icc"], draws=60)
    assert ppp_of(table, "within", "chi_square_refit") < 0.05
    assert ppp_of(table, "between", "chi_square_refit") > 0.1
    observed = check.observed[..., (check.statistics["statistic"] == "icc").to_numpy()]
    assert (observed.std(axis=(0, 1)) > 0).all()  # other values in every draw


def test_single_level_models() -> None:
    frame = planted(1, n_clusters=60)
    text = "f =~ y1 + y2 + y3 + y4\nf ~ x"
    fit = laplace_fit(bm.Model(text, data=frame), draws=50)
    table = fit.ppp(draws=50)
    assert set(table["level"]) == {"", "within"}
    assert set(table["statistic"]) == {
        "deviance", "chi_square_refit", "chi_square", "srmr", "skewness", "kurtosis",
    }  # fmt: skip
    with pytest.raises(bm.SpecificationError, match="no clusters"):
        fit.ppc(clusters="same")


@pytest.mark.parametrize("case", [SAMPLED_CASES[0], SAMPLED_CASES[5], SAMPLED_CASES[-1]], ids=str)
def test_models_with_sampled_effects(case) -> None:
    """Everything that can be computed is finite, the rest is named with its reason."""
    model = build(case, make_data(sizes=(12, 9, 15, 8, 11, 14, 10, 9) * 3))
    fit = synthetic_fit(model, draws=4)
    check = fit.ppc()
    assert np.isfinite(check.observed).all()
    assert np.isfinite(check.replicated).all()
    computed = set(check.statistics["statistic"])
    assert {"variance_spread", "outlying_cluster", "chi_square_refit"} <= computed
    assert any("chi_square is weak" in note for note in check.notes)
    assert "Here chi_square is weak" in fit.ppp("chi_square", draws=4).attrs["caption"]
    assert not any("weak" in note for note in fit.ppc("chi_square_refit", draws=4).notes)


def test_few_clusters_leave_out_what_they_cannot_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.SmallSampleWarning)
        model = bm.Model(MODEL, data=planted(1, n_clusters=6, sizes=(30,)), cluster="cluster")
    fit = laplace_fit(model, draws=20)
    table = fit.ppp(draws=20)
    between = set(table[table["level"] == "between"]["statistic"])
    assert "chi_square" not in between
    assert {"srmr", "icc", "outlying_cluster"} <= between
    assert "6 clusters" in table.caption
    assert ppp_of(table, "within", "chi_square_refit") > 0


def test_distances_of_clusters(right: bm.Fit) -> None:
    """A cluster whose mean is far out and one whose rows differ wildly are found."""
    frame = planted(1, n_clusters=100)
    names = ["y1", "y2", "y3", "y4"]
    far, wild = frame["cluster"] == 7, frame["cluster"] == 20
    frame.loc[far, names] += [4.0, -4.0, 4.0, -4.0]
    frame.loc[wild, names] *= 4
    fit = laplace_fit(bm.Model(MODEL, data=frame, cluster="cluster"), draws=50)
    check = fit.ppc(["outlying_cluster", "outlying_within"], draws=100)
    clusters = check.clusters
    assert clusters["distance_between"].idxmax() == 7
    assert clusters.loc[7, "ppp_between"] < 0.02
    assert clusters["distance_within"].div(clusters["n"]).idxmax() == 20
    assert clusters.loc[20, "ppp_within"] < 0.02
    assert clusters["n"].tolist() == frame.groupby("cluster").size().tolist()
    table = fit.ppp(["outlying_cluster", "outlying_within"], draws=100)
    assert (table["ppp"] < 0.05).all()
    assert (table["flag"] == "*").all()


def test_memory_is_that_of_a_few_data_sets() -> None:
    """Forty replicates take no more memory than ten, and less than thirty data sets."""
    frame = planted(1, n_clusters=200, sizes=(100,))
    fit = laplace_fit(bm.Model(MODEL, data=frame, cluster="cluster"), draws=20)
    fit.ppc(draws=2, keep=0)  # compiles
    tracemalloc.start()
    fit.ppc(draws=40, keep=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    data_set = 20_000 * 4 * 8
    few = peak
    assert few < 30 * data_set
    tracemalloc.start()
    fit.ppc(draws=10, keep=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert few < 1.1 * peak  # four times the draws, the same memory
