"""Measurement invariance over three countries: schools in countries, items at both levels.

Run: python examples/measurement_invariance.py
"""

from __future__ import annotations

from collections.abc import Sequence

import console

import bayes_msem as bm

TEXT = """
level: within
    belonging_w =~ welcome + friends + fit + voice
level: between
    belonging_b =~ welcome + friends + fit + voice
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare degrees of invariance, then find the rows that are not invariant."""
    options = console.read_arguments(arguments, __doc__)
    data = bm.load_dataset("belonging")
    settings = {
        "draws": options.draws, "tune": options.tune, "chains": options.chains, "random_seed": 1,
    }  # fmt: skip
    found = bm.measurement_invariance(TEXT, data, group="country", cluster="school", **settings)
    print(found)

    # nearly equal loadings and intercepts: which rows want to differ?
    nearly = bm.Model(
        TEXT, data, cluster="school", group="country", wiggle=["loadings", "intercepts"]
    )
    fit = nearly.fit(**settings)
    differences = fit.group_differences()
    measured = differences["op"].isin(["=~", "~"]) & (differences["lhs"] != "belonging_b")
    print(differences[measured & (differences["differs"] == "*")])

    # those rows stay free: means of countries can be compared
    partial = bm.Model(
        TEXT,
        data,
        cluster="school",
        group="country",
        group_equal=["loadings", "intercepts"],
        group_partial=["within: belonging_w =~ voice", "voice ~ 1"],
    )
    fit = partial.fit(**settings)
    print(fit.group_differences("belonging_b ~ 1", reference="A"))


if __name__ == "__main__":
    main()
