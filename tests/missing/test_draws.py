"""What is drawn given incomplete data: linear effects, missing outcomes, replicated data."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_msem as bm
from bayes_msem.gaussian.normal import fill_missing
from tests.likelihood.cases import CASES, SINGLE_LEVEL_CASES, Case, make_model, two_level
from tests.missing.frames import holes
from tests.oracle import oracle_from_values
from tests.random.conditional import conditional
from tests.random.models import (
    LINEAR_CASES,
    SAMPLED_CASES,
    effects,
    linear_random,
    sampled_values,
    unpiloted,
)

Array = np.ndarray


@pytest.mark.parametrize("case", [LINEAR_CASES[4], LINEAR_CASES[12], SAMPLED_CASES[4]], ids=str)
def test_linear_effects_given_incomplete_data(case: Case) -> None:
    """Means and covariances of a_j against the conditional normal of the stacked cluster.

    Conditioning by a dense solve of matrices with condition numbers up to 1000: 1e-10.
    """
    this = conditional(case, holes(seed=7))
    blueprint = this.blueprint
    x, b = sampled_values(blueprint, 3), effects(blueprint, 3)
    likelihood, template = blueprint.likelihood, blueprint.template
    n_uses = len(template.effects.use_effect)
    point = np.ascontiguousarray(blueprint.extend_sampled(x))

    def draw(normals: Array) -> Array:
        return likelihood.linear_effects(point, b, normals, blueprint.statistics_by_cluster)[0]

    means = draw(np.zeros((len(b), n_uses)))
    roots = [draw(np.tile(e, (len(b), 1))) - means for e in np.eye(n_uses)]
    root = np.stack(roots, axis=-1)
    covariances = root @ root.transpose(0, 2, 1)
    slopes = list(linear_random(this.model).values())
    for j, units in enumerate(this.clusters()):
        oracle = this.oracle(x, b[j], units)
        mean, covariance = given_data(oracle, slopes, template.effects.linear)
        np.testing.assert_allclose(means[j], mean, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(covariances[j], covariance, rtol=1e-8, atol=1e-9)


def given_data(oracle: object, slopes: list[str], wanted: tuple[str, ...]) -> tuple[Array, Array]:
    """Mean and covariance of level-2 variables given the observed part of a cluster."""
    units = np.arange(len(oracle.frame))
    stacked = oracle.stacked(units)
    mean_u, covariance_u = oracle.effect_moments(units)
    x = oracle.data["x"][units]
    design = np.vstack([oracle.design(x_i) for x_i in x] + [oracle.between.F_z])
    seen = ~np.isnan(stacked.values)
    design, values = design[seen], stacked.values[seen]
    inverse = np.linalg.pinv(stacked.covariance[np.ix_(seen, seen)])
    slope = covariance_u @ design.T @ inverse
    mean = mean_u + slope @ (values - stacked.mean[seen])
    covariance = covariance_u - slope @ design @ covariance_u
    index = [position(oracle, slopes, name) for name in wanted]
    return mean[index], covariance[np.ix_(index, index)]


def position(oracle: object, slopes: list[str], name: str) -> int:
    """Position of an outcome's between part, or of a random slope, in the oracle's level 2."""
    observed = oracle.within.observed
    if name in observed:
        return int(np.argmax(oracle.between.F_y[observed.index(name)]))
    return oracle.slopes[slopes.index(name)].effect


def test_fill_missing_has_the_moments_of_the_conditional_normal() -> None:
    """100,000 draws: means within 4.5 standard errors of theirs, covariances within 3%."""
    rng = np.random.default_rng(1)
    root = rng.normal(size=(4, 4))
    covariance = root @ root.T
    mean = rng.normal(size=4)
    row = np.array([0.3, np.nan, -1.0, np.nan])
    values = np.tile(row, (100_000, 1))
    fill_missing(values, np.tile(mean, (len(values), 1)), covariance, rng)
    seen, gone = [0, 2], [1, 3]
    inverse = np.linalg.inv(covariance[np.ix_(seen, seen)])
    expected = mean[gone] + covariance[np.ix_(gone, seen)] @ inverse @ (row - mean)[seen]
    rest = (
        covariance[np.ix_(gone, gone)]
        - covariance[np.ix_(gone, seen)] @ inverse @ covariance[np.ix_(seen, gone)]
    )
    errors = np.sqrt(np.diag(rest) / len(values))
    assert (np.abs(values[:, gone].mean(axis=0) - expected) < 4.5 * errors).all()
    scale = np.sqrt(np.outer(np.diag(rest), np.diag(rest)))
    assert (np.abs(np.cov(values[:, gone].T) - rest) < 0.03 * scale).all()
    np.testing.assert_array_equal(values[:, seen], np.tile(row[seen], (len(values), 1)))


def synthetic_fit(model: bm.Model, draws: int, seed: int) -> bm.Fit:
    """Return a fit all of whose draws are one point: what remains random is what is imputed."""
    blueprint = unpiloted(model)
    object.__setattr__(model, "blueprint", blueprint)
    x = sampled_values(blueprint, seed)
    variables, first = {}, 0
    for group in blueprint.parameters.groups:
        part = x[first : first + len(group.free)]
        first += len(group.free)
        variables[group.name] = (
            ("chain", "draw", f"{group.name}_row"),
            np.tile(part, (2, draws // 2, 1)),
        )
    if blueprint.n_sampled:
        t = np.random.default_rng(seed).normal(size=effects(blueprint, seed).shape)
        variables["effect_coordinates"] = (
            ("chain", "draw", "cluster_id", "sampled_effect"),
            np.tile(t, (2, draws // 2, 1, 1)),
        )
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(variables)})
    tree.attrs["random_seed"] = seed
    return bm.Fit(model, tree)


IMPUTED = (
    two_level("intercepts and z", "f =~ y1 + y2 + y3\nf ~ x1", "z1 ~ y1 + w1\nz2 ~~ z1\ny1 ~~ y2"),
    two_level("slope", 'y1 ~ rv("s")*x1\ny2 ~ y1', "y1 + s ~ w1\nz1 ~ s"),
)


@pytest.mark.parametrize("case", IMPUTED, ids=str)
def test_imputations_have_the_moments_of_the_stacked_cluster(case: Case) -> None:
    """One value of the parameters, 4,000 imputations: the predictive distribution given the data.

    Means within 5 standard errors (some 100 of them are compared), SDs within 8%.
    """
    frame = holes(seed=7)
    model = make_model(case, frame)
    fit = synthetic_fit(model, 4000, 3)
    names = [*model._observed.y_names, *model._observed.z_names]
    completed = fit.impute(4000, random_seed=1)
    values = np.stack([c[names].to_numpy() for c in completed])
    blueprint = model.blueprint
    theta = blueprint.theta(blueprint.extend_sampled(sampled_values(blueprint, 3))[None, :])[0]
    table = {
        r.key: float(blueprint.row_value(r.key, theta))
        for r in model.table.rows
        if not r.random and r.kind != "defined"
    }
    oracle = oracle_from_values(table, frame, "group", random=linear_random(model))
    compared = 0
    for units in oracle.clusters().values():
        stacked = oracle.stacked(units)
        order = [oracle.within.observed.index(n) for n in model._observed.y_names]
        of_z = [oracle.between.outcomes.index(n) for n in model._observed.z_names]
        p = len(order)
        places = np.r_[
            np.concatenate([i * p + np.array(order) for i in range(len(units))]),
            len(units) * p + np.array(of_z, dtype=int),
        ]
        v, m = stacked.values[places], stacked.mean[places]
        s = stacked.covariance[np.ix_(places, places)]
        seen = ~np.isnan(v)
        slope = s[np.ix_(~seen, seen)] @ np.linalg.pinv(s[np.ix_(seen, seen)])
        mean = m[~seen] + slope @ (v - m)[seen]
        sd = np.sqrt(np.diag(s[np.ix_(~seen, ~seen)] - slope @ s[np.ix_(seen, ~seen)]))
        draws = np.concatenate(
            [values[:, units, :p].reshape(len(values), -1), values[:, units[0], p:]], axis=1
        )
        np.testing.assert_array_equal(draws[:, seen], np.tile(v[seen], (len(draws), 1)))
        imputed = draws[:, ~seen]
        assert (np.abs(imputed.mean(axis=0) - mean) < 5 * sd / np.sqrt(len(draws))).all()
        np.testing.assert_allclose(imputed.std(axis=0), sd, rtol=0.08)
        compared += len(mean)
    assert compared > 30


def test_imputation_with_sampled_effects_and_in_single_level_models() -> None:
    for case in (SAMPLED_CASES[1], SINGLE_LEVEL_CASES[4]):
        frame = holes(seed=7)
        model = make_model(case, frame)
        names = list(model._observed.y_names)
        completed = synthetic_fit(model, 4, 3).impute(3)
        assert len(completed) == 3
        for one in completed:
            assert np.isfinite(one[names].to_numpy()).all()
            seen = frame[names].notna().to_numpy()
            np.testing.assert_array_equal(
                one[names].to_numpy()[seen], frame[names].to_numpy()[seen]
            )
        assert not completed[0][names].equals(completed[1][names])


def test_imputation_refuses() -> None:
    case = IMPUTED[1]
    complete = make_model(case, holes(share=0.0).dropna())
    with pytest.raises(bm.SpecificationError, match="no missing values"):
        synthetic_fit(complete, 4, 3).impute()
    with pytest.raises(bm.SpecificationError, match=r"draws=20 data sets .* from 1 to 4"):
        synthetic_fit(make_model(case, holes()), 4, 3).impute()


@pytest.mark.parametrize("case", [CASES[3], LINEAR_CASES[4], SINGLE_LEVEL_CASES[0]], ids=str)
def test_simulated_data_are_complete(case: Case) -> None:
    from tests.likelihood.cases import free_values, random_values

    model = make_model(case, holes(seed=7))
    values = free_values(model, random_values(case, model, 1))
    data = model.simulate(values, random_seed=1)
    assert len(data) == 35
    assert data.notna().all().all()


def test_report_and_print() -> None:
    frame = holes(seed=7)
    model = make_model(IMPUTED[0], frame)
    report, text = model.missing, str(model)
    y = frame[["y1", "y2", "y3"]]
    counts = report.variables.set_index("variable")["missing"]
    assert counts["y1"] == y["y1"].isna().sum()
    assert counts["z1"] == frame.groupby("group")["z1"].first().isna().sum()
    both = (y["y1"].notna() & y["y2"].notna()).mean()
    assert report.coverage.loc["y1", "y2"] == pytest.approx(both)
    assert report.patterns["rows"].sum() == len(frame)
    assert len(report.patterns) == len(y.isna().drop_duplicates())
    assert report.empty_rows == y.isna().all(axis=1).sum()
    for part in ("Missing values (missing='fiml')", "Patterns (y1, y2, y3", "Coverage of pairs"):
        assert part in text
    assert "response pattern" in text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.SmallSampleWarning)
        with pytest.warns(bm.MissingDataWarning, match=r"\d+ rows with missing values left out"):
            listwise = bm.Model(IMPUTED[1].text, data=frame, cluster="group", missing="listwise")
    assert "left out" in str(listwise)


def test_pairs_never_observed_together_are_named() -> None:
    frame = holes(share=0.0)
    half = np.arange(len(frame)) % 2 == 0
    frame = frame.assign(y1=frame["y1"].where(half), y2=frame["y2"].where(~half))
    model = make_model(two_level("pair", "y1 ~~ y2", "y1 ~~ y2"), frame)
    assert any("'y1' and 'y2' are never observed in the same row" in note for note in model._notes)


def test_pymc_model_integrates_missing_values() -> None:
    """Its density is the same function; nothing is imputed by PyMC."""
    from bayes_msem.inference.density import log_posterior

    model = make_model(LINEAR_CASES[0], holes(seed=7))
    pymc_model = model.pymc_model
    assert [v.name for v in pymc_model.free_RVs] == [
        g.name for g in model.blueprint.parameters.groups
    ]
    u = np.zeros(model.blueprint.parameters.n)
    expected = log_posterior(model.blueprint, u, jacobian=True)[0]
    point, first = {}, 0
    for group, value in zip(model.blueprint.parameters.groups, pymc_model.value_vars, strict=True):
        point[value.name] = u[first : first + len(group.free)]
        first += len(group.free)
    assert float(pymc_model.compile_logp()(point)) == pytest.approx(expected, rel=1e-10)
    assert isinstance(pd.DataFrame(model.parameter_table), pd.DataFrame)
