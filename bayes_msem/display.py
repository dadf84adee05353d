"""What ``print(model)`` shows."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.data.between_size import between_size
from bayes_msem.data.coded_in_words import coded_in_words
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.markup import block, bullets_of, fold, pairs, text_paragraph, words
from bayes_msem.posterior.tables import EstimateTable, grouped_text, terminal_width
from bayes_msem.spec.table import ParameterTable, Role

_ROLES: dict[Role, str] = {
    "split": "split over levels (latent within + between parts)",
    "within-only": "outcome or indicator at level within only",
    "covariate": "covariate at level within (conditioned on)",
    "cluster-level": "cluster-level outcome or indicator",
    "cluster-level covariate": "cluster-level covariate (conditioned on)",
    "within factor": "factor at level within",
    "between factor": "factor at level between",
    "random effect": "random coefficient (varies over clusters)",
    "log SD": "log SD of residuals that differs between rows",
}
_SINGLE_LEVEL: dict[Role, str] = {
    "within-only": "outcome or indicator",
    "covariate": "covariate (conditioned on)",
    "within factor": "factor",
    "log SD": "log SD of residuals",
}
_KINDS = ("Single-level", "Two-level", "Three-level")
_SHOWN_PAIRS = 8
_ROWS_SHOWN = 40  # of the parameter table, before it is folded in notebooks
_DIRICHLET = (
    "dirichlet(a, sd=S) is one prior of all thresholds of an outcome: of the probabilities of its "
    "categories, if the latent response has standard deviation S. With a = 1 every division of the "
    "probabilities is equally likely; larger numbers favour equal ones."
)
_SCALES = {"sd": "the standard deviation", "cor": "the correlation", "cov": "the covariance"}


def describe_model(
    table: ParameterTable,
    parameters: pd.DataFrame,
    observed: ObservedData,
    missing: Sequence[str],
    plan: str,
    notes: Sequence[str],
    random_covariances: str,
) -> str:
    """Describe data, roles of variables, parameters with priors, and plan.

    Parameters
    ----------
    table
        The parameter table.
    parameters
        The same as a data frame.
    observed
        The data.
    missing
        Lines on missing values.
    plan
        The plan in words.
    notes
        Advice on the data.
    random_covariances
        Which covariances of random effects are free by default.

    Returns
    -------
    str
        Lines no longer than the terminal is wide, except where a name is.
    """
    kind = _KINDS[len(table.levels) - 1]
    about = between_size(observed, table)
    parts = [
        f"{kind} Bayesian structural equation model",
        "\n".join([_data_line(observed), *map(_wrapped, [*about, *missing])]),
        _describe_roles(table),
        *_describe_coded(observed, table),
        *_describe_outcomes(observed),
        _describe_parameters(parameters),
        *map(_wrapped, _random_covariances(table, random_covariances)),
        "\n".join(_wrapped(line) for line in plan.splitlines()),
    ]
    parts += [_wrapped(f"Note: {note}") for note in notes]
    return "\n\n".join(parts)


def model_html(
    table: ParameterTable,
    parameters: pd.DataFrame,
    observed: ObservedData,
    missing: Sequence[str],
    plan: str,
    notes: Sequence[str],
    random_covariances: str,
) -> str:
    """Describe a model for notebooks; arguments as for :func:`describe_model`."""
    kind = _KINDS[len(table.levels) - 1]
    roles = {role: ", ".join(names) for role, names in roles_in_words(table).items()}
    families = outcomes_in_words(observed)
    outcomes = {", ".join(names): text for text, names in families.items()}
    coded = coded_in_words(observed.coded, table.rows)
    shown = _parameters_shown(parameters)
    head = text_paragraph(_parameters_in_words(parameters), small=True)
    many = len(shown) > _ROWS_SHOWN
    covariances = " ".join(_random_covariances(table, random_covariances))
    free = parameters.loc[parameters["free"] > 0, "free"].nunique()
    return block(
        text_paragraph(f"{kind} Bayesian structural equation model", bold=True),
        text_paragraph(describe_data(observed)),
        *map(text_paragraph, between_size(observed, table)),
        words("\n".join(missing)) if missing else "",
        pairs(roles),
        text_paragraph("Dummies and products:") + pairs(coded) if coded else "",
        text_paragraph("Outcomes that are not normal:") + pairs(outcomes) if outcomes else "",
        fold(
            f"Parameters: {len(shown)} rows, {free} free",
            head + EstimateTable(shown)._repr_html_(),
            is_open=not many,
        ),
        text_paragraph(covariances, small=True) if covariances else "",
        fold("Plan", words(plan)),
        bullets_of(notes),
    )


def _data_line(observed: ObservedData) -> str:
    line = describe_data(observed)
    return _wrapped(line) if observed.three_level else line


def describe_data(observed: ObservedData) -> str:
    """Count rows and clusters in one line."""
    if observed.cluster is None:
        return f"Data: {observed.n_rows} rows"
    sizes = observed.sizes
    if observed.parent is not None:
        held = np.bincount(observed.parent)
        return (
            f"Data: {observed.n_rows} rows in {observed.n_clusters} clusters "
            f"('{observed.cluster_name}') in {observed.n_tops} larger ones ('{observed.top_name}')"
            f"; {_range(sizes)} rows per '{observed.cluster_name}', {_range(held)} "
            f"'{observed.cluster_name}' per '{observed.top_name}'"
        )
    return (
        f"Data: {observed.n_rows} rows in {observed.n_clusters} clusters "
        f"('{observed.cluster_name}'), sizes {sizes.min()} to {sizes.max()} "
        f"(median {np.median(sizes):g})"
    )


def _range(counts: NDArray[np.int64]) -> str:
    return f"{counts.min()} to {counts.max()} (median {np.median(counts):g})"


def _roles_by_level(table: ParameterTable) -> dict[str, list[str]]:
    """Map roles in a three-level model, with their levels, to the variables that have them."""
    members: dict[str, list[str]] = {}
    for variable in dict.fromkeys(v for _, v in table.roles):
        own = [level for level in table.levels if (level, variable) in table.roles]
        role = table.roles[own[0], variable]
        if role == "random effect":
            words = f"random coefficient (varies over '{own[0]}'"
            words += f" and '{own[1]}')" if len(own) > 1 else ")"
        elif role.endswith("factor"):
            words = f"factor at level {' and '.join(own)}"
        elif role.endswith("covariate"):
            words = f"covariate at level {own[0]} (conditioned on)"
        elif len(own) > 1:
            words = f"split over levels {', '.join(own)} (a latent part at each)"
        else:
            words = f"outcome or indicator at level {own[0]} only"
        members.setdefault(words, []).append(variable)
    return members


def roles_in_words(table: ParameterTable) -> dict[str, list[str]]:
    """Map the meaning of each role to the variables that have it."""
    if table.three_level:
        return _roles_by_level(table)
    names = _ROLES if table.two_level else _ROLES | _SINGLE_LEVEL
    members: dict[str, list[str]] = {}
    for (_, variable), role in table.roles.items():
        found = members.setdefault(names[role], [])
        if variable not in found:
            found.append(variable)
    return members


def _describe_roles(table: ParameterTable) -> str:
    lines = [f"  {role}: {', '.join(names)}" for role, names in roles_in_words(table).items()]
    return "\n".join(["Variables:", *map(_wrapped, lines)])


def _describe_coded(observed: ObservedData, table: ParameterTable) -> list[str]:
    """Say what dummies and products are; nothing if there are none."""
    found = coded_in_words(observed.coded, table.rows)
    if not found:
        return []
    lines = [f"  {names}: {words}" for names, words in found.items()]
    return ["\n".join(["Dummies and products:", *map(_wrapped, lines)])]


def outcomes_in_words(observed: ObservedData) -> dict[str, list[str]]:
    """Map families, with their categories or exposures, to the outcomes that have them."""
    members: dict[str, list[str]] = {}
    for name in (*observed.y_names, *observed.z_names):
        if name not in observed.families:
            continue
        words = observed.families[name].text
        if name in observed.categories:
            labels = observed.categories[name]
            words += f", {len(labels)} categories: {' < '.join(map(str, labels))}"
        if name in observed.exposure:
            words += f", exposure '{observed.exposure[name]}'"
        members.setdefault(words, []).append(name)
    return members


def _describe_outcomes(observed: ObservedData) -> list[str]:
    """Say which outcomes are not normal; nothing if all are."""
    found = outcomes_in_words(observed)
    if not found:
        return []
    lines = [f"  {', '.join(names)}: {words}" for words, names in found.items()]
    return ["\n".join(["Outcomes that are not normal:", *map(_wrapped, lines)])]


def scales_of_priors(parameters: pd.DataFrame) -> str:
    """Explain the marks such as [sd] behind priors; empty if there are none."""
    used = [s for s in _SCALES if parameters["prior"].str.endswith(f"[{s}]").any()]
    sentences = []
    if used:
        meanings = ", ".join(f"[{s}] on {_SCALES[s]}" for s in used)
        sentences.append(f"Scale of priors: {meanings}, all others on the parameter itself.")
    if parameters["prior"].str.startswith("dirichlet(").any():
        sentences.append(_DIRICHLET)
    return " ".join(sentences)


def _describe_parameters(parameters: pd.DataFrame) -> str:
    head = _wrapped(_parameters_in_words(parameters))
    return f"{head}\n{textwrap.indent(grouped_text(_parameters_shown(parameters)), '  ')}"


def _parameters_shown(parameters: pd.DataFrame) -> pd.DataFrame:
    shown = parameters.copy()
    shown["value"] = ["" if np.isnan(v) else f"{v:g}" for v in shown["value"]]
    return shown


def _parameters_in_words(parameters: pd.DataFrame) -> str:
    free = parameters.loc[parameters["free"] > 0, "free"].nunique()
    head = (
        f"Parameters: {free} free. Rows x ~~ x are variances. Equal numbers under 'free' are "
        "equal parameters; 0 is not free. 'value' is the constant, or the starting value if free."
    )
    if parameters["random"].any():
        head += " 'random' is the name given in rv(); its mean and variance are rows of that name."
    scales = scales_of_priors(parameters)
    return head + (f" {scales}" if scales else "")


def _random_covariances(table: ParameterTable, setting: str) -> list[str]:
    """Say which random effects covary, at each level; nothing if no coefficient varies."""
    return [t for level in table.levels[1:] for t in _covariances_at(table, setting, level)]


def _covariances_at(table: ParameterTable, setting: str, level: str) -> list[str]:
    """Say which random effects covary at a level.

    Indicators are left out: their residuals covary only where the text says so.
    """
    rows = [r for r in table.rows if r.level == level]
    indicators = {r.rhs for r in rows if r.kind == "loading"}
    known = table.variables(level, "split", "cluster-level", "between factor", "random effect")
    coefficients = [v for v in known if v in table.coefficients]
    modelled = [v for v in known if v not in coefficients]
    members = [v for v in (*modelled, *coefficients) if v not in indicators]
    if not coefficients or len(members) < 2:
        return []
    free = {frozenset((r.lhs, r.rhs)) for r in rows if r.kind == "covariance" and r.free}
    pairs = list(combinations(members, 2))
    others = [f"{a} ~~ {b}" for a, b in pairs if frozenset((a, b)) not in free]
    text = (
        f"Covariances of random effects{f' at level {level}' if table.three_level else ''} "
        f"(random_covariances='{setting}'): "
        f"{len(pairs) - len(others)} of {len(pairs)} pairs of {', '.join(members)} are free."
    )
    if 0 < len(others) < len(pairs):
        more = len(others) - _SHOWN_PAIRS
        text += f" Not free: {', '.join(others[:_SHOWN_PAIRS])}"
        text += f" and {more} more." if more > 0 else "."
    return [text]


def _wrapped(line: str) -> str:
    """Break a line where the terminal ends; keep its indentation, plus two columns."""
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(line, terminal_width(), subsequent_indent=f"{indent}  ")
