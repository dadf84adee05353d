"""A factor model in which everything varies over clusters, its covariance structure included.

Two factors with three items each, in 80 clusters of 30. As in Ansari, Jedidi & Dube (2002), each
cluster j has its own intercepts, loadings, residual variances, factor variances and factor
correlation; each of them is normal over clusters on a scale that needs no bounds:

    y_kij = nu_kj + l_kj f_ij + e_kij       l_k   loading
    sd(e_kij) = exp(v_kj)                   v_k   log SD of the residual
    sd(f1_ij) = exp(vf1_j)                  vf1   log SD of the factor
    cor(f1_ij, f2_ij) = tanh(r_j)           r     Fisher z of the correlation

The intercepts follow two factors of level between, g1 and g2. The 13 other effects are independent
here: 80 clusters say next to nothing about their 78 correlations. (By default all of them covary.)

Clusters could be persons, measured 30 times each: then v_k tells who is erratic, and r for whom
the two factors go together. The data are simulated. Run it with
``python examples/random_covariance.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import console
import numpy as np
import pandas as pd

import bayes_msem as bm

ITEMS = ["y1", "y2", "y3", "y4", "y5", "y6"]
# Mean and SD over clusters.
EFFECTS = {
    "l2": (0.9, 0.2),
    "l3": (1.1, 0.2),
    "l5": (0.8, 0.2),
    "l6": (1.0, 0.2),
    **{f"v{k}": (np.log(0.7), 0.3) for k in range(1, 7)},
    "vf1": (0.0, 0.3),
    "vf2": (-0.2, 0.3),
    "r": (0.5, 0.3),
}
FACTOR_SDS, FACTOR_CORRELATION, INTERCEPT_SD = (0.6, 0.5), 0.4, 0.3  # at level between

MODEL = """
    level: within
        f1 =~ y1 + rv("l2")*y2 + rv("l3")*y3
        f2 =~ y4 + rv("l5")*y5 + rv("l6")*y6
        y1 ~~ rv("v1")*y1
        y2 ~~ rv("v2")*y2
        y3 ~~ rv("v3")*y3
        y4 ~~ rv("v4")*y4
        y5 ~~ rv("v5")*y5
        y6 ~~ rv("v6")*y6
        f1 ~~ rv("vf1")*f1 + rv("r")*f2
        f2 ~~ rv("vf2")*f2
    level: between
        g1 =~ y1 + y2 + y3
        g2 =~ y4 + y5 + y6
"""

TRUTH: dict[console.Key, float] = {
    **{("between", name, "~", "1"): mean for name, (mean, _) in EFFECTS.items()},
    **{("between", name, "~~", name): sd**2 for name, (_, sd) in EFFECTS.items()},
    ("between", "g1", "~~", "g2"): FACTOR_CORRELATION * FACTOR_SDS[0] * FACTOR_SDS[1],
    **{("between", y, "~~", y): INTERCEPT_SD**2 for y in ITEMS},
}


def simulate(n_clusters: int = 80, size: int = 30, random_seed: int = 5) -> pd.DataFrame:
    """Simulate 80 clusters of 30 rows."""
    rng = np.random.default_rng(random_seed)
    cluster = np.repeat(np.arange(n_clusters), size)
    n = len(cluster)
    u = {name: rng.normal(mean, sd, n_clusters) for name, (mean, sd) in EFFECTS.items()}
    level_two = correlated(rng, np.full(n_clusters, FACTOR_CORRELATION)) * FACTOR_SDS
    factors = correlated(rng, np.tanh(u["r"])[cluster])
    factors *= np.exp(np.column_stack([u["vf1"], u["vf2"]]))[cluster]
    columns: dict[str, np.ndarray] = {"cluster": cluster}
    for k, item in enumerate(ITEMS, start=1):
        f = (k - 1) // 3
        loading = u.get(f"l{k}", np.ones(n_clusters))
        intercept = 3 + level_two[:, f] + rng.normal(0, INTERCEPT_SD, n_clusters)
        residual = np.exp(u[f"v{k}"])[cluster] * rng.normal(size=n)
        columns[item] = intercept[cluster] + loading[cluster] * factors[:, f] + residual
    return pd.DataFrame(columns)


def correlated(rng: np.random.Generator, correlation: np.ndarray) -> np.ndarray:
    """Two standard normal columns with a correlation for every row."""
    first, second = rng.normal(size=(2, len(correlation)))
    return np.column_stack([first, correlation * first + np.sqrt(1 - correlation**2) * second])


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the model and show how correlations differ between clusters."""
    options = console.read_arguments(arguments, __doc__)
    with console.plain_warnings():
        model = bm.Model(MODEL, data=simulate(), cluster="cluster", random_covariances="none")
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
    table = console.beside(summary, "truth", TRUTH)
    console.show(table)
    print(f"\ninside the interval: {(table['inside'] == 'yes').sum()} of {len(table)}")

    console.heading("Factor correlations of single clusters (Fisher z)")
    effects = fit.cluster_effects()
    print(effects[effects["effect"] == "r"].head())
    figures = {
        "correlations": fit.plot_clusters("r"),
        "forest": fit.plot_forest(
            "between", rows=list(TRUTH), reference=TRUTH, reference_label="truth"
        ),
    }
    console.save(options.out, "covariance", figures)


if __name__ == "__main__":
    main()
