"""Tables of several groups: what is free, what is equal, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.errors import DataError, ModelSyntaxError, NotSupportedError, SpecificationError
from bayes_msem.spec.group_modifiers import in_group
from bayes_msem.spec.parser import parse

pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.MsemWarning")

CFA = "f =~ y1 + y2 + y3"
TWO = """
level: within
    fw =~ y1 + y2 + y3
level: between
    fb =~ y1 + y2 + y3
"""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 120
    f = rng.normal(size=n)
    data = pd.DataFrame({f"y{k}": f + rng.normal(size=n) for k in (1, 2, 3)})
    data["x"], data["g"] = rng.normal(size=n), np.repeat(["B", "A"], n // 2)
    data["c"] = [f"{g}{j}" for g, j in zip(data["g"], np.tile(np.arange(12), 10), strict=True)]
    return data


def rows_of(model: bm.Model, *columns: str) -> dict[str, tuple]:
    table = model.parameter_table
    names = table["lhs"] + table["op"] + table["rhs"] + "|" + table["group"]
    return dict(zip(names, table[list(columns)].itertuples(index=False, name=None), strict=True))


def free_of(text: str, frame: pd.DataFrame, **options: object) -> dict[str, int]:
    cluster = "c" if "level" in text else None
    model = bm.Model(text, frame, group="g", cluster=cluster, **options)
    return {name: values[0] for name, values in rows_of(model, "free").items()}


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("y ~ c(a, b)*x", {"label": "b"}),
        ('y ~ c("a", "b")*x', {"label": "b"}),
        ("y ~ c(1, NA)*x", {"free": True}),
        ("y ~ c(NA, -0.5)*x", {"fixed": -0.5}),
        ("y ~ c(a, 1/2)*x", {"fixed": 0.5}),
        ('y ~ c(a, 0)*prior("normal(0, 1)")*x', {"fixed": 0.0, "prior": None}),
        ("y ~ c(a, b)*start(0.3)*x", {"label": "b", "start": 0.3}),
    ],
)
def test_entries_of_c(text: str, second: dict) -> None:
    modifiers = in_group(parse(text), 1, ("A", "B")).formulas[0].term.modifiers
    for name, value in second.items():
        assert getattr(modifiers, name) == value
    assert modifiers.by_group == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y ~ c()*x", ["c() is empty"]),
        ("y ~ c(a, b)*b2*x", ["a label", "contradicts c()"]),
        ("y ~ c(a, b)*2*x", ["a fixed value", "contradicts c()"]),
        ('y ~ c(a, prior("normal(0, 1)"))*x', ["labels, numbers and NA"]),
        ('y ~ c("a b", b)*x', ["'a b' is not a name"]),
        ("y ~ c(a + b, 1)*x", ["cannot be part of a number"]),
    ],
)
def test_c_that_cannot_be_read(text: str, words: list[str]) -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse(text)
    for word in words:
        assert word in str(caught.value)


def test_everything_is_free_by_default(frame: pd.DataFrame) -> None:
    free = free_of(CFA, frame)
    numbers = [n for n in free.values() if n]
    assert sorted(numbers) == list(range(1, 19))
    assert free["f=~y1|A"] == free["f=~y1|B"] == 0


def test_groups_in_order_of_appearance_or_of_categories(frame: pd.DataFrame) -> None:
    assert bm.Model(CFA, frame, group="g").group_names == ("B", "A")
    ordered = frame.assign(g=pd.Categorical(frame["g"], ["A", "unused", "B"]))
    assert bm.Model(CFA, ordered, group="g").group_names == ("A", "B")


@pytest.mark.parametrize(
    ("word", "equal"),
    [
        ("loadings", {"f=~y2", "f=~y3"}),
        ("intercepts", {"y1~1", "y2~1", "y3~1"}),
        ("residuals", {"y1~~y1", "y2~~y2", "y3~~y3"}),
        ("lv.variances", {"f~~f"}),
        ("residual.covariances", {"y1~~y2"}),
        ("regressions", {"f~x"}),
        ("lv.covariances", set()),
        ("means", set()),
    ],
)
def test_words_of_equality(frame: pd.DataFrame, word: str, equal: set[str]) -> None:
    free = free_of(f"{CFA}; f ~ x; y1 ~~ y2", frame, group_equal=[word])
    names = {name.split("|")[0] for name in free}
    shared = {n for n in names if free.get(f"{n}|A") and free[f"{n}|A"] == free[f"{n}|B"]}
    assert shared == equal


def test_means_of_factors_are_freed_with_equal_intercepts(frame: pd.DataFrame) -> None:
    free = free_of(CFA, frame, group_equal=["loadings", "intercepts"])
    assert free["f~1|B"] == 0
    assert free["f~1|A"] > 0
    assert "f~1|A" not in free_of(CFA, frame, group_equal=["loadings"])
    assert "f~1|A" not in free_of(CFA, frame, group_equal=["loadings", "intercepts", "means"])


def test_means_are_freed_where_intercepts_live(frame: pd.DataFrame) -> None:
    free = free_of(TWO, frame, group_equal=["loadings", "intercepts"])
    assert free["fb~1|A"] > 0
    assert "fw~1|A" not in free
    within = free_of(TWO, frame, group_equal={"within": ["loadings"]})
    assert within["fw=~y2|A"] == within["fw=~y2|B"]
    assert within["fb=~y2|A"] != within["fb=~y2|B"]


def test_variances_of_factors_are_freed_with_std_lv(frame: pd.DataFrame) -> None:
    free = free_of(CFA, frame, std_lv=True, group_equal=["loadings"])
    assert free["f~~f|B"] == 0
    assert free["f~~f|A"] > 0
    assert free["f=~y1|A"] == free["f=~y1|B"] > 0
    assert free_of(CFA, frame, std_lv=True)["f~~f|A"] == 0
    kept = free_of(CFA, frame, std_lv=True, group_equal=["loadings", "lv.variances"])
    assert kept["f~~f|A"] == 0


def test_partial_rows_stay_free(frame: pd.DataFrame) -> None:
    equal = ["loadings", "intercepts"]
    free = free_of(CFA, frame, group_equal=equal, group_partial=["f =~ y2", "y1 ~ 1"])
    assert free["f=~y2|A"] != free["f=~y2|B"]
    assert free["y1~1|A"] != free["y1~1|B"]
    assert free["f=~y3|A"] == free["f=~y3|B"]


def test_labels(frame: pd.DataFrame) -> None:
    text = "f =~ y1 + a*y2 + c(b1, b2)*y3; y1 ~~ c(v, 0.5)*y1; d := b2 - b1"
    free = free_of(text, frame, group_equal=["loadings", "residuals"])
    assert free["f=~y2|A"] == free["f=~y2|B"]
    assert free["f=~y3|A"] != free["f=~y3|B"]
    assert free["y1~~y1|B"] > 0  # the first group
    assert free["y1~~y1|A"] == 0
    assert free["y2~~y2|A"] == free["y2~~y2|B"]
    model = bm.Model(text, frame, group="g")
    mode = model.mode()
    assert mode["d"] == pytest.approx(mode["b2"] - mode["b1"], abs=1e-12)


def test_names_of_rows(frame: pd.DataFrame) -> None:
    mode = bm.Model(CFA, frame, group="g", group_equal=["loadings"]).mode()
    assert mode["f =~ y2"] == mode["within", "f", "=~", "y2", "A"] == mode["f =~ y2 [B]"]
    with pytest.raises(SpecificationError, match=r"ambiguous.*y1 ~ 1 \[B\].*y1 ~ 1 \[A\]"):
        mode["y1 ~ 1"]
    assert mode["y1 ~ 1 [A]"] == mode["y1", "~", "1", "A"]


def test_values_for_all_groups_and_for_one(frame: pd.DataFrame) -> None:
    model = bm.Model("y1 ~ x", frame, group="g")
    values = {("within", "y1", "~", "x"): 0.5, "y1 ~~ y1": 1.0, "y1 ~ 1": 0.0}
    changed = values | {("within", "y1", "~", "x", "A"): 0.1}
    every = model.log_likelihood(values)
    one = sum(
        model.groups[g].log_likelihood({"y1 ~ x": b, "y1 ~~ y1": 1.0, "y1 ~ 1": 0.0})
        for g, b in (("A", 0.1), ("B", 0.5))
    )
    assert model.log_likelihood(changed) == pytest.approx(one, rel=1e-12)
    assert every != pytest.approx(one)
    table = model.mode().to_frame()
    assert model.log_likelihood(table) == pytest.approx(model.mode().log_likelihood, rel=1e-12)


def test_priors(frame: pd.DataFrame) -> None:
    priors = {
        "y1 ~ x": "normal(0, 1)",
        ("within", "y1", "~", "x", "A"): "normal(0, 2)",
        ("within", "intercept"): "normal(0, 9)",
        "y1 ~~ y1 [B]": "exponential(1)",
    }
    model = bm.Model("y1 ~ x", frame, group="g", priors=priors)
    found = {name: prior for name, (prior,) in rows_of(model, "prior").items()}
    assert found["y1~x|B"] == "normal(0, 1)"
    assert found["y1~x|A"] == "normal(0, 2)"
    assert found["y1~1|A"] == found["y1~1|B"] == "normal(0, 9)"
    assert found["y1~~y1|B"] == "exponential(1)[sd]"
    assert found["y1~~y1|A"].startswith("halfstudentt")


def test_default_priors_are_equal_in_all_groups(frame: pd.DataFrame) -> None:
    table = bm.Model(TWO, frame, cluster="c", group="g").parameter_table
    priors = table.groupby(["level", "lhs", "op", "rhs"])["prior"].nunique()
    assert (priors == 1).all()


REFUSED = [
    (CFA, {"group": "nation"}, DataError, "group column 'nation' is not in data"),
    (
        CFA,
        {"group": "g", "group_equal": ["loading"]},
        SpecificationError,
        "did you mean 'loadings'",
    ),
    (CFA, {"group": "g", "group_equal": ["thresholds"]}, NotSupportedError, "normal outcomes"),
    (
        CFA,
        {"group": "g", "group_equal": {"between": ["loadings"]}},
        SpecificationError,
        "has within",
    ),
    (CFA, {"group": "g", "group_equal": 3}, SpecificationError, "list of words"),
    (CFA, {"group": "g", "group_partial": ["f =~ y9"]}, SpecificationError, "no row 'f =~ y9'"),
    (CFA, {"group_equal": ["loadings"]}, SpecificationError, "group= is not given"),
    (CFA, {"wiggle": ["loadings"]}, SpecificationError, "group= is not given"),
    (CFA, {"group": "g", "ordered": True}, NotSupportedError, "normal outcomes only"),
    (
        CFA,
        {"group": "g", "wiggle": ["loadings"], "wiggle_sd": 0.0},
        SpecificationError,
        "wiggle_sd",
    ),
    (
        "f =~ y1 + c(1, 2, 3)*y2 + y3",
        {"group": "g"},
        SpecificationError,
        "3 entries.*2 groups: B, A",
    ),
    ("f =~ y1 + c(a, b)*y2 + y3", {}, SpecificationError, "the model has no groups"),
    ("y1 ~ g", {"group": "g"}, SpecificationError, "column of the groups"),
    (TWO, {"group": "c", "cluster": "c"}, DataError, "both name the column 'c'"),
    ("f =~ y1 + y2 + y3; f ~~ c(1, -1)*f", {"group": "g"}, SpecificationError, "variance"),
    (
        CFA,
        {"group": "g", "priors": {"f =~ y1": "normal(0, 1)"}},
        SpecificationError,
        "not free in any",
    ),
]


@pytest.mark.parametrize(("text", "options", "error", "message"), REFUSED)
def test_refused(
    frame: pd.DataFrame, text: str, options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        bm.Model(text, frame, **options)


def test_data_that_do_not_fit(frame: pd.DataFrame) -> None:
    crossed = frame.assign(c=np.tile(np.arange(12), 10))
    with pytest.raises(DataError, match=r"cluster 0 of 'c' has rows of the groups .*12 such"):
        bm.Model(TWO, crossed, cluster="c", group="g")
    with pytest.raises(DataError, match="1 missing values, the first in row 3"):
        bm.Model(CFA, frame.assign(g=frame["g"].where(frame.index != 3)), group="g")
    with pytest.raises(DataError, match="single value 'A'"):
        bm.Model(CFA, frame.assign(g="A"), group="g")
    with pytest.raises(DataError, match="both written '1'"):
        bm.Model(CFA, frame.assign(g=["1", 1] * 60), group="g")
    constant = frame.assign(y1=frame["y1"].where(frame["g"] == "A", 1.0))
    with pytest.raises(DataError, match=r"group 'B': .*y1"):
        bm.Model(CFA, constant, group="g")
    few = frame[(frame["g"] == "A") | (frame["c"] == "B0")]
    with pytest.raises(DataError, match=r"group 'B': .*cluster"):
        bm.Model(TWO, few, cluster="c", group="g")


def test_what_one_group_and_all_groups_refuse(frame: pd.DataFrame) -> None:
    model = bm.Model(CFA, frame, group="g")
    for name in ("prior_predictive", "prior_implied", "diagram", "to_lavaan", "to_mplus"):
        with pytest.raises(NotSupportedError, match=f"model.{name} is not there for several"):
            getattr(model, name)()
    with pytest.raises(NotSupportedError, match="sampler='pymc'"):
        model.fit(sampler="pymc")
    for name in ("fit", "mode"):
        with pytest.raises(NotSupportedError, match="group 'A' by itself"):
            getattr(model.groups["A"], name)()
    for one in (model, model.groups["A"]):
        with pytest.raises(NotSupportedError, match="studies and calibration"):
            bm.sbc(one, replications=2)
    wiggle = bm.Model(CFA, frame, group="g", wiggle=["loadings"])
    with pytest.raises(NotSupportedError, match="nearly equal"):
        wiggle.mode(prior=False)


def test_every_method_of_a_model_is_settled() -> None:
    """What is inherited reads nothing that has the names of the joint table."""
    from bayes_msem.model.group_model import GroupModel

    plain = {"spec", "options", "table", "notes", "missing", "observed", "blueprint"}
    public = {name for name in dir(bm.Model) if not name.startswith("_")}
    assert public - set(vars(GroupModel)) == plain


def test_print(frame: pd.DataFrame) -> None:
    text = str(bm.Model(TWO, frame, cluster="c", group="g"))
    assert "2 groups ('g'): B (60 rows in 12 clusters), A (60 rows in 12 clusters)" in text
    assert "within [A]" in text
    assert "y1 [A]" not in text
