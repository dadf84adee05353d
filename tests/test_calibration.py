"""Calibration by simulation: the test of uniform ranks, the study's pieces, its stored results.

The study itself is ``benchmarks/calibration_outcomes.py``.
"""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pandas as pd
import pytest
from arviz_stats.ecdf_utils import ecdf_pit
from numpy.typing import NDArray
from scipy import stats

import bayes_msem as bm
from bayes_msem.blueprint.rows import row_values
from bayes_msem.checking.priors.prior_draws import draw_prior
from bayes_msem.posterior.rank_uniformity import counts_below, holm, limits, p_value, rank_of
from benchmarks import calibration_outcomes as study
from benchmarks.marked_tables import with_marked

CASES = [pytest.param(case, id=case.name) for case in study.CASES]
Ranks = NDArray[np.int64]


# Ranks ---------------------------------------------------------------------------------------


def test_rank_counts_the_draws_below() -> None:
    rng = np.random.default_rng(1)
    draws = [3.0, 1.0, 4.0, 1.5]
    assert [rank_of(truth, draws, rng) for truth in (0.0, 1.2, 3.5, 9.0)] == [0, 1, 3, 4]


def test_ties_are_broken_at_random() -> None:
    rng = np.random.default_rng(1)
    ranks = [rank_of(1.0, [0.0, 1.0, 1.0, 2.0], rng) for _ in range(3000)]
    counts = np.bincount(ranks, minlength=5)
    assert counts[[0, 4]].tolist() == [0, 0]
    assert stats.chisquare(counts[1:4]).pvalue > 0.001


@pytest.mark.parametrize(("truth", "draw"), [(np.nan, 1.0), (1.0, np.nan), (1.0, np.inf)])
def test_ranks_need_numbers(truth: float, draw: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        rank_of(truth, [0.0, draw], np.random.default_rng(1))


def test_counts_below() -> None:
    assert counts_below([0, 0, 2, 4], 4).tolist() == [2, 2, 3, 3]
    with pytest.raises(ValueError, match="from 0 to 4"):
        counts_below([5], 4)


# Uniformity ----------------------------------------------------------------------------------


def smallest_tail(ranks: tuple[int, ...], n_draws: int) -> float:
    """Smallest two-sided tail probability of the counts below, one at a time."""
    tails = []
    for i in range(1, n_draws + 1):
        count = stats.binom(len(ranks), i / (n_draws + 1))
        below = sum(rank < i for rank in ranks)
        tails.append(2 * min(count.cdf(below), 1 - count.cdf(below - 1)))
    return min(tails)


def test_p_value_is_that_of_all_possible_ranks() -> None:
    n_ranks, n_draws = 4, 3
    every = list(product(range(n_draws + 1), repeat=n_ranks))
    tails = np.array([smallest_tail(ranks, n_draws) for ranks in every])
    for ranks, tail in zip(every, tails, strict=True):
        assert p_value(ranks, n_draws) == pytest.approx((tails <= tail + 1e-9).mean())


def test_limits_are_narrow_and_wide_enough() -> None:
    """Uniform ranks are inside as often as asked for, and ranks are inside if p is not small."""
    n_ranks, n_draws, level = 50, 19, 0.9
    low, high = limits(n_ranks, n_draws, level)
    every = np.random.default_rng(1).integers(n_draws + 1, size=(4000, n_ranks))
    counts = np.array([counts_below(ranks, n_draws) for ranks in every])
    inside = ((low <= counts) & (counts <= high)).all(axis=1)
    error = np.sqrt(level * (1 - level) / len(every))
    assert level - 3 * error < inside.mean() < level + 0.02
    for ranks, kept in zip(every[:300], inside[:300], strict=True):
        assert (p_value(ranks, n_draws) > 1 - level) == kept


def test_limits_are_those_of_arviz() -> None:
    """It simulates bands for continuous values at the same places; so ours may differ by one."""
    rng = np.random.default_rng(1)
    _, _, lower, upper = ecdf_pit(rng.random(100), 0.95, 4000, rng=rng)
    low, high = limits(100, 99, 0.95)
    assert np.abs(low - 100 * lower[1:-1]).max() <= 1 + 1e-9
    assert np.abs(high - 100 * upper[1:-1]).max() <= 1 + 1e-9


def test_many_ranks_need_little_memory() -> None:
    ranks = np.random.default_rng(1).integers(100, size=5000)
    assert p_value(ranks, 99) > 0.001
    assert p_value(ranks[ranks < 97], 99) < 0.001


def test_holm() -> None:
    assert holm([0.03, 0.01, 0.2, 0.04]) == pytest.approx([0.09, 0.04, 0.2, 0.09])
    assert holm([0.8, 0.9]) == pytest.approx([1.0, 1.0])


def normal_ranks(seed: int, shift: float = 0.0, scale: float = 1.0) -> Ranks:
    """Ranks of 100 standard normal truths among 99 draws of another normal."""
    rng = np.random.default_rng(seed)
    draws = shift + scale * rng.normal(size=(100, 99))
    return np.array([rank_of(rng.normal(), row, rng) for row in draws])


def test_uniform_ranks_pass() -> None:
    p = [p_value(normal_ranks(seed), 99) for seed in range(20)]
    assert min(p) > 0.01
    assert np.mean(p) == pytest.approx(0.5, abs=3 * np.sqrt(1 / 12 / 20))


@pytest.mark.parametrize(("shift", "scale"), [(0.6, 1.0), (-0.6, 1.0), (0.0, 0.5), (0.0, 2.0)])
def test_other_ranks_fail(shift: float, scale: float) -> None:
    """Of draws that are shifted, too narrow or too wide."""
    assert p_value(normal_ranks(1, shift, scale), 99) < 0.001


@pytest.mark.parametrize(("shift", "scale"), [(0.4, 1.0), (0.0, 0.7), (0.0, 1.5)])
def test_power(shift: float, scale: float) -> None:
    """What the page says that the study would find, in one of 20 quantities."""
    rng, found = np.random.default_rng(1), []
    for _ in range(60):
        draws, truth = shift + scale * rng.normal(size=(200, 99)), rng.normal(size=(200, 1))
        found.append(p_value((draws < truth).sum(axis=1), 99) < study.ALPHA / 20)
    assert np.mean(found) > 0.65  # of .8, less three standard errors


# The pieces of the study ---------------------------------------------------------------------


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> study.Case:
    return request.param


def accepted(case: study.Case, seed: int) -> study.Drawn:
    return study.accepted(case, np.random.default_rng(seed))[0]


def model_of(case: study.Case, seed: int) -> bm.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.SmallSampleWarning)
        return case.model(accepted(case, seed).frame)


def test_priors_do_not_depend_on_the_data(case: study.Case) -> None:
    columns = ["level", "lhs", "op", "rhs", "free", "prior"]
    tables = [model_of(case, seed).parameter_table[columns] for seed in (1, 2)]
    pd.testing.assert_frame_equal(*tables)
    free = tables[0][tables[0]["free"] > 0]
    rows = [f"{r.level}: {r.lhs} {r.op} {r.rhs}" for r in free.itertuples()]
    assert sorted(rows) == sorted(case.parameters)


def test_parameters_come_from_the_prior_of_the_model(case: study.Case) -> None:
    blueprint = model_of(case, 1).blueprint
    x = draw_prior(blueprint, 3000, np.random.default_rng(1))
    prior = row_values(blueprint, blueprint.theta(x), x)
    rng = np.random.default_rng(2)
    drawn = [case.draw(rng).values for _ in range(800)]
    both = [prior, {row: np.array([values[row] for values in drawn]) for row in case.parameters}]
    for row in case.parameters:
        assert stats.ks_2samp(*(values[row].ravel() for values in both)).pvalue > 0.001, row
    if case.name == "slope":
        correlations = [
            values["between: y ~~ s"]
            / np.sqrt(values["between: y ~~ y"] * values["between: s ~~ s"])
            for values in both
        ]
        assert stats.ks_2samp(*(values.ravel() for values in correlations)).pvalue > 0.001


def test_wrong_cases_have_the_data_of_right_ones() -> None:
    right, wrong = study.CASES[0], study.CASES[1]
    pd.testing.assert_frame_equal(accepted(right, 3).frame, accepted(wrong, 3).frame)
    assert [case.right for case in study.CASES] == [True, False, True, False]


def test_log_density(case: study.Case) -> None:
    """Cell by cell, at the truth."""
    drawn = accepted(case, 4)
    frame, values, residual = drawn.frame, drawn.values, stats.norm
    if "logit" in case.family:
        residual = stats.logistic
    expected = 0.0
    for i, row in enumerate(frame.to_dict("records")):
        for name in case.outcomes:
            eta = drawn.effects[name][row["cluster"]]
            if name == "y":
                own = drawn.effects["s"][row["cluster"]]
                eta += (own if "s" in case.effects else values["within: y ~ x"]) * row["x"]
            else:
                eta += values.get(f"within: fw =~ {name}", 1.0) * drawn.scores[i]
            cuts = [values[f"between: {name} | t{k}"] for k in (1, 2)[: 2 - (name == "y")]]
            edges = [-np.inf, *cuts, np.inf]
            below, above = edges[row[name]] - eta, edges[row[name] + 1] - eta
            expected += np.log(residual.cdf(above) - residual.cdf(below))
    true = {row: np.array([values[row]]) for row in case.parameters}
    effects = {name: drawn.effects[name][None] for name in case.effects}
    value = case.log_density(true, effects, drawn.scores[None], frame)
    assert value == pytest.approx([expected], rel=1e-8)


# The stored study ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return study.read()


def test_every_case_has_the_same_data_sets(results: pd.DataFrame) -> None:
    assert set(results["case"]) == {case.name for case in study.CASES}
    for case in study.CASES:
        of_case = results[results["case"] == case.name]
        assert sorted(of_case["data_set"]) == list(range(len(results) // 4))
        ranks = np.array([line.split() for line in of_case["ranks"]], dtype=int)
        assert ranks.shape == (len(of_case), len(case.quantities))
        assert ranks.min() >= 0
        assert ranks.max() <= study.N_DRAWS
    assert len(results) // 4 >= 100


def test_right_models_are_calibrated_and_wrong_ones_are_not(results: pd.DataFrame) -> None:
    for case in study.CASES:
        p = study.corrected(study.p_values(results, case))
        assert (p >= study.ALPHA) == case.right, f"{case.name}: {p:.4g}"


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in study.CASES if case.right], ids=lambda c: c.name)
def test_stored_results_repeat(results: pd.DataFrame, case: study.Case) -> None:
    """Other machines may draw other numbers: ranks have a Monte Carlo SD of up to 5."""
    stored = results[results["case"] == case.name].set_index("data_set").loc[range(5)]
    again = [str(study.replicate(case, data_set)["ranks"]).split() for data_set in range(5)]
    before = [line.split() for line in stored["ranks"]]
    differences = np.array(again, dtype=int) - np.array(before, dtype=int)
    assert np.sqrt((differences**2).mean()) < 10
    assert np.abs(differences).max() < 35


def test_page_shows_the_stored_results(results: pd.DataFrame) -> None:
    page = study.PAGE.read_text(encoding="utf-8")
    shown = with_marked(page, {"calibration": study.table(results)})
    assert shown == page, "run python -m benchmarks.calibration_outcomes --tables"
