"""Simulate the data of the references: nine items of three factors, and six items at two levels."""

from pathlib import Path

import numpy as np
import pandas as pd

PLACE = Path(__file__).parent


def single_level(rng: np.random.Generator) -> pd.DataFrame:
    loadings = np.zeros((9, 3))
    loadings[[0, 1, 2], 0] = 0.8, 0.7, 0.75
    loadings[[3, 4, 5], 1] = 0.8, 0.7, 0.65
    loadings[[6, 7, 8], 2] = 0.7, 0.8, 0.6
    loadings[[0, 4, 7], [1, 2, 0]] = 0.25, 0.2, 0.3  # cross-loadings
    correlation = np.array([[1, 0.3, 0.2], [0.3, 1, 0.4], [0.2, 0.4, 1]])
    x = rng.standard_normal(300).round(4)
    factors = rng.standard_normal((300, 3)) @ np.linalg.cholesky(correlation).T
    factors += x[:, None] * np.array([0.5, 0.0, -0.3])
    unit = np.array([1, 2, 1, 0.5, 1, 1, 1, 3, 1])  # items in different units
    items = (factors @ loadings.T + 0.6 * rng.standard_normal((300, 9))) * unit
    z = factors @ np.array([0.4, 0.0, 0.3]) + rng.standard_normal(300)
    frame = pd.DataFrame(items, columns=[f"y{i}" for i in range(1, 10)])
    return frame.assign(x=x, z=z).round(4)


def two_level(rng: np.random.Generator) -> pd.DataFrame:
    within = np.array([[0.8, 0.1], [0.7, 0], [0.75, 0], [0, 0.8], [0.2, 0.7], [0, 0.65]])
    between = np.array([[0.6, 0], [0.5, 0.1], [0.5, 0], [0, 0.6], [0, 0.5], [0.2, 0.4]])
    school = np.repeat(np.arange(1, 101), 6)
    correlation = np.linalg.cholesky([[1, 0.4], [0.4, 1]]).T
    level_2 = rng.standard_normal((100, 2)) @ correlation @ between.T
    level_2 += 0.3 * rng.standard_normal((100, 6))
    level_1 = rng.standard_normal((600, 2)) @ correlation @ within.T
    level_1 += 0.6 * rng.standard_normal((600, 6))
    frame = pd.DataFrame(level_2[school - 1] + level_1, columns=[f"y{i}" for i in range(1, 7)])
    return frame.round(4).assign(school=school)


if __name__ == "__main__":
    rng = np.random.default_rng(20261130)
    single_level(rng).to_csv(PLACE / "items.csv", index=False)
    two_level(rng).to_csv(PLACE / "items_in_schools.csv", index=False)
