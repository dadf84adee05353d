"""Cluster-level outcomes that are not normal, from effects and parameters by hand."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

import bayes_msem as bm

Array = NDArray[np.float64]

TEXT = """
level: within
    v + u ~ x
level: between
    fb =~ v + u
    v ~~ u
    zo ~ l*fb + w + za
    zc ~ fb + w
    za ~ w
"""
WORDS = ["low", "middle", "high"]
J, SIZE = 24, 5


def make_data(seed: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(J), SIZE)
    w, fb = rng.normal(size=J), rng.normal(size=J)
    za = 0.5 * w + rng.normal(size=J)
    area = rng.uniform(0.5, 2.0, J)
    of_clusters = pd.DataFrame({"w": w, "za": za, "area": area})
    y_star = fb + 0.4 * w + 0.5 * za + rng.normal(size=J)
    codes = np.digitize(y_star, [-0.6, 0.6])
    codes[2] = -1  # missing
    of_clusters["zo"] = pd.Categorical.from_codes(codes, WORDS, ordered=True)
    of_clusters["zc"] = rng.poisson(area * np.exp(0.8 + 0.4 * fb)).astype(float)
    of_clusters.loc[5, "zc"] = np.nan
    frame = of_clusters.iloc[g].reset_index(drop=True).assign(g=g, x=rng.normal(size=J * SIZE))
    for name in ("v", "u"):
        own = 0.3 * rng.normal(size=J)
        frame[name] = (fb + own)[g] + 0.3 * frame["x"] + rng.normal(size=J * SIZE)
    return frame.sample(frac=1.0, random_state=2).reset_index(drop=True)


DATA = make_data()
BY_CLUSTER = DATA.drop_duplicates("g").set_index("g")  # in the order of the fit's clusters
OPTIONS = {
    "cluster": "g",
    "families": {"zo": "ordinal(probit)", "zc": "poisson"},
    "exposure": {"zc": "area"},
}


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few draws of few clusters
        model = bm.Model(TEXT, DATA, **OPTIONS)
        return model.fit(draws=200, tune=200, chains=2, random_seed=1, progress=False)


def row(fit: bm.Fit, text: str) -> Array:
    return fit.draws[text].ravel()


def factor(fit: bm.Fit) -> Array:
    """Draws of fb, (S, J)."""
    found: Array = fit.scores("between", return_draws=True).sel(factor="fb").to_numpy()
    return found.reshape(-1, J)


def shares(fit: bm.Fit, eta: Array, variance: Array | float = 0.0) -> Array:
    """Probabilities (S, J, 3) of zo at linear predictors (S, J)."""
    sd = np.sqrt(1.0 + np.broadcast_to(variance, eta.shape))
    cuts = [row(fit, f"between: zo | t{k}")[:, None] for k in (1, 2)]
    below = [np.zeros_like(eta), *(stats.norm.cdf((c - eta) / sd) for c in cuts), np.ones_like(eta)]
    return np.diff(np.stack(below, axis=-1), axis=-1)


def predictor(fit: bm.Fit, za: Array) -> Array:
    """Linear predictor (S, J) of zo, with za known or expected."""
    eta = row(fit, "zo ~ fb")[:, None] * factor(fit) + row(fit, "zo ~ za")[:, None] * za
    return eta + row(fit, "zo ~ w")[:, None] * BY_CLUSTER["w"].to_numpy()


def expected_za(fit: bm.Fit) -> Array:
    return row(fit, "za ~ 1")[:, None] + row(fit, "za ~ w")[:, None] * BY_CLUSTER["w"].to_numpy()


def test_plan_says_what_is_sampled(fit: bm.Fit) -> None:
    plan = fit.model.plan
    assert plan.name == "augmented"
    assert plan.sampled == ("random intercepts of v, u", "between factor fb")
    assert "zo: ordinal(probit), zc: poisson" in plan.reason
    assert "integrated exactly: nothing\n" in str(plan)


def test_probabilities_of_categories(fit: bm.Fit) -> None:
    """Of known clusters: za is predicted by its mean given w, and its residual averaged over."""
    draws = fit.predict(kind="probability", return_draws=True)
    assert draws["category"].values.tolist() == WORDS
    first = [int(np.flatnonzero(DATA["g"] == g)[0]) for g in BY_CLUSTER.index]
    found = draws.isel(obs_id=first).to_numpy().reshape(-1, J, 3)
    variance = (row(fit, "zo ~ za") ** 2 * row(fit, "za ~~ za"))[:, None]
    expected = shares(fit, predictor(fit, expected_za(fit)), variance)
    np.testing.assert_allclose(found, expected, atol=1e-7)  # of the quadrature
    table = fit.predict(kind="probability")
    assert list(dict.fromkeys(table["outcome"])) == ["zo"]


def test_expected_outcomes(fit: bm.Fit) -> None:
    table = fit.predict()
    assert list(dict.fromkeys(table["outcome"])) == list(fit.model.observed.y_names) + list(
        fit.model.observed.z_names
    )
    w, area = BY_CLUSTER["w"].to_numpy(), BY_CLUSTER["area"].to_numpy()
    eta = row(fit, "zc ~ 1")[:, None] + row(fit, "zc ~ w")[:, None] * w
    rate = area * np.exp(eta + row(fit, "zc ~ fb")[:, None] * factor(fit))
    mine = table[table["outcome"] == "zc"].groupby("cluster", sort=False)["mean"].first()
    np.testing.assert_allclose(mine, rate.mean(axis=0), rtol=1e-9)
    variance = (row(fit, "zo ~ za") ** 2 * row(fit, "za ~~ za"))[:, None]
    codes = shares(fit, predictor(fit, expected_za(fit)), variance) @ np.arange(3)
    mine = table[table["outcome"] == "zo"].groupby("cluster", sort=False)["mean"].first()
    np.testing.assert_allclose(mine, codes.mean(axis=0), atol=1e-7)


def test_drawn_outcomes_follow_their_probabilities(fit: bm.Fit) -> None:
    """Means over 400 draws and 24 clusters: standard errors below .01 and .02."""
    draws = fit.predict(kind="outcome", return_draws=True)
    zo, zc = (draws.sel(outcome=name).to_numpy().reshape(-1, len(DATA)) for name in ("zo", "zc"))
    same = zo[:, DATA["g"] == 3]
    assert (same == same[:, :1]).all()  # one value per cluster
    variance = (row(fit, "zo ~ za") ** 2 * row(fit, "za ~~ za"))[:, None]
    expected = shares(fit, predictor(fit, expected_za(fit)), variance).mean(axis=(0, 1))
    found = [(zo == k).mean() for k in range(3)]
    np.testing.assert_allclose(found, expected, atol=0.03)
    mean = fit.predict().query("outcome == 'zc'")["mean"].mean()
    assert zc.mean() == pytest.approx(mean, rel=0.05)


def test_new_clusters_have_exposures_of_their_own(fit: bm.Fit) -> None:
    new = pd.DataFrame({"x": [0.0] * 4, "w": [0.5] * 4, "g": ["a", "a", "b", "b"]})
    with pytest.raises(bm.DataError, match="lacks the exposures"):
        fit.predict(new, new_clusters=True)
    with pytest.raises(bm.DataError, match=r"'area' belongs to level 2 but varies .* 'a'"):
        fit.predict(new.assign(area=[1.0, 2.0, 1.0, 1.0]), new_clusters=True)
    table = fit.predict(new.assign(area=[1.0, 1.0, 1e3, 1e3]), new_clusters=True)
    counts = table[table["outcome"] == "zc"]["mean"].to_numpy()
    assert counts[2] == counts[3]
    assert counts[2] / counts[0] > 100


def test_missing_values_are_drawn_given_everything_else(fit: bm.Fit) -> None:
    """Of zo given the observed za: shares over 400 data sets, standard error .025."""
    frames = fit.impute(400)
    cells = [frame.loc[frame["g"] == 2, "zo"] for frame in frames]
    assert all(cell.nunique() == 1 for cell in cells)
    drawn = np.array([WORDS.index(cell.iloc[0]) for cell in cells])
    every = shares(fit, predictor(fit, BY_CLUSTER["za"].to_numpy()))
    expected = every[:, BY_CLUSTER.index.get_loc(2)].mean(axis=0)
    np.testing.assert_allclose([(drawn == k).mean() for k in range(3)], expected, atol=0.08)
    known = frames[0].drop_duplicates("g").set_index("g")["zc"]
    assert known.drop(5).equals(BY_CLUSTER["zc"].drop(5))
    assert np.isfinite(known[5])


def test_solutions_are_those_of_latent_responses(fit: bm.Fit) -> None:
    w, za = BY_CLUSTER["w"].to_numpy(), "za ~~ za"
    loading, psi = row(fit, "zo ~ fb"), row(fit, "fb ~~ fb")
    slope = row(fit, "zo ~ w") + row(fit, "zo ~ za") * row(fit, "za ~ w")
    explained = loading**2 * psi + row(fit, "zo ~ za") ** 2 * row(fit, za) + slope**2 * w.var()
    table = fit.r2().set_index(["level", "variable"])
    mean = (explained / (1 + explained)).mean()
    assert table.loc[("between", "zo"), "mean"] == pytest.approx(mean, rel=1e-9)
    solution = fit.standardized().set_index(["lhs", "op", "rhs"])
    cut = row(fit, "between: zo | t1") / np.sqrt(1 + explained)
    assert solution.loc[("zo", "|", "t1"), "mean"].item() == pytest.approx(cut.mean(), rel=1e-9)
    total = row(fit, "zc ~ fb") ** 2 * psi + row(fit, "zc ~ w") ** 2 * w.var()
    level = row(fit, "zc ~ 1") + row(fit, "zc ~ w") * w.mean()
    rate = np.nanmean(BY_CLUSTER["area"]) * np.exp(level + total / 2)
    mean = (total / (total + np.log1p(1 / rate))).mean()
    # exposures of clusters whose count is missing are not used
    assert table.loc[("between", "zc"), "mean"] == pytest.approx(mean, rel=0.02)
    implied = fit.implied_covariance("between").sel(outcome="zo", outcome_2="v")
    given_w = implied.to_numpy().ravel()
    np.testing.assert_allclose(given_w, loading * psi, rtol=1e-8)


def test_factor_is_listed_once(fit: bm.Fit) -> None:
    table = fit.cluster_effects()
    assert (table["effect"] == "fb").sum() == J
    assert list(dict.fromkeys(table["effect"])) == ["v", "u", "fb"]
    own = fit.cluster_draws["effects"].sel(effect="fb").to_numpy().reshape(-1, J)
    np.testing.assert_allclose(factor(fit), own, atol=1e-8)


def test_checks_of_clusters(fit: bm.Fit) -> None:
    check = fit.ppp(draws=20)
    shares = check[check["statistic"] == "category_share"].set_index("variable")["observed"]
    seen = BY_CLUSTER["zo"].dropna()
    assert shares["zo = low"] == pytest.approx((seen == "low").mean(), abs=1e-9)
    counts = check[check["statistic"] == "count_mean"].set_index("variable")["observed"]
    assert counts["zc"] == pytest.approx(BY_CLUSTER["zc"].mean(), abs=1e-9)
    with pytest.raises(bm.SpecificationError):  # nothing varies over replicates
        fit.ppp(draws=20, new_clusters=False, statistics=["category_share"])


def test_files_keep_everything(fit: bm.Fit, tmp_path: Path) -> None:
    fit.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(again.predict(), fit.predict())


def test_simulated_shares_are_those_of_the_model() -> None:
    """4,000 clusters: standard errors of shares .008, of a mean count near 3 about .04."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = bm.Model(TEXT, DATA, **OPTIONS)
    values = {
        "within: v ~ x": 0.3, "within: u ~ x": 0.3, "within: v ~~ v": 1.0, "within: u ~~ u": 1.0,
        "within: v ~~ u": 0.0, "fb =~ u": 1.0, "fb ~~ fb": 0.8, "between: v ~~ v": 0.1,
        "between: u ~~ u": 0.1, "between: v ~~ u": 0.0, "zo ~ fb": 0.9, "zo ~ w": 0.4,
        "zo ~ za": 0.5, "zc ~ fb": 0.4, "zc ~ w": 0.2, "za ~ w": 0.5, "za ~~ za": 1.2,
        "za ~ 1": 0.0, "zc ~ 1": 0.8, "v ~ 1": 0.0, "u ~ 1": 0.0, "zo | t1": -0.6, "zo | t2": 0.7,
    }  # fmt: skip
    values = {k: v for k, v in values.items() if not k.endswith("v ~~ u") or v}
    values |= {"between: v ~~ u": 0.01, "within: v ~~ u": 0.01}
    frame = model.simulate(values, clusters=4000, sizes=2, random_seed=3)
    one = frame.drop_duplicates("g")
    w, area = one["w"].to_numpy(), one["area"].to_numpy()
    mean, sd = (0.4 + 0.25) * w, np.sqrt(1 + 0.81 * 0.8 + 0.25 * 1.2)
    expected = stats.norm.cdf((-0.6 - mean) / sd).mean()
    assert (one["zo"] == "low").mean() == pytest.approx(expected, abs=0.03)
    rate = area * np.exp(0.8 + 0.2 * w + 0.16 * 0.8 / 2)
    assert one["zc"].mean() == pytest.approx(rate.mean(), rel=0.05)


def binomial_data() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(12), 3)
    frame = pd.DataFrame({"g": g, "v": rng.normal(size=36), "y": rng.integers(0, 2, 36)})
    frame["zo"], frame["zc"] = (np.arange(12) % 3)[g], rng.poisson(2.0, 12)[g]
    frame.loc[g == 4, "zo"] = np.nan
    return frame


@pytest.mark.parametrize("outcome", ["v", "y"])
def test_marginal_likelihood_is_that_of_quadrature(outcome: str) -> None:
    """Integrals over one random intercept, of a normal and of a binary outcome."""
    frame = binomial_data()
    families = {"zo": "ordinal(logit)", "zc": "poisson"} | (
        {"y": "binary(probit)"} if outcome == "y" else {}
    )
    text = f"level: within\n{outcome} ~ 1\nlevel: between\nzo ~ {outcome}\nzc ~ {outcome}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = bm.Model(text.replace(f"{outcome} ~ 1\n", f"{outcome} ~~ {outcome}\n"),
                         frame, cluster="g", families=families)  # fmt: skip
    values = {
        f"between: {outcome} ~~ {outcome}": 0.7, f"zo ~ {outcome}": 1.1, f"zc ~ {outcome}": 0.5,
        "zo | t1": -0.6, "zo | t2": 0.8, "zc ~ 1": 0.4,
    }  # fmt: skip
    own = {"v ~ 1": 0.2, "within: v ~~ v": 0.9} if outcome == "v" else {"y | t1": 0.1}
    expected = 0.0
    for _, rows in frame.groupby("g"):
        zo, zc, y = rows["zo"].iloc[0], rows["zc"].iloc[0], rows[outcome].to_numpy()

        def integrand(b: float, zo: float = zo, zc: float = zc, y: Array = y) -> float:
            value = stats.norm.pdf(b, 0.2 if outcome == "v" else 0.0, np.sqrt(0.7))
            value *= stats.poisson.pmf(zc, np.exp(0.4 + 0.5 * b))
            cuts = np.array([-np.inf, -0.6, 0.8, np.inf])
            if not np.isnan(zo):
                value *= np.diff(stats.logistic.cdf(cuts[int(zo) : int(zo) + 2] - 1.1 * b))[0]
            if outcome == "v":
                return float(value * stats.norm.pdf(y, b, np.sqrt(0.9)).prod())
            p = stats.norm.cdf(b - 0.1)
            return float(value * np.where(y == 1, p, 1 - p).prod())

        expected += np.log(integrate.quad(integrand, -9, 9, epsabs=1e-13)[0])
    assert model.log_likelihood(values | own) == pytest.approx(expected, abs=0.02)  # as stated


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("zo ~ w\n    v ~ zo", "'v ~ zo' has 'zo' as a predictor, a cluster-level outcome"),
        ("zo ~ w\n    zo ~~ za", "'zo ~~ za' is a covariance with 'zo', a cluster-level outcome"),
    ],
)
def test_what_latent_responses_of_clusters_cannot_do(line: str, message: str) -> None:
    text = TEXT.replace("zo ~ l*fb + w + za", line)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(bm.NotSupportedError, match=message):
            bm.Model(text, DATA, **OPTIONS)


def test_predictors_of_responses_have_to_be_known() -> None:
    frame = DATA.copy()
    frame.loc[frame["g"] == 7, "za"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(bm.NotSupportedError, match=r"'zo ~ za': 1 values of 'za' are missing"):
            bm.Model(TEXT, frame, **OPTIONS)


def test_responses_of_clusters_without_any_effect() -> None:
    """Nothing but covariates differs between clusters: nothing is sampled but parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = bm.Model(
            "level: within\nv ~ x\nlevel: between\nzc ~ w", DATA, cluster="g",
            families={"zc": "poisson"},
        )  # fmt: skip
    assert model.plan.sampled == ()
    values = {"v ~ 1": 0.1, "v ~ x": 0.3, "v ~~ v": 1.5, "zc ~ 1": 0.7, "zc ~ w": 0.2}
    seen = BY_CLUSTER["zc"].notna()
    rate = np.exp(0.7 + 0.2 * BY_CLUSTER["w"][seen])
    expected = stats.poisson.logpmf(BY_CLUSTER["zc"][seen], rate).sum()
    expected += stats.norm.logpdf(DATA["v"], 0.1 + 0.3 * DATA["x"], np.sqrt(1.5)).sum()
    assert model.log_likelihood(values) == pytest.approx(expected, abs=1e-8)
    frame = model.simulate(values, clusters=2000, sizes=2, random_seed=1)
    one = frame.drop_duplicates("g")
    mean = np.exp(0.7 + 0.2 * one["w"]).mean()
    assert one["zc"].mean() == pytest.approx(mean, rel=0.06)  # standard error .016
