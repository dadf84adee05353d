"""Factor scores against conditional normals that are written out for every row and draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from tests.likelihood.cases import SINGLE_LEVEL_CASES, TWO_LEVEL_CASES, Case, make_model
from tests.posterior.made_up import posterior_of, synthetic_fit
from tests.posterior.within_oracle import level_names, oracle_at, scores_given_u
from tests.random.conditional import Conditional, conditional
from tests.random.models import case, make_data, sampled_values

Array = NDArray[np.float64]
SIZE = {"chains": 2, "draws": 3}


def plain(name: str) -> Case:
    return next(c for c in TWO_LEVEL_CASES + SINGLE_LEVEL_CASES if c.name == name)


def level_two(fit: bm.Fit, names: list[str], draw: tuple[int, int], cluster: int) -> Array:
    """Values of all level-2 variables that level 1 uses; the others do not matter."""
    if not fit.model.table.two_level:
        return np.zeros(0)
    effects = fit.cluster_draws["effects"].isel(chain=draw[0], draw=draw[1], cluster_id=cluster)
    known = dict(zip(effects["effect"].to_numpy(), effects.to_numpy(), strict=True))
    return np.array([known.get(name, 0.0) for name in names])


def expected_scores(fit: bm.Fit, frame: pd.DataFrame) -> tuple[Array, Array]:
    """Means and variances (S, N, k); models without sampled effects."""
    v, u = level_names(fit)
    wanted = [v.index(f) for f in fit.model.table.variables("within", "within factor")]
    codes = np.zeros(len(frame), dtype=int)
    if fit.model.table.two_level:
        codes = pd.factorize(frame["group"])[0]
    means, variances = [], []
    for draw in np.ndindex(SIZE["chains"], SIZE["draws"]):
        oracle = oracle_at(fit, frame, draw)
        x, y = oracle.data["x"], oracle.data["y"]
        found = [
            scores_given_u(oracle, x[i], y[i], level_two(fit, u, draw, codes[i]), wanted)
            for i in range(len(frame))
        ]
        means.append([m for m, _ in found])
        variances.append([s for _, s in found])
    return np.array(means), np.array(variances)


def as_array(table: pd.DataFrame, column: str, names: tuple[str, ...]) -> Array:
    return np.column_stack([table.loc[table["factor"] == f, column] for f in names])


@pytest.mark.parametrize(
    "this",
    [
        plain("CFA"),
        plain("latent mean"),
        plain("x and w on factors and indicators"),
        plain("second order"),
        plain("equal across levels"),
        plain("loadings and slopes of one pair"),
        case("slope, with a loading and a slope of one pair"),
        case("slopes of a factor and of its indicator"),
    ],
    ids=str,
)
def test_means_and_sds(this: Case) -> None:
    """Law of total expectation and variance over draws; rounding only."""
    frame = make_data()
    fit = synthetic_fit(make_model(this, frame), **SIZE)
    scores = fit.scores()
    names = fit.model.table.variables("within", "within factor")
    means, variances = expected_scores(fit, frame)
    np.testing.assert_allclose(as_array(scores, "mean", names), means.mean(0), atol=1e-9)
    sd = np.sqrt(variances.mean(0) + means.var(0))
    np.testing.assert_allclose(as_array(scores, "sd", names), sd, atol=1e-9)
    assert list(scores["factor"].unique()) == list(names)
    np.testing.assert_array_equal(scores.index, np.tile(frame.index, len(names)))
    if fit.model.table.two_level:
        np.testing.assert_array_equal(scores["cluster"], np.tile(frame["group"], len(names)))
    else:
        assert "cluster" not in scores
    for name in names:
        part = scores[scores["factor"] == name]
        spread = np.mean((part["mean"] - part["mean"].mean()) ** 2)
        expected = spread / (spread + np.mean(part["sd"] ** 2))
        assert scores.attrs["reliability"][name] == pytest.approx(expected)


@pytest.mark.parametrize(
    "name", ["loadings", "random loading and slope of one pair", "everything", "std_lv"]
)
def test_with_sampled_effects(name: str) -> None:
    """Every cluster has matrices of its own."""
    this: Conditional = conditional(case(name), make_data(sizes=(3, 2, 4, 1, 2, 3)))
    fit = synthetic_fit(this.model, **SIZE)
    blueprint, posterior = fit.model.blueprint, fit.datatree["posterior"].to_dataset()
    groups = blueprint.parameters.groups
    x = np.concatenate([posterior[g.name].to_numpy() for g in groups], axis=-1)
    names = this.model.table.variables("within", "within factor")
    means, variances = [], []
    for draw in np.ndindex(SIZE["chains"], SIZE["draws"]):
        mean, variance = np.empty((2, len(this.frame), len(names)))
        for j, units in enumerate(this.clusters()):
            effects = fit.cluster_draws["effects"].isel(chain=draw[0], draw=draw[1], cluster_id=j)
            b = effects.sel(effect=list(this.names)).to_numpy()
            oracle = this.oracle(x[draw], b, units)
            v, u = level_names(fit, this.values(x[draw], b))
            at = level_two(fit, u, draw, j)
            for i, unit in enumerate(units):
                row = oracle.data["x"][i], oracle.data["y"][i]
                found = scores_given_u(oracle, *row, at, [v.index(f) for f in names])
                mean[unit], variance[unit] = found
        means.append(mean)
        variances.append(variance)
    scores = fit.scores()
    np.testing.assert_allclose(as_array(scores, "mean", names), np.mean(means, 0), atol=1e-8)
    sd = np.sqrt(np.mean(variances, 0) + np.var(means, 0))
    np.testing.assert_allclose(as_array(scores, "sd", names), sd, atol=1e-8)


def test_given_the_whole_cluster() -> None:
    """With parameters known, scores are factors given the stacked cluster: level 2 integrated.

    4,000 draws of the cluster effects at one value of the parameters. The tolerance is 4.5 standard
    errors of a mean, and for SDs (standard error of at most SD / sqrt(2 draws)) 5 %.
    """
    this = case("slope of a factor")
    frame = make_data()
    model = make_model(this, frame)
    x = sampled_values(model.unpiloted_blueprint(), 5)
    posterior = posterior_of(model.unpiloted_blueprint(), np.tile(x, (1, 4000, 1)), 5)
    fit = synthetic_fit(model, posterior=posterior)
    scores = fit.scores()
    oracle = oracle_at(fit, frame, (0, 0))
    v, _ = level_names(fit)
    k = v.index("fw")
    w, n_u = oracle.within, len(oracle.between.alpha)
    inverse = np.linalg.inv(np.eye(len(v)) - w.B)
    for units in oracle.clusters().values():
        values, mean, covariance = oracle.stacked(units)
        _, spread = oracle.effect_moments(units)
        x_of = oracle.data["x"][units]
        Z = np.vstack([oracle.design(x_i) for x_i in x_of])
        prior, unknown = np.empty(len(units)), np.zeros((len(units), len(values)))
        variance = np.empty(len(units))
        level_2_mean = oracle.effect_moments(units)[0]
        for i, x_i in enumerate(x_of):
            of_u = np.zeros(n_u)
            right = w.alpha + w.G @ x_i
            for slope in oracle.slopes:
                of_u[slope.effect] += inverse[k, slope.equation] * x_i[slope.covariate]
            prior[i] = inverse[k] @ right + of_u @ level_2_mean
            unknown[i] = of_u @ spread @ Z.T
            p = len(w.observed)
            own = inverse[k] @ w.Psi @ inverse.T
            unknown[i, i * p : (i + 1) * p] += own @ w.F.T
            variance[i] = own[k] + of_u @ spread @ of_u
        gain = np.linalg.solve(covariance, unknown.T).T
        expected = prior + gain @ (values - mean)
        sd = np.sqrt(variance - np.einsum("ij,ij->i", gain, unknown))
        ours = scores.loc[frame.index[units]]
        np.testing.assert_array_less(np.abs(ours["mean"] - expected), 4.5 * sd / np.sqrt(4000))
        np.testing.assert_allclose(ours["sd"], sd, rtol=0.05)


def test_plausible_values() -> None:
    """They have the moments of the table, and its interval is theirs."""
    frame = make_data()
    model = make_model(plain("x and w on factors and indicators"), frame)
    fit = synthetic_fit(model, chains=2, draws=1500)
    values = fit.scores(draws=True)
    assert values.dims == ("chain", "draw", "obs_id", "factor")
    assert dict(values.sizes) == {"chain": 2, "draw": 1500, "obs_id": len(frame), "factor": 1}
    table, flat = fit.scores(ci=0.8), values.to_numpy().reshape(3000, -1)
    lower, upper = np.quantile(flat, [0.1, 0.9], axis=0)
    np.testing.assert_allclose(table["lower"], lower, atol=1e-12)
    np.testing.assert_allclose(table["upper"], upper, atol=1e-12)
    error = table["sd"] / np.sqrt(3000)
    np.testing.assert_array_less(np.abs(flat.mean(0) - table["mean"]), 4.5 * error)
    np.testing.assert_allclose(flat.std(0), table["sd"], rtol=0.1)
    again = fit.scores(draws=True, random_seed=5)
    assert not np.array_equal(again, values)
    np.testing.assert_array_equal(again, fit.scores(draws=True, random_seed=5))


def test_rows_that_miss_outcomes() -> None:
    """NaN entries are left out: rows without outcomes have the prior of their factors."""
    frame = make_data()
    fit = synthetic_fit(make_model(plain("x and w on factors and indicators"), frame), **SIZE)
    new = frame.iloc[[4, 0, 7, 9]].drop(columns=["w1", "w2"]).set_index(pd.Index(list("abcd")))
    new.loc["a", "y2"] = np.nan
    new.loc["b", ["y1", "y2", "y3"]] = np.nan
    new.loc["d", "y1"] = np.nan
    scores = fit.scores(newdata=new)
    assert list(scores.index) == list("abcd")
    v, u = level_names(fit)
    means, variances = [], []
    for draw in np.ndindex(2, 3):
        oracle = oracle_at(fit, frame, draw)
        observed = fit.model.blueprint.observed
        found = []
        for _, row in new.iterrows():
            at = level_two(fit, u, draw, list(observed.cluster_ids).index(row["group"]))
            x = row[list(oracle.within.covariates)].to_numpy(float)
            y = row[list(oracle.within.observed)].to_numpy(float)
            found.append(scores_given_u(oracle, x, y, at, [v.index("fw")]))
        means.append([m for m, _ in found])
        variances.append([s for _, s in found])
    np.testing.assert_allclose(scores["mean"], np.mean(means, 0)[:, 0], atol=1e-9)
    sd = np.sqrt(np.mean(variances, 0) + np.var(means, 0))[:, 0]
    np.testing.assert_allclose(scores["sd"], sd, atol=1e-9)


def test_many_rows_go_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = make_data()
    fit = synthetic_fit(make_model(plain("CFA"), frame), **SIZE)
    expected = fit.scores()
    monkeypatch.setattr("bayes_msem.posterior.within._MAX_VALUES", 200)
    for column in ("mean", "sd"):
        np.testing.assert_allclose(fit.scores()[column], expected[column], atol=1e-12)


def test_between() -> None:
    frame = make_data()
    fit = synthetic_fit(make_model(plain("one factor"), frame), chains=2, draws=40)
    scores, draws = fit.scores("between", ci=0.9), fit.cluster_draws["factors"]
    flat = draws.sel(between_factor="fb").to_numpy().reshape(80, -1)
    assert list(scores["cluster"]) == list(pd.unique(frame["group"]))
    np.testing.assert_allclose(scores["mean"], flat.mean(0))
    np.testing.assert_allclose(scores["sd"], flat.std(0))
    np.testing.assert_allclose(scores["lower"], np.quantile(flat, 0.05, axis=0))
    values = fit.scores("between", draws=True)
    np.testing.assert_array_equal(values.sel(factor="fb"), draws.sel(between_factor="fb"))
    assert "Reliability of the scores: fb 0." in scores.caption


def test_what_cannot_be_scored() -> None:
    fit = synthetic_fit(make_model(plain("random intercept"), make_data()), **SIZE)
    with pytest.raises(bm.SpecificationError, match="no factors at level within"):
        fit.scores()
    with pytest.raises(bm.SpecificationError, match="level='both' is unknown"):
        fit.scores("both")  # type: ignore[arg-type]
    single = synthetic_fit(make_model(plain("CFA"), make_data()), **SIZE)
    with pytest.raises(bm.SpecificationError, match="no factors at level between"):
        single.scores("between")
    with pytest.raises(bm.DataError, match="lacks the outcomes 'y6'"):
        single.scores(newdata=make_data().drop(columns="y6"))
    two = synthetic_fit(make_model(plain("one factor"), make_data()), **SIZE)
    with pytest.raises(bm.SpecificationError, match="clusters are not scored"):
        two.scores("between", newdata=make_data())
