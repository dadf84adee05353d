"""Settings shared by all tests, and one NUTS fit for all tests of the session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

import bayes_msem as bm
from tests.reference_models import Reference, load_reference

# Before anything imports matplotlib: no test needs a display.
os.environ.setdefault("MPLBACKEND", "Agg")
# Tables are laid out for the same width everywhere, whatever terminal the tests run in.
os.environ["COLUMNS"] = "100"

# No deadline, since the first call of a numba function compiles it; no random seed, so that a run
# can be repeated.
settings.register_profile("bayes_msem", deadline=None, derandomize=True)
settings.load_profile("bayes_msem")

# The reference model of lavaan's Demo.twolevel with labels, which change nothing, and definitions.
DEMO = """
level: within
    fw =~ y1 + l2*y2 + y3
    fw ~ a*x1 + b*x2 + x3
level: between
    fb =~ y1 + y2 + y3
    fb ~ w1 + w2
squared := l2^2
product := a * b
"""


@pytest.fixture(autouse=True)
def no_open_figures() -> Iterator[None]:
    """Close what a test, or an example it ran, has left open in pyplot."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def demo() -> Reference:
    return load_reference("demo-twolevel")


@pytest.fixture(scope="session")
def demo_model(demo: Reference) -> bm.Model:
    return bm.Model(DEMO, data=demo.frame, cluster=demo.cluster)


@pytest.fixture(scope="session")
def demo_fit(demo_model: bm.Model) -> bm.Fit:
    """4 chains of 1,000 draws; a ConvergenceWarning is an error here."""
    return demo_model.fit(draws=1000, tune=1000, chains=4, random_seed=1, progress=False)
