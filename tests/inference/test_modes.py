"""Several modes: found, told apart, started at, and said."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import optimize

import bayes_msem as bm
from bayes_msem.checking.findings import mode_findings
from bayes_msem.errors import IdentificationWarning, MsemWarning
from bayes_msem.inference.maximise import Maximum, maximise
from bayes_msem.inference.modes import (
    distinct_maxima,
    known_modes,
    posterior_modes,
    posterior_objective,
)
from bayes_msem.inference.sample import _starting_points
from bayes_msem.inference.starts import nutpie_seeds
from bayes_msem.posterior.chain_checks import check_convergence
from bayes_msem.posterior.found_modes import found_modes, read_modes, write_modes
from bayes_msem.spec.table import RowKey
from tests.inference.models import quiet_model, reference_model
from tests.posterior.made_up import posterior_of, synthetic_fit

TWO_MODES = """
level: within
    fw1 =~ y1 + y2 + y3
    fw2 =~ y4 + y5 + y6
level: between
    fb =~ y1 + y2 + y3 + y4 + y5 + y6
"""


def two_factor_data(seed: int = 4) -> pd.DataFrame:
    """Two nearly uncorrelated factors between clusters, of which the model has one."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(200), 12)
    within = rng.normal(size=(2400, 2))
    b1 = rng.normal(size=200)
    b2 = -0.1 * b1 + np.sqrt(0.99) * rng.normal(size=200)
    data = {}
    for k in range(6):
        f, loading = k // 3, (1, 0.8, 0.7)[k % 3]
        common = loading * (within[:, f] + (b1, b2)[f][cluster])
        data[f"y{k + 1}"] = (
            common + rng.normal(size=2400) + 0.3 * rng.normal(size=200)[cluster]
        ).round(4)
    return pd.DataFrame(data).assign(cluster=cluster)


@cache
def model_of(seed: int) -> bm.Model:
    return quiet_model(TWO_MODES, data=two_factor_data(seed), cluster="cluster")


def shares_of_the_factor(mode: Mapping[RowKey, float]) -> list[float]:
    """Variance between clusters that the factor explains, over what it does not."""
    variance = mode["between", "fb", "~~", "fb"]
    return [
        mode["between", "fb", "=~", f"y{k}"] ** 2
        * variance
        / mode["between", f"y{k}", "~~", f"y{k}"]
        for k in range(1, 7)
    ]


def test_all_modes_are_found() -> None:
    """Two were known from hand-picked starting values; the best is reached from neither.

    At the lower two the factor is that of y1 to y3, or that of y4 to y6 with the sign of y1
    wrong; at the best it is that of y4 to y6, with negative loadings.
    """
    mode = model_of(4).mode()
    second, third = mode.others
    assert second.log_posterior == pytest.approx(-24059.93, abs=0.005)
    assert third.log_posterior == pytest.approx(-24067.70, abs=0.005)
    assert mode.log_posterior > second.log_posterior + 10
    assert all(m.converged for m in (mode, second, third))
    for solution, strong in ((mode, (3, 4, 5)), (second, (0, 1, 2)), (third, (3, 4, 5))):
        share = shares_of_the_factor(solution)
        assert min(share[k] for k in strong) > 2
        assert max(share[k] for k in range(6) if k not in strong) < 0.5
    assert max(mode["between", "fb", "=~", f"y{k}"] for k in (4, 5, 6)) < -1
    assert f"{mode.log_posterior:.2f} here, -24059.93, -24067.70 in .others" in repr(mode)


def test_all_modes_are_modes_of_the_density() -> None:
    """By an optimiser of SciPy's that gets values alone, from beside each of them."""
    blueprint = model_of(4).blueprint
    objective = posterior_objective(blueprint, jacobian=False)
    found = posterior_modes(blueprint)
    assert len(found.on_prior_scale) == 3
    for maximum in found.on_prior_scale:
        beside = maximum.position + 0.01
        reached = optimize.minimize(lambda u: -objective(u)[0], beside, method="L-BFGS-B")
        assert -reached.fun == pytest.approx(maximum.value, abs=1e-3)


def test_which_modes_matter() -> None:
    assert posterior_modes(model_of(4).blueprint).n_matter == 1
    found = posterior_modes(model_of(6).blueprint)
    assert found.n_matter == len(found.sampled) == 3
    assert list(found.log_mass) == sorted(found.log_mass, reverse=True)
    assert found.log_mass[0] - found.log_mass[2] < 10


def test_the_search_is_reproducible() -> None:
    first, again = (
        posterior_modes(quiet_model(TWO_MODES, two_factor_data(), cluster="cluster").blueprint)
        for _ in range(2)
    )
    assert first.log_mass == again.log_mass
    for a, b in zip(first.sampled, again.sampled, strict=True):
        np.testing.assert_array_equal(a.position, b.position)


def test_laplace_mass_of_a_normal_posterior() -> None:
    """Known SD, normal prior: the normal approximation is exact, so the mass is the evidence."""
    rng = np.random.default_rng(2)
    y = rng.normal(1.0, 2.0, size=30)
    model = quiet_model("y ~ 1\ny ~~ 4*y", pd.DataFrame({"y": y}), priors={"y ~ 1": "normal(0, 3)"})
    covariance = 4 * np.eye(30) + 9 * np.ones((30, 30))
    evidence = -0.5 * (
        30 * np.log(2 * np.pi)
        + np.linalg.slogdet(covariance)[1]
        + y @ np.linalg.solve(covariance, y)
    )
    (mass,) = posterior_modes(model.blueprint).log_mass
    assert mass == pytest.approx(evidence, abs=1e-5)


@pytest.mark.parametrize("seed", [4, 6])
def test_the_likelihood_has_the_higher_maximum(seed: int) -> None:
    """The marker hardly measures the factor there, and with the other sign than the others.

    A fixed variance instead of the marker gives the same family of distributions, and loadings
    that are well determined there: the two maxima must be the same.
    """
    frame = two_factor_data(seed)
    mode = quiet_model(TWO_MODES, frame, cluster="cluster").mode(prior=False)
    free = TWO_MODES.replace("fb =~ y1", "fb =~ NA*y1") + "    fb ~~ 1*fb\n"
    other = quiet_model(free, frame, cluster="cluster").mode(prior=False)
    assert other.converged
    assert mode.converged
    assert mode.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-6)
    lower = [mode.log_likelihood - m.log_likelihood for m in mode.others]
    assert lower == sorted(lower)
    assert all(0 < difference < 30 for difference in lower)
    loadings = [abs(other["between", "fb", "=~", f"y{k}"]) for k in range(1, 7)]
    assert max(loadings[:3]) < 0.3 < 0.6 < min(loadings[3:])


def test_the_likelihood_is_searched_from_all_modes_and_their_reverse() -> None:
    """The first set: from the best mode alone, .04 log units are missed.

    The second: one of two equally good maxima, in which the marker has the other sign, is reached
    from no mode of the posterior; the lowest is reached from none but the modes that are not best.
    """
    frame = two_factor_data(1)
    with pytest.warns(IdentificationWarning, match="fb =~ y4"):  # in units of a weak marker
        mode = quiet_model(TWO_MODES, frame, cluster="cluster").mode(prior=False)
    free = TWO_MODES.replace("fb =~ y1", "fb =~ NA*y1") + "    fb ~~ 1*fb\n"
    other = quiet_model(free, frame, cluster="cluster").mode(prior=False)
    # 2e-6 below: in units of a marker that measures next to nothing, the top is a flat ridge
    assert mode.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-5)
    model = model_of(6)
    mode = model.mode(prior=False)
    assert [m.log_likelihood for m in mode.others] == pytest.approx(
        [-24129.121, -24129.144, -24148.213], abs=0.005
    )  # in units of a weak marker: on its flat ridges rounding decides where a search ends
    assert all(m.converged for m in mode.others)
    for maximum in mode.others:  # the model's own likelihood agrees
        assert model.log_likelihood(maximum) == pytest.approx(maximum.log_likelihood, abs=1e-8)


@pytest.mark.parametrize("name", ["demo-twolevel", "single-level/political-democracy"])
def test_well_behaved_models_have_one_mode(name: str) -> None:
    _, model = reference_model(name)
    found = posterior_modes(model.blueprint)
    assert len(found.sampled) == 1
    assert found.reflected == ()
    assert model.mode().others == ()
    assert ".others" not in repr(model.mode())


def two_wells(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Log density of a mixture of two normals at -3 and 3 in the first coordinate."""
    logs = -0.5 * (x[0] - np.array([-3.0, 3.0])) ** 2 + np.log([0.3, 0.7])
    total = np.logaddexp(*logs)
    weight = np.exp(logs - total)
    gradient = -np.array([weight @ (x[0] - np.array([-3.0, 3.0])), x[1]])
    return float(total - 0.5 * x[1] ** 2), gradient


def identity(x: np.ndarray) -> np.ndarray:
    return np.eye(len(x))


def test_one_maximum_per_hill() -> None:
    starts = [np.array(s) for s in ([-2.0, 1.0], [-4.0, 0.0], [2.0, 2.0], [5.0, -1.0])]
    found = distinct_maxima(two_wells, starts, identity)
    assert [round(m.position[0]) for m in found] == [-3, 3]
    assert found[0].value == pytest.approx(np.log(0.3), abs=1e-6)
    assert found[1].value == pytest.approx(np.log(0.7), abs=1e-6)
    lower_last = distinct_maxima(two_wells, starts[::-1], identity)
    assert [round(m.position[0]) for m in lower_last] == [3, -3]


def test_a_ridge_is_one_hill() -> None:
    def ridge(x: np.ndarray) -> tuple[float, np.ndarray]:
        s = x[0] + x[1]
        return -0.5 * s**2, np.full(2, -s)

    starts = [np.array(s) for s in ([0.0, 1.0], [5.0, -4.0], [-7.0, 3.0])]
    assert len(distinct_maxima(ridge, starts, identity)) == 1


def test_the_top_is_found_to_full_precision() -> None:
    def bent(x: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus Rosenbrock's function."""
        a, b = 1 - x[0], x[1] - x[0] ** 2
        return -(a**2) - 100 * b**2, np.array([2 * a + 400 * x[0] * b, -200 * b])

    top = maximise(bent, np.array([-1.2, 1.0]), identity)
    assert isinstance(top, Maximum)
    assert top.converged
    np.testing.assert_allclose(top.position, [1, 1], atol=1e-9)
    np.testing.assert_allclose(top.hessian, [[-802, 400], [400, -200]], rtol=1e-5)


MIRRORED = "f =~ NA*y1 + y2 + y3\nf ~~ 1*f"


def one_factor_data() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    f = rng.normal(size=300)
    return pd.DataFrame({f"y{k}": f + rng.normal(size=300) for k in (1, 2, 3)})


def test_reflected_factors_are_one_solution() -> None:
    """A prior that is symmetric around zero leaves the sign of a factor open."""
    open_sign = quiet_model(MIRRORED, one_factor_data(), priors={("within", "=~"): "normal(0, 1)"})
    found = posterior_modes(open_sign.blueprint)
    assert len(found.sampled) == 1
    assert found.reflected == ("f",)
    assert open_sign.mode().others == ()
    assert open_sign.mode(prior=False).others == ()
    assert "the sign of f is not fixed" in str(found_modes(open_sign.blueprint)).lower()
    assert 'prior("halfnormal(1)")' in str(found_modes(open_sign.blueprint))
    closed = quiet_model(MIRRORED, one_factor_data())  # the default prior fixes the sign
    assert posterior_modes(closed.blueprint).reflected == ()
    assert found_modes(closed.blueprint).message == ""


def test_chains_start_at_the_modes_in_turn() -> None:
    """Chain k at mode k mod 3."""
    model = model_of(6)
    modes = posterior_modes(model.blueprint).sampled
    assert len(modes) == 3
    seeds = [11, 5, 70, 23]
    _, start = _starting_points(model.blueprint, lambda: seeds)
    which = []
    for seed in seeds:
        distances = [
            (start(seed) - m.position) @ -m.hessian @ (start(seed) - m.position) for m in modes
        ]
        which.append(int(np.argmin(distances)))
        # twice as spread out as the posterior: 4 times chi square with n degrees of freedom
        assert 0.3 < min(distances) / (4 * len(modes[0].position)) < 3
    assert which == [0, 1, 2, 0]


def test_no_chain_starts_at_maxima_without_mass() -> None:
    model = model_of(4)
    modes = posterior_modes(model.blueprint).sampled
    assert len(modes) == 3
    seeds = [11, 5, 70, 23]
    _, start = _starting_points(model.blueprint, lambda: seeds)
    for seed in seeds:
        distances = [
            (start(seed) - m.position) @ -m.hessian @ (start(seed) - m.position) for m in modes
        ]
        assert int(np.argmin(distances)) == 0


def test_seeds_of_nutpie_follow_from_the_random_seed() -> None:
    four = nutpie_seeds(4, 7)
    assert len(set(four)) == 4
    assert nutpie_seeds(4, 7) == four
    assert nutpie_seeds(2, 7) == four[:2]
    assert nutpie_seeds(4, 8) != four


def test_print_says_so_after_a_search() -> None:
    model = quiet_model(TWO_MODES, data=two_factor_data(6), cluster="cluster")
    assert "3 modes" not in str(model)
    assert known_modes(model.blueprint) is None  # printing does not search
    model.mode()
    text = " ".join(str(model).split())
    assert "3 modes that matter, log posterior -24178.96, -24181.37, -24180.59" in text


def made_up_fit(seed: int, shares: tuple[int, ...]) -> bm.Fit:
    """Draws near the modes: shares[k] of every 10 near mode k."""
    model = quiet_model(TWO_MODES, data=two_factor_data(seed), cluster="cluster")
    blueprint = model.unpiloted_blueprint()
    posterior_modes(blueprint)
    found = found_modes(blueprint)
    assert found is not None
    rng = np.random.default_rng(1)
    which = np.repeat(np.arange(len(shares)), np.array(shares) * 10)
    x = np.array(found.positions)[which] * (1 + 0.01 * rng.standard_normal((100, 1)))
    fit = synthetic_fit(model, posterior=posterior_of(blueprint, np.stack([x, x]), 1))
    fit.datatree.attrs["modes"] = write_modes(found)
    return fit


def test_convergence_and_check_say_so() -> None:
    fit = made_up_fit(6, (7, 2, 1))
    modes = fit.convergence.modes
    assert modes is not None
    assert modes.n == modes.n_matter == 3
    assert modes.share == pytest.approx((0.7, 0.2, 0.1))
    assert modes.log_posterior == pytest.approx([-24178.96, -24181.37, -24180.59], abs=0.005)
    assert sum(modes.weight) == pytest.approx(1)
    assert np.log(modes.weight[0] / modes.weight[1]) == pytest.approx(
        modes.log_mass[0] - modes.log_mass[1]
    )
    text = " ".join(str(fit.convergence).split())
    assert "log posterior -24178.96, -24181.37, -24180.59" in text
    assert "70%, 20%, 10% of the draws" in text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        verdict = fit.check(loo=False, priors=False)
    (finding,) = [f for f in verdict.findings if "modes" in f.message]
    assert finding.topic == "sampling"
    assert finding.state == "look"
    assert "-24178.96, -24181.37, -24180.59" in finding.message
    assert ".others" in finding.advice


def test_maxima_that_do_not_matter_are_said_but_no_concern() -> None:
    fit = made_up_fit(4, (10,))
    text = " ".join(str(fit.convergence).split())
    assert "hold next to nothing of its mass, log posterior -24059.93, -24067.70 against" in text
    (finding,) = mode_findings(fit.convergence)
    assert finding.state == "fine"
    assert "No chain starts there" in finding.advice


def test_the_record_of_modes_comes_back() -> None:
    blueprint = model_of(6).blueprint
    assert len(posterior_modes(blueprint).sampled) == 3
    found = found_modes(blueprint)
    assert found is not None
    assert read_modes(write_modes(found)) == found
    assert read_modes("") is None
    assert write_modes(None) == ""


def test_convergence_without_a_search_is_as_before() -> None:
    x = np.random.default_rng(1).standard_normal((4, 500, 2))
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((4, 500), dtype=bool))})
    convergence = check_convergence(x, stats)
    assert convergence.modes is None
    assert str(convergence).endswith("converged")
