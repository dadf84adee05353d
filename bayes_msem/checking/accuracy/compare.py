"""Comparison of models by leave-one-out cross-validation, of like with like.

Differences of elpd are pairwise: each unit's term under one model minus its term under the other.
Their standard error, sqrt(n) times the SD of these n differences, is itself uncertain: with few
units it is too small, and where models predict nearly the same, the distribution of the difference
is not normal (Sivula, Magnusson & Vehtari 2020, https://doi.org/10.48550/arXiv.2008.10296).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bayes_msem.arguments import checked, choice
from bayes_msem.checking.accuracy.log_likelihood import Unit, check_unit
from bayes_msem.checking.accuracy.loo import LooResult
from bayes_msem.checking.accuracy.stacking import stacking_weights
from bayes_msem.checking.accuracy.target import Target, check_same_target, target_of
from bayes_msem.errors import SpecificationError
from bayes_msem.posterior.tables import EstimateTable

if TYPE_CHECKING:
    from bayes_msem.fit import Fit

__all__ = ["Weights", "compare"]

Weights = Literal["stacking", "BB-pseudo-BMA", "pseudo-BMA"]

_SMALL = 4.0  # differences below: the models predict about equally well (Sivula et al. 2020)
_FEW = 100  # units
_MOST = 5  # of them named in a message
_UNITS = {"cluster": "clusters", "observation": "rows", "top": "top units"}
_QUESTION = {
    "cluster": "new clusters (random effects integrated out)",
    "observation": "new rows of known clusters",
    "top": "new units of the highest level, with all that is in them",
}
_NAMES = {"dse": "se_diff", "p": "p_loo"}
_COLUMNS = ["rank", "elpd", "se", "elpd_diff", "se_diff", "p_loo", "weight", "high_k"]


@checked(unit=choice(Unit), weights=choice(Weights))
def compare(
    models: Mapping[str, Fit | LooResult],
    unit: Unit | None = None,
    *,
    weights: Weights = "stacking",
) -> EstimateTable:
    """Compare fitted models by leave-one-out cross-validation.

    Parameters
    ----------
    models
        Name -> fit, or result of :meth:`bayes_msem.Fit.loo` (for example one with refits). All
        must predict the same outcomes of the same units.
    unit
        "cluster": how well new clusters are predicted. "observation": how well new rows of known
        clusters are predicted. None: "cluster" in two-level models, or that of the results given.
    weights
        "stacking": weights of the mixture of the models that predicts best. "BB-pseudo-BMA",
        "pseudo-BMA": weights from each model's elpd, with and without the uncertainty of elpd.

    Returns
    -------
    EstimateTable
        One row per model, best first: rank, elpd and its se; elpd_diff (to the best model) and its
        standard error se_diff; p_loo, weight, and high_k (units whose Pareto k is too high). The
        caption says what was predicted, and how far the differences can be trusted.

    Raises
    ------
    SpecificationError
        The models predict different units, outcomes or data; the message names them.

    Warns
    -----
    AccuracyWarning
        Pareto k of some units is too high.

    References
    ----------
    Sivula, T., Magnusson, M., & Vehtari, A. (2020). Uncertainty in Bayesian leave-one-out
    cross-validation based model comparison. https://doi.org/10.48550/arXiv.2008.10296

    Yao, Y., Vehtari, A., Simpson, D., & Gelman, A. (2018). Using stacking to average Bayesian
    predictive distributions. Bayesian Analysis, 13, 917-1007. https://doi.org/10.1214/17-BA1091

    Examples
    --------
    >>> import bayes_msem as bm
    >>> table = bm.compare({"with sector": fit, "again": fit.loo()}, weights="pseudo-BMA")
    >>> table["rank"].tolist()
    [0, 1]
    >>> table["elpd_diff"].tolist()
    [0.0, 0.0]
    """
    _check_arguments(models, unit)
    given = [m.unit for m in models.values() if isinstance(m, LooResult)]
    if unit is None and given:
        unit = given[0]
    # targets before computing anything: a refusal should not take minutes
    targets = {name: _target(name, model, unit) for name, model in models.items()}
    first = next(iter(targets.items()))
    for other in list(targets.items())[1:]:
        check_same_target(first, other)
    shared = first[1].unit
    results = {
        name: model if isinstance(model, LooResult) else model.loo(shared)
        for name, model in models.items()
    }
    found = _compared(results, weights).rename(columns=_NAMES)
    found["high_k"] = [len(results[str(name)].high_k) for name in found.index]
    found.index.name = "model"
    table = EstimateTable(found[_COLUMNS].astype({"rank": int, "high_k": int}))
    table.attrs["caption"] = _caption(table, shared, len(next(iter(results.values())).pareto_k))
    table.attrs["unit"] = shared
    return table


def _compared(results: Mapping[str, LooResult], weights: Weights) -> pd.DataFrame:
    """Table of ArviZ, which stacks exp(elpd); of clusters that is 0, so weights are made here."""
    for name, result in results.items():
        bad = result.pointwise[~np.isfinite(result.pointwise)].index
        if len(bad):
            raise SpecificationError(
                f"'{name}' has no finite elpd for {len(bad)} of {len(result.pointwise)} "
                f"{_UNITS[result.unit]} ({', '.join(map(str, bad[:_MOST]))}), so it cannot be "
                "compared; look at loo().pointwise, and at whether its chains have converged"
            )
    import arviz_stats as az  # with scipy.stats, which takes a while

    with warnings.catch_warnings():
        # the table has a column for high k
        warnings.filterwarnings("ignore", message="Estimated shape parameter of Pareto")
        found: pd.DataFrame = az.compare(
            {name: result.elpd_data for name, result in results.items()},
            method="pseudo-BMA" if weights == "stacking" else weights,
            round_to="none",
        )
    if weights == "stacking":
        terms = [results[str(name)].pointwise.to_numpy() for name in found.index]
        found["weight"] = stacking_weights(np.column_stack(terms))
    return found


def _check_arguments(models: Mapping[str, Fit | LooResult], unit: str | None) -> None:
    if not isinstance(models, Mapping) or len(models) < 2:
        raise SpecificationError(
            "compare() needs two models or more, by name: "
            'bm.compare({"linear": fit_1, "quadratic": fit_2})'
        )
    for name, model in models.items():
        if not isinstance(model, LooResult) and not hasattr(model, "loo"):
            raise SpecificationError(
                f"'{name}' is neither a fit nor a result of fit.loo(), but {type(model).__name__}"
            )
        if isinstance(model, LooResult) and unit not in (None, model.unit):
            raise SpecificationError(
                f"unit='{unit}' is asked for, but '{name}' is a result for unit='{model.unit}'; "
                f"compute it with loo(unit='{unit}')"
            )


def _target(name: str, model: Fit | LooResult, unit: Unit | None) -> Target:
    if isinstance(model, LooResult):
        return model.target
    observed = model.model.observed
    return target_of(observed, check_unit(unit, observed))


def _caption(table: pd.DataFrame, unit: Unit, n: int) -> str:
    sentences = [f"Leave-one-out cross-validation of {n} {_UNITS[unit]}: {_QUESTION[unit]}."]
    best, *others = table.index
    close = [name for name in others if abs(table.loc[name, "elpd_diff"]) < _SMALL]
    unclear = [
        name
        for name in others
        if name not in close
        and abs(table.loc[name, "elpd_diff"]) < 2.0 * table.loc[name, "se_diff"]
    ]
    if close:
        sentences.append(
            f"{_listed(close)} {_verb(close)} about as well as '{best}': the difference is less "
            f"than {_SMALL:g}, too small to choose by."
        )
    if unclear:
        sentences.append(
            f"{_listed(unclear)} {_are(unclear)} not clearly worse than '{best}': the difference "
            "is less than two of its standard errors."
        )
    if n < _FEW:
        sentences.append(
            f"With {n} {_UNITS[unit]} the standard errors of the differences are rough, and often "
            "too small."
        )
    high = table["high_k"].to_numpy()
    if high.any():
        sentences.append(
            "Where high_k is not 0, elpd may be wrong, mostly too favourable: compare results of "
            "loo(refit='exact')."
        )
    return " ".join(sentences)


def _listed(names: list[str]) -> str:
    return " and ".join(", ".join(f"'{n}'" for n in names).rsplit(", ", 1))


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _verb(names: list[str]) -> str:
    return "predicts" if len(names) == 1 else "predict"
