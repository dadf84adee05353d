r"""Simulate the data set ``wellbeing``: employees in teams, with missing values at both levels.

Employee i in team j, with indicators y = (energy, focus, calm, joy, trust, ease):

    y_ij         = nu + lambda_b climate_j + eps_b_j + lambda_w person_ij + eps_w_ij
    person_ij    = -0.4 workload_ij + zeta_w
    climate_j    = 0.4 coaching_j + zeta_b
    turnover_j   = 15 - 4 climate_j + zeta_t

As a model:

    level: within
        person =~ energy + focus + calm + joy + trust + ease
        person ~ workload
    level: between
        climate =~ energy + focus + calm + joy + trust + ease
        climate ~ coaching
        turnover ~ climate

Values are missing at random: everyone answered the first item, ``energy``. Of the others, 7 per
cent were skipped at random; those with little energy were likelier to stop before the last three
items. Two teams were never asked about ``ease``, and ``turnover`` was not reported by a tenth of
the teams, more often where ``coaching`` is 0.

``TRUE_VALUES`` holds every parameter of the model. Run this file to write the compressed CSV again:

    python bayes_msem/datasets/simulate_wellbeing.py
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_msem.datasets.simulate_school_climate import write_csv_gz

__all__ = ["SEED", "TRUE_VALUES", "simulate_wellbeing"]

SEED = 20251107
N_TEAMS = 60
INDICATORS = ("energy", "focus", "calm", "joy", "trust", "ease")

_INTERCEPTS = (4.8, 5.0, 4.4, 4.6, 5.2, 4.5)
_LOADINGS_W = (1.0, 0.9, 1.1, 1.0, 0.8, 0.9)
_LOADINGS_B = (1.0, 0.8, 1.1, 0.9, 1.2, 1.0)
_RESIDUAL_VARIANCES_W = (0.5, 0.6, 0.6, 0.5, 0.7, 0.6)
_RESIDUAL_VARIANCES_B = (0.06, 0.08, 0.05, 0.06, 0.1, 0.08)

# The keys of parameter tables: (level, lhs, op, rhs); `x ~~ x` is a variance.
TRUE_VALUES: dict[tuple[str, str, str, str], float] = {
    **{("within", "person", "=~", y): v for y, v in zip(INDICATORS, _LOADINGS_W, strict=True)},
    ("within", "person", "~", "workload"): -0.4,
    ("within", "person", "~~", "person"): 0.6,
    **{("within", y, "~~", y): v for y, v in zip(INDICATORS, _RESIDUAL_VARIANCES_W, strict=True)},
    **{("between", "climate", "=~", y): v for y, v in zip(INDICATORS, _LOADINGS_B, strict=True)},
    ("between", "climate", "~", "coaching"): 0.4,
    ("between", "turnover", "~", "climate"): -4.0,
    ("between", "climate", "~~", "climate"): 0.25,
    ("between", "turnover", "~~", "turnover"): 4.0,
    **{("between", y, "~~", y): v for y, v in zip(INDICATORS, _RESIDUAL_VARIANCES_B, strict=True)},
    **{("between", y, "~", "1"): v for y, v in zip(INDICATORS, _INTERCEPTS, strict=True)},
    ("between", "turnover", "~", "1"): 15.0,
}


def simulate_wellbeing(
    seed: int = SEED, n_teams: int = N_TEAMS, *, complete: bool = False
) -> pd.DataFrame:
    """Simulate the data set.

    Parameters
    ----------
    seed
        Seed of the random numbers; the default gives the shipped data.
    n_teams
        Number of teams; sizes are uniform between 4 and 14, and the first has one employee.
    complete
        Return the same data before values go missing.

    Returns
    -------
    pandas.DataFrame
        One row per employee, rounded to three decimals; missing values are NaN.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(4, 15, size=n_teams)
    sizes[0] = 1
    team = np.repeat(np.arange(n_teams), sizes)

    coaching = (rng.random(n_teams) < 0.5).astype(np.int64)
    climate = _value("between", "climate", "~", "coaching") * coaching
    climate = climate + _noise(rng, "between", "climate", n_teams)
    turnover = _value("between", "turnover", "~", "1") + _noise(rng, "between", "turnover", n_teams)
    turnover = turnover + _value("between", "turnover", "~", "climate") * climate

    workload = rng.standard_normal(len(team))
    person = _value("within", "person", "~", "workload") * workload
    person = person + _noise(rng, "within", "person", len(team))

    columns: dict[str, object] = {"team": [f"T{j + 1:02d}" for j in team]}
    for name in INDICATORS:
        between = _value("between", "climate", "=~", name) * climate
        between += _value("between", name, "~", "1") + _noise(rng, "between", name, n_teams)
        within = _value("within", "person", "=~", name) * person
        columns[name] = between[team] + within + _noise(rng, "within", name, len(team))
    columns |= {"workload": workload, "coaching": coaching[team], "turnover": turnover[team]}
    frame = pd.DataFrame(columns).round(3)
    return frame if complete else _remove(frame, team, rng)


def _remove(frame: pd.DataFrame, team: NDArray[np.int64], rng: np.random.Generator) -> pd.DataFrame:
    """Set values to NaN; what is missing depends on energy and coaching, which nobody lacks."""
    frame = frame.copy()
    for name in INDICATORS[1:]:
        frame.loc[rng.random(len(frame)) < 0.07, name] = np.nan
    stops = 1 / (1 + np.exp(1.8 + 1.5 * (frame["energy"].to_numpy() - 4.8)))
    frame.loc[rng.random(len(frame)) < stops, list(INDICATORS[3:])] = np.nan
    frame.loc[np.isin(team, [10, 20]), "ease"] = np.nan
    coaching = frame.groupby(team)["coaching"].first().to_numpy()
    unreported = rng.random(len(coaching)) < np.where(coaching == 1, 0.1, 0.3)
    frame.loc[unreported[team], "turnover"] = np.nan
    return frame


def _value(*key: str) -> float:
    level, lhs, op, rhs = key
    return TRUE_VALUES[level, lhs, op, rhs]


def _noise(rng: np.random.Generator, level: str, name: str, size: int) -> NDArray[np.float64]:
    """Draw residuals of a variable with their true variance."""
    return math.sqrt(_value(level, name, "~~", name)) * rng.standard_normal(size)


if __name__ == "__main__":
    write_csv_gz(simulate_wellbeing(), Path(__file__).with_name("wellbeing.csv.gz"))
