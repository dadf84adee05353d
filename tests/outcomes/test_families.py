"""What every family promises: one log density in NumPy and in the kernel, and shapes."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bayes_msem.errors import NotSupportedError, SpecificationError
from bayes_msem.kernels import responses
from bayes_msem.outcomes.families import FAMILIES, Family, family

Array = NDArray[np.float64]

ORDERED = [text for text, f in FAMILIES.items() if f.has_thresholds]


def thresholds_of(text: str) -> Array | None:
    if text not in ORDERED:
        return None
    return np.array([0.3]) if "binary" in text else np.array([-1.5, -1.4, 0.2, 2.0])


def arguments(text: str) -> dict[str, Any]:
    needed = text in ("gaussian", "negbinomial")
    return {"thresholds": thresholds_of(text), "dispersion": 0.7 if needed else None}


def test_texts() -> None:
    assert list(FAMILIES) == [
        "gaussian",
        "binary(probit)",
        "binary(logit)",
        "ordinal(probit)",
        "ordinal(logit)",
        "poisson",
        "negbinomial",
    ]
    assert all(family(text).text == text for text in FAMILIES)
    assert family(" Ordinal (Probit)").text == "ordinal(probit)"  # blanks and case do not matter


@pytest.mark.parametrize(
    ("text", "code", "variance", "thresholds", "dispersion"),
    [
        ("gaussian", responses.GAUSSIAN, None, False, False),
        ("binary(probit)", responses.PROBIT, 1.0, True, False),
        ("binary(logit)", responses.LOGIT, math.pi**2 / 3, True, False),
        ("ordinal(probit)", responses.PROBIT, 1.0, True, False),
        ("ordinal(logit)", responses.LOGIT, math.pi**2 / 3, True, False),
        ("poisson", responses.POISSON, 0.0, False, False),
        ("negbinomial", responses.NEGBINOMIAL, 0.0, False, True),
    ],
)
def test_properties(
    text: str, code: int, variance: float | None, thresholds: bool, dispersion: bool
) -> None:
    found = family(text)
    assert (found.code, found.residual_variance) == (code, variance)
    assert (found.has_thresholds, found.has_dispersion) == (thresholds, dispersion)


def test_families_are_values() -> None:
    """Equal where name and link are, usable as keys, and known in other processes."""
    assert family("ordinal(logit)") == Family("ordinal", "logit") != family("binary(logit)")
    assert pickle.loads(pickle.dumps(family("poisson"))) in {family("poisson")}


@pytest.mark.parametrize(
    ("text", "guess"),
    [("poison", "poisson"), ("ordnal(logit)", "ordinal(logit)"), (3, ""), ([], "")],
)
def test_unknown_families_name_what_there_is(text: Any, guess: str) -> None:
    with pytest.raises(SpecificationError, match="unknown family") as caught:
        family(text)
    message = str(caught.value)
    assert all(repr(known) in message for known in FAMILIES)
    assert message.count("did you mean") == bool(guess)
    assert f"did you mean '{guess}'" in message or not guess


def test_a_link_is_asked_for() -> None:
    with pytest.raises(
        SpecificationError, match=r"write 'ordinal\(probit\)' or 'ordinal\(logit\)'"
    ):
        family("ordinal")


def test_codes_of_the_kernel_are_all_used() -> None:
    assert {f.code for f in FAMILIES.values()} == set(range(5))


@pytest.mark.parametrize("text", FAMILIES)
def test_log_density_equals_the_kernels(text: str) -> None:
    rng = np.random.default_rng(3)
    found, more = family(text), arguments(text)
    edges = np.array([0.0, 0.0])
    if found.has_thresholds:
        edges = np.concatenate([[-np.inf], more["thresholds"], [np.inf]])
    for eta in (*rng.normal(scale=3.0, size=40), -40.0, 40.0):
        y = rng.integers(len(edges) - 1) if found.has_thresholds else rng.integers(60)
        position = int(y) if found.has_thresholds else 0
        at = (float(y), float(eta), float(edges[position]), float(edges[position + 1]))
        kernel = responses.response(found.code, *at, float(more["dispersion"] or 0.0))[0]
        numpy = float(found.outcome.log_density(y, eta, **more))
        assert kernel == pytest.approx(numpy, rel=1e-10, abs=1e-10), (y, eta)


@pytest.mark.parametrize("text", FAMILIES)
def test_arrays_broadcast_over_draws(text: str) -> None:
    """(draws, 1) dispersions and (draws, 1, K - 1) thresholds with (draws, n) predictors."""
    rng = np.random.default_rng(4)
    found, draws, n = family(text).outcome, 5, 3
    eta = rng.normal(size=(draws, n))
    dispersion = rng.uniform(0.2, 2.0, size=(draws, 1))
    cuts = None
    if found.has_thresholds:
        cuts = np.sort(rng.normal(size=(draws, 1, 1 if "binary" in text else 4)), axis=-1)
    y = np.array([0.0, 1.0, np.nan])
    log_p = found.log_density(y, eta, cuts, dispersion)
    mean = found.mean(eta, cuts)
    total = found.marginal_mean(eta, dispersion, cuts)
    assert log_p.shape == mean.shape == total.shape == (draws, n)
    assert found.simulate(rng, eta, cuts, dispersion).shape == (draws, n)
    assert (log_p[:, 2] == 0.0).all()
    for d, i in np.ndindex(draws, n):
        own = None if cuts is None else cuts[d, 0]
        one = found.log_density(y[i], eta[d, i], own, dispersion[d, 0])
        assert log_p[d, i] == pytest.approx(float(one), rel=1e-14)
        assert mean[d, i] == pytest.approx(float(found.mean(eta[d, i], own)), rel=1e-14)
        one = found.marginal_mean(eta[d, i], dispersion[d, 0], own)
        assert total[d, i] == pytest.approx(float(one), rel=1e-6)


@pytest.mark.parametrize("text", [text for text in FAMILIES if text != "gaussian"])
def test_probabilities_are_those_of_the_density(text: str) -> None:
    found, more = family(text).outcome, arguments(text)
    values = np.arange(2.0 if "binary" in text else 5.0)
    p = found.probabilities([0.2, -1.0], **more, values=values)
    assert p.shape == (2, len(values))
    each = np.array([[found.log_density(v, e, **more) for v in values] for e in (0.2, -1.0)])
    np.testing.assert_allclose(p, np.exp(each), rtol=1e-14)


def test_what_is_needed_is_asked_for() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(NotSupportedError, match="no probabilities of single values"):
        family("gaussian").outcome.probabilities(0.0, dispersion=1.0)
    with pytest.raises(SpecificationError, match=r"need values=, such as range\(11\)"):
        family("poisson").outcome.marginal_probabilities(0.0, 1.0)
    with pytest.raises(SpecificationError, match=r"'ordinal\(logit\)' need thresholds"):
        family("ordinal(logit)").outcome.mean(0.0)
    with pytest.raises(SpecificationError, match="'negbinomial' need a dispersion"):
        family("negbinomial").outcome.simulate(rng, 0.0)
    with pytest.raises(SpecificationError, match="'gaussian' need their residual variance"):
        family("gaussian").outcome.log_density(0.0, 0.0)


def test_counts_beyond_what_can_be_drawn_are_the_expected_ones() -> None:
    rng = np.random.default_rng(1)
    for name in ("poisson", "negbinomial"):
        drawn = family(name).outcome.simulate(rng, [50.0, 800.0, 1.0], dispersion=1e-20)
        assert drawn[0] == pytest.approx(np.exp(50.0), rel=1e-6)
        assert np.isinf(drawn[1])
        assert drawn[2] in range(20)
