"""Multilevel 1-1-2 mediation: an outcome of whole teams.

Autonomy and engagement are reported by the members of teams, performance is rated once per team.
Within a team everybody has the same performance, so the effect of engagement on it, and with it
the whole indirect effect, stands at level between (Preacher, Zyphur & Zhang, 2010):

    engagement_j  = a autonomy_j + ...
    performance_j = b engagement_j + c autonomy_j + ...      indirect effect: a*b

**Latent means.** autonomy_j and engagement_j are latent: the observed mean of 3 to 12 members of
a team carries the sampling error of its members, and a regression of teams on observed means is
pulled towards the effects within teams (here 0.3 instead of 0.6 for a) and towards 0. Both
variables stand at both levels, so bayes_msem splits them.

The data are simulated (``bm.load_dataset("team_performance")``). Run it with
``python examples/mediation_112.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import console
import numpy as np

import bayes_msem as bm
from bayes_msem.datasets import describe_dataset

MODEL = """
    level: within
        engagement ~ autonomy
        autonomy ~~ autonomy
    level: between
        engagement ~ a*autonomy
        performance ~ b*engagement + c*autonomy
        autonomy ~~ autonomy
    indirect := a*b
    total    := a*b + c
"""
TRUTH: dict[console.Key, float] = {
    **{
        key: value
        for key, value in describe_dataset("team_performance").true_values.items()
        if key[2] == "~" and key[3] != "1"
    },
    ("", "indirect", ":=", "a*b"): 0.6 * 8.0,
    ("", "total", ":=", "a*b + c"): 0.6 * 8.0 + 2.0,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the model and compare the indirect effect with that of observed means."""
    options = console.read_arguments(arguments, __doc__)
    data = bm.load_dataset("team_performance")
    with console.plain_warnings():
        model = bm.Model(MODEL, data=data, cluster="team")
        console.heading("The model")
        print(model)

        console.heading("Compiling and sampling")
        fit = model.fit(
            draws=options.draws, tune=options.tune, chains=options.chains, random_seed=1
        )
        print(fit)
        summary = fit.summary()

    console.heading("True values and posterior")
    console.show(console.beside(summary, "truth", TRUTH))

    console.heading("The same from observed team means")
    means = data.groupby("team")[["autonomy", "engagement", "performance"]].mean()
    autonomy, engagement, performance = means.to_numpy().T
    ones = np.ones(len(means))
    a = np.linalg.lstsq(np.column_stack([ones, autonomy]), engagement, rcond=None)[0][1]
    b = np.linalg.lstsq(np.column_stack([ones, engagement, autonomy]), performance, rcond=None)[0][
        1
    ]
    print(f"a {a:.3f}   b {b:.3f}   a*b {a * b:.3f}")

    figures = {"forest": fit.plot_forest("", reference=TRUTH, reference_label="truth")}
    console.save(options.out, "mediation_112", figures)


if __name__ == "__main__":
    main()
