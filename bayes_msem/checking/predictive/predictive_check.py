"""Posterior predictive checks: discrepancies of the data next to those of replicates.

For every draw theta a data set y_rep is drawn from the model, and a discrepancy T is computed for
both: the posterior predictive p-value is P(T(y_rep, theta) >= T(y, theta)), over the posterior
(Gelman, Meng & Stern 1996). Missing outcomes are drawn with every theta, so that completed data are
compared with complete replicates (Gelman et al. 2005).

References
----------
Gelman, A., Meng, X.-L., & Stern, H. (1996). Posterior predictive assessment of model fitness via
realized discrepancies. Statistica Sinica, 6, 733-807.

Gelman, A., Van Mechelen, I., Verbeke, G., Heitjan, D. F., & Meulders, M. (2005). Multiple
imputation for model checking. Biometrics, 61, 74-85.
https://doi.org/10.1111/j.0006-341X.2005.031010.x
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.checking.predictive import level_fit
from bayes_msem.checking.predictive.at_mode import NAME, Refit, refit_statistics
from bayes_msem.checking.predictive.category_statistics import (
    PairTables,
    check_statistics,
    response_statistics,
)
from bayes_msem.checking.predictive.complete_data import CompleteModel
from bayes_msem.checking.predictive.deviance import deviance_statistic
from bayes_msem.checking.predictive.named_statistics import Statistic, chosen_statistics
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.replicate import Pair, Replicates
from bayes_msem.checking.predictive.scale_statistics import scale_statistics
from bayes_msem.checking.predictive.structure import Structure
from bayes_msem.inference.pymc_model import observed_matrix
from bayes_msem.inference.threads import one_blas_thread
from bayes_msem.markup import block, bullets_of, text_paragraph
from bayes_msem.wording import plural

FloatArray = NDArray[np.float64]

_KEEP_BYTES = 64 * 2**20  # of replicated outcomes that are kept for plots
_KEEP_MOST = 100
_WEAK = (
    "here chi_square is weak: it takes random loadings, variances and the like from the draw, and "
    "these have followed the data; judge by chi_square_refit"
)


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveCheck:
    """Discrepancies of observed and replicated data.

    Attributes
    ----------
    statistics
        What was computed: columns level, statistic, variable, title, two_sided.
    observed, replicated
        The discrepancies, (chain, draw, n). Those of the data alone are the same in all draws
        unless values are missing.
    clusters
        Per cluster: rows n, and for both levels the posterior mean of its distance from the model
        and the probability that a replicate is farther away. Empty for single-level models.
    kind
        "new" or "same" clusters.
    notes
        What could not be computed and why, rows that were left out, and the like.
    kept
        Some of the replicates, (chain, draw, row, outcome).
    data
        The data they replicate, (row, outcome), NaN where missing.

    Examples
    --------
    >>> check = fit.ppc(["icc"], draws=20)
    >>> check.observed.shape, check.kind
    ((2, 10, 1), 'new')
    """

    statistics: pd.DataFrame
    observed: FloatArray
    replicated: FloatArray
    clusters: pd.DataFrame
    kind: str
    notes: tuple[str, ...]
    kept: xr.DataArray
    data: xr.DataArray

    @property
    def draws(self) -> int:
        """Number of replicates.

        Examples
        --------
        >>> fit.ppc(["icc"], draws=20).draws
        20
        """
        return int(np.prod(self.observed.shape[:2]))

    @property
    def datatree(self) -> xr.DataTree:
        """For ArviZ: posterior_predictive and observed_data by outcome, and the discrepancies.

        Examples
        --------
        >>> sorted(fit.ppc(["icc"], draws=20).datatree.children)
        ['discrepancies', 'observed_data', 'posterior_predictive']
        """
        names = [
            " ".join(filter(None, key))
            for key in self.statistics[["level", "statistic", "variable"]].itertuples(
                index=False, name=None
            )
        ]
        dims = ("chain", "draw", "discrepancy")
        pair = {"observed": (dims, self.observed), "replicated": (dims, self.replicated)}
        chains, draws = self.observed.shape[:2]
        coords = {"chain": np.arange(chains), "draw": np.arange(draws), "discrepancy": names}
        return xr.DataTree.from_dict(
            {
                "posterior_predictive": self.kept.to_dataset("outcome"),
                "observed_data": self.data.to_dataset("outcome"),
                "discrepancies": xr.Dataset(pair, coords=coords),
            }
        )

    def __repr__(self) -> str:
        """Return what was done and where to look."""
        return "\n".join([self._title(), *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        """Notebook display."""
        return block(text_paragraph(self._title()), bullets_of(self.notes))

    def _title(self) -> str:
        return (
            f"Posterior predictive check: {plural(self.draws, 'replicate')} of the data, "
            f"{self.kind} clusters, {plural(len(self.statistics), 'number')} compared in each"
        )


@one_blas_thread
def predictive_check(replicates: Replicates, statistics: Any, keep: int | None) -> PredictiveCheck:
    """Go through the draws and compare.

    Parameters
    ----------
    replicates
        Pairs of data sets.
    statistics
        See :func:`bayes_msem.checking.predictive.named_statistics.chosen_statistics`.
    keep
        Number of replicates to keep; None: at most 100, and 64 MB.
    """
    run = _Run(replicates, statistics, keep)
    for pair in replicates:
        run.add(pair)
    return run.result()


class _Run:
    """Collects what a check keeps, pair by pair."""

    def __init__(self, replicates: Replicates, statistics: Any, keep: int | None) -> None:
        self.replicates, self.asked = replicates, statistics
        self.chosen: list[Statistic] = []
        self.notes: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.observed: list[FloatArray] = []
        self.replicated: list[FloatArray] = []
        self.kept: list[FloatArray] = []
        design = replicates.design
        n = int(np.prod(replicates.shape))
        if keep is None:
            bytes_each = design.n_rows * observed_matrix(design.observed).shape[1] * 8
            keep = min(_KEEP_MOST, max(1, int(_KEEP_BYTES / bytes_each)))
        self.keep = set(np.linspace(0, n - 1, min(keep, n)).round().astype(int).tolist())
        self.refit: Refit | None = None
        normal = design.two_level and not replicates.responses
        self.distances = _Distances(design.n_clusters) if normal else None
        if replicates.responses:
            check_statistics(statistics, tuple(replicates.blueprint.table.responses))

    def add(self, pair: Pair) -> None:
        """Compute everything for one pair."""
        if not self.observed:
            self._choose(pair)
        first = [s.compute(pair.observed, pair.observed_structure) for s in self.chosen]
        if not self.observed:
            self._label(pair)
        if len(self.observed) in self.keep:
            self.kept.append(observed_matrix(pair.replicate.data))
        second = [s.compute(pair.replicate, pair.replicate_structure) for s in self.chosen]
        self.observed.append(np.concatenate(first) if first else np.empty(0))
        self.replicated.append(np.concatenate(second) if second else np.empty(0))
        if self.distances is not None:
            self.distances.add(pair)

    def _refit(self, complete: CompleteModel) -> Refit:
        """Return what finds modes; it is built when the first statistic needs it."""
        if self.refit is None:
            self.refit = Refit(complete)
        return self.refit

    def _choose(self, pair: Pair) -> None:
        if self.replicates.responses:
            design = self.replicates.design
            others = self.replicates.clusters == "new"
            tables = PairTables(design, self.replicates.more, of_clusters=others)
            own = response_statistics(design, tables)
            own += scale_statistics(design, self.replicates.blueprint.table)
            self.chosen = chosen_statistics(self.asked, own, ())
            return
        complete = CompleteModel(self.replicates.blueprint, pair.observed)
        extra = [
            *refit_statistics(lambda: self._refit(complete)),
            deviance_statistic(complete),
        ]
        for statistic in chosen_statistics(self.asked, extra):
            obstacle = statistic.obstacle(pair.observed_structure)
            if obstacle is None:
                self.chosen.append(statistic)
            elif self.asked is not None or statistic.name == "chi_square":
                where = f" {statistic.level}" if statistic.level else ""
                self.notes.append(f"{statistic.name}{where}: not computed, {obstacle}")
        names = {statistic.name for statistic in self.chosen}
        if complete.blueprint.n_sampled and "chi_square" in names:
            self.notes.append(_WEAK)
        if self.distances is not None:
            self.distances.start(pair)

    def _label(self, pair: Pair) -> None:
        for s in self.chosen:
            self.rows += [
                {"level": s.level, "statistic": s.name, "variable": label, "title": s.title,
                 "two_sided": s.two_sided}
                for label in s.labels(pair.observed.design)
            ]  # fmt: skip

    def result(self) -> PredictiveCheck:
        design, shape = self.replicates.design, self.replicates.shape
        names = self.replicates.blueprint.outcomes
        columns = ["level", "statistic", "variable", "title", "two_sided"]
        coords = {"row": design.rows, "outcome": list(names)}
        rows = np.argsort(design.rows)
        kept = np.stack(self.kept) if self.kept else np.empty((0, design.n_rows, len(names)))
        full = (*shape, len(self.rows))
        statistics = pd.DataFrame(self.rows, columns=columns)
        observed = np.stack(self.observed).reshape(full)
        replicated = np.stack(self.replicated).reshape(full)
        tested = self._tested(statistics, replicated)
        return PredictiveCheck(
            statistics=statistics[tested].reset_index(drop=True),
            observed=observed[..., tested],
            replicated=replicated[..., tested],
            clusters=self.distances.table(design) if self.distances else pd.DataFrame(),
            kind=self.replicates.clusters,
            notes=(*self._left_out(), *self.notes),
            kept=xr.DataArray(
                kept[None],
                dims=("chain", "draw", "row", "outcome"),
                coords={"chain": [0], "draw": np.arange(len(kept)), **coords},
            ).isel(row=rows),
            data=xr.DataArray(
                observed_matrix(design.observed), dims=("row", "outcome"), coords=coords
            ).isel(row=rows),
        )

    def _tested(self, statistics: pd.DataFrame, replicated: FloatArray) -> NDArray[np.bool_]:
        """Leave out refitted statistics of levels that can fit anything, and say so.

        Only rounding and priors keep these from zero. A chi-square with one degree of freedom
        exceeds 1 in a third of all cases.
        """
        refitted = (statistics["statistic"] == NAME).to_numpy()
        small = np.quantile(replicated, 0.975, axis=(0, 1)) < 1.0
        for level in statistics["level"][refitted & small]:
            where = f"level {level}" if level else "the model"
            self.notes.append(f"{NAME}: {where} can fit any means and covariances, nothing to test")
        tested: NDArray[np.bool_] = ~(refitted & small)
        return tested

    def _left_out(self) -> list[str]:
        design, data = self.replicates.design, self.replicates.blueprint.observed
        lines = []
        if data.n_rows > design.n_rows:
            lines.append(
                f"{plural(data.n_rows - design.n_rows, 'row')} without any observed outcome left "
                "out"
            )
        if data.incomplete and self.replicates.responses:
            lines.append("what is missing is missing in the replicates too")
        elif data.incomplete:
            lines.append("missing outcomes are drawn from the model in every draw")
        if self.refit is not None and self.refit.failures:
            lines.append(
                f"chi_square_refit: the mode of {plural(self.refit.failures, 'data set')} was not "
                "found to full precision"
            )
        left = data.n_clusters - len(design.complete_clusters)
        if design.two_level and left:
            lines.append(
                f"{plural(left, 'cluster')} whose rows do not identify all random effects left "
                "out of chi_square and distances at level between"
            )
        return lines


class _Distances:
    """How far every cluster is from the model, at both levels."""

    def __init__(self, n_clusters: int) -> None:
        self.within, self.between = np.zeros((2, n_clusters)), np.full((2, n_clusters), np.nan)
        self.count, self.has_between = 0, False

    def start(self, pair: Pair) -> None:
        try:
            self._between(pair.observed, pair.observed_structure)
        except np.linalg.LinAlgError:
            return
        self.has_between = bool(pair.observed_structure.omega.size)
        if self.has_between:
            self.between[:, pair.observed.design.complete_clusters] = 0.0

    def _between(self, sample: Sample, structure: Structure) -> FloatArray:
        return level_fit.between_distances(sample, structure)

    def add(self, pair: Pair) -> None:
        self.count += 1
        within = level_fit.within_distances(pair.observed, pair.observed_structure)
        other = level_fit.within_distances(pair.replicate, pair.replicate_structure)
        self.within += np.stack([within, other >= within])
        if self.has_between:
            used = pair.observed.design.complete_clusters
            between = self._between(pair.observed, pair.observed_structure)
            other = self._between(pair.replicate, pair.replicate_structure)
            self.between[:, used] += np.stack([between, other >= between])

    def table(self, design: Any) -> pd.DataFrame:
        own = design.sizes == 1  # nothing is left of such clusters at level within
        within = np.where(own, np.nan, self.within / self.count)
        between = self.between / self.count
        frame = pd.DataFrame(
            {
                "n": design.sizes.astype(int),
                "distance_within": within[0],
                "ppp_within": within[1],
                "distance_between": between[0],
                "ppp_between": between[1],
            },
            index=pd.Index(design.observed.cluster_ids, name=design.observed.cluster_name),
        )
        return frame
