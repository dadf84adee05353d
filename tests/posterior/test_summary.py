"""Mean, median and the mark of skewed rows: known distributions, and what the median is for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayes_msem.posterior.summary import SKEWED, derived_table, estimate_columns
from tests.likelihood.cases import FACTOR_B, FACTOR_W, two_level
from tests.posterior.synthetic import synthetic_fit

N = 20_000
UNIFORM = (np.arange(N) + 0.5) / N


def quantiles_of(distribution) -> np.ndarray:
    """Draws (chain, draw, 1) whose quantiles are those of a distribution, in random order."""
    x = distribution.ppf(np.random.default_rng(1).permutation(UNIFORM))
    return x.reshape(4, -1, 1)


@pytest.mark.parametrize(
    ("distribution", "skewed"),
    [
        (stats.norm(3, 2), False),
        (stats.uniform(), False),
        (stats.t(4), False),
        (stats.beta(20, 60), False),
        (stats.chi2(30), False),
        (stats.halfnorm(), True),
        (stats.chi2(1), True),  # a variance whose SD runs to zero
        (stats.invgamma(4.5), True),  # a variance known from 10 clusters
        (stats.invgamma(49.5), False),  # from 100
        (stats.lognorm(1.0), True),
        (stats.beta(1, 12), True),  # a small R2
    ],
    ids=lambda d: f"{d.dist.name}{d.args}" if hasattr(d, "dist") else "",
)
def test_mark_of_known_distributions(distribution, skewed: bool) -> None:
    row = estimate_columns(quantiles_of(distribution), 0.95, "eti").iloc[0]
    assert row["median"] == pytest.approx(distribution.median(), rel=1e-3, abs=1e-3)
    assert row["note"] == ("skewed" if skewed else "")
    low, high = distribution.ppf(stats.norm.cdf([-1, 1]))
    expected = abs(distribution.mean() - distribution.median()) / ((high - low) / 2)
    assert (expected > SKEWED) == skewed  # the distributions are what their lines say


def test_mark_where_the_sd_is_infinite() -> None:
    """Ratios: far tails move the mean and swell the SD, which therefore is no yardstick."""
    x = quantiles_of(stats.pareto(1.2))
    row = estimate_columns(x, 0.95, "eti").iloc[0]
    assert row["note"] == "skewed"
    assert abs(row["mean"] - row["median"]) < 0.2 * row["sd"]


def test_constants_and_random_rows() -> None:
    x = np.stack([np.full((2, 50), 0.3), np.full((2, 50), np.nan)], axis=-1)
    constant, random = estimate_columns(x, 0.95, "eti").itertuples(index=False)
    assert (constant.median, constant.sd, constant.note) == (0.3, 0.0, "")
    assert np.isnan(random.median)
    assert random.note == ""


def test_tables_say_what_the_mark_means() -> None:
    keys = pd.DataFrame({"variable": ["a", "b"]})
    values = np.concatenate([quantiles_of(stats.norm()), quantiles_of(stats.chi2(1))], axis=-1)
    both = derived_table(keys, values, ci=0.9, ci_kind="eti", caption="What.")
    assert list(both.columns[:4]) == ["variable", "mean", "median", "sd"]
    assert list(both["note"]) == ["", "skewed"]
    assert "report the median and the interval" in " ".join(repr(both).split())
    assert repr(both).splitlines()[-1].endswith("skewed")
    plain = derived_table(keys[:1], values[..., :1], ci=0.9, ci_kind="eti", caption="What.")
    assert "report the median" not in repr(plain)
    for shown in (repr(plain), plain._repr_html_()):
        assert "median" in shown
        assert "note" not in shown


def test_summary_of_a_fit() -> None:
    """Rows of the table: the median, of variances too, and 'fixed' rows without one."""
    fit = synthetic_fit(two_level("", FACTOR_W, FACTOR_B))
    table = fit.summary()
    for row, key in zip(table.itertuples(index=False), fit.draws, strict=True):
        draws = fit.draws[key]
        assert row.median == pytest.approx(np.median(draws))
        low, high = np.quantile(draws, stats.norm.cdf([-1, 1]))
        far = abs(draws.mean() - np.median(draws)) > 0.2 * (high - low) / 2
        assert row.note == ("skewed" if far else "")
    line = next(x for x in repr(table).splitlines() if "fw =~ y1" in x)
    assert line.split() == ["fw", "=~", "y1", "1.000", "fixed"]


def test_the_median_of_a_small_variance_is_nearly_unbiased() -> None:
    """10 clusters of 10, ICC .05, SD between ~ half-normal(SD of the cluster means), SD within 1.

    The sum of squares between is (1 + n tau^2) chi^2(9), so the posterior of tau is computed on a
    grid, for 4,000 data sets. The mean of the posterior means is about 1.5 times tau^2, that of the
    medians about 1.1 times (docs/results.md quotes both). Standard errors are below .03.
    """
    icc, clusters, n = 0.05, 10, 10
    tau2 = icc / (1 - icc)
    rng = np.random.default_rng(1)
    squares = rng.chisquare(clusters - 1, size=(4000, 1)) * (1 + n * tau2)
    scale2 = squares / n / (clusters - 1)
    tau = np.linspace(1e-3, 3, 3000)
    variance = 1 + n * tau**2
    density = -(clusters - 1) / 2 * np.log(variance) - squares / (2 * variance)
    density -= tau**2 / (2 * scale2)
    weight = np.exp(density - density.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    mean = weight @ tau**2
    median = tau[(weight.cumsum(axis=1) < 0.5).sum(axis=1)] ** 2
    assert mean.mean() / tau2 == pytest.approx(1.54, abs=0.1)
    assert median.mean() / tau2 == pytest.approx(1.08, abs=0.1)
