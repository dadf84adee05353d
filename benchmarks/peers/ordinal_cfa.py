"""Minimum bulk ESS per CPU second of Stan on the two-level ordinal factor model.

`python benchmarks/peers/ordinal_cfa.py [OUT.json]`, in an environment of its own with
`pystan numpy pandas arviz-stats` (the package needs none of this; a C++ compiler is needed).
Two programs with the same posterior: `ordinal_cfa.stan` with the built-in `ordered_probit`, and
`tests/reference/outcomes/posterior/cfa.stan`, whose likelihood is written for speed.
CPU seconds are those of warmup and sampling, without compilation.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
REFERENCE = HERE.parents[1] / "tests" / "reference" / "outcomes" / "posterior"
sys.path.insert(0, str(REFERENCE))
from make import FACTOR, stan_data  # noqa: E402
from run_stan import sample, summarise  # noqa: E402

CHAINS, WARMUP, DRAWS, SEED = 2, 1_000, 1_000, 7


def main() -> None:
    """Time both programs and print or store what came out."""
    results = {"program": f"Stan by httpstan {version('httpstan')}"}
    results["run"] = {"chains": CHAINS, "warmup": WARMUP, "draws": DRAWS, "seed": SEED}
    for program in (HERE / "ordinal_cfa.stan", REFERENCE / "cfa.stan"):
        draws, cost = sample(
            program,
            stan_data("cfa"),
            FACTOR,
            SEED,
            num_chains=CHAINS,
            num_warmup=WARMUP,
            num_samples=DRAWS,
        )
        ess = {name: row["ess_bulk"] for name, row in summarise(draws).items()}
        worst = min(ess, key=ess.__getitem__)
        results[program.name] = cost | {
            "worst_parameter": worst,
            "min_ess_bulk": ess[worst],
            "min_ess_per_cpu_second": ess[worst] / cost["cpu_seconds"],
            "min_ess_per_1000_steps_after_warmup": 1_000 * ess[worst] / cost["leapfrog_steps"],
        }
        print(program.name, results[program.name])
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
