"""Rows that Mplus adds by default and this package does not, or the other way round.

What both add is left to the package: markers, variances, covariances of exogenous factors and of
final outcomes, intercepts. What differs is written into the text:

1. *Levels.* A variable on neither of the lists WITHIN and BETWEEN has a part at both levels,
   although only one level mentions it.
2. *Random effects* covary with nothing unless WITH says so (``random_covariances="none"``), and
   where some coefficient varies, residuals of outcomes between clusters do not covary either.
3. *Factors and modelled predictors* are uncorrelated.
4. *Final outcomes that are ordered* have residual covariances, as normal ones do, where the
   estimator is WLSMV, Bayes or the like; with maximum likelihood they have none.
5. *Indicators that are not normal* have no residual variance between clusters where the estimator
   integrates numerically (ML, MLR).
6. ``MODEL = NOCOVARIANCES`` adds no covariance at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from bayes_msem.errors import MsemError, SpecificationError
from bayes_msem.outcomes.families import family
from bayes_msem.spec.defaults import build_table
from bayes_msem.spec.exchange.mplus_rows import Cell, Rows
from bayes_msem.spec.exchange.mplus_sections import Findings
from bayes_msem.spec.exchange.mplus_settings import Settings
from bayes_msem.spec.parser import parse
from bayes_msem.spec.roles import LevelUse, level_use, random_names
from bayes_msem.spec.table import ParameterTable

__all__ = ["add_defaults", "families_of", "has_random", "read_table"]


def has_random(rows: Rows) -> bool:
    """Whether some coefficient varies over clusters."""
    return any(cell.random for cell in rows)


def families_of(rows: Rows, settings: Settings, findings: Findings | None = None) -> dict[str, str]:
    """Family of each outcome that is not normal; notes those that are declared and no outcome."""
    link = "probit" if settings.uses_probit else "logit"
    declared = {name: f"ordinal({link})" for name in settings.categorical} | settings.counts
    modelled = set()
    for cell in rows:
        modelled |= {cell.rhs} if cell.op == "=~" else {cell.lhs}
        modelled |= set(cell.variables) if cell.op == "~~" else set()
    for name in declared:
        if name not in modelled and findings is not None:
            findings.notes.append(
                f"'{name}' is declared {declared[name]}, but is no outcome of MODEL; as a "
                "predictor it enters with the numbers in its column."
            )
    return {name: text for name, text in declared.items() if name in modelled}


def read_table(text: str, rows: Rows, settings: Settings) -> ParameterTable:
    """Parameter table of a text, without data.

    Raises
    ------
    SpecificationError
        The model makes no sense; the message shows its text.
    """
    families = families_of(rows, settings)
    highest = dict.fromkeys(families, 2)
    for cell in rows:
        if cell.op == "|":
            highest[cell.lhs] = max(highest.get(cell.lhs, 2), int(cell.rhs[1:]) + 1)
    columns = list(settings.names.columns)
    cluster = (settings.cluster or "cluster") if settings.two_level else None
    if cluster is not None and cluster not in columns:
        columns.append(cluster)
    try:
        return build_table(
            parse(text),
            columns,
            cluster=cluster,
            random_covariances="none" if has_random(rows) else "all",
            families={name: family(found) for name, found in families.items()},
            categories=highest,
        )
    except MsemError as error:
        shown = "\n".join(
            f"{i:4}  {line}" for i, line in enumerate(text.strip().split("\n"), start=1)
        )
        raise SpecificationError(
            f"this Mplus input can be read, but not its model: {error}\nIts text here:\n{shown}"
        ) from None


def add_defaults(rows: Rows, settings: Settings, findings: Findings, more: str) -> None:
    """Write into the rows what Mplus would add and this package would not.

    Parameters
    ----------
    rows
        What MODEL mentions.
    settings, findings
        What is declared; gets notes.
    more
        Definitions and constraints, which name labels.
    """
    if settings.two_level:
        _other_levels(rows, settings, findings)
    if settings.by_likelihood and settings.two_level:
        _no_residuals(rows, settings, findings)
        _hybrid_slopes(rows, settings, findings)
    text = f"{rows.text(settings.names.columns)}\n{more}"
    table = read_table(text, rows, settings)
    parsed = parse(text)
    for level in ("within", "between") if settings.two_level else ("within",):
        extra = tuple(random_names(parsed)) if level == "between" else ()
        use = level_use(parsed.formulas, level, extra=extra)
        written = []
        for row in table.rows:
            if row.level == level and row.origin == "default" and row.kind == "covariance":
                apart = (row.lhs in use.factors) != (row.rhs in use.factors)
                exogenous = use.is_exogenous(row.lhs) and use.is_exogenous(row.rhs)
                finals = row.lhs in use.outcomes and row.rhs in use.outcomes
                varying = level == "between" and has_random(rows)
                if settings.no_covariances or (apart and exogenous) or (finals and varying):
                    rows.imply(Cell(level, row.lhs, "~~", row.rhs, fixed=0.0))
                    written.append(f"{row.lhs} ~~ 0*{row.rhs}")
        if written:
            findings.notes.append(f"Zero unless WITH says otherwise: {', '.join(written)}.")
        if not settings.by_likelihood and not settings.no_covariances:
            _probit_residuals(level, use, table, rows, findings)


def _other_levels(rows: Rows, settings: Settings, findings: Findings) -> None:
    """Point 1 of the module's list."""
    for name in settings.names.columns:
        used = {cell.level for cell in rows if name in cell.variables}
        listed = {*settings.within, *settings.between}
        if name in listed or not used or len(used) == 2:
            continue
        missing = "between" if used == {"within"} else "within"
        rows.imply(Cell(missing, name, "~~", name))
        own = [c for c in rows if name in c.variables and c.level not in (missing,)]
        if missing == "within":
            findings.notes.append(
                f"'{name}' is on neither list and used in %BETWEEN% only, so it has a part that "
                f"varies within clusters, too; if it does not, write BETWEEN = {name};"
            )
        elif all(c.op == "~" and c.rhs == name for c in own):
            findings.notes.append(
                f"'{name}' is on neither list, so its predictor within clusters is its deviation "
                f"from the latent cluster mean; if it is meant as it stands, write WITHIN = {name};"
            )


def _hybrid_slopes(rows: Rows, settings: Settings, findings: Findings) -> None:
    """Note predictors with random slopes that Mplus does not centre when it maximises."""
    split = {*settings.names.columns} - {*settings.within, *settings.between}
    names = {c.rhs for c in rows if c.random and c.op == "~" and c.rhs in split}
    for name in sorted(names):
        findings.notes.append(
            f"'{name}' has a random slope and is on neither list: here, as with ESTIMATOR = BAYES, "
            "the slope is that of its deviation from the latent cluster mean; with maximum "
            f"likelihood Mplus takes the values as they stand (here: WITHIN = {name};)."
        )


def _no_residuals(rows: Rows, settings: Settings, findings: Findings) -> None:
    """Point 5."""
    written = [
        name
        for name in families_of(rows, settings)
        if any(c.op == "=~" and c.rhs == name and c.level == "between" for c in rows)
        if rows.imply(Cell("between", name, "~~", name, fixed=0.0))
    ]
    if written:
        findings.notes.append(
            "Residual variances between clusters of indicators that are not normal are 0 with "
            f"maximum likelihood unless they are mentioned: {', '.join(written)}."
        )


def _finals(use: LevelUse) -> Iterator[str]:
    names = dict.fromkeys((*use.factors, *use.outcomes))
    return (v for v in names if v in use.outcomes and use.is_childless(v))


def _probit_residuals(
    level: str, use: LevelUse, table: ParameterTable, rows: Rows, findings: Findings
) -> None:
    """Point 4; where WITH fixes such a covariance at 0, the package needs no row for it."""
    ordered = {
        name
        for name, found in table.families.items()
        if found.has_thresholds
        and level == ("within" if ("within", name) in table.roles else level)
    }
    written = []
    for one, other in combinations(_finals(use), 2):
        if not {one, other} & ordered:
            continue
        cell = Cell(level, one, "~~", other)
        mentioned = rows.cells.get(cell.key)
        if mentioned is not None and mentioned.fixed == 0 and not mentioned.label:
            del rows.cells[cell.key]
        elif rows.imply(cell):
            written.append(f"{one} ~~ {other}")
    if written:
        findings.notes.append(
            "Residuals of ordered final outcomes covary unless the estimator is ML or MLR: "
            f"{', '.join(written)}."
        )
