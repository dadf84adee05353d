"""Did the sampler converge, how badly not, and what to do about it.

Grades. "fine": no divergent transition, R-hat at most 1.01 and a bulk and tail effective sample
size of at least 100 per chain in all parameters (Vehtari et al. 2021). "sample longer": a miss
that more draws, smaller steps or more chains mend: R-hat up to 1.05, effective sample sizes of at
least a quarter of what is asked for, divergences in at most 1% of the draws, or a single chain,
which cannot tell whether others agree with it. "do not use": anything worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_msem.blueprint.blueprint import Blueprint
from bayes_msem.inference.coordinates import COORDINATES
from bayes_msem.posterior.convergence import (
    R_HAT_LIMIT,
    Convergence,
    Grade,
    RowDiagnostics,
    told_apart,
)
from bayes_msem.posterior.draws import sampled_parameters
from bayes_msem.posterior.found_modes import FoundModes, with_shares
from bayes_msem.posterior.names import row_name
from bayes_msem.posterior.summary import diagnostics
from bayes_msem.wording import plural

__all__ = ["LEAST_DRAWS", "check_convergence", "convergence_of"]

FloatArray = NDArray[np.float64]

ESS_PER_CHAIN = 100
LEAST_DRAWS = 4  # per chain, for R-hat and effective sample sizes
_SHORT = 100  # draws per chain below which the first thing to do is to draw more
_BAD_R_HAT, _BAD_ESS, _BAD_DIVERGENCES = 1.05, 0.25, 0.01
_MOST = 5  # rows named in a sentence
_STEP, _LONGEST, _RESERVE = 500, 10.0, 1.2  # of draws in advice: rounding, most times as many
_ORDER: tuple[Grade, ...] = ("fine", "sample longer", "do not use")


@dataclass(frozen=True, slots=True)
class _Chains:
    """What is judged: numbers of the run, and diagnostics (parameter,)."""

    chains: int
    draws: int
    divergences: int
    still: tuple[int, ...]  # chains that never moved, from 1
    names: Sequence[str]
    r_hat: FloatArray
    bulk: FloatArray
    tail: FloatArray

    @property
    def ess(self) -> FloatArray:
        return np.minimum(self.bulk, self.tail)

    @property
    def needed(self) -> int:
        return ESS_PER_CHAIN * self.chains

    @property
    def enough_draws(self) -> bool:
        return self.draws >= LEAST_DRAWS

    @property
    def unmixed(self) -> NDArray[np.bool_]:
        """Parameters whose R-hat is too large, or has no value although it should."""
        return ~(self.r_hat <= R_HAT_LIMIT) & (self.chains > 1) & self.enough_draws

    @property
    def slow(self) -> NDArray[np.bool_]:
        """Parameters with too small an effective sample size."""
        return ~(self.ess >= self.needed) & self.enough_draws


def check_convergence(
    x: FloatArray,
    sample_stats: xr.Dataset,
    names: Sequence[str] | None = None,
    *,
    notes: Sequence[str] = (),
    modes: FoundModes | None = None,
) -> Convergence:
    """Judge draws.

    Parameters
    ----------
    x
        Draws of all sampled parameters, (chain, draw, parameter).
    sample_stats
        With ``diverging``, if the sampler told.
    names
        What the parameters are called; None: by number.
    notes
        What else is known about these chains.
    modes
        Modes found before sampling.
    """
    n_chains, n_draws, n = x.shape
    moved = (np.ptp(x, axis=1) > 0).any(axis=1)
    bulk, tail, r_hat = diagnostics(x).T if n_draws >= LEAST_DRAWS else np.full((3, n), np.nan)
    found = _Chains(
        chains=n_chains,
        draws=n_draws,
        divergences=int(sample_stats["diverging"].sum()) if "diverging" in sample_stats else 0,
        still=tuple(int(c) + 1 for c in np.flatnonzero(~moved)) if n_draws > 1 else (),
        names=[f"parameter {i + 1}" for i in range(n)] if names is None else names,
        r_hat=r_hat,
        bulk=bulk,
        tail=tail,
    )
    faults = [f for judge in _JUDGES if (f := judge(found)) is not None]
    grade = _ORDER[max((_ORDER.index(grade) for grade, _ in faults), default=0)]
    return Convergence(
        divergences=found.divergences,
        max_r_hat=_known(r_hat, max),
        min_ess=_known(found.ess, min),
        problems=tuple(text for _, text in faults),
        grade=grade,
        rows=_rows(found),
        advice=_advice(found, grade) if faults else "",
        notes=tuple(notes),
        modes=modes and with_shares(modes, x),
    )


def convergence_of(
    blueprint: Blueprint,
    posterior: xr.Dataset,
    sample_stats: xr.Dataset,
    *,
    notes: Sequence[str] = (),
    modes: FoundModes | None = None,
) -> Convergence:
    """Judge the draws of all parameters and sampled effects of a model.

    Parameters
    ----------
    blueprint, posterior
        The model and its draws.
    sample_stats
        What the sampler tells of them.
    notes
        What else is known about these chains.
    modes
        Modes found before sampling.
    """
    x = sampled_parameters(blueprint, posterior)
    two_level = blueprint.table.two_level
    names = [row_name(row, two_level=two_level) for row in blueprint.parameters.rows]
    if COORDINATES in posterior:
        t = posterior[COORDINATES].transpose("chain", "draw", "cluster_id", "sampled_effect")
        x = np.concatenate([x, t.to_numpy().reshape(*x.shape[:2], -1)], axis=-1)
        clusters, effects = t["cluster_id"].to_numpy(), t["sampled_effect"].to_numpy()
        names += [
            f"effect {effect} of cluster {cluster}" for cluster in clusters for effect in effects
        ]
    return check_convergence(x, sample_stats, names, notes=notes, modes=modes)


def _known(values: FloatArray, extreme: Callable[[Iterable[float]], float]) -> float:
    """Largest or smallest of the values there are; NaN if there are none."""
    there = values[~np.isnan(values)]
    return float(extreme(there.tolist())) if len(there) else math.nan


_Fault = tuple[Grade, str]


def _divergent(found: _Chains) -> _Fault | None:
    if not found.divergences:
        return None
    total = found.chains * found.draws
    grade: Grade = (
        "sample longer" if found.divergences <= _BAD_DIVERGENCES * total else "do not use"
    )
    count = plural(found.divergences, "divergent transition")
    return grade, f"{count} in {plural(total, 'draw')}: estimates may be biased."


def _too_few(found: _Chains) -> _Fault | None:
    if found.enough_draws:
        return None
    draws = f"{found.draws} draws per chain are" if found.draws != 1 else "1 draw per chain is"
    return "do not use", (
        f"{draws} too few for R-hat and effective sample sizes, which need {LEAST_DRAWS}."
    )


def _alone(found: _Chains) -> _Fault | None:
    if found.chains > 1:
        return None
    return "sample longer", (
        "One chain cannot tell whether it has found the whole posterior: R-hat compares chains."
    )


def _motionless(found: _Chains) -> _Fault | None:
    if not found.still:
        return None
    which = ", ".join(map(str, found.still))
    word = "Chain" if len(found.still) == 1 else "Chains"
    return "do not use", f"{word} {which} never moved: all draws are the same."


def _mixing(found: _Chains) -> _Fault | None:
    if not found.unmixed.any():
        return None
    worst = found.r_hat[found.unmixed]
    grade: Grade = "sample longer" if (worst <= _BAD_R_HAT).all() else "do not use"
    values = [told_apart(v, R_HAT_LIMIT, 3) for v in found.r_hat]
    listed = _listed(found, found.unmixed, -found.r_hat, values)
    return grade, f"R-hat is above {R_HAT_LIMIT} for {listed}."


def _speed(found: _Chains) -> _Fault | None:
    if not found.slow.any():
        return None
    least = found.ess[found.slow]
    grade: Grade = "sample longer" if (least >= _BAD_ESS * found.needed).all() else "do not use"
    values = [told_apart(v, found.needed, 0) for v in found.ess]
    listed = _listed(found, found.slow, found.ess, values)
    return grade, f"The effective sample size is below {found.needed} for {listed}."


_JUDGES = (_divergent, _too_few, _alone, _motionless, _mixing, _speed)


def _listed(
    found: _Chains, chosen: NDArray[np.bool_], badness: FloatArray, values: Sequence[str]
) -> str:
    """How many parameters are chosen, and the worst of them (smallest ``badness``) by name."""
    order = [int(i) for i in np.argsort(np.nan_to_num(badness, nan=-np.inf), kind="stable")]
    worst = [i for i in order if chosen[i]]
    named = "; ".join(f"{found.names[i]} ({values[i]})" for i in worst[:_MOST])
    more = f" and {len(worst) - _MOST} more" if len(worst) > _MOST else ""
    return f"{len(worst)} of {plural(len(found.names), 'parameter')}: {named}{more}"


def _rows(found: _Chains) -> tuple[RowDiagnostics, ...]:
    """Parameters with a problem: largest R-hat first, then smallest effective sample size."""
    r_hat, ess = np.nan_to_num(found.r_hat, nan=np.inf), np.nan_to_num(found.ess, nan=0.0)
    bad = found.unmixed | found.slow
    return tuple(
        RowDiagnostics(
            found.names[i], float(found.r_hat[i]), float(found.bulk[i]), float(found.tail[i])
        )
        for i in np.lexsort((ess, -r_hat))
        if bad[i]
    )


def _advice(found: _Chains, grade: Grade) -> str:
    """One remedy for all problems together."""
    options = ", ".join(f"{name}={value:g}" for name, value in _options(found).items())
    text = f"Sample again: model.fit({options})."
    if grade == "do not use":
        text = f"Do not use these estimates. {text}"
    if found.divergences or (grade == "do not use" and found.draws >= _SHORT):
        text += (
            " If that does not help, the usual cause is a variance near zero or a model that the "
            "data do not identify: look at the rows with the largest R-hat and the smallest "
            "effective sample size (fit.plot_trace()), and give them stronger priors or fix them."
        )
    return text


def _options(found: _Chains) -> dict[str, float]:
    """Arguments of ``Model.fit`` that may mend the problems."""
    options: dict[str, float] = {}
    short = found.draws < _SHORT
    times = 2.0 if found.unmixed.any() else 1.0
    if found.slow.any():
        least = _known(found.ess, min)
        times = max(times, _RESERVE * found.needed / least if least > 0 else _LONGEST)
    if found.unmixed.any() or found.still or short:
        options["tune"] = 1000 if short else 2000
    if short:
        options["draws"] = 1000
    elif times > 1.0:
        options["draws"] = math.ceil(found.draws * min(times, _LONGEST) / _STEP) * _STEP
    if found.chains == 1:
        options["chains"] = 4
    if found.divergences:
        options["target_accept"] = 0.95
    return options
