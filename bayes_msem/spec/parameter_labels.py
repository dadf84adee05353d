"""Labels: equal parameters, ``==`` constraints, definitions, and the numbering of free rows.

Rows with one label, and labels joined by ``a == b``, form a *class*. A class is free (its rows
share one number), fixed (some row or an ``a == 0.5`` gives the constant) or computed
(``a == expression``). Expressions of computed classes are rewritten in terms of free labels
alone, so that whoever evaluates or differentiates them needs no order and no chain rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

import numpy as np

from bayes_msem.errors import NotSupportedError, SpecificationError, nearest
from bayes_msem.spec.expressions import (
    Expression,
    Name,
    evaluate,
    names,
    number,
    substitute,
)
from bayes_msem.spec.statements import Constraint, Definition
from bayes_msem.spec.table import ConstrainedRow, Row

__all__ = [
    "UNNUMBERED",
    "check_definitions",
    "describe",
    "resolve_labels",
    "varying_definitions",
]

_KEPT = {
    "variance": "the covariance matrix positive definite",
    "covariance": "the covariance matrix positive definite",
    "dispersion": "the dispersion positive",
    "threshold": "thresholds in order",
}
UNNUMBERED = -1
"""``Row.free`` of a row that is free but has no number yet."""


def describe(row: Row) -> str:
    """Return a row as the user would write it, with its level."""
    return f"'{row.lhs} {row.op} {row.rhs}' at level {row.level}"


def resolve_labels(
    rows: Sequence[Row], constraints: Sequence[Constraint], *, reserved: Iterable[str] = ()
) -> tuple[tuple[Row, ...], tuple[ConstrainedRow, ...]]:
    """Apply labels and constraints, then number the free rows from 1 in row order.

    Parameters
    ----------
    rows
        Rows whose ``free`` is 0 or :data:`UNNUMBERED`.
    constraints
        The ``==`` statements.
    reserved
        Names of definitions and random effects, which cannot be constrained.

    Returns
    -------
    rows, constrained
        ``constrained`` has one entry per computed label; the expressions hold free labels only.

    Raises
    ------
    SpecificationError
        For equality of different kinds of rows, contradicting or circular constraints,
        unknown labels.
    NotSupportedError
        For constraints that cannot be solved for one label, or on (co)variances.
    """
    classes = _Classes(rows)
    for constraint in constraints:
        classes.constrain(constraint, set(reserved))
    classes.check_kinds()
    classes.substitute()
    done: list[Row] = []
    numbers: dict[str, int] = {}
    n_free = 0
    for row in rows:
        row = classes.settle(row)
        if row.free == UNNUMBERED:
            root = classes.root(row.label) if row.label else ""
            number = numbers.get(root) if root else None
            if number is None:
                n_free += 1
                number = n_free
                if root:
                    numbers[root] = number
            row = replace(row, free=number)
        done.append(row)
    return tuple(done), classes.computed()


@dataclass
class _Classes:
    """Labels grouped into classes; each class is named after its first label."""

    rows: Sequence[Row]
    parent: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, float] = field(default_factory=dict)
    expressions: dict[str, Expression] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows:
            if row.label:
                self.parent.setdefault(row.label, row.label)
        for row in self.rows:
            if row.label and row.free == 0 and not row.random:
                self._fix(row.label, row.value)

    def root(self, label: str) -> str:
        while self.parent[label] != label:
            label = self.parent[label]
        return label

    def members(self, root: str) -> list[Row]:
        return [r for r in self.rows if r.label and self.root(r.label) == root]

    def constrain(self, constraint: Constraint, reserved: set[str]) -> None:
        """Apply one ``left == right``."""
        text = f"'{constraint.left} == {constraint.right}' (line {constraint.span.line})"
        left, right = constraint.left, constraint.right
        if not isinstance(left, Name):
            left, right = right, left
        for name in names(left) + names(right):
            self._check_label(name, text, reserved)
        if not isinstance(left, Name):
            raise NotSupportedError(
                f"constraint {text} does not have a single label on one side; "
                "solve it for one label, e.g. 'a == 1 - b'"
            )
        if isinstance(right, Name):
            self._merge(left.name, right.name)
        elif names(right):
            self._compute(left.name, right, text)
        else:
            self._fix(left.name, _constant(right))

    def _check_label(self, name: str, text: str, reserved: set[str]) -> None:
        if name in self.parent:
            return
        if name in reserved:
            raise NotSupportedError(
                f"constraint {text} uses '{name}', which is no label of a row; constraints on "
                "defined parameters and random effects are not supported"
            )
        raise SpecificationError(
            f"constraint {text} uses the unknown label '{name}'"
            f"{nearest(name, self.parent) or '.'} Labels of this model: "
            f"{', '.join(self.parent) or 'none'}"
        )

    def _fix(self, label: str, value: float) -> None:
        root = self.root(label)
        if not math.isfinite(value):
            raise SpecificationError(
                f"label '{label}' is constrained to {value}; give a finite number"
            )
        if self.fixed.setdefault(root, value) != value:
            raise SpecificationError(
                f"rows with label '{label}' are equal, but fixed at {self.fixed[root]:g} and at "
                f"{value:g}; give them different labels or the same number"
            )
        self._check_single(root)

    def _compute(self, label: str, expression: Expression, text: str) -> None:
        root = self.root(label)
        for row in self.members(root):
            if row.kind not in ("loading", "regression", "intercept"):
                raise NotSupportedError(
                    f"constraint {text} computes the {row.kind} {describe(row)} from other "
                    "parameters; this is possible for loadings, regressions and intercepts only, "
                    f"because nothing would keep {_KEPT[row.kind]}"
                )
        if root in self.expressions:
            raise SpecificationError(
                f"label '{label}' is constrained twice: by '{label} == {self.expressions[root]}' "
                f"and by {text}; remove one of them"
            )
        self.expressions[root] = expression
        self._check_single(root)

    def _check_single(self, root: str) -> None:
        if root in self.fixed and root in self.expressions:
            raise SpecificationError(
                f"label '{root}' is fixed at {self.fixed[root]:g} and also constrained by "
                f"'{root} == {self.expressions[root]}'; remove one of them"
            )

    def _merge(self, first: str, second: str) -> None:
        first, second = self.root(first), self.root(second)
        if first == second:
            return
        self.parent[second] = first
        if second in self.fixed:
            self._fix(first, self.fixed.pop(second))
        if second in self.expressions:
            expression = self.expressions.pop(second)
            self._compute(first, expression, f"'{second} == {expression}'")

    def check_kinds(self) -> None:
        """Refuse equality of rows that mean different things, and of contradicting priors."""
        for root in self._roots():
            first, *others = self.members(root)
            for row in others:
                if row.kind != first.kind:
                    raise SpecificationError(
                        f"label '{row.label}' makes the {first.kind} {describe(first)} equal to "
                        f"the {row.kind} {describe(row)}; only rows of one kind can be equal, so "
                        "use different labels (':=' can compare them)"
                    )
            priors = sorted({r.prior for r in (first, *others) if r.prior})
            if len(priors) > 1:
                raise SpecificationError(
                    f"rows with label '{root}' are one parameter, but have different priors: "
                    f"{', '.join(priors)}; keep one of them"
                )

    def _roots(self) -> list[str]:
        return [label for label, parent in self.parent.items() if label == parent]

    def settle(self, row: Row) -> Row:
        """Return the row with the constant or the missing value that its class imposes."""
        root = self.root(row.label) if row.label else ""
        if root not in self.fixed and root not in self.expressions:
            return row
        if row.prior:
            raise SpecificationError(
                f"{describe(row)} has a prior, but label '{row.label}' makes it a constant or a "
                "function of other labels; remove the prior or the constraint"
            )
        return replace(row, free=0, value=self.fixed.get(root, math.nan))

    def substitute(self) -> None:
        """Rewrite all expressions in free labels; those without any become constants."""
        done: dict[str, Expression] = {}
        constants = {label: number(value) for label, value in self.fixed.items()}
        for root in self._in_order():
            known = constants | done
            values = {label: known.get(self.root(label)) for label in self.parent}
            done[root] = substitute(
                self.expressions[root], {label: e for label, e in values.items() if e is not None}
            )
        self.expressions = {root: e for root, e in done.items() if names(e)}
        for root, expression in done.items():
            if not names(expression):
                self._fix(root, _constant(expression))

    def _in_order(self) -> list[str]:
        """Return the computed classes, each after those that it is computed from."""
        uses = {
            root: [its for name in names(e) if (its := self.root(name)) in self.expressions]
            for root, e in self.expressions.items()
        }
        try:
            return list(TopologicalSorter(uses).static_order())
        except CycleError as error:
            circle = " -> ".join(reversed(error.args[1]))
            raise SpecificationError(
                f"constraints are circular: {circle}; remove one of these '==' statements"
            ) from None

    def computed(self) -> tuple[ConstrainedRow, ...]:
        """Return one entry per computed label."""
        return tuple(
            ConstrainedRow(label, expression)
            for root, expression in self.expressions.items()
            for label in self.parent
            if self.root(label) == root
        )


def _constant(expression: Expression) -> float:
    with np.errstate(all="ignore"):  # a value that is not finite gets its own error
        return float(evaluate(expression, {}))


def check_definitions(
    definitions: Sequence[Definition],
    labels: Iterable[str],
    random: Iterable[str],
    variables: Iterable[str],
) -> None:
    """Check that definitions have unique names and use known ones only.

    Parameters
    ----------
    definitions
        The ``:=`` statements.
    labels, random, variables
        Names of labels, of random effects, and of data columns and factors.

    Raises
    ------
    SpecificationError
        For a name that is taken, unknown, or defined only further down.
    """
    taken = dict.fromkeys(variables, "a variable")
    taken |= dict.fromkeys(random, "a random effect") | dict.fromkeys(labels, "a label")
    known = [*dict.fromkeys([*labels, *random])]
    later = [d.name for d in definitions]
    for definition in definitions:
        at = f"(line {definition.span.line})"
        if definition.name in taken:
            raise SpecificationError(
                f"definition '{definition.name} := ...' {at}: '{definition.name}' is already "
                f"{taken[definition.name]}; choose another name"
            )
        for name in names(definition.expression):
            if name in known:
                continue
            if name in later:
                raise SpecificationError(
                    f"definition '{definition.name}' {at} uses '{name}' before it is defined; "
                    f"move '{name} := ...' above it (a definition cannot use itself)"
                )
            raise SpecificationError(
                f"definition '{definition.name}' {at} uses the unknown name '{name}'"
                f"{nearest(name, known) or '.'} Known labels and definitions: "
                f"{', '.join(known) or 'none'}"
            )
        known.append(definition.name)
        taken[definition.name] = "a definition"
    varying_definitions(definitions, random)


def varying_definitions(
    definitions: Sequence[Definition], random: Iterable[str]
) -> dict[str, Expression]:
    """Definitions that differ between clusters, written in random coefficients and labels.

    Parameters
    ----------
    definitions
        In an order in which each uses earlier ones only.
    random
        Names of random coefficients.

    Raises
    ------
    SpecificationError
        For a definition that becomes too large when those it uses are written out.
    """
    coefficients = set(random)
    varying: dict[str, Expression] = {}
    for definition in definitions:
        try:
            expression = substitute(definition.expression, varying)
        except SpecificationError as error:
            raise SpecificationError(f"definition '{definition.name}': {error}") from None
        if not coefficients.isdisjoint(names(expression)):
            varying[definition.name] = expression
    return varying
