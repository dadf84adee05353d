"""Imputation: completed data sets as a by-product of a fit."""

from __future__ import annotations

import pandas as pd

from bayes_msem.arguments import checked, integer
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.impute import impute


class Imputation(FitCore):
    """The part of :class:`bayes_msem.Fit` that completes incomplete data."""

    @checked(draws=integer(1))
    def impute(self, draws: int = 20, *, random_seed: int | None = None) -> list[pd.DataFrame]:
        """Complete the data several times: multiple imputation under the fitted model.

        Parameters
        ----------
        draws
            Number of completed data sets. The posterior draws behind them are evenly spaced over
            all chains.
        random_seed
            Seed of the draws of missing values; None: the seed of the fit.

        Returns
        -------
        list of pandas.DataFrame
            Each has the rows and the index of the data, and the columns that the model uses:
            cluster, outcomes and indicators of both levels with the missing values filled in, and
            covariates. Observed values are as they were. Analyse each and pool the results by
            Rubin's rules. Missing categories are drawn as labels of the data, and missing counts
            with the exposures of their rows. (Rows that miss covariates and all outcomes stay
            missing, as do counts without an exposure.)

        Raises
        ------
        SpecificationError
            Nothing is missing, or ``draws`` exceeds the number of posterior draws.

        References
        ----------
        Rubin, D. B. (1987). Multiple imputation for nonresponse in surveys. Wiley.
        https://doi.org/10.1002/9780470316696

        Examples
        --------
        >>> completed = factors.impute(draws=3)
        >>> len(completed)
        3
        >>> int(completed[0].isna().to_numpy().sum())
        0
        """
        seed = int(self.datatree.attrs["random_seed"]) if random_seed is None else random_seed
        return impute(
            self.model.blueprint, self.datatree["posterior"].to_dataset(), draws, int(seed)
        )
