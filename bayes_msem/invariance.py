"""Measurement invariance over groups: a sequence of models with more and more equal rows."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from bayes_msem.arguments import anything, checked, checked_class, mapping
from bayes_msem.errors import SpecificationError
from bayes_msem.markup import block, bullets_of, text_paragraph
from bayes_msem.model import Model
from bayes_msem.posterior.tables import EstimateTable, terminal_width
from bayes_msem.spec.group_equality import read_equal

if TYPE_CHECKING:
    from bayes_msem.checking.accuracy.loo import LooResult
    from bayes_msem.fit.group_fit import GroupFit

__all__ = ["MeasurementInvariance", "measurement_invariance"]

_SMALL = 4.0  # differences of elpd below: the models predict about equally well
_EXTREME = 0.05
_REPLICATES = 500


@checked_class(table=anything, lines=anything, fits=mapping)
@dataclass(frozen=True, eq=False, repr=False)
class MeasurementInvariance:
    """Result of :func:`bayes_msem.measurement_invariance`.

    Attributes
    ----------
    table
        One row per model, from the freest to the most equal: equal (what is equal, by level), elpd
        and its standard error se, elpd_diff (to the model before: below 0 where the equalities make
        predictions worse) and its standard error se_diff, p_loo, high_k (units whose Pareto k is
        too high), ppp (posterior predictive p-values of the likelihood ratio; of two-level models
        also by level), and max_r_hat.
    lines
        What the table says, model by model.
    fits
        The fits by name.

    Examples
    --------
    >>> import bayes_msem as bm
    >>> from bayes_msem.posterior.tables import EstimateTable
    >>> table = EstimateTable({"model": ["configural"], "elpd": [-3201.2]})
    >>> found = bm.MeasurementInvariance(table, ("configural: the least equal model",), {})
    >>> print(repr(found).splitlines()[-1])
    - configural: the least equal model
    """

    table: EstimateTable
    lines: tuple[str, ...]
    fits: Mapping[str, GroupFit]

    def __repr__(self) -> str:
        """Return the table, and what it says."""
        width = terminal_width()
        lines = [textwrap.fill(f"- {n}", width, subsequent_indent="  ") for n in self.lines]
        return "\n".join([repr(self.table), "", *lines])

    def _repr_html_(self) -> str:
        """Notebook display."""
        title = text_paragraph("Measurement invariance", bold=True)
        return block(title, self.table._repr_html_(), bullets_of(self.lines))


@checked(group=anything, cluster=anything, missing=anything, steps=anything)
def measurement_invariance(
    spec: str,
    data: Any,
    *,
    group: str,
    cluster: str | None = None,
    steps: Mapping[str, Any] | None = None,
    group_partial: Sequence[Any] | None = None,
    priors: Any = None,
    std_lv: bool = False,
    missing: str = "fiml",
    random_seed: int | None = None,
    **options: Any,
) -> MeasurementInvariance:
    """Fit models with more and more equal rows, and compare them by LOO and PPP.

    In two-level models the levels take turns: equal loadings within, then at both levels, then
    equal intercepts, which stand at level between.

    Parameters
    ----------
    spec, data, group, cluster, priors, std_lv, missing
        As for :class:`bayes_msem.Model`.
    steps
        Models to compare, name -> ``group_equal``, from the freest to the most equal. None:
        configural, metric and scalar invariance; with two levels, metric invariance within first.
    group_partial
        Rows that stay free in every model.
    random_seed
        Seed of every fit; None draws one.
    **options
        Of :meth:`bayes_msem.Model.fit`.

    Returns
    -------
    MeasurementInvariance

    Raises
    ------
    SpecificationError
        A text without factors.

    References
    ----------
    Meredith, W. (1993). Measurement invariance, factor analysis and factorial invariance.
    Psychometrika, 58, 525-543. https://doi.org/10.1007/BF02294825

    Examples
    --------
    >>> import bayes_msem as bm
    >>> found = bm.measurement_invariance(
    ...     spec, data, group="country", cluster="school", random_seed=1
    ... )  # doctest: +SKIP
    >>> found.table  # doctest: +SKIP
    """
    given = {
        "cluster": cluster, "group_partial": group_partial, "priors": priors, "std_lv": std_lv,
        "missing": missing,
    }  # fmt: skip
    base = cast("Any", Model)(spec, data, group=group, **given)
    chosen = _steps(base) if steps is None else dict(steps)
    two_level = base.table.two_level
    for name, equal in chosen.items():  # before anything is sampled
        read_equal(f"steps[{name!r}]", equal, two_level=two_level)
    fits: dict[str, GroupFit] = {}
    for name, equal in chosen.items():
        model = cast("Any", Model)(spec, data, group=group, group_equal=equal, **given)
        fits[name] = model.fit(random_seed=random_seed, **options)
    return _compared(fits, chosen, two_level)


def _steps(model: Any) -> dict[str, Any]:
    """Models to compare by default."""
    factors = {lev for (lev, _), role in model.table.roles.items() if role.endswith("factor")}
    if not factors:
        raise SpecificationError(
            "measurement_invariance() compares loadings and intercepts of factors, and the text "
            "has no factor (=~); compare models with other equal rows by bm.compare()"
        )
    loadings, both = ["loadings"], ["loadings", "intercepts"]
    if not model.table.two_level:
        return {"configural": None, "metric": loadings, "scalar": both}
    steps: dict[str, Any] = {"configural": None}
    if factors == {"within", "between"}:
        steps["metric within"] = {"within": loadings}
    if factors == {"within"}:
        return {"configural": None, "metric": {"within": loadings}}
    return steps | {"metric": loadings, "scalar": both}


def _compared(
    fits: Mapping[str, GroupFit], steps: Mapping[str, Any], two_level: bool
) -> MeasurementInvariance:
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    before: LooResult | None = None
    for name, fit in fits.items():
        loo = fit.loo()
        row: dict[str, Any] = {"equal": _in_words(steps[name]), "elpd": loo.elpd, "se": loo.se}
        row["elpd_diff"], row["se_diff"] = _difference(loo, before)
        row |= {"p_loo": loo.p_loo, "high_k": len(loo.high_k)}
        total = int(np.prod([fit.datatree["posterior"].sizes[d] for d in ("chain", "draw")]))
        p = fit.ppp(["chi_square"], draws=min(_REPLICATES, total))
        for level in ("", "within", "between") if two_level else ("",):
            found = p[(p["group"] == "") & (p["level"] == level)]["ppp"]
            row[f"ppp_{level}".rstrip("_")] = float(found.iloc[0]) if len(found) else np.nan
        row["max_r_hat"] = fit.convergence.max_r_hat
        if not two_level and np.isnan(row["ppp"]):
            within = p[(p["group"] == "") & (p["level"] == "within")]["ppp"]
            row["ppp"] = float(within.iloc[0]) if len(within) else np.nan
        rows.append(row)
        lines.append(_line(name, row, list(fits)[len(rows) - 2] if before else ""))
        before = loo
    table = EstimateTable(pd.DataFrame(rows, index=pd.Index(list(fits), name="model")))
    table.attrs["caption"] = (
        "Measurement invariance: elpd of leave-one-out cross-validation, its difference to the "
        "model before, and posterior predictive p-values of the likelihood ratio, whose values "
        "crowd around .5: far from it they tell of misfit."
    )
    return MeasurementInvariance(table, tuple(lines), dict(fits))


def _difference(loo: LooResult, before: LooResult | None) -> tuple[float, float]:
    if before is None:
        return np.nan, np.nan
    terms = loo.pointwise.to_numpy() - before.pointwise.to_numpy()
    return float(terms.sum()), float(np.sqrt(len(terms)) * terms.std(ddof=1))


def _line(name: str, row: Mapping[str, Any], before: str) -> str:
    bad = [k for k in ("ppp", "ppp_within", "ppp_between") if row.get(k, 0.5) < _EXTREME]
    fit = f"; it does not describe the data ({', '.join(bad)} below {_EXTREME})" if bad else ""
    if not before:
        return f"{name}: nothing is equal but the pattern of loadings{fit}."
    difference, se = row["elpd_diff"], row["se_diff"]
    if difference > -_SMALL:
        text = f"predicts no worse than '{before}', so the data do not speak against it"
    elif difference > -2 * se:
        text = f"is not clearly worse than '{before}': the difference is below two standard errors"
    else:
        text = (
            f"predicts worse than '{before}': the equalities do not hold; wiggle= and "
            "group_differences() show which"
        )
    return f"{name}: {text}{fit}."


def _in_words(equal: Any) -> str:
    if not equal:
        return "nothing"
    if isinstance(equal, Mapping):
        return "; ".join(f"{level}: {_in_words(own)}" for level, own in equal.items())
    return equal if isinstance(equal, str) else ", ".join(equal)
