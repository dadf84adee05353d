"""Every DataError names culprit and fix; malformed frames raise nothing else."""

from __future__ import annotations

import datetime
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayes_msem.data.advice import advice
from bayes_msem.data.moments import moments
from bayes_msem.data.observe import observe
from bayes_msem.data.scales import scales
from bayes_msem.errors import DataError, MsemError, NotSupportedError
from bayes_msem.model import Model
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parser import parse


def _assert_raises(parts, frame, table, cluster="school"):
    with pytest.raises(DataError) as caught:
        observe(frame, table, cluster)
    message = str(caught.value)
    for part in parts:
        assert part in message, f"{part!r} is not in: {message}"


@pytest.mark.parametrize("data", [None, {"y1": [1.0]}, [1, 2], np.zeros((3, 2)), "data.csv"])
def test_not_a_frame(table, data):
    _assert_raises(["must be a pandas.DataFrame", type(data).__name__, "convert"], data, table)


def test_empty_frame(frame, table):
    _assert_raises(["no rows", "check the filter"], frame.iloc[:0], table)


def test_columns_of_several_levels(frame, table):
    frame.columns = pd.MultiIndex.from_product([frame.columns, ["a"]])
    _assert_raises(["MultiIndex", "one name"], frame, table)


def test_missing_columns_suggest_the_nearest(frame, table):
    renamed = frame.rename(columns={"y1": "Y1", "z1": "z1_t", "x2": "other"})
    parts = ["'y1'; did you mean 'Y1'?", "'z1'; did you mean 'z1_t'?", "'x2'", "add these columns"]
    _assert_raises(parts, renamed, table)


def test_column_names_that_are_not_text(frame, make_table):
    frame = frame.rename(columns={"y1": 7})
    table = make_table({"7": "within-only"})
    _assert_raises(["'7'; did you mean 7 (int, not text)?"], frame, table, None)


@pytest.mark.parametrize("name", ["y1", "z1", "x1", "w1", "school"])
def test_duplicated_columns(frame, table, name):
    doubled = pd.concat([frame, frame[[name]]], axis=1)
    _assert_raises([f"more than one column named '{name}'", "rename or drop"], doubled, table)


def test_duplicated_columns_that_are_not_used_do_no_harm(frame, table):
    observe(pd.concat([frame, frame[["unused"]]], axis=1), table, "school")


def test_missing_cluster_column(frame, table):
    _assert_raises(["'School' is not in data", "did you mean 'school'?"], frame, table, "School")
    _assert_raises(["['school'] is not in data"], frame, table, ["school"])
    _assert_raises(["in its index", "reset_index"], frame.set_index("school"), table)


@pytest.mark.parametrize("cluster", ["school/unused", "school:unused"])
def test_two_cluster_columns_in_a_text_do_not_say_which_is_the_inner_one(frame, cluster):
    text = "level: within\n y1 ~ x1\nlevel: between\n y1 ~~ y1"
    with pytest.raises(NotSupportedError, match=r"2 columns \('school', 'unused'\).*three levels"):
        Model(text, frame, cluster=cluster)


@pytest.mark.filterwarnings("ignore::bayes_msem.errors.SmallSampleWarning")
def test_one_column_in_a_list_is_that_column(frame):
    text = "level: within\n y1 ~ x1\nlevel: between\n y1 ~~ y1"
    alone, listed = (Model(text, frame, cluster=cluster) for cluster in ("school", ["school"]))
    assert alone.options == listed.options
    assert str(alone) == str(listed)


def test_cluster_must_fit_the_model(frame, table, make_table):
    _assert_raises(["between level", "no cluster column", "cluster='"], frame, table, None)
    single = make_table({"y1": "within-only"})
    _assert_raises(["'school'", "single level", "leave cluster out"], frame, single)


def test_missing_cluster_ids(frame, table):
    frame["school"] = frame.school.astype("Int64")
    frame.iloc[[4, 9], frame.columns.get_loc("school")] = pd.NA
    _assert_raises(["'school' has no identifier in 2 rows (4, 9,", "dropna"], frame, table)


def test_signalling_nan(frame, table):
    cells = frame.school.map(lambda v: Decimal(int(v))).tolist()
    cells[2] = Decimal("sNaN")
    cells = pd.Series(cells, index=frame.index, dtype=object)
    _assert_raises(["'school'", "signalling NaN"], frame.assign(school=cells), table)
    _assert_raises(["'y1' has infinite values in 1 row (2,"], frame.assign(y1=cells), table)


def test_one_cluster(frame, table):
    _assert_raises(["'school' has one cluster only ('a')"], frame.assign(school="a"), table)
    one = frame.assign(school=pd.Categorical(["a"] * len(frame), ["a", "b"]))
    _assert_raises(["one cluster only ('a')", "single-level"], one, table)


def test_all_clusters_of_size_one(frame, table):
    parts = ["cluster of its own", "'school'", "23 clusters of size 1", "cannot be told apart"]
    _assert_raises(parts, frame.assign(school=range(len(frame))), table)


def test_cluster_ids_that_cannot_be_compared(frame, table):
    parts = ["'school'", "cannot be compared", "list", "use numbers, strings"]
    _assert_raises(parts, frame.assign(school=[[int(s)] for s in frame.school]), table)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (lambda s: s.astype(str), ["dtype str", "read as numbers", "pandas.to_numeric"]),
        (lambda s: s.astype("category"), ["dtype category", "not there yet", "dummies"]),
        (lambda s: pd.Categorical(["low"] * len(s)), ["dtype category", "not there yet"]),
        (lambda s: ["low", *s[1:]], ["dtype object", "'low' in row 0", "code the variable"]),
        (lambda s: ["1", "2", "n/a", *s[3:].astype(str)], ["dtype str", "'n/a' in row 2"]),
        (lambda s: pd.Timestamp("2024-01-01"), ["datetime64", "Timestamp('2024-01-01"]),
        (lambda s: pd.to_timedelta(s, "D"), ["timedelta64", "Timedelta("]),
        (lambda s: s + 1j, ["complex numbers", "complex128", "real part"]),
        (lambda s: [None, (1, 2), *s[2:]], ["dtype object", "(1, 2) in row 1"]),
        (lambda s: [*s[:-1], 1j], ["complex"]),
    ],
)
@pytest.mark.parametrize("name", ["y1", "x1"])
def test_not_numeric(frame, table, name, values, parts):
    _assert_raises([f"'{name}'", *parts], frame.assign(**{name: values(frame[name])}), table)


def test_infinite_values(frame, table):
    frame.iloc[[2, 5, 6, 7, 8, 9], frame.columns.get_loc("y2")] = [np.inf, -np.inf] * 3
    parts = ["'y2' has infinite values in 6 rows (2, 5, 6, 7, 8, ..., counting from 0)", "nan"]
    _assert_raises(parts, frame, table)


@pytest.mark.parametrize("value", [1e60, 10**400, np.longdouble("1e4000"), Decimal("1e80")])
def test_values_beyond_float64(frame, table, value):
    values = [value, *frame.y2[1:]]
    with pytest.raises(
        DataError, match=r"'y2' has (infinite values|values beyond 1e\+50) in 1 row"
    ):
        observe(frame.assign(y2=pd.Series(values, frame.index, dtype=object)), table, "school")


def test_missing_covariates_name_the_rows(frame, table):
    frame["x2"] = frame.x2.astype("Int64")
    frame.iloc[1, frame.columns.get_loc("x2")] = pd.NA
    frame.iloc[[0, 3], frame.columns.get_loc("y2")] = np.nan
    parts = ["covariate 'x2' is missing in 1 row (1, counting from 0)", "x2 ~~ x2", "listwise"]
    _assert_raises(parts, frame, table)


def test_all_missing_covariates_are_named_at_once(frame, table):
    """With the lines that mend it: pasted into the text, they do."""
    school = frame.school.iloc[4]
    frame.iloc[1, frame.columns.get_loc("x1")] = np.nan
    frame["x2"] = frame.x2.where(np.arange(len(frame)) > 1).astype("Float64")
    frame.loc[frame.school == school, "w1"] = np.nan
    with pytest.raises(DataError) as caught:
        observe(frame, table, "school")
    message = str(caught.value)
    for part in (
        "covariate 'x1' is missing in 1 row (1,",
        "covariate 'x2' is missing in 2 rows (0, 1,",
        f"covariate 'w1' is missing in 1 of 7 clusters ('school' {school})",
        "to the block 'level: within':\n    x1 ~~ x1\n    x2 ~~ x2\n",
        "to the block 'level: between':\n    w1 ~~ w1\n",
        "leave these rows and clusters out",
    ):
        assert part in message, f"{part!r} is not in: {message}"
    within, between = (
        message.split(f"'level: {level}':\n")[1].split("\nto the")[0].split("\nor use")[0]
        for level in ("within", "between")
    )
    text = "level: within\n y1 ~ x1 + x2\n{}\nlevel: between\n y1 ~ w1\n{}"
    columns = list(frame.columns)
    with pytest.raises(DataError, match=r"x1.*x2.*w1"):
        observe(frame, build_table(parse(text.format("", "")), columns, cluster="school"), "school")
    mended = build_table(parse(text.format(within, between)), columns, cluster="school")
    observed = observe(frame, mended, "school")
    assert observed.y_names == ("y1", "x1", "x2")
    assert np.isnan(observed.y).sum() == 3
    assert np.isnan(observed.z).sum() == 1


def test_missing_covariates_of_one_level(frame, make_table):
    frame.iloc[1, frame.columns.get_loc("x1")] = np.nan
    table = make_table({"y1": "within-only", "x1": "covariate"})
    _assert_raises(["by its variance", "add\n    x1 ~~ x1\nor use"], frame, table, None)


def test_missing_cluster_covariates_name_the_clusters(frame, table):
    school = frame.school.iloc[4]
    frame.loc[frame.school == school, "w1"] = np.nan
    parts = [f"'w1' is missing in 1 of 7 clusters ('school' {school})", "w1 ~~ w1", "listwise"]
    _assert_raises(parts, frame, table)


def test_a_cluster_has_the_value_of_its_other_rows(frame, table):
    expected = observe(frame, table, "school")
    frame = frame.copy()
    frame.iloc[1, frame.columns.get_loc("w1")] = np.nan
    frame.iloc[2, frame.columns.get_loc("z1")] = np.nan
    frame["unused"] = None
    observed = observe(frame, table, "school")
    np.testing.assert_array_equal(observed.w, expected.w)
    np.testing.assert_array_equal(observed.z, expected.z)


def test_a_variable_without_any_value(frame, table):
    _assert_raises(["'y2' is missing in all 23 rows", "remove it"], frame.assign(y2=np.nan), table)


def test_listwise_deletion_keeps_and_counts(frame, table):
    frame.iloc[[0, 3], frame.columns.get_loc("y2")] = np.nan
    frame.iloc[3, frame.columns.get_loc("x1")] = np.nan
    observed = observe(frame, table, "school", missing="listwise")
    keep = np.setdiff1d(np.arange(len(frame)), [0, 3])
    assert observed.dropped == 2
    np.testing.assert_array_equal(observed.y[:, 0], frame.y1.to_numpy()[keep])
    assert list(observed.row_index) == list(frame.index[keep])


def test_listwise_deletion_of_everything(frame, table):
    even = np.arange(len(frame)) % 2 == 0
    frame = frame.assign(y1=frame.y1.where(even), y2=frame.y2.where(~even))
    with pytest.raises(DataError, match=r"leaves no row.*missing='fiml'"):
        observe(frame, table, "school", missing="listwise")


@pytest.mark.parametrize("name", ["z1", "w1"])
def test_level_2_variables_that_vary_inside_clusters(frame, table, name):
    one = frame.copy()
    one.loc[one.school == 20, name] = [0.0, 0.0, 0.0, 0.0, 1e-3]
    parts = [f"'{name}' is used at the between level only", "1 of 7 clusters: 20", "transform"]
    _assert_raises(parts, one, table)
    everywhere = frame.assign(**{name: frame.y1}).sort_values("school")
    _assert_raises(["6 of 7 clusters: 10, 20, 40, 50, 60, ...;"], everywhere, table)


@pytest.mark.parametrize("name", ["y1", "y3", "x1", "z1", "w1"])
@pytest.mark.parametrize("value", [3.0, 0.0, -1e20])
def test_constant_variables(frame, table, name, value):
    parts = [f"'{name}' is constant: it has the value {value:g}", "remove it from the model"]
    _assert_raises(parts, frame.assign(**{name: value}), table)


def test_variation_below_the_reach_of_floating_point(frame, table):
    _assert_raises(["'x1' varies by less than", "units"], frame.assign(x1=frame.x1 * 1e-60), table)
    rounding = frame.assign(y1=1e6 + 1e-10 * np.arange(len(frame)))
    _assert_raises(["'y1' is constant"], rounding, table)


@pytest.mark.parametrize("name", ["y1", "y3"])
def test_no_variation_inside_clusters(frame, table, name):
    means = frame.groupby("school")["y1"].transform("mean")
    parts = [f"'{name}' is constant inside every 'school'", "at the between level only"]
    _assert_raises(parts, frame.assign(**{name: means}), table)


def test_no_variation_between_clusters(frame, table):
    def centre(name):
        return frame[name] - frame.groupby("school")[name].transform("mean")

    parts = ["'y1' is used at both levels", "'school' means are equal", "uncentred"]
    _assert_raises(parts, frame.assign(y1=1e3 + centre("y1")), table)
    _assert_raises(parts, frame.assign(y1=centre("y1").round(6)), table)
    # Within-only variables and covariates may be centred.
    observe(frame.assign(y3=centre("y3"), x1=centre("x1")), table, "school")


def test_collinear_covariates(frame, table, make_table):
    parts = ["covariate 'x2' is an exact linear combination of 'x1' and the intercept", "remove"]
    _assert_raises(parts, frame.assign(x2=3 * frame.x1 - 1e3), table)
    dummies = pd.get_dummies(np.arange(len(frame)) % 3, prefix="d").set_index(frame.index)
    names = ["d_0", "x1", "d_1", "d_2"]
    single = make_table({"y1": "within-only"} | dict.fromkeys(names, "covariate"))
    parts = ["covariate 'd_2'", "of 'd_0', 'd_1' and the intercept", "reference category"]
    _assert_raises(parts, frame.assign(**dummies), single, None)
    two = make_table(
        {"y1": "split"}, {"y1": "split"} | dict.fromkeys(["w1", "w2"], "cluster-level covariate")
    )
    parts = ["cluster-level covariate 'w2'", "of 'w1'"]
    _assert_raises(parts, frame.assign(w2=-frame.w1), two)


def test_nearly_collinear_covariates_pass(frame, table):
    observe(frame.assign(x2=frame.x1 + 1e-6 * frame.y2), table, "school")
    observe(frame.assign(x1=2000.0 + frame.x1, x2=(2000.0 + frame.x1) ** 2), table, "school")


def test_too_few_rows_or_clusters(frame, table, make_table):
    single = make_table({"y1": "within-only", "x1": "covariate", "x2": "covariate"})
    few = frame.iloc[:2]
    parts = ["2 rows", "2 covariates ('x1', 'x2')", "at least 4 rows", "fewer covariates"]
    _assert_raises(parts, few, single, None)
    two = frame[frame.school.isin([20, 40])]
    between = {"y1": "split", "w1": "cluster-level covariate"}
    parts = ["2 clusters", "1 cluster-level covariate ('w1')", "at least 3 clusters"]
    _assert_raises(parts, two, make_table({"y1": "split"}, between))
    observe(two, make_table({"y1": "split"}, {"y1": "split"}), "school")


def test_advice_for_few_clusters_and_single_rows(frame, table):
    few, singletons = advice(observe(frame, table, "school"))
    assert "Only 7 clusters ('school')" in few
    assert "priors" in few
    assert "intervals" in few
    assert singletons.startswith("Clusters with a single row: 1 of 7.")


def test_advice_for_more_variables_than_clusters(frame, table):
    notes = advice(observe(frame[frame.school.isin([10, 20, 40, 60])], table, "school"))
    assert any("3 variables vary between 4 clusters" in note for note in notes)


def test_advice_for_dependent_indicators(frame, make_table):
    table = make_table(dict.fromkeys(["y1", "y2", "total"], "within-only"))
    (note,) = advice(observe(frame.assign(total=frame.y1 + frame.y2), table, None))
    assert "'total' is an exact linear combination of 'y1', 'y2'" in note


def test_no_advice_for_ample_data(make_table):
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"y": rng.normal(size=100), "g": np.arange(100) % 25})
    assert advice(observe(frame, make_table({"y": "split"}, {"y": "split"}), "g")) == []
    assert advice(observe(frame, make_table({"y": "within-only"}), None)) == []


_CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=3),
    st.dates().map(pd.Timestamp),
    st.just(pd.NA),
    st.just(pd.NaT),
    st.decimals(),
    st.just(datetime.timedelta(1)),
    st.just(()),
    st.just([1]),
)
_COLUMN_CELLS = st.sampled_from(
    [_CELLS, st.integers(0, 2), st.floats(), st.floats(-9, 9), st.text(max_size=2), st.booleans()]
)
_NAMES = ["y1", "y2", "y3", "x1", "x2", "z1", "w1", "school", "other", 1, None, ("y1",)]


@st.composite
def _frames(draw):
    """Frames of plausible shape and arbitrary content."""
    n = draw(st.integers(0, 12))
    names = draw(st.permutations(_NAMES[:8])) + draw(st.lists(st.sampled_from(_NAMES), max_size=3))
    columns = []
    for _ in names:
        cells = draw(st.lists(draw(_COLUMN_CELLS), min_size=n, max_size=n))
        columns.append(pd.Series(cells, dtype=draw(st.sampled_from([None, object]))))
    frame = pd.concat(columns, axis=1)
    frame.columns = pd.Index(names, dtype=object)
    keep = draw(st.integers(0, len(names)))
    return frame if draw(st.booleans()) else frame.iloc[:, :keep]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=_frames(), cluster=st.sampled_from(["school", "other", None, 1, ("y1",), []]))
def test_malformed_frames_raise_package_errors_only(table, data, cluster):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            observed = observe(data, table, cluster)
        except MsemError:
            return
        m = moments(observed)
        advice(observed)
        measured = scales(observed)
    assert np.isfinite(m.cross).all()
    assert all(sd > 0 for sd in [*measured.within.values(), *measured.between.values()])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_odd_numbers_give_an_error_or_finite_statistics(table, data):
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(rng.normal(size=(12, 5)), columns=["y1", "y2", "y3", "x1", "x2"])
    frame["school"] = data.draw(st.lists(st.integers(0, 4), min_size=12, max_size=12))
    frame[["z1", "w1"]] = rng.normal(size=(5, 2))[frame.school]
    name = data.draw(st.sampled_from(["y1", "y3", "x1"]))
    frame[name] = data.draw(st.lists(st.floats(), min_size=12, max_size=12))
    try:
        observed = observe(frame, table, "school")
    except MsemError:
        return
    measured = scales(observed)
    assert np.isfinite(moments(observed).cross).all()
    assert all(sd > 0 for sd in [*measured.within.values(), *measured.between.values()])


@pytest.mark.parametrize(
    ("cluster", "shown"),
    [
        (pd.NA, "<NA>"),
        (np.nan, "nan"),
        (pd.Series([1]), "Series"),
        (np.array(["school"]), "ndarray"),
    ],
)
def test_a_cluster_that_is_no_name(frame, cluster, shown):
    spec = "level: within; y1 ~ x1; level: between; y1 ~ w1"
    with pytest.raises(DataError, match="must be the name of one column") as caught:
        Model(spec, data=frame, cluster=cluster)
    assert f"got {shown};" in str(caught.value)
