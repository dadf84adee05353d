"""One model with coded predictors, and the same with columns that a user would make."""

from __future__ import annotations

import numpy as np
import pandas as pd

J, N = 30, 240
TEXT = """
level: within
    y ~ bx*x + g + h + x:g + bw*x:w + z + x:z
level: between
    y ~ w + sector + w:sector
at_1 := bx + bw
"""
BY_HAND = """
level: within
    y ~ bx*x + g_mid + g_top + h_u + x_mid + x_top + bw*x_w + z + x_z
level: between
    y ~ w + s_p + w_s
at_1 := bx + bw
"""


def make_data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    school = np.repeat(np.arange(J), N // J)
    data = pd.DataFrame({"school": school, "x": rng.normal(size=N), "z": rng.normal(size=N)})
    data["g"] = rng.choice(["low", "mid", "top"], size=N)
    data["h"] = pd.Categorical(rng.choice(["u", "v"], size=N), categories=["v", "u"])
    data["w"] = rng.normal(size=J)[school]
    data["sector"] = np.where(rng.random(J) > 0.5, "public", "private")[school]
    data["y"] = 1 + data.x * (0.5 + 0.3 * data.w) + 0.4 * (data.g == "top") + rng.normal(size=N)
    data["y"] += 0.5 * rng.normal(size=J)[school]
    return data


def by_hand(data: pd.DataFrame) -> pd.DataFrame:
    """The columns as a user would make them."""
    made = data.copy()
    made["g_mid"], made["g_top"] = (1.0 * (data.g == c) for c in ("mid", "top"))
    made["h_u"], made["s_p"] = 1.0 * (data.h == "u"), 1.0 * (data.sector == "public")
    made["x_mid"], made["x_top"] = data.x * made.g_mid, data.x * made.g_top
    made["x_w"], made["x_z"], made["w_s"] = data.x * data.w, data.x * data.z, data.w * made.s_p
    return made
