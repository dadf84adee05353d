"""Rows of outcomes that are not normal: thresholds, fixed residual variances, dispersions.

The *residual level* of an outcome is the level of its own rows: within, or between for
cluster-level outcomes. The latent response y* has its residual there.

- Ordered outcomes: ``y ~~ y`` at the residual level is fixed at the variance of the link,
  thresholds ``y | t1 + ...`` are free, and the mean ``y ~ 1`` beside them is 0. Thresholds stand
  where the mean stands: at level between for split outcomes.
- Counts: the log rate has no residual, so there is no row ``c ~~ c`` at the residual level;
  negative binomial counts have their dispersion there.
- Residual covariances with such outcomes are never added by default, as in other programs that
  use the full likelihood: given factors, effects and covariates, outcomes are independent. An
  exception are modelled predictors, which covary as normal ones do (point 6 of
  :mod:`bayes_msem.spec.defaults`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bayes_msem.errors import NotSupportedError, SpecificationError, nearest
from bayes_msem.outcomes.families import Family
from bayes_msem.spec.parameter_labels import describe
from bayes_msem.spec.statements import Modifiers
from bayes_msem.spec.table import Role, Row

__all__ = ["Outcomes", "check_outcome_rows", "check_threshold_order", "not_normal"]

_OUTCOMES: tuple[Role, ...] = ("split", "within-only", "cluster-level")


def not_normal(
    families: Mapping[str, Family] | None, roles: Mapping[tuple[str, str], Role]
) -> dict[str, Family]:
    """Return the families of the outcomes that are not normal.

    Parameters
    ----------
    families
        Family by outcome; None if all are normal.
    roles
        Role by (level, variable).

    Raises
    ------
    SpecificationError
        A family of something that is no outcome.
    """
    for name, family in (families or {}).items():
        own = {role for (_, variable), role in roles.items() if variable == name}
        if not own & set(_OUTCOMES):
            raise SpecificationError(_no_outcome(name, family, own, roles))
    return {n: f for n, f in (families or {}).items() if f.name != "gaussian"}


def _no_outcome(
    name: str, family: Family, own: set[Role], roles: Mapping[tuple[str, str], Role]
) -> str:
    head = f"'{name}' is declared {family.text}, but "
    outcomes = list(dict.fromkeys(v for (_, v), role in roles.items() if role in _OUTCOMES))
    if not own:
        return (
            f"{head}the model text does not use it{nearest(name, outcomes) or '.'} Outcomes of "
            f"this model: {', '.join(outcomes) or 'none'}"
        )
    if any(role.endswith("covariate") for role in own):
        coded = (
            "a predictor enters as the numbers in its column, or as columns of 0 and 1 "
            f"(pandas.get_dummies(data['{name}'], drop_first=True))"
        )
        return (
            f"{head}it is a covariate: covariates are conditioned on and have no distribution; "
            f"{coded}. Take '{name}' out of the declaration"
        )
    return f"{head}it is a {min(own)}; declare the observed outcomes: {', '.join(outcomes)}"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the families of the outcomes say about the rows of one model.

    Parameters
    ----------
    families
        Family of each outcome that is not normal.
    categories
        Number of categories of each ordered outcome.
    roles
        Role by (level, variable).
    """

    families: Mapping[str, Family]
    categories: Mapping[str, int]
    roles: Mapping[tuple[str, str], Role]

    def at(self, level: str, name: str) -> Family | None:
        """Family of an outcome at its residual level; None elsewhere, and for normal ones."""
        own = "within" if ("within", name) in self.roles else "between"
        return self.families.get(name) if level == own else None

    def has_thresholds(self, level: str, name: str) -> bool:
        """Whether the thresholds of an outcome, and its mean, stand at this level."""
        family = self.families.get(name)
        own = "between" if ("between", name) in self.roles else "within"
        return family is not None and family.has_thresholds and level == own

    def thresholds(self, level: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Outcome and name of every threshold of one level, in order."""
        for name in names:
            if self.has_thresholds(level, name):
                for k in range(1, self._count(name)):
                    yield name, f"t{k}"

    def _count(self, name: str) -> int:
        count = self.categories.get(name, 2 if self.families[name].name == "binary" else 0)
        if count < 2:
            raise SpecificationError(
                f"the number of categories of '{name}' ({self.families[name].text}) is not known; "
                "it must be 2 or more"
            )
        return count

    def residual_row(self, row: Row, given: Modifiers, at: str) -> Row | None:
        """Complete ``y ~~ y`` of the text at the residual level; None for other rows.

        Parameters
        ----------
        row
            The row, still free.
        given
            What the text says about it.
        at
            Where it stands, for messages.

        Raises
        ------
        SpecificationError
            A residual variance that the family does not have.
        """
        family = self.at(row.level, row.lhs) if row.kind == "variance" else None
        if family is None:
            return None
        if family.has_dispersion:
            return _dispersion(row, given, at)
        if not family.has_thresholds:
            raise SpecificationError(
                f"{describe(row)} {at}: '{row.lhs}' is a {family.text} count, whose log rate has "
                "no residual variance; for more variation than a Poisson distribution has, declare "
                f"it negbinomial, or let a factor measured by '{row.lhs}' alone vary"
            )
        return _fixed_residual(row, family, given, at)

    def check_threshold(self, row: Row, at: str) -> None:
        """Refuse thresholds of the text that the outcome does not have.

        Parameters
        ----------
        row
            A threshold of the text.
        at
            Where it stands.

        Raises
        ------
        SpecificationError
            Names the culprit and the fix.
        """
        family = self.families.get(row.lhs)
        if family is None or not family.has_thresholds:
            what = "continuous" if family is None else family.text
            raise SpecificationError(
                f"{describe(row)} {at}: '{row.lhs}' is {what} and has no thresholds; declare it as "
                f"ordered: Model(..., ordered=['{row.lhs}'])"
            )
        if not self.has_thresholds(row.level, row.lhs):
            raise SpecificationError(
                f"{describe(row)} {at}: '{row.lhs}' is used at both levels, so its thresholds, "
                f"like its mean, belong to level between; write '{row.lhs} | {row.rhs}' there"
            )
        last = self._count(row.lhs) - 1
        if int(row.rhs[1:]) > last:
            known = "t1" if last == 1 else f"t1 to t{last}"
            raise SpecificationError(
                f"{describe(row)} {at}: '{row.lhs}' has {last + 1} categories in the data and so "
                f"the thresholds {known}; there is no {row.rhs}"
            )


def _dispersion(row: Row, given: Modifiers, at: str) -> Row:
    row = replace(row, is_dispersion=True)
    if given.random is not None:
        raise NotSupportedError(
            f'{describe(row)} {at}: the dispersion of a count cannot vary as rv("{given.random}"); '
            f"a random coefficient of the log rate of '{row.lhs}' can"
        )
    if given.fixed is None:
        return row
    if given.fixed <= 0:
        raise SpecificationError(
            f"{describe(row)} {at} is the dispersion of a negative binomial count and is fixed at "
            f"{given.fixed:g}, but must be positive; for a dispersion of 0, declare '{row.lhs}' as "
            "poisson"
        )
    return replace(row, free=0, value=given.fixed)


def _fixed_residual(row: Row, family: Family, given: Modifiers, at: str) -> Row:
    fixed = family.residual_variance
    assert fixed is not None
    asked = [
        ("rv()", given.random is not None),
        ("a prior", given.prior is not None),
        ("a starting value", given.start is not None),
        ("NA", given.free),
        (f"{given.fixed}", given.fixed is not None and not math.isclose(given.fixed, fixed)),
    ]
    for word, is_given in asked:
        if is_given:
            raise SpecificationError(
                f"{describe(row)} {at} has {word}, but the residual variance of the latent "
                f"response of an ordered outcome is fixed at {fixed:.4g} ({family.link}): "
                f"categories have no scale of their own. Remove {word}; thresholds and loadings "
                "are free instead"
            )
    return replace(row, free=0, value=fixed)


# The complete table ---------------------------------------------------------------------------


def check_outcome_rows(rows: Sequence[Row], outcomes: Outcomes) -> None:
    """Check all rows in which outcomes that are not normal take part.

    Parameters
    ----------
    rows
        Rows with labels and constants settled.
    outcomes
        The families.

    Raises
    ------
    SpecificationError
        Thresholds that do not increase, or an intercept beside free thresholds.
    NotSupportedError
        Residual covariances or predictors that would need a residual the family has not.
    """
    if not outcomes.families:
        return
    for row in rows:
        if row.kind == "covariance" and (row.free or row.random or row.value != 0):
            _check_covariance(row, outcomes)
        if row.kind == "regression":
            _check_predictor(row, outcomes)
        if row.kind == "intercept" and outcomes.has_thresholds(row.level, row.lhs):
            _check_intercept(row, rows)
    for name in outcomes.families:
        check_threshold_order([r for r in rows if r.kind == "threshold" and r.lhs == name])


def _check_covariance(row: Row, outcomes: Outcomes) -> None:
    for name, other in ((row.lhs, row.rhs), (row.rhs, row.lhs)):
        family = outcomes.at(row.level, name)
        if family is None or family.link == "probit":
            continue
        why = "is logistic, and there is no such distribution of several variables"
        instead = f"declare '{name}' with the probit link"
        if not family.has_thresholds:
            why, instead = "does not exist: a log rate has none", ""
        factor = f"let a factor measured by '{name}' and '{other}' stand for it"
        raise NotSupportedError(
            f"{describe(row)} is a covariance with the residual of '{name}' ({family.text}), which "
            f"{why}; {' or '.join(filter(None, (instead, factor)))}, or write "
            f"'{row.lhs} ~~ 0*{row.rhs}'"
        )


def _check_predictor(row: Row, outcomes: Outcomes) -> None:
    family = outcomes.at(row.level, row.rhs)
    if family is None or family.has_thresholds:
        return
    raise NotSupportedError(
        f"{describe(row)} has the count '{row.rhs}' ({family.text}) as a predictor, which is an "
        "outcome too. Its log rate has no residual that could carry an effect. To let the observed "
        f"count predict, copy its column: data['{row.rhs}_seen'] = data['{row.rhs}'], and write "
        f"'{row.lhs} ~ {row.rhs}_seen'"
    )


def _check_intercept(row: Row, rows: Sequence[Row]) -> None:
    """Refuse an intercept that moves all thresholds of its outcome, and nothing else."""
    if not row.free:
        return
    own = [r for r in rows if r.kind == "threshold" and r.lhs == row.lhs]
    elsewhere = {r.free for r in rows if r.lhs != row.lhs}
    if all(r.free and r.free not in elsewhere for r in own):
        raise SpecificationError(
            f"{describe(row)} is free, and so are all thresholds of '{row.lhs}': only their "
            f"differences show in the data. Fix the intercept ('{row.lhs} ~ 0*1', the default) or "
            f"a threshold ('{row.lhs} | 0*t1')"
        )


def check_threshold_order(own: Sequence[Row]) -> None:
    """Refuse thresholds of one outcome whose numbers do not increase, or that are equal.

    Parameters
    ----------
    own
        Thresholds of one outcome in order.

    Raises
    ------
    SpecificationError
        Names the two.
    """
    known = [r for r in own if not math.isnan(r.value)]
    for low, high in pairwise(known):
        if low.value >= high.value:
            raise SpecificationError(
                f"thresholds increase, but {describe(low)} is {low.value:g} and {describe(high)} "
                f"is {high.value:g} (constants and starting values)"
            )
    first: dict[int, Row] = {}
    for row in own:
        if row.free and first.setdefault(row.free, row) is not row:
            raise SpecificationError(
                f"label '{row.label}' makes {describe(first[row.free])} and {describe(row)} equal, "
                "but the category between them would be empty; use two labels"
            )
