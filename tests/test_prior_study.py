"""The study of default priors: one run of NUTS serves all candidates, and serves them right."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LONG = {"draws": 3000, "tune": 300, "chains": 2}


@pytest.fixture(scope="module")
def study() -> Iterator[Any]:
    """Modules of the study, imported as the script imports them."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    import models
    import prior_candidates
    import prior_cells
    import prior_designs
    import prior_report
    import prior_reweighting
    import prior_study

    yield SimpleNamespace(
        models=models,
        candidates=prior_candidates,
        draws=prior_reweighting,
        cell=prior_cells.Cell,
        designs=prior_designs,
        report=prior_report,
        script=prior_study,
    )
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None)
        if path is not None and Path(path).parent == BENCHMARKS:
            del sys.modules[name]


def model_of(study: Any, cell: Any, seed: int = 0) -> Any:
    design = study.designs.DESIGNS[cell.design]
    return study.models.quiet_model(design.text, design.frame(cell, seed), "cluster", "wide")


def test_ratios_are_those_of_the_densities(study: Any) -> None:
    """Log ratios against prior densities of whole models, which the package computes."""
    from bayes_msem.inference.density import log_prior

    c = study.candidates
    for design in ("mediation", "factor", "slopes"):
        setting = c.Setting(model_of(study, study.cell(design, 8, 5, 0.2)))
        rng = np.random.default_rng(3)
        x = study.draws.prior_draws(setting, c.WIDE, 4, rng)
        groups = setting.blueprint.parameters.groups
        start = 0
        for group in groups:  # partial correlations: shares in the middle
            if group.kind == "covariance":
                x[:, start : start + len(group.free)] = 0.4
            start += len(group.free)
        candidates = [k for k in c.candidates_of(design) if k.is_product]
        ratios = study.draws.log_ratios(setting, candidates, x)
        for candidate, line in zip(candidates, ratios, strict=True):
            own = setting.under(setting.priors(candidate))
            # groups are by family, so that the order of x may change
            order = [setting.blueprint.parameters.position[row.free] for row in own.parameters.rows]
            expected = [
                log_prior(own, row[order])[0] - log_prior(setting.blueprint, row)[0] for row in x
            ]
            assert line == pytest.approx(expected, abs=1e-8), candidate.name


@pytest.mark.parametrize("kind", ["R2D2", "R2 of s"])
def test_r2_density_of_one_slope(study: Any, kind: str) -> None:
    """The density of a slope integrates to 1, and its quartiles are those of a simulation."""
    c = study.candidates
    setting = c.Setting(model_of(study, study.cell("contextual", 20, 5, 0.2)))
    ((_, (slope,), variance),) = setting.shared()
    position = setting.blueprint.parameters.position
    sigma = 0.3

    def density(value: float) -> float:
        x = np.zeros((1, setting.blueprint.parameters.n))
        x[0, position[slope.free]], x[0, position[variance.free]] = value, sigma
        return float(np.exp(study.draws.shared_r2(setting, kind, x)[0]))

    rng = np.random.default_rng(1)
    r2 = rng.uniform(size=200_000)
    net_x, s_y = setting.net.of("between", "x"), setting.raw.of("between", "y")
    sd = sigma * np.sqrt(r2 / (1 - r2)) if kind == "R2D2" else s_y * np.sqrt(r2)
    simulated = sd / net_x * rng.standard_normal(len(r2))
    upper = np.quantile(simulated, 0.75)
    inside = 2 * integrate.quad(density, 0, upper, limit=200)[0]
    assert inside == pytest.approx(0.5, abs=0.01)


def test_r2_of_two_predictors(study: Any) -> None:
    """Draws from the joint prior have the R2 that it promises, and its density agrees."""
    c = study.candidates
    setting = c.Setting(model_of(study, study.cell("mediation", 20, 5, 0.2)))
    (_, slopes, variance), *_ = setting.shared()
    assert len(slopes) == 2
    x = study.draws.prior_draws(setting, c.Candidate("R2D2"), 20_000, np.random.default_rng(1))
    position = setting.blueprint.parameters.position
    net = np.array([setting.net.of("between", row.rhs) for row in slopes])
    sigma = x[:, position[variance.free]]
    standard = x[:, [position[r.free] for r in slopes]] * net / sigma[:, None]
    r2, split = study.draws.shares_of_variance(2)
    assert np.quantile(r2, [0.25, 0.5, 0.75]) == pytest.approx(
        stats.beta(1.5, 1.5).ppf([0.25, 0.5, 0.75]), abs=0.02
    )
    assert split.sum(axis=1) == pytest.approx(1.0, abs=2e-3)
    # explained variance given R2 has the mean R2 / (1 - R2): compare the two below a bound
    bound = 0.5
    simulated = ((standard**2).sum(axis=1) < bound).mean()
    odds = r2 / (1 - r2)
    rng = np.random.default_rng(2)
    k = rng.integers(len(r2), size=20_000)
    z = rng.standard_normal((20_000, 2)) * np.sqrt(split[k] * odds[k, None])
    assert simulated == pytest.approx(((z**2).sum(axis=1) < bound).mean(), abs=0.02)


@pytest.mark.parametrize("design", ["contextual", "mediation"])
def test_reweighted_draws_are_those_of_complete_fits(study: Any, design: str) -> None:
    """Medians and limits against NUTS under the candidate's own priors; unweighted ones differ."""
    c, cell = study.candidates, study.cell(design, 10, 20, 0.05)
    truth = study.designs.DESIGNS[design].truth(cell.icc)
    setting = c.Setting(model_of(study, cell, seed=2))
    estimands = study.designs.DESIGNS[design].estimands
    x = study.draws.draws_under(setting.blueprint, truth, seed=1, **LONG)
    plain = estimands(setting.values(x))
    candidates = [c.WIDE, c.Candidate("1", "gamma net"), c.Candidate("1 net", "lognormal")]
    logs, k = study.draws.log_weights(study.draws.log_ratios(setting, candidates, x))
    assert (k < 0.7).all()
    differences = []
    for candidate, log in zip(candidates, logs, strict=True):
        own = estimands(study.script.own_draws(setting, candidate, truth, 5, LONG))
        weights = np.exp(log)[None, :]
        # effective draws: of the weights, and half of those of a chain
        n = 0.5 / (1 / (0.5 / (weights**2).sum()) + 1 / (0.5 * len(x)))
        for name, values in own.items():
            sd = np.std(values)
            ((low, median, high),) = study.draws.weighted_quantiles(
                plain[name], weights, (0.1, 0.5, 0.9)
            )
            expected = np.quantile(values, (0.1, 0.5, 0.9))
            # standard errors of quantiles of a normal: 1.25 and 1.71 SD / sqrt(n)
            for found, right, factor in zip(
                (low, median, high), expected, (1.71, 1.25, 1.71), strict=True
            ):
                assert abs(found - right) < 4 * factor * sd / np.sqrt(n), (candidate, name)
            differences.append(abs(np.quantile(plain[name], 0.9) - expected[2]) * np.sqrt(n) / sd)
    assert max(differences) > 8  # so that weights of 1 would fail


def test_both_proposals_serve_priors_on_r2(study: Any) -> None:
    c, cell = study.candidates, study.cell("mediation", 50, 20, 0.2)
    truth = study.designs.DESIGNS["mediation"].truth(cell.icc)
    model, candidate = model_of(study, cell), c.Candidate("R2D2", "lognormal net")
    found = []
    for narrow in (False, True):
        setting = c.Setting(model, narrow=narrow)
        x = study.draws.draws_under(setting.blueprint, truth, seed=4, **LONG)
        logs, k = study.draws.log_weights(study.draws.log_ratios(setting, [candidate], x))
        assert k[0] < 0.7
        slope = setting.values(x)["between", "m", "~", "x"]
        found.append(study.draws.weighted_quantiles(slope, np.exp(logs), (0.1, 0.5, 0.9))[0])
        sd = np.std(slope)
    assert found[0] == pytest.approx(found[1], abs=0.15 * sd)


def test_generating_values_are_those_of_the_data(study: Any) -> None:
    """Moments of large data sets against the true values of the tables."""
    for name, design in study.designs.DESIGNS.items():
        cell = study.cell(name, 4000, 20, 0.2)
        frame = design.frame(cell, 1)
        truth = design.truth(0.2)
        within, between = frame.groupby("cluster"), frame.groupby("cluster").mean()
        if name == "slopes":
            by = within.apply(lambda g: np.polyfit(g["x"], g["y"], 1)[0], include_groups=False)
            slope = np.cov(by, between["w"])[0, 1] / between["w"].var()
            assert slope == pytest.approx(truth["between", "s", "~", "w"], abs=0.02)
            continue
        pair = {"factor": ("y1", "y2"), "msalt": ("gse", "talent")}.get(name, ("x", "y"))
        size = within.size()
        n = len(size) / (1 / size).sum()
        deviation = frame[list(pair)] - within[list(pair)].transform("mean")
        inside = deviation.T @ deviation / (len(frame) - len(size))
        covariance = between[list(pair)].cov() - inside / n
        if name == "factor":
            factor = truth["between", "fb", "~~", "fb"]
            expected = truth["between", "fb", "=~", "y2"] * factor
        elif name == "mediation":
            expected = 0.2 * (0.2 + 0.4 * 0.5)  # psi_x (c + a b)
        else:
            expected = (
                truth["between", pair[0], "~~", pair[0]] * truth["between", pair[1], "~", pair[0]]
            )
        tolerance = 0.02 if name != "msalt" else 0.05
        assert covariance.iloc[0, 1] == pytest.approx(expected, abs=tolerance), name


def test_study_goes_on_where_it_stopped(study: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Two runs of one set each give what one run of two sets gives."""
    monkeypatch.setattr(study.script, "BUDGET", {"draws": 60, "tune": 60, "chains": 1})
    options = ["--designs", "slopes", "--clusters", "5"]
    monkeypatch.setattr(study.script, "cells", lambda: [study.cell("slopes", 5, 5, 0.2)])
    once, twice = tmp_path / "once.csv.xz", tmp_path / "twice.csv.xz"
    study.script.main([*options, "--sets", "2", "--results", str(once)])
    for sets in ("1", "2"):
        study.script.main([*options, "--sets", sets, "--results", str(twice)])
    first, second = pd.read_csv(once), pd.read_csv(twice)
    assert set(first["tried"]) == {2}
    numbers = first.columns.difference(study.script.KEYS)
    assert first[study.script.KEYS].equals(second[study.script.KEYS])
    np.testing.assert_allclose(first[numbers], second[numbers], rtol=1e-3, atol=1e-8)


def test_measures_are_those_of_the_errors(study: Any) -> None:
    """Sums of a handful of errors against direct formulas."""
    rng = np.random.default_rng(1)
    e, t = rng.standard_normal(40) * 0.3, rng.standard_normal(40)
    c, tc = rng.random(40) < 0.9, rng.random(40) < 0.95
    line = {
        **dict(zip(study.script.KEYS, ["strong", 5, 5, 0.2, "a", "b"], strict=True)),
        "truth": 0.5, "tried": 41, "sets": 40, "high_k": 0, "refits": 0,
        "e": e.sum(), "e2": (e**2).sum(), "e4": (e**4).sum(),
        "t2": (t**2).sum(), "t4": (t**4).sum(), "e2_t2": (e**2 * t**2).sum(),
        "c": c.sum(), "tc": tc.sum(), "c_tc": (c & tc).sum(),
        "log_width": np.log(2.0) * 40, "within_2": 10,
    }  # fmt: skip
    found = study.report.measures(pd.DataFrame([line])).iloc[0]
    assert found["bias"] == pytest.approx(e.mean())
    assert found["rmse"] == pytest.approx(np.sqrt((e**2).mean()))
    assert found["width"] == pytest.approx(2.0)
    assert found["loss"] == pytest.approx(tc.mean() - c.mean())
    assert found["loss_error"] == pytest.approx(np.std(tc.astype(float) - c) / np.sqrt(40))
    boot = rng.integers(40, size=(4000, 40))
    ratios = np.log((e[boot] ** 2).mean(axis=1) / (t[boot] ** 2).mean(axis=1)) / 2
    assert found["ratio_error"] == pytest.approx(ratios.std(), rel=0.15)
