"""Sensitivity: how much the priors matter."""

from __future__ import annotations

from functools import cached_property

from bayes_msem.checking.sensitivity import PriorSensitivity, prior_sensitivity
from bayes_msem.fit.core import FitCore

__all__ = ["Sensitivity"]


class Sensitivity(FitCore):
    """The part of :class:`bayes_msem.Fit` that asks how much the priors matter."""

    def prior_sensitivity(self) -> PriorSensitivity:
        """Ask whether posteriors follow the priors or the data, by power-scaling.

        Returns
        -------
        PriorSensitivity
            ``table``: one row per free or defined row with prior and likelihood sensitivity, a
            diagnosis where the priors matter (sensitivity above 0.05), and the row whose prior
            matters most; ``by_group``: sensitivity to each group of priors alone;
            ``advice``: what to do, in words. Print it to see table and advice.

        Raises
        ------
        SpecificationError
            Fewer than 50 draws.

        References
        ----------
        Kallioinen, N., Paananen, T., Bürkner, P.-C., & Vehtari, A. (2024). Detecting and
        diagnosing prior and likelihood sensitivity with power-scaling. Statistics and Computing,
        34, 57. https://doi.org/10.1007/s11222-023-10366-5
        """
        return self._sensitivity

    @cached_property
    def _sensitivity(self) -> PriorSensitivity:
        posterior = self.datatree["posterior"].to_dataset()
        return prior_sensitivity(self.model.blueprint, posterior, self.draws)
