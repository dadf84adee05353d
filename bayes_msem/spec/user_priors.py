"""Priors the user sets, and the completed table.

A prior can be set for one row, for a label, for all rows of a kind at one level, or for all rows
of a kind. Of several that hold for a parameter the most specific wins:

1. a row: ``("within", "fw", "=~", "y2")``, ``"within: fw =~ y2"``, or ``"fw =~ y2"`` where only
   one level has such a free row; ``prior("...")`` in the model text;
2. a label: ``"bw"``;
3. a level and a kind, ``("within", "loading")`` or ``("within", "=~")``;
4. a level and ``"~~"``: ``("between", "~~")``;
5. a kind, ``"loading"`` or ``"=~"``;
6. ``"~~"``.

Kinds are loading (``=~``), regression (``~``), intercept (``~1``), variance or sd, covariance,
threshold (``|``) and dispersion. ``"~~"`` alone stands for the variances if the family is one of
positive numbers, for the correlations if it is lkj or beta, and for covariances without a
correlation otherwise.

The key "defaults" names the set of defaults for the parameters that no other key holds for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from bayes_msem.errors import MsemError, NotSupportedError, SpecificationError, nearest
from bayes_msem.spec.covariance import CovarianceBlock, covariance_blocks
from bayes_msem.spec.default_priors import default_priors
from bayes_msem.spec.prior_sets import DEFAULT_SET, PRIOR_SETS, PriorSetName
from bayes_msem.spec.prior_text import Prior, fit_to_kind, read_prior
from bayes_msem.spec.row_names import KINDS, key_text, level_words, matching_rows, term_of
from bayes_msem.spec.table import Kind, ParameterTable, Row, RowKey
from bayes_msem.spec.threshold_priors import settle_thresholds
from bayes_msem.spec.variable_scales import Scales

__all__ = ["DEFAULTS_KEY", "prior_set_of", "resolve_priors", "unused_priors"]

# "~~" alone depends on the family, and definitions have no priors
_KINDS: dict[str, Kind | Literal["~~"]] = {
    word: "~~" if word == "~~" else kinds[0] for word, kinds in KINDS.items() if word != "defined"
}
_SHOWN_KEYS = 12
_ROW, _LABEL = 0, 1
DEFAULTS_KEY = "defaults"


@dataclass(frozen=True, slots=True)
class _Request:
    """A prior the user asks for: where it was written, how specific it is, and its rows.

    A kind that the model lacks has no rows.
    """

    source: str
    rank: int
    rows: tuple[Row, ...]
    prior: Prior


def resolve_priors(
    table: ParameterTable, scales: Scales, user: Mapping[Any, str | Prior] | str | None = None
) -> tuple[ParameterTable, dict[int, Prior]]:
    """Give every free parameter its prior: the user's where there is one, else the default.

    Parameters
    ----------
    table
        The parameter table, with ``prior("...")`` of the model text in ``Row.prior``.
    scales
        Location and scale of the observed variables.
    user
        Prior, or its text, by row, label or kind (see the top of this module); or the name of a set
        of defaults.

    Returns
    -------
    table : ParameterTable
        The same table with the full prior text in every free row.
    priors : dict
        Prior by free number.

    Raises
    ------
    SpecificationError
        A key that names nothing, a row that is not free, a family that does not suit, a row
        set twice, or priors that contradict each other.
    NotSupportedError
        A prior of a variance or precision; a label that joins parameters of different kinds.
    """
    parameters = _rows_by_parameter(table)
    priors = default_priors(table, scales, prior_set_of(user))
    blocks = [b for level in table.levels for b in covariance_blocks(table, level)]
    requests = _text_requests(table) + _user_requests(table, user, blocks)
    _check_set_once(requests)
    asked = {free: _most_specific(rows, requests) for free, rows in parameters.items()}
    wishes = {free: prior for free, prior in asked.items() if prior is not None}
    priors = settle_thresholds(table, priors | wishes, wishes)
    for block in blocks:
        _check_block(block, priors)
    filled = tuple(replace(r, prior=str(priors[r.free])) if r.free else r for r in table.rows)
    return replace(table, rows=filled), priors


def unused_priors(
    table: ParameterTable, user: Mapping[Any, str | Prior] | str | None = None
) -> list[str]:
    """Name kinds of rows in ``user`` that the model lacks.

    Parameters
    ----------
    table, user
        As for :func:`resolve_priors`, which accepts them.

    Returns
    -------
    list of str
        One note, or none.
    """
    blocks = [b for level in table.levels for b in covariance_blocks(table, level)]
    unused = [q.source for q in _user_requests(table, user, blocks) if not q.rows]
    if not unused:
        return []
    return [
        f"{', '.join(unused)}: this model has no such free row, so "
        f"{'this prior is' if len(unused) == 1 else 'these priors are'} not used."
    ]


def prior_set_of(user: Mapping[Any, str | Prior] | str | None) -> PriorSetName:
    """Return the set of defaults that the user names, or the default set.

    Parameters
    ----------
    user
        As for :func:`resolve_priors`.

    Raises
    ------
    SpecificationError
        There is no set of this name.
    """
    named = user.get(DEFAULTS_KEY, DEFAULT_SET) if isinstance(user, Mapping) else user
    if named is None or not isinstance(user, (str, Mapping)):
        return DEFAULT_SET
    for name in PRIOR_SETS:
        if name == named:
            return name
    where = f"priors[{DEFAULTS_KEY!r}]: " if isinstance(user, Mapping) else ""
    raise SpecificationError(
        f"{where}unknown set of priors '{named}'; sets are {', '.join(map(repr, PRIOR_SETS))}"
        f"{nearest(str(named), tuple(PRIOR_SETS))}; priors of single rows are a mapping such as "
        "{'fw =~ y2': 'normal(0.8, 0.2)'}"
    )


def _text_requests(table: ParameterTable) -> list[_Request]:
    requests = []
    for row in table.rows:
        if row.prior:
            source = f'prior("{row.prior}") of {key_text(row.key)} in the model text'
            rows = _only_free([row], source, table)
            requests.append(_Request(source, _ROW, rows, _fitted(row.prior, row.kind, source)))
    return requests


def _user_requests(
    table: ParameterTable,
    user: Mapping[Any, str | Prior] | str | None,
    blocks: list[CovarianceBlock],
) -> list[_Request]:
    if user is None or isinstance(user, str):
        return []
    if not isinstance(user, Mapping):
        raise SpecificationError(
            "priors must be a mapping such as {'fw =~ y2': 'normal(0.8, 0.2)'}, not "
            f"{type(user).__name__}"
        )
    correlated = {free for b in blocks if b.pattern != "direct" for free in b.free_edges}
    requests = []
    for key, value in user.items():
        if key == DEFAULTS_KEY:
            continue
        source = f"priors[{key!r}]"
        pattern = _pattern(key, table)
        if pattern is None:
            rank, rows = _named_rows(key, table, source)
            requests.append(_Request(source, rank, rows, _fitted(value, rows[0].kind, source)))
        else:
            requests.append(_pattern_request(pattern, value, table, source, correlated))
    return requests


# Keys ------------------------------------------------------------------------------------------


def _pattern(key: Any, table: ParameterTable) -> tuple[str, Kind | Literal["~~"]] | None:
    """Read (level or "", kind or "~~") from a key; None if it is a row or a label."""
    if isinstance(key, str):
        word = key.strip()
        is_label = any(r.label == word for r in table.rows)
        return ("", _KINDS[word]) if word in _KINDS and not is_label else None
    if isinstance(key, tuple) and len(key) == 2:
        level, kind = level_words(table.rows).get(str(key[0])), _KINDS.get(str(key[1]))
        if not level or kind is None:
            names = table.levels if table.three_level else ("within", "between")
            listed = " or ".join([", ".join(f"'{n}'" for n in names[:-1]), f"'{names[-1]}'"])
            raise SpecificationError(
                f"priors[{key!r}]: a key of two parts is (level, kind) with level {listed} and a "
                f"kind out of {', '.join(_KINDS)}"
            )
        return level, kind
    return None


def _pattern_request(
    pattern: tuple[str, Kind | Literal["~~"]],
    value: str | Prior,
    table: ParameterTable,
    source: str,
    correlated: set[int],
) -> _Request:
    level, kind = pattern
    rank = 2 + (kind == "~~") + 2 * (not level)
    with _told(source):
        prior = _read(value)
    on_correlation = prior.definition.support == "correlation"
    if kind == "~~":
        is_sd = prior.scale == "sd" or (prior.scale == "" and prior.is_positive)
        kind = "variance" if is_sd and not on_correlation else "covariance"
    rows = tuple(
        r
        for r in table.rows
        if r.free
        and r.kind == kind
        and (not level or r.level == level)
        and (kind != "covariance" or (r.free in correlated) == on_correlation)
    )
    present = any(r.free and r.kind == kind and level in ("", r.level) for r in table.rows)
    if not rows and present:
        where = f"at the {level} level" if level else "in the model"
        what = {True: " with a correlation", False: " without a correlation"}[on_correlation]
        what = f"free {kind}{what if kind == 'covariance' else ''}"
        raise SpecificationError(
            f"{source}: there is no {what} {where} that {prior} could hold for; "
            f"{_valid_keys(str(pattern[1]), table)}"
        )
    return _Request(source, rank, rows, _fitted(prior, kind, source))


def _named_rows(key: Any, table: ParameterTable, source: str) -> tuple[int, tuple[Row, ...]]:
    if not isinstance(key, str) and not (isinstance(key, tuple) and len(key) in (3, 4)):
        raise SpecificationError(
            f"{source}: a key is a row (level, lhs, op, rhs), a text such as 'fw =~ y2', a "
            f"label, or (level, kind); {_valid_keys(str(key), table)}"
        )
    rows = matching_rows(table.rows, key)
    if not rows:
        text = key if isinstance(key, str) else f"{key[0]}: {' '.join(map(str, key[1:]))}"
        raise SpecificationError(f"{source} names nothing; {_valid_keys(text, table)}")
    if isinstance(key, str) and key.strip() in (rows[0].label, rows[0].lhs):
        return _LABEL, _only_free(rows, source, table)
    free = [r for r in rows if r.free]
    if len({(r.level, r.lhs, term_of(r.rhs)) for r in free}) > 1:
        raise SpecificationError(
            f"{source} is ambiguous: write {' or '.join(repr(key_text(r.key)) for r in free)}"
        )
    return _ROW, _only_free(free or rows[:1], source, table)  # several: the dummies of one term


def _only_free(rows: Iterable[Row], source: str, table: ParameterTable) -> tuple[Row, ...]:
    """Return the rows, all of which must be free parameters."""
    for row in rows:
        if row.free:
            continue
        if row.kind == "defined":
            why = "it is defined by an expression; set priors of the parameters in it"
        elif row.random:
            mean, spread = table.mean_level(row.random), table.above(row.level)
            why = (
                f"it varies over clusters; set '{mean}: {row.random} ~ 1' for its mean and "
                f"'{spread}: {row.random} ~~ {row.random}' for its standard deviation"
            )
        elif row.value == row.value:  # not NaN
            why = f"it is fixed at {row.value:g}; free it with NA* or drop its prior"
        else:
            why = "it follows from a constraint; set priors of the labels on its right side"
        raise SpecificationError(f"{source}: {key_text(row.key)} cannot have a prior, {why}")
    return tuple(rows)


def _valid_keys(text: str, table: ParameterTable) -> str:
    """List the keys that would have been valid, nearest first."""
    free = [r for r in table.rows if r.free]
    keys = [key_text(r.key) for r in free] + [r.label for r in free if r.label]
    keys = list(dict.fromkeys(keys))

    def likeness(key: str) -> float:
        # Without its level as well: the user may have left that out.
        forms = {key, key.split(": ", 1)[-1]}
        return max(
            difflib.SequenceMatcher(None, text.casefold(), form.casefold()).ratio()
            for form in forms
        )

    keys.sort(key=likeness, reverse=True)
    more = len(keys) - _SHOWN_KEYS
    shown = ", ".join(repr(k) for k in keys[:_SHOWN_KEYS])
    tail = f" and {more} more (see the parameter table)" if more > 0 else ""
    return f"valid keys, nearest first: {shown}{tail}; or all rows of a kind: {', '.join(_KINDS)}"


# Values ----------------------------------------------------------------------------------------


@contextmanager
def _told(source: str) -> Iterator[None]:
    """Say in every error where the prior was written."""
    try:
        yield
    except MsemError as error:
        raise type(error)(f"{source}: {error}") from None


def _read(value: str | Prior) -> Prior:
    if isinstance(value, Prior):
        return value
    if isinstance(value, str):
        return read_prior(value)
    raise SpecificationError(
        f"a prior is a text such as 'normal(0, 1)' or a Prior, not {type(value).__name__}"
    )


def _fitted(value: str | Prior, kind: Kind, source: str) -> Prior:
    with _told(source):
        return fit_to_kind(_read(value), kind)


# Choice and consistency ------------------------------------------------------------------------


def _rows_by_parameter(table: ParameterTable) -> dict[int, list[Row]]:
    """Rows of each free number, which must all have their prior on the same scale."""
    groups: dict[int, list[Row]] = {}
    for row in table.rows:
        if row.free:
            groups.setdefault(row.free, []).append(row)
    for rows in groups.values():
        scales = {r.kind if r.op == "~~" else "coefficient": r for r in rows}
        if len(scales) > 1:
            names = " and ".join(f"the {kind} {key_text(r.key)}" for kind, r in scales.items())
            raise NotSupportedError(
                f"label '{rows[0].label}' makes {names} equal, but their priors are on different "
                "scales; give them labels of their own"
            )
    return groups


def _check_set_once(requests: list[_Request]) -> None:
    first: dict[tuple[int, RowKey], _Request] = {}
    for request in requests:
        for row in request.rows:
            other = first.setdefault((request.rank, row.key), request)
            if other is not request:
                raise SpecificationError(
                    f"the prior of {key_text(row.key)} is set twice: {other.source} and "
                    f"{request.source}; keep one"
                )


def _most_specific(rows: list[Row], requests: list[_Request]) -> Prior | None:
    """Return the most specific prior asked for any of the rows of one parameter."""
    keys = {r.key for r in rows}
    asked = [q for q in requests if keys & {r.key for r in q.rows}]
    if not asked:
        return None
    rank = min(q.rank for q in asked)
    best = {q.prior: q for q in asked if q.rank == rank}
    if len(best) > 1:
        wishes = " and ".join(f"{q.prior} by {q.source}" for q in best.values())
        raise SpecificationError(
            f"rows {', '.join(key_text(r.key) for r in rows)} share the label "
            f"'{rows[0].label}' and are one parameter, but get different priors: {wishes}; keep "
            f"one, or set it by the label: priors={{'{rows[0].label}': ...}}"
        )
    return next(iter(best))


def _check_block(block: CovarianceBlock, priors: dict[int, Prior]) -> None:
    """Check that the rows of a block agree: a correlation matrix has one density."""
    members = ", ".join(block.variables)
    for free, (a, b) in block.free_edges.items():
        prior, name = priors[free], f"'{block.level}: {b} ~~ {a}'"
        if block.pattern == "direct" and prior.scale == "cor":
            raise SpecificationError(
                f"the prior {prior} of {name} is on a correlation, but the covariances of "
                f"{members} are parameters themselves (they leave out pairs in a way that "
                "correlations cannot, or one is fixed or shared by a label); write for instance "
                "normal(0, 1)[cov]"
            )
        if block.pattern != "direct" and prior.scale != "cor":
            raise SpecificationError(
                f"the prior {prior} of {name} is on the covariance, but its parameter is the "
                "correlation; write lkj(2)" + (" or beta(2, 2)" if len(block.edges) == 1 else "")
            )
        if block.pattern != "direct" and prior.family == "beta" and len(block.edges) > 1:
            raise SpecificationError(
                f"the prior {prior} of {name} is for a pair, but {members} covary as a block, "
                "whose correlations bound each other; write the same lkj(eta) for all of them: "
                f"priors={{('{block.level}', 'covariance'): 'lkj(2)'}}"
            )
    if block.pattern != "direct" and len({priors[f] for f in block.free_edges}) > 1:
        listed = ", ".join(f"{b} ~~ {a}: {priors[f]}" for f, (a, b) in block.free_edges.items())
        raise SpecificationError(
            f"{members} covary as a block at the {block.level} level, whose correlation matrix "
            f"has one prior, det(R)^(eta - 1), but its rows differ ({listed}); set them together: "
            f"priors={{('{block.level}', 'covariance'): 'lkj(2)'}}"
        )
