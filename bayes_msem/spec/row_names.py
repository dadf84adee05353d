"""Names of rows of the parameter table: one way to write them, wherever a row is asked for.

A row is named by

- its key ``("within", "fw", "=~", "y2")``, also without the level,
- its text ``"within: fw =~ y2"``, also without the level, with any blanks,
- its label, ``"b1"``, or, if it is defined, its name, ``"indirect"``;
- ``"y ~ x"`` for the dummies ``y ~ x[T.b]``, ... of a column of categories: one row if there is
  one of them.

Levels may be written as 1 and 2, intercepts as ``~1``, ``y2 ~~ y1`` is ``y1 ~~ y2``, and
``y ~ z:x`` is ``y ~ x:z``. Where one row is asked for, a name without its level must not fit rows
of both levels; rows that share a label are one parameter. Where several rows may be meant, a kind
names them: ``"loading"`` or ``"=~"``, also with a level, ``("within", "loading")``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

from bayes_msem.errors import SpecificationError, nearest
from bayes_msem.spec.table import Kind, Row, RowKey

__all__ = [
    "KINDS",
    "LEVEL_NAMES",
    "ByRow",
    "UnknownRowError",
    "by_key",
    "find_row",
    "find_rows",
    "formula",
    "is_key",
    "key_text",
    "level_words",
    "matching_rows",
    "rows_of_kind",
    "term_of",
]

LEVEL_NAMES = {"within": "within", "between": "between", "1": "within", "2": "between", "": ""}
_WITHIN_ALONE = {"within", "between", ""}
KINDS: dict[str, tuple[Kind, ...]] = {
    "=~": ("loading",),
    "~": ("regression",),
    "~1": ("intercept",),
    "~~": ("variance", "covariance", "dispersion"),
    "|": ("threshold",),
    "loading": ("loading",),
    "regression": ("regression",),
    "intercept": ("intercept",),
    "variance": ("variance",),
    "sd": ("variance",),
    "covariance": ("covariance",),
    "threshold": ("threshold",),
    "dispersion": ("dispersion",),
    "defined": ("defined",),
}
_OPERATORS = ("=~", "~~", "~", "|", ":=")
_LEVEL = re.compile(r"(within|between|1|2):(?!=)")
_CATEGORY = re.compile(r"\[T\.[^\]]*\]")
_PARTS = re.compile(r"[\w.]+(?:\[T\.[^\]]*\])?")  # x, x[T.b]; a product x:z has several


class UnknownRowError(SpecificationError, KeyError):
    """No row has this name, or several have; a KeyError too, as mappings raise."""

    def __str__(self) -> str:
        """Return the message, which KeyError would put in quotes."""
        return str(self.args[0])


_MOST_PARTS = 5  # of a product that are tried in every order


def level_words(rows: Iterable[Row]) -> dict[str, str]:
    """Words for levels -> names of levels; numbers too, and "" for none.

    The upper levels of three-level models are named by columns, which the rows tell. Numbers stand
    for them where rows of all levels are there.
    """
    named = list(dict.fromkeys(row.level for row in rows))
    if _WITHIN_ALONE.issuperset(named):
        return LEVEL_NAMES
    levels = [name for name in named if name]
    words = {"": "", "within": "within", "1": "within"} | {name: name for name in levels}
    if len(levels) == 3:
        words |= {str(i): name for i, name in enumerate(levels, 1)}
    return words


def formula(row: Row) -> str:
    """Text of a row inside its level, such as ``"fw =~ y2"``."""
    return f"{row.lhs} {row.op} {row.rhs}"


def key_text(key: RowKey) -> str:
    """Text of a key, such as ``"within: fw =~ y2"``."""
    level, lhs, op, rhs = key
    return f"{level}: {lhs} {op} {rhs}" if level else f"{lhs} {op} {rhs}"


def is_key(name: object) -> bool:
    """Whether this is one key rather than a sequence of names."""
    return isinstance(name, tuple) and _normal_key(name) is not None


def matching_rows(rows: Iterable[Row], name: object) -> tuple[Row, ...]:
    """Rows that a name stands for, none if it is unknown."""
    rows = tuple(rows)
    if isinstance(name, tuple):
        key = _normal_key(name, level_words(rows))
        return () if key is None else _at(rows, key)
    if not isinstance(name, str):
        return ()
    text = _plain(name)
    labelled = tuple(r for r in rows if text and text == (r.lhs if r.op == ":=" else r.label))
    if labelled:
        return labelled
    words = level_words(rows)
    found = (_LEVEL if words is LEVEL_NAMES else _level_of(words)).match(text)
    level, rest = (found[1], text[found.end() :]) if found else ("", text)
    wanted = words[level]
    return tuple(r for r in rows if rest in _spellings(r) and (not level or r.level == wanted))


def rows_of_kind(rows: Iterable[Row], name: object) -> tuple[Row, ...]:
    """Rows of a kind, such as ``"loading"`` or ``("within", "=~")``; none if it names no kind."""
    level, kind = name if isinstance(name, tuple) and len(name) == 2 else ("", name)
    kinds = KINDS.get(_plain(kind), ()) if isinstance(kind, str) else ()
    rows = tuple(rows)
    wanted = level_words(rows).get(str(level), "unknown")
    return tuple(r for r in rows if r.kind in kinds and (not wanted or r.level == wanted))


def find_rows(rows: Iterable[Row], name: object, *, what: str = "") -> tuple[Row, ...]:
    """Rows that a name stands for.

    Parameters
    ----------
    rows
        Where to look.
    name
        See the top of this module.
    what
        Where the name was given, for the message.

    Raises
    ------
    UnknownRowError
        There are none.
    """
    rows = tuple(rows)
    found = matching_rows(rows, name)
    if not found:
        raise UnknownRowError(_unknown(rows, name, what))
    return found


def find_row(rows: Iterable[Row], name: object, *, what: str = "") -> Row:
    """Return the one row that a name stands for; arguments as in :func:`find_rows`.

    Raises
    ------
    UnknownRowError
        There is none, or several that are not one parameter.
    """
    found = find_rows(rows, name, what=what)
    # rows with one label are equal
    labelled = isinstance(name, str) and all(r.label == _plain(name) for r in found)
    if len(found) > 1 and not labelled:
        several = " or ".join(repr(key_text(r.key)) for r in found)
        raise UnknownRowError(f"{_source(what)}{name!r} is ambiguous; write {several}")
    return found[0]


def by_key[T](rows: Iterable[Row], values: Mapping[Any, T], *, what: str) -> dict[RowKey, T]:
    """Write the keys of rows for their names; a label stands for all its rows.

    Parameters
    ----------
    rows
        The rows.
    values
        Name of a row -> value.
    what
        Where they were given, for messages.

    Raises
    ------
    UnknownRowError
        A name that stands for no row, or for several.
    SpecificationError
        Two values of one row.
    """
    rows = tuple(rows)
    result: dict[RowKey, T] = {}
    sources: dict[RowKey, Any] = {}
    for name, value in values.items():
        first = find_row(rows, name, what=what)
        labelled = isinstance(name, str) and name.strip() == first.label
        for row in find_rows(rows, name, what=what) if labelled else (first,):
            if row.key in result and result[row.key] != value:
                raise SpecificationError(
                    f"{what}: {sources[row.key]!r} and {name!r} are one row but have the values "
                    f"{result[row.key]} and {value}; keep one"
                )
            result[row.key], sources[row.key] = value, name
    return result


class ByRow[T](Mapping[RowKey, T]):
    """Values of rows: a mapping from keys that also takes every other name of a row.

    Parameters
    ----------
    rows
        The rows, whose order is kept.
    values
        Row key -> value; rows without one are left out.

    Examples
    --------
    >>> rows = [Row("within", "y", "~", "x", label="b"), Row("within", "y", "~~", "y")]
    >>> found = ByRow(rows, {rows[0].key: 0.5, rows[1].key: 2.0})
    >>> found["b"], found["y ~ x"], found["within", "y", "~~", "y"]
    (0.5, 0.5, 2.0)
    >>> "y ~ z" in found
    False
    """

    def __init__(self, rows: Iterable[Row], values: Mapping[RowKey, T]) -> None:
        self._rows = tuple(r for r in rows if r.key in values)
        self._values = {r.key: values[r.key] for r in self._rows}

    def __getitem__(self, name: Any) -> T:
        """Value of one row, by any of its names."""
        if isinstance(name, tuple) and name in self._values:
            return self._values[name]
        return self._values[find_row(self._rows, name).key]

    def __iter__(self) -> Iterator[RowKey]:
        """Iterate over the row keys."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._values)

    def __repr__(self) -> str:
        """Return the values by key."""
        return repr(self._values)


def _level_of(words: Mapping[str, str]) -> re.Pattern[str]:
    return re.compile(f"({'|'.join(re.escape(word) for word in words if word)}):(?!=)")


def _normal_key(name: Sequence[object], words: Mapping[str, str] | None = None) -> RowKey | None:
    """(level, lhs, op, rhs) with lavaan's spellings resolved; level "" if it was not given.

    Without ``words`` any level will do.
    """
    parts = [str(part) for part in name]
    if len(parts) == 3 and parts[1] in (*_OPERATORS, "~1"):
        parts = ["", *parts]
    words = LEVEL_NAMES | {parts[0]: parts[0]} if words is None else words
    if len(parts) != 4 or parts[2] not in (*_OPERATORS, "~1") or parts[0] not in words:
        return None
    level, lhs, op, rhs = parts
    return RowKey(words[level], lhs, *(("~", "1") if op == "~1" else (op, rhs)))


def _at(rows: Sequence[Row], key: RowKey) -> tuple[Row, ...]:
    level, lhs, op, rhs = key
    written = [(lhs, op, rhs)] + ([(rhs, op, lhs)] if op == "~~" else [])
    return tuple(
        r
        for r in rows
        if (not level or r.level == level)
        if any((r.lhs, r.op, other) in written for other in _written(r.rhs))
    )


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _spellings(row: Row) -> set[str]:
    """Texts of a row without its level and without blanks."""
    texts = {f"{row.lhs}{row.op}{_plain(rhs)}" for rhs in _written(row.rhs)}
    if row.op == "~~":
        texts.add(f"{row.rhs}~~{row.lhs}")
    return texts


def _orders(name: str) -> list[str]:
    """Ways to write a product: z:x is x:z."""
    parts = _PARTS.findall(name) if ":" in name else [name]
    if not 1 < len(parts) <= _MOST_PARTS:
        return [name]
    return [":".join(order) for order in permutations(parts)]


def _written(rhs: str) -> list[str]:
    """Right-hand sides that stand for a row; x stands for all of its dummies x[T.b]."""
    if ":" not in rhs and "[" not in rhs:  # most rows, and tables may be long
        return [rhs]
    term = term_of(rhs)
    return _orders(rhs) if term == rhs else [*_orders(rhs), *_orders(term)]


def term_of(rhs: str) -> str:
    """Return the term of the model text that a row may come from: x for x[T.b]."""
    return _CATEGORY.sub("", rhs)


def _source(what: str) -> str:
    return f"{what}: " if what else ""


def _unknown(rows: Sequence[Row], name: object, what: str) -> str:
    """Say that no row has this name, with the nearest one and an example of each way to write."""
    known = [key_text(r.key) for r in rows] + [formula(r) for r in rows]
    known += [r.label for r in rows if r.label] + [r.lhs for r in rows if r.op == ":="]
    text = name if isinstance(name, str) else " ".join(map(str, _parts(name)))
    hint, example = nearest(text, dict.fromkeys(known)) or ".", rows[0]
    if text in {r.random for r in rows if r.random}:
        above = [r.level for r in rows if r.level and (r.lhs, r.op, r.rhs) == (text, "~", "1")]
        hint = f"; the mean of this random coefficient is '{[*above, 'between'][0]}: {text} ~ 1'."
    return (
        f"{_source(what)}no row {name!r}{hint} A row is named by its key, such as {example.key}, "
        f"by its text, such as '{key_text(example.key)}' or '{formula(example)}', or by its label"
    )


def _parts(name: object) -> Iterable[object]:
    return name if isinstance(name, tuple) else (name,)
