"""Rubin's rules: one estimate from those of several completed data sets.

With estimates q_i and their variances u_i of m data sets,

    Q = mean(q_i) ,   U = mean(u_i) ,   B = sum (q_i - Q)^2 / (m - 1) ,   T = U + (1 + 1/m) B ,

and r = (1 + 1/m) B / U, lambda = (1 + 1/m) B / T, (Q - q) / sqrt(T) is about t-distributed with
nu = (m - 1) / lambda^2 degrees of freedom (Rubin, 1987). If those of the complete data are nu_c,

    nu_obs = (nu_c + 1) / (nu_c + 3) nu_c (1 - lambda) ,     1 / (1 / nu + 1 / nu_obs)

(Barnard & Rubin, 1999) never exceed nu_c. The fraction of missing information is
(r + 2 / (nu + 3)) / (r + 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from bayes_msem.arguments import checked, number
from bayes_msem.errors import SpecificationError
from bayes_msem.posterior.tables import EstimateTable

__all__ = ["pool"]

FloatArray = NDArray[np.float64]


@checked(complete_df=number("a positive number", 0.0, strict=True))
def pool(
    estimates: Any, variances: Any, *, ci: float = 0.95, complete_df: float | None = None
) -> EstimateTable:
    """Pool estimates from several completed data sets by Rubin's rules.

    For what other software made of ``fit.impute()`` or ``fit.plausible_values()``.

    Parameters
    ----------
    estimates
        Estimates (m,) of one quantity in m data sets, or (m, k) of k: an array, a list of Series,
        or a data frame with a row per data set, whose columns name the quantities.
    variances
        Their squared standard errors, of the same shape; or the m covariance matrices, (m, k, k).
    ci
        Mass of the confidence interval.
    complete_df
        Degrees of freedom that the complete data would have, such as N - k of a regression; None:
        infinitely many.

    Returns
    -------
    EstimateTable
        Index: the quantities. Columns estimate, se, lower and upper (ends of the interval of the
        t distribution), df, riv (relative increase in variance) and fmi (fraction of missing
        information). ``attrs["covariance"]``: pooled covariance matrix as a nested list, where
        covariance matrices were given.

    Raises
    ------
    SpecificationError
        Fewer than two data sets, shapes that do not match, values that are no numbers, or
        variances that are not positive.

    References
    ----------
    Barnard, J., & Rubin, D. B. (1999). Small-sample degrees of freedom with multiple imputation.
    Biometrika, 86(4), 948-955. https://doi.org/10.1093/biomet/86.4.948

    Rubin, D. B. (1987). Multiple imputation for nonresponse in surveys. Wiley.
    https://doi.org/10.1002/9780470316696

    Examples
    --------
    >>> import bayes_msem as bm
    >>> pooled = bm.pool([1.0, 1.2, 1.1], [0.04, 0.05, 0.045])
    >>> pooled.loc["q1", ["estimate", "se", "df", "fmi"]].round(3).tolist()
    [1.1, 0.242, 38.281, 0.266]
    """
    q, names = _values("estimates", estimates)
    u = _variances(_in_order(variances, estimates), q)
    m = len(q)
    between = np.einsum("mi,mj->ij", q - q.mean(axis=0), q - q.mean(axis=0)) / (m - 1)
    matrix = u.mean(axis=0) if u.ndim == 3 else np.diag(u.mean(axis=0))
    total = matrix + (1 + 1 / m) * between
    within, spread = np.diag(matrix), (1 + 1 / m) * np.diag(between)
    variance = within + spread
    with np.errstate(divide="ignore"):
        share = spread / variance
        df = (m - 1) / share**2
        if complete_df is not None:
            seen = (complete_df + 1) / (complete_df + 3) * complete_df * (1 - share)
            df = 1 / (1 / df + 1 / seen)
    riv, se = spread / within, np.sqrt(variance)
    width = _t_quantile(df, (1 + ci) / 2) * se
    mean = q.mean(axis=0)
    table = EstimateTable(
        {
            "estimate": mean,
            "se": se,
            "lower": mean - width,
            "upper": mean + width,
            "df": df,
            "riv": riv,
            "fmi": (riv + 2 / (df + 3)) / (riv + 1),
        },
        index=pd.Index(names, name="quantity"),
    )
    table.attrs["caption"] = (
        f"Estimates of {m} data sets pooled by Rubin's rules, with {100 * ci:g}% confidence "
        "intervals. riv: relative increase in variance by what is missing; fmi: fraction of "
        "missing information."
    )
    table.attrs.update(ci=ci, ci_kind="confidence")
    if u.ndim == 3:
        table.attrs["covariance"] = total.tolist()
    return table


def _t_quantile(df: FloatArray, probability: float) -> FloatArray:
    normal = np.full(df.shape, special.ndtri(probability))
    return np.where(np.isfinite(df), special.stdtrit(np.minimum(df, 1e300), probability), normal)


def _values(name: str, given: Any) -> tuple[FloatArray, list[Any]]:
    if isinstance(given, Sequence) and given and all(isinstance(v, pd.Series) for v in given):
        first = given[0].index
        if not all(one.index.equals(first) for one in given):
            raise SpecificationError(f"{name}: the Series differ in what they are of")
        given = pd.DataFrame(list(given))
    names = list(given.columns) if isinstance(given, pd.DataFrame) else None
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecificationError(
            f"{name} must be numbers, (m,) or (m, k) of m data sets, all of the same quantities"
        ) from None
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 1:
        raise SpecificationError(
            f"{name} must be (m,) or (m, k) of m data sets, at least two, got the shape "
            f"{values.shape}"
        )
    if not np.isfinite(values).all():
        raise SpecificationError(f"{name} must be finite numbers in all data sets")
    return values, names or [f"q{i + 1}" for i in range(values.shape[1])]


def _in_order(variances: Any, estimates: Any) -> Any:
    """Variances in the order of the estimates, where both have names."""
    tables = []
    for given in (estimates, variances):
        if isinstance(given, Sequence) and given and all(isinstance(v, pd.Series) for v in given):
            given = pd.DataFrame(list(given))
        tables.append(given)
    if not all(isinstance(table, pd.DataFrame) for table in tables):
        return tables[1]
    names, own = list(tables[0].columns), list(tables[1].columns)
    if len(names) != len(own) or set(names) != set(own):
        raise SpecificationError(
            f"variances are of {', '.join(map(str, own))}, and estimates of "
            f"{', '.join(map(str, names))}"
        )
    return tables[1][names]


def _variances(given: Any, estimates: FloatArray) -> FloatArray:
    m, k = estimates.shape
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim == 1 and k == 1:
        values = values[:, None]
    if values.shape not in ((m, k), (m, k, k)):
        raise SpecificationError(
            f"variances must have the shape of the estimates, {(m, k)}, or be covariance matrices, "
            f"{(m, k, k)}, got the shape {values.shape}"
        )
    diagonal = np.einsum("mkk->mk", values) if values.ndim == 3 else values
    if not np.isfinite(values).all() or (diagonal <= 0).any():
        raise SpecificationError(
            "variances must be positive, finite numbers: squared standard errors, not SDs of data"
        )
    return values
