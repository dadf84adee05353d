"""Shipped data: contents, provenance, and the simulated set simulated again."""

from __future__ import annotations

import gzip
import importlib.resources

import numpy as np
import pandas as pd
import pytest

from bayes_msem.data.advice import advice
from bayes_msem.data.observe import observe
from bayes_msem.datasets import describe_dataset, list_datasets, load_dataset
from bayes_msem.datasets.simulate_belonging import simulate_belonging
from bayes_msem.datasets.simulate_school_classes import simulate_school_classes
from bayes_msem.datasets.simulate_school_climate import (
    INDICATORS,
    simulate_school_climate,
    write_csv_gz,
)
from bayes_msem.datasets.simulate_team_performance import simulate_team_performance
from bayes_msem.datasets.simulate_wellbeing import simulate_wellbeing
from bayes_msem.errors import DataError
from bayes_msem.spec.table import ParameterTable
from tests.oracle import oracle_from_values

_ROOT = importlib.resources.files("bayes_msem.datasets")


def test_all_datasets_are_listed():
    assert list_datasets() == (
        "hsb", "lq2002", "school_climate", "wellbeing", "team_performance", "school_classes",
        "belonging",
    )  # fmt: skip
    shipped = {f.name.removesuffix(".csv.gz") for f in _ROOT.iterdir() if f.name.endswith(".gz")}
    assert shipped == set(list_datasets())


@pytest.mark.parametrize(
    ("name", "rows", "clusters", "smallest", "largest"),
    [
        ("hsb", 7185, 160, 14, 67),
        ("lq2002", 2042, 49, 10, 99),
        ("school_climate", 507, 30, 1, 30),
        ("wellbeing", 522, 60, 1, 14),
        ("team_performance", 716, 90, 3, 12),
        ("school_classes", 2438, 161, 10, 20),
        ("belonging", 713, 60, 8, 16),
    ],
)
def test_shape_and_provenance(name, rows, clusters, smallest, largest):
    frame, dataset = load_dataset(name), describe_dataset(name)
    sizes = frame[dataset.cluster].value_counts()
    assert (len(frame), len(sizes)) == (rows, clusters)
    assert (sizes.min(), sizes.max()) == (smallest, largest)
    assert frame.isna().any(axis=None) == (name in ("wellbeing", "school_classes"))
    assert list(dataset.columns) == list(frame.columns)
    for key in ("name", "title", "cluster", "source", "licence"):
        assert frame.attrs[key] == getattr(dataset, key) != ""
    assert dataset.source in str(dataset)
    readme = _ROOT.joinpath("README.md").read_text(encoding="utf-8")
    assert f"## {name}" in readme
    assert f"{rows:,}" in readme


def test_values_known_from_the_literature():
    hsb = load_dataset("hsb")
    assert hsb.mach.mean() == pytest.approx(12.748, abs=5e-4)  # Raudenbush & Bryk 2002, table 4.1
    assert hsb.groupby("school").sector.first().sum() == 70
    lq = load_dataset("lq2002")
    assert lq.filter(like="LEAD").isin(range(1, 6)).all(axis=None)
    assert lq.filter(like="HOSTIL").isin(range(5)).all(axis=None)


def test_load_returns_a_fresh_frame():
    frame = load_dataset("hsb")
    frame["mach"] = 0.0
    frame.attrs.clear()
    assert load_dataset("hsb").mach.max() > 20
    assert load_dataset("hsb").attrs["cluster"] == "school"


def test_unknown_name_lists_all_and_suggests_one():
    with pytest.raises(DataError) as caught:
        load_dataset("lq2020")
    message = str(caught.value)
    assert "no data set 'lq2020', only 'hsb', 'lq2002', 'school_climate'" in message
    assert message.endswith("; did you mean 'lq2002'?")
    for name in ("iris", None, ["hsb"]):
        with pytest.raises(DataError, match="only 'hsb', 'lq2002', 'school_climate'"):
            describe_dataset(name)


@pytest.mark.parametrize(
    ("name", "simulate"),
    [
        ("school_climate", simulate_school_climate),
        ("wellbeing", simulate_wellbeing),
        ("team_performance", simulate_team_performance),
        ("school_classes", simulate_school_classes),
        ("belonging", simulate_belonging),
    ],
)
def test_simulated_data_can_be_simulated_again(name, simulate):
    again, shipped = simulate(), load_dataset(name)
    # One unit of the last decimal: square roots may round differently on other machines.
    pd.testing.assert_frame_equal(again, shipped, rtol=0, atol=1.1e-3)


def test_compressed_files_depend_on_data_only(tmp_path):
    frame = simulate_school_climate(seed=1, n_schools=3)
    write_csv_gz(frame, tmp_path / "a.csv.gz")
    write_csv_gz(frame, tmp_path / "b.csv.gz")
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    for name in list_datasets():
        header = _ROOT.joinpath(f"{name}.csv.gz").read_bytes()[:10]
        assert header[3:8] == b"\0" * 5, f"{name}: file name or time in the header"
    text = gzip.decompress(_ROOT.joinpath("school_climate.csv.gz").read_bytes()).decode()
    assert text.startswith("school,safety,respect,support,fairness,ses,urban,retention\n")


def test_true_values_reproduce_the_moments_of_many_schools():
    """Between means of a large simulated sample against the model-implied ones."""
    true = describe_dataset("school_climate").true_values
    frame = simulate_school_climate(seed=2, n_schools=4000)
    y = frame[list(INDICATORS)].to_numpy()
    school = frame.school.to_numpy()
    ses, urban = frame.ses.to_numpy(), frame.urban.to_numpy()
    given = np.column_stack([np.ones(len(y)), ses, urban])
    fitted, *_ = np.linalg.lstsq(given, y, rcond=None)
    loadings = {
        level: np.array([true[level, f"climate_{level[0]}", "=~", v] for v in INDICATORS])
        for level in ("within", "between")
    }
    expected = np.vstack(
        [
            [true["between", v, "~", "1"] for v in INDICATORS],
            true["within", "climate_w", "~", "ses"] * loadings["within"],
            true["between", "climate_b", "~", "urban"] * loadings["between"],
        ]
    )
    np.testing.assert_allclose(fitted, expected, atol=0.05)

    residual = pd.DataFrame(y - given @ expected)
    deviation = residual - residual.groupby(school).transform("mean")
    pooled = deviation.T @ deviation / (len(y) - 4000)
    psi = true["within", "climate_w", "~~", "climate_w"]
    theta = np.diag([true["within", v, "~~", v] for v in INDICATORS])
    sigma_w = psi * np.outer(loadings["within"], loadings["within"]) + theta
    np.testing.assert_allclose(pooled, sigma_w, atol=0.02)

    sizes = residual.groupby(school).size().to_numpy()
    means = residual.groupby(school).mean().to_numpy()
    psi = true["between", "climate_b", "~~", "climate_b"]
    theta = np.diag([true["between", v, "~~", v] for v in INDICATORS])
    sigma_b = psi * np.outer(loadings["between"], loadings["between"]) + theta
    observed_b = (means.T @ means - sigma_w * (1 / sizes).sum()) / len(sizes)
    np.testing.assert_allclose(observed_b, sigma_b, atol=0.03)


def test_school_mean_centred_ses_has_no_between_part():
    roles = dict.fromkeys([("within", "cses"), ("between", "cses")], "split")
    table = ParameterTable(rows=(), roles=roles, definitions=(), constraints=(), two_level=True)
    with pytest.raises(DataError, match="'cses' is used at both levels, but all 'school' means"):
        observe(load_dataset("hsb"), table, "school")


def test_school_climate_serves_every_role():
    within = dict.fromkeys(INDICATORS, "split") | {"ses": "covariate"}
    between = dict.fromkeys(INDICATORS, "split")
    between |= {"retention": "cluster-level", "urban": "cluster-level covariate"}
    roles = {("within", v): r for v, r in within.items()}
    roles |= {("between", v): r for v, r in between.items()}
    table = ParameterTable(rows=(), roles=roles, definitions=(), constraints=(), two_level=True)
    observed = observe(load_dataset("school_climate"), table, "school")
    assert observed.z.shape == observed.w.shape == (30, 1)
    (note,) = advice(observed)
    assert "Clusters with a single row: 1 of 30" in note


def test_wellbeing_lacks_what_its_description_says():
    frame = load_dataset("wellbeing")
    whole = simulate_wellbeing(complete=True)
    assert not whole.isna().any(axis=None)
    assert frame.notna()[["energy", "workload", "coaching"]].all(axis=None)
    assert frame["ease"].groupby(frame["team"]).count()[["T11", "T21"]].sum() == 0
    assert frame.groupby("team")["turnover"].count().eq(0).sum() == 6
    assert len(frame.dropna()) == 253
    items = list(INDICATORS_OF["wellbeing"])
    pd.testing.assert_frame_equal(frame[items].fillna(whole[items]), whole[items], atol=1.1e-3)
    low = frame["energy"] < frame["energy"].median()
    assert frame["joy"].isna()[low].mean() > 2 * frame["joy"].isna()[~low].mean()


INDICATORS_OF = {
    "wellbeing": ("energy", "focus", "calm", "joy", "trust", "ease"),
    "team_performance": ("autonomy", "engagement"),
}


@pytest.mark.parametrize("name", INDICATORS_OF)
def test_true_values_are_those_of_the_simulation(name):
    """Given the true values, -2 log density beyond its constants is chi-square.

    The squared Mahalanobis distances of all clusters of a large sample sum to the number of values
    within four standard errors (2 %). The numbers have one source, so what this can find is a term
    that the simulation lacks or has too much.
    """
    simulate = {
        "wellbeing": lambda: simulate_wellbeing(seed=3, n_teams=1500, complete=True),
        "team_performance": lambda: simulate_team_performance(seed=3, n_teams=1500),
    }[name]
    frame = simulate()
    oracle = oracle_from_values(describe_dataset(name).true_values, frame, "team")
    total = count = 0.0
    for units in oracle.clusters().values():
        found = oracle.stacked(units)
        residual = found.values - found.mean
        total += residual @ np.linalg.solve(found.covariance, residual)
        count += len(residual)
    assert abs(total - count) < 4 * np.sqrt(2 * count)
