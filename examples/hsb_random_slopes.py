"""Intercepts and slopes as outcomes: mathematics achievement in 160 schools.

The classical multilevel model (Raudenbush & Bryk, 2002). Within school j, achievement depends on a
student's socio-economic status, centred at the school mean:

    mach_ij = mach_j + rs_j * cses_ij + residual

Intercept and slope vary between schools, depend on the sector (Catholic or public) and on the
school's mean status, and their residuals covary. That the slope depends on the sector is a
cross-level interaction. In lme4: ``mach ~ (meanses + sector) * cses + (1 + cses | school)``.

Run it with ``python examples/hsb_random_slopes.py``. It compares maximum likelihood with lme4 and
with the posterior, and draws the slopes of all schools.
"""

from __future__ import annotations

from collections.abc import Sequence

import console

import bayes_msem as bm

MODEL = """
    level: within
        mach ~ rv("rs")*cses
    level: between
        mach + rs ~ sector + meanses
        mach ~~ rs
"""

# lme4 1.1-31, REML = FALSE; tests/reference/hsb/slopes-as-outcomes
LME4: dict[console.Key, float] = {
    ("within", "mach", "~~", "mach"): 36.72118,
    ("between", "mach", "~", "1"): 12.09601,
    ("between", "mach", "~", "sector"): 1.22673,
    ("between", "mach", "~", "meanses"): 5.33171,
    ("between", "rs", "~", "1"): 2.93938,
    ("between", "rs", "~", "sector"): -1.64390,
    ("between", "rs", "~", "meanses"): 1.04241,
    ("between", "mach", "~~", "mach"): 2.31655,
    ("between", "rs", "~~", "rs"): 0.06518,
    ("between", "mach", "~~", "rs"): 0.18773,
}
LME4_LOG_LIKELIHOOD = -23248.21501


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the model, compare it with lme4, draw the schools."""
    options = console.read_arguments(arguments, __doc__)
    with console.plain_warnings():
        model = bm.Model(MODEL, data=bm.load_dataset("hsb"), cluster="school")
        console.heading("The model")
        print(model)

        console.heading("Compiling and sampling")
        fit = model.fit(
            draws=options.draws, tune=options.tune, chains=options.chains, random_seed=1
        )
        print(fit)
        console.heading("The posterior")
        summary = fit.summary()
        print(summary)

        console.heading("lme4, maximum likelihood, and the posterior")
        maximum = model.mode(prior=False)
        table = console.beside(summary, "lme4", LME4).drop(columns="inside")
        table.insert(3, "ML", [maximum[key] for key in LME4])
        console.show(table)
        print(f"\nlog-likelihood: {maximum.log_likelihood:.4f}; lme4: {LME4_LOG_LIKELIHOOD:.4f}")

    console.heading("Slopes of single schools")
    effects = fit.cluster_effects()
    print(effects[effects["effect"] == "rs"].head())
    figures = {
        "slopes": fit.plot_clusters("rs"),
        "forest": fit.plot_forest("between", reference=maximum, reference_label="ML"),
    }
    console.save(options.out, "hsb", figures)


if __name__ == "__main__":
    main()
