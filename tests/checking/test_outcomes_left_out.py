"""Rows left out of models that mix normal outcomes with others: refits miss the normal ones too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm, poisson

import bayes_msem as bm
from bayes_msem.checking.accuracy.refit import exact_terms
from bayes_msem.errors import NotSupportedError
from tests.posterior.made_up import synthetic_fit
from tests.posterior.outcome_fits import ITEMS, make_data, row


def test_the_term_of_a_row_is_its_density_in_a_refit_without_it() -> None:
    """The count depends on a normal outcome; both are missing in the refit, in that row alone."""
    frame = make_data()
    model = bm.Model("c ~ u1 + x\nu1 ~ x\nu2 ~ u1", data=frame, families={"c": "poisson"})
    refits: list[bm.Fit] = []

    def again(other: bm.Model) -> bm.Fit:
        holes = np.isnan(other.observed.y)
        assert holes[17].all()
        assert holes.sum() == 3
        refits.append(synthetic_fit(other, draws=20))
        return refits[-1]

    term = exact_terms(model, "observation", np.array([17]), again, None)
    x, u1, u2, c = frame.loc[17, ["x", "u1", "u2", "c"]].to_numpy(float)

    def part(name: str) -> np.ndarray:
        return row(refits[0], f"within: {name}")

    density = norm.logpdf(u1, part("u1 ~ 1") + part("u1 ~ x") * x, np.sqrt(part("u1 ~~ u1")))
    density += norm.logpdf(u2, part("u2 ~ 1") + part("u2 ~ u1") * u1, np.sqrt(part("u2 ~~ u2")))
    rate = np.exp(part("c ~ 1") + part("c ~ u1") * u1 + part("c ~ x") * x)
    density += poisson.logpmf(c, rate)
    assert term[0] == pytest.approx(logsumexp(density) - np.log(len(density)), rel=1e-10)


def test_a_latent_response_that_others_depend_on_needs_its_predictors() -> None:
    """Its y* is sampled for every row, and has no predictor where outcomes are left out."""
    families = dict.fromkeys(ITEMS[1:], "ordinal(probit)")
    text = "y2 ~ u1\ny3 ~ y2\nu1 ~ x"
    fit = synthetic_fit(bm.Model(text, data=make_data(), families=families), draws=5)
    with pytest.raises(
        NotSupportedError, match=r"latent responses of y2, .* depend on u1; use unit"
    ):
        fit.loo("observation", refit="exact")
