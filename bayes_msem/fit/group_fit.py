"""The fit of a model of several groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pandas as pd
import xarray as xr

from bayes_msem.arguments import anything, checked, choice, integer
from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.checking.accuracy.log_likelihood import Unit, check_unit
from bayes_msem.checking.group_checks import (
    together,
    without_refit,
)
from bayes_msem.checking.predictive.p_values import p_values
from bayes_msem.data.coded_in_words import references_in_words
from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.fit import Fit
from bayes_msem.posterior.group_draws import (
    in_order_of,
    public_draws,
    tree_of_group,
    with_group_column,
)
from bayes_msem.posterior.summary import IntervalKind, derived_table, summarise
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.spec.printing import key_frame
from bayes_msem.spec.row_names import ByRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bayes_msem.checking.predictive.predictive_check import PredictiveCheck
    from bayes_msem.model.group_model import GroupModel

__all__ = ["GroupFit", "OneGroupFit"]

# Methods of a fit whose tables are those of the groups, below each other.
_TABLES = (
    "standardized", "icc", "r2", "reliability", "cluster_effects", "scores", "effects",
    "variance_components", "plausible_values",
)  # fmt: skip
# Of a group by itself: what needs the model of all groups.
_JOINT = (
    "save", "indices", "plot_indices", "dic", "check", "report", "hypothesis", "prior_sensitivity",
    "plot_prior_sensitivity", "prior_posterior_overlap", "plot_prior_posterior",
)  # fmt: skip


class OneGroupFit(Fit):
    """One group of a fit: every method that reads draws and data, for this group.

    Its parameters are those of the joint posterior; what needs priors or a new fit belongs to the
    model of all groups.
    """

    @checked(statistics=anything)
    def ppc(self, statistics: Any = None, **options: Any) -> PredictiveCheck:
        """Posterior predictive check of this group; see :meth:`bayes_msem.Fit.ppc`.

        Parameters
        ----------
        statistics
            As there, but for chi_square_refit, which would fit the group without what it shares
            with the others.
        **options
            As there.
        """
        return super().ppc(without_refit(statistics), **options)

    @checked(unit=choice(Unit))
    def loo(self, unit: Unit | None = None, **options: Any) -> Any:
        """Part of the leave-one-out cross-validation of all groups; see :meth:`bayes_msem.Fit.loo`.

        Parameters
        ----------
        unit
            "cluster" or "observation".
        **options
            Refits belong to the model of all groups.
        """
        _no_refits(options)
        return super().loo(unit)


class GroupFit(Fit):
    """Result of fitting a model of several groups (``group=``).

    Tables have a column ``group``; ``groups`` has every group by itself. What is not defined for
    several groups raises an error that says so.
    """

    model: GroupModel

    @cached_property
    def groups(self) -> Mapping[str, Fit]:
        """The fit of each group by itself, group -> fit, with the draws of the joint posterior."""
        found = {}
        for g, (name, model) in enumerate(self.model.groups_with(self.model.blueprint).items()):
            tree = tree_of_group(
                self.datatree, self.model.blueprint, model.blueprint, self.model.tables, g
            )
            found[name] = OneGroupFit(model, tree)
        return MappingProxyType(found)

    @cached_property
    def draws(self) -> ByRow[NDArray[np.float64]]:
        """Draws of every row: row -> array (chain, draw); keys have the group as a fifth part."""
        posterior = self.datatree["posterior"].to_dataset()
        return public_draws(self.model.blueprint, posterior, self.model.tables)

    @cached_property
    def cluster_draws(self) -> xr.Dataset:
        """Posterior draws of the effects of the clusters of all groups; see :class:`Fit`."""
        if not self.model.table.two_level:
            raise SpecificationError("a single-level model has no cluster effects")
        return xr.concat(
            [fit.cluster_draws for fit in self.groups.values()], dim="cluster_id", join="exact"
        )

    @checked()
    def summary(
        self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti", standardized: bool = False
    ) -> EstimateTable:
        """Summarise the posterior of every row; see :meth:`bayes_msem.Fit.summary`.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind of the interval.
        standardized
            True: standardised values and R-squared, group by group.
        """
        if standardized:
            return self._below_each_other("summary", ci, ci_kind=ci_kind, standardized=True)
        references = references_in_words(self.model.observed.coded, self.model.table.rows)
        return summarise(
            self.model.table, self.draws, ci=ci, ci_kind=ci_kind, references=references
        )

    @checked(rows=anything)
    def group_differences(
        self,
        rows: Any = None,
        *,
        reference: str | None = None,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
    ) -> EstimateTable:
        """Differences between groups in every row that is free in several of them.

        Parameters
        ----------
        rows
            Rows, by any of their names without a group; None: all that differ between groups.
        reference
            The group that others are compared with. None: every group with the average over
            groups.
        ci, ci_kind
            Mass and kind of the interval.

        Returns
        -------
        EstimateTable
            Columns group ("FR - DE", or "FR - average"), level, lhs, op, rhs, the columns of
            :meth:`summary`, and ``differs``: "*" where the interval leaves out 0. Of many
            intervals of mass 0.95, one in twenty leaves out 0 where there is no difference.
        """
        from bayes_msem.posterior.group_differences import differences

        keys, values = differences(self.model.tables, self.draws, rows, reference)
        table = derived_table(
            key_frame(keys),
            values,
            ci=ci,
            ci_kind=ci_kind,
            caption="Differences between groups; * where the interval leaves out 0.",
        )
        outside = (table["lower"] > 0) | (table["upper"] < 0)
        table["differs"] = outside.map({True: "*", False: ""})
        return table

    @checked(unit=choice(Unit), nodes=integer(8, 4096), thin=integer(1))
    def log_likelihood(
        self, unit: Unit | None = None, *, nodes: int | None = None, thin: int = 1
    ) -> xr.DataArray:
        """Log-likelihood of the units of all groups; see :meth:`bayes_msem.Fit.log_likelihood`.

        Parameters
        ----------
        unit, nodes, thin
            As there.
        """
        unit = check_unit(unit, self.model.observed)
        kept = self._kept(unit)
        if kept is not None and thin == 1 and nodes is None:
            return kept
        own = [fit.log_likelihood(unit, nodes=nodes, thin=thin) for fit in self.groups.values()]
        values = in_order_of(self.model.observed, self.model.positions, own, unit)
        if thin == 1:
            self._keep("log_likelihood", values)
        return values

    @checked(unit=choice(Unit))
    def loo(self, unit: Unit | None = None, **options: Any) -> Any:
        """Leave-one-out cross-validation over the clusters, or rows, of all groups.

        See :meth:`bayes_msem.Fit.loo`.

        Parameters
        ----------
        unit
            "cluster" or "observation".
        **options
            There are no refits of models of several groups.
        """
        _no_refits(options)
        return super().loo(unit)

    def ppc(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: ``ppp()`` has all groups, ``fit.groups["DE"].ppc()`` one of them."""
        raise _refusal(self, "ppc", "fit.ppp() compares all groups")

    @checked(statistics=anything, draws=integer(1))
    def ppp(
        self,
        statistics: Any = None,
        *,
        new_clusters: bool | None = None,
        draws: int | None = None,
        random_seed: int | None = None,
        clusters: Any = None,
    ) -> EstimateTable:
        """Posterior predictive p-values of all groups together and of each; see :meth:`Fit.ppp`.

        Likelihood ratios and deviances are sums over groups, so their first rows, without a group,
        are those of the whole model: P(sum of replicates >= sum of data).

        Parameters
        ----------
        statistics, new_clusters, draws, random_seed, clusters
            As for one group, but for chi_square_refit, which would fit every group without what it
            shares with the others.
        """
        checks = {}
        seed = self._seed_of_replicates(random_seed)
        for g, (name, fit) in enumerate(self.groups.items()):
            checks[name] = fit.ppc(
                statistics,
                new_clusters=new_clusters,
                draws=draws,
                keep=0,
                random_seed=seed + g,
                clusters=clusters,
            )
        tables = {name: p_values(check) for name, check in checks.items()}
        joint = together(list(checks.values()))
        if joint is not None:
            tables = {"": p_values(joint), **tables}
        return with_group_column(tables)

    @checked()
    def predict(self, newdata: pd.DataFrame | None = None, **options: Any) -> EstimateTable:
        """Predict rows of all groups; see :meth:`bayes_msem.Fit.predict`.

        Parameters
        ----------
        newdata
            With the column of the groups; None: the data.
        **options
            As for one group, but for draws.
        """
        if options.get("return_draws") or options.get("draws"):
            raise _refusal(self, "predict(return_draws=True)")
        if newdata is None:
            return self._below_each_other("predict", **options)
        tables: dict[str, pd.DataFrame] = {}
        for name, fit in self.groups.items():
            rows = self.model.rows_of(newdata, name)
            if len(rows):
                tables[name] = cast("EstimateTable", fit.predict(rows, **options))
        return with_group_column(tables)

    def _below_each_other(self, method: str, *args: Any, **options: Any) -> EstimateTable:
        """Tables of all groups below each other."""
        if options.get("return_draws") or options.get("draws") is True:
            raise _refusal(self, f"{method}(return_draws=True)")
        return with_group_column(
            {name: getattr(fit, method)(*args, **options) for name, fit in self.groups.items()}
        )

    @property
    def _blueprint(self) -> Blueprint:
        return self.model.blueprint


def _no_refits(options: Mapping[str, Any]) -> None:
    if options:
        raise NotSupportedError(
            f"loo() of several groups has no {', '.join(options)}: units are not fitted again. "
            "Pareto k says which terms are unreliable; compare them with loo() of a model of the "
            "rows of their group"
        )


def _refusal(fit: GroupFit, name: str, instead: str = "") -> NotSupportedError:
    group = next(iter(fit.model.group_names))
    more = f" {instead};" if instead else ""
    return NotSupportedError(
        f"fit.{name} is not there for all groups at once;{more} fit.groups[{group!r}].{name} shows "
        "one group"
    )


def _tables_of(method: str) -> Callable[..., EstimateTable]:
    def tables(self: GroupFit, *args: Any, **options: Any) -> EstimateTable:
        return self._below_each_other(method, *args, **options)

    tables.__name__ = method
    tables.__doc__ = f"Tables of all groups below each other; see :meth:`bayes_msem.Fit.{method}`."
    return tables


def _refused(method: str) -> Callable[..., NoReturn]:
    def refused(self: GroupFit, *args: Any, **options: Any) -> NoReturn:
        raise _refusal(self, method)

    refused.__name__ = method
    refused.__doc__ = f"Refuse: ``fit.groups[...].{method}`` shows one group."
    return refused


def _joint(method: str) -> Callable[..., NoReturn]:
    def refused(self: OneGroupFit, *args: Any, **options: Any) -> NoReturn:
        raise NotSupportedError(
            f"{method} is not available for one group of a fit: it needs priors or a new fit, "
            "which belong to the model of all groups; fit a model to the rows of this group"
        )

    refused.__name__ = method
    refused.__doc__ = "Refuse: it needs the model of all groups."
    return refused


# What is right for all groups as it stands, because it reads draws and the table alone.
INHERITED = (
    "model", "datatree", "convergence", "save", "waic", "plot_pareto_k",
)  # fmt: skip

for _name in _TABLES:
    setattr(GroupFit, _name, _tables_of(_name))
for _name in _JOINT:
    setattr(OneGroupFit, _name, _joint(_name))
for _name in dir(Fit):
    if not _name.startswith("_") and _name not in vars(GroupFit) and _name not in INHERITED:
        setattr(GroupFit, _name, _refused(_name))
