"""Mplus statements in a model text, and how they are written here.

``f BY y1-y3`` is ``f =~ y1 + y2 + y3``, ``y ON x`` is ``y ~ x``, ``y WITH x`` is ``y ~~ x``,
``s | y ON x`` is ``y ~ rv("s")*x``. Where every word of a statement is understood, the suggestion
is the statement itself; otherwise it lists the words that correspond.
"""

from __future__ import annotations

import re

from lark import Token

from bayes_msem.spec.passages import NAME, Passage, Remark, statement_at

__all__ = ["bar_statement", "mplus_header", "mplus_sign", "mplus_statement"]

_OPERATORS = {"BY": "=~", "ON": "~", "WITH": "~~"}
_DICTIONARY = (
    "BY is written '=~', ON '~', WITH '~~', with '+' between variables; y@1 is '1*y', y*1 "
    "'start(1)*y', [y] 'y ~ 1', %WITHIN% 'level: within', s | y ON x 'y ~ rv(\"s\")*x'."
)
# Possessive quantifiers: a long text without such a word is given up at once.
_STATEMENT = re.compile(
    r"\s*+(?P<left>[\w.,-]++(?:\s++[\w.,-]++)*?)\s++(?P<word>BY|ON|WITH|PON|PWITH|XWITH|IND|VIA)\b(?P<right>.*)",
    re.IGNORECASE | re.DOTALL,
)
_ITEM = re.compile(r"(?P<name>[^\W\d][\w.]*)(?P<sign>[@*])?(?P<value>-?[\d.]+)?")
_NUMBERED = re.compile(r"(\D*)(\d+)")
_LONGEST_RANGE = 200
_SECTIONS = frozenset(
    "analysis constraint data define indirect model montecarlo output plot priors savedata test "
    "title variable".split()
)
_HEADING = re.compile(rf"\s*+(?P<word>(?:{'|'.join(_SECTIONS)})\s+\w+\s*:)", re.IGNORECASE)
_GROWTH = re.compile(r"\s*+(?P<word>\w++(?:\s++\w++)++\s*+\|)[^~=]*@")
_SECTION: Remark = (
    "This heads a section of an Mplus input.",
    f"Only the statements of the model belong here. {_DICTIONARY} Data, clusters and options are "
    "arguments of Model(). bm.from_mplus(text) reads whole inputs.",
    True,
)
_GROWTH_FACTORS: Remark = (
    "Growth factors are not written with '|'.",
    "Write their loadings: 'i =~ 1*y1 + 1*y2 + 1*y3' and 's =~ 0*y1 + 1*y2 + 2*y3'.",
    True,
)
_LATENT_PRODUCT: Remark = (
    "Latent interactions (XWITH) are not supported.",
    "Products of factors are not there yet.",
    False,
)


def mplus_statement(around: Passage) -> tuple[int, str, Remark] | None:
    """Read ``f BY y1 y2``, ``y ON x`` and the like.

    Returns
    -------
    tuple or None
        Position of the word in the text, the word, and what to say; None if this is no such
        statement.
    """
    for pattern, told in ((_HEADING, _SECTION), (_GROWTH, _GROWTH_FACTORS)):
        if (found := pattern.match(around.whole)) is not None:
            return around.start + found.start("word"), found["word"], told
    found = _STATEMENT.fullmatch(around.whole)
    if found is None:
        return None
    word = found["word"]
    problem = f"'{word}' is Mplus's word."
    remark: Remark
    if word.upper() == "XWITH":
        remark = _LATENT_PRODUCT
    elif word.upper() in ("IND", "VIA"):
        suggestion = (
            "An indirect effect is a definition of labels: m ~ a*x, y ~ b*m, then ind := a*b."
        )
        remark = (problem, suggestion, True)
    else:
        written = _translated(found["left"], word.upper(), found["right"])
        remark = (problem, f"Write '{written}'." if written else f"Here {_DICTIONARY}", True)
    return around.start + found.start("word"), word, remark


def bar_statement(around: Passage) -> Remark | None:
    """Read ``s | y ON x``, ``s | y ~ x``, ``l1-l3 | f BY y1-y3``, ``v | y``; None if thresholds."""
    names, right = _items(around.before), around.after
    if re.search(r"\bXWITH\b", right, re.IGNORECASE):
        return _LATENT_PRODUCT
    problem = "A coefficient that varies over clusters is not written with '|'."
    if "@" in right:
        return _GROWTH_FACTORS
    found = re.fullmatch(r"(.*?)(=~|~~|~|\bBY\b|\bON\b|\bWITH\b)(.*)", right, re.I | re.DOTALL)
    if found is None:
        plain = _items(right)
        if plain is None or all(re.fullmatch(r"t\d+", name) for name in plain):
            return None
        if names and len(names) == len(plain) == 1 and "+" not in right:
            return (
                problem,
                f"A residual variance that varies is '{plain[0]} ~~ rv(\"{names[0]}\")*{plain[0]}' "
                f"(here '{names[0]}' is the log standard deviation). Thresholds of ordered "
                "outcomes are named t1, t2, ..., as in 'y | t1 + t2'.",
                True,
            )
        return None
    operator = _OPERATORS.get(found[2].upper(), found[2])
    left, terms = _items(found[1]), _items(found[3].replace("+", " "))
    if names and left and terms and len(left) == 1 and len(names) == len(terms):
        pairs = zip(names, terms, strict=True)
        varying = " + ".join(f'rv("{name}")*{term}' for name, term in pairs)
        return problem, f"Write '{left[0]} {operator} {varying}' at level within.", True
    return problem, "Write 'y ~ rv(\"s\")*x' or 'f =~ rv(\"l\")*y' at level within.", True


def mplus_header(token: Token, text: str) -> Remark | None:
    """Read ``MODEL:`` and other headings of an input file, at their colon."""
    words = statement_at(text, token).before.split()
    if not words or len(words) > 2 or not all(word.lower() in _SECTIONS for word in words):
        return None
    return _SECTION


def mplus_sign(token: Token, text: str) -> Remark | None:
    """Read ``%WITHIN%``, ``[y]``, ``y@1`` and ``y&1`` at their first sign."""
    around = statement_at(text, token)
    match token.value:
        case "%":
            return _percent(around)
        case "[":
            if (indexed := re.search(r"([\w.]+)\)?$", around.before)) is not None:
                written = around.after.partition("]")[0]
                category = written.removeprefix("T.") or "b"
                return (
                    f"'{indexed[0]}[{written}]' is not a variable.",
                    f"The dummy variable of a category is written {indexed[1]}[T.{category}].",
                    True,
                )
            inside = around.after.partition("]")[0]
            names = _items(inside)
            variable = " + ".join(names) if names else "y"
            return ("'[...]' is Mplus's sign for a mean.", f"Write '{variable} ~ 1'.", True)
        case "@":
            name = re.search(r"[\w.]+\s*$", around.before)
            value = re.match(r"\s*(-?[\d.]+)", around.after)
            variable = name[0].strip() if name else "y"
            fixed = f"{value[1] if value else 1}*{variable}"
            if name and around.before.strip() == variable:
                fixed = f"{variable} ~~ {fixed}"  # alone, it is a variance
            return "'@' is Mplus's sign for a fixed value.", f"Write '{fixed}'.", True
        case "&":
            return (
                "Lagged variables, as in y&1, are not supported.",
                "Models for time series are not there yet.",
                False,
            )
    return None


def _percent(around: Passage) -> Remark | None:
    found = re.match(r"\s*(\w+)(\s+[\w.]+)?[^%\n]*%", around.after)
    if found is None:
        return None
    word = found[1].upper()
    problem = f"'%{word}%' is Mplus's heading of a block."
    if word in ("WITHIN", "BETWEEN") and found[2] is None:
        return problem, f"Write 'level: {word.lower()}'.", True
    if word in ("WITHIN", "BETWEEN"):
        return (
            f"'%{word}{found[2]}%' belongs to a model of three levels or crossed clusters.",
            "Nested clusters have a block each, named by their column: 'level: "
            f"{str(found[2]).strip()}', with both columns in cluster=. Crossed clusters are not "
            "there yet.",
            False,
        )
    return problem, "Mixtures (latent classes) and multi-group models are not there yet.", False


def _translated(left: str, word: str, right: str) -> str | None:
    """Write a statement in our syntax; None if some word of it is not understood."""
    lhs, rhs = _items(left), _items(right)
    if word not in _OPERATORS or not lhs or not rhs:
        return None
    return f"{' + '.join(lhs)} {_OPERATORS[word]} {' + '.join(rhs)}"


def _items(words: str) -> list[str] | None:
    """Read variables, ranges (``y1-y3``) and values (``y1@1``, ``y1*0.5``, ``y1*``)."""
    terms: list[str] = []
    for word in re.sub(r"\s*-\s*(?=[^\W\d])", "-", words).replace(",", " ").split():
        if NAME.fullmatch(word):
            terms.append(word)
        elif found := _ITEM.fullmatch(word):
            if (found["sign"] == "@") and not found["value"]:
                return None
            value = found["value"] or ""
            modifier = value if found["sign"] == "@" else f"start({value})" if value else "NA"
            terms.append(f"{modifier}*{found['name']}")
        elif expanded := _range(word):
            terms += expanded
        else:
            return None
    return terms


def _range(word: str) -> list[str] | None:
    first, dash, last = word.partition("-")
    ends = [_NUMBERED.fullmatch(end) for end in (first, last)]
    if not dash or ends[0] is None or ends[1] is None or ends[0][1] != ends[1][1]:
        return None
    if int(ends[1][2]) - int(ends[0][2]) > _LONGEST_RANGE:
        return None
    width = len(ends[0][2]) if ends[0][2].startswith("0") else 0
    numbers = range(int(ends[0][2]), int(ends[1][2]) + 1)
    return [f"{ends[0][1]}{number:0{width}d}" for number in numbers] or None
