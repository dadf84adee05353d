"""The built-in discrepancies, by name, and those that users bring."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.checking.predictive import level_fit, spread
from bayes_msem.checking.predictive.design import Design
from bayes_msem.checking.predictive.reduced_data import Sample
from bayes_msem.checking.predictive.structure import Structure
from bayes_msem.errors import SpecificationError, nearest

FloatArray = NDArray[np.float64]
Compute = Callable[[Sample, Structure], FloatArray]
Labels = Callable[[Design], Sequence[str]]

_ONE: tuple[str, ...] = ("",)
_LEVELS = ("", "within", "between")


@dataclass(frozen=True)
class Statistic:
    """A function of the data, or of the data and the parameters.

    Attributes
    ----------
    name, title
        The name users write, and one line for tables.
    level
        "within", "between" or "" (both, or neither).
    compute
        From a sample and a draw's structure to one number per label.
    labels
        Names of the variables the numbers belong to.
    two_sided
        Whether small values are as odd as large ones. Distances are not: small is good.
    obstacle
        Why it cannot be computed on a design at a draw; None if it can.
    on_request
        Whether it is computed only if asked for by name: its table is long.
    """

    name: str
    title: str
    level: str
    compute: Compute
    labels: Labels
    two_sided: bool
    obstacle: Callable[[Structure], str | None] = lambda structure: None
    on_request: bool = False


def _scalar(function: Callable[[Sample, Structure], float]) -> Compute:
    return lambda sample, structure: np.array([function(sample, structure)])


def _of_data(function: Callable[[Sample], Any]) -> Compute:
    return lambda sample, structure: sample.once(
        function, lambda: np.atleast_1d(np.asarray(function(sample), dtype=np.float64))
    )


def _one(design: Design) -> Sequence[str]:
    return _ONE


def _outcomes(design: Design) -> Sequence[str]:
    return design.observed.y_names


def _between_names(design: Design) -> Sequence[str]:
    return (*design.observed.split_names, *design.observed.z_names)


def _slope_names(design: Design) -> Sequence[str]:
    x, y = design.observed.x_names, design.observed.y_names
    on_covariates = [f"{name} ~ {x[i]}" for i in design.x_moving for name in y]
    return on_covariates + [f"{y[i]} ~ {y[k]}" for i, k in design.outcome_slopes]


def _pairs(names: Sequence[str]) -> list[str]:
    return [f"{names[i]} ~~ {names[k]}" for i in range(len(names)) for k in range(i)]


def _single_level(structure: Structure) -> str | None:
    return None if structure.design.two_level else "the data have one level"


def _no_split(structure: Structure) -> str | None:
    missing = not structure.design.observed.split_names
    return _single_level(structure) or ("no variable has a between part" if missing else None)


def _no_replication(structure: Structure) -> str | None:
    if (structure.design.sizes > 1).sum() < 2:
        return "fewer than two clusters have more than one row"
    return _single_level(structure)


def _no_covariances(structure: Structure) -> str | None:
    single = len(structure.design.observed.y_names) == 1
    reason = "with one outcome it is variance_spread" if single else None
    return _no_replication(structure) or reason


def _no_slopes(structure: Structure) -> str | None:
    missing = not (structure.design.x_moving or structure.design.outcome_slopes)
    reason = "no predictor varies inside clusters" if missing else None
    return _no_replication(structure) or reason


def _within_obstacle(structure: Structure) -> str | None:
    design, p = structure.design, structure.sigma.shape[1]
    needed = p + len(design.rest) + 1
    if design.df_within < needed:
        return (
            f"{design.df_within:.0f} independent residual rows inside clusters are too few for "
            f"{p} outcomes and {len(design.rest)} covariates (at least {needed})"
        )
    return None


def _level_two_obstacle(structure: Structure, needed: int) -> str | None:
    design = structure.design
    if not design.two_level:
        return "the data have one level"
    if not structure.omega.size:
        return "the model has no variable at level between"
    n = len(design.complete_clusters)
    if n < needed:
        return (
            f"{n} clusters (that identify all their random effects) are too few; the level "
            f"between needs {needed} or more"
        )
    try:
        regular = bool(np.isfinite(structure.level_two_whitener).all())
    except np.linalg.LinAlgError:
        regular = False
    return None if regular else "the rows of a cluster do not identify all its random effects"


def _between_obstacle(structure: Structure) -> str | None:
    n_u, n_w = structure.omega.shape[0], structure.design.observed.w.shape[1]
    return _level_two_obstacle(structure, n_u + n_w + 2)


def _distance_obstacle(structure: Structure) -> str | None:
    return _level_two_obstacle(structure, 2)


def _srmr_obstacle(structure: Structure) -> str | None:
    if not structure.design.shared:
        return "clusters have covariance matrices of their own"
    return _within_obstacle(structure)


def _srmr_between_obstacle(structure: Structure) -> str | None:
    if not structure.design.shared:
        return "clusters have covariance matrices of their own"
    return _no_split(structure) or _level_two_obstacle(structure, 2)


def _both_obstacles(structure: Structure) -> str | None:
    return _within_obstacle(structure) or _between_obstacle(structure)


def _both(sample: Sample, structure: Structure) -> float:
    return level_fit.chi_square_within(sample, structure) + level_fit.chi_square_between(
        sample, structure
    )


def _outlying_within(sample: Sample, structure: Structure) -> float:
    """Largest standardised sum of squares: a cluster's, as a normal deviate."""
    distance, df = level_fit.within_distances(sample, structure), sample.design.sizes - 1.0
    df = df[df > 0] * sample.y.shape[1]
    return float(((distance[sample.design.sizes > 1] - df) / np.sqrt(2.0 * df)).max())


def _largest_distance(sample: Sample, structure: Structure) -> float:
    return float(level_fit.between_distances(sample, structure).max())


BUILT_IN: tuple[Statistic, ...] = (
    Statistic("chi_square", "likelihood ratio, both levels", "", _scalar(_both), _one, False,
              _both_obstacles),
    Statistic("chi_square", "likelihood ratio against any covariances", "within",
              _scalar(level_fit.chi_square_within), _one, False, _within_obstacle),
    Statistic("srmr", "standardised root mean square residual", "within",
              _scalar(level_fit.srmr_within), _one, False, _srmr_obstacle),
    Statistic("skewness", "skewness of deviations from cluster means", "within",
              _of_data(lambda s: spread.skewness(s.deviations)), _outcomes, True),
    Statistic("kurtosis", "excess kurtosis of deviations from cluster means", "within",
              _of_data(lambda s: spread.kurtosis(s.deviations)), _outcomes, True),
    Statistic("slope_variance", "variance of clusters' slopes", "within",
              _of_data(spread.slope_variances), _slope_names, True, _no_slopes),
    Statistic("variance_spread", "differences between clusters' residual variances", "within",
              _of_data(spread.variance_spread), _outcomes, True, _no_replication),
    Statistic("covariance_spread", "differences between clusters' residual covariances", "within",
              _of_data(spread.covariance_spread), _one, True, _no_covariances),
    Statistic("outlying_within", "most variable cluster", "within",
              _scalar(_outlying_within), _one, False, _no_replication),
    Statistic("chi_square", "likelihood ratio against any covariances", "between",
              _scalar(level_fit.chi_square_between), _one, False, _between_obstacle),
    Statistic("srmr", "standardised root mean square residual", "between",
              _scalar(level_fit.srmr_between), _one, False, _srmr_between_obstacle),
    Statistic("icc", "intraclass correlation", "between",
              _of_data(spread.intraclass), lambda d: d.observed.split_names, True, _no_split),
    Statistic("cluster_mean_sd", "SD of cluster means", "between",
              _of_data(lambda s: s.between_means.std(axis=0, ddof=1)), _between_names, True,
              _single_level),
    Statistic("cluster_mean_skewness", "skewness of cluster means", "between",
              _of_data(lambda s: spread.skewness(s.between_means)), _between_names, True,
              _single_level),
    Statistic("cluster_mean_kurtosis", "excess kurtosis of cluster means", "between",
              _of_data(lambda s: spread.kurtosis(s.between_means)), _between_names, True,
              _single_level),
    Statistic("residual_correlation", "residual correlation", "within",
              level_fit.residual_correlations_within,
              lambda d: _pairs(d.observed.y_names), True, _srmr_obstacle, on_request=True),
    Statistic("residual_correlation", "residual correlation", "between",
              level_fit.residual_correlations_between,
              lambda d: _pairs(_between_names(d)), True, _srmr_between_obstacle, on_request=True),
    Statistic("outlying_cluster", "most distant cluster", "between",
              _scalar(_largest_distance), _one, False, _distance_obstacle),
)  # fmt: skip


def chosen_statistics(
    statistics: Any, extra: Sequence[Statistic], built_in: Sequence[Statistic] = BUILT_IN
) -> list[Statistic]:
    """Turn what a user asked for into statistics.

    Parameters
    ----------
    statistics
        None (all built-in ones), a name, a function, a sequence of names and functions, or a
        mapping from names to functions.
    extra
        Statistics that depend on the model, besides the built-in ones.
    built_in
        Those of normal outcomes by default.

    Raises
    ------
    SpecificationError
        An unknown name.
    """
    known = sorted([*extra, *built_in], key=lambda s: _LEVELS.index(s.level))
    if statistics is None:
        return [s for s in known if not s.on_request]
    if isinstance(statistics, str) or callable(statistics):
        statistics = [statistics]
    if isinstance(statistics, Mapping):
        return [_of_user(str(name), function) for name, function in statistics.items()]
    chosen: list[Statistic] = []
    names = list(dict.fromkeys(s.name for s in known))
    for item in statistics:
        if callable(item):
            chosen.append(_of_user(getattr(item, "__name__", "statistic"), item))
        elif item in names:
            chosen += [s for s in known if s.name == item]
        else:
            raise SpecificationError(
                f"there is no statistic {item!r}; use {', '.join(names)}, or a function of the "
                f"data{nearest(str(item), names)}"
            )
    return chosen


class UserFunction:
    """A function of a data frame, or of a data frame and the parameters of the draw."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function
        self.labels: tuple[str, ...] = ()
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # some built-in functions have no signature
            parameters = {}.values()
        required = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
                    and p.default is p.empty]  # fmt: skip
        self.takes_values = len(required) >= 2

    def __call__(self, frame: pd.DataFrame, values: Mapping[Any, float]) -> FloatArray:
        """Numbers of one data set; the labels are those of the first call."""
        result = self.function(frame, values) if self.takes_values else self.function(frame)
        if isinstance(result, Mapping):
            result = pd.Series(result)
        try:
            numbers = np.atleast_1d(np.asarray(result, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise SpecificationError(
                f"the statistic '{self.name}' returned {type(result).__name__}, not numbers; "
                "return a number, a Series or a dict of numbers"
            ) from error
        if numbers.ndim > 1:
            raise SpecificationError(
                f"the statistic '{self.name}' returned an array of shape {numbers.shape}; return "
                "a number, a Series or a dict of numbers"
            )
        labels = tuple(map(str, result.index)) if isinstance(result, pd.Series) else None
        if labels is None:
            labels = _ONE if len(numbers) == 1 else tuple(map(str, range(len(numbers))))
        if self.labels and labels != self.labels:
            raise SpecificationError(
                f"the statistic '{self.name}' returned {labels} where it had returned "
                f"{self.labels} for another data set; it must name the same things every time"
            )
        self.labels = labels
        return numbers


def _of_user(name: str, function: Any) -> Statistic:
    if not callable(function):
        raise SpecificationError(f"the statistic '{name}' is not a function")
    call = UserFunction(name, function)
    return Statistic(
        name,
        "given by the user",
        "",
        lambda sample, structure: call(sample.frame, structure.values),
        lambda design: call.labels,
        two_sided=True,
    )
