"""Stored results of the studies of checks: what docs/checks.md claims, and how it was counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_msem.checking.misfit import fit_findings
from benchmarks.check_report import judged, loo_pairs, main_part, share
from benchmarks.check_study import RESULTS, TASK, read
from benchmarks.loo_study import RESULTS as LOO_RESULTS


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return main_part(read(RESULTS))


def test_at_most_a_tenth_of_right_models_is_flagged(results: pd.DataFrame) -> None:
    found = judged(results[results["case"] == "right"])
    assert (found.groupby("kind").size() > 100).all()
    assert (found.groupby("kind")["now"].mean() <= 0.1).all()
    assert (found.groupby("clusters")["now"].mean() <= 0.1).all()
    assert (found.groupby("kind")["former"].mean() > 0.3).all()  # why there is a new rule


def test_large_misfits_are_named_with_50_clusters(results: pd.DataFrame) -> None:
    found = judged(results[(results["clusters"] == 50) & (results["size"] == 0.5)])
    shares = found[found["kind"] == "marginal"].groupby("case")["named"].mean()
    assert (shares[["within", "variances"]] > 0.9).all()
    assert shares["between"] < 0.3  # a correlation of .5 between: docs warn of it
    assert (found["named"] <= found["now"]).all()


def test_findings_are_counted_as_the_package_counts_them(results: pd.DataFrame) -> None:
    """Other than clusters, which need the distances of each."""
    some = results[results["case"].isin(["right", "variances"])]
    some = some[some["seed"] == 1]
    expected = {}
    for task, rows in some.groupby(TASK, sort=False):
        table = rows[rows["statistic"] != "clusters"].assign(variable="")
        states = {finding.state for finding in fit_findings(table)}
        outlying = table[table["statistic"].str.startswith("outlying")]["adjusted"]
        expected[task] = states != {"fine"} or bool((outlying <= 0.05 / 11).any())
    found = judged(some).set_index(TASK)["now"]
    assert len(found) == len(expected) > 20
    assert 0 < found.sum() < len(found)
    assert found.to_dict() == expected


def test_clear_differences_of_elpd_are_never_wrong() -> None:
    loo = loo_pairs(pd.read_csv(LOO_RESULTS))
    sign = np.where(loo["right"] == "larger", 1, -1)
    two = loo["elpd_diff"].abs() > 2 * loo["se_diff"]
    assert len(loo) >= 500
    assert not (two & (sign * loo["elpd_diff"] <= -4)).any()
    assert 0.01 < (two & (sign * loo["elpd_diff"] < 0)).mean() < 0.06  # two SE alone
    within = loo["error"].abs() <= 2 * np.hypot(loo["se_diff"], loo["true_mcse"])
    assert 0.7 < within.mean() < 0.9  # not .95


def test_shares_have_their_errors() -> None:
    half = pd.Series([True, False] * 50)
    assert share(half) == "50 ± 5"
    assert share(pd.Series([False] * 50)) == "0 ± 1"
    assert share(half[:0]) == ""
