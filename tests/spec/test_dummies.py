"""Predictors that are coded: text and categories -> one term per coefficient, or an error."""

from __future__ import annotations

import pytest

from bayes_msem.errors import ModelSyntaxError, NotSupportedError, SpecificationError
from bayes_msem.spec.dummies import may_hold_categories, spell_out
from bayes_msem.spec.hypothesis_text import parse_hypothesis
from bayes_msem.spec.parser import parse
from bayes_msem.spec.row_names import find_row, matching_rows
from bayes_msem.spec.statements import Part
from bayes_msem.spec.table import Row

COLUMNS = ["y", "m", "x", "z", "w", "g", "h", "k", "school", "group"]
CATEGORIES = {"g": ["a", "b", "c"], "h": ["u", "v"], "k": ["1", "2"]}
TWO = "level: within\n {}\nlevel: between\n {}"


def spelled(text: str) -> list[str]:
    """Right-hand sides of all regressions, with their modifiers."""
    found = spell_out(parse(text), COLUMNS, CATEGORIES)
    return [f.term.name for f in found.parsed.formulas if f.op == "~"]


# Text -> right-hand sides.
CASES = [
    ("y ~ x + g", ["x", "g[T.b]", "g[T.c]"]),
    ("y ~ C(g)", ["g[T.b]", "g[T.c]"]),
    ('y ~ C(g, Treatment("b"))', ["g[T.a]", "g[T.c]"]),
    ("y ~ C(g, contr.treatment('c')) + x + x:g", ["g[T.a]", "g[T.b]", "x", "x:g[T.a]", "x:g[T.b]"]),
    ("y ~ C(k, Treatment(2))", ["k[T.1]"]),
    ("y ~ g[T.c] + 0*g[T.b]", ["g[T.c]", "g[T.b]"]),
    ("y ~ x + z + x:z", ["x", "z", "x:z"]),
    ("y ~ x + z + x : z", ["x", "z", "x:z"]),
    ("y ~ x + z +\n x:\n z", ["x", "z", "x:z"]),
    ("y ~ x + z + z:x; m ~ x + z + x:z", ["x", "z", "z:x", "x", "z", "z:x"]),
    ("y ~ g + h + g:h", ["g[T.b]", "g[T.c]", "h[T.v]", "g[T.b]:h[T.v]", "g[T.c]:h[T.v]"]),
    ("y ~ g + h + h:g", ["g[T.b]", "g[T.c]", "h[T.v]", "h[T.v]:g[T.b]", "h[T.v]:g[T.c]"]),
    (
        "y ~ g + k + C(k):g",
        ["g[T.b]", "g[T.c]", "k[T.2]", "k[T.2]:g[T.b]", "k[T.2]:g[T.c]"],
    ),
    (
        "y ~ x + z + w + x:z + x:w + z:w + x:z:w",
        ["x", "z", "w", "x:z", "x:w", "z:w", "x:z:w"],
    ),
    ("y ~ group + z + group:z", ["group", "z", "group:z"]),
    ("y ~ a*h + prior('normal(0, 1)')*g", ["h[T.v]", "g[T.b]", "g[T.c]"]),
    ("y ~ 1 + g", ["1", "g[T.b]", "g[T.c]"]),
]


@pytest.mark.parametrize(("text", "names"), CASES)
def test_one_term_for_each_coefficient(text: str, names: list[str]) -> None:
    assert spelled(text) == names


@pytest.mark.parametrize(("text", "names"), CASES)
def test_what_is_spelled_out_reads_as_itself(text: str, names: list[str]) -> None:
    again = f"y ~ {' + '.join(dict.fromkeys(names))}"
    assert spelled(again) == list(dict.fromkeys(names))


def test_modifiers_hold_for_every_coefficient() -> None:
    found = spell_out(parse("y ~ start(0.5)*prior('normal(0, 1)')*g + 0*h"), COLUMNS, CATEGORIES)
    b, c, h = (f.term.modifiers for f in found.parsed.formulas)
    assert b == c
    assert (b.start, b.prior, h.fixed) == (0.5, "normal(0, 1)", 0)


def test_a_label_names_the_only_coefficient() -> None:
    found = spell_out(parse("y ~ a*h + b*x + c*x:h"), COLUMNS, CATEGORIES)
    labels = {f.term.name: f.term.modifiers.label for f in found.parsed.formulas}
    assert labels == {"h[T.v]": "a", "x": "b", "x:h[T.v]": "c"}


def test_columns_that_are_computed() -> None:
    found = spell_out(parse("y ~ x + g + x:g"), COLUMNS, CATEGORIES)
    assert found.columns == {
        "g[T.b]": (Part("g", "dummy", "b"),),
        "g[T.c]": (Part("g", "dummy", "c"),),
        "x:g[T.b]": (Part("x"), Part("g", "dummy", "b")),
        "x:g[T.c]": (Part("x"), Part("g", "dummy", "c")),
    }
    plain = parse("y ~ x")
    assert spell_out(plain, COLUMNS, {}).columns == {}


def test_what_may_hold_categories() -> None:
    """Outcomes, indicators, variances and declared outcomes are not what dummies are made of."""
    text = "f =~ y + x; m ~ f + g + z + C(k) + h[T.v] + w:z; w ~~ w"
    parsed = parse(text.replace("+ w:z", ""))
    found = may_hold_categories(parsed, COLUMNS, cluster=None, declared=["z"])
    assert (found.stated, found.open) == (("k", "h"), ("g",))


# Text -> type and parts of the message.
REFUSED = [
    ("y ~ g[T.bb]", SpecificationError, ["no category 'bb'", "'b'", "a, b, c"]),
    ('y ~ C(g, Treatment("d"))', SpecificationError, ["no category 'd'"]),
    ("y ~ a*g", SpecificationError, ["label 'a'", "2 coefficients", "a1*g[T.b] + a2*g[T.c]"]),
    ('y ~ rv("s")*g', SpecificationError, ['rv("s1")*g[T.b] + rv("s2")*g[T.c]']),
    ("y ~ x + g + b*x:g", SpecificationError, ["b1*x:g[T.b] + b2*x:g[T.c]"]),
    (
        'y ~ C(g, Treatment("b")); m ~ C(g, Treatment("c"))',
        SpecificationError,
        ["'b' (line 1)", "'c' (line 1)", "choose one"],
    ),
    ("y ~ x:g", SpecificationError, ["no effect of 'x'", "x + x:g", "x:g[T.b] + x:g[T.c]"]),
    ("y ~ g + g:h", SpecificationError, ["no effect of 'h'", "h + g:h"]),
]


@pytest.mark.parametrize(("text", "kind", "parts"), REFUSED)
def test_refused(text: str, kind: type[Exception], parts: list[str]) -> None:
    with pytest.raises(kind) as caught:
        spelled(text)
    for part in parts:
        assert part in str(caught.value)


def test_one_column_has_one_reading() -> None:
    with pytest.raises(SpecificationError, match=r"'x:k' .* reads 'k' as numbers.*write C\(k\)"):
        spell_out(parse("y ~ C(k) + x + x:k"), COLUMNS, {"k": ["1", "2"]}, ["k"])


def test_a_column_with_the_name_of_a_term() -> None:
    with pytest.raises(SpecificationError, match=r"have a column 'x:z'.*rename"):
        spell_out(parse("y ~ x + z + x:z"), [*COLUMNS, "x:z"], {})


LEVELS = [
    ("y ~ g", "y ~ g", ["'g[T.b]' is used at both levels", "shares of its categories"]),
    ("y ~ x + w + x:w", "y ~ x:w", ["'x:w' is used at both levels", "product of the cluster"]),
]


@pytest.mark.parametrize(("within", "between", "parts"), LEVELS)
def test_no_latent_parts_of_dummies_and_products(
    within: str, between: str, parts: list[str]
) -> None:
    with pytest.raises(NotSupportedError) as caught:
        spelled(TWO.format(within, between))
    for part in parts:
        assert part in str(caught.value)


COMPONENTS = [
    ("y ~ x + xx:x", "y ~~ y", SpecificationError, ["unknown variable 'xx'", "'x'"]),
    ("y ~ x + x:school", "y ~~ y", SpecificationError, ["the cluster column 'school'"]),
    ("m ~ x; y ~ m + z + m:z", "y ~~ m", NotSupportedError, ["'m:z'", "outcome", 'rv("s")*m']),
    ("f =~ m + z; y ~ x + m:x", "y ~~ y", NotSupportedError, ["indicator of a factor"]),
    ("y ~ x + z + x:z; x ~~ x", "y ~~ y", NotSupportedError, ["has a variance"]),
    ("y ~ x + z + x:z", "y ~ x", NotSupportedError, ["split", 'rv("s")*x', "two columns"]),
    ("y ~ C(m)", "y ~ x; m ~ x", NotSupportedError, ["'m'", "outcome (level between)"]),
]


@pytest.mark.parametrize(("within", "between", "kind", "parts"), COMPONENTS)
def test_what_no_product_is_made_of(
    within: str, between: str, kind: type[Exception], parts: list[str]
) -> None:
    parsed = parse(TWO.format(within, between))
    with pytest.raises(kind) as caught:
        may_hold_categories(parsed, COLUMNS, cluster="school", declared=[])
    for part in parts:
        assert part in str(caught.value)


def test_one_level_needs_no_advice_on_two() -> None:
    with pytest.raises(NotSupportedError) as caught:
        may_hold_categories(parse("m ~ x; y ~ m + z + m:z"), COLUMNS, cluster=None, declared=[])
    assert "level: within" not in str(caught.value)
    assert "rv(" not in str(caught.value)


MAIN = [
    ("y ~ x + z + x:z", "y ~~ y", 0),
    ("y ~ x + x:w", "y ~ w", 0),
    ('y ~ rv("s")*x + x:w', "y ~ w", 0),
    ("y ~ x + x:g", "y ~ g", 0),
    ("y ~ x:z", "y ~~ y", 2),
    ("y ~ x + x:z", "y ~~ y", 1),
    ("y ~ x + 0*z + x:z", "y ~~ y", 0),
    ("y ~ x + x:g[T.b]", "y ~~ y", 1),
    ("y ~ x; m ~ z + x:z", "y ~~ y", 1),
]


@pytest.mark.parametrize(("within", "between", "count"), MAIN)
def test_products_without_main_effects_are_noted(within: str, between: str, count: int) -> None:
    notes = spell_out(parse(TWO.format(within, between)), COLUMNS, CATEGORIES).notes
    assert len(notes) == count
    assert all("no interaction" in note and "0*" in note for note in notes)


def test_the_same_effect_twice() -> None:
    text = TWO.format('y ~ rv("s")*x + x:w', "s ~ w; y ~ w")
    with pytest.raises(SpecificationError, match=r"'y ~ x:w' \(line 2\) and 's ~ w' \(line 4\)"):
        spelled(text)
    assert spelled(TWO.format('y ~ rv("s")*x + x:w', "s ~ z; y ~ w"))


SYNTAX = [
    ("x:z ~ y", 1, "left of an operator"),
    ("y ~~ x[T.b]", 6, "right of '~~'"),
    ("f =~ x:z", 6, "right of '=~'"),
    ("d := a:b", 6, "expressions hold labels"),
    ("d := x[T.b]", 6, "expressions hold labels"),
    ("y ~ x:x", 5, "stands twice in this product"),
    ("y ~ x:2", 7, "no variable of a product"),
    ("y ~ x:(z + w)", 7, "no variable of a product"),
    ("y ~ x[T. ]", 5, "names no category"),
    ("y ~ C(2)", 5, "takes a column"),
    ("y ~ C(x, 2)", 5, "a column and a coding"),
    ("y ~ C(x, Treatment())", 10, "takes one category"),
    ("y ~ x:", 6, "Nothing stands right of ':'"),
    ("y ~ x:lag(z)", 7, "Lagged"),
]


@pytest.mark.parametrize(("text", "column", "part"), SYNTAX)
def test_syntax_errors(text: str, column: int, part: str) -> None:
    with pytest.raises(ModelSyntaxError) as caught:
        parse(text)
    assert part in str(caught.value)
    assert caught.value.column == column


def test_labels_of_categories_are_free() -> None:
    """All but a bracket; what would be a comment or an operator elsewhere is text here."""
    for label in ("new york", "#1", "<5", "a:b", "a + b", 'say "no"', "50 %", "!"):
        (formula,) = parse(f"y ~ x[T.{label}]").formulas
        assert formula.term.parts == (Part("x", "dummy", label),)


def test_names_of_rows() -> None:
    rows = [Row("within", "y", "~", "x:g[T.new york]"), Row("", "d", ":=", "a + b")]
    names = ["y ~ x:g[T.new york]", "within: y~g[T.new york]:x", ("y", "~", "g[T.new york]:x")]
    for name in names:
        assert find_row(rows, name) is rows[0]
    assert not matching_rows(rows, "y ~ x")
    assert find_row(rows, "y ~ g:x") is rows[0]  # its only dummy
    dummies = [Row("within", "y", "~", f"g[T.{c}]", free=i) for i, c in enumerate("bc", 1)]
    assert matching_rows(dummies, ("y", "~", "g")) == tuple(dummies)
    with pytest.raises(SpecificationError, match=r"ambiguous; write 'within: y ~ g\[T.b\]' or"):
        find_row(dummies, "y ~ g")
    assert find_row(rows, ("", "d", ":=", "a + b")) is rows[1]
    hypothesis = parse_hypothesis("within: y ~ x:g[T.<5] > 2*y~h[T.u]")
    assert list(hypothesis.rows.values()) == ["within: y ~ x:g[T.<5]", "y~h[T.u]"]
