"""NUTS on lavaan's Demo.twolevel: convergence, agreement with ML, and what is made of the draws."""

from __future__ import annotations

import arviz_stats as azs
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import bayes_msem as bm
from tests.oracle import oracle_from_values
from tests.reference_models import Reference

Array = NDArray[np.float64]

STRUCTURAL = [
    *(("within", "fw", "=~", y) for y in ("y2", "y3")),
    *(("within", "fw", "~", x) for x in ("x1", "x2", "x3")),
    *(("between", "fb", "=~", y) for y in ("y2", "y3")),
    *(("between", "fb", "~", w) for w in ("w1", "w2")),
]
# Not well identified: the between variance of y1, whose estimate is 1.3 SE from zero. Its posterior
# is skewed and its mean need not be near the ML estimate.
WEAK = ("between", "y1", "~~", "y1")


def one_row_each(draws: Array) -> xr.Dataset:
    return xr.Dataset({"value": (("chain", "draw"), draws)})


def test_chains_converged(demo_fit: bm.Fit, demo: Reference) -> None:
    """R-hat by ArviZ on the table's values, not by the package."""
    assert int(demo_fit.datatree["sample_stats"]["diverging"].sum()) == 0
    for key in demo.free:
        draws = one_row_each(demo_fit.draws[key])
        assert float(azs.rhat(draws)["value"]) < 1.01, key
    for key in STRUCTURAL:
        draws = one_row_each(demo_fit.draws[key])
        assert float(azs.ess(draws, method="bulk")["value"]) > 400, key
    assert demo_fit.convergence.problems == ()


def test_posterior_means_are_near_maximum_likelihood(demo_fit: bm.Fit, demo: Reference) -> None:
    """Within half a posterior SD: 200 clusters, weakly informative priors."""
    compared = demo.free - {WEAK}
    assert len(compared) == demo.npar - 1
    for key in compared:
        draws = demo_fit.draws[key]
        assert draws.mean() == pytest.approx(demo.estimates[key], abs=0.5 * draws.std()), key


def test_posterior_sds_are_near_standard_errors(demo_fit: bm.Fit, demo: Reference) -> None:
    """The sampling error of an SD from 1,000 effective draws is 2 %; skewness and priors add."""
    for key in set(STRUCTURAL):
        assert demo_fit.draws[key].std() == pytest.approx(demo.se[key], rel=0.15), key


def test_dimensions(demo_fit: bm.Fit) -> None:
    posterior = demo_fit.datatree["posterior"]
    assert (posterior.sizes["chain"], posterior.sizes["draw"]) == (4, 1000)
    assert demo_fit.draws["within", "fw", "=~", "y2"].shape == (4, 1000)


@pytest.mark.parametrize(("ci", "tail"), [(0.95, 0.025), (0.5, 0.25)])
def test_summary_numbers(demo_fit: bm.Fit, demo_model: bm.Model, ci: float, tail: float) -> None:
    """Against NumPy and ArviZ on the sampled variables: rounding only."""
    summary = demo_fit.summary(ci=ci)
    assert list(summary.columns) == [
        "level", "lhs", "op", "rhs", "label", "mean", "median", "sd", "lower", "upper",
        "ess_bulk", "ess_tail", "r_hat", "note", "prior",
    ]  # fmt: skip
    keys = list(summary[["level", "lhs", "op", "rhs"]].itertuples(index=False, name=None))
    assert keys == [row.key for row in demo_model.table.rows]
    rows = dict(zip(keys, summary.itertuples(index=False), strict=True))
    posterior = demo_fit.datatree["posterior"]
    loading = posterior["within_loading"].sel(within_loading_row="fw =~ y2").to_numpy()
    variance = posterior["between_sd"].sel(between_sd_row="fb ~~ fb").to_numpy() ** 2
    slopes = posterior["within_regression"]
    a, b = (slopes.sel(within_regression_row=f"fw ~ {x}").to_numpy() for x in ("x1", "x2"))
    cases = {
        ("within", "fw", "=~", "y2"): loading,
        ("between", "fb", "~~", "fb"): variance,
        next(key for key in keys if key[1] == "product"): a * b,
        next(key for key in keys if key[1] == "squared"): loading**2,
    }
    for key, draws in cases.items():
        row, data = rows[key], one_row_each(draws)
        assert row.mean == pytest.approx(draws.mean(), rel=1e-12)
        assert row.median == pytest.approx(np.median(draws), rel=1e-12)
        assert row.sd == pytest.approx(draws.std(ddof=1), rel=1e-12)
        bounds = np.quantile(draws, [tail, 1 - tail])
        assert (row.lower, row.upper) == pytest.approx(tuple(bounds), rel=1e-12)
        assert row.ess_bulk == pytest.approx(float(azs.ess(data, method="bulk")["value"]))
        assert row.ess_tail == pytest.approx(float(azs.ess(data, method="tail")["value"]))
        assert row.r_hat == pytest.approx(float(azs.rhat(data)["value"]))
    assert rows["within", "fw", "=~", "y2"].label == "l2"
    constant = rows["within", "fw", "=~", "y1"]
    assert (constant.mean, constant.sd, constant.lower, constant.upper) == (1.0, 0.0, 1.0, 1.0)
    assert np.isnan(constant.r_hat)
    assert constant.prior == ""
    assert rows["within", "y1", "~~", "y1"].prior.endswith("[sd]")
    assert f"{100 * ci:g}%" in summary.attrs["caption"]
    assert "ETI" in summary.attrs["caption"]


def test_hdi_is_the_shortest_interval(demo_fit: bm.Fit) -> None:
    """ArviZ's HDI and the shortest window over sorted draws differ by single draws at most."""
    summary = demo_fit.summary(ci=0.9, ci_kind="hdi")
    row = summary[(summary["lhs"] == "y1") & (summary["rhs"] == "y1")].iloc[-1]
    draws = np.sort(demo_fit.draws[WEAK].ravel())
    width = int(np.floor(0.9 * len(draws)))
    start = int(np.argmin(draws[width:] - draws[: len(draws) - width]))
    gap = 3 * np.diff(draws)[start : start + 100].max()
    assert row["level"] == "between"
    assert row["lower"] == pytest.approx(draws[start], abs=gap)
    assert row["upper"] == pytest.approx(draws[start + width], abs=0.01)
    assert "HDI" in summary.attrs["caption"]


def test_derived_variables_of_the_tree(demo_fit: bm.Fit) -> None:
    posterior = demo_fit.datatree["posterior"]
    for level in ("within", "between"):
        sd = posterior[f"{level}_sd"].to_numpy()
        np.testing.assert_allclose(posterior[f"{level}_variance"].to_numpy(), sd**2, rtol=1e-14)
        assert list(posterior[f"{level}_variance_row"].values) == list(
            posterior[f"{level}_sd_row"].values
        )
    loading = posterior["within_loading"].sel(within_loading_row="fw =~ y2")
    defined = posterior["defined"].sel(defined_row="squared")
    np.testing.assert_allclose(defined.to_numpy(), loading.to_numpy() ** 2, rtol=1e-14)


def test_data_in_the_tree(demo_fit: bm.Fit, demo: Reference) -> None:
    tree = demo_fit.datatree
    np.testing.assert_array_equal(tree["observed_data"]["y"], demo.frame[["y1", "y2", "y3"]])
    np.testing.assert_array_equal(tree["constant_data"]["x"], demo.frame[["x1", "x2", "x3"]])
    cluster = tree["constant_data"]["cluster"].to_numpy()
    w = tree["constant_data"]["w"].to_numpy()[cluster]
    np.testing.assert_array_equal(w, demo.frame[["w1", "w2"]])


def test_record_of_the_run(demo_fit: bm.Fit, demo_model: bm.Model) -> None:
    attributes = demo_fit.datatree.attrs
    assert attributes["spec"] == demo_model.spec
    assert attributes["random_seed"] == 1
    assert attributes["bayes_msem_version"] == bm.__version__
    assert attributes["sampler"] == "nutpie"
    assert attributes["cluster"] == "cluster"


@pytest.mark.parametrize(("chain", "draw"), [(0, 0), (1, 500), (3, 999)])
def test_implied_covariances(demo_fit: bm.Fit, demo: Reference, chain: int, draw: int) -> None:
    """Against the oracle's matrices at the values of one draw: products of small matrices."""
    values = {key: float(draws[chain, draw]) for key, draws in demo_fit.draws.items() if key[0]}
    oracle = oracle_from_values(values, demo.frame, demo.cluster)
    names = list(oracle.within.observed)
    total_b = np.linalg.inv(np.eye(len(oracle.between.alpha)) - oracle.between.B)
    total_b = oracle.between.F_y @ total_b
    expected = {
        "within": oracle.total @ oracle.within.Psi @ oracle.total.T,
        "between": total_b @ oracle.between.Psi @ total_b.T,
    }
    for level, matrix in expected.items():
        found = demo_fit.implied_covariance(level).isel(chain=chain, draw=draw)
        found = found.sel(outcome=names, outcome_2=names).to_numpy()
        np.testing.assert_allclose(found, matrix, rtol=1e-12)
        correlation = demo_fit.implied_covariance(level, correlation=True)
        correlation = correlation.isel(chain=chain, draw=draw).sel(outcome=names, outcome_2=names)
        sd = np.sqrt(np.diag(matrix))
        np.testing.assert_allclose(correlation, matrix / np.outer(sd, sd), rtol=1e-12)


def test_implied_covariance_refuses_unknown_levels(demo_fit: bm.Fit) -> None:
    with pytest.raises(bm.errors.SpecificationError, match=r"'level2'.*within and between"):
        demo_fit.implied_covariance("level2")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ci": 95}, r"ci=95 is not a probability; use a number such as 0\.95"),
        ({"ci": 0}, "not a probability"),
        ({"ci_kind": "central"}, "ci_kind='central' is unknown; use 'eti' or 'hdi'"),
    ],
)
def test_summary_refuses_unknown_intervals(
    demo_fit: bm.Fit, options: dict[str, object], message: str
) -> None:
    with pytest.raises(bm.errors.SpecificationError, match=message):
        demo_fit.summary(**options)  # type: ignore[arg-type]


def test_repr_says_what_was_done(demo_fit: bm.Fit) -> None:
    text = repr(demo_fit)
    for part in ("4 chains x 1000 draws", "seed 1", "0 divergences", "converged"):
        assert part in text
