"""MODEL CONSTRAINT and MODEL PRIORS of an Mplus input, in our words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from bayes_msem.errors import ModelSyntaxError, nearest
from bayes_msem.spec.exchange.mplus_names import Names, numbered
from bayes_msem.spec.exchange.mplus_prior_text import from_mplus_prior
from bayes_msem.spec.exchange.mplus_rows import Cell, Rows
from bayes_msem.spec.exchange.mplus_sections import Command, Findings, Section, span_at
from bayes_msem.spec.expressions import (
    FUNCTIONS,
    Binary,
    Expression,
    Name,
    Negate,
    Number,
    derivative,
    evaluate,
    names,
)
from bayes_msem.spec.parser import parse_expression
from bayes_msem.spec.syntax import Culprit

__all__ = ["Equations", "apply_priors", "read_constraints"]

_NEW = re.compile(r"NEW\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
_NEW_NAME = re.compile(r"([^\W\d]\w*)(?:\s*-\s*([^\W\d]\w*))?(?:\s*\*\s*(-?[\d.]+))?")
_WORD = re.compile(r"[^\W\d][\w.]*(?=\s*(\(?))")
_OTHER = re.compile(r"\s*(DO|PLOT|LOOP)\b", re.IGNORECASE)
_FUNCTION = {"ln": "log"}


@dataclass
class Equations:
    """What MODEL CONSTRAINT says.

    Attributes
    ----------
    definitions
        New parameters with their expressions, in order.
    constraints
        Labels with what they are equal to.
    """

    definitions: dict[str, Expression] = field(default_factory=dict)
    constraints: list[tuple[Expression, Expression]] = field(default_factory=list)

    @property
    def lines(self) -> Iterator[str]:
        """Lines of model text."""
        yield from (f"{left} == {right}" for left, right in self.constraints)
        yield from (f"{name} := {expression}" for name, expression in self.definitions.items())


def read_constraints(section: Section, known: Names, findings: Findings) -> Equations:
    """Read MODEL CONSTRAINT.

    Parameters
    ----------
    section
        The section.
    known
        Labels of the model.
    findings
        Gets what cannot be translated.
    """
    found, new = Equations(), Names()
    for command in section.commands:
        with findings.collecting():
            declared = _NEW.fullmatch(command.text)
            if declared is not None:
                new.labels += _new_names(declared[1], command, findings)
            else:
                _equation(command, known, new, found, findings)
    for name in new.labels:
        if name not in found.definitions:
            with findings.collecting():
                raise _at(
                    section.commands[0],
                    findings.text,
                    f"NEW({name}) gets no value of its own.",
                    f"Write '{name} = ...;'. Parameters that stand for others are not there: give "
                    "labels to the rows themselves.",
                    supported=False,
                )
    return found


def _at(command: Command, text: str, problem: str, fix: str, *, supported: bool = True) -> Culprit:
    first = command.text.split("\n")[0].rstrip()
    place = span_at(text, command.start, command.start + len(first))
    return Culprit(problem, place, fix, supported=supported)


def _new_names(inside: str, command: Command, findings: Findings) -> list[str]:
    rest = _NEW_NAME.sub(" ", inside).replace(",", " ").strip()
    if rest:
        problem = f"'{rest}' cannot be read in NEW()."
        raise _at(command, findings.text, problem, "Write NEW(ind total);")
    found: list[str] = []
    for match in _NEW_NAME.finditer(inside):
        counted = numbered(match[1], match[2]) if match[2] else [match[1]]
        if counted is None:
            problem = f"The list '{match[0]}' cannot be written out."
            raise _at(command, findings.text, problem, "Both ends differ in their number alone.")
        found += counted
    return found


def _equation(
    command: Command, known: Names, new: Names, found: Equations, findings: Findings
) -> None:
    text = command.text
    if _OTHER.match(text):
        problem = f"'{text.split()[0]}' is not supported in MODEL CONSTRAINT."
        raise _at(command, findings.text, problem, "Write the equations out.", supported=False)
    if "<" in text or ">" in text:
        raise _at(
            command,
            findings.text,
            "Inequalities are not supported.",
            "A prior whose support has the bound takes their place: model(data, "
            'priors={"label": "halfnormal(1)"}).',
            supported=False,
        )
    left, sign, right = text.partition("=")
    if not sign or "=" in right:
        raise _at(
            command,
            findings.text,
            "This is no equation." if not sign else "Two equations in one command.",
            "Write NEW(d); d = a - b; or 0 = a - b; and end each with ';'.",
        )
    right_side = _expression(right, command, known, new, findings)
    if re.fullmatch(r"\s*0(\.0*)?\s*", left):
        found.constraints.append(_solved(right_side, new, command, findings))
        return
    left_side = _expression(left, command, known, new, findings)
    if not isinstance(left_side, Name):
        difference = Binary("-", left_side, right_side)
        found.constraints.append(_solved(difference, new, command, findings))
    elif left_side.name in new.labels:
        if left_side.name in found.definitions:
            problem = f"'{left_side}' is defined twice."
            raise _at(command, findings.text, problem, "Keep one of the two equations.")
        found.definitions[left_side.name] = right_side
    else:
        found.constraints.append((left_side, right_side))


def _expression(
    text: str, command: Command, known: Names, new: Names, findings: Findings
) -> Expression:
    """Read an expression; raises Culprit at its command."""

    def spelt(match: re.Match[str]) -> str:
        low = match[0].lower()
        if match[1] and _FUNCTION.get(low, low) in FUNCTIONS:
            return _FUNCTION.get(low, low)
        for labels in (new.labels, known.labels):
            if (found := next((n for n in labels if n.lower() == low), None)) is not None:
                return found
        if match[1]:
            return match[0]
        raise _at(
            command,
            findings.text,
            f"'{match[0]}' is no label of this model and not declared by NEW()"
            f"{nearest(match[0], [*known.labels, *new.labels]) or '.'}",
            "Labels stand in parentheses in MODEL: 'y ON x (b);'.",
        )

    try:
        return parse_expression(_WORD.sub(spelt, text.replace("**", "^").replace("\n", " ")))
    except ModelSyntaxError as error:
        fix = f"{error.suggestion} In: {' '.join(text.split())}"
        raise _at(command, findings.text, error.problem, fix) from None


def _solved(
    expression: Expression, new: Names, command: Command, findings: Findings
) -> tuple[Expression, Expression]:
    """Solve ``0 = expression`` for a label in which it is linear."""
    if isinstance(expression, Binary) and expression.op == "-":
        for one, other in (
            (expression.left, expression.right),
            (expression.right, expression.left),
        ):
            if isinstance(one, Name) and one.name not in {*names(other), *new.labels}:
                return one, other
    terms = list(_terms(expression))
    for name in names(expression):
        slope = derivative(expression, name)
        if name in new.labels or names(slope):
            continue
        factor = float(evaluate(slope, {}))
        rest = [(-sign, term) for sign, term in terms if name not in names(term)]
        mine = [term for _, term in terms if name in names(term)]
        if factor and math.isfinite(factor) and len(mine) == 1:
            return Name(name), _scaled(rest, factor)
    raise _at(
        command,
        findings.text,
        "This equation cannot be solved for one label.",
        "Write it as 'label = ...;'. New parameters are defined, not solved for.",
        supported=False,
    )


def _terms(expression: Expression, sign: int = 1) -> Iterator[tuple[int, Expression]]:
    """Yield the summands of an expression with their signs."""
    if isinstance(expression, Binary) and expression.op in "+-":
        yield from _terms(expression.left, sign)
        yield from _terms(expression.right, sign if expression.op == "+" else -sign)
    elif isinstance(expression, Negate):
        yield from _terms(expression.operand, -sign)
    elif expression != Number(0.0):
        yield sign, expression


def _scaled(terms: list[tuple[int, Expression]], factor: float) -> Expression:
    """Add up summands and divide by a number."""
    signed = [(sign if factor > 0 else -sign, term) for sign, term in terms]
    signed.sort(key=lambda pair: -pair[0])  # a minus in front needs parentheses
    total: Expression = Number(0.0)
    for i, (sign, term) in enumerate(signed):
        if i == 0:
            total = term if sign > 0 else Negate(term)
        else:
            total = Binary("+" if sign > 0 else "-", total, term)
    return total if abs(factor) == 1 else Binary("/", total, Number(abs(factor)))


# Priors -------------------------------------------------------------------------------------------

_PRIOR = re.compile(r"(.*?)~\s*([A-Za-z]+)\s*\(([^()]*)\)\s*", re.DOTALL)
_LABEL_LIST = re.compile(r"([^\W\d]\w*)(?:\s*-\s*([^\W\d]\w*))?")
_ON_SD = (
    "Priors of variances are on the standard deviation here: priors={'LABEL': 'halfnormal(1)'}."
)


def apply_priors(section: Section, known: Names, rows: Rows, findings: Findings) -> None:
    """Give the rows the priors of MODEL PRIORS that have a counterpart, and name the others.

    Parameters
    ----------
    section
        The section.
    known
        Labels of the model.
    rows
        The parameters; they get priors.
    findings
        ``losses`` gets the priors that have no counterpart.
    """
    for command in section.commands:
        with findings.collecting():
            found = _PRIOR.fullmatch(command.text)
            if found is None:
                raise _at(
                    command,
                    findings.text,
                    "This prior cannot be read.",
                    "Priors of single labels are read: 'p1-p4 ~ N(0, 1);'.",
                    supported=False,
                )
            numbers = [_number(part) for part in found[3].split(",")]
            for label in _prior_labels(found[1], command, known, findings):
                _apply(label, found[2].upper(), numbers, command, rows, findings)


def _number(text: str) -> float:
    plain = text.strip().lower()
    if plain.startswith(("inf", "-inf")):
        return math.inf
    try:
        return float(plain)
    except ValueError:
        return math.nan


def _prior_labels(text: str, command: Command, known: Names, findings: Findings) -> list[str]:
    found: list[str] = []
    for match in _LABEL_LIST.finditer(text):
        given = numbered(match[1], match[2]) if match[2] else [match[1]]
        for label in given or [match[0]]:
            low = label.lower()
            spelt = next((name for name in known.labels if name.lower() == low), None)
            if spelt is None:
                problem = f"'{label}' is no label of this model{nearest(label, known.labels)}"
                fix = "Priors are given to labels of MODEL: 'y ON x (b);'."
                raise _at(command, findings.text, f"{problem.rstrip('.')}.", fix)
            found.append(spelt)
    return found


def _apply(
    label: str,
    family: str,
    numbers: Sequence[float],
    command: Command,
    rows: Rows,
    findings: Findings,
) -> None:
    mine = [cell for cell in rows if cell.label == label and cell.fixed is None]
    kinds = {_kind(cell) for cell in mine}
    written = from_mplus_prior(family, numbers, kinds.pop()) if len(kinds) == 1 else None
    if written is None:
        fix = _ON_SD.replace("LABEL", label) if mine and _kind(mine[0]) == "variance" else ""
        findings.losses.append(
            f"Line {findings.line(command.start)}: the prior {' '.join(command.text.split())} of "
            f"'{label}' has no counterpart; the default prior stands. {fix}".rstrip()
        )
        return
    for cell in mine:
        rows.cells[cell.key] = replace(cell, prior=written)


def _kind(cell: Cell) -> str:
    if cell.op == "=~":
        return "loading"
    if cell.op == "|":
        return "threshold"
    if cell.op == "~":
        return "intercept" if cell.rhs == "1" else "regression"
    return "variance" if cell.lhs == cell.rhs else "covariance"
