"""Units from 1e-6 to 1e6 change no result beyond the units themselves."""

from __future__ import annotations

import numpy as np
import pytest

import bayes_msem as bm
from tests.data.test_awkward_sampling import SPEC, near_zero_between

UNITS = {
    "small": {"y1": 1e-6, "y2": 1e-6, "y3": 1e-6},
    "large": {"y1": 1e6, "y2": 1e6, "y3": 1e6},
    "mixed": {"y1": 1e-6, "y2": 1e6, "y3": 1.0},
    "mixed upside down": {"y1": 1e6, "y2": 1.0, "y3": 1e-6},
}


def unit_of(key, units):
    """Unit in which a coefficient is measured, given those of the variables."""
    _, lhs, op, rhs = key
    marker = {"fw": units["y1"], "fb": units["y1"]}
    of = {**units, **marker, "1": 1.0}
    if op == "=~":
        return of[rhs] / of[lhs]
    return of[lhs] * of[rhs] if op == "~~" else of[lhs] / of[rhs]


@pytest.fixture(scope="module")
def data():
    # Clear factors at both levels: an optimum inside, far from negative variances.
    return near_zero_between(5, icc=0.3, n_clusters=60, size=10)


@pytest.fixture(scope="module")
def plain(data):
    model = bm.Model(SPEC, data=data, cluster="g")
    return model, model.mode(prior=False)


@pytest.mark.parametrize("units", UNITS.values(), ids=UNITS)
def test_maximum_likelihood_follows_the_units(data, plain, units):
    _, expected = plain
    scaled = data.assign(**{name: data[name] * unit for name, unit in units.items()})
    model = bm.Model(SPEC, data=scaled, cluster="g")
    mode = model.mode(prior=False)
    assert mode.converged
    for key, value in expected.items():
        # 1e-5: two optimisers stop at slightly different points of the same hill.
        assert mode[key] / unit_of(key, units) == pytest.approx(value, rel=1e-5), key
    shift = -len(data) * sum(np.log(unit) for unit in units.values())
    assert mode.log_likelihood == pytest.approx(expected.log_likelihood + shift, rel=1e-9)


@pytest.mark.parametrize("units", UNITS.values(), ids=UNITS)
def test_log_likelihood_shifts_by_the_units(data, plain, units):
    model, mode = plain
    scaled = data.assign(**{name: data[name] * unit for name, unit in units.items()})
    values = {key: value * unit_of(key, units) for key, value in mode.items()}
    got = bm.Model(SPEC, data=scaled, cluster="g").log_likelihood(values)
    shift = -len(data) * sum(np.log(unit) for unit in units.values())
    assert got == pytest.approx(model.log_likelihood(dict(mode)) + shift, rel=1e-10)


@pytest.mark.parametrize("units", UNITS.values(), ids=UNITS)
def test_posterior_mode_exists_in_all_units(data, plain, units):
    # Default priors follow the scales of the data, so the mode does; 1e-4 as the gradient near the
    # top is flatter than that of the likelihood alone.
    scaled = data.assign(**{name: data[name] * unit for name, unit in units.items()})
    mode = bm.Model(SPEC, data=scaled, cluster="g").mode()
    assert mode.converged
    expected = plain[0].mode()
    for key, value in expected.items():
        assert mode[key] / unit_of(key, units) == pytest.approx(value, rel=1e-4), key
