"""Solutions: what follows from the parameters, with the posterior's uncertainty."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.arguments import checked, identifier, variable
from bayes_msem.errors import SpecificationError
from bayes_msem.fit.core import FitCore
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.implied import cluster_position
from bayes_msem.posterior.levels import Levels, levels_at
from bayes_msem.posterior.paths import path_effects
from bayes_msem.posterior.reliability import composite_reliabilities
from bayes_msem.posterior.standardise import (
    explained_variance,
    omission_note,
    standardised_values,
)
from bayes_msem.posterior.summary import IntervalKind, derived_table
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.posterior.variance import average_size, intraclass_correlations, variance_parts

FloatArray = NDArray[np.float64]

_COVARIATES = " Covariates contribute the variance they have in the data."
_AVERAGE = (
    " Random coefficients are at their population means, so differences between clusters in them "
    "are not part of the variance within."
)


class Solutions(FitCore):
    """The part of :class:`bayes_msem.Fit` that computes tables from the parameters."""

    @checked(cluster=identifier)
    def standardized(
        self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti", cluster: Any = None
    ) -> EstimateTable:
        """Standardise every row of the parameter table within its level (StdYX).

        Loadings, regressions and intercepts are in standard deviations of the level; variances
        are shares of the variable's variance at the level; covariances are correlations (of
        residuals where the variables have predictors). Covariates are standardised with their SD
        in the data: over rows within, over clusters between, divisor N.

        Parameters
        ----------
        ci
            Mass of the interval.
        ci_kind
            "eti" (equal-tailed) or "hdi" (highest density).
        cluster
            Identifier of a cluster: its own coefficients and variances, and the SD that covariates
            have inside it (rows of level within only; Schuurman et al., 2016). None: the average
            cluster, whose random coefficients are at their population means.

        Returns
        -------
        EstimateTable
            Columns level, lhs, op, rhs, label, mean, median, sd, lower, upper, ess_bulk, ess_tail,
            r_hat and note.
            Definitions are computed from standardised coefficients. Left out, and named in the
            caption, are those that have no one standardised value: they use random coefficients,
            labels that stand on several rows, or labels of both levels (the SDs of the levels
            differ, so that their difference would not compare effects).

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1), an unknown ``ci_kind`` or cluster.

        References
        ----------
        Schuurman, N. K., Ferrer, E., de Boer-Sonnenschein, M., & Hamaker, E. L. (2016). How to
        compare cross-lagged associations in a multilevel autoregressive model. Psychological
        Methods, 21(2), 206-221. https://doi.org/10.1037/met0000062
        """
        table = self.model.table
        draws = standardised_values(self._levels(cluster))
        rows = [r for r in table.rows if r.key in draws]
        if cluster is not None:
            rows = [r for r in rows if r.level == "within"]
        keys = pd.DataFrame([r.key for r in rows], columns=["level", "lhs", "op", "rhs"])
        keys["label"] = [f'rv("{r.random}")' if r.random else r.label for r in rows]
        caption = (
            "Standardised within each level (StdYX): rows x ~~ x are shares of variance, other "
            f"rows ~~ are correlations of residuals.{self._covariates}"
        )
        if cluster is not None:
            caption += f" Cluster {cluster}: its own coefficients, variances and SDs of covariates."
        elif self._is_random:
            caption += _AVERAGE
        if cluster is None:
            caption += omission_note(table)
        return self._table(keys, [draws[r.key] for r in rows], ci, ci_kind, caption)

    @checked()
    def icc(
        self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti", means: bool = False
    ) -> EstimateTable:
        """Intraclass correlations of all variables that are split into two levels.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.
        means
            True: also ICC(2), the reliability of observed cluster means at the harmonic mean of
            the cluster sizes.

        Returns
        -------
        EstimateTable
            Columns icc ("ICC(1)" or "ICC(2)"), variable, mean, median, sd, lower, upper,
            ess_bulk, ess_tail, r_hat and note.

        Raises
        ------
        SpecificationError
            In a single-level model or one without split variables; ``ci`` outside (0, 1).
        """
        levels = self._levels()
        if not self.model.blueprint.observed.split_names:
            raise SpecificationError(
                "no variable of this model is split into a within and a between part, so there "
                "are no intraclass correlations; write the variable at both levels"
            )
        values = {("ICC(1)", v): icc for v, icc in intraclass_correlations(levels).items()}
        caption = "ICC(1): variance between / (between + within), as the model implies."
        caption += self._covariates
        if means:
            size = average_size(levels)
            of_means = intraclass_correlations(levels, size)
            values |= {("ICC(2)", v): icc for v, icc in of_means.items()}
            caption += f" ICC(2): reliability of cluster means, at {size:.3g} rows per cluster."
        if self._is_random:
            caption += (
                f"{_AVERAGE} Variance between clusters is conditional on covariates of level "
                "within at their means."
            )
        return self._keyed(("icc", "variable"), values, ci, ci_kind, caption)

    @checked()
    def r2(self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti") -> EstimateTable:
        """Share of variance that is explained, for every variable with predictors, by level.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.

        Returns
        -------
        EstimateTable
            Columns level, variable, mean, median, sd, lower, upper, ess_bulk, ess_tail, r_hat and
            note. For an indicator, it is the share that its factors explain.

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1), an unknown ``ci_kind``, or a model without predictors.
        """
        values: dict[tuple[Hashable, ...], FloatArray] = {
            (level.level, name): r2
            for level in self._levels().both
            for name, r2 in explained_variance(level).items()
        }
        if not values:
            raise SpecificationError("no variable of this model has predictors: there is no R2")
        caption = f"R2 at each level: 1 - residual variance / variance.{self._covariates}"
        caption += _AVERAGE if self._is_random else ""
        return self._keyed(("level", "variable"), values, ci, ci_kind, caption)

    @checked()
    def variance_components(
        self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti"
    ) -> EstimateTable:
        """Explained, residual and total variance of every variable at each level.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.

        Returns
        -------
        EstimateTable
            Columns level, variable, part ("explained", "residual", "total"), mean, median,
            sd, lower, upper, ess_bulk, ess_tail, r_hat and note.

        Raises
        ------
        SpecificationError
            ``ci`` outside (0, 1), or an unknown ``ci_kind``.
        """
        values: dict[tuple[Hashable, ...], FloatArray] = {
            (level.level, *key): variance
            for level in self._levels().both
            for key, variance in variance_parts(level).items()
        }
        caption = f"Variances as the model implies.{self._covariates}"
        if self._is_random:
            caption += f"{_AVERAGE} Random intercepts are those at covariates of zero."
        return self._keyed(("level", "variable", "part"), values, ci, ci_kind, caption)

    @checked()
    def reliability(self, ci: float = 0.95, *, ci_kind: IntervalKind = "eti") -> EstimateTable:
        """Composite reliability (omega) of the sum of each factor's indicators.

        Parameters
        ----------
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.

        Returns
        -------
        EstimateTable
            Columns factor, composite ("within", "between", "cluster means", "total"), mean,
            median, sd, lower, upper, ess_bulk, ess_tail, r_hat and note; formulas and references in
            :mod:`bayes_msem.posterior.reliability`. Factors with a single indicator or with
            latent ones are left out.

        Raises
        ------
        SpecificationError
            No factor has two or more indicators that are all observed.
        """
        levels = self._levels()
        values = composite_reliabilities(levels)
        if not values:
            raise SpecificationError(
                "no factor of this model has two or more observed indicators, and omega is the "
                "reliability of their sum"
            )
        caption = "Omega of the unweighted sum of a factor's indicators: share of its variance "
        caption += "that is due to the factor"
        if levels.between is None:
            caption += "."
        else:
            caption += (
                ", inside clusters (within), of latent cluster means (between), of observed cluster"
                f" means at {average_size(levels):.3g} rows per cluster, and of single scores "
                "(total: due to the factors of both levels)."
            )
        caption += _AVERAGE if self._is_random else ""
        return self._keyed(("factor", "composite"), values, ci, ci_kind, caption)

    @overload
    def effects(
        self,
        x: str | tuple[str, str],
        y: str | tuple[str, str],
        *,
        ci: float = ...,
        ci_kind: IntervalKind = ...,
        draws: Literal[False] = ...,
    ) -> EstimateTable: ...

    @overload
    def effects(
        self,
        x: str | tuple[str, str],
        y: str | tuple[str, str],
        *,
        ci: float = ...,
        ci_kind: IntervalKind = ...,
        draws: Literal[True],
    ) -> xr.Dataset: ...

    @checked(x=variable, y=variable)
    def effects(
        self,
        x: str | tuple[str, str],
        y: str | tuple[str, str],
        *,
        ci: float = 0.95,
        ci_kind: IntervalKind = "eti",
        draws: bool = False,
    ) -> EstimateTable | xr.Dataset:
        """Total, direct, indirect and contextual effects of one variable on another.

        Parameters
        ----------
        x, y
            Name of a variable; a pair (within, between) where its parts have different names,
            such as ("fw", "fb") or a covariate and its cluster mean.
        ci, ci_kind
            Mass and kind ("eti" or "hdi") of the interval.
        draws
            True: return the draws instead of the table.

        Returns
        -------
        EstimateTable or xarray.Dataset
            Columns level, effect ("total", "direct", "indirect", "path", "contextual"), path,
            mean, median, sd, lower, upper, ess_bulk, ess_tail, r_hat and note. With ``draws``:
            variable ``effect`` (chain, draw, row), with coordinates level, kind and path.
            Contextual is the total effect between minus that within. With random coefficients on
            a path, the effect is the population mean over clusters: E[a b] = E[a] E[b] + cov(a, b).

        Raises
        ------
        SpecificationError
            Unknown variables, or no path from x to y at any level.
        NotSupportedError
            Random coefficients in a level with feedback loops.
        """
        lines = path_effects(self._levels(), x, y)
        if draws:
            posterior = self.datatree["posterior"]
            values = self._by_chain([line.values for line in lines])
            names = [f"{e.level}: {e.effect}" if e.level else e.effect for e in lines]
            coordinates = {
                "chain": posterior["chain"].to_numpy(),
                "draw": posterior["draw"].to_numpy(),
                "row": [
                    f"{e.level}: {e.path}" if e.effect == "path" else name
                    for e, name in zip(lines, names, strict=True)
                ],
                "level": ("row", [e.level for e in lines]),
                "kind": ("row", [e.effect for e in lines]),
                "path": ("row", [e.path for e in lines]),
            }
            return xr.Dataset({"effect": (("chain", "draw", "row"), values)}, coords=coordinates)
        keys = pd.DataFrame(
            [(e.level, e.effect, e.path) for e in lines], columns=["level", "effect", "path"]
        )
        caption = f"Effects of {_spelled(x)} on {_spelled(y)}, not standardised."
        if any(e.effect == "contextual" for e in lines):
            caption += " Contextual: total effect between minus total effect within."
        if self._is_random:
            caption += " Effects of random coefficients are population means over clusters."
        return self._table(keys, [e.values for e in lines], ci, ci_kind, caption)

    @property
    def _is_random(self) -> bool:
        return any(row.random for row in self.model.table.rows)

    @property
    def _covariates(self) -> str:
        observed = self.model.blueprint.observed
        return _COVARIATES if observed.x_names or observed.w_names else ""

    def _levels(self, cluster: Any = None) -> Levels:
        """Matrices of all draws: of the average cluster, or of one cluster."""
        blueprint = self.model.blueprint
        x = sampled_parameters(blueprint, self.datatree["posterior"].to_dataset())
        flat = x.reshape(-1, x.shape[-1])
        position, effects = None, None
        if cluster is not None:
            position = cluster_position(blueprint, cluster)
            if blueprint.template.varies:
                own = self.cluster_draws["effects"].isel(cluster_id=position)
                own = own.transpose("effect", "chain", "draw")
                values = own.to_numpy().reshape(own.sizes["effect"], -1)
                effects = dict(zip(map(str, own["effect"].to_numpy()), values, strict=True))
        theta = blueprint.theta(flat)
        return levels_at(blueprint, theta, x=flat, effects=effects, cluster=position)

    def _by_chain(self, values: list[FloatArray]) -> FloatArray:
        posterior = self.datatree["posterior"]
        stacked = np.stack(values, axis=-1)
        return stacked.reshape(posterior.sizes["chain"], posterior.sizes["draw"], -1)

    def _table(
        self,
        keys: pd.DataFrame,
        values: list[FloatArray],
        ci: float,
        ci_kind: IntervalKind,
        caption: str,
    ) -> EstimateTable:
        return derived_table(keys, self._by_chain(values), ci=ci, ci_kind=ci_kind, caption=caption)

    def _keyed(
        self,
        columns: tuple[str, ...],
        values: Mapping[Any, FloatArray],
        ci: float,
        ci_kind: IntervalKind,
        caption: str,
    ) -> EstimateTable:
        keys = pd.DataFrame(list(values), columns=list(columns))
        return self._table(keys, list(values.values()), ci, ci_kind, caption)


def _spelled(name: str | tuple[str, str]) -> str:
    return name if isinstance(name, str) else f"{name[0]} (within) / {name[1]} (between)"
