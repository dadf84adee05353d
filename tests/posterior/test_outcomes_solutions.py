"""Solutions of models with outcomes that are not normal, from their rows by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.errors import SpecificationError
from bayes_msem.posterior.count_variance import count_variance
from bayes_msem.posterior.reliability import composite_reliabilities
from tests.posterior.made_up import synthetic_fit
from tests.posterior.outcome_fits import ITEMS, Array, cuts, make_data, row, single_model

DATA = make_data()
W = DATA.groupby("school", sort=False)["w"].first().to_numpy()
X = DATA["x"].to_numpy()


def between_variances(fit: bm.Fit) -> dict[str, Array]:
    """Variances between clusters of what has a between part, covariates at their means."""
    w = W.var()
    fb = row(fit, "fb ~~ fb") + row(fit, "fb ~ w") ** 2 * w
    slope = row(fit, "slope ~~ slope") + row(fit, "slope ~ w") ** 2 * w
    with_slope = row(fit, "fb ~~ slope") + row(fit, "fb ~ w") * row(fit, "slope ~ w") * w
    x, result = X.mean(), {}
    for item in ITEMS:  # lb fb + e + lw slope x
        lw, lb = row(fit, f"fw =~ {item}"), row(fit, f"fb =~ {item}")
        own = lb**2 * fb + row(fit, f"between: {item} ~~ {item}")
        result[item] = own + 2 * lb * lw * x * with_slope + (lw * x) ** 2 * slope
    a = row(fit, "c ~ fw")
    covariance = row(fit, "c ~~ slope")
    result["c"] = row(fit, "between: c ~~ c") + 2 * a * x * covariance + (a * x) ** 2 * slope
    return result


def factor_variance(fit: bm.Fit) -> Array:
    """Variance of fw in the average cluster."""
    slope = row(fit, "slope ~ 1") + row(fit, "slope ~ w") * W.mean()
    return row(fit, "fw ~~ fw") + slope**2 * X.var()


def count_residual(fit: bm.Fit) -> Array:
    """ln(1 + 1/lambda) of the count, lambda its mean at the mean exposure."""
    slope = row(fit, "slope ~ 1") + row(fit, "slope ~ w") * W.mean()
    a = row(fit, "c ~ fw")
    mean = row(fit, "c ~ 1") + a * slope * X.mean()
    variance = a**2 * factor_variance(fit) + between_variances(fit)["c"]
    return np.log(1 + 1 / (DATA["time"].mean() * np.exp(mean + variance / 2)))


def test_intraclass_correlations(outcome_fit: bm.Fit) -> None:
    fit, table = outcome_fit, outcome_fit.icc().set_index("variable")["mean"]
    between, f = between_variances(fit), factor_variance(fit)
    for item in ITEMS:
        within = row(fit, f"fw =~ {item}") ** 2 * f + 1.0
        assert table[item] == pytest.approx((between[item] / (between[item] + within)).mean())
    within = row(fit, "c ~ fw") ** 2 * f + count_residual(fit)
    assert table["c"] == pytest.approx((between["c"] / (between["c"] + within)).mean())


def test_explained_variance(outcome_fit: bm.Fit) -> None:
    fit, table = outcome_fit, outcome_fit.r2().set_index(["level", "variable"])["mean"]
    f = factor_variance(fit)
    explained = row(fit, "fw =~ y2") ** 2 * f
    assert table["within", "y2"] == pytest.approx((explained / (explained + 1)).mean())
    explained = row(fit, "c ~ fw") ** 2 * f
    assert table["within", "c"] == pytest.approx(
        (explained / (explained + count_residual(fit))).mean()
    )
    parts = fit.variance_components().set_index(["level", "variable", "part"])["mean"]
    assert parts["within", "y3", "residual"] == pytest.approx(1.0)
    assert parts["within", "c", "residual"] == pytest.approx(count_residual(fit).mean())


def test_logits_have_their_variance(mixed_fit: bm.Fit) -> None:
    parts = mixed_fit.variance_components().set_index(["level", "variable", "part"])["mean"]
    assert parts["within", "y1", "residual"] == pytest.approx(np.pi**2 / 3)
    table = mixed_fit.standardized()
    assert "n ~~ n (dispersions)" in table.attrs["caption"]
    of_n = table[(table["lhs"] == "n") & (table["rhs"] == "n")]
    assert of_n["level"].tolist() == ["between"]


def test_standardised_solution(outcome_fit: bm.Fit) -> None:
    fit = outcome_fit
    table = fit.standardized().set_index(["level", "lhs", "op", "rhs"])["mean"]
    f, between = factor_variance(fit), between_variances(fit)
    within = row(fit, "fw =~ y3") ** 2 * f + 1.0
    loading = row(fit, "fw =~ y3") * np.sqrt(f / within)
    assert table["within", "fw", "=~", "y3"] == pytest.approx(loading.mean())
    whole = np.sqrt(within + between["y3"])
    assert table["between", "y3", "|", "t2"] == pytest.approx(
        (cuts(fit, "y3")[:, 1] / whole).mean()
    )
    of_count = row(fit, "c ~ fw") ** 2 * f + count_residual(fit)
    path = row(fit, "c ~ fw") * np.sqrt(f / of_count)
    assert table["within", "c", "~", "fw"] == pytest.approx(path.mean())


def test_thresholds_of_one_level() -> None:
    fit = synthetic_fit(single_model(), draws=10)
    table = fit.standardized().set_index(["lhs", "op", "rhs"])["mean"]
    f = row(fit, "f ~~ f") + row(fit, "f ~ x") ** 2 * X.var()
    sd = np.sqrt(row(fit, "f =~ y2") ** 2 * f + 1.0)
    expected = cuts(fit, "y2", "within")[:, 2] / sd
    assert table["y2", "|", "t3"] == pytest.approx(expected.mean())


def test_effects_on_counts(outcome_fit: bm.Fit) -> None:
    table = outcome_fit.effects("x", "c")
    slope = row(outcome_fit, "slope ~ 1") + row(outcome_fit, "slope ~ w") * W.mean()
    expected = (slope * row(outcome_fit, "c ~ fw")).mean()
    assert table.loc[table["effect"] == "total", "mean"].item() == pytest.approx(expected)
    assert "log rates" in table.attrs["caption"]


def test_implied_covariances(outcome_fit: bm.Fit) -> None:
    matrix = outcome_fit.implied_covariance("within").mean(("chain", "draw"))
    f = row(outcome_fit, "fw ~~ fw")
    pair = (row(outcome_fit, "fw =~ y2") * row(outcome_fit, "c ~ fw") * f).mean()
    assert float(matrix.sel(outcome="y2", outcome_2="c")) == pytest.approx(pair)
    assert float(matrix.sel(outcome="y1", outcome_2="y1")) == pytest.approx((f + 1.0).mean())


def covariance_of_sums(covariance: Array, sd: Array, edges: list[Array]) -> float:
    """Covariance of two sums of codes, by SciPy's bivariate normal distribution."""
    total = 0.0
    for i, j in product(range(3), range(3)):
        r = min(covariance[i, j] / (sd[i] * sd[j]), 1.0 - 1e-9)
        both = stats.multivariate_normal(cov=[[1.0, r], [r, 1.0]], allow_singular=True)
        for a, b in product(edges[i] / sd[i], edges[j] / sd[j]):
            total += float(both.cdf([a, b])) - stats.norm.cdf(a) * stats.norm.cdf(b)
    return total


def test_reliability_of_sums_of_codes(outcome_fit: bm.Fit) -> None:
    fit, s, n = outcome_fit, 7, 8
    found = composite_reliabilities(fit._solution().levels)
    lw = np.array([row(fit, f"fw =~ {item}")[s] for item in ITEMS])
    lb = np.array([row(fit, f"fb =~ {item}")[s] for item in ITEMS])
    fb = row(fit, "fb ~~ fb") + row(fit, "fb ~ w") ** 2 * W.var()
    slope = row(fit, "slope ~~ slope") + row(fit, "slope ~ w") ** 2 * W.var()
    both = row(fit, "fb ~~ slope") + row(fit, "fb ~ w") * row(fit, "slope ~ w") * W.var()
    due_w = np.outer(lw, lw) * factor_variance(fit)[s]
    due_b = np.outer(lb, lb) * fb[s]
    own = [row(fit, f"between: {item} ~~ {item}")[s] for item in ITEMS]
    crossed = (np.outer(lb, lw) + np.outer(lw, lb)) * X.mean() * both[s]
    spread = due_b + crossed + np.outer(lw, lw) * X.mean() ** 2 * slope[s] + np.diag(own)
    inside = due_w + np.eye(3)
    average = (row(fit, "slope ~ 1") + row(fit, "slope ~ w") * W.mean())[s] * X.mean()
    means = lw * average + lb * row(fit, "fb ~ w")[s] * W.mean()
    edges = [cuts(fit, item)[s] - mean for item, mean in zip(ITEMS, means, strict=True)]

    def c(covariance: Array, of: Array) -> float:
        return covariance_of_sums(covariance, np.sqrt(np.diag(of)), edges)

    whole = spread + inside
    expected = {
        ("fw", "within"): c(due_w, inside) / c(inside, inside),
        ("fw", "total"): c(due_w + due_b, whole) / c(whole, whole),
        ("fb", "between"): c(due_b, whole) / c(spread, whole),
        ("fb", "cluster means"): c(due_b, whole)
        / (c(spread, whole) * (n - 1) / n + c(whole, whole) / n),
    }
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key][s] == pytest.approx(value, abs=2e-4), key


def test_sums_without_a_reliability_are_named(mixed_fit: bm.Fit) -> None:
    table = mixed_fit.reliability()
    assert table["factor"].unique().tolist() == ["g", "gb"]
    assert "Left out: f, fb" in table.attrs["caption"]
    assert "Green" not in table.attrs["caption"]
    model = bm.Model(
        "f =~ y1 + y2 + y3", data=DATA, families=dict.fromkeys(ITEMS, "ordinal(logit)")
    )
    with pytest.raises(SpecificationError, match="Left out: f"):
        synthetic_fit(model, draws=3).reliability()


def test_variance_of_counts() -> None:
    """A log-normal variable with the SD-to-mean ratio of a count, by its definition."""
    mean, alpha = 2.5, 0.4
    variance = float(count_variance(np.log(mean) - 0.3, 0.6, alpha))
    ratio = (mean + alpha * mean**2) / mean**2
    assert np.exp(variance) - 1 == pytest.approx(ratio)
    assert float(count_variance(0.0, 0.0, exposure=2.0)) == pytest.approx(np.log(1.5))
