"""Data of three levels: their moments are those of a closed form; frames are data again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.errors import DataError, NotSupportedError, SpecificationError

pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.errors.SmallSampleWarning")

TEXT = """
level: within
    y ~ rv("s")*x
level: child
    y + s ~ w
    y ~ rv("t")*v
    z ~ y
level: school
    y ~ u
    q ~ y
    z ~~ y
    s ~~ s
"""
VALUES = {
    "within: y ~~ y": 1.5,
    "child: y ~ w": 0.4,
    "child: s ~ w": -0.3,
    "child: z ~ y": 0.7,
    "child: y ~~ y": 0.8,
    "child: s ~~ s": 0.3,
    "child: z ~~ z": 0.5,
    "child: s ~~ z": 0.1,
    "school: y ~ u": 0.5,
    "school: q ~ y": -0.6,
    "school: y ~~ y": 0.9,
    "school: z ~~ z": 0.4,
    "school: s ~~ s": 0.2,
    "school: t ~~ t": 0.25,
    "school: q ~~ q": 0.6,
    "school: z ~~ y": 0.3,
    "school: y ~ 1": 2.0,
    "school: z ~ 1": -1.0,
    "school: s ~ 1": 0.5,
    "school: t ~ 1": 0.3,
    "school: q ~ 1": 4.0,
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    rows = []
    for k in range(12):
        u, q = rng.normal(size=2)
        for j in range(3):
            w, v, z = rng.normal(size=3)
            rows += [(k, f"{k}/{j}", u, q, w, v, z, *rng.normal(size=2)) for _ in range(2 + j)]
    return pd.DataFrame(rows, columns=["school", "child", "u", "q", "w", "v", "z", "x", "y"])


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> bm.Model:
    return bm.Model(TEXT, frame, cluster=["child", "school"])


def values_of(model: bm.Model) -> dict:
    """All free rows: covariances that are not listed are 0."""
    every = {r.key: 0.0 for r in model.table.rows if r.free}
    return every | {
        r.key: VALUES[f"{r.level}: {r.lhs} {r.op} {r.rhs}"]
        for r in model.table.rows
        if f"{r.level}: {r.lhs} {r.op} {r.rhs}" in VALUES
    }


def expected_moments(one: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of (y of every row, z of every child, q) of one school, written out.

    y = y3 + s3 x + t v + y2 + s2 x + e ;  z = z3 + .7 (y2 + t v) + e_z : what t adds to the
    equation of y at level child goes on to z, while the part y3 is added to y directly.
    """
    v_ = VALUES
    children = one.drop_duplicates("child")
    n, j = len(one), len(children)
    row_child = np.array([list(children["child"]).index(c) for c in one["child"]])
    x, v, w = (one["x"].to_numpy(), children["v"].to_numpy(), children["w"].to_numpy())
    u = one["u"].iloc[0]
    # sources: y3 s3 t z3 q-residual | per child: y2 s2 z2 | per row: e
    n_top, size = 5, 5 + 3 * j + n
    top = np.zeros((5, 5))
    names = ["y", "s", "t", "z", "q"]
    for i, name in enumerate(names):
        top[i, i] = v_[f"school: {name} ~~ {name}"]
    top[0, 3] = top[3, 0] = v_["school: z ~~ y"]
    child = np.diag([v_["child: y ~~ y"], v_["child: s ~~ s"], v_["child: z ~~ z"]])
    child[1, 2] = child[2, 1] = v_["child: s ~~ z"]
    cov = np.zeros((size, size))
    cov[:5, :5] = top
    for c in range(j):
        at = slice(n_top + 3 * c, n_top + 3 * c + 3)
        cov[at, at] = child
    cov[n_top + 3 * j :, n_top + 3 * j :] = v_["within: y ~~ y"] * np.eye(n)
    paths, mean = np.zeros((n + j + 1, size)), np.zeros(n + j + 1)
    y3 = v_["school: y ~ 1"] + v_["school: y ~ u"] * u
    for i in range(n):
        c = row_child[i]
        paths[i, [0, 1, 2]] = 1.0, x[i], v[c]
        paths[i, [n_top + 3 * c, n_top + 3 * c + 1]] = 1.0, x[i]
        paths[i, n_top + 3 * j + i] = 1.0
        slope = v_["school: s ~ 1"] + v_["child: s ~ w"] * w[c]
        mean[i] = y3 + v_["school: t ~ 1"] * v[c] + v_["child: y ~ w"] * w[c] + slope * x[i]
    b = v_["child: z ~ y"]
    for c in range(j):
        paths[n + c, [2, 3]] = b * v[c], 1.0
        paths[n + c, [n_top + 3 * c, n_top + 3 * c + 2]] = b, 1.0
        own = v_["child: y ~ w"] * w[c] + v_["school: t ~ 1"] * v[c]
        mean[n + c] = v_["school: z ~ 1"] + b * own
    paths[-1, [0, 4]] = v_["school: q ~ y"], 1.0
    mean[-1] = v_["school: q ~ 1"] + v_["school: q ~ y"] * y3
    return mean, paths @ cov @ paths.T


def test_moments_are_those_of_the_model(model, frame):
    one = frame[frame["school"] == 3].reset_index(drop=True)
    n_copies = 6000
    copies = pd.concat([one] * n_copies, ignore_index=True)
    copy = np.repeat(np.arange(n_copies), len(one))
    copies["school"] = copy
    copies["child"] = copies["child"] + ":" + copy.astype(str)
    drawn = model.simulate(values_of(model), data=copies, random_seed=4)
    first = one.drop_duplicates("child").index
    y = drawn["y"].to_numpy().reshape(n_copies, -1)
    z = drawn["z"].to_numpy().reshape(n_copies, -1)[:, first]
    q = drawn["q"].to_numpy().reshape(n_copies, -1)[:, :1]
    assert (drawn.groupby("child")["z"].nunique() == 1).all()
    assert (drawn.groupby("school")["q"].nunique() == 1).all()
    found = np.hstack([y, z, q])
    mean, cov = expected_moments(one)
    # standard errors of means and of normal covariances; 5 of them over about 100 cells
    error = np.sqrt(np.diag(cov) / n_copies)
    assert (np.abs(found.mean(axis=0) - mean) < 5 * error).all()
    error = np.sqrt((cov**2 + np.outer(np.diag(cov), np.diag(cov))) / n_copies)
    assert (np.abs(np.cov(found.T) - cov) < 5 * error).all()


def test_new_designs(model):
    values = values_of(model)
    drawn = model.simulate(values, tops=5, clusters=3, sizes=4, random_seed=1)
    assert drawn.groupby("school")["child"].nunique().tolist() == [3] * 5
    assert drawn.groupby("child").size().tolist() == [4] * 15
    drawn = model.simulate(values, clusters=[1, 4], random_seed=1)
    assert drawn.groupby("school")["child"].nunique().tolist() == [1, 4]
    assert model.simulate(values, random_seed=1).shape == (len(model.observed.y), 9)
    assert model.simulate(values, tops=3, random_seed=1)["school"].nunique() == 3


def test_simulated_data_are_data_of_the_same_model(model):
    drawn = model.simulate(values_of(model), tops=25, random_seed=3)
    again = bm.Model(TEXT, drawn, cluster=["child", "school"])
    assert again.table.roles == model.table.roles
    assert again.observed.z3_names == ("q",)


def test_missing_values_are_kept_where_asked(frame):
    frame = frame.copy()
    frame.loc[frame["school"] == 2, "q"] = np.nan
    frame.loc[frame["child"] == "1/1", "z"] = np.nan
    frame.loc[5, "y"] = np.nan
    model = bm.Model(TEXT, frame, cluster=["child", "school"])
    drawn = model.simulate(values_of(model), random_seed=1, keep_missing=True)
    for name in ("y", "z", "q"):
        np.testing.assert_array_equal(drawn[name].isna(), frame[name].isna())
    assert not model.simulate(values_of(model), random_seed=1).isna().any(axis=None)


def test_what_cannot_be_simulated(model, frame):
    values = values_of(model)
    with pytest.raises(NotSupportedError, match="return_effects=True"):
        model.simulate(values, return_effects=True)
    with pytest.raises(DataError, match=r"occurs? in more than one 'school'"):
        model.simulate(values, data=frame.assign(child=frame["child"].str[-1]))
    two = bm.Model("level: 1\n y ~ x\nlevel: 2\n y ~ w", frame, cluster="child")
    with pytest.raises(SpecificationError, match="third level, but the model has two levels"):
        two.simulate(two.parameter_table.assign(value=1.0), tops=3)
    bad = values | {("school", "z", "~~", "y"): 5.0}
    with pytest.raises(SpecificationError, match="not positive definite"):
        model.simulate(bad)
