"""Predictive checks of categories and counts: what they find, leave out, and refuse."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

import bayes_msem as bm
from bayes_msem.checking.predictive.p_values import p_values
from bayes_msem.checking.predictive.predictive_check import predictive_check
from bayes_msem.checking.predictive.replicate import Replicates
from bayes_msem.errors import NotSupportedError
from tests.checking.outcome_fits import ITEM_VALUES, LABELS


def test_parameters_are_recovered(items: bm.Fit, counts: bm.Fit) -> None:
    for key, value in ITEM_VALUES.items():
        draws = items.draws[key]
        assert abs(draws.mean() - value) < 4 * draws.std()
    slope = counts.draws["within: c ~ x"]
    assert abs(slope.mean() - 0.3) < 6 * slope.std()  # counts vary more than the model says
    assert slope.std() < 0.1


def test_shares_are_those_of_the_data(items: bm.Fit) -> None:
    table = items.ppp("category_share", draws=50).set_index("variable")
    codes = items.model.observed.y[:, 1]
    known = codes[~np.isnan(codes)]
    assert len(known) == 197
    for code, label in enumerate(LABELS):
        assert table.loc[f"y2 = {label}", "observed"] == pytest.approx((known == code).mean())
    assert (table["ppp"].between(0.02, 0.98)).all()
    assert table.groupby(table.index.str[:2])["replicated"].sum().to_numpy() == pytest.approx(1)


def test_a_fitting_model_is_not_flagged(items: bm.Fit) -> None:
    table = items.ppp(draws=100)
    assert set(table["statistic"]) == {
        "category_share",
        "pair_table",
        "share_spread",
        "slope_spread",
    }
    assert table["ppp"].between(0.01, 0.99).all()


def changed(fit: bm.Fit, y: NDArray[np.float64], statistic: str) -> pd.DataFrame:
    """Compare other data with replicates from the draws of a fit."""
    y.setflags(write=False)
    blueprint = fit.model.blueprint.on(replace(fit.model.observed, y=y))
    posterior = fit.datatree["posterior"].to_dataset()
    replicates = Replicates(blueprint, posterior, draws=100, clusters="new", random_seed=1)
    return pd.DataFrame(p_values(predictive_check(replicates, statistic, 0)))


def test_a_pair_that_shares_more_is_found(items: bm.Fit) -> None:
    """y2 repeats y1 in half of the rows: shares stay, the table of the pair does not."""
    y = items.model.observed.y.copy()
    y[::2, 1] = y[::2, 0]
    table = changed(items, y, "pair_table").set_index("variable")
    assert table.loc["y1 x y2", "ppp"] < 0.02
    assert table.loc["y1 x y2", "flag"] == "*"
    assert table.loc["y1 x y3", "ppp"] > 0.05


def test_clusters_that_do_not_differ_are_found(items: bm.Fit) -> None:
    y = items.model.observed.y.copy()
    # every cluster gets the same answers, as far as possible
    for k in range(3):
        y[:, k] = np.sort(np.nan_to_num(y[:, k])).reshape(5, 40).T.reshape(-1)
    table = changed(items, y, "share_spread")
    assert (table["ppp"] > 0.98).all()


def test_slopes_that_differ_are_found(items: bm.Fit) -> None:
    """In every second cluster the covariate works the other way round."""
    observed = items.model.observed
    assert observed.cluster is not None
    rank = np.empty(200)
    for j in range(40):
        rows = np.flatnonzero(observed.cluster == j)
        order = rows[np.argsort(observed.x[rows, 0])]
        rank[order] = np.arange(5) if j % 2 else np.arange(5)[::-1]
    y = np.repeat((rank[:, None] > 1) + (rank[:, None] > 3), 3, axis=1).astype(np.float64)
    table = changed(items, y, "slope_spread")
    assert (table["ppp"] < 0.02).all()


def test_overdispersion_is_found(counts: bm.Fit) -> None:
    table = counts.ppp(draws=100).set_index("statistic")
    assert set(table.index) == {
        "zero_share",
        "count_mean",
        "count_dispersion",
        "count_spread",
        "slope_spread",
    }
    y = counts.model.observed.y[:, 0]
    assert table.loc["count_dispersion", "observed"] == pytest.approx(y.var() / y.mean())
    assert table.loc["zero_share", "observed"] == pytest.approx((y == 0).mean())
    assert table.loc["count_dispersion", "ppp"] < 0.01
    assert table.loc["zero_share", "ppp"] < 0.01
    assert 0.1 < table.loc["count_mean", "ppp"] < 0.9
    verdict = counts.check(draws=100, loo=False)
    assert "negbinomial" in str(verdict)


def test_known_clusters_look_like_their_data(items: bm.Fit) -> None:
    """Cluster means of replicates follow those of the data if clusters are the same."""
    means = items.model.observed.y[:, 0].reshape(40, 5).mean(axis=1)

    def correlation(*, new: bool) -> float:
        check = items.ppc("category_share", draws=60, keep=60, new_clusters=new)
        kept = check.kept.sel(outcome="y1").to_numpy().reshape(-1, 40, 5).mean(axis=(0, 2))
        return float(np.corrcoef(kept, means)[0, 1])

    assert correlation(new=False) > 0.75
    assert correlation(new=True) < 0.7  # x alone


def test_missing_cells_are_missing_in_replicates(items: bm.Fit) -> None:
    check = items.ppc(draws=10, keep=10)
    gone = np.isnan(check.kept.to_numpy()[0])
    assert (gone == np.isnan(items.model.observed.y)).all()
    assert any("missing in the replicates too" in note for note in check.notes)
    assert set(np.unique(check.kept.to_numpy()[~np.isnan(check.kept.to_numpy())])) == {0, 1, 2}


def test_functions_get_labels(items: bm.Fit) -> None:
    def share(frame: pd.DataFrame) -> float:
        return float((frame["y1"] == "no").mean())

    row = items.ppp({"no": share}, draws=20).iloc[0]
    assert row["observed"] == pytest.approx((items.model.observed.y[:, 0] == 0).mean())


@pytest.mark.parametrize("name", ["icc", "chi_square", "srmr", "deviance", "skewness"])
def test_statistics_of_normal_theory_are_refused(items: bm.Fit, name: str) -> None:
    with pytest.raises(NotSupportedError, match=f"'{name}' takes all outcomes.*category_share"):
        items.ppp(name, draws=10)


def test_what_needs_normal_outcomes_is_refused(items: bm.Fit) -> None:
    model = items.model
    with pytest.raises(NotSupportedError, match=r"Fit indices would take.*fit.ppp\(\)"):
        items.indices()
    with pytest.raises(NotSupportedError, match=r"fit.plot_ppc\('density'\).*kind='statistics'"):
        items.plot_ppc()
    with pytest.raises(NotSupportedError, match=r"fit.plot_ppc\('clusters'\)"):
        items.plot_ppc("clusters")
    with pytest.raises(NotSupportedError, match=r"fit.plot_ppc_clusters\(\).*share_spread"):
        items.plot_ppc_clusters("y1")
    with pytest.raises(NotSupportedError, match=r"model.mode\(\)"):
        model.mode()


def test_check_names_what_it_leaves_out(items: bm.Fit) -> None:
    verdict = items.check(draws=40)
    text = " ".join(str(verdict).split())
    assert "The likelihood ratio of each level is left out: it takes outcomes to be normal" in text
    assert "Prior sensitivity is left out" in text
    assert verdict.prior_sensitivity is None
    assert verdict.loo.unit == "observation"


def test_prior_predictive(items: bm.Fit) -> None:
    """Fractions are Beta(1, 2); shares are those of the drawn parameters, in closed form."""
    model = items.model
    tree = model.prior_predictive(400, random_seed=1)
    assert sorted(tree.children) == ["observed_data", "prior", "prior_predictive"]
    prior = tree["prior"].to_dataset().isel(chain=0)
    fraction = prior["between_category_fraction"].sel(between_category_fraction_row="y1 | t1")
    assert float(fraction.mean()) == pytest.approx(1 / 3, abs=0.04)
    assert float(fraction.var()) == pytest.approx(1 / 18, abs=0.012)
    cut = model.blueprint.parameters.thresholds.scale[0] * norm.ppf(fraction)
    slope = prior["within_regression"].to_numpy()
    sds = (prior["within_sd"], prior["between_sd"].sel(between_sd_row="y1 ~~ y1"))
    total = 1 + sum(sd.to_numpy().reshape(400) ** 2 for sd in sds)
    x = model.observed.x[:, 0]
    expected = norm.cdf((cut[:, None] - slope * x) / np.sqrt(total)[:, None]).mean(axis=1)
    y = tree["prior_predictive"]["y"].to_numpy()[0, :, :, 0]
    assert y.shape == (400, 200)
    difference = (y == 0).mean(axis=1) - expected
    assert abs(difference.mean()) < 4 * difference.std() / 20
    assert np.corrcoef((y == 0).mean(axis=1), expected)[0, 1] > 0.9
