"""Densities of power-scaled posteriors, against exact ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy import stats

from bayes_msem.errors import SpecificationError
from tests.checking.laplace import laplace_fit
from tests.checking.test_prior_sensitivity import conjugate, posterior
from tests.random.models import build, case


def line(ax: Axes, gid: str) -> Any:
    return next(a for a in ax.get_children() if a.get_gid() == gid)


def test_densities_are_those_of_the_exact_posteriors() -> None:
    """A conjugate model; compared by their means and SDs (5% of an SD, 10%: kernels widen)."""
    prior, n = (1.0, 0.5), 20
    fit = laplace_fit(conjugate(prior, mean=-0.5, n=n), draws=4000)
    of_prior, of_likelihood = fit.plot_prior_sensitivity().axes
    for ax, which in ((of_prior, "prior"), (of_likelihood, "likelihood")):
        assert ax.get_xlabel().startswith(f"{which} scaled")
        for i, power in enumerate((0.8, 1.0, 1.25)):
            a, b = (power, 1.0) if which == "prior" else (1.0, power)
            exact: stats.norm = posterior(prior, -0.5, n, a, b)
            x, height = line(ax, f"power {i}").get_data()
            total = np.trapezoid(height, x)
            mean = np.trapezoid(x * height, x) / total
            sd = np.sqrt(np.trapezoid((x - mean) ** 2 * height, x) / total)
            assert mean == pytest.approx(exact.mean(), abs=0.08 * exact.std())
            assert sd == pytest.approx(exact.std(), rel=0.1)


def test_rows_that_are_shown() -> None:
    fit = laplace_fit(build(case("slope")), draws=100)
    figure = fit.plot_prior_sensitivity()
    assert len(figure.axes) == 12
    figure = fit.plot_prior_sensitivity("between", rows="intercept", figsize=(7, 3))
    assert tuple(figure.get_size_inches()) == (7, 3)
    shown = {ax.get_title(loc="left") for ax in figure.axes}
    assert shown == {"y1 ~ 1", "s ~ 1"}
    assert {ax.get_title(loc="right") for ax in figure.axes} == {"between"}
    with pytest.raises(SpecificationError, match="one number below 1"):
        fit.plot_prior_sensitivity(alphas=(1.1, 1.25))
    with pytest.raises(SpecificationError, match="none of the rows chosen varies"):
        fit.plot_prior_sensitivity(rows=("within", "y1", "~", "x1"))
