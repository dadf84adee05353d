"""Fits of several groups: each group by itself, and all together."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayes_msem as bm
from bayes_msem.errors import MsemWarning, NotSupportedError, SpecificationError
from bayes_msem.fit.group_fit import INHERITED, GroupFit
from bayes_msem.inference.mode import likelihood_at
from bayes_msem.posterior.draws import sampled_parameters

TEXT = """
level: within
    fw =~ y1 + a*y2 + y3
    fw ~ c(b1, b2)*x
level: between
    fb =~ y1 + y2 + y3
    fb ~ w
difference := b2 - b1
"""
SLOPE = """
level: within
    y1 ~ rv("s")*x
level: between
    y1 ~~ s
"""


def data() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    parts = []
    for group, n_clusters, slope in (("DE", 20, 0.2), ("FR", 20, 0.8)):
        for j in range(n_clusters):
            n, w = int(rng.integers(5, 9)), rng.normal()
            x = rng.normal(size=n)
            f = rng.normal(size=n) + slope * x + 0.5 * rng.normal() + 0.3 * w
            y = f[:, None] + 0.3 * rng.normal(size=3) + 0.6 * rng.normal(size=(n, 3))
            part = pd.DataFrame(y, columns=["y1", "y2", "y3"])
            parts.append(part.assign(x=x, w=w, team=f"{group} {j}", country=group))
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[::17, "y2"] = np.nan
    return frame.sample(frac=1.0, random_state=1)


def fitted(text: str, frame: pd.DataFrame, draws: int = 500, **options: object) -> GroupFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        model = bm.Model(text, frame, cluster="team", **options)
        return model.fit(draws=draws, tune=draws, chains=4, random_seed=3, progress=False)


@pytest.fixture(scope="module")
def fit() -> GroupFit:
    return fitted(
        TEXT, data(), group="country", group_equal={"between": ["loadings", "intercepts"]}
    )


pytestmark = pytest.mark.filterwarnings("ignore::bayes_msem.MsemWarning")


def test_converged(fit: GroupFit) -> None:
    assert fit.convergence.max_r_hat < 1.02
    assert fit.convergence.divergences == 0


def test_draws_of_a_group_are_those_of_all(fit: GroupFit) -> None:
    """The way back from table values to sampled parameters loses rounding only."""
    for name, own in fit.groups.items():
        for key, values in own.draws.items():
            joint = fit.draws[(*key, name)] if key.op != ":=" else fit.draws[key]
            np.testing.assert_allclose(values, joint, rtol=1e-9, atol=1e-12)


def test_equal_rows_and_definitions(fit: GroupFit) -> None:
    draws = fit.draws
    assert (draws["fw =~ y2 [DE]"] == draws["fw =~ y2 [FR]"]).all()
    assert (draws["y1 ~ 1 [DE]"] == draws["y1 ~ 1 [FR]"]).all()
    assert (draws["fb ~ 1 [DE]"] == 0).all()
    np.testing.assert_allclose(draws["difference"], draws["b2"] - draws["b1"])
    # the slopes are 0.2 and 0.8
    assert 0.3 < draws["difference"].mean() < 0.9


def test_summary(fit: GroupFit) -> None:
    table = fit.summary()
    assert table.columns[:5].tolist() == ["group", "level", "lhs", "op", "rhs"]
    assert table["group"].unique().tolist() == [*fit.model.group_names, ""]
    row = table[(table["group"] == "FR") & (table["lhs"] == "fb") & (table["rhs"] == "w")]
    assert row["mean"].item() == pytest.approx(fit.draws["fb ~ w [FR]"].mean())


def test_log_likelihood_of_all_clusters(fit: GroupFit) -> None:
    """Terms of clusters add up to the joint likelihood, and stand in the order of the data."""
    blueprint = fit.model.blueprint
    terms = fit.log_likelihood("cluster")
    posterior = fit.datatree["posterior"].to_dataset().isel(draw=slice(0, 5))
    x = sampled_parameters(blueprint, posterior)
    theta = blueprint.theta(x.reshape(-1, x.shape[-1]))
    sums = terms.isel(draw=slice(0, 5)).sum("cluster_id").to_numpy().ravel()
    expected = [likelihood_at(blueprint, np.ascontiguousarray(t)) for t in theta]
    np.testing.assert_allclose(sums, expected, rtol=1e-11)
    ids = [str(c) for c in fit.model.observed.cluster_ids]
    assert terms["cluster_id"].to_numpy().tolist() == ids
    one = fit.groups["FR"].log_likelihood("cluster")
    chosen = terms.sel(cluster_id=one["cluster_id"].to_numpy())
    np.testing.assert_array_equal(chosen.to_numpy(), one.to_numpy())


def test_loo(fit: GroupFit) -> None:
    loo = fit.loo()
    own = [part.loo().pointwise for part in fit.groups.values()]
    both = pd.concat(own)
    # importance weights are smoothed by the efficiency of the draws, which is that of all groups
    np.testing.assert_allclose(loo.pointwise[both.index], both, rtol=1e-3)
    rows = fit.loo("observation")
    assert rows.pointwise.index.tolist() == fit.model.observed.row_index.tolist()
    part = fit.groups["DE"].loo("observation").pointwise
    np.testing.assert_allclose(rows.pointwise[part.index], part, rtol=5e-3)
    with pytest.raises(NotSupportedError, match="no refit"):
        fit.loo(refit="exact")


def test_tables_are_those_of_the_groups(fit: GroupFit) -> None:
    for name in ("standardized", "icc", "r2", "reliability", "cluster_effects", "scores"):
        table = pd.DataFrame(getattr(fit, name)())
        for group, own in fit.groups.items():
            part = table[table["group"] == group].drop(columns="group").reset_index(drop=True)
            expected = pd.DataFrame(getattr(own, name)()).reset_index(drop=True)
            pd.testing.assert_frame_equal(part[expected.columns], expected)
    assert len(fit.cluster_effects()["cluster"].unique()) == 40


def test_predictive_p_values_are_of_sums(fit: GroupFit) -> None:
    table = fit.ppp(["chi_square", "srmr"], draws=40)
    both = table[(table["group"] == "") & (table["level"] == "within")]["observed"].item()
    own = table[(table["group"] != "") & (table["level"] == "within")]
    assert own[own["statistic"] == "chi_square"]["observed"].sum() == pytest.approx(both)
    assert set(table[table["group"] == ""]["statistic"]) == {"chi_square"}
    with pytest.raises(NotSupportedError, match="chi_square_refit is not there"):
        fit.ppp("chi_square_refit")


def test_differences(fit: GroupFit) -> None:
    table = fit.group_differences("fw ~ x", reference=fit.model.group_names[0])
    first, second = fit.model.group_names
    assert table["group"].tolist() == [f"{second} - {first}"]
    assert table["mean"].item() == pytest.approx(fit.draws["difference"].mean())
    every = fit.group_differences()
    assert ("fw", "y2") not in set(zip(every["lhs"], every["rhs"], strict=True))
    assert "y1" not in set(every[every["op"] == "~"]["lhs"])
    with pytest.raises(SpecificationError, match="is no group"):
        fit.group_differences(reference="XX")


def test_predict(fit: GroupFit) -> None:
    frame = data()
    rows = frame.iloc[:6]
    found = fit.predict(rows)
    own = fit.groups["FR"].predict(rows[rows["country"] == "FR"])
    part = found[found["group"] == "FR"]
    np.testing.assert_allclose(part["mean"], own["mean"])
    with pytest.raises(bm.DataError, match="no known group"):
        fit.predict(rows.assign(country="XX"))


def test_save_and_load(fit: GroupFit, tmp_path: object) -> None:
    path = f"{tmp_path}/groups.nc"
    fit.save(path)
    again = bm.load(path)
    assert isinstance(again, GroupFit)
    assert again.model.group_names == fit.model.group_names
    pd.testing.assert_frame_equal(pd.DataFrame(again.summary()), pd.DataFrame(fit.summary()))
    pd.testing.assert_frame_equal(
        pd.DataFrame(again.cluster_effects()), pd.DataFrame(fit.cluster_effects())
    )
    assert again.loo().elpd == pytest.approx(fit.loo().elpd, rel=1e-12)


def test_every_method_of_a_fit_is_settled(fit: GroupFit) -> None:
    """What is not known to be right for several groups is refused, new methods too."""
    public = {name for name in dir(bm.Fit) if not name.startswith("_")}
    assert public - set(vars(GroupFit)) == set(INHERITED) & public
    for name in ("indices", "dic", "hypothesis", "plot_trace", "report", "ppc", "check"):
        with pytest.raises(NotSupportedError, match=rf"fit.groups\['.*'\].{name} shows one group"):
            getattr(fit, name)()
    for name in ("indices", "dic", "hypothesis", "prior_sensitivity", "save"):
        with pytest.raises(NotSupportedError, match="not available for one group"):
            getattr(fit.groups["DE"], name)()


def test_sampled_effects(tmp_path: object) -> None:
    """Groups read the coordinates of their clusters."""
    text = SLOPE.replace('y1 ~ rv("s")*x', 'y1 ~ x\n    y1 ~~ rv("v")*y1').replace("~~ s", "~~ v")
    found = fitted(text, data(), draws=60, group="country")
    part = found.groups["FR"]
    joint = found.model.blueprint
    posterior = found.datatree["posterior"].to_dataset()
    x = sampled_parameters(joint, posterior)[0, 3]
    t = posterior["effect_coordinates"].to_numpy()[0, 3]
    b = joint.likelihood.effects(np.ascontiguousarray(joint.extend_sampled(x)), t)
    own = part.cluster_draws["effects"].sel(effect="v").isel(chain=0, draw=3)
    ids = joint.observed.cluster_ids
    place = [list(ids).index(c) for c in own["cluster_id"].to_numpy()]
    np.testing.assert_allclose(own.to_numpy(), b[place, 0], rtol=1e-9)
    path = f"{tmp_path}/effects.nc"
    found.save(path)
    again = bm.load(path)
    pd.testing.assert_frame_equal(
        pd.DataFrame(again.cluster_effects()), pd.DataFrame(found.cluster_effects())
    )


def test_without_equalities_groups_have_their_own_posteriors() -> None:
    """Means and SDs are those of separate fits with the same priors, to Monte Carlo error."""
    frame = data()
    joint = fitted(SLOPE, frame, draws=1000, group="country")
    table = joint.model.parameter_table
    for group in joint.model.group_names:
        own = table[(table["group"] == group) & (table["free"] > 0)]
        priors = {(r.level, r.lhs, r.op, r.rhs): r.prior for r in own.itertuples() if r.prior != ""}
        separate = fitted(SLOPE, frame[frame["country"] == group], draws=1000, priors=priors)
        for key in priors:
            a, b = joint.draws[(*key, group)], separate.draws[key]
            # ESS of about 1,500 each: a standard error of the difference of 0.037 SD
            assert abs(a.mean() - b.mean()) < 0.16 * b.std(), key
            assert 0.85 < a.std() / b.std() < 1.18, key


def test_measurement_invariance() -> None:
    text = "f =~ y1 + y2 + y3"
    found = bm.measurement_invariance(
        text, data(), group="country", draws=150, tune=150, chains=2, random_seed=1, progress=False
    )
    assert found.table.index.tolist() == ["configural", "metric", "scalar"]
    terms = [fit.loo().pointwise for fit in found.fits.values()]
    assert found.table["elpd_diff"].iloc[1] == pytest.approx((terms[1] - terms[0]).sum())
    assert "metric: predicts" in repr(found)
    assert "Measurement invariance" in found._repr_html_()
    with pytest.raises(SpecificationError, match="no factor"):
        bm.measurement_invariance("y1 ~ x", data(), group="country")
