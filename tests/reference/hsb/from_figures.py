"""Write the reference.json of each hsb model from lme4's figures; run in this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DATA = "../../../../bayes_msem/datasets/hsb.csv.gz"
SLOPE = {"level": "within", "lhs": "mach", "op": "~", "rhs": "cses", "name": "slope"}

# model -> (fit in figures.json, has a random slope)
MODELS = {
    "random-intercept": ("lme4_ml_random_intercept", False),
    "random-slope": ("lme4_ml_no_level2", True),
    "slopes-as-outcomes": ("lme4_ml", True),
}
FIXED = {
    "(Intercept)": ("between", "mach", "~", "1"),
    "meanses": ("between", "mach", "~", "meanses"),
    "sector": ("between", "mach", "~", "sector"),
    "meanses:cses": ("between", "slope", "~", "meanses"),
    "cses:sector": ("between", "slope", "~", "sector"),
}
RANDOM = {
    ("(Intercept)", None): ("between", "mach", "~~", "mach"),
    ("cses", None): ("between", "slope", "~~", "slope"),
    ("(Intercept)", "cses"): ("between", "mach", "~~", "slope"),
    (None, None): ("within", "mach", "~~", "mach"),
}


def row(key: tuple[str, ...], est: float, se: float | None) -> dict[str, Any]:
    """One parameter in the format of the other references."""
    names = dict(zip(("level", "lhs", "op", "rhs"), key, strict=True))
    return {**names, "label": "", "free": True, "est": est, "se": se}


def estimates(fit: dict[str, Any], has_slope: bool) -> list[dict[str, Any]]:
    """Translate lme4's fixed effects and variance components."""
    slope_mean = ("between", "slope", "~", "1") if has_slope else ("within", "mach", "~", "cses")
    fixed = {**FIXED, "cses": slope_mean}
    rows = [row(fixed[term["term"]], term["est"], term["se"]) for term in fit["fixed"]]
    # lme4 reports no standard errors of variance components
    return rows + [row(RANDOM[r["var1"], r["var2"]], r["vcov"], None) for r in fit["random"]]


def main() -> None:
    """Write every model."""
    fits = json.loads(Path("figures.json").read_text(encoding="utf-8"))["fits"]
    for folder, (name, has_slope) in MODELS.items():
        fit = fits[name]
        rows = estimates(fit, has_slope)
        reference = {
            "title": fit["title"],
            "software": "lme4",
            "lme4_version": fit["version"],
            "estimator": "ML",
            "formula": fit["formula"],
            "data": DATA,
            "cluster": "school",
            "n_obs": fit["n_obs"],
            "converged": True,
            "npar": len(rows),
            "log_likelihood": fit["logLik"],
            "random": [SLOPE] if has_slope else [],
            "estimates": rows,
        }
        text = json.dumps(reference, indent=2) + "\n"
        Path(folder, "reference.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
