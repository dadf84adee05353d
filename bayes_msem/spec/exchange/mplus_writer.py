"""A model as an Mplus input.

Every row is written with its value (``@1``), its starting value (``*0.5``) or ``*`` where Mplus
could fix it. Covariances that Mplus would add and the model does not have are fixed at 0. What
Mplus does not have stands in comments.

Random variances are logarithms of standard deviations here and of variances in Mplus: values of
rows in which they take part are written in units of Mplus.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import combinations, groupby

from bayes_msem.spec.exchange.columns_to_make import ColumnToMake
from bayes_msem.spec.exchange.counterparts import (
    Counterpart,
    comment,
    counterpart,
    equal_labels,
    functions_of,
    row_text,
)
from bayes_msem.spec.exchange.mplus_prior_text import to_mplus_prior
from bayes_msem.spec.exchange.mplus_short_names import short_names
from bayes_msem.spec.exchange.mplus_units import unit_of
from bayes_msem.spec.expressions import Expression, names
from bayes_msem.spec.parser import parse
from bayes_msem.spec.printing import to_syntax
from bayes_msem.spec.prior_text import parse_prior
from bayes_msem.spec.roles import level_use
from bayes_msem.spec.table import ParameterTable, Row, RowKey

__all__ = ["to_mplus"]

_WIDTH = 78
_LATENT = ("within factor", "between factor", "random effect")
_NOT_THERE = {"sinh", "cosh", "tanh", "atanh"}


def to_mplus(
    table: ParameterTable,
    *,
    cluster: str = "",
    missing: str = "fiml",
    exposure: Mapping[str, str] | None = None,
    priors: Mapping[RowKey, str] | None = None,
    made: Sequence[ColumnToMake] = (),
) -> str:
    """Write a table as an Mplus input.

    Parameters
    ----------
    table
        The parameter table.
    cluster
        Column with the identifiers of clusters.
    missing
        As for ``Model``.
    exposure
        Column with the exposure of each count.
    priors
        Priors of the user.
    made
        Columns that have to be made first.

    Returns
    -------
    str
        An input; :func:`bayes_msem.from_mplus` reads it back as the same table, as long as there is
        nothing that Mplus lacks and no name was shortened.
    """
    writer = _Writer(table, cluster, missing, exposure or {}, priors or {}, tuple(made))
    return "\n".join(writer.lines())


@dataclass
class _Writer:
    table: ParameterTable
    cluster: str
    missing: str
    exposure: Mapping[str, str]
    priors: Mapping[RowKey, str]
    made: tuple[ColumnToMake, ...]
    part: Counterpart = field(init=False)
    names: dict[str, str] = field(init=False)
    labels: dict[str, str] = field(init=False)
    left_out: list[str] = field(init=False)
    observed: list[str] = field(init=False)
    logs: set[str] = field(init=False)
    given: dict[str, str] = field(init=False, default_factory=dict)
    prior_labels: dict[RowKey, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.part = counterpart(self.table, ("loading", "regression", "variance"))
        roles = self.table.roles
        observed = [self.cluster] * bool(self.cluster)
        observed += dict.fromkeys(v for (_, v), r in roles.items() if r not in _LATENT)
        self.observed = observed
        self.names = short_names([*observed, *(v for _, v in roles)])
        labels = [row.label for row in self.part.rows if row.label]
        self.labels = short_names([*labels, *(d.name for d in self.part.definitions)], reserved=())
        self.left_out = [*self.part.left_out]
        self.logs = {r.random for r in self.part.rows if r.random and r.kind == "variance"}
        self.with_priors()

    @property
    def bayesian(self) -> bool:
        """Whether the estimator is Bayesian: where it has all outcomes, and no constraints."""
        families = self.table.families.values()
        if any(f.is_count or f.link == "logit" for f in families):
            return False
        varies = any(r.random and r.kind in ("loading", "variance") for r in self.part.rows)
        return varies or not self.constrained

    @property
    def constrained(self) -> bool:
        """Whether parameters are constrained: the Bayesian estimator has new parameters only."""
        return bool(self.part.constraints) or any(equal_labels(self.part.rows))

    def with_priors(self) -> None:
        """Find the priors that Mplus has, by label, and name the others."""
        free = {row.free: row for row in self.part.rows if row.free > 0 and row.key in self.priors}
        for row in free.values():
            text = self.priors[row.key]
            written = to_mplus_prior(parse_prior(text, row.kind), row.kind)
            if written is None or not self.bayesian or self.unit(row) != 1:
                self.left_out.append(f"prior of {row_text(row)}: {text}")
                continue
            label = row.label
            if not label:
                label = f"prior{len(self.given) + 1}"
                while label in self.labels or label in self.labels.values():
                    label = f"{label}x"
                self.labels[label] = label
            self.given[label] = written
            self.prior_labels[row.key] = label

    def unit(self, row: Row) -> float:
        """Return what a value is multiplied by to be one of Mplus."""
        return unit_of(row.lhs, row.op, row.rhs, self.logs)

    # Sections ---------------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """Yield the lines of the input."""
        model = list(self.model())
        constraints = list(self.constraints())
        yield from self.comments()
        yield "TITLE:    a model of bayes_msem"
        yield from self.data()
        yield from self.analysis()
        yield "MODEL:"
        yield from model
        if constraints:
            yield "MODEL CONSTRAINT:"
            yield from constraints
        if self.given:
            yield "MODEL PRIORS:"
            for label, prior in self.given.items():
                yield f"  {self.labels[label]} ~ {prior};"

    def comments(self) -> Iterator[str]:
        renamed = [f"{n} = {s}" for n, s in (self.names | self.labels).items() if n != s]
        if renamed:
            yield "! Shorter names:"
            yield from (f"!   {pair}" for pair in renamed)
        if self.logs:
            yield from comment(
                "!",
                "Random variances are logarithms of variances in Mplus, twice the logarithms of "
                "standard deviations in bayes_msem.",
            )
        links = {f.link for f in self.table.families.values() if f.has_thresholds}
        left_out = list(self.left_out)
        if len(links) > 1:
            left_out.append("logit and probit links in one model: all are written as logits")
        for name, column in self.exposure.items():
            left_out.append(
                f"exposure of {name}: add the logarithm of {column} as a predictor with @1"
            )
        if left_out:
            yield "! Not in Mplus, and so not in this input:"
            for text in left_out:
                yield from comment("!", text, "  ")
        if self.bayesian and self.constrained:
            yield from comment(
                "!",
                "Something varies that needs ESTIMATOR = BAYES, for which Mplus may refuse the "
                "equations of MODEL CONSTRAINT.",
            )
        if self.bayesian:
            yield from comment(
                "!", "Priors that are not written are Mplus's own, not those of bayes_msem."
            )
        if self.made:
            yield "! Columns to make first:"
            yield from (f"!   {column.in_python()}" for column in self.made)
        columns = ", ".join(f'"{name}"' for name in self.observed)
        yield from comment(
            "!",
            f'data[[{columns}]].to_csv("data.dat", sep=" ", header=False, index=False, na_rep=".") '
            "writes the file; identifiers must be numbers.",
        )

    def data(self) -> Iterator[str]:
        yield "DATA:     FILE = data.dat;"
        if self.missing == "listwise":
            yield "          LISTWISE = ON;"
        yield from _listed("VARIABLE: NAMES =", [self.names[n] for n in self.observed])
        roles = self.table.roles
        if self.cluster:
            yield f"          CLUSTER = {self.names[self.cluster]};"
        if self.table.two_level:
            own = {"WITHIN": ("covariate", "within-only"), "BETWEEN": ("cluster-level",)}
            for key, words in own.items():
                listed = [v for (_, v), role in roles.items() if role.startswith(words)]
                if listed:
                    yield from _listed(f"          {key} =", [self.names[v] for v in listed])
        families = self.table.families
        ordered = [self.names[n] for n, f in families.items() if f.has_thresholds]
        if ordered:
            yield from _listed("          CATEGORICAL =", ordered)
        counts = [
            f"{self.names[n]} ({'nb' if f.has_dispersion else 'p'})"
            for n, f in families.items()
            if f.is_count
        ]
        if counts:
            yield from _listed("          COUNT =", counts)
        yield "          MISSING = .;"

    def analysis(self) -> Iterator[str]:
        varies = any(row.random for row in self.part.rows)
        level = f"TWOLEVEL{' RANDOM' if varies else ''}" if self.table.two_level else "GENERAL"
        yield f"ANALYSIS: TYPE = {level};"
        yield f"          ESTIMATOR = {'BAYES' if self.bayesian else 'MLR'};"
        if not self.bayesian:
            links = {f.link for f in self.table.families.values() if f.has_thresholds}
            yield "          INTEGRATION = MONTECARLO;"
            if links:
                yield f"          LINK = {'PROBIT' if links == {'probit'} else 'LOGIT'};"

    def model(self) -> Iterator[str]:
        for level, rows in groupby(self.part.rows, key=lambda r: r.level):
            if self.table.two_level:
                yield f"  %{level.upper()}%"
            for (_, _, varies), members in groupby(rows, key=_statement):
                own = [row for row in members if self.is_parameter(row)]
                if own:
                    yield from self.statement(own, varies=bool(varies))
            yield from self.zeros(level)

    def is_parameter(self, row: Row) -> bool:
        """Whether Mplus has this row.

        It has no words for constants of latent responses, or for means of parts within clusters.
        """
        role = self.table.roles.get((row.level, row.lhs))
        if row.kind == "intercept" and row.level == "within" and role == "split":
            return False
        family = self.table.families.get(row.lhs)
        if family is None or not family.has_thresholds or row.free:
            return True
        if row.kind == "variance" and row.value == family.residual_variance:
            return False
        return not (row.kind == "intercept" and row.value == 0)

    def statement(self, rows: list[Row], *, varies: bool) -> Iterator[str]:
        """Write rows with one left-hand side, one to a line."""
        lhs = self.names[rows[0].lhs]
        kind = rows[0].kind
        words: dict[str, str] = {"loading": "BY", "regression": "ON", "covariance": "WITH"}
        if kind in words:
            head = f"    {lhs} {words[kind]} "
            if varies:
                for row in rows:
                    effect, rhs = self.names[row.random], self.names[row.rhs]
                    yield f"    {effect} | {lhs} {words[kind]} {rhs};"
                return
            elements = [self.names[r.rhs] + self.value(r) + self.label(r) for r in rows]
            joined = ("\n" + " " * len(head)).join(elements)
            yield from f"{head}{joined};".split("\n")
            return
        for row in rows:
            if varies:
                yield f"    {self.names[row.random]} | {lhs};"
            elif kind in ("intercept", "threshold"):
                name = lhs if kind == "intercept" else f"{lhs}${row.rhs[1:]}"
                yield f"    [{name}{self.value(row)}]{self.label(row)};"
            else:
                yield f"    {lhs}{self.value(row)}{self.label(row)};"

    def value(self, row: Row) -> str:
        """Return ``@1``, ``*0.5``, ``*`` or nothing."""
        computed = row.label in {c.label for c in self.part.constraints}
        known = not math.isnan(row.value) and not computed
        written = _plain(row.value * self.unit(row)) if known else ""
        if row.free == 0 and not computed:
            return f"@{written}"
        if written:
            return f"*{written}"
        return "*" if row.kind == "loading" else ""

    def label(self, row: Row) -> str:
        label = row.label or self.prior_labels.get(row.key, "")
        return f" ({self.labels[label]})" if label else ""

    def zeros(self, level: str) -> Iterator[str]:
        """Fix residual covariances of ordered final outcomes, which Mplus would add."""
        roles = self.table.roles
        probits = {n for n, f in self.table.families.items() if f.has_thresholds}
        own = {n for n in probits if level == "within" or ("within", n) not in roles}
        if not own or not self.bayesian:
            return
        use = level_use(parse(to_syntax(self.table)).formulas, level)
        present = {frozenset({r.lhs, r.rhs}) for r in self.table.rows if r.level == level}
        finals = [
            v
            for v in dict.fromkeys((*use.factors, *use.outcomes))
            if v in use.outcomes and use.is_childless(v)
        ]
        for one, other in combinations(finals, 2):
            if {one, other} & own and frozenset({one, other}) not in present:
                yield f"    {self.names[one]} WITH {self.names[other]}@0;"

    def constraints(self) -> Iterator[str]:
        for one, other in equal_labels(self.part.rows):
            yield f"  {self.labels[one]} = {self.labels[other]};"
        other_units = {r.label for r in self.part.rows if r.label and self.unit(r) != 1}
        for constraint in self.part.constraints:
            if other_units & {constraint.label, *names(constraint.expression)}:
                self.left_out.append(
                    f"{constraint.label} == {constraint.expression}: random variances have another "
                    "unit there"
                )
                continue
            yield from self.equation(constraint.label, constraint.expression)
        definitions = []
        for definition in self.part.definitions:
            if other_units & set(names(definition.expression)):
                self.left_out.append(
                    f"{definition.name} := {definition.expression}: random variances have another "
                    "unit there"
                )
            elif functions_of(definition.expression) & _NOT_THERE:
                self.left_out.append(
                    f"{definition.name} := {definition.expression}: Mplus lacks this function"
                )
            else:
                definitions.append(definition)
        if definitions:
            yield from _listed("  NEW", [f"({' '.join(self.labels[d.name] for d in definitions)})"])
        for definition in definitions:
            yield from self.equation(definition.name, definition.expression)

    def equation(self, name: str, expression: Expression) -> list[str]:
        def named(match: re.Match[str]) -> str:
            return match[0].upper() if match[1] else self.labels.get(match[0], match[0])

        text = re.sub(r"[^\W\d][\w.]*(?=(\(?))", named, str(expression)).replace("^", "**")
        return textwrap.wrap(
            f"{self.labels[name]} = {text};",
            width=_WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _plain(value: float) -> str:
    """Write a number with all its digits and without an exponent."""
    text = format(Decimal(repr(value)), "f")
    return text.removesuffix(".0")


def _statement(row: Row) -> tuple[str, str, str]:
    """Rows with the same answer stand in one statement, if they follow each other."""
    return row.lhs, row.kind, row.random and "varies"


def _listed(head: str, words: list[str]) -> list[str]:
    return textwrap.wrap(
        f"{head.strip()} {' '.join(words)};",
        width=_WIDTH,
        initial_indent=" " * (len(head) - len(head.lstrip())),
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )
