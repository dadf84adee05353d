"""The shorthand ``random=``: words that stand for ``rv()`` on many rows of level within.

=====================================  ===========================================================
word                                   coefficients that vary over clusters
=====================================  ===========================================================
``"loadings"``                         free loadings
``"slopes"``                           free regressions of the text; not those that defaults add
                                       between modelled predictors and covariates
``"variances"``                        free variances: of factors and of residuals
``"correlations"``, ``"covariances"``  free covariances between two factors
``"intercepts"``                       nothing to add: variables written at both levels have random
                                       intercepts; an error if some variable is not
``"all"``                              all of these
=====================================  ===========================================================

A row that carries a number, a label, ``rv()``, ``prior()`` or ``start()`` stays as it is written,
so one row can be left out by a label. Everything else that is free gets a name of its own, made of
a letter and the row: ``l.f.y2`` (loading), ``s.y.x`` (slope), ``v.y`` (variance: the log SD),
``r.f1.f2`` (correlation: the Fisher z); ``x[T.b]`` is ``x.b`` and ``x:z`` is ``x.z`` in them. These
names stand in the parameter table and its text.

The words are expanded in the parsed statements, before any default is applied, exactly as if
``rv()`` had been written. Rows that a default would add (variances, covariances of factors) are
taken from the table of the unexpanded text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from bayes_msem.arguments import shown
from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.coded_terms import plain_name
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.parameter_labels import describe
from bayes_msem.spec.roles import random_names
from bayes_msem.spec.statements import Formula, Modifiers, Operator, ParsedModel, Term
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["RandomWord", "expand_random"]

RandomWord = Literal[
    "loadings", "slopes", "intercepts", "variances", "correlations", "covariances", "all"
]
_SYNONYMS = {"covariances": "correlations"}
_ALL = ("loadings", "slopes", "intercepts", "variances", "correlations")
_WHAT = {
    "loadings": "loading",
    "slopes": "regression written in the text",
    "variances": "variance",
    "correlations": "covariance between two factors",
}


def expand_random(
    parsed: ParsedModel,
    random: RandomWord | Sequence[RandomWord] | None,
    columns: Sequence[str],
    *,
    cluster: str | None = None,
    std_lv: bool = False,
    families: Mapping[str, Family] | None = None,
    categories: Mapping[str, int] | None = None,
) -> ParsedModel:
    """Write ``rv()`` on all rows that a shorthand stands for.

    Parameters
    ----------
    parsed
        The statements of the text.
    random
        A word or several; None changes nothing.
    columns, cluster, std_lv, families, categories
        As for :func:`bayes_msem.spec.defaults.build_table`.

    Returns
    -------
    ParsedModel
        The statements with ``rv()`` added, and with the rows of defaults that vary.

    Raises
    ------
    SpecificationError
        An unknown word, a single-level model, nothing to expand, an intercept that cannot vary,
        or a generated name that is taken.

    Examples
    --------
    >>> from bayes_msem.spec.parser import parse
    >>> text = "level: within; f =~ y1 + y2; f ~ x; level: between; y1 ~~ y2"
    >>> model = expand_random(
    ...     parse(text), ["loadings", "slopes"], ["y1", "y2", "x"], cluster="school"
    ... )
    >>> [f.term.modifiers.random for f in model.formulas]
    [None, 'l.f.y2', 's.f.x', None]
    """
    if random is None:
        return parsed
    words = _read_words(random)
    _check_two_level(parsed, random)
    table = build_table(
        parsed,
        columns,
        cluster=cluster,
        std_lv=std_lv,
        families=families,
        categories=categories,
    )
    chosen: dict[RowKey, str] = {}
    for word in words:
        rows = _varying_rows(table, word)
        if word == "intercepts":
            _check_intercepts(table, random)
        elif not rows and words != _ALL:
            raise _nothing(random, _WHAT[word], f"leave out '{word}'")
        chosen |= {row.key: _name(row) for row in rows}
    if words == _ALL and not chosen:
        raise _nothing(random, "coefficient", "leave out random")
    _check_names(chosen, table, parsed, columns, random)
    return replace(parsed, formulas=_with_random(parsed.formulas, chosen))


def _read_words(random: object) -> tuple[str, ...]:
    """Return the words without synonyms, in the order of ``_ALL``."""
    given = [random] if isinstance(random, str) else random
    allowed = ", ".join(repr(word) for word in get_args(RandomWord))
    if not isinstance(given, Sequence) or not all(isinstance(word, str) for word in given):
        raise SpecificationError(
            f"random={shown(random)} is neither a word nor a list of words; allowed: {allowed}, or "
            "None"
        )
    if not given:
        raise SpecificationError(
            f"random={random!r} names nothing; write one of {allowed}, or None"
        )
    for word in given:
        if word not in get_args(RandomWord):
            raise SpecificationError(
                f"random={random!r}: unknown word '{word}'"
                f"{nearest(word, get_args(RandomWord)) or '.'} Allowed: {allowed}"
            )
    wanted = {_SYNONYMS.get(word, word) for word in given}
    return tuple(word for word in _ALL if word in wanted or "all" in wanted)


def _check_two_level(parsed: ParsedModel, random: object) -> None:
    if not parsed.two_level:
        raise SpecificationError(
            f"random={random!r} lets coefficients vary over clusters, but the model has a single "
            "level; write 'level: within' and 'level: between' blocks, or leave out random"
        )


def _nothing(random: object, what: str, fix: str) -> SpecificationError:
    return SpecificationError(
        f"random={random!r}: the model has no free {what} at level within that could vary (rows "
        f"with a number, label, rv(), prior() or start() stay as written); {fix}, or free such a "
        "row"
    )


def _varying_rows(table: ParameterTable, word: str) -> list[Row]:
    factors = table.variables("within", "within factor")
    rows = [r for r in table.rows if r.level == "within" and _is_plain(r)]
    match word:
        case "loadings":
            return [r for r in rows if r.kind == "loading"]
        case "slopes":
            return [r for r in rows if r.kind == "regression" and r.origin == "user"]
        case "variances":
            return [r for r in rows if r.kind == "variance"]
        case "correlations":
            pairs = [r for r in rows if r.kind == "covariance"]
            return [r for r in pairs if r.lhs in factors and r.rhs in factors]
    return []


def _is_plain(row: Row) -> bool:
    """Whether the row is free and carries no wish of the user."""
    return row.free > 0 and not row.label and not row.prior and math.isnan(row.value)


def _name(row: Row) -> str:
    if row.kind == "variance":
        return f"v.{row.lhs}"
    letter = {"loading": "l", "regression": "s", "covariance": "r"}[row.kind]
    return plain_name(f"{letter}.{row.lhs}.{row.rhs}")


def _check_intercepts(table: ParameterTable, random: object) -> None:
    fixed = table.variables("within", "within-only")
    if not fixed:
        return
    first, listed = fixed[0], ", ".join(f"'{name}'" for name in fixed)
    others = [word for word in _ALL if word != "intercepts"]
    raise SpecificationError(
        f"random={random!r}: {listed} cannot have random intercepts, because they are not used at "
        f"level between; mention them there, e.g. '{first} ~~ {first}', or leave out "
        f"'intercepts', e.g. random={others!r}"
    )


def _check_names(
    chosen: dict[RowKey, str],
    table: ParameterTable,
    parsed: ParsedModel,
    columns: Sequence[str],
    random: object,
) -> None:
    """Refuse generated names that mean something else already."""
    taken = dict.fromkeys((r.label for r in table.rows if r.label), "a label")
    taken |= dict.fromkeys((d.name for d in parsed.definitions), "a definition")
    taken |= dict.fromkeys((v for _, v in table.roles), "a variable of the model")
    taken |= dict.fromkeys(random_names(parsed), 'the name of another rv("...")')
    taken |= dict.fromkeys(columns, "a column of the data")
    for key, name in chosen.items():
        row = Row(*key)
        if name in taken:
            raise SpecificationError(
                f"random={random!r} would name the random effect of {describe(row)} '{name}', but "
                f"'{name}' is already {taken[name]}; name it in the text, "
                f"e.g. '{row.lhs} {row.op} rv(\"{name}.random\")*{row.rhs}'"
            )
        taken[name] = f"the name of the random effect of {describe(row)}"


def _with_random(formulas: tuple[Formula, ...], chosen: dict[RowKey, str]) -> tuple[Formula, ...]:
    """Give the chosen rows their names; rows that no formula has are added at the end."""
    remaining = dict(chosen)
    changed: list[Formula] = []
    for f in formulas:
        name = remaining.pop(RowKey(f.level, f.lhs, f.op, f.term.name), None)
        if name is not None:
            modifiers = replace(f.term.modifiers, random=name)
            f = replace(f, term=replace(f.term, modifiers=modifiers))
        changed.append(f)
    return (*changed, *(_formula(key, name, formulas) for key, name in remaining.items()))


def _formula(key: RowKey, name: str, formulas: tuple[Formula, ...]) -> Formula:
    """Make a formula for a default row; it stands where its variable is first mentioned."""
    _, lhs, _, rhs = key
    op: Operator = "~~"  # no other default row of level within gets a name
    mentions = (f.span for f in formulas if f.level == "within" and lhs in (f.lhs, f.term.name))
    span = next(mentions, formulas[0].span)
    return Formula("within", lhs, op, Term(rhs, Modifiers(random=name), span), span)
