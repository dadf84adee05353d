"""The description of a data set: ANOVA formulas, missing values, display."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm
from bayes_msem.errors import DataError


def make(missing: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    sizes = np.array([2, 5, 9, 1, 4, 7, 12, 3])
    group = np.repeat([f"g{i}" for i in range(len(sizes))], sizes)
    effect = np.repeat(rng.normal(size=(len(sizes), 3)), sizes, axis=0)
    y = 50 + effect + rng.normal(size=(sizes.sum(), 3))
    if missing:
        y[[0, 1, 5], 0] = np.nan  # the first cluster has no value of a
        y[7:12, 1] = np.nan
    return pd.DataFrame(y, columns=["a", "b", "c"]).assign(group=group)


def by_hand(frame: pd.DataFrame, u: str, v: str) -> tuple[float, float, float]:
    frame = frame[list(dict.fromkeys(["group", u, v]))].dropna()
    groups = frame.groupby("group")
    n, j, sizes = len(frame), groups.ngroups, groups.size()
    within = sum(((g[u] - g[u].mean()) * (g[v] - g[v].mean())).sum() for _, g in groups) / (n - j)
    between = sum(
        len(g) * (g[u].mean() - frame[u].mean()) * (g[v].mean() - frame[v].mean())
        for _, g in groups
    ) / (j - 1)
    star = (n - (sizes**2).sum() / n) / (j - 1)
    return within, between, (between - within) / star


@pytest.mark.parametrize("missing", [False, True])
def test_matrices_by_hand(missing: bool) -> None:
    frame = make(missing)
    about = bm.describe(frame, "group")
    for u in "abc":
        for v in "abc":
            expected = by_hand(frame, u, v)
            found = [m.loc[u, v] for m in (about.within, about.between, about.sigma_between)]
            np.testing.assert_allclose(found, expected, rtol=1e-10)
    r = about.within_correlation.loc["a", "b"]
    w = about.within
    assert r == pytest.approx(w.loc["a", "b"] / np.sqrt(w.loc["a", "a"] * w.loc["b", "b"]))
    s, r = about.sigma_between, about.between_correlation.loc["a", "c"]
    assert r == pytest.approx(s.loc["a", "c"] / np.sqrt(s.loc["a", "a"] * s.loc["c", "c"]))


def test_intraclass_correlations_are_those_of_the_analysis_of_variance() -> None:
    """ICC(2) = 1 - 1/F, and ICC(1) = (F - 1) / (F - 1 + n*)."""
    frame = make()
    about = bm.describe(frame, "group", ["a", "b"])
    sizes = frame.groupby("group").size()
    star = (len(frame) - (sizes**2).sum() / len(frame)) / (len(sizes) - 1)
    for name in ("a", "b"):
        f = stats.f_oneway(*[g[name] for _, g in frame.groupby("group")]).statistic
        row = about.variables.loc[name]
        assert row["icc2"] == pytest.approx(1 - 1 / f)
        assert row["icc1"] == pytest.approx((f - 1) / (f - 1 + star))
        effect = 1 + ((sizes**2).sum() / len(frame) - 1) * row["icc1"]
        assert row["design_effect"] == pytest.approx(effect)


def test_estimates_are_unbiased_and_design_effect_is_the_variance_inflation() -> None:
    """Expected quadratic forms: E(y'Ay) = tr(A V) with V = tau ZZ' + sigma I."""
    frame, tau, sigma = make(), 0.7, 1.3
    z = pd.get_dummies(frame["group"]).to_numpy(dtype=float)
    v = tau * z @ z.T + sigma * np.eye(len(z))
    projection = z @ np.linalg.inv(z.T @ z) @ z.T
    n, j = z.shape
    center = np.full((n, n), 1 / n)
    within = np.trace((np.eye(n) - projection) @ v) / (n - j)
    between = np.trace((projection - center) @ v) / (j - 1)
    sizes = z.sum(axis=0)
    star = (n - (sizes**2).sum() / n) / (j - 1)
    assert within == pytest.approx(sigma)
    assert (between - within) / star == pytest.approx(tau)
    # variance of the mean over all rows, relative to independent rows
    icc = tau / (tau + sigma)
    inflation = (v.sum() / n**2) / ((tau + sigma) / n)
    assert inflation == pytest.approx(1 + ((sizes**2).sum() / n - 1) * icc)


def test_missing_values_are_counted() -> None:
    variables = bm.describe(make(missing=True), "group").variables
    assert list(variables["missing"]) == [3, 5, 0]
    assert list(variables["clusters"]) == [7, 8, 8]
    assert variables.loc["a", "n"] == 40


def test_display() -> None:
    about = bm.describe(make(), "group")
    text, html = repr(about), about._repr_html_()
    assert text.startswith("43 rows in 8 clusters (group) of 1 to 12 rows: mean 5.4, median 4.5")
    for shown in (text, html):
        assert "ICC(1)" in shown
        assert "design effect" in shown
        assert f"{about.variables.loc['a', 'icc1']:.3f}" in shown
        assert f"{about.within_correlation.loc['b', 'a']:.2f}" in shown
        assert f"{about.between_correlation.loc['a', 'b']:.2f}" in shown
        assert "nan" not in shown
    assert html.count("<table") == 2
    assert about.cluster_sizes["g6"] == 12


def test_no_difference_between_clusters_shows_as_such() -> None:
    frame = pd.DataFrame({"g": [1, 1, 2, 2], "y": [0.0, 2.0, 2.0, 0.0]})
    about = bm.describe(frame, "g", ["y"])
    assert about.variables.loc["y", "icc1"] == -1.0
    assert np.isnan(about.variables.loc["y", "sd_between"])
    assert "nan" not in repr(about)


def test_rounding_is_no_variation() -> None:
    """A centred variable has no variance between, a cluster mean none within; exactly."""
    frame = make()
    mean = frame.groupby("group")["a"].transform("mean")
    about = bm.describe(frame.assign(centred=frame["a"] - mean, mean=mean), "group")
    assert about.between.loc["centred", "centred"] == 0.0
    assert about.within.loc["mean", "mean"] == 0.0
    assert about.variables.loc["mean", "icc1"] == 1.0
    assert np.isnan(about.variables.loc["centred", "icc2"])
    assert np.isnan(about.within_correlation.loc["mean", "a"])
    assert "nan" not in repr(about)


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        (make(), {"cluster": "groups"}, "did you mean 'group'?"),
        (make(), {"cluster": "group", "variables": ["a", "B"]}, "variable 'B' is not a column"),
        (make(), {"cluster": "group", "variables": ["a", "a"]}, "each column once"),
        (make().assign(t="x"), {"cluster": "group", "variables": ["t"]}, "'t' is not numeric"),
        (make().assign(group=range(43)), {"cluster": "group"}, "clusters of two rows or more"),
        (make().assign(group=1), {"cluster": "group"}, "needs two clusters or more"),
        (make()[["group"]], {"cluster": "group"}, "no numeric column"),
    ],
)
def test_errors_name_the_culprit(frame, options, words: str) -> None:
    with pytest.raises(DataError) as error:
        bm.describe(frame, **options)
    assert words in str(error.value)


# Cronbach and Härnqvist ------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [False, True])
def test_parts_add_up_to_the_total_correlations(missing: bool) -> None:
    frame = make(missing)
    about = bm.describe(frame, "group", scaling="cronbach-harnqvist")
    total = frame[["a", "b", "c"]].corr()  # pairwise, as here
    pd.testing.assert_frame_equal(about.within + about.between, total, rtol=1e-12)
    for name in "abc":
        groups = [g.dropna() for _, g in frame.groupby("group")[name] if g.notna().any()]
        between, rest = len(groups) - 1, sum(map(len, groups)) - len(groups)
        ratio = stats.f_oneway(*groups).statistic
        eta_squared = ratio * between / (ratio * between + rest)
        assert about.between.loc[name, name] == pytest.approx(eta_squared, rel=1e-12)
    usual = bm.describe(frame, "group")
    pd.testing.assert_frame_equal(about.sigma_between, usual.sigma_between)
    pd.testing.assert_frame_equal(about.variables, usual.variables)
    if not missing:  # a scaling does not change correlations
        pd.testing.assert_frame_equal(about.within_correlation, usual.within_correlation)


def test_parts_are_shown() -> None:
    about = bm.describe(make(), "group", scaling="cronbach-harnqvist")
    text = repr(about)
    assert "Parts of the total correlations (Cronbach-Härnqvist)" in text
    *_, first, second, third = text.split("\n\n")[4].splitlines()
    lower, upper = about.within.round(2).to_numpy(), about.between.round(2).to_numpy()
    assert [float(v) for v in second.split()[1:]] == [lower[1, 0], upper[1, 1], upper[1, 2]]
    assert [float(v) for v in third.split()[1:]] == [lower[2, 0], lower[2, 1], upper[2, 2]]
    assert first.split()[0] == "a"
    assert "eta squared" in about._repr_html_()


def test_parts_of_a_constant_are_not_defined() -> None:
    about = bm.describe(make().assign(c=3.0), "group", scaling="cronbach-harnqvist")
    assert about.between["c"].isna().all()
    assert about.between.loc["a", "b"] + about.within.loc["a", "b"] == pytest.approx(
        make()["a"].corr(make()["b"]), rel=1e-12
    )


def test_unknown_scalings_are_refused() -> None:
    with pytest.raises(bm.MsemError, match="use 'anova' or 'cronbach-harnqvist'"):
        bm.describe(make(), "group", scaling="harnqvist")  # type: ignore[arg-type]
