"""With few draws: a result, or an error that says how many are needed; never anything else."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import arviz_stats as azs
import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

import bayes_msem as bm
from tests.posterior.made_up import synthetic_fit

pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.AccuracyWarning")

TWO = """
level: within
    y ~ a*x
level: between
    y ~ w
d := 2*a
"""
SAMPLED = """
level: within
    f =~ y + rv("l")*y2 + y3
level: between
    y ~~ y
"""
CALLS: dict[str, tuple[int, Callable[[bm.Fit], object]]] = {
    "print": (1, repr),
    "summary": (1, lambda fit: fit.summary()),
    "highest density": (1, lambda fit: fit.summary(ci_kind="hdi")),
    "log-likelihood": (1, lambda fit: fit.log_likelihood()),
    "loo": (25, lambda fit: repr(fit.loo())),
    "loo of rows": (25, lambda fit: fit.loo("observation")),
    "compare": (25, lambda fit: bm.compare({"a": fit, "b": fit})),
    "pareto k": (25, lambda fit: fit.plot_pareto_k()),
    "waic": (2, lambda fit: repr(fit.waic())),
    "dic": (2, lambda fit: repr(fit.dic())),
    "check": (1, lambda fit: repr(fit.check())),
    "ppc": (1, lambda fit: repr(fit.ppc(["icc"]))),
    "ppp": (1, lambda fit: fit.ppp(["icc"])),
    "sensitivity": (50, lambda fit: fit.prior_sensitivity()),
    "sensitivity figure": (50, lambda fit: fit.plot_prior_sensitivity()),
    "overlap": (2, lambda fit: fit.prior_posterior_overlap()),
    "standardised": (1, lambda fit: fit.standardized()),
    "r2": (1, lambda fit: fit.r2()),
    "icc": (1, lambda fit: fit.icc()),
    "cluster effects": (1, lambda fit: fit.cluster_effects()),
    "predictions": (1, lambda fit: fit.predict()),
    "forest": (2, lambda fit: fit.plot_forest()),
    "trace": (2, lambda fit: fit.plot_trace()),
    "prior and posterior": (2, lambda fit: fit.plot_prior_posterior()),
    "scatter": (2, lambda fit: fit.plot_ppc("scatter", statistics=["deviance"])),
    "densities": (1, lambda fit: fit.plot_ppc()),
    "clusters": (1, lambda fit: fit.plot_clusters("y")),
    "single clusters": (1, lambda fit: fit.plot_ppc_clusters("y")),
    "diagram": (1, lambda fit: fit.diagram(ci=0.9)),
}  # name: draws it needs, call
SIZES = [(1, 1), (1, 2), (2, 2), (2, 5), (1, 24), (1, 25), (9, 3), (2, 26)]  # chains, draws


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(12), 5)
    frame = pd.DataFrame({"g": [f"c{i}" for i in g], "w": rng.normal(size=12)[g]})
    frame["x"] = rng.normal(size=60)
    frame["y"] = 0.5 * frame["x"] + rng.normal(0, 0.5, 12)[g] + rng.normal(size=60)
    for name in ("y2", "y3"):
        frame[name] = frame["y"] + rng.normal(size=60)
    return frame


@pytest.fixture(scope="module")
def models(frame: pd.DataFrame) -> dict[str, bm.Model]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        return {name: bm.Model(text, frame, cluster="g") for name, text in TEXTS.items()}


TEXTS = {"two": TWO, "sampled": SAMPLED}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_a_result_or_the_number_of_draws_it_needs(
    models: dict[str, bm.Model], name: str, size: tuple[int, int]
) -> None:
    needed, call = CALLS[name]
    n = size[0] * size[1]
    fit = synthetic_fit(models["two"], chains=size[0], draws=size[1])
    if n < needed:
        with pytest.raises(bm.MsemError, match=f"needs {needed} draws or more, not {n}"):
            call(fit)
    else:
        assert call(fit) is not None


@pytest.mark.parametrize("name", ["print", "summary", "loo", "waic", "dic", "check", "clusters"])
def test_effects_among_the_draws(models: dict[str, bm.Model], name: str) -> None:
    needed, call = CALLS[name]
    fit = synthetic_fit(models["sampled"], chains=1, draws=1)
    if needed > 1:
        with pytest.raises(bm.MsemError, match=f"needs {needed} draws or more, not 1"):
            call(fit)
    else:
        assert call(fit) is not None


def test_loo_of_short_chains_is_that_of_their_draws(models: dict[str, bm.Model]) -> None:
    """9 chains of 3 draws: elpd by smoothed weights that assume independent draws."""
    fit = synthetic_fit(models["two"], chains=9, draws=3)
    values = fit.log_likelihood().transpose("chain", "draw", "cluster_id").to_numpy()
    flat = values.reshape(27, -1)
    expected = []
    for terms in flat.T:
        weights = azs.base.array_stats.psislw(terms, r_eff=1.0)[0]
        expected.append(logsumexp(np.asarray(weights) + terms))
    np.testing.assert_allclose(fit.loo().pointwise, expected, rtol=1e-10)


def test_what_a_check_leaves_out_is_said(models: dict[str, bm.Model]) -> None:
    verdict = synthetic_fit(models["two"], chains=1, draws=10).check()
    assert (verdict.loo, verdict.prior_sensitivity) == (None, None)
    said = {f.topic: f.message for f in verdict.findings if "left out" in f.message}
    assert said == {
        "prediction": "LOO is left out: it needs 25 draws or more, not 10.",
        "priors": "Prior sensitivity is left out: it needs 50 draws or more, not 10.",
    }
    assert "sampling" in {f.topic for f in verdict.problems}
    some = synthetic_fit(models["two"], chains=1, draws=30).check()
    assert some.loo is not None
    assert some.prior_sensitivity is None
