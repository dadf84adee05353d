"""Questionnaire items as they are: ordered categories instead of numbers.

Five items on hostility from 2,042 soldiers in 49 companies (Bliese, Halverson & Schriesheim, 2002),
with five categories each, most answers in the lowest ones. Taken for numbers, differences between
categories are all equal, and the scale ends where there are no more categories. Here each item is a
latent response y* that is cut at four thresholds:

    y*_kij = nu_kj + l_k * fw_ij + residual, residual ~ N(0, 1)     (item k, person i, company j)
    nu_kj  = lb_k * fb_j + rest_kj

The script fits the items as ordered and as continuous, and prints thresholds, standardised
loadings, and how much of each item lies between companies, side by side. Run it with
``python examples/ordinal_items.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import console
import pandas as pd

import bayes_msem as bm

ITEMS = ["HOSTIL01", "HOSTIL02", "HOSTIL03", "HOSTIL04", "HOSTIL05"]
MODEL = f"""
    level: within
        fw =~ {" + ".join(ITEMS)}
    level: between
        fb =~ {" + ".join(ITEMS)}
"""


def loadings(fit: bm.Fit) -> pd.Series:
    """Standardised loadings within companies."""
    table = fit.standardized()
    table = table[(table["level"] == "within") & (table["op"] == "=~")]
    return table.set_index("rhs")["mean"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit both models and compare them."""
    options = console.read_arguments(arguments, __doc__, draws=500)
    frame = bm.load_dataset("lq2002")[["COMPID", *ITEMS]]
    sampling = {
        "draws": options.draws, "tune": options.tune, "chains": options.chains, "random_seed": 1,
    }  # fmt: skip

    with console.plain_warnings():
        console.heading("The items as ordered categories")
        model = bm.Model(MODEL, data=frame, cluster="COMPID", ordered=True)
        print(model.plan)
        ordered = model.fit(**sampling)
        print(ordered)
        summary = ordered.summary()
        console.heading("Thresholds: where y* is cut, in SDs of its residual")
        thresholds = summary[summary["op"] == "|"]
        columns = ["lhs", "rhs", "mean", "sd", "lower", "upper", "r_hat"]
        print(thresholds[columns].to_string(index=False, float_format="%.3f"))

        console.heading("The same items as numbers")
        continuous = bm.Model(MODEL, data=frame, cluster="COMPID").fit(**sampling)
        print(continuous)

    console.heading("Standardised loadings within, and shares of variance between companies")
    icc = [fit.icc().set_index("variable")["mean"] for fit in (ordered, continuous)]
    both = pd.DataFrame(
        {
            "loading, ordered": loadings(ordered),
            "loading, numbers": loadings(continuous),
            "ICC, ordered": icc[0],
            "ICC, numbers": icc[1],
        }
    ).loc[ITEMS]
    print(both.to_string(float_format="%.3f"))
    print("\nThe ICC of an ordered item is that of its y*, the loading that of y* on its factor.")

    effects = ordered.plot_clusters("HOSTIL01")
    effects.savefig(options.out / "ordinal_clusters.png")
    print(f"\nFigure in {options.out}")


if __name__ == "__main__":
    main()
