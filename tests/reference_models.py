"""Stored results of other programs (see tests/reference/README.md), loaded for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

Key = tuple[str, str, str, str]  # (level, lhs, op, rhs); an intercept is (level, y, "~", "1")

FOLDER = Path(__file__).parent / "reference"

SINGLE_LEVEL_NAMES = (
    "single-level/cfa",
    "single-level/cfa-equal-labels",
    "single-level/second-order",
    "single-level/mimic",
    "single-level/regression",
    "single-level/mediation",
    "single-level/political-democracy",
)
TWO_LEVEL_NAMES = (
    "two-level/unbalanced",
    "two-level/balanced",
    "two-level/within-only-outcome",
    "two-level/cluster-level-outcome",
    "two-level/cluster-level-mediator",
    "two-level/regression",
    "two-level/path",
    "two-level/split-covariates",
    "two-level/equal-loadings",
    "two-level/mediation-2-1-1",
    "two-level/mediation-1-1-2",
    "two-level/mediation-2-1-2",
    "two-level/mediation-1-2-1",
    "two-level/cluster-level-indicator",
    "demo-twolevel",
    "lq2002-two-factor",
    "hsb/random-intercept",
)
REFERENCE_NAMES = SINGLE_LEVEL_NAMES + TWO_LEVEL_NAMES
MISSING_NAMES = (
    "missing/mcar",
    "missing/dropout",
    "missing/whole-clusters",
    "missing/covariates",
    "missing/cluster-level-outcome",
    "missing/cluster-level-outcome-complete",
    "missing/path",
    "missing/single-level",
)
RANDOM_SLOPE_NAMES = ("hsb/random-slope", "hsb/slopes-as-outcomes")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model text, its data, and the maximum-likelihood results of another program.

    ``estimates`` has every parameter, fixed ones too (``se`` 0), but no moments of covariates.
    Rows of ``free`` were estimated; equal ``labels`` are equal parameters. ``se`` is NaN where the
    program reports none. ``random`` names random slopes: {("within", y, "~", x): name}. ``defined``
    and ``defined_se`` hold := parameters by name.
    """

    name: str
    title: str
    frame: pd.DataFrame
    model_text: str
    cluster: str | None
    estimates: dict[Key, float]
    se: dict[Key, float]
    labels: dict[Key, str]
    free: frozenset[Key]
    random: dict[Key, str]
    defined: dict[str, float]
    defined_se: dict[str, float]
    log_likelihood: float
    npar: int


def load_reference(name: str) -> Reference:
    """Load one of REFERENCE_NAMES, MISSING_NAMES or RANDOM_SLOPE_NAMES."""
    folder = FOLDER / name
    stored = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    frame = pd.read_csv((folder / stored["data"]).resolve())
    rows = [row for row in stored["estimates"] if row["op"] != ":="]
    defined = [row for row in stored["estimates"] if row["op"] == ":="]
    return Reference(
        name=name,
        title=stored["title"],
        frame=frame,
        model_text=(folder / "model.txt").read_text(encoding="utf-8"),
        cluster=stored["cluster"],
        estimates={key_of(row): row["est"] for row in rows},
        se={key_of(row): number(row["se"]) for row in rows},
        labels={key_of(row): row["label"] for row in rows if row["label"]},
        free=frozenset(key_of(row) for row in rows if row["free"]),
        random={key_of(row): row["name"] for row in stored.get("random", [])},
        defined={row["lhs"]: row["est"] for row in defined},
        defined_se={row["lhs"]: number(row["se"]) for row in defined},
        log_likelihood=stored["log_likelihood"],
        npar=stored["npar"],
    )


def key_of(row: dict[str, str]) -> Key:
    """Return the coordinate of a stored row."""
    return (row["level"], row["lhs"], row["op"], row["rhs"])


def number(value: float | None) -> float:
    """Turn the null of JSON into NaN."""
    return float("nan") if value is None else float(value)
