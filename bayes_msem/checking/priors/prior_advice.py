"""What to do about priors that decide, or that the data contradict, in words.

Where the priors are defaults that a simulation study compared (``docs/prior_study.md``), the advice
is its result: to compare with the other named set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.data.scales import scales
from bayes_msem.posterior.names import row_name
from bayes_msem.spec.default_priors import default_priors
from bayes_msem.spec.prior_sets import PRIOR_SETS, PriorSetName
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import Row, RowKey

__all__ = [
    "CONFLICT",
    "STRONG_PRIOR",
    "advice_on_priors",
    "priors_of_sets",
    "row_text",
    "warnings_of_weights",
    "wider_prior",
]

CONFLICT, STRONG_PRIOR = "prior-data conflict", "strong prior, weak data"
_MOST = 6  # rows named in a line of advice
_EXAMPLES = 3  # priors written out in it
_SCALE_ARGUMENTS = {"sigma": 2.0, "b": 2.0, "beta": 2.0, "lam": 0.5}  # twice as wide
_RATES = ("gamma",)  # whose beta is a rate
# What the study says to those whose priors of level between are of one set
_OTHER_SET: dict[PriorSetName, str] = {
    "informative": 'priors="wide", under which intervals of slopes between are about twice as wide '
    "and cover about as often (docs/prior_study.md)",
    "wide": 'priors="informative", which gave slopes between smaller errors at about the same '
    "coverage (docs/prior_study.md)",
}


def row_text(row: Row, blueprint: Blueprint) -> str:
    """Text of a row, with its level if there are two."""
    return row_name(row, two_level=blueprint.table.two_level)


def warnings_of_weights(pareto: Mapping[str, float], threshold: float) -> list[str]:
    """One line per set of importance weights that is not to be trusted."""
    return [
        f"The Pareto k of the weights that scale the {name} is {k:.2f}, above {threshold:.2f}: the "
        f"{name} sensitivities are not to be trusted. Draw more, or refit with other priors and "
        "compare."
        for name, k in pareto.items()
        if k > threshold
    ]


def advice_on_priors(
    blueprint: Blueprint,
    rows: Sequence[Row],
    diagnoses: Sequence[str],
    sources: Sequence[Row | None],
) -> list[str]:
    """One line per diagnosis, with all rows that have it and the priors behind."""
    lines = []
    for diagnosis in (CONFLICT, STRONG_PRIOR):
        moved: dict[int, list[str]] = {}
        by_number: dict[int, Row] = {}
        for row, found, source in zip(rows, diagnoses, sources, strict=True):
            if source is not None and found == diagnosis:
                moved.setdefault(source.free, []).append(row_text(row, blueprint))
                by_number[source.free] = source
        if not moved:
            continue
        one = len(moved) == 1
        said = _moved_rows(blueprint, by_number, moved)
        if diagnosis == CONFLICT:
            text = (
                f"Both data and priors move {said}: they may pull in different directions. "
                f"That is no error. If {'the' if one else 'a'} prior says "
                "what is known, keep it and report both; if not, refit with "
                f"{'a wider one' if one else 'wider ones'} and compare"
            )
        else:
            text = (
                f"The data say little about {said}; the prior{' decides' if one else 's decide'}. "
                f"Give the reasons for {'it' if one else 'them'}, and report how the result "
                f"changes with {'another one' if one else 'others'}"
            )
        lines.append(f"{text}{_other_priors(blueprint, by_number, diagnosis)}.")
    return lines


def _moved_rows(
    blueprint: Blueprint, by_number: Mapping[int, Row], moved: Mapping[int, Sequence[str]]
) -> str:
    """Rows and the priors that move them, the first few of them."""
    parts = []
    for free, names in list(moved.items())[:_MOST]:
        source = row_text(by_number[free], blueprint)
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        stated = str(blueprint.priors[free])
        stated = stated if list(names) == [source] else f"prior of {source}: {stated}"
        parts.append(f"{', '.join(names[:_MOST])}{more} ({stated})")
    more = f" and {len(moved) - _MOST} more" if len(moved) > _MOST else ""
    return "; ".join(parts) + more


def priors_of_sets(blueprint: Blueprint) -> dict[PriorSetName, dict[int, Prior]]:
    """Return the default priors of every named set, by free number."""
    units = scales(blueprint.observed)
    return {name: default_priors(blueprint.table, units, name) for name in PRIOR_SETS}


def _other_priors(blueprint: Blueprint, by_number: Mapping[int, Row], diagnosis: str) -> str:
    """Priors to compare with: the other named set where these are of one, or wider ones."""
    sets = priors_of_sets(blueprint)
    left, examples = dict(by_number), []
    for name, example in _OTHER_SET.items():
        if diagnosis == CONFLICT and name == "wide":  # the other one is narrower
            continue
        own = {
            free
            for free in by_number
            if blueprint.priors[free] == sets[name][free]
            and any(priors[free] != sets[name][free] for priors in sets.values())
        }
        if own:
            examples.append(example)
            left = {free: row for free, row in left.items() if free not in own}
    if wider := _wider_example(blueprint, left):
        examples.append(f"priors={wider}")
    return f", for example {'; or '.join(examples)}" if examples else ""


def _wider_example(blueprint: Blueprint, by_number: Mapping[int, Row]) -> dict[RowKey, str]:
    """Priors twice as wide as those named, where there are such."""
    return {
        row.key: str(prior)
        for free, row in list(by_number.items())[:_EXAMPLES]
        if (prior := wider_prior(blueprint.priors[free])) is not None
    }


def wider_prior(prior: Prior) -> Prior | None:
    """Return the same prior, twice as wide; None where there is no such argument."""
    names = prior.definition.arguments
    for name, factor in _SCALE_ARGUMENTS.items():
        if name in names and prior.definition.support != "correlation":
            factor = 1 / factor if prior.family in _RATES else factor
            arguments = list(prior.arguments)
            i = names.index(name)
            arguments[i] = float(f"{arguments[i] * factor:.4g}")
            return replace(prior, arguments=tuple(arguments))
    return None
