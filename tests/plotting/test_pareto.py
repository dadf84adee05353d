"""The plot of Pareto k shows every unit where it is, and names those that are too high."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.plotting.canvas import ESTIMATE, REFERENCE
from bayes_msem.plotting.pareto import pareto_k
from tests.posterior.made_up import synthetic_fit
from tests.random.models import build, case, make_data


def test_points_lines_and_names() -> None:
    k = pd.Series([0.1, 0.75, -0.2, 1.3, 0.4], index=["a", "b", "c", "d", "e"])
    (ax,) = pareto_k(k, 0.7, "cluster").axes
    points = {line.get_gid(): line.get_xydata() for line in ax.lines if line.get_gid()}
    np.testing.assert_array_equal(points[ESTIMATE], [[1, 0.1], [3, -0.2], [5, 0.4]])
    np.testing.assert_array_equal(points[REFERENCE], [[2, 0.75], [4, 1.3]])
    assert [t.get_text() for t in ax.texts] == ["limit 0.70", "1", "d", "b"]
    low, high = ax.get_ylim()
    assert low < -0.2
    assert high > 1.3


def test_infinite_k_is_shown() -> None:
    k = pd.Series([0.1, np.inf], index=["a", "b"])
    (ax,) = pareto_k(k, 0.7, "observation").axes
    assert "b" in [t.get_text() for t in ax.texts]


@pytest.mark.filterwarnings("ignore::bayes_msem.AccuracyWarning")  # made-up draws
def test_the_method_hands_over_the_right_numbers() -> None:
    fit = synthetic_fit(build(case("slope"), make_data()), chains=2, draws=100)
    (ax,) = fit.plot_pareto_k(figsize=(5, 3)).axes
    shown = np.sort(np.concatenate([x.get_ydata() for x in ax.lines if x.get_gid()]))
    np.testing.assert_allclose(shown, np.sort(fit.loo().pareto_k))
    with pytest.raises(bm.SpecificationError, match="unit='rows' is unknown"):
        fit.plot_pareto_k("rows")  # type: ignore[arg-type]
