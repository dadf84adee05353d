"""Pupils in classes in schools: where inequality in mathematics lies, and what goes with it.

The slope of mathematics on the socio-economic status of the family, ``gap``, differs between
classes and between schools. Experience of the teacher predicts it in classes, and the support that
a class gets goes with its mean; schools in towns have lower means:

    math_ijk = math_jk + gap_jk ses_ijk + ...
    math_jk  = math_k + b (support_jk - support_k) + ... ,   gap_jk = gap_k + c experience_jk + ...
    math_k   = ... - 15 urban_k + ...

With two levels (classes, or schools) the variance of the level that is left out would go to the
others, and intervals of coefficients of schools would be those of classes: too narrow.

The data are simulated (``bm.load_dataset("school_classes")``). Run it with
``python examples/three_levels.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import console

import bayes_msem as bm
from bayes_msem.datasets import describe_dataset

MODEL = """
    level: within
        math ~ rv("gap")*ses
        effort ~ ses
        math ~~ effort
    level: class
        math ~ support
        gap ~ experience
        effort ~~ effort
    level: school
        math ~ urban
        gap ~~ gap
        support ~~ support
        effort ~~ effort
"""
TRUTH: dict[console.Key, float] = dict(describe_dataset("school_classes").true_values)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the model, and compare it with one that leaves classes out."""
    options = console.read_arguments(arguments, __doc__)
    data = bm.load_dataset("school_classes")
    with console.plain_warnings():
        model = bm.Model(MODEL, data=data, cluster=["class", "school"])
        console.heading("The model")
        print(model)

        console.heading("Compiling and sampling")
        settings = {"draws": options.draws, "tune": options.tune, "chains": options.chains}
        fit = model.fit(**settings, random_seed=1)
        print(fit)

    console.heading("True values and posterior")
    console.show(console.beside(fit.summary(), "truth", TRUTH))

    console.heading("Shares of variance")
    print(fit.icc())

    console.heading("Classes and schools")
    effects = fit.cluster_effects()
    gaps = effects[effects["effect"] == "gap"]
    for level, of_level in gaps.groupby("level", sort=False):
        print(f"{level}: {len(of_level)} slopes, means from {of_level['mean'].min():.1f} to "
              f"{of_level['mean'].max():.1f}")  # fmt: skip

    figures = {"forest": fit.plot_forest("school", reference=TRUTH, reference_label="truth")}
    console.save(options.out, "three_levels", figures)


if __name__ == "__main__":
    main()
