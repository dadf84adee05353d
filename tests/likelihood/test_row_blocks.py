"""Rows are looked at in blocks of 64, in groups of eight lanes: what small data do not reach.

The oracle is that of ``test_augmented.py``, on 74 rows without clusters: a full block, and one that
ends within a group.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.inference.models import quiet_model
from tests.likelihood.augmented import (
    AUGMENTED,
    Augmented,
    Joint,
    frame_of_responses,
    informed_rows,
    random_parameters,
)

Array = NDArray[np.float64]
SINGLE = tuple(case for case in AUGMENTED if case.cluster is None)


def point(case: Augmented) -> tuple[Joint, Array, Array]:
    """Oracle, extended parameters, and coordinates of scores."""
    frame = frame_of_responses(families=case.families, n_clusters=19)
    model = quiet_model(
        case.text, data=frame, cluster=None, families=dict(case.families),
        exposure=dict(case.exposure) or None,
    )  # fmt: skip
    blueprint = informed_rows(model.unpiloted_blueprint(), 1, given_z=False)
    this = Joint(case, blueprint, frame, random_parameters(blueprint, 1))
    x = np.ascontiguousarray(blueprint.extend_sampled(this.x))
    t_s = np.random.default_rng(1).normal(size=blueprint.likelihood.score_shape)
    assert len(t_s) == 74
    return this, x, t_s


def check(this: Joint, x: Array, t_s: Array, rel: float) -> None:
    """Compare the density with the oracle, and the slope in a random direction with differences."""
    likelihood = this.blueprint.likelihood
    t = np.zeros(likelihood.shape)
    value, d_x, _, d_t_s = likelihood.joint_with_scores(x, t, t_s)
    assert value == pytest.approx(this.joint(likelihood, t, t_s), rel=rel)
    rng, h = np.random.default_rng(2), 1e-5
    of_x, of_t = rng.normal(size=x.shape), rng.normal(size=t_s.shape)
    ahead, behind = (
        likelihood.joint_with_scores(x + step * of_x, t, t_s + step * of_t)[0] for step in (h, -h)
    )
    slope = (d_x * of_x).sum() + (d_t_s * of_t).sum()
    assert slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("case", SINGLE, ids=str)
def test_a_full_block_and_a_part_of_one(case: Augmented) -> None:
    this, x, t_s = point(case)
    check(this, x, t_s, rel=1e-11)


def test_cells_far_out_among_others() -> None:
    """Scores far from all thresholds in every third row: these cells are evaluated one by one."""
    this, x, t_s = point(SINGLE[0])
    t_s[::3] *= 60.0
    likelihood = this.blueprint.likelihood
    eta = likelihood.scores(x, np.zeros((1, 0)), t_s).predictors
    assert (np.abs(eta[:, :3]) > 25.0).any(axis=0).all()  # the probits
    check(this, x, t_s, rel=1e-9)


@pytest.mark.parametrize("far", [np.inf, np.nan])
def test_no_number_is_not_a_category(far: float) -> None:
    """Predictors that are no numbers, of missing responses too: no density, and no crash."""
    this, x, t_s = point(SINGLE[0])
    assert this.blueprint.likelihood.responses is not None
    assert np.isnan(this.blueprint.likelihood.responses.y).any()
    value = this.blueprint.likelihood.joint_with_scores(x, np.zeros((0, 0)), far * t_s)[0]
    assert not np.isfinite(value)
