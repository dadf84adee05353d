"""Tables and priors of a model, and of the form of it that is sampled (spec.exploratory)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint, linked
from bayes_msem.blueprint.rotated import Turning
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.data.pivots import choose_pivots
from bayes_msem.errors import NotSupportedError
from bayes_msem.spec.default_priors import default_priors
from bayes_msem.spec.exploratory import (
    check_shared,
    echelon,
    echelon_priors,
    reported_priors,
    spherical,
)
from bayes_msem.spec.prior_text import Prior
from bayes_msem.spec.table import ParameterTable
from bayes_msem.spec.user_priors import prior_set_of, resolve_priors
from bayes_msem.spec.variable_scales import Scales
from bayes_msem.structure.rotation import Rotation, criterion

__all__ = ["Forms", "settle_forms"]

Priors = dict[int, Prior]


@dataclass(frozen=True, slots=True)
class Forms:
    """The table that a user reads with its priors, and what is sampled in its place.

    Attributes
    ----------
    table, priors
        With the prior texts filled in.
    sampled, sampled_priors
        Of the sampled form; None where it is the table itself.
    pivots
        By block of exploratory factors.
    """

    table: ParameterTable
    priors: Priors
    sampled: ParameterTable | None = None
    sampled_priors: Mapping[int, Prior] | None = None
    pivots: Mapping[str, tuple[str, ...]] | None = None

    @property
    def counted(self) -> ParameterTable:
        """The table whose free rows are parameters."""
        return self.table if self.sampled is None else self.sampled

    def remarks(self, rotation: Rotation) -> list[str]:
        """How exploratory factors are rotated and sampled; empty without them."""
        covary = "do not covary" if criterion(rotation).orthogonal else "covary"
        return [
            f'Exploratory factors {", ".join(block.factors)}, efa("{block.name}") at level '
            f"{block.level}: rotated by {rotation}"
            + (f", they {covary}" if len(block.factors) > 1 else "")
            + f"; sampled in coordinates of {', '.join((self.pivots or {})[block.name])}, on which "
            "the posterior does not depend."
            for block in self.table.blocks
        ]

    def blueprint(self, observed: ObservedData, rotation: Rotation) -> Blueprint:
        """Assemble the model on data, with non-centred coordinates of sampled effects."""
        reported = build_blueprint(self.table, self.priors, observed)
        if self.sampled is None or self.sampled_priors is None:
            return reported
        sampled = build_blueprint(self.sampled, self.sampled_priors, observed)
        return linked(reported, replace(sampled, turning=Turning(reported, criterion(rotation))))


def settle_forms(
    table: ParameterTable,
    observed: ObservedData,
    scales: Scales,
    user: Mapping[Any, Any] | str | None,
) -> Forms:
    """Give every free parameter its prior, and choose the sampled form.

    Parameters
    ----------
    table
        The parameter table.
    observed, scales
        The data, and their scales.
    user
        Priors of the user (spec.user_priors).

    Raises
    ------
    NotSupportedError
        Exploratory factors of outcomes that are not normal.
    """
    if not table.blocks:
        return Forms(*resolve_priors(table, scales, user))
    if table.three_level:
        raise NotSupportedError(
            "exploratory factors, efa(), of three-level models are not there yet; use confirmatory "
            f"factors, or leave out level '{table.levels[2]}'"
        )
    if table.responses:
        raise NotSupportedError(
            "exploratory factors, efa(), of models with outcomes that are not normal are not there "
            "yet: their scores are sampled, and would have to be rotated with the loadings. Treat "
            "the indicators as normal, or use confirmatory factors"
        )
    check_shared(table)
    filled, priors = resolve_priors(spherical(table), scales, user)
    pivots = choose_pivots(observed, table.blocks)
    sampled = echelon(filled, pivots)
    sampled_priors = echelon_priors(filled, priors, pivots)
    rows = (replace(r, prior=str(sampled_priors[r.free])) if r.free else r for r in sampled.rows)
    every = default_priors(table, scales, prior_set_of(user)) | priors
    return Forms(
        reported_priors(table, filled),
        every,
        replace(sampled, rows=tuple(rows)),
        sampled_priors,
        pivots,
    )
