"""Mplus inputs: typical models, awkward writing, and what has no counterpart."""

from __future__ import annotations

import contextlib
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bayes_msem as bm
from bayes_msem.spec.exchange.mplus_defaults import read_table
from bayes_msem.spec.exchange.mplus_reader import MplusRead, read_mplus
from bayes_msem.spec.exchange.mplus_rows import Cell, Rows
from bayes_msem.spec.exchange.mplus_sections import Findings, sections
from bayes_msem.spec.exchange.mplus_settings import read_settings
from bayes_msem.spec.parser import parse
from bayes_msem.spec.table import ParameterTable
from tests.spec.mplus_models import PAIRS, frame

SINGLE = "VARIABLE: NAMES = y1-y8 x w u1-u3;\n"
TWO = (
    "VARIABLE: NAMES = g y1-y8 x w u1-u3; CLUSTER = g; WITHIN = x; BETWEEN = w;\n"
    "ANALYSIS: TYPE = TWOLEVEL RANDOM;\n"
)


def text_of(model: str, head: str = SINGLE) -> str:
    return read_mplus(f"{head}MODEL: {model}").text


@pytest.mark.parametrize("name", PAIRS)
def test_typical_models_have_the_table_of_the_lavaan_text(name: str) -> None:
    pair, data = PAIRS[name], frame()
    read = bm.from_mplus(pair.mplus)
    expected = bm.Model(pair.text, data, **pair.arguments)
    pd.testing.assert_frame_equal(read.model(data).parameter_table, expected.parameter_table)


# How things may be written ------------------------------------------------------------------------

WRITTEN = {
    "odd spacing": ("f  BY\ty1  -  y3 * .5 ;y1 ON   x@ -1;", "f =~ NA*start(0.5)*y1"),
    "lower case": ("f by Y1 y2; Y1 with Y2@0;", "f =~ 1*y1 + y2\ny1 ~~ 0*y2"),
    "list of values": ("f BY y1-y3@1; y1-y2*0.5;", "f =~ 1*y1 + 1*y2 + 1*y3\ny1 ~~ start(0.5)*y1"),
    "label of a line": (
        "f BY y1\n y2 y3 (b)\n y4;",
        "f =~ 1*y1 + b*y2 + b*y3 + y4",
    ),
    "label on its own line": ("f BY y1-y3\n (p1-p3);", "f =~ 1*p1*y1 + p2*y2 + p3*y3"),
    "labels of the free ones": ("f BY y1-y3 (p2-p3);", "f =~ 1*y1 + p2*y2 + p3*y3"),
    "one label, first fixed": ("f BY y1-y3 (a);", "f =~ 1*y1 + a*y2 + a*y3"),
    "two labels in a line": ("y1 ON x (a) w (b);", "y1 ~ a*x + b*w"),
    "labels of several outcomes": ("y1 y2 ON x w (b1-b4);", "y1 ~ b1*x + b2*w\ny2 ~ b3*x + b4*w"),
    "numbers in a list": ("y1-y2 (1-2);", "y1 ~~ eq1*y1\ny2 ~~ eq2*y2"),
    "number as label": ("y1-y2 (1);", "y1 ~~ eq1*y1\ny2 ~~ eq1*y2"),
    "label like a column": ("y1 ON x (w);", 'y1 ~ label("w")*x'),
    "means": ("[y1@0 y2] (m); y1 y2;", "y1 ~ 0*1\ny2 ~ m*1"),
    "pairs of one list": ("y1-y3 WITH y1-y3;", "y1 ~~ y2 + y3\ny2 ~~ y3"),
    "PON": ("y1-y2 PON y3-y4;", "y1 ~ y3\ny2 ~ y4"),
    "PWITH": ("y1-y2 PWITH y3-y4;", "y1 ~~ y3\ny2 ~~ y4"),
    "factors in a list": ("f1 BY y1-y2; f2 BY y3-y4; f1-f2 ON x;", "f1 ~ x\nf2 ~ x"),
    "mentioned twice": ("f BY y1-y3; f BY y3@2;", "f =~ 1*y1 + y2 + 2*y3"),
    "comments": ("y1 ! ON w;\n ON x; !* y2 ON x;\n y3 ON x; *! y4 ON x; ! end", "y1 ~ x\ny4 ~ x"),
    "quadratic growth": ("i s q | y1@0 y2@1 y3@2;", "q =~ 0*y1 + 1*y2 + 4*y3"),
    "free time score": ("i s | y1@0 y2@1 y3*2;", "s =~ 0*y1 + 1*y2 + start(2)*y3"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_ways_of_writing(name: str) -> None:
    model, expected = WRITTEN[name]
    assert expected in text_of(model)


def test_lists_follow_the_order_of_names() -> None:
    head = "VARIABLE: NAMES = y1 x y3 y2 y10 y4;\n"
    assert text_of("f BY y1-y4;", head) == "f =~ 1*y1 + x + y3 + y2 + y10 + y4"
    use = "VARIABLE: NAMES = y1 x y3 y2 y4; USEVARIABLES = y1 y2-y4;\n"
    assert text_of("f BY y1-y4;", use) == "f =~ 1*y1 + y2 + y4"
    with pytest.raises(bm.ModelSyntaxError, match="list 'y4-y1' cannot be written out"):
        text_of("f BY y4-y1;", head)
    ten = "VARIABLE: NAMES = y1-y10;\n"
    assert text_of("f BY y1-y10;", ten).endswith("y9 + y10")


def test_sections_may_be_shortened_and_titles_hold_anything() -> None:
    read = read_mplus(
        "TITLE: a model: of data; x\n note: here\nDATA: FILE IS a.dat;\nVARI: NAMES ARE y x;\n"
        " USEV ARE y x; MISS ARE y (9 99) x(-1);\nANAL: ESTI = ML;\nmodel :y ON x;"
    )
    assert read.text == "y ~ x"
    assert read.title == "a model: of data; x note: here"
    assert (read.file, read.columns) == ("a.dat", ("y", "x"))
    assert read.missing_codes == {"y": (9.0, 99.0), "x": (-1.0,)}


def table_of_input(text: str) -> ParameterTable:
    """Table of an input without data; as many categories as its thresholds say."""
    findings = Findings(text)
    settings = read_settings(sections(findings), findings)
    read = read_mplus(text)
    rows = Rows(settings.two_level)
    for formula in parse(read.text).formulas:
        op, rhs = formula.op, formula.term.name
        rows.add(
            Cell(formula.level, formula.lhs, op, rhs, random=formula.term.modifiers.random or "")
        )
    return read_table(read.text, rows, settings)


def notes_of(text: str) -> str:
    return "\n".join(read_mplus(text).notes)


def test_notes() -> None:
    long = f"MODEL: f BY y1{' ' * 90}y2;"
    assert "Line 2: longer than 90 columns." in notes_of(SINGLE + long)
    assert "Line 2: the last command of its section has no ';'" in notes_of(
        f"{SINGLE}MODEL: y1 ON x"
    )
    notes = notes_of(f"{SINGLE}MODEL: y1 ON x;\nOUTPUT: TECH1;\nANALYSIS: BITERATIONS = 5;")
    assert "Line 3: OUTPUT is not read" in notes
    assert "Line 4: BITERATIONS is about estimation" in notes
    assert "No part of MODEL, and left out: y2, y3" in notes
    assert "'y2' is on neither list, so its predictor" in notes_of(
        f"{TWO}MODEL: %WITHIN%\n y1 ON y2;\n%BETWEEN%\n y1;"
    )


def test_random_slopes_of_split_predictors_are_noted() -> None:
    model = "MODEL: %WITHIN%\n s | y1 ON y2;\n%BETWEEN%\n y1 y2;"
    assert "'y2' has a random slope and is on neither list" in notes_of(TWO + model)
    bayes = TWO.replace("RANDOM;", "RANDOM; ESTIMATOR = BAYES;")
    assert "random slope" not in notes_of(bayes + model)


def test_counts_have_the_family_in_parentheses_after_them() -> None:
    head = SINGLE.replace(";", "; COUNT = u1 u2 (nb) u3;")
    read = read_mplus(f"{head}MODEL: u1-u3 ON x;")
    assert read.arguments["families"] == {
        "u1": "poisson",
        "u2": "negbinomial",
        "u3": "poisson",
    }


# Defaults of Mplus --------------------------------------------------------------------------------


def test_variables_on_neither_list_have_two_parts() -> None:
    text = text_of("%WITHIN%\n y1 ON y2 x; %BETWEEN%\n y3 ON w;", TWO)
    within, between = text.split("level: between")
    assert "y1 ~~ y1" in between
    assert "y2 ~~ y2" in between
    assert "y3 ~~ y3" in within
    assert "x" not in between


def rows(read: MplusRead, data: pd.DataFrame) -> pd.DataFrame:
    return bm.Model(read.text, data, **read.arguments).parameter_table


def test_random_effects_covary_with_nothing_by_themselves() -> None:
    data = frame().assign(g=lambda d: d["school"])
    read = read_mplus(
        f"{TWO}MODEL: %WITHIN%\n s | y1 ON x; t | y2 ON x;\n%BETWEEN%\n y1 y2 s ON w; s WITH t;"
    )
    table = rows(read, data)
    between = table[(table["level"] == "between") & (table["op"] == "~~")]
    covariances = between[(between["lhs"] != between["rhs"]) & (between["free"] > 0)]
    assert [set(pair) for pair in covariances[["lhs", "rhs"]].to_numpy()] == [{"s", "t"}]
    assert "y1 ~~ 0*y2" in read.text


# Models of the forms of examples in the user's guide of Mplus, with the numbers of free parameters
# that Mplus 8 and 8.2 report for these.
COUNTED = {
    "3.16": (15, "VARIABLE: NAMES = y1-y3 x1-x3;\nMODEL: y1 y2 ON x1-x3; y3 ON y1 y2 x2;"),
    "3.12": (
        15,
        "VARIABLE: NAMES = u1-u3 x1-x3; CATEGORICAL = u1-u3;\nMODEL: u1 u2 ON x1-x3;\n"
        "u3 ON u1 u2 x2; [u1$2 u3$3];",
    ),
    "5.8": (
        25,
        "VARIABLE: NAMES = y1-y6 x1-x3;\nMODEL: f1 BY y1-y3; f2 BY y4-y6; f1 f2 ON x1-x3;",
    ),
    "5.11": (
        40,
        "VARIABLE: NAMES = y1-y12;\nMODEL: f1 BY y1-y3; f2 BY y4-y6; f3 BY y7-y9;\n"
        "f4 BY y10-y12; f4 ON f3; f3 ON f1 f2;",
    ),
    "6.10": (
        17,
        "VARIABLE: NAMES = y1-y4 x1-x2 a1-a4;\nMODEL: i s | y1@0 y2@1 y3@2 y4@3;\n"
        "i s ON x1 x2; y1-y4 PON a1-a4;",
    ),
    "9.6": (
        19,
        "VARIABLE: NAMES = y1-y4 x1-x2 w g; WITHIN = x1 x2; BETWEEN = w; CLUSTER = g;\n"
        "ANALYSIS: TYPE = TWOLEVEL;\nMODEL: %WITHIN%\n fw BY y1-y4; fw ON x1 x2;\n"
        "%BETWEEN%\n fb BY y1-y4; y1-y4@0; fb ON w;",
    ),
    "9.12": (
        13,
        "VARIABLE: NAMES = y1-y4 x w g; WITHIN = x; BETWEEN = w; CLUSTER = g;\n"
        "ANALYSIS: TYPE = TWOLEVEL;\nMODEL: %WITHIN%\n iw sw | y1@0 y2@1 y3@2 y4@3;\n"
        "y1-y4 (1); iw sw ON x;\n%BETWEEN%\n ib sb | y1@0 y2@1 y3@2 y4@3; y1-y4@0; ib sb ON w;",
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_free_parameters_are_as_many_as_mplus_counts(name: str) -> None:
    count, text = COUNTED[name]
    assert max(row.free for row in table_of_input(text).rows) == count


def test_factors_and_modelled_predictors_are_uncorrelated() -> None:
    text = text_of("f BY y1-y3; y4 ON f x; x;")
    assert "f ~~ 0*x" in text


def test_ordered_final_outcomes_covary_with_a_probit_only() -> None:
    head = SINGLE.replace(";", "; CATEGORICAL = u1-u3;")
    assert "u1 ~~ u2" in text_of("u1 u2 ON x;", head)
    read = read_mplus(f"{head}ANALYSIS: ESTIMATOR = ML;\nMODEL: u1 u2 ON x;")
    assert "~~" not in read.text
    assert read.arguments == {"families": {"u1": "ordinal(logit)", "u2": "ordinal(logit)"}}
    assert "~~" not in text_of("u1 u2 ON x; u1 WITH u2@0;", head)


def test_no_covariances_with_maximum_likelihood_and_a_probit() -> None:
    head = SINGLE.replace(";", "; CATEGORICAL = u1-u3;")
    read = read_mplus(f"{head}ANALYSIS: ESTIMATOR = ML; LINK = PROBIT;\nMODEL: u1 u2 ON x;")
    assert read.arguments == {"ordered": ["u1", "u2"]}
    assert "~~" not in read.text


def test_residuals_between_of_ordered_indicators() -> None:
    head = (
        "VARIABLE: NAMES = g u1-u3; CATEGORICAL = u1-u3; CLUSTER = g;\n"
        "ANALYSIS: TYPE = TWOLEVEL; ESTIMATOR = ;\n"
    )
    model = "%WITHIN%\n fw BY u1-u3;\n%BETWEEN%\n fb BY u1-u3; u2;"
    likelihood = text_of(model, head.replace("ESTIMATOR = ;", ""))
    assert "u1 ~~ 0*u1" in likelihood
    assert "u2 ~~ u2" in likelihood
    assert "u1 ~~" not in text_of(model, head.replace("= ;", "= BAYES;"))


def test_no_covariances() -> None:
    head = f"{SINGLE}ANALYSIS: MODEL = NOCOVARIANCES;\n"
    text = text_of("f BY y1-y3; h BY y4-y6; y7-y8 ON x; y7 WITH y8;", head)
    assert "f ~~ 0*h" in text
    assert "y7 ~~ y8" in text


def test_random_variances_are_converted() -> None:
    """In Mplus v is log s^2, here log s: v = 2 u."""
    text = text_of(
        "%WITHIN%\n v | y1; s | y1 ON x;\n%BETWEEN%\n"
        " [v@-1]; v*0.4; v ON w*0.6; v WITH s*.2; s ON v*2;",
        TWO,
    )
    expected = ["v ~ -0.5*1", "v ~~ start(0.1)*v", "v ~ start(0.3)*w", "v ~~ start(0.1)*s"]
    for line in [*expected, "s ~ start(4)*v"]:
        assert line in text


# Constraints and priors ---------------------------------------------------------------------------


def constrained(equations: str) -> str:
    model = "y1 ON x (a)\n w (b);\n y2 ON x (c);\nMODEL CONSTRAINT:\n"
    return text_of(model + equations).split("\n", 2)[2]


@pytest.mark.parametrize(
    ("equations", "expected"),
    [
        ("a = b;", "a == b"),
        ("0 = A - b;", "a == b"),
        ("a = 0.5;", "a == 0.5"),
        ("c = a*b;", "c == a*b"),
        ("0 = 2*a - b + 1;", "a == (b - 1)/2"),
        ("0 = a*b - c;", "c == a*b"),
        ("NEW(d e*0.5); d = a**2 + EXP(b)/2;\n e = d - LN(c);", "e := d - log(c)"),
        ("NEW(d1-d2); d1 = a; d2 = SQRT(D1);", "d2 := sqrt(d1)"),
    ],
)
def test_constraints(equations: str, expected: str) -> None:
    assert expected in constrained(equations)


PRIORS = {
    "a ~ N(0, 4)": 'y1 ~ a*prior("normal(0, 2)")*x',
    "a-b~N(1,0.25)": "",
    "b1-b2 ~ N(1, 0.25)": 'y3 ~ b1*prior("normal(1, 0.5)")*x + b2*prior("normal(1, 0.5)")*w',
    "a ~ U(-1, 1)": 'prior("uniform(-1, 1)")',
    "a ~ LN(0, 1)": 'prior("lognormal(0, 1)")',
    "a ~ G(2, 1)": 'prior("gamma(2, 1)")',
    "v ~ LN(0, 4)": 'y2 ~~ v*prior("lognormal(0, 1)")*y2',
}
MODEL_OF_PRIORS = "y1 ON x (a); y3 ON x w (b1-b2); y2 (v);\nMODEL PRIORS: "


@pytest.mark.parametrize("prior", PRIORS)
def test_priors_with_a_counterpart(prior: str) -> None:
    if not PRIORS[prior]:
        with pytest.raises(bm.ModelSyntaxError, match="'a-b' is no label"):
            text_of(f"{MODEL_OF_PRIORS}{prior};")
        return
    assert PRIORS[prior] in text_of(f"{MODEL_OF_PRIORS}{prior};")


@pytest.mark.parametrize("prior", ["v ~ IG(-1, 0)", "a ~ N(0, INFINITY)", "v ~ N(0, 1)"])
def test_priors_without_a_counterpart_are_warned_of(prior: str) -> None:
    label = prior[0]
    with pytest.warns(bm.SpecificationWarning, match=rf"Line 3: the prior .* of '{label}' has no"):
        read = bm.from_mplus(f"{SINGLE}MODEL: {MODEL_OF_PRIORS}{prior};")
    assert "prior(" not in read.text
    assert "has no counterpart" in str(read)


def test_a_lognormal_prior_of_a_variance_is_one_of_the_standard_deviation() -> None:
    """If log s^2 is normal with mean m and variance v, log s has mean m/2 and variance v/4."""
    assert 'prior("lognormal(0.5, 1.5)")' in text_of(f"{MODEL_OF_PRIORS}v ~ LN(1, 9);")


# What has no counterpart --------------------------------------------------------------------------

UNSUPPORTED = {
    "DEFINE: z = y1*x;": (1, "DEFINE is not supported", "data frame"),
    "MODEL INDIRECT: y1 IND x;": (1, "MODEL INDIRECT is not supported", "fit.effects"),
    "MODEL TEST: a = b;": (1, "MODEL TEST is not supported", "interval"),
    "MODEL G1: y1 ON x;": (1, "MODEL G1 is not supported", "Groups"),
    "DATA WIDETOLONG: WIDE = y1-y3;": (1, "DATA WIDETOLONG is not supported", "melt"),
    "MONTECARLO: NREPS = 5;": (1, "MONTECARLO is not supported", "simulate"),
    "VARIABLE: WEIGHT = w;": (1, "WEIGHT is not supported", "weights"),
    "VARIABLE: GROUPING = w (1=a);": (1, "GROUPING is not supported", "groups"),
    "VARIABLE: CLASSES = c(2);": (1, "CLASSES is not supported", "Mixtures"),
    "VARIABLE: USEOBSERVATIONS = (x EQ 1);": (1, "USEOBSERVATIONS is not supported", "data["),
    "VARIABLE: COUNT = u1 (i);": (1, "COUNT", "zero-inflated"),
    "VARIABLE: CLUSTER = y1 y2;": (1, "CLUSTER names 2 columns", "two levels"),
    "ANALYSIS: TYPE = COMPLEX;": (1, "TYPE = COMPLEX is not supported", "two-level"),
    "ANALYSIS: TYPE = THREELEVEL;": (1, "TYPE = THREELEVEL is not supported", "third"),
    "ANALYSIS: TYPE = MIXTURE;": (1, "TYPE = MIXTURE is not supported", "Mixtures"),
    "MODEL:\n f BY y1-y3;\n h | f XWITH f;": (3, "XWITH is not supported", "Products"),
    "MODEL:\n y1 ON y2&1;": (2, "Lagged variables", "series"),
    "MODEL:\n f1-f2 BY y1-y8 (*1);": (2, "Exploratory factors", "Rotated"),
    "MODEL:\n {u1@1};": (2, "Scale factors", "theta"),
    "MODEL:\n y1#1 ON x;": (2, "Classes and inflation", ""),
    "MODEL:\n %OVERALL%\n y1 ON x;": (2, "'%OVERALL%' is not supported", "classes"),
    "VARIABLE: CATEGORICAL = u1-u3;\nMODEL:\n i s | u1@0 u2@1 u3@2;": (3, "A growth model", "BY"),
    "MODEL CONSTRAINT:\n a > 0;": (2, "Inequalities are not supported", "support"),
    "MODEL CONSTRAINT:\n NEW(q);": (2, "NEW(q) gets no value of its own", "labels"),
    "MODEL CONSTRAINT:\n DO(1,2) a# = b#;": (2, "is not supported in MODEL CONSTRAINT", "out"),
}


@pytest.mark.parametrize("command", UNSUPPORTED)
def test_unsupported_commands_are_named_by_line(command: str) -> None:
    line, problem, way_out = UNSUPPORTED[command]
    with pytest.raises(bm.NotSupportedError) as caught:
        read_mplus(f"{SINGLE}MODEL: y8 ON x (a);\n{command}")
    assert isinstance(caught.value, bm.ModelSyntaxError)
    assert problem in str(caught.value)
    assert f"(line {line + 2}," in str(caught.value)
    assert way_out in str(caught.value)


MISTAKES = {
    "MODEL: y1 ON x\n y2 ON x;": (3, "A second 'ON' in one statement", "';' is missing"),
    "MODEL: y1 ON x\n [y1];": (3, "'[' begins a new statement", "';' is missing"),
    "MODLE: y1 ON x;": (2, "'MODLE:' is no section", "did you mean 'MODEL'"),
    "MODEL: y1 ON z;": (2, "'z' is neither in NAMES", "NAMES"),
    "MODEL: y1 ON;": (2, "This command is not complete", "y ON x"),
    "MODEL: y1 ON x w (a1-a3);": (2, "3 labels stand after 2 parameters", "as many"),
    "MODEL: (a) y1;": (2, "No parameter stands before this label", "y ON x (b)"),
    "MODEL: y1 = x;": (2, "'=' cannot stand in MODEL", "MODEL CONSTRAINT"),
    "MODEL: y1@1 ON x;": (2, "Values and labels stand right", "right"),
    "MODEL: y1-y2 PON x;": (2, "PON pairs 2 variables with 1", "same number"),
    "MODEL: %WITHIN% y1 ON x;": (2, "belongs to a two-level model", "TWOLEVEL"),
    "MODEL: y1 ON x;\nVARIABLE: USEVAR = y1 q;": (3, "'q' does not stand in NAMES", "DEFINE"),
    "MODEL: y1 ON x;\nVARIABLE: USEVAR = y1;": (2, "'x' is not in USEVARIABLES", "Add it"),
    "MODEL: y1 ON x;\nVARIABLE: FOO = y1;": (3, "VARIABLE: FOO is unknown", "Options"),
    "MODEL: y1 ON x;\nVARIABLE: MISSING = y1\n CLUSTER = w;": (4, "A second option", "';'"),
    "MODEL: y1 ON x (a);\nMODEL CONSTRAINT: NEW(d); d = a*bb;": (3, "'bb' is no label", "y ON x"),
    "MODEL: y1 ON x (a);\nMODEL CONSTRAINT: a + 1;": (3, "This is no equation", "NEW(d)"),
    "MODEL: y1 ON x (a);\nMODEL PRIORS: b ~ N(0, 1);": (3, "'b' is no label", "labels"),
}


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_named_by_line(command: str) -> None:
    line, problem, way_out = MISTAKES[command]
    with pytest.raises(bm.ModelSyntaxError) as caught:
        read_mplus(SINGLE + command)
    assert not isinstance(caught.value, bm.NotSupportedError)
    assert problem in str(caught.value)
    assert caught.value.line == line
    assert way_out in str(caught.value)


TWO_LEVEL_MISTAKES = {
    "y1 ON x;": "stands before %WITHIN% and %BETWEEN%",
    "%WITHIN%\n y1 ON w;\n%BETWEEN%\n y1;": "'w' is on the list BETWEEN and used in %WITHIN%",
    "%WITHIN%\n y1 ON x;\n%BETWEEN%\n y1 ON x;": "'x' is on the list WITHIN",
    "%WITHIN%\n y1; [y1];\n%BETWEEN%\n y1;": "Means and thresholds of 'y1' stand in %BETWEEN%",
    "%WITHIN%\n y1 ON x;\n%BETWEEN%\n s | y1 ON w;": "Only coefficients of %WITHIN% vary",
    "%WITHIN%\n s | y1 ON x y2;\n%BETWEEN%\n y1;": "1 name left of '|' for 2 coefficients",
    "%WITHIN%\n s | y1 ON x (a);\n%BETWEEN%\n y1;": "A coefficient that varies has no value",
}


@pytest.mark.parametrize("model", TWO_LEVEL_MISTAKES)
def test_mistakes_of_levels(model: str) -> None:
    with pytest.raises(bm.ModelSyntaxError, match=re.escape(TWO_LEVEL_MISTAKES[model])):
        text_of(model, TWO)


def test_all_culprits_come_at_once() -> None:
    with pytest.raises(bm.ModelSyntaxError) as caught:
        read_mplus(f"{SINGLE}DEFINE: z = x;\nMODEL: y1 ON q;\n h | y1 XWITH y2;\n")
    message = str(caught.value)
    assert message.startswith("DEFINE is not supported. (line 2, column 1)")
    assert "Line 3: 'q' is neither in NAMES" in message
    assert "Line 4: XWITH is not supported." in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "There is no section"),
        ("hello; you", "There is no section"),
        ("y ON x;\nMODEL: y ON x;", "stands before the first section"),
        ("MODEL: y ON x;", "The names of the columns are missing"),
        (SINGLE, "There is no MODEL"),
    ],
)
def test_inputs_that_are_none(text: str, message: str) -> None:
    with pytest.raises(bm.ModelSyntaxError, match=message):
        bm.from_mplus(text)


def test_a_model_that_makes_no_sense_shows_its_text() -> None:
    with pytest.raises(bm.SpecificationError, match="regressed on itself") as caught:
        text_of("y1 ON y1;")
    assert "   1  y1 ~ y1" in str(caught.value)


PIECES = [
    "(",
    ")",
    ";",
    "|",
    "@",
    "*",
    "-",
    "%",
    "[",
    "=",
    "!",
    ":",
    "\n",
    " BY ",
    "(1-2)",
    "é",
    "\0",
]


@given(
    name=st.sampled_from(sorted(PAIRS)),
    cuts=st.lists(
        st.tuples(st.integers(0, 600), st.integers(0, 8), st.sampled_from(PIECES)),
        min_size=1,
        max_size=3,
    ),
)
def test_mangled_inputs_raise_errors_of_the_package(
    name: str, cuts: list[tuple[int, int, str]]
) -> None:
    text = PAIRS[name].mplus
    for start, length, piece in cuts:
        text = text[:start] + piece + text[start + length :]
    with contextlib.suppress(bm.MsemError):
        read_mplus(text)
