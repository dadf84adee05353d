"""Prediction: factor scores of rows and clusters, and outcomes of new rows."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bayes_msem.arguments import checked, choice, flag, new_or_older, text
from bayes_msem.blueprint.normal_outcomes import check_normal_outcomes
from bayes_msem.errors import SpecificationError
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.frame_rows import Clusters, Rows, data_rows, new_rows
from bayes_msem.posterior.predict import (
    PredictionKind,
    Request,
    prediction_draws,
    prediction_table,
)
from bayes_msem.posterior.scores import between_scores, within_score_draws, within_scores
from bayes_msem.posterior.summary import IntervalKind
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.spec.statements import TWO_LEVELS


class Prediction(FitCore):
    """The part of :class:`bayes_msem.Fit` that predicts factors and outcomes."""

    @checked(level=text)
    def scores(
        self,
        level: str = "within",
        *,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        return_draws: bool = False,
        draws: bool = False,
        newdata: pd.DataFrame | None = None,
        random_seed: int | None = None,
    ) -> EstimateTable | xr.DataArray:
        """Estimate factor scores.

        Factors are drawn from their exact normal distribution given the observed outcomes, at
        every posterior draw, so that intervals hold the uncertainty of the parameters too. Those
        that outcomes depend on that are not normal were sampled with the parameters.

        Parameters
        ----------
        level
            "within": factors of every row, as deviations from their cluster. "between": level-2
            factors of every cluster. Of three-level models "within", or one of the cluster columns.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.
        return_draws
            Return plausible values instead of a summary.
        draws
            Older name of ``return_draws``.
        newdata
            Rows to score instead of those of the data, with outcomes (NaN where missing),
            covariates and, in two-level models, the cluster column with identifiers of the data.
            What is known of the clusters comes from the data alone. Only for level "within" of
            models whose outcomes are all normal.
        random_seed
            Seed of the plausible values; None: the seed recorded in the fit.

        Returns
        -------
        EstimateTable or xarray.DataArray
            Columns factor, cluster (two-level models), mean, sd, lower and upper; at level
            within the index has the labels of the rows, and where they repeat a column obs_id has
            the number of the row, from 0. ``attrs["reliability"]`` maps each factor to
            var(means) / (var(means) + mean(sd^2)), the share of its variance that the scores
            carry. With ``return_draws``: dimensions chain, draw, obs_id and factor, with the
            labels of the rows in the coordinate row (of an index with several levels: ``row_`` and
            the name of each); at level between cluster_id instead of obs_id.

        Raises
        ------
        SpecificationError
            The level has no factors, or an argument is not one of those allowed.
        DataError
            ``newdata`` lacks columns or values, or has clusters that are not in the data.

        Examples
        --------
        >>> factors.scores("between").columns.tolist()
        ['factor', 'cluster', 'mean', 'sd', 'lower', 'upper']
        >>> factors.scores(return_draws=True).dims
        ('chain', 'draw', 'obs_id', 'factor')
        """
        table = self.model.table
        known_levels = table.levels if table.three_level else TWO_LEVELS
        if level not in known_levels:
            raise SpecificationError(
                f"level='{level}' is unknown; use {' or '.join(map(repr, known_levels))}"
            )
        if not table.variables(level, "within factor", "between factor"):
            raise SpecificationError(f"the model has no factors at level {level}")
        observed = self.model.blueprint.observed
        if level != "within":
            if newdata is not None:
                raise SpecificationError("newdata is for level='within': clusters are not scored")
            top = table.three_level and level == table.levels[2]
            of_level = self._levels_draws[1] if top else self.cluster_draws
            if return_draws or draws:
                values = of_level["factors"].rename(between_factor="factor")
                return values.rename("scores")
            ids = observed.top_ids if top else observed.cluster_ids
            return between_scores(of_level, ids, ci=ci, ci_kind=ci_kind)
        if newdata is not None:
            check_normal_outcomes(
                self.model.blueprint,
                "fit.scores(newdata=...)",
                "Fit the model to data with these rows: fit.scores() has those of all rows",
            )
        rows = (
            data_rows(observed) if newdata is None else new_rows(newdata, observed, outcomes=True)
        )
        known = self.cluster_draws if table.two_level else None
        posterior, seed = (
            self.datatree["posterior"].to_dataset(),
            self._prediction_seed(random_seed),
        )
        blueprint = self.model.blueprint
        if return_draws or draws:
            return within_score_draws(blueprint, posterior, known, rows, random_seed=seed)
        return within_scores(
            blueprint, posterior, known, rows, ci=ci, ci_kind=ci_kind, random_seed=seed
        )

    @checked(kind=choice(PredictionKind), new_clusters=flag, clusters=choice(Clusters))
    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        *,
        kind: PredictionKind = "mean",
        new_clusters: bool | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        return_draws: bool = False,
        random_seed: int | None = None,
        clusters: Clusters | None = None,
        draws: bool = False,
    ) -> EstimateTable | xr.DataArray:
        """Predict outcomes from covariates and clusters.

        Outcomes that ``newdata`` may contain are not used, not even those that predict others:
        predictions are what the model expects of rows of which only the covariates are known.

        Parameters
        ----------
        newdata
            Rows with the level-1 covariates and the cluster column; for new clusters also the
            cluster-level covariates; for counts their exposures. None: the rows of the data.
        kind
            "mean": the expected outcome given the covariates and the cluster's effects; its
            spread is uncertainty about parameters and effects. "outcome": outcomes of single rows,
            with their residual variation. "probability": probabilities of the categories of
            ordered outcomes. (In the other kinds they count as codes 0, 1, ... of their
            categories.)
        new_clusters
            False (or None): rows belong to clusters of the data, whose effects were estimated;
            cluster-level covariates are taken from the data. True: to other clusters, which
            draw effects from the population given their cluster-level covariates; without a
            cluster column every row is a cluster of its own. Ignored in single-level models.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.
        return_draws
            Return the draws instead of a summary.
        random_seed
            Seed; None: the seed recorded in the fit.
        clusters, draws
            Older names: "new" is ``new_clusters=True``, "known" is ``new_clusters=False``, and
            ``draws`` is ``return_draws``.

        Returns
        -------
        EstimateTable or xarray.DataArray
            Columns outcome, category (of probabilities), cluster (two-level models), mean, sd,
            lower and upper; the index has the labels of the rows, and where they repeat a column
            obs_id has the number of the row, from 0. Cluster-level outcomes are predicted from
            the cluster's effects and covariates, once per cluster, and repeated in all its rows.
            With ``return_draws``: dimensions chain, draw, obs_id and outcome, with the labels of
            the rows in the coordinate row (of an index with several levels: ``row_`` and the name
            of each); of probabilities category, with the coordinate outcome beside it.

        Raises
        ------
        DataError
            ``newdata`` lacks columns or values, or has clusters that are not in the data.
        SpecificationError
            An argument is not one of those allowed.

        Examples
        --------
        >>> import bayes_msem as bm
        >>> new = bm.load_dataset("hsb").head(2)
        >>> fit.predict(new)["outcome"].tolist()
        ['mach', 'mach']
        >>> fit.predict(new, new_clusters=True, kind="outcome", return_draws=True).dims
        ('chain', 'draw', 'obs_id', 'outcome')
        """
        blueprint = self.model.blueprint
        older = None if clusters is None else clusters == "new"
        new = bool(new_or_older("new_clusters", new_clusters, "clusters", older))
        of: Clusters = "new" if new else "known"
        rows: Rows = data_rows(blueprint.observed)
        if newdata is not None:
            rows = new_rows(newdata, blueprint.observed, clusters=of)
        known = self.cluster_draws if self.model.table.two_level and not new else None
        posterior = self.datatree["posterior"].to_dataset()
        request = Request(kind, of, self._prediction_seed(random_seed))
        if return_draws or draws:
            return prediction_draws(blueprint, posterior, known, rows, request)
        return prediction_table(blueprint, posterior, known, rows, request, ci=ci, ci_kind=ci_kind)

    def _prediction_seed(self, random_seed: int | None) -> int:
        return int(self.datatree.attrs["random_seed"]) if random_seed is None else random_seed
