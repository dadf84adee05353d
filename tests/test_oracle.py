"""The oracle is itself checked: other programs, closed forms, and NumPy on special cases."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.oracle import (
    Between,
    Key,
    Oracle,
    RandomSlope,
    Within,
    oracle_from_values,
    oracle_log_likelihood,
)
from tests.reference_models import (
    FOLDER,
    MISSING_NAMES,
    RANDOM_SLOPE_NAMES,
    REFERENCE_NAMES,
    Reference,
    load_reference,
)

# The log-likelihoods were computed at the stored estimates, which have 17 digits (lavaan), or 10 at
# an optimum where a rounding of that size changes nothing (lme4). What remains is the rounding of
# sums of N terms: at most 5e-11 for the models below.
TOLERANCE = 1e-8
# With missing values and fixed covariates lavaan subtracts a log-likelihood of the covariates of
# its own; the result differs by 2e-5 from the oracle's (probably because an iteration stops there).
COVARIATE_TOLERANCE = 1e-4
ALL_NAMES = REFERENCE_NAMES + MISSING_NAMES + RANDOM_SLOPE_NAMES


def at_reference(reference: Reference, values: dict[Key, float]) -> float:
    return oracle_log_likelihood(
        values, reference.frame, reference.cluster, random=reference.random
    )


@pytest.mark.parametrize("name", ALL_NAMES)
def test_oracle_equals_the_stored_log_likelihood(name: str) -> None:
    reference = load_reference(name)
    found = at_reference(reference, reference.estimates)
    tolerance = COVARIATE_TOLERANCE if name == "missing/covariates" else TOLERANCE
    assert found == pytest.approx(reference.log_likelihood, rel=0, abs=tolerance)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_references_count_their_free_parameters(name: str) -> None:
    reference = load_reference(name)
    unlabelled = [key for key in reference.free if key not in reference.labels]
    labels = {reference.labels[key] for key in reference.free if key in reference.labels}
    assert len(unlabelled) + len(labels) == reference.npar


@pytest.mark.parametrize(
    "name",
    [
        "single-level/regression",
        "single-level/mediation",
        "two-level/cluster-level-outcome",
        "two-level/split-covariates",
        "two-level/equal-loadings",
        "two-level/within-only-outcome",
    ],
)
def test_stored_estimates_maximise_the_oracle(name: str) -> None:
    """Along each parameter, in SE units, the slope is zero and the curvature at least about one.

    Slope: the third derivative adds about 1e-5 to the central difference. Curvature: the SE lets
    the other parameters move, which only lowers the information; 0.8 instead of 1 because the
    single-level SEs come from the expected information.
    """
    reference = load_reference(name)
    step = 0.02
    for group in free_groups(reference):
        up, down = (
            at_reference(reference, moved(reference, group, sign * step)) for sign in (1, -1)
        )
        slope = (up - down) / (2 * step)
        curvature = -(up - 2 * reference.log_likelihood + down) / step**2
        assert abs(slope) < 2e-4 * curvature, group
        assert curvature > 0.8, group


def free_groups(reference: Reference) -> list[list[Key]]:
    """List the free parameters; those with one label together."""
    groups: dict[object, list[Key]] = {}
    for key in reference.estimates:
        if key in reference.free:
            groups.setdefault(reference.labels.get(key, key), []).append(key)
    return list(groups.values())


def moved(reference: Reference, group: list[Key], steps: float) -> dict[Key, float]:
    changes = {key: reference.estimates[key] + steps * reference.se[key] for key in group}
    return reference.estimates | changes


def test_latent_mean_contextual_model_with_a_modelled_cluster_variable() -> None:
    """The joint likelihood of mach, ses and sector; sector covaries with the school mean of ses."""
    stored = json.loads((FOLDER / "hsb" / "figures.json").read_text(encoding="utf-8"))
    fit = stored["fits"]["lavaan_contextual_latent_mean"]
    values = lavaan_values(fit["parameters"])
    assert ("between", "sector", "~~", "sector") in values
    frame = load_reference("hsb/random-intercept").frame
    found = oracle_log_likelihood(values, frame, "school")
    assert found == pytest.approx(fit["logLik"], rel=0, abs=1e-5)  # estimates rounded


@pytest.mark.parametrize("fit_name", ["ml_fixedx_false", "ml_equal_loadings", "ml_saturated_y"])
def test_further_fits_of_the_demo_model(fit_name: str) -> None:
    stored = json.loads((FOLDER / "demo-twolevel" / "figures.json").read_text(encoding="utf-8"))
    fit = stored["fits"][fit_name]
    values = lavaan_values(fit["parameters"], covariates_modelled=not fit["fixed_x"])
    found = oracle_log_likelihood(values, load_reference("demo-twolevel").frame, "cluster")
    assert found == pytest.approx(fit["logLik"], rel=0, abs=1e-5)  # estimates rounded


def lavaan_values(
    parameters: list[dict[str, str]], *, covariates_modelled: bool = True
) -> dict[Key, float]:
    """Translate lavaan's own table; without the moments of covariates unless they are modelled."""
    values = {}
    for row in parameters:
        names = {row["lhs"], row["rhs"]} - {""}
        moment = row["op"] in ("~~", "~1") and names <= {"x1", "x2", "x3", "w1", "w2"}
        if row["op"] == ":=" or (moment and not covariates_modelled):
            continue
        level = {"within": "within", 1: "within"}.get(row["level"], "between")
        op, rhs = ("~", "1") if row["op"] == "~1" else (row["op"], row["rhs"])
        values[level, row["lhs"], op, rhs] = float(row["est"])
    return values


# --- closed forms and special cases -----------------------------------------------------------

SIZES = (1, 4, 2, 7, 1, 3)


def small_data(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ids = np.repeat(np.array(["e", "b", "d", "a", "f", "c"]), SIZES)
    frame = pd.DataFrame(rng.normal(size=(len(ids), 4)), columns=["y1", "y2", "y3", "x"])
    level2 = pd.DataFrame(rng.normal(size=(6, 2)), columns=["z", "w"], index=list("abcdef"))
    return frame.assign(id=ids).join(level2, on="id")


def factor_values() -> dict[Key, float]:
    """One factor at each level, a covariate at each level, a cluster-level outcome."""
    return {
        ("within", "fw", "=~", "y1"): 1.0,
        ("within", "fw", "=~", "y2"): 0.7,
        ("within", "fw", "=~", "y3"): -0.4,
        ("within", "fw", "~", "x"): 0.3,
        ("within", "fw", "~~", "fw"): 0.8,
        ("within", "y1", "~~", "y1"): 0.5,
        ("within", "y2", "~~", "y2"): 0.6,
        ("within", "y3", "~~", "y3"): 0.9,
        ("within", "y1", "~~", "y2"): 0.1,
        ("between", "fb", "=~", "y1"): 1.0,
        ("between", "fb", "=~", "y2"): 0.9,
        ("between", "fb", "=~", "y3"): 0.2,
        ("between", "fb", "~", "w"): 0.4,
        ("between", "z", "~", "fb"): 0.5,
        ("between", "fb", "~~", "fb"): 0.3,
        ("between", "z", "~~", "z"): 1.1,
        ("between", "y1", "~~", "y1"): 0.2,
        ("between", "y2", "~~", "y2"): 0.0,
        ("between", "y3", "~~", "y3"): 0.1,
        ("between", "y1", "~", "1"): 0.2,
        ("between", "y2", "~", "1"): -0.1,
        ("between", "y3", "~", "1"): 0.6,
        ("between", "z", "~", "1"): 0.05,
    }


def test_random_intercept_anova_in_closed_form() -> None:
    """With n units, the sum of squares within and the cluster mean are independent.

    -2 log L_j = n log 2pi + (n-1) log s2 + log(s2 + n t2) + SSW / s2 + n (mean - m)^2 / (s2 + n t2)
    """
    frame, mean, s2, t2 = small_data(), 0.3, 0.7, 0.4
    values = {
        ("within", "y1", "~~", "y1"): s2,
        ("between", "y1", "~~", "y1"): t2,
        ("between", "y1", "~", "1"): mean,
    }
    expected = {}
    for label, y in frame.groupby("id")["y1"]:
        n, ssw = len(y), float(((y - y.mean()) ** 2).sum())
        total = s2 + n * t2
        expected[label] = -0.5 * (
            n * np.log(2 * np.pi)
            + (n - 1) * np.log(s2)
            + np.log(total)
            + ssw / s2
            + n * (y.mean() - mean) ** 2 / total
        )
    found = oracle_from_values(values, frame, "id").cluster_log_likelihoods()
    pd.testing.assert_series_equal(found, pd.Series(expected), rtol=1e-13)


def test_singletons_have_the_sum_of_both_covariance_matrices() -> None:
    frame = small_data().groupby("id").head(1).reset_index(drop=True)
    loading_w, loading_b = np.array([1, 0.7, -0.4]), np.array([1, 0.9, 0.2])
    Sigma_w = 0.8 * np.outer(loading_w, loading_w) + np.diag([0.5, 0.6, 0.9])
    Sigma_w[0, 1] = Sigma_w[1, 0] = Sigma_w[0, 1] + 0.1
    Sigma_b = 0.3 * np.outer(loading_b, loading_b) + np.diag([0.2, 0.0, 0.1])
    covariance = np.zeros((4, 4))
    covariance[:3, :3] = Sigma_w + Sigma_b
    covariance[:3, 3] = covariance[3, :3] = 0.5 * 0.3 * loading_b
    covariance[3, 3] = 0.25 * 0.3 + 1.1
    expected = 0.0
    for row in frame.itertuples():
        mean_y = [0.2, -0.1, 0.6] + 0.3 * row.x * loading_w + 0.4 * row.w * loading_b
        mean = np.append(mean_y, 0.05 + 0.5 * 0.4 * row.w)
        seen = [row.y1, row.y2, row.y3, row.z]
        expected += stats.multivariate_normal(mean, covariance).logpdf(seen)
    found = oracle_log_likelihood(factor_values(), frame, "id")
    assert found == pytest.approx(expected, rel=1e-13)


def test_no_between_variance_is_a_single_level_model() -> None:
    frame = small_data().drop(columns=["z", "w"])
    two_level = {
        ("within", "y1", "~", "x"): 0.5,
        ("within", "y1", "~~", "y1"): 0.6,
        ("within", "y2", "~~", "y2"): 0.9,
        ("within", "y1", "~~", "y2"): -0.2,
        ("between", "y1", "~~", "y1"): 0.0,
        ("between", "y2", "~~", "y2"): 0.0,
        ("between", "y1", "~", "1"): 0.2,
        ("between", "y2", "~", "1"): -0.3,
    }
    single_level = {
        ("within", *key[1:]): value
        for key, value in two_level.items()
        if key[0] == "within" or key[2] == "~"
    }
    within_only = {key: value for key, value in two_level.items() if key[0] == "within"} | {
        ("within", "y1", "~", "1"): 0.2,
        ("within", "y2", "~", "1"): -0.3,
    }
    mean = np.column_stack([0.2 + 0.5 * frame["x"], np.full(len(frame), -0.3)])
    residual = frame[["y1", "y2"]].to_numpy() - mean
    covariance = [[0.6, -0.2], [-0.2, 0.9]]
    expected = stats.multivariate_normal(cov=covariance).logpdf(residual).sum()
    assert oracle_log_likelihood(two_level, frame, "id") == pytest.approx(expected, rel=1e-13)
    assert oracle_log_likelihood(within_only, frame, "id") == pytest.approx(expected, rel=1e-13)
    assert oracle_log_likelihood(single_level, frame) == pytest.approx(expected, rel=1e-13)


def test_negative_between_variance_is_fine_while_the_stack_is_positive_definite() -> None:
    frame = small_data()
    values = {("within", "y1", "~~", "y1"): 0.7, ("between", "y1", "~", "1"): 0.0}
    fine = oracle_log_likelihood(values | {("between", "y1", "~~", "y1"): -0.09}, frame, "id")
    assert np.isfinite(fine)
    with pytest.raises(np.linalg.LinAlgError):  # the largest cluster has 7: 0.7 - 7 * 0.11 < 0
        oracle_log_likelihood(values | {("between", "y1", "~~", "y1"): -0.11}, frame, "id")


def test_random_slope_moments_written_out() -> None:
    """y1 = u1 + s x + e1 and y2 = u2 + 0.6 (s x + e1) + e2, with s predicted by w."""
    values = {
        ("within", "y1", "~~", "y1"): 0.7,
        ("within", "y2", "~~", "y2"): 0.5,
        ("within", "y2", "~", "y1"): 0.6,
        ("between", "y1", "~~", "y1"): 0.4,
        ("between", "y2", "~~", "y2"): 0.2,
        ("between", "s", "~~", "s"): 0.3,
        ("between", "y1", "~~", "s"): 0.15,
        ("between", "s", "~", "w"): -0.4,
        ("between", "y1", "~", "1"): 0.1,
        ("between", "y2", "~", "1"): 0.2,
        ("between", "s", "~", "1"): 0.9,
    }
    frame = small_data()
    units = np.flatnonzero(frame["id"] == "d")[:2]
    rows = frame.iloc[units]
    (a, b), w = rows["x"], rows["w"].iloc[0]
    oracle = oracle_from_values(values, frame, "id", random={("within", "y1", "~", "x"): "s"})
    found = oracle.stacked(units)

    s = 0.9 - 0.4 * w
    mean = [0.1 + s * a, 0.2 + 0.6 * s * a, 0.1 + s * b, 0.2 + 0.6 * s * b]
    # coefficients of (u1, u2, s, e1 and e2 of unit a, e1 and e2 of unit b)
    coefficients = np.array(
        [
            [1, 0, a, 1, 0, 0, 0],
            [0, 1, 0.6 * a, 0.6, 1, 0, 0],
            [1, 0, b, 0, 0, 1, 0],
            [0, 1, 0.6 * b, 0, 0, 0.6, 1],
        ]
    )
    sources = np.diag([0.4, 0.2, 0.3, 0.7, 0.5, 0.7, 0.5])
    sources[0, 2] = sources[2, 0] = 0.15
    np.testing.assert_array_equal(found.values, rows[["y1", "y2"]].to_numpy().ravel())
    np.testing.assert_allclose(found.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(
        found.covariance, coefficients @ sources @ coefficients.T, rtol=1e-13, atol=1e-15
    )


def test_missing_outcomes_are_integrated_out() -> None:
    """Without y2 anywhere, the model is the one without y2; a cluster without data adds nothing."""
    frame, values = small_data(), factor_values()
    without = {key: value for key, value in values.items() if "y2" not in key}
    expected = oracle_log_likelihood(without, frame, "id")
    found = oracle_log_likelihood(values, frame.assign(y2=np.nan), "id")
    assert found == pytest.approx(expected, rel=1e-13)

    clusters = oracle_from_values(values, frame, "id").cluster_log_likelihoods()
    emptied = frame.copy()
    emptied.loc[emptied["id"] == "c", ["y1", "y2", "y3", "z"]] = np.nan
    found = oracle_log_likelihood(values, emptied, "id")
    assert found == pytest.approx(clusters.drop("c").sum(), rel=1e-13)


# --- the table and the matrices ---------------------------------------------------------------


def test_matrices_by_hand_equal_the_table() -> None:
    frame = small_data()
    within = Within(
        observed=("y1", "y2"),
        covariates=("x",),
        F=np.array([[0.0, 1, 0], [0, 0, 1]]),  # v = (fw, y1, y2)
        B=np.array([[0.0, 0, 0], [1, 0, 0], [0.7, 0, 0]]),
        Psi=np.diag([0.8, 0.5, 0.6]),
        alpha=np.array([0, 0, 1.5]),
        G=np.array([[0.3], [0], [0]]),
    )
    between = Between(
        outcomes=("z",),
        covariates=("w",),
        F_y=np.array([[1.0, 0, 0], [0, 0, 0]]),  # u = (y1, z, s); y2 is within-only
        F_z=np.array([[0.0, 1, 0]]),
        B=np.array([[0.0, 0, 0], [0.4, 0, 0.2], [0, 0, 0]]),
        Psi=np.array([[0.6, 0, 0.1], [0, 0.9, 0], [0.1, 0, 0.05]]),
        alpha=np.array([0.3, -0.2, 0.25]),
        G=np.array([[0], [0.35], [0.15]]),
    )
    by_hand = Oracle(frame, "id", within, between, (RandomSlope(2, 0, 2),))
    values = {
        ("within", "fw", "=~", "y1"): 1.0,
        ("within", "fw", "=~", "y2"): 0.7,
        ("within", "fw", "~", "x"): 0.3,
        ("within", "fw", "~~", "fw"): 0.8,
        ("within", "y1", "~~", "y1"): 0.5,
        ("within", "y2", "~~", "y2"): 0.6,
        ("within", "y2", "~", "1"): 1.5,
        ("between", "z", "~", "y1"): 0.4,
        ("between", "z", "~", "s"): 0.2,
        ("between", "z", "~", "w"): 0.35,
        ("between", "s", "~", "w"): 0.15,
        ("between", "y1", "~~", "y1"): 0.6,
        ("between", "z", "~~", "z"): 0.9,
        ("between", "s", "~~", "s"): 0.05,
        ("between", "s", "~~", "y1"): 0.1,
        ("between", "y1", "~", "1"): 0.3,
        ("between", "z", "~", "1"): -0.2,
        ("between", "s", "~", "1"): 0.25,
        ("", "product", ":=", "a*b"): 9.0,
    }
    random = {("within", "y2", "~", "x"): "s"}
    found = oracle_log_likelihood(values, frame, "id", random=random)
    assert found == pytest.approx(by_hand.log_likelihood(), rel=1e-13)


def test_order_of_rows_and_cluster_labels_do_not_matter() -> None:
    frame, values = small_data(), factor_values()
    expected = oracle_log_likelihood(values, frame, "id")
    shuffled = frame.sample(frac=1, random_state=3)
    shuffled["id"] = shuffled["id"].map({"a": 7, "b": -1, "c": 30, "d": 4, "e": 5, "f": 6})
    rows = [(*key, value) for key, value in reversed(values.items())]
    table = pd.DataFrame(rows, columns=["level", "lhs", "op", "rhs", "value"])
    assert oracle_log_likelihood(table, shuffled, "id") == pytest.approx(expected, rel=1e-13)


def test_what_the_oracle_refuses() -> None:
    frame, values = small_data(), factor_values()
    with pytest.raises(ValueError, match=r"not in the data: \['y9'\]"):
        oracle_log_likelihood(values | {("within", "fw", "=~", "y9"): 1.0}, frame, "id")
    with pytest.raises(ValueError, match=r"\['x'\] are modelled at one level"):
        oracle_log_likelihood(values | {("between", "x", "~~", "x"): 1.0}, frame, "id")
    with pytest.raises(ValueError, match="varies within a cluster"):
        oracle_log_likelihood(values, frame.assign(z=frame["y1"]), "id")
    with pytest.raises(ValueError, match="cannot read the row"):
        oracle_log_likelihood({("1", "y1", "~~", "y1"): 1.0}, frame, "id")
