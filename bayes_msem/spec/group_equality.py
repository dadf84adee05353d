"""Words for what is equal between groups: lavaan's ``group.equal`` and ``group.partial``.

=======================  =========================================================================
word                     rows
=======================  =========================================================================
loadings                 ``f =~ y``, and means of loadings that vary over clusters
intercepts               ``y ~ 1`` of observed variables
means                    ``f ~ 1`` of factors
regressions              ``y ~ x``, and means of slopes that vary over clusters
residuals                ``y ~~ y`` of observed variables, and means of their log SDs that vary
residual.covariances     ``y1 ~~ y2`` of observed variables
lv.variances             variances of factors and of coefficients that vary, and means of log SDs
lv.covariances           covariances in which a factor or a coefficient that varies takes part
=======================  =========================================================================

Rows that the text fixes or labels stay as written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bayes_msem.errors import NotSupportedError, SpecificationError, nearest
from bayes_msem.spec.row_names import LEVEL_NAMES, find_rows, is_key
from bayes_msem.spec.table import Role, Row, RowKey

__all__ = ["Equal", "EqualityWord", "partial_rows", "read_equal", "word_of"]

EqualityWord = Literal[
    "loadings",
    "intercepts",
    "means",
    "regressions",
    "residuals",
    "residual.covariances",
    "lv.variances",
    "lv.covariances",
]
Equal = Mapping[str, frozenset[str]]
_NOT_HERE = ("thresholds", "composite.loadings", "composite.weights")


def read_equal(name: str, given: Any, *, two_level: bool) -> dict[str, frozenset[str]]:
    """Read words of equality: level -> words.

    Parameters
    ----------
    name
        Of the argument, for messages.
    given
        None, a word, a list of words for all levels, or a mapping from levels to them.
    two_level
        Whether the model has a level between.

    Raises
    ------
    SpecificationError
        An unknown word or level.
    NotSupportedError
        A word for outcomes that are not normal.
    """
    levels = ("within", "between") if two_level else ("within",)
    if given is None:
        return dict.fromkeys(levels, frozenset[str]())
    if not isinstance(given, Mapping):
        return dict.fromkeys(levels, _words(name, given))
    found = dict.fromkeys(levels, frozenset[str]())
    for level, words in given.items():
        plain = LEVEL_NAMES.get(str(level), "")
        if plain not in levels:
            raise SpecificationError(
                f"{name} has the level {level!r}; this model has {' and '.join(levels)}"
            )
        found[plain] = _words(name, words)
    return found


def _words(name: str, given: Any) -> frozenset[str]:
    words = [given] if isinstance(given, str) else given
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise SpecificationError(
            f"{name} must be a list of words such as ['loadings', 'intercepts'], or a mapping from "
            f"levels to such lists, got {given!r}"
        )
    allowed = get_args(EqualityWord)
    for word in words:
        if word in _NOT_HERE:
            raise NotSupportedError(
                f"{name} has '{word}', but groups have normal outcomes and factors with indicators "
                f"only; allowed are {', '.join(allowed)}"
            )
        if word not in allowed:
            raise SpecificationError(
                f"{name} has the unknown word '{word}'{nearest(word, allowed) or '.'} Allowed are "
                f"{', '.join(allowed)}"
            )
    return frozenset(words)


def partial_rows(given: Any, rows: Sequence[Row]) -> frozenset[RowKey]:
    """Read ``group_partial``: rows, by any of their names, that stay free in every group.

    A name without its level stands for the rows of both levels.
    """
    if given is None:
        return frozenset()
    names = [given] if isinstance(given, str) or is_key(given) else list(given)
    return frozenset(
        row.key for name in names for row in find_rows(rows, name, what="group_partial")
    )


@dataclass(frozen=True, slots=True)
class _Latent:
    roles: Mapping[tuple[str, str], Role]

    def factor(self, level: str, name: str) -> bool:
        return self.roles.get((level, name), "").endswith("factor")

    def any(self, level: str, name: str) -> bool:
        return self.factor(level, name) or self.roles.get((level, name)) == "random effect"


def word_of(
    row: Row, roles: Mapping[tuple[str, str], Role], varying: Mapping[str, Row]
) -> str | None:
    """Return the word that a row belongs to; None for definitions.

    Parameters
    ----------
    row
        The row.
    roles
        (level, variable) -> role.
    varying
        Name of a coefficient that varies -> its row at level within.
    """
    latent = _Latent(roles)
    match row.kind:
        case "loading":
            return "loadings"
        case "regression":
            return "regressions"
        case "intercept":
            if row.lhs in varying and row.level == "between":
                return word_of(varying[row.lhs], roles, {})
            return "means" if latent.factor(row.level, row.lhs) else "intercepts"
        case "variance":
            return "lv.variances" if latent.any(row.level, row.lhs) else "residuals"
        case "covariance":
            if latent.any(row.level, row.lhs) or latent.any(row.level, row.rhs):
                return "lv.covariances"
            return "residual.covariances"
    return None
