"""Likelihood ratios at the mode with sampled effects: what is at its mean, and what varies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.blueprint.values import theta_from_values
from bayes_msem.checking.predictive.at_mode import Refit, without_sampled_effects
from bayes_msem.checking.predictive.complete_data import CompleteModel
from bayes_msem.checking.predictive.design import check_design
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.structure import Structure, structure_at
from bayes_msem.inference.density import joint_log_likelihood, log_likelihood, no_coordinates
from benchmarks.planted import MODEL, SAMPLED_MODEL, planted
from tests.posterior.made_up import posterior_of, synthetic_fit
from tests.random.models import SAMPLED_CASES, build, effects, make_data, sampled_values

Array = NDArray[np.float64]
RANDOM = {"loading_sd": 0.2, "log_sd_of_y3": 0.3}


def models(frame: pd.DataFrame) -> tuple[bm.Model, bm.Model]:
    """A model with a random loading and variance, and the one in which they are constant."""
    random = bm.Model(SAMPLED_MODEL, data=frame, cluster="cluster", random_covariances="none")
    return random, bm.Model(MODEL, data=frame, cluster="cluster")


def values_of(loading: float, variance: float) -> dict[str, dict]:
    """The same parameters for both models."""
    common = {
        ("within", "fw", "=~", "y4"): 0.7, ("within", "fw", "=~", "y3"): 0.9,
        ("within", "fw", "~", "x"): 0.4, ("within", "fw", "~~", "fw"): 1.1,
        ("between", "fb", "~", "w"): 0.3, ("between", "fb", "~~", "fb"): 0.4,
    }  # fmt: skip
    common |= {("within", name, "~~", name): 0.6 for name in ("y1", "y2", "y4")}
    common |= {("between", f"y{i}", "~~", f"y{i}"): 0.1 + 0.02 * i for i in range(1, 5)}
    common |= {("between", "fb", "=~", f"y{i}"): 1.0 - 0.1 * i for i in range(2, 5)}
    common |= {("between", f"y{i}", "~", "1"): 0.1 * i for i in range(1, 5)}
    of_random = {
        ("between", "l2", "~", "1"): loading, ("between", "l2", "~~", "l2"): 0.3,
        ("between", "v3", "~", "1"): 0.5 * np.log(variance), ("between", "v3", "~~", "v3"): 0.2,
    }  # fmt: skip
    plain = {("within", "fw", "=~", "y2"): loading, ("within", "y3", "~~", "y3"): variance}
    return {"random": common | of_random, "constant": common | plain}


def test_with_effects_at_their_means_the_density_is_that_of_constant_ones() -> None:
    """Differences between two points, since the density of t at zero is a constant."""
    random, constant = models(planted(3, n_clusters=20))
    found = []
    for model, which in (
        (random.unpiloted_blueprint(), "random"),
        (constant.blueprint, "constant"),
    ):
        at = []
        for point in (values_of(0.8, 0.6), values_of(1.1, 0.4)):
            keys = {row.key for row in model.table.rows if row.free}
            assert keys == set(point[which])
            theta = theta_from_values(model, point[which])
            x = sampled_from_table(model, theta)
            if which == "random":
                at.append(joint_log_likelihood(model, x, no_coordinates(model))[0])
            else:
                at.append(log_likelihood(model, x)[0])
        found.append(at[0] - at[1])
    assert abs(found[1]) > 5
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_the_mode_is_that_of_the_constant_model() -> None:
    """Priors of a log SD and of an SD differ a little; the distances of the data do not."""
    observed = []
    for model in models(planted(3, n_clusters=100)):
        blueprint = model.unpiloted_blueprint()
        design = check_design(blueprint)
        data = blueprint.observed
        sample = Sample(design, data.y[design.rows] - design.center, data.z)
        refit = Refit(CompleteModel(blueprint, sample))
        assert refit.converged
        b = np.zeros((design.n_clusters, blueprint.n_sampled))
        point = np.ascontiguousarray(blueprint.extend_sampled(sampled_values(blueprint, 1)))
        structure = refit.structure(sample, structure_at(blueprint, design, point, b, {}))
        assert refit.failures == 0
        observed.append(
            [structure.sigma.mean(axis=0), structure.omega, structure.c.mean(axis=0)[1]]
        )
    for random, constant in zip(*observed, strict=True):
        assert random == pytest.approx(constant, abs=0.01)


@pytest.mark.parametrize("case", SAMPLED_CASES, ids=str)
def test_covariances_given_that_sampled_effects_are_where_z_puts_them(case) -> None:
    """Against the precision matrix of (a, z, r), r = b - E[b | z]: conditioning takes a block."""
    blueprint = build(case, make_data()).unpiloted_blueprint()
    design = check_design(blueprint)
    x, b = sampled_values(blueprint, 2), effects(blueprint, 2)
    point = np.ascontiguousarray(blueprint.extend_sampled(x))
    full = structure_at(blueprint, design, point, b, {})
    rng = np.random.default_rng(1)  # also where the model says that a, z and b do not covary
    root = rng.standard_normal(full.omega.shape)
    full = Structure(**{**vars_of(full), "omega": root @ root.T + np.eye(len(root))})
    found = without_sampled_effects(full)
    n_b = b.shape[1]
    n, n_z = len(full.omega) - n_b, design.observed.z.shape[1]
    turn = np.eye(len(full.omega))
    if n_z:
        z = slice(n - n_z, n)
        turn[n:, z] = -np.linalg.solve(full.omega[z, z], full.omega[z, n:]).T
    precision = np.linalg.inv(turn @ full.omega @ turn.T)
    assert found.omega == pytest.approx(np.linalg.inv(precision[:n, :n]), rel=1e-8, abs=1e-10)
    assert found.b.shape == (design.n_clusters, 0)
    assert found.mean.shape == (design.n_clusters, n)
    assert full.omega.shape == (n + n_b, n + n_b)  # what is given stays as it is


def vars_of(structure: Structure) -> dict:
    names = ("design", "point", "sigma", "c", "effect", "omega", "mean", "b", "values")
    return {name: getattr(structure, name) for name in names}


def refitted(seed: int, **misfit: float) -> dict[str, float]:
    """P-values by level, at the pilot's parameters."""
    frame = planted(seed, n_clusters=80, sizes=(12,), **RANDOM, **misfit)
    random, _ = models(frame)
    blueprint = random.blueprint
    assert blueprint.pilot is not None
    posterior = posterior_of(blueprint, np.tile(blueprint.pilot, (2, 60, 1)), seed)
    table = synthetic_fit(random, posterior=posterior).ppp("chi_square_refit")
    return dict(zip(table["level"], table["ppp"], strict=True))


def test_misfit_beside_random_loadings_and_variances_shows_at_its_level() -> None:
    right, within, between = refitted(1), refitted(1, within=0.6), refitted(2, between=0.95)
    assert all(0.03 < p < 0.97 for p in right.values())
    assert within["within"] < 0.02
    assert within["between"] > 0.05
    assert between["between"] < 0.02
    assert between["within"] > 0.05


def test_a_search_that_ends_nowhere_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no mode can be used, the distance is that from the draw, and the notes say so."""
    random, _ = models(planted(1, n_clusters=30, **RANDOM))
    assert random.blueprint.pilot is not None
    posterior = posterior_of(random.blueprint, np.tile(random.blueprint.pilot, (2, 5, 1)), 1)
    fit = synthetic_fit(random, posterior=posterior)
    found, calls = Refit._at_mode, []

    def singular_at_first(self: Refit, sample: Sample, near: Structure) -> Structure:
        calls.append(1)
        at = found(self, sample, near)
        singular = replace(at, omega=-10.0 * np.eye(len(at.omega)), found={})
        return singular if len(calls) in (2, 4) else at

    monkeypatch.setattr(Refit, "_at_mode", singular_at_first)
    check = fit.ppc("chi_square_refit")
    assert np.isfinite(check.replicated).all()
    assert any("the mode of 2 data sets was not found" in note for note in check.notes)
    far = check.replicated.reshape(10, 3)[:, 2]
    assert far[[0, 2]].min() > np.delete(far, [0, 2]).mean()


def test_what_vary_in_the_model_is_no_misfit_of_a_level() -> None:
    """Clusters differ twice as much as in `RANDOM`; replicates of the model do as well."""
    frame = planted(2, n_clusters=80, sizes=(12,), loading_sd=0.4, log_sd_of_y3=0.6)
    random, _ = models(frame)
    assert random.blueprint.pilot is not None
    posterior = posterior_of(random.blueprint, np.tile(random.blueprint.pilot, (2, 60, 1)), 1)
    table = synthetic_fit(random, posterior=posterior).ppp("chi_square_refit")
    assert table["ppp"].between(0.03, 0.97).all()
