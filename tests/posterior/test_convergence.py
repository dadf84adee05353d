"""Grades of convergence: the numbers behind them, the rows they name, and one piece of advice."""

from __future__ import annotations

import arviz_stats as azs
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray

import bayes_msem as bm
from bayes_msem.posterior.chain_checks import check_convergence
from bayes_msem.posterior.convergence import Convergence, told_apart
from tests.posterior.made_up import random_posterior, synthetic_fit
from tests.random.models import build, case

Array = NDArray[np.float64]

NAMES = [f"between: y{i} ~~ y{i}" for i in range(4)]


def chains(n_chains: int, n_draws: int, persistence: float = 0.0, seed: int = 1) -> Array:
    """Draws of a stationary first-order autoregression for each of four parameters."""
    x = np.random.default_rng(seed).standard_normal((n_chains, n_draws, 4))
    for i in range(1, n_draws):
        step = np.sqrt(1 - persistence**2) * x[:, i]
        x[:, i] = persistence * x[:, i - 1] + step
    return x


def judged(x: Array, divergences: int = 0, **options: object) -> Convergence:
    diverging = np.zeros(x.shape[:2], dtype=bool)
    diverging.flat[:divergences] = True
    stats = xr.Dataset({"diverging": (("chain", "draw"), diverging)})
    return check_convergence(x, stats, NAMES, **options)  # type: ignore[arg-type]


def r_hat(x: Array) -> float:
    return float(azs.rhat(xr.Dataset({"x": (("chain", "draw"), x)}))["x"])


def shifted(target: float) -> Array:
    """Draws whose second parameter has an R-hat just above ``target``: one chain is moved."""
    x = chains(4, 1000)
    low, high = 0.0, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        moved = x[..., 1] + middle * np.array([0, 0, 0, 1.0])[:, None]
        low, high = (low, middle) if r_hat(moved) > target else (middle, high)
    x[..., 1] += high * np.array([0, 0, 0, 1.0])[:, None]
    return x


def test_chains_that_agree_are_fine() -> None:
    found = judged(chains(4, 1000))
    assert (found.grade, found.problems, found.rows, found.advice) == ("fine", (), (), "")
    assert str(found).endswith("0 divergences: converged")
    assert found.max_r_hat <= 1.01
    assert found.min_ess >= 400


def test_a_near_miss_is_a_near_miss_and_its_digits_say_so() -> None:
    found = judged(shifted(1.01))
    assert 1.01 < found.max_r_hat < 1.01001
    assert found.grade == "sample longer"
    (problem,) = found.problems
    shown = problem.split("y1 ~~ y1 (")[1].split(")")[0]
    assert 1.01 < float(shown) < 1.01001
    assert "R-hat is above 1.01 for 1 of 4 parameters: between: y1 ~~ y1 (" in problem
    assert "Do not use" not in found.advice
    assert "1.010 " not in str(found)
    assert "1.010," not in str(found)
    (row,) = found.rows
    assert (row.name, row.r_hat) == ("between: y1 ~~ y1", found.max_r_hat)
    assert judged(shifted(1.05)).grade == "do not use"
    assert judged(shifted(1.03)).grade == "sample longer"


@pytest.mark.parametrize(
    ("value", "limit", "digits", "text"),
    [
        (1.0100001, 1.01, 3, "1.0100001"),
        (1.0099, 1.01, 3, "1.0099"),
        (1.01, 1.01, 3, "1.010"),
        (1.0123, 1.01, 3, "1.012"),
        (399.7, 400, 0, "399.7"),
        (138.2, 400, 0, "138"),
        (float("nan"), 1.01, 3, "nan"),
        (float("inf"), 1.01, 3, "inf"),
        (9.9e15, 1.01, 3, "9.9e+15"),
    ],
)
def test_digits_that_tell_a_number_from_its_limit(
    value: float, limit: float, digits: int, text: str
) -> None:
    assert told_apart(value, limit, digits) == text


@pytest.mark.parametrize(
    ("persistence", "grade"), [(0.3, "fine"), (0.88, "sample longer"), (0.995, "do not use")]
)
def test_effective_sample_sizes(persistence: float, grade: str) -> None:
    """An autoregression with coefficient r has an ESS of about (1 - r) / (1 + r) of the draws."""
    found = judged(chains(4, 1000, persistence))
    assert found.grade == grade
    expected = 4000 * (1 - persistence) / (1 + persistence)
    assert 0.2 * expected < found.min_ess < 1.3 * expected
    slow = [p for p in found.problems if "effective sample size is below 400" in p]
    assert bool(slow) == (grade != "fine")
    least = [row.ess for row in found.rows if row.ess < 400]
    assert len(least) == (int(slow[0].split(" for ")[1].split(" of ")[0]) if slow else 0)
    assert not least or min(least) == found.min_ess


@pytest.mark.parametrize(
    ("divergences", "grade"),
    [(0, "fine"), (1, "sample longer"), (40, "sample longer"), (41, "do not use")],
)
def test_divergences_by_their_share(divergences: int, grade: str) -> None:
    found = judged(chains(4, 1000), divergences)
    assert (found.divergences, found.grade) == (divergences, grade)
    assert ("target_accept=0.95" in found.advice) == (divergences > 0)
    if divergences == 1:
        assert found.problems == ("1 divergent transition in 4000 draws: estimates may be biased.",)


def test_one_piece_of_advice_for_all_problems() -> None:
    found = judged(chains(2, 1000, 0.99), 7)
    assert len(found.problems) == 3
    assert found.advice.count("model.fit(") == 1
    for option in ("tune=2000", "draws=", "target_accept=0.95"):
        assert option in found.advice
    assert "model.fit" not in " ".join(found.problems)
    assert [row.r_hat for row in found.rows] == sorted((r.r_hat for r in found.rows), reverse=True)


def test_the_draws_asked_for_are_enough() -> None:
    """Taking that many draws at this pace gives the effective sample size that is needed."""
    found = judged(chains(4, 1000, 0.88))
    draws = int(found.advice.split("draws=")[1].split(")")[0].split(",")[0])
    assert draws % 500 == 0
    assert found.min_ess * draws / 1000 >= 400
    assert found.min_ess * (draws - 500) / 1000 < 2 * 400


def test_one_chain_cannot_tell() -> None:
    found = judged(chains(1, 2000))
    assert np.isnan(found.max_r_hat)
    assert found.grade == "sample longer"
    assert found.problems[0].startswith("One chain cannot tell whether")
    assert found.rows == ()
    assert "chains=4" in found.advice
    assert "not mixed" not in str(found)
    assert "nan" not in str(found)
    assert str(found).startswith("no R-hat, ESS at least")


@pytest.mark.parametrize(("n_chains", "n_draws"), [(1, 1), (1, 3), (2, 1), (2, 2), (4, 3)])
def test_too_few_draws_for_any_diagnostic(n_chains: int, n_draws: int) -> None:
    found = judged(chains(n_chains, n_draws))
    assert found.grade == "do not use"
    assert "too few for R-hat and effective sample sizes, which need 4" in found.problems[0]
    assert np.isnan(found.max_r_hat)
    assert np.isnan(found.min_ess)
    assert "nan" not in str(found)
    assert "draws=1000" in found.advice


def test_chains_that_stand_still() -> None:
    x = chains(3, 500)
    x[1] = x[1, :1]
    found = judged(x)
    assert found.grade == "do not use"
    assert found.problems[0] == "Chain 2 never moved: all draws are the same."
    x[:] = x[:, :1]
    assert judged(x).problems[0].startswith("Chains 1, 2, 3 never moved")
    x[:] = 1.0  # R-hat has no value at all
    assert len(judged(x).rows) == 4
    assert judged(x).grade == "do not use"


def test_notes_stand_beside_problems() -> None:
    found = judged(chains(4, 1000), notes=("The posterior has two modes.",))
    assert found.grade == "fine"
    assert "The posterior has two modes." in str(found)


def test_a_fit_names_its_rows_and_effects() -> None:
    """The third regression's chains differ, and the second cluster's first sampled effect."""
    model = build(case("everything"))
    blueprint = model.unpiloted_blueprint()
    posterior = random_posterior(blueprint, 2, 100, 1)
    groups = [g for g in blueprint.parameters.groups if g.kind == "regression"]
    name, label = groups[0].name, groups[0].labels[0]
    posterior[name].to_numpy()[1, :, 0] += 50.0
    posterior["effect_coordinates"].to_numpy()[1, :, 1, 0] += 10.0
    found = synthetic_fit(model, posterior=posterior).convergence
    assert found.grade == "do not use"
    cluster = str(blueprint.observed.cluster_ids[1])
    effect = blueprint.template.effects.sampled[0]
    assert {row.name for row in found.rows[:2]} == {
        f"{groups[0].level}: {label}",
        f"effect {effect} of cluster {cluster}",
    }


def test_one_draw_has_no_spread() -> None:
    frame = pd.DataFrame({"y": np.random.default_rng(1).normal(size=30)})
    fit = synthetic_fit(bm.Model("y ~~ y", frame), chains=1, draws=1)
    table = fit.summary()
    assert table["sd"].isna().all()
    np.testing.assert_allclose(table["lower"], table["mean"])
    assert "1 draw per chain is too few" in repr(fit)
