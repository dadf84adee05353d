"""A calibration without fits: ranks are random numbers, uniform unless a bias is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_msem.studies.replications import complete
from bayes_msem.studies.sbc_replication import CALIBRATION
from bayes_msem.studies.sbc_result import SbcResult
from bayes_msem.studies.study_file import frame_of_lines

QUANTITIES = ("b", "within: y ~~ y", "twice", "log_likelihood")


def made_up_calibration(
    *, done: int = 100, failed: int = 2, power: float = 1.0, seed: int = 1
) -> SbcResult:
    """Ranks of "b" are those of u**power, u uniform; replications fail first."""
    rng = np.random.default_rng(seed)
    lines: list[dict[str, Any]] = []
    for number in range(failed + done):
        about = {"replication": number, "seconds": 0.3}
        if number < failed:
            lines.append(about | {"failure": "ArithmeticError: no luck"})
            continue
        about |= {
            "max_r_hat": 1.0 + 0.02 * (number % 4 == 0),
            "divergences": float(number % 5 == 0),
        }
        u = rng.random(len(QUANTITIES))
        u[0] **= power
        u[2] = u[0]
        for name, share in zip(QUANTITIES, u, strict=True):
            own = {"quantity": name, "true": 0.0, "draws": 99.0, "ess": 500.0}
            lines.append(about | own | {"rank": float(int(100 * share))})
    frame = frame_of_lines((complete(x, CALIBRATION.columns) for x in lines), CALIBRATION)
    return SbcResult(frame, {"quantities": list(QUANTITIES), "random_seed": 1})
