"""Imputation: completed data sets as a by-product of a fit."""

from __future__ import annotations

from typing import Literal, overload

import pandas as pd

from bayes_msem.arguments import checked, choice, integer
from bayes_msem.errors import SpecificationError
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.impute import impute
from bayes_msem.posterior.plausible import long_frame, plausible_values


class Imputation(FitCore):
    """The part of :class:`bayes_msem.Fit` that completes incomplete data."""

    @overload
    def impute(
        self, draws: int = 20, *, long: Literal[False] = False, random_seed: int | None = None
    ) -> list[pd.DataFrame]: ...

    @overload
    def impute(
        self, draws: int = 20, *, long: Literal[True], random_seed: int | None = None
    ) -> pd.DataFrame: ...

    @checked(draws=integer(1))
    def impute(
        self, draws: int = 20, *, long: bool = False, random_seed: int | None = None
    ) -> list[pd.DataFrame] | pd.DataFrame:
        """Complete the data several times: multiple imputation under the fitted model.

        Parameters
        ----------
        draws
            Number of completed data sets. The posterior draws behind them are evenly spaced over
            all chains.
        long
            One frame with all data sets below each other, for other software: a first column
            ``imputation`` numbers them from 1.
        random_seed
            Seed of the draws of missing values; None: the seed of the fit.

        Returns
        -------
        list of pandas.DataFrame, or with ``long`` one pandas.DataFrame
            Each has the rows and the index of the data, and the columns that the model uses:
            cluster, outcomes and indicators of both levels with the missing values filled in, and
            covariates. Observed values are as they were. Analyse each and pool the results by
            Rubin's rules (:func:`bayes_msem.pool`). Missing categories are drawn as labels of the
            data, and missing counts with the exposures of their rows. (Rows that miss covariates
            and all outcomes stay missing, as do counts without an exposure.)

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
        frames = impute(
            self.model.blueprint, self.datatree["posterior"].to_dataset(), draws, int(seed)
        )
        return long_frame(frames) if long else frames

    @checked(draws=integer(1), level=choice(("within", "between")))
    def plausible_values(
        self,
        draws: int = 20,
        *,
        level: Literal["within", "between"] = "within",
        random_seed: int | None = None,
    ) -> pd.DataFrame:
        """Draw the factors several times, for analyses in other software.

        Plausible values carry the uncertainty of factors, which scores do not: analyse each set,
        and pool the results by Rubin's rules (:func:`bayes_msem.pool`). They are right for
        analyses whose variables are in this model; associations with others are too small.

        Parameters
        ----------
        draws
            Number of sets. The posterior draws behind them are evenly spaced over all chains.
        level
            "within": factors of every row, as deviations from their cluster. "between": level-2
            factors of every cluster.
        random_seed
            Seed; None: the seed of the fit.

        Returns
        -------
        pandas.DataFrame
            Sets below each other: columns imputation (from 1), the cluster column (two-level
            models), and one per factor. At level within the index has the labels of the rows.

        Raises
        ------
        SpecificationError
            The level has no factors, or ``draws`` exceeds the number of posterior draws.

        References
        ----------
        Asparouhov, T., & Muthén, B. (2010). Plausible values for latent variables using Mplus.
        https://www.statmodel.com/download/Plausible.pdf

        Rubin, D. B. (1987). Multiple imputation for nonresponse in surveys. Wiley.
        https://doi.org/10.1002/9780470316696

        Examples
        --------
        >>> values = factors.plausible_values(draws=5)
        >>> values.columns.tolist()
        ['imputation', 'team', 'fw']
        >>> values["imputation"].nunique()
        5
        """
        table = self.model.table
        if not table.variables(level, f"{level} factor"):
            raise SpecificationError(f"the model has no factors at level {level}")
        seed = int(self.datatree.attrs["random_seed"]) if random_seed is None else random_seed
        return plausible_values(
            self.model.blueprint,
            self.datatree["posterior"].to_dataset(),
            self.cluster_draws if table.two_level else None,
            level,
            draws,
            int(seed),
        )
