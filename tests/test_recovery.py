"""Parameter recovery: the stored study is what the page shows, its coverage is right, it repeats.

The study itself is ``benchmarks/recovery.py``; the slow tests run a few of its replications anew.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from benchmarks import recovery

# Some forty shares are compared with their limits: one in a thousand studies may fall outside.
MASS = 1 - 0.001 / 40


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return recovery.read()


def outside(results: pd.DataFrame) -> list[str]:
    """Cases and groups whose coverage cannot be 95%."""
    found = []
    for case in recovery.CASES:
        for group in recovery.GROUPS:
            cell = recovery.coverage(recovery.select(results, case.name, group), MASS)
            if cell is not None and not cell.expected[0] <= cell.share <= cell.expected[1]:
                found.append(f"{case.name}, {group}: {cell}")
    return found


def with_other_truth(results: pd.DataFrame, shift: float) -> pd.DataFrame:
    """Results as if true values were another number of average posterior SDs."""
    rows = results[results["truth"].notna()].copy()
    spread = rows.groupby(["case", "row"])["sd"].transform("mean")
    truth = rows["truth"] + shift * spread
    rows["inside"] = ((rows["lower"] <= truth) & (truth <= rows["upper"])).astype(int)
    return rows


# The stored study ----------------------------------------------------------------------------


def test_page_shows_the_stored_results(results: pd.DataFrame) -> None:
    page = recovery.PAGE.read_text(encoding="utf-8")
    assert recovery.with_tables(page, results) == page, "run benchmarks/recovery.py --tables"


def test_results_hold_every_free_row_of_every_case(results: pd.DataFrame) -> None:
    assert set(results["case"]) == {case.name for case in recovery.CASES}
    for case in recovery.CASES:
        lines = recovery.select(results, case.name, "all")
        truth = {f"{k[0]}: {' '.join(k[1:])}": v for k, v in case.truth.items()}
        assert dict(zip(lines["row"], lines["truth"], strict=True)) == pytest.approx(truth)
        counts = lines.groupby("replication").size()
        assert (counts == len(truth)).all()
        assert len(counts) == results.loc[results["case"] == case.name, "replication"].nunique()


def test_inside_means_inside(results: pd.DataFrame) -> None:
    again = with_other_truth(results, 0.0)["inside"]
    stored = results.loc[again.index, "inside"]
    # stored numbers have five digits, so a truth at the very end of an interval may change sides
    assert (again != stored).mean() < 0.002


def test_coverage_is_nominal(results: pd.DataFrame) -> None:
    assert outside(results) == []


@pytest.mark.parametrize("shift", [-1.5, 1.5])
def test_wrong_truth_would_be_noticed(results: pd.DataFrame, shift: float) -> None:
    noticed = {message.split(",")[0] for message in outside(with_other_truth(results, shift))}
    assert noticed == {case.name for case in recovery.CASES}


def test_estimates_have_the_spread_that_posteriors_claim(results: pd.DataFrame) -> None:
    # Coverage alone would not see intervals that are right on average over rows only.
    rows = results[results["truth"].notna()]
    rows = rows.assign(z=(rows["mean"] - rows["truth"]) / rows["sd"])
    for case, of_case in rows.groupby("case"):
        within = of_case[of_case["row"].str.startswith("within")]
        for lines in (of_case, within):
            if not lines.empty:
                assert 0.75 < np.sqrt((lines["z"] ** 2).mean()) < 1.25, case


def test_sampling_was_clean(results: pd.DataFrame) -> None:
    fits = results.groupby(["case", "replication"])[["r_hat", "divergences"]].first()
    assert (fits["r_hat"] > 1.1).sum() == 0
    assert (fits["divergences"] > 0).mean() < 0.05


def test_coverage_of_counts() -> None:
    """A pooled share and limits that can be worked out by hand."""
    independent = pd.DataFrame({"replication": range(40), "inside": [1] * 37 + [0] * 3, "of": 1})
    cell = recovery.coverage(independent)
    assert cell is not None
    assert cell.share == 37 / 40
    # one interval per fit: forty independent trials
    assert cell.expected == tuple(stats.binom.interval(0.95, 40, 0.95) / np.array(40))
    # ten copies of each say no more, and the limits must not become narrower
    copies = independent.assign(inside=10 * independent["inside"], of=10)
    copied = recovery.coverage(copies)
    assert copied is not None
    assert copied.share == cell.share
    assert copied.expected[0] == pytest.approx(cell.expected[0], abs=0.01)


# New replications ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("case", recovery.CASES, ids=[case.name for case in recovery.CASES])
def test_new_data_sets_are_recovered(case: recovery.Case) -> None:
    fits = 2 if case.name == "all" else 4
    lines = pd.concat([recovery.replicate(case, 100_000 + k) for k in range(fits)])
    rows = recovery.select(lines, case.name, "all")
    assert lines["r_hat"].max() < 1.1
    # 1e-4 quantile with half as many trials as intervals: rows of one fit are not independent
    trials = len(rows) // 2
    assert rows["inside"].mean() >= stats.binom.ppf(1e-4, trials, recovery.LEVEL) / trials
    # no row is far off, and the spread is right: mean of z^2 is about chi-squared / degrees
    z = (rows["mean"] - rows["truth"]) / rows["sd"]
    assert z.abs().max() < 5
    assert (z**2).mean() < stats.chi2.ppf(1 - 1e-4, trials) / trials
    effects = recovery.select(lines, case.name, "effects")
    if not effects.empty:
        assert effects["inside"].sum() / effects["of"].sum() > 0.85
    # the check must fail where it should: every true value three posterior SDs away
    moved = with_other_truth(rows, 3.0)
    assert moved["inside"].mean() < stats.binom.ppf(1e-4, trials, recovery.LEVEL) / trials


@pytest.mark.slow
def test_uncompiled_fits_are_those_of_the_compiled_model() -> None:
    """Equal seeds and equal densities: the same chains, up to rounding that grows along them."""
    case = next(c for c in recovery.CASES if c.name == "loadings")
    frame, _ = recovery.simulate(case, 1)
    options = {"draws": 500, "tune": 500, "chains": 2, "random_seed": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        model = bm.Model(case.text, data=frame, cluster="cluster")
        one, two = recovery.fit(model, **options).summary(), model.fit(**options).summary()
    free = one["r_hat"].notna()
    error = (one["sd"] * np.sqrt(1 / one["ess_bulk"] + 1 / two["ess_bulk"]))[free]
    assert ((one["mean"] - two["mean"])[free].abs() < 4.5 * error).all()
    assert one["sd"][free].to_numpy() == pytest.approx(two["sd"][free].to_numpy(), rel=0.2)
