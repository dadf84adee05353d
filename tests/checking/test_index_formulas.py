"""Fit indices: hand computation from stored draws, other programs, limits, refusals."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.checking.indices import evaluation
from bayes_msem.checking.indices.index_formulas import (
    Comparison,
    absolute_indices,
    incremental_indices,
    n_units,
    paired,
)
from bayes_msem.checking.indices.saturated import build_on, model_text, structured_level
from bayes_msem.inference.mode import admissible_maximum
from tests.checking.laplace import laplace_fit
from tests.oracle import Key, oracle_from_values, oracle_log_likelihood
from tests.reference_models import FOLDER, load_reference

# Small and unbalanced data are the point of several tests.
pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.errors.MsemWarning")

Array = NDArray[np.float64]
STORED = pd.read_csv(FOLDER / "fit-indices" / "fit_measures.csv")
LAVAAN = {(m, k): v for m, k, v in STORED.itertuples(index=False, name=None)}

SATURATED = """
level: within
    y1 ~~ y1 + y2 + y3
    y2 ~~ y2 + y3
    y3 ~~ y3
    y1 + y2 + y3 ~ x1 + x2
level: between
    y1 ~~ y1 + y2 + y3
    y2 ~~ y2 + y3
    y3 ~~ y3
    y1 + y2 + y3 ~ w1 + w2
"""
NULL = """
level: within
    y1 ~~ y1 + 0*y2 + 0*y3
    y2 ~~ y2 + 0*y3
    y3 ~~ y3
level: between
    y1 ~~ y1 + 0*y2 + 0*y3
    y2 ~~ y2 + 0*y3
    y3 ~~ y3
"""


def model_of(name: str, text: str | None = None, **options: bool) -> bm.Model:
    reference = load_reference(name)
    return bm.Model(
        text or reference.model_text, data=reference.frame, cluster=reference.cluster, **options
    )


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Normal approximations in place of NUTS; lists what was asked for."""
    asked: list[str] = []

    def approximate(fit: bm.Fit, text: str, what: str, progress: bool) -> bm.Fit:
        asked.append(what)
        sizes = fit.datatree["posterior"].sizes
        model = build_on(bm.Model, fit.model.observed, text)
        return laplace_fit(model, chains=sizes["chain"], draws=sizes["draw"], seed=len(asked))

    monkeypatch.setattr(evaluation, "_sample", approximate)
    return asked


def oracle_deviances(fit: bm.Fit, frame: pd.DataFrame) -> tuple[Array, float]:
    """Minus twice the oracle's log-likelihood at every draw, and at the mean on the SD scale."""
    draws = fit.draws

    def deviance(values: Mapping[Key, float]) -> float:
        return -2 * oracle_log_likelihood(values, frame, "cluster")

    shape = next(iter(draws.values())).shape
    each = [
        deviance({key: float(values[index]) for key, values in draws.items()})
        for index in np.ndindex(shape)
    ]
    mean = {
        key: float(np.sqrt(v).mean() ** 2 if key[1] == key[3] else v.mean())
        for key, v in draws.items()
    }
    return np.array(each).reshape(shape), deviance(mean)


def test_indices_by_hand() -> None:
    """From the table values of every draw to the indices with nothing but NumPy and the oracle.

    The log-likelihoods agree to 1e-9 and the saturated maximum to the Newton decrement (1e-9).
    """
    frame = load_reference("two-level/unbalanced").frame
    fit = laplace_fit(model_of("two-level/unbalanced"), draws=15)
    null = laplace_fit(model_of("two-level/unbalanced", NULL), draws=15, seed=2)
    table = fit.indices(baseline=null, progress=False)

    best = model_of("two-level/unbalanced", SATURATED).mode(prior=False)
    l_sat = oracle_log_likelihood(best, frame, "cluster")
    deviance, at_mean = oracle_deviances(fit, frame)
    null_deviance, null_at_mean = oracle_deviances(null, frame)
    d, d_0 = deviance + 2 * l_sat, null_deviance + 2 * l_sat
    p_d, p_d_0 = deviance.mean() - at_mean, null_deviance.mean() - null_at_mean
    n, p, p_star = 448, 7, 27  # y1-y3, x1, x2, w1, w2; twice 6 + 6 or 9, and 3 means
    noncentrality, noncentrality_0 = np.maximum(0, d - p_star), np.maximum(0, d_0 - p_star)
    gamma = p / (p + 2 * noncentrality / n)
    ratio, ratio_0 = (d - p_d) / (p_star - p_d), (d_0 - p_d_0) / (p_star - p_d_0)
    expected = {
        "rmsea": np.sqrt(noncentrality / ((p_star - p_d) * n)),
        "gamma_hat": gamma,
        "adjusted_gamma_hat": 1 - p_star / (p_star - p_d) * (1 - gamma),
        "mc": np.exp(-noncentrality / (2 * n)),
        "cfi": 1 - noncentrality / noncentrality_0,
        "tli": (ratio_0 - ratio) / (ratio_0 - 1),
        "nfi": ((d_0 - p_d_0) - (d - p_d)) / (d_0 - p_d_0),
        "discrepancy": d,
        "discrepancy_null": d_0,
    }
    assert (expected["rmsea"] > 0).any()
    assert (expected["rmsea"] == 0).any()
    for name, values in expected.items():
        assert table.draws[name].to_numpy() == pytest.approx(values, rel=1e-6, abs=1e-7), name
    details = table.details["overall"]
    assert (details.n, details.n_variables, details.n_moments) == (n, p, p_star)
    assert (details.p_d, details.p_d_null) == pytest.approx((p_d, p_d_0), abs=1e-6)
    assert table.log_likelihood_saturated == pytest.approx(l_sat, abs=1e-8)
    rows = table.set_index(["index", "level"])
    assert rows.loc[("RMSEA", "overall"), "mean"] == pytest.approx(expected["rmsea"].mean())
    assert list(table["index"][-2:]) == ["SRMR", "SRMR"]
    assert "N = 448, p* = 27 moments" in repr(table)


def joint(values: Mapping[Key, float], frame: pd.DataFrame, level: str) -> pd.DataFrame:
    """Covariance matrix of outcomes and covariates of a level, from the oracle's matrices."""
    oracle = oracle_from_values(values, frame, "cluster")
    part = oracle.within if level == "within" else oracle.between
    rows = frame if level == "within" else frame.groupby("cluster").first()
    covariates = list(part.covariates)
    x = np.cov(rows[covariates].to_numpy().T, ddof=0)
    total = np.linalg.inv(np.eye(len(part.alpha)) - part.B)
    pick = oracle.within.F if level == "within" else oracle.between.F_y
    slopes = pick @ total @ part.G
    own = pick @ total @ part.Psi @ total.T @ pick.T + slopes @ x @ slopes.T
    matrix = np.block([[own, slopes @ x], [x @ slopes.T, x]])
    names = [*oracle.within.observed, *covariates]
    return pd.DataFrame(matrix, index=names, columns=names)


def test_srmr_by_hand() -> None:
    frame = load_reference("two-level/unbalanced").frame
    fit = laplace_fit(model_of("two-level/unbalanced"), draws=15)
    table = fit.indices(incremental=False, progress=False)
    best = model_of("two-level/unbalanced", SATURATED).mode(prior=False)
    for level in ("within", "between"):
        h1 = joint(best, frame, level)
        sd = np.sqrt(np.diag(h1))
        for index in [(0, 0), (0, 7), (1, 14)]:
            values = {key: float(v[index]) for key, v in fit.draws.items()}
            residual = ((h1 - joint(values, frame, level)) / np.outer(sd, sd)).to_numpy()
            lower = residual[np.tril_indices(len(sd))]
            found = table.draws[f"srmr_{level}"].to_numpy()[index]
            assert found == pytest.approx(np.sqrt(np.mean(lower**2)), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "npar", "p", "n"),
    [
        ("single-level/cfa", 30, 9, 301),
        ("single-level/mimic", 24, 8, 301),
        ("single-level/political-democracy", 42, 11, 75),
        ("demo-twolevel", 20, 8, 2500),
    ],
)
def test_at_the_maximum_the_indices_are_lavaans(name: str, npar: int, p: int, n: int) -> None:
    """A draw that lies pD = npar above the minimum gives exactly the ML indices.

    lavaan does not truncate Mc, which shows where chi-square is below df (demo-twolevel).
    """
    stored = {key: LAVAAN[name, key] for m, key in LAVAAN if m == name}
    p_star = npar + int(stored["df"])
    n_null = p_star - int(stored["baseline.df"])
    comparison = Comparison(n, p, p_star, npar, p_star, p_star, n_null)
    draws = np.array([stored["chisq"] + npar])
    values = absolute_indices(draws, comparison)
    null_draws = np.array([stored["baseline.chisq"] + n_null])
    values |= incremental_indices(draws, null_draws, comparison)
    wanted = {"RMSEA": "rmsea", "CFI": "cfi", "TLI": "tli", "NFI": "nfi", "Mc": "mfi"}
    for ours, theirs in wanted.items():
        expected = min(stored[theirs], 1.0) if ours == "Mc" else stored[theirs]
        assert values[ours][0] == pytest.approx(expected, abs=1e-9), ours


def test_published_posterior_means_of_blavaan() -> None:
    """Its vignette on fit indices: Gamma-hat .956 (SD .005), Mc .902 (.010), for this model.

    Neither depends on pD, where it uses loo. Its priors differ; a fifth of an SD covers that and
    the Monte Carlo error of 1,000 draws.
    """
    fit = laplace_fit(model_of("single-level/cfa", std_lv=True), draws=500)
    rows = fit.indices(incremental=False, progress=False).set_index("index")
    assert rows.loc["Gamma-hat", "mean"] == pytest.approx(0.956, abs=0.0015)
    assert rows.loc["Mc", "mean"] == pytest.approx(0.902, abs=0.0035)
    assert rows.loc["Gamma-hat", "sd"] == pytest.approx(0.005, abs=0.001)
    assert list(rows["level"].unique()) == ["overall", "within"]


def ml_rmsea(fit: bm.Fit, level: str) -> float:
    """RMSEA of one level at the maximum, the other level saturated."""
    model, observed = fit.model, fit.model.observed
    texts = {"within": "saturated", "between": "saturated"}
    texts[level] = structured_level(model.table, level)  # type: ignore[arg-type]
    part = build_on(bm.Model, observed, model_text(observed, **texts))
    saturated = fit._saturated
    chisq = 2 * (saturated.log_likelihood - admissible_maximum(part.blueprint)[1])
    df = saturated.n_parameters() - part.blueprint.parameters.n
    n_rows, n_clusters = n_units(observed)
    n = n_rows - n_clusters if level == "within" else n_clusters
    return float(np.sqrt(max(0.0, chisq - df) / (df * n)))


def test_misspecified_model_has_the_rmsea_of_maximum_likelihood(sampled: list[str]) -> None:
    """Overall and per level, also where 49 clusters hardly determine a saturated level.

    Of one level, a Monte Carlo error of 2 in the effective parameters of saturated models (600
    draws) moves RMSEA by 3% within. Without the allowance for the saturated level, RMSEA within is
    .067 instead of .089, and between (SD .05) twice the tolerance is a fourth of an SD.
    """
    model = model_of("lq2002-two-factor")
    fit = laplace_fit(model, draws=300)
    whole = fit.indices(progress=False).set_index(["index", "level"])
    table = fit.indices(levels=True, incremental=False, progress=False)
    rows = table.set_index(["index", "level"])
    overall = rows.loc[("RMSEA", "overall"), "mean"]
    assert overall == pytest.approx(0.0627508633427858, abs=0.001)  # lavaan
    assert whole.loc[("CFI", "overall"), "mean"] == pytest.approx(0.941972371769754, abs=0.002)
    assert whole.loc[("TLI", "overall"), "mean"] == pytest.approx(0.923198727342322, abs=0.002)
    within, between = ml_rmsea(fit, "within"), ml_rmsea(fit, "between")
    assert rows.loc[("RMSEA", "within"), "mean"] == pytest.approx(within, abs=0.003)
    assert rows.loc[("RMSEA", "between"), "mean"] == pytest.approx(between, abs=0.015)
    # 55 covariances within less 21 parameters; the effective parameters between cancel
    assert table.details["within"].df == pytest.approx(34, abs=2.5)
    assert (table.details["within"].n, table.details["between"].n) == (2042 - 49, 49)
    # posterior means of covariances are less noisy than draws: near lavaan's SRMR at ML
    assert "SRMR at the posterior means of the parameters: 0.040 within, 0.08" in table.caption


def test_levels_are_sampled_once_each(sampled: list[str]) -> None:
    fit = laplace_fit(model_of("demo-twolevel"), draws=50)
    table = fit.indices(levels=True, progress=False)
    assert sampled == [
        "null model",
        "model with level within only",
        "saturated model",
        "null model of level within",
        "model with level between only",
        "null model of level between",
    ]
    fit.indices(levels=True, progress=False)
    assert len(sampled) == 6  # kept
    counts = table.groupby("level", sort=False)["index"].count().to_dict()
    assert counts == {"overall": 7, "within": 8, "between": 8}
    assert set(table.details) == {"overall", "within", "between"}
    for level, variables, moments in (("within", 6, 15), ("between", 5, 15)):
        details = table.details[level]
        assert (details.n_variables, details.n_moments) == (variables, moments)
    assert table.draws["cfi_between"].shape == (2, 50)


def test_planted_misfit_shows_at_its_level(sampled: list[str]) -> None:
    """Two indicators share something that the model leaves out, at one level at a time."""
    rng = np.random.default_rng(1)
    names, cluster = ["y1", "y2", "y3", "y4"], np.repeat(np.arange(120), 8)
    factors = {
        "within": rng.normal(size=(960, 1)) + rng.normal(size=(960, 4)),
        "between": (rng.normal(size=(120, 1)) + 0.7 * rng.normal(size=(120, 4)))[cluster],
    }
    shared = {"within": rng.normal(size=960), "between": rng.normal(size=120)[cluster]}
    text = "level: within\nf =~ y1 + y2 + y3 + y4\nlevel: between\ng =~ y1 + y2 + y3 + y4"
    for level, other in (("within", "between"), ("between", "within")):
        y = factors["within"] + factors["between"]
        y[:, 2:] += shared[level][:, None]
        frame = pd.DataFrame(y, columns=names).assign(cluster=cluster)
        fit = laplace_fit(bm.Model(text, data=frame, cluster="cluster"), draws=100)
        table = fit.indices(levels=True, incremental=False, progress=False)
        rmsea = table.set_index(["index", "level"]).loc["RMSEA"]
        assert rmsea.loc[level, "lower"] > 0.1
        assert rmsea.loc[other, "mean"] < 0.05


@pytest.mark.slow
def test_true_models_have_the_discrepancy_that_is_expected(sampled: list[str]) -> None:
    """E is right: over data sets from the model, D - E averages 0, overall and per level.

    49 clusters and 10 variables, where p* would be wrong by 35 for level within.
    """
    model = model_of("lq2002-two-factor")
    truth = model.mode()
    differences = []
    for seed in range(12):
        frame = model.simulate(truth, random_seed=seed)
        fit = laplace_fit(bm.Model(model.spec, data=frame, cluster="COMPID"), draws=150)
        table = fit.indices(levels=True, incremental=False, progress=False)
        draws = [table.draws[f"discrepancy{s}"] for s in ("", "_within", "_between")]
        means = np.array([float(d.mean()) for d in draws])
        expected = np.array([c.expected for c in table.details.values()])
        differences.append([*(means - expected), means[1] - 120])
    mean = np.mean(differences, axis=0)
    error = np.std(differences, axis=0, ddof=1) / np.sqrt(len(differences))
    assert (np.abs(mean[:3]) < 3 * error[:3]).all()
    assert mean[3] > 5 * error[3]  # the wrong expectation is found out


def test_level_without_restrictions_is_left_out(sampled: list[str]) -> None:
    text = "level: within\nf =~ y1 + y2 + y3\nlevel: between\ng =~ y1 + 1*y2 + 1*y3"
    fit = laplace_fit(model_of("demo-twolevel", text), draws=50)
    table = fit.indices(levels=True, incremental=False, progress=False)
    assert sampled == ["model with level between only"]
    assert "Level within has as many parameters as moments: no indices." in table.caption
    assert set(table.details) == {"overall", "between"}


def test_null_model_is_sampled_once_by_nuts() -> None:
    """The only NUTS run: the null model of a factor model, compared with its approximation."""
    fit = laplace_fit(model_of("single-level/cfa"), draws=1000, chains=4)
    table = fit.indices(progress=False)
    (null,) = fit._refits.values()
    assert null.datatree["posterior"].sizes["draw"] == 1000
    assert not null.convergence.problems
    assert fit.indices(progress=False).draws.equals(table.draws)
    names = [f"x{i}" for i in range(1, 10)]
    text = "\n".join(f"{v} ~~ {v}" for v in names)
    other = fit.indices(
        baseline=laplace_fit(model_of("single-level/cfa", text), draws=1000, chains=4),
        progress=False,
    )
    # The discrepancy of the null model is 920 with an SD of 6, its pD has a Monte Carlo error of
    # .2 in p* - pD = 36: relative errors of 1 - CFI = .07, 1 - NFI = .1 and 1 - TLI = .1.
    for name, tolerance in {"cfi": 2e-4, "nfi": 3e-4, "tli": 2e-3}.items():
        found, expected = (float(t.draws[name].mean()) for t in (table, other))
        assert found == pytest.approx(expected, abs=tolerance)
    # lavaan's CFI at ML is .931; 301 rows leave priors little to say
    assert float(table.draws["cfi"].mean()) == pytest.approx(
        LAVAAN["single-level/cfa", "cfi"], abs=0.01
    )


def test_warnings_of_other_models_say_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many draws as the fit has, and a seed that depends on its seed and the model."""
    calls: list[tuple[int, int, int]] = []

    def fit_badly(model: bm.Model, *, draws: int, chains: int, random_seed: int, **_: object):
        calls.append((draws, chains, random_seed))
        warnings.warn("R-hat is up to 2", bm.ConvergenceWarning, stacklevel=2)
        return laplace_fit(model, draws=draws, chains=chains)

    monkeypatch.setattr(bm.Model, "fit", fit_badly)
    for _ in range(2):
        fit = laplace_fit(model_of("single-level/cfa"), draws=40, chains=3)
        with pytest.warns(bm.ConvergenceWarning, match=r"null model \(sampled .*R-hat is up to 2"):
            fit.indices(progress=False)
    assert calls[0][:2] == (40, 3)
    assert calls[0] == calls[1]


@pytest.mark.parametrize("name", ["two-level/path", "single-level/regression"])
def test_models_without_restrictions_are_refused(name: str) -> None:
    """In few draws, pD of the regression falls .5 short of its five parameters."""
    fit = laplace_fit(model_of(name), draws=60)
    with pytest.raises(bm.NotSupportedError, match=r"restricts \(almost\) nothing.*fit.ppp"):
        fit.indices(progress=False)


def test_priors_can_restrict_what_is_saturated() -> None:
    """Cross-loadings and residual covariances held near 0 by their priors (BSEM)."""
    small = " + ".join(f'prior("normal(0, 0.05)")*x{i}' for i in range(4, 10))
    text = f"""
    visual =~ x1 + x2 + x3 + {small}
    textual =~ x4 + x5 + x6
    speed =~ x7 + x8 + x9
    """
    fit = laplace_fit(model_of("single-level/cfa", text), draws=200)
    details = fit.indices(incremental=False, progress=False).details["overall"]
    assert fit.model.blueprint.parameters.n == 36
    assert 30 < details.p_d < 36  # six parameters that count for a part each
    assert not Comparison(301, 9, 54, 53.0, 54, 54).restricts(54, 54)
    assert Comparison(301, 9, 54, 50.0, 54, 54).restricts(60, 54)
    assert Comparison(301, 9, 54, 53.0, 54, 54).restricts(53, 54)


def test_options_are_checked() -> None:
    fit = laplace_fit(model_of("single-level/cfa"), draws=10)
    with pytest.raises(bm.SpecificationError, match=r"pd='dik' is unknown.*did you mean 'dic'"):
        fit.indices(pd="dik")  # type: ignore[arg-type]
    with pytest.raises(bm.SpecificationError, match="ci=95"):
        fit.indices(95)
    with pytest.raises(bm.SpecificationError, match="single-level"):
        fit.indices(levels=True)


def test_baseline_of_other_data_is_refused() -> None:
    fit = laplace_fit(model_of("single-level/cfa"), draws=10)
    frame = load_reference("single-level/cfa").frame
    text = "\n".join(f"x{i} ~~ x{i}" for i in range(1, 10))
    for data, names, message in (
        (frame.iloc[:300], text, "300 rows instead of 301"),
        (frame, text.replace("x9 ~~ x9", ""), "x9 have different roles"),
        (frame.assign(x2=frame["x2"] + 1), text, "values of x2 differ"),
    ):
        other = laplace_fit(bm.Model(names, data=data), draws=10)
        with pytest.raises(bm.SpecificationError, match=message):
            fit.indices(baseline=other)


def test_units_without_data_do_not_count() -> None:
    reference = load_reference("demo-twolevel")
    frame = reference.frame.copy()
    frame.loc[frame["cluster"] == 3, ["y1", "y2", "y3"]] = np.nan
    frame.loc[0, ["y1", "y2", "y3"]] = np.nan
    model = bm.Model(reference.model_text, data=frame, cluster="cluster")
    n_empty = int((reference.frame["cluster"] == 3).sum()) + 1
    assert n_units(model.observed) == (2500 - n_empty, 199)


def test_draws_of_a_baseline_are_paired() -> None:
    draws = np.arange(12.0).reshape(2, 6)
    assert paired(draws, (2, 6)) is draws
    assert paired(draws, (1, 3)).tolist() == [[0.0, 6.0, 11.0]]  # 5.5 rounds to even
    assert paired(draws, (2, 8)).ravel().tolist() == [*range(12), 0.0, 1.0, 2.0, 3.0]
