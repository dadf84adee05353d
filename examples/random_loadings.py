"""Approximate measurement invariance: loadings and intercepts that vary over 60 groups.

To compare groups on a factor its items must work alike in all of them. With many groups they never
do exactly. So let every loading and every intercept vary over groups, and look at how much:

    y_kij = nu_kj + l_kj * fw_ij + residual           (item k, person i, group j)
    nu_kj = nu_k + lb_k * fb_j + bias_kj
    fw_ij ~ N(0, exp(2 vf_j))                         groups also differ in spread: that is no bias

The SD of l_k is the loading bias of item k, and the SD of bias_k its intercept bias (Jak, Oort &
Dolan, 2013; Muthen & Asparouhov, 2018). The first item is the marker: its loading is 1 everywhere.

By default all random effects covary. Here they are independent: an item that works alike in all
groups has a loading that hardly varies, and what does not vary has no correlations to learn.

The data are simulated. Item y3 has a biased loading, item y4 a biased intercept; the others vary
very little. Run it with ``python examples/random_loadings.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import console
import numpy as np
import pandas as pd

import bayes_msem as bm

MODEL = """
    level: within
        fw =~ y1 + rv("l2")*y2 + rv("l3")*y3 + rv("l4")*y4 + rv("l5")*y5
        fw ~~ rv("vf")*fw
    level: between
        fb =~ y1 + y2 + y3 + y4 + y5
"""
ITEMS = ["y1", "y2", "y3", "y4", "y5"]
LOADINGS = {"l2": (0.9, 0.05), "l3": (1.0, 0.40), "l4": (0.8, 0.05), "l5": (1.1, 0.05)}
BIAS = dict(zip(ITEMS, (0.1, 0.1, 0.1, 0.5, 0.1), strict=True))  # SD of intercepts beyond fb
SPREAD = 0.2  # SD of vf, the log SD of the factor
RESIDUAL, FACTOR_B = 0.7, 0.5  # SDs

# Between groups, loadings are those of the typical group; each is estimated on its own.
TRUTH: dict[console.Key, float] = {
    **{("between", name, "~", "1"): mean for name, (mean, _) in LOADINGS.items()},
    **{("between", name, "~~", name): sd**2 for name, (_, sd) in LOADINGS.items()},
    **{("between", y, "~~", y): sd**2 for y, sd in BIAS.items()},
    ("between", "vf", "~~", "vf"): SPREAD**2,
    ("between", "fb", "~~", "fb"): FACTOR_B**2,
    **{("within", y, "~~", y): RESIDUAL**2 for y in ITEMS},
}


def simulate(n_clusters: int = 60, random_seed: int = 7) -> pd.DataFrame:
    """Simulate 60 groups of 8 to 25 persons."""
    rng = np.random.default_rng(random_seed)
    group = np.repeat(np.arange(n_clusters), rng.integers(8, 26, n_clusters))
    n = len(group)
    fb = rng.normal(0, FACTOR_B, n_clusters)
    fw = rng.normal(0, 1, n) * np.exp(rng.normal(0, SPREAD, n_clusters))[group]
    columns: dict[str, np.ndarray] = {"group": group}
    for k, item in enumerate(ITEMS):
        mean, sd = LOADINGS.get(f"l{k + 1}", (1.0, 0.0))
        loading = rng.normal(mean, sd, n_clusters)
        intercept = 3 + mean * fb + rng.normal(0, BIAS[item], n_clusters)
        columns[item] = intercept[group] + loading[group] * fw + rng.normal(0, RESIDUAL, n)
    return pd.DataFrame(columns)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the model and show which items vary."""
    options = console.read_arguments(arguments, __doc__)
    with console.plain_warnings():
        model = bm.Model(MODEL, data=simulate(), cluster="group", random_covariances="none")
        console.heading("The model")
        print(model)

        console.heading("Compiling and sampling")
        fit = model.fit(
            draws=options.draws, tune=options.tune, chains=options.chains, random_seed=1
        )
        print(fit)
        console.heading("The posterior")
        summary = fit.summary()
        print(summary[summary["sd"] > 0])

    console.heading("True values and posterior")
    console.show(console.beside(summary, "truth", TRUTH))

    console.heading("Which items vary? SDs over groups, in units of the loading and of the item")
    console.show(bias_table(fit))

    console.heading("Loadings of single groups")
    effects = fit.cluster_effects()
    print(effects[effects["effect"] == "l3"].head())
    figures = {
        "l3": fit.plot_clusters("l3"),
        "bias": fit.plot_forest(
            "between", rows="variance", reference=TRUTH, reference_label="truth"
        ),
    }
    console.save(options.out, "loadings", figures)


def bias_table(fit: bm.Fit) -> pd.DataFrame:
    """Posterior of the SDs over groups: loading and intercept of every item."""
    rows = []
    for k, item in enumerate(ITEMS):
        names = [("intercept", item), ("loading", f"l{k + 1}")]
        for what, name in names if k else names[:1]:
            sd = np.sqrt(fit.draws["between", name, "~~", name])
            true = BIAS[item] if what == "intercept" else LOADINGS[name][1]
            lower, upper = np.quantile(sd, [0.025, 0.975])
            rows.append((item, what, true, sd.mean(), lower, upper))
    return pd.DataFrame(rows, columns=["item", "what", "truth", "SD", "2.5%", "97.5%"])


if __name__ == "__main__":
    main()
