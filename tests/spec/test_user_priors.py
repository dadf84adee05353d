"""Priors set by the user: which rows a key names, which prior wins, and what is refused."""

from __future__ import annotations

import pytest

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.spec.default_priors import default_priors
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.user_priors import resolve_priors, unused_priors
from tests.spec.test_default_priors import RING, SCALES, make_table

TABLE = make_table(
    "within fw =~ y1 value=1",
    "within fw =~ y2",
    "within fw =~ y3 label=c",
    "within fw ~ x label=bw",
    "within y4 ~ x random=slope",
    "within fw ~~ fw",
    "within y1 ~~ y1",
    "between fb =~ y1 value=1",
    "between fb =~ y2",
    "between fb =~ y3 label=c",
    "between slope ~ w",
    "between fb ~~ fb",
    "between y1 ~~ y1 value=0",
    "between slope ~~ slope",
    "between fb ~~ slope",
    "between y1 ~ 1",
    "between slope ~ 1",
)
TRIO = make_table("between y1 ~~ y2", "between y1 ~~ y3", "between y2 ~~ y3")
WITHIN_Y2, BETWEEN_Y2 = ("within", "fw", "=~", "y2"), ("between", "fb", "=~", "y2")


def changed(table, user):
    """Rows whose prior text is not the default, as {key: text}."""
    filled, priors = resolve_priors(table, SCALES, user)
    defaults = default_priors(table, SCALES)
    assert all(r.prior == (str(priors[r.free]) if r.free else "") for r in filled.rows)
    return {
        " ".join(r.key): r.prior
        for r in filled.rows
        if r.free and priors[r.free] != defaults[r.free]
    }


def test_without_user_priors_every_free_row_shows_its_default():
    filled, priors = resolve_priors(TABLE, SCALES)
    assert priors == default_priors(TABLE, SCALES)
    shown = {" ".join(r.key): r.prior for r in filled.rows}
    assert shown["within fw =~ y2"] == "normal(1.5, 1.5)"
    assert shown["within fw =~ y3"] == shown["between fb =~ y3"] == "normal(0.25, 0.25)"
    assert shown["within fw ~~ fw"] == "halfstudentt(4, 2)[sd]"
    assert shown["between fb ~~ slope"] == "lkj(2)[cor]"
    assert shown["within fw =~ y1"] == shown["within y4 ~ x"] == ""
    assert [r.key for r in filled.rows] == [r.key for r in TABLE.rows]


def test_a_filled_table_keeps_its_priors():
    filled, priors = resolve_priors(TABLE, SCALES, {"bw": "normal(0, 1)"})
    assert resolve_priors(filled, SCALES) == (filled, priors)


SINGLE = "normal(0.7, 0.1)"
KEYS = [
    (WITHIN_Y2, SINGLE, {"within fw =~ y2": SINGLE}),
    (("fw", "=~", "y2"), SINGLE, {"within fw =~ y2": SINGLE}),
    (("1", "fw", "=~", "y2"), SINGLE, {"within fw =~ y2": SINGLE}),
    ("fw =~ y2", SINGLE, {"within fw =~ y2": SINGLE}),
    (" fw=~y2", SINGLE, {"within fw =~ y2": SINGLE}),
    ("between: fb =~ y2", SINGLE, {"between fb =~ y2": SINGLE}),
    ("2: fb =~ y2", Prior("normal", (0.7, 0.1)), {"between fb =~ y2": SINGLE}),
    ("y1 ~ 1", SINGLE, {"between y1 ~ 1": SINGLE}),
    ("slope ~ 1", SINGLE, {"between slope ~ 1": SINGLE}),
    ("slope ~~ slope", "halfnormal(2)", {"between slope ~~ slope": "halfnormal(2)[sd]"}),
    ("slope ~~ fb", "beta(3, 3)", {"between fb ~~ slope": "beta(3, 3)[cor]"}),
    # Both levels have y1 ~~ y1, but only the within one is free.
    ("y1 ~~ y1", "exponential(1)", {"within y1 ~~ y1": "exponential(1)[sd]"}),
    ("bw", SINGLE, {"within fw ~ x": SINGLE}),
    ("c", SINGLE, {"within fw =~ y3": SINGLE, "between fb =~ y3": SINGLE}),
    ("between: fb =~ y3", SINGLE, {"within fw =~ y3": SINGLE, "between fb =~ y3": SINGLE}),
    (
        ("within", "=~"),
        SINGLE,
        {"within fw =~ y2": SINGLE, "within fw =~ y3": SINGLE, "between fb =~ y3": SINGLE},
    ),
    (("between", "regression"), SINGLE, {"between slope ~ w": SINGLE}),
    (("within", "~"), SINGLE, {"within fw ~ x": SINGLE}),
    ("~1", SINGLE, {"between y1 ~ 1": SINGLE, "between slope ~ 1": SINGLE}),
    (("between", "~~"), "lkj(5)", {"between fb ~~ slope": "lkj(5)[cor]"}),
    ("covariance", "lkj(5)", {"between fb ~~ slope": "lkj(5)[cor]"}),
    (
        ("between", "~~"),
        "gamma(1, 0.5)[sd]",
        {
            "between fb ~~ fb": "gamma(1, 0.5)[sd]",
            "between slope ~~ slope": "gamma(1, 0.5)[sd]",
        },
    ),
    (
        ("within", "sd"),
        "halfcauchy(1)",
        {"within fw ~~ fw": "halfcauchy(1)[sd]", "within y1 ~~ y1": "halfcauchy(1)[sd]"},
    ),
]


@pytest.mark.parametrize(("key", "value", "expected"), KEYS)
def test_keys(key, value, expected):
    assert changed(TABLE, {key: value}) == expected


def test_sd_scale_of_double_tilde_leaves_direct_covariances_alone():
    table = make_table(*RING, "within y1 ~~ y1", "between y1 ~~ y2")
    assert set(changed(table, {"~~": "halfnormal(9)"})) == {"within y1 ~~ y1"}
    assert set(changed(table, {"~~": "lkj(9)"})) == {"between y1 ~~ y2"}
    assert len(changed(table, {"~~": "normal(0, 9)"})) == 4
    assert len(changed(table, {"covariance": "normal(0, 9)"})) == 4


def test_most_specific_prior_wins():
    rows = {
        "row": ("fw =~ y2", "normal(1, 1)"),
        "label": ("c", "normal(2, 1)"),
        "level": (("within", "loading"), "normal(3, 1)"),
        "kind": ("loading", "normal(4, 1)"),
    }
    assert changed(TABLE, dict(rows.values())) == {
        "within fw =~ y2": "normal(1, 1)",
        "within fw =~ y3": "normal(2, 1)",
        "between fb =~ y2": "normal(4, 1)",
        "between fb =~ y3": "normal(2, 1)",
    }
    sds = {("within", "~~"): "halfnormal(8)", ("within", "sd"): "halfnormal(9)"}
    assert set(changed(TABLE, sds).values()) == {"halfnormal(9)[sd]"}
    assert changed(TABLE, {"between: fb =~ y3": "normal(7, 1)", "c": "normal(2, 1)"}) == {
        "within fw =~ y3": "normal(7, 1)",
        "between fb =~ y3": "normal(7, 1)",
    }


def test_prior_in_the_text_counts_as_a_row():
    table = make_table("within fw =~ y1 value=1", "within fw =~ y2 prior=N_ormal(0,1); label=a")
    assert changed(table, {"a": "normal(9, 9)"}) == {"within fw =~ y2": "normal(0, 1)"}


def test_label_beats_the_name_of_a_kind():
    table = make_table("within y1 ~ x label=loading", "within y2 ~ x")
    assert changed(table, {"loading": "normal(9, 9)"}) == {"within y1 ~ x": "normal(9, 9)"}


def test_all_rows_of_a_block_together():
    assert set(changed(TRIO, {("between", "~~"): "lkj(1)"}).values()) == {"lkj(1)[cor]"}
    rows = {f"{a} ~~ {b}": "lkj(1)" for a, b in (("y1", "y2"), ("y3", "y1"), ("y2", "y3"))}
    assert set(changed(TRIO, rows).values()) == {"lkj(1)[cor]"}


KINDS = {
    "loading": "normal(1, 0.5)",
    ("between", "sd"): "exponential(1)",
    ("within", "covariance"): "lkj(3)",
    "~~": "halfnormal(2)",
    "regression": "normal(0, 5)",
}


def test_one_dictionary_serves_models_that_lack_some_kinds():
    """What is lacking is noted and nothing else changes."""
    assert changed(DEFINED, KINDS) == {"within y1 ~ x": "normal(0, 5)"}
    (note,) = unused_priors(DEFINED, KINDS)
    for key in ("loading", ("between", "sd"), ("within", "covariance"), "~~"):
        assert f"priors[{key!r}]" in note
    assert "priors['regression']" not in note
    assert "these priors are not used" in note
    (one,) = unused_priors(TABLE, KINDS)
    assert one.startswith("priors[('within', 'covariance')]: this model")
    assert "this prior is not used" in one
    assert unused_priors(TABLE, {"loading": "normal(1, 1)"}) == []
    assert unused_priors(TABLE) == []


CIRCLE = make_table(*RING)
DEFINED = make_table("within y1 ~ x label=a", "within y2 ~ x value=nan")
ERRORS = [
    (TABLE, {"fw =~ y22": SINGLE}, r"'fw =~ y22'\] names nothing; valid keys.*'within: fw =~ y2'"),
    (TABLE, {"bww": SINGLE}, r"'bww'\] names nothing; valid keys, nearest first: 'bw'"),
    (TABLE, {"slope": SINGLE}, r"nearest first: 'between: slope ~ [w1]"),
    (TABLE, {"": SINGLE}, r"priors\[''\] names nothing"),
    (TABLE, {"withn: fw =~ y2": SINGLE}, r"names nothing; .* first: 'within: fw =~ y2'"),
    (TABLE, {("between", "fw", "=~", "y2"): SINGLE}, r"names nothing; valid keys"),
    (TABLE, {("within", "lodaing"): SINGLE}, r"\(level, kind\).*a kind out of =~, ~, ~1"),
    (TABLE, {("middle", "=~"): SINGLE}, r"with level 'within' or 'between'"),
    (TABLE, {3: SINGLE}, r"priors\[3\]: a key is a row \(level, lhs, op, rhs\)"),
    (CIRCLE, {("within", "covariance"): "lkj(2)"}, r"no free covariance with a correl.*within lev"),
    (DEFINED, {"covariance": "halfnormall(1)"}, r"unknown prior family"),
    (DEFINED, {"variance": "normal(0, 1)"}, r"needs a family on positive numbers"),
    (DEFINED, {("between", "sd"): "lkj(1)"}, r"prior lkj\(1\) of a variance"),
    (DEFINED, {"covariances": "lkj(1)"}, r"names nothing"),
    (TABLE, {"covariance": "normal(0, 1)"}, r"no free covariance without a correlation in the mo"),
    (TABLE, {"fw =~ y1": SINGLE}, r"within: fw =~ y1 cannot.*fixed at 1; free"),
    (TABLE, {"y4 ~ x": SINGLE}, r"varies over clusters; set 'between: slope ~ 1' for its mean"),
    (TABLE, {"between: y1 ~~ y1": "halfnormal(1)"}, r"between: y1 ~~ y1 cannot.*fixed at 0"),
    (DEFINED, {"y2 ~ x": SINGLE}, r"follows from a constraint; set priors of the labels"),
    (TABLE, {"fw =~ y2": "norml(0, 1)"}, r"priors\['fw =~ y2'\]: unknown .*did you mean 'normal'"),
    (TABLE, {"loading": "lkj(2)"}, r"priors\['loading'\]: the prior lkj\(2\) of a loading"),
    (TABLE, {"sd": "normal(0, 1)"}, r"did you mean 'halfnormal\(1\)\[sd\]'"),
    (TABLE, {"fw =~ y2": 3}, r"a prior is a text .* or a Prior, not int"),
    (TABLE, {"fw =~ y2": SINGLE, WITHIN_Y2: SINGLE}, r"within: fw =~ y2 is set twice.*keep one"),
    (TABLE, {"=~": SINGLE, "loading": SINGLE}, r"set twice: priors\['=~'\] and .*'loading'"),
    (
        TABLE,
        {"fw =~ y3": SINGLE, "fb =~ y3": "normal(0, 1)"},
        r"share the label 'c'.*different priors.*normal\(0, 1\) by .*set it by the label",
    ),
    (
        TABLE,
        {("within", "=~"): SINGLE, ("between", "=~"): "normal(0, 1)"},
        r"share the label 'c'.*different priors",
    ),
    (TABLE, {"fb ~~ slope": "normal(0, 1)"}, r"parameter is the correlation; write lkj\(2\) or be"),
    (make_table(*RING), {"y2 ~~ y3": "lkj(2)"}, r"covariances of y1, y2, y3, y4 .*\(0, 1\)\[cov\]"),
    (TRIO, {"y1 ~~ y2": "lkj(4)"}, r"y1, y2, y3 covary as a block.*rows differ.*\('between', 'cov"),
    (TRIO, {"~~": "beta(2, 2)"}, r"is for a pair, but y1, y2, y3 covary as a block.*lkj\(eta\)"),
    (TRIO, {"y1 ~~ y2": "normal(0, 1)"}, r"parameter is the correlation; write lkj\(2\)$"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "user", "message"), ERRORS)
def test_errors_name_culprit_and_fix(table, user, message):
    with pytest.raises(SpecificationError, match=message):
        resolve_priors(table, SCALES, user)


def test_key_that_is_free_at_both_levels_is_ambiguous():
    table = make_table("within y1 ~~ y1", "between y1 ~~ y1")
    with pytest.raises(SpecificationError, match="write 'within: y1 ~~ y1' or 'between: y1 ~~ y1'"):
        resolve_priors(table, SCALES, {"y1 ~~ y1": "halfnormal(1)"})


def test_text_and_mapping_for_the_same_row():
    table = make_table("within y1 ~ x prior=normal(0,1)")
    with pytest.raises(SpecificationError, match=r'set twice: prior\("normal\(0,1\)"\).*priors'):
        resolve_priors(table, SCALES, {"y1 ~ x": "normal(0, 1)"})


def test_prior_in_the_text_of_a_fixed_row():
    table = make_table("within y1 ~ x prior=normal(0,1); value=2")
    with pytest.raises(SpecificationError, match=r"in the model text: within: y1 ~ x.*fixed at 2"):
        resolve_priors(table, SCALES)


def test_defined_parameters_have_no_prior():
    table = make_table("within y1 ~ x label=a", "within total := a*2 value=nan")
    with pytest.raises(SpecificationError, match="defined by an expression; set priors of the"):
        resolve_priors(table, SCALES, {"total": "normal(0, 1)"})


def test_variance_scale_is_not_supported_and_the_key_is_named():
    with pytest.raises(NotSupportedError, match=r"priors\['sd'\]: .*on the standard deviation"):
        resolve_priors(TABLE, SCALES, {"sd": "gamma(1, 1)[var]"})


def test_label_across_kinds():
    table = make_table("within y1 ~~ y1 label=a", "within y2 ~ x label=a")
    with pytest.raises(
        NotSupportedError, match=r"label 'a' makes the variance within: y1 ~~ y1 and"
    ):
        resolve_priors(table, SCALES)


def test_not_a_mapping():
    with pytest.raises(
        SpecificationError,
        match=r"unknown set of priors .* sets are 'informative', 'wide'.*mapping such as",
    ):
        resolve_priors(TABLE, SCALES, "normal(0, 1)")


def test_long_tables_list_the_nearest_keys_only():
    table = make_table(*(f"within y1 ~ x{i} value=1" for i in range(2)), *(
        f"within y{i % 4 + 1} ~ x label=b{i}" for i in range(30)
    ))  # fmt: skip
    with pytest.raises(SpecificationError, match=r"and 22 more \(see the parameter table\)"):
        resolve_priors(table, SCALES, {"b33": "normal(0, 1)"})
