"""Blocks of exploratory factors: ``efa("block")*f1 + efa("block")*f2 =~ y1 + ... + y9``.

All m factors of a block load on all its indicators. Without more, the model is the same after any
rotation of the factors, so it is written in three forms that have the same distribution of data:

reported
    What the user reads. Every loading is free, factors have (residual) variance 1 and covary if the
    rotation is oblique. Values follow from the rotation (structure.rotation).
spherical
    Factors have variance 1 and covary with none of their block. Loadings of an indicator have
    independent Normal(0, s) priors, and regressions of and on the factors equal normal ones. That
    is the prior: no rotation of the factors changes it.
echelon
    What is sampled: the loadings of m *pivots*, in this order, are the lower triangle of a matrix
    with a positive diagonal. A spherical prior of all loadings gives these the same normal priors,
    and pivot i of scale s the prior chi(m - i + 1, s) (Leung & Drton 2016). So the posterior does
    not depend on the choice of pivots; which of them make sampling easy is read from the data
    (data.pivots).

References
----------
Leung, D., & Drton, M. (2016). Order-invariant prior specification in Bayesian factor analysis.
Statistics & Probability Letters, 111, 60-66. https://doi.org/10.1016/j.spl.2016.01.006
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.spec.expressions import names
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.statements import Formula, ParsedModel
from bayes_msem.spec.table import Block, ParameterTable, Row

__all__ = [
    "check_shared",
    "echelon",
    "echelon_priors",
    "read_blocks",
    "reported_priors",
    "spherical",
]


def read_blocks(parsed: ParsedModel) -> tuple[Block, ...]:
    """Collect the blocks of a text.

    Parameters
    ----------
    parsed
        The statements.

    Raises
    ------
    SpecificationError
        Factors of a block have different indicators, a factor stands in two blocks or also outside,
        a block has more factors than its indicators allow, or paths and modifiers fix what the
        rotation decides.
    NotSupportedError
        Coefficients of exploratory factors that vary over clusters; loadings of a block on factors.
    """
    members: dict[tuple[str, str], dict[str, list[Formula]]] = {}
    for f in parsed.formulas:
        if f.block:
            members.setdefault((f.block, f.level), {}).setdefault(f.lhs, []).append(f)
    names = [name for name, _ in members]
    for name in names:
        if names.count(name) > 1:
            raise SpecificationError(
                f'efa("{name}") stands at both levels; factors are rotated within a level, so '
                f'give each level a block of its own, such as efa("{name}_w") and efa("{name}_b")'
            )
    blocks = tuple(_block(name, level, factors) for (name, level), factors in members.items())
    for first, second in combinations(blocks, 2):
        for factor in set(first.factors) & set(second.factors):
            if first.level == second.level:
                raise SpecificationError(
                    f"factor '{factor}' stands in the blocks efa(\"{first.name}\") and "
                    f'efa("{second.name}"); a factor belongs to one block'
                )
    for block in blocks:
        for f in parsed.formulas:
            if f.level == block.level:
                _check_formula(block, f)
    return blocks


def _block(name: str, level: str, factors: Mapping[str, list[Formula]]) -> Block:
    first, *others = factors
    indicators = tuple(f.term.name for f in factors[first])
    for other in others:
        found = [f.term.name for f in factors[other]]
        odd = sorted(set(indicators) ^ set(found))
        if odd:
            raise SpecificationError(
                f"factors of the block efa(\"{name}\") load on the same indicators, but '{odd[0]}' "
                f"is not an indicator of both '{first}' and '{other}'; write one formula, "
                f'efa("{name}")*{first} + efa("{name}")*{other} =~ ...'
            )
    p, m = len(indicators), len(factors)
    if (p - m) ** 2 < p + m or p <= m:
        most = max((k for k in range(1, p) if (p - k) ** 2 >= p + k), default=0)
        raise SpecificationError(
            f'the block efa("{name}") has {m} factors for {p} indicators, whose covariances '
            f"identify {most or 'none'}{' at most' if most else ''}; use fewer factors or more "
            "indicators"
        )
    return Block(name, level, tuple(factors), indicators)


def _check_formula(block: Block, f: Formula) -> None:
    """Refuse what contradicts a rotation."""
    at, m = f"(line {f.span.line})", f.term.modifiers
    row = Row(f.level, f.lhs, f.op, f.term.name)
    of_factor = f.lhs in block.factors or f.term.name in block.factors
    if not of_factor:
        return
    where = f"'{f.lhs} {f.op} {f.term.name}' {at}"
    if f.op == "=~" and f.lhs in block.factors and not f.block:
        raise SpecificationError(
            f"{where}: '{f.lhs}' belongs to the block efa(\"{block.name}\"), whose factors load on "
            "the same indicators; write the indicator for all of them, or take the factor out of "
            "the block"
        )
    if f.op == "=~" and f.term.name in block.factors:
        raise NotSupportedError(
            f"{where}: exploratory factors as indicators of other factors are not there yet; write "
            "the second-order factors as a block of its own on observed variables, or use "
            "confirmatory factors"
        )
    if m.random is not None:
        raise NotSupportedError(
            f"{where}: coefficients of exploratory factors are the same in all clusters, because "
            "every cluster would have a rotation of its own; use confirmatory factors for "
            f'rv("{m.random}")'
        )
    if row.kind in ("loading", "variance") and _modified(m):
        raise SpecificationError(
            f"{where}: the rotation decides loadings and scale of exploratory factors, so they "
            'carry no modifiers; their prior is one for the level, priors={("'
            f'{block.level}", "loading"): "normal(0, 1)"}}, and confirmatory factors are written '
            "without efa()"
        )
    if block.has(row) == 2 and row.kind != "variance":
        raise SpecificationError(
            f'{where}: how factors of the block efa("{block.name}") go together is the '
            "rotation's to say; remove the formula (rotation= says whether they covary)"
        )
    if row.kind in ("regression", "covariance", "intercept") and (
        m.fixed is not None or m.start is not None or m.prior is not None
    ):
        raise SpecificationError(
            f"{where}: relations of exploratory factors are free, because a fixed value, starting "
            "value or prior would hold for one rotation only; a label may stay"
        )


def _modified(m: object) -> bool:
    names = ("fixed", "label", "start", "prior")
    return any(getattr(m, name) is not None for name in names) or bool(getattr(m, "free", False))


def check_shared(table: ParameterTable) -> None:
    """Refuse equal parameters among what a rotation changes.

    Raises
    ------
    SpecificationError
        A label or constraint makes a path of an exploratory factor equal to another row.
    """
    constrained = {label for c in table.constraints for label in names(c.expression)}
    constrained |= {c.label for c in table.constraints}
    for row in table.rows:
        if not any(block.touches(row) for block in table.blocks):
            continue
        shared = sum(r.free == row.free > 0 for r in table.rows) > 1
        if shared or (row.label and row.label in constrained):
            raise SpecificationError(
                f"'{row.lhs} {row.op} {row.rhs}' is equal to other rows by its label "
                f"'{row.label}', but the rotation decides its value; give it a label of its own "
                "(definitions, :=, may use it)"
            )


# Forms of the table -----------------------------------------------------------------------------


def spherical(table: ParameterTable) -> ParameterTable:
    """Return the table whose factors of a block do not covary."""
    rows = [
        replace(r, free=0, value=0.0) if any(b.is_inside(r) for b in table.blocks) else r
        for r in table.rows
    ]
    return replace(table, rows=tuple(rows))


def echelon(table: ParameterTable, pivots: Mapping[str, Sequence[str]]) -> ParameterTable:
    """Return the table that is sampled, from the spherical one.

    Parameters
    ----------
    table
        The spherical form.
    pivots
        By block, as many of its indicators as it has factors.
    """
    rows = []
    for row in table.rows:
        zero = any(_is_zero(b, row, pivots[b.name]) for b in table.blocks)
        rows.append(replace(row, free=0, value=0.0, prior="") if zero else row)
    return replace(table, rows=tuple(rows))


def _is_zero(block: Block, row: Row, pivots: Sequence[str]) -> bool:
    """Whether a loading stands above the diagonal of the pivots."""
    if not block.is_loading(row) or row.rhs not in pivots:
        return False
    return block.factors.index(row.lhs) > pivots.index(row.rhs)


def echelon_priors(
    table: ParameterTable, priors: Mapping[int, Prior], pivots: Mapping[str, Sequence[str]]
) -> dict[int, Prior]:
    """Return the priors of the sampled form from those of the spherical one.

    Raises
    ------
    SpecificationError
        Priors that depend on the rotation: other families than a normal at 0, or priors of one
        indicator that differ between factors.
    """
    _check_spherical(table, priors)
    result = dict(priors)
    for row in table.rows:
        for block in table.blocks:
            if block.is_loading(row) and row.rhs in pivots[block.name]:
                i = list(pivots[block.name]).index(row.rhs)
                if block.factors.index(row.lhs) == i:
                    scale = priors[row.free].arguments[1]
                    freedom = float(len(block.factors) - i)
                    result[row.free] = Prior("chi", (freedom, scale))
    return result


def _check_spherical(table: ParameterTable, priors: Mapping[int, Prior]) -> None:
    first: dict[tuple[str, str, str, str], Prior] = {}
    for row in table.rows:
        block = next((b for b in table.blocks if row.free and b.touches(row)), None)
        if block is None or row.kind not in ("loading", "regression"):
            continue
        prior = priors[row.free]
        text = f"{row.level}: {row.lhs} {row.op} {row.rhs}"
        if prior.family != "normal" or prior.arguments[0] != 0.0:
            raise SpecificationError(
                f"the prior {prior} of '{text}' depends on how the factors of "
                f'efa("{block.name}") are rotated; give it a normal prior with mean 0'
            )
        factor, other = (row.lhs, row.rhs) if row.lhs in block.factors else (row.rhs, row.lhs)
        same = first.setdefault((block.name, row.op, other, str(row.lhs == factor)), prior)
        if not math.isclose(same.arguments[1], prior.arguments[1]):
            raise SpecificationError(
                f"the prior {prior} of '{text}' differs from {same} of another factor of "
                f'efa("{block.name}"); which factor is which is known after the rotation only, so '
                "all have the same prior"
            )


def reported_priors(reported: ParameterTable, sampled: ParameterTable) -> ParameterTable:
    """Fill the priors of the reported form in, from those of the spherical one."""
    texts = {row.key: row.prior for row in sampled.rows}
    rows = []
    for row in reported.rows:
        text = texts[row.key] if row.free else row.prior
        if any(b.is_inside(row) for b in reported.blocks) and row.free:
            text = "by rotation"
        elif row.free and any(b.touches(row) for b in reported.blocks):
            text = f"{text}, rotated"
        rows.append(replace(row, prior=text))
    return replace(reported, rows=tuple(rows))
