"""Predictions of outcomes that are not normal, from effects and parameters by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import bayes_msem as bm
from bayes_msem.errors import DataError, SpecificationError
from tests.posterior.outcome_fits import ITEMS, WORDS, Array, codes, cuts, effect, make_data, row

DATA = make_data()
CLUSTER = DATA["school"].map({s: k for k, s in enumerate(dict.fromkeys(DATA["school"]))}).to_numpy()
X = DATA["x"].to_numpy()


def predictor(fit: bm.Fit, item: str, loading: Array) -> tuple[Array, Array]:
    """Mean (S, N) and variance (S, 1) of a linear predictor given the cluster's effects."""
    mean = effect(fit, item)[:, CLUSTER] + loading[:, None] * effect(fit, "slope")[:, CLUSTER] * X
    return mean, (loading**2 * row(fit, "fw ~~ fw"))[:, None]


def shares(fit: bm.Fit, item: str) -> Array:
    """Probabilities of the four categories, (S, N, 4)."""
    mean, variance = predictor(fit, item, row(fit, f"fw =~ {item}"))
    z = (cuts(fit, item)[:, None, :] - mean[..., None]) / np.sqrt(1 + variance)[..., None]
    below = np.concatenate([np.zeros((*mean.shape, 1)), stats.norm.cdf(z)], axis=-1)
    return np.diff(np.concatenate([below, np.ones((*mean.shape, 1))], axis=-1), axis=-1)


def test_probabilities_in_known_clusters(outcome_fit: bm.Fit) -> None:
    table = outcome_fit.predict(kind="probability")
    assert table.columns.tolist()[:3] == ["outcome", "category", "cluster"]
    first = table[table["outcome"] == "y1"]
    assert list(dict.fromkeys(first["category"])) == WORDS
    for item in ITEMS:
        expected = shares(outcome_fit, item).mean(axis=0).T
        mine = table.loc[table["outcome"] == item, "mean"].to_numpy().reshape(4, -1)
        assert np.allclose(mine, expected, atol=1e-9)


def test_probabilities_agree_with_the_data(outcome_fit: bm.Fit) -> None:
    """Thresholds are free, so that expected shares are those observed."""
    table = outcome_fit.predict(kind="probability")
    for item in ITEMS:
        y = codes(DATA, item)
        observed = np.bincount(y[~np.isnan(y)].astype(int), minlength=4) / (~np.isnan(y)).sum()
        mine = table.loc[table["outcome"] == item, "mean"].to_numpy().reshape(4, -1)
        assert np.allclose(mine.mean(axis=1), observed, atol=0.03)
    means = outcome_fit.predict().query("outcome == 'c'")["mean"]
    assert means.mean() == pytest.approx(DATA["c"].mean(), rel=0.06)


def test_means_in_known_clusters(outcome_fit: bm.Fit) -> None:
    table = outcome_fit.predict()
    assert table["outcome"].unique().tolist() == [*ITEMS, "c"]
    expected = (shares(outcome_fit, "y2") @ np.arange(4)).mean(axis=0)
    assert np.allclose(table.loc[table["outcome"] == "y2", "mean"], expected, atol=1e-9)
    mean, variance = predictor(outcome_fit, "c", row(outcome_fit, "c ~ fw"))
    rate = DATA["time"].to_numpy() * np.exp(mean + variance / 2)
    assert np.allclose(table.loc[table["outcome"] == "c", "mean"], rate.mean(axis=0))


def test_draws_of_probabilities(outcome_fit: bm.Fit) -> None:
    draws = outcome_fit.predict(kind="probability", return_draws=True)
    assert draws.dims == ("chain", "draw", "obs_id", "category")
    of_item = draws[..., (draws["outcome"] == "y1").to_numpy()]
    assert of_item["category"].values.tolist() == WORDS
    flat = of_item.to_numpy().reshape(300, -1, 4)
    assert np.allclose(flat, shares(outcome_fit, "y1"), atol=1e-9)


def test_outcomes_of_single_rows(outcome_fit: bm.Fit) -> None:
    """Categories are drawn with their probabilities, and outcomes of a row share its factor."""
    draws = outcome_fit.predict(kind="outcome", return_draws=True)
    y = {name: draws.sel(outcome=name).to_numpy().reshape(300, -1) for name in (*ITEMS, "c")}
    assert set(np.unique(y["y1"])) == {0.0, 1.0, 2.0, 3.0}
    p = shares(outcome_fit, "y3")
    for category in range(4):
        error = (y["y3"] == category).mean() - p[..., category].mean()
        assert abs(error) < 4 * 0.5 / np.sqrt(y["y3"].size)
    residual = {i: y[i] - shares(outcome_fit, i) @ np.arange(4) for i in ("y1", "y2")}
    both = np.mean(residual["y1"] * residual["y2"])
    assert both == pytest.approx(expected_covariance(outcome_fit), abs=0.025)


def expected_covariance(fit: bm.Fit) -> float:
    """Mean covariance of the codes of y1 and y2 given effects, in some draws and rows."""
    rng, found = np.random.default_rng(2), []
    rows = rng.integers(len(DATA), size=60)
    for s in range(0, 300, 6):
        noise = np.sqrt(row(fit, "fw ~~ fw")[s]) * rng.standard_normal(400)
        made = []
        for item in ("y1", "y2"):
            loading = row(fit, f"fw =~ {item}")
            mean, _ = predictor(fit, item, loading)
            eta = mean[s, rows][:, None] + loading[s] * noise
            made.append(stats.norm.cdf(eta[..., None] - cuts(fit, item)[s]).sum(axis=-1))
        product = made[0] * made[1]
        found.append((product.mean(axis=1) - made[0].mean(axis=1) * made[1].mean(axis=1)).mean())
    return float(np.mean(found))


def test_new_clusters(outcome_fit: bm.Fit) -> None:
    """Effects are drawn from the population: y* is normal with the variance of both levels."""
    fit = outcome_fit
    new = DATA.head(2)[["x", "w", "time"]].assign(x=[0.5, -1.0], w=[1.0, -0.5])
    table = fit.predict(new, new_clusters=True, kind="probability")
    for i, (x, w) in enumerate(zip(new["x"], new["w"], strict=True)):
        lw, lb = row(fit, "fw =~ y3"), row(fit, "fb =~ y3")
        slope = row(fit, "slope ~ 1") + row(fit, "slope ~ w") * w
        mean = lb * row(fit, "fb ~ w") * w + lw * slope * x
        variance = 1 + lw**2 * row(fit, "fw ~~ fw") + row(fit, "between: y3 ~~ y3")
        variance = (
            variance + lb**2 * row(fit, "fb ~~ fb") + (lw * x) ** 2 * row(fit, "slope ~~ slope")
        )
        variance = variance + 2 * lb * lw * x * row(fit, "fb ~~ slope")
        expected = stats.norm.cdf((cuts(fit, "y3")[:, 0] - mean) / np.sqrt(variance)).mean()
        mine = table[(table["outcome"] == "y3") & (table["category"] == 0)].iloc[i]
        assert mine["mean"] == pytest.approx(expected, abs=4 * mine["sd"] / np.sqrt(300))


def test_logits_are_averaged_over_the_factor(mixed_fit: bm.Fit) -> None:
    fit, i, s = mixed_fit, 5, 3
    draws = fit.predict(kind="probability", return_draws=True)
    of_item = draws[..., (draws["outcome"] == "y2").to_numpy()].to_numpy().reshape(30, -1, 4)
    loading = row(fit, "f =~ y2")[s]
    mean = effect(fit, "y2")[s, CLUSTER[i]] + loading * effect(fit, "s")[s, CLUSTER[i]] * X[i]
    sd = loading * np.sqrt(
        row(fit, "f ~~ f")[s] + row(fit, "f ~ g")[s] ** 2 * row(fit, "g ~~ g")[s]
    )

    def integrand(z: float) -> float:
        below = 1 / (1 + np.exp(-(cuts(fit, "y2")[s, 0] - mean - sd * z)))
        return float(below * stats.norm.pdf(z))

    expected = integrate.quad(integrand, -9, 9)[0]
    assert of_item[s, i, 0] == pytest.approx(expected, abs=1e-6)


def test_new_rows_need_exposures(outcome_fit: bm.Fit) -> None:
    new = DATA.head(3)
    with pytest.raises(DataError, match="exposures 'time'"):
        outcome_fit.predict(new.drop(columns="time"))
    twice = outcome_fit.predict(new.assign(time=2 * new["time"])).query("outcome == 'c'")
    once = outcome_fit.predict(new).query("outcome == 'c'")
    assert np.allclose(twice["mean"], 2 * once["mean"])


def test_probabilities_need_categories() -> None:
    from tests.posterior.made_up import synthetic_fit

    model = bm.Model("u1 ~ x", data=DATA)
    with pytest.raises(SpecificationError, match="this model has none"):
        synthetic_fit(model, draws=3).predict(kind="probability")


def test_category_shares_by_cluster(outcome_fit: bm.Fit) -> None:
    figure = outcome_fit.plot_category_shares("y2")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["0", "1", "2", "3"]
    p, y = shares(outcome_fit, "y2"), codes(DATA, "y2")
    seen = ~np.isnan(y)
    of = [seen & (CLUSTER == j) for j in range(25)]
    expected = np.array([p[:, rows].mean(axis=(0, 1)) for rows in of])
    observed = np.array([np.bincount(y[rows].astype(int), minlength=4) / rows.sum() for rows in of])
    order = np.argsort(expected @ np.arange(4))
    for k, ax in enumerate(figure.axes):
        lines = {line.get_gid(): line.get_ydata() for line in ax.get_lines()}
        assert np.allclose(lines["expected"], expected[order, k], atol=1e-9)
        assert np.allclose(lines["observed"], observed[order, k])
    one = outcome_fit.plot_category_shares("y1", cluster_ids=["s03"])
    assert [t.get_text() for t in one.axes[0].get_xticklabels()] == ["s03"]
    with pytest.raises(SpecificationError, match="'c' is no ordered outcome"):
        outcome_fit.plot_category_shares("c")


def test_item_characteristic_curves(outcome_fit: bm.Fit) -> None:
    """In an average cluster: covariates of both levels at their means."""
    fit, w = outcome_fit, DATA.groupby("school", sort=False)["w"].first().mean()
    figure = fit.plot_item_curves("y1")
    lines = {line.get_gid(): line for line in figure.axes[0].get_lines()}
    assert list(lines) == WORDS
    grid = lines["never"].get_xdata()
    slope = row(fit, "slope ~ 1") + row(fit, "slope ~ w") * w
    f = row(fit, "fw ~~ fw") + slope**2 * X.var()
    assert grid[-1] == pytest.approx(3 * np.sqrt(f.mean()))
    middle = slope * X.mean() + row(fit, "fb ~ w") * w  # loadings are 1
    z = cuts(fit, "y1")[:, None, :] - (middle[:, None] + grid)[..., None]
    below = stats.norm.cdf(z).mean(axis=0)
    assert np.allclose(lines["never"].get_ydata(), below[:, 0])
    assert np.allclose(lines["often"].get_ydata(), below[:, 2] - below[:, 1])
    with pytest.raises(SpecificationError, match=r"'fb' does not point at 'y1'.*'fw'"):
        fit.plot_item_curves("y1", "fb")
