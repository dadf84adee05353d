"""Which nutpie options sample best? Not part of ``make bench``.

Minimum bulk ESS over all parameters per CPU second of sampling, median over seeds, for the
reference model, lq2002 (two factors a level) and Bollen's democracy data (one level), 4 chains.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from measure import machine, print_table, sample
from models import compiled_for_sampling, democracy_model, lq2002_model, reference_model

MODELS = {"reference": reference_model, "lq2002": lq2002_model, "democracy": democracy_model}
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "draw_diag": {"adaptation": "draw_diag"},
    "low_rank": {"adaptation": "low_rank"},
    "low_rank, cutoff 2": {"adaptation": "low_rank", "mass_matrix_eigval_cutoff": 2.0},
    "low_rank, cutoff 10": {"adaptation": "low_rank", "mass_matrix_eigval_cutoff": 10.0},
    "target_accept 0.7": {"target_accept": 0.7},
    "target_accept 0.9": {"target_accept": 0.9},
    "target_accept 0.95": {"target_accept": 0.95},
    "tune 500": {"tune": 500},
    "tune 2000": {"tune": 2000},
    "low_rank, tune 500": {"adaptation": "low_rank", "tune": 500},
    "low_rank, target_accept 0.9": {"adaptation": "low_rank", "target_accept": 0.9},
}


def main() -> None:
    """Sample every model with every set of options and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--model", action="append", choices=MODELS, help="default: all")
    arguments = parser.parse_args()
    seeds = range(1, arguments.seeds + 1)
    print(machine())
    header = ["options", "CPU s", "min ESS", "ESS / CPU s", "min .. max", "steps", "R-hat", "div."]
    for name in arguments.model or MODELS:
        model = MODELS[name]()
        names = [group.name for group in model.blueprint.parameters.groups]
        compiled = compiled_for_sampling(model)
        sample(compiled, names, seed=99, draws=10, tune=20)
        rows = []
        for label, options in OPTIONS.items():
            runs = [sample(compiled, names, seed=seed, **options) for seed in seeds]
            rates = [run.ess_per_second for run in runs]
            rows.append(
                [
                    label,
                    f"{np.median([run.cpu for run in runs]):.2f}",
                    f"{np.median([run.min_ess for run in runs]):.0f}",
                    f"{np.median(rates):.0f}",
                    f"{min(rates):.0f} .. {max(rates):.0f}",
                    f"{np.median([run.steps for run in runs]):.1f}",
                    f"{max(run.max_r_hat for run in runs):.3f}",
                    str(sum(run.divergences for run in runs)),
                ]
            )
        print(f"\n{name}: {model.blueprint.parameters.n} parameters")
        print_table(header, rows)
    print(f"\nmedians over {len(seeds)} seeds; R-hat: largest of all, div.: sum of all")


if __name__ == "__main__":
    main()
