"""From an Mplus input to a model text and the arguments of ``Model``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bayes_msem.errors import nearest
from bayes_msem.spec.exchange.mplus_constraints import Equations, apply_priors, read_constraints
from bayes_msem.spec.exchange.mplus_defaults import (
    add_defaults,
    families_of,
    has_random,
    read_table,
)
from bayes_msem.spec.exchange.mplus_refusals import DELTA
from bayes_msem.spec.exchange.mplus_rows import Cell, Rows, add_relation
from bayes_msem.spec.exchange.mplus_sections import Command, Findings, Section, sections, span_at
from bayes_msem.spec.exchange.mplus_settings import Settings, read_settings
from bayes_msem.spec.exchange.mplus_statements import Relation, read_statement
from bayes_msem.spec.exchange.mplus_units import unit_of
from bayes_msem.spec.expressions import names
from bayes_msem.spec.syntax import Culprit

__all__ = ["MplusRead", "read_mplus"]

_LEVEL = re.compile(r"\s*%([^%\n]*)%")
_NOT_READ = ("OUTPUT", "SAVEDATA", "PLOT")
_REFUSED = {
    "DEFINE": "Compute the columns in the data frame: data['xm'] = "
    "data.groupby('school')['x'].transform('mean') is CLUSTER_MEAN(x), data['x'] -= "
    "data['x'].mean() centres at the grand mean.",
    "MODEL INDIRECT": "Label the paths and define the effect in MODEL CONSTRAINT: NEW(ind); "
    "ind = a*b; or use fit.effects(x, y).",
    "MODEL TEST": "There is no Wald test: define the difference in MODEL CONSTRAINT and look at "
    "its interval.",
    "MONTECARLO": "Data are simulated by model.simulate(values).",
    "MODEL POPULATION": "Data are simulated by model.simulate(values).",
    "MODEL COVERAGE": "Data are simulated by model.simulate(values).",
    "MODEL MISSING": "Data are simulated by model.simulate(values).",
}
_TRANSFORMED = "Change the data frame before it goes to the model (pandas.melt, pivot, ...)."
_GROUPS = "Groups and classes are not there yet."


@dataclass(frozen=True, slots=True)
class MplusRead:
    """What was read; :class:`bayes_msem.MplusInput` is made of it."""

    text: str
    arguments: dict[str, Any]
    title: str
    file: str
    columns: tuple[str, ...]
    missing_codes: dict[str, tuple[float, ...]]
    notes: tuple[str, ...]
    losses: tuple[str, ...]


def read_mplus(text: str) -> MplusRead:
    """Read an Mplus input.

    Parameters
    ----------
    text
        The whole input.

    Returns
    -------
    MplusRead
        Model text, arguments of ``Model``, and what there is to know.

    Raises
    ------
    ModelSyntaxError
        Something cannot be read, or has no counterpart; the message names all such lines.
    SpecificationError
        The model makes no sense.
    """
    findings = Findings(text)
    try:
        found = sections(findings)
    except Culprit as culprit:
        raise culprit.located(text) from None
    _refuse_sections(found, findings)
    settings = read_settings(found, findings)
    rows = Rows(settings.two_level)
    equations = Equations()
    own = [s for s in found if s.name == "MODEL"]
    if not any(s.commands for s in own):
        findings.check()
        place = span_at(text, found[-1].start, found[-1].start + len(found[-1].heading))
        raise Culprit("There is no MODEL.", place, "Write a section MODEL:.").located(text)
    for section in own:
        _model(section, rows, settings, findings)
    if settings.names.columns:
        for cell in rows:
            with findings.collecting():
                _check_cell(cell, settings)
    elif not findings.culprits:
        place = span_at(text, own[0].start, own[0].start + len(own[0].heading))
        fix = "Write VARIABLE: NAMES = ...; above MODEL."
        findings.culprits.append(Culprit("The names of the columns are missing.", place, fix))
    for section in (s for s in found if s.name == "MODEL CONSTRAINT"):
        new = read_constraints(section, settings.names, findings)
        equations.definitions |= new.definitions
        equations.constraints += new.constraints
    for section in (s for s in found if s.name == "MODEL PRIORS"):
        apply_priors(section, settings.names, rows, findings)
    findings.check()
    _change_units(rows, equations, findings)
    more = "\n".join(equations.lines)
    add_defaults(rows, settings, findings, more)
    written = "\n".join(filter(None, [rows.text(settings.names.columns), more]))
    read_table(written, rows, settings)
    _note_unused(rows, settings, findings)
    if settings.categorical and not settings.by_likelihood and not settings.parameterisation:
        if settings.estimator != "BAYES":
            findings.notes.append(DELTA)
    title = next((" ".join(s.text.split()) for s in found if s.name == "TITLE"), "")
    return MplusRead(
        text=written,
        arguments=dict(_arguments(rows, settings, findings)),
        title=title,
        file=settings.file,
        columns=tuple(settings.names.columns),
        missing_codes={name: tuple(codes) for name, codes in settings.missing.items()},
        notes=tuple(dict.fromkeys(findings.notes)),
        losses=tuple(dict.fromkeys(findings.losses)),
    )


def _refuse_sections(found: list[Section], findings: Findings) -> None:
    known = {"TITLE", "DATA", "VARIABLE", "ANALYSIS", "MODEL", "MODEL CONSTRAINT", "MODEL PRIORS"}
    for section in found:
        if section.name in _NOT_READ and section.commands:
            findings.notes.append(
                f"Line {findings.line(section.start)}: {section.name} is not read; results come "
                "from the methods of the fit."
            )
        elif section.name not in (*known, *_NOT_READ):
            with findings.collecting():
                end = section.start + len(section.heading)
                is_data = section.name.startswith("DATA ")
                fix = _REFUSED.get(section.name, _TRANSFORMED if is_data else _GROUPS)
                raise Culprit(
                    f"{section.name} is not supported.",
                    span_at(findings.text, section.start, end),
                    fix,
                    supported=False,
                )


# MODEL --------------------------------------------------------------------------------------------


def _model(section: Section, rows: Rows, settings: Settings, findings: Findings) -> None:
    level = "" if settings.two_level else "within"
    for command in section.commands:
        with findings.collecting():
            while (heading := _LEVEL.match(command.text)) is not None:
                level = _level(heading, command, settings, findings)
                rest = command.text[heading.end() :]
                start = command.start + heading.end() + len(rest) - len(rest.lstrip())
                command = Command(rest.strip(), start)
            if not command.text:
                continue
            if not level:
                raise Culprit(
                    "This statement stands before %WITHIN% and %BETWEEN%.",
                    span_at(findings.text, command.start, command.start + len(command.text)),
                    "With TYPE = TWOLEVEL every statement belongs to a level.",
                )
            relation = read_statement(command, findings.text, settings.names)
            _check_growth(relation, settings)
            add_relation(relation, level, rows, settings.names)


def _check_growth(relation: Relation, settings: Settings) -> None:
    """Refuse growth of ordered outcomes, whose thresholds Mplus makes equal over time."""
    if relation.random and not relation.operator:
        for element in relation.right:
            if element.name in settings.categorical and (element.free or element.fixed is not None):
                raise Culprit(
                    f"A growth model of the ordered outcome '{element.name}' is not read.",
                    element.place,
                    "Write it with BY, labels that make the thresholds of all times equal, and "
                    "[s]: the mean of the first factor is 0.",
                    supported=False,
                )


def _level(heading: re.Match[str], command: Command, settings: Settings, findings: Findings) -> str:
    word = heading[1].strip().upper()
    start = command.start + heading.start(1) - 1
    place = span_at(findings.text, start, command.start + heading.end())
    if word not in ("WITHIN", "BETWEEN"):
        more = word.startswith(("WITHIN", "BETWEEN"))
        fix = "There are two levels here; more are not there yet." if more else _GROUPS
        raise Culprit(f"'%{word}%' is not supported.", place, fix, supported=False)
    if not settings.two_level:
        raise Culprit(
            f"'%{word}%' belongs to a two-level model.",
            place,
            "Write ANALYSIS: TYPE = TWOLEVEL; (or TWOLEVEL RANDOM).",
        )
    return word.lower()


def _check_cell(cell: Cell, settings: Settings) -> None:
    """Refuse variables where they do not exist."""
    assert cell.place is not None
    names = settings.names
    known = [*names.columns, *names.latent]
    for name in cell.variables:
        if name not in known:
            raise Culprit(
                f"'{name}' is neither in NAMES nor defined by BY or '|'"
                f"{nearest(name, known) or '.'}",
                cell.place,
                "Variables of DEFINE are columns of the data frame here: add them to NAMES.",
            )
        if names.is_observed(name) and name not in names.used:
            problem = f"'{name}' is not in USEVARIABLES."
            raise Culprit(problem, cell.place, "Add it there.")
        for listed, own in ((settings.within, "within"), (settings.between, "between")):
            if settings.two_level and name in listed and cell.level != own:
                raise Culprit(
                    f"'{name}' is on the list {own.upper()} and used in %{cell.level.upper()}%.",
                    cell.place,
                    "Variables of both levels stand on neither list.",
                )
    split = names.is_observed(cell.lhs) and cell.lhs not in settings.within
    if settings.two_level and cell.level == "within" and split:
        if (cell.op == "|" or cell.rhs == "1") and cell.op != "~~":
            raise Culprit(
                f"Means and thresholds of '{cell.lhs}' stand in %BETWEEN%.",
                cell.place,
                "It has a part at both levels, and one mean.",
            )


# What there is to know ----------------------------------------------------------------------------


def _arguments(rows: Rows, settings: Settings, findings: Findings) -> Iterator[tuple[str, Any]]:
    if settings.two_level and settings.cluster:
        yield "cluster", settings.cluster
    families = families_of(rows, settings, findings)
    ordered = [name for name, text in families.items() if text == "ordinal(probit)"]
    if ordered:
        yield "ordered", ordered
    others = {name: text for name, text in families.items() if name not in ordered}
    if others:
        yield "families", others
    if has_random(rows):
        yield "random_covariances", "none"
    if settings.listwise:
        yield "missing", "listwise"


def _note_unused(rows: Rows, settings: Settings, findings: Findings) -> None:
    mentioned = {name for cell in rows for name in cell.variables}
    unused = [n for n in settings.names.used if n not in mentioned and n != settings.cluster]
    if unused:
        findings.notes.append(f"No part of MODEL, and left out: {', '.join(unused)}.")


def _change_units(rows: Rows, equations: Equations, findings: Findings) -> None:
    """Turn values of random log variances into those of log standard deviations."""
    logs = {c.random for c in rows if c.random and c.op == "~~"}
    if not logs:
        return
    findings.notes.append(
        f"{', '.join(sorted(logs))}: the logarithm of a standard deviation here, of a variance in "
        "Mplus, which is twice as much. Values in the input were converted."
    )
    expressions = [e for pair in equations.constraints for e in pair]
    expressions += equations.definitions.values()
    used = {name for expression in expressions for name in names(expression)}
    for cell in rows:
        unit = unit_of(cell.lhs, cell.op, cell.rhs, logs)
        if unit == 1:
            continue
        rows.cells[cell.key] = replace(
            cell,
            fixed=None if cell.fixed is None else cell.fixed / unit,
            start=None if cell.start is None else cell.start / unit,
            prior="",
        )
        line = f"Line {cell.place.line}: " if cell.place else ""
        others = [c for c in rows if c.label == cell.label and c.key != cell.key]
        units = {unit_of(c.lhs, c.op, c.rhs, logs) for c in others}
        if cell.label and (cell.label in used or units - {unit}):
            findings.losses.append(
                f"{line}'{cell.label}' is in units of the logarithm of a variance in Mplus and of "
                "a standard deviation here, so that what it is equal to has another meaning."
            )
        if cell.prior:
            findings.losses.append(
                f"{line}the prior of '{cell.label}' is in units of the logarithm of a variance; "
                "the default prior stands."
            )
