"""Exploratory factor models: maximum likelihood of lavaan, and posteriors after rotation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.inference.density import log_posterior

PLACE = Path(__file__).parents[1] / "reference" / "exploratory"
ITEMS = " + ".join(f"y{i}" for i in range(1, 10))
THREE = f'efa("a")*f1 + efa("a")*f2 + efa("a")*f3 =~ {ITEMS}'
ESEM = f"{THREE}\nf1 + f2 + f3 ~ x\nz ~ f1 + f2 + f3"
SIX = " + ".join(f"y{i}" for i in range(1, 7))
TWO_LEVELS = f"""
level: within
    efa("w")*f1 + efa("w")*f2 =~ {SIX}
level: between
    efa("b")*g1 + efa("b")*g2 =~ {SIX}
"""


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    return pd.read_csv(PLACE / "items.csv")


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return pd.read_csv(PLACE / "reference.csv", keep_default_na=False, na_values="NA")


@pytest.fixture(scope="module")
def fit(items: pd.DataFrame) -> bm.Fit:
    return bm.Model(ESEM, data=items).fit(
        draws=500, tune=500, chains=3, random_seed=1, progress=False
    )


def matched(mode: bm.model.Mode, lavaan: pd.DataFrame) -> list[tuple[float, float]]:
    """Pairs of values of all free rows, factors in the order that fits, signs as they are."""
    ours = mode.to_frame()

    def loadings(frame: pd.DataFrame, value: str) -> pd.DataFrame:
        return frame[frame["op"] == "=~"].pivot(index="rhs", columns="lhs", values=value)

    one, other = loadings(ours, "value"), loadings(lavaan, "est")
    name = {
        f: one.columns[int(np.argmin([((one[g] - other[f]) ** 2).sum() for g in one.columns]))]
        for f in other.columns
    }
    assert len(set(name.values())) == len(name)
    pairs = []
    for _, row in lavaan.iterrows():
        if row["se"] == 0 or row["op"] == "~1":
            continue
        lhs, rhs = (name.get(row[side], row[side]) for side in ("lhs", "rhs"))
        key = ("within", lhs, row["op"], rhs)
        value = mode[key] if key in mode else mode[("within", rhs, row["op"], lhs)]
        pairs.append((value, row["est"]))
    return pairs


@pytest.mark.parametrize("rotation", ["geomin", "oblimin", "varimax"])
def test_rotated_maximum_likelihood_is_lavaans(
    items: pd.DataFrame, reference: pd.DataFrame, rotation: str
) -> None:
    lavaan = reference[reference["model"] == rotation]
    mode = bm.Model(THREE, data=items, rotation=rotation).mode(prior=False)
    assert mode.log_likelihood == pytest.approx(lavaan["log_likelihood"].iloc[0], abs=1e-6)
    pairs = matched(mode, lavaan)
    assert len(pairs) >= 36
    # lavaan stops rotating at 1e-5
    np.testing.assert_allclose(*np.array(pairs).T, atol=1e-4)


def test_standard_errors_of_varimax_are_lavaans(
    items: pd.DataFrame, reference: pd.DataFrame
) -> None:
    """Those of oblique rotations differ in lavaan, which computes them in another way."""
    lavaan = reference[(reference["model"] == "varimax") & (reference["op"] == "=~")]
    mode = bm.Model(THREE, data=items, rotation="varimax").mode(prior=False)
    ours = [mode.standard_errors["within", r.lhs, "=~", r.rhs] for r in lavaan.itertuples()]
    np.testing.assert_allclose(ours, lavaan["se"], rtol=1e-3)


def test_paths_of_rotated_factors_are_lavaans(items: pd.DataFrame, reference: pd.DataFrame) -> None:
    lavaan = reference[reference["model"] == "esem"]
    model = bm.Model(ESEM, data=items)
    mode = model.mode(prior=False)
    assert mode.log_likelihood == pytest.approx(lavaan["log_likelihood"].iloc[0], abs=1e-6)
    assert model.log_likelihood(mode) == pytest.approx(mode.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(*np.array(matched(mode, lavaan)).T, atol=1e-4)


def test_two_levels(reference: pd.DataFrame) -> None:
    lavaan = reference[reference["model"] == "two-level"]["log_likelihood"].iloc[0]
    frame = pd.read_csv(PLACE / "items_in_schools.csv")
    model = bm.Model(TWO_LEVELS, data=frame, cluster="school")
    mode = model.mode(prior=False)
    assert mode.log_likelihood == pytest.approx(lavaan, abs=1e-5)
    # rotated values are values of the same model
    assert model.log_likelihood(mode) == pytest.approx(mode.log_likelihood, abs=1e-8)
    within = [mode["within", f, "=~", "y4"] for f in ("f1", "f2")]
    assert max(map(abs, within)) == pytest.approx(0.85, abs=0.05)


def test_draws_mean_the_same_in_all_chains(fit: bm.Fit) -> None:
    summary = fit.summary()
    loadings = summary[summary["op"] == "=~"]
    assert loadings["r_hat"].max() < 1.01
    assert loadings["sd"].max() < 0.6  # a flipped or exchanged column would have 1 and more
    assert fit.convergence.divergences == 0


def test_posterior_is_near_the_mode(fit: bm.Fit) -> None:
    """The mean of every row within one posterior SD of the mode, in the same order and signs."""
    mode, summary = fit.model.mode(), fit.summary()
    frame = mode.to_frame().set_index(["level", "lhs", "op", "rhs"])["value"]
    free = summary[(summary["sd"] > 0)]
    distance = [
        abs(frame[(r.level, r.lhs, r.op, r.rhs)] - r.mean) / r.sd for r in free.itertuples()
    ]
    assert max(distance) < 1.0


def test_rotation_leaves_the_likelihood(fit: bm.Fit) -> None:
    """Log-likelihoods at rotated draws are those that the sampler saw."""
    blueprint = fit.model.blueprint
    x = np.concatenate(
        [
            fit.datatree["posterior"][group.name].to_numpy().reshape(1500, -1)
            for group in blueprint.parameters.groups
        ],
        axis=1,
    )
    theta = blueprint.theta(x[:20])
    values = [blueprint.likelihood.natural(np.ascontiguousarray(t))[0] for t in theta]
    terms = fit.log_likelihood().to_numpy().reshape(1500, -1)[:20].sum(axis=1)
    np.testing.assert_allclose(values, terms, rtol=1e-9)


def test_pymc_has_the_same_density(items: pd.DataFrame) -> None:
    model = bm.Model(THREE, data=items)
    sampled = model.blueprint.to_sample
    point = model.pymc_model.initial_point()
    groups = [group.name for group in sampled.parameters.groups]
    names = [next(n for n in point if n == g or n.startswith(f"{g}_log")) for g in groups]
    u = np.concatenate([point[name] for name in names])
    expected = float(model.pymc_model.compile_logp()(point))
    # PyMC's own logarithms of sums: 1e-8 relative
    assert log_posterior(sampled, u, jacobian=True)[0] == pytest.approx(expected, rel=1e-8)


def test_saved_and_loaded(fit: bm.Fit, tmp_path: Path) -> None:
    fit.save(tmp_path / "efa.nc")
    pd.testing.assert_frame_equal(
        pd.DataFrame(bm.load(tmp_path / "efa.nc").summary()), pd.DataFrame(fit.summary())
    )


def test_scores_turn_with_the_factors(fit: bm.Fit) -> None:
    """Correlations of the scores' means with the items have the signs and order of the loadings."""
    scores = fit.scores(level="within")
    frame = fit.model.simulate(fit.model.mode(), random_seed=1)
    items = pd.read_csv(PLACE / "items.csv")
    assert len(frame) == len(items)
    for factor, own in scores.groupby("factor"):
        mean = own["mean"].to_numpy()
        loadings = [fit.draws["within", str(factor), "=~", f"y{i}"].mean() for i in range(1, 10)]
        scale = [items[f"y{i}"].std() for i in range(1, 10)]
        strongest = int(np.argmax(np.abs(np.array(loadings) / scale)))
        assert np.corrcoef(mean, items[f"y{strongest + 1}"])[0, 1] > 0.6


@pytest.mark.parametrize(
    "call",
    ["prior_sensitivity", "plot_prior_sensitivity", "prior_posterior_overlap"],
)
def test_priors_are_of_unrotated_loadings(fit: bm.Fit, call: str) -> None:
    with pytest.raises(bm.NotSupportedError, match="unrotated loadings"):
        getattr(fit, call)()
    with pytest.raises(bm.NotSupportedError, match="unrotated loadings"):
        fit.hypothesis("f1 =~ y1 > 0")


def test_priors_that_depend_on_the_rotation_are_refused(items: pd.DataFrame) -> None:
    with pytest.raises(bm.SpecificationError, match="normal prior with mean 0"):
        bm.Model(THREE, data=items, priors={("within", "loading"): "normal(1, 1)"})
    with pytest.raises(bm.SpecificationError, match="which factor is which"):
        bm.Model(THREE, data=items, priors={"f1 =~ y1": "normal(0, 1)"})
    bm.Model(THREE, data=items, priors={("within", "loading"): "normal(0, 1)"})


def test_other_outcomes_are_refused(items: pd.DataFrame) -> None:
    frame = items.assign(y1=(items["y1"] > 0).astype(int))
    with pytest.raises(bm.NotSupportedError, match="not normal"):
        bm.Model(THREE, data=frame, ordered=["y1"])
