"""Output in the documentation: taking excerpts, refreshing them, and comparing with tolerances.

Two runs of a sampler differ in their last digits, on another machine if not on the same one, so
shown and fresh output are compared word by word, and numbers within tolerances: a mean may differ
by a fifth of its posterior SD, limits of intervals by a half, effective sample sizes by a factor of
2.5, p-values of checks (ppp) by .05, R-hat by .01, all other numbers by 15% or three units of
their last digit.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w]|\.\d)")
_STATISTICS = ("mean", "sd", "lower", "upper", "2.5%", "97.5%", "ess_bulk", "ess_tail", "r_hat")
_RELATIVE, _UNITS, _ESS = 0.15, 3.0, 2.5
_MEAN, _LIMIT = 0.2, 0.5  # in posterior SDs
_PPP, _R_HAT = 0.05, 0.01
_WORDS = 0.9  # share of words that has to be the same


class StaleOutput(Exception):
    """A line that is shown is printed no longer."""


def excerpt(shown: str, printed: str) -> str:
    """Take from fresh output the lines that an excerpt shows.

    Parameters
    ----------
    shown
        The excerpt as it stands. ``...`` and empty lines stay; every other line stands for the
        next line of the output that has the same words before its first number.
    printed
        Fresh output.

    Raises
    ------
    StaleOutput
        A line has no counterpart.
    """
    fresh = printed.splitlines()
    result, position = [], 0
    for line in shown.splitlines():
        if line.strip() in ("...", ""):
            result.append(line)
            continue
        key = _key(line)
        found = next((i for i in range(position, len(fresh)) if _key(fresh[i]) == key), None)
        if found is None:
            raise StaleOutput(f"no line like this is printed any more: {line.strip()}")
        result.append(fresh[found].rstrip())
        position = found + 1
    return "\n".join(result) + "\n"


def _key(line: str) -> str:
    """Words before the first number; all words where there are none."""
    first = _NUMBER.search(line)
    before = line[: first.start()] if first else line
    return " ".join(before.split()) or " ".join(_NUMBER.sub("#", line).split())


def differences(shown: str, fresh: str) -> list[str]:
    """Say where shown output differs from fresh output by more than another run would.

    Returns
    -------
    list of str
        One message per number or stretch of words; empty if all is well.
    """
    ours, theirs = _tokens(_without_borderline(shown)), _tokens(_without_borderline(fresh))
    matcher = SequenceMatcher(None, [t[0] for t in ours], [t[0] for t in theirs], autojunk=False)
    messages = []
    if matcher.ratio() < _WORDS:
        messages.append(f"only {matcher.ratio():.0%} of the words are the same")
    for a, b, size in matcher.get_matching_blocks():
        for (kind, old, allowed), (_, new, _) in zip(
            ours[a : a + size], theirs[b : b + size], strict=True
        ):
            if kind == "#" and not _close(_value(old), _value(new), allowed, old):
                messages.append(f"{old} is shown, {new} is printed")
    return messages


def _without_borderline(text: str) -> str:
    """Leave out findings of check() that name clusters and rows just beyond a limit.

    Draws differ in their last digits between processors and compilations; which cluster has a
    Pareto k above .7, or which row is sensitive to its prior, may then change.
    """
    kept, inside = [], False
    for line in text.splitlines():
        if re.match(r"\s+(ok|look|!!)\s", line):
            inside = re.match(r"\s+(ok|look|!!)\s+(prediction|priors)\b", line) is not None
        if not inside:
            kept.append(line)
    return "\n".join(kept)


def _tokens(text: str) -> list[tuple[str, str, float | str]]:
    """Words and numbers: (the word or "#", as written, what is allowed)."""
    header: list[str] = []
    result: list[tuple[str, str, float | str]] = []
    for line in text.splitlines():
        words = line.split()
        if ("mean" in words and "sd" in words) or {"mean", "2.5%"} <= set(words):
            header = [w for w in words if w in _STATISTICS]
            result += [(w, w, 0.0) for w in words]
            continue
        pieces = [p for p in re.split(rf"({_NUMBER.pattern})|\s+", line) if p and p.strip()]
        numbers = [i for i, p in enumerate(pieces) if _NUMBER.fullmatch(p)]
        allowed = _allowed([pieces[i] for i in numbers], header)
        at = dict(zip(numbers, allowed, strict=True))
        at |= {i: _PPP for i in numbers if pieces[max(i - 1, 0)].endswith("ppp")}
        at |= {i: "ess" for i in numbers if pieces[max(i - 3, 0) : i] == ["ESS", "at", "least"]}
        result += [("#", p, at[i]) if i in at else (p, p, 0.0) for i, p in enumerate(pieces)]
    return result


def _allowed(numbers: list[str], header: list[str]) -> list[float | str]:
    """Tolerance of every number of a row; 0 where the general ones hold."""
    usual: list[float | str] = [0.0] * len(numbers)
    if not header or len(numbers) < len(header):
        return usual
    cells = dict(zip(header, numbers[-len(header) :], strict=True))
    lower = cells.get("lower", cells.get("2.5%"))
    upper = cells.get("upper", cells.get("97.5%"))
    spread = float(cells["sd"]) if "sd" in cells else 0.0
    if not spread and lower and upper:
        spread = (_value(upper) - _value(lower)) / 4
    special: dict[str, float | str] = {"mean": _MEAN * spread, "ess_bulk": "ess", "ess_tail": "ess"}
    special["r_hat"] = _R_HAT
    special |= dict.fromkeys(("lower", "upper", "2.5%", "97.5%"), _LIMIT * spread)
    return usual[: -len(header)] + [special.get(name, 0.0) for name in header]


def _close(old: float, new: float, allowed: float | str, written: str) -> bool:
    if allowed == "ess":
        return new <= _ESS * old and old <= _ESS * new
    assert not isinstance(allowed, str)
    digits = len(written.split("e")[0].partition(".")[2])
    power = int(written.partition("e")[2] or 0)
    unit = 10.0 ** (power - digits)
    usual = _RELATIVE * max(abs(old), abs(new))
    return abs(old - new) <= max(allowed or usual, _UNITS * unit)


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def numbers_left_behind(old: str, new: str, prose: str) -> list[str]:
    """Numbers that output showed and shows no longer, but the text around it still does."""
    gone = set(_NUMBER.findall(old)) - set(_NUMBER.findall(new))
    rounded = {f"{_value(n):.2f}" for n in gone if "." in n}
    kept = {f"{_value(n):.2f}" for n in _NUMBER.findall(new) if "." in n}
    mentioned = set(_NUMBER.findall(prose))
    long = {n for n in gone if len(n.lstrip("-0.")) > 1 and "." in n}
    return sorted((long | (rounded - kept)) & mentioned)
