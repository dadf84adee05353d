"""A study without fits: estimates are normal around the truth; their error shrinks with J."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayes_msem.spec.table import RowKey
from bayes_msem.studies.study_design import Cell, Target
from bayes_msem.studies.study_file import frame_of_lines
from bayes_msem.studies.study_result import StudyResult

CELLS = tuple(Cell(clusters, size) for clusters in (10, 20, 40) for size in (5, 10))
TARGETS = (
    Target("b", RowKey("within", "y", "~", "x"), 0.3, True),
    Target("between: y ~ w", RowKey("between", "y", "~", "w"), 0.0, True),
    Target("within: y ~~ y", RowKey("within", "y", "~~", "y"), 1.0, False),
)


def made_up_lines(
    *, replications: int = 40, ml: bool = False, seed: int = 1
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    lines = []
    for cell in CELLS:
        for number in range(replications):
            for method in ("Bayes", "ML") if ml else ("Bayes",):
                r_hat, divergences = rng.uniform(1.0, 1.012), float(rng.random() < 0.1)
                seconds = rng.uniform(0.2, 0.4)
                for target in TARGETS:
                    sd = 1.2 / np.sqrt(cell.clusters * cell.size) * rng.uniform(0.8, 1.2)
                    estimate = target.true + sd * rng.normal() + 0.02
                    line = {"clusters": cell.clusters, "size": cell.size, "replication": number}
                    line |= {"method": method, "target": target.name, "estimate": estimate}
                    line |= {"sd": sd, "lower": estimate - 2 * sd, "upper": estimate + 2 * sd}
                    bayes = method == "Bayes"
                    line |= {"seconds": seconds, "max_r_hat": r_hat if bayes else np.nan}
                    line |= {"divergences": divergences if bayes else np.nan, "failure": ""}
                    lines.append(line)
    return lines


def made_up_study(*, ml: bool = False) -> StudyResult:
    design = {"ci": 0.95, "ci_kind": "eti", "ml": ml, "random_seed": 1}
    frame = frame_of_lines(made_up_lines(ml=ml))
    return StudyResult(frame, design, CELLS, TARGETS, {"b": (-0.1, 0.5)})
