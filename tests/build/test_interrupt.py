"""Ctrl-C keeps the draws made so far."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import nutpie
import pandas as pd
import pytest
import xarray as xr

import bayes_msem as bm
from bayes_msem.build.sample import _without_missing_draws


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
        tree = _without_missing_draws(tree_of(made, 10), 10)
    x = tree["posterior"]["x"]
    assert not np.isnan(x).any()
    expected = 100 * np.array(chains)[:, None] + np.arange(length)
    np.testing.assert_array_equal(x.isel(row=0), expected)
    np.testing.assert_array_equal(tree["posterior"]["chain"], np.arange(len(chains)))
    assert tree["sample_stats"].sizes == {"chain": len(chains), "draw": length}


def test_complete_draws_are_left_alone() -> None:
    tree = tree_of([10, 10], 10)
    assert _without_missing_draws(tree, 10) is tree


def test_interrupt_during_tuning() -> None:
    with pytest.raises(KeyboardInterrupt, match="before the first draw"):
        _without_missing_draws(tree_of([0, 0], 10), 10)


@pytest.mark.filterwarnings("ignore::bayes_msem.ConvergenceWarning")
def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal arrives a while after the start of a run that would take very long.

    The handler is set first: a shell may start the tests with interrupts ignored.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=50)})
    frame["y"] = 0.5 * frame["x"] + rng.normal(size=50)
    model = bm.Model("y ~ x", frame)
    sample = nutpie.sample

    def interrupted(*arguments: object, **options: object) -> xr.DataTree:
        timer = threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            return sample(*arguments, **options)
        finally:
            timer.cancel()

    monkeypatch.setattr(nutpie, "sample", interrupted)
    try:
        with pytest.warns(bm.InterruptedWarning, match="of 5000000 draws each are kept"):
            fit = model.fit(draws=5_000_000, tune=200, chains=2, random_seed=1, progress=False)
    except KeyboardInterrupt:  # would end the whole test run
        pytest.fail("the interrupt came before the first draw")
    finally:
        signal.signal(signal.SIGINT, before)
    assert 0 < fit.datatree["posterior"].sizes["draw"] < 5_000_000
    assert np.isfinite(fit.summary()["mean"]).all()
