r"""Parameter tables of several groups.

Every group has the rows of the text, with numbers of free parameters that run over all groups and
are shared where parameters are equal. They stand in three places:

*local* tables
    one per group, with the names of the text: what templates and likelihoods are built from.
the *joint* table
    all rows, with variables renamed to "y1 [DE]": groups are unconnected parts of one model, so
    that whatever reads a table (blocks of covariances, priors, searches for modes) need not know of
    groups.
*public* rows
    the rows of the joint table with the names of the text and ``Row.group``: what users see.

**Equal parameters** (spec.group_equality) get a label of their own, ".p7.", as in lavaan. With
equal loadings and ``std_lv`` the variances of factors are free in all groups but the first; with
equal intercepts, the means of factors whose indicators have intercepts at their level.

**Nearly equal parameters** (``wiggle``; Muthén & Asparouhov 2012,
https://doi.org/10.1037/a0026802) are computed, lambda_g = average + d_g, from two rows that no part
of the model reads: the average, of the group "average", and the differences, of "DE - average".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bayes_msem.errors import SpecificationError
from bayes_msem.spec.defaults import Declared, check_constant
from bayes_msem.spec.expressions import Binary, Name, substitute
from bayes_msem.spec.group_equality import Equal, word_of
from bayes_msem.spec.parameter_labels import (
    UNNUMBERED,
    check_definitions,
    resolve_labels,
    varying_definitions,
)
from bayes_msem.spec.random_checks import check_random_effects
from bayes_msem.spec.statements import Constraint, Definition, ParsedModel, Span
from bayes_msem.spec.table import ParameterTable, Role, Row, RowKey

__all__ = ["AVERAGE", "GroupTables", "build_group_tables", "in_words", "tagged"]

AVERAGE = "average"
_SPAN = Span(1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class GroupTables:
    """The tables of all groups; see the top of this module.

    Attributes
    ----------
    groups
        Their names, in order.
    joint
        The joint table.
    public
        Row by row what the user sees of the joint table.
    local
        A table for each group.
    extra
        Free numbers of averages and differences, which no group's model reads.
    definitions
        As written.
    """

    groups: tuple[str, ...]
    joint: ParameterTable
    public: tuple[Row, ...]
    local: tuple[ParameterTable, ...]
    extra: frozenset[int]
    definitions: tuple[Definition, ...]

    @property
    def modelled(self) -> ParameterTable:
        """The joint table without averages and differences."""
        rows = tuple(r for r in self.joint.rows if r.free not in self.extra)
        return replace(self.joint, rows=rows)

    @property
    def shown(self) -> ParameterTable:
        """The table that users see."""
        return replace(
            self.local[0],
            rows=self.public,
            definitions=self.definitions,
            constraints=self.joint.constraints,
            elsewhere=frozenset(),
        )

    @property
    def shared(self) -> frozenset[int]:
        """Free numbers that stand in the tables of several groups."""
        return frozenset().union(*(table.elsewhere for table in self.local))

    def with_priors(self, priors: Mapping[int, str]) -> GroupTables:
        """Write priors into all free rows."""

        def filled(rows: Sequence[Row]) -> tuple[Row, ...]:
            return tuple(replace(r, prior=priors[r.free]) if r.free else r for r in rows)

        return replace(
            self,
            joint=replace(self.joint, rows=filled(self.joint.rows)),
            public=filled(self.public),
            local=tuple(replace(t, rows=filled(t.rows)) for t in self.local),
        )


def tagged(name: str, group: str) -> str:
    """Name of a variable in the joint table."""
    return f"{name} [{group}]"


def in_words(label: str, groups: Sequence[str]) -> str:
    """Write the label of a joint row, "fw [DE] =~ y2 [DE]", as "fw =~ y2 [DE]"."""
    for group in groups:
        tag = f" [{group}]"
        if label.endswith(tag) or f"{tag} " in label:
            return label.replace(tag, "") + tag
    return label


def build_group_tables(
    parsed: Sequence[ParsedModel],
    declared: Sequence[Declared],
    groups: Sequence[str],
    columns: Sequence[str],
    *,
    equal: Equal,
    nearly: Equal,
    partial: frozenset[RowKey],
    std_lv: bool,
) -> GroupTables:
    """Give numbers to the parameters of all groups.

    Parameters
    ----------
    parsed, declared
        Statements and rows of every group.
    groups
        Names of the groups.
    columns
        Columns of the data.
    equal, nearly
        Level -> words of what is equal, and of what is nearly equal.
    partial
        Rows that are left out of both.
    std_lv
        Whether factors have variance 1.

    Raises
    ------
    SpecificationError
        The groups would have different rows, or labels and constraints contradict each other.
    """
    _check_alike(declared, groups)
    own = [list(d.rows) for d in declared]
    first = declared[0]
    varying = {r.random: r for r in first.rows if r.random}
    words = {r.key: word_of(r, first.roles, varying) for r in first.rows}

    def chosen(row: Row, what: Equal) -> bool:
        return row.key not in partial and words.get(row.key) in what.get(row.level, ())

    both = {level: equal[level] | nearly[level] for level in equal}
    released = [r for r in first.rows if chosen(r, both)]
    own = _with_means(own, first.roles, released, both)
    if std_lv:
        own = _with_variances(own, first.roles, released, both)
    labelled, extra, constraints = _equated(
        own, groups, lambda r: chosen(r, equal), lambda r: chosen(r, nearly)
    )
    return _numbered(parsed, first, labelled, extra, constraints, groups, columns)


def _check_alike(declared: Sequence[Declared], groups: Sequence[str]) -> None:
    """Refuse groups whose rows differ in more than their labels and constants."""

    def shape(d: Declared) -> list[tuple[RowKey, str]]:
        return [(r.key, r.random) for r in d.rows]

    for group, d in zip(groups[1:], declared[1:], strict=True):
        different = set(shape(declared[0])) ^ set(shape(d))
        if different:
            row = sorted(different)[0][0]
            raise SpecificationError(
                f"c(...) would give the groups '{groups[0]}' and '{group}' different rows: "
                f"'{row.lhs} {row.op} {row.rhs}' at level {row.level} is in one of them only, "
                "or varies over clusters in one of them only; write it out in the text with a "
                "constant or NA for every group"
            )


Rows = list[list[Row]]


def _with_means(
    own: Rows, roles: Mapping[tuple[str, str], Role], equal: Sequence[Row], words: Equal
) -> Rows:
    """Free the means of factors in all groups but the first, where intercepts are equal."""
    intercepts = {(r.level, r.lhs) for r in equal if r.kind == "intercept" and r.free}
    written = {(r.level, r.lhs) for r in own[0] if r.kind == "intercept"}
    for (level, name), role in roles.items():
        if not role.endswith("factor") or "means" in words[level] or (level, name) in written:
            continue
        indicators = {
            (r.level, r.rhs)
            for r in own[0]
            if r.kind == "loading" and (r.level, r.lhs) == (level, name)
        }
        if not indicators & intercepts:
            continue
        for g, rows in enumerate(own):
            mean = Row(level, name, "~", "1", free=UNNUMBERED if g else 0, origin="default")
            place = max(i for i, r in enumerate(rows) if r.level == level) + 1
            rows.insert(place, mean if g else replace(mean, value=0.0))
    return own


def _with_variances(
    own: Rows, roles: Mapping[tuple[str, str], Role], equal: Sequence[Row], words: Equal
) -> Rows:
    """Free the variances of factors in all groups but the first, where loadings are equal."""
    measured = {(r.level, r.lhs) for r in equal if r.kind == "loading"}

    def freed(row: Row) -> Row:
        factor = roles.get((row.level, row.lhs), "").endswith("factor")
        if row.kind != "variance" or not factor or row.free or row.random or row.value != 1:
            return row
        if row.origin == "user" or "lv.variances" in words[row.level]:
            return row
        if (row.level, row.lhs) not in measured:
            return row
        return replace(row, free=UNNUMBERED, value=math.nan)

    return [own[0], *([freed(r) for r in rows] for rows in own[1:])]


def _equated(
    own: Rows,
    groups: Sequence[str],
    is_equal: Callable[[Row], bool],
    is_nearly: Callable[[Row], bool],
) -> tuple[Rows, list[tuple[str, Row]], list[Constraint]]:
    """Give equal rows a label, and nearly equal ones an expression of additional rows.

    Returns
    -------
    tuple
        The rows of the groups, the additional rows with the name of what they belong to, and the
        constraints.
    """
    extra: list[tuple[str, Row]] = []
    constraints: list[Constraint] = []
    for k, rows in enumerate(zip(*own, strict=True)):
        if not all(r.free == UNNUMBERED and not r.label for r in rows):
            continue
        label = f".p{k + 1}."
        if is_nearly(rows[0]):
            extra.append((AVERAGE, replace(rows[0], label=label, origin="default")))
            for g, row in enumerate(rows):
                name, own_label = f".d{k + 1}.{g + 1}.", f".p{k + 1}.{g + 1}."
                own[g][k] = replace(row, label=own_label, prior="", value=math.nan)
                difference = Row(
                    row.level,
                    row.lhs,
                    row.op,
                    row.rhs,
                    label=name,
                    free=UNNUMBERED,
                    origin="default",
                )
                extra.append((f"{groups[g]} - {AVERAGE}", difference))
                total = Binary("+", Name(label), Name(name))
                constraints.append(Constraint(Name(own_label), total, _SPAN))
        elif is_equal(rows[0]):
            for g, row in enumerate(rows):
                own[g][k] = replace(row, label=label)
    return own, extra, constraints


def _numbered(
    parsed: Sequence[ParsedModel],
    first: Declared,
    own: Rows,
    extra: Sequence[tuple[str, Row]],
    added: Sequence[Constraint],
    groups: Sequence[str],
    columns: Sequence[str],
) -> GroupTables:
    text = parsed[0]
    of_row = [(g, r) for g, rows in zip(groups, own, strict=True) for r in rows] + list(extra)
    labels = [r.label for _, r in of_row if r.label]
    variables = {*columns, *(v for _, v in first.roles)}
    check_definitions(text.definitions, labels, first.random, variables)
    reserved = {*first.random, *(d.name for d in text.definitions)}
    everything = [_tagged_row(r, g) for g, r in of_row]
    numbered, constrained = resolve_labels(
        everything, [*text.constraints, *added], reserved=reserved
    )
    for row in numbered:
        check_constant(row)
    pairs = [
        (g, replace(r, free=n.free, value=n.value))
        for (g, r), n in zip(of_row, numbered, strict=True)
    ]
    definitions, shown = _definitions(text.definitions, first.random, groups)
    n_extra = len(extra)
    joint = ParameterTable(
        rows=(*numbered, *(Row("", d.name, ":=", str(d.expression)) for d in definitions)),
        roles={(lev, tagged(v, g)): role for g in groups for (lev, v), role in first.roles.items()},
        definitions=definitions,
        constraints=constrained,
        two_level=text.two_level,
    )
    local = []
    for g in groups:
        mine = tuple(r for name, r in pairs if name == g)
        others = {r.free for name, r in pairs if name != g}
        table = ParameterTable(
            rows=mine,
            roles=dict(first.roles),
            definitions=(),
            constraints=constrained,
            two_level=text.two_level,
            elsewhere=frozenset({r.free for r in mine} & others - {0}),
        )
        check_random_effects(table)
        local.append(table)
    public = tuple(replace(r, group=g) for g, r in pairs)
    last = len(pairs) - n_extra
    return GroupTables(
        groups=tuple(groups),
        joint=joint,
        public=(*public, *shown),
        local=tuple(local),
        extra=frozenset(r.free for _, r in pairs[last:]),
        definitions=text.definitions,
    )


def _tagged_row(row: Row, group: str) -> Row:
    rhs = row.rhs if row.kind == "intercept" else tagged(row.rhs, group)
    random = tagged(row.random, group) if row.random else ""
    return replace(row, lhs=tagged(row.lhs, group), rhs=rhs, random=random)


def _definitions(
    definitions: Sequence[Definition], random: Sequence[str], groups: Sequence[str]
) -> tuple[tuple[Definition, ...], tuple[Row, ...]]:
    """Definitions of the joint table, and their rows; those with rv() names are one per group."""
    varying = varying_definitions(definitions, random)
    found: list[Definition] = []
    shown: list[Row] = []
    for definition in definitions:
        if definition.name not in varying:
            found.append(definition)
            shown.append(Row("", definition.name, ":=", str(definition.expression)))
            continue
        for g in groups:
            renamed = {name: Name(tagged(name, g)) for name in (*random, *varying)}
            expression = substitute(definition.expression, renamed)
            found.append(
                replace(definition, name=tagged(definition.name, g), expression=expression)
            )
            row = Row("", definition.name, ":=", str(definition.expression), group=g)
            shown.append(row)
    return tuple(found), tuple(shown)
