"""The study of few large countries: its answers and its figures against independent ones."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_msem as bm

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def study() -> Iterator[Any]:
    """Modules of the study, imported as the script imports them."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    import models
    import small_samples
    import small_samples_report

    yield SimpleNamespace(script=small_samples, report=small_samples_report, models=models)
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None)
        if path is not None and Path(path).parent == BENCHMARKS:
            del sys.modules[name]


@pytest.fixture(scope="module")
def example(study: Any) -> SimpleNamespace:
    """One data set of 20 countries and its model."""
    cell = study.script.Cell(20, 0.25)
    data = study.script.frame(cell, 3)
    model = study.models.quiet_model(study.script.TEXT, data, "cluster")
    return SimpleNamespace(cell=cell, data=data, model=model, truth=study.script.truth(cell))


def test_true_values_are_standardised(study: Any) -> None:
    """Total variance 1 and ICC .1 of y1, a correlation of factor and predictor as it says."""
    t = study.script.truth(study.script.Cell(20, 0.5))
    b = {key[1:]: v for key, v in t.items() if key[0] == "between"}
    w = {key[1:]: v for key, v in t.items() if key[0] == "within"}
    factor = b["fb", "~", "w"] ** 2 + b["fb", "~~", "fb"]
    assert factor == pytest.approx(study.report.SD_FACTOR**2)
    assert b["fb", "~", "w"] / factor**0.5 == pytest.approx(0.5)
    between = factor + b["y1", "~~", "y1"]
    assert between == pytest.approx(0.1)
    assert between + w["fw", "~~", "fw"] + w["y1", "~~", "y1"] == pytest.approx(1.0)


def test_data_have_the_moments_of_the_truth(study: Any) -> None:
    data = study.script.frame(study.script.Cell(400, 0.75), 1)
    sizes = data.groupby("cluster").size()
    assert sizes.between(600, 2800).all()
    assert sizes.mean() == pytest.approx(1700, abs=100)
    means = data.groupby("cluster")[["y1", "y2", "w"]].mean()
    assert means["y1"].var() == pytest.approx(0.1, rel=0.25)
    # y1 and y2 share the factor with loadings 1 and .9
    assert means["y1"].cov(means["y2"]) == pytest.approx(0.9 * 0.08, rel=0.3)
    slope = means["y1"].cov(means["w"]) / means["w"].var()
    assert slope == pytest.approx(0.75 * 0.08**0.5, rel=0.2)
    inside = data["y1"] - data.groupby("cluster")["y1"].transform("mean")
    assert inside.var() == pytest.approx(0.9, rel=0.02)


def test_maximum_likelihood_is_that_of_the_package(study: Any, example: SimpleNamespace) -> None:
    """From the true values upwards, and from many points."""
    found = study.script.likelihood_answer(example.model, example.truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.MsemWarning)
        mode = example.model.mode(prior=False)
    rows = study.script.estimands(list(example.truth))
    assert len(rows) == len(found.found) == 9
    for name, key in rows.items():
        estimate, error, lower, upper = found.found[name]
        assert estimate == pytest.approx(mode[key], abs=1e-5)
        assert error == pytest.approx(mode.standard_errors[key], rel=1e-3)
        assert (upper + lower) / 2 == pytest.approx(estimate)
        assert upper - lower == pytest.approx(2 * 1.96 * error)


def test_wide_priors_by_weights_and_by_sampling(
    study: Any, example: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways to the posterior under wide priors; Monte Carlo error is all that is between."""
    monkeypatch.setattr(study.script, "BUDGET", {"draws": 1500, "tune": 300, "chains": 4})
    weighted = study.script.posterior_answers(example.model, example.truth, 1)
    monkeypatch.setattr(study.script, "HIGH_K", -np.inf)
    sampled = study.script.posterior_answers(example.model, example.truth, 2)
    assert (weighted["wide"].again, sampled["wide"].again) == (False, True)
    for name in ("effect", "loading y2", "variance y1"):
        one, other = weighted["wide"].found[name], sampled["wide"].found[name]
        np.testing.assert_allclose(one[:2], other[:2], atol=0.08 * other[1])
        np.testing.assert_allclose(one[2:], other[2:], atol=0.2 * other[1])
    # wide priors have room for larger effects; with weights both come from the same draws, and
    # else from two samples, whose quantiles are as far apart as those above may be
    for answers, apart in ((weighted, 0.0), (sampled, 0.2)):
        narrow, wide = (answers[name].found["effect"] for name in ("default", "wide"))
        assert wide[0] > narrow[0] > 0
        assert wide[3] - wide[2] > narrow[3] - narrow[2] - apart * narrow[1]


def test_a_line_is_what_the_answer_says(study: Any) -> None:
    answer = study.script.Answer({"effect": np.array([0.3, 0.1, 0.05, 0.6])}, negative=True)
    line = study.script._measured(answer, "effect", 0.2)
    assert line["e"] == pytest.approx(0.1)
    assert (line["e2"], line["e4"]) == pytest.approx((0.01, 1e-4))
    assert (line["covered"], line["excludes_0"], line["right_sign"]) == (1, 1, 1)
    assert (line["width"], line["width2"]) == pytest.approx((0.55, 0.55**2))
    assert (line["negative"], line["high_r_hat"]) == (1, 0)
    wrong = study.script.Answer({"effect": np.array([-0.3, 0.1, -0.6, -0.1])})
    line = study.script._measured(wrong, "effect", 0.2)
    assert (line["covered"], line["excludes_0"], line["right_sign"]) == (0, 1, 0)


# Report -----------------------------------------------------------------------------------------


def test_figures_are_those_of_the_errors(study: Any) -> None:
    """Bias, RMSE, coverage and their errors from the errors themselves."""
    rng, sets, unit = np.random.default_rng(5), 40, study.report.SD_FACTOR
    errors = rng.normal(0.02, 0.1, sets)
    covered, excludes = rng.random(sets) < 0.9, rng.random(sets) < 0.3
    line = dict.fromkeys(study.report.SUMS, 0.0) | {
        "tried": sets,
        "sets": sets,
        "e": errors.sum(),
        "e2": (errors**2).sum(),
        "e4": (errors**4).sum(),
        "covered": covered.sum(),
        "excludes_0": excludes.sum(),
        "width": 8.0,
    }
    keys = {"clusters": 20, "effect": 0.1, "method": "ML", "truth": 0.1 * unit}
    table = pd.DataFrame(
        [keys | {"estimand": name} | line for name in ("effect", "factor variance")]
    )
    effect, variance = (row for _, row in study.report.countries(table).iterrows())
    assert effect["truth"] == pytest.approx(0.1)
    for row, scale in ((effect, unit), (variance, 1.0)):
        e = errors / scale
        assert row["bias"] == pytest.approx(e.mean())
        assert row["bias_error"] == pytest.approx(stats.sem(e))
        assert row["rmse"] == pytest.approx(np.sqrt((e**2).mean()))
        resampled = rng.choice(e, (4000, sets))
        spread = np.sqrt((resampled**2).mean(axis=1)).std()
        assert row["rmse_error"] == pytest.approx(spread, rel=0.1)
        assert row["mean_width"] == pytest.approx(8.0 / sets / scale)
        q = (covered.sum() + 2) / (sets + 4)
        assert row["coverage"] == covered.mean()
        assert row["coverage_error"] == pytest.approx(np.sqrt(q * (1 - q) / (sets + 4)))
        assert row["power"] == excludes.mean()


def test_power_of_a_correlation(study: Any) -> None:
    """Against the noncentral t distribution, given the predictor's sum of squares."""
    lines = study.report.best_power().splitlines()[2:]
    shown = {line.split("|")[1].strip(): line.split("|")[2:6] for line in lines}
    for clusters in (20, 40):
        limit, df = stats.t.ppf(0.975, clusters - 2), clusters - 2
        squares = stats.chi2(clusters - 1).ppf((np.arange(400) + 0.5) / 400)
        for cell, effect in zip(shown[str(clusters)], (0.1, 0.25, 0.5), strict=False):
            shift = effect / np.sqrt(1 - effect**2) * np.sqrt(squares)
            power = stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift)
            assert float(cell) == pytest.approx(100 * power.mean(), abs=1.5)


def test_the_page_shows_the_results_that_are_kept(study: Any, tmp_path: Path) -> None:
    """Writing the tables again changes nothing but those of a study that has gone on."""
    page = ROOT / "docs" / "small_samples.md"
    copy = tmp_path / "page.md"
    copy.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    study.report.report(
        pd.read_csv(study.script.RESULTS),
        pd.read_csv(study.report.PRIOR_STUDY),
        copy,
        tmp_path / "figure.png",
    )
    assert copy.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
