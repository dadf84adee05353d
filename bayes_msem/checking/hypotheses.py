"""What the posterior says of hypotheses: probabilities, odds and Bayes factors.

With d = left - right of a comparison, and n draws,

    probability         P(d > 0 | data), or P(d < 0 | data); of several comparisons: that all hold
    evidence_ratio      probability / (1 - probability), the posterior odds
    direction           max{P(d > 0 | data), P(d < 0 | data)}, the probability of direction
    in_rope             P(low < d < high | data)
    prior_probability   the probability of the hypothesis in draws from the prior
    bayes_factor        posterior odds / prior odds; of an equality: checking.savage_dickey

Draws are dependent; the Monte Carlo error of a probability is ArviZ's of the mean of indicators.
If all draws agree there is none: with n effective draws the probability is then above 1 - 3 / n
(95%; the rule of three).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.blueprint.rows import cluster_definitions, row_values
from bayes_msem.checking.hypothesis_result import ESTIMATE, HypothesisResult
from bayes_msem.checking.priors.prior_draws import draw_prior
from bayes_msem.checking.savage_dickey import DensityRatio, density_ratio
from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.posterior.convergence import Grade
from bayes_msem.posterior.enough import check_enough
from bayes_msem.posterior.names import row_name
from bayes_msem.posterior.summary import INTERVAL_NAMES, IntervalKind, estimate_columns
from bayes_msem.posterior.tables import EstimateTable
from bayes_msem.spec.expressions import Binary, Expression, evaluate, names
from bayes_msem.spec.hypothesis_text import Comparison, Hypothesis
from bayes_msem.spec.row_names import ByRow, find_row
from bayes_msem.spec.table import Row, RowKey

__all__ = ["evaluate_hypotheses", "read_rows"]

FloatArray = NDArray[np.float64]

_PRIOR_DRAWS, _PRIOR_DRAWS_OF_MEANS = 20_000, 2_000  # fewer where means take a quadrature each
_OF_CHAINS: dict[Grade, str] = {
    "fine": "",
    "sample longer": "Sample longer before you report these numbers: see fit.convergence.",
    "do not use": "Do not use these numbers: the chains have problems, see fit.convergence.",
}
_LARGE_ERROR = 0.2


def read_rows(table_rows: Sequence[Row], hypothesis: Hypothesis) -> dict[str, Row]:
    """Rows of the parameter table that the names in a hypothesis stand for.

    Raises
    ------
    UnknownRowError
        An unknown or ambiguous name; the message has the nearest ones.
    SpecificationError
        A coefficient that varies over clusters.
    """
    found: dict[str, Row] = {}
    what = f"hypothesis '{hypothesis.text}'"
    for comparison in hypothesis.comparisons:
        for name in (*names(comparison.left), *names(comparison.right)):
            text = hypothesis.rows.get(name, name)
            row = find_row(table_rows, text, what=what)
            if row.random:
                raise SpecificationError(
                    f"{what}: '{text}' varies over clusters; its mean is 'between: {row.random} ~ "
                    f"1', its variance 'between: {row.random} ~~ {row.random}'"
                )
            found[name] = row
    return found


def evaluate_hypotheses(
    blueprint: Blueprint,
    draws: Mapping[RowKey, FloatArray],
    hypotheses: Mapping[str, Hypothesis],
    *,
    rope: tuple[float, float] | None,
    ci: float,
    ci_kind: IntervalKind,
    random_seed: int,
    default_priors: Sequence[int] = (),
    grade: Grade = "fine",
) -> tuple[HypothesisResult, tuple[str, ...]]:
    """Weigh hypotheses against the posterior and the prior.

    Parameters
    ----------
    blueprint
        The model.
    draws
        Row key -> posterior draws (chain, draw).
    hypotheses
        By name.
    rope
        Region of practical equivalence of left - right; None: none.
    ci, ci_kind
        Mass and kind of the intervals of left - right.
    random_seed
        Of the prior draws.
    default_priors
        Numbers of free parameters whose prior is the default.
    grade
        That of the convergence of the chains.

    Returns
    -------
    tuple
        The result, and rows under an equality whose priors are defaults, as text.

    Raises
    ------
    SpecificationError
        An unknown name, a difference that is constant or no number in some draw, fewer than 2
        draws.
    NotSupportedError
        An equality inside a conjunction, or one without densities (checking.savage_dickey).
    """
    check_enough(next(iter(draws.values())).size, 2, "fit.hypothesis()")
    rows = {name: read_rows(blueprint.table.rows, h) for name, h in hypotheses.items()}
    for hypothesis in hypotheses.values():
        _check_equalities(hypothesis)
    rng = np.random.default_rng(random_seed)
    prior, trouble = None, ""
    if any(c.sign != "=" for h in hypotheses.values() for c in h.comparisons):
        try:
            prior = _prior_values(blueprint, rng)
        except NotSupportedError as error:
            trouble = f"Without prior probabilities: {error}."

    def weigh(comparison: Comparison, rows: Mapping[str, Row]) -> DensityRatio:
        return density_ratio(
            blueprint.table,
            blueprint.priors,
            Binary("-", comparison.left, comparison.right),
            rows,
            draws,
            rng,
            prior_draws=lambda: prior or _prior_values(blueprint, rng),
            text=comparison.text,
            random_definitions=tuple(cluster_definitions(blueprint)),
        )

    lines = [
        line
        for name, hypothesis in hypotheses.items()
        for line in _lines_of(name, hypothesis, rows[name], draws, prior, weigh)
    ]
    table = EstimateTable([_record(line, rope, ci, ci_kind) for line in lines])
    table.attrs.update(caption=_caption(lines, ci, ci_kind, rope), ci=ci, ci_kind=ci_kind)
    notes = [text for text in (_OF_CHAINS[grade], trouble) if text]
    kept = {
        line.name: xr.DataArray(line.values[0], dims=("chain", "draw"), name=line.text)
        for line in lines
        if len(line.values) == 1
    }
    result = HypothesisResult(table, (*notes, *_notes(lines, blueprint)), kept)
    return result, _defaults_under(lines, blueprint, default_priors)


# One line of the table ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    text: str
    comparisons: tuple[Comparison, ...]
    values: tuple[FloatArray, ...]  # left - right, (chain, draw)
    prior: tuple[FloatArray | None, ...]  # the same of prior draws, (n,)
    ratio: DensityRatio | None = None


def _lines_of(
    name: str,
    hypothesis: Hypothesis,
    rows: Mapping[str, Row],
    draws: Mapping[RowKey, FloatArray],
    prior: Mapping[RowKey, FloatArray] | None,
    weigh: Callable[[Comparison, Mapping[str, Row]], DensityRatio],
) -> list[_Line]:
    """One line per comparison; before those of several, one of all together."""
    each = []
    for i, comparison in enumerate(hypothesis.comparisons):
        own = name if len(hypothesis.comparisons) == 1 else f"{name}.{i + 1}"
        values = _difference(comparison, rows, draws, comparison.text)
        before, ratio = None, None
        if comparison.sign == "=":
            ratio = weigh(comparison, rows)
        else:
            before = _difference_of_prior(comparison, rows, prior)
        each.append(_Line(own, comparison.text, (comparison,), (values,), (before,), ratio))
    if len(each) == 1:
        return each
    values_of, prior_of = (line.values[0] for line in each), (line.prior[0] for line in each)
    whole = (hypothesis.comparisons, tuple(values_of), tuple(prior_of))
    return [_Line(name, hypothesis.text, *whole), *each]


def _check_equalities(hypothesis: Hypothesis) -> None:
    signs = [comparison.sign for comparison in hypothesis.comparisons]
    if "=" in signs and len(signs) > 1:
        raise NotSupportedError(
            f"hypothesis '{hypothesis.text}' joins an equality with other comparisons, for which "
            "there is no density at a single point; give each equality as a hypothesis of its own"
        )


def _prior_values(blueprint: Blueprint, rng: np.random.Generator) -> ByRow[FloatArray]:
    """Draws from the prior by row, (n,)."""
    n = _PRIOR_DRAWS_OF_MEANS if cluster_definitions(blueprint) else _PRIOR_DRAWS
    x = draw_prior(blueprint, n, rng)
    return row_values(blueprint, blueprint.theta(x), x)


def _side(
    expression: Expression, rows: Mapping[str, Row], draws: Mapping[RowKey, FloatArray]
) -> FloatArray:
    with np.errstate(all="ignore"):
        values = evaluate(expression, {n: draws[rows[n].key] for n in names(expression)})
    return np.asarray(values, dtype=np.float64)


def _difference(
    comparison: Comparison,
    rows: Mapping[str, Row],
    draws: Mapping[RowKey, FloatArray],
    text: str,
) -> FloatArray:
    shape = next(iter(draws.values())).shape
    values = _side(comparison.left, rows, draws) - _side(comparison.right, rows, draws)
    values = np.broadcast_to(values, shape)
    if wrong := int((~np.isfinite(values)).sum()):
        raise SpecificationError(
            f"'{text}' is no number in {wrong} of {values.size} draws (a logarithm or root of "
            "negative numbers, or a division by zero?)"
        )
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        raise SpecificationError(
            f"'{text}' compares constants: nothing in it varies over the draws"
        )
    return np.array(values)


def _difference_of_prior(
    comparison: Comparison,
    rows: Mapping[str, Row],
    prior: Mapping[RowKey, FloatArray] | None,
) -> FloatArray | None:
    if prior is None:
        return None
    values = _side(comparison.left, rows, prior) - _side(comparison.right, rows, prior)
    return np.asarray(values) if np.isfinite(values).all() else None


def _holds(sign: str, values: FloatArray) -> NDArray[np.bool_]:
    return np.asarray(values > 0 if sign == ">" else values < 0)


def _record(
    line: _Line, rope: tuple[float, float] | None, ci: float, ci_kind: IntervalKind
) -> dict[str, object]:
    found: dict[str, object] = {"name": line.name, "hypothesis": line.text}
    found |= dict.fromkeys([*ESTIMATE, "probability", "mcse", "evidence_ratio"], math.nan)
    found |= dict.fromkeys(["direction", "in_rope", "prior_probability", "bayes_factor"], math.nan)
    estimates = estimate_columns(np.stack(line.values, axis=-1), ci, ci_kind)
    notes: list[str] = []
    if len(line.values) == 1:
        values = line.values[0]
        found |= {name: float(estimates[name].iloc[0]) for name in ESTIMATE}
        found["direction"] = float(max((values > 0).mean(), (values < 0).mean()))
        if rope is not None:
            found["in_rope"] = float(((values > rope[0]) & (values < rope[1])).mean())
        if estimates["note"].iloc[0]:
            notes.append("skewed: report the median and the interval")
    if line.ratio is None:
        found |= _odds(line, estimates, notes)
    else:
        found["bayes_factor"] = line.ratio.bayes_factor
        if line.ratio.is_bound:
            notes.append("bayes_factor is an upper bound")
        elif line.ratio.error > _LARGE_ERROR:
            notes.append(f"bayes_factor has a Monte Carlo error of {line.ratio.error:.0%}")
    found["note"] = "; ".join(notes)
    return found


def _odds(line: _Line, estimates: pd.DataFrame, notes: list[str]) -> dict[str, object]:
    """Probability, its error, and odds after and before the data."""
    parts = zip(line.comparisons, line.values, strict=True)
    holds = np.logical_and.reduce([_holds(c.sign, v) for c, v in parts])
    p = float(holds.mean())
    found: dict[str, object] = {"probability": p, "evidence_ratio": _over(p, 1 - p)}
    if 0 < p < 1:
        found["mcse"] = _error_of_share(holds)
    else:
        ess = float(estimates[["ess_bulk", "ess_tail"]].to_numpy().min())
        n = min(ess, holds.size) if math.isfinite(ess) else holds.size
        if n > 6:
            side = f"above {1 - 3 / n:.4f}" if p else f"below {3 / n:.4f}"
            odds = f"above {n / 3 - 1:.0f}" if p else f"below {1 / (n / 3 - 1):.4f}"
            notes.append(f"all draws agree: probability {side}, evidence_ratio {odds}")
        else:
            notes.append("all draws agree, but there are too few of them to say more")
    before = [b for b in line.prior if b is not None]
    if len(before) == len(line.prior):
        pairs = zip(line.comparisons, before, strict=True)
        prior = float(np.logical_and.reduce([_holds(c.sign, b) for c, b in pairs]).mean())
        found["prior_probability"] = prior
        if 0 < prior < 1:
            found["bayes_factor"] = _over(p, 1 - p) * (1 - prior) / prior
        else:
            notes.append("the prior alone decides: there is no bayes_factor")
    return found


def _over(first: float, second: float) -> float:
    return first / second if second else math.inf


def _error_of_share(holds: NDArray[np.bool_]) -> float:
    import arviz_stats as azs

    data = xr.Dataset({"value": (("chain", "draw"), holds.astype(np.float64))})
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(azs.mcse(data, method="mean")["value"])


# Words -------------------------------------------------------------------------------------------


def _caption(
    lines: Sequence[_Line], ci: float, ci_kind: IntervalKind, rope: tuple[float, float] | None
) -> str:
    text = (
        f"Posterior mean, median, SD and {100 * ci:g}% {INTERVAL_NAMES[ci_kind]} of left - right. "
        "direction: the larger of the probabilities that it is positive and negative."
    )
    if rope is not None:
        text += f" in_rope: share of the posterior between {rope[0]:g} and {rope[1]:g}."
    if any(line.ratio is None for line in lines):
        text += (
            " probability: of the hypothesis, with its Monte Carlo error (mcse); evidence_ratio: "
            "probability / (1 - probability)."
        )
    return f"{text} bayes_factor: in favour of the hypothesis, against its opposite."


def _notes(lines: Sequence[_Line], blueprint: Blueprint) -> list[str]:
    n = next((len(b) for line in lines for b in line.prior if b is not None), 0)
    notes = [
        f"prior_probability is from {n:,} draws from the prior; bayes_factor is evidence_ratio "
        "over the prior odds."
    ]
    ratios = [(line, line.ratio) for line in lines if line.ratio is not None]
    return notes[: bool(n)] + [_evidence_in_words(*pair, blueprint) for pair in ratios]


def _defaults_under(
    lines: Sequence[_Line], blueprint: Blueprint, default_priors: Sequence[int]
) -> tuple[str, ...]:
    """Rows under equalities whose priors are defaults, with them."""
    used = [row for line in lines if line.ratio is not None for row in line.ratio.rows]
    two_level = blueprint.table.two_level
    found = (
        f"{row_name(row, two_level=two_level)} ({row.prior})"
        for row in used
        if row.free in default_priors
    )
    return tuple(dict.fromkeys(found))


def _evidence_in_words(line: _Line, ratio: DensityRatio, blueprint: Blueprint) -> str:
    two_level = blueprint.table.two_level
    rests = ", ".join(f"{row_name(r, two_level=two_level)}: {r.prior}" for r in ratio.rows)
    most = "at most " if ratio.is_bound else ""
    return (
        f"'{line.text}': bayes_factor by Savage-Dickey, the density of the posterior at equality "
        f"({most}{ratio.posterior:.3g}) over that of the prior ({ratio.prior:.3g}, from "
        f"{ratio.how}). It rests on the priors as no estimate does ({rests}): the wider they are, "
        "the more they favour equality, however many data there are. Set priors that say what is "
        "expected if the equality is wrong, and report it for several."
    )
