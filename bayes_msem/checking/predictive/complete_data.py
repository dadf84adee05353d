"""The model on complete data sets of one design, observed or replicated."""

from __future__ import annotations

from bayes_msem.blueprint.blueprint import Blueprint, build_blueprint
from bayes_msem.checking.predictive.reduced_data import Sample

__all__ = ["CompleteModel"]


class CompleteModel:
    """A model whose data may be incomplete, on samples, which are complete.

    Parameters
    ----------
    blueprint
        The model.
    sample
        Some complete data on the design; ``blueprint`` is the model on these.
    """

    def __init__(self, blueprint: Blueprint, sample: Sample) -> None:
        self.blueprint = build_blueprint(blueprint.table, blueprint.priors, sample.data)

    def on(self, sample: Sample) -> Blueprint:
        """Return the model on a sample, whose cross products are computed once."""
        return sample.once(self, lambda: self.blueprint.on(sample.data))
