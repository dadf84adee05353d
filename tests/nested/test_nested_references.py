"""Three-level growth and random-intercept models against lme4 (tests/reference/three-level)."""

from __future__ import annotations

import json
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.blueprint.inverse import sampled_from_table
from bayes_msem.errors import SmallSampleWarning
from bayes_msem.likelihood.nested_likelihood import NestedLikelihood
from tests.reference_models import FOLDER

HERE = FOLDER / "three-level"

TEXTS = {
    "growth": """
        level: within
            y ~ rv("s")*time
        level: pupil
            y ~ w2
            y ~~ s
        level: school
            y ~ w3
            s ~~ y
        """,
    "intercepts": """
        level: within
            y ~ time
        level: pupil
            y ~ w2
        level: school
            y ~ w3
        """,
    "slope_of_level_two": """
        level: within
            y ~ rv("s")*time
        level: pupil
            y ~ rv("t")*w2
            y ~~ s
        level: school
            y ~~ t
        """,
}
ROWS = {
    "(Intercept)": ("school", "y", "~", "1"),
    "w3": ("school", "y", "~", "w3"),
    "Residual": ("within", "y", "~~", "y"),
}
EFFECT = {"(Intercept)": "y", "time": "s", "w2": "t"}


@cache
def stored() -> dict:
    return json.loads((HERE / "reference.json").read_text(encoding="utf-8"))


@cache
def model(name: str) -> bm.Model:
    data = pd.read_csv(HERE / "data.csv.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        return bm.Model(TEXTS[name], data, cluster=["pupil", "school"])


def estimates(name: str) -> dict:
    """lme4's estimates as values of table rows."""
    reference, keys = stored()[name], {row.key for row in model(name).table.rows}
    values = {}
    for term, value in reference["fixed"].items():
        places = [ROWS.get(term), ("within", "y", "~", term), ("pupil", "y", "~", term)]
        means = [(level, EFFECT.get(term), "~", "1") for level in ("school", "pupil")]
        found = next(key for key in [*means, *places] if key in keys)
        values[found] = value
    for entry in reference["variances"]:
        level, first, second = entry["grp"], entry.get("var1"), entry.get("var2")
        if level == "Residual":
            values[ROWS["Residual"]] = entry["vcov"]
            continue
        pair = EFFECT[first], EFFECT[second or first]
        key = (level, *(pair[0], "~~", pair[1]))
        values[key if key in keys else (level, pair[1], "~~", pair[0])] = entry["vcov"]
    return values


@pytest.mark.parametrize("name", TEXTS)
def test_log_likelihood_at_their_estimates(name: str) -> None:
    """1e-7: estimates are stored with 15 digits, so this is rounding on both sides."""
    expected = stored()[name]["log_likelihood"]
    assert model(name).log_likelihood(estimates(name)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("name", TEXTS)
def test_maximum_likelihood(name: str) -> None:
    """lme4's search stops within 1e-5 of a standard error; ours ends at a vanishing gradient."""
    mode, reference = model(name).mode(prior=False), stored()[name]
    assert mode.converged
    assert mode.log_likelihood == pytest.approx(reference["log_likelihood"], abs=1e-7)
    frame = mode.to_frame().set_index(["level", "lhs", "op", "rhs"])
    for key, value in estimates(name).items():
        assert abs(frame.loc[key, "value"] - value) < 1e-4 * frame.loc[key, "se"], key


@pytest.mark.parametrize("name", TEXTS)
def test_empirical_bayes_effects(name: str) -> None:
    """Posterior means of effects at lme4's estimates, less fixed parts: its ranef()."""
    blueprint = model(name).blueprint
    observed, likelihood = blueprint.observed, blueprint.likelihood
    assert isinstance(likelihood, NestedLikelihood)
    values = estimates(name)
    theta = np.array([values[tuple(row.key)] for row in blueprint.parameters.rows])
    x = blueprint.points(sampled_from_table(blueprint, theta))
    statistics = blueprint.statistics_by_cluster
    found = likelihood.recover(x, *likelihood.no_noise(1, statistics), statistics)
    top, lower = blueprint.nested.top_effects.linear, blueprint.template.effects.linear
    c = pd.DataFrame(found.c[0], observed.top_ids.astype(str), list(top))
    a = pd.DataFrame(found.a[0], observed.cluster_ids.astype(str), list(lower))
    means = observed.top_design @ likelihood.level_three(x).coefficients[0]
    of_w2 = observed.cluster_design @ likelihood.level_two(x).coefficients[0]
    c_mean = pd.DataFrame(means[:, : len(top)], c.index, list(top))
    a_mean = pd.DataFrame(of_w2[:, : len(lower)], a.index, list(lower))
    above = c.iloc[observed.parent].set_axis(a.index)
    for effects, mean, shared, level in (
        (c, c_mean, 0.0 * c, "school"),
        (a, a_mean, above.reindex(columns=lower).fillna(0.0), "pupil"),
    ):
        if level == "pupil" and "t" in top:
            shared["y"] += above["t"] * observed.w[:, 0]
        reference = pd.DataFrame(stored()[name]["ranef"][level]).set_index("unit")
        own = (effects - mean - shared).rename(columns={v: k for k, v in EFFECT.items()})
        np.testing.assert_allclose(
            own.loc[reference.index, list(reference)], reference, rtol=0, atol=1e-7
        )
