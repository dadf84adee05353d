"""Wide models: 30 and 60 indicators of five factors at each level, 100 clusters of 22 sizes.

Microseconds of CPU for one likelihood with its gradient, CPU seconds of the search for modes, and
CPU seconds of a whole fit of the model of 30 indicators, from the model to its summary.
"""

from __future__ import annotations

import argparse

from bench_gradient import kernel_calls
from measure import cpu_time, machine, microseconds, print_table, result
from models import wide_model

from bayes_msem.inference.density import starting_point
from bayes_msem.inference.modes import posterior_modes

TARGETS = {"fit": 120.0, "R-hat": 1.01, "gradient": 4000.0}
FACTORS, INDICATORS = 5, (6, 12)
CALLS, BATCHES = 100, 60
DRAWS = 1000


def measure_model(indicators: int) -> list[str]:
    """Measure one model; return a row of the table."""
    model = wide_model(FACTORS, indicators)
    kernel = model.blueprint.likelihood.kernel[0]
    call = kernel_calls(kernel, model, starting_point(model.blueprint))
    lowest, median = microseconds(call, calls=CALLS, batches=BATCHES)
    with cpu_time() as search:
        posterior_modes(model.blueprint)
    label, n = f"{FACTORS * indicators} indicators", model.blueprint.parameters.n
    return [label, str(n), f"{lowest:.1f} / {median:.1f}", f"{search.seconds:.1f}"]


def main() -> None:
    """Measure all models, then one fit, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-fit", action="store_true", help="gradients and modes alone")
    no_fit = parser.parse_args().no_fit
    print(machine())
    rows = [measure_model(indicators) for indicators in INDICATORS]
    print_table(["model", "parameters", "gradient", "modes"], rows)
    widest = float(rows[-1][2].split(" / ")[0])
    result("gradient, 60 indicators", widest, "us", TARGETS["gradient"])
    print(f"microseconds of CPU, minimum / median of {BATCHES} batches of {CALLS} calls;")
    print(f"CPU seconds of the search for modes; target: {TARGETS['gradient']:.0f} us")
    if no_fit:
        return
    with cpu_time() as timing:
        fit = wide_model(FACTORS, INDICATORS[0]).fit(
            draws=DRAWS, tune=DRAWS, chains=4, random_seed=1, progress=False
        )
        table = fit.summary()
    r_hat, ess = float(table["r_hat"].max()), float(table["ess_bulk"].min())
    print(
        f"4 x ({DRAWS} + {DRAWS}) draws of the first: {timing.seconds:.1f} CPU s from model to "
        f"summary, R-hat at most {r_hat:.4f}, bulk ESS at least {ess:.0f}; "
        f"targets {TARGETS['fit']:.0f}, {TARGETS['R-hat']}"
    )
    result("30 indicators: model to summary", timing.seconds, "CPU s", TARGETS["fit"])
    result("30 indicators: largest R-hat", r_hat, "", TARGETS["R-hat"], digits=4)


if __name__ == "__main__":
    main()
