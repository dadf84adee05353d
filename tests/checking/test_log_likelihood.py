"""Log-likelihoods per unit and draw: against the oracle, against normal densities by hand."""

from __future__ import annotations

from pathlib import Path

import arviz_stats as az
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

import bayes_msem as bm
from bayes_msem.blueprint.blueprint import with_approximation
from bayes_msem.checking.accuracy.log_likelihood import unit_labels, unit_positions
from bayes_msem.likelihood.approximation import no_approximation
from bayes_msem.posterior.draws import sampled_parameters
from tests.likelihood.cases import (
    SINGLE_LEVEL_CASES,
    TWO_LEVEL_CASES,
    Case,
    make_frame,
    make_model,
)
from tests.missing.frames import OUTCOMES, holes
from tests.oracle import modelled, oracle_from_values, table_rows
from tests.posterior.made_up import synthetic_fit
from tests.random import level_two
from tests.random.conditional import Conditional
from tests.random.models import LINEAR_CASES, build, case, linear_random, make_data

Array = NDArray[np.float64]

CHAINS, DRAWS = 2, 3


def values_at(fit: bm.Fit, chain: int, draw: int) -> dict[tuple[str, str, str, str], float]:
    return {key: float(d[chain, draw]) for key, d in fit.draws.items()}


@pytest.mark.parametrize("incomplete", [False, True])
@pytest.mark.parametrize("case", [*TWO_LEVEL_CASES[2::4], *LINEAR_CASES[::5]], ids=str)
def test_clusters_of_marginal_plans_equal_the_oracle(case: Case, incomplete: bool) -> None:
    frame = holes() if incomplete else make_data()
    fit = synthetic_fit(build(case, frame), chains=CHAINS, draws=DRAWS)
    found = fit.log_likelihood(unit="cluster")
    assert found.dims == ("chain", "draw", "cluster_id")
    for chain, draw in ((0, 0), (1, 2)):
        values = {k: v for k, v in values_at(fit, chain, draw).items() if np.isfinite(v)}
        oracle = oracle_from_values(values, frame, "group", random=linear_random(fit.model))
        expected = oracle.cluster_log_likelihoods().loc[list(found["cluster_id"].to_numpy())]
        # rounding of stacked covariance matrices, as in tests.checking.test_cluster_terms
        at = found.sel(chain=chain, draw=draw).to_numpy()
        np.testing.assert_allclose(at, expected, rtol=1e-8, atol=1e-8)
    assert found.attrs["largest_integration_error"] == 0.0


@pytest.mark.parametrize("case", SINGLE_LEVEL_CASES[:6], ids=str)
@pytest.mark.parametrize("incomplete", [False, True])
def test_rows_of_single_level_models_equal_the_oracle(case: Case, incomplete: bool) -> None:
    frame = holes() if incomplete else make_frame()
    fit = synthetic_fit(make_model(case, frame), chains=CHAINS, draws=DRAWS)
    found = fit.log_likelihood()  # there is but one unit
    oracle = oracle_from_values(values_at(fit, 1, 1), frame)
    expected = oracle.cluster_log_likelihoods().to_numpy()[found["obs_id"].to_numpy()]
    np.testing.assert_allclose(found.sel(chain=1, draw=1), expected, rtol=1e-10, atol=1e-10)
    empty = frame[list(fit.model.observed.y_names)].isna().all(axis=1)
    assert found.attrs["left_out"] == empty.sum()
    assert set(found["obs_id"].to_numpy()) == set(np.flatnonzero(~empty))


@pytest.mark.parametrize("incomplete", [False, True])
@pytest.mark.parametrize("name", ["everything", "slope on a factor", "slope of a factor"])
def test_rows_given_effects_are_normal(name: str, incomplete: bool) -> None:
    """Means and covariance matrix of every row from the oracle, at the effects of the draw."""
    frame = holes(seed=5) if incomplete else make_data()
    this_case = case(name)
    fit = synthetic_fit(build(this_case, frame), chains=1, draws=DRAWS)
    this = Conditional(this_case, fit.model, fit.model.blueprint, frame)
    found = fit.log_likelihood(unit="observation").isel(chain=0, draw=1)
    x = sampled_parameters(fit.model.blueprint, fit.datatree["posterior"].to_dataset())[0, 1]
    linear = fit.model.blueprint.template.effects.linear
    for j, units in enumerate(this.clusters()):
        effects = fit.cluster_draws["effects"].isel(chain=0, draw=1, cluster_id=j)
        b = effects.sel(effect=list(this.names)).to_numpy()
        a = effects.sel(effect=list(linear)).to_numpy()
        y, means, covariance = level_two.cluster(this, x, b, units).rows(a)
        check_rows(found, units, y, means, covariance)


@pytest.mark.parametrize("name", ["x and w on factors and indicators", "within-only outcome"])
def test_rows_given_intercepts_are_normal(name: str) -> None:
    """Models with the likelihood from sufficient statistics per cluster size."""
    this_case = next(c for c in TWO_LEVEL_CASES if c.name == name)
    frame = make_frame()
    fit = synthetic_fit(make_model(this_case, frame), chains=1, draws=DRAWS)
    found = fit.log_likelihood(unit="observation").isel(chain=0, draw=2)
    values = values_at(fit, 0, 2)
    oracle = oracle_from_values(values, frame, "group")
    names = modelled([row for row in table_rows(values) if row.level == "between"])
    effects = fit.cluster_draws["effects"].isel(chain=0, draw=2)
    for label, units in oracle.clusters().items():
        u = np.zeros(len(names))
        for effect in effects["effect"].to_numpy():
            u[names.index(effect)] = effects.sel(cluster_id=str(label), effect=effect)
        w, total = oracle.within, oracle.total
        shift = oracle.between.F_y @ u
        x = oracle.data["x"][units]
        means = np.array([total @ (w.alpha + w.G @ x_i) + shift for x_i in x])
        check_rows(found, units, oracle.data["y"][units], means, total @ w.Psi @ total.T)


def check_rows(
    found: xr.DataArray, units: NDArray[np.intp], y: Array, means: Array, covariance: Array
) -> None:
    for row, values, mean in zip(units, y, means, strict=True):
        seen = ~np.isnan(values)
        if not seen.any():
            assert row not in found["obs_id"]
            continue
        normal = multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)])
        expected = normal.logpdf(values[seen])
        assert float(found.sel(obs_id=row)) == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_the_sum_over_clusters_is_the_log_likelihood() -> None:
    model = build(LINEAR_CASES[0], make_data())
    fit = synthetic_fit(model, chains=1, draws=DRAWS)
    total = fit.log_likelihood().sum("cluster_id").isel(chain=0).to_numpy()
    free = {row.key for row in model.table.rows if row.free}
    for draw in range(DRAWS):
        values = {k: v for k, v in values_at(fit, 0, draw).items() if k in free}
        assert total[draw] == pytest.approx(model.log_likelihood(values), rel=1e-10)


def test_it_is_computed_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fit = synthetic_fit(build(case("slope"), make_data()), chains=CHAINS, draws=DRAWS)
    found = {unit: fit.log_likelihood(unit) for unit in ("cluster", "observation")}
    monkeypatch.setattr("bayes_msem.fit.accuracy.cluster_log_likelihood", None)
    monkeypatch.setattr("bayes_msem.fit.accuracy.observation_log_likelihood", None)
    fit.save(tmp_path / "fit.nc")
    for same in (fit, bm.load(tmp_path / "fit.nc")):
        for unit, values in found.items():
            again = same.log_likelihood(unit)
            np.testing.assert_array_equal(again, values)
            assert again.attrs == values.attrs
            assert unit in same.datatree["log_likelihood"].data_vars
    assert list(found["cluster"]["cluster_id"]) == [str(c) for c in fit.model.observed.cluster_ids]


def test_sampled_effects_state_their_error(tmp_path: Path) -> None:
    fit = synthetic_fit(build(case("residual SD"), make_data()), chains=CHAINS, draws=DRAWS)
    # made-up coordinates are bad ones; with those of no information 512 nodes are plenty
    plain = fit.model.unpiloted_blueprint()
    shape = (plain.observed.n_clusters, 1)
    vars(fit.model)["blueprint"] = with_approximation(
        plain, no_approximation(*shape), np.zeros(plain.parameters.n)
    )
    found = fit.log_likelihood(nodes=512)
    errors = fit.datatree["log_likelihood_error"]["cluster"]
    assert errors.dims == found.dims
    assert errors.shape == found.shape
    assert (errors > 0).all()
    assert found.attrs["largest_integration_error"] == float(errors.max())
    assert found.attrs["nodes"] == 512
    assert fit.log_likelihood(nodes=512).identical(found)
    more = fit.log_likelihood(nodes=2048)  # other nodes: computed anew
    assert not more.equals(found)
    larger = 8 * np.hypot(errors, fit.datatree["log_likelihood_error"]["cluster"])
    assert (abs(more - found) < larger + 1e-9).all()
    fit.save(tmp_path / "fit.nc")
    loaded = bm.load(tmp_path / "fit.nc")
    assert loaded.log_likelihood(nodes=2048).equals(more)


def test_large_errors_are_told() -> None:
    fit = synthetic_fit(build(case("everything"), make_data()), chains=1, draws=DRAWS)
    with pytest.warns(bm.AccuracyWarning, match=r"of 10 clusters .*nodes=32"):
        fit.log_likelihood(nodes=8)


def test_thinning_only_on_request() -> None:
    fit = synthetic_fit(build(case("slope"), make_data()), chains=CHAINS, draws=5)
    for unit in ("cluster", "observation"):
        some = fit.log_likelihood(unit, thin=2)
        assert "log_likelihood" not in fit.datatree.children
        assert some["draw"].to_numpy().tolist() == [0, 2, 4]
    for unit in ("cluster", "observation"):
        every = fit.log_likelihood(unit)
        np.testing.assert_allclose(
            fit.log_likelihood(unit, thin=2), every.isel(draw=slice(None, None, 2)), rtol=1e-12
        )


def test_units_without_outcomes_are_left_out() -> None:
    """A cluster whose rows are all empty counts if a cluster-level outcome is observed."""
    frame = holes(seed=1)
    empty = frame.groupby("group")[list(OUTCOMES)].apply(lambda part: part.isna().all().all())
    assert empty.sum() == 1
    with_z = build(case("slope predicts z"), frame).observed
    without = make_model(TWO_LEVEL_CASES[1], frame).observed
    z_known = unit_labels(with_z, "cluster")
    assert empty.idxmax() in z_known
    assert empty.idxmax() not in unit_labels(without, "cluster")
    assert len(unit_positions(without, "cluster")) < without.n_clusters


def test_arviz_finds_it() -> None:
    fit = synthetic_fit(build(case("slope"), make_data()), chains=2, draws=100)
    fit.log_likelihood("cluster")
    fit.log_likelihood("observation")
    with pytest.warns(UserWarning, match="Estimated shape parameter"):  # made-up draws
        found = az.loo(fit.datatree, var_name="cluster", pointwise=True)
    assert found.n_data_points == 10
    assert list(found.elpd_i.coords) == ["cluster_id"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "clusters"}, "unit='clusters' is unknown.*did you mean 'cluster'"),
        ({"thin": 0}, "thin must be an integer, at least 1, got 0"),
    ],
)
def test_refusals(options: dict[str, object], message: str) -> None:
    fit = synthetic_fit(build(case("slope"), make_data()), chains=1, draws=2)
    with pytest.raises(bm.SpecificationError, match=message):
        fit.log_likelihood(**options)  # type: ignore[arg-type]


def test_refusals_that_depend_on_the_model() -> None:
    single = synthetic_fit(make_model(SINGLE_LEVEL_CASES[0], make_frame()), chains=1, draws=2)
    with pytest.raises(bm.SpecificationError, match="single-level model"):
        single.log_likelihood("cluster")
    sampled = synthetic_fit(build(case("residual SD"), make_data()), chains=1, draws=2)
    with pytest.raises(bm.SpecificationError, match="nodes must be an integer, from 8"):
        sampled.log_likelihood(nodes=4)
