"""Figures, effects and hypotheses of models with products."""

from __future__ import annotations

import math
import re
import warnings

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.posterior.lines import Posterior, cluster_lines, level_slopes


@pytest.fixture(scope="module")
def posterior(fit: bm.Fit) -> Posterior:
    return Posterior(fit.model.table, fit.draws, fit.cluster_draws, fit.model.observed)


def test_lines_take_products_along(fit: bm.Fit, posterior: Posterior, data: pd.DataFrame) -> None:
    """The slope of x at the mean of z and g, and at the w of each cluster."""
    lines = cluster_lines(posterior, "y", "x", ci=0.9, ci_kind="eti")
    mean = {name: float(np.mean(fit.draws[name])) for name in fit.draws}
    key = {rhs: ("within", "y", "~", rhs) for rhs in fit.model.observed.x_names}
    w = data.groupby("school")["w"].first().to_numpy()
    slope = (
        mean[key["x"]]
        + mean[key["x:g[T.mid]"]] * (data.g == "mid").mean()
        + mean[key["x:g[T.top]"]] * (data.g == "top").mean()
        + mean[key["x:z"]] * data.z.mean()
        + mean[key["x:w"]] * w
    )
    start, end = lines.segments[:, 0], lines.segments[:, 1]
    found = (end[:, 1] - start[:, 1]) / (end[:, 0] - start[:, 0])
    np.testing.assert_allclose(found, slope, rtol=1e-9)
    level = fit.cluster_draws["effects"].sel(effect="y").mean(("chain", "draw")).to_numpy()
    level = level + mean[key["z"]] * data.z.mean() + mean[key["h[T.u]"]] * (data.h == "u").mean()
    level = level + sum(mean[key[f"g[T.{c}]"]] * (data.g == c).mean() for c in ("mid", "top"))
    np.testing.assert_allclose(start[:, 1] - slope * start[:, 0], level, rtol=1e-9)


def test_products_of_other_variables_are_held(
    fit: bm.Fit, posterior: Posterior, data: pd.DataFrame
) -> None:
    """Each variable is at its mean, so a product is a product of means, and not their mean."""
    lines = cluster_lines(posterior, "y", "h[T.u]", ci=0.9, ci_kind="eti")
    mean = {name[3]: float(np.mean(fit.draws[name])) for name in fit.draws if name[0] == "within"}
    held = {"x": data.x.mean(), "z": data.z.mean(), "w": data.groupby("school")["w"].first()}
    held |= {f"g[T.{c}]": (data.g == c).mean() for c in ("mid", "top")}
    level = fit.cluster_draws["effects"].sel(effect="y").mean(("chain", "draw")).to_numpy()
    for name in fit.model.observed.x_names:
        if name != "h[T.u]":
            parts = re.findall(r"\w(?:\[T\.\w+\])?", name)
            level = level + mean[name] * math.prod(np.asarray(held[part]) for part in parts)
    np.testing.assert_allclose(lines.segments[:, 0, 1], level, rtol=1e-9)
    slope = lines.segments[:, 1, 1] - lines.segments[:, 0, 1]
    np.testing.assert_allclose(slope, mean["h[T.u]"], rtol=1e-9)


def test_products_are_no_axis(posterior: Posterior) -> None:
    with pytest.raises(bm.SpecificationError, match=r"'x:z' is a product.*'x' or 'z'"):
        cluster_lines(posterior, "y", "x:z", ci=0.9, ci_kind="eti")


def test_slopes_of_levels(fit: bm.Fit, posterior: Posterior, data: pd.DataFrame) -> None:
    between, _ = level_slopes(posterior, "x", "y", between="w", ci=0.9, ci_kind="eti")
    share = data.groupby("school")["sector"].first().eq("public").mean()
    expected = fit.draws["between: y ~ w"] + share * fit.draws["y ~ w:sector[T.public]"]
    assert between.slope == pytest.approx(expected.mean(), rel=1e-9)


def test_no_single_effect(fit: bm.Fit) -> None:
    with pytest.raises(bm.NotSupportedError) as caught:
        fit.effects("x", "y")
    for part in ("'x' has no single effect on 'y'", "'x:w'", "at_1 := b + 1*c"):
        assert part in str(caught.value)
    table = fit.effects("h[T.u]", "y")
    np.testing.assert_allclose(table["mean"][0], fit.draws["y ~ h[T.u]"].mean())


def test_hypotheses_name_coded_rows(fit: bm.Fit) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = fit.hypothesis("y ~ g[T.top] > 0 & within: y ~ w:x > 0")
    both = (fit.draws["y ~ g[T.top]"] > 0) & (fit.draws["within: y ~ x:w"] > 0)
    assert result.table["probability"].iloc[0] == pytest.approx(both.mean())
