"""Whatever the model text, the priors and the options: a model, or an error of the package.

Texts are made in four ways: from statements that make sense by themselves; from the grammar,
without regard to meaning; by deleting, doubling and swapping tokens of sound texts; and from
characters. A model that is built must print, show its
parameter table and, where all effects can be integrated out, have a log-likelihood at values drawn
at random and (a sample of them) a mode.
"""

from __future__ import annotations

import math
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bayes_msem as bm

SOUND = [
    "level: within\nfw =~ y1 + a*y2 + y3\nfw ~ x1\nlevel: between\nfb =~ y1 + y2 + y3\nfb ~ w1\n"
    "d := a^2 + exp(-a)",
    'level: within; y1 ~ rv("s")*x1; level: between; y1 + s ~ w1; y1 ~~ s; t := s*2',
    'level: within; f =~ y1 + rv("l")*y2 + y3; level: between; y1 ~~ y1; l ~ w1; y2 ~~ l',
    "y1 ~ b1*x1 + b2*x2; y2 ~ b1*x1; y1 ~~ y2; b2 == 2*b1; y1 ~ 1; m := b1*b2",
    'f =~ NA*y1 + y2 + y3; f ~~ 1*f; g =~ y4 + y5 + z1; f ~~ prior("lkj(2)")*g; y1 ~~ y4',
    "level: 1; y1 ~ a*x1; y2 ~ b*y1 + x1; level: 2; y1 ~~ y2; z1 ~ y1; i := a*b",
    'f =~ y1 + start(0.5)*y2 + equal("l")*y3 + label("l")*y4; f ~ x1; y1 ~ 0*1; y5 ~ y4; f ~ 1',
    "y1 ~ x1; y1 ~~ 0.5*y1 # comment\n! another\n; y2 ~ 1",
    "level: 1; y1 ~ x1 + kind + a*x1:w1 + x1:kind; level: 2; y1 ~ w1 + sector + w1:sector",
    'y1 ~ x1 + C(kind, Treatment("b c")) + kind[T.a]:x1 + x2 + b*x1:x2; y2 ~ C(sector)',
]
NAMES = ["y1", "y2", "y3", "y4", "y5", "x1", "x2", "w1", "z1", "f", "fw", "fb", "s", "a", "b", "g"]
NAMES += ["x1:x2", "x1:w1", "kind", "sector", "kind[T.a]", "C(kind)", "x1:kind", "kind:sector"]
FOREIGN = ["", "school", "nothing", "1", "NA", "é", "level", "l.f.y2", "x1:f", "I(x^2)", "(1 | g)"]
FOREIGN += ["kind[T.z]", "C(x1)", "x1:x1", ":", "x1[b]", "y1:x1", "a:b:s"]
FOREIGN += ['C(kind, Treatment("z"))']
TOKEN = re.compile(r'"[^"\n]*"|[\w.]+|[=~:*+^<>|-]+|\s+|.')
JUNK_TEXT = ["\x00", "", "\n", ";", "(" * 300, "-" * 300 + "a", "9" * 400, "1e999", '"', "\u2028"]
JUNK_TEXT += [
    "~",
    "=~",
    "level:",
    "level: within",
    ":=",
    "==",
    "~~",
    "+ " * 50,
    "*",
    "/0",
    "^^",
    ")",
]


def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(20), 5)
    frame = pd.DataFrame({"school": g})
    for name in ("x1", "x2"):
        frame[name] = rng.normal(size=100)
    for name in ("w1", "z1"):
        frame[name] = rng.normal(size=20)[g]
    for name in ("y1", "y2", "y3", "y4", "y5"):
        frame[name] = frame["x1"] + rng.normal(size=20)[g] + rng.normal(size=100)
    frame.loc[7, "y3"] = np.nan
    frame["kind"] = rng.choice(["a", "b c", "d"], size=100)
    frame["sector"] = pd.Categorical(np.where(rng.random(20) > 0.5, "p", "q")[g])
    return frame


FRAME = data()

# From the grammar ------------------------------------------------------------------------------

name = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES + FOREIGN))
value = st.one_of(
    st.sampled_from(["0", "1", "-1", "0.5", "1/3", "NA", "1e308", "2^0.5", "0/0", "exp(1)"]),
    st.floats(-5, 5).map("{:.3g}".format),
)
modifier = st.one_of(
    value,
    st.sampled_from(["a", "b", "c1"]),
    st.sampled_from(['rv("s")', 'rv("r")', "start(0.3)", "start(-1)", 'label("a")', 'equal("b")']),
    st.sampled_from(['prior("normal(0, 1)")', 'prior("gamma(1, 1)")', 'prior("x")', "c(1, 2)"]),
)
term = st.one_of(
    name,
    st.builds("{}*{}".format, modifier, name),
    st.builds("{}*{}*{}".format, modifier, modifier, name),
)
side = st.lists(term, min_size=1, max_size=4).map(" + ".join)
left = st.one_of(name, st.builds("{} + {}".format, name, name))
expression = st.recursive(
    st.one_of(st.sampled_from(["a", "b", "s", "c1", "d1"]), value),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/^"), inner),
        st.builds("{}({})".format, st.sampled_from(["exp", "log", "sqrt", "abs", "foo"]), inner),
        st.builds("-{}".format, inner),
    ),
    max_leaves=5,
)
formula = st.builds("{} {} {}".format, left, st.sampled_from(["=~", "~", "~~", "~"]), side)
statement = st.one_of(
    formula,
    formula,
    formula,
    st.builds("{} := {}".format, st.sampled_from(["d1", "d2", "a", "y1"]), expression),
    st.builds("{} == {}".format, expression, expression),
)
block = st.lists(statement, min_size=1, max_size=5).map("\n".join)
levels = st.builds("level: within\n{}\nlevel: between\n{}".format, block, block)
grammatical = st.one_of(block, levels, levels)


# From statements that make sense, each by itself -------------------------------------------------

WITHIN = [
    *("f =~ y1 + y2 + y3", "g =~ y3 + y4 + y5", "g =~ f + y5", "f =~ y4 + b*y5", "f ~ x1"),
    *("g ~ f + x2", "y4 ~ a*x1", "y5 ~ y4 + x2", 'y4 ~ rv("s")*x2', 'f =~ rv("l")*y5', "y1 ~~ y2"),
    *("f ~~ g", "y1 ~~ 0.5*y1", "y1 ~~ b*y1", "y2 ~ 1", "f ~~ 1*f", "x1 ~~ x2", "y4 ~ x1 + x2"),
    *("y4 ~ x1 + x2 + x1:x2", "y5 ~ kind + x1:w1", "f ~ x1 + kind + x1:kind", "y4 ~ kind[T.a]"),
    *("y4 ~ 0*1", "y1 ~ y2; y2 ~ y1", 'y5 ~~ rv("v")*y5', "y4 ~ f", 'f ~~ rv("r")*g', "y3 ~ w1"),
]
BETWEEN = [
    *("fb =~ y1 + y2 + y3", "fb =~ y4 + y5 + z1", "fb ~ w1", "z1 ~ w1 + y4", "y4 ~ w1", "s ~ w1"),
    *("s ~~ y4", "l ~ 1", "y1 ~~ 0*y1", "y5 ~~ y4", "y3 ~ a*w1", "z1 ~~ y1", "fb ~~ z1", "s ~ 0*1"),
    *("y4 ~ sector + w1 + w1:sector", "s ~ sector", "y3 ~ sector[T.q]", "fb ~ sector"),
    *("v ~ w1", "r ~ w1", "l ~~ s", "z1 ~ fb", "y1 + y2 ~ w1", "fb ~~ 1*fb", "y4 ~ a*w1"),
]
EXTRA = ["d := a + b", "b == a", "b == 2*a", "a == 0.5", "d := exp(s)", "e := a*b/0", "d := a^s"]


GIVES = re.compile(r'(\w+) =~|rv\("(\w+)"\)|\b([ab])\*[xyw]')
NEEDS = re.compile(r"\b(?:f|g|fb|s|l|v|r|a|b)\b")


@st.composite
def plausible(draw: st.DrawFn) -> str:
    """Statements that could stand in one model: what they need, others give."""

    def some(statements: list[str], least: int, most: int) -> list[str]:
        return draw(
            st.lists(st.sampled_from(statements), min_size=least, max_size=most, unique=True)
        )

    two_level = draw(st.booleans())
    within, between, extra = some(WITHIN, 1, 5), some(BETWEEN, 1, 5), some(EXTRA, 0, 2)
    if not two_level:
        within, between = [line for line in within if "rv(" not in line], []
    given = {word for line in (*within, *between) for m in GIVES.findall(line) for word in m}
    within, between, extra = (
        [line for line in lines if set(NEEDS.findall(line)) <= given]
        for lines in (within, between, extra)
    )
    head = ["level: within"] if two_level else []
    middle = ["level: between"] if two_level else []
    return "\n".join([*head, *within, *middle, *between, *extra])


# By mutation -----------------------------------------------------------------------------------


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A sound text with some of its tokens deleted, doubled, swapped or replaced."""
    tokens = TOKEN.findall(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(tokens) - 1))
        how = draw(st.sampled_from(["delete", "double", "swap", "replace", "insert", "repeat"]))
        other = draw(st.integers(0, len(tokens) - 1))
        if how == "delete" and len(tokens) > 1:
            del tokens[at]
        elif how == "double":
            tokens.insert(at, tokens[at])
        elif how == "swap":
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif how == "replace":
            tokens[at] = draw(st.one_of(name, st.sampled_from(JUNK_TEXT)))
        elif how == "insert":
            tokens.insert(at, draw(st.one_of(name, st.sampled_from(JUNK_TEXT))))
        else:
            tokens[at] = tokens[at] * draw(st.integers(2, 40))
    return "".join(tokens)


texts = st.one_of(plausible(), plausible(), mutated(), grammatical, st.text(max_size=40))

# Priors and options ----------------------------------------------------------------------------

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=3),
    st.just(object()),
    st.lists(st.none(), max_size=2),
    st.just({}),
    st.just(np.arange(3)),
)
number = st.one_of(st.floats(-3, 5).map("{:.3g}".format), st.sampled_from(["", "a", "1e999", "0"]))
families = ["normal", "halfnormal", "gamma", "lkj", "beta", "studentt", "lognormal", "uniform"]
families += ["exponential", "cauchy", "dnorm", "", "invgamma", "halfcauchy", "halfstudentt"]
prior = st.one_of(
    st.builds(
        "{}({}){}".format,
        st.sampled_from(families),
        st.lists(number, max_size=3).map(", ".join),
        st.sampled_from(["", "", "[sd]", "[cor]", "[cov]", "[var]", "["]),
    ),
    st.sampled_from(["normal(0, 1)", "halfnormal(1)", "lkj(2)", "beta(2, 2)", "gamma(2, 1)"]),
    st.builds(bm.Prior, st.just("normal"), st.just((0.0, 1.0))),
    junk,
)
kind = st.sampled_from(
    ["=~", "~", "~1", "~~", "loading", "variance", "sd", "covariance", "a", ":="]
)
key = st.one_of(
    kind,
    st.tuples(st.sampled_from(["within", "between", "1", "both"]), kind),
    st.tuples(st.sampled_from(["within", "between", ""]), name, kind, name),
    st.builds("{} {} {}".format, name, kind, name),
    st.builds("between: {} {} {}".format, name, kind, name),
    st.one_of(st.none(), st.integers(), st.binary(max_size=2), st.text(max_size=5)),
)
priors = st.one_of(*[st.none()] * 6, st.dictionaries(key, prior, max_size=3), junk)
words = st.sampled_from(["loadings", "slopes", "variances", "correlations", "intercepts", "all"])
options = st.fixed_dictionaries(
    {},
    optional={
        "std_lv": st.one_of(st.booleans(), st.booleans(), junk),
        "missing": st.one_of(st.sampled_from(["fiml", "listwise", "ml"]), junk),
        "random": st.one_of(words, st.lists(words, max_size=2), junk),
        "centring": st.one_of(st.sampled_from(["adaptive", "centred", "noncentred"]), junk),
        "cluster": st.one_of(st.just("school"), st.just("x1"), junk),
    },
)
few_options = st.one_of(*[st.just({})] * 5, options)


def built(text: object, prior: object, option: dict[str, object]) -> bm.Model | None:
    """Return the model, or None where the package refuses it."""
    arguments = {"cluster": "school" if "level" in str(text) else None} | option
    try:
        return bm.Model(text, FRAME, priors=prior, **arguments)  # type: ignore[arg-type]
    except bm.MsemError:
        return None


def used(model: bm.Model, seed: int, *, mode: bool) -> None:
    """Do with a model what needs no sampling."""
    assert len(str(model)) > 50
    table = model.parameter_table
    assert len(table) == len(model.table.rows)
    assert model.diagram().svg.startswith("<svg")
    rng = np.random.default_rng(seed)
    free = {row.free: rng.normal(0.5, 0.5) for row in model.table.rows if row.free}
    values = {row.key: free[row.free] for row in model.table.rows if row.free}
    try:
        assert not math.isnan(model.log_likelihood(values))
        if mode:
            assert set(model.mode()) == {row.key for row in model.table.rows}
    except bm.MsemError:
        return


def examine(text: object, prior: object, option: dict[str, object], seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        model = built(text, prior, option)
        if model is not None:
            used(model, seed, mode=seed % 10 == 0)


relaxed = settings(suppress_health_check=list(HealthCheck))


@settings(relaxed, max_examples=150)
@given(texts, priors, few_options, st.integers(0, 99))
def test_texts_priors_and_options(text: str, prior: object, option: dict, seed: int) -> None:
    examine(text, prior, option, seed)


@pytest.mark.slow
@settings(relaxed, max_examples=2000)
@given(texts, priors, few_options, st.integers(0, 99))
def test_many_texts_priors_and_options(text: str, prior: object, option: dict, seed: int) -> None:
    examine(text, prior, option, seed)


@settings(relaxed, max_examples=100)
@given(st.sampled_from(SOUND), priors, options, st.integers(0, 99))
def test_priors_and_options_of_sound_texts(
    text: str, prior: object, option: dict, seed: int
) -> None:
    examine(text, prior, option, seed)


@pytest.mark.parametrize("text", SOUND)
def test_the_sound_texts_are_sound(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        model = built(text, None, {})
        assert model is not None
        used(model, 0, mode=not model.plan.sampled)
