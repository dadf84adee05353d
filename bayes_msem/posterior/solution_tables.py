"""Tables of what follows from the parameters: each is the posterior of a function of the draws.

The functions are in posterior.standardise, variance, reliability and paths; here they are put into
tables, with a caption that says what was computed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.posterior.count_variance import counts_between, counts_within
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.implied import cluster_position
from bayes_msem.posterior.levels import Levels, levels_at
from bayes_msem.posterior.paths import path_effects
from bayes_msem.posterior.reliability import composite_reliabilities, left_out, sums_codes
from bayes_msem.posterior.standardise import (
    STD_KINDS,
    StdKind,
    explained_variance,
    omission_note,
    standardised_values,
)
from bayes_msem.posterior.summary import (
    IntervalKind,
    derived_table,
    estimate_columns,
    skewness_note,
)
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.posterior.variance import (
    average_size,
    intraclass_correlations,
    shares_of_levels,
    variance_parts,
)
from bayes_msem.spec.table import RowKey

__all__ = ["Solution", "solution_of"]

FloatArray = NDArray[np.float64]
Ends = str | tuple[str, str]

_KEY = ["level", "lhs", "op", "rhs"]
_COVARIATES = " Covariates contribute the variance they have in the data."
_LATENT = " Of ordered outcomes: of their latent responses, whose residual variance is fixed."
_COUNTS = (
    " Of counts: on the scale of the log rate, with ln(1 + 1/mean + dispersion) as the variance of "
    "their distribution (Nakagawa et al., 2017)."
)
_SCALED = (
    " Residual variances of {} differ from row to row: the mean over rows counts, with random log "
    "SDs at their means."
)
_AVERAGE = (
    " Random coefficients are at their population means, so differences between clusters in them "
    "are not part of the variance within."
)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What the tables are computed from.

    Attributes
    ----------
    levels
        Matrices of all draws.
    chains, draws
        Labels of the chains, and of the draws of one.
    cluster
        Identifier of the cluster whose matrices they are; None: the average cluster.
    """

    levels: Levels
    chains: NDArray[Any]
    draws: NDArray[Any]
    cluster: Any = None

    def standardized(self, ci: float, ci_kind: IntervalKind) -> EstimateTable:
        """Table of coefficients in standard deviations of their level."""
        table = self.levels.blueprint.table
        draws = standardised_values(self.levels)
        rows = [r for r in table.rows if r.key in draws]
        if self.cluster is not None:
            rows = [r for r in rows if r.level == "within"]
        keys = pd.DataFrame([r.key for r in rows], columns=_KEY)
        keys["label"] = [f'rv("{r.random}")' if r.random else r.label for r in rows]
        caption = (
            "Standardised within each level (StdYX): rows x ~~ x are shares of variance, other "
            f"rows ~~ are correlations of residuals.{self._covariates}"
        )
        if table.log_sds:
            named = ", ".join(dict.fromkeys(table.log_sds.values()))
            caption += f" Slopes of {named} within: change of the log SD per SD of the predictor."
        if any(row.kind == "threshold" for row in table.rows):
            caption += " Thresholds are in SDs of the whole latent response."
        if self.cluster is not None:
            caption += (
                f" Cluster {self.cluster}: its own coefficients, variances and SDs of covariates."
            )
        elif self._is_random:
            caption += _AVERAGE
        if self.cluster is None:
            caption += omission_note(table)
        return self._table(keys, [draws[r.key] for r in rows], ci, ci_kind, caption)

    def standardized_draws(self, kind: StdKind) -> dict[RowKey, FloatArray]:
        """Standardised values of every row that has one, (chain, draw)."""
        draws = standardised_values(self.levels, kind)
        values = self._by_chain(list(draws.values()))
        return {key: values[..., i] for i, key in enumerate(draws)}

    def beside(self, summary: EstimateTable, ci: float, ci_kind: IntervalKind) -> EstimateTable:
        """Summary of the parameters with standardised values beside them, and R2 below.

        Parameters
        ----------
        summary
            The posterior of every row (posterior.summary).
        ci, ci_kind
            Mass and kind of the intervals of R2; those of the summary.

        Returns
        -------
        EstimateTable
            The summary, with columns std_lv and std_all after the interval, and rows whose ``op``
            is "r2" after those of their level.
        """
        frame = pd.DataFrame(summary)
        listed = [RowKey(*key) for key in frame[_KEY].itertuples(index=False, name=None)]
        place = list(frame.columns).index("upper")
        for shift, kind in enumerate(STD_KINDS, 1):
            draws = standardised_values(self.levels, kind)
            means = {key: float(values.mean()) for key, values in draws.items()}
            column = [means.get(key, np.nan) for key in listed]
            frame.insert(place + shift, kind, column)
        explained = self._explained()
        if explained:
            named = pd.DataFrame(list(explained), columns=["level", "lhs"])
            rows = named.assign(op="r2", rhs=named["lhs"], label="", prior="")
            values = self._by_chain(list(explained.values()))
            rows = pd.concat([rows, estimate_columns(values, ci, ci_kind)], axis=1)
            parts = []
            for level in dict.fromkeys(frame["level"]):
                parts += [frame[frame["level"] == level], rows[rows["level"] == level]]
            frame = pd.concat(parts, ignore_index=True)[list(frame.columns)]
        table = EstimateTable(frame)
        table.attrs.update(summary.attrs)
        marked = skewness_note(frame) if not skewness_note(pd.DataFrame(summary)) else ""
        caption = self._standardised_in_words(bool(explained))
        table.attrs["caption"] = summary.caption + marked + caption
        return table

    def _standardised_in_words(self, explained: bool) -> str:
        """Explain the columns std_lv and std_all, and the rows below."""
        table = self.levels.blueprint.table
        text = (
            " std_lv: posterior mean with factors and random effects in standard deviations; "
            "std_all: with all variables, each within its level. fit.standardized() has intervals."
            f"{self._covariates}"
        )
        text += _AVERAGE if self._is_random else ""
        text += " R-squared: 1 - residual variance / variance." if explained else ""
        return text + omission_note(table).replace("Left out", "Not standardised")

    def icc(self, ci: float, ci_kind: IntervalKind, *, means: bool) -> EstimateTable:
        """Table of intraclass correlations, with ``means`` also those of cluster means."""
        levels = self.levels
        if levels.top is not None:
            return self._shares(ci, ci_kind, means=means)
        if not self.levels.blueprint.observed.split_names:
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

    def _shares(self, ci: float, ci_kind: IntervalKind, *, means: bool) -> EstimateTable:
        """Table of the shares of variance at the upper levels of a three-level model."""
        if means:
            raise NotSupportedError(
                "icc(means=True), the reliability of observed means, is there for two levels only; "
                "icc() has the shares of variance of all levels"
            )
        values = shares_of_levels(self.levels)
        if not values:
            raise SpecificationError(
                "no variable of this model is split into parts of several levels, so there are no "
                "intraclass correlations; write the variable at several levels"
            )
        named = {(f"ICC({level})", v): share for (level, v), share in values.items()}
        caption = (
            "ICC(level): variance at the level / sum over all levels of the variable, as the model "
            f"implies.{self._covariates}"
        )
        if self._is_random:
            caption += f"{_AVERAGE} Covariates with slopes that vary are at their means."
        return self._keyed(("icc", "variable"), named, ci, ci_kind, caption)

    def r2(self, ci: float, ci_kind: IntervalKind) -> EstimateTable:
        """Table of shares of variance that are explained."""
        values = self._explained()
        if not values:
            raise SpecificationError("no variable of this model has predictors: there is no R2")
        caption = f"R2 at each level: 1 - residual variance / variance.{self._covariates}"
        caption += _AVERAGE if self._is_random else ""
        return self._keyed(("level", "variable"), values, ci, ci_kind, caption)

    def variance_components(self, ci: float, ci_kind: IntervalKind) -> EstimateTable:
        """Table of explained, residual and total variances."""
        values: dict[tuple[Hashable, ...], FloatArray] = {
            (level.level, *key): variance
            for level in self.levels.both
            for key, variance in variance_parts(level).items()
        }
        caption = f"Variances as the model implies.{self._covariates}"
        if self._is_random:
            caption += f"{_AVERAGE} Random intercepts are those at covariates of zero."
        return self._keyed(("level", "variable", "part"), values, ci, ci_kind, caption)

    def reliability(self, ci: float, ci_kind: IntervalKind) -> EstimateTable:
        """Table of composite reliabilities."""
        levels = self.levels
        values = composite_reliabilities(levels)
        none = ""
        if omitted := left_out(levels):
            none = (
                f" Left out: {', '.join(omitted)} (the reliability of a sum is there for normal "
                "items, and for ordered ones with a probit link)."
            )
        if not values:
            raise SpecificationError(
                "no factor of this model has two or more observed indicators, and omega is the "
                f"reliability of their sum.{none}"
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
        if sums_codes(levels):
            caption += " Of ordered items, the sum is that of their codes (Green & Yang, 2009)."
        caption += none + (_AVERAGE if self._is_random else "")
        return self._keyed(("factor", "composite"), values, ci, ci_kind, caption)

    def effects(self, x: Ends, y: Ends, ci: float, ci_kind: IntervalKind) -> EstimateTable:
        """Table of the effects of one variable on another."""
        levels = self.levels
        lines = path_effects(levels, x, y)
        keys = pd.DataFrame(
            [(e.level, e.effect, e.path) for e in lines], columns=["level", "effect", "path"]
        )
        caption = f"Effects of {_spelled(x)} on {_spelled(y)}, not standardised."
        if levels.blueprint.observed.families:
            caption += " Outcomes that are not normal: on their latent responses or log rates."
        if any(e.effect == "contextual" for e in lines):
            caption += " Contextual: total effect between minus total effect within."
        if self._is_random:
            caption += " Effects of random coefficients are population means over clusters."
        return self._table(keys, [e.values for e in lines], ci, ci_kind, caption)

    def effect_draws(self, x: Ends, y: Ends) -> xr.Dataset:
        """Draws of the effects of one variable on another."""
        lines = path_effects(self.levels, x, y)
        values = self._by_chain([line.values for line in lines])
        names = [f"{e.level}: {e.effect}" if e.level else e.effect for e in lines]
        coordinates = {
            "chain": self.chains,
            "draw": self.draws,
            "row": [
                f"{e.level}: {e.path}" if e.effect == "path" else name
                for e, name in zip(lines, names, strict=True)
            ],
            "level": ("row", [e.level for e in lines]),
            "kind": ("row", [e.effect for e in lines]),
            "path": ("row", [e.path for e in lines]),
        }
        return xr.Dataset({"effect": (("chain", "draw", "row"), values)}, coords=coordinates)

    def _explained(self) -> dict[tuple[Hashable, ...], FloatArray]:
        """R2 by level and variable."""
        return {
            (level.level, name): r2
            for level in self.levels.both
            for name, r2 in explained_variance(level).items()
        }

    @property
    def _is_random(self) -> bool:
        return any(row.random for row in self.levels.blueprint.table.rows)

    @property
    def _covariates(self) -> str:
        observed = self.levels.blueprint.observed
        given = observed.x_names or observed.w_names or observed.w3_names
        caption = _COVARIATES if given else ""
        return caption + self._responses

    @property
    def _responses(self) -> str:
        """What variances of outcomes that are not normal are those of."""
        observed = self.levels.blueprint.observed
        counts = counts_within(observed) or counts_between(observed)
        ordered = any(family.has_thresholds for family in observed.families.values())
        scaled = self.levels.blueprint.table.log_sds
        return (
            (_LATENT if ordered else "")
            + (_COUNTS if counts else "")
            + (_SCALED.format(", ".join(scaled)) if scaled else "")
        )

    def _by_chain(self, values: list[FloatArray]) -> FloatArray:
        stacked = np.stack(values, axis=-1)
        return stacked.reshape(len(self.chains), len(self.draws), -1)

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


def solution_of(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    cluster_draws: Callable[[], xr.Dataset],
    cluster: Any = None,
) -> Solution:
    """Compute the matrices of all draws.

    Parameters
    ----------
    blueprint
        The model.
    posterior
        Its posterior draws.
    cluster_draws
        Returns the draws of cluster effects; called only where they are needed.
    cluster
        Identifier of a cluster; None: the average cluster.
    """
    x = sampled_parameters(blueprint, posterior)
    flat = x.reshape(-1, x.shape[-1])
    position, effects = None, None
    if cluster is not None:
        position = cluster_position(blueprint, cluster)
        if blueprint.template.varies:
            own = cluster_draws()["effects"].isel(cluster_id=position)
            own = own.transpose("effect", "chain", "draw")
            values = own.to_numpy().reshape(own.sizes["effect"], -1)
            effects = dict(zip(map(str, own["effect"].to_numpy()), values, strict=True))
    theta = blueprint.theta(flat)
    levels = levels_at(blueprint, theta, x=flat, effects=effects, cluster=position)
    chains, draws = posterior["chain"].to_numpy(), posterior["draw"].to_numpy()
    return Solution(levels, chains, draws, cluster)


def _spelled(name: str | tuple[str, str]) -> str:
    return name if isinstance(name, str) else f"{name[0]} (within) / {name[1]} (between)"
