"""Fit: posterior draws together with the model that made them.

The class is put together from parts, one module each; all of them read :class:`FitCore`.
"""

from __future__ import annotations

from typing import ClassVar

from bayes_msem.blueprint.known_levels import KnownLevels
from bayes_msem.fit.accuracy import Accuracy
from bayes_msem.fit.all_checks import Verdicts
from bayes_msem.fit.check_figures import CheckFigures
from bayes_msem.fit.checks import Checks
from bayes_msem.fit.cluster_effects import Clusters
from bayes_msem.fit.cluster_figures import ClusterFigures
from bayes_msem.fit.estimates import Estimates
from bayes_msem.fit.hypothesis import HypothesisTests
from bayes_msem.fit.imputation import Imputation
from bayes_msem.fit.indices import Indices
from bayes_msem.fit.prediction import Prediction
from bayes_msem.fit.prior_influence import Sensitivity
from bayes_msem.fit.publishing import Publishing
from bayes_msem.fit.report import Report
from bayes_msem.fit.row_figures import RowFigures
from bayes_msem.fit.saving import Files
from bayes_msem.fit.solutions import Solutions

__all__ = ["Fit"]


class Fit(
    Publishing,
    Report,
    Estimates,
    Solutions,
    HypothesisTests,
    Clusters,
    Prediction,
    Imputation,
    CheckFigures,
    Verdicts,
    Checks,
    Accuracy,
    Indices,
    Sensitivity,
    RowFigures,
    ClusterFigures,
    Files,
    KnownLevels,
):
    """Result of :meth:`bayes_msem.Model.fit`.

    Attributes
    ----------
    model
        The model that was fitted.
    datatree
        ArviZ DataTree. Group ``posterior`` has the sampled parameters (one variable per level
        and kind; standard deviations and partial correlations for (co)variances) and derived
        ones: variances, covariances, correlations and defined parameters. Groups
        ``sample_stats``, ``observed_data`` and ``constant_data`` complete it; its attributes
        record package version, model text and seed.

    Examples
    --------
    Examples of the methods use this fit, and ``factors``, one of a model with
    ``fw =~ energy + focus + calm + joy`` within and the same for ``fb`` between, to the data set
    "wellbeing" without teams of one row:

    >>> import bayes_msem as bm
    >>> model = bm.Model('''
    ...     level: within
    ...         mach ~ rv("slope")*cses
    ...     level: between
    ...         mach + slope ~ sector
    ... ''', data=bm.load_dataset("hsb"), cluster="school")
    >>> fit = model.fit(random_seed=1)  # doctest: +SKIP
    >>> "posterior" in fit.datatree.children
    True
    """

    _KNOWN = frozenset(
        {
            "cluster_draws",
            "cluster_effects",
            "convergence",
            "datatree",
            "diagram",
            "draws",
            "hypothesis",
            "icc",
            "implied_covariance",
            "log_likelihood",
            "loo",
            "model",
            "plot_forest",
            "plot_prior_posterior",
            "plot_prior_sensitivity",
            "plot_rank",
            "ppp",
            "prior_posterior_overlap",
            "prior_sensitivity",
            "plot_trace",
            "r2",
            "save",
            "scores",
            "standardized",
            "summary",
            "to_draws",
            "to_table",
            "variance_components",
            "waic",
        }
    )
    _INSTEAD: ClassVar[dict[str, str]] = {}

    def _is_three_level(self) -> bool:
        return bool(self.model.table.three_level)
