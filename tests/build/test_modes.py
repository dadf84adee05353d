"""Several modes: found, told apart, started at, and said."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import bayes_msem as bm
from bayes_msem.build.maximise import Maximum, maximise
from bayes_msem.build.modes import distinct_maxima, known_modes, posterior_modes
from bayes_msem.build.sample import _starting_points
from bayes_msem.build.starts import nutpie_seeds
from bayes_msem.errors import IdentificationWarning, MsemWarning
from bayes_msem.posterior.convergence import check_convergence
from bayes_msem.posterior.modes import found_modes, read_modes, write_modes
from tests.build.models import quiet_model, reference_model
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
def two_modes() -> bm.Model:
    return quiet_model(TWO_MODES, data=two_factor_data(), cluster="cluster")


def test_both_modes_are_found() -> None:
    """The densities are those that the issue reports for hand-picked starting values."""
    mode = two_modes().mode()
    assert mode.log_posterior == pytest.approx(-24059.93, abs=0.005)
    (other,) = mode.others
    assert other.log_posterior == pytest.approx(-24067.70, abs=0.005)
    assert mode.converged
    assert other.converged
    # the factor is that of y1 to y3 in one, and that of y4 to y6 in the other
    for solution, large, small in ((mode, "y2", "y5"), (other, "y5", "y2")):
        variance = solution["between", "fb", "~~", "fb"]
        share = [
            solution["between", "fb", "=~", v] ** 2 * variance
            / solution["between", v, "~~", v]
            for v in (large, small)
        ]  # fmt: skip
        assert share[0] > 3 > 0.3 > share[1]
    assert "-24059.93 here, -24067.70 in .others" in repr(mode)


def test_both_modes_are_modes_of_the_density() -> None:
    """By an optimiser of SciPy's that gets values alone, from beside each of them."""
    blueprint = two_modes().blueprint
    from bayes_msem.build.modes import posterior_objective

    objective = posterior_objective(blueprint, jacobian=False)
    for maximum in posterior_modes(blueprint).on_prior_scale:
        beside = maximum.position + 0.01
        found = optimize.minimize(lambda u: -objective(u)[0], beside, method="L-BFGS-B")
        assert -found.fun == pytest.approx(maximum.value, abs=1e-3)


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


def test_the_likelihood_has_the_higher_maximum() -> None:
    """53 log units above that from the highest mode of the posterior, with these data."""
    model = quiet_model(TWO_MODES, two_factor_data(6), cluster="cluster")
    with pytest.warns(IdentificationWarning, match=r"between: fb =~ y4.*another marker"):
        mode = model.mode(prior=False)
    # one factor for the cluster means of y4 to y6, none for y1 to y3, by hand: start there
    found = posterior_modes(model.blueprint)
    assert len(found.sampled) == 2
    assert mode.log_likelihood == pytest.approx(-24129.1223, abs=1e-3)
    errors = [mode.standard_errors["between", "fb", "=~", f"y{k}"] for k in (4, 5, 6)]
    assert min(errors) > 100


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
    """Chain k at mode k mod 2; the loading of y4 tells them apart."""
    model = two_modes()
    modes = posterior_modes(model.blueprint).sampled
    seeds = [11, 5, 70, 23]
    start = _starting_points(model.blueprint, lambda: seeds)
    which = []
    for seed in seeds:
        distances = [
            (start(seed) - m.position) @ -m.hessian @ (start(seed) - m.position) for m in modes
        ]
        which.append(int(np.argmin(distances)))
        # twice as spread out as the posterior: 4 times chi square with n degrees of freedom
        assert 0.3 < min(distances) / (4 * len(modes[0].position)) < 3
    assert which == [0, 1, 0, 1]


def test_seeds_of_nutpie_follow_from_the_random_seed() -> None:
    four = nutpie_seeds(4, 7)
    assert len(set(four)) == 4
    assert nutpie_seeds(4, 7) == four
    assert nutpie_seeds(2, 7) == four[:2]
    assert nutpie_seeds(4, 8) != four


def test_print_says_so_after_a_search() -> None:
    model = quiet_model(TWO_MODES, data=two_factor_data(), cluster="cluster")
    assert "2 modes" not in str(model)
    assert known_modes(model.blueprint) is None  # printing does not search
    model.mode()
    text = " ".join(str(model).split())
    assert "2 modes within 10 log units" in text
    assert "log posterior -24059.93, -24067.70" in text


def made_up_fit(shares: tuple[int, ...]) -> bm.Fit:
    """Draws near the modes: shares[k] of every 10 near mode k."""
    model = quiet_model(TWO_MODES, data=two_factor_data(), cluster="cluster")
    blueprint = model.unpiloted_blueprint()
    found = (posterior_modes(blueprint), found_modes(blueprint))[1]
    assert found is not None
    rng = np.random.default_rng(1)
    which = np.repeat(np.arange(len(shares)), np.array(shares) * 10)
    x = np.array(found.positions)[which] * (1 + 0.01 * rng.standard_normal((100, 1)))
    draws = np.stack([x, x])
    fit = synthetic_fit(model, posterior=posterior_of(blueprint, draws, 1))
    fit.datatree.attrs["modes"] = write_modes(found)
    return fit


def test_convergence_and_check_say_so() -> None:
    fit = made_up_fit((7, 3))
    modes = fit.convergence.modes
    assert modes is not None
    assert modes.n == 2
    assert modes.share == (0.7, 0.3)
    assert modes.log_posterior == pytest.approx([-24059.93, -24067.70], abs=0.005)
    assert sum(modes.weight) == pytest.approx(1)
    assert np.log(modes.weight[0] / modes.weight[1]) == pytest.approx(
        modes.log_mass[0] - modes.log_mass[1]
    )
    text = " ".join(str(fit.convergence).split())
    assert "log posterior -24059.93, -24067.70" in text
    assert "70%, 30% of the draws" in text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MsemWarning)
        verdict = fit.check(loo=False, priors=False)
    (finding,) = [f for f in verdict.findings if "modes" in f.message]
    assert finding.topic == "sampling"
    assert finding.state == "look"
    assert "-24059.93, -24067.70" in finding.message
    assert ".others" in finding.advice


def test_the_record_of_modes_comes_back() -> None:
    found = (posterior_modes(two_modes().blueprint), found_modes(two_modes().blueprint))[1]
    assert read_modes(write_modes(found)) == found
    assert read_modes("") is None
    assert write_modes(None) == ""


def test_convergence_without_a_search_is_as_before() -> None:
    import xarray as xr

    x = np.random.default_rng(1).standard_normal((4, 500, 2))
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((4, 500), dtype=bool))})
    convergence = check_convergence(x, stats)
    assert convergence.modes is None
    assert str(convergence).endswith("converged")
