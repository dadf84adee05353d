"""Leave-one-out cross-validation by Pareto-smoothed importance sampling (PSIS-LOO).

The computation is ArviZ's; what is added is the record that says what was left out, and the
replacement of terms that importance sampling cannot give (checking.accuracy.refit).

References
----------
Vehtari, A., Gelman, A., & Gabry, J. (2017). Practical Bayesian model evaluation using
leave-one-out cross-validation and WAIC. Statistics and Computing, 27, 1413-1432.
https://doi.org/10.1007/s11222-016-9696-4
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayes_msem.checking.accuracy.log_likelihood import UNIT_DIMENSION, Unit, unit_labels
from bayes_msem.checking.accuracy.target import Target, target_of
from bayes_msem.data.observed_data import ObservedData
from bayes_msem.errors import INSIDE, AccuracyWarning
from bayes_msem.markup import block, grid, text_paragraph
from bayes_msem.posterior.chain_checks import LEAST_DRAWS as DRAWS_OF_A_CHAIN
from bayes_msem.posterior.enough import check_enough

if TYPE_CHECKING:
    from arviz_stats.utils import ELPDDataLOO

__all__ = ["LEAST_DRAWS", "LooResult", "lppd", "psis_loo", "replaced", "warn_of_high_k"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEAST_DRAWS = 25  # of all chains
_MOST = 8  # units named in a message
_UNITS = {"cluster": "clusters", "observation": "rows", "top": "top units"}
_QUESTION = {
    "cluster": "new clusters (random effects integrated out)",
    "observation": "new rows of known clusters (given the clusters' effects)",
    "top": "new units of the highest level (all random effects integrated out)",
    "": "new rows",
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LooResult:
    """Result of :meth:`bayes_msem.Fit.loo`.

    Attributes
    ----------
    unit
        What was left out: "cluster" or "observation".
    elpd_data
        The result as ArviZ knows it, for ``az.compare`` and plots. As ``az.reloo`` does, Pareto k
        of terms that were replaced by exact refits is set to 0.
    pareto_k
        Pareto k of importance sampling, before any replacement; index: cluster identifiers or
        row labels.
    replaced
        Units whose terms were replaced.
    replaced_by
        By what: "exact refits", "moment matching", or "".
    target
        The outcomes and units that were predicted.
    integration_error
        Largest standard error of a log-likelihood that is a numerical integral; 0 if all are
        exact.
    left_out
        Number of clusters or rows that have no observed outcome.

    Examples
    --------
    >>> loo = fit.loo()
    >>> len(loo.pointwise), len(loo.high_k)
    (160, 0)
    """

    unit: Unit
    elpd_data: ELPDDataLOO
    pareto_k: pd.Series
    replaced: tuple[Any, ...]
    replaced_by: str
    target: Target
    integration_error: float
    left_out: int

    @property
    def elpd(self) -> float:
        """Expected log predictive density, summed over units: larger is better.

        Examples
        --------
        >>> loo = fit.loo()
        >>> bool(abs(loo.pointwise.sum() - loo.elpd) < 1e-6)
        True
        """
        return float(self.elpd_data.elpd)

    @property
    def se(self) -> float:
        """Standard error of :attr:`elpd`.

        Examples
        --------
        >>> loo = fit.loo()
        >>> bool(abs(loo.pointwise.std() * 160**0.5 - loo.se) < 1e-6)
        True
        """
        return float(self.elpd_data.se)

    @property
    def p_loo(self) -> float:
        """Effective number of parameters.

        Examples
        --------
        >>> 0 < fit.loo().p_loo < 20
        True
        """
        return float(self.elpd_data.p)

    @property
    def pointwise(self) -> pd.Series:
        """Terms of ``elpd``; index as in ``pareto_k``.

        Examples
        --------
        >>> fit.loo().pointwise.index.name
        'school'
        """
        return pd.Series(self.elpd_data.elpd_i.to_numpy(), self.pareto_k.index, name="elpd")

    @property
    def high_k(self) -> pd.Series:
        """Units whose Pareto k is too high (and that were not replaced), highest first.

        Examples
        --------
        >>> fit.loo().high_k.tolist()
        []
        """
        k = pd.Series(self.elpd_data.pareto_k.to_numpy(), self.pareto_k.index, name="pareto_k")
        return k[~(k <= self.elpd_data.good_k)].sort_values(ascending=False)

    def __repr__(self) -> str:
        """Return a table, and how far it can be trusted."""
        rows = [f"{name:>10}{value:>12}{se:>9}".rstrip() for name, value, se in self._numbers()]
        head = f"{'':>10}{'estimate':>12}{'SE':>9}"
        return "\n".join([self._title(), "", head, *rows, "", *self._notes()])

    def _repr_html_(self) -> str:
        """Notebook display."""
        notes = " ".join(line.strip() for line in self._notes())
        numbers = grid(("", "estimate", "SE"), self._numbers())
        return block(text_paragraph(self._title()), numbers, text_paragraph(notes))

    def _title(self) -> str:
        question = _QUESTION[self.unit if self.target.clusters is not None else ""]
        if self.unit == "cluster" and self.target.tops is not None:
            question = "new clusters of known units of the highest level (given their effects)"
        return (
            f"Leave-one-out cross-validation of {self.elpd_data.n_data_points} "
            f"{_UNITS[self.unit]} from {self.elpd_data.n_samples} draws: {question}"
        )

    def _numbers(self) -> list[tuple[str, str, str]]:
        n, units = self.elpd_data.n_data_points, _UNITS[self.unit]
        per_unit = self.pointwise.to_numpy().mean()
        return [
            ("elpd_loo", f"{self.elpd:.1f}", f"{self.se:.1f}"),
            ("p_loo", f"{self.p_loo:.1f}", ""),
            (f"per {units[:-1]}", f"{per_unit:.3f}", f"{self.se / n:.3f}"),
        ]

    def _notes(self) -> list[str]:
        n, units, high = len(self.pareto_k), _UNITS[self.unit], self.high_k
        good = f"{self.elpd_data.good_k:.2f}"
        if len(high):
            lines = [
                f"Pareto k above {good} in {len(high)} of {n} {units}: {named(high)}.",
                "  Their terms are unreliable: use loo(refit='exact').",
            ]
        else:
            lines = [f"Pareto k is good (at most {good}) in all {n} {units}."]
        if self.replaced_by:
            before = self.pareto_k[list(self.replaced)]
            lines.append(f"Replaced by {self.replaced_by}: {named(before)}.")
        if self.integration_error > 0:
            lines.append(
                "Sampled effects are integrated numerically; largest standard error of a "
                f"log-likelihood: {self.integration_error:.2g}."
            )
        if self.left_out:
            lines.append(f"{self.left_out} {units} without any observed outcome are left out.")
        return lines


def psis_loo(tree: xr.DataTree, observed: ObservedData, unit: Unit) -> LooResult:
    """Compute LOO from the log-likelihoods that a tree holds.

    Parameters
    ----------
    tree
        With groups ``posterior`` and ``log_likelihood``.
    observed
        The data.
    unit
        Name of the log-likelihoods, and what they are about.

    Returns
    -------
    LooResult

    Raises
    ------
    SpecificationError
        Fewer than 25 draws: the tail that is smoothed is a fifth of them, and needs five.
    """
    import arviz_stats as az  # with scipy.stats, which takes a while

    sizes = tree["posterior"].sizes
    check_enough(sizes["chain"] * sizes["draw"], LEAST_DRAWS, "leave-one-out cross-validation")
    # ArviZ takes the efficiency of the draws from effective sizes, which need some per chain
    efficiency = 1.0 if sizes["draw"] < DRAWS_OF_A_CHAIN else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Estimated shape parameter of Pareto")
        data = az.loo(tree, var_name=unit, pointwise=True, reff=efficiency)
    about = tree["log_likelihood"][unit].attrs
    k = pd.Series(data.pareto_k.to_numpy(), unit_labels(observed, unit), name="pareto_k")
    return LooResult(
        unit=unit,
        elpd_data=data,
        pareto_k=k,
        replaced=(),
        replaced_by="",
        target=target_of(observed, unit),
        integration_error=float(about.get("largest_integration_error", 0.0)),
        left_out=int(about.get("left_out", 0)),
    )


def lppd(log_likelihood: xr.DataArray, unit: Unit) -> FloatArray:
    """Log of the mean predictive density of every unit, (n,)."""
    values = log_likelihood.transpose("chain", "draw", UNIT_DIMENSION[unit]).to_numpy()
    n_draws = values.shape[0] * values.shape[1]
    return np.asarray(logsumexp(values, axis=(0, 1)) - np.log(n_draws))


def replaced(
    result: LooResult, log_likelihood: xr.DataArray, positions: IntArray, elpd: FloatArray
) -> LooResult:
    """Replace terms by those of exact refits.

    Parameters
    ----------
    result
        From :func:`psis_loo`.
    log_likelihood
        The log-likelihoods it was computed from.
    positions
        Which units, by position among the units.
    elpd
        Their exact terms.
    """
    data = result.elpd_data
    elpd_i, k = data.elpd_i.copy(deep=True), data.pareto_k.copy(deep=True)
    weights = data.log_weights.copy(deep=True)
    elpd_i[positions], k[positions] = elpd, 0.0
    weights[{UNIT_DIMENSION[result.unit]: positions}] = np.nan  # not what the terms come from
    terms, n = elpd_i.to_numpy(), len(elpd_i)
    p_i = lppd(log_likelihood, result.unit) - terms
    changed = replace(
        data,
        elpd=float(terms.sum()),
        se=float(np.sqrt(n * terms.var(ddof=1))),
        p=float(p_i.sum()),
        elpd_i=elpd_i,
        pareto_k=k,
        p_loo_i=data.elpd_i.copy(data=p_i),
        warning=bool((~(k.to_numpy() <= data.good_k)).any()),
        log_weights=weights,
    )
    ids = tuple(result.pareto_k.index[positions])
    return replace(result, elpd_data=changed, replaced=ids, replaced_by="exact refits")


def warn_of_high_k(result: LooResult) -> None:
    """Warn of terms that importance sampling could not give."""
    high = result.high_k
    if len(high):
        warnings.warn(
            f"Pareto k is above {result.elpd_data.good_k:.2f} for {len(high)} of "
            f"{len(result.pareto_k)} {_UNITS[result.unit]} ({named(high)}): their terms of elpd "
            f"are unreliable{_way_out(result)}",
            AccuracyWarning,
            skip_file_prefixes=INSIDE,
        )


def _way_out(result: LooResult) -> str:
    if result.target.tops is not None:
        return ""
    return "; loo(refit='exact') fits the model again without each of them"


def named(values: pd.Series) -> str:
    """List units with their k, a few of them if they are many."""
    shown = [f"{label} ({k:.2f})" for label, k in values.iloc[:_MOST].items()]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
