"""Multilevel 1-1-1 mediation with random slopes, and the right average indirect effect.

Treatment x acts on outcome y through mediator m; all three vary within clusters, and both paths
differ between clusters (Kenny, Korchmaros & Bolger, 2003; Bauer, Preacher & Gil, 2006):

    m_ij = m_j + a_j x_ij + e
    y_ij = y_j + b_j (m_ij - m_j) + c_j x_ij + e

The indirect effect in cluster j is a_j b_j. On average it is not the product of the averages:

    E[a_j b_j] = E[a_j] E[b_j] + cov(a_j, b_j)

With ``rv("a")`` and ``rv("b")``, the definition ``indirect := a*b`` is this expectation, and also a
quantity of every cluster.

**Centring.** m stands at both levels, so it is split into a latent cluster mean m_j and a deviation
from it, and b_j is the slope of y on the deviation. Had m been left out of level between, it would
have no random intercept at all; were it used as it is, with differences between clusters left in,
b_j would blend the slope within (here 0.5) with the one between (0.8). The observed cluster mean
would not do either: it carries the sampling error of its cluster. x needs no centring, because it
is assigned at random to half of every cluster (-1 and 1): its cluster means are all 0.

The data are simulated. Run it with ``python examples/mediation_111.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import console
import numpy as np
import pandas as pd

import bayes_msem as bm

MODEL = """
    level: within
        m ~ rv("a")*x
        y ~ rv("b")*m + rv("c")*x
    level: between
        y ~ m
        a ~ mean_a*1
        b ~ mean_b*1
    product  := mean_a*mean_b          # not the average indirect effect
    indirect := a*b                    # E[a_j b_j] = mean_a*mean_b + cov(a, b)
    total    := a*b + c
"""
MEANS = {"a": 0.6, "b": 0.5, "c": 0.2}
SDS = {"a": 0.4, "b": 0.3, "c": 0.2}
CORRELATION_AB = 0.6
COV_AB = CORRELATION_AB * SDS["a"] * SDS["b"]
BETWEEN_SLOPE = 0.8

TRUTH: dict[console.Key, float] = {
    ("between", "a", "~", "1"): MEANS["a"],
    ("between", "b", "~", "1"): MEANS["b"],
    ("between", "c", "~", "1"): MEANS["c"],
    ("between", "a", "~~", "a"): SDS["a"] ** 2,
    ("between", "b", "~~", "b"): SDS["b"] ** 2,
    ("between", "c", "~~", "c"): SDS["c"] ** 2,
    ("between", "a", "~~", "b"): COV_AB,
    ("between", "y", "~", "m"): BETWEEN_SLOPE,
    ("", "product", ":=", "mean_a*mean_b"): MEANS["a"] * MEANS["b"],
    ("", "indirect", ":=", "a*b"): MEANS["a"] * MEANS["b"] + COV_AB,
    ("", "total", ":=", "a*b + c"): MEANS["a"] * MEANS["b"] + COV_AB + MEANS["c"],
}


def simulate(n_clusters: int = 100, size: int = 20, random_seed: int = 6) -> pd.DataFrame:
    """Simulate 100 clusters of 20 rows."""
    rng = np.random.default_rng(random_seed)
    correlation = np.eye(3)
    correlation[0, 1] = correlation[1, 0] = CORRELATION_AB
    sds = np.array(list(SDS.values()))
    slopes = rng.multivariate_normal(
        list(MEANS.values()), correlation * np.outer(sds, sds), n_clusters
    )
    cluster = np.repeat(np.arange(n_clusters), size)
    a, b, c = slopes[cluster].T
    mean_m = rng.normal(0, 0.7, n_clusters)
    mean_y = BETWEEN_SLOPE * mean_m + rng.normal(0, 0.5, n_clusters)
    x = np.tile([-1.0, 1.0], n_clusters * size // 2)
    m_within = a * x + rng.normal(size=len(x))
    y_within = b * m_within + c * x + rng.normal(size=len(x))
    return pd.DataFrame(
        {
            "cluster": cluster,
            "x": x,
            "m": 3 + mean_m[cluster] + m_within,
            "y": 2 + mean_y[cluster] + y_within,
        }
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the model and compare the indirect effect with the product of averages."""
    options = console.read_arguments(arguments, __doc__)
    with console.plain_warnings():
        model = bm.Model(MODEL, data=simulate(), cluster="cluster")
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

    console.heading("True values and posterior")
    console.show(console.beside(summary, "truth", TRUTH))

    console.heading("Indirect effects of single clusters")
    effects = fit.cluster_effects()
    print(effects[effects["effect"] == "indirect"].head())
    draws = fit.cluster_draws["effects"].sel(effect="indirect")
    positive = (draws > 0).mean("cluster_id")
    lower, upper = positive.quantile([0.025, 0.975])
    print(
        f"\nclusters with a positive indirect effect: {float(positive.mean()):.0%} "
        f"(95% ETI {float(lower):.0%} to {float(upper):.0%})"
    )
    figures = {
        "indirect": fit.plot_clusters("indirect"),
        "forest": fit.plot_forest("", reference=TRUTH, reference_label="truth"),
    }
    console.save(options.out, "mediation", figures)


if __name__ == "__main__":
    main()
