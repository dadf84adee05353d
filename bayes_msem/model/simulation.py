"""The part of :class:`bayes_msem.Model` that simulates data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

import pandas as pd

from bayes_msem.arguments import checked
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.values import Values, theta_from_values
from bayes_msem.inference.seeds import seed_of
from bayes_msem.simulation.frame import Wanted, simulated_frame


class Simulation:
    """Simulation of data from given table values."""

    if TYPE_CHECKING:

        @cached_property
        def blueprint(self) -> Blueprint:
            """Structure, priors and data."""

    @overload
    def simulate(
        self,
        values: Values,
        *,
        random_seed: int | None = None,
        clusters: int | Sequence[int] | None = None,
        sizes: int | Sequence[int] | None = None,
        data: Any = None,
        keep_missing: bool = False,
        effects: pd.DataFrame | None = None,
        return_effects: Literal[False] = False,
        missing: bool = False,
        tops: int | None = None,
    ) -> pd.DataFrame: ...

    @overload
    def simulate(
        self,
        values: Values,
        *,
        random_seed: int | None = None,
        clusters: int | Sequence[int] | None = None,
        sizes: int | Sequence[int] | None = None,
        data: Any = None,
        keep_missing: bool = False,
        effects: pd.DataFrame | None = None,
        return_effects: Literal[True],
        missing: bool = False,
        tops: int | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]: ...

    @checked()
    def simulate(
        self,
        values: Values,
        *,
        random_seed: int | None = None,
        clusters: int | Sequence[int] | None = None,
        sizes: int | Sequence[int] | None = None,
        data: Any = None,
        keep_missing: bool = False,
        effects: pd.DataFrame | None = None,
        return_effects: bool = False,
        missing: bool = False,
        tops: int | None = None,
    ) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
        """Simulate data from given values of the parameters.

        Every cluster draws its random intercepts and coefficients from their level-2 distribution
        given its covariates, and every row its outcomes from the cluster's model. Covariates are
        conditioned on, so they are not simulated but taken: from the data of the model (default),
        resampled from them (``clusters``, ``sizes``), or from another data frame (``data``).

        Parameters
        ----------
        values
            Mapping {(level, lhs, op, rhs): value}, such as the result of :meth:`mode`, or data
            frame with these columns and ``value`` (or ``mean``, such as ``fit.summary()``), for
            all free rows. Covariance matrices may be singular.
        random_seed
            Seed; None draws a new one. It settles resampling too.
        clusters
            Number of new clusters; None: as many as ``sizes`` has or, without, as the data have.
            They are labelled 1, 2, and so on. Without ``sizes``, each takes size, covariates and
            cluster-level covariates of a cluster of the data drawn with replacement.
        sizes
            Rows of every new cluster: one number, or one for each. Each cluster then takes its
            cluster-level covariates from a cluster drawn from the data, and its rows take theirs,
            together, from rows drawn from that cluster; both with replacement. In single-level
            models: number of rows, drawn from those of the data.
        data
            Data frame (of any library) with the cluster column and the covariates of the rows to
            simulate. Not together with ``clusters`` or ``sizes``.
        keep_missing
            Remove what is missing where the covariates come from: in the data; in the rows and
            clusters that were resampled; in ``data``, where it has columns of outcomes. False:
            all outcomes are simulated (but for rows of the data that miss a covariate, which new
            clusters do not draw).
        effects
            Effects of the clusters, so that new rows come from clusters that are known: what
            ``return_effects`` returns, with one row per cluster (index: identifiers) and one column
            per random intercept and random coefficient. Cluster-level outcomes are simulated given
            them. None: effects are drawn.
        return_effects
            Also return the effects of the clusters.
        missing
            Older name of ``keep_missing``.
        tops
            Number of new units of the highest level of a three-level model. ``clusters`` then is a
            number of clusters in each of them, or a list with one for each, and ``sizes`` the rows
            of every cluster; what is left out is that of the units drawn from the data.

        Returns
        -------
        pandas.DataFrame, or a tuple of two
            Cluster identifiers, simulated outcomes and covariates; the frame is data for the same
            model. With ``return_effects`` also the truth that ``fit.cluster_effects()`` estimates:
            one row per cluster (index: identifiers), one column per random intercept, random
            coefficient (total coefficients; log SDs and Fisher-z correlations), definition that
            uses some, and level-2 factor. Asking for it does not change the data.

        Raises
        ------
        SpecificationError
            Values outside the parameter space (negative variances, covariance matrices that are
            not positive definite), or arguments that contradict each other or the model.
        DataError
            ``data`` lacks columns or values.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> model = bm.Model('''
        ...     level: within
        ...         mach ~ cses
        ...     level: between
        ...         mach ~ sector
        ... ''', data=bm.load_dataset("hsb"), cluster="school")
        >>> plan = model.simulate(model.mode(), clusters=50, sizes=20, random_seed=1)
        >>> len(plan), plan["school"].nunique()
        (1000, 50)
        """
        theta = theta_from_values(self.blueprint, values)
        wanted = Wanted(clusters, sizes, data, keep_missing or missing, effects, tops)
        frame, true = simulated_frame(
            self.blueprint, theta, wanted, seed_of(random_seed), return_effects
        )
        return frame if true is None else (frame, true)
