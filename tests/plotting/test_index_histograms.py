"""The figure of fit indices shows the numbers of the table."""

from __future__ import annotations

import numpy as np
import pytest

import bayes_msem as bm
from tests.checking.laplace import laplace_fit
from tests.reference_models import load_reference


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    reference = load_reference("demo-twolevel")
    model = bm.Model(reference.model_text, data=reference.frame, cluster=reference.cluster)
    return laplace_fit(model, draws=60)


def test_every_index_has_a_panel_with_its_mean_interval_and_draws(fit: bm.Fit) -> None:
    table = fit.indices(0.9, incremental=False, progress=False)
    figure = fit.plot_indices(0.9, incremental=False, progress=False, figsize=(9, 4))
    assert figure.get_size_inches().tolist() == [9.0, 4.0]
    assert len(figure.axes) == len(table) == 6
    for ax, (_, row) in zip(figure.axes, table.iterrows(), strict=True):
        assert ax.get_title("left") == row["index"]
        lines = {line.get_gid(): line.get_xdata() for line in ax.lines}
        assert lines["mean"][0] == pytest.approx(row["mean"])
        assert lines["interval"] == pytest.approx([row["lower"], row["upper"]])
        (draws,) = [p for p in ax.patches if p.get_gid() == "draws"]
        # all draws but the outermost ones: a quarter per cent on each side
        assert draws.get_data().values.sum() >= 0.98 * 120
    assert [ax.get_title("right") for ax in figure.axes[-2:]] == ["within", "between"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["draws", "mean", "90% equal-tailed interval (ETI)"]


def test_constant_draws_get_an_axis(fit: bm.Fit) -> None:
    """All draws of a very good model may be perfect."""
    table = fit.indices(incremental=False, progress=False)
    table.draws["rmsea"] = table.draws["rmsea"] * 0.0
    from bayes_msem.plotting.index_histograms import index_histograms

    low, high = index_histograms(table).axes[0].get_xlim()
    assert low < 0 < high
    assert np.isfinite([low, high]).all()
