"""Tables one can publish: the content, as text, whatever the format.

One line per row of the parameter table, below a heading for its level and one for its kind:
estimate, posterior SD, interval. Numbers are rounded to the decimals asked for, and to more in a
group whose smallest SD would vanish. A true minus sign stands before negative numbers, and no zero
before the point of what cannot exceed 1 (R-squared). What the numbers are, and what they rest on,
is in the notes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.coded_in_words import references_in_words
from bayes_msem.posterior.convergence import R_HAT_LIMIT, Convergence, told_apart
from bayes_msem.posterior.summary import reference_note
from bayes_msem.posterior.tables import KIND_TITLES, EstimateTable
from bayes_msem.spec.expressions import names
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import Kind, ParameterTable, Row, RowKey
from bayes_msem.wording import plural

__all__ = ["MARK", "R2", "Estimate", "PublishedTable", "TableLine", "published_table"]

Estimate = Literal["mean", "median"]

MARK, R2 = "\u1d43", "R\u00b2"  # a raised "a"
DASH, MINUS, TO, WITH = "\u2013", "\u2212", "\u2192", "\u2194"
_MOST_DECIMALS = 5
_LEVELS = {"within": "Within clusters", "between": "Between clusters", "": ""}
_INTERVALS = {
    "eti": "equal-tailed credible interval",
    "hdi": "highest-density credible interval",
}
_SCALES = {"sd": " (SD)", "cor": " (correlation)", "cov": "", "": ""}
_FAMILIES = {
    "halfnormal": "half-normal",
    "studentt": "Student t",
    "halfstudentt": "half-Student t",
    "cauchy": "Cauchy",
    "halfcauchy": "half-Cauchy",
    "invgamma": "inverse gamma",
    "lkj": "LKJ",
    "dirichlet": "Dirichlet",
}
_MOST_PRIORS = 2  # of a kind that are written out


@dataclass(frozen=True, slots=True)
class TableLine:
    """One line: a heading (``depth`` 0: level, 1: kind; one cell) or a row (``depth`` 2)."""

    depth: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table as text.

    Attributes
    ----------
    title
        What it shows.
    columns
        Heads of the columns, "Parameter" first.
    lines
        Headings and rows.
    notes
        Sentences below it.
    """

    title: str
    columns: tuple[str, ...]
    lines: tuple[TableLine, ...]
    notes: tuple[str, ...]


def published_table(
    blueprint: Blueprint,
    summary: EstimateTable,
    rows: Sequence[Row],
    convergence: Convergence,
    *,
    chains: int,
    draws: int,
    sampler: str,
    estimate: Estimate,
    decimals: int,
    title: str,
) -> PublishedTable:
    """Lay out a summary for publication.

    Parameters
    ----------
    blueprint
        The model.
    summary
        Result of ``fit.summary()``, with or without standardised values.
    rows
        Rows to show; R-squared is shown with all rows of its level only.
    convergence
        That of the fit.
    chains, draws, sampler
        How it was sampled; draws are those of one chain.
    estimate
        Which of mean and median is shown.
    decimals
        Decimals, at least.
    title
        Heading.
    """
    table, frame = blueprint.table, pd.DataFrame(summary)
    wanted = {row.key: row for row in rows}
    whole = {r.level for r in table.rows} - {r.level for r in table.rows if r.key not in wanted}
    standardised = "std_all" in frame
    mass = f"{100 * summary.attrs['ci']:g}%"
    columns = ["Parameter", "Estimate", "SD", f"{mass} CrI"]
    columns += ["Std."] if standardised else []
    shown: list[tuple[str, str, str, pd.Series]] = []
    for i, key in enumerate(RowKey(*k) for k in frame[list(_KEY)].itertuples(index=False)):
        if key.op == "r2" and key.level in whole:
            shown.append((key.level, R2, key.lhs, frame.iloc[i]))
        elif key in wanted:
            row = wanted[key]
            shown.append((key.level, KIND_TITLES[row.kind], _name(row, table), frame.iloc[i]))
    lines = _lines(shown, estimate, decimals, standardised, table.two_level)
    skewed = estimate == "mean" and any(MARK in cell for line in lines for cell in line.cells)
    notes = [
        _about_data(blueprint),
        reference_note(references_in_words(blueprint.observed.coded, rows)).strip(),
        _about_numbers(summary, estimate, standardised, rows),
        *([f"{MARK} The posterior is skewed: its median describes it better."] if skewed else []),
        _about_draws(convergence, chains, draws, sampler),
        _about_priors(blueprint, rows),
    ]
    return PublishedTable(
        title, tuple(columns), tuple(lines), tuple(note for note in notes if note)
    )


_KEY = ("level", "lhs", "op", "rhs")


# Lines -------------------------------------------------------------------------------------------


def _lines(
    shown: Sequence[tuple[str, str, str, pd.Series]],
    estimate: Estimate,
    decimals: int,
    standardised: bool,
    two_level: bool,
) -> list[TableLine]:
    lines: list[TableLine] = []
    titles = [*KIND_TITLES.values(), R2]
    for level in dict.fromkeys(level for level, *_ in shown):
        heading = _LEVELS.get(level, f"Level {level}")
        if two_level and heading:
            lines.append(TableLine(0, (heading,)))
        for title in titles:
            group = [(name, values) for lev, t, name, values in shown if (lev, t) == (level, title)]
            if not group:
                continue
            depth = 1 if level and two_level else 0
            lines.append(TableLine(depth, (title,)))
            digits = _decimals([float(values["sd"]) for _, values in group], decimals)
            for name, values in group:
                cells = _cells(values, estimate, digits, decimals, standardised, title == R2)
                lines.append(TableLine(2, (name, *cells)))
    return lines


def _decimals(sds: Iterable[float], least: int) -> int:
    """Decimals that leave one digit of the smallest SD of a group."""
    positive = [sd for sd in sds if sd > 0]
    if not positive:
        return least
    return min(max(least, -math.floor(math.log10(min(positive)))), max(least, _MOST_DECIMALS))


def _cells(
    values: pd.Series,
    estimate: Estimate,
    digits: int,
    decimals: int,
    standardised: bool,
    below_one: bool,
) -> list[str]:
    def text(value: float, places: int = digits) -> str:
        return _number(value, places, below_one)

    if pd.isna(values["mean"]):
        cells = [DASH, DASH, DASH]
    elif not values["sd"] > 0:
        cells = [text(values["mean"]), DASH, DASH]
    else:
        mark = MARK if estimate == "mean" and values["note"] == "skewed" else ""
        interval = f"[{text(values['lower'])}, {text(values['upper'])}]"
        cells = [text(values[estimate]) + mark, text(values["sd"]), interval]
    if standardised:
        std = values["std_all"]
        cells.append(DASH if pd.isna(std) else _number(float(std), decimals))
    return cells


def _number(value: float, decimals: int, below_one: bool = False) -> str:
    text = f"{abs(value):.{decimals}f}"
    sign = MINUS if value < 0 and float(text) else ""
    if below_one and text.startswith("0."):
        text = text[1:]
    return sign + text


def _name(row: Row, table: ParameterTable) -> str:
    used = {name for d in table.definitions for name in names(d.expression)}
    label = f" ({row.label})" if row.label in used and row.kind != "defined" else ""
    varies = f", varies ({row.random})" if row.random else ""
    residual = ", residual" if _is_residual(row, table) else ""
    text = {
        "loading": f"{row.lhs} {TO} {row.rhs}",
        "regression": f"{row.rhs} {TO} {row.lhs}",
        "covariance": f"{row.lhs} {WITH} {row.rhs}",
        "threshold": f"{row.lhs}, threshold {row.rhs.removeprefix('t')}",
        "defined": f"{row.lhs} = {row.rhs}",
    }.get(row.kind, row.lhs)
    return f"{text}{residual}{varies}{label}"


def _is_residual(row: Row, table: ParameterTable) -> bool:
    """Whether a (co)variance is one of residuals: all its variables have predictors."""
    if row.kind not in ("variance", "covariance"):
        return False
    explained = {r.rhs for r in table.rows if r.level == row.level and r.kind == "loading"}
    explained |= {r.lhs for r in table.rows if r.level == row.level and r.kind == "regression"}
    return {row.lhs, row.rhs} <= explained


# Notes -------------------------------------------------------------------------------------------


def _about_data(blueprint: Blueprint) -> str:
    observed = blueprint.observed
    text = f"N = {observed.n_rows:,}"
    if observed.cluster is not None:
        sizes = observed.sizes
        text += (
            f" in J = {observed.n_clusters:,} clusters ({observed.cluster_name}) of {sizes.min()} "
            f"to {sizes.max()} (median {np.median(sizes):g})"
        )
    if observed.incomplete:
        text += "; missing values by full information"
    if empty := int((~observed.informative).sum()):
        text += f"; {plural(empty, 'row')} without any observed outcome, and so without influence"
    return f"{text}."


def _about_numbers(
    summary: EstimateTable, estimate: Estimate, standardised: bool, rows: Sequence[Row]
) -> str:
    constant = " A dash stands where a value is fixed or varies over clusters." if any(
        not row.free and row.kind != "defined" for row in rows
    ) else ""  # fmt: skip
    std = " Std. = posterior mean, standardised within the level." if standardised else ""
    return (
        f"Estimate = posterior {estimate}; SD = posterior standard deviation; CrI = "
        f"{_INTERVALS[summary.attrs['ci_kind']]}.{std}{constant}"
    )


def _about_draws(convergence: Convergence, chains: int, draws: int, sampler: str) -> str:
    text = f"{plural(chains, 'chain')} of {draws:,} draws ({sampler})"
    if math.isfinite(convergence.max_r_hat):
        text += f"; largest R\u0302 = {told_apart(convergence.max_r_hat, R_HAT_LIMIT, 3)}"
    if math.isfinite(convergence.min_ess):
        text += f", smallest effective sample size = {convergence.min_ess:,.0f}"
    text += f"; {plural(convergence.divergences, 'divergent transition')}"
    verdict = {
        "fine": "",
        "sample longer": " Sample longer before reporting these estimates.",
        "do not use": " The chains have problems: these estimates cannot be reported.",
    }[convergence.grade]
    return f"{text}.{verdict}"


def _about_priors(blueprint: Blueprint, rows: Sequence[Row]) -> str:
    """Priors by kind: those of all rows if there are few, their family otherwise."""
    found: dict[Kind, dict[int, Prior]] = {}
    for row in rows:
        if row.free:
            found.setdefault(row.kind, {})[row.free] = blueprint.priors[row.free]
    parts = []
    for kind, title in KIND_TITLES.items():
        if kind not in found:
            continue
        priors = list(found[kind].values())
        scales = " or ".join(dict.fromkeys(_SCALES[p.scale] for p in priors))
        written = list(dict.fromkeys(_prior_text(p) for p in priors))
        if len(written) > _MOST_PRIORS:
            families = dict.fromkeys(_FAMILIES.get(p.family, p.family) for p in priors)
            written = [f"{' or '.join(families)}, scaled row by row"]
        parts.append(f"{title.lower()}{scales}: {' or '.join(written)}")
    return f"Priors of {'; '.join(parts)}." if parts else ""


def _prior_text(prior: Prior) -> str:
    text = str(prior).partition("[")[0]
    return text.replace(prior.family, _FAMILIES.get(prior.family, prior.family), 1)
