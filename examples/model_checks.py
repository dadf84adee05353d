"""Does a model describe the data, and which of two predicts better? Schools and their slopes.

Achievement depends on a student's socio-economic status (centred at the school mean). The first
model has one slope for all 160 schools, the second a slope for every school. The first is checked
against data replicated from it, which shows what it misses; then both are compared by how well
they predict new schools (leave-one-school-out) and new students of these schools.

Run it with ``python examples/model_checks.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import console

import bayes_msem as bm

ONE_SLOPE = """
    level: within
        mach ~ cses
    level: between
        mach ~ sector + meanses
"""
SLOPES_VARY = """
    level: within
        mach ~ rv("slope")*cses
    level: between
        mach + slope ~ sector + meanses
        mach ~~ slope
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit both models, check the first, compare them."""
    options = console.read_arguments(arguments, __doc__)
    fits = {}
    with console.plain_warnings():
        for name, text in (("one slope", ONE_SLOPE), ("slopes vary", SLOPES_VARY)):
            console.heading(f"Compiling and sampling: {name}")
            model = bm.Model(text, data=bm.load_dataset("hsb"), cluster="school")
            fits[name] = model.fit(
                draws=options.draws, tune=options.tune, chains=options.chains, random_seed=1
            )
            print(fits[name])

        first = fits["one slope"]
        console.heading("What the prior says about the data")
        print(first.model.prior_implied(random_seed=1))
        console.heading("All checks of the model with one slope")
        print(first.check())
        console.heading("The spread of slopes, under both models")
        for name, fit in fits.items():
            print(f"\n{name}:")
            print(fit.ppp("slope_variance"))

        console.heading("Which predicts new schools better?")
        print(bm.compare(fits, unit="cluster"))
        console.heading("Which predicts new students of these schools better?")
        print(bm.compare(fits, unit="observation"))

    check = first.ppc()
    figures = {
        "statistics": first.plot_ppc("statistics", check=check),
        "clusters": first.plot_ppc("clusters", check=check),
        "pareto_k": first.plot_pareto_k("cluster"),
    }
    console.save(options.out, "checks", figures)


if __name__ == "__main__":
    main()
