"""Clusters in clusters: who belongs where, variables of the levels, scales, and new designs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.data.nested_designs import nested_sample, resampled_tops
from bayes_msem.data.scales import scales
from bayes_msem.data.subsets import take_rows, without_top
from bayes_msem.errors import DataError, NotSupportedError, SpecificationError

pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.errors.SmallSampleWarning")

TEXT = """
level: within
    y ~ rv("s")*x
level: child
    y + s ~ w
    z ~ y
level: school
    y ~ u
    z ~~ y
    v ~ y
"""


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = []
    for k in range(8):
        u, top, v = rng.normal(size=3)
        for j in range(3 + k % 2):
            w, middle, z = rng.normal(size=3)
            for _ in range(2 + (k + j) % 4):
                x = rng.normal()
                y = 10 + top + middle + 0.5 * x + rng.normal()
                rows.append((f"s{k}", f"s{k}c{j}", u, v + top, w, z + top, x, y))
    frame = pd.DataFrame(rows, columns=["school", "child", "u", "v", "w", "z", "x", "y"])
    return frame.sample(frac=1.0, random_state=1, ignore_index=True)


def model(frame: pd.DataFrame, text: str = TEXT, **options) -> bm.Model:
    return bm.Model(text, frame, cluster=["child", "school"], **options)


def test_units_are_coded_in_order_of_appearance(frame):
    data = model(frame).observed
    first = frame.drop_duplicates("child")
    assert list(data.cluster_ids) == list(first["child"])
    assert list(data.top_ids) == list(frame["school"].drop_duplicates())
    assert list(data.top_ids[data.parent]) == list(first["school"])
    assert data.cluster_names == ("child", "school")
    assert (data.z_names, data.w_names, data.z3_names, data.w3_names) == (
        ("z",),
        ("w",),
        ("v",),
        ("u",),
    )
    assert data.top_split_names == ("y", "z")
    np.testing.assert_array_equal(data.z[:, 0], first["z"])
    np.testing.assert_array_equal(data.w3[:, 0], frame.drop_duplicates("school")["u"])
    np.testing.assert_array_equal(data.top_design[:, 0], 1.0)


def test_printed_models_say_how_many_units_there_are(frame):
    text = str(model(frame))
    assert text.startswith("Three-level")
    assert f"{len(frame)} rows in 28 clusters ('child') in 8 larger ones ('school')" in text
    assert "split over levels within, child, school (a latent part at each): y" in text
    assert "covariate at level school (conditioned on): u" in text
    assert "outcome or indicator at level school only: v" in text
    assert "random coefficient (varies over 'child'): s" in text


def test_few_top_units_are_advised_on(frame):
    notes = " ".join(model(frame).notes)
    assert "Only 8 units of the highest level ('school')" in notes


def change(name: str, where: str, value: float, column: str = "school"):
    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        at = frame.index[frame[column] == where]
        frame.loc[at[0], name] = value
        return frame

    return changed


def crossed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(child=frame["child"].str[2:])


def no_top(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(school=frame["school"].where(frame.index != 3))


ERRORS = [
    (
        crossed,
        TEXT,
        [
            "4 identifiers of 'child'",
            "such as 'c1' in 's3'",
            "data['school'].astype(str) + '/'",
            "crossed",
            "C(child)",
        ],
    ),
    (lambda f: f.drop(columns="school"), TEXT, ["'school' is not in data"]),
    (no_top, TEXT, ["'school' has no identifier in 1 row (3"]),
    (lambda f: f.assign(school=1), TEXT, ["one unit only", "cluster='child'"]),
    (lambda f: f.assign(school="of " + f["child"]), TEXT, ["single 'child'", "cluster='school'"]),
    (
        change("u", "s3", 9.0),
        TEXT,
        [
            "'u' is used at level school and above only",
            "constant inside each 'school'",
            "1 of 8",
            "'s3'",
        ],
    ),
    (
        change("w", "s2c1", 9.0, "child"),
        TEXT,
        ["'w' is used at level child and above only", "1 of 28", "'s2c1'"],
    ),
    (
        lambda f: f.assign(u=f["u"].where(f["school"] != "s1")),
        TEXT,
        ["covariate of level 3 'u' is missing in 1 of 8", "'s1'", "level: school", "u ~~ u"],
    ),
    (
        lambda f: f.assign(z=f["v"]),
        TEXT,
        ["'z' is constant inside every 'school'", "level school only"],
    ),
    (
        lambda f: f.assign(y=f["z"]),
        TEXT,
        ["'y' is constant inside every 'child'", "level child or above"],
    ),
    (lambda f: f.assign(u=1.0), TEXT, ["'u' is constant", "all top units"]),
    (lambda f: f[f["school"].isin(["s1", "s2"])], TEXT, ["2 top units", "at least 3 top units"]),
]


@pytest.mark.parametrize(("change", "text", "parts"), ERRORS)
def test_errors_name_the_culprit(frame, change, text, parts):
    with pytest.raises(DataError) as caught:
        model(change(frame), text)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("cluster", "kind", "part"),
    [
        (["child", "school", "x"], NotSupportedError, "three levels at most"),
        (["child", "child"], DataError, "twice"),
        ([], DataError, "names no column"),
        (["child", "between"], DataError, "neither 'within' nor 'between'"),
        (["child", "my school"], DataError, "letters, digits"),
        ("school/child", NotSupportedError, "takes a list, the inner one first"),
    ],
)
def test_cluster_columns(frame, cluster, kind, part):
    frame = frame.assign(**{"between": 1, "my school": 2})
    with pytest.raises(kind, match=part):
        bm.Model(TEXT, frame, cluster=cluster)


def test_scales_are_those_of_a_formula(frame):
    frame.loc[5, "y"] = np.nan
    found = scales(model(frame).observed)
    seen = frame.dropna(subset="y")
    means = seen.groupby("child")["y"].mean()
    parent = seen.drop_duplicates("child").set_index("child")["school"].loc[means.index]
    inner = seen["y"] - seen.groupby("child")["y"].transform("mean")
    assert found.within["y"] == pytest.approx(np.sqrt((inner**2).sum() / (len(seen) - 28)))
    tops = means.groupby(parent).mean()
    around = means - means.groupby(parent).transform("mean")
    assert found.between["y"] == pytest.approx(np.sqrt((around**2).sum() / (28 - 8)))
    assert found.top["y"] == pytest.approx(tops.std())
    schools, children = frame.drop_duplicates("school"), frame.drop_duplicates("child")
    z = children.set_index("child")["z"]
    around = z - z.groupby(children["school"].to_numpy()).transform("mean")
    assert found.between["z"] == pytest.approx(np.sqrt((around**2).sum() / (28 - 8)))
    assert found.top["z"] == pytest.approx(children.groupby("school")["z"].mean().std())
    assert found.top["v"] == pytest.approx(schools["v"].std())
    assert found.predictor["u"] == pytest.approx(schools["u"].std())
    assert found.predictor["w"] == pytest.approx(children["w"].std())
    assert found.mean["v"] == pytest.approx(schools["v"].mean())


def test_default_priors_have_the_scales_of_their_level(frame):
    built = model(frame)
    found = scales(built.observed)
    priors = {r.key: r.prior for r in built.table.rows}
    assert priors["school", "v", "~~", "v"] == f"halfnormal({found.top['v']:.4g})[sd]"
    assert priors["child", "z", "~~", "z"] == f"halfnormal({found.between['z']:.4g})[sd]"
    assert priors["school", "z", "~~", "z"] == f"halfnormal({found.top['z']:.4g})[sd]"
    assert priors["within", "y", "~~", "y"] == f"halfstudentt(4, {found.within['y']:.4g})[sd]"
    ratio = found.top["y"] / found.predictor["u"]
    assert priors["school", "y", "~", "u"] == f"studentt(4, 0, {ratio:.4g})"
    # y predicts z at child, so its prior there avoids zero
    assert (
        priors["child", "y", "~~", "y"]
        == f"gamma(2, {float(f'{2 / found.between["y"]:.4g}'):g})[sd]"
    )


def test_the_scale_of_an_upper_level_has_a_floor(frame):
    means = frame.groupby(["school", "child"], as_index=False)["y"].mean()
    tops = means.groupby("school")["y"].mean()
    centred = frame.assign(y=frame["y"] - tops[frame["school"]].to_numpy())
    noise = np.random.default_rng(1).normal(scale=1e-3, size=8)
    centred["y"] += noise[centred["school"].str[1:].astype(int)]
    built = model(centred, "level: 1\n y ~ x\nlevel: 2\n y ~~ y\nlevel: 3\n y ~~ y")
    found = scales(built.observed)
    assert found.top["y"] < 0.1 * found.between["y"]
    (row,) = [r for r in built.table.rows if r.key == ("school", "y", "~~", "y")]
    assert row.prior == f"halfnormal({0.1 * found.between['y']:.4g})[sd]"


@pytest.mark.filterwarnings("ignore::bayes_msem.errors.MissingDataWarning")
def test_missing_outcomes_of_all_levels_are_reported(frame):
    frame.loc[frame["school"] == "s1", "v"] = np.nan
    frame.loc[frame["child"] == "s2c0", "z"] = np.nan
    frame.loc[[1, 2], "y"] = np.nan
    report = model(frame).missing
    rows = report.variables[["level", "variable", "n", "missing"]].to_numpy().tolist()
    assert rows == [["within", "y", len(frame), 2], ["child", "z", 28, 1], ["school", "v", 8, 1]]
    assert "  v: 1 of 8 'school' (12.5%)" in report.lines
    kept = model(frame, missing="listwise").observed
    assert kept.n_tops == 7
    assert not np.isnan(kept.z3).any()


def test_parts_of_the_data_keep_their_nesting(frame):
    data = model(frame).observed
    part = without_top(data, 2)
    gone = data.top_ids[2]
    left = frame[frame["school"] != gone]
    assert list(part.top_ids) == list(left["school"].drop_duplicates())
    assert list(part.top_ids[part.parent]) == list(left.drop_duplicates("child")["school"])
    np.testing.assert_array_equal(part.w3[part.parent][part.cluster][:, 0], left["u"])
    np.testing.assert_array_equal(part.z3[part.parent][part.cluster][:, 0], left["v"])
    rows = np.array([7, 3])
    np.testing.assert_array_equal(take_rows(data, rows).y[:, 0], frame["y"].iloc[rows])


def test_categories_are_coded_at_every_level(frame):
    frame = frame.assign(
        kind=np.where(frame["u"] > 0, "a", "b"), sort=np.where(frame["w"] > 0, "c", "d")
    )
    text = "level: 1\n y ~ x\nlevel: 2\n y ~ sort\nlevel: 3\n y ~ kind + u + u:kind"
    data = model(frame, text).observed
    assert data.w_names == ("sort[T.d]",)
    assert data.w3_names == ("kind[T.b]", "u", "u:kind[T.b]")
    np.testing.assert_array_equal(data.w3[data.parent[data.cluster], 0], frame["kind"] == "b")
    np.testing.assert_allclose(data.w3[:, 2], data.w3[:, 0] * data.w3[:, 1])


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"tops": 0}, "at least 1"),
        ({"tops": 3, "clusters": [2, 2]}, "2 numbers, but there are 3"),
        ({"sizes": [2, 2]}, "clusters=4"),
        ({"tops": 2, "clusters": 2, "sizes": [1, 2, 3]}, "3 numbers, but there are 4"),
    ],
)
def test_samples_that_cannot_be(frame, given, part):
    given = {"tops": None, "clusters": None, "sizes": None, **given}
    with pytest.raises(SpecificationError, match=part):
        nested_sample(model(frame).observed, given["tops"], given["clusters"], given["sizes"])


def test_new_designs_keep_covariates_of_a_unit_together(frame):
    data = model(frame).observed
    rng = np.random.default_rng(1)
    design = resampled_tops(
        data, nested_sample(data, 6, [1, 2, 3, 1, 2, 3], 4), rng, incomplete=False
    )
    assert np.bincount(design.parent).tolist() == [1, 2, 3, 1, 2, 3]
    assert design.sizes.tolist() == [4] * 12
    known = {(u, w): set() for u, w in zip(frame["u"], frame["w"], strict=True)}
    for u, w, x in zip(frame["u"], frame["w"], frame["x"], strict=True):
        known[u, w].add(x)
    for i, j in enumerate(design.cluster):
        assert design.x[i, 0] in known[design.w3[design.parent[j], 0], design.w[j, 0]]
    same = resampled_tops(data, nested_sample(data, 5, None, None), rng, incomplete=False)
    held = {u: list(f.groupby("child", sort=False).size()) for u, f in frame.groupby("u")}
    for k in range(5):
        assert sorted(same.sizes[same.parent == k]) == sorted(held[same.w3[k, 0]])


def test_priors_are_set_by_level(frame):
    priors = {
        ("child", "sd"): "halfnormal(5)",
        (3, "regression"): "normal(0, 1)",
        "school: z ~~ z": "halfnormal(9)",
    }
    rows = {r.key: r.prior for r in model(frame, priors=priors).table.rows}
    assert {p for k, p in rows.items() if k[0] == "child" and k[1] == k[3]} == {"halfnormal(5)[sd]"}
    assert rows["school", "y", "~", "u"] == "normal(0, 1)"
    assert rows["child", "y", "~", "w"].startswith("studentt")
    assert rows["school", "z", "~~", "z"] == "halfnormal(9)[sd]"
    with pytest.raises(SpecificationError, match="'within', 'child' or 'school'"):
        model(frame, priors={("between", "sd"): "halfnormal(5)"})


def test_shorthand_makes_coefficients_of_rows_vary(frame):
    plain = TEXT.replace('rv("s")*x', "x").replace("y + s ~ w", "y ~ w")
    built = model(frame, plain, random="slopes")
    assert built.table.coefficients == ("s.y.x",)
    assert built.table.roles["child", "s.y.x"] == "random effect"


def test_other_data_of_the_same_model(frame):
    built = model(frame)
    other = built.on(without_top(built.observed, 0))
    assert other.observed.n_tops == 7
    assert other.table is built.table
