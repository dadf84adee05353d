"""Ctrl-C keeps the draws made so far, or ends the call; it never shortens what goes on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
import nutpie
import pandas as pd
import pytest
import xarray as xr

import bayes_msem as bm
from bayes_msem.checking.accuracy import refit
from bayes_msem.inference.interrupt import all_or_nothing, interruptible
from tests.checking.laplace import laplace_fit
from tests.inference.models import quiet_model
from tests.random.models import make_data


def tree_of(made: list[int], draws: int) -> xr.DataTree:
    """Chains of different lengths, filled up with NaN: what nutpie returns from an interrupt."""
    values = np.full((len(made), draws, 2), np.nan)
    for chain, n in enumerate(made):
        values[chain, :n] = 100 * chain + np.arange(n)[:, None]
    posterior = xr.Dataset({"x": (("chain", "draw", "row"), values)})
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((len(made), draws), bool))})
    tree = {"posterior": posterior, "sample_stats": stats}
    return xr.DataTree.from_dict(
        {
            name: d.assign_coords(chain=range(len(made)), draw=range(draws))
            for name, d in tree.items()
        }
    )


def answer(made: list[int], draws: int = 10, chains: int | None = None) -> xr.DataTree:
    tree = tree_of(made, draws)
    return interruptible(lambda: tree, draws=10, chains=len(made) if chains is None else chains)


@pytest.mark.parametrize(
    ("made", "chains", "length"),
    [
        ([8, 10, 9, 10], [0, 1, 2, 3], 8),
        ([10, 10, 0, 0], [0, 1], 10),
        ([2, 9, 1, 8], [1, 3], 8),
        ([0, 0, 0, 3], [3], 3),
    ],
)
def test_most_draws_are_kept(made: list[int], chains: list[int], length: int) -> None:
    with pytest.warns(
        bm.InterruptedWarning, match=f"{len(chains)} of 4 chains with {length} of 10"
    ):
        tree = answer(made)
    x = tree["posterior"]["x"]
    assert not np.isnan(x).any()
    expected = 100 * np.array(chains)[:, None] + np.arange(length)
    np.testing.assert_array_equal(x.isel(row=0), expected)
    np.testing.assert_array_equal(tree["posterior"]["chain"], np.arange(len(chains)))
    assert tree["sample_stats"].sizes == {"chain": len(chains), "draw": length}


def test_a_sampler_that_cuts_by_itself() -> None:
    """PyMC returns fewer chains, of equal length, and says nothing."""
    with pytest.warns(bm.InterruptedWarning, match="2 of 4 chains with 6 of 10"):
        tree = answer([6, 6], draws=6, chains=4)
    assert tree["posterior"].sizes["draw"] == 6


def test_complete_draws_are_left_alone() -> None:
    tree = tree_of([10, 10], 10)
    assert interruptible(lambda: tree, draws=10, chains=2) is tree
    with all_or_nothing():
        assert interruptible(lambda: tree, draws=10, chains=2) is tree


@pytest.mark.parametrize("draws", [10, 0])
def test_interrupt_during_tuning(draws: int) -> None:
    with pytest.raises(KeyboardInterrupt, match="before the first draw"):
        answer([0, 0], draws=draws)


def test_what_pymc_says_of_an_interrupt_during_tuning() -> None:
    def sample() -> xr.DataTree:
        raise ValueError("Not enough samples to build a trace.")

    with pytest.raises(KeyboardInterrupt, match="before the first draw"):
        interruptible(sample, draws=10, chains=2)


def test_other_errors_stay_what_they_are() -> None:
    def sample() -> xr.DataTree:
        raise ValueError("Initial evaluation of model at starting point failed!")

    with pytest.raises(ValueError, match="Initial evaluation"):
        interruptible(sample, draws=10, chains=2)


# Fits inside of other things -------------------------------------------------------------------


def test_no_part_where_all_is_needed() -> None:
    with all_or_nothing(), pytest.raises(KeyboardInterrupt, match="of no use here"):
        answer([10, 9])
    with pytest.warns(bm.InterruptedWarning):  # afterwards, all is as before
        answer([10, 9])


class Interrupted:
    """In place of ``Model.fit``: a sampler that is interrupted after the first draws."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *_: object, **__: object) -> bm.Fit:
        self.calls += 1
        answer([10, 4])
        raise AssertionError("a shortened fit was used")


@pytest.fixture(scope="module")
def approximate_fit() -> bm.Fit:
    spec = "level: within\nf =~ y1 + y2 + y3 + y4\nlevel: between\nb =~ y1 + y2 + y3 + y4"
    data = make_data()
    return laplace_fit(quiet_model(spec, data, cluster="group"), draws=20)


@pytest.mark.parametrize("own", [True, False])
def test_loo_with_refits(
    approximate_fit: bm.Fit, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = Interrupted()
    monkeypatch.setattr(bm.Model, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        approximate_fit.loo(refit=interrupted if own else "exact", threshold=-np.inf)
    assert interrupted.calls == 1


def test_indices(approximate_fit: bm.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = Interrupted()
    monkeypatch.setattr(bm.Model, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        approximate_fit.indices()
    assert interrupted.calls == 1


@pytest.mark.parametrize("after", [1, 40])
def test_moment_matching(
    approximate_fit: bm.Fit, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It evaluates the density many times; an interrupt of any of them gets out."""
    calls = 0

    def log_posterior(*_: object, **__: object) -> tuple[float, None]:
        nonlocal calls
        calls += 1
        if calls == after:
            raise KeyboardInterrupt
        return -float(calls), None

    monkeypatch.setattr(refit, "log_posterior", log_posterior)
    bad = [1.5] * approximate_fit.model.observed.n_clusters
    monkeypatch.setattr(refit.LooResult, "high_k", property(lambda self: pd.Series(bad)))
    with pytest.raises(KeyboardInterrupt):
        approximate_fit.loo(refit="moment_match")
    assert calls == after


# The signal itself -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def regression() -> bm.Model:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=50)})
    frame["y"] = 0.5 * frame["x"] + rng.normal(size=50)
    return bm.Model("y ~ x", frame)


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send the signal three seconds after the start of sampling.

    The handler is set first: a shell may start the tests with interrupts ignored.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sample = nutpie.sample

    def interrupted(*arguments: object, **options: object) -> xr.DataTree:
        timer = threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            return sample(*arguments, **options)
        finally:
            timer.cancel()

    monkeypatch.setattr(nutpie, "sample", interrupted)
    yield
    signal.signal(signal.SIGINT, before)


LONG = {"chains": 2, "random_seed": 1, "progress": False}


@pytest.mark.filterwarnings("ignore::bayes_msem.ConvergenceWarning")
def test_ctrl_c(regression: bm.Model, ctrl_c: None) -> None:
    """In a run that would take very long."""
    try:
        with pytest.warns(bm.InterruptedWarning, match="of 5000000 draws each are kept"):
            fit = regression.fit(draws=5_000_000, tune=200, **LONG)
    except KeyboardInterrupt:  # would end the whole test run
        pytest.fail("the interrupt came before the first draw")
    assert 0 < fit.datatree["posterior"].sizes["draw"] < 5_000_000
    assert np.isfinite(fit.summary()["mean"]).all()


def test_ctrl_c_during_tuning(regression: bm.Model, ctrl_c: None) -> None:
    """Nothing else is raised or warned of: warnings are errors here."""
    with pytest.raises(KeyboardInterrupt, match="before the first draw"):
        regression.fit(draws=500, tune=10_000_000, **LONG)


def test_ctrl_c_where_all_is_needed(regression: bm.Model, ctrl_c: None) -> None:
    with all_or_nothing(), pytest.raises(KeyboardInterrupt, match="of no use here"):
        regression.fit(draws=5_000_000, tune=200, **LONG)
