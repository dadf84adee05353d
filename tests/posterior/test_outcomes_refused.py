"""What is not adapted to outcomes that are not normal says so, and computes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import bayes_msem as bm
from bayes_msem.errors import NotSupportedError

REFUSED: dict[str, Callable[[bm.Fit], object]] = {
    "plot_ppc": lambda fit: fit.plot_ppc(),
    "plot_ppc_clusters": lambda fit: fit.plot_ppc_clusters("y1"),
    "indices": lambda fit: fit.indices(),
    "plot_indices": lambda fit: fit.plot_indices(),
    "prior_sensitivity": lambda fit: fit.prior_sensitivity(),
    "plot_prior_sensitivity": lambda fit: fit.plot_prior_sensitivity(),
    "plot_regression": lambda fit: fit.plot_regression("n", "x"),
    "plot_levels": lambda fit: fit.plot_levels("n", "x"),
    "mode": lambda fit: fit.model.mode(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, mixed_fit: bm.Fit) -> None:
    with pytest.raises(NotSupportedError, match=r"y1: ordinal\(logit\).*n: negbinomial"):
        REFUSED[name](mixed_fit)
