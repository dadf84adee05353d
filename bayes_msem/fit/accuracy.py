"""Predictive accuracy: log-likelihoods per unit, LOO, WAIC and DIC."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from bayes_msem.arguments import checked, choice, integer, number, shown
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.normal_outcomes import check_normal_outcomes
from bayes_msem.checking.accuracy import criteria
from bayes_msem.checking.accuracy.integral import ClusterIntegral
from bayes_msem.checking.accuracy.log_likelihood import (
    Unit,
    check_unit,
    cluster_integral,
    cluster_log_likelihood,
    nested_log_likelihood,
    observation_log_likelihood,
    unit_labels,
)
from bayes_msem.checking.accuracy.loo import LooResult, psis_loo, warn_of_high_k
from bayes_msem.checking.accuracy.refit import exactly_replaced, moment_matched
from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.fit.core import FitCore
from bayes_msem.inference.options import check_fit_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayes_msem.fit import Fit
    from bayes_msem.model import Model

_VALUES, _ERRORS = "log_likelihood", "log_likelihood_error"


class Accuracy(FitCore):
    """The part of :class:`bayes_msem.Fit` that measures predictive accuracy."""

    @checked(unit=choice(Unit), nodes=integer(8, 4096), thin=integer(1))
    def log_likelihood(
        self, unit: Unit | None = None, *, nodes: int | None = None, thin: int = 1
    ) -> xr.DataArray:
        """Log-likelihood of every unit at every posterior draw.

        Computed once: the result is kept in group ``log_likelihood`` of ``fit.datatree`` under the
        name of the unit, where ArviZ finds it (``az.loo(fit.datatree, var_name="cluster")``), and
        saved with the fit.

        Parameters
        ----------
        unit
            "cluster": log p(y_j, z_j | theta), how well a *new cluster* is predicted; all random
            effects are integrated out. "observation": log p(y_ij | u_j, theta), how well a *new
            row of a known cluster* is predicted; u_j are posterior draws of the cluster's effects,
            and cluster-level outcomes are no part of it. "top", in three-level models:
            log p(y_k, z_k | theta), how well a *new unit of the highest level* is predicted, with
            all its clusters; "cluster" is a new cluster of a *known* such unit then. They are not
            comparable. None: the units of the highest level.
        nodes
            Points of the numerical integral over those effects of a cluster that NUTS samples,
            per draw and cluster; None: 32 for one or two such effects, 64 for up to four, 128
            for more. Without sampled effects everything is integrated exactly, and this is
            ignored. With outcomes that are not normal, the scores of rows are integrated by
            quadrature too; its error is added to the standard errors.
        thin
            Use every ``thin``-th draw only. Such results are returned, but not kept.

        Returns
        -------
        xarray.DataArray
            Dimensions chain, draw, and cluster_id, top_id or obs_id (position of the row). Units
            and rows without any observed outcome are left out; ``attrs["left_out"]`` says how many.
            Standard errors of numerical integrals, of the same shape, are in group
            ``log_likelihood_error`` of ``fit.datatree``; the largest one is in
            ``attrs["largest_integration_error"]``.

        Raises
        ------
        SpecificationError
            Unknown unit, "cluster" in a single-level model, "top" without three levels, or
            ``nodes`` below 8 or ``thin`` below 1.

        Warns
        -----
        AccuracyWarning
            Numerical integrals are inaccurate for some clusters.

        References
        ----------
        Merkle, E. C., Furr, D., & Rabe-Hesketh, S. (2019). Bayesian comparison of latent variable
        models: conditional versus marginal likelihoods. Psychometrika, 84, 802-829.
        https://doi.org/10.1007/s11336-019-09679-0

        Examples
        --------
        >>> fit.log_likelihood(thin=10).sizes["cluster_id"]
        160
        >>> fit.log_likelihood("observation", thin=10).dims
        ('chain', 'draw', 'obs_id')
        """
        blueprint = self.model.blueprint
        unit = check_unit(unit, blueprint.observed)
        kept = self._kept(unit)
        if kept is not None and thin == 1 and nodes in (None, kept.attrs.get("nodes", nodes)):
            return kept
        posterior = self.datatree["posterior"].to_dataset().isel(draw=slice(None, None, thin))
        if blueprint.nested is not None and unit != "observation":
            seed = int(self.datatree.attrs["random_seed"])
            values = nested_log_likelihood(blueprint, posterior, unit, random_seed=seed)
        elif unit == "cluster":
            integral = self._integral(posterior, nodes)
            values, errors = cluster_log_likelihood(blueprint, posterior, integral)
            if integral.is_numerical and thin == 1:
                self._keep(_ERRORS, errors)
        else:
            clusters = self.cluster_draws if blueprint.observed.two_level else None
            if clusters is not None:
                clusters = clusters.isel(draw=slice(None, None, thin))
            values = observation_log_likelihood(blueprint, posterior, clusters)
        if thin == 1:
            self._keep(_VALUES, values)
        return values

    @checked(unit=choice(Unit), threshold=number("a number, such as 0.7"))
    def loo(
        self,
        unit: Unit | None = None,
        *,
        refit: Literal["exact", "moment_match"] | Callable[[Model], Fit] | None = None,
        threshold: float | None = None,
        executor: Executor | None = None,
        **options: Any,
    ) -> LooResult:
        """Leave-one-out cross-validation: how well are clusters, or rows, predicted from the rest.

        Pareto-smoothed importance sampling by ArviZ, without fitting the model again. Where
        Pareto k is high it fails, and the result says so; ``refit`` mends that on request.

        Parameters
        ----------
        unit
            What is left out: "cluster", "observation" or "top", see :meth:`log_likelihood`.
        refit
            What to do about units whose Pareto k is above ``threshold``. None: report them.
            "exact": fit the model again without each of them, with the same priors. A function
            from a model to a fit: the same, with your own settings. "moment_match": move the draws
            towards what they would be without the unit; only where no effects of clusters are
            among the draws.
        threshold
            Which k are too high for importance sampling; None: ArviZ's ``good_k``, 0.7 or less if
            there are few draws. ``-inf`` refits all units: exact cross-validation.
        executor
            Runs the refits side by side: any ``concurrent.futures.Executor``, such as a
            ``ProcessPoolExecutor``, that of Dask (``client.get_executor()``) or of mpi4py. None:
            one after the other. The result is the same.
        **options
            Of the refits, passed to :meth:`bayes_msem.Model.fit`; by default as many chains and
            draws as this fit has.

        Returns
        -------
        LooResult
            With ``elpd``, ``se``, ``p_loo``, ``pareto_k`` and ``high_k`` by unit, ``pointwise``,
            ``replaced``, and ``elpd_data`` for ArviZ.

        Raises
        ------
        SpecificationError
            Unknown unit or refit, options or an executor without refits, or a function for
            ``refit`` that cannot be sent to other processes.
        NotSupportedError
            Moment matching where effects of clusters are among the draws.
        KeyboardInterrupt
            Interrupted, be it after the first draws of a refit.

        Warns
        -----
        AccuracyWarning
            Pareto k of some units is too high.

        References
        ----------
        Vehtari, A., Gelman, A., & Gabry, J. (2017). Practical Bayesian model evaluation using
        leave-one-out cross-validation and WAIC. Statistics and Computing, 27, 1413-1432.
        https://doi.org/10.1007/s11222-016-9696-4

        Examples
        --------
        >>> loo = fit.loo()
        >>> loo.unit, len(loo.pareto_k)
        ('cluster', 160)
        >>> loo.elpd < 0
        True
        """
        observed = self.model.observed
        unit = check_unit(unit, observed)
        options = _checked_refit(refit, options, threshold)
        _check_executor(executor, refit)
        if refit is not None and observed.three_level:
            raise NotSupportedError(
                "refit is not there for three-level models yet; loo() without it reports which "
                "Pareto k are too high: fit the model to data without these units to see how "
                "well they are predicted"
            )
        if refit is not None:
            _check_left_out(self.model.blueprint, unit)
        log_likelihood = self.log_likelihood(unit)
        result = psis_loo(self.datatree, observed, unit)
        if refit == "moment_match":
            result = moment_matched(
                self.model.blueprint, self.datatree, result, self._integral_of(unit)
            )
        elif refit is not None:
            again = refit if callable(refit) else self._refit(options)
            integral = self._integral_of(unit)
            result = exactly_replaced(
                self.model, result, log_likelihood, threshold, again, integral, executor
            )
        warn_of_high_k(result)
        return result

    @checked(unit=choice(Unit))
    def waic(self, unit: Unit | None = None) -> criteria.Waic:
        """Widely applicable information criterion; :meth:`Fit.loo` knows when it fails.

        Parameters
        ----------
        unit
            "cluster" or "observation", see :meth:`log_likelihood`.

        Returns
        -------
        Waic
            With ``elpd``, ``se``, ``p_waic``, ``waic`` (-2 elpd) and ``pointwise``.

        Raises
        ------
        SpecificationError
            Unknown unit, or "cluster" in a single-level model.

        Examples
        --------
        >>> waic = fit.waic()
        >>> len(waic.pointwise)
        160
        """
        unit = check_unit(unit, self.model.observed)
        labels = unit_labels(self.model.observed, unit)
        return criteria.waic(self.log_likelihood(unit), unit, labels)

    @checked()
    def dic(self) -> criteria.Dic:
        """Deviance information criterion of the marginal likelihood.

        The deviance is -2 log p(y, z | theta), with all random effects and factors integrated out;
        p_D compares its mean with its value at the posterior mean of the parameters on the scale
        on which they are sampled (standard deviations, partial correlations).

        Returns
        -------
        Dic
            With ``dic``, ``mean_deviance``, ``deviance_at_mean``, ``p_d`` and ``p_v``.

        References
        ----------
        Spiegelhalter, D. J., Best, N. G., Carlin, B. P., & van der Linde, A. (2002). Bayesian
        measures of model complexity and fit. Journal of the Royal Statistical Society B, 64,
        583-639. https://doi.org/10.1111/1467-9868.00353

        Examples
        --------
        >>> dic = fit.dic()
        >>> bool(dic.p_d > 0)
        True
        """
        values = self.log_likelihood(check_unit(None, self.model.observed))
        sampled = self.model.blueprint.n_sampled > 0
        if not sampled:
            check_normal_outcomes(
                self.model.blueprint, "The DIC of a model without effects of clusters", "use loo()"
            )
        errors = self.datatree[_ERRORS].to_dataset()["cluster"] if sampled else None
        return criteria.dic(
            self.model.blueprint,
            self.datatree["posterior"].to_dataset(),
            values,
            errors,
            self._integral_of("cluster") if sampled else None,
        )

    @checked(unit=choice(Unit))
    def plot_pareto_k(
        self, unit: Unit | None = None, *, figsize: tuple[float, float] | None = None
    ) -> Figure:
        """Pareto k of every cluster or row: where importance sampling fails.

        Parameters
        ----------
        unit
            "cluster" or "observation", see :meth:`log_likelihood`.
        figsize
            Width and height in inches; None: what the units need.

        Returns
        -------
        matplotlib.figure.Figure
            As in :meth:`plot_forest`. Units are in the order of the data. The lines are the limit
            for these draws, above which the term of a unit is unreliable, and 1, above which it
            means nothing; units above the limit are named.

        Raises
        ------
        SpecificationError
            Unknown unit, or "cluster" in a single-level model.

        Examples
        --------
        >>> fit.plot_pareto_k().axes[0].get_ylabel()
        'Pareto k'
        """
        from bayes_msem.plotting.pareto import pareto_k

        unit = check_unit(unit, self.model.observed)
        self.log_likelihood(unit)
        result = psis_loo(self.datatree, self.model.observed, unit)
        return pareto_k(result.pareto_k, result.elpd_data.good_k, unit, figsize=figsize)

    def _refit(self, options: dict[str, Any]) -> Callable[[Model], Fit]:
        """Return a function that fits a model as this one was fitted."""
        sizes = self.datatree["posterior"].sizes
        settings = {
            "chains": sizes["chain"],
            "draws": sizes["draw"],
            "random_seed": int(self.datatree.attrs["random_seed"]),
            "progress": False,
            **options,
        }
        return partial(_fitted, settings)

    def _integral_of(self, unit: Unit) -> ClusterIntegral | None:
        """Return the integral over effects of clusters, with as many nodes as were used before."""
        if unit == "observation":
            return None
        nodes = self.log_likelihood("cluster").attrs["nodes"]
        return self._integral(self.datatree["posterior"].to_dataset(), int(nodes) or None)

    def _integral(self, posterior: xr.Dataset, nodes: int | None) -> ClusterIntegral:
        seed = int(self.datatree.attrs["random_seed"])
        return cluster_integral(self.model.blueprint, posterior, nodes=nodes, random_seed=seed)

    def _kept(self, unit: Unit) -> xr.DataArray | None:
        if _VALUES not in self.datatree.children or unit not in self.datatree[_VALUES].data_vars:
            return None
        return self.datatree[_VALUES].to_dataset()[unit]

    def _keep(self, group: str, array: xr.DataArray) -> None:
        there = group in self.datatree.children
        dataset = self.datatree[group].to_dataset() if there else xr.Dataset()
        self.datatree[group] = xr.DataTree(dataset.assign({str(array.name): array}))


def _fitted(settings: dict[str, Any], model: Model) -> Fit:
    """Fit a model; a function of the module, so that it can be sent to other processes."""
    return model.fit(**settings)


def _check_executor(executor: Any, refit: Any) -> None:
    if executor is None:
        return
    if not callable(getattr(executor, "submit", None)):
        raise SpecificationError(
            f"executor={shown(executor)} cannot run anything: it needs to be a "
            "concurrent.futures.Executor, such as ProcessPoolExecutor(4)"
        )
    if refit is None or refit == "moment_match":
        raise SpecificationError("executor= runs refits, and there are none; add refit='exact'")


def _check_left_out(blueprint: Blueprint, unit: Unit) -> None:
    """Refuse refits whose rows would miss what latent responses need (likelihood.plan)."""
    responses = blueprint.template.responses
    if unit == "observation" and responses is not None and responses.needed:
        raise NotSupportedError(
            f"refit= leaves out the outcomes of a row, and the latent responses of "
            f"{', '.join(responses.carried)}, which are sampled for every row, depend on "
            f"{', '.join(responses.needed)}; use unit='cluster'"
        )


def _checked_refit(refit: Any, options: dict[str, Any], threshold: float | None) -> dict[str, Any]:
    if refit is not None and not callable(refit):
        choice(("exact", "moment_match", "a function from a model to a fit"))("refit", refit)
    if options and refit != "exact":
        raise SpecificationError(
            f"{', '.join(map(repr, options))} would be passed to the refits, but there are none "
            "that Model.fit makes; add refit='exact'"
        )
    if threshold is not None and (refit is None or refit == "moment_match"):
        raise SpecificationError("threshold says which units to fit again; add refit='exact'")
    return check_fit_options(options)
