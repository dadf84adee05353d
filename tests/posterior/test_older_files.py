"""Files from before an option existed are read as they were meant then."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.spec.printing import to_syntax
from tests.likelihood.cases import make_frame
from tests.posterior.made_up import synthetic_fit

TEXT = """
level: within
    y1 ~ rv("s")*x1
    y2 ~ x1
level: between
    y1 ~~ y1
    y2 ~~ y2
"""

pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.SmallSampleWarning")


def test_covariances_of_intercepts_were_zero(tmp_path: Path) -> None:
    """Without the option in the file, draws are those of the covariances that were free then."""
    data = make_frame()
    model = bm.Model(TEXT, data, cluster="group", random_covariances="coefficients")
    del model._options["random_covariances"]
    fit = synthetic_fit(model)
    fit.save(tmp_path / "old.nc")
    loaded = bm.load(tmp_path / "old.nc")
    assert loaded.model.options["random_covariances"] == "coefficients"
    assert to_syntax(loaded.model.table) == to_syntax(model.table)
    pd.testing.assert_frame_equal(loaded.summary(), fit.summary())
    today = bm.Model(TEXT, data, cluster="group")
    assert to_syntax(today.table) != to_syntax(model.table)
