"""Calibration of seven classes of models: its machinery, its stored results, a part of it again.

The study itself is ``benchmarks/calibration.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

import bayes_msem as bm
from bayes_msem.inference.density import log_posterior, support
from bayes_msem.posterior.rank_uniformity import p_value, rank_of
from bayes_msem.studies.sbc_replication import Drawn, draw_data
from benchmarks import calibration as study
from benchmarks.calibration_classes import CLASSES, ModelClass
from benchmarks.exact_ranks import chain_around, from_coordinates, hamiltonian, to_coordinates
from benchmarks.marked_tables import with_marked

Array = NDArray[np.float64]

EVERY = pytest.mark.parametrize("model_class", CLASSES, ids=lambda c: c.name)
NAMES = {
    *("random intercepts", "random slopes", "random loadings", "missing data", "mediation"),
    *("random variances and correlations", "level-2 outcomes"),
}


def drawn_of(model_class: ModelClass, seed: int = 1) -> Drawn:
    model = study.prepared(model_class.name, "")
    return draw_data(model.unpiloted_blueprint(), np.random.default_rng(seed))


# The kernel and the chain ----------------------------------------------------------------------


def normal_density(mean: float) -> Callable[[Array], tuple[float, Array]]:
    def density(v: Array) -> tuple[float, Array]:
        return float(-((v - mean) ** 2).sum() / 2), mean - v

    return density


def test_kernel_leaves_its_density_in_peace() -> None:
    """Skewed and bounded by nothing: a Gumbel distribution, from exact draws to exact draws."""

    def gumbel(v: Array) -> tuple[float, Array]:
        return float(-(v + np.exp(-v)).sum()), -1.0 + np.exp(-v)

    kernel = hamiltonian(gumbel, np.array([[1.5]]))
    rng = np.random.default_rng(1)
    before = rng.gumbel(size=4000)
    after = np.array([kernel(np.array([v]), rng)[0] for v in before])
    assert (before != after).mean() > 0.7
    assert stats.kstest(after, "gumbel_r").pvalue > 0.001
    # reversible: pairs have the same distribution in both orders
    assert stats.ks_2samp(after - before, before - after).pvalue > 0.001


def chain_p(mean: float, n: int = 150) -> float:
    """Ranks of standard normal truths in chains of a normal density."""
    ranks = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        truth = rng.standard_normal(2)
        kernel = hamiltonian(normal_density(mean), 0.3 * np.eye(2))  # moves slowly
        place = int(rng.integers(20))
        states = chain_around(truth, place, 19, kernel, rng)
        assert (states[place] == truth).all()
        ranks.append(rank_of(truth[0], np.delete(states[:, 0], place), rng))
    return p_value(ranks, 19)


def test_chain_through_the_truth_has_uniform_ranks_if_the_density_is_right() -> None:
    assert chain_p(0.0) > 0.01
    assert chain_p(1.0) < 1e-6


@pytest.mark.parametrize(
    ("data_sets", "shift", "scale"),
    [
        *((100, 0.6, 1.0), (100, 0.0, 0.6), (100, 0.0, 2.0)),
        *((200, 0.4, 1.0), (200, 0.0, 0.7), (200, 0.0, 1.5)),
    ],
)
def test_power_is_what_the_page_says(data_sets: int, shift: float, scale: float) -> None:
    """In one of 13 quantities; .8, less three standard errors."""
    rng, found = np.random.default_rng(1), []
    for _ in range(60):
        draws = shift + scale * rng.normal(size=(data_sets, 99))
        ranks = (draws < rng.normal(size=(data_sets, 1))).sum(axis=1)
        found.append(p_value(ranks, 99) < study.ALPHA / 13)
    assert np.mean(found) > 0.65


# The classes -----------------------------------------------------------------------------------


def test_classes_are_those_of_the_page() -> None:
    assert {c.name for c in CLASSES} == NAMES
    plans = {c.name: study.prepared(c.name, "").plan.name for c in CLASSES}
    sampled = {name for name, plan in plans.items() if plan == "partially marginal"}
    assert sampled == {"random loadings", "random variances and correlations"}


@EVERY
def test_coordinates_there_and_back(model_class: ModelClass) -> None:
    drawn = drawn_of(model_class)
    blueprint = study.prepared(model_class.name, "").on(drawn.observed).blueprint
    v = to_coordinates(blueprint, drawn.x, drawn.effects)
    x, effects = from_coordinates(blueprint, v[None])
    np.testing.assert_allclose(x[0], drawn.x, rtol=1e-9)
    np.testing.assert_allclose(effects[0], drawn.effects, rtol=1e-7, atol=1e-8)


@EVERY
def test_jacobian_error_is_a_density_without_jacobians(model_class: ModelClass) -> None:
    """The log density loses the log of every SD, and a constant."""
    drawn = drawn_of(model_class)
    right = study.prepared(model_class.name, "").on(drawn.observed).unpiloted_blueprint()
    wrong = study.prepared(model_class.name, "jacobian").on(drawn.observed).unpiloted_blueprint()
    v = to_coordinates(right, drawn.x, drawn.effects)
    bounds, n = support(right), right.parameters.n
    log_slope = bounds.to_constrained(v[:n])[2]
    positive = np.isfinite(bounds.lower) & ~np.isfinite(bounds.upper)
    assert positive.sum() >= 3
    differences = []
    for step in (0.0, 0.3):
        at = v.copy()
        at[:n][positive] += step * np.arange(1, positive.sum() + 1)
        log_slope = bounds.to_constrained(at[:n])[2]
        values = [log_posterior(b, at, jacobian=True)[0] for b in (right, wrong)]
        differences.append(values[1] - values[0] + log_slope[positive].sum())
    assert differences[0] == pytest.approx(differences[1], abs=1e-8)


@EVERY
def test_errors_change_what_they_say(model_class: ModelClass) -> None:
    right, narrow = (study.prepared(model_class.name, e) for e in ("", "prior"))
    free = right.parameter_table["free"] > 0
    before, after = (m.parameter_table.loc[free, "prior"] for m in (right, narrow))
    changed = {(b, a) for b, a in zip(before.map(str), after.map(str), strict=True) if b != a}
    assert changed
    assert all(b.startswith("normal") and a.startswith("normal") for b, a in changed)
    drawn = drawn_of(model_class)
    data = model_class.data(drawn.observed, "cell")
    same = [
        np.array_equal(getattr(data, name), getattr(drawn.observed, name), equal_nan=True)
        for name in ("y", "x", "w", "z")
    ]
    assert same.count(False) == 1
    if model_class.name == "missing data":
        gaps = np.isnan(drawn.observed.y)
        assert 0.15 < gaps.mean() < 0.35
        assert np.isnan(data.y[gaps.any(axis=1)]).all()
        assert not np.isnan(data.y[~gaps.any(axis=1)]).any()
        assert np.isnan(drawn.observed.z).any()


def exact_p(model_class: ModelClass, error: str, n: int) -> float:
    """Smallest corrected p-value of an exact test."""
    lines = pd.DataFrame([study.exact(model_class, error, i) for i in range(n)])
    return min(study.p_values(study.ranks_of(lines, study.quantities(model_class))).values())


def test_a_few_data_sets_find_a_dropped_cell() -> None:
    slopes = CLASSES[1]
    assert exact_p(slopes, "", 20) > 0.01
    assert exact_p(slopes, "cell", 20) < 0.001


def test_lost_pilots_leave_finite_coordinates() -> None:
    """Random correlations near one: the search for coordinates ends where nothing is finite."""
    wide = bm_model_of_wild_correlations()
    for seed in (0, 4, 9):
        drawn = draw_data(wide.unpiloted_blueprint(), np.random.default_rng([1, seed]))
        blueprint = wide.on(drawn.observed).blueprint  # numpy warns of what is not finite
        approximation = blueprint.likelihood.approximation
        assert np.isfinite(approximation.information).all()
        assert np.abs(approximation.information).max() < 1e20
        assert blueprint.pilot is None or np.isfinite(blueprint.pilot).all()


def bm_model_of_wild_correlations() -> bm.Model:
    own = CLASSES[3]
    wide = ModelClass(own.name, own.text, own.outcomes)  # without tight priors
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        return wide.model()


# The stored study ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return study.read()


def test_results_are_complete(results: pd.DataFrame) -> None:
    for model_class in CLASSES:
        n = len(study.quantities(model_class))
        for test, counts in study.COUNTS.items():
            for error, least in counts.items():
                lines = study.part(results, test, model_class.name, error)
                assert sorted(lines["data_set"]) == list(range(len(lines)))
                assert len(lines) >= least
                assert (lines["failure"] == "").sum() >= 0.97 * len(lines)
                for ranks in study.ranks_of(lines, [str(i) for i in range(n)]).values():
                    assert 0 <= ranks.min() <= ranks.max() <= 99


@EVERY
@pytest.mark.parametrize("test", study.TESTS)
def test_right_models_pass_and_errors_are_found(
    results: pd.DataFrame, test: str, model_class: ModelClass
) -> None:
    names = study.quantities(model_class)
    for error in study.COUNTS[test]:
        lines = study.part(results, test, model_class.name, error)
        p = min(study.p_values(study.ranks_of(lines, names)).values())
        assert (p >= study.ALPHA) == (error == ""), f"{error or 'right'}: {p:.4g}"


def test_page_shows_the_stored_results(results: pd.DataFrame) -> None:
    page = study.PAGE.read_text(encoding="utf-8")
    texts = {test: study.table(results, test) for test in study.TESTS}
    texts |= {"fits": study.fits_table(results), "found": study.found_table(results)}
    assert with_marked(page, texts) == page, "run python -m benchmarks.calibration --tables"


@pytest.mark.slow
@EVERY
def test_density_again(model_class: ModelClass) -> None:
    assert exact_p(model_class, "", 100) > 0.001
    assert exact_p(model_class, "cell", 60) < study.ALPHA
    assert exact_p(model_class, "prior", 60) < study.ALPHA
    assert exact_p(model_class, "jacobian", 150) < study.ALPHA


@pytest.mark.slow
@EVERY
def test_fits_again(model_class: ModelClass) -> None:
    """Complete fits; the model whose coefficient does not reach the likelihood is found."""
    names = study.quantities(model_class)
    for error, n in (("", 40), ("cell", 40)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.MsemWarning)
            lines = pd.DataFrame([study.nuts(model_class, error, i) for i in range(n)])
        assert (lines["failure"] == "").mean() > 0.9
        p = min(study.p_values(study.ranks_of(lines, names)).values())
        assert p < study.ALPHA if error else p > 0.001
