"""What the examples in docstrings find: two fits, so that no example has to sample.

``fit`` is a model of math achievement with a random slope, ``factors`` one of well-being with
factors at both levels and missing values. Their draws come from the normal approximation at the
posterior mode (tests.checking.laplace), which takes a second in place of a minute. The docstring of
:class:`bayes_msem.Fit` shows the models. ``power_study`` is a study whose estimates are random
numbers (tests.studies.made_up_study), and ``calibrated`` a calibration whose ranks are
(tests.studies.made_up_calibration).
"""

from __future__ import annotations

import os
from typing import Any

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything imports matplotlib

HSB = """
level: within
    mach ~ rv("slope")*cses
level: between
    mach + slope ~ sector
"""
WELLBEING = """
level: within
    fw =~ energy + focus + calm + joy
level: between
    fb =~ energy + focus + calm + joy
"""


@pytest.fixture(autouse=True)
def fits_of_examples(
    request: pytest.FixtureRequest,
    doctest_namespace: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Give examples the fits, once a session, and a folder of their own to write to."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    monkeypatch.chdir(tmp_path_factory.mktemp("example"))
    source = "".join(example.source for example in request.node.dtest.examples)
    if "fit" not in doctest_namespace and ("fit." in source or "factors." in source):
        doctest_namespace.update(example_fits())
    if "power_study" not in doctest_namespace and "power_study" in source:
        from tests.studies.made_up_study import made_up_study

        doctest_namespace["power_study"] = made_up_study()
    if "calibrated" not in doctest_namespace and "calibrated" in source:
        from tests.studies.made_up_calibration import made_up_calibration

        doctest_namespace["calibrated"] = made_up_calibration()


def example_fits() -> dict[str, Any]:
    """Return the two fits by name."""
    import bayes_msem as bm
    from tests.checking.laplace import laplace_fit

    model = bm.Model(HSB, data=bm.load_dataset("hsb"), cluster="school")
    teams = bm.load_dataset("wellbeing").groupby("team").filter(lambda team: len(team) > 1)
    wellbeing = bm.Model(WELLBEING, data=teams, cluster="team")
    return {"fit": laplace_fit(model), "factors": laplace_fit(wellbeing)}
