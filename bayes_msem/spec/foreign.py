"""What other packages write: lavaan's rarer syntax, lme4's and Mplus's, and what to write here.

Each function is handed a token that has no place in the grammar, or a call that is no modifier,
and returns what its author should be told. A suggestion states the same model in the words of
this package, or says that the model is not there yet. It never builds another model: "leave it
out" is no suggestion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lark import Token

from bayes_msem.spec.mplus import bar_statement, mplus_sign
from bayes_msem.spec.passages import NAME, Passage, Remark, cut, statement_at

__all__ = [
    "INTERACTION",
    "NAME_RULE",
    "VALID_OPERATORS",
    "call_remark",
    "character_remark",
    "is_foreign",
    "is_threshold_bar",
    "operator_remark",
]

VALID_OPERATORS = (
    "Valid operators: =~ (loading), ~ (regression), ~~ ((co)variance), | (threshold), :=, ==."
)
NAME_RULE = (
    "Names hold letters, digits, '.' and '_' and do not start with a digit; "
    "rename other columns of the data."
)
INTERACTION = (
    "An interaction of observed variables is written with a colon: y ~ x + z + x:z. Where z "
    'differs between clusters only, the slope may vary besides: y ~ rv("s")*x at level within, '
    "s ~ z at level between."
)
_INEQUALITY = (
    'Choose a prior with the wanted support instead, for example prior("halfnormal(1)")*x.'
)
_THETA = (
    "The residual variances of latent responses are fixed instead (theta parameterisation), which "
    "also holds where loadings vary over clusters."
)
_WRONG_OPERATORS = {
    "=": "Write '=~' for a loading, ':=' for a definition or '==' for a constraint.",
    "->": "Write the outcome first: 'y ~ x' instead of 'x -> y', 'f =~ y' for a factor.",
    "<-": "Write 'y ~ x' instead of 'y <- x'.",
    "<->": "Write '~~' for a (co)variance.",
    "=~~": "Did you mean '=~'?",
    "~=": "Did you mean '=~'?",
    "~~~": "Did you mean '~~'?",
    "===": "Did you mean '=='?",
    "=:": "Did you mean ':='?",
}
# What word processors and web pages make of the plain characters.
_TYPOGRAPHIC = {
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", 'Use straight quotes: ".'),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u0060\u00b4", "Use straight quotes: '."),
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014", "Use the plain minus sign: -."),
    **dict.fromkeys("\u00d7\u00b7\u2217\u22c5", "Use the plain asterisk: *."),
    **dict.fromkeys("\u223c\u02dc\uff5e", "Use the plain tilde: ~."),
}


def character_remark(token: Token, text: str) -> Remark:
    """Say what a character outside the syntax stands for elsewhere."""
    found = mplus_sign(token, text)
    if found is not None:
        return found
    problem = f"Unexpected character '{token.value}'."
    return problem, _TYPOGRAPHIC.get(token.value, NAME_RULE), True


# Operators -------------------------------------------------------------------------------------


def operator_remark(token: Token, text: str) -> Remark:
    """Say what an operator outside the syntax stands for elsewhere."""
    operator = token.value
    match operator:
        case "|" | "||":
            return _bar(token, text)
        case "<~":
            return (
                "Formative factors ('<~') are not supported.",
                "A composite whose weights are known is a column of the data; estimated weights "
                "are not there yet.",
                False,
            )
        case "~*~":
            return ("Scaling factors ('~*~') are not supported.", _THETA, False)
        case "<" | ">" | "<=" | ">=":
            problem = f"Inequality constraints ('{operator}') are not supported."
            return problem, _INEQUALITY, False
    suggestion = f"{_WRONG_OPERATORS.get(operator, '')} {VALID_OPERATORS}".lstrip()
    return f"Unknown operator '{operator}'.", suggestion, True


def is_threshold_bar(token: Token, text: str) -> bool:
    """Whether a '|' is the operator of a threshold, as in 'y | t1 + t2', and not lme4's."""
    around = statement_at(text, token)
    first = not re.search(r"[(=~:|]", around.before)
    return token.value == "|" and first and bar_statement(around) is None


def _bar(token: Token, text: str) -> Remark:
    around = statement_at(text, token)
    if around.before.count("(") > around.before.count(")"):
        return _grouping(around, inside=True)
    if re.search(r"[^=~:<]~(?!~)", f" {around.before}"):
        return _grouping(around, inside=False)
    found = bar_statement(around)
    if found is not None:
        return found
    problem = f"'{token.value}' cannot stand here."
    return problem, "Thresholds of an ordered outcome have a line: 'y | t1 + t2'.", True


# lme4's random effects: y ~ x + (1 + x | school) ------------------------------------------------


def _grouping(around: Passage, *, inside: bool) -> Remark:
    """Translate random effects of lme4; without parentheses only the group is read."""
    problem = "Random effects are not written with '|'."
    start = around.before.rfind("(") if inside else len(around.before)
    group, _, rest = around.after.lstrip("|").partition(")" if inside else "\n")
    group = group.strip()
    if not NAME.fullmatch(group) or "|" in rest:
        return (
            problem,
            'Clusters come from one column, Model(..., cluster="..."), and the text has a block '
            "for each level. Nested columns are a list, the inner one first (a model of three "
            'levels): cluster=["class", "school"]. Crossed grouping columns are not there yet.',
            False,
        )
    outcome, _, fixed = around.before[:start].partition("~")
    terms = [t.strip() for t in cut(f"{fixed}+{rest}", "+")]
    varying = [t.strip() for t in cut(around.before[start + 1 :], "+")] if inside else ["1"]
    text = _levels(outcome.strip(), terms, varying)
    independent = "\nAdd random_covariances=\"none\" to Model(): '||' makes them independent."
    return (
        problem,
        f'Say Model(..., cluster="{group}") and write a block for each level (predictors that '
        f"belong to clusters stand in the second):\n{text}"
        + (independent if around.sign == "||" else ""),
        True,
    )


def _levels(outcome: str, terms: Sequence[str], varying: Sequence[str]) -> str:
    """Write a regression with random effects as blocks of levels."""
    slopes = [t for t in varying if t not in ("", "0", "1", "-1")]
    names = {t: "s" if len(slopes) == 1 else f"s{i}" for i, t in enumerate(slopes, start=1)}
    predictors = dict.fromkeys([t for t in terms if t not in ("", "0", "1", "-1")] + slopes)
    written = [f'rv("{names[t]}")*{t}' if t in names else t for t in predictors]
    constant = any(t in ("0", "-1") for t in varying)
    within = f"{outcome} ~ {' + '.join(written)}" if written else f"{outcome} ~~ {outcome}"
    between = f"{outcome} ~~ {'0*' if constant else ''}{outcome}"
    return f"level: within\n    {within}\nlevel: between\n    {between}"


# Calls -----------------------------------------------------------------------------------------

_LAG = (
    "Lagged variables, {call}, are not supported.",
    "Models for time series, with lags of latent deviations, are not there yet.",
    False,
)
_CATEGORICAL = (
    "'{call}' is not a variable.",
    "Categories of a predictor are written C(x), those of an outcome declared: "
    "Model(..., ordered=['y']).",
    True,
)
_SMOOTH = ("Smooth terms, {call}, are not supported.", "They are not there yet.", False)
_SEVERAL = ("'{call}' is not a variable.", "Several outcomes are joined by '+': y1 + y2 ~ x.", True)
_CALLS: dict[str, Remark] = {
    "efa": (
        "'{call}' stands before a factor, left of '=~'.",
        'Write efa("block")*f1 + efa("block")*f2 =~ y1 + y2 + ...',
        True,
    ),
    "lower": (
        "Bounds are not supported.",
        'A prior whose support has the bound takes their place: prior("halfnormal(1)")*x.',
        False,
    ),
    "upper": (
        "Bounds are not supported.",
        'A prior whose support has the bound takes their place: prior("uniform(-1, 1)")*x.',
        False,
    ),
    **dict.fromkeys(("lag", "lag1", "lag2", "lags", "L", "shift"), _LAG),
    **dict.fromkeys(("factor", "as.factor", "ordered"), _CATEGORICAL),
    **dict.fromkeys(("s", "te", "ti", "t2", "gp"), _SMOOTH),
    **dict.fromkeys(("cbind", "mvbind"), _SEVERAL),
}


def is_foreign(function: str) -> bool:
    """Whether a call of this name means something to other packages."""
    return function == "offset" or function in _CALLS


def call_remark(function: str, arguments: str) -> Remark:
    """Say what a call stands for elsewhere.

    Parameters
    ----------
    function
        Its name, for which :func:`is_foreign` holds.
    arguments
        What stands between its parentheses.
    """
    if function == "offset":
        known = NAME.fullmatch(arguments) is not None
        fix = f"1*{arguments}" if known else f"1*x, where the column x of the data is {arguments}"
        return (
            "offset() is no modifier.",
            f"An offset is a predictor whose coefficient is fixed at 1: write {fix}.",
            True,
        )
    problem, suggestion, supported = _CALLS[function]
    return problem.format(call=f"{function}({arguments})"), suggestion, supported
