r"""Simulate the data set ``team_performance``: a 1-1-2 mediation with an outcome of whole teams.

Member i of team j reports autonomy and engagement; performance is a rating of the team:

    autonomy_ij    = 4 + A_j + a_ij
    engagement_ij  = 5 + E_j + 0.3 a_ij + e_ij
    E_j            = 0.6 A_j + zeta_e
    performance_j  = 50 + 8 E_j + 2 A_j + zeta_p

A team-level outcome can only be predicted by what differs between teams, so the indirect effect is
0.6 * 8 = 4.8. As a model:

    level: within
        engagement ~ autonomy
        autonomy ~~ autonomy
    level: between
        engagement ~ a*autonomy
        performance ~ b*engagement + autonomy
        autonomy ~~ autonomy
    indirect := a*b

``TRUE_VALUES`` holds every parameter of it. Run this file to write the compressed CSV again:

    python bayes_msem/datasets/simulate_team_performance.py
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_msem.datasets.simulate_school_climate import write_csv_gz

__all__ = ["SEED", "TRUE_VALUES", "simulate_team_performance"]

SEED = 20251112
N_TEAMS = 90

# The keys of parameter tables: (level, lhs, op, rhs); `x ~~ x` is a variance.
TRUE_VALUES: dict[tuple[str, str, str, str], float] = {
    ("within", "engagement", "~", "autonomy"): 0.3,
    ("within", "autonomy", "~~", "autonomy"): 1.0,
    ("within", "engagement", "~~", "engagement"): 0.8,
    ("between", "engagement", "~", "autonomy"): 0.6,
    ("between", "performance", "~", "engagement"): 8.0,
    ("between", "performance", "~", "autonomy"): 2.0,
    ("between", "autonomy", "~~", "autonomy"): 0.4,
    ("between", "engagement", "~~", "engagement"): 0.25,
    ("between", "performance", "~~", "performance"): 16.0,
    ("between", "autonomy", "~", "1"): 4.0,
    # intercepts: means minus slopes times means of predictors
    ("between", "engagement", "~", "1"): 5.0 - 0.6 * 4.0,
    ("between", "performance", "~", "1"): 50.0 - 8.0 * 5.0 - 2.0 * 4.0,
}


def simulate_team_performance(seed: int = SEED, n_teams: int = N_TEAMS) -> pd.DataFrame:
    """Simulate the data set.

    Parameters
    ----------
    seed
        Seed of the random numbers; the default gives the shipped data.
    n_teams
        Number of teams; sizes are uniform between 3 and 12.

    Returns
    -------
    pandas.DataFrame
        One row per member, rounded to three decimals.
    """
    rng = np.random.default_rng(seed)
    team = np.repeat(np.arange(n_teams), rng.integers(3, 13, size=n_teams))

    def noise(level: str, name: str, size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return math.sqrt(TRUE_VALUES[level, name, "~~", name]) * rng.standard_normal(size)

    def value(level: str, outcome: str, predictor: str) -> float:
        return TRUE_VALUES[level, outcome, "~", predictor]

    autonomy_b = value("between", "autonomy", "1") + noise("between", "autonomy", n_teams)
    engagement_b = value("between", "engagement", "1") + noise("between", "engagement", n_teams)
    engagement_b = engagement_b + value("between", "engagement", "autonomy") * autonomy_b
    performance = value("between", "performance", "1") + noise("between", "performance", n_teams)
    performance = performance + value("between", "performance", "engagement") * engagement_b
    performance = performance + value("between", "performance", "autonomy") * autonomy_b

    autonomy_w = noise("within", "autonomy", len(team))
    engagement_w = value("within", "engagement", "autonomy") * autonomy_w
    engagement_w = engagement_w + noise("within", "engagement", len(team))
    columns = {
        "team": [f"T{j + 1:02d}" for j in team],
        "autonomy": autonomy_b[team] + autonomy_w,
        "engagement": engagement_b[team] + engagement_w,
        "performance": performance[team],
    }
    return pd.DataFrame(columns).round(3)


if __name__ == "__main__":
    write_csv_gz(simulate_team_performance(), Path(__file__).with_name("team_performance.csv.gz"))
