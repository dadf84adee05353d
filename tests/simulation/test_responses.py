"""Data with outcomes that are not normal: moments in closed form, labels, exposure, effects."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import bayes_msem as bm
from bayes_msem.errors import SpecificationError
from bayes_msem.outcomes.families import family

LABELS = ["never", "sometimes", "often", "always"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Give clusters, covariates and placeholder outcomes with all categories."""
    rng = np.random.default_rng(1)
    n = 240
    frame = pd.DataFrame({"g": np.repeat(np.arange(24), 10), "x": rng.standard_normal(n)})
    frame["hours"] = rng.uniform(0.5, 2.0, n)
    for k in range(3):
        codes = rng.integers(0, 4, n)
        frame[f"y{k + 1}"] = pd.Categorical.from_codes(codes, LABELS, ordered=True)
    frame["b"], frame["v"] = rng.integers(0, 2, n), rng.standard_normal(n)
    frame["c"], frame["d"] = rng.poisson(2.0, n), rng.poisson(2.0, n)
    frame.loc[:5, "y1"] = None
    return frame


@pytest.fixture(scope="module")
def items(frame: pd.DataFrame) -> bm.Model:
    """Three ordinal items and a factor at each level."""
    text = """
        level: within
            f =~ y1 + y2 + y3
        level: between
            fb =~ y1 + y2 + y3
    """
    return bm.Model(text, data=frame, cluster="g", ordered=True)


CUTS = {"y1": [-1.2, 0.3, 1.1], "y2": [-0.5, 0.0, 2.0], "y3": [-2.0, -1.0, 0.5]}
WITHIN, BETWEEN = [1.0, 0.8, 1.3], [1.0, 0.6, 1.2]
VALUES = {
    "within: f =~ y2": 0.8,
    "within: f =~ y3": 1.3,
    "within: f ~~ f": 0.9,
    "between: fb =~ y2": 0.6,
    "between: fb =~ y3": 1.2,
    "between: fb ~~ fb": 0.3,
    **{f"between: y{k} ~~ y{k}": 0.1 * k for k in (1, 2, 3)},
    **{f"between: {y} | t{c + 1}": v for y, cuts in CUTS.items() for c, v in enumerate(cuts)},
}


def codes_of(simulated: pd.DataFrame) -> np.ndarray:
    return np.stack([pd.Categorical(simulated[f"y{k}"], LABELS).codes for k in (1, 2, 3)], axis=1)


def test_ordinal_shares_are_those_of_the_model(items: bm.Model) -> None:
    simulated = items.simulate(VALUES, clusters=4000, sizes=10, random_seed=3)
    codes = codes_of(simulated)
    for k in range(3):
        variance = WITHIN[k] ** 2 * 0.9 + BETWEEN[k] ** 2 * 0.3 + 0.1 * (k + 1)
        expected = family("ordinal(probit)").outcome.marginal_probabilities(
            0.0, variance, CUTS[f"y{k + 1}"]
        )
        shares = np.bincount(codes[:, k], minlength=4) / len(codes)
        np.testing.assert_allclose(shares, expected, atol=0.011)  # SE about 0.0035


def test_ordinal_agreement_inside_rows_and_clusters(items: bm.Model) -> None:
    """P(both above a cut) = bivariate normal probability, for items of a row and of two rows."""
    simulated = items.simulate(VALUES, clusters=6000, sizes=2, random_seed=4)
    codes = codes_of(simulated)
    between = np.array([0.3 * BETWEEN[0] ** 2 + 0.1, 0.3 * BETWEEN[2] ** 2 + 0.3])
    total = between + 0.9 * np.array([1.0, 1.3**2]) + 1.0
    cuts = [CUTS["y1"][1] / total[0] ** 0.5, CUTS["y3"][2] / total[1] ** 0.5]
    above = np.column_stack([codes[:, 0] > 1, codes[:, 2] > 2])
    covariance = 0.3 * 1.2 + 0.9 * 1.3
    r = covariance / np.sqrt(total.prod())
    expected = _both_above(cuts[0], cuts[1], r)
    assert above.all(axis=1).mean() == pytest.approx(expected, abs=0.015)
    pairs = above[:, 1].reshape(-1, 2)
    expected = _both_above(cuts[1], cuts[1], between[1] / total[1])
    assert pairs.all(axis=1).mean() == pytest.approx(expected, abs=0.02)


def _both_above(a: float, b: float, r: float) -> float:
    """Integrate P(Z2 > b | Z1 = z) over z > a."""
    z = np.linspace(a, 9.0, 4001)
    density = norm.pdf(z) * norm.sf((b - r * z) / np.sqrt(1 - r**2))
    return float(np.trapezoid(density, z))


def test_labels_missing_values_and_the_data_again(items: bm.Model, frame: pd.DataFrame) -> None:
    kept = items.simulate(VALUES, keep_missing=True, random_seed=5)
    assert kept["y1"].isna().to_numpy().tolist() == frame["y1"].isna().tolist()
    assert set(kept["y1"].dropna()) == set(LABELS)
    again = bm.Model(items.spec, data=kept, cluster="g", ordered=True)
    assert again.observed.categories == items.observed.categories
    pd.testing.assert_frame_equal(kept, items.simulate(VALUES, keep_missing=True, random_seed=5))


def test_given_effects_are_kept(items: bm.Model) -> None:
    """With the effects of cluster 1 far up, all its answers are the highest category."""
    _, effects = items.simulate(VALUES, clusters=12, sizes=8, random_seed=6, return_effects=True)
    assert {"y1", "y2", "y3", "fb"} <= set(effects.columns)
    effects.loc[1, ["y1", "y2", "y3"]] = 30.0
    effects.loc[2, ["y1", "y2", "y3"]] = -30.0
    data = pd.DataFrame({"g": np.repeat(np.arange(1, 13), 8)})
    codes = codes_of(items.simulate(VALUES, data=data, effects=effects, random_seed=7))
    assert (codes[:8] == 3).all()
    assert (codes[8:16] == 0).all()
    assert 0 < codes[16:].mean() < 3


COUNTS = """
    level: within
        c ~ rv("s")*x
        d ~ x
        b ~ v
    level: between
        c ~~ s
        d ~~ d
        b ~~ b
        v ~~ v
"""


@pytest.fixture(scope="module")
def mixed(frame: pd.DataFrame) -> bm.Model:
    """Counts, a binary outcome and a normal one."""
    families = {"c": "poisson", "d": "negbinomial", "b": "binary(logit)"}
    text = COUNTS.replace("level: between", "v ~ x\n    level: between")
    return bm.Model(text, data=frame, cluster="g", families=families, exposure={"c": "hours"})


def values_of(model: bm.Model, **others: float) -> dict[tuple[str, str, str, str], float]:
    """Give values to all free rows: 0.2 for variances, others by their text, 0 for the rest."""
    values = {}
    for row in model.table.rows:
        if row.free:
            text = f"{row.lhs}{row.op}{row.rhs}"
            default = 0.2 if row.kind in ("variance", "dispersion") else 0.0
            values[row.key] = others.get(f"{row.level[0]} {text}", others.get(text, default))
    return values


def test_counts_have_the_moments_of_the_model(mixed: bm.Model) -> None:
    """E c = hours exp(m + s x + variance / 2); Var d = E m + (1 + alpha) E m^2 - (E m)^2."""
    given = {"c~1": 0.4, "s~1": 0.3, "d~1": 0.6, "d~x": 0.25, "c~~s": 0.05, "w v~~v": 1.5,
             "b~v": 0.7, "b|t1": 0.4, "d~~d": 0.3, "w d~~d": 0.5, "b d~~d": 0.15}  # fmt: skip
    values = values_of(mixed, **given)
    x, hours = 0.8, 1.7
    data = pd.DataFrame({"g": np.arange(120_000), "x": x, "hours": hours})
    simulated = mixed.simulate(values, data=data, random_seed=8)
    variance = 0.2 + 2 * 0.05 * x + 0.2 * x**2
    expected = hours * np.exp(0.4 + 0.3 * x + variance / 2)
    assert simulated["c"].mean() == pytest.approx(expected, rel=0.02)
    first = np.exp(0.6 + 0.25 * x + 0.15 / 2)
    second = np.exp(2 * (0.6 + 0.25 * x) + 2 * 0.15)
    assert simulated["d"].mean() == pytest.approx(first, rel=0.02)
    assert simulated["d"].var() == pytest.approx(first + 1.5 * second - first**2, rel=0.06)
    assert simulated["v"].var() == pytest.approx(1.5 + 0.2, rel=0.03)


def test_a_normal_predictor_moves_a_binary_outcome(mixed: bm.Model) -> None:
    """The share of b depends on the within part of v, through the logit link."""
    given = {"b~v": 0.7, "b|t1": 0.4, "w v~~v": 1.5}
    values = values_of(mixed, **given)
    data = pd.DataFrame({"g": np.repeat(np.arange(30_000), 2), "x": 0.0, "hours": 1.0})
    simulated, effects = mixed.simulate(values, data=data, random_seed=9, return_effects=True)
    part = simulated["v"].to_numpy() - effects["v"].to_numpy()[simulated["g"]]
    eta = 0.7 * part + effects["b"].to_numpy()[simulated["g"]] - 0.4
    expected = 1 / (1 + np.exp(-eta))
    high = eta > 0.5
    for rows in (high, ~high):
        assert simulated["b"][rows].mean() == pytest.approx(expected[rows].mean(), abs=0.008)


def test_a_single_level_model(frame: pd.DataFrame) -> None:
    model = bm.Model("f =~ y1 + y2 + y3\nf ~ x", data=frame, ordered=True)
    values = values_of(model, **{"f=~y2": 0.8, "f=~y3": 1.2, "f~x": 0.5, "f~~f": 0.7},
                       **{f"{y}|t{c + 1}": v for y, cuts in CUTS.items()
                          for c, v in enumerate(cuts)})  # fmt: skip
    simulated = model.simulate(values, data=pd.DataFrame({"x": np.full(40_000, 1.0)}))
    shares = np.bincount(codes_of(simulated)[:, 0], minlength=4) / 40_000
    cuts = (np.array([-np.inf, *CUTS["y1"], np.inf]) - 0.5) / np.sqrt(1.7)
    np.testing.assert_allclose(shares, np.diff(norm.cdf(cuts)), atol=0.01)


def test_impossible_thresholds_are_refused(items: bm.Model) -> None:
    with pytest.raises(SpecificationError, match=r"thresholds of y1 are -1.2, 1.5, 1.1"):
        items.simulate(VALUES | {"between: y1 | t2": 1.5}, random_seed=1)


def test_a_dispersion_of_zero_is_refused(mixed: bm.Model) -> None:
    with pytest.raises(SpecificationError, match="d ~~ d = 0 is the dispersion"):
        mixed.simulate(values_of(mixed, **{"w d~~d": 0.0}), random_seed=1)
