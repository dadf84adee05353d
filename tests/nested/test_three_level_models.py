"""Three-level models from their text on: likelihood, tables, files, and what refuses.

Likelihood and effects are compared with the normal distribution of a whole school, written out in
tests.simulation.test_nested_draws without any of the package's matrices.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import bayes_msem as bm
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.blueprint.values import theta_from_values
from bayes_msem.checking.accuracy.log_likelihood import nested_log_likelihood
from bayes_msem.checking.priors.prior_sensitivity import log_likelihood_draws
from bayes_msem.data.nested_anova import nested_components
from bayes_msem.errors import NotSupportedError
from bayes_msem.inference.density import log_posterior
from bayes_msem.posterior.levels import levels_at
from bayes_msem.posterior.variance import shares_of_levels
from tests.posterior.made_up import synthetic_fit
from tests.simulation.test_nested_draws import TEXT, expected_moments, values_of

pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.errors.SmallSampleWarning")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Unbalanced, rows in no order, outcomes missing at all levels."""
    rng = np.random.default_rng(8)
    rows = []
    for k in range(9):
        u, q = rng.normal(size=2)
        for j in range(1 + k % 4):
            w, v, z = rng.normal(size=3)
            rows += [
                (k, f"{k}/{j}", u, q, w, v, z, *rng.normal(size=2)) for _ in range(1 + (k + j) % 3)
            ]
    columns = ["school", "child", "u", "q", "w", "v", "z", "x", "y"]
    frame = pd.DataFrame(rows, columns=columns).sample(frac=1.0, random_state=2, ignore_index=True)
    frame.loc[frame["school"] == 4, "q"] = np.nan
    frame.loc[frame["child"] == "2/1", "z"] = np.nan
    frame.loc[[0, 7], "y"] = np.nan
    return frame


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> bm.Model:
    return bm.Model(TEXT, frame, cluster=["child", "school"])


@pytest.fixture(scope="module")
def fit(model: bm.Model) -> bm.Fit:
    return synthetic_fit(model, chains=2, draws=6)


def school_density(one: pd.DataFrame) -> float:
    mean, cov = expected_moments(one)
    children = one.drop_duplicates("child")
    values = np.concatenate([one["y"], children["z"], one["q"].iloc[:1]])
    seen = ~np.isnan(values)
    inside = np.ix_(seen, seen)
    return float(stats.multivariate_normal(mean[seen], cov[inside]).logpdf(values[seen]))


def test_the_likelihood_is_that_of_whole_schools(model, frame):
    expected = sum(school_density(one) for _, one in frame.groupby("school"))
    assert model.log_likelihood(values_of(model)) == pytest.approx(expected, rel=1e-10)


def test_terms_are_those_of_single_schools(model, fit, frame):
    posterior = fit.datatree["posterior"].to_dataset()
    terms = nested_log_likelihood(model.blueprint, posterior, "top", random_seed=1)
    assert list(terms["top_id"].values) == [str(k) for k in model.observed.top_ids]
    for draw in (0, 5):
        row = {r.key: float(fit.draws[r.key][1, draw]) for r in model.table.rows if r.free}
        whole = model.log_likelihood(row)
        assert float(terms[1, draw].sum()) == pytest.approx(whole, rel=1e-10)


def test_effects_have_their_conditional_means(model, frame):
    """Means of many draws at one parameter value, against the conditional normal by hand."""
    blueprint = model.blueprint
    theta = theta_from_values(blueprint, values_of(model))
    x = np.repeat(sampled_from_table(blueprint, theta)[None], 4000, axis=0)
    rng = np.random.default_rng(1)
    observed, nested = blueprint.observed, blueprint.nested
    drawn = blueprint.likelihood.recover(
        blueprint.points(x),
        rng.standard_normal((4000, observed.n_tops, len(nested.top_effects.linear))),
        rng.standard_normal((4000, observed.n_clusters, len(nested.lower.effects.use_effect))),
        blueprint.statistics_by_cluster,
    )
    assert nested.lower.effects.linear == ("y", "s")
    # an unseen row of a cluster has mean a_y + a_s x, so add such rows and condition on the data
    for school in observed.top_ids[:4]:
        one = frame[frame["school"] == school].reset_index(drop=True)
        children = one.drop_duplicates("child")
        new = [children.assign(x=float(x)) for x in (0, 1)]
        longer = pd.concat([one, *new], ignore_index=True)
        mean, cov = expected_moments(longer)
        n, j = len(one), len(children)
        z_at = len(longer) + np.arange(j)
        values = np.concatenate([one["y"], children["z"], one["q"].iloc[:1]])
        at = np.concatenate([np.arange(n), z_at, [len(longer) + j]])
        seen = at[~np.isnan(values)]
        known = values[~np.isnan(values)] - mean[seen]
        new_at = n + np.arange(2 * j)
        weights = cov[np.ix_(new_at, seen)] @ np.linalg.inv(cov[np.ix_(seen, seen)])
        expected = mean[new_at] + weights @ known
        left = cov[np.ix_(new_at, new_at)] - weights @ cov[np.ix_(seen, new_at)]
        left -= 1.5 * np.eye(2 * j)  # without the new rows' own residuals
        places = [list(observed.cluster_ids).index(c) for c in children["child"]]
        for i, place in enumerate(places):
            a = drawn.a[:, place]
            for value, index in ((a[:, 0], i), (a[:, 0] + a[:, 1], j + i)):
                error = np.sqrt(left[index, index] / 4000)
                assert abs(value.mean() - expected[index]) < 4.5 * error
                assert value.var() == pytest.approx(left[index, index], rel=0.12)


def test_shares_of_levels_are_variances_over_their_sum(model):
    values = {
        **values_of(model),
        ("school", "y", "~", "u"): 0.0,
        ("child", "y", "~", "w"): 0.0,
        ("child", "s", "~", "w"): 0.0,
        ("school", "t", "~", "1"): 0.0,
        ("school", "s", "~", "1"): 0.0,
    }
    theta = theta_from_values(model.blueprint, values)
    shares = {
        k: float(v[0]) for k, v in shares_of_levels(levels_at(model.blueprint, theta[None])).items()
    }
    x, v = (
        model.observed.x[model.observed.informative].mean(),
        model.observed.w[:, list(model.observed.w_names).index("v")].mean(),
    )
    child = 0.8 + 0.3 * x**2
    school = 0.9 + 0.2 * x**2 + 0.25 * v**2
    assert shares["child", "y"] == pytest.approx(child / (1.5 + child + school))
    assert shares["school", "y"] == pytest.approx(school / (1.5 + child + school))
    own, above = 0.7**2 * 0.8 + 0.5, 0.4 + 0.7**2 * 0.25 * v**2
    assert shares["school", "z"] == pytest.approx(above / (above + own))


def test_tables_have_the_levels(fit):
    summary = fit.summary()
    assert list(dict.fromkeys(summary["level"])) == ["within", "child", "school"]
    row = summary[
        (summary["level"] == "school") & (summary["lhs"] == "q") & (summary["rhs"] == "q")
    ]
    drawn = fit.draws["school", "q", "~~", "q"]
    assert float(row["mean"].iloc[0]) == pytest.approx(drawn.mean())
    assert set(fit.standardized()["level"]) == {"within", "child", "school"}
    assert set(fit.r2()["level"]) == {"within", "child", "school"}
    assert set(fit.icc()["icc"]) == {"ICC(child)", "ICC(school)"}
    assert fit.implied_covariance("school").sizes["outcome"] == 3  # y, z and q
    assert "Level school" in str(fit.to_table())
    with pytest.raises(NotSupportedError, match="two levels only"):
        fit.icc(means=True)


def test_standardised_rows_follow_from_the_draws(fit):
    """q ~ y at level school: b sd(y) / sd(q), both of that level."""
    d = {key: fit.draws["school", *key] for key in (("q", "~", "y"), ("y", "~", "u"))}
    u = fit.model.observed.w3[:, 0].var()
    v = {name: fit.draws["school", name, "~~", name] for name in ("y", "q")}
    var_y = v["y"] + d["y", "~", "u"] ** 2 * u
    expected = d["q", "~", "y"] * np.sqrt(var_y / (v["q"] + d["q", "~", "y"] ** 2 * var_y))
    table = fit.standardized()
    row = table[(table["level"] == "school") & (table["lhs"] == "q") & (table["rhs"] == "y")]
    assert float(row["mean"].iloc[0]) == pytest.approx(expected.mean())


def test_effects_of_both_levels_are_summarised(fit):
    table, observed = fit.cluster_effects(), fit.model.observed
    draws = fit.cluster_draws
    assert table.groupby(["level", "effect"], sort=False).size().to_dict() == {
        ("child", "y"): observed.n_clusters,
        ("child", "s"): observed.n_clusters,
        ("school", "y"): observed.n_tops,
        ("school", "s"): observed.n_tops,
        ("school", "z"): observed.n_tops,
        ("school", "t"): observed.n_tops,
    }
    row = table[(table["level"] == "school") & (table["effect"] == "t") & (table["cluster"] == 3)]
    expected = draws["top_effects"].sel(top_effect="t", top_id="3").mean()
    assert float(row["mean"].iloc[0]) == pytest.approx(float(expected))
    assert int(row["size"].iloc[0]) == 4


def test_files_round_trip(fit, tmp_path):
    fit.save(tmp_path / "three.nc")
    again = bm.load(tmp_path / "three.nc")
    assert again.model.options == fit.model.options
    assert again.model.options["cluster"] == ["child", "school"]
    pd.testing.assert_frame_equal(pd.DataFrame(again.summary()), pd.DataFrame(fit.summary()))
    pd.testing.assert_frame_equal(
        pd.DataFrame(again.cluster_effects()), pd.DataFrame(fit.cluster_effects())
    )
    np.testing.assert_array_equal(again.model.observed.z3, fit.model.observed.z3)


def test_units_of_loo_are_those_of_the_highest_level(model):
    many = synthetic_fit(model, chains=2, draws=40)
    values = many.log_likelihood()
    posterior = many.datatree["posterior"].to_dataset()
    expected = nested_log_likelihood(model.blueprint, posterior, "top", random_seed=1)
    np.testing.assert_array_equal(values.to_numpy(), expected.to_numpy())
    with pytest.warns(bm.AccuracyWarning):  # draws far from any posterior
        loo = many.loo()
    assert (loo.unit, loo.pareto_k.index.name, len(loo.pointwise)) == ("top", "school", 9)
    assert "9 top units" in str(loo)
    assert len(many.waic().pointwise) == 9
    for unit, n in (("cluster", model.observed.n_clusters), ("observation", 0)):
        terms = many.log_likelihood(unit, thin=20).to_numpy()
        assert np.isfinite(terms).all()
        assert terms.shape[-1] == (n or model.observed.informative.sum())
    with pytest.raises(NotSupportedError, match="refit"):
        many.loo(refit="exact")


REFUSED_BY_MODEL = ["plot_prior_predictive", "prior_implied", "to_lavaan", "to_mplus"]
REFUSED_BY_FIT = [
    "check", "dic", "effects", "impute", "indices", "plausible_values",
    "plot_category_shares", "plot_clusters", "plot_effect_correlations", "plot_indices",
    "plot_item_curves", "plot_levels", "plot_pareto_k", "plot_ppc", "plot_ppc_clusters",
    "plot_regression", "ppc", "predict", "reliability", "report",
]  # fmt: skip


def public(cls: type) -> list[str]:
    return sorted(name for name in dir(cls) if not name.startswith("_"))


@pytest.mark.parametrize("name", REFUSED_BY_MODEL)
def test_methods_of_models_that_do_not_know_three_levels_refuse(model, name):
    with pytest.raises(NotSupportedError, match=f"model.{name} is there for models of one and two"):
        getattr(model, name)


@pytest.mark.parametrize("name", REFUSED_BY_FIT)
def test_methods_of_fits_that_do_not_know_three_levels_refuse(fit, name):
    with pytest.raises(NotSupportedError, match=f"fit.{name} is there for models of one and two"):
        getattr(fit, name)


def test_every_method_knows_three_levels_or_refuses():
    """A new one refuses until it is listed as known."""
    for cls, refused in ((bm.Model, REFUSED_BY_MODEL), (bm.Fit, REFUSED_BY_FIT)):
        assert sorted([*refused, *cls._KNOWN]) == sorted(
            {*public(cls), "model", "datatree"} & {*refused, *cls._KNOWN}
        )
        assert {*public(cls)} - cls._KNOWN == {*refused}


def test_functions_that_do_not_know_three_levels_refuse(frame, model):
    with pytest.raises(NotSupportedError, match="not over three"):
        bm.describe(frame, cluster=["child", "school"])
    with pytest.raises(NotSupportedError, match="one and two levels"):
        bm.study(model, values_of(model), clusters=[10], sizes=[5])


def test_what_would_be_sampled_is_refused(frame):
    text = TEXT.replace('y ~ rv("s")*x', 'y ~ rv("s")*x\n    y ~~ rv("v1")*y')
    with pytest.raises(NotSupportedError, match="three levels"):
        bm.Model(text, frame, cluster=["child", "school"])


def test_priors_of_all_levels_are_compared_with_the_posterior(fit):
    likelihoods = log_likelihood_draws(fit.model.blueprint, fit.datatree["posterior"].to_dataset())
    row = {r.key: float(fit.draws[r.key][1, 2]) for r in fit.model.table.rows if r.free}
    assert likelihoods[1, 2] == pytest.approx(fit.model.log_likelihood(row), rel=1e-10)
    overlap = fit.prior_posterior_overlap()
    assert set(overlap["level"]) == {"within", "child", "school"}


def test_hypotheses_name_rows_of_all_levels(fit):
    drawn = fit.draws["school: y ~ u"] > fit.draws["child: y ~ w"]
    result = fit.hypothesis("school: y ~ u > child: y ~ w")
    assert result.table["probability"].iloc[0] == pytest.approx(drawn.mean())
    with pytest.raises(bm.ModelSyntaxError, match="'child: y ~ x' or 'school: y ~ x'"):
        fit.hypothesis("between: y ~ u > 0")


def test_draws_are_written_with_their_level(fit):
    frame = fit.to_draws()
    np.testing.assert_allclose(
        frame["regression[school,y~u]"], fit.draws["school: y ~ u"].reshape(-1)
    )


def test_figures_have_a_panel_for_rows_of_every_level(fit):
    assert fit.plot_forest("school").axes
    assert fit.plot_forest().axes
    assert fit.plot_trace(rows="school: y ~ u").axes
    assert fit.plot_rank("child", rows="regression").axes
    assert fit.plot_prior_posterior("school").axes


def test_prior_predictive_draws_have_outcomes_of_all_levels(model):
    tree = model.prior_predictive(draws=3, random_seed=1)
    y = tree["prior_predictive"]["y"]
    assert list(y["outcome"].values) == ["y", "z", "q"]
    assert y.shape == (1, 3, model.observed.n_rows, 3)
    q = y.sel(outcome="q").to_numpy()[0, 0]
    schools = model.observed.parent[model.observed.cluster]
    assert all(np.ptp(q[schools == k]) == 0 for k in range(model.observed.n_tops))


@pytest.mark.slow
def test_the_density_of_the_pymc_model_is_that_of_the_sampler(model):
    built = model.pymc_model
    point = built.initial_point()
    at = np.concatenate([np.ravel(value) for value in point.values()])
    expected = log_posterior(model.blueprint, at, jacobian=True)[0]
    assert float(built.compile_logp()(point)) == pytest.approx(expected, rel=1e-10)


def test_diagrams_have_a_panel_for_every_level(model, fit):
    scene = model.diagram().scene
    assert [title.text for title in scene.titles] == [
        "Level school",
        "Level child",
        "Within clusters",
    ]
    heights = {
        level: [d.box.y for d in scene.nodes if d.level == level] for level in model.table.levels
    }
    assert max(heights["school"]) < scene.rules[0] < min(heights["child"])
    assert max(heights["child"]) < scene.rules[1] < min(heights["within"])
    roles = model.table.roles
    assert {(d.level, d.node.name) for d in scene.nodes} == set(roles)
    shapes = {(d.level, d.node.name): d.node.shape for d in scene.nodes}
    assert shapes["school", "z"] == shapes["school", "s"] == "ellipse"
    assert (shapes["child", "z"], shapes["school", "q"]) == ("box", "box")
    assert fit.diagram(standardized=True).svg.count("<line") >= 2


def test_predictive_p_values_compare_every_level(model, fit):
    table = fit.ppp(draws=12, random_seed=1)
    keys = list(zip(table["level"], table["statistic"], table["variable"], strict=True))
    assert [k for k in keys if k[2] == "y"] == [
        ("", "mean", "y"), ("within", "variance", "y"), ("child", "variance", "y"),
        ("child", "icc", "y"), ("school", "variance", "y"), ("school", "icc", "y"),
    ]  # fmt: skip
    data = model.observed
    one, two, three = nested_components(data.y[:, 0], data.cluster, data.parent)
    row = {key: float(v) for key, v in zip(keys, table["observed"], strict=True)}
    assert row["child", "icc", "y"] == pytest.approx(two / (one + two + three))
    assert row["school", "variance", "q"] == pytest.approx(np.nanvar(data.z3[:, 0], ddof=1))
    assert table["ppp"].between(0, 1).all()
    with pytest.raises(NotSupportedError, match="leave out statistics"):
        fit.ppp(["icc"])


def test_predictive_p_values_find_a_level_that_does_not_fit(model):
    """Data of the model itself are unremarkable; without differences of schools they are odd."""
    values = values_of(model)
    draw = model.simulate(values, tops=40, clusters=4, sizes=5, random_seed=5)
    moved = draw.assign(y=draw["y"] + 8 * (draw["school"] % 2))
    found = {}
    for name, frame in (("right", draw), ("wrong", moved)):
        other = bm.Model(TEXT, frame, cluster=["child", "school"])
        posterior = exact_posterior(other, values, 60)
        table = synthetic_fit(other, posterior=posterior).ppp(random_seed=2)
        at = (table["level"] == "school") & (table["statistic"] == "variance")
        found[name] = float(table[at & (table["variable"] == "y")]["ppp"].iloc[0])
    assert 0.05 < found["right"] < 0.95
    assert found["wrong"] < 0.02


def exact_posterior(model: bm.Model, values: dict, draws: int) -> xr.Dataset:
    """Draws that all stand at the true values."""
    blueprint = model.unpiloted_blueprint()
    x = sampled_from_table(blueprint, theta_from_values(blueprint, values))
    variables, first = {}, 0
    for group in blueprint.parameters.groups:
        part = np.broadcast_to(x[first : first + len(group.free)], (2, draws, len(group.free)))
        variables[group.name] = (("chain", "draw", f"{group.name}_row"), part)
        first += len(group.free)
    coords = {"chain": [0, 1], "draw": np.arange(draws)}
    return xr.Dataset(variables, coords=coords)
