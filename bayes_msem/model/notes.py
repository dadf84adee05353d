"""Notes of a model: what text, data and priors say that their author should know.

Notes on text and data may be warned of when the model is built, because numbers may be wrong;
remarks on arguments are not. All are printed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bayes_msem.data.advice import advice
from bayes_msem.data.doubtful_data import (
    blended_slopes,
    clusters_without_spread,
    codes_for_missing,
    like_categories,
    means_of_outcomes,
    slopes_without_variation,
)
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import (
    INSIDE,
    DataWarning,
    MsemWarning,
    SmallSampleWarning,
    SpecificationWarning,
)
from bayes_msem.spec.defaults import RandomCovariances
from bayes_msem.spec.misreadings import labels_like_variables
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.statements import ParsedModel
from bayes_msem.spec.table import ParameterTable
from bayes_msem.spec.user_priors import unused_priors

__all__ = ["Note", "notes_of", "remarks_of", "warn_of"]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence or two, and how to warn of them; None: printed only."""

    text: str
    warning: type[MsemWarning] | None = None


def notes_of(
    parsed: ParsedModel,
    columns: Sequence[str],
    table: ParameterTable,
    observed: ObservedData,
    predictors: Sequence[str] = (),
) -> tuple[Note, ...]:
    """Collect what may make numbers wrong, or mean something else than their author thinks.

    Parameters
    ----------
    parsed, columns
        The statements, and the columns of the data.
    table
        The parameter table.
    observed
        Data that passed all checks.
    predictors
        Notes on products and dummies.
    """
    varying = [row for row in table.rows if row.random]
    kinds: list[tuple[Sequence[str], type[MsemWarning] | None]] = [
        (labels_like_variables(parsed, columns), SpecificationWarning),
        (predictors, SpecificationWarning),
        (codes_for_missing(observed), DataWarning),
        (means_of_outcomes(observed), DataWarning),
        (slopes_without_variation(observed, table), DataWarning),
        (clusters_without_spread(observed, table), DataWarning),
        (advice(observed, varying), SmallSampleWarning),
        (blended_slopes(observed, table), None),
        (like_categories(observed), None),
    ]
    return tuple(Note(text, warning) for texts, warning in kinds for text in texts)


def remarks_of(
    table: ParameterTable,
    priors: Mapping[Any, str | Prior] | str | None,
    random_covariances: RandomCovariances,
) -> list[str]:
    """Collect arguments that this model has no use for; they are printed, and nothing else.

    Parameters
    ----------
    table
        The parameter table.
    priors, random_covariances
        As for :class:`bayes_msem.Model`.
    """
    remarks = unused_priors(table, priors)
    if random_covariances != "all" and not any(row.random for row in table.rows):
        remarks.append(
            f"random_covariances='{random_covariances}' changes nothing: no coefficient has rv()."
        )
    return remarks


def warn_of(notes: Sequence[Note]) -> None:
    """Issue the warnings among the notes."""
    for note in notes:
        if note.warning is not None:
            warnings.warn(note.text, note.warning, skip_file_prefixes=INSIDE)
