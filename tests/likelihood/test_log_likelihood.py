"""The log-likelihood of many models equals that of the oracle on the stacked clusters."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.errors import MsemWarning
from tests.likelihood.cases import (
    CASES,
    FACTOR_B,
    FACTOR_W,
    TWO_LEVEL_CASES,
    Case,
    free_values,
    make_frame,
    make_model,
    random_values,
    single_level,
    two_level,
)
from tests.oracle import oracle_log_likelihood
from tests.reference_models import REFERENCE_NAMES, Reference, load_reference

Key = tuple[str, str, str, str]

# Both sides are sums over at most 7,185 rows in double precision, along different paths: the
# largest difference seen is 1e-14 of the value. The issue asks for 1e-8.
RELATIVE = 1e-10


@cache
def reference_model(name: str) -> tuple[Reference, bm.Model]:
    reference = load_reference(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        model = bm.Model(reference.model_text, data=reference.frame, cluster=reference.cluster)
    return reference, model


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_other_programs_log_likelihood_at_their_estimates(name: str) -> None:
    """lavaan and lme4 print 12 digits or more of a value near -1e4: 1e-8 is its rounding.

    (The issue asks for 1e-5 on demo-twolevel.)
    """
    reference, model = reference_model(name)
    at = {key: reference.estimates[key] for key in reference.free}
    tolerance = 1e-8
    assert model.log_likelihood(at) == pytest.approx(reference.log_likelihood, abs=tolerance)


@pytest.mark.parametrize("name", [n for n in REFERENCE_NAMES if n != "lq2002-two-factor"])
def test_oracle_at_random_values_of_the_reference_models(name: str) -> None:
    reference, model = reference_model(name)
    values = random_values(Case(name, reference.model_text, reference.cluster), model, seed=3)
    expected = oracle_log_likelihood(values, reference.frame, reference.cluster)
    assert model.log_likelihood(free_values(model, values)) == pytest.approx(expected, rel=RELATIVE)


def test_oracle_at_another_point_with_a_negative_between_variance() -> None:
    """lavaan's estimate of HOSTIL04's between variance is negative; 2 SE are more so."""
    reference, model = reference_model("lq2002-two-factor")
    key = ("between", "HOSTIL04", "~~", "HOSTIL04")
    values = dict(reference.estimates)
    values[key] -= 2 * reference.se[key]
    assert values[key] < -0.005
    values["within", "lead_w", "=~", "LEAD03"] *= 1.2
    expected = oracle_log_likelihood(values, reference.frame, reference.cluster)
    assert model.log_likelihood(free_values(model, values)) == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_oracle_at_random_values(case: Case, seed: int) -> None:
    frame = make_frame()
    model = make_model(case, frame)
    values = random_values(case, model, seed)
    expected = oracle_log_likelihood(values, frame, case.cluster)
    assert model.log_likelihood(free_values(model, values)) == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.parametrize("case", TWO_LEVEL_CASES[:6], ids=str)
@pytest.mark.parametrize(
    "sizes",
    [(1,) * 8 + (2,), (4,) * 6, (1, 1, 1, 30), (2, 3, 5, 3)],
    ids=["nearly all 1", "balanced", "one big", "four clusters"],
)
def test_oracle_for_other_cluster_sizes(case: Case, sizes: tuple[int, ...]) -> None:
    frame = make_frame(sizes, seed=4)
    model = make_model(case, frame)
    values = random_values(case, model, seed=5)
    expected = oracle_log_likelihood(values, frame, case.cluster)
    assert model.log_likelihood(free_values(model, values)) == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.parametrize("amount", [0.0, -0.05])
def test_between_variances_of_zero_or_less(amount: float) -> None:
    case = two_level("", FACTOR_W, f"{FACTOR_B}\nfb ~ w1")
    frame = make_frame()
    model = make_model(case, frame)
    values = random_values(case, model, seed=6)
    for y in ("y1", "y2", "y3"):
        values["between", y, "~~", y] = amount
    expected = oracle_log_likelihood(values, frame, "group")
    assert model.log_likelihood(free_values(model, values)) == pytest.approx(expected, rel=RELATIVE)


def with_values(case: Case, changes: dict[Key, float]) -> tuple[bm.Model, dict[Key, float]]:
    model = make_model(case, make_frame())
    return model, free_values(model, random_values(case, model, seed=7)) | changes


REGRESSION = two_level("", "y1 ~~ y2", "y1 ~~ y2")
CYCLE = single_level("", "y1 ~ y2 + x1\ny2 ~ y1 + x2")


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        (REGRESSION, {("within", "y1", "~~", "y1"): -0.1}),
        (REGRESSION, {("within", "y1", "~~", "y1"): 0.0}),
        (REGRESSION, {("within", "y1", "~~", "y2"): 50.0}),
        (REGRESSION, {("between", "y1", "~~", "y1"): -50.0}),
        (REGRESSION, {("between", "y1", "~~", "y2"): 50.0}),
        # (I - B) has no inverse
        (CYCLE, {("within", "y1", "~", "y2"): 1.0, ("within", "y2", "~", "y1"): 1.0}),
        # overflow of the implied covariance matrix
        (CYCLE, {("within", "y1", "~~", "y1"): 1e300, ("within", "y2", "~", "y1"): 1e200}),
    ],
)
def test_minus_infinity_without_a_density(case: Case, changes: dict[Key, float]) -> None:
    model, values = with_values(case, changes)
    assert model.log_likelihood(values) == -np.inf


def test_shift_and_scale_of_data_and_values() -> None:
    """y = offset + scale * y0 with values transformed alike: minus log(scale) for each number.

    Means of a million SDs leave 10 of the data's 16 digits, in residuals whose squares add up to
    about 200: the tolerance of the issue, 1e-8 of that, is what can be asked for.
    """
    case = two_level("", "y1 + y2 ~ x1\ny1 ~~ y2", "y1 + y2 + z1 ~ w1\nz1 ~~ y1")
    frame = make_frame()
    values = random_values(case, make_model(case, frame), seed=8)
    expected = oracle_log_likelihood(values, frame, "group")
    scale = {"y1": 1.0, "y2": 1e6, "x1": 1e-6, "w1": 1e6, "z1": 1e-3}
    offset = {name: 1e6 * factor for name, factor in scale.items()}
    moved = frame.assign(**{v: offset[v] + scale[v] * frame[v] for v in scale})
    new: dict[Key, float] = {}
    for key, value in values.items():
        _, lhs, op, rhs = key
        if op == "~~":
            new[key] = value * scale[lhs] * scale[rhs]
        elif rhs == "1":
            new[key] = value * scale[lhs] + offset[lhs]
        else:
            new[key] = value * scale[lhs] / scale[rhs]
    for key, value in new.items():
        if key[2] == "~" and key[3] != "1":
            new["between", key[1], "~", "1"] -= value * offset[key[3]]
    rows, clusters = len(frame), frame["group"].nunique()
    jacobian = rows * np.log(scale["y1"] * scale["y2"]) + clusters * np.log(scale["z1"])
    found = make_model(case, moved).log_likelihood(new)
    assert found == pytest.approx(expected - jacobian, rel=1e-8)


@pytest.mark.parametrize("power", [-6, 6])
def test_scales_alone(power: int) -> None:
    """Powers of ten of all variables at once; nothing is lost, so the tolerance is that above."""
    case = two_level("", FACTOR_W, f"{FACTOR_B}\nfb ~ w1")
    frame = make_frame()
    values = random_values(case, make_model(case, frame), seed=8)
    factor = 10.0**power
    moved = frame.assign(**{v: factor * frame[v] for v in ("y1", "y2", "y3", "w1")})
    powers = {"=~": 0, "~~": 2}
    new = {
        key: value * factor ** (1 if key[3] == "1" else powers.get(key[2], 0))
        for key, value in values.items()
    }
    expected = oracle_log_likelihood(values, frame, "group") - 3 * len(frame) * np.log(factor)
    model = make_model(case, moved)
    found = model.log_likelihood(free_values(model, new))
    assert found == pytest.approx(expected, rel=RELATIVE)


INVARIANT = two_level(
    "",
    "fw =~ y1 + y2 + y3\nfw ~ x1 + x2\ny4 ~ fw",
    "fb =~ y1 + y2 + y3\nfb ~ w1\nz1 ~ fb + w2",
)
SHUFFLED = two_level(
    "",
    "y4 ~ fw\nfw ~ x2 + x1\nfw =~ y1 + y3 + y2",
    "z1 ~ w2 + fb\nfb ~ w1\nfb =~ y1 + y3 + y2",
)


def shuffle_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(frac=1, random_state=1)


def sort_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("group", kind="stable")


def relabel_clusters(frame: pd.DataFrame) -> pd.DataFrame:
    ids = {label: 1000 - 3 * i for i, label in enumerate(frame["group"].unique())}
    return frame.assign(group=frame["group"].map(ids))


def make_clusters_categorical(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(group=frame["group"].astype("category"))


def reverse_columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame.columns[::-1]]


@pytest.mark.parametrize(
    "change",
    [shuffle_rows, sort_rows, relabel_clusters, make_clusters_categorical, reverse_columns],
)
@pytest.mark.parametrize("case", [INVARIANT, SHUFFLED], ids=["text", "shuffled text"])
def test_order_and_names_do_not_matter(case: Case, change: object) -> None:
    """Sums in another order differ by rounding: a few times 2e-16 of the value."""
    frame = make_frame()
    values = random_values(INVARIANT, make_model(INVARIANT, frame), seed=9)
    expected = oracle_log_likelihood(values, frame, "group")
    model = make_model(case, change(frame))  # type: ignore[operator]
    found = model.log_likelihood(free_values(model, values))
    assert found == pytest.approx(expected, rel=1e-12)


def test_columns_of_integers() -> None:
    frame = make_frame().assign(y1=lambda d: (10 * d["y1"]).astype(int))
    case = two_level("", "y1 ~ x1", "y1 ~ w1")
    model = make_model(case, frame)
    values = random_values(case, model, seed=1)
    expected = oracle_log_likelihood(values, frame, "group")
    assert model.log_likelihood(free_values(model, values)) == pytest.approx(expected, rel=RELATIVE)
